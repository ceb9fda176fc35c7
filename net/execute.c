/* Execution of requests: from a whole frame to a reply, through the ledger and the log. */
#include "net/shard_state.h"

#include "engine/planted.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { EXPIRE_RECORDS_MAX = 1024 }; /* at a time, so that no request waits long */

/* The next timestamp: the clock's, or one more than the last, whichever is later. */
static uint64_t timestamp_next(const struct shard *shard)
{
    uint64_t now = clock_wall_ns();
    if (PLANTED(CLOCK_BACKWARDS))
        return now;
    return now > shard->ledger->timestamp_last ? now : shard->ledger->timestamp_last + 1;
}

static enum execution reply(struct shard *shard, struct connection *connection,
                            enum frame_status status, uint32_t body_bytes)
{
    connection_reply(connection, connection_header(connection), status, body_bytes,
                     log_lsn_visible(&shard->log));
    return EXECUTION_DONE;
}

/* Room for a reply's body, or NULL and what to wait for. */
static char *reply_body(struct shard *shard, struct connection *connection, uint32_t body_bytes,
                        enum execution *out_wait)
{
    char *frame = connection_reply_reserve(connection, &shard->out_pool, body_bytes);
    *out_wait = connection->starved ? EXECUTION_WAIT_BUFFER : EXECUTION_WAIT_OUTPUT;
    return frame == NULL ? NULL : frame + FRAME_HEADER_BYTES;
}

enum execution shard_reply_status(struct shard *shard, struct connection *connection,
                                  enum frame_status status)
{
    enum execution wait;
    if (reply_body(shard, connection, 0, &wait) == NULL)
        return wait;
    return reply(shard, connection, status, 0);
}

/* Number of records of the frame's body, or a reply that says what is wrong with it. */
static bool record_count(const struct frame_header *header, uint32_t record_bytes,
                         uint32_t *out_count, enum frame_status *out_status)
{
    *out_count = header->body_bytes / record_bytes;
    *out_status = FRAME_OK;
    if (header->body_bytes % record_bytes != 0)
        *out_status = FRAME_BODY_SIZE;
    else if (*out_count > LEDGER_EVENTS_MAX)
        *out_status = FRAME_TOO_MANY_EVENTS;
    return *out_status == FRAME_OK;
}

/* ---- Hello, ping, stats ------------------------------------------------------------------ */

static enum execution execute_hello(struct shard *shard, struct connection *connection,
                                    enum frame_status *out_status)
{
    const struct frame_header *header = connection_header(connection);
    static const struct frame_hello zeros;
    struct frame_hello hello;
    enum execution wait;
    *out_status = FRAME_HELLO_EXPECTED;
    if (header->body_bytes != sizeof hello)
        return EXECUTION_REFUSED;
    memcpy(&hello, header + 1, sizeof hello);
    /* What is reserved can only be given a meaning later if it is refused now. */
    *out_status = FRAME_BAD_FLAGS;
    if (hello.reserved_0 != 0 || memcmp(hello.reserved, zeros.reserved, sizeof hello.reserved) != 0)
        return EXECUTION_REFUSED;
    *out_status = FRAME_BAD_VERSION;
    if (hello.version_min > FRAME_VERSION || hello.version_max < FRAME_VERSION)
        return EXECUTION_REFUSED;
    char *body = reply_body(shard, connection, sizeof(struct frame_welcome), &wait);
    if (body == NULL)
        return wait;
    struct frame_welcome welcome = {
        .version = FRAME_VERSION,
        .shard_count = DIRECTORY_SHARDS,
        .events_max = FRAME_EVENTS_MAX,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .time_ns = clock_wall_ns(),
    };
    memcpy(body, &welcome, sizeof welcome);
    connection->greeted = true;
    return reply(shard, connection, FRAME_OK, sizeof welcome);
}

static void follower_stats(const struct shard *shard, struct frame_stats *stats)
{
    const struct follower_counters *counters = &shard->follower->counters;
#define COUNTER(name) atomic_load_explicit(&counters->name, memory_order_relaxed)
    stats->follower_lsn = COUNTER(lsn);
    stats->follower_lag_bytes =
        shard->follower->started ? follower_lag_bytes(shard->follower) : shard->log.open_begin;
    stats->snapshots = COUNTER(snapshots);
    stats->snapshot_segment = COUNTER(snapshot_segment);
    stats->snapshot_bytes = COUNTER(snapshot_bytes);
    stats->snapshot_running = COUNTER(snapshot_running);
    stats->segments_sealed = COUNTER(segments_sealed);
    stats->queries = COUNTER(queries);
    stats->queries_active = COUNTER(queries_active);
    stats->changes = COUNTER(changes);
    stats->digests_checked = COUNTER(digests_checked);
    stats->memory_follower_bytes = COUNTER(memory_bytes);
#undef COUNTER
}

