/* Fuzzes requests: bodies of every operation, through the execution, the ledger, the log and the
 * follower that a server has (tests/fuzz/shard_rig.h).
 *
 *   input   | room for few holds, for few transfers, 1 | steps: tests/fuzz/steps.h, and the kinds below
 *
 * Never: a reply differs from what its operation, its status and its size allow; a request that changes
 * something answers otherwise than the model does, or tells outcomes that a plain addition does not come
 * to; a schedule fires when, or what, the model does not; a lookup or a query answers otherwise than a
 * search through all that the model holds; a change is missing, is told otherwise than it happened, or
 * not in its place; a frame waits for ever; debits and credits of a ledger differ; the follower, which
 * replays the log, or a start from it, comes to another state. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/shard_rig.h"
#include "tests/fuzz/steps.h"
#include "tests/ledger_model.h"

#include <stdlib.h>
#include <string.h>

enum {
    EVENTS_MAX = 40,
    BODY_BYTES_MAX = 16 << 10,
    HISTORY_MAX = 1 << 15,
    FIRE_RECORDS = LEDGER_FIRE_MAX * LEDGER_FIRE_RECORDS,
};

/* Kinds of steps besides those of enum step_kind. */
enum {
    STEP_LOOKUP_ACCOUNTS = 5,
    STEP_LOOKUP_TRANSFERS,
    STEP_ACCOUNT_QUERY,
    STEP_QUERY,
    STEP_CHANGES,
    STEP_RAW, /* any operation, flags and body */
    STEP_ROLL,
    STEP_DIGEST,
    STEP_FLUSH,
    STEP_GET_LIMITS = STEP_LIMITS + 1,
    STEP_LOOKUP_PAYMENTS,
    STEP_OUTCOMES, /* transfers whose outcomes are asked for */
    STEP_GET_SETTLEMENTS = STEP_CUT_OFF + 1,
    STEP_GET_VELOCITY = STEP_FENCED + 1,
    STEP_GET_LEASES,
    STEP_GET_SCHEDULES,
    STEP_RESTART,
    STEP_KINDS = 48, /* the others are transfers */
};

_Static_assert(STEP_FLUSH + 1 == STEP_LIMITS, "kinds of steps");

static struct connection connection;
static struct model *model;
static uint64_t model_expired;
static char body[BODY_BYTES_MAX];

/* ---- History: what was accepted, in its order, by plain addition --------------------------- */

/* Changes as they have to be told; what is not known before they are told is 0 until then: ordinals, and
 * the times of expiries. */
static struct giro_change history[HISTORY_MAX];
static uint32_t history_count;

static struct {
    struct giro_balances accounts[MODEL_ACCOUNTS_MAX];
    giro_u128 left[MODEL_TRANSFERS_MAX]; /* of each hold, by number */
} books;

static struct giro_change *history_add(enum giro_change_kind kind)
{
    MUST(history_count < HISTORY_MAX);
    struct giro_change *change = &history[history_count++];
    memset(change, 0, sizeof *change);
    change->kind = kind;
    return change;
}

static struct giro_balances *balances_of(giro_u128 account_id)
{
    return &books.accounts[model_account(model, account_id) - model->now.accounts];
}

