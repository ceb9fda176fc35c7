/* The follower's work alone: no server, no network, and no log that is waited for.
 *
 *     follower_bench [options]        --help lists them
 *
 * A log of plain transfers is built in memory, segment by segment. Then, each from the beginning:
 *
 *   replay     ledger_replay() without ids, straight from that memory
 *   effects    ... in its two steps, with the balances after every record
 *   copy       ... every block first copied to the image of its segment, its checksums checked
 *   record     ... and recorded: balances, postings, bases
 *   seal       ... and a sidecar written and opened for every segment
 *   aside      ... and every row set aside before it changes, as while a snapshot is taken
 *
 * The loop is that of wal/follower.c: what differs is that nobody is waited for. One more run reads
 * the clock between the parts, so that they can be told apart; it costs about a nanosecond a
 * transfer. What was sealed is then read: pages, queries, the changes of old segments, ids. Last a
 * snapshot is written and loaded again. Log and sidecars are in the page cache all the time. */
#include "bench/clock.h"
#include "bench/scratch.h"
#include "engine/ledger.h"
#include "engine/memory.h"
#include "wal/archive.h"
#include "wal/block.h"
#include "wal/live.h"
#include "wal/log.h"
#include "wal/query.h"
#include "wal/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READS = 400000,
    QUERIES = 200,
    QUERY_LIMIT = 1000,
    CHANGES_LIMIT = 3854, /* of one reply */
    HASH_SEED = 7,
};

enum pass {
    PASS_REPLAY,
    PASS_EFFECTS,
    PASS_COPY,
    PASS_RECORD,
    PASS_SEAL,
    PASS_ASIDE,
    PASS_PHASES, /* PASS_SEAL with a clock between its parts */
    PASSES,
};

static const char *const pass_names[PASSES] = {
    "replay", "effects", "copy", "record", "seal", "aside", "phases",
};

enum phase {
    PHASE_COPY,
    PHASE_CHECK,
    PHASE_PREPARE,
    PHASE_BEFORE,
    PHASE_APPLY,
    PHASE_AFTER,
    PHASE_BLOCK,
    PHASE_SEAL,
    PHASES,
};

static const char *const phase_names[PHASES] = {
    "copy", "check", "prepare", "before", "apply", "after", "block", "seal",
};

struct options {
    uint64_t transfers;
    uint32_t accounts;
    uint32_t snapshot_accounts;
    uint32_t batch;
    uint32_t history_percent;
    uint32_t user_data_percent;
    uint32_t rounds;
    int only; /* this pass and nothing else; -1: everything */
    const char *data;
};

struct bench {
    struct options options;
    struct directory directory;
    char path[PATH_MAX];
    char *images; /* segments, one behind the other */
    uint32_t segment_count;
    struct live live;
    struct archive archive;
    struct archive_reader *reader;
    struct snapshot snapshot;
    struct ledger *ledger;
    struct ledger_effect effects[LEDGER_CHUNK_EVENTS];
    uint64_t phase_ns[PHASES];
    uint64_t seal_max_ns;
    uint64_t seal_step_max_ns;
    uint64_t random;
};

__attribute__((noreturn)) static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "follower_bench: %s: %s\n", what, why);
    exit(1);
}

/* ---- What is worked on ------------------------------------------------------------------- */

static void accounts_fill(const struct options *options, struct ledger *ledger, uint32_t count)
{
    enum { ROWS = 4096 };
    static struct giro_account rows[ROWS];
    for (uint32_t made = 0; made < count; made += ROWS) {
        uint32_t some = count - made < ROWS ? count - made : ROWS;
        for (uint32_t i = 0; i < some; i++)
            rows[i] = (struct giro_account){
                .id = made + i + 1,
                .ledger = 1,
                .code = 1,
                .flags = (made + i) % 100 < options->history_percent ? GIRO_ACCOUNT_HISTORY : 0,
                .timestamp = made + i + 1,
            };
        if (ledger_restore_rows(ledger, LEDGER_ACCOUNTS, rows, some) != 0)
            give_up("accounts", "no room");
    }
}

