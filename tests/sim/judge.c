#include "tests/sim/judge.h"

#include "tests/sim/machine.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum entry_kind {
    ENTRY_ACCOUNTS,
    ENTRY_LIMITS,
    ENTRY_CUT_OFF,
    ENTRY_LEASES,
    ENTRY_SCHEDULES,
    ENTRY_CANCELS,
    ENTRY_TRANSFERS,
    ENTRY_FIRING,
    ENTRY_EXPIRY,
    ENTRY_SESSION, /* what the entries before it, with `part`, were for */
};

enum { SESSIONS_JUDGED_MAX = 16 };

struct entry {
    enum entry_kind kind;
    uint32_t count;
    uint64_t timestamp;
    void *events;
    uint64_t address; /* in the log, of leases */
    bool fenced;      /* of transfers: by this lease */
    struct giro_fence fence;
    bool part;              /* of a session's request: never the last one that survives */
    struct checksum digest; /* of the ledger behind it */
};

/* An account as it was from an entry on. */
struct version {
    uint32_t entry;
    uint32_t number; /* of the account in the model */
    struct giro_account row;
};

/* A session, and its last request that was executed. */
struct judged_session {
    giro_u128 client;
    uint32_t request;
    uint32_t entry;
};

/* What a client was told of an epoch that was over. */
struct told {
    giro_u128 account_id;
    uint64_t epoch;
    struct model_posted posted;
};

/* Both of these grow. */
static struct {
    struct model model;
    struct entry *entries;
    uint32_t entry_count;
    uint32_t entry_capacity;
    uint32_t floor;
    struct judge_change *changes;
    uint32_t change_count;
    uint32_t change_capacity;
    struct version *versions;
    uint32_t version_count;
    uint32_t version_capacity;
    struct giro_balances balances[MODEL_ACCOUNTS_MAX]; /* what the changes add up to */
    giro_u128 left[MODEL_TRANSFERS_MAX];               /* of a hold, by the model's number */
    struct told *told;
    uint32_t told_count;
    uint32_t told_capacity;
    struct judged_session sessions[SESSIONS_JUDGED_MAX];
    uint32_t session_count;
    uint32_t sessions_max;
    struct checksum digest_empty;
    bool digest_empty_known;
} judge;

struct judge_counts judge_counts;

static void *grown(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity == 0 ? 256 : 2 * *capacity;
    array = realloc(array, *capacity * size);
    if (array == NULL)
        machine_fail("out of memory");
    return array;
}

static void derived_reset(void)
{
    memset(&judge.model, 0, sizeof judge.model);
    memset(judge.balances, 0, sizeof judge.balances);
    memset(judge.left, 0, sizeof judge.left);
    judge.change_count = 0;
    judge.version_count = 0;
    judge.session_count = 0;
}

void judge_reset(uint32_t sessions_max)
{
    assert(sessions_max <= SESSIONS_JUDGED_MAX);
    judge.sessions_max = sessions_max;
    for (uint32_t i = 0; i < judge.entry_count; i++)
        free(judge.entries[i].events);
    judge.entry_count = 0;
    judge.floor = 0;
    judge.told_count = 0;
    judge.digest_empty_known = false;
    derived_reset();
}

const struct model *judge_model(void)
{
    return &judge.model;
}

uint32_t judge_position(void)
{
    return judge.entry_count;
}

uint32_t judge_floor(void)
{
    return judge.floor;
}

void judge_floor_raise(uint32_t position)
{
    judge.floor = position > judge.floor ? position : judge.floor;
}

uint32_t judge_change_count(void)
{
    return judge.change_count;
}

/* ---- What follows from an entry ------------------------------------------------------------ */

static struct giro_balances *balances_of(giro_u128 account)
{
    for (uint32_t i = 0; i < judge.model.now.accounts_count; i++) {
        if (judge.model.now.accounts[i].id == account)
            return &judge.balances[i];
    }
    machine_fail("the model moved money of an account that it does not have");
}

static struct judge_change *change_add(uint32_t entry, enum giro_change_kind kind)
{
    judge.changes =
        grown(judge.changes, judge.change_count, &judge.change_capacity, sizeof *judge.changes);
    struct judge_change *change = &judge.changes[judge.change_count++];
    *change = (struct judge_change){.entry = entry, .kind = kind};
    return change;
}

/* What a hold has left. */
static giro_u128 *left_of(giro_u128 hold)
{
    return &judge.left[model_transfer(&judge.model, hold) - judge.model.transfers];
}

/* Takes so much of a hold out of what is pending, at most all that it has left, and posts some. */
static void pending_resolve(const struct giro_transfer *pending, giro_u128 released,
                            giro_u128 posted)
{
    struct giro_balances *debit = balances_of(pending->debit_account_id);
    struct giro_balances *credit = balances_of(pending->credit_account_id);
    giro_u128 *left = left_of(pending->id);
    if (released > *left)
        released = *left;
    *left -= released;
    debit->debits_pending -= released;
    credit->credits_pending -= released;
    debit->debits_posted += posted;
    credit->credits_posted += posted;
}

