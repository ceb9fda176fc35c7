/* Frames that no good client sends, one a row, and good frames in unusual pieces. Whatever comes,
 * the server answers what it says it answers, closes the connection or keeps it, and other
 * connections notice nothing. */
#include "tests/faults/client.h"
#include "tests/faults/harness.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME_TIMEOUT_MS = 300, ACCOUNTS = 8 };

static const char *const arguments[] = {
    "--frame-timeout-ms", "300", "--accounts-max", "100000", "--window-bytes", "16m", NULL};

/* A server and a connection that must not notice what happens on others. */
struct scene {
    struct server server;
    struct client witness;
    char data[PATH_BYTES];
};

static void scene_open(struct scene *scene, const char *io)
{
    folder_make(scene->data);
    data_format(scene->data);
    server_start(&scene->server,
                 &(struct server_setup){.data = scene->data, .io = io, .arguments = arguments});
    client_connect(&scene->witness, scene->server.port);
    client_make_accounts(&scene->witness, 1, ACCOUNTS);
}

static void scene_close(struct scene *scene)
{
    cr_assert(client_ping(&scene->witness, PATIENCE_MS), "the witness was cut off");
    client_close(&scene->witness);
    server_stop(&scene->server);
    folder_remove(scene->data);
}

/* ---- Malformed frames -------------------------------------------------------------------- */

/* A ping, greeted unless said otherwise, with these changes. */
struct bad_frame {
    const char *name;
    enum frame_status expected;
    uint32_t operation;     /* 0: ping; OPERATION_ZERO: 0 */
    uint32_t body_bytes;    /* zeros */
    uint32_t claimed_bytes; /* 0: what the body has */
    uint32_t magic_xor;
    uint32_t version_xor;
    uint32_t flags;
    uint32_t status;
    uint32_t spoil;       /* byte that is changed after sealing, counted from 1 */
    uint32_t version_min; /* of a hello */
    uint32_t version_max;
    uint32_t hello_reserved; /* byte of its body that is set; 0: none */
    bool stranger;           /* no hello was sent before */
};

enum { OPERATION_ZERO = 1000 };