static struct ledger *ledger_make(const struct options *options, uint32_t accounts,
                                  uint64_t transfers_max)
{
    struct ledger_config config = {
        .accounts_max = accounts + 1,
        .holds_max = 1 << 20,
        .transfers_max = transfers_max,
        .accounts_expected = accounts,
        .transfers_expected = transfers_max,
        .hash_seed = HASH_SEED,
    };
    struct ledger *ledger;
    if (ledger_create(&config, &ledger) != 0)
        give_up("ledger", "cannot reserve memory");
    return ledger;
}

static void record_make(struct bench *bench, uint64_t number, union record *record)
{
    uint32_t accounts = bench->options.accounts;
    uint64_t r = random_next(&bench->random);
    uint32_t debit = random_below((uint32_t)r, accounts);
    uint32_t credit = random_below((uint32_t)(r >> 32), accounts - 1);
    *record = (union record){
        .transfer =
            {
                .id = (giro_u128)(number >> 13) << 64 | (number + 1),
                .debit_account_id = (giro_u128)debit + 1,
                .credit_account_id = (giro_u128)(credit >= debit ? credit + 1 : credit) + 1,
                .amount = (r & 1023) + 1,
                .user_data_64 =
                    random_below((uint32_t)(r >> 16), 100) < bench->options.user_data_percent
                        ? (r >> 8 & 0xffff) + 1
                        : 0,
                .ledger = 1,
                .code = 1,
                .timestamp = (1ull << 60) + number,
            },
    };
}

