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
    holds->outcome = memory_reserve(outcome_bytes(addresses));
    if (holds->slots == NULL || holds->outcome == NULL ||
        deadlines_init(&holds->deadlines, capacity) != 0 ||
        index_init(&holds->index, capacity, 0, INDEX_LOAD_FAST) != 0) {
        holds_free(holds);
        return -ENOMEM;
    }
    return 0;
}

void holds_free(struct holds *holds)
{
    memory_release(holds->slots, (size_t)holds->capacity * sizeof(struct hold));
    deadlines_free(&holds->deadlines);
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

/* An ended hold has no deadline. */
static void deadline_set(struct holds *holds, const struct hold *hold)
{
    deadlines_set(&holds->deadlines, slot_of(holds, hold),
                  hold->state == HOLD_OPEN ? hold->expires_at : 0, hold->record.timestamp);
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
    deadline_set(holds, hold);
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
    deadline_set(holds, hold);
}

void hold_set_deadline(struct holds *holds, struct hold *hold, uint64_t expires_at)
{
    hold->expires_at = expires_at;
    deadline_set(holds, hold);
}

void hold_reopen(struct holds *holds, struct hold *hold)
{
    assert(hold->state != HOLD_OPEN);
    hold->state = HOLD_OPEN;
    outcome_set(holds, hold->address, HOLD_OPEN);
    deadline_set(holds, hold);
}

void hold_remove(struct holds *holds, struct hold *hold)
{
    uint32_t slot = slot_of(holds, hold);
    deadlines_set(&holds->deadlines, slot, 0, 0);
    index_remove(&holds->index, id_hash(hold->record.id, holds->hash_seed), (uint64_t)slot + 1);
    hold->record.id = 0; /* marks the slot as free for whoever walks the slots */
    hold->next_free = holds->free_first;
    holds->free_first = slot + 1;
    holds->count--;
}

struct hold *holds_earliest(const struct holds *holds)
{
    const struct deadline *first = deadlines_first(&holds->deadlines);
    return first == NULL ? NULL : &holds->slots[first->slot];
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
