/* The load itself: many connections, requests in flight on each, one thread. What they speak is
 * bench/wire.h's.
 *
 * Happy path: build whole requests in a buffer, seal each, send the buffer with one call; wait for
 * events; receive what there is, check every reply, record its latency, build the next requests.
 * A connection holds a buffer only while it has bytes to send. The buffer freed last is used first
 * again, so that it is still in the cache.
 *
 * Closed loop: every connection keeps `depth` requests in flight; latency counts from the send.
 * Open loop: request k is due at start + k * batch / rate and goes to the next connection that has
 * room. When none has, it waits, and its latency counts from when it was due all the same: a server
 * that stalls cannot hide the requests that it kept from being sent.
 *
 * Failure: a connection that breaks, a reply that is out of order or damaged, or 30 s without any
 * reply end the run with -errno and a text. An unexpected result is counted and the load goes on.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench/client.h"
#include "bench/wire.h"
#include "bench/workload.h"
#include "engine/result.h"

#include <hdr_histogram.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LOAD_CODES = GIRO_TRANSFER_RESULT_MAX + 2, /* the last one: a code that has no name */
    LOAD_STATUSES = 32,
    LOAD_PROBLEM_BYTES = 160,
};

struct load_config {
    struct client_address address; /* of the port that speaks the protocol */
    enum wire_protocol protocol;
    uint32_t connections;
    uint32_t depth;
    uint32_t batch;
    uint64_t rate;            /* transfers a second, or 0: closed loop */
    bool progress;            /* once a second on stderr */
    const atomic_bool *apart; /* latencies while this is set are told apart too; NULL: never */
    const volatile sig_atomic_t *interrupted;
};

/* Of one call of load_run(). */
struct load_result {
    uint64_t requests;
    uint64_t transfers;
    uint64_t accepted;
    uint64_t unexpected;              /* events whose result was not the expected one */
    uint64_t codes[LOAD_CODES];       /* events by result code */
    uint64_t statuses[LOAD_STATUSES]; /* replies by status, other than ok */
    giro_u128 posted;                 /* expected growth of the sum of debits_posted */
    int64_t pending_delta;            /* and of debits_pending */
    uint64_t elapsed_ns;              /* from the first send, or due time, to the last reply */
    uint64_t cpu_ns;                  /* of this process */
    struct hdr_histogram *latency_ns;
    struct hdr_histogram *latency_apart_ns; /* of replies that came while *apart was set; or NULL */
    struct hdr_histogram *latency_rest_ns;  /* of the others; or NULL */
};

struct load;

/* Connects everything. Returns 0 or -errno with a text in problem. */
int load_open(const struct load_config *config, struct workload *workload, struct load **out,
              char problem[LOAD_PROBLEM_BYTES]);
void load_close(struct load *load);

/* Sends that many transfers (0: no limit), or fewer once time_max_ns has passed (0: no limit), and
 * waits for all replies; may be called again.
 * *out: filled in either case, the caller frees it with load_result_free().
 * Returns 0, -EINTR, or -errno with a text in problem. */
int load_run(struct load *load, uint64_t transfers, uint64_t time_max_ns, struct load_result *out,
             char problem[LOAD_PROBLEM_BYTES]);
void load_result_free(struct load_result *result);

#endif
