/* A shard: one thread that joins a ledger, its log and its connections in one loop.
 *
 *   receive -> parse -> execute -> open block -> write -> durable -> reply
 *
 * The happy path of a transfer
 *   1. Bytes arrive; a whole frame makes its connection ready.
 *   2. Ready connections take turns, one frame each: the ledger executes the frame where it lies,
 *      and writes the accepted records into the log's open block and the reply into the
 *      connection's output.
 *   3. When nobody is ready, or the block is large enough, and no write is in flight, the block is
 *      sealed and written.
 *   4. The write completes: the replies that depended on it are sent, reads included.
 *
 * And otherwise
 *   - The open block is full while a write is in flight: nobody executes until it completes;
 *     sockets fill up, and TCP slows the clients down.
 *   - A frame needs records that are no longer in memory: its connection waits for the fetch, the
 *     others go on.
 *   - A frame is malformed: an error frame, then the connection is closed; others notice nothing.
 *   - A client does not read its replies: its output fills up, and it is not executed any more
 *     until it reads, or is closed when it does not for send_timeout.
 *   - No room on disk: creates are answered storage_full while the log still has room for what was
 *     accepted; reads go on.
 *   - A log write fails: the process ends (wal/log.h).
 *   - A query, a read of changes: the follower answers it (wal/follower.h); its connection waits.
 *   - The follower is too far behind: nobody executes until it has caught up.
 *   - The follower's state is not ours: the shard says so, dumps both, and stops. */
#ifndef NET_SHARD_H
#define NET_SHARD_H

#include "engine/record.h"
#include "wal/directory.h"
#include "wal/io.h"

#include <stdbool.h>

struct shard_options {
    const char *data;
    const char *listen;           /* HOST:PORT, [HOST]:PORT for IPv6; port 0: any */
    const char *compat_listen;    /* the same for TigerBeetle's clients; NULL: none */
    giro_u128 compat_cluster;     /* that they name */
    uint32_t compat_sessions_max; /* that are remembered; the one used the longest ago goes first */
    enum io_mode io_mode;
    uint32_t shards; /* 0: as formatted */
    uint32_t accounts_max;
    uint64_t transfers_max;
    uint32_t holds_max;
    uint32_t payments_max; /* transfers that keep more than their record: returns and so on */
    uint32_t connections_max;
    uint32_t large_buffers; /* of a frame each, for input and again for output */
    uint64_t window_bytes;
    uint32_t block_bytes_max;
    uint32_t segments_ahead;
    uint32_t idle_mark_ms;
    uint32_t spin_us; /* to look for the end of a log write before sleeping; 0: sleep at once */
    uint32_t frame_timeout_ms;     /* from the first byte of a frame to its last, and for hello */
    uint32_t send_timeout_ms;      /* without progress */
    uint32_t follower;             /* 1: on; 0: no queries, no snapshots, nothing is sealed */
    uint64_t follower_lag_max;     /* bytes of log; beyond it requests wait for the follower */
    uint64_t snapshot_log_bytes;   /* at least so much log between two snapshots */
    uint64_t snapshot_bytes_per_s; /* pace of writing one; 0: as fast as it goes */
    uint64_t snapshot_map_bytes;   /* LMDB's map; 0: as large as needed */
};

/* The options' defaults. */
struct shard_options shard_options_default(void);

/* Serves until stop_fd becomes readable (one end of a socket pair), then stops cleanly.
 * Returns 0, or -errno with the reason when it could not start. */
int shard_serve(const struct shard_options *options, int stop_fd, struct error *error);

#endif
