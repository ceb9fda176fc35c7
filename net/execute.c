/* Execution of requests: from a whole frame to a reply, through the ledger and the log. */
#include "net/shard_state.h"

#include "engine/planted.h"
#include "net/compat.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* At a time, so that no request waits long. */
enum { EXPIRE_RECORDS_MAX = 1024, FIRE_EVENTS = LEDGER_FIRE_MAX };

/* The next timestamp: the clock's, or one more than the last, whichever is later. */
uint64_t shard_timestamp_next(const struct shard *shard)
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
enum execution shard_fetch_start(struct shard *shard, struct connection *connection, uint32_t count)
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

const struct record_cache *shard_fetch_cache(struct shard *shard,
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

static uint32_t event_bytes(uint8_t operation)
{
    if (operation == FRAME_CANCEL_SCHEDULES)
        return sizeof(giro_u128);
    return operation == FRAME_CREATE_SCHEDULES ? sizeof(struct giro_schedule) : GIRO_RECORD_BYTES;
}

static enum frame_status create_room(const struct shard *shard, uint8_t operation, uint32_t count)
{
    if (operation == FRAME_CREATE_ACCOUNTS &&
        ledger_room_accounts(shard->ledger, count) != LEDGER_ROOM)
        return FRAME_ACCOUNTS_FULL;
    if (operation == FRAME_CREATE_SCHEDULES &&
        ledger_room_schedules(shard->ledger, count) != LEDGER_ROOM)
        return FRAME_SCHEDULES_FULL;
    return FRAME_OK;
}

static void create_by_itself(struct shard *shard, uint8_t operation, const void *events,
                             uint32_t count, uint64_t timestamp, struct ledger_output *output)
{
    if (operation == FRAME_CREATE_ACCOUNTS)
        ledger_create_accounts(shard->ledger, events, count, timestamp, output);
    else if (operation == FRAME_SET_LIMITS)
        ledger_set_limits(shard->ledger, events, count, timestamp, output);
    else if (operation == FRAME_CREATE_SCHEDULES)
        ledger_create_schedules(shard->ledger, events, count, timestamp, output);
    else if (operation == FRAME_CUT_OFF)
        ledger_cut_off(shard->ledger, events, count, timestamp, output);
    else
        ledger_cancel_schedules(shard->ledger, events, count, timestamp, output);
}

/* Accounts, limits, schedules: nothing that needs old records. */
static enum execution execute_create(struct shard *shard, struct connection *connection)
{
    const struct frame_header *header = connection_header(connection);
    const uint8_t operation = header->operation;
    enum frame_status status;
    enum execution wait;
    uint32_t count;
    if (!record_count(header, event_bytes(operation), &count, &status))
        return shard_reply_status(shard, connection, status);
    status = create_room(shard, operation, count);
    if (status != FRAME_OK)
        return shard_reply_status(shard, connection, status);
    char *body = reply_body(shard, connection, created_bytes(0, count), &wait);
    if (body == NULL)
        return wait;
    struct ledger_output output = {
        .results = (struct giro_result *)(void *)(body + created_bytes(0, 0)),
    };
    const uint32_t records = operation == FRAME_CREATE_SCHEDULES ? 2 * count : count;
    if (!log_room(shard, connection, records, &output, &wait))
        return wait;
    uint64_t timestamp = shard_timestamp_next(shard);
    create_by_itself(shard, operation, header + 1, count, timestamp, &output);
    return created(shard, connection, body, timestamp, count, &output);
}

/* What the server does to leases, or tells of them, is in the reply, one record an event. */
static enum execution execute_lease(struct shard *shard, struct connection *connection)
{
    const struct frame_header *header = connection_header(connection);
    enum frame_status status;
    enum execution wait;
    uint32_t count;
    if (!record_count(header, sizeof(struct giro_lease), &count, &status))
        return shard_reply_status(shard, connection, status);
    char *body = reply_body(shard, connection, count * GIRO_RECORD_BYTES, &wait);
    if (body == NULL)
        return wait;
    struct ledger_output output = {0};
    if (!log_room(shard, connection, count, &output, &wait))
        return wait;
    ledger_lease(shard->ledger, (const struct giro_lease *)(const void *)(header + 1), count,
                 shard_timestamp_next(shard), body, &output);
    log_commit(&shard->log, output.record_count);
    shard->stats.events += count;
    shard->stats.events_rejected += output.result_count;
    return reply(shard, connection, FRAME_OK, count * GIRO_RECORD_BYTES);
}

/* The events of a create of transfers, and the lease in front of them when the frame says so. */
static bool transfers_of(const struct frame_header *header, const struct giro_fence **out_fence,
                         const struct giro_transfer **out_events, uint32_t *out_count,
                         enum frame_status *out_status)
{
    struct frame_header events = *header;
    const char *body = (const char *)(header + 1);
    *out_fence = NULL;
    if ((header->flags & FRAME_FLAG_FENCED) != 0) {
        *out_status = FRAME_BODY_SIZE;
        if (header->body_bytes < sizeof **out_fence)
            return false;
        *out_fence = (const struct giro_fence *)(const void *)body;
        *out_status = FRAME_FENCE_RESERVED;
        if ((*out_fence)->reserved != 0)
            return false;
        events.body_bytes -= (uint32_t)sizeof **out_fence;
        body += sizeof **out_fence;
    }
    *out_events = (const struct giro_transfer *)(const void *)body;
    return record_count(&events, sizeof **out_events, out_count, out_status);
}

enum frame_status shard_transfers_room(const struct shard *shard,
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
    const struct giro_transfer *events;
    const struct giro_fence *fence;
    enum frame_status status;
    enum execution wait;
    uint32_t count;
    if (!transfers_of(header, &fence, &events, &count, &status))
        return shard_reply_status(shard, connection, status);
    status = shard_transfers_room(shard, events, count);
    const uint32_t records = ledger_records_max(shard->ledger, events, count);
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
        .fence = fence,
        .outcomes = outcomes ? body + created_bytes(0, 0) : NULL,
    };
    if (!log_room(shard, connection, records, &output, &wait))
        return wait;
    uint64_t timestamp = shard_timestamp_next(shard);
    uint32_t missing =
        ledger_create_transfers(shard->ledger, events, count, timestamp,
                                shard_fetch_cache(shard, connection), shard->addresses, &output);
    if (missing > 0)
        return shard_fetch_start(shard, connection, missing);
    return created(shard, connection, body, timestamp, count, &output);
}

