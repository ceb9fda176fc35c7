/* The ledger's rules.
 *
 * Reading order: identity (is the id new, and if not, is the event the same?), the checks of plain
 * and pending transfers, the checks of post and void, undo, the request loop with its chains,
 * expiry, lookups. What an accepted record does is in engine/apply.h, replay in engine/replay.c.
 *
 * Every check returns one named result and changes nothing. The order of the checks is the order of
 * precedence that docs/protocol.md promises. What has passed them is applied, and applying cannot
 * fail; apply is shared with replay. An accepted record is built in place, in the log's open block,
 * so that it is copied once between the socket and the disk. */
#include "engine/ledger.h"

#include "engine/apply.h"
#include "engine/memory.h"
#include "engine/planted.h"
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
/* Transfers that name a hold, and inherit from it what they leave out. */
#define HOLD_FLAGS (GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_ADJUST)

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
        limits_init(&ledger->limits, config->accounts_max) != 0 ||
        payments_init(&ledger->payments,
                      config->payments_max != 0 ? config->payments_max : LEDGER_PAYMENTS_DEFAULT,
                      LEDGER_EVENTS_MAX, config->hash_seed) != 0 ||
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
    payments_free(&ledger->payments);
    limits_free(&ledger->limits);
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
        pending += (events[i].flags & (GIRO_TRANSFER_PENDING | GIRO_TRANSFER_ADJUST)) ==
                   GIRO_TRANSFER_PENDING;
        payments += (events[i].flags & PAYMENT_FLAGS) != 0;
    }
    if (pending > holds_left)
        return LEDGER_FULL_HOLDS;
    return payments > payments_left ? LEDGER_FULL_PAYMENTS : LEDGER_ROOM;
}

/* With a transfer that is a return or a fact may come a RECORD_SYSTEM_PAYMENT. */
uint32_t ledger_records_max(const struct giro_transfer *events, uint32_t count)
{
    uint32_t records = count;
    for (uint32_t i = 0; i < count; i++)
        records += (events[i].flags & (GIRO_TRANSFER_RETURN | GIRO_TRANSFER_FACT)) != 0;
    return records;
}

/* ---- Identity ---------------------------------------------------------------------------- */

/* The record that was accepted, or burnt, under this id; NULL when the id is new. */
static const union record *record_find(const struct ledger *ledger,
                                       const struct record_cache *cache, giro_u128 id,
                                       uint64_t hash, uint64_t *out_address)
{
    struct index_cursor cursor = index_search(&ledger->transfers, hash);
    for (;;) {
        uint64_t address = index_next(&ledger->transfers, &cursor);
        if (address == 0)
            return NULL;
        const union record *record = record_at(&ledger->window, cache, address);
        assert(record != NULL); /* chunk_missing() or ledger_prepare_lookup() asked for it */
        if (record->transfer.id == id) {
            *out_address = address;
            return record;
        }
    }
}

/* The pending transfer that a post or void names, from the hold while there is one. */
struct pending {
    const struct giro_transfer *record; /* NULL: not found */
    struct hold *hold;                  /* NULL when it ended before this request */
    enum hold_state state;
    giro_u128 left; /* of its amount; when it has ended: just before it did */
};

static struct pending pending_find(const struct ledger *ledger, const struct record_cache *cache,
                                   giro_u128 id)
{
    struct hold *hold = holds_find(&ledger->holds, id);
    if (hold != NULL)
        return (struct pending){.record = &hold->record,
                                .hold = hold,
                                .state = hold->state,
                                .left = hold->record.amount};

    uint64_t address = 0;
    const union record *record =
        record_find(ledger, cache, id, id_hash(id, ledger->hash_seed), &address);
    if (record == NULL || record_kind(record) != RECORD_TRANSFER)
        return (struct pending){0};
    uint32_t row = payments_find(&ledger->payments, id);
    return (struct pending){
        .record = &record->transfer,
        .state = holds_outcome(&ledger->holds, address),
        .left = row == PAYMENTS_NONE ? record->transfer.amount : ledger->payments.rows[row].left,
    };
}

