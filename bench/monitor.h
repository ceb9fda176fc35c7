/* What is looked at, and asked for, while the load runs: the server's counters every few
 * milliseconds, on a connection of their own, and a snapshot every so many seconds, on another. */
#ifndef BENCH_MONITOR_H
#define BENCH_MONITOR_H

#include "bench/client.h"

#include <stdatomic.h>
#include <stdbool.h>

enum { MONITOR_PROBLEM_BYTES = 160, MONITOR_SNAPSHOTS_MAX = 64 };

struct monitor_config {
    struct client_address address;
    uint64_t snapshot_every_ns; /* the first one after so long as well; 0: none are asked for */
};

struct monitor_snapshot {
    uint64_t took_ns; /* from the request to the reply */
    uint64_t bytes;
};

struct monitor_result {
    uint64_t lag_max_bytes; /* that was seen */
    uint64_t throttled;     /* times that requests had to wait for the follower meanwhile */
    uint64_t running_ns;    /* while a snapshot was being written, whoever wanted it */
    uint32_t snapshot_count;
    struct monitor_snapshot snapshots[MONITOR_SNAPSHOTS_MAX];
};

struct monitor;

/* As in bench/queries.h; but *out needs no freeing. */
int monitor_open(const struct monitor_config *config, struct monitor **out,
                 char problem[MONITOR_PROBLEM_BYTES]);
int monitor_start(struct monitor *monitor, char problem[MONITOR_PROBLEM_BYTES]);
int monitor_stop(struct monitor *monitor, struct monitor_result *out,
                 char problem[MONITOR_PROBLEM_BYTES]);
void monitor_close(struct monitor *monitor);

/* Whether a snapshot was being written when the server was last asked. Valid until the close. */
const atomic_bool *monitor_snapshot_running(const struct monitor *monitor);

#endif
