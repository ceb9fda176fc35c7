/* A machine that gives too little: memory, threads and descriptors run out, at any point of a start
 * and while the server runs, and files may not grow. A start that cannot be says so in one line and
 * changes nothing; a server that runs needs no more memory, and what fails is said, harms nobody
 * else, and is there again when there is room. */
#include "tests/faults/stage.h"
#include "tests/faults/starve.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(limits, .fini = harness_clean, .timeout = 1200);

static const char *const arguments[] = {STAGE_ARGUMENTS, "--snapshot-log-bytes", "1g", NULL};

static const char complaint[] = "giro serve: ";

/* A ledger with sealed segments, a snapshot, and log behind it, so that a start does all of its
 * work. The server is stopped. */
static void ledger_make(struct stage *stage, uint64_t seed)
{
    enum { ANSWERS = 400 };
    stage_begin(stage, arguments, seed);
    stage->world.batches_only = true; /* any of them may be refused */
    stage->world.events_per_request = 300;
    server_start(&stage->server, &stage->setup);
    world_connect(&stage->world, stage->server.port);
    cr_assert(world_run(&stage->world, ANSWERS));
    world_finish(&stage->world);
    (void)stage_snapshot(stage);
    cr_assert(world_run(&stage->world, ANSWERS / 4));
    world_finish(&stage->world);
    world_disconnect(&stage->world);
    server_kill(&stage->server); /* a clean stop would take a snapshot */
}

/* Whether a start failed as it should: status 1, and a last line that complains. */
static void check_refusal(const struct server *server, int status, const char *when)
{
    const char *line = strstr(server->text, complaint);
    cr_assert_eq(status, 1, "%s: status %d:\n%s", when, status, server->text);
    cr_assert(line != NULL, "%s: it does not complain:\n%s", when, server->text);
    const char *end = strchr(line, '\n');
    cr_assert(end != NULL && end[1] == 0, "%s: the complaint is not the last line:\n%s", when,
              server->text);
}

/* The directory is what it was: a server without limits has everything. */
static void check_whole(struct stage *stage, const struct server_setup *unlimited)
{
    server_start(&stage->server, unlimited);
    stage_check_now(stage);
    server_kill(&stage->server);
}

/* ---- The k-th call of a start fails ------------------------------------------------------ */

/* A sanitizer has an allocator of its own. */
static bool sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#else
    return false;
#endif
}

struct starved {
    struct stage stage;
    struct starve *control;
    struct server_setup unlimited;
    char control_path[PATH_BYTES];
    char said[256]; /* the last complaint */
};

static void starved_begin(struct starved *starved, const char *io, uint64_t seed)
{
    struct stage *stage = &starved->stage;
    ledger_make(stage, seed);
    starved->control =
        shim_control_make(stage->data, sizeof *starved->control, starved->control_path);
    stage->setup.kill_at = NULL;
    stage->setup.io = io;
    starved->unlimited = stage->setup;
    stage->setup.shim = SHIM_STARVE;
    stage->setup.shim_control = starved->control_path;
}

static void starve_from(struct starve *control, uint32_t kinds, uint32_t at, bool ever)
{
    atomic_store(&control->kinds, 0);
    atomic_store(&control->count, 0);
    atomic_store(&control->failed, 0);
    atomic_store(&control->at, at);
    atomic_store(&control->ever, ever);
    control->last[0] = 0;
    atomic_store(&control->kinds, kinds);
}

/* Every complaint once: hundreds of calls may lead to the same. */
static void complaint_show(struct starved *starved, const char *when, const char *line)
{
    if (strncmp(starved->said, line, sizeof starved->said - 1) == 0)
        return;
    (void)snprintf(starved->said, sizeof starved->said, "%s", line);
    fprintf(stderr, "%s: %s", when, line);
}

/* What was asked for more often than once may be done without; then it serves, and all is there.
 * Returns false when a start has fewer calls. */
