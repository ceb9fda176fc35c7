#include "tests/ledger_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- The ledger and its log -------------------------------------------------------------- */

enum { SPOILT_BYTE = 0xee };

static struct ledger *ledger_make(uint64_t hash_seed)
{
    struct ledger_config config = {
        .accounts_max = 1 << 18,
        .holds_max = 1 << 16,
        .transfers_max = 1 << 20,
        .transfers_expected = 1 << 10,
        .hash_seed = hash_seed,
    };
    struct ledger *ledger;
    cr_assert(ledger_create(&config, &ledger) == 0);
    return ledger;
}

void fixture_init(struct fixture *fixture, const struct fixture_config *config)
{
    static const struct fixture_config defaults = {0};
    if (config == NULL)
        config = &defaults;
    *fixture = (struct fixture){
        .ledger = ledger_make(config->hash_seed),
        .log_records = config->log_records != 0 ? config->log_records : 1 << 16,
        .clock_ns = config->clock_ns != 0 ? config->clock_ns : FIXTURE_CLOCK_NS,
        .hash_seed = config->hash_seed,
    };
    uint64_t window_records =
        config->window_records != 0 ? config->window_records : fixture->log_records;
    fixture->log = calloc(fixture->log_records, sizeof *fixture->log);
    fixture->addresses = calloc(LEDGER_FETCH_MAX, sizeof *fixture->addresses);
    fixture->results = calloc(LEDGER_EVENTS_MAX, sizeof *fixture->results);
    fixture->codes = calloc(LEDGER_EVENTS_MAX, sizeof *fixture->codes);
    union record *window = calloc(window_records, sizeof *window);
    cr_assert(fixture->log != NULL);
    cr_assert(fixture->addresses != NULL);
    cr_assert(fixture->results != NULL);
    cr_assert(fixture->codes != NULL);
    cr_assert(window != NULL);
    cr_assert(record_cache_init(&fixture->cache, LEDGER_CACHE_RECORDS) == 0);
    fixture->ledger->window =
        (struct record_window){.base = window, .records = window_records, .low = 1};
}

void fixture_free(struct fixture *fixture)
{
    free(fixture->ledger->window.base);
    ledger_destroy(fixture->ledger);
    record_cache_free(&fixture->cache);
    free(fixture->log);
    free(fixture->addresses);
    free(fixture->results);
    free(fixture->codes);
}

static void window_low_set(struct fixture *fixture, uint64_t low)
{
    struct record_window *window = &fixture->ledger->window;
    for (uint64_t address = window->low; address < low; address++)
        memset(&window->base[address & (window->records - 1)], SPOILT_BYTE, sizeof(union record));
    if (low > window->low)
        window->low = low;
}

void fixture_forget(struct fixture *fixture, uint64_t records_kept)
{
    if (fixture->address_next > fixture->ledger->window.low + records_kept)
        window_low_set(fixture, fixture->address_next - records_kept);
}

/* Every request is a block of its own: a header's address is left out before it. A block does not
 * wrap around the end of the ring. */
static void output_open(struct fixture *fixture, uint32_t records, struct ledger_output *output)
{
    struct record_window *window = &fixture->ledger->window;
    uint64_t mask = window->records - 1;
    uint64_t address = fixture->address_next + 1;
    cr_assert(records < window->records);
    if (fixture->forget_always)
        fixture_forget(fixture, 0);
    if ((address & mask) + records > window->records)
        address = (address | mask) + 2;
    cr_assert(address + records <= fixture->log_records, "the fixture's log is full");
    if (address + records > window->records)
        window_low_set(fixture, address + records - window->records);
    *output = (struct ledger_output){
        .records = &window->base[address & mask],
        .address = address,
        .results = fixture->results,
    };
}

static void output_close(struct fixture *fixture, const struct ledger_output *output)
{
    memcpy(&fixture->log[output->address], output->records,
           output->record_count * sizeof(union record));
    fixture->address_next = output->address + output->record_count;
}

static void cache_fill(struct fixture *fixture, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t address = fixture->addresses[i];
        cr_assert(address > 0 && address < fixture->ledger->window.low,
                  "asked for address %lu, which is in the window", address);
        cr_assert(fixture->log[address].transfer.id != 0);
        record_cache_put(&fixture->cache, address, &fixture->log[address]);
    }
    fixture->fetched_count += count;
}

/* Records that only say what the transfer behind them cannot. */
static uint32_t companions_count(const struct ledger_output *output)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < output->record_count; i++) {
        const struct giro_transfer *record = &output->records[i].transfer;
        if (record_system(&output->records[i]) != RECORD_SYSTEM_PAYMENT)
            continue;
        cr_assert(i + 1 < output->record_count && record->user_data_128 == record[1].id);
        cr_assert(record->pending_id == 0 || record->pending_id == record[1].pending_id);
        cr_assert(record->pending_id != 0 || record->user_data_32 != 0, "it says nothing");
        count++;
    }
    return count;
}

/* Spreads the results over the events and checks that they agree with the records written. */
static void codes_collect(struct fixture *fixture, const struct ledger_output *output,
                          uint32_t count, bool transfers)
{
    uint32_t records_expected = count;
    memset(fixture->codes, 0, count * sizeof *fixture->codes);
    for (uint32_t i = 0; i < output->result_count; i++) {
        const struct giro_result *result = &output->results[i];
        cr_assert(result->code != 0, "created is not reported");
        cr_assert(result->index < count);
        cr_assert(i == 0 || result->index > output->results[i - 1].index, "results out of order");
        fixture->codes[result->index] = result->code;
        if (!transfers || !giro_transfer_result_is_transient(result->code))
            records_expected--;
    }
    uint32_t records = output->record_count - companions_count(output);
    cr_assert(records == records_expected, "%u records, expected %u", records, records_expected);
}

const uint32_t *fixture_create_accounts(struct fixture *fixture, const struct giro_account *events,
                                        uint32_t count)
{
    struct ledger_output output;
    if (fixture->model != NULL) {
        model_create_accounts(fixture->model, events, count, fixture->clock_ns, fixture->codes);
        fixture->clock_ns += count != 0 ? count : 1;
        return fixture->codes;
    }
    cr_assert(ledger_room_accounts(fixture->ledger, count) == LEDGER_ROOM);
    output_open(fixture, count, &output);
    ledger_create_accounts(fixture->ledger, events, count, fixture->clock_ns, &output);
    output_close(fixture, &output);
    codes_collect(fixture, &output, count, false);
    fixture->clock_ns += count != 0 ? count : 1;
    fixture_check_invariants(fixture);
    return fixture->codes;
}

