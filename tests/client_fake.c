#include "tests/client_fake.h"

#include "engine/result.h"
#include "net/frame.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECORDS_MAX = 1 << 18, SLOTS = 1 << 19, FRAMES_MAX = 1 << 16, CONNECTIONS_MAX = 512 };
enum { LEDGERS_MAX = 8 };

struct connection {
    struct fake *fake;
    uint32_t index;
    int fd;
    bool ended;
    pthread_t thread;
    uint8_t request[FRAME_BYTES_MAX];
    uint8_t reply[FRAME_BYTES_MAX];
};

/* Accounts, transfers and limits alike: the first 16 bytes are the id. */
struct store {
    struct giro_transfer *records;
    uint32_t count;
    uint32_t *slots; /* position + 1, by id; 0: free */
};

struct fake {
    struct fake_options options;
    char address[64];
    int listener;
    pthread_t acceptor;
    pthread_mutex_t mutex;
    pthread_cond_t released;
    bool held;
    uint32_t passes; /* frames that may pass although held */
    bool stopping;
    struct connection *connections[CONNECTIONS_MAX];
    uint32_t connection_count;
    uint32_t hello_count;
    uint32_t frames_bad;
    uint32_t frame_count;
    struct fake_frame *frames;
    struct store accounts;
    struct store transfers;
    struct store limits;
    struct store leases;
    struct store schedules;          /* their first halves */
    struct giro_transfer *templates; /* and the second ones, at the same place */
    bool fenced_off;                 /* the request has a fence that is not held */
    uint64_t epochs[LEDGERS_MAX];    /* of ledger numbers below that */
    uint64_t timestamp;
    uint64_t random;
};

/* ---- Store ------------------------------------------------------------------------------- */

static uint32_t *store_slot(struct store *store, giro_u128 id)
{
    uint64_t hash = ((uint64_t)id ^ (uint64_t)(id >> 64)) * 0x9e3779b97f4a7c15ull;
    uint32_t slot = (uint32_t)(hash >> 32) % SLOTS;
    while (store->slots[slot] != 0 && store->records[store->slots[slot] - 1].id != id)
        slot = (slot + 1) % SLOTS;
    return &store->slots[slot];
}

static void store_add(struct store *store, const struct giro_transfer *record, uint64_t timestamp)
{
    assert(store->count < RECORDS_MAX);
    uint32_t *slot = store_slot(store, record->id);
    store->records[store->count] = *record;
    store->records[store->count].timestamp = timestamp;
    *slot = ++store->count;
}

static void store_undo(struct store *store, uint32_t count)
{
    while (store->count > count) { /* latest first: then no probe sequence is cut */
        *store_slot(store, store->records[store->count - 1].id) = 0;
        store->count--;
    }
}

/* ---- The ledger's rules, those that matter here ------------------------------------------ */

struct rules {
    uint32_t imported_flag;
    uint32_t imported_expected;
    uint32_t imported_not_expected;
    uint32_t id_zero;
    uint32_t exists;
};

static const struct rules account_rules = {GIRO_ACCOUNT_IMPORTED,
                                           GIRO_ACCOUNT_IMPORTED_EVENT_EXPECTED,
                                           GIRO_ACCOUNT_IMPORTED_EVENT_NOT_EXPECTED,
                                           GIRO_ACCOUNT_ID_MUST_NOT_BE_ZERO, GIRO_ACCOUNT_EXISTS};
static const struct rules transfer_rules = {
    GIRO_TRANSFER_IMPORTED, GIRO_TRANSFER_IMPORTED_EVENT_EXPECTED,
    GIRO_TRANSFER_IMPORTED_EVENT_NOT_EXPECTED, GIRO_TRANSFER_ID_MUST_NOT_BE_ZERO,
    GIRO_TRANSFER_EXISTS};

static uint32_t event_judge(const struct fake *fake, struct store *store, const struct rules *rules,
                            const struct giro_transfer *events, uint32_t index)
{
    bool imported = (events[index].flags & rules->imported_flag) != 0;
    bool expected = (events[0].flags & rules->imported_flag) != 0;
    if (imported != expected)
        return expected ? rules->imported_expected : rules->imported_not_expected;
    if (events[index].id == 0)
        return rules->id_zero;
    if (*store_slot(store, events[index].id) != 0)
        return rules->exists;
    return fake->fenced_off ? (uint32_t)GIRO_TRANSFER_LEASE_NOT_HELD : 0;
}

/* Returns the number of results. */
static uint32_t events_create(struct fake *fake, struct store *store, const struct rules *rules,
                              const struct giro_transfer *events, uint32_t count,
                              struct giro_result *results)
{
    uint32_t result_count = 0;
    uint32_t chain_first = 0;
    uint32_t chain_store = 0;
    bool chain = false;
    bool broken = false;
    for (uint32_t i = 0; i < count; i++) {
        bool linked = (events[i].flags & GIRO_TRANSFER_LINKED) != 0;
        if (linked && !chain) {
            chain = true;
            broken = false;
            chain_first = i;
            chain_store = store->count;
        }
        uint32_t code = broken ? (uint32_t)GIRO_TRANSFER_LINKED_EVENT_FAILED
                               : event_judge(fake, store, rules, events, i);
        if (linked && i == count - 1)
            code = GIRO_TRANSFER_LINKED_EVENT_CHAIN_OPEN;
        if (code == 0)
            store_add(store, &events[i], fake->timestamp + i);
        if (code != 0 && chain && !broken) {
            broken = true;
            store_undo(store, chain_store);
            for (uint32_t k = chain_first; k < i; k++)
                results[result_count++] =
                    (struct giro_result){k, GIRO_TRANSFER_LINKED_EVENT_FAILED};
        }
        if (code != 0)
            results[result_count++] = (struct giro_result){i, code};
        if (!linked)
            chain = broken = false;
    }
    return result_count;
}

/* ---- Replies ----------------------------------------------------------------------------- */

