/* Fuzzes requests: bodies of every operation, through the execution, the ledger, the log and the
 * follower that a server has, in one thread and without sockets.
 *
 *   request -> net/execute.c, net/query.c -> ledger -> log window -> block -> segment file
 *           <- reply <--------------------- queries <- live segment, sidecar <- follower
 *
 *   input   | options, 1 | steps: tests/fuzz/steps.h, and the kinds below
 *
 * The disk is a folder; a write is durable when it is asked to be. What is in memory of the log is
 * forgotten now and then, so that old records are fetched. Only snapshots are left out: they have a
 * thread (and a fuzzer) of their own.
 *
 * Never: a reply differs from what its operation, its status and its size allow; a create answers
 * otherwise than the model does, or tells outcomes that a plain addition does not come to; a lookup or
 * a query answers otherwise than a search through all that the model holds; the changes are not in order; a frame waits for ever; debits and credits of a ledger
 * differ; the follower, which replays the log, comes to another state. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/log_image.h"
#include "tests/fuzz/steps.h"
#include "tests/ledger_model.h"

/* Its thread's work, called here. */
#include "wal/follower.c" /* NOLINT(bugprone-suspicious-include) */

#include "net/shard_state.h"

#include <string.h>
#include <sys/mman.h>

enum {
    SEGMENTS = 4,
    SEGMENT_BYTES = 1 << 20,
    WINDOW_BYTES = SEGMENTS * SEGMENT_BYTES,
    ACCOUNTS_MAX = 48,
    HOLDS_MAX = 24,
    TRANSFERS_MAX = 1024,
    EVENTS_MAX = 40,
    BODY_BYTES_MAX = 16 << 10,
    TRIES_MAX = 1000,
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
    STEP_KINDS = 24, /* the others are transfers */
};

_Static_assert(STEP_FLUSH + 1 == STEP_LIMITS, "kinds of steps");

#define CLOCK_NS 1577836800000000000ull

static uint64_t clock_now = CLOCK_NS;
static struct shard_options options;
static struct shard shard;
static struct follower follower_parts;
static struct connection connection;
static struct model *model;
static uint64_t model_expired;
static uint64_t timestamp_before; /* of the request under way: what the ledger had seen */
static char body[BODY_BYTES_MAX];

/* ---- Clock and disk ---------------------------------------------------------------------- */

uint64_t clock_wall_ns(void)
{
    return clock_now;
}

