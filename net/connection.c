#include "net/connection.h"

#include "engine/memory.h"
#include "engine/planted.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16 }; /* of records that are executed in place */

int buffer_pool_init(struct buffer_pool *pool, uint32_t count)
{
    *pool = (struct buffer_pool){.count = count};
    pool->memory = memory_reserve((size_t)count * CONNECTION_LARGE_BYTES);
    pool->free = calloc(count, sizeof *pool->free);
    if (pool->memory == NULL || pool->free == NULL) {
        buffer_pool_free(pool);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++)
        pool->free[pool->free_count++] =
            pool->memory + (size_t)(count - 1 - i) * CONNECTION_LARGE_BYTES;
    return 0;
}

void buffer_pool_free(struct buffer_pool *pool)
{
    memory_release(pool->memory, (size_t)pool->count * CONNECTION_LARGE_BYTES);
    free(pool->free);
    *pool = (struct buffer_pool){0};
}

static char *pool_take(struct buffer_pool *pool)
{
    return pool->free_count == 0 ? NULL : pool->free[--pool->free_count];
}

static void pool_give(struct buffer_pool *pool, char *buffer)
{
    assert(pool->free_count < pool->count);
    pool->free[pool->free_count++] = buffer;
}

/* ---- Input ------------------------------------------------------------------------------- */

static uint32_t in_bytes(const struct connection *connection)
{
    return connection->in_end - connection->in_begin;
}

static uint32_t header_bytes(const struct connection *connection)
{
    return connection->compat ? (uint32_t)COMPAT_HEADER_BYTES : (uint32_t)FRAME_HEADER_BYTES;
}

/* Of the frame at in_begin, whose header is there. */
static uint32_t in_frame_bytes(const struct connection *connection)
{
    return connection->compat ? connection_compat_header(connection)->size
                              : FRAME_HEADER_BYTES + connection_header(connection)->body_bytes;
}

static void in_to_front(struct connection *connection)
{
    memmove(connection->in, connection->in + connection->in_begin, in_bytes(connection));
    connection->in_end = in_bytes(connection);
    connection->in_begin = 0;
}

static enum frame_status in_check_header(const struct connection *connection)
{
    if (connection->compat)
        return compat_check_header(connection_compat_header(connection), connection->compat_cluster)
                   ? FRAME_OK
                   : FRAME_BAD_CHECKSUM;
    const struct frame_header *header = connection_header(connection);
    enum frame_status status = frame_check_header(header);
    /* A stranger gets no large buffer. */
    return status == FRAME_OK && !connection->greeted &&
                   header->body_bytes > sizeof(struct frame_hello)
               ? FRAME_HELLO_EXPECTED
               : status;
}

static enum frame_status in_check_body(const struct connection *connection)
{
    if (connection->compat)
        return compat_check_body(connection_compat_header(connection)) ? FRAME_OK
                                                                       : FRAME_BAD_CHECKSUM;
    return frame_check_body(connection_header(connection));
}

enum frame_progress connection_frame(struct connection *connection, enum frame_status *out_status)
{
    if (connection->in_checked)
        return FRAME_WHOLE;
    if (in_bytes(connection) < header_bytes(connection))
        return FRAME_PARTIAL;
    /* A frame of odd length leaves the next one unaligned. */
    if (connection->in_begin % ALIGNMENT != 0)
        in_to_front(connection);
    *out_status = in_check_header(connection);
    if (*out_status != FRAME_OK)
        return FRAME_REFUSED;
    if (in_bytes(connection) < in_frame_bytes(connection))
        return FRAME_PARTIAL;
    *out_status = in_check_body(connection);
    connection->in_checked = *out_status == FRAME_OK;
    return connection->in_checked ? FRAME_WHOLE : FRAME_REFUSED;
}

static void in_shrink(struct connection *connection, struct buffer_pool *pool)
{
    connection->in_begin = 0;
    connection->in_end = 0;
    if (connection->in != connection->in_small) {
        pool_give(pool, connection->in);
        connection->in = connection->in_small;
        connection->in_capacity = CONNECTION_IN_BYTES;
    }
}

void connection_frame_done(struct connection *connection, struct buffer_pool *pool)
{
    connection->in_begin += in_frame_bytes(connection);
    connection->frame_since = 0;
    connection->in_checked = false;
    if (connection->in_begin == connection->in_end)
        in_shrink(connection, pool);
}

/* Makes the buffer hold a frame of this size. Returns false when no large buffer is free. */
static bool in_grow(struct connection *connection, struct buffer_pool *pool, uint32_t frame_bytes)
{
    if (connection->in_begin + frame_bytes <= connection->in_capacity)
        return true;
    if (frame_bytes <= connection->in_capacity) {
        in_to_front(connection);
        return true;
    }
    char *large = pool_take(pool);
    if (large == NULL)
        return false;
    memcpy(large, connection->in + connection->in_begin, in_bytes(connection));
    connection->in_end = in_bytes(connection);
    connection->in_begin = 0;
    connection->in = large;
    connection->in_capacity = CONNECTION_LARGE_BYTES;
    return true;
}

