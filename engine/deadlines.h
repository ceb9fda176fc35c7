/* Deadlines: what is due when, the earliest first.
 *
 * A binary heap of (time, order), so that what comes out next is a function of what is in it, never
 * of its history. Whatever has a deadline is known by a number of its own, a slot. */
#ifndef ENGINE_DEADLINES_H
#define ENGINE_DEADLINES_H

#include <stddef.h>
#include <stdint.h>

struct deadline {
    uint64_t time;
    uint64_t order; /* of those at the same time */
    uint32_t slot;
};

struct deadlines {
    struct deadline *heap;
    uint32_t *places; /* by slot: place in the heap + 1; 0: it is not there */
    uint32_t count;
    uint32_t capacity; /* slots */
};

/* Returns 0 or -ENOMEM. */
int deadlines_init(struct deadlines *deadlines, uint32_t capacity);
void deadlines_free(struct deadlines *deadlines);

/* Gives a slot a deadline in place of the one that it may have; time 0: none. */
void deadlines_set(struct deadlines *deadlines, uint32_t slot, uint64_t time, uint64_t order);

/* NULL: there is none. */
static inline const struct deadline *deadlines_first(const struct deadlines *deadlines)
{
    return deadlines->count == 0 ? NULL : &deadlines->heap[0];
}

#endif
