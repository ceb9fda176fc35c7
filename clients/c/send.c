/* Writing frames. Only one frame is ever half written: the next one is built when it is done, from
 * whatever has gathered by then. */
#include "clients/c/client.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h> /* picks AVX2 or AVX-512 at run time; same result */
#endif

/* ---- Writing ----------------------------------------------------------------------------- */

static void part_add(struct sender *sender, const void *bytes, size_t count)
{
    sender->parts[sender->part_count++] =
        (struct iovec){.iov_base = (void *)bytes, .iov_len = count};
}

/* Starts a frame whose header has its operation, flags and request_id, with events behind the fence if
 * it has one. The checksum goes over everything where it lies, so that events in the caller's memory
 * need no copy. */
static void frame_start(struct sender *sender, const void *events, uint32_t events_bytes)
{
    struct frame_header *header = &sender->header;
    const size_t skip = sizeof header->checksum;
    const size_t fence_bytes = (header->flags & FRAME_FLAG_FENCED) != 0 ? sizeof sender->fence : 0;
    assert(sender->part_count == 0);
    header->magic = FRAME_MAGIC;
    header->version = FRAME_VERSION;
    header->body_bytes = (uint32_t)fence_bytes + events_bytes;
    XXH3_64bits_reset(sender->checksum);
    XXH3_64bits_update(sender->checksum, (const char *)header + skip, sizeof *header - skip);
    XXH3_64bits_update(sender->checksum, &sender->fence, fence_bytes);
    XXH3_64bits_update(sender->checksum, events, events_bytes);
    header->checksum = XXH3_64bits_digest(sender->checksum);

    part_add(sender, header, sizeof *header);
    if (fence_bytes > 0)
        part_add(sender, &sender->fence, fence_bytes);
    if (events_bytes > 0)
        part_add(sender, events, events_bytes);
}

static void parts_consume(struct sender *sender, size_t bytes)
{
    while (sender->part_count > 0 && bytes >= sender->parts[0].iov_len) {
        bytes -= sender->parts[0].iov_len;
        memmove(&sender->parts[0], &sender->parts[1], sizeof sender->parts - sizeof *sender->parts);
        sender->part_count--;
    }
    if (sender->part_count > 0) {
        sender->parts[0].iov_base = (char *)sender->parts[0].iov_base + bytes;
        sender->parts[0].iov_len -= bytes;
    }
}

