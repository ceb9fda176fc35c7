#include "engine/leases.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>

/* Rows that are looked at for one that can be taken before the table grows. */
enum { LOOKS = 16 };

int leases_init(struct leases *leases, uint32_t capacity, uint64_t hash_seed)
{
    *leases = (struct leases){.capacity = capacity, .hash_seed = hash_seed};
    leases->rows = memory_reserve((size_t)capacity * sizeof *leases->rows);
    if (leases->rows != NULL && index_init(&leases->index, capacity, 0, INDEX_LOAD_FAST) == 0)
        return 0;
    leases_free(leases);
    return -ENOMEM;
}

void leases_free(struct leases *leases)
{
    memory_release(leases->rows, (size_t)leases->capacity * sizeof *leases->rows);
    index_free(&leases->index);
    *leases = (struct leases){0};
}

uint32_t leases_find(const struct leases *leases, giro_u128 key)
{
    if (leases->count == 0)
        return LEASES_NONE;
    struct index_cursor cursor = index_search(&leases->index, id_hash(key, leases->hash_seed));
    for (;;) {
        uint64_t value = index_next(&leases->index, &cursor);
        if (value == 0)
            return LEASES_NONE;
        if (leases->rows[value - 1].key == key)
            return (uint32_t)(value - 1);
    }
}

uint32_t leases_vacant(struct leases *leases, uint64_t time)
{
    const bool full = leases->count == leases->capacity;
    const uint32_t looks = full || leases->count < LOOKS ? leases->count : LOOKS;
    for (uint32_t i = 0; i < looks; i++) {
        uint32_t row = leases->looked_at < leases->count ? leases->looked_at : 0;
        leases->looked_at = row + 1;
        if (!lease_is_current(&leases->rows[row], time))
            return row;
    }
    return full ? LEASES_NONE : leases->count;
}

void leases_put(struct leases *leases, uint32_t row, const struct lease *lease)
{
    assert(row <= leases->count && row < leases->capacity);
    struct lease *place = &leases->rows[row];
    const bool is_new = row == leases->count;
    if (!is_new && place->key != lease->key)
        index_remove(&leases->index, id_hash(place->key, leases->hash_seed), (uint64_t)row + 1);
    if (is_new || place->key != lease->key)
        index_insert(&leases->index, id_hash(lease->key, leases->hash_seed), (uint64_t)row + 1);
    leases->count += is_new;
    *place = *lease;
}
