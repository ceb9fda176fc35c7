/* The records of the ledger: accounts and transfers, 128 bytes each, little-endian.
 *
 * This header is both the engine's own definition and the one that the C client installs, so it
 * compiles as C11 and as C++17 and includes nothing of the engine.
 *
 * Amounts and balances are unsigned 128-bit integers in the ledger's minor unit (cents).
 * Timestamps are nanoseconds since the Unix epoch, assigned by the server, unique over accounts
 * and transfers together and strictly increasing. The same bytes travel on the wire, lie in memory
 * and are stored in the log; docs/protocol.md and docs/log-format.md show them by offset. */
#ifndef GIRO_RECORD_H
#define GIRO_RECORD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define GIRO_STATIC_ASSERT static_assert
#define GIRO_ALIGNAS_16 alignas(16)
#else
#define GIRO_STATIC_ASSERT _Static_assert
#define GIRO_ALIGNAS_16 _Alignas(16)
#endif

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Giro's formats are little-endian and are used in place: this machine is not supported."
#endif

__extension__ typedef unsigned __int128 giro_u128;

#define GIRO_U128_MAX (~(giro_u128)0)
#define GIRO_TIMESTAMP_MAX ((uint64_t)INT64_MAX)
#define GIRO_NS_PER_S 1000000000ull
#define GIRO_NS_PER_MS 1000000ull
enum { GIRO_RECORD_BYTES = 128 };

enum giro_account_flag {
    GIRO_ACCOUNT_LINKED = 1 << 0,
    GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS = 1 << 1,
    GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS = 1 << 2,
    GIRO_ACCOUNT_HISTORY = 1 << 3,
    GIRO_ACCOUNT_IMPORTED = 1 << 4,
    GIRO_ACCOUNT_CLOSED = 1 << 5,
    GIRO_ACCOUNT_SETTLES = 1 << 6, /* what is posted to it is added up between cut-offs */
    GIRO_ACCOUNT_FLAGS_ALL = (1 << 7) - 1,
};

enum giro_transfer_flag {
    GIRO_TRANSFER_LINKED = 1 << 0,
    GIRO_TRANSFER_PENDING = 1 << 1,
    GIRO_TRANSFER_POST_PENDING = 1 << 2,
    GIRO_TRANSFER_VOID_PENDING = 1 << 3,
    GIRO_TRANSFER_BALANCING_DEBIT = 1 << 4,
    GIRO_TRANSFER_BALANCING_CREDIT = 1 << 5,
    GIRO_TRANSFER_CLOSING_DEBIT = 1 << 6,
    GIRO_TRANSFER_CLOSING_CREDIT = 1 << 7,
    GIRO_TRANSFER_IMPORTED = 1 << 8,
    GIRO_TRANSFER_RETURN = 1 << 9,     /* of the posted transfer pending_id, the other way */
    GIRO_TRANSFER_KEEP_OPEN = 1 << 10, /* with post or void: the rest stays pending */
    GIRO_TRANSFER_ADJUST = 1 << 11,    /* with pending: raises the hold pending_id */
    GIRO_TRANSFER_FACT = 1 << 12,      /* has happened: limits mark it, they do not refuse it */
    GIRO_TRANSFER_NO_LIMIT = 1 << 13,  /* not counted by velocity limits */
    GIRO_TRANSFER_FLAGS_ALL = (1 << 14) - 1,
};

/* What an accepted transfer went over. */
enum giro_transfer_mark {
    GIRO_MARK_OVER_CAP = 1 << 0,      /* more than the hold, or the returned transfer, had left */
    GIRO_MARK_NEGATIVE = 1 << 1,      /* an account is beyond its own limit flag */
    GIRO_MARK_BLOCKED = 1 << 2,       /* an account is blocked for it */
    GIRO_MARK_OVER_TRANSFER = 1 << 3, /* more than an account's transfer_max */
    GIRO_MARK_OVER_BALANCE = 1 << 4,  /* an account is beyond its balance_max */
    GIRO_MARK_OVER_VELOCITY = 1 << 5, /* more than a velocity limit of an account */
    GIRO_MARK_HELD = 1 << 6,          /* a velocity limit has made it pending: post or void it */
    GIRO_MARKS_ALL = (1 << 7) - 1,
};

