/* Clients that take more than their share: none of them can take memory without bound, and none of
 * them keeps the others from being served. */
#include "tests/faults/client.h"
#include "tests/faults/harness.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

TestSuite(server_load, .fini = harness_clean, .timeout = 600);

enum { ACCOUNTS = 100 };

/* ---- Clients that do not read ------------------------------------------------------------ */

enum {
    SLOW_READERS = 12,
    LARGE_BUFFERS = 4,
    /* Four MiB buffers in and four out, small buffers, and what the kernel does not count here. */
    SLOW_MEMORY_KIB = 64 << 10,
};

static const char *const slow_arguments[] = {"--large-buffers",
                                             "4",
                                             "--send-timeout-ms",
                                             "700",
                                             "--accounts-max",
                                             "1000",
                                             "--connections-max",
                                             "64",
                                             "--window-bytes",
                                             "16m",
                                             NULL};

/* A client with the smallest receive buffer, that asks for as many MiB as it can. */
static void ask_and_never_read(struct client *client, uint16_t port, const void *ids)
{
    const int small = 1;
    client_connect(client, port);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    const uint32_t body_bytes = FRAME_EVENTS_MAX * sizeof(giro_u128);
    char *frame = malloc(FRAME_HEADER_BYTES + body_bytes);
    cr_assert(frame != NULL);
    uint32_t size = client_frame(frame, FRAME_LOOKUP_ACCOUNTS, 7, ids, body_bytes);
    for (uint32_t i = 0; i < 8; i++) {
        if (send(client->fd, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL) < (ssize_t)size)
            break; /* the server does not take more: that is what it should do */
    }
    free(frame);
}

static uint64_t connections_now(struct client *witness)
{
    struct frame_stats stats;
    client_stats(witness, &stats);
    return stats.connections;
}

static void await_connections(struct client *witness, uint64_t count)
{
    for (uint64_t start = now_ms(); connections_now(witness) != count; pause_ms(20))
        cr_assert(now_ms() - start < PATIENCE_MS, "%lu connections instead of %lu",
                  connections_now(witness), count);
}

static void slow_readers_try(const char *io)
{
    struct server server;
    struct client witness;
    struct client slow[SLOW_READERS];
    struct frame_stats stats;
    char data[PATH_BYTES];
    giro_u128 *ids = calloc(FRAME_EVENTS_MAX, sizeof *ids);
    struct giro_account *found = calloc(FRAME_EVENTS_MAX, sizeof *found);
    uint32_t count;
    cr_assert(ids != NULL && found != NULL);
    for (uint32_t i = 0; i < FRAME_EVENTS_MAX; i++)
        ids[i] = 1 + i % ACCOUNTS;
    folder_make(data);
    data_format(data);
    server_start(&server,
                 &(struct server_setup){.data = data, .io = io, .arguments = slow_arguments});
    client_connect(&witness, server.port);
    client_make_accounts(&witness, 1, ACCOUNTS);
    uint64_t memory = server_memory_kib(&server);
    for (uint32_t i = 0; i < SLOW_READERS; i++)
        ask_and_never_read(&slow[i], server.port, ids);
    for (uint64_t i = 0; i < 200; i++) {
        struct giro_transfer transfer = transfer_of(1 + i, 1, 2, 1);
        uint32_t code;
        cr_assert_eq(client_create_transfers(&witness, &transfer, 1, &code, NULL), FRAME_OK);
        cr_assert_eq(code, GIRO_TRANSFER_CREATED);
    }
    uint64_t grown = server_memory_kib(&server) - memory;
    cr_assert(grown < SLOW_MEMORY_KIB, "memory grew by %lu KiB", grown);
    /* The buffers are all taken; this one waits for its turn, and gets it. */
    cr_assert_eq(client_lookup_accounts(&witness, ids, FRAME_EVENTS_MAX, found, &count), FRAME_OK);
    cr_assert_eq(count, FRAME_EVENTS_MAX);
    await_connections(&witness, 1);
    client_stats(&witness, &stats);
    cr_assert_eq(stats.connections_timed_out, SLOW_READERS, "%lu timed out",
                 stats.connections_timed_out);
    for (uint32_t i = 0; i < SLOW_READERS; i++)
        client_close(&slow[i]);
    client_close(&witness);
    server_stop(&server);
    free(ids);
    free(found);
}

