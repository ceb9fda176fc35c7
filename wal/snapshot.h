/* Snapshots: the ledger's state at the beginning of a segment, in an LMDB file of its own.
 *
 *   DIR/shard-0/snapshot-0000000008.mdb     everything before segment 8
 *
 *   database   | key                        | value
 *   accounts   | u64 first row / 31         | struct snapshot_chunk, then up to 31 account rows
 *   holds      | u64 first hold / 27        | struct snapshot_chunk, then up to 27 struct snapshot_hold
 *   outcomes   | u64 first byte / 3,968     | struct snapshot_chunk, then 3,968 bytes of the table of
 *              |                            | outcomes, two bits a log address; chunks of zeros are
 *              |                            | left out
 *   segments   | u64 segment                | struct segment_facts: the catalogue of sealed segments
 *   meta       | u64 0                      | struct snapshot_meta
 *
 * The follower writes it in slices between replayed blocks; account rows that are about to change
 * are set aside first, so the file shows one moment. It is written once, in the order of the keys,
 * in small synced transactions, paced, by a thread of its own: one large sync would hold up the log.
 * Then the file is read back from the disk as a whole, and its checksum goes into the manifest and
 * into the log. Whoever loads a snapshot compares that before LMDB opens the file, because LMDB has
 * no checksums and trusts what it maps.
 *
 * Order of durability: the file, its name, the manifest, then older files go. A crash in between
 * leaves a file that the manifest does not name, which is deleted at the next start.
 *
 * Outcomes are not set aside: those that came about while the file was written belong to holds that
 * were still open or not there at its moment, and loading resets both. */
#ifndef WAL_SNAPSHOT_H
#define WAL_SNAPSHOT_H

#include "engine/ledger.h"
#include "wal/archive.h"
#include "wal/manifest.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_CHUNK_ROWS = 31, /* with their head, one LMDB page */
    SNAPSHOT_CHUNK_HOLDS = 27,
    SNAPSHOT_CHUNK_OUTCOMES = 3968, /* bytes */
    SNAPSHOT_BATCH_BYTES = 1 << 20, /* of one transaction */
};

struct snapshot_chunk {
    struct checksum checksum; /* of what follows */
    uint64_t first;
    uint32_t count;
    uint32_t reserved;
};

struct snapshot_hold {
    struct giro_transfer record;
    uint64_t address;
    uint64_t reserved;
};

struct snapshot_meta {
    uint32_t version;
    uint32_t segment_bytes;
    uint8_t directory_id[16];
    struct log_position position; /* what the log goes on with */
    struct ledger_totals totals;
    uint64_t accounts;
    uint64_t holds;
    struct checksum digest; /* ledger_digest() */
    struct ledger_sums sums;
};

struct snapshot_options {
    uint64_t bytes_per_s; /* 0: unlimited */
    uint64_t map_bytes;   /* of LMDB; 0: what is needed */
};

/* ---- The thread that writes -------------------------------------------------------------- */

enum snapshot_database {
    SNAPSHOT_ACCOUNTS,
    SNAPSHOT_HOLDS,
    SNAPSHOT_OUTCOMES,
    SNAPSHOT_SEGMENTS,
    SNAPSHOT_META,
    SNAPSHOT_DATABASES,
};

struct snapshot_put {
    enum snapshot_database database;
    uint32_t size;
    uint32_t offset; /* in the batch's memory */
    uint64_t key;
};

enum { SNAPSHOT_BATCH_PUTS = SNAPSHOT_BATCH_BYTES / 64 };

enum snapshot_writer_state {
    SNAPSHOT_WRITER_NONE,
    SNAPSHOT_WRITER_EMPTY, /* the batch may be filled */
    SNAPSHOT_WRITER_FULL,  /* the batch is being written */
    SNAPSHOT_WRITER_LAST,  /* ... and is the last one */
    SNAPSHOT_WRITER_ABANDON,
    SNAPSHOT_WRITER_DONE,
    SNAPSHOT_WRITER_FAILED,
};