static enum execution execute_stats(struct shard *shard, struct connection *connection)
{
    enum execution wait;
    char *body = reply_body(shard, connection, sizeof(struct frame_stats), &wait);
    if (body == NULL)
        return wait;
    struct frame_stats stats = shard->stats;
    stats.accounts = shard->ledger->accounts.count;
    stats.transfers = shard->ledger->transfers_count;
    stats.holds_open = shard->ledger->holds.count;
    stats.lsn_durable = shard->log.lsn_durable;
    stats.log_bytes = shard->log.open_begin;
    stats.connections = shard->connection_count;
    stats.blocks_written = shard->log.blocks_written;
    stats.storage_full = shard->log.storage_full;
    stats.memory_index_bytes = index_memory_bytes(&shard->ledger->transfers);
    follower_stats(shard, &stats);
    memcpy(body, &stats, sizeof stats);
    return reply(shard, connection, FRAME_OK, sizeof stats);
}

/* ---- Fetching ---------------------------------------------------------------------------- */

struct shard_fetch *shard_fetch_of(struct shard *shard, const struct connection *connection)
{
    for (uint32_t i = 0; i < SHARD_FETCHES; i++) {
        if (shard->fetches[i].connection == connection)
            return &shard->fetches[i];
    }
    return NULL;
}

void shard_fetch_end(struct shard_fetch *fetch)
{
    record_cache_clear(&fetch->fetch.cache);
    fetch->connection = NULL;
}

/* Starts fetching shard->addresses for a connection, in the fetch that it has or in a free one. */
static enum execution fetch_start(struct shard *shard, struct connection *connection,
                                  uint32_t count)
{
    struct shard_fetch *fetch = shard_fetch_of(shard, connection);
    if (fetch == NULL)
        fetch = shard_fetch_of(shard, NULL);
    connection->queued = fetch == NULL;
    if (fetch == NULL)
        return EXECUTION_WAIT_BUFFER;
    if (fetch->connection == NULL)
        fetch->connection = connection;
    /* What was fetched before for this frame is in the cache, unless that is nearly full. */
    if (fetch->fetch.cache.count + count > LEDGER_CACHE_RECORDS)
        record_cache_clear(&fetch->fetch.cache);
    memcpy(fetch->fetch.addresses, shard->addresses, count * sizeof *shard->addresses);
    log_fetch_start(&fetch->fetch, count);
    connection->fetching = true;
    shard->stats.records_fetched += count;
    return EXECUTION_FETCHING;
}

static const struct record_cache *fetch_cache(struct shard *shard,
                                              const struct connection *connection)
{
    const struct shard_fetch *fetch = shard_fetch_of(shard, connection);
    return fetch == NULL ? NULL : &fetch->fetch.cache;
}

/* ---- Creating ---------------------------------------------------------------------------- */

/* Asks the log for room. Returns true with it, or false and what becomes of the request. */
static bool log_room(struct shard *shard, struct connection *connection, uint32_t count,
                     struct ledger_output *output, enum execution *out_execution)
{
    switch (log_reserve(&shard->log, count, &output->records, &output->address)) {
    case LOG_ROOM:
        shard->ledger->window = shard->log.window;
        return true;
    case LOG_BUSY:
        *out_execution = EXECUTION_WAIT_LOG;
        return false;
    case LOG_FULL:
        /* The next segment is only late, or there is no room on the disk for it. */
        *out_execution = shard->log.storage_full
                             ? shard_reply_status(shard, connection, FRAME_STORAGE_FULL)
                             : EXECUTION_WAIT_LOG;
        return false;
    }
    return false;
}

static uint32_t created_bytes(uint32_t outcomes, uint32_t results)
{
    return (uint32_t)(sizeof(struct frame_created) + outcomes * sizeof(struct giro_outcome) +
                      results * sizeof(struct giro_result));
}

/* Ends a create: takes its records into the log and completes the reply in place. */
static enum execution created(struct shard *shard, struct connection *connection, char *body,
                              uint64_t timestamp, uint32_t count,
                              const struct ledger_output *output)
{
    struct frame_created head = {.timestamp_first = timestamp,
                                 .result_count = output->result_count};
    memcpy(body, &head, sizeof head);
    log_commit(&shard->log, output->record_count);
    shard->stats.events += count;
    shard->stats.events_rejected += output->result_count;
    uint32_t outcomes = output->outcomes != NULL ? count : 0;
    return reply(shard, connection, FRAME_OK, created_bytes(outcomes, output->result_count));
}

/* A create while the follower is too far behind: it waits, unless that is for want of room on disk,
 * which may take for ever. */
