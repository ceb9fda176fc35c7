/* XXH3-128, for everything that is written to disk or compared as a digest. */
#ifndef ENGINE_CHECKSUM_H
#define ENGINE_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct checksum {
    uint64_t low;
    uint64_t high;
};

/* Checksum of size_bytes of data: the same on every machine, computed with the widest vectors that
 * this one has. */
struct checksum checksum_of(const void *data, size_t size_bytes);

/* The same of data that comes in pieces. NULL: out of memory. */
struct checksum_stream;
struct checksum_stream *checksum_stream_new(void);
void checksum_stream_add(struct checksum_stream *stream, const void *data, size_t size_bytes);
struct checksum checksum_stream_end(const struct checksum_stream *stream);
void checksum_stream_free(struct checksum_stream *stream);

static inline bool checksum_equal(struct checksum a, struct checksum b)
{
    return a.low == b.low && a.high == b.high;
}

#endif
