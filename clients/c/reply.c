/* A reply: first all of it is checked against the frame that it answers, then it is handed out. The
 * body lies anywhere in the receive buffer, so that everything is copied before it is looked at. */
#include "clients/c/client.h"

#include <assert.h>
#include <string.h>

_Static_assert(sizeof(struct giro_server_stats) == sizeof(struct frame_stats), "stats layout");
_Static_assert(offsetof(struct giro_server_stats, storage_full) ==
                   offsetof(struct frame_stats, storage_full),
               "stats layout");
_Static_assert(offsetof(struct giro_server_stats, memory_follower_bytes) ==
                   offsetof(struct frame_stats, memory_follower_bytes),
               "stats layout");
_Static_assert(sizeof(struct giro_server_snapshot) == sizeof(struct frame_snapshot),
               "snapshot layout");
_Static_assert(offsetof(struct giro_server_snapshot, segment) ==
                   offsetof(struct frame_snapshot, segment),
               "snapshot layout");

/* ---- Creates ----------------------------------------------------------------------------- */

/* Outcomes of all events, when they were asked for, come in front of the results. */
static size_t outcomes_bytes(const struct frame *frame)
{
    return frame->operation == GIRO_CREATE_TRANSFERS_OUTCOMES
               ? frame->event_count * sizeof(struct giro_outcome)
               : 0;
}

static struct giro_result result_at(const struct frame *frame, const void *body, uint32_t position)
{
    struct giro_result result;
    memcpy(&result,
           (const char *)body + sizeof(struct frame_created) + outcomes_bytes(frame) +
               (size_t)position * sizeof result,
           sizeof result);
    return result;
}

static uint32_t outcome_code(const void *body, uint32_t index)
{
    uint32_t code;
    memcpy(&code,
           (const char *)body + sizeof(struct frame_created) + index * sizeof(struct giro_outcome) +
               offsetof(struct giro_outcome, code),
           sizeof code);
    return code;
}

static bool timestamps_valid(uint64_t first, const struct frame *frame, uint32_t result_count)
{
    if (first > GIRO_TIMESTAMP_MAX - frame->event_count)
        return false;
    return first != 0 || result_count == frame->event_count;
}

static int created_check(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    struct frame_created created;
    if (body_bytes < sizeof created)
        return GIRO_EPROTOCOL;
    memcpy(&created, body, sizeof created);
    if (created.result_count > frame->event_count ||
        body_bytes != sizeof created + outcomes_bytes(frame) +
                          created.result_count * sizeof(struct giro_result) ||
        !timestamps_valid(created.timestamp_first, frame, created.result_count))
        return GIRO_EPROTOCOL;

    uint32_t index_min = 0;
    for (uint32_t i = 0; i < created.result_count; i++) {
        struct giro_result result = result_at(frame, body, i);
        if (result.index < index_min || result.index >= frame->event_count || result.code == 0)
            return GIRO_EPROTOCOL;
        if (outcomes_bytes(frame) != 0 && outcome_code(body, result.index) != result.code)
            return GIRO_EPROTOCOL;
        index_min = result.index + 1;
    }
    uint32_t failed = 0;
    for (uint32_t i = 0; i < frame->event_count && outcomes_bytes(frame) != 0; i++)
        failed += outcome_code(body, i) != 0;
    return outcomes_bytes(frame) == 0 || failed == created.result_count ? 0 : GIRO_EPROTOCOL;
}

/* The code of what is there already as the event would have it; 0: the operation has none. */
static uint32_t code_exists(enum giro_operation operation)
{
    switch (operation) {
    case GIRO_CREATE_ACCOUNTS:
        return GIRO_ACCOUNT_EXISTS;
    case GIRO_CREATE_TRANSFERS:
    case GIRO_CREATE_TRANSFERS_OUTCOMES:
        return GIRO_TRANSFER_EXISTS;
    case GIRO_CREATE_SCHEDULES:
        return GIRO_SCHEDULE_RESULT_EXISTS;
    case GIRO_CANCEL_SCHEDULES:
        return GIRO_SCHEDULE_RESULT_ALREADY_OVER;
    case GIRO_CUT_OFF:
        return GIRO_CUT_OFF_RESULT_EPOCH_IS_OVER;
    default:
        return 0;
    }
}

static void created_add(struct giro_request *request, struct giro_result result)
{
    result.index -= request->internal.offset;
    assert(result.index < request->count);
    if (request->output.results != NULL)
        request->output.results[request->result_count] = result;
    request->result_count++;
    request->exists_count += result.code == code_exists(request->operation);
}

