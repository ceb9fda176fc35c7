/* Requests about what there is beside accounts and transfers: limits, leases, schedules,
 * cut-offs. Each event stands by itself. */
#include "engine/apply.h"
#include "engine/planted.h"
#include "engine/rules.h"
#include "engine/stage.h"

#include <assert.h>

static void result_put(struct ledger_output *output, uint32_t index, uint32_t code)
{
    output->results[output->result_count++] = (struct giro_result){.index = index, .code = code};
}

/* The records of a request, of which nothing is done yet. */
static void request_begin(struct ledger *ledger, uint64_t timestamp, struct ledger_output *output)
{
    assert(timestamp > ledger->timestamp_last);
    journal_clear(&ledger->journal);
    output->record_count = 0;
    output->result_count = 0;
}

/* ---- Limits ------------------------------------------------------------------------------ */

/* Whether limits may be set. out_row: of their account. */
static enum giro_limits_result limits_check(const struct ledger *ledger,
                                            const struct giro_limits *event, uint32_t *out_row)
{
    const unsigned limited =
        GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS | GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS;
    if (event->timestamp != 0)
        return GIRO_LIMITS_RESULT_TIMESTAMP_MUST_BE_ZERO;
    if (event->reserved != 0)
        return GIRO_LIMITS_RESULT_RESERVED_FIELD;
    if ((event->flags & ~GIRO_LIMITS_FLAGS_ALL) != 0)
        return GIRO_LIMITS_RESULT_RESERVED_FLAG;
    if (event->account_id == 0)
        return GIRO_LIMITS_RESULT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
    if (event->account_id == GIRO_U128_MAX)
        return GIRO_LIMITS_RESULT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
    if (event->over_capture > GIRO_OVER_CAPTURE_MAX)
        return GIRO_LIMITS_RESULT_OVER_CAPTURE_OUT_OF_RANGE;
    for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++) {
        enum giro_limits_result result =
            velocity_check(&event->velocity[s], event->velocity_max[s]);
        if (result != GIRO_LIMITS_RESULT_SET)
            return result;
    }
    *out_row = accounts_find(&ledger->accounts, event->account_id);
    if (*out_row == ACCOUNTS_NONE)
        return GIRO_LIMITS_RESULT_ACCOUNT_NOT_FOUND;
    if (event->floor != 0 && (ledger->accounts.rows[*out_row].flags & limited) == 0)
        return GIRO_LIMITS_RESULT_FLOOR_NEEDS_LIMIT_FLAG;
    return GIRO_LIMITS_RESULT_SET;
}

void ledger_set_limits(struct ledger *ledger, const struct giro_limits *events, uint32_t count,
                       uint64_t timestamp, struct ledger_output *output)
{
    assert(count <= LEDGER_EVENTS_MAX);
    request_begin(ledger, timestamp, output);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row;
        enum giro_limits_result result = limits_check(ledger, &events[i], &row);
        if (result != GIRO_LIMITS_RESULT_SET) {
            result_put(output, i, result);
            continue;
        }
        struct giro_limits *record = &output->records[output->record_count].limits;
        *record = events[i];
        record->reserved = RECORD_SYSTEM_LIMITS;
        record->flags |= RECORD_SYSTEM << RECORD_KIND_SHIFT;
        record->timestamp = timestamp + i;
        limits_apply(ledger, record, row, output->address + output->record_count);
        output->record_count++;
    }
}

/* ---- Leases ------------------------------------------------------------------------------ */