static void transfer_follow(uint32_t entry, const struct giro_transfer *transfer)
{
    enum giro_change_kind kind = GIRO_CHANGE_TRANSFER_CREATED;
    bool keeps_open = (transfer->flags & GIRO_TRANSFER_KEEP_OPEN) != 0;
    bool adjusts = (transfer->flags & GIRO_TRANSFER_ADJUST) != 0;
    giro_u128 released = keeps_open ? transfer->amount : GIRO_U128_MAX;
    if ((transfer->flags & GIRO_TRANSFER_POST_PENDING) != 0) {
        kind = GIRO_CHANGE_PENDING_POSTED;
        pending_resolve(model_transfer(&judge.model, transfer->pending_id), released,
                        transfer->amount);
    } else if ((transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0) {
        kind = GIRO_CHANGE_PENDING_VOIDED;
        pending_resolve(model_transfer(&judge.model, transfer->pending_id), released, 0);
    } else if ((transfer->flags & GIRO_TRANSFER_PENDING) != 0) {
        *left_of(adjusts ? transfer->pending_id : transfer->id) += transfer->amount;
        balances_of(transfer->debit_account_id)->debits_pending += transfer->amount;
        balances_of(transfer->credit_account_id)->credits_pending += transfer->amount;
    } else {
        balances_of(transfer->debit_account_id)->debits_posted += transfer->amount;
        balances_of(transfer->credit_account_id)->credits_posted += transfer->amount;
    }
    struct judge_change *change = change_add(entry, kind);
    change->transfer = *transfer;
    change->marks = judge.model.now.notes[transfer - judge.model.transfers].marks;
    change->debit = *balances_of(transfer->debit_account_id);
    change->credit = *balances_of(transfer->credit_account_id);
}

/* Keeps the accounts that an entry has changed, and compares two ways of adding up. */
static void versions_follow(uint32_t entry)
{
    static struct giro_account before[MODEL_ACCOUNTS_MAX];
    static uint32_t before_count;
    const struct model_state *now = &judge.model.now;
    if (judge.version_count == 0)
        before_count = 0;
    for (uint32_t i = 0; i < now->accounts_count; i++) {
        const struct giro_account *row = &now->accounts[i];
        if (memcmp(&row->debits_pending, &judge.balances[i], sizeof judge.balances[i]) != 0)
            machine_fail("balances of account %" PRIu64 " are not what its transfers add up to",
                         (uint64_t)row->id);
        if (i < before_count && memcmp(row, &before[i], sizeof *row) == 0)
            continue;
        judge.versions = grown(judge.versions, judge.version_count, &judge.version_capacity,
                               sizeof *judge.versions);
        judge.versions[judge.version_count++] =
            (struct version){.entry = entry, .number = i, .row = *row};
        before[i] = *row;
    }
    before_count = now->accounts_count;
}

static void accounts_follow(uint32_t entry, const struct giro_account *events, uint32_t count,
                            uint64_t timestamp, uint32_t *codes)
{
    uint32_t before = judge.model.now.accounts_count;
    judge.model.baseline = judge.entries[entry].part;
    model_create_accounts(&judge.model, events, count, timestamp, codes);
    for (uint32_t i = before; i < judge.model.now.accounts_count; i++)
        change_add(entry, GIRO_CHANGE_ACCOUNT_CREATED)->account = judge.model.now.accounts[i];
}

static void limits_follow(uint32_t entry, const struct giro_limits *events, uint32_t count,
                          uint64_t timestamp, uint32_t *codes)
{
    model_set_limits(&judge.model, events, count, timestamp, codes);
    for (uint32_t i = 0; i < count; i++) {
        if (codes[i] != 0)
            continue;
        struct giro_limits *limits = &change_add(entry, GIRO_CHANGE_LIMITS_SET)->limits;
        *limits = events[i];
        limits->timestamp = timestamp + i;
    }
}

static void cut_off_follow(uint32_t entry, const struct giro_cut_off *events, uint32_t count,
                           uint64_t timestamp, uint32_t *codes)
{
    model_cut_off(&judge.model, events, count, timestamp, codes);
    for (uint32_t i = 0; i < count; i++) {
        if (codes[i] != 0)
            continue;
        struct giro_cut_off *cut_off = &change_add(entry, GIRO_CHANGE_CUT_OFF)->cut_off;
        *cut_off = events[i];
        cut_off->timestamp = timestamp + i;
    }
}

/* What leases were answered with last. */
static struct giro_lease lease_replies[LEDGER_EVENTS_MAX];

static void leases_follow(uint32_t entry, const struct giro_lease *events, uint32_t count,
                          uint64_t timestamp)
{
    model_lease(&judge.model, events, count, timestamp, judge.entries[entry].address,
                lease_replies);
    for (uint32_t i = 0; i < count; i++) {
        if (lease_replies[i].result == 0)
            change_add(entry, GIRO_CHANGE_LEASE)->lease = lease_replies[i];
    }
}

static void schedules_follow(uint32_t entry, const struct giro_schedule *events, uint32_t count,
                             uint64_t timestamp, uint32_t *codes)
{
    uint32_t before = judge.model.schedules_count;
    model_create_schedules(&judge.model, events, count, timestamp, codes);
    for (uint32_t i = before; i < judge.model.schedules_count; i++)
        change_add(entry, GIRO_CHANGE_SCHEDULE_CREATED)->schedule = judge.model.schedules[i];
}

static void cancels_follow(uint32_t entry, const giro_u128 *ids, uint32_t count, uint64_t timestamp,
                           uint32_t *codes)
{
    model_cancel_schedules(&judge.model, ids, count, timestamp, codes);
    for (uint32_t i = 0; i < count; i++) {
        if (codes[i] == 0)
            change_add(entry, GIRO_CHANGE_SCHEDULE_CANCELLED)->firing = (struct giro_firing){
                .schedule_id = ids[i],
                .timestamp = timestamp + i,
            };
    }
}

/* The last firings that were judged. */
static struct giro_firing firings[LEDGER_FIRE_MAX];

/* A transfer that was created follows its attempt. Returns how many attempts there were. */
static uint32_t firing_follow(uint32_t entry, uint64_t timestamp, uint32_t max)
{
    uint32_t next = judge.model.now.transfers_count;
    uint32_t count = model_fire(&judge.model, timestamp, max, firings);
    for (uint32_t i = 0; i < count; i++) {
        change_add(entry, GIRO_CHANGE_SCHEDULE_FIRED)->firing = firings[i];
        if (firings[i].transfer_result == 0)
            transfer_follow(entry, &judge.model.transfers[next++]);
    }
    return count;
}

static void transfers_follow(uint32_t entry, const struct giro_transfer *events, uint32_t count,
                             uint64_t timestamp, uint32_t *codes)
{
    const struct entry *it = &judge.entries[entry];
    uint32_t before = judge.model.now.transfers_count;
    judge.model.baseline = it->part;
    model_create_fenced(&judge.model, it->fenced ? &it->fence : NULL, events, count, timestamp,
                        codes);
    for (uint32_t i = before; i < judge.model.now.transfers_count; i++) {
        if (judge.model.now.status[i] != MODEL_BURNT)
            transfer_follow(entry, &judge.model.transfers[i]);
    }
}

/* Returns how many expired. */
static uint32_t expiry_follow(uint32_t entry, uint64_t timestamp, uint32_t max)
{
    static uint8_t before[MODEL_TRANSFERS_MAX];
    uint32_t count = 0;
    const struct model_state *now = &judge.model.now;
    while (count < max) {
        memcpy(before, now->status, now->transfers_count);
        if (model_expire(&judge.model, timestamp, 1) == 0)
            break;
        for (uint32_t i = 0; i < now->transfers_count; i++) {
            const struct giro_transfer *pending = &judge.model.transfers[i];
            if (now->status[i] == before[i])
                continue;
            giro_u128 left = *left_of(pending->id);
            pending_resolve(pending, left, 0);
            struct judge_change *change = change_add(entry, GIRO_CHANGE_PENDING_EXPIRED);
            change->transfer = (struct giro_transfer){
                .pending_id = pending->id,
                .debit_account_id = pending->debit_account_id,
                .credit_account_id = pending->credit_account_id,
                .amount = left,
            };
            change->debit = *balances_of(pending->debit_account_id);
            change->credit = *balances_of(pending->credit_account_id);
        }
        count++;
    }
    return count;
}

static struct judged_session *session_of(giro_u128 client)
{
    for (uint32_t i = 0; i < judge.session_count; i++) {
        if (judge.sessions[i].client == client)
            return &judge.sessions[i];
    }
    return NULL;
}

/* Whoever registers takes the next row, or that of the session whose last request is the longest ago. */
static struct judged_session *session_begin(void)
{
    struct judged_session *oldest = &judge.sessions[0];
    if (judge.session_count < judge.sessions_max)
        return &judge.sessions[judge.session_count++];
    for (uint32_t i = 1; i < judge.session_count; i++) {
        if (judge.sessions[i].entry < oldest->entry)
            oldest = &judge.sessions[i];
    }
    return oldest;
}

static void session_follow(uint32_t entry)
{
    struct record_session record;
    memcpy(&record, judge.entries[entry].events, sizeof record);
    struct judged_session *session = session_of(record.client);
    if (record.request_number == 0) {
        if (session != NULL)
            machine_fail("entry %u: a session is registered that is there", entry);
        session = session_begin();
    } else if (session == NULL) {
        machine_fail("entry %u: a request is executed that belongs to no session", entry);
    } else if (record.request_number <= session->request) {
        machine_fail("entry %u: request %u of a session is executed, after request %u", entry,
                     record.request_number, session->request);
    }
    if (record.row != (uint32_t)(session - judge.sessions))
        machine_fail("entry %u: the session has row %u, and here %td", entry, record.row,
                     session - judge.sessions);
    *session = (struct judged_session){
        .client = record.client,
        .request = record.request_number,
        .entry = entry,
    };
}

static uint32_t entry_follow(uint32_t entry, uint32_t *codes)
{
    const struct entry *it = &judge.entries[entry];
    uint32_t count = 0;
    switch (it->kind) {
    case ENTRY_ACCOUNTS:
        accounts_follow(entry, it->events, it->count, it->timestamp, codes);
        break;
    case ENTRY_LIMITS:
        limits_follow(entry, it->events, it->count, it->timestamp, codes);
        break;
    case ENTRY_CUT_OFF:
        cut_off_follow(entry, it->events, it->count, it->timestamp, codes);
        break;
    case ENTRY_LEASES:
        leases_follow(entry, it->events, it->count, it->timestamp);
        break;
    case ENTRY_SCHEDULES:
        schedules_follow(entry, it->events, it->count, it->timestamp, codes);
        break;
    case ENTRY_CANCELS:
        cancels_follow(entry, it->events, it->count, it->timestamp, codes);
        break;
    case ENTRY_FIRING:
        count = firing_follow(entry, it->timestamp, it->count);
        break;
    case ENTRY_TRANSFERS:
        transfers_follow(entry, it->events, it->count, it->timestamp, codes);
        break;
    case ENTRY_EXPIRY:
        count = expiry_follow(entry, it->timestamp, it->count);
        break;
    case ENTRY_SESSION:
        session_follow(entry);
        break;
    }
    versions_follow(entry);
    return count;
}

/* ---- Told by the program ------------------------------------------------------------------ */

static uint32_t *entry_add(enum entry_kind kind, const void *events, size_t bytes, uint32_t count,
                           uint64_t timestamp)
{
    static uint32_t codes[LEDGER_EVENTS_MAX];
    judge.entries =
        grown(judge.entries, judge.entry_count, &judge.entry_capacity, sizeof *judge.entries);
    struct entry *entry = &judge.entries[judge.entry_count++];
    *entry = (struct entry){.kind = kind, .count = count, .timestamp = timestamp};
    entry->events = malloc(bytes > 0 ? bytes : 1);
    if (entry->events == NULL)
        machine_fail("out of memory");
    if (bytes > 0)
        memcpy(entry->events, events, bytes);
    return codes;
}

static void digest_keep(const struct ledger *ledger)
{
    struct entry *entry = &judge.entries[judge.entry_count - 1];
    entry->digest = ledger_digest(ledger);
    machine_trace_bytes(&entry->digest, sizeof entry->digest);
}

static void results_compare(const uint32_t *codes, uint32_t count,
                            const struct ledger_output *output)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t got = 0;
        if (at < output->result_count && output->results[at].index == i)
            got = output->results[at++].code;
        if (got != codes[i])
            machine_fail("entry %u, event %u: answered with code %u, and the model says %u",
                         judge.entry_count - 1, i, got, codes[i]);
    }
    if (at != output->result_count)
        machine_fail("entry %u has results out of order", judge.entry_count - 1);
}