static uint32_t reply_create(struct fake *fake, struct store *store, const struct rules *rules,
                             const uint8_t *body, uint32_t body_bytes, uint8_t *reply)
{
    struct giro_transfer *events = aligned_alloc(16, FRAME_BODY_BYTES_MAX);
    struct giro_result *results = calloc(FRAME_EVENTS_MAX, sizeof *results);
    uint32_t count = body_bytes / GIRO_RECORD_BYTES;
    memcpy(events, body, body_bytes);
    struct frame_created created = {
        .timestamp_first = fake->timestamp,
        .result_count = events_create(fake, store, rules, events, count, results),
    };
    fake->timestamp += count;
    memcpy(reply, &created, sizeof created);
    memcpy(reply + sizeof created, results, created.result_count * sizeof *results);
    free(events);
    free(results);
    return (uint32_t)(sizeof created + created.result_count * sizeof *results);
}

/* As if each transfer were the only one of its accounts. */
static uint32_t reply_outcomes(struct fake *fake, const uint8_t *body, uint32_t body_bytes,
                               uint8_t *reply)
{
    const uint32_t count = body_bytes / GIRO_RECORD_BYTES;
    const uint64_t timestamp = fake->timestamp;
    uint32_t bytes = reply_create(fake, &fake->transfers, &transfer_rules, body, body_bytes, reply);
    uint8_t *outcomes = reply + sizeof(struct frame_created);
    uint8_t *results = outcomes + count * sizeof(struct giro_outcome);
    memmove(results, outcomes, bytes - sizeof(struct frame_created));
    for (uint32_t i = 0; i < count; i++) {
        struct giro_transfer transfer;
        memcpy(&transfer, body + (size_t)i * sizeof transfer, sizeof transfer);
        const struct giro_outcome outcome = {.debit.debits_posted = transfer.amount,
                                             .credit.credits_posted = transfer.amount,
                                             .amount = transfer.amount,
                                             .timestamp = timestamp + i};
        memcpy(outcomes + i * sizeof outcome, &outcome, sizeof outcome);
    }
    for (uint32_t at = sizeof(struct frame_created); at < bytes; at += sizeof(struct giro_result)) {
        struct giro_result result;
        memcpy(&result, results + at - sizeof(struct frame_created), sizeof result);
        const struct giro_outcome outcome = {.code = result.code};
        memcpy(outcomes + result.index * sizeof outcome, &outcome, sizeof outcome);
    }
    return bytes + count * (uint32_t)sizeof(struct giro_outcome);
}

/* Only whether the account exists matters. */
static uint32_t reply_set_limits(struct fake *fake, const uint8_t *body, uint32_t body_bytes,
                                 uint8_t *reply)
{
    const uint32_t count = body_bytes / GIRO_RECORD_BYTES;
    struct frame_created created = {.timestamp_first = fake->timestamp};
    uint8_t *results = reply + sizeof created;
    for (uint32_t i = 0; i < count; i++) {
        struct giro_transfer record;
        memcpy(&record, body + (size_t)i * sizeof record, sizeof record);
        uint32_t slot = *store_slot(&fake->limits, record.id);
        if (*store_slot(&fake->accounts, record.id) == 0) {
            const struct giro_result result = {i, GIRO_LIMITS_RESULT_ACCOUNT_NOT_FOUND};
            memcpy(results + created.result_count++ * sizeof result, &result, sizeof result);
        } else if (slot == 0) {
            store_add(&fake->limits, &record, fake->timestamp + i);
        } else {
            record.timestamp = fake->timestamp + i;
            fake->limits.records[slot - 1] = record;
        }
    }
    fake->timestamp += count;
    memcpy(reply, &created, sizeof created);
    return (uint32_t)(sizeof created + created.result_count * sizeof(struct giro_result));
}

/* Leases are for ever, until they are released. */
static uint32_t lease_judge(const struct giro_lease *event, const struct giro_lease *known)
{
    const bool current = known != NULL && known->deadline != 0;
    if (event->key == 0)
        return GIRO_LEASE_RESULT_KEY_MUST_NOT_BE_ZERO;
    if (event->action == GIRO_LEASE_ACQUIRE)
        return current && known->owner != event->owner ? GIRO_LEASE_RESULT_HELD_BY_ANOTHER : 0;
    return current && known->owner == event->owner && known->token == event->token
               ? 0
               : GIRO_LEASE_RESULT_NOT_HELD;
}

static struct giro_lease lease_execute(struct fake *fake, const struct giro_lease *event)
{
    struct giro_transfer record;
    struct giro_lease lease = *event;
    const uint32_t slot = *store_slot(&fake->leases, event->key);
    struct giro_lease *known =
        slot == 0 ? NULL : (struct giro_lease *)(void *)&fake->leases.records[slot - 1];
    lease.result = (uint16_t)lease_judge(event, known);
    lease.timestamp = fake->timestamp++;
    if (lease.result != 0) {
        lease.token = lease.timestamp = 0;
        if (lease.result == GIRO_LEASE_RESULT_HELD_BY_ANOTHER) {
            lease.owner = known->owner;
            lease.deadline = known->deadline;
        }
        return lease;
    }
    if (event->action == GIRO_LEASE_ACQUIRE)
        lease.token = lease.timestamp;
    if (event->action != GIRO_LEASE_RELEASE)
        lease.deadline = lease.timestamp + event->timeout_ms * GIRO_NS_PER_MS;
    memcpy(&record, &lease, sizeof record);
    if (known == NULL)
        store_add(&fake->leases, &record, lease.timestamp);
    else
        *known = lease;
    return lease;
}

static uint32_t reply_lease(struct fake *fake, const uint8_t *body, uint32_t body_bytes,
                            uint8_t *reply)
{
    for (uint32_t at = 0; at < body_bytes; at += GIRO_RECORD_BYTES) {
        struct giro_lease lease;
        memcpy(&lease, body + at, sizeof lease);
        lease = lease_execute(fake, &lease);
        memcpy(reply + at, &lease, sizeof lease);
    }
    return body_bytes;
}

