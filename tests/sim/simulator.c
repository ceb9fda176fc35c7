/* giro-sim: the whole server on a simulated machine, one seed after the other.
 *
 * A run is some lives of one data directory. In each of them clients ask for whatever a ledger can
 * do, while disk, network and clock misbehave as the seed's plan says; each ends with a crash, a
 * power failure, a stop, or by itself where a fault leaves no choice. In the last one everything is
 * healed: every client must get its answers, and what is there is compared once more. */
#include "engine/planted.h"
#include "net/shard.h"
#include "tests/sim/calls.h"
#include "tests/sim/client.h"
#include "tests/sim/compat_client.h"
#include "tests/sim/disk.h"
#include "tests/sim/hooks.h"
#include "tests/sim/io.h"
#include "tests/sim/judge.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"
#include "wal/directory.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>

/* What a killed program had allocated inside of libraries is lost, as it would be; what it had itself
 * is counted at every clean stop. */
int __lsan_is_turned_off(void)
{
    return 1;
}
#endif

enum {
    LIVES_MAX = 8,
    STARTS_MAX = 6, /* of one life that is refused for a fault */
    SEGMENT_BYTES = DIRECTORY_SEGMENT_BYTES_MIN,
    FOLDER_BYTES = 200,
    DIGEST_TEXT_BYTES = 32,
};

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull
#define LAST_LIFE_NS (3600 * NS_PER_S) /* in which everything must come to its end */

/* Kinds of misbehaviour that a plan may have: X(NAME, "name", "what") */
#define FAULTS(X)                                                                                  \
    X(CRASH, "crash", "the process is killed")                                                     \
    X(POWER, "power", "the power fails: unsynced sectors and names are old, new, torn, garbage")   \
    X(LOG_ERROR, "log-error", "writes of the log fail")                                            \
    X(WRITE_ERROR, "write-error", "other writes and syncs fail")                                   \
    X(READ_ERROR, "read-error", "reads fail")                                                      \
    X(SHORT, "short", "writes are cut short")                                                      \
    X(INTERRUPT, "interrupt", "operations are interrupted")                                        \
    X(LOST, "lost", "writes of the log are lost")                                                  \
    X(MISDIRECT, "misdirect", "writes of the log go elsewhere")                                    \
    X(ROT, "rot", "bits flip between two lives")                                                   \
    X(FULL, "full", "the disk is full for a while")                                                \
    X(SLOW, "slow", "the disk stalls")                                                             \
    X(CLOCK, "clock", "the wall clock jumps")                                                      \
    X(RESET, "reset", "connections break")                                                         \
    X(SPLIT, "split", "messages come in pieces")                                                   \
    X(LATE, "late", "messages are late")                                                           \
    X(VANISH, "vanish", "clients vanish and come back")                                            \
    X(STRANGER, "stranger", "clients send nonsense")

#define FAULT_ENUMERATOR(name, text, meaning) FAULT_##name,
enum fault { FAULTS(FAULT_ENUMERATOR) FAULT_KINDS };
#undef FAULT_ENUMERATOR

#define FAULT_TEXT(name, text, meaning) text,
static const char *const fault_names[] = {FAULTS(FAULT_TEXT)};
#undef FAULT_TEXT

#define FAULT_MEANING(name, text, meaning) meaning,
static const char *const fault_meanings[] = {FAULTS(FAULT_MEANING)};
#undef FAULT_MEANING

#define FAULTS_ALL ((1u << FAULT_KINDS) - 1)

/* What a run is made of; options on the command line cut it down. */
struct plan {
    uint64_t seed;
    uint32_t lives;
    uint32_t faults; /* bits of enum fault */
    struct client_plan clients;
    struct shard_options options;
};

struct bounds {
    uint32_t lives;
    uint32_t requests;
    uint32_t clients;
    uint32_t faults;
    uint64_t crash_step; /* 0: by chance; else the first life ends at this step */
};

static const struct bounds no_bounds = {LIVES_MAX, UINT32_MAX, CLIENTS_MAX, FAULTS_ALL, 0};

/* What all runs of this process came to. */
static struct {
    uint64_t seeds;
    uint64_t steps;
    uint64_t lives;
    uint64_t refused_starts;
    uint64_t aborts;
    uint64_t stops;
    uint64_t kills;
    uint64_t heals;
    uint64_t jumps;
    struct disk_counts disk;
    struct network_counts network;
    struct client_counts client;
} totals;

static bool stopped_cleanly; /* the life before, and the disk has kept what it left */
static struct plan plan;
static struct bounds bounds;
static int end_result; /* of the program's main function, and why */
static struct error end_error;
static int stop_fds[2];
static FILE *program_stderr;
static char folder[FOLDER_BYTES];

/* ---- The plan ---------------------------------------------------------------------------- */

static bool has(enum fault fault)
{
    return (plan.faults & 1u << fault) != 0;
}

static uint32_t plan_skewed(uint64_t min, uint64_t max)
{
    return (uint32_t)random_skewed(RANDOM_PLAN, min, max);
}

