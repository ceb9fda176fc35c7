/* Queries, changes and snapshots: checked here, answered by the follower, replied to here. The
 * shard's thread only hands them over. */
#include "net/shard_state.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

_Static_assert((int)FRAME_EVENTS_MAX == (int)QUERY_RESULTS_MAX, "results of a reply");
_Static_assert((int)FRAME_BODY_BYTES_MAX <= (int)FOLLOWER_OUTPUT_BYTES, "a request's output");

/* ---- Filters ----------------------------------------------------------------------------- */

static enum frame_status timestamps_check(uint64_t min, uint64_t max)
{
    if (min > GIRO_TIMESTAMP_MAX)
        return FRAME_FILTER_TIMESTAMP_MIN;
    if (max > GIRO_TIMESTAMP_MAX)
        return FRAME_FILTER_TIMESTAMP_MAX;
    return max != 0 && min > max ? FRAME_FILTER_TIMESTAMPS : FRAME_OK;
}

static enum frame_status limit_check(uint32_t limit, uint32_t limit_max)
{
    return limit == 0 || limit > limit_max ? FRAME_FILTER_LIMIT : FRAME_OK;
}

static enum frame_status account_filter_check(const struct shard *shard,
                                              enum follower_request_kind kind,
                                              const struct giro_account_filter *filter)
{
    if (filter->account_id == 0 || filter->account_id == GIRO_U128_MAX)
        return FRAME_FILTER_ACCOUNT_ID;
    enum frame_status status = timestamps_check(filter->timestamp_min, filter->timestamp_max);
    if (status == FRAME_OK)
        status = limit_check(filter->limit, FRAME_EVENTS_MAX);
    if (status != FRAME_OK)
        return status;
    const uint32_t sides = GIRO_ACCOUNT_FILTER_DEBITS | GIRO_ACCOUNT_FILTER_CREDITS;
    if ((filter->flags & sides) == 0 || (filter->flags & ~GIRO_ACCOUNT_FILTER_FLAGS_ALL) != 0)
        return FRAME_FILTER_FLAGS;
    if (!all_zero(filter->reserved, sizeof filter->reserved))
        return FRAME_FILTER_RESERVED;
    if (kind != FOLLOWER_ACCOUNT_BALANCES)
        return FRAME_OK;
    const struct accounts *accounts = &shard->ledger->accounts;
    uint32_t row = accounts_find(accounts, filter->account_id);
    return row != ACCOUNTS_NONE && (accounts->rows[row].flags & GIRO_ACCOUNT_HISTORY) == 0
               ? FRAME_FILTER_NO_HISTORY
               : FRAME_OK;
}

static enum frame_status query_filter_check(const struct giro_query_filter *filter)
{
    enum frame_status status = timestamps_check(filter->timestamp_min, filter->timestamp_max);
    if (status == FRAME_OK)
        status = limit_check(filter->limit, FRAME_EVENTS_MAX);
    if (status != FRAME_OK)
        return status;
    if ((filter->flags & ~GIRO_QUERY_FILTER_FLAGS_ALL) != 0)
        return FRAME_FILTER_FLAGS;
    return all_zero(filter->reserved, sizeof filter->reserved) ? FRAME_OK : FRAME_FILTER_RESERVED;
}

static enum frame_status change_filter_check(const struct shard *shard,
                                             const struct giro_change_filter *filter)
{
    if (filter->ordinal > shard->log.ordinal + shard->log.open_records)
        return FRAME_FILTER_ORDINAL;
    if (filter->wait_ms > FRAME_CHANGES_WAIT_MS_MAX)
        return FRAME_FILTER_WAIT;
    if (filter->reserved[0] != 0 || filter->reserved[1] != 0)
        return FRAME_FILTER_RESERVED;
    return limit_check(filter->limit, FRAME_CHANGES_MAX);
}

/* ---- Handing over ------------------------------------------------------------------------ */

