/* giro recover: looks into a log, rebuilds a directory from it, and cuts what cannot be saved.
 *
 * Nothing is changed without an option that says so, and what is cut is saved first. */
#include "tools/command.h"
#include "tools/index_rebuild.h"
#include "tools/log_copy.h"
#include "tools/log_walk.h"
#include "wal/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: giro recover --data DIR [what to do] [up to where]\n"
    "\n"
    "Without an option it reads the log, tells how it ends, and changes nothing.\n"
    "\n"
    "What to do\n"
    "  --dump                print a line for every block\n"
    "  --records             with --dump: print every record as well\n"
    "  --to NEWDIR           rebuild: copy the sound part of the log into a new directory, block\n"
    "                        by block, and prove the copy; DIR is not touched\n"
    "  --cut-torn            cut a torn tail, which was never acknowledged (serve does so too)\n"
    "  --cut-damaged         cut from the first damaged block on, ACKNOWLEDGED TRANSFERS BEHIND "
    "IT\n"
    "                        INCLUDED; what is cut is saved in DIR/cut-*.bin first\n"
    "  --rebuild-index       delete all indexes and snapshots, and make them again from the log\n"
    "  --rebuild-meta        write a new giro.meta from the first block of the log\n"
    "\n"
    "Up to where (with --dump and --to)\n"
    "  --from-lsn N          first block to print\n"
    "  --until-lsn N         last block\n"
    "  --until-time T        last block written at or before T: 2026-01-31T23:59:59Z or\n"
    "                        nanoseconds since the epoch\n";

struct recover_options {
    const char *data;
    const char *to;
    bool dump;
    bool records;
    bool cut_torn;
    bool cut_damaged;
    bool rebuild_meta;
    bool rebuild_index;
    uint64_t from_lsn;
    struct log_limit limit;
};

/* ---- Dump -------------------------------------------------------------------------------- */

/* The records that change nothing: what the server knew of itself. */
static bool note_print(const union record *record)
{
    const struct record_digest *digest = &record->digest;
    const struct record_snapshot *snapshot = &record->snapshot;
    switch (record_system(record)) {
    case RECORD_SYSTEM_DIGEST:
        printf(" digest rows %" PRIu64 " + %" PRIu64 " accounts=%" PRIu64 " transfers=%" PRIu64
               " holds=%" PRIu64 " checksum %016" PRIx64 "%016" PRIx64 " timestamp=%" PRIu64 "\n",
               digest->row_first, digest->row_count, digest->accounts, digest->transfers,
               digest->holds, digest->rows.high, digest->rows.low, digest->timestamp);
        return true;
    case RECORD_SYSTEM_SNAPSHOT:
        printf(" snapshot segment=%u lsn=%" PRIu64 " bytes=%" PRIu64 " checksum %016" PRIx64
               "%016" PRIx64 " timestamp=%" PRIu64 "\n",
               snapshot->segment, snapshot->lsn, snapshot->file_bytes, snapshot->file.high,
               snapshot->file.low, snapshot->timestamp);
        return true;
    default:
        return false;
    }
}

static void record_print(const union record *record, uint64_t address)
{
    static const char *const names[] = {"transfer", "account", "burnt", "system"};
    const struct giro_transfer *transfer = &record->transfer;
    char text[5][U128_TEXT_BYTES];
    printf("    %-8s @%" PRIu64, names[record_kind(record)], address);
    if (note_print(record))
        return;
    u128_format(transfer->id, text[0]);
    if (record_kind(record) == RECORD_ACCOUNT) {
        printf(" id=%s ledger=%u code=%u flags=%u timestamp=%" PRIu64 "\n", text[0],
               record->account.ledger, record->account.code,
               record->account.flags & RECORD_FLAGS_MASK, record->account.timestamp);
        return;
    }
    u128_format(transfer->debit_account_id, text[1]);
    u128_format(transfer->credit_account_id, text[2]);
    u128_format(transfer->amount, text[3]);
    u128_format(transfer->pending_id, text[4]);
    printf(" id=%s debit=%s credit=%s amount=%s pending=%s ledger=%u code=%u flags=%u timeout=%u "
           "timestamp=%" PRIu64 "\n",
           text[0], text[1], text[2], text[3], text[4], transfer->ledger, transfer->code,
           transfer->flags & RECORD_FLAGS_MASK, transfer->timeout, transfer->timestamp);
}

static void block_print(const struct recover_options *options, const struct log_walk *walk,
                        const struct block_header *header)
{
    char written[TIME_TEXT_BYTES];
    if (!options->dump || header->lsn < options->from_lsn)
        return;
    time_format(header->written_at, written);
    printf("block %" PRIu64 " %s segment %u offset %u bytes %u records %u ordinal %" PRIu64
           " durable %" PRIu64 " epoch %u written %s checksum %016" PRIx64 "%016" PRIx64 "\n",
           header->lsn, block_kind_name(header->kind), header->segment, header->offset,
           header->block_bytes, header->record_count, header->ordinal, header->lsn_durable,
           header->epoch, written, header->header_checksum.high, header->header_checksum.low);
    if (!options->records)
        return;
    uint64_t address = block_address(header, walk->directory.meta.segment_bytes);
    for (uint32_t i = 0; i < header->record_count; i++)
        record_print(&block_records(header)[i], address + i);
}