static bool start_round(struct starved *starved, uint32_t kinds, uint32_t at, uint32_t *out_refused)
{
    enum { CHECK_EVERY = 16 };
    struct stage *stage = &starved->stage;
    char when[96];
    int status;
    starve_from(starved->control, kinds, at, false);
    server_launch(&stage->server, &stage->setup);
    bool serves = server_await(&stage->server, &status);
    bool failed = atomic_load(&starved->control->failed) != 0;
    atomic_store(&starved->control->kinds, 0);
    (void)snprintf(when, sizeof when, "call %u, %s", at, starved->control->last);
    if (serves) {
        stage_check_now(stage);
        server_kill(&stage->server);
    } else {
        cr_assert(failed, "%s: nothing failed:\n%s", when, stage->server.text);
        check_refusal(&stage->server, status, when);
        complaint_show(starved, when, strstr(stage->server.text, complaint));
        ++*out_refused;
    }
    if (at % CHECK_EVERY == 0)
        check_whole(stage, &starved->unlimited);
    return failed;
}

static void start_try(const char *io, uint32_t kinds, uint32_t calls_min, uint64_t seed)
{
    static struct starved starved;
    uint32_t at = 1;
    uint32_t refused = 0;
    if (sanitized())
        cr_skip_test("the sanitizer's allocator is not the C library's");
    starved_begin(&starved, io, seed);
    while (start_round(&starved, kinds, at, &refused))
        at++;
    fprintf(stderr, "%s, kinds %u: a start has %u calls, %u of them are needed\n", io, kinds,
            at - 1, refused);
    cr_assert(at > calls_min && refused > 0, "only %u calls, %u refused", at - 1, refused);
    check_whole(&starved.stage, &starved.unlimited);
    data_verify(starved.stage.data);
    stage_end(&starved.stage);
}

Test(limits, a_start_without_memory_for_any_one_call_posix)
{
    start_try("posix", STARVE_MEMORY | STARVE_MAPS, 20, 0x0e1);
}

/* The ring's own maps are not seen, the others are those of the other backend. */
Test(limits, a_start_without_memory_for_any_one_call_io_uring)
{
    start_try("io_uring", STARVE_MEMORY, 20, 0x0e2);
}

Test(limits, a_start_without_any_one_thread)
{
    start_try("posix", STARVE_THREADS, 3, 0x0e3);
}

Test(limits, a_start_without_any_one_descriptor)
{
    start_try("posix", STARVE_DESCRIPTORS, 10, 0x0e4);
}

/* ---- Nothing more is to be had while it runs --------------------------------------------- */

/* From here on every allocation fails: transfers, lookups and new connections need none. What needs
 * memory fails alone, says so, and works again when there is some. */
static void running_try(const char *io, uint32_t kinds, uint64_t seed)
{
    enum { ANSWERS = 1500 };
    static struct starved starved;
    struct stage *stage = &starved.stage;
    struct client client;
    struct frame_snapshot snapshot;
    if (sanitized())
        cr_skip_test("the sanitizer's allocator is not the C library's");
    starved_begin(&starved, io, seed);
    server_start(&stage->server, &stage->setup);
    world_connect(&stage->world, stage->server.port);
    cr_assert(world_run(&stage->world, 10));

    starve_from(starved.control, kinds, 1, true);
    cr_assert(world_run(&stage->world, ANSWERS), "%s", server_text(&stage->server));
    client_connect(&client, stage->server.port);
    cr_assert_eq(history_snapshot(&client, &snapshot), FRAME_SNAPSHOT_FAILED);
    cr_assert(world_run(&stage->world, ANSWERS), "%s", server_text(&stage->server));
    world_finish(&stage->world);
    world_check(&stage->world, stage->server.port);
    cr_assert(atomic_load(&starved.control->failed) > 0, "nothing was asked for");
    fprintf(stderr, "%u calls failed, %s\n%s", atomic_load(&starved.control->failed),
            starved.control->last, server_text(&stage->server));

    atomic_store(&starved.control->kinds, 0);
    history_await_follower(stage->server.port);
    cr_assert_eq(history_snapshot(&client, &snapshot), FRAME_OK);
    client_close(&client);
    world_disconnect(&stage->world);
    stage_check(stage);
    server_stop(&stage->server);
    data_verify(stage->data);
    stage_end(stage);
}

