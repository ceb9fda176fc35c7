/* A ledger with its log in memory, for tests, and a language for tables of events.
 *
 * Every record that the ledger accepts is kept in fixture->log by its address, as the log on disk
 * would. The window is a ring: once it has wrapped, or after fixture_forget(), older records come
 * out of the kept log through a record_cache, by the same two steps as in the server.
 *
 * A script is a text of rows. Event rows that follow each other are one request; an empty row, or
 * any other row, ends it. The expected result stands last.
 *
 *   account  ID                        [flag | field=value]... | result
 *   transfer ID DEBIT CREDIT AMOUNT    [flag | field=value]... | result     (ledger=1, code=1)
 *   pending  ID DEBIT CREDIT AMOUNT    [flag | field=value]... | result
 *   post     ID PENDING_ID AMOUNT      [flag | field=value]... | result     (ledger=0, code=0)
 *   void     ID PENDING_ID AMOUNT      [flag | field=value]... | result
 *   adjust   ID PENDING_ID AMOUNT      [flag | field=value]... | result
 *   return   ID PENDING_ID DEBIT CREDIT AMOUNT [flag | field=value]... | result
 *   limits   ACCOUNT_ID                [flag | field=value]... | result
 *   acquire  KEY OWNER TIMEOUT_MS       [field=value]... | result
 *   renew    KEY OWNER TOKEN TIMEOUT_MS [field=value]... | result
 *   release  KEY OWNER TOKEN            [field=value]... | result
 *   repeat   ID DEBIT CREDIT AMOUNT     [transfer's flag | field=value]... | result
 *   cancel   ID | result
 *   cut_off  LEDGER EPOCH               [field=value]... | result
 *
 *   at VALUE                    sets the clock: the timestamp of the next request
 *   expire [MAX]                releases what is due | how many were released
 *   balance ID DP DD CP CC [closed]   debits pending, posted, credits pending, posted
 *   stored EVENT                what a lookup answers: as an event row, every field but timestamp
 *   missing ID...               transfers that a lookup does not find
 *   no_account ID...            accounts that a lookup does not find
 *   payment ID AMOUNT TAKEN LEFT [depth=N] [mark]...   what is kept beside a transfer; marks:
 *                               over_cap, negative, blocked, over_transfer, over_balance,
 *                               over_velocity, held
 *   no_payment ID...            transfers about which nothing is kept
 *   no_limits ID...             accounts whose limits were never set
 *   lease KEY OWNER TOKEN DEADLINE   what a lookup of a lease answers
 *   over KEY...                 leases that nobody has: a lookup finds them, or it does not
 *   fence KEY TOKEN             the lease that requests of transfers carry from here on; fence none
 *   fire [MAX]                  fires schedules that are due | how many attempts
 *   drain [MAX]                 again and again, until none is due | how many in all
 *   schedule ID [field=value]...   what a lookup answers: next, occurrence, attempt, made, state (active,
 *                               over, cancelled), last=ID:RESULT of the last attempt, or last=none
 *   no_schedule ID...
 *   settlement ID [field=value]...   what a lookup answers: epoch, debits, credits, count, and the same
 *                               with _before behind it, begin; what is not said is 0, but for begin,
 *                               of which only is known whether it is 0, and for ledger, which is 1
 *   no_settlement ID...         accounts that have none
 *   save / unchanged [burnt]    the whole state is what it was; burnt: except for spent ids
 *
 * VALUE: 12, 0xff, 5s, 5m, 5h, 5d (seconds, minutes, hours, days in ns), 2020/02/29 (when that day
 * begins, UTC), max (the largest u128), now (timestamp of the request), @T1 and @A1 (timestamp of a
 * record), $a (a token), and sums and differences of these. Ids may be written A1, T1, K1 (keys), O1
 * (owners), S1 (schedules); F1.2.0 is the id of the transfer that schedule 1 makes at occurrence 2,
 * attempt 0.
 *
 * Every reply to an event of leases is checked as far as it follows from the event; as=a keeps the
 * token of an acquired lease as $a; holder=OWNER until=DEADLINE say who has it when another one does.
 *
 * When a schedule fires is one word: each=5s, each=1M:31, each=2Y:29 (seconds, months and years with
 * the day), for the fields rule, interval and day; retry=60:3600 for retries and retry0 to retry3. What
 * belongs to its transfer and to itself alike is the transfer's but for s_timestamp, s_flags. Where
 * first= is about precedence, the field of that name is s_first.
 *
 * A slot of velocity limits, v0 to v3, is one word of a limits row:
 *
 *   v0=MAX:PERIOD:WINDOW:SIDE:MEASURE:VERDICT    v0=500:1d:calendar:debits:amount:reject
 *
 *   PERIOD    so many s, m, h, d or M (months)     WINDOW    calendar, sliding, rate
 *   SIDE      debits, credits                      MEASURE   amount, count
 *   VERDICT   off, mark, hold, reject
 *
 * Its fields by themselves, for what is no slot: v0_max, v0_period, v0_unit, and v0_bits, the byte
 * of the other three: the window, and 16 times the verdict, and 64 times the flags. A transfer that
 * was held is a pending one to stored rows.
 *
 * With fixture->model set, scripts and precedence are executed by the model instead of the ledger:
 * that is how the model itself is checked against tables that were worked out by hand. */
