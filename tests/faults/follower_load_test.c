/* The follower short of room, of time, and beset by clients: it says so, the server goes on, and
 * everything is there in the end. */
#include "tests/faults/disk.h"
#include "tests/faults/kill_at.h"
#include "tests/faults/stage.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

TestSuite(follower_load, .fini = harness_clean, .timeout = 600);

static const char *const arguments[] = {STAGE_ARGUMENTS, "--snapshot-log-bytes", "8m", NULL};

static void run(struct stage *stage, uint32_t answers)
{
    cr_assert(world_run(&stage->world, answers), "the connection broke:\n%s",
              server_text(&stage->server));
}

static void start(struct stage *stage)
{
    server_start(&stage->server, &stage->setup);
    world_connect(&stage->world, stage->server.port);
}

static void settle(struct stage *stage)
{
    world_finish(&stage->world);
    world_disconnect(&stage->world);
    stage_check(stage);
}

/* ---- The map of a snapshot is too small --------------------------------------------------- */

Test(follower_load, a_snapshot_that_does_not_fit_its_map_fails_alone)
{
    static const char *const small[] = {
        STAGE_ARGUMENTS, "--snapshot-log-bytes", "1g", "--snapshot-map-bytes", "32k", NULL};
    static struct stage stage;
    struct client client;
    struct frame_snapshot snapshot;
    stage_begin(&stage, small, 0x4a9);
    start(&stage);
    run(&stage, 100);
    client_connect(&client, stage.server.port);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(history_snapshot(&client, &snapshot), FRAME_SNAPSHOT_FAILED);
        server_expect(&stage.server, "snapshot_map_bytes is too small for this ledger: raise it");
        run(&stage, 100);
    }
    client_close(&client);
    settle(&stage);
    stage_check_orphans(&stage, "a map that is too small");
    server_stop(&stage.server);
    stage.setup.arguments = arguments;
    start(&stage);
    run(&stage, 50);
    settle(&stage);
    (void)stage_snapshot(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
}

/* ---- Far behind -------------------------------------------------------------------------- */

static void delay(struct kill_at *control, const char *words, uint32_t ms)
{
    (void)snprintf(control->words, sizeof control->words, "%s", words);
    atomic_store(&control->delayed, 0);
    atomic_store(&control->delay_ms, ms);
}

/* So far behind that the window is gone: it reads the files, and is right. */
Test(follower_load, far_behind_it_reads_the_files)
{
    static const char *const patient[] = {
        STAGE_ARGUMENTS, "--snapshot-log-bytes", "8m", "--follower-lag-max", "1g", NULL};
    static struct stage stage;
    uint64_t lag = 0;
    stage_begin(&stage, patient, 0xfa4);
    stage.world.events_per_request = 8000;
    stage.world.batches_only = true;
    start(&stage);
    for (uint32_t i = 0; i < 2; i++) {
        /* Long enough behind for the window to be overwritten, then off it goes. */
        delay(stage.control, "index.tmp", 500);
        for (uint32_t j = 0; j < 4; j++)
            run(&stage, 12);
        struct frame_stats stats = stage_stats(&stage);
        lag = stats.follower_lag_bytes > lag ? stats.follower_lag_bytes : lag;
        delay(stage.control, "index.tmp", 0);
        run(&stage, 20);
    }
    cr_assert(lag > 16 << 20, "it was %lu bytes behind at most", lag);
    settle(&stage);
    cr_assert_eq(stage_stats(&stage).follower_throttled, 0);
    cr_assert(strstr(server_text(&stage.server), "the follower stopped") == NULL, "%s",
              stage.server.text);
    server_stop(&stage.server);
    data_verify(stage.data);
    fprintf(stderr, "%lu MiB behind, %u transfers\n", lag >> 20, stage.world.transfer_count);
    stage_end(&stage);
}

