/* Account table: rows in one array in order of creation, and an index from id to row.
 *
 * A row is the account record itself, as the wire and the log have it. Rows never move and are
 * never deleted, except that a failed chain takes back the rows that it had just added, newest
 * first. Account timestamps strictly increase with the row number. */
#ifndef ENGINE_ACCOUNTS_H
#define ENGINE_ACCOUNTS_H

#include "engine/hash.h"
#include "engine/index.h"
#include "engine/record.h"

struct accounts {
    struct giro_account *rows;
    struct index index; /* value: row number + 1 */
    uint64_t hash_seed;
    uint32_t count;
    uint32_t capacity;
};

#define ACCOUNTS_NONE UINT32_MAX

/* expected: size the index for so many at first. Returns 0 or -ENOMEM. */
int accounts_init(struct accounts *accounts, uint32_t capacity, uint32_t expected,
                  uint64_t hash_seed);
void accounts_free(struct accounts *accounts);

/* Row number of an id with its hash, ACCOUNTS_NONE when there is no such account. */
static inline uint32_t accounts_find_hashed(const struct accounts *accounts, giro_u128 id,
                                            uint64_t hash)
{
    struct index_cursor cursor = index_search(&accounts->index, hash);
    for (;;) {
        uint64_t value = index_next(&accounts->index, &cursor);
        if (value == 0)
            return ACCOUNTS_NONE;
        if (accounts->rows[value - 1].id == id)
            return (uint32_t)(value - 1);
    }
}

static inline uint32_t accounts_find(const struct accounts *accounts, giro_u128 id)
{
    return accounts_find_hashed(accounts, id, id_hash(id, accounts->hash_seed));
}

/* Appends a row; the id is new and count is below capacity. */
struct giro_account *accounts_append(struct accounts *accounts, const struct giro_account *account);

/* Takes back the newest row. */
void accounts_pop(struct accounts *accounts);

/* Whether an account has exactly this timestamp. */
bool accounts_timestamp_exists(const struct accounts *accounts, uint64_t timestamp);

#endif
