#include "engine/holds.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

enum { HOLDS = 600, ADDRESSES = 5000 };

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static void holds_open(struct holds *holds, uint32_t capacity)
{
    cr_assert(holds_init(holds, capacity, ADDRESSES, 7) == 0);
}

static struct hold *hold_add(struct holds *holds, uint64_t id, uint64_t timestamp, uint32_t timeout)
{
    struct giro_transfer record = {
        .id = id,
        .amount = id,
        .timestamp = timestamp,
        .timeout = timeout,
        .flags = GIRO_TRANSFER_PENDING,
    };
    return holds_insert(holds, &record, id, (uint32_t)id + 1, (uint32_t)id + 2);
}

/* No hold is earlier than the one above it, and both sides of the heap's references agree. */
static void heap_check(const struct holds *holds)
{
    const struct deadlines *deadlines = &holds->deadlines;
    for (uint32_t i = 0; i < deadlines->count; i++) {
        const struct deadline *deadline = &deadlines->heap[i];
        const struct hold *hold = &holds->slots[deadline->slot];
        cr_assert(deadlines->places[deadline->slot] == i + 1);
        cr_assert(hold->expires_at != 0 && hold->expires_at == deadline->time);
        cr_assert(hold->record.timestamp == deadline->order);
        if (i == 0)
            continue;
        const struct deadline *parent = &deadlines->heap[(i - 1) / 2];
        cr_assert(parent->time <= deadline->time);
        cr_assert(parent->time < deadline->time || parent->order < deadline->order);
    }
}

static int deadline_compare(const void *left, const void *right)
{
    const struct hold *a = left;
    const struct hold *b = right;
    if (a->expires_at != b->expires_at)
        return a->expires_at < b->expires_at ? -1 : 1;
    return a->record.timestamp < b->record.timestamp ? -1 : 1;
}

/* Takes the earliest hold until none is left, and expects the order that sorting gives. */
static void expect_sorted(struct holds *holds, struct hold *expected, uint32_t count)
{
    qsort(expected, count, sizeof *expected, deadline_compare);
    for (uint32_t i = 0; i < count; i++) {
        struct hold *hold = holds_earliest(holds);
        cr_assert(hold != NULL);
        cr_assert(hold->record.id == expected[i].record.id, "at %u: %lu instead of %lu", i,
                  (uint64_t)hold->record.id, (uint64_t)expected[i].record.id);
        hold_settle(holds, hold, HOLD_EXPIRED);
        hold_remove(holds, hold);
        heap_check(holds);
    }
    cr_assert(holds_earliest(holds) == NULL);
}

/* Adds holds with few different deadlines, so that many are equal; returns those with one. */
static uint32_t holds_fill(struct holds *holds, struct hold *with_deadline)
{
    uint32_t count = 0;
    for (uint64_t id = 1; id <= HOLDS; id++) {
        /* Of equal deadlines, the later transfer has the shorter timeout. */
        uint64_t seconds = random_next() % 8;
        uint32_t timeout = (uint32_t)(random_next() % 8);
        const struct hold *hold = hold_add(holds, id, (1 + seconds) * GIRO_NS_PER_S + id, timeout);
        cr_assert((hold->expires_at != 0) == (timeout != 0));
        if (timeout != 0)
            with_deadline[count++] = *hold;
    }
    heap_check(holds);
    return count;
}

Test(holds, come_out_of_the_heap_in_order)
{
    struct hold expected[HOLDS];
    struct holds holds;
    holds_open(&holds, HOLDS);
    uint32_t count = holds_fill(&holds, expected);
    cr_assert(count > HOLDS / 2);
    cr_assert(count < HOLDS);
    cr_assert(holds.deadlines.count == count);
    expect_sorted(&holds, expected, count);
    cr_assert(holds.count == HOLDS - count);
    holds_free(&holds);
}

/* Deadlines of the same nanosecond: the transfer with the lesser timestamp goes first, whichever of
 * them was added first. */
Test(holds, break_ties_by_the_timestamp_of_the_transfer)
{
    struct holds holds;
    holds_open(&holds, 4);
    hold_add(&holds, 1, 3 * GIRO_NS_PER_S, 1);
    hold_add(&holds, 2, 1 * GIRO_NS_PER_S, 3);
    hold_add(&holds, 3, 2 * GIRO_NS_PER_S, 2);
    static const uint64_t expected[] = {2, 3, 1};
    for (uint32_t i = 0; i < 3; i++) {
        struct hold *hold = holds_earliest(&holds);
        cr_assert(hold->expires_at == 4 * GIRO_NS_PER_S);
        cr_assert(hold->record.id == expected[i]);
        hold_remove(&holds, hold);
    }
    holds_free(&holds);
}

/* Settled, settled and reopened, removed as they are: the rest stays in order. */
Test(holds, leave_the_middle_of_the_heap)
{
    struct hold expected[HOLDS];
    struct holds holds;
    holds_open(&holds, HOLDS);
    uint32_t count = holds_fill(&holds, expected);
    for (uint32_t i = 0; i < count / 2; i++) {
        uint32_t gone = (uint32_t)(random_next() % count);
        struct hold *hold = holds_find(&holds, expected[gone].record.id);
        cr_assert(hold != NULL);
        uint64_t choice = random_next() % 3;
        if (choice < 2) {
            hold_settle(&holds, hold, HOLD_VOIDED);
            heap_check(&holds);
            cr_assert(holds.deadlines.places[hold - holds.slots] == 0);
        }
        if (choice == 1) {
            hold_reopen(&holds, hold);
            heap_check(&holds);
            cr_assert(hold->state == HOLD_OPEN);
            continue;
        }
        hold_remove(&holds, hold);
        heap_check(&holds);
        expected[gone] = expected[--count];
    }
    expect_sorted(&holds, expected, count);
    holds_free(&holds);
}

