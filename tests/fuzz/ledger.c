/* Fuzzes the ledger against the model: any sequence of requests of accounts, transfers, limits,
 * cut-offs, leases, schedules and sessions, expiries, firings, jumps of the clock and records that leave the
 * memory.
 *
 *   input   | clock is late, window is small, 1 | steps of 16 bytes each
 *
 * A step names few ids, amounts and times, so that events meet; those that follow each other and are
 * of one kind are one request. The mutator works on whole steps.
 *
 * Never: a result, an account or a transfer differs from the model's; debits and credits of a ledger
 * differ, posted or pending; what is kept beside a transfer, or what an account is limited to, differs
 * from the model's; an account exceeds a limit that it was created with, but for facts and by no more
 * than the largest floor that it ever had; replaying what was written leads to another state. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/steps.h"
#include "tests/ledger_fixture.h"
#include "tests/ledger_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EVENTS_MAX = 40,    /* of one request */
    SCHEDULES_MAX = 24, /* ... of which each has two records, and the window has room for 63 */
    FIRE_MAX = 17,
    LEDGERS = 3,
    CLIENTS = 6,
    SESSIONS_FEW = 4,
    SESSION_EVENTS_MAX = 24,
    STEP_SESSION = STEP_FENCED + 1, /* a request of a client that has, or gets, a session */
};

#define CLOCK_LATE_NS 5000000000000000000ull /* from here on a deadline can overflow */

static struct model *model;
static giro_u128 floors[MODEL_ACCOUNTS_MAX]; /* the largest that an account ever had */

/* Most are transfers. */
static enum step_kind kind_of(const struct step *step)
{
    uint8_t kind = step->kind % 16;
    uint8_t late = step->kind % 32;
    if (late == STEP_CUT_OFF || (late >= STEP_LEASE && late <= STEP_SESSION))
        return (enum step_kind)late;
    return kind <= STEP_FORGET || kind == STEP_LIMITS ? (enum step_kind)kind : STEP_TRANSFER;
}

/* ---- Comparing --------------------------------------------------------------------------- */

static void codes_compare(const uint32_t *codes, const uint32_t *expected, uint32_t count,
                          const char *(*name)(uint32_t))
{
    for (uint32_t i = 0; i < count; i++)
        MUST(codes[i] == expected[i], "event %u of %u: %s, expected %s", i, count, name(codes[i]),
             name(expected[i]));
}

static const char *account_result_name(uint32_t code)
{
    return giro_account_result_name((enum giro_account_result)code);
}

static const char *limits_result_name(uint32_t code)
{
    return giro_limits_result_name((enum giro_limits_result)code);
}

static const char *cut_off_result_name(uint32_t code)
{
    return giro_cut_off_result_name(code);
}

static const char *schedule_result_name(uint32_t code)
{
    return giro_schedule_result_name(code);
}

static const char *transfer_result_name(uint32_t code)
{
    return giro_transfer_result_name((enum giro_transfer_result)code);
}

/* Whether a fact has taken an account beyond its limit. */
static bool is_marked(giro_u128 account)
{
    for (uint32_t i = 0; i < model->now.transfers_count; i++) {
        const struct giro_transfer *transfer = &model->transfers[i];
        if ((model->now.notes[i].marks & GIRO_MARK_NEGATIVE) != 0 &&
            (transfer->debit_account_id == account || transfer->credit_account_id == account))
            return true;
    }
    return false;
}

