/* The log: group commit into blocks, one write in flight.
 *
 *              log_reserve, log_commit              log_flush             write completes
 *   records  -------------------------> open block -----------> in flight ---------------> durable
 *
 * Everything executed while a block is being written gathers in the next one, so an idle log writes
 * at once and a busy one writes larger blocks, without a timer. Blocks are built where they are
 * written from: a circular window of memory that also serves recent records back to the engine.
 *
 * Invariants
 *   I1  A block's bytes never change once it was submitted.
 *   I2  Block n + 1 is submitted only after block n is durable: a crash damages the last at most.
 *   I3  A block lies in one segment; the rest of a segment that it did not fit into stays zero.
 *   I4  Blocks are written only into segments that were zeroed and synced under their final name.
 *   I5  A failed or short write ends the process: after it, nobody knows what is on the disk.
 *
 * The log knows nothing of what its records mean; the engine nothing of where they go. */
#ifndef WAL_LOG_H
#define WAL_LOG_H

#include "engine/planted.h"
#include "engine/records.h"
#include "wal/block.h"
#include "wal/directory.h"
#include "wal/io.h"
#include "wal/reader.h"

#include <stdatomic.h>
#include <stdbool.h>

enum {
    LOG_WINDOW_BYTES_DEFAULT = 256 << 20,
    LOG_BLOCK_BYTES_DEFAULT = 4 << 20,
    LOG_BLOCK_BYTES_MIN = 1 << 20, /* a whole request must fit: 8,190 records and the header */
    LOG_CHUNK_BYTES = 64 << 10,    /* grain of the map from address to block */
    LOG_SEGMENTS_MAX = 1 << 20,
};

/* Owner tags of the operations that the log submits. */
enum log_owner {
    LOG_OWNER_WRITE = 1,
    LOG_OWNER_SEGMENT = 2,
    LOG_OWNER_FETCH = 3,
};

struct log_options {
    uint64_t window_bytes;    /* a power of two, at least four segments */
    uint32_t block_bytes_max; /* at most a segment */
    uint32_t segments_ahead;  /* to keep ready */
};

/* Steps of making the next segment. */
enum segment_step {
    SEGMENT_IDLE,
    SEGMENT_CREATE,
    SEGMENT_ZERO,
    SEGMENT_SYNC,
    SEGMENT_RENAME,
    SEGMENT_SYNC_FOLDER,
};

struct segment_maker {
    struct io_op op;
    enum segment_step step;
    bool paused; /* between two writes, until resume_at */
    uint64_t resume_at;
    int fd;
    uint32_t offset;
    uint64_t retry_at; /* monotonic; after the disk was full */
    char name[SEGMENT_NAME_BYTES];
    void *zeros;
};

/* What another thread may know of the log: how far it is durable, and how far the window may be
 * overwritten. A reader copies from the window, then looks at low again: what lies below it by then
 * was perhaps overwritten meanwhile, and is read from the file instead. The log never waits. */
struct log_feed {
    _Atomic uint64_t durable; /* position behind the last durable block */
    _Atomic uint64_t low;     /* position */
    const char *memory;
    uint64_t window_bytes;
};

struct log {
    struct io *io;
    const struct directory *directory;
    struct log_options options;
    struct record_window window; /* the engine's view of memory below */
    char *memory;

    /* The open block: begins where the one in flight ends. Positions count bytes of the log. */
    uint64_t open_begin;
    uint32_t open_records;

    uint64_t lsn; /* of the open block */
    uint64_t lsn_durable;
    uint64_t ordinal;
    struct checksum previous;
    uint32_t epoch;

    struct io_op write;
    bool in_flight;
    uint64_t in_flight_lsn;
    uint64_t in_flight_end;

    struct log_feed feed;
    uint32_t roll_to; /* the next block that is begun goes to this segment or a later one */

    int *segment_fds;
    uint32_t segment_count; /* that exist, the ready ones included */
    struct segment_maker maker;
    bool stopping;     /* make no more segments */
    bool storage_full; /* the disk had no room for the next segment at the last try */

