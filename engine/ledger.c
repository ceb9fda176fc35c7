/* The ledger: requests, their chains and chunks, undo, expiry.
 *
 * Reading order: engine/plain.h and engine/rules.c (what stands against one event, and its execution),
 * undo, the request loop with its chains, expiry. What an accepted record does is in engine/apply.h, shared with replay
 * (engine/replay.c); limits, leases and schedules are in engine/objects.c; what is answered without a
 * change in engine/lookup.c. */
#include "engine/ledger.h"

#include "engine/plain.h"
#include "engine/planted.h"
#include "engine/rules.h"
#include "engine/stage.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Result codes that accounts and transfers share, by the same numbers. */
enum {
    LINKED_EVENT_FAILED = GIRO_TRANSFER_LINKED_EVENT_FAILED,
    LINKED_EVENT_CHAIN_OPEN = GIRO_TRANSFER_LINKED_EVENT_CHAIN_OPEN,
    TIMESTAMP_MUST_BE_ZERO = GIRO_TRANSFER_TIMESTAMP_MUST_BE_ZERO,
    FLAG_LINKED = GIRO_TRANSFER_LINKED,
};
_Static_assert(LINKED_EVENT_FAILED == (int)GIRO_ACCOUNT_LINKED_EVENT_FAILED, "shared code");
_Static_assert(LINKED_EVENT_CHAIN_OPEN == (int)GIRO_ACCOUNT_LINKED_EVENT_CHAIN_OPEN, "shared code");
_Static_assert(TIMESTAMP_MUST_BE_ZERO == (int)GIRO_ACCOUNT_TIMESTAMP_MUST_BE_ZERO, "shared code");
_Static_assert(FLAG_LINKED == (int)GIRO_ACCOUNT_LINKED, "shared flag");

int ledger_create(const struct ledger_config *config, struct ledger **out_ledger)
{
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL)
        return -ENOMEM;
    ledger->hash_seed = config->hash_seed;
    ledger->events = calloc(LEDGER_EVENTS_MAX, sizeof *ledger->events);
    ledger->ended = calloc(LEDGER_EVENTS_MAX, sizeof *ledger->ended);
    if (ledger->events == NULL || ledger->ended == NULL ||
        accounts_init(&ledger->accounts, config->accounts_max, config->accounts_expected,
                      config->hash_seed) != 0 ||
        holds_init(&ledger->holds, config->holds_max, RECORD_ADDRESS_MAX + 1, config->hash_seed) !=
            0 ||
        journal_init(&ledger->journal, LEDGER_EVENTS_MAX * LEDGER_JOURNAL_PER_EVENT) != 0 ||
        limits_init(&ledger->limits, config->accounts_max) != 0 ||
        leases_init(&ledger->leases, LEDGER_LEASES_MAX, config->hash_seed) != 0 ||
        sessions_init(&ledger->sessions, SESSIONS_MAX, config->hash_seed) != 0 ||
        settlements_init(&ledger->settlements, config->accounts_max) != 0 ||
        schedules_init(&ledger->schedules, LEDGER_SCHEDULES_MAX, config->hash_seed) != 0 ||
        payments_init(&ledger->payments,
                      config->payments_max != 0 ? config->payments_max : LEDGER_PAYMENTS_DEFAULT,
                      &ledger->journal, config->hash_seed) != 0 ||
        (config->transfers_max != 0 &&
         index_init(&ledger->transfers, config->transfers_max, config->transfers_expected,
                    INDEX_LOAD_DENSE) != 0)) {
        ledger_destroy(ledger);
        return -ENOMEM;
    }
    *out_ledger = ledger;
    return 0;
}

void ledger_destroy(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    accounts_free(&ledger->accounts);
    holds_free(&ledger->holds);
    journal_free(&ledger->journal);
    payments_free(&ledger->payments);
    limits_free(&ledger->limits);
    leases_free(&ledger->leases);
    sessions_free(&ledger->sessions);
    schedules_free(&ledger->schedules);
    settlements_free(&ledger->settlements);
    index_free(&ledger->transfers);
    free(ledger->events);
    free(ledger->ended);
    free(ledger);
}