static void limits_check(const struct giro_account *account, giro_u128 floor)
{
    if (is_marked(account->id))
        return;
    if ((account->flags & GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS) != 0)
        MUST(account->debits_pending + account->debits_posted <=
             amount_add(account->credits_posted, floor));
    if ((account->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0)
        MUST(account->credits_pending + account->credits_posted <=
             amount_add(account->debits_posted, floor));
}

static void accounts_compare(const struct fixture *fixture)
{
    const struct accounts *accounts = &fixture->ledger->accounts;
    MUST(accounts->count == model->now.accounts_count);
    for (uint32_t i = 0; i < accounts->count; i++) {
        MUST(memcmp(&accounts->rows[i], &model->now.accounts[i], sizeof accounts->rows[i]) == 0);
        limits_check(&accounts->rows[i], floors[i]);
    }
    for (uint32_t number = 1; number <= LEDGERS; number++) {
        struct ledger_sums sums = ledger_sum(fixture->ledger, number);
        MUST(sums.debits_posted == sums.credits_posted);
        MUST(sums.debits_pending == sums.credits_pending);
    }
}

static void transfers_compare(struct fixture *fixture, const giro_u128 *ids, uint32_t count)
{
    static struct giro_transfer found[EVENTS_MAX];
    uint32_t found_count = fixture_lookup_transfers(fixture, ids, count, found);
    uint32_t next = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_transfer *expected = model_transfer(model, ids[i]);
        if (expected == NULL)
            continue;
        MUST(next < found_count);
        MUST(memcmp(expected, &found[next], sizeof *expected) == 0, "of event %u", i);
        next++;
    }
    MUST(next == found_count);
}

static void payment_compare(const struct fixture *fixture, giro_u128 id)
{
    struct model_payment expected = {0};
    struct model_payment found = {0};
    MUST(fixture_payment(fixture, id, &found) == model_payment(model, id, &expected));
    MUST(found.amount == expected.amount);
    MUST(found.taken == expected.taken);
    MUST(found.left == expected.left);
    MUST(found.marks == expected.marks);
    MUST(found.depth == expected.depth);
}

static void limits_compare(const struct fixture *fixture, giro_u128 id)
{
    const struct giro_limits *expected = model_limits(model, id);
    struct giro_limits found;
    MUST(fixture_get_limits(fixture, &id, 1, &found) == (expected != NULL));
    MUST(expected == NULL || memcmp(expected, &found, sizeof found) == 0);
}

static void settlements_compare(const struct fixture *fixture)
{
    for (uint32_t i = 0; i < model->now.accounts_count; i++) {
        struct giro_settlement expected = {0};
        struct giro_settlement found = {0};
        giro_u128 id = model->now.accounts[i].id;
        MUST(fixture_settlement(fixture, id, &found) == model_settlement(model, id, &expected));
        MUST(memcmp(&found, &expected, sizeof found) == 0, "of account %u", i);
    }
}

/* A lease that is over may be forgotten as soon as there was another event of leases. */
static void leases_compare(const struct fixture *fixture)
{
    for (uint32_t i = 0; i < model->leases_count; i++) {
        const struct giro_lease *expected = &model->leases[i];
        struct giro_lease found;
        bool there = fixture_lease_of(fixture, expected->key, &found);
        MUST(there || expected->deadline <= model->lease_timestamp_last, "lease %u", i);
        MUST(!there || memcmp(&found, expected, sizeof found) == 0, "lease %u", i);
    }
}

static void schedules_compare(const struct fixture *fixture)
{
    MUST(fixture->ledger->schedules.count == model->schedules_count);
    for (uint32_t i = 0; i < model->schedules_count; i++) {
        struct giro_schedule found;
        MUST(fixture_schedule(fixture, model->schedules[i].id, &found));
        MUST(memcmp(&found, &model->schedules[i], sizeof found) == 0, "schedule %u", i);
    }
}

/* ---- Requests ---------------------------------------------------------------------------- */

static void accounts_request(struct fixture *fixture, const struct step *steps, uint32_t count)
{
    static struct giro_account events[EVENTS_MAX];
    uint32_t expected[EVENTS_MAX];
    for (uint32_t i = 0; i < count; i++)
        events[i] = step_account(&steps[i], fixture->ledger, fixture->clock_ns);
    model_create_accounts(model, events, count, fixture->clock_ns, expected);
    codes_compare(fixture_create_accounts(fixture, events, count), expected, count,
                  account_result_name);
}