static void transfer_add_up(const struct giro_transfer *transfer)
{
    const bool posts = (transfer->flags & GIRO_TRANSFER_POST_PENDING) != 0;
    const bool voids = (transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0;
    const bool pends = (transfer->flags & GIRO_TRANSFER_PENDING) != 0;
    const bool adjusts = (transfer->flags & GIRO_TRANSFER_ADJUST) != 0;
    const struct giro_transfer *hold =
        posts || voids || adjusts ? model_transfer(model, transfer->pending_id) : transfer;
    struct giro_balances *debit = balances_of(transfer->debit_account_id);
    struct giro_balances *credit = balances_of(transfer->credit_account_id);
    giro_u128 *left = &books.left[hold - model->transfers];
    giro_u128 released = 0;
    if (posts || voids)
        released = (transfer->flags & GIRO_TRANSFER_KEEP_OPEN) != 0 && transfer->amount < *left
                       ? transfer->amount
                       : *left;
    giro_u128 reserved = pends ? transfer->amount : 0;
    giro_u128 posted = pends || voids ? 0 : transfer->amount;
    *left += reserved - released;
    debit->debits_pending += reserved - released;
    credit->credits_pending += reserved - released;
    debit->debits_posted += posted;
    credit->credits_posted += posted;
}

/* After a part of a request, or a firing: transfers from a number on. Burnt ids lie between them. */
static void transfers_follow(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        const struct giro_transfer *transfer = &model->transfers[i];
        if (model->now.status[i] == MODEL_BURNT)
            continue;
        transfer_add_up(transfer);
        struct giro_change *change = history_add(
            (transfer->flags & GIRO_TRANSFER_POST_PENDING) != 0   ? GIRO_CHANGE_PENDING_POSTED
            : (transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0 ? GIRO_CHANGE_PENDING_VOIDED
                                                                  : GIRO_CHANGE_TRANSFER_CREATED);
        change->record.transfer = *transfer;
        change->marks = model->now.notes[i].marks;
        change->debit = *balances_of(transfer->debit_account_id);
        change->credit = *balances_of(transfer->credit_account_id);
    }
}

/* What a hold had left goes back. */
static void expiry_follow(uint32_t number)
{
    const struct giro_transfer *hold = &model->transfers[number];
    struct giro_balances *debit = balances_of(hold->debit_account_id);
    struct giro_balances *credit = balances_of(hold->credit_account_id);
    const giro_u128 left = books.left[number];
    books.left[number] = 0;
    debit->debits_pending -= left;
    credit->credits_pending -= left;
    struct giro_change *change = history_add(GIRO_CHANGE_PENDING_EXPIRED);
    change->record.transfer = (struct giro_transfer){
        .pending_id = hold->id,
        .debit_account_id = hold->debit_account_id,
        .credit_account_id = hold->credit_account_id,
        .amount = left,
        .ledger = hold->ledger,
    };
    change->debit = *debit;
    change->credit = *credit;
}

/* Two ways of adding up come to the same. */
static void books_compare(void)
{
    for (uint32_t i = 0; i < model->now.accounts_count; i++)
        MUST(memcmp(&model->now.accounts[i].debits_pending, &books.accounts[i],
                    sizeof books.accounts[i]) == 0,
             "account %u", i);
}

/* ---- The model follows ------------------------------------------------------------------- */

static void expiries_sync(void)
{
    static uint8_t status[MODEL_TRANSFERS_MAX];
    for (; model_expired < rig_shard.ledger->expired_count; model_expired++) {
        const uint32_t count = model->now.transfers_count;
        uint32_t number = 0;
        memcpy(status, model->now.status, count);
        MUST(model_expire(model, GIRO_TIMESTAMP_MAX, 1) == 1);
        while (number < count && model->now.status[number] == status[number])
            number++;
        MUST(number < count);
        expiry_follow(number);
    }
}

static void leases_follow(const struct giro_lease *events, uint32_t count, uint64_t address,
                          struct giro_lease *replies)
{
    model_lease(model, events, count, rig_timestamp_next, address, replies);
    for (uint32_t i = 0; i < count; i++) {
        if (replies[i].result == 0)
            history_add(GIRO_CHANGE_LEASE)->record.lease = replies[i];
    }
}

static void accounts_follow(const void *events, uint32_t count, uint64_t timestamp, uint32_t *codes)
{
    const uint32_t before = model->now.accounts_count;
    model_create_accounts(model, events, count, timestamp, codes);
    for (uint32_t i = before; i < model->now.accounts_count; i++)
        history_add(GIRO_CHANGE_ACCOUNT_CREATED)->record.account = model->now.accounts[i];
}

static void limits_follow(const struct giro_limits *events, uint32_t count, uint64_t timestamp,
                          uint32_t *codes)
{
    model_set_limits(model, events, count, timestamp, codes);
    for (uint32_t i = 0; i < count; i++) {
        if (codes[i] != 0)
            continue;
        struct giro_limits *limits = &history_add(GIRO_CHANGE_LIMITS_SET)->record.limits;
        *limits = events[i];
        limits->timestamp = timestamp + i;
    }
}

static void cut_offs_follow(const struct giro_cut_off *events, uint32_t count, uint64_t timestamp,
                            uint32_t *codes)
{
    model_cut_off(model, events, count, timestamp, codes);
    for (uint32_t i = 0; i < count; i++) {
        if (codes[i] != 0)
            continue;
        struct giro_cut_off *cut_off = &history_add(GIRO_CHANGE_CUT_OFF)->record.cut_off;
        *cut_off = events[i];
        cut_off->timestamp = timestamp + i;
    }
}

static void schedules_follow(const void *events, uint32_t count, uint64_t timestamp,
                             uint32_t *codes)
{
    const uint32_t before = model->schedules_count;
    model_create_schedules(model, events, count, timestamp, codes);
    for (uint32_t i = before; i < model->schedules_count; i++) {
        struct giro_change *change = history_add(GIRO_CHANGE_SCHEDULE_CREATED);
        memcpy(change->record.schedule, &model->schedules[i], sizeof change->record.schedule);
    }
}

static void cancels_follow(const giro_u128 *ids, uint32_t count, uint64_t timestamp,
                           uint32_t *codes)
{
    model_cancel_schedules(model, ids, count, timestamp, codes);
    for (uint32_t i = 0; i < count; i++) {
        if (codes[i] == 0)
            history_add(GIRO_CHANGE_SCHEDULE_CANCELLED)->record.firing = (struct giro_firing){
                .schedule_id = ids[i],
                .timestamp = timestamp + i,
            };
    }
}

/* At most so many. A transfer that was created follows its attempt. */
static void firings_follow(uint64_t timestamp, uint32_t most)
{
    static struct giro_firing firings[LEDGER_FIRE_MAX];
    uint32_t next = model->now.transfers_count;
    const uint32_t count = model_fire(model, timestamp, most, firings);
    for (uint32_t i = 0; i < count; i++) {
        history_add(GIRO_CHANGE_SCHEDULE_FIRED)->record.firing = firings[i];
        if (firings[i].transfer_result != GIRO_TRANSFER_CREATED)
            continue;
        MUST(model->transfers[next].id == firings[i].transfer_id);
        transfers_follow(next, next + 1);
        next++;
    }
    MUST(next == model->now.transfers_count);
}

/* results: behind the head and the outcomes. */
static void codes_compare(const char *results, uint32_t result_count, const uint32_t *expected,
                          uint32_t count)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct giro_result result = {.index = UINT32_MAX};
        if (next < result_count)
            memcpy(&result, results + next * sizeof result, sizeof result);
        uint32_t code = result.index == i ? result.code : 0;
        next += result.index == i;
        MUST(code == expected[i], "event %u of %u: %u, expected %u", i, count, code, expected[i]);
    }
    MUST(next == result_count);
}

/* first: where the request's changes begin in the history. */
static void outcomes_compare(const char *outcomes, const uint32_t *codes, uint32_t count,
                             uint32_t first)
{
    for (uint32_t i = 0; i < count; i++) {
        struct giro_outcome expected = {.code = codes[i]};
        struct giro_outcome outcome;
        memcpy(&outcome, outcomes + i * sizeof outcome, sizeof outcome);
        if (codes[i] == 0) {
            MUST(first < history_count);
            const struct giro_change *change = &history[first++];
            expected.debit = change->debit;
            expected.credit = change->credit;
            expected.amount = change->record.transfer.amount;
            expected.timestamp = change->record.transfer.timestamp;
            expected.marks = change->marks;
        }
        MUST(memcmp(&outcome, &expected, sizeof outcome) == 0, "outcome %u of %u", i, count);
    }
}

/* ---- Replies to what changes something ----------------------------------------------------- */

static uint32_t event_bytes(uint8_t operation)
{
    if (operation == FRAME_CANCEL_SCHEDULES)
        return sizeof(giro_u128);
    return operation == FRAME_CREATE_SCHEDULES ? sizeof(struct giro_schedule) : GIRO_RECORD_BYTES;
}