static const struct bad_frame bad_frames[] = {
    {.name = "another magic", .expected = FRAME_BAD_MAGIC, .magic_xor = 1},
    {.name = "no magic", .expected = FRAME_BAD_MAGIC, .magic_xor = FRAME_MAGIC},
    {.name = "no magic, no hello", .expected = FRAME_BAD_MAGIC, .magic_xor = 1, .stranger = true},
    {.name = "version 0", .expected = FRAME_BAD_VERSION, .version_xor = FRAME_VERSION},
    {.name = "version 2", .expected = FRAME_BAD_VERSION, .version_xor = 3},
    {.name = "version 255", .expected = FRAME_BAD_VERSION, .version_xor = 254},
    {.name = "checksum, first byte", .expected = FRAME_BAD_CHECKSUM, .spoil = 1},
    {.name = "checksum, last byte", .expected = FRAME_BAD_CHECKSUM, .spoil = 8},
    {.name = "operation changed on the way", .expected = FRAME_BAD_CHECKSUM, .spoil = 14},
    {.name = "request id changed on the way", .expected = FRAME_BAD_CHECKSUM, .spoil = 32},
    {.name = "body changed on the way",
     .expected = FRAME_BAD_CHECKSUM,
     .body_bytes = 128,
     .operation = FRAME_CREATE_ACCOUNTS,
     .spoil = 33},
    {.name = "last byte of the body changed",
     .expected = FRAME_BAD_CHECKSUM,
     .body_bytes = 128,
     .operation = FRAME_CREATE_ACCOUNTS,
     .spoil = 160},
    {.name = "one byte too large",
     .expected = FRAME_FRAME_TOO_LARGE,
     .claimed_bytes = FRAME_BODY_BYTES_MAX + 1},
    {.name = "4 GiB", .expected = FRAME_FRAME_TOO_LARGE, .claimed_bytes = UINT32_MAX},
    {.name = "2 GiB", .expected = FRAME_FRAME_TOO_LARGE, .claimed_bytes = 1u << 31},
    {.name = "operation 0", .expected = FRAME_UNKNOWN_OPERATION, .operation = OPERATION_ZERO},
    {.name = "operation 4", .expected = FRAME_UNKNOWN_OPERATION, .operation = 4},
    {.name = "operation 15", .expected = FRAME_UNKNOWN_OPERATION, .operation = 15},
    {.name = "operation 255", .expected = FRAME_UNKNOWN_OPERATION, .operation = 255},
    {.name = "reserved flag 0", .expected = FRAME_BAD_FLAGS, .flags = 1},
    {.name = "reserved flag 14", .expected = FRAME_BAD_FLAGS, .flags = 1 << 14},
    {.name = "a reply", .expected = FRAME_BAD_FLAGS, .flags = FRAME_FLAG_REPLY},
    {.name = "a status", .expected = FRAME_BAD_FLAGS, .status = 1},
    {.name = "a high status", .expected = FRAME_BAD_FLAGS, .status = 1u << 31},
    {.name = "ping before hello", .expected = FRAME_HELLO_EXPECTED, .stranger = true},
    {.name = "stats before hello",
     .expected = FRAME_HELLO_EXPECTED,
     .operation = FRAME_STATS,
     .stranger = true},
    {.name = "create before hello",
     .expected = FRAME_HELLO_EXPECTED,
     .stranger = true,
     .operation = FRAME_CREATE_TRANSFERS,
     .body_bytes = 128},
    {.name = "unknown operation before hello",
     .expected = FRAME_HELLO_EXPECTED,
     .operation = 99,
     .stranger = true},
    {.name = "second hello",
     .expected = FRAME_HELLO_EXPECTED,
     .operation = FRAME_HELLO,
     .body_bytes = 64,
     .version_min = 1,
     .version_max = 1},
    {.name = "empty hello",
     .expected = FRAME_HELLO_EXPECTED,
     .operation = FRAME_HELLO,
     .stranger = true},
    {.name = "short hello",
     .expected = FRAME_HELLO_EXPECTED,
     .operation = FRAME_HELLO,
     .body_bytes = 63,
     .stranger = true,
     .version_min = 1,
     .version_max = 1},
    {.name = "long hello",
     .expected = FRAME_HELLO_EXPECTED,
     .operation = FRAME_HELLO,
     .body_bytes = 65,
     .stranger = true,
     .version_min = 1,
     .version_max = 1},
    {.name = "a hello of the past",
     .expected = FRAME_BAD_VERSION,
     .operation = FRAME_HELLO,
     .body_bytes = 64,
     .stranger = true},
    {.name = "a hello of the future",
     .expected = FRAME_BAD_VERSION,
     .operation = FRAME_HELLO,
     .body_bytes = 64,
     .stranger = true,
     .version_min = 2,
     .version_max = 9},
    {.name = "a reserved field of hello",
     .expected = FRAME_BAD_FLAGS,
     .operation = FRAME_HELLO,
     .body_bytes = 64,
     .stranger = true,
     .version_min = 1,
     .version_max = 1,
     .hello_reserved = 4},
    {.name = "the last reserved byte of hello",
     .expected = FRAME_BAD_FLAGS,
     .operation = FRAME_HELLO,
     .body_bytes = 64,
     .stranger = true,
     .version_min = 1,
     .version_max = 1,
     .hello_reserved = 63},
    {.name = "a ping with a body", .expected = FRAME_BODY_SIZE, .body_bytes = 1},
    {.name = "stats with a body",
     .expected = FRAME_BODY_SIZE,
     .operation = FRAME_STATS,
     .body_bytes = 128},
    {.name = "a hello for versions 1 to 9",
     .expected = FRAME_OK,
     .operation = FRAME_HELLO,
     .body_bytes = 64,
     .stranger = true,
     .version_min = 1,
     .version_max = 9},
    {.name = "a byte of an account",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 1,
     .operation = FRAME_CREATE_ACCOUNTS},
    {.name = "an account less a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 127,
     .operation = FRAME_CREATE_ACCOUNTS},
    {.name = "an account and a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 129,
     .operation = FRAME_CREATE_ACCOUNTS},
    {.name = "half a transfer",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 64,
     .operation = FRAME_CREATE_TRANSFERS},
    {.name = "the largest body less a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = FRAME_BODY_BYTES_MAX - 1,
     .operation = FRAME_CREATE_TRANSFERS},
    {.name = "an id less a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 15,
     .operation = FRAME_LOOKUP_ACCOUNTS},
    {.name = "an id and a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 17,
     .operation = FRAME_LOOKUP_TRANSFERS},
    {.name = "an id too many",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = 8191 * 16,
     .operation = FRAME_LOOKUP_ACCOUNTS},
    {.name = "as many ids as fit",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = FRAME_BODY_BYTES_MAX,
     .operation = FRAME_LOOKUP_TRANSFERS},
    {.name = "a payment's id less a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 15,
     .operation = FRAME_LOOKUP_PAYMENTS},
    {.name = "a payment's id and a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 17,
     .operation = FRAME_LOOKUP_PAYMENTS},
    {.name = "a payment's id too many",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = 8191 * 16,
     .operation = FRAME_LOOKUP_PAYMENTS},
    {.name = "as many payments' ids as fit",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = FRAME_BODY_BYTES_MAX,
     .operation = FRAME_LOOKUP_PAYMENTS},
    {.name = "the most ids of payments, none of them there",
     .expected = FRAME_OK,
     .body_bytes = 8190 * 16,
     .operation = FRAME_LOOKUP_PAYMENTS},
    {.name = "no accounts", .expected = FRAME_OK, .operation = FRAME_CREATE_ACCOUNTS},
    {.name = "no transfers", .expected = FRAME_OK, .operation = FRAME_CREATE_TRANSFERS},
    {.name = "no account ids", .expected = FRAME_OK, .operation = FRAME_LOOKUP_ACCOUNTS},
    {.name = "no transfer ids", .expected = FRAME_OK, .operation = FRAME_LOOKUP_TRANSFERS},
    {.name = "no ids of payments", .expected = FRAME_OK, .operation = FRAME_LOOKUP_PAYMENTS},
    {.name = "no ids of accounts with limits", .expected = FRAME_OK, .operation = FRAME_GET_LIMITS},
    {.name = "an id less a byte, for its limits",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 15,
     .operation = FRAME_GET_LIMITS},
    {.name = "an id and a byte, for its limits",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 17,
     .operation = FRAME_GET_LIMITS},
    {.name = "an id too many, for their limits",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = 8191 * 16,
     .operation = FRAME_GET_LIMITS},
    {.name = "as many ids as fit, for their limits",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = FRAME_BODY_BYTES_MAX,
     .operation = FRAME_GET_LIMITS},
    {.name = "the most ids, none of them with limits",
     .expected = FRAME_OK,
     .body_bytes = 8190 * 16,
     .operation = FRAME_GET_LIMITS},
    {.name = "no limits", .expected = FRAME_OK, .operation = FRAME_SET_LIMITS},
    {.name = "a byte of limits",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 1,
     .operation = FRAME_SET_LIMITS},
    {.name = "limits less a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 127,
     .operation = FRAME_SET_LIMITS},
    {.name = "limits and a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 129,
     .operation = FRAME_SET_LIMITS},
    {.name = "the most limits, all of nobody",
     .expected = FRAME_OK,
     .body_bytes = FRAME_BODY_BYTES_MAX,
     .operation = FRAME_SET_LIMITS},
    {.name = "no outcomes", .expected = FRAME_OK, .operation = FRAME_CREATE_TRANSFERS_OUTCOMES},
    {.name = "a transfer less a byte, with its outcome",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 127,
     .operation = FRAME_CREATE_TRANSFERS_OUTCOMES},
    {.name = "a transfer and a byte, with its outcome",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 129,
     .operation = FRAME_CREATE_TRANSFERS_OUTCOMES},
    {.name = "the most outcomes",
     .expected = FRAME_OK,
     .body_bytes = 6239 * 128,
     .operation = FRAME_CREATE_TRANSFERS_OUTCOMES},
    {.name = "an outcome too many",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = 6240 * 128,
     .operation = FRAME_CREATE_TRANSFERS_OUTCOMES},
    {.name = "as many transfers as fit, with outcomes",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = FRAME_BODY_BYTES_MAX,
     .operation = FRAME_CREATE_TRANSFERS_OUTCOMES},
    {.name = "no leases", .expected = FRAME_OK, .operation = FRAME_LEASE},
    {.name = "a lease less a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 127,
     .operation = FRAME_LEASE},
    {.name = "a lease and a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 129,
     .operation = FRAME_LEASE},
    {.name = "the most leases, all of no key",
     .expected = FRAME_OK,
     .body_bytes = FRAME_BODY_BYTES_MAX,
     .operation = FRAME_LEASE},
    {.name = "no keys of leases", .expected = FRAME_OK, .operation = FRAME_GET_LEASES},
    {.name = "a key less a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 15,
     .operation = FRAME_GET_LEASES},
    {.name = "a key and a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 17,
     .operation = FRAME_GET_LEASES},
    {.name = "a key too many",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = 8191 * 16,
     .operation = FRAME_GET_LEASES},
    {.name = "the most keys, none of them known",
     .expected = FRAME_OK,
     .body_bytes = 8190 * 16,
     .operation = FRAME_GET_LEASES},
    {.name = "no schedules", .expected = FRAME_OK, .operation = FRAME_CREATE_SCHEDULES},
    {.name = "half a schedule",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 128,
     .operation = FRAME_CREATE_SCHEDULES},
    {.name = "a schedule less a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 255,
     .operation = FRAME_CREATE_SCHEDULES},
    {.name = "a schedule and a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 257,
     .operation = FRAME_CREATE_SCHEDULES},
    {.name = "the most schedules, all without an id",
     .expected = FRAME_OK,
     .body_bytes = FRAME_SCHEDULES_MAX * 256,
     .operation = FRAME_CREATE_SCHEDULES},
    {.name = "no ids of schedules, to cancel",
     .expected = FRAME_OK,
     .operation = FRAME_CANCEL_SCHEDULES},
    {.name = "an id less a byte, to cancel",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 15,
     .operation = FRAME_CANCEL_SCHEDULES},
    {.name = "an id too many, to cancel",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = 8191 * 16,
     .operation = FRAME_CANCEL_SCHEDULES},
    {.name = "the most ids, to cancel what is not there",
     .expected = FRAME_OK,
     .body_bytes = 8190 * 16,
     .operation = FRAME_CANCEL_SCHEDULES},
    {.name = "no ids of schedules", .expected = FRAME_OK, .operation = FRAME_GET_SCHEDULES},
    {.name = "an id of a schedule and a byte",
     .expected = FRAME_BODY_SIZE,
     .body_bytes = 17,
     .operation = FRAME_GET_SCHEDULES},
    {.name = "the most ids of schedules, none of them there",
     .expected = FRAME_OK,
     .body_bytes = FRAME_SCHEDULES_MAX * 16,
     .operation = FRAME_GET_SCHEDULES},
    {.name = "an id of a schedule too many",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = (FRAME_SCHEDULES_MAX + 1) * 16,
     .operation = FRAME_GET_SCHEDULES},
    {.name = "as many ids of schedules as fit",
     .expected = FRAME_TOO_MANY_EVENTS,
     .body_bytes = FRAME_BODY_BYTES_MAX,
     .operation = FRAME_GET_SCHEDULES},
    {.name = "a fence that is not there",
     .expected = FRAME_BODY_SIZE,
     .flags = FRAME_FLAG_FENCED,
     .operation = FRAME_CREATE_TRANSFERS},
    {.name = "a fence less a byte",
     .expected = FRAME_BODY_SIZE,
     .flags = FRAME_FLAG_FENCED,
     .body_bytes = 31,
     .operation = FRAME_CREATE_TRANSFERS},
    {.name = "a fence without transfers",
     .expected = FRAME_OK,
     .flags = FRAME_FLAG_FENCED,
     .body_bytes = 32,
     .operation = FRAME_CREATE_TRANSFERS},
    {.name = "a fence and a byte",
     .expected = FRAME_BODY_SIZE,
     .flags = FRAME_FLAG_FENCED,
     .body_bytes = 33,
     .operation = FRAME_CREATE_TRANSFERS},
    {.name = "as many transfers as without a fence",
     .expected = FRAME_BODY_SIZE,
     .flags = FRAME_FLAG_FENCED,
     .body_bytes = FRAME_BODY_BYTES_MAX,
     .operation = FRAME_CREATE_TRANSFERS},
    {.name = "the most transfers behind a fence",
     .expected = FRAME_OK,
     .flags = FRAME_FLAG_FENCED,
     .body_bytes = 32 + 8189 * 128,
     .operation = FRAME_CREATE_TRANSFERS},
    {.name = "a fence without transfers and outcomes",
     .expected = FRAME_OK,
     .flags = FRAME_FLAG_FENCED,
     .body_bytes = 32,
     .operation = FRAME_CREATE_TRANSFERS_OUTCOMES},
    {.name = "the most outcomes behind a fence",
     .expected = FRAME_OK,
     .flags = FRAME_FLAG_FENCED,
     .body_bytes = 32 + 6239 * 128,
     .operation = FRAME_CREATE_TRANSFERS_OUTCOMES},
    {.name = "an outcome too many behind a fence",
     .expected = FRAME_TOO_MANY_EVENTS,
     .flags = FRAME_FLAG_FENCED,
     .body_bytes = 32 + 6240 * 128,
     .operation = FRAME_CREATE_TRANSFERS_OUTCOMES},
    {.name = "a fence of accounts",
     .expected = FRAME_BAD_FLAGS,
     .flags = FRAME_FLAG_FENCED,
     .body_bytes = 32,
     .operation = FRAME_CREATE_ACCOUNTS},
    {.name = "a fence of leases",
     .expected = FRAME_BAD_FLAGS,
     .flags = FRAME_FLAG_FENCED,
     .body_bytes = 32,
     .operation = FRAME_LEASE},
    {.name = "a fence and another flag",
     .expected = FRAME_BAD_FLAGS,
     .flags = FRAME_FLAG_FENCED | 1 << 1,
     .body_bytes = 32,
     .operation = FRAME_CREATE_TRANSFERS},
    {.name = "operation 38", .expected = FRAME_UNKNOWN_OPERATION, .operation = 38},
    {.name = "the largest request",
     .expected = FRAME_OK,
     .body_bytes = FRAME_BODY_BYTES_MAX,
     .operation = FRAME_CREATE_TRANSFERS},
};