/* ---- Cut --------------------------------------------------------------------------------- */

/* Saves the rest of a segment from offset on, as DIR/cut-LSN-SEGMENT.bin. */
static int rest_save(const struct directory *directory, uint64_t lsn, uint32_t segment,
                     uint32_t offset, struct error *error)
{
    enum { COPY_BYTES = 1 << 20 };
    char path[sizeof directory->path + 64];
    (void)snprintf(path, sizeof path, "%s/cut-%" PRIu64 "-%010u.bin", directory->path, lsn,
                   segment);
    int from = segment_open(directory, segment, O_RDONLY, error);
    if (from < 0)
        return from;
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int result = to < 0 ? -errno : 0;
    void *buffer = result == 0 ? aligned_alloc(4096, COPY_BYTES) : NULL;
    while (result == 0 && buffer != NULL) {
        ssize_t got = pread(from, buffer, COPY_BYTES, offset);
        if (got <= 0) {
            result = got < 0 ? -errno : 0;
            break;
        }
        ssize_t put = write(to, buffer, (size_t)got);
        if (put != got)
            result = put < 0 ? -errno : -ENOSPC;
        offset += (uint32_t)got;
    }
    if (result == 0 && (buffer == NULL || fsync(to) != 0))
        result = buffer == NULL ? -ENOMEM : -errno;
    free(buffer);
    if (to >= 0)
        close(to);
    close(from);
    if (result != 0) {
        if (to >= 0)
            (void)unlink(path);
        return error_set(error, result, "%s: cannot save what would be cut: %s; nothing was cut",
                         path, strerror(-result));
    }
    printf("saved %s\n", path);
    return 0;
}

/* Cuts the log, after what was derived from it: indexes and snapshots beyond the cut would
 * contradict it, and bring back what was cut. A log that ends where a segment begins goes on in the
 * one before, whose index is then not complete either. */
static int cut(const struct log_walk *walk, struct error *error)
{
    const struct log_end *end = &walk->reader.end;
    const uint32_t first = end->offset == 0 && end->segment > 0 ? end->segment - 1 : end->segment;
    for (uint32_t i = 0; i < end->dirty_segments; i++) {
        int result = rest_save(&walk->directory, end->lsn, end->segment + i,
                               i == 0 ? end->offset : 0, error);
        if (result != 0)
            return result;
    }
    int result = derived_remove(&walk->directory, first, error);
    return result == 0 ? log_end_cut(end, &walk->directory, error) : result;
}

/* ---- The command ------------------------------------------------------------------------- */

/* Walks, prints and copies. Returns 0 with *out_stopped set when a limit was reached first. */
static int walk_run(const struct recover_options *options, struct log_walk *walk,
                    struct log_copy *copy, bool *out_stopped, struct error *error)
{
    const struct block_header *header;
    int result;
    *out_stopped = false;
    while ((result = log_walk_next(walk, &header, error)) > 0) {
        *out_stopped = log_limit_passed(&options->limit, header);
        if (*out_stopped)
            return 0;
        block_print(options, walk, header);
        result = log_walk_apply(walk, header, error);
        if (result == 0 && copy != NULL)
            result = log_copy_block(copy, header, error);
        if (result != 0)
            return result;
    }
    return result;
}

static int end_act(const struct recover_options *options, struct log_walk *walk,
                   struct error *error)
{
    enum log_end_verdict verdict = walk->reader.end.verdict;
    log_end_describe(&walk->reader.end, &walk->directory, error);
    printf("%s\n", error->text);
    if (verdict == LOG_END_TORN && (options->cut_torn || options->cut_damaged)) {
        int result = cut(walk, error);
        if (result == 0)
            printf("cut: the log now ends with block %" PRIu64 "\n", walk->reader.end.lsn - 1);
        return result;
    }
    if (verdict == LOG_END_DAMAGED && options->cut_damaged) {
        int result = cut(walk, error);
        if (result == 0)
            printf("cut: the log now ends with block %" PRIu64
                   "; every transfer behind it is lost\n",
                   walk->reader.end.lsn - 1);
        return result;
    }
    if (verdict == LOG_END_DAMAGED && options->to != NULL)
        return 0; /* the sound part was copied, as asked for */
    return verdict == LOG_END_CLEAN || verdict == LOG_END_TORN
               ? 0
               : error_set(error, -EBADMSG, "the log is damaged; see above");
}

