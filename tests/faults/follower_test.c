/* The follower of a real server: killed at every step, starved, corrupted in memory, switched off.
 * Whatever happens to it, what was acknowledged stays, and queries, the change stream and lookups
 * tell the same.
 *
 *   GIRO_FOLLOWER_ROUNDS   kills of the test with random timing (default: 8) */
#include "tests/faults/kill_at.h"
#include "tests/faults/stage.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(follower, .fini = harness_clean, .timeout = 600);

static const char *const arguments[] = {STAGE_ARGUMENTS, "--snapshot-log-bytes", "8m", NULL};

/* Snapshots only when they are asked for. */
static const char *const on_request[] = {STAGE_ARGUMENTS, "--snapshot-log-bytes", "1g", NULL};

/* ---- Every step of a snapshot ------------------------------------------------------------ */

static void control_arm(struct kill_at *control, uint32_t at, int code)
{
    control->last[0] = 0;
    atomic_store(&control->count, 0);
    atomic_store(&control->code, (uint32_t)code);
    atomic_store(&control->at, at);
    atomic_store(&control->armed, 1);
}

/* Asks for a snapshot and goes on with transfers until it is answered, or the server is gone:
 * returns false. */
static bool snapshot_among_transfers(struct stage *stage, enum frame_status *out_status)
{
    struct client client;
    struct reply reply;
    client_connect(&client, stage->server.port);
    cr_assert(client_request(&client, FRAME_SNAPSHOT, NULL, 0) != 0);
    enum client_event event = CLIENT_SILENT;
    for (uint64_t start = now_ms(); event == CLIENT_SILENT;) {
        cr_assert(now_ms() - start < PATIENCE_MS, "no snapshot:\n%s", server_text(&stage->server));
        if (!world_run(&stage->world, 4))
            break;
        event = client_receive(&client, &reply, 1);
    }
    client_close(&client);
    if (event != CLIENT_REPLY)
        return false;
    *out_status = reply.header.status;
    return true;
}

/* Returns false when the snapshot had fewer steps. */
static bool kill_round(struct stage *stage, uint32_t at)
{
    char when[128];
    char loaded[64];
    enum frame_status status;
    world_connect(&stage->world, stage->server.port);
    control_arm(stage->control, at, 0);
    bool alive = snapshot_among_transfers(stage, &status);
    atomic_store(&stage->control->armed, 0);
    if (alive) {
        cr_assert_eq(status, FRAME_OK, "%s", frame_status_name(status));
        world_finish(&stage->world);
        world_disconnect(&stage->world);
        return false;
    }
    cr_assert_eq(server_wait(&stage->server), 128 + SIGKILL, "%s", stage->server.text);
    world_crashed(&stage->world);
    (void)snprintf(when, sizeof when, "killed at step %u, %s", at, stage->control->last);
    fprintf(stderr, "%s\n", when);
    server_start(&stage->server, &stage->setup);
    stage_check_orphans(stage, when);
    stage_check(stage);
    uint32_t segment = stage_snapshot(stage);
    stage_check_orphans(stage, when);
    server_kill(&stage->server);
    server_start(&stage->server, &stage->setup);
    (void)snprintf(loaded, sizeof loaded, "giro: snapshot of segment %u: ", segment);
    cr_assert(strstr(server_text(&stage->server), loaded) != NULL, "%s: the next snapshot, %u:\n%s",
              when, segment, stage->server.text);
    return true;
}

/* Sidecar, snapshot, manifest: the server does not come back from any one of these calls. */
Test(follower, survives_a_kill_at_every_step_of_a_snapshot)
{
    static struct stage stage;
    uint32_t at = 1;
    stage_begin(&stage, on_request, 0x51ab);
    server_start(&stage.server, &stage.setup);
    while (kill_round(&stage, at))
        at++;
    cr_assert(at > 10, "only %u steps", at - 1);
    stage_check(&stage);
    server_stop(&stage.server);
    data_verify(stage.data);
    stage_end(&stage);
}

