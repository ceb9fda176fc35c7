#include "tests/ledger_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- The ledger and its log -------------------------------------------------------------- */

enum { SPOILT_BYTE = 0xee };

static struct ledger *ledger_make(const struct fixture_config *fixture)
{
    struct ledger_config config = {
        .accounts_max = 1 << 18,
        .holds_max = fixture->holds_max != 0 ? fixture->holds_max : 1 << 16,
        .payments_max = fixture->payments_max,
        .transfers_max = fixture->transfers_max != 0 ? fixture->transfers_max : 1 << 20,
        .transfers_expected = 1 << 10,
        .hash_seed = fixture->hash_seed,
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
        .ledger = ledger_make(config),
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
    fixture->replies = calloc(LEDGER_EVENTS_MAX, sizeof *fixture->replies);
    union record *window = calloc(window_records, sizeof *window);
    cr_assert(fixture->log != NULL);
    cr_assert(fixture->addresses != NULL);
    cr_assert(fixture->results != NULL);
    cr_assert(fixture->codes != NULL);
    cr_assert(fixture->replies != NULL);
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
    free(fixture->replies);
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
    fixture->address_first = output->address;
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

/* The clock moves past a request. */
static void request_end(struct fixture *fixture, uint32_t count)
{
    fixture->request_ns = fixture->clock_ns;
    fixture->clock_ns += count != 0 ? count : 1;
    if (fixture->model == NULL)
        fixture_check_invariants(fixture);
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
        request_end(fixture, count);
        return fixture->codes;
    }
    cr_assert(ledger_room_accounts(fixture->ledger, count) == LEDGER_ROOM);
    output_open(fixture, count, &output);
    ledger_create_accounts(fixture->ledger, events, count, fixture->clock_ns, &output);
    output_close(fixture, &output);
    codes_collect(fixture, &output, count, false);
    request_end(fixture, count);
    return fixture->codes;
}

const uint32_t *fixture_create_transfers(struct fixture *fixture,
                                         const struct giro_transfer *events, uint32_t count)
{
    struct ledger_output output;
    if (fixture->model != NULL) {
        model_create_fenced(fixture->model, fixture->fence, events, count, fixture->clock_ns,
                            fixture->codes);
        request_end(fixture, count);
        return fixture->codes;
    }
    cr_assert(ledger_room_transfers(fixture->ledger, events, count) == LEDGER_ROOM);
    output_open(fixture, ledger_records_max(fixture->ledger, events, count), &output);
    output.fence = fixture->fence;
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
    request_end(fixture, count);
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
        written.reserved = 0; /* there is the record's code */
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
        request_end(fixture, count);
        return fixture->codes;
    }
    output_open(fixture, count, &output);
    ledger_set_limits(fixture->ledger, events, count, fixture->clock_ns, &output);
    output_close(fixture, &output);
    codes_collect(fixture, &output, count, false);
    limits_records_check(fixture, events, count, &output);
    request_end(fixture, count);
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

/* ---- Leases ------------------------------------------------------------------------------ */

/* Where the model's requests would have their records. */
static uint64_t model_address(struct fixture *fixture)
{
    fixture->address_first = fixture->address_next + 1;
    return fixture->address_first;
}

/* What is done is in the log as the reply tells it, with the row of the table. */
static void lease_records_check(const struct fixture *fixture, uint32_t count,
                                const struct ledger_output *output)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (fixture->codes[i] != GIRO_LEASE_RESULT_DONE)
            continue;
        const union record *record = &output->records[done];
        struct giro_lease written = record->lease;
        cr_assert(done < output->record_count, "event %u: no record", i);
        cr_assert(record_system(record) == RECORD_SYSTEM_LEASE, "event %u: another record", i);
        written.row = 0;
        written.result = 0;
        written.flags = 0;
        cr_assert(memcmp(&written, &fixture->replies[i], sizeof written) == 0,
                  "event %u: the record differs from the reply", i);
        done++;
    }
    cr_assert(done == output->record_count, "%u records, expected %u", output->record_count, done);
}

const uint32_t *fixture_lease(struct fixture *fixture, const struct giro_lease *events,
                              uint32_t count)
{
    struct ledger_output output;
    if (fixture->model != NULL) {
        model_lease(fixture->model, events, count, fixture->clock_ns, model_address(fixture),
                    fixture->replies);
    } else {
        char *replies = malloc(count * sizeof *fixture->replies + 1);
        cr_assert(replies != NULL);
        output_open(fixture, count, &output);
        ledger_lease(fixture->ledger, events, count, fixture->clock_ns, replies + 1, &output);
        output_close(fixture, &output);
        memcpy(fixture->replies, replies + 1, count * sizeof *fixture->replies);
        free(replies);
    }
    for (uint32_t i = 0; i < count; i++)
        fixture->codes[i] = fixture->replies[i].result;
    if (fixture->model != NULL)
        fixture->address_next = fixture->address_first + count;
    else
        lease_records_check(fixture, count, &output);
    request_end(fixture, count);
    return fixture->codes;
}

bool fixture_lease_of(const struct fixture *fixture, giro_u128 key, struct giro_lease *out_lease)
{
    if (fixture->model != NULL) {
        const struct giro_lease *lease = model_lease_of(fixture->model, key);
        if (lease != NULL)
            *out_lease = *lease;
        return lease != NULL;
    }
    return ledger_get_leases(fixture->ledger, &key, 1, out_lease) == 1;
}

/* ---- Sessions ---------------------------------------------------------------------------- */

void fixture_session(struct fixture *fixture, const struct record_session *session,
                     const struct session_result *results)
{
    struct ledger_output output;
    output_open(fixture, session_records(session->result_count), &output);
    output.record_count = 0;
    ledger_log_session(fixture->ledger, session, results, &output);
    output_close(fixture, &output);
    request_end(fixture, session->event_count);
}

/* ---- Schedules --------------------------------------------------------------------------- */

/* Of each that was created there are two records: what was sent of it, and its transfer. */
static void schedule_records_check(const struct fixture *fixture,
                                   const struct giro_schedule *events, uint32_t count,
                                   const struct ledger_output *output)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (fixture->codes[i] != GIRO_SCHEDULE_RESULT_DONE)
            continue;
        const union record *record = &output->records[done];
        struct giro_transfer transfer = events[i].transfer;
        cr_assert(done + 2 <= output->record_count, "event %u: no records", i);
        cr_assert(record_system(record) == RECORD_SYSTEM_SCHEDULE, "event %u: another record", i);
        cr_assert(record_system(record + 1) == RECORD_SYSTEM_TEMPLATE, "event %u: no transfer", i);
        cr_assert(memcmp(record, &events[i], offsetof(struct giro_schedule, next)) == 0,
                  "event %u: another schedule", i);
        cr_assert(record->transfer.timestamp == fixture->clock_ns + i, "event %u: time", i);
        transfer.id = events[i].id;
        transfer.code = record[1].transfer.code;
        transfer.flags = record[1].transfer.flags;
        transfer.timestamp = record[1].transfer.timestamp;
        cr_assert(memcmp(&record[1].transfer, &transfer, sizeof transfer) == 0,
                  "event %u: another transfer", i);
        done += 2;
    }
    cr_assert(done == output->record_count, "%u records, expected %u", output->record_count, done);
}

static void cancel_records_check(const struct fixture *fixture, const giro_u128 *ids,
                                 uint32_t count, const struct ledger_output *output)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (fixture->codes[i] != GIRO_SCHEDULE_RESULT_DONE)
            continue;
        const union record *record = &output->records[done];
        cr_assert(done < output->record_count, "event %u: no record", i);
        cr_assert(record_system(record) == RECORD_SYSTEM_CANCEL, "event %u: another record", i);
        cr_assert(record->firing.schedule_id == ids[i], "event %u: another schedule", i);
        cr_assert(record->firing.timestamp == fixture->clock_ns + i, "event %u: time", i);
        done++;
    }
    cr_assert(done == output->record_count, "%u records, expected %u", output->record_count, done);
}

