/* Settlement: what was posted to an account between one cut-off of its ledger and the next.
 *
 * A cut-off raises the epoch of a ledger number, and touches nothing else. Accounts with the flag
 * `settles` have a row that adds up what is posted to them; it notices at the next posting that its
 * epoch is over. What it has then becomes what it had before, and it begins at zero:
 *
 *   the ledger's epoch | the row's sums are of | so that of the ledger's epoch   | and of the one before
 *   -------------------|-----------------------|---------------------------------|----------------------
 *   e                  | e                     | they are the sums               | the sums before, or 0
 *   e                  | e - 1                 | nothing was posted              | they are the sums
 *   e                  | an older one          | nothing was posted              | nothing was posted
 *
 * So both are exact at any time, for as many accounts as there are, without a pause. */
#ifndef ENGINE_SETTLEMENTS_H
#define ENGINE_SETTLEMENTS_H

#include "engine/record.h"

#include <stddef.h>

struct settlement {
    GIRO_ALIGNAS_16 giro_u128 debits; /* posted within the epoch */
    giro_u128 credits;
    giro_u128 debits_before; /* ... and within the one in front of it that the row has seen */
    giro_u128 credits_before;
    uint64_t count; /* postings */
    uint64_t count_before;
    uint64_t epoch;
    uint64_t epoch_before;
    uint32_t account_row;
    uint32_t reserved[3]; /* 0 */
};

_Static_assert(sizeof(struct settlement) == 112, "no padding in struct settlement");

/* The epoch of a ledger number that was ever cut off; those without a row are in epoch 0. */
struct epoch {
    uint64_t epoch;
    uint64_t timestamp; /* when it began */
    uint32_t ledger;
    uint32_t reserved; /* 0 */
};

_Static_assert(sizeof(struct epoch) == 24, "no padding in struct epoch");

struct settlements {
    struct settlement *rows;
    uint32_t *by_account; /* account row -> row + 1; 0: none */
    uint32_t count;
    uint32_t capacity; /* of accounts, too */
    struct epoch *epochs;
    uint32_t epoch_count;
};

enum { SETTLEMENTS_EPOCHS_MAX = 1024 }; /* ledger numbers that are cut off */

/* Returns 0 or -ENOMEM. */
int settlements_init(struct settlements *settlements, uint32_t accounts_max);
void settlements_free(struct settlements *settlements);

/* Appends a row as it was saved, or a new one; the account has none. */
void settlements_append(struct settlements *settlements, const struct settlement *row);

/* Takes back the newest row, of this account. */
void settlements_pop(struct settlements *settlements, uint32_t account_row);

/* The epoch of a ledger number; NULL: 0, as it was never cut off. */
const struct epoch *settlements_epoch(const struct settlements *settlements, uint32_t ledger);

/* Its number. */
static inline uint64_t settlements_epoch_number(const struct settlements *settlements,
                                                uint32_t ledger)
{
    const struct epoch *epoch = settlements_epoch(settlements, ledger);
    return epoch != NULL ? epoch->epoch : 0;
}

/* Puts an epoch into the place of its ledger's one, or behind them all. */
void settlements_cut(struct settlements *settlements, const struct epoch *epoch);

/* Rolls a row on to an epoch. */
void settlement_roll(struct settlement *row, uint64_t epoch);

#endif
