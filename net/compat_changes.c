/* Change events of the compatible port: what became of transfers, from a time on, in the order in which it
 * happened, out of the changes that the follower reads from the log.
 *
 * A page of changes at a time: those that are about transfers become events in the reply, until it is full,
 * or the log is at its end. An expiry tells little of its transfer, which is looked up, and perhaps
 * fetched, once the pages are done. */
#include "net/compat_message.h"

#include <string.h>

enum {
    EVENT_BYTES = 384,
    EVENTS_MAX = COMPAT_BODY_BYTES_MAX / EVENT_BYTES,
    EVENT_ACCOUNT_BYTES = 112,
};

enum event_type { SINGLE, PENDING, POSTED, VOIDED, EXPIRED };

struct filter {
    uint64_t timestamp_min;
    uint64_t timestamp_max;
    uint32_t limit;
    uint8_t reserved[44];
};

struct event_account {
    GIRO_ALIGNAS_16 giro_u128 id;
    struct giro_balances balances;
    giro_u128 user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint16_t code;
    uint16_t flags;
};

struct event {
    GIRO_ALIGNAS_16 giro_u128 id;
    giro_u128 amount;
    giro_u128 pending_id;
    giro_u128 user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint32_t timeout;
    uint16_t code;
    uint16_t flags;
    uint32_t ledger;
    uint8_t type; /* enum event_type */
    uint8_t reserved[39];
    struct event_account debit;
    struct event_account credit;
    uint64_t timestamp;
    uint64_t transfer_timestamp;
    uint64_t debit_timestamp;
    uint64_t credit_timestamp;
};

_Static_assert(sizeof(struct filter) == 64 && sizeof(struct event_account) == EVENT_ACCOUNT_BYTES &&
                   sizeof(struct event) == EVENT_BYTES && offsetof(struct event, debit) == 128 &&
                   offsetof(struct event, timestamp) == 352,
               "layout");

/* How far the message is. */
enum phase { PAGES, EXPIRIES };

static bool filter_formed(const struct filter *filter)
{
    return filter->timestamp_min <= GIRO_TIMESTAMP_MAX &&
           filter->timestamp_max <= GIRO_TIMESTAMP_MAX &&
           (filter->timestamp_max == 0 || filter->timestamp_min <= filter->timestamp_max) &&
           filter->limit != 0 && all_zero(filter->reserved, sizeof filter->reserved);
}

static struct event_account account_of(const struct shard *shard, giro_u128 id,
                                       const struct giro_balances *balances,
                                       uint64_t *out_timestamp)
{
    const struct accounts *accounts = &shard->ledger->accounts;
    const struct giro_account *row = &accounts->rows[accounts_find(accounts, id)];
    *out_timestamp = row->timestamp;
    return (struct event_account){
        .id = id,
        .balances = *balances,
        .user_data_128 = row->user_data_128,
        .user_data_64 = row->user_data_64,
        .user_data_32 = row->user_data_32,
        .code = row->code,
        .flags = row->flags,
    };
}

/* What is known of an event from its transfer. */
static void event_transfer(struct event *event, const struct giro_transfer *transfer)
{
    event->id = transfer->id;
    event->amount = transfer->amount;
    event->pending_id = transfer->pending_id;
    event->user_data_128 = transfer->user_data_128;
    event->user_data_64 = transfer->user_data_64;
    event->user_data_32 = transfer->user_data_32;
    event->timeout = transfer->timeout;
    event->code = transfer->code;
    event->flags = transfer->flags;
    event->ledger = transfer->ledger;
    event->transfer_timestamp = transfer->timestamp;
}

/* False: it is about no transfer. Of an expiry, id is that of its transfer, which is to be looked up. */
static bool event_make(const struct shard *shard, const struct giro_change *change,
                       struct event *event)
{
    const struct giro_transfer *transfer = &change->record.transfer;
    *event = (struct event){.timestamp = transfer->timestamp};
    event_transfer(event, transfer);
    switch ((enum giro_change_kind)change->kind) {
    case GIRO_CHANGE_TRANSFER_CREATED:
        event->type = (transfer->flags & GIRO_TRANSFER_PENDING) != 0 ? PENDING : SINGLE;
        break;
    case GIRO_CHANGE_PENDING_POSTED:
        event->type = POSTED;
        break;
    case GIRO_CHANGE_PENDING_VOIDED:
        event->type = VOIDED;
        break;
    case GIRO_CHANGE_PENDING_EXPIRED:
        event->type = EXPIRED;
        event->id = transfer->pending_id;
        break;
    default:
        return false;
    }
    event->debit =
        account_of(shard, transfer->debit_account_id, &change->debit, &event->debit_timestamp);
    event->credit =
        account_of(shard, transfer->credit_account_id, &change->credit, &event->credit_timestamp);
    return true;
}