/* Whether an event says what to do to a lease. */
static enum giro_lease_result lease_check(const struct giro_lease *event)
{
    static const uint8_t zeros[sizeof event->reserved];
    const bool releases = event->action == GIRO_LEASE_RELEASE;
    if (event->timestamp != 0)
        return GIRO_LEASE_RESULT_TIMESTAMP_MUST_BE_ZERO;
    if (event->deadline != 0 || event->row != 0 || event->result != 0 || event->flags != 0 ||
        memcmp(event->reserved, zeros, sizeof zeros) != 0)
        return GIRO_LEASE_RESULT_RESERVED_FIELD;
    if (event->key == 0)
        return GIRO_LEASE_RESULT_KEY_MUST_NOT_BE_ZERO;
    if (event->key == GIRO_U128_MAX)
        return GIRO_LEASE_RESULT_KEY_MUST_NOT_BE_INT_MAX;
    if (event->owner == 0)
        return GIRO_LEASE_RESULT_OWNER_MUST_NOT_BE_ZERO;
    if (event->action < GIRO_LEASE_ACQUIRE || event->action > GIRO_LEASE_RELEASE)
        return GIRO_LEASE_RESULT_ACTION_UNKNOWN;
    if (releases ? event->timeout_ms != 0
                 : event->timeout_ms == 0 || event->timeout_ms > GIRO_LEASE_TIMEOUT_MS_MAX)
        return GIRO_LEASE_RESULT_TIMEOUT_OUT_OF_RANGE;
    if (event->action == GIRO_LEASE_ACQUIRE && event->token != 0)
        return GIRO_LEASE_RESULT_TOKEN_MUST_BE_ZERO;
    return GIRO_LEASE_RESULT_DONE;
}

/* The lease of an event as it will be, in the log's form; else why not. */
static enum giro_lease_result lease_decide(struct ledger *ledger, const struct giro_lease *event,
                                           uint64_t timestamp, uint64_t address,
                                           struct giro_lease *record)
{
    uint32_t row = leases_find(&ledger->leases, event->key);
    const struct lease *known = row == LEASES_NONE ? NULL : &ledger->leases.rows[row];
    const bool current = known != NULL && lease_is_current(known, timestamp);
    *record = *event;
    record->timestamp = timestamp;
    if (event->action == GIRO_LEASE_ACQUIRE) {
        if (current && known->owner != event->owner)
            return GIRO_LEASE_RESULT_HELD_BY_ANOTHER;
        row = known != NULL ? row : leases_vacant(&ledger->leases, timestamp);
        if (row == LEASES_NONE)
            return GIRO_LEASE_RESULT_LEASES_FULL;
        record->token = address;
    } else if (!current || known->owner != event->owner || known->token != event->token) {
        return GIRO_LEASE_RESULT_NOT_HELD;
    }
    record->row = row;
    if (event->action != GIRO_LEASE_RELEASE)
        record->deadline = timestamp + event->timeout_ms * GIRO_NS_PER_MS;
    return GIRO_LEASE_RESULT_DONE;
}

/* What a reply tells of a lease that was refused: who has it. */
static void lease_refused(const struct ledger *ledger, enum giro_lease_result result,
                          struct giro_lease *reply)
{
    const uint32_t row = leases_find(&ledger->leases, reply->key);
    reply->token = 0;
    reply->timestamp = 0;
    reply->result = (uint16_t)result;
    if (result != GIRO_LEASE_RESULT_HELD_BY_ANOTHER)
        return;
    reply->owner = ledger->leases.rows[row].owner;
    reply->deadline = ledger->leases.rows[row].deadline;
}

void ledger_lease(struct ledger *ledger, const struct giro_lease *events, uint32_t count,
                  uint64_t timestamp, void *replies, struct ledger_output *output)
{
    char *out = replies;
    assert(count <= LEDGER_EVENTS_MAX);
    request_begin(ledger, timestamp, output);
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t address = output->address + output->record_count;
        struct giro_lease reply = events[i];
        enum giro_lease_result result = lease_check(&events[i]);
        if (result == GIRO_LEASE_RESULT_DONE)
            result = lease_decide(ledger, &events[i], timestamp + i, address, &reply);
        if (result == GIRO_LEASE_RESULT_DONE) {
            struct giro_lease *record = &output->records[output->record_count++].lease;
            *record = reply;
            record->result = RECORD_SYSTEM_LEASE;
            record->flags = RECORD_SYSTEM << RECORD_KIND_SHIFT;
            lease_apply(ledger, record, address);
            reply.row = 0;
        } else {
            lease_refused(ledger, result, &reply);
            output->result_count++;
        }
        memcpy(out + (size_t)i * sizeof reply, &reply, sizeof reply);
    }
}

/* ---- Schedules --------------------------------------------------------------------------- */

