/* Replay beside execution: a ledger without ids that only follows, what every record does to it,
 * digest records, copies and restored states. Leases and schedules are among the requests, and what no
 * ledger writes of them is refused. Random requests run through the engine, the model and
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
    uint64_t schedule_next;
    uint64_t fired;

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

/* Accounts 1 to 12 are of ledger 1, the rest of ledger 2; some have limits, some settle. */
static struct giro_account account_of(uint32_t id)
{
    static const uint16_t flags[] = {0, GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS, 0,
                                     GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS,
                                     GIRO_ACCOUNT_HISTORY};
    return (struct giro_account){.id = id,
                                 .ledger = id <= 12 ? 1 : 2,
                                 .code = 1,
                                 .flags = flags[id % 5] | (id % 3 == 1 ? GIRO_ACCOUNT_SETTLES : 0)};
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

static void request_leases(struct run *run)
{
    struct giro_lease events[4];
    struct giro_lease expected[4];
    uint64_t timestamp = run->fixture.clock_ns;
    uint32_t count = 1 + below(run, 4);
    for (uint32_t i = 0; i < count; i++) {
        events[i] = (struct giro_lease){.key = 1 + below(run, 5),
                                        .owner = 1 + below(run, 2),
                                        .timeout_ms = 1 + below(run, 1000),
                                        .action = GIRO_LEASE_ACQUIRE};
        const struct giro_lease *lease = model_lease_of(run->model, events[i].key);
        if (lease == NULL || chance(run, 50))
            continue;
        events[i].owner = lease->owner;
        events[i].token = lease->token;
        events[i].action = chance(run, 60) ? GIRO_LEASE_RENEW : GIRO_LEASE_RELEASE;
        if (events[i].action == GIRO_LEASE_RELEASE)
            events[i].timeout_ms = 0;
    }
    const uint32_t *codes = fixture_lease(&run->fixture, events, count);
    model_lease(run->model, events, count, timestamp, run->fixture.address_first, expected);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(codes[i], expected[i].result, "request %u, lease event %u", run->request, i);
}

static void request_schedules(struct run *run)
{
    struct giro_schedule events[3];
    giro_u128 ids[3];
    uint32_t expected[3];
    uint64_t timestamp = run->fixture.clock_ns;
    uint32_t count = 1 + below(run, 3);
    if (run->model->schedules_count + 3 > MODEL_SCHEDULES_MAX || chance(run, 25)) {
        for (uint32_t i = 0; i < count; i++)
            ids[i] = 1 + rng_below(&run->rng, (uint32_t)run->schedule_next + 1);
        model_cancel_schedules(run->model, ids, count, timestamp, expected);
        codes_compare(run, fixture_cancel_schedules(&run->fixture, ids, count), expected, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool pends = chance(run, 40);
        events[i] = (struct giro_schedule){
            .id = ++run->schedule_next,
            .first = timestamp + below(run, 1000) * GIRO_NS_PER_MS,
            .interval = 1,
            .occurrences = 1 + below(run, 5),
            .rule = GIRO_SCHEDULE_SECONDS,
            .retry_s = {1},
            .retries = 1,
            .transfer = {.debit_account_id = 1 + below(run, 6),
                         .credit_account_id = 7 + below(run, 6),
                         .amount = below(run, 60),
                         .timeout = pends ? below(run, 3) : 0,
                         .ledger = 1,
                         .code = 1,
                         .flags = pends ? GIRO_TRANSFER_PENDING : 0},
        };
    }
    model_create_schedules(run->model, events, count, timestamp, expected);
    codes_compare(run, fixture_create_schedules(&run->fixture, events, count), expected, count);
}

static void request_fire(struct run *run)
{
    struct giro_firing expected[LEDGER_FIRE_MAX];
    uint32_t max = 1 + below(run, 20);
    uint32_t count = model_fire(run->model, run->fixture.clock_ns, max, expected);
    cr_assert_eq(fixture_fire(&run->fixture, max), count, "request %u", run->request);
    cr_assert(memcmp(run->fixture.firings, expected, count * sizeof expected[0]) == 0, "request %u",
              run->request);
    run->fired += count;
}

/* Of ledgers that are used, or not, in the epoch that they are in, or not. */
static void request_cut_off(struct run *run)
{
    struct giro_cut_off events[4];
    uint32_t expected[4];
    uint32_t count = 1 + below(run, 4);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t ledger = chance(run, 80) ? 1 + below(run, 2) : 3 + below(run, 9);
        events[i] = (struct giro_cut_off){
            .epoch = model_epoch(run->model, ledger) + chance(run, 10),
            .ledger = ledger,
        };
    }
    model_cut_off(run->model, events, count, run->fixture.clock_ns, expected);
    codes_compare(run, fixture_cut_off(&run->fixture, events, count), expected, count);
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
    } else if (choice < 24) {
        request_leases(run);
    } else if (choice < 28) {
        request_schedules(run);
    } else if (choice < 40) {
        request_fire(run);
    } else if (choice < 45) {
        request_cut_off(run);
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
    for (uint32_t i = 0; i < 6; i++) {
        struct run *run = run_random(seed + i, 1200, 20, 0);
        cr_assert(run->fired > 50, "only %lu attempts of schedules", run->fired);
        run_close(run);
    }
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

/* Digest records have rows of the other tables one after the other: some rounds show all of them. */
static bool sides_differ(struct ledger *executed, const struct ledger *replica)
{
    struct record_digest digest;
    bool differs = false;
    for (uint32_t i = 0; i < 2 * LEDGER_TABLES; i++) {
        ledger_digest_record(executed, 1 << 10, 1, &digest);
        differs = differs || !ledger_digest_matches(replica, &digest);
    }
    return differs;
}

Test(replay, notices_every_bit_of_leases_and_schedules)
{
    static const enum ledger_table tables[] = {LEDGER_LEASES, LEDGER_SCHEDULES};
    struct run *run = run_random(rng_make(SEED_DEFAULT + 25).state, 100, 16, 0);
    struct ledger *executed = run->fixture.ledger;
    for (uint32_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        struct table_rows table = ledger_rows(executed, tables[t]);
        uint8_t *rows = (uint8_t *)(uintptr_t)table.rows;
        cr_assert(table.count > 1);
        for (uint32_t bit = 0; bit < table.count * table.row_bytes * 8; bit++) {
            rows[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert(sides_differ(executed, run->replica), "table %u, bit %u", tables[t], bit);
            rows[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    cr_assert_not(sides_differ(executed, run->replica));
    run_close(run);
}

Test(replay, notices_every_bit_of_epochs_and_settlements)
{
    static const enum ledger_table tables[] = {LEDGER_EPOCHS, LEDGER_SETTLEMENTS};
    struct run *run = run_random(rng_make(SEED_DEFAULT + 25).state, 200, 16, 0);
    struct ledger *executed = run->fixture.ledger;
    for (uint32_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const struct table_rows table = ledger_rows(run->replica, tables[i]);
        uint8_t *rows = i == 0 ? (uint8_t *)run->replica->settlements.epochs
                               : (uint8_t *)run->replica->settlements.rows;
        cr_assert(table.count > 2 && table.rows == rows);
        for (uint32_t bit = 0; bit < table.count * table.row_bytes * 8; bit++) {
            rows[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert(sides_differ(executed, run->replica), "table %u, bit %u", tables[i], bit);
            rows[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        cr_assert_not(sides_differ(executed, run->replica));
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
        restored->digest_next[LEDGER_ACCOUNTS] = run->fixture.ledger->digest_next[LEDGER_ACCOUNTS];
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

    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_ACCOUNTS, rows, 4), -ENOSPC);
    cr_assert_eq(ledger->accounts.count, 0);
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_ACCOUNTS, rows, 2), 0);
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_ACCOUNTS, &rows[2], 2), -ENOSPC);
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_ACCOUNTS, &rows[2], 1), 0);
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_ACCOUNTS, rows, 0), 0);

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
    struct giro_account rows[3] = {account_of(1), account_of(2), account_of(3)};
    struct ledger *ledger = ledger_make(run, 3, 4, 0);
    for (uint32_t i = 0; i < 3; i++)
        rows[i].flags &= (uint16_t)~GIRO_ACCOUNT_SETTLES; /* there are no rows for that */
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_ACCOUNTS, rows, 3), 0);
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
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_PAYMENTS, &root, 1), 0);
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        bad = row;                                                                                 \
        bad.change;                                                                                \
        cr_assert_eq(ledger_restore_rows(ledger, LEDGER_PAYMENTS, &bad, 1), -EBADMSG, #change);    \
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
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_PAYMENTS, &row, 1), 0);
    row.id = 3;
    row.kind = PAYMENT_POSTED;
    REFUSED(parent = 2); /* a hold */
    for (uint32_t depth = 1; depth <= PAYMENT_DEPTH_MAX; depth++, row.id++) {
        row.depth = (uint8_t)depth;
        row.parent = depth == 1 ? 1 : ledger->payments.count;
        cr_assert_eq(ledger_restore_rows(ledger, LEDGER_PAYMENTS, &row, 1), 0);
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
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_PAYMENTS, rows, 2), 0);
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

    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_LIMITS, &limits, 1), -EBADMSG);
    limits.over_capture = 1;
    limits.flags = GIRO_LIMITS_FLAGS_ALL + 1;
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_LIMITS, &limits, 1), -EBADMSG);
    limits.flags = 0;
    limits.account_row = 3;
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_LIMITS, &limits, 1), -EBADMSG);
    limits.account_row = 2;
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_LIMITS, &limits, 1), 0);
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_LIMITS, &limits, 1), -EBADMSG);
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
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_LIMITS, &limits, 1), 0);
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

