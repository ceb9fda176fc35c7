/* Snapshots: the ledger's state at the beginning of a segment, in an LMDB file of its own.
 *
 *   DIR/shard-0/snapshot-0000000008.mdb     everything before segment 8
 *
 *   database   | key                        | value
 *   accounts   | u64 first row / 31         | struct snapshot_chunk, then up to 31 account rows
 *   payments   | u64 first row / 49         | struct snapshot_chunk, then up to 49 struct payment
 *   limits     | u64 first row / 15         | struct snapshot_chunk, then up to 15 struct limits
 *   holds      | u64 first hold / 27        | struct snapshot_chunk, then up to 27 struct snapshot_hold
 *   outcomes   | u64 first byte / 3,968     | struct snapshot_chunk, then 3,968 bytes of the table of
 *              |                            | outcomes, two bits a log address; chunks of zeros are
 *              |                            | left out
 *   segments   | u64 segment                | struct segment_facts: the catalogue of sealed segments
 *   meta       | u64 0                      | struct snapshot_meta
 *
 * The follower writes it in slices between replayed blocks; rows that
 * change meanwhile are set aside first, so the file shows one moment. It is written once, in the order of the keys,
 * by a thread of its own, paced, and sent off to the disk megabyte by megabyte: one large sync would
 * hold up the log, and so would the flush of many small ones. The one sync at the end finds little
 * left to do.
 * Then the file is read back from the disk as a whole, and its checksum goes into the manifest and
 * into the log. Whoever loads a snapshot compares that before LMDB opens the file, because LMDB has
 * no checksums and trusts what it maps.
 *
 * A snapshot is published only when it is proven: when digest records of every account row, written
 * by the server after the last row was put into the file, have agreed with the follower's rows. A bit
 * that flipped in the follower's memory is found out before it becomes the truth of the next start.
 *
 * Order of durability: the sidecars that it relies on, the file, its name, the manifest, then older
 * files go. A crash in between leaves a file that the manifest does not name, which is deleted at
 * the next start.
 *
 * Outcomes are not set aside: those that came about while the file was written belong to holds that
 * were still open or not there at its moment, and loading resets both. */
#ifndef WAL_SNAPSHOT_H
#define WAL_SNAPSHOT_H

#include "engine/ledger.h"
#include "engine/planted.h"
#include "wal/archive.h"
#include "wal/manifest.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    SNAPSHOT_VERSION = 3,
    SNAPSHOT_CHUNK_BYTES = 3968, /* at most: with their head, one LMDB page */
    SNAPSHOT_CHUNK_HOLDS = 27,
    SNAPSHOT_BATCH_BYTES = 1 << 20, /* of one transaction */
    SNAPSHOT_TABLES_MAX = 8,
};

struct snapshot_chunk {
    struct checksum checksum; /* of what follows */
    uint64_t first;
    uint32_t count;
    uint32_t reserved;
};

struct snapshot_hold {
    struct giro_transfer record; /* its amount: what is left */
    uint64_t address;
    uint64_t expires_at;
};

struct snapshot_meta {
    uint32_t version;
    uint32_t segment_bytes;
    uint8_t directory_id[16];
    struct log_position position; /* what the log goes on with */
    struct ledger_totals totals;
    uint64_t holds;
    struct checksum digest;             /* ledger_digest() */
    uint64_t rows[SNAPSHOT_TABLES_MAX]; /* by enum ledger_table */
    struct ledger_sums sums;
};

_Static_assert(offsetof(struct snapshot_meta, sums) == 208, "no padding in snapshot_meta");
_Static_assert(SNAPSHOT_TABLES_MAX >= (int)LEDGER_TABLES, "rows of snapshot_meta");

struct snapshot_options {
    uint64_t bytes_per_s; /* 0: unlimited */
    uint64_t map_bytes;   /* of LMDB; 0: what is needed */
};

/* ---- The thread that writes -------------------------------------------------------------- */

/* enum ledger_table, and then: */
enum snapshot_database {
    SNAPSHOT_HOLDS = LEDGER_TABLES,
    SNAPSHOT_OUTCOMES,
    SNAPSHOT_SEGMENTS,
    SNAPSHOT_META,
    SNAPSHOT_DATABASES,
};

struct snapshot_put {
    uint32_t database; /* enum ledger_table or snapshot_database */
    uint32_t size;
    uint32_t offset; /* in the batch's memory */
    uint64_t key;
};

enum {
    SNAPSHOT_BATCH_PUTS = SNAPSHOT_BATCH_BYTES / 64,
    SNAPSHOT_BATCHES = 8, /* that wait to be written at most */
};

/* What one transaction writes. */
struct snapshot_batch {
    char *memory; /* SNAPSHOT_BATCH_BYTES */
    struct snapshot_put *puts;
    uint32_t put_count;
    uint32_t used_bytes;
};

