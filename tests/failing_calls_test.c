/* Every call to the system fails once, in turn, in everything that the log and what is derived from
 * it do with files, memory and threads: formatting, starting, indexing, querying, snapshots.
 *
 * For each k, call number k of a scenario is refused; where it reads or writes, in further rounds it
 * does half, or it and all later ones of its kind are refused. The scenario ends with an error or
 * with the right answer, never with a wrong one, and leaves no descriptor open. The last round, in
 * which nothing fails, shows that none of it has broken anything. */
#include "tests/failing_calls.h"

#include "engine/memory.h"
#include "tests/history_fixture.h"
#include "wal/fetch.h"
#include "wal/follower.h"
#include "wal/tail.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(failing_calls, .fini = scratch_clean, .timeout = 300);

enum {
    SEGMENT_BYTES = 4 << 20,
    WINDOW_BYTES = 4 * SEGMENT_BYTES,
    SEALED = 2, /* segments */
    REQUESTS = 40,
    RESULTS_MAX = 8190,
    PATH_BYTES = SCRATCH_PATH_BYTES + 64,
    CALLS_MAX = 5000,
    ROW_MAX = 16,
};

/* A log with indexes, and what the steps of a scenario leave behind. */
static struct history history;
static char folder[SCRATCH_PATH_BYTES];
static uint32_t serial;
static struct error error;

static void ground_make(void)
{
    static const struct history_options options = {
        .segment_bytes = SEGMENT_BYTES,
        .segments_max = 8,
        .accounts_max = 1000,
        .holds_max = 10000,
    };
    static const struct history_mix mix = {
        .accounts = 200, .hot_percent = 10, .events_max = 60, .account_chance = 5};
    struct rng rng = rng_make(3107);
    history_open(&history, &options);
    history_begin(&history, &rng, &mix);
    for (uint32_t segment = 0; segment <= SEALED; segment++) {
        for (uint32_t i = 0; i < REQUESTS; i++)
            history_request(&history, &rng, &mix);
        history_digest(&history);
        history_flush(&history);
        if (segment < SEALED)
            history_roll(&history);
    }
    scratch_make(folder);
}

static void ground_end(void)
{
    history_close(&history);
    scratch_remove(folder);
}

static uint32_t descriptors_count(void)
{
    uint32_t count = 0;
    DIR *descriptors = opendir("/proc/self/fd");
    cr_assert(descriptors != NULL);
    while (readdir(descriptors) != NULL)
        count++;
    closedir(descriptors);
    return count;
}

/* One round. Returns the name of the call that failed; NULL: there are not so many. */
static const char *round_run(const char *name, int (*scenario)(void), uint32_t at,
                             enum failing_mode mode, bool *out_stopped)
{
    uint32_t before = descriptors_count();
    failing_calls_arm(at, mode);
    int result = scenario();
    const char *failed = failing_calls_disarm();
    cr_assert_eq(descriptors_count(), before, "%s, call %u (%s): descriptors", name, at, failed);
    cr_assert(result <= 0, "%s, call %u (%s): %d", name, at, failed, result);
    if (failed == NULL)
        cr_assert_eq(result, 0, "%s, without a failure: %s", name, error.text);
    *out_stopped = result < 0;
    return failed;
}

/* Runs a scenario until none of its calls is left to fail. It returns 0 or -errno, and asserts that
 * what it has is right when it returns 0. Of a long row of calls of one kind, some are left out. */
static void every_call(const char *name, int (*scenario)(void))
{
    static bool short_too[CALLS_MAX];
    const char *failed = "";
    const char *last;
    uint32_t row = 0;
    uint32_t stops = 0;
    uint32_t transfers = 0;
    uint32_t transfer_stops = 0;
    uint32_t end = 1;
    bool stopped;
    memset(short_too, 0, sizeof short_too);
    for (; failed != NULL; end += row < ROW_MAX ? 1 : ROW_MAX) {
        cr_assert(end < CALLS_MAX, "%s never ends", name);
        last = failed;
        failed = round_run(name, scenario, end, FAILING_REFUSED, &stopped);
        row = failed != NULL && strcmp(failed, last) == 0 ? row + 1 : 0;
        short_too[end] = failing_calls_may_be_short(failed);
        stops += stopped;
    }
    for (uint32_t at = 1; at < end; at++) {
        for (int mode = FAILING_SHORT; short_too[at] && mode <= FAILING_ON; mode++) {
            (void)round_run(name, scenario, at, (enum failing_mode)mode, &stopped);
            transfers++;
            transfer_stops += stopped;
        }
    }
    /* Whatever failed has broken nothing. */
    (void)round_run(name, scenario, CALLS_MAX, FAILING_REFUSED, &stopped);
    fprintf(stderr, "%s: %u calls, %u of them stop it; short, or refused for good: %u, %u\n", name,
            end - 2, stops, transfers, transfer_stops);
}

