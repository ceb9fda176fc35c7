/* Restoring: the ledger's state from what was saved. What is restored is input, however sound its
 * checksum: rows that cannot have been are refused. */
#include "engine/apply.h"
#include "engine/planted.h"
#include "engine/rules.h"
#include "engine/stage.h"

#include <errno.h>

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

static void accounts_restore(struct ledger *ledger, const struct giro_account *rows, uint32_t count)
{
    for (uint32_t begin = 0; begin < count; begin += CHUNK_EVENTS) {
        uint32_t end = count - begin < CHUNK_EVENTS ? count : begin + CHUNK_EVENTS;
        for (uint32_t i = begin; i < end; i++)
            index_prefetch(&ledger->accounts.index, id_hash(rows[i].id, ledger->hash_seed));
        for (uint32_t i = begin; i < end; i++)
            (void)accounts_append(&ledger->accounts, &rows[i]);
    }
}

/* Whether the slots of a row of limits are ones that could be set. */
static bool slots_formed(const struct velocity *slots)
{
    for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++) {
        if (!velocity_formed(&slots[s]))
            return false;
    }
    return true;
}

static bool uses_slots(const struct limits *row)
{
    bool used = false;
    for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++)
        used = used || row->slots[s].rule.window != GIRO_WINDOW_NONE;
    return used;
}