/* Takes a page into the reply. Returns whether there may be more. */
static bool page_take(const struct compat_message *message, const struct filter *filter,
                      char *reply)
{
    struct connection *connection = message->connection;
    const struct follower_request *request = connection->request;
    const uint32_t limit = filter->limit < EVENTS_MAX ? filter->limit : EVENTS_MAX;
    bool more = request->changes.ordinal_next < request->changes.ordinal_end;
    connection->compat_ordinal = request->changes.ordinal_next;
    for (uint32_t i = 0; i < request->count; i++) {
        struct giro_change change;
        struct event event;
        memcpy(&change, request->output + (size_t)i * sizeof change, sizeof change);
        if (!event_make(message->shard, &change, &event) ||
            event.timestamp < filter->timestamp_min ||
            (filter->timestamp_max != 0 && event.timestamp > filter->timestamp_max))
            continue;
        if (connection->compat_bytes == limit * EVENT_BYTES) {
            connection->compat_ordinal = change.ordinal;
            more = false;
            break;
        }
        memcpy(reply + connection->compat_bytes, &event, sizeof event);
        connection->compat_bytes += EVENT_BYTES;
    }
    connection->compat_lsn = request->fence_lsn;
    shard_query_end(message->shard, connection);
    return more;
}

/* Completes expiries with their transfers. Returns how many addresses have to be fetched first. */
static uint32_t expiries_complete(const struct compat_message *message, char *reply)
{
    struct shard *shard = message->shard;
    const struct record_cache *cache = shard_fetch_cache(shard, message->connection);
    giro_u128 ids[EVENTS_MAX];
    uint32_t count = 0;
    const uint32_t bytes = message->connection->compat_bytes;
    for (uint32_t at = 0; at < bytes; at += EVENT_BYTES) {
        struct event event;
        memcpy(&event, reply + at, sizeof event);
        if (event.type == EXPIRED)
            ids[count++] = event.id;
    }
    shard->ledger->window = shard->log.window;
    const uint32_t missing =
        ledger_prepare_lookup(shard->ledger, ids, count, cache, shard->addresses);
    if (missing > 0)
        return missing;
    for (uint32_t at = 0; at < bytes; at += EVENT_BYTES) {
        struct giro_transfer transfer;
        struct event event;
        memcpy(&event, reply + at, sizeof event);
        if (event.type != EXPIRED ||
            ledger_lookup_transfers(shard->ledger, &event.id, 1, cache, &transfer) == 0)
            continue;
        event_transfer(&event, &transfer);
        memcpy(reply + at, &event, sizeof event);
    }
    return 0;
}

/* Asks the follower for the next page: from where the last request has ended, when this one goes on
 * there, else from where the first of its transfers may be. */
static enum execution page_ask(const struct compat_message *message, const struct filter *filter)
{
    struct connection *connection = message->connection;
    enum execution execution;
    const bool first = connection->compat_bytes == 0 && connection->compat_pages == 0;
    if (first &&
        (connection->compat_after == 0 || connection->compat_after != filter->timestamp_min))
        connection->compat_ordinal = 0;
    const struct follower_changes_filter wanted = {
        .change = {.ordinal = connection->compat_ordinal, .limit = FRAME_CHANGES_MAX},
        .timestamp_min = filter->timestamp_min,
    };
    const enum frame_status status = shard_query_begin(message->shard, connection, FOLLOWER_CHANGES,
                                                       &wanted, sizeof wanted, &execution);
    if (connection->request != NULL)
        connection->compat_after = 0; /* until it is known where this one ends */
    return status == FRAME_OK ? execution : compat_ignore();
}

/* Whoever asks for what is behind the last event goes on where this message has ended. Not behind one
 * that leaves out what is too late for it: that has been read, and was not told. */
static void place_keep(struct connection *connection, const struct filter *filter,
                       const char *reply)
{
    connection->compat_after = filter->timestamp_max == 0 ? filter->timestamp_min : 0;
    if (filter->timestamp_max == 0 && connection->compat_bytes > 0) {
        struct event last;
        memcpy(&last, reply + connection->compat_bytes - EVENT_BYTES, sizeof last);
        connection->compat_after = last.timestamp + 1;
    }
}

enum execution compat_execute_changes(const struct compat_message *message, uint32_t row)
{
    struct connection *connection = message->connection;
    struct filter filter;
    enum execution execution;
    if (message->batches.elements != 1)
        return compat_evict(message, COMPAT_INVALID_BODY_SIZE);
    memcpy(&filter, message->body, sizeof filter);
    if (connection->compat_batch == PAGES && connection->compat_pages == 0 &&
        connection->request == NULL && connection->out_end != 0)
        return EXECUTION_WAIT_OUTPUT;
    char *reply = compat_body_reserve(message, COMPAT_BODY_BYTES_MAX, &execution);
    if (reply == NULL)
        return execution;
    if (!filter_formed(&filter))
        return compat_read_send(message, row, 0, log_lsn_visible(&message->shard->log));
    if (connection->request != NULL && connection->request->result != 0) {
        shard_query_end(message->shard, connection);
        return compat_ignore();
    }
    if (connection->request != NULL) {
        connection->compat_pages++;
        if (!page_take(message, &filter, reply))
            connection->compat_batch = EXPIRIES;
    }
    if (connection->compat_batch == PAGES)
        return page_ask(message, &filter);
    const uint32_t missing = expiries_complete(message, reply);
    if (missing > 0)
        return shard_fetch_start(message->shard, connection, missing);
    place_keep(connection, &filter, reply);
    return compat_read_send(message, row, connection->compat_bytes, connection->compat_lsn);
}