static enum execution execute_later(struct shard *shard, struct connection *connection)
{
    if (atomic_load_explicit(&shard->follower->seal_failing, memory_order_relaxed))
        return shard_reply_status(shard, connection, FRAME_STORAGE_FULL);
    return EXECUTION_WAIT_BUFFER;
}

/* Accounts, or their limits: nothing that needs old records. */
static enum execution execute_create(struct shard *shard, struct connection *connection,
                                     bool accounts)
{
    const struct frame_header *header = connection_header(connection);
    enum frame_status status;
    enum execution wait;
    uint32_t count;
    if (!record_count(header, GIRO_RECORD_BYTES, &count, &status))
        return shard_reply_status(shard, connection, status);
    if (accounts && ledger_room_accounts(shard->ledger, count) != LEDGER_ROOM)
        return shard_reply_status(shard, connection, FRAME_ACCOUNTS_FULL);
    char *body = reply_body(shard, connection, created_bytes(0, count), &wait);
    if (body == NULL)
        return wait;
    struct ledger_output output = {
        .results = (struct giro_result *)(void *)(body + created_bytes(0, 0)),
    };
    if (!log_room(shard, connection, count, &output, &wait))
        return wait;
    uint64_t timestamp = timestamp_next(shard);
    const void *events = header + 1;
    if (accounts)
        ledger_create_accounts(shard->ledger, events, count, timestamp, &output);
    else
        ledger_set_limits(shard->ledger, events, count, timestamp, &output);
    return created(shard, connection, body, timestamp, count, &output);
}

static enum frame_status transfers_room(const struct shard *shard,
                                        const struct giro_transfer *events, uint32_t count)
{
    switch (ledger_room_transfers(shard->ledger, events, count)) {
    case LEDGER_FULL_TRANSFERS:
        return FRAME_TRANSFERS_FULL;
    case LEDGER_FULL_HOLDS:
        return FRAME_HOLDS_FULL;
    case LEDGER_FULL_PAYMENTS:
        return FRAME_PAYMENTS_FULL;
    default:
        return FRAME_OK;
    }
}

/* outcomes: of every event, in the reply. */
static enum execution execute_create_transfers(struct shard *shard, struct connection *connection,
                                               bool outcomes)
{
    const struct frame_header *header = connection_header(connection);
    const struct giro_transfer *events = (const struct giro_transfer *)(const void *)(header + 1);
    enum frame_status status;
    enum execution wait;
    uint32_t count;
    if (!record_count(header, sizeof(struct giro_transfer), &count, &status))
        return shard_reply_status(shard, connection, status);
    status = transfers_room(shard, events, count);
    const uint32_t records = ledger_records_max(events, count);
    if (status == FRAME_OK && outcomes && count > FRAME_OUTCOMES_MAX)
        status = FRAME_TOO_MANY_EVENTS;
    if (status == FRAME_OK && records > log_records_max(&shard->log))
        status = FRAME_TOO_MANY_EVENTS; /* with block_bytes_max set to less than 2 MiB */
    if (status != FRAME_OK)
        return shard_reply_status(shard, connection, status);
    char *body = reply_body(shard, connection, created_bytes(outcomes ? count : 0, count), &wait);
    if (body == NULL)
        return wait;
    if (!shard_expire(shard) && !shard->log.storage_full)
        return EXECUTION_WAIT_LOG;
    struct ledger_output output = {
        .results = (struct giro_result *)(void *)(body + created_bytes(outcomes ? count : 0, 0)),
        .outcomes = outcomes ? body + created_bytes(0, 0) : NULL,
    };
    if (!log_room(shard, connection, records, &output, &wait))
        return wait;
    uint64_t timestamp = timestamp_next(shard);
    uint32_t missing =
        ledger_create_transfers(shard->ledger, events, count, timestamp,
                                fetch_cache(shard, connection), shard->addresses, &output);
    if (missing > 0)
        return fetch_start(shard, connection, missing);
    return created(shard, connection, body, timestamp, count, &output);
}

bool shard_expire(struct shard *shard)
{
    uint64_t now;
    while (ledger_expiry_due(shard->ledger, now = timestamp_next(shard))) {
        struct ledger_output output = {0};
        if (log_reserve(&shard->log, EXPIRE_RECORDS_MAX, &output.records, &output.address) !=
            LOG_ROOM)
            return false;
        shard->ledger->window = shard->log.window;
        ledger_expire(shard->ledger, now, EXPIRE_RECORDS_MAX, &output);
        log_commit(&shard->log, output.record_count);
    }
    return true;
}

/* ---- Lookups ----------------------------------------------------------------------------- */

typedef uint32_t ledger_lookup_rows(const struct ledger *ledger, const giro_u128 *ids,
                                    uint32_t count, void *records);

