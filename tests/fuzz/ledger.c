/* Fuzzes the ledger against the model: any sequence of requests of accounts, transfers and limits,
 * expiries, jumps of the clock and records that leave the memory.
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
    EVENTS_MAX = 40, /* of one request */
    LEDGERS = 3,
};

#define CLOCK_LATE_NS 5000000000000000000ull /* from here on a deadline can overflow */

static struct model *model;
static giro_u128 floors[MODEL_ACCOUNTS_MAX]; /* the largest that an account ever had */

/* Most are transfers. */
static enum step_kind kind_of(const struct step *step)
{
    uint8_t kind = step->kind % 16;
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
    model_create_transfers(model, events, count, fixture->clock_ns, expected);
    codes_compare(fixture_create_transfers(fixture, events, count), expected, count,
                  transfer_result_name);
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

/* Seconds, or to the next deadline, or to just before it. */
static void clock_move(struct fixture *fixture, const struct step *step)
{
    const struct hold *next = holds_earliest(&fixture->ledger->holds);
    uint64_t to = fixture->clock_ns + step->amount * (GIRO_NS_PER_S / 4) + step->id;
    if (step->timeout % 2 == 1 && next != NULL)
        to = next->expires_at - step->id % 3;
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
    if (kind != STEP_ACCOUNT && kind != STEP_TRANSFER && kind != STEP_LIMITS) {
        between_requests(fixture, &steps[0]);
        return 1;
    }
    while (count < left && count < EVENTS_MAX && kind_of(&steps[count]) == kind &&
           steps[count - 1].user_data >> 6 != 0)
        count++;
    if (kind == STEP_ACCOUNT)
        accounts_request(fixture, steps, count);
    else if (kind == STEP_LIMITS)
        limits_request(fixture, steps, count);
    else
        transfers_request(fixture, steps, count);
    accounts_compare(fixture);
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

static void samples_write(void)
{
    static uint8_t sample[1 + sizeof sample_steps];
    memcpy(sample + 1, sample_steps, sizeof sample_steps);
    fuzz_sample("holds", sample, sizeof sample);
    sample[0] = 7; /* late, small window, nothing in memory */
    fuzz_sample("holds_fetched", sample, sizeof sample);
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
