/* Reading order: identity (is the id new, and if not, is the event the same?), limits, post and void,
 * adjustments and returns, then the execution of one event. The rules of plain and pending transfers
 * are in engine/plain.h. An accepted record is built in place, in the log's open block, so that it is
 * copied once between the socket and the disk. */
#include "engine/rules.h"

#include "engine/plain.h"

#include <assert.h>

/* ---- Identity ---------------------------------------------------------------------------- */

/* The pending transfer that a post or void names, from the hold while there is one. */
struct pending {
    const struct giro_transfer *record; /* NULL: not found */
    struct hold *hold;                  /* NULL when it ended before this request */
    enum hold_state state;
    giro_u128 left; /* of its amount; when it has ended: just before it did */
};

static struct pending pending_find(const struct ledger *ledger, const struct record_cache *cache,
                                   giro_u128 id)
{
    struct hold *hold = holds_find(&ledger->holds, id);
    if (hold != NULL)
        return (struct pending){.record = &hold->record,
                                .hold = hold,
                                .state = hold->state,
                                .left = hold->record.amount};

    uint64_t address = 0;
    const union record *record =
        record_find(ledger, cache, id, id_hash(id, ledger->hash_seed), &address);
    if (record == NULL || record_kind(record) != RECORD_TRANSFER)
        return (struct pending){0};
    uint32_t row = payments_find(&ledger->payments, id);
    return (struct pending){
        .record = &record->transfer,
        .state = holds_outcome(&ledger->holds, address),
        .left = row == PAYMENTS_NONE ? record->transfer.amount : ledger->payments.rows[row].left,
    };
}

