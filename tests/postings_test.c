/* Postings against a filter that goes through all of them. */
#include "tests/scratch.h"
#include "wal/postings.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 5 * POSTINGS_RUN };

#define SEED_DEFAULT 4711ull

static struct postings postings;
static uint64_t *added; /* in the order in which they were added */

static void setup(void)
{
    cr_assert_eq(postings_init(&postings, CAPACITY), 0);
    added = calloc(CAPACITY, sizeof *added);
    cr_assert(added != NULL);
}

static void teardown(void)
{
    postings_free(&postings);
    free(added);
}

TestSuite(postings, .init = setup, .fini = teardown);

static void add(uint32_t key, uint32_t place)
{
    added[postings.count] = posting(key, place);
    postings_add(&postings, key, place);
}

/* What a search finds is what a filter finds, in both directions. */
static void search_check(uint32_t key)
{
    struct postings_search search;
    uint32_t place;
    uint64_t found = 0;
    postings_search_begin(&search, &postings, key, false);
    for (uint64_t i = 0; i < postings.count; i++) {
        if (added[i] >> 32 != key)
            continue;
        cr_assert(postings_search_next(&search, &place), "key %u: place %u", key,
                  (uint32_t)added[i]);
        cr_assert_eq(place, (uint32_t)added[i], "key %u", key);
        found++;
    }
    cr_assert_not(postings_search_next(&search, &place), "key %u: too many", key);
    cr_assert_not(postings_search_next(&search, &place));
    postings_search_begin(&search, &postings, key, true);
    for (uint64_t i = postings.count; i > 0; i--) {
        if (added[i - 1] >> 32 != key)
            continue;
        cr_assert(postings_search_next(&search, &place), "key %u reversed", key);
        cr_assert_eq(place, (uint32_t)added[i - 1], "key %u reversed", key);
        found--;
    }
    cr_assert_not(postings_search_next(&search, &place), "key %u reversed: too many", key);
    cr_assert_not(postings_search_next(&search, &place));
    cr_assert_eq(found, 0);
}

static int entry_compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* As a whole: entries are in order of key and place, and the same ones; searching goes on. */
static void sort_check(const uint32_t *keys, uint32_t key_count)
{
    uint64_t *expected = malloc((postings.count + 1) * sizeof *expected);
    cr_assert(expected != NULL);
    memcpy(expected, added, postings.count * sizeof *expected);
    qsort(expected, postings.count, sizeof *expected, entry_compare);
    const uint64_t *sorted = postings_sort(&postings);
    cr_assert(memcmp(sorted, expected, postings.count * sizeof *expected) == 0);
    for (uint32_t i = 0; i < key_count; i++) {
        uint64_t first = posting(keys[i], 0);
        uint64_t at = entries_lower_bound(sorted, postings.count, first);
        cr_assert(at == 0 || sorted[at - 1] < first);
        cr_assert(at == postings.count || sorted[at] >= first);
        search_check(keys[i]);
    }
    free(expected);
}

/* ---- Tables ------------------------------------------------------------------------------ */

static const uint32_t edges[] = {0, 1, 2, 0x7ff, 0x800, 0x7fffffff, UINT32_MAX - 1, UINT32_MAX};

enum { EDGES = sizeof edges / sizeof edges[0] };

static const uint64_t counts[] = {
    0,
    1,
    2,
    POSTINGS_RUN - 1,
    POSTINGS_RUN,
    POSTINGS_RUN + 1,
    2 * POSTINGS_RUN - 1,
    2 * POSTINGS_RUN,
    2 * POSTINGS_RUN + 1,
    3 * POSTINGS_RUN + 77,
};

enum { COUNTS = sizeof counts / sizeof counts[0] };

Test(postings, finds_edge_keys_at_every_count)
{
    for (uint32_t c = 0; c < COUNTS; c++) {
        postings_clear(&postings);
        for (uint32_t i = 0; i < counts[c]; i++)
            add(edges[i * 7 % EDGES], i);
        for (uint32_t i = 0; i < EDGES; i++)
            search_check(edges[i]);
        search_check(3);
        sort_check(edges, EDGES);
    }
}

/* One key alone fills every run: nothing lies beside it. */
Test(postings, finds_the_only_key)
{
    for (uint32_t k = 0; k < EDGES; k++) {
        for (uint32_t c = 0; c < COUNTS; c++) {
            postings_clear(&postings);
            for (uint32_t i = 0; i < counts[c]; i++)
                add(edges[k], UINT32_MAX - (uint32_t)counts[c] + i);
            search_check(edges[k]);
            search_check(edges[(k + 1) % EDGES]);
            search_check(edges[(k + EDGES - 1) % EDGES]);
            sort_check(&edges[k], 1);
        }
    }
}

