#include "bench/wire.h"

#include "net/aegis.h"
#include "net/compat_frame.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

const char *const wire_names[WIRE_PROTOCOLS] = {
    [WIRE_NATIVE] = "native",
    [WIRE_COMPAT] = "compat",
};

enum {
    COMPAT_RELEASE = 17 << 8 | 9, /* 0.17.9 */
    COMPAT_RESULT_BYTES = 16,
    COMPAT_TRAILER_BYTES = GIRO_RECORD_BYTES, /* of one batch: as large as one event */
    COMPAT_EVENTS_MAX = COMPAT_BODY_BYTES_MAX / GIRO_RECORD_BYTES - 1,
    COMPAT_REGISTER_BYTES = 256,
    COMPAT_REGISTERED_BYTES = 64,
};

#define COMPAT_CREATED UINT32_MAX

struct compat_result {
    uint64_t timestamp;
    uint32_t status;
    uint32_t reserved;
};

_Static_assert(sizeof(struct compat_result) == COMPAT_RESULT_BYTES, "layout");
_Static_assert((COMPAT_EVENTS_MAX + 1) * GIRO_RECORD_BYTES == COMPAT_BODY_BYTES_MAX,
               "events and trailer fill a message");

__attribute__((format(printf, 3, 4))) static int fail(char problem[WIRE_PROBLEM_BYTES], int error,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, WIRE_PROBLEM_BYTES, format, arguments);
    va_end(arguments);
    return error;
}

/* ---- Giro's protocol --------------------------------------------------------------------- */

static int native_open(const struct client_address *address, uint32_t events,
                       char problem[WIRE_PROBLEM_BYTES])
{
    struct frame_welcome welcome;
    uint32_t status;
    int fd = client_connect(address, &welcome, &status);
    if (fd == -EREMOTEIO)
        return fail(problem, fd, "hello was answered %s", frame_status_name(status));
    if (fd < 0)
        return fail(problem, fd, "cannot connect: %s", strerror(-fd));
    if (welcome.events_max < events) {
        close(fd);
        return fail(problem, -E2BIG, "the server takes at most %u events a request",
                    welcome.events_max);
    }
    return fd;
}

static void native_seal(uint8_t *frame, uint64_t request_id, uint32_t events)
{
    const struct frame_header header = {
        .operation = FRAME_CREATE_TRANSFERS,
        .request_id = request_id,
    };
    memcpy(frame, &header, sizeof header);
    frame_seal(frame, events * GIRO_RECORD_BYTES);
}

static int native_find(const uint8_t *bytes, uint32_t size, uint32_t bytes_max, uint32_t *out_bytes,
                       char problem[WIRE_PROBLEM_BYTES])
{
    struct frame_header header;
    if (size < sizeof header)
        return 0;
    memcpy(&header, bytes, sizeof header);
    if (frame_check_header(&header) != FRAME_OK ||
        header.body_bytes > bytes_max - FRAME_HEADER_BYTES)
        return fail(problem, -EPROTO, "not a reply of a Giro server");
    if (size - FRAME_HEADER_BYTES >= header.body_bytes)
        *out_bytes = FRAME_HEADER_BYTES + header.body_bytes;
    return 0;
}

/* The body of a successful reply. */
static int native_results_read(const uint8_t *body, uint32_t body_bytes, uint32_t events,
                               struct wire_reply *out, char problem[WIRE_PROBLEM_BYTES])
{
    struct frame_created created;
    if (body_bytes < sizeof created)
        return fail(problem, -EPROTO, "a reply is too short");
    memcpy(&created, body, sizeof created);
    if (created.result_count > events ||
        body_bytes != sizeof created + created.result_count * sizeof(struct giro_result))
        return fail(problem, -EPROTO, "a reply's size does not fit its count");
    out->result_count = created.result_count;
    out->results = body + sizeof created;
    if (created.result_count < events) {
        out->timestamp_first = created.timestamp_first;
        out->timestamp_last = created.timestamp_first + events - 1;
    }
    return 0;
}

