#include "tests/ledger_model.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

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

const struct giro_limits *model_limits(const struct model *model, giro_u128 account_id)
{
    const struct giro_account *account = model_account(model, account_id);
    if (account == NULL || model->limits[account - model->now.accounts].account_id == 0)
        return NULL;
    return &model->limits[account - model->now.accounts];
}

bool model_payment(const struct model *model, giro_u128 id, struct model_payment *out)
{
    int64_t number = transfer_find(model, id);
    if (number < 0 || !model->now.notes[number].kept)
        return false;
    const struct model_note *note = &model->now.notes[number];
    *out = (struct model_payment){
        .amount = note->amount,
        .taken = note->taken,
        .left = note->left,
        .marks = note->marks,
        .depth = note->depth,
    };
    return true;
}

/* Its note says nothing yet but its amount. */
static struct model_note *transfer_add(struct model *model, const struct giro_transfer *transfer,
                                       enum model_status status)
{
    assert(model->now.transfers_count < MODEL_TRANSFERS_MAX);
    uint32_t number = model->now.transfers_count++;
    model->transfers[number] = *transfer;
    model->now.status[number] = (uint8_t)status;
    model->now.notes[number] = (struct model_note){.amount = transfer->amount};
    return &model->now.notes[number];
}

static uint64_t timeout_end(const struct giro_transfer *transfer)
{
    return transfer->timestamp + transfer->timeout * GIRO_NS_PER_S;
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

static bool is_adjust(const struct giro_transfer *event)
{
    return (event->flags & GIRO_TRANSFER_ADJUST) != 0;
}

static bool is_return(const struct giro_transfer *event)
{
    return (event->flags & GIRO_TRANSFER_RETURN) != 0;
}

static bool is_pending(const struct giro_transfer *event)
{
    return (event->flags & GIRO_TRANSFER_PENDING) != 0;
}

static bool is_fact(const struct giro_transfer *event)
{
    return (event->flags & GIRO_TRANSFER_FACT) != 0;
}

static bool keeps_open(const struct giro_transfer *event)
{
    return (event->flags & GIRO_TRANSFER_KEEP_OPEN) != 0;
}

/* hold: of a post or void, NULL for any other. A post that does not keep its hold open has ended it,
 * so that what the hold had left is still known. */
static bool amount_differs(const struct giro_transfer *event, const struct giro_transfer *existing,
                           const struct model_note *hold)
{
    if (is_post(event) && !keeps_open(event) && event->amount == GIRO_U128_MAX)
        return existing->amount != hold->left;
    if (is_void(event) && !keeps_open(event) && event->amount == 0)
        return false;
    if (is_return(event) && event->amount == GIRO_U128_MAX)
        return false;
    if ((event->flags & (GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT)) != 0)
        return event->amount < existing->amount;
    return event->amount != existing->amount;
}

/* What the fields of a post, void or adjust mean that are zero. */
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
    const struct model_note *hold = NULL;
    struct giro_transfer full = *event;
    if (is_post(event) || is_void(event) || is_adjust(event)) {
        int64_t number = transfer_find(model, event->pending_id);
        full = inherited(event, &model->transfers[number]);
        hold = &model->now.notes[number];
    }
    if (full.debit_account_id != existing->debit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID;
    if (full.credit_account_id != existing->credit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID;
    if (amount_differs(event, existing, hold))
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
    if (event->flags >= 1 << 14)
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

/* ---- Sums -------------------------------------------------------------------------------- */

static bool overflows(giro_u128 left, giro_u128 right)
{
    giro_u128 sum;
    return __builtin_add_overflow(left, right, &sum);
}

/* Facts can add up to more than there are numbers for: such a sum stays at the largest. */
static giro_u128 sum_of(giro_u128 left, giro_u128 right)
{
    return overflows(left, right) ? GIRO_U128_MAX : left + right;
}

/* Basis points of an amount, rounded down, digit by digit of the share: exact at any size. */
static giro_u128 share_of(giro_u128 amount, uint32_t basis_points)
{
    giro_u128 share = 0;
    giro_u128 rest = 0; /* ten-thousandths */
    for (uint32_t bit = 128; bit-- > 0;) {
        share = sum_of(share, share);
        rest *= 2;
        if ((amount >> bit & 1) != 0)
            rest += basis_points;
        share = sum_of(share, rest / 10000);
        rest %= 10000;
    }
    return share;
}

static giro_u128 difference_of(giro_u128 left, giro_u128 right)
{
    return left > right ? left - right : 0;
}

/* ---- Limits of accounts ------------------------------------------------------------------ */

static bool limits_reserved(const struct giro_limits *event)
{
    uint8_t used = 0;
    for (size_t i = 0; i < sizeof event->reserved; i++)
        used |= event->reserved[i];
    return used != 0 || event->reserved_1 != 0;
}

static uint32_t limits_rules(const struct model *model, const struct giro_limits *event)
{
    const struct giro_account *account = model_account(model, event->account_id);
    if (event->timestamp != 0)
        return GIRO_LIMITS_RESULT_TIMESTAMP_MUST_BE_ZERO;
    if (limits_reserved(event))
        return GIRO_LIMITS_RESULT_RESERVED_FIELD;
    if (event->flags >= 1 << 3)
        return GIRO_LIMITS_RESULT_RESERVED_FLAG;
    if (event->account_id == 0)
        return GIRO_LIMITS_RESULT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
    if (event->account_id == GIRO_U128_MAX)
        return GIRO_LIMITS_RESULT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
    if (event->over_capture > 100000)
        return GIRO_LIMITS_RESULT_OVER_CAPTURE_OUT_OF_RANGE;
    if (account == NULL)
        return GIRO_LIMITS_RESULT_ACCOUNT_NOT_FOUND;
    if (event->floor != 0 && (account->flags & (GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS |
                                                GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS)) == 0)
        return GIRO_LIMITS_RESULT_FLOOR_NEEDS_LIMIT_FLAG;
    return 0;
}

void model_set_limits(struct model *model, const struct giro_limits *events, uint32_t count,
                      uint64_t timestamp, uint32_t *codes)
{
    for (uint32_t i = 0; i < count; i++) {
        codes[i] = limits_rules(model, &events[i]);
        if (codes[i] != 0)
            continue;
        const struct giro_account *account = model_account(model, events[i].account_id);
        struct giro_limits *row = &model->limits[account - model->now.accounts];
        *row = events[i];
        row->timestamp = timestamp + i;
    }
}

/* An account of the model; all zeros when it has no limits. */
static const struct giro_limits *limits_of(const struct model *model,
                                           const struct giro_account *account)
{
    return &model->limits[account - model->now.accounts];
}

/* Money that is about to move. Before it does, so much of what both sides have pending is released.
 * What the sums here add up to has been checked for overflow. */
struct move {
    const struct giro_account *debit;
    const struct giro_account *credit;
    giro_u128 released;
    giro_u128 amount;
};

static giro_u128 debits_after(const struct move *move)
{
    return move->debit->debits_pending - move->released + move->debit->debits_posted + move->amount;
}

static giro_u128 credits_after(const struct move *move)
{
    return move->credit->credits_pending - move->released + move->credit->credits_posted +
           move->amount;
}

/* Of the side that the move itself adds to. */
static uint32_t side_blocked(const struct model *model, const struct move *move)
{
    uint16_t debit = limits_of(model, move->debit)->flags;
    uint16_t credit = limits_of(model, move->credit)->flags;
    if ((debit & (GIRO_LIMITS_BLOCK_DEBITS | GIRO_LIMITS_FROZEN)) != 0 ||
        (credit & (GIRO_LIMITS_BLOCK_CREDITS | GIRO_LIMITS_FROZEN)) != 0)
        return GIRO_TRANSFER_ACCOUNT_BLOCKED;
    return 0;
}

/* What was held before may be posted as long as nothing is frozen. */
static uint32_t side_frozen(const struct model *model, const struct move *move)
{
    uint16_t either = limits_of(model, move->debit)->flags | limits_of(model, move->credit)->flags;
    return (either & GIRO_LIMITS_FROZEN) != 0 ? GIRO_TRANSFER_ACCOUNT_BLOCKED : 0;
}

/* An account's own limit flag, with its credit line. */
static uint32_t beyond_floor(const struct model *model, const struct move *move)
{
    if ((move->debit->flags & GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS) != 0 &&
        debits_after(move) >
            sum_of(move->debit->credits_posted, limits_of(model, move->debit)->floor))
        return GIRO_TRANSFER_EXCEEDS_CREDITS;
    if ((move->credit->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0 &&
        credits_after(move) >
            sum_of(move->credit->debits_posted, limits_of(model, move->credit)->floor))
        return GIRO_TRANSFER_EXCEEDS_DEBITS;
    return 0;
}

static bool beyond(giro_u128 value, giro_u128 max)
{
    return max != 0 && value > max;
}

static uint32_t beyond_transfer_max(const struct model *model, const struct move *move)
{
    if (beyond(move->amount, limits_of(model, move->debit)->transfer_max) ||
        beyond(move->amount, limits_of(model, move->credit)->transfer_max))
        return GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER;
    return 0;
}

/* An account whose credits must not exceed its debits has its balance on the debit side. It can
 * grow only by a debit, every other account's only by a credit. */
static uint32_t beyond_balance_max(const struct model *model, const struct move *move)
{
    bool debit_grows = (move->debit->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0;
    bool credit_grows = (move->credit->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) == 0;
    if (credit_grows && beyond(difference_of(credits_after(move), move->credit->debits_posted),
                               limits_of(model, move->credit)->balance_max))
        return GIRO_TRANSFER_EXCEEDS_MAX_BALANCE;
    if (debit_grows && beyond(difference_of(debits_after(move), move->debit->credits_posted),
                              limits_of(model, move->debit)->balance_max))
        return GIRO_TRANSFER_EXCEEDS_MAX_BALANCE;
    return 0;
}

/* What refuses any other transfer leaves only a mark on a fact. */
static uint32_t refused(const struct giro_transfer *transfer, uint32_t code, uint32_t mark,
                        uint32_t *marks)
{
    if (code == 0 || !is_fact(transfer))
        return code;
    *marks |= mark;
    return 0;
}

/* ---- What a return does to the transfers above it ---------------------------------------- */

enum { RETURN_DEPTH_MAX = 6 };

/* The levels above a return: level 0 is its origin, level 1 what the origin is a return of, and so
 * on up to the first payment. A return takes from its even levels, and gives back to the odd ones. */
struct levels {
    uint32_t count; /* 0: no return */
    int64_t numbers[RETURN_DEPTH_MAX + 1];
};

/* The number of the transfer that this one returns, or -1. The post of a pending return stands for
 * the return. */
static int64_t origin_of(const struct model *model, int64_t number)
{
    const struct giro_transfer *transfer = &model->transfers[number];
    if (is_post(transfer))
        return origin_of(model, transfer_find(model, transfer->pending_id));
    return is_return(transfer) ? transfer_find(model, transfer->pending_id) : -1;
}

/* origin: level 0, or -1. */
static struct levels levels_from(const struct model *model, int64_t origin)
{
    struct levels levels = {0};
    for (int64_t level = origin; level >= 0; level = origin_of(model, level)) {
        assert(levels.count <= RETURN_DEPTH_MAX);
        levels.numbers[levels.count++] = level;
    }
    return levels;
}

/* Whether so much more may be returned. */
static bool levels_allow(const struct model *model, const struct levels *levels, giro_u128 amount)
{
    for (uint32_t i = 0; i < levels->count; i += 2) {
        const struct model_note *note = &model->now.notes[levels->numbers[i]];
        if (overflows(note->taken, amount) || note->taken + amount > note->amount)
            return false;
    }
    return true;
}

/* How much more may be returned. */
static giro_u128 levels_rest(const struct model *model, const struct levels *levels)
{
    giro_u128 rest = GIRO_U128_MAX;
    for (uint32_t i = 0; i < levels->count; i += 2) {
        const struct model_note *note = &model->now.notes[levels->numbers[i]];
        giro_u128 here = difference_of(note->amount, note->taken);
        rest = here < rest ? here : rest;
    }
    return rest;
}

/* A return, pending or not, is accepted, or raised. */
static void levels_take(struct model *model, const struct levels *levels, giro_u128 amount)
{
    for (uint32_t i = 0; i < levels->count; i += 2) {
        struct model_note *note = &model->now.notes[levels->numbers[i]];
        note->taken = sum_of(note->taken, amount);
        note->kept = true;
    }
}

/* What was pending of a return is not any more, and was not posted. */
static void levels_release(struct model *model, const struct levels *levels, giro_u128 amount)
{
    for (uint32_t i = 0; i < levels->count; i += 2) {
        struct model_note *note = &model->now.notes[levels->numbers[i]];
        note->taken = difference_of(note->taken, amount);
    }
}

/* A return, or a part of one, is posted: what it returns is itself no longer returned. */
static void levels_give_back(struct model *model, const struct levels *levels, giro_u128 amount)
{
    for (uint32_t i = 1; i < levels->count; i += 2) {
        struct model_note *note = &model->now.notes[levels->numbers[i]];
        note->taken = difference_of(note->taken, amount);
    }
}

/* ---- Plain and pending transfers, returns ------------------------------------------------ */

enum {
    FLAGS_BALANCING = GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT,
    FLAGS_CLOSING = GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_CLOSING_CREDIT,
};

static bool has_closed(const struct giro_account *account)
{
    return (account->flags & GIRO_ACCOUNT_CLOSED) != 0;
}

static bool plain_flags_exclude(const struct giro_transfer *event)
{
    return keeps_open(event) || (is_fact(event) && (event->flags & FLAGS_BALANCING) != 0) ||
           (is_return(event) && (event->flags & (FLAGS_BALANCING | FLAGS_CLOSING)) != 0);
}

/* That another transfer is named. */
static uint32_t reference_form(const struct giro_transfer *event)
{
    if (event->pending_id == 0)
        return GIRO_TRANSFER_PENDING_ID_MUST_NOT_BE_ZERO;
    if (event->pending_id == GIRO_U128_MAX)
        return GIRO_TRANSFER_PENDING_ID_MUST_NOT_BE_INT_MAX;
    if (event->pending_id == event->id)
        return GIRO_TRANSFER_PENDING_ID_MUST_BE_DIFFERENT;
    return 0;
}

static uint32_t plain_form(const struct giro_transfer *event)
{
    if (plain_flags_exclude(event))
        return GIRO_TRANSFER_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
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
    if (!is_return(event) && event->pending_id != 0)
        return GIRO_TRANSFER_PENDING_ID_MUST_BE_ZERO;
    if (is_return(event) && reference_form(event) != 0)
        return reference_form(event);
    if (event->timeout != 0 && !is_pending(event))
        return GIRO_TRANSFER_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER;
    if ((event->flags & FLAGS_CLOSING) != 0 && !is_pending(event))
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

static bool same_owner(const struct giro_account *left, const struct giro_account *right)
{
    return left->id == right->id ||
           (left->user_data_128 != 0 && left->user_data_128 == right->user_data_128);
}

/* One side is the origin's very account, the other one belongs to the same owner. */
static bool goes_back(const struct model *model, const struct giro_transfer *origin,
                      const struct giro_account *debit, const struct giro_account *credit)
{
    const struct giro_account *payer = model_account(model, origin->debit_account_id);
    const struct giro_account *payee = model_account(model, origin->credit_account_id);
    return (debit == payee && same_owner(credit, payer)) ||
           (credit == payer && same_owner(debit, payee));
}

/* origin: its number, or -1. */
static uint32_t return_rules(const struct model *model, int64_t origin,
                             const struct giro_account *debit, const struct giro_account *credit)
{
    if (origin < 0 || model->now.status[origin] == MODEL_BURNT)
        return GIRO_TRANSFER_ORIGIN_NOT_FOUND;
    const struct giro_transfer *transfer = &model->transfers[origin];
    if (is_pending(transfer) || is_void(transfer)) /* adjusts are pending, too */
        return GIRO_TRANSFER_ORIGIN_NOT_RETURNABLE;
    if (model->now.notes[origin].depth == RETURN_DEPTH_MAX)
        return GIRO_TRANSFER_ORIGIN_NOT_RETURNABLE;
    if (!goes_back(model, transfer, debit, credit))
        return GIRO_TRANSFER_ORIGIN_HAS_DIFFERENT_ACCOUNTS;
    return 0;
}

/* Decides the amount. */
static uint32_t return_amount(const struct model *model, const struct levels *levels,
                              struct giro_transfer *transfer, uint32_t *marks)
{
    if (transfer->amount == GIRO_U128_MAX) {
        transfer->amount = levels_rest(model, levels);
        return transfer->amount == 0 ? GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT : 0;
    }
    if (levels_allow(model, levels, transfer->amount))
        return 0;
    return refused(transfer, GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT, GIRO_MARK_OVER_CAP, marks);
}

static giro_u128 at_most(giro_u128 amount, giro_u128 there, giro_u128 taken)
{
    giro_u128 left = difference_of(there, taken);
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

/* released: what both accounts have pending and will no longer have. */
static uint32_t posted_overflow(const struct giro_account *debit, const struct giro_account *credit,
                                giro_u128 released, giro_u128 amount)
{
    if (overflows(debit->debits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS_POSTED;
    if (overflows(credit->credits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS_POSTED;
    if (overflows(debit->debits_pending - released + debit->debits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS;
    if (overflows(credit->credits_pending - released + credit->credits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS;
    return 0;
}

static uint32_t plain_overflow(const struct giro_transfer *transfer,
                               const struct giro_account *debit, const struct giro_account *credit)
{
    giro_u128 amount = transfer->amount;
    if (is_pending(transfer) && overflows(debit->debits_pending, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS_PENDING;
    if (is_pending(transfer) && overflows(credit->credits_pending, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS_PENDING;
    uint32_t code = posted_overflow(debit, credit, 0, amount);
    if (code != 0)
        return code;
    if ((giro_u128)transfer->timestamp + (giro_u128)transfer->timeout * GIRO_NS_PER_S >
        GIRO_TIMESTAMP_MAX)
        return GIRO_TRANSFER_OVERFLOWS_TIMEOUT;
    return 0;
}

static uint32_t plain_limits(const struct model *model, const struct giro_transfer *transfer,
                             const struct move *move, uint32_t *marks)
{
    uint32_t code = refused(transfer, beyond_floor(model, move), GIRO_MARK_NEGATIVE, marks);
    if (code == 0)
        code = refused(transfer, beyond_transfer_max(model, move), GIRO_MARK_OVER_TRANSFER, marks);
    if (code == 0)
        code = refused(transfer, beyond_balance_max(model, move), GIRO_MARK_OVER_BALANCE, marks);
    return code;
}

static void plain_apply(struct model *model, const struct giro_transfer *transfer, uint32_t marks,
                        const struct levels *levels)
{
    struct giro_account *debit = account_find(model, transfer->debit_account_id);
    struct giro_account *credit = account_find(model, transfer->credit_account_id);
    struct model_note *note;
    levels_take(model, levels, transfer->amount);
    if (is_pending(transfer)) {
        debit->debits_pending += transfer->amount;
        credit->credits_pending += transfer->amount;
        if ((transfer->flags & GIRO_TRANSFER_CLOSING_DEBIT) != 0)
            debit->flags |= GIRO_ACCOUNT_CLOSED;
        if ((transfer->flags & GIRO_TRANSFER_CLOSING_CREDIT) != 0)
            credit->flags |= GIRO_ACCOUNT_CLOSED;
        note = transfer_add(model, transfer, MODEL_PENDING);
        note->left = transfer->amount;
        note->deadline = transfer->timeout != 0 ? timeout_end(transfer) : 0;
    } else {
        debit->debits_posted += transfer->amount;
        credit->credits_posted += transfer->amount;
        levels_give_back(model, levels, transfer->amount);
        note = transfer_add(model, transfer, MODEL_SETTLED);
    }
    note->marks = marks;
    note->depth = (uint16_t)levels->count;
    note->kept = marks != 0 || is_return(transfer);
}

static uint32_t plain_create(struct model *model, const struct giro_transfer *event,
                             uint64_t timestamp)
{
    struct giro_account *debit = account_find(model, event->debit_account_id);
    struct giro_account *credit = account_find(model, event->credit_account_id);
    struct giro_transfer transfer = *event;
    struct move move = {.debit = debit, .credit = credit};
    struct levels levels = {0};
    uint32_t marks = 0;
    if ((event->flags & GIRO_TRANSFER_IMPORTED) == 0)
        transfer.timestamp = timestamp;
    uint32_t code = plain_form(event);
    if (code == 0)
        code = plain_accounts(model, event, debit, credit);
    if (code == 0)
        code = refused(event, side_blocked(model, &move), GIRO_MARK_BLOCKED, &marks);
    if (code == 0 && is_return(event)) {
        int64_t origin = transfer_find(model, event->pending_id);
        code = return_rules(model, origin, debit, credit);
        if (code != 0)
            return code;
        levels = levels_from(model, origin);
        code = return_amount(model, &levels, &transfer, &marks);
    }
    if (code != 0)
        return code;
    transfer.amount = balanced(&transfer, debit, credit);
    move.amount = transfer.amount;
    code = plain_overflow(&transfer, debit, credit);
    if (code == 0)
        code = plain_limits(model, event, &move, &marks);
    if (code != 0)
        return code;
    plain_apply(model, &transfer, marks, &levels);
    return 0;
}

/* ---- Post, void, expiry ------------------------------------------------------------------ */

static bool resolve_flags_exclude(const struct giro_transfer *event)
{
    const uint16_t others = GIRO_TRANSFER_PENDING | FLAGS_BALANCING | FLAGS_CLOSING |
                            GIRO_TRANSFER_RETURN | GIRO_TRANSFER_ADJUST;
    return (is_post(event) && is_void(event)) || (event->flags & others) != 0 ||
           (is_void(event) && is_fact(event));
}

static uint32_t resolve_form(const struct giro_transfer *event)
{
    if (resolve_flags_exclude(event))
        return GIRO_TRANSFER_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
    if (reference_form(event) != 0)
        return reference_form(event);
    if (event->timeout != 0)
        return GIRO_TRANSFER_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER;
    return 0;
}

/* number: of the transfer that is named as pending, or -1. */
static uint32_t pending_there(const struct model *model, int64_t number)
{
    if (number < 0 || model->now.status[number] == MODEL_BURNT)
        return GIRO_TRANSFER_PENDING_TRANSFER_NOT_FOUND;
    if (model->now.status[number] == MODEL_SETTLED)
        return GIRO_TRANSFER_PENDING_TRANSFER_NOT_PENDING;
    return 0;
}

/* full: the event with what it inherits. */
static uint32_t pending_fields(const struct giro_transfer *full,
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
    return 0;
}

/* What an amount stands for that is not meant as a number. */
static giro_u128 resolve_amount(const struct giro_transfer *event, giro_u128 left)
{
    if (keeps_open(event))
        return event->amount;
    return event->amount == (is_post(event) ? GIRO_U128_MAX : 0) ? left : event->amount;
}

/* Whether a post that is no fact may take more than there is: how much more comes last of all. */
static bool over_captures(const struct model *model, const struct giro_transfer *full,
                          const struct giro_transfer *pending)
{
    const struct giro_account *credit = model_account(model, pending->credit_account_id);
    return is_post(full) && !is_return(pending) && limits_of(model, credit)->over_capture != 0;
}

/* A fact may take more than there is, but not the largest number, which everywhere else means all of
 * it. */
static uint32_t resolve_left(const struct model *model, const struct giro_transfer *full,
                             const struct giro_transfer *pending, giro_u128 left)
{
    bool may_exceed = is_fact(full) || over_captures(model, full, pending);
    if (full->amount > left && (!may_exceed || full->amount == GIRO_U128_MAX))
        return GIRO_TRANSFER_EXCEEDS_PENDING_TRANSFER_AMOUNT;
    if (is_void(full) && !keeps_open(full) && full->amount < left)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT;
    return 0;
}

static bool deadline_passed(const struct model_note *hold, uint64_t now)
{
    return hold->deadline != 0 && hold->deadline <= now;
}

static uint32_t accounts_closed(const struct model *model, const struct giro_transfer *transfer)
{
    if (has_closed(model_account(model, transfer->debit_account_id)))
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED;
    if (has_closed(model_account(model, transfer->credit_account_id)))
        return GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED;
    return 0;
}

/* now: the server's time, which deadlines count by even when the event is imported. */
static uint32_t resolve_state(const struct model *model, const struct giro_transfer *full,
                              int64_t number, uint64_t now)
{
    enum model_status status = model->now.status[number];
    if (status == MODEL_POSTED)
        return GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_POSTED;
    if (status == MODEL_VOIDED)
        return GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_VOIDED;
    if (status == MODEL_EXPIRED || deadline_passed(&model->now.notes[number], now))
        return GIRO_TRANSFER_PENDING_TRANSFER_EXPIRED;
    if ((full->flags & GIRO_TRANSFER_IMPORTED) != 0 && transfer_regresses(model, full->timestamp))
        return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;
    return is_post(full) ? accounts_closed(model, full) : 0;
}

/* Takes back what is pending, or a part of it. */
static void pending_lower(struct model *model, const struct giro_transfer *pending,
                          giro_u128 amount)
{
    account_find(model, pending->debit_account_id)->debits_pending -= amount;
    account_find(model, pending->credit_account_id)->credits_pending -= amount;
}

/* A hold ends, and the closing of accounts with it. What it has left stays on record. */
static void hold_end(struct model *model, int64_t number, enum model_status status)
{
    const struct giro_transfer *pending = &model->transfers[number];
    model->now.status[number] = (uint8_t)status;
    if ((pending->flags & GIRO_TRANSFER_CLOSING_DEBIT) != 0)
        account_find(model, pending->debit_account_id)->flags &= (uint16_t)~GIRO_ACCOUNT_CLOSED;
    if ((pending->flags & GIRO_TRANSFER_CLOSING_CREDIT) != 0)
        account_find(model, pending->credit_account_id)->flags &= (uint16_t)~GIRO_ACCOUNT_CLOSED;
}

/* What may be posted of a hold in all. */
static giro_u128 capture_max(const struct model *model, const struct move *move,
                             const struct model_note *hold)
{
    uint32_t over_capture = limits_of(model, move->credit)->over_capture;
    return sum_of(hold->amount, share_of(hold->amount, over_capture));
}

/* The rules of a post of more than is left, which come last of all. */
static uint32_t post_over(const struct model *model, const struct giro_transfer *full,
                          const struct model_note *hold, const struct move *move, uint32_t *marks)
{
    bool too_much = overflows(hold->taken, full->amount) ||
                    hold->taken + full->amount > capture_max(model, move, hold);
    uint32_t code;
    if (!is_fact(full) && too_much)
        return GIRO_TRANSFER_OVER_CAPTURE_NOT_ALLOWED;
    code = posted_overflow(move->debit, move->credit, move->released, full->amount);
    if (code == 0)
        code = refused(full, beyond_floor(model, move), GIRO_MARK_NEGATIVE, marks);
    if (code == 0)
        code = refused(full, beyond_balance_max(model, move), GIRO_MARK_OVER_BALANCE, marks);
    if (is_fact(full))
        *marks |= GIRO_MARK_OVER_CAP;
    return code;
}

/* The rules that come after those of the hold's state. */
static uint32_t post_limits(const struct model *model, const struct giro_transfer *full,
                            const struct model_note *hold, uint32_t *marks)
{
    struct move move = {
        .debit = model_account(model, full->debit_account_id),
        .credit = model_account(model, full->credit_account_id),
        .released = hold->left,
        .amount = full->amount,
    };
    uint32_t code = refused(full, side_frozen(model, &move), GIRO_MARK_BLOCKED, marks);
    if (code == 0 && full->amount > hold->left)
        code = post_over(model, full, hold, &move, marks);
    return code;
}

static void post_apply(struct model *model, const struct giro_transfer *full, int64_t number,
                       uint32_t marks)
{
    struct model_note *hold = &model->now.notes[number];
    struct giro_account *debit = account_find(model, full->debit_account_id);
    struct giro_account *credit = account_find(model, full->credit_account_id);
    struct levels levels = levels_from(model, origin_of(model, number));
    giro_u128 over = difference_of(full->amount, hold->left);
    giro_u128 rest = difference_of(hold->left, full->amount);

    pending_lower(model, full, keeps_open(full) ? hold->left - rest : hold->left);
    debit->debits_posted += full->amount;
    credit->credits_posted += full->amount;
    hold->taken += full->amount;
    levels_give_back(model, &levels, full->amount);
    levels_take(model, &levels, over);
    if (keeps_open(full)) {
        hold->left = rest;
        hold->kept = true;
    } else {
        levels_release(model, &levels, rest);
        hold_end(model, number, MODEL_POSTED);
    }
    struct model_note *note = transfer_add(model, full, MODEL_SETTLED);
    note->marks = marks;
    note->depth = hold->depth;
    note->kept = marks != 0 || levels.count != 0;
}

static void void_apply(struct model *model, const struct giro_transfer *full, int64_t number)
{
    struct model_note *hold = &model->now.notes[number];
    struct levels levels = levels_from(model, origin_of(model, number));
    pending_lower(model, full, full->amount);
    levels_release(model, &levels, full->amount);
    if (keeps_open(full)) {
        hold->left -= full->amount;
        hold->kept = true;
    } else {
        hold_end(model, number, MODEL_VOIDED);
    }
    transfer_add(model, full, MODEL_SETTLED);
}

static uint32_t resolve_create(struct model *model, const struct giro_transfer *event,
                               uint64_t timestamp)
{
    uint32_t code = resolve_form(event);
    if (code != 0)
        return code;
    int64_t number = transfer_find(model, event->pending_id);
    code = pending_there(model, number);
    if (code != 0)
        return code;

    uint32_t marks = 0;
    giro_u128 left = model->now.notes[number].left;
    struct giro_transfer full = inherited(event, &model->transfers[number]);
    full.amount = resolve_amount(event, left);
    if ((event->flags & GIRO_TRANSFER_IMPORTED) == 0)
        full.timestamp = timestamp;
    code = pending_fields(&full, &model->transfers[number]);
    if (code == 0)
        code = resolve_left(model, &full, &model->transfers[number], left);
    if (code == 0)
        code = resolve_state(model, &full, number, timestamp);
    if (code == 0 && is_post(event))
        code = post_limits(model, &full, &model->now.notes[number], &marks);
    if (code != 0)
        return code;
    if (is_post(event))
        post_apply(model, &full, number, marks);
    else
        void_apply(model, &full, number);
    return 0;
}

uint32_t model_expire(struct model *model, uint64_t timestamp, uint32_t max)
{
    const struct model_note *notes = model->now.notes;
    for (uint32_t released = 0; released < max; released++) {
        int64_t first = -1;
        for (uint32_t i = 0; i < model->now.transfers_count; i++) {
            /* Of two equal deadlines the earlier transfer's, which stands before. */
            if (model->now.status[i] == MODEL_PENDING && deadline_passed(&notes[i], timestamp) &&
                (first < 0 || notes[i].deadline < notes[first].deadline))
                first = i;
        }
        if (first < 0)
            return released;
        struct levels levels = levels_from(model, origin_of(model, first));
        pending_lower(model, &model->transfers[first], notes[first].left);
        levels_release(model, &levels, notes[first].left);
        hold_end(model, first, MODEL_EXPIRED);
    }
    return max;
}

/* ---- Adjust ------------------------------------------------------------------------------ */

static uint32_t adjust_form(const struct giro_transfer *event)
{
    const uint16_t others = FLAGS_BALANCING | FLAGS_CLOSING | GIRO_TRANSFER_RETURN |
                            GIRO_TRANSFER_KEEP_OPEN | GIRO_TRANSFER_FACT;
    if (!is_pending(event) || (event->flags & others) != 0)
        return GIRO_TRANSFER_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
    return reference_form(event);
}

/* now: as for resolve_state(). */
static uint32_t adjust_state(const struct model *model, const struct giro_transfer *full,
                             int64_t number, uint64_t now)
{
    bool imported = (full->flags & GIRO_TRANSFER_IMPORTED) != 0;
    if (model->now.status[number] != MODEL_PENDING ||
        deadline_passed(&model->now.notes[number], now))
        return GIRO_TRANSFER_ADJUST_TARGET_NOT_OPEN;
    if (imported && transfer_regresses(model, full->timestamp))
        return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;
    if (imported && full->timeout != 0)
        return GIRO_TRANSFER_IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO;
    return accounts_closed(model, full);
}

/* The rules that come after those of the hold's state. */
static uint32_t adjust_amount(const struct model *model, const struct giro_transfer *full,
                              const struct levels *levels)
{
    struct move move = {
        .debit = model_account(model, full->debit_account_id),
        .credit = model_account(model, full->credit_account_id),
        .amount = full->amount,
    };
    uint32_t marks = 0; /* an adjust is no fact */
    if (side_blocked(model, &move) != 0)
        return GIRO_TRANSFER_ACCOUNT_BLOCKED;
    if (!levels_allow(model, levels, full->amount))
        return GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT;
    uint32_t code = plain_overflow(full, move.debit, move.credit);
    return code != 0 ? code : plain_limits(model, full, &move, &marks);
}

static void adjust_apply(struct model *model, const struct giro_transfer *full, int64_t number,
                         const struct levels *levels)
{
    struct model_note *hold = &model->now.notes[number];
    account_find(model, full->debit_account_id)->debits_pending += full->amount;
    account_find(model, full->credit_account_id)->credits_pending += full->amount;
    levels_take(model, levels, full->amount);
    hold->amount = sum_of(hold->amount, full->amount);
    hold->left += full->amount;
    if (full->timeout != 0 && hold->deadline != 0 && hold->deadline < timeout_end(full))
        hold->deadline = timeout_end(full);
    hold->kept = true;
    transfer_add(model, full, MODEL_SETTLED);
}

static uint32_t adjust_create(struct model *model, const struct giro_transfer *event,
                              uint64_t timestamp)
{
    uint32_t code = adjust_form(event);
    if (code != 0)
        return code;
    int64_t number = transfer_find(model, event->pending_id);
    code = pending_there(model, number);
    if (code != 0)
        return code;

    struct giro_transfer full = inherited(event, &model->transfers[number]);
    struct levels levels = levels_from(model, origin_of(model, number));
    if ((event->flags & GIRO_TRANSFER_IMPORTED) == 0)
        full.timestamp = timestamp;
    code = pending_fields(&full, &model->transfers[number]);
    if (code == 0)
        code = adjust_state(model, &full, number, timestamp);
    if (code == 0)
        code = adjust_amount(model, &full, &levels);
    if (code != 0)
        return code;
    adjust_apply(model, &full, number, &levels);
    return 0;
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
    if (is_post(event) || is_void(event))
        return resolve_create(model, event, timestamp);
    if (is_adjust(event))
        return adjust_create(model, event, timestamp);
    return plain_create(model, event, timestamp);
}

static bool burns(uint32_t code)
{
    return code == GIRO_TRANSFER_DEBIT_ACCOUNT_NOT_FOUND ||
           code == GIRO_TRANSFER_CREDIT_ACCOUNT_NOT_FOUND ||
           code == GIRO_TRANSFER_PENDING_TRANSFER_NOT_FOUND ||
           code == GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED ||
           code == GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED ||
           code == GIRO_TRANSFER_EXCEEDS_CREDITS || code == GIRO_TRANSFER_EXCEEDS_DEBITS ||
           code == GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT || code == GIRO_TRANSFER_ORIGIN_NOT_FOUND ||
           code == GIRO_TRANSFER_ACCOUNT_BLOCKED || code == GIRO_TRANSFER_EXCEEDS_MAX_BALANCE ||
           code == GIRO_TRANSFER_OVER_CAPTURE_NOT_ALLOWED ||
           code == GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER;
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

/* Only what is in use: chains are many, and the arrays are mostly empty. */
static void state_copy(struct model_state *to, const struct model_state *from)
{
    to->accounts_count = from->accounts_count;
    to->transfers_count = from->transfers_count;
    memcpy(to->accounts, from->accounts, from->accounts_count * sizeof *from->accounts);
    memcpy(to->status, from->status, from->transfers_count * sizeof *from->status);
    memcpy(to->notes, from->notes, from->transfers_count * sizeof *from->notes);
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
    state_copy(&model->before, &model->now);
    for (uint32_t i = first; i <= last; i++) {
        bool chain_open = open && i == last;
        codes[i] = chain_open ? (uint32_t)GIRO_TRANSFER_LINKED_EVENT_CHAIN_OPEN
                              : event_create(model, request, i);
        if (codes[i] == 0)
            continue;
        state_copy(&model->now, &model->before);
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