    uint32_t *chunk_blocks; /* by chunk of the log: sector + 1, in its segment, of the block that
                               covers the chunk's first byte; 0: none */
    uint64_t blocks_written;
};

/* Opens a log for writing behind what the reader has read to its end. The window is the one that
 * the reader read into; the log owns it from now on. Returns 0 or -errno. */
int log_open(struct log *log, struct io *io, const struct log_reader *reader,
             const struct log_options *options, struct error *error);

/* Frees everything; no operation may be under way. */
void log_close(struct log *log);

/* Reserves the window for a log, before it is read. Release with log_window_free(). */
void *log_window_make(uint64_t window_bytes);
void log_window_free(void *window, uint64_t window_bytes);

/* Tells the log about a block that was read at start, so that its records can be fetched. */
int log_map_init(uint32_t **out_map);
void log_map_free(uint32_t *map);
void log_map_add(uint32_t *map, const struct directory_meta *meta,
                 const struct block_header *header);

enum log_room {
    LOG_ROOM,
    LOG_BUSY, /* the open block is full: wait for the one in flight */
    LOG_FULL, /* no segment is ready: refuse writes until there is one */
};

/* Records that fit into one block: at least 8,191. */
static inline uint32_t log_records_max(const struct log *log)
{
    uint32_t segment_bytes = log->directory->meta.segment_bytes;
    uint32_t bytes = log->options.block_bytes_max;
    return (bytes < segment_bytes ? bytes : segment_bytes) / GIRO_RECORD_BYTES - 1;
}

/* Asks for room for count (at most log_records_max()) records in the open block, at out_records,
 * which belong to the caller until log_commit(). Moves window.low. */
enum log_room log_reserve(struct log *log, uint32_t count, union record **out_records,
                          uint64_t *out_address);

/* Takes the first count of the reserved records into the open block. */
void log_commit(struct log *log, uint32_t count);

/* LSN that must be durable before anything seen now may be told to a client. */
static inline uint64_t log_lsn_visible(const struct log *log)
{
    if (PLANTED(READ_EARLY))
        return log->lsn_durable;
    return log->open_records > 0 ? log->lsn : log->lsn - 1;
}

/* Seals and submits the open block, unless it is empty or a write is in flight. */
void log_flush(struct log *log, uint64_t written_at);

/* Submits an empty block of a kind; nothing may be open or in flight. Returns false when there is
 * no room for it. */
bool log_mark(struct log *log, enum block_kind kind, uint64_t written_at);

/* Ends the segment in use, unless it is still empty: the next block that is begun goes to the one
 * behind it, as soon as that is ready. Returns the number of the segment that it will go to. */
uint32_t log_roll(struct log *log);

/* Whether log_roll() was asked for, nothing was written behind it yet, and there is where to. */
static inline bool log_roll_pending(const struct log *log)
{
    uint64_t segment_bytes = log->directory->meta.segment_bytes;
    uint64_t segment = log->open_begin / segment_bytes;
    bool at_begin = log->roll_to == segment && log->open_begin % segment_bytes == 0;
    return (log->roll_to > segment || at_begin) && log->roll_to < log->segment_count;
}

/* Whether log_roll() was asked for and there is no segment to go to. */
static inline bool log_roll_stuck(const struct log *log)
{
    return log->roll_to > log->open_begin / log->directory->meta.segment_bytes &&
           log->roll_to >= log->segment_count;
}

/* To be called with every completed operation whose owner is LOG_OWNER_WRITE. Ends the process
 * when the write failed. */
void log_write_done(struct log *log);

/* Keeps segments_ahead segments ready; to be called now and then and with every completed
 * operation whose owner is LOG_OWNER_SEGMENT (completed: true). */
void log_segments_run(struct log *log, uint64_t monotonic_ns, bool completed);

/* Whether nothing of the log's is under way. */
static inline bool log_quiet(const struct log *log)
{
    return !log->in_flight && log->maker.step == SEGMENT_IDLE;
}

#endif
