/* `giro bench crowd`: a server of its own, its capacity, then the crowd at a share of that. */
#include "bench/bench.h"

#include "bench/books.h"
#include "bench/clock.h"
#include "bench/crowd.h"
#include "bench/options.h"
#include "bench/workload.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECTIONS_SPARE = 64,   /* of the server: those whose end it has not noticed yet, and ours */
    DESCRIPTORS_SPARE = 8,    /* that a server may have more in the end, besides segments */
    TRANSFER_LOG_BYTES = 512, /* at most */
    SEGMENT_BYTES = 64 << 20,
};

struct crowd_options {
    uint32_t connections;
    uint64_t seconds;
    uint64_t capacity_seconds;
    uint32_t load_percent;
    uint64_t rate; /* 0: load_percent of the capacity */
    uint32_t churn;
    uint32_t accounts;
    uint64_t seed;
    struct bench_options server;
};

static const char usage[] =
    "usage: giro bench crowd [options]\n"
    "\n"
    "Starts a server of its own on one core, and on another a crowd: N connections, each with\n"
    "one transfer a request, in an open loop at a share of what the server was found to do right\n"
    "before, while clients crash and come back.\n"
    "\n"
    "  --connections N         default 10k\n"
    "  --seconds N             of the open loop, default 600\n"
    "  --capacity-seconds N    of the closed loop before it, default 10\n"
    "  --load N                percent of the capacity, default 80\n"
    "  --rate N                requests a second in place of that\n"
    "  --churn N               crashes a second, default: 1 percent of the connections; 0: none\n"
    "  --accounts N            default 10k\n"
    "  --seed N                of accounts and crashes, default 42\n"
    "  --data DIR              where the server's files go, default: the current directory\n"
    "  --io io_uring|posix     its I/O backend\n"
    "  --serve-option ARG      pass one more argument to `giro serve` (repeatable)\n";

static int options_read(int argc, char **argv, struct crowd_options *out)
{
    enum { CONNECTIONS, SECONDS, CAPACITY, LOAD, RATE, CHURN, ACCOUNTS, SEED, DATA, IO, SERVE };
    static const struct option names[] = {
        {"connections", required_argument, NULL, CONNECTIONS},
        {"seconds", required_argument, NULL, SECONDS},
        {"capacity-seconds", required_argument, NULL, CAPACITY},
        {"load", required_argument, NULL, LOAD},
        {"rate", required_argument, NULL, RATE},
        {"churn", required_argument, NULL, CHURN},
        {"accounts", required_argument, NULL, ACCOUNTS},
        {"seed", required_argument, NULL, SEED},
        {"data", required_argument, NULL, DATA},
        {"io", required_argument, NULL, IO},
        {"serve-option", required_argument, NULL, SERVE},
        {0},
    };
    uint64_t numbers[] = {
        [CONNECTIONS] = 10000, [SECONDS] = 600,    [CAPACITY] = 10, [LOAD] = 80, [RATE] = 0,
        [CHURN] = 0,           [ACCOUNTS] = 10000, [SEED] = 42};
    static const uint64_t minima[] = {[CONNECTIONS] = 1, [SECONDS] = 1, [CAPACITY] = 1, [LOAD] = 1,
                                      [RATE] = 1,        [CHURN] = 0,   [ACCOUNTS] = 2, [SEED] = 0};
    static const uint64_t maxima[] = {
        [CONNECTIONS] = 1 << 20, [SECONDS] = 1 << 20,    [CAPACITY] = 3600,
        [LOAD] = 1000,           [RATE] = 1ull << 30,    [CHURN] = 1000000,
        [ACCOUNTS] = 1 << 24,    [SEED] = UINT64_MAX / 2};
    bool churn_given = false;
    int option;
    *out = (struct crowd_options){0};
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        struct bench_options *server = &out->server;
        if (option == DATA)
            server->directory = optarg;
        else if (option == IO)
            server->io = optarg;
        else if (option == SERVE && server->serve_passed_count < OPTIONS_PASSED_MAX - 1)
            server->serve_passed[server->serve_passed_count++] = optarg;
        else if (option < CONNECTIONS || option > SEED ||
                 options_number(names[option].name, optarg, minima[option], maxima[option],
                                &numbers[option]) != 0)
            return -EINVAL;
        churn_given |= option == CHURN;
    }
    out->connections = (uint32_t)numbers[CONNECTIONS];
    out->seconds = numbers[SECONDS];
    out->capacity_seconds = numbers[CAPACITY];
    out->load_percent = (uint32_t)numbers[LOAD];
    out->rate = numbers[RATE];
    out->churn = (uint32_t)(churn_given ? numbers[CHURN] : (numbers[CONNECTIONS] + 99) / 100);
    out->accounts = (uint32_t)numbers[ACCOUNTS];
    out->seed = numbers[SEED];
    return optind == argc ? 0 : -EINVAL;
}

/* ---- What it stands on ------------------------------------------------------------------- */