enum snapshot_writer_state {
    SNAPSHOT_WRITER_NONE,
    SNAPSHOT_WRITER_RUNS,
    SNAPSHOT_WRITER_ENDS, /* no more batches will come */
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
    enum snapshot_writer_state state; /* this, the two counts and proven are under the mutex */
    bool proven;                      /* it may be published */
    uint32_t segments_synced;         /* sidecars before this one are on the disk for certain */
    uint32_t filled;                  /* batches handed over so far */
    uint32_t written;
    struct snapshot_batch batches[SNAPSHOT_BATCHES]; /* number n in slot n % SNAPSHOT_BATCHES */
    uint64_t expected_bytes;
    struct manifest_entry entry; /* the result */
    struct error error;
};

/* ---- Taking one -------------------------------------------------------------------------- */

enum snapshot_phase {
    SNAPSHOT_PHASE_TABLES,
    SNAPSHOT_PHASE_HOLDS,
    SNAPSHOT_PHASE_OUTCOMES,
    SNAPSHOT_PHASE_SEGMENTS,
    SNAPSHOT_PHASE_META,
    SNAPSHOT_PHASE_FINISH,
};

/* A table of rows that change while they are written. */
struct snapshot_table {
    enum ledger_table table;
    uint32_t row_bytes;
    uint32_t chunk_rows; /* as many as there is room for in SNAPSHOT_CHUNK_BYTES */
    uint32_t rows;       /* of the snapshot's moment */
    uint32_t chunk_next; /* to be written next */
    uint32_t *aside;     /* by row: 1 + its place in kept; 0: not set aside */
    char *kept;          /* rows that were set aside */
    uint32_t kept_count;
    struct checksum_stream *digest;
};

struct snapshot {
    struct snapshot_writer writer;
    struct snapshot_batch *batch; /* being filled */
    bool active;
    enum snapshot_phase phase;
    uint32_t segment;
    struct log_position position;
    struct ledger_totals totals;
    struct snapshot_table tables[LEDGER_TABLES];
    uint64_t
        rows_proven[LEDGER_TABLES]; /* that digests agreed with since all was put into batches */
    struct snapshot_hold *holds;
    uint32_t hold_count;
    uint32_t holds_most;
    uint64_t next; /* in the phase: table, hold, outcome byte, segment */
    bool proven;
    uint64_t digest_holds;
    struct ledger_sums sums;
};

int snapshot_init(struct snapshot *snapshot, const struct directory *directory,
                  const struct snapshot_options *options);
void snapshot_free(struct snapshot *snapshot);

/* Begins a snapshot of the ledger as it is now, at the beginning of a segment. Returns 0 or
 * -errno. */
int snapshot_begin(struct snapshot *snapshot, const struct ledger *ledger,
                   const struct log_position *position, struct error *error);

/* Keeps a snapshot that was just begun from being published before snapshot_agreed() says so. */
void snapshot_demand_proof(struct snapshot *snapshot);

static inline void snapshot_table_keep(struct snapshot_table *table, uint32_t row,
                                       const void *before)
{
    if (row >= table->rows || row / table->chunk_rows < table->chunk_next || table->aside[row] != 0)
        return;
    memcpy(table->kept + (size_t)table->kept_count * table->row_bytes, before, table->row_bytes);
    table->aside[row] = ++table->kept_count;
}

/* To be called before an account's row changes, while a snapshot is active. */
static inline void snapshot_keep(struct snapshot *snapshot, const struct ledger *ledger,
                                 uint32_t row)
{
    snapshot_table_keep(&snapshot->tables[LEDGER_ACCOUNTS], row, &ledger->accounts.rows[row]);
}

/* To be called after records were replayed, while a snapshot is active: what rows of other tables were
 * before that is in the ledger's journal. */
static inline void snapshot_keep_sides(struct snapshot *snapshot, const struct ledger *ledger)
{
    const struct journal *journal = &ledger->journal;
    for (uint32_t i = 0; i < journal->count; i++) {
        const struct journal_entry *entry = &journal->entries[i];
        if (entry->kind == JOURNAL_CHANGED &&
            !(entry->table == LEDGER_PAYMENTS && PLANTED(SKIP_ASIDE)))
            snapshot_table_keep(&snapshot->tables[entry->table], entry->slot, &entry->before);
    }
}

enum snapshot_progress {
    SNAPSHOT_WAITS, /* for the thread that writes */
    SNAPSHOT_WORKED,
    SNAPSHOT_DONE,   /* writer.entry tells; it is durable and in the manifest */
    SNAPSHOT_FAILED, /* writer.error tells; nothing is left behind */
};

/* Does a slice of the work. */
enum snapshot_progress snapshot_step(struct snapshot *snapshot, const struct ledger *ledger,
                                     const struct archive *archive);

/* Whether everything was put into batches, so that what is to come are digests. */
static inline bool snapshot_awaits_proof(const struct snapshot *snapshot)
{
    return snapshot->active && snapshot->phase == SNAPSHOT_PHASE_FINISH && !snapshot->proven;
}

/* Takes note of a digest record that agreed with the ledger; they come in order, going round all rows
 * that there are by now. */
void snapshot_agreed(struct snapshot *snapshot, const struct ledger *ledger,
                     const struct record_digest *digest);

/* Gives up; waits for the thread. */
void snapshot_abandon(struct snapshot *snapshot);

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