/* Only whether its id is there matters. */
static uint32_t schedule_create(struct fake *fake, const uint8_t *event, uint64_t timestamp)
{
    struct giro_schedule schedule;
    struct giro_transfer half;
    memcpy(&schedule, event, sizeof schedule);
    if (schedule.id == 0)
        return GIRO_SCHEDULE_RESULT_ID_MUST_NOT_BE_ZERO;
    if (*store_slot(&fake->schedules, schedule.id) != 0)
        return GIRO_SCHEDULE_RESULT_EXISTS;
    schedule.next = schedule.first;
    schedule.state = GIRO_SCHEDULE_ACTIVE;
    memcpy(&half, &schedule, sizeof half);
    fake->templates[fake->schedules.count] = schedule.transfer;
    store_add(&fake->schedules, &half, timestamp);
    return 0;
}

static uint32_t schedule_cancel(struct fake *fake, const uint8_t *event)
{
    giro_u128 id;
    struct giro_schedule schedule;
    memcpy(&id, event, sizeof id);
    const uint32_t slot = *store_slot(&fake->schedules, id);
    if (slot == 0)
        return GIRO_SCHEDULE_RESULT_NOT_FOUND;
    memcpy(&schedule, &fake->schedules.records[slot - 1], GIRO_RECORD_BYTES);
    if (schedule.state != GIRO_SCHEDULE_ACTIVE)
        return GIRO_SCHEDULE_RESULT_ALREADY_OVER;
    schedule.state = GIRO_SCHEDULE_CANCELLED;
    schedule.next = 0;
    memcpy(&fake->schedules.records[slot - 1], &schedule, GIRO_RECORD_BYTES);
    return 0;
}

static uint32_t reply_schedules(struct fake *fake, const struct frame_header *header,
                                const uint8_t *body, uint8_t *reply)
{
    const bool creates = header->operation == FRAME_CREATE_SCHEDULES;
    const uint32_t size = creates ? sizeof(struct giro_schedule) : sizeof(giro_u128);
    struct frame_created created = {.timestamp_first = fake->timestamp};
    for (uint32_t i = 0; i < header->body_bytes / size; i++) {
        const uint8_t *event = body + (size_t)i * size;
        const uint32_t code =
            creates ? schedule_create(fake, event, fake->timestamp) : schedule_cancel(fake, event);
        const struct giro_result result = {i, code};
        if (code != 0)
            memcpy(reply + sizeof created + created.result_count++ * sizeof result, &result,
                   sizeof result);
        fake->timestamp++;
    }
    memcpy(reply, &created, sizeof created);
    return (uint32_t)(sizeof created + created.result_count * sizeof(struct giro_result));
}

static uint32_t reply_get_schedules(struct fake *fake, const uint8_t *body, uint32_t body_bytes,
                                    uint8_t *reply)
{
    uint32_t bytes = 0;
    for (uint32_t at = 0; at < body_bytes; at += sizeof(giro_u128)) {
        giro_u128 id;
        memcpy(&id, body + at, sizeof id);
        const uint32_t slot = *store_slot(&fake->schedules, id);
        if (slot == 0)
            continue;
        memcpy(reply + bytes, &fake->schedules.records[slot - 1], GIRO_RECORD_BYTES);
        memcpy(reply + bytes + GIRO_RECORD_BYTES, &fake->templates[slot - 1], GIRO_RECORD_BYTES);
        bytes += sizeof(struct giro_schedule);
    }
    return bytes;
}

static uint32_t reply_lookup(struct store *store, const uint8_t *body, uint32_t body_bytes,
                             uint8_t *reply)
{
    uint32_t bytes = 0;
    for (uint32_t at = 0; at < body_bytes; at += sizeof(giro_u128)) {
        giro_u128 id;
        memcpy(&id, body + at, sizeof id);
        uint32_t slot = *store_slot(store, id);
        if (slot == 0)
            continue;
        memcpy(reply + bytes, &store->records[slot - 1], GIRO_RECORD_BYTES);
        bytes += GIRO_RECORD_BYTES;
    }
    return bytes;
}

/* As if each account had used its velocity limits up. */
static uint32_t reply_velocity(struct fake *fake, const uint8_t *body, uint32_t body_bytes,
                               uint8_t *reply)
{
    uint32_t bytes = reply_lookup(&fake->limits, body, body_bytes, reply);
    for (uint32_t at = 0; at < bytes; at += GIRO_RECORD_BYTES) {
        struct giro_limits limits;
        memcpy(&limits, reply + at, sizeof limits);
        struct giro_velocity_used used = {.account_id = limits.account_id,
                                          .timestamp = fake->timestamp};
        for (uint32_t slot = 0; slot < GIRO_VELOCITY_SLOTS; slot++)
            used.used[slot] = used.maximum[slot] = limits.velocity_max[slot];
        memcpy(reply + at, &used, sizeof used);
    }
    return bytes;
}

/* Only ledger numbers and epochs matter. */
static uint32_t reply_cut_off(struct fake *fake, const uint8_t *body, uint32_t body_bytes,
                              uint8_t *reply)
{
    const uint32_t count = body_bytes / GIRO_RECORD_BYTES;
    struct frame_created created = {.timestamp_first = fake->timestamp};
    uint8_t *results = reply + sizeof created;
    for (uint32_t i = 0; i < count; i++) {
        struct giro_cut_off cut_off;
        memcpy(&cut_off, body + (size_t)i * sizeof cut_off, sizeof cut_off);
        uint64_t *epoch = &fake->epochs[cut_off.ledger % LEDGERS_MAX];
        struct giro_result result = {i, 0};
        if (cut_off.epoch < *epoch)
            result.code = GIRO_CUT_OFF_RESULT_EPOCH_IS_OVER;
        else if (cut_off.epoch > *epoch)
            result.code = GIRO_CUT_OFF_RESULT_EPOCH_HAS_NOT_BEGUN;
        else
            ++*epoch;
        if (result.code != 0)
            memcpy(results + created.result_count++ * sizeof result, &result, sizeof result);
    }
    fake->timestamp += count;
    memcpy(reply, &created, sizeof created);
    return (uint32_t)(sizeof created + created.result_count * sizeof(struct giro_result));
}

