/* Fuzzes frames: two streams of bytes, in pieces of any size, through two connections that share one
 * large buffer, as net/shard.c drives them. Either of them speaks the native protocol, or that of
 * TigerBeetle's clients.
 *
 *   input   | bits 0, 1: greeted; 2, 3: compatible, 1 | seed of the pieces, 8 | bytes of the first stream, 2 | both streams
 *
 * Never: a frame is taken, or refused, other than a reader of the whole stream at once would do it;
 * a frame lies unaligned, or differs from what was sent; bytes are received outside of the buffer, or
 * no bytes at all; a reply is sent before its block is durable, or the replies differ from what was
 * said, in any order but that of the requests; a buffer is lost. */
#include "net/aegis.h"
#include "net/connection.h"
#include "tests/fuzz/fuzz.h"
#include "tests/scratch.h"

#include <stdlib.h>
#include <string.h>

enum {
    STREAMS = 2,
    PREFIX_BYTES = 11,
    REPLIES_BYTES_MAX = 1 << 20, /* of one stream, then it is no longer answered */
    TURNS_MAX = 100000,          /* without end: a hang */
    CLUSTER = 9,
};

/* One connection, what its peer sends, and what its peer must get. */
struct peer {
    struct connection connection;
    const uint8_t *stream;
    size_t size;
    size_t sent;  /* so far */
    size_t taken; /* where the next frame begins */
    bool over;    /* refused, or answered as far as goes */
    char *replies;
    uint32_t replies_end;
    uint32_t replies_durable;
    uint32_t replies_got;
    struct connection_mark marks[CONNECTION_MARKS + 1]; /* of what is not durable */
    uint32_t mark_count;
    struct rng rng;
};

static struct buffer_pool in_pool;
static struct buffer_pool out_pool;
static uint64_t lsn_durable;
static uint64_t lsn_visible;

/* ---- The I/O backend: keeps what it is given --------------------------------------------- */

static void op_keep(struct io *io, struct io_op *op)
{
    MUST(op->size > 0);
}

static const struct io_backend backend = {.name = "fuzz", .submit = op_keep};
static struct io fuzz_io = {.backend = &backend};

/* ---- What must come ---------------------------------------------------------------------- */

static enum frame_progress native_expected(const struct peer *peer, enum frame_status *out_status)
{
    struct frame_header header;
    size_t have = peer->sent - peer->taken;
    if (have < sizeof header)
        return FRAME_PARTIAL;
    memcpy(&header, peer->stream + peer->taken, sizeof header);
    *out_status = header.magic != FRAME_MAGIC                ? FRAME_BAD_MAGIC
                  : header.version != FRAME_VERSION          ? FRAME_BAD_VERSION
                  : header.body_bytes > FRAME_BODY_BYTES_MAX ? FRAME_FRAME_TOO_LARGE
                  : !peer->connection.greeted && header.body_bytes > sizeof(struct frame_hello)
                      ? FRAME_HELLO_EXPECTED
                      : FRAME_OK;
    if (*out_status != FRAME_OK)
        return FRAME_REFUSED;
    if (have < sizeof header + header.body_bytes)
        return FRAME_PARTIAL;
    *out_status = frame_check_body(peer->stream + peer->taken);
    return *out_status == FRAME_OK ? FRAME_WHOLE : FRAME_REFUSED;
}

static giro_u128 number_at(const uint8_t *at)
{
    giro_u128 number;
    memcpy(&number, at, sizeof number);
    return number;
}

/* By offsets: of a header, its checksum, the body's, cluster and size. */
static enum frame_progress compat_expected(const struct peer *peer, enum frame_status *out_status)
{
    const uint8_t *at = peer->stream + peer->taken;
    const size_t have = peer->sent - peer->taken;
    uint32_t size;
    if (have < 256)
        return FRAME_PARTIAL;
    memcpy(&size, at + 96, sizeof size);
    *out_status = FRAME_BAD_CHECKSUM;
    if (number_at(at) != aegis_checksum(at + 16, 240) || size < 256 || size > 1 << 20 ||
        number_at(at + 80) != CLUSTER)
        return FRAME_REFUSED;
    if (have < size)
        return FRAME_PARTIAL;
    return number_at(at + 32) == aegis_checksum(at + 256, size - 256) ? FRAME_WHOLE : FRAME_REFUSED;
}

/* Judges the stream from the next frame on as if all of it that was sent lay there. */
static enum frame_progress frame_expected(const struct peer *peer, enum frame_status *out_status)
{
    return peer->connection.compat ? compat_expected(peer, out_status)
                                   : native_expected(peer, out_status);
}

