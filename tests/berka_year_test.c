/* The 6,471 standing orders of a real bank, as schedules over the year 1998.
 *
 * tools/data/berka/order.asc has no days, so each order gets one from its id, 1 to 31, and an hour:
 * in the shorter months the last days come together. A test clock steps through the year, and what
 * is due is fired with a bound. The server is down for seven weeks, which are made up for, is
 * started anew from its log every month, and once loses the last block of it.
 *
 * What has to come out is known without the ledger: tests/berka/order_sums.awk adds the file up,
 * and when an occurrence is due is worked out here from the calendar of that one year. */
#include "tests/ledger_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum {
    ORDERS = 6471,
    ACCOUNTS_MAX = 12000, /* account_id is below */
    BANK_LETTERS = 26,
    BANKS_MAX = BANK_LETTERS * BANK_LETTERS, /* two letters */
    MONTHS = 12,
    DAYS_MAX = 31,
    HOURS = 24,
    LEDGER = 203, /* ISO 4217: the Czech koruna */
    ACCOUNT_CODE = 10,
    LOG_RECORDS = 1 << 18,
    SCHEDULES_PER_REQUEST = 4000, /* two records each, a block of the log at most */
};

#define HOUR_NS (3600 * GIRO_NS_PER_S)
#define DAY_NS (24 * HOUR_NS)
#define YEAR_BEGIN_NS (883612800 * GIRO_NS_PER_S) /* 1998-01-01 */
#define TICK_NS (6 * HOUR_NS)
/* Whole days of the year, from 0. */
#define DOWN_FROM_NS (YEAR_BEGIN_NS + 188 * DAY_NS)  /* 8 July */
#define DOWN_UNTIL_NS (YEAR_BEGIN_NS + 236 * DAY_NS) /* 25 August */
/* 10 September, while what was missed is still being made up for. */
#define BLOCK_LOST_NS (YEAR_BEGIN_NS + 252 * DAY_NS)

static const uint64_t days_of_month[MONTHS] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

/* k_symbol; the code of a category's transfers is its place here + 1. */
static const char *const categories[] = {"SIPO", "POJISTNE", "UVER", "LEASING", "OTHER"};
enum { CATEGORIES = sizeof categories / sizeof categories[0] };

struct order {
    uint32_t id;
    uint32_t account;
    uint32_t bank;
    uint32_t category;
    uint64_t account_to;
    uint64_t amount; /* haleru */
};

struct sum {
    uint64_t count;
    uint64_t total;
};

struct sums {
    struct sum categories[CATEGORIES];
    struct sum accounts[ACCOUNTS_MAX];
    struct sum banks[BANKS_MAX];
};

/* The attempt of an order that has to come next. */
struct attempt {
    uint64_t due;
    uint32_t occurrence;
    uint32_t number;
};

struct year {
    struct fixture fixture;
    struct order orders[ORDERS];
    struct attempt attempts[ORDERS];
    struct sums file; /* one of each order */
    struct sums made; /* transfers in the log */
    giro_u128 ids[ORDERS * MONTHS];
    uint32_t ids_count;
    uint32_t fired_last; /* schedules in the last block */
    /* How many months the accounts can pay for, and what is done when they cannot. */
    uint32_t months_covered;
    uint8_t retries;
    uint32_t retry_s;
};

/* ---- The file ---------------------------------------------------------------------------- */

static uint32_t bank_of(const char *letters)
{
    cr_assert(letters[0] >= 'A' && letters[0] <= 'Z' && letters[1] >= 'A' && letters[1] <= 'Z');
    return (uint32_t)((letters[0] - 'A') * BANK_LETTERS + (letters[1] - 'A'));
}

static uint32_t category_of(const char *symbol)
{
    uint32_t category = 0;
    while (category < CATEGORIES && strcmp(symbol, categories[category]) != 0)
        category++;
    cr_assert(category < CATEGORIES, "no category: %s", symbol);
    return category;
}

