/* The rules of plain and pending transfers, which nearly all are: inline, because they are the innermost
 * of the request loop, and what limits, facts, returns and leases need beyond them is in rules.c. */
#ifndef ENGINE_PLAIN_H
#define ENGINE_PLAIN_H

#include "engine/apply.h"
#include "engine/planted.h"
#include "engine/rules.h"

static inline enum giro_transfer_result pending_id_check(const struct giro_transfer *event)
{
    if (event->pending_id == 0)
        return GIRO_TRANSFER_PENDING_ID_MUST_NOT_BE_ZERO;
    if (event->pending_id == GIRO_U128_MAX)
        return GIRO_TRANSFER_PENDING_ID_MUST_NOT_BE_INT_MAX;
    if (event->pending_id == event->id)
        return GIRO_TRANSFER_PENDING_ID_MUST_BE_DIFFERENT;
    return GIRO_TRANSFER_CREATED;
}

static inline enum giro_transfer_result plain_check_fields(const struct giro_transfer *event)
{
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
    if ((event->flags & GIRO_TRANSFER_RETURN) != 0) {
        enum giro_transfer_result result = pending_id_check(event);
        if (result != GIRO_TRANSFER_CREATED)
            return result;
    } else if (event->pending_id != 0) {
        return GIRO_TRANSFER_PENDING_ID_MUST_BE_ZERO;
    }
    if ((event->flags & GIRO_TRANSFER_PENDING) == 0) {
        if (event->timeout != 0)
            return GIRO_TRANSFER_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER;
        if ((event->flags & (GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_CLOSING_CREDIT)) != 0)
            return GIRO_TRANSFER_CLOSING_TRANSFER_MUST_BE_PENDING;
    }
    if (event->ledger == 0)
        return GIRO_TRANSFER_LEDGER_MUST_NOT_BE_ZERO;
    if (event->code == 0)
        return GIRO_TRANSFER_CODE_MUST_NOT_BE_ZERO;
    return GIRO_TRANSFER_CREATED;
}

/* An imported transfer's timestamp is greater than any transfer's before it and no account's. */
static inline bool transfer_timestamp_regresses(const struct ledger *ledger, uint64_t timestamp)
{
    return timestamp <= ledger->transfer_timestamp_last ||
           (timestamp <= ledger->account_timestamp_last &&
            accounts_timestamp_exists(&ledger->accounts, timestamp));
}

static inline enum giro_transfer_result plain_check_accounts(const struct ledger *ledger,
                                                             const struct giro_transfer *event,
                                                             const struct ledger_event *prepared)
{
    if (prepared->debit_row == ACCOUNTS_NONE)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_NOT_FOUND;
    if (prepared->credit_row == ACCOUNTS_NONE)
        return GIRO_TRANSFER_CREDIT_ACCOUNT_NOT_FOUND;
    const struct giro_account *debit = &ledger->accounts.rows[prepared->debit_row];
    const struct giro_account *credit = &ledger->accounts.rows[prepared->credit_row];
    if (debit->ledger != credit->ledger)
        return GIRO_TRANSFER_ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER;
    if (event->ledger != debit->ledger)
        return GIRO_TRANSFER_TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS;
    if ((event->flags & GIRO_TRANSFER_IMPORTED) != 0) {
        if (transfer_timestamp_regresses(ledger, event->timestamp))
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;
        if (event->timestamp <= debit->timestamp)
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_DEBIT_ACCOUNT;
        if (event->timestamp <= credit->timestamp)
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_CREDIT_ACCOUNT;
        if (event->timeout != 0)
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO;
    }
    if ((debit->flags & GIRO_ACCOUNT_CLOSED) != 0)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED;
    if ((credit->flags & GIRO_ACCOUNT_CLOSED) != 0)
        return GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED;
    return GIRO_TRANSFER_CREATED;
}

/* The amount after balancing: at most what the balances leave. */
static inline giro_u128 plain_amount(const struct giro_transfer *event,
                                     const struct giro_account *debit,
                                     const struct giro_account *credit)
{
    giro_u128 amount = event->amount;
    if ((event->flags & GIRO_TRANSFER_BALANCING_DEBIT) != 0) {
        giro_u128 used = debit->debits_posted + debit->debits_pending;
        giro_u128 left = debit->credits_posted > used ? debit->credits_posted - used : 0;
        amount = amount < left ? amount : left;
    }
    if ((event->flags & GIRO_TRANSFER_BALANCING_CREDIT) != 0) {
        giro_u128 used = credit->credits_posted + credit->credits_pending;
        giro_u128 left = credit->debits_posted > used ? credit->debits_posted - used : 0;
        amount = amount < left ? amount : left;
    }
    return amount;
}