static void transfers_request(struct fixture *fixture, const struct step *steps, uint32_t count)
{
    static struct giro_transfer events[EVENTS_MAX];
    uint32_t expected[EVENTS_MAX];
    giro_u128 ids[EVENTS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        events[i] = step_transfer(&steps[i], fixture->ledger, fixture->clock_ns);
        ids[i] = events[i].id;
    }
    const struct giro_fence fence = step_fence(&steps[0], fixture->ledger);
    fixture->fence = kind_of(&steps[0]) == STEP_FENCED ? &fence : NULL;
    model_create_fenced(model, fixture->fence, events, count, fixture->clock_ns, expected);
    codes_compare(fixture_create_transfers(fixture, events, count), expected, count,
                  transfer_result_name);
    fixture->fence = NULL;
    transfers_compare(fixture, ids, count);
    for (uint32_t i = 0; i < count; i++) {
        payment_compare(fixture, events[i].id);
        payment_compare(fixture, events[i].pending_id);
    }
}

static void limits_request(struct fixture *fixture, const struct step *steps, uint32_t count)
{
    static struct giro_limits events[EVENTS_MAX];
    uint32_t expected[EVENTS_MAX];
    for (uint32_t i = 0; i < count; i++)
        events[i] = step_limits(&steps[i]);
    model_set_limits(model, events, count, fixture->clock_ns, expected);
    codes_compare(fixture_set_limits(fixture, events, count), expected, count, limits_result_name);
    for (uint32_t i = 0; i < count; i++) {
        limits_compare(fixture, events[i].account_id);
        for (uint32_t n = 0; n < model->now.accounts_count && expected[i] == 0; n++)
            if (model->now.accounts[n].id == events[i].account_id && events[i].floor > floors[n])
                floors[n] = events[i].floor;
    }
}

static void cut_off_request(struct fixture *fixture, const struct step *steps, uint32_t count)
{
    static struct giro_cut_off events[EVENTS_MAX];
    uint32_t expected[EVENTS_MAX];
    for (uint32_t i = 0; i < count; i++)
        events[i] = step_cut_off(&steps[i], fixture->ledger);
    model_cut_off(model, events, count, fixture->clock_ns, expected);
    codes_compare(fixture_cut_off(fixture, events, count), expected, count, cut_off_result_name);
}

static void leases_request(struct fixture *fixture, const struct step *steps, uint32_t count)
{
    static struct giro_lease events[EVENTS_MAX];
    static struct giro_lease expected[EVENTS_MAX];
    uint64_t timestamp = fixture->clock_ns;
    for (uint32_t i = 0; i < count; i++)
        events[i] = step_lease(&steps[i], fixture->ledger);
    (void)fixture_lease(fixture, events, count);
    model_lease(model, events, count, timestamp, fixture->address_first, expected);
    for (uint32_t i = 0; i < count; i++)
        MUST(memcmp(&fixture->replies[i], &expected[i], sizeof expected[i]) == 0,
             "event %u of %u: %s, expected %s", i, count,
             giro_lease_result_name(fixture->replies[i].result),
             giro_lease_result_name(expected[i].result));
}

/* The table that there must be. */
static struct session sessions[SESSIONS_FEW];
static uint32_t sessions_count;

/* The row of a client, or that of the session whose last record is the oldest. */
static uint32_t session_row(giro_u128 client, uint32_t most)
{
    uint32_t row = 0;
    for (uint32_t i = 0; i < sessions_count; i++) {
        if (sessions[i].client == client)
            return i;
        row = sessions[i].address < sessions[row].address ? i : row;
    }
    return sessions_count < most ? sessions_count : row;
}

static void sessions_compare(const struct fixture *fixture)
{
    const struct sessions *table = &fixture->ledger->sessions;
    MUST(table->count == sessions_count);
    for (uint32_t i = 0; i < sessions_count; i++) {
        MUST(memcmp(&table->rows[i], &sessions[i], sizeof sessions[i]) == 0, "session %u", i);
        MUST(sessions_find(table, sessions[i].client) == i);
    }
}