static enum giro_transfer_result exists_plain(const struct giro_transfer *event,
                                              const struct giro_transfer *existing)
{
    if (event->debit_account_id != existing->debit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID;
    if (event->credit_account_id != existing->credit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID;
    /* A balancing transfer's amount is an upper limit, the stored one is what was moved. */
    bool balancing =
        (event->flags & (GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT)) != 0;
    bool rest = (event->flags & GIRO_TRANSFER_RETURN) != 0 && event->amount == GIRO_U128_MAX;
    if (balancing ? event->amount < existing->amount : !rest && event->amount != existing->amount)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_AMOUNT;
    if (event->user_data_128 != existing->user_data_128)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_128;
    if (event->user_data_64 != existing->user_data_64)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_64;
    if (event->user_data_32 != existing->user_data_32)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_32;
    if (event->ledger != existing->ledger)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_LEDGER;
    if (event->code != existing->code)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CODE;
    return GIRO_TRANSFER_EXISTS;
}

/* The amount that an event takes of a hold, of which so much is, or was, left. */
static giro_u128 resolve_amount(const struct giro_transfer *event, giro_u128 left)
{
    if ((event->flags & (GIRO_TRANSFER_KEEP_OPEN | GIRO_TRANSFER_ADJUST)) != 0)
        return event->amount;
    giro_u128 all = (event->flags & GIRO_TRANSFER_VOID_PENDING) != 0 ? 0 : GIRO_U128_MAX;
    return event->amount == all ? left : event->amount;
}

/* As exists_plain(), where a zero field stands for what was inherited from the pending transfer. */
static enum giro_transfer_result exists_resolved(const struct giro_transfer *event,
                                                 const struct giro_transfer *existing,
                                                 const struct pending *resolved)
{
    const struct giro_transfer *pending = resolved->record;
    if (event->debit_account_id != 0 && event->debit_account_id != existing->debit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID;
    if (event->credit_account_id != 0 && event->credit_account_id != existing->credit_account_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID;
    if (existing->amount != resolve_amount(event, resolved->left))
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_AMOUNT;
    giro_u128 user_data_128 =
        event->user_data_128 != 0 ? event->user_data_128 : pending->user_data_128;
    if (existing->user_data_128 != user_data_128)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_128;
    uint64_t user_data_64 = event->user_data_64 != 0 ? event->user_data_64 : pending->user_data_64;
    if (existing->user_data_64 != user_data_64)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_64;
    uint32_t user_data_32 = event->user_data_32 != 0 ? event->user_data_32 : pending->user_data_32;
    if (existing->user_data_32 != user_data_32)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_32;
    if (event->ledger != 0 && event->ledger != existing->ledger)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_LEDGER;
    if (event->code != 0 && event->code != existing->code)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CODE;
    return GIRO_TRANSFER_EXISTS;
}

static enum giro_transfer_result transfer_exists(const struct ledger *ledger,
                                                 const struct record_cache *cache,
                                                 const struct giro_transfer *event,
                                                 const struct giro_transfer *existing)
{
    if (event->flags != existing->flags)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_FLAGS;
    if (event->pending_id != existing->pending_id)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_PENDING_ID;
    if (event->timeout != existing->timeout)
        return GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_TIMEOUT;
    if ((event->flags & HOLD_FLAGS) == 0)
        return exists_plain(event, existing);
    struct pending pending = pending_find(ledger, cache, event->pending_id);
    assert(pending.record != NULL); /* the existing transfer resolved or adjusted it */
    return exists_resolved(event, existing, &pending);
}

/* GIRO_TRANSFER_CREATED when the event is well-formed and its id is new. */
static enum giro_transfer_result transfer_identity(const struct ledger *ledger,
                                                   const struct record_cache *cache,
                                                   const struct giro_transfer *event, uint64_t hash)
{
    if ((event->flags & ~GIRO_TRANSFER_FLAGS_ALL) != 0)
        return GIRO_TRANSFER_RESERVED_FLAG;
    if (event->id == 0)
        return GIRO_TRANSFER_ID_MUST_NOT_BE_ZERO;
    if (event->id == GIRO_U128_MAX)
        return GIRO_TRANSFER_ID_MUST_NOT_BE_INT_MAX;
    uint64_t address;
    const union record *existing = record_find(ledger, cache, event->id, hash, &address);
    if (existing == NULL)
        return GIRO_TRANSFER_CREATED;
    if (record_kind(existing) == RECORD_BURNT)
        return GIRO_TRANSFER_ID_ALREADY_FAILED;
    return transfer_exists(ledger, cache, event, &existing->transfer);
}

static enum giro_account_result account_exists(const struct giro_account *event,
                                               const struct giro_account *existing)
{
    if (event->flags != existing->flags)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_FLAGS;
    if (event->user_data_128 != existing->user_data_128)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_USER_DATA_128;
    if (event->user_data_64 != existing->user_data_64)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_USER_DATA_64;
    if (event->user_data_32 != existing->user_data_32)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_USER_DATA_32;
    if (event->ledger != existing->ledger)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_LEDGER;
    if (event->code != existing->code)
        return GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_CODE;
    return GIRO_ACCOUNT_EXISTS;
}

/* As transfer_identity(). */
static enum giro_account_result account_identity(const struct ledger *ledger,
                                                 const struct giro_account *event)
{
    if (event->reserved != 0)
        return GIRO_ACCOUNT_RESERVED_FIELD;
    if ((event->flags & ~GIRO_ACCOUNT_FLAGS_ALL) != 0)
        return GIRO_ACCOUNT_RESERVED_FLAG;
    if (event->id == 0)
        return GIRO_ACCOUNT_ID_MUST_NOT_BE_ZERO;
    if (event->id == GIRO_U128_MAX)
        return GIRO_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
    uint32_t row = accounts_find(&ledger->accounts, event->id);
    if (row == ACCOUNTS_NONE)
        return GIRO_ACCOUNT_CREATED;
    return account_exists(event, &ledger->accounts.rows[row]);
}

/* ---- Plain and pending transfers --------------------------------------------------------- */

static enum giro_transfer_result pending_id_check(const struct giro_transfer *event)
{
    if (event->pending_id == 0)
        return GIRO_TRANSFER_PENDING_ID_MUST_NOT_BE_ZERO;
    if (event->pending_id == GIRO_U128_MAX)
        return GIRO_TRANSFER_PENDING_ID_MUST_NOT_BE_INT_MAX;
    if (event->pending_id == event->id)
        return GIRO_TRANSFER_PENDING_ID_MUST_BE_DIFFERENT;
    return GIRO_TRANSFER_CREATED;
}

static enum giro_transfer_result plain_check_fields(const struct giro_transfer *event)
{
    if (event->debit_account_id == 0)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
    if (event->debit_account_id == GIRO_U128_MAX)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
    if (event->credit_account_id == 0)
        return GIRO_TRANSFER_CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
    if (event->credit_account_id == GIRO_U128_MAX)
        return GIRO_TRANSFER_CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
    if (event->debit_account_id == event->credit_account_id)
        return GIRO_TRANSFER_ACCOUNTS_MUST_BE_DIFFERENT;
    if ((event->flags & GIRO_TRANSFER_RETURN) != 0) {
        enum giro_transfer_result result = pending_id_check(event);
        if (result != GIRO_TRANSFER_CREATED)
            return result;
    } else if (event->pending_id != 0) {
        return GIRO_TRANSFER_PENDING_ID_MUST_BE_ZERO;
    }
    if ((event->flags & GIRO_TRANSFER_PENDING) == 0) {
        if (event->timeout != 0)
            return GIRO_TRANSFER_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER;
        if ((event->flags & (GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_CLOSING_CREDIT)) != 0)
            return GIRO_TRANSFER_CLOSING_TRANSFER_MUST_BE_PENDING;
    }
    if (event->ledger == 0)
        return GIRO_TRANSFER_LEDGER_MUST_NOT_BE_ZERO;
    if (event->code == 0)
        return GIRO_TRANSFER_CODE_MUST_NOT_BE_ZERO;
    return GIRO_TRANSFER_CREATED;
}

/* An imported transfer's timestamp is greater than any transfer's before it and no account's. */
static bool transfer_timestamp_regresses(const struct ledger *ledger, uint64_t timestamp)
{
    return timestamp <= ledger->transfer_timestamp_last ||
           (timestamp <= ledger->account_timestamp_last &&
            accounts_timestamp_exists(&ledger->accounts, timestamp));
}

static enum giro_transfer_result plain_check_accounts(const struct ledger *ledger,
                                                      const struct giro_transfer *event,
                                                      const struct ledger_event *prepared)
{
    if (prepared->debit_row == ACCOUNTS_NONE)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_NOT_FOUND;
    if (prepared->credit_row == ACCOUNTS_NONE)
        return GIRO_TRANSFER_CREDIT_ACCOUNT_NOT_FOUND;
    const struct giro_account *debit = &ledger->accounts.rows[prepared->debit_row];
    const struct giro_account *credit = &ledger->accounts.rows[prepared->credit_row];
    if (debit->ledger != credit->ledger)
        return GIRO_TRANSFER_ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER;
    if (event->ledger != debit->ledger)
        return GIRO_TRANSFER_TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS;
    if ((event->flags & GIRO_TRANSFER_IMPORTED) != 0) {
        if (transfer_timestamp_regresses(ledger, event->timestamp))
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;
        if (event->timestamp <= debit->timestamp)
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_DEBIT_ACCOUNT;
        if (event->timestamp <= credit->timestamp)
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_CREDIT_ACCOUNT;
        if (event->timeout != 0)
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO;
    }
    if ((debit->flags & GIRO_ACCOUNT_CLOSED) != 0)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED;
    if ((credit->flags & GIRO_ACCOUNT_CLOSED) != 0)
        return GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED;
    return GIRO_TRANSFER_CREATED;
}

/* The amount after balancing: at most what the balances leave. */
static giro_u128 plain_amount(const struct giro_transfer *event, const struct giro_account *debit,
                              const struct giro_account *credit)
{
    giro_u128 amount = event->amount;
    if ((event->flags & GIRO_TRANSFER_BALANCING_DEBIT) != 0) {
        giro_u128 used = debit->debits_posted + debit->debits_pending;
        giro_u128 left = debit->credits_posted > used ? debit->credits_posted - used : 0;
        amount = amount < left ? amount : left;
    }
    if ((event->flags & GIRO_TRANSFER_BALANCING_CREDIT) != 0) {
        giro_u128 used = credit->credits_posted + credit->credits_pending;
        giro_u128 left = credit->debits_posted > used ? credit->debits_posted - used : 0;
        amount = amount < left ? amount : left;
    }
    return amount;
}

static bool sum_overflows(giro_u128 a, giro_u128 b)
{
    return a > GIRO_U128_MAX - b;
}

static enum giro_transfer_result plain_check_overflow(const struct giro_transfer *transfer,
                                                      const struct giro_account *debit,
                                                      const struct giro_account *credit)
{
    giro_u128 amount = transfer->amount;
    if ((transfer->flags & GIRO_TRANSFER_PENDING) != 0) {
        if (sum_overflows(debit->debits_pending, amount))
            return GIRO_TRANSFER_OVERFLOWS_DEBITS_PENDING;
        if (sum_overflows(credit->credits_pending, amount))
            return GIRO_TRANSFER_OVERFLOWS_CREDITS_PENDING;
    }
    if (sum_overflows(debit->debits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS_POSTED;
    if (sum_overflows(credit->credits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS_POSTED;
    /* pending + posted never overflows: that is what these two checks keep up. */
    if (sum_overflows(debit->debits_pending + debit->debits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS;
    if (sum_overflows(credit->credits_pending + credit->credits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS;
    if (transfer->timeout * GIRO_NS_PER_S > GIRO_TIMESTAMP_MAX - transfer->timestamp)
        return GIRO_TRANSFER_OVERFLOWS_TIMEOUT;
    return GIRO_TRANSFER_CREATED;
}

/* What accounts forbid; the amount overflows nothing. */
static enum giro_transfer_result plain_check_limits(giro_u128 amount,
                                                    const struct giro_account *debit,
                                                    const struct giro_account *credit)
{
    if ((debit->flags & GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS) != 0 && !PLANTED(SKIP_LIMIT) &&
        debit->debits_pending + debit->debits_posted + amount > debit->credits_posted)
        return GIRO_TRANSFER_EXCEEDS_CREDITS;
    if ((credit->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0 &&
        credit->credits_pending + credit->credits_posted + amount > credit->debits_posted)
        return GIRO_TRANSFER_EXCEEDS_DEBITS;
    return GIRO_TRANSFER_CREATED;
}

static enum giro_transfer_result plain_check_amount(const struct giro_transfer *transfer,
                                                    const struct giro_account *debit,
                                                    const struct giro_account *credit)
{
    enum giro_transfer_result result = plain_check_overflow(transfer, debit, credit);
    return result != GIRO_TRANSFER_CREATED ? result
                                           : plain_check_limits(transfer->amount, debit, credit);
}

static bool is_fact(const struct giro_transfer *transfer)
{
    return (transfer->flags & GIRO_TRANSFER_FACT) != 0;
}

/* ---- Limits that are set at run time ------------------------------------------------------ */

/* Both accounts of a transfer with their limits. */
struct sides {
    const struct giro_account *debit;
    const struct giro_account *credit;
    const struct limits *debit_limits;
    const struct limits *credit_limits;
};

static struct sides sides_of(const struct ledger *ledger, uint32_t debit_row, uint32_t credit_row)
{
    static const struct limits none;
    const struct limits *debit = limits_of(&ledger->limits, debit_row);
    const struct limits *credit = limits_of(&ledger->limits, credit_row);
    return (struct sides){
        .debit = &ledger->accounts.rows[debit_row],
        .credit = &ledger->accounts.rows[credit_row],
        .debit_limits = debit != NULL ? debit : &none,
        .credit_limits = credit != NULL ? credit : &none,
    };
}

/* Whether nothing new may be debited, or credited. */
static bool sides_blocked(const struct sides *sides)
{
    const unsigned debits = GIRO_LIMITS_BLOCK_DEBITS | GIRO_LIMITS_FROZEN;
    const unsigned credits = GIRO_LIMITS_BLOCK_CREDITS | GIRO_LIMITS_FROZEN;
    return !PLANTED(SKIP_BLOCK) && ((sides->debit_limits->flags & debits) != 0 ||
                                    (sides->credit_limits->flags & credits) != 0);
}

static bool sides_frozen(const struct sides *sides)
{
    return ((sides->debit_limits->flags | sides->credit_limits->flags) & GIRO_LIMITS_FROZEN) != 0;
}

static bool balance_exceeds(giro_u128 total, giro_u128 opposite, giro_u128 balance_max)
{
    return balance_max != 0 && amount_deduct(total, opposite) > balance_max;
}

/* What an amount, which overflows nothing, goes over: marks, and the first result that says so.
 * moves: it is a new transfer, and no post. */
static uint32_t sides_exceeded(const struct sides *sides, giro_u128 amount, bool moves,
                               enum giro_transfer_result *out_first)
{
    const struct giro_account *debit = sides->debit;
    const struct giro_account *credit = sides->credit;
    const giro_u128 debits = debit->debits_pending + debit->debits_posted + amount;
    const giro_u128 credits = credit->credits_pending + credit->credits_posted + amount;
    const bool mirrored = (credit->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0;
    enum giro_transfer_result result = GIRO_TRANSFER_CREATED;
    uint32_t marks = 0;
    /* From the last one to the first, so that the first is left. */
    if (mirrored
            ? false
            : balance_exceeds(credits, credit->debits_posted, sides->credit_limits->balance_max)) {
        result = GIRO_TRANSFER_EXCEEDS_MAX_BALANCE;
        marks |= GIRO_MARK_OVER_BALANCE;
    }
    if ((debit->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0 &&
        balance_exceeds(debits, debit->credits_posted, sides->debit_limits->balance_max)) {
        result = GIRO_TRANSFER_EXCEEDS_MAX_BALANCE;
        marks |= GIRO_MARK_OVER_BALANCE;
    }
    const giro_u128 debit_max = sides->debit_limits->transfer_max;
    const giro_u128 credit_max = sides->credit_limits->transfer_max;
    if (moves &&
        ((debit_max != 0 && amount > debit_max) || (credit_max != 0 && amount > credit_max))) {
        result = GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER;
        marks |= GIRO_MARK_OVER_TRANSFER;
    }
    if (mirrored && credits > amount_add(credit->debits_posted, sides->credit_limits->floor)) {
        result = GIRO_TRANSFER_EXCEEDS_DEBITS;
        marks |= GIRO_MARK_NEGATIVE;
    }
    if ((debit->flags & GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS) != 0 && !PLANTED(SKIP_LIMIT) &&
        debits > amount_add(debit->credits_posted, sides->debit_limits->floor)) {
        result = GIRO_TRANSFER_EXCEEDS_CREDITS;
        marks |= GIRO_MARK_NEGATIVE;
    }
    *out_first = result;
    return marks;
}

/* How much more than its hold a post may take, in basis points of what was authorised. */
static uint32_t over_capture_of(const struct ledger *ledger, const struct giro_transfer *post)
{
    if ((post->flags & GIRO_TRANSFER_POST_PENDING) == 0 || ledger->limits.count == 0)
        return 0;
    uint32_t row = payments_find(&ledger->payments, post->pending_id);
    if (row != PAYMENTS_NONE && ledger->payments.rows[row].parent != 0)
        return 0; /* a return is capped by what it returns */
    const struct limits *limits =
        limits_of(&ledger->limits, accounts_find(&ledger->accounts, post->credit_account_id));
    return limits == NULL ? 0 : limits->over_capture;
}

/* amount * basis_points / 10,000, rounded down. */
static giro_u128 share_of(giro_u128 amount, uint32_t basis_points)
{
    const giro_u128 whole = 10000;
    giro_u128 part = amount % whole * basis_points / whole;
    giro_u128 parts = amount / whole;
    if (basis_points != 0 && parts > GIRO_U128_MAX / basis_points)
        return GIRO_U128_MAX;
    return amount_add(parts * basis_points, part);
}

/* ---- Post and void ----------------------------------------------------------------------- */

static enum giro_transfer_result resolve_check_fields(const struct giro_transfer *event)
{
    const unsigned both = GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING;
    const unsigned excluded = GIRO_TRANSFER_PENDING | GIRO_TRANSFER_BALANCING_DEBIT |
                              GIRO_TRANSFER_BALANCING_CREDIT | GIRO_TRANSFER_CLOSING_DEBIT |
                              GIRO_TRANSFER_CLOSING_CREDIT | GIRO_TRANSFER_RETURN |
                              GIRO_TRANSFER_ADJUST;
    const unsigned void_fact = GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_FACT;
    if ((event->flags & both) == both || (event->flags & excluded) != 0 ||
        (event->flags & void_fact) == void_fact)
        return GIRO_TRANSFER_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
    enum giro_transfer_result result = pending_id_check(event);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    if (event->timeout != 0)
        return GIRO_TRANSFER_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER;
    return GIRO_TRANSFER_CREATED;
}

static enum giro_transfer_result resolve_check_pending(const struct giro_transfer *event,
                                                       const struct giro_transfer *pending)
{
    if (pending == NULL)
        return GIRO_TRANSFER_PENDING_TRANSFER_NOT_FOUND;
    if ((pending->flags & (GIRO_TRANSFER_PENDING | GIRO_TRANSFER_ADJUST)) != GIRO_TRANSFER_PENDING)
        return GIRO_TRANSFER_PENDING_TRANSFER_NOT_PENDING;
    if (event->debit_account_id != 0 && event->debit_account_id != pending->debit_account_id)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID;
    if (event->credit_account_id != 0 && event->credit_account_id != pending->credit_account_id)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT_ID;
    if (event->ledger != 0 && event->ledger != pending->ledger)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_LEDGER;
    if (event->code != 0 && event->code != pending->code)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_CODE;
    return GIRO_TRANSFER_CREATED;
}

/* now: the server's time, which an imported transfer's timestamp is not. */
static enum giro_transfer_result resolve_check_state(const struct ledger *ledger,
                                                     const struct giro_transfer *transfer,
                                                     const struct pending *pending, uint64_t now,
                                                     uint32_t *out_marks)
{
    bool is_void = (transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0;
    bool keeps_open = (transfer->flags & GIRO_TRANSFER_KEEP_OPEN) != 0;
    /* The largest amount still is one where it does not mean all: nobody means it as a number. */
    if (transfer->amount > pending->left &&
        (transfer->amount == GIRO_U128_MAX ||
         (!is_fact(transfer) && over_capture_of(ledger, transfer) == 0)))
        return GIRO_TRANSFER_EXCEEDS_PENDING_TRANSFER_AMOUNT;
    if (is_void && !keeps_open && transfer->amount < pending->left)
        return GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT;
    switch (pending->state) {
    case HOLD_POSTED:
        return GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_POSTED;
    case HOLD_VOIDED:
        return GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_VOIDED;
    case HOLD_EXPIRED:
        return GIRO_TRANSFER_PENDING_TRANSFER_EXPIRED;
    case HOLD_OPEN:
        break;
    }
    const struct hold *hold = pending->hold;
    assert(hold != NULL); /* an open pending transfer has its hold */
    if (hold->expires_at != 0 && hold->expires_at <= now)
        return GIRO_TRANSFER_PENDING_TRANSFER_EXPIRED;
    if ((transfer->flags & GIRO_TRANSFER_IMPORTED) != 0 &&
        transfer_timestamp_regresses(ledger, transfer->timestamp))
        return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;
    if (!is_void) {
        if ((ledger->accounts.rows[hold->debit_row].flags & GIRO_ACCOUNT_CLOSED) != 0)
            return GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED;
        if ((ledger->accounts.rows[hold->credit_row].flags & GIRO_ACCOUNT_CLOSED) != 0)
            return GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED;
        const struct sides sides = sides_of(ledger, hold->debit_row, hold->credit_row);
        if (sides_frozen(&sides) && !is_fact(transfer))
            return GIRO_TRANSFER_ACCOUNT_BLOCKED;
        if (sides_frozen(&sides))
            *out_marks |= GIRO_MARK_BLOCKED;
    }
    return GIRO_TRANSFER_CREATED;
}

/* A post of more than is left of its hold: what stands against it, or what a fact marks. */
static enum giro_transfer_result resolve_check_over(const struct ledger *ledger,
                                                    const struct giro_transfer *transfer,
                                                    const struct hold *hold, uint32_t *out_marks)
{
    struct sides sides = sides_of(ledger, hold->debit_row, hold->credit_row);
    struct giro_account debit = *sides.debit;
    struct giro_account credit = *sides.credit;
    enum giro_transfer_result result;
    const giro_u128 amount = transfer->amount;
    const uint32_t over_capture = over_capture_of(ledger, transfer);
    if (!is_fact(transfer)) {
        const struct payment *payment =
            hold->payment == 0 ? NULL : &ledger->payments.rows[hold->payment - 1];
        giro_u128 authorised = payment == NULL ? hold->record.amount : payment->amount;
        giro_u128 captured = payment == NULL ? 0 : payment->taken;
        giro_u128 most = amount_add(authorised, share_of(authorised, over_capture));
        if (captured > most || amount > most - captured)
            return GIRO_TRANSFER_OVER_CAPTURE_NOT_ALLOWED;
    }
    debit.debits_pending -= hold->record.amount;
    credit.credits_pending -= hold->record.amount;
    if (sum_overflows(debit.debits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS_POSTED;
    if (sum_overflows(credit.credits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS_POSTED;
    if (sum_overflows(debit.debits_pending + debit.debits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_DEBITS;
    if (sum_overflows(credit.credits_pending + credit.credits_posted, amount))
        return GIRO_TRANSFER_OVERFLOWS_CREDITS;
    sides.debit = &debit;
    sides.credit = &credit;
    uint32_t marks = sides_exceeded(&sides, amount, false, &result);
    if (!is_fact(transfer))
        return result;
    *out_marks |= GIRO_MARK_OVER_CAP | marks;
    return GIRO_TRANSFER_CREATED;
}

/* ---- Adjustments and returns ------------------------------------------------------------- */

static enum giro_transfer_result adjust_check_fields(const struct giro_transfer *event)
{
    const unsigned excluded = GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT |
                              GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_CLOSING_CREDIT |
                              GIRO_TRANSFER_RETURN | GIRO_TRANSFER_KEEP_OPEN | GIRO_TRANSFER_FACT;
    if ((event->flags & GIRO_TRANSFER_PENDING) == 0 || (event->flags & excluded) != 0)
        return GIRO_TRANSFER_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
    return pending_id_check(event);
}

/* Whether a hold may be raised by a transfer, but for what its accounts say to the amount. */
static enum giro_transfer_result adjust_check_state(const struct ledger *ledger,
                                                    const struct giro_transfer *transfer,
                                                    const struct pending *pending, uint64_t now)
{
    const struct hold *hold = pending->hold;
    if (pending->state != HOLD_OPEN || (hold->expires_at != 0 && hold->expires_at <= now))
        return GIRO_TRANSFER_ADJUST_TARGET_NOT_OPEN;
    if ((transfer->flags & GIRO_TRANSFER_IMPORTED) != 0) {
        if (transfer_timestamp_regresses(ledger, transfer->timestamp))
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;
        if (transfer->timeout != 0)
            return GIRO_TRANSFER_IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO;
    }
    if ((ledger->accounts.rows[hold->debit_row].flags & GIRO_ACCOUNT_CLOSED) != 0)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED;
    if ((ledger->accounts.rows[hold->credit_row].flags & GIRO_ACCOUNT_CLOSED) != 0)
        return GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED;
    const struct sides sides = sides_of(ledger, hold->debit_row, hold->credit_row);
    if (sides_blocked(&sides))
        return GIRO_TRANSFER_ACCOUNT_BLOCKED;
    uint32_t parent = hold->payment == 0 ? 0 : ledger->payments.rows[hold->payment - 1].parent;
    if (parent != 0 && !payment_has_room(&ledger->payments, parent - 1, transfer->amount))
        return GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT;
    return GIRO_TRANSFER_CREATED;
}

static enum giro_transfer_result payment_check_fields(const struct giro_transfer *event)
{
    const unsigned balancing = GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT;
    const unsigned closing = GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_CLOSING_CREDIT;
    unsigned excluded = GIRO_TRANSFER_KEEP_OPEN;
    if ((event->flags & GIRO_TRANSFER_RETURN) != 0)
        excluded |= balancing | closing;
    if (is_fact(event))
        excluded |= balancing;
    return (event->flags & excluded) != 0 ? GIRO_TRANSFER_FLAGS_ARE_MUTUALLY_EXCLUSIVE
                                          : GIRO_TRANSFER_CREATED;
}

/* What a return names. */
struct origin {
    uint32_t row; /* of payments; PAYMENTS_NONE: its first return, the rest is from its record */
    uint32_t debit_row;
    uint32_t credit_row;
    giro_u128 amount;
};

static enum giro_transfer_result origin_find(const struct ledger *ledger,
                                             const struct record_cache *cache, giro_u128 id,
                                             struct origin *out)
{
    out->row = payments_find(&ledger->payments, id);
    if (out->row != PAYMENTS_NONE) {
        const struct payment *payment = &ledger->payments.rows[out->row];
        if (payment->kind != PAYMENT_POSTED || payment->depth == PAYMENT_DEPTH_MAX)
            return GIRO_TRANSFER_ORIGIN_NOT_RETURNABLE;
        out->debit_row = payment->debit_row;
        out->credit_row = payment->credit_row;
        out->amount = payment->amount;
        return GIRO_TRANSFER_CREATED;
    }
    if (holds_find(&ledger->holds, id) != NULL)
        return GIRO_TRANSFER_ORIGIN_NOT_RETURNABLE;
    uint64_t address;
    const union record *record =
        record_find(ledger, cache, id, id_hash(id, ledger->hash_seed), &address);
    if (record == NULL || record_kind(record) != RECORD_TRANSFER)
        return GIRO_TRANSFER_ORIGIN_NOT_FOUND;
    const struct giro_transfer *transfer = &record->transfer;
    if ((transfer->flags & (GIRO_TRANSFER_PENDING | GIRO_TRANSFER_VOID_PENDING)) != 0)
        return GIRO_TRANSFER_ORIGIN_NOT_RETURNABLE;
    out->debit_row = accounts_find(&ledger->accounts, transfer->debit_account_id);
    out->credit_row = accounts_find(&ledger->accounts, transfer->credit_account_id);
    out->amount = transfer->amount;
    return GIRO_TRANSFER_CREATED;
}

static bool same_owner(const struct ledger *ledger, uint32_t a, uint32_t b)
{
    giro_u128 owner = ledger->accounts.rows[a].user_data_128;
    return a == b || (owner != 0 && owner == ledger->accounts.rows[b].user_data_128);
}

/* Decides the amount of a return, whose accounts are known. */
static enum giro_transfer_result return_check(const struct ledger *ledger,
                                              const struct record_cache *cache,
                                              const struct ledger_event *prepared,
                                              struct giro_transfer *transfer, struct origin *origin,
                                              uint32_t *out_marks)
{
    enum giro_transfer_result result = origin_find(ledger, cache, transfer->pending_id, origin);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    const uint32_t debit = prepared->debit_row;
    const uint32_t credit = prepared->credit_row;
    bool from = debit == origin->credit_row && same_owner(ledger, credit, origin->debit_row);
    bool to = credit == origin->debit_row && same_owner(ledger, debit, origin->credit_row);
    if (!from && !to)
        return GIRO_TRANSFER_ORIGIN_HAS_DIFFERENT_ACCOUNTS;
    const struct payments *payments = &ledger->payments;
    bool is_first = origin->row == PAYMENTS_NONE;
    if (transfer->amount == GIRO_U128_MAX) {
        transfer->amount = is_first ? origin->amount : payment_rest(payments, origin->row);
        if (transfer->amount == 0)
            return GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT;
    }
    if (is_first ? transfer->amount <= origin->amount
                 : payment_has_room(payments, origin->row, transfer->amount))
        return GIRO_TRANSFER_CREATED;
    if (!is_fact(transfer))
        return GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT;
    *out_marks |= GIRO_MARK_OVER_CAP;
    return GIRO_TRANSFER_CREATED;
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

/* Takes back what the record at an address, the newest, did to payments and amended holds. */
static void journal_undo(struct ledger *ledger, uint64_t address)
{
    struct payments *payments = &ledger->payments;
    while (payments->journal_count > 0 &&
           payments->journal[payments->journal_count - 1].address == address) {
        const struct journal_entry *entry = &payments->journal[--payments->journal_count];
        if (entry->kind == JOURNAL_HOLD)
            hold_undo(ledger, entry);
        else
            payments_restore(payments, entry);
    }
}

/* Takes back one record; records are undone newest first. */
static void record_undo(struct ledger *ledger, const union record *record, uint64_t address)
{
    if (record_kind(record) == RECORD_ACCOUNT) {
        accounts_pop(&ledger->accounts);
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

/* Lists the records that may be stored under a hash and that are out of memory. */
static uint32_t missing_add(const struct ledger *ledger, const struct record_cache *cache,
                            uint64_t hash, uint64_t *addresses, uint32_t count)
{
    struct index_cursor cursor = index_search(&ledger->transfers, hash);
    for (;;) {
        uint64_t address = index_next(&ledger->transfers, &cursor);
        if (address == 0)
            return count;
        if (record_at(&ledger->window, cache, address) == NULL && count < LEDGER_FETCH_MAX)
            addresses[count++] = address;
    }
}

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

/* ---- Execution of one event -------------------------------------------------------------- */

static uint32_t account_execute(struct ledger *ledger, const struct giro_account *event,
                                uint64_t timestamp, union record *record)
{
    enum giro_account_result result = account_identity(ledger, event);
    if (result != GIRO_ACCOUNT_CREATED)
        return result;
    const unsigned limits =
        GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS | GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS;
    if ((event->flags & limits) == limits)
        return GIRO_ACCOUNT_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
    if (event->debits_pending != 0)
        return GIRO_ACCOUNT_DEBITS_PENDING_MUST_BE_ZERO;
    if (event->debits_posted != 0)
        return GIRO_ACCOUNT_DEBITS_POSTED_MUST_BE_ZERO;
    if (event->credits_pending != 0)
        return GIRO_ACCOUNT_CREDITS_PENDING_MUST_BE_ZERO;
    if (event->credits_posted != 0)
        return GIRO_ACCOUNT_CREDITS_POSTED_MUST_BE_ZERO;
    if (event->ledger == 0)
        return GIRO_ACCOUNT_LEDGER_MUST_NOT_BE_ZERO;
    if (event->code == 0)
        return GIRO_ACCOUNT_CODE_MUST_NOT_BE_ZERO;
    /* Stricter than it need be: the rule is "no transfer has this timestamp", and only the last
     * transfer's is known here. Importing in order of time, or accounts first, always passes. */
    if ((event->flags & GIRO_ACCOUNT_IMPORTED) != 0 &&
        (timestamp <= ledger->account_timestamp_last ||
         timestamp <= ledger->transfer_timestamp_last))
        return GIRO_ACCOUNT_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS;

    record->account = *event;
    record->account.timestamp = timestamp;
    record->account.flags |= RECORD_ACCOUNT << RECORD_KIND_SHIFT;
    account_apply(ledger, &record->account);
    return GIRO_ACCOUNT_CREATED;
}

static uint32_t plain_execute(struct ledger *ledger, const struct giro_transfer *event,
                              const struct ledger_event *prepared, uint64_t timestamp,
                              struct giro_transfer *transfer, uint64_t address)
{
    enum giro_transfer_result result = plain_check_fields(event);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    result = plain_check_accounts(ledger, event, prepared);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    const struct giro_account *debit = &ledger->accounts.rows[prepared->debit_row];
    const struct giro_account *credit = &ledger->accounts.rows[prepared->credit_row];
    *transfer = *event;
    transfer->timestamp = timestamp;
    transfer->amount = plain_amount(event, debit, credit);
    result = plain_check_amount(transfer, debit, credit);
    if (result != GIRO_TRANSFER_CREATED)
        return result;

    plain_apply(ledger, transfer, address, prepared->id_hash, prepared->debit_row,
                prepared->credit_row);
    return GIRO_TRANSFER_CREATED;
}

/* What has to be logged in front of a transfer, because its record cannot tell: see
 * RECORD_SYSTEM_PAYMENT. */
struct companion {
    uint32_t marks;
    const struct origin *origin; /* of a first return; NULL: none */
};

/* Puts a companion, if one is needed, in front of the transfer in records[0]. Returns where the
 * transfer is then. */
static uint32_t companion_execute(struct ledger *ledger, const struct companion *companion,
                                  union record *records, uint64_t address)
{
    const struct origin *origin = companion->origin;
    if (companion->marks == 0 && origin == NULL)
        return 0;
    const struct giro_transfer *transfer = &records[0].transfer;
    struct giro_transfer record = {
        .user_data_128 = transfer->id,
        .user_data_32 = companion->marks,
        .ledger = transfer->ledger,
        .code = RECORD_SYSTEM_PAYMENT,
        .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
        .timestamp = transfer->timestamp,
    };
    if (origin != NULL) {
        record.pending_id = transfer->pending_id;
        record.debit_account_id = ledger->accounts.rows[origin->debit_row].id;
        record.credit_account_id = ledger->accounts.rows[origin->credit_row].id;
        record.amount = origin->amount;
    }
    records[1] = records[0];
    records[0].transfer = record;
    companion_apply(ledger, &record, address + 1, origin != NULL ? origin->debit_row : 0,
                    origin != NULL ? origin->credit_row : 0);
    return 1;
}

/* An event that is executed, and where to. */
struct execution {
    const struct record_cache *cache;
    const struct giro_transfer *event;
    const struct ledger_event *prepared;
    uint64_t now;
    uint64_t timestamp;    /* now, or the event's own when it is imported */
    union record *records; /* room for two */
    uint64_t address;      /* of the first */
    uint32_t record_count; /* out */
};

/* What a transfer leaves out it inherits from the hold that it names. */
static void transfer_inherit(const struct execution *execution, const struct pending *pending,
                             struct giro_transfer *transfer)
{
    const struct giro_transfer *event = execution->event;
    *transfer = *event;
    transfer->timestamp = execution->timestamp;
    transfer->amount = resolve_amount(event, pending->left);
    transfer->debit_account_id = pending->record->debit_account_id;
    transfer->credit_account_id = pending->record->credit_account_id;
    transfer->ledger = pending->record->ledger;
    transfer->code = pending->record->code;
    if (event->user_data_128 == 0)
        transfer->user_data_128 = pending->record->user_data_128;
    if (event->user_data_64 == 0)
        transfer->user_data_64 = pending->record->user_data_64;
    if (event->user_data_32 == 0)
        transfer->user_data_32 = pending->record->user_data_32;
}

static uint32_t resolve_execute(struct ledger *ledger, struct execution *execution)
{
    const struct giro_transfer *event = execution->event;
    enum giro_transfer_result result = resolve_check_fields(event);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    struct pending pending = pending_find(ledger, execution->cache, event->pending_id);
    result = resolve_check_pending(event, pending.record);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    struct giro_transfer *transfer = &execution->records[0].transfer;
    struct companion companion = {0};
    transfer_inherit(execution, &pending, transfer);
    result = resolve_check_state(ledger, transfer, &pending, execution->now, &companion.marks);
    if (result == GIRO_TRANSFER_CREATED && transfer->amount > pending.left)
        result = resolve_check_over(ledger, transfer, pending.hold, &companion.marks);
    if (result != GIRO_TRANSFER_CREATED)
        return result;

    uint32_t at = companion_execute(ledger, &companion, execution->records, execution->address);
    resolve_apply(ledger, &execution->records[at].transfer, execution->address + at,
                  execution->prepared->id_hash, pending.hold);
    execution->record_count = at + 1;
    return GIRO_TRANSFER_CREATED;
}

static uint32_t adjust_execute(struct ledger *ledger, struct execution *execution)
{
    const struct giro_transfer *event = execution->event;
    enum giro_transfer_result result = adjust_check_fields(event);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    struct pending pending = pending_find(ledger, execution->cache, event->pending_id);
    result = resolve_check_pending(event, pending.record);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    struct giro_transfer *transfer = &execution->records[0].transfer;
    transfer_inherit(execution, &pending, transfer);
    result = adjust_check_state(ledger, transfer, &pending, execution->now);
    if (result == GIRO_TRANSFER_CREATED) {
        const struct sides sides =
            sides_of(ledger, pending.hold->debit_row, pending.hold->credit_row);
        result = plain_check_overflow(transfer, sides.debit, sides.credit);
        if (result == GIRO_TRANSFER_CREATED)
            (void)sides_exceeded(&sides, transfer->amount, true, &result);
    }
    if (result != GIRO_TRANSFER_CREATED)
        return result;

    adjust_apply(ledger, transfer, execution->address, execution->prepared->id_hash, pending.hold);
    return GIRO_TRANSFER_CREATED;
}

/* What the accounts of a transfer say to its amount, after it was decided. */
static enum giro_transfer_result general_check_amount(const struct sides *sides,
                                                      const struct giro_transfer *transfer,
                                                      uint32_t *out_marks)
{
    enum giro_transfer_result result = plain_check_overflow(transfer, sides->debit, sides->credit);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    uint32_t marks = sides_exceeded(sides, transfer->amount, true, &result);
    if (!is_fact(transfer))
        return result;
    *out_marks |= marks;
    return GIRO_TRANSFER_CREATED;
}

/* A plain or pending transfer that is a return or a fact, or any while there are limits. */
static uint32_t general_execute(struct ledger *ledger, struct execution *execution)
{
    const struct giro_transfer *event = execution->event;
    const struct ledger_event *prepared = execution->prepared;
    enum giro_transfer_result result = payment_check_fields(event);
    if (result == GIRO_TRANSFER_CREATED)
        result = plain_check_fields(event);
    if (result == GIRO_TRANSFER_CREATED)
        result = plain_check_accounts(ledger, event, prepared);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    const struct sides sides = sides_of(ledger, prepared->debit_row, prepared->credit_row);
    struct companion companion = {0};
    if (sides_blocked(&sides)) {
        if (!is_fact(event))
            return GIRO_TRANSFER_ACCOUNT_BLOCKED;
        companion.marks = GIRO_MARK_BLOCKED;
    }
    struct giro_transfer *transfer = &execution->records[0].transfer;
    struct origin origin;
    *transfer = *event;
    transfer->timestamp = execution->timestamp;
    if ((event->flags & GIRO_TRANSFER_RETURN) != 0) {
        result =
            return_check(ledger, execution->cache, prepared, transfer, &origin, &companion.marks);
        companion.origin = origin.row == PAYMENTS_NONE ? &origin : NULL;
    } else {
        transfer->amount = plain_amount(event, sides.debit, sides.credit);
    }
    if (result == GIRO_TRANSFER_CREATED)
        result = general_check_amount(&sides, transfer, &companion.marks);
    if (result != GIRO_TRANSFER_CREATED)
        return result;

    uint32_t at = companion_execute(ledger, &companion, execution->records, execution->address);
    plain_apply(ledger, &execution->records[at].transfer, execution->address + at,
                prepared->id_hash, prepared->debit_row, prepared->credit_row);
    execution->record_count = at + 1;
    return GIRO_TRANSFER_CREATED;
}

static uint32_t transfer_execute(struct ledger *ledger, struct execution *execution)
{
    const struct giro_transfer *event = execution->event;
    enum giro_transfer_result result =
        transfer_identity(ledger, execution->cache, event, execution->prepared->id_hash);
    if (result != GIRO_TRANSFER_CREATED)
        return result;
    const unsigned plain = GIRO_TRANSFER_LINKED | GIRO_TRANSFER_PENDING |
                           GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT |
                           GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_CLOSING_CREDIT |
                           GIRO_TRANSFER_IMPORTED | GIRO_TRANSFER_NO_LIMIT;
    if ((event->flags & ~plain) == 0 && ledger->limits.count == 0)
        return plain_execute(ledger, event, execution->prepared, execution->timestamp,
                             &execution->records[0].transfer, execution->address);
    if ((event->flags & (GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING)) != 0)
        return resolve_execute(ledger, execution);
    if ((event->flags & GIRO_TRANSFER_ADJUST) != 0)
        return adjust_execute(ledger, execution);
    return general_execute(ledger, execution);
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
    uint32_t row = (transfer->flags & GIRO_TRANSFER_FACT) != 0
                       ? payments_find(&ledger->payments, transfer->id)
                       : PAYMENTS_NONE;
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

static uint32_t event_execute(struct ledger *ledger, const struct request *request, uint32_t index)
{
    const union record *event = &request->events[index];
    struct ledger_output *output = request->output;
    union record *records = &output->records[output->record_count];
    bool imported = (event->transfer.flags & request->flag_imported) != 0;
    uint64_t now = request->timestamp + index;
    struct execution execution = {
        .cache = request->cache,
        .event = &event->transfer,
        .prepared = &ledger->events[index],
        .now = now,
        .timestamp = imported ? event->transfer.timestamp : now,
        .records = records,
        .address = output->address + output->record_count,
        .record_count = 1,
    };
    uint32_t code = request->kind == RECORD_ACCOUNT
                        ? account_execute(ledger, &event->account, execution.timestamp, records)
                        : transfer_execute(ledger, &execution);
    if (code == 0)
        output->record_count += execution.record_count;
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
        chain->committed = chain_exists(ledger, request, i);
    }
    uint32_t code;
    if (linked && i == request->count - 1)
        code = LINKED_EVENT_CHAIN_OPEN;
    else if (chain->broken)
        code = LINKED_EVENT_FAILED;
    else
        code = event_check(request, i);
    if (code == 0)
        code = event_execute(ledger, request, i);
    if (code != 0) {
        if (chain->open && !chain->broken && !chain->committed)
            chain_break(ledger, request, i, chain);
        result_add(request->output, i, code);
        if (request->kind == RECORD_TRANSFER && giro_transfer_result_is_transient(code))
            event_burn(ledger, request, i, code);
    }
    if (code == 0 && request->output->outcomes != NULL)
        outcome_add(ledger, request->output, i);
    if (!linked)
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
    payments_journal_clear(&ledger->payments);
    chain_begin(ledger, request, 0, &before);
    for (uint32_t begin = 0, end; begin < request->count; begin = end) {
        end = chunk_end(request, begin);
        if (request->kind == RECORD_TRANSFER) {
            chunk_prepare(ledger, events, begin, end);
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

/* ---- Setting limits ---------------------------------------------------------------------- */

static enum giro_limits_result limits_check(const struct ledger *ledger,
                                            const struct giro_limits *event, uint32_t *out_row)
{
    static const uint8_t zeros[sizeof event->reserved];
    const unsigned limited =
        GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS | GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS;
    if (event->timestamp != 0)
        return GIRO_LIMITS_RESULT_TIMESTAMP_MUST_BE_ZERO;
    if (memcmp(event->reserved, zeros, sizeof zeros) != 0 || event->reserved_1 != 0)
        return GIRO_LIMITS_RESULT_RESERVED_FIELD;
    if ((event->flags & ~GIRO_LIMITS_FLAGS_ALL) != 0)
        return GIRO_LIMITS_RESULT_RESERVED_FLAG;
    if (event->account_id == 0)
        return GIRO_LIMITS_RESULT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
    if (event->account_id == GIRO_U128_MAX)
        return GIRO_LIMITS_RESULT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
    if (event->over_capture > GIRO_OVER_CAPTURE_MAX)
        return GIRO_LIMITS_RESULT_OVER_CAPTURE_OUT_OF_RANGE;
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
    assert(count <= LEDGER_EVENTS_MAX && timestamp > ledger->timestamp_last);
    payments_journal_clear(&ledger->payments);
    output->record_count = 0;
    output->result_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row;
        enum giro_limits_result result = limits_check(ledger, &events[i], &row);
        if (result != GIRO_LIMITS_RESULT_SET) {
            result_add(output, i, result);
            continue;
        }
        struct giro_limits *record = &output->records[output->record_count].limits;
        *record = events[i];
        record->reserved_1 = RECORD_SYSTEM_LIMITS;
        record->flags |= RECORD_SYSTEM << RECORD_KIND_SHIFT;
        record->timestamp = timestamp + i;
        limits_apply(ledger, record, row, output->address + output->record_count);
        output->record_count++;
    }
}

uint32_t ledger_get_limits(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                           void *limits)
{
    char *out = limits;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = accounts_find(&ledger->accounts, ids[i]);
        const struct limits *kept = row == ACCOUNTS_NONE ? NULL : limits_of(&ledger->limits, row);
        if (kept == NULL)
            continue;
        const struct giro_limits found = {
            .account_id = ids[i],
            .floor = kept->floor,
            .balance_max = kept->balance_max,
            .transfer_max = kept->transfer_max,
            .over_capture = kept->over_capture,
            .flags = (uint16_t)kept->flags,
            .timestamp = kept->timestamp,
        };
        memcpy(out, &found, sizeof found);
        out += sizeof found;
    }
    return (uint32_t)((out - (char *)limits) / GIRO_RECORD_BYTES);
}

uint32_t ledger_prepare_lookup(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                               const struct record_cache *cache, uint64_t *addresses)
{
    uint32_t missing = 0;
    assert(count <= LEDGER_EVENTS_MAX);
    for (uint32_t i = 0; i < count; i++)
        missing =
            missing_add(ledger, cache, id_hash(ids[i], ledger->hash_seed), addresses, missing);
    return missing;
}

bool ledger_payment(const struct ledger *ledger, giro_u128 id, struct ledger_payment *out)
{
    uint32_t row = payments_find(&ledger->payments, id);
    if (row == PAYMENTS_NONE)
        return false;
    const struct payment *payment = &ledger->payments.rows[row];
    *out = (struct ledger_payment){
        .amount = payment->amount,
        .taken = payment->taken,
        .left = payment->left,
        .marks = payment->marks,
        .depth = payment->depth,
    };
    return true;
}

/* ---- Expiry ------------------------------------------------------------------------------ */

void ledger_expire(struct ledger *ledger, uint64_t timestamp, uint32_t records_max,
                   struct ledger_output *output)
{
    assert(timestamp > ledger->timestamp_last);
    payments_journal_clear(&ledger->payments);
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

/* ---- Lookups ----------------------------------------------------------------------------- */

uint32_t ledger_lookup_accounts(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                void *accounts)
{
    char *out = accounts;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = accounts_find(&ledger->accounts, ids[i]);
        if (row == ACCOUNTS_NONE)
            continue;
        memcpy(out, &ledger->accounts.rows[row], GIRO_RECORD_BYTES);
        out += GIRO_RECORD_BYTES;
    }
    return (uint32_t)((out - (char *)accounts) / GIRO_RECORD_BYTES);
}

uint32_t ledger_lookup_transfers(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                 const struct record_cache *cache, void *transfers)
{
    char *out = transfers;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t address;
        const union record *record =
            record_find(ledger, cache, ids[i], id_hash(ids[i], ledger->hash_seed), &address);
        if (record == NULL || record_kind(record) != RECORD_TRANSFER)
            continue;
        memcpy(out, record, GIRO_RECORD_BYTES);
        out += GIRO_RECORD_BYTES;
    }
    return (uint32_t)((out - (char *)transfers) / GIRO_RECORD_BYTES);
}

static uint16_t payment_state(enum hold_state state)
{
    static const uint16_t states[] = {
        [HOLD_OPEN] = GIRO_PAYMENT_PENDING,
        [HOLD_POSTED] = GIRO_PAYMENT_POSTED,
        [HOLD_VOIDED] = GIRO_PAYMENT_VOIDED,
        [HOLD_EXPIRED] = GIRO_PAYMENT_EXPIRED,
    };
    return states[state];
}

/* What became of a transfer, as far as its record and the table of payments tell. */
static struct giro_payment payment_of(const struct ledger *ledger,
                                      const struct giro_transfer *transfer, uint64_t address)
{
    struct giro_payment payment = {
        .id = transfer->id,
        .amount = transfer->amount,
        .origin = transfer->pending_id,
        .timestamp = transfer->timestamp,
        .ledger = transfer->ledger,
        .state = GIRO_PAYMENT_POSTED,
    };
    const bool is_hold = (transfer->flags & GIRO_TRANSFER_PENDING) != 0;
    if (is_hold) {
        enum hold_state state = holds_outcome(&ledger->holds, address);
        payment.state = payment_state(state);
        payment.left = transfer->amount;
    }
    uint32_t row = payments_find(&ledger->payments, transfer->id);
    if (row == PAYMENTS_NONE)
        return payment;
    const struct payment *kept = &ledger->payments.rows[row];
    payment.amount = kept->amount;
    payment.amended = is_hold;
    payment.captured = is_hold ? kept->taken : 0;
    payment.returned = is_hold ? 0 : kept->taken;
    payment.left = kept->left;
    payment.marks = kept->marks;
    payment.depth = kept->depth;
    return payment;
}

uint32_t ledger_lookup_payments(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                const struct record_cache *cache, void *payments)
{
    const unsigned told_by_hold = GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_ADJUST;
    char *out = payments;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t address;
        const union record *record =
            record_find(ledger, cache, ids[i], id_hash(ids[i], ledger->hash_seed), &address);
        if (record == NULL || record_kind(record) != RECORD_TRANSFER ||
            (record->transfer.flags & told_by_hold) != 0)
            continue;
        struct giro_payment payment = payment_of(ledger, &record->transfer, address);
        const struct hold *hold = holds_find(&ledger->holds, ids[i]);
        if (hold != NULL)
            payment.deadline = hold->expires_at;
        memcpy(out, &payment, sizeof payment);
        out += sizeof payment;
    }
    return (uint32_t)((out - (char *)payments) / GIRO_RECORD_BYTES);
}