Test(limits, a_running_server_needs_no_more_memory_posix)
{
    running_try("posix", STARVE_MEMORY | STARVE_MAPS | STARVE_THREADS, 0x0f1);
}

Test(limits, a_running_server_needs_no_more_memory_io_uring)
{
    running_try("io_uring", STARVE_MEMORY | STARVE_MAPS | STARVE_THREADS, 0x0f2);
}

/* ---- Limits of the system ---------------------------------------------------------------- */

/* Below a limit on memory that it can serve with, a start names what to lower, or the limit. */
static void memory_limit_try(bool address, uint64_t seed)
{
    enum { MIB_MIN = 48, MIB_MAX = 256 << 10 };
    static struct stage stage;
    char when[64];
    int status;
    uint32_t refused = 0;
    if (sanitized())
        cr_skip_test("a sanitizer's own memory does not fit any limit");
    ledger_make(&stage, seed);
    stage.setup.kill_at = NULL;
    const struct server_setup unlimited = stage.setup;
    for (uint64_t mib = MIB_MIN; mib <= MIB_MAX; mib *= 2) {
        struct server_setup limited = unlimited;
        limited.address_bytes_max = address ? mib << 20 : 0;
        limited.data_bytes_max = address ? 0 : mib << 20;
        (void)snprintf(when, sizeof when, "%lu MiB", mib);
        server_launch(&stage.server, &limited);
        if (server_await(&stage.server, &status)) {
            stage_check_now(&stage);
            server_kill(&stage.server);
            continue;
        }
        check_refusal(&stage.server, status, when);
        const char *line = strstr(stage.server.text, complaint);
        cr_assert(strstr(line, "memory") != NULL || strstr(line, "address space") != NULL ||
                      strstr(line, "reserve") != NULL || strstr(line, "limit") != NULL,
                  "%s: %s", when, line);
        refused++;
    }
    cr_assert(refused > 0);
    check_whole(&stage, &unlimited);
    stage_end(&stage);
}

Test(limits, a_start_within_a_limit_of_address_space)
{
    memory_limit_try(true, 0x0a1);
}

Test(limits, a_start_within_a_limit_of_data)
{
    memory_limit_try(false, 0x0a2);
}

/* ---- Descriptors ------------------------------------------------------------------------- */

/* Every number of descriptors from none to enough: a line that says so, or service. */
static void descriptors_try(const char *io, uint64_t seed)
{
    enum { LEAST = 4, ENOUGH = 64 };
    static struct stage stage;
    struct client client;
    char when[64];
    int status;
    uint32_t most = 0; /* with so many it did not start */
    if (sanitized())
        cr_skip_test("the sanitizer needs descriptors of its own at the end");
    ledger_make(&stage, seed);
    stage.setup.kill_at = NULL;
    stage.setup.io = io;
    const struct server_setup unlimited = stage.setup;
    for (uint32_t max = LEAST; max < ENOUGH && max < most + 8 + LEAST; max++) {
        struct server_setup limited = unlimited;
        limited.descriptors_max = max;
        (void)snprintf(when, sizeof when, "%s, %u descriptors", io, max);
        server_launch(&stage.server, &limited);
        if (!server_await(&stage.server, &status)) {
            if (strstr(stage.server.text, "shared libraries") != NULL)
                continue; /* not even the program could be loaded */
            check_refusal(&stage.server, status, when);
            fprintf(stderr, "%s: %s", when, strstr(stage.server.text, complaint));
            most = max;
            continue;
        }
        client_connect_silent(&client, stage.server.port); /* there may be none for it */
        client_close(&client);
        server_stop(&stage.server);
    }
    cr_assert(most > LEAST + 2 && most < ENOUGH - 8, "it did not start with %u", most);
    check_whole(&stage, &unlimited);
    stage_end(&stage);
}

Test(limits, a_start_with_any_number_of_descriptors_posix)
{
    descriptors_try("posix", 0x0d1);
}

Test(limits, a_start_with_any_number_of_descriptors_io_uring)
{
    descriptors_try("io_uring", 0x0d2);
}

enum { GUESTS = 100, DESCRIPTORS = 60 };