static uint32_t faults_choose(void)
{
    uint32_t faults = 0;
    /* Few at a time find more than all of them. */
    uint64_t density = random_below(RANDOM_PLAN, 4);
    for (uint32_t fault = 0; fault < FAULT_KINDS; fault++) {
        if (random_below(RANDOM_PLAN, 8) < 2 * density)
            faults |= 1u << fault;
    }
    if (random_below(RANDOM_PLAN, 4) != 0)
        faults |= 1u << FAULT_POWER;
    return faults;
}

static void options_choose(struct shard_options *options)
{
    *options = shard_options_default();
    options->data = folder;
    options->accounts_max = 256;
    options->transfers_max = 1 << 20;
    options->holds_max = 1 << 12;
    options->connections_max = 16;
    options->large_buffers = 2 + plan_skewed(0, 6);
    options->window_bytes = (uint64_t)SEGMENT_BYTES << (2 + random_below(RANDOM_PLAN, 4) / 3);
    options->block_bytes_max = SEGMENT_BYTES;
    options->segments_ahead = plan_skewed(1, 3);
    options->idle_mark_ms = plan_skewed(1, 50);
    options->frame_timeout_ms = 2000 + plan_skewed(0, 10000);
    options->send_timeout_ms = 4000 + plan_skewed(0, 20000);
    options->follower = random_below(RANDOM_PLAN, 16) != 0;
    options->follower_lag_max = (uint64_t)SEGMENT_BYTES << random_below(RANDOM_PLAN, 4);
    options->snapshot_log_bytes = (uint64_t)SEGMENT_BYTES << random_below(RANDOM_PLAN, 3);
    options->snapshot_bytes_per_s = random_below(RANDOM_PLAN, 2) * (16u << 20);
}

static void plan_make(uint64_t seed)
{
    random_seed(seed);
    plan = (struct plan){
        .seed = seed,
        .lives = 1 + (uint32_t)random_below(RANDOM_PLAN, LIVES_MAX),
        .faults = faults_choose(),
        .clients = {.workers = plan_skewed(1, 5),
                    .subscribers = plan_skewed(0, 2),
                    .strangers = plan_skewed(0, 2),
                    .sessions = plan_skewed(0, 3),
                    .requests = plan_skewed(5, 60),
                    .pipeline = plan_skewed(1, 8),
                    .bulk = random_below(RANDOM_PLAN, 5) == 0 ? 200 : 4,
                    .vanish = plan_skewed(1, 60),
                    .snapshot = plan_skewed(0, random_below(RANDOM_PLAN, 4) == 0 ? 100 : 30),
                    .patience_ns = plan_skewed(1, 8) * NS_PER_S,
                    .think_ns = plan_skewed(1, 40) * NS_PER_MS / 4},
    };
    options_choose(&plan.options);
    if (plan.clients.sessions > 0)
        plan.options.compat_listen = NETWORK_COMPAT_ADDRESS;
    plan.options.compat_sessions_max = plan.clients.sessions + plan_skewed(1, 3);
    plan.faults &= bounds.faults;
    plan.lives = plan.lives < bounds.lives ? plan.lives : bounds.lives;
    struct client_plan *clients = &plan.clients;
    clients->requests = clients->requests < bounds.requests ? clients->requests : bounds.requests;
    clients->workers = clients->workers < bounds.clients ? clients->workers : bounds.clients;
    if (bounds.clients < CLIENTS_MAX)
        clients->subscribers = clients->workers < bounds.clients && clients->subscribers > 0;
    clients->sessions = clients->sessions < bounds.clients ? clients->sessions : bounds.clients;
    if (!has(FAULT_STRANGER))
        clients->strangers = 0;
    if (!has(FAULT_VANISH))
        clients->vanish = 0;
}

/* Chances are drawn whether or not they are used, so that a fault left out changes nothing else. */
static uint32_t chance_of(enum fault fault, uint32_t max)
{
    uint32_t chance = plan_skewed(1, max);
    return has(fault) ? chance : 0;
}

static void faults_begin(void)
{
    disk_faults = (struct disk_faults){
        .log_error = chance_of(FAULT_LOG_ERROR, 40),
        .write_error = chance_of(FAULT_WRITE_ERROR, 100),
        .read_error = chance_of(FAULT_READ_ERROR, 100),
        .short_write = chance_of(FAULT_SHORT, 60),
        .interrupted = chance_of(FAULT_INTERRUPT, 300),
        .lost = chance_of(FAULT_LOST, 60),
        .misdirected = chance_of(FAULT_MISDIRECT, 60),
        .rot = chance_of(FAULT_ROT, 1000),
        .full = chance_of(FAULT_FULL, 1000),
        .stall = chance_of(FAULT_SLOW, 100),
        .latency_ns = plan_skewed(10, 2000) * 1000ull,
    };
    network_faults = (struct network_faults){
        .delay_ns = plan_skewed(10, 5000) * 1000ull,
        .reset = chance_of(FAULT_RESET, 60),
        .split = chance_of(FAULT_SPLIT, 500),
        .stall = chance_of(FAULT_LATE, 60),
    };
}

