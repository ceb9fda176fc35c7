#include "engine/holds.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static size_t outcome_bytes(uint64_t addresses)
{
    return addresses / 4 + 1;
}

int holds_init(struct holds *holds, uint32_t capacity, uint64_t addresses, uint64_t hash_seed)
{
    assert(capacity > 0 && capacity < UINT32_MAX);
    *holds = (struct holds){.capacity = capacity, .addresses = addresses, .hash_seed = hash_seed};
    holds->slots = memory_reserve((size_t)capacity * sizeof(struct hold));
    holds->heap = memory_reserve((size_t)capacity * sizeof(uint32_t));
    holds->outcome = memory_reserve(outcome_bytes(addresses));
    if (holds->slots == NULL || holds->heap == NULL || holds->outcome == NULL ||
        index_init(&holds->index, capacity, 0, INDEX_LOAD_FAST) != 0) {
        holds_free(holds);
        return -ENOMEM;
    }
    return 0;
}

void holds_free(struct holds *holds)
{
    memory_release(holds->slots, (size_t)holds->capacity * sizeof(struct hold));
    memory_release(holds->heap, (size_t)holds->capacity * sizeof(uint32_t));
    memory_release(holds->outcome, outcome_bytes(holds->addresses));
    index_free(&holds->index);
    *holds = (struct holds){0};
}

struct hold *holds_find(const struct holds *holds, giro_u128 id)
{
    struct index_cursor cursor = index_search(&holds->index, id_hash(id, holds->hash_seed));
    for (;;) {
        uint64_t value = index_next(&holds->index, &cursor);
        if (value == 0)
            return NULL;
        if (holds->slots[value - 1].record.id == id)
            return &holds->slots[value - 1];
    }
}

static uint32_t slot_of(const struct holds *holds, const struct hold *hold)
{
    return (uint32_t)(hold - holds->slots);
}

static bool earlier(const struct holds *holds, uint32_t a, uint32_t b)
{
    const struct hold *left = &holds->slots[a];
    const struct hold *right = &holds->slots[b];
    if (left->expires_at != right->expires_at)
        return left->expires_at < right->expires_at;
    return left->record.timestamp < right->record.timestamp;
}

static void heap_put(struct holds *holds, uint32_t position, uint32_t slot)
{
    holds->heap[position] = slot;
    holds->slots[slot].heap_position = position;
}

static void heap_rise(struct holds *holds, uint32_t position, uint32_t slot)
{
    while (position > 0) {
        uint32_t parent = (position - 1) / 2;
        if (!earlier(holds, slot, holds->heap[parent]))
            break;
        heap_put(holds, position, holds->heap[parent]);
        position = parent;
    }
    heap_put(holds, position, slot);
}

static void heap_sink(struct holds *holds, uint32_t position, uint32_t slot)
{
    for (;;) {
        uint32_t child = 2 * position + 1;
        if (child >= holds->heap_count)
            break;
        if (child + 1 < holds->heap_count &&
            earlier(holds, holds->heap[child + 1], holds->heap[child]))
            child++;
        if (!earlier(holds, holds->heap[child], slot))
            break;
        heap_put(holds, position, holds->heap[child]);
        position = child;
    }
    heap_put(holds, position, slot);
}

static void heap_insert(struct holds *holds, struct hold *hold)
{
    hold->heap_position = HOLDS_NOT_IN_HEAP;
    if (hold->expires_at != 0)
        heap_rise(holds, holds->heap_count++, slot_of(holds, hold));
}

static void heap_remove(struct holds *holds, struct hold *hold)
{
    uint32_t position = hold->heap_position;
    if (position == HOLDS_NOT_IN_HEAP)
        return;
    hold->heap_position = HOLDS_NOT_IN_HEAP;
    uint32_t last = holds->heap[--holds->heap_count];
    if (position == holds->heap_count)
        return;
    if (position > 0 && earlier(holds, last, holds->heap[(position - 1) / 2]))
        heap_rise(holds, position, last);
    else
        heap_sink(holds, position, last);
}