static enum giro_transfer_result exists_plain(const struct giro_transfer *event,
                                              const struct giro_transfer *existing)
{
    if (event->debit_account_id != existing->debit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID;
    if (event->credit_account_id != existing->credit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID;
    /* A balancing transfer's amount is an upper limit, the stored one is what was moved. */
    bool balancing =
        (event->flags & (GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT)) != 0;
    bool rest = (event->flags & GIRO_TRANSFER_RETURN) != 0 && event->amount == GIRO_U128_MAX;
    if (balancing ? event->amount < existing->amount : !rest && event->amount != existing->amount)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_AMOUNT;
    if (event->user_data_128 != existing->user_data_128)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_128;
    if (event->user_data_64 != existing->user_data_64)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_64;
    if (event->user_data_32 != existing->user_data_32)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_32;
    if (event->ledger != existing->ledger)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_LEDGER;
    if (event->code != existing->code)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CODE;
    return GIRO_TRANSFER_EXISTS;
}

/* The amount that an event takes of a hold, of which so much is, or was, left. */
static giro_u128 resolve_amount(const struct giro_transfer *event, giro_u128 left)
{
    if ((event->flags & (GIRO_TRANSFER_KEEP_OPEN | GIRO_TRANSFER_ADJUST)) != 0)
        return event->amount;
    giro_u128 all = (event->flags & GIRO_TRANSFER_VOID_PENDING) != 0 ? 0 : GIRO_U128_MAX;
    return event->amount == all ? left : event->amount;
}

/* As exists_plain(), where a zero field stands for what was inherited from the pending transfer. */
static enum giro_transfer_result exists_resolved(const struct giro_transfer *event,
                                                 const struct giro_transfer *existing,
                                                 const struct pending *resolved)
{
    const struct giro_transfer *pending = resolved->record;
    if (event->debit_account_id != 0 && event->debit_account_id != existing->debit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID;
    if (event->credit_account_id != 0 && event->credit_account_id != existing->credit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID;
    if (existing->amount != resolve_amount(event, resolved->left))
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_AMOUNT;
    giro_u128 user_data_128 =
        event->user_data_128 != 0 ? event->user_data_128 : pending->user_data_128;
    if (existing->user_data_128 != user_data_128)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_128;
    uint64_t user_data_64 = event->user_data_64 != 0 ? event->user_data_64 : pending->user_data_64;
    if (existing->user_data_64 != user_data_64)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_64;
    uint32_t user_data_32 = event->user_data_32 != 0 ? event->user_data_32 : pending->user_data_32;
    if (existing->user_data_32 != user_data_32)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_32;
    if (event->ledger != 0 && event->ledger != existing->ledger)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_LEDGER;
    if (event->code != 0 && event->code != existing->code)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CODE;
    return GIRO_TRANSFER_EXISTS;
}

/* Whether what exists is pending only because a velocity limit has made it so. */
static bool was_held(const struct ledger *ledger, const struct giro_transfer *event,
                     const struct giro_transfer *existing)
{
    if ((event->flags ^ existing->flags) != GIRO_TRANSFER_PENDING ||
        (existing->flags & GIRO_TRANSFER_PENDING) == 0)
        return false;
    uint32_t row = payments_find(&ledger->payments, existing->id);
    return row != PAYMENTS_NONE && (ledger->payments.rows[row].marks & GIRO_MARK_HELD) != 0;
}

static enum giro_transfer_result transfer_exists(const struct ledger *ledger,
                                                 const struct record_cache *cache,
                                                 const struct giro_transfer *event,
                                                 const struct giro_transfer *existing)
{
    if (event->flags != existing->flags && !was_held(ledger, event, existing))
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_FLAGS;
    if (event->pending_id != existing->pending_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_PENDING_ID;
    if (event->timeout != existing->timeout)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_TIMEOUT;
    if ((event->flags & HOLD_FLAGS) == 0)
        return exists_plain(event, existing);
    struct pending pending = pending_find(ledger, cache, event->pending_id);
    assert(pending.record != NULL); /* the existing transfer resolved or adjusted it */
    return exists_resolved(event, existing, &pending);
}

/* GIRO_TRANSFER_CREATED when the event is well-formed and its id is new. */
enum giro_transfer_result transfer_identity(const struct ledger *ledger,
                                            const struct record_cache *cache,
                                            const struct giro_transfer *event, uint64_t hash)
{
    if ((event->flags & ~GIRO_TRANSFER_FLAGS_ALL) != 0)
        return GIRO_TRANSFER_RESERVED_FLAG;
    if (event->id == 0)
        return GIRO_TRANSFER_ID_MUST_NOT_BE_ZERO;
    if (event->id == GIRO_U128_MAX)
        return GIRO_TRANSFER_ID_MUST_NOT_BE_INT_MAX;
    uint64_t address;
    const union record *existing = record_find(ledger, cache, event->id, hash, &address);
    if (existing == NULL)
        return GIRO_TRANSFER_CREATED;
    if (record_kind(existing) == RECORD_BURNT)
        return GIRO_TRANSFER_ID_ALREADY_FAILED;
    return transfer_exists(ledger, cache, event, &existing->transfer);
}

static enum giro_account_result account_exists(const struct giro_account *event,
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

/* As transfer_identity(). */
enum giro_account_result account_identity(const struct ledger *ledger,
                                          const struct giro_account *event)
{
    if (event->reserved != 0)
        return GIRO_ACCOUNT_RESERVED_FIELD;
    if ((event->flags & ~GIRO_ACCOUNT_FLAGS_ALL) != 0)
        return GIRO_ACCOUNT_RESERVED_FLAG;
    if (event->id == 0)
        return GIRO_ACCOUNT_ID_MUST_NOT_BE_ZERO;
    if (event->id == GIRO_U128_MAX)
        return GIRO_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
    uint32_t row = accounts_find(&ledger->accounts, event->id);
    if (row == ACCOUNTS_NONE)
        return GIRO_ACCOUNT_CREATED;
    return account_exists(event, &ledger->accounts.rows[row]);
}

static bool is_fact(const struct giro_transfer *transfer)
{
    return (transfer->flags & GIRO_TRANSFER_FACT) != 0;
}

/* ---- Limits that are set at run time ------------------------------------------------------ */

/* Both accounts of a transfer with their limits. */
struct sides {
    const struct giro_account *debit;
    const struct giro_account *credit;
    const struct limits *debit_limits;
    const struct limits *credit_limits;
};

static struct sides sides_of(const struct ledger *ledger, uint32_t debit_row, uint32_t credit_row)
{
    static const struct limits none;
    const struct limits *debit = limits_of(&ledger->limits, debit_row);
    const struct limits *credit = limits_of(&ledger->limits, credit_row);
    return (struct sides){
        .debit = &ledger->accounts.rows[debit_row],
        .credit = &ledger->accounts.rows[credit_row],
        .debit_limits = debit != NULL ? debit : &none,
        .credit_limits = credit != NULL ? credit : &none,
    };
}

/* Whether nothing new may be debited, or credited. */
static bool sides_blocked(const struct sides *sides)
{
    const unsigned debits = GIRO_LIMITS_BLOCK_DEBITS | GIRO_LIMITS_FROZEN;
    const unsigned credits = GIRO_LIMITS_BLOCK_CREDITS | GIRO_LIMITS_FROZEN;
    return !PLANTED(SKIP_BLOCK) && ((sides->debit_limits->flags & debits) != 0 ||
                                    (sides->credit_limits->flags & credits) != 0);
}

static bool sides_frozen(const struct sides *sides)
{
    return ((sides->debit_limits->flags | sides->credit_limits->flags) & GIRO_LIMITS_FROZEN) != 0;
}

static bool balance_exceeds(giro_u128 total, giro_u128 opposite, giro_u128 balance_max)
{
    return balance_max != 0 && amount_deduct(total, opposite) > balance_max;
}

/* What an amount, which overflows nothing, goes over: marks, and the first result that says so.
 * moves: it is a new transfer, and no post. */
static uint32_t sides_exceeded(const struct sides *sides, giro_u128 amount, bool moves,
                               enum giro_transfer_result *out_first)
{
    const struct giro_account *debit = sides->debit;
    const struct giro_account *credit = sides->credit;
    const giro_u128 debits = debit->debits_pending + debit->debits_posted + amount;
    const giro_u128 credits = credit->credits_pending + credit->credits_posted + amount;
    const bool mirrored = (credit->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0;
    enum giro_transfer_result result = GIRO_TRANSFER_CREATED;
    uint32_t marks = 0;
    /* From the last one to the first, so that the first is left. */
    if (!mirrored &&
        balance_exceeds(credits, credit->debits_posted, sides->credit_limits->balance_max)) {
        result = GIRO_TRANSFER_EXCEEDS_MAX_BALANCE;
        marks |= GIRO_MARK_OVER_BALANCE;
    }
    if ((debit->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0 &&
        balance_exceeds(debits, debit->credits_posted, sides->debit_limits->balance_max)) {
        result = GIRO_TRANSFER_EXCEEDS_MAX_BALANCE;
        marks |= GIRO_MARK_OVER_BALANCE;
    }
    const giro_u128 debit_max = sides->debit_limits->transfer_max;
    const giro_u128 credit_max = sides->credit_limits->transfer_max;
    if (moves &&
        ((debit_max != 0 && amount > debit_max) || (credit_max != 0 && amount > credit_max))) {
        result = GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER;
        marks |= GIRO_MARK_OVER_TRANSFER;
    }
    if (mirrored && credits > amount_add(credit->debits_posted, sides->credit_limits->floor)) {
        result = GIRO_TRANSFER_EXCEEDS_DEBITS;
        marks |= GIRO_MARK_NEGATIVE;
    }
    if ((debit->flags & GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS) != 0 && !PLANTED(SKIP_LIMIT) &&
        debits > amount_add(debit->credits_posted, sides->debit_limits->floor)) {
        result = GIRO_TRANSFER_EXCEEDS_CREDITS;
        marks |= GIRO_MARK_NEGATIVE;
    }
    *out_first = result;
    return marks;
}

/* The strictest verdict of the slots on one side that a transfer goes over. */
static enum giro_verdict side_verdict(const struct limits *limits,
                                      const struct giro_transfer *transfer, unsigned side)
{
    enum giro_verdict verdict = GIRO_VERDICT_OFF;
    if ((limits->flags & LIMITS_COUNT) == 0)
        return verdict;
    for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++) {
        const struct velocity *slot = &limits->slots[s];
        if (slot->rule.window != GIRO_WINDOW_NONE && slot->rule.verdict > verdict &&
            (slot->rule.flags & GIRO_VELOCITY_CREDITS) == side &&
            velocity_exceeded(slot, transfer->timestamp, velocity_share(slot, transfer)))
            verdict = (enum giro_verdict)slot->rule.verdict;
    }
    return verdict;
}

/* What the velocity limits of both accounts say to a transfer whose amount is decided. */
static enum giro_verdict sides_verdict(const struct sides *sides,
                                       const struct giro_transfer *transfer)
{
    if ((transfer->flags & GIRO_TRANSFER_NO_LIMIT) != 0)
        return GIRO_VERDICT_OFF;
    enum giro_verdict debit = side_verdict(sides->debit_limits, transfer, 0);
    enum giro_verdict credit = side_verdict(sides->credit_limits, transfer, GIRO_VELOCITY_CREDITS);
    return debit > credit ? debit : credit;
}

/* Refuses a transfer, marks it, or makes it pending. */
static enum giro_transfer_result velocity_judge(const struct sides *sides,
                                                struct giro_transfer *transfer, uint32_t *out_marks)
{
    enum giro_verdict verdict = sides_verdict(sides, transfer);
    if (verdict == GIRO_VERDICT_OFF)
        return GIRO_TRANSFER_CREATED;
    if (verdict == GIRO_VERDICT_REJECT && !is_fact(transfer) && !PLANTED(SKIP_VELOCITY))
        return GIRO_TRANSFER_VELOCITY_EXCEEDED;
    *out_marks |= GIRO_MARK_OVER_VELOCITY;
    if (verdict == GIRO_VERDICT_HOLD && (transfer->flags & GIRO_TRANSFER_PENDING) == 0 &&
        !is_fact(transfer)) {
        /* What is pending and posted was checked to overflow nothing together. */
        transfer->flags |= GIRO_TRANSFER_PENDING;
        *out_marks |= GIRO_MARK_HELD;
    }
    return GIRO_TRANSFER_CREATED;
}

/* How much more than its hold a post may take, in basis points of what was authorised. */
static uint32_t over_capture_of(const struct ledger *ledger, const struct giro_transfer *post)
{
    if ((post->flags & GIRO_TRANSFER_POST_PENDING) == 0 || ledger->limits.count == 0)
        return 0;
    uint32_t row = payments_find(&ledger->payments, post->pending_id);
    if (row != PAYMENTS_NONE && ledger->payments.rows[row].parent != 0)
        return 0; /* a return is capped by what it returns */
    const struct limits *limits =
        limits_of(&ledger->limits, accounts_find(&ledger->accounts, post->credit_account_id));
    return limits == NULL ? 0 : limits->over_capture;
}

/* amount * basis_points / 10,000, rounded down. */
static giro_u128 share_of(giro_u128 amount, uint32_t basis_points)
{
    const giro_u128 whole = 10000;
    giro_u128 part = amount % whole * basis_points / whole;
    giro_u128 parts = amount / whole;
    if (basis_points != 0 && parts > GIRO_U128_MAX / basis_points)
        return GIRO_U128_MAX;
    return amount_add(parts * basis_points, part);
}

/* ---- Post and void ----------------------------------------------------------------------- */

static enum giro_transfer_result resolve_check_fields(const struct giro_transfer *event)
{
    const unsigned both = GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING;
    const unsigned excluded = GIRO_TRANSFER_PENDING | GIRO_TRANSFER_BALANCING_DEBIT |
                              GIRO_TRANSFER_BALANCING_CREDIT | GIRO_TRANSFER_CLOSING_DEBIT |
                              GIRO_TRANSFER_CLOSING_CREDIT | GIRO_TRANSFER_RETURN |
                              GIRO_TRANSFER_ADJUST;
    const unsigned void_fact = GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_FACT;
    if ((event->flags & both) == both || (event->flags & excluded) != 0 ||
        (event->flags & void_fact) == void_fact)
        return GIRO_TRANSFER_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
    enum giro_transfer_result result = pending_id_check(event);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    if (event->timeout != 0)
        return GIRO_TRANSFER_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER;
    return GIRO_TRANSFER_CREATED;
}

static enum giro_transfer_result resolve_check_pending(const struct giro_transfer *event,
                                                       const struct giro_transfer *pending)
{
    if (pending == NULL)
        return GIRO_TRANSFER_PENDING_TRANSFER_NOT_FOUND;
    if ((pending->flags & (GIRO_TRANSFER_PENDING | GIRO_TRANSFER_ADJUST)) != GIRO_TRANSFER_PENDING)
        return GIRO_TRANSFER_PENDING_TRANSFER_NOT_PENDING;
    if (event->debit_account_id != 0 && event->debit_account_id != pending->debit_account_id)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID;
    if (event->credit_account_id != 0 && event->credit_account_id != pending->credit_account_id)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT_ID;
    if (event->ledger != 0 && event->ledger != pending->ledger)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_LEDGER;
    if (event->code != 0 && event->code != pending->code)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_CODE;
    return GIRO_TRANSFER_CREATED;
}

/* now: the server's time, which an imported transfer's timestamp is not. */
static enum giro_transfer_result resolve_check_state(const struct ledger *ledger,
                                                     const struct giro_transfer *transfer,
                                                     const struct pending *pending, uint64_t now,
                                                     uint32_t *out_marks)
{
    bool is_void = (transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0;
    bool keeps_open = (transfer->flags & GIRO_TRANSFER_KEEP_OPEN) != 0;
    /* The largest amount still is one where it does not mean all: nobody means it as a number. */
    if (transfer->amount > pending->left &&
        (transfer->amount == GIRO_U128_MAX ||
         (!is_fact(transfer) && over_capture_of(ledger, transfer) == 0)))
        return GIRO_TRANSFER_EXCEEDS_PENDING_TRANSFER_AMOUNT;
    if (is_void && !keeps_open && transfer->amount < pending->left)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT;
    switch (pending->state) {
    case HOLD_POSTED:
        return GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_POSTED;
    case HOLD_VOIDED:
        return GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_VOIDED;
    case HOLD_EXPIRED:
        return GIRO_TRANSFER_PENDING_TRANSFER_EXPIRED;
    case HOLD_OPEN:
        break;
    }
    const struct hold *hold = pending->hold;
    assert(hold != NULL); /* an open pending transfer has its hold */
    if (hold->expires_at != 0 && hold->expires_at <= now)
        return GIRO_TRANSFER_PENDING_TRANSFER_EXPIRED;
    if ((transfer->flags & GIRO_TRANSFER_IMPORTED) != 0 &&
        transfer_timestamp_regresses(ledger, transfer->timestamp))
        return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;
    if (!is_void) {
        if ((ledger->accounts.rows[hold->debit_row].flags & GIRO_ACCOUNT_CLOSED) != 0)
            return GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED;
        if ((ledger->accounts.rows[hold->credit_row].flags & GIRO_ACCOUNT_CLOSED) != 0)
            return GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED;
        const struct sides sides = sides_of(ledger, hold->debit_row, hold->credit_row);
        if (sides_frozen(&sides) && !is_fact(transfer))
            return GIRO_TRANSFER_ACCOUNT_BLOCKED;
        if (sides_frozen(&sides))
            *out_marks |= GIRO_MARK_BLOCKED;
    }
    return GIRO_TRANSFER_CREATED;
}

/* A post of more than is left of its hold: what stands against it, or what a fact marks. */
static enum giro_transfer_result resolve_check_over(const struct ledger *ledger,
                                                    const struct giro_transfer *transfer,
                                                    const struct hold *hold, uint32_t *out_marks)
{
    struct sides sides = sides_of(ledger, hold->debit_row, hold->credit_row);
    struct giro_account debit = *sides.debit;
    struct giro_account credit = *sides.credit;
    enum giro_transfer_result result;
    const giro_u128 amount = transfer->amount;
    const uint32_t over_capture = over_capture_of(ledger, transfer);
    if (!is_fact(transfer)) {
        const struct payment *payment =
            hold->payment == 0 ? NULL : &ledger->payments.rows[hold->payment - 1];
        giro_u128 authorised = payment == NULL ? hold->record.amount : payment->amount;
        giro_u128 captured = payment == NULL ? 0 : payment->taken;
        giro_u128 most = amount_add(authorised, share_of(authorised, over_capture));
        if (captured > most || amount > most - captured)
            return GIRO_TRANSFER_OVER_CAPTURE_NOT_ALLOWED;
    }
    debit.debits_pending -= hold->record.amount;
    credit.credits_pending -= hold->record.amount;
    if (sum_overflows(debit.debits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS_POSTED;
    if (sum_overflows(credit.credits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS_POSTED;
    if (sum_overflows(debit.debits_pending + debit.debits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS;
    if (sum_overflows(credit.credits_pending + credit.credits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS;
    sides.debit = &debit;
    sides.credit = &credit;
    uint32_t marks = sides_exceeded(&sides, amount, false, &result);
    if (!is_fact(transfer))
        return result;
    *out_marks |= GIRO_MARK_OVER_CAP | marks;
    return GIRO_TRANSFER_CREATED;
}

/* ---- Adjustments and returns ------------------------------------------------------------- */

static enum giro_transfer_result adjust_check_fields(const struct giro_transfer *event)
{
    const unsigned excluded = GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT |
                              GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_CLOSING_CREDIT |
                              GIRO_TRANSFER_RETURN | GIRO_TRANSFER_KEEP_OPEN | GIRO_TRANSFER_FACT;
    if ((event->flags & GIRO_TRANSFER_PENDING) == 0 || (event->flags & excluded) != 0)
        return GIRO_TRANSFER_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
    return pending_id_check(event);
}

/* Whether a hold may be raised by a transfer, but for what its accounts say to the amount. */
static enum giro_transfer_result adjust_check_state(const struct ledger *ledger,
                                                    const struct giro_transfer *transfer,
                                                    const struct pending *pending, uint64_t now)
{
    const struct hold *hold = pending->hold;
    if (pending->state != HOLD_OPEN || (hold->expires_at != 0 && hold->expires_at <= now))
        return GIRO_TRANSFER_ADJUST_TARGET_NOT_OPEN;
    if ((transfer->flags & GIRO_TRANSFER_IMPORTED) != 0) {
        if (transfer_timestamp_regresses(ledger, transfer->timestamp))
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;
        if (transfer->timeout != 0)
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO;
    }
    if ((ledger->accounts.rows[hold->debit_row].flags & GIRO_ACCOUNT_CLOSED) != 0)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED;
    if ((ledger->accounts.rows[hold->credit_row].flags & GIRO_ACCOUNT_CLOSED) != 0)
        return GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED;
    const struct sides sides = sides_of(ledger, hold->debit_row, hold->credit_row);
    if (sides_blocked(&sides))
        return GIRO_TRANSFER_ACCOUNT_BLOCKED;
    uint32_t parent = hold->payment == 0 ? 0 : ledger->payments.rows[hold->payment - 1].parent;
    if (parent != 0 && !payment_has_room(&ledger->payments, parent - 1, transfer->amount))
        return GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT;
    return GIRO_TRANSFER_CREATED;
}

static enum giro_transfer_result payment_check_fields(const struct giro_transfer *event)
{
    const unsigned balancing = GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT;
    const unsigned closing = GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_CLOSING_CREDIT;
    unsigned excluded = GIRO_TRANSFER_KEEP_OPEN;
    if ((event->flags & GIRO_TRANSFER_RETURN) != 0)
        excluded |= balancing | closing;
    if (is_fact(event))
        excluded |= balancing;
    return (event->flags & excluded) != 0 ? GIRO_TRANSFER_FLAGS_ARE_MUTUALLY_EXCLUSIVE
                                          : GIRO_TRANSFER_CREATED;
}

/* What a return names. */
struct origin {
    uint32_t row; /* of payments; PAYMENTS_NONE: its first return, the rest is from its record */
    uint32_t debit_row;
    uint32_t credit_row;
    giro_u128 amount;
};

static enum giro_transfer_result origin_find(const struct ledger *ledger,
                                             const struct record_cache *cache, giro_u128 id,
                                             struct origin *out)
{
    out->row = payments_find(&ledger->payments, id);
    if (out->row != PAYMENTS_NONE) {
        const struct payment *payment = &ledger->payments.rows[out->row];
        if (payment->kind != PAYMENT_POSTED || payment->depth == PAYMENT_DEPTH_MAX)
            return GIRO_TRANSFER_ORIGIN_NOT_RETURNABLE;
        out->debit_row = payment->debit_row;
        out->credit_row = payment->credit_row;
        out->amount = payment->amount;
        return GIRO_TRANSFER_CREATED;
    }
    if (holds_find(&ledger->holds, id) != NULL)
        return GIRO_TRANSFER_ORIGIN_NOT_RETURNABLE;
    uint64_t address;
    const union record *record =
        record_find(ledger, cache, id, id_hash(id, ledger->hash_seed), &address);
    if (record == NULL || record_kind(record) != RECORD_TRANSFER)
        return GIRO_TRANSFER_ORIGIN_NOT_FOUND;
    const struct giro_transfer *transfer = &record->transfer;
    if ((transfer->flags & (GIRO_TRANSFER_PENDING | GIRO_TRANSFER_VOID_PENDING)) != 0)
        return GIRO_TRANSFER_ORIGIN_NOT_RETURNABLE;
    out->debit_row = accounts_find(&ledger->accounts, transfer->debit_account_id);
    out->credit_row = accounts_find(&ledger->accounts, transfer->credit_account_id);
    out->amount = transfer->amount;
    return GIRO_TRANSFER_CREATED;
}

static bool same_owner(const struct ledger *ledger, uint32_t a, uint32_t b)
{
    giro_u128 owner = ledger->accounts.rows[a].user_data_128;
    return a == b || (owner != 0 && owner == ledger->accounts.rows[b].user_data_128);
}

/* Decides the amount of a return, whose accounts are known. */
static enum giro_transfer_result return_check(const struct ledger *ledger,
                                              const struct record_cache *cache,
                                              const struct ledger_event *prepared,
                                              struct giro_transfer *transfer, struct origin *origin,
                                              uint32_t *out_marks)
{
    enum giro_transfer_result result = origin_find(ledger, cache, transfer->pending_id, origin);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    const uint32_t debit = prepared->debit_row;
    const uint32_t credit = prepared->credit_row;
    bool from = debit == origin->credit_row && same_owner(ledger, credit, origin->debit_row);
    bool to = credit == origin->debit_row && same_owner(ledger, debit, origin->credit_row);
    if (!from && !to)
        return GIRO_TRANSFER_ORIGIN_HAS_DIFFERENT_ACCOUNTS;
    const struct payments *payments = &ledger->payments;
    bool is_first = origin->row == PAYMENTS_NONE;
    if (transfer->amount == GIRO_U128_MAX) {
        transfer->amount = is_first ? origin->amount : payment_rest(payments, origin->row);
        if (transfer->amount == 0)
            return GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT;
    }
    if (is_first ? transfer->amount <= origin->amount
                 : payment_has_room(payments, origin->row, transfer->amount))
        return GIRO_TRANSFER_CREATED;
    if (!is_fact(transfer))
        return GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT;
    *out_marks |= GIRO_MARK_OVER_CAP;
    return GIRO_TRANSFER_CREATED;
}

/* ---- Execution of one event -------------------------------------------------------------- */

uint32_t account_execute(struct ledger *ledger, const struct giro_account *event,
                         uint64_t timestamp, union record *record)
{
    enum giro_account_result result = account_identity(ledger, event);
    if (result != GIRO_ACCOUNT_CREATED)
        return result;
    const unsigned limits =
        GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS | GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS;
    if ((event->flags & limits) == limits)
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
    /* Stricter than it need be: the rule is "no transfer has this timestamp", and only the last
     * transfer's is known here. Importing in order of time, or accounts first, always passes. */
    if ((event->flags & GIRO_ACCOUNT_IMPORTED) != 0 &&
        (timestamp <= ledger->account_timestamp_last ||
         timestamp <= ledger->transfer_timestamp_last))
        return GIRO_ACCOUNT_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;

    record->account = *event;
    record->account.timestamp = timestamp;
    record->account.flags |= RECORD_ACCOUNT << RECORD_KIND_SHIFT;
    account_apply(ledger, &record->account);
    return GIRO_ACCOUNT_CREATED;
}

/* What has to be logged in front of a transfer, because its record cannot tell: see
 * RECORD_SYSTEM_PAYMENT. */
struct companion {
    uint32_t marks;
    const struct origin *origin; /* of a first return; NULL: none */
};

/* Puts a companion in front of the transfer in records[0]. */
static void companion_put(struct ledger *ledger, const struct companion *companion,
                          union record *records, uint64_t address)
{
    const struct origin *origin = companion->origin;
    const struct giro_transfer *transfer = &records[0].transfer;
    struct giro_transfer record = {
        .user_data_128 = transfer->id,
        .user_data_32 = companion->marks,
        .ledger = transfer->ledger,
        .code = RECORD_SYSTEM_PAYMENT,
        .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
        .timestamp = transfer->timestamp,
    };
    if (origin != NULL) {
        record.pending_id = transfer->pending_id;
        record.debit_account_id = ledger->accounts.rows[origin->debit_row].id;
        record.credit_account_id = ledger->accounts.rows[origin->credit_row].id;
        record.amount = origin->amount;
    }
    records[1] = records[0];
    records[0].transfer = record;
    companion_apply(ledger, &record, address + 1, origin != NULL ? origin->debit_row : 0,
                    origin != NULL ? origin->credit_row : 0);
}

/* Puts a companion, if one is needed, in front of the transfer in records[0]. Returns where the
 * transfer is then. */
static inline uint32_t companion_execute(struct ledger *ledger, const struct companion *companion,
                                         union record *records, uint64_t address)
{
    const bool needed = companion->marks != 0 || companion->origin != NULL;
    if (needed)
        companion_put(ledger, companion, records, address);
    return needed;
}

/* What a transfer leaves out it inherits from the hold that it names. */
static void transfer_inherit(const struct execution *execution, const struct pending *pending,
                             struct giro_transfer *transfer)
{
    const struct giro_transfer *event = execution->event;
    *transfer = *event;
    transfer->timestamp = execution->timestamp;
    transfer->amount = resolve_amount(event, pending->left);
    transfer->debit_account_id = pending->record->debit_account_id;
    transfer->credit_account_id = pending->record->credit_account_id;
    transfer->ledger = pending->record->ledger;
    transfer->code = pending->record->code;
    if (event->user_data_128 == 0)
        transfer->user_data_128 = pending->record->user_data_128;
    if (event->user_data_64 == 0)
        transfer->user_data_64 = pending->record->user_data_64;
    if (event->user_data_32 == 0)
        transfer->user_data_32 = pending->record->user_data_32;
}

/* Whether the lease that the request carries, if any, is current. Nothing is burnt when it is not:
 * whoever has the lease now may be about to use the same id. */
static bool fence_holds(const struct ledger *ledger, const struct execution *execution)
{
    const struct giro_fence *fence = execution->fence;
    if (fence == NULL)
        return true;
    uint32_t row = leases_find(&ledger->leases, fence->key);
    return row != LEASES_NONE && ledger->leases.rows[row].token == fence->token &&
           (PLANTED(STALE_FENCE) || lease_is_current(&ledger->leases.rows[row], execution->now));
}

static uint32_t resolve_execute(struct ledger *ledger, struct execution *execution)
{
    const struct giro_transfer *event = execution->event;
    enum giro_transfer_result result = resolve_check_fields(event);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    if (!fence_holds(ledger, execution))
        return GIRO_TRANSFER_LEASE_NOT_HELD;
    struct pending pending = pending_find(ledger, execution->cache, event->pending_id);
    result = resolve_check_pending(event, pending.record);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    struct giro_transfer *transfer = &execution->records[0].transfer;
    struct companion companion = {0};
    transfer_inherit(execution, &pending, transfer);
    result = resolve_check_state(ledger, transfer, &pending, execution->now, &companion.marks);
    if (result == GIRO_TRANSFER_CREATED && transfer->amount > pending.left)
        result = resolve_check_over(ledger, transfer, pending.hold, &companion.marks);
    if (result != GIRO_TRANSFER_CREATED)
        return result;

    const uint32_t at =
        companion_execute(ledger, &companion, execution->records, execution->address);
    resolve_apply(ledger, &execution->records[at].transfer, execution->address + at,
                  execution->prepared->id_hash, pending.hold);
    ledger->announced = 0;
    execution->record_count = at + 1;
    return GIRO_TRANSFER_CREATED;
}

/* What the accounts of a transfer say to its amount, after it was decided. */
static enum giro_transfer_result general_check_amount(const struct sides *sides,
                                                      const struct giro_transfer *transfer,
                                                      uint32_t *out_marks)
{
    enum giro_transfer_result result = plain_check_overflow(transfer, sides->debit, sides->credit);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    uint32_t marks = sides_exceeded(sides, transfer->amount, true, &result);
    if (!is_fact(transfer))
        return result;
    *out_marks |= marks;
    return GIRO_TRANSFER_CREATED;
}

static uint32_t adjust_execute(struct ledger *ledger, struct execution *execution)
{
    const struct giro_transfer *event = execution->event;
    enum giro_transfer_result result = adjust_check_fields(event);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    if (!fence_holds(ledger, execution))
        return GIRO_TRANSFER_LEASE_NOT_HELD;
    struct pending pending = pending_find(ledger, execution->cache, event->pending_id);
    result = resolve_check_pending(event, pending.record);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    struct giro_transfer *transfer = &execution->records[0].transfer;
    transfer_inherit(execution, &pending, transfer);
    result = adjust_check_state(ledger, transfer, &pending, execution->now);
    if (result == GIRO_TRANSFER_CREATED) {
        const struct sides sides =
            sides_of(ledger, pending.hold->debit_row, pending.hold->credit_row);
        uint32_t marks = 0; /* no adjustment has any: they would need a row of its own */
        result = general_check_amount(&sides, transfer, &marks);
        if (result == GIRO_TRANSFER_CREATED)
            result = velocity_judge(&sides, transfer, &marks);
    }
    if (result != GIRO_TRANSFER_CREATED)
        return result;

    adjust_apply(ledger, transfer, execution->address, execution->prepared->id_hash, pending.hold);
    return GIRO_TRANSFER_CREATED;
}

/* A plain or pending transfer, whatever else it is: a return, a fact, under limits or a lease. */
static uint32_t general_execute(struct ledger *ledger, struct execution *execution)
{
    const struct giro_transfer *event = execution->event;
    const struct ledger_event *prepared = execution->prepared;
    enum giro_transfer_result result = payment_check_fields(event);
    if (result == GIRO_TRANSFER_CREATED)
        result = plain_check_fields(event);
    if (result == GIRO_TRANSFER_CREATED)
        result = plain_check_accounts(ledger, event, prepared);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    const struct sides sides = sides_of(ledger, prepared->debit_row, prepared->credit_row);
    struct companion companion = {0};
    if (sides_blocked(&sides)) {
        if (!is_fact(event))
            return GIRO_TRANSFER_ACCOUNT_BLOCKED;
        companion.marks = GIRO_MARK_BLOCKED;
    }
    if (!fence_holds(ledger, execution))
        return GIRO_TRANSFER_LEASE_NOT_HELD;
    struct giro_transfer *transfer = &execution->records[0].transfer;
    struct origin origin;
    *transfer = *event;
    transfer->timestamp = execution->timestamp;
    if ((event->flags & GIRO_TRANSFER_RETURN) != 0) {
        result =
            return_check(ledger, execution->cache, prepared, transfer, &origin, &companion.marks);
        companion.origin = origin.row == PAYMENTS_NONE ? &origin : NULL;
    } else {
        transfer->amount = plain_amount(event, sides.debit, sides.credit);
    }
    if (result == GIRO_TRANSFER_CREATED)
        result = general_check_amount(&sides, transfer, &companion.marks);
    if (result == GIRO_TRANSFER_CREATED && ledger->limits.counting != 0)
        result = velocity_judge(&sides, transfer, &companion.marks);
    if (result != GIRO_TRANSFER_CREATED)
        return result;

    const uint32_t at =
        companion_execute(ledger, &companion, execution->records, execution->address);
    plain_apply(ledger, &execution->records[at].transfer, execution->address + at,
                prepared->id_hash, prepared->debit_row, prepared->credit_row);
    ledger->announced = 0;
    execution->record_count = at + 1;
    return GIRO_TRANSFER_CREATED;
}

uint32_t transfer_execute(struct ledger *ledger, struct execution *execution)
{
    const struct giro_transfer *event = execution->event;
    enum giro_transfer_result result =
        transfer_identity(ledger, execution->cache, event, execution->prepared->id_hash);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    if ((event->flags & (GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING)) != 0)
        return resolve_execute(ledger, execution);
    if ((event->flags & GIRO_TRANSFER_ADJUST) != 0)
        return adjust_execute(ledger, execution);
    return general_execute(ledger, execution);
}

/* ---- Schedules --------------------------------------------------------------------------- */

enum giro_schedule_result template_check(const struct ledger *ledger,
                                         const struct giro_transfer *event)
{
    const unsigned allowed = GIRO_TRANSFER_PENDING | GIRO_TRANSFER_BALANCING_DEBIT |
                             GIRO_TRANSFER_BALANCING_CREDIT | GIRO_TRANSFER_NO_LIMIT;
    if ((event->flags & ~allowed) != 0)
        return GIRO_SCHEDULE_RESULT_TRANSFER_FLAGS_NOT_ALLOWED;
    if (plain_check_fields(event) != GIRO_TRANSFER_CREATED)
        return GIRO_SCHEDULE_RESULT_TRANSFER_FIELDS;
    const uint32_t debit = accounts_find(&ledger->accounts, event->debit_account_id);
    const uint32_t credit = accounts_find(&ledger->accounts, event->credit_account_id);
    if (debit == ACCOUNTS_NONE)
        return GIRO_SCHEDULE_RESULT_DEBIT_ACCOUNT_NOT_FOUND;
    if (credit == ACCOUNTS_NONE)
        return GIRO_SCHEDULE_RESULT_CREDIT_ACCOUNT_NOT_FOUND;
    return ledger->accounts.rows[debit].ledger != event->ledger ||
                   ledger->accounts.rows[credit].ledger != event->ledger
               ? GIRO_SCHEDULE_RESULT_ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER
               : GIRO_SCHEDULE_RESULT_DONE;
}