static void faults_end(void)
{
    uint64_t disk_ns = disk_faults.latency_ns;
    uint64_t network_ns = network_faults.delay_ns;
    disk_faults = (struct disk_faults){.latency_ns = disk_ns};
    network_faults = (struct network_faults){.delay_ns = network_ns};
}

/* ---- A life ------------------------------------------------------------------------------ */

static void *program_main(void *unused)
{
    (void)unused;
    end_error.text[0] = 0;
    end_result = shard_serve(&plan.options, stop_fds[0], &end_error);
    return NULL;
}

enum moment_kind {
    MOMENT_ANY,
    MOMENT_LOG_WRITE,
    MOMENT_NAMES,
    MOMENT_UNNAMED,
    MOMENT_REMOVED,
    MOMENT_KINDS
};

struct moment {
    uint64_t time;         /* 0: never */
    enum moment_kind kind; /* what must be going on at that time, or is waited for */
    uint64_t step;         /* 0: never */
    bool done;             /* when the clients have all they want */
    bool even;             /* when the follower has followed all there is */
    bool fired;            /* when no schedule is due any more */
};

static bool moment_fits(const struct moment *moment)
{
    bool late = machine_now() > moment->time + 5 * NS_PER_S;
    switch (moment->kind) {
    case MOMENT_LOG_WRITE:
        return late || disk_log_writing();
    case MOMENT_NAMES:
        return late || disk_names_unstable();
    case MOMENT_UNNAMED:
        return late || disk_tail_unnamed();
    case MOMENT_REMOVED:
        return late || disk_name_removed();
    default:
        return true;
    }
}

/* By the server's clock, which never goes back. */
static bool schedules_are_due(void)
{
    const struct ledger *ledger = hooks_ledger();
    uint64_t wall = machine_wall();
    return ledger_fire_due(ledger, wall > ledger->timestamp_last ? wall : ledger->timestamp_last);
}

static bool moment_has_come(void *context)
{
    const struct moment *moment = context;
    return life_state() != LIFE_RUNS ||
           (moment->time != 0 && machine_now() >= moment->time && moment_fits(moment)) ||
           (moment->step != 0 && machine_steps() >= moment->step) ||
           (moment->done && clients_done() && compat_clients_done()) ||
           (moment->even && hooks_follower_is_even()) || (moment->fired && !schedules_are_due());
}

static bool started_or_ended(void *unused)
{
    (void)unused;
    return life_state() != LIFE_RUNS || hooks_ledger() != NULL;
}

/* The process is gone, and everything that it had; what the disk makes of its last writes comes
 * first, while their bytes are there. */
static void life_clear(void (*disk_ends)(void))
{
    totals.lives++;
    disk_ends();
    hooks_life_ended();
    life_end();
    network_life_ended();
    io_life_ended();
    calls_life_ended();
}

/* Whether something happened since that a refusal or an abort may be blamed on. */
struct blame {
    uint64_t write_errors;
    uint64_t short_writes;
    uint64_t read_errors;
};

static struct blame blame_now(void)
{
    return (struct blame){disk_counts.write_errors, disk_counts.short_writes,
                          disk_counts.read_errors};
}

static bool blame_any(const struct blame *before)
{
    return disk_counts.write_errors > before->write_errors ||
           disk_counts.short_writes > before->short_writes ||
           disk_counts.read_errors > before->read_errors;
}

static void excuses_set(void)
{
    bool wounds = disk_wounds_log() + disk_wounds_other() > 0;
    client_excuses = (struct client_excuses){
        .damage = wounds || disk_faults.read_error > 0 || disk_faults.lost > 0 ||
                  disk_faults.misdirected > 0 || disk_faults.write_error > 0 ||
                  disk_faults.short_write > 0,
        .full = disk_faults.full > 0 || disk_faults.write_error > 0 || disk_faults.read_error > 0 ||
                disk_faults.short_write > 0 || disk_faults.interrupted > 0,
        .follower_off = plan.options.follower == 0 || wounds || disk_faults.read_error > 0 ||
                        disk_faults.write_error > 0 || disk_faults.full > 0 ||
                        disk_faults.short_write > 0 || disk_faults.interrupted > 0 ||
                        disk_faults.lost > 0 || disk_faults.misdirected > 0,
    };
}

static void life_aborted(const struct blame *before)
{
    totals.aborts++;
    if (disk_counts.write_errors == before->write_errors &&
        disk_counts.short_writes == before->short_writes)
        machine_fail("the program aborted without a reason");
    life_clear(disk_process_died);
}

/* The program did not start, or ended by itself: whatever it blames must be there, and the log must
 * be what it was. Heals the disk. */
