#include "tests/fuzz/shard_rig.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/log_image.h"

/* A start makes a thread of the follower: here its work is called. */
#define pthread_create(thread, attributes, run, argument) ((void)(run), 0)
#include "wal/follower.c" /* NOLINT(bugprone-suspicious-include) */
#undef pthread_create

#include "net/compat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SESSIONS_FEW = 3, /* that are remembered */
    TRIES_MAX = 1000,
};

struct shard rig_shard;
uint64_t rig_clock_ns = RIG_CLOCK_NS;
uint64_t rig_timestamp_before;
uint64_t rig_timestamp_next;

static const struct shard_options options = {.compat_sessions_max = SESSIONS_FEW, .follower = 1};
static struct follower follower_parts;
static struct ledger_config ledger_config;

/* ---- Clock and disk ---------------------------------------------------------------------- */

uint64_t clock_wall_ns(void)
{
    return rig_clock_ns;
}

uint64_t clock_monotonic_ns(void)
{
    return rig_clock_ns;
}

static void op_run(struct io *io, struct io_op *op)
{
    ssize_t done = (ssize_t)op->size;
    if (op->kind == IO_LOG_WRITE)
        done = pwrite(op->fd, op->buffer, op->size, (off_t)op->offset);
    else if (op->kind == IO_READ)
        done = pread(op->fd, op->buffer, op->size, (off_t)op->offset);
    else
        MUST(op->kind == IO_SEND);
    MUST(done == (ssize_t)op->size);
    op->result = (int32_t)done;
}

static const struct io_backend backend = {.name = "fuzz", .submit = op_run};
static struct io fuzz_io = {.backend = &backend};

void rig_settle(void)
{
    struct log *log = &rig_shard.log;
    do {
        if (log->in_flight)
            log_write_done(log);
        log_flush(log, rig_clock_ns);
    } while (log->in_flight);
    while (blocks_follow(rig_shard.follower))
        ;
    MUST(follower_failure(rig_shard.follower) == FOLLOWER_SOUND, "%s",
         rig_shard.follower->failure_text.text);
    MUST(follower_lag_bytes(rig_shard.follower) == 0);
}

void rig_window_forget(void)
{
    rig_settle();
    rig_shard.log.window.low = rig_shard.log.open_begin / GIRO_RECORD_BYTES;
    rig_shard.ledger->window = rig_shard.log.window;
}

void rig_roll(void)
{
    rig_settle();
    (void)log_roll(&rig_shard.log);
}

void rig_mark(void)
{
    rig_settle();
    (void)log_mark(&rig_shard.log, BLOCK_IDLE, rig_clock_ns);
    rig_settle();
}

void rig_digest(uint32_t rows)
{
    union record *record;
    uint64_t address;
    if (log_reserve(&rig_shard.log, 1, &record, &address) != LOG_ROOM)
        return;
    ledger_digest_record(rig_shard.ledger, rows, rig_clock_ns, &record->digest);
    log_commit(&rig_shard.log, 1);
}

/* ---- Executing --------------------------------------------------------------------------- */

void rig_time_keep(void)
{
    rig_timestamp_before = rig_shard.ledger->timestamp_last;
    rig_timestamp_next =
        rig_clock_ns > rig_timestamp_before ? rig_clock_ns : rig_timestamp_before + 1;
}

void rig_fetch(struct shard_fetch *fetch)
{
    enum log_fetch_state state;
    while ((state = log_fetch_step(&fetch->fetch)) == LOG_FETCH_AGAIN)
        ;
    MUST(state == LOG_FETCH_DONE);
}

void rig_wait(struct connection *connection)
{
    struct shard_fetch *fetch = shard_fetch_of(&rig_shard, connection);
    if (connection->request == NULL && fetch != NULL) {
        rig_fetch(fetch);
        connection->fetching = false;
        return;
    }
    rig_settle();
    for (uint32_t tries = 0; connection->fetching; tries++) {
        (void)requests_work(rig_shard.follower, 0);
        while (shard_query_completed(&rig_shard) != NULL)
            ;
        rig_clock_ns +=
            GIRO_NS_PER_S; /* a read of changes may be waiting for its time to be over */
        MUST(tries < TRIES_MAX);
    }
}

