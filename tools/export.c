/* giro export: the journal as CSV, as JSON lines, or for hledger. docs/export.md is the manual. */
#include "tools/command.h"
#include "tools/connection_options.h"
#include "tools/export_hledger.h"
#include "tools/export_rows.h"
#include "tools/export_source.h"
#include "tools/log_walk.h"
#include "tools/repl_words.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char export_usage[] =
    "usage: giro export --format csv|jsonl|hledger [--connect HOST:PORT | --data DIR]\n"
    "                   [what] [--output FILE]\n"
    "\n"
    "Writes every accepted account, transfer and expiry, in order, with the balances after it:\n"
    "from a running server, or from the log of a data directory that no server has open.\n"
    "docs/export.md describes the formats, and how hledger proves the balances.\n"
    "\n"
    "  --format csv          one line a change, with a line of names first\n"
    "  --format jsonl        one JSON object a line\n"
    "  --format hledger      a journal of hledger, each posting with its balance asserted\n"
    "\n" CONNECTION_OPTION_HELP "  --data DIR            read the log in DIR instead\n"
    "  --output FILE         a new file (standard output)\n"
    "\n"
    "What\n"
    "  --from ORDINAL        the first to write: where the last export says to go on\n"
    "  --to ORDINAL          the first not to write any more\n"
    "  --until TIME          nothing later than 2026-01-31T23:59:59Z, or than nanoseconds since\n"
    "                        the epoch\n"
    "  --ledger N            only this ledger\n"
    "  --no-header           no line of names (csv), to append to an earlier export\n"
    "\n"
    "The last line on stderr says where to go on. Exit status: 0 everything was written; 1 not,\n"
    "and stderr says up to where; 2 wrong options.\n";

enum format { FORMAT_NONE, FORMAT_CSV, FORMAT_JSONL, FORMAT_HLEDGER };

struct export_options {
    enum format format;
    const char *data;
    const char *address;
    const char *path;
    uint64_t from;
    uint64_t to;
    uint64_t until;
    uint64_t ledger; /* 0: all */
    bool no_header;
};

struct export_run {
    const struct export_options *options;
    struct export_output output;
    struct export_hledger hledger;
    uint64_t changes;    /* that were written */
    uint64_t late;       /* that were later than --until */
    uint64_t late_first; /* ordinal of the first of them */
    uint64_t behind;     /* that were written and have ordinals behind that */
};

/* ---- Options ----------------------------------------------------------------------------- */

enum { FORMAT, DATA, CONNECT, OUTPUT, FROM, TO, UNTIL, LEDGER, NO_HEADER, HELP };

static const struct option option_names[] = {
    {"format", required_argument, NULL, FORMAT},
    {"data", required_argument, NULL, DATA},
    {"connect", required_argument, NULL, CONNECT},
    {"output", required_argument, NULL, OUTPUT},
    {"from", required_argument, NULL, FROM},
    {"to", required_argument, NULL, TO},
    {"until", required_argument, NULL, UNTIL},
    {"ledger", required_argument, NULL, LEDGER},
    {"no-header", no_argument, NULL, NO_HEADER},
    {"help", no_argument, NULL, HELP},
    {0},
};

static bool format_parse(const char *text, enum format *out)
{
    static const char *const names[] = {
        [FORMAT_CSV] = "csv", [FORMAT_JSONL] = "jsonl", [FORMAT_HLEDGER] = "hledger"};
    for (int i = FORMAT_CSV; i <= FORMAT_HLEDGER; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum format)i;
            return true;
        }
    }
    return false;
}

/* Takes one option; false when its value is not one that it takes. */
static bool option_set(struct export_options *options, int option, const char *value)
{
    switch (option) {
    case FORMAT:
        return format_parse(value, &options->format);
    case DATA:
        options->data = value;
        return true;
    case CONNECT:
        options->address = value;
        return true;
    case OUTPUT:
        options->path = value;
        return true;
    case FROM:
        return number_parse(value, 0, UINT64_MAX - 1, &options->from);
    case TO:
        return number_parse(value, 0, UINT64_MAX, &options->to);
    case UNTIL:
        return time_parse(value, &options->until);
    case LEDGER:
        return number_parse(value, 1, UINT32_MAX, &options->ledger);
    case NO_HEADER:
        options->no_header = true;
        return true;
    default:
        return false;
    }
}