/* ---- Directories and segments ------------------------------------------------------------ */

static int formatting(void)
{
    static const struct directory_options options = {
        .segment_bytes = SEGMENT_BYTES, .segments_ahead = 1, .shard_count = 1};
    char path[PATH_BYTES];
    struct directory directory;
    (void)snprintf(path, sizeof path, "%s/%u", folder, serial++);
    int result = directory_format(path, &options, &error);
    if (result == 0)
        result = directory_open(path, DIRECTORY_EXCLUSIVE, 1, &directory, &error);
    if (result == 0)
        directory_close(&directory);
    scratch_remove(path);
    return result;
}

Test(failing_calls, of_formatting_and_opening)
{
    ground_make();
    every_call("format and open", formatting);
    ground_end();
}

static int segment_making(void)
{
    return segment_make(&history.directory, SEALED + 1, &error);
}

/* What is behind the log's end is zeroed, as after a torn block. */
static int cutting(void)
{
    const struct log_end end = {
        .verdict = LOG_END_TORN, .segment = SEALED, .offset = history.offset, .dirty_segments = 2};
    return log_end_cut(&end, &history.directory, &error);
}

Test(failing_calls, of_making_and_cutting_segments)
{
    ground_make();
    every_call("make a segment", segment_making);
    every_call("cut", cutting);
    ground_end();
}

static int manifest_changing(void)
{
    const struct manifest_entry entries[] = {{.segment = 7, .lsn = 70, .file_bytes = 4096},
                                             {.segment = 8, .lsn = 80, .file_bytes = 4096}};
    struct manifest manifest;
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < 2; i++)
        result = manifest_add(&history.directory, &entries[i], &error);
    if (result == 0)
        result = manifest_drop(&history.directory, 7, &error);
    if (result == 0)
        result = manifest_read(&history.directory, &manifest, &error);
    if (result == 0)
        cr_assert(manifest.count == 1 && manifest.entries[0].segment == 8);
    return result;
}

Test(failing_calls, of_the_manifest)
{
    ground_make();
    every_call("manifest", manifest_changing);
    ground_end();
}

/* ---- Reading ----------------------------------------------------------------------------- */

static int reading(void)
{
    struct log_reader reader;
    const struct block_header *header;
    void *window = log_window_make(WINDOW_BYTES);
    if (window == NULL)
        return -ENOMEM;
    int result = log_reader_open(&reader, &history.directory, window, WINDOW_BYTES, NULL, &error);
    if (result == 0) {
        while ((result = log_reader_next(&reader, &header, &error)) > 0)
            ;
    }
    if (result == 0 && reader.end.verdict != LOG_END_CLEAN) {
        /* Nobody may take an unreadable log for a torn one: that would be cut. */
        cr_assert_eq(reader.end.verdict, LOG_END_DAMAGED);
        result = -EBADMSG;
    }
    if (result == 0)
        cr_assert(reader.lsn == history.position.lsn && reader.offset == history.offset);
    log_reader_close(&reader);
    log_window_free(window, WINDOW_BYTES);
    return result;
}

Test(failing_calls, of_reading_the_log)
{
    ground_make();
    every_call("read", reading);
    ground_end();
}

/* The whole log from its files, by a tail whose window is gone. */
static int tailing(void)
{
    struct log_feed feed = {.window_bytes = WINDOW_BYTES};
    const struct log_reader begin = {.lsn = 1};
    const struct block_header *header;
    struct tail tail;
    enum tail_state state;
    char *image = memory_reserve(SEGMENT_BYTES);
    if (image == NULL)
        return -ENOMEM;
    atomic_store(&feed.durable, (uint64_t)SEALED * SEGMENT_BYTES + history.offset);
    atomic_store(&feed.low, UINT64_MAX);
    tail_open(&tail, &history.directory, &feed, &begin);
    do {
        state = tail_next(&tail, image, &header, &error);
    } while (state == TAIL_BLOCK || state == TAIL_SEGMENT);
    if (state == TAIL_LATER) { /* a lack that passes: it goes on where it was */
        uint64_t lsn = tail.lsn;
        do {
            state = tail_next(&tail, image, &header, &error);
        } while (state == TAIL_BLOCK || state == TAIL_SEGMENT);
        cr_assert(state != TAIL_NONE || tail.lsn > lsn);
    }
    if (state == TAIL_NONE)
        cr_assert_eq(tail.lsn, history.position.lsn);
    tail_close(&tail);
    memory_release(image, SEGMENT_BYTES);
    return state == TAIL_NONE ? 0 : -EIO;
}