const uint32_t *fixture_create_transfers(struct fixture *fixture,
                                         const struct giro_transfer *events, uint32_t count)
{
    struct ledger_output output;
    if (fixture->model != NULL) {
        model_create_transfers(fixture->model, events, count, fixture->clock_ns, fixture->codes);
        fixture->clock_ns += count != 0 ? count : 1;
        return fixture->codes;
    }
    cr_assert(ledger_room_transfers(fixture->ledger, events, count) == LEDGER_ROOM);
    output_open(fixture, ledger_records_max(events, count), &output);
    record_cache_clear(&fixture->cache);
    for (;;) {
        struct checksum before = ledger_digest(fixture->ledger);
        uint32_t missing =
            ledger_create_transfers(fixture->ledger, events, count, fixture->clock_ns,
                                    &fixture->cache, fixture->addresses, &output);
        if (missing == 0)
            break;
        /* What cannot be executed yet has changed nothing. */
        cr_assert(checksum_equal(before, ledger_digest(fixture->ledger)));
        cr_assert(output.record_count == 0 && output.result_count == 0);
        cache_fill(fixture, missing);
    }
    output_close(fixture, &output);
    codes_collect(fixture, &output, count, true);
    fixture->clock_ns += count != 0 ? count : 1;
    fixture_check_invariants(fixture);
    return fixture->codes;
}

/* Every row that is accepted is in the log as it was sent, with its timestamp. */
static void limits_records_check(const struct fixture *fixture, const struct giro_limits *events,
                                 uint32_t count, const struct ledger_output *output)
{
    const union record *record = output->records;
    for (uint32_t i = 0; i < count; i++) {
        struct giro_limits written;
        struct giro_limits expected = events[i];
        if (fixture->codes[i] != GIRO_LIMITS_RESULT_SET)
            continue;
        cr_assert(record_system(record) == RECORD_SYSTEM_LIMITS, "event %u: another record", i);
        memcpy(&written, record, sizeof written);
        written.flags &= RECORD_FLAGS_MASK;
        written.reserved_1 = 0; /* there is the record's code */
        expected.timestamp = fixture->clock_ns + i;
        cr_assert(memcmp(&written, &expected, sizeof written) == 0, "event %u: another row", i);
        record++;
    }
}

const uint32_t *fixture_set_limits(struct fixture *fixture, const struct giro_limits *events,
                                   uint32_t count)
{
    struct ledger_output output;
    if (fixture->model != NULL) {
        model_set_limits(fixture->model, events, count, fixture->clock_ns, fixture->codes);
        fixture->clock_ns += count != 0 ? count : 1;
        return fixture->codes;
    }
    output_open(fixture, count, &output);
    ledger_set_limits(fixture->ledger, events, count, fixture->clock_ns, &output);
    output_close(fixture, &output);
    codes_collect(fixture, &output, count, false);
    limits_records_check(fixture, events, count, &output);
    fixture->clock_ns += count != 0 ? count : 1;
    fixture_check_invariants(fixture);
    return fixture->codes;
}

uint32_t fixture_get_limits(const struct fixture *fixture, const giro_u128 *ids, uint32_t count,
                            struct giro_limits *rows)
{
    uint32_t found = 0;
    if (fixture->model == NULL)
        return ledger_get_limits(fixture->ledger, ids, count, rows);
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_limits *row = model_limits(fixture->model, ids[i]);
        if (row != NULL)
            rows[found++] = *row;
    }
    return found;
}

uint32_t fixture_expire(struct fixture *fixture, uint32_t records_max)
{
    struct ledger_output output;
    if (fixture->model != NULL) {
        uint32_t released = model_expire(fixture->model, fixture->clock_ns, records_max);
        fixture->clock_ns += released + 1;
        return released;
    }
    output_open(fixture, records_max, &output);
    bool due = ledger_expiry_due(fixture->ledger, fixture->clock_ns);
    ledger_expire(fixture->ledger, fixture->clock_ns, records_max, &output);
    cr_assert(output.record_count <= records_max);
    cr_assert((output.record_count > 0) == (due && records_max > 0));
    output_close(fixture, &output);
    fixture->clock_ns += output.record_count + 1;
    fixture_check_invariants(fixture);
    return output.record_count;
}

bool fixture_account(const struct fixture *fixture, giro_u128 id, struct giro_account *out_account)
{
    if (fixture->model != NULL) {
        const struct giro_account *account = model_account(fixture->model, id);
        if (account != NULL)
            *out_account = *account;
        return account != NULL;
    }
    return ledger_lookup_accounts(fixture->ledger, &id, 1, out_account) == 1;
}

uint32_t fixture_lookup_transfers(struct fixture *fixture, const giro_u128 *ids, uint32_t count,
                                  struct giro_transfer *transfers)
{
    record_cache_clear(&fixture->cache);
    uint32_t missing =
        ledger_prepare_lookup(fixture->ledger, ids, count, &fixture->cache, fixture->addresses);
    if (missing != 0) {
        cache_fill(fixture, missing);
        cr_assert(ledger_prepare_lookup(fixture->ledger, ids, count, &fixture->cache,
                                        fixture->addresses) == 0);
    }
    return ledger_lookup_transfers(fixture->ledger, ids, count, &fixture->cache, transfers);
}

bool fixture_transfer(struct fixture *fixture, giro_u128 id, struct giro_transfer *out_transfer)
{
    if (fixture->model != NULL) {
        const struct giro_transfer *transfer = model_transfer(fixture->model, id);
        if (transfer != NULL)
            *out_transfer = *transfer;
        return transfer != NULL;
    }
    return fixture_lookup_transfers(fixture, &id, 1, out_transfer) == 1;
}

static bool payment_of(const struct ledger *ledger, giro_u128 id, struct model_payment *out)
{
    struct ledger_payment payment;
    if (!ledger_payment(ledger, id, &payment))
        return false;
    *out = (struct model_payment){
        .amount = payment.amount,
        .taken = payment.taken,
        .left = payment.left,
        .marks = payment.marks,
        .depth = payment.depth,
    };
    return true;
}

bool fixture_payment(const struct fixture *fixture, giro_u128 id, struct model_payment *out)
{
    return fixture->model != NULL ? model_payment(fixture->model, id, out)
                                  : payment_of(fixture->ledger, id, out);
}

/* ---- Checks ------------------------------------------------------------------------------ */