static bool request_kind(uint8_t operation, enum follower_request_kind *out_kind,
                         uint32_t *out_filter_bytes)
{
    switch (operation) {
    case FRAME_GET_ACCOUNT_TRANSFERS:
        *out_kind = FOLLOWER_ACCOUNT_TRANSFERS;
        *out_filter_bytes = sizeof(struct giro_account_filter);
        return true;
    case FRAME_GET_ACCOUNT_BALANCES:
        *out_kind = FOLLOWER_ACCOUNT_BALANCES;
        *out_filter_bytes = sizeof(struct giro_account_filter);
        return true;
    case FRAME_QUERY_ACCOUNTS:
        *out_kind = FOLLOWER_ACCOUNTS;
        *out_filter_bytes = sizeof(struct giro_query_filter);
        return true;
    case FRAME_QUERY_TRANSFERS:
        *out_kind = FOLLOWER_TRANSFERS;
        *out_filter_bytes = sizeof(struct giro_query_filter);
        return true;
    case FRAME_READ_CHANGES:
        *out_kind = FOLLOWER_CHANGES;
        *out_filter_bytes = sizeof(struct giro_change_filter);
        return true;
    case FRAME_SNAPSHOT:
        *out_kind = FOLLOWER_SNAPSHOT;
        *out_filter_bytes = 0;
        return true;
    default:
        return false;
    }
}

static enum frame_status filter_check(const struct shard *shard,
                                      const struct follower_request *request)
{
    switch (request->kind) {
    case FOLLOWER_ACCOUNT_TRANSFERS:
    case FOLLOWER_ACCOUNT_BALANCES:
        return account_filter_check(shard, request->kind, &request->filter.account);
    case FOLLOWER_ACCOUNTS:
    case FOLLOWER_TRANSFERS:
        return query_filter_check(&request->filter.query);
    case FOLLOWER_CHANGES:
        return change_filter_check(shard, &request->filter.change);
    case FOLLOWER_SNAPSHOT:
        return FRAME_OK;
    }
    return FRAME_OK;
}

enum frame_status shard_query_begin(struct shard *shard, struct connection *connection,
                                    enum follower_request_kind kind, const void *filter,
                                    uint32_t filter_bytes, enum execution *out_execution)
{
    *out_execution = EXECUTION_WAIT_BUFFER;
    if (!shard->follower->started || follower_failure(shard->follower) != FOLLOWER_SOUND)
        return FRAME_FOLLOWER_OFF;
    struct follower_request *request = follower_request(shard->follower, kind);
    connection->queued = request == NULL;
    if (request == NULL)
        return FRAME_OK;
    memset(&request->filter, 0, sizeof request->filter);
    memcpy(&request->filter, filter, filter_bytes);
    enum frame_status status = filter_check(shard, request);
    if (status != FRAME_OK) {
        follower_release(shard->follower, request);
        return status;
    }
    if (kind == FOLLOWER_SNAPSHOT)
        request->filter.snapshot_segment = log_roll(&shard->log);
    request->fence_lsn = log_lsn_visible(&shard->log);
    request->owner = connection;
    connection->request = request;
    connection->fetching = true;
    shard->requests_pending++;
    follower_submit(shard->follower, request);
    *out_execution = EXECUTION_FETCHING;
    return FRAME_OK;
}

void shard_query_end(struct shard *shard, struct connection *connection)
{
    shard->stats.events += connection->request->count;
    follower_release(shard->follower, connection->request);
    connection->request = NULL;
}

static enum execution request_submit(struct shard *shard, struct connection *connection,
                                     enum follower_request_kind kind, uint32_t filter_bytes)
{
    const struct frame_header *header = connection_header(connection);
    enum execution execution;
    if (header->body_bytes != filter_bytes)
        return shard_reply_status(shard, connection, FRAME_BODY_SIZE);
    enum frame_status status =
        shard_query_begin(shard, connection, kind, header + 1, filter_bytes, &execution);
    return status == FRAME_OK ? execution : shard_reply_status(shard, connection, status);
}

/* ---- Replying ---------------------------------------------------------------------------- */

