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

/* A row is marked when transfers have to be added up for it, or none would look at its slots. */
static void limits_check(const struct ledger *ledger)
{
    const struct limits_table *limits = &ledger->limits;
    uint32_t counting = 0;
    for (uint32_t i = 0; i < limits->count; i++) {
        const struct limits *row = &limits->rows[i];
        bool used = false;
        MUST(row->account_row < ledger->accounts.count);
        MUST(limits_of(limits, row->account_row) == row);
        MUST(row->over_capture <= GIRO_OVER_CAPTURE_MAX);
        MUST(row->flags <= (GIRO_LIMITS_FLAGS_ALL | LIMITS_COUNT));
        for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++) {
            MUST(velocity_formed(&row->slots[s]));
            used |= row->slots[s].rule.window != GIRO_WINDOW_NONE;
        }
        MUST(((row->flags & LIMITS_COUNT) != 0) == used);
        counting += used;
    }
    MUST(counting == limits->counting);
}

static void leases_check(const struct ledger *ledger)
{
    const struct leases *leases = &ledger->leases;
    MUST(leases->count <= leases->capacity);
    for (uint32_t i = 0; i < leases->count; i++) {
        MUST(leases->rows[i].key != 0 && leases->rows[i].deadline <= GIRO_TIMESTAMP_MAX);
        MUST(leases_find(leases, leases->rows[i].key) == i);
    }
}

/* The heap is one, and says who is next. */
static void deadlines_check(const struct deadlines *deadlines)
{
    for (uint32_t i = 0; i < deadlines->count; i++) {
        const struct deadline *deadline = &deadlines->heap[i];
        const struct deadline *above = &deadlines->heap[i == 0 ? 0 : (i - 1) / 2];
        MUST(deadlines->places[deadline->slot] == i + 1 && deadline->time != 0);
        MUST(above->time < deadline->time ||
             (above->time == deadline->time && above->order <= deadline->order));
    }
}

/* Those that are active are due, and no others. The newest one's transfer may be still to come. */
static void schedules_check(const struct ledger *ledger)
{
    const struct schedules *schedules = &ledger->schedules;
    uint32_t active = 0;
    MUST(schedules->count <= schedules->capacity);
    for (uint32_t i = 0; i < schedules->count; i++) {
        const struct giro_schedule *row = &schedules->rows[i];
        MUST(schedules_find(schedules, row->id) == i);
        MUST(schedule_check_rule(row) == GIRO_SCHEDULE_RESULT_DONE);
        MUST(row->state >= GIRO_SCHEDULE_ACTIVE && row->state <= GIRO_SCHEDULE_CANCELLED);
        MUST((row->next != 0) == (row->state == GIRO_SCHEDULE_ACTIVE));
        active += row->next != 0;
        if (row->transfer.ledger == 0) {
            MUST(i + 1 == schedules->count);
            continue;
        }
        MUST(accounts_find(&ledger->accounts, row->transfer.debit_account_id) != ACCOUNTS_NONE);
        MUST(accounts_find(&ledger->accounts, row->transfer.credit_account_id) != ACCOUNTS_NONE);
    }
    MUST(active == schedules->deadlines.count);
}

/* Every account that settles has its row, and no other account has one; none is ahead of its ledger. */
static void settlements_check(const struct ledger *ledger)
{
    const struct settlements *settlements = &ledger->settlements;
    uint32_t count = 0;
    for (uint32_t i = 0; i < ledger->accounts.count; i++) {
        const bool settles = (ledger->accounts.rows[i].flags & GIRO_ACCOUNT_SETTLES) != 0;
        const uint32_t number = settlements->by_account[i];
        MUST((number != 0) == settles);
        count += settles;
        if (number == 0)
            continue;
        const struct settlement *row = &settlements->rows[number - 1];
        MUST(row->account_row == i);
        MUST(row->epoch <= settlements_epoch_number(settlements, ledger->accounts.rows[i].ledger));
        MUST(row->epoch == 0 || row->epoch_before < row->epoch);
    }
    MUST(count == settlements->count);
    MUST(settlements->epoch_count <= SETTLEMENTS_EPOCHS_MAX);
    for (uint32_t i = 0; i < settlements->epoch_count; i++) {
        MUST(settlements->epochs[i].epoch != 0);
        MUST(settlements_epoch(settlements, settlements->epochs[i].ledger) ==
             &settlements->epochs[i]);
    }
}