void fixture_check_invariants(const struct fixture *fixture)
{
    const struct ledger *ledger = fixture->ledger;
    const struct holds *holds = &ledger->holds;
    struct ledger_sums sums = ledger_sum(ledger, 0);
    cr_assert(sums.debits_pending == sums.credits_pending, "pending debits and credits differ");
    cr_assert(sums.debits_posted == sums.credits_posted, "posted debits and credits differ");

    uint32_t open = 0;
    uint32_t deadlines = 0;
    uint64_t earliest = UINT64_MAX;
    for (uint32_t slot = 0; slot < holds->slots_used; slot++) {
        const struct hold *hold = &holds->slots[slot];
        if (hold->record.id == 0)
            continue;
        cr_assert(hold->state == HOLD_OPEN, "a hold that ended outlived its request");
        open++;
        deadlines += hold->expires_at != 0;
        if (hold->expires_at != 0 && hold->expires_at < earliest)
            earliest = hold->expires_at;
    }
    cr_assert(open == holds->count);
    cr_assert(deadlines == holds->heap_count);
    if (deadlines != 0)
        cr_assert(holds_earliest(holds)->expires_at == earliest, "the heap is out of order");
    cr_assert(ledger->transfers.count == ledger->transfers_count + ledger->burnt_count);
}

static void holds_compare(const struct holds *left, const struct holds *right)
{
    cr_assert(left->count == right->count);
    for (uint32_t slot = 0; slot < left->slots_used; slot++) {
        const struct hold *hold = &left->slots[slot];
        if (hold->record.id == 0)
            continue;
        const struct hold *other = holds_find(right, hold->record.id);
        cr_assert(other != NULL);
        cr_assert(memcmp(&hold->record, &other->record, sizeof hold->record) == 0);
        cr_assert(hold->expires_at == other->expires_at);
        cr_assert(hold->address == other->address);
        cr_assert(hold->debit_row == other->debit_row);
        cr_assert(hold->credit_row == other->credit_row);
        cr_assert(hold->payment == other->payment);
    }
}

/* The server's timestamps are unique and in order; imported ones are the caller's. */
static void log_timestamps_check(const struct fixture *fixture)
{
    uint64_t last = 0;
    for (uint64_t address = 1; address < fixture->address_next; address++) {
        const union record *record = &fixture->log[address];
        uint16_t imported =
            record_kind(record) == RECORD_ACCOUNT ? GIRO_ACCOUNT_IMPORTED : GIRO_TRANSFER_IMPORTED;
        if (record->transfer.timestamp == 0 || (record->transfer.flags & imported) != 0 ||
            record_system(record) == RECORD_SYSTEM_PAYMENT)
            continue;
        cr_assert(record->transfer.timestamp > last, "address %lu: timestamp", address);
        last = record->transfer.timestamp;
    }
}

static void payments_compare(const struct ledger *left, const struct ledger *right, giro_u128 id)
{
    struct model_payment one = {0};
    struct model_payment other = {0};
    cr_assert(payment_of(left, id, &one) == payment_of(right, id, &other));
    cr_assert(one.amount == other.amount);
    cr_assert(one.taken == other.taken);
    cr_assert(one.left == other.left);
    cr_assert(one.marks == other.marks);
    cr_assert(one.depth == other.depth);
}

/* Both ledgers have the same accounts. */
static void limits_compare(const struct ledger *left, const struct ledger *right)
{
    for (uint32_t i = 0; i < left->accounts.count; i++) {
        struct giro_limits one = {0};
        struct giro_limits other = {0};
        giro_u128 id = left->accounts.rows[i].id;
        cr_assert(ledger_get_limits(left, &id, 1, &one) == ledger_get_limits(right, &id, 1, &other),
                  "account %lu: limits", (uint64_t)id);
        cr_assert(memcmp(&one, &other, sizeof one) == 0, "account %lu: limits", (uint64_t)id);
    }
}

/* A lookup of every transfer, what is kept beside it, and the outcome of every hold, are the same
 * after replay. */
static void replayed_log_compare(struct fixture *fixture, const struct ledger *replayed)
{
    for (uint64_t address = 1; address < fixture->address_next; address++) {
        const union record *record = &fixture->log[address];
        if (record->transfer.id == 0 || record_kind(record) != RECORD_TRANSFER)
            continue;
        struct giro_transfer found;
        struct record_window window = {.base = fixture->log, .records = fixture->log_records};
        struct ledger view = *replayed;
        view.window = window;
        cr_assert(ledger_lookup_transfers(&view, &record->transfer.id, 1, NULL, &found) == 1);
        cr_assert(memcmp(&found, record, sizeof found) == 0);
        cr_assert(holds_outcome(&replayed->holds, address) ==
                  holds_outcome(&fixture->ledger->holds, address));
        payments_compare(replayed, fixture->ledger, record->transfer.id);
    }
}

void fixture_check_replay(struct fixture *fixture, uint32_t run_max)
{
    struct ledger *replayed = ledger_make(fixture->hash_seed);
    const union record *log = fixture->log;
    for (uint64_t address = 1; address < fixture->address_next;) {
        uint32_t run = 0;
        while (run < run_max && address + run < fixture->address_next &&
               (log[address + run].transfer.flags != 0 || log[address + run].transfer.id != 0))
            run++;
        uint32_t failed = UINT32_MAX;
        int error = ledger_replay(replayed, &log[address], run, address, &failed);
        cr_assert(error == 0, "replay: error %d at address %lu", error, address + failed);
        address += run != 0 ? run : 1; /* an empty run: a header's address */
    }
    const struct ledger *ledger = fixture->ledger;
    size_t rows_bytes = ledger->accounts.count * sizeof(struct giro_account);
    cr_assert(replayed->accounts.count == ledger->accounts.count);
    cr_assert(memcmp(replayed->accounts.rows, ledger->accounts.rows, rows_bytes) == 0);
    holds_compare(&ledger->holds, &replayed->holds);
    limits_compare(ledger, replayed);
    log_timestamps_check(fixture);
    replayed_log_compare(fixture, replayed);
    cr_assert(replayed->timestamp_last == ledger->timestamp_last);
    cr_assert(checksum_equal(ledger_digest(replayed), ledger_digest(ledger)));
    ledger_destroy(replayed);
}

/* ---- Snapshots --------------------------------------------------------------------------- */

