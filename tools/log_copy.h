/* Building a new data directory out of an old log: block by block up to a limit, or made of whole
 * files by giro restore.
 *
 * Until it is complete the new directory has no giro.meta, so that nobody can take half a log for a
 * whole one: its server would start, and be short of everything that was not copied yet. */
#ifndef TOOLS_LOG_COPY_H
#define TOOLS_LOG_COPY_H

#include "wal/block.h"
#include "wal/directory.h"

#include <stdbool.h>

/* How far a log is to be read: the last block, and when the last block was written. UINT64_MAX: to
 * its end. */
struct log_limit {
    uint64_t until_lsn;
    uint64_t until_time;
};

static inline bool log_limit_given(const struct log_limit *limit)
{
    return limit->until_lsn != UINT64_MAX || limit->until_time != UINT64_MAX;
}

/* Whether a block lies beyond the limit. */
static inline bool log_limit_passed(const struct log_limit *limit,
                                    const struct block_header *header)
{
    return header->lsn > limit->until_lsn || header->written_at > limit->until_time;
}

struct log_copy {
    struct directory directory;
    int fd;
    uint32_t segment;
    uint32_t segment_count;
};

/* Makes a directory with the identity of another one: the copied blocks name it, and the chain
 * stays what it was. Returns 0 or -errno; log_copy_close() either way. */
int log_copy_open(struct log_copy *copy, const struct directory *from, const char *path,
                  struct error *error);

/* Makes empty segments, until there are those that a server keeps ready behind this one. */
int log_copy_segments(struct log_copy *copy, uint32_t segment, struct error *error);

/* Writes a block to its place, durably. */
int log_copy_block(struct log_copy *copy, const struct block_header *header, struct error *error);

/* Declares the directory complete. */
int log_copy_finish(struct log_copy *copy, struct error *error);
void log_copy_close(struct log_copy *copy);

#endif