struct giro_account {
    GIRO_ALIGNAS_16 giro_u128 id;
    giro_u128 debits_pending;
    giro_u128 debits_posted;
    giro_u128 credits_pending;
    giro_u128 credits_posted;
    giro_u128 user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint32_t reserved; /* 0 */
    uint32_t ledger;
    uint16_t code;
    uint16_t flags; /* enum giro_account_flag */
    uint64_t timestamp;
};

struct giro_transfer {
    GIRO_ALIGNAS_16 giro_u128 id;
    giro_u128 debit_account_id;
    giro_u128 credit_account_id;
    giro_u128 amount;
    giro_u128 pending_id;
    giro_u128 user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint32_t timeout; /* seconds; only for pending transfers */
    uint32_t ledger;
    uint16_t code;
    uint16_t flags; /* enum giro_transfer_flag */
    uint64_t timestamp;
};

enum giro_account_filter_flag {
    GIRO_ACCOUNT_FILTER_DEBITS = 1 << 0,   /* transfers that debit the account */
    GIRO_ACCOUNT_FILTER_CREDITS = 1 << 1,  /* transfers that credit the account */
    GIRO_ACCOUNT_FILTER_REVERSED = 1 << 2, /* newest first */
    GIRO_ACCOUNT_FILTER_FLAGS_ALL = (1 << 3) - 1,
};

enum giro_query_filter_flag {
    GIRO_QUERY_FILTER_REVERSED = 1 << 0, /* newest first */
    GIRO_QUERY_FILTER_FLAGS_ALL = (1 << 1) - 1,
};

/* What to find among the transfers, or the balances, of one account. A zero field does not filter,
 * except that account_id, limit and one of the two sides must be given. */
struct giro_account_filter {
    GIRO_ALIGNAS_16 giro_u128 account_id;
    giro_u128 user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint16_t code;
    uint8_t reserved[58];   /* 0 */
    uint64_t timestamp_min; /* inclusive */
    uint64_t timestamp_max; /* inclusive */
    uint32_t limit;         /* 1 .. 8,190 */
    uint32_t flags;         /* enum giro_account_filter_flag */
};

/* What to find among all accounts, or all transfers. A zero field does not filter. */
struct giro_query_filter {
    GIRO_ALIGNAS_16 giro_u128 user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint32_t ledger;
    uint16_t code;
    uint8_t reserved[6];    /* 0 */
    uint64_t timestamp_min; /* inclusive */
    uint64_t timestamp_max; /* inclusive */
    uint32_t limit;         /* 1 .. 8,190 */
    uint32_t flags;         /* enum giro_query_filter_flag */
};

/* The four balances of an account at one moment. */
struct giro_balances {
    GIRO_ALIGNAS_16 giro_u128 debits_pending;
    giro_u128 debits_posted;
    giro_u128 credits_pending;
    giro_u128 credits_posted;
};

/* An account's balances right after the transfer with this timestamp. */
struct giro_account_balance {
    struct giro_balances balances;
    uint64_t timestamp;
    uint8_t reserved[56]; /* 0 */
};

enum giro_change_kind {
    GIRO_CHANGE_ACCOUNT_CREATED = 1,
    GIRO_CHANGE_TRANSFER_CREATED = 2, /* plain or pending */
    GIRO_CHANGE_PENDING_POSTED = 3,
    GIRO_CHANGE_PENDING_VOIDED = 4,
    GIRO_CHANGE_PENDING_EXPIRED = 5,    /* transfer: id 0, pending_id, both accounts, amount */
    GIRO_CHANGE_LIMITS_SET = 6,         /* of an account; no balances */
    GIRO_CHANGE_LEASE = 7,              /* acquired, renewed or released; no balances */
    GIRO_CHANGE_SCHEDULE_CREATED = 8,   /* its first half, without the transfer; no balances */
    GIRO_CHANGE_SCHEDULE_CANCELLED = 9, /* firing: schedule_id; no balances */
    GIRO_CHANGE_CUT_OFF = 11,           /* of a ledger number; no balances */
    GIRO_CHANGE_SCHEDULE_FIRED = 10,    /* an attempt; its transfer follows; no balances */
};

