/* Postings: which records of one segment belong to a key.
 *
 *   entry   | key, 32 bits | place, 32 bits |
 *
 * The key is an account's row, or the hash of a user datum; the place tells where in the segment.
 * Entries are appended in order of place. They are sorted in runs when somebody searches them, so
 * that they can be searched at any time, and as a whole when the segment is sealed. */
#ifndef WAL_POSTINGS_H
#define WAL_POSTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POSTINGS_RUN = 32768 };

struct postings {
    uint64_t *entries;
    uint64_t *scratch;
    uint64_t count;
    uint64_t sorted; /* entries that lie in sorted runs */
    uint64_t capacity;
};

static inline uint64_t posting(uint32_t key, uint32_t place)
{
    return (uint64_t)key << 32 | place;
}

/* Reserves room; untouched room costs no memory. Returns 0 or -ENOMEM. */
int postings_init(struct postings *postings, uint64_t capacity);
void postings_free(struct postings *postings);

/* Adds an entry; place is not below that of any entry of the same key. */
void postings_add(struct postings *postings, uint32_t key, uint32_t place);

void postings_clear(struct postings *postings);

/* Sorts everything by key, then place. Returns the entries. */
const uint64_t *postings_sort(struct postings *postings);

/* Sorts entries by their upper half, keeping the order of those that are equal there. scratch: as
 * large. The result is in entries. */
void entries_sort(uint64_t *entries, uint64_t *scratch, uint64_t count);

/* Looks a key up among entries that are not sorted as a whole. */
struct postings_search {
    const struct postings *postings;
    uint32_t key;
    bool reversed;
    uint64_t run;  /* the one being looked at */
    uint64_t next; /* the entry to be looked at next */
    uint64_t end;
    bool tail; /* run is the unsorted rest */
};

/* Sorts the runs that were completed since the last search. */
void postings_search_begin(struct postings_search *search, struct postings *postings, uint32_t key,
                           bool reversed);

/* The next place of the key, ascending or, reversed, descending. False: no more. */
bool postings_search_next(struct postings_search *search, uint32_t *out_place);

/* The first of count sorted entries that is not less than entry. */
uint64_t entries_lower_bound(const uint64_t *entries, uint64_t count, uint64_t entry);

#endif
