/* What payments make of accepted records; the rest of applying is inline, in engine/apply.h. */
#include "engine/apply.h"

#include "engine/planted.h"

#include <assert.h>

/* The row of a hold, or of a transfer, about to change; 0: it has none yet. */
static struct payment *payment_of(struct ledger *ledger, uint32_t row_1, uint64_t address)
{
    return row_1 == 0 ? NULL : payments_change(&ledger->payments, row_1 - 1, address);
}

/* Gives a transfer its row, which is there already when it was marked. Returns its number + 1. */
static uint32_t payment_make(struct ledger *ledger, const struct payment *made, bool marked,
                             uint64_t address)
{
    uint32_t row = marked ? payments_find(&ledger->payments, made->id) : PAYMENTS_NONE;
    if (row == PAYMENTS_NONE)
        return payments_add(&ledger->payments, made, address) + 1;
    struct payment *payment = payments_change(&ledger->payments, row, address);
    uint16_t marks = payment->marks;
    *payment = *made;
    payment->marks = marks;
    return row + 1;
}

static bool is_fact(const struct giro_transfer *transfer)
{
    return (transfer->flags & GIRO_TRANSFER_FACT) != 0;
}

static bool has_row(const struct ledger *ledger, giro_u128 id)
{
    return payments_find(&ledger->payments, id) != PAYMENTS_NONE;
}

void companion_apply(struct ledger *ledger, const struct giro_transfer *companion, uint64_t address,
                     uint32_t debit_row, uint32_t credit_row)
{
    if (companion->pending_id != 0)
        (void)payments_add(&ledger->payments,
                           &(struct payment){
                               .id = companion->pending_id,
                               .amount = companion->amount,
                               .debit_row = debit_row,
                               .credit_row = credit_row,
                               .kind = PAYMENT_POSTED,
                           },
                           address);
    if (companion->user_data_32 != 0)
        (void)payments_add(&ledger->payments,
                           &(struct payment){
                               .id = companion->user_data_128,
                               .marks = (uint16_t)companion->user_data_32,
                           },
                           address);
}

void payment_plain_apply(struct ledger *ledger, const struct giro_transfer *transfer,
                         uint64_t address, struct hold *hold, uint32_t debit_row,
                         uint32_t credit_row)
{
    bool returns = (transfer->flags & GIRO_TRANSFER_RETURN) != 0;
    struct payment made = {
        .id = transfer->id,
        .amount = transfer->amount,
        .left = hold != NULL ? transfer->amount : 0,
        .debit_row = debit_row,
        .credit_row = credit_row,
        .kind = hold != NULL ? PAYMENT_HOLD : PAYMENT_POSTED,
    };
    if (returns) {
        uint32_t origin = payments_find(&ledger->payments, transfer->pending_id);
        assert(origin != PAYMENTS_NONE);
        made.parent = origin + 1;
        made.depth = (uint8_t)(ledger->payments.rows[origin].depth + 1);
        payment_reserve(&ledger->payments, origin, transfer->amount, address);
        if (hold == NULL)
            payment_settle(&ledger->payments, origin, transfer->amount, address);
    } else if (!has_row(ledger, transfer->id)) {
        return; /* a fact that went over nothing */
    }
    uint32_t row = payment_make(ledger, &made, is_fact(transfer), address);
    if (hold != NULL)
        hold->payment = row;
}

/* Notes what a hold is before it is amended, and gives it a row. */
static struct payment *hold_amend(struct ledger *ledger, struct hold *hold, uint64_t address)
{
    uint32_t slot = (uint32_t)(hold - ledger->holds.slots);
    struct journal_entry *entry = payments_note(&ledger->payments, JOURNAL_HOLD, slot, address);
    entry->before.hold.amount = hold->record.amount;
    entry->before.hold.expires_at = hold->expires_at;
    entry->before.hold.payment = hold->payment;
    if (hold->payment == 0) {
        const struct payment made = {
            .id = hold->record.id,
            .amount = hold->record.amount,
            .left = hold->record.amount,
            .debit_row = hold->debit_row,
            .credit_row = hold->credit_row,
            .kind = PAYMENT_HOLD,
        };
        hold->payment = payments_add(&ledger->payments, &made, address) + 1;
    }
    return payment_of(ledger, hold->payment, address);
}