static void order_read(const char *line, struct order *out)
{
    char bank[3];
    char symbol[16];
    char haleru[4];
    uint64_t koruny;
    int end = 0;
    int fields = sscanf(line, "%u;%u;\"%2[A-Z]\";\"%lu\";%lu.%3[0-9];\"%15[A-Z ]\"%n", &out->id,
                        &out->account, bank, &out->account_to, &koruny, haleru, symbol, &end);
    cr_assert(fields == 7 && strcmp(&line[end], "\r\n") == 0, "not an order: %s", line);
    cr_assert(strlen(bank) == 2 && strlen(haleru) == 2 && koruny < UINT32_MAX, "%s", line);
    cr_assert(out->account > 0 && out->account < ACCOUNTS_MAX, "%s", line);
    out->bank = bank_of(bank);
    out->category = category_of(strcmp(symbol, " ") == 0 ? "OTHER" : symbol);
    out->amount = koruny * 100 + strtoul(haleru, NULL, 10);
}

static void orders_read(struct year *year)
{
    char line[256];
    uint32_t count = 0;
    FILE *file = fopen(GIRO_TEST_ORDERS, "r");
    cr_assert(file != NULL, "cannot open %s", GIRO_TEST_ORDERS);
    cr_assert(fgets(line, sizeof line, file) != NULL, "the header");
    while (fgets(line, sizeof line, file) != NULL) {
        cr_assert(count < ORDERS);
        order_read(line, &year->orders[count++]);
    }
    cr_assert(count == ORDERS);
    (void)fclose(file);
}

/* What the other reader has found. */
static void sums_read(struct sums *sums)
{
    char kind[16];
    char key[16];
    struct sum sum;
    FILE *file = fopen(GIRO_TEST_ORDER_SUMS, "r");
    cr_assert(file != NULL, "cannot open %s", GIRO_TEST_ORDER_SUMS);
    while (fscanf(file, "%15s %15s %lu %lu", kind, key, &sum.count, &sum.total) == 4) {
        if (strcmp(kind, "category") == 0)
            sums->categories[category_of(key)] = sum;
        else if (strcmp(kind, "bank") == 0)
            sums->banks[bank_of(key)] = sum;
        else
            sums->accounts[strtoul(key, NULL, 10) % ACCOUNTS_MAX] = sum;
    }
    cr_assert(feof(file));
    (void)fclose(file);
}

/* ---- What is to come --------------------------------------------------------------------- */

static giro_u128 account_id(uint32_t account)
{
    return (giro_u128)2 << 96 | account;
}

static giro_u128 bank_id(uint32_t bank)
{
    return (giro_u128)4 << 96 | (bank + 1);
}

static uint64_t order_day(const struct order *order)
{
    return order->id % DAYS_MAX + 1;
}

/* When an order is due in a month of the year, from 0; 0: that is after the year. */
static uint64_t order_due(const struct order *order, uint32_t month)
{
    uint64_t days = 0;
    if (month >= MONTHS)
        return 0;
    for (uint32_t i = 0; i < month; i++)
        days += days_of_month[i];
    days += (order_day(order) < days_of_month[month] ? order_day(order) : days_of_month[month]) - 1;
    return YEAR_BEGIN_NS + days * DAY_NS + order->id % HOURS * HOUR_NS;
}

/* Ids are a promise to clients, which compute them too: they are made here once more. */
static giro_u128 attempt_id(giro_u128 schedule_id, uint32_t occurrence, uint32_t attempt)
{
    const struct {
        giro_u128 schedule_id;
        uint32_t occurrence;
        uint32_t attempt;
        uint64_t zeros;
    } key = {schedule_id, occurrence, attempt, 0};
    const XXH128_hash_t hash = XXH3_128bits(&key, sizeof key);
    return (giro_u128)hash.high64 << 64 | hash.low64;
}