static void file_write(const struct bench *bench, uint32_t segment)
{
    const uint32_t bytes = bench->directory.meta.segment_bytes;
    char name[SEGMENT_NAME_BYTES];
    segment_name(segment, name);
    int fd =
        openat(bench->directory.shard_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const char *image = bench->images + (size_t)segment * bytes;
    size_t done = 0;
    for (ssize_t put; fd >= 0 && done < bytes; done += (size_t)put) {
        put = write(fd, image + done, bytes - done);
        if (put <= 0)
            give_up(name, strerror(errno));
    }
    if (fd < 0)
        give_up(name, strerror(errno));
    close(fd);
}

/* Blocks of a batch each, as many as a segment has room for. */
static void log_make(struct bench *bench)
{
    const struct directory_meta *meta = &bench->directory.meta;
    uint64_t made = 0;
    uint64_t lsn = 1;
    uint32_t offset = 0;
    uint32_t segment = 0;
    struct checksum previous = {0};
    while (made < bench->options.transfers) {
        uint64_t left = bench->options.transfers - made;
        uint32_t count = left < bench->options.batch ? (uint32_t)left : bench->options.batch;
        uint32_t bytes = block_size_bytes(count, meta->sector_bytes);
        if (offset + bytes > meta->segment_bytes) {
            file_write(bench, segment++);
            offset = 0;
        }
        char *at = bench->images + (size_t)segment * meta->segment_bytes + offset;
        struct block_header *header = (struct block_header *)(void *)at;
        *header = (struct block_header){
            .magic = BLOCK_MAGIC,
            .version = BLOCK_VERSION,
            .segment = segment,
            .offset = offset,
            .lsn = lsn,
            .lsn_durable = lsn - 1,
            .ordinal = made,
            .record_count = count,
            .block_bytes = bytes,
            .epoch = 1,
            .previous = previous,
        };
        memcpy(header->directory_id, meta->directory_id, sizeof header->directory_id);
        union record *records = (union record *)(void *)(header + 1);
        for (uint32_t i = 0; i < count; i++)
            record_make(bench, made + i, &records[i]);
        block_seal(header);
        previous = header->header_checksum;
        offset += bytes;
        made += count;
        lsn++;
    }
    file_write(bench, segment);
    bench->segment_count = segment + 1;
}

static void bench_open(struct bench *bench)
{
    const struct directory_options format = {
        .segment_bytes = DIRECTORY_SEGMENT_BYTES_DEFAULT,
        .shard_count = 1,
    };
    const struct options *options = &bench->options;
    struct error error;
    char data[PATH_MAX + 8];
    int result = scratch_make(options->data, bench->path, sizeof bench->path);
    if (result != 0)
        give_up(options->data, strerror(-result));
    snprintf(data, sizeof data, "%s/data", bench->path);
    if (directory_format(data, &format, &error) != 0 ||
        directory_open(data, DIRECTORY_EXCLUSIVE, 1, &bench->directory, &error) != 0)
        give_up("directory", error.text);
    uint64_t block = block_size_bytes(options->batch, bench->directory.meta.sector_bytes);
    uint64_t blocks_a_segment = format.segment_bytes / block;
    uint64_t segments =
        (options->transfers / options->batch + 1 + blocks_a_segment) / blocks_a_segment;
    bench->images = memory_reserve(segments * format.segment_bytes);
    bench->reader = memory_reserve(sizeof *bench->reader);
    const struct snapshot_options unlimited = {0};
    uint32_t accounts = options->accounts > options->snapshot_accounts ? options->accounts
                                                                       : options->snapshot_accounts;
    if (bench->images == NULL || bench->reader == NULL ||
        live_init(&bench->live, &bench->directory, accounts + 1) != 0 ||
        archive_init(&bench->archive, &bench->directory) != 0 ||
        snapshot_init(&bench->snapshot, &bench->directory, &unlimited) != 0)
        give_up("memory", "cannot be reserved");
    bench->reader->archive = &bench->archive;
}

static void bench_close(struct bench *bench)
{
    snapshot_free(&bench->snapshot);
    archive_free(&bench->archive);
    live_free(&bench->live);
    directory_close(&bench->directory);
    scratch_remove(bench->path);
}

/* ---- Following --------------------------------------------------------------------------- */

/* Adds the time since *at to a phase, in the one pass that tells phases apart. */
static inline void phase_add(struct bench *bench, enum pass pass, enum phase phase, uint64_t *at)
{
    if (pass != PASS_PHASES)
        return;
    uint64_t now = clock_now_ns();
    bench->phase_ns[phase] += now - *at;
    *at = now;
}

static void rows_set_aside(struct bench *bench, const union record *records, uint32_t count)
{
    const struct ledger *ledger = bench->ledger;
    for (uint32_t i = 0; i < count; i++) {
        if (!record_moves(&records[i]))
            continue;
        snapshot_keep(&bench->snapshot, ledger, ledger->events[i].debit_row);
        snapshot_keep(&bench->snapshot, ledger, ledger->events[i].credit_row);
    }
}

/* As block_apply() of wal/follower.c. */
static void block_apply(struct bench *bench, enum pass pass, const struct block_header *header)
{
    const union record *records = block_records(header);
    const uint32_t place = header->offset / GIRO_RECORD_BYTES + 1;
    const uint64_t address =
        (uint64_t)header->segment * bench->directory.meta.segment_bytes / GIRO_RECORD_BYTES + place;
    struct ledger *ledger = bench->ledger;
    uint32_t index;
    uint64_t at = pass == PASS_PHASES ? clock_now_ns() : 0;
    for (uint32_t done = 0, run; done < header->record_count; done += run) {
        const union record *part = &records[done];
        run = ledger_replay_prepare(ledger, part, header->record_count - done);
        phase_add(bench, pass, PHASE_PREPARE, &at);
        if (pass >= PASS_RECORD)
            live_before(&bench->live, ledger, part, run);
        phase_add(bench, pass, PHASE_BEFORE, &at);
        if (pass == PASS_ASIDE)
            rows_set_aside(bench, part, run);
        if (ledger_replay_apply(ledger, part, run, address + done, bench->effects, &index) != 0)
            give_up("replay", "a record was refused");
        phase_add(bench, pass, PHASE_APPLY, &at);
        if (pass >= PASS_RECORD)
            live_after(&bench->live, ledger, part, run, place + done, bench->effects);
        phase_add(bench, pass, PHASE_AFTER, &at);
    }
    if (pass >= PASS_RECORD)
        live_block(&bench->live, header);
    phase_add(bench, pass, PHASE_BLOCK, &at);
}

static void block_follow(struct bench *bench, enum pass pass, const struct block_header *source)
{
    const struct block_header *header = source;
    uint64_t at = pass == PASS_PHASES ? clock_now_ns() : 0;
    if (pass == PASS_REPLAY) {
        const union record *records = (const union record *)(const void *)(source + 1);
        uint32_t index;
        if (ledger_replay(bench->ledger, records, source->record_count, 1, &index) != 0)
            give_up("replay", "a record was refused");
        return;
    }
    if (pass >= PASS_COPY) {
        char *image = bench->live.view.image + source->offset;
        memcpy(image, source, source->block_bytes);
        phase_add(bench, pass, PHASE_COPY, &at);
        header = (const struct block_header *)(const void *)image;
        if (!block_check_body(header))
            give_up("block", "damaged");
        phase_add(bench, pass, PHASE_CHECK, &at);
    }
    block_apply(bench, pass, header);
}

static void segment_seal(struct bench *bench)
{
    struct error error;
    struct sidecar *sidecar;
    uint64_t start = clock_now_ns();
    uint64_t at = start;
    int result;
    do {
        result = live_seal(&bench->live, &error);
        uint64_t now = clock_now_ns();
        bench->seal_step_max_ns =
            now - at > bench->seal_step_max_ns ? now - at : bench->seal_step_max_ns;
        at = now;
    } while (result == 0);
    if (result < 0 ||
        sidecar_open(&bench->directory, bench->live.facts.segment, &sidecar, &error) != 0)
        give_up("seal", error.text);
    archive_add(&bench->archive, sidecar);
    uint64_t took = clock_now_ns() - start;
    bench->phase_ns[PHASE_SEAL] += took;
    bench->seal_max_ns = took > bench->seal_max_ns ? took : bench->seal_max_ns;
}

static void segment_follow(struct bench *bench, enum pass pass, uint32_t segment)
{
    const uint32_t segment_bytes = bench->directory.meta.segment_bytes;
    const char *image = bench->images + (size_t)segment * segment_bytes;
    const struct block_header *header = (const struct block_header *)(const void *)image;
    struct log_position position = {
        .segment = segment,
        .epoch = 1,
        .lsn = header->lsn,
        .ordinal = header->ordinal,
        .previous = header->previous,
    };
    live_begin(&bench->live, &position);
    for (uint32_t offset = 0; offset + BLOCK_HEADER_BYTES <= segment_bytes;) {
        header = (const struct block_header *)(const void *)(image + offset);
        if (header->magic != BLOCK_MAGIC)
            break;
        block_follow(bench, pass, header);
        offset += header->block_bytes;
    }
    if (pass >= PASS_SEAL)
        segment_seal(bench);
}

/* Of a transfer, in ns. The thread's own time is what to compare where others are at work. */
struct pass_time {
    double cpu;
    double wall;
};

/* Follows the whole log. */
static struct pass_time pass_run(struct bench *bench, enum pass pass)
{
    const struct log_position beginning = {.lsn = 1};
    struct error error;
    bench->ledger = ledger_make(&bench->options, bench->options.accounts, 0);
    accounts_fill(&bench->options, bench->ledger, bench->options.accounts);
    archive_clear(&bench->archive);
    memset(bench->phase_ns, 0, sizeof bench->phase_ns);
    bench->seal_max_ns = 0;
    bench->seal_step_max_ns = 0;
    if (pass == PASS_ASIDE &&
        snapshot_begin(&bench->snapshot, bench->ledger, &beginning, &error) != 0)
        give_up("snapshot", error.text);
    uint64_t cpu = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
    uint64_t start = clock_now_ns();
    for (uint32_t segment = 0; segment < bench->segment_count; segment++)
        segment_follow(bench, pass, segment);
    uint64_t took = clock_now_ns() - start;
    cpu = clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    if (pass == PASS_ASIDE)
        snapshot_abandon(&bench->snapshot);
    ledger_destroy(bench->ledger);
    return (struct pass_time){
        .cpu = (double)cpu / (double)bench->options.transfers,
        .wall = (double)took / (double)bench->options.transfers,
    };
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static void passes_report(struct bench *bench)
{
    enum { ROUNDS_MAX = 16 };
    double took[PASSES][ROUNDS_MAX];
    double wall[PASSES][ROUNDS_MAX];
    const uint32_t rounds = bench->options.rounds;
    (void)pass_run(bench, PASS_SEAL); /* touches all memory: a server did so long ago */
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t pass = 0; pass < PASS_PHASES; pass++) {
            if (bench->options.only >= 0 && (uint32_t)bench->options.only != pass)
                continue;
            struct pass_time time = pass_run(bench, (enum pass)pass);
            took[pass][round] = time.cpu;
            wall[pass][round] = time.wall;
        }
    }
    printf("%-10s %8s %8s %8s %8s %8s %10s   %u rounds in turn, ns of CPU a transfer\n", "", "min",
           "median", "max", "added", "M/s", "wall min", rounds);
    double before = 0;
    for (uint32_t pass = 0; pass < PASS_PHASES; pass++) {
        if (bench->options.only >= 0 && (uint32_t)bench->options.only != pass)
            continue;
        qsort(took[pass], rounds, sizeof took[pass][0], compare_doubles);
        qsort(wall[pass], rounds, sizeof wall[pass][0], compare_doubles);
        double median = (took[pass][(rounds - 1) / 2] + took[pass][rounds / 2]) / 2;
        printf("%-10s %8.1f %8.1f %8.1f %+8.1f %8.2f %10.1f\n", pass_names[pass], took[pass][0],
               median, took[pass][rounds - 1], median - before, 1e3 / median, wall[pass][0]);
        before = median;
    }
}