/* The transfer that a post makes is posted: it has a row when it is a return, or marked. */
static void payment_posted(struct ledger *ledger, const struct giro_transfer *transfer,
                           const struct hold *hold, uint32_t parent, uint8_t depth,
                           uint64_t address)
{
    if (parent == 0 && (!is_fact(transfer) || !has_row(ledger, transfer->id)))
        return;
    const struct payment made = {
        .id = transfer->id,
        .amount = transfer->amount,
        .parent = parent,
        .depth = depth,
        .debit_row = hold->debit_row,
        .credit_row = hold->credit_row,
        .kind = PAYMENT_POSTED,
    };
    (void)payment_make(ledger, &made, is_fact(transfer), address);
}

void payment_resolve_apply(struct ledger *ledger, const struct giro_transfer *transfer,
                           uint64_t address, struct hold *hold)
{
    const bool posts = (transfer->flags & GIRO_TRANSFER_POST_PENDING) != 0;
    const bool keeps_open = (transfer->flags & GIRO_TRANSFER_KEEP_OPEN) != 0;
    const giro_u128 left = hold->record.amount;
    const giro_u128 amount = transfer->amount;
    const giro_u128 part = amount < left ? amount : left;
    struct payment *payment =
        keeps_open ? hold_amend(ledger, hold, address) : payment_of(ledger, hold->payment, address);
    uint32_t parent = 0;
    uint8_t depth = 0;
    if (payment != NULL) {
        parent = payment->parent;
        depth = payment->depth;
        if (posts)
            payment->taken = amount_add(payment->taken, amount);
        if (keeps_open)
            payment->left -= part;
    }
    if (parent != 0) {
        giro_u128 released = keeps_open ? 0 : left - part;
        if (!posts)
            released = part;
        if (posts)
            payment_settle(&ledger->payments, parent - 1, amount, address);
        if (amount > left)
            payment_reserve(&ledger->payments, parent - 1, amount - left, address);
        if (released != 0)
            payment_release(&ledger->payments, parent - 1, released, address);
    }
    if (posts)
        payment_posted(ledger, transfer, hold, parent, depth, address);
}

void payment_expiry_apply(struct ledger *ledger, const struct hold *hold, uint64_t address)
{
    uint32_t parent = ledger->payments.rows[hold->payment - 1].parent;
    if (parent != 0 && !PLANTED(KEEP_CAP))
        payment_release(&ledger->payments, parent - 1, hold->record.amount, address);
}

void adjust_apply(struct ledger *ledger, const struct giro_transfer *transfer, uint64_t address,
                  uint64_t hash, struct hold *hold)
{
    struct payment *payment = hold_amend(ledger, hold, address);
    payment->amount = amount_add(payment->amount, transfer->amount);
    payment->left += transfer->amount;
    if (payment->parent != 0)
        payment_reserve(&ledger->payments, payment->parent - 1, transfer->amount, address);
    ledger->accounts.rows[hold->debit_row].debits_pending += transfer->amount;
    ledger->accounts.rows[hold->credit_row].credits_pending += transfer->amount;
    hold->record.amount += transfer->amount;
    if (transfer->timeout != 0 && hold->expires_at != 0) {
        uint64_t deadline = transfer->timestamp + transfer->timeout * GIRO_NS_PER_S;
        if (deadline > hold->expires_at)
            hold_set_deadline(&ledger->holds, hold, deadline);
    }
    transfer_counted(ledger, transfer, address, hash);
}

void limits_apply(struct ledger *ledger, const struct giro_limits *limits, uint32_t account_row,
                  uint64_t address)
{
    const struct limits row = {
        .floor = limits->floor,
        .balance_max = limits->balance_max,
        .transfer_max = limits->transfer_max,
        .timestamp = limits->timestamp,
        .account_row = account_row,
        .over_capture = limits->over_capture,
        .flags = limits->flags & RECORD_FLAGS_MASK,
    };
    uint32_t known = ledger->limits.by_account[account_row];
    if (known == 0) {
        limits_append(&ledger->limits, &row);
    } else {
        payments_note(&ledger->payments, JOURNAL_LIMITS, known - 1, address)->before.limits =
            ledger->limits.rows[known - 1];
        ledger->limits.rows[known - 1] = row;
    }
    timestamp_seen(ledger, limits->timestamp);
}