enum ledger_room ledger_room_accounts(const struct ledger *ledger, uint32_t count)
{
    return ledger->accounts.capacity - ledger->accounts.count < count ? LEDGER_FULL_ACCOUNTS
                                                                      : LEDGER_ROOM;
}

enum ledger_room ledger_room_schedules(const struct ledger *ledger, uint32_t count)
{
    return ledger->schedules.capacity - ledger->schedules.count < count ? LEDGER_FULL_SCHEDULES
                                                                        : LEDGER_ROOM;
}

enum ledger_room ledger_room_transfers(const struct ledger *ledger,
                                       const struct giro_transfer *events, uint32_t count)
{
    if (ledger->transfers.capacity - ledger->transfers.count < count)
        return LEDGER_FULL_TRANSFERS;
    uint32_t holds_left = ledger->holds.capacity - ledger->holds.count;
    uint32_t payments_left =
        (ledger->payments.capacity - ledger->payments.count) / PAYMENT_ROWS_PER_EVENT;
    if (holds_left >= count && payments_left >= count)
        return LEDGER_ROOM;
    uint32_t pending = 0;
    uint32_t payments = 0;
    for (uint32_t i = 0; i < count; i++) {
        const unsigned flags = events[i].flags;
        /* While velocity is limited, any new transfer may be marked, or held. */
        const bool may_be_held = ledger->limits.counting != 0 && (flags & HOLD_FLAGS) == 0;
        pending += may_be_held || (flags & (GIRO_TRANSFER_PENDING | GIRO_TRANSFER_ADJUST)) ==
                                      GIRO_TRANSFER_PENDING;
        payments += may_be_held || (flags & PAYMENT_FLAGS) != 0;
    }
    if (pending > holds_left)
        return LEDGER_FULL_HOLDS;
    return payments > payments_left ? LEDGER_FULL_PAYMENTS : LEDGER_ROOM;
}

/* With a transfer that is a return or a fact may come a RECORD_SYSTEM_PAYMENT; with any while velocity
 * is limited. */
uint32_t ledger_records_max(const struct ledger *ledger, const struct giro_transfer *events,
                            uint32_t count)
{
    uint32_t records = count;
    if (ledger->limits.counting != 0)
        return 2 * count;
    for (uint32_t i = 0; i < count; i++)
        records += (events[i].flags & (GIRO_TRANSFER_RETURN | GIRO_TRANSFER_FACT)) != 0;
    return records;
}

/* ---- Undo ------------------------------------------------------------------------------ */

static void resolve_undo(struct ledger *ledger, const struct giro_transfer *transfer)
{
    assert(ledger->ended_count > 0);
    struct hold *hold = ledger->ended[--ledger->ended_count];
    assert(hold->record.id == transfer->pending_id);
    struct giro_account *debit = &ledger->accounts.rows[hold->debit_row];
    struct giro_account *credit = &ledger->accounts.rows[hold->credit_row];
    if (hold->state == HOLD_POSTED) {
        debit->debits_posted -= transfer->amount;
        credit->credits_posted -= transfer->amount;
    } else {
        closing_apply(ledger, hold, true);
    }
    debit->debits_pending += hold->record.amount;
    credit->credits_pending += hold->record.amount;
    hold_reopen(&ledger->holds, hold);
}

static void plain_undo(struct ledger *ledger, const struct giro_transfer *transfer)
{
    uint32_t debit_row = accounts_find(&ledger->accounts, transfer->debit_account_id);
    uint32_t credit_row = accounts_find(&ledger->accounts, transfer->credit_account_id);
    struct giro_account *debit = &ledger->accounts.rows[debit_row];
    struct giro_account *credit = &ledger->accounts.rows[credit_row];
    if ((transfer->flags & GIRO_TRANSFER_PENDING) == 0) {
        debit->debits_posted -= transfer->amount;
        credit->credits_posted -= transfer->amount;
        return;
    }
    debit->debits_pending -= transfer->amount;
    credit->credits_pending -= transfer->amount;
    struct hold *hold = holds_find(&ledger->holds, transfer->id);
    closing_apply(ledger, hold, false);
    hold_remove(&ledger->holds, hold);
}