static void create_follow(uint8_t operation, const struct giro_fence *fence, const void *events,
                          uint32_t count, uint64_t timestamp, uint32_t *codes)
{
    const uint32_t transfers = model->now.transfers_count;
    switch (operation) {
    case FRAME_CREATE_ACCOUNTS:
        accounts_follow(events, count, timestamp, codes);
        break;
    case FRAME_SET_LIMITS:
        limits_follow(events, count, timestamp, codes);
        break;
    case FRAME_CUT_OFF:
        cut_offs_follow(events, count, timestamp, codes);
        break;
    case FRAME_CREATE_SCHEDULES:
        schedules_follow(events, count, timestamp, codes);
        break;
    case FRAME_CANCEL_SCHEDULES:
        cancels_follow(events, count, timestamp, codes);
        break;
    default:
        MUST(operation == FRAME_CREATE_TRANSFERS || operation == FRAME_CREATE_TRANSFERS_OUTCOMES);
        model_create_fenced(model, fence, events, count, timestamp, codes);
        transfers_follow(transfers, model->now.transfers_count);
    }
}

static void created_compare(const struct frame_header *request, const char *asked,
                            const char *reply, uint32_t reply_bytes)
{
    static uint32_t expected[BODY_BYTES_MAX / sizeof(giro_u128)];
    const uint8_t operation = request->operation;
    const bool fenced = (request->flags & FRAME_FLAG_FENCED) != 0;
    const uint32_t fence_bytes = fenced ? sizeof(struct giro_fence) : 0;
    const uint32_t count = (request->body_bytes - fence_bytes) / event_bytes(operation);
    struct frame_created head;
    MUST(reply_bytes >= sizeof head);
    memcpy(&head, reply, sizeof head);
    MUST(head.timestamp_first > rig_timestamp_before && head.timestamp_first >= rig_timestamp_next);
    const uint32_t outcomes = operation == FRAME_CREATE_TRANSFERS_OUTCOMES ? count : 0;
    const size_t results_at = sizeof head + outcomes * sizeof(struct giro_outcome);
    MUST(reply_bytes == results_at + head.result_count * sizeof(struct giro_result));
    expiries_sync();
    const uint32_t history_first = history_count;
    create_follow(operation, fenced ? (const struct giro_fence *)(const void *)asked : NULL,
                  asked + fence_bytes, count, head.timestamp_first, expected);
    codes_compare(reply + results_at, head.result_count, expected, count);
    outcomes_compare(reply + sizeof head, expected, outcomes, history_first);
    books_compare();
}

/* A token is the address of a record: what was done lies at the end of the open block. */
static void leases_compare(const void *events, uint32_t count, const char *reply,
                           uint32_t reply_bytes)
{
    static struct giro_lease expected[BODY_BYTES_MAX / GIRO_RECORD_BYTES];
    const struct log *log = &rig_shard.log;
    uint64_t address =
        (log->open_begin + BLOCK_HEADER_BYTES) / GIRO_RECORD_BYTES + log->open_records;
    MUST(reply_bytes == count * sizeof *expected);
    for (uint32_t i = 0; i < count; i++) {
        struct giro_lease lease;
        memcpy(&lease, reply + i * sizeof lease, sizeof lease);
        address -= lease.result == 0;
    }
    leases_follow(events, count, address, expected);
    MUST(memcmp(reply, expected, reply_bytes) == 0);
}

/* ---- Lookups ------------------------------------------------------------------------------- */

/* What became of a transfer; false when a lookup does not tell. */
static bool payment_expected(giro_u128 id, struct giro_payment *out)
{
    static const uint16_t states[] = {
        [MODEL_SETTLED] = GIRO_PAYMENT_POSTED,  [MODEL_PENDING] = GIRO_PAYMENT_PENDING,
        [MODEL_POSTED] = GIRO_PAYMENT_POSTED,   [MODEL_VOIDED] = GIRO_PAYMENT_VOIDED,
        [MODEL_EXPIRED] = GIRO_PAYMENT_EXPIRED,
    };
    const struct giro_transfer *transfer = model_transfer(model, id);
    if (transfer == NULL ||
        (transfer->flags & (GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_ADJUST)) != 0)
        return false;
    const struct model_note *note = &model->now.notes[transfer - model->transfers];
    const uint8_t status = model->now.status[transfer - model->transfers];
    const bool is_hold = status != MODEL_SETTLED;
    *out = (struct giro_payment){
        .id = id,
        .amount = note->kept ? note->amount : transfer->amount,
        .captured = note->kept && is_hold ? note->taken : 0,
        .returned = note->kept && !is_hold ? note->taken : 0,
        .left = note->kept ? note->left
                : is_hold  ? transfer->amount
                           : 0,
        .origin = transfer->pending_id,
        .deadline = status == MODEL_PENDING ? note->deadline : 0,
        .timestamp = transfer->timestamp,
        .marks = note->kept ? note->marks : 0,
        .ledger = transfer->ledger,
        .state = states[status],
        .depth = note->kept ? note->depth : 0,
        .amended = note->kept && is_hold,
    };
    return true;
}

/* What a lookup finds under an id, NULL: nothing. */
static const void *record_expected(uint8_t operation, giro_u128 id)
{
    static struct giro_payment payment;
    static struct giro_settlement settlement;
    static struct giro_velocity_used used;
    switch (operation) {
    case FRAME_LOOKUP_ACCOUNTS:
        return model_account(model, id);
    case FRAME_LOOKUP_TRANSFERS:
        return model_transfer(model, id);
    case FRAME_LOOKUP_PAYMENTS:
        return payment_expected(id, &payment) ? &payment : NULL;
    case FRAME_GET_LIMITS:
        return model_limits(model, id);
    case FRAME_GET_VELOCITY:
        return model_velocity(model, id, rig_timestamp_next, &used) ? &used : NULL;
    case FRAME_GET_SETTLEMENTS:
        return model_settlement(model, id, &settlement) ? &settlement : NULL;
    case FRAME_GET_LEASES:
        return model_lease_of(model, id);
    default:
        MUST(operation == FRAME_GET_SCHEDULES);
        return model_schedule(model, id);
    }
}