void judge_accounts(const struct ledger *ledger, const struct giro_account *events, uint32_t count,
                    uint64_t timestamp, const struct ledger_output *output)
{
    uint32_t *codes = entry_add(ENTRY_ACCOUNTS, events, count * sizeof *events, count, timestamp);
    judge.entries[judge.entry_count - 1].part = output->baseline;
    entry_follow(judge.entry_count - 1, codes);
    results_compare(codes, count, output);
    digest_keep(ledger);
}

void judge_limits(const struct ledger *ledger, const struct giro_limits *events, uint32_t count,
                  uint64_t timestamp, const struct ledger_output *output)
{
    uint32_t *codes = entry_add(ENTRY_LIMITS, events, count * sizeof *events, count, timestamp);
    entry_follow(judge.entry_count - 1, codes);
    results_compare(codes, count, output);
    digest_keep(ledger);
}

void judge_cut_off(const struct ledger *ledger, const struct giro_cut_off *events, uint32_t count,
                   uint64_t timestamp, const struct ledger_output *output)
{
    uint32_t *codes = entry_add(ENTRY_CUT_OFF, events, count * sizeof *events, count, timestamp);
    entry_follow(judge.entry_count - 1, codes);
    results_compare(codes, count, output);
    digest_keep(ledger);
}