static void life_refused(const struct blame *before, uint64_t log_digest)
{
    totals.refused_starts++;
    machine_trace("the program ends: %s", end_error.text);
    if (end_error.text[0] == 0)
        machine_fail("the program ended without a word");
    if (disk_wounds_log() == 0 && disk_wounds_other() == 0 && !blame_any(before) &&
        disk_counts.full == 0)
        machine_fail("the program ended without a reason: %s", end_error.text);
    if (hooks_ledger() == NULL && !blame_any(before) && disk_log_digest() != log_digest &&
        disk_counts.full == 0)
        machine_fail("the start was refused and has changed the log: %s", end_error.text);
    life_clear(disk_process_died);
    totals.heals++;
    disk_heal();
}

/* Starts until the program serves. */
static void life_start(void)
{
    for (uint32_t start = 0;; start++) {
        struct blame before = blame_now();
        uint64_t log_digest = disk_log_digest();
        if (start == STARTS_MAX)
            faults_end();
        if (start > 2 * STARTS_MAX)
            machine_fail("the program does not start any more: %s", end_error.text);
        excuses_set();
        hooks_tail_lost = disk_tail_lost();
        machine_trace("a life begins");
        life_begin(program_main, NULL);
        if (!machine_run(started_or_ended, NULL))
            machine_fail("the start hangs");
        if (hooks_ledger() != NULL) {
            if (stopped_cleanly && hooks_last_row != ROW_CLEAN)
                machine_fail("after a clean stop the log does not end cleanly: %s",
                             hooks_row_names[hooks_last_row]);
            stopped_cleanly = false;
            if (hooks_tail_lost) {
                disk_tail_accept(hooks_end_segment, hooks_end_offset);
                clients_forget_floor();
                compat_clients_forget();
            }
            return;
        }
        if (life_state() == LIFE_ABORTED)
            life_aborted(&before);
        else
            life_refused(&before, log_digest);
    }
}

static void clock_jump(void *unused, uint64_t unused_too)
{
    static const uint64_t spans[] = {1000000, NS_PER_S, 3600 * NS_PER_S, 315360000 * NS_PER_S};
    (void)unused;
    (void)unused_too;
    int64_t span = (int64_t)spans[random_below(RANDOM_CLOCK, 4)];
    machine_clock_jump((int64_t)random_below(RANDOM_CLOCK, (uint64_t)(2 * span)) - span);
    totals.jumps++;
}

/* Lets the life end as it may; the program has started. */
static void life_finish(const struct moment *moment)
{
    struct blame before = blame_now();
    uint64_t how = random_below(RANDOM_PLAN, 8);
    if (has(FAULT_CLOCK) && random_chance(RANDOM_CLOCK, 500))
        machine_at(machine_now() + random_below(RANDOM_CLOCK, NS_PER_S), true, clock_jump, NULL, 0);
    if (!machine_run(moment_has_come, (void *)(uintptr_t)moment))
        machine_fail("nothing happens any more");
    if (life_state() == LIFE_RUNS && (how == 0 || !(has(FAULT_CRASH) || has(FAULT_POWER)))) {
        struct moment end = {.time = machine_now() + 60 * NS_PER_S};
        machine_trace("the program is told to stop");
        network_poke(stop_fds[0]);
        (void)machine_run(moment_has_come, &end);
    }
    if (life_state() == LIFE_ABORTED) {
        life_aborted(&before);
    } else if (life_state() == LIFE_RETURNED && end_result != 0) {
        life_refused(&before, 0);
    } else {
        bool returned = life_state() == LIFE_RETURNED;
        totals.stops += returned;
        stopped_cleanly = returned;
        if (returned && life_leftovers() > 0)
            machine_fail("%u things were not given back at a clean stop", life_leftovers());
        bool power = has(FAULT_POWER) && (!has(FAULT_CRASH) || random_below(RANDOM_PLAN, 2) == 0);
        totals.kills += !returned && !power;
        life_clear(power ? disk_power_failed : disk_process_died);
    }
}

static void life_aftermath(void)
{
    stopped_cleanly =
        stopped_cleanly && !disk_tail_lost() && disk_wounds_log() == 0 && !disk_log_forsaken();
    for (uint32_t flips = 0; flips < 3; flips++) {
        if (random_chance(RANDOM_DISK, disk_faults.rot)) {
            disk_rot();
            stopped_cleanly = false;
        }
    }
    if (has(FAULT_CLOCK) && random_chance(RANDOM_CLOCK, 300))
        clock_jump(NULL, 0);
}

/* ---- A run ------------------------------------------------------------------------------- */

static void stop_pair_make(void)
{
    (void)network_pair(stop_fds);
}

static void stop_pair_renew(void)
{
    network_close(stop_fds[0]);
    network_close(stop_fds[1]);
    stop_pair_make();
}

static void *format_main(void *unused)
{
    (void)unused;
    const struct directory_options format = {.segment_bytes = SEGMENT_BYTES,
                                             .segments_ahead =
                                                 (uint32_t)random_below(RANDOM_PLAN, 3),
                                             .shard_count = 1};
    end_result = directory_format(folder, &format, &end_error);
    return NULL;
}

