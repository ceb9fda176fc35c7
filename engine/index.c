#include "engine/index.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static bool entry_is_link(uint64_t entry)
{
    return entry >= INDEX_LINK_TAG;
}

int index_init(struct index *index, uint64_t capacity, uint64_t expected, uint32_t load)
{
    assert(capacity > 0);
    assert(capacity <= INDEX_VALUE_MAX);
    uint32_t bits = INDEX_INITIAL_BITS_MIN;
    uint64_t buckets_expected = expected * 2 / load;
    while ((2ull << bits) <= buckets_expected)
        bits++;

    uint64_t buckets = capacity * 2 / load + 1;
    if (buckets < 1ull << bits)
        buckets = 1ull << bits;
    memset(index, 0, sizeof *index);
    index->capacity = capacity;
    index->load = load;
    index->bucket_count = 1ull << bits;
    index->address_shift = INDEX_VALUE_BITS - bits;
    index->mask = (2ull << bits) - 1;
    index->overflow_used = 1;
    /* On average half a line a bucket; a full line a bucket is out of reach for hashed ids. */
    index->overflow_max = buckets + 1024;
    /* Two more: a split looks ahead. */
    index->buckets_reserved_bytes = (buckets + 2) * sizeof(struct index_bucket);
    index->overflow_reserved_bytes = index->overflow_max * sizeof(struct index_bucket);
    index->buckets = memory_reserve(index->buckets_reserved_bytes);
    index->overflow = memory_reserve(index->overflow_reserved_bytes);
    if (index->buckets == NULL || index->overflow == NULL) {
        index_free(index);
        return -ENOMEM;
    }
    return 0;
}

void index_free(struct index *index)
{
    memory_release(index->buckets, index->buckets_reserved_bytes);
    memory_release(index->overflow, index->overflow_reserved_bytes);
    memset(index, 0, sizeof *index);
}

static uint64_t overflow_take(struct index *index)
{
    assert(index->overflow != NULL);
    uint64_t line = index->overflow_free;
    if (line != 0) {
        index->overflow_free = index->overflow[line].entries[0];
        index->overflow[line].entries[0] = 0;
        return line;
    }
    assert(index->overflow_used < index->overflow_max);
    return index->overflow_used++;
}

static void overflow_give(struct index *index, uint64_t line)
{
    memset(&index->overflow[line], 0, sizeof index->overflow[line]);
    index->overflow[line].entries[0] = index->overflow_free;
    index->overflow_free = line;
}

static void bucket_append(struct index *index, struct index_bucket *bucket, uint64_t entry)
{
    for (struct index_bucket *next; (next = index_overflow_of(index, bucket)) != NULL;)
        bucket = next;
    uint64_t *last = &bucket->entries[INDEX_BUCKET_ENTRIES - 1];
    if (*last != 0) {
        uint64_t line = overflow_take(index);
        struct index_bucket *next = &index->overflow[line];
        next->entries[0] = *last;
        next->entries[1] = entry;
        *last = INDEX_LINK_TAG | line;
        return;
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < INDEX_BUCKET_ENTRIES - 1; i++)
        used += bucket->entries[i] != 0; /* packed: the count is the first free entry */
    bucket->entries[used] = entry;
}

/* Fills the lines of a bucket one entry after the other. */
struct bucket_writer {
    struct index_bucket *line;
    uint32_t used;
};

static void writer_put(struct index *index, struct bucket_writer *writer, uint64_t entry)
{
    if (writer->used == INDEX_BUCKET_ENTRIES) {
        uint64_t *last = &writer->line->entries[INDEX_BUCKET_ENTRIES - 1];
        uint64_t line = overflow_take(index);
        index->overflow[line].entries[0] = *last;
        *last = INDEX_LINK_TAG | line;
        writer->line = &index->overflow[line];
        writer->used = 1;
    }
    writer->line->entries[writer->used++] = entry;
}

/* Splits the next bucket in line: entries whose address has the level's bit move to a new one. Kept
 * out of index_insert(), which is short without it. */
static __attribute__((noinline)) void split(struct index *index)
{
    uint64_t moves = (index->mask >> 1) + 1;
    uint64_t from = index->bucket_count - moves;
    uint64_t to = index->bucket_count;

    index->bucket_count++;
    if (index->bucket_count > index->mask)
        index->mask = index->mask << 1 | 1;

    /* An entry does not keep the address bits below its fingerprint; the split needs none of them,
     * because the level's bit lies in the fingerprint. */
    const uint32_t shift = index->address_shift;
    struct bucket_writer writers[2] = {{.line = &index->buckets[from]},
                                       {.line = &index->buckets[to]}};
    struct index_bucket line = index->buckets[from];
    memset(&index->buckets[from], 0, sizeof index->buckets[from]);
    for (;;) {
        uint64_t next = 0;
        for (int i = 0; i < INDEX_BUCKET_ENTRIES && line.entries[i] != 0; i++) {
            uint64_t entry = line.entries[i];
            if (entry_is_link(entry)) {
                next = entry & INDEX_VALUE_MAX;
                break;
            }
            writer_put(index, &writers[(entry >> shift & moves) != 0], entry);
        }
        if (next == 0)
            break;
        line = index->overflow[next];
        overflow_give(index, next);
    }
    /* The next splits come soon and in order: have their lines on the way. */
    __builtin_prefetch(&index->buckets[from + 2], 1, 3);
    __builtin_prefetch(&index->buckets[to + 2], 1, 3);
    const struct index_bucket *soon = index_overflow_of(index, &index->buckets[from + 1]);
    if (soon != NULL)
        __builtin_prefetch(soon, 1, 3);
}

void index_insert(struct index *index, uint64_t hash, uint64_t value)
{
    assert(value > 0 && value <= INDEX_VALUE_MAX);
    assert(index->count < index->capacity);
    uint64_t entry = hash >> INDEX_VALUE_BITS << INDEX_VALUE_BITS | value;
    assert(!entry_is_link(entry));
    bucket_append(index, index_bucket_of(index, hash), entry);
    index->count++;
    if (index->count * 2 > index->bucket_count * index->load)
        split(index);
}

void index_remove(struct index *index, uint64_t hash, uint64_t value)
{
    const uint64_t wanted = hash >> INDEX_VALUE_BITS << INDEX_VALUE_BITS | value;
    struct index_bucket *line = index_bucket_of(index, hash);
    uint64_t *parent = NULL; /* the link to line, where line is an overflow line */
    uint64_t *found = NULL;
    uint64_t *tail;

    for (;;) {
        int i = 0;
        for (; i < INDEX_BUCKET_ENTRIES && line->entries[i] != 0; i++) {
            if (line->entries[i] == wanted)
                found = &line->entries[i];
        }
        assert(i > 0);
        tail = &line->entries[i - 1];
        if (!entry_is_link(*tail))
            break;
        parent = tail;
        line = &index->overflow[*tail & INDEX_VALUE_MAX];
    }
    assert(found != NULL);
    *found = *tail;
    *tail = 0;
    index->count--;
    if (parent != NULL && tail == &line->entries[1]) {
        /* One entry left in the overflow line: it fits where the link was. */
        uint64_t number = *parent & INDEX_VALUE_MAX;
        *parent = line->entries[0];
        overflow_give(index, number);
    }
}

uint64_t index_memory_bytes(const struct index *index)
{
    return (index->bucket_count + index->overflow_used) * sizeof(struct index_bucket);
}
