/* Disks that are full, that fail, and that lose power. What was acknowledged is there afterwards,
 * what could not be written is refused or ends the server, and nothing in between. */
#include "tests/faults/disk.h"
#include "tests/faults/world.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

TestSuite(storage, .fini = harness_clean, .timeout = 600);

enum { CLIENTS = 4, BATCH_EVENTS = 4000 };

static const char *const arguments[] = {
    "--window-bytes", "16m", "--accounts-max", "1000", "--holds-max", "1000000", NULL};

/* Without the follower, whose indexes and snapshots would fill the disk before the device fails. */
static const char *const log_alone[] = {
    "--follower", "0",           "--window-bytes", "16m", "--accounts-max",
    "1000",       "--holds-max", "1000000",        NULL};

static void data_path(char data[PATH_BYTES], const struct disk *disk)
{
    int length = snprintf(data, PATH_BYTES, "%s/data", disk->mount);
    cr_assert(length < PATH_BYTES);
}

static void world_of_batches(struct world *world, uint64_t seed)
{
    world_init(world, seed, CLIENTS);
    world->batches_only = true;
    world->events_per_request = BATCH_EVENTS;
}

/* ---- Full -------------------------------------------------------------------------------- */

enum { DISK_MIB = 80, BALLAST_MIB = 20, REFUSALS = 20 };

static uint64_t storage_full(uint16_t port)
{
    struct client client;
    struct frame_stats stats;
    client_connect(&client, port);
    client_stats(&client, &stats);
    client_close(&client);
    return stats.storage_full;
}

/* Writes until so many requests more were refused for want of room. */
static void run_until_refused(struct world *world, struct server *server)
{
    const uint64_t refused = world->refused_count + REFUSALS;
    for (uint64_t start = now_ms(); world->refused_count < refused;) {
        cr_assert(now_ms() - start < PATIENCE_MS, "the disk does not fill up");
        cr_assert(world_run(world, 1), "the connection broke:\n%s", server_text(server));
    }
    world_finish(world);
}

static void await_room(uint16_t port)
{
    for (uint64_t start = now_ms(); storage_full(port) != 0; pause_ms(20))
        cr_assert(now_ms() - start < PATIENCE_MS, "writes are refused although there is room");
}

/* Started on a full disk it may serve or say that it needs room; it must not lose anything. */
static void restart_full(struct world *world, struct server *server,
                         const struct server_setup *setup)
{
    int status;
    server_launch(server, setup);
    if (!server_await(server, &status)) {
        cr_assert_eq(status, 1, "%s", server->text);
        cr_assert(strstr(server->text, "free some space") != NULL, "%s", server->text);
        return;
    }
    world_check(world, server->port);
    server_kill(server);
}

static void full_try(const char *io)
{
    static struct world world;
    struct disk disk;
    struct server server;
    char data[PATH_BYTES];
    if (!disk_make(&disk, DISK_MIB, 0))
        cr_skip_test("%s", disk.why);
    data_path(data, &disk);
    disk_fill(&disk, BALLAST_MIB);
    data_format(data);
    const struct server_setup setup = {.data = data, .io = io, .arguments = arguments};
    world_of_batches(&world, 0xf011);
    server_start(&server, &setup);
    world_connect(&world, server.port);

    run_until_refused(&world, &server);
    cr_assert_eq(storage_full(server.port), 1);
    server_expect(&server, "no room for the next log segment");
    world_check(&world, server.port); /* reads are answered, and nothing of the refused is there */
    uint64_t acked = world.acked_count;

    disk_free_space(&disk);
    await_room(server.port);
    server_expect(&server, "there is room");
    run_until_refused(&world, &server);
    cr_assert(world.acked_count > acked, "room was found and nothing written");
    world_check(&world, server.port);

    world_disconnect(&world);
    server_kill(&server);
    restart_full(&world, &server, &setup);
    world_free(&world);
    disk_remove(&disk);
}

Test(storage, a_full_disk_refuses_writes_and_recovers_io_uring)
{
    full_try("io_uring");
}

Test(storage, a_full_disk_refuses_writes_and_recovers_posix)
{
    full_try("posix");
}

/* ---- Errors ------------------------------------------------------------------------------ */

/* Runs until the server ends itself, which must say which file, where, and why. */
static void run_until_it_ends(struct world *world, struct server *server, const char *const *words)
{
    while (world_run(world, 50))
        cr_assert(world->transfer_count < 2000000, "nothing fails:\n%s", server_text(server));
    world_crashed(world);
    int status = server_wait(server);
    cr_assert_eq(status, 128 + SIGABRT, "it ended with %d:\n%s", status, server->text);
    for (uint32_t i = 0; words[i] != NULL; i++)
        cr_assert(strstr(server->text, words[i]) != NULL, "expected \"%s\":\n%s", words[i],
                  server->text);
}