static void created_deliver(const struct frame *frame, const void *body)
{
    struct frame_created created;
    memcpy(&created, body, sizeof created);
    uint32_t position = 0;
    for (struct giro_request *request = frame->requests.head; request != NULL;
         request = request->internal.next) {
        uint32_t end = request->internal.offset + request->count;
        request->timestamp_first = created.timestamp_first + request->internal.offset;
        if (outcomes_bytes(frame) != 0)
            memcpy(request->outcomes,
                   (const char *)body + sizeof created +
                       request->internal.offset * sizeof(struct giro_outcome),
                   request->count * sizeof(struct giro_outcome));
        for (; position < created.result_count; position++) {
            struct giro_result result = result_at(frame, body, position);
            if (result.index >= end)
                break;
            if (result.index >= request->internal.offset) /* else of one that gave up waiting */
                created_add(request, result);
        }
    }
}

/* ---- Lookups ----------------------------------------------------------------------------- */

/* All records begin with their id, or key. */
static giro_u128 record_id(const struct frame *frame, const void *body, uint32_t position)
{
    _Static_assert(offsetof(struct giro_account, id) == 0, "record layout");
    _Static_assert(offsetof(struct giro_transfer, id) == 0, "record layout");
    _Static_assert(offsetof(struct giro_lease, key) == 0, "record layout");
    _Static_assert(offsetof(struct giro_schedule, id) == 0, "record layout");
    giro_u128 id;
    memcpy(&id, (const char *)body + (size_t)position * operation_record_bytes(frame->operation),
           sizeof id);
    return id;
}

/* The records must be those of a subsequence of the ids. An id that was asked for several times is
 * found every time or never, so that the first match is the right one. */
static int lookup_check(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    const uint32_t size = operation_record_bytes(frame->operation);
    uint32_t found = body_bytes / size;
    uint32_t position = 0;
    if (body_bytes % size != 0 || found > frame->event_count)
        return GIRO_EPROTOCOL;
    for (uint32_t i = 0; i < frame->event_count && position < found; i++)
        position += record_id(frame, body, position) == frame->ids[i];
    return position == found ? 0 : GIRO_EPROTOCOL;
}

static void lookup_add(struct giro_request *request, const void *body, uint32_t position)
{
    const size_t size = operation_record_bytes(request->operation);
    assert(request->result_count < request->count);
    memcpy((char *)request->output.any + request->result_count * size,
           (const char *)body + position * size, size);
    request->result_count++;
}

static void lookup_deliver(const struct frame *frame, const void *body, uint32_t found)
{
    struct giro_request *request = frame->requests.head;
    uint32_t position = 0;
    for (uint32_t i = 0; i < frame->event_count && position < found; i++) {
        if (record_id(frame, body, position) != frame->ids[i])
            continue;
        while (request != NULL && i >= request->internal.offset + request->count)
            request = request->internal.next;
        if (request != NULL && i >= request->internal.offset)
            lookup_add(request, body, position);
        position++;
    }
}

/* ---- Leases ------------------------------------------------------------------------------ */

static struct giro_lease lease_at(const void *body, uint32_t position)
{
    struct giro_lease lease;
    memcpy(&lease, (const char *)body + position * sizeof lease, sizeof lease);
    return lease;
}

/* One record an event, of its key: what was done has a token and a time, what was refused neither. */
static int leases_check(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    if (body_bytes != frame->event_count * sizeof(struct giro_lease))
        return GIRO_EPROTOCOL;
    for (uint32_t i = 0; i < frame->event_count; i++) {
        const struct giro_lease lease = lease_at(body, i);
        const bool done = lease.result == GIRO_LEASE_RESULT_DONE;
        if (lease.key != frame->ids[i] || (lease.token != 0) != done ||
            (lease.timestamp != 0) != done || lease.timestamp > GIRO_TIMESTAMP_MAX)
            return GIRO_EPROTOCOL;
    }
    return 0;
}

static void leases_deliver(const struct frame *frame, const void *body)
{
    for (struct giro_request *request = frame->requests.head; request != NULL;
         request = request->internal.next) {
        for (uint32_t i = 0; i < request->count; i++) {
            const struct giro_lease lease = lease_at(body, request->internal.offset + i);
            request->output.leases[i] = lease;
            request->result_count += lease.result != GIRO_LEASE_RESULT_DONE;
        }
    }
}

/* ---- Queries ----------------------------------------------------------------------------- */

/* What a query asked for: the filter, and of which account. */
struct asked {
    struct giro_query_filter filter; /* those fields that both kinds of filter have */
    giro_u128 account_id;            /* 0: any */
    uint32_t sides;                  /* enum giro_account_filter_flag, debits and credits */
    bool reversed;
};

