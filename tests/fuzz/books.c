#include "tests/fuzz/books.h"

#include "tests/fuzz/fuzz.h"

#include <errno.h>

/* ---- What must hold ---------------------------------------------------------------------- */

static void payments_check(const struct ledger *ledger)
{
    const struct payments *payments = &ledger->payments;
    for (uint32_t i = 0; i < payments->count; i++) {
        const struct payment *row = &payments->rows[i];
        MUST(payments_find(payments, row->id) == i);
        if (row->kind == 0) { /* of a mark whose transfer is to come, or was refused */
            MUST(i + 1 == payments->count);
            continue;
        }
        MUST(row->kind == PAYMENT_HOLD || row->kind == PAYMENT_POSTED);
        MUST(row->debit_row < ledger->accounts.count && row->credit_row < ledger->accounts.count);
        MUST(row->depth <= PAYMENT_DEPTH_MAX && (row->depth == 0) == (row->parent == 0));
        if (row->parent == 0)
            continue;
        MUST(row->parent <= i);
        MUST(payments->rows[row->parent - 1].kind == PAYMENT_POSTED);
        MUST(payments->rows[row->parent - 1].depth + 1 == row->depth);
    }
}

static void limits_check(const struct ledger *ledger)
{
    const struct limits_table *limits = &ledger->limits;
    for (uint32_t i = 0; i < limits->count; i++) {
        const struct limits *row = &limits->rows[i];
        MUST(row->account_row < ledger->accounts.count);
        MUST(limits_of(limits, row->account_row) == row);
        MUST(row->over_capture <= GIRO_OVER_CAPTURE_MAX && row->flags <= GIRO_LIMITS_FLAGS_ALL);
    }
}

/* Every account that settles has its row, and no other account has one. */
static void settlements_check(const struct ledger *ledger)
{
    const struct settlements *settlements = &ledger->settlements;
    uint32_t count = 0;
    for (uint32_t i = 0; i < ledger->accounts.count; i++) {
        const bool settles = (ledger->accounts.rows[i].flags & GIRO_ACCOUNT_SETTLES) != 0;
        const uint32_t number = settlements->by_account[i];
        MUST((number != 0) == settles);
        MUST(number == 0 || settlements->rows[number - 1].account_row == i);
        count += settles;
    }
    MUST(count == settlements->count);
    MUST(settlements->epoch_count <= SETTLEMENTS_EPOCHS_MAX);
    for (uint32_t i = 0; i < settlements->epoch_count; i++)
        MUST(settlements_epoch(settlements, settlements->epochs[i].ledger) ==
             &settlements->epochs[i]);
}

static void hold_check(const struct ledger *ledger, const struct hold *hold)
{
    MUST(holds_find(&ledger->holds, hold->record.id) == hold);
    MUST(hold->state == HOLD_OPEN);
    MUST(hold->debit_row < ledger->accounts.count && hold->credit_row < ledger->accounts.count);
    MUST(hold->payment == payments_find(&ledger->payments, hold->record.id) + 1);
    if (hold->payment == 0)
        return;
    const struct payment *row = &ledger->payments.rows[hold->payment - 1];
    MUST(row->kind == PAYMENT_HOLD && row->left == hold->record.amount);
    MUST(row->debit_row == hold->debit_row && row->credit_row == hold->credit_row);
}

void books_check(const struct ledger *ledger)
{
    const struct holds *holds = &ledger->holds;
    uint32_t open = 0;
    uint32_t deadlines = 0;
    MUST(ledger->ended_count == 0);
    for (uint32_t slot = 0; slot < holds->slots_used; slot++) {
        const struct hold *hold = &holds->slots[slot];
        if (hold->record.id == 0)
            continue;
        hold_check(ledger, hold);
        open++;
        deadlines += hold->expires_at != 0;
    }
    MUST(open == holds->count && deadlines == holds->deadlines.count);
    for (uint32_t i = 0; i < holds->deadlines.count; i++)
        MUST(holds->deadlines.places[holds->deadlines.heap[i].slot] == i + 1);
    payments_check(ledger);
    limits_check(ledger);
    settlements_check(ledger);
}

/* ---- Work -------------------------------------------------------------------------------- */

static void record_try(struct ledger *ledger, const struct giro_transfer *transfer,
                       uint64_t address)
{
    const union record record = {.transfer = *transfer};
    uint32_t index;
    int result = ledger_replay(ledger, &record, 1, address, &index);
    MUST(result == 0 || result == -EBADMSG || result == -ENOSPC, "%d", result);
}

/* A transfer that names another one, between two accounts. */
static struct giro_transfer naming(const struct ledger *ledger, giro_u128 pending_id,
                                   uint32_t debit_row, uint32_t credit_row, giro_u128 amount)
{
    static uint64_t id;
    id++;
    return (struct giro_transfer){
        .id = ((giro_u128)0xb00c << 100) + id,
        .debit_account_id = ledger->accounts.rows[debit_row].id,
        .credit_account_id = ledger->accounts.rows[credit_row].id,
        .amount = amount,
        .pending_id = pending_id,
        .ledger = 1,
        .code = 1,
        .timestamp = GIRO_TIMESTAMP_MAX / 2 + id,
    };
}

static void hold_work(struct ledger *ledger, const struct hold *hold, uint64_t address)
{
    static const uint16_t flags[] = {
        GIRO_TRANSFER_PENDING | GIRO_TRANSFER_ADJUST,
        GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_KEEP_OPEN,
        GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_KEEP_OPEN | GIRO_TRANSFER_FACT,
    };
    for (uint32_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        struct giro_transfer transfer =
            naming(ledger, hold->record.id, hold->debit_row, hold->credit_row, i);
        transfer.flags = flags[i];
        record_try(ledger, &transfer, address + i);
    }
}

void books_work(struct ledger *ledger)
{
    static union record records[64];
    uint64_t address = 1 << 12;
    for (uint32_t i = 0, count = ledger->payments.count; i < count; i++) {
        const struct payment *row = &ledger->payments.rows[i];
        struct giro_transfer transfer = naming(ledger, row->id, row->credit_row, row->debit_row, 1);
        transfer.flags = GIRO_TRANSFER_RETURN;
        record_try(ledger, &transfer, address++);
        transfer.id += (giro_u128)1 << 96;
        transfer.flags |= GIRO_TRANSFER_PENDING;
        record_try(ledger, &transfer, address++);
    }
    for (uint32_t slot = 0, used = ledger->holds.slots_used; slot < used; slot++, address += 4) {
        if (ledger->holds.slots[slot].record.id != 0)
            hold_work(ledger, &ledger->holds.slots[slot], address);
    }
    books_check(ledger);
    while (ledger->timestamp_last < GIRO_TIMESTAMP_MAX &&
           ledger_expiry_due(ledger, GIRO_TIMESTAMP_MAX)) {
        struct ledger_output output = {.records = records, .address = address};
        ledger_expire(ledger, GIRO_TIMESTAMP_MAX, sizeof records / sizeof records[0], &output);
        address += output.record_count;
    }
    books_check(ledger);
}