Test(server_load, clients_that_never_read_are_closed_io_uring)
{
    slow_readers_try("io_uring");
}

Test(server_load, clients_that_never_read_are_closed_posix)
{
    slow_readers_try("posix");
}

/* ---- Clients that send without end ------------------------------------------------------- */

enum { FLOODERS = 4, FLOOD_BATCH = 2000, FLOOD_PINGS = 100 };

/* Sends until the socket is full, reads away what came. frame and its place: of the caller. */
static void flood_step(struct client *client, const char *frame, uint32_t size, uint32_t *sent)
{
    char answers[4096];
    for (;;) {
        ssize_t result = send(client->fd, frame + *sent, size - *sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (result <= 0)
            break;
        *sent = (*sent + (uint32_t)result) % size;
    }
    while (recv(client->fd, answers, sizeof answers, MSG_DONTWAIT) > 0)
        continue;
}

static void flood_try(const char *io)
{
    struct server server;
    struct client witness;
    struct client flooders[FLOODERS];
    uint32_t sent[FLOODERS] = {0};
    char data[PATH_BYTES];
    struct giro_transfer *transfers = calloc(FLOOD_BATCH, sizeof *transfers);
    char *frame = malloc(FRAME_HEADER_BYTES + FLOOD_BATCH * sizeof *transfers);
    cr_assert(transfers != NULL && frame != NULL);
    for (uint32_t i = 0; i < FLOOD_BATCH; i++)
        transfers[i] = transfer_of(1 + i, 1, 2, 1); /* the same ones again and again */
    uint32_t size =
        client_frame(frame, FRAME_CREATE_TRANSFERS, 1, transfers, FLOOD_BATCH * sizeof *transfers);
    folder_make(data);
    data_format(data);
    server_start(&server, &(struct server_setup){.data = data, .io = io});
    client_connect(&witness, server.port);
    client_make_accounts(&witness, 1, 2);
    for (uint32_t i = 0; i < FLOODERS; i++)
        client_connect(&flooders[i], server.port);
    for (uint32_t ping = 0; ping < FLOOD_PINGS; ping++) {
        uint64_t id = client_request(&witness, FRAME_PING, NULL, 0);
        enum client_event event = CLIENT_SILENT;
        struct reply reply;
        for (uint64_t start = now_ms(); event == CLIENT_SILENT;) {
            cr_assert(now_ms() - start < PATIENCE_MS, "ping %u drowns", ping);
            for (uint32_t i = 0; i < FLOODERS; i++)
                flood_step(&flooders[i], frame, size, &sent[i]);
            event = client_receive(&witness, &reply, 0);
        }
        cr_assert_eq(event, CLIENT_REPLY);
        cr_assert_eq(reply.header.request_id, id);
    }
    for (uint32_t i = 0; i < FLOODERS; i++)
        client_close(&flooders[i]);
    await_connections(&witness, 1);
    client_close(&witness);
    server_stop(&server);
    free(frame);
    free(transfers);
}

Test(server_load, a_flood_does_not_drown_others_io_uring)
{
    flood_try("io_uring");
}

Test(server_load, a_flood_does_not_drown_others_posix)
{
    flood_try("posix");
}

/* ---- Many connections -------------------------------------------------------------------- */

enum { IDLE_CONNECTIONS = 2000 };

/* Returns how many connections this process may open, at most the number wanted. */
static uint32_t descriptors_raise(uint32_t wanted)
{
    enum { SPARE = 64 };
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    cr_assert(limit.rlim_cur > 2 * SPARE);
    return limit.rlim_cur < wanted + SPARE ? (uint32_t)limit.rlim_cur - SPARE : wanted;
}

static void idle_try(const char *io)
{
    struct server server;
    struct client witness;
    char data[PATH_BYTES];
    const uint32_t count = descriptors_raise(IDLE_CONNECTIONS);
    struct client *idle = calloc(count, sizeof *idle);
    cr_assert(idle != NULL);
    folder_make(data);
    data_format(data);
    server_start(&server, &(struct server_setup){.data = data, .io = io});
    client_connect(&witness, server.port);
    client_make_accounts(&witness, 1, 2);
    for (uint32_t i = 0; i < count; i++) {
        client_connect(&idle[i], server.port);
        free(idle[i].in); /* a MiB each, and nothing is received any more */
        idle[i].in = NULL;
    }
    cr_assert_eq(connections_now(&witness), count + 1);
    for (uint64_t i = 0; i < 100; i++) {
        struct giro_transfer transfer = transfer_of(1 + i, 1, 2, 1);
        cr_assert_eq(client_create_transfers(&witness, &transfer, 1, NULL, NULL), FRAME_OK);
    }
    cr_assert_eq(connections_now(&witness), count + 1);
    for (uint32_t i = 0; i < count; i++)
        client_close(&idle[i]);
    await_connections(&witness, 1);
    client_close(&witness);
    server_stop(&server);
    free(idle);
}

Test(server_load, idle_connections_cost_nothing_io_uring)
{
    idle_try("io_uring");
}

Test(server_load, idle_connections_cost_nothing_posix)
{
    idle_try("posix");
}

/* A clean stop does not wait for idle clients, and tells nobody a lie: what was answered is there
 * after the next start. */
Test(server_load, a_stop_with_many_connections_is_clean)
{
    enum { CLIENTS = 100 };
    struct server server;
    struct client clients[CLIENTS];
    struct frame_stats stats;
    struct reply reply;
    uint32_t answered = 0;
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    server_start(&server, &(struct server_setup){.data = data});
    for (uint32_t i = 0; i < CLIENTS; i++)
        client_connect(&clients[i], server.port);
    client_make_accounts(&clients[0], 1, 2);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct giro_transfer transfer = transfer_of(1 + i, 1, 2, 1);
        cr_assert(client_request(&clients[i], FRAME_CREATE_TRANSFERS, &transfer, sizeof transfer) !=
                  0);
    }
    server_stop(&server);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        while (client_receive(&clients[i], &reply, 0) == CLIENT_REPLY)
            answered +=
                reply.header.operation == FRAME_CREATE_TRANSFERS && reply.header.status == FRAME_OK;
        client_close(&clients[i]);
    }
    server_start(&server, &(struct server_setup){.data = data});
    client_connect(&clients[0], server.port);
    client_stats(&clients[0], &stats);
    cr_assert(stats.transfers >= answered, "%u answered, %lu there", answered, stats.transfers);
    client_close(&clients[0]);
    server_stop(&server);
}