void judge_transfers(const struct ledger *ledger, const struct giro_transfer *events,
                     uint32_t count, uint64_t timestamp, const struct ledger_output *output)
{
    uint32_t *codes = entry_add(ENTRY_TRANSFERS, events, count * sizeof *events, count, timestamp);
    struct entry *entry = &judge.entries[judge.entry_count - 1];
    entry->part = output->baseline;
    entry->fenced = output->fence != NULL;
    if (entry->fenced)
        memcpy(&entry->fence, output->fence, sizeof entry->fence);
    entry_follow(judge.entry_count - 1, codes);
    results_compare(codes, count, output);
    judge_counts.fenced += entry->fenced;
    for (uint32_t i = 0; i < count; i++)
        judge_counts.not_held += codes[i] == GIRO_TRANSFER_LEASE_NOT_HELD;
    digest_keep(ledger);
}

void judge_leases(const struct ledger *ledger, const struct giro_lease *events, uint32_t count,
                  uint64_t timestamp, const void *replies, const struct ledger_output *output)
{
    uint32_t *codes = entry_add(ENTRY_LEASES, events, count * sizeof *events, count, timestamp);
    judge.entries[judge.entry_count - 1].address = output->address;
    entry_follow(judge.entry_count - 1, codes);
    for (uint32_t i = 0; i < count; i++) {
        const char *reply = (const char *)replies + i * sizeof lease_replies[0];
        if (memcmp(reply, &lease_replies[i], sizeof lease_replies[0]) != 0)
            machine_fail("entry %u, event %u: the lease is not as the model has it",
                         judge.entry_count - 1, i);
    }
    judge_counts.leases += output->record_count;
    digest_keep(ledger);
}

void judge_schedules(const struct ledger *ledger, const struct giro_schedule *events,
                     uint32_t count, uint64_t timestamp, const struct ledger_output *output)
{
    uint32_t *codes = entry_add(ENTRY_SCHEDULES, events, count * sizeof *events, count, timestamp);
    entry_follow(judge.entry_count - 1, codes);
    results_compare(codes, count, output);
    judge_counts.schedules += output->record_count / 2;
    digest_keep(ledger);
}

void judge_cancels(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                   uint64_t timestamp, const struct ledger_output *output)
{
    uint32_t *codes = entry_add(ENTRY_CANCELS, ids, count * sizeof *ids, count, timestamp);
    entry_follow(judge.entry_count - 1, codes);
    results_compare(codes, count, output);
    digest_keep(ledger);
}

/* There is always room for what schedules make. */
void judge_firing(const struct ledger *ledger, uint64_t timestamp, uint32_t events_max,
                  const struct ledger_output *output)
{
    uint32_t *codes = entry_add(ENTRY_FIRING, NULL, 0, events_max, timestamp);
    uint32_t expected = entry_follow(judge.entry_count - 1, codes);
    uint32_t fired = 0;
    for (uint32_t i = 0; i < output->record_count; i++) {
        struct giro_firing firing = output->records[i].firing;
        if (record_system(&output->records[i]) != RECORD_SYSTEM_FIRING)
            continue;
        firing.row = 0;
        firing.code = 0;
        firing.flags = 0;
        judge_counts.attempts++;
        judge_counts.made += firing.transfer_result == 0;
        if (fired == expected || memcmp(&firing, &firings[fired++], sizeof firing) != 0)
            machine_fail("entry %u: attempt %u is not as the model has it", judge.entry_count - 1,
                         fired);
    }
    if (fired != expected)
        machine_fail("%u schedules were fired, and the model fires %u", fired, expected);
    digest_keep(ledger);
}

void judge_expiry(const struct ledger *ledger, uint64_t timestamp, uint32_t records_max,
                  const struct ledger_output *output)
{
    uint32_t *codes = entry_add(ENTRY_EXPIRY, NULL, 0, records_max, timestamp);
    uint32_t expired = entry_follow(judge.entry_count - 1, codes);
    if (expired != output->record_count)
        machine_fail("%u holds were released, and the model releases %u", output->record_count,
                     expired);
    digest_keep(ledger);
}

void judge_session(const struct ledger *ledger, const struct record_session *session)
{
    uint32_t *codes = entry_add(ENTRY_SESSION, session, sizeof *session, 0, session->timestamp);
    entry_follow(judge.entry_count - 1, codes);
    judge_counts.sessions += session->request_number == 0;
    judge_counts.session_requests += session->request_number != 0;
    digest_keep(ledger);
}

/* ---- After a crash ----------------------------------------------------------------------- */

/* Forgets the entries behind a position. */
static void entries_cut(uint32_t position)
{
    static uint32_t codes[LEDGER_EVENTS_MAX];
    for (uint32_t i = position; i < judge.entry_count; i++)
        free(judge.entries[i].events);
    judge.entry_count = position;
    derived_reset();
    for (uint32_t i = 0; i < position; i++)
        (void)entry_follow(i, codes);
}

/* What is kept about a transfer besides its record, by its number in the model. */
static void payment_state(const struct ledger *ledger, uint32_t number)
{
    const giro_u128 id = judge.model.transfers[number].id;
    const struct model_note *note = &judge.model.now.notes[number];
    const struct hold *hold = holds_find(&ledger->holds, id);
    struct ledger_payment payment = {0};
    bool kept = ledger_payment(ledger, id, &payment);
    if (kept != (note->kept != 0))
        machine_fail("something is kept of transfer %" PRIu64 " or of the model's, not of both",
                     (uint64_t)id);
    if (kept && (payment.amount != note->amount || payment.taken != note->taken ||
                 payment.left != note->left || payment.marks != note->marks ||
                 payment.depth != note->depth))
        machine_fail("what is kept of transfer %" PRIu64 " is not as the model has it",
                     (uint64_t)id);
    if (hold != NULL && (hold->record.amount != note->left || hold->expires_at != note->deadline))
        machine_fail("hold %" PRIu64 " is not as the model has it", (uint64_t)id);
}

static void limits_state(const struct ledger *ledger, giro_u128 id)
{
    const struct giro_limits *known = model_limits(&judge.model, id);
    struct giro_limits found;
    if (ledger_get_limits(ledger, &id, 1, &found) != (known != NULL) ||
        (known != NULL && memcmp(known, &found, sizeof found) != 0))
        machine_fail("the limits of account %" PRIu64 " are not as the model has them",
                     (uint64_t)id);
}