/* Returns false when the snapshot had fewer steps. */
static bool fail_round(struct stage *stage, uint32_t at, int code)
{
    char when[128];
    enum frame_status status = FRAME_OK;
    world_connect(&stage->world, stage->server.port);
    control_arm(stage->control, at, code);
    bool alive = snapshot_among_transfers(stage, &status);
    atomic_store(&stage->control->armed, 0);
    (void)snprintf(when, sizeof when, "%s at step %u, %s", strerror(code), at,
                   stage->control->last);
    fprintf(stderr, "%s: %s\n", when, frame_status_name(status));
    cr_assert(alive, "%s: the server is gone:\n%s", when, server_text(&stage->server));
    cr_assert(status == FRAME_OK || status == FRAME_SNAPSHOT_FAILED, "%s: %s", when,
              frame_status_name(status));
    world_finish(&stage->world);
    if (at % 4 == 0)
        stage_check_now(stage);
    history_await_follower(stage->server.port); /* an index that failed is tried again */
    (void)stage_snapshot(stage);
    stage_check_orphans(stage, when);
    world_disconnect(&stage->world);
    return stage->control->last[0] != 0;
}

/* Any one of these calls fails: the snapshot fails, or the index is tried again, and that is all. */
static void fail_try(int code, uint64_t seed)
{
    static struct stage stage;
    uint32_t at = 1;
    stage_begin(&stage, on_request, seed);
    server_start(&stage.server, &stage.setup);
    while (fail_round(&stage, at, code))
        at++;
    cr_assert(at > 10, "only %u steps", at - 1);
    server_kill(&stage.server);
    server_start(&stage.server, &stage.setup);
    stage_check(&stage);
    server_stop(&stage.server);
    data_verify(stage.data);
    stage_end(&stage);
}

Test(follower, survives_no_room_at_every_step_of_a_snapshot)
{
    fail_try(ENOSPC, 0x51ac);
}

Test(follower, survives_an_io_error_at_every_step_of_a_snapshot)
{
    fail_try(EIO, 0x51ad);
}

/* ---- Random kills ------------------------------------------------------------------------ */

/* Transfers from all clients beside a subscriber, whose last question stays open. */
static void run_with_subscriber(struct stage *stage, uint32_t answers)
{
    struct subscriber *subscriber = &stage->subscriber;
    struct reply reply;
    client_connect(&subscriber->connection, stage->server.port);
    cr_assert(subscriber_ask(subscriber, FRAME_CHANGES_MAX, 1000));
    for (uint32_t done = 0; done < answers; done += 20) {
        cr_assert(world_run(&stage->world, 20), "%s", server_text(&stage->server));
        if (client_receive(&subscriber->connection, &reply, 0) != CLIENT_REPLY)
            continue;
        (void)subscriber_take(subscriber, &stage->world, &reply);
        cr_assert(
            subscriber_ask(subscriber, 1 + rng_below(&stage->world.rng, FRAME_CHANGES_MAX), 1000));
    }
}

static void random_round(struct stage *stage, uint32_t round)
{
    struct client query;
    const struct giro_query_filter all = {.limit = FRAME_EVENTS_MAX};
    world_connect(&stage->world, stage->server.port);
    client_connect(&query, stage->server.port);
    (void)client_request(&query, FRAME_QUERY_TRANSFERS, &all, sizeof all);
    if (round % 3 == 1)
        (void)client_request(&query, FRAME_SNAPSHOT, NULL, 0);
    run_with_subscriber(stage, 1 + rng_below(&stage->world.rng, 1200));
    pause_ms(rng_below(&stage->world.rng, 12));
    server_kill(&stage->server);
    world_crashed(&stage->world);
    client_close(&query);
    client_close(&stage->subscriber.connection);
    server_start(&stage->server, &stage->setup);
    stage_check_orphans(stage, "killed");
    stage_check(stage);
}

Test(follower, changes_have_neither_gap_nor_duplicate_over_kills)
{
    static const char *const often[] = {STAGE_ARGUMENTS, "--snapshot-log-bytes", "4m", NULL};
    static struct stage stage;
    const uint32_t rounds = environment_number("GIRO_FOLLOWER_ROUNDS", 8);
    stage_begin(&stage, often, 0x9a75);
    stage.world.events_per_request = 2000;
    server_start(&stage.server, &stage.setup);
    for (uint32_t round = 0; round < rounds; round++)
        random_round(&stage, round);
    fprintf(stderr, "%u kills, %u transfers, %lu changes, segment %lu\n", rounds,
            stage.world.transfer_count, stage.subscriber.changes,
            stage_stats(&stage).segments_sealed);
    server_stop(&stage.server);
    data_verify(stage.data);
    stage_end(&stage);
}

/* ---- Off --------------------------------------------------------------------------------- */