Test(holds, are_found_by_id_until_they_are_removed)
{
    struct hold expected[HOLDS];
    struct holds holds;
    holds_open(&holds, HOLDS);
    holds_fill(&holds, expected);
    cr_assert(holds_find(&holds, 0) == NULL);
    cr_assert(holds_find(&holds, HOLDS + 1) == NULL);
    for (uint64_t id = 1; id <= HOLDS; id++) {
        struct hold *hold = holds_find(&holds, id);
        cr_assert(hold != NULL);
        cr_assert(hold->record.id == id);
        cr_assert(hold->record.amount == id);
        cr_assert(hold->address == id);
        cr_assert(hold->debit_row == id + 1);
        cr_assert(hold->credit_row == id + 2);
        cr_assert(hold->state == HOLD_OPEN);
        /* One that ended is still there: its chain may be undone. */
        hold_settle(&holds, hold, HOLD_POSTED);
        cr_assert(holds_find(&holds, id) == hold);
        hold_remove(&holds, hold);
        cr_assert(holds_find(&holds, id) == NULL);
        cr_assert(holds.count == HOLDS - id);
    }
    holds_free(&holds);
}

Test(holds, use_slots_again)
{
    struct holds holds;
    uint64_t live[8];
    holds_open(&holds, 8);
    for (uint64_t id = 1; id <= 8; id++) {
        hold_add(&holds, id, id, (uint32_t)id);
        live[id - 1] = id;
    }
    for (uint64_t id = 9; id <= 1000; id++) {
        uint64_t *gone = &live[random_next() % 8];
        hold_remove(&holds, holds_find(&holds, *gone));
        *gone = id;
        const struct hold *hold = hold_add(&holds, id, id, (uint32_t)(random_next() % 3));
        cr_assert(hold->state == HOLD_OPEN);
        cr_assert(hold->record.id == id);
        cr_assert(holds.slots_used == 8);
        cr_assert(holds.count == 8);
        for (uint32_t i = 0; i < 8; i++)
            cr_assert(holds_find(&holds, live[i]) != NULL);
        heap_check(&holds);
    }
    holds_free(&holds);
}

/* Several free slots at once come back one by one, none twice. */
Test(holds, give_every_free_slot_once)
{
    struct holds holds;
    holds_open(&holds, 16);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t id = 1; id <= 16; id++)
            hold_add(&holds, 100 * round + id, id, 1);
        for (uint64_t id = 1; id <= 16; id++) {
            const struct hold *hold = holds_find(&holds, 100 * round + id);
            cr_assert(hold != NULL);
            cr_assert(hold->record.id == 100 * round + id);
        }
        for (uint64_t id = 16; id >= 1; id--)
            hold_remove(&holds, holds_find(&holds, 100 * round + id));
        cr_assert(holds.count == 0);
        cr_assert(holds.deadlines.count == 0);
        cr_assert(holds.slots_used == 16);
    }
    holds_free(&holds);
}

/* Four outcomes share a byte. */
Test(holds, keep_their_outcome_by_address)
{
    static const enum hold_state states[] = {HOLD_POSTED, HOLD_VOIDED, HOLD_EXPIRED};
    struct holds holds;
    holds_open(&holds, HOLDS);
    for (uint64_t id = 1; id <= HOLDS; id++)
        hold_add(&holds, id, id, 0);
    for (uint64_t id = 1; id <= HOLDS; id += 2) {
        struct hold *hold = holds_find(&holds, id);
        cr_assert(holds_outcome(&holds, id) == HOLD_OPEN);
        hold_settle(&holds, hold, HOLD_EXPIRED);
        hold_reopen(&holds, hold);
        cr_assert(holds_outcome(&holds, id) == HOLD_OPEN);
        hold_settle(&holds, hold, states[id % 3]);
        hold_remove(&holds, hold);
    }
    for (uint64_t id = 1; id <= HOLDS; id++)
        cr_assert(holds_outcome(&holds, id) == (id % 2 == 1 ? states[id % 3] : HOLD_OPEN));
    cr_assert(holds_outcome(&holds, ADDRESSES - 1) == HOLD_OPEN);
    holds_free(&holds);
}

Test(holds, abort_when_one_ends_twice, .signal = SIGABRT)
{
    struct holds holds;
    holds_open(&holds, 1);
    struct hold *hold = hold_add(&holds, 1, 1, 1);
    hold_settle(&holds, hold, HOLD_POSTED);
    hold_settle(&holds, hold, HOLD_VOIDED);
}

Test(holds, abort_beyond_their_capacity, .signal = SIGABRT)
{
    struct holds holds;
    holds_open(&holds, 1);
    hold_add(&holds, 1, 1, 1);
    hold_add(&holds, 2, 2, 1);
}
