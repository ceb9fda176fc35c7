/* Everything that runs beside the load: queries, subscribers, schedules, the monitor. */
#ifndef BENCH_BESIDE_H
#define BENCH_BESIDE_H

#include "bench/changes.h"
#include "bench/firings.h"
#include "bench/monitor.h"
#include "bench/options.h"
#include "bench/queries.h"

enum { BESIDE_PROBLEM_BYTES = 160 };

struct beside {
    struct monitor *monitor;
    struct queries *queries; /* NULL: none; so for the next */
    struct changes *changes;
    struct firings *firings;
};

struct beside_result {
    struct monitor_result monitor;
    struct queries_result queries;
    struct changes_result changes;
    struct firings_result firings;
};

/* Connects everything. Returns 0 or -errno with a text in problem; what was opened is the caller's
 * to close in either case. */
int beside_open(struct beside *beside, const struct bench_options *options,
                const struct client_address *address, const struct workload *workload,
                const volatile sig_atomic_t *interrupted, char problem[BESIDE_PROBLEM_BYTES]);

/* What has to be there before the load begins, which is right after it returns. */
int beside_prepare(struct beside *beside, char problem[BESIDE_PROBLEM_BYTES]);
int beside_start(struct beside *beside, char problem[BESIDE_PROBLEM_BYTES]);

/* Waits for what comes to its end by itself. */
int beside_wait(struct beside *beside, char problem[BESIDE_PROBLEM_BYTES]);

/* Ends all of it. *out: filled in either case, freed with beside_result_free(). */
int beside_stop(struct beside *beside, struct beside_result *out,
                char problem[BESIDE_PROBLEM_BYTES]);

/* Adds to it what is not measured, but read afterwards. */
int beside_read(struct beside *beside, struct beside_result *out,
                char problem[BESIDE_PROBLEM_BYTES]);

/* While it is set, latencies are to be told apart; NULL: never. Valid until the close. */
const atomic_bool *beside_apart(const struct beside *beside, const struct bench_options *options);
void beside_result_free(struct beside_result *result);
void beside_close(struct beside *beside);

#endif