static int recover(const struct recover_options *options)
{
    bool writes = options->cut_torn || options->cut_damaged;
    struct log_walk walk;
    struct log_copy copy = {.fd = -1, .directory = {.shard_fd = -1, .lock_fd = -1}};
    struct error error;
    if (log_walk_open(&walk, options->data, writes ? DIRECTORY_EXCLUSIVE : DIRECTORY_SHARED,
                      &error) != 0) {
        complain("recover", "%s", error.text);
        return EXIT_FAILED;
    }
    bool stopped = false;
    int result = 0;
    if (options->to != NULL)
        result = log_copy_open(&copy, &walk.directory, options->to, &error);
    if (result == 0)
        result = walk_run(options, &walk, options->to != NULL ? &copy : NULL, &stopped, &error);
    if (result == 0 && !stopped)
        result = end_act(options, &walk, &error);
    if (result == 0 && options->to != NULL)
        result = log_copy_finish(&copy, &error);
    if (result == 0) {
        uint64_t last = stopped ? walk.reader.lsn - 2 : walk.reader.lsn - 1;
        struct checksum digest = ledger_digest(walk.ledger);
        printf("%" PRIu64 " blocks, %u accounts, %" PRIu64 " transfers, digest %016" PRIx64
               "%016" PRIx64 "\n",
               last, walk.ledger->accounts.count, walk.ledger->transfers_count, digest.high,
               digest.low);
        if (options->to != NULL)
            printf("%s: rebuilt; prove it with giro verify --data %s\n", options->to, options->to);
    } else {
        complain("recover", "%s%s%s", error.text,
                 copy.directory.shard_fd >= 0 ? "; not complete, to be deleted: " : "",
                 copy.directory.shard_fd >= 0 ? options->to : "");
    }
    if (options->to != NULL)
        log_copy_close(&copy);
    log_walk_close(&walk);
    return result == 0 ? EXIT_DONE : EXIT_FAILED;
}

enum {
    DATA,
    TO,
    FROM_LSN,
    UNTIL_LSN,
    UNTIL_TIME,
    HELP,
    DUMP,
    RECORDS,
    CUT_TORN,
    CUT_DAMAGED,
    META,
    INDEX,
};

static const struct option option_names[] = {
    {"data", required_argument, NULL, DATA},
    {"to", required_argument, NULL, TO},
    {"from-lsn", required_argument, NULL, FROM_LSN},
    {"until-lsn", required_argument, NULL, UNTIL_LSN},
    {"until-time", required_argument, NULL, UNTIL_TIME},
    {"help", no_argument, NULL, HELP},
    {"dump", no_argument, NULL, DUMP},
    {"records", no_argument, NULL, RECORDS},
    {"cut-torn", no_argument, NULL, CUT_TORN},
    {"cut-damaged", no_argument, NULL, CUT_DAMAGED},
    {"rebuild-meta", no_argument, NULL, META},
    {"rebuild-index", no_argument, NULL, INDEX},
    {0},
};

/* Takes one option; false when its value is not one that it takes. */
static bool option_set(struct recover_options *options, int option, char *value)
{
    bool *const flags[] = {&options->dump,        &options->records,      &options->cut_torn,
                           &options->cut_damaged, &options->rebuild_meta, &options->rebuild_index};
    switch (option) {
    case DATA:
        options->data = value;
        return true;
    case TO:
        options->to = value;
        return true;
    case FROM_LSN:
        return number_parse(value, 0, UINT64_MAX, &options->from_lsn);
    case UNTIL_LSN:
        return number_parse(value, 1, UINT64_MAX, &options->limit.until_lsn);
    case UNTIL_TIME:
        return time_parse(value, &options->limit.until_time);
    case DUMP:
    case RECORDS:
    case CUT_TORN:
    case CUT_DAMAGED:
    case META:
    case INDEX:
        *flags[option - DUMP] = true;
        return true;
    default:
        return false;
    }
}

/* Returns -1 to go on, or an exit status. */
static int options_parse(int argc, char **argv, struct recover_options *options)
{
    int option;
    while ((option = getopt_long(argc, argv, "", option_names, NULL)) != -1) {
        if (option == HELP) {
            fputs(usage, stdout);
            return EXIT_DONE;
        }
        if (!option_set(options, option, optarg)) {
            if (optarg != NULL)
                complain("recover", "\"%s\" is not a value that this option takes", optarg);
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (log_limit_given(&options->limit) && (options->cut_torn || options->cut_damaged)) {
        complain("recover", "a log is only cut where it is torn or damaged: to stop earlier, "
                            "rebuild with --to NEWDIR");
        return EXIT_USAGE;
    }
    if (options->rebuild_index && (options->cut_torn || options->cut_damaged || options->dump ||
                                   options->to != NULL || log_limit_given(&options->limit))) {
        complain("recover", "--rebuild-index goes together with --rebuild-meta only: run the "
                            "others by themselves");
        return EXIT_USAGE;
    }
    if (options->data == NULL || optind != argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return -1;
}

int recover_command(int argc, char **argv)
{
    struct recover_options options = {.limit = {UINT64_MAX, UINT64_MAX}};
    struct error error;
    int status = options_parse(argc, argv, &options);
    if (status >= 0)
        return status;
    if (options.rebuild_meta) {
        if (directory_rebuild_meta(options.data, &error) != 0) {
            complain("recover", "%s", error.text);
            return EXIT_FAILED;
        }
        printf("%s/giro.meta: rebuilt from the first block of the log\n", options.data);
    }
    if (!options.rebuild_index)
        return recover(&options);
    if (index_rebuild(options.data, &error) == 0)
        return EXIT_DONE;
    complain("recover", "%s", error.text);
    return EXIT_FAILED;
}