/* All state that a failed chain must leave as it was. */
struct snapshot {
    struct giro_account *accounts;
    uint32_t accounts_count;
    struct hold *holds;
    uint32_t holds_count;
    uint64_t timestamp_last;
    uint64_t account_timestamp_last;
    uint64_t transfer_timestamp_last;
    uint64_t transfers_count;
    uint64_t burnt_count;
    struct checksum digest;
    struct giro_limits *limits; /* an account each; zeros: never set */
    struct model_state *model;  /* with a fixture of the model: this and the limits alone */
};

static void snapshot_free(struct snapshot *snapshot)
{
    free(snapshot->accounts);
    free(snapshot->holds);
    free(snapshot->limits);
    free(snapshot->model);
    *snapshot = (struct snapshot){0};
}

/* Accounts stay in their order, so a row's number is its account's. */
static struct giro_limits *limits_copy(const struct fixture *fixture)
{
    bool by_model = fixture->model != NULL;
    uint32_t count =
        by_model ? fixture->model->now.accounts_count : fixture->ledger->accounts.count;
    struct giro_limits *rows = calloc(count + 1u, sizeof *rows);
    cr_assert(rows != NULL);
    for (uint32_t i = 0; i < count; i++) {
        giro_u128 id =
            by_model ? fixture->model->now.accounts[i].id : fixture->ledger->accounts.rows[i].id;
        (void)fixture_get_limits(fixture, &id, 1, &rows[i]);
    }
    return rows;
}

static void snapshot_take(struct snapshot *snapshot, const struct ledger *ledger)
{
    snapshot_free(snapshot);
    uint32_t accounts_count = ledger->accounts.count;
    *snapshot = (struct snapshot){
        .accounts = calloc(accounts_count + 1u, sizeof *snapshot->accounts),
        .accounts_count = accounts_count,
        .holds = calloc(ledger->holds.count + 1u, sizeof *snapshot->holds),
        .timestamp_last = ledger->timestamp_last,
        .account_timestamp_last = ledger->account_timestamp_last,
        .transfer_timestamp_last = ledger->transfer_timestamp_last,
        .transfers_count = ledger->transfers_count,
        .burnt_count = ledger->burnt_count,
        .digest = ledger_digest(ledger),
    };
    cr_assert(snapshot->accounts != NULL);
    cr_assert(snapshot->holds != NULL);
    memcpy(snapshot->accounts, ledger->accounts.rows, accounts_count * sizeof(struct giro_account));
    for (uint32_t slot = 0; slot < ledger->holds.slots_used; slot++) {
        if (ledger->holds.slots[slot].record.id != 0)
            snapshot->holds[snapshot->holds_count++] = ledger->holds.slots[slot];
    }
}

static void snapshot_compare(const struct snapshot *snapshot, const struct ledger *ledger,
                             bool burnt, uint32_t line)
{
    cr_assert(ledger->accounts.count == snapshot->accounts_count, "line %u: accounts", line);
    cr_assert(memcmp(ledger->accounts.rows, snapshot->accounts,
                     snapshot->accounts_count * sizeof(struct giro_account)) == 0,
              "line %u: account rows", line);
    cr_assert(ledger->holds.count == snapshot->holds_count, "line %u: open holds", line);
    for (uint32_t i = 0; i < snapshot->holds_count; i++) {
        const struct hold *before = &snapshot->holds[i];
        const struct hold *now = holds_find(&ledger->holds, before->record.id);
        cr_assert(now != NULL, "line %u: a hold is gone", line);
        cr_assert(memcmp(&now->record, &before->record, sizeof now->record) == 0, "line %u", line);
        cr_assert(now->address == before->address, "line %u: address", line);
        cr_assert(now->expires_at == before->expires_at, "line %u: deadline", line);
        cr_assert(now->state == HOLD_OPEN, "line %u: hold state", line);
        cr_assert(holds_outcome(&ledger->holds, now->address) == HOLD_OPEN, "line %u", line);
        cr_assert((now->heap_position == HOLDS_NOT_IN_HEAP) == (now->expires_at == 0));
    }
    cr_assert(ledger->transfers_count == snapshot->transfers_count, "line %u: count", line);
    cr_assert(ledger->account_timestamp_last == snapshot->account_timestamp_last, "line %u", line);
    cr_assert(ledger->transfer_timestamp_last == snapshot->transfer_timestamp_last, "line %u",
              line);
    if (burnt) {
        cr_assert(ledger->burnt_count > snapshot->burnt_count, "line %u: no id is burnt", line);
        return;
    }
    cr_assert(ledger->burnt_count == snapshot->burnt_count, "line %u: an id is burnt", line);
    cr_assert(ledger->timestamp_last == snapshot->timestamp_last, "line %u: timestamp", line);
    cr_assert(checksum_equal(ledger_digest(ledger), snapshot->digest), "line %u: digest", line);
}

static void model_snapshot_take(struct snapshot *snapshot, const struct model *model)
{
    snapshot_free(snapshot);
    snapshot->model = calloc(1, sizeof *snapshot->model);
    cr_assert(snapshot->model != NULL);
    *snapshot->model = model->now;
}

static void model_snapshot_compare(const struct snapshot *snapshot, const struct model *model,
                                   bool burnt, uint32_t line)
{
    const struct model_state *before = snapshot->model;
    const struct model_state *now = &model->now;
    uint32_t count = before->transfers_count;
    cr_assert(now->accounts_count == before->accounts_count, "line %u: accounts", line);
    cr_assert(memcmp(now->accounts, before->accounts,
                     before->accounts_count * sizeof *before->accounts) == 0,
              "line %u: account rows", line);
    cr_assert(memcmp(now->status, before->status, count * sizeof *before->status) == 0, "line %u",
              line);
    cr_assert(memcmp(now->notes, before->notes, count * sizeof *before->notes) == 0, "line %u",
              line);
    cr_assert((now->transfers_count > count) == burnt, "line %u: count", line);
    for (uint32_t i = count; i < now->transfers_count; i++)
        cr_assert(now->status[i] == MODEL_BURNT, "line %u: a transfer is new", line);
}

/* ---- Rows -------------------------------------------------------------------------------- */

enum {
    SCRIPT_EVENTS_MAX = 256,
    LINE_BYTES_MAX = 256,
    WORDS_MAX = 24,
    PLACES_MAX = 5,
};

/* One line of a script, cut into words. */
struct row {
    char text[LINE_BYTES_MAX];
    char *words[WORDS_MAX];
    uint32_t word_count;
    const char *result; /* what stands after the bar, NULL without one */
    uint32_t line;
};

struct script {
    struct fixture *fixture;
    struct fixture_coverage *coverage;
    struct snapshot snapshot;
    enum record_kind kind; /* of the events */
    union record events[SCRIPT_EVENTS_MAX];
    uint32_t codes[SCRIPT_EVENTS_MAX]; /* expected */
    uint32_t lines[SCRIPT_EVENTS_MAX];
    uint32_t event_count;
};