/* As if each account that settles had been posted to once, in the epoch before. */
static uint32_t reply_settlements(struct fake *fake, const uint8_t *body, uint32_t body_bytes,
                                  uint8_t *reply)
{
    const uint32_t found_bytes = reply_lookup(&fake->accounts, body, body_bytes, reply);
    uint32_t bytes = 0;
    for (uint32_t at = 0; at < found_bytes; at += GIRO_RECORD_BYTES) {
        struct giro_account account;
        memcpy(&account, reply + at, sizeof account);
        if ((account.flags & GIRO_ACCOUNT_SETTLES) == 0)
            continue;
        const struct giro_settlement settlement = {
            .account_id = account.id,
            .debits_before = account.code,
            .count_before = 1,
            .epoch = fake->epochs[account.ledger % LEDGERS_MAX],
            .ledger = account.ledger,
        };
        memcpy(reply + bytes, &settlement, sizeof settlement);
        bytes += GIRO_RECORD_BYTES;
    }
    return bytes;
}

/* As if every transfer were one that was posted. */
static uint32_t reply_payments(struct store *store, const uint8_t *body, uint32_t body_bytes,
                               uint8_t *reply)
{
    uint32_t bytes = reply_lookup(store, body, body_bytes, reply);
    for (uint32_t at = 0; at < bytes; at += GIRO_RECORD_BYTES) {
        struct giro_transfer transfer;
        memcpy(&transfer, reply + at, sizeof transfer);
        const struct giro_payment payment = {
            .id = transfer.id,
            .amount = transfer.amount,
            .origin = transfer.pending_id,
            .timestamp = transfer.timestamp,
            .ledger = transfer.ledger,
            .state = GIRO_PAYMENT_POSTED,
        };
        memcpy(reply + at, &payment, sizeof payment);
    }
    return bytes;
}

/* ---- Replies to filters ------------------------------------------------------------------ */

/* A filter of either kind. */
struct wanted {
    struct giro_query_filter filter;
    giro_u128 account_id; /* 0: any */
    bool debits;
    bool credits;
    bool reversed;
};

static struct wanted wanted_read(const struct frame_header *header, const uint8_t *body)
{
    struct wanted wanted = {0};
    struct giro_account_filter filter;
    if (header->operation >= FRAME_QUERY_ACCOUNTS) {
        memcpy(&wanted.filter, body, sizeof wanted.filter);
        wanted.reversed = (wanted.filter.flags & GIRO_QUERY_FILTER_REVERSED) != 0;
        return wanted;
    }
    memcpy(&filter, body, sizeof filter);
    wanted = (struct wanted){
        .filter = {.user_data_128 = filter.user_data_128,
                   .user_data_64 = filter.user_data_64,
                   .user_data_32 = filter.user_data_32,
                   .code = filter.code,
                   .timestamp_min = filter.timestamp_min,
                   .timestamp_max = filter.timestamp_max,
                   .limit = filter.limit},
        .account_id = filter.account_id,
        .debits = (filter.flags & GIRO_ACCOUNT_FILTER_DEBITS) != 0,
        .credits = (filter.flags & GIRO_ACCOUNT_FILTER_CREDITS) != 0,
        .reversed = (filter.flags & GIRO_ACCOUNT_FILTER_REVERSED) != 0,
    };
    return wanted;
}

static bool is_wanted(const struct wanted *wanted, const struct giro_transfer *record)
{
    const struct giro_query_filter *filter = &wanted->filter;
    if ((filter->user_data_128 != 0 && record->user_data_128 != filter->user_data_128) ||
        (filter->user_data_64 != 0 && record->user_data_64 != filter->user_data_64) ||
        (filter->user_data_32 != 0 && record->user_data_32 != filter->user_data_32) ||
        (filter->ledger != 0 && record->ledger != filter->ledger) ||
        (filter->code != 0 && record->code != filter->code) ||
        record->timestamp < filter->timestamp_min ||
        (filter->timestamp_max != 0 && record->timestamp > filter->timestamp_max))
        return false;
    return wanted->account_id == 0 ||
           (wanted->debits && record->debit_account_id == wanted->account_id) ||
           (wanted->credits && record->credit_account_id == wanted->account_id);
}

/* The balances of an account behind the first count transfers. */
static struct giro_account_balance balance_of(const struct store *store, giro_u128 account_id,
                                              uint32_t count)
{
    struct giro_account_balance balance = {.timestamp = store->records[count - 1].timestamp};
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_transfer *transfer = &store->records[i];
        if (transfer->debit_account_id == account_id)
            balance.balances.debits_posted += transfer->amount;
        if (transfer->credit_account_id == account_id)
            balance.balances.credits_posted += transfer->amount;
    }
    return balance;
}

static uint32_t reply_records(const struct store *store, const struct frame_header *header,
                              const uint8_t *body, uint8_t *reply)
{
    const struct wanted wanted = wanted_read(header, body);
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < store->count; i++) {
        uint32_t at = wanted.reversed ? store->count - 1 - i : i;
        if (bytes == wanted.filter.limit * GIRO_RECORD_BYTES || bytes == FRAME_BODY_BYTES_MAX)
            break;
        if (!is_wanted(&wanted, &store->records[at]))
            continue;
        if (header->operation == FRAME_GET_ACCOUNT_BALANCES) {
            struct giro_account_balance balance = balance_of(store, wanted.account_id, at + 1);
            memcpy(reply + bytes, &balance, sizeof balance);
        } else {
            memcpy(reply + bytes, &store->records[at], GIRO_RECORD_BYTES);
        }
        bytes += GIRO_RECORD_BYTES;
    }
    return bytes;
}

/* Ordinals are timestamps here. */
static struct giro_change change_of(const struct giro_transfer *record, bool is_account)
{
    struct giro_change change = {
        .ordinal = record->timestamp,
        .kind = is_account ? GIRO_CHANGE_ACCOUNT_CREATED : GIRO_CHANGE_TRANSFER_CREATED,
        .debit.debits_posted = is_account ? 0 : record->amount,
        .credit.credits_posted = is_account ? 0 : record->amount,
    };
    memcpy(&change.record, record, sizeof *record);
    return change;
}