static void replies_note(struct peer *peer, const char *frame, uint32_t size)
{
    memcpy(peer->replies + peer->replies_end, frame, size);
    peer->replies_end += size;
    MUST(peer->mark_count <= CONNECTION_MARKS);
    peer->marks[peer->mark_count++] =
        (struct connection_mark){.lsn = lsn_visible, .end = peer->replies_end};
    if (peer->mark_count > 1 && peer->marks[peer->mark_count - 2].lsn == lsn_visible)
        peer->marks[--peer->mark_count - 1].end = peer->replies_end;
}

static void durable_move(struct peer *peer)
{
    while (peer->mark_count > 0 && peer->marks[0].lsn <= lsn_durable) {
        peer->replies_durable = peer->marks[0].end;
        peer->mark_count--;
        memmove(&peer->marks[0], &peer->marks[1], peer->mark_count * sizeof peer->marks[0]);
    }
}

/* ---- Turns ------------------------------------------------------------------------------- */

static void await(struct peer *peer)
{
    durable_move(peer);
    connection_release(&peer->connection, lsn_durable, &fuzz_io, 1);
}

/* Writes the reply to a frame into the room for it. */
static void reply_write(struct connection *connection, char *frame, uint32_t bytes)
{
    const struct frame_header *header = connection_header(connection);
    if (!connection->compat) {
        memcpy(frame + FRAME_HEADER_BYTES, header + 1, bytes);
        connection_reply(connection, header, (enum frame_status)(header->request_id % 40), bytes,
                         lsn_visible);
        return;
    }
    const struct compat_header *request = connection_compat_header(connection);
    struct compat_header reply = {
        .cluster = CLUSTER, .size = COMPAT_HEADER_BYTES + bytes, .command = COMPAT_REPLY};
    memcpy(frame + COMPAT_HEADER_BYTES, request + 1, bytes);
    compat_seal(&reply, frame + COMPAT_HEADER_BYTES);
    memcpy(frame, &reply, sizeof reply);
    connection_reply_bytes(connection, reply.size, lsn_visible);
}

static uint32_t header_bytes(const struct peer *peer)
{
    return peer->connection.compat ? (uint32_t)COMPAT_HEADER_BYTES : (uint32_t)FRAME_HEADER_BYTES;
}

/* Of the whole frame at the front. */
static uint32_t frame_bytes(const struct peer *peer)
{
    const struct connection *connection = &peer->connection;
    return connection->compat ? connection_compat_header(connection)->size
                              : FRAME_HEADER_BYTES + connection_header(connection)->body_bytes;
}

/* Answers a frame with as many bytes as it has. False: later. */
static bool answer(struct peer *peer)
{
    struct connection *connection = &peer->connection;
    const uint32_t bytes = frame_bytes(peer);
    if (peer->replies_end + bytes > REPLIES_BYTES_MAX) {
        peer->over = true;
        return false;
    }
    char *frame = connection_reply_reserve(connection, &out_pool, bytes - header_bytes(peer));
    if (frame == NULL)
        return false;
    MUST(frame >= connection->out && frame + bytes <= connection->out + connection->out_capacity);
    reply_write(connection, frame, bytes - header_bytes(peer));
    replies_note(peer, frame, bytes);
    await(peer);
    return true;
}

/* Takes the next frame, or asks for bytes. Returns whether anything happened. */
static bool frame_turn(struct peer *peer)
{
    struct connection *connection = &peer->connection;
    enum frame_status status = FRAME_OK;
    enum frame_status expected = FRAME_OK;
    if (peer->over || connection->receiving)
        return false;
    enum frame_progress progress = connection_frame(connection, &status);
    MUST(progress == frame_expected(peer, &expected));
    if (progress == FRAME_REFUSED) {
        MUST(status == expected && status != FRAME_OK);
        peer->over = true;
        return true;
    }
    if (progress == FRAME_PARTIAL) {
        connection_receive(connection, &in_pool, &fuzz_io);
        MUST(connection->receiving || connection->starved);
        return connection->receiving;
    }
    const char *frame = (const char *)connection_header(connection);
    const uint32_t size = frame_bytes(peer);
    MUST((uintptr_t)frame % 16 == 0);
    MUST(memcmp(frame, peer->stream + peer->taken, size) == 0);
    if (!answer(peer))
        return false;
    peer->taken += size;
    connection_frame_done(connection, &in_pool);
    return true;
}

