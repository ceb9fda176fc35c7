/* Limits of accounts: one row an account that was ever given any, changed at run time.
 *
 * Which row is an account's stands in an array by account row, so that an account without limits
 * costs one load, and a ledger without any of them one test. Rows are never deleted: one of zeros
 * limits nothing. */
#ifndef ENGINE_LIMITS_H
#define ENGINE_LIMITS_H

#include "engine/record.h"
#include "engine/velocity.h"

#include <stdbool.h>
#include <stddef.h>

/* Beside enum giro_limits_flag: a slot of the row is used, so that what transfers add up to here has
 * to be looked at. */
enum { LIMITS_COUNT = 1 << 7 };

/* One line of the cache, and one a slot behind it, which only rows with LIMITS_COUNT need. */
struct limits {
    GIRO_ALIGNAS_16 giro_u128 floor;
    giro_u128 balance_max;
    giro_u128 transfer_max;
    uint64_t timestamp;
    uint32_t account_row;
    uint32_t over_capture : 24;
    uint32_t flags : 8; /* enum giro_limits_flag, LIMITS_COUNT */
    struct velocity slots[GIRO_VELOCITY_SLOTS];
};

_Static_assert(sizeof(struct velocity) == 48, "no padding in struct velocity");
_Static_assert(sizeof(struct limits) == 64 + GIRO_VELOCITY_SLOTS * sizeof(struct velocity),
               "no padding in struct limits");

struct limits_table {
    struct limits *rows;
    uint32_t *by_account; /* account row -> row + 1; 0: none */
    uint32_t count;
    uint32_t counting; /* rows with LIMITS_COUNT */
    uint32_t capacity; /* of accounts, too */
};

/* Returns 0 or -ENOMEM. */
int limits_init(struct limits_table *table, uint32_t accounts_max);
void limits_free(struct limits_table *table);

/* Appends a row as it was saved; the account has none. */
void limits_append(struct limits_table *table, const struct limits *row);

/* Puts another row into the place of one, of the same account. */
void limits_replace(struct limits_table *table, uint32_t number, const struct limits *row);

/* NULL: the account has none. */
static inline const struct limits *limits_of(const struct limits_table *table, uint32_t account_row)
{
    uint32_t row = table->count == 0 ? 0 : table->by_account[account_row];
    return row == 0 ? NULL : &table->rows[row - 1];
}

#endif
