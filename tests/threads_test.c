/* The hand-over between the shard's thread and the follower's, without server and network: a writer
 * that fills a small window as fast as it can, and the follower, or a bare tail, behind it.
 *
 *   requests -> ledger -> log -> window and files ---> follower -> answers
 *                          ^                              |
 *                          +-- roll, digests, published --+
 *
 * The window is overwritten every few milliseconds, so every way is gone: blocks copied from it,
 * overwritten meanwhile, read from the files instead; rings of requests, cancelled ones and waiting
 * ones; indexes and snapshots written beside. What came out is compared with what was put in. Under
 * ThreadSanitizer (tests/tsan/run.sh) this is the proof that every byte that two threads share is
 * handed over in order. */
#include "engine/ledger.h"
#include "engine/memory.h"
#include "tests/scratch.h"
#include "wal/follower.h"
#include "wal/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

TestSuite(threads, .fini = scratch_clean, .timeout = 300);

enum {
    SEGMENT_BYTES = 4 << 20,
    WINDOW_BYTES = 4 * SEGMENT_BYTES,
    BLOCK_BYTES = 1 << 20,
    SEGMENTS_AHEAD = 3,
    ACCOUNTS = 100,
    EVENTS_MAX = 4000, /* of a request */
    HOLDS_MAX = 1 << 20,
    TRANSFERS_MAX = 4 << 20,
    DIGEST_BLOCKS = 16,
    DIGEST_LAG_BYTES = 1 << 20,
    BLOCKS_MAX = 1 << 16,
    TURN_NS = 1000 * 1000,
};

/* What takes the shard's place. */
struct desk {
    char path[SCRATCH_PATH_BYTES];
    struct rng rng;
    struct directory directory;
    struct io *io;
    struct log log;
    struct log_reader reader;
    void *window;
    struct ledger *ledger;
    struct follower *follower; /* NULL: a bare tail reads */
    int notify[2];
    struct giro_transfer *events;
    struct giro_result *results;
    uint64_t *addresses;
    uint64_t id_next;
    uint64_t transfers; /* that were created */
    uint64_t pending;   /* id of one that was, and is open; 0: none */
    uint64_t digest_lsn;
    uint32_t published; /* snapshots */
    uint64_t *noted;    /* by lsn: ordinal behind the block's last record */

    uint32_t submitted;
    uint32_t completed;
    uint32_t cancelled;
    /* One reader of changes goes through all of them. */
    struct follower_request *reading;
    uint64_t ordinal;
    uint64_t changes_seen; /* of transfers */
    uint64_t id_seen;
};

/* ---- Opening ----------------------------------------------------------------------------- */

static void ledger_open(struct desk *desk)
{
    const struct ledger_config config = {
        .accounts_max = ACCOUNTS,
        .holds_max = HOLDS_MAX,
        .transfers_max = TRANSFERS_MAX,
        .hash_seed = directory_hash_seed(&desk->directory),
    };
    cr_assert_eq(ledger_create(&config, &desk->ledger), 0);
    desk->events = calloc(EVENTS_MAX, sizeof *desk->events);
    desk->results = calloc(EVENTS_MAX, sizeof *desk->results);
    desk->addresses = calloc(LEDGER_FETCH_MAX, sizeof *desk->addresses);
    desk->noted = calloc(BLOCKS_MAX, sizeof *desk->noted);
    cr_assert(desk->events != NULL && desk->results != NULL && desk->addresses != NULL &&
              desk->noted != NULL);
}

static void log_start(struct desk *desk)
{
    const struct log_options options = {
        .window_bytes = WINDOW_BYTES,
        .block_bytes_max = BLOCK_BYTES,
        .segments_ahead = SEGMENTS_AHEAD,
    };
    const struct block_header *header;
    struct error error;
    uint32_t *map;
    desk->window = log_window_make(WINDOW_BYTES);
    cr_assert(desk->window != NULL && log_map_init(&map) == 0);
    cr_assert_eq(
        log_reader_open(&desk->reader, &desk->directory, desk->window, WINDOW_BYTES, NULL, &error),
        0, "%s", error.text);
    cr_assert_eq(log_reader_next(&desk->reader, &header, &error), 0);
    cr_assert_eq(log_open(&desk->log, desk->io, &desk->reader, &options, &error), 0, "%s",
                 error.text);
    desk->log.chunk_blocks = map;
}