static void phases_report(struct bench *bench)
{
    struct pass_time time = pass_run(bench, PASS_PHASES);
    printf("\nphases, ns by the clock a transfer (%.1f in all, %.1f of CPU):\n", time.wall,
           time.cpu);
    for (uint32_t phase = 0; phase < PHASES; phase++)
        printf("  %-8s %6.1f\n", phase_names[phase],
               (double)bench->phase_ns[phase] / (double)bench->options.transfers);
    printf("  sealing one segment: %.1f ms on average, %.1f ms at most; a step %.1f ms at most\n",
           (double)bench->phase_ns[PHASE_SEAL] / bench->segment_count * 1e-6,
           (double)bench->seal_max_ns * 1e-6, (double)bench->seal_step_max_ns * 1e-6);
}

/* ---- Reading what was sealed ------------------------------------------------------------- */

static void pages_report(struct bench *bench)
{
    const uint32_t segments = bench->archive.count;
    uint64_t before = bench->reader->reads;
    uint64_t start = clock_now_ns();
    for (uint32_t i = 0; i < READS; i++) {
        uint64_t r = random_next(&bench->random);
        uint32_t segment = random_below((uint32_t)r, segments);
        uint32_t used =
            bench->archive.sidecars[segment]->facts.used_bytes / (uint32_t)GIRO_RECORD_BYTES;
        if (archive_record(bench->reader, segment, random_below((uint32_t)(r >> 32), used)) == NULL)
            give_up("page", bench->reader->error.text);
    }
    double seconds = (double)(clock_now_ns() - start) * 1e-9;
    uint64_t reads = bench->reader->reads - before;
    printf("\nrandom records: %.0f k/s, %.0f k pages/s, %.2f us a page\n", READS / seconds / 1e3,
           (double)reads / seconds / 1e3, seconds / (double)reads * 1e6);
}