/* A lease that is over may be forgotten as soon as there was another event of leases. */
static bool is_forgotten(const struct giro_lease *lease, const char *row, uint32_t left)
{
    giro_u128 key = 0;
    if (left >= sizeof key)
        memcpy(&key, row, sizeof key);
    return key != lease->key && lease->deadline <= model->lease_timestamp_last;
}

static void lookup_compare(uint8_t operation, const giro_u128 *ids, uint32_t count,
                           const char *reply, uint32_t reply_bytes)
{
    const uint32_t row_bytes =
        operation == FRAME_GET_SCHEDULES ? sizeof(struct giro_schedule) : GIRO_RECORD_BYTES;
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        const void *expected = record_expected(operation, ids[i]);
        if (expected == NULL ||
            (operation == FRAME_GET_LEASES && is_forgotten(expected, reply + at, reply_bytes - at)))
            continue;
        MUST(at + row_bytes <= reply_bytes, "of id %u", i);
        MUST(memcmp(reply + at, expected, row_bytes) == 0, "of id %u", i);
        at += row_bytes;
    }
    MUST(at == reply_bytes);
}

/* ---- Queries, by a search through everything --------------------------------------------- */

/* Record number i of those that are searched, NULL: it is none. */
static const struct giro_transfer *searched(const struct rig_asked *asked, uint32_t i)
{
    if (asked->accounts)
        return (const struct giro_transfer *)(const void *)&model->now.accounts[i];
    return model->now.status[i] == MODEL_BURNT ? NULL : &model->transfers[i];
}

static void query_compare(const struct rig_asked *asked, const char *reply, uint32_t reply_bytes)
{
    const uint32_t count = asked->accounts ? model->now.accounts_count : model->now.transfers_count;
    const bool reversed = (asked->filter.flags & GIRO_QUERY_FILTER_REVERSED) != 0;
    uint32_t found = 0;
    for (uint32_t n = 0; n < count && found < asked->filter.limit; n++) {
        const struct giro_transfer *record = searched(asked, reversed ? count - 1 - n : n);
        struct giro_account_balance balance;
        if (record == NULL || !rig_matches(asked, record))
            continue;
        const char *got = reply + (size_t)found * GIRO_RECORD_BYTES;
        MUST((found + 1) * GIRO_RECORD_BYTES <= reply_bytes, "result %u is missing", found);
        memcpy(&balance, got, sizeof balance);
        if (asked->balances)
            MUST(balance.timestamp == record->timestamp, "balance %u", found);
        else
            MUST(memcmp(got, record, sizeof *record) == 0, "result %u differs", found);
        found++;
    }
    MUST(found * GIRO_RECORD_BYTES == reply_bytes);
}

/* ---- Changes, by the history ----------------------------------------------------------------- */

/* Whether a change that was told is this one; then what was not known of it is. */
static bool change_is(struct giro_change *expected, const struct giro_change *told)
{
    struct giro_change known = *expected;
    known.ordinal = told->ordinal;
    if (known.kind == GIRO_CHANGE_PENDING_EXPIRED && known.record.transfer.timestamp == 0)
        known.record.transfer.timestamp = told->record.transfer.timestamp;
    if (memcmp(&known, told, sizeof known) != 0)
        return false;
    MUST(expected->ordinal == 0 || expected->ordinal == told->ordinal);
    *expected = known;
    return true;
}

/* The first change of a reply is the first one from the ordinal on. */
static uint32_t changes_begin(uint64_t ordinal, const struct giro_change *first)
{
    uint32_t place = 0;
    while (place < history_count && !change_is(&history[place], first))
        place++;
    MUST(place < history_count, "kind %u", first->kind);
    MUST(place == 0 || history[place - 1].ordinal < ordinal);
    return place;
}

static void changes_compare(const void *filter_bytes, const char *reply, uint32_t reply_bytes)
{
    struct giro_change_filter filter;
    struct frame_changes head;
    uint32_t place = 0;
    memcpy(&filter, filter_bytes, sizeof filter);
    MUST(reply_bytes >= sizeof head);
    memcpy(&head, reply, sizeof head);
    MUST(head.count <= filter.limit);
    MUST(reply_bytes == sizeof head + head.count * sizeof(struct giro_change));
    MUST(head.ordinal_next >= filter.ordinal && head.ordinal_next <= head.ordinal_end);
    uint64_t next = filter.ordinal;
    for (uint32_t i = 0; i < head.count; i++, place++) {
        struct giro_change change;
        memcpy(&change, reply + sizeof head + i * sizeof change, sizeof change);
        MUST(change.ordinal >= next && change.ordinal < head.ordinal_next);
        next = change.ordinal + 1;
        if (i == 0)
            place = changes_begin(filter.ordinal, &change);
        MUST(place < history_count && change_is(&history[place], &change), "change %u, kind %u", i,
             change.kind);
    }
    if (head.ordinal_next == head.ordinal_end && (head.count > 0 || filter.ordinal == 0))
        MUST(place == history_count, "%u of %u", place, history_count);
}

/* ---- A frame ----------------------------------------------------------------------------- */

