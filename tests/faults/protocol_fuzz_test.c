/* Thousands of streams of frames, valid ones changed at random: bytes and fields changed with and
 * without a new checksum, pieces left out, doubled, cut, sent in pieces, ended with a reset. After
 * each of them the server still answers another connection, and at the end it stops cleanly, starts
 * again from what it wrote meanwhile, and its books balance.
 *
 *   GIRO_FUZZ_CASES   streams of each test (default: 3,000) */
#include "tests/faults/client.h"
#include "tests/faults/harness.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(protocol_fuzz, .fini = harness_clean, .timeout = 600);

enum {
    CASES = 3000,
    STREAM_BYTES = 1 << 16,
    FRAMES_MAX = 12,
    ACCOUNTS = 20,
    CHECK_EVERY = 500,
    SILENCE_MS = 3
};

static const char *const arguments[] = {"--frame-timeout-ms",
                                        "200",
                                        "--accounts-max",
                                        "100000",
                                        "--large-buffers",
                                        "8",
                                        "--connections-max",
                                        "64",
                                        "--window-bytes",
                                        "16m",
                                        "--holds-max",
                                        "8192",
                                        NULL};

struct stream {
    char bytes[STREAM_BYTES];
    uint32_t size;
    uint32_t frames[FRAMES_MAX]; /* where they begin */
    uint32_t frame_count;
};

static void stream_add(struct stream *stream, enum frame_operation operation, const void *body,
                       uint32_t body_bytes)
{
    stream->frames[stream->frame_count++] = stream->size;
    stream->size += client_frame(stream->bytes + stream->size, operation, stream->frame_count, body,
                                 body_bytes);
}

static void add_accounts(struct stream *stream, struct rng *rng)
{
    struct giro_account accounts[8] = {0};
    uint32_t count = rng_below(rng, 9);
    for (uint32_t i = 0; i < count; i++)
        accounts[i] = (struct giro_account){
            .id = 1 + rng_below(rng, 200),
            .ledger = 1 + rng_below(rng, 2),
            .code = 1,
            .flags = (uint16_t)(rng_below(rng, 8) == 0 ? rng_below(rng, 80) : 0)};
    stream_add(stream, FRAME_CREATE_ACCOUNTS, accounts, count * GIRO_RECORD_BYTES);
}

static void add_limits(struct stream *stream, struct rng *rng)
{
    struct giro_limits limits[8] = {0};
    uint32_t count = rng_below(rng, 9);
    for (uint32_t i = 0; i < count; i++)
        limits[i] = (struct giro_limits){
            .account_id = 1 + rng_below(rng, 2 * ACCOUNTS),
            .floor = rng_below(rng, 4) == 0 ? rng_below(rng, 1000) : 0,
            .balance_max = rng_below(rng, 4) == 0 ? 1 + rng_below(rng, 100000) : 0,
            .transfer_max = rng_below(rng, 4) == 0 ? 1 + rng_below(rng, 1000) : 0,
            .over_capture = rng_below(rng, 2) == 0 ? rng_below(rng, 110000) : 0,
            .velocity_max = {rng_below(rng, 1000)},
            .velocity = {{.period = (uint16_t)rng_below(rng, 5),
                          .unit = (uint8_t)rng_below(rng, 6),
                          .window = rng_below(rng, 5) & 0xf,
                          .verdict = rng_below(rng, 4) & 3,
                          .flags = rng_below(rng, 4) & 3}},
            .flags = (uint16_t)(rng_below(rng, 8) == 0 ? rng_below(rng, 16) : 0)};
    stream_add(stream, FRAME_SET_LIMITS, limits, count * GIRO_RECORD_BYTES);
}

static void add_transfers(struct stream *stream, struct rng *rng, enum frame_operation operation)
{
    struct giro_transfer transfers[16] = {0};
    uint32_t count = rng_below(rng, 17);
    for (uint32_t i = 0; i < count; i++) {
        transfers[i] = transfer_of(1 + rng_below(rng, 100000), 1 + rng_below(rng, ACCOUNTS),
                                   1 + rng_below(rng, ACCOUNTS), rng_below(rng, 1000));
        if (rng_below(rng, 3) != 0)
            continue;
        transfers[i].flags = (uint16_t)(1u << rng_below(rng, 14) | 1u << rng_below(rng, 14));
        transfers[i].pending_id = rng_below(rng, 3) == 0 ? 0 : 1 + rng_below(rng, 100000);
        transfers[i].timeout = rng_below(rng, 4) == 0 ? 1 + rng_below(rng, 3) : 0;
    }
    stream_add(stream, operation, transfers, count * GIRO_RECORD_BYTES);
}

