/* Servers that stand still, and servers that meet: SIGSTOP in the middle of the load, a second
 * server while the first one still runs, dies, or its writes drain. Nobody is told a lie, nothing
 * is lost, and what a client did in time is in time.
 *
 *   GIRO_PROCESS_ROUNDS   successions of one server to another (default: 12) */
#include "tests/faults/stage.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

TestSuite(process, .fini = harness_clean, .timeout = 600);

enum { CLIENTS = 6, STILL_MS = 2500, FRAME_TIMEOUT_MS = 1500 };

static const char *const arguments[] = {
    STAGE_ARGUMENTS, "--snapshot-log-bytes", "8m",   "--frame-timeout-ms",
    "1500",          "--send-timeout-ms",    "1500", NULL};

struct ground {
    struct world world;
    struct server server;
    struct server_setup setup;
    char data[PATH_BYTES];
};

/* On a real disk: writes that drain are of interest. */
static void ground_begin(struct ground *ground, const char *io, uint64_t seed)
{
    memset(ground, 0, sizeof *ground);
    folder_make(ground->data);
    data_format(ground->data);
    ground->setup = (struct server_setup){.data = ground->data, .io = io, .arguments = arguments};
    world_init(&ground->world, seed, CLIENTS);
    server_start(&ground->server, &ground->setup);
}

static void ground_end(struct ground *ground)
{
    server_stop(&ground->server);
    data_verify(ground->data);
    world_free(&ground->world);
    folder_remove(ground->data);
}

/* Returns once it really stands. */
static void server_stand(const struct server *server)
{
    int status;
    cr_assert_eq(kill(server->pid, SIGSTOP), 0);
    cr_assert_eq(waitpid(server->pid, &status, WUNTRACED), server->pid);
    cr_assert(WIFSTOPPED(status));
}

static void server_go_on(const struct server *server)
{
    cr_assert_eq(kill(server->pid, SIGCONT), 0);
}

/* ---- Standing still ---------------------------------------------------------------------- */

enum { DEBIT = 1, CREDIT = 2 };

/* Of a ledger of its own: a hold that falls due while the server stands, and a client that ends its
 * frame in time while the server stands. */
static void deadlines_try(const char *io)
{
    enum { ROUNDS = 3 };
    static struct ground ground;
    char frame[FRAME_HEADER_BYTES + sizeof(struct giro_transfer)];
    ground_begin(&ground, io, 0);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct client holder;
        struct client slow;
        struct reply reply;
        uint32_t code;
        struct giro_transfer hold = transfer_of(10 * round + 1, DEBIT, CREDIT, 5);
        struct giro_transfer post = transfer_of(10 * round + 2, DEBIT, CREDIT, 5);
        const struct giro_transfer plain = transfer_of(10 * round + 3, DEBIT, CREDIT, 7);
        hold.flags = GIRO_TRANSFER_PENDING;
        hold.timeout = 1;
        post.flags = GIRO_TRANSFER_POST_PENDING;
        post.pending_id = hold.id;
        client_connect(&holder, ground.server.port);
        client_connect(&slow, ground.server.port);
        client_make_accounts(&holder, DEBIT, 2);
        cr_assert_eq(client_create_transfers(&holder, &hold, 1, &code, NULL), FRAME_OK);
        cr_assert_eq(code, GIRO_TRANSFER_CREATED);
        uint32_t size = client_frame(frame, FRAME_CREATE_TRANSFERS, 9, &plain, sizeof plain);
        cr_assert(client_send(&slow, frame, size / 2));
        cr_assert(client_ping(&holder, PATIENCE_MS)); /* the half has arrived */

        server_stand(&ground.server);
        cr_assert(client_send(&slow, frame + size / 2, size - size / 2));
        uint64_t id = client_request(&holder, FRAME_CREATE_TRANSFERS, &post, sizeof post);
        pause_ms(STILL_MS);
        server_go_on(&ground.server);
        cr_assert_eq(client_receive(&slow, &reply, PATIENCE_MS), CLIENT_REPLY);
        cr_assert_eq(reply.header.status, FRAME_OK, "round %lu: a frame that was whole in time: %s",
                     round, frame_status_name(reply.header.status));
        client_expect(&holder, id, &reply);
        struct giro_result result;
        cr_assert_eq(reply.header.body_bytes, sizeof(struct frame_created) + sizeof result);
        memcpy(&result, (const char *)reply.body + sizeof(struct frame_created), sizeof result);
        cr_assert_eq(result.code, GIRO_TRANSFER_PENDING_TRANSFER_EXPIRED, "%s",
                     giro_transfer_result_name(result.code));
        client_close(&slow);
        client_close(&holder);
    }
    ground_end(&ground);
}