/* What a client said of a schedule that is there. */
static struct giro_schedule schedule_as_created(const struct giro_schedule *row)
{
    struct giro_schedule event = *row;
    event.next = event.made = 0;
    event.last_id = 0;
    event.occurrence = event.attempt = event.last_result = 0;
    event.state = 0;
    event.timestamp = 0;
    return event;
}

static enum giro_schedule_result schedule_check(const struct ledger *ledger,
                                                const struct giro_schedule *event)
{
    if (event->timestamp != 0 || event->transfer.timestamp != 0)
        return GIRO_SCHEDULE_RESULT_TIMESTAMP_MUST_BE_ZERO;
    if (event->flags != 0)
        return GIRO_SCHEDULE_RESULT_RESERVED_FLAG;
    const struct giro_schedule plain = schedule_as_created(event);
    if (memcmp(&plain, event, sizeof plain) != 0 || event->transfer.id != 0 ||
        event->transfer.pending_id != 0 || !schedule_reserved_is_zero(event))
        return GIRO_SCHEDULE_RESULT_RESERVED_FIELD;
    if (event->id == 0)
        return GIRO_SCHEDULE_RESULT_ID_MUST_NOT_BE_ZERO;
    if (event->id == GIRO_U128_MAX)
        return GIRO_SCHEDULE_RESULT_ID_MUST_NOT_BE_INT_MAX;
    const uint32_t row = schedules_find(&ledger->schedules, event->id);
    if (row != SCHEDULES_NONE) {
        const struct giro_schedule known = schedule_as_created(&ledger->schedules.rows[row]);
        return memcmp(&known, event, sizeof known) == 0
                   ? GIRO_SCHEDULE_RESULT_EXISTS
                   : GIRO_SCHEDULE_RESULT_EXISTS_WITH_DIFFERENT_FIELDS;
    }
    const enum giro_schedule_result result = schedule_check_rule(event);
    return result != GIRO_SCHEDULE_RESULT_DONE ? result : template_check(ledger, &event->transfer);
}

/* Logs a schedule as two records: see RECORD_SYSTEM_SCHEDULE. */
static void schedule_log(const struct giro_schedule *schedule, union record *records)
{
    struct giro_schedule logged = *schedule;
    logged.transfer_code = schedule->transfer.code;
    logged.transfer_flags = schedule->transfer.flags;
    logged.state = RECORD_SYSTEM_SCHEDULE;
    logged.flags = RECORD_SYSTEM << RECORD_KIND_SHIFT;
    logged.transfer.id = schedule->id;
    logged.transfer.code = RECORD_SYSTEM_TEMPLATE;
    logged.transfer.flags = RECORD_SYSTEM << RECORD_KIND_SHIFT;
    logged.transfer.timestamp = schedule->timestamp;
    memcpy(records, &logged, sizeof logged);
}

void ledger_create_schedules(struct ledger *ledger, const struct giro_schedule *events,
                             uint32_t count, uint64_t timestamp, struct ledger_output *output)
{
    request_begin(ledger, timestamp, output);
    for (uint32_t i = 0; i < count; i++) {
        enum giro_schedule_result result = schedule_check(ledger, &events[i]);
        if (result != GIRO_SCHEDULE_RESULT_DONE) {
            result_put(output, i, result);
            continue;
        }
        struct giro_schedule row = events[i];
        row.next = row.first;
        row.state = GIRO_SCHEDULE_ACTIVE;
        row.timestamp = timestamp + i;
        schedule_log(&row, &output->records[output->record_count]);
        output->record_count += 2;
        (void)schedules_append(&ledger->schedules, &row);
        timestamp_seen(ledger, row.timestamp);
    }
}

void ledger_cancel_schedules(struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                             uint64_t timestamp, struct ledger_output *output)
{
    request_begin(ledger, timestamp, output);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = schedules_find(&ledger->schedules, ids[i]);
        if (row == SCHEDULES_NONE) {
            result_put(output, i, GIRO_SCHEDULE_RESULT_NOT_FOUND);
            continue;
        }
        if (ledger->schedules.rows[row].state != GIRO_SCHEDULE_ACTIVE) {
            result_put(output, i, GIRO_SCHEDULE_RESULT_ALREADY_OVER);
            continue;
        }
        struct giro_firing *record = &output->records[output->record_count].firing;
        *record = (struct giro_firing){
            .schedule_id = ids[i],
            .row = row,
            .code = RECORD_SYSTEM_CANCEL,
            .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
            .timestamp = timestamp + i,
        };
        cancel_apply(ledger, record, output->address + output->record_count);
        output->record_count++;
    }
}

