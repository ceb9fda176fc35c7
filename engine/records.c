#include "engine/records.h"

#include "engine/memory.h"

#include <errno.h>

int record_cache_init(struct record_cache *cache, uint32_t records_max)
{
    uint32_t slots = 16;
    while (slots < 2 * records_max)
        slots *= 2;
    *cache = (struct record_cache){.slots = slots};
    cache->addresses = memory_reserve(slots * sizeof *cache->addresses);
    cache->records = memory_reserve(slots * sizeof *cache->records);
    if (cache->addresses == NULL || cache->records == NULL) {
        record_cache_free(cache);
        return -ENOMEM;
    }
    return 0;
}

void record_cache_free(struct record_cache *cache)
{
    memory_release(cache->addresses, cache->slots * sizeof *cache->addresses);
    memory_release(cache->records, cache->slots * sizeof *cache->records);
    *cache = (struct record_cache){0};
}

void record_cache_clear(struct record_cache *cache)
{
    if (cache->count == 0)
        return;
    memset(cache->addresses, 0, cache->slots * sizeof *cache->addresses);
    cache->count = 0;
}

static uint32_t slot_of(const struct record_cache *cache, uint64_t address)
{
    uint32_t slot = (uint32_t)(address * 0x9e3779b97f4a7c15ull >> 32) & (cache->slots - 1);
    while (cache->addresses[slot] != 0 && cache->addresses[slot] != address)
        slot = (slot + 1) & (cache->slots - 1);
    return slot;
}

void record_cache_put(struct record_cache *cache, uint64_t address, const union record *record)
{
    assert(address != 0);
    uint32_t slot = slot_of(cache, address);
    if (cache->addresses[slot] == address)
        return;
    assert(cache->count < cache->slots / 2);
    cache->addresses[slot] = address;
    cache->records[slot] = *record;
    cache->count++;
}

const union record *record_cache_get(const struct record_cache *cache, uint64_t address)
{
    if (cache->count == 0)
        return NULL;
    uint32_t slot = slot_of(cache, address);
    return cache->addresses[slot] == address ? &cache->records[slot] : NULL;
}