/* What is pending is put back with the hold's entry in the journal. */
static void keep_open_undo(struct ledger *ledger, const struct giro_transfer *transfer)
{
    const struct hold *hold = holds_find(&ledger->holds, transfer->pending_id);
    if ((transfer->flags & GIRO_TRANSFER_POST_PENDING) == 0)
        return;
    ledger->accounts.rows[hold->debit_row].debits_posted -= transfer->amount;
    ledger->accounts.rows[hold->credit_row].credits_posted -= transfer->amount;
}

/* Puts back the hold that a record amended. */
static void hold_undo(struct ledger *ledger, const struct journal_entry *entry)
{
    struct hold *hold = &ledger->holds.slots[entry->slot];
    giro_u128 more = entry->before.hold.amount - hold->record.amount; /* or less: it wraps around */
    ledger->accounts.rows[hold->debit_row].debits_pending += more;
    ledger->accounts.rows[hold->credit_row].credits_pending += more;
    hold->record.amount = entry->before.hold.amount;
    hold->payment = entry->before.hold.payment;
    hold_set_deadline(&ledger->holds, hold, entry->before.hold.expires_at);
}

/* Puts back what an entry of the journal has. */
static void entry_undo(struct ledger *ledger, const struct journal_entry *entry)
{
    if (entry->kind == JOURNAL_HOLD)
        hold_undo(ledger, entry);
    else if (entry->table == LEDGER_PAYMENTS)
        payments_restore(&ledger->payments, entry);
    else if (entry->table == LEDGER_SETTLEMENTS)
        ledger->settlements.rows[entry->slot] = entry->before.settlement;
    else if (!PLANTED(KEEP_COUNTS)) /* no other table is changed by what can be taken back */
        limits_replace(&ledger->limits, entry->slot, &entry->before.limits);
}

/* Takes back what the record at an address, the newest, did to rows and amended holds. */
static void journal_undo(struct ledger *ledger, uint64_t address)
{
    struct journal *journal = &ledger->journal;
    while (journal->count > 0 && journal->entries[journal->count - 1].address == address)
        entry_undo(ledger, &journal->entries[--journal->count]);
}

static void account_undo(struct ledger *ledger)
{
    const uint32_t row = ledger->accounts.count - 1;
    if ((ledger->accounts.rows[row].flags & GIRO_ACCOUNT_SETTLES) != 0)
        settlements_pop(&ledger->settlements, row);
    accounts_pop(&ledger->accounts);
}

/* Takes back one record; records are undone newest first. */
static void record_undo(struct ledger *ledger, const union record *record, uint64_t address)
{
    if (record_kind(record) == RECORD_ACCOUNT) {
        account_undo(ledger);
        return;
    }
    if (record_kind(record) == RECORD_SYSTEM)
        return; /* what it did is in the journal, under the transfer behind it */
    const struct giro_transfer *transfer = &record->transfer;
    index_remove(&ledger->transfers, id_hash(transfer->id, ledger->hash_seed), address);
    if (record_kind(record) == RECORD_BURNT) {
        ledger->burnt_count--;
        return;
    }
    ledger->transfers_count--;
    if ((transfer->flags & GIRO_TRANSFER_KEEP_OPEN) != 0)
        keep_open_undo(ledger, transfer);
    else if ((transfer->flags & (GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING)) != 0)
        resolve_undo(ledger, transfer);
    else if ((transfer->flags & GIRO_TRANSFER_ADJUST) == 0)
        plain_undo(ledger, transfer);
    journal_undo(ledger, address);
}