static uint32_t result_expected(const struct year *year, uint32_t occurrence)
{
    return occurrence < year->months_covered ? GIRO_TRANSFER_CREATED
                                             : GIRO_TRANSFER_EXCEEDS_CREDITS;
}

static void attempt_advance(struct year *year, uint32_t row, uint64_t now)
{
    struct attempt *attempt = &year->attempts[row];
    if (result_expected(year, attempt->occurrence) != GIRO_TRANSFER_CREATED &&
        attempt->number < year->retries) {
        attempt->number++;
        attempt->due = now + year->retry_s * GIRO_NS_PER_S;
        return;
    }
    attempt->occurrence++;
    attempt->number = 0;
    attempt->due = order_due(&year->orders[row], attempt->occurrence);
}

/* ---- The ledger -------------------------------------------------------------------------- */

/* The fixture's requests, for those that it does not have. Its window is as large as its log. */
static struct ledger_output block_open(struct fixture *fixture, uint32_t records)
{
    uint64_t address = fixture->address_next + 1;
    cr_assert(address + records <= fixture->log_records, "the log is full");
    return (struct ledger_output){
        .records = &fixture->ledger->window.base[address],
        .address = address,
        .results = fixture->results,
    };
}

static void block_close(struct fixture *fixture, const struct ledger_output *output)
{
    memcpy(&fixture->log[output->address], output->records,
           output->record_count * sizeof(union record));
    fixture->address_next = output->address + output->record_count;
    fixture_check_invariants(fixture);
}

/* Customers cannot owe anything, but for a credit line that ends exactly with the last order. */
static void accounts_create(struct year *year)
{
    struct giro_account *accounts = calloc(ACCOUNTS_MAX + BANKS_MAX, sizeof *accounts);
    struct giro_limits *limits = calloc(ACCOUNTS_MAX, sizeof *limits);
    uint32_t count = 0;
    uint32_t limits_count = 0;
    cr_assert(accounts != NULL && limits != NULL);
    for (uint32_t i = 0; i < ACCOUNTS_MAX; i++) {
        if (year->file.accounts[i].count == 0)
            continue;
        limits[limits_count++] = (struct giro_limits){
            .account_id = account_id(i),
            .floor = (giro_u128)year->file.accounts[i].total * year->months_covered,
        };
        accounts[count++] = (struct giro_account){
            .id = account_id(i),
            .ledger = LEDGER,
            .code = ACCOUNT_CODE,
            .flags = GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS,
        };
    }
    for (uint32_t i = 0; i < BANKS_MAX; i++) {
        if (year->file.banks[i].count != 0)
            accounts[count++] =
                (struct giro_account){.id = bank_id(i), .ledger = LEDGER, .code = ACCOUNT_CODE};
    }
    const uint32_t *codes = fixture_create_accounts(&year->fixture, accounts, count);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(codes[i] == GIRO_ACCOUNT_CREATED);
    codes = fixture_set_limits(&year->fixture, limits, limits_count);
    for (uint32_t i = 0; i < limits_count; i++)
        cr_assert(codes[i] == GIRO_LIMITS_RESULT_SET);
    free(accounts);
    free(limits);
}

static struct giro_schedule schedule_of(const struct year *year, const struct order *order)
{
    return (struct giro_schedule){
        .id = order->id,
        .first = order_due(order, 0),
        .occurrences = MONTHS,
        .interval = 1,
        .retry_s = {year->retry_s},
        .rule = GIRO_SCHEDULE_MONTHS,
        .day = (uint8_t)order_day(order),
        .retries = year->retries,
        .transfer =
            {
                .debit_account_id = account_id(order->account),
                .credit_account_id = bank_id(order->bank),
                .amount = order->amount,
                .user_data_64 = order->account_to,
                .ledger = LEDGER,
                .code = (uint16_t)(order->category + 1),
            },
    };
}