enum { BAD_FRAMES = sizeof bad_frames / sizeof bad_frames[0], REQUEST_ID = 4711 };

/* Returns the size; a header is enough where it claims a body that is not there. */
static uint32_t bad_frame_build(const struct bad_frame *bad, char *out)
{
    struct frame_header header;
    uint32_t operation = bad->operation == 0 ? FRAME_PING : bad->operation % OPERATION_ZERO;
    const struct frame_hello hello = {.version_min = (uint16_t)bad->version_min,
                                      .version_max = (uint16_t)bad->version_max};
    memset(out, 0, FRAME_BYTES_MAX);
    header = (struct frame_header){.operation = (uint8_t)operation,
                                   .flags = (uint16_t)bad->flags,
                                   .status = bad->status,
                                   .request_id = REQUEST_ID};
    memcpy(out, &header, sizeof header);
    if (operation == FRAME_HELLO)
        memcpy(out + FRAME_HEADER_BYTES, &hello, sizeof hello);
    if (bad->hello_reserved != 0)
        out[FRAME_HEADER_BYTES + bad->hello_reserved] = 1;
    frame_seal(out, bad->body_bytes);
    memcpy(&header, out, sizeof header);
    header.magic ^= bad->magic_xor;
    header.version ^= (uint8_t)bad->version_xor;
    if (bad->claimed_bytes != 0)
        header.body_bytes = bad->claimed_bytes;
    memcpy(out, &header, sizeof header);
    if (bad->spoil != 0)
        out[bad->spoil - 1] ^= 0x20;
    return FRAME_HEADER_BYTES + bad->body_bytes;
}