/* ---- Old records ------------------------------------------------------------------------- */

/* Lists what a chunk may have to be compared with; the chunk was prepared. */
static uint32_t chunk_missing(const struct ledger *ledger, const struct giro_transfer *events,
                              uint32_t begin, uint32_t end, const struct record_cache *cache,
                              uint64_t *addresses, uint32_t missing)
{
    for (uint32_t i = begin; i < end; i++) {
        giro_u128 pending_id = events[i].pending_id;
        missing = missing_add(ledger, cache, ledger->events[i].id_hash, addresses, missing);
        if (pending_id == 0 || holds_find(&ledger->holds, pending_id) != NULL ||
            ((events[i].flags & GIRO_TRANSFER_RETURN) != 0 &&
             payments_find(&ledger->payments, pending_id) != PAYMENTS_NONE))
            continue;
        missing =
            missing_add(ledger, cache, id_hash(pending_id, ledger->hash_seed), addresses, missing);
    }
    return missing;
}

/* ---- The request loop -------------------------------------------------------------------- */

/* A request of either kind: accounts and transfers have flags and timestamp at the same place. */
struct request {
    enum record_kind kind; /* RECORD_ACCOUNT or RECORD_TRANSFER */
    const union record *events;
    uint32_t count;
    uint64_t timestamp;
    const struct record_cache *cache;
    uint64_t *addresses; /* to fetch, when the request cannot be executed yet */
    struct ledger_output *output;
    uint16_t flag_imported;
    uint32_t imported_expected; /* the result codes of this kind */
    uint32_t imported_not_expected;
    uint32_t timestamp_out_of_range;
    uint32_t timestamp_must_not_advance;
};

/* The linked chain that is being executed, and what undoing it must restore. */
struct chain {
    bool open;
    bool broken;
    bool committed; /* before: every member answers `exists` */
    uint32_t first; /* event */
    uint32_t record_count;
    uint64_t timestamp_last;
    uint64_t account_timestamp_last;
    uint64_t transfer_timestamp_last;
};

static void outcome_put(struct ledger_output *output, uint32_t index,
                        const struct giro_outcome *outcome)
{
    memcpy(output->outcomes + (size_t)index * sizeof *outcome, outcome, sizeof *outcome);
}

static void result_add(struct ledger_output *output, uint32_t index, uint32_t code)
{
    output->results[output->result_count++] = (struct giro_result){.index = index, .code = code};
    if (output->outcomes != NULL)
        outcome_put(output, index, &(struct giro_outcome){.code = code});
}

/* What the newest record, of the event at an index, led to. */
static void outcome_add(const struct ledger *ledger, struct ledger_output *output, uint32_t index)
{
    const struct giro_transfer *transfer = &output->records[output->record_count - 1].transfer;
    const struct giro_account *rows = ledger->accounts.rows;
    const struct giro_account *debit =
        &rows[accounts_find(&ledger->accounts, transfer->debit_account_id)];
    const struct giro_account *credit =
        &rows[accounts_find(&ledger->accounts, transfer->credit_account_id)];
    struct giro_outcome outcome = {.amount = transfer->amount, .timestamp = transfer->timestamp};
    bool may_be_marked =
        (transfer->flags & GIRO_TRANSFER_FACT) != 0 || ledger->limits.counting != 0;
    uint32_t row = may_be_marked ? payments_find(&ledger->payments, transfer->id) : PAYMENTS_NONE;
    memcpy(&outcome.debit, &debit->debits_pending, sizeof outcome.debit);
    memcpy(&outcome.credit, &credit->debits_pending, sizeof outcome.credit);
    outcome.marks = row == PAYMENTS_NONE ? 0 : ledger->payments.rows[row].marks;
    outcome_put(output, index, &outcome);
}

static void chain_begin(const struct ledger *ledger, const struct request *request, uint32_t first,
                        struct chain *chain)
{
    *chain = (struct chain){
        .open = true,
        .first = first,
        .record_count = request->output->record_count,
        .timestamp_last = ledger->timestamp_last,
        .account_timestamp_last = ledger->account_timestamp_last,
        .transfer_timestamp_last = ledger->transfer_timestamp_last,
    };
}

