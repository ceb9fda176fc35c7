/* The engine against the model: the same random requests to both, and every reply and every balance
 * compared.
 *
 * Accounts and ids are few, so that events meet: duplicates, chains, holds that are posted, voided
 * or expire, limits, closed accounts, broken fields. Everything follows from one seed, which is
 * printed; GIRO_TEST_SEED repeats a run. */
#include "tests/ledger_fixture.h"
#include "tests/ledger_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REQUESTS = 1000, /* of one run */
    RUNS = 3,
    EVENTS_MAX = 24, /* of one request */
    HISTORY = 64,
    /* Accounts 1 to 7 are of ledger 1, 8 to 10 of ledger 2, 11 to 16 of ledger 3, which is for
     * amounts near 2^128. 17 and 18 are never there, 101 to 140 come later. */
    ACCOUNT_IDS = 16,
    ACCOUNT_IDS_MORE = 40,
};

#define SEED_DEFAULT 20200101ull
#define CLOCK_LATE_NS 5000000000000000000ull /* from here on a deadline can overflow */

/* A request that was sent, to be sent again. */
struct sent {
    struct giro_transfer events[EVENTS_MAX];
    uint32_t count;
};

struct run {
    struct fixture fixture;
    struct model *model;
    struct fixture_coverage *coverage;
    uint64_t random;
    uint64_t id_next;
    struct sent history[HISTORY];
    uint32_t sent_count;
    giro_u128 pending_ids[HISTORY]; /* of the latest pending transfers */
    uint32_t pending_count;
    uint32_t request; /* its number, for messages */
};

/* ---- Chance ------------------------------------------------------------------------------ */

