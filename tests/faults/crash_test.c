/* kill -9 under load, again and again: whatever was acknowledged stays, whatever was not is there
 * once or not at all.
 *
 *   GIRO_CRASH_ROUNDS   kills of each test (default: 20 with io_uring, 10 with posix) */
#include "tests/faults/world.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>

TestSuite(crash, .fini = harness_clean, .timeout = 1200);

enum { CLIENTS = 6, ANSWERS_MAX = 500, START_MS_MAX = 25, EXPIRY_MS = 1500 };

/* The least that the server takes: 16 MiB of four segments, so that old records are fetched and
 * segments change during the test. */
static const char *const arguments[] = {
    "--window-bytes", "16m", "--accounts-max", "1000", "--holds-max", "1000000", NULL};

/* Kills a server while it reads its log, or a little later. */
static void crash_at_start(struct world *world, const struct server_setup *setup)
{
    struct server server;
    server_launch(&server, setup);
    pause_ms(rng_below(&world->rng, START_MS_MAX));
    server_kill(&server);
}

static void crash_round(struct world *world, const struct server_setup *setup,
                        struct server *server, uint32_t round)
{
    world_connect(world, server->port);
    cr_assert(world_run(world, 1 + rng_below(&world->rng, ANSWERS_MAX)),
              "the connection broke:\n%s", server_text(server));
    if (round % 3 == 0) /* not always at the moment of an answer */
        pause_ms(rng_below(&world->rng, 4));
    server_kill(server);
    world_crashed(world);
    if (round % 4 == 1)
        crash_at_start(world, setup);
    server_start(server, setup);
    world_check(world, server->port);
    world_retry(world, server->port);
    world_check(world, server->port);
}

/* Holds that were due have been released: those two accounts hold nothing any more. */
static void check_expired(const struct server *server)
{
    const giro_u128 ids[] = {WORLD_ACCOUNTS - 1, WORLD_ACCOUNTS};
    struct giro_account accounts[2];
    struct client client;
    uint32_t found;
    pause_ms(EXPIRY_MS);
    client_connect(&client, server->port);
    cr_assert_eq(client_lookup_accounts(&client, ids, 2, accounts, &found), FRAME_OK);
    cr_assert_eq(found, 2);
    cr_assert(accounts[0].debits_pending == 0 && accounts[1].credits_pending == 0);
    client_close(&client);
}

static void crash_rounds(const char *io, uint32_t rounds, uint64_t seed)
{
    static struct world world;
    struct server server;
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    const struct server_setup setup = {.data = data, .io = io, .arguments = arguments};
    world_init(&world, seed, CLIENTS);
    server_start(&server, &setup);
    for (uint32_t round = 0; round < rounds; round++)
        crash_round(&world, &setup, &server, round);
    check_expired(&server);
    server_stop(&server);
    server_start(&server, &setup);
    world_check(&world, server.port);
    server_stop(&server);
    fprintf(stderr,
            "%s: %u kills, %u transfers, %lu requests acknowledged, %lu unknown of which %lu had "
            "been executed\n",
            io, rounds, world.transfer_count, world.acked_count, world.unknown_count,
            world.unknown_found);
    cr_assert(rounds == 0 || world.unknown_count > 0, "no request was under way at any kill");
    cr_assert_eq(world.refused_count, 0);
    world_free(&world);
    folder_remove(data);
}

Test(crash, acknowledged_requests_survive_kill_io_uring)
{
    crash_rounds("io_uring", environment_number("GIRO_CRASH_ROUNDS", 20), 0x6a11);
}

Test(crash, acknowledged_requests_survive_kill_posix)
{
    crash_rounds("posix", environment_number("GIRO_CRASH_ROUNDS", 10), 0x6a12);
}
