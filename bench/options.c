#include "bench/options.h"

#include "bench/firings.h"
#include "net/frame.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRANSFERS_DEFAULT 1000000ull
#define TRANSFERS_MAX (1ull << 40)

enum option_id {
    OPTION_CONNECT = 256,
    OPTION_COMPAT_CONNECT,
    OPTION_SPAWN,
    OPTION_DATA,
    OPTION_IO,
    OPTION_KEEP,
    OPTION_SERVE_OPTION,
    OPTION_FORMAT_OPTION,
    OPTION_ACCOUNTS,
    OPTION_TRANSFERS,
    OPTION_WARMUP,
    OPTION_SECONDS,
    OPTION_WARMUP_SECONDS,
    OPTION_BATCH,
    OPTION_CONNECTIONS,
    OPTION_DEPTH,
    OPTION_RATE,
    OPTION_PROTOCOL,
    OPTION_CONGESTION,
    OPTION_ZIPF,
    OPTION_HOT_ACCOUNTS,
    OPTION_IDS,
    OPTION_TWO_PHASE,
    OPTION_REJECTED,
    OPTION_HISTORY,
    OPTION_USER_DATA,
    OPTION_QUERIES,
    OPTION_QUERY_RATE,
    OPTION_QUERY_MIX,
    OPTION_QUERY_ACCOUNT,
    OPTION_CHANGES,
    OPTION_CHANGES_FROM,
    OPTION_SNAPSHOT_EVERY,
    OPTION_SCHEDULES,
    OPTION_SCHEDULES_AFTER,
    OPTION_SCHEDULES_WITHIN,
    OPTION_REPEAT,
    OPTION_SEED,
    OPTION_JSON,
    OPTION_PROGRESS,
    OPTION_HELP,
};

static const struct option option_table[] = {
    {"connect", required_argument, NULL, OPTION_CONNECT},
    {"compat-connect", required_argument, NULL, OPTION_COMPAT_CONNECT},
    {"spawn", no_argument, NULL, OPTION_SPAWN},
    {"data", required_argument, NULL, OPTION_DATA},
    {"io", required_argument, NULL, OPTION_IO},
    {"keep", no_argument, NULL, OPTION_KEEP},
    {"serve-option", required_argument, NULL, OPTION_SERVE_OPTION},
    {"format-option", required_argument, NULL, OPTION_FORMAT_OPTION},
    {"accounts", required_argument, NULL, OPTION_ACCOUNTS},
    {"transfers", required_argument, NULL, OPTION_TRANSFERS},
    {"warmup", required_argument, NULL, OPTION_WARMUP},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"warmup-seconds", required_argument, NULL, OPTION_WARMUP_SECONDS},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"depth", required_argument, NULL, OPTION_DEPTH},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"protocol", required_argument, NULL, OPTION_PROTOCOL},
    {"congestion", required_argument, NULL, OPTION_CONGESTION},
    {"zipf", required_argument, NULL, OPTION_ZIPF},
    {"hot-accounts", required_argument, NULL, OPTION_HOT_ACCOUNTS},
    {"ids", required_argument, NULL, OPTION_IDS},
    {"two-phase", required_argument, NULL, OPTION_TWO_PHASE},
    {"rejected", required_argument, NULL, OPTION_REJECTED},
    {"history", required_argument, NULL, OPTION_HISTORY},
    {"user-data", no_argument, NULL, OPTION_USER_DATA},
    {"queries", required_argument, NULL, OPTION_QUERIES},
    {"query-rate", required_argument, NULL, OPTION_QUERY_RATE},
    {"query-mix", required_argument, NULL, OPTION_QUERY_MIX},
    {"query-account", required_argument, NULL, OPTION_QUERY_ACCOUNT},
    {"changes", required_argument, NULL, OPTION_CHANGES},
    {"changes-from", required_argument, NULL, OPTION_CHANGES_FROM},
    {"snapshot-every", required_argument, NULL, OPTION_SNAPSHOT_EVERY},
    {"schedules", required_argument, NULL, OPTION_SCHEDULES},
    {"schedules-after", required_argument, NULL, OPTION_SCHEDULES_AFTER},
    {"schedules-within", required_argument, NULL, OPTION_SCHEDULES_WITHIN},
    {"repeat", required_argument, NULL, OPTION_REPEAT},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"json", optional_argument, NULL, OPTION_JSON},
    {"progress", no_argument, NULL, OPTION_PROGRESS},
    {"help", no_argument, NULL, OPTION_HELP},
    {0},
};