/* ... and all its epochs together are what is posted to the account. */
static void settlement_state(const struct ledger *ledger, const struct giro_account *account)
{
    struct giro_settlement known = {0};
    struct giro_settlement found = {0};
    bool settles = model_settlement(&judge.model, account->id, &known);
    if (ledger_get_settlements(ledger, &account->id, 1, &found) != settles ||
        memcmp(&known, &found, sizeof found) != 0)
        machine_fail("the settlement of account %" PRIu64 " is not as the model has it",
                     (uint64_t)account->id);
    struct model_posted sum = {0};
    for (uint64_t epoch = 0; settles && epoch <= found.epoch; epoch++) {
        struct model_posted posted = model_posted(&judge.model, account->id, epoch);
        sum.debits += posted.debits;
        sum.credits += posted.credits;
    }
    if (settles && (sum.debits != account->debits_posted || sum.credits != account->credits_posted))
        machine_fail("the epochs of account %" PRIu64 " do not add up to its balances",
                     (uint64_t)account->id);
}

/* A lease that is over may be forgotten as soon as there was another event of leases. */
static bool lease_is_known(const struct giro_lease *lease)
{
    return lease->deadline > judge.model.lease_timestamp_last;
}

static void leases_state(const struct ledger *ledger)
{
    for (uint32_t i = 0; i < judge.model.leases_count; i++) {
        const struct giro_lease *known = &judge.model.leases[i];
        struct giro_lease found;
        bool there = ledger_get_leases(ledger, &known->key, 1, &found) == 1;
        if ((!there && lease_is_known(known)) ||
            (there && memcmp(&found, known, sizeof found) != 0))
            machine_fail("the lease of %" PRIu64 " is not as the model has it",
                         (uint64_t)known->key);
    }
}

static void schedules_state(const struct ledger *ledger)
{
    if (ledger->schedules.count != judge.model.schedules_count)
        machine_fail("%u schedules, and the model has %u", ledger->schedules.count,
                     judge.model.schedules_count);
    for (uint32_t i = 0; i < judge.model.schedules_count; i++) {
        const struct giro_schedule *known = &judge.model.schedules[i];
        struct giro_schedule found;
        if (ledger_get_schedules(ledger, &known->id, 1, &found) != 1 ||
            memcmp(&found, known, sizeof found) != 0)
            machine_fail("schedule %" PRIu64 " is not as the model has it", (uint64_t)known->id);
    }
}

static void sessions_state(const struct ledger *ledger)
{
    if (ledger->sessions.count != judge.session_count)
        machine_fail("%u sessions, and there must be %u", ledger->sessions.count,
                     judge.session_count);
    for (uint32_t i = 0; i < judge.session_count; i++) {
        const struct session *row = &ledger->sessions.rows[i];
        if (row->client != judge.sessions[i].client || row->request != judge.sessions[i].request ||
            sessions_find(&ledger->sessions, row->client) != i)
            machine_fail("the session of row %u is not what it must be", i);
    }
}

bool judge_session_known(giro_u128 client)
{
    return session_of(client) != NULL;
}

bool judge_session_request(uint32_t position, giro_u128 client, uint32_t request)
{
    struct record_session record;
    if (position == 0 || position > judge.entry_count ||
        judge.entries[position - 1].kind != ENTRY_SESSION)
        return false;
    memcpy(&record, judge.entries[position - 1].events, sizeof record);
    return record.client == client && record.request_number == request;
}

void judge_attempts(void)
{
    for (uint32_t i = 0; i < judge.model.schedules_count; i++) {
        const struct giro_schedule *schedule = &judge.model.schedules[i];
        struct giro_firing last = {.next = schedule->first};
        uint64_t made = 0;
        for (uint32_t j = 0; j < judge.change_count; j++) {
            const struct judge_change *change = &judge.changes[j];
            if (change->kind != GIRO_CHANGE_SCHEDULE_FIRED ||
                change->firing.schedule_id != schedule->id)
                continue;
            if (change->firing.occurrence != last.occurrence_next ||
                change->firing.attempt != last.attempt_next || change->firing.due != last.next)
                machine_fail("schedule %" PRIu64 " has left out an attempt, or repeated it",
                             (uint64_t)schedule->id);
            last = change->firing;
            made += last.transfer_result == 0;
        }
        if (made != schedule->made)
            machine_fail("schedule %" PRIu64 " says that it made %" PRIu64
                         " transfers, and it made %" PRIu64,
                         (uint64_t)schedule->id, schedule->made, made);
    }
}

void judge_state(const struct ledger *ledger)
{
    const struct model_state *now = &judge.model.now;
    uint32_t open = 0;
    if (ledger->accounts.count != now->accounts_count)
        machine_fail("%u accounts, and the model has %u", ledger->accounts.count,
                     now->accounts_count);
    for (uint32_t i = 0; i < now->accounts_count; i++) {
        if (memcmp(&ledger->accounts.rows[i], &now->accounts[i], sizeof now->accounts[i]) != 0)
            machine_fail("account %" PRIu64 " is not as the model has it",
                         (uint64_t)now->accounts[i].id);
        limits_state(ledger, now->accounts[i].id);
        settlement_state(ledger, &ledger->accounts.rows[i]);
    }
    for (uint32_t i = 0; i < now->transfers_count; i++) {
        open += now->status[i] == MODEL_PENDING;
        payment_state(ledger, i);
    }
    leases_state(ledger);
    schedules_state(ledger);
    sessions_state(ledger);
    if (ledger->holds.count != open)
        machine_fail("%u open holds, and the model has %u", ledger->holds.count, open);
}

static struct checksum digest_at(uint32_t position)
{
    return position == 0 ? judge.digest_empty : judge.entries[position - 1].digest;
}

/* Whether half a request would be behind a position. */
static bool is_part(int64_t position)
{
    return position > 0 && judge.entries[position - 1].part;
}