enum giro_limits_flag {
    GIRO_LIMITS_BLOCK_DEBITS = 1 << 0,
    GIRO_LIMITS_BLOCK_CREDITS = 1 << 1,
    GIRO_LIMITS_FROZEN = 1 << 2, /* both, and no hold of it is posted */
    GIRO_LIMITS_FLAGS_ALL = (1 << 3) - 1,
};

enum { GIRO_OVER_CAPTURE_MAX = 100000, GIRO_VELOCITY_SLOTS = 4, GIRO_VELOCITY_MONTHS_MAX = 1200 };

enum giro_window {
    GIRO_WINDOW_NONE = 0,     /* the slot is not used */
    GIRO_WINDOW_CALENDAR = 1, /* begins anew with every period: days and weeks of UTC, months */
    GIRO_WINDOW_SLIDING = 2,  /* the last period, estimated from two windows side by side */
    GIRO_WINDOW_RATE = 3,     /* the generic cell rate algorithm: refills evenly over a period */
};

enum giro_period_unit {
    GIRO_PERIOD_SECONDS = 0,
    GIRO_PERIOD_MINUTES = 1,
    GIRO_PERIOD_HOURS = 2,
    GIRO_PERIOD_DAYS = 3,
    GIRO_PERIOD_MONTHS = 4, /* calendar windows only */
};

/* What becomes of a transfer that goes over a velocity limit. Facts are only marked. */
enum giro_verdict {
    GIRO_VERDICT_OFF = 0,    /* nothing: it is only counted */
    GIRO_VERDICT_MARK = 1,   /* it is marked */
    GIRO_VERDICT_HOLD = 2,   /* it is marked, and pending until somebody posts or voids it */
    GIRO_VERDICT_REJECT = 3, /* it is refused */
};

enum giro_velocity_flag {
    GIRO_VELOCITY_AMOUNT = 1 << 0,  /* amounts are added up; else transfers are counted */
    GIRO_VELOCITY_CREDITS = 1 << 1, /* of transfers that credit the account; else that debit it */
    GIRO_VELOCITY_FLAGS_ALL = (1 << 2) - 1,
};

/* Over what one slot of velocity limits counts, and what follows. All zero: not used. */
struct giro_velocity {
    uint16_t period;     /* so many units */
    uint8_t unit;        /* enum giro_period_unit */
    uint8_t window : 4;  /* enum giro_window */
    uint8_t verdict : 2; /* enum giro_verdict */
    uint8_t flags : 2;   /* enum giro_velocity_flag */
};

/* What an account is limited to, besides its flags. Set at run time; zeros limit nothing. */
struct giro_limits {
    GIRO_ALIGNAS_16 giro_u128 account_id;
    giro_u128 floor;        /* a credit line: so far beyond zero its limit flag lets it go */
    giro_u128 balance_max;  /* 0: none */
    giro_u128 transfer_max; /* 0: none */
    uint64_t velocity_max[GIRO_VELOCITY_SLOTS]; /* what may pass within the window of that slot */
    struct giro_velocity velocity[GIRO_VELOCITY_SLOTS];
    uint32_t over_capture; /* basis points of what was authorised, up to GIRO_OVER_CAPTURE_MAX */
    uint16_t reserved;     /* 0 */
    uint16_t flags;        /* enum giro_limits_flag */
    uint64_t timestamp;    /* 0 in a request; when it was set */
};

enum giro_lease_action {
    GIRO_LEASE_ACQUIRE = 1, /* a new token, whoever had it before, unless another owner has it */
    GIRO_LEASE_RENEW = 2,   /* another deadline, under the same token */
    GIRO_LEASE_RELEASE = 3,
};

enum { GIRO_LEASE_TIMEOUT_MS_MAX = 86400000 };

/* What is done to a lease, and the lease as it is then. */
struct giro_lease {
    GIRO_ALIGNAS_16 giro_u128 key; /* of what is leased */
    giro_u128 owner;               /* who acts */
    uint64_t token;    /* to renew or to release: the lease's. In a reply: its own, greater than any
                            before; 0 when another owner has it */
    uint64_t deadline; /* 0 in a request; until when it is current; 0: it is released */
    uint32_t timeout_ms;  /* to acquire or to renew: 1 .. GIRO_LEASE_TIMEOUT_MS_MAX, from now on */
    uint32_t row;         /* 0; in the log: of the table of leases */
    uint16_t action;      /* enum giro_lease_action */
    uint8_t reserved[58]; /* 0 */
    uint16_t result;      /* 0 in a request; enum giro_lease_result */
    uint16_t flags;       /* 0 */
    uint64_t timestamp;   /* 0 in a request; when it was done */
};

