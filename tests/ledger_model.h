/* A second ledger to compare the engine with, written from the rules alone and for clarity alone:
 * arrays that are searched from the front, one function a group of rules in the order of their
 * precedence, and chains that are undone by putting back a copy of the state. */
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
    MODEL_SETTLED, /* plain transfers, posts and voids */
    MODEL_PENDING,
    MODEL_POSTED,
    MODEL_VOIDED,
    MODEL_EXPIRED,
    MODEL_BURNT, /* only the id is taken */
};

/* What a failed chain puts back. */
struct model_state {
    uint32_t accounts_count;
    uint32_t transfers_count;
    struct giro_account accounts[MODEL_ACCOUNTS_MAX];
    uint8_t status[MODEL_TRANSFERS_MAX]; /* enum model_status */
};

struct model {
    struct model_state now;
    struct model_state before; /* the chain that is under way */
    struct giro_transfer transfers[MODEL_TRANSFERS_MAX];
};

/* Each writes one code an event. timestamp: of the first event, which the others count on from. */
void model_create_accounts(struct model *model, const struct giro_account *events, uint32_t count,
                           uint64_t timestamp, uint32_t *codes);
void model_create_transfers(struct model *model, const struct giro_transfer *events, uint32_t count,
                            uint64_t timestamp, uint32_t *codes);

/* Releases at most max transfers whose deadline has come, the earliest first. Returns how many. */
uint32_t model_expire(struct model *model, uint64_t timestamp, uint32_t max);

/* NULL when there is none. */
const struct giro_account *model_account(const struct model *model, giro_u128 id);
const struct giro_transfer *model_transfer(const struct model *model, giro_u128 id);

#endif
