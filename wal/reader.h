/* Reads a log from its first block to its last, and judges how it ends.
 *
 * Segments are read with O_DIRECT, one ahead of the one being looked at, by a thread of the
 * reader's own, into the log window: the same memory in which a server goes on to build new blocks,
 * so that the newest records are resident when it starts. Start-up, giro verify and giro recover
 * all read through here.
 *
 * A bad checksum is not a torn tail. A server has one write in flight and acknowledges nothing
 * before that write is durable, so a crash can damage the last block at most, and nothing sound can
 * follow it. With N the block expected at the place P where the last sound one ended:
 *
 *   at P                                   | behind P       | the log ends | so the server
 *   ---------------------------------------|----------------|--------------|---------------------
 *   zeros                                  | zeros          | clean        | goes on at P
 *   zeros or garbage                       | zeros, garbage | torn         | cuts, says so, goes on
 *   header sound, body damaged             | zeros, garbage | torn         | cuts, says so, goes on
 *   zeros or garbage                       | a sound header | damaged      | refuses
 *   header sound, body damaged             | a sound header | damaged      | refuses
 *   sound, but not number N, or its chain  | anything       | damaged      | refuses
 *     value is not that of the block before|                |              |
 *   sound, but belongs elsewhere           | anything       | damaged      | refuses
 *   sound, of a newer version              | anything       | newer        | refuses
 *   anything                               | more than one  | damaged      | refuses
 *                                          | write leaves   |              |
 *   not readable                           | or not readable| damaged      | refuses
 *
 * A sound header is one whose checksum holds, and that names this directory, whose id no client can
 * know; at P, where no client's bytes ever lie, any directory. Behind P it was written after N was durable, because
 * a server writes nothing before that (and says so in lsn_durable), or it is a misdirected write, a
 * copy, or another directory's: whatever it is, no crash leaves it there, because segments are
 * zeroed before they are used. The last block of a busy log is covered by the idle mark behind
 * it. */
#ifndef WAL_READER_H
#define WAL_READER_H

#include "wal/block.h"
#include "wal/directory.h"

#include <pthread.h>
#include <stdbool.h>

enum log_end_verdict {
    LOG_END_CLEAN,
    LOG_END_TORN,
    LOG_END_DAMAGED,
    LOG_END_NEWER,
};

/* How and where a log ends. */
struct log_end {
    enum log_end_verdict verdict;
    uint32_t segment; /* P: where the next block belongs */
    uint32_t offset;
    uint64_t lsn;             /* N */
    enum block_verdict found; /* at P */
    bool body_damaged;        /* the header at P is sound, its body is not */
    bool unreadable;          /* the disk did not return what lies at P or behind */
    bool is_short;            /* a file from P's on is shorter than it was made */
    bool too_much;            /* more lies behind P than one write leaves */
    bool proof;               /* a sound header lies behind P, here: */
    uint32_t proof_segment;
    uint32_t proof_offset;
    uint64_t proof_lsn;
    uint64_t dirty_begin; /* what is not zero behind P, positions in the log; 0, 0: nothing */
    uint64_t dirty_end;
    uint32_t dirty_segments; /* segments from P's on that must be zeroed to cut */
};

/* The state of a log between two blocks: what the next one must continue. */
struct log_position {
    uint32_t segment; /* where the next block lies, at the segment's beginning */
    uint32_t epoch;   /* of the block before it */
    uint64_t lsn;     /* of the next block */
    uint64_t ordinal;
    uint64_t written_at; /* of the block before it */
    struct checksum previous;
};

struct log_reader {
    const struct directory *directory;
    char *window;
    uint64_t window_bytes;
    uint32_t segment_first; /* nothing before it is read */
    uint32_t segment_count;

    /* The block to be read next. */
    uint32_t segment;
    uint32_t offset;
    uint64_t lsn;
    uint64_t ordinal;
    struct checksum previous;

    /* Of the last block read. */
    uint32_t epoch;
    uint64_t written_at;
    enum block_kind kind;

    struct log_end end;

    /* Read-ahead. */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool started;
    bool stop;
    uint32_t loaded;  /* segments read so far */
    uint32_t allowed; /* segments that may be read: beyond it they would overwrite */
    int load_error;
    struct error load_text;
    uint64_t unreadable_bytes; /* that the disk refused to return; read as zeros */
    uint64_t unreadable_end;   /* position behind the last of them */
};

/* Starts reading, at the log's beginning, or at the position from. window: window_bytes, a multiple of the segment size and at least three segments,
 * aligned to a page; it belongs to the reader until log_reader_close(). */
int log_reader_open(struct log_reader *reader, const struct directory *directory, void *window,
                    uint64_t window_bytes, const struct log_position *from, struct error *error);
void log_reader_close(struct log_reader *reader);

/* Reads the next block. Returns 1 with the block, whose records follow the header and stay in the
 * window while later blocks of two more segments are read; 0 when the log ends, with reader->end
 * set; or -errno when reading failed. */
int log_reader_next(struct log_reader *reader, const struct block_header **out_header,
                    struct error *error);

/* One line about an end that is not clean: file, offset, what was found, what to do. */
void log_end_describe(const struct log_end *end, const struct directory *directory,
                      struct error *out_text);

/* Zeros everything from the end of the log on, durably: what is left of a torn block must never be
 * taken for part of a later one. */
int log_end_cut(const struct log_end *end, const struct directory *directory, struct error *error);

#endif