static struct asked asked_of(const struct frame *frame)
{
    struct asked asked = {0};
    struct giro_account_filter filter;
    if (frame->operation == GIRO_QUERY_ACCOUNTS || frame->operation == GIRO_QUERY_TRANSFERS) {
        memcpy(&asked.filter, frame->ids, sizeof asked.filter);
        asked.reversed = (asked.filter.flags & GIRO_QUERY_FILTER_REVERSED) != 0;
        return asked;
    }
    memcpy(&filter, frame->ids, sizeof filter);
    asked.filter = (struct giro_query_filter){
        .user_data_128 = filter.user_data_128,
        .user_data_64 = filter.user_data_64,
        .user_data_32 = filter.user_data_32,
        .code = filter.code,
        .timestamp_min = filter.timestamp_min,
        .timestamp_max = filter.timestamp_max,
        .limit = filter.limit,
    };
    asked.account_id = filter.account_id;
    asked.sides = filter.flags & (GIRO_ACCOUNT_FILTER_DEBITS | GIRO_ACCOUNT_FILTER_CREDITS);
    asked.reversed = (filter.flags & GIRO_ACCOUNT_FILTER_REVERSED) != 0;
    return asked;
}

static bool is_on_asked_side(const struct asked *asked, const struct giro_transfer *transfer)
{
    if (asked->account_id == 0)
        return true;
    return ((asked->sides & GIRO_ACCOUNT_FILTER_DEBITS) != 0 &&
            transfer->debit_account_id == asked->account_id) ||
           ((asked->sides & GIRO_ACCOUNT_FILTER_CREDITS) != 0 &&
            transfer->credit_account_id == asked->account_id);
}

/* Accounts have the fields that are compared where transfers have them. */
static bool is_asked_for(const struct asked *asked, const struct giro_transfer *record)
{
    _Static_assert(offsetof(struct giro_account, user_data_128) ==
                       offsetof(struct giro_transfer, user_data_128),
                   "record layout");
    _Static_assert(offsetof(struct giro_account, user_data_32) ==
                       offsetof(struct giro_transfer, user_data_32),
                   "record layout");
    _Static_assert(offsetof(struct giro_account, code) == offsetof(struct giro_transfer, code),
                   "record layout");
    const struct giro_query_filter *filter = &asked->filter;
    return (filter->user_data_128 == 0 || filter->user_data_128 == record->user_data_128) &&
           (filter->user_data_64 == 0 || filter->user_data_64 == record->user_data_64) &&
           (filter->user_data_32 == 0 || filter->user_data_32 == record->user_data_32) &&
           (filter->ledger == 0 || filter->ledger == record->ledger) &&
           (filter->code == 0 || filter->code == record->code) && is_on_asked_side(asked, record);
}

/* previous: 0 for the first. Callers page by the timestamps: one out of order, and they would read
 * something twice or never. */
static bool timestamp_follows(const struct asked *asked, uint64_t previous, uint64_t timestamp)
{
    const struct giro_query_filter *filter = &asked->filter;
    if (timestamp == 0 || timestamp > GIRO_TIMESTAMP_MAX || timestamp < filter->timestamp_min ||
        (filter->timestamp_max != 0 && timestamp > filter->timestamp_max))
        return false;
    return previous == 0 || (asked->reversed ? timestamp < previous : timestamp > previous);
}

static int records_check(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    const struct asked asked = asked_of(frame);
    const uint32_t count = body_bytes / GIRO_RECORD_BYTES;
    uint64_t previous = 0;
    if (body_bytes % GIRO_RECORD_BYTES != 0 || count > asked.filter.limit)
        return GIRO_EPROTOCOL;
    for (uint32_t i = 0; i < count; i++) {
        union {
            struct giro_transfer transfer;
            struct giro_account_balance balance;
        } record;
        memcpy(&record, (const char *)body + (size_t)i * GIRO_RECORD_BYTES, sizeof record);
        bool is_balance = frame->operation == GIRO_GET_ACCOUNT_BALANCES;
        uint64_t timestamp = is_balance ? record.balance.timestamp : record.transfer.timestamp;
        if (!timestamp_follows(&asked, previous, timestamp) ||
            (!is_balance && !is_asked_for(&asked, &record.transfer)))
            return GIRO_EPROTOCOL;
        previous = timestamp;
    }
    return 0;
}

static void records_deliver(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    struct giro_request *request = frame->requests.head;
    if (request == NULL)
        return;
    memcpy(request->output.any, body, body_bytes);
    request->result_count = body_bytes / GIRO_RECORD_BYTES;
}

/* ---- Changes ----------------------------------------------------------------------------- */

