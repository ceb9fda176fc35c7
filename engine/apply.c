/* What payments make of accepted records; the rest of applying is inline, in engine/apply.h. */
#include "engine/apply.h"

#include "engine/planted.h"

#include <assert.h>

/* The row of a hold, or of a transfer, about to change; 0: it has none yet. */
static struct payment *payment_of(struct ledger *ledger, uint32_t row_1, uint64_t address)
{
    return row_1 == 0 ? NULL : payments_change(&ledger->payments, row_1 - 1, address);
}

/* Whether a companion was logged in front of a transfer, and gave it a row for its marks. */
static bool is_marked(const struct ledger *ledger, giro_u128 id)
{
    return ledger->announced == id && payments_find(&ledger->payments, id) != PAYMENTS_NONE;
}

/* Gives a transfer its row, which is there already when it was marked. Returns its number + 1. */
static uint32_t payment_make(struct ledger *ledger, const struct payment *made, uint64_t address)
{
    uint32_t row =
        ledger->announced == made->id ? payments_find(&ledger->payments, made->id) : PAYMENTS_NONE;
    if (row == PAYMENTS_NONE)
        return payments_add(&ledger->payments, made, address) + 1;
    struct payment *payment = payments_change(&ledger->payments, row, address);
    uint16_t marks = payment->marks;
    *payment = *made;
    payment->marks = marks;
    return row + 1;
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
    ledger->announced = companion->user_data_128;
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
    } else if (!is_marked(ledger, transfer->id)) {
        return; /* a fact that went over nothing */
    }
    uint32_t row = payment_make(ledger, &made, address);
    if (hold != NULL)
        hold->payment = row;
}

/* Notes what a hold is before it is amended, and gives it a row. */
static struct payment *hold_amend(struct ledger *ledger, struct hold *hold, uint64_t address)
{
    uint32_t slot = (uint32_t)(hold - ledger->holds.slots);
    struct journal_entry *entry =
        journal_add(&ledger->journal, JOURNAL_HOLD, LEDGER_TABLES, slot, address);
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
    if (parent == 0 && !is_marked(ledger, transfer->id))
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
    (void)payment_make(ledger, &made, address);
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
    if (ledger->limits.counting != 0)
        velocity_apply(ledger, transfer, address, hold->debit_row, hold->credit_row);
    transfer_counted(ledger, transfer, address, hash);
}

/* A slot that counts what it counted before goes on. */
static struct velocity slot_make(const struct velocity *before, const struct giro_velocity *rule,
                                 uint64_t maximum)
{
    struct velocity slot = velocity_make(rule, maximum);
    if (rule->window != GIRO_WINDOW_NONE && velocity_counts_same(&before->rule, rule)) {
        slot.end = before->end;
        slot.current = before->current;
        slot.previous = before->previous;
    }
    return slot;
}

void limits_apply(struct ledger *ledger, const struct giro_limits *limits, uint32_t account_row,
                  uint64_t address)
{
    static const struct limits none;
    struct limits row = {
        .floor = limits->floor,
        .balance_max = limits->balance_max,
        .transfer_max = limits->transfer_max,
        .timestamp = limits->timestamp,
        .account_row = account_row,
        .over_capture = limits->over_capture,
        .flags = limits->flags & RECORD_FLAGS_MASK,
    };
    uint32_t known = ledger->limits.by_account[account_row];
    const struct limits *before = known == 0 ? &none : &ledger->limits.rows[known - 1];
    for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++) {
        row.slots[s] = slot_make(&before->slots[s], &limits->velocity[s], limits->velocity_max[s]);
        if (limits->velocity[s].window != GIRO_WINDOW_NONE)
            row.flags |= LIMITS_COUNT;
    }
    if (known == 0) {
        limits_append(&ledger->limits, &row);
    } else {
        journal_change(&ledger->journal, LEDGER_LIMITS, known - 1, address)->before.limits =
            *before;
        limits_replace(&ledger->limits, known - 1, &row);
    }
    timestamp_seen(ledger, limits->timestamp);
}

void lease_apply(struct ledger *ledger, const struct giro_lease *lease, uint64_t address)
{
    const struct lease row = {
        .key = lease->key,
        .owner = lease->owner,
        .token = lease->token,
        .deadline = lease->deadline,
    };
    if (lease->row < ledger->leases.count)
        journal_change(&ledger->journal, LEDGER_LEASES, lease->row, address)->before.lease =
            ledger->leases.rows[lease->row];
    leases_put(&ledger->leases, lease->row, &row);
    timestamp_seen(ledger, lease->timestamp);
}

void session_apply(struct ledger *ledger, const struct record_session *session, uint64_t address)
{
    const struct session row = {
        .client = session->client,
        .checksum = session->request,
        .number = session->number,
        .address = address,
        .timestamp_first = session->timestamp_first,
        .request = session->request_number,
        .release = session->release,
        .event_count = session->event_count,
        .result_count = session->result_count,
    };
    if (session->row < ledger->sessions.count)
        journal_change(&ledger->journal, LEDGER_SESSIONS, session->row, address)->before.session =
            ledger->sessions.rows[session->row];
    sessions_put(&ledger->sessions, session->row, &row);
    timestamp_seen(ledger, session->timestamp);
}

