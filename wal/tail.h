/* The tail of a log that is being written, read by another thread, block by block.
 *
 * Only durable blocks are read: from the log's window in memory while they are there, else from the
 * segment files, with O_DIRECT. Either way a block is copied to its place in an image of its
 * segment, which belongs to the caller, and its header, chain and body are checked there: what the
 * writer overwrote during the copy, or a disk got wrong, does not pass. */
#ifndef WAL_TAIL_H
#define WAL_TAIL_H

#include "wal/log.h"

struct tail {
    const struct directory *directory;
    const struct log_feed *feed;
    uint64_t position; /* where the next block is expected */
    uint32_t segment;  /* that the image is of */
    uint64_t lsn;      /* of the next block */
    uint64_t ordinal;
    struct checksum previous;
    uint32_t epoch;
    uint64_t written_at;
    int fd;                           /* of segment, while it is read from its file; -1 */
    uint64_t loaded;                  /* position up to which the image holds what the file has */
    _Alignas(4096) char sector[4096]; /* the first one of the next segment */
};

enum tail_state {
    TAIL_NONE,    /* nothing new is durable */
    TAIL_BLOCK,   /* a block was copied */
    TAIL_SEGMENT, /* the next block begins another segment: the image may be used for it */
    TAIL_LATER,   /* a lack of descriptors or memory: try again */
    TAIL_FAILED,
};

/* Begins behind the last block of a log that was read up to there. */
void tail_open(struct tail *tail, const struct directory *directory, const struct log_feed *feed,
               const struct log_reader *reader);
void tail_close(struct tail *tail);

/* Copies the next durable block into image, of a segment's size and aligned to a page, at the
 * block's offset. */
enum tail_state tail_next(struct tail *tail, char *image, const struct block_header **out_header,
                          struct error *error);

/* Bytes of the log that are durable and not read yet. */
static inline uint64_t tail_lag_bytes(const struct tail *tail)
{
    return atomic_load_explicit(&tail->feed->durable, memory_order_relaxed) - tail->position;
}

#endif
