#include "engine/deadlines.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>

int deadlines_init(struct deadlines *deadlines, uint32_t capacity)
{
    *deadlines = (struct deadlines){.capacity = capacity};
    deadlines->heap = memory_reserve((size_t)capacity * sizeof *deadlines->heap);
    deadlines->places = memory_reserve((size_t)capacity * sizeof *deadlines->places);
    if (deadlines->heap != NULL && deadlines->places != NULL)
        return 0;
    deadlines_free(deadlines);
    return -ENOMEM;
}

void deadlines_free(struct deadlines *deadlines)
{
    memory_release(deadlines->heap, (size_t)deadlines->capacity * sizeof *deadlines->heap);
    memory_release(deadlines->places, (size_t)deadlines->capacity * sizeof *deadlines->places);
    *deadlines = (struct deadlines){0};
}

static bool earlier(const struct deadline *a, const struct deadline *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static void place_put(struct deadlines *deadlines, uint32_t place, const struct deadline *deadline)
{
    deadlines->heap[place] = *deadline;
    deadlines->places[deadline->slot] = place + 1;
}

/* Puts a deadline where it belongs, from a place whose own has gone, above it or below it. */
static void place_settle(struct deadlines *deadlines, uint32_t place, struct deadline deadline)
{
    const struct deadline *heap = deadlines->heap;
    while (place > 0 && earlier(&deadline, &heap[(place - 1) / 2])) {
        place_put(deadlines, place, &heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child + 1 < deadlines->count && earlier(&heap[child + 1], &heap[child]))
            child++;
        if (child >= deadlines->count || !earlier(&heap[child], &deadline))
            break;
        place_put(deadlines, place, &heap[child]);
        place = child;
    }
    place_put(deadlines, place, &deadline);
}

void deadlines_set(struct deadlines *deadlines, uint32_t slot, uint64_t time, uint64_t order)
{
    const struct deadline deadline = {.time = time, .order = order, .slot = slot};
    assert(slot < deadlines->capacity);
    uint32_t place = deadlines->places[slot];
    if (time != 0) {
        if (place == 0)
            place = ++deadlines->count;
        place_settle(deadlines, place - 1, deadline);
    } else if (place != 0) {
        deadlines->places[slot] = 0;
        if (place != deadlines->count--)
            place_settle(deadlines, place - 1, deadlines->heap[deadlines->count]);
    }
}