uint64_t clock_monotonic_ns(void)
{
    return clock_now;
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

/* Everything that was executed becomes durable and is followed. */
static void settle(void)
{
    do {
        if (shard.log.in_flight)
            log_write_done(&shard.log);
        log_flush(&shard.log, clock_now);
    } while (shard.log.in_flight);
    while (blocks_follow(shard.follower))
        ;
    MUST(follower_failure(shard.follower) == FOLLOWER_SOUND, "%s",
         shard.follower->failure_text.text);
    MUST(follower_lag_bytes(shard.follower) == 0);
}

/* What is durable leaves the memory: it is fetched from its file from here on. */
static void window_forget(void)
{
    settle();
    shard.log.window.low = shard.log.open_begin / GIRO_RECORD_BYTES;
    shard.ledger->window = shard.log.window;
}

/* ---- The model follows ------------------------------------------------------------------- */

static void expiries_sync(void)
{
    uint32_t more = (uint32_t)(shard.ledger->expired_count - model_expired);
    MUST(model_expire(model, GIRO_TIMESTAMP_MAX, more) == more);
    model_expired += more;
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

/* ---- Outcomes, by plain addition ----------------------------------------------------------- */

/* What there was before the request under way. */
static struct {
    struct giro_balances accounts[MODEL_ACCOUNTS_MAX];
    giro_u128 left[TRANSFERS_MAX + EVENTS_MAX]; /* of each hold, by number */
    uint32_t transfers;
} before;

static void before_keep(void)
{
    for (uint32_t i = 0; i < model->now.accounts_count; i++)
        memcpy(&before.accounts[i], &model->now.accounts[i].debits_pending,
               sizeof before.accounts[i]);
    before.transfers = model->now.transfers_count;
    MUST(before.transfers <= TRANSFERS_MAX);
    memset(before.left, 0, sizeof before.left);
    for (uint32_t i = 0; i < before.transfers; i++) {
        if (model->now.status[i] == MODEL_PENDING)
            before.left[i] = model->now.notes[i].left;
    }
}

static struct giro_balances *balances_of(giro_u128 account_id)
{
    return &before.accounts[model_account(model, account_id) - model->now.accounts];
}

/* Adds a transfer to what there was before. */
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
    giro_u128 *left = &before.left[hold - model->transfers];
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

/* Burnt ids lie between the transfers that were made. */
static const struct giro_transfer *transfer_next(void)
{
    while (model->now.status[before.transfers] == MODEL_BURNT)
        before.transfers++;
    MUST(before.transfers < model->now.transfers_count);
    return &model->transfers[before.transfers++];
}

static void outcomes_compare(const char *outcomes, const uint32_t *codes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct giro_outcome expected = {.code = codes[i]};
        struct giro_outcome outcome;
        memcpy(&outcome, outcomes + i * sizeof outcome, sizeof outcome);
        if (codes[i] == 0) {
            const struct giro_transfer *transfer = transfer_next();
            transfer_add_up(transfer);
            expected.debit = *balances_of(transfer->debit_account_id);
            expected.credit = *balances_of(transfer->credit_account_id);
            expected.amount = transfer->amount;
            expected.timestamp = transfer->timestamp;
            expected.marks = model->now.notes[transfer - model->transfers].marks;
        }
        MUST(memcmp(&outcome, &expected, sizeof outcome) == 0, "outcome %u of %u", i, count);
    }
}

static void created_compare(uint8_t operation, const void *events, uint32_t count,
                            const char *reply, uint32_t reply_bytes)
{
    static uint32_t expected[BODY_BYTES_MAX / GIRO_RECORD_BYTES];
    struct frame_created head;
    MUST(reply_bytes >= sizeof head);
    memcpy(&head, reply, sizeof head);
    MUST(head.timestamp_first > timestamp_before);
    const uint32_t outcomes = operation == FRAME_CREATE_TRANSFERS_OUTCOMES ? count : 0;
    const size_t results_at = sizeof head + outcomes * sizeof(struct giro_outcome);
    MUST(reply_bytes == results_at + head.result_count * sizeof(struct giro_result));
    expiries_sync();
    before_keep();
    if (operation == FRAME_CREATE_ACCOUNTS)
        model_create_accounts(model, events, count, head.timestamp_first, expected);
    else if (operation == FRAME_SET_LIMITS)
        model_set_limits(model, events, count, head.timestamp_first, expected);
    else if (operation == FRAME_CUT_OFF)
        model_cut_off(model, events, count, head.timestamp_first, expected);
    else
        model_create_transfers(model, events, count, head.timestamp_first, expected);
    codes_compare(reply + results_at, head.result_count, expected, count);
    outcomes_compare(reply + sizeof head, expected, outcomes);
}

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
    if (operation == FRAME_LOOKUP_ACCOUNTS)
        return model_account(model, id);
    if (operation == FRAME_LOOKUP_TRANSFERS)
        return model_transfer(model, id);
    if (operation == FRAME_GET_LIMITS)
        return model_limits(model, id);
    if (operation == FRAME_GET_SETTLEMENTS)
        return model_settlement(model, id, &settlement) ? &settlement : NULL;
    return payment_expected(id, &payment) ? &payment : NULL;
}

static void lookup_compare(uint8_t operation, const giro_u128 *ids, uint32_t count,
                           const char *reply, uint32_t reply_bytes)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        const void *expected = record_expected(operation, ids[i]);
        if (expected == NULL)
            continue;
        MUST((found + 1) * GIRO_RECORD_BYTES <= reply_bytes);
        MUST(memcmp(reply + (size_t)found * GIRO_RECORD_BYTES, expected, GIRO_RECORD_BYTES) == 0);
        found++;
    }
    MUST(found * GIRO_RECORD_BYTES == reply_bytes);
}

/* ---- Queries, by a search through everything --------------------------------------------- */

struct asked {
    struct giro_query_filter filter;
    giro_u128 account_id; /* 0: any */
    uint32_t sides;
    bool accounts;
    bool balances;
};

