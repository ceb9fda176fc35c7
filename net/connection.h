/* One client connection: its buffers, its frames, and which of its replies may be sent.
 *
 *   in    [ executed | in_begin .. whole or part of a frame .. in_end | free ]
 *   out   [ sent | out_begin .. durable .. out_ready | .. not durable yet .. out_end | free ]
 *
 * Both buffers are small until a frame or a reply needs more; then they are swapped for a large one
 * from a pool, and given back when they are empty. A frame is parsed and executed where it was
 * received. Replies are built where they are sent from, in request order, and become ready when the
 * block that they depend on is durable. At most two blocks are not durable, the one in flight and
 * the open one, so three marks are enough.
 *
 * A slot is reused only when no operation of it is under way. */
#ifndef NET_CONNECTION_H
#define NET_CONNECTION_H

#include "net/compat_frame.h"
#include "net/frame.h"
#include "wal/io.h"

enum {
    CONNECTION_IN_BYTES = 8 << 10,
    CONNECTION_OUT_BYTES = 8 << 10,
    CONNECTION_LARGE_BYTES = FRAME_BYTES_MAX + 4096 - FRAME_BYTES_MAX % 4096,
    CONNECTION_MARKS = 3,
};

/* Owner tags of a connection's operations; those of the log are below 16. */
enum connection_owner {
    CONNECTION_OWNER_RECV = 16,
    CONNECTION_OWNER_SEND = 17,
};

enum connection_state {
    CONNECTION_FREE,
    CONNECTION_OPEN,
    CONNECTION_FINISHING, /* it was refused: send what is left and the error, read nothing more */
    CONNECTION_DRAINING,  /* everything is sent and our side shut: discard until the peer closes */
    CONNECTION_CLOSING,   /* shut: waits for its operations to end */
};

/* Replies up to `end` of the output buffer depend on block `lsn`. */
struct connection_mark {
    uint64_t lsn;
    uint32_t end;
};

struct follower_request;

struct connection {
    enum connection_state state;
    int fd;
    bool compat;   /* it speaks another protocol: net/compat.c */
    bool greeted;  /* hello was answered */
    bool listed;   /* in the list of ready connections */
    bool fetching; /* its first frame waits for old records, or for the follower */
    bool queued;   /* its first frame needs a fetch or the follower, and none was free */
    bool damaged;  /* ... and they turned out to be damaged */
    bool refused;  /* while finishing: `refusal` is still to be answered */
    bool starved;  /* waits for a large buffer */
    bool overdue;  /* the last sweep found it late: the next one ends it if it still is */
    bool awaiting; /* in the list of those with replies that are not durable */

    char *in;
    char *in_small;
    uint32_t in_capacity;
    uint32_t in_begin;
    uint32_t in_end;
    bool in_checked; /* the frame at in_begin is whole and sound */

    char *out;
    char *out_small;
    uint32_t out_capacity;
    uint32_t out_begin;
    uint32_t out_ready;
    uint32_t out_end;
    struct connection_mark marks[CONNECTION_MARKS];
    uint32_t mark_count;

    struct follower_request *request; /* that its first frame became */
    uint32_t compat_batch;            /* of its first frame: queries that were answered, */
    uint32_t compat_bytes;            /* ... into so much of the reply, */
    uint32_t compat_pages;            /* of changes that were read for it */
    uint64_t compat_lsn;              /* ... which depends on this block */
    uint64_t compat_ordinal; /* where changes go on, for whoever asks for those from here on: */
    uint64_t compat_after;   /* 0: nobody has asked yet */
    giro_u128 compat_cluster;
    struct frame_header refusal; /* operation and request id of the refused frame, and the status */
    struct io_op recv;
    struct io_op send;
    bool receiving;
    bool sending;
    uint64_t frame_since; /* monotonic: when the frame that is not whole yet was begun; 0: none */
    uint64_t send_since;  /* monotonic: when the send under way made progress last */
    uint64_t state_since; /* monotonic: when the connection was accepted, or entered its state */

    struct connection *next; /* in the ready or the free list */
};

/* Large buffers, a fixed number: memory stays bounded whatever clients do. */
struct buffer_pool {
    char *memory;
    char **free;
    uint32_t free_count;
    uint32_t count;
};

int buffer_pool_init(struct buffer_pool *pool, uint32_t count);
void buffer_pool_free(struct buffer_pool *pool);

enum frame_progress {
    FRAME_PARTIAL, /* more bytes must arrive */
    FRAME_WHOLE,   /* a frame, checked, lies at in_begin */
    FRAME_REFUSED, /* *out_status tells why; the connection cannot go on */
};

/* Looks for a whole frame at in_begin, aligned for execution in place. */
enum frame_progress connection_frame(struct connection *connection, enum frame_status *out_status);

static inline struct compat_header *connection_compat_header(const struct connection *connection)
{
    return (struct compat_header *)(void *)(connection->in + connection->in_begin);
}

static inline struct frame_header *connection_header(const struct connection *connection)
{
    return (struct frame_header *)(void *)(connection->in + connection->in_begin);
}

/* Drops the executed frame; gives a large buffer back once it is empty. */
void connection_frame_done(struct connection *connection, struct buffer_pool *pool);

/* Makes room for receiving and starts it, unless one is under way, the buffer is full of whole
 * frames, or a large buffer is needed and there is none (then starved is set). */
void connection_receive(struct connection *connection, struct buffer_pool *pool, struct io *io);

/* Room for a reply with up to body_bytes of body behind its protocol's header; NULL when there is none until something was sent,
 * or until a large buffer is free. */
char *connection_reply_reserve(struct connection *connection, struct buffer_pool *pool,
                               uint32_t body_bytes);

/* Completes a reply in the reserved room: header and checksum. It may be sent once lsn is durable.
 */
void connection_reply(struct connection *connection, const struct frame_header *request,
                      enum frame_status status, uint32_t body_bytes, uint64_t lsn);

/* The same for bytes that are complete, header and all. */
void connection_reply_bytes(struct connection *connection, uint32_t bytes, uint64_t lsn);

/* Nothing is replied in the reserved room: a large buffer goes back, unless other replies lie in it. */
void connection_reply_none(struct connection *connection, struct buffer_pool *pool);

/* Moves out_ready over everything that depends on blocks up to lsn_durable, and starts sending. */
void connection_release(struct connection *connection, uint64_t lsn_durable, struct io *io,
                        uint64_t monotonic_ns);

/* Takes the result of a completed send. Returns 0, or -errno when the connection is broken. */
int connection_sent(struct connection *connection, struct buffer_pool *pool, uint64_t monotonic_ns);

/* Gives large buffers back, whatever is in them. */
void connection_buffers_reset(struct connection *connection, struct buffer_pool *in_pool,
                              struct buffer_pool *out_pool);

#endif