/* Undoes the chain up to the event that failed, and gives the members before it their result. */
static void chain_break(struct ledger *ledger, const struct request *request, uint32_t failed,
                        struct chain *chain)
{
    struct ledger_output *output = request->output;
    chain->broken = true;
    while (output->record_count > chain->record_count) {
        uint32_t last = --output->record_count;
        record_undo(ledger, &output->records[last], output->address + last);
    }
    ledger->timestamp_last = chain->timestamp_last;
    ledger->account_timestamp_last = chain->account_timestamp_last;
    ledger->transfer_timestamp_last = chain->transfer_timestamp_last;
    for (uint32_t i = chain->first; i < failed; i++)
        result_add(output, i, LINKED_EVENT_FAILED);
}

/* The checks that concern an event's place in its request. */
static uint32_t event_check(const struct request *request, uint32_t index)
{
    const struct giro_transfer *event = &request->events[index].transfer;
    bool imported = (event->flags & request->flag_imported) != 0;
    bool expected = (request->events[0].transfer.flags & request->flag_imported) != 0;
    if (imported != expected)
        return expected ? request->imported_expected : request->imported_not_expected;
    if (!imported)
        return event->timestamp == 0 ? 0 : TIMESTAMP_MUST_BE_ZERO;
    if (event->timestamp == 0 || event->timestamp > GIRO_TIMESTAMP_MAX)
        return request->timestamp_out_of_range;
    return event->timestamp < request->timestamp ? 0 : request->timestamp_must_not_advance;
}

static uint32_t event_identity(const struct ledger *ledger, const struct request *request,
                               uint32_t index)
{
    const union record *event = &request->events[index];
    if (request->kind == RECORD_ACCOUNT)
        return account_identity(ledger, &event->account);
    return transfer_identity(ledger, request->cache, &event->transfer,
                             ledger->events[index].id_hash);
}

/* Whether the chain that begins at first was committed before: every member exists, unchanged.
 * Retrying it then answers `exists` for every member. */
static bool chain_exists(const struct ledger *ledger, const struct request *request, uint32_t first)
{
    const uint32_t exists = request->kind == RECORD_ACCOUNT ? (uint32_t)GIRO_ACCOUNT_EXISTS
                                                            : (uint32_t)GIRO_TRANSFER_EXISTS;
    for (uint32_t i = first; i < request->count; i++) {
        if (event_check(request, i) != 0 || event_identity(ledger, request, i) != exists)
            return false;
        if ((request->events[i].transfer.flags & FLAG_LINKED) == 0)
            return true;
    }
    return false; /* the chain is open */
}

static uint32_t transfer_run(struct ledger *ledger, const struct request *request, uint32_t index)
{
    const struct giro_transfer *event = &request->events[index].transfer;
    const struct ledger_event *prepared = &ledger->events[index];
    struct ledger_output *output = request->output;
    union record *records = &output->records[output->record_count];
    const uint64_t address = output->address + output->record_count;
    const uint64_t now = request->timestamp + index;
    const uint64_t timestamp =
        (event->flags & GIRO_TRANSFER_IMPORTED) != 0 ? event->timestamp : now;
    if (is_plain(ledger, event) && output->fence == NULL) {
        uint32_t code = transfer_identity(ledger, request->cache, event, prepared->id_hash);
        if (code == 0)
            code = plain_execute(ledger, event, prepared, timestamp, &records[0].transfer, address);
        output->record_count += code == 0;
        return code;
    }
    struct execution execution = {
        .cache = request->cache,
        .event = event,
        .prepared = prepared,
        .fence = output->fence,
        .now = now,
        .timestamp = timestamp,
        .records = records,
        .address = address,
        .record_count = 1,
    };
    uint32_t code = transfer_execute(ledger, &execution);
    if (code == 0)
        output->record_count += execution.record_count;
    return code;
}

