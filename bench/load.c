#include "bench/load.h"

#include "bench/clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    SEND_BYTES_MIN = 64 * 1024, /* a buffer gathers small requests up to about this */
    RECEIVE_BYTES_MIN = 16 * 1024,
    EVENTS_MAX = 256, /* of one epoll_wait */
    IDLE_TIMEOUT_S = 30,
};

/* More than any run sends; can be multiplied and added to without overflow. */
#define TRANSFERS_UNLIMITED (1ull << 48)

#define LATENCY_MAX_NS (600 * NS_PER_S)

/* A request in flight. */
struct slot {
    uint64_t request_id;
    uint64_t start_ns;
    struct workload_outcome expected;
};

struct send_buffer {
    struct send_buffer *next; /* in the free list */
    uint32_t used_bytes;
    uint32_t sent_bytes;
    uint8_t *bytes;
};

struct connection {
    int fd;
    struct wire wire;
    uint32_t slot_first; /* the oldest request in flight */
    uint32_t slot_count;
    struct slot *slots;           /* a ring of depth */
    struct giro_result *failures; /* batch of them for each slot */
    struct send_buffer *sending;  /* NULL: nothing to send */
    uint8_t *received;
    uint32_t received_bytes;
    uint64_t timestamp_last; /* of what this connection created */
    struct workload_lane lane;
};

_Static_assert((int)LOAD_PROBLEM_BYTES == (int)WIRE_PROBLEM_BYTES, "one text serves both");

struct load {
    struct load_config config;
    struct workload *workload;
    struct connection *connections;
    int epoll_fd;
    uint32_t send_bytes_max;
    uint32_t receive_bytes_max;
    struct send_buffer *buffers_free;
    uint64_t requests_made; /* over all runs: the number of the next request */

    /* of the current run */
    uint64_t run_first; /* number of its first request */
    uint64_t run_requests;
    uint64_t run_sent;
    uint64_t run_done;
    uint64_t run_transfers;
    uint64_t run_start_ns;
    uint64_t run_end_ns; /* nothing more is sent from then on */
    uint64_t reply_last_ns;
    uint32_t connection_next; /* open loop: whose turn it is */
    uint64_t progress_next_ns;
    uint64_t progress_accepted;
    struct load_result *result;
    char *problem;
};

__attribute__((format(printf, 3, 4))) static int fail(struct load *load, int error,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(load->problem, LOAD_PROBLEM_BYTES, format, arguments);
    va_end(arguments);
    return error;
}

/* Buffers */

static struct send_buffer *buffer_take(struct load *load)
{
    struct send_buffer *buffer = load->buffers_free;
    if (buffer != NULL) {
        load->buffers_free = buffer->next;
    } else {
        buffer = malloc(sizeof *buffer);
        uint8_t *bytes = aligned_alloc(4096, load->send_bytes_max);
        if (buffer == NULL || bytes == NULL) {
            free(buffer);
            free(bytes);
            return NULL;
        }
        buffer->bytes = bytes;
    }
    buffer->used_bytes = 0;
    buffer->sent_bytes = 0;
    return buffer;
}

static void buffer_give(struct load *load, struct send_buffer *buffer)
{
    buffer->next = load->buffers_free;
    load->buffers_free = buffer;
}

static void buffer_free(struct send_buffer *buffer)
{
    if (buffer == NULL)
        return;
    free(buffer->bytes);
    free(buffer);
}

/* Sending */

static uint32_t request_bytes(const struct load *load, uint32_t events)
{
    return wire_request_bytes(load->config.protocol, events);
}

/* The last request of a run may be a small one. */
static uint32_t request_events(const struct load *load, uint64_t index)
{
    uint64_t rest = load->run_transfers - index * load->config.batch;
    return rest < load->config.batch ? (uint32_t)rest : load->config.batch;
}

static uint64_t request_due_ns(const struct load *load, uint64_t index)
{
    giro_u128 transfers = (giro_u128)index * load->config.batch;
    return load->run_start_ns + (uint64_t)(transfers * NS_PER_S / load->config.rate);
}