static void frame_end(const struct connection *connection)
{
    struct shard_fetch *fetch = shard_fetch_of(&rig_shard, connection);
    if (fetch != NULL)
        shard_fetch_end(fetch);
}

enum execution rig_try(struct connection *connection, enum frame_status *out_status, bool *out_full)
{
    *out_full = false;
    for (uint32_t tries = 0;; tries++) {
        MUST(tries < TRIES_MAX);
        rig_time_keep();
        const enum execution execution = shard_execute(&rig_shard, connection, out_status);
        if (execution != EXECUTION_WAIT_LOG) {
            *out_full = rig_shard.log.storage_full;
            rig_shard.log.storage_full = false;
            if (execution == EXECUTION_DONE || execution == EXECUTION_REFUSED)
                frame_end(connection);
            return execution;
        }
        rig_settle();
        /* No segment is made here: when the last one is full, so is the disk. */
        rig_shard.log.storage_full = tries > 1;
    }
}

enum execution rig_execute(struct connection *connection, enum frame_status *out_status,
                           bool *out_full)
{
    enum execution execution;
    uint32_t waits = 0;
    while ((execution = rig_try(connection, out_status, out_full)) == EXECUTION_FETCHING) {
        rig_wait(connection);
        MUST(++waits < TRIES_MAX);
    }
    return execution;
}

void rig_send(struct connection *connection)
{
    rig_settle();
    if (connection->out_end == 0)
        return;
    connection_release(connection, rig_shard.log.lsn_durable, rig_shard.io, rig_clock_ns);
    MUST(connection->sending && connection->mark_count == 0);
    MUST(connection_sent(connection, &rig_shard.out_pool, rig_clock_ns) == 0);
    MUST(connection->out_end == 0);
}

void rig_clock_set(uint64_t to)
{
    if (to > rig_clock_ns && to < RIG_CLOCK_MAX_NS)
        rig_clock_ns = to;
}

/* ---- A server's parts, made and made anew ------------------------------------------------ */

static void segments_empty(void)
{
    for (uint32_t segment = 0; segment < RIG_SEGMENTS; segment++) {
        char name[SIDECAR_NAME_BYTES];
        MUST(ftruncate(rig_shard.log.segment_fds[segment], 0) == 0);
        MUST(ftruncate(rig_shard.log.segment_fds[segment], RIG_SEGMENT_BYTES) == 0);
        sidecar_name(segment, name);
        (void)unlinkat(rig_shard.directory.shard_fd, name, 0);
    }
}

/* Goes on behind what a reader has read; its window is empty. */
static void log_reset(const struct log_reader *reader)
{
    struct log *log = &rig_shard.log;
    int *fds = log->segment_fds;
    uint32_t *map = log->chunk_blocks;
    const uint64_t begin = (uint64_t)reader->segment * RIG_SEGMENT_BYTES + reader->offset;
    *log = (struct log){
        .io = &fuzz_io,
        .directory = &rig_shard.directory,
        .options = {.window_bytes = RIG_WINDOW_BYTES, .block_bytes_max = RIG_SEGMENT_BYTES},
        .window = {.base = rig_shard.window,
                   .records = RIG_WINDOW_BYTES / GIRO_RECORD_BYTES,
                   .low = 1},
        .memory = rig_shard.window,
        .open_begin = begin,
        .lsn = reader->lsn,
        .lsn_durable = reader->lsn - 1,
        .ordinal = reader->ordinal,
        .previous = reader->previous,
        .epoch = reader->epoch,
        .feed = {.memory = rig_shard.window, .window_bytes = RIG_WINDOW_BYTES, .durable = begin},
        .segment_fds = fds,
        .segment_count = RIG_SEGMENTS,
        .chunk_blocks = map,
        .maker.fd = -1,
    };
}