static struct asked asked_of(uint8_t operation, const void *filter)
{
    struct asked asked = {
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

/* Accounts have the fields that are compared where transfers have them. */
static bool matches(const struct asked *asked, const struct giro_transfer *record)
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

/* Record number i of those that are searched, NULL: it is none. */
static const struct giro_transfer *searched(const struct asked *asked, uint32_t i)
{
    if (asked->accounts)
        return (const struct giro_transfer *)(const void *)&model->now.accounts[i];
    return model->now.status[i] == MODEL_BURNT ? NULL : &model->transfers[i];
}

static void query_compare(const struct asked *asked, const char *reply, uint32_t reply_bytes)
{
    const uint32_t count = asked->accounts ? model->now.accounts_count : model->now.transfers_count;
    const bool reversed = (asked->filter.flags & GIRO_QUERY_FILTER_REVERSED) != 0;
    uint32_t found = 0;
    for (uint32_t n = 0; n < count && found < asked->filter.limit; n++) {
        const struct giro_transfer *record = searched(asked, reversed ? count - 1 - n : n);
        struct giro_account_balance balance;
        if (record == NULL || !matches(asked, record))
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

/* The latest limits of an account are those that the model has; none are of another one. */
static void limits_change_compare(const struct giro_change *change)
{
    static const struct giro_balances none;
    const struct giro_limits *limits = &change->record.limits;
    const struct giro_limits *latest = model_limits(model, limits->account_id);
    MUST(latest != NULL && limits->timestamp <= latest->timestamp);
    MUST(limits->timestamp != latest->timestamp || memcmp(limits, latest, sizeof *limits) == 0);
    MUST(memcmp(&change->debit, &none, sizeof none) == 0);
    MUST(memcmp(&change->credit, &none, sizeof none) == 0 && change->marks == 0);
}

/* The ledger is in a later epoch than the one that was ended, or in the next one since then. */
static void cut_off_change_compare(const struct giro_change *change)
{
    static const struct giro_balances none;
    const struct giro_cut_off *cut_off = &change->record.cut_off;
    uint32_t place = 0;
    while (place < model->epochs_count && model->epochs[place].ledger != cut_off->ledger)
        place++;
    MUST(place < model->epochs_count);
    const struct model_epoch *epoch = &model->epochs[place];
    MUST(cut_off->epoch < epoch->epoch && cut_off->timestamp <= epoch->begin);
    MUST((cut_off->epoch + 1 == epoch->epoch) == (cut_off->timestamp == epoch->begin));
    MUST(cut_off->reserved_1 == 0 && cut_off->flags == 0 && change->marks == 0);
    MUST(memcmp(&change->debit, &none, sizeof none) == 0);
    MUST(memcmp(&change->credit, &none, sizeof none) == 0);
}

static void changes_compare(const void *filter_bytes, const char *reply, uint32_t reply_bytes)
{
    struct giro_change_filter filter;
    struct frame_changes head;
    memcpy(&filter, filter_bytes, sizeof filter);
    MUST(reply_bytes >= sizeof head);
    memcpy(&head, reply, sizeof head);
    MUST(head.count <= filter.limit);
    MUST(reply_bytes == sizeof head + head.count * sizeof(struct giro_change));
    MUST(head.ordinal_next >= filter.ordinal && head.ordinal_next <= head.ordinal_end);
    uint64_t next = filter.ordinal;
    for (uint32_t i = 0; i < head.count; i++) {
        struct giro_change change;
        memcpy(&change, reply + sizeof head + i * sizeof change, sizeof change);
        MUST(change.ordinal >= next && change.ordinal < head.ordinal_next);
        MUST(change.kind >= GIRO_CHANGE_ACCOUNT_CREATED && change.kind <= GIRO_CHANGE_CUT_OFF);
        if (change.kind == GIRO_CHANGE_CUT_OFF)
            cut_off_change_compare(&change);
        if (change.kind == GIRO_CHANGE_LIMITS_SET)
            limits_change_compare(&change);
        next = change.ordinal + 1;
        const struct giro_transfer *transfer = &change.record.transfer;
        if (change.kind >= GIRO_CHANGE_TRANSFER_CREATED &&
            change.kind <= GIRO_CHANGE_PENDING_VOIDED)
            MUST(memcmp(model_transfer(model, transfer->id), transfer, sizeof *transfer) == 0);
    }
}

/* ---- A frame ----------------------------------------------------------------------------- */

static void body_check(const struct frame_header *request, const void *asked, const char *reply,
                       uint32_t bytes)
{
    struct asked query;
    switch (request->operation) {
    case FRAME_PING:
        MUST(bytes == 0);
        break;
    case FRAME_STATS:
        MUST(bytes == sizeof(struct frame_stats));
        break;
    case FRAME_HELLO:
        MUST(bytes == sizeof(struct frame_welcome));
        break;
    case FRAME_CREATE_ACCOUNTS:
    case FRAME_CREATE_TRANSFERS:
    case FRAME_CREATE_TRANSFERS_OUTCOMES:
    case FRAME_SET_LIMITS:
    case FRAME_CUT_OFF:
        created_compare(request->operation, asked, request->body_bytes / GIRO_RECORD_BYTES, reply,
                        bytes);
        break;
    case FRAME_LOOKUP_ACCOUNTS:
    case FRAME_LOOKUP_TRANSFERS:
    case FRAME_LOOKUP_PAYMENTS:
    case FRAME_GET_LIMITS:
    case FRAME_GET_SETTLEMENTS:
        expiries_sync();
        lookup_compare(request->operation, asked, request->body_bytes / sizeof(giro_u128), reply,
                       bytes);
        break;
    case FRAME_READ_CHANGES:
        expiries_sync();
        changes_compare(asked, reply, bytes);
        break;
    default:
        expiries_sync();
        query = asked_of(request->operation, asked);
        query_compare(&query, reply, bytes);
    }
}

/* The reply lies in the connection's output; it may be sent now, and is. */
static void reply_take(const struct frame_header *request, const void *asked)
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
    settle();
    connection_release(&connection, shard.log.lsn_durable, shard.io, clock_now);
    MUST(connection.sending && connection.mark_count == 0);
    MUST(connection_sent(&connection, &shard.out_pool, clock_now) == 0 && connection.out_end == 0);
}

/* What a frame waits for comes about. */
static void frame_wait(void)
{
    struct shard_fetch *fetch = shard_fetch_of(&shard, &connection);
    if (connection.request == NULL && fetch != NULL) {
        enum log_fetch_state state;
        while ((state = log_fetch_step(&fetch->fetch)) == LOG_FETCH_AGAIN)
            ;
        MUST(state == LOG_FETCH_DONE);
        connection.fetching = false;
        return;
    }
    settle();
    for (uint32_t tries = 0; connection.fetching; tries++) {
        (void)requests_work(shard.follower, 0);
        MUST(shard_query_completed(&shard) == (connection.fetching ? NULL : &connection));
        clock_now += 1000000000; /* a read of changes may be waiting for its time to be over */
        MUST(tries < TRIES_MAX);
    }
}

static void frame_end(void)
{
    struct shard_fetch *fetch = shard_fetch_of(&shard, &connection);
    if (fetch != NULL)
        shard_fetch_end(fetch);
}

/* Executes one frame whose body lies where it ends. */
static void frame_run(struct frame_header header, const void *from)
{
    char *frame = aligned_alloc(16, FRAME_HEADER_BYTES + (header.body_bytes + 15) / 16 * 16);
    enum frame_status status;
    MUST(frame != NULL);
    memcpy(frame, &header, sizeof header);
    memcpy(frame + FRAME_HEADER_BYTES, from, header.body_bytes);
    connection.in = frame;
    connection.in_begin = 0;
    connection.in_end = FRAME_HEADER_BYTES + header.body_bytes;
    for (uint32_t tries = 0;; tries++) {
        MUST(tries < TRIES_MAX);
        timestamp_before = shard.ledger->timestamp_last;
        enum execution execution = shard_execute(&shard, &connection, &status);
        MUST(execution != EXECUTION_WAIT_OUTPUT && execution != EXECUTION_WAIT_BUFFER);
        if (execution == EXECUTION_REFUSED) {
            MUST(frame_status_closes(status));
            break;
        }
        if (execution == EXECUTION_DONE) {
            MUST(memcmp(frame + FRAME_HEADER_BYTES, from, header.body_bytes) == 0);
            reply_take(&header, frame + FRAME_HEADER_BYTES);
            break;
        }
        if (execution == EXECUTION_FETCHING)
            frame_wait();
        else
            settle();
        /* No segment is made here: when the last one is full, so is the disk. */
        shard.log.storage_full = execution == EXECUTION_WAIT_LOG && tries > 1;
    }
    frame_end();
    shard.log.storage_full = false;
    free(frame);
}

/* ---- Steps ------------------------------------------------------------------------------- */

static uint32_t step_kind_of(const struct step *step)
{
    uint32_t kind = step->kind % STEP_KINDS;
    const bool known =
        kind <= STEP_OUTCOMES || kind == STEP_CUT_OFF || kind == STEP_GET_SETTLEMENTS;
    return known ? kind : STEP_TRANSFER;
}

static void query_run(const struct step *step)
{
    const uint64_t min = (step->spoilt & 1) != 0 ? CLOCK_NS + step->timestamp * 16ull : 0;
    const uint64_t max = (step->spoilt & 2) != 0 ? CLOCK_NS + step->amount * 256ull : 0;
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

static void lookup_run(const struct step *step)
{
    giro_u128 ids[EVENTS_MAX];
    const uint32_t kind = step_kind_of(step);
    const bool accounts =
        kind == STEP_LOOKUP_ACCOUNTS || kind == STEP_GET_LIMITS || kind == STEP_GET_SETTLEMENTS;
    const uint8_t operation = kind == STEP_LOOKUP_ACCOUNTS    ? FRAME_LOOKUP_ACCOUNTS
                              : kind == STEP_LOOKUP_TRANSFERS ? FRAME_LOOKUP_TRANSFERS
                              : kind == STEP_GET_LIMITS       ? FRAME_GET_LIMITS
                              : kind == STEP_GET_SETTLEMENTS  ? FRAME_GET_SETTLEMENTS
                                                              : FRAME_LOOKUP_PAYMENTS;
    uint32_t count = step->amount % EVENTS_MAX;
    for (uint32_t i = 0; i < count; i++)
        ids[i] = accounts ? step_account_id((uint8_t)(step->id + i * step->debit))
                          : step_id((uint8_t)(step->id + i * step->debit));
    const struct frame_header header = {.operation = operation,
                                        .body_bytes = count * (uint32_t)sizeof ids[0]};
    frame_run(header, ids);
}

/* Any header, and a body that are the steps behind it, perhaps not whole. */
static void raw_run(const struct step *steps, uint32_t left)
{
    struct frame_header header = {
        .operation = steps[0].id % 40,
        .flags = steps[0].spoilt < 250 ? 0 : steps[0].flags,
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
        *(struct giro_account *)(void *)event = step_account(step, shard.ledger, clock_now);
        break;
    case STEP_LIMITS:
        *(struct giro_limits *)(void *)event = step_limits(step);
        break;
    case STEP_CUT_OFF:
        *(struct giro_cut_off *)(void *)event = step_cut_off(step, shard.ledger);
        break;
    default:
        *(struct giro_transfer *)(void *)event = step_transfer(step, shard.ledger, clock_now);
    }
}

static uint32_t create_run(const struct step *steps, uint32_t left)
{
    const uint32_t kind = step_kind_of(&steps[0]);
    const uint8_t operation = kind == STEP_ACCOUNT    ? FRAME_CREATE_ACCOUNTS
                              : kind == STEP_LIMITS   ? FRAME_SET_LIMITS
                              : kind == STEP_CUT_OFF  ? FRAME_CUT_OFF
                              : kind == STEP_OUTCOMES ? FRAME_CREATE_TRANSFERS_OUTCOMES
                                                      : FRAME_CREATE_TRANSFERS;
    uint32_t count = 0;
    do {
        event_make(&steps[count], body + (size_t)count * GIRO_RECORD_BYTES);
        count++;
    } while (count < left && count < EVENTS_MAX && step_kind_of(&steps[count]) == kind &&
             steps[count - 1].user_data >> 6 != 0);
    const struct frame_header header = {.operation = operation,
                                        .body_bytes = count * GIRO_RECORD_BYTES};
    frame_run(header, body);
    return count;
}

static void digest_log(uint32_t rows)
{
    union record *record;
    uint64_t address;
    if (log_reserve(&shard.log, 1, &record, &address) != LOG_ROOM)
        return;
    ledger_digest_record(shard.ledger, 1 + rows, clock_now, &record->digest);
    log_commit(&shard.log, 1);
}

/* Runs a step, or the request that begins with it. Returns how many steps it took. */
static uint32_t step_run(const struct step *steps, uint32_t left)
{
    switch (step_kind_of(&steps[0])) {
    case STEP_EXPIRE:
        (void)shard_expire(&shard);
        expiries_sync();
        break;
    case STEP_CLOCK:
        clock_now += steps[0].amount * (GIRO_NS_PER_S / 4) + steps[0].id;
        break;
    case STEP_FORGET:
        window_forget();
        break;
    case STEP_LOOKUP_ACCOUNTS:
    case STEP_LOOKUP_TRANSFERS:
    case STEP_GET_LIMITS:
    case STEP_GET_SETTLEMENTS:
    case STEP_LOOKUP_PAYMENTS:
        lookup_run(&steps[0]);
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
        settle();
        (void)log_roll(&shard.log);
        break;
    case STEP_DIGEST:
        digest_log(steps[0].id);
        break;
    case STEP_FLUSH:
        settle();
        (void)log_mark(&shard.log, BLOCK_IDLE, clock_now);
        settle();
        break;
    default:
        return create_run(steps, left);
    }
    return 1;
}

/* ---- A server's parts, made and made anew ------------------------------------------------ */

static void segments_empty(void)
{
    for (uint32_t segment = 0; segment < SEGMENTS; segment++) {
        char name[SIDECAR_NAME_BYTES];
        MUST(ftruncate(shard.log.segment_fds[segment], 0) == 0);
        MUST(ftruncate(shard.log.segment_fds[segment], SEGMENT_BYTES) == 0);
        sidecar_name(segment, name);
        (void)unlinkat(shard.directory.shard_fd, name, 0);
    }
}

static void log_reset(void)
{
    struct log *log = &shard.log;
    int *fds = log->segment_fds;
    uint32_t *map = log->chunk_blocks;
    MUST(madvise(shard.window, WINDOW_BYTES, MADV_DONTNEED) == 0); /* zeros, as at first */
    memset(map, 0, WINDOW_BYTES / LOG_CHUNK_BYTES * sizeof *map);
    *log = (struct log){
        .io = &fuzz_io,
        .directory = &shard.directory,
        .options = {.window_bytes = WINDOW_BYTES, .block_bytes_max = SEGMENT_BYTES},
        .window = {.base = shard.window, .records = WINDOW_BYTES / GIRO_RECORD_BYTES, .low = 1},
        .memory = shard.window,
        .lsn = 1,
        .feed = {.memory = shard.window, .window_bytes = WINDOW_BYTES},
        .segment_fds = fds,
        .segment_count = SEGMENTS,
        .chunk_blocks = map,
        .maker.fd = -1,
    };
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
    const struct ledger_config config = {
        .accounts_max = ACCOUNTS_MAX, .holds_max = HOLDS_MAX, .transfers_max = TRANSFERS_MAX};
    struct ledger_config follows = config;
    follows.transfers_max = 0;
    ledger_destroy(shard.ledger);
    ledger_destroy(shard.follower->ledger);
    MUST(ledger_create(&config, &shard.ledger) == 0);
    MUST(ledger_create(&follows, &shard.follower->ledger) == 0);
    shard.ledger->window = shard.log.window;
    model->now.accounts_count = 0;
    model->epochs_count = 0;
    model->now.transfers_count = 0;
    memset(model->limits, 0, sizeof model->limits);
    model_expired = 0;
}

static void follower_reset(void)
{
    struct follower *follower = shard.follower;
    const struct log_reader reader = {.lsn = 1};
    const struct log_position begin = {.lsn = 1};
    for (uint32_t i = 0; i < ARCHIVE_PAGES; i++)
        follower->reader->pages[i].valid = false;
    tail_close(&follower->tail);
    tail_open(&follower->tail, &shard.directory, &shard.log.feed, &reader);
    live_begin(&follower->live, &begin);
    memset(&follower->counters, 0, sizeof follower->counters);
    follower->started = true;
    follower->recording = true;
    follower->seal_due = false;
    follower->seal_at = 0;
    follower->failure = FOLLOWER_SOUND;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(16) struct step steps[STEPS_MAX];
    struct input input = {data, size};
    (void)input_number(&input, 1);
    size_t count = input.left / STEP_BYTES < STEPS_MAX ? input.left / STEP_BYTES : STEPS_MAX;
    input_take(&input, steps, count * STEP_BYTES);
    clock_now = CLOCK_NS;
    segments_empty();
    log_reset();
    ledgers_reset();
    follower_reset();
    for (uint32_t at = 0; at < count;)
        at += step_run(&steps[at], (uint32_t)count - at);
    settle();
    MUST(checksum_equal(ledger_digest(shard.ledger), ledger_digest(shard.follower->ledger)));
    MUST(shard.follower->free_count == FOLLOWER_REQUESTS && shard.requests_pending == 0);
    MUST(shard.out_pool.free_count == shard.out_pool.count);
    for (uint32_t number = 0; number <= 3; number++) {
        struct ledger_sums sums = ledger_sum(shard.ledger, number);
        MUST(sums.debits_posted == sums.credits_posted);
        MUST(sums.debits_pending == sums.credits_pending);
    }
    segments_forget(shard.follower);
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
        {.kind = STEP_QUERY, .credit = 9},
        {.kind = STEP_QUERY, .credit = 9, .spoilt = 4, .flags = 1},
        {.kind = STEP_CHANGES, .amount = 15},
        {.kind = STEP_RAW, .id = FRAME_STATS},
        {.kind = STEP_RAW, .id = FRAME_PING},
        {.kind = STEP_RAW, .id = FRAME_HELLO, .user_data = 3, .amount = 4},
        {.kind = 1, .debit = 1},
    };
    static uint8_t sample[1 + sizeof steps];
    memcpy(sample + 1, steps, sizeof steps);
    fuzz_sample("everything", sample, sizeof sample);
    fuzz_sample("creates", sample, 1 + 10 * STEP_BYTES);
    fuzz_samples_end();
}

static void shard_make(void)
{
    static char small[CONNECTION_OUT_BYTES];
    const struct follower_options follower = {.accounts_max = ACCOUNTS_MAX, .holds_max = HOLDS_MAX};
    struct error error;
    image_directory_make(&shard.directory);
    shard.directory.meta.segment_bytes = SEGMENT_BYTES;
    shard.options = &options;
    shard.io = &fuzz_io;
    shard.window = log_window_make(WINDOW_BYTES);
    shard.addresses = calloc(LEDGER_FETCH_MAX, sizeof *shard.addresses);
    shard.follower = &follower_parts;
    shard.log.segment_fds = calloc(SEGMENTS, sizeof *shard.log.segment_fds);
    MUST(shard.window != NULL && shard.addresses != NULL && shard.follower != NULL);
    MUST(shard.log.segment_fds != NULL && log_map_init(&shard.log.chunk_blocks) == 0);
    MUST(follower_init(shard.follower, &shard.directory, &follower, &error) == 0);
    MUST(buffer_pool_init(&shard.out_pool, 1) == 0);
    for (uint32_t i = 0; i < SHARD_FETCHES; i++)
        MUST(log_fetch_init(&shard.fetches[i].fetch, &shard.log, LEDGER_FETCH_MAX,
                            LEDGER_CACHE_RECORDS) == 0);
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(i, name);
        shard.log.segment_fds[i] =
            openat(shard.directory.shard_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        MUST(shard.log.segment_fds[i] >= 0);
    }
    connection = (struct connection){
        .state = CONNECTION_OPEN,
        .greeted = true,
        .out = small,
        .out_small = small,
        .out_capacity = sizeof small,
    };
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    fuzz_quiet();
    if (fuzz_samples_wanted())
        samples_write();
    model = calloc(1, sizeof *model);
    MUST(model != NULL);
    shard_make();
    return 0;
}