/* The lease that a request of transfers carries: without it, none of them is created. */
struct giro_fence {
    GIRO_ALIGNAS_16 giro_u128 key;
    uint64_t token;
    uint64_t reserved; /* 0 */
};

enum giro_schedule_rule {
    GIRO_SCHEDULE_SECONDS = 1, /* every so many seconds */
    GIRO_SCHEDULE_MONTHS =
        2, /* every so many months, on a day, or the last one of a shorter month */
    GIRO_SCHEDULE_YEARS = 3, /* the same with years */
};

enum giro_schedule_state {
    GIRO_SCHEDULE_ACTIVE = 1,
    GIRO_SCHEDULE_OVER = 2, /* its last occurrence is over */
    GIRO_SCHEDULE_CANCELLED = 3,
};

enum { GIRO_SCHEDULE_RETRIES_MAX = 4 };

/* A transfer that the server makes by itself, again and again: see docs/payments.md. Zero in a
 * request: what is marked so. The transfers have ids of their own: giro_schedule_transfer_id(). */
struct giro_schedule {
    GIRO_ALIGNAS_16 giro_u128 id;
    uint64_t first;       /* when the first occurrence is due; its time of day is that of all */
    uint64_t end;         /* none is due later; 0: no end */
    uint32_t occurrences; /* at most so many; 0: no end */
    uint32_t interval;    /* seconds, months or years, from 1 on */
    uint32_t
        retry_s[GIRO_SCHEDULE_RETRIES_MAX]; /* after a refused attempt: so long until the next */
    uint8_t rule;                           /* enum giro_schedule_rule */
    uint8_t day;                   /* of the month, 1 .. 31; 0 with GIRO_SCHEDULE_SECONDS */
    uint8_t retries;               /* attempts after the first one, each with its retry_s */
    uint8_t reserved[5];           /* 0 */
    uint64_t next;                 /* 0; when the next attempt is due; 0: none is */
    uint64_t made;                 /* 0; transfers that were created */
    giro_u128 last_id;             /* 0; of the last attempt's transfer */
    uint32_t occurrence;           /* 0; that the next attempt is for, counted from 0 */
    uint32_t attempt;              /* 0; which one that is, counted from 0 */
    uint32_t last_result;          /* 0; enum giro_transfer_result of the last attempt */
    uint16_t transfer_code;        /* 0; in the log: of the transfer, whose record has another */
    uint16_t transfer_flags;       /* 0; likewise */
    uint32_t reserved_1;           /* 0 */
    uint16_t state;                /* 0; enum giro_schedule_state */
    uint16_t flags;                /* 0 */
    uint64_t timestamp;            /* 0; when it was created */
    struct giro_transfer transfer; /* what is made: id, pending_id and timestamp are 0; flags:
                                      pending, balancing, no_limit */
};

/* One attempt of a schedule. When it was created, the transfer follows. */
struct giro_firing {
    GIRO_ALIGNAS_16 giro_u128 schedule_id;
    giro_u128 transfer_id;
    uint64_t due;        /* when it was to be */
    uint64_t next;       /* when the next attempt is due; 0: none is */
    uint32_t occurrence; /* of this attempt, and of the next one */
    uint32_t occurrence_next;
    uint32_t attempt;
    uint32_t attempt_next;
    uint32_t transfer_result; /* enum giro_transfer_result */
    uint32_t row;             /* in the log: of the table of schedules; else 0 */
    uint8_t reserved[44];     /* 0 */
    uint16_t code;            /* 0 */
    uint16_t flags;           /* 0 */
    uint64_t timestamp;       /* when it was made */
};

/* Ends the settlement epoch of a ledger number, and begins the next. */
struct giro_cut_off {
    GIRO_ALIGNAS_16 uint64_t epoch; /* that ends: epochs are counted from 0 */
    uint8_t reserved[104];          /* 0 */
    uint32_t ledger;
    uint16_t reserved_1; /* 0 */
    uint16_t flags;      /* 0 */
    uint64_t timestamp;  /* 0 in a request; when the next epoch began */
};