static bool life_is_over(void *unused)
{
    (void)unused;
    return life_state() != LIFE_RUNS;
}

static void directory_make(void)
{
    disk_open(folder);
    life_begin(format_main, NULL);
    (void)machine_run(life_is_over, NULL);
    if (end_result != 0)
        machine_fail("format: %s", end_error.text);
    life_clear(disk_settle);
}

static void life_run(uint32_t life)
{
    struct moment moment = {
        .time = machine_now() + random_skewed(RANDOM_PLAN, NS_PER_MS, NS_PER_S),
        .kind = (enum moment_kind)random_below(RANDOM_PLAN, MOMENT_KINDS),
    };
    faults_begin();
    if (life == 0 && bounds.crash_step != 0)
        moment = (struct moment){.step = bounds.crash_step};
    stop_pair_renew();
    clients_refill();
    compat_clients_refill();
    life_start();
    life_finish(&moment);
    life_aftermath();
}

static void state_compare(void)
{
    const struct ledger *follower = hooks_follower_ledger();
    judge_attempts();
    judge_state(hooks_ledger());
    if (follower != NULL && hooks_follower_is_even())
        judge_state(follower);
}

/* Everything is well again: all that was asked is answered, and what is there is compared. */
static void last_life_run(void)
{
    struct moment done = {.time = machine_now() + LAST_LIFE_NS, .done = true};
    struct moment even;
    faults_end();
    disk_heal();
    plan.options.follower = 1;
    plan.options.snapshot_bytes_per_s = 0;
    clients_settle();
    compat_clients_settle();
    stop_pair_renew();
    life_start();
    if (!machine_run(moment_has_come, &done) || life_state() != LIFE_RUNS || !clients_done() ||
        !compat_clients_done())
        machine_fail("with everything well again, not every client got its answers%s%s",
                     life_state() != LIFE_RUNS ? ": " : "",
                     life_state() != LIFE_RUNS ? end_error.text : "");
    even = (struct moment){.time = machine_now() + 600 * NS_PER_S, .fired = true};
    (void)machine_run(moment_has_come, &even);
    if (schedules_are_due())
        machine_fail("what schedules have missed is not made up for");
    even = (struct moment){.time = machine_now() + 600 * NS_PER_S, .even = true};
    (void)machine_run(moment_has_come, &even);
    if (!hooks_follower_is_even())
        machine_fail("the follower does not get to the end");
    state_compare();
    judge_floor_raise(judge_position());
    network_poke(stop_fds[0]);
    even = (struct moment){.time = machine_now() + 60 * NS_PER_S};
    (void)machine_run(moment_has_come, &even);
    if (life_state() != LIFE_RETURNED || end_result != 0)
        machine_fail("no clean stop: %s", end_error.text);
    if (life_leftovers() > 0)
        machine_fail("%u things were not given back at the end", life_leftovers());
    life_clear(disk_power_failed);
    stopped_cleanly = true;
    /* And what a stop leaves is whole. */
    stop_pair_renew();
    life_start();
    state_compare();
    life_clear(disk_process_died);
}

static void counts_add(uint64_t *sums, const uint64_t *counts, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof *sums; i++)
        sums[i] += counts[i];
}

static void totals_collect(void)
{
    totals.seeds++;
    totals.steps += machine_steps();
    counts_add((uint64_t *)&totals.disk, (const uint64_t *)&disk_counts, sizeof disk_counts);
    counts_add((uint64_t *)&totals.network, (const uint64_t *)&network_counts,
               sizeof network_counts);
    counts_add((uint64_t *)&totals.client, (const uint64_t *)&client_counts, sizeof client_counts);
}

/* Runs a seed; returns the digest of all that happened. */
static uint64_t run(uint64_t seed)
{
    static char text[96];
    (void)snprintf(text, sizeof text, "seed %" PRIu64 ": giro-sim --seed %" PRIu64, seed, seed);
    machine_run_text = text;
    plan_make(seed);
    machine_reset();
    network_reset();
    judge_reset(plan.options.compat_sessions_max);
    memset(&client_counts, 0, sizeof client_counts);
    stopped_cleanly = false;
    directory_make();
    stop_pair_make();
    clients_start(&plan.clients);
    compat_clients_start(&plan.clients);
    for (uint32_t life = 0; life + 1 < plan.lives; life++)
        life_run(life);
    last_life_run();
    clients_stop();
    compat_clients_stop();
    totals_collect();
    return machine_trace_digest();
}

/* ---- The summary ------------------------------------------------------------------------- */