/* Spreads the results over the events. */
static void results_spread(struct fixture *fixture, const struct ledger_output *output,
                           uint32_t count)
{
    memset(fixture->codes, 0, count * sizeof *fixture->codes);
    for (uint32_t i = 0; i < output->result_count; i++) {
        cr_assert(output->results[i].code != 0 && output->results[i].index < count);
        cr_assert(i == 0 || output->results[i].index > output->results[i - 1].index);
        fixture->codes[output->results[i].index] = output->results[i].code;
    }
}

const uint32_t *fixture_create_schedules(struct fixture *fixture,
                                         const struct giro_schedule *events, uint32_t count)
{
    struct ledger_output output;
    if (fixture->model != NULL) {
        model_create_schedules(fixture->model, events, count, fixture->clock_ns, fixture->codes);
        request_end(fixture, count);
        return fixture->codes;
    }
    cr_assert(ledger_room_schedules(fixture->ledger, count) == LEDGER_ROOM);
    output_open(fixture, 2 * count, &output);
    ledger_create_schedules(fixture->ledger, events, count, fixture->clock_ns, &output);
    output_close(fixture, &output);
    results_spread(fixture, &output, count);
    schedule_records_check(fixture, events, count, &output);
    request_end(fixture, count);
    return fixture->codes;
}

const uint32_t *fixture_cancel_schedules(struct fixture *fixture, const giro_u128 *ids,
                                         uint32_t count)
{
    struct ledger_output output;
    if (fixture->model != NULL) {
        model_cancel_schedules(fixture->model, ids, count, fixture->clock_ns, fixture->codes);
        request_end(fixture, count);
        return fixture->codes;
    }
    output_open(fixture, 2 * count, &output);
    ledger_cancel_schedules(fixture->ledger, ids, count, fixture->clock_ns, &output);
    output_close(fixture, &output);
    results_spread(fixture, &output, count);
    cancel_records_check(fixture, ids, count, &output);
    request_end(fixture, count);
    return fixture->codes;
}

/* Records of one attempt: of the schedule, and of the transfer when it was created. Returns how many
 * there are. */
static uint32_t firing_take(struct fixture *fixture, const union record *record, uint32_t left,
                            uint32_t number)
{
    struct giro_firing *firing = &fixture->firings[number];
    uint32_t records = 1;
    cr_assert(record_system(record) == RECORD_SYSTEM_FIRING, "attempt %u: another record", number);
    *firing = record->firing;
    firing->row = 0;
    firing->code = 0;
    firing->flags = 0;
    cr_assert(firing->timestamp == fixture->clock_ns + number, "attempt %u: time", number);
    if (firing->transfer_result != GIRO_TRANSFER_CREATED)
        return records;
    if (left > records && record_system(&record[records]) == RECORD_SYSTEM_PAYMENT) {
        cr_assert(record[records].transfer.user_data_128 == firing->transfer_id);
        records++;
    }
    cr_assert(left > records, "attempt %u: no transfer", number);
    cr_assert(record_kind(&record[records]) == RECORD_TRANSFER, "attempt %u: no transfer", number);
    cr_assert(record[records].transfer.id == firing->transfer_id, "attempt %u: its id", number);
    cr_assert(record[records].transfer.timestamp == firing->timestamp, "attempt %u", number);
    return records + 1;
}

uint32_t fixture_fire(struct fixture *fixture, uint32_t max)
{
    struct ledger_output output;
    uint32_t count = 0;
    if (fixture->model != NULL) {
        count = model_fire(fixture->model, fixture->clock_ns, max, fixture->firings);
        request_end(fixture, count + 1);
        return count;
    }
    output_open(fixture, max * LEDGER_FIRE_RECORDS, &output);
    bool due = ledger_fire_due(fixture->ledger, fixture->clock_ns);
    record_cache_clear(&fixture->cache);
    for (;;) {
        struct checksum before = ledger_digest(fixture->ledger);
        uint32_t missing = ledger_fire(fixture->ledger, fixture->clock_ns, max, &fixture->cache,
                                       fixture->addresses, &output);
        if (missing == 0)
            break;
        cr_assert(checksum_equal(before, ledger_digest(fixture->ledger)));
        cr_assert(output.record_count == 0);
        cache_fill(fixture, missing);
    }
    output_close(fixture, &output);
    for (uint32_t i = 0; i < output.record_count; count++) {
        cr_assert(count < max, "more than %u attempts", max);
        i += firing_take(fixture, &output.records[i], output.record_count - i, count);
    }
    cr_assert(due || count == 0, "nothing was due");
    request_end(fixture, count + 1);
    return count;
}

bool fixture_schedule(const struct fixture *fixture, giro_u128 id,
                      struct giro_schedule *out_schedule)
{
    if (fixture->model != NULL) {
        const struct giro_schedule *schedule = model_schedule(fixture->model, id);
        if (schedule != NULL)
            *out_schedule = *schedule;
        return schedule != NULL;
    }
    return ledger_get_schedules(fixture->ledger, &id, 1, out_schedule) == 1;
}

/* ---- Cut-off ----------------------------------------------------------------------------- */

/* Every event that is done is in the log as it was sent, with its timestamp. */
static void cut_off_records_check(const struct fixture *fixture, const struct giro_cut_off *events,
                                  uint32_t count, const struct ledger_output *output)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (fixture->codes[i] != GIRO_CUT_OFF_RESULT_DONE)
            continue;
        const union record *record = &output->records[done];
        struct giro_cut_off written = record->cut_off;
        struct giro_cut_off expected = events[i];
        cr_assert(done < output->record_count, "event %u: no record", i);
        cr_assert(record_system(record) == RECORD_SYSTEM_CUT_OFF, "event %u: another record", i);
        written.reserved_1 = 0; /* there is the record's code */
        written.flags = 0;
        expected.timestamp = fixture->clock_ns + i;
        cr_assert(memcmp(&written, &expected, sizeof written) == 0, "event %u: another row", i);
        done++;
    }
    cr_assert(done == output->record_count, "%u records, expected %u", output->record_count, done);
}

const uint32_t *fixture_cut_off(struct fixture *fixture, const struct giro_cut_off *events,
                                uint32_t count)
{
    struct ledger_output output;
    if (fixture->model != NULL) {
        model_cut_off(fixture->model, events, count, fixture->clock_ns, fixture->codes);
        request_end(fixture, count);
        return fixture->codes;
    }
    output_open(fixture, count, &output);
    ledger_cut_off(fixture->ledger, events, count, fixture->clock_ns, &output);
    output_close(fixture, &output);
    results_spread(fixture, &output, count);
    cut_off_records_check(fixture, events, count, &output);
    request_end(fixture, count);
    return fixture->codes;
}

bool fixture_settlement(const struct fixture *fixture, giro_u128 account_id,
                        struct giro_settlement *out_settlement)
{
    if (fixture->model != NULL)
        return model_settlement(fixture->model, account_id, out_settlement);
    return ledger_get_settlements(fixture->ledger, &account_id, 1, out_settlement) == 1;
}

/* ---- Expiry and lookups ------------------------------------------------------------------- */

uint32_t fixture_expire(struct fixture *fixture, uint32_t records_max)
{
    struct ledger_output output;
    if (fixture->model != NULL) {
        uint32_t released = model_expire(fixture->model, fixture->clock_ns, records_max);
        request_end(fixture, released + 1);
        return released;
    }
    output_open(fixture, records_max, &output);
    bool due = ledger_expiry_due(fixture->ledger, fixture->clock_ns);
    ledger_expire(fixture->ledger, fixture->clock_ns, records_max, &output);
    cr_assert(output.record_count <= records_max);
    cr_assert((output.record_count > 0) == (due && records_max > 0));
    output_close(fixture, &output);
    request_end(fixture, output.record_count + 1);
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

/* Every schedule that is active is due some day, and the ledger knows which is next. */
static void schedules_check(const struct fixture *fixture)
{
    const struct schedules *schedules = &fixture->ledger->schedules;
    uint32_t active = 0;
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < schedules->count; i++) {
        const struct giro_schedule *row = &schedules->rows[i];
        cr_assert((row->state == GIRO_SCHEDULE_ACTIVE) == (row->next != 0), "schedule %u", i);
        active += row->next != 0;
        if (row->next != 0 && row->next < next)
            next = row->next;
    }
    cr_assert(schedules->deadlines.count == active);
    cr_assert(ledger_fire_due(fixture->ledger, fixture->clock_ns) == (next <= fixture->clock_ns));
    if (active != 0)
        cr_assert(deadlines_first(&schedules->deadlines)->time == next, "the heap is out of order");
}