/* What was posted to an account with the flag `settles` within the epoch of its ledger, and within
 * the one before. */
struct giro_settlement {
    GIRO_ALIGNAS_16 giro_u128 account_id;
    giro_u128 debits;
    giro_u128 credits;
    giro_u128 debits_before;
    giro_u128 credits_before;
    uint64_t count; /* of postings */
    uint64_t count_before;
    uint64_t epoch;
    uint64_t begin; /* of the epoch; 0: its ledger was never cut off */
    uint32_t ledger;
    uint32_t reserved[3]; /* 0 */
};

/* How much of its velocity limits an account has used at a moment. */
struct giro_velocity_used {
    GIRO_ALIGNAS_16 giro_u128 account_id;
    uint64_t used[GIRO_VELOCITY_SLOTS];    /* within the window */
    uint64_t maximum[GIRO_VELOCITY_SLOTS]; /* as in struct giro_limits */
    uint64_t end[GIRO_VELOCITY_SLOTS]; /* of the window; of a rate, when all is free again; 0: no
                                              window, or nothing counted */
    uint64_t reserved;                 /* 0 */
    uint64_t timestamp;                /* the moment */
};

/* What one event of create_transfers led to. All zero but for the code when it was not created. */
struct giro_outcome {
    struct giro_balances debit; /* of the debit account, right after the transfer */
    struct giro_balances credit;
    giro_u128 amount;   /* as it was decided: balancing, all that is left, the rest */
    uint64_t timestamp; /* of the transfer */
    uint32_t marks;     /* enum giro_transfer_mark */
    uint32_t code;      /* enum giro_transfer_result */
};

enum giro_payment_state {
    GIRO_PAYMENT_PENDING = 1, /* an open hold */
    GIRO_PAYMENT_POSTED = 2,  /* a posted transfer, or a hold that ended with a post */
    GIRO_PAYMENT_VOIDED = 3,
    GIRO_PAYMENT_EXPIRED = 4,
};

/* What became of a transfer: of a hold, or of one that moved money. Voids and adjustments are told
 * by the hold that they name. */
struct giro_payment {
    GIRO_ALIGNAS_16 giro_u128 id;
    giro_u128 amount;   /* of a hold: authorised, adjustments included; else posted */
    giro_u128 captured; /* of an amended hold: posted so far, by all posts that name it */
    giro_u128 returned; /* of a posted transfer: by returns, pending ones included, less theirs */
    giro_u128 left;     /* of a hold: still pending; when it has ended, what was just before */
    giro_u128 origin;   /* of a return: what it returns; of a post: its hold; else 0 */
    uint64_t deadline;  /* of an open hold; 0: none */
    uint64_t timestamp; /* of the transfer */
    uint32_t marks;     /* enum giro_transfer_mark */
    uint32_t ledger;
    uint16_t state;   /* enum giro_payment_state */
    uint16_t depth;   /* of a return: 1, of a return of a return: 2, ...; else 0 */
    uint32_t amended; /* 1: a hold that was kept open, adjusted, or is a return. 0 and posted: it
                         ended with its only post, which has the amount */
};

/* One accepted mutation, and what it led to. */
struct giro_change {
    uint64_t ordinal; /* place in the history of all records: unique, increasing, with gaps */
    uint32_t kind;    /* enum giro_change_kind */
    uint32_t marks;   /* of the transfer, enum giro_transfer_mark */
    union {
        struct giro_transfer transfer;
        struct giro_account account; /* GIRO_CHANGE_ACCOUNT_CREATED */
        struct giro_limits limits;   /* GIRO_CHANGE_LIMITS_SET */
        struct giro_lease lease;     /* GIRO_CHANGE_LEASE */
        struct giro_cut_off cut_off; /* GIRO_CHANGE_CUT_OFF */
        struct giro_firing firing;   /* GIRO_CHANGE_SCHEDULE_CANCELLED, _FIRED */
        uint8_t
            schedule[GIRO_RECORD_BYTES]; /* GIRO_CHANGE_SCHEDULE_CREATED: of struct giro_schedule */
    } record;
    struct giro_balances debit; /* of the debit account, or of the account, right after it */
    struct giro_balances credit;
};

