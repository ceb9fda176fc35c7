/* The ledger: a deterministic state machine over accounts and transfers.
 *
 *     (state, request, timestamp) -> (state, results, records to log)
 *
 * The same state and the same input give the same bytes on every machine. The ledger has no clock,
 * no I/O, no thread, and allocates nothing after ledger_create().
 *
 * A request goes through two calls, made by the shard (net/execute.c), the tests and the benchmarks
 * alike:
 *
 *   1. ledger_room_*()      is there room for everything that the request could add?
 *   2. ledger_create_*()    executes: writes the accepted records, in order, to output->records,
 *                           which is memory of the log's open block, and the results that are not
 *                           `created`. A request of transfers may first need old records that are
 *                           no longer in memory, to compare ids with: then nothing is changed, and
 *                           their addresses are returned. The caller fetches them into a
 *                           record_cache and calls again, until there are none.
 *
 * Replay goes through ledger_replay() instead, which only applies: what was accepted once is never
 * judged again. */
#ifndef ENGINE_LEDGER_H
#define ENGINE_LEDGER_H

#include "engine/accounts.h"
#include "engine/checksum.h"
#include "engine/holds.h"
#include "engine/index.h"
#include "engine/journal.h"
#include "engine/leases.h"
#include "engine/limits.h"
#include "engine/payments.h"
#include "engine/record.h"
#include "engine/records.h"
#include "engine/result.h"
#include "engine/schedules.h"
#include "engine/settlements.h"

enum {
    /* Events of one request: 8,190 records and a block header are exactly 1 MiB. */
    LEDGER_EVENTS_MAX = 8190,
    /* Records that one request may have to fetch: two an event (its id, its pending id). */
    LEDGER_FETCH_MAX = 2 * LEDGER_EVENTS_MAX,
    /* Room that a record_cache for one request needs: chance hits of fingerprints come on top. */
    LEDGER_CACHE_RECORDS = 2 * LEDGER_FETCH_MAX,
    /* Transfers that are staged together: see engine/stage.h. */
    LEDGER_CHUNK_EVENTS = 128,
    /* Entries of the journal that one event writes at most: two rows of payments added, each level
     * changed by what is reserved and by what is posted or released, the hold and its row, limits
     * and settlements of both accounts, a schedule. */
    LEDGER_JOURNAL_PER_EVENT = 2 + 2 * (PAYMENT_DEPTH_MAX + 1) + 2 + 2 + 2 + 1,
    LEDGER_PAYMENTS_DEFAULT = 16 << 20,
    LEDGER_LEASES_MAX = 65536,       /* that are current at a time */
    LEDGER_SCHEDULES_MAX = 16 << 20, /* that were ever created */
    LEDGER_FIRE_MAX = LEDGER_CHUNK_EVENTS,
    LEDGER_FIRE_RECORDS =
        3, /* of one attempt: of the schedule, the transfer, and what comes with it */
};

struct ledger_config {
    uint32_t accounts_max;
    uint32_t holds_max;     /* open pending transfers */
    uint32_t payments_max;  /* rows of engine/payments.h; 0: LEDGER_PAYMENTS_DEFAULT */
    uint64_t transfers_max; /* transfers and burnt ids; 0: a ledger that only follows another one,
                               and keeps no ids */
    /* Sizes of the indexes at first: each doubling from there costs a bit of their fingerprints. */
    uint32_t accounts_expected;
    uint64_t transfers_expected;
    uint64_t hash_seed; /* secret: see engine/hash.h */
};

/* The rows of a table, enum ledger_table. */
struct table_rows {
    const void *rows;
    uint32_t count;
    uint32_t row_bytes;
};

/* What was found out about one event before it is executed. */
struct ledger_event {
    uint64_t id_hash;
    uint64_t debit_hash;
    uint64_t credit_hash;
    uint32_t debit_row; /* ACCOUNTS_NONE: no such account */
    uint32_t credit_row;
};

struct ledger {
    struct accounts accounts;
    struct holds holds;
    struct journal journal;
    struct payments payments;
    struct limits_table limits;
    struct leases leases;
    struct sessions sessions;
    struct schedules schedules;
    struct settlements settlements;
    struct index transfers; /* id of a transfer or burnt id -> address of its record */
    struct record_window window;
    uint64_t hash_seed;
    uint64_t timestamp_last; /* the greatest timestamp seen in any record */
    uint64_t account_timestamp_last;
    uint64_t transfer_timestamp_last;
    uint64_t transfers_count;
    uint64_t burnt_count;
    uint64_t expired_count;
    uint32_t digest_next[LEDGER_TABLES]; /* where the next digest record begins in each table */
    enum ledger_table digest_table;      /* that the last one had rows of, besides accounts */
    giro_u128 announced; /* id of the transfer right behind the companion just applied; 0: none */
    uint64_t digests_checked;     /* digest records that were replayed */
    uint64_t digests_failed;      /* ... and contradicted the state */
    uint64_t digest_failed_first; /* address of the first of those */
    uint32_t session_results;     /* of the session that was replayed last: still to come */
    struct ledger_event *events;  /* LEDGER_EVENTS_MAX, scratch */
    struct hold **ended;          /* holds that ended in this request, in that order */
    uint32_t ended_count;
};