Test(follower, switched_off_refuses_queries_and_switched_on_has_everything)
{
    static const char *const off[] = {STAGE_ARGUMENTS, "--follower", "0", NULL};
    static const enum frame_operation operations[] = {
        FRAME_GET_ACCOUNT_TRANSFERS, FRAME_GET_ACCOUNT_BALANCES, FRAME_QUERY_ACCOUNTS,
        FRAME_QUERY_TRANSFERS,       FRAME_READ_CHANGES,         FRAME_SNAPSHOT};
    static const uint32_t filter_bytes[] = {128, 128, 64, 64, 32, 0};
    static struct stage stage;
    struct client client;
    struct giro_account_filter filter = history_account_filter(1, 0);
    stage_begin(&stage, off, 0x0ff);
    stage.world.events_per_request = 4000;
    server_start(&stage.server, &stage.setup);
    world_connect(&stage.world, stage.server.port);
    cr_assert(world_run(&stage.world, 800));
    world_finish(&stage.world);
    world_check(&stage.world, stage.server.port);
    client_connect(&client, stage.server.port);
    for (uint32_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        uint64_t id = client_request(&client, operations[i], &filter, filter_bytes[i]);
        struct reply reply;
        client_expect(&client, id, &reply);
        cr_assert_eq(reply.header.status, FRAME_FOLLOWER_OFF, "operation %d: %s", operations[i],
                     frame_status_name(reply.header.status));
    }
    client_close(&client);
    world_disconnect(&stage.world);
    server_stop(&stage.server);

    stage.setup.arguments = arguments;
    server_start(&stage.server, &stage.setup);
    stage_check(&stage);
    server_stop(&stage.server);
    stage.setup.arguments = off; /* and back: snapshots and indexes lie there unused */
    server_start(&stage.server, &stage.setup);
    world_connect(&stage.world, stage.server.port);
    cr_assert(world_run(&stage.world, 300));
    server_kill(&stage.server);
    world_crashed(&stage.world);
    stage.setup.arguments = arguments;
    server_start(&stage.server, &stage.setup);
    stage_check(&stage);
    server_stop(&stage.server);
    stage_end(&stage);
}

/* ---- A flipped bit ----------------------------------------------------------------------- */

enum { COPIES_MAX = 8, MARK_AMOUNT = 12345, MARKED = 1000, MARKED_PARTNER = 1001 };

#define MARK 0x5eed0fa3b1c2d4e6ull
#define HUGE_BYTES (1ull << 40) /* a sanitizer's, not the server's */

/* A pair of accounts of this test's own, with balances that nobody else has. */
static void marked_accounts_make(struct client *client)
{
    struct giro_account accounts[2] = {
        {.id = MARKED, .ledger = 1, .code = 1, .user_data_128 = MARK},
        {.id = MARKED_PARTNER, .ledger = 1, .code = 1},
    };
    const struct giro_transfer transfer = transfer_of(1, MARKED, MARKED_PARTNER, MARK_AMOUNT);
    uint32_t codes[2];
    cr_assert_eq(client_create_accounts(client, accounts, 2, codes), FRAME_OK);
    cr_assert_eq(client_create_transfers(client, &transfer, 1, codes, NULL), FRAME_OK);
    cr_assert_eq(codes[0], GIRO_TRANSFER_CREATED);
}

static bool marked_row(const char *bytes)
{
    struct giro_account row;
    memcpy(&row, bytes, sizeof row);
    return row.id == MARKED && row.user_data_128 == MARK && row.debits_posted == MARK_AMOUNT;
}

static uint32_t range_search(int memory, uint64_t begin, uint64_t end, uint64_t *found,
                             uint32_t count)
{
    static char bytes[1 << 20];
    for (uint64_t at = begin; at < end; at += sizeof bytes - GIRO_RECORD_BYTES) {
        ssize_t got = pread(memory, bytes, sizeof bytes, (off_t)at);
        for (ssize_t i = 0; i + GIRO_RECORD_BYTES <= got; i += 16) {
            bool again = count > 0 && found[count - 1] == at + (uint64_t)i;
            if (!again && marked_row(bytes + i) && count < COPIES_MAX)
                found[count++] = at + (uint64_t)i;
        }
        if (got < (ssize_t)sizeof bytes)
            return count;
    }
    return count;
}

