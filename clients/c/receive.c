/* Reading replies. What comes from the socket is not believed before it is checked:
 *
 *   damaged (magic, version, size, checksum)      nothing can be said about it: the connection is
 *                                                 dropped, everything in flight is sent again
 *   intact, but no reply to the oldest frame      the server contradicts the protocol, and would
 *   (operation, id, flags, sizes, indexes, ...)   again: besides, the oldest frame's requests end
 *                                                 with GIRO_EPROTOCOL
 *   a status that closes the connection           the frame is refused if it is to blame; the
 *                                                 connection is dropped, the others are sent again
 *   any other status                              the frame was refused, nothing was executed
 *   a reply                                       delivered */
#include "clients/c/client.h"

#include <errno.h>
#include <string.h>

enum { READS_MAX = 4 }; /* in one turn of the loop */

int giro_status_error(uint32_t status)
{
    switch (status) {
    case FRAME_BAD_VERSION:
        return GIRO_EVERSION;
    case FRAME_TOO_MANY_CONNECTIONS:
        return GIRO_EBUSY;
    case FRAME_SHUTTING_DOWN:
        return GIRO_ESHUTDOWN;
    case FRAME_TIMED_OUT:
        return GIRO_EDISCONNECTED;
    case FRAME_UNKNOWN_OPERATION:
    case FRAME_BAD_FLAGS:
    case FRAME_FRAME_TOO_LARGE:
    case FRAME_BODY_SIZE:
    case FRAME_FENCE_RESERVED:
        return GIRO_EREFUSED;
    case FRAME_TOO_MANY_EVENTS:
        return GIRO_ETOOBIG;
    case FRAME_STORAGE_FULL:
        return GIRO_ESTORAGEFULL;
    case FRAME_ACCOUNTS_FULL:
        return GIRO_EACCOUNTSFULL;
    case FRAME_TRANSFERS_FULL:
        return GIRO_ETRANSFERSFULL;
    case FRAME_HOLDS_FULL:
        return GIRO_EHOLDSFULL;
    case FRAME_PAYMENTS_FULL:
        return GIRO_EPAYMENTSFULL;
    case FRAME_SCHEDULES_FULL:
        return GIRO_ESCHEDULESFULL;
    case FRAME_RECORD_DAMAGED:
        return GIRO_EDAMAGED;
    case FRAME_FILTER_ACCOUNT_ID:
    case FRAME_FILTER_TIMESTAMP_MIN:
    case FRAME_FILTER_TIMESTAMP_MAX:
    case FRAME_FILTER_TIMESTAMPS:
    case FRAME_FILTER_LIMIT:
    case FRAME_FILTER_FLAGS:
    case FRAME_FILTER_RESERVED:
    case FRAME_FILTER_NO_HISTORY:
    case FRAME_FILTER_ORDINAL:
    case FRAME_FILTER_WAIT:
        return GIRO_EFILTER;
    case FRAME_INDEX_DAMAGED:
        return GIRO_EINDEX;
    case FRAME_SNAPSHOT_FAILED:
        return GIRO_ESNAPSHOT;
    case FRAME_QUERY_CANCELLED:
        return GIRO_EQUERYCANCELED;
    case FRAME_FOLLOWER_OFF:
        return GIRO_EFOLLOWEROFF;
    default:
        return GIRO_EPROTOCOL;
    }
}

/* ---- What can be wrong ------------------------------------------------------------------- */

static void connection_violated(struct giro_client *client)
{
    struct frame *oldest = giro_frame_oldest(&client->io);
    if (oldest != NULL)
        giro_frame_finish(client, oldest, GIRO_EPROTOCOL);
    giro_connection_lost(client, GIRO_EPROTOCOL);
}

/* The server says that it has not executed the frame. */
static void frame_refused(struct giro_client *client, struct frame *frame, uint32_t status)
{
    const int error = giro_status_error(status);
    const uint32_t sends_now = giro_send_is_writing(client, frame) ? 0 : 1;
    while (frame->requests.head != NULL) {
        struct giro_request *request = frame->requests.head;
        uint32_t sends_before = request->internal.sends - sends_now;
        request->status = status;
        giro_request_finish(client, request, giro_refusal(request, sends_before, error));
    }
}

/* Puts the requests of a refused frame back, each to be tried alone: one of them may be to blame
 * and the others may not have to suffer for it. */
static void frame_part(struct io *io, struct frame *frame)
{
    for (struct giro_request *request = frame->requests.head; request != NULL;
         request = request->internal.next) {
        request->internal.alone = true;
        request->internal.sends--; /* it was not executed */
        request->internal.frame = NULL;
    }
    giro_list_prepend_all(&io->queue, &frame->requests);
}