/* Pages of one account's transfers from a random moment on. */
static void queries_report(struct bench *bench, bool reversed)
{
    char *output = memory_reserve((size_t)QUERY_LIMIT * GIRO_RECORD_BYTES);
    struct query_source source = {bench->ledger, &bench->live, bench->reader};
    struct query query;
    uint64_t found = 0;
    uint64_t before = bench->reader->reads;
    uint64_t start = clock_now_ns();
    for (uint32_t i = 0; i < QUERIES; i++) {
        uint64_t r = random_next(&bench->random);
        uint64_t middle = (1ull << 60) + (r >> 32) * bench->options.transfers / (1ull << 32);
        struct giro_account_filter filter = {
            .account_id = (giro_u128)random_below((uint32_t)r, bench->options.accounts) + 1,
            .timestamp_min = reversed ? 0 : middle,
            .timestamp_max = reversed ? middle : 0,
            .limit = QUERY_LIMIT,
            .flags = GIRO_ACCOUNT_FILTER_DEBITS | GIRO_ACCOUNT_FILTER_CREDITS |
                     (reversed ? GIRO_ACCOUNT_FILTER_REVERSED : 0),
        };
        query_account_begin(&query, QUERY_ACCOUNT_TRANSFERS, &filter, &source, output);
        int result;
        while ((result = query_step(&query, &source)) == 0)
            ;
        if (result < 0)
            give_up("query", bench->reader->error.text);
        found += query.count;
    }
    double us = (double)(clock_now_ns() - start) * 1e-3;
    printf("%s pages of %d transfers: %.0f us a page, %.2f us a transfer, %.1f page reads a "
           "transfer\n",
           reversed ? "backward" : "forward", QUERY_LIMIT, us / QUERIES, us / (double)found,
           (double)(bench->reader->reads - before) / (double)found);
    memory_release(output, (size_t)QUERY_LIMIT * GIRO_RECORD_BYTES);
}