static void schedules_create(struct year *year)
{
    struct fixture *fixture = &year->fixture;
    struct giro_schedule *events = calloc(SCHEDULES_PER_REQUEST, sizeof *events);
    cr_assert(events != NULL);
    for (uint32_t at = 0; at < ORDERS; at += SCHEDULES_PER_REQUEST) {
        uint32_t count = ORDERS - at < SCHEDULES_PER_REQUEST ? ORDERS - at : SCHEDULES_PER_REQUEST;
        for (uint32_t i = 0; i < count; i++) {
            events[i] = schedule_of(year, &year->orders[at + i]);
            year->attempts[at + i] = (struct attempt){.due = order_due(&year->orders[at + i], 0)};
        }
        struct ledger_output output = block_open(fixture, 2 * count);
        cr_assert(ledger_room_schedules(fixture->ledger, count) == LEDGER_ROOM);
        ledger_create_schedules(fixture->ledger, events, count, fixture->clock_ns, &output);
        cr_assert(output.result_count == 0 && output.record_count == 2 * count);
        block_close(fixture, &output);
        fixture->clock_ns += count;
    }
    free(events);
}

static struct year *year_new(uint32_t months_covered, uint8_t retries, uint32_t retry_s)
{
    const struct fixture_config config = {
        .clock_ns = YEAR_BEGIN_NS - DAY_NS,
        .log_records = LOG_RECORDS,
        .hash_seed = 8,
    };
    struct year *year = calloc(1, sizeof *year);
    cr_assert(year != NULL);
    year->months_covered = months_covered;
    year->retries = retries;
    year->retry_s = retry_s;
    orders_read(year);
    sums_read(&year->file);
    fixture_init(&year->fixture, &config);
    accounts_create(year);
    schedules_create(year);
    return year;
}

static void year_free(struct year *year)
{
    fixture_free(&year->fixture);
    free(year);
}

/* ---- The year ---------------------------------------------------------------------------- */

/* Records from an address on to the end of their block. */
static uint32_t block_records(const struct fixture *fixture, uint64_t address)
{
    uint32_t count = 0;
    while (address + count < fixture->address_next &&
           (fixture->log[address + count].transfer.flags != 0 ||
            fixture->log[address + count].transfer.id != 0))
        count++;
    return count;
}

/* Puts a new ledger that knows only the log in the place of the one that ran. */
static void restart(struct year *year, struct checksum expected)
{
    const struct ledger_config config = {
        .accounts_max = 1 << 16,
        .holds_max = 1 << 10,
        .transfers_max = 1 << 20,
        .transfers_expected = 1, /* far too small: ids are taken for others that have to be read */
        .hash_seed = year->fixture.hash_seed,
    };
    struct fixture *fixture = &year->fixture;
    struct ledger *next;
    cr_assert(ledger_create(&config, &next) == 0);
    for (uint64_t address = 1; address < fixture->address_next;) {
        const uint32_t run = block_records(fixture, address);
        uint32_t failed = 0;
        int error = ledger_replay(next, &fixture->log[address], run, address, &failed);
        cr_assert(error == 0, "replay: error %d at address %lu", error, address + failed);
        cr_assert(ledger_replay_ends(next));
        address += run + 1; /* the next block has a header */
    }
    next->window = fixture->ledger->window;
    ledger_destroy(fixture->ledger);
    fixture->ledger = next;
    cr_assert(checksum_equal(ledger_digest(next), expected), "the log tells another state");
}

/* The records that firing has asked for, out of the log. */
static void records_fetch(struct fixture *fixture, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t address = fixture->addresses[i];
        cr_assert(address > 0 && address < fixture->ledger->window.low);
        record_cache_put(&fixture->cache, address, &fixture->log[address]);
    }
    fixture->fetched_count += count;
}

