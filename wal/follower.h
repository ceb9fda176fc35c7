/* The follower: one thread a shard that replays durable blocks, and everything that hangs on it.
 *
 *   log window or segment files ─▶ tail ─▶ replay into a private ledger ─▶ live segment ─▶ sidecar
 *                                                  │                            │
 *                                                  ├─▶ digest records: compared └─▶ queries, changes
 *                                                  └─▶ snapshot
 *
 * It shares nothing with the shard but the log's feed, two rings of request numbers and a few
 * counters, all of them atomics:
 *
 *   what              | written by | order
 *   feed.durable      | shard      | after the block is durable; sequentially consistent with asleep
 *   feed.low          | shard      | relaxed, with fences: see wal/tail.c
 *   submitted.head    | shard      | release after the request was filled in; acquired by the thread
 *   completed.head    | follower   | release after the output was written; acquired by the shard
 *   request.cancelled | shard      | relaxed: a hint that only ever becomes true
 *   failure           | follower   | release after the text was written; acquired by the shard
 *   counters          | follower   | relaxed: each stands for itself
 *   asleep, stop      | both       | sequentially consistent: see follower_wake()
 *
 * The thread gives every kind of work its turn: some blocks, a slice of the snapshot, a slice of
 * each query. It never waits for the disk's writes; only reads of old pages can hold it up.
 *
 * When it falls behind further than the window reaches, it reads the files. When it fails, because
 * a block cannot be read or the state differs from the shard's, it says so and stops; only the
 * latter stops the shard. */
#ifndef WAL_FOLLOWER_H
#define WAL_FOLLOWER_H

#include "wal/query.h"
#include "wal/snapshot.h"
#include "wal/tail.h"
#include "wal/view.h"

#include <semaphore.h>

enum {
    FOLLOWER_REQUESTS = 1024,   /* at once; a power of two */
    FOLLOWER_CHANGES_MAX = 768, /* of them that read changes, which may wait for long */
    FOLLOWER_VIEWS = 4,         /* of sealed segments, for readers of old changes */
    FOLLOWER_OUTPUT_BYTES = 1 << 20,
};

enum follower_request_kind {
    FOLLOWER_ACCOUNT_TRANSFERS = QUERY_ACCOUNT_TRANSFERS,
    FOLLOWER_ACCOUNT_BALANCES = QUERY_ACCOUNT_BALANCES,
    FOLLOWER_ACCOUNTS = QUERY_ACCOUNTS,
    FOLLOWER_TRANSFERS = QUERY_TRANSFERS,
    FOLLOWER_CHANGES,
    FOLLOWER_SNAPSHOT,
};

/* What a read of changes, or a snapshot, answers besides its output. */
struct follower_changes {
    uint64_t ordinal_next;
    uint64_t ordinal_end;
};

/* One request: the shard's until it is submitted and once it is completed, else the follower's. */
/* timestamp_min: of changes from ordinal 0 on, those of earlier transfers may be left out. */
struct follower_changes_filter {
    struct giro_change_filter change;
    uint64_t timestamp_min; /* 0: none are */
};

struct follower_request {
    enum follower_request_kind kind;
    uint64_t fence_lsn; /* answered when everything up to this block was followed */
    union {
        struct giro_account_filter account;
        struct giro_query_filter query;
        struct giro_change_filter change;
        struct follower_changes_filter changes;
        uint32_t snapshot_segment; /* the first that need not be in it */
    } filter;
    atomic_bool cancelled; /* nobody waits for it any more */

    /* The answer. */
    int result; /* 0 or -errno: -EBADMSG an index is damaged, -EILSEQ the log is, -ECANCELED,
                   -EPIPE the follower has stopped, -EIO the snapshot failed */
    uint32_t count;
    struct follower_changes changes;
    struct manifest_entry snapshot;
    char *output; /* FOLLOWER_OUTPUT_BYTES */

    /* The follower's own. */
    struct query query;
    bool begun;
    uint64_t deadline; /* monotonic */
    uint32_t attempt;  /* of a snapshot, by the follower's count */
    uint32_t number;
    void *owner; /* the shard's */
};

/* Numbers of requests, from one thread to another. */
struct follower_ring {
    _Atomic uint32_t head;
    _Atomic uint32_t tail;
    uint32_t entries[FOLLOWER_REQUESTS];
};

enum follower_sleep {
    FOLLOWER_AWAKE,
    FOLLOWER_NAPS,   /* for a millisecond: a request wakes it, a block waits that long */
    FOLLOWER_SLEEPS, /* nothing has happened for a while: a block wakes it as well */
};

enum follower_failure {
    FOLLOWER_SOUND,
    FOLLOWER_STOPPED,  /* it cannot go on; the shard can */
    FOLLOWER_MISMATCH, /* its state is not the shard's: neither can */
};

struct follower_options {
    uint32_t accounts_max;
    uint32_t holds_max;
    uint32_t payments_max;
    uint32_t accounts_expected;
    uint64_t hash_seed;
    uint64_t snapshot_log_bytes; /* at least so much log between two snapshots */
    struct snapshot_options snapshot;
};

struct follower_counters {
    _Atomic uint64_t position; /* of the log: everything before it was followed */
    _Atomic uint64_t lsn;
    _Atomic uint64_t snapshots;
    _Atomic uint64_t snapshot_segment;
    _Atomic uint64_t snapshot_bytes;
    _Atomic uint64_t snapshot_running;
    _Atomic uint64_t segments_sealed;
    _Atomic uint64_t queries;
    _Atomic uint64_t queries_active;
    _Atomic uint64_t changes;
    _Atomic uint64_t digests_checked;
    _Atomic uint64_t memory_bytes;
};