void judge_recovered(const struct ledger *ledger, bool tail_lost)
{
    struct checksum digest = ledger_digest(ledger);
    if (!judge.digest_empty_known) {
        judge.digest_empty = digest;
        judge.digest_empty_known = true;
    }
    /* An entry that changed nothing cannot be missing. */
    int64_t position = judge.entry_count;
    while (position >= 0 &&
           (is_part(position) || !checksum_equal(digest_at((uint32_t)position), digest)))
        position--;
    machine_trace("judge: position %" PRId64 " of %u survived, floor %u", position,
                  judge.entry_count, judge.floor);
    if (position < 0)
        machine_fail("after the restart the ledger is none that it ever was");
    if (position < judge.floor && !tail_lost)
        machine_fail("after the restart what was acknowledged is gone: position %" PRId64
                     " of %u, floor %u",
                     position, judge.entry_count, judge.floor);
    if (position < judge.entry_count)
        entries_cut((uint32_t)position);
    if (tail_lost)
        judge.told_count = 0;
    judge.floor = (uint32_t)position;
    judge_state(ledger);
}

/* ---- Outcomes and lookups ---------------------------------------------------------------- */

/* Every event that was created has made one change, in order. */
uint32_t judge_outcomes(const struct giro_result *results, uint32_t result_count, uint32_t count,
                        char *out)
{
    uint32_t next = judge.change_count;
    while (next > 0 && judge.changes[next - 1].entry == judge.entry_count - 1)
        next--;
    for (uint32_t i = 0, failed = 0; i < count; i++) {
        struct giro_outcome outcome = {0};
        if (failed < result_count && results[failed].index == i) {
            outcome.code = results[failed++].code;
        } else {
            const struct judge_change *change = &judge.changes[next++];
            outcome = (struct giro_outcome){
                .debit = change->debit,
                .credit = change->credit,
                .amount = change->transfer.amount,
                .timestamp = change->transfer.timestamp,
                .marks = change->marks,
            };
        }
        memcpy(out + (size_t)i * sizeof outcome, &outcome, sizeof outcome);
    }
    return count * (uint32_t)sizeof(struct giro_outcome);
}

uint32_t judge_lookup_accounts(const giro_u128 *ids, uint32_t count, char *out)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_account *account = model_account(&judge.model, ids[i]);
        if (account == NULL)
            continue;
        memcpy(out + bytes, account, sizeof *account);
        bytes += (uint32_t)sizeof *account;
    }
    return bytes;
}

uint32_t judge_lookup_transfers(const giro_u128 *ids, uint32_t count, char *out)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_transfer *transfer = model_transfer(&judge.model, ids[i]);
        if (transfer == NULL)
            continue;
        memcpy(out + bytes, transfer, sizeof *transfer);
        bytes += (uint32_t)sizeof *transfer;
    }
    return bytes;
}

/* What the reply to a lookup of payments must tell of a transfer. */
static struct giro_payment payment_of(const struct giro_transfer *transfer)
{
    static const uint16_t states[] = {
        [MODEL_SETTLED] = GIRO_PAYMENT_POSTED,  [MODEL_PENDING] = GIRO_PAYMENT_PENDING,
        [MODEL_POSTED] = GIRO_PAYMENT_POSTED,   [MODEL_VOIDED] = GIRO_PAYMENT_VOIDED,
        [MODEL_EXPIRED] = GIRO_PAYMENT_EXPIRED,
    };
    const ptrdiff_t number = transfer - judge.model.transfers;
    const struct model_note *note = &judge.model.now.notes[number];
    const enum model_status status = (enum model_status)judge.model.now.status[number];
    const bool is_hold = status != MODEL_SETTLED;
    return (struct giro_payment){
        .id = transfer->id,
        .amount = note->kept ? note->amount : transfer->amount,
        .captured = note->kept && is_hold ? note->taken : 0,
        .returned = note->kept && !is_hold ? note->taken : 0,
        .left = note->kept ? note->left
                : is_hold  ? transfer->amount
                           : 0,
        .origin = transfer->pending_id,
        .deadline = status == MODEL_PENDING ? note->deadline : 0,
        .timestamp = transfer->timestamp,
        .marks = note->kept ? note->marks : 0,
        .ledger = transfer->ledger,
        .state = states[status],
        .depth = note->kept ? note->depth : 0,
        .amended = note->kept && is_hold,
    };
}

uint32_t judge_get_limits(const giro_u128 *ids, uint32_t count, char *out)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_limits *limits = model_limits(&judge.model, ids[i]);
        if (limits == NULL)
            continue;
        memcpy(out + bytes, limits, sizeof *limits);
        bytes += (uint32_t)sizeof *limits;
    }
    return bytes;
}

uint32_t judge_get_schedules(const giro_u128 *ids, uint32_t count, char *out)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_schedule *schedule = model_schedule(&judge.model, ids[i]);
        if (schedule == NULL)
            continue;
        memcpy(out + bytes, schedule, sizeof *schedule);
        bytes += (uint32_t)sizeof *schedule;
    }
    return bytes;
}

void judge_get_leases(const giro_u128 *keys, uint32_t count, const void *found,
                      uint32_t found_count)
{
    const char *next = found;
    const char *end = next + found_count * sizeof(struct giro_lease);
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_lease *known = model_lease_of(&judge.model, keys[i]);
        if (known == NULL)
            continue;
        if (next < end && memcmp(next, known, sizeof *known) == 0)
            next += sizeof *known;
        else if (lease_is_known(known))
            machine_fail("a lookup leaves the lease of %" PRIu64 " out", (uint64_t)keys[i]);
    }
    if (next != end)
        machine_fail("a lookup tells of a lease that is none");
}

uint32_t judge_get_settlements(const giro_u128 *ids, uint32_t count, char *out)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct giro_settlement settlement;
        if (!model_settlement(&judge.model, ids[i], &settlement))
            continue;
        memcpy(out + bytes, &settlement, sizeof settlement);
        bytes += (uint32_t)sizeof settlement;
    }
    return bytes;
}

/* False when another client was told something else. */
static bool epoch_told(giro_u128 account_id, uint64_t epoch, const struct model_posted *posted)
{
    for (uint32_t i = 0; i < judge.told_count; i++) {
        const struct told *told = &judge.told[i];
        if (told->account_id == account_id && told->epoch == epoch)
            return told->posted.debits == posted->debits &&
                   told->posted.credits == posted->credits && told->posted.count == posted->count;
    }
    judge.told = grown(judge.told, judge.told_count, &judge.told_capacity, sizeof *judge.told);
    judge.told[judge.told_count++] =
        (struct told){.account_id = account_id, .epoch = epoch, .posted = *posted};
    return true;
}