#ifndef TESTS_LEDGER_FIXTURE_H
#define TESTS_LEDGER_FIXTURE_H

#include "engine/ledger.h"
#include "tests/ledger_model.h"

/* The clock at which a fixture starts: in 2020, far from every limit. */
#define FIXTURE_CLOCK_NS 1577836800000000000ull

struct fixture_config {
    uint64_t clock_ns;       /* 0: FIXTURE_CLOCK_NS */
    uint64_t window_records; /* a power of two; 0: as many as log_records */
    uint64_t log_records;    /* a power of two; 0: 65,536 */
    uint64_t hash_seed;
    uint64_t transfers_max; /* 0: more than there is log for, as with the next two */
    uint32_t holds_max;
    uint32_t payments_max;
};

enum { FIXTURE_TOKENS = 26 };

struct fixture {
    struct ledger *ledger;
    union record *log; /* every record written, by address; zero where there is none */
    uint64_t log_records;
    uint64_t address_next;
    uint64_t clock_ns; /* timestamp of the next request */
    struct record_cache cache;
    uint64_t *addresses;
    uint64_t fetched_count; /* records that came out of the log through the cache */
    struct giro_result *results;
    uint32_t *codes;            /* of the last request, one an event */
    struct giro_lease *replies; /* of the last request of leases, one an event */
    uint64_t address_first;     /* of the last request's records */
    uint64_t request_ns;        /* timestamp of the last request */
    uint64_t token_last;
    uint64_t tokens[FIXTURE_TOKENS];             /* $a, $b, ... of scripts */
    const struct giro_fence *fence;              /* of requests of transfers; or NULL */
    struct giro_firing firings[LEDGER_FIRE_MAX]; /* the last ones, as a change stream has them */
    uint64_t hash_seed;
    bool forget_always;  /* fixture_forget(0) before every request */
    struct model *model; /* executes requests and answers lookups in the ledger's place; or NULL */
};

/* How often each result code was really produced. */
struct fixture_coverage {
    uint32_t account[GIRO_ACCOUNT_RESULT_MAX + 1];
    uint32_t transfer[GIRO_TRANSFER_RESULT_MAX + 1];
    uint32_t limits[GIRO_LIMITS_RESULT_MAX + 1];
    uint32_t lease[GIRO_LEASE_RESULT_MAX + 1];
    uint32_t schedule[GIRO_SCHEDULE_RESULT_MAX + 1];
    uint32_t fired[GIRO_TRANSFER_RESULT_MAX + 1]; /* results of attempts */
    uint32_t cut_off[GIRO_CUT_OFF_RESULT_MAX + 1];
};

void fixture_init(struct fixture *fixture, const struct fixture_config *config);
void fixture_free(struct fixture *fixture);