static void summary_print(double seconds)
{
    const struct disk_counts *disk = &totals.disk;
    const struct network_counts *network = &totals.network;
    const struct client_counts *client = &totals.client;
    double each = seconds > 0 ? 1 / seconds : 0;
    printf("%" PRIu64 " seeds in %.1f s (%.1f a second), %" PRIu64 " steps (%.0f a second)\n",
           totals.seeds, seconds, (double)totals.seeds * each, totals.steps,
           (double)totals.steps * each);
    printf("requests %" PRIu64 " (%.0f a second), events %" PRIu64 ", queries %" PRIu64
           ", changes read %" PRIu64 ", retries %" PRIu64 ", timeouts %" PRIu64 ", refused %" PRIu64
           ", damaged %" PRIu64 ", nonsense %" PRIu64 "\n",
           client->requests, (double)client->requests * each, client->events, client->queries,
           client->changes, client->retries, client->timeouts, client->refused, client->damaged,
           client->stranger_frames);
    printf("lives %" PRIu64 ": power failures %" PRIu64 ", kills %" PRIu64 ", stops %" PRIu64
           ", aborts %" PRIu64 ", refused starts %" PRIu64 ", heals %" PRIu64 "\n",
           totals.lives, disk->power_failures, totals.kills, totals.stops, totals.aborts,
           totals.refused_starts, totals.heals);
    printf("leases %" PRIu64 ", fenced requests %" PRIu64 ", not held %" PRIu64
           "; schedules %" PRIu64 ", attempts %" PRIu64 ", made %" PRIu64 "\n",
           judge_counts.leases, judge_counts.fenced, judge_counts.not_held, judge_counts.schedules,
           judge_counts.attempts, judge_counts.made);
    printf("sessions %" PRIu64 ", requests %" PRIu64 ", executed %" PRIu64 ", retries %" PRIu64
           ", evictions %" PRIu64 "\n",
           judge_counts.sessions, client->session_requests, judge_counts.session_requests,
           client->session_retries, client->evictions);
    printf("sectors unstable %" PRIu64 ": old %" PRIu64 ", torn %" PRIu64 ", garbage %" PRIu64
           "; names lost %" PRIu64 "\n",
           disk->sectors_unstable, disk->sectors_old, disk->sectors_torn, disk->sectors_garbage,
           disk->names_lost);
    printf("log writes %" PRIu64 ": lost %" PRIu64 ", misdirected %" PRIu64 ", late %" PRIu64
           "; errors %" PRIu64 ", of reads %" PRIu64 ", short %" PRIu64 ", interrupted %" PRIu64
           ", stalls %" PRIu64 ", full %" PRIu64 ", flips %" PRIu64 "\n",
           disk->log_writes, disk->lost_writes, disk->misdirected_writes, disk->late_writes,
           disk->write_errors, disk->read_errors, disk->short_writes, disk->interruptions,
           disk->stalls, disk->full, disk->flips);
    printf("connections %" PRIu64 ", resets %" PRIu64 ", splits %" PRIu64 ", stalls %" PRIu64
           "; clock jumps %" PRIu64 "; digests compared %" PRIu64 "\n",
           network->connections, network->resets, network->splits, network->stalls, totals.jumps,
           hooks_digests_checked);
    for (uint32_t row = 0; row < ROWS; row++)
        printf("%8" PRIu64 "  %s\n", hooks_rows[row], hooks_row_names[row]);
}

/* ---- Options ----------------------------------------------------------------------------- */

static const char usage[] =
    "usage: giro-sim [options]\n\n"
    "Runs the server on a simulated machine, a seed at a time, and judges all that it does.\n\n"
    "  --seed N         the first seed (1)\n"
    "  --count N        how many seeds (1)\n"
    "  --seconds N      as many as fit into so long, instead\n"
    "  --twice          runs each seed twice: both must be the same to the last byte\n"
    "  --every-step N   one seed, the first life of which crashes at every Nth step in turn\n"
    "  --crash-step N   the first life crashes at this step\n"
    "  --lives N        at most so many lives\n"
    "  --clients N      at most so many clients\n"
    "  --requests N     at most so many requests of each\n"
    "  --faults LIST    only these, separated by commas; see below\n"
    "  --bug NAME       plants a bug: where the program was built with planted_bugs\n"
    "  --shrink         looks for the smallest bounds with which the seed still fails\n"
    "  --folder DIR     where its files are (a new folder in /dev/shm); a folder in memory\n"
    "  --trace          prints what happens\n\n"
    "faults:\n";

#ifdef GIRO_PLANTED_BUGS
#define BUG(name, text, meaning) {text, meaning},
static const struct {
    const char *name;
    const char *meaning;
} bugs[] = {PLANTED_BUGS(BUG)};
#undef BUG
enum { BUGS = sizeof bugs / sizeof bugs[0] };

static bool bug_plant(const char *name)
{
    for (uint32_t i = 0; i < BUGS; i++) {
        if (strcmp(name, bugs[i].name) == 0) {
            planted_bug = (enum planted_bug)(i + 1);
            return true;
        }
    }
    fprintf(stderr, "giro-sim: no bug is called %s\n", name);
    return false;
}

static void bugs_print(FILE *out)
{
    fputs("bugs:\n", out);
    for (uint32_t i = 0; i < BUGS; i++)
        fprintf(out, "  %-20s %s\n", bugs[i].name, bugs[i].meaning);
}
#else
static bool bug_plant(const char *name)
{
    fprintf(stderr, "giro-sim: no bug %s can be planted: build with -Dplanted_bugs=true\n", name);
    return false;
}