static uint64_t random_next(struct run *run)
{
    uint64_t z = run->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static uint64_t below(struct run *run, uint64_t limit)
{
    return random_next(run) % limit;
}

static bool chance(struct run *run, uint32_t percent)
{
    return below(run, 100) < percent;
}

/* ---- Events ------------------------------------------------------------------------------ */

static giro_u128 id_of(uint64_t number)
{
    return number % 2 == 0 ? (giro_u128)number << 64 | number : number;
}

static giro_u128 transfer_id(struct run *run)
{
    if (chance(run, 1))
        return chance(run, 50) ? 0 : GIRO_U128_MAX;
    if (chance(run, 10))
        return id_of(1 + below(run, run->id_next));
    return id_of(run->id_next++);
}

static uint32_t ledger_of(uint64_t account_id)
{
    return account_id <= 7 ? 1 : account_id <= 10 ? 2 : 3;
}

static giro_u128 amount(struct run *run, uint32_t ledger)
{
    static const giro_u128 large[] = {
        GIRO_U128_MAX,
        GIRO_U128_MAX - 1,
        GIRO_U128_MAX - 2,
        GIRO_U128_MAX / 2,
        GIRO_U128_MAX / 2 + 1,
        GIRO_U128_MAX - 40,
        1,
        2,
        (giro_u128)UINT64_MAX,
        (giro_u128)UINT64_MAX + 1,
        0,
        3,
    };
    if (ledger == 3)
        return large[below(run, sizeof large / sizeof large[0])];
    return chance(run, 4) ? GIRO_U128_MAX : below(run, 50);
}

static void accounts_choose(struct run *run, struct giro_transfer *event)
{
    static const struct {
        uint32_t first;
        uint32_t count;
    } groups[] = {{1, 7}, {1, 7}, {1, 7}, {8, 3}, {8, 3}, {11, 6}};
    const struct model_state *state = &run->model->now;
    uint64_t newest = (uint64_t)state->accounts[state->accounts_count - 1].id;
    uint64_t group = below(run, 6);
    uint64_t debit = groups[group].first + below(run, groups[group].count);
    uint64_t credit = groups[group].first + below(run, groups[group].count);
    if (debit == credit && !chance(run, 3))
        credit = groups[group].first + (debit - groups[group].first + 1) % groups[group].count;
    event->ledger = ledger_of(debit);
    if (chance(run, 2))
        credit = 1 + below(run, ACCOUNT_IDS + 2);
    if (chance(run, 1))
        debit = ACCOUNT_IDS + 1;
    /* The newest account is of ledger 3, too; an imported transfer may be older. */
    if (event->ledger == 3 && chance(run, 30))
        *(chance(run, 50) ? &debit : &credit) = newest;
    event->debit_account_id = debit;
    event->credit_account_id = credit;
}

/* Plain, pending, balancing, closing. */
static void plain_choose(struct run *run, struct giro_transfer *event)
{
    accounts_choose(run, event);
    event->code = (uint16_t)(1 + below(run, 2));
    event->amount = amount(run, event->ledger);
    if (chance(run, 45)) {
        event->flags |= GIRO_TRANSFER_PENDING;
        if (chance(run, 60))
            event->timeout = (uint32_t)(1 + below(run, 3));
        if (chance(run, 3))
            event->timeout = UINT32_MAX;
        run->pending_ids[run->pending_count++ % HISTORY] = event->id;
    }
    if (chance(run, 8))
        event->flags |= GIRO_TRANSFER_BALANCING_DEBIT;
    if (chance(run, 8))
        event->flags |= GIRO_TRANSFER_BALANCING_CREDIT;
    /* Closing for good would soon stop everything. */
    if (event->timeout != 0 && event->timeout != UINT32_MAX && chance(run, 6))
        event->flags |=
            chance(run, 50) ? GIRO_TRANSFER_CLOSING_DEBIT : GIRO_TRANSFER_CLOSING_CREDIT;
}

/* Mostly one that is open; else one of late, whatever became of it. */
static giro_u128 pending_choose(struct run *run)
{
    const struct model *model = run->model;
    uint32_t count = model->now.transfers_count;
    uint32_t back = (uint32_t)below(run, 20);
    for (uint32_t i = count > back ? count - back : 0; i > 0 && chance(run, 95); i--) {
        if (model->now.status[i - 1] == MODEL_PENDING)
            return model->transfers[i - 1].id;
    }
    return run->pending_ids[below(run, HISTORY)];
}

static void resolve_choose(struct run *run, struct giro_transfer *event)
{
    bool voids = chance(run, 40);
    event->flags |= voids ? GIRO_TRANSFER_VOID_PENDING : GIRO_TRANSFER_POST_PENDING;
    event->pending_id = pending_choose(run);
    if (chance(run, 3))
        event->pending_id = transfer_id(run);
    event->amount = voids ? 0 : GIRO_U128_MAX;
    if (chance(run, 40))
        event->amount = below(run, 50);
    const struct giro_transfer *pending = model_transfer(run->model, event->pending_id);
    if (pending != NULL && chance(run, 20)) {
        event->debit_account_id = pending->debit_account_id;
        event->credit_account_id = pending->credit_account_id;
        event->ledger = pending->ledger;
        event->code = pending->code;
        event->amount = pending->amount;
    }
}

/* Breaks a rule that goes by one field. */
static void field_spoil(struct run *run, struct giro_transfer *event)
{
    switch (below(run, 16)) {
    case 0:
        event->flags ^= (uint16_t)(1u << below(run, 16));
        break;
    case 1:
        event->flags ^= (uint16_t)(1u << below(run, 9));
        break;
    case 2:
        event->timestamp = 1 + below(run, UINT64_MAX);
        break;
    case 3:
        event->debit_account_id = below(run, ACCOUNT_IDS + 3);
        break;
    case 4:
        event->credit_account_id = below(run, ACCOUNT_IDS + 3);
        break;
    case 5:
        event->debit_account_id = GIRO_U128_MAX;
        break;
    case 6:
        event->credit_account_id = GIRO_U128_MAX;
        break;
    case 7:
        event->amount++;
        break;
    case 8:
        event->pending_id = chance(run, 50) ? event->id : GIRO_U128_MAX;
        break;
    case 9:
        event->pending_id = 0;
        break;
    case 10:
        event->timeout++;
        break;
    case 11:
        event->ledger = (uint32_t)below(run, 4);
        break;
    case 12:
        event->code = (uint16_t)below(run, 3);
        break;
    case 13:
        event->user_data_128++;
        break;
    case 14:
        event->user_data_64++;
        break;
    default:
        event->user_data_32++;
    }
}

static void event_choose(struct run *run, struct giro_transfer *event)
{
    *event = (struct giro_transfer){.id = transfer_id(run)};
    if (chance(run, 30))
        resolve_choose(run, event);
    else
        plain_choose(run, event);
    if (chance(run, 20))
        event->user_data_128 = below(run, 3);
    if (chance(run, 20))
        event->user_data_64 = below(run, 3);
    if (chance(run, 20))
        event->user_data_32 = (uint32_t)below(run, 3);
    if (chance(run, 4))
        field_spoil(run, event);
    if (chance(run, 15))
        event->flags |= GIRO_TRANSFER_LINKED;
}

/* An event that was sent before, as it was or nearly so. */
static void event_repeat(struct run *run, struct giro_transfer *event)
{
    const struct sent *sent = &run->history[below(run, HISTORY)];
    if (sent->count == 0)
        return;
    *event = sent->events[below(run, sent->count)];
    if (chance(run, 50))
        field_spoil(run, event);
}

/* Turns a request into one that is imported, with timestamps that mostly fit. */
static void request_import(struct run *run, struct giro_transfer *events, uint32_t count)
{
    const struct ledger *ledger = run->fixture.ledger;
    uint64_t timestamp = chance(run, 50) ? ledger->timestamp_last : ledger->transfer_timestamp_last;
    run->fixture.clock_ns += 200;
    for (uint32_t i = 0; i < count; i++) {
        timestamp += 1 + below(run, 4);
        events[i].flags |= GIRO_TRANSFER_IMPORTED;
        events[i].timestamp = timestamp;
        if (!chance(run, 5))
            events[i].timeout = 0;
        if (chance(run, 3))
            events[i].timestamp -= below(run, 1000);
        if (chance(run, 1))
            events[i].timestamp = run->fixture.clock_ns;
        if (chance(run, 1))
            events[i].timestamp = below(run, 2) << 63;
        if (chance(run, 1))
            events[i].timestamp = run->model->now.accounts[0].timestamp;
        if (chance(run, 1))
            events[i].flags ^= GIRO_TRANSFER_IMPORTED;
    }
}

static uint32_t transfers_choose(struct run *run, struct giro_transfer *events)
{
    const struct sent *sent = &run->history[below(run, HISTORY)];
    if (sent->count != 0 && chance(run, 8)) {
        memcpy(events, sent->events, sizeof sent->events);
        return sent->count;
    }
    uint32_t count = 1 + (uint32_t)below(run, EVENTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        event_choose(run, &events[i]);
        if (chance(run, 5))
            event_repeat(run, &events[i]);
    }
    if (!chance(run, 5)) /* mostly the last chain ends */
        events[count - 1].flags &= (uint16_t)~GIRO_TRANSFER_LINKED;
    if (chance(run, 12))
        request_import(run, events, count);
    struct sent *slot = &run->history[run->sent_count++ % HISTORY];
    memcpy(slot->events, events, count * sizeof *events);
    slot->count = count;
    return count;
}

static void account_spoil(struct run *run, struct giro_account *event)
{
    giro_u128 *const balances[] = {&event->debits_pending, &event->debits_posted,
                                   &event->credits_pending, &event->credits_posted};
    switch (below(run, 11)) {
    case 0:
        event->reserved = 1;
        break;
    case 1:
        event->flags ^= (uint16_t)(1u << below(run, 16));
        break;
    case 2:
        event->id = chance(run, 50) ? 0 : GIRO_U128_MAX;
        break;
    case 3:
        event->ledger = 0;
        break;
    case 4:
        event->code = 0;
        break;
    case 5:
        event->timestamp = 1 + below(run, 9);
        break;
    case 6:
        event->user_data_64 = 1;
        break;
    default:
        *balances[below(run, 4)] = 1;
    }
}

/* An account's fields follow from its id, so that repeating it answers exists. */
static struct giro_account account_of(uint64_t id)
{
    static const uint16_t flags[] = {0,
                                     0,
                                     GIRO_ACCOUNT_HISTORY,
                                     GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS,
                                     0,
                                     GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS,
                                     0};
    return (struct giro_account){
        .id = id,
        .ledger = ledger_of(id),
        .code = 1,
        .flags = flags[id % 7],
        .user_data_128 = id % 2,
        .user_data_32 = (uint32_t)(id % 3),
    };
}

static uint32_t accounts_choose_events(struct run *run, struct giro_account *events)
{
    uint32_t count = 1 + (uint32_t)below(run, 6);
    bool imported = chance(run, 20);
    uint64_t timestamp = run->fixture.ledger->timestamp_last;
    if (imported)
        run->fixture.clock_ns += 200;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id =
            chance(run, 50) ? 1 + below(run, ACCOUNT_IDS) : 101 + below(run, ACCOUNT_IDS_MORE);
        events[i] = account_of(id);
        if (imported) {
            timestamp += below(run, 4);
            events[i].flags |= GIRO_ACCOUNT_IMPORTED;
            events[i].timestamp = chance(run, 5) ? run->fixture.clock_ns : timestamp;
            if (chance(run, 5))
                events[i].timestamp = below(run, 2) << 63;
        }
        if (chance(run, 20))
            account_spoil(run, &events[i]);
        if (chance(run, 3))
            events[i].user_data_128++;
        if (chance(run, 3))
            events[i].user_data_32++;
        if (chance(run, 3))
            events[i].ledger++;
        if (chance(run, 3))
            events[i].code++;
        if (chance(run, 2))
            events[i].flags |= GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS |
                               GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS;
        if (chance(run, 1))
            events[i].flags ^= GIRO_ACCOUNT_IMPORTED;
        if (chance(run, 30))
            events[i].flags |= GIRO_ACCOUNT_LINKED;
    }
    return count;
}