/* Every operation stands here: one that does not is answered by nobody. */
static void body_check(const struct frame_header *request, const char *asked, const char *reply,
                       uint32_t bytes)
{
    struct rig_asked query;
    expiries_sync();
    switch ((enum frame_operation)request->operation) {
    case FRAME_PING:
        MUST(bytes == 0);
        return;
    case FRAME_STATS:
        MUST(bytes == sizeof(struct frame_stats));
        return;
    case FRAME_HELLO:
        MUST(bytes == sizeof(struct frame_welcome));
        return;
    case FRAME_CREATE_ACCOUNTS:
    case FRAME_CREATE_TRANSFERS:
    case FRAME_CREATE_TRANSFERS_OUTCOMES:
    case FRAME_SET_LIMITS:
    case FRAME_CREATE_SCHEDULES:
    case FRAME_CANCEL_SCHEDULES:
    case FRAME_CUT_OFF:
        created_compare(request, asked, reply, bytes);
        return;
    case FRAME_LEASE:
        leases_compare(asked, request->body_bytes / GIRO_RECORD_BYTES, reply, bytes);
        return;
    case FRAME_LOOKUP_ACCOUNTS:
    case FRAME_LOOKUP_TRANSFERS:
    case FRAME_LOOKUP_PAYMENTS:
    case FRAME_GET_LIMITS:
    case FRAME_GET_VELOCITY:
    case FRAME_GET_LEASES:
    case FRAME_GET_SCHEDULES:
    case FRAME_GET_SETTLEMENTS:
        lookup_compare(request->operation, (const giro_u128 *)(const void *)asked,
                       request->body_bytes / sizeof(giro_u128), reply, bytes);
        return;
    case FRAME_READ_CHANGES:
        changes_compare(asked, reply, bytes);
        return;
    case FRAME_GET_ACCOUNT_TRANSFERS:
    case FRAME_GET_ACCOUNT_BALANCES:
    case FRAME_QUERY_ACCOUNTS:
    case FRAME_QUERY_TRANSFERS:
        query = rig_asked_of(request->operation, asked);
        query_compare(&query, reply, bytes);
        return;
    case FRAME_SNAPSHOT: /* none is taken here */
        break;
    }
    MUST(false, "operation %u", request->operation);
}

/* The reply lies in the connection's output; it may be sent now, and is. */
static void reply_take(const struct frame_header *request, const char *asked)
{
    const char *frame = connection.out + connection.out_begin;
    struct frame_header header;
    memcpy(&header, frame, sizeof header);
    MUST(connection.out_end == FRAME_HEADER_BYTES + header.body_bytes);
    MUST(frame_check_header(&header) == FRAME_OK && frame_check_body(frame) == FRAME_OK);
    MUST(header.operation == request->operation && header.request_id == request->request_id);
    MUST(header.flags == FRAME_FLAG_REPLY);
    MUST(strcmp(frame_status_name(header.status), "unknown") != 0);
    MUST(!frame_status_closes(header.status));
    MUST(header.status == FRAME_OK || header.body_bytes == 0);
    if (header.status == FRAME_OK)
        body_check(request, asked, frame + FRAME_HEADER_BYTES, header.body_bytes);
    rig_send(&connection);
}

/* Executes one frame whose body lies where it ends. */
static void frame_run(struct frame_header header, const void *from)
{
    char *frame = aligned_alloc(16, FRAME_HEADER_BYTES + (header.body_bytes + 15) / 16 * 16);
    enum frame_status status;
    bool full;
    MUST(frame != NULL);
    memcpy(frame, &header, sizeof header);
    memcpy(frame + FRAME_HEADER_BYTES, from, header.body_bytes);
    connection.in = frame;
    connection.in_begin = 0;
    connection.in_end = FRAME_HEADER_BYTES + header.body_bytes;
    const enum execution execution = rig_execute(&connection, &status, &full);
    MUST(execution == EXECUTION_DONE || execution == EXECUTION_REFUSED);
    if (execution == EXECUTION_REFUSED) {
        MUST(frame_status_closes(status));
    } else {
        MUST(memcmp(frame + FRAME_HEADER_BYTES, from, header.body_bytes) == 0);
        reply_take(&header, frame + FRAME_HEADER_BYTES);
    }
    free(frame);
}

/* ---- Steps ------------------------------------------------------------------------------- */

static uint32_t step_kind_of(const struct step *step)
{
    uint32_t kind = step->kind % STEP_KINDS;
    const bool known = kind <= STEP_OUTCOMES || kind == STEP_CUT_OFF ||
                       kind == STEP_GET_SETTLEMENTS || (kind >= STEP_LEASE && kind <= STEP_RESTART);
    return known ? kind : STEP_TRANSFER;
}

static void query_run(const struct step *step)
{
    const uint64_t min = (step->spoilt & 1) != 0 ? RIG_CLOCK_NS + step->timestamp * 16ull : 0;
    const uint64_t max = (step->spoilt & 2) != 0 ? RIG_CLOCK_NS + step->amount * 256ull : 0;
    struct frame_header header = {.request_id = step->id};
    if (step_kind_of(step) == STEP_ACCOUNT_QUERY) {
        const struct giro_account_filter filter = {
            .account_id = step_account_id(step->debit),
            .user_data_128 = step->user_data & 3,
            .user_data_64 = step->user_data >> 2 & 3,
            .code = step->code % 4,
            .timestamp_min = min,
            .timestamp_max = max,
            .limit = step->credit % 32,
            .flags = step->flags % 9,
            .reserved = {step->spoilt == 255},
        };
        header.operation =
            (step->spoilt & 4) != 0 ? FRAME_GET_ACCOUNT_BALANCES : FRAME_GET_ACCOUNT_TRANSFERS;
        header.body_bytes = sizeof filter;
        frame_run(header, &filter);
    } else {
        const struct giro_query_filter filter = {
            .user_data_128 = step->user_data & 3,
            .user_data_64 = step->user_data >> 2 & 3,
            .user_data_32 = step->user_data >> 4 & 3,
            .ledger = step->ledger % 3,
            .code = step->code % 3,
            .timestamp_min = min,
            .timestamp_max = max,
            .limit = step->credit % 32,
            .flags = step->flags % 3,
        };
        header.operation = (step->spoilt & 4) != 0 ? FRAME_QUERY_ACCOUNTS : FRAME_QUERY_TRANSFERS;
        header.body_bytes = sizeof filter;
        frame_run(header, &filter);
    }
}

static void changes_run(const struct step *step)
{
    const struct giro_change_filter filter = {
        .ordinal = step->id,
        .limit = step->amount % 16,
        .wait_ms = (step->spoilt & 1) != 0 ? step->timestamp * 300u : 0,
    };
    const struct frame_header header = {.operation = FRAME_READ_CHANGES,
                                        .body_bytes = sizeof filter};
    frame_run(header, &filter);
}