/* Where a request's effects go. The caller sets the upper group, the ledger the lower. */
struct ledger_output {
    union record *records; /* room for ledger_records_max() */
    uint64_t address;      /* log address of records[0] */
    struct giro_result *results;
    const struct giro_fence *fence; /* the lease that a request of transfers carries; or NULL */
    char *outcomes; /* struct giro_outcome of every event, aligned or not; NULL: not wanted */
    bool baseline;  /* a chain that was committed before fails when it comes again */
    uint32_t record_count;
    uint32_t result_count;
};

enum ledger_room {
    LEDGER_ROOM = 0,
    LEDGER_FULL_ACCOUNTS,
    LEDGER_FULL_TRANSFERS,
    LEDGER_FULL_HOLDS,
    LEDGER_FULL_PAYMENTS,
    LEDGER_FULL_SCHEDULES,
};

/* Totals over all accounts of one ledger number. */
struct ledger_sums {
    giro_u128 debits_pending;
    giro_u128 debits_posted;
    giro_u128 credits_pending;
    giro_u128 credits_posted;
};

/* Makes an empty ledger; window.base and window.records are set by the caller before the first
 * request. Returns 0, or -ENOMEM when the address space for the limits cannot be reserved. */
int ledger_create(const struct ledger_config *config, struct ledger **out_ledger);
void ledger_destroy(struct ledger *ledger);

/* Whether count more accounts, schedules or transfers fit within the configured limits. */
enum ledger_room ledger_room_accounts(const struct ledger *ledger, uint32_t count);
enum ledger_room ledger_room_schedules(const struct ledger *ledger, uint32_t count);
enum ledger_room ledger_room_transfers(const struct ledger *ledger,
                                       const struct giro_transfer *events, uint32_t count);

/* How many records a request can add to the log at most. */
uint32_t ledger_records_max(const struct ledger *ledger, const struct giro_transfer *events,
                            uint32_t count);

/* Sets limits of accounts, each event by itself; there is always room for them, one row an account.
 * Otherwise as ledger_create_accounts(). */
void ledger_set_limits(struct ledger *ledger, const struct giro_limits *events, uint32_t count,
                       uint64_t timestamp, struct ledger_output *output);

/* Acquires, renews and releases leases, each event by itself. Writes one struct giro_lease an event to
 * replies, which need not be aligned: the lease as it is then, and the result. Else as
 * ledger_create_accounts(). */
void ledger_lease(struct ledger *ledger, const struct giro_lease *events, uint32_t count,
                  uint64_t timestamp, void *replies, struct ledger_output *output);

/* Adds what a request of a session has led to behind its records, and makes it the session's last one:
 * session without code and flags, and without number when request_number is 0, and its result_count
 * results; room for session_records() records. */
void ledger_log_session(struct ledger *ledger, const struct record_session *session,
                        const struct session_result *results, struct ledger_output *output);
uint32_t session_records(uint32_t result_count);

/* Creates schedules, or cancels them; room for two records an event. Otherwise as
 * ledger_set_limits(). */
void ledger_create_schedules(struct ledger *ledger, const struct giro_schedule *events,
                             uint32_t count, uint64_t timestamp, struct ledger_output *output);
void ledger_cancel_schedules(struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                             uint64_t timestamp, struct ledger_output *output);

/* Cuts ledger numbers off. Otherwise as ledger_set_limits(). */
void ledger_cut_off(struct ledger *ledger, const struct giro_cut_off *events, uint32_t count,
                    uint64_t timestamp, struct ledger_output *output);

/* Copies the settlements of those accounts that have the flag `settles`, in the order asked for:
 * struct giro_settlement. Returns how many. */
uint32_t ledger_get_settlements(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                void *settlements);

/* Fires schedules that are due at or before timestamp, at most events_max (up to LEDGER_FIRE_MAX), the
 * longest due first; each takes room for LEDGER_FIRE_RECORDS. None is fired that there is no room for
 * in the ledger: it stays due. cache, addresses and what is returned: as ledger_create_transfers().
 * results is not used. */
