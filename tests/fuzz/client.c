/* Fuzzes the C client: what a hostile server answers to requests of every operation.
 *
 *   input   | requests: 4 of 8 bytes | what the server does: a byte, and what it needs
 *
 * The client is the real one without its thread: the same steps, one after the other, at the other
 * end of a socket pair. The server sends raw bytes, or frames whose checksum, id and operation are
 * those of the oldest request and whose body is what the input says, or nearly what is right.
 *
 * Never: a request gets more results than it has room for, or results of another request's events;
 * a request is completed twice, or never; bytes behind the client's buffers are touched. */
#include "clients/c/client.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xxhash.h>

enum {
    REQUESTS = 4,
    REQUEST_BYTES = 8,
    FRAMES = 3, /* in flight */
    COUNT_MAX = 12,
    BODY_BYTES_MAX = REQUESTS * COUNT_MAX * 256, /* schedules, of all requests */
    ACTS_MAX = 64,
};

/* A request, its events, and room for exactly what it may get. */
struct asking {
    struct giro_request request;
    char *events;
    char *output;
    struct giro_outcome *outcomes;
    struct giro_fence fence;
    bool queued;
    bool done;
};

static struct giro_client client;
static struct asking askings[REQUESTS];
static int peer = -1;

/* ---- Requests ---------------------------------------------------------------------------- */

static const enum giro_operation operations[] = {
    GIRO_PING,
    GIRO_STATS,
    GIRO_SNAPSHOT,
    GIRO_CREATE_ACCOUNTS,
    GIRO_LOOKUP_ACCOUNTS,
    GIRO_CREATE_TRANSFERS,
    GIRO_LOOKUP_TRANSFERS,
    GIRO_GET_ACCOUNT_TRANSFERS,
    GIRO_GET_ACCOUNT_BALANCES,
    GIRO_QUERY_ACCOUNTS,
    GIRO_QUERY_TRANSFERS,
    GIRO_READ_CHANGES,
    GIRO_LOOKUP_PAYMENTS,
    GIRO_CREATE_TRANSFERS_OUTCOMES,
    GIRO_SET_LIMITS,
    GIRO_GET_LIMITS,
    GIRO_GET_VELOCITY,
    GIRO_LEASE,
    GIRO_GET_LEASES,
    GIRO_CREATE_SCHEDULES,
    GIRO_CANCEL_SCHEDULES,
    GIRO_GET_SCHEDULES,
    GIRO_CUT_OFF,
    GIRO_GET_SETTLEMENTS,
};

enum { OPERATIONS = sizeof operations / sizeof operations[0] };

static bool is_lookup(enum giro_operation operation)
{
    return operation == GIRO_LOOKUP_ACCOUNTS || operation == GIRO_LOOKUP_TRANSFERS ||
           operation == GIRO_LOOKUP_PAYMENTS || operation == GIRO_GET_LIMITS ||
           operation == GIRO_GET_VELOCITY || operation == GIRO_GET_LEASES ||
           operation == GIRO_GET_SCHEDULES || operation == GIRO_GET_SETTLEMENTS;
}

/* Whether it is answered with results of those events that were not done. */
static bool is_create(enum giro_operation operation)
{
    return operation == GIRO_CREATE_ACCOUNTS || operation == GIRO_CREATE_TRANSFERS ||
           operation == GIRO_CREATE_TRANSFERS_OUTCOMES || operation == GIRO_SET_LIMITS ||
           operation == GIRO_CREATE_SCHEDULES || operation == GIRO_CANCEL_SCHEDULES ||
           operation == GIRO_CUT_OFF;
}

/* Of what a lookup finds. */
static size_t row_bytes(enum giro_operation operation)
{
    return operation == GIRO_GET_SCHEDULES ? sizeof(struct giro_schedule) : GIRO_RECORD_BYTES;
}