static const char *options_wrong(const struct export_options *options)
{
    if (options->format == FORMAT_NONE)
        return "give --format csv, --format jsonl or --format hledger";
    if (options->data != NULL && options->address != NULL)
        return "--data reads a directory, --connect asks a server: give one of them";
    if (options->to < options->from)
        return "--to is before --from: nothing lies between them";
    if (options->no_header && options->format != FORMAT_CSV)
        return "--no-header goes with --format csv only: the other formats have no header";
    return NULL;
}

/* Returns -1 to go on, or an exit status. */
static int options_read(int argc, char **argv, struct export_options *options)
{
    int option;
    while ((option = getopt_long(argc, argv, "", option_names, NULL)) != -1) {
        if (option == HELP) {
            fputs(export_usage, stdout);
            return EXIT_DONE;
        }
        if (!option_set(options, option, optarg)) {
            if (option != '?')
                complain("export", "--%s does not take \"%s\"", option_names[option].name, optarg);
            fputs("giro export --help tells the options.\n", stderr);
            return EXIT_USAGE;
        }
    }
    const char *wrong = options_wrong(options);
    if (wrong == NULL && optind != argc)
        wrong = "--output FILE tells where to write; there are no other arguments";
    if (wrong != NULL) {
        complain("export", "%s", wrong);
        fputs("giro export --help tells the options.\n", stderr);
        return EXIT_USAGE;
    }
    if (options->data == NULL && options->address == NULL)
        options->address = CONNECTION_ADDRESS_DEFAULT;
    return -1;
}

/* ---- Changes ----------------------------------------------------------------------------- */

/* Whether a change is asked for; counts those that are too late for it. */
static bool is_wanted(struct export_run *run, uint64_t ordinal, uint64_t timestamp)
{
    const struct export_options *options = run->options;
    if (ordinal < options->from)
        return false;
    if (timestamp > options->until) {
        if (run->late++ == 0)
            run->late_first = ordinal;
        return false;
    }
    run->changes++;
    run->behind += run->late > 0;
    return true;
}

/* Implements export_take. */
static bool change_take(void *context, const struct giro_change *change)
{
    struct export_run *run = context;
    const struct export_options *options = run->options;
    bool is_account = change->kind == GIRO_CHANGE_ACCOUNT_CREATED;
    uint32_t ledger = is_account ? change->record.account.ledger : change->record.transfer.ledger;
    uint64_t timestamp =
        is_account ? change->record.account.timestamp : change->record.transfer.timestamp;
    const char *wrong = NULL;
    if (repl_change_kind_name(change->kind) == NULL) {
        /* It may move money: to leave it out would be a loss that nobody is told of. */
        complain("export",
                 "the change at ordinal %" PRIu64 " is of a kind %u that this version does not "
                 "know: use the version of the server",
                 change->ordinal, change->kind);
        return false;
    }
    /* Limits, leases and schedules do not come with a ledger. */
    const bool ledgerless =
        change->kind >= GIRO_CHANGE_LIMITS_SET && change->kind != GIRO_CHANGE_CUT_OFF;
    if (options->ledger != 0 && (options->ledger != ledger || ledgerless))
        return true;
    bool wanted = is_wanted(run, change->ordinal, timestamp);
    if (options->format == FORMAT_HLEDGER)
        wrong = export_hledger_change(&run->hledger, change, wanted, &run->output);
    else if (wanted && options->format == FORMAT_CSV)
        export_csv_change(&run->output, change);
    else if (wanted)
        export_jsonl_change(&run->output, change);
    if (wrong != NULL) {
        complain("export",
                 "the change at ordinal %" PRIu64 " %s: prove the ledger with giro verify",
                 change->ordinal, wrong);
        return false;
    }
    return !wanted || export_record_end(&run->output, change->ordinal + 1);
}

/* ---- The command ------------------------------------------------------------------------- */

