/* A second ledger to compare the engine with, written from the rules alone and for clarity alone:
 * arrays that are searched from the front, one function a group of rules in the order of their
 * precedence, and chains that are undone by putting back a copy of the state.
 *
 * A record never changes once it is accepted. What later transfers do to it is kept beside it, in a
 * note: what a hold has left and until when, how much of a posted transfer was returned. */
#ifndef TESTS_LEDGER_MODEL_H
#define TESTS_LEDGER_MODEL_H

#include "engine/record.h"
#include "engine/result.h"

#include <stdbool.h>

enum {
    MODEL_ACCOUNTS_MAX = 64,
    MODEL_TRANSFERS_MAX = 1 << 14,
    MODEL_LEASES_MAX = 256,
    MODEL_SCHEDULES_MAX = 512,
    MODEL_EPOCHS_MAX = 1024, /* ledger numbers that are cut off */
};

enum model_status {
    MODEL_SETTLED, /* plain transfers, posts, voids and adjusts */
    MODEL_PENDING,
    MODEL_POSTED,
    MODEL_VOIDED,
    MODEL_EXPIRED,
    MODEL_BURNT, /* only the id is taken */
};

/* What is known of a transfer beyond its record. */
struct model_note {
    giro_u128 amount;  /* of a hold: authorised in all, adjusts included; else the record's */
    giro_u128 taken;   /* of a hold: captured; of a posted transfer: returned */
    giro_u128 left;    /* of a hold: still pending; once it has ended: what was left just before */
    uint64_t deadline; /* of a hold, 0: never */
    uint32_t marks;    /* GIRO_MARK_* */
    uint16_t depth;    /* of a return, or of the post of one; 0: neither */
    uint16_t kept;     /* whether model_payment() tells of it */
};

_Static_assert(sizeof(struct model_note) == 64, "every chain copies them");

/* What one slot of velocity limits has counted; all zero at first. */
struct model_counter {
    uint64_t end;      /* of the window; of a rate: the theoretical arrival time */
    uint64_t current;  /* within the window */
    uint64_t previous; /* of a sliding window: within the one right before it */
};

/* Of a ledger number that was cut off at least once; any other is in epoch 0. */
struct model_epoch {
    uint64_t epoch;
    uint64_t begin;
    uint32_t ledger;
    uint32_t unused; /* 0 */
};

/* What a failed chain puts back. */
struct model_state {
    uint32_t accounts_count;
    uint32_t transfers_count;
    struct giro_account accounts[MODEL_ACCOUNTS_MAX];
    uint8_t status[MODEL_TRANSFERS_MAX]; /* enum model_status */
    struct model_note notes[MODEL_TRANSFERS_MAX];
    struct model_counter counters[MODEL_ACCOUNTS_MAX][GIRO_VELOCITY_SLOTS];
};

struct model {
    struct model_state now;
    struct model_state before; /* the chain that is under way */
    struct giro_transfer transfers[MODEL_TRANSFERS_MAX];
    /* Of the account with the same number; account_id 0: never set. No transfer changes them: what
     * their slots have counted is kept apart. */
    struct giro_limits limits[MODEL_ACCOUNTS_MAX];
    /* One row a key that was ever leased: key, owner, token, deadline, and zeros. None is forgotten. No
     * chain has leases or schedules in it, so that none is ever taken back. */
    struct giro_lease leases[MODEL_LEASES_MAX];
    uint32_t leases_count;
    uint64_t lease_timestamp_last; /* of the last event of any lease, accepted or not */
    struct giro_schedule schedules[MODEL_SCHEDULES_MAX]; /* as clients see them, in their order */
    uint32_t schedules_count;
    const struct giro_fence *fence; /* of the request that is being executed */
    bool baseline; /* the same: a chain that was committed before fails when it comes again */
    struct model_epoch epochs[MODEL_EPOCHS_MAX];
    uint32_t epochs_count;
    /* In which epoch of its ledger the transfer with the same number was accepted: nothing is added up
     * before somebody asks, and a chain that breaks takes it back with its transfers. */
    uint64_t transfer_epochs[MODEL_TRANSFERS_MAX];
};

