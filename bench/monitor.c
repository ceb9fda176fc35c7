#include "bench/monitor.h"

#include "bench/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SNAPSHOT_TIMEOUT_S = 600 };

#define LOOK_NS (10 * NS_PER_MS)
#define LOOK_CLOSELY_NS (2 * NS_PER_MS) /* when latencies are told apart */
#define NAP_NS (20 * NS_PER_MS)

/* One of the two threads. */
struct worker {
    struct monitor *monitor;
    struct client *client;
    pthread_t thread;
    bool started;
    int error;
    char problem[MONITOR_PROBLEM_BYTES];
};

struct monitor {
    struct monitor_config config;
    struct worker look;
    struct worker snapshot;
    struct monitor_result result; /* snapshots: the second thread's, the rest the first one's */
    atomic_bool running;
    atomic_bool stop;
};

const atomic_bool *monitor_snapshot_running(const struct monitor *monitor)
{
    return &monitor->running;
}

static int worker_call(struct worker *worker, enum frame_operation operation, void *out,
                       uint32_t size)
{
    const void *reply;
    uint32_t bytes;
    uint32_t status;
    int error = client_call(worker->client, operation, NULL, 0, &reply, &bytes, &status);
    if (error == 0 && bytes < size)
        error = -EPROTO;
    if (error == 0)
        memcpy(out, reply, size);
    else
        snprintf(worker->problem, sizeof worker->problem, "%s: %s",
                 operation == FRAME_STATS ? "stats" : "snapshot",
                 error == -EREMOTEIO ? frame_status_name(status) : strerror(-error));
    return error;
}

/* Returns false when the end came first. */
static bool sleep_for(const struct monitor *monitor, uint64_t ns)
{
    uint64_t until = clock_now_ns() + ns;
    while (!atomic_load_explicit(&monitor->stop, memory_order_relaxed)) {
        uint64_t now = clock_now_ns();
        if (now >= until)
            return true;
        uint64_t left = until - now < NAP_NS ? until - now : NAP_NS;
        const struct timespec nap = {.tv_nsec = (long)left};
        (void)nanosleep(&nap, NULL);
    }
    return false;
}

static void *look_run(void *argument)
{
    struct worker *worker = argument;
    struct monitor *monitor = worker->monitor;
    struct monitor_result *result = &monitor->result;
    uint64_t pause = monitor->config.snapshot_every_ns > 0 ? LOOK_CLOSELY_NS : LOOK_NS;
    uint64_t throttled_first = 0;
    uint64_t before = clock_now_ns();
    for (uint64_t k = 0;; k++) {
        struct frame_stats stats;
        worker->error = worker_call(worker, FRAME_STATS, &stats, sizeof stats);
        if (worker->error != 0)
            break;
        uint64_t now = clock_now_ns();
        if (k == 0)
            throttled_first = stats.follower_throttled;
        /* Switched off, it would be behind by the whole log. */
        if (stats.follower_lsn > 0 && stats.follower_lag_bytes > result->lag_max_bytes)
            result->lag_max_bytes = stats.follower_lag_bytes;
        if (stats.snapshot_running != 0)
            result->running_ns += now - before;
        before = now;
        result->throttled = stats.follower_throttled - throttled_first;
        atomic_store_explicit(&monitor->running, stats.snapshot_running != 0, memory_order_relaxed);
        if (!sleep_for(monitor, pause))
            break;
    }
    atomic_store_explicit(&monitor->running, false, memory_order_relaxed);
    return NULL;
}

static void *snapshot_run(void *argument)
{
    struct worker *worker = argument;
    struct monitor *monitor = worker->monitor;
    struct monitor_result *result = &monitor->result;
    while (result->snapshot_count < MONITOR_SNAPSHOTS_MAX &&
           sleep_for(monitor, monitor->config.snapshot_every_ns)) {
        struct frame_snapshot snapshot;
        uint64_t start = clock_now_ns();
        worker->error = worker_call(worker, FRAME_SNAPSHOT, &snapshot, sizeof snapshot);
        if (worker->error != 0)
            break;
        result->snapshots[result->snapshot_count++] = (struct monitor_snapshot){
            .took_ns = clock_now_ns() - start,
            .bytes = snapshot.bytes,
        };
    }
    return NULL;
}

static int worker_start(struct worker *worker, void *(*run)(void *),
                        char problem[MONITOR_PROBLEM_BYTES])
{
    int error = -pthread_create(&worker->thread, NULL, run, worker);
    worker->started = error == 0;
    if (error != 0)
        snprintf(problem, MONITOR_PROBLEM_BYTES, "cannot start a thread");
    return error;
}

int monitor_start(struct monitor *monitor, char problem[MONITOR_PROBLEM_BYTES])
{
    int error = worker_start(&monitor->look, look_run, problem);
    if (error == 0 && monitor->snapshot.client != NULL)
        error = worker_start(&monitor->snapshot, snapshot_run, problem);
    return error;
}

static void worker_join(struct worker *worker)
{
    if (worker->started)
        pthread_join(worker->thread, NULL);
    worker->started = false;
}

int monitor_stop(struct monitor *monitor, struct monitor_result *out,
                 char problem[MONITOR_PROBLEM_BYTES])
{
    atomic_store(&monitor->stop, true);
    worker_join(&monitor->look);
    worker_join(&monitor->snapshot);
    *out = monitor->result;
    const struct worker *failed = monitor->look.error != 0 ? &monitor->look : &monitor->snapshot;
    if (failed->error != 0)
        memcpy(problem, failed->problem, MONITOR_PROBLEM_BYTES);
    return failed->error;
}

static int worker_open(struct monitor *monitor, struct worker *worker,
                       char problem[MONITOR_PROBLEM_BYTES])
{
    worker->monitor = monitor;
    int error = client_open(&monitor->config.address, &worker->client);
    if (error != 0)
        snprintf(problem, MONITOR_PROBLEM_BYTES, "cannot connect: %s", strerror(-error));
    return error;
}

int monitor_open(const struct monitor_config *config, struct monitor **out,
                 char problem[MONITOR_PROBLEM_BYTES])
{
    struct monitor *monitor = calloc(1, sizeof *monitor);
    if (monitor == NULL) {
        snprintf(problem, MONITOR_PROBLEM_BYTES, "out of memory");
        return -ENOMEM;
    }
    monitor->config = *config;
    int error = worker_open(monitor, &monitor->look, problem);
    if (error == 0 && config->snapshot_every_ns > 0)
        error = worker_open(monitor, &monitor->snapshot, problem);
    if (error == 0 && config->snapshot_every_ns > 0)
        client_timeout(monitor->snapshot.client, SNAPSHOT_TIMEOUT_S);
    if (error != 0) {
        monitor_close(monitor);
        return error;
    }
    *out = monitor;
    return 0;
}

void monitor_close(struct monitor *monitor)
{
    if (monitor == NULL)
        return;
    atomic_store(&monitor->stop, true);
    worker_join(&monitor->look);
    worker_join(&monitor->snapshot);
    client_close(monitor->look.client);
    client_close(monitor->snapshot.client);
    free(monitor);
}