static const char usage[] =
    "usage: giro bench (--connect HOST:PORT | --spawn) [options]\n"
    "\n"
    "server\n"
    "  --connect HOST:PORT     load a running server\n"
    "  --compat-connect HOST:PORT  its port for TigerBeetle's clients, for --protocol\n"
    "  --spawn                 format and serve a fresh data directory for every repeat\n"
    "  --data DIR              where the spawned server's files go, and where the device is\n"
    "                          probed; default: the current directory\n"
    "  --io io_uring|posix     I/O backend of the spawned server\n"
    "  --keep                  leave the spawned server's files\n"
    "  --serve-option ARG      pass one more argument to `giro serve` (repeatable)\n"
    "  --format-option ARG     pass one more argument to `giro format` (repeatable)\n"
    "\n"
    "load (numbers may end in k, M or G)\n"
    "  --accounts N            default 10k\n"
    "  --transfers N           measured transfers, default 1M, unlimited with --seconds\n"
    "  --seconds N             end the measured load after N seconds\n"
    "  --warmup N              transfers before it, default 0\n"
    "  --warmup-seconds N      the same by time\n"
    "  --batch N               transfers a request, 1 .. 8190, default 8190; compat: 8189\n"
    "  --connections N         default 4\n"
    "  --depth N               requests in flight a connection, default 1\n"
    "  --rate N                open loop: N transfers a second on a fixed schedule; latency\n"
    "                          counts from the scheduled time. Default: closed loop\n"
    "  --protocol NAME         what the load speaks: native (default), compat, which is that of\n"
    "                          TigerBeetle's clients, or both: every repeat is a run of each\n"
    "  --congestion NAME       TCP congestion control of the client's side, as reno or cubic;\n"
    "                          default: the system's\n"
    "  --zipf S                account popularity falls with rank^-S; 0, default: uniform\n"
    "  --hot-accounts N[:PCT]  PCT percent of transfers (100) credit one of N hot accounts\n"
    "  --ids time|random       transfer ids: time-ordered (default) or random\n"
    "  --two-phase PCT         percent of events that are pending or their post or void\n"
    "  --rejected PCT          percent of events made to fail a rule\n"
    "  --history PCT           percent of the accounts that keep their history\n"
    "  --user-data             transfers and accounts have a user_data_64: as many different ones\n"
    "                          as there are accounts\n"
    "  --seed N                of accounts, amounts and mix, default 42\n"
    "  --repeat N              runs, default 1\n"
    "\n"
    "beside the measured load, each on connections of its own (they need the follower)\n"
    "  --queries N             N connections send queries, one in flight on each\n"
    "  --query-rate N          open loop: N queries a second of all of them together\n"
    "  --query-mix A,B,...     shares of: transfers of an account, the newest 100; the newest\n"
    "                          1,000; 100 from a random moment on; 1,000 from a random moment\n"
    "                          on; the newest 100 balances (needs --history); the newest 100\n"
    "                          transfers with a user_data_64 (needs --user-data); 100 accounts\n"
    "                          by code. Default: 40,5,20,5,10,15,5 without what lacks its option\n"
    "  --query-account ID      ask for this account only; default: as the load picks them\n"
    "  --changes N             N subscribers follow the change stream\n"
    "  --changes-from WHERE    beginning (default) or end\n"
    "  --snapshot-every N      ask for a snapshot every N seconds, and tell the latencies while\n"
    "                          one is written from the others\n"
    "  --schedules N           create N schedules before the load that fire once each within it,\n"
    "                          and tell the latencies meanwhile from the others\n"
    "  --schedules-after N     the first is due N seconds after the load began, default 2\n"
    "  --schedules-within N    they are due spread over N seconds; default: at the same time\n"
    "\n"
    "output\n"
    "  --json [FILE]           JSON to FILE beside the table, or to stdout in its place\n"
    "  --progress              progress on stderr even when it is not a terminal\n";

int options_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    uint64_t unit = 1;
    switch (*end) {
    case 'k':
        unit = 1000;
        end++;
        break;
    case 'M':
        unit = 1000000;
        end++;
        break;
    case 'G':
        unit = 1000000000;
        end++;
        break;
    default:
        break;
    }
    bool overflow = __builtin_mul_overflow(value, unit, &value);
    if (errno != 0 || overflow || end == text || *end != 0 || text[0] == '-' || value < min ||
        value > max) {
        fprintf(stderr, "giro bench: --%s takes a number from %llu to %llu, not \"%s\"\n", name,
                (unsigned long long)min, (unsigned long long)max, text);
        return -EINVAL;
    }
    *out = value;
    return 0;
}