static uint32_t account_run(struct ledger *ledger, const struct request *request, uint32_t index)
{
    const struct giro_account *event = &request->events[index].account;
    struct ledger_output *output = request->output;
    const uint64_t timestamp =
        (event->flags & GIRO_ACCOUNT_IMPORTED) != 0 ? event->timestamp : request->timestamp + index;
    uint32_t code =
        account_execute(ledger, event, timestamp, &output->records[output->record_count]);
    output->record_count += code == 0;
    return code;
}

/* Logs that the id of a transfer that failed for a transient reason is spent. */
static void event_burn(struct ledger *ledger, const struct request *request, uint32_t index,
                       uint32_t code)
{
    struct ledger_output *output = request->output;
    union record *record = &output->records[output->record_count];
    record->transfer = (struct giro_transfer){
        .id = request->events[index].transfer.id,
        .code = (uint16_t)code,
        .flags = RECORD_BURNT << RECORD_KIND_SHIFT,
        .timestamp = request->timestamp + index,
    };
    burn_apply(ledger, &record->transfer, output->address + output->record_count,
               ledger->events[index].id_hash);
    output->record_count++;
}

/* Executes one event, and what follows from its result for its chain. */
static void event_run(struct ledger *ledger, const struct request *request, uint32_t i,
                      struct chain *chain)
{
    bool linked = (request->events[i].transfer.flags & FLAG_LINKED) != 0;
    if (linked && !chain->open) {
        chain_begin(ledger, request, i, chain);
        chain->committed = !request->output->baseline && chain_exists(ledger, request, i);
    }
    uint32_t code;
    if (linked && i == request->count - 1)
        code = LINKED_EVENT_CHAIN_OPEN;
    else if (chain->broken)
        code = LINKED_EVENT_FAILED;
    else
        code = event_check(request, i);
    if (code == 0)
        code = request->kind == RECORD_ACCOUNT ? account_run(ledger, request, i)
                                               : transfer_run(ledger, request, i);
    if (code != 0) {
        if (chain->open && !chain->broken && !chain->committed)
            chain_break(ledger, request, i, chain);
        result_add(request->output, i, code);
        if (request->kind == RECORD_TRANSFER && giro_transfer_result_is_transient(code))
            event_burn(ledger, request, i, code);
    }
    if (code == 0 && request->output->outcomes != NULL)
        outcome_add(ledger, request->output, i);
    if (!linked && chain->open)
        *chain = (struct chain){0};
}

/* A chunk ends where a chain does: whether a chain was committed before is asked at its start. */
static uint32_t chunk_end(const struct request *request, uint32_t begin)
{
    uint32_t end = request->count - begin > CHUNK_EVENTS ? begin + CHUNK_EVENTS : request->count;
    while (end < request->count && (request->events[end - 1].transfer.flags & FLAG_LINKED) != 0)
        end++;
    return end;
}

/* Takes back everything that the request did so far. */
static void request_undo(struct ledger *ledger, const struct request *request,
                         const struct chain *before)
{
    struct ledger_output *output = request->output;
    while (output->record_count > 0) {
        uint32_t last = --output->record_count;
        record_undo(ledger, &output->records[last], output->address + last);
    }
    output->result_count = 0;
    ledger->timestamp_last = before->timestamp_last;
    ledger->account_timestamp_last = before->account_timestamp_last;
    ledger->transfer_timestamp_last = before->transfer_timestamp_last;
    assert(ledger->ended_count == 0);
}

/* Executes a request chunk by chunk. When a chunk turns out to need old records that are not in
 * memory, which is rare, the request is taken back, and everything that the rest of it needs is
 * listed as well. Returns how many addresses that is; 0: executed. */