/* A piece of the stream arrives where it was asked for. */
static bool receive_turn(struct peer *peer)
{
    struct connection *connection = &peer->connection;
    const struct io_op *op = &connection->recv;
    size_t left = peer->size - peer->sent;
    if (!connection->receiving || left == 0)
        return false;
    char *to = op->buffer;
    MUST(to == connection->in + connection->in_end);
    MUST(to + op->size <= connection->in + connection->in_capacity);
    size_t size = left < op->size ? left : op->size;
    if (rng_chance(&peer->rng, 80))
        size = 1 + rng_below(&peer->rng, size < 200 ? (uint32_t)size : 200);
    memcpy(to, peer->stream + peer->sent, size);
    peer->sent += size;
    connection->in_end += (uint32_t)size;
    connection->receiving = false;
    return true;
}

static bool send_turn(struct peer *peer)
{
    struct connection *connection = &peer->connection;
    const struct io_op *op = &connection->send;
    if (!connection->sending)
        return false;
    MUST(peer->replies_got + op->size <= peer->replies_durable);
    MUST(memcmp(op->buffer, peer->replies + peer->replies_got, op->size) == 0);
    uint32_t size = 1 + rng_below(&peer->rng, (uint32_t)op->size);
    bool again = rng_chance(&peer->rng, 5);
    connection->send.result = again ? -11 : (int32_t)size; /* EAGAIN */
    peer->replies_got += again ? 0 : size;
    MUST(connection_sent(connection, &out_pool, 1) == 0);
    await(peer);
    return true;
}

static void peer_open(struct peer *peer, uint64_t bits, uint64_t seed, const uint8_t *stream,
                      size_t size)
{
    *peer = (struct peer){.stream = stream, .size = size, .rng = {seed}};
    peer->replies = malloc(REPLIES_BYTES_MAX);
    char *in = malloc(CONNECTION_IN_BYTES);
    char *out = malloc(CONNECTION_OUT_BYTES);
    MUST(peer->replies != NULL && in != NULL && out != NULL);
    peer->connection = (struct connection){
        .state = CONNECTION_OPEN,
        .compat = (bits & 4) != 0,
        .greeted = (bits & 5) != 0,
        .compat_cluster = CLUSTER,
        .in = in,
        .in_small = in,
        .in_capacity = CONNECTION_IN_BYTES,
        .out = out,
        .out_small = out,
        .out_capacity = CONNECTION_OUT_BYTES,
    };
}

static void peer_close(struct peer *peer)
{
    connection_buffers_reset(&peer->connection, &in_pool, &out_pool);
    free(peer->connection.in_small);
    free(peer->connection.out_small);
    free(peer->replies);
}

/* A block becomes durable, or what is seen from here on is in a later one. */
static bool log_turn(struct peer *peers, struct rng *rng)
{
    if (rng_chance(rng, 50) && lsn_visible < lsn_durable + 2) {
        lsn_visible++;
        return false;
    }
    if (lsn_durable == lsn_visible)
        return false;
    lsn_durable++;
    for (unsigned i = 0; i < STREAMS; i++)
        await(&peers[i]);
    return true;
}