static uint32_t reply_changes(const struct fake *fake, const uint8_t *body, uint8_t *reply)
{
    const struct store *accounts = &fake->accounts;
    const struct store *transfers = &fake->transfers;
    struct frame_changes head = {.ordinal_next = fake->timestamp, .ordinal_end = fake->timestamp};
    struct giro_change_filter filter;
    uint32_t account = 0;
    uint32_t transfer = 0;
    memcpy(&filter, body, sizeof filter);
    while (account < accounts->count || transfer < transfers->count) {
        bool is_account = transfer == transfers->count ||
                          (account < accounts->count && accounts->records[account].timestamp <
                                                            transfers->records[transfer].timestamp);
        const struct giro_transfer *record =
            is_account ? &accounts->records[account++] : &transfers->records[transfer++];
        if (record->timestamp < filter.ordinal)
            continue;
        if (head.count == filter.limit) {
            head.ordinal_next = record->timestamp;
            break;
        }
        struct giro_change change = change_of(record, is_account);
        memcpy(reply + sizeof head + head.count * sizeof change, &change, sizeof change);
        head.count++;
    }
    memcpy(reply, &head, sizeof head);
    return (uint32_t)(sizeof head + head.count * sizeof(struct giro_change));
}

static uint32_t reply_snapshot(uint8_t *reply)
{
    const struct frame_snapshot snapshot = {.lsn = 5, .bytes = 4096, .segment = 2};
    memcpy(reply, &snapshot, sizeof snapshot);
    return sizeof snapshot;
}

/* ---- Other replies ----------------------------------------------------------------------- */

static uint32_t reply_stats(struct fake *fake, uint8_t *reply)
{
    struct frame_stats stats = {
        .accounts = fake->accounts.count,
        .transfers = fake->transfers.count,
        .memory_index_bytes = 77,
        .memory_follower_bytes = 78,
    };
    memcpy(reply, &stats, sizeof stats);
    return sizeof stats;
}

static uint32_t reply_welcome(const struct fake *fake, uint8_t *reply)
{
    const struct fake_options *options = &fake->options;
    struct frame_welcome welcome = {
        .version = (uint16_t)(options->welcome_version ? options->welcome_version : FRAME_VERSION),
        .shard_count = 1,
        .events_max = options->events_max ? options->events_max : FRAME_EVENTS_MAX,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .time_ns = fake->timestamp,
    };
    memcpy(reply, &welcome, sizeof welcome);
    return sizeof welcome;
}

/* The fence of a frame: of zeros, when it has none. */
static struct giro_fence fence_of(const struct frame_header *header, const uint8_t *body)
{
    struct giro_fence fence = {0};
    if ((header->flags & FRAME_FLAG_FENCED) != 0 && header->body_bytes >= sizeof fence)
        memcpy(&fence, body, sizeof fence);
    return fence;
}

/* What is behind the fence of a request, if it has one. */
static uint32_t fence_pass(struct fake *fake, const struct frame_header *header,
                           const uint8_t **body)
{
    const struct giro_fence fence = fence_of(header, *body);
    fake->fenced_off = false;
    if (fence.token == 0)
        return header->body_bytes;
    struct giro_lease lease = {0};
    const uint32_t slot = *store_slot(&fake->leases, fence.key);
    if (slot != 0)
        memcpy(&lease, &fake->leases.records[slot - 1], sizeof lease);
    fake->fenced_off = lease.deadline == 0 || lease.token != fence.token;
    *body += sizeof fence;
    return header->body_bytes - (uint32_t)sizeof fence;
}

/* Executes a request. Returns the size of the reply's body. */
static uint32_t request_execute(struct fake *fake, const struct frame_header *header,
                                const uint8_t *body, uint8_t *reply)
{
    const uint32_t body_bytes = fence_pass(fake, header, &body);
    switch (header->operation) {
    case FRAME_HELLO:
        return reply_welcome(fake, reply);
    case FRAME_STATS:
        return reply_stats(fake, reply);
    case FRAME_CREATE_ACCOUNTS:
        return reply_create(fake, &fake->accounts, &account_rules, body, body_bytes, reply);
    case FRAME_CREATE_TRANSFERS:
        return reply_create(fake, &fake->transfers, &transfer_rules, body, body_bytes, reply);
    case FRAME_CREATE_TRANSFERS_OUTCOMES:
        return reply_outcomes(fake, body, body_bytes, reply);
    case FRAME_SET_LIMITS:
        return reply_set_limits(fake, body, body_bytes, reply);
    case FRAME_CUT_OFF:
        return reply_cut_off(fake, body, body_bytes, reply);
    case FRAME_GET_SETTLEMENTS:
        return reply_settlements(fake, body, body_bytes, reply);
    case FRAME_GET_LIMITS:
        return reply_lookup(&fake->limits, body, body_bytes, reply);
    case FRAME_GET_VELOCITY:
        return reply_velocity(fake, body, body_bytes, reply);
    case FRAME_LEASE:
        return reply_lease(fake, body, body_bytes, reply);
    case FRAME_GET_LEASES:
        return reply_lookup(&fake->leases, body, body_bytes, reply);
    case FRAME_CREATE_SCHEDULES:
    case FRAME_CANCEL_SCHEDULES:
        return reply_schedules(fake, header, body, reply);
    case FRAME_GET_SCHEDULES:
        return reply_get_schedules(fake, body, body_bytes, reply);
    case FRAME_LOOKUP_ACCOUNTS:
        return reply_lookup(&fake->accounts, body, body_bytes, reply);
    case FRAME_LOOKUP_TRANSFERS:
        return reply_lookup(&fake->transfers, body, body_bytes, reply);
    case FRAME_LOOKUP_PAYMENTS:
        return reply_payments(&fake->transfers, body, body_bytes, reply);
    case FRAME_QUERY_ACCOUNTS:
        return reply_records(&fake->accounts, header, body, reply);
    case FRAME_GET_ACCOUNT_TRANSFERS:
    case FRAME_GET_ACCOUNT_BALANCES:
    case FRAME_QUERY_TRANSFERS:
        return reply_records(&fake->transfers, header, body, reply);
    case FRAME_READ_CHANGES:
        return reply_changes(fake, body, reply);
    case FRAME_SNAPSHOT:
        return reply_snapshot(reply);
    default:
        return 0;
    }
}

