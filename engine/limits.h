/* Limits of accounts: one row an account that was ever given any, changed at run time.
 *
 * Which row is an account's stands in an array by account row, so that an account without limits
 * costs one load, and a ledger without any of them one test. Rows are never deleted: one of zeros
 * limits nothing. */
#ifndef ENGINE_LIMITS_H
#define ENGINE_LIMITS_H

#include "engine/record.h"

#include <stdbool.h>
#include <stddef.h>

/* One line of the cache. */
struct limits {
    GIRO_ALIGNAS_16 giro_u128 floor;
    giro_u128 balance_max;
    giro_u128 transfer_max;
    uint64_t timestamp;
    uint32_t account_row;
    uint32_t over_capture : 24;
    uint32_t flags : 8; /* enum giro_limits_flag */
};

_Static_assert(sizeof(struct limits) == 64, "no padding in struct limits");

struct limits_table {
    struct limits *rows;
    uint32_t *by_account; /* account row -> row + 1; 0: none */
    uint32_t count;
    uint32_t capacity; /* of accounts, too */
};

/* Returns 0 or -ENOMEM. */
int limits_init(struct limits_table *table, uint32_t accounts_max);
void limits_free(struct limits_table *table);

/* Appends a row as it was saved; the account has none. */
void limits_append(struct limits_table *table, const struct limits *row);

/* NULL: the account has none. */
static inline const struct limits *limits_of(const struct limits_table *table, uint32_t account_row)
{
    uint32_t row = table->count == 0 ? 0 : table->by_account[account_row];
    return row == 0 ? NULL : &table->rows[row - 1];
}

#endif