/* 0: no lookup. */
static uint8_t lookup_of(uint32_t kind)
{
    switch (kind) {
    case STEP_LOOKUP_ACCOUNTS:
        return FRAME_LOOKUP_ACCOUNTS;
    case STEP_LOOKUP_TRANSFERS:
        return FRAME_LOOKUP_TRANSFERS;
    case STEP_LOOKUP_PAYMENTS:
        return FRAME_LOOKUP_PAYMENTS;
    case STEP_GET_LIMITS:
        return FRAME_GET_LIMITS;
    case STEP_GET_VELOCITY:
        return FRAME_GET_VELOCITY;
    case STEP_GET_LEASES:
        return FRAME_GET_LEASES;
    case STEP_GET_SCHEDULES:
        return FRAME_GET_SCHEDULES;
    case STEP_GET_SETTLEMENTS:
        return FRAME_GET_SETTLEMENTS;
    default:
        return 0;
    }
}

/* Keys of leases are few; what the ledger has made has ids of its own. */
static giro_u128 lookup_id(uint8_t operation, uint8_t number, uint8_t code)
{
    switch (operation) {
    case FRAME_LOOKUP_TRANSFERS:
    case FRAME_LOOKUP_PAYMENTS:
        return code < 224 ? step_id(number)
                          : model_schedule_transfer_id(step_id(code % 8), number % 8, number / 128);
    case FRAME_GET_SCHEDULES:
        return step_id(number);
    case FRAME_GET_LEASES:
        return step_account_id(number) % 8;
    default:
        return step_account_id(number);
    }
}

static void lookup_run(const struct step *step)
{
    giro_u128 ids[EVENTS_MAX];
    const uint8_t operation = lookup_of(step_kind_of(step));
    uint32_t count = step->amount % EVENTS_MAX;
    for (uint32_t i = 0; i < count; i++)
        ids[i] = lookup_id(operation, (uint8_t)(step->id + i * step->debit), step->code);
    const struct frame_header header = {.operation = operation,
                                        .body_bytes = count * (uint32_t)sizeof ids[0]};
    frame_run(header, ids);
}

/* Any header, and a body that are the steps behind it, perhaps not whole. */
static void raw_run(const struct step *steps, uint32_t left)
{
    struct frame_header header = {
        .operation = steps[0].id % 40,
        .flags = steps[0].spoilt < 240   ? 0
                 : steps[0].spoilt < 249 ? FRAME_FLAG_FENCED
                 : steps[0].spoilt < 250 ? 0
                                         : steps[0].flags,
        .status = steps[0].spoilt == 249,
        .request_id = steps[0].timestamp,
    };
    size_t bytes = (size_t)(steps[0].amount % 64) * STEP_BYTES + (steps[0].ledger < 16);
    if (bytes > (left - 1) * (size_t)STEP_BYTES)
        bytes = (left - 1) * (size_t)STEP_BYTES;
    if (header.operation == FRAME_SNAPSHOT && bytes == 0)
        return; /* it would start a thread */
    header.body_bytes = (uint32_t)bytes;
    connection.greeted = (steps[0].user_data & 3) != 3;
    frame_run(header, &steps[1]);
    connection.greeted = true;
}

static void event_make(const struct step *step, char *event)
{
    switch (step_kind_of(step)) {
    case STEP_ACCOUNT:
        *(struct giro_account *)(void *)event = step_account(step, rig_shard.ledger, rig_clock_ns);
        break;
    case STEP_LIMITS:
        *(struct giro_limits *)(void *)event = step_limits(step);
        break;
    case STEP_CUT_OFF:
        *(struct giro_cut_off *)(void *)event = step_cut_off(step, rig_shard.ledger);
        break;
    case STEP_LEASE:
        *(struct giro_lease *)(void *)event = step_lease(step, rig_shard.ledger);
        break;
    case STEP_SCHEDULE:
        *(struct giro_schedule *)(void *)event = step_schedule(step, rig_clock_ns);
        break;
    case STEP_CANCEL:
        *(giro_u128 *)(void *)event = step_id(step->id);
        break;
    default:
        *(struct giro_transfer *)(void *)event =
            step_transfer(step, rig_shard.ledger, rig_clock_ns);
    }
}

static uint8_t create_of(const struct step *step)
{
    switch (step_kind_of(step)) {
    case STEP_ACCOUNT:
        return FRAME_CREATE_ACCOUNTS;
    case STEP_LIMITS:
        return FRAME_SET_LIMITS;
    case STEP_CUT_OFF:
        return FRAME_CUT_OFF;
    case STEP_LEASE:
        return FRAME_LEASE;
    case STEP_SCHEDULE:
        return FRAME_CREATE_SCHEDULES;
    case STEP_CANCEL:
        return FRAME_CANCEL_SCHEDULES;
    case STEP_OUTCOMES:
        return FRAME_CREATE_TRANSFERS_OUTCOMES;
    case STEP_FENCED:
        return step->timestamp % 2 != 0 ? FRAME_CREATE_TRANSFERS_OUTCOMES : FRAME_CREATE_TRANSFERS;
    default:
        return FRAME_CREATE_TRANSFERS;
    }
}

static uint32_t create_run(const struct step *steps, uint32_t left)
{
    const uint32_t kind = step_kind_of(&steps[0]);
    struct frame_header header = {.operation = create_of(&steps[0])};
    if (kind == STEP_FENCED) {
        struct giro_fence fence = step_fence(&steps[0], rig_shard.ledger);
        fence.reserved = steps[0].spoilt == 240;
        memcpy(body, &fence, sizeof fence);
        header.flags = FRAME_FLAG_FENCED;
        header.body_bytes = sizeof fence;
    }
    uint32_t count = 0;
    do {
        event_make(&steps[count], body + header.body_bytes);
        header.body_bytes += event_bytes(header.operation);
        count++;
    } while (count < left && count < EVENTS_MAX && step_kind_of(&steps[count]) == kind &&
             steps[count - 1].user_data >> 6 != 0);
    frame_run(header, body);
    return count;
}