static void bugs_print(FILE *out)
{
    (void)out;
}
#endif

static void usage_print(FILE *out)
{
    fputs(usage, out);
    for (uint32_t fault = 0; fault < FAULT_KINDS; fault++)
        fprintf(out, "  %-12s %s\n", fault_names[fault], fault_meanings[fault]);
    bugs_print(out);
}

static bool faults_parse(char *list, uint32_t *out)
{
    *out = 0;
    for (char *word = strtok(list, ","); word != NULL; word = strtok(NULL, ",")) {
        uint32_t fault = 0;
        while (fault < FAULT_KINDS && strcmp(word, fault_names[fault]) != 0)
            fault++;
        if (fault == FAULT_KINDS && strcmp(word, "none") != 0) {
            fprintf(stderr, "giro-sim: no fault is called %s\n", word);
            return false;
        }
        if (fault < FAULT_KINDS)
            *out |= 1u << fault;
    }
    return true;
}

static void faults_print(uint32_t faults, char *out, size_t size)
{
    size_t used = 0;
    (void)snprintf(out, size, "none");
    for (uint32_t fault = 0; fault < FAULT_KINDS; fault++) {
        if ((faults & 1u << fault) != 0 && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? "," : "",
                                     fault_names[fault]);
    }
}

/* ---- Shrinking --------------------------------------------------------------------------- */

/* Whether the seed fails with these bounds, in a process of its own. */
static bool still_fails(const char *program, uint64_t seed, const struct bounds *tried)
{
    extern char **environ;
    char numbers[5][24];
    char faults[256];
    (void)snprintf(numbers[0], sizeof numbers[0], "%" PRIu64, seed);
    (void)snprintf(numbers[1], sizeof numbers[1], "%u", tried->lives);
    (void)snprintf(numbers[2], sizeof numbers[2], "%u", tried->requests);
    (void)snprintf(numbers[3], sizeof numbers[3], "%u", tried->clients);
    (void)snprintf(numbers[4], sizeof numbers[4], "%" PRIu64, tried->crash_step);
    faults_print(tried->faults, faults, sizeof faults);
    char *arguments[] = {(char *)(uintptr_t)program,
                         "--seed",
                         numbers[0],
                         "--lives",
                         numbers[1],
                         "--requests",
                         numbers[2],
                         "--clients",
                         numbers[3],
                         "--crash-step",
                         numbers[4],
                         "--faults",
                         faults,
                         NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1, 0);
    bool spawned = posix_spawn(&pid, program, &actions, NULL, arguments, environ) == 0 &&
                   waitpid(pid, &status, 0) == pid;
    posix_spawn_file_actions_destroy(&actions);
    return spawned && status != 0;
}

static bool shrink_try(const char *program, uint64_t seed, struct bounds *best,
                       const struct bounds *tried)
{
    if (!still_fails(program, seed, tried))
        return false;
    *best = *tried;
    return true;
}

static int shrink(const char *program, uint64_t seed)
{
    struct bounds best = bounds;
    char faults[256];
    if (!still_fails(program, seed, &best)) {
        printf("seed %" PRIu64 " does not fail\n", seed);
        return 0;
    }
    best.requests = best.requests < 128 ? best.requests : 128;
    for (bool better = true; better;) {
        better = false;
        for (uint32_t fault = 0; fault < FAULT_KINDS; fault++) {
            struct bounds tried = best;
            tried.faults &= ~(1u << fault);
            if (tried.faults != best.faults)
                better = shrink_try(program, seed, &best, &tried) || better;
        }
        struct bounds tried = best;
        tried.lives--;
        if (best.lives > 1)
            better = shrink_try(program, seed, &best, &tried) || better;
        tried = best;
        tried.clients--;
        if (best.clients > 1)
            better = shrink_try(program, seed, &best, &tried) || better;
        for (uint32_t cut = best.requests / 2; cut > 0; cut /= 2) {
            tried = best;
            tried.requests -= cut;
            if (shrink_try(program, seed, &best, &tried)) {
                better = true;
                break;
            }
        }
    }
    faults_print(best.faults, faults, sizeof faults);
    printf("giro-sim --seed %" PRIu64 " --lives %u --requests %u --clients %u --faults %s\n", seed,
           best.lives, best.requests, best.clients, faults);
    return 1;
}

/* ---- The program ------------------------------------------------------------------------- */

