/* Power cuts, on any machine: the server's files are watched by a library in front of the C library
 * (tests/faults/unsynced.h), and whatever was not synced is lost in part. What was acknowledged is
 * there afterwards, once, and queries tell the same; whatever cut takes away, the server starts.
 *
 * The last tests prove that this can fail: on a disk that lies about one kind of sync, what was
 * acknowledged is lost, and found to be.
 *
 *   GIRO_LOSS_ROUNDS   cuts at random steps (default: 24, and 12 without snapshots) */
#include "tests/faults/cut.h"
#include "tests/faults/history.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

TestSuite(loss, .fini = harness_clean, .timeout = 1200);

enum { CLIENTS = 4, HISTORY_ACCOUNTS = 4, EVENTS = 2000 };

/* Segments of 4 MiB change all the time, and a snapshot is due with every second one. */
static const char *const often[] = {
    "--window-bytes",         "16m", "--accounts-max",       "1000", "--holds-max", "100000",
    "--snapshot-bytes-per-s", "0",   "--snapshot-log-bytes", "8m",   NULL};

/* One segment ahead, and nobody but the log itself syncs the folder. */
static const char *const scarce[] = {
    "--window-bytes",   "16m", "--accounts-max",       "1000", "--holds-max", "100000",
    "--segments-ahead", "1",   "--snapshot-log-bytes", "1g",   NULL};

struct loss {
    struct world world;
    struct cut cut;
    struct server server;
    struct server_setup setup;
};

static void loss_begin(struct loss *loss, const char *const *arguments, uint64_t seed)
{
    memset(loss, 0, sizeof *loss);
    cut_begin(&loss->cut);
    loss->setup = (struct server_setup){.data = loss->cut.data,
                                        .io = "posix",
                                        .arguments = arguments,
                                        .shim = SHIM_UNSYNCED,
                                        .shim_control = loss->cut.control_path};
    world_init(&loss->world, seed, CLIENTS);
    loss->world.history_accounts = HISTORY_ACCOUNTS;
    loss->world.events_per_request = EVENTS;
}

static void loss_end(struct loss *loss)
{
    world_free(&loss->world);
    cut_end(&loss->cut);
}

static void result_add(struct cut_result *sum, const struct cut_result *result)
{
    sum->writes += result->writes;
    sum->sectors_dropped += result->sectors_dropped;
    sum->files_shortened += result->files_shortened;
    sum->names += result->names;
    sum->names_undone += result->names_undone;
}

static void await_step(struct loss *loss)
{
    int status = server_wait(&loss->server);
    cr_assert_eq(status, 128 + SIGKILL, "status %d:\n%s", status, loss->server.text);
}

/* Runs until the server ends at the step that it was told, or answers were taken; then it is ended.
 * Returns whether it was the step. */
static bool run_until_cut(struct loss *loss, uint32_t answers, bool snapshot)
{
    struct client client;
    world_connect(&loss->world, loss->server.port);
    client_connect(&client, loss->server.port);
    if (snapshot)
        (void)client_request(&client, FRAME_SNAPSHOT, NULL, 0);
    bool alive = world_run(&loss->world, answers);
    if (alive)
        server_kill(&loss->server);
    else
        await_step(loss);
    world_crashed(&loss->world);
    client_close(&client);
    return !alive;
}

static void check(struct loss *loss)
{
    world_check(&loss->world, loss->server.port);
    history_await_follower(loss->server.port);
    history_check(&loss->world, loss->server.port);
}

static void check_and_retry(struct loss *loss)
{
    check(loss);
    world_retry(&loss->world, loss->server.port);
    check(loss);
}

/* ---- At random --------------------------------------------------------------------------- */

/* The power goes again while the server starts, at one of its first steps. */
static void cut_at_start(struct loss *loss, struct cut_result *sum)
{
    enum { STEPS = 24 };
    int status;
    cut_arm(&loss->cut, 1 + rng_below(&loss->world.rng, STEPS), true);
    server_launch(&loss->server, &loss->setup);
    if (server_await(&loss->server, &status))
        server_kill(&loss->server);
    else
        cr_assert_eq(status, 128 + SIGKILL, "%s", loss->server.text);
    const struct cut_result result = cut_power(&loss->cut, &loss->world.rng);
    result_add(sum, &result);
}