struct field {
    const char *name;
    size_t offset;
    size_t bytes;
};

struct flag {
    const char *name;
    uint16_t bit;
};

/* What an event row begins with, and what its first words stand for. */
struct verb {
    const char *name;
    enum record_kind kind;
    uint16_t flags;
    uint16_t ledger_and_code;
    const char *places[PLACES_MAX];
};

#define FIELD(type, name, member)                                                                  \
    {                                                                                              \
        name, offsetof(struct type, member), sizeof(((struct type *)0)->member)                    \
    }

static const struct field account_fields[] = {
    FIELD(giro_account, "id", id),
    FIELD(giro_account, "debits_pending", debits_pending),
    FIELD(giro_account, "debits_posted", debits_posted),
    FIELD(giro_account, "credits_pending", credits_pending),
    FIELD(giro_account, "credits_posted", credits_posted),
    FIELD(giro_account, "user_data_128", user_data_128),
    FIELD(giro_account, "user_data_64", user_data_64),
    FIELD(giro_account, "user_data_32", user_data_32),
    FIELD(giro_account, "reserved", reserved),
    FIELD(giro_account, "ledger", ledger),
    FIELD(giro_account, "code", code),
    FIELD(giro_account, "flags", flags),
    FIELD(giro_account, "timestamp", timestamp),
    {0},
};

static const struct field transfer_fields[] = {
    FIELD(giro_transfer, "id", id),
    FIELD(giro_transfer, "debit", debit_account_id),
    FIELD(giro_transfer, "credit", credit_account_id),
    FIELD(giro_transfer, "amount", amount),
    FIELD(giro_transfer, "pending_id", pending_id),
    FIELD(giro_transfer, "user_data_128", user_data_128),
    FIELD(giro_transfer, "user_data_64", user_data_64),
    FIELD(giro_transfer, "user_data_32", user_data_32),
    FIELD(giro_transfer, "timeout", timeout),
    FIELD(giro_transfer, "ledger", ledger),
    FIELD(giro_transfer, "code", code),
    FIELD(giro_transfer, "flags", flags),
    FIELD(giro_transfer, "timestamp", timestamp),
    {0},
};

static const struct field limits_fields[] = {
    FIELD(giro_limits, "account_id", account_id),
    FIELD(giro_limits, "floor", floor),
    FIELD(giro_limits, "balance_max", balance_max),
    FIELD(giro_limits, "transfer_max", transfer_max),
    FIELD(giro_limits, "over_capture", over_capture),
    FIELD(giro_limits, "reserved_first", reserved[0]),
    FIELD(giro_limits, "reserved_last", reserved[47]),
    FIELD(giro_limits, "reserved_1", reserved_1),
    FIELD(giro_limits, "flags", flags),
    FIELD(giro_limits, "timestamp", timestamp),
    {0},
};

#undef FIELD

static const struct flag account_flags[] = {
    {"linked", GIRO_ACCOUNT_LINKED},
    {"debits_must_not_exceed_credits", GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS},
    {"credits_must_not_exceed_debits", GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS},
    {"history", GIRO_ACCOUNT_HISTORY},
    {"imported", GIRO_ACCOUNT_IMPORTED},
    {"closed", GIRO_ACCOUNT_CLOSED},
    {0},
};

static const struct flag transfer_flags[] = {
    {"linked", GIRO_TRANSFER_LINKED},
    {"pending", GIRO_TRANSFER_PENDING},
    {"post", GIRO_TRANSFER_POST_PENDING},
    {"void", GIRO_TRANSFER_VOID_PENDING},
    {"balancing_debit", GIRO_TRANSFER_BALANCING_DEBIT},
    {"balancing_credit", GIRO_TRANSFER_BALANCING_CREDIT},
    {"closing_debit", GIRO_TRANSFER_CLOSING_DEBIT},
    {"closing_credit", GIRO_TRANSFER_CLOSING_CREDIT},
    {"imported", GIRO_TRANSFER_IMPORTED},
    {"return", GIRO_TRANSFER_RETURN},
    {"keep_open", GIRO_TRANSFER_KEEP_OPEN},
    {"adjust", GIRO_TRANSFER_ADJUST},
    {"fact", GIRO_TRANSFER_FACT},
    {"no_limit", GIRO_TRANSFER_NO_LIMIT},
    {0},
};

static const struct flag limits_flags[] = {
    {"block_debits", GIRO_LIMITS_BLOCK_DEBITS},
    {"block_credits", GIRO_LIMITS_BLOCK_CREDITS},
    {"frozen", GIRO_LIMITS_FROZEN},
    {0},
};

/* A row of limits is written as a system record: that is its kind here. Its flags lie where those
 * of the others do. */
_Static_assert(offsetof(struct giro_limits, flags) == offsetof(struct giro_transfer, flags),
               "flags");

static const struct verb verbs[] = {
    {"account", RECORD_ACCOUNT, 0, 1, {"id"}},
    {"transfer", RECORD_TRANSFER, 0, 1, {"id", "debit", "credit", "amount"}},
    {"pending", RECORD_TRANSFER, GIRO_TRANSFER_PENDING, 1, {"id", "debit", "credit", "amount"}},
    {"post", RECORD_TRANSFER, GIRO_TRANSFER_POST_PENDING, 0, {"id", "pending_id", "amount"}},
    {"void", RECORD_TRANSFER, GIRO_TRANSFER_VOID_PENDING, 0, {"id", "pending_id", "amount"}},
    {"adjust",
     RECORD_TRANSFER,
     GIRO_TRANSFER_PENDING | GIRO_TRANSFER_ADJUST,
     0,
     {"id", "pending_id", "amount"}},
    {"return",
     RECORD_TRANSFER,
     GIRO_TRANSFER_RETURN,
     1,
     {"id", "pending_id", "debit", "credit", "amount"}},
    {"limits", RECORD_SYSTEM, 0, 0, {"account_id"}},
    {0},
};

static bool same(const char *left, const char *right)
{
    return strcmp(left, right) == 0;
}

