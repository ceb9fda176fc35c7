/* What accepted records do to a ledger: shared by execution and replay, so that both do the same.
 *
 * Nothing here judges, and nothing can fail. Inline, because it is the innermost of both loops. */
#ifndef ENGINE_APPLY_H
#define ENGINE_APPLY_H

#include "engine/ledger.h"

static inline void account_set_closed(struct giro_account *account, bool closed)
{
    if (closed)
        account->flags |= GIRO_ACCOUNT_CLOSED;
    else
        account->flags &= (uint16_t)~GIRO_ACCOUNT_CLOSED;
}

/* Sets or clears `closed` on the accounts that a closing transfer names. */
static inline void closing_apply(struct ledger *ledger, const struct hold *hold, bool closed)
{
    if ((hold->record.flags & GIRO_TRANSFER_CLOSING_DEBIT) != 0)
        account_set_closed(&ledger->accounts.rows[hold->debit_row], closed);
    if ((hold->record.flags & GIRO_TRANSFER_CLOSING_CREDIT) != 0)
        account_set_closed(&ledger->accounts.rows[hold->credit_row], closed);
}

/* Gives a new account that settles its row, in the epoch of its ledger. */
void settlement_add(struct ledger *ledger, uint32_t account_row);

static inline void timestamp_seen(struct ledger *ledger, uint64_t timestamp)
{
    if (timestamp > ledger->timestamp_last)
        ledger->timestamp_last = timestamp;
}

/* Makes an id known. A ledger that only follows another one keeps no ids: nobody asks it. */
static inline void transfer_add(struct ledger *ledger, uint64_t hash, uint64_t address)
{
    if (ledger->transfers.capacity != 0)
        index_insert(&ledger->transfers, hash, address);
}

/* What a transfer that is a return, a fact or marked does to payments, once it moved its amount.
 * hold: its own when it is pending, else NULL. */
void payment_plain_apply(struct ledger *ledger, const struct giro_transfer *transfer,
                         uint64_t address, struct hold *hold, uint32_t debit_row,
                         uint32_t credit_row);

/* What a post or a void does to payments, and to its hold when it keeps that open; before the hold
 * is settled. */
void payment_resolve_apply(struct ledger *ledger, const struct giro_transfer *transfer,
                           uint64_t address, struct hold *hold);

/* What the expiry of a hold does to payments. */
void payment_expiry_apply(struct ledger *ledger, const struct hold *hold, uint64_t address);

/* Applies an accepted adjustment of a hold. */
void adjust_apply(struct ledger *ledger, const struct giro_transfer *transfer, uint64_t address,
                  uint64_t hash, struct hold *hold);

/* Applies a RECORD_SYSTEM_PAYMENT; address: of the transfer behind it. rows: of its accounts. */
void companion_apply(struct ledger *ledger, const struct giro_transfer *companion, uint64_t address,
                     uint32_t debit_row, uint32_t credit_row);

/* Applies accepted limits of the account in a row. */
void limits_apply(struct ledger *ledger, const struct giro_limits *limits, uint32_t account_row,
                  uint64_t address);

/* Applies what was done to a lease. */
void lease_apply(struct ledger *ledger, const struct giro_lease *lease, uint64_t address);

/* Applies an attempt of a schedule, but for its transfer, or the schedule's cancellation. */
void firing_apply(struct ledger *ledger, const struct giro_firing *firing, uint64_t address);
void cancel_apply(struct ledger *ledger, const struct giro_firing *firing, uint64_t address);

/* Applies what a session's request has led to. */
void session_apply(struct ledger *ledger, const struct record_session *session, uint64_t address);

/* Applies a cut-off. */
void cut_off_apply(struct ledger *ledger, const struct giro_cut_off *cut_off, uint64_t address);

/* Adds what is posted to the settlements of those of both accounts that settle. */
void settlement_apply(struct ledger *ledger, giro_u128 amount, uint64_t address, uint32_t debit_row,
                      uint32_t credit_row);

/* Counts an accepted transfer where accounts limit velocity. */
void velocity_apply(struct ledger *ledger, const struct giro_transfer *transfer, uint64_t address,
                    uint32_t debit_row, uint32_t credit_row);

static inline void transfer_counted(struct ledger *ledger, const struct giro_transfer *transfer,
                                    uint64_t address, uint64_t hash)
{
    transfer_add(ledger, hash, address);
    ledger->transfers_count++;
    ledger->transfer_timestamp_last = transfer->timestamp;
    timestamp_seen(ledger, transfer->timestamp);
}