/* A connection must be closed exactly when the status says so. */
static void expect_open(struct client *client, bool open, const char *name)
{
    struct reply reply;
    if (open) {
        cr_assert(client_ping(client, PATIENCE_MS), "%s: the connection does not go on", name);
        return;
    }
    enum client_event event = client_receive(client, &reply, PATIENCE_MS);
    cr_assert_eq(event, CLIENT_CLOSED, "%s: the connection was not closed", name);
}

static void bad_frame_try(const struct scene *scene, const struct bad_frame *bad, char *frame)
{
    struct client client;
    struct reply reply;
    if (bad->stranger)
        client_connect_silent(&client, scene->server.port);
    else
        client_connect(&client, scene->server.port);
    uint32_t size = bad_frame_build(bad, frame);
    cr_assert(client_send(&client, frame, size), "%s", bad->name);
    enum client_event event = client_receive(&client, &reply, PATIENCE_MS);
    cr_assert_eq(event, CLIENT_REPLY, "%s: no reply", bad->name);
    cr_assert_eq(reply.header.status, bad->expected, "%s: %s instead of %s", bad->name,
                 frame_status_name(reply.header.status), frame_status_name(bad->expected));
    bool trusted = bad->expected != FRAME_BAD_MAGIC && bad->spoil != REQUEST_ID;
    if (trusted && bad->expected != FRAME_BAD_CHECKSUM)
        cr_assert_eq(reply.header.request_id, REQUEST_ID, "%s", bad->name);
    expect_open(&client, !frame_status_closes(bad->expected), bad->name);
    client_close(&client);
}