/* Whether it has a filter, and no events. */
static bool has_filter(const struct giro_request *request)
{
    return request->operation >= GIRO_GET_ACCOUNT_TRANSFERS &&
           request->operation <= GIRO_READ_CHANGES;
}

/* Bytes of the events and of the output of a request. */
static void request_sizes(const struct giro_request *request, uint32_t limit, size_t *out_events,
                          size_t *out_output)
{
    *out_events = 0;
    *out_output = 0;
    switch (request->operation) {
    case GIRO_PING:
        return;
    case GIRO_STATS:
        *out_output = sizeof(struct giro_server_stats);
        return;
    case GIRO_SNAPSHOT:
        *out_output = sizeof(struct giro_server_snapshot);
        return;
    case GIRO_CREATE_ACCOUNTS:
    case GIRO_CREATE_TRANSFERS:
    case GIRO_CREATE_TRANSFERS_OUTCOMES:
    case GIRO_SET_LIMITS:
    case GIRO_CUT_OFF:
        *out_events = request->count * sizeof(struct giro_transfer);
        *out_output = request->count * sizeof(struct giro_result);
        return;
    case GIRO_CREATE_SCHEDULES:
        *out_events = request->count * sizeof(struct giro_schedule);
        *out_output = request->count * sizeof(struct giro_result);
        return;
    case GIRO_CANCEL_SCHEDULES:
        *out_events = request->count * sizeof(giro_u128);
        *out_output = request->count * sizeof(struct giro_result);
        return;
    case GIRO_LEASE:
        *out_events = request->count * sizeof(struct giro_lease);
        *out_output = request->count * sizeof(struct giro_lease);
        return;
    case GIRO_LOOKUP_ACCOUNTS:
    case GIRO_LOOKUP_TRANSFERS:
    case GIRO_LOOKUP_PAYMENTS:
    case GIRO_GET_LIMITS:
    case GIRO_GET_VELOCITY:
    case GIRO_GET_LEASES:
    case GIRO_GET_SCHEDULES:
    case GIRO_GET_SETTLEMENTS:
        *out_events = request->count * sizeof(giro_u128);
        *out_output = request->count * row_bytes(request->operation);
        return;
    case GIRO_READ_CHANGES:
        *out_events = sizeof(struct giro_change_filter);
        *out_output = limit * sizeof(struct giro_change);
        return;
    case GIRO_QUERY_ACCOUNTS:
    case GIRO_QUERY_TRANSFERS:
        *out_events = sizeof(struct giro_query_filter);
        break;
    case GIRO_GET_ACCOUNT_TRANSFERS:
    case GIRO_GET_ACCOUNT_BALANCES:
        *out_events = sizeof(struct giro_account_filter);
    }
    *out_output = (size_t)limit * GIRO_RECORD_BYTES;
}

static void filter_fill(struct giro_request *request, char *events, uint32_t limit, uint8_t flags)
{
    switch (request->operation) {
    case GIRO_READ_CHANGES:
        *(struct giro_change_filter *)(void *)events =
            (struct giro_change_filter){.ordinal = flags, .limit = limit};
        break;
    case GIRO_QUERY_ACCOUNTS:
    case GIRO_QUERY_TRANSFERS:
        *(struct giro_query_filter *)(void *)events =
            (struct giro_query_filter){.limit = limit, .flags = flags & 1, .code = flags >> 4 & 1};
        break;
    case GIRO_GET_ACCOUNT_TRANSFERS:
    case GIRO_GET_ACCOUNT_BALANCES:
        *(struct giro_account_filter *)(void *)events = (struct giro_account_filter){
            .account_id = 1, .limit = limit, .flags = 3 | (flags & 4), .code = flags >> 4 & 1};
        break;
    default:
        break;
    }
}