static void window_empty(void)
{
    MUST(madvise(rig_shard.window, RIG_WINDOW_BYTES, MADV_DONTNEED) == 0); /* zeros, as at first */
    memset(rig_shard.log.chunk_blocks, 0,
           RIG_WINDOW_BYTES / LOG_CHUNK_BYTES * sizeof *rig_shard.log.chunk_blocks);
}

/* What belongs to the segments that there were. */
static void segments_forget(struct follower *follower)
{
    for (uint32_t i = 0; i < FOLLOWER_VIEWS && follower->views_ready; i++)
        view_maker_free(&follower->views[i]);
    follower->views_ready = false;
    archive_clear(&follower->archive);
}

static void ledgers_reset(void)
{
    struct ledger_config follows = ledger_config;
    follows.transfers_max = 0;
    ledger_destroy(rig_shard.ledger);
    ledger_destroy(rig_shard.follower->ledger);
    MUST(ledger_create(&ledger_config, &rig_shard.ledger) == 0);
    MUST(ledger_create(&follows, &rig_shard.follower->ledger) == 0);
    rig_shard.ledger->window = rig_shard.log.window;
    record_cache_clear(&rig_shard.firing.fetch.cache);
    rig_shard.firing_fetches = false;
    rig_shard.firing_paused_until = 0;
}

static void follower_reset(void)
{
    struct follower *follower = rig_shard.follower;
    for (uint32_t i = 0; i < ARCHIVE_PAGES; i++)
        follower->reader->pages[i].valid = false;
    tail_close(&follower->tail);
    memset(&follower->counters, 0, sizeof follower->counters);
    follower->off = false;
    follower->seal_due = false;
    follower->seal_at = 0;
    follower->failure = FOLLOWER_SOUND;
    follower->ledger->digests_failed = 0;
}

const struct ledger_config *rig_ledger_config(void)
{
    return &ledger_config;
}

void rig_begin(uint64_t room)
{
    const struct log_reader reader = {.lsn = 1};
    const struct log_position begin = {.lsn = 1};
    struct follower *follower = rig_shard.follower;
    rig_clock_ns = RIG_CLOCK_NS;
    ledger_config = (struct ledger_config){
        .accounts_max = RIG_ACCOUNTS_MAX,
        .holds_max = (room & 1) != 0 ? RIG_HOLDS_FEW : RIG_HOLDS_MAX,
        .transfers_max = (room & 2) != 0 ? RIG_TRANSFERS_FEW : RIG_TRANSFERS_MAX,
    };
    segments_empty();
    window_empty();
    log_reset(&reader);
    ledgers_reset();
    follower_reset();
    tail_open(&follower->tail, &rig_shard.directory, &rig_shard.log.feed, &reader);
    live_begin(&follower->live, &begin);
    follower->started = true;
    follower->recording = true;
}

void rig_end(void)
{
    rig_settle();
    MUST(
        checksum_equal(ledger_digest(rig_shard.ledger), ledger_digest(rig_shard.follower->ledger)));
    MUST(rig_shard.follower->free_count == FOLLOWER_REQUESTS && rig_shard.requests_pending == 0);
    MUST(rig_shard.out_pool.free_count == rig_shard.out_pool.count);
    for (uint32_t number = 0; number <= 3; number++) {
        struct ledger_sums sums = ledger_sum(rig_shard.ledger, number);
        MUST(sums.debits_posted == sums.credits_posted);
        MUST(sums.debits_pending == sums.credits_pending);
    }
    segments_forget(rig_shard.follower);
}