/* Returns whether the frame is completely written; if not, the socket is full or lost. */
static bool parts_write(struct giro_client *client)
{
    struct sender *sender = &client->io.sender;
    while (sender->part_count > 0) {
        struct msghdr message = {.msg_iov = sender->parts, .msg_iovlen = sender->part_count};
        ssize_t bytes = sendmsg(client->io.socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (bytes >= 0) {
            parts_consume(sender, (size_t)bytes);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EPIPE ||
                   errno == ECONNRESET) {
            return false; /* a loss is for the reader to find, who may first find its reason */
        } else if (errno != EINTR) {
            giro_connection_lost(client, GIRO_EDISCONNECTED);
            return false;
        }
    }
    return true;
}

void giro_send_keep(struct io *io)
{
    struct sender *sender = &io->sender;
    assert(sender->part_count > 0);
    struct iovec *body = &sender->parts[sender->part_count - 1];
    memcpy(sender->body, body->iov_base, body->iov_len);
    body->iov_base = sender->body;
    sender->borrowed = NULL;
}

void giro_send_forget(struct io *io)
{
    io->sender.part_count = 0;
    io->sender.request_frame = false;
    io->sender.borrowed = NULL;
}

void giro_send_hello(struct giro_client *client)
{
    struct sender *sender = &client->io.sender;
    struct frame_hello hello = {.version_min = FRAME_VERSION, .version_max = FRAME_VERSION};
    _Static_assert(sizeof client->name <= sizeof hello.client, "name size");
    memcpy(hello.client, client->name, sizeof client->name);
    memcpy(sender->body, &hello, sizeof hello);
    sender->header = (struct frame_header){
        .operation = FRAME_HELLO,
        .request_id = ++client->io.request_id_last,
    };
    frame_start(sender, sender->body, sizeof hello);
    parts_write(client);
}

/* ---- Requests ---------------------------------------------------------------------------- */

/* Copies the events of a frame's requests one behind the other. */
static const void *events_gather(const struct frame *frame, void *to)
{
    size_t size_bytes = operation_event_bytes(frame->operation);
    for (const struct giro_request *request = frame->requests.head; request != NULL;
         request = request->internal.next)
        memcpy((char *)to + request->internal.offset * size_bytes, request->events.any,
               request->count * size_bytes);
    return to;
}

/* Of which leases the reply will speak. */
static void keys_keep(const struct frame *frame)
{
    for (const struct giro_request *request = frame->requests.head; request != NULL;
         request = request->internal.next) {
        for (uint32_t i = 0; i < request->count; i++)
            frame->ids[request->internal.offset + i] = request->events.leases[i].key;
    }
}

/* Where the frame's events lie. What a read asks for is kept until its reply has come. */
static const void *frame_events(struct sender *sender, const struct frame *frame)
{
    struct giro_request *first = frame->requests.head;
    if (frame->event_count == 0)
        return sender->body;
    if (frame->operation == GIRO_LEASE)
        keys_keep(frame);
    if (!request_is_create(first))
        return events_gather(frame, frame->ids);
    if (frame->requests.tail != first)
        return events_gather(frame, sender->body);
    sender->borrowed = first;
    return first->events.any;
}

/* Of the next frame: what the server takes, what fits into a frame, and what a reply can hold. */
static uint32_t events_max(const struct io *io)
{
    const struct giro_request *request = io->queue.head;
    const uint32_t fence_bytes = request->fence != NULL ? sizeof *request->fence : 0;
    const uint32_t event_bytes = operation_event_bytes(request->operation);
    const uint32_t record_bytes = operation_record_bytes(request->operation);
    const uint32_t bytes = event_bytes > record_bytes ? event_bytes : record_bytes;
    uint32_t most = (io->body_bytes_max - fence_bytes) / bytes;
    if (request->operation == GIRO_CREATE_TRANSFERS_OUTCOMES && most > GIRO_OUTCOMES_MAX)
        most = GIRO_OUTCOMES_MAX;
    return most < io->events_max ? most : io->events_max;
}

/* Requests that are too large for this server end here, because only its welcome tells. */
static bool queue_has_next(struct giro_client *client)
{
    struct io *io = &client->io;
    while (io->queue.head != NULL && io->queue.head->count > events_max(io)) {
        struct giro_request *request = io->queue.head;
        giro_request_finish(client, request,
                            giro_refusal(request, request->internal.sends, GIRO_ETOOBIG));
    }
    return io->queue.head != NULL;
}

static void frame_begin(struct giro_client *client)
{
    struct io *io = &client->io;
    struct sender *sender = &io->sender;
    const struct giro_fence *fence = io->queue.head->fence;
    uint32_t index = (io->frame_first + io->frame_count) % client->options.frames_in_flight_max;
    struct frame *frame = &io->frames[index];
    giro_batch_take(&io->queue, events_max(io), frame);
    io->frame_count++;
    frame->request_id = ++io->request_id_last;
    sender->header = (struct frame_header){
        .operation = (uint8_t)frame->operation,
        .flags = fence != NULL ? FRAME_FLAG_FENCED : 0,
        .request_id = frame->request_id,
    };
    if (fence != NULL)
        sender->fence = *fence;
    sender->request_frame = true;
    frame_start(sender, frame_events(sender, frame),
                frame->event_count * operation_event_bytes(frame->operation));
}

/* The newest frame is completely written: from here on it may be executed. */
static void frame_sent(struct io *io, struct frame *frame)
{
    io->sender.request_frame = false;
    io->sender.borrowed = NULL;
    io->status.frames_sent++;
    io->status.events_sent += frame->event_count;
    for (struct giro_request *request = frame->requests.head; request != NULL;
         request = request->internal.next) {
        io->status.requests_sent++;
        io->status.requests_resent += request->internal.sends > 0;
        request->internal.sends++;
    }
}

static struct frame *frame_newest(const struct giro_client *client)
{
    const struct io *io = &client->io;
    assert(io->frame_count > 0);
    return &io->frames[(io->frame_first + io->frame_count - 1) %
                       client->options.frames_in_flight_max];
}

static bool may_begin_frame(const struct giro_client *client)
{
    const struct io *io = &client->io;
    return io->state == CONNECTION_READY && io->sender.part_count == 0 &&
           io->frame_count < client->options.frames_in_flight_max;
}

uint32_t giro_send_count_min(const struct giro_client *client)
{
    if (!may_begin_frame(client))
        return UINT32_MAX;
    return client->io.frame_count < GATHER_FRAMES ? 0 : MERGE_EVENTS_MAX;
}

bool giro_send_is_writing(const struct giro_client *client, const struct frame *frame)
{
    return client->io.sender.request_frame && frame == frame_newest(client);
}

void giro_send_step(struct giro_client *client)
{
    struct io *io = &client->io;
    struct sender *sender = &io->sender;
    for (;;) {
        if (sender->part_count > 0 && !parts_write(client))
            return;
        if (sender->request_frame)
            frame_sent(io, frame_newest(client));
        if (!may_begin_frame(client) || !queue_has_next(client))
            return;
        if (io->frame_count >= GATHER_FRAMES && giro_batch_may_grow(&io->queue))
            return;
        frame_begin(client);
    }
}