static void follower_open(struct desk *desk)
{
    const struct follower_options options = {
        .accounts_max = ACCOUNTS,
        .holds_max = HOLDS_MAX,
        .hash_seed = directory_hash_seed(&desk->directory),
        .snapshot_log_bytes = 1ull << 40, /* only those that are asked for */
    };
    struct error error;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, desk->notify), 0);
    desk->follower = memory_reserve(sizeof *desk->follower);
    cr_assert(desk->follower != NULL);
    cr_assert_eq(follower_init(desk->follower, &desk->directory, &options, &error), 0, "%s",
                 error.text);
    cr_assert_eq(follower_start(desk->follower, desk->ledger, &desk->reader, &desk->log.feed,
                                desk->notify[1], &error),
                 0, "%s", error.text);
}

static void desk_open(struct desk *desk, uint64_t seed, bool follows)
{
    const struct directory_options format = {
        .segment_bytes = SEGMENT_BYTES, .segments_ahead = SEGMENTS_AHEAD, .shard_count = 1};
    struct error error;
    *desk = (struct desk){.rng = rng_make(seed), .id_next = 1};
    scratch_make(desk->path);
    cr_assert_eq(directory_format(desk->path, &format, &error), 0, "%s", error.text);
    cr_assert_eq(directory_open(desk->path, DIRECTORY_EXCLUSIVE, 1, &desk->directory, &error), 0,
                 "%s", error.text);
    cr_assert_eq(io_open(IO_MODE_POSIX, &desk->io, &error), 0, "%s", error.text);
    ledger_open(desk);
    log_start(desk);
    if (follows)
        follower_open(desk);
    cr_assert(log_mark(&desk->log, BLOCK_START, 1));
}

/* ---- Turns of the loop ------------------------------------------------------------------- */

static void completed_take(struct desk *desk);

/* Writes into the log what the ledger's state is: every few blocks, and when a snapshot waits. */
static void digest_add(struct desk *desk)
{
    struct log *log = &desk->log;
    union record *record;
    uint64_t address;
    bool due = log->lsn - desk->digest_lsn >= DIGEST_BLOCKS && log->open_records > 0;
    bool wanted = atomic_load_explicit(&desk->follower->wants_digests, memory_order_relaxed) &&
                  follower_lag_bytes(desk->follower) < DIGEST_LAG_BYTES;
    if ((!due && !wanted) || log_reserve(log, 1, &record, &address) != LOG_ROOM)
        return;
    ledger_digest_record(desk->ledger, ACCOUNTS, desk->ledger->timestamp_last, &record->digest);
    log_commit(log, 1);
    desk->digest_lsn = log->lsn;
}

/* What the follower asked for meanwhile: as the shard's timers do. */
static void follower_serve(struct desk *desk)
{
    char bytes[64];
    struct manifest_entry entry;
    (void)recv(desk->notify[0], bytes, sizeof bytes, MSG_DONTWAIT);
    completed_take(desk);
    if (follower_wants_roll(desk->follower))
        (void)log_roll(&desk->log);
    desk->published += follower_published(desk->follower, &entry);
    cr_assert_eq(follower_failure(desk->follower), FOLLOWER_SOUND, "%s",
                 desk->follower->failure_text.text);
    if (!desk->log.in_flight)
        digest_add(desk);
}

static void desk_turn(struct desk *desk, uint64_t timeout_ns)
{
    struct io_op *done[IO_BATCH_MAX];
    struct log *log = &desk->log;
    int count = io_wait(desk->io, done, timeout_ns, 0);
    cr_assert(count >= 0);
    for (int i = 0; i < count; i++) {
        if (done[i]->owner == LOG_OWNER_SEGMENT) {
            log_segments_run(log, clock_monotonic_ns(), true);
            continue;
        }
        log_write_done(log);
        if (desk->follower != NULL)
            follower_block_durable(desk->follower);
    }
    log_segments_run(log, clock_monotonic_ns(), false);
    if (desk->follower != NULL)
        follower_serve(desk);
    log_flush(log, desk->ledger->timestamp_last);
    if (log_roll_pending(log) && !log->in_flight && log->open_records == 0)
        (void)log_mark(log, BLOCK_IDLE, desk->ledger->timestamp_last);
}

/* Until everything that was executed is durable. */
static void log_settle(struct desk *desk)
{
    while (desk->log.in_flight || desk->log.open_records > 0)
        desk_turn(desk, TURN_NS);
}

static void follower_settle(struct desk *desk)
{
    log_settle(desk);
    while (follower_lag_bytes(desk->follower) > 0 || desk->log.in_flight)
        desk_turn(desk, TURN_NS);
}