/* Replays the sound blocks of a segment, which the window holds, from the reader's place on. */
static void segment_replay(struct log_reader *reader)
{
    const struct directory_meta *meta = &rig_shard.directory.meta;
    const char *segment =
        (const char *)rig_shard.window + (size_t)reader->segment * RIG_SEGMENT_BYTES;
    while (reader->offset < RIG_SEGMENT_BYTES) {
        const struct block_header *header =
            (const struct block_header *)(const void *)(segment + reader->offset);
        const struct block_place place =
            block_place_of(meta->directory_id, reader->segment, reader->offset);
        uint32_t index;
        if (block_check_header(header, &place, meta->segment_bytes, meta->sector_bytes) != BLOCK_OK)
            return;
        MUST(header->lsn == reader->lsn && header->ordinal == reader->ordinal);
        MUST(checksum_equal(header->previous, reader->previous) && block_check_body(header));
        const int result = follower_replay(rig_shard.follower, rig_shard.ledger, header, &index);
        MUST(result == 0, "%d at record %u of block %lu", result, index, header->lsn);
        MUST(ledger_replay_ends(rig_shard.ledger));
        log_map_add(rig_shard.log.chunk_blocks, meta, header);
        reader->offset += header->block_bytes;
        reader->lsn++;
        reader->ordinal += header->record_count;
        reader->previous = header->header_checksum;
        reader->epoch = header->epoch;
        reader->written_at = header->written_at;
    }
}

/* Reads the log as net/start.c does. */
static void log_read(struct log_reader *reader)
{
    *reader = (struct log_reader){
        .directory = &rig_shard.directory, .segment_count = RIG_SEGMENTS, .lsn = 1};
    for (uint32_t segment = 0; segment < RIG_SEGMENTS; segment++) {
        char *to = (char *)rig_shard.window + (size_t)segment * RIG_SEGMENT_BYTES;
        const int fd = rig_shard.log.segment_fds[segment];
        struct block_header header;
        MUST(pread(fd, &header, sizeof header, 0) == sizeof header);
        if (header.magic == 0)
            return;
        MUST(pread(fd, to, RIG_SEGMENT_BYTES, 0) == RIG_SEGMENT_BYTES);
        reader->segment = segment;
        reader->offset = 0;
        segment_replay(reader);
    }
}

void rig_restart(void)
{
    struct follower *follower = rig_shard.follower;
    const uint64_t lsn = rig_shard.log.lsn;
    struct log_reader reader;
    struct error error;
    MUST(!rig_shard.log.in_flight && rig_shard.requests_pending == 0);
    segments_forget(follower);
    window_empty();
    rig_shard.log.window.low = 1;
    ledgers_reset();
    follower_reset();
    follower->started = false;
    follower->recording = false;
    log_read(&reader);
    MUST(reader.lsn == lsn); /* the open block, which is lost, would have been it */
    reader.epoch++;
    log_reset(&reader);
    rig_shard.ledger->window = rig_shard.log.window;
    MUST(rig_shard.ledger->digests_failed == 0);
    MUST(follower_start(follower, rig_shard.ledger, &reader, &rig_shard.log.feed, -1, &error) == 0,
         "%s", error.text);
    MUST(follower->started);
    (void)log_mark(&rig_shard.log, BLOCK_START, rig_clock_ns);
    rig_settle();
}