/* A failed assertion, or worse, of the program under test. */
static void on_signal(int number)
{
    machine_fail("the program ended with signal %d", number);
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* What it may say only when the disk has done something that it must not do: power failures are no
 * reason. */
static const struct {
    const char *text;
    bool index_missing; /* or while an index that was put away has not been made again */
} words_of_damage[] = {
    {"no snapshot is used", true},
    {"the snapshot before it is tried", true},
    {"the snapshot contradicts the log", false},
    {"the server's memory differed", false},
    {"is damaged on disk", false},
    {"it was renamed to .idx.bad", false},
};

static bool disk_is_bad(void)
{
    return disk_wounds_log() + disk_wounds_other() > 0 || disk_counts.read_errors > 0 ||
           disk_counts.write_errors > 0 || disk_counts.short_writes > 0 ||
           disk_counts.lost_writes > 0 || disk_counts.misdirected_writes > 0;
}

/* What the program says goes into the trace. */
static ssize_t program_says(void *unused, const char *text, size_t size)
{
    (void)unused;
    int length = (int)(size > 0 && text[size - 1] == '\n' ? size - 1 : size);
    for (uint32_t i = 0; i < sizeof words_of_damage / sizeof words_of_damage[0]; i++) {
        const char *words = words_of_damage[i].text;
        if (memmem(text, size, words, strlen(words)) != NULL && !disk_is_bad() &&
            !(words_of_damage[i].index_missing && disk_index_missing()))
            machine_fail("the program sees damage where there is none: %.*s", length, text);
    }
    machine_trace("says: %.*s", length, text);
    return (ssize_t)size;
}

static void folder_remove(void)
{
    if (folder[0] == 0)
        return;
    disk_open(folder);
    (void)rmdir(folder);
}

struct task {
    uint64_t seed;
    uint64_t count;
    double seconds;
    bool twice;
    bool shrinks;
    uint64_t every_step;
};

static void run_all(const struct task *task)
{
    double start = now_s();
    for (uint64_t i = 0; task->seconds > 0 ? now_s() - start < task->seconds : i < task->count;
         i++) {
        uint64_t digest = run(task->seed + i);
        if (task->twice && run(task->seed + i) != digest)
            machine_fail("two runs of the same seed differ");
    }
    summary_print(now_s() - start);
}

/* The first life crashes at every step in turn, until it ends before that by itself. */
static void run_every_step(const struct task *task)
{
    double start = now_s();
    uint64_t crashes = 0;
    for (uint64_t step = task->every_step; step < task->count; step += task->every_step) {
        bounds.crash_step = step;
        (void)run(task->seed);
        crashes++;
    }
    printf("%" PRIu64 " crashes at every %" PRIu64 "th step\n", crashes, task->every_step);
    summary_print(now_s() - start);
}

static bool options_parse(int argc, char **argv, struct task *task)
{
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 't'},
        {"twice", no_argument, NULL, '2'},
        {"every-step", required_argument, NULL, 'e'},
        {"crash-step", required_argument, NULL, 'x'},
        {"lives", required_argument, NULL, 'l'},
        {"clients", required_argument, NULL, 'c'},
        {"requests", required_argument, NULL, 'r'},
        {"faults", required_argument, NULL, 'f'},
        {"bug", required_argument, NULL, 'b'},
        {"shrink", no_argument, NULL, 'k'},
        {"folder", required_argument, NULL, 'd'},
        {"trace", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        uint64_t number = optarg != NULL ? strtoull(optarg, NULL, 0) : 0;
        switch (option) {
        case 's':
            task->seed = number;
            break;
        case 'n':
            task->count = number;
            break;
        case 't':
            task->seconds = strtod(optarg, NULL);
            break;
        case '2':
            task->twice = true;
            break;
        case 'e':
            task->every_step = number;
            break;
        case 'x':
            bounds.crash_step = number;
            break;
        case 'l':
            bounds.lives = (uint32_t)number;
            break;
        case 'c':
            bounds.clients = (uint32_t)number;
            break;
        case 'r':
            bounds.requests = (uint32_t)number;
            break;
        case 'f':
            if (!faults_parse(optarg, &bounds.faults))
                return false;
            break;
        case 'b':
            if (!bug_plant(optarg))
                return false;
            break;
        case 'k':
            task->shrinks = true;
            break;
        case 'd':
            (void)snprintf(folder, sizeof folder, "%s", optarg);
            break;
        case 'v':
            machine_tracing = true;
            break;
        default:
            usage_print(option == 'h' ? stdout : stderr);
            return false;
        }
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct task task = {.seed = 1, .count = 1};
    bounds = no_bounds;
    if (!options_parse(argc, argv, &task))
        return 2;
    if (task.shrinks)
        return shrink(argv[0], task.seed);
    if (folder[0] == 0)
        (void)snprintf(folder, sizeof folder, "/dev/shm/giro-sim-%d", (int)getpid());
    const cookie_io_functions_t functions = {.write = program_says};
    program_stderr = fopencookie(NULL, "w", functions);
    if (program_stderr == NULL)
        return 2;
    setvbuf(program_stderr, NULL, _IOLBF, BUFSIZ);
    FILE *own_stderr = stderr;
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGSEGV, on_signal);
    (void)signal(SIGBUS, on_signal);
    stderr = program_stderr;
    if (task.every_step > 0)
        run_every_step(&task);
    else
        run_all(&task);
    stderr = own_stderr;
    life_end();
    folder_remove();
    return 0;
}
