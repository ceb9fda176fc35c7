/* A reply: first all of it is checked against the frame that it answers, then it is handed out. The
 * body lies anywhere in the receive buffer, so that everything is copied before it is looked at. */
#include "clients/c/client.h"

#include <assert.h>
#include <string.h>

_Static_assert(sizeof(struct giro_server_stats) == sizeof(struct frame_stats), "stats layout");
_Static_assert(offsetof(struct giro_server_stats, storage_full) ==
                   offsetof(struct frame_stats, storage_full),
               "stats layout");

/* ---- Creates ----------------------------------------------------------------------------- */

static struct giro_result result_at(const void *body, uint32_t position)
{
    struct giro_result result;
    memcpy(&result,
           (const char *)body + sizeof(struct frame_created) + (size_t)position * sizeof result,
           sizeof result);
    return result;
}

static bool timestamps_valid(uint64_t first, const struct frame *frame, uint32_t result_count)
{
    if (first > GIRO_TIMESTAMP_MAX - frame->event_count)
        return false;
    return first != 0 || result_count == frame->event_count;
}

static int created_check(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    struct frame_created created;
    if (body_bytes < sizeof created)
        return GIRO_EPROTOCOL;
    memcpy(&created, body, sizeof created);
    if (created.result_count > frame->event_count ||
        body_bytes != sizeof created + created.result_count * sizeof(struct giro_result) ||
        !timestamps_valid(created.timestamp_first, frame, created.result_count))
        return GIRO_EPROTOCOL;

    uint32_t index_min = 0;
    for (uint32_t i = 0; i < created.result_count; i++) {
        struct giro_result result = result_at(body, i);
        if (result.index < index_min || result.index >= frame->event_count || result.code == 0)
            return GIRO_EPROTOCOL;
        index_min = result.index + 1;
    }
    return 0;
}

static void created_add(struct giro_request *request, struct giro_result result)
{
    uint32_t exists = request->operation == GIRO_CREATE_ACCOUNTS ? (uint32_t)GIRO_ACCOUNT_EXISTS
                                                                 : (uint32_t)GIRO_TRANSFER_EXISTS;
    result.index -= request->internal.offset;
    assert(result.index < request->count);
    if (request->output.results != NULL)
        request->output.results[request->result_count] = result;
    request->result_count++;
    request->exists_count += result.code == exists;
}

static void created_deliver(const struct frame *frame, const void *body)
{
    struct frame_created created;
    memcpy(&created, body, sizeof created);
    uint32_t position = 0;
    for (struct giro_request *request = frame->requests.head; request != NULL;
         request = request->internal.next) {
        uint32_t end = request->internal.offset + request->count;
        request->timestamp_first = created.timestamp_first + request->internal.offset;
        for (; position < created.result_count; position++) {
            struct giro_result result = result_at(body, position);
            if (result.index >= end)
                break;
            if (result.index >= request->internal.offset) /* else of one that gave up waiting */
                created_add(request, result);
        }
    }
}

/* ---- Lookups ----------------------------------------------------------------------------- */

/* Accounts and transfers both begin with their id. */
static giro_u128 record_id(const void *body, uint32_t position)
{
    _Static_assert(offsetof(struct giro_account, id) == 0, "record layout");
    _Static_assert(offsetof(struct giro_transfer, id) == 0, "record layout");
    giro_u128 id;
    memcpy(&id, (const char *)body + (size_t)position * GIRO_RECORD_BYTES, sizeof id);
    return id;
}

/* The records must be those of a subsequence of the ids. An id that was asked for several times is
 * found every time or never, so that the first match is the right one. */
static int lookup_check(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    uint32_t found = body_bytes / GIRO_RECORD_BYTES;
    uint32_t position = 0;
    if (body_bytes % GIRO_RECORD_BYTES != 0 || found > frame->event_count)
        return GIRO_EPROTOCOL;
    for (uint32_t i = 0; i < frame->event_count && position < found; i++)
        position += record_id(body, position) == frame->ids[i];
    return position == found ? 0 : GIRO_EPROTOCOL;
}

static void lookup_add(struct giro_request *request, const void *body, uint32_t position)
{
    assert(request->result_count < request->count);
    memcpy((char *)request->output.any + (size_t)request->result_count * GIRO_RECORD_BYTES,
           (const char *)body + (size_t)position * GIRO_RECORD_BYTES, GIRO_RECORD_BYTES);
    request->result_count++;
}

static void lookup_deliver(const struct frame *frame, const void *body, uint32_t found)
{
    struct giro_request *request = frame->requests.head;
    uint32_t position = 0;
    for (uint32_t i = 0; i < frame->event_count && position < found; i++) {
        if (record_id(body, position) != frame->ids[i])
            continue;
        while (request != NULL && i >= request->internal.offset + request->count)
            request = request->internal.next;
        if (request != NULL && i >= request->internal.offset)
            lookup_add(request, body, position);
        position++;
    }
}

/* ---- All --------------------------------------------------------------------------------- */

int giro_reply_check(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    switch (frame->operation) {
    case GIRO_PING:
        return body_bytes == 0 ? 0 : GIRO_EPROTOCOL;
    case GIRO_STATS:
        return body_bytes == sizeof(struct frame_stats) ? 0 : GIRO_EPROTOCOL;
    case GIRO_CREATE_ACCOUNTS:
    case GIRO_CREATE_TRANSFERS:
        return created_check(frame, body, body_bytes);
    case GIRO_LOOKUP_ACCOUNTS:
    case GIRO_LOOKUP_TRANSFERS:
        return lookup_check(frame, body, body_bytes);
    }
    return GIRO_EPROTOCOL;
}

void giro_reply_deliver(const struct frame *frame, const void *body, uint32_t body_bytes)
{
    switch (frame->operation) {
    case GIRO_PING:
        break;
    case GIRO_STATS:
        for (struct giro_request *request = frame->requests.head; request != NULL;
             request = request->internal.next)
            memcpy(request->output.stats, body, sizeof(struct giro_server_stats));
        break;
    case GIRO_CREATE_ACCOUNTS:
    case GIRO_CREATE_TRANSFERS:
        created_deliver(frame, body);
        break;
    case GIRO_LOOKUP_ACCOUNTS:
    case GIRO_LOOKUP_TRANSFERS:
        lookup_deliver(frame, body, body_bytes / GIRO_RECORD_BYTES);
        break;
    }
}