/* Every account that settles has a row, and no other; none is ahead of its ledger. */
static void settlements_check(const struct ledger *ledger)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ledger->accounts.count; i++) {
        const struct giro_account *account = &ledger->accounts.rows[i];
        uint32_t number = ledger->settlements.by_account[i];
        bool settles = (account->flags & GIRO_ACCOUNT_SETTLES) != 0;
        cr_assert((number != 0) == settles, "account %lu: settlement", (uint64_t)account->id);
        count += settles;
        if (!settles)
            continue;
        const struct settlement *row = &ledger->settlements.rows[number - 1];
        const struct epoch *epoch = settlements_epoch(&ledger->settlements, account->ledger);
        cr_assert(number <= ledger->settlements.count && row->account_row == i);
        cr_assert(row->epoch <= (epoch != NULL ? epoch->epoch : 0), "account %lu: epoch",
                  (uint64_t)account->id);
    }
    cr_assert(count == ledger->settlements.count, "%u settlements, expected %u",
              ledger->settlements.count, count);
}

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
    cr_assert(deadlines == holds->deadlines.count);
    if (deadlines != 0)
        cr_assert(holds_earliest(holds)->expires_at == earliest, "the heap is out of order");
    cr_assert(ledger->transfers.count == ledger->transfers_count + ledger->burnt_count);
    schedules_check(fixture);
    settlements_check(ledger);
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

/* Records that say something of the one right behind them. */
static bool announces(const union record *record)
{
    uint16_t system = record_system(record);
    return system == RECORD_SYSTEM_PAYMENT || system == RECORD_SYSTEM_SCHEDULE ||
           (system == RECORD_SYSTEM_FIRING &&
            record->firing.transfer_result == GIRO_TRANSFER_CREATED);
}