/* ---- Writing ----------------------------------------------------------------------------- */

static void room_get(struct desk *desk, uint32_t count, struct ledger_output *output)
{
    *output = (struct ledger_output){.results = desk->results};
    while (log_reserve(&desk->log, count, &output->records, &output->address) != LOG_ROOM) {
        log_flush(&desk->log, desk->ledger->timestamp_last);
        desk_turn(desk, TURN_NS);
    }
    desk->ledger->window = desk->log.window;
}

/* Takes the records into the open block. */
static void records_take(struct desk *desk, uint32_t count)
{
    log_commit(&desk->log, count);
    cr_assert(desk->log.lsn < BLOCKS_MAX);
    desk->noted[desk->log.lsn] = desk->log.ordinal + desk->log.open_records;
}

static void write_accounts(struct desk *desk)
{
    static struct giro_account accounts[ACCOUNTS];
    struct ledger_output output;
    for (uint32_t i = 0; i < ACCOUNTS; i++)
        accounts[i] = (struct giro_account){.id = i + 1, .ledger = 1, .code = 1};
    room_get(desk, ACCOUNTS, &output);
    ledger_create_accounts(desk->ledger, accounts, ACCOUNTS, 1, &output);
    cr_assert_eq(output.result_count, 0);
    records_take(desk, output.record_count);
}

/* Some are pending, and some of those are posted. */
static void event_make(struct desk *desk, struct giro_transfer *event)
{
    uint32_t debit = rng_below(&desk->rng, ACCOUNTS);
    uint32_t credit = (debit + 1 + rng_below(&desk->rng, ACCOUNTS - 1)) % ACCOUNTS;
    *event = (struct giro_transfer){
        .id = desk->id_next++,
        .debit_account_id = debit + 1,
        .credit_account_id = credit + 1,
        .amount = 1 + rng_below(&desk->rng, 1000),
        .ledger = 1,
        .code = 1,
    };
    if (desk->pending != 0) {
        *event = (struct giro_transfer){.id = event->id,
                                        .pending_id = desk->pending,
                                        .amount = ~(giro_u128)0,
                                        .flags = GIRO_TRANSFER_POST_PENDING};
        desk->pending = 0;
    } else if (rng_chance(&desk->rng, 2)) {
        event->flags = GIRO_TRANSFER_PENDING;
        desk->pending = rng_chance(&desk->rng, 90) ? (uint64_t)event->id : 0;
    }
}

/* Executes one request of random transfers, all of which are created. */
static void write_transfers(struct desk *desk)
{
    struct ledger_output output;
    uint32_t count = 1 + rng_below(&desk->rng, EVENTS_MAX);
    uint64_t pending = desk->pending;
    room_get(desk, count, &output);
    do { /* an id that looks like one that is no longer in memory would have to be fetched */
        desk->pending = pending;
        for (uint32_t i = 0; i < count; i++)
            event_make(desk, &desk->events[i]);
    } while (ledger_create_transfers(desk->ledger, desk->events, count,
                                     desk->ledger->timestamp_last + 1, NULL, desk->addresses,
                                     &output) > 0);
    cr_assert_eq(output.result_count, 0, "event %u: %u", output.results[0].index,
                 output.results[0].code);
    desk->transfers += count;
    records_take(desk, output.record_count);
}

/* ---- Requests ---------------------------------------------------------------------------- */

static struct follower_request *request_new(struct desk *desk, enum follower_request_kind kind)
{
    struct follower_request *request = follower_request(desk->follower, kind);
    if (request == NULL)
        return NULL;
    memset(&request->filter, 0, sizeof request->filter);
    request->fence_lsn = rng_chance(&desk->rng, 50) ? desk->log.lsn_durable : 0;
    request->owner = desk;
    return request;
}

static void request_submit(struct desk *desk, struct follower_request *request)
{
    desk->submitted++;
    follower_submit(desk->follower, request);
}

static void ask_changes(struct desk *desk, uint64_t ordinal, uint32_t wait_ms, bool reading)
{
    struct follower_request *request = request_new(desk, FOLLOWER_CHANGES);
    if (request == NULL)
        return;
    request->filter.change = (struct giro_change_filter){
        .ordinal = ordinal, .limit = 1 + rng_below(&desk->rng, 3854), .wait_ms = wait_ms};
    if (reading)
        desk->reading = request;
    request_submit(desk, request);
}

