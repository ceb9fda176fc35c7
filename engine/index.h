/* Index from a hashed id to a 40-bit value: linear hashing over buckets of one cache line.
 *
 *   entry   | fingerprint, 24 bits | value, 40 bits |      value 0 means: empty
 *   bucket  | entry 0 .. 6 | entry 7, or a link to an overflow line |
 *
 * The table grows by one bucket at a time: whenever the average load passes its limit, the next
 * bucket in line is split in two. No insert ever waits for a resize, and the memory an entry stays
 * nearly the same at every size, where a doubling table swings between 9 and 18 bytes:
 *
 *   INDEX_LOAD_DENSE   11.4 to 11.9 bytes an entry, 1.35 to 1.5 lines a miss: for the transfers
 *   INDEX_LOAD_FAST    about 22 bytes an entry, 1.0 to 1.1 lines a miss: for accounts and holds
 *
 * An entry keeps no hash beyond its fingerprint, so the bits that tell the two halves of a split
 * apart are taken from the fingerprint: after d doublings of the initial size, 24 - d bits are
 * left to tell ids apart. A fingerprint that matches is therefore only a candidate; the caller
 * confirms it against the record. Choose the initial size near the expected one.
 *
 * Entries of a chain are packed: the first empty one ends it. Everything is reserved up front. */
#ifndef ENGINE_INDEX_H
#define ENGINE_INDEX_H

#include "engine/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    INDEX_BUCKET_ENTRIES = 8,
    INDEX_LOAD_DENSE = 15, /* half entries a bucket: 7.5 entries */
    INDEX_LOAD_FAST = 6,
    INDEX_VALUE_BITS = 40,
    INDEX_INITIAL_BITS_MIN = 6, /* a page: splits leave the six lowest bits of an address alone */
};

#define INDEX_VALUE_MAX ((1ull << INDEX_VALUE_BITS) - 1)

struct index_bucket {
    _Alignas(64) uint64_t entries[INDEX_BUCKET_ENTRIES];
};

struct index {
    struct index_bucket *buckets;  /* reserved for capacity */
    struct index_bucket *overflow; /* reserved for capacity; line 0 unused */
    size_t buckets_reserved_bytes;
    size_t overflow_reserved_bytes;
    uint64_t capacity; /* entries */
    uint64_t count;
    uint64_t bucket_count;
    uint64_t overflow_used; /* lines handed out so far */
    uint64_t overflow_max;
    uint64_t overflow_free; /* first line of the free list, 0: none; linked through entry 0 */
    uint64_t mask;          /* 2^(level + 1) - 1, where 2^level <= bucket_count < 2^(level + 1) */
    uint32_t load;          /* half entries a bucket */
    uint32_t address_shift; /* 40 - log2 of the initial bucket_count */
};

/* Position of a search; see index_search(). */
struct index_cursor {
    const struct index_bucket *bucket;
    uint64_t fingerprint;
    uint32_t matches; /* entries of bucket that are still to be looked at, one bit each */
};

/* Reserves an index for capacity entries, sized at first for expected entries, that grows to keep
 * load / 2 entries a bucket. Returns 0 or -ENOMEM. */
int index_init(struct index *index, uint64_t capacity, uint64_t expected, uint32_t load);
void index_free(struct index *index);

/* Adds value (1 .. INDEX_VALUE_MAX) under a hash of id_hash(), whose upper 24 bits are never all
 * set: that fingerprint means a link. The caller keeps count below capacity. */
void index_insert(struct index *index, uint64_t hash, uint64_t value);

/* Removes exactly this value under hash; it must be there. */
void index_remove(struct index *index, uint64_t hash, uint64_t value);

/* Memory that the index has touched, in bytes. */
uint64_t index_memory_bytes(const struct index *index);

/* For functions that only ask for memory. They have no effect that GCC knows of: unless such a call is
 * inlined before anything else is done, it is deleted without a word, and every event waits for memory
 * that nobody asked for. */
#define PREFETCHES static inline __attribute__((always_inline))

#define INDEX_LINK_TAG (0xffffffull << INDEX_VALUE_BITS)

