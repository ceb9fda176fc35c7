/* Schedules that fire beside the load: created before it, due within it, one transfer of amount 1
 * each.
 *
 * Whether they are firing is told by the one that is due last, which is looked at every few
 * milliseconds: the others were fired before it. When they were fired tell the timestamps of their
 * transfers, in the end. All times are the server's, whose clock the greeting told. */
#ifndef BENCH_FIRINGS_H
#define BENCH_FIRINGS_H

#include "bench/client.h"
#include "bench/workload.h"

#include <hdr_histogram.h>
#include <signal.h>
#include <stdatomic.h>

enum { FIRINGS_PROBLEM_BYTES = 160, FIRINGS_MAX = 16 << 20 };

struct firings_config {
    struct client_address address;
    const struct workload *workload;
    uint32_t count;
    uint64_t after_ns;  /* from the load's begin to the first one */
    uint64_t within_ns; /* from there to the last one; 0: all are due at the same time */
    uint64_t seed;
    const volatile sig_atomic_t *interrupted;
};

struct firings_result {
    uint32_t count; /* 0: there were none, and nothing else is filled */
    uint32_t made;  /* transfers */
    uint32_t refused;
    uint64_t create_ns;            /* what it took to create the schedules */
    uint64_t fire_ns;              /* from the first one's time to the last one's transfer */
    uint64_t firing_ns;            /* while they were seen to fire */
    struct hdr_histogram *late_ns; /* of each transfer, behind its time */
};

struct firings;

/* Connects. Returns 0 or -errno with a text in problem, as the others do. */
int firings_open(const struct firings_config *config, struct firings **out,
                 char problem[FIRINGS_PROBLEM_BYTES]);

/* Creates the schedules, and waits until it is time for the load to begin. */
int firings_create(struct firings *firings, char problem[FIRINGS_PROBLEM_BYTES]);

/* Begins and ends looking; in between, waits until the last one has fired. */
int firings_start(struct firings *firings, char problem[FIRINGS_PROBLEM_BYTES]);
int firings_wait(struct firings *firings, char problem[FIRINGS_PROBLEM_BYTES]);
int firings_stop(struct firings *firings, char problem[FIRINGS_PROBLEM_BYTES]);

/* Reads what became of them. *out: freed with firings_result_free() in either case. */
int firings_read(struct firings *firings, struct firings_result *out,
                 char problem[FIRINGS_PROBLEM_BYTES]);
void firings_result_free(struct firings_result *result);
void firings_close(struct firings *firings);

/* Whether they were firing when the server was last asked. Valid until the close. */
const atomic_bool *firings_now(const struct firings *firings);

#endif