/* Connects and sends hello; whether there is a welcome shows later. */
static void guest_arrive(struct client *guest, uint16_t port)
{
    char hello[FRAME_HEADER_BYTES + sizeof(struct frame_hello)];
    client_connect_silent(guest, port);
    cr_assert(client_send(guest, hello, client_hello_frame(hello)));
}

static uint32_t guests_welcomed(struct client *guests, bool *welcome, uint32_t timeout_ms)
{
    uint32_t count = 0;
    struct reply reply;
    for (uint32_t i = 0; i < GUESTS; i++) {
        if (!welcome[i] && guests[i].fd >= 0)
            welcome[i] = client_receive(&guests[i], &reply, timeout_ms) == CLIENT_REPLY;
        count += welcome[i];
    }
    return count;
}

/* More clients than descriptors: those that are served are served, the others wait and are served
 * once some have gone. Meanwhile the next segment, the index and the snapshot find no descriptor
 * either: that is said, and made good. */
static void running_descriptors_try(const char *io, uint64_t seed)
{
    enum { ANSWERS = 1200, LEAVING = 80 };
    static struct stage stage;
    static struct client guests[GUESTS];
    bool welcome[GUESTS] = {false};
    struct frame_snapshot snapshot;
    ledger_make(&stage, seed);
    stage.setup.kill_at = NULL;
    stage.setup.io = io;
    stage.setup.descriptors_max = DESCRIPTORS;
    server_start(&stage.server, &stage.setup);
    world_connect(&stage.world, stage.server.port);
    for (uint32_t i = 0; i < GUESTS; i++)
        guest_arrive(&guests[i], stage.server.port);
    cr_assert(world_run(&stage.world, 50));
    uint32_t served = guests_welcomed(guests, welcome, 20);
    cr_assert(served > 0 && served < GUESTS, "%u of %d served", served, GUESTS);
    cr_assert(world_run(&stage.world, ANSWERS), "%s", server_text(&stage.server));
    cr_assert_eq(history_snapshot(&guests[0], &snapshot), FRAME_SNAPSHOT_FAILED);
    cr_assert(strstr(server_text(&stage.server), "open files") != NULL, "%s", stage.server.text);
    fprintf(stderr, "%s: %u of %d served:\n%s", io, served, GUESTS, stage.server.text);

    for (uint32_t i = 1; i <= LEAVING; i++)
        client_close(&guests[i]);
    for (uint64_t start = now_ms();
         guests_welcomed(guests, welcome, 10) < GUESTS - LEAVING + served - 1;)
        cr_assert(now_ms() - start < PATIENCE_MS, "those who waited are not served:\n%s",
                  server_text(&stage.server));
    cr_assert(world_run(&stage.world, ANSWERS), "%s", server_text(&stage.server));
    world_finish(&stage.world);
    history_await_follower(stage.server.port);
    cr_assert_eq(history_snapshot(&guests[0], &snapshot), FRAME_OK, "%s",
                 server_text(&stage.server));
    for (uint32_t i = 0; i < GUESTS; i++) {
        if (guests[i].fd >= 0)
            client_close(&guests[i]);
    }
    world_disconnect(&stage.world);
    for (uint64_t start = now_ms(); stage_stats(&stage).connections > 1; pause_ms(10))
        cr_assert(now_ms() - start < PATIENCE_MS, "clients that are gone are still connected");
    stage_check(&stage);
    server_stop(&stage.server);
    data_verify(stage.data);
    stage_end(&stage);
}

Test(limits, more_clients_than_descriptors_posix)
{
    running_descriptors_try("posix", 0x0d3);
}

Test(limits, more_clients_than_descriptors_io_uring)
{
    running_descriptors_try("io_uring", 0x0d4);
}

/* ---- Room -------------------------------------------------------------------------------- */

/* Files may not grow beyond a size, whichever: segment, index and snapshot reach it in turn. It
 * ends, or does without an index or a snapshot, and says so; what was acknowledged is there. */