const char *judge_settlements_told(const struct giro_settlement *settlements, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct giro_settlement told;
        memcpy(&told, &settlements[i], sizeof told);
        const struct giro_account *account = model_account(&judge.model, told.account_id);
        const struct model_posted before = {
            .debits = told.debits_before,
            .credits = told.credits_before,
            .count = told.count_before,
        };
        struct model_posted sum = {.debits = told.debits, .credits = told.credits};
        if (account == NULL)
            return "a settlement of no account";
        if (told.epoch > 0 && !epoch_told(told.account_id, told.epoch - 1, &before))
            return "an epoch that is over is not what it was";
        for (uint32_t j = 0; j < judge.told_count; j++) {
            if (judge.told[j].account_id != told.account_id || judge.told[j].epoch >= told.epoch)
                continue;
            sum.debits += judge.told[j].posted.debits;
            sum.credits += judge.told[j].posted.credits;
        }
        if (sum.debits > account->debits_posted || sum.credits > account->credits_posted)
            return "the epochs of an account are more than is posted to it";
    }
    return NULL;
}

uint32_t judge_lookup_payments(const giro_u128 *ids, uint32_t count, char *out)
{
    const unsigned told_by_hold = GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_ADJUST;
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_transfer *transfer = model_transfer(&judge.model, ids[i]);
        if (transfer == NULL || (transfer->flags & told_by_hold) != 0)
            continue;
        struct giro_payment payment = payment_of(transfer);
        memcpy(out + bytes, &payment, sizeof payment);
        bytes += (uint32_t)sizeof payment;
    }
    return bytes;
}

/* ---- Queries ----------------------------------------------------------------------------- */

static bool in_time(uint64_t timestamp, uint64_t min, uint64_t max)
{
    return timestamp >= min && (max == 0 || timestamp <= max);
}

static bool has_user_data(giro_u128 data_128, uint64_t data_64, uint32_t data_32, uint16_t code,
                          const struct giro_transfer *transfer)
{
    return (data_128 == 0 || transfer->user_data_128 == data_128) &&
           (data_64 == 0 || transfer->user_data_64 == data_64) &&
           (data_32 == 0 || transfer->user_data_32 == data_32) &&
           (code == 0 || transfer->code == code);
}

static bool is_transfer(const struct judge_change *change)
{
    return change->kind == GIRO_CHANGE_TRANSFER_CREATED ||
           change->kind == GIRO_CHANGE_PENDING_POSTED || change->kind == GIRO_CHANGE_PENDING_VOIDED;
}

static bool account_filter_matches(const void *context, const struct judge_change *change)
{
    const struct giro_account_filter *filter = context;
    const struct giro_transfer *transfer = &change->transfer;
    bool side = ((filter->flags & GIRO_ACCOUNT_FILTER_DEBITS) != 0 &&
                 transfer->debit_account_id == filter->account_id) ||
                ((filter->flags & GIRO_ACCOUNT_FILTER_CREDITS) != 0 &&
                 transfer->credit_account_id == filter->account_id);
    return is_transfer(change) && side &&
           has_user_data(filter->user_data_128, filter->user_data_64, filter->user_data_32,
                         filter->code, transfer) &&
           in_time(transfer->timestamp, filter->timestamp_min, filter->timestamp_max);
}

static bool query_filter_matches(const void *context, const struct judge_change *change)
{
    const struct giro_query_filter *filter = context;
    const struct giro_transfer *transfer = &change->transfer;
    return is_transfer(change) &&
           has_user_data(filter->user_data_128, filter->user_data_64, filter->user_data_32,
                         filter->code, transfer) &&
           (filter->ledger == 0 || transfer->ledger == filter->ledger) &&
           in_time(transfer->timestamp, filter->timestamp_min, filter->timestamp_max);
}

/* What a list must be: of the changes that match, in order or from behind, a run without gap, that
 * leaves nothing out that was there when it was asked for. */
struct expected_list {
    bool (*matches)(const void *context, const struct judge_change *change);
    const void *filter;
    uint32_t asked;
    uint32_t limit;
    bool reversed;
};

typedef bool item_equals(const void *context, const struct judge_change *change, const void *item);

static const char *list_forwards(const struct expected_list *list, item_equals *equals,
                                 const void *context, const char *found, size_t size,
                                 uint32_t count)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < judge.change_count; i++) {
        const struct judge_change *change = &judge.changes[i];
        if (!list->matches(list->filter, change))
            continue;
        if (at == count) {
            bool missing = count < list->limit && change->entry < list->asked;
            return missing ? "something is missing at the end" : NULL;
        }
        if (!equals(context, change, found + at * size))
            return "an item is not what it must be";
        judge_floor_raise(change->entry + 1);
        at++;
    }
    return at == count ? NULL : "there is more than there can be";
}

static const char *list_backwards(const struct expected_list *list, item_equals *equals,
                                  const void *context, const char *found, size_t size,
                                  uint32_t count)
{
    uint32_t at = 0;
    for (uint32_t i = judge.change_count; i > 0; i--) {
        const struct judge_change *change = &judge.changes[i - 1];
        if (!list->matches(list->filter, change))
            continue;
        if (at == count) {
            /* All was told, or as much as was asked for; at the front, what came later may miss. */
            bool missing = count < list->limit && (at > 0 || change->entry < list->asked);
            if (missing)
                return "something is missing";
            if (at > 0)
                return NULL;
            continue;
        }
        if (equals(context, change, found + at * size)) {
            judge_floor_raise(change->entry + 1);
            at++;
        } else if (at > 0 || change->entry < list->asked) {
            return "an item is not what it must be";
        }
    }
    return at == count ? NULL : "there is more than there can be";
}

static const char *list_judge(const struct expected_list *list, item_equals *equals,
                              const void *context, const void *found, size_t size, uint32_t count)
{
    if (count > list->limit)
        return "more than were asked for";
    return list->reversed ? list_backwards(list, equals, context, found, size, count)
                          : list_forwards(list, equals, context, found, size, count);
}

static bool transfer_equals(const void *context, const struct judge_change *change,
                            const void *item)
{
    (void)context;
    return memcmp(&change->transfer, item, sizeof change->transfer) == 0;
}