/* Some of them under a lease, which few have. */
static void add_fenced(struct stream *stream, struct rng *rng)
{
    struct {
        struct giro_fence fence;
        struct giro_transfer transfers[4];
    } body = {.fence = {.key = 1 + rng_below(rng, 8),
                        .token = rng_below(rng, 1000),
                        .reserved = rng_below(rng, 8) == 0}};
    const uint32_t count = rng_below(rng, 5);
    struct frame_header header;
    char *frame = stream->bytes + stream->size;
    for (uint32_t i = 0; i < count; i++)
        body.transfers[i] = transfer_of(1 + rng_below(rng, 100000), 1 + rng_below(rng, ACCOUNTS),
                                        1 + rng_below(rng, ACCOUNTS), rng_below(rng, 1000));
    const uint32_t bytes = (uint32_t)sizeof body.fence + count * GIRO_RECORD_BYTES;
    stream_add(stream, FRAME_CREATE_TRANSFERS, &body, bytes);
    memcpy(&header, frame, sizeof header);
    header.flags = FRAME_FLAG_FENCED;
    memcpy(frame, &header, sizeof header);
    frame_seal(frame, bytes);
}

static void add_leases(struct stream *stream, struct rng *rng)
{
    struct giro_lease leases[8] = {0};
    uint32_t count = rng_below(rng, 9);
    for (uint32_t i = 0; i < count; i++)
        leases[i] = (struct giro_lease){
            .key = rng_below(rng, 9),
            .owner = rng_below(rng, 4),
            .token = rng_below(rng, 2) == 0 ? rng_below(rng, 1000) : 0,
            .timeout_ms = rng_below(rng, 2) == 0 ? rng_below(rng, 100) : 0,
            .action = (uint16_t)rng_below(rng, 5),
        };
    stream_add(stream, FRAME_LEASE, leases, count * GIRO_RECORD_BYTES);
}

/* What is due is made at once, a few times. */
static void add_schedules(struct stream *stream, struct rng *rng)
{
    struct giro_schedule schedules[4] = {0};
    uint32_t count = rng_below(rng, 5);
    for (uint32_t i = 0; i < count; i++)
        schedules[i] = (struct giro_schedule){
            .id = rng_below(rng, 1000),
            .first = 1 + (uint64_t)rng_below(rng, 1000) * GIRO_NS_PER_S,
            .occurrences = 1 + rng_below(rng, 4),
            .interval = rng_below(rng, 100),
            .retry_s = {rng_below(rng, 3)},
            .rule = (uint8_t)rng_below(rng, 5),
            .day = (uint8_t)rng_below(rng, 3),
            .retries = (uint8_t)rng_below(rng, 2),
            .transfer = transfer_of(0, 1 + rng_below(rng, ACCOUNTS), 1 + rng_below(rng, ACCOUNTS),
                                    rng_below(rng, 1000)),
        };
    stream_add(stream, FRAME_CREATE_SCHEDULES, schedules, count * (uint32_t)sizeof schedules[0]);
}

static void add_lookup(struct stream *stream, struct rng *rng, enum frame_operation operation)
{
    giro_u128 ids[64];
    uint32_t count = rng_below(rng, 65);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = 1 + rng_below(rng, 1000);
    stream_add(stream, operation, ids, count * (uint32_t)sizeof ids[0]);
}

/* Of leases and schedules. */
static void add_object(struct stream *stream, struct rng *rng)
{
    switch (rng_below(rng, 6)) {
    case 0:
        add_fenced(stream, rng);
        break;
    case 1:
        add_leases(stream, rng);
        break;
    case 2:
        add_lookup(stream, rng, FRAME_GET_LEASES);
        break;
    case 3:
        add_lookup(stream, rng, FRAME_CANCEL_SCHEDULES);
        break;
    case 4:
        add_lookup(stream, rng, FRAME_GET_SCHEDULES);
        break;
    default:
        add_schedules(stream, rng);
        break;
    }
}