Test(failing_calls, of_a_tail)
{
    ground_make();
    every_call("tail", tailing);
    ground_end();
}

/* ---- Starting ---------------------------------------------------------------------------- */

struct start {
    struct follower *follower;
    struct ledger *ledger;
    struct log_reader reader;
    struct io *io;
    struct log log;
    uint32_t *map;
    void *window;
};

static int ledger_make(struct start *start)
{
    const struct ledger_config config = {
        .accounts_max = history.options.accounts_max,
        .holds_max = history.options.holds_max,
        .transfers_max = 1 << 16,
        .hash_seed = directory_hash_seed(&history.directory),
    };
    log_map_free(start->map);
    ledger_destroy(start->ledger);
    start->map = NULL;
    start->ledger = NULL;
    int result = ledger_create(&config, &start->ledger);
    return result == 0 ? log_map_init(&start->map) : result;
}

static int start_make(struct start *start)
{
    const struct follower_options options = {
        .accounts_max = history.options.accounts_max,
        .holds_max = history.options.holds_max,
        .hash_seed = directory_hash_seed(&history.directory),
        .snapshot_log_bytes = 1ull << 40,
    };
    start->follower = memory_reserve(sizeof *start->follower);
    start->window = log_window_make(WINDOW_BYTES);
    return start->follower == NULL || start->window == NULL
               ? -ENOMEM
               : follower_init(start->follower, &history.directory, &options, &error);
}

/* Replays the log behind the newest snapshot that can be used, or all of it. */
static int start_replay(struct start *start)
{
    struct log_position position;
    const struct block_header *header;
    uint32_t index;
    int restored;
    do {
        int made = ledger_make(start);
        if (made != 0)
            return made;
        restored = follower_restore(start->follower, start->ledger, start->map, &position, &error);
    } while (restored < 0);
    int result = log_reader_open(&start->reader, &history.directory, start->window, WINDOW_BYTES,
                                 restored > 0 ? &position : NULL, &error);
    while (result == 0 && (result = log_reader_next(&start->reader, &header, &error)) > 0)
        result = follower_replay(start->follower, start->ledger, header, &index);
    if (result == 0 && start->reader.end.verdict != LOG_END_CLEAN)
        result = -EBADMSG;
    return result;
}

static int start_threads(struct start *start)
{
    const struct log_options options = {
        .window_bytes = WINDOW_BYTES, .block_bytes_max = 1 << 20, .segments_ahead = 1};
    int result = io_open(IO_MODE_POSIX, &start->io, &error);
    if (result == 0)
        result = log_open(&start->log, start->io, &start->reader, &options, &error);
    if (result == 0)
        result = follower_start(start->follower, start->ledger, &start->reader, &start->log.feed,
                                -1, &error);
    return result;
}

/* As net/start.c starts a shard, and everything that it ends again. */
static int starting(void)
{
    static struct start start;
    start = (struct start){0};
    int result = start_make(&start);
    if (result == 0)
        result = start_replay(&start);
    if (result == 0)
        result = start_threads(&start);
    if (result == 0) {
        cr_assert(checksum_equal(ledger_digest(start.ledger), ledger_digest(history.ledger)));
        cr_assert_eq(start.ledger->transfers.count, history.ledger->transfers.count);
        follower_stop(start.follower);
    }
    if (start.follower != NULL)
        follower_free(start.follower);
    memory_release(start.follower, sizeof *start.follower);
    if (start.reader.directory != NULL)
        log_reader_close(&start.reader);
    if (start.log.segment_fds != NULL)
        log_close(&start.log);
    if (start.io != NULL)
        io_close(start.io);
    log_map_free(start.map);
    log_window_free(start.window, WINDOW_BYTES);
    ledger_destroy(start.ledger);
    return result;
}