static void session_request(struct fixture *fixture, const struct step *step)
{
    static struct session_result results[SESSION_EVENTS_MAX];
    const giro_u128 client = step_id((uint8_t)(1 + step->debit % CLIENTS));
    const uint32_t most = 1 + step->credit % SESSIONS_FEW;
    const struct sessions *table = &fixture->ledger->sessions;
    const uint32_t known = sessions_find(table, client);
    const uint32_t row = known != SESSIONS_NONE ? known : sessions_vacant(table, most);
    MUST(row == session_row(client, most));
    struct record_session record = {
        .client = client,
        .request = {.low = step->user_data, .high = step->flags},
        .timestamp_first = fixture->clock_ns,
        .release = step->ledger,
        .row = row,
        .timestamp = fixture->clock_ns,
    };
    if (known != SESSIONS_NONE) {
        record.number = table->rows[row].number;
        record.request_number = table->rows[row].request + 1 + step->timeout;
        record.event_count = step->amount % SESSION_EVENTS_MAX;
        record.result_count = record.event_count == 0 ? 0 : step->id % (record.event_count + 1u);
        record.timestamp += record.event_count == 0 ? 0 : record.event_count - 1;
    }
    fixture_session(fixture, &record, results);
    sessions_count += row == sessions_count;
    sessions[row] = (struct session){
        .client = client,
        .checksum = record.request,
        .number = known != SESSIONS_NONE ? record.number : fixture->address_first,
        .address = fixture->address_first,
        .timestamp_first = record.timestamp_first,
        .request = record.request_number,
        .release = record.release,
        .event_count = record.event_count,
        .result_count = record.result_count,
    };
    sessions_compare(fixture);
}

static void schedules_request(struct fixture *fixture, const struct step *steps, uint32_t count)
{
    static struct giro_schedule events[EVENTS_MAX];
    uint32_t expected[EVENTS_MAX];
    if (count > SCHEDULES_MAX)
        count = SCHEDULES_MAX;
    for (uint32_t i = 0; i < count; i++)
        events[i] = step_schedule(&steps[i], fixture->clock_ns);
    model_create_schedules(model, events, count, fixture->clock_ns, expected);
    codes_compare(fixture_create_schedules(fixture, events, count), expected, count,
                  schedule_result_name);
}

static void cancels_request(struct fixture *fixture, const struct step *steps, uint32_t count)
{
    giro_u128 ids[EVENTS_MAX];
    uint32_t expected[EVENTS_MAX];
    if (count > SCHEDULES_MAX)
        count = SCHEDULES_MAX;
    for (uint32_t i = 0; i < count; i++)
        ids[i] = step_id(steps[i].id);
    model_cancel_schedules(model, ids, count, fixture->clock_ns, expected);
    codes_compare(fixture_cancel_schedules(fixture, ids, count), expected, count,
                  schedule_result_name);
}

static void fire(struct fixture *fixture, const struct step *step)
{
    static struct giro_firing expected[LEDGER_FIRE_MAX];
    uint32_t count = model_fire(model, fixture->clock_ns, step->id % FIRE_MAX, expected);
    MUST(fixture_fire(fixture, step->id % FIRE_MAX) == count);
    for (uint32_t i = 0; i < count; i++) {
        MUST(memcmp(&fixture->firings[i], &expected[i], sizeof expected[i]) == 0, "attempt %u", i);
        transfers_compare(fixture, &expected[i].transfer_id, 1);
        payment_compare(fixture, expected[i].transfer_id);
    }
}

/* Seconds, or to the next deadline, or to just before it, or to the next schedule. */
static void clock_move(struct fixture *fixture, const struct step *step)
{
    const struct hold *next = holds_earliest(&fixture->ledger->holds);
    const struct deadline *due = deadlines_first(&fixture->ledger->schedules.deadlines);
    uint64_t to = fixture->clock_ns + step->amount * (GIRO_NS_PER_S / 4) + step->id;
    if (step->timeout % 4 == 1 && next != NULL)
        to = next->expires_at - step->id % 3;
    if (step->timeout % 4 == 3 && due != NULL)
        to = due->time - step->id % 3;
    if (to > fixture->clock_ns && to < GIRO_TIMESTAMP_MAX - STEPS_MAX)
        fixture->clock_ns = to;
}

static void between_requests(struct fixture *fixture, const struct step *step)
{
    switch (kind_of(step)) {
    case STEP_EXPIRE: {
        uint32_t max = step->id % 8;
        uint32_t expected = model_expire(model, fixture->clock_ns, max);
        MUST(fixture_expire(fixture, max) == expected);
        break;
    }
    case STEP_FIRE:
        fire(fixture, step);
        break;
    case STEP_CLOCK:
        clock_move(fixture, step);
        break;
    default:
        fixture_forget(fixture, step->id % 16);
    }
}