static void check_after(struct world *world, const struct server_setup *setup)
{
    struct server server;
    server_start(&server, setup);
    world_check(world, server.port);
    world_retry(world, server.port);
    world_check(world, server.port);
    server_stop(&server);
}

enum { FILE_BYTES_MAX = 2 << 20 };

/* A limit on the size of files: writes beyond it fail with EFBIG, one across it is short. */
static void write_error_try(const char *io)
{
    static const char *const words[] = {
        "write of block", "shard-0/0000000000.log", "offset", "errno", "stopping", NULL};
    static struct world world;
    struct server server;
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    const struct server_setup sound = {.data = data, .io = io, .arguments = arguments};
    struct server_setup limited = sound;
    limited.file_bytes_max = FILE_BYTES_MAX;
    limited.quiet_core = true;
    world_init(&world, 0xe0, CLIENTS);
    server_start(&server, &limited);
    world_connect(&world, server.port);
    run_until_it_ends(&world, &server, words);
    cr_assert(world.acked_count > 0);
    check_after(&world, &sound);
    world_free(&world);
    folder_remove(data);
}

Test(storage, a_failed_log_write_ends_the_server_io_uring)
{
    write_error_try("io_uring");
}

Test(storage, a_failed_log_write_ends_the_server_posix)
{
    write_error_try("posix");
}

/* No room is one thing; anything else that hinders the next segment is the end, and said to be. */
Test(storage, a_failure_to_make_a_segment_ends_the_server)
{
    static const char *const more_segments[] = {"--segments-ahead", "4", NULL};
    struct server server;
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    server_launch(&server, &(struct server_setup){.data = data,
                                                  .arguments = more_segments,
                                                  .file_bytes_max = FILE_BYTES_MAX,
                                                  .quiet_core = true});
    int status = server_wait(&server);
    cr_assert_eq(status, 128 + SIGABRT, "it ended with %d:\n%s", status, server.text);
    cr_assert(strstr(server.text, "making segment 4 failed") != NULL, "%s", server.text);
    cr_assert(strstr(server.text, "next.tmp, offset 2097152: File too large (errno 27)") != NULL,
              "%s", server.text);
    server_start(&server, &(struct server_setup){.data = data, .arguments = more_segments});
    server_stop(&server);
}

/* The device below the file system fails: EIO. The file system may fail with it. */
static void device_error_try(const char *io)
{
    enum { MEMORY_MIB = 40, MEMORY_MORE_MIB = 200 };
    static const char *const words[] = {"failed", "shard-0/", "offset", "errno", NULL};
    static struct world world;
    struct disk disk;
    struct server server;
    char data[PATH_BYTES];
    if (!disk_make(&disk, DISK_MIB, MEMORY_MIB))
        cr_skip_test("%s", disk.why);
    data_path(data, &disk);
    data_format(data);
    struct server_setup setup = {
        .data = data, .io = io, .arguments = log_alone, .quiet_core = true};
    world_of_batches(&world, 0xe10);
    server_start(&server, &setup);
    world_connect(&world, server.port);
    run_until_it_ends(&world, &server, words);
    disk_memory_resize(&disk, MEMORY_MORE_MIB);
    disk_power_on(&disk);
    check_after(&world, &setup);
    world_free(&world);
    disk_remove(&disk);
}

Test(storage, a_failing_device_ends_the_server_io_uring)
{
    device_error_try("io_uring");
}

Test(storage, a_failing_device_ends_the_server_posix)
{
    device_error_try("posix");
}

/* ---- A disk that does not return what lies there ------------------------------------------ */

enum { UNREADABLE_MIB = 48, STARTS = 3 };

/* Breaks the disk at a place of the first segment: the server refuses to start, changes nothing,
 * and serves once the disk has been mended. */
static void unreadable_try(struct disk *disk, const struct server_setup *setup, uint64_t offset)
{
    struct server server;
    char segment[PATH_BYTES];
    int status;
    segment_path(setup->data, 0, segment);
    disk_break(disk, disk_position(segment, offset) / 4096 * 4096);
    server_launch(&server, setup);
    bool listens = server_await(&server, &status);
    disk_mend(disk);
    cr_assert(!listens && status == 1, "offset %lu: status %d:\n%s", offset, status, server.text);
    cr_assert(strstr(server.text, "acknowledged data is damaged") != NULL ||
                  strstr(server.text, "Input/output error") != NULL,
              "offset %lu:\n%s", offset, server.text);
}