/* Cuts the next line off a text; false at its end. */
static bool row_next(const char **text, struct row *row)
{
    if (**text == '\0')
        return false;
    size_t bytes = strcspn(*text, "\n");
    cr_assert(bytes < LINE_BYTES_MAX, "line %u is too long", row->line + 1);
    memcpy(row->text, *text, bytes);
    row->text[bytes] = '\0';
    *text += bytes + ((*text)[bytes] == '\n');

    row->line++;
    row->word_count = 0;
    row->result = NULL;
    char *state = NULL;
    for (char *word = strtok_r(row->text, " ", &state); word != NULL;
         word = strtok_r(NULL, " ", &state)) {
        if (same(word, "|")) {
            row->result = strtok_r(NULL, " ", &state);
            cr_assert(row->result != NULL, "line %u: no result", row->line);
            cr_assert(strtok_r(NULL, " ", &state) == NULL, "line %u: two results", row->line);
            break;
        }
        cr_assert(row->word_count < WORDS_MAX, "line %u: too many words", row->line);
        row->words[row->word_count++] = word;
    }
    return true;
}

static uint64_t timestamp_of(struct fixture *fixture, char kind, giro_u128 id)
{
    struct giro_account account;
    struct giro_transfer transfer;
    if (kind == 'A') {
        cr_assert(fixture_account(fixture, id, &account), "no account A%lu", (uint64_t)id);
        return account.timestamp;
    }
    cr_assert(fixture_transfer(fixture, id, &transfer), "no transfer T%lu", (uint64_t)id);
    return transfer.timestamp;
}

static giro_u128 value_term(struct fixture *fixture, const char **text)
{
    if (strncmp(*text, "max", 3) == 0) {
        *text += 3;
        return GIRO_U128_MAX;
    }
    if (strncmp(*text, "now", 3) == 0) {
        *text += 3;
        return fixture->clock_ns;
    }
    bool timestamp = **text == '@';
    *text += timestamp;
    char kind = **text;
    *text += kind == 'A' || kind == 'T';
    char *end;
    giro_u128 value = strtoull(*text, &end, 0);
    cr_assert(end != *text, "not a value: %s", *text);
    *text = end;
    if (timestamp)
        return timestamp_of(fixture, kind, value);
    if (**text == 's') {
        (*text)++;
        value *= GIRO_NS_PER_S;
    }
    return value;
}

static giro_u128 value_parse(struct fixture *fixture, const char *text)
{
    giro_u128 value = value_term(fixture, &text);
    while (*text == '+' || *text == '-') {
        bool add = *text++ == '+';
        giro_u128 term = value_term(fixture, &text);
        value = add ? value + term : value - term;
    }
    cr_assert(*text == '\0', "not a value: %s", text);
    return value;
}

static const char *result_name(enum record_kind kind, uint32_t code)
{
    if (kind == RECORD_ACCOUNT)
        return giro_account_result_name(code);
    return kind == RECORD_SYSTEM ? giro_limits_result_name(code) : giro_transfer_result_name(code);
}

static uint32_t result_parse(enum record_kind kind, const char *name, uint32_t line)
{
    cr_assert(name != NULL, "line %u: no result", line);
    for (uint32_t code = 0; code <= GIRO_TRANSFER_RESULT_MAX; code++) {
        if (same(result_name(kind, code), name))
            return code;
    }
    cr_assert_fail("line %u: no such result: %s", line, name);
    return UINT32_MAX;
}

static void field_set(enum record_kind kind, union record *event, const char *name, giro_u128 value)
{
    const struct field *field = kind == RECORD_ACCOUNT  ? account_fields
                                : kind == RECORD_SYSTEM ? limits_fields
                                                        : transfer_fields;
    while (field->name != NULL && !same(field->name, name))
        field++;
    cr_assert(field->name != NULL, "no such field: %s", name);
    memcpy((char *)event + field->offset, &value, field->bytes); /* little-endian */
}

static uint16_t flag_find(enum record_kind kind, const char *name)
{
    const struct flag *flag = kind == RECORD_ACCOUNT  ? account_flags
                              : kind == RECORD_SYSTEM ? limits_flags
                                                      : transfer_flags;
    while (flag->name != NULL && !same(flag->name, name))
        flag++;
    cr_assert(flag->name != NULL, "no such flag: %s", name);
    return flag->bit;
}

/* Applies one word, `flag` or `field=value`; field `flags` adds to those that are set. */
static void word_apply(struct fixture *fixture, enum record_kind kind, union record *event,
                       const char *word)
{
    char name[LINE_BYTES_MAX];
    const char *equals = strchr(word, '=');
    if (equals == NULL) {
        event->transfer.flags |= flag_find(kind, word);
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)(equals - word), word);
    giro_u128 value = value_parse(fixture, equals + 1);
    if (same(name, "flags"))
        value |= event->transfer.flags;
    field_set(kind, event, name, value);
}

static const struct verb *verb_find(const char *name)
{
    const struct verb *verb = verbs;
    while (verb->name != NULL && !same(verb->name, name))
        verb++;
    return verb->name == NULL ? NULL : verb;
}

/* Builds the event that the words describe, the first one being its verb. */
static enum record_kind event_parse(struct fixture *fixture, char *const *words, uint32_t count,
                                    union record *event)
{
    const struct verb *verb = verb_find(words[0]);
    cr_assert(verb != NULL, "not an event: %s", words[0]);
    memset(event, 0, sizeof *event);
    event->transfer.flags = verb->flags;
    event->transfer.ledger = verb->ledger_and_code;
    event->transfer.code = verb->ledger_and_code;
    uint32_t word = 1;
    for (uint32_t i = 0; i < PLACES_MAX && verb->places[i] != NULL; i++, word++) {
        cr_assert(word < count, "%s: too few words", verb->name);
        field_set(verb->kind, event, verb->places[i], value_parse(fixture, words[word]));
    }
    for (; word < count; word++)
        word_apply(fixture, verb->kind, event, words[word]);
    return verb->kind;
}

/* ---- Scripts ----------------------------------------------------------------------------- */

static const uint32_t *events_execute(struct fixture *fixture, enum record_kind kind,
                                      const union record *events, uint32_t count)
{
    struct giro_limits rows[SCRIPT_EVENTS_MAX];
    if (kind == RECORD_SYSTEM) {
        memcpy(rows, events, count * sizeof *rows);
        return fixture_set_limits(fixture, rows, count);
    }
    return kind == RECORD_ACCOUNT ? fixture_create_accounts(fixture, &events->account, count)
                                  : fixture_create_transfers(fixture, &events->transfer, count);
}