/* Which changes to read: those from an ordinal on. */
struct giro_change_filter {
    uint64_t ordinal;     /* 0: from the beginning; else what the last reply said */
    uint32_t limit;       /* 1 .. 3,854 */
    uint32_t wait_ms;     /* when there is none yet: wait for one so long, at most 60,000 */
    uint64_t reserved[2]; /* 0 */
};

/* One result of a create request: only events that were not created are reported. */
struct giro_result {
    uint32_t index; /* of the event in its request */
    uint32_t code;  /* enum giro_account_result or enum giro_transfer_result */
};

GIRO_STATIC_ASSERT(sizeof(struct giro_account) == GIRO_RECORD_BYTES, "account size");
GIRO_STATIC_ASSERT(offsetof(struct giro_account, credits_posted) == 64, "account layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_account, user_data_64) == 96, "account layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_account, ledger) == 112, "account layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_account, flags) == 118, "account layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_account, timestamp) == 120, "account layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_transfer) == GIRO_RECORD_BYTES, "transfer size");
GIRO_STATIC_ASSERT(offsetof(struct giro_transfer, amount) == 48, "transfer layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_transfer, user_data_64) == 96, "transfer layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_transfer, timeout) == 108, "transfer layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_transfer, flags) == 118, "transfer layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_transfer, timestamp) == 120, "transfer layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_result) == 8, "result size");
GIRO_STATIC_ASSERT(sizeof(struct giro_account_filter) == 128, "account filter size");
GIRO_STATIC_ASSERT(offsetof(struct giro_account_filter, timestamp_min) == 104, "filter layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_account_filter, flags) == 124, "filter layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_query_filter) == 64, "query filter size");
GIRO_STATIC_ASSERT(offsetof(struct giro_query_filter, timestamp_min) == 40, "filter layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_query_filter, flags) == 60, "filter layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_account_balance) == GIRO_RECORD_BYTES, "balance size");
GIRO_STATIC_ASSERT(offsetof(struct giro_account_balance, timestamp) == 64, "balance layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_limits) == GIRO_RECORD_BYTES, "limits size");
GIRO_STATIC_ASSERT(sizeof(struct giro_velocity) == 4, "velocity size");
GIRO_STATIC_ASSERT(offsetof(struct giro_limits, velocity_max) == 64, "limits layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_limits, velocity) == 96, "limits layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_limits, flags) == 118, "limits layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_lease) == GIRO_RECORD_BYTES, "lease size");
GIRO_STATIC_ASSERT(offsetof(struct giro_lease, result) == 116, "lease layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_schedule) == 256, "schedule size");
GIRO_STATIC_ASSERT(offsetof(struct giro_schedule, state) == 116, "schedule layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_schedule, transfer) == GIRO_RECORD_BYTES, "layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_firing) == GIRO_RECORD_BYTES, "firing size");
GIRO_STATIC_ASSERT(offsetof(struct giro_firing, code) == 116, "firing layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_cut_off) == GIRO_RECORD_BYTES, "cut-off size");
GIRO_STATIC_ASSERT(offsetof(struct giro_cut_off, timestamp) == 120, "cut-off layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_settlement) == GIRO_RECORD_BYTES, "settlement size");
GIRO_STATIC_ASSERT(sizeof(struct giro_fence) == 32, "fence size");
GIRO_STATIC_ASSERT(sizeof(struct giro_velocity_used) == GIRO_RECORD_BYTES, "velocity used size");
GIRO_STATIC_ASSERT(offsetof(struct giro_velocity_used, timestamp) == 120, "velocity used layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_outcome) == 160, "outcome size");
GIRO_STATIC_ASSERT(offsetof(struct giro_outcome, timestamp) == 144, "outcome layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_payment) == GIRO_RECORD_BYTES, "payment size");
GIRO_STATIC_ASSERT(offsetof(struct giro_payment, timestamp) == 104, "payment layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_change) == 272, "change size");
GIRO_STATIC_ASSERT(sizeof(struct giro_change_filter) == 32, "change filter size");

#endif