/* ---- Leases and schedules that cannot be ---------------------------------------------------- */

#define SYSTEM_FLAGS ((uint16_t)(RECORD_SYSTEM << RECORD_KIND_SHIFT))

static int replayed_at(struct ledger *ledger, const void *bytes, uint64_t address)
{
    union record record;
    uint32_t index = 99;
    memcpy(&record, bytes, sizeof record);
    return ledger_replay(ledger, &record, 1, address, &index);
}

/* Changes a copy of a record, which is refused then and leaves the ledger as it was. */
#define REPLAY_REFUSED(record, address, change)                                                    \
    do {                                                                                           \
        const struct checksum before = ledger_digest(ledger);                                      \
        __typeof__(record) bad = record;                                                           \
        bad.change;                                                                                \
        cr_assert_eq(replayed_at(ledger, &bad, address), -EBADMSG, #change);                       \
        cr_assert(checksum_equal(before, ledger_digest(ledger)), #change);                         \
    } while (0)

static struct giro_lease lease_record(enum giro_lease_action action, uint64_t token,
                                      uint64_t timestamp)
{
    return (struct giro_lease){
        .key = 7,
        .owner = 1,
        .token = token,
        .deadline = action == GIRO_LEASE_RELEASE ? 0 : timestamp + 1000,
        .timeout_ms = 1,
        .action = (uint16_t)action,
        .result = RECORD_SYSTEM_LEASE,
        .flags = SYSTEM_FLAGS,
        .timestamp = timestamp,
    };
}

Test(replay, refuses_leases_that_contradict_the_state)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_of_accounts(run);
    struct giro_lease lease = lease_record(GIRO_LEASE_ACQUIRE, 100, 5000);
    REPLAY_REFUSED(lease, 100, key = 0);
    REPLAY_REFUSED(lease, 100, owner = 0);
    REPLAY_REFUSED(lease, 100, row = 1); /* there is none yet */
    REPLAY_REFUSED(lease, 100, deadline = GIRO_TIMESTAMP_MAX + 1);
    REPLAY_REFUSED(lease, 100, timestamp = GIRO_TIMESTAMP_MAX + 1);
    REPLAY_REFUSED(lease, 100, token = 99); /* where it was not written */
    REPLAY_REFUSED(lease, 100, action = GIRO_LEASE_RENEW);
    REPLAY_REFUSED(lease, 100, action = GIRO_LEASE_RELEASE);
    REPLAY_REFUSED(lease, 100, result = 77);
    cr_assert_eq(replayed_at(ledger, &lease, 100), 0);

    lease = lease_record(GIRO_LEASE_ACQUIRE, 101, 5999);
    REPLAY_REFUSED(lease, 101, owner = 2); /* while another one has it */
    REPLAY_REFUSED(lease, 101, key = 8);   /* in a row that is taken */
    REPLAY_REFUSED(lease, 101, row = 1);   /* it has one */
    cr_assert_eq(replayed_at(ledger, &lease, 101), 0);

    lease = lease_record(GIRO_LEASE_RENEW, 101, 6100);
    REPLAY_REFUSED(lease, 102, token = 100); /* the one before */
    REPLAY_REFUSED(lease, 102, key = 8);
    REPLAY_REFUSED(lease, 102, row = 1);
    REPLAY_REFUSED(lease, 102, deadline = 0);
    cr_assert_eq(replayed_at(ledger, &lease, 102), 0);

    lease = lease_record(GIRO_LEASE_RELEASE, 101, 6200);
    REPLAY_REFUSED(lease, 103, token = 102);
    REPLAY_REFUSED(lease, 103, deadline = 7000);
    cr_assert_eq(replayed_at(ledger, &lease, 103), 0);

    /* Another key has its row now, and it has none. */
    lease = lease_record(GIRO_LEASE_ACQUIRE, 104, 6300);
    lease.key = 8;
    lease.owner = 2;
    cr_assert_eq(replayed_at(ledger, &lease, 104), 0);
    REPLAY_REFUSED(lease_record(GIRO_LEASE_RENEW, 101, 6400), 105, key = 7);
    lease = lease_record(GIRO_LEASE_ACQUIRE, 105, 6500);
    REPLAY_REFUSED(lease, 105, row = 0);
    lease.row = LEDGER_LEASES_MAX;
    cr_assert_eq(replayed_at(ledger, &lease, 105), -ENOSPC);
    lease.row = 1;
    cr_assert_eq(replayed_at(ledger, &lease, 105), 0);
    ledger_destroy(ledger);
    run_close(run);
}

/* As the log has it, in two records. */
static struct giro_schedule schedule_made(giro_u128 id)
{
    return (struct giro_schedule){
        .id = id,
        .first = 7000,
        .interval = 1,
        .rule = GIRO_SCHEDULE_SECONDS,
        .retry_s = {1, 2},
        .retries = 2,
        .next = 7000,
        .transfer_code = 1,
        .state = RECORD_SYSTEM_SCHEDULE,
        .flags = SYSTEM_FLAGS,
        .timestamp = 5000,
        .transfer = {.id = id,
                     .debit_account_id = 1,
                     .credit_account_id = 2,
                     .amount = 5,
                     .ledger = 1,
                     .code = RECORD_SYSTEM_TEMPLATE,
                     .flags = SYSTEM_FLAGS,
                     .timestamp = 5000},
    };
}

Test(replay, refuses_schedules_that_cannot_have_been_created)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_of_accounts(run);
    struct giro_schedule made = schedule_made(5);
    REPLAY_REFUSED(made.transfer, 100, id = 5); /* without what comes before it */
    REPLAY_REFUSED(made, 100, id = 0);
    REPLAY_REFUSED(made, 100, next = 0);
    REPLAY_REFUSED(made, 100, next = 7001);
    REPLAY_REFUSED(made, 100, first = 0);
    REPLAY_REFUSED(made, 100, first = bad.next = GIRO_TIMESTAMP_MAX + 1);
    REPLAY_REFUSED(made, 100, rule = 0);
    REPLAY_REFUSED(made, 100, rule = 4);
    REPLAY_REFUSED(made, 100, interval = 0);
    REPLAY_REFUSED(made, 100, day = 1);
    REPLAY_REFUSED(made, 100, rule = GIRO_SCHEDULE_MONTHS);
    REPLAY_REFUSED(made, 100, end = 6999);
    REPLAY_REFUSED(made, 100, retries = 5);
    REPLAY_REFUSED(made, 100, retries = 1);
    REPLAY_REFUSED(made, 100, retry_s[3] = 1);
    REPLAY_REFUSED(made, 100, reserved[4] = 1);
    REPLAY_REFUSED(made, 100, reserved_1 = 1);
    REPLAY_REFUSED(made, 100, timestamp = GIRO_TIMESTAMP_MAX + 1);
    cr_assert_eq(replayed_at(ledger, &made, 100), 0);
    cr_assert_not(ledger_replay_ends(ledger));

    /* Its transfer has to follow. */
    REPLAY_REFUSED(made, 101, id = 6);
    REPLAY_REFUSED(made.transfer, 101, id = 6);
    REPLAY_REFUSED(made.transfer, 101, id = 0);
    REPLAY_REFUSED(made.transfer, 101, pending_id = 1);
    REPLAY_REFUSED(made.transfer, 101, debit_account_id = 0);
    REPLAY_REFUSED(made.transfer, 101, debit_account_id = 2);
    REPLAY_REFUSED(made.transfer, 101, debit_account_id = 9);
    REPLAY_REFUSED(made.transfer, 101, credit_account_id = GIRO_U128_MAX);
    REPLAY_REFUSED(made.transfer, 101, credit_account_id = 9);
    REPLAY_REFUSED(made.transfer, 101, timeout = 1);
    REPLAY_REFUSED(made.transfer, 101, ledger = 0);
    REPLAY_REFUSED(made.transfer, 101, ledger = 2);
    cr_assert_eq(replayed_at(ledger, &made.transfer, 101), 0);
    cr_assert(ledger_replay_ends(ledger));
    REPLAY_REFUSED(made.transfer, 102, id = 5); /* twice */
    REPLAY_REFUSED(made, 102, id = 5);

    /* Code and flags of the transfer stand in the first half. */
    struct giro_schedule other = schedule_made(6);
    other.transfer_code = 0;
    cr_assert_eq(replayed_at(ledger, &other, 102), 0);
    REPLAY_REFUSED(other.transfer, 103, id = 6);
    ledger_destroy(ledger);
    ledger = ledger_of_accounts(run);
    other.transfer_code = 1;
    other.transfer_flags = GIRO_TRANSFER_LINKED;
    cr_assert_eq(replayed_at(ledger, &other, 102), 0);
    REPLAY_REFUSED(other.transfer, 103, id = 6);
    ledger_destroy(ledger);
    run_close(run);
}