static uint32_t request_execute(struct ledger *ledger, const struct request *request)
{
    const struct giro_transfer *events = (const struct giro_transfer *)request->events;
    struct chain chain = {0};
    struct chain before;
    uint32_t missing = 0;

    assert(request->count <= LEDGER_EVENTS_MAX);
    assert(request->timestamp > ledger->timestamp_last);
    request->output->record_count = 0;
    request->output->result_count = 0;
    journal_clear(&ledger->journal);
    chain_begin(ledger, request, 0, &before);
    for (uint32_t begin = 0, end; begin < request->count; begin = end) {
        end = chunk_end(request, begin);
        if (request->kind == RECORD_TRANSFER) {
            chunk_prepare(ledger, events, begin, end, ledger->limits.count != 0);
            uint32_t listed = chunk_missing(ledger, events, begin, end, request->cache,
                                            request->addresses, missing);
            if (listed > 0 && missing == 0)
                request_undo(ledger, request, &before);
            missing = listed;
        }
        for (uint32_t i = begin; i < end && missing == 0; i++) {
            if (request->kind == RECORD_TRANSFER)
                event_rows_confirm(ledger, &events[i], &ledger->events[i]);
            event_run(ledger, request, i, &chain);
        }
    }
    ended_holds_remove(ledger);
    return missing;
}

void ledger_create_accounts(struct ledger *ledger, const struct giro_account *events,
                            uint32_t count, uint64_t timestamp, struct ledger_output *output)
{
    struct request request = {
        .kind = RECORD_ACCOUNT,
        .events = (const union record *)events,
        .count = count,
        .timestamp = timestamp,
        .output = output,
        .flag_imported = GIRO_ACCOUNT_IMPORTED,
        .imported_expected = GIRO_ACCOUNT_IMPORTED_EVENT_EXPECTED,
        .imported_not_expected = GIRO_ACCOUNT_IMPORTED_EVENT_NOT_EXPECTED,
        .timestamp_out_of_range = GIRO_ACCOUNT_IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE,
        .timestamp_must_not_advance = GIRO_ACCOUNT_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE,
    };
    (void)request_execute(ledger, &request);
}

uint32_t ledger_create_transfers(struct ledger *ledger, const struct giro_transfer *events,
                                 uint32_t count, uint64_t timestamp,
                                 const struct record_cache *cache, uint64_t *addresses,
                                 struct ledger_output *output)
{
    struct request request = {
        .kind = RECORD_TRANSFER,
        .events = (const union record *)events,
        .count = count,
        .timestamp = timestamp,
        .cache = cache,
        .addresses = addresses,
        .output = output,
        .flag_imported = GIRO_TRANSFER_IMPORTED,
        .imported_expected = GIRO_TRANSFER_IMPORTED_EVENT_EXPECTED,
        .imported_not_expected = GIRO_TRANSFER_IMPORTED_EVENT_NOT_EXPECTED,
        .timestamp_out_of_range = GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE,
        .timestamp_must_not_advance = GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE,
    };
    return request_execute(ledger, &request);
}

/* ---- Expiry ------------------------------------------------------------------------------ */

void ledger_expire(struct ledger *ledger, uint64_t timestamp, uint32_t records_max,
                   struct ledger_output *output)
{
    assert(timestamp > ledger->timestamp_last);
    journal_clear(&ledger->journal);
    output->record_count = 0;
    output->result_count = 0;
    while (output->record_count < records_max && ledger_expiry_due(ledger, timestamp)) {
        struct hold *hold = holds_earliest(&ledger->holds);
        struct giro_transfer *record = &output->records[output->record_count].transfer;
        *record = (struct giro_transfer){
            .debit_account_id = hold->record.debit_account_id,
            .credit_account_id = hold->record.credit_account_id,
            .amount = hold->record.amount,
            .pending_id = hold->record.id,
            .ledger = hold->record.ledger,
            .code = RECORD_SYSTEM_EXPIRY,
            .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
            .timestamp = timestamp + output->record_count,
        };
        expiry_apply(ledger, hold, record->timestamp, output->address + output->record_count);
        output->record_count++;
    }
}