uint32_t ledger_fire(struct ledger *ledger, uint64_t timestamp, uint32_t events_max,
                     const struct record_cache *cache, uint64_t *addresses,
                     struct ledger_output *output);

/* Whether ledger_fire() at this timestamp would do anything, if there is room. */
static inline bool ledger_fire_due(const struct ledger *ledger, uint64_t timestamp)
{
    const struct deadline *first = deadlines_first(&ledger->schedules.deadlines);
    return first != NULL && first->time <= timestamp;
}

/* As ledger_get_leases(), for schedules by id: struct giro_schedule. */
uint32_t ledger_get_schedules(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                              void *schedules);

/* Copies the leases of keys that were ever leased and not forgotten since, in the order asked for.
 * Returns how many. */
uint32_t ledger_get_leases(const struct ledger *ledger, const giro_u128 *keys, uint32_t count,
                           void *leases);

/* Copies the limits of the accounts that were ever given any, in the order asked for. Returns how
 * many. */
uint32_t ledger_get_limits(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                           void *limits);

/* The same for what of their velocity limits is used at a time: struct giro_velocity_used. */
uint32_t ledger_get_velocity(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                             uint64_t time, void *velocities);

/* Executes count (0 .. LEDGER_EVENTS_MAX) events. timestamp: of the first event; event i gets
 * timestamp + i; it must be greater than ledger->timestamp_last. output->results: room for one an
 * event. cache: what was fetched for this request, or NULL. addresses: room for LEDGER_FETCH_MAX.
 * Returns 0 when executed, or how many addresses have to be fetched first: nothing has changed. */
uint32_t ledger_create_transfers(struct ledger *ledger, const struct giro_transfer *events,
                                 uint32_t count, uint64_t timestamp,
                                 const struct record_cache *cache, uint64_t *addresses,
                                 struct ledger_output *output);

/* Creates accounts, which never needs old records. Otherwise as ledger_create_transfers(). */
void ledger_create_accounts(struct ledger *ledger, const struct giro_account *events,
                            uint32_t count, uint64_t timestamp, struct ledger_output *output);

/* Releases holds whose deadline is at or before timestamp, at most records_max of them, each with a
 * record of its own. results is not used. */
void ledger_expire(struct ledger *ledger, uint64_t timestamp, uint32_t records_max,
                   struct ledger_output *output);

/* Whether ledger_expire() at this timestamp would do anything. */
static inline bool ledger_expiry_due(const struct ledger *ledger, uint64_t timestamp)
{
    const struct hold *hold = holds_earliest(&ledger->holds);
    return hold != NULL && hold->expires_at <= timestamp;
}

/* Copies the accounts found, in the order asked for, to accounts, which need not be aligned.
 * Returns how many. */
uint32_t ledger_lookup_accounts(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                void *accounts);

/* Lists the addresses that transfers may need, however others that are executed before them turn out, as
 * ledger_create_transfers() does; at most LEDGER_EVENTS_MAX of them. */
uint32_t ledger_prepare_transfers(const struct ledger *ledger, const struct giro_transfer *events,
                                  uint32_t count, const struct record_cache *cache,
                                  uint64_t *addresses);

/* Lists the addresses that a lookup of up to LEDGER_EVENTS_MAX ids needs and that are not in
 * memory, as ledger_create_transfers() does. */
uint32_t ledger_prepare_lookup(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                               const struct record_cache *cache, uint64_t *addresses);

/* As ledger_lookup_accounts(), for transfers. */
uint32_t ledger_lookup_transfers(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                 const struct record_cache *cache, void *transfers);

/* As ledger_lookup_transfers(), for what became of them: holds, and transfers that moved money. */
uint32_t ledger_lookup_payments(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                const struct record_cache *cache, void *payments);

/* What the ledger keeps of a payment besides its transfers: see engine/payments.h. */
struct ledger_payment {
    giro_u128 amount;
    giro_u128 taken;
    giro_u128 left;
    uint32_t marks; /* enum giro_transfer_mark */
    uint32_t depth; /* a return of a return of ...; 0: no return */
};

/* False when nothing is kept about this transfer. */
bool ledger_payment(const struct ledger *ledger, giro_u128 id, struct ledger_payment *out);

/* Applies records of the log, address being that of records[0]. Returns 0, or -EBADMSG at a record
 * that contradicts the state (out_index tells which) or -ENOSPC at one beyond the limits: the
 * ledger is then of no further use. */
int ledger_replay(struct ledger *ledger, const union record *records, uint32_t count,
                  uint64_t address, uint32_t *out_index);

/* Whether nothing has to follow what was replayed: what comes with a transfer is of the same request,
 * and so of the same block. */