static void changes_report(struct bench *bench)
{
    struct giro_change *changes = memory_reserve(CHANGES_LIMIT * sizeof *changes);
    struct view_maker maker;
    uint64_t make_ns = 0;
    uint64_t read_ns = 0;
    uint64_t count = 0;
    uint32_t steps = 0;
    if (view_maker_init(&maker, &bench->directory, &bench->ledger->accounts) != 0)
        give_up("view", "no memory");
    for (uint32_t segment = 0; segment < bench->archive.count; segment++) {
        uint64_t ordinal = bench->archive.sidecars[segment]->facts.ordinal_first;
        uint64_t start = clock_now_ns();
        int result;
        view_maker_begin(&maker, bench->reader, segment);
        for (; (result = view_maker_step(&maker)) == 0; steps++)
            ;
        if (result < 0)
            give_up("view", bench->reader->error.text);
        uint64_t made = clock_now_ns();
        for (uint32_t some;
             (some = view_changes(&maker.view, &ordinal, CHANGES_LIMIT, changes)) > 0;)
            count += some;
        make_ns += made - start;
        read_ns += clock_now_ns() - made;
    }
    printf("changes of old segments: %.1f ns each to make the view (%.2f ms a step), %.1f ns to "
           "read it: %.2f M/s\n",
           (double)make_ns / (double)count, (double)make_ns / steps * 1e-6,
           (double)read_ns / (double)count, (double)count / (double)(make_ns + read_ns) * 1e3);
    view_maker_free(&maker);
    memory_release(changes, CHANGES_LIMIT * sizeof *changes);
}

static void ids_report(struct bench *bench)
{
    const size_t map_bytes = (size_t)bench->segment_count * bench->directory.meta.segment_bytes /
                             LOG_CHUNK_BYTES * sizeof(uint32_t);
    struct ledger *ledger = ledger_make(&bench->options, 1, bench->options.transfers + 1);
    uint32_t *map = memory_reserve(map_bytes);
    struct error error;
    uint64_t start = clock_now_ns();
    for (uint32_t segment = 0; segment < bench->archive.count; segment++) {
        if (archive_restore(&bench->archive, segment, ledger, map, &error) != 0)
            give_up("ids", error.text);
    }
    double ns = (double)(clock_now_ns() - start);
    printf("ids restored: %.1f ns each, %.2f M/s\n", ns / (double)bench->options.transfers,
           (double)bench->options.transfers / ns * 1e3);
    memory_release(map, map_bytes);
    ledger_destroy(ledger);
}

