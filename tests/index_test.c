#include "engine/hash.h"
#include "engine/index.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

/* What the index should hold. */
struct entry {
    uint64_t hash;
    uint64_t value;
};

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* As id_hash() gives them: the topmost fingerprint does not occur. */
static uint64_t hash_next(void)
{
    uint64_t hash = random_next();
    return hash >> INDEX_VALUE_BITS == 0xffffff ? hash >> 1 : hash;
}

static void index_open(struct index *index, uint64_t capacity, uint64_t expected, uint32_t load)
{
    cr_assert(index_init(index, capacity, expected, load) == 0);
    cr_assert(index->count == 0);
}

static uint32_t times_found(const struct index *index, uint64_t hash, uint64_t value)
{
    struct index_cursor cursor = index_search(index, hash);
    uint32_t times = 0;
    for (uint64_t found; (found = index_next(index, &cursor)) != 0;)
        times += found == value;
    return times;
}

static uint32_t candidates(const struct index *index, uint64_t hash)
{
    struct index_cursor cursor = index_search(index, hash);
    uint32_t count = 0;
    while (index_next(index, &cursor) != 0)
        count++;
    return count;
}

/* Checks one line and returns the next one; counts its entries. Entries are packed. A line behind
 * another one has two entries at least: with one it would have been given back. */
static const struct index_bucket *line_check(const struct index *index,
                                             const struct index_bucket *line, bool overflow,
                                             uint64_t *entries)
{
    const struct index_bucket *next = index_overflow_of(index, line);
    uint32_t used = 0;
    while (used < INDEX_BUCKET_ENTRIES && line->entries[used] != 0)
        used++;
    for (uint32_t i = used; i < INDEX_BUCKET_ENTRIES; i++)
        cr_assert(line->entries[i] == 0, "a gap in a line");
    for (uint32_t i = 0; i + 1 < used; i++)
        cr_assert(line->entries[i] < INDEX_LINK_TAG, "a link that is not last");
    cr_assert(!overflow || used >= 2, "an overflow line with %u entries", used);
    cr_assert(next == NULL || used == INDEX_BUCKET_ENTRIES, "a link in a line that is not full");
    *entries += used - (next != NULL);
    return next;
}

/* Every entry is in some bucket, and every overflow line is in use or free. */
static void index_check(const struct index *index)
{
    uint64_t entries = 0;
    uint64_t lines = 0;
    for (uint64_t i = 0; i < index->bucket_count; i++) {
        const struct index_bucket *line = line_check(index, &index->buckets[i], false, &entries);
        for (; line != NULL; lines++)
            line = line_check(index, line, true, &entries);
    }
    cr_assert(entries == index->count, "%lu entries, count %lu", entries, index->count);
    for (uint64_t line = index->overflow_free; line != 0; lines++)
        line = index->overflow[line].entries[0];
    cr_assert(lines + 1 == index->overflow_used, "an overflow line is lost");
}

Test(index, agrees_with_an_array)
{
    enum { LIVE_MAX = 3000, STEPS = 60000 };
    struct entry *live = calloc(LIVE_MAX, sizeof *live);
    uint32_t count = 0;
    struct index index;
    cr_assert(live != NULL);
    index_open(&index, LIVE_MAX, 0, INDEX_LOAD_DENSE);
    for (uint32_t step = 1; step <= STEPS; step++) {
        bool grows = (step / 10000) % 2 == 0; /* fills up, empties, fills up ... */
        bool insert = random_next() % 100 < (grows ? 80 : 20);
        if (insert && count < LIVE_MAX) {
            live[count] = (struct entry){.hash = hash_next(), .value = step};
            if (count > 0 && step % 10 == 0)
                live[count].hash = live[random_next() % count].hash;
            index_insert(&index, live[count].hash, live[count].value);
            count++;
        } else if (!insert && count > 0) {
            uint32_t i = (uint32_t)(random_next() % count);
            struct entry removed = live[i];
            index_remove(&index, removed.hash, removed.value);
            live[i] = live[--count];
            cr_assert(times_found(&index, removed.hash, removed.value) == 0);
        }
        cr_assert(index.count == count);
        if (step % 1000 != 0)
            continue;
        index_check(&index);
        for (uint32_t i = 0; i < count; i++)
            cr_assert(times_found(&index, live[i].hash, live[i].value) == 1);
    }
    while (count-- > 0)
        index_remove(&index, live[count].hash, live[count].value);
    index_check(&index);
    cr_assert(index.count == 0);
    index_free(&index);
    free(live);
}

