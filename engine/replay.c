/* Replay: the ledger's state from what was accepted, or from what was saved.
 *
 * Replay only applies. What was accepted once is never judged again, so a change of the rules never
 * changes history. */
#include "engine/apply.h"
#include "engine/planted.h"
#include "engine/stage.h"

#include <errno.h>

/* ---- Replay ------------------------------------------------------------------------------ */

static bool transfers_full(const struct ledger *ledger)
{
    return ledger->transfers.capacity != 0 && ledger->transfers.count == ledger->transfers.capacity;
}

/* Whether a record is one that the ledger can have written, as far as it tells by itself: what the
 * state is built on is input, however sound the checksum of its block. */
static bool account_formed(const struct giro_account *account)
{
    return account->id != 0 && account->debits_pending == 0 && account->debits_posted == 0 &&
           account->credits_pending == 0 && account->credits_posted == 0;
}

static bool transfer_formed(const struct giro_transfer *transfer)
{
    const uint16_t ways = transfer->flags & (GIRO_TRANSFER_PENDING | GIRO_TRANSFER_POST_PENDING |
                                             GIRO_TRANSFER_VOID_PENDING);
    const uint16_t resolving = GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING;
    /* A transfer that names itself would be a hold, and its own post, in one row of payments. */
    if (transfer->id == 0 || transfer->id == transfer->pending_id || (ways & (ways - 1)) != 0)
        return false;
    /* No adjustment has a row: a mark of one would stay without a transfer. */
    if ((transfer->flags & GIRO_TRANSFER_ADJUST) != 0 &&
        (ways != GIRO_TRANSFER_PENDING ||
         (transfer->flags & (GIRO_TRANSFER_RETURN | GIRO_TRANSFER_FACT)) != 0))
        return false;
    if ((transfer->flags & GIRO_TRANSFER_KEEP_OPEN) != 0 && (ways & resolving) == 0)
        return false;
    return (transfer->flags & GIRO_TRANSFER_RETURN) == 0 || (ways & resolving) == 0;
}

static bool payments_full(const struct ledger *ledger)
{
    return ledger->payments.capacity - ledger->payments.count < PAYMENT_ROWS_PER_EVENT;
}

/* Whether a new transfer may get a row, or be a hold: no other hold has its id, and no row but one
 * that a mark made. */
static bool payment_is_new(const struct ledger *ledger, const struct giro_transfer *transfer)
{
    if (holds_find(&ledger->holds, transfer->id) != NULL)
        return false;
    uint32_t row = payments_find(&ledger->payments, transfer->id);
    return row == PAYMENTS_NONE ||
           ((transfer->flags & GIRO_TRANSFER_FACT) != 0 && ledger->payments.rows[row].kind == 0);
}

/* The hold that a transfer resolves or adjusts, NULL when its accounts are not the hold's. */
static struct hold *replay_hold(const struct ledger *ledger, const struct giro_transfer *transfer,
                                const struct ledger_event *prepared)
{
    struct hold *hold = holds_find(&ledger->holds, transfer->pending_id);
    if (hold == NULL || hold->debit_row != prepared->debit_row ||
        hold->credit_row != prepared->credit_row)
        return NULL;
    return hold;
}

/* Whether a post or a void may name more than its hold has left: facts may, and captures for an
 * account that was allowed to, unless the hold is a return. */