static void request_take(struct input *input, struct asking *asking)
{
    struct giro_request *request = &asking->request;
    size_t events_bytes;
    size_t output_bytes;
    *asking = (struct asking){0};
    request->operation = operations[input_number(input, 1) % OPERATIONS];
    uint32_t number = 1 + (uint32_t)input_number(input, 1) % COUNT_MAX;
    uint8_t flags = (uint8_t)input_number(input, 1);
    bool first_same = (input_number(input, 5) & 1) != 0;
    bool counts = is_create(request->operation) || request->operation == GIRO_LEASE ||
                  is_lookup(request->operation);
    request->count = counts ? number : has_filter(request) ? 1 : 0;
    request_sizes(request, number, &events_bytes, &output_bytes);
    asking->events = calloc(1, events_bytes + 1);
    asking->output = malloc(output_bytes + 1);
    MUST(asking->events != NULL && asking->output != NULL);
    if (request->operation == GIRO_CREATE_TRANSFERS_OUTCOMES) {
        asking->outcomes = malloc(request->count * sizeof *asking->outcomes);
        MUST(asking->outcomes != NULL);
        request->outcomes = asking->outcomes;
    }
    for (uint32_t i = 0; i < request->count && counts; i++) {
        giro_u128 id = first_same ? 1 : i + 1;
        memcpy(asking->events + i * (events_bytes / request->count), &id, sizeof id);
    }
    filter_fill(request, asking->events, number, flags);
    request->events.any = asking->events;
    request->output.any = asking->output;
    if (is_create(request->operation) && (flags & 128) != 0)
        request->output.any = NULL;
    asking->fence = (struct giro_fence){.key = 1, .token = flags & 32};
    if (request_is_of_transfers(request) && (flags & 64) != 0)
        request->fence = &asking->fence;
    request->internal = (struct giro_request_internal){
        .deadline_ns = UINT64_MAX, .outstanding = true, .alone = request_travels_alone(request)};
    asking->queued = true;
    giro_deadlines_add(&client.io.deadlines, request);
    giro_list_append(&client.io.queue, request);
}

/* ---- What came of them ------------------------------------------------------------------- */

static void created_check(const struct giro_request *request)
{
    uint32_t next = 0;
    MUST(request->result_count <= request->count && request->exists_count <= request->result_count);
    for (uint32_t i = 0; i < request->result_count && request->output.any != NULL; i++) {
        const struct giro_result *result = &request->output.results[i];
        MUST(result->index >= next && result->index < request->count && result->code != 0);
        next = result->index + 1;
    }
}

/* What an outcome says is what the results say. */
static void outcomes_check(const struct giro_request *request)
{
    uint32_t failed = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        if (request->outcomes[i].code == 0)
            continue;
        MUST(failed < request->result_count);
        if (request->output.any != NULL) {
            MUST(request->output.results[failed].index == i);
            MUST(request->output.results[failed].code == request->outcomes[i].code);
        }
        failed++;
    }
    MUST(failed == request->result_count);
}

/* One reply an event, each of its key. */
static void leases_check(const struct giro_request *request)
{
    uint32_t refused = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct giro_lease *lease = &request->output.leases[i];
        MUST(lease->key == request->events.leases[i].key);
        MUST((lease->token == 0) == (lease->result != 0));
        refused += lease->result != 0;
    }
    MUST(refused == request->result_count);
}

/* What was found is what this request has asked for, in its order. */
static void lookup_check(const struct giro_request *request)
{
    uint32_t next = 0;
    MUST(request->result_count <= request->count);
    for (uint32_t i = 0; i < request->result_count; i++) {
        giro_u128 id;
        memcpy(&id, (const char *)request->output.any + i * row_bytes(request->operation),
               sizeof id);
        while (next < request->count && request->events.ids[next] != id)
            next++;
        MUST(next++ < request->count, "result %u", i);
    }
}

