#include "engine/accounts.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>

int accounts_init(struct accounts *accounts, uint32_t capacity, uint32_t expected,
                  uint64_t hash_seed)
{
    assert(capacity > 0 && capacity < ACCOUNTS_NONE);
    *accounts = (struct accounts){.capacity = capacity, .hash_seed = hash_seed};
    accounts->rows = memory_reserve((size_t)capacity * sizeof(struct giro_account));
    if (accounts->rows == NULL)
        return -ENOMEM;
    int error = index_init(&accounts->index, capacity, expected, INDEX_LOAD_FAST);
    if (error != 0)
        accounts_free(accounts);
    return error;
}

void accounts_free(struct accounts *accounts)
{
    memory_release(accounts->rows, (size_t)accounts->capacity * sizeof(struct giro_account));
    index_free(&accounts->index);
    *accounts = (struct accounts){0};
}

struct giro_account *accounts_append(struct accounts *accounts, const struct giro_account *account)
{
    assert(accounts->count < accounts->capacity);
    uint32_t row = accounts->count++;
    accounts->rows[row] = *account;
    index_insert(&accounts->index, id_hash(account->id, accounts->hash_seed), (uint64_t)row + 1);
    return &accounts->rows[row];
}

void accounts_pop(struct accounts *accounts)
{
    assert(accounts->count > 0);
    uint32_t row = accounts->count - 1;
    uint64_t hash = id_hash(accounts->rows[row].id, accounts->hash_seed);
    index_remove(&accounts->index, hash, (uint64_t)row + 1);
    accounts->count = row;
}

bool accounts_timestamp_exists(const struct accounts *accounts, uint64_t timestamp)
{
    uint32_t low = 0;
    uint32_t high = accounts->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (accounts->rows[middle].timestamp < timestamp)
            low = middle + 1;
        else
            high = middle;
    }
    return low < accounts->count && accounts->rows[low].timestamp == timestamp;
}