static bool is_merged(const struct frame *frame)
{
    const struct giro_request *first = frame->requests.head;
    return first != NULL && (frame->requests.tail != first || first->count != frame->event_count);
}

/* A status after which the server closes the connection. */
static void connection_ended(struct giro_client *client, const struct frame_header *header)
{
    int error = giro_status_error(header->status);
    struct frame *oldest = giro_frame_oldest(&client->io);
    bool ours = oldest != NULL && header->request_id == oldest->request_id;
    bool senseless = error == GIRO_EPROTOCOL && header->status != FRAME_BAD_CHECKSUM;
    if (senseless || (header->request_id != 0 && !ours)) {
        connection_violated(client);
        return;
    }
    if (ours && error == GIRO_EREFUSED)
        frame_refused(client, oldest, header->status);
    giro_connection_lost(client, error);
}

/* ---- Replies ----------------------------------------------------------------------------- */

static bool answers(const struct giro_client *client, const struct frame *frame,
                    const struct frame_header *header)
{
    return frame != NULL && header->request_id == frame->request_id &&
           header->operation == (uint8_t)frame->operation && !giro_send_is_writing(client, frame);
}

static void reply_handle(struct giro_client *client, const struct frame_header *header,
                         const void *body)
{
    struct io *io = &client->io;
    struct frame *frame = giro_frame_oldest(io);
    bool failed = header->status != FRAME_OK;
    if (header->flags != FRAME_FLAG_REPLY || (failed && header->body_bytes != 0)) {
        connection_violated(client);
        return;
    }
    if (failed && frame_status_closes(header->status)) {
        connection_ended(client, header);
        return;
    }
    if (!answers(client, frame, header) ||
        (!failed && giro_reply_check(frame, body, header->body_bytes) != 0)) {
        connection_violated(client);
        return;
    }

    /* The reply is believed. */
    io->backoff_ms = client->options.backoff_min_ms;
    if (!failed) {
        giro_reply_deliver(frame, body, header->body_bytes);
        giro_frame_finish(client, frame, 0);
    } else if (is_merged(frame) && header->status != FRAME_STORAGE_FULL) {
        frame_part(io, frame);
    } else {
        frame_refused(client, frame, header->status);
    }
    io->frame_first = (io->frame_first + 1) % client->options.frames_in_flight_max;
    io->frame_count--;
}

/* ---- Frames ------------------------------------------------------------------------------ */

/* Handles the frame at bytes if it is complete. Returns its size; 0: more bytes are needed, or the
 * connection was dropped. */
static size_t frame_handle(struct giro_client *client, const uint8_t *bytes, size_t available)
{
    struct frame_header header;
    if (available < sizeof header)
        return 0;
    memcpy(&header, bytes, sizeof header);
    enum frame_status status = frame_check_header(&header);
    size_t size_bytes = sizeof header + header.body_bytes;
    if (status == FRAME_OK && available < size_bytes)
        return 0;
    if (status == FRAME_OK)
        status = frame_check_body(bytes);
    if (status != FRAME_OK) {
        giro_connection_lost(client, status == FRAME_BAD_VERSION ? GIRO_EVERSION : GIRO_EPROTOCOL);
        return 0;
    }
    if (client->io.state == CONNECTION_GREETING)
        giro_connection_welcome(client, &header, bytes + sizeof header);
    else
        reply_handle(client, &header, bytes + sizeof header);
    return client->io.socket >= 0 ? size_bytes : 0;
}

static void frames_handle(struct giro_client *client)
{
    struct receiver *receiver = &client->io.receiver;
    size_t offset = 0;
    size_t size_bytes;
    while ((size_bytes = frame_handle(client, receiver->bytes + offset, receiver->fill - offset)) >
           0)
        offset += size_bytes;
    if (client->io.socket < 0)
        return; /* dropped: what else it sent is void */
    receiver->fill -= offset;
    if (offset > 0)
        memmove(receiver->bytes, receiver->bytes + offset, receiver->fill);
}

void giro_receive_step(struct giro_client *client)
{
    struct io *io = &client->io;
    for (int reads = 0; reads < READS_MAX && io->socket >= 0; reads++) {
        /* Never 0: a buffer that is full holds a complete frame, which was handled. */
        size_t room = FRAME_BYTES_MAX - io->receiver.fill;
        ssize_t bytes =
            recv(io->socket, io->receiver.bytes + io->receiver.fill, room, MSG_DONTWAIT);
        if (bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            return;
        if (bytes <= 0) {
            giro_connection_lost(client, GIRO_EDISCONNECTED);
            return;
        }
        io->receiver.fill += (size_t)bytes;
        frames_handle(client);
        if ((size_t)bytes < room)
            return;
    }
}