/* A key that is only in one of the runs, or only in the unsorted rest. */
Test(postings, finds_a_key_in_one_run)
{
    const uint32_t runs = 3;
    for (uint32_t k = 0; k < EDGES; k++) {
        for (uint32_t run = 0; run <= runs; run++) {
            postings_clear(&postings);
            for (uint32_t i = 0; i < runs * POSTINGS_RUN + 100; i++)
                add(i / POSTINGS_RUN == run && i % 50 == 0 ? edges[k] : 5000 + i % 3, i);
            search_check(edges[k]);
            search_check(5001);
        }
    }
}

Test(postings, keeps_order_of_equal_places)
{
    for (uint32_t i = 0; i < POSTINGS_RUN + 10; i++)
        add(i % 2, i / 4);
    search_check(0);
    search_check(1);
    sort_check(edges, 2);
}

/* ---- Random ------------------------------------------------------------------------------ */

/* Keys of few or many values, in all or few of their bits. */
static uint32_t key_choose(struct rng *rng, uint32_t sort)
{
    switch (sort) {
    case 0:
        return rng_below(rng, 5);
    case 1:
        return edges[rng_below(rng, EDGES)];
    case 2:
        return rng_below(rng, 50) * rng_below(rng, 50) << 20;
    case 3:
        return 1u << rng_below(rng, 32);
    default:
        return (uint32_t)rng_next(rng);
    }
}

Test(postings, agrees_with_a_filter)
{
    struct rng rng = rng_make(SEED_DEFAULT);
    for (uint32_t round = 0; round < 20; round++) {
        uint32_t place = 0;
        uint32_t checked[20];
        uint64_t count = rng_below(&rng, CAPACITY);
        postings_clear(&postings);
        for (uint64_t i = 0; i < count; i++) {
            add(key_choose(&rng, round % 5), place);
            place += rng_below(&rng, 3);
            if (rng_below(&rng, 20000) == 0)
                search_check((uint32_t)(added[rng_below(&rng, (uint32_t)i + 1)] >> 32));
        }
        for (uint32_t i = 0; i < 20; i++) {
            checked[i] = key_choose(&rng, round % 5);
            search_check(checked[i]);
        }
        sort_check(checked, 20);
    }
}

/* The first search sorts what is complete; from then on nothing moves while it is looked at. */
Test(postings, searches_move_nothing_twice)
{
    struct postings_search search;
    uint32_t place;
    for (uint32_t i = 0; i < POSTINGS_RUN + 1000; i++)
        add(i % 10, i);
    search_check(3);
    uint64_t *before = malloc(postings.count * sizeof *before);
    cr_assert(before != NULL);
    memcpy(before, postings.entries, postings.count * sizeof *before);
    for (uint32_t key = 0; key < 12; key++) {
        postings_search_begin(&search, &postings, key, key % 2 != 0);
        while (postings_search_next(&search, &place))
            continue;
    }
    cr_assert(memcmp(before, postings.entries, postings.count * sizeof *before) == 0);
    free(before);
}

Test(entries, sort_keeps_order_of_equal_keys)
{
    enum { ENTRIES = 20000 };
    static uint64_t entries[ENTRIES];
    static uint64_t scratch[ENTRIES];
    struct rng rng = rng_make(SEED_DEFAULT + 1);
    for (uint32_t round = 0; round < 60; round++) {
        uint64_t count = round < 4 ? round : rng_below(&rng, ENTRIES);
        for (uint64_t i = 0; i < count; i++)
            entries[i] = posting(key_choose(&rng, round % 5), (uint32_t)i);
        entries_sort(entries, scratch, count);
        for (uint64_t i = 1; i < count; i++)
            cr_assert(entries[i - 1] < entries[i], "round %u, entry %lu", round, i);
    }
}

Test(entries, lower_bound_at_every_edge)
{
    static const uint64_t entries[] = {0, 5, 5, 9, UINT64_MAX - 1};
    static const struct {
        uint64_t entry;
        uint64_t expected;
    } rows[] = {{0, 0},         {1, 1}, {5, 1}, {6, 3}, {9, 3}, {10, 4}, {UINT64_MAX - 1, 4},
                {UINT64_MAX, 5}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_eq(entries_lower_bound(entries, 5, rows[i].entry), rows[i].expected, "%lu",
                     rows[i].entry);
    cr_assert_eq(entries_lower_bound(entries, 0, 7), 0);
}
