/* Random requests: accounts and ids are few, so that events meet: duplicates, chains, holds that are
 * posted, voided or expire, limits, closed accounts, imports, broken fields; and payments: holds that
 * are raised and captured in parts, returns of what was posted and returns of those, facts; and
 * limits of accounts near what they have at the moment, and velocity limits over a few seconds; leases
 * of a few keys for a second or two, and requests that are fenced by them; schedules of some
 * seconds; and ledgers that are cut off, some of which nobody has an account in.
 *
 * Accounts with odd numbers belong to one owner, the others to nobody. Two of three settle. */
#ifndef TESTS_LEDGER_RANDOM_H
#define TESTS_LEDGER_RANDOM_H

#include "tests/ledger_model.h"

enum {
    LEDGER_RANDOM_EVENTS = 24, /* of one request at most */
    LEDGER_RANDOM_SENT = 64,   /* requests that are remembered, to be sent again */
    /* Accounts 1 to 7 are of ledger 1, 8 to 10 of ledger 2, 11 to 16 of ledger 3, which is for
     * amounts near 2^128. 17 and 18 are never there, 101 to 140 come later. */
    LEDGER_RANDOM_ACCOUNTS = 16,
    LEDGER_RANDOM_ACCOUNTS_MORE = 40,
    LEDGER_RANDOM_KEYS = 6, /* that are leased */
};

struct ledger_random_sent {
    struct giro_transfer events[LEDGER_RANDOM_EVENTS];
    uint32_t count;
};

struct ledger_random {
    uint64_t state;   /* the seed */
    uint64_t id_next; /* 1 to begin with */
    uint64_t schedule_next;

    /* The ledger that the requests are for, to be set before each: what they refer to, its last
     * timestamps, and its clock, which is moved on for imports. */
    const struct model *model;
    uint64_t timestamp_last;
    uint64_t transfer_timestamp_last;
    uint64_t clock_ns;

    struct ledger_random_sent history[LEDGER_RANDOM_SENT];
    uint32_t sent_count;
    giro_u128 pending_ids[LEDGER_RANDOM_SENT]; /* of the latest pending transfers */
    uint32_t pending_count;
    struct giro_transfer
        posted; /* the latest event that may post something, to be returned at once */
};

/* 0 .. limit - 1 */
uint64_t ledger_random_below(struct ledger_random *random, uint64_t limit);

/* The id of a number up to id_next. */
giro_u128 ledger_random_id(uint64_t number);

/* Each writes the events of a request and returns how many. events: room for LEDGER_RANDOM_EVENTS. */
uint32_t ledger_random_transfers(struct ledger_random *random, struct giro_transfer *events);
uint32_t ledger_random_accounts(struct ledger_random *random, struct giro_account *events);
uint32_t ledger_random_limits(struct ledger_random *random, struct giro_limits *events);
uint32_t ledger_random_leases(struct ledger_random *random, struct giro_lease *events);
uint32_t ledger_random_schedules(struct ledger_random *random, struct giro_schedule *events);
uint32_t ledger_random_cancels(struct ledger_random *random, giro_u128 *ids);

/* Whether the next request of transfers is to carry a lease, and which: mostly one that somebody has. */
bool ledger_random_fence(struct ledger_random *random, struct giro_fence *fence);
uint32_t ledger_random_cut_offs(struct ledger_random *random, struct giro_cut_off *events);

/* The accounts that transfers are about, but for one that may come later, or not. */
uint32_t ledger_random_first_accounts(struct ledger_random *random, struct giro_account *events);

#endif
