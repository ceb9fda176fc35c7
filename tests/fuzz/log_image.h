/* Logs as inputs: blocks of records as they lie in a segment, made sound once by the real code, then
 * mutated record by record and sealed again, so that every checksum holds and what lies behind the
 * checksums is reached.
 *
 *   input   | sectors of segment 0, 2 | blocks of segment 0 | blocks of segment 1 */
#ifndef TESTS_FUZZ_LOG_IMAGE_H
#define TESTS_FUZZ_LOG_IMAGE_H

#include "tests/scratch.h"
#include "wal/block.h"
#include "wal/directory.h"

enum {
    IMAGE_SEGMENTS = 2,
    IMAGE_SECTOR_BYTES = 512,
    IMAGE_PREFIX_BYTES = 2,
    IMAGE_BYTES_MAX = 48 << 10, /* of an input */
};

/* The bytes of each segment that are not zero at the end, in the input. */
struct image {
    const uint8_t *bytes[IMAGE_SEGMENTS];
    size_t size[IMAGE_SEGMENTS];
};

struct image image_of(const uint8_t *data, size_t size);

/* A data directory in a private folder, of segments of 64 KiB and a fixed id, in which nothing but the
 * shard's folder is. */
void image_directory_make(struct directory *directory);

/* Mutates an input; see above. */
size_t image_mutate(const struct directory_meta *meta, uint8_t *data, size_t size, size_t size_max,
                    unsigned seed);

/* Writes samples: logs with records of every kind. */
void image_samples_write(void);

#endif