static struct ledger *ledger_of_schedules(const struct run *run)
{
    struct ledger *ledger = ledger_of_accounts(run);
    for (uint32_t i = 0; i < 2; i++) {
        const struct giro_schedule made = schedule_made(5 + i);
        cr_assert_eq(replayed_at(ledger, &made, 100 + 2 * i), 0);
        cr_assert_eq(replayed_at(ledger, &made.transfer, 101 + 2 * i), 0);
    }
    return ledger;
}

static struct giro_firing firing_record(void)
{
    return (struct giro_firing){
        .schedule_id = 6,
        .transfer_id = 900,
        .due = 7000,
        .next = 1000008000,
        .attempt_next = 1,
        .transfer_result = GIRO_TRANSFER_EXCEEDS_CREDITS,
        .row = 1,
        .code = RECORD_SYSTEM_FIRING,
        .flags = SYSTEM_FLAGS,
        .timestamp = 8000,
    };
}

Test(replay, refuses_attempts_that_are_not_the_next_one)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_of_schedules(run);
    struct giro_firing firing = firing_record();
    REPLAY_REFUSED(firing, 110, row = 0);
    REPLAY_REFUSED(firing, 110, row = 2);
    REPLAY_REFUSED(firing, 110, schedule_id = 5);
    REPLAY_REFUSED(firing, 110, schedule_id = 0);
    REPLAY_REFUSED(firing, 110, due = 7001);
    REPLAY_REFUSED(firing, 110, occurrence = 1);
    REPLAY_REFUSED(firing, 110, attempt = 1);
    REPLAY_REFUSED(firing, 110, transfer_id = 0);
    REPLAY_REFUSED(firing, 110, next = GIRO_TIMESTAMP_MAX + 1);
    REPLAY_REFUSED(firing, 110, timestamp = GIRO_TIMESTAMP_MAX + 1);
    cr_assert_eq(replayed_at(ledger, &firing, 110), 0);
    cr_assert(ledger_replay_ends(ledger));
    REPLAY_REFUSED(firing, 111, row = 1); /* again */

    /* The second attempt is created: its transfer has to follow. */
    firing.due = firing.next;
    firing.attempt = 1;
    firing.transfer_id = 901;
    firing.transfer_result = GIRO_TRANSFER_CREATED;
    firing.next = 1000007000;
    firing.occurrence_next = 1;
    firing.attempt_next = 0;
    firing.timestamp = 1000009000;
    cr_assert_eq(replayed_at(ledger, &firing, 111), 0);
    cr_assert_not(ledger_replay_ends(ledger));
    struct giro_transfer transfer = {.id = 901,
                                     .debit_account_id = 1,
                                     .credit_account_id = 2,
                                     .amount = 5,
                                     .ledger = 1,
                                     .code = 1,
                                     .timestamp = 1000009000};
    REPLAY_REFUSED(transfer, 112, id = 902);
    ledger_destroy(ledger);

    ledger = ledger_of_schedules(run);
    firing = firing_record();
    firing.transfer_result = GIRO_TRANSFER_CREATED;
    cr_assert_eq(replayed_at(ledger, &firing, 110), 0);
    REPLAY_REFUSED(lease_record(GIRO_LEASE_ACQUIRE, 111, 8000), 111, key = 7);
    ledger_destroy(ledger);

    ledger = ledger_of_schedules(run);
    cr_assert_eq(replayed_at(ledger, &firing, 110), 0);
    transfer.id = 900;
    cr_assert_eq(replayed_at(ledger, &transfer, 111), 0);
    cr_assert(ledger_replay_ends(ledger));
    ledger_destroy(ledger);
    run_close(run);
}

