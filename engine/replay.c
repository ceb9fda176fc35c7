/* Replay: the ledger's state from what was accepted.
 *
 * Replay only applies. What was accepted once is never judged again, so a change of the rules never
 * changes history. */
#include "engine/apply.h"
#include "engine/planted.h"
#include "engine/rules.h"
#include "engine/stage.h"

#include <errno.h>

static bool transfers_full(const struct ledger *ledger)
{
    return ledger->transfers.capacity != 0 && ledger->transfers.count == ledger->transfers.capacity;
}

/* Whether a record is one that the ledger can have written, as far as it tells by itself: what the
 * state is built on is input, however sound the checksum of its block. */
static bool account_formed(const struct giro_account *account)
{
    return account->id != 0 && account->debits_pending == 0 && account->debits_posted == 0 &&
           account->credits_pending == 0 && account->credits_posted == 0;
}

static bool transfer_formed(const struct giro_transfer *transfer)
{
    const uint16_t ways = transfer->flags & (GIRO_TRANSFER_PENDING | GIRO_TRANSFER_POST_PENDING |
                                             GIRO_TRANSFER_VOID_PENDING);
    const uint16_t resolving = GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING;
    /* A transfer that names itself would be a hold, and its own post, in one row of payments. */
    if (transfer->id == 0 || transfer->id == transfer->pending_id || (ways & (ways - 1)) != 0)
        return false;
    /* No adjustment has a row: a mark of one would stay without a transfer. */
    if ((transfer->flags & GIRO_TRANSFER_ADJUST) != 0 &&
        (ways != GIRO_TRANSFER_PENDING ||
         (transfer->flags & (GIRO_TRANSFER_RETURN | GIRO_TRANSFER_FACT)) != 0))
        return false;
    if ((transfer->flags & GIRO_TRANSFER_KEEP_OPEN) != 0 && (ways & resolving) == 0)
        return false;
    return (transfer->flags & GIRO_TRANSFER_RETURN) == 0 || (ways & resolving) == 0;
}

static bool payments_full(const struct ledger *ledger)
{
    return ledger->payments.capacity - ledger->payments.count < PAYMENT_ROWS_PER_EVENT;
}

/* Whether a new transfer may get a row, or be a hold: no other hold has its id, and no row but the
 * one that its own mark made. */
static bool payment_is_new(const struct ledger *ledger, const struct giro_transfer *transfer)
{
    if (holds_find(&ledger->holds, transfer->id) != NULL)
        return false;
    uint32_t row = payments_find(&ledger->payments, transfer->id);
    return row == PAYMENTS_NONE ||
           (ledger->announced == transfer->id && ledger->payments.rows[row].kind == 0);
}

/* The hold that a transfer resolves or adjusts, NULL when its accounts are not the hold's. */
static struct hold *replay_hold(const struct ledger *ledger, const struct giro_transfer *transfer,
                                const struct ledger_event *prepared)
{
    struct hold *hold = holds_find(&ledger->holds, transfer->pending_id);
    if (hold == NULL || hold->debit_row != prepared->debit_row ||
        hold->credit_row != prepared->credit_row)
        return NULL;
    return hold;
}

/* Whether a post or a void may name more than its hold has left: facts may, and captures for an
 * account that was allowed to, unless the hold is a return. */