static int parse_number_32(const char *name, const char *text, uint32_t min, uint32_t max,
                           uint32_t *out)
{
    uint64_t value = 0;
    int error = options_number(name, text, min, max, &value);
    if (error == 0)
        *out = (uint32_t)value;
    return error;
}

/* One of two words; *out says whether it was the second. */
static int parse_choice(const char *name, const char *text, const char *first, const char *second,
                        bool *out)
{
    if (strcmp(text, first) != 0 && strcmp(text, second) != 0) {
        fprintf(stderr, "giro bench: --%s takes %s or %s, not \"%s\"\n", name, first, second, text);
        return -EINVAL;
    }
    *out = strcmp(text, second) == 0;
    return 0;
}

static int parse_protocol(const char *text, bool protocols[WIRE_PROTOCOLS])
{
    bool both = strcmp(text, "both") == 0;
    bool known = both;
    for (uint32_t i = 0; i < WIRE_PROTOCOLS; i++) {
        protocols[i] = both || strcmp(text, wire_names[i]) == 0;
        known = known || protocols[i];
    }
    if (known)
        return 0;
    fprintf(stderr, "giro bench: --protocol takes native, compat or both, not \"%s\"\n", text);
    return -EINVAL;
}

static int parse_zipf(const char *text, double *out)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != 0 || !(value >= 0.0 && value <= 5.0)) {
        fprintf(stderr, "giro bench: --zipf takes an exponent from 0 to 5, not \"%s\"\n", text);
        return -EINVAL;
    }
    *out = value;
    return 0;
}

/* N or N:PERCENT. */
static int parse_hot_accounts(const char *text, struct bench_options *out)
{
    char count[32];
    const char *colon = strchrnul(text, ':');
    size_t size = (size_t)(colon - text);
    if (size >= sizeof count) {
        fprintf(stderr, "giro bench: --hot-accounts takes N or N:PERCENT, not \"%s\"\n", text);
        return -EINVAL;
    }
    memcpy(count, text, size);
    count[size] = 0;
    int error = parse_number_32("hot-accounts", count, 1, 1u << 30, &out->hot_accounts);
    out->hot_percent = 100;
    if (error == 0 && *colon == ':')
        error = parse_number_32("hot-accounts", colon + 1, 1, 100, &out->hot_percent);
    return error;
}

static int pass_on(const char *text, const char **list, uint32_t *count)
{
    if (*count == OPTIONS_PASSED_MAX) {
        fprintf(stderr, "giro bench: too many passed options\n");
        return -EINVAL;
    }
    list[(*count)++] = text;
    return 0;
}

/* Where the server comes from and where its files go. */
static int parse_server_option(enum option_id id, const char *text, struct bench_options *out)
{
    bool posix;
    switch (id) {
    case OPTION_CONNECT:
        out->connect = text;
        return 0;
    case OPTION_COMPAT_CONNECT:
        out->compat = text;
        return 0;
    case OPTION_SPAWN:
        out->spawn = true;
        return 0;
    case OPTION_DATA:
        out->directory = text;
        return 0;
    case OPTION_IO:
        out->io = text;
        return parse_choice("io", text, "io_uring", "posix", &posix);
    case OPTION_KEEP:
        out->keep = true;
        return 0;
    case OPTION_SERVE_OPTION:
        return pass_on(text, out->serve_passed, &out->serve_passed_count);
    case OPTION_FORMAT_OPTION:
        return pass_on(text, out->format_passed, &out->format_passed_count);
    default:
        return -ENOENT;
    }
}

