/* The shard's state, shared by its loop (shard.c) and by the execution of requests (execute.c). */
#ifndef NET_SHARD_STATE_H
#define NET_SHARD_STATE_H

#include "engine/ledger.h"
#include "net/connection.h"
#include "net/shard.h"
#include "net/warmer.h"
#include "wal/fetch.h"
#include "wal/follower.h"
#include "wal/log.h"

enum {
    SHARD_FETCHES = 4,
    /* A chunk of ids, each with the few records that chance may put beside it. */
    FIRE_CACHE_RECORDS = 16 * LEDGER_FIRE_MAX,
    FIRE_PAUSE_NS = 2 * 1000 * 1000,            /* after a batch that was not full */
    FIRE_DAMAGED_PAUSE_NS = 1000 * 1000 * 1000, /* after a record that cannot be read */
    SHARD_PROGRESS_NS = 1000 * 1000 * 1000, /* between messages about something that takes long */
};

/* A fetch of old records and the connection whose first frame waits for it. */
struct shard_fetch {
    struct log_fetch fetch;
    struct connection *connection; /* NULL: free */
};

/* Scratch for one request of TigerBeetle's clients. */
struct compat {
    struct giro_result *results;   /* LEDGER_EVENTS_MAX */
    struct session_result *failed; /* LEDGER_EVENTS_MAX */
};

/* A listening socket. */
struct listener {
    int fd; /* -1: none */
    bool compat;
    bool accepting;
    struct io_op accept;
};

enum { LISTENER_NATIVE, LISTENER_COMPAT, LISTENERS };

struct connection_list {
    struct connection *first;
    struct connection *last;
    uint32_t count;
};

struct shard {
    const struct shard_options *options;
    struct directory directory;
    struct io *io;
    struct ledger *ledger;
    struct log log;
    void *window;

    int stop_fd;
    struct listener listeners[LISTENERS];
    struct io_op stop;
    char stop_byte;
    bool stopping;
    bool impatient; /* a second time */

    struct connection *connections;
    char *connection_buffers;
    struct connection *free_connections;
    struct connection_list ready;
    struct connection **awaiting; /* connections with replies that are not durable */
    uint32_t awaiting_count;
    uint32_t connection_count;
    struct buffer_pool in_pool;
    struct buffer_pool out_pool;

    struct compat compat;

    struct shard_fetch fetches[SHARD_FETCHES];
    uint64_t *addresses; /* LEDGER_FETCH_MAX, scratch */

    struct shard_fetch firing; /* of schedules: no connection waits for it */
    bool firing_fetches;
    uint64_t firing_paused_until; /* monotonic */

    struct warmer warmer;

    struct follower *follower;
    int notify_fd; /* readable when the follower has completed something; its end of a socket pair */
    int follower_notify_fd; /* the follower's */
    struct io_op notify;
    char notify_bytes[64];
    bool notifying;            /* the operation is under way */
    uint32_t requests_pending; /* of connections, that the follower has */
    bool own_pending;          /* it has one of the shard itself: there is one at most */
    bool throttled;            /* no creates until the follower has caught up a little */
    uint64_t throttle_said_at; /* monotonic; when that was said last */
    uint64_t digest_position;  /* of the log, when the last digest record was written */
    uint64_t digest_lsn;
    uint64_t round_rows;  /* of digests in this round, while a snapshot is to be proven */
    uint64_t round_sides; /* the same of the other tables */
    uint64_t round_until; /* monotonic */
    struct error failure; /* why the shard stopped by itself */
    struct manifest_entry snapshot_due; /* to be written into the log; file_bytes 0: none */

    bool release_due;      /* a write completed: replies may be ready */
    uint64_t monotonic_ns; /* read once a turn of the loop */
    uint64_t idle_mark_at; /* monotonic; 0: none is due */
    uint64_t sweep_at;     /* monotonic */
    bool crowded;          /* more events had come than the last look could take */

    struct frame_stats stats; /* the counters; the gauges are filled in when asked for */
};

enum execution {
    EXECUTION_DONE,        /* a reply was made: drop the frame */
    EXECUTION_REFUSED,     /* the connection cannot go on; *out_status tells why */
    EXECUTION_WAIT_LOG,    /* the open block is full */
    EXECUTION_WAIT_OUTPUT, /* the connection's output is full */
    EXECUTION_WAIT_BUFFER, /* no large buffer, fetch or request is free, or the follower is late */
    EXECUTION_FETCHING,    /* old records are being read: again when they are there */
};

static inline bool all_zero(const uint8_t *bytes, size_t count)
{
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++)
        any |= bytes[i];
    return any == 0;
}

/* Brings the ledger to the end of the log and starts a new epoch: the first block of this start is
 * durable on return (net/start.c). */
int shard_log_start(struct shard *shard, struct error *error);

/* One turn of the loop: waits for events and handles them. Returns 0 or the backend's -errno. */
int shard_turn(struct shard *shard, uint64_t timeout_ns);

/* Executes the whole frame at the front of a connection's input. */
enum execution shard_execute(struct shard *shard, struct connection *connection,
                             enum frame_status *out_status);

/* The next timestamp: the clock's, or one more than the last, whichever is later. */
uint64_t shard_timestamp_next(const struct shard *shard);

/* Starts fetching shard->addresses for a connection, in the fetch that it has or in a free one. */
enum execution shard_fetch_start(struct shard *shard, struct connection *connection,
                                 uint32_t count);

/* What was fetched for a connection; NULL: nothing. */
const struct record_cache *shard_fetch_cache(struct shard *shard,
                                             const struct connection *connection);

/* Whether there is room for transfers, but in the log. */
enum frame_status shard_transfers_room(const struct shard *shard,
                                       const struct giro_transfer *events, uint32_t count);

/* Hands a query over to the follower. Returns FRAME_OK with what becomes of the frame, or what is wrong
 * with the filter. */
enum frame_status shard_query_begin(struct shard *shard, struct connection *connection,
                                    enum follower_request_kind kind, const void *filter,
                                    uint32_t filter_bytes, enum execution *out_execution);

/* Ends a frame's completed request. */
void shard_query_end(struct shard *shard, struct connection *connection);

/* Ends a fetch: frees it for the next one. */
void shard_fetch_end(struct shard_fetch *fetch);

/* The fetch that works for a connection, NULL when there is none. */
struct shard_fetch *shard_fetch_of(struct shard *shard, const struct connection *connection);

/* Executes a query, a read of changes or a snapshot; false: the frame is none of these. */
bool shard_execute_query(struct shard *shard, struct connection *connection,
                         enum execution *out_execution);

/* Takes one request that the follower has completed. Returns its connection, which can go on, or
 * NULL when there is none. */
struct connection *shard_query_completed(struct shard *shard);

/* Forgets the request of a connection that is being closed. */
void shard_query_drop(struct shard *shard, struct connection *connection);

/* Replies with a status and no body. */
enum execution shard_reply_status(struct shard *shard, struct connection *connection,
                                  enum frame_status status);

/* Releases the holds whose deadline has come, as far as the log has room. Returns false when the
 * log had none. */
bool shard_expire(struct shard *shard);

/* Fires schedules that are due, as many as do not keep anybody waiting. */
void shard_fire(struct shard *shard);

#endif