/* How many can fire at most: so many transfers of any kind there is room for. */
static uint32_t fire_most(void)
{
    const struct ledger *ledger = rig_shard.ledger;
    uint64_t most = ledger->transfers.capacity - ledger->transfers.count;
    if (most > ledger->holds.capacity - ledger->holds.count)
        most = ledger->holds.capacity - ledger->holds.count;
    return most < LEDGER_FIRE_MAX ? (uint32_t)most : LEDGER_FIRE_MAX;
}

static void fired_compare(void)
{
    const struct ledger *ledger = rig_shard.ledger;
    MUST(ledger->schedules.count == model->schedules_count);
    MUST(ledger->accounts.count == model->now.accounts_count);
    for (uint32_t i = 0; i < model->schedules_count; i++) {
        struct giro_schedule found;
        MUST(ledger_get_schedules(ledger, &model->schedules[i].id, 1, &found) == 1);
        MUST(memcmp(&found, &model->schedules[i], sizeof found) == 0, "schedule %u", i);
    }
    for (uint32_t i = 0; i < model->now.accounts_count; i++)
        MUST(memcmp(&ledger->accounts.rows[i], &model->now.accounts[i],
                    sizeof model->now.accounts[i]) == 0,
             "account %u", i);
    books_compare();
}

/* What the shard does in every turn of its loop, its pause over. Old records that it asks for come at
 * once, or others are served first. */
static void fire_run(const struct step *step)
{
    union record *records;
    uint64_t address;
    if (log_reserve(&rig_shard.log, FIRE_RECORDS, &records, &address) != LOG_ROOM)
        rig_settle();
    const bool room = log_reserve(&rig_shard.log, FIRE_RECORDS, &records, &address) == LOG_ROOM;
    const uint32_t most = room ? fire_most() : 0;
    rig_shard.monotonic_ns = rig_shard.firing_paused_until;
    expiries_sync();
    rig_time_keep();
    do {
        if (rig_shard.firing_fetches)
            rig_fetch(&rig_shard.firing);
        rig_shard.firing_fetches = false;
        shard_fire(&rig_shard);
    } while (rig_shard.firing_fetches && step->spoilt % 4 != 1);
    if (!rig_shard.firing_fetches)
        firings_follow(rig_timestamp_next, most);
    fired_compare();
}

/* Seconds, or to the next deadline of a hold, or of a schedule, or to just before it. */
static void clock_move(const struct step *step)
{
    const struct hold *hold = holds_earliest(&rig_shard.ledger->holds);
    const struct deadline *due = deadlines_first(&rig_shard.ledger->schedules.deadlines);
    uint64_t to = rig_clock_ns + step->amount * (GIRO_NS_PER_S / 4) + step->id;
    if (step->timeout % 4 == 1 && hold != NULL)
        to = hold->expires_at - step->id % 3;
    if (step->timeout % 4 == 3 && due != NULL)
        to = due->time - step->id % 3;
    rig_clock_set(to);
}

/* From the log, which leads to where it was. */
static void restart(void)
{
    rig_settle();
    const struct checksum before = ledger_digest(rig_shard.ledger);
    rig_restart();
    MUST(checksum_equal(before, ledger_digest(rig_shard.ledger)));
    rig_connection_open(&connection, false);
}

/* Runs a step, or the request that begins with it. Returns how many steps it took. */
static uint32_t step_run(const struct step *steps, uint32_t left)
{
    const uint32_t kind = step_kind_of(&steps[0]);
    switch (kind) {
    case STEP_EXPIRE:
        (void)shard_expire(&rig_shard);
        expiries_sync();
        books_compare();
        break;
    case STEP_FIRE:
        fire_run(&steps[0]);
        break;
    case STEP_CLOCK:
        clock_move(&steps[0]);
        break;
    case STEP_FORGET:
        rig_window_forget();
        break;
    case STEP_ACCOUNT_QUERY:
    case STEP_QUERY:
        query_run(&steps[0]);
        break;
    case STEP_CHANGES:
        changes_run(&steps[0]);
        break;
    case STEP_RAW:
        raw_run(steps, left);
        break;
    case STEP_ROLL:
        rig_roll();
        break;
    case STEP_DIGEST:
        rig_digest(1 + steps[0].id);
        break;
    case STEP_RESTART:
        restart();
        break;
    case STEP_FLUSH:
        rig_mark();
        break;
    default:
        if (lookup_of(kind) == 0)
            return create_run(steps, left);
        lookup_run(&steps[0]);
    }
    return 1;
}

static void model_reset(void)
{
    memset(&books.accounts, 0, sizeof books.accounts);
    memset(&books.left, 0, model->now.transfers_count * sizeof books.left[0]);
    history_count = 0;
    model->now.accounts_count = 0;
    model->epochs_count = 0;
    model->now.transfers_count = 0;
    model->leases_count = 0;
    model->lease_timestamp_last = 0;
    model->schedules_count = 0;
    memset(model->limits, 0, sizeof model->limits);
    model_expired = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(16) struct step steps[STEPS_MAX];
    struct input input = {data, size};
    const uint64_t room = input_number(&input, 1);
    size_t count = input.left / STEP_BYTES < STEPS_MAX ? input.left / STEP_BYTES : STEPS_MAX;
    input_take(&input, steps, count * STEP_BYTES);
    rig_begin(room);
    model_reset();
    for (uint32_t at = 0; at < count;)
        at += step_run(&steps[at], (uint32_t)count - at);
    rig_end();
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    return steps_mutate(data, size, size_max, seed);
}