static void outcome_set(struct holds *holds, uint64_t address, enum hold_state state)
{
    assert(address < holds->addresses);
    uint32_t shift = (uint32_t)(address % 4) * 2;
    uint8_t *byte = &holds->outcome[address / 4];
    *byte = (uint8_t)((*byte & ~(3u << shift)) | (unsigned)state << shift);
}

enum hold_state holds_outcome(const struct holds *holds, uint64_t address)
{
    assert(address < holds->addresses);
    return (enum hold_state)(holds->outcome[address / 4] >> (address % 4) * 2 & 3);
}

struct hold *holds_insert(struct holds *holds, const struct giro_transfer *record, uint64_t address,
                          uint32_t debit_row, uint32_t credit_row)
{
    assert(holds->count < holds->capacity);
    uint32_t slot;
    if (holds->free_first != 0) {
        slot = holds->free_first - 1;
        holds->free_first = holds->slots[slot].next_free;
    } else {
        slot = holds->slots_used++;
    }
    struct hold *hold = &holds->slots[slot];
    *hold = (struct hold){
        .record = *record,
        .address = address,
        .debit_row = debit_row,
        .credit_row = credit_row,
        .state = HOLD_OPEN,
    };
    if (record->timeout != 0)
        hold->expires_at = record->timestamp + record->timeout * GIRO_NS_PER_S;
    heap_insert(holds, hold);
    index_insert(&holds->index, id_hash(record->id, holds->hash_seed), (uint64_t)slot + 1);
    holds->count++;
    return hold;
}

void hold_settle(struct holds *holds, struct hold *hold, enum hold_state state)
{
    assert(hold->state == HOLD_OPEN);
    assert(state != HOLD_OPEN);
    hold->state = state;
    outcome_set(holds, hold->address, state);
    heap_remove(holds, hold);
}

void hold_set_deadline(struct holds *holds, struct hold *hold, uint64_t expires_at)
{
    if (hold->expires_at == expires_at)
        return;
    heap_remove(holds, hold);
    hold->expires_at = expires_at;
    heap_insert(holds, hold);
}

void hold_reopen(struct holds *holds, struct hold *hold)
{
    assert(hold->state != HOLD_OPEN);
    hold->state = HOLD_OPEN;
    outcome_set(holds, hold->address, HOLD_OPEN);
    heap_insert(holds, hold);
}

void hold_remove(struct holds *holds, struct hold *hold)
{
    uint32_t slot = slot_of(holds, hold);
    heap_remove(holds, hold);
    index_remove(&holds->index, id_hash(hold->record.id, holds->hash_seed), (uint64_t)slot + 1);
    hold->record.id = 0; /* marks the slot as free for whoever walks the slots */
    hold->next_free = holds->free_first;
    holds->free_first = slot + 1;
    holds->count--;
}

struct hold *holds_earliest(const struct holds *holds)
{
    return holds->heap_count == 0 ? NULL : &holds->slots[holds->heap[0]];
}

void holds_outcome_reset(struct holds *holds, uint64_t address)
{
    outcome_set(holds, address, HOLD_OPEN);
}

void holds_outcomes_copy(struct holds *to, const struct holds *from, uint64_t address_end)
{
    enum { PAGE_BYTES = 4096 };
    static const uint8_t zeros[PAGE_BYTES];
    assert(address_end <= to->addresses && address_end <= from->addresses);
    /* Most pages of most ledgers are zeros: they are not touched. */
    for (size_t at = 0; at < outcome_bytes(address_end); at += PAGE_BYTES) {
        size_t left = outcome_bytes(address_end) - at;
        size_t size = left < PAGE_BYTES ? left : PAGE_BYTES;
        if (memcmp(&from->outcome[at], zeros, size) != 0)
            memcpy(&to->outcome[at], &from->outcome[at], size);
    }
}