static void peers_run(struct peer *peers, uint64_t seed)
{
    struct rng rng = {seed};
    uint32_t idle = 0;
    for (uint32_t turns = 0; idle < 4; turns++) {
        bool worked = rng_chance(&rng, 30) && log_turn(peers, &rng);
        for (unsigned i = 0; i < STREAMS; i++) {
            worked = frame_turn(&peers[i]) || worked;
            worked = receive_turn(&peers[i]) || worked;
            worked = (rng_chance(&rng, 50) && send_turn(&peers[i])) || worked;
        }
        bool waits =
            lsn_durable < lsn_visible || peers[0].connection.sending || peers[1].connection.sending;
        idle = worked || waits ? 0 : idle + 1;
        MUST(turns < TURNS_MAX);
    }
    for (unsigned i = 0; i < STREAMS; i++)
        MUST(peers[i].replies_got == peers[i].replies_end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct peer peers[STREAMS];
    uint64_t bits = input_number(&input, 1);
    uint64_t seed = input_number(&input, 8);
    size_t first = (size_t)input_number(&input, 2);
    if (first > input.left)
        first = input.left;
    lsn_durable = lsn_visible = 1;
    peer_open(&peers[0], bits, seed, input.at, first);
    peer_open(&peers[1], bits >> 1, seed + 1, input.at + first, input.left - first);
    peers_run(peers, seed);
    for (unsigned i = 0; i < STREAMS; i++)
        peer_close(&peers[i]);
    MUST(in_pool.free_count == in_pool.count && out_pool.free_count == out_pool.count);
    return 0;
}

/* ---- Mutation: frames whose checksum holds ----------------------------------------------- */

static void messages_seal(uint8_t *stream, size_t size, bool whole)
{
    size_t at = 0;
    while (size - at >= COMPAT_HEADER_BYTES) {
        _Alignas(16) struct compat_header header;
        memcpy(&header, stream + at, sizeof header);
        if (header.size < COMPAT_HEADER_BYTES || (header.size > size - at && whole))
            header.size = (uint32_t)(size - at < 2048 ? size - at : 2048);
        const bool is_there = header.size <= size - at;
        header.cluster = CLUSTER;
        header.checksum_body =
            aegis_checksum(stream + at + sizeof header, is_there ? header.size - sizeof header : 0);
        header.checksum = aegis_checksum((const char *)&header + sizeof header.checksum,
                                         sizeof header - sizeof header.checksum);
        memcpy(stream + at, &header, sizeof header);
        if (!is_there)
            return;
        at += header.size;
    }
}

static void frames_seal(uint8_t *stream, size_t size, bool whole)
{
    size_t at = 0;
    while (size - at >= FRAME_HEADER_BYTES) {
        struct frame_header header;
        memcpy(&header, stream + at, sizeof header);
        size_t left = size - at - FRAME_HEADER_BYTES;
        if (header.body_bytes > left && !whole)
            return;
        if (header.body_bytes > left)
            header.body_bytes = (uint32_t)(left < FRAME_BODY_BYTES_MAX ? left : 8);
        frame_seal(stream + at, header.body_bytes);
        at += FRAME_HEADER_BYTES + header.body_bytes;
    }
}

static void stream_seal(uint8_t *stream, size_t size, bool whole, bool compat)
{
    if (compat)
        messages_seal(stream, size, whole);
    else
        frames_seal(stream, size, whole);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    struct rng rng = {seed};
    size = LLVMFuzzerMutate(data, size, size_max);
    if (size <= PREFIX_BYTES || rng_chance(&rng, 20))
        return size;
    struct input input = {data + 9, 2};
    size_t first = (size_t)input_number(&input, 2);
    size_t streams = size - PREFIX_BYTES;
    first = first < streams ? first : streams;
    bool whole = rng_chance(&rng, 50);
    stream_seal(data + PREFIX_BYTES, first, whole, (data[0] & 4) != 0);
    stream_seal(data + PREFIX_BYTES + first, streams - first, whole, (data[0] & 8) != 0);
    return size;
}

/* ---- Start ------------------------------------------------------------------------------- */

static size_t frame_add(uint8_t *at, uint8_t operation, uint32_t body_bytes)
{
    struct frame_header header = {.operation = operation, .request_id = body_bytes};
    memcpy(at, &header, sizeof header);
    memset(at + sizeof header, operation, body_bytes);
    frame_seal(at, body_bytes);
    return sizeof header + body_bytes;
}

static size_t message_add(uint8_t *at, uint8_t operation, uint32_t body_bytes)
{
    struct compat_header header = {.cluster = CLUSTER,
                                   .size = COMPAT_HEADER_BYTES + body_bytes,
                                   .command = COMPAT_REQUEST,
                                   .request.operation = operation};
    memset(at + sizeof header, operation, body_bytes);
    compat_seal(&header, at + sizeof header);
    memcpy(at, &header, sizeof header);
    return sizeof header + body_bytes;
}

static void samples_write(void)
{
    static const uint32_t sizes[][4] = {{0, 0, 0, 0}, {64, 0, 128, 7}, {40, 8200, 1, 9}};
    static const char *const names[] = {"empty",        "small",        "large",
                                        "compat_empty", "compat_small", "compat_large"};
    static uint8_t sample[PREFIX_BYTES + (64 << 10)];
    for (unsigned i = 0; i < 6; i++) {
        const bool compat = i >= 3;
        size_t size = PREFIX_BYTES;
        memset(sample, 0, sizeof sample);
        sample[0] = (uint8_t)(compat ? 15 : i == 0 ? 0 : 3);
        sample[1] = (uint8_t)i;
        for (unsigned f = 0; f < 4; f++)
            size += compat ? message_add(sample + size, (uint8_t)(f + 1), sizes[i % 3][f])
                           : frame_add(sample + size, (uint8_t)(f + 1), sizes[i % 3][f]);
        const uint16_t first =
            compat ? COMPAT_HEADER_BYTES + (uint16_t)sizes[i % 3][0] : (uint16_t)FRAME_HEADER_BYTES;
        memcpy(sample + 9, &first, sizeof first);
        fuzz_sample(names[i], sample, size);
    }
    fuzz_samples_end();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    MUST(buffer_pool_init(&in_pool, 1) == 0 && buffer_pool_init(&out_pool, 1) == 0);
    if (fuzz_samples_wanted())
        samples_write();
    return 0;
}