static void samples_write(void)
{
    static const struct step steps[] = {
        {.kind = STEP_ACCOUNT, .id = 1, .spoilt = 9, .user_data = 1 << 6},
        {.kind = STEP_ACCOUNT, .id = 2, .spoilt = 9, .user_data = 1 << 6, .flags = 8},
        {.kind = STEP_ACCOUNT,
         .id = 3,
         .spoilt = 9,
         .flags = GIRO_ACCOUNT_HISTORY | GIRO_ACCOUNT_SETTLES},
        {.id = 1, .debit = 1, .credit = 2, .amount = 60, .spoilt = 9},
        {.id = 2, .debit = 2, .credit = 3, .amount = 9, .flags = GIRO_TRANSFER_PENDING},
        {.kind = STEP_DIGEST, .id = 3},
        {.kind = STEP_ROLL},
        {.id = 3, .pending = 2, .amount = 240, .spoilt = 9, .flags = GIRO_TRANSFER_POST_PENDING},
        {.id = 6, .debit = 1, .credit = 3, .timeout = 129, .flags = GIRO_TRANSFER_PENDING},
        {.kind = STEP_CLOCK, .amount = 20},
        {.kind = STEP_FORGET},
        {.kind = STEP_LOOKUP_TRANSFERS, .id = 1, .debit = 1, .amount = 6},
        {.kind = STEP_LOOKUP_ACCOUNTS, .id = 1, .debit = 1, .amount = 3},
        {.kind = STEP_ACCOUNT_QUERY, .debit = 3, .credit = 9, .flags = 3},
        {.kind = STEP_ACCOUNT_QUERY, .debit = 3, .credit = 9, .flags = 7, .spoilt = 4},
        {.kind = STEP_OUTCOMES,
         .id = 7,
         .debit = 1,
         .credit = 3,
         .amount = 30,
         .user_data = 1 << 6,
         .flags = GIRO_TRANSFER_PENDING},
        {.kind = STEP_OUTCOMES,
         .id = 8,
         .pending = 7,
         .amount = 9,
         .spoilt = 9,
         .user_data = 1 << 6,
         .flags = GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_KEEP_OPEN},
        {.kind = STEP_OUTCOMES,
         .id = 9,
         .pending = 8,
         .debit = 3,
         .credit = 1,
         .amount = 4,
         .flags = GIRO_TRANSFER_RETURN},
        {.kind = STEP_LIMITS, .id = 3, .debit = 255, .credit = 255, .pending = 20},
        {.kind = STEP_GET_LIMITS, .id = 1, .debit = 1, .amount = 3},
        {.kind = STEP_LOOKUP_PAYMENTS, .id = 1, .debit = 1, .amount = 9},
        {.kind = STEP_CUT_OFF, .spoilt = 249},
        {.kind = STEP_GET_SETTLEMENTS, .id = 1, .debit = 1, .amount = 3},
        {.kind = STEP_LIMITS,
         .id = 3,
         .debit = 255,
         .credit = 255,
         .pending = 255,
         .amount = 50,
         .code = 8,
         .user_data = GIRO_WINDOW_SLIDING | 1 << 4},
        {.id = 10, .debit = 3, .credit = 1, .amount = 5, .spoilt = 9},
        {.kind = STEP_GET_VELOCITY, .id = 1, .debit = 1, .amount = 3},
        {.kind = STEP_LEASE, .debit = 5, .timeout = 200, .spoilt = 9},
        {.kind = STEP_LEASE, .debit = 5, .code = 1, .timeout = 250, .spoilt = 9},
        {.kind = STEP_FENCED, .id = 11, .debit = 5, .credit = 2, .amount = 9, .spoilt = 9},
        {.kind = STEP_FENCED, .id = 13, .debit = 1, .credit = 2, .timestamp = 1, .spoilt = 9},
        {.kind = STEP_GET_LEASES, .id = 1, .debit = 1, .amount = 7},
        {.kind = STEP_SCHEDULE,
         .id = 1,
         .debit = 1,
         .credit = 2,
         .amount = 5,
         .pending = 3,
         .code = 1,
         .timestamp = 64,
         .spoilt = 9,
         .user_data = 1 << 6},
        {.kind = STEP_SCHEDULE,
         .id = 3,
         .debit = 9,
         .credit = 2,
         .amount = 7,
         .pending = 2,
         .code = 1,
         .timeout = 3,
         .timestamp = 66,
         .spoilt = 9,
         .flags = GIRO_TRANSFER_PENDING,
         .user_data = 1 << 6},
        {.kind = STEP_SCHEDULE,
         .id = 5,
         .debit = 1,
         .credit = 3,
         .amount = 60,
         .code = 2,
         .timestamp = 64,
         .spoilt = 9},
        {.id = 15, .debit = 1, .credit = 2, .amount = 1, .scheduled = {224, 1}},
        {.kind = STEP_FORGET},
        {.kind = STEP_CLOCK, .timeout = 3},
        {.kind = STEP_FIRE},
        {.kind = STEP_CLOCK, .amount = 16},
        {.kind = STEP_FORGET},
        {.kind = STEP_FIRE},
        {.kind = STEP_CANCEL, .id = 1},
        {.kind = STEP_GET_SCHEDULES, .id = 1, .debit = 1, .amount = 7},
        {.kind = STEP_LOOKUP_TRANSFERS, .debit = 1, .code = 225, .amount = 6},
        {.kind = STEP_LEASE, .debit = 5, .code = 2, .spoilt = 9},
        {.kind = STEP_QUERY, .credit = 9},
        {.kind = STEP_QUERY, .credit = 9, .spoilt = 4, .flags = 1},
        {.kind = STEP_CHANGES, .amount = 15},
        {.kind = STEP_CHANGES, .amount = 15, .id = 24},
        {.kind = STEP_RESTART},
        {.id = 17, .debit = 1, .credit = 2, .amount = 1},
        {.kind = STEP_QUERY, .credit = 9},
        {.kind = STEP_RAW, .id = FRAME_STATS},
        {.kind = STEP_RAW, .id = FRAME_PING},
        {.kind = STEP_RAW, .id = FRAME_HELLO, .user_data = 3, .amount = 4},
        {.kind = 1, .debit = 1},
    };
    static uint8_t sample[1 + sizeof steps];
    memcpy(sample + 1, steps, sizeof steps);
    fuzz_sample("everything", sample, sizeof sample);
    fuzz_sample("creates", sample, 1 + 10 * STEP_BYTES);
    sample[0] = 3;
    fuzz_sample("little_room", sample, sizeof sample);
    fuzz_samples_end();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    fuzz_quiet();
    if (fuzz_samples_wanted())
        samples_write();
    model = calloc(1, sizeof *model);
    MUST(model != NULL);
    rig_make(1);
    rig_connection_open(&connection, false);
    return 0;
}