/* ---- Cut-off ----------------------------------------------------------------------------- */

static enum giro_cut_off_result cut_off_check(const struct ledger *ledger,
                                              const struct giro_cut_off *event)
{
    static const uint8_t zeros[sizeof event->reserved];
    const struct epoch *known = settlements_epoch(&ledger->settlements, event->ledger);
    const uint64_t epoch = known != NULL ? known->epoch : 0;
    if (event->timestamp != 0)
        return GIRO_CUT_OFF_RESULT_TIMESTAMP_MUST_BE_ZERO;
    if (memcmp(event->reserved, zeros, sizeof zeros) != 0 || event->reserved_1 != 0)
        return GIRO_CUT_OFF_RESULT_RESERVED_FIELD;
    if (event->flags != 0)
        return GIRO_CUT_OFF_RESULT_RESERVED_FLAG;
    if (event->ledger == 0)
        return GIRO_CUT_OFF_RESULT_LEDGER_MUST_NOT_BE_ZERO;
    /* So that a request may be sent again: it ends an epoch once. */
    if (event->epoch < epoch)
        return GIRO_CUT_OFF_RESULT_EPOCH_IS_OVER;
    if (event->epoch > epoch)
        return GIRO_CUT_OFF_RESULT_EPOCH_HAS_NOT_BEGUN;
    return known == NULL && ledger->settlements.epoch_count == SETTLEMENTS_EPOCHS_MAX
               ? GIRO_CUT_OFF_RESULT_LEDGERS_FULL
               : GIRO_CUT_OFF_RESULT_DONE;
}

void ledger_cut_off(struct ledger *ledger, const struct giro_cut_off *events, uint32_t count,
                    uint64_t timestamp, struct ledger_output *output)
{
    request_begin(ledger, timestamp, output);
    for (uint32_t i = 0; i < count; i++) {
        enum giro_cut_off_result result = cut_off_check(ledger, &events[i]);
        if (result != GIRO_CUT_OFF_RESULT_DONE) {
            result_put(output, i, result);
            continue;
        }
        struct giro_cut_off *record = &output->records[output->record_count].cut_off;
        *record = events[i];
        record->reserved_1 = RECORD_SYSTEM_CUT_OFF;
        record->flags = RECORD_SYSTEM << RECORD_KIND_SHIFT;
        record->timestamp = timestamp + i;
        cut_off_apply(ledger, record, output->address + output->record_count);
        output->record_count++;
    }
}

/* ---- Firing ------------------------------------------------------------------------------ */

/* How many transfers of any kind there is room for. */
static uint32_t fire_room(const struct ledger *ledger, uint32_t events_max)
{
    uint64_t room = ledger->transfers.capacity - ledger->transfers.count;
    const uint32_t holds = ledger->holds.capacity - ledger->holds.count;
    const uint32_t payments =
        (ledger->payments.capacity - ledger->payments.count) / PAYMENT_ROWS_PER_EVENT;
    room = room < holds ? room : holds;
    room = room < payments ? room : payments;
    return room < events_max ? (uint32_t)room : events_max;
}

/* Makes the transfers of the schedules that are due next, in the order in which they are, and takes
 * those out of the order until they are fired. */
static uint32_t firings_collect(struct ledger *ledger, uint64_t timestamp, uint32_t most,
                                uint32_t *rows, struct giro_transfer *events)
{
    uint32_t count = 0;
    for (const struct deadline *first;
         count < most && (first = deadlines_first(&ledger->schedules.deadlines)) != NULL &&
         first->time <= timestamp;
         count++) {
        const struct giro_schedule *schedule = &ledger->schedules.rows[first->slot];
        rows[count] = first->slot;
        events[count] = schedule->transfer;
        events[count].id =
            schedule_transfer_id(schedule->id, schedule->occurrence, schedule->attempt);
        deadlines_set(&ledger->schedules.deadlines, rows[count], 0, 0);
    }
    return count;
}