Test(replay, refuses_to_cancel_what_is_not_active)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_of_schedules(run);
    struct giro_firing cancel = {.schedule_id = 6,
                                 .row = 1,
                                 .code = RECORD_SYSTEM_CANCEL,
                                 .flags = SYSTEM_FLAGS,
                                 .timestamp = 8000};
    struct giro_firing last = firing_record();
    REPLAY_REFUSED(cancel, 110, row = 0);
    REPLAY_REFUSED(cancel, 110, row = 2);
    REPLAY_REFUSED(cancel, 110, schedule_id = 7);
    REPLAY_REFUSED(cancel, 110, timestamp = GIRO_TIMESTAMP_MAX + 1);
    cr_assert_eq(replayed_at(ledger, &cancel, 110), 0);
    REPLAY_REFUSED(cancel, 111, row = 1); /* again */
    REPLAY_REFUSED(last, 111, row = 1);   /* and it makes nothing any more */
    last.schedule_id = 5;
    last.row = 0;
    last.next = 0;
    cr_assert_eq(replayed_at(ledger, &last, 111), 0);
    cancel.schedule_id = 5;
    REPLAY_REFUSED(cancel, 112, row = 0); /* over */
    ledger_destroy(ledger);
    run_close(run);
}

/* What a row can say that the ledger never makes. */
Test(replay, refuses_rows_of_leases_and_schedules_that_contradict_themselves)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_of_accounts(run);
    const struct lease lease = {.key = 7, .owner = 1, .token = 9, .deadline = 5};
    struct giro_schedule schedule = schedule_made(5);
    schedule.transfer_code = 0;
    schedule.state = GIRO_SCHEDULE_ACTIVE;
    schedule.flags = 0;
    schedule.transfer.id = 0;
    schedule.transfer.code = 1;
    schedule.transfer.flags = 0;
    schedule.transfer.timestamp = 0;