/* Also behind the end of the log: there may have been more of it. */
Test(storage, an_unreadable_log_is_refused_and_not_cut)
{
    static struct world world;
    struct disk disk;
    struct server server;
    struct client client;
    struct frame_stats stats;
    char data[PATH_BYTES];
    if (!disk_make(&disk, UNREADABLE_MIB, 0))
        cr_skip_test("%s", disk.why);
    data_path(data, &disk);
    data_format(data);
    const struct server_setup setup = {.data = data, .arguments = arguments};
    world_init(&world, 0xead, CLIENTS);
    server_start(&server, &setup);
    world_connect(&world, server.port);
    cr_assert(world_run(&world, 100));
    world_finish(&world);
    world_check(&world, server.port);
    client_connect(&client, server.port);
    client_stats(&client, &stats);
    client_close(&client);
    world_disconnect(&world);
    server_stop(&server);
    const uint64_t offsets[STARTS] = {4096, stats.log_bytes / 2, stats.log_bytes + 65536};
    for (uint32_t i = 0; i < STARTS; i++) {
        unreadable_try(&disk, &setup, offsets[i]);
        server_start(&server, &setup);
        cr_assert(strstr(server_text(&server), "torn") == NULL, "%s", server.text);
        world_check(&world, server.port);
        server_stop(&server);
    }
    world_free(&world);
    disk_remove(&disk);
}

/* ---- Power ------------------------------------------------------------------------------- */

/* The disk stops in the middle of the load and forgets what was not synced: names and sizes of
 * files above all. GIRO_POWER_ROUNDS: how often (default: 6). */
static void power_try(const char *io, uint64_t seed)
{
    enum { ANSWERS_MAX = 1500 };
    static struct world world;
    struct disk disk;
    struct server server;
    char data[PATH_BYTES];
    const uint32_t rounds = environment_number("GIRO_POWER_ROUNDS", 6);
    if (!disk_make(&disk, 400, 0))
        cr_skip_test("%s", disk.why);
    data_path(data, &disk);
    data_format(data);
    const struct server_setup setup = {
        .data = data, .io = io, .arguments = arguments, .quiet_core = true};
    world_init(&world, seed, CLIENTS);
    world.events_per_request = BATCH_EVENTS;
    for (uint32_t round = 0; round < rounds; round++) {
        server_start(&server, &setup);
        world_connect(&world, server.port);
        cr_assert(world_run(&world, 1 + rng_below(&world.rng, ANSWERS_MAX)));
        disk_power_off(&disk);
        while (world_run(&world, 1)) /* until it notices */
            continue;
        world_crashed(&world);
        cr_assert_eq(server_wait(&server), 128 + SIGABRT, "%s", server.text);
        disk_power_on(&disk);
        check_after(&world, &setup);
    }
    fprintf(stderr, "%u transfers, %lu requests unknown, of which %lu had been written\n",
            world.transfer_count, world.unknown_count, world.unknown_found);
    world_free(&world);
    disk_remove(&disk);
}

Test(storage, acknowledged_requests_survive_power_loss_io_uring)
{
    power_try("io_uring", 0xbad1);
}

Test(storage, acknowledged_requests_survive_power_loss_posix)
{
    power_try("posix", 0xbad2);
}

/* A disk may lose what is in its cache, and no test here can take that away from it. But it counts
 * how often it was told to empty it: no acknowledgement without that, one by one. */
static void flush_try(const char *io)
{
    enum { TRANSFERS = 100 };
    struct disk disk;
    struct server server;
    struct client client;
    char data[PATH_BYTES];
    if (!disk_make(&disk, DISK_MIB, 0))
        cr_skip_test("%s", disk.why);
    data_path(data, &disk);
    data_format(data);
    server_start(&server, &(struct server_setup){.data = data, .io = io, .arguments = arguments});
    client_connect(&client, server.port);
    client_make_accounts(&client, 1, 2);
    for (uint64_t i = 0; i < TRANSFERS; i++) {
        const struct giro_transfer transfer = transfer_of(1 + i, 1, 2, 1);
        uint64_t flushes = disk_flush_count(&disk);
        cr_assert_eq(client_create_transfers(&client, &transfer, 1, NULL, NULL), FRAME_OK);
        cr_assert(disk_flush_count(&disk) > flushes, "transfer %lu was acknowledged unflushed", i);
    }
    client_close(&client);
    server_stop(&server);
    disk_remove(&disk);
}

Test(storage, nothing_is_acknowledged_before_the_disk_was_flushed_io_uring)
{
    flush_try("io_uring");
}

Test(storage, nothing_is_acknowledged_before_the_disk_was_flushed_posix)
{
    flush_try("posix");
}