/* Each writes one code an event. timestamp: of the first event, which the others count on from. */
void model_create_accounts(struct model *model, const struct giro_account *events, uint32_t count,
                           uint64_t timestamp, uint32_t *codes);
void model_create_transfers(struct model *model, const struct giro_transfer *events, uint32_t count,
                            uint64_t timestamp, uint32_t *codes);
void model_set_limits(struct model *model, const struct giro_limits *events, uint32_t count,
                      uint64_t timestamp, uint32_t *codes);
void model_create_schedules(struct model *model, const struct giro_schedule *events, uint32_t count,
                            uint64_t timestamp, uint32_t *codes);
void model_cancel_schedules(struct model *model, const giro_u128 *ids, uint32_t count,
                            uint64_t timestamp, uint32_t *codes);

/* fence: NULL for a request that needs no lease, as above. */
void model_create_fenced(struct model *model, const struct giro_fence *fence,
                         const struct giro_transfer *events, uint32_t count, uint64_t timestamp,
                         uint32_t *codes);

/* Writes one reply an event. address: of the first record that the request has in the log; every
 * event that is done has one, and a token is such an address. */
void model_lease(struct model *model, const struct giro_lease *events, uint32_t count,
                 uint64_t timestamp, uint64_t address, struct giro_lease *replies);

/* Fires at most max of the schedules that are due, the longest due first, each once. Returns how many;
 * firings: room for so many. There is always room for their transfers. */
uint32_t model_fire(struct model *model, uint64_t timestamp, uint32_t max,
                    struct giro_firing *firings);

/* Each event by itself. */
void model_cut_off(struct model *model, const struct giro_cut_off *events, uint32_t count,
                   uint64_t timestamp, uint32_t *codes);

/* Releases at most max transfers whose deadline has come, the earliest first. Returns how many. */
uint32_t model_expire(struct model *model, uint64_t timestamp, uint32_t max);

/* NULL when there is none. */
const struct giro_account *model_account(const struct model *model, giro_u128 id);
const struct giro_transfer *model_transfer(const struct model *model, giro_u128 id);

/* What an account is limited to; NULL when that was never set. */
const struct giro_limits *model_limits(const struct model *model, giro_u128 account_id);

/* What of an account's velocity limits is used at a time; false when it was never limited. */
bool model_velocity(const struct model *model, giro_u128 account_id, uint64_t time,
                    struct giro_velocity_used *out);

/* NULL when the key was never leased. Once a lease is over the ledger may have forgotten it. */
const struct giro_lease *model_lease_of(const struct model *model, giro_u128 key);

const struct giro_schedule *model_schedule(const struct model *model, giro_u128 id);

/* When an occurrence of a schedule is due; 0: there is none such. */
uint64_t model_schedule_due(const struct giro_schedule *schedule, uint32_t occurrence);

giro_u128 model_schedule_transfer_id(giro_u128 schedule_id, uint32_t occurrence, uint32_t attempt);

struct model_posted {
    giro_u128 debits;
    giro_u128 credits;
    uint64_t count; /* postings that touch the account */
};

/* The epoch that a ledger number is in. */
uint64_t model_epoch(const struct model *model, uint32_t ledger);

/* What was posted to an account within an epoch of its ledger, whether or not it settles. */
struct model_posted model_posted(const struct model *model, giro_u128 account_id, uint64_t epoch);

/* False when there is no such account, or it does not settle. */
bool model_settlement(const struct model *model, giro_u128 account_id, struct giro_settlement *out);

struct model_payment {
    giro_u128 amount; /* what a hold authorised in all, or what a transfer posted */
    giro_u128 taken;  /* captured from the hold, or returned of the posted transfer */
    giro_u128 left;   /* of a hold: still pending; at its end: what had been left just before */
    uint32_t marks;   /* GIRO_MARK_* */
    uint32_t depth;   /* returns above it: 0 for what is no return */
};

/* Tells of every return, every post of a pending return, every transfer that was returned at least
 * once (with an amount of 0, too, and whether or not the return was given up), every hold that had a
 * keep_open or an adjust, and every marked transfer. False for any other id. */
bool model_payment(const struct model *model, giro_u128 id, struct model_payment *out);

#endif