/* ---- Comparing --------------------------------------------------------------------------- */

static void accounts_compare(const struct run *run)
{
    const struct accounts *accounts = &run->fixture.ledger->accounts;
    const struct model_state *expected = &run->model->now;
    cr_assert(accounts->count == expected->accounts_count, "request %u: %u accounts, expected %u",
              run->request, accounts->count, expected->accounts_count);
    for (uint32_t i = 0; i < accounts->count; i++) {
        struct giro_account found;
        cr_assert(memcmp(&accounts->rows[i], &expected->accounts[i], sizeof found) == 0,
                  "request %u: account %lu differs", run->request,
                  (uint64_t)expected->accounts[i].id);
        cr_assert(fixture_account(&run->fixture, expected->accounts[i].id, &found));
        cr_assert(memcmp(&found, &expected->accounts[i], sizeof found) == 0);
    }
}

static void transfers_compare(struct run *run, const giro_u128 *ids, uint32_t count)
{
    struct giro_transfer found[EVENTS_MAX];
    cr_assert(count <= EVENTS_MAX);
    uint32_t found_count = fixture_lookup_transfers(&run->fixture, ids, count, found);
    uint32_t expected_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_transfer *expected = model_transfer(run->model, ids[i]);
        if (expected == NULL)
            continue;
        cr_assert(expected_count < found_count, "request %u: a transfer is missing", run->request);
        cr_assert(memcmp(expected, &found[expected_count], sizeof *expected) == 0,
                  "request %u: transfer of event %u differs", run->request, i);
        expected_count++;
    }
    cr_assert(found_count == expected_count, "request %u: found what is not there", run->request);
}