static void request_check(const struct asking *asking)
{
    const struct giro_request *request = &asking->request;
    size_t events_bytes;
    size_t output_bytes;
    uint32_t limit = 0;
    if (request->error != 0)
        return;
    if (request->operation == GIRO_READ_CHANGES)
        limit = request->events.change_filter->limit;
    else if (request->operation == GIRO_QUERY_ACCOUNTS ||
             request->operation == GIRO_QUERY_TRANSFERS)
        limit = request->events.query_filter->limit;
    else if (has_filter(request))
        limit = request->events.account_filter->limit;
    request_sizes(request, limit, &events_bytes, &output_bytes);
    if (request->operation == GIRO_CREATE_TRANSFERS_OUTCOMES)
        outcomes_check(request);
    if (is_create(request->operation))
        created_check(request);
    else if (request->operation == GIRO_LEASE)
        leases_check(request);
    else if (is_lookup(request->operation))
        lookup_check(request);
    else if (limit > 0)
        MUST(request->result_count <= limit);
    else
        MUST(request->result_count <= request->count);
}

/* As done_flush() of the client, without its owners. */
static void done_take(void)
{
    struct giro_request *request = client.io.done.head;
    client.io.done = (struct request_list){0};
    while (request != NULL) {
        struct giro_request *next = request->internal.next;
        struct asking *asking = (struct asking *)(void *)request;
        MUST(asking->queued && !asking->done);
        asking->done = true;
        request_check(asking);
        request = next;
    }
}

/* ---- The server -------------------------------------------------------------------------- */