static int parse_load_option(enum option_id id, const char *text, struct bench_options *out)
{
    switch (id) {
    case OPTION_ACCOUNTS:
        return parse_number_32("accounts", text, 2, 1u << 30, &out->accounts);
    case OPTION_TRANSFERS:
        return options_number("transfers", text, 1, TRANSFERS_MAX, &out->transfers);
    case OPTION_WARMUP:
        return options_number("warmup", text, 0, TRANSFERS_MAX, &out->warmup);
    case OPTION_SECONDS:
        return options_number("seconds", text, 1, 1000000, &out->seconds);
    case OPTION_WARMUP_SECONDS:
        return options_number("warmup-seconds", text, 1, 1000000, &out->warmup_seconds);
    case OPTION_BATCH:
        return parse_number_32("batch", text, 1, FRAME_EVENTS_MAX, &out->batch);
    case OPTION_CONNECTIONS:
        return parse_number_32("connections", text, 1, 100000, &out->connections);
    case OPTION_DEPTH:
        return parse_number_32("depth", text, 1, 65536, &out->depth);
    case OPTION_RATE:
        return options_number("rate", text, 1, 1000000000, &out->rate);
    case OPTION_PROTOCOL:
        return parse_protocol(text, out->protocols);
    case OPTION_CONGESTION:
        out->congestion = text;
        return 0;
    case OPTION_ZIPF:
        return parse_zipf(text, &out->zipf);
    case OPTION_HOT_ACCOUNTS:
        return parse_hot_accounts(text, out);
    case OPTION_IDS:
        return parse_choice("ids", text, "time", "random", &out->ids_random);
    case OPTION_TWO_PHASE:
        return parse_number_32("two-phase", text, 0, 100, &out->two_phase_percent);
    case OPTION_REJECTED:
        return parse_number_32("rejected", text, 0, 100, &out->rejected_percent);
    case OPTION_SEED:
        return options_number("seed", text, 0, UINT64_MAX, &out->seed);
    case OPTION_REPEAT:
        return parse_number_32("repeat", text, 1, 1000, &out->repeat);
    default:
        return -ENOENT;
    }
}

/* Shares of the kinds of queries, separated by commas; those left out are 0. */
static int parse_query_mix(const char *text, uint32_t mix[QUERIES_KINDS])
{
    uint32_t total = 0;
    memset(mix, 0, QUERIES_KINDS * sizeof *mix);
    for (uint32_t kind = 0; kind < QUERIES_KINDS; kind++) {
        char *end;
        unsigned long share = strtoul(text, &end, 10);
        if (end == text || *text == '-' || share > 1000000)
            break;
        mix[kind] = (uint32_t)share;
        total += mix[kind];
        text = end;
        if (*text != ',')
            break;
        text++;
    }
    if (*text == 0 && total > 0)
        return 0;
    fprintf(stderr,
            "giro bench: --query-mix takes up to %d shares, not all of them 0, as in 50,0,50\n",
            QUERIES_KINDS);
    return -EINVAL;
}

/* Without shares given: the usual ones, without those that nothing would be found for. */
static void query_mix_default(struct bench_options *options)
{
    static const uint32_t usual[QUERIES_KINDS] = {40, 5, 20, 5, 10, 15, 5};
    for (uint32_t kind = 0; kind < QUERIES_KINDS; kind++) {
        if (options->query_mix[kind] > 0)
            return;
    }
    memcpy(options->query_mix, usual, sizeof usual);
    if (options->history_percent == 0)
        options->query_mix[QUERIES_BALANCES_100] = 0;
    if (!options->user_data)
        options->query_mix[QUERIES_USER_DATA] = 0;
}

static int parse_beside_option(enum option_id id, const char *text, struct bench_options *out)
{
    switch (id) {
    case OPTION_HISTORY:
        return parse_number_32("history", text, 0, 100, &out->history_percent);
    case OPTION_USER_DATA:
        out->user_data = true;
        return 0;
    case OPTION_QUERIES:
        return parse_number_32("queries", text, 0, 1000, &out->queries);
    case OPTION_QUERY_RATE:
        return options_number("query-rate", text, 1, 1000000000, &out->query_rate);
    case OPTION_QUERY_MIX:
        return parse_query_mix(text, out->query_mix);
    case OPTION_QUERY_ACCOUNT:
        return parse_number_32("query-account", text, 1, 1u << 30, &out->query_account);
    case OPTION_CHANGES:
        return parse_number_32("changes", text, 0, 1000, &out->changes);
    case OPTION_CHANGES_FROM:
        return parse_choice("changes-from", text, "beginning", "end", &out->changes_from_end);
    case OPTION_SNAPSHOT_EVERY:
        return options_number("snapshot-every", text, 1, 1000000, &out->snapshot_every);
    case OPTION_SCHEDULES:
        return parse_number_32("schedules", text, 0, FIRINGS_MAX, &out->schedules);
    case OPTION_SCHEDULES_AFTER:
        return options_number("schedules-after", text, 1, 1000000, &out->schedules_after);
    case OPTION_SCHEDULES_WITHIN:
        return options_number("schedules-within", text, 0, 1000000, &out->schedules_within);
    default:
        return -ENOENT;
    }
}