struct snapshot_writer {
    const struct directory *directory;
    uint64_t map_bytes;
    _Atomic uint64_t bytes_per_s; /* 0: unlimited; may be changed at any time */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum snapshot_writer_state state; /* under the mutex */
    char *memory;                     /* of the batch */
    struct snapshot_put *puts;
    uint32_t put_count;
    uint32_t used_bytes;
    uint64_t expected_bytes;
    struct manifest_entry entry; /* the result */
    struct error error;
};

/* ---- Taking one -------------------------------------------------------------------------- */

enum snapshot_phase {
    SNAPSHOT_PHASE_ACCOUNTS,
    SNAPSHOT_PHASE_HOLDS,
    SNAPSHOT_PHASE_OUTCOMES,
    SNAPSHOT_PHASE_SEGMENTS,
    SNAPSHOT_PHASE_META,
    SNAPSHOT_PHASE_FINISH,
};

struct snapshot {
    struct snapshot_writer writer;
    bool active;
    enum snapshot_phase phase;
    uint32_t segment;
    struct log_position position;
    struct ledger_totals totals;
    uint32_t accounts;         /* rows of that moment */
    uint32_t chunk_next;       /* of accounts, to be written next */
    uint32_t *aside;           /* by chunk: 1 + its number among those set aside; 0: not */
    struct giro_account *rows; /* set aside, SNAPSHOT_CHUNK_ROWS each */
    uint32_t aside_count;
    uint32_t chunks_max;
    struct snapshot_hold *holds;
    uint32_t hold_count;
    uint32_t holds_max;
    uint64_t next; /* in the phase: hold, outcome byte, segment */
    uint64_t digest_holds;
    struct checksum_stream *digest;
    struct ledger_sums sums;
};

int snapshot_init(struct snapshot *snapshot, const struct directory *directory,
                  const struct snapshot_options *options, uint32_t accounts_max,
                  uint32_t holds_max);
void snapshot_free(struct snapshot *snapshot);

/* Begins a snapshot of the ledger as it is now, at the beginning of a segment. Returns 0 or
 * -errno. */
int snapshot_begin(struct snapshot *snapshot, const struct ledger *ledger,
                   const struct log_position *position, struct error *error);

/* To be called before a row changes, while a snapshot is active. */
static inline void snapshot_keep(struct snapshot *snapshot, const struct ledger *ledger,
                                 uint32_t row);
void snapshot_set_aside(struct snapshot *snapshot, const struct ledger *ledger, uint32_t chunk);

enum snapshot_progress {
    SNAPSHOT_WAITS, /* for the thread that writes */
    SNAPSHOT_WORKED,
    SNAPSHOT_DONE,   /* writer.entry tells; it is durable and in the manifest */
    SNAPSHOT_FAILED, /* writer.error tells; nothing is left behind */
};

/* Does a slice of the work. */
enum snapshot_progress snapshot_step(struct snapshot *snapshot, const struct ledger *ledger,
                                     const struct archive *archive);

/* Gives up; waits for the thread. */
void snapshot_abandon(struct snapshot *snapshot);

static inline void snapshot_keep(struct snapshot *snapshot, const struct ledger *ledger,
                                 uint32_t row)
{
    uint32_t chunk = row / SNAPSHOT_CHUNK_ROWS;
    if (row < snapshot->accounts && chunk >= snapshot->chunk_next && snapshot->aside[chunk] == 0)
        snapshot_set_aside(snapshot, ledger, chunk);
}

/* ---- Loading one ------------------------------------------------------------------------- */

/* Whether the file of an entry is there, whole, and has its checksum. Returns 0 or -errno and what
 * is wrong. */
int snapshot_check(const struct directory *directory, const struct manifest_entry *entry,
                   struct error *error);

/* Loads a snapshot that was checked into an empty ledger. facts: gets a malloc()ed catalogue of
 * meta.position.segment entries, which the caller frees. Returns 0, or -errno: the ledger is then of
 * no further use. */
int snapshot_load(const struct directory *directory, const struct manifest_entry *entry,
                  struct ledger *ledger, struct snapshot_meta *out_meta,
                  struct segment_facts **out_facts, struct error *error);

#endif