static void random_round(struct loss *loss, uint32_t round, struct cut_result *sum)
{
    enum { STEPS = 1500, ANSWERS = 2000 };
    const uint32_t at = 1 + rng_below(&loss->world.rng, STEPS);
    cut_arm(&loss->cut, at, true);
    bool stepped = run_until_cut(loss, 1 + rng_below(&loss->world.rng, ANSWERS), round % 3 == 0);
    char last[UNSYNCED_LAST_BYTES];
    memcpy(last, loss->cut.control->last, sizeof last);
    const struct cut_result result = cut_power(&loss->cut, &loss->world.rng);
    fprintf(stderr,
            "round %u: %s; %u writes unsynced, %u sectors dropped, %u files shortened, "
            "%u of %u names undone\n",
            round, stepped ? last : "killed", result.writes, result.sectors_dropped,
            result.files_shortened, result.names_undone, result.names);
    result_add(sum, &result);
    if (round % 4 == 3)
        cut_at_start(loss, sum);
    server_start(&loss->server, &loss->setup);
    check_and_retry(loss);
    world_disconnect(&loss->world);
}

static void random_try(const char *const *arguments, bool batches, uint32_t rounds, uint64_t seed)
{
    static struct loss loss;
    struct cut_result sum = {0};
    loss_begin(&loss, arguments, seed);
    loss.world.events_per_request = batches ? EVENTS / 4 : EVENTS;
    loss.world.batches_only = batches;
    server_start(&loss.server, &loss.setup);
    for (uint32_t round = 0; round < rounds; round++)
        random_round(&loss, round, &sum);
    server_stop(&loss.server);
    data_verify(loss.cut.data);
    fprintf(stderr,
            "%u cuts, %u transfers, %lu requests acknowledged, %lu unknown of which %lu had been "
            "executed; %u writes unsynced, %u sectors dropped, %u files shortened, %u of %u names "
            "undone\n",
            rounds, loss.world.transfer_count, loss.world.acked_count, loss.world.unknown_count,
            loss.world.unknown_found, sum.writes, sum.sectors_dropped, sum.files_shortened,
            sum.names_undone, sum.names);
    cr_assert(rounds < 10 || (sum.sectors_dropped > 0 && sum.names_undone > 0),
              "nothing was lost: the cuts prove nothing");
    loss_end(&loss);
}

Test(loss, acknowledged_requests_survive_power_cuts)
{
    random_try(often, false, environment_number("GIRO_LOSS_ROUNDS", 24), 0x1055);
}

/* Segments and their names have nobody's syncs but their own. */
Test(loss, acknowledged_requests_survive_power_cuts_between_segments)
{
    random_try(scarce, true, environment_number("GIRO_LOSS_ROUNDS", 12), 0x1054);
}

/* ---- At every step of a snapshot --------------------------------------------------------- */

enum { STEP_ANSWERS = 60 };

/* Asks for a snapshot and goes on with transfers. Returns false when it was answered, true when the
 * server came to its step before. */
static bool snapshot_until_step(struct loss *loss, uint32_t at)
{
    enum { TURNS = 4000 };
    struct client client;
    struct reply reply;
    client_connect(&client, loss->server.port);
    cut_arm(&loss->cut, at, false);
    cr_assert(client_request(&client, FRAME_SNAPSHOT, NULL, 0) != 0);
    enum client_event event = CLIENT_SILENT;
    for (uint32_t i = 0; event == CLIENT_SILENT && i < TURNS; i++)
        event = world_run(&loss->world, 4) ? client_receive(&client, &reply, 1) : CLIENT_CLOSED;
    client_close(&client);
    atomic_store(&loss->cut.control->armed, 0);
    cr_assert_neq(event, CLIENT_SILENT, "step %u: no snapshot:\n%s", at,
                  server_text(&loss->server));
    return event == CLIENT_CLOSED;
}