static void output_complain(const struct export_run *run, int error)
{
    const char *path = run->options->path;
    if (error == EPIPE)
        complain("export", "whoever reads standard output closed it before the end");
    else if (error == EEXIST)
        complain("export", "%s: exists already: choose another --output, or delete it", path);
    else
        complain("export", "%s: cannot be written: %s", path != NULL ? path : "standard output",
                 strerror(error));
}

/* What was not done, and where to go on. What standard output took may end anywhere. */
static void stopped_print(const struct export_run *run, int error, uint64_t ordinal)
{
    if (error == 0 && run->changes == 0)
        complain("export", "nothing was written");
    else if (error == 0 || run->options->path != NULL)
        complain("export",
                 "stopped early: everything before ordinal %" PRIu64 " is written, nothing "
                 "behind it; go on with --from %" PRIu64,
                 ordinal, ordinal);
    else
        complain("export",
                 "stopped early: everything before ordinal %" PRIu64 " is written, what follows "
                 "may end inside a record: cut it there and go on with --from %" PRIu64
                 ", or begin again",
                 ordinal, ordinal);
}

static void done_print(const struct export_run *run, uint64_t ordinal_next)
{
    char time[TIME_TEXT_BYTES];
    if (run->late == 0) {
        complain("export", "%" PRIu64 " changes; go on later with --from %" PRIu64, run->changes,
                 ordinal_next);
        return;
    }
    time_format(run->options->until, time);
    if (run->behind > 0)
        complain("export",
                 "%" PRIu64 " changes were accepted behind ordinal %" PRIu64 " and are dated "
                 "earlier (imports): they are written, and --from %" PRIu64 " has them again",
                 run->behind, run->late_first, run->late_first);
    complain("export",
             "%" PRIu64 " changes; %" PRIu64 " later than %s are left out; go on later with "
             "--from %" PRIu64,
             run->changes, run->late, time, run->late_first);
}

/* A file without a change in it would only stand in the way of the next attempt. */
static void empty_remove(const struct export_run *run)
{
    if (run->options->path != NULL && run->changes == 0)
        (void)unlink(run->options->path);
}

static int export_end(struct export_run *run, const struct export_source *source, bool given)
{
    const uint64_t from = run->options->from;
    uint64_t reached = source->ordinal_next > from ? source->ordinal_next : from;
    bool beyond = source->beyond || (given && from > source->ordinal_end);
    int error = export_output_close(&run->output);
    if (error != 0)
        output_complain(run, error);
    if (given && !beyond && error == 0) {
        done_print(run, reached);
        return EXIT_DONE;
    }
    empty_remove(run);
    if (beyond) {
        complain("export",
                 "--from %" PRIu64 " is behind the end of this ledger: it is of another "
                 "one, or its log was cut; begin again without --from",
                 from);
        return EXIT_FAILED;
    }
    uint64_t ordinal = error != 0 ? run->output.ordinal_written : reached;
    if (run->late > 0 && run->late_first < ordinal)
        ordinal = run->late_first;
    stopped_print(run, error, ordinal);
    return EXIT_FAILED;
}

static int export_all(const struct export_options *options)
{
    struct export_run run = {.options = options};
    struct export_source source = {
        .data = options->data,
        .address = options->address,
        /* What a post releases is the difference of two balances: those of all accounts must be
         * known, whatever is wanted. */
        .from = options->format == FORMAT_HLEDGER ? 0 : options->from,
        .to = options->to,
        .take = change_take,
        .context = &run,
    };
    int error = export_output_open(&run.output, options->path, options->from);
    if (error != 0) {
        output_complain(&run, error);
        return EXIT_FAILED;
    }
    if (options->format == FORMAT_CSV && !options->no_header)
        export_csv_header(&run.output);
    bool given = false;
    if (options->format == FORMAT_HLEDGER && export_hledger_init(&run.hledger) != 0)
        complain("export", "out of memory");
    else
        given = export_source_run(&source, "export");
    int status = export_end(&run, &source, given);
    export_hledger_free(&run.hledger);
    return status;
}

int export_command(int argc, char **argv)
{
    struct export_options options = {.to = UINT64_MAX, .until = UINT64_MAX};
    int status = options_read(argc, argv, &options);
    if (status >= 0)
        return status;
    (void)signal(SIGPIPE, SIG_IGN); /* a reader who goes away is an error that is told */
    return export_all(&options);
}