static enum frame_status result_status(const struct follower_request *request)
{
    switch (request->result) {
    case 0:
        return FRAME_OK;
    case -ECANCELED:
        return FRAME_QUERY_CANCELLED;
    case -EPIPE:
        return FRAME_FOLLOWER_OFF;
    case -EILSEQ:
        return FRAME_RECORD_DAMAGED;
    default:
        return request->kind == FOLLOWER_SNAPSHOT ? FRAME_SNAPSHOT_FAILED : FRAME_INDEX_DAMAGED;
    }
}

static uint32_t body_write(const struct follower_request *request, char *body)
{
    switch (request->kind) {
    case FOLLOWER_CHANGES: {
        struct frame_changes head = {
            .ordinal_next = request->changes.ordinal_next,
            .ordinal_end = request->changes.ordinal_end,
            .count = request->count,
        };
        memcpy(body, &head, sizeof head);
        memcpy(body + sizeof head, request->output, request->count * sizeof(struct giro_change));
        return (uint32_t)(sizeof head + request->count * sizeof(struct giro_change));
    }
    case FOLLOWER_SNAPSHOT: {
        struct frame_snapshot snapshot = {
            .lsn = request->snapshot.lsn,
            .bytes = request->snapshot.file_bytes,
            .segment = request->snapshot.segment,
        };
        memcpy(body, &snapshot, sizeof snapshot);
        return sizeof snapshot;
    }
    default:
        memcpy(body, request->output, (size_t)request->count * GIRO_RECORD_BYTES);
        return request->count * GIRO_RECORD_BYTES;
    }
}

static uint32_t body_bytes(const struct follower_request *request)
{
    if (request->result != 0)
        return 0;
    switch (request->kind) {
    case FOLLOWER_CHANGES:
        return (uint32_t)(sizeof(struct frame_changes) +
                          request->count * sizeof(struct giro_change));
    case FOLLOWER_SNAPSHOT:
        return sizeof(struct frame_snapshot);
    default:
        return request->count * GIRO_RECORD_BYTES;
    }
}

static enum execution request_reply(struct shard *shard, struct connection *connection)
{
    struct follower_request *request = connection->request;
    char *frame = connection_reply_reserve(connection, &shard->out_pool, body_bytes(request));
    if (frame == NULL)
        return connection->starved ? EXECUTION_WAIT_BUFFER : EXECUTION_WAIT_OUTPUT;
    enum frame_status status = result_status(request);
    uint32_t bytes = status == FRAME_OK ? body_write(request, frame + FRAME_HEADER_BYTES) : 0;
    /* Everything in it is durable, and was no later than the fence says when it was asked for. */
    connection_reply(connection, connection_header(connection), status, bytes, request->fence_lsn);
    shard_query_end(shard, connection);
    return EXECUTION_DONE;
}

bool shard_execute_query(struct shard *shard, struct connection *connection,
                         enum execution *out_execution)
{
    enum follower_request_kind kind;
    uint32_t filter_bytes;
    if (!request_kind(connection_header(connection)->operation, &kind, &filter_bytes))
        return false;
    *out_execution = connection->request != NULL
                         ? request_reply(shard, connection)
                         : request_submit(shard, connection, kind, filter_bytes);
    return true;
}

struct connection *shard_query_completed(struct shard *shard)
{
    struct follower_request *request = follower_completed(shard->follower);
    if (request != NULL && request->owner == NULL) { /* the shard's own */
        follower_release(shard->follower, request);
        shard->own_pending = false;
        request = follower_completed(shard->follower);
    }
    if (request == NULL)
        return NULL;
    struct connection *connection = request->owner;
    assert(connection->request == request);
    shard->requests_pending--;
    connection->fetching = false;
    return connection;
}

void shard_query_drop(struct shard *shard, struct connection *connection)
{
    if (connection->request == NULL)
        return;
    if (connection->fetching) {
        atomic_store_explicit(&connection->request->cancelled, true, memory_order_relaxed);
        follower_wake(shard->follower);
        return; /* it comes back */
    }
    follower_release(shard->follower, connection->request);
    connection->request = NULL;
}