struct follower {
    const struct directory *directory;
    struct follower_options options;
    struct ledger *ledger;
    struct live live;
    struct archive archive;
    struct archive_reader *reader;
    struct tail tail;
    struct snapshot snapshot;
    struct view_maker views[FOLLOWER_VIEWS];
    struct ledger_effect effects[LEDGER_CHUNK_EVENTS];
    bool off;                 /* an index could not be written at start */
    bool recording;           /* the segment in use gets a sidecar from here */
    bool seal_due;            /* the segment is complete and its sidecar not written yet */
    uint64_t seal_at;         /* monotonic: when to try again */
    atomic_bool seal_failing; /* and said so */
    bool views_ready;

    uint32_t passed_over[MANIFEST_ENTRIES]; /* segments of snapshots that could not be used */
    uint32_t passed_over_count;
    uint32_t snapshot_segment; /* of the newest snapshot; 0: none */
    uint64_t snapshot_bytes;
    uint64_t snapshot_lsn;
    uint32_t snapshot_not_before; /* segment: after one failed */
    uint32_t snapshot_wanted; /* a snapshot of this segment or a later one was asked for; 0: none */
    uint32_t attempts;        /* snapshots begun and failed to begin, ended */
    uint32_t attempts_ended;
    uint32_t attempt_failed; /* the last one that failed */

    struct follower_request requests[FOLLOWER_REQUESTS];
    struct follower_ring submitted;
    struct follower_ring completed;
    uint32_t free[FOLLOWER_REQUESTS]; /* the shard's */
    uint32_t free_count;
    uint32_t changes_count;             /* the shard's: requests that read changes */
    uint32_t active[FOLLOWER_REQUESTS]; /* the follower's */
    uint32_t active_count;
    uint32_t active_next; /* whose turn it is */

    pthread_t thread;
    bool started;
    sem_t wake;
    _Atomic enum follower_sleep asleep;
    uint64_t worked_at; /* monotonic: when there was something to do last */
    atomic_bool stop;
    int notify_fd; /* gets a byte when something was completed; non-blocking */
    _Atomic enum follower_failure failure;
    struct error failure_text;
    struct follower_counters counters;

    pthread_mutex_t published_mutex;
    struct manifest_entry published; /* a snapshot that is not in the log yet */
    atomic_bool publishes;           /* there is one */
    atomic_bool wants_roll;
    atomic_bool wants_digests; /* of all rows, soon: a snapshot waits for its proof */
    uint32_t roll_asked;       /* in this segment */
};

/* ---- At start, in the shard's thread ----------------------------------------------------- */

/* Returns 0 or -errno. */
int follower_init(struct follower *follower, const struct directory *directory,
                  const struct follower_options *options, struct error *error);
void follower_free(struct follower *follower);

/* Brings the shard's own ledger, which is empty, to the newest snapshot that can be used together
 * with the sidecars of all segments before it: accounts, holds, outcomes, ids, and the chunks of the
 * log's map. What cannot be used is said on stderr. Returns 1 with the position where the log goes
 * on, 0 when there is nothing usable (the ledger is as it was), or -errno when the ledger is of no
 * further use: it is to be made anew, and the call repeated, which passes over what failed. */
int follower_restore(struct follower *follower, struct ledger *ledger, uint32_t *log_map,
                     struct log_position *out_position, struct error *error);

/* Applies a block that the reader returned to the shard's ledger, and keeps the follower's records
 * of it. When an index cannot be written, which is said, the follower stays off. Returns 0, or -errno
 * of ledger_replay() with *out_index. */
int follower_replay(struct follower *follower, struct ledger *ledger,
                    const struct block_header *header, uint32_t *out_index);

/* Copies the ledger and starts the thread behind the reader's last block. */
int follower_start(struct follower *follower, const struct ledger *ledger,
                   const struct log_reader *reader, const struct log_feed *feed, int notify_fd,
                   struct error *error);

/* ---- While it runs, in the shard's thread ------------------------------------------------ */

/* A request of a kind to fill in, NULL when all, or all that this kind may have, are under way. */
struct follower_request *follower_request(struct follower *follower,
                                          enum follower_request_kind kind);
void follower_submit(struct follower *follower, struct follower_request *request);

/* A request that was completed, NULL when there is none. */
struct follower_request *follower_completed(struct follower *follower);

/* Gives a completed request back. */
void follower_release(struct follower *follower, struct follower_request *request);

/* Bytes of the log that are durable and were not followed yet. */
uint64_t follower_lag_bytes(const struct follower *follower);

enum follower_failure follower_failure(const struct follower *follower);

/* Whether the log is to go on in its next segment, because a snapshot waits for that. */
bool follower_wants_roll(struct follower *follower);

/* Takes a snapshot that was completed and is to be written into the log. */
bool follower_published(struct follower *follower, struct manifest_entry *out_entry);

/* Bytes of the log behind the newest snapshot. */
uint64_t follower_log_since_snapshot(const struct follower *follower, uint64_t log_bytes);

/* Nobody is disturbed any more: the snapshot that is being written need not be paced. */
void follower_hurry(struct follower *follower);

/* Wakes the thread, so that it sees a request that was cancelled. */
void follower_wake(struct follower *follower);

/* To be called when a block became durable. */
static inline void follower_block_durable(struct follower *follower)
{
    if (atomic_load(&follower->asleep) == FOLLOWER_SLEEPS)
        follower_wake(follower);
}

/* Ends the thread; requests under way are completed with -ECANCELED. */
void follower_stop(struct follower *follower);

#endif