static void request_accounts(struct run *run)
{
    struct giro_account events[EVENTS_MAX];
    uint32_t expected[EVENTS_MAX];
    uint32_t count = accounts_choose_events(run, events);
    model_create_accounts(run->model, events, count, run->fixture.clock_ns, expected);
    const uint32_t *codes = fixture_create_accounts(&run->fixture, events, count);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert(codes[i] == expected[i], "request %u, account event %u: expected %s, got %s",
                  run->request, i, giro_account_result_name(expected[i]),
                  giro_account_result_name(codes[i]));
        run->coverage->account[codes[i]]++;
    }
}

/* The accounts that transfers are about, but for one that may come later, or not. */
static void accounts_begin(struct run *run)
{
    struct giro_account events[ACCOUNT_IDS];
    uint32_t codes[ACCOUNT_IDS];
    uint32_t count = 0;
    uint64_t late = 1 + below(run, ACCOUNT_IDS);
    for (uint64_t id = 1; id <= ACCOUNT_IDS; id++) {
        if (id != late)
            events[count++] = account_of(id);
    }
    model_create_accounts(run->model, events, count, run->fixture.clock_ns, codes);
    fixture_create_accounts(&run->fixture, events, count);
    accounts_compare(run);
}

static void request_transfers(struct run *run)
{
    struct giro_transfer events[EVENTS_MAX];
    giro_u128 ids[EVENTS_MAX];
    uint32_t expected[EVENTS_MAX];
    uint32_t count = transfers_choose(run, events);
    model_create_transfers(run->model, events, count, run->fixture.clock_ns, expected);
    const uint32_t *codes = fixture_create_transfers(&run->fixture, events, count);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert(codes[i] == expected[i], "request %u, transfer event %u: expected %s, got %s",
                  run->request, i, giro_transfer_result_name(expected[i]),
                  giro_transfer_result_name(codes[i]));
        run->coverage->transfer[codes[i]]++;
        ids[i] = events[i].id;
    }
    transfers_compare(run, ids, count);
}

static void request_expire(struct run *run)
{
    uint32_t max = chance(run, 30) ? (uint32_t)below(run, 4) : EVENTS_MAX;
    uint32_t expected = model_expire(run->model, run->fixture.clock_ns, max);
    uint32_t released = fixture_expire(&run->fixture, max);
    cr_assert(released == expected, "request %u: expected %u to expire, got %u", run->request,
              expected, released);
}