/* What has to be known before those can be made: whether their ids are new. */
static uint32_t firings_missing(const struct ledger *ledger, uint32_t count,
                                const struct record_cache *cache, uint64_t *addresses)
{
    uint32_t missing = 0;
    for (uint32_t i = 0; i < count; i++)
        missing = missing_add(ledger, cache, ledger->events[i].id_hash, addresses, missing);
    return missing;
}

static void firing_execute(struct ledger *ledger, uint32_t row, const struct giro_transfer *event,
                           const struct ledger_event *prepared, uint64_t now,
                           const struct record_cache *cache, struct ledger_output *output)
{
    const struct giro_schedule *schedule = &ledger->schedules.rows[row];
    const uint64_t address = output->address + output->record_count;
    union record *records = &output->records[output->record_count];
    struct execution execution = {
        .cache = cache,
        .event = event,
        .prepared = prepared,
        .now = now,
        .timestamp = now,
        .records = &records[1],
        .address = address + 1,
        .record_count = 1,
    };
    struct giro_firing firing = {
        .schedule_id = schedule->id,
        .transfer_id = event->id,
        .due = schedule->next,
        .occurrence = schedule->occurrence,
        .attempt = schedule->attempt,
        .transfer_result = transfer_execute(ledger, &execution),
        .row = row,
        .code = RECORD_SYSTEM_FIRING,
        .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
        .timestamp = now,
    };
    schedule_advance(schedule, now, &firing);
    records[0].firing = firing;
    firing_apply(ledger, &firing, address);
    output->record_count++;
    if (firing.transfer_result == GIRO_TRANSFER_CREATED)
        output->record_count += execution.record_count;
}

uint32_t ledger_fire(struct ledger *ledger, uint64_t timestamp, uint32_t events_max,
                     const struct record_cache *cache, uint64_t *addresses,
                     struct ledger_output *output)
{
    uint32_t rows[LEDGER_FIRE_MAX];
    struct giro_transfer events[LEDGER_FIRE_MAX];
    assert(events_max <= LEDGER_FIRE_MAX);
    request_begin(ledger, timestamp, output);
    const uint32_t count =
        firings_collect(ledger, timestamp, fire_room(ledger, events_max), rows, events);
    chunk_prepare(ledger, events, 0, count, ledger->limits.count != 0);
    const uint32_t missing = firings_missing(ledger, count, cache, addresses);
    for (uint32_t i = 0; i < count; i++) {
        if (missing > 0) {
            schedules_changed(&ledger->schedules, rows[i]); /* back into its place */
            continue;
        }
        event_rows_confirm(ledger, &events[i], &ledger->events[i]);
        firing_execute(ledger, rows[i], &events[i], &ledger->events[i], timestamp + i, cache,
                       output);
    }
    return missing;
}

/* ---- Sessions ---------------------------------------------------------------------------- */

uint32_t session_records(uint32_t result_count)
{
    return 1 + (result_count + SESSION_RESULTS - 1) / SESSION_RESULTS;
}

void ledger_log_session(struct ledger *ledger, const struct record_session *session,
                        const struct session_result *results, struct ledger_output *output)
{
    const uint64_t address = output->address + output->record_count;
    struct record_session *record = &output->records[output->record_count++].session;
    journal_clear(&ledger->journal); /* the request is done */
    *record = *session;
    if (record->request_number == 0)
        record->number = address;
    record->code = RECORD_SYSTEM_SESSION;
    record->flags = RECORD_SYSTEM << RECORD_KIND_SHIFT;
    session_apply(ledger, record, address);
    for (uint32_t done = 0; done < session->result_count; done += SESSION_RESULTS) {
        struct record_session_results *next =
            &output->records[output->record_count++].session_results;
        const uint32_t left = session->result_count - done;
        *next = (struct record_session_results){
            .count = left < SESSION_RESULTS ? left : SESSION_RESULTS,
            .code = RECORD_SYSTEM_SESSION_RESULTS,
            .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
            .timestamp = session->timestamp,
        };
        memcpy(next->results, results + done, next->count * sizeof *results);
    }
}