/* Searches what is there of a mapping: tables are reserved far larger than they ever get. */
static uint32_t mapping_search(int memory, int pages, uint64_t begin, uint64_t end, uint64_t *found,
                               uint32_t count)
{
    enum { PAGE_BYTES = 4096, ENTRIES = 1 << 17, PRESENT_BIT = 63 };
    static uint64_t entries[ENTRIES];
    uint64_t run = 0; /* first page of those that are there, one after the other */
    for (uint64_t page = begin / PAGE_BYTES; page < end / PAGE_BYTES; page += ENTRIES) {
        uint64_t left = end / PAGE_BYTES - page;
        uint64_t wanted = left < ENTRIES ? left : ENTRIES;
        cr_assert(pread(pages, entries, wanted * sizeof entries[0],
                        (off_t)(page * sizeof entries[0])) > 0);
        for (uint64_t i = 0; i <= wanted; i++) {
            bool present = i < wanted && (entries[i] >> PRESENT_BIT) != 0;
            if (present && run == 0)
                run = page + i;
            if (present || run == 0)
                continue;
            count = range_search(memory, run * PAGE_BYTES, (page + i) * PAGE_BYTES, found, count);
            run = 0;
        }
    }
    return count;
}

/* Where the marked account's row lies in the server's memory: the server's own, the follower's. The
 * record of the log has balances of 0, and is none of them. */
static uint32_t rows_find(const struct server *server, int memory, uint64_t found[COPIES_MAX])
{
    char path[64];
    char line[256];
    uint32_t count = 0;
    uint64_t begin = 0;
    uint64_t end = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/pagemap", (int)server->pid);
    int pages = open(path, O_RDONLY | O_CLOEXEC);
    (void)snprintf(path, sizeof path, "/proc/%d/smaps", (int)server->pid);
    FILE *maps = fopen(path, "re");
    cr_assert(maps != NULL && pages >= 0, "%s", path);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from;
        unsigned long to;
        unsigned long kib;
        char rights[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3) {
            begin = from;
            end = strcmp(rights, "rw-p") == 0 ? to : from;
        } else if (sscanf(line, "Rss: %lu", &kib) == 1 && kib > 0 && end - begin < HUGE_BYTES) {
            count = mapping_search(memory, pages, begin, end, found, count);
        }
    }
    (void)fclose(maps);
    close(pages);
    return count;
}

/* Flips a bit of the account's debits_posted in one of its copies. */
static void row_flip(const struct server *server, uint32_t copy)
{
    uint64_t found[COPIES_MAX];
    char path[64];
    uint64_t debits;
    (void)snprintf(path, sizeof path, "/proc/%d/mem", (int)server->pid);
    int memory = open(path, O_RDWR | O_CLOEXEC);
    if (memory < 0)
        cr_skip_test("%s: %s", path, strerror(errno));
    uint32_t count = rows_find(server, memory, found);
    cr_assert_eq(count, 2, "%u copies of the account's row", count);
    const off_t at = (off_t)(found[copy] + offsetof(struct giro_account, debits_posted));
    cr_assert(pread(memory, &debits, sizeof debits, at) == sizeof debits);
    debits ^= 1u << 20;
    cr_assert(pwrite(memory, &debits, sizeof debits, at) == sizeof debits, "%s", strerror(errno));
    close(memory);
}

static void check_marked(uint16_t port, const char *when)
{
    const giro_u128 id = MARKED;
    struct giro_account account;
    struct client client;
    uint32_t found;
    client_connect(&client, port);
    cr_assert_eq(client_lookup_accounts(&client, &id, 1, &account, &found), FRAME_OK);
    cr_assert_eq(found, 1);
    cr_assert(account.debits_posted == MARK_AMOUNT, "%s: debits_posted is %lu instead of %u", when,
              (uint64_t)account.debits_posted, MARK_AMOUNT);
    client_close(&client);
}

/* Whether a dump of account rows shows the balance that was acknowledged. Deletes it. */
static bool dump_is_right(const char *data, const char *name)
{
    char path[PATH_BYTES + 280];
    char bytes[GIRO_RECORD_BYTES];
    bool found = false;
    DIR *folder = opendir(data);
    cr_assert(folder != NULL);
    path[0] = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strncmp(entry->d_name, name, strlen(name)) == 0)
            (void)snprintf(path, sizeof path, "%s/%s", data, entry->d_name);
    }
    closedir(folder);
    FILE *file = fopen(path, "re");
    cr_assert(file != NULL, "%s: there is none", name);
    while (fread(bytes, sizeof bytes, 1, file) == 1)
        found = found || marked_row(bytes);
    (void)fclose(file);
    (void)unlink(path);
    return found;
}

