/* Replay beside execution: a ledger without ids that only follows, what every record does to it,
 * digest records, copies and restored states. Random requests run through the engine, the model and
 * the replica; their sums are the test's own. */
#include "tests/ledger_fixture.h"
#include "tests/ledger_model.h"
#include "tests/scratch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    EVENTS_MAX = 420, /* more than three chunks: a request may be undone in its middle */
    ACCOUNTS = 20,    /* that there are at first; the last one has no id that anybody knows */
    RECENT = 64,
};

#define SEED_DEFAULT 1848ull

struct run {
    struct fixture fixture;
    struct model *model;
    struct rng rng;
    uint64_t id_next;
    giro_u128 recent[RECENT]; /* ids of pending transfers */
    uint32_t recent_count;
    uint64_t sent_count; /* transfers */

    struct ledger *replica;
    struct giro_account rows[MODEL_ACCOUNTS_MAX]; /* as the records say */
    uint32_t row_count;
    uint32_t request;
    uint32_t digests;
    bool calm; /* old records are hardly ever needed */
    uint64_t undone;
};

static struct ledger *ledger_make(const struct run *run, uint32_t accounts, uint32_t holds,
                                  uint64_t transfers)
{
    const struct ledger_config config = {.accounts_max = accounts,
                                         .holds_max = holds,
                                         .transfers_max = transfers,
                                         .hash_seed = run->fixture.hash_seed};
    struct ledger *ledger;
    cr_assert_eq(ledger_create(&config, &ledger), 0);
    return ledger;
}

static struct run *run_open(uint64_t seed, uint64_t window_records)
{
    const struct fixture_config config = {.window_records = window_records, .hash_seed = seed};
    struct run *run = calloc(1, sizeof *run);
    cr_assert(run != NULL);
    run->model = calloc(1, sizeof *run->model);
    cr_assert(run->model != NULL);
    run->rng = (struct rng){seed};
    run->id_next = 1;
    fixture_init(&run->fixture, &config);
    run->replica = ledger_make(run, 64, 1 << 12, 0);
    return run;
}

static void run_close(struct run *run)
{
    ledger_destroy(run->replica);
    fixture_free(&run->fixture);
    free(run->model);
    free(run);
}

static uint32_t below(struct run *run, uint32_t limit)
{
    return rng_below(&run->rng, limit);
}

static bool chance(struct run *run, uint32_t percent)
{
    return rng_chance(&run->rng, percent);
}

/* ---- Following --------------------------------------------------------------------------- */

static struct giro_account *row_find(struct run *run, giro_u128 id)
{
    for (uint32_t i = 0; i < run->row_count; i++) {
        if (run->rows[i].id == id)
            return &run->rows[i];
    }
    return NULL;
}

/* What a record does, from the record and the pending transfer that it names. Returns what leaves
 * pending. */