/* The bucket of a hash. Its address is the fingerprint, bits 40 to 63, with some bits below it. The six
 * topmost bits of the hash choose among the 64 buckets of a page: see engine/hash.h. */
static inline uint64_t index_bucket_number(const struct index *index, uint64_t hash)
{
    uint64_t number = (hash >> index->address_shift ^ hash >> 58) & index->mask;
    return number < index->bucket_count ? number : number & index->mask >> 1;
}

static inline struct index_bucket *index_bucket_of(const struct index *index, uint64_t hash)
{
    return &index->buckets[index_bucket_number(index, hash)];
}

PREFETCHES void index_prefetch(const struct index *index, uint64_t hash)
{
    __builtin_prefetch(index_bucket_of(index, hash), 1, 3);
}

/* The overflow line behind a line, NULL when there is none. */
static inline struct index_bucket *index_overflow_of(const struct index *index,
                                                     const struct index_bucket *line)
{
    uint64_t last = line->entries[INDEX_BUCKET_ENTRIES - 1];
    return last < INDEX_LINK_TAG ? NULL : &index->overflow[last & INDEX_VALUE_MAX];
}

/* Second stage of a prefetch: the line behind the bucket, once the bucket itself is there. */
PREFETCHES void index_prefetch_overflow(const struct index *index, uint64_t hash)
{
    const struct index_bucket *next = index_overflow_of(index, index_bucket_of(index, hash));
    if (next != NULL)
        __builtin_prefetch(next, 1, 3);
}

/* A bit for every entry of a line whose fingerprint is the given one; an empty entry counts as
 * fingerprint 0. Without branches: where in a line a match stands is anyone's guess. */
static inline uint32_t index_line_matches(const struct index_bucket *line, uint64_t fingerprint)
{
#ifdef __SSE2__
    /* The upper halves of eight entries, side by side: fingerprint in the upper 24 of 32 bits. */
    const __m128 *pairs = (const __m128 *)(const void *)line->entries;
    __m128i low = _mm_castps_si128(_mm_shuffle_ps(pairs[0], pairs[1], _MM_SHUFFLE(3, 1, 3, 1)));
    __m128i high = _mm_castps_si128(_mm_shuffle_ps(pairs[2], pairs[3], _MM_SHUFFLE(3, 1, 3, 1)));
    __m128i wanted = _mm_set1_epi32((int)fingerprint);
    low = _mm_cmpeq_epi32(_mm_srli_epi32(low, INDEX_VALUE_BITS - 32), wanted);
    high = _mm_cmpeq_epi32(_mm_srli_epi32(high, INDEX_VALUE_BITS - 32), wanted);
    return (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(low)) |
           (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(high)) << 4;
#else
    uint32_t matches = 0;
    for (uint32_t i = 0; i < INDEX_BUCKET_ENTRIES; i++)
        matches |= (uint32_t)(line->entries[i] >> INDEX_VALUE_BITS == fingerprint) << i;
    return matches;
#endif
}

static inline struct index_cursor index_search(const struct index *index, uint64_t hash)
{
    const struct index_bucket *bucket = index_bucket_of(index, hash);
    uint64_t fingerprint = hash >> INDEX_VALUE_BITS;
    return (struct index_cursor){
        .bucket = bucket,
        .fingerprint = fingerprint,
        .matches = index_line_matches(bucket, fingerprint),
    };
}

/* The next candidate value, or 0 when there is none left. */
static inline uint64_t index_next(const struct index *index, struct index_cursor *cursor)
{
    for (;;) {
        while (cursor->matches != 0) {
            uint32_t entry = (uint32_t)__builtin_ctz(cursor->matches);
            uint64_t value = cursor->bucket->entries[entry] & INDEX_VALUE_MAX;
            cursor->matches &= cursor->matches - 1;
            if (value != 0)
                return value;
        }
        const struct index_bucket *next = index_overflow_of(index, cursor->bucket);
        if (next == NULL)
            return 0;
        cursor->bucket = next;
        cursor->matches = index_line_matches(next, cursor->fingerprint);
    }
}

#endif