static int native_read(const uint8_t *frame, uint32_t events, struct wire_reply *out,
                       char problem[WIRE_PROBLEM_BYTES])
{
    struct frame_header header;
    memcpy(&header, frame, sizeof header);
    if (frame_check_body(frame) != FRAME_OK)
        return fail(problem, -EBADMSG, "a reply is damaged");
    if (header.flags != FRAME_FLAG_REPLY || header.operation != FRAME_CREATE_TRANSFERS)
        return fail(problem, -EPROTO, "a reply of another operation (status %s)",
                    frame_status_name(header.status));
    out->request_id = header.request_id;
    out->status = header.status;
    return header.status != FRAME_OK ? 0
                                     : native_results_read(frame + FRAME_HEADER_BYTES,
                                                           header.body_bytes, events, out, problem);
}

/* ---- The protocol of TigerBeetle's clients ----------------------------------------------- */

/* Puts the request's header before a body of so many bytes. */
static void compat_request_seal(struct wire *wire, uint8_t *frame, uint8_t operation,
                                uint32_t body_bytes)
{
    struct compat_header header = {
        .size = COMPAT_HEADER_BYTES + body_bytes,
        .release = COMPAT_RELEASE,
        .command = COMPAT_REQUEST,
        .request = {.parent = wire->parent,
                    .client = wire->client,
                    .session = wire->session,
                    .request = wire->request,
                    .operation = operation},
    };
    compat_seal(&header, frame + sizeof header);
    memcpy(frame, &header, sizeof header);
    wire->checksum = header.checksum;
    wire->request++;
}

static int compat_header_check(const struct compat_header *header, char problem[WIRE_PROBLEM_BYTES])
{
    if (!compat_check_header(header, 0))
        return fail(problem, -EPROTO, "not a reply to one of TigerBeetle's clients");
    if (header->command == COMPAT_EVICTION)
        return fail(problem, -EREMOTEIO, "the server ended a session, reason %u",
                    header->eviction.reason);
    if (header->command != COMPAT_REPLY)
        return fail(problem, -EPROTO, "a message that is no reply: command %u", header->command);
    return 0;
}

/* Whether a whole message is what such a client would accept for the request in flight. */
static int compat_reply_check(const struct wire *wire, const struct compat_header *header,
                              const uint8_t *body, uint8_t operation,
                              char problem[WIRE_PROBLEM_BYTES])
{
    if (header->checksum_body != aegis_checksum(body, header->size - COMPAT_HEADER_BYTES))
        return fail(problem, -EBADMSG, "a reply is damaged");
    if (header->reply.request_checksum != wire->checksum || header->reply.client != wire->client ||
        header->reply.request != wire->request - 1 || header->reply.operation != operation)
        return fail(problem, -EPROTO, "a reply to another request");
    if (header->release != COMPAT_RELEASE || header->view != 0 || header->reply.commit == 0 ||
        header->reply.op != header->reply.commit || header->reply.timestamp == 0)
        return fail(problem, -EPROTO, "a reply that a client would refuse");
    return 0;
}