static uint64_t sidecars_bytes(const struct bench *bench)
{
    uint64_t bytes = 0;
    for (uint32_t segment = 0; segment < bench->archive.count; segment++) {
        char name[SIDECAR_NAME_BYTES];
        struct stat status;
        sidecar_name(segment, name);
        if (fstatat(bench->directory.shard_fd, name, &status, 0) == 0)
            bytes += (uint64_t)status.st_size;
    }
    return bytes;
}

static void reading_report(struct bench *bench)
{
    const struct log_position end = {.segment = bench->archive.count, .lsn = 1};
    printf("sidecars: %.1f bytes a transfer\n",
           (double)sidecars_bytes(bench) / (double)bench->options.transfers);
    bench->ledger = ledger_make(&bench->options, bench->options.accounts, 0);
    accounts_fill(&bench->options, bench->ledger, bench->options.accounts);
    live_begin(&bench->live, &end);
    pages_report(bench);
    queries_report(bench, false);
    queries_report(bench, true);
    changes_report(bench);
    ids_report(bench);
    ledger_destroy(bench->ledger);
}

/* ---- A snapshot -------------------------------------------------------------------------- */

struct snapshot_times {
    uint64_t begin_ns;
    uint64_t all_ns;
    uint64_t steps_ns; /* of the follower's thread */
    uint64_t step_max_ns;
    struct manifest_entry entry;
};

static struct snapshot_times snapshot_write(struct bench *bench, const struct ledger *ledger)
{
    const struct log_position position = {.lsn = 1};
    struct snapshot_times times = {0};
    struct error error;
    uint64_t start = clock_now_ns();
    if (snapshot_begin(&bench->snapshot, ledger, &position, &error) != 0)
        give_up("snapshot", error.text);
    times.begin_ns = clock_now_ns() - start;
    for (;;) {
        uint64_t before = clock_now_ns();
        enum snapshot_progress progress = snapshot_step(&bench->snapshot, ledger, &bench->archive);
        uint64_t took = clock_now_ns() - before;
        if (progress == SNAPSHOT_FAILED)
            give_up("snapshot", bench->snapshot.writer.error.text);
        if (progress == SNAPSHOT_DONE)
            break;
        if (progress == SNAPSHOT_WAITS) {
            sched_yield();
            continue;
        }
        times.steps_ns += took;
        times.step_max_ns = took > times.step_max_ns ? took : times.step_max_ns;
    }
    times.all_ns = clock_now_ns() - start;
    times.entry = bench->snapshot.writer.entry;
    return times;
}

static void snapshot_report(struct bench *bench)
{
    const uint32_t accounts = bench->options.snapshot_accounts;
    struct ledger *ledger = ledger_make(&bench->options, accounts, 0);
    struct ledger *loaded = ledger_make(&bench->options, accounts, 0);
    struct snapshot_meta meta;
    struct segment_facts *facts;
    struct error error;
    accounts_fill(&bench->options, ledger, accounts);
    struct snapshot_times times = snapshot_write(bench, ledger);
    double megabytes = (double)times.entry.file_bytes / 1e6;
    printf("\nsnapshot of %u accounts, %.0f MB: written in %.2f s, %.0f MB/s; begin %.2f ms; "
           "the follower's part %.2f s, %.0f us a slice at most\n",
           accounts, megabytes, (double)times.all_ns * 1e-9,
           megabytes / ((double)times.all_ns * 1e-9), (double)times.begin_ns * 1e-6,
           (double)times.steps_ns * 1e-9, (double)times.step_max_ns * 1e-3);
    uint64_t start = clock_now_ns();
    if (snapshot_check(&bench->directory, &times.entry, &error) != 0)
        give_up("snapshot", error.text);
    uint64_t checked = clock_now_ns();
    if (snapshot_load(&bench->directory, &times.entry, loaded, &meta, &facts, &error) != 0)
        give_up("snapshot", error.text);
    uint64_t end = clock_now_ns();
    free(facts);
    printf("checked in %.2f s, %.0f MB/s; loaded in %.2f s, %.0f MB/s, %.2f M accounts/s; digest "
           "%s\n",
           (double)(checked - start) * 1e-9, megabytes / ((double)(checked - start) * 1e-9),
           (double)(end - checked) * 1e-9, megabytes / ((double)(end - checked) * 1e-9),
           accounts / ((double)(end - checked) * 1e-3),
           checksum_equal(ledger_digest(ledger), ledger_digest(loaded)) ? "equal" : "DIFFERENT");
    ledger_destroy(loaded);
    ledger_destroy(ledger);
}