#define REFUSED(table, row, change)                                                                \
    do {                                                                                           \
        __typeof__(row) bad = row;                                                                 \
        bad.change;                                                                                \
        cr_assert_eq(ledger_restore_rows(ledger, table, &bad, 1), -EBADMSG, #change);              \
    } while (0)
    REFUSED(LEDGER_LEASES, ((struct lease){.owner = 1}), token = 9);
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_LEASES, &lease, 1), 0);
    REFUSED(LEDGER_LEASES, ((struct lease){.key = 7, .owner = 2}), token = 10); /* there already */
    REFUSED(LEDGER_LEASES, ((struct lease){.key = 8, .owner = 2}),
            deadline = GIRO_TIMESTAMP_MAX + 1);
    REFUSED(LEDGER_SCHEDULES, schedule, id = 0);
    REFUSED(LEDGER_SCHEDULES, schedule, first = 0);
    REFUSED(LEDGER_SCHEDULES, schedule, next = 0);
    REFUSED(LEDGER_SCHEDULES, schedule, next = GIRO_TIMESTAMP_MAX + 1);
    REFUSED(LEDGER_SCHEDULES, schedule, rule = 0);
    REFUSED(LEDGER_SCHEDULES, schedule, interval = 0);
    REFUSED(LEDGER_SCHEDULES, schedule, day = 1);
    REFUSED(LEDGER_SCHEDULES, schedule, end = 1);
    REFUSED(LEDGER_SCHEDULES, schedule, retries = 3);
    REFUSED(LEDGER_SCHEDULES, schedule, reserved[0] = 1);
    REFUSED(LEDGER_SCHEDULES, schedule, reserved_1 = 1);
    REFUSED(LEDGER_SCHEDULES, schedule, transfer_code = 1);
    REFUSED(LEDGER_SCHEDULES, schedule, transfer_flags = 1);
    REFUSED(LEDGER_SCHEDULES, schedule, state = 0);
    REFUSED(LEDGER_SCHEDULES, schedule, state = GIRO_SCHEDULE_OVER); /* and yet something is due */
    REFUSED(LEDGER_SCHEDULES, schedule, state = GIRO_SCHEDULE_CANCELLED + 1);
    REFUSED(LEDGER_SCHEDULES, schedule, flags = 1);
    REFUSED(LEDGER_SCHEDULES, schedule, transfer.debit_account_id = 0);
    REFUSED(LEDGER_SCHEDULES, schedule, transfer.credit_account_id = 1);
    REFUSED(LEDGER_SCHEDULES, schedule, transfer.credit_account_id = 9);
    REFUSED(LEDGER_SCHEDULES, schedule, transfer.flags = GIRO_TRANSFER_FACT);
    REFUSED(LEDGER_SCHEDULES, schedule, transfer.timeout = 1);
    REFUSED(LEDGER_SCHEDULES, schedule, transfer.ledger = 2);
    REFUSED(LEDGER_SCHEDULES, schedule, transfer.code = 0);
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_SCHEDULES, &schedule, 1), 0);
    REFUSED(LEDGER_SCHEDULES, schedule, id = 5); /* there already */
