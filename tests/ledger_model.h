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

/* What a failed chain puts back. */
struct model_state {
    uint32_t accounts_count;
    uint32_t transfers_count;
    struct giro_account accounts[MODEL_ACCOUNTS_MAX];
    uint8_t status[MODEL_TRANSFERS_MAX]; /* enum model_status */
    struct model_note notes[MODEL_TRANSFERS_MAX];
};

struct model {
    struct model_state now;
    struct model_state before; /* the chain that is under way */
    struct giro_transfer transfers[MODEL_TRANSFERS_MAX];
    /* Of the account with the same number; account_id 0: never set. No transfer changes them. */
    struct giro_limits limits[MODEL_ACCOUNTS_MAX];
};

/* Each writes one code an event. timestamp: of the first event, which the others count on from. */
void model_create_accounts(struct model *model, const struct giro_account *events, uint32_t count,
                           uint64_t timestamp, uint32_t *codes);
void model_create_transfers(struct model *model, const struct giro_transfer *events, uint32_t count,
                            uint64_t timestamp, uint32_t *codes);
void model_set_limits(struct model *model, const struct giro_limits *events, uint32_t count,
                      uint64_t timestamp, uint32_t *codes);

/* Releases at most max transfers whose deadline has come, the earliest first. Returns how many. */
uint32_t model_expire(struct model *model, uint64_t timestamp, uint32_t max);

/* NULL when there is none. */
const struct giro_account *model_account(const struct model *model, giro_u128 id);
const struct giro_transfer *model_transfer(const struct model *model, giro_u128 id);

/* What an account is limited to; NULL when that was never set. */
const struct giro_limits *model_limits(const struct model *model, giro_u128 account_id);

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