/* ---- The limit --------------------------------------------------------------------------- */

enum { LIMIT = 4, LIMIT_TRIES = 50 };

/* One too many says hello at once, as every real client does, and is told why it may not stay. */
static void one_too_many(uint16_t port, bool greets)
{
    struct client client;
    struct reply reply;
    char hello[FRAME_HEADER_BYTES + sizeof(struct frame_hello)];
    client_connect_silent(&client, port);
    if (greets)
        (void)client_send(&client, hello, client_hello_frame(hello));
    enum client_event event = client_receive(&client, &reply, PATIENCE_MS);
    cr_assert_eq(event, CLIENT_REPLY, "one too many that %s was not told why",
                 greets ? "greets" : "is silent");
    cr_assert_eq(reply.header.status, FRAME_TOO_MANY_CONNECTIONS);
    cr_assert_eq(client_receive(&client, &reply, PATIENCE_MS), CLIENT_CLOSED);
    client_close(&client);
}

static void limit_try(bool greets)
{
    static const char *const arguments[] = {"--connections-max", "4", NULL};
    struct server server;
    struct client clients[LIMIT];
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    server_start(&server, &(struct server_setup){.data = data, .arguments = arguments});
    for (uint32_t i = 0; i < LIMIT; i++)
        client_connect(&clients[i], server.port);
    for (uint32_t i = 0; i < LIMIT_TRIES; i++)
        one_too_many(server.port, greets);
    for (uint32_t i = 0; i < LIMIT; i++)
        cr_assert(client_ping(&clients[i], PATIENCE_MS));
    client_close(&clients[1]);
    await_connections(&clients[0], LIMIT - 1);
    client_connect(&clients[1], server.port);
    cr_assert(client_ping(&clients[1], PATIENCE_MS));
    for (uint32_t i = 0; i < LIMIT; i++)
        client_close(&clients[i]);
    server_stop(&server);
}

Test(server_load, one_too_many_is_told_so)
{
    limit_try(false);
}

Test(server_load, one_too_many_that_greets_is_told_so)
{
    limit_try(true);
}
