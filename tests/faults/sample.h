/* A small log with one block of everything, made in this process by the real code, and what the
 * real reader makes of it once a test has spoilt it.
 *
 * Directory id, clock and timestamps are fixed, so the log is the same bytes in every run. */
#ifndef TESTS_FAULTS_SAMPLE_H
#define TESTS_FAULTS_SAMPLE_H

#include "engine/ledger.h"
#include "tests/faults/harness.h"
#include "wal/log.h"

enum {
    SAMPLE_BLOCKS_MAX = 32,
    SAMPLE_SEGMENT_BYTES = 4 << 20,
    SAMPLE_WINDOW_BYTES = 4 * SAMPLE_SEGMENT_BYTES,
};

/* In 2023, and written_at of the first block; every block adds a second. */
#define SAMPLE_CLOCK_NS 1700000000000000000ull

/* ---- Writing ----------------------------------------------------------------------------- */

/* A log that is being written, block by block, without a server. */
struct log_writer {
    struct directory directory;
    struct io *io;
    struct log_reader reader;
    struct log log;
    struct ledger *ledger;
    void *window;
    uint64_t clock_ns;
    uint64_t *addresses;
    struct giro_result results[LEDGER_EVENTS_MAX];
    uint32_t result_count; /* of the last request */
};

/* Formats path, with ahead segments besides the first, under the fixed directory id and clock. */
void sample_format(const char *path, uint32_t ahead);

/* Opens a data directory as a server does at its start: reads, replays, writes a start mark. */
void log_writer_open(struct log_writer *writer, const char *path);

/* Each of these writes one block and waits until it is durable. */
void log_writer_mark(struct log_writer *writer, enum block_kind kind);
void log_writer_accounts(struct log_writer *writer, const struct giro_account *accounts,
                         uint32_t count);
void log_writer_transfers(struct log_writer *writer, const struct giro_transfer *transfers,
                          uint32_t count);
void log_writer_expire(struct log_writer *writer);
void log_writer_close(struct log_writer *writer);

/* ---- The sample -------------------------------------------------------------------------- */

struct sample_block {
    uint32_t offset; /* all of them lie in the first segment */
    uint32_t bytes;
    enum block_kind kind;
    struct checksum digest; /* of the ledger after it */
};

struct sample {
    char path[PATH_BYTES];
    struct sample_block blocks[SAMPLE_BLOCKS_MAX];
    uint32_t block_count;
    uint32_t end;          /* offset behind the last block */
    struct checksum empty; /* digest of the ledger before the first block */
    uint8_t *bytes;        /* the first `end` bytes of the log */
    struct directory_meta meta;
};

/* Makes a data directory with the sample: start, accounts, transfers, holds, idle mark, post and
 * void, burnt ids, expiry, stop, start, chain, idle mark. ahead: empty segments behind it. */
void sample_make(struct sample *sample, uint32_t ahead);
void sample_free(struct sample *sample);

/* Digest after the first count blocks. */
struct checksum sample_digest(const struct sample *sample, uint32_t count);

/* Puts the first count blocks back as they were, and zeros in place of the others, in path, which
 * is a copy of the sample. */
void sample_restore(const struct sample *sample, const char *path, uint32_t count);

/* ---- Reading ----------------------------------------------------------------------------- */

/* What a log holds and how it ends. */
struct log_view {
    int result; /* 0, or why it could not be read or replayed; then the rest means nothing */
    struct log_end end;
    uint64_t blocks;
    struct checksum digest;
    bool balanced; /* debits equal credits, posted and pending */
    struct error text;
    uint64_t unreadable_bytes;
};

/* A directory that is read again and again. */
struct log_viewer {
    struct directory directory;
    void *window;
    uint64_t window_bytes;
};

void log_viewer_open(struct log_viewer *viewer, const char *path);
void log_viewer_close(struct log_viewer *viewer);

/* Reads the log to its end, by the reader and replay that servers start with. */
struct log_view log_viewer_read(struct log_viewer *viewer);

/* Cuts a torn tail as a server does. */
void log_viewer_cut(struct log_viewer *viewer, const struct log_view *view);

const char *log_end_name(enum log_end_verdict verdict);

#endif