#undef REFUSED
    ledger_destroy(ledger);
    run_close(run);
}

#undef REPLAY_REFUSED

/* ---- Cut-offs ---------------------------------------------------------------------------- */

static int cut_off_replayed(struct ledger *ledger, struct giro_cut_off cut_off)
{
    union record record = {.cut_off = cut_off};
    uint32_t index;
    record.cut_off.reserved_1 = RECORD_SYSTEM_CUT_OFF;
    record.cut_off.flags = RECORD_SYSTEM << RECORD_KIND_SHIFT;
    return ledger_replay(ledger, &record, 1, 100, &index);
}

#define CUT_OFF(...) cut_off_replayed(ledger, (struct giro_cut_off){__VA_ARGS__})

Test(replay, refuses_cut_offs_that_contradict_the_state)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_of_accounts(run);
    struct checksum before = ledger_digest(ledger);
    cr_assert_eq(CUT_OFF(.timestamp = 5), -EBADMSG); /* of no ledger number */
    cr_assert_eq(CUT_OFF(.ledger = 1, .epoch = 1, .timestamp = 5), -EBADMSG);
    cr_assert_eq(CUT_OFF(.ledger = 1, .epoch = UINT64_MAX, .timestamp = 5), -EBADMSG);
    cr_assert_eq(CUT_OFF(.ledger = 1, .timestamp = GIRO_TIMESTAMP_MAX + 1), -EBADMSG);
    cr_assert(checksum_equal(ledger_digest(ledger), before));
    cr_assert_eq(CUT_OFF(.ledger = 1, .timestamp = 5), 0);
    cr_assert_eq(CUT_OFF(.ledger = 1, .timestamp = 6), -EBADMSG); /* it is over */
    cr_assert_eq(CUT_OFF(.ledger = 1, .epoch = 2, .timestamp = 6), -EBADMSG);
    cr_assert_eq(CUT_OFF(.ledger = 2, .epoch = 1, .timestamp = 6), -EBADMSG); /* of another one */
    cr_assert_eq(CUT_OFF(.ledger = 1, .epoch = 1, .timestamp = 6), 0);
    cr_assert_eq(ledger->settlements.epoch_count, 1);
    cr_assert_eq(ledger->timestamp_last, 6);
    ledger_destroy(ledger);
    run_close(run);
}