void connection_receive(struct connection *connection, struct buffer_pool *pool, struct io *io)
{
    if (connection->receiving || connection->state != CONNECTION_OPEN)
        return;
    uint32_t wanted = header_bytes(connection);
    if (in_bytes(connection) >= wanted)
        wanted = in_frame_bytes(connection);
    if (in_bytes(connection) >= wanted)
        return; /* a whole frame waits to be executed: that is the back-pressure */
    connection->starved = !in_grow(connection, pool, wanted);
    if (connection->starved)
        return;
    /* A large buffer takes exactly its frame, so that nothing has to be moved out of it. */
    uint32_t room = connection->in == connection->in_small
                        ? connection->in_capacity - connection->in_end
                        : wanted - in_bytes(connection);
    connection->recv = (struct io_op){
        .kind = in_bytes(connection) == 0 ? IO_RECV_IDLE : IO_RECV,
        .fd = connection->fd,
        .buffer = connection->in + connection->in_end,
        .size = room,
        .owner = CONNECTION_OWNER_RECV,
    };
    connection->receiving = true;
    io_submit(io, &connection->recv);
}

/* ---- Output ------------------------------------------------------------------------------ */

static void out_shrink(struct connection *connection, struct buffer_pool *pool)
{
    connection->out_begin = 0;
    connection->out_ready = 0;
    connection->out_end = 0;
    if (connection->out != connection->out_small) {
        pool_give(pool, connection->out);
        connection->out = connection->out_small;
        connection->out_capacity = CONNECTION_OUT_BYTES;
    }
}

char *connection_reply_reserve(struct connection *connection, struct buffer_pool *pool,
                               uint32_t body_bytes)
{
    uint32_t frame_bytes = header_bytes(connection) + body_bytes;
    connection->starved = false;
    if (connection->out_end + frame_bytes > connection->out_capacity) {
        if (connection->out_end != 0 || frame_bytes > CONNECTION_LARGE_BYTES)
            return NULL; /* wait until the buffer is empty */
        char *large = pool_take(pool);
        connection->starved = large == NULL;
        if (large == NULL)
            return NULL;
        connection->out = large;
        connection->out_capacity = CONNECTION_LARGE_BYTES;
    }
    return connection->out + connection->out_end;
}

void connection_reply(struct connection *connection, const struct frame_header *request,
                      enum frame_status status, uint32_t body_bytes, uint64_t lsn)
{
    char *frame = connection->out + connection->out_end;
    struct frame_header header = {
        .operation = request->operation,
        .flags = FRAME_FLAG_REPLY,
        .status = status,
        .request_id = request->request_id,
    };
    memcpy(frame, &header, sizeof header);
    frame_seal(frame, body_bytes);
    connection_reply_bytes(connection, FRAME_HEADER_BYTES + body_bytes, lsn);
}

void connection_reply_bytes(struct connection *connection, uint32_t bytes, uint64_t lsn)
{
    connection->out_end += bytes;
    struct connection_mark *last =
        connection->mark_count > 0 ? &connection->marks[connection->mark_count - 1] : NULL;
    if (last != NULL && last->lsn == lsn) {
        last->end = connection->out_end;
        return;
    }
    assert(last == NULL || last->lsn < lsn);
    assert(connection->mark_count < CONNECTION_MARKS);
    connection->marks[connection->mark_count++] =
        (struct connection_mark){.lsn = lsn, .end = connection->out_end};
}

void connection_reply_none(struct connection *connection, struct buffer_pool *pool)
{
    if (connection->out_end == 0)
        out_shrink(connection, pool);
}

static void send_submit(struct connection *connection, struct io *io)
{
    connection->send = (struct io_op){
        .kind = IO_SEND,
        .fd = connection->fd,
        .buffer = connection->out + connection->out_begin,
        .size = connection->out_ready - connection->out_begin,
        .owner = CONNECTION_OWNER_SEND,
    };
    connection->sending = true;
    io_submit(io, &connection->send);
}

void connection_release(struct connection *connection, uint64_t lsn_durable, struct io *io,
                        uint64_t monotonic_ns)
{
    while (connection->mark_count > 0 &&
           (connection->marks[0].lsn <= lsn_durable || PLANTED(ACK_EARLY))) {
        connection->out_ready = connection->marks[0].end;
        connection->mark_count--;
        memmove(&connection->marks[0], &connection->marks[1],
                connection->mark_count * sizeof connection->marks[0]);
    }
    bool may_send =
        connection->state == CONNECTION_OPEN || connection->state == CONNECTION_FINISHING;
    if (may_send && !connection->sending && connection->out_ready > connection->out_begin) {
        connection->send_since = monotonic_ns;
        send_submit(connection, io);
    }
}

int connection_sent(struct connection *connection, struct buffer_pool *pool, uint64_t monotonic_ns)
{
    int result = connection->send.result;
    connection->sending = false;
    if (result == -EINTR || result == -EAGAIN)
        return 0;
    if (result < 0)
        return result;
    connection->out_begin += (uint32_t)result;
    connection->send_since = monotonic_ns;
    if (connection->out_begin == connection->out_end)
        out_shrink(connection, pool);
    return 0;
}

void connection_buffers_reset(struct connection *connection, struct buffer_pool *in_pool,
                              struct buffer_pool *out_pool)
{
    in_shrink(connection, in_pool);
    out_shrink(connection, out_pool);
    connection->in_checked = false;
    connection->mark_count = 0;
}
