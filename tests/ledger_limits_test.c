/* Limits of accounts: rows that are set at run time, and what transfers make of them. One event a
 * row; the language is described in tests/ledger_fixture.h.
 *
 * Every table was worked out by hand and runs twice, in a ledger of its own whose log is replayed at
 * the end, and in the model, which the random tests compare the ledger with. */
#include "tests/ledger_fixture.h"
#include "tests/ledger_random.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_of_limits(uint32_t code)
{
    return code == GIRO_TRANSFER_ACCOUNT_BLOCKED || code == GIRO_TRANSFER_EXCEEDS_MAX_BALANCE ||
           code == GIRO_TRANSFER_OVER_CAPTURE_NOT_ALLOWED ||
           code == GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER;
}

/* ---- The model on random requests -------------------------------------------------------- */

enum { REQUESTS = 1000, RUNS = 6, MARKS = 5 };

struct random_run {
    struct ledger_random random;
    struct model model;
    struct fixture_coverage coverage;
    uint32_t marks[MARKS];
    uint32_t events;
};

/* Whether an account is within its limits of this moment, worked out from its balances alone. */
static bool is_within(const struct model *model, const struct giro_account *account)
{
    static const struct giro_limits none = {0};
    const struct giro_limits *limits = model_limits(model, account->id);
    giro_u128 debits = account->debits_posted + account->debits_pending;
    giro_u128 credits = account->credits_posted + account->credits_pending;
    bool debit_side = (account->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0;
    bool guarded =
        debit_side || (account->flags & GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS) != 0;
    giro_u128 grows = debit_side ? debits : credits;
    giro_u128 grows_posted = debit_side ? account->debits_posted : account->credits_posted;
    giro_u128 falls = debit_side ? credits : debits;
    giro_u128 falls_posted = debit_side ? account->credits_posted : account->debits_posted;
    if (limits == NULL)
        limits = &none;
    if (guarded && falls > grows_posted && falls - grows_posted > limits->floor)
        return false;
    return limits->balance_max == 0 || grows <= falls_posted ||
           grows - falls_posted <= limits->balance_max;
}

/* Nothing but a fact takes an account beyond its limits. */
static void random_transfers(struct random_run *run)
{
    struct giro_transfer events[LEDGER_RANDOM_EVENTS];
    uint32_t codes[LEDGER_RANDOM_EVENTS];
    bool within[MODEL_ACCOUNTS_MAX];
    bool facts = false;
    const struct model_state *now = &run->model.now;
    uint32_t first = now->transfers_count;
    for (uint32_t i = 0; i < now->accounts_count; i++)
        within[i] = is_within(&run->model, &now->accounts[i]);
    uint32_t count = ledger_random_transfers(&run->random, events);
    model_create_transfers(&run->model, events, count, run->random.clock_ns, codes);
    for (uint32_t i = 0; i < count; i++) {
        run->coverage.transfer[codes[i]]++;
        facts |= codes[i] == 0 && (events[i].flags & GIRO_TRANSFER_FACT) != 0;
    }
    run->events += count;
    for (uint32_t i = first; i < now->transfers_count; i++) {
        for (uint32_t bit = 0; bit < MARKS; bit++)
            run->marks[bit] += now->notes[i].marks >> bit & 1;
    }
    for (uint32_t i = 0; i < now->accounts_count && !facts; i++)
        cr_assert(!within[i] || is_within(&run->model, &now->accounts[i]), "account %lu",
                  (uint64_t)now->accounts[i].id);
}

static void random_limits(struct random_run *run)
{
    struct giro_limits events[LEDGER_RANDOM_EVENTS];
    uint32_t codes[LEDGER_RANDOM_EVENTS];
    uint32_t count = ledger_random_limits(&run->random, events);
    model_set_limits(&run->model, events, count, run->random.clock_ns, codes);
    for (uint32_t i = 0; i < count; i++)
        run->coverage.limits[codes[i]]++;
}

static void random_run(struct random_run *run, uint64_t seed, bool limited)
{
    struct giro_account accounts[LEDGER_RANDOM_EVENTS];
    uint32_t codes[LEDGER_RANDOM_EVENTS];
    struct ledger_random *random = &run->random;
    memset(&run->model, 0, sizeof run->model);
    *random = (struct ledger_random){.state = seed, .id_next = 1, .model = &run->model};
    random->clock_ns = FIXTURE_CLOCK_NS;
    uint32_t count = ledger_random_first_accounts(random, accounts);
    model_create_accounts(&run->model, accounts, count, random->clock_ns, codes);
    for (uint32_t request = 0; request < REQUESTS; request++) {
        random->clock_ns += 1000 + ledger_random_below(random, 100 * 1000000ull);
        random->timestamp_last = random->clock_ns - 500;
        random->transfer_timestamp_last = random->clock_ns - 500;
        (void)model_expire(&run->model, random->clock_ns, (uint32_t)ledger_random_below(random, 4));
        if (limited && ledger_random_below(random, 100) < 9)
            random_limits(run);
        else
            random_transfers(run);
    }
}

#define CODE_IS_SEEN(name, code, text)                                                             \
    cr_assert(run->coverage.limits[code] != 0, "no event answers %s", text);

/* Each is met often enough to be compared, and the rest goes on. */
Test(ledger_limits_model, meets_limits_on_random_requests)
{
    struct random_run *run = calloc(1, sizeof *run);
    cr_assert(run != NULL);
    for (uint64_t i = 0; i < RUNS; i++)
        random_run(run, 1 + i, false);
    uint32_t created = run->coverage.transfer[0] * 100 / run->events;
    *run = (struct random_run){0};
    for (uint64_t i = 0; i < RUNS; i++)
        random_run(run, 1 + i, true);
    uint32_t created_limited = run->coverage.transfer[0] * 100 / run->events;
    fprintf(stderr, "%u events, %u%% created, %u%% without limits\n", run->events, created_limited,
            created);
    for (uint32_t code = GIRO_TRANSFER_ACCOUNT_BLOCKED; code <= GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER;
         code++) {
        fprintf(stderr, "%9u %s\n", run->coverage.transfer[code], giro_transfer_result_name(code));
        cr_assert(!is_of_limits(code) || run->coverage.transfer[code] >= 20);
    }
    for (uint32_t bit = 0; bit < MARKS; bit++) {
        fprintf(stderr, "%9u mark %u\n", run->marks[bit], 1u << bit);
        cr_assert(run->marks[bit] >= 10);
    }
    cr_assert(created_limited * 4 >= created * 3);
    GIRO_LIMITS_RESULTS(CODE_IS_SEEN)
    free(run);
}

#undef CODE_IS_SEEN