static void fire(struct year *year)
{
    struct fixture *fixture = &year->fixture;
    struct ledger *ledger = fixture->ledger;
    const bool due = ledger_fire_due(ledger, fixture->clock_ns);
    uint32_t missing;
    fixture_forget(fixture, 0);
    record_cache_clear(&fixture->cache);
    struct ledger_output output = block_open(fixture, LEDGER_FIRE_MAX * LEDGER_FIRE_RECORDS);
    while ((missing = ledger_fire(ledger, fixture->clock_ns, LEDGER_FIRE_MAX, &fixture->cache,
                                  fixture->addresses, &output)) != 0) {
        cr_assert(output.record_count == 0, "what cannot be fired yet has changed nothing");
        records_fetch(fixture, missing);
    }
    year->fired_last = 0;
    for (uint32_t i = 0; i < output.record_count; i++)
        year->fired_last += record_system(&output.records[i]) == RECORD_SYSTEM_FIRING;
    cr_assert(due == (year->fired_last != 0));
    cr_assert(year->fired_last <= LEDGER_FIRE_MAX);
    block_close(fixture, &output);
}

/* Fires, and loses it: the block never reached the disk. The next tick has to fire the same. */
static void fire_and_lose(struct year *year)
{
    struct fixture *fixture = &year->fixture;
    const uint64_t begin = fixture->address_next;
    const struct checksum before = ledger_digest(fixture->ledger);
    fire(year);
    const uint64_t count = fixture->address_next - begin;
    cr_assert(year->fired_last == LEDGER_FIRE_MAX, "nothing is left to make up for");
    union record *lost = calloc(count, sizeof *lost);
    cr_assert(lost != NULL);
    memcpy(lost, &fixture->log[begin], count * sizeof *lost);
    memset(&fixture->log[begin], 0, count * sizeof *lost);
    fixture->address_next = begin;
    restart(year, before);

    fixture->clock_ns += TICK_NS;
    fire(year);
    cr_assert(fixture->address_next - begin == count);
    for (uint64_t i = 1; i < count; i++) {
        union record *again = &lost[i];
        again->transfer.timestamp += TICK_NS; /* at the same place in all records */
        if (record_system(again) == RECORD_SYSTEM_FIRING && again->firing.attempt_next != 0)
            again->firing.next += TICK_NS;
        cr_assert(memcmp(again, &fixture->log[begin + i], sizeof *again) == 0, "record %lu", i);
    }
    free(lost);
}

static uint64_t due_next(const struct year *year)
{
    const struct deadline *first = deadlines_first(&year->fixture.ledger->schedules.deadlines);
    return first != NULL ? first->time : UINT64_MAX;
}

static uint32_t month_of(uint64_t clock_ns)
{
    uint64_t day = (clock_ns - YEAR_BEGIN_NS) / DAY_NS;
    uint32_t month = 0;
    while (month < MONTHS && day >= days_of_month[month])
        day -= days_of_month[month++];
    return month;
}

/* Runs until nothing is due any more. */
static void year_run(struct year *year)
{
    struct fixture *fixture = &year->fixture;
    uint32_t month = 0;
    fixture->clock_ns = YEAR_BEGIN_NS;
    for (; due_next(year) != UINT64_MAX; fixture->clock_ns += TICK_NS) {
        if (fixture->clock_ns == DOWN_FROM_NS)
            fixture->clock_ns = DOWN_UNTIL_NS;
        if (month_of(fixture->clock_ns) != month) {
            month = month_of(fixture->clock_ns);
            restart(year, ledger_digest(fixture->ledger));
        }
        if (fixture->clock_ns == BLOCK_LOST_NS)
            fire_and_lose(year);
        else
            fire(year);
        if (fixture->clock_ns == DOWN_UNTIL_NS)
            cr_assert(year->fired_last == LEDGER_FIRE_MAX &&
                      due_next(year) < DOWN_FROM_NS + DAY_NS);
        cr_assert(fixture->clock_ns < YEAR_BEGIN_NS + 2 * 365 * DAY_NS, "it never ends");
    }
}