/* ---- Misbehaviour ------------------------------------------------------------------------ */

static uint32_t body_set_results(uint8_t *body, uint64_t timestamp, uint32_t count,
                                 struct giro_result first, struct giro_result second)
{
    struct frame_created created = {.timestamp_first = timestamp, .result_count = count};
    memcpy(body, &created, sizeof created);
    memcpy(body + sizeof created, &first, sizeof first);
    memcpy(body + sizeof created + sizeof first, &second, sizeof second);
    return (uint32_t)(sizeof created + count * sizeof first);
}

static uint32_t body_patch(const struct fake_patch *patch, uint8_t *body, uint32_t body_bytes)
{
    if (patch->body_bytes > body_bytes)
        memset(body + body_bytes, 0, patch->body_bytes - body_bytes);
    memcpy(body + patch->at, &patch->value, patch->size_bytes);
    return patch->body_bytes != 0 ? patch->body_bytes : body_bytes;
}

/* Falsifies a reply before it is sealed. Returns the size of its body. */
static uint32_t reply_falsify(enum fake_action action, struct frame_header *header, uint8_t *body,
                              uint32_t body_bytes, uint32_t event_count)
{
    const struct giro_result none = {0, 0};
    switch (action) {
    case FAKE_NO_REPLY_FLAG:
        header->flags = 0;
        return body_bytes;
    case FAKE_WRONG_ID:
    case FAKE_STATUS_WRONG_ID:
        header->request_id++;
        return body_bytes;
    case FAKE_WRONG_OPERATION:
        header->operation ^= 1;
        return body_bytes;
    case FAKE_STATUS_WITH_BODY:
        header->status = FRAME_STORAGE_FULL;
        return body_bytes;
    case FAKE_BODY_CUT:
        return body_bytes < 8 ? 0 : body_bytes - 8;
    case FAKE_BODY_LONG:
        memset(body + body_bytes, 0, 8);
        return body_bytes + 8;
    case FAKE_RESULT_COUNT:
        memset(body + sizeof(struct frame_created), 0, (event_count + 1) * sizeof none);
        for (uint32_t i = 0; i <= event_count; i++)
            memcpy(body + sizeof(struct frame_created) + i * sizeof none,
                   &(struct giro_result){i, 5}, sizeof none);
        memcpy(body, &(struct frame_created){.timestamp_first = 1, .result_count = event_count + 1},
               sizeof(struct frame_created));
        return (uint32_t)(sizeof(struct frame_created) + (event_count + 1) * sizeof none);
    case FAKE_INDEX_TOO_LARGE:
        return body_set_results(body, 1, 1, (struct giro_result){event_count, 5}, none);
    case FAKE_INDEX_DESCENDING:
        return body_set_results(body, 1, 2, (struct giro_result){1, 5}, (struct giro_result){0, 5});
    case FAKE_CODE_ZERO:
        return body_set_results(body, 1, 1, none, none);
    case FAKE_TIMESTAMP_ZERO:
        return body_set_results(body, 0, 0, none, none);
    case FAKE_TIMESTAMP_TOO_LARGE:
        return body_set_results(body, GIRO_TIMESTAMP_MAX, 0, none, none);
    case FAKE_RECORD_NOT_ASKED_FOR:
        memset(body, 0xab, GIRO_RECORD_BYTES);
        return GIRO_RECORD_BYTES;
    default:
        return body_bytes;
    }
}

/* Falsifies a reply after it was sealed. */
static void reply_damage(enum fake_action action, uint8_t *frame)
{
    struct frame_header header;
    memcpy(&header, frame, sizeof header);
    if (action == FAKE_BAD_VERSION)
        header.version++;
    if (action == FAKE_BAD_CHECKSUM)
        header.checksum ^= 1;
    if (action == FAKE_BAD_SIZE)
        header.body_bytes = FRAME_BODY_BYTES_MAX + 1;
    memcpy(frame, &header, sizeof header);
    if (action == FAKE_GARBAGE)
        memcpy(frame, "HTTP/1.1 400 Bad Request\r\n\r\n!!!!", FRAME_HEADER_BYTES);
}

/* ---- Connections ------------------------------------------------------------------------- */

static bool bytes_read(int fd, uint8_t *bytes, size_t count)
{
    while (count > 0) {
        ssize_t got = recv(fd, bytes, count, 0);
        if (got <= 0)
            return false;
        bytes += got;
        count -= (size_t)got;
    }
    return true;
}

static bool bytes_write(int fd, const uint8_t *bytes, size_t count, size_t piece)
{
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count < piece ? count : piece, MSG_NOSIGNAL);
        if (sent < 0)
            return false;
        bytes += sent;
        count -= (size_t)sent;
    }
    return true;
}

static bool is_status(enum fake_action action)
{
    return action == FAKE_STATUS || action == FAKE_STATUS_NAMELESS ||
           action == FAKE_STATUS_WRONG_ID;
}