static int changes_check(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    struct giro_change_filter filter;
    struct frame_changes head;
    memcpy(&filter, frame->ids, sizeof filter);
    if (body_bytes < sizeof head)
        return GIRO_EPROTOCOL;
    memcpy(&head, body, sizeof head);
    if (head.count > filter.limit ||
        body_bytes != sizeof head + (size_t)head.count * sizeof(struct giro_change))
        return GIRO_EPROTOCOL;

    uint64_t ordinal_min = filter.ordinal;
    for (uint32_t i = 0; i < head.count; i++) {
        struct giro_change change;
        memcpy(&change, (const char *)body + sizeof head + (size_t)i * sizeof change,
               sizeof change);
        if (change.ordinal < ordinal_min || change.ordinal == UINT64_MAX || change.kind == 0)
            return GIRO_EPROTOCOL;
        ordinal_min = change.ordinal + 1;
    }
    bool goes_on = head.ordinal_next >= ordinal_min && head.ordinal_next <= head.ordinal_end;
    return goes_on ? 0 : GIRO_EPROTOCOL;
}

static void changes_deliver(const struct frame *frame, const void *body)
{
    struct giro_request *request = frame->requests.head;
    struct frame_changes head;
    if (request == NULL)
        return;
    memcpy(&head, body, sizeof head);
    memcpy(request->output.changes, (const char *)body + sizeof head,
           (size_t)head.count * sizeof(struct giro_change));
    request->result_count = head.count;
    request->ordinal_next = head.ordinal_next;
    request->ordinal_end = head.ordinal_end;
}

/* ---- All --------------------------------------------------------------------------------- */

/* A reply of fixed size goes to everybody who asked. */
static void fixed_deliver(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    for (struct giro_request *request = frame->requests.head; request != NULL;
         request = request->internal.next)
        memcpy(request->output.any, body, body_bytes);
}

int giro_reply_check(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    switch (frame->operation) {
    case GIRO_PING:
        return body_bytes == 0 ? 0 : GIRO_EPROTOCOL;
    case GIRO_STATS:
        return body_bytes == sizeof(struct frame_stats) ? 0 : GIRO_EPROTOCOL;
    case GIRO_CREATE_ACCOUNTS:
    case GIRO_CREATE_TRANSFERS:
    case GIRO_CREATE_TRANSFERS_OUTCOMES:
    case GIRO_CUT_OFF:
    case GIRO_SET_LIMITS:
    case GIRO_CREATE_SCHEDULES:
    case GIRO_CANCEL_SCHEDULES:
        return created_check(frame, body, body_bytes);
    case GIRO_LOOKUP_ACCOUNTS:
    case GIRO_LOOKUP_TRANSFERS:
    case GIRO_LOOKUP_PAYMENTS:
    case GIRO_GET_SETTLEMENTS:
    case GIRO_GET_LIMITS:
    case GIRO_GET_VELOCITY:
    case GIRO_GET_LEASES:
    case GIRO_GET_SCHEDULES:
        return lookup_check(frame, body, body_bytes);
    case GIRO_LEASE:
        return leases_check(frame, body, body_bytes);
    case GIRO_GET_ACCOUNT_TRANSFERS:
    case GIRO_GET_ACCOUNT_BALANCES:
    case GIRO_QUERY_ACCOUNTS:
    case GIRO_QUERY_TRANSFERS:
        return records_check(frame, body, body_bytes);
    case GIRO_READ_CHANGES:
        return changes_check(frame, body, body_bytes);
    case GIRO_SNAPSHOT:
        return body_bytes == sizeof(struct frame_snapshot) ? 0 : GIRO_EPROTOCOL;
    }
    return GIRO_EPROTOCOL;
}

void giro_reply_deliver(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    switch (frame->operation) {
    case GIRO_PING:
        break;
    case GIRO_STATS:
    case GIRO_SNAPSHOT:
        fixed_deliver(frame, body, body_bytes);
        break;
    case GIRO_CREATE_ACCOUNTS:
    case GIRO_CREATE_TRANSFERS:
    case GIRO_CREATE_TRANSFERS_OUTCOMES:
    case GIRO_CUT_OFF:
    case GIRO_SET_LIMITS:
    case GIRO_CREATE_SCHEDULES:
    case GIRO_CANCEL_SCHEDULES:
        created_deliver(frame, body);
        break;
    case GIRO_LOOKUP_ACCOUNTS:
    case GIRO_LOOKUP_TRANSFERS:
    case GIRO_LOOKUP_PAYMENTS:
    case GIRO_GET_SETTLEMENTS:
    case GIRO_GET_LIMITS:
    case GIRO_GET_VELOCITY:
    case GIRO_GET_LEASES:
    case GIRO_GET_SCHEDULES:
        lookup_deliver(frame, body, body_bytes / operation_record_bytes(frame->operation));
        break;
    case GIRO_LEASE:
        leases_deliver(frame, body);
        break;
    case GIRO_GET_ACCOUNT_TRANSFERS:
    case GIRO_GET_ACCOUNT_BALANCES:
    case GIRO_QUERY_ACCOUNTS:
    case GIRO_QUERY_TRANSFERS:
        records_deliver(frame, body, body_bytes);
        break;
    case GIRO_READ_CHANGES:
        changes_deliver(frame, body);
        break;
    }
}