bool shard_expire(struct shard *shard)
{
    uint64_t now;
    while (ledger_expiry_due(shard->ledger, now = shard_timestamp_next(shard))) {
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

/* Fetches what has to be known before schedules can fire. */
static void firing_fetch(struct shard *shard, uint32_t count)
{
    struct log_fetch *fetch = &shard->firing.fetch;
    if (fetch->cache.count + count > FIRE_CACHE_RECORDS)
        record_cache_clear(&fetch->cache);
    memcpy(fetch->addresses, shard->addresses, count * sizeof *shard->addresses);
    log_fetch_start(fetch, count);
    shard->firing_fetches = true;
    shard->stats.records_fetched += count;
}

void shard_fire(struct shard *shard)
{
    const uint64_t now = shard_timestamp_next(shard);
    struct ledger_output output = {0};
    if (shard->firing_fetches || shard->monotonic_ns < shard->firing_paused_until ||
        !ledger_fire_due(shard->ledger, now))
        return;
    if (!shard->throttled && log_reserve(&shard->log, FIRE_EVENTS * LEDGER_FIRE_RECORDS,
                                         &output.records, &output.address) == LOG_ROOM) {
        shard->ledger->window = shard->log.window;
        const uint32_t missing = ledger_fire(shard->ledger, now, FIRE_EVENTS,
                                             &shard->firing.fetch.cache, shard->addresses, &output);
        if (missing > 0) {
            firing_fetch(shard, missing);
            return;
        }
        record_cache_clear(&shard->firing.fetch.cache);
        log_commit(&shard->log, output.record_count);
    }
    /* When there is no room they stay due for now. When all have fired, let a few come together: each
     * batch is a block of the log that others wait behind. */
    if (output.record_count == 0 || !ledger_fire_due(shard->ledger, now))
        shard->firing_paused_until = shard->monotonic_ns + FIRE_PAUSE_NS;
}

/* ---- Lookups ----------------------------------------------------------------------------- */

static uint32_t row_bytes(uint8_t operation)
{
    return operation == FRAME_GET_SCHEDULES ? sizeof(struct giro_schedule) : GIRO_RECORD_BYTES;
}

static uint32_t lookup_rows(const struct shard *shard, uint8_t operation, const giro_u128 *ids,
                            uint32_t count, void *records)
{
    if (operation == FRAME_GET_LIMITS)
        return ledger_get_limits(shard->ledger, ids, count, records);
    if (operation == FRAME_GET_SETTLEMENTS)
        return ledger_get_settlements(shard->ledger, ids, count, records);
    if (operation == FRAME_GET_SCHEDULES)
        return ledger_get_schedules(shard->ledger, ids, count, records);
    if (operation == FRAME_GET_LEASES)
        return ledger_get_leases(shard->ledger, ids, count, records);
    if (operation == FRAME_GET_VELOCITY)
        return ledger_get_velocity(shard->ledger, ids, count, shard_timestamp_next(shard), records);
    return ledger_lookup_accounts(shard->ledger, ids, count, records);
}

/* Of accounts, their limits, leases, schedules: what is in memory. */
static enum execution execute_lookup_rows(struct shard *shard, struct connection *connection)
{
    const struct frame_header *header = connection_header(connection);
    const uint32_t size = row_bytes(header->operation);
    enum frame_status status;
    enum execution wait;
    uint32_t count;
    if (!record_count(header, sizeof(giro_u128), &count, &status))
        return shard_reply_status(shard, connection, status);
    if (count > FRAME_BODY_BYTES_MAX / size)
        return shard_reply_status(shard, connection, FRAME_TOO_MANY_EVENTS);
    char *body = reply_body(shard, connection, count * size, &wait);
    if (body == NULL)
        return wait;
    uint32_t found = lookup_rows(shard, header->operation,
                                 (const giro_u128 *)(const void *)(header + 1), count, body);
    shard->stats.events += count;
    return reply(shard, connection, FRAME_OK, found * size);
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
    const struct record_cache *cache = shard_fetch_cache(shard, connection);
    shard->ledger->window = shard->log.window;
    uint32_t missing = ledger_prepare_lookup(shard->ledger, ids, count, cache, shard->addresses);
    if (missing > 0)
        return shard_fetch_start(shard, connection, missing);
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
    case FRAME_SET_LIMITS:
    case FRAME_CREATE_SCHEDULES:
    case FRAME_CANCEL_SCHEDULES:
    case FRAME_CUT_OFF:
        return shard->throttled ? execute_later(shard, connection)
                                : execute_create(shard, connection);
    case FRAME_LEASE:
        return shard->throttled ? execute_later(shard, connection)
                                : execute_lease(shard, connection);
    case FRAME_CREATE_TRANSFERS:
        return shard->throttled ? execute_later(shard, connection)
                                : execute_create_transfers(shard, connection, false);
    case FRAME_CREATE_TRANSFERS_OUTCOMES:
        return shard->throttled ? execute_later(shard, connection)
                                : execute_create_transfers(shard, connection, true);
    case FRAME_LOOKUP_ACCOUNTS:
    case FRAME_GET_LIMITS:
    case FRAME_GET_VELOCITY:
    case FRAME_GET_LEASES:
    case FRAME_GET_SCHEDULES:
    case FRAME_GET_SETTLEMENTS:
        return execute_lookup_rows(shard, connection);
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
    if (connection->compat)
        return compat_execute(shard, connection);
    const struct frame_header *header = connection_header(connection);
    const bool may_be_fenced = header->operation == FRAME_CREATE_TRANSFERS ||
                               header->operation == FRAME_CREATE_TRANSFERS_OUTCOMES;
    const unsigned known_flags = may_be_fenced ? FRAME_FLAG_FENCED : 0;
    *out_status = FRAME_BAD_FLAGS;
    if ((header->flags & ~known_flags) != 0 || header->status != 0)
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