static void sidecars_remove(void)
{
    char name[SIDECAR_NAME_BYTES];
    for (uint32_t segment = 0; segment < SEALED; segment++) {
        sidecar_name(segment, name);
        (void)unlinkat(history.directory.shard_fd, name, 0);
    }
}

static int starting_without_indexes(void)
{
    sidecars_remove();
    return starting();
}

Test(failing_calls, of_a_start)
{
    ground_make();
    every_call("start with indexes", starting);
    every_call("start without", starting_without_indexes);
    ground_end();
}

/* ---- Indexes and queries ----------------------------------------------------------------- */

static int sealing(void)
{
    int result;
    do {
        result = live_seal(&history.live, &error);
    } while (result == 0);
    return result < 0 ? result : sidecar_verify(&history.directory, SEALED, &error);
}

Test(failing_calls, of_writing_an_index)
{
    ground_make();
    every_call("seal", sealing);
    ground_end();
}

/* The archive, opened anew, with empty hands. */
static int archive_open(struct archive *archive, struct archive_reader **out_reader)
{
    *out_reader = NULL;
    int result = archive_init(archive, &history.directory);
    for (uint32_t segment = 0; result == 0 && segment < SEALED; segment++) {
        struct sidecar *sidecar;
        result = sidecar_open(&history.directory, segment, &sidecar, &error);
        if (result == 0)
            archive_add(archive, sidecar);
    }
    if (result != 0)
        return result;
    *out_reader = memory_reserve(sizeof **out_reader);
    if (*out_reader == NULL)
        return -ENOMEM;
    (*out_reader)->archive = archive;
    return 0;
}

static void archive_close(struct archive *archive, struct archive_reader *reader)
{
    memory_release(reader, sizeof *reader);
    archive_free(archive);
}

static int query_run(struct archive_reader *reader, enum query_kind kind, uint32_t *out_count)
{
    static char output[RESULTS_MAX * GIRO_RECORD_BYTES];
    const struct giro_account_filter account = {
        .account_id = history_account_id(0),
        .timestamp_max = UINT64_MAX - 1,
        .limit = RESULTS_MAX,
        .flags = GIRO_ACCOUNT_FILTER_DEBITS | GIRO_ACCOUNT_FILTER_CREDITS,
    };
    const struct giro_query_filter all = {.timestamp_max = UINT64_MAX - 1, .limit = RESULTS_MAX};
    struct query_source source = {history.replica, &history.live, reader};
    struct query query;
    int result;
    if (kind == QUERY_ACCOUNT_TRANSFERS || kind == QUERY_ACCOUNT_BALANCES)
        query_account_begin(&query, kind, &account, &source, output);
    else
        query_begin(&query, kind, &all, &source, output);
    do {
        result = query_step(&query, &source);
    } while (result == 0);
    *out_count = query.count;
    return result < 0 ? result : 0;
}

static int querying(void)
{
    static uint32_t expected[QUERY_TRANSFERS + 1];
    static struct archive archive;
    struct archive_reader *reader;
    int result = archive_open(&archive, &reader);
    for (uint32_t kind = 0; result == 0 && kind <= QUERY_TRANSFERS; kind++) {
        uint32_t count;
        result = query_run(reader, (enum query_kind)kind, &count);
        if (result != 0)
            break;
        if (expected[kind] == 0)
            expected[kind] = count;
        cr_assert_eq(count, expected[kind], "kind %u", kind);
    }
    archive_close(&archive, reader);
    return result;
}

/* Ids and map of every segment into an empty ledger. */
static int restoring_ids(void)
{
    static struct archive archive;
    struct archive_reader *reader;
    struct ledger *ledger = NULL;
    uint32_t *map = NULL;
    const struct ledger_config config = {
        .accounts_max = 1,
        .holds_max = 1,
        .transfers_max = 1 << 16,
        .hash_seed = directory_hash_seed(&history.directory),
    };
    int result = archive_open(&archive, &reader);
    if (result == 0)
        result = ledger_create(&config, &ledger);
    if (result == 0)
        result = log_map_init(&map);
    for (uint32_t segment = 0; result == 0 && segment < SEALED; segment++)
        result = archive_restore(&archive, segment, ledger, map, &error);
    log_map_free(map);
    ledger_destroy(ledger);
    archive_close(&archive, reader);
    return result;
}