static void bad_frames_try(const char *io)
{
    struct scene scene;
    char *frame = malloc(FRAME_BYTES_MAX);
    cr_assert(frame != NULL);
    scene_open(&scene, io);
    for (uint32_t i = 0; i < BAD_FRAMES; i++) {
        bad_frame_try(&scene, &bad_frames[i], frame);
        cr_assert(client_ping(&scene.witness, PATIENCE_MS), "the witness suffers from: %s",
                  bad_frames[i].name);
    }
    scene_close(&scene);
    free(frame);
}

Test(protocol, malformed_frames_io_uring, .fini = harness_clean, .timeout = 300)
{
    bad_frames_try("io_uring");
}

Test(protocol, malformed_frames_posix, .fini = harness_clean, .timeout = 300)
{
    bad_frames_try("posix");
}

/* A status tells the client whether the connection lives on: the two must agree, always. */
Test(protocol, a_refused_hello_has_a_status_that_closes, .fini = harness_clean, .timeout = 300)
{
    struct scene scene;
    struct client client;
    struct reply reply;
    char frame[FRAME_HEADER_BYTES];
    scene_open(&scene, NULL);
    client_connect_silent(&client, scene.server.port);
    cr_assert(client_send(&client, frame, client_frame(frame, FRAME_HELLO, 1, NULL, 0)));
    client_expect(&client, 1, &reply);
    enum client_event event = client_receive(&client, &reply, PATIENCE_MS);
    cr_assert_eq(event == CLIENT_CLOSED, frame_status_closes(reply.header.status),
                 "%s was answered, and the connection was %s",
                 frame_status_name(reply.header.status),
                 event == CLIENT_CLOSED ? "closed" : "kept");
    client_close(&client);
    scene_close(&scene);
}