/* A schedule that is about to change. */
static struct giro_schedule *schedule_change(struct ledger *ledger, uint32_t row, uint64_t address)
{
    struct giro_schedule *schedule = &ledger->schedules.rows[row];
    journal_change(&ledger->journal, LEDGER_SCHEDULES, row, address)->before.schedule = *schedule;
    return schedule;
}

void firing_apply(struct ledger *ledger, const struct giro_firing *firing, uint64_t address)
{
    struct giro_schedule *schedule = schedule_change(ledger, firing->row, address);
    schedule->next = firing->next;
    schedule->occurrence = firing->occurrence_next;
    schedule->attempt = firing->attempt_next;
    schedule->last_id = firing->transfer_id;
    schedule->last_result = firing->transfer_result;
    schedule->made += firing->transfer_result == GIRO_TRANSFER_CREATED;
    if (firing->next == 0)
        schedule->state = GIRO_SCHEDULE_OVER;
    schedules_changed(&ledger->schedules, firing->row);
    timestamp_seen(ledger, firing->timestamp);
}

void cancel_apply(struct ledger *ledger, const struct giro_firing *firing, uint64_t address)
{
    struct giro_schedule *schedule = schedule_change(ledger, firing->row, address);
    schedule->next = 0;
    schedule->state = GIRO_SCHEDULE_CANCELLED;
    schedules_changed(&ledger->schedules, firing->row);
    timestamp_seen(ledger, firing->timestamp);
}

void settlement_add(struct ledger *ledger, uint32_t account_row)
{
    const uint32_t number = ledger->accounts.rows[account_row].ledger;
    const struct settlement row = {
        .epoch = settlements_epoch_number(&ledger->settlements, number),
        .account_row = account_row,
    };
    settlements_append(&ledger->settlements, &row);
}

void cut_off_apply(struct ledger *ledger, const struct giro_cut_off *cut_off, uint64_t address)
{
    struct settlements *settlements = &ledger->settlements;
    const struct epoch *known = settlements_epoch(settlements, cut_off->ledger);
    if (known != NULL)
        journal_change(&ledger->journal, LEDGER_EPOCHS, (uint32_t)(known - settlements->epochs),
                       address)
            ->before.epoch = *known;
    settlements_cut(settlements, &(struct epoch){
                                     .epoch = cut_off->epoch + 1,
                                     .timestamp = cut_off->timestamp,
                                     .ledger = cut_off->ledger,
                                 });
    timestamp_seen(ledger, cut_off->timestamp);
}

/* The row of an account that settles, rolled on to its ledger's epoch and about to change; NULL: it
 * does not settle. */
static struct settlement *settlement_change(struct ledger *ledger, uint32_t account_row,
                                            uint64_t address)
{
    const struct giro_account *account = &ledger->accounts.rows[account_row];
    if ((account->flags & GIRO_ACCOUNT_SETTLES) == 0)
        return NULL;
    const uint32_t number = ledger->settlements.by_account[account_row] - 1;
    struct settlement *row = &ledger->settlements.rows[number];
    journal_change(&ledger->journal, LEDGER_SETTLEMENTS, number, address)->before.settlement = *row;
    if (!PLANTED(KEEP_EPOCH))
        settlement_roll(row, settlements_epoch_number(&ledger->settlements, account->ledger));
    row->count++;
    return row;
}

void settlement_apply(struct ledger *ledger, giro_u128 amount, uint64_t address, uint32_t debit_row,
                      uint32_t credit_row)
{
    struct settlement *debit = settlement_change(ledger, debit_row, address);
    if (debit != NULL)
        debit->debits += amount;
    struct settlement *credit = settlement_change(ledger, credit_row, address);
    if (credit != NULL)
        credit->credits += amount;
}

static bool slot_counts(const struct velocity *slot, unsigned side)
{
    return slot->rule.window != GIRO_WINDOW_NONE &&
           (slot->rule.flags & GIRO_VELOCITY_CREDITS) == side;
}

/* A row that counts on the other side only is not even noted: that would copy all of it. */
static void side_count(struct ledger *ledger, const struct giro_transfer *transfer,
                       uint64_t address, uint32_t account_row, unsigned side)
{
    const uint32_t number = ledger->limits.by_account[account_row];
    if (number == 0 || (ledger->limits.rows[number - 1].flags & LIMITS_COUNT) == 0)
        return;
    struct limits *row = &ledger->limits.rows[number - 1];
    bool noted = false;
    for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++) {
        struct velocity *slot = &row->slots[s];
        if (!slot_counts(slot, side))
            continue;
        if (!noted)
            journal_change(&ledger->journal, LEDGER_LIMITS, number - 1, address)->before.limits =
                *row;
        noted = true;
        velocity_count(slot, transfer->timestamp, velocity_share(slot, transfer));
    }
}

void velocity_apply(struct ledger *ledger, const struct giro_transfer *transfer, uint64_t address,
                    uint32_t debit_row, uint32_t credit_row)
{
    if ((transfer->flags & GIRO_TRANSFER_NO_LIMIT) != 0)
        return;
    side_count(ledger, transfer, address, debit_row, 0);
    side_count(ledger, transfer, address, credit_row, GIRO_VELOCITY_CREDITS);
}