/* Of accounts, or their limits: what is in memory. */
static enum execution execute_lookup_rows(struct shard *shard, struct connection *connection,
                                          ledger_lookup_rows *lookup)
{
    const struct frame_header *header = connection_header(connection);
    enum frame_status status;
    enum execution wait;
    uint32_t count;
    if (!record_count(header, sizeof(giro_u128), &count, &status))
        return shard_reply_status(shard, connection, status);
    char *body = reply_body(shard, connection, count * GIRO_RECORD_BYTES, &wait);
    if (body == NULL)
        return wait;
    uint32_t found =
        lookup(shard->ledger, (const giro_u128 *)(const void *)(header + 1), count, body);
    shard->stats.events += count;
    return reply(shard, connection, FRAME_OK, found * GIRO_RECORD_BYTES);
}

typedef uint32_t ledger_lookup(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                               const struct record_cache *cache, void *records);

/* Of transfers, or of what became of them. */
static enum execution execute_lookup(struct shard *shard, struct connection *connection,
                                     ledger_lookup *lookup)
{
    const struct frame_header *header = connection_header(connection);
    const giro_u128 *ids = (const giro_u128 *)(const void *)(header + 1);
    enum frame_status status;
    enum execution wait;
    uint32_t count;
    if (!record_count(header, sizeof(giro_u128), &count, &status))
        return shard_reply_status(shard, connection, status);
    char *body = reply_body(shard, connection, count * GIRO_RECORD_BYTES, &wait);
    if (body == NULL)
        return wait;
    const struct record_cache *cache = fetch_cache(shard, connection);
    shard->ledger->window = shard->log.window;
    uint32_t missing = ledger_prepare_lookup(shard->ledger, ids, count, cache, shard->addresses);
    if (missing > 0)
        return fetch_start(shard, connection, missing);
    uint32_t found = lookup(shard->ledger, ids, count, cache, body);
    shard->stats.events += count;
    return reply(shard, connection, FRAME_OK, found * GIRO_RECORD_BYTES);
}

/* ---- Dispatch ---------------------------------------------------------------------------- */

static enum execution execute_operation(struct shard *shard, struct connection *connection,
                                        enum frame_status *out_status)
{
    bool bodiless = connection_header(connection)->body_bytes == 0;
    enum execution query;
    if (shard_execute_query(shard, connection, &query))
        return query;
    switch (connection_header(connection)->operation) {
    case FRAME_HELLO:
        return execute_hello(shard, connection, out_status);
    case FRAME_PING:
        return shard_reply_status(shard, connection, bodiless ? FRAME_OK : FRAME_BODY_SIZE);
    case FRAME_STATS:
        return bodiless ? execute_stats(shard, connection)
                        : shard_reply_status(shard, connection, FRAME_BODY_SIZE);
    case FRAME_CREATE_ACCOUNTS:
        return shard->throttled ? execute_later(shard, connection)
                                : execute_create(shard, connection, true);
    case FRAME_SET_LIMITS:
        return shard->throttled ? execute_later(shard, connection)
                                : execute_create(shard, connection, false);
    case FRAME_GET_LIMITS:
        return execute_lookup_rows(shard, connection, ledger_get_limits);
    case FRAME_CREATE_TRANSFERS:
        return shard->throttled ? execute_later(shard, connection)
                                : execute_create_transfers(shard, connection, false);
    case FRAME_CREATE_TRANSFERS_OUTCOMES:
        return shard->throttled ? execute_later(shard, connection)
                                : execute_create_transfers(shard, connection, true);
    case FRAME_LOOKUP_ACCOUNTS:
        return execute_lookup_rows(shard, connection, ledger_lookup_accounts);
    case FRAME_LOOKUP_TRANSFERS:
        return execute_lookup(shard, connection, ledger_lookup_transfers);
    case FRAME_LOOKUP_PAYMENTS:
        return execute_lookup(shard, connection, ledger_lookup_payments);
    default:
        *out_status = FRAME_UNKNOWN_OPERATION;
        return EXECUTION_REFUSED;
    }
}

enum execution shard_execute(struct shard *shard, struct connection *connection,
                             enum frame_status *out_status)
{
    const struct frame_header *header = connection_header(connection);
    *out_status = FRAME_BAD_FLAGS;
    if (header->flags != 0 || header->status != 0)
        return EXECUTION_REFUSED;
    *out_status = FRAME_HELLO_EXPECTED;
    if ((header->operation == FRAME_HELLO) == connection->greeted)
        return EXECUTION_REFUSED;
    enum execution execution = connection->damaged
                                   ? shard_reply_status(shard, connection, FRAME_RECORD_DAMAGED)
                                   : execute_operation(shard, connection, out_status);
    if (execution == EXECUTION_DONE) {
        shard->stats.requests++;
        connection->damaged = false;
        connection->queued = false;
    }
    return execution;
}