static void stream_make(struct stream *stream, struct rng *rng)
{
    const struct frame_hello hello = {.version_min = 1, .version_max = 1};
    uint32_t count = 1 + rng_below(rng, FRAMES_MAX - 1);
    stream->size = 0;
    stream->frame_count = 0;
    stream_add(stream, FRAME_HELLO, &hello, sizeof hello);
    for (uint32_t i = 0; i < count; i++) {
        switch (rng_below(rng, 13)) {
        case 0:
            stream_add(stream, FRAME_PING, NULL, 0);
            break;
        case 1:
            stream_add(stream, FRAME_STATS, NULL, 0);
            break;
        case 2:
            add_accounts(stream, rng);
            break;
        case 3:
            add_lookup(stream, rng, FRAME_LOOKUP_ACCOUNTS);
            break;
        case 4:
            add_lookup(stream, rng, FRAME_LOOKUP_TRANSFERS);
            break;
        case 5:
            add_lookup(stream, rng, FRAME_LOOKUP_PAYMENTS);
            break;
        case 6:
            add_lookup(stream, rng, FRAME_GET_LIMITS);
            break;
        case 7:
            add_limits(stream, rng);
            break;
        case 8:
            add_transfers(stream, rng, FRAME_CREATE_TRANSFERS_OUTCOMES);
            break;
        case 9:
        case 10:
            add_object(stream, rng);
            break;
        default:
            add_transfers(stream, rng, FRAME_CREATE_TRANSFERS);
        }
    }
}

/* Values that break arithmetic more often than others. */
static uint32_t odd_number(struct rng *rng)
{
    static const uint32_t numbers[] = {
        0,          1,          15,         16,      17,      127,     128,    129,    0x7fffffff,
        0x80000000, 0xffffffff, 0xffffffe0, 1048320, 1048319, 1048321, 131040, 131056, 8 << 10};
    return numbers[rng_below(rng, sizeof numbers / sizeof numbers[0])];
}

static uint32_t frame_bytes(const struct stream *stream, uint32_t frame)
{
    uint32_t end = frame + 1 < stream->frame_count ? stream->frames[frame + 1] : stream->size;
    return end - stream->frames[frame];
}

/* Changes something in one frame and gives it a sound checksum: the change gets past the door. */
static void change_sealed(struct stream *stream, struct rng *rng)
{
    uint32_t frame = rng_below(rng, stream->frame_count);
    uint32_t bytes = frame_bytes(stream, frame);
    char *at = stream->bytes + stream->frames[frame];
    for (uint32_t changes = 1 + rng_below(rng, 4); changes > 0; changes--)
        at[8 + rng_below(rng, bytes - 8)] ^= (char)(1u << rng_below(rng, 8));
    if (rng_below(rng, 3) == 0)
        at[13] = (char)(rng_below(rng, 39)); /* another operation on this body */
    frame_seal(at, bytes - FRAME_HEADER_BYTES);
}

static void change_length(struct stream *stream, struct rng *rng)
{
    uint32_t number = odd_number(rng);
    char *at = stream->bytes + stream->frames[rng_below(rng, stream->frame_count)];
    memcpy(at + offsetof(struct frame_header, body_bytes), &number, sizeof number);
}

static void change_bytes(struct stream *stream, struct rng *rng)
{
    for (uint32_t changes = 1 + rng_below(rng, 8); changes > 0; changes--)
        stream->bytes[rng_below(rng, stream->size)] = (char)rng_next(rng);
}

static void change_pieces(struct stream *stream, struct rng *rng)
{
    uint32_t from = rng_below(rng, stream->size);
    uint32_t length = rng_below(rng, stream->size - from);
    if (rng_below(rng, 2) == 0) { /* leave out */
        memmove(stream->bytes + from, stream->bytes + from + length, stream->size - from - length);
        stream->size -= length;
    } else if (stream->size + length <= STREAM_BYTES) { /* double */
        memmove(stream->bytes + from + length, stream->bytes + from, stream->size - from);
        stream->size += length;
    }
}

static void stream_change(struct stream *stream, struct rng *rng)
{
    switch (rng_below(rng, 6)) {
    case 0:
    case 1:
        change_sealed(stream, rng);
        break;
    case 2:
        change_length(stream, rng);
        break;
    case 3:
        change_bytes(stream, rng);
        break;
    case 4:
        change_pieces(stream, rng);
        break;
    default: /* as it is */
        break;
    }
    if (stream->size > 0 && rng_below(rng, 4) == 0)
        stream->size = rng_below(rng, stream->size); /* cut */
}