static void ask_account(struct desk *desk)
{
    bool balances = rng_chance(&desk->rng, 30);
    struct follower_request *request =
        request_new(desk, balances ? FOLLOWER_ACCOUNT_BALANCES : FOLLOWER_ACCOUNT_TRANSFERS);
    if (request == NULL)
        return;
    request->filter.account = (struct giro_account_filter){
        .account_id = 1 + rng_below(&desk->rng, ACCOUNTS),
        .timestamp_min = 1 + rng_next(&desk->rng) % (desk->ledger->timestamp_last + 1),
        .timestamp_max = UINT64_MAX - 1,
        .limit = 1 + rng_below(&desk->rng, QUERY_RESULTS_MAX),
        .flags = GIRO_ACCOUNT_FILTER_DEBITS | GIRO_ACCOUNT_FILTER_CREDITS |
                 (rng_chance(&desk->rng, 50) ? GIRO_ACCOUNT_FILTER_REVERSED : 0),
    };
    request_submit(desk, request);
}

static void ask_all(struct desk *desk)
{
    struct follower_request *request =
        request_new(desk, rng_chance(&desk->rng, 30) ? FOLLOWER_ACCOUNTS : FOLLOWER_TRANSFERS);
    if (request == NULL)
        return;
    request->filter.query = (struct giro_query_filter){.timestamp_max = UINT64_MAX - 1,
                                                       .limit = 1 + rng_below(&desk->rng, 1000)};
    request_submit(desk, request);
}

static void ask_snapshot(struct desk *desk)
{
    struct follower_request *request = request_new(desk, FOLLOWER_SNAPSHOT);
    if (request == NULL)
        return;
    request->filter.snapshot_segment = log_roll(&desk->log);
    request_submit(desk, request);
}

static void ask_random(struct desk *desk)
{
    switch (rng_below(&desk->rng, 4)) {
    case 0:
        ask_changes(desk, rng_next(&desk->rng) % (desk->transfers + 1), 0, false);
        break;
    case 1:
        ask_changes(desk, desk->log.ordinal, 5, false);
        break;
    case 2:
        ask_all(desk);
        break;
    default:
        ask_account(desk);
    }
}

/* Nobody waits any more for some of those that are under way. */
static void cancel_random(struct desk *desk)
{
    struct follower_request *request =
        &desk->follower->requests[rng_below(&desk->rng, FOLLOWER_REQUESTS)];
    if (request->owner == NULL || request == desk->reading)
        return;
    atomic_store_explicit(&request->cancelled, true, memory_order_relaxed);
    follower_wake(desk->follower);
}

/* Changes come in order, and none of the transfers that were created is missing. */
static void changes_check(struct desk *desk, const struct follower_request *request)
{
    const struct giro_change *changes = (const struct giro_change *)(const void *)request->output;
    uint64_t ordinal = request->filter.change.ordinal;
    for (uint32_t i = 0; i < request->count; i++) {
        cr_assert(changes[i].ordinal >= ordinal, "change %u of %u", i, request->count);
        ordinal = changes[i].ordinal + 1;
        if (request != desk->reading || changes[i].kind == GIRO_CHANGE_ACCOUNT_CREATED)
            continue;
        cr_assert((uint64_t)changes[i].record.transfer.id > desk->id_seen);
        desk->id_seen = (uint64_t)changes[i].record.transfer.id;
        desk->changes_seen++;
    }
    cr_assert(request->changes.ordinal_next >= ordinal);
    if (request == desk->reading)
        desk->ordinal = request->changes.ordinal_next;
}

static void transfers_check(const struct follower_request *request)
{
    const struct giro_transfer *transfers =
        (const struct giro_transfer *)(const void *)request->output;
    bool reversed = request->kind == FOLLOWER_ACCOUNT_TRANSFERS &&
                    (request->filter.account.flags & GIRO_ACCOUNT_FILTER_REVERSED) != 0;
    for (uint32_t i = 0; i < request->count; i++) {
        if (i > 0)
            cr_assert((transfers[i].timestamp > transfers[i - 1].timestamp) == !reversed);
        if (request->kind == FOLLOWER_ACCOUNT_TRANSFERS)
            cr_assert(transfers[i].debit_account_id == request->filter.account.account_id ||
                      transfers[i].credit_account_id == request->filter.account.account_id);
    }
}