/* Builds the next request behind the others in the buffer. */
static void request_build(struct load *load, struct connection *connection,
                          struct send_buffer *buffer)
{
    uint32_t events = request_events(load, load->run_sent);
    uint8_t *frame = buffer->bytes + buffer->used_bytes;
    uint64_t number = load->run_first + load->run_sent;
    uint32_t at = (connection->slot_first + connection->slot_count) % load->config.depth;
    struct slot *slot = &connection->slots[at];
    struct giro_result *failures = connection->failures == NULL
                                       ? NULL
                                       : &connection->failures[(size_t)at * load->config.batch];
    assert(connection->slot_count < load->config.depth);
    assert(buffer->used_bytes + request_bytes(load, events) <= load->send_bytes_max);

    workload_request(load->workload, &connection->lane, number,
                     wire_events(&connection->wire, frame), events, failures, &slot->expected);
    slot->request_id = number + 1;
    wire_request_seal(&connection->wire, frame, slot->request_id, events);
    slot->start_ns = load->config.rate > 0 ? request_due_ns(load, load->run_sent) : 0;
    buffer->used_bytes += request_bytes(load, events);
    connection->slot_count++;
    load->run_sent++;
}

/* Sends what the connection's buffer holds. Returns 1 when all is sent, 0 when the socket is full,
 * or -errno. */
static int connection_flush(struct load *load, struct connection *connection)
{
    struct send_buffer *buffer = connection->sending;
    while (buffer->sent_bytes < buffer->used_bytes) {
        ssize_t sent = send(connection->fd, buffer->bytes + buffer->sent_bytes,
                            buffer->used_bytes - buffer->sent_bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return 0;
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return fail(load, -errno, "send: %s", strerror(errno));
        buffer->sent_bytes += (uint32_t)sent;
    }
    connection->sending = NULL;
    buffer_give(load, buffer);
    return 1;
}

/* Builds up to request_max requests in one buffer and begins to send them. */
static int connection_send(struct load *load, struct connection *connection, uint64_t request_max)
{
    struct send_buffer *buffer = buffer_take(load);
    if (buffer == NULL)
        return fail(load, -ENOMEM, "out of memory");
    uint32_t old = connection->slot_count;
    while (request_max-- > 0 && connection->slot_count < load->config.depth &&
           load->run_sent < load->run_requests &&
           buffer->used_bytes + request_bytes(load, load->config.batch) <= load->send_bytes_max)
        request_build(load, connection, buffer);
    if (load->config.rate == 0) {
        uint64_t now_ns = clock_now_ns();
        for (uint32_t i = old; i < connection->slot_count; i++)
            connection->slots[(connection->slot_first + i) % load->config.depth].start_ns = now_ns;
    }
    connection->sending = buffer;
    return connection_flush(load, connection);
}

/* Closed loop: sends until the socket or the depth is full. */
static int connection_pump(struct load *load, struct connection *connection)
{
    int sent = connection->sending == NULL ? 1 : connection_flush(load, connection);
    while (sent > 0 && load->config.rate == 0 && connection->slot_count < load->config.depth &&
           load->run_sent < load->run_requests)
        sent = connection_send(load, connection, UINT64_MAX);
    return sent < 0 ? sent : 0;
}

static bool connection_has_room(const struct load *load, const struct connection *connection)
{
    return connection->sending == NULL && connection->slot_count < load->config.depth;
}

/* Open loop: sends what is due, one request to a connection in turn. Returns when the next request
 * is due, UINT64_MAX when only a reply can make room, 0 when all are sent, or -errno in *error. */
static uint64_t schedule(struct load *load, int *error)
{
    uint32_t without_room = 0;
    while (load->run_sent < load->run_requests) {
        uint64_t due_ns = request_due_ns(load, load->run_sent);
        if (due_ns > clock_now_ns())
            return due_ns;
        struct connection *connection = &load->connections[load->connection_next];
        if (++load->connection_next == load->config.connections)
            load->connection_next = 0;
        if (!connection_has_room(load, connection)) {
            if (++without_room == load->config.connections)
                return UINT64_MAX;
            continue;
        }
        without_room = 0;
        *error = connection_send(load, connection, 1);
        if (*error < 0)
            return 0;
        *error = 0;
    }
    return UINT64_MAX;
}

/* Replies */

static void count_code(struct load_result *result, uint32_t code, uint64_t events)
{
    result->codes[code <= GIRO_TRANSFER_RESULT_MAX ? code : LOAD_CODES - 1] += events;
}

/* Counts the results and compares them with the expected ones; both are in order of index. */
static int results_check(struct load *load, const struct slot *slot,
                         const struct giro_result *expected, const uint8_t *results, uint32_t count)
{
    struct load_result *out = load->result;
    uint32_t same_index = 0;
    uint32_t same_code = 0;
    uint32_t next = 0;
    uint32_t index_min = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct giro_result result;
        memcpy(&result, results + (size_t)i * sizeof result, sizeof result);
        if (result.index < index_min || result.index >= slot->expected.events)
            return fail(load, -EPROTO, "result indexes are out of order");
        index_min = result.index + 1;
        count_code(out, result.code, 1);
        while (next < slot->expected.failed && expected[next].index < result.index)
            next++;
        if (next < slot->expected.failed && expected[next].index == result.index) {
            same_index++;
            same_code += expected[next].code == result.code;
        }
    }
    /* wrong: failed otherwise than expected, failed and should not, or created and should not */
    out->unexpected += count + slot->expected.failed - same_index - same_code;
    count_code(out, GIRO_TRANSFER_CREATED, slot->expected.events - count);
    out->accepted += slot->expected.events - count;
    out->posted += slot->expected.posted;
    out->pending_delta += slot->expected.pending_delta;
    return 0;
}