struct stand {
    const struct crowd_options *options;
    const volatile sig_atomic_t *interrupted;
    struct server_process server;
    struct client_address address;
    struct client *client;
    struct workload *workload;
    struct crowd *crowd;
    char connections_option[48];
    char problem[CROWD_PROBLEM_BYTES];
};

_Static_assert((int)CROWD_PROBLEM_BYTES == (int)BOOKS_PROBLEM_BYTES, "one text serves all");

/* The number-th of the cores that this process may use; what is started later inherits it. */
static void core_take(const cpu_set_t *allowed, uint32_t number)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (CPU_ISSET(core, allowed) && number-- == 0)
            CPU_SET(core, &one);
    }
    (void)sched_setaffinity(0, sizeof one, &one);
}

/* The server on one core, the clients on another, where there are two. */
static int server_start_apart(struct stand *stand, const struct bench_options *options)
{
    cpu_set_t allowed;
    bool apart = sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 1;
    if (apart)
        core_take(&allowed, 0);
    int error = server_start(options, stand->interrupted, &stand->server);
    if (apart)
        core_take(&allowed, 1);
    return error;
}

static int stand_open(struct stand *stand)
{
    const struct crowd_options *options = stand->options;
    struct bench_options server = options->server;
    struct workload_config workload = {.accounts = options->accounts, .seed = options->seed};
    snprintf(stand->connections_option, sizeof stand->connections_option, "--connections-max=%u",
             options->connections + CONNECTIONS_SPARE + options->connections / 4);
    server.serve_passed[server.serve_passed_count++] = stand->connections_option;
    snprintf(stand->problem, sizeof stand->problem, "no server");
    int error = workload_create(&workload, &stand->workload);
    if (error == 0)
        error = server_start_apart(stand, &server);
    if (error == 0)
        error = client_resolve(stand->server.address, &stand->address);
    if (error == 0)
        error = client_open(&stand->address, &stand->client);
    if (error == 0)
        error = books_open(stand->client, stand->workload, stand->problem);
    if (error != 0)
        return error;
    const struct crowd_config crowd = {.address = stand->address,
                                       .server = &stand->server,
                                       .connections = options->connections,
                                       .accounts = options->accounts,
                                       .seed = options->seed,
                                       .interrupted = stand->interrupted};
    return crowd_open(&crowd, &stand->crowd, stand->problem);
}

static int stand_close(struct stand *stand)
{
    crowd_close(stand->crowd);
    client_close(stand->client);
    workload_destroy(stand->workload);
    int error = server_stop(&stand->server);
    server_remove(&stand->server);
    return error;
}

/* ---- Reports ----------------------------------------------------------------------------- */

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

static void sample_show(const struct crowd_sample *sample, uint32_t second)
{
    if (second == 1)
        printf("%6s %9s %8s %8s %8s %8s %8s %6s %8s %9s\n", "s", "replies/s", "p50 ms", "p99 ms",
               "p99.9 ms", "max ms", "MiB", "fds", "present", "in flight");
    printf("%6u %9llu %8.2f %8.2f %8.2f %8.2f %8.1f %6u %8u %9u\n", second,
           (unsigned long long)sample->replies, ms(sample->p50_ns), ms(sample->p99_ns),
           ms(sample->p999_ns), ms(sample->max_ns), (double)sample->memory_bytes / (1 << 20),
           sample->descriptors, sample->present, sample->in_flight);
    (void)fflush(stdout);
}

/* Growth of the server's memory in the second half, in bytes a second: the least squares' line. */
static double memory_slope(const struct crowd_result *result)
{
    double n = 0;
    double x = 0;
    double y = 0;
    double xx = 0;
    double xy = 0;
    for (uint32_t i = result->sample_count / 2; i < result->sample_count; i++) {
        double bytes = (double)result->samples[i].memory_bytes;
        n += 1;
        x += i;
        y += bytes;
        xx += (double)i * i;
        xy += i * bytes;
    }
    double spread = n * xx - x * x;
    return spread > 0 ? (n * xy - x * y) / spread : 0;
}

static void latency_show(const struct crowd_result *result)
{
    const struct hdr_histogram *latency = result->latency_ns;
    printf("latency from the intended time: p50 %.2f, p99 %.2f, p99.9 %.2f, p99.99 %.2f, max %.2f "
           "ms; longest wait of any connection %.2f ms\n",
           ms(hdr_value_at_percentile(latency, 50)), ms(hdr_value_at_percentile(latency, 99)),
           ms(hdr_value_at_percentile(latency, 99.9)), ms(hdr_value_at_percentile(latency, 99.99)),
           ms(hdr_max(latency)), ms((int64_t)result->wait_max_ns));
}