Test(index, keeps_every_entry_while_it_doubles)
{
    enum { ENTRIES = 1 << 18 };
    uint64_t *hashes = calloc(ENTRIES + 1, sizeof *hashes);
    struct index index;
    cr_assert(hashes != NULL);
    index_open(&index, ENTRIES, 0, INDEX_LOAD_DENSE);
    const uint64_t buckets = index.bucket_count;
    for (uint64_t value = 1; value <= ENTRIES; value++) {
        hashes[value] = hash_next();
        index_insert(&index, hashes[value], value);
        cr_assert(times_found(&index, hashes[value], value) == 1);
        if ((value & (value - 1)) != 0)
            continue;
        index_check(&index);
        for (uint64_t i = 1; i <= value; i++)
            cr_assert(times_found(&index, hashes[i], i) == 1, "%lu of %lu is lost", i, value);
    }
    cr_assert(index.bucket_count >= buckets << 9, "it did not double nine times");
    for (uint64_t value = 1; value <= ENTRIES; value++)
        index_remove(&index, hashes[value], value);
    index_check(&index);
    cr_assert(index.count == 0);
    index_free(&index);
    free(hashes);
}

/* expected: what the index is told to be sized for. */
static void memory_check(uint64_t expected)
{
    enum { ENTRIES = 1000000 };
    struct index index;
    index_open(&index, ENTRIES, expected, INDEX_LOAD_DENSE);
    for (uint64_t value = 1; value <= ENTRIES; value++) {
        index_insert(&index, hash_next(), value);
        if (value >= 200000 && value % 5000 == 0)
            cr_assert(index_memory_bytes(&index) <= 12 * value, "%lu bytes for %lu entries",
                      index_memory_bytes(&index), value);
    }
    cr_assert(index_memory_bytes(&index) >= 8 * index.count);
    index_free(&index);
}

Test(index, takes_at_most_twelve_bytes_an_entry)
{
    memory_check(0);
    memory_check(200000);
}

Test(index, has_few_candidates_that_are_not_meant)
{
    enum { ENTRIES = 200000 };
    uint64_t wrong = 0;
    struct index index;
    index_open(&index, ENTRIES, ENTRIES, INDEX_LOAD_DENSE);
    for (uint64_t value = 1; value <= ENTRIES; value++)
        index_insert(&index, hash_next(), value);
    for (uint32_t i = 0; i < ENTRIES; i++)
        wrong += candidates(&index, hash_next());
    /* 7.5 entries a bucket, 23 bits of 24 left: less than one in a million. */
    cr_assert(wrong < 20, "%lu wrong candidates", wrong);
    index_free(&index);
}

Test(index, keeps_many_entries_under_one_hash)
{
    enum { ENTRIES = 4000 };
    const uint64_t hash = 0x123456789abcdef0ull;
    bool removed[ENTRIES + 1] = {false};
    struct index index;
    index_open(&index, 1 << 16, 0, INDEX_LOAD_DENSE);
    for (uint64_t value = 1; value <= ENTRIES; value++)
        index_insert(&index, hash, value);
    cr_assert(candidates(&index, hash) == ENTRIES);
    index_check(&index);
    const uint64_t lines = index.overflow_used;
    cr_assert(lines > ENTRIES / INDEX_BUCKET_ENTRIES, "they must lie in overflow lines");

    for (uint32_t left = ENTRIES; left > 0; left--) {
        uint64_t value;
        do
            value = 1 + random_next() % ENTRIES;
        while (removed[value]);
        index_remove(&index, hash, value);
        removed[value] = true;
        cr_assert(times_found(&index, hash, value) == 0);
        cr_assert(candidates(&index, hash) == left - 1);
        if (left % 100 == 0)
            index_check(&index);
    }
    index_check(&index);

    /* Lines that were given back are taken again. */
    for (uint64_t value = 1; value <= ENTRIES; value++)
        index_insert(&index, hash, value);
    cr_assert(index.overflow_used == lines, "%lu lines, then %lu", lines, index.overflow_used);
    cr_assert(candidates(&index, hash) == ENTRIES);
    index_check(&index);
    index_free(&index);
}