/* Takes the answers until the connection is closed, as many came as frames went, or none comes for
 * a moment because a frame lacks its end. */
static void answers_take(struct client *client, uint32_t count)
{
    struct reply reply;
    for (uint32_t i = 0; i < count; i++) {
        if (client_receive(client, &reply, SILENCE_MS) != CLIENT_REPLY)
            return;
    }
}

/* Sends it in a few pieces, mostly waits for the answers, and leaves in one of three ways. */
static void stream_send(const struct stream *stream, struct rng *rng, uint16_t port)
{
    struct client client;
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    bool alive = true;
    client_connect_silent(&client, port);
    for (uint32_t sent = 0; sent < stream->size && alive;) {
        uint32_t piece = rng_below(rng, 3) == 0 ? 1 + rng_below(rng, 64) : STREAM_BYTES;
        piece = piece < stream->size - sent ? piece : stream->size - sent;
        alive = client_send(&client, stream->bytes + sent, piece);
        sent += piece;
    }
    uint32_t leave = rng_below(rng, 8);
    if (leave >= 2)
        answers_take(&client, stream->frame_count);
    if (leave % 3 == 0)
        (void)setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (leave % 3 == 1)
        (void)shutdown(client.fd, SHUT_WR);
    client_close(&client);
}

/* The streams got past the door often enough to be worth their time. */
static void check_depth(struct client *client, uint32_t cases)
{
    struct frame_stats stats;
    client_stats(client, &stats);
    fprintf(stderr, "%u streams: %lu requests, %lu events, %lu rejected, %lu bad frames\n", cases,
            stats.requests, stats.events, stats.events_rejected, stats.frames_bad);
    cr_assert(stats.requests > 2 * cases && stats.frames_bad > cases / 10);
    cr_assert(stats.events_rejected > cases && stats.transfers > cases / 10);
}

static void check_books(struct client *client)
{
    giro_u128 ids[1000];
    struct giro_account accounts[1000];
    uint32_t found;
    giro_u128 pending = 0;
    giro_u128 posted = 0;
    for (uint32_t i = 0; i < 1000; i++)
        ids[i] = 1 + i;
    cr_assert_eq(client_lookup_accounts(client, ids, 1000, accounts, &found), FRAME_OK);
    cr_assert(found >= ACCOUNTS);
    for (uint32_t i = 0; i < found; i++) {
        pending += accounts[i].debits_pending - accounts[i].credits_pending;
        posted += accounts[i].debits_posted - accounts[i].credits_posted;
    }
    cr_assert(pending == 0 && posted == 0, "debits and credits differ");
}

static void fuzz(const char *io, uint64_t seed)
{
    static struct stream stream;
    struct rng rng = rng_make(seed);
    struct server server;
    struct client witness;
    char data[PATH_BYTES];
    const uint32_t cases = environment_number("GIRO_FUZZ_CASES", CASES);
    folder_make(data);
    data_format(data);
    const struct server_setup setup = {.data = data, .io = io, .arguments = arguments};
    server_start(&server, &setup);
    client_connect(&witness, server.port);
    client_make_accounts(&witness, 1, ACCOUNTS);
    for (uint32_t i = 0; i < cases; i++) {
        stream_make(&stream, &rng);
        stream_change(&stream, &rng);
        stream_send(&stream, &rng, server.port);
        cr_assert(client_ping(&witness, PATIENCE_MS), "case %u: the server is gone:\n%s", i,
                  server_text(&server));
        if (i % CHECK_EVERY == 0)
            check_books(&witness);
    }
    check_books(&witness);
    check_depth(&witness, cases);
    client_close(&witness);
    server_stop(&server);
    server_start(&server, &setup);
    client_connect(&witness, server.port);
    check_books(&witness);
    client_close(&witness);
    server_stop(&server);
    folder_remove(data);
}

Test(protocol_fuzz, any_stream_io_uring)
{
    fuzz("io_uring", 0xf0221);
}

Test(protocol_fuzz, any_stream_posix)
{
    fuzz("posix", 0xf0222);
}