/* A reply that refused the request as a whole, with the connection still open. */
static int status_check(struct load *load, const struct slot *slot, uint32_t status)
{
    load->result->statuses[status < LOAD_STATUSES ? status : LOAD_STATUSES - 1]++;
    load->result->unexpected += slot->expected.events;
    if (frame_status_closes(status))
        return fail(load, -EREMOTEIO, "the server answered %s: %s", frame_status_name(status),
                    frame_status_meaning(status));
    return 0;
}

/* A successful reply. */
static int created_check(struct load *load, struct connection *connection, const struct slot *slot,
                         const struct giro_result *expected, const struct wire_reply *reply)
{
    if (reply->timestamp_last != 0) {
        if (reply->timestamp_first <= connection->timestamp_last)
            return fail(load, -EPROTO, "timestamps do not increase on a connection");
        connection->timestamp_last = reply->timestamp_last;
    }
    return results_check(load, slot, expected, reply->results, reply->result_count);
}

static void latency_record(struct load *load, uint64_t latency_ns)
{
    struct load_result *result = load->result;
    hdr_record_value(result->latency_ns, (int64_t)latency_ns);
    if (load->config.apart == NULL)
        return;
    bool apart = atomic_load_explicit(load->config.apart, memory_order_relaxed);
    hdr_record_value(apart ? result->latency_apart_ns : result->latency_rest_ns,
                     (int64_t)latency_ns);
}

/* One whole frame. */
static int reply_check(struct load *load, struct connection *connection, const uint8_t *frame,
                       uint64_t now_ns)
{
    uint32_t at = connection->slot_first;
    const struct slot *slot = &connection->slots[at];
    uint32_t events = connection->slot_count > 0 ? slot->expected.events : 0;
    struct wire_reply reply;
    int error = wire_reply_read(&connection->wire, frame, events, &reply, load->problem);
    if (error != 0)
        return error;
    if (connection->slot_count == 0)
        return fail(load, -EPROTO, "a reply to no request (status %s)",
                    frame_status_name(reply.status));
    if (reply.request_id != slot->request_id && reply.status == FRAME_OK)
        return fail(load, -EPROTO, "replies are out of order: %llu instead of %llu",
                    (unsigned long long)reply.request_id, (unsigned long long)slot->request_id);
    const struct giro_result *expected = &connection->failures[(size_t)at * load->config.batch];
    error = reply.status != FRAME_OK ? status_check(load, slot, reply.status)
                                     : created_check(load, connection, slot, expected, &reply);
    if (error != 0)
        return error;
    uint64_t latency_ns = now_ns > slot->start_ns ? now_ns - slot->start_ns : 1;
    latency_record(load, latency_ns < LATENCY_MAX_NS ? latency_ns : LATENCY_MAX_NS);
    load->result->requests++;
    load->result->transfers += slot->expected.events;
    load->run_done++;
    load->reply_last_ns = now_ns;
    if (++connection->slot_first == load->config.depth)
        connection->slot_first = 0;
    connection->slot_count--;
    return 0;
}