void rig_make(uint32_t large_buffers)
{
    const struct follower_options follower = {.accounts_max = RIG_ACCOUNTS_MAX,
                                              .holds_max = RIG_HOLDS_MAX};
    struct shard *shard = &rig_shard;
    struct error error;
    image_directory_make(&shard->directory);
    shard->directory.meta.segment_bytes = RIG_SEGMENT_BYTES;
    shard->options = &options;
    shard->io = &fuzz_io;
    shard->window = log_window_make(RIG_WINDOW_BYTES);
    shard->addresses = calloc(LEDGER_FETCH_MAX, sizeof *shard->addresses);
    shard->follower = &follower_parts;
    shard->log.segment_fds = calloc(RIG_SEGMENTS, sizeof *shard->log.segment_fds);
    MUST(shard->window != NULL && shard->addresses != NULL && shard->follower != NULL);
    MUST(shard->log.segment_fds != NULL && log_map_init(&shard->log.chunk_blocks) == 0);
    MUST(follower_init(shard->follower, &shard->directory, &follower, &error) == 0);
    MUST(buffer_pool_init(&shard->out_pool, large_buffers) == 0 &&
         compat_init(&shard->compat) == 0);
    for (uint32_t i = 0; i < SHARD_FETCHES; i++)
        MUST(log_fetch_init(&shard->fetches[i].fetch, &shard->log, LEDGER_FETCH_MAX,
                            LEDGER_CACHE_RECORDS) == 0);
    MUST(log_fetch_init(&shard->firing.fetch, &shard->log, LEDGER_FETCH_MAX, FIRE_CACHE_RECORDS) ==
         0);
    for (uint32_t i = 0; i < RIG_SEGMENTS; i++) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(i, name);
        shard->log.segment_fds[i] =
            openat(shard->directory.shard_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        MUST(shard->log.segment_fds[i] >= 0);
    }
}

void rig_connection_open(struct connection *connection, bool compat)
{
    char *small = connection->out_small;
    if (small == NULL)
        small = malloc(CONNECTION_OUT_BYTES);
    MUST(small != NULL);
    if (connection->out != NULL) {
        connection->in = connection->in_small; /* which is its user's */
        connection_buffers_reset(connection, NULL, &rig_shard.out_pool);
    }
    *connection = (struct connection){
        .state = CONNECTION_OPEN,
        .compat = compat,
        .greeted = true,
        .out = small,
        .out_small = small,
        .out_capacity = CONNECTION_OUT_BYTES,
    };
}

/* ---- Queries ----------------------------------------------------------------------------- */

struct rig_asked rig_asked_of(uint8_t operation, const void *filter)
{
    struct rig_asked asked = {
        .accounts = operation == FRAME_QUERY_ACCOUNTS,
        .balances = operation == FRAME_GET_ACCOUNT_BALANCES,
    };
    struct giro_account_filter account;
    if (operation == FRAME_QUERY_ACCOUNTS || operation == FRAME_QUERY_TRANSFERS) {
        memcpy(&asked.filter, filter, sizeof asked.filter);
        return asked;
    }
    memcpy(&account, filter, sizeof account);
    asked.account_id = account.account_id;
    asked.sides = account.flags;
    asked.filter = (struct giro_query_filter){
        .user_data_128 = account.user_data_128,
        .user_data_64 = account.user_data_64,
        .user_data_32 = account.user_data_32,
        .code = account.code,
        .timestamp_min = account.timestamp_min,
        .timestamp_max = account.timestamp_max,
        .limit = account.limit,
        .flags =
            (account.flags & GIRO_ACCOUNT_FILTER_REVERSED) != 0 ? GIRO_QUERY_FILTER_REVERSED : 0,
    };
    return asked;
}

bool rig_matches(const struct rig_asked *asked, const struct giro_transfer *record)
{
    const struct giro_query_filter *filter = &asked->filter;
    bool side = asked->account_id == 0 ||
                ((asked->sides & GIRO_ACCOUNT_FILTER_DEBITS) != 0 &&
                 record->debit_account_id == asked->account_id) ||
                ((asked->sides & GIRO_ACCOUNT_FILTER_CREDITS) != 0 &&
                 record->credit_account_id == asked->account_id);
    return side && (filter->user_data_128 == 0 || filter->user_data_128 == record->user_data_128) &&
           (filter->user_data_64 == 0 || filter->user_data_64 == record->user_data_64) &&
           (filter->user_data_32 == 0 || filter->user_data_32 == record->user_data_32) &&
           (filter->ledger == 0 || filter->ledger == record->ledger) &&
           (filter->code == 0 || filter->code == record->code) &&
           record->timestamp >= filter->timestamp_min &&
           (filter->timestamp_max == 0 || record->timestamp <= filter->timestamp_max);
}