/* Every client has one row, and what it says of its last request can be. */
static void sessions_check(const struct ledger *ledger)
{
    const struct sessions *sessions = &ledger->sessions;
    MUST(sessions->count <= sessions->capacity);
    for (uint32_t i = 0; i < sessions->count; i++) {
        const struct session *row = &sessions->rows[i];
        MUST(row->client != 0 && sessions_find(sessions, row->client) == i);
        MUST(row->number != 0 && row->number <= row->address && row->reserved == 0);
        MUST((row->request == 0) == (row->number == row->address));
        MUST(row->result_count <= row->event_count && row->event_count <= LEDGER_EVENTS_MAX);
    }
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
    deadlines_check(&holds->deadlines);
    deadlines_check(&ledger->schedules.deadlines);
    payments_check(ledger);
    limits_check(ledger);
    leases_check(ledger);
    schedules_check(ledger);
    settlements_check(ledger);
    sessions_check(ledger);
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

static void payments_work(struct ledger *ledger, uint64_t *address)
{
    for (uint32_t i = 0, count = ledger->payments.count; i < count; i++) {
        const struct payment *row = &ledger->payments.rows[i];
        struct giro_transfer transfer = naming(ledger, row->id, row->credit_row, row->debit_row, 1);
        transfer.flags = GIRO_TRANSFER_RETURN;
        record_try(ledger, &transfer, (*address)++);
        transfer.id += (giro_u128)1 << 96;
        transfer.flags |= GIRO_TRANSFER_PENDING;
        record_try(ledger, &transfer, (*address)++);
    }
    for (uint32_t slot = 0, used = ledger->holds.slots_used; slot < used; slot++, *address += 4) {
        if (ledger->holds.slots[slot].record.id != 0)
            hold_work(ledger, &ledger->holds.slots[slot], *address);
    }
}

/* Requests of one event each, as a server executes them. Nothing is in the log: what would have to be
 * fetched is given up. */
static struct giro_result results[LEDGER_FIRE_MAX];
static uint64_t addresses[LEDGER_FETCH_MAX];
static union record records[LEDGER_FIRE_MAX * LEDGER_FIRE_RECORDS];

static struct ledger_output output_at(uint64_t address)
{
    return (struct ledger_output){.records = records, .address = address, .results = results};
}

/* Whether there is time for so many events; rows of times that nobody has lived to see end here. */
static bool has_time(const struct ledger *ledger, uint32_t events)
{
    return ledger->timestamp_last < GIRO_TIMESTAMP_MAX - events;
}

static void expiries_work(struct ledger *ledger, uint64_t *address)
{
    while (ledger->timestamp_last < GIRO_TIMESTAMP_MAX &&
           ledger_expiry_due(ledger, GIRO_TIMESTAMP_MAX)) {
        struct ledger_output output = output_at(*address);
        ledger_expire(ledger, GIRO_TIMESTAMP_MAX, sizeof records / sizeof records[0], &output);
        *address += output.record_count;
    }
}

/* Both sides of every account with limits are judged, and counted. */
static void limits_work(struct ledger *ledger, uint64_t *address)
{
    for (uint32_t i = 0; i < 2 * ledger->limits.count && has_time(ledger, 2); i++) {
        const uint32_t row = ledger->limits.rows[i / 2].account_row;
        const uint32_t other = (row + 2) % ledger->accounts.count;
        const uint64_t now = ledger->timestamp_last + 1;
        struct giro_velocity_used used;
        struct giro_transfer event =
            naming(ledger, 0, i % 2 == 0 ? row : other, i % 2 == 0 ? other : row, 1 + i);
        struct ledger_output output = output_at(*address);
        event.ledger = ledger->accounts.rows[row].ledger;
        event.timestamp = 0;
        if (ledger_room_transfers(ledger, &event, 1) != LEDGER_ROOM)
            return;
        if (ledger_create_transfers(ledger, &event, 1, now, NULL, addresses, &output) == 0)
            *address += output.record_count;
        MUST(ledger_get_velocity(ledger, &ledger->accounts.rows[row].id, 1, now, &used) == 1);
    }
}

static void leases_work(struct ledger *ledger, uint64_t *address)
{
    for (uint32_t i = 0; i < ledger->leases.count && has_time(ledger, 2); i++) {
        const struct lease *row = &ledger->leases.rows[i];
        const struct giro_lease events[] = {
            {.key = row->key,
             .owner = row->owner,
             .token = row->token,
             .timeout_ms = 1,
             .action = GIRO_LEASE_RENEW},
            {.key = row->key, .owner = 1, .timeout_ms = 1, .action = GIRO_LEASE_ACQUIRE},
        };
        struct giro_lease replies[2];
        struct ledger_output output = output_at(*address);
        ledger_lease(ledger, events, 2, ledger->timestamp_last + 1, replies, &output);
        *address += output.record_count;
    }
}

/* Every schedule that is due some day fires, some of them again; then they are cancelled. */
static void schedules_work(struct ledger *ledger, uint64_t *address)
{
    enum { FIRE_ROUNDS = 4 };
    for (uint32_t i = 0; i < FIRE_ROUNDS && has_time(ledger, LEDGER_FIRE_MAX); i++) {
        const struct deadline *first = deadlines_first(&ledger->schedules.deadlines);
        uint64_t now = ledger->timestamp_last + 1;
        struct ledger_output output = output_at(*address);
        if (first == NULL)
            break;
        if (first->time > now && first->time < GIRO_TIMESTAMP_MAX - LEDGER_FIRE_MAX)
            now = first->time;
        if (ledger_fire(ledger, now, LEDGER_FIRE_MAX, NULL, addresses, &output) != 0)
            break;
        *address += output.record_count;
    }
    for (uint32_t i = 0; i < ledger->schedules.count && has_time(ledger, 1); i++) {
        struct ledger_output output = output_at(*address);
        ledger_cancel_schedules(ledger, &ledger->schedules.rows[i].id, 1,
                                ledger->timestamp_last + 1, &output);
        *address += output.record_count;
    }
}

/* Each ledger that was cut off is so again, and each account tells. */
static void settlements_work(struct ledger *ledger, uint64_t *address)
{
    for (uint32_t i = 0; i < ledger->settlements.epoch_count && has_time(ledger, 1); i++) {
        const struct epoch *epoch = &ledger->settlements.epochs[i];
        const struct giro_cut_off event = {.epoch = epoch->epoch, .ledger = epoch->ledger};
        struct ledger_output output = output_at(*address);
        ledger_cut_off(ledger, &event, 1, ledger->timestamp_last + 1, &output);
        *address += output.record_count;
    }
    for (uint32_t i = 0; i < ledger->accounts.count; i++) {
        const bool settles = (ledger->accounts.rows[i].flags & GIRO_ACCOUNT_SETTLES) != 0;
        struct giro_settlement settlement;
        MUST(ledger_get_settlements(ledger, &ledger->accounts.rows[i].id, 1, &settlement) ==
             settles);
    }
}

static void session_work(struct ledger *ledger, const struct record_session *session,
                         uint64_t *address)
{
    static const struct session_result none[SESSION_RESULTS + 1];
    struct ledger_output output = output_at(*address);
    ledger_log_session(ledger, session, none, &output);
    *address += output.record_count;
}

/* Every session goes on, as its client's next request would have it; then as many clients as there are
 * take their rows. */
static void sessions_work(struct ledger *ledger, uint64_t *address)
{
    const struct sessions *sessions = &ledger->sessions;
    const uint32_t count = sessions->count;
    for (uint32_t i = 0; i < 2 * count && has_time(ledger, 1); i++) {
        const bool goes_on = i < count;
        const uint32_t row = goes_on ? i : sessions_vacant(sessions, count);
        struct record_session session = {
            .client = ((giro_u128)0x5e55 << 100) + i,
            .timestamp_first = ledger->timestamp_last + 1,
            .row = row,
            .timestamp = ledger->timestamp_last + 1,
        };
        if (goes_on && sessions->rows[i].request == UINT32_MAX)
            continue;
        if (goes_on) {
            session.client = sessions->rows[i].client;
            session.number = sessions->rows[i].number;
            session.request_number = sessions->rows[i].request + 1;
            session.event_count = session.result_count = SESSION_RESULTS + 1;
        }
        session_work(ledger, &session, address);
        MUST(sessions_find(sessions, session.client) == row && sessions->count == count);
    }
}

void books_work(struct ledger *ledger)
{
    uint64_t address = 1 << 12;
    limits_work(ledger, &address);
    settlements_work(ledger, &address);
    schedules_work(ledger, &address);
    leases_work(ledger, &address);
    sessions_work(ledger, &address);
    books_check(ledger);
    payments_work(ledger, &address);
    books_check(ledger);
    expiries_work(ledger, &address);
    books_check(ledger);
}