/* ---- What it has come to ----------------------------------------------------------------- */

static void sum_add(struct sum *sum, uint64_t amount)
{
    sum->count++;
    sum->total += amount;
}

static bool firing_matches(const struct year *year, const struct giro_firing *firing)
{
    const struct order *order = &year->orders[firing->row];
    const struct attempt *attempt = &year->attempts[firing->row];
    return firing->schedule_id == order->id && firing->occurrence == attempt->occurrence &&
           firing->attempt == attempt->number && attempt->occurrence < MONTHS &&
           firing->due == attempt->due && firing->due <= firing->timestamp &&
           firing->transfer_id == attempt_id(order->id, attempt->occurrence, attempt->number) &&
           firing->transfer_result == result_expected(year, attempt->occurrence);
}

static bool transfer_matches(const struct order *order, const struct giro_firing *firing,
                             const struct giro_transfer *transfer)
{
    return transfer->id == firing->transfer_id && transfer->timestamp == firing->timestamp &&
           transfer->debit_account_id == account_id(order->account) &&
           transfer->credit_account_id == bank_id(order->bank) &&
           transfer->amount == order->amount && transfer->user_data_64 == order->account_to &&
           transfer->ledger == LEDGER && transfer->code == order->category + 1 &&
           transfer->flags == 0 && transfer->pending_id == 0;
}

/* Every attempt in the log is the one that comes next for its order, and makes what it says. */
static void log_check(struct year *year)
{
    const struct fixture *fixture = &year->fixture;
    const struct giro_firing *before = NULL; /* in the same block */
    for (uint64_t address = 1; address < fixture->address_next; address++) {
        const struct giro_firing *firing = &fixture->log[address].firing;
        if (record_system(&fixture->log[address]) != RECORD_SYSTEM_FIRING) {
            cr_assert(record_kind(&fixture->log[address]) != RECORD_BURNT);
            cr_assert(record_kind(&fixture->log[address]) != RECORD_TRANSFER ||
                          firing->schedule_id == 0,
                      "address %lu: a transfer that no schedule has made", address);
            before = NULL;
            continue;
        }
        cr_assert(firing->row < ORDERS && firing_matches(year, firing), "address %lu: order %lu",
                  address, (uint64_t)firing->schedule_id);
        cr_assert(before == NULL || before->due < firing->due ||
                      (before->due == firing->due && before->row < firing->row),
                  "address %lu: out of order", address);
        before = firing;
        attempt_advance(year, firing->row, firing->timestamp);
        if (firing->transfer_result != GIRO_TRANSFER_CREATED)
            continue;
        const struct order *order = &year->orders[firing->row];
        const struct giro_transfer *transfer = &fixture->log[++address].transfer;
        cr_assert(transfer_matches(order, firing, transfer), "address %lu", address);
        sum_add(&year->made.categories[transfer->code - 1], (uint64_t)transfer->amount);
        sum_add(&year->made.accounts[order->account], (uint64_t)transfer->amount);
        sum_add(&year->made.banks[order->bank], (uint64_t)transfer->amount);
        cr_assert(year->ids_count < ORDERS * MONTHS, "more than there are orders");
        year->ids[year->ids_count++] = transfer->id;
    }
}

