#include "tools/import_ids.h"

#include "tools/import_memory.h"

#include <assert.h>
#include <stdlib.h>

static uint32_t id_hash(giro_u128 id)
{
    uint64_t hash = (uint64_t)id * 0x9e3779b97f4a7c15u ^ (uint64_t)(id >> 64);
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return (uint32_t)(hash >> 32);
}

/* The slot of an id, or the empty one where it belongs. */
static struct import_ids_slot *slot_find(const struct import_ids *ids, giro_u128 id)
{
    uint32_t mask = ids->slot_count - 1;
    uint32_t at = id_hash(id) & mask;
    assert(ids->count < ids->slot_count);
    while (ids->slots[at].index != IMPORT_IDS_NONE && ids->slots[at].id != id)
        at = (at + 1) & mask;
    return &ids->slots[at];
}

static void grow(struct import_ids *ids)
{
    struct import_ids old = *ids;
    ids->slot_count = old.slot_count == 0 ? 1024 : 2 * old.slot_count;
    ids->slots = import_memory(NULL, ids->slot_count, sizeof *ids->slots);
    for (uint32_t i = 0; i < ids->slot_count; i++)
        ids->slots[i].index = IMPORT_IDS_NONE;
    for (uint32_t i = 0; i < old.slot_count; i++) {
        if (old.slots[i].index != IMPORT_IDS_NONE)
            *slot_find(ids, old.slots[i].id) = old.slots[i];
    }
    free(old.slots);
}

uint32_t import_ids_put(struct import_ids *ids, giro_u128 id, uint32_t index)
{
    assert(index != IMPORT_IDS_NONE);
    if (ids->count >= ids->slot_count / 2)
        grow(ids);
    struct import_ids_slot *slot = slot_find(ids, id);
    if (slot->index != IMPORT_IDS_NONE)
        return slot->index;
    *slot = (struct import_ids_slot){id, index};
    ids->count++;
    return IMPORT_IDS_NONE;
}

uint32_t import_ids_find(const struct import_ids *ids, giro_u128 id)
{
    return ids->slot_count == 0 ? IMPORT_IDS_NONE : slot_find(ids, id)->index;
}

void import_ids_free(struct import_ids *ids)
{
    free(ids->slots);
    *ids = (struct import_ids){0};
}