static bool balance_equals(const void *context, const struct judge_change *change, const void *item)
{
    const struct giro_account_filter *filter = context;
    struct giro_account_balance expected = {
        .balances = change->transfer.debit_account_id == filter->account_id ? change->debit
                                                                            : change->credit,
        .timestamp = change->transfer.timestamp,
    };
    return memcmp(&expected, item, sizeof expected) == 0;
}

const char *judge_account_transfers(const struct giro_account_filter *filter, uint32_t asked,
                                    const struct giro_transfer *found, uint32_t count)
{
    struct expected_list list = {account_filter_matches, filter, asked, filter->limit,
                                 (filter->flags & GIRO_ACCOUNT_FILTER_REVERSED) != 0};
    return list_judge(&list, transfer_equals, filter, found, sizeof *found, count);
}

const char *judge_account_balances(const struct giro_account_filter *filter, uint32_t asked,
                                   const struct giro_account_balance *found, uint32_t count)
{
    struct expected_list list = {account_filter_matches, filter, asked, filter->limit,
                                 (filter->flags & GIRO_ACCOUNT_FILTER_REVERSED) != 0};
    return list_judge(&list, balance_equals, filter, found, sizeof *found, count);
}

const char *judge_query_transfers(const struct giro_query_filter *filter, uint32_t asked,
                                  const struct giro_transfer *found, uint32_t count)
{
    struct expected_list list = {query_filter_matches, filter, asked, filter->limit,
                                 (filter->flags & GIRO_QUERY_FILTER_REVERSED) != 0};
    return list_judge(&list, transfer_equals, filter, found, sizeof *found, count);
}

/* ---- Accounts, which change -------------------------------------------------------------- */

static bool query_account_matches(const void *context, const struct judge_change *change)
{
    const struct giro_query_filter *filter = context;
    const struct giro_account *account = &change->account;
    return change->kind == GIRO_CHANGE_ACCOUNT_CREATED &&
           (filter->user_data_128 == 0 || account->user_data_128 == filter->user_data_128) &&
           (filter->user_data_64 == 0 || account->user_data_64 == filter->user_data_64) &&
           (filter->user_data_32 == 0 || account->user_data_32 == filter->user_data_32) &&
           (filter->code == 0 || account->code == filter->code) &&
           (filter->ledger == 0 || account->ledger == filter->ledger) &&
           in_time(account->timestamp, filter->timestamp_min, filter->timestamp_max);
}

/* Whether an account was like this at some moment since it was asked for. */
static bool account_equals(const void *context, const struct judge_change *change, const void *item)
{
    const uint32_t *asked = context;
    struct giro_account row;
    memcpy(&row, item, sizeof row);
    bool current = true; /* until it was changed again, looking back */
    if (row.id != change->account.id)
        return false;
    for (uint32_t i = judge.version_count; i > 0 && current; i--) {
        const struct version *version = &judge.versions[i - 1];
        if (version->row.id != row.id)
            continue;
        if (memcmp(&version->row, &row, sizeof row) == 0) {
            judge_floor_raise(version->entry + 1);
            return true;
        }
        current = version->entry >= *asked;
    }
    return false;
}

const char *judge_query_accounts(const struct giro_query_filter *filter, uint32_t asked,
                                 const struct giro_account *found, uint32_t count)
{
    struct expected_list list = {query_account_matches, filter, asked, filter->limit,
                                 (filter->flags & GIRO_QUERY_FILTER_REVERSED) != 0};
    return list_judge(&list, account_equals, &asked, found, sizeof *found, count);
}

/* ---- Changes ----------------------------------------------------------------------------- */

/* Of leases and schedules. NULL: it is another kind. */
static const void *change_record(const struct judge_change *change)
{
    if (change->kind == GIRO_CHANGE_LEASE)
        return &change->lease;
    if (change->kind == GIRO_CHANGE_SCHEDULE_CREATED)
        return &change->schedule;
    return change->kind == GIRO_CHANGE_SCHEDULE_CANCELLED ||
                   change->kind == GIRO_CHANGE_SCHEDULE_FIRED
               ? &change->firing
               : NULL;
}

static bool change_equals(const struct judge_change *expected, const struct giro_change *change)
{
    const struct giro_balances none = {0};
    if (change->kind != (uint32_t)expected->kind)
        return false;
    if (change_record(expected) != NULL)
        return memcmp(&change->record, change_record(expected), sizeof change->record) == 0 &&
               change->marks == 0 && memcmp(&change->debit, &none, sizeof none) == 0 &&
               memcmp(&change->credit, &none, sizeof none) == 0;
    if (expected->kind == GIRO_CHANGE_ACCOUNT_CREATED)
        return memcmp(&change->record.account, &expected->account, sizeof expected->account) == 0;
    if (expected->kind == GIRO_CHANGE_LIMITS_SET)
        return memcmp(&change->record.limits, &expected->limits, sizeof expected->limits) == 0;
    if (expected->kind == GIRO_CHANGE_CUT_OFF)
        return memcmp(&change->record.cut_off, &expected->cut_off, sizeof expected->cut_off) == 0;
    struct giro_transfer transfer = change->record.transfer;
    if (expected->kind == GIRO_CHANGE_PENDING_EXPIRED) {
        const struct giro_transfer *known = &expected->transfer;
        transfer = (struct giro_transfer){
            .id = transfer.id,
            .pending_id = transfer.pending_id,
            .debit_account_id = transfer.debit_account_id,
            .credit_account_id = transfer.credit_account_id,
            .amount = transfer.amount,
        };
        if (memcmp(&transfer, known, sizeof transfer) != 0)
            return false;
    } else if (memcmp(&transfer, &expected->transfer, sizeof transfer) != 0) {
        return false;
    }
    return change->marks == expected->marks &&
           memcmp(&change->debit, &expected->debit, sizeof change->debit) == 0 &&
           memcmp(&change->credit, &expected->credit, sizeof change->credit) == 0;
}

const char *judge_changes(uint32_t *seen, const struct giro_change *found, uint32_t count)
{
    uint64_t ordinal = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct giro_change change;
        memcpy(&change, &found[i], sizeof change);
        if (*seen == judge.change_count)
            return "a change that never was";
        if (i > 0 && change.ordinal <= ordinal)
            return "ordinals do not increase";
        ordinal = change.ordinal;
        if (!change_equals(&judge.changes[*seen], &change))
            return "a change is not the next one";
        judge_floor_raise(judge.changes[*seen].entry + 1);
        (*seen)++;
    }
    return NULL;
}