static inline bool sum_overflows(giro_u128 a, giro_u128 b)
{
    return a > GIRO_U128_MAX - b;
}

static inline enum giro_transfer_result plain_check_overflow(const struct giro_transfer *transfer,
                                                             const struct giro_account *debit,
                                                             const struct giro_account *credit)
{
    giro_u128 amount = transfer->amount;
    if ((transfer->flags & GIRO_TRANSFER_PENDING) != 0) {
        if (sum_overflows(debit->debits_pending, amount))
            return GIRO_TRANSFER_OVERFLOWS_DEBITS_PENDING;
        if (sum_overflows(credit->credits_pending, amount))
            return GIRO_TRANSFER_OVERFLOWS_CREDITS_PENDING;
    }
    if (sum_overflows(debit->debits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS_POSTED;
    if (sum_overflows(credit->credits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS_POSTED;
    /* pending + posted never overflows: that is what these two checks keep up. */
    if (sum_overflows(debit->debits_pending + debit->debits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS;
    if (sum_overflows(credit->credits_pending + credit->credits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS;
    if (transfer->timeout * GIRO_NS_PER_S > GIRO_TIMESTAMP_MAX - transfer->timestamp)
        return GIRO_TRANSFER_OVERFLOWS_TIMEOUT;
    return GIRO_TRANSFER_CREATED;
}

/* What accounts forbid by themselves; the amount overflows nothing. sides_exceeded() is the same with
 * limits that were set. */
static inline enum giro_transfer_result plain_check_limits(giro_u128 amount,
                                                           const struct giro_account *debit,
                                                           const struct giro_account *credit)
{
    if ((debit->flags & GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS) != 0 && !PLANTED(SKIP_LIMIT) &&
        debit->debits_pending + debit->debits_posted + amount > debit->credits_posted)
        return GIRO_TRANSFER_EXCEEDS_CREDITS;
    if ((credit->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0 &&
        credit->credits_pending + credit->credits_posted + amount > credit->debits_posted)
        return GIRO_TRANSFER_EXCEEDS_DEBITS;
    return GIRO_TRANSFER_CREATED;
}

static inline enum giro_transfer_result plain_check_amount(const struct giro_transfer *transfer,
                                                           const struct giro_account *debit,
                                                           const struct giro_account *credit)
{
    enum giro_transfer_result result = plain_check_overflow(transfer, debit, credit);
    return result != GIRO_TRANSFER_CREATED ? result
                                           : plain_check_limits(transfer->amount, debit, credit);
}

/* Whether nothing but these rules concerns a transfer, in a request that carries no lease. */
static inline bool is_plain(const struct ledger *ledger, const struct giro_transfer *event)
{
    const unsigned plain = GIRO_TRANSFER_LINKED | GIRO_TRANSFER_PENDING |
                           GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT |
                           GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_CLOSING_CREDIT |
                           GIRO_TRANSFER_IMPORTED | GIRO_TRANSFER_NO_LIMIT;
    return (event->flags & ~plain) == 0 && ledger->limits.count == 0;
}

/* Executes a transfer whose id is new, as transfer_execute() does. */
static inline uint32_t plain_execute(struct ledger *ledger, const struct giro_transfer *event,
                                     const struct ledger_event *prepared, uint64_t timestamp,
                                     struct giro_transfer *transfer, uint64_t address)
{
    enum giro_transfer_result result = plain_check_fields(event);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    result = plain_check_accounts(ledger, event, prepared);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    const struct giro_account *debit = &ledger->accounts.rows[prepared->debit_row];
    const struct giro_account *credit = &ledger->accounts.rows[prepared->credit_row];
    *transfer = *event;
    transfer->timestamp = timestamp;
    transfer->amount = plain_amount(event, debit, credit);
    result = plain_check_amount(transfer, debit, credit);
    if (result != GIRO_TRANSFER_CREATED)
        return result;

    plain_apply(ledger, transfer, address, prepared->id_hash, prepared->debit_row,
                prepared->credit_row);
    return GIRO_TRANSFER_CREATED;
}

#endif
