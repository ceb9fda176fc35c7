/* `giro bench`: one run is probe, server, accounts, warm-up, load, verification. */
#include "bench/bench.h"

#include "bench/beside.h"
#include "bench/books.h"
#include "bench/client.h"
#include "bench/clock.h"
#include "bench/device_probe.h"
#include "bench/load.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/server_process.h"
#include "bench/workload.h"

#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

/* What one run holds, so that one function lets all of it go. */
struct session {
    const struct bench_options *options;
    enum wire_protocol protocol; /* of the load; everything else speaks the native one */
    struct server_process server;
    struct client_address address;
    struct client_address load_address;
    struct client *client;
    struct workload *workload;
    struct load *load;
    struct beside beside;
    char problem[LOAD_PROBLEM_BYTES];
};

_Static_assert((int)LOAD_PROBLEM_BYTES == (int)BOOKS_PROBLEM_BYTES &&
                   (int)LOAD_PROBLEM_BYTES == (int)BESIDE_PROBLEM_BYTES,
               "one text serves all");

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
    interrupted = 1;
}

/* A signal must end every wait, so that the server is stopped and its files are removed. */
static void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* One descriptor a connection. */
static void descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Memory is no disk: every figure would be meaningless. */
static bool directory_is_memory(const char *directory)
{
    struct statfs info;
    return statfs(directory, &info) == 0 &&
           (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
}

static const char *probe_directory(const struct bench_options *options)
{
    return options->directory != NULL ? options->directory : ".";
}

static void probe(const struct bench_options *options, struct report_run *run)
{
    int error = device_probe_run(probe_directory(options), &run->device);
    run->device_known = error == 0;
    if (error != 0)
        fprintf(stderr, "giro bench: cannot probe the device in %s: %s\n", probe_directory(options),
                strerror(-error));
}

static int session_connect(struct session *session, struct report_run *run)
{
    const struct bench_options *options = session->options;
    const char *address = options->connect;
    const char *compat = options->compat;
    snprintf(run->io, sizeof run->io, "unknown");
    if (options->spawn) {
        int error = server_start(options, &interrupted, &session->server);
        if (error != 0) {
            snprintf(session->problem, sizeof session->problem, "no server");
            return error;
        }
        address = session->server.address;
        compat = session->server.compat;
        snprintf(run->io, sizeof run->io, "%s", session->server.io);
    }
    int error = client_resolve(address, &session->address);
    session->address.congestion = options->congestion;
    session->load_address = session->address;
    if (error == 0)
        error = client_open(&session->address, &session->client);
    if (error == 0 && session->protocol == WIRE_COMPAT) {
        address = compat;
        error = client_resolve(address, &session->load_address);
        session->load_address.congestion = options->congestion;
    }
    if (error != 0)
        snprintf(session->problem, sizeof session->problem, "cannot connect to %.80s: %s", address,
                 strerror(-error));
    return error;
}

/* Creates the accounts; tells what they cost a spawned server in memory. */
static int accounts_make(struct session *session, struct report_run *run)
{
    uint64_t before = server_memory_bytes(&session->server);
    int error = books_open(session->client, session->workload, session->problem);
    uint64_t after = server_memory_bytes(&session->server);
    run->memory_bytes_per_account = -1;
    if (before > 0 && after > before)
        run->memory_bytes_per_account =
            (double)(after - before) / workload_accounts(session->workload);
    return error;
}

static int session_open(struct session *session, struct report_run *run)
{
    const struct bench_options *options = session->options;
    struct workload_config workload = {
        .accounts = options->accounts,
        .hot_accounts = options->hot_accounts,
        .hot_percent = options->hot_percent,
        .zipf = options->zipf,
        .ids_random = options->ids_random,
        .two_phase_percent = options->two_phase_percent,
        .rejected_percent = options->rejected_percent,
        .history_percent = options->history_percent,
        .user_data = options->user_data,
        .seed = options->seed,
    };
    int error = workload_create(&workload, &session->workload);
    if (error != 0) {
        snprintf(session->problem, sizeof session->problem, "out of memory");
        return error;
    }
    error = session_connect(session, run);
    if (error == 0)
        error = accounts_make(session, run);
    if (error == 0)
        error = beside_open(&session->beside, options, &session->address, session->workload,
                            &interrupted, session->problem);
    if (error != 0)
        return error;
    struct load_config load = {
        .address = session->load_address,
        .protocol = session->protocol,
        .connections = options->connections,
        .depth = options->depth,
        .batch = options->batch,
        .rate = options->rate,
        .progress = options->progress,
        .apart = beside_apart(&session->beside, options),
        .interrupted = &interrupted,
    };
    return load_open(&load, session->workload, &session->load, session->problem);
}

/* Stops the server too. Returns -EIO when it did not end well. */
static int session_close(struct session *session)
{
    load_close(session->load);
    beside_close(&session->beside);
    client_close(session->client);
    workload_destroy(session->workload);
    int error = server_stop(&session->server);
    if (session->options->keep && session->server.directory[0] != 0)
        fprintf(stderr, "giro bench: kept %s\n", session->server.directory);
    else
        server_remove(&session->server);
    return error;
}

static int stats_read(struct session *session, struct frame_stats *out)
{
    const void *reply;
    uint32_t reply_bytes;
    uint32_t status;
    int error = client_call(session->client, FRAME_STATS, NULL, 0, &reply, &reply_bytes, &status);
    if (error == 0 && reply_bytes < sizeof *out)
        error = -EPROTO;
    if (error == 0)
        memcpy(out, reply, sizeof *out);
    else
        snprintf(session->problem, sizeof session->problem, "stats: %s", strerror(-error));
    return error;
}

/* The books must have moved by exactly what was accepted. With unexpected results that sum is not
 * known, and only debits and credits are compared. */
static bool books_verify(const struct books *before, const struct books *after, giro_u128 posted,
                         int64_t pending_delta, bool expected)
{
    if (!books_balanced(before) || !books_balanced(after))
        return false;
    if (!expected)
        return true;
    return after->debits_posted == before->debits_posted + posted &&
           after->debits_pending == before->debits_pending + (giro_u128)pending_delta;
}

/* CPU time used so far. */
struct cpu_use {
    uint64_t machine_ns;
    uint64_t server_ns;
    uint64_t at_ns;
};

/* Busy time of all cores: user, nice, system, irq, softirq and steal of /proc/stat's first line. */
static uint64_t machine_cpu_ns(void)
{
    static const bool busy[8] = {true, true, true, false, false, true, true, true};
    char line[512] = "";
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL)
        return 0;
    const char *at = fgets(line, sizeof line, file) != NULL ? line : "";
    fclose(file);
    at += strcspn(at, " ");
    uint64_t ticks = 0;
    for (uint32_t i = 0; i < 8; i++) {
        char *end;
        uint64_t value = strtoull(at, &end, 10);
        ticks += busy[i] ? value : 0;
        at = end;
    }
    return ticks * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

static struct cpu_use cpu_use_read(const struct session *session)
{
    return (struct cpu_use){
        .machine_ns = machine_cpu_ns(),
        .server_ns = server_cpu_ns(&session->server),
        .at_ns = clock_now_ns(),
    };
}

/* What others used meanwhile is told apart only where the server's share is known. */
static void cpu_use_report(const struct session *session, const struct cpu_use *before,
                           struct report_run *run)
{
    struct cpu_use now = cpu_use_read(session);
    run->server_cpu_ns = now.server_ns - before->server_ns;
    run->other_cpu_percent = -1;
    if (session->server.pid == 0)
        return;
    double others_ns = (double)(now.machine_ns - before->machine_ns) - (double)run->server_cpu_ns -
                       (double)run->load.cpu_ns;
    double all_ns = (double)(now.at_ns - before->at_ns) * (double)sysconf(_SC_NPROCESSORS_ONLN);
    run->other_cpu_percent = others_ns > 0 ? 100.0 * others_ns / all_ns : 0.0;
}

/* What the server holds and what it said, before and after. */
struct usage {
    struct frame_stats stats;
    struct server_disk disk;
    uint64_t memory_bytes;
};

static int usage_read(struct session *session, struct usage *out)
{
    out->disk = server_disk(&session->server);
    out->memory_bytes = server_memory_bytes(&session->server);
    return stats_read(session, &out->stats);
}

/* The index of the segment in use is in memory: of those that were sealed meanwhile, the share of
 * their index is known, and that of the log is taken to be the same. */
static void usage_report(const struct usage *before, const struct usage *after,
                         struct report_run *run)
{
    double accepted = (double)(run->load.accepted > 0 ? run->load.accepted : 1);
    double sealed = (double)(after->stats.segments_sealed - before->stats.segments_sealed) *
                    (double)after->disk.segment_bytes;
    double index = (double)after->disk.index_bytes - (double)before->disk.index_bytes;
    run->log_bytes = after->stats.log_bytes - before->stats.log_bytes;
    run->log_blocks = after->stats.blocks_written - before->stats.blocks_written;
    run->memory_bytes = after->memory_bytes;
    run->snapshot_bytes = after->disk.snapshot_bytes;
    run->disk_bytes_per_transfer = -1;
    run->memory_bytes_per_transfer = -1;
    if (after->memory_bytes == 0)
        return;
    run->memory_bytes_per_transfer =
        ((double)after->memory_bytes - (double)before->memory_bytes) / accepted;
    run->disk_bytes_per_transfer =
        (double)run->log_bytes / accepted * (1 + (sealed > 0 ? index / sealed : 0));
}

/* The measured load, with what runs beside it. */
static int measured_run(struct session *session, struct report_run *run)
{
    int error = beside_start(&session->beside, session->problem);
    if (error == 0)
        error = load_run(session->load, session->options->transfers,
                         session->options->seconds * NS_PER_S, &run->load, session->problem);
    if (error == 0)
        error = beside_wait(&session->beside, session->problem);
    char problem[LOAD_PROBLEM_BYTES];
    int beside_error = beside_stop(&session->beside, &run->beside, problem);
    if (error == 0 && beside_error != 0) {
        error = beside_error;
        memcpy(session->problem, problem, sizeof session->problem);
    }
    return error;
}

/* Schedules, warm-up and the measured load; *out_posted and *out_pending: what all of them together
 * must move. */
static int session_load(struct session *session, struct report_run *run, giro_u128 *out_posted,
                        int64_t *out_pending)
{
    struct load_result warmup = {0};
    struct usage before;
    struct usage after;
    int error = 0;
    if (session->options->warmup > 0 || session->options->warmup_seconds > 0) {
        error = load_run(session->load, session->options->warmup,
                         session->options->warmup_seconds * NS_PER_S, &warmup, session->problem);
        load_result_free(&warmup);
    }
    if (error == 0)
        error = beside_prepare(&session->beside, session->problem);
    if (error == 0)
        error = usage_read(session, &before);
    if (error != 0)
        return error;
    struct cpu_use cpu = cpu_use_read(session);
    error = measured_run(session, run);
    cpu_use_report(session, &cpu, run);
    if (error == 0)
        error = usage_read(session, &after);
    if (error == 0)
        error = beside_read(&session->beside, &run->beside, session->problem);
    if (error != 0)
        return error;
    usage_report(&before, &after, run);
    run->load.unexpected += warmup.unexpected + run->beside.firings.refused;
    *out_posted = warmup.posted + run->load.posted + run->beside.firings.made;
    *out_pending = warmup.pending_delta + run->load.pending_delta;
    return 0;
}

static int session_run(struct session *session, struct report_run *run)
{
    struct books before;
    struct books after;
    giro_u128 posted;
    int64_t pending;
    int error = books_read(session->client, session->workload, &before, session->problem);
    if (error == 0)
        error = session_load(session, run, &posted, &pending);
    if (error == 0)
        error = books_read(session->client, session->workload, &after, session->problem);
    if (error != 0)
        return error;
    run->debits_posted = after.debits_posted;
    run->credits_posted = after.credits_posted;
    run->debits_pending = after.debits_pending;
    run->credits_pending = after.credits_pending;
    run->balanced = books_verify(&before, &after, posted, pending, run->load.unexpected == 0);
    return 0;
}

/* Returns 0 or -errno, said on stderr. A run that found something wrong still has figures. */
static int run_once(const struct bench_options *options, enum wire_protocol protocol,
                    struct report_run *run)
{
    struct session session = {.options = options, .protocol = protocol};
    probe(options, run);
    int error = interrupted ? -EINTR : session_open(&session, run);
    if (error == 0)
        error = session_run(&session, run);
    if (interrupted)
        fprintf(stderr, "giro bench: interrupted\n");
    else if (error != 0)
        fprintf(stderr, "giro bench: %s\n", session.problem);
    int stop_error = session_close(&session);
    return error != 0 ? error : stop_error;
}

static bool run_is_good(const struct report_run *run)
{
    return run->load.unexpected == 0 && run->balanced;
}

static bool table_wanted(const struct bench_options *options)
{
    return !options->json || (options->json_path != NULL && strcmp(options->json_path, "-") != 0);
}

/* One repeat: a run over each protocol. Returns how many found something wrong, or -1 when one of
 * them did not come to its end. */
static int repeat_run(const struct bench_options *options, struct report_runs *runs)
{
    int wrong = 0;
    for (uint32_t i = 0; i < WIRE_PROTOCOLS; i++) {
        if (!options->protocols[i])
            continue;
        struct report_run *run = &runs->of[i][runs->count[i]];
        if (run_once(options, (enum wire_protocol)i, run) != 0)
            return -1;
        runs->count[i]++;
        wrong += !run_is_good(run);
        if (table_wanted(options))
            report_run_line(options, (enum wire_protocol)i, runs->count[i], run);
    }
    return wrong;
}

/* All repeats and what is said about them. Returns the exit status. */
static int run_all(const struct bench_options *options, struct report_runs *runs)
{
    int exit_status = 0;
    if (table_wanted(options))
        report_header(options);
    for (uint32_t i = 0; i < options->repeat; i++) {
        int wrong = repeat_run(options, runs);
        if (wrong != 0)
            exit_status = 1;
        if (wrong < 0)
            break;
    }
    if (runs->count[WIRE_NATIVE] + runs->count[WIRE_COMPAT] == 0)
        return exit_status;
    if (table_wanted(options))
        report_summary(options, runs);
    if (options->json && report_json(options, probe_directory(options), runs)) {
        fprintf(stderr, "giro bench: cannot write the JSON\n");
        exit_status = 1;
    }
    return exit_status;
}

/* Room for all runs. Returns false without. */
static bool runs_make(const struct bench_options *options, struct report_runs *runs)
{
    bool made = true;
    for (uint32_t i = 0; i < WIRE_PROTOCOLS; i++) {
        runs->of[i] = calloc(options->repeat, sizeof *runs->of[i]);
        made = made && runs->of[i] != NULL;
    }
    return made;
}

static void runs_free(const struct bench_options *options, struct report_runs *runs)
{
    for (uint32_t i = 0; i < WIRE_PROTOCOLS; i++) {
        for (uint32_t j = 0; runs->of[i] != NULL && j < options->repeat; j++) {
            load_result_free(&runs->of[i][j].load);
            beside_result_free(&runs->of[i][j].beside);
        }
        free(runs->of[i]);
    }
}

int bench_command(int argc, char **argv)
{
    struct bench_options options;
    if (argc > 1 && strcmp(argv[1], "crowd") == 0) {
        signals_catch();
        descriptors_raise();
        prctl(PR_SET_TIMERSLACK, 1ul);
        return crowd_command(argc - 1, argv + 1, &interrupted);
    }
    int parsed = options_parse(argc, argv, &options);
    if (parsed != 0)
        return parsed > 0 ? 0 : 2;
    if (directory_is_memory(probe_directory(&options))) {
        if (options.spawn && options.directory == NULL) {
            fprintf(stderr, "giro bench: this directory is in memory: --data DIR names a disk\n");
            return 2;
        }
        fprintf(stderr, "giro bench: %s is in memory, not on a disk\n", probe_directory(&options));
    }
    signals_catch();
    descriptors_raise();
    prctl(PR_SET_TIMERSLACK, 1ul); /* the open loop's schedule is in microseconds */
    if (!options.spawn && options.directory == NULL)
        fprintf(stderr, "giro bench: the device is probed in the current directory; "
                        "--data DIR names the server's\n");
    struct report_runs runs = {0};
    int exit_status = 1;
    if (runs_make(&options, &runs))
        exit_status = run_all(&options, &runs);
    else
        fprintf(stderr, "giro bench: out of memory\n");
    runs_free(&options, &runs);
    return exit_status;
}
