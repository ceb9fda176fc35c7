#include "tests/ledger_model.h"

#include <assert.h>
#include <stddef.h>

/* ---- What there is ----------------------------------------------------------------------- */

static struct giro_account *account_find(struct model *model, giro_u128 id)
{
    for (uint32_t i = 0; i < model->now.accounts_count; i++) {
        if (model->now.accounts[i].id == id)
            return &model->now.accounts[i];
    }
    return NULL;
}

/* Its number, or -1. Burnt ids are found, too. */
static int64_t transfer_find(const struct model *model, giro_u128 id)
{
    for (uint32_t i = 0; i < model->now.transfers_count; i++) {
        if (model->transfers[i].id == id)
            return i;
    }
    return -1;
}

const struct giro_account *model_account(const struct model *model, giro_u128 id)
{
    for (uint32_t i = 0; i < model->now.accounts_count; i++) {
        if (model->now.accounts[i].id == id)
            return &model->now.accounts[i];
    }
    return NULL;
}

const struct giro_transfer *model_transfer(const struct model *model, giro_u128 id)
{
    int64_t number = transfer_find(model, id);
    if (number < 0 || model->now.status[number] == MODEL_BURNT)
        return NULL;
    return &model->transfers[number];
}

static void transfer_add(struct model *model, const struct giro_transfer *transfer,
                         enum model_status status)
{
    assert(model->now.transfers_count < MODEL_TRANSFERS_MAX);
    model->transfers[model->now.transfers_count] = *transfer;
    model->now.status[model->now.transfers_count] = (uint8_t)status;
    model->now.transfers_count++;
}

/* 0: never. */
static uint64_t deadline_of(const struct giro_transfer *pending)
{
    return pending->timeout == 0 ? 0 : pending->timestamp + pending->timeout * GIRO_NS_PER_S;
}

static uint64_t last_account_timestamp(const struct model *model)
{
    uint32_t count = model->now.accounts_count;
    return count == 0 ? 0 : model->now.accounts[count - 1].timestamp;
}

static uint64_t last_transfer_timestamp(const struct model *model)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < model->now.transfers_count; i++) {
        if (model->now.status[i] != MODEL_BURNT)
            last = model->transfers[i].timestamp;
    }
    return last;
}

/* An imported transfer comes after every other transfer and shares no account's timestamp. */
static bool transfer_regresses(const struct model *model, uint64_t timestamp)
{
    if (timestamp <= last_transfer_timestamp(model))
        return true;
    for (uint32_t i = 0; i < model->now.accounts_count; i++) {
        if (model->now.accounts[i].timestamp == timestamp)
            return true;
    }
    return false;
}

/* ---- Accounts ---------------------------------------------------------------------------- */

static uint32_t account_form(const struct giro_account *event)
{
    if (event->reserved != 0)
        return GIRO_ACCOUNT_RESERVED_FIELD;
    if (event->flags >= 1 << 6)
        return GIRO_ACCOUNT_RESERVED_FLAG;
    if (event->id == 0)
        return GIRO_ACCOUNT_ID_MUST_NOT_BE_ZERO;
    if (event->id == GIRO_U128_MAX)
        return GIRO_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
    return 0;
}

static uint32_t account_compare(const struct giro_account *event,
                                const struct giro_account *existing)
{
    if (event->flags != existing->flags)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_FLAGS;
    if (event->user_data_128 != existing->user_data_128)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_USER_DATA_128;
    if (event->user_data_64 != existing->user_data_64)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_USER_DATA_64;
    if (event->user_data_32 != existing->user_data_32)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_USER_DATA_32;
    if (event->ledger != existing->ledger)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_LEDGER;
    if (event->code != existing->code)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_CODE;
    return GIRO_ACCOUNT_EXISTS;
}