static void request_run(struct script *script)
{
    if (script->event_count == 0)
        return;
    const uint32_t *codes =
        events_execute(script->fixture, script->kind, script->events, script->event_count);
    for (uint32_t i = 0; i < script->event_count; i++) {
        cr_assert(codes[i] == script->codes[i], "line %u: expected %s, got %s", script->lines[i],
                  result_name(script->kind, script->codes[i]), result_name(script->kind, codes[i]));
        if (script->coverage != NULL && script->kind == RECORD_ACCOUNT)
            script->coverage->account[codes[i]]++;
        if (script->coverage != NULL && script->kind == RECORD_TRANSFER)
            script->coverage->transfer[codes[i]]++;
        if (script->coverage != NULL && script->kind == RECORD_SYSTEM)
            script->coverage->limits[codes[i]]++;
    }
    script->event_count = 0;
}

static void event_row(struct script *script, const struct row *row)
{
    cr_assert(script->event_count < SCRIPT_EVENTS_MAX);
    uint32_t i = script->event_count++;
    enum record_kind kind =
        event_parse(script->fixture, row->words, row->word_count, &script->events[i]);
    cr_assert(i == 0 || kind == script->kind, "line %u: mixed request", row->line);
    script->kind = kind;
    script->codes[i] = result_parse(kind, row->result, row->line);
    script->lines[i] = row->line;
}

static void balance_row(struct script *script, const struct row *row)
{
    struct fixture *fixture = script->fixture;
    struct giro_account account;
    giro_u128 expected[5];
    bool closed = row->word_count == 7 && same(row->words[6], "closed");
    cr_assert(row->word_count == 6 || closed, "line %u: balance ID DP DD CP CC", row->line);
    for (uint32_t i = 0; i < 5; i++)
        expected[i] = value_parse(fixture, row->words[i + 1]);
    cr_assert(fixture_account(fixture, expected[0], &account), "line %u: no account", row->line);
    cr_assert(account.debits_pending == expected[1], "line %u: debits pending", row->line);
    cr_assert(account.debits_posted == expected[2], "line %u: debits posted", row->line);
    cr_assert(account.credits_pending == expected[3], "line %u: credits pending", row->line);
    cr_assert(account.credits_posted == expected[4], "line %u: credits posted", row->line);
    cr_assert(((account.flags & GIRO_ACCOUNT_CLOSED) != 0) == closed, "line %u: closed?",
              row->line);
}

static bool record_found(struct fixture *fixture, enum record_kind kind, giro_u128 id,
                         union record *found)
{
    if (kind == RECORD_ACCOUNT)
        return fixture_account(fixture, id, &found->account);
    if (kind == RECORD_TRANSFER)
        return fixture_transfer(fixture, id, &found->transfer);
    struct giro_limits row = {0};
    bool there = fixture_get_limits(fixture, &id, 1, &row) == 1;
    memcpy(found, &row, sizeof row);
    return there;
}

static void stored_row(struct script *script, const struct row *row)
{
    union record expected;
    union record found;
    enum record_kind kind =
        event_parse(script->fixture, row->words + 1, row->word_count - 1, &expected);
    cr_assert(record_found(script->fixture, kind, expected.transfer.id, &found),
              "line %u: not found", row->line);
    cr_assert(found.transfer.timestamp != 0, "line %u: no timestamp", row->line);
    expected.transfer.timestamp = found.transfer.timestamp;
    cr_assert(memcmp(&expected, &found, sizeof found) == 0, "line %u: another record is stored",
              row->line);
}

static void missing_row(struct script *script, const struct row *row)
{
    enum record_kind kind = same(row->words[0], "missing")      ? RECORD_TRANSFER
                            : same(row->words[0], "no_account") ? RECORD_ACCOUNT
                                                                : RECORD_SYSTEM;
    union record found;
    for (uint32_t i = 1; i < row->word_count; i++) {
        giro_u128 id = value_parse(script->fixture, row->words[i]);
        cr_assert(!record_found(script->fixture, kind, id, &found), "line %u: %s is there",
                  row->line, row->words[i]);
    }
}

static uint32_t mark_parse(const struct row *row, const char *word)
{
    static const char *const names[] = {"over_cap", "negative", "blocked", "over_transfer",
                                        "over_balance"};
    for (uint32_t bit = 0; bit < sizeof names / sizeof names[0]; bit++) {
        if (same(word, names[bit]))
            return 1u << bit;
    }
    cr_assert_fail("line %u: what is %s?", row->line, word);
    return 0;
}

static void payment_row(struct script *script, const struct row *row)
{
    struct model_payment found;
    giro_u128 places[4]; /* id, amount, taken, left */
    uint32_t marks = 0;
    uint32_t depth = 0;
    cr_assert(row->word_count >= 5, "line %u: payment ID AMOUNT TAKEN LEFT", row->line);
    for (uint32_t i = 0; i < 4; i++)
        places[i] = value_parse(script->fixture, row->words[i + 1]);
    for (uint32_t i = 5; i < row->word_count; i++) {
        const char *word = row->words[i];
        if (strncmp(word, "depth=", 6) == 0)
            depth = (uint32_t)value_parse(script->fixture, word + 6);
        else
            marks |= mark_parse(row, word);
    }
    cr_assert(fixture_payment(script->fixture, places[0], &found), "line %u: nothing", row->line);
    cr_assert(found.amount == places[1], "line %u: amount is %lu", row->line,
              (uint64_t)found.amount);
    cr_assert(found.taken == places[2], "line %u: taken is %lu", row->line, (uint64_t)found.taken);
    cr_assert(found.left == places[3], "line %u: left is %lu", row->line, (uint64_t)found.left);
    cr_assert(found.marks == marks, "line %u: marks are %u", row->line, found.marks);
    cr_assert(found.depth == depth, "line %u: depth is %u", row->line, found.depth);
}

static void no_payment_row(struct script *script, const struct row *row)
{
    struct model_payment found;
    for (uint32_t i = 1; i < row->word_count; i++)
        cr_assert(
            !fixture_payment(script->fixture, value_parse(script->fixture, row->words[i]), &found),
            "line %u: there is something about %s", row->line, row->words[i]);
}

static void save_row(struct script *script)
{
    if (script->fixture->model != NULL)
        model_snapshot_take(&script->snapshot, script->fixture->model);
    else
        snapshot_take(&script->snapshot, script->fixture->ledger);
    script->snapshot.limits = limits_copy(script->fixture);
}