static int viewing(void)
{
    static struct archive archive;
    static struct view_maker maker;
    struct archive_reader *reader;
    int result = archive_open(&archive, &reader);
    if (result == 0)
        result = view_maker_init(&maker, &history.directory, &history.replica->accounts);
    if (result == 0) {
        for (uint32_t segment = 0; result >= 0 && segment < SEALED; segment++) {
            view_maker_begin(&maker, reader, segment);
            while ((result = view_maker_step(&maker)) == 0)
                ;
            if (result > 0)
                cr_assert(checksum_equal(history_view_sum(&maker.view), history.view_sums[segment]),
                          "segment %u", segment);
        }
        view_maker_free(&maker);
    }
    archive_close(&archive, reader);
    return result < 0 ? result : 0;
}

Test(failing_calls, of_queries_and_views)
{
    ground_make();
    cr_assert_eq(querying(), 0);
    every_call("query", querying);
    every_call("ids", restoring_ids);
    every_call("view", viewing);
    ground_end();
}

/* ---- Snapshots --------------------------------------------------------------------------- */

static int snapshot_writing(void)
{
    static struct snapshot snapshot;
    const struct snapshot_options options = {0};
    struct manifest manifest;
    enum snapshot_progress progress;
    int result = snapshot_init(&snapshot, &history.directory, &options);
    if (result != 0)
        return result;
    result = snapshot_begin(&snapshot, history.replica, &history.position, &error);
    if (result == 0) {
        while ((progress = snapshot_step(&snapshot, history.replica, &history.archive)) ==
                   SNAPSHOT_WORKED ||
               progress == SNAPSHOT_WAITS)
            (void)usleep(100);
        result = progress == SNAPSHOT_DONE ? 0 : -EIO;
    }
    if (result == 0)
        result = manifest_read(&history.directory, &manifest, &error);
    if (result == 0)
        cr_assert_eq(manifest.entries[0].segment, history.position.segment);
    snapshot_free(&snapshot);
    return result;
}

static int snapshot_loading(void)
{
    struct ledger *ledger = NULL;
    const struct ledger_config config = {
        .accounts_max = history.options.accounts_max,
        .holds_max = history.options.holds_max,
        .hash_seed = directory_hash_seed(&history.directory),
    };
    struct manifest manifest;
    struct snapshot_meta meta;
    struct segment_facts *facts;
    int result = manifest_read(&history.directory, &manifest, &error);
    if (result == 0)
        result = ledger_create(&config, &ledger);
    if (result == 0)
        result = snapshot_check(&history.directory, &manifest.entries[0], &error);
    if (result == 0)
        result =
            snapshot_load(&history.directory, &manifest.entries[0], ledger, &meta, &facts, &error);
    if (result == 0) {
        cr_assert(checksum_equal(ledger_digest(ledger), ledger_digest(history.replica)));
        free(facts);
    }
    ledger_destroy(ledger);
    return result;
}

Test(failing_calls, of_snapshots)
{
    ground_make();
    history_enter(&history);
    every_call("write a snapshot", snapshot_writing);
    every_call("load a snapshot", snapshot_loading);
    ground_end();
}

/* The log has gone on behind it. */
Test(failing_calls, of_a_start_with_a_snapshot)
{
    ground_make();
    history_enter(&history);
    cr_assert_eq(snapshot_writing(), 0, "%s", error.text);
    history_mark(&history, BLOCK_START);
    every_call("start with a snapshot", starting);
    ground_end();
}

/* ---- Memory ------------------------------------------------------------------------------ */

static int backend_open(enum io_mode mode)
{
    struct io *io;
    int result = io_open(mode, &io, &error);
    if (result == 0)
        io_close(io);
    return result;
}

static int posix_opening(void)
{
    return backend_open(IO_MODE_POSIX);
}

/* io_uring, or posix when it cannot be had. */
static int any_opening(void)
{
    return backend_open(IO_MODE_AUTO);
}

static int fetch_making(void)
{
    struct log_fetch fetch;
    struct log log = {0};
    int result = log_fetch_init(&fetch, &log, 16, 64);
    if (result == 0)
        log_fetch_free(&fetch);
    return result;
}

Test(failing_calls, of_what_a_shard_makes_besides)
{
    ground_make();
    every_call("open posix I/O", posix_opening);
    every_call("open I/O", any_opening);
    every_call("make a fetch", fetch_making);
    ground_end();
}