/* Runs the request that begins at a step. Returns how many steps it took. */
static uint32_t request_run(struct fixture *fixture, const struct step *steps, uint32_t left)
{
    enum step_kind kind = kind_of(&steps[0]);
    uint32_t count = 1;
    if (kind == STEP_EXPIRE || kind == STEP_CLOCK || kind == STEP_FORGET || kind == STEP_FIRE) {
        between_requests(fixture, &steps[0]);
        accounts_compare(fixture);
        schedules_compare(fixture);
        return 1;
    }
    while (count < left && count < EVENTS_MAX && kind_of(&steps[count]) == kind &&
           steps[count - 1].user_data >> 6 != 0)
        count++;
    if (kind == STEP_ACCOUNT)
        accounts_request(fixture, steps, count);
    else if (kind == STEP_LIMITS)
        limits_request(fixture, steps, count);
    else if (kind == STEP_CUT_OFF)
        cut_off_request(fixture, steps, count);
    else if (kind == STEP_LEASE)
        leases_request(fixture, steps, count);
    else if ((int)kind == STEP_SESSION)
        session_request(fixture, &steps[count - 1]);
    else if (kind == STEP_SCHEDULE)
        schedules_request(fixture, steps, count);
    else if (kind == STEP_CANCEL)
        cancels_request(fixture, steps, count);
    else
        transfers_request(fixture, steps, count);
    accounts_compare(fixture);
    leases_compare(fixture);
    schedules_compare(fixture);
    settlements_compare(fixture);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct step steps[STEPS_MAX];
    struct input input = {data, size};
    uint64_t options = input_number(&input, 1);
    size_t count = input.left / STEP_BYTES;
    const struct fixture_config config = {
        .clock_ns = (options & 1) != 0 ? CLOCK_LATE_NS : 0,
        .window_records = (options & 2) != 0 ? 1 << 6 : 1 << 10,
        .log_records = 1 << 10,
        .hash_seed = options,
    };
    struct fixture fixture;
    if (count > STEPS_MAX)
        count = STEPS_MAX;
    input_take(&input, steps, count * STEP_BYTES);
    model->now.accounts_count = 0;
    model->now.transfers_count = 0;
    model->epochs_count = 0;
    model->leases_count = 0;
    model->lease_timestamp_last = 0;
    model->schedules_count = 0;
    sessions_count = 0;
    memset(model->limits, 0, sizeof model->limits);
    memset(floors, 0, sizeof floors);
    fixture_init(&fixture, &config);
    fixture.forget_always = (options & 4) != 0;
    for (uint32_t at = 0; at < count;)
        at += request_run(&fixture, &steps[at], (uint32_t)count - at);
    for (uint32_t i = 0; i < model->now.accounts_count; i++)
        limits_compare(&fixture, model->now.accounts[i].id);
    fixture_check_replay(&fixture, (options & 8) != 0 ? 3 : UINT32_MAX);
    fixture_free(&fixture);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    return steps_mutate(data, size, size_max, seed);
}

/* ---- Start ------------------------------------------------------------------------------- */

/* Three accounts; a transfer; a hold that is posted, one that is voided, one that expires; a hold
 * that is raised, captured and released in parts; a return, pending, of a capture, and one of it;
 * limits, a capture of more than its hold, an account that is frozen. */