static void unchanged_row(struct script *script, const struct row *row)
{
    bool burnt = row->word_count == 2;
    if (script->fixture->model != NULL)
        model_snapshot_compare(&script->snapshot, script->fixture->model, burnt, row->line);
    else
        snapshot_compare(&script->snapshot, script->fixture->ledger, burnt, row->line);
    uint32_t count = script->snapshot.model != NULL ? script->snapshot.model->accounts_count
                                                    : script->snapshot.accounts_count;
    struct giro_limits *now = limits_copy(script->fixture);
    cr_assert(memcmp(now, script->snapshot.limits, count * sizeof *now) == 0, "line %u: limits",
              row->line);
    free(now);
}

static void expire_row(struct script *script, const struct row *row)
{
    uint32_t records_max = SCRIPT_EVENTS_MAX;
    if (row->word_count > 1)
        records_max = (uint32_t)value_parse(script->fixture, row->words[1]);
    cr_assert(row->result != NULL, "line %u: how many?", row->line);
    uint32_t expected = (uint32_t)value_parse(script->fixture, row->result);
    uint32_t released = fixture_expire(script->fixture, records_max);
    cr_assert(released == expected, "line %u: expected %u, released %u", row->line, expected,
              released);
}

static void at_row(struct script *script, const struct row *row)
{
    uint64_t clock_ns = (uint64_t)value_parse(script->fixture, row->words[1]);
    cr_assert(clock_ns > script->fixture->ledger->timestamp_last, "line %u: back in time",
              row->line);
    script->fixture->clock_ns = clock_ns;
}

static void row_run(struct script *script, const struct row *row)
{
    if (row->word_count != 0 && verb_find(row->words[0]) != NULL) {
        event_row(script, row);
        return;
    }
    request_run(script);
    if (row->word_count == 0)
        return;
    const char *command = row->words[0];
    if (same(command, "balance"))
        balance_row(script, row);
    else if (same(command, "stored"))
        stored_row(script, row);
    else if (same(command, "missing") || same(command, "no_account") || same(command, "no_limits"))
        missing_row(script, row);
    else if (same(command, "expire"))
        expire_row(script, row);
    else if (same(command, "at"))
        at_row(script, row);
    else if (same(command, "payment"))
        payment_row(script, row);
    else if (same(command, "no_payment"))
        no_payment_row(script, row);
    else if (same(command, "save"))
        save_row(script);
    else if (same(command, "unchanged"))
        unchanged_row(script, row);
    else
        cr_assert_fail("line %u: what is %s?", row->line, command);
}

void fixture_script(struct fixture *fixture, const char *text, struct fixture_coverage *coverage)
{
    struct script *script = calloc(1, sizeof *script);
    struct row row = {0};
    cr_assert(script != NULL);
    script->fixture = fixture;
    script->coverage = coverage;
    while (row_next(&text, &row))
        row_run(script, &row);
    request_run(script);
    snapshot_free(&script->snapshot);
    free(script);
}

void fixture_script_alone(const char *text, struct fixture_coverage *coverage)
{
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture, text, coverage);
    fixture_check_replay(&fixture, UINT32_MAX);
    fixture_check_replay(&fixture, 3);
    fixture_free(&fixture);
}

/* ---- Precedence -------------------------------------------------------------------------- */

enum { RULES_MAX = 64 };

/* Whether no field has two values. Words without a value are flags, and first=... adds up too. */
static bool rules_compatible(const struct row *left, const struct row *right)
{
    for (uint32_t i = 0; i < left->word_count; i++) {
        const char *equals = strchr(left->words[i], '=');
        if (equals == NULL || strncmp(left->words[i], "first=", 6) == 0)
            continue;
        size_t name_bytes = (size_t)(equals - left->words[i]) + 1;
        for (uint32_t j = 0; j < right->word_count; j++) {
            if (strncmp(left->words[i], right->words[j], name_bytes) == 0 &&
                !same(left->words[i], right->words[j]))
                return false;
        }
    }
    return true;
}

static void rule_apply(struct fixture *fixture, enum record_kind kind, union record *events,
                       const struct row *rule)
{
    for (uint32_t i = 0; i < rule->word_count; i++) {
        const char *word = rule->words[i];
        if (strncmp(word, "first=", 6) == 0)
            events[0].transfer.flags |= flag_find(kind, word + 6);
        else if (strncmp(word, "only", 4) != 0)
            word_apply(fixture, kind, &events[1], word);
    }
}

static void rules_check(struct fixture *fixture, const struct row *base, const struct row *rule,
                        const struct row *other)
{
    static giro_u128 id_next = 1000000;
    union record events[2];
    /* Words of the base that concern the first event are left to rule_apply(). */
    struct row event = *base;
    struct row first = {0};
    event.word_count = 0;
    for (uint32_t i = 0; i < base->word_count; i++) {
        bool of_first = strncmp(base->words[i], "first=", 6) == 0;
        struct row *to = of_first ? &first : &event;
        to->words[to->word_count++] = base->words[i];
    }
    enum record_kind kind = event_parse(fixture, event.words, event.word_count, &events[1]);
    memset(&events[0], 0, sizeof events[0]); /* fails: its id is zero */
    if (events[1].transfer.id == 0)
        events[1].transfer.id = id_next++;
    rule_apply(fixture, kind, events, &first);
    rule_apply(fixture, kind, events, rule);
    if (other != NULL)
        rule_apply(fixture, kind, events, other);
    if (kind != RECORD_SYSTEM && (events[0].transfer.flags & flag_find(kind, "imported")) != 0)
        events[0].transfer.timestamp = 1;

    uint32_t expected = result_parse(kind, rule->result, rule->line);
    const uint32_t *codes = events_execute(fixture, kind, events, 2);
    cr_assert(codes[1] == expected, "%s, then %s: got %s", rule->result,
              other == NULL ? "nothing" : other->result, result_name(kind, codes[1]));
}

uint32_t fixture_precedence(struct fixture *fixture, const char *base, const char *rules)
{
    struct row base_row = {0};
    struct row *rows = calloc(RULES_MAX, sizeof *rows);
    uint32_t count = 0;
    uint32_t pairs = 0;
    cr_assert(rows != NULL);
    cr_assert(row_next(&base, &base_row));
    while (count < RULES_MAX && row_next(&rules, &rows[count])) {
        rows[count].line = count + 1;
        count++;
    }
    cr_assert(*rules == '\0', "too many rules");
    for (uint32_t i = 0; i < count; i++) {
        rules_check(fixture, &base_row, &rows[i], NULL);
        for (uint32_t j = i + 1; j < count; j++) {
            if (!rules_compatible(&rows[i], &rows[j]))
                continue;
            rules_check(fixture, &base_row, &rows[i], &rows[j]);
            pairs++;
        }
    }
    free(rows);
    return pairs;
}