static bool may_exceed(const struct ledger *ledger, const struct giro_transfer *transfer,
                       const struct hold *hold)
{
    const struct limits *limits = limits_of(&ledger->limits, hold->credit_row);
    if ((transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0)
        return false;
    if ((transfer->flags & GIRO_TRANSFER_FACT) != 0)
        return true;
    return (hold->record.flags & GIRO_TRANSFER_RETURN) == 0 && limits != NULL &&
           limits->over_capture != 0;
}

static int replay_resolve(struct ledger *ledger, const struct giro_transfer *transfer,
                          uint64_t address, const struct ledger_event *prepared,
                          giro_u128 *out_released)
{
    struct hold *hold = replay_hold(ledger, transfer, prepared);
    bool voids = (transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0;
    bool fact = (transfer->flags & GIRO_TRANSFER_FACT) != 0;
    bool keeps_open = (transfer->flags & GIRO_TRANSFER_KEEP_OPEN) != 0;
    if (hold == NULL || (voids && fact))
        return -EBADMSG;
    if ((hold->payment != 0 || fact) && !payment_is_new(ledger, transfer))
        return -EBADMSG;
    giro_u128 left = hold->record.amount;
    if ((transfer->amount > left && !may_exceed(ledger, transfer, hold)) ||
        (voids && !keeps_open && transfer->amount != left))
        return -EBADMSG;
    giro_u128 part = transfer->amount < left ? transfer->amount : left;
    *out_released = keeps_open ? part : left;
    resolve_apply(ledger, transfer, address, prepared->id_hash, hold);
    ended_holds_remove(ledger);
    return 0;
}

static int replay_adjust(struct ledger *ledger, const struct giro_transfer *transfer,
                         uint64_t address, const struct ledger_event *prepared)
{
    struct hold *hold = replay_hold(ledger, transfer, prepared);
    if (hold == NULL || transfer->amount > GIRO_U128_MAX - hold->record.amount)
        return -EBADMSG;
    adjust_apply(ledger, transfer, address, prepared->id_hash, hold);
    return 0;
}

/* Whether a return names a transfer that was posted and may be returned. */
static bool return_formed(const struct ledger *ledger, const struct giro_transfer *transfer)
{
    uint32_t origin = payments_find(&ledger->payments, transfer->pending_id);
    return origin != PAYMENTS_NONE && ledger->payments.rows[origin].kind == PAYMENT_POSTED &&
           ledger->payments.rows[origin].depth < PAYMENT_DEPTH_MAX;
}

static int replay_transfer(struct ledger *ledger, const struct giro_transfer *transfer,
                           uint64_t address, const struct ledger_event *prepared,
                           giro_u128 *out_released)
{
    if (transfers_full(ledger))
        return -ENOSPC;
    if (prepared->debit_row == ACCOUNTS_NONE || prepared->credit_row == ACCOUNTS_NONE ||
        prepared->debit_row == prepared->credit_row || !transfer_formed(transfer))
        return -EBADMSG;
    if ((transfer->flags & PAYMENT_FLAGS) != 0 && payments_full(ledger))
        return -ENOSPC;
    if ((transfer->flags & (GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING)) != 0)
        return replay_resolve(ledger, transfer, address, prepared, out_released);
    if ((transfer->flags & GIRO_TRANSFER_ADJUST) != 0)
        return replay_adjust(ledger, transfer, address, prepared);
    if ((transfer->flags & GIRO_TRANSFER_RETURN) != 0 && !return_formed(ledger, transfer))
        return -EBADMSG;
    const uint16_t kept = GIRO_TRANSFER_RETURN | GIRO_TRANSFER_FACT | GIRO_TRANSFER_PENDING;
    if (((transfer->flags & kept) != 0 || ledger->announced != 0) &&
        !payment_is_new(ledger, transfer))
        return -EBADMSG;
    if ((transfer->flags & GIRO_TRANSFER_PENDING) != 0 &&
        ledger->holds.count == ledger->holds.capacity)
        return -ENOSPC;
    plain_apply(ledger, transfer, address, prepared->id_hash, prepared->debit_row,
                prepared->credit_row);
    return 0;
}

/* Whether a transfer may have marks: but for velocity's, only a fact goes over anything. */
static bool marks_formed(const struct giro_transfer *transfer, uint32_t marks)
{
    if ((transfer->flags & GIRO_TRANSFER_FACT) != 0)
        return (marks & ~(unsigned)GIRO_MARKS_ALL) == 0 && (marks & GIRO_MARK_HELD) == 0;
    return marks == GIRO_MARK_OVER_VELOCITY ||
           (marks == (GIRO_MARK_OVER_VELOCITY | GIRO_MARK_HELD) &&
            (transfer->flags & GIRO_TRANSFER_PENDING) != 0);
}

/* Whether the transfer behind it is as the companion needs it: a row that only a mark made has to be
 * filled, which no void, no adjustment and no post does that is not a fact. */
static bool announced_formed(const struct ledger *ledger, const union record *record)
{
    /* Behind a firing may come a companion, and then the transfer. */
    if (record_system(record) == RECORD_SYSTEM_PAYMENT)
        return record->transfer.user_data_128 == ledger->announced;

    const struct giro_transfer *transfer = &record->transfer;
    if (record_kind(record) != RECORD_TRANSFER || transfer->id != ledger->announced)
        return false;
    const uint32_t row = payments_find(&ledger->payments, transfer->id);
    return row == PAYMENTS_NONE ||
           (((transfer->flags & GIRO_TRANSFER_FACT) != 0 || (transfer->flags & HOLD_FLAGS) == 0) &&
            marks_formed(transfer, ledger->payments.rows[row].marks));
}

/* What a transfer behind it needs. */
static int replay_companion(struct ledger *ledger, const struct giro_transfer *companion,
                            uint64_t address, const struct ledger_event *prepared)
{
    if (payments_full(ledger))
        return -ENOSPC;
    if (companion->pending_id != 0 &&
        (prepared->debit_row == ACCOUNTS_NONE || prepared->credit_row == ACCOUNTS_NONE ||
         prepared->debit_row == prepared->credit_row ||
         companion->pending_id == companion->user_data_128 ||
         holds_find(&ledger->holds, companion->pending_id) != NULL || /* it was not posted */
         payments_find(&ledger->payments, companion->pending_id) != PAYMENTS_NONE))
        return -EBADMSG;
    if (companion->user_data_32 > UINT16_MAX || companion->user_data_128 == 0 ||
        (companion->user_data_32 == 0 && companion->pending_id == 0) ||
        holds_find(&ledger->holds, companion->user_data_128) != NULL ||
        payments_find(&ledger->payments, companion->user_data_128) != PAYMENTS_NONE)
        return -EBADMSG;
    companion_apply(ledger, companion, address + 1, prepared->debit_row, prepared->credit_row);
    return 0;
}

static int replay_limits(struct ledger *ledger, const struct giro_limits *limits, uint64_t address)
{
    uint32_t row = accounts_find(&ledger->accounts, limits->account_id);
    if (row == ACCOUNTS_NONE || limits->over_capture > GIRO_OVER_CAPTURE_MAX ||
        (limits->flags & RECORD_FLAGS_MASK & ~GIRO_LIMITS_FLAGS_ALL) != 0)
        return -EBADMSG;
    for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++) {
        if (velocity_check(&limits->velocity[s], limits->velocity_max[s]) != GIRO_LIMITS_RESULT_SET)
            return -EBADMSG;
    }
    limits_apply(ledger, limits, row, address);
    return 0;
}

/* A lease is acquired in a row of its own or of one that is over, and renewed and released where it is,
 * under its token. */
static int replay_lease(struct ledger *ledger, const struct giro_lease *lease, uint64_t address)
{
    const struct leases *leases = &ledger->leases;
    const uint32_t known = leases_find(leases, lease->key);
    if (lease->row == leases->capacity)
        return -ENOSPC;
    if (lease->key == 0 || lease->owner == 0 || lease->row > leases->count ||
        lease->deadline > GIRO_TIMESTAMP_MAX || (known != LEASES_NONE && known != lease->row))
        return -EBADMSG;
    const struct lease *place = lease->row < leases->count ? &leases->rows[lease->row] : NULL;
    if (lease->action == GIRO_LEASE_ACQUIRE) {
        if (lease->token != address ||
            (place != NULL && lease_is_current(place, lease->timestamp) &&
             (known == LEASES_NONE || place->owner != lease->owner)))
            return -EBADMSG;
    } else if (lease->action < GIRO_LEASE_ACQUIRE || lease->action > GIRO_LEASE_RELEASE ||
               known == LEASES_NONE || leases->rows[known].token != lease->token ||
               leases->rows[known].owner != lease->owner ||
               !lease_is_current(&leases->rows[known], lease->timestamp)) {
        return -EBADMSG;
    }
    if (lease->action == GIRO_LEASE_RELEASE ? lease->deadline != 0
                                            : lease->deadline <= lease->timestamp)
        return -EBADMSG;
    lease_apply(ledger, lease, address);
    return 0;
}

/* The first half of a schedule: it becomes a row, which its transfer completes. */
static int replay_schedule(struct ledger *ledger, const union record *record)
{
    struct giro_schedule row = {0};
    memcpy(&row, record, sizeof *record);
    if (ledger->schedules.count == ledger->schedules.capacity)
        return -ENOSPC;
    row.state = GIRO_SCHEDULE_ACTIVE;
    row.flags = 0;
    row.transfer.code = row.transfer_code;
    row.transfer.flags = row.transfer_flags;
    row.transfer_code = row.transfer_flags = 0;
    if (!schedules_are_whole(&ledger->schedules) || row.next != row.first ||
        !schedule_formed(&ledger->schedules, &row) || !schedule_reserved_is_zero(&row))
        return -EBADMSG;
    (void)schedules_append(&ledger->schedules, &row);
    timestamp_seen(ledger, row.timestamp);
    return 0;
}

static int replay_template(struct ledger *ledger, const struct giro_transfer *transfer)
{
    if (schedules_are_whole(&ledger->schedules))
        return -EBADMSG;
    struct giro_schedule *row = &ledger->schedules.rows[ledger->schedules.count - 1];
    struct giro_transfer made = *transfer;
    made.id = 0;
    made.code = row->transfer.code;
    made.flags = row->transfer.flags;
    made.timestamp = 0;
    if (transfer->id != row->id || made.pending_id != 0 ||
        template_check(ledger, &made) != GIRO_SCHEDULE_RESULT_DONE)
        return -EBADMSG;
    row->transfer = made;
    return 0;
}

/* Attempts come in order: each is the one that the one before it has announced. */
static int replay_firing(struct ledger *ledger, const struct giro_firing *firing, uint64_t address,
                         bool cancels)
{
    const struct schedules *schedules = &ledger->schedules;
    if (firing->row >= schedules->count || firing->next > GIRO_TIMESTAMP_MAX)
        return -EBADMSG;
    const struct giro_schedule *row = &schedules->rows[firing->row];
    if (row->id != firing->schedule_id || row->state != GIRO_SCHEDULE_ACTIVE)
        return -EBADMSG;
    if (cancels) {
        cancel_apply(ledger, firing, address);
        return 0;
    }
    if (firing->due != row->next || firing->occurrence != row->occurrence ||
        firing->attempt != row->attempt || firing->transfer_id == 0)
        return -EBADMSG;
    if (!PLANTED(FIRE_AGAIN))
        firing_apply(ledger, firing, address);
    if (firing->transfer_result == GIRO_TRANSFER_CREATED)
        ledger->announced = firing->transfer_id;
    return 0;
}

static int replay_cut_off(struct ledger *ledger, const struct giro_cut_off *cut_off,
                          uint64_t address)
{
    const struct epoch *known = settlements_epoch(&ledger->settlements, cut_off->ledger);
    if (known == NULL && ledger->settlements.epoch_count == SETTLEMENTS_EPOCHS_MAX)
        return -ENOSPC;
    if (cut_off->ledger == 0 || cut_off->epoch != (known != NULL ? known->epoch : 0))
        return -EBADMSG;
    cut_off_apply(ledger, cut_off, address);
    return 0;
}

/* A session is registered in any row, and goes on in its own. */
static int replay_session(struct ledger *ledger, const struct record_session *session,
                          uint64_t address)
{
    const struct sessions *sessions = &ledger->sessions;
    const uint32_t known = sessions_find(sessions, session->client);
    if (session->row == sessions->capacity)
        return -ENOSPC;
    if (session->client == 0 || session->row > sessions->count || ledger->session_results != 0 ||
        session->event_count > LEDGER_EVENTS_MAX || session->result_count > session->event_count ||
        (known != SESSIONS_NONE && known != session->row))
        return -EBADMSG;
    if (session->request_number == 0
            ? session->number != address
            : known == SESSIONS_NONE || sessions->rows[known].number != session->number ||
                  session->request_number <= sessions->rows[known].request)
        return -EBADMSG;
    session_apply(ledger, session, address);
    ledger->session_results = session->result_count;
    return 0;
}

/* The results of the session record in front of them, as many as it says. */
static int replay_session_results(struct ledger *ledger, uint32_t count)
{
    const uint32_t left = ledger->session_results;
    if (left == 0 || count != (left < SESSION_RESULTS ? left : (uint32_t)SESSION_RESULTS))
        return -EBADMSG;
    ledger->session_results -= count;
    return 0;
}

static int replay_system(struct ledger *ledger, const union record *record, uint64_t address,
                         const struct ledger_event *prepared, giro_u128 *out_released)
{
    struct hold *hold;
    switch ((enum record_system)record->transfer.code) {
    case RECORD_SYSTEM_EXPIRY:
        hold = holds_find(&ledger->holds, record->transfer.pending_id);
        if (hold == NULL || record->transfer.amount != hold->record.amount ||
            hold->debit_row != prepared->debit_row || hold->credit_row != prepared->credit_row)
            return -EBADMSG;
        *out_released = hold->record.amount;
        expiry_apply(ledger, hold, record->transfer.timestamp, address);
        return 0;
    case RECORD_SYSTEM_LIMITS:
        return replay_limits(ledger, &record->limits, address);
    case RECORD_SYSTEM_LEASE:
        return replay_lease(ledger, &record->lease, address);
    case RECORD_SYSTEM_SCHEDULE:
        return replay_schedule(ledger, record);
    case RECORD_SYSTEM_TEMPLATE:
        return replay_template(ledger, &record->transfer);
    case RECORD_SYSTEM_FIRING:
    case RECORD_SYSTEM_CANCEL:
        return replay_firing(ledger, &record->firing, address,
                             record->firing.code == RECORD_SYSTEM_CANCEL);
    case RECORD_SYSTEM_CUT_OFF:
        return replay_cut_off(ledger, &record->cut_off, address);
    case RECORD_SYSTEM_SESSION:
        return replay_session(ledger, &record->session, address);
    case RECORD_SYSTEM_PAYMENT:
        return replay_companion(ledger, &record->transfer, address, prepared);
    case RECORD_SYSTEM_DIGEST:
        ledger->digests_checked++;
        if (!ledger_digest_matches(ledger, &record->digest) && ledger->digests_failed++ == 0)
            ledger->digest_failed_first = address;
        return 0;
    case RECORD_SYSTEM_SNAPSHOT:
        return 0;
    case RECORD_SYSTEM_SESSION_RESULTS:
        return replay_session_results(ledger, record->session_results.count);
    }
    return -EBADMSG;
}

static int replay_record(struct ledger *ledger, const union record *record, uint64_t address,
                         const struct ledger_event *prepared, giro_u128 *out_released)
{
    int error;
    /* The next timestamp would be none. */
    if (record->transfer.timestamp > GIRO_TIMESTAMP_MAX)
        return -EBADMSG;
    if (ledger->announced != 0 && !announced_formed(ledger, record))
        return -EBADMSG;
    if (!schedules_are_whole(&ledger->schedules) && record_system(record) != RECORD_SYSTEM_TEMPLATE)
        return -EBADMSG;
    switch (record_kind(record)) {
    case RECORD_TRANSFER:
        error = replay_transfer(ledger, &record->transfer, address, prepared, out_released);
        ledger->announced = 0;
        return error;
    case RECORD_ACCOUNT:
        if (ledger->accounts.count == ledger->accounts.capacity)
            return -ENOSPC;
        if (!account_formed(&record->account) ||
            accounts_find(&ledger->accounts, record->account.id) != ACCOUNTS_NONE)
            return -EBADMSG;
        account_apply(ledger, &record->account);
        return 0;
    case RECORD_BURNT:
        if (transfers_full(ledger))
            return -ENOSPC;
        if (!PLANTED(FORGET_BURNT))
            burn_apply(ledger, &record->transfer, address, prepared->id_hash);
        return 0;
    case RECORD_SYSTEM:
        return replay_system(ledger, record, address, prepared, out_released);
    }
    return -EBADMSG;
}

/* How many of the records are accounts, or how many are not, before the kind changes: the accounts
 * of a transfer must be there when it is prepared. */
static uint32_t replay_run(const union record *records, uint32_t count)
{
    bool accounts = record_kind(&records[0]) == RECORD_ACCOUNT;
    uint32_t run = 1;
    while (run < count && run < CHUNK_EVENTS &&
           (record_kind(&records[run]) == RECORD_ACCOUNT) == accounts)
        run++;
    return run;
}

uint32_t ledger_replay_prepare(struct ledger *ledger, const union record *records, uint32_t count)
{
    uint32_t run = replay_run(records, count);
    if (record_kind(&records[0]) == RECORD_ACCOUNT)
        return run;
    /* What was accepted is not judged again: of limits, only what counts matters. */
    chunk_prepare(ledger, &records[0].transfer, 0, run, ledger->limits.counting != 0);
    for (uint32_t i = 0; i < run; i++)
        event_rows_confirm(ledger, &records[i].transfer, &ledger->events[i]);
    return run;
}

static void balances_of(const struct ledger *ledger, uint32_t row, struct giro_balances *out)
{
    memcpy(out, &ledger->accounts.rows[row].debits_pending, sizeof *out);
}

_Static_assert(offsetof(struct giro_account, debits_pending) == 16 &&
                   offsetof(struct giro_account, user_data_128) ==
                       16 + sizeof(struct giro_balances),
               "the balances of an account are one struct giro_balances");

static void effect_set(const struct ledger *ledger, const union record *record,
                       const struct ledger_event *prepared, giro_u128 released,
                       struct ledger_effect *effect)
{
    effect->released = released;
    effect->debit_row = ACCOUNTS_NONE;
    effect->credit_row = ACCOUNTS_NONE;
    if (record_kind(record) == RECORD_ACCOUNT) {
        effect->debit_row = ledger->accounts.count - 1;
    } else if (record_moves(record)) {
        effect->debit_row = prepared->debit_row;
        effect->credit_row = prepared->credit_row;
        balances_of(ledger, effect->debit_row, &effect->debit);
        balances_of(ledger, effect->credit_row, &effect->credit);
    }
}

int ledger_replay_apply(struct ledger *ledger, const union record *records, uint32_t count,
                        uint64_t address, struct ledger_effect *effects, uint32_t *out_index)
{
    journal_clear(&ledger->journal);
    for (uint32_t i = 0; i < count; i++) {
        giro_u128 released = 0;
        int error = replay_record(ledger, &records[i], address + i, &ledger->events[i], &released);
        if (error != 0) {
            *out_index = i;
            return error;
        }
        if (effects != NULL)
            effect_set(ledger, &records[i], &ledger->events[i], released, &effects[i]);
    }
    return 0;
}

int ledger_replay(struct ledger *ledger, const union record *records, uint32_t count,
                  uint64_t address, uint32_t *out_index)
{
    for (uint32_t done = 0, run; done < count; done += run) {
        run = ledger_replay_prepare(ledger, &records[done], count - done);
        int error =
            ledger_replay_apply(ledger, &records[done], run, address + done, NULL, out_index);
        if (error != 0) {
            *out_index += done;
            return error;
        }
    }
    return 0;
}