static uint32_t account_semantics(const struct model *model, const struct giro_account *event)
{
    if ((event->flags & GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS) != 0 &&
        (event->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0)
        return GIRO_ACCOUNT_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
    if (event->debits_pending != 0)
        return GIRO_ACCOUNT_DEBITS_PENDING_MUST_BE_ZERO;
    if (event->debits_posted != 0)
        return GIRO_ACCOUNT_DEBITS_POSTED_MUST_BE_ZERO;
    if (event->credits_pending != 0)
        return GIRO_ACCOUNT_CREDITS_PENDING_MUST_BE_ZERO;
    if (event->credits_posted != 0)
        return GIRO_ACCOUNT_CREDITS_POSTED_MUST_BE_ZERO;
    if (event->ledger == 0)
        return GIRO_ACCOUNT_LEDGER_MUST_NOT_BE_ZERO;
    if (event->code == 0)
        return GIRO_ACCOUNT_CODE_MUST_NOT_BE_ZERO;
    /* By the rules it need not be later than every transfer, only different: the engine is known
     * to be stricter here. */
    if ((event->flags & GIRO_ACCOUNT_IMPORTED) != 0 &&
        (event->timestamp <= last_account_timestamp(model) ||
         event->timestamp <= last_transfer_timestamp(model)))
        return GIRO_ACCOUNT_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;
    return 0;
}

static uint32_t account_identity(struct model *model, const struct giro_account *event)
{
    uint32_t code = account_form(event);
    if (code != 0)
        return code;
    const struct giro_account *existing = account_find(model, event->id);
    return existing == NULL ? 0 : account_compare(event, existing);
}

static uint32_t account_create(struct model *model, const struct giro_account *event,
                               uint64_t timestamp)
{
    uint32_t code = account_identity(model, event);
    if (code == 0)
        code = account_semantics(model, event);
    if (code != 0)
        return code;
    assert(model->now.accounts_count < MODEL_ACCOUNTS_MAX);
    struct giro_account *account = &model->now.accounts[model->now.accounts_count++];
    *account = *event;
    if ((event->flags & GIRO_ACCOUNT_IMPORTED) == 0)
        account->timestamp = timestamp;
    return 0;
}

/* ---- Transfers that exist ---------------------------------------------------------------- */

static bool is_post(const struct giro_transfer *event)
{
    return (event->flags & GIRO_TRANSFER_POST_PENDING) != 0;
}

static bool is_void(const struct giro_transfer *event)
{
    return (event->flags & GIRO_TRANSFER_VOID_PENDING) != 0;
}

static bool amount_differs(const struct giro_transfer *event, const struct giro_transfer *existing,
                           const struct giro_transfer *pending)
{
    if (is_post(event) && event->amount == GIRO_U128_MAX)
        return existing->amount != pending->amount;
    if (is_void(event) && event->amount == 0)
        return false;
    if ((event->flags & (GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT)) != 0)
        return event->amount < existing->amount;
    return event->amount != existing->amount;
}

/* What the fields of a post or void mean that are zero. */
static struct giro_transfer inherited(const struct giro_transfer *event,
                                      const struct giro_transfer *pending)
{
    struct giro_transfer full = *event;
    if (full.debit_account_id == 0)
        full.debit_account_id = pending->debit_account_id;
    if (full.credit_account_id == 0)
        full.credit_account_id = pending->credit_account_id;
    if (full.user_data_128 == 0)
        full.user_data_128 = pending->user_data_128;
    if (full.user_data_64 == 0)
        full.user_data_64 = pending->user_data_64;
    if (full.user_data_32 == 0)
        full.user_data_32 = pending->user_data_32;
    if (full.ledger == 0)
        full.ledger = pending->ledger;
    if (full.code == 0)
        full.code = pending->code;
    return full;
}

static uint32_t transfer_compare(const struct model *model, const struct giro_transfer *event,
                                 const struct giro_transfer *existing)
{
    if (event->flags != existing->flags)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_FLAGS;
    if (event->pending_id != existing->pending_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_PENDING_ID;
    if (event->timeout != existing->timeout)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_TIMEOUT;
    const struct giro_transfer *pending = NULL;
    struct giro_transfer full = *event;
    if (is_post(event) || is_void(event)) {
        pending = &model->transfers[transfer_find(model, event->pending_id)];
        full = inherited(event, pending);
    }
    if (full.debit_account_id != existing->debit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID;
    if (full.credit_account_id != existing->credit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID;
    if (amount_differs(event, existing, pending))
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_AMOUNT;
    if (full.user_data_128 != existing->user_data_128)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_128;
    if (full.user_data_64 != existing->user_data_64)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_64;
    if (full.user_data_32 != existing->user_data_32)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_32;
    if (full.ledger != existing->ledger)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_LEDGER;
    if (full.code != existing->code)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CODE;
    return GIRO_TRANSFER_EXISTS;
}

static uint32_t transfer_identity(const struct model *model, const struct giro_transfer *event)
{
    if (event->flags >= 1 << 9)
        return GIRO_TRANSFER_RESERVED_FLAG;
    if (event->id == 0)
        return GIRO_TRANSFER_ID_MUST_NOT_BE_ZERO;
    if (event->id == GIRO_U128_MAX)
        return GIRO_TRANSFER_ID_MUST_NOT_BE_INT_MAX;
    int64_t number = transfer_find(model, event->id);
    if (number < 0)
        return 0;
    if (model->now.status[number] == MODEL_BURNT)
        return GIRO_TRANSFER_ID_ALREADY_FAILED;
    return transfer_compare(model, event, &model->transfers[number]);
}

/* ---- Plain and pending transfers --------------------------------------------------------- */

static bool has_closed(const struct giro_account *account)
{
    return (account->flags & GIRO_ACCOUNT_CLOSED) != 0;
}

static uint32_t plain_form(const struct giro_transfer *event)
{
    bool pending = (event->flags & GIRO_TRANSFER_PENDING) != 0;
    bool closing =
        (event->flags & (GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_CLOSING_CREDIT)) != 0;
    if (event->debit_account_id == 0)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
    if (event->debit_account_id == GIRO_U128_MAX)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
    if (event->credit_account_id == 0)
        return GIRO_TRANSFER_CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
    if (event->credit_account_id == GIRO_U128_MAX)
        return GIRO_TRANSFER_CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
    if (event->debit_account_id == event->credit_account_id)
        return GIRO_TRANSFER_ACCOUNTS_MUST_BE_DIFFERENT;
    if (event->pending_id != 0)
        return GIRO_TRANSFER_PENDING_ID_MUST_BE_ZERO;
    if (event->timeout != 0 && !pending)
        return GIRO_TRANSFER_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER;
    if (closing && !pending)
        return GIRO_TRANSFER_CLOSING_TRANSFER_MUST_BE_PENDING;
    if (event->ledger == 0)
        return GIRO_TRANSFER_LEDGER_MUST_NOT_BE_ZERO;
    if (event->code == 0)
        return GIRO_TRANSFER_CODE_MUST_NOT_BE_ZERO;
    return 0;
}

static uint32_t plain_accounts(const struct model *model, const struct giro_transfer *event,
                               const struct giro_account *debit, const struct giro_account *credit)
{
    if (debit == NULL)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_NOT_FOUND;
    if (credit == NULL)
        return GIRO_TRANSFER_CREDIT_ACCOUNT_NOT_FOUND;
    if (debit->ledger != credit->ledger)
        return GIRO_TRANSFER_ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER;
    if (event->ledger != debit->ledger)
        return GIRO_TRANSFER_TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS;
    bool imported = (event->flags & GIRO_TRANSFER_IMPORTED) != 0;
    if (imported && transfer_regresses(model, event->timestamp))
        return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;
    if (imported && event->timestamp <= debit->timestamp)
        return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_DEBIT_ACCOUNT;
    if (imported && event->timestamp <= credit->timestamp)
        return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_CREDIT_ACCOUNT;
    if (imported && event->timeout != 0)
        return GIRO_TRANSFER_IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO;
    if (has_closed(debit))
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED;
    if (has_closed(credit))
        return GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED;
    return 0;
}

static giro_u128 at_most(giro_u128 amount, giro_u128 there, giro_u128 taken)
{
    giro_u128 left = taken < there ? there - taken : 0;
    return amount < left ? amount : left;
}

static giro_u128 balanced(const struct giro_transfer *event, const struct giro_account *debit,
                          const struct giro_account *credit)
{
    giro_u128 amount = event->amount;
    if ((event->flags & GIRO_TRANSFER_BALANCING_DEBIT) != 0)
        amount =
            at_most(amount, debit->credits_posted, debit->debits_posted + debit->debits_pending);
    if ((event->flags & GIRO_TRANSFER_BALANCING_CREDIT) != 0)
        amount = at_most(amount, credit->debits_posted,
                         credit->credits_posted + credit->credits_pending);
    return amount;
}

static bool overflows(giro_u128 left, giro_u128 right)
{
    giro_u128 sum;
    return __builtin_add_overflow(left, right, &sum);
}

static uint32_t plain_amount(const struct giro_transfer *event, giro_u128 amount,
                             uint64_t timestamp, const struct giro_account *debit,
                             const struct giro_account *credit)
{
    bool pending = (event->flags & GIRO_TRANSFER_PENDING) != 0;
    giro_u128 debits = debit->debits_pending + debit->debits_posted;
    giro_u128 credits = credit->credits_pending + credit->credits_posted;
    if (pending && overflows(debit->debits_pending, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS_PENDING;
    if (pending && overflows(credit->credits_pending, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS_PENDING;
    if (overflows(debit->debits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS_POSTED;
    if (overflows(credit->credits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS_POSTED;
    if (overflows(debits, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS;
    if (overflows(credits, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS;
    if ((giro_u128)timestamp + (giro_u128)event->timeout * GIRO_NS_PER_S > GIRO_TIMESTAMP_MAX)
        return GIRO_TRANSFER_OVERFLOWS_TIMEOUT;
    if ((debit->flags & GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS) != 0 &&
        debits + amount > debit->credits_posted)
        return GIRO_TRANSFER_EXCEEDS_CREDITS;
    if ((credit->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0 &&
        credits + amount > credit->debits_posted)
        return GIRO_TRANSFER_EXCEEDS_DEBITS;
    return 0;
}

static uint32_t plain_create(struct model *model, const struct giro_transfer *event,
                             uint64_t timestamp)
{
    struct giro_account *debit = account_find(model, event->debit_account_id);
    struct giro_account *credit = account_find(model, event->credit_account_id);
    struct giro_transfer transfer = *event;
    if ((event->flags & GIRO_TRANSFER_IMPORTED) == 0)
        transfer.timestamp = timestamp;
    uint32_t code = plain_form(event);
    if (code == 0)
        code = plain_accounts(model, event, debit, credit);
    if (code != 0)
        return code;
    transfer.amount = balanced(event, debit, credit);
    code = plain_amount(event, transfer.amount, transfer.timestamp, debit, credit);
    if (code != 0)
        return code;

    if ((event->flags & GIRO_TRANSFER_PENDING) != 0) {
        debit->debits_pending += transfer.amount;
        credit->credits_pending += transfer.amount;
        if ((event->flags & GIRO_TRANSFER_CLOSING_DEBIT) != 0)
            debit->flags |= GIRO_ACCOUNT_CLOSED;
        if ((event->flags & GIRO_TRANSFER_CLOSING_CREDIT) != 0)
            credit->flags |= GIRO_ACCOUNT_CLOSED;
        transfer_add(model, &transfer, MODEL_PENDING);
    } else {
        debit->debits_posted += transfer.amount;
        credit->credits_posted += transfer.amount;
        transfer_add(model, &transfer, MODEL_SETTLED);
    }
    return 0;
}

/* ---- Post, void, expiry ------------------------------------------------------------------ */

static uint32_t resolve_form(const struct giro_transfer *event)
{
    const uint16_t others = GIRO_TRANSFER_PENDING | GIRO_TRANSFER_BALANCING_DEBIT |
                            GIRO_TRANSFER_BALANCING_CREDIT | GIRO_TRANSFER_CLOSING_DEBIT |
                            GIRO_TRANSFER_CLOSING_CREDIT;
    if ((is_post(event) && is_void(event)) || (event->flags & others) != 0)
        return GIRO_TRANSFER_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
    if (event->pending_id == 0)
        return GIRO_TRANSFER_PENDING_ID_MUST_NOT_BE_ZERO;
    if (event->pending_id == GIRO_U128_MAX)
        return GIRO_TRANSFER_PENDING_ID_MUST_NOT_BE_INT_MAX;
    if (event->pending_id == event->id)
        return GIRO_TRANSFER_PENDING_ID_MUST_BE_DIFFERENT;
    if (event->timeout != 0)
        return GIRO_TRANSFER_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER;
    return 0;
}

/* full: the event with what it inherits. */
static uint32_t resolve_fields(const struct giro_transfer *full,
                               const struct giro_transfer *pending)
{
    if (full->debit_account_id != pending->debit_account_id)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID;
    if (full->credit_account_id != pending->credit_account_id)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT_ID;
    if (full->ledger != pending->ledger)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_LEDGER;
    if (full->code != pending->code)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_CODE;
    if (full->amount > pending->amount)
        return GIRO_TRANSFER_EXCEEDS_PENDING_TRANSFER_AMOUNT;
    if (is_void(full) && full->amount < pending->amount)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT;
    return 0;
}

/* now: the server's time, which deadlines count by even when the event is imported. */
static uint32_t resolve_state(const struct model *model, const struct giro_transfer *full,
                              const struct giro_transfer *pending, enum model_status status,
                              uint64_t now)
{
    if (status == MODEL_POSTED)
        return GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_POSTED;
    if (status == MODEL_VOIDED)
        return GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_VOIDED;
    if (status == MODEL_EXPIRED || (pending->timeout != 0 && deadline_of(pending) <= now))
        return GIRO_TRANSFER_PENDING_TRANSFER_EXPIRED;
    if ((full->flags & GIRO_TRANSFER_IMPORTED) != 0 && transfer_regresses(model, full->timestamp))
        return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;
    if (is_post(full) && has_closed(model_account(model, full->debit_account_id)))
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED;
    if (is_post(full) && has_closed(model_account(model, full->credit_account_id)))
        return GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED;
    return 0;
}

/* Takes back what is pending, and the closing of accounts with it. */
static void release(struct model *model, const struct giro_transfer *pending)
{
    struct giro_account *debit = account_find(model, pending->debit_account_id);
    struct giro_account *credit = account_find(model, pending->credit_account_id);
    debit->debits_pending -= pending->amount;
    credit->credits_pending -= pending->amount;
    if ((pending->flags & GIRO_TRANSFER_CLOSING_DEBIT) != 0)
        debit->flags &= (uint16_t)~GIRO_ACCOUNT_CLOSED;
    if ((pending->flags & GIRO_TRANSFER_CLOSING_CREDIT) != 0)
        credit->flags &= (uint16_t)~GIRO_ACCOUNT_CLOSED;
}

static uint32_t resolve_create(struct model *model, const struct giro_transfer *event,
                               uint64_t timestamp)
{
    uint32_t code = resolve_form(event);
    if (code != 0)
        return code;
    int64_t number = transfer_find(model, event->pending_id);
    if (number < 0 || model->now.status[number] == MODEL_BURNT)
        return GIRO_TRANSFER_PENDING_TRANSFER_NOT_FOUND;
    if (model->now.status[number] == MODEL_SETTLED)
        return GIRO_TRANSFER_PENDING_TRANSFER_NOT_PENDING;

    const struct giro_transfer *pending = &model->transfers[number];
    struct giro_transfer full = inherited(event, pending);
    if (event->amount == (is_post(event) ? GIRO_U128_MAX : 0))
        full.amount = pending->amount;
    if ((event->flags & GIRO_TRANSFER_IMPORTED) == 0)
        full.timestamp = timestamp;
    code = resolve_fields(&full, pending);
    if (code == 0)
        code = resolve_state(model, &full, pending, model->now.status[number], timestamp);
    if (code != 0)
        return code;

    release(model, pending);
    if (is_post(event)) {
        account_find(model, full.debit_account_id)->debits_posted += full.amount;
        account_find(model, full.credit_account_id)->credits_posted += full.amount;
    }
    model->now.status[number] = is_post(event) ? MODEL_POSTED : MODEL_VOIDED;
    transfer_add(model, &full, MODEL_SETTLED);
    return 0;
}

uint32_t model_expire(struct model *model, uint64_t timestamp, uint32_t max)
{
    for (uint32_t released = 0; released < max; released++) {
        int64_t first = -1;
        for (uint32_t i = 0; i < model->now.transfers_count; i++) {
            uint64_t deadline = deadline_of(&model->transfers[i]);
            /* Of two equal deadlines the earlier transfer's, which stands before. */
            if (model->now.status[i] == MODEL_PENDING && deadline != 0 && deadline <= timestamp &&
                (first < 0 || deadline < deadline_of(&model->transfers[first])))
                first = i;
        }
        if (first < 0)
            return released;
        release(model, &model->transfers[first]);
        model->now.status[first] = MODEL_EXPIRED;
    }
    return max;
}

/* ---- Requests ---------------------------------------------------------------------------- */

/* One request of either kind; the other pointer is NULL. */
struct model_request {
    const struct giro_account *accounts;
    const struct giro_transfer *transfers;
    uint32_t count;
    uint64_t timestamp;
};

static uint16_t flags_of(const struct model_request *request, uint32_t i)
{
    return request->accounts != NULL ? request->accounts[i].flags : request->transfers[i].flags;
}

static bool is_linked(const struct model_request *request, uint32_t i)
{
    _Static_assert((int)GIRO_ACCOUNT_LINKED == (int)GIRO_TRANSFER_LINKED, "same flag");
    return (flags_of(request, i) & GIRO_ACCOUNT_LINKED) != 0;
}

static bool is_imported(const struct model_request *request, uint32_t i)
{
    return (flags_of(request, i) &
            (request->accounts != NULL ? GIRO_ACCOUNT_IMPORTED : GIRO_TRANSFER_IMPORTED)) != 0;
}

/* The code of a rule that both kinds have, under numbers of their own. */
static uint32_t either(const struct model_request *request, enum giro_account_result account,
                       enum giro_transfer_result transfer)
{
    return request->accounts != NULL ? (uint32_t)account : (uint32_t)transfer;
}

static uint32_t request_rules(const struct model_request *request, uint32_t i)
{
    uint64_t timestamp = request->accounts != NULL ? request->accounts[i].timestamp
                                                   : request->transfers[i].timestamp;
    if (is_imported(request, 0) && !is_imported(request, i))
        return either(request, GIRO_ACCOUNT_IMPORTED_EVENT_EXPECTED,
                      GIRO_TRANSFER_IMPORTED_EVENT_EXPECTED);
    if (!is_imported(request, 0) && is_imported(request, i))
        return either(request, GIRO_ACCOUNT_IMPORTED_EVENT_NOT_EXPECTED,
                      GIRO_TRANSFER_IMPORTED_EVENT_NOT_EXPECTED);
    if (!is_imported(request, i) && timestamp != 0)
        return either(request, GIRO_ACCOUNT_TIMESTAMP_MUST_BE_ZERO,
                      GIRO_TRANSFER_TIMESTAMP_MUST_BE_ZERO);
    if (is_imported(request, i) && (timestamp < 1 || timestamp > GIRO_TIMESTAMP_MAX))
        return either(request, GIRO_ACCOUNT_IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE,
                      GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE);
    if (is_imported(request, i) && timestamp >= request->timestamp)
        return either(request, GIRO_ACCOUNT_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE,
                      GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE);
    return 0;
}

static uint32_t identity(struct model *model, const struct model_request *request, uint32_t i)
{
    return request->accounts != NULL ? account_identity(model, &request->accounts[i])
                                     : transfer_identity(model, &request->transfers[i]);
}

static uint32_t event_create(struct model *model, const struct model_request *request, uint32_t i)
{
    uint64_t timestamp = request->timestamp + i;
    uint32_t code = request_rules(request, i);
    if (code != 0)
        return code;
    if (request->accounts != NULL)
        return account_create(model, &request->accounts[i], timestamp);
    const struct giro_transfer *event = &request->transfers[i];
    code = transfer_identity(model, event);
    if (code != 0)
        return code;
    return is_post(event) || is_void(event) ? resolve_create(model, event, timestamp)
                                            : plain_create(model, event, timestamp);
}

static bool burns(uint32_t code)
{
    return code == GIRO_TRANSFER_DEBIT_ACCOUNT_NOT_FOUND ||
           code == GIRO_TRANSFER_CREDIT_ACCOUNT_NOT_FOUND ||
           code == GIRO_TRANSFER_PENDING_TRANSFER_NOT_FOUND ||
           code == GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED ||
           code == GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED ||
           code == GIRO_TRANSFER_EXCEEDS_CREDITS || code == GIRO_TRANSFER_EXCEEDS_DEBITS;
}

static void burn(struct model *model, const struct model_request *request, uint32_t i,
                 uint32_t code)
{
    if (request->transfers == NULL || !burns(code))
        return;
    struct giro_transfer burnt = {.id = request->transfers[i].id};
    transfer_add(model, &burnt, MODEL_BURNT);
}

static bool was_committed(struct model *model, const struct model_request *request, uint32_t first,
                          uint32_t last)
{
    for (uint32_t i = first; i <= last; i++) {
        if (request_rules(request, i) != 0 ||
            identity(model, request, i) !=
                either(request, GIRO_ACCOUNT_EXISTS, GIRO_TRANSFER_EXISTS))
            return false;
    }
    return true;
}

/* Members first .. last, of which all but the last are linked; the last one, too, when the request
 * ends before the chain does. */
static void chain_create(struct model *model, const struct model_request *request, uint32_t first,
                         uint32_t last, uint32_t *codes)
{
    const uint32_t linked_event_failed = GIRO_TRANSFER_LINKED_EVENT_FAILED;
    bool open = is_linked(request, last);
    if (!open && was_committed(model, request, first, last)) {
        for (uint32_t i = first; i <= last; i++)
            codes[i] = either(request, GIRO_ACCOUNT_EXISTS, GIRO_TRANSFER_EXISTS);
        return;
    }
    model->before = model->now;
    for (uint32_t i = first; i <= last; i++) {
        bool chain_open = open && i == last;
        codes[i] = chain_open ? (uint32_t)GIRO_TRANSFER_LINKED_EVENT_CHAIN_OPEN
                              : event_create(model, request, i);
        if (codes[i] == 0)
            continue;
        model->now = model->before;
        burn(model, request, i, codes[i]);
        for (uint32_t j = first; j <= last; j++) {
            if (j != i)
                codes[j] = linked_event_failed;
        }
        if (open)
            codes[last] = GIRO_TRANSFER_LINKED_EVENT_CHAIN_OPEN;
        return;
    }
}

static void request_create(struct model *model, const struct model_request *request,
                           uint32_t *codes)
{
    for (uint32_t i = 0; i < request->count; i++) {
        uint32_t first = i;
        while (i + 1 < request->count && is_linked(request, i))
            i++;
        if (is_linked(request, first)) {
            chain_create(model, request, first, i, codes);
        } else {
            codes[i] = event_create(model, request, i);
            burn(model, request, i, codes[i]);
        }
    }
}

void model_create_accounts(struct model *model, const struct giro_account *events, uint32_t count,
                           uint64_t timestamp, uint32_t *codes)
{
    struct model_request request = {.accounts = events, .count = count, .timestamp = timestamp};
    request_create(model, &request, codes);
}

void model_create_transfers(struct model *model, const struct giro_transfer *events, uint32_t count,
                            uint64_t timestamp, uint32_t *codes)
{
    struct model_request request = {.transfers = events, .count = count, .timestamp = timestamp};
    request_create(model, &request, codes);
}
