/* Stages: how a run of transfers finds its index lines and account rows without waiting for memory.
 *
 * A cache miss costs more than executing a transfer. So transfers are worked on in chunks, and each
 * chunk in stages that only ask for memory, each for what the next one needs:
 *
 *   hash the ids, ask for their index lines
 *   ask for the overflow lines; hash the accounts, ask for their index lines
 *   find the account rows, ask for them, and for where their limits stand
 *   ask for their limits, and then for the slots that count
 *   execute, or replay
 *
 * A chunk is small enough for what was asked for to be still there, pages included. */
#ifndef ENGINE_STAGE_H
#define ENGINE_STAGE_H

#include "engine/ledger.h"

/* Transfers that are worked on together. */
enum { CHUNK_EVENTS = LEDGER_CHUNK_EVENTS };

PREFETCHES void stage_hold(const struct ledger *ledger, uint64_t hash)
{
    index_prefetch(&ledger->holds.index, hash);
    if (ledger->payments.count != 0)
        index_prefetch(&ledger->payments.index, hash);
}

static inline void stage_ids(const struct ledger *ledger, const struct giro_transfer *event,
                             struct ledger_event *prepared)
{
    prepared->id_hash = id_hash(event->id, ledger->hash_seed);
    if (ledger->transfers.capacity != 0)
        index_prefetch(&ledger->transfers, prepared->id_hash);
    if (event->pending_id != 0)
        stage_hold(ledger, id_hash(event->pending_id, ledger->hash_seed));
}

static inline void stage_accounts(const struct ledger *ledger, const struct giro_transfer *event,
                                  struct ledger_event *prepared)
{
    if (ledger->transfers.capacity != 0)
        index_prefetch_overflow(&ledger->transfers, prepared->id_hash);
    prepared->debit_hash = id_hash(event->debit_account_id, ledger->hash_seed);
    prepared->credit_hash = id_hash(event->credit_account_id, ledger->hash_seed);
    index_prefetch(&ledger->accounts.index, prepared->debit_hash);
    index_prefetch(&ledger->accounts.index, prepared->credit_hash);
}

/* The first candidate is nearly always the right row: event_rows_confirm() makes sure. */
static inline uint32_t stage_row(const struct accounts *accounts, uint64_t hash)
{
    struct index_cursor cursor = index_search(&accounts->index, hash);
    uint64_t value = index_next(&accounts->index, &cursor);
    if (value == 0)
        return ACCOUNTS_NONE;
    const struct giro_account *row = &accounts->rows[value - 1];
    __builtin_prefetch(row, 1, 3);
    __builtin_prefetch(&row->credits_posted, 1, 3);
    return (uint32_t)(value - 1);
}

/* Only the limits of those accounts that have any. */
PREFETCHES void stage_limits(const struct limits_table *limits, uint32_t account_row)
{
    uint32_t row = account_row == ACCOUNTS_NONE ? 0 : limits->by_account[account_row];
    if (row != 0)
        __builtin_prefetch(&limits->rows[row - 1]);
}

/* The three lines of slots, of those that count. */
PREFETCHES void stage_slots(const struct limits_table *limits, uint32_t account_row)
{
    uint32_t row = account_row == ACCOUNTS_NONE ? 0 : limits->by_account[account_row];
    if (row == 0 || (limits->rows[row - 1].flags & LIMITS_COUNT) == 0)
        return;
    const struct limits *limited = &limits->rows[row - 1];
    __builtin_prefetch(&limited->slots[0], 1, 3);
    __builtin_prefetch(&limited->slots[2], 1, 3);
    __builtin_prefetch(&limited->slots[3], 1, 3);
}

PREFETCHES void chunk_prepare_limits(const struct ledger *ledger, uint32_t begin, uint32_t end)
{
    const struct limits_table *limits = &ledger->limits;
    for (uint32_t i = begin; i < end; i++) {
        stage_limits(limits, ledger->events[i].debit_row);
        stage_limits(limits, ledger->events[i].credit_row);
    }
    for (uint32_t i = begin; i < end && limits->counting != 0; i++) {
        stage_slots(limits, ledger->events[i].debit_row);
        stage_slots(limits, ledger->events[i].credit_row);
    }
}

/* limited: the limits of accounts will be looked at. */
static inline void chunk_prepare(struct ledger *ledger, const struct giro_transfer *events,
                                 uint32_t begin, uint32_t end, bool limited)
{
    for (uint32_t i = begin; i < end; i++)
        stage_ids(ledger, &events[i], &ledger->events[i]);
    for (uint32_t i = begin; i < end; i++)
        stage_accounts(ledger, &events[i], &ledger->events[i]);
    for (uint32_t i = begin; i < end; i++) {
        struct ledger_event *prepared = &ledger->events[i];
        prepared->debit_row = stage_row(&ledger->accounts, prepared->debit_hash);
        prepared->credit_row = stage_row(&ledger->accounts, prepared->credit_hash);
        if (limited && prepared->debit_row != ACCOUNTS_NONE)
            __builtin_prefetch(&ledger->limits.by_account[prepared->debit_row]);
        if (limited && prepared->credit_row != ACCOUNTS_NONE)
            __builtin_prefetch(&ledger->limits.by_account[prepared->credit_row]);
    }
    if (limited)
        chunk_prepare_limits(ledger, begin, end);
}

static inline uint32_t row_confirm(const struct accounts *accounts, giro_u128 id, uint64_t hash,
                                   uint32_t row)
{
    if (row == ACCOUNTS_NONE || accounts->rows[row].id == id)
        return row;
    return accounts_find_hashed(accounts, id, hash);
}

static inline void event_rows_confirm(const struct ledger *ledger,
                                      const struct giro_transfer *event,
                                      struct ledger_event *prepared)
{
    prepared->debit_row = row_confirm(&ledger->accounts, event->debit_account_id,
                                      prepared->debit_hash, prepared->debit_row);
    prepared->credit_row = row_confirm(&ledger->accounts, event->credit_account_id,
                                       prepared->credit_hash, prepared->credit_row);
}

#endif