/* Now and then a while passes, or just as much as the next deadline needs, or one less. */
static void clock_move(struct run *run)
{
    uint64_t *clock_ns = &run->fixture.clock_ns;
    const struct hold *next = holds_earliest(&run->fixture.ledger->holds);
    if (chance(run, 30))
        *clock_ns += below(run, 1000000);
    if (chance(run, 10))
        *clock_ns += below(run, 1500 * 1000000ull);
    if (next != NULL && next->expires_at > *clock_ns + 30 && chance(run, 10))
        *clock_ns = next->expires_at - below(run, 3);
}

static void request_run(struct run *run)
{
    clock_move(run);
    if (chance(run, 15))
        request_expire(run);
    else if (chance(run, 12))
        request_accounts(run);
    else
        request_transfers(run);
    accounts_compare(run);
}

static void all_transfers_compare(struct run *run)
{
    giro_u128 ids[EVENTS_MAX];
    uint32_t count = 0;
    for (uint64_t number = 0; number <= run->id_next; number++) {
        ids[count++] = id_of(number);
        if (count == EVENTS_MAX || number == run->id_next) {
            transfers_compare(run, ids, count);
            count = 0;
        }
    }
}

static uint64_t seed_choose(void)
{
    const char *text = getenv("GIRO_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : SEED_DEFAULT;
    fprintf(stderr, "GIRO_TEST_SEED=%lu\n", seed);
    return seed;
}

/* kept_max: how many records at most stay in memory now and then, 0: all always do. Returns how
 * many were fetched. */
static uint64_t run_once(uint64_t seed, uint64_t clock_ns, uint32_t kept_max,
                         struct fixture_coverage *coverage)
{
    struct fixture_config config = {
        .clock_ns = clock_ns,
        .window_records = kept_max != 0 ? 1 << 9 : 0,
        .hash_seed = seed,
    };
    struct run *run = calloc(1, sizeof *run);
    cr_assert(run != NULL);
    run->model = calloc(1, sizeof *run->model);
    cr_assert(run->model != NULL);
    run->random = seed;
    run->id_next = 1;
    run->coverage = coverage;
    fixture_init(&run->fixture, &config);
    accounts_begin(run);
    for (run->request = 0; run->request < REQUESTS; run->request++) {
        if (kept_max != 0 && chance(run, 50))
            fixture_forget(&run->fixture, below(run, kept_max));
        request_run(run);
    }
    all_transfers_compare(run);
    fixture_check_replay(&run->fixture, UINT32_MAX);
    fixture_check_replay(&run->fixture, 7);
    uint64_t fetched = run->fixture.fetched_count;
    fixture_free(&run->fixture);
    free(run->model);
    free(run);
    return fetched;
}

/* ---- The tests --------------------------------------------------------------------------- */

#define CODE_COUNT(name, code, text)                                                               \
    fprintf(stderr, "%9u %s\n", counts[code], text);                                               \
    missed += counts[code] == 0;

static uint32_t accounts_missed(const uint32_t *counts)
{
    uint32_t missed = 0;
    fprintf(stderr, "accounts:\n");
    GIRO_ACCOUNT_RESULTS(CODE_COUNT)
    return missed;
}

static uint32_t transfers_missed(const uint32_t *counts)
{
    uint32_t missed = 0;
    fprintf(stderr, "transfers:\n");
    GIRO_TRANSFER_RESULTS(CODE_COUNT)
    return missed;
}

#undef CODE_COUNT

Test(ledger_model, agrees_on_random_requests)
{
    struct fixture_coverage coverage = {0};
    uint64_t seed = seed_choose();
    for (uint64_t i = 0; i < RUNS; i++) {
        run_once(seed + 2 * i, 0, 0, &coverage);
        run_once(seed + 2 * i + 1, CLOCK_LATE_NS, 0, &coverage);
    }
    cr_assert(accounts_missed(coverage.account) <= 4);
    cr_assert(transfers_missed(coverage.transfer) <= 4);
}

Test(ledger_model, agrees_when_old_records_are_fetched)
{
    struct fixture_coverage coverage = {0};
    uint64_t seed = seed_choose();
    for (uint32_t i = 0; i < RUNS; i++) {
        uint64_t fetched = run_once(seed + i, 0, 1 + 20 * i, &coverage);
        cr_assert(fetched > REQUESTS, "only %lu records were fetched", fetched);
    }
}
