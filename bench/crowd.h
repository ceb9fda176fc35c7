/* A crowd: thousands of connections of one thread, on a schedule that waits for nobody, whose
 * clients crash at random and come back.
 *
 * Open loop: request k leaves at start + k / rate, on the next connection in turn that is there,
 * whether or not earlier ones were answered; latency counts from that time. Closed loop (rate 0):
 * every connection has one request in flight.
 *
 * Crashes, churn of them a second, of connections at random, one of
 *   reset      the connection is reset
 *   close      it is closed, replies unread
 *   half       half a frame, then reset
 *   vanish     half a frame, then silence for up to 15 s: the server may tire of it before
 * After up to 2 s the client is back and sends again what was not answered; the ids are the same, so
 * the answer may be `exists`. What was sent again counts for the books, not for the latencies.
 *
 * Every reply is checked: order, checksum, result. A connection that ends otherwise, or a reply that
 * is not the expected one, is an error, and the load goes on. */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include "bench/client.h"
#include "bench/server_process.h"

#include <hdr_histogram.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum { CROWD_PROBLEM_BYTES = 160, CROWD_CRASHES = 4 };

struct crowd_config {
    struct client_address address;
    const struct server_process *server; /* its memory and descriptors are sampled */
    uint32_t connections;
    uint32_t accounts; /* 1 .. accounts, which exist */
    uint64_t seed;
    const volatile sig_atomic_t *interrupted;
};

/* A second of the load. */
struct crowd_sample {
    uint64_t replies;
    int64_t p50_ns, p99_ns, p999_ns, max_ns;
    uint64_t memory_bytes; /* of the server */
    uint32_t descriptors;
    uint32_t present;   /* connections */
    uint32_t in_flight; /* requests */
};

struct crowd_result {
    uint64_t requests; /* that left */
    uint64_t replies;  /* to requests that left once */
    uint64_t repeated; /* to those that were sent again */
    uint64_t repeated_existed;
    uint64_t crashes[CROWD_CRASHES];
    uint64_t closed_by_server; /* of those that had vanished */
    uint64_t errors;           /* connections that ended, or could not be made */
    uint64_t unexpected;       /* results */
    uint64_t elapsed_ns;       /* until the last request was to leave */
    uint64_t late_max_ns;      /* that a request left behind its time: the client's own fault */
    uint64_t wait_max_ns;      /* of any request that was sent once, answered or not */
    double rate_min;           /* replies a second of its presence: of the worst connection */
    double rate_max;
    uint64_t replies_min; /* of any connection */
    uint64_t replies_max;
    uint32_t descriptors_before; /* of the server: everybody is there, nobody has crashed yet */
    uint32_t descriptors_after;  /* everybody is back */
    struct hdr_histogram *latency_ns;
    struct crowd_sample *samples; /* one a second */
    uint32_t sample_count;
    char problem[CROWD_PROBLEM_BYTES]; /* the first error or unexpected result */
};

struct crowd;

/* Connects everybody. Returns 0 or -errno with a text in problem. */
int crowd_open(const struct crowd_config *config, struct crowd **out,
               char problem[CROWD_PROBLEM_BYTES]);
void crowd_close(struct crowd *crowd);

/* Runs for so long, then waits until everybody is back and everything is answered, at most 60 s.
 * rate: requests a second, 0: closed loop. each: called with every second's sample; may be NULL.
 * *out: filled in either case; free it with crowd_result_free(). Returns 0 or -errno. */
int crowd_run(struct crowd *crowd, uint64_t seconds, double rate, uint32_t churn,
              void (*each)(const struct crowd_sample *sample, uint32_t second),
              struct crowd_result *out);
void crowd_result_free(struct crowd_result *result);

/* Transfers that exist now, of 1 each. */
uint64_t crowd_transfers(const struct crowd *crowd);

extern const char *const crowd_crash_names[CROWD_CRASHES];

#endif