/* The bucket is as before when the ninth entry, which brought an overflow line, goes: whichever of
 * the nine it is. */
Test(index, gives_an_overflow_line_back)
{
    for (uint64_t gone = 1; gone <= INDEX_BUCKET_ENTRIES + 1; gone++) {
        struct index index;
        index_open(&index, 1 << 10, 0, INDEX_LOAD_DENSE);
        for (uint64_t value = 1; value <= INDEX_BUCKET_ENTRIES; value++)
            index_insert(&index, 5, value);
        cr_assert(index.overflow_used == 1);
        index_insert(&index, 5, INDEX_BUCKET_ENTRIES + 1);
        cr_assert(index.overflow_used == 2);
        cr_assert(index.overflow_free == 0);
        index_remove(&index, 5, gone);
        cr_assert(index.overflow_free == 1);
        index_check(&index);
        for (uint64_t value = 1; value <= INDEX_BUCKET_ENTRIES + 1; value++)
            cr_assert(times_found(&index, 5, value) == (value != gone));
        index_free(&index);
    }
}

/* Fingerprint 0 looks like that of an empty entry, the topmost one marks a link. */
Test(index, takes_the_outermost_fingerprints_and_values)
{
    static const uint64_t hashes[] = {
        0, 1, UINT64_MAX >> 24, 1ull << 40, 0xfffffeull << 40, (1ull << 40 | UINT64_MAX << 41) - 1,
    };
    struct index index;
    index_open(&index, 1 << 10, 0, INDEX_LOAD_FAST);
    for (uint64_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 6; i++)
            index_insert(&index, hashes[i], INDEX_VALUE_MAX - round * 6 - i);
    }
    index_check(&index);
    for (uint64_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 6; i++) {
            uint64_t value = INDEX_VALUE_MAX - round * 6 - i;
            cr_assert(times_found(&index, hashes[i], value) == 1);
            index_remove(&index, hashes[i], value);
            cr_assert(times_found(&index, hashes[i], value) == 0);
        }
    }
    index_check(&index);
    for (uint32_t i = 0; i < 6; i++)
        cr_assert(candidates(&index, hashes[i]) == 0);
    index_free(&index);
}

/* An id whose plain hash has the topmost fingerprint is found like any other. */
Test(index, takes_an_id_whose_hash_would_mean_a_link)
{
    const uint64_t seed = 1;
    giro_u128 id = 1;
    while (XXH3_64bits_withSeed(&id, sizeof id, seed) >> INDEX_VALUE_BITS != 0xffffff)
        id++;
    uint64_t hash = id_hash(id, seed);
    struct index index;
    index_open(&index, 1 << 10, 0, INDEX_LOAD_FAST);
    for (uint64_t value = 1; value <= 100; value++)
        index_insert(&index, hash, value);
    index_check(&index);
    for (uint64_t value = 1; value <= 100; value++) {
        cr_assert(times_found(&index, hash, value) == 1);
        index_remove(&index, hash, value);
    }
    index_check(&index);
    index_free(&index);
}

Test(index, fills_up_to_its_capacity)
{
    static const uint32_t loads[] = {INDEX_LOAD_DENSE, INDEX_LOAD_FAST};
    for (uint32_t i = 0; i < 2; i++) {
        struct index index;
        index_open(&index, 100000, 10, loads[i]);
        for (uint64_t value = 1; value <= 100000; value++)
            index_insert(&index, hash_next(), value);
        cr_assert(index.bucket_count * sizeof(struct index_bucket) <= index.buckets_reserved_bytes);
        index_check(&index);
        index_free(&index);
    }
}

Test(index, aborts_on_more_than_its_capacity, .signal = SIGABRT)
{
    struct index index;
    index_open(&index, 2, 0, INDEX_LOAD_FAST);
    for (uint64_t value = 1; value <= 3; value++)
        index_insert(&index, value, value);
}

Test(index, aborts_when_what_is_removed_is_not_there, .signal = SIGABRT)
{
    struct index index;
    index_open(&index, 10, 0, INDEX_LOAD_FAST);
    index_insert(&index, 1, 1);
    index_remove(&index, 1, 2);
}