static bool reply_write(struct connection *connection, const struct frame_header *header,
                        struct fake_step step, uint32_t body_bytes, uint32_t event_count)
{
    struct frame_header reply = {
        .operation = header->operation,
        .flags = FRAME_FLAG_REPLY,
        .status = is_status(step.action) ? step.status : 0,
        .request_id = step.action == FAKE_STATUS_NAMELESS ? 0 : header->request_id,
    };
    uint8_t *body = connection->reply + FRAME_HEADER_BYTES;
    body_bytes = reply_falsify(step.action, &reply, body, body_bytes, event_count);
    if (step.action == FAKE_PATCH)
        body_bytes = body_patch(&connection->fake->options.patch, body, body_bytes);
    memcpy(connection->reply, &reply, sizeof reply);
    frame_seal(connection->reply, body_bytes);
    reply_damage(step.action, connection->reply);
    size_t size_bytes = FRAME_HEADER_BYTES + body_bytes;
    if (step.action == FAKE_HALF) {
        bytes_write(connection->fd, connection->reply, size_bytes - 5, size_bytes);
        return false;
    }
    if (!bytes_write(connection->fd, connection->reply, size_bytes,
                     step.action == FAKE_DRIP ? 1 : size_bytes))
        return false;
    if (step.action == FAKE_TWICE)
        return bytes_write(connection->fd, connection->reply, size_bytes, size_bytes);
    return reply.status == 0 || !frame_status_closes(reply.status);
}

/* With the mutex held: what to do with this frame. */
static struct fake_step step_next(struct fake *fake, const struct frame_header *header)
{
    const struct fake_options *options = &fake->options;
    if (header->operation == FRAME_HELLO) {
        uint32_t index = fake->hello_count++;
        return index < options->hello_count ? options->hellos[index] : (struct fake_step){0};
    }
    uint32_t index = fake->frame_count - 1; /* it was counted on arrival */
    if (index < options->step_count)
        return options->steps[index];
    fake->random ^= fake->random << 13;
    fake->random ^= fake->random >> 7;
    fake->random ^= fake->random << 17;
    if (fake->random % 100 >= options->drop_percent)
        return (struct fake_step){0};
    return (struct fake_step){.action =
                                  (fake->random >> 32) % 2 ? FAKE_DROP : FAKE_EXECUTE_AND_DROP};
}

static uint32_t events_of(const struct frame_header *header)
{
    switch (header->operation) {
    case FRAME_CREATE_SCHEDULES:
        return header->body_bytes / (uint32_t)sizeof(struct giro_schedule);
    case FRAME_CREATE_ACCOUNTS:
    case FRAME_CREATE_TRANSFERS:
    case FRAME_CREATE_TRANSFERS_OUTCOMES:
    case FRAME_CUT_OFF:
    case FRAME_SET_LIMITS:
    case FRAME_LEASE:
        return header->body_bytes / GIRO_RECORD_BYTES; /* a fence is less than one */
    case FRAME_LOOKUP_ACCOUNTS:
    case FRAME_LOOKUP_TRANSFERS:
    case FRAME_LOOKUP_PAYMENTS:
    case FRAME_GET_SETTLEMENTS:
    case FRAME_GET_LIMITS:
    case FRAME_GET_VELOCITY:
    case FRAME_GET_LEASES:
    case FRAME_CANCEL_SCHEDULES:
    case FRAME_GET_SCHEDULES:
        return header->body_bytes / (uint32_t)sizeof(giro_u128);
    default:
        return header->operation >= FRAME_GET_ACCOUNT_TRANSFERS && header->body_bytes > 0;
    }
}

static void frame_note(struct connection *connection, const struct frame_header *header)
{
    struct fake *fake = connection->fake;
    struct fake_frame *frame = &fake->frames[fake->frame_count++];
    const uint8_t *events = connection->request + FRAME_HEADER_BYTES;
    const struct giro_fence fence = fence_of(header, events);
    assert(fake->frame_count < FRAMES_MAX);
    *frame = (struct fake_frame){.connection = connection->index,
                                 .operation = header->operation,
                                 .event_count = events_of(header),
                                 .fence_token = fence.token};
    if (frame->fence_token != 0)
        events += sizeof fence;
    if (frame->event_count > 0)
        memcpy(&frame->first_id, events, sizeof frame->first_id);
}

/* Returns whether the connection goes on. */
static bool frame_serve(struct connection *connection, const struct frame_header *header)
{
    struct fake *fake = connection->fake;
    uint32_t body_bytes = 0;
    pthread_mutex_lock(&fake->mutex);
    if (header->operation != FRAME_HELLO)
        frame_note(connection, header);
    struct fake_step step = step_next(fake, header);
    if (step.action != FAKE_DROP && !is_status(step.action))
        body_bytes = request_execute(fake, header, connection->request + FRAME_HEADER_BYTES,
                                     connection->reply + FRAME_HEADER_BYTES);
    pthread_mutex_unlock(&fake->mutex);
    if (step.action == FAKE_DROP || step.action == FAKE_EXECUTE_AND_DROP)
        return false;
    return step.action == FAKE_SILENT ||
           reply_write(connection, header, step, body_bytes, events_of(header));
}

static bool hold_wait(struct fake *fake)
{
    pthread_mutex_lock(&fake->mutex);
    while (fake->held && fake->passes == 0 && !fake->stopping)
        pthread_cond_wait(&fake->released, &fake->mutex);
    fake->passes -= fake->held && fake->passes > 0;
    bool go_on = !fake->stopping;
    pthread_mutex_unlock(&fake->mutex);
    return go_on;
}

static bool frame_read(struct connection *connection, struct frame_header *header)
{
    struct fake *fake = connection->fake;
    bool intact = false;
    if (!bytes_read(connection->fd, connection->request, FRAME_HEADER_BYTES))
        return false;
    memcpy(header, connection->request, sizeof *header);
    if (header->operation != FRAME_HELLO && !hold_wait(fake))
        return false;
    if (frame_check_header(header) == FRAME_OK)
        intact = bytes_read(connection->fd, connection->request + FRAME_HEADER_BYTES,
                            header->body_bytes) &&
                 frame_check_body(connection->request) == FRAME_OK;
    pthread_mutex_lock(&fake->mutex);
    fake->frames_bad += !intact;
    pthread_mutex_unlock(&fake->mutex);
    return intact;
}

static void *connection_main(void *argument)
{
    struct connection *connection = argument;
    struct frame_header header;
    while (frame_read(connection, &header) && frame_serve(connection, &header))
        ;
    pthread_mutex_lock(&connection->fake->mutex);
    shutdown(connection->fd, SHUT_RDWR);
    close(connection->fd);
    connection->ended = true;
    pthread_mutex_unlock(&connection->fake->mutex);
    return NULL;
}