static bool may_exceed(const struct ledger *ledger, const struct giro_transfer *transfer,
                       const struct hold *hold)
{
    const struct limits *limits = limits_of(&ledger->limits, hold->credit_row);
    if ((transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0)
        return false;
    if ((transfer->flags & GIRO_TRANSFER_FACT) != 0)
        return true;
    return (hold->record.flags & GIRO_TRANSFER_RETURN) == 0 && limits != NULL &&
           limits->over_capture != 0;
}

static int replay_resolve(struct ledger *ledger, const struct giro_transfer *transfer,
                          uint64_t address, const struct ledger_event *prepared,
                          giro_u128 *out_released)
{
    struct hold *hold = replay_hold(ledger, transfer, prepared);
    bool voids = (transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0;
    bool fact = (transfer->flags & GIRO_TRANSFER_FACT) != 0;
    bool keeps_open = (transfer->flags & GIRO_TRANSFER_KEEP_OPEN) != 0;
    if (hold == NULL || (voids && fact))
        return -EBADMSG;
    if ((hold->payment != 0 || fact) && !payment_is_new(ledger, transfer))
        return -EBADMSG;
    giro_u128 left = hold->record.amount;
    if ((transfer->amount > left && !may_exceed(ledger, transfer, hold)) ||
        (voids && !keeps_open && transfer->amount != left))
        return -EBADMSG;
    giro_u128 part = transfer->amount < left ? transfer->amount : left;
    *out_released = keeps_open ? part : left;
    resolve_apply(ledger, transfer, address, prepared->id_hash, hold);
    ended_holds_remove(ledger);
    return 0;
}

static int replay_adjust(struct ledger *ledger, const struct giro_transfer *transfer,
                         uint64_t address, const struct ledger_event *prepared)
{
    struct hold *hold = replay_hold(ledger, transfer, prepared);
    if (hold == NULL || transfer->amount > GIRO_U128_MAX - hold->record.amount)
        return -EBADMSG;
    adjust_apply(ledger, transfer, address, prepared->id_hash, hold);
    return 0;
}

/* Whether a return names a transfer that was posted and may be returned. */
static bool return_formed(const struct ledger *ledger, const struct giro_transfer *transfer)
{
    uint32_t origin = payments_find(&ledger->payments, transfer->pending_id);
    return origin != PAYMENTS_NONE && ledger->payments.rows[origin].kind == PAYMENT_POSTED &&
           ledger->payments.rows[origin].depth < PAYMENT_DEPTH_MAX;
}

static int replay_transfer(struct ledger *ledger, const struct giro_transfer *transfer,
                           uint64_t address, const struct ledger_event *prepared,
                           giro_u128 *out_released)
{
    if (transfers_full(ledger))
        return -ENOSPC;
    if (prepared->debit_row == ACCOUNTS_NONE || prepared->credit_row == ACCOUNTS_NONE ||
        prepared->debit_row == prepared->credit_row || !transfer_formed(transfer))
        return -EBADMSG;
    if ((transfer->flags & PAYMENT_FLAGS) != 0 && payments_full(ledger))
        return -ENOSPC;
    if ((transfer->flags & (GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING)) != 0)
        return replay_resolve(ledger, transfer, address, prepared, out_released);
    if ((transfer->flags & GIRO_TRANSFER_ADJUST) != 0)
        return replay_adjust(ledger, transfer, address, prepared);
    if ((transfer->flags & GIRO_TRANSFER_RETURN) != 0 && !return_formed(ledger, transfer))
        return -EBADMSG;
    const uint16_t kept = GIRO_TRANSFER_RETURN | GIRO_TRANSFER_FACT | GIRO_TRANSFER_PENDING;
    if ((transfer->flags & kept) != 0 && !payment_is_new(ledger, transfer))
        return -EBADMSG;
    if ((transfer->flags & GIRO_TRANSFER_PENDING) != 0 &&
        ledger->holds.count == ledger->holds.capacity)
        return -ENOSPC;
    plain_apply(ledger, transfer, address, prepared->id_hash, prepared->debit_row,
                prepared->credit_row);
    return 0;
}

/* Whether the transfer behind it is as the companion needs it: a row that only a mark made is filled
 * by nothing but a fact. */
static bool announced_formed(const struct ledger *ledger, giro_u128 announced,
                             const union record *record)
{
    return record_kind(record) == RECORD_TRANSFER && record->transfer.id == announced &&
           ((record->transfer.flags & GIRO_TRANSFER_FACT) != 0 ||
            payments_find(&ledger->payments, announced) == PAYMENTS_NONE);
}

/* What a transfer behind it needs. */
static int replay_companion(struct ledger *ledger, const struct giro_transfer *companion,
                            uint64_t address, const struct ledger_event *prepared)
{
    if (payments_full(ledger))
        return -ENOSPC;
    if (companion->pending_id != 0 &&
        (prepared->debit_row == ACCOUNTS_NONE || prepared->credit_row == ACCOUNTS_NONE ||
         prepared->debit_row == prepared->credit_row ||
         companion->pending_id == companion->user_data_128 ||
         holds_find(&ledger->holds, companion->pending_id) != NULL || /* it was not posted */
         payments_find(&ledger->payments, companion->pending_id) != PAYMENTS_NONE))
        return -EBADMSG;
    if (companion->user_data_32 > UINT16_MAX || companion->user_data_128 == 0 ||
        holds_find(&ledger->holds, companion->user_data_128) != NULL ||
        payments_find(&ledger->payments, companion->user_data_128) != PAYMENTS_NONE)
        return -EBADMSG;
    companion_apply(ledger, companion, address + 1, prepared->debit_row, prepared->credit_row);
    ledger->announced = companion->user_data_128;
    return 0;
}

static int replay_limits(struct ledger *ledger, const struct giro_limits *limits, uint64_t address)
{
    uint32_t row = accounts_find(&ledger->accounts, limits->account_id);
    if (row == ACCOUNTS_NONE || limits->over_capture > GIRO_OVER_CAPTURE_MAX ||
        (limits->flags & RECORD_FLAGS_MASK & ~GIRO_LIMITS_FLAGS_ALL) != 0)
        return -EBADMSG;
    limits_apply(ledger, limits, row, address);
    return 0;
}

static int replay_system(struct ledger *ledger, const union record *record, uint64_t address,
                         const struct ledger_event *prepared, giro_u128 *out_released)
{
    struct hold *hold;
    switch ((enum record_system)record->transfer.code) {
    case RECORD_SYSTEM_EXPIRY:
        hold = holds_find(&ledger->holds, record->transfer.pending_id);
        if (hold == NULL || record->transfer.amount != hold->record.amount ||
            hold->debit_row != prepared->debit_row || hold->credit_row != prepared->credit_row)
            return -EBADMSG;
        *out_released = hold->record.amount;
        expiry_apply(ledger, hold, record->transfer.timestamp, address);
        return 0;
    case RECORD_SYSTEM_LIMITS:
        return replay_limits(ledger, &record->limits, address);
    case RECORD_SYSTEM_PAYMENT:
        return replay_companion(ledger, &record->transfer, address, prepared);
    case RECORD_SYSTEM_DIGEST:
        ledger->digests_checked++;
        if (!ledger_digest_matches(ledger, &record->digest) && ledger->digests_failed++ == 0)
            ledger->digest_failed_first = address;
        return 0;
    case RECORD_SYSTEM_SNAPSHOT:
        return 0;
    }
    return -EBADMSG;
}

static int replay_record(struct ledger *ledger, const union record *record, uint64_t address,
                         const struct ledger_event *prepared, giro_u128 *out_released)
{
    const giro_u128 announced = ledger->announced;
    ledger->announced = 0;
    /* The next timestamp would be none. */
    if (record->transfer.timestamp > GIRO_TIMESTAMP_MAX)
        return -EBADMSG;
    if (announced != 0 && !announced_formed(ledger, announced, record))
        return -EBADMSG;
    switch (record_kind(record)) {
    case RECORD_TRANSFER:
        return replay_transfer(ledger, &record->transfer, address, prepared, out_released);
    case RECORD_ACCOUNT:
        if (ledger->accounts.count == ledger->accounts.capacity)
            return -ENOSPC;
        if (!account_formed(&record->account) ||
            accounts_find(&ledger->accounts, record->account.id) != ACCOUNTS_NONE)
            return -EBADMSG;
        account_apply(ledger, &record->account);
        return 0;
    case RECORD_BURNT:
        if (transfers_full(ledger))
            return -ENOSPC;
        if (!PLANTED(FORGET_BURNT))
            burn_apply(ledger, &record->transfer, address, prepared->id_hash);
        return 0;
    case RECORD_SYSTEM:
        return replay_system(ledger, record, address, prepared, out_released);
    }
    return -EBADMSG;
}

/* How many of the records are accounts, or how many are not, before the kind changes: the accounts
 * of a transfer must be there when it is prepared. */
static uint32_t replay_run(const union record *records, uint32_t count)
{
    bool accounts = record_kind(&records[0]) == RECORD_ACCOUNT;
    uint32_t run = 1;
    while (run < count && run < CHUNK_EVENTS &&
           (record_kind(&records[run]) == RECORD_ACCOUNT) == accounts)
        run++;
    return run;
}

uint32_t ledger_replay_prepare(struct ledger *ledger, const union record *records, uint32_t count)
{
    uint32_t run = replay_run(records, count);
    if (record_kind(&records[0]) == RECORD_ACCOUNT)
        return run;
    chunk_prepare(ledger, &records[0].transfer, 0, run);
    for (uint32_t i = 0; i < run; i++)
        event_rows_confirm(ledger, &records[i].transfer, &ledger->events[i]);
    return run;
}

static void balances_of(const struct ledger *ledger, uint32_t row, struct giro_balances *out)
{
    memcpy(out, &ledger->accounts.rows[row].debits_pending, sizeof *out);
}

_Static_assert(offsetof(struct giro_account, debits_pending) == 16 &&
                   offsetof(struct giro_account, user_data_128) ==
                       16 + sizeof(struct giro_balances),
               "the balances of an account are one struct giro_balances");

static void effect_set(const struct ledger *ledger, const union record *record,
                       const struct ledger_event *prepared, giro_u128 released,
                       struct ledger_effect *effect)
{
    effect->released = released;
    effect->debit_row = ACCOUNTS_NONE;
    effect->credit_row = ACCOUNTS_NONE;
    if (record_kind(record) == RECORD_ACCOUNT) {
        effect->debit_row = ledger->accounts.count - 1;
    } else if (record_moves(record)) {
        effect->debit_row = prepared->debit_row;
        effect->credit_row = prepared->credit_row;
        balances_of(ledger, effect->debit_row, &effect->debit);
        balances_of(ledger, effect->credit_row, &effect->credit);
    }
}

int ledger_replay_apply(struct ledger *ledger, const union record *records, uint32_t count,
                        uint64_t address, struct ledger_effect *effects, uint32_t *out_index)
{
    payments_journal_clear(&ledger->payments);
    for (uint32_t i = 0; i < count; i++) {
        giro_u128 released = 0;
        int error = replay_record(ledger, &records[i], address + i, &ledger->events[i], &released);
        if (error != 0) {
            *out_index = i;
            return error;
        }
        if (effects != NULL)
            effect_set(ledger, &records[i], &ledger->events[i], released, &effects[i]);
    }
    return 0;
}

int ledger_replay(struct ledger *ledger, const union record *records, uint32_t count,
                  uint64_t address, uint32_t *out_index)
{
    for (uint32_t done = 0, run; done < count; done += run) {
        run = ledger_replay_prepare(ledger, &records[done], count - done);
        int error =
            ledger_replay_apply(ledger, &records[done], run, address + done, NULL, out_index);
        if (error != 0) {
            *out_index += done;
            return error;
        }
    }
    return 0;
}

/* ---- Digest records ---------------------------------------------------------------------- */

/* A digest has rows of payments or of limits; limits are counted on behind payments. */
static uint64_t side_total(const struct ledger *ledger)
{
    return (uint64_t)ledger->payments.count + ledger->limits.count;
}

/* Whether so many rows from first on are of one table. */
static bool side_sound(const struct ledger *ledger, uint32_t first, uint32_t count)
{
    uint64_t end = first < ledger->payments.count ? ledger->payments.count : side_total(ledger);
    return first <= end && count <= end - first;
}

/* Whose turn it is: each table goes round by itself. Returns the first row and sets how many. */
static uint32_t side_next(struct ledger *ledger, uint32_t rows_max, uint32_t *out_count)
{
    const uint32_t payments = ledger->payments.count;
    const uint32_t limits = ledger->limits.count;
    if (ledger->digest_payment >= payments && ledger->digest_limits >= limits)
        ledger->digest_payment = ledger->digest_limits = 0;
    bool of_limits = ledger->digest_payment >= payments ||
                     (ledger->digest_limits < limits && ledger->digest_turn);
    uint32_t *next = of_limits ? &ledger->digest_limits : &ledger->digest_payment;
    uint32_t first = *next;
    uint32_t left = of_limits ? limits - first : payments - first;
    *out_count = left < rows_max ? left : rows_max;
    *next += *out_count;
    ledger->digest_turn = !of_limits;
    return of_limits ? payments + first : first;
}

/* 0 for no rows. */
static uint64_t side_sum(const struct ledger *ledger, uint32_t first, uint32_t count)
{
    const struct payments *payments = &ledger->payments;
    if (count == 0)
        return 0;
    if (first < payments->count)
        return checksum_of(&payments->rows[first], count * sizeof *payments->rows).low;
    return checksum_of(&ledger->limits.rows[first - payments->count],
                       count * sizeof *ledger->limits.rows)
        .low;
}

void ledger_digest_record(struct ledger *ledger, uint32_t rows_max, uint64_t timestamp,
                          struct record_digest *out)
{
    uint32_t first = ledger->digest_row < ledger->accounts.count ? ledger->digest_row : 0;
    uint32_t left = ledger->accounts.count - first;
    uint32_t count = left < rows_max ? left : rows_max;
    uint32_t side_count;
    uint32_t side = side_next(ledger, rows_max, &side_count);
    *out = (struct record_digest){
        .rows = checksum_of(&ledger->accounts.rows[first], count * sizeof(struct giro_account)),
        .row_first = first,
        .row_count = count,
        .accounts = ledger->accounts.count,
        .transfers = ledger->transfers_count,
        .burnt = ledger->burnt_count,
        .expired = ledger->expired_count,
        .holds = ledger->holds.count,
        .account_timestamp_last = ledger->account_timestamp_last,
        .transfer_timestamp_last = ledger->transfer_timestamp_last,
        .payments = ledger->payments.count,
        .limits = ledger->limits.count,
        .side_rows = side_sum(ledger, side, side_count),
        .side_first = side,
        .side_count = side_count,
        .code = RECORD_SYSTEM_DIGEST,
        .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
        .timestamp = timestamp,
    };
    ledger->digest_row = first + count;
}

bool ledger_digest_matches(const struct ledger *ledger, const struct record_digest *digest)
{
    if (digest->accounts != ledger->accounts.count || digest->row_first > digest->accounts ||
        digest->row_count > digest->accounts - digest->row_first ||
        digest->payments != ledger->payments.count || digest->limits != ledger->limits.count ||
        !side_sound(ledger, digest->side_first, digest->side_count))
        return false;
    struct checksum rows = checksum_of(&ledger->accounts.rows[digest->row_first],
                                       digest->row_count * sizeof(struct giro_account));
    return checksum_equal(rows, digest->rows) && digest->transfers == ledger->transfers_count &&
           digest->burnt == ledger->burnt_count && digest->expired == ledger->expired_count &&
           digest->holds == ledger->holds.count &&
           digest->account_timestamp_last == ledger->account_timestamp_last &&
           digest->transfer_timestamp_last == ledger->transfer_timestamp_last &&
           digest->side_rows == side_sum(ledger, digest->side_first, digest->side_count);
}

/* ---- Restoring --------------------------------------------------------------------------- */

struct ledger_totals ledger_totals(const struct ledger *ledger)
{
    return (struct ledger_totals){
        .timestamp_last = ledger->timestamp_last,
        .account_timestamp_last = ledger->account_timestamp_last,
        .transfer_timestamp_last = ledger->transfer_timestamp_last,
        .transfers = ledger->transfers_count,
        .burnt = ledger->burnt_count,
        .expired = ledger->expired_count,
    };
}

void ledger_restore_totals(struct ledger *ledger, const struct ledger_totals *totals)
{
    ledger->timestamp_last = totals->timestamp_last;
    ledger->account_timestamp_last = totals->account_timestamp_last;
    ledger->transfer_timestamp_last = totals->transfer_timestamp_last;
    ledger->transfers_count = totals->transfers;
    ledger->burnt_count = totals->burnt;
    ledger->expired_count = totals->expired;
}

int ledger_restore_accounts(struct ledger *ledger, const struct giro_account *rows, uint32_t count)
{
    if (ledger->accounts.capacity - ledger->accounts.count < count)
        return -ENOSPC;
    for (uint32_t begin = 0; begin < count; begin += CHUNK_EVENTS) {
        uint32_t end = count - begin < CHUNK_EVENTS ? count : begin + CHUNK_EVENTS;
        for (uint32_t i = begin; i < end; i++)
            index_prefetch(&ledger->accounts.index, id_hash(rows[i].id, ledger->hash_seed));
        for (uint32_t i = begin; i < end; i++)
            (void)accounts_append(&ledger->accounts, &rows[i]);
    }
    return 0;
}

static bool limits_row_formed(const struct ledger *ledger, const struct limits *row)
{
    return row->account_row < ledger->accounts.count &&
           ledger->limits.by_account[row->account_row] == 0 &&
           row->over_capture <= GIRO_OVER_CAPTURE_MAX &&
           (row->flags & ~(unsigned)GIRO_LIMITS_FLAGS_ALL) == 0;
}

int ledger_restore_limits(struct ledger *ledger, const struct limits *rows, uint32_t count)
{
    if (ledger->limits.capacity - ledger->limits.count < count)
        return -ENOSPC;
    for (uint32_t i = 0; i < count; i++) {
        if (!limits_row_formed(ledger, &rows[i]))
            return -EBADMSG;
        limits_append(&ledger->limits, &rows[i]);
    }
    return 0;
}

/* Whether a row is one that may follow those that are there. Its parent must be before it, posted
 * and one level higher: returns go up all levels, and the journal has room for PAYMENT_DEPTH_MAX. */
static bool payment_row_formed(const struct ledger *ledger, const struct payment *row)
{
    const struct payments *payments = &ledger->payments;
    if (row->id == 0 || (row->kind != PAYMENT_HOLD && row->kind != PAYMENT_POSTED) ||
        row->debit_row >= ledger->accounts.count || row->credit_row >= ledger->accounts.count ||
        row->debit_row == row->credit_row || row->parent > payments->count ||
        payments_find(payments, row->id) != PAYMENTS_NONE)
        return false;
    if (row->parent == 0)
        return row->depth == 0;
    const struct payment *parent = &payments->rows[row->parent - 1];
    return parent->kind == PAYMENT_POSTED && row->depth <= PAYMENT_DEPTH_MAX &&
           row->depth == parent->depth + 1;
}

int ledger_restore_payments(struct ledger *ledger, const struct payment *rows, uint32_t count)
{
    if (ledger->payments.capacity - ledger->payments.count < count)
        return -ENOSPC;
    for (uint32_t i = 0; i < count; i++) {
        if (!payment_row_formed(ledger, &rows[i]))
            return -EBADMSG;
        (void)payments_append(&ledger->payments, &rows[i]);
    }
    return 0;
}

/* Whether a row, if there is one, is that of an open hold. */
static bool hold_row_formed(const struct ledger *ledger, const struct giro_transfer *record,
                            uint32_t number, uint32_t debit_row, uint32_t credit_row)
{
    if (number == PAYMENTS_NONE)
        return true;
    const struct payment *row = &ledger->payments.rows[number];
    return row->kind == PAYMENT_HOLD && row->left == record->amount &&
           row->debit_row == debit_row && row->credit_row == credit_row;
}

int ledger_restore_hold(struct ledger *ledger, const struct giro_transfer *record, uint64_t address,
                        uint64_t expires_at)
{
    if (ledger->holds.count == ledger->holds.capacity)
        return -ENOSPC;
    uint32_t debit_row = accounts_find(&ledger->accounts, record->debit_account_id);
    uint32_t credit_row = accounts_find(&ledger->accounts, record->credit_account_id);
    uint32_t row = payments_find(&ledger->payments, record->id);
    /* An id of 0 marks a hold that is none: slots with it are free. */
    if (record->id == 0 || debit_row == ACCOUNTS_NONE || credit_row == ACCOUNTS_NONE ||
        debit_row == credit_row || address == 0 || address >= ledger->holds.addresses ||
        holds_find(&ledger->holds, record->id) != NULL ||
        !hold_row_formed(ledger, record, row, debit_row, credit_row))
        return -EBADMSG;
    struct hold *hold = holds_insert(&ledger->holds, record, address, debit_row, credit_row);
    if (!PLANTED(FORGET_DEADLINE))
        hold_set_deadline(&ledger->holds, hold, expires_at);
    hold->payment = row + 1; /* NONE + 1 is 0 */
    holds_outcome_reset(&ledger->holds, address);
    return 0;
}

int ledger_restore_ids(struct ledger *ledger, const uint64_t *hashes, uint32_t count,
                       uint64_t address)
{
    if (ledger->transfers.capacity - ledger->transfers.count < count)
        return -ENOSPC;
    if (PLANTED(FORGET_IDS))
        return 0;
    for (uint32_t begin = 0; begin < count; begin += CHUNK_EVENTS) {
        uint32_t end = count - begin < CHUNK_EVENTS ? count : begin + CHUNK_EVENTS;
        for (uint32_t i = begin; i < end; i++)
            index_prefetch(&ledger->transfers, hashes[i]);
        for (uint32_t i = begin; i < end; i++) {
            if (hashes[i] >= INDEX_LINK_TAG) /* which id_hash() never makes */
                return -EBADMSG;
            index_insert(&ledger->transfers, hashes[i], address + i);
        }
    }
    return 0;
}

int ledger_copy(struct ledger *to, const struct ledger *from, uint64_t address_end)
{
    int error = ledger_restore_accounts(to, from->accounts.rows, from->accounts.count);
    if (error == 0)
        error = ledger_restore_payments(to, from->payments.rows, from->payments.count);
    if (error == 0)
        error = ledger_restore_limits(to, from->limits.rows, from->limits.count);
    holds_outcomes_copy(&to->holds, &from->holds, address_end);
    for (uint32_t i = 0; i < from->holds.slots_used && error == 0; i++) {
        const struct hold *hold = &from->holds.slots[i];
        if (hold->record.id != 0)
            error = ledger_restore_hold(to, &hold->record, hold->address, hold->expires_at);
    }
    struct ledger_totals totals = ledger_totals(from);
    ledger_restore_totals(to, &totals);
    to->digests_checked = from->digests_checked;
    return error;
}

/* ---- Digest and sums --------------------------------------------------------------------- */

uint64_t ledger_digest_holds(const struct ledger *ledger)
{
    uint64_t sum = 0; /* a sum, because slot numbers depend on history */
    for (uint32_t i = 0; i < ledger->holds.slots_used; i++) {
        const struct hold *hold = &ledger->holds.slots[i];
        const struct {
            struct giro_transfer record;
            uint64_t expires_at;
            uint64_t reserved;
        } state = {.record = hold->record, .expires_at = hold->expires_at};
        if (hold->record.id != 0)
            sum += checksum_of(&state, sizeof state).low;
    }
    return sum;
}

struct checksum ledger_digest_of(struct checksum rows, struct checksum payments,
                                 struct checksum limits, uint64_t holds,
                                 const struct ledger_totals *totals)
{
    struct {
        struct checksum accounts;
        struct checksum payments;
        struct checksum limits;
        uint64_t holds;
        uint64_t account_timestamp_last;
        uint64_t transfer_timestamp_last;
        uint64_t counts[3];
    } state = {
        .accounts = rows,
        .payments = payments,
        .limits = limits,
        .holds = holds,
        .account_timestamp_last = totals->account_timestamp_last,
        .transfer_timestamp_last = totals->transfer_timestamp_last,
        .counts = {totals->transfers, totals->burnt, totals->expired},
    };
    return checksum_of(&state, sizeof state);
}

struct checksum ledger_digest(const struct ledger *ledger)
{
    struct ledger_totals totals = ledger_totals(ledger);
    struct checksum rows = checksum_of(ledger->accounts.rows, (size_t)ledger->accounts.count *
                                                                  sizeof(struct giro_account));
    struct checksum payments =
        checksum_of(ledger->payments.rows, (size_t)ledger->payments.count * sizeof(struct payment));
    struct checksum limits =
        checksum_of(ledger->limits.rows, (size_t)ledger->limits.count * sizeof(struct limits));
    return ledger_digest_of(rows, payments, limits, ledger_digest_holds(ledger), &totals);
}

struct ledger_sums ledger_sum(const struct ledger *ledger, uint32_t ledger_number)
{
    struct ledger_sums sums = {0};
    for (uint32_t i = 0; i < ledger->accounts.count; i++) {
        const struct giro_account *account = &ledger->accounts.rows[i];
        if (ledger_number == 0 || account->ledger == ledger_number)
            ledger_sums_add(&sums, account);
    }
    return sums;
}