/* ---- Good frames in unusual pieces ------------------------------------------------------- */

/* A hello, an account, a look at it and a ping; returns the size. */
static uint32_t stream_build(char *out, uint64_t account_id)
{
    const struct giro_account account = {.id = account_id, .ledger = 1, .code = 1};
    uint32_t size = client_hello_frame(out);
    size += client_frame(out + size, FRAME_CREATE_ACCOUNTS, 2, &account, sizeof account);
    size += client_frame(out + size, FRAME_LOOKUP_ACCOUNTS, 3, &account.id, sizeof account.id);
    size += client_frame(out + size, FRAME_PING, 4, NULL, 0);
    return size;
}

static void stream_expect(struct client *client, uint64_t account_id)
{
    struct reply reply;
    struct giro_account account;
    struct frame_created head;
    client_expect(client, 1, &reply);
    cr_assert_eq(reply.header.status, FRAME_OK);
    client_expect(client, 2, &reply);
    cr_assert_eq(reply.header.status, FRAME_OK);
    memcpy(&head, reply.body, sizeof head);
    cr_assert_eq(head.result_count, 0);
    client_expect(client, 3, &reply);
    cr_assert_eq(reply.header.body_bytes, sizeof account);
    memcpy(&account, reply.body, sizeof account);
    cr_assert(account.id == account_id && account.timestamp == head.timestamp_first);
    client_expect(client, 4, &reply);
    cr_assert_eq(reply.header.status, FRAME_OK);
}

Test(protocol, frames_arrive_byte_by_byte, .fini = harness_clean, .timeout = 300)
{
    struct scene scene;
    struct client client;
    char stream[1024];
    scene_open(&scene, NULL);
    client_connect_silent(&client, scene.server.port);
    uint32_t size = stream_build(stream, 5000);
    for (uint32_t i = 0; i < size; i++)
        cr_assert(client_send(&client, stream + i, 1));
    stream_expect(&client, 5000);
    client_close(&client);
    scene_close(&scene);
}

Test(protocol, frames_are_split_at_every_byte, .fini = harness_clean, .timeout = 300)
{
    struct scene scene;
    char stream[1024];
    scene_open(&scene, NULL);
    uint32_t size = stream_build(stream, 6000);
    for (uint32_t split = 0; split <= size; split++) {
        struct client client;
        client_connect_silent(&client, scene.server.port);
        (void)stream_build(stream, 6000 + split);
        cr_assert(client_send(&client, stream, split));
        cr_assert(client_ping(&scene.witness, PATIENCE_MS)); /* the server saw the first piece */
        cr_assert(client_send(&client, stream + split, size - split));
        stream_expect(&client, 6000 + split);
        client_close(&client);
    }
    scene_close(&scene);
}

/* A body of any length is legal as a frame, and the next frame's records must be aligned for
 * execution in place all the same. */