static void completed_take(struct desk *desk)
{
    for (struct follower_request *request;
         (request = follower_completed(desk->follower)) != NULL;) {
        bool cancelled = request->result == -ECANCELED;
        desk->completed++;
        desk->cancelled += cancelled;
        cr_assert(request->result == 0 || cancelled, "kind %d: %s", (int)request->kind,
                  strerror(-request->result));
        cr_assert(request->owner == desk);
        request->owner = NULL;
        if (!cancelled && request->kind == FOLLOWER_CHANGES)
            changes_check(desk, request);
        if (!cancelled &&
            (request->kind == FOLLOWER_ACCOUNT_TRANSFERS || request->kind == FOLLOWER_TRANSFERS))
            transfers_check(request);
        if (request == desk->reading)
            desk->reading = NULL;
        follower_release(desk->follower, request);
    }
}

/* ---- Closing ----------------------------------------------------------------------------- */

/* Stops the follower wherever it is; it answers what is under way. */
static void follower_close(struct desk *desk)
{
    follower_stop(desk->follower);
    completed_take(desk);
    cr_assert_eq(desk->completed, desk->submitted);
}

static void desk_close(struct desk *desk)
{
    log_settle(desk);
    desk->log.stopping = true;
    while (!log_quiet(&desk->log))
        desk_turn(desk, TURN_NS);
    if (desk->follower != NULL) {
        follower_free(desk->follower);
        memory_release(desk->follower, sizeof *desk->follower);
        close(desk->notify[0]);
        close(desk->notify[1]);
    }
    log_reader_close(&desk->reader);
    log_close(&desk->log);
    log_map_free(desk->log.chunk_blocks);
    log_window_free(desk->window, WINDOW_BYTES);
    io_close(desk->io);
    ledger_destroy(desk->ledger);
    free(desk->events);
    free(desk->results);
    free(desk->addresses);
    free(desk->noted);
    directory_close(&desk->directory);
    scratch_remove(desk->path);
}

/* ---- Tests ------------------------------------------------------------------------------- */

Test(threads, the_follower_keeps_up_with_a_writer_at_full_speed)
{
    static struct desk desk;
    desk_open(&desk, 4701, true);
    write_accounts(&desk);
    while (desk.log.open_begin < 12ull * SEGMENT_BYTES) {
        write_transfers(&desk);
        desk_turn(&desk, 0);
    }
    follower_settle(&desk);
    follower_close(&desk);
    cr_assert(desk.follower->ledger->digests_checked > 0);
    cr_assert_eq(desk.follower->ledger->digests_failed, 0);
    cr_assert(checksum_equal(ledger_digest(desk.follower->ledger), ledger_digest(desk.ledger)));
    desk_close(&desk);
}

/* ---- A bare tail ------------------------------------------------------------------------- */

struct reading {
    struct desk *desk;
    struct rng rng;
    char *image;
    struct tail tail;
    uint64_t from_window; /* blocks */
    uint64_t from_files;
    atomic_bool stop; /* after the last durable block */
};

static void pause_ms(uint32_t ms)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
}

/* Whether the block is what the writer put in, by a note that is handed over by nothing but the
 * order of the two threads at feed.durable: the copy itself is not watched (wal/tail.c). */
static bool block_is_noted(const struct reading *reading, const struct block_header *header)
{
    return header->kind != BLOCK_RECORDS ||
           header->ordinal + header->record_count == reading->desk->noted[header->lsn];
}

/* Returns NULL, or what went wrong: only a test's main thread may assert. Now and then it dozes
 * until the window has been overwritten. */
static void *reading_run(void *argument)
{
    struct reading *reading = argument;
    struct tail *tail = &reading->tail;
    const struct block_header *header;
    static struct error error;
    for (;;) {
        bool stop = atomic_load(&reading->stop);
        uint64_t doze_bytes =
            rng_chance(&reading->rng, 3) ? (uint64_t)WINDOW_BYTES + SEGMENT_BYTES : 0;
        while (!stop && tail_lag_bytes(tail) < doze_bytes) {
            pause_ms(1);
            stop = atomic_load(&reading->stop);
        }
        switch (tail_next(tail, reading->image, &header, &error)) {
        case TAIL_NONE:
            if (stop)
                return NULL;
            continue;
        case TAIL_BLOCK:
            if (!block_is_noted(reading, header))
                return "a block is not what was written";
            if (tail->loaded >= tail->position)
                reading->from_files++;
            else
                reading->from_window++;
            continue;
        case TAIL_SEGMENT:
            continue;
        case TAIL_LATER:
        case TAIL_FAILED:
            return error.text;
        }
    }
}