/* Around the window's size behind: it reads the window and the files in turns, and blocks are
 * overwritten while it copies them, which take their time here. */
Test(follower_load, at_the_edge_of_the_window_it_stays_right)
{
    static const char *const edge[] = {
        STAGE_ARGUMENTS, "--snapshot-log-bytes", "1g", "--follower-lag-max", "1g", NULL};
    enum { EDGE_BYTES = 15 << 20, LOG_BYTES = 64 << 20 };
    static struct stage stage;
    struct frame_stats stats = {0};
    stage_begin(&stage, edge, 0xed6e);
    stage.world.events_per_request = 1500;
    stage.world.batches_only = true;
    start(&stage);
    atomic_store(&stage.control->copy_ms, 4);
    while (stats.log_bytes < LOG_BYTES) {
        if (stats.follower_lag_bytes < EDGE_BYTES)
            run(&stage, 10);
        stats = stage_stats(&stage);
        cr_assert(strstr(server_text(&stage.server), "the follower stopped") == NULL, "%s",
                  stage.server.text);
    }
    atomic_store(&stage.control->copy_ms, 0);
    settle(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
}

/* It is slower than the clients: they wait for it, and nothing grows. */
Test(follower_load, a_slow_follower_is_waited_for)
{
    enum { MEMORY_MORE_KIB = 48 << 10 };
    static struct stage stage;
    stage_begin(&stage, arguments, 0x510);
    stage.world.events_per_request = 8000;
    stage.world.batches_only = true;
    static const char *const impatient[] = {
        STAGE_ARGUMENTS, "--snapshot-log-bytes", "8m", "--follower-lag-max", "6m", NULL};
    stage.setup.arguments = impatient;
    start(&stage);
    run(&stage, 30);
    uint64_t memory = server_memory_kib(&stage.server);
    delay(stage.control, "index.tmp", 50);
    run(&stage, 60);
    struct frame_stats stats = stage_stats(&stage);
    cr_assert(stats.follower_throttled > 0, "nobody waited for it");
    server_expect(&stage.server, "new accounts and transfers wait for it (follower_lag_max)");
    cr_assert(server_memory_kib(&stage.server) < memory + MEMORY_MORE_KIB,
              "%lu KiB of memory, then %lu", memory, server_memory_kib(&stage.server));
    delay(stage.control, "index.tmp", 0);
    run(&stage, 10);
    settle(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
}

/* ---- Many clients ------------------------------------------------------------------------ */

enum { POLLS = 1000, POLLS_SERVED = 768, VANISHING = 800, ROUNDS = 3 };

static uint64_t log_end_ordinal(uint16_t port)
{
    const struct giro_change_filter filter = {.limit = 1};
    struct frame_changes head;
    struct client client;
    struct reply reply;
    client_connect(&client, port);
    uint64_t id = client_request(&client, FRAME_READ_CHANGES, &filter, sizeof filter);
    client_expect(&client, id, &reply);
    cr_assert_eq(reply.header.status, FRAME_OK);
    memcpy(&head, reply.body, sizeof head);
    client_close(&client);
    return head.ordinal_end;
}

static void poll_send(struct client *client, uint16_t port, uint64_t ordinal, uint32_t wait_ms)
{
    const struct giro_change_filter filter = {.ordinal = ordinal, .limit = 10, .wait_ms = wait_ms};
    client_connect(client, port);
    cr_assert(client_request(client, FRAME_READ_CHANGES, &filter, sizeof filter) != 0);
}

static void await_idle(const struct stage *stage)
{
    for (uint64_t begun = now_ms(); stage_stats(stage).queries_active != 0; pause_ms(5))
        cr_assert(now_ms() - begun < PATIENCE_MS, "%lu queries never end",
                  stage_stats(stage).queries_active);
}

/* More long polls than there is room for, beside queries and transfers: everybody is answered. */
Test(follower_load, a_thousand_long_polls_beside_queries)
{
    static struct stage stage;
    static struct client clients[POLLS];
    stage_begin(&stage, arguments, 0x1000);
    start(&stage);
    run(&stage, 50);
    world_finish(&stage.world);
    history_await_follower(stage.server.port);
    const uint64_t ordinal = log_end_ordinal(stage.server.port);
    for (uint32_t i = 0; i < POLLS; i++)
        poll_send(&clients[i], stage.server.port, ordinal, FRAME_CHANGES_WAIT_MS_MAX);
    world_check(&stage.world, stage.server.port);
    history_check(&stage.world, stage.server.port);
    for (uint64_t begun = now_ms(); stage_stats(&stage).queries_active < POLLS_SERVED;)
        cr_assert(now_ms() - begun < PATIENCE_MS);
    run(&stage, 50);
    for (uint32_t i = 0; i < POLLS; i++) {
        struct frame_changes head;
        struct reply reply;
        client_expect(&clients[i], clients[i].request_id, &reply);
        cr_assert_eq(reply.header.status, FRAME_OK);
        memcpy(&head, reply.body, sizeof head);
        cr_assert(head.count > 0, "poll %u came back empty", i);
        client_close(&clients[i]);
    }
    await_idle(&stage);
    settle(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
}

/* Hundreds of long polls, every other one of them answered at once, and queries behind some. */
static void vanishing_ask(struct client *clients, uint16_t port)
{
    const struct giro_query_filter none = {.limit = 10, .code = 60001};
    const uint64_t ordinal = log_end_ordinal(port);
    for (uint32_t i = 0; i < VANISHING; i++) {
        poll_send(&clients[i], port, i % 2 == 0 ? ordinal : 0, 500);
        if (i % 4 == 0) /* it finds nothing and looks everywhere */
            (void)client_request(&clients[i], FRAME_QUERY_TRANSFERS, &none, sizeof none);
    }
}

static void vanishing_hang_up(struct client *clients)
{
    for (uint32_t i = 0; i < VANISHING; i++) {
        const struct linger now = {.l_onoff = 1, .l_linger = 0};
        if (i % 3 == 0) /* not politely */
            (void)setsockopt(clients[i].fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        client_close(&clients[i]);
    }
}

/* Clients that hang up in the middle of a query or a long poll, again and again. */
Test(follower_load, clients_that_hang_up_leave_nothing_behind)
{
    enum { MEMORY_MORE_KIB = 64 << 10 };
    static struct stage stage;
    static struct client clients[VANISHING];
    stage_begin(&stage, arguments, 0x4a46);
    stage.world.events_per_request = 4000;
    start(&stage);
    run(&stage, 600);
    world_finish(&stage.world);
    history_await_follower(stage.server.port);
    const uint64_t memory = server_memory_kib(&stage.server);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        vanishing_ask(clients, stage.server.port);
        vanishing_hang_up(clients);
        run(&stage, 20);
        await_idle(&stage);
    }
    cr_expect(server_memory_kib(&stage.server) < memory + MEMORY_MORE_KIB,
              "%lu KiB of memory, then %lu", memory, server_memory_kib(&stage.server));
    settle(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
}

/* Whoever hung up does not take the place of those who did not. */
Test(follower_load, long_polls_of_clients_that_hung_up_end)
{
    static struct stage stage;
    static struct client clients[VANISHING];
    struct client client;
    struct reply reply;
    stage_begin(&stage, arguments, 0x4a47);
    stage.world.batches_only = true; /* no holds, which expire and tell everybody */
    start(&stage);
    run(&stage, 50);
    world_finish(&stage.world);
    history_await_follower(stage.server.port);
    const uint64_t ordinal = log_end_ordinal(stage.server.port);
    for (uint32_t i = 0; i < VANISHING; i++)
        poll_send(&clients[i], stage.server.port, ordinal, FRAME_CHANGES_WAIT_MS_MAX);
    for (uint64_t begun = now_ms(); stage_stats(&stage).queries_active < POLLS_SERVED;)
        cr_assert(now_ms() - begun < PATIENCE_MS);
    for (uint32_t i = 0; i < VANISHING; i++)
        client_close(&clients[i]);
    poll_send(&client, stage.server.port, 0, 0);
    enum client_event event = client_receive(&client, &reply, 10000);
    cr_assert_eq(event, CLIENT_REPLY,
                 "nobody is served for the sake of %d clients that hung up: %lu active", VANISHING,
                 stage_stats(&stage).queries_active);
    client_close(&client);
    settle(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
}

/* A subscriber asks and asks and takes nothing. */
Test(follower_load, a_subscriber_that_never_reads_harms_nobody)
{
    static struct stage stage;
    struct client deaf[8];
    const struct giro_change_filter filter = {.limit = FRAME_CHANGES_MAX};
    const int small = 1;
    stage_begin(&stage, arguments, 0xdeaf);
    stage.world.events_per_request = 4000;
    start(&stage);
    run(&stage, 300);
    for (uint32_t i = 0; i < 8; i++) {
        client_connect(&deaf[i], stage.server.port);
        (void)setsockopt(deaf[i].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        for (uint32_t j = 0; j < 100; j++)
            cr_assert(client_request(&deaf[i], FRAME_READ_CHANGES, &filter, sizeof filter) != 0);
    }
    run(&stage, 300);
    uint64_t memory = server_memory_kib(&stage.server);
    run(&stage, 300);
    cr_assert(server_memory_kib(&stage.server) < memory + (64 << 10));
    settle(&stage);
    for (uint32_t i = 0; i < 8; i++)
        client_close(&deaf[i]);
    await_idle(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
}

/* ---- Stopping ---------------------------------------------------------------------------- */

enum { WAITING = 40 };

/* Long polls, and as many queries for all there is. */
static void waiting_ask(struct client *clients, uint16_t port)
{
    const struct giro_query_filter all = {.limit = FRAME_EVENTS_MAX};
    const uint64_t ordinal = log_end_ordinal(port);
    for (uint32_t i = 0; i < WAITING; i += 2) {
        poll_send(&clients[i], port, ordinal, FRAME_CHANGES_WAIT_MS_MAX);
        client_connect(&clients[i + 1], port);
        (void)client_request(&clients[i + 1], FRAME_QUERY_TRANSFERS, &all, sizeof all);
    }
}

/* SIGTERM in the midst of a snapshot, of queries and of long polls. */
Test(follower_load, a_stop_in_the_midst_of_everything_is_clean)
{
    static const char *const options[] = {STAGE_ARGUMENTS, "--snapshot-log-bytes", "1g", NULL};
    static struct stage stage;
    static struct client clients[WAITING];
    struct client snapshot;
    stage_begin(&stage, options, 0x570b);
    stage.world.batches_only = true; /* what a stop refuses must not be needed later */
    stage.world.events_per_request = 4000;
    for (uint32_t round = 0; round < 2 * ROUNDS; round++) {
        start(&stage);
        run(&stage, 30);
        world_finish(&stage.world);
        delay(stage.control, round % 2 == 0 ? "snapshot" : "index.tmp", round * 10);
        client_connect(&snapshot, stage.server.port);
        (void)client_request(&snapshot, FRAME_SNAPSHOT, NULL, 0);
        waiting_ask(clients, stage.server.port);
        for (uint32_t i = 0; i < round / 2; i++)
            run(&stage, 10);
        if (round % 2 == 0)
            pause_ms(rng_below(&stage.world.rng, 20));
        server_stop(&stage.server);
        world_crashed(&stage.world);
        for (uint32_t i = 0; i < WAITING; i++)
            client_close(&clients[i]);
        client_close(&snapshot);
        delay(stage.control, "", 0);
        stage_check_orphans(&stage, "stopped");
        server_start(&stage.server, &stage.setup);
        stage_check(&stage);
        server_stop(&stage.server);
    }
    stage_end(&stage);
}

/* ---- A full disk ------------------------------------------------------------------------- */

enum { DISK_MIB = 120, REFUSALS = 10, STOP_MS_MAX = 20000 };

static void stage_on_disk(struct stage *stage, const char *const *options, const struct disk *disk,
                          uint64_t seed)
{
    stage_begin(stage, options, seed);
    folder_remove(stage->data);
    int length = snprintf(stage->data, sizeof stage->data, "%s/data", disk->mount);
    cr_assert(length < PATH_BYTES);
    data_format(stage->data);
    stage->setup.kill_at = NULL;
    stage->world.events_per_request = 4000;
    stage->world.batches_only = true;
}

/* A ledger on a small disk that fills up while the server runs: the next index has no room. */
static bool full_begin(struct stage *stage, const char *const *options, struct disk *disk,
                       uint64_t seed)
{
    if (!disk_make(disk, DISK_MIB, 0))
        return false;
    stage_on_disk(stage, options, disk, seed);
    start(stage);
    run(stage, 30);
    world_finish(&stage->world);
    history_await_follower(stage->server.port);
    disk_fill_up(disk);
    for (uint64_t begun = now_ms();
         strstr(server_text(&stage->server), "is tried again and again") == NULL;) {
        cr_assert(now_ms() - begun < PATIENCE_MS, "the index needs no room:\n%s",
                  stage->server.text);
        run(stage, 1);
    }
    world_finish(&stage->world);
    return true;
}

/* Until writes are refused as well. */
static void full_go_on(struct stage *stage)
{
    const uint64_t refused = stage->world.refused_count + REFUSALS;
    for (uint64_t begun = now_ms(); stage->world.refused_count < refused;) {
        cr_assert(now_ms() - begun < PATIENCE_MS, "the disk does not fill up:\n%s",
                  server_text(&stage->server));
        run(stage, 1);
    }
    world_finish(&stage->world);
}

Test(follower_load, an_index_without_room_is_written_when_there_is_some)
{
    static struct stage stage;
    struct disk disk;
    if (!full_begin(&stage, arguments, &disk, 0xf0))
        cr_skip_test("%s", disk.why);
    full_go_on(&stage);
    world_check(&stage.world, stage.server.port); /* reads are answered */
    disk_free_space(&disk);
    server_expect(&stage.server, "giro: the index of segment");
    for (uint64_t begun = now_ms(); stage_stats(&stage).storage_full != 0; pause_ms(20))
        cr_assert(now_ms() - begun < PATIENCE_MS);
    run(&stage, 20);
    settle(&stage);
    (void)stage_snapshot(&stage);
    server_kill(&stage.server);
    server_start(&stage.server, &stage.setup);
    stage_check(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
    disk_remove(&disk);
}

Test(follower_load, a_stop_does_not_wait_for_room)
{
    static struct stage stage;
    struct disk disk;
    if (!full_begin(&stage, arguments, &disk, 0xf1))
        cr_skip_test("%s", disk.why);
    world_disconnect(&stage.world);
    (void)kill(stage.server.pid, SIGTERM);
    for (uint64_t begun = now_ms(); strstr(server_text(&stage.server), "giro: stopped") == NULL;
         pause_ms(20))
        cr_assert(now_ms() - begun < STOP_MS_MAX, "it does not stop:\n%s", stage.server.text);
    cr_assert_eq(server_wait(&stage.server), 0);
    disk_free_space(&disk);
    server_start(&stage.server, &stage.setup);
    stage_check(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
    disk_remove(&disk);
}

/* A start that cannot write an index serves without queries, and the next one with them. */
Test(follower_load, a_start_without_room_for_an_index_serves_the_rest)
{
    static struct stage stage;
    struct disk disk;
    int status;
    if (!full_begin(&stage, arguments, &disk, 0xf2))
        cr_skip_test("%s", disk.why);
    full_go_on(&stage);
    world_disconnect(&stage.world);
    server_kill(&stage.server);
    server_launch(&stage.server, &stage.setup);
    if (server_await(&stage.server, &status)) {
        cr_assert(strstr(server_text(&stage.server), "no queries, changes and snapshots until") !=
                      NULL,
                  "%s", stage.server.text);
        world_check(&stage.world, stage.server.port);
        server_kill(&stage.server);
    } else {
        cr_assert_eq(status, 1, "%s", stage.server.text);
        cr_assert(strstr(stage.server.text, "free some space") != NULL, "%s", stage.server.text);
    }
    disk_free_space(&disk);
    server_start(&stage.server, &stage.setup);
    stage_check(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
    disk_remove(&disk);
}

/* Transfers wait for an index that has no room; but whoever only reads need not. */
Test(follower_load, reads_are_answered_while_an_index_has_no_room)
{
    static const char *const impatient[] = {
        STAGE_ARGUMENTS, "--snapshot-log-bytes", "8m", "--follower-lag-max", "2m", NULL};
    enum { ANSWER_MS_MAX = 5000 };
    static struct stage stage;
    struct client client;
    struct disk disk;
    if (!disk_make(&disk, DISK_MIB, 0))
        cr_skip_test("%s", disk.why);
    stage_on_disk(&stage, impatient, &disk, 0xf3);
    stage.world.events_per_request = 8000;
    start(&stage);
    run(&stage, 10);
    world_finish(&stage.world);
    history_await_follower(stage.server.port);
    disk_fill_up(&disk);
    world_send(&stage.world);
    server_expect(&stage.server, "is tried again and again");
    pause_ms(500);
    client_connect_silent(&client, stage.server.port);
    char hello[FRAME_HEADER_BYTES + sizeof(struct frame_hello)];
    struct reply reply;
    cr_assert(client_send(&client, hello, client_hello_frame(hello)));
    cr_assert_eq(client_receive(&client, &reply, ANSWER_MS_MAX), CLIENT_REPLY,
                 "nobody is answered:\n%s", server_text(&stage.server));
    client_close(&client);
    disk_free_space(&disk);
    settle(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
    disk_remove(&disk);
}

/* ---- A device that fails ----------------------------------------------------------------- */

/* The disk below takes no more: a log write that fails ends the server. But a loop device hands on
 * that its backing store is full, and then there is merely no room. Neither loses anything, and what
 * became of indexes and snapshots is noticed. */
Test(follower_load, a_failing_device_loses_nothing)
{
    enum { MEMORY_MIB = 60, MEMORY_MORE_MIB = 400, FAILING_DISK_MIB = 240 };
    static struct stage stage;
    struct disk disk;
    if (!disk_make(&disk, FAILING_DISK_MIB, MEMORY_MIB))
        cr_skip_test("%s", disk.why);
    stage_on_disk(&stage, arguments, &disk, 0xe10);
    stage.setup.quiet_core = true;
    start(&stage);
    bool alive = true;
    while (alive && stage.world.refused_count < REFUSALS)
        alive = world_run(&stage.world, 10);
    if (alive) {
        cr_assert(strstr(server_text(&stage.server), "no room for the next log segment") != NULL,
                  "%s", stage.server.text);
        world_finish(&stage.world);
        world_disconnect(&stage.world);
        server_kill(&stage.server);
    } else {
        world_crashed(&stage.world);
        cr_assert_eq(server_wait(&stage.server), 128 + SIGABRT, "%s", stage.server.text);
    }
    disk_memory_resize(&disk, MEMORY_MORE_MIB);
    disk_power_on(&disk);
    server_start(&stage.server, &stage.setup);
    stage_check(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
    disk_remove(&disk);
}