/* Applies an accepted plain or pending transfer. From here on nothing can fail. */
static inline void plain_apply(struct ledger *ledger, const struct giro_transfer *transfer,
                               uint64_t address, uint64_t hash, uint32_t debit_row,
                               uint32_t credit_row)
{
    struct giro_account *debit = &ledger->accounts.rows[debit_row];
    struct giro_account *credit = &ledger->accounts.rows[credit_row];
    struct hold *hold = NULL;
    if ((transfer->flags & GIRO_TRANSFER_PENDING) != 0) {
        debit->debits_pending += transfer->amount;
        credit->credits_pending += transfer->amount;
        hold = holds_insert(&ledger->holds, transfer, address, debit_row, credit_row);
        closing_apply(ledger, hold, true);
    } else {
        debit->debits_posted += transfer->amount;
        credit->credits_posted += transfer->amount;
        if (((debit->flags | credit->flags) & GIRO_ACCOUNT_SETTLES) != 0)
            settlement_apply(ledger, transfer->amount, address, debit_row, credit_row);
    }
    if ((transfer->flags & (GIRO_TRANSFER_RETURN | GIRO_TRANSFER_FACT)) != 0 ||
        ledger->announced != 0)
        payment_plain_apply(ledger, transfer, address, hold, debit_row, credit_row);
    if (ledger->limits.counting != 0)
        velocity_apply(ledger, transfer, address, debit_row, credit_row);
    transfer_counted(ledger, transfer, address, hash);
}

/* Posts an amount to the accounts of a hold. */
static inline void hold_post(struct ledger *ledger, const struct hold *hold, giro_u128 amount,
                             uint64_t address)
{
    struct giro_account *debit = &ledger->accounts.rows[hold->debit_row];
    struct giro_account *credit = &ledger->accounts.rows[hold->credit_row];
    debit->debits_posted += amount;
    credit->credits_posted += amount;
    if (((debit->flags | credit->flags) & GIRO_ACCOUNT_SETTLES) != 0)
        settlement_apply(ledger, amount, address, hold->debit_row, hold->credit_row);
}

/* Releases a hold, posting amount of it. */
static inline void hold_apply(struct ledger *ledger, struct hold *hold, enum hold_state state,
                              giro_u128 amount, uint64_t address)
{
    struct giro_account *debit = &ledger->accounts.rows[hold->debit_row];
    struct giro_account *credit = &ledger->accounts.rows[hold->credit_row];
    debit->debits_pending -= hold->record.amount;
    credit->credits_pending -= hold->record.amount;
    if (state == HOLD_POSTED)
        hold_post(ledger, hold, amount, address);
    else
        closing_apply(ledger, hold, false);
    hold_settle(&ledger->holds, hold, state);
}

/* Moves what a post or a void that keeps its hold open takes from it. */
static inline void hold_reduce(struct ledger *ledger, struct hold *hold, bool posts,
                               giro_u128 amount, uint64_t address)
{
    struct giro_account *debit = &ledger->accounts.rows[hold->debit_row];
    struct giro_account *credit = &ledger->accounts.rows[hold->credit_row];
    giro_u128 part = amount < hold->record.amount ? amount : hold->record.amount;
    debit->debits_pending -= part;
    credit->credits_pending -= part;
    hold->record.amount -= part;
    if (posts)
        hold_post(ledger, hold, amount, address);
}

/* Applies an accepted post or void; the ended hold stays until ended_holds_remove(). */
static inline void resolve_apply(struct ledger *ledger, const struct giro_transfer *transfer,
                                 uint64_t address, uint64_t hash, struct hold *hold)
{
    bool is_void = (transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0;
    bool keeps_open = (transfer->flags & GIRO_TRANSFER_KEEP_OPEN) != 0;
    if (hold->payment != 0 || keeps_open || (transfer->flags & GIRO_TRANSFER_FACT) != 0)
        payment_resolve_apply(ledger, transfer, address, hold);
    if (keeps_open) {
        hold_reduce(ledger, hold, !is_void, transfer->amount, address);
    } else {
        hold_apply(ledger, hold, is_void ? HOLD_VOIDED : HOLD_POSTED, transfer->amount, address);
        ledger->ended[ledger->ended_count++] = hold;
    }
    transfer_counted(ledger, transfer, address, hash);
}

static inline void ended_holds_remove(struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->ended_count; i++)
        hold_remove(&ledger->holds, ledger->ended[i]);
    ledger->ended_count = 0;
}

static inline void account_apply(struct ledger *ledger, const struct giro_account *account)
{
    struct giro_account *row = accounts_append(&ledger->accounts, account);
    row->flags &= RECORD_FLAGS_MASK;
    if ((row->flags & GIRO_ACCOUNT_SETTLES) != 0)
        settlement_add(ledger, ledger->accounts.count - 1);
    ledger->account_timestamp_last = account->timestamp;
    timestamp_seen(ledger, account->timestamp);
}

static inline void burn_apply(struct ledger *ledger, const struct giro_transfer *burnt,
                              uint64_t address, uint64_t hash)
{
    transfer_add(ledger, hash, address);
    ledger->burnt_count++;
    timestamp_seen(ledger, burnt->timestamp);
}

static inline void expiry_apply(struct ledger *ledger, struct hold *hold, uint64_t timestamp,
                                uint64_t address)
{
    if (hold->payment != 0)
        payment_expiry_apply(ledger, hold, address);
    hold_apply(ledger, hold, HOLD_EXPIRED, 0, address);
    hold_remove(&ledger->holds, hold);
    ledger->expired_count++;
    timestamp_seen(ledger, timestamp);
}

#endif
