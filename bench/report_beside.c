#include "bench/report_beside.h"

#include <stdio.h>

static double per_second(uint64_t count, uint64_t elapsed_ns)
{
    return elapsed_ns == 0 ? 0.0 : (double)count / ((double)elapsed_ns / 1e9);
}

static double percentile_us(const struct hdr_histogram *histogram, double percentile)
{
    return (double)hdr_value_at_percentile(histogram, percentile) / 1e3;
}

/* ---- The table --------------------------------------------------------------------------- */

static void latency_print(const char *name, uint64_t count, double rate, double records,
                          const struct hdr_histogram *histogram)
{
    printf("  %-24s %10llu %9.0f %8.1f | %7.0f %7.0f %7.0f %8.0f %8.0f\n", name,
           (unsigned long long)count, rate, records, percentile_us(histogram, 50),
           percentile_us(histogram, 90), percentile_us(histogram, 99),
           percentile_us(histogram, 99.9), (double)hdr_max(histogram) / 1e3);
}

static void head_print(uint32_t number, const char *what)
{
    printf("run %u %-20s %10s %9s %8s | %7s %7s %7s %8s %8s\n", number, what, "count", "/s",
           "records", "p50 us", "p90", "p99", "p99.9", "max");
}

static void queries_print(uint32_t number, const struct queries_result *queries)
{
    uint64_t count = 0;
    uint64_t records = 0;
    struct hdr_histogram *all = NULL;
    if (queries->latency_ns[0] == NULL || hdr_init(1, 600000000000, 3, &all) != 0)
        return;
    head_print(number, "queries");
    for (uint32_t kind = 0; kind < QUERIES_KINDS; kind++) {
        if (queries->count[kind] == 0)
            continue;
        latency_print(queries_names[kind], queries->count[kind],
                      per_second(queries->count[kind], queries->elapsed_ns),
                      (double)queries->records[kind] / (double)queries->count[kind],
                      queries->latency_ns[kind]);
        count += queries->count[kind];
        records += queries->records[kind];
        hdr_add(all, queries->latency_ns[kind]);
    }
    latency_print("all", count, per_second(count, queries->elapsed_ns),
                  count == 0 ? 0.0 : (double)records / (double)count, all);
    hdr_close(all);
}

static void changes_print(uint32_t number, const struct changes_result *changes)
{
    if (changes->age_ns == NULL)
        return;
    printf("run %u changes: %llu events, %.0f/s, %.0f a reply; from timestamp to arrival p50 %.2f "
           "ms, p99 %.2f ms, max %.2f ms; %llu records behind at the end\n",
           number, (unsigned long long)changes->events,
           per_second(changes->events, changes->elapsed_ns),
           changes->replies == 0 ? 0.0 : (double)changes->events / (double)changes->replies,
           percentile_us(changes->age_ns, 50) / 1e3, percentile_us(changes->age_ns, 99) / 1e3,
           (double)hdr_max(changes->age_ns) / 1e6, (unsigned long long)changes->behind);
}

/* The latencies that were told apart, during apart_ns. */
static void apart_print(uint32_t number, const struct report_run *run, const char *name,
                        uint64_t apart_ns)
{
    const struct load_result *load = &run->load;
    const uint64_t apart = (uint64_t)load->latency_apart_ns->total_count;
    const uint64_t rest = (uint64_t)load->latency_rest_ns->total_count;
    const uint64_t rest_ns = load->elapsed_ns > apart_ns ? load->elapsed_ns - apart_ns : 0;
    head_print(number, "requests");
    latency_print(name, apart, per_second(apart, apart_ns), 0.0, load->latency_apart_ns);
    latency_print("the rest", rest, per_second(rest, rest_ns), 0.0, load->latency_rest_ns);
}

static void snapshots_print(uint32_t number, const struct report_run *run)
{
    const struct monitor_result *monitor = &run->beside.monitor;
    if (!report_tells_apart(run) || run->beside.firings.count > 0)
        return;
    apart_print(number, run, "while a snapshot ran", monitor->running_ns);
    printf("run %u snapshots: written for %.2f s of %.2f s;", number,
           (double)monitor->running_ns / 1e9, (double)run->load.elapsed_ns / 1e9);
    for (uint32_t i = 0; i < monitor->snapshot_count; i++)
        printf(" %.2f s %.0f MB", (double)monitor->snapshots[i].took_ns / 1e9,
               (double)monitor->snapshots[i].bytes / 1e6);
    printf("\n");
}

static void firings_print(uint32_t number, const struct report_run *run)
{
    const struct firings_result *firings = &run->beside.firings;
    if (firings->count == 0)
        return;
    apart_print(number, run, "while schedules fired", firings->firing_ns);
    printf(
        "run %u schedules: %u created in %.2f s; fired %u, refused %u, the last one %.3f s after "
        "the first one's time, %.0f/s; late p50 %.2f ms, p99 %.2f ms, max %.2f ms\n",
        number, firings->count, (double)firings->create_ns / 1e9, firings->made, firings->refused,
        (double)firings->fire_ns / 1e9,
        per_second((uint64_t)firings->made + firings->refused, firings->fire_ns),
        percentile_us(firings->late_ns, 50) / 1e3, percentile_us(firings->late_ns, 99) / 1e3,
        (double)hdr_max(firings->late_ns) / 1e6);
}