Test(threads, a_tail_reads_the_window_and_the_files)
{
    static struct desk desk;
    static struct reading reading;
    pthread_t thread;
    void *failed;
    desk_open(&desk, 4702, false);
    reading.desk = &desk;
    reading.rng = (struct rng){rng_next(&desk.rng)};
    reading.image = memory_reserve(SEGMENT_BYTES);
    cr_assert(reading.image != NULL);
    tail_open(&reading.tail, &desk.directory, &desk.log.feed, &desk.reader);
    cr_assert_eq(pthread_create(&thread, NULL, reading_run, &reading), 0);
    write_accounts(&desk);
    while (desk.log.open_begin < 24ull * SEGMENT_BYTES) {
        write_transfers(&desk);
        desk_turn(&desk, 0);
    }
    log_settle(&desk);
    atomic_store(&reading.stop, true);
    pthread_join(thread, &failed);
    cr_assert_null(failed, "%s", (const char *)failed);
    cr_assert_eq(reading.tail.lsn, desk.log.lsn);
    cr_assert_eq(reading.tail.ordinal, desk.log.ordinal);
    cr_assert(checksum_equal(reading.tail.previous, desk.log.previous));
    cr_assert(reading.from_window > 0);
    cr_assert(reading.from_files > 0);
    fprintf(stderr, "%lu blocks from the window, %lu from files\n", reading.from_window,
            reading.from_files);
    tail_close(&reading.tail);
    memory_release(reading.image, SEGMENT_BYTES);
    desk_close(&desk);
}

/* ---- Requests beside writes -------------------------------------------------------------- */

Test(threads, requests_are_answered_beside_writes)
{
    static struct desk desk;
    desk_open(&desk, 4703, true);
    write_accounts(&desk);
    while (desk.log.open_begin < 8ull * SEGMENT_BYTES) {
        write_transfers(&desk);
        if (desk.reading == NULL)
            ask_changes(&desk, desk.ordinal, 1, true);
        for (uint32_t i = rng_below(&desk.rng, 4); i > 0; i--)
            ask_random(&desk);
        cancel_random(&desk);
        desk_turn(&desk, 0);
    }
    follower_settle(&desk);
    while (desk.changes_seen < desk.transfers) {
        if (desk.reading == NULL)
            ask_changes(&desk, desk.ordinal, 1, true);
        desk_turn(&desk, TURN_NS);
    }
    cr_assert_eq(desk.changes_seen, desk.transfers);
    follower_close(&desk);
    fprintf(stderr, "%u requests, %u of them cancelled; %lu changes\n", desk.completed,
            desk.cancelled, desk.changes_seen);
    desk_close(&desk);
}

Test(threads, snapshots_are_taken_and_proven_beside_writes)
{
    enum { SNAPSHOTS = 3 };
    static struct desk desk;
    struct manifest manifest;
    struct error error;
    desk_open(&desk, 4704, true);
    write_accounts(&desk);
    for (uint32_t i = 1; i <= SNAPSHOTS; i++) {
        ask_snapshot(&desk);
        while (desk.published < i) {
            if (rng_chance(&desk.rng, 20))
                write_transfers(&desk);
            desk_turn(&desk, TURN_NS);
        }
    }
    follower_settle(&desk);
    follower_close(&desk);
    cr_assert_eq(desk.cancelled, 0);
    cr_assert_eq(manifest_read(&desk.directory, &manifest, &error), 0, "%s", error.text);
    for (uint32_t i = 0; i < manifest.count; i++)
        cr_assert_eq(snapshot_check(&desk.directory, &manifest.entries[i], &error), 0, "%s",
                     error.text);
    desk_close(&desk);
}

/* Wherever the follower is, it ends, and every request comes back once. */
Test(threads, the_follower_stops_in_the_midst_of_everything)
{
    enum { ROUNDS = 6 };
    static struct desk desk;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        desk_open(&desk, 4705 + round, true);
        write_accounts(&desk);
        ask_snapshot(&desk);
        uint64_t end = (2 + rng_below(&desk.rng, 4)) * (uint64_t)SEGMENT_BYTES;
        while (desk.log.open_begin < end) {
            write_transfers(&desk);
            ask_random(&desk);
            desk_turn(&desk, 0);
        }
        ask_changes(&desk, UINT64_MAX / 2, 60000, false); /* waits, until it is stopped */
        if (round % 2 == 0)
            follower_hurry(desk.follower);
        follower_close(&desk);
        desk_close(&desk);
    }
}