/* Execute one request at the clock, which then moves past it. Return one code an event, valid until
 * the next request. */
const uint32_t *fixture_create_accounts(struct fixture *fixture, const struct giro_account *events,
                                        uint32_t count);
const uint32_t *fixture_create_transfers(struct fixture *fixture,
                                         const struct giro_transfer *events, uint32_t count);
const uint32_t *fixture_set_limits(struct fixture *fixture, const struct giro_limits *events,
                                   uint32_t count);
const uint32_t *fixture_lease(struct fixture *fixture, const struct giro_lease *events,
                              uint32_t count);
/* Not with a model: what a request of a session has led to, as ledger_log_session() takes it. */
void fixture_session(struct fixture *fixture, const struct record_session *session,
                     const struct session_result *results);
const uint32_t *fixture_create_schedules(struct fixture *fixture,
                                         const struct giro_schedule *events, uint32_t count);
const uint32_t *fixture_cancel_schedules(struct fixture *fixture, const giro_u128 *ids,
                                         uint32_t count);

/* Fires at most max (up to LEDGER_FIRE_MAX) schedules. Returns how many: fixture->firings. */
uint32_t fixture_fire(struct fixture *fixture, uint32_t max);

const uint32_t *fixture_cut_off(struct fixture *fixture, const struct giro_cut_off *events,
                                uint32_t count);

/* False: the account has none. */
bool fixture_settlement(const struct fixture *fixture, giro_u128 account_id,
                        struct giro_settlement *out_settlement);

/* Returns how many holds were released. */
uint32_t fixture_expire(struct fixture *fixture, uint32_t records_max);

bool fixture_account(const struct fixture *fixture, giro_u128 id, struct giro_account *out_account);
bool fixture_transfer(struct fixture *fixture, giro_u128 id, struct giro_transfer *out_transfer);

bool fixture_lease_of(const struct fixture *fixture, giro_u128 key, struct giro_lease *out_lease);
bool fixture_schedule(const struct fixture *fixture, giro_u128 id,
                      struct giro_schedule *out_schedule);

/* What is kept beside a transfer, as model_payment() tells it. */
bool fixture_payment(const struct fixture *fixture, giro_u128 id, struct model_payment *out);

/* The rows that were ever set, in the order of the ids. Returns how many. */
uint32_t fixture_get_limits(const struct fixture *fixture, const giro_u128 *ids, uint32_t count,
                            struct giro_limits *rows);

/* Lookups of many; return how many were found. */
uint32_t fixture_lookup_transfers(struct fixture *fixture, const giro_u128 *ids, uint32_t count,
                                  struct giro_transfer *transfers);

/* Leaves at most this many of the newest records in the window and spoils the memory of those that
 * left it, so that reading them there instead of fetching them is noticed. */
void fixture_forget(struct fixture *fixture, uint64_t records_kept);

/* Replays the kept log into a new ledger, in runs of at most run_max records, and compares. */
void fixture_check_replay(struct fixture *fixture, uint32_t run_max);

/* Debits equal credits, and the deadlines are in order. */
void fixture_check_invariants(const struct fixture *fixture);

/* Runs a script; the test fails at the first row that answers otherwise. coverage may be NULL. */
void fixture_script(struct fixture *fixture, const char *text, struct fixture_coverage *coverage);

/* A script in a ledger of its own, whose log is replayed at the end. */
void fixture_script_alone(const char *text, struct fixture_coverage *coverage);

/* Precedence: rules are rows of "[flag | field=value]... | result", the earlier rule first. Applies
 * each rule alone, and then every pair that can hold at once, to the event of the base row, and
 * expects the earlier rule's result. Two rules that give a field different values never meet;
 * fields that begin with `only` are there for that alone. The event is the second of its request;
 * the first one always fails, and first=linked or first=imported gives it that flag. A base id of 0
 * is replaced by a new id each time. Returns how many pairs met. */
uint32_t fixture_precedence(struct fixture *fixture, const char *base, const char *rules);

#endif