static const struct step sample_steps[] = {
    {.kind = STEP_ACCOUNT, .id = 1, .spoilt = 9, .user_data = 1 << 6},
    {.kind = STEP_ACCOUNT, .id = 2, .spoilt = 9, .user_data = 1 << 6},
    {.kind = STEP_ACCOUNT, .id = 3, .spoilt = 9, .flags = GIRO_ACCOUNT_HISTORY},
    {.id = 1, .debit = 1, .credit = 2, .amount = 60, .spoilt = 9, .flags = 1},
    {.id = 2, .debit = 2, .credit = 3, .amount = 9, .flags = GIRO_TRANSFER_PENDING},
    {.id = 3, .pending = 2, .amount = 240, .spoilt = 9, .flags = GIRO_TRANSFER_POST_PENDING},
    {.id = 4, .debit = 3, .credit = 1, .amount = 5, .flags = GIRO_TRANSFER_PENDING},
    {.id = 5, .pending = 4, .spoilt = 9, .flags = GIRO_TRANSFER_VOID_PENDING},
    {.id = 6, .debit = 1, .credit = 3, .timeout = 129, .flags = GIRO_TRANSFER_PENDING},
    {.kind = STEP_CLOCK, .timeout = 1},
    {.kind = STEP_EXPIRE, .id = 7},
    {.id = 7, .debit = 1, .credit = 3, .amount = 3, .spoilt = 9},
    {.id = 8, .debit = 1, .credit = 3, .amount = 30, .flags = GIRO_TRANSFER_PENDING},
    {.id = 9,
     .pending = 8,
     .amount = 5,
     .spoilt = 9,
     .flags = GIRO_TRANSFER_PENDING | GIRO_TRANSFER_ADJUST},
    {.id = 10,
     .pending = 8,
     .amount = 20,
     .spoilt = 9,
     .flags = GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_KEEP_OPEN},
    {.id = 11,
     .pending = 8,
     .amount = 4,
     .spoilt = 9,
     .flags = GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_KEEP_OPEN},
    {.id = 12,
     .pending = 10,
     .debit = 3,
     .credit = 1,
     .amount = 12,
     .flags = GIRO_TRANSFER_RETURN | GIRO_TRANSFER_PENDING},
    {.id = 13,
     .pending = 12,
     .amount = 13,
     .spoilt = 9,
     .flags = GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_FACT},
    {.id = 14,
     .pending = 13,
     .debit = 1,
     .credit = 3,
     .amount = 240,
     .flags = GIRO_TRANSFER_RETURN},
    {.kind = STEP_LIMITS,
     .id = 3,
     .debit = 255,
     .credit = 255,
     .pending = 255,
     .timeout = 250,
     .user_data = 1 << 6},
    {.kind = STEP_LIMITS, .id = 2, .debit = 40, .credit = 255, .pending = 20},
    {.id = 15, .debit = 1, .credit = 3, .amount = 30, .flags = GIRO_TRANSFER_PENDING},
    {.id = 16, .pending = 15, .amount = 40, .spoilt = 9, .flags = GIRO_TRANSFER_POST_PENDING},
    {.id = 17, .debit = 1, .credit = 2, .amount = 30},
    {.kind = STEP_LIMITS,
     .id = 3,
     .debit = 255,
     .credit = 255,
     .pending = 255,
     .flags = GIRO_LIMITS_FROZEN},
    {.id = 18, .debit = 1, .credit = 3, .amount = 1, .spoilt = 9},
    {.id = 19, .debit = 1, .credit = 3, .amount = 1, .flags = GIRO_TRANSFER_FACT},
};

/* Two accounts that settle and one that does not; cut-offs between a transfer, a part of a hold and a
 * chain that breaks; a retry of a cut-off. */
static const struct step cut_off_steps[] = {
    {.kind = STEP_ACCOUNT,
     .id = 1,
     .spoilt = 9,
     .user_data = 1 << 6,
     .flags = GIRO_ACCOUNT_SETTLES},
    {.kind = STEP_ACCOUNT,
     .id = 2,
     .spoilt = 9,
     .user_data = 1 << 6,
     .flags = GIRO_ACCOUNT_SETTLES},
    {.kind = STEP_ACCOUNT, .id = 3, .spoilt = 9},
    {.id = 1, .debit = 1, .credit = 2, .amount = 60, .spoilt = 9},
    {.id = 2, .debit = 2, .credit = 1, .amount = 30, .flags = GIRO_TRANSFER_PENDING},
    {.kind = STEP_CUT_OFF, .spoilt = 249},
    {.id = 3,
     .pending = 2,
     .amount = 5,
     .spoilt = 9,
     .flags = GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_KEEP_OPEN},
    {.kind = STEP_CUT_OFF, .spoilt = 249, .user_data = 1 << 6},
    {.kind = STEP_CUT_OFF, .spoilt = 249, .timeout = 1},
    {.id = 4,
     .debit = 1,
     .credit = 3,
     .amount = 8,
     .spoilt = 9,
     .user_data = 1 << 6,
     .flags = GIRO_TRANSFER_LINKED},
    {.id = 5, .debit = 1, .credit = 9, .amount = 8, .spoilt = 9},
    {.id = 6, .debit = 1, .credit = 3, .amount = 9, .spoilt = 9},
    {.kind = STEP_CUT_OFF, .spoilt = 249},
};

