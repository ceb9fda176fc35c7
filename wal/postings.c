#include "wal/postings.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

int postings_init(struct postings *postings, uint64_t capacity)
{
    *postings = (struct postings){.capacity = capacity};
    postings->entries = memory_reserve(capacity * sizeof(uint64_t));
    postings->scratch = memory_reserve(capacity * sizeof(uint64_t));
    if (postings->entries != NULL && postings->scratch != NULL)
        return 0;
    postings_free(postings);
    return -ENOMEM;
}

void postings_free(struct postings *postings)
{
    memory_release(postings->entries, postings->capacity * sizeof(uint64_t));
    memory_release(postings->scratch, postings->capacity * sizeof(uint64_t));
    *postings = (struct postings){0};
}

/* One pass of a radix sort by the digit at shift; the order of equal digits is kept. */
static void digit_sort(const uint64_t *from, uint64_t *to, uint64_t count, unsigned shift)
{
    uint64_t starts[DIGITS] = {0};
    for (uint64_t i = 0; i < count; i++)
        starts[from[i] >> shift & (DIGITS - 1)]++;
    uint64_t sum = 0;
    for (unsigned digit = 0; digit < DIGITS; digit++) {
        uint64_t size = starts[digit];
        starts[digit] = sum;
        sum += size;
    }
    for (uint64_t i = 0; i < count; i++)
        to[starts[from[i] >> shift & (DIGITS - 1)]++] = from[i];
}

void entries_sort(uint64_t *entries, uint64_t *scratch, uint64_t count)
{
    uint64_t all = 0;
    for (uint64_t i = 0; i < count; i++)
        all |= entries[i];
    uint64_t *from = entries;
    uint64_t *to = scratch;
    for (unsigned shift = 32; shift < 64 && all >> shift != 0; shift += DIGIT_BITS) {
        digit_sort(from, to, count, shift);
        uint64_t *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != entries)
        memcpy(entries, from, count * sizeof *entries);
}

void postings_add(struct postings *postings, uint32_t key, uint32_t place)
{
    assert(postings->count < postings->capacity);
    postings->entries[postings->count++] = posting(key, place);
}

void postings_clear(struct postings *postings)
{
    postings->count = 0;
    postings->sorted = 0;
}

const uint64_t *postings_sort(struct postings *postings)
{
    /* Runs follow each other in place, so a sort by key that keeps the order is a sort by both. */
    entries_sort(postings->entries, postings->scratch, postings->count);
    postings->sorted = postings->count / POSTINGS_RUN * POSTINGS_RUN;
    return postings->entries;
}

uint64_t entries_lower_bound(const uint64_t *entries, uint64_t count, uint64_t entry)
{
    uint64_t low = 0;
    uint64_t high = count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (entries[middle] < entry)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Narrows the search to the key's entries of the run number `run`, or to the unsorted rest. */
static void run_enter(struct postings_search *search)
{
    const struct postings *postings = search->postings;
    const uint64_t *entries = postings->entries;
    uint64_t begin = search->run * POSTINGS_RUN;
    search->tail = begin == postings->sorted;
    uint64_t end = postings->count;
    if (!search->tail) {
        end = begin +
              entries_lower_bound(entries + begin, POSTINGS_RUN, ((uint64_t)search->key + 1) << 32);
        if (search->key == UINT32_MAX)
            end = begin + POSTINGS_RUN;
        begin += entries_lower_bound(entries + begin, POSTINGS_RUN, posting(search->key, 0));
    }
    search->next = search->reversed ? end : begin;
    search->end = search->reversed ? begin : end;
}

void postings_search_begin(struct postings_search *search, struct postings *postings, uint32_t key,
                           bool reversed)
{
    for (; postings->count - postings->sorted >= POSTINGS_RUN; postings->sorted += POSTINGS_RUN)
        entries_sort(postings->entries + postings->sorted, postings->scratch, POSTINGS_RUN);
    *search = (struct postings_search){.postings = postings, .key = key, .reversed = reversed};
    search->run = reversed ? postings->sorted / POSTINGS_RUN : 0;
    run_enter(search);
}

bool postings_search_next(struct postings_search *search, uint32_t *out_place)
{
    const struct postings *postings = search->postings;
    for (;;) {
        while (search->next != search->end) {
            uint64_t entry = postings->entries[search->reversed ? --search->next : search->next++];
            if (entry >> 32 != search->key)
                continue;
            *out_place = (uint32_t)entry;
            return true;
        }
        if (search->reversed ? search->run == 0 : search->tail)
            return false;
        search->run = search->reversed ? search->run - 1 : search->run + 1;
        run_enter(search);
    }
}