/* Returns whether it was the server's copy that was flipped. */
static bool flip_try(uint32_t copy)
{
    static struct stage stage;
    struct client client;
    int status;
    stage_begin(&stage, arguments, 0xf1 + copy);
    stage.setup.quiet_core = true;
    server_start(&stage.server, &stage.setup);
    client_connect(&client, stage.server.port);
    marked_accounts_make(&client);
    client_close(&client);
    world_connect(&stage.world, stage.server.port);
    cr_assert(world_run(&stage.world, 50));
    world_finish(&stage.world);
    history_await_follower(stage.server.port);
    row_flip(&stage.server, copy);
    for (uint32_t i = 0; world_run(&stage.world, 20); i++)
        cr_assert(i < 1000, "a flipped bit is not noticed:\n%s", server_text(&stage.server));
    world_crashed(&stage.world);
    status = server_wait(&stage.server);
    cr_assert(status != 0, "it ended as if nothing had happened:\n%s", stage.server.text);
    cr_assert(strstr(stage.server.text, "differs from what its log says") != NULL, "%s",
              stage.server.text);
    bool servers = !dump_is_right(stage.data, "dump-server-");
    cr_assert(servers == dump_is_right(stage.data, "dump-follower-"), "which copy was it?");
    server_start(&stage.server, &stage.setup);
    check_marked(stage.server.port, "after the restart");
    server_stop(&stage.server);
    server_start(&stage.server, &stage.setup);
    check_marked(stage.server.port, "after another");
    server_stop(&stage.server);
    if (!servers) /* else its digests in the log bear witness against it for ever */
        data_verify(stage.data);
    stage_end(&stage);
    return servers;
}

Test(follower, a_flipped_bit_in_either_copy_stops_the_server)
{
    cr_assert(flip_try(0) != flip_try(1), "the same copy twice");
}

/* The difference comes to light when the server is stopping already: it must not end as if all were
 * well. */
Test(follower, a_flipped_bit_found_while_stopping_is_told)
{
    static struct stage stage;
    struct client client;
    stage_begin(&stage, on_request, 0xf2);
    server_start(&stage.server, &stage.setup);
    client_connect(&client, stage.server.port);
    marked_accounts_make(&client);
    client_close(&client);
    world_connect(&stage.world, stage.server.port);
    stage.world.batches_only = true;
    stage.world.events_per_request = 4000;
    history_await_follower(stage.server.port);
    row_flip(&stage.server, 0);
    /* The follower is held up at the end of the segment; what it would find lies behind that. */
    memcpy(stage.control->words, "index.tmp", sizeof "index.tmp");
    atomic_store(&stage.control->delay_ms, 1500);
    client_connect(&client, stage.server.port);
    cr_assert(client_request(&client, FRAME_SNAPSHOT, NULL, 0) != 0);
    for (uint64_t begun = now_ms(); atomic_load(&stage.control->delayed) == 0; pause_ms(1))
        cr_assert(now_ms() - begun < PATIENCE_MS);
    cr_assert(world_run(&stage.world, 20));
    world_finish(&stage.world);
    (void)kill(stage.server.pid, SIGTERM);
    pause_ms(200);
    atomic_store(&stage.control->delay_ms, 0);
    world_disconnect(&stage.world);
    int status = server_wait(&stage.server);
    client_close(&client);
    cr_assert(strstr(stage.server.text, "differs from what its log says") != NULL, "%s",
              stage.server.text);
    cr_assert(status != 0, "it ended as if nothing had happened:\n%s", stage.server.text);
    server_start(&stage.server, &stage.setup);
    check_marked(stage.server.port, "after the restart");
    server_stop(&stage.server);
    stage_end(&stage);
}

/* The follower writes the snapshots: what is wrong in its memory must not become the truth. */
static void flip_and_snapshot_try(uint32_t copy)
{
    static struct stage stage;
    struct client client;
    struct reply reply;
    stage_begin(&stage, on_request, 0xf3);
    stage.setup.quiet_core = true;
    server_start(&stage.server, &stage.setup);
    client_connect(&client, stage.server.port);
    marked_accounts_make(&client);
    history_await_follower(stage.server.port);
    row_flip(&stage.server, copy);
    cr_assert(client_request(&client, FRAME_SNAPSHOT, NULL, 0) != 0);
    cr_assert(client_receive(&client, &reply, PATIENCE_MS) != CLIENT_SILENT);
    client_close(&client);
    (void)kill(stage.server.pid, SIGKILL);
    (void)server_wait(&stage.server);
    server_start(&stage.server, &stage.setup);
    check_marked(stage.server.port, "a flipped bit came back out of a snapshot");
    server_kill(&stage.server);
    stage_end(&stage);
}

Test(follower, a_flipped_bit_does_not_come_back_out_of_a_snapshot)
{
    flip_and_snapshot_try(0);
    flip_and_snapshot_try(1);
}