/* A lease that is renewed, lets a transfer pass and is released; schedules that make plain transfers and
 * holds, are refused and try again, and are cancelled. */
static const struct step object_steps[] = {
    {.kind = STEP_ACCOUNT, .id = 1, .spoilt = 9, .user_data = 1 << 6},
    {.kind = STEP_ACCOUNT, .id = 2, .spoilt = 9, .user_data = 1 << 6},
    {.kind = STEP_ACCOUNT,
     .id = 3,
     .spoilt = 9,
     .flags = GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS},
    {.kind = STEP_LEASE, .debit = 5, .timeout = 200, .spoilt = 9},
    {.kind = STEP_LEASE, .debit = 5, .code = 1, .timeout = 250, .spoilt = 9},
    {.kind = STEP_FENCED, .id = 1, .debit = 5, .credit = 2, .amount = 9, .spoilt = 9},
    {.kind = STEP_SCHEDULE,
     .id = 1,
     .debit = 1,
     .credit = 2,
     .amount = 5,
     .pending = 3,
     .code = 1,
     .timestamp = 64,
     .spoilt = 9,
     .user_data = 1 << 6},
    {.kind = STEP_SCHEDULE,
     .id = 3,
     .debit = 3,
     .credit = 2,
     .amount = 7,
     .pending = 2,
     .code = 1,
     .timeout = 3,
     .timestamp = 66,
     .spoilt = 9,
     .flags = GIRO_TRANSFER_PENDING},
    {.kind = STEP_FIRE, .id = 16},
    {.kind = STEP_CLOCK, .timeout = 3},
    {.kind = STEP_FIRE, .id = 16},
    {.id = 2, .debit = 1, .credit = 3, .amount = 60, .spoilt = 9},
    {.kind = STEP_CLOCK, .amount = 16},
    {.kind = STEP_FIRE, .id = 1},
    {.kind = STEP_FIRE, .id = 16},
    {.kind = STEP_CANCEL, .id = 1},
    {.kind = STEP_LEASE, .debit = 5, .code = 2, .spoilt = 9},
    {.kind = STEP_FIRE, .id = 16},
    {.kind = STEP_SESSION, .credit = 1},
    {.kind = STEP_SESSION, .debit = 1, .credit = 1},
    {.kind = STEP_SESSION, .credit = 1, .amount = 20, .id = 15},
    {.kind = STEP_SESSION, .debit = 2, .credit = 1},
    {.kind = STEP_SESSION, .debit = 2, .amount = 3},
};

static void samples_write(void)
{
    static uint8_t sample[1 + sizeof sample_steps];
    memcpy(sample + 1, sample_steps, sizeof sample_steps);
    fuzz_sample("holds", sample, sizeof sample);
    sample[0] = 7; /* late, small window, nothing in memory */
    fuzz_sample("holds_fetched", sample, sizeof sample);
    memcpy(sample + 1, cut_off_steps, sizeof cut_off_steps);
    fuzz_sample("cut_offs_fetched", sample, 1 + sizeof cut_off_steps);
    sample[0] = 0;
    fuzz_sample("cut_offs", sample, 1 + sizeof cut_off_steps);
    memcpy(sample + 1, object_steps, sizeof object_steps);
    fuzz_sample("schedules", sample, 1 + sizeof object_steps);
    sample[0] = 6;
    fuzz_sample("schedules_fetched", sample, 1 + sizeof object_steps);
    fuzz_samples_end();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    model = calloc(1, sizeof *model);
    MUST(model != NULL);
    if (fuzz_samples_wanted())
        samples_write();
    return 0;
}