Test(protocol, odd_bodies_do_not_disturb_the_next_frame, .fini = harness_clean, .timeout = 300)
{
    enum { ODD_MAX = 300 };
    static char stream[ODD_MAX * (FRAME_HEADER_BYTES + ODD_MAX + 1024)];
    static const char zeros[ODD_MAX];
    struct scene scene;
    struct client client;
    struct reply reply;
    uint32_t size = 0;
    scene_open(&scene, NULL);
    client_connect(&client, scene.server.port);
    for (uint32_t odd = 1; odd < ODD_MAX; odd++) {
        const struct giro_account account = {.id = 7000 + odd, .ledger = 1, .code = 1};
        size += client_frame(stream + size, FRAME_CREATE_ACCOUNTS, odd * 2, zeros, odd);
        size += client_frame(stream + size, FRAME_CREATE_ACCOUNTS, odd * 2 + 1, &account,
                             sizeof account);
    }
    cr_assert(client_send(&client, stream, size));
    for (uint32_t odd = 1; odd < ODD_MAX; odd++) {
        bool whole = odd % sizeof(struct giro_account) == 0;
        client_expect(&client, odd * 2, &reply);
        cr_assert_eq(reply.header.status, whole ? FRAME_OK : FRAME_BODY_SIZE, "%u bytes", odd);
        client_expect(&client, odd * 2 + 1, &reply);
        cr_assert_eq(reply.header.status, FRAME_OK);
        cr_assert_eq(((const struct frame_created *)reply.body)->result_count, 0, "%u bytes", odd);
    }
    client_close(&client);
    scene_close(&scene);
}

static uint32_t pings_build(char *out, uint32_t count)
{
    uint32_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += client_frame(out + size, FRAME_PING, 100 + i, NULL, 0);
    return size;
}

Test(protocol, a_thousand_pings_are_answered_in_order, .fini = harness_clean, .timeout = 300)
{
    enum { PINGS = 1000 };
    static char stream[PINGS * FRAME_HEADER_BYTES];
    struct scene scene;
    struct client client;
    struct reply reply;
    scene_open(&scene, NULL);
    client_connect(&client, scene.server.port);
    cr_assert(client_send(&client, stream, pings_build(stream, PINGS)));
    for (uint32_t i = 0; i < PINGS; i++) {
        client_expect(&client, 100 + i, &reply);
        cr_assert_eq(reply.header.status, FRAME_OK);
    }
    client_close(&client);
    scene_close(&scene);
}

Test(protocol, largest_requests_in_a_row, .fini = harness_clean, .timeout = 300)
{
    enum { REQUESTS = 5 };
    struct scene scene;
    struct client client;
    struct reply reply;
    struct giro_transfer *transfers = calloc(FRAME_EVENTS_MAX, sizeof *transfers);
    cr_assert(transfers != NULL);
    scene_open(&scene, NULL);
    client_connect(&client, scene.server.port);
    for (uint32_t request = 0; request < REQUESTS; request++) {
        for (uint32_t i = 0; i < FRAME_EVENTS_MAX; i++)
            transfers[i] = transfer_of(1 + request * FRAME_EVENTS_MAX + i, 1, 2, 1);
        cr_assert(client_request(&client, FRAME_CREATE_TRANSFERS, transfers,
                                 FRAME_EVENTS_MAX * sizeof *transfers) != 0);
        cr_assert(client_request(&client, FRAME_PING, NULL, 0) != 0);
    }
    for (uint32_t request = 0; request < 2 * REQUESTS; request++) {
        client_expect(&client, 2 + request, &reply);
        cr_assert_eq(reply.header.status, FRAME_OK);
        if (request % 2 == 0)
            cr_assert_eq(((const struct frame_created *)reply.body)->result_count, 0);
    }
    client_close(&client);
    scene_close(&scene);
    free(transfers);
}

/* What came before a bad frame was in order: it is answered, and the bad frame after it. The
 * replies fill the connection's buffer to the last byte that an error does not fit into, and none
 * of them may be sent before the account is durable. */