/* The power goes at this step of what is not a write of the log: segment, sidecar, snapshot,
 * manifest, their syncs and names. Every time of a fresh ledger, which has one snapshot already.
 * Returns false when there were fewer. */
static bool step_round(uint32_t at, uint64_t seed)
{
    static struct loss loss;
    loss_begin(&loss, often, seed);
    server_start(&loss.server, &loss.setup);
    world_connect(&loss.world, loss.server.port);
    cr_assert(world_run(&loss.world, STEP_ANSWERS));
    cr_assert(!snapshot_until_step(&loss, 0));
    cr_assert(world_run(&loss.world, STEP_ANSWERS));
    bool stepped = snapshot_until_step(&loss, at);
    if (stepped) {
        await_step(&loss);
        world_crashed(&loss.world);
        const struct cut_result result = cut_power(&loss.cut, &loss.world.rng);
        fprintf(stderr, "step %u: %s; %u sectors dropped, %u of %u names undone\n", at,
                loss.cut.control->last, result.sectors_dropped, result.names_undone, result.names);
        server_start(&loss.server, &loss.setup);
        check_and_retry(&loss);
    }
    server_kill(&loss.server);
    loss_end(&loss);
    return stepped;
}

Test(loss, a_power_cut_at_every_step_of_a_snapshot)
{
    uint32_t at = 1;
    while (step_round(at, 0x1056 + at))
        at++;
    cr_assert(at > 20, "only %u steps", at - 1);
}

/* ---- Disks that lie ---------------------------------------------------------------------- */

enum verdict { VERDICT_SOUND, VERDICT_LOST, VERDICT_REFUSED };

static enum verdict verdict_of(struct loss *loss)
{
    int status;
    server_launch(&loss->server, &loss->setup);
    if (!server_await(&loss->server, &status)) {
        cr_assert_eq(status, 1, "%s", loss->server.text);
        return VERDICT_REFUSED;
    }
    uint32_t lost = world_lost_count(&loss->world, loss->server.port);
    server_kill(&loss->server);
    return lost > 0 ? VERDICT_LOST : VERDICT_SOUND;
}

/* Cuts the power of fresh ledgers on a disk that tells this lie, until somebody notices. */
static void lie_try(uint32_t lie, uint64_t seed)
{
    enum { TRIES = 12, ANSWERS = 600 };
    static const char *const names[] = {"sound", "lost", "refused"};
    uint32_t found[3] = {0};
    for (uint32_t i = 0; i < TRIES; i++) {
        static struct loss loss;
        loss_begin(&loss, scarce, seed + i);
        loss.world.batches_only = true; /* many segments soon */
        atomic_store(&loss.cut.control->lies, lie);
        server_start(&loss.server, &loss.setup);
        (void)run_until_cut(&loss, ANSWERS, false);
        (void)cut_power(&loss.cut, &loss.world.rng);
        enum verdict verdict = verdict_of(&loss);
        fprintf(stderr, "lie %u: %s\n", lie, names[verdict]);
        found[verdict]++;
        loss_end(&loss);
    }
    cr_assert(found[VERDICT_LOST] + found[VERDICT_REFUSED] > 0,
              "a disk lied %u times and nobody found out", TRIES);
    cr_assert(lie == 0 || found[VERDICT_SOUND] < TRIES);
}

Test(loss, a_disk_that_lies_about_synced_writes_is_found_out)
{
    lie_try(UNSYNCED_LIE_WRITE, 0x11e1);
}

Test(loss, a_disk_that_lies_about_syncs_of_files_is_found_out)
{
    lie_try(UNSYNCED_LIE_FILE, 0x11e2);
}

Test(loss, a_disk_that_lies_about_syncs_of_folders_is_found_out)
{
    lie_try(UNSYNCED_LIE_FOLDER, 0x11e3);
}