static bool limits_row_formed(const struct ledger *ledger, const struct limits *row)
{
    return slots_formed(row->slots) && row->account_row < ledger->accounts.count &&
           ledger->limits.by_account[row->account_row] == 0 &&
           row->over_capture <= GIRO_OVER_CAPTURE_MAX &&
           (row->flags & ~(unsigned)(GIRO_LIMITS_FLAGS_ALL | LIMITS_COUNT)) == 0 &&
           ((row->flags & LIMITS_COUNT) != 0) == uses_slots(row);
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

static bool lease_row_formed(const struct ledger *ledger, const struct lease *row)
{
    return row->key != 0 && row->deadline <= GIRO_TIMESTAMP_MAX &&
           leases_find(&ledger->leases, row->key) == LEASES_NONE;
}

static bool schedule_row_formed(const struct ledger *ledger, const struct giro_schedule *row)
{
    return schedule_formed(&ledger->schedules, row) && row->flags == 0 &&
           schedule_reserved_is_zero(row) && row->state >= GIRO_SCHEDULE_ACTIVE &&
           row->state <= GIRO_SCHEDULE_CANCELLED &&
           (row->next != 0) == (row->state == GIRO_SCHEDULE_ACTIVE) &&
           template_check(ledger, &row->transfer) == GIRO_SCHEDULE_RESULT_DONE;
}

static bool epoch_formed(const struct ledger *ledger, const struct epoch *row)
{
    return row->ledger != 0 && row->epoch != 0 && row->epoch != UINT64_MAX && row->timestamp != 0 &&
           row->timestamp <= GIRO_TIMESTAMP_MAX && row->reserved == 0 &&
           settlements_epoch(&ledger->settlements, row->ledger) == NULL;
}

/* Whether nothing is added up without a posting, and what was before was before. */
static bool settlement_sums_formed(const struct settlement *row)
{
    const bool none = row->debits == 0 && row->credits == 0;
    const bool none_before = row->debits_before == 0 && row->credits_before == 0;
    if ((row->count == 0 && !none) || (row->count_before == 0 && !none_before))
        return false;
    return row->epoch == 0 ? row->epoch_before == 0 && row->count_before == 0
                           : row->epoch_before < row->epoch;
}

static bool settlement_formed(const struct ledger *ledger, const struct settlement *row)
{
    if (row->account_row >= ledger->accounts.count ||
        ledger->settlements.by_account[row->account_row] != 0 ||
        (row->reserved[0] | row->reserved[1] | row->reserved[2]) != 0)
        return false;
    const struct giro_account *account = &ledger->accounts.rows[row->account_row];
    return (account->flags & GIRO_ACCOUNT_SETTLES) != 0 && settlement_sums_formed(row) &&
           row->epoch <= settlements_epoch_number(&ledger->settlements, account->ledger);
}

static bool session_row_formed(const struct ledger *ledger, const struct session *row)
{
    return row->client != 0 && row->number != 0 && row->number <= row->address &&
           (row->request == 0) == (row->number == row->address) &&
           row->result_count <= row->event_count && row->event_count <= LEDGER_EVENTS_MAX &&
           row->reserved == 0 && sessions_find(&ledger->sessions, row->client) == SESSIONS_NONE;
}

/* Of any table but accounts. */
static bool row_restore(struct ledger *ledger, enum ledger_table table, const void *row)
{
    switch (table) {
    case LEDGER_PAYMENTS:
        if (!payment_row_formed(ledger, row))
            return false;
        (void)payments_append(&ledger->payments, row);
        return true;
    case LEDGER_LIMITS:
        if (!limits_row_formed(ledger, row))
            return false;
        limits_append(&ledger->limits, row);
        return true;
    case LEDGER_LEASES:
        if (!lease_row_formed(ledger, row))
            return false;
        leases_put(&ledger->leases, ledger->leases.count, row);
        return true;
    case LEDGER_SCHEDULES:
        if (!schedule_row_formed(ledger, row))
            return false;
        (void)schedules_append(&ledger->schedules, row);
        if (PLANTED(FORGET_SCHEDULES))
            deadlines_set(&ledger->schedules.deadlines, ledger->schedules.count - 1, 0, 0);
        return true;
    case LEDGER_EPOCHS:
        if (!epoch_formed(ledger, row))
            return false;
        settlements_cut(&ledger->settlements, row);
        return true;
    case LEDGER_SETTLEMENTS:
        if (!settlement_formed(ledger, row))
            return false;
        settlements_append(&ledger->settlements, row);
        return true;
    case LEDGER_SESSIONS:
        if (!session_row_formed(ledger, row))
            return false;
        sessions_put(&ledger->sessions, ledger->sessions.count, row);
        return true;
    case LEDGER_ACCOUNTS:
    case LEDGER_TABLES:
        break;
    }
    return false;
}

static uint32_t table_capacity(const struct ledger *ledger, enum ledger_table table)
{
    switch (table) {
    case LEDGER_ACCOUNTS:
        return ledger->accounts.capacity;
    case LEDGER_PAYMENTS:
        return ledger->payments.capacity;
    case LEDGER_LIMITS:
        return ledger->limits.capacity;
    case LEDGER_LEASES:
        return ledger->leases.capacity;
    case LEDGER_SCHEDULES:
        return ledger->schedules.capacity;
    case LEDGER_EPOCHS:
        return SETTLEMENTS_EPOCHS_MAX;
    case LEDGER_SETTLEMENTS:
        return ledger->settlements.capacity;
    case LEDGER_SESSIONS:
        return ledger->sessions.capacity;
    case LEDGER_TABLES:
        break;
    }
    return 0;
}

int ledger_restore_rows(struct ledger *ledger, enum ledger_table table, const void *rows,
                        uint32_t count)
{
    const struct table_rows known = ledger_rows(ledger, table);
    if (table_capacity(ledger, table) - known.count < count)
        return -ENOSPC;
    if (table == LEDGER_ACCOUNTS) {
        accounts_restore(ledger, rows, count);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!row_restore(ledger, table, (const char *)rows + (size_t)i * known.row_bytes))
            return -EBADMSG;
    }
    return 0;
}

bool ledger_restored_rows_fit(const struct ledger *ledger)
{
    uint32_t settling = 0;
    for (uint32_t i = 0; i < ledger->accounts.count; i++)
        settling += (ledger->accounts.rows[i].flags & GIRO_ACCOUNT_SETTLES) != 0;
    return settling == ledger->settlements.count;
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
    int error = 0;
    for (enum ledger_table table = 0; table < LEDGER_TABLES && error == 0; table++) {
        struct table_rows rows = ledger_rows(from, table);
        error = ledger_restore_rows(to, table, rows.rows, rows.count);
    }
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