Test(protocol, replies_before_a_bad_frame_are_not_lost, .fini = harness_clean, .timeout = 300)
{
    enum { LOOKUPS = 50, PINGS = 4, ROUNDS = 20 };
    static char stream[64 * 1024];
    struct scene scene;
    scene_open(&scene, NULL);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct client client;
        struct reply reply;
        const struct giro_account account = {.id = 9000 + round, .ledger = 1, .code = 1};
        const giro_u128 id = 1;
        uint32_t size = client_frame(stream, FRAME_CREATE_ACCOUNTS, 10, &account, sizeof account);
        for (uint32_t i = 0; i < LOOKUPS; i++)
            size += client_frame(stream + size, FRAME_LOOKUP_ACCOUNTS, 11 + i, &id, sizeof id);
        for (uint32_t i = 0; i < PINGS; i++)
            size += client_frame(stream + size, FRAME_PING, 11 + LOOKUPS + i, NULL, 0);
        memset(stream + size, 'x', FRAME_HEADER_BYTES);
        client_connect(&client, scene.server.port);
        cr_assert(client_send(&client, stream, size + FRAME_HEADER_BYTES));
        for (uint32_t i = 0; i < 1 + LOOKUPS + PINGS; i++) {
            client_expect(&client, 10 + i, &reply);
            cr_assert_eq(reply.header.status, FRAME_OK);
        }
        client_expect(&client, 0, &reply);
        cr_assert_eq(reply.header.status, FRAME_BAD_MAGIC);
        expect_open(&client, false, "after a bad frame");
        client_close(&client);
    }
    scene_close(&scene);
}

/* ---- Silence ----------------------------------------------------------------------------- */

/* Sends the first bytes of a stream and nothing more. */
static void expect_timed_out(const struct scene *scene, uint32_t bytes)
{
    struct client client;
    struct reply reply;
    char stream[1024];
    const uint32_t hello_bytes = client_hello_frame(stream);
    (void)stream_build(stream, 8000);
    client_connect_silent(&client, scene->server.port);
    cr_assert(client_send(&client, stream, bytes));
    if (bytes >= hello_bytes)
        client_expect(&client, 1, &reply);
    enum client_event event = client_receive(&client, &reply, PATIENCE_MS);
    cr_assert_eq(event, CLIENT_REPLY, "%u bytes: no word", bytes);
    cr_assert_eq(reply.header.status, FRAME_TIMED_OUT, "%u bytes: %s", bytes,
                 frame_status_name(reply.header.status));
    expect_open(&client, false, "after a timeout");
    client_close(&client);
}

static void silence_try(const char *io)
{
    static const uint32_t bytes[] = {0, 1, 31, 32, 95, 97, 128, 160, 255};
    struct scene scene;
    scene_open(&scene, io);
    for (uint32_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        expect_timed_out(&scene, bytes[i]);
    scene_close(&scene); /* the witness was idle between frames all the time, and lives */
}

Test(protocol, an_unfinished_frame_times_out_io_uring, .fini = harness_clean, .timeout = 300)
{
    silence_try("io_uring");
}

Test(protocol, an_unfinished_frame_times_out_posix, .fini = harness_clean, .timeout = 300)
{
    silence_try("posix");
}

/* A byte now and then does not keep a frame alive for ever. */
Test(protocol, a_trickle_times_out, .fini = harness_clean, .timeout = 300)
{
    struct scene scene;
    struct client client;
    struct reply reply;
    static const char body[4096];
    static char frame[FRAME_HEADER_BYTES + sizeof body];
    enum client_event event = CLIENT_SILENT;
    scene_open(&scene, NULL);
    client_connect(&client, scene.server.port);
    uint32_t size = client_frame(frame, FRAME_CREATE_ACCOUNTS, 2, body, sizeof body);
    for (uint32_t i = 0; i < size && event == CLIENT_SILENT; i++) {
        if (!client_send(&client, frame + i, 1))
            break;
        event = client_receive(&client, &reply, FRAME_TIMEOUT_MS / 10);
    }
    cr_assert_eq(event, CLIENT_REPLY, "the trickle was tolerated to its end");
    cr_assert_eq(reply.header.status, FRAME_TIMED_OUT);
    client_close(&client);
    scene_close(&scene);
}

/* A client that leaves in the middle of a frame leaves nothing behind. */
Test(protocol, a_client_that_leaves_midway_is_forgotten, .fini = harness_clean, .timeout = 300)
{
    struct scene scene;
    struct frame_stats stats;
    char stream[1024];
    scene_open(&scene, NULL);
    uint32_t size = stream_build(stream, 1);
    for (uint32_t bytes = 0; bytes < size; bytes += 3) {
        struct client client;
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        client_connect_silent(&client, scene.server.port);
        cr_assert(client_send(&client, stream, bytes));
        if (bytes % 2 == 0)
            (void)setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        client_close(&client);
    }
    uint64_t start = now_ms();
    do {
        cr_assert(now_ms() - start < PATIENCE_MS, "connections remain");
        client_stats(&scene.witness, &stats);
    } while (stats.connections != 1);
    scene_close(&scene);
}
