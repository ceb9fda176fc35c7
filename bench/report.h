/* The outcome of one measured run, and how it is shown. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/beside.h"
#include "bench/device_probe.h"
#include "bench/load.h"
#include "bench/options.h"

#include <stdbool.h>
#include <stdint.h>

struct report_run {
    struct load_result load;
    struct device_probe device;
    bool device_known;
    uint64_t log_bytes;       /* by which the log grew */
    uint64_t log_blocks;      /* written meanwhile */
    uint64_t server_cpu_ns;   /* 0: not known */
    double other_cpu_percent; /* of all cores, used by neither client nor server; -1: not known */
    struct beside_result beside;
    double memory_bytes_per_account;  /* of the server, resident; -1: not known; so for the next */
    double memory_bytes_per_transfer; /* what it grew by with the accepted transfers */
    double disk_bytes_per_transfer;   /* log and index; without snapshots */
    uint64_t memory_bytes;            /* in the end; 0: not known */
    uint64_t snapshot_bytes;          /* of the snapshots on disk in the end */
    char io[32];
    /* the books after the run, as sums over all accounts */
    giro_u128 debits_posted;
    giro_u128 credits_posted;
    giro_u128 debits_pending;
    giro_u128 credits_pending;
    bool balanced; /* debits equal credits, and both what was accepted */
};

/* Whether latencies are told apart: by whether schedules fired when there were any, else by whether a
 * snapshot was being written. */
static inline bool report_tells_apart(const struct report_run *run)
{
    return run->load.latency_apart_ns != NULL;
}

/* All runs, by protocol; none of one that was not asked for. */
struct report_runs {
    struct report_run *of[WIRE_PROTOCOLS];
    uint32_t count[WIRE_PROTOCOLS];
};

/* The table. number: counts from 1. */
void report_header(const struct bench_options *options);
void report_run_line(const struct bench_options *options, enum wire_protocol protocol,
                     uint32_t number, const struct report_run *run);
void report_summary(const struct bench_options *options, const struct report_runs *runs);

/* Writes the same as JSON. directory: where the device was probed. Returns 0 or -errno. */
int report_json(const struct bench_options *options, const char *directory,
                const struct report_runs *runs);

#endif