static inline bool ledger_replay_ends(const struct ledger *ledger)
{
    return ledger->announced == 0 && schedules_are_whole(&ledger->schedules) &&
           ledger->session_results == 0;
}

/* What one replayed record did, for whoever keeps more than the state. */
struct ledger_effect {
    struct giro_balances debit; /* of the debit account, right after the record */
    struct giro_balances credit;
    giro_u128 released; /* from pending: by a post, a void or an expiry */
    uint32_t debit_row; /* of the account itself for RECORD_ACCOUNT; ACCOUNTS_NONE: no accounts */
    uint32_t credit_row;
};

/* ledger_replay() in two steps, for whoever must look at rows before they change. prepare returns
 * how many of the records, at most LEDGER_CHUNK_EVENTS, apply has to be called with next; the rows
 * that transfers and expiries among them are about to change stand in ledger->events[i]. */
uint32_t ledger_replay_prepare(struct ledger *ledger, const union record *records, uint32_t count);
int ledger_replay_apply(struct ledger *ledger, const union record *records, uint32_t count,
                        uint64_t address, struct ledger_effect *effects, uint32_t *out_index);

/* Whether a record changes the balances of two accounts. */
static inline bool record_moves(const union record *record)
{
    return record_kind(record) == RECORD_TRANSFER || record_system(record) == RECORD_SYSTEM_EXPIRY;
}

/* The rows of a table. */
struct table_rows ledger_rows(const struct ledger *ledger, enum ledger_table table);

/* Writes a digest record: of the counters, and of up to rows_max rows of accounts and as many of one
 * other table, going round. */
void ledger_digest_record(struct ledger *ledger, uint32_t rows_max, uint64_t timestamp,
                          struct record_digest *out);

/* Whether the state is what a digest record says. */
bool ledger_digest_matches(const struct ledger *ledger, const struct record_digest *digest);

/* ---- Restoring a state that was saved --------------------------------------------------- */

/* The state besides accounts, holds, outcomes and ids. */
struct ledger_totals {
    uint64_t timestamp_last;
    uint64_t account_timestamp_last;
    uint64_t transfer_timestamp_last;
    uint64_t transfers;
    uint64_t burnt;
    uint64_t expired;
};

struct ledger_totals ledger_totals(const struct ledger *ledger);
void ledger_restore_totals(struct ledger *ledger, const struct ledger_totals *totals);

/* Appends rows of a table as they were; those of the tables before it are there. Returns 0, -ENOSPC,
 * or -EBADMSG for rows that cannot have been. */
int ledger_restore_rows(struct ledger *ledger, enum ledger_table table, const void *rows,
                        uint32_t count);

/* Whether all tables fit each other, when all of them are restored: an account that settles has its
 * row. */
bool ledger_restored_rows_fit(const struct ledger *ledger);

/* Adds an open hold, whose outcome is reset; its accounts and its payment are there. Returns 0,
 * -ENOSPC, -EBADMSG. */
int ledger_restore_hold(struct ledger *ledger, const struct giro_transfer *record, uint64_t address,
                        uint64_t expires_at);

/* Makes ids known: hashes of id_hash() with the ledger's seed, of count records that follow each
 * other from address on. Returns 0 or -ENOSPC. */
int ledger_restore_ids(struct ledger *ledger, const uint64_t *hashes, uint32_t count,
                       uint64_t address);

/* Brings an empty ledger to the state of another one, except for the ids. address_end: behind the
 * last record. Returns 0 or -ENOSPC. */
int ledger_copy(struct ledger *to, const struct ledger *from, uint64_t address_end);

/* Digest of all state that results depend on: accounts, open holds, last timestamps. Equal content
 * gives an equal digest, on every machine and whatever the layout of the log. */
struct checksum ledger_digest(const struct ledger *ledger);

/* The same from its parts: the checksums of all rows of each table, the sum over the open holds, and
 * the totals, as they were at one moment. */
struct checksum ledger_digest_of(const struct checksum rows[LEDGER_TABLES], uint64_t holds,
                                 const struct ledger_totals *totals);
uint64_t ledger_digest_holds(const struct ledger *ledger);

static inline void ledger_sums_add(struct ledger_sums *sums, const struct giro_account *account)
{
    sums->debits_pending += account->debits_pending;
    sums->debits_posted += account->debits_posted;
    sums->credits_pending += account->credits_pending;
    sums->credits_posted += account->credits_posted;
}

/* Adds up the accounts of one ledger number; 0: of all. */
struct ledger_sums ledger_sum(const struct ledger *ledger, uint32_t ledger_number);

#endif