static int session_register(int fd, struct wire *wire, char problem[WIRE_PROBLEM_BYTES])
{
    uint8_t request[COMPAT_HEADER_BYTES + COMPAT_REGISTER_BYTES] = {0};
    struct {
        struct compat_header header;
        uint32_t batch_size_limit;
        uint8_t reserved[COMPAT_REGISTERED_BYTES - sizeof(uint32_t)];
    } reply;
    _Static_assert(sizeof reply == COMPAT_HEADER_BYTES + COMPAT_REGISTERED_BYTES, "layout");
    compat_request_seal(wire, request, COMPAT_REGISTER, COMPAT_REGISTER_BYTES);
    int error = client_send(fd, request, sizeof request);
    if (error == 0)
        error = client_receive(fd, &reply.header, sizeof reply.header);
    if (error != 0)
        return fail(problem, error, "cannot register: %s", strerror(-error));
    error = compat_header_check(&reply.header, problem);
    if (error != 0)
        return error;
    if (reply.header.size != sizeof reply)
        return fail(problem, -EPROTO, "not an answer to a new session");
    error = client_receive(fd, &reply.batch_size_limit, COMPAT_REGISTERED_BYTES);
    if (error != 0)
        return fail(problem, error, "cannot register: %s", strerror(-error));
    error = compat_reply_check(wire, &reply.header, (const uint8_t *)&reply.batch_size_limit,
                               COMPAT_REGISTER, problem);
    if (error == 0 && reply.batch_size_limit < COMPAT_BODY_BYTES_MAX)
        error = fail(problem, -E2BIG, "the server takes at most %u bytes a request",
                     reply.batch_size_limit);
    wire->session = reply.header.reply.commit;
    wire->parent = reply.header.reply.context;
    return error;
}

static int compat_open(const struct client_address *address, uint32_t events, struct wire *wire,
                       char problem[WIRE_PROBLEM_BYTES])
{
    wire->failures = calloc(events, sizeof *wire->failures);
    if (wire->failures == NULL)
        return fail(problem, -ENOMEM, "out of memory");
    if (getrandom(&wire->client, sizeof wire->client, 0) != sizeof wire->client)
        return fail(problem, -EIO, "no random bytes");
    int fd = client_socket(address);
    if (fd < 0)
        return fail(problem, fd, "cannot connect: %s", strerror(-fd));
    int error = session_register(fd, wire, problem);
    if (error == 0)
        return fd;
    close(fd);
    return error;
}

/* One batch of all events, and its trailer. */
static void compat_events_seal(struct wire *wire, uint8_t *frame, uint64_t request_id,
                               uint32_t events)
{
    const uint16_t counts[2] = {(uint16_t)events, 1};
    const uint32_t bytes = events * GIRO_RECORD_BYTES;
    uint8_t *trailer = frame + COMPAT_HEADER_BYTES + bytes;
    memset(trailer, 0xff, COMPAT_TRAILER_BYTES - sizeof counts);
    memcpy(trailer + COMPAT_TRAILER_BYTES - sizeof counts, counts, sizeof counts);
    compat_request_seal(wire, frame, COMPAT_LAST, bytes + COMPAT_TRAILER_BYTES);
    wire->request_id = request_id;
}

static int compat_find(const uint8_t *bytes, uint32_t size, uint32_t bytes_max, uint32_t *out_bytes,
                       char problem[WIRE_PROBLEM_BYTES])
{
    struct compat_header header;
    if (size < sizeof header)
        return 0;
    memcpy(&header, bytes, sizeof header);
    int error = compat_header_check(&header, problem);
    if (error != 0)
        return error;
    if (header.size > bytes_max)
        return fail(problem, -EPROTO, "a reply is larger than its results");
    if (size >= header.size)
        *out_bytes = header.size;
    return 0;
}

/* Reduces the results of all events to those that were not created. */
static int compat_results_read(struct wire *wire, const uint8_t *results, uint32_t events,
                               struct wire_reply *out, char problem[WIRE_PROBLEM_BYTES])
{
    out->results = (const uint8_t *)wire->failures;
    for (uint32_t i = 0; i < events; i++) {
        struct compat_result result;
        memcpy(&result, results + (size_t)i * sizeof result, sizeof result);
        if (result.status != COMPAT_CREATED) {
            wire->failures[out->result_count++] =
                (struct giro_result){.index = i, .code = result.status};
            continue;
        }
        if (result.timestamp <= out->timestamp_last)
            return fail(problem, -EPROTO, "timestamps do not increase in a reply");
        if (out->timestamp_last == 0)
            out->timestamp_first = result.timestamp;
        out->timestamp_last = result.timestamp;
    }
    return 0;
}