static int id_compare(const void *left, const void *right)
{
    giro_u128 a;
    giro_u128 b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

static void ids_check(struct year *year)
{
    cr_assert(year->ids_count == ORDERS * year->months_covered);
    cr_assert(year->fixture.ledger->transfers_count == year->ids_count);
    cr_assert(year->fixture.ledger->burnt_count == 0, "a refused attempt spends no id");
    qsort(year->ids, year->ids_count, sizeof year->ids[0], id_compare);
    for (uint32_t i = 1; i < year->ids_count; i++)
        cr_assert(year->ids[i - 1] != year->ids[i], "an id came twice");
}

static void sums_check(const struct sum *made, const struct sum *file, uint32_t count,
                       uint64_t times)
{
    for (uint32_t i = 0; i < count; i++) {
        cr_assert(made[i].count == times * file[i].count, "%u: %lu transfers", i, made[i].count);
        cr_assert(made[i].total == times * file[i].total, "%u: %lu haleru", i, made[i].total);
    }
}

static void balances_check(const struct year *year)
{
    struct giro_account account;
    giro_u128 all = 0;
    for (uint32_t i = 0; i < ACCOUNTS_MAX; i++) {
        const giro_u128 total = (giro_u128)year->file.accounts[i].total * year->months_covered;
        cr_assert(fixture_account(&year->fixture, account_id(i), &account) == (total != 0));
        all += total;
        cr_assert(total == 0 || (account.debits_posted == total && account.credits_posted == 0));
    }
    for (uint32_t i = 0; i < BANKS_MAX; i++) {
        const giro_u128 total = (giro_u128)year->file.banks[i].total * year->months_covered;
        cr_assert(fixture_account(&year->fixture, bank_id(i), &account) == (total != 0));
        cr_assert(total == 0 || (account.credits_posted == total && account.debits_posted == 0));
    }
    const struct ledger_sums sums = ledger_sum(year->fixture.ledger, LEDGER);
    cr_assert(sums.debits_posted == all && sums.credits_posted == all);
    cr_assert(sums.debits_pending == 0 && sums.credits_pending == 0);
}

static void schedules_check(const struct year *year)
{
    giro_u128 *ids = calloc(ORDERS, sizeof *ids);
    struct giro_schedule *rows = calloc(ORDERS, sizeof *rows);
    const uint32_t last = year->months_covered < MONTHS ? year->retries : 0;
    cr_assert(ids != NULL && rows != NULL);
    for (uint32_t i = 0; i < ORDERS; i++)
        ids[i] = year->orders[i].id;
    cr_assert(ledger_get_schedules(year->fixture.ledger, ids, ORDERS, rows) == ORDERS);
    for (uint32_t i = 0; i < ORDERS; i++) {
        struct giro_schedule expected = schedule_of(year, &year->orders[i]);
        expected.made = year->months_covered;
        expected.last_id = attempt_id(ids[i], MONTHS - 1, last);
        expected.last_result = result_expected(year, MONTHS - 1);
        expected.occurrence = MONTHS;
        expected.state = GIRO_SCHEDULE_OVER;
        expected.timestamp = rows[i].timestamp;
        cr_assert(memcmp(&rows[i], &expected, sizeof expected) == 0, "order %lu", (uint64_t)ids[i]);
        cr_assert(year->attempts[i].occurrence == MONTHS && year->attempts[i].due == 0);
    }
    free(ids);
    free(rows);
}

static void year_check(struct year *year)
{
    log_check(year);
    ids_check(year);
    sums_check(year->made.categories, year->file.categories, CATEGORIES, year->months_covered);
    sums_check(year->made.accounts, year->file.accounts, ACCOUNTS_MAX, year->months_covered);
    sums_check(year->made.banks, year->file.banks, BANKS_MAX, year->months_covered);
    balances_check(year);
    schedules_check(year);
    fixture_check_invariants(&year->fixture);
    cr_assert(year->fixture.fetched_count > 0, "no id looked like another: take another hash_seed");
}

Test(berka_year, makes_every_order_twelve_times)
{
    struct year *year = year_new(MONTHS, 0, 0);
    year_run(year);
    cr_assert(year->fixture.clock_ns <= YEAR_BEGIN_NS + 366 * DAY_NS, "it is late");
    year_check(year);
    year_free(year);
}

/* Nothing is left from April on: each order is tried twice a month, and makes nothing. */
Test(berka_year, makes_none_beyond_the_credit_line)
{
    struct year *year = year_new(3, 1, 2 * 86400);
    year_run(year);
    year_check(year);
    year_free(year);
}