static giro_u128 rows_follow(struct run *run, const union record *record)
{
    const struct giro_transfer *transfer = &record->transfer;
    if (record_kind(record) == RECORD_ACCOUNT) {
        struct giro_account *row = &run->rows[run->row_count++];
        *row = record->account;
        row->flags &= RECORD_FLAGS_MASK;
        return 0;
    }
    if (!record_moves(record))
        return 0;
    struct giro_account *debit = row_find(run, transfer->debit_account_id);
    struct giro_account *credit = row_find(run, transfer->credit_account_id);
    const struct giro_transfer *pending =
        transfer->pending_id != 0 ? model_transfer(run->model, transfer->pending_id) : NULL;
    bool opens = (transfer->flags & GIRO_TRANSFER_PENDING) != 0;
    bool releases =
        record_kind(record) == RECORD_SYSTEM || (transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0;
    uint16_t closing = opens ? transfer->flags : pending != NULL ? pending->flags : 0;
    if (pending != NULL) {
        debit->debits_pending -= pending->amount;
        credit->credits_pending -= pending->amount;
    }
    if (opens) {
        debit->debits_pending += transfer->amount;
        credit->credits_pending += transfer->amount;
    } else if (!releases) {
        debit->debits_posted += transfer->amount;
        credit->credits_posted += transfer->amount;
    }
    if (opens || releases) {
        uint16_t closed = opens ? GIRO_ACCOUNT_CLOSED : 0;
        if ((closing & GIRO_TRANSFER_CLOSING_DEBIT) != 0)
            debit->flags = (uint16_t)((debit->flags & ~GIRO_ACCOUNT_CLOSED) | closed);
        if ((closing & GIRO_TRANSFER_CLOSING_CREDIT) != 0)
            credit->flags = (uint16_t)((credit->flags & ~GIRO_ACCOUNT_CLOSED) | closed);
    }
    return pending != NULL ? pending->amount : 0;
}

static void balances_check(const struct run *run, const struct giro_balances *balances,
                           const struct giro_account *row, const char *side)
{
    cr_assert(memcmp(balances, &row->debits_pending, sizeof *balances) == 0,
              "request %u: balances of the %s account", run->request, side);
}

static void effect_check(struct run *run, const union record *record,
                         const struct ledger_effect *effect)
{
    giro_u128 released = rows_follow(run, record);
    cr_assert(effect->released == released, "request %u: released", run->request);
    if (record_kind(record) == RECORD_ACCOUNT) {
        cr_assert_eq(effect->debit_row, run->row_count - 1);
    } else if (record_moves(record)) {
        const struct giro_account *debit = row_find(run, record->transfer.debit_account_id);
        const struct giro_account *credit = row_find(run, record->transfer.credit_account_id);
        cr_assert_eq(effect->debit_row, (uint32_t)(debit - run->rows));
        cr_assert_eq(effect->credit_row, (uint32_t)(credit - run->rows));
        balances_check(run, &effect->debit, debit, "debit");
        balances_check(run, &effect->credit, credit, "credit");
    } else {
        cr_assert_eq(effect->debit_row, ACCOUNTS_NONE);
        cr_assert_eq(effect->credit_row, ACCOUNTS_NONE);
    }
}

/* Before they are applied, the rows that records are about to change are known. */
static void prepared_check(const struct run *run, const union record *records, uint32_t count)
{
    const struct ledger *replica = run->replica;
    for (uint32_t i = 0; i < count; i++) {
        if (!record_moves(&records[i]))
            continue;
        uint32_t debit = replica->events[i].debit_row;
        uint32_t credit = replica->events[i].credit_row;
        cr_assert(debit < replica->accounts.count && credit < replica->accounts.count);
        cr_assert(replica->accounts.rows[debit].id == records[i].transfer.debit_account_id);
        cr_assert(replica->accounts.rows[credit].id == records[i].transfer.credit_account_id);
    }
}

static void records_follow(struct run *run, const union record *records, uint32_t count,
                           uint64_t address)
{
    struct ledger_effect effects[LEDGER_CHUNK_EVENTS];
    uint32_t failed = 0;
    for (uint32_t done = 0, prepared; done < count; done += prepared) {
        uint32_t given = chance(run, 30) ? 1 + below(run, count - done) : count - done;
        prepared = ledger_replay_prepare(run->replica, &records[done], given);
        cr_assert(prepared > 0 && prepared <= given && prepared <= LEDGER_CHUNK_EVENTS);
        prepared_check(run, &records[done], prepared);
        cr_assert_eq(ledger_replay_apply(run->replica, &records[done], prepared, address + done,
                                         effects, &failed),
                     0, "request %u, record %u", run->request, done + failed);
        for (uint32_t i = 0; i < prepared; i++)
            effect_check(run, &records[done + i], &effects[i]);
    }
}

/* What requests wrote from an address on, and a digest record behind it. Returns how many. */
static uint32_t records_collect(struct run *run, uint64_t *address, uint32_t rows_max,
                                union record *records)
{
    const struct fixture *fixture = &run->fixture;
    while (*address < fixture->address_next && fixture->log[*address].transfer.timestamp == 0)
        (*address)++; /* a header, or the end of the ring */
    uint32_t count = (uint32_t)(fixture->address_next - *address);
    memcpy(records, &fixture->log[*address], count * sizeof records[0]);
    ledger_digest_record(fixture->ledger, rows_max, fixture->clock_ns, &records[count].digest);
    return count + 1;
}

static void request_follow(struct run *run, uint64_t address)
{
    static union record records[EVENTS_MAX + 1];
    const struct fixture *fixture = &run->fixture;
    uint32_t count = records_collect(run, &address, 1 + below(run, 30), records);
    records_follow(run, records, count, address);
    run->digests++;
    cr_assert_eq(run->replica->digests_checked, run->digests);
    cr_assert_eq(run->replica->digests_failed, 0, "request %u: the digest differs", run->request);
    const struct model_state *expected = &run->model->now;
    size_t bytes = expected->accounts_count * sizeof run->rows[0];
    cr_assert(memcmp(run->rows, expected->accounts, bytes) == 0, "request %u", run->request);
    cr_assert(memcmp(run->replica->accounts.rows, expected->accounts, bytes) == 0, "request %u",
              run->request);
    cr_assert(checksum_equal(ledger_digest(run->replica), ledger_digest(fixture->ledger)),
              "request %u", run->request);
    cr_assert_eq(run->replica->transfers.count, 0);
}

/* ---- Random requests --------------------------------------------------------------------- */

static giro_u128 transfer_id(struct run *run)
{
    uint64_t number = run->id_next;
    if (below(run, 1000) < (run->calm ? 4 : 60) && number > 1)
        number = 1 + below(run, (uint32_t)number);
    else
        run->id_next++;
    return (giro_u128)(number % 3) << 90 | number;
}

/* Accounts 1 to 12 are of ledger 1, the rest of ledger 2; some have limits. */
static struct giro_account account_of(uint32_t id)
{
    static const uint16_t flags[] = {0, GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS, 0,
                                     GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS,
                                     GIRO_ACCOUNT_HISTORY};
    return (struct giro_account){
        .id = id, .ledger = id <= 12 ? 1 : 2, .code = 1, .flags = flags[id % 5]};
}

static void plain_choose(struct run *run, struct giro_transfer *event)
{
    bool first = chance(run, 60);
    uint32_t debit = first ? 1 + below(run, 12) : 13 + below(run, ACCOUNTS - 12);
    uint32_t credit = first ? 1 + below(run, 12) : 13 + below(run, ACCOUNTS - 12);
    event->debit_account_id = debit;
    event->credit_account_id = credit;
    event->ledger = first ? 1 : 2;
    event->code = 1;
    event->amount = chance(run, 5) ? GIRO_U128_MAX : below(run, 60);
    if (chance(run, 10))
        event->flags |= GIRO_TRANSFER_BALANCING_DEBIT;
    if (chance(run, 10))
        event->flags |= GIRO_TRANSFER_BALANCING_CREDIT;
    if (!chance(run, 35))
        return;
    event->flags |= GIRO_TRANSFER_PENDING;
    if (chance(run, 50))
        event->timeout = 1 + below(run, 3);
    if (chance(run, 4))
        event->flags |= GIRO_TRANSFER_CLOSING_DEBIT;
    if (chance(run, 4))
        event->flags |= GIRO_TRANSFER_CLOSING_CREDIT;
    run->recent[run->recent_count++ % RECENT] = event->id;
}

/* A pending transfer, open or not. */
static giro_u128 pending_choose(struct run *run)
{
    const struct holds *holds = &run->fixture.ledger->holds;
    if (!run->calm || holds->slots_used == 0)
        return run->recent[below(run, RECENT)];
    return holds->slots[below(run, holds->slots_used)].record.id;
}

static void event_choose(struct run *run, struct giro_transfer *event)
{
    *event = (struct giro_transfer){.id = transfer_id(run), .user_data_64 = below(run, 3)};
    if (chance(run, 30)) {
        event->pending_id = pending_choose(run);
        event->flags = chance(run, 60) ? GIRO_TRANSFER_POST_PENDING : GIRO_TRANSFER_VOID_PENDING;
        if (event->flags == GIRO_TRANSFER_POST_PENDING)
            event->amount = chance(run, 50) ? GIRO_U128_MAX : below(run, 40);
    } else {
        plain_choose(run, event);
    }
    if (chance(run, 20))
        event->flags |= GIRO_TRANSFER_LINKED;
}

static void request_import(struct run *run, struct giro_transfer *events, uint32_t count)
{
    uint64_t timestamp = run->fixture.ledger->transfer_timestamp_last;
    run->fixture.clock_ns += 5000;
    if (chance(run, 50))
        timestamp = run->fixture.ledger->timestamp_last;
    for (uint32_t i = 0; i < count; i++) {
        timestamp += 1 + below(run, 3);
        events[i].flags |= GIRO_TRANSFER_IMPORTED;
        events[i].timestamp = timestamp;
        events[i].timeout = 0;
    }
}

static void codes_compare(const struct run *run, const uint32_t *codes, const uint32_t *expected,
                          uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(codes[i], expected[i], "request %u, event %u: code %u, expected %u",
                     run->request, i, codes[i], expected[i]);
}

static void request_transfers(struct run *run, uint32_t count_max)
{
    static struct giro_transfer events[EVENTS_MAX];
    static uint32_t expected[EVENTS_MAX];
    uint32_t count = 1 + below(run, count_max);
    for (uint32_t i = 0; i < count; i++)
        event_choose(run, &events[i]);
    if (!chance(run, 5))
        events[count - 1].flags &= (uint16_t)~GIRO_TRANSFER_LINKED;
    if (chance(run, 10))
        request_import(run, events, count);
    model_create_transfers(run->model, events, count, run->fixture.clock_ns, expected);
    uint64_t fetched = run->fixture.fetched_count;
    codes_compare(run, fixture_create_transfers(&run->fixture, events, count), expected, count);
    run->undone +=
        run->calm && run->fixture.fetched_count != fetched && count > LEDGER_CHUNK_EVENTS;
}

static void request_accounts(struct run *run)
{
    struct giro_account events[4];
    uint32_t expected[4];
    uint32_t count = 1 + below(run, 4);
    for (uint32_t i = 0; i < count; i++) {
        events[i] = account_of(1 + below(run, 2 * ACCOUNTS));
        if (chance(run, 30) && i + 1 < count)
            events[i].flags |= GIRO_ACCOUNT_LINKED;
        if (chance(run, 10))
            events[i].code = 0;
    }
    model_create_accounts(run->model, events, count, run->fixture.clock_ns, expected);
    codes_compare(run, fixture_create_accounts(&run->fixture, events, count), expected, count);
}

static void accounts_begin(struct run *run)
{
    struct giro_account events[ACCOUNTS];
    uint32_t codes[ACCOUNTS];
    uint64_t address = run->fixture.address_next;
    for (uint32_t i = 0; i + 1 < ACCOUNTS; i++)
        events[i] = account_of(1 + i);
    model_create_accounts(run->model, events, ACCOUNTS - 1, run->fixture.clock_ns, codes);
    (void)fixture_create_accounts(&run->fixture, events, ACCOUNTS - 1);
    request_follow(run, address);
}

/* One request of any sort, which the model follows. */
static void request_execute(struct run *run, uint32_t count_max, uint32_t kept_max)
{
    run->fixture.clock_ns += below(run, 100) * 1000000ull;
    if (kept_max != 0 && chance(run, 50))
        fixture_forget(&run->fixture, below(run, kept_max));
    uint32_t choice = below(run, 100);
    if (choice < 10) {
        uint32_t max = below(run, 20);
        uint32_t expected = model_expire(run->model, run->fixture.clock_ns, max);
        cr_assert_eq(fixture_expire(&run->fixture, max), expected);
    } else if (choice < 18) {
        request_accounts(run);
    } else {
        request_transfers(run, count_max);
    }
    run->request++;
}

/* The same, followed by the replica. */
static void request_run(struct run *run, uint32_t count_max, uint32_t kept_max)
{
    uint64_t address = run->fixture.address_next;
    request_execute(run, count_max, kept_max);
    request_follow(run, address);
}

static struct run *run_random(uint64_t seed, uint32_t requests, uint32_t count_max,
                              uint32_t kept_max)
{
    struct run *run = run_open(seed, kept_max != 0 ? 1 << 10 : 0);
    run->calm = kept_max != 0;
    accounts_begin(run);
    while (run->request < requests)
        request_run(run, count_max, kept_max);
    return run;
}

/* ---- Replay and digests ------------------------------------------------------------------ */

Test(replay, follows_without_ids)
{
    uint64_t seed = rng_make(SEED_DEFAULT).state;
    for (uint32_t i = 0; i < 6; i++)
        run_close(run_random(seed + i, 1200, 20, 0));
}

Test(replay, follows_requests_that_were_undone)
{
    uint64_t seed = rng_make(SEED_DEFAULT + 10).state;
    uint64_t undone = 0;
    for (uint32_t i = 0; i < 6; i++) {
        struct run *run = run_random(seed + i, 80, EVENTS_MAX, 1 + 200 * i);
        undone += run->undone;
        fixture_check_replay(&run->fixture, UINT32_MAX);
        run_close(run);
    }
    cr_assert(undone > 50, "only %lu requests", undone);
}

/* A round of digest records, replayed by a sound ledger. Returns whether one of them differs. */
static bool round_differs(struct ledger *executed, const struct ledger *replica, uint32_t rows_max)
{
    struct record_digest digest;
    bool differs = false;
    for (uint32_t rows = 0; rows < executed->accounts.count;) {
        ledger_digest_record(executed, rows_max, 1, &digest);
        cr_assert(digest.row_count > 0 && digest.row_count <= rows_max);
        differs = differs || !ledger_digest_matches(replica, &digest);
        rows += (uint32_t)digest.row_count;
    }
    return differs;
}

Test(replay, notices_every_bit_of_every_row)
{
    struct run *run = run_random(rng_make(SEED_DEFAULT + 20).state, 200, 16, 0);
    struct ledger *executed = run->fixture.ledger;
    cr_assert(executed->accounts.count > ACCOUNTS);
    for (uint32_t side = 0; side < 2; side++) {
        struct ledger *flipped = side == 0 ? executed : run->replica;
        uint8_t *rows = (uint8_t *)flipped->accounts.rows;
        for (uint32_t bit = 0; bit < flipped->accounts.count * GIRO_RECORD_BYTES * 8; bit++) {
            rows[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert(round_differs(executed, run->replica, 7), "bit %u", bit);
            rows[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        cr_assert_not(round_differs(executed, run->replica, 7));
    }
    run_close(run);
}

Test(replay, notices_every_counter)
{
    struct run *run = run_random(rng_make(SEED_DEFAULT + 30).state, 100, 16, 0);
    struct ledger *ledger = run->fixture.ledger;
    uint64_t *const counters[] = {&ledger->transfers_count, &ledger->burnt_count,
                                  &ledger->expired_count, &ledger->account_timestamp_last,
                                  &ledger->transfer_timestamp_last};
    struct record_digest digest;
    for (uint32_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        for (uint32_t bit = 0; bit < 64; bit++) {
            *counters[i] ^= 1ull << bit;
            ledger_digest_record(ledger, 1, 1, &digest);
            cr_assert_not(ledger_digest_matches(run->replica, &digest), "counter %u", i);
            *counters[i] ^= 1ull << bit;
        }
    }
    ledger_digest_record(ledger, 1, 1, &digest);
    cr_assert(ledger_digest_matches(run->replica, &digest));
    /* A record that is not of this ledger at all must not be followed out of bounds. */
    digest.row_first = digest.accounts;
    cr_assert_not(ledger_digest_matches(run->replica, &digest));
    digest.row_first = UINT64_MAX;
    cr_assert_not(ledger_digest_matches(run->replica, &digest));
    digest.row_first = 1;
    digest.row_count = UINT64_MAX;
    cr_assert_not(ledger_digest_matches(run->replica, &digest));
    run_close(run);
}

/* A bit flips in a replica that goes on following, with a digest record behind each request: within
 * one round, or as soon as the row is needed, unless a later record has put it right. */
static bool flip_noticed(struct run *run, uint32_t rows_max)
{
    static union record records[EVENTS_MAX + 1];
    uint32_t index;
    for (uint64_t rows = 0; rows < run->fixture.ledger->accounts.count;) {
        uint64_t address = run->fixture.address_next;
        request_execute(run, 8, 0);
        uint32_t count = records_collect(run, &address, rows_max, records);
        if (ledger_replay(run->replica, records, count, address, &index) != 0 ||
            run->replica->digests_failed > 0)
            return true;
        rows += records[count - 1].digest.row_count;
    }
    return checksum_equal(ledger_digest(run->replica), ledger_digest(run->fixture.ledger));
}

Test(replay, notices_a_flip_while_requests_go_on)
{
    struct rng rng = rng_make(SEED_DEFAULT + 40);
    for (uint32_t round = 0; round < 150; round++) {
        struct run *run = run_random(rng.state + round, 20, 8, 0);
        uint32_t row = rng_below(&rng, run->replica->accounts.count);
        uint32_t bit = rng_below(&rng, GIRO_RECORD_BYTES * 8);
        ((uint8_t *)&run->replica->accounts.rows[row])[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert(flip_noticed(run, 1 + round % 9), "row %u, bit %u", row, bit);
        run_close(run);
    }
}

static void replay_expect(struct run *run, const union record *record, int expected)
{
    uint32_t index = 99;
    cr_assert_eq(ledger_replay(run->replica, record, 1, 60000, &index), expected);
    cr_assert_eq(index, 0);
}

Test(replay, refuses_what_contradicts_the_state)
{
    struct run *run = run_random(SEED_DEFAULT, 30, 8, 0);
    union record record = {.transfer = {.id = 1 << 30,
                                        .debit_account_id = 1,
                                        .credit_account_id = 999,
                                        .amount = 1,
                                        .timestamp = run->fixture.clock_ns}};
    replay_expect(run, &record, -EBADMSG);
    record.transfer.credit_account_id = 2;
    record.transfer.flags = GIRO_TRANSFER_POST_PENDING;
    record.transfer.pending_id = 1 << 29;
    replay_expect(run, &record, -EBADMSG);
    record.transfer.flags = RECORD_SYSTEM << RECORD_KIND_SHIFT;
    record.transfer.code = RECORD_SYSTEM_EXPIRY;
    replay_expect(run, &record, -EBADMSG);
    record.transfer.code = 77;
    replay_expect(run, &record, -EBADMSG);
    run_close(run);
}

/* ---- Copies and restored states ---------------------------------------------------------- */

static void outcomes_compare(const struct ledger *left, const struct ledger *right, uint64_t end)
{
    for (uint64_t address = 1; address < end; address++)
        cr_assert_eq(holds_outcome(&left->holds, address), holds_outcome(&right->holds, address),
                     "address %lu", address);
}

Test(replay, goes_on_from_a_copy)
{
    struct rng rng = rng_make(SEED_DEFAULT + 50);
    for (uint32_t round = 0; round < 6; round++) {
        struct run *run = run_random(rng.state + round, 20 + 60 * round, 12, 0);
        struct ledger *copy = ledger_make(run, 64, 1 << 12, 0);
        cr_assert_eq(ledger_copy(copy, run->fixture.ledger, run->fixture.address_next), 0);
        cr_assert(checksum_equal(ledger_digest(copy), ledger_digest(run->replica)));
        outcomes_compare(copy, run->replica, run->fixture.address_next);
        copy->digests_checked = run->digests;
        ledger_destroy(run->replica);
        run->replica = copy;
        for (uint32_t i = 0; i < 100; i++)
            request_run(run, 12, 0);
        outcomes_compare(copy, run->fixture.ledger, run->fixture.address_next);
        run_close(run);
    }
}

Test(replay, copies_only_what_there_is_room_for)
{
    struct run *run = run_random(SEED_DEFAULT, 200, 16, 0);
    const struct ledger *from = run->fixture.ledger;
    cr_assert(from->holds.count > 2);
    struct ledger *exact = ledger_make(run, from->accounts.count, from->holds.count, 0);
    struct ledger *few_accounts = ledger_make(run, from->accounts.count - 1, 1 << 12, 0);
    struct ledger *few_holds = ledger_make(run, 64, from->holds.count - 1, 0);
    cr_assert_eq(ledger_copy(exact, from, run->fixture.address_next), 0);
    cr_assert_eq(ledger_copy(few_accounts, from, run->fixture.address_next), -ENOSPC);
    cr_assert_eq(ledger_copy(few_holds, from, run->fixture.address_next), -ENOSPC);
    cr_assert(checksum_equal(ledger_digest(exact), ledger_digest(from)));
    ledger_destroy(exact);
    ledger_destroy(few_accounts);
    ledger_destroy(few_holds);
    run_close(run);
}

/* Brings an empty ledger to the state of another one, ids included. */
static void restore(struct run *run, struct ledger *to)
{
    const struct fixture *fixture = &run->fixture;
    const struct ledger *from = fixture->ledger;
    cr_assert_eq(ledger_copy(to, from, fixture->address_next), 0);
    for (uint64_t address = 1; address < fixture->address_next; address++) {
        const union record *record = &fixture->log[address];
        bool has_id = record->transfer.timestamp != 0 && (record_kind(record) == RECORD_TRANSFER ||
                                                          record_kind(record) == RECORD_BURNT);
        uint64_t hash = id_hash(record->transfer.id, fixture->hash_seed);
        if (has_id)
            cr_assert_eq(ledger_restore_ids(to, &hash, 1, address), 0);
    }
    cr_assert_eq(to->transfers.count, from->transfers.count);
}

/* A restored ledger answers every request as the one that it was restored from: fixture and model
 * do not notice that it took over. */
Test(replay, restored_ledgers_execute)
{
    struct rng rng = rng_make(SEED_DEFAULT + 60);
    for (uint32_t round = 0; round < 4; round++) {
        struct run *run = run_random(rng.state + round, 20 + 100 * round, 12, 0);
        struct ledger *restored = ledger_make(run, 64, 1 << 12, 1 << 16);
        restore(run, restored);
        restored->window = run->fixture.ledger->window;
        restored->digest_row = run->fixture.ledger->digest_row;
        ledger_destroy(run->fixture.ledger);
        run->fixture.ledger = restored;
        for (uint32_t i = 0; i < 200; i++)
            request_run(run, 12, 0);
        fixture_check_replay(&run->fixture, UINT32_MAX);
        run_close(run);
    }
}

Test(replay, restores_within_limits)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_make(run, 3, 1, 200);
    struct giro_account rows[4] = {account_of(1), account_of(2), account_of(3), account_of(4)};
    struct giro_transfer hold = {
        .id = 5, .debit_account_id = 1, .credit_account_id = 9, .amount = 1, .timestamp = 5};
    uint64_t hashes[201];
    for (uint32_t i = 0; i < 201; i++)
        hashes[i] = id_hash(i + 1, run->fixture.hash_seed);

    cr_assert_eq(ledger_restore_accounts(ledger, rows, 4), -ENOSPC);
    cr_assert_eq(ledger->accounts.count, 0);
    cr_assert_eq(ledger_restore_accounts(ledger, rows, 2), 0);
    cr_assert_eq(ledger_restore_accounts(ledger, &rows[2], 2), -ENOSPC);
    cr_assert_eq(ledger_restore_accounts(ledger, &rows[2], 1), 0);
    cr_assert_eq(ledger_restore_accounts(ledger, rows, 0), 0);

    cr_assert_eq(ledger_restore_hold(ledger, &hold, 7, 0), -EBADMSG);
    hold.credit_account_id = 2;
    hold.debit_account_id = 9;
    cr_assert_eq(ledger_restore_hold(ledger, &hold, 7, 0), -EBADMSG);
    hold.debit_account_id = 1;
    cr_assert_eq(ledger_restore_hold(ledger, &hold, 0, 0), -EBADMSG);
    cr_assert_eq(ledger_restore_hold(ledger, &hold, RECORD_ADDRESS_MAX + 1, 0), -EBADMSG);
    cr_assert_eq(ledger_restore_hold(ledger, &hold, UINT64_MAX, 0), -EBADMSG);
    cr_assert_eq(ledger_restore_hold(ledger, &hold, RECORD_ADDRESS_MAX, 0), 0);
    hold.id = 6;
    cr_assert_eq(ledger_restore_hold(ledger, &hold, 8, 0), -ENOSPC);
    cr_assert_eq(ledger->holds.count, 1);

    cr_assert_eq(ledger_restore_ids(ledger, hashes, 201, 1), -ENOSPC);
    cr_assert_eq(ledger->transfers.count, 0);
    cr_assert_eq(ledger_restore_ids(ledger, hashes, 150, 1), 0);
    cr_assert_eq(ledger_restore_ids(ledger, hashes, 51, 151), -ENOSPC);
    cr_assert_eq(ledger_restore_ids(ledger, &hashes[150], 50, 151), 0);
    cr_assert_eq(ledger_restore_ids(ledger, hashes, 0, 1), 0);
    cr_assert_eq(ledger->transfers.count, 200);
    ledger_destroy(ledger);
    run_close(run);
}

static struct ledger *ledger_of_accounts(const struct run *run)
{
    const struct giro_account rows[3] = {account_of(1), account_of(2), account_of(3)};
    struct ledger *ledger = ledger_make(run, 3, 4, 0);
    cr_assert_eq(ledger_restore_accounts(ledger, rows, 3), 0);
    return ledger;
}

/* What a row of payments can say that the ledger never makes. */
Test(replay, refuses_payments_that_contradict_themselves)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_of_accounts(run);
    const struct payment root = {.id = 1, .amount = 5, .credit_row = 1, .kind = PAYMENT_POSTED};
    struct payment row = {
        .id = 2, .amount = 5, .parent = 1, .credit_row = 1, .depth = 1, .kind = PAYMENT_HOLD};
    struct payment bad;
    cr_assert_eq(ledger_restore_payments(ledger, &root, 1), 0);
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        bad = row;                                                                                 \
        bad.change;                                                                                \
        cr_assert_eq(ledger_restore_payments(ledger, &bad, 1), -EBADMSG, #change);                 \
    } while (0)
    REFUSED(id = 0);
    REFUSED(id = 1);   /* there already */
    REFUSED(kind = 0); /* of a mark alone */
    REFUSED(kind = 3);
    REFUSED(debit_row = 1); /* the credit account */
    REFUSED(debit_row = 3);
    REFUSED(credit_row = 3);
    REFUSED(parent = 0); /* and yet a return */
    REFUSED(parent = 2); /* itself */
    REFUSED(parent = 3); /* a later one */
    REFUSED(depth = 0);
    REFUSED(depth = 2);
    cr_assert_eq(ledger_restore_payments(ledger, &row, 1), 0);
    row.id = 3;
    row.kind = PAYMENT_POSTED;
    REFUSED(parent = 2); /* a hold */
    for (uint32_t depth = 1; depth <= PAYMENT_DEPTH_MAX; depth++, row.id++) {
        row.depth = (uint8_t)depth;
        row.parent = depth == 1 ? 1 : ledger->payments.count;
        cr_assert_eq(ledger_restore_payments(ledger, &row, 1), 0);
    }
    row.parent = ledger->payments.count;
    REFUSED(depth = PAYMENT_DEPTH_MAX + 1);
#undef REFUSED
    ledger_destroy(ledger);
    run_close(run);
}

Test(replay, refuses_holds_and_limits_that_contradict_themselves)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_of_accounts(run);
    const struct payment rows[2] = {
        {.id = 1, .amount = 9, .left = 5, .credit_row = 1, .kind = PAYMENT_HOLD},
        {.id = 2, .amount = 5, .credit_row = 1, .kind = PAYMENT_POSTED}};
    struct giro_transfer hold = {
        .id = 1, .debit_account_id = 1, .credit_account_id = 2, .amount = 5, .timestamp = 5};
    struct limits limits = {.account_row = 1, .over_capture = GIRO_OVER_CAPTURE_MAX + 1};
    cr_assert_eq(ledger_restore_payments(ledger, rows, 2), 0);
    hold.amount = 4; /* not what is left */
    cr_assert_eq(ledger_restore_hold(ledger, &hold, 7, 0), -EBADMSG);
    hold.amount = 5;
    hold.credit_account_id = 3;
    cr_assert_eq(ledger_restore_hold(ledger, &hold, 7, 0), -EBADMSG);
    hold.credit_account_id = 1;
    cr_assert_eq(ledger_restore_hold(ledger, &hold, 7, 0), -EBADMSG);
    hold.credit_account_id = 2;
    hold.id = 2; /* posted */
    cr_assert_eq(ledger_restore_hold(ledger, &hold, 7, 0), -EBADMSG);
    hold.id = 0;
    cr_assert_eq(ledger_restore_hold(ledger, &hold, 7, 0), -EBADMSG);
    hold.id = 1;
    cr_assert_eq(ledger_restore_hold(ledger, &hold, 7, 0), 0);
    cr_assert_eq(ledger_restore_hold(ledger, &hold, 8, 0), -EBADMSG);

    cr_assert_eq(ledger_restore_limits(ledger, &limits, 1), -EBADMSG);
    limits.over_capture = 1;
    limits.flags = GIRO_LIMITS_FLAGS_ALL + 1;
    cr_assert_eq(ledger_restore_limits(ledger, &limits, 1), -EBADMSG);
    limits.flags = 0;
    limits.account_row = 3;
    cr_assert_eq(ledger_restore_limits(ledger, &limits, 1), -EBADMSG);
    limits.account_row = 2;
    cr_assert_eq(ledger_restore_limits(ledger, &limits, 1), 0);
    cr_assert_eq(ledger_restore_limits(ledger, &limits, 1), -EBADMSG);
    ledger_destroy(ledger);
    run_close(run);
}

/* Replays a record of ledger_of_accounts(), between accounts 1 and 2. */
static int replayed(struct ledger *ledger, struct giro_transfer transfer)
{
    static uint64_t time;
    const union record record = {.transfer = transfer};
    union record timed = record;
    uint32_t index;
    timed.transfer.debit_account_id = 1;
    timed.transfer.credit_account_id = 2;
    timed.transfer.timestamp = transfer.timestamp == 0 ? ++time : transfer.timestamp;
    return ledger_replay(ledger, &timed, 1, 100 + time, &index);
}

Test(replay, refuses_payments_that_contradict_the_state)
{
    const uint16_t system = RECORD_SYSTEM << RECORD_KIND_SHIFT;
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_of_accounts(run);
    const struct limits limits = {.account_row = 1, .over_capture = 1};
    struct giro_transfer mark = {
        .user_data_128 = 9, .user_data_32 = 1, .code = RECORD_SYSTEM_PAYMENT, .flags = system};
    cr_assert_eq(ledger_restore_limits(ledger, &limits, 1), 0);
    cr_assert_eq(
        replayed(ledger,
                 (struct giro_transfer){.id = 1, .amount = 5, .flags = GIRO_TRANSFER_PENDING}),
        0);
    /* A hold was not posted, and has its id for itself. */
    mark.pending_id = 1;
    cr_assert_eq(replayed(ledger, mark), -EBADMSG);
    mark.pending_id = 0;
    mark.user_data_128 = 1;
    cr_assert_eq(replayed(ledger, mark), -EBADMSG);
    cr_assert_eq(replayed(ledger, (struct giro_transfer){.id = 1, .flags = GIRO_TRANSFER_FACT}),
                 -EBADMSG);
    /* A void never exceeds its hold, whatever may be captured. */
    cr_assert_eq(replayed(ledger, (struct giro_transfer){.id = 2,
                                                         .pending_id = 1,
                                                         .amount = 6,
                                                         .flags = GIRO_TRANSFER_VOID_PENDING |
                                                                  GIRO_TRANSFER_KEEP_OPEN}),
                 -EBADMSG);
    cr_assert_eq(replayed(ledger, (struct giro_transfer){.id = 2,
                                                         .pending_id = 1,
                                                         .flags = GIRO_TRANSFER_PENDING |
                                                                  GIRO_TRANSFER_ADJUST |
                                                                  GIRO_TRANSFER_FACT}),
                 -EBADMSG);
    cr_assert_eq(replayed(ledger, (struct giro_transfer){.id = 3, .timestamp = UINT64_MAX}),
                 -EBADMSG);
    cr_assert_eq(replayed(ledger, (struct giro_transfer){.id = 3, .pending_id = 3}), -EBADMSG);
    /* What is marked is a fact. */
    mark.user_data_128 = 9;
    cr_assert_eq(replayed(ledger, mark), 0);
    cr_assert_eq(replayed(ledger, (struct giro_transfer){.id = 9, .amount = 1}), -EBADMSG);
    ledger_destroy(ledger);
    run_close(run);
}

/* Limits hold in replay, too: a record too many is refused before it changes anything. */
Test(replay, keeps_within_limits)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_make(run, 2, 1, 0);
    union record records[3] = {{.account = account_of(6)}, {.account = account_of(7)}, {{0}}};
    uint32_t index;
    records[0].account.flags = RECORD_ACCOUNT << RECORD_KIND_SHIFT;
    records[1].account.flags = RECORD_ACCOUNT << RECORD_KIND_SHIFT;
    records[2] = records[1];
    records[2].account.id = 8;
    cr_assert_eq(ledger_replay(ledger, records, 3, 1, &index), -ENOSPC);
    cr_assert_eq(index, 2);
    cr_assert_eq(ledger->accounts.count, 2);
    for (uint32_t i = 0; i < 2; i++)
        records[i].transfer = (struct giro_transfer){.id = 10 + i,
                                                     .debit_account_id = 6,
                                                     .credit_account_id = 7,
                                                     .amount = 3,
                                                     .timestamp = 100 + i,
                                                     .flags = GIRO_TRANSFER_PENDING};
    cr_assert_eq(ledger_replay(ledger, records, 2, 5, &index), -ENOSPC);
    cr_assert_eq(index, 1);
    cr_assert_eq(ledger->holds.count, 1);
    cr_assert(ledger->accounts.rows[0].debits_pending == 3);
    ledger_destroy(ledger);
    run_close(run);
}