static void connection_start(struct fake *fake, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    assert(connection != NULL);
    assert(fake->connection_count < CONNECTIONS_MAX);
    *connection = (struct connection){.fake = fake, .index = fake->connection_count, .fd = fd};
    pthread_mutex_lock(&fake->mutex);
    fake->connections[fake->connection_count++] = connection;
    pthread_mutex_unlock(&fake->mutex);
    pthread_create(&connection->thread, NULL, connection_main, connection);
}

static void *acceptor_main(void *argument)
{
    struct fake *fake = argument;
    int fd;
    while ((fd = accept(fake->listener, NULL, NULL)) >= 0)
        connection_start(fake, fd);
    return NULL;
}

/* ---- Start and stop ---------------------------------------------------------------------- */

static void store_init(struct store *store)
{
    store->records = aligned_alloc(16, RECORDS_MAX * sizeof *store->records);
    store->slots = calloc(SLOTS, sizeof *store->slots);
    assert(store->records != NULL);
    assert(store->slots != NULL);
}

static void listen_start(struct fake *fake)
{
    struct sockaddr_in six_less = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool ipv6 = fake->options.ipv6;
    socklen_t size_bytes = ipv6 ? sizeof six : sizeof six_less;
    struct sockaddr *address = ipv6 ? (struct sockaddr *)&six : (struct sockaddr *)&six_less;
    fake->listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bytes = (int)fake->options.receive_buffer_bytes;
    if (bytes > 0)
        setsockopt(fake->listener, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    int failed = bind(fake->listener, address, size_bytes) | listen(fake->listener, 64) |
                 getsockname(fake->listener, address, &size_bytes);
    assert(failed == 0);
    snprintf(fake->address, sizeof fake->address, "%s:%d", ipv6 ? "[::1]" : "127.0.0.1",
             ntohs(ipv6 ? six.sin6_port : six_less.sin_port));
}

struct fake *fake_start(const struct fake_options *options)
{
    struct fake *fake = calloc(1, sizeof *fake);
    assert(fake != NULL);
    fake->options = *options;
    fake->timestamp = 1000;
    fake->random = options->seed | 1;
    fake->frames = calloc(FRAMES_MAX, sizeof *fake->frames);
    assert(fake->frames != NULL);
    store_init(&fake->accounts);
    store_init(&fake->transfers);
    store_init(&fake->limits);
    store_init(&fake->leases);
    store_init(&fake->schedules);
    fake->templates = aligned_alloc(16, RECORDS_MAX * sizeof *fake->templates);
    assert(fake->templates != NULL);
    pthread_mutex_init(&fake->mutex, NULL);
    pthread_cond_init(&fake->released, NULL);
    listen_start(fake);
    pthread_create(&fake->acceptor, NULL, acceptor_main, fake);
    return fake;
}

void fake_stop(struct fake *fake)
{
    pthread_mutex_lock(&fake->mutex);
    fake->stopping = true;
    pthread_cond_broadcast(&fake->released);
    pthread_mutex_unlock(&fake->mutex);
    shutdown(fake->listener, SHUT_RDWR);
    pthread_join(fake->acceptor, NULL);
    close(fake->listener);
    for (uint32_t i = 0; i < fake->connection_count; i++) {
        pthread_mutex_lock(&fake->mutex);
        if (!fake->connections[i]->ended)
            shutdown(fake->connections[i]->fd, SHUT_RDWR);
        pthread_mutex_unlock(&fake->mutex);
        pthread_join(fake->connections[i]->thread, NULL);
        free(fake->connections[i]);
    }
    free(fake->accounts.records);
    free(fake->accounts.slots);
    free(fake->transfers.records);
    free(fake->transfers.slots);
    free(fake->limits.records);
    free(fake->limits.slots);
    free(fake->leases.records);
    free(fake->leases.slots);
    free(fake->schedules.records);
    free(fake->schedules.slots);
    free(fake->templates);
    free(fake->frames);
    free(fake);
}

/* ---- What the tests ask ------------------------------------------------------------------ */

const char *fake_address(const struct fake *fake)
{
    return fake->address;
}

static void held_set(struct fake *fake, bool held)
{
    pthread_mutex_lock(&fake->mutex);
    fake->held = held;
    pthread_cond_broadcast(&fake->released);
    pthread_mutex_unlock(&fake->mutex);
}

void fake_hold(struct fake *fake)
{
    held_set(fake, true);
}

void fake_release(struct fake *fake)
{
    held_set(fake, false);
}

void fake_release_one(struct fake *fake)
{
    pthread_mutex_lock(&fake->mutex);
    fake->passes++;
    pthread_cond_broadcast(&fake->released);
    pthread_mutex_unlock(&fake->mutex);
}

uint32_t fake_frame_count(struct fake *fake)
{
    pthread_mutex_lock(&fake->mutex);
    uint32_t count = fake->frame_count;
    pthread_mutex_unlock(&fake->mutex);
    return count;
}

struct fake_frame fake_frame_at(struct fake *fake, uint32_t index)
{
    pthread_mutex_lock(&fake->mutex);
    assert(index < fake->frame_count);
    struct fake_frame frame = fake->frames[index];
    pthread_mutex_unlock(&fake->mutex);
    return frame;
}

uint32_t fake_frames_bad(struct fake *fake)
{
    pthread_mutex_lock(&fake->mutex);
    uint32_t count = fake->frames_bad;
    pthread_mutex_unlock(&fake->mutex);
    return count;
}

uint32_t fake_transfer_count(struct fake *fake, giro_u128 id)
{
    uint32_t count = 0;
    pthread_mutex_lock(&fake->mutex);
    for (uint32_t i = 0; i < fake->transfers.count; i++)
        count += fake->transfers.records[i].id == id;
    pthread_mutex_unlock(&fake->mutex);
    return count;
}