static void result_show(const struct crowd_result *result)
{
    const struct crowd_sample *first = &result->samples[0];
    const struct crowd_sample *last = &result->samples[result->sample_count - 1];
    double replies = (double)(result->replies + result->repeated);
    double per_second = replies / ((double)result->elapsed_ns / 1e9);
    double slope = memory_slope(result);
    printf("\n%llu requests, %.0f replies/s, sent at most %.2f ms late by the client\n",
           (unsigned long long)result->requests, per_second, ms((int64_t)result->late_max_ns));
    latency_show(result);
    printf("crashes:");
    for (uint32_t i = 0; i < CROWD_CRASHES; i++)
        printf(" %s %llu,", crowd_crash_names[i], (unsigned long long)result->crashes[i]);
    printf(" closed by the server %llu; sent again %llu, of which %llu existed\n",
           (unsigned long long)result->closed_by_server, (unsigned long long)result->repeated,
           (unsigned long long)result->repeated_existed);
    printf("replies a connection: %llu - %llu; a second of its presence: %.2f - %.2f\n",
           (unsigned long long)result->replies_min, (unsigned long long)result->replies_max,
           result->rate_min, result->rate_max);
    printf("server: memory %.1f MiB at first, %.1f at last; in the second half %.1f KiB/s, that is "
           "%.1f bytes a transfer; descriptors %u before, %u when everybody was back\n",
           (double)first->memory_bytes / (1 << 20), (double)last->memory_bytes / (1 << 20),
           slope / 1024, per_second > 0 ? slope / per_second : 0, result->descriptors_before,
           result->descriptors_after);
    printf("errors: %llu; unexpected results: %llu%s%s\n", (unsigned long long)result->errors,
           (unsigned long long)result->unexpected, result->problem[0] != 0 ? ": " : "",
           result->problem);
}

/* ---- The run ----------------------------------------------------------------------------- */

/* Every transfer moved 1, whichever client crashed meanwhile, and none of them twice. */
static bool books_agree(struct stand *stand)
{
    struct books books;
    uint64_t transfers = crowd_transfers(stand->crowd);
    if (books_read(stand->client, stand->workload, &books, stand->problem) != 0)
        return false;
    bool agree = books_balanced(&books) && books.debits_posted == transfers;
    printf("books: %llu transfers answered, %llu moved: %s\n", (unsigned long long)transfers,
           (unsigned long long)books.debits_posted, agree ? "balanced" : "NOT BALANCED");
    return agree;
}

static int capacity_measure(struct stand *stand, double *out_rate)
{
    struct crowd_result result;
    int error = crowd_run(stand->crowd, stand->options->capacity_seconds, 0, 0, NULL, &result);
    double seconds = (double)result.elapsed_ns / 1e9;
    *out_rate = seconds > 0 ? (double)result.replies / seconds : 0;
    if (error == 0 && result.errors + result.unexpected > 0)
        error = -EIO;
    memcpy(stand->problem, result.problem, sizeof stand->problem);
    if (error == 0)
        printf("capacity: %.0f requests/s, closed loop of %u connections, %llu s\n", *out_rate,
               stand->options->connections, (unsigned long long)stand->options->capacity_seconds);
    crowd_result_free(&result);
    return error;
}

/* A server that holds on to what crashed clients had would show here. Segments are files, too. */
static bool descriptors_returned(const struct crowd_result *result)
{
    uint64_t segments = result->requests * TRANSFER_LOG_BYTES / SEGMENT_BYTES;
    return result->descriptors_after <= result->descriptors_before + DESCRIPTORS_SPARE + segments;
}

static int stand_run(struct stand *stand)
{
    const struct crowd_options *options = stand->options;
    struct crowd_result result = {0};
    double rate = 0;
    int error = options->rate > 0 ? 0 : capacity_measure(stand, &rate);
    if (error != 0)
        return error;
    rate = options->rate > 0 ? (double)options->rate : rate * options->load_percent / 100;
    printf("open loop: %.0f requests/s over %u connections for %llu s, %u crashes/s, %s, seed "
           "%llu\n",
           rate, options->connections, (unsigned long long)options->seconds, options->churn,
           stand->server.io, (unsigned long long)options->seed);
    error = crowd_run(stand->crowd, options->seconds, rate, options->churn, sample_show, &result);
    if (result.sample_count > 0)
        result_show(&result);
    memcpy(stand->problem, result.problem, sizeof stand->problem);
    if (error == 0 && (!books_agree(stand) || result.errors + result.unexpected > 0 ||
                       result.replies_min == 0 || !descriptors_returned(&result)))
        error = -EIO;
    crowd_result_free(&result);
    return error;
}

int crowd_command(int argc, char **argv, const volatile sig_atomic_t *interrupted)
{
    struct crowd_options options;
    if (options_read(argc, argv, &options) != 0) {
        fputs(usage, stderr);
        return 2;
    }
    struct stand stand = {.options = &options, .interrupted = interrupted};
    int error = stand_open(&stand);
    if (error == 0)
        error = stand_run(&stand);
    if (error != 0)
        fprintf(stderr, "giro bench crowd: %s: %s\n",
                stand.problem[0] != 0 ? stand.problem : "the run is not as it should be",
                strerror(-error));
    int stop_error = stand_close(&stand);
    return error != 0 || stop_error != 0;
}