static void file_size_round(const char *io, uint64_t bytes, uint64_t seed)
{
    enum { ANSWERS = 400, FILE_BYTES_MAX = 1 << 30 };
    static struct stage stage;
    stage_begin(&stage, arguments, seed);
    stage.world.batches_only = true;
    stage.setup.kill_at = NULL;
    stage.setup.io = io;
    const struct server_setup unlimited = stage.setup;
    stage.setup.file_bytes_max = FILE_BYTES_MAX; /* lowered once the accounts are made */
    stage.setup.quiet_core = true;
    server_start(&stage.server, &stage.setup);
    world_connect(&stage.world, stage.server.port);
    const struct rlimit limit = {bytes, bytes};
    cr_assert_eq(prlimit(stage.server.pid, RLIMIT_FSIZE, &limit, NULL), 0, "%s", strerror(errno));
    if (world_run(&stage.world, ANSWERS)) {
        server_kill(&stage.server);
    } else {
        int status = server_wait(&stage.server);
        cr_assert_eq(status, 128 + SIGABRT, "%lu bytes: status %d:\n%s", bytes, status,
                     stage.server.text);
        cr_assert(strstr(stage.server.text, "File too large") != NULL ||
                      strstr(stage.server.text, "short write") != NULL,
                  "%lu bytes:\n%s", bytes, stage.server.text);
    }
    world_crashed(&stage.world);
    server_start(&stage.server, &unlimited);
    stage_check(&stage);
    (void)stage_snapshot(&stage);
    server_stop(&stage.server);
    data_verify(stage.data);
    stage_end(&stage);
}

static void file_size_try(const char *io)
{
    static const uint64_t sizes[] = {4096,   8192,   16384,   32768,   65536,   131072,  262144,
                                     524288, 786432, 1048576, 2097152, 3145728, 4193792, 4194304};
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        file_size_round(io, sizes[i], 0xf51e + i);
}

Test(limits, files_that_may_not_grow_io_uring)
{
    file_size_try("io_uring");
}

Test(limits, files_that_may_not_grow_posix)
{
    file_size_try("posix");
}

/* A tmpfs of a few MiB: full it refuses what it cannot write, and takes it when it has grown. */
static void small_memory_try(const char *io, uint64_t seed)
{
    enum { REFUSALS = 20 };
    static struct stage stage;
    char folder[PATH_BYTES];
    char data[PATH_BYTES + 16];
    folder_make(folder);
    (void)snprintf(data, sizeof data, "%s/" HARNESS_MOUNT, folder);
    if (mkdir(data, 0700) != 0 || mount("tmpfs", data, "tmpfs", 0, "size=28m") != 0)
        cr_skip_test("tmpfs cannot be mounted: %s", strerror(errno));
    stage_begin(&stage, arguments, seed);
    stage.world.batches_only = true;
    stage.world.events_per_request = 1000;
    stage.setup.kill_at = NULL;
    stage.setup.io = io;
    stage.setup.data = data;
    data_format(data);
    server_start(&stage.server, &stage.setup);
    world_connect(&stage.world, stage.server.port);
    while (stage.world.refused_count < REFUSALS)
        cr_assert(world_run(&stage.world, 1), "%s", server_text(&stage.server));
    world_finish(&stage.world);
    world_check(&stage.world, stage.server.port);
    const uint64_t acked = stage.world.acked_count;
    cr_assert_eq(mount("tmpfs", data, "tmpfs", MS_REMOUNT, "size=200m"), 0);
    server_expect(&stage.server, "there is room");
    for (uint64_t start = now_ms(); stage.world.acked_count < acked + REFUSALS;) {
        cr_assert(now_ms() - start < PATIENCE_MS, "writes are refused although there is room");
        cr_assert(world_run(&stage.world, 1));
    }
    server_kill(&stage.server);
    world_crashed(&stage.world);
    server_start(&stage.server, &stage.setup);
    stage_check(&stage);
    server_stop(&stage.server);
    data_verify(data);
    stage_end(&stage);
    folder_remove(folder);
}

Test(limits, a_small_memory_file_system_that_is_full_io_uring)
{
    small_memory_try("io_uring", 0x7e1);
}

Test(limits, a_small_memory_file_system_that_is_full_posix)
{
    small_memory_try("posix", 0x7e2);
}