static void peer_send(const void *bytes, size_t size)
{
    if (peer >= 0 && size > 0)
        (void)!send(peer, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Reads what the client has sent, so that it can send more. */
static void peer_drain(void)
{
    static char bytes[64 << 10];
    while (peer >= 0 && recv(peer, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
}

static void connect_anew(void)
{
    int pair[2];
    if (client.io.socket >= 0)
        return;
    if (peer >= 0)
        close(peer);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    peer = pair[1];
    client.io.socket = pair[0];
    client.io.state = CONNECTION_CONNECTING;
    giro_connection_established(&client);
}

static void frame_send(struct frame_header header, void *frame, uint32_t body_bytes, bool halves)
{
    memcpy(frame, &header, sizeof header);
    frame_seal(frame, body_bytes);
    size_t size = sizeof header + body_bytes;
    if (!halves) {
        peer_send(frame, size);
        return;
    }
    peer_send(frame, size / 2);
    giro_receive_step(&client);
    peer_send((char *)frame + size / 2, size - size / 2);
}

static void welcome_send(struct input *input)
{
    static char frame[FRAME_HEADER_BYTES + sizeof(struct frame_welcome)];
    struct frame_welcome welcome = {
        .version = FRAME_VERSION,
        .shard_count = 1,
        .events_max = FRAME_EVENTS_MAX,
        .frame_bytes_max = FRAME_BYTES_MAX,
    };
    uint64_t how = input_number(input, 1);
    if ((how & 15) == 1)
        welcome.events_max = (uint32_t)input_number(input, 4);
    if ((how & 15) == 2)
        welcome.frame_bytes_max = (uint32_t)input_number(input, 4);
    if ((how & 15) == 3)
        input_take(input, &welcome, sizeof welcome);
    memcpy(frame + FRAME_HEADER_BYTES, &welcome, sizeof welcome);
    const struct frame_header header = {
        .operation = FRAME_HELLO,
        .flags = FRAME_FLAG_REPLY,
        .request_id = client.io.request_id_last,
    };
    frame_send(header, frame, sizeof welcome, (how & 16) != 0);
}

/* Bytes in front of the results of a create. */
static uint32_t created_head(const struct frame *frame)
{
    uint32_t outcomes = frame->operation == GIRO_CREATE_TRANSFERS_OUTCOMES ? frame->event_count : 0;
    return (uint32_t)(sizeof(struct frame_created) + outcomes * sizeof(struct giro_outcome));
}

/* Outcomes agree with the results, except now and then. */
static void created_correct(const struct frame *frame, char *body, uint32_t body_bytes,
                            uint64_t mask)
{
    const uint32_t head = created_head(frame);
    struct frame_created created = {.timestamp_first = 1 + mask};
    if (body_bytes < head)
        return;
    created.result_count = (body_bytes - head) / (uint32_t)sizeof(struct giro_result);
    memcpy(body, &created, sizeof created);
    for (uint32_t i = 0; i < created.result_count; i++) {
        const struct giro_result result = {.index = i + (uint32_t)(mask % 3), .code = 1 + i % 60};
        memcpy(body + head + i * sizeof result, &result, sizeof result);
        if (head == sizeof created || result.index >= frame->event_count || (mask & 8) != 0)
            continue;
        const struct giro_outcome outcome = {.marks = (uint32_t)mask, .code = result.code};
        memcpy(body + sizeof created + result.index * sizeof outcome, &outcome, sizeof outcome);
    }
}

/* One lease an event, as far as there is room. */
static void leases_correct(const struct frame *frame, char *body, uint32_t body_bytes,
                           uint64_t mask)
{
    for (uint32_t i = 0; i < frame->event_count && (i + 1) * GIRO_RECORD_BYTES <= body_bytes; i++) {
        const bool done = (mask >> i % 16 & 1) != 0;
        const struct giro_lease lease = {
            .key = frame->ids[i],
            .token = done ? 1 + i : 0,
            .result = done ? 0 : GIRO_LEASE_RESULT_HELD_BY_ANOTHER,
            .timestamp = done ? 1000 + i : 0,
        };
        memcpy(body + i * sizeof lease, &lease, sizeof lease);
    }
}

/* Makes a body what the frame's operation demands, as far as mask says. */
static void body_correct(const struct frame *frame, char *body, uint32_t body_bytes, uint64_t mask)
{
    if (is_create(frame->operation)) {
        created_correct(frame, body, body_bytes, mask);
    } else if (frame->operation == GIRO_LEASE) {
        leases_correct(frame, body, body_bytes, mask);
    } else if (is_lookup(frame->operation)) {
        const size_t size = row_bytes(frame->operation);
        uint32_t found = 0;
        for (uint32_t i = 0; i < frame->event_count; i++) {
            if ((mask >> i % 16 & 1) != 0 && (found + 1) * size <= body_bytes)
                memcpy(body + found++ * size, &frame->ids[i], 16);
        }
    } else if (frame->operation == GIRO_READ_CHANGES) {
        struct frame_changes head = {.ordinal_next = 1 << 20, .ordinal_end = 1 << 21};
        if (body_bytes < sizeof head)
            return;
        head.count = (body_bytes - (uint32_t)sizeof head) / (uint32_t)sizeof(struct giro_change);
        memcpy(body, &head, sizeof head);
        for (uint32_t i = 0; i < head.count; i++) {
            const struct giro_change change = {.ordinal = 256 + i, .kind = 1 + i % 11};
            memcpy(body + sizeof head + i * sizeof change, &change, sizeof change);
        }
    } else {
        for (uint32_t i = 0; (i + 1) * GIRO_RECORD_BYTES <= body_bytes; i++) {
            bool balances = frame->operation == GIRO_GET_ACCOUNT_BALANCES;
            uint64_t timestamp = (mask & 1) != 0 ? 1000 - i : 1000 + i;
            struct giro_transfer transfer = {
                .debit_account_id = 1, .code = 1, .timestamp = timestamp};
            struct giro_account_balance balance = {.timestamp = timestamp};
            memcpy(body + (size_t)i * GIRO_RECORD_BYTES,
                   balances ? (void *)&balance : (void *)&transfer, GIRO_RECORD_BYTES);
        }
    }
}

/* A size that a reply to the frame can have, at most bytes. */
static uint32_t body_whole(const struct frame *frame, uint32_t bytes)
{
    uint32_t head = 0;
    uint32_t item = (uint32_t)row_bytes(frame->operation);
    if (is_create(frame->operation)) {
        head = created_head(frame);
        item = sizeof(struct giro_result);
    } else if (frame->operation == GIRO_LEASE) {
        return frame->event_count * GIRO_RECORD_BYTES;
    } else if (frame->operation == GIRO_READ_CHANGES) {
        head = sizeof(struct frame_changes);
        item = sizeof(struct giro_change);
    } else if (frame->operation == GIRO_SNAPSHOT) {
        return sizeof(struct frame_snapshot);
    }
    if (head > BODY_BYTES_MAX)
        return bytes; /* outcomes of more events than this peer ever answers */
    return bytes < head ? head : head + (bytes - head) / item * item;
}

static void reply_send(struct input *input)
{
    static char frame[FRAME_HEADER_BYTES + BODY_BYTES_MAX];
    const struct frame *oldest = giro_frame_oldest(&client.io);
    uint64_t how = input_number(input, 1);
    uint64_t mask = input_number(input, 2);
    uint32_t body_bytes = (uint32_t)input_number(input, 2) % (BODY_BYTES_MAX + 1);
    struct frame_header header = {.flags = FRAME_FLAG_REPLY};
    memset(frame, 0, sizeof frame);
    if (oldest != NULL) {
        header.operation = (uint8_t)oldest->operation;
        header.request_id = oldest->request_id;
        if ((how & 128) == 0)
            body_bytes = body_whole(oldest, body_bytes);
    }
    if ((how & 1) != 0)
        header.status = (uint32_t)input_number(input, 1) % 40;
    if ((how & 7) == 7)
        header.request_id = input_number(input, 1);
    if ((how & 24) == 24)
        header.operation = (uint8_t)input_number(input, 1);
    if ((how & 32) != 0 && header.status == 0)
        input_take(input, frame + FRAME_HEADER_BYTES, body_bytes < 64 ? body_bytes : 64);
    else if (oldest != NULL)
        body_correct(oldest, frame + FRAME_HEADER_BYTES, body_bytes, mask);
    frame_send(header, frame, header.status != 0 && (how & 2) == 0 ? 0 : body_bytes,
               (how & 64) != 0);
}

static void raw_send(struct input *input)
{
    uint8_t bytes[256];
    size_t size = (size_t)input_number(input, 1);
    input_take(input, bytes, size);
    peer_send(bytes, size);
}

static void act(struct input *input)
{
    uint64_t what = input_number(input, 1);
    switch (what % 8) {
    case 0:
        raw_send(input);
        break;
    case 1: {
        struct asking *asking = &askings[what / 8 % REQUESTS]; /* gives up waiting */
        if (asking->queued && !asking->done)
            giro_request_finish(&client, &asking->request, GIRO_ECANCELED);
        break;
    }
    case 2:
        if (peer >= 0)
            (void)shutdown(peer, SHUT_WR);
        break;
    case 3:
        welcome_send(input);
        break;
    default:
        if (client.io.state == CONNECTION_GREETING)
            welcome_send(input);
        else
            reply_send(input);
    }
    if (client.io.socket >= 0)
        giro_receive_step(&client);
    done_take();
    connect_anew();
    giro_send_step(&client);
    peer_drain();
    done_take();
}

/* ---- A run ------------------------------------------------------------------------------- */

static void client_reset(void)
{
    struct io *io = &client.io;
    if (io->socket >= 0)
        close(io->socket);
    if (peer >= 0)
        close(peer);
    peer = -1;
    io->socket = -1;
    io->state = CONNECTION_WAITING;
    io->request_id_last = 0;
    io->queue = (struct request_list){0};
    io->done = (struct request_list){0};
    io->deadlines.count = 0;
    io->frame_first = 0;
    io->frame_count = 0;
    io->address_next = 0;
    io->address_count = 1;
    io->events_max = 0;
    io->receiver.fill = 0;
    giro_send_forget(io);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    client_reset();
    connect_anew();
    for (uint32_t i = 0; i < REQUESTS; i++)
        request_take(&input, &askings[i]);
    for (uint32_t i = 0; i < ACTS_MAX && input.left > 0; i++)
        act(&input);
    /* What is left ends, as when the client is closed: each of them once. */
    giro_send_forget(&client.io);
    while (client.io.deadlines.count > 0)
        giro_request_finish(&client, client.io.deadlines.heap[0].request, GIRO_ECLOSED);
    done_take();
    for (uint32_t i = 0; i < REQUESTS; i++) {
        MUST(askings[i].done);
        free(askings[i].events);
        free(askings[i].output);
        free(askings[i].outcomes);
    }
    return 0;
}

/* ---- Start ------------------------------------------------------------------------------- */

static void client_make(void)
{
    struct io *io = &client.io;
    client.options = (struct giro_client_options){.frames_in_flight_max = FRAMES,
                                                  .requests_max = REQUESTS,
                                                  .resends_max = 2,
                                                  .backoff_min_ms = 1,
                                                  .backoff_max_ms = 2};
    client.numeric = true;
    client.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&client.mutex, NULL);
    pthread_cond_init(&client.room, NULL);
    pthread_cond_init(&client.opened, NULL);
    io->socket = -1;
    io->random = 1;
    io->backoff_ms = 1;
    io->frames = calloc(FRAMES, sizeof *io->frames);
    io->deadlines.capacity = REQUESTS;
    io->deadlines.heap = calloc(REQUESTS, sizeof *io->deadlines.heap);
    io->sender.body = malloc(FRAME_BODY_BYTES_MAX);
    io->sender.checksum = XXH3_createState();
    io->receiver.bytes = malloc(FRAME_BYTES_MAX);
    MUST(io->frames != NULL && io->deadlines.heap != NULL && io->sender.body != NULL &&
         io->sender.checksum != NULL && io->receiver.bytes != NULL);
    for (uint32_t i = 0; i < FRAMES; i++) {
        io->frames[i].ids = malloc(GIRO_EVENTS_MAX * sizeof(giro_u128));
        MUST(io->frames[i].ids != NULL);
    }
}

/* Requests of every operation, a welcome, and a reply of the right size to each. */
static void samples_write(void)
{
    enum { REPLY_BYTES = 6, WELCOME_BYTES = 2, ACTS = REQUESTS * REQUEST_BYTES };
    static const uint16_t bytes[OPERATIONS] = {0,   256, 24,  40,  384, 40,  384, 384,
                                               384, 384, 384, 304, 384, 672, 24,  384,
                                               384, 512, 384, 24,  24,  768, 24,  384};
    for (uint32_t set = 0; set < OPERATIONS / REQUESTS; set++) {
        const char name[] = {'s', 'e', 't', (char)('0' + set), 0};
        uint8_t sample[ACTS + WELCOME_BYTES + REQUESTS * REPLY_BYTES] = {0};
        sample[ACTS] = 3;
        for (uint32_t i = 0; i < REQUESTS; i++) {
            const uint32_t operation = set * REQUESTS + i;
            const uint8_t request[] = {(uint8_t)operation, 3};
            const uint8_t reply[] = {
                4, 0, 255, 0, (uint8_t)bytes[operation], (uint8_t)(bytes[operation] >> 8)};
            memcpy(&sample[(size_t)i * REQUEST_BYTES], request, sizeof request);
            memcpy(&sample[ACTS + WELCOME_BYTES + (size_t)i * REPLY_BYTES], reply, sizeof reply);
        }
        fuzz_sample(name, sample, sizeof sample);
    }
    fuzz_samples_end();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    if (fuzz_samples_wanted())
        samples_write();
    client_make();
    return 0;
}