static int compat_read(struct wire *wire, const uint8_t *frame, uint32_t events,
                       struct wire_reply *out, char problem[WIRE_PROBLEM_BYTES])
{
    static const struct compat_format format = {
        .batches = true,
        .event_bytes = COMPAT_RESULT_BYTES,
    };
    struct compat_header header;
    struct compat_batches batches;
    const uint8_t *body = frame + sizeof header;
    memcpy(&header, frame, sizeof header);
    int error = compat_reply_check(wire, &header, body, COMPAT_LAST, problem);
    if (error != 0)
        return error;
    if (!compat_batches_read(&format, body, header.size - COMPAT_HEADER_BYTES, &batches) ||
        batches.count != 1 || batches.elements != events)
        return fail(problem, -EPROTO, "a reply's results do not fit its request");
    wire->parent = header.reply.context;
    out->request_id = wire->request_id;
    return compat_results_read(wire, body, events, out, problem);
}

/* ---- Either ------------------------------------------------------------------------------ */

uint32_t wire_events_max(enum wire_protocol protocol)
{
    return protocol == WIRE_COMPAT ? (uint32_t)COMPAT_EVENTS_MAX : (uint32_t)FRAME_EVENTS_MAX;
}

static uint32_t header_bytes(enum wire_protocol protocol)
{
    return protocol == WIRE_COMPAT ? (uint32_t)COMPAT_HEADER_BYTES : (uint32_t)FRAME_HEADER_BYTES;
}

uint32_t wire_request_bytes(enum wire_protocol protocol, uint32_t events)
{
    return header_bytes(protocol) + events * GIRO_RECORD_BYTES +
           (protocol == WIRE_COMPAT ? (uint32_t)COMPAT_TRAILER_BYTES : 0);
}

uint32_t wire_reply_bytes_max(enum wire_protocol protocol, uint32_t events)
{
    return header_bytes(protocol) + (protocol == WIRE_COMPAT
                                         ? (events + 1) * (uint32_t)COMPAT_RESULT_BYTES
                                         : (uint32_t)sizeof(struct frame_created) +
                                               events * (uint32_t)sizeof(struct giro_result));
}

int wire_open(enum wire_protocol protocol, const struct client_address *address, uint32_t events,
              struct wire *out, char problem[WIRE_PROBLEM_BYTES])
{
    assert(events <= wire_events_max(protocol));
    *out = (struct wire){.protocol = protocol};
    return protocol == WIRE_COMPAT ? compat_open(address, events, out, problem)
                                   : native_open(address, events, problem);
}

void wire_close(struct wire *wire)
{
    free(wire->failures);
    wire->failures = NULL;
}

struct giro_transfer *wire_events(const struct wire *wire, uint8_t *frame)
{
    return (struct giro_transfer *)(void *)(frame + header_bytes(wire->protocol));
}

void wire_request_seal(struct wire *wire, uint8_t *frame, uint64_t request_id, uint32_t events)
{
    if (wire->protocol == WIRE_COMPAT)
        compat_events_seal(wire, frame, request_id, events);
    else
        native_seal(frame, request_id, events);
}

int wire_reply_find(const struct wire *wire, const uint8_t *bytes, uint32_t size,
                    uint32_t bytes_max, uint32_t *out_bytes, char problem[WIRE_PROBLEM_BYTES])
{
    *out_bytes = 0;
    return wire->protocol == WIRE_COMPAT ? compat_find(bytes, size, bytes_max, out_bytes, problem)
                                         : native_find(bytes, size, bytes_max, out_bytes, problem);
}

int wire_reply_read(struct wire *wire, const uint8_t *frame, uint32_t events,
                    struct wire_reply *out, char problem[WIRE_PROBLEM_BYTES])
{
    *out = (struct wire_reply){0};
    return wire->protocol == WIRE_COMPAT ? compat_read(wire, frame, events, out, problem)
                                         : native_read(frame, events, out, problem);
}