Test(replay, cuts_off_no_more_ledgers_than_there_may_be)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct ledger *ledger = ledger_of_accounts(run);
    for (uint32_t i = 0; i < SETTLEMENTS_EPOCHS_MAX; i++)
        cr_assert_eq(CUT_OFF(.ledger = 1 + i, .timestamp = 5 + i), 0);
    struct checksum before = ledger_digest(ledger);
    cr_assert_eq(CUT_OFF(.ledger = SETTLEMENTS_EPOCHS_MAX + 1, .timestamp = 9000), -ENOSPC);
    cr_assert(checksum_equal(ledger_digest(ledger), before));
    cr_assert_eq(CUT_OFF(.ledger = SETTLEMENTS_EPOCHS_MAX, .epoch = 1, .timestamp = 9000), 0);
    ledger_destroy(ledger);
    run_close(run);
}

#undef CUT_OFF

/* Of three accounts of ledger 1, which is in epoch 3, the first and the second one settle. */
Test(replay, refuses_epochs_and_settlements_that_cannot_be)
{
    struct run *run = run_open(SEED_DEFAULT, 0);
    struct giro_account accounts[3] = {account_of(1), account_of(2), account_of(3)};
    struct ledger *ledger = ledger_make(run, 3, 4, 0);
    const struct epoch epoch = {.epoch = 3, .timestamp = 7, .ledger = 1};
    const struct epoch other = {.epoch = 1, .timestamp = 8, .ledger = 2};
    const struct settlement row = {.debits = 5, .count = 1, .epoch = 3, .epoch_before = 1};
    struct settlement second = {.epoch = 2, .account_row = 1};
    for (uint32_t i = 0; i < 3; i++)
        accounts[i].flags = i < 2 ? GIRO_ACCOUNT_SETTLES : 0;
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_ACCOUNTS, accounts, 3), 0);
#define REFUSED(type, table, sound, change)                                                        \
    do {                                                                                           \
        struct type bad = sound;                                                                   \
        bad.change;                                                                                \
        cr_assert_eq(ledger_restore_rows(ledger, table, &bad, 1), -EBADMSG, #change);              \
    } while (0)
    REFUSED(settlement, LEDGER_SETTLEMENTS, row, count = 1); /* its ledger is in epoch 0 */
    REFUSED(epoch, LEDGER_EPOCHS, epoch, ledger = 0);
    REFUSED(epoch, LEDGER_EPOCHS, epoch, epoch = 0); /* then it has no row */
    REFUSED(epoch, LEDGER_EPOCHS, epoch, reserved = 1);
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_EPOCHS, &epoch, 1), 0);
    REFUSED(epoch, LEDGER_EPOCHS, epoch, epoch = 4); /* there already */
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_EPOCHS, &other, 1), 0);
    cr_assert_eq(ledger->settlements.epoch_count, 2);

    REFUSED(settlement, LEDGER_SETTLEMENTS, row, account_row = 3);
    REFUSED(settlement, LEDGER_SETTLEMENTS, row, account_row = UINT32_MAX);
    REFUSED(settlement, LEDGER_SETTLEMENTS, row, account_row = 2); /* does not settle */
    REFUSED(settlement, LEDGER_SETTLEMENTS, row, epoch = 4);       /* has not begun */
    REFUSED(settlement, LEDGER_SETTLEMENTS, row, reserved[0] = 1);
    REFUSED(settlement, LEDGER_SETTLEMENTS, row, reserved[2] = 1);
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_SETTLEMENTS, &row, 1), 0);
    REFUSED(settlement, LEDGER_SETTLEMENTS, row, count = 2); /* there already */
    cr_assert_eq(ledger_restore_rows(ledger, LEDGER_SETTLEMENTS, &second, 1), 0);
    cr_assert_eq(ledger->settlements.count, 2);
#undef REFUSED
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
