#include "tests/ledger_model.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

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

uint64_t model_epoch(const struct model *model, uint32_t ledger)
{
    for (uint32_t i = 0; i < model->epochs_count; i++) {
        if (model->epochs[i].ledger == ledger)
            return model->epochs[i].epoch;
    }
    return 0;
}

/* Its note says nothing yet but its amount. */
static struct model_note *transfer_add(struct model *model, const struct giro_transfer *transfer,
                                       enum model_status status)
{
    assert(model->now.transfers_count < MODEL_TRANSFERS_MAX);
    uint32_t number = model->now.transfers_count++;
    model->transfers[number] = *transfer;
    model->now.status[number] = (uint8_t)status;
    model->transfer_epochs[number] = model_epoch(model, transfer->ledger);
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
    if (event->flags >= 1 << 7)
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

/* A transfer that was held is stored as pending, whether or not it asked for that. */
static bool flags_differ(const struct model *model, const struct giro_transfer *event,
                         const struct giro_transfer *existing)
{
    const struct model_note *note = &model->now.notes[existing - model->transfers];
    uint16_t asked = event->flags;
    if ((note->marks & GIRO_MARK_HELD) != 0)
        asked |= GIRO_TRANSFER_PENDING;
    return asked != existing->flags;
}

static uint32_t transfer_compare(const struct model *model, const struct giro_transfer *event,
                                 const struct giro_transfer *existing)
{
    if (flags_differ(model, event, existing))
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

/* max: of the slot. */
static uint32_t slot_rules(const struct giro_velocity *slot, uint64_t max)
{
    bool any =
        max != 0 || slot->period != 0 || slot->unit != 0 || slot->verdict != 0 || slot->flags != 0;
    if (slot->window > GIRO_WINDOW_RATE)
        return GIRO_LIMITS_RESULT_VELOCITY_WINDOW_UNKNOWN;
    if (slot->window == GIRO_WINDOW_NONE)
        return any ? GIRO_LIMITS_RESULT_VELOCITY_UNUSED_MUST_BE_ZERO : 0;
    if (slot->unit > GIRO_PERIOD_MONTHS)
        return GIRO_LIMITS_RESULT_VELOCITY_WINDOW_UNKNOWN;
    if (slot->unit == GIRO_PERIOD_MONTHS && slot->window != GIRO_WINDOW_CALENDAR)
        return GIRO_LIMITS_RESULT_VELOCITY_WINDOW_UNKNOWN;
    if (slot->period == 0 || (slot->unit == GIRO_PERIOD_MONTHS && slot->period > 1200))
        return GIRO_LIMITS_RESULT_VELOCITY_PERIOD_OUT_OF_RANGE;
    return 0;
}

static uint32_t slots_rules(const struct giro_limits *event)
{
    for (uint32_t i = 0; i < GIRO_VELOCITY_SLOTS; i++) {
        uint32_t code = slot_rules(&event->velocity[i], event->velocity_max[i]);
        if (code != 0)
            return code;
    }
    return 0;
}

static uint32_t limits_rules(const struct model *model, const struct giro_limits *event)
{
    const struct giro_account *account = model_account(model, event->account_id);
    if (event->timestamp != 0)
        return GIRO_LIMITS_RESULT_TIMESTAMP_MUST_BE_ZERO;
    if (event->reserved != 0)
        return GIRO_LIMITS_RESULT_RESERVED_FIELD;
    if (event->flags >= 1 << 3)
        return GIRO_LIMITS_RESULT_RESERVED_FLAG;
    if (event->account_id == 0)
        return GIRO_LIMITS_RESULT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
    if (event->account_id == GIRO_U128_MAX)
        return GIRO_LIMITS_RESULT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
    if (event->over_capture > 100000)
        return GIRO_LIMITS_RESULT_OVER_CAPTURE_OUT_OF_RANGE;
    if (slots_rules(event) != 0)
        return slots_rules(event);
    if (account == NULL)
        return GIRO_LIMITS_RESULT_ACCOUNT_NOT_FOUND;
    if (event->floor != 0 && (account->flags & (GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS |
                                                GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS)) == 0)
        return GIRO_LIMITS_RESULT_FLOOR_NEEDS_LIMIT_FLAG;
    return 0;
}

static bool same_count(const struct giro_velocity *left, const struct giro_velocity *right)
{
    return left->period == right->period && left->unit == right->unit &&
           left->window == right->window && left->flags == right->flags;
}

void model_set_limits(struct model *model, const struct giro_limits *events, uint32_t count,
                      uint64_t timestamp, uint32_t *codes)
{
    for (uint32_t i = 0; i < count; i++) {
        codes[i] = limits_rules(model, &events[i]);
        if (codes[i] != 0)
            continue;
        const struct giro_account *account = model_account(model, events[i].account_id);
        ptrdiff_t number = account - model->now.accounts;
        struct giro_limits *row = &model->limits[number];
        for (uint32_t j = 0; j < GIRO_VELOCITY_SLOTS; j++) {
            if (!same_count(&row->velocity[j], &events[i].velocity[j]))
                model->now.counters[number][j] = (struct model_counter){0};
        }
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

/* ---- Velocity limits --------------------------------------------------------------------- */

#define NS_PER_DAY (86400 * GIRO_NS_PER_S)

/* Months are counted from January 1970. */
static uint32_t month_days(uint32_t month)
{
    static const uint32_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint32_t year = 1970 + month / 12;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month % 12] + (month % 12 == 1 && leap ? 1 : 0);
}

/* Lays one window of so many months behind the other until one contains the time. */
static uint64_t months_end(uint32_t period, uint64_t time)
{
    uint64_t end = 0;
    for (uint32_t month = 0; end <= time;) {
        for (uint32_t i = 0; i < period; i++)
            end += month_days(month++) * NS_PER_DAY;
    }
    return end;
}

/* Not of months. */
static uint64_t period_ns(const struct giro_velocity *slot)
{
    static const uint64_t seconds[] = {
        [GIRO_PERIOD_SECONDS] = 1,
        [GIRO_PERIOD_MINUTES] = 60,
        [GIRO_PERIOD_HOURS] = 3600,
        [GIRO_PERIOD_DAYS] = 86400,
    };
    return slot->period * seconds[slot->unit] * GIRO_NS_PER_S;
}

/* The end of the calendar or sliding window that contains the time. */
static uint64_t window_end(const struct giro_velocity *slot, uint64_t time)
{
    if (slot->unit == GIRO_PERIOD_MONTHS)
        return months_end(slot->period, time);
    /* The first Monday was the fifth day. */
    uint64_t period = period_ns(slot);
    bool weeks = slot->window == GIRO_WINDOW_CALENDAR && period % (7 * NS_PER_DAY) == 0;
    uint64_t first = weeks ? 4 * NS_PER_DAY : 0;
    return time < first ? first : first + ((time - first) / period + 1) * period;
}

/* What a slot has counted, seen from a later time. What is imported may be older than the window:
 * then it belongs to the window, too. */
static struct model_counter counter_at(const struct giro_velocity *slot,
                                       struct model_counter counter, uint64_t time)
{
    if (slot->window == GIRO_WINDOW_RATE || time < counter.end)
        return counter;
    uint64_t end = window_end(slot, time);
    bool right_behind = slot->window == GIRO_WINDOW_SLIDING && end - period_ns(slot) == counter.end;
    return (struct model_counter){
        .end = end,
        .previous = right_behind ? counter.current : 0,
    };
}

/* When a rate would next be even with itself after so much more. */
static giro_u128 rate_arrival(const struct giro_velocity *slot, uint64_t max, uint64_t end,
                              uint64_t n, uint64_t time)
{
    giro_u128 spent = (giro_u128)n * period_ns(slot);
    return (giro_u128)(end > time ? end : time) + spent / max + (spent % max != 0);
}

/* What counts within a calendar or sliding window that contains the time. */
static giro_u128 window_sum(const struct giro_velocity *slot, const struct model_counter *counter,
                            uint64_t time)
{
    if (slot->window != GIRO_WINDOW_SLIDING)
        return counter->current;
    uint64_t period = period_ns(slot);
    uint64_t rest = counter->end - time < period ? counter->end - time : period;
    return counter->current + (giro_u128)counter->previous * rest / period;
}

static bool counter_over(const struct giro_velocity *slot, uint64_t max,
                         const struct model_counter *before, uint64_t n, uint64_t time)
{
    if (slot->window == GIRO_WINDOW_RATE) {
        if (max == 0)
            return n > 0;
        return rate_arrival(slot, max, before->end, n, time) - time > period_ns(slot);
    }
    struct model_counter counter = counter_at(slot, *before, time);
    return window_sum(slot, &counter, time) + n > max;
}

static void counter_add(const struct giro_velocity *slot, uint64_t max,
                        struct model_counter *counter, uint64_t n, uint64_t time)
{
    if (slot->window == GIRO_WINDOW_RATE) {
        if (max == 0)
            return;
        giro_u128 arrival = rate_arrival(slot, max, counter->end, n, time);
        giro_u128 latest = (giro_u128)time + 2 * (giro_u128)period_ns(slot);
        giro_u128 end = arrival < latest ? arrival : latest;
        if (n > 0 && end > counter->end)
            counter->end = end < UINT64_MAX ? (uint64_t)end : UINT64_MAX;
        return;
    }
    *counter = counter_at(slot, *counter, time);
    counter->current = n < UINT64_MAX - counter->current ? counter->current + n : UINT64_MAX;
}

/* A rate has used what the time until it is even with itself is worth. */
static uint64_t counter_used(const struct giro_velocity *slot, uint64_t max,
                             const struct model_counter *counter, uint64_t time)
{
    giro_u128 used = 0;
    if (slot->window == GIRO_WINDOW_RATE) {
        giro_u128 ahead = counter->end > time ? counter->end - time : 0;
        used = ahead * max / period_ns(slot) + (ahead * max % period_ns(slot) != 0);
    } else {
        used = window_sum(slot, counter, time);
    }
    return used < UINT64_MAX ? (uint64_t)used : UINT64_MAX;
}

bool model_velocity(const struct model *model, giro_u128 account_id, uint64_t time,
                    struct giro_velocity_used *out)
{
    const struct giro_account *account = model_account(model, account_id);
    const struct giro_limits *limits = model_limits(model, account_id);
    if (limits == NULL)
        return false;
    *out = (struct giro_velocity_used){.account_id = account_id, .timestamp = time};
    for (uint32_t i = 0; i < GIRO_VELOCITY_SLOTS; i++) {
        const struct giro_velocity *slot = &limits->velocity[i];
        struct model_counter counter = model->now.counters[account - model->now.accounts][i];
        out->maximum[i] = limits->velocity_max[i];
        if (slot->window == GIRO_WINDOW_NONE || counter.end == 0)
            continue;
        counter = counter_at(slot, counter, time);
        out->used[i] = counter_used(slot, limits->velocity_max[i], &counter, time);
        out->end[i] = counter.end;
    }
    return true;
}

/* What a transfer adds to a slot that counts it. An adjust is not one more transfer. */
static uint64_t slot_share(const struct giro_velocity *slot, const struct giro_transfer *transfer)
{
    if ((slot->flags & GIRO_VELOCITY_AMOUNT) != 0)
        return transfer->amount < UINT64_MAX ? (uint64_t)transfer->amount : UINT64_MAX;
    return is_adjust(transfer) ? 0 : 1;
}

/* Whether a slot of an account, one of the two sides, counts a transfer. */
static bool slot_counts(const struct giro_velocity *slot, const struct giro_transfer *transfer,
                        const struct giro_account *account)
{
    bool credits = (slot->flags & GIRO_VELOCITY_CREDITS) != 0;
    return slot->window != GIRO_WINDOW_NONE && (transfer->flags & GIRO_TRANSFER_NO_LIMIT) == 0 &&
           account->id == (credits ? transfer->credit_account_id : transfer->debit_account_id);
}

/* The strictest verdict of an account's slots that the transfer is over. */
static uint32_t side_verdict(const struct model *model, const struct giro_transfer *transfer,
                             giro_u128 account_id)
{
    const struct giro_account *account = model_account(model, account_id);
    const struct giro_limits *limits = limits_of(model, account);
    const struct model_counter *counters = model->now.counters[account - model->now.accounts];
    uint32_t strictest = GIRO_VERDICT_OFF;
    for (uint32_t i = 0; i < GIRO_VELOCITY_SLOTS; i++) {
        const struct giro_velocity *slot = &limits->velocity[i];
        if (slot_counts(slot, transfer, account) && slot->verdict > strictest &&
            counter_over(slot, limits->velocity_max[i], &counters[i], slot_share(slot, transfer),
                         transfer->timestamp))
            strictest = slot->verdict;
    }
    return strictest;
}

static uint32_t velocity_verdict(const struct model *model, const struct giro_transfer *transfer)
{
    uint32_t debit = side_verdict(model, transfer, transfer->debit_account_id);
    uint32_t credit = side_verdict(model, transfer, transfer->credit_account_id);
    return debit > credit ? debit : credit;
}

/* Of a transfer whose amount is decided; of an adjust, too, to which only a refusal applies. Makes
 * it pending when it is held. */
static uint32_t velocity_judge(const struct model *model, struct giro_transfer *transfer,
                               uint32_t *marks)
{
    uint32_t verdict = velocity_verdict(model, transfer);
    if (verdict == GIRO_VERDICT_OFF)
        return 0;
    if (verdict == GIRO_VERDICT_REJECT && !is_fact(transfer))
        return GIRO_TRANSFER_VELOCITY_EXCEEDED;
    *marks |= GIRO_MARK_OVER_VELOCITY;
    if (verdict == GIRO_VERDICT_HOLD && !is_fact(transfer) && !is_pending(transfer)) {
        *marks |= GIRO_MARK_HELD;
        transfer->flags |= GIRO_TRANSFER_PENDING;
    }
    return 0;
}

static void side_count(struct model *model, const struct giro_transfer *transfer,
                       giro_u128 account_id)
{
    const struct giro_account *account = model_account(model, account_id);
    const struct giro_limits *limits = limits_of(model, account);
    struct model_counter *counters = model->now.counters[account - model->now.accounts];
    for (uint32_t i = 0; i < GIRO_VELOCITY_SLOTS; i++) {
        const struct giro_velocity *slot = &limits->velocity[i];
        if (slot_counts(slot, transfer, account))
            counter_add(slot, limits->velocity_max[i], &counters[i], slot_share(slot, transfer),
                        transfer->timestamp);
    }
}

/* Only of what is accepted. Nothing is ever given back. */
static void velocity_count(struct model *model, const struct giro_transfer *transfer)
{
    side_count(model, transfer, transfer->debit_account_id);
    side_count(model, transfer, transfer->credit_account_id);
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

/* ---- Leases ------------------------------------------------------------------------------ */

const struct giro_lease *model_lease_of(const struct model *model, giro_u128 key)
{
    for (uint32_t i = 0; i < model->leases_count; i++) {
        if (model->leases[i].key == key)
            return &model->leases[i];
    }
    return NULL;
}

/* The lease of a key, if anybody has it. */
static const struct giro_lease *lease_current(const struct model *model, giro_u128 key,
                                              uint64_t time)
{
    const struct giro_lease *lease = model_lease_of(model, key);
    return lease != NULL && lease->deadline > time ? lease : NULL;
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static bool timeout_fits(const struct giro_lease *event)
{
    if (event->action == GIRO_LEASE_RELEASE)
        return event->timeout_ms == 0;
    return event->timeout_ms >= 1 && event->timeout_ms <= 86400000;
}

static uint32_t lease_form(const struct giro_lease *event)
{
    if (event->timestamp != 0)
        return GIRO_LEASE_RESULT_TIMESTAMP_MUST_BE_ZERO;
    if (event->deadline != 0 || event->row != 0 || event->result != 0 || event->flags != 0 ||
        !is_zero(event->reserved, sizeof event->reserved))
        return GIRO_LEASE_RESULT_RESERVED_FIELD;
    if (event->key == 0)
        return GIRO_LEASE_RESULT_KEY_MUST_NOT_BE_ZERO;
    if (event->key == GIRO_U128_MAX)
        return GIRO_LEASE_RESULT_KEY_MUST_NOT_BE_INT_MAX;
    if (event->owner == 0)
        return GIRO_LEASE_RESULT_OWNER_MUST_NOT_BE_ZERO;
    if (event->action < GIRO_LEASE_ACQUIRE || event->action > GIRO_LEASE_RELEASE)
        return GIRO_LEASE_RESULT_ACTION_UNKNOWN;
    if (!timeout_fits(event))
        return GIRO_LEASE_RESULT_TIMEOUT_OUT_OF_RANGE;
    if (event->action == GIRO_LEASE_ACQUIRE && event->token != 0)
        return GIRO_LEASE_RESULT_TOKEN_MUST_BE_ZERO;
    return 0;
}

/* That there is always room, since the tests of many leases do without the model, leaves out one
 * result. */
static uint32_t lease_rules(const struct model *model, const struct giro_lease *event,
                            uint64_t time)
{
    const struct giro_lease *lease = lease_current(model, event->key, time);
    if (event->action == GIRO_LEASE_ACQUIRE)
        return lease != NULL && lease->owner != event->owner ? GIRO_LEASE_RESULT_HELD_BY_ANOTHER
                                                             : 0;
    return lease == NULL || lease->owner != event->owner || lease->token != event->token
               ? GIRO_LEASE_RESULT_NOT_HELD
               : 0;
}

static void lease_apply(struct model *model, const struct giro_lease *event, uint64_t time,
                        uint64_t address)
{
    uint32_t number = 0;
    while (number < model->leases_count && model->leases[number].key != event->key)
        number++;
    assert(number < MODEL_LEASES_MAX);
    if (number == model->leases_count)
        model->leases_count++;
    model->leases[number] = (struct giro_lease){
        .key = event->key,
        .owner = event->owner,
        .token = event->action == GIRO_LEASE_ACQUIRE ? address : event->token,
        .deadline =
            event->action == GIRO_LEASE_RELEASE ? 0 : time + event->timeout_ms * GIRO_NS_PER_MS,
    };
}

void model_lease(struct model *model, const struct giro_lease *events, uint32_t count,
                 uint64_t timestamp, uint64_t address, struct giro_lease *replies)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_lease *event = &events[i];
        uint32_t code = lease_form(event);
        if (code == 0)
            code = lease_rules(model, event, timestamp + i);
        struct giro_lease reply = *event;
        reply.token = 0;
        reply.timestamp = 0;
        reply.result = (uint16_t)code;
        if (code == 0)
            lease_apply(model, event, timestamp + i, address++);
        const struct giro_lease *lease = model_lease_of(model, event->key);
        if (code == 0 || code == GIRO_LEASE_RESULT_HELD_BY_ANOTHER) {
            reply.owner = lease->owner;
            reply.deadline = lease->deadline;
        }
        if (code == 0) {
            reply.token = lease->token;
            reply.timestamp = timestamp + i;
        }
        replies[i] = reply;
        model->lease_timestamp_last = timestamp + i;
    }
}

/* time: of the event itself. */
static uint32_t fence_rules(const struct model *model, uint64_t time)
{
    const struct giro_lease *lease;
    if (model->fence == NULL)
        return 0;
    lease = lease_current(model, model->fence->key, time);
    return lease == NULL || lease->token != model->fence->token ? GIRO_TRANSFER_LEASE_NOT_HELD : 0;
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
    velocity_count(model, transfer);
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
    if (code == 0)
        code = fence_rules(model, timestamp);
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
    if (code == 0)
        code = velocity_judge(model, &transfer, &marks);
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
    if (code == 0)
        code = fence_rules(model, timestamp);
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
static uint32_t adjust_amount(const struct model *model, struct giro_transfer *full,
                              const struct levels *levels)
{
    struct move move = {
        .debit = model_account(model, full->debit_account_id),
        .credit = model_account(model, full->credit_account_id),
        .amount = full->amount,
    };
    uint32_t marks = 0; /* an adjust is no fact, and has none */
    if (side_blocked(model, &move) != 0)
        return GIRO_TRANSFER_ACCOUNT_BLOCKED;
    if (!levels_allow(model, levels, full->amount))
        return GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT;
    uint32_t code = plain_overflow(full, move.debit, move.credit);
    if (code == 0)
        code = plain_limits(model, full, &move, &marks);
    return code != 0 ? code : velocity_judge(model, full, &marks);
}

static void adjust_apply(struct model *model, const struct giro_transfer *full, int64_t number,
                         const struct levels *levels)
{
    struct model_note *hold = &model->now.notes[number];
    account_find(model, full->debit_account_id)->debits_pending += full->amount;
    account_find(model, full->credit_account_id)->credits_pending += full->amount;
    velocity_count(model, full);
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
    if (code == 0)
        code = fence_rules(model, timestamp);
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

/* ---- Cut-off and settlement -------------------------------------------------------------- */

static bool cut_off_has_reserved(const struct giro_cut_off *event)
{
    for (size_t i = 0; i < sizeof event->reserved; i++) {
        if (event->reserved[i] != 0)
            return true;
    }
    return event->reserved_1 != 0;
}

static uint32_t cut_off_rules(const struct model *model, const struct giro_cut_off *event)
{
    if (event->timestamp != 0)
        return GIRO_CUT_OFF_RESULT_TIMESTAMP_MUST_BE_ZERO;
    if (cut_off_has_reserved(event))
        return GIRO_CUT_OFF_RESULT_RESERVED_FIELD;
    if (event->flags != 0)
        return GIRO_CUT_OFF_RESULT_RESERVED_FLAG;
    if (event->ledger == 0)
        return GIRO_CUT_OFF_RESULT_LEDGER_MUST_NOT_BE_ZERO;
    if (event->epoch < model_epoch(model, event->ledger))
        return GIRO_CUT_OFF_RESULT_EPOCH_IS_OVER;
    if (event->epoch > model_epoch(model, event->ledger))
        return GIRO_CUT_OFF_RESULT_EPOCH_HAS_NOT_BEGUN;
    if (event->epoch == 0 && model->epochs_count == MODEL_EPOCHS_MAX)
        return GIRO_CUT_OFF_RESULT_LEDGERS_FULL;
    return 0;
}

void model_cut_off(struct model *model, const struct giro_cut_off *events, uint32_t count,
                   uint64_t timestamp, uint32_t *codes)
{
    for (uint32_t i = 0; i < count; i++) {
        codes[i] = cut_off_rules(model, &events[i]);
        if (codes[i] != 0)
            continue;
        uint32_t place = 0;
        while (place < model->epochs_count && model->epochs[place].ledger != events[i].ledger)
            place++;
        if (place == model->epochs_count)
            model->epochs_count++;
        model->epochs[place] = (struct model_epoch){
            .epoch = events[i].epoch + 1,
            .begin = timestamp + i,
            .ledger = events[i].ledger,
        };
    }
}

struct model_posted model_posted(const struct model *model, giro_u128 account_id, uint64_t epoch)
{
    struct model_posted posted = {0};
    for (uint32_t i = 0; i < model->now.transfers_count; i++) {
        const struct giro_transfer *transfer = &model->transfers[i];
        /* Adjusts are pending, too; an id that is only taken names no accounts. */
        if (model->transfer_epochs[i] != epoch || is_pending(transfer) || is_void(transfer))
            continue;
        bool debits = transfer->debit_account_id == account_id;
        bool credits = transfer->credit_account_id == account_id;
        posted.debits += debits ? transfer->amount : 0;
        posted.credits += credits ? transfer->amount : 0;
        posted.count += debits || credits;
    }
    return posted;
}

bool model_settlement(const struct model *model, giro_u128 account_id, struct giro_settlement *out)
{
    const struct giro_account *account = model_account(model, account_id);
    if (account == NULL || (account->flags & GIRO_ACCOUNT_SETTLES) == 0)
        return false;
    uint64_t epoch = model_epoch(model, account->ledger);
    struct model_posted now = model_posted(model, account_id, epoch);
    struct model_posted before = {0};
    if (epoch > 0)
        before = model_posted(model, account_id, epoch - 1);
    *out = (struct giro_settlement){
        .account_id = account_id,
        .debits = now.debits,
        .credits = now.credits,
        .debits_before = before.debits,
        .credits_before = before.credits,
        .count = now.count,
        .count_before = before.count,
        .epoch = epoch,
        .ledger = account->ledger,
    };
    for (uint32_t i = 0; i < model->epochs_count; i++) {
        if (model->epochs[i].ledger == account->ledger)
            out->begin = model->epochs[i].begin;
    }
    return true;
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
           code == GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER || code == GIRO_TRANSFER_VELOCITY_EXCEEDED;
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
    memcpy(to->counters, from->counters, from->accounts_count * sizeof *from->counters);
}

/* Members first .. last, of which all but the last are linked; the last one, too, when the request
 * ends before the chain does. */
static void chain_create(struct model *model, const struct model_request *request, uint32_t first,
                         uint32_t last, uint32_t *codes)
{
    const uint32_t linked_event_failed = GIRO_TRANSFER_LINKED_EVENT_FAILED;
    bool open = is_linked(request, last);
    if (!open && !model->baseline && was_committed(model, request, first, last)) {
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

void model_create_fenced(struct model *model, const struct giro_fence *fence,
                         const struct giro_transfer *events, uint32_t count, uint64_t timestamp,
                         uint32_t *codes)
{
    struct model_request request = {.transfers = events, .count = count, .timestamp = timestamp};
    model->fence = fence;
    request_create(model, &request, codes);
    model->fence = NULL;
}

void model_create_transfers(struct model *model, const struct giro_transfer *events, uint32_t count,
                            uint64_t timestamp, uint32_t *codes)
{
    model_create_fenced(model, NULL, events, count, timestamp, codes);
}

/* ---- Schedules --------------------------------------------------------------------------- */

enum { MONTHS_MAX = 4000 /* behind January 1970: later than every timestamp */ };

const struct giro_schedule *model_schedule(const struct model *model, giro_u128 id)
{
    for (uint32_t i = 0; i < model->schedules_count; i++) {
        if (model->schedules[i].id == id)
            return &model->schedules[i];
    }
    return NULL;
}

/* The day of a month that a schedule means by its own: of a shorter one the last. */
static uint32_t day_within(uint32_t month, uint32_t day)
{
    return day < month_days(month) ? day : month_days(month);
}

/* A moment, cut up by laying one month behind the other. */
struct date {
    uint32_t month;
    uint32_t day; /* 1 .. 31 */
    uint64_t of_day_ns;
};

static struct date date_of(uint64_t time)
{
    struct date date = {.of_day_ns = time % NS_PER_DAY};
    uint32_t days = (uint32_t)(time / NS_PER_DAY);
    while (days >= month_days(date.month))
        days -= month_days(date.month++);
    date.day = days + 1;
    return date;
}

/* 0: later than any timestamp. */
static uint64_t date_time(const struct date *date)
{
    uint64_t days = date->day - 1;
    for (uint32_t month = 0; month < date->month; month++)
        days += month_days(month);
    giro_u128 time = (giro_u128)days * NS_PER_DAY + date->of_day_ns;
    return time <= GIRO_TIMESTAMP_MAX ? (uint64_t)time : 0;
}

/* By the rule alone. */
static uint64_t rule_due(const struct giro_schedule *schedule, uint32_t occurrence)
{
    giro_u128 intervals = (giro_u128)occurrence * schedule->interval;
    if (schedule->rule == GIRO_SCHEDULE_SECONDS) {
        giro_u128 time = schedule->first + intervals * GIRO_NS_PER_S;
        return time <= GIRO_TIMESTAMP_MAX ? (uint64_t)time : 0;
    }
    struct date date = date_of(schedule->first);
    giro_u128 months = schedule->rule == GIRO_SCHEDULE_YEARS ? 12 * intervals : intervals;
    if (date.month + months > MONTHS_MAX)
        return 0;
    date.month += (uint32_t)months;
    date.day = day_within(date.month, schedule->day);
    return date_time(&date);
}

uint64_t model_schedule_due(const struct giro_schedule *schedule, uint32_t occurrence)
{
    uint64_t due = rule_due(schedule, occurrence);
    if (schedule->occurrences != 0 && occurrence >= schedule->occurrences)
        return 0;
    return schedule->end != 0 && due > schedule->end ? 0 : due;
}

giro_u128 model_schedule_transfer_id(giro_u128 schedule_id, uint32_t occurrence, uint32_t attempt)
{
    const struct {
        giro_u128 schedule_id;
        uint32_t occurrence;
        uint32_t attempt;
        uint64_t zero;
    } of = {schedule_id, occurrence, attempt, 0};
    _Static_assert(sizeof of == 32, "no padding");
    XXH128_hash_t hash = XXH3_128bits(&of, sizeof of);
    return (giro_u128)hash.high64 << 64 | hash.low64;
}

static uint32_t schedule_form(const struct giro_schedule *event)
{
    const struct giro_transfer *transfer = &event->transfer;
    if (event->timestamp != 0 || transfer->timestamp != 0)
        return GIRO_SCHEDULE_RESULT_TIMESTAMP_MUST_BE_ZERO;
    if (event->flags != 0)
        return GIRO_SCHEDULE_RESULT_RESERVED_FLAG;
    if (event->next != 0 || event->made != 0 || event->last_id != 0 || event->occurrence != 0 ||
        event->attempt != 0 || event->last_result != 0 || event->transfer_code != 0 ||
        event->transfer_flags != 0 || event->reserved_1 != 0 || event->state != 0 ||
        !is_zero(event->reserved, sizeof event->reserved) || transfer->id != 0 ||
        transfer->pending_id != 0)
        return GIRO_SCHEDULE_RESULT_RESERVED_FIELD;
    if (event->id == 0)
        return GIRO_SCHEDULE_RESULT_ID_MUST_NOT_BE_ZERO;
    if (event->id == GIRO_U128_MAX)
        return GIRO_SCHEDULE_RESULT_ID_MUST_NOT_BE_INT_MAX;
    return 0;
}

/* What was sent once, of a row. */
static struct giro_schedule schedule_sent(const struct giro_schedule *row)
{
    struct giro_schedule sent = *row;
    sent.next = 0;
    sent.made = 0;
    sent.last_id = 0;
    sent.occurrence = 0;
    sent.attempt = 0;
    sent.last_result = 0;
    sent.state = 0;
    sent.timestamp = 0;
    return sent;
}

static bool first_is_on_day(const struct giro_schedule *event)
{
    if (event->rule == GIRO_SCHEDULE_SECONDS)
        return event->day == 0;
    struct date date = date_of(event->first);
    return event->day >= 1 && event->day <= 31 && date.day == day_within(date.month, event->day);
}

static bool retries_fit(const struct giro_schedule *event)
{
    if (event->retries > GIRO_SCHEDULE_RETRIES_MAX)
        return false;
    for (uint32_t i = 0; i < GIRO_SCHEDULE_RETRIES_MAX; i++) {
        if ((event->retry_s[i] != 0) != (i < event->retries))
            return false;
    }
    return true;
}

static uint32_t schedule_when(const struct giro_schedule *event)
{
    if (event->rule < GIRO_SCHEDULE_SECONDS || event->rule > GIRO_SCHEDULE_YEARS)
        return GIRO_SCHEDULE_RESULT_RULE_UNKNOWN;
    if (event->interval == 0)
        return GIRO_SCHEDULE_RESULT_INTERVAL_MUST_NOT_BE_ZERO;
    if (event->first == 0 || event->first > GIRO_TIMESTAMP_MAX)
        return GIRO_SCHEDULE_RESULT_FIRST_OUT_OF_RANGE;
    if (!first_is_on_day(event))
        return GIRO_SCHEDULE_RESULT_FIRST_NOT_ON_DAY;
    if (event->end != 0 && event->end < event->first)
        return GIRO_SCHEDULE_RESULT_END_BEFORE_FIRST;
    if (!retries_fit(event))
        return GIRO_SCHEDULE_RESULT_RETRIES_OUT_OF_RANGE;
    return 0;
}

static bool is_account_id(giro_u128 id)
{
    return id != 0 && id != GIRO_U128_MAX;
}

static uint32_t schedule_what(const struct model *model, const struct giro_transfer *transfer)
{
    const uint16_t allowed = GIRO_TRANSFER_PENDING | FLAGS_BALANCING | GIRO_TRANSFER_NO_LIMIT;
    if ((transfer->flags & ~allowed) != 0)
        return GIRO_SCHEDULE_RESULT_TRANSFER_FLAGS_NOT_ALLOWED;
    if (!is_account_id(transfer->debit_account_id) || !is_account_id(transfer->credit_account_id) ||
        transfer->debit_account_id == transfer->credit_account_id ||
        (transfer->timeout != 0 && !is_pending(transfer)) || transfer->ledger == 0 ||
        transfer->code == 0)
        return GIRO_SCHEDULE_RESULT_TRANSFER_FIELDS;
    const struct giro_account *debit = model_account(model, transfer->debit_account_id);
    const struct giro_account *credit = model_account(model, transfer->credit_account_id);
    if (debit == NULL)
        return GIRO_SCHEDULE_RESULT_DEBIT_ACCOUNT_NOT_FOUND;
    if (credit == NULL)
        return GIRO_SCHEDULE_RESULT_CREDIT_ACCOUNT_NOT_FOUND;
    if (debit->ledger != credit->ledger || debit->ledger != transfer->ledger)
        return GIRO_SCHEDULE_RESULT_ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER;
    return 0;
}

static uint32_t schedule_rules(const struct model *model, const struct giro_schedule *event)
{
    uint32_t code = schedule_form(event);
    if (code != 0)
        return code;
    const struct giro_schedule *existing = model_schedule(model, event->id);
    if (existing != NULL) {
        struct giro_schedule sent = schedule_sent(existing);
        return memcmp(&sent, event, sizeof sent) == 0
                   ? GIRO_SCHEDULE_RESULT_EXISTS
                   : GIRO_SCHEDULE_RESULT_EXISTS_WITH_DIFFERENT_FIELDS;
    }
    code = schedule_when(event);
    return code != 0 ? code : schedule_what(model, &event->transfer);
}

void model_create_schedules(struct model *model, const struct giro_schedule *events, uint32_t count,
                            uint64_t timestamp, uint32_t *codes)
{
    for (uint32_t i = 0; i < count; i++) {
        codes[i] = schedule_rules(model, &events[i]);
        if (codes[i] != 0)
            continue;
        assert(model->schedules_count < MODEL_SCHEDULES_MAX);
        struct giro_schedule *row = &model->schedules[model->schedules_count++];
        *row = events[i];
        row->next = events[i].first;
        row->state = GIRO_SCHEDULE_ACTIVE;
        row->timestamp = timestamp + i;
    }
}

void model_cancel_schedules(struct model *model, const giro_u128 *ids, uint32_t count,
                            uint64_t timestamp, uint32_t *codes)
{
    (void)timestamp; /* nothing of the row tells when */
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_schedule *found = model_schedule(model, ids[i]);
        codes[i] = found == NULL                          ? GIRO_SCHEDULE_RESULT_NOT_FOUND
                   : found->state != GIRO_SCHEDULE_ACTIVE ? GIRO_SCHEDULE_RESULT_ALREADY_OVER
                                                          : 0;
        if (codes[i] != 0)
            continue;
        struct giro_schedule *row = &model->schedules[found - model->schedules];
        row->state = GIRO_SCHEDULE_CANCELLED;
        row->next = 0;
    }
}

/* The numbers of those that are due, the longest due first; of two at the same time, the one that was
 * created first. */
static uint32_t schedules_due(const struct model *model, uint64_t time, uint32_t *numbers)
{
    const struct giro_schedule *rows = model->schedules;
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->schedules_count; i++) {
        if (rows[i].state != GIRO_SCHEDULE_ACTIVE || rows[i].next > time)
            continue;
        uint32_t place = count++;
        for (; place > 0 && rows[numbers[place - 1]].next > rows[i].next; place--)
            numbers[place] = numbers[place - 1];
        numbers[place] = i;
    }
    return count;
}

/* The transfer is one of a request of its own, but that its id is never burnt. */
static uint32_t schedule_execute(struct model *model, const struct giro_schedule *row,
                                 uint64_t time)
{
    struct giro_transfer transfer = row->transfer;
    const struct model_request request = {.transfers = &transfer, .count = 1, .timestamp = time};
    transfer.id = model_schedule_transfer_id(row->id, row->occurrence, row->attempt);
    return event_create(model, &request, 0);
}

static void schedule_advance(struct giro_schedule *row, uint64_t time)
{
    if (row->last_result != 0 && row->attempt < row->retries) {
        giro_u128 next = time + (giro_u128)row->retry_s[row->attempt++] * GIRO_NS_PER_S;
        row->next = next <= GIRO_TIMESTAMP_MAX ? (uint64_t)next : 0;
    } else {
        row->attempt = 0;
        row->next = model_schedule_due(row, ++row->occurrence);
    }
    if (row->next == 0)
        row->state = GIRO_SCHEDULE_OVER;
}

static struct giro_firing schedule_fire(struct model *model, struct giro_schedule *row,
                                        uint64_t time)
{
    struct giro_firing firing = {
        .schedule_id = row->id,
        .transfer_id = model_schedule_transfer_id(row->id, row->occurrence, row->attempt),
        .due = row->next,
        .occurrence = row->occurrence,
        .attempt = row->attempt,
        .timestamp = time,
    };
    row->last_id = firing.transfer_id;
    row->last_result = schedule_execute(model, row, time);
    row->made += row->last_result == 0;
    schedule_advance(row, time);
    firing.transfer_result = row->last_result;
    firing.next = row->next;
    firing.occurrence_next = row->occurrence;
    firing.attempt_next = row->attempt;
    return firing;
}

uint32_t model_fire(struct model *model, uint64_t timestamp, uint32_t max,
                    struct giro_firing *firings)
{
    uint32_t numbers[MODEL_SCHEDULES_MAX];
    uint32_t count = schedules_due(model, timestamp, numbers);
    count = count < max ? count : max;
    for (uint32_t i = 0; i < count; i++)
        firings[i] = schedule_fire(model, &model->schedules[numbers[i]], timestamp + i);
    return count;
}