Test(process, deadlines_while_the_server_stands_io_uring)
{
    deadlines_try("io_uring");
}

Test(process, deadlines_while_the_server_stands_posix)
{
    deadlines_try("posix");
}

/* Longer than any timeout of a connection. */
static void stand_under_load_try(const char *io, uint64_t seed)
{
    enum { ROUNDS = 3, ANSWERS = 800 };
    static struct ground ground;
    ground_begin(&ground, io, seed);
    world_connect(&ground.world, ground.server.port);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        cr_assert(world_run(&ground.world, ANSWERS));
        world_send(&ground.world);
        pause_ms(rng_below(&ground.world.rng, 4));
        server_stand(&ground.server);
        pause_ms(STILL_MS);
        server_go_on(&ground.server);
        cr_assert(world_run(&ground.world, ANSWERS), "%s", server_text(&ground.server));
    }
    world_finish(&ground.world);
    world_check(&ground.world, ground.server.port);
    history_await_follower(ground.server.port);
    history_check(&ground.world, ground.server.port);
    /* It is killed while it stands: what it had not answered may be there or not. */
    world_send(&ground.world);
    server_stand(&ground.server);
    server_kill(&ground.server);
    world_crashed(&ground.world);
    server_start(&ground.server, &ground.setup);
    world_check(&ground.world, ground.server.port);
    world_retry(&ground.world, ground.server.port);
    world_check(&ground.world, ground.server.port);
    cr_assert_eq(ground.world.refused_count, 0);
    ground_end(&ground);
}

Test(process, clients_wait_while_the_server_stands_io_uring)
{
    stand_under_load_try("io_uring", 0x57a1);
}

Test(process, clients_wait_while_the_server_stands_posix)
{
    stand_under_load_try("posix", 0x57a2);
}

/* ---- Two servers ------------------------------------------------------------------------- */

/* The next server is started while the last one is at work, and waits for its end; what that had
 * given to the kernel still drains. */
static void succession_round(struct ground *ground)
{
    enum { ANSWERS = 400, TOGETHER_MS = 120 };
    struct server next;
    world_connect(&ground->world, ground->server.port);
    cr_assert(world_run(&ground->world, 1 + rng_below(&ground->world.rng, ANSWERS)));
    server_launch(&next, &ground->setup);
    uint64_t until = now_ms() + rng_below(&ground->world.rng, TOGETHER_MS);
    while (now_ms() < until)
        cr_assert(world_run(&ground->world, 1));
    world_send(&ground->world);
    server_kill(&ground->server);
    world_crashed(&ground->world);
    cr_assert(server_await(&next, NULL), "%s", next.text);
    ground->server = next;
    world_check(&ground->world, ground->server.port);
    world_retry(&ground->world, ground->server.port);
    world_check(&ground->world, ground->server.port);
}

static void succession_try(const char *io, uint64_t seed)
{
    static struct ground ground;
    const uint32_t rounds = environment_number("GIRO_PROCESS_ROUNDS", 12);
    ground_begin(&ground, io, seed);
    for (uint32_t round = 0; round < rounds; round++)
        succession_round(&ground);
    cr_assert(rounds == 0 || ground.world.unknown_count > 0, "nothing was under way");
    ground_end(&ground);
}

Test(process, the_next_server_waits_until_the_last_one_is_gone_io_uring)
{
    succession_try("io_uring", 0x5cc1);
}

Test(process, the_next_server_waits_until_the_last_one_is_gone_posix)
{
    succession_try("posix", 0x5cc2);
}

/* One that stands still is not gone: nobody takes its directory from it. */
Test(process, a_server_that_stands_keeps_its_directory)
{
    enum { ANSWERS = 200 };
    static struct ground ground;
    struct server other;
    int status;
    ground_begin(&ground, "io_uring", 0x57a3);
    world_connect(&ground.world, ground.server.port);
    cr_assert(world_run(&ground.world, ANSWERS));
    world_send(&ground.world);
    server_stand(&ground.server);
    server_launch(&other, &ground.setup);
    cr_assert(!server_await(&other, &status), "two servers on one directory");
    cr_assert_eq(status, 1, "%s", other.text);
    cr_assert(strstr(other.text, "in use by another giro process") != NULL, "%s", other.text);
    server_go_on(&ground.server);
    cr_assert(world_run(&ground.world, ANSWERS));
    world_finish(&ground.world);
    world_check(&ground.world, ground.server.port);
    world_disconnect(&ground.world);
    ground_end(&ground);
}