/* ---- Options ----------------------------------------------------------------------------- */

static const char usage[] =
    "usage: follower_bench [options]\n"
    "  --accounts N            default 10000\n"
    "  --transfers N           default 5000000; 0: only the snapshot\n"
    "  --batch N               transfers a block, 1 .. 8190, default 8190\n"
    "  --history PCT           of the accounts that keep their history, default 0\n"
    "  --user-data PCT         of the transfers that have a user_data_64, default 0\n"
    "  --rounds N              1 .. 16, default 3\n"
    "  --only PASS             replay, effects, copy, record, seal or aside, and nothing else\n"
    "  --snapshot-accounts N   default 1000000; 0: no snapshot\n"
    "  --data DIR              where files are made and removed, default: the current directory\n";

static uint64_t number_parse(const char *text, uint64_t min, uint64_t max)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || *end != 0 || end == text || value < min || value > max) {
        fputs(usage, stderr);
        exit(2);
    }
    return value;
}

static int pass_parse(const char *text)
{
    for (int pass = 0; pass < PASS_PHASES; pass++) {
        if (strcmp(text, pass_names[pass]) == 0)
            return pass;
    }
    fputs(usage, stderr);
    exit(2);
}

static struct options options_parse(int argc, char **argv)
{
    static const struct option table[] = {
        {"accounts", required_argument, NULL, 'a'},
        {"transfers", required_argument, NULL, 't'},
        {"batch", required_argument, NULL, 'b'},
        {"history", required_argument, NULL, 'h'},
        {"user-data", required_argument, NULL, 'u'},
        {"rounds", required_argument, NULL, 'r'},
        {"only", required_argument, NULL, 'o'},
        {"snapshot-accounts", required_argument, NULL, 's'},
        {"data", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, '?'},
        {0},
    };
    struct options options = {
        .transfers = 5000000,
        .accounts = 10000,
        .snapshot_accounts = 1000000,
        .batch = LEDGER_EVENTS_MAX,
        .rounds = 3,
        .only = -1,
        .data = ".",
    };
    for (int id; (id = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (id) {
        case 'a':
            options.accounts = (uint32_t)number_parse(optarg, 2, 1u << 30);
            break;
        case 't':
            options.transfers = number_parse(optarg, 0, 1ull << 32);
            break;
        case 'b':
            options.batch = (uint32_t)number_parse(optarg, 1, LEDGER_EVENTS_MAX);
            break;
        case 'h':
            options.history_percent = (uint32_t)number_parse(optarg, 0, 100);
            break;
        case 'u':
            options.user_data_percent = (uint32_t)number_parse(optarg, 0, 100);
            break;
        case 'r':
            options.rounds = (uint32_t)number_parse(optarg, 1, 16);
            break;
        case 'o':
            options.only = pass_parse(optarg);
            break;
        case 's':
            options.snapshot_accounts = (uint32_t)number_parse(optarg, 0, 1u << 30);
            break;
        case 'd':
            options.data = optarg;
            break;
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    return options;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    bench.options = options_parse(argc, argv);
    bench.random = 42;
    bench_open(&bench);
    if (bench.options.transfers > 0) {
        printf("%u accounts, %llu transfers, %u a block, history %u%%, user data %u%%\n",
               bench.options.accounts, (unsigned long long)bench.options.transfers,
               bench.options.batch, bench.options.history_percent, bench.options.user_data_percent);
        log_make(&bench);
        passes_report(&bench);
        if (bench.options.only < 0) {
            phases_report(&bench);
            reading_report(&bench);
        }
    }
    if (bench.options.snapshot_accounts > 0 && bench.options.only < 0)
        snapshot_report(&bench);
    bench_close(&bench);
    return 0;
}