/* The other protocol has limits of its own. */
static const char *check_compat(const struct bench_options *options)
{
    if (!options->protocols[WIRE_COMPAT])
        return options->compat != NULL ? "--compat-connect needs --protocol compat or both" : NULL;
    if (options->spawn == (options->compat != NULL))
        return "--protocol compat and both need --spawn, or --connect and --compat-connect";
    if (options->depth > 1)
        return "--protocol compat and both allow one request in flight, not --depth";
    return options->batch > wire_events_max(WIRE_COMPAT)
               ? "--protocol compat and both take at most 8189 transfers a request"
               : NULL;
}

/* What no single option can know. */
static int check(const struct bench_options *options)
{
    const char *problem = NULL;
    if ((options->connect != NULL) == options->spawn)
        problem = "give either --connect HOST:PORT or --spawn";
    else if (!options->spawn && (options->keep || options->io != NULL ||
                                 options->serve_passed_count + options->format_passed_count > 0))
        problem = "--keep, --io, --serve-option and --format-option need --spawn";
    else if (options->hot_accounts > options->accounts)
        problem = "--hot-accounts exceeds --accounts";
    else if (options->two_phase_percent + options->rejected_percent > 100)
        problem = "--two-phase and --rejected exceed 100 percent together";
    else if (options->query_account > options->accounts)
        problem = "--query-account exceeds --accounts";
    else if (options->query_mix[QUERIES_BALANCES_100] > 0 && options->history_percent == 0)
        problem = "--query-mix asks for balances: that needs --history";
    else if (options->query_mix[QUERIES_USER_DATA] > 0 && !options->user_data)
        problem = "--query-mix asks for user data: that needs --user-data";
    else if (options->schedules > 0 && options->snapshot_every > 0)
        problem = "--schedules and --snapshot-every both tell latencies apart: give one";
    else if (options->schedules > 0 && options->seconds > 0 &&
             options->schedules_after + options->schedules_within >= options->seconds)
        problem = "the load is over before all --schedules are due";
    else
        problem = check_compat(options);
    if (problem == NULL)
        return 0;
    fprintf(stderr, "giro bench: %s (--help shows the options)\n", problem);
    return -EINVAL;
}

static int parse_one(int id, int argc, char **argv, struct bench_options *out)
{
    switch (id) {
    case OPTION_JSON:
        out->json = true;
        out->json_path = optarg;
        if (optarg == NULL && optind < argc && argv[optind][0] != '-')
            out->json_path = argv[optind++];
        return 0;
    case OPTION_PROGRESS:
        out->progress = true;
        return 0;
    case OPTION_HELP:
        fputs(usage, stdout);
        return 1;
    case '?':
        return -EINVAL; /* getopt said why */
    default:
        break;
    }
    int error = parse_server_option((enum option_id)id, optarg, out);
    if (error == -ENOENT)
        error = parse_beside_option((enum option_id)id, optarg, out);
    return error == -ENOENT ? parse_load_option((enum option_id)id, optarg, out) : error;
}

int options_parse(int argc, char **argv, struct bench_options *out)
{
    struct bench_options options = {
        .protocols = {[WIRE_NATIVE] = true},
        .accounts = 10000,
        .connections = 4,
        .depth = 1,
        .repeat = 1,
        .schedules_after = 2,
        .seed = 42,
        .progress = isatty(STDERR_FILENO) == 1,
    };
    optind = 0; /* starts getopt afresh: the command may have used it */
    for (int id; (id = getopt_long(argc, argv, "", option_table, NULL)) != -1;) {
        int stop = parse_one(id, argc, argv, &options);
        if (stop != 0)
            return stop;
    }
    if (optind < argc) {
        fprintf(stderr, "giro bench: unexpected argument \"%s\"\n", argv[optind]);
        return -EINVAL;
    }
    if (options.transfers == 0 && options.seconds == 0)
        options.transfers = TRANSFERS_DEFAULT;
    if (options.batch == 0)
        options.batch = wire_events_max(options.protocols[WIRE_COMPAT] ? WIRE_COMPAT : WIRE_NATIVE);
    query_mix_default(&options);
    int error = check(&options);
    if (error == 0)
        *out = options;
    return error;
}