/* The server's timestamps are unique and in order; imported ones are the caller's. */
static void log_timestamps_check(const struct fixture *fixture)
{
    uint64_t last = 0;
    for (uint64_t address = 1; address < fixture->address_next; address++) {
        const union record *record = &fixture->log[address];
        uint16_t imported =
            record_kind(record) == RECORD_ACCOUNT ? GIRO_ACCOUNT_IMPORTED : GIRO_TRANSFER_IMPORTED;
        if (record_kind(record) == RECORD_SYSTEM)
            imported = 0;
        if (record->transfer.timestamp == 0 || (record->transfer.flags & imported) != 0 ||
            announces(record) || record_system(record) == RECORD_SYSTEM_TEMPLATE ||
            record_system(record) == RECORD_SYSTEM_SESSION ||
            record_system(record) == RECORD_SYSTEM_SESSION_RESULTS)
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

/* How many records from an address on are replayed at once: at most max or one more, since what only
 * says something of the next record does not stand alone; 0 at a header's address. */
static uint32_t run_length(const struct fixture *fixture, uint64_t address, uint32_t max)
{
    const union record *record = &fixture->log[address];
    uint32_t run = 0;
    while (address + run < fixture->address_next &&
           (record[run].transfer.flags != 0 || record[run].transfer.id != 0) &&
           (run < max || announces(&record[run - 1])))
        run++;
    return run;
}

/* Rows of a table, one by one: a digest would only tell that they differ. */
static void rows_compare(const struct ledger *left, const struct ledger *right,
                         enum ledger_table table, const char *name)
{
    struct table_rows one = ledger_rows(left, table);
    struct table_rows other = ledger_rows(right, table);
    cr_assert(one.count == other.count, "%u %s, and %u", one.count, name, other.count);
    for (uint32_t i = 0; i < one.count; i++) {
        size_t offset = (size_t)i * one.row_bytes;
        cr_assert(memcmp((const char *)one.rows + offset, (const char *)other.rows + offset,
                         one.row_bytes) == 0,
                  "row %u of %s differs", i, name);
    }
}

void fixture_check_replay(struct fixture *fixture, uint32_t run_max)
{
    const struct fixture_config config = {.hash_seed = fixture->hash_seed};
    struct ledger *replayed = ledger_make(&config);
    const union record *log = fixture->log;
    for (uint64_t address = 1; address < fixture->address_next;) {
        uint32_t run = run_length(fixture, address, run_max);
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
    rows_compare(ledger, replayed, LEDGER_LEASES, "leases");
    rows_compare(ledger, replayed, LEDGER_SCHEDULES, "schedules");
    rows_compare(ledger, replayed, LEDGER_EPOCHS, "epochs");
    rows_compare(ledger, replayed, LEDGER_SETTLEMENTS, "settlements");
    rows_compare(ledger, replayed, LEDGER_SESSIONS, "sessions");
    cr_assert(replayed->schedules.deadlines.count == ledger->schedules.deadlines.count);
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
    struct checksum objects;    /* ... and its leases and schedules, and epochs */
    struct checksum settled;    /* epochs and settlements of a ledger */
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

static struct checksum settled_checksum(const struct ledger *ledger)
{
    struct table_rows epochs = ledger_rows(ledger, LEDGER_EPOCHS);
    struct table_rows rows = ledger_rows(ledger, LEDGER_SETTLEMENTS);
    struct checksum one = checksum_of(epochs.rows, (size_t)epochs.count * epochs.row_bytes);
    struct checksum other = checksum_of(rows.rows, (size_t)rows.count * rows.row_bytes);
    return (struct checksum){.low = one.low ^ other.high, .high = one.high ^ other.low};
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
        .settled = settled_checksum(ledger),
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
        cr_assert((ledger->holds.deadlines.places[now - ledger->holds.slots] == 0) ==
                  (now->expires_at == 0));
    }
    cr_assert(checksum_equal(settled_checksum(ledger), snapshot->settled),
              "line %u: epochs or settlements", line);
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

static struct checksum objects_checksum(const struct model *model)
{
    struct checksum leases = checksum_of(model->leases, sizeof model->leases);
    struct checksum schedules = checksum_of(model->schedules, sizeof model->schedules);
    struct checksum epochs = checksum_of(model->epochs, sizeof model->epochs);
    return (struct checksum){.low = leases.low ^ schedules.high ^ epochs.low,
                             .high = leases.high ^ schedules.low ^ epochs.high};
}

static void model_snapshot_take(struct snapshot *snapshot, const struct model *model)
{
    snapshot_free(snapshot);
    snapshot->model = calloc(1, sizeof *snapshot->model);
    cr_assert(snapshot->model != NULL);
    *snapshot->model = model->now;
    snapshot->objects = objects_checksum(model);
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
    cr_assert(memcmp(now->counters, before->counters,
                     before->accounts_count * sizeof *before->counters) == 0,
              "line %u: what velocity limits have counted", line);
    cr_assert(checksum_equal(objects_checksum(model), snapshot->objects),
              "line %u: leases, schedules or epochs", line);
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

enum event_kind {
    EVENT_ACCOUNT,
    EVENT_TRANSFER,
    EVENT_LIMITS,
    EVENT_LEASE,
    EVENT_SCHEDULE,
    EVENT_CANCEL,
    EVENT_CUT_OFF,
};

/* Of any kind. Each begins with its id, and all but the last have their flags at the same place. */
union event {
    struct giro_account account;
    struct giro_transfer transfer;
    struct giro_limits limits;
    struct giro_lease lease;
    struct giro_schedule schedule;
    giro_u128 id;                /* to be cancelled */
    struct giro_cut_off cut_off; /* its flags are there, too, but it has no id */
};

/* One line of a script, cut into words. */
struct row {
    char text[LINE_BYTES_MAX];
    char *words[WORDS_MAX];
    uint32_t word_count;
    const char *result; /* what stands after the bar, NULL without one */
    uint32_t line;
};

/* What a row says of the reply to an event of leases, besides the result. */
struct lease_words {
    char token; /* its name; 0: none */
    giro_u128 holder;
    uint64_t until;
};

struct script {
    struct fixture *fixture;
    struct fixture_coverage *coverage;
    struct snapshot snapshot;
    enum event_kind kind; /* of the events */
    union event events[SCRIPT_EVENTS_MAX];
    struct lease_words leases[SCRIPT_EVENTS_MAX];
    uint32_t codes[SCRIPT_EVENTS_MAX]; /* expected */
    uint32_t lines[SCRIPT_EVENTS_MAX];
    uint32_t event_count;
    struct giro_fence fence;
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
    enum event_kind kind;
    uint16_t flags; /* of a lease: its action */
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

#define SLOT_FIELDS(name, i)                                                                       \
    FIELD(giro_limits, name "_max", velocity_max[i]),                                              \
        FIELD(giro_limits, name "_period", velocity[i].period),                                    \
        FIELD(giro_limits, name "_unit", velocity[i].unit),                                        \
    {                                                                                              \
        name "_bits",                                                                              \
            offsetof(struct giro_limits, velocity[i]) + sizeof(struct giro_velocity) - 1, 1        \
    }

static const struct field limits_fields[] = {
    FIELD(giro_limits, "account_id", account_id),
    FIELD(giro_limits, "floor", floor),
    FIELD(giro_limits, "balance_max", balance_max),
    FIELD(giro_limits, "transfer_max", transfer_max),
    FIELD(giro_limits, "over_capture", over_capture),
    SLOT_FIELDS("v0", 0),
    SLOT_FIELDS("v1", 1),
    SLOT_FIELDS("v2", 2),
    SLOT_FIELDS("v3", 3),
    FIELD(giro_limits, "reserved", reserved),
    FIELD(giro_limits, "flags", flags),
    FIELD(giro_limits, "timestamp", timestamp),
    {0},
};

#undef SLOT_FIELDS

static const struct field lease_fields[] = {
    FIELD(giro_lease, "key", key),
    FIELD(giro_lease, "owner", owner),
    FIELD(giro_lease, "token", token),
    FIELD(giro_lease, "deadline", deadline),
    FIELD(giro_lease, "timeout_ms", timeout_ms),
    FIELD(giro_lease, "row", row),
    FIELD(giro_lease, "action", action),
    FIELD(giro_lease, "reserved", reserved[0]),
    FIELD(giro_lease, "reserved_end", reserved[57]),
    FIELD(giro_lease, "result", result),
    FIELD(giro_lease, "flags", flags),
    FIELD(giro_lease, "timestamp", timestamp),
    {0},
};

static const struct field schedule_fields[] = {
    FIELD(giro_schedule, "s_id", id),
    FIELD(giro_schedule, "first", first),
    FIELD(giro_schedule, "s_first", first), /* where first= has another meaning */
    FIELD(giro_schedule, "end", end),
    FIELD(giro_schedule, "occurrences", occurrences),
    FIELD(giro_schedule, "interval", interval),
    FIELD(giro_schedule, "retry0", retry_s[0]),
    FIELD(giro_schedule, "retry1", retry_s[1]),
    FIELD(giro_schedule, "retry2", retry_s[2]),
    FIELD(giro_schedule, "retry3", retry_s[3]),
    FIELD(giro_schedule, "rule", rule),
    FIELD(giro_schedule, "day", day),
    FIELD(giro_schedule, "retries", retries),
    FIELD(giro_schedule, "reserved", reserved[0]),
    FIELD(giro_schedule, "reserved_end", reserved[4]),
    FIELD(giro_schedule, "next", next),
    FIELD(giro_schedule, "made", made),
    FIELD(giro_schedule, "last_id", last_id),
    FIELD(giro_schedule, "occurrence", occurrence),
    FIELD(giro_schedule, "attempt", attempt),
    FIELD(giro_schedule, "last_result", last_result),
    FIELD(giro_schedule, "transfer_code", transfer_code),
    FIELD(giro_schedule, "transfer_flags", transfer_flags),
    FIELD(giro_schedule, "reserved_1", reserved_1),
    FIELD(giro_schedule, "state", state),
    FIELD(giro_schedule, "s_flags", flags),
    FIELD(giro_schedule, "s_timestamp", timestamp),
    FIELD(giro_schedule, "id", transfer.id),
    FIELD(giro_schedule, "debit", transfer.debit_account_id),
    FIELD(giro_schedule, "credit", transfer.credit_account_id),
    FIELD(giro_schedule, "amount", transfer.amount),
    FIELD(giro_schedule, "pending_id", transfer.pending_id),
    FIELD(giro_schedule, "user_data_128", transfer.user_data_128),
    FIELD(giro_schedule, "user_data_64", transfer.user_data_64),
    FIELD(giro_schedule, "user_data_32", transfer.user_data_32),
    FIELD(giro_schedule, "timeout", transfer.timeout),
    FIELD(giro_schedule, "ledger", transfer.ledger),
    FIELD(giro_schedule, "code", transfer.code),
    FIELD(giro_schedule, "flags", transfer.flags),
    FIELD(giro_schedule, "timestamp", transfer.timestamp),
    {0},
};

static const struct field cut_off_fields[] = {
    FIELD(giro_cut_off, "epoch", epoch),
    FIELD(giro_cut_off, "reserved", reserved[0]),
    FIELD(giro_cut_off, "reserved_end", reserved[103]),
    FIELD(giro_cut_off, "ledger", ledger),
    FIELD(giro_cut_off, "reserved_1", reserved_1),
    FIELD(giro_cut_off, "flags", flags),
    FIELD(giro_cut_off, "timestamp", timestamp),
    {0},
};

static const struct field settlement_fields[] = {
    FIELD(giro_settlement, "debits", debits),
    FIELD(giro_settlement, "credits", credits),
    FIELD(giro_settlement, "debits_before", debits_before),
    FIELD(giro_settlement, "credits_before", credits_before),
    FIELD(giro_settlement, "count", count),
    FIELD(giro_settlement, "count_before", count_before),
    FIELD(giro_settlement, "epoch", epoch),
    FIELD(giro_settlement, "begin", begin),
    FIELD(giro_settlement, "ledger", ledger),
    {0},
};

static const struct field cancel_fields[] = {{"id", 0, sizeof(giro_u128)}, {0}};

#undef FIELD

static const struct flag account_flags[] = {
    {"linked", GIRO_ACCOUNT_LINKED},
    {"debits_must_not_exceed_credits", GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS},
    {"credits_must_not_exceed_debits", GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS},
    {"history", GIRO_ACCOUNT_HISTORY},
    {"imported", GIRO_ACCOUNT_IMPORTED},
    {"closed", GIRO_ACCOUNT_CLOSED},
    {"settles", GIRO_ACCOUNT_SETTLES},
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

static const struct flag no_flags[] = {{0}};

_Static_assert(offsetof(struct giro_limits, flags) == offsetof(struct giro_transfer, flags) &&
                   offsetof(struct giro_lease, flags) == offsetof(struct giro_transfer, flags) &&
                   offsetof(struct giro_schedule, flags) == offsetof(struct giro_transfer, flags),
               "flags");

static const struct verb verbs[] = {
    {"account", EVENT_ACCOUNT, 0, 1, {"id"}},
    {"transfer", EVENT_TRANSFER, 0, 1, {"id", "debit", "credit", "amount"}},
    {"pending", EVENT_TRANSFER, GIRO_TRANSFER_PENDING, 1, {"id", "debit", "credit", "amount"}},
    {"post", EVENT_TRANSFER, GIRO_TRANSFER_POST_PENDING, 0, {"id", "pending_id", "amount"}},
    {"void", EVENT_TRANSFER, GIRO_TRANSFER_VOID_PENDING, 0, {"id", "pending_id", "amount"}},
    {"adjust",
     EVENT_TRANSFER,
     GIRO_TRANSFER_PENDING | GIRO_TRANSFER_ADJUST,
     0,
     {"id", "pending_id", "amount"}},
    {"return",
     EVENT_TRANSFER,
     GIRO_TRANSFER_RETURN,
     1,
     {"id", "pending_id", "debit", "credit", "amount"}},
    {"limits", EVENT_LIMITS, 0, 0, {"account_id"}},
    {"acquire", EVENT_LEASE, GIRO_LEASE_ACQUIRE, 0, {"key", "owner", "timeout_ms"}},
    {"renew", EVENT_LEASE, GIRO_LEASE_RENEW, 0, {"key", "owner", "token", "timeout_ms"}},
    {"release", EVENT_LEASE, GIRO_LEASE_RELEASE, 0, {"key", "owner", "token"}},
    {"repeat", EVENT_SCHEDULE, 0, 1, {"s_id", "debit", "credit", "amount"}},
    {"cancel", EVENT_CANCEL, 0, 0, {"id"}},
    {"cut_off", EVENT_CUT_OFF, 0, 0, {"ledger", "epoch"}},
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

/* What follows a year: /MONTH/DAY. */
static giro_u128 date_term(uint32_t year, const char **text)
{
    struct tm date = {.tm_year = (int)year - 1900};
    int bytes = 0;
    cr_assert(sscanf(*text, "/%2d/%2d%n", &date.tm_mon, &date.tm_mday, &bytes) == 2,
              "not a date: %s", *text);
    *text += bytes;
    date.tm_mon--;
    return (giro_u128)timegm(&date) * GIRO_NS_PER_S;
}

/* What follows the F of an id that a schedule's transfer has: SCHEDULE.OCCURRENCE.ATTEMPT. The hash
 * of these is the id. */
static giro_u128 firing_term(const char **text)
{
    struct {
        giro_u128 schedule_id;
        uint32_t occurrence;
        uint32_t attempt;
        uint64_t zero;
    } of = {0};
    uint64_t schedule_id;
    int bytes = 0;
    cr_assert(sscanf(*text, "%lu.%u.%u%n", &schedule_id, &of.occurrence, &of.attempt, &bytes) == 3,
              "not an id: %s", *text);
    of.schedule_id = schedule_id;
    *text += bytes;
    XXH128_hash_t hash = XXH3_128bits(&of, sizeof of);
    return (giro_u128)hash.high64 << 64 | hash.low64;
}

static giro_u128 value_term(struct fixture *fixture, const char **text)
{
    static const struct unit {
        char letter;
        uint64_t ns;
    } units[] = {
        {'s', GIRO_NS_PER_S},
        {'m', 60 * GIRO_NS_PER_S},
        {'h', 3600 * GIRO_NS_PER_S},
        {'d', 86400 * GIRO_NS_PER_S},
        {0},
    };
    if (strncmp(*text, "max", 3) == 0) {
        *text += 3;
        return GIRO_U128_MAX;
    }
    if (strncmp(*text, "now", 3) == 0) {
        *text += 3;
        return fixture->clock_ns;
    }
    if (**text == '$') {
        uint32_t name = (uint32_t)((*text)[1] - 'a');
        cr_assert(name < FIXTURE_TOKENS, "no such token: %s", *text);
        *text += 2;
        return fixture->tokens[name];
    }
    bool timestamp = **text == '@';
    *text += timestamp;
    char kind = **text;
    *text += kind != '\0' && strchr("ATKOSF", kind) != NULL;
    if (kind == 'F') {
        giro_u128 id = firing_term(text);
        return timestamp ? timestamp_of(fixture, kind, id) : id;
    }
    char *end;
    giro_u128 value = strtoull(*text, &end, 0);
    cr_assert(end != *text, "not a value: %s", *text);
    *text = end;
    if (timestamp)
        return timestamp_of(fixture, kind, value);
    if (**text == '/')
        return date_term((uint32_t)value, text);
    for (const struct unit *unit = units; **text != '\0' && unit->letter != '\0'; unit++) {
        if (**text == unit->letter) {
            (*text)++;
            return value * unit->ns;
        }
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

static const char *result_name(enum event_kind kind, uint32_t code)
{
    switch (kind) {
    case EVENT_ACCOUNT:
        return giro_account_result_name(code);
    case EVENT_TRANSFER:
        return giro_transfer_result_name(code);
    case EVENT_LIMITS:
        return giro_limits_result_name(code);
    case EVENT_LEASE:
        return giro_lease_result_name(code);
    case EVENT_CUT_OFF:
        return giro_cut_off_result_name(code);
    case EVENT_SCHEDULE:
    case EVENT_CANCEL:
        break;
    }
    return giro_schedule_result_name(code);
}

static uint32_t result_parse(enum event_kind kind, const char *name, uint32_t line)
{
    cr_assert(name != NULL, "line %u: no result", line);
    for (uint32_t code = 0; code <= GIRO_TRANSFER_RESULT_MAX; code++) {
        if (same(result_name(kind, code), name))
            return code;
    }
    cr_assert_fail("line %u: no such result: %s", line, name);
    return UINT32_MAX;
}

static void field_set(enum event_kind kind, union event *event, const char *name, giro_u128 value)
{
    static const struct field *const fields[] = {
        [EVENT_ACCOUNT] = account_fields,   [EVENT_TRANSFER] = transfer_fields,
        [EVENT_LIMITS] = limits_fields,     [EVENT_LEASE] = lease_fields,
        [EVENT_SCHEDULE] = schedule_fields, [EVENT_CANCEL] = cancel_fields,
        [EVENT_CUT_OFF] = cut_off_fields,
    };
    const struct field *field = fields[kind];
    while (field->name != NULL && !same(field->name, name))
        field++;
    cr_assert(field->name != NULL, "no such field: %s", name);
    memcpy((char *)event + field->offset, &value, field->bytes); /* little-endian */
}

static uint16_t flag_find(enum event_kind kind, const char *name)
{
    static const struct flag *const flags[] = {
        [EVENT_ACCOUNT] = account_flags,   [EVENT_TRANSFER] = transfer_flags,
        [EVENT_LIMITS] = limits_flags,     [EVENT_LEASE] = no_flags,
        [EVENT_SCHEDULE] = transfer_flags, [EVENT_CANCEL] = no_flags,
        [EVENT_CUT_OFF] = no_flags,
    };
    const struct flag *flag = flags[kind];
    while (flag->name != NULL && !same(flag->name, name))
        flag++;
    cr_assert(flag->name != NULL, "no such flag: %s", name);
    return flag->bit;
}

/* The place of a name in a list that ends with NULL. */
static uint8_t name_find(const char *const *names, const char *name)
{
    uint8_t place = 0;
    while (names[place] != NULL && !same(names[place], name))
        place++;
    cr_assert(names[place] != NULL, "what is %s?", name);
    return place;
}

/* Applies what stands behind v0= to the slot, as tests/ledger_fixture.h has it. */
static void slot_parse(struct fixture *fixture, struct giro_limits *event, uint32_t number,
                       const char *text)
{
    static const char *const units[] = {"s", "m", "h", "d", "M", NULL};
    static const char *const windows[] = {"none", "calendar", "sliding", "rate", NULL};
    static const char *const sides[] = {"debits", "credits", NULL};
    static const char *const measures[] = {"count", "amount", NULL};
    static const char *const verdicts[] = {"off", "mark", "hold", "reject", NULL};
    enum { PART_BYTES = 32 };
    char max[PART_BYTES];
    char unit[PART_BYTES];
    char window[PART_BYTES];
    char side[PART_BYTES];
    char measure[PART_BYTES];
    char verdict[PART_BYTES];
    struct giro_velocity *slot = &event->velocity[number];
    int parts = sscanf(text, "%31[^:]:%hu%31[^:]:%31[^:]:%31[^:]:%31[^:]:%31s", max, &slot->period,
                       unit, window, side, measure, verdict);
    cr_assert(parts == 7, "not a slot: %s", text);
    event->velocity_max[number] = (uint64_t)value_parse(fixture, max);
    slot->unit = name_find(units, unit);
    slot->window = name_find(windows, window) & 0xf;
    slot->verdict = name_find(verdicts, verdict) & 3;
    slot->flags = (name_find(measures, measure) * GIRO_VELOCITY_AMOUNT |
                   name_find(sides, side) * GIRO_VELOCITY_CREDITS) &
                  3;
}

/* Applies what stands behind each= to a schedule. */
static void rule_parse(struct giro_schedule *event, const char *text)
{
    char unit = 0;
    unsigned int day = 0;
    int parts = sscanf(text, "%u%c:%u", &event->interval, &unit, &day);
    cr_assert(parts == (unit == 's' ? 2 : 3), "not a rule: %s", text);
    cr_assert(unit == 's' || unit == 'M' || unit == 'Y', "not a rule: %s", text);
    event->rule = unit == 's'   ? GIRO_SCHEDULE_SECONDS
                  : unit == 'M' ? GIRO_SCHEDULE_MONTHS
                                : GIRO_SCHEDULE_YEARS;
    event->day = (uint8_t)day;
}

static void retry_parse(struct giro_schedule *event, const char *text)
{
    char *end;
    for (event->retries = 0; event->retries < GIRO_SCHEDULE_RETRIES_MAX; text = end + 1) {
        event->retry_s[event->retries++] = (uint32_t)strtoul(text, &end, 10);
        cr_assert(end != text, "not a number of seconds: %s", text);
        if (*end == '\0')
            return;
    }
    cr_assert_fail("too many retries");
}

/* Words that stand for several fields. False: it is none. */
static bool fields_apply(struct fixture *fixture, enum event_kind kind, union event *event,
                         const char *name, const char *value)
{
    if (kind == EVENT_LIMITS && strlen(name) == 2 && name[0] == 'v') {
        cr_assert(name[1] >= '0' && name[1] < '0' + GIRO_VELOCITY_SLOTS, "no such slot: %s", name);
        slot_parse(fixture, &event->limits, (uint32_t)(name[1] - '0'), value);
        return true;
    }
    if (kind == EVENT_SCHEDULE && same(name, "each")) {
        rule_parse(&event->schedule, value);
        return true;
    }
    if (kind == EVENT_SCHEDULE && same(name, "retry")) {
        retry_parse(&event->schedule, value);
        return true;
    }
    return false;
}

/* Where the words without a value go. */
static uint16_t *flags_of(enum event_kind kind, union event *event)
{
    return kind == EVENT_SCHEDULE ? &event->schedule.transfer.flags : &event->transfer.flags;
}

/* Applies one word, `flag` or `field=value`; field `flags` adds to those that are set. */
static void word_apply(struct fixture *fixture, enum event_kind kind, union event *event,
                       const char *word)
{
    char name[LINE_BYTES_MAX];
    const char *equals = strchr(word, '=');
    if (equals == NULL) {
        *flags_of(kind, event) |= flag_find(kind, word);
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)(equals - word), word);
    if (fields_apply(fixture, kind, event, name, equals + 1))
        return;
    giro_u128 value = value_parse(fixture, equals + 1);
    if (same(name, "flags"))
        value |= *flags_of(kind, event);
    field_set(kind, event, name, value);
}

static const struct verb *verb_find(const char *name)
{
    const struct verb *verb = verbs;
    while (verb->name != NULL && !same(verb->name, name))
        verb++;
    return verb->name == NULL ? NULL : verb;
}

/* What an event has before its words. */
static void event_begin(const struct verb *verb, union event *event)
{
    memset(event, 0, sizeof *event);
    if (verb->kind == EVENT_LEASE) {
        event->lease.action = verb->flags;
    } else if (verb->kind == EVENT_SCHEDULE) {
        event->schedule.transfer.ledger = verb->ledger_and_code;
        event->schedule.transfer.code = verb->ledger_and_code;
    } else if (verb->kind == EVENT_ACCOUNT || verb->kind == EVENT_TRANSFER) {
        event->transfer.flags = verb->flags;
        event->transfer.ledger = verb->ledger_and_code;
        event->transfer.code = verb->ledger_and_code;
    }
}

/* Builds the event that the words describe, the first one being its verb. */
static enum event_kind event_parse(struct fixture *fixture, char *const *words, uint32_t count,
                                   union event *event)
{
    const struct verb *verb = verb_find(words[0]);
    cr_assert(verb != NULL, "not an event: %s", words[0]);
    event_begin(verb, event);
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

#define EVENTS_EXECUTE(type, member, function)                                                     \
    do {                                                                                           \
        static type typed[SCRIPT_EVENTS_MAX];                                                      \
        for (uint32_t i = 0; i < count; i++)                                                       \
            memcpy(&typed[i], &events[i].member, sizeof typed[i]);                                 \
        return function(fixture, typed, count);                                                    \
    } while (0)

static const uint32_t *events_execute(struct fixture *fixture, enum event_kind kind,
                                      const union event *events, uint32_t count)
{
    switch (kind) {
    case EVENT_ACCOUNT:
        EVENTS_EXECUTE(struct giro_account, account, fixture_create_accounts);
    case EVENT_TRANSFER:
        EVENTS_EXECUTE(struct giro_transfer, transfer, fixture_create_transfers);
    case EVENT_LIMITS:
        EVENTS_EXECUTE(struct giro_limits, limits, fixture_set_limits);
    case EVENT_LEASE:
        EVENTS_EXECUTE(struct giro_lease, lease, fixture_lease);
    case EVENT_SCHEDULE:
        EVENTS_EXECUTE(struct giro_schedule, schedule, fixture_create_schedules);
    case EVENT_CUT_OFF:
        EVENTS_EXECUTE(struct giro_cut_off, cut_off, fixture_cut_off);
    case EVENT_CANCEL:
        break;
    }
    EVENTS_EXECUTE(giro_u128, id, fixture_cancel_schedules);
}

#undef EVENTS_EXECUTE

/* What the reply to an event of leases must be. done: how many were done before it. */
static struct giro_lease reply_expected(const struct script *script, uint32_t i, uint32_t done)
{
    const struct fixture *fixture = script->fixture;
    const struct giro_lease *event = &script->events[i].lease;
    struct giro_lease reply = *event;
    reply.token = 0;
    reply.timestamp = 0;
    reply.result = (uint16_t)script->codes[i];
    if (script->codes[i] == GIRO_LEASE_RESULT_HELD_BY_ANOTHER) {
        reply.owner = script->leases[i].holder;
        reply.deadline = script->leases[i].until;
    } else if (script->codes[i] == GIRO_LEASE_RESULT_DONE) {
        reply.timestamp = fixture->request_ns + i;
        reply.token =
            event->action == GIRO_LEASE_ACQUIRE ? fixture->address_first + done : event->token;
        if (event->action != GIRO_LEASE_RELEASE)
            reply.deadline = reply.timestamp + event->timeout_ms * GIRO_NS_PER_MS;
    }
    return reply;
}

static void replies_check(struct script *script)
{
    struct fixture *fixture = script->fixture;
    uint32_t done = 0;
    for (uint32_t i = 0; i < script->event_count; i++) {
        const struct giro_lease *reply = &fixture->replies[i];
        const struct giro_lease expected = reply_expected(script, i, done);
        uint32_t line = script->lines[i];
        cr_assert(reply->key == expected.key && reply->action == expected.action &&
                      reply->timeout_ms == expected.timeout_ms,
                  "line %u: the reply is not to this event", line);
        cr_assert(reply->owner == expected.owner, "line %u: owner is %lu", line,
                  (uint64_t)reply->owner);
        cr_assert(reply->token == expected.token, "line %u: token is %lu, expected %lu", line,
                  reply->token, expected.token);
        cr_assert(reply->deadline == expected.deadline, "line %u: deadline is %lu, expected %lu",
                  line, reply->deadline, expected.deadline);
        cr_assert(memcmp(reply, &expected, sizeof expected) == 0, "line %u: another reply", line);
        if (reply->result != GIRO_LEASE_RESULT_DONE)
            continue;
        done++;
        if (reply->action == GIRO_LEASE_ACQUIRE) {
            cr_assert(reply->token > fixture->token_last, "line %u: no greater token", line);
            fixture->token_last = reply->token;
        }
        if (script->leases[i].token != 0)
            fixture->tokens[script->leases[i].token - 'a'] = reply->token;
    }
}

static void coverage_add(struct script *script)
{
    struct fixture_coverage *coverage = script->coverage;
    if (coverage == NULL)
        return;
    uint32_t *const counts[] = {
        [EVENT_ACCOUNT] = coverage->account,   [EVENT_TRANSFER] = coverage->transfer,
        [EVENT_LIMITS] = coverage->limits,     [EVENT_LEASE] = coverage->lease,
        [EVENT_SCHEDULE] = coverage->schedule, [EVENT_CANCEL] = coverage->schedule,
        [EVENT_CUT_OFF] = coverage->cut_off,
    };
    for (uint32_t i = 0; i < script->event_count; i++)
        counts[script->kind][script->codes[i]]++;
}

static void request_run(struct script *script)
{
    if (script->event_count == 0)
        return;
    const uint32_t *codes =
        events_execute(script->fixture, script->kind, script->events, script->event_count);
    for (uint32_t i = 0; i < script->event_count; i++)
        cr_assert(codes[i] == script->codes[i], "line %u: expected %s, got %s", script->lines[i],
                  result_name(script->kind, script->codes[i]), result_name(script->kind, codes[i]));
    if (script->kind == EVENT_LEASE)
        replies_check(script);
    coverage_add(script);
    script->event_count = 0;
}

/* Takes the words out of a row that are of the reply to it. */
static struct lease_words lease_words_take(struct script *script, struct row *row)
{
    struct lease_words words = {0};
    uint32_t kept = 0;
    for (uint32_t i = 0; i < row->word_count; i++) {
        char *word = row->words[i];
        if (strncmp(word, "as=", 3) == 0)
            words.token = word[3];
        else if (strncmp(word, "holder=", 7) == 0)
            words.holder = value_parse(script->fixture, word + 7);
        else if (strncmp(word, "until=", 6) == 0)
            words.until = (uint64_t)value_parse(script->fixture, word + 6);
        else
            row->words[kept++] = word;
    }
    row->word_count = kept;
    return words;
}

static void event_row(struct script *script, struct row *row)
{
    cr_assert(script->event_count < SCRIPT_EVENTS_MAX);
    uint32_t i = script->event_count++;
    script->leases[i] = lease_words_take(script, row);
    enum event_kind kind =
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

static bool event_found(struct fixture *fixture, enum event_kind kind, giro_u128 id,
                        union event *found)
{
    memset(found, 0, sizeof *found);
    switch (kind) {
    case EVENT_ACCOUNT:
        return fixture_account(fixture, id, &found->account);
    case EVENT_TRANSFER:
        return fixture_transfer(fixture, id, &found->transfer);
    case EVENT_LIMITS:
        return fixture_get_limits(fixture, &id, 1, &found->limits) == 1;
    case EVENT_LEASE:
        return fixture_lease_of(fixture, id, &found->lease);
    case EVENT_CUT_OFF:
        return false; /* there is no lookup of it */
    case EVENT_SCHEDULE:
    case EVENT_CANCEL:
        break;
    }
    return fixture_schedule(fixture, id, &found->schedule);
}

/* Of a schedule only what was sent is compared: schedule_row() has the rest. */
static void stored_row(struct script *script, const struct row *row)
{
    union event expected;
    union event found;
    enum event_kind kind =
        event_parse(script->fixture, row->words + 1, row->word_count - 1, &expected);
    cr_assert(event_found(script->fixture, kind, expected.id, &found), "line %u: not found",
              row->line);
    cr_assert(found.transfer.timestamp != 0, "line %u: no timestamp", row->line);
    expected.transfer.timestamp = found.transfer.timestamp;
    if (kind == EVENT_SCHEDULE) {
        expected.schedule.next = found.schedule.next;
        expected.schedule.made = found.schedule.made;
        expected.schedule.last_id = found.schedule.last_id;
        expected.schedule.occurrence = found.schedule.occurrence;
        expected.schedule.attempt = found.schedule.attempt;
        expected.schedule.last_result = found.schedule.last_result;
        expected.schedule.state = found.schedule.state;
    }
    cr_assert(memcmp(&expected, &found, sizeof found) == 0, "line %u: another record is stored",
              row->line);
}

static void missing_row(struct script *script, const struct row *row)
{
    enum event_kind kind = same(row->words[0], "missing")       ? EVENT_TRANSFER
                           : same(row->words[0], "no_account")  ? EVENT_ACCOUNT
                           : same(row->words[0], "no_schedule") ? EVENT_SCHEDULE
                                                                : EVENT_LIMITS;
    union event found;
    for (uint32_t i = 1; i < row->word_count; i++) {
        giro_u128 id = value_parse(script->fixture, row->words[i]);
        cr_assert(!event_found(script->fixture, kind, id, &found), "line %u: %s is there",
                  row->line, row->words[i]);
    }
}

static void lease_row(struct script *script, const struct row *row)
{
    giro_u128 places[4]; /* key, owner, token, deadline */
    struct giro_lease found;
    cr_assert(row->word_count == 5, "line %u: lease KEY OWNER TOKEN DEADLINE", row->line);
    for (uint32_t i = 0; i < 4; i++)
        places[i] = value_parse(script->fixture, row->words[i + 1]);
    const struct giro_lease expected = {
        .key = places[0],
        .owner = places[1],
        .token = (uint64_t)places[2],
        .deadline = (uint64_t)places[3],
    };
    cr_assert(fixture_lease_of(script->fixture, places[0], &found), "line %u: no lease", row->line);
    cr_assert(found.owner == expected.owner, "line %u: owner is %lu", row->line,
              (uint64_t)found.owner);
    cr_assert(found.token == expected.token, "line %u: token is %lu", row->line, found.token);
    cr_assert(found.deadline == expected.deadline, "line %u: deadline is %lu", row->line,
              found.deadline);
    cr_assert(memcmp(&found, &expected, sizeof found) == 0, "line %u: another row", row->line);
}

static void over_row(struct script *script, const struct row *row)
{
    struct giro_lease found;
    for (uint32_t i = 1; i < row->word_count; i++) {
        giro_u128 key = value_parse(script->fixture, row->words[i]);
        if (fixture_lease_of(script->fixture, key, &found))
            cr_assert(found.deadline <= script->fixture->clock_ns, "line %u: %s is not over",
                      row->line, row->words[i]);
    }
}

static void fence_row(struct script *script, const struct row *row)
{
    script->fixture->fence = NULL;
    if (row->word_count == 2 && same(row->words[1], "none"))
        return;
    cr_assert(row->word_count == 3, "line %u: fence KEY TOKEN", row->line);
    script->fence = (struct giro_fence){
        .key = value_parse(script->fixture, row->words[1]),
        .token = (uint64_t)value_parse(script->fixture, row->words[2]),
    };
    script->fixture->fence = &script->fence;
}

/* The id and the result of the last attempt. */
static void last_check(struct script *script, const struct row *row, const char *value,
                       const struct giro_schedule *found)
{
    char id[LINE_BYTES_MAX];
    const char *colon = strchr(value, ':');
    if (same(value, "none")) {
        cr_assert(found->last_id == 0 && found->last_result == 0, "line %u: an attempt", row->line);
        return;
    }
    cr_assert(colon != NULL, "line %u: last=ID:RESULT", row->line);
    snprintf(id, sizeof id, "%.*s", (int)(colon - value), value);
    uint32_t code = result_parse(EVENT_TRANSFER, colon + 1, row->line);
    cr_assert(found->last_result == code, "line %u: the last attempt came to %s", row->line,
              giro_transfer_result_name(found->last_result));
    cr_assert(found->last_id == value_parse(script->fixture, id), "line %u: its id", row->line);
}

/* One field of a schedule. */
static void schedule_check(struct script *script, const struct row *row, const char *word,
                           const struct giro_schedule *found)
{
    static const char *const states[] = {"none", "active", "over", "cancelled", NULL};
    const char *equals = strchr(word, '=');
    cr_assert(equals != NULL, "line %u: what is %s?", row->line, word);
    if (strncmp(word, "last=", 5) == 0) {
        last_check(script, row, equals + 1, found);
    } else if (strncmp(word, "state=", 6) == 0) {
        cr_assert(found->state == name_find(states, equals + 1), "line %u: it is %s", row->line,
                  states[found->state]);
    } else {
        giro_u128 value = value_parse(script->fixture, equals + 1);
        uint64_t is = strncmp(word, "next=", 5) == 0          ? found->next
                      : strncmp(word, "made=", 5) == 0        ? found->made
                      : strncmp(word, "occurrence=", 11) == 0 ? found->occurrence
                      : strncmp(word, "attempt=", 8) == 0     ? found->attempt
                                                              : UINT64_MAX;
        cr_assert(is == value, "line %u: %.*s is %lu, expected %lu", row->line,
                  (int)(equals - word), word, is, (uint64_t)value);
    }
}

static void schedule_row(struct script *script, const struct row *row)
{
    struct giro_schedule found;
    giro_u128 id = value_parse(script->fixture, row->words[1]);
    cr_assert(fixture_schedule(script->fixture, id, &found), "line %u: no schedule", row->line);
    for (uint32_t i = 2; i < row->word_count; i++)
        schedule_check(script, row, row->words[i], &found);
}

static void fire_row(struct script *script, const struct row *row)
{
    uint32_t max = LEDGER_FIRE_MAX;
    if (row->word_count > 1)
        max = (uint32_t)value_parse(script->fixture, row->words[1]);
    cr_assert(row->result != NULL, "line %u: how many?", row->line);
    uint32_t expected = (uint32_t)value_parse(script->fixture, row->result);
    uint32_t fired = fixture_fire(script->fixture, max);
    cr_assert(fired == expected, "line %u: expected %u attempts, got %u", row->line, expected,
              fired);
}

static void settlement_check(const struct script *script, const struct row *row,
                             const struct giro_settlement *expected,
                             const struct giro_settlement *found)
{
    for (const struct field *field = settlement_fields; field->name != NULL; field++) {
        giro_u128 is = 0;
        giro_u128 should = 0;
        memcpy(&is, (const char *)found + field->offset, field->bytes);
        memcpy(&should, (const char *)expected + field->offset, field->bytes);
        cr_assert(is == should, "line %u: %s is %lu, expected %lu", row->line, field->name,
                  (uint64_t)is, (uint64_t)should);
    }
    cr_assert(found->account_id == value_parse(script->fixture, row->words[1]),
              "line %u: of another account", row->line);
    cr_assert((found->reserved[0] | found->reserved[1] | found->reserved[2]) == 0,
              "line %u: reserved", row->line);
}

static void settlement_row(struct script *script, const struct row *row)
{
    struct giro_settlement found;
    struct giro_settlement expected = {.ledger = 1};
    bool begin = false;
    cr_assert(row->word_count >= 2, "line %u: settlement ID", row->line);
    cr_assert(
        fixture_settlement(script->fixture, value_parse(script->fixture, row->words[1]), &found),
        "line %u: no settlement", row->line);
    for (uint32_t i = 2; i < row->word_count; i++) {
        const struct field *field = settlement_fields;
        char *value = strchr(row->words[i], '=');
        cr_assert(value != NULL, "line %u: what is %s?", row->line, row->words[i]);
        *value++ = '\0';
        while (field->name != NULL && !same(field->name, row->words[i]))
            field++;
        cr_assert(field->name != NULL, "line %u: no such field: %s", row->line, row->words[i]);
        giro_u128 number = value_parse(script->fixture, value);
        memcpy((char *)&expected + field->offset, &number, field->bytes);
        begin = begin || same(field->name, "begin");
    }
    if (!begin) {
        cr_assert((found.begin != 0) == (found.epoch != 0), "line %u: begin", row->line);
        expected.begin = found.begin;
    }
    settlement_check(script, row, &expected, &found);
}

static void no_settlement_row(struct script *script, const struct row *row)
{
    struct giro_settlement found;
    for (uint32_t i = 1; i < row->word_count; i++) {
        giro_u128 id = value_parse(script->fixture, row->words[i]);
        cr_assert(!fixture_settlement(script->fixture, id, &found), "line %u: %s has one",
                  row->line, row->words[i]);
    }
}

static uint32_t mark_parse(const struct row *row, const char *word)
{
    static const char *const names[] = {"over_cap",     "negative",      "blocked", "over_transfer",
                                        "over_balance", "over_velocity", "held"};
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

static void save_row(struct script *script, const struct row *row)
{
    (void)row;
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

static void drain_row(struct script *script, const struct row *row)
{
    uint32_t max = LEDGER_FIRE_MAX;
    uint32_t total = 0;
    if (row->word_count > 1)
        max = (uint32_t)value_parse(script->fixture, row->words[1]);
    cr_assert(row->result != NULL, "line %u: how many?", row->line);
    uint32_t expected = (uint32_t)value_parse(script->fixture, row->result);
    for (uint32_t fired; (fired = fixture_fire(script->fixture, max)) != 0;)
        total += fired;
    cr_assert(total == expected, "line %u: expected %u attempts, got %u", row->line, expected,
              total);
}

/* What a row that is no event begins with. */
static const struct command {
    const char *name;
    void (*run)(struct script *script, const struct row *row);
} commands[] = {
    {"balance", balance_row},
    {"stored", stored_row},
    {"missing", missing_row},
    {"no_account", missing_row},
    {"no_limits", missing_row},
    {"no_schedule", missing_row},
    {"expire", expire_row},
    {"at", at_row},
    {"payment", payment_row},
    {"no_payment", no_payment_row},
    {"save", save_row},
    {"unchanged", unchanged_row},
    {"lease", lease_row},
    {"over", over_row},
    {"fence", fence_row},
    {"schedule", schedule_row},
    {"fire", fire_row},
    {"settlement", settlement_row},
    {"no_settlement", no_settlement_row},
    {"drain", drain_row},
    {0},
};

static void row_run(struct script *script, struct row *row)
{
    if (row->word_count != 0 && verb_find(row->words[0]) != NULL) {
        event_row(script, row);
        return;
    }
    request_run(script);
    if (row->word_count == 0)
        return;
    const struct command *command = commands;
    while (command->name != NULL && !same(command->name, row->words[0]))
        command++;
    cr_assert(command->name != NULL, "line %u: what is %s?", row->line, row->words[0]);
    command->run(script, row);
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
    fixture->fence = NULL;
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

static void rule_apply(struct fixture *fixture, enum event_kind kind, union event *events,
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
    union event events[2];
    /* Words of the base that concern the first event are left to rule_apply(). */
    struct row event = *base;
    struct row first = {0};
    event.word_count = 0;
    for (uint32_t i = 0; i < base->word_count; i++) {
        bool of_first = strncmp(base->words[i], "first=", 6) == 0;
        struct row *to = of_first ? &first : &event;
        to->words[to->word_count++] = base->words[i];
    }
    enum event_kind kind = event_parse(fixture, event.words, event.word_count, &events[1]);
    memset(&events[0], 0, sizeof events[0]); /* fails: its id is zero */
    if (events[1].transfer.id == 0)
        events[1].transfer.id = id_next++;
    rule_apply(fixture, kind, events, &first);
    rule_apply(fixture, kind, events, rule);
    if (other != NULL)
        rule_apply(fixture, kind, events, other);
    if ((kind == EVENT_ACCOUNT || kind == EVENT_TRANSFER) &&
        (events[0].transfer.flags & flag_find(kind, "imported")) != 0)
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