/* Checks every whole frame that has arrived and keeps the rest. */
static int replies_check(struct load *load, struct connection *connection, uint64_t now_ns)
{
    uint32_t at = 0;
    for (;;) {
        uint32_t frame_bytes;
        const uint8_t *frame = connection->received + at;
        int error = wire_reply_find(&connection->wire, frame, connection->received_bytes - at,
                                    load->receive_bytes_max, &frame_bytes, load->problem);
        if (error != 0)
            return error;
        if (frame_bytes == 0)
            break;
        error = reply_check(load, connection, frame, now_ns);
        if (error != 0)
            return error;
        at += frame_bytes;
    }
    connection->received_bytes -= at;
    if (at > 0 && connection->received_bytes > 0)
        memmove(connection->received, connection->received + at, connection->received_bytes);
    return 0;
}

/* Receives until the socket is empty: the next event comes only with new bytes. */
static int connection_receive(struct load *load, struct connection *connection)
{
    for (;;) {
        uint32_t room = load->receive_bytes_max - connection->received_bytes;
        ssize_t received =
            recv(connection->fd, connection->received + connection->received_bytes, room, 0);
        if (received < 0 && errno == EAGAIN)
            return 0;
        if (received < 0 && errno == EINTR)
            continue;
        if (received < 0)
            return fail(load, -errno, "receive: %s", strerror(errno));
        if (received == 0)
            return fail(load, -ECONNRESET, "the server closed a connection");
        connection->received_bytes += (uint32_t)received;
        int error = replies_check(load, connection, clock_now_ns());
        if (error != 0 || (uint32_t)received < room)
            return error;
    }
}

/* The run */

static void progress_show(struct load *load, uint64_t now_ns)
{
    if (!load->config.progress || now_ns < load->progress_next_ns)
        return;
    const struct load_result *result = load->result;
    fprintf(stderr, "%5.0f s  %12llu transfers  %10llu/s  p99 %.0f us\n",
            (double)(now_ns - load->run_start_ns) / 1e9, (unsigned long long)result->transfers,
            (unsigned long long)(result->transfers - load->progress_accepted),
            (double)hdr_value_at_percentile(result->latency_ns, 99) / 1e3);
    load->progress_accepted = result->transfers;
    load->progress_next_ns += NS_PER_S;
}

/* Waits for events until until_ns, at most a second, and handles them. */
static int wait_and_handle(struct load *load, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec timeout = {.tv_sec = 1};
    uint64_t now_ns = clock_now_ns();
    if (until_ns < now_ns + NS_PER_S) {
        timeout.tv_sec = 0;
        timeout.tv_nsec = until_ns > now_ns ? (long)(until_ns - now_ns) : 0;
    }
    int count = epoll_pwait2(load->epoll_fd, events, EVENTS_MAX, &timeout, NULL);
    if (*load->config.interrupted)
        return fail(load, -EINTR, "interrupted");
    if (count < 0 && errno != EINTR)
        return fail(load, -errno, "epoll: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        int error = connection_receive(load, connection);
        if (error == 0)
            error = connection_pump(load, connection);
        if (error != 0)
            return error;
    }
    return 0;
}

static int run_loop(struct load *load)
{
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < load->config.connections; i++)
        error = connection_pump(load, &load->connections[i]);
    while (error == 0 && load->run_done < load->run_requests) {
        uint64_t until_ns = UINT64_MAX;
        if (load->config.rate > 0)
            until_ns = schedule(load, &error);
        if (error == 0)
            error = wait_and_handle(load, until_ns);
        uint64_t now_ns = clock_now_ns();
        if (now_ns >= load->run_end_ns)
            load->run_requests = load->run_sent;
        progress_show(load, now_ns);
        if (error == 0 && load->run_done < load->run_sent &&
            now_ns > load->reply_last_ns + IDLE_TIMEOUT_S * NS_PER_S)
            error = fail(load, -ETIMEDOUT, "no reply for %d s", IDLE_TIMEOUT_S);
    }
    return error;
}

int load_run(struct load *load, uint64_t transfers, uint64_t time_max_ns, struct load_result *out,
             char problem[LOAD_PROBLEM_BYTES])
{
    *out = (struct load_result){0};
    load->result = out;
    load->problem = problem;
    if (hdr_init(1, LATENCY_MAX_NS, 3, &out->latency_ns) != 0 ||
        (load->config.apart != NULL &&
         (hdr_init(1, LATENCY_MAX_NS, 3, &out->latency_apart_ns) != 0 ||
          hdr_init(1, LATENCY_MAX_NS, 3, &out->latency_rest_ns) != 0)))
        return fail(load, -ENOMEM, "out of memory");
    load->run_transfers = transfers > 0 ? transfers : TRANSFERS_UNLIMITED;
    load->run_requests = (load->run_transfers + load->config.batch - 1) / load->config.batch;
    load->run_first = load->requests_made;
    load->run_sent = 0;
    load->run_done = 0;
    load->run_start_ns = clock_now_ns();
    load->run_end_ns = time_max_ns > 0 ? load->run_start_ns + time_max_ns : UINT64_MAX;
    load->reply_last_ns = load->run_start_ns;
    load->progress_next_ns = load->run_start_ns + NS_PER_S;
    load->progress_accepted = 0;
    uint64_t cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
    int error = run_loop(load);
    load->requests_made += load->run_sent;
    out->cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
    out->elapsed_ns = load->reply_last_ns - load->run_start_ns;
    return error;
}