void report_beside_print(uint32_t number, const struct report_run *run)
{
    queries_print(number, &run->beside.queries);
    changes_print(number, &run->beside.changes);
    snapshots_print(number, run);
    firings_print(number, run);
}

/* ---- JSON -------------------------------------------------------------------------------- */

static json_t *latency_json(const struct hdr_histogram *histogram)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "p50", percentile_us(histogram, 50), "p90",
                     percentile_us(histogram, 90), "p99", percentile_us(histogram, 99), "p999",
                     percentile_us(histogram, 99.9), "max", (double)hdr_max(histogram) / 1e3);
}

static json_t *queries_json(const struct queries_result *queries)
{
    json_t *json = json_object();
    for (uint32_t kind = 0; kind < QUERIES_KINDS; kind++) {
        if (queries->count[kind] == 0)
            continue;
        json_object_set_new(json, queries_names[kind],
                            json_pack("{s:I, s:I, s:f, s:o}", "count",
                                      (json_int_t)queries->count[kind], "records",
                                      (json_int_t)queries->records[kind], "per_second",
                                      per_second(queries->count[kind], queries->elapsed_ns),
                                      "latency_us", latency_json(queries->latency_ns[kind])));
    }
    return json;
}

static json_t *snapshots_json(const struct report_run *run)
{
    const struct monitor_result *monitor = &run->beside.monitor;
    json_t *list = json_array();
    for (uint32_t i = 0; i < monitor->snapshot_count; i++)
        json_array_append_new(list, json_pack("{s:f, s:I}", "seconds",
                                              (double)monitor->snapshots[i].took_ns / 1e9, "bytes",
                                              (json_int_t)monitor->snapshots[i].bytes));
    return json_pack("{s:o, s:f, s:I, s:o, s:I, s:o}", "taken", list, "running_seconds",
                     (double)monitor->running_ns / 1e9, "requests_while_running",
                     (json_int_t)run->load.latency_apart_ns->total_count,
                     "latency_us_while_running", latency_json(run->load.latency_apart_ns),
                     "requests_rest", (json_int_t)run->load.latency_rest_ns->total_count,
                     "latency_us_rest", latency_json(run->load.latency_rest_ns));
}

static json_t *firings_json(const struct report_run *run)
{
    const struct firings_result *firings = &run->beside.firings;
    json_t *json =
        json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:o}", "count", (json_int_t)firings->count,
                  "made", (json_int_t)firings->made, "refused", (json_int_t)firings->refused,
                  "create_seconds", (double)firings->create_ns / 1e9, "fire_seconds",
                  (double)firings->fire_ns / 1e9, "attempts_per_second",
                  per_second((uint64_t)firings->made + firings->refused, firings->fire_ns),
                  "late_us", latency_json(firings->late_ns));
    json_object_update_new(
        json,
        json_pack("{s:f, s:I, s:o, s:I, s:o}", "firing_seconds", (double)firings->firing_ns / 1e9,
                  "requests_while_firing", (json_int_t)run->load.latency_apart_ns->total_count,
                  "latency_us_while_firing", latency_json(run->load.latency_apart_ns),
                  "requests_rest", (json_int_t)run->load.latency_rest_ns->total_count,
                  "latency_us_rest", latency_json(run->load.latency_rest_ns)));
    return json;
}

void report_beside_json(json_t *json, const struct report_run *run)
{
    const struct changes_result *changes = &run->beside.changes;
    json_object_set_new(json, "follower",
                        json_pack("{s:I, s:I}", "lag_max_bytes",
                                  (json_int_t)run->beside.monitor.lag_max_bytes, "throttled",
                                  (json_int_t)run->beside.monitor.throttled));
    json_object_set_new(json, "memory_bytes", json_integer((json_int_t)run->memory_bytes));
    json_object_set_new(json, "snapshot_bytes", json_integer((json_int_t)run->snapshot_bytes));
    if (run->beside.queries.latency_ns[0] != NULL)
        json_object_set_new(json, "queries", queries_json(&run->beside.queries));
    if (changes->age_ns != NULL)
        json_object_set_new(
            json, "changes",
            json_pack("{s:I, s:f, s:I, s:o}", "events", (json_int_t)changes->events, "per_second",
                      per_second(changes->events, changes->elapsed_ns), "behind",
                      (json_int_t)changes->behind, "age_us", latency_json(changes->age_ns)));
    if (run->beside.firings.count > 0)
        json_object_set_new(json, "schedules", firings_json(run));
    else if (report_tells_apart(run))
        json_object_set_new(json, "snapshots", snapshots_json(run));
}
