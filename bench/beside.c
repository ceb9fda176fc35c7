#include "bench/beside.h"

#include "bench/clock.h"

#include <string.h>

_Static_assert((int)BESIDE_PROBLEM_BYTES == (int)QUERIES_PROBLEM_BYTES &&
                   (int)BESIDE_PROBLEM_BYTES == (int)CHANGES_PROBLEM_BYTES &&
                   (int)BESIDE_PROBLEM_BYTES == (int)FIRINGS_PROBLEM_BYTES &&
                   (int)BESIDE_PROBLEM_BYTES == (int)MONITOR_PROBLEM_BYTES,
               "one text serves all");

static int queries_begin(struct beside *beside, const struct bench_options *options,
                         const struct client_address *address, const struct workload *workload,
                         char problem[BESIDE_PROBLEM_BYTES])
{
    struct queries_config config = {
        .address = *address,
        .workload = workload,
        .connections = options->queries,
        .rate = options->query_rate,
        .account = options->query_account,
        .seed = options->seed,
    };
    memcpy(config.mix, options->query_mix, sizeof config.mix);
    return queries_open(&config, &beside->queries, problem);
}

static int firings_begin(struct beside *beside, const struct bench_options *options,
                         const struct client_address *address, const struct workload *workload,
                         const volatile sig_atomic_t *interrupted,
                         char problem[BESIDE_PROBLEM_BYTES])
{
    const struct firings_config config = {
        .address = *address,
        .workload = workload,
        .count = options->schedules,
        .after_ns = options->schedules_after * NS_PER_S,
        .within_ns = options->schedules_within * NS_PER_S,
        .seed = options->seed,
        .interrupted = interrupted,
    };
    return firings_open(&config, &beside->firings, problem);
}

int beside_open(struct beside *beside, const struct bench_options *options,
                const struct client_address *address, const struct workload *workload,
                const volatile sig_atomic_t *interrupted, char problem[BESIDE_PROBLEM_BYTES])
{
    const struct monitor_config monitor = {
        .address = *address,
        .snapshot_every_ns = options->snapshot_every * NS_PER_S,
    };
    const struct changes_config changes = {
        .address = *address,
        .subscribers = options->changes,
        .from_end = options->changes_from_end,
    };
    int error = monitor_open(&monitor, &beside->monitor, problem);
    if (error == 0 && options->queries > 0)
        error = queries_begin(beside, options, address, workload, problem);
    if (error == 0 && options->changes > 0)
        error = changes_open(&changes, &beside->changes, problem);
    if (error == 0 && options->schedules > 0)
        error = firings_begin(beside, options, address, workload, interrupted, problem);
    return error;
}

const atomic_bool *beside_apart(const struct beside *beside, const struct bench_options *options)
{
    if (options->snapshot_every > 0)
        return monitor_snapshot_running(beside->monitor);
    return beside->firings != NULL ? firings_now(beside->firings) : NULL;
}

int beside_prepare(struct beside *beside, char problem[BESIDE_PROBLEM_BYTES])
{
    return beside->firings != NULL ? firings_create(beside->firings, problem) : 0;
}

int beside_start(struct beside *beside, char problem[BESIDE_PROBLEM_BYTES])
{
    int error = monitor_start(beside->monitor, problem);
    if (error == 0 && beside->queries != NULL)
        error = queries_start(beside->queries, problem);
    if (error == 0 && beside->changes != NULL)
        error = changes_start(beside->changes, problem);
    if (error == 0 && beside->firings != NULL)
        error = firings_start(beside->firings, problem);
    return error;
}

int beside_wait(struct beside *beside, char problem[BESIDE_PROBLEM_BYTES])
{
    return beside->firings != NULL ? firings_wait(beside->firings, problem) : 0;
}

int beside_stop(struct beside *beside, struct beside_result *out,
                char problem[BESIDE_PROBLEM_BYTES])
{
    int error = 0;
    if (beside->queries != NULL)
        error = queries_stop(beside->queries, &out->queries, problem);
    if (beside->changes != NULL) {
        int result = changes_stop(beside->changes, &out->changes, problem);
        error = error == 0 ? result : error;
    }
    if (beside->firings != NULL) {
        int result = firings_stop(beside->firings, problem);
        error = error == 0 ? result : error;
    }
    int result = monitor_stop(beside->monitor, &out->monitor, problem);
    return error == 0 ? result : error;
}

int beside_read(struct beside *beside, struct beside_result *out,
                char problem[BESIDE_PROBLEM_BYTES])
{
    return beside->firings != NULL ? firings_read(beside->firings, &out->firings, problem) : 0;
}

void beside_result_free(struct beside_result *result)
{
    queries_result_free(&result->queries);
    changes_result_free(&result->changes);
    firings_result_free(&result->firings);
}

void beside_close(struct beside *beside)
{
    queries_close(beside->queries);
    changes_close(beside->changes);
    firings_close(beside->firings);
    monitor_close(beside->monitor);
    *beside = (struct beside){0};
}