void load_result_free(struct load_result *result)
{
    struct hdr_histogram **all[] = {&result->latency_ns, &result->latency_apart_ns,
                                    &result->latency_rest_ns};
    for (uint32_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (*all[i] != NULL)
            hdr_close(*all[i]);
        *all[i] = NULL;
    }
}

/* Set-up */

static int connection_open(struct load *load, struct connection *connection)
{
    const struct load_config *config = &load->config;
    connection->slots = calloc(config->depth, sizeof *connection->slots);
    connection->failures =
        calloc((size_t)config->depth * config->batch, sizeof *connection->failures);
    connection->received = malloc(load->receive_bytes_max);
    if (connection->slots == NULL || connection->failures == NULL || connection->received == NULL)
        return fail(load, -ENOMEM, "out of memory");
    connection->fd = wire_open(config->protocol, &config->address, config->batch, &connection->wire,
                               load->problem);
    if (connection->fd < 0)
        return connection->fd;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    if (fcntl(connection->fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        return fail(load, -errno, "epoll: %s", strerror(errno));
    return 0;
}

/* Room for one frame, or for several small ones, in whole pages. */
static uint32_t buffer_bytes(uint64_t wanted, uint32_t frame_bytes, uint32_t gather_bytes)
{
    uint64_t bytes = wanted < gather_bytes ? wanted : gather_bytes;
    if (bytes < frame_bytes)
        bytes = frame_bytes;
    return (uint32_t)((bytes + 4095) / 4096 * 4096);
}

static void load_size(struct load *load)
{
    const struct load_config *config = &load->config;
    uint32_t frame_bytes = request_bytes(load, config->batch);
    uint32_t reply_bytes = wire_reply_bytes_max(config->protocol, config->batch);
    load->send_bytes_max =
        buffer_bytes((uint64_t)frame_bytes * config->depth, frame_bytes, SEND_BYTES_MIN);
    load->receive_bytes_max = buffer_bytes(RECEIVE_BYTES_MIN, 2 * reply_bytes, RECEIVE_BYTES_MIN);
}

int load_open(const struct load_config *config, struct workload *workload, struct load **out,
              char problem[LOAD_PROBLEM_BYTES])
{
    struct load *load = calloc(1, sizeof *load);
    struct connection *connections = calloc(config->connections, sizeof *connections);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load == NULL || connections == NULL || epoll_fd < 0) {
        free(load);
        free(connections);
        if (epoll_fd >= 0)
            close(epoll_fd);
        snprintf(problem, LOAD_PROBLEM_BYTES, "out of memory or descriptors");
        return -ENOMEM;
    }
    load->config = *config;
    load->workload = workload;
    load->problem = problem;
    load->connections = connections;
    load->epoll_fd = epoll_fd;
    load_size(load);
    for (uint32_t i = 0; i < config->connections; i++)
        connections[i].fd = -1;
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < config->connections; i++)
        error = *config->interrupted ? fail(load, -EINTR, "interrupted")
                                     : connection_open(load, &connections[i]);
    if (error != 0) {
        load_close(load);
        return error;
    }
    *out = load;
    return 0;
}

void load_close(struct load *load)
{
    if (load == NULL)
        return;
    for (uint32_t i = 0; i < load->config.connections; i++) {
        struct connection *connection = &load->connections[i];
        if (connection->fd >= 0)
            close(connection->fd);
        wire_close(&connection->wire);
        free(connection->slots);
        free(connection->failures);
        free(connection->received);
        buffer_free(connection->sending);
    }
    while (load->buffers_free != NULL) {
        struct send_buffer *buffer = load->buffers_free;
        load->buffers_free = buffer->next;
        buffer_free(buffer);
    }
    free(load->connections);
    close(load->epoll_fd);
    free(load);
}
