#include "bench/report.h"

#include "bench/clock.h"
#include "bench/report_beside.h"
#include "engine/result.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The figures of a run, each of them a plain number, so that min, median and max of several runs
 * need no code of their own. */
enum figure {
    TRANSFERS_PER_SECOND,
    REQUESTS_PER_SECOND,
    LATENCY_US_P50,
    LATENCY_US_P90,
    LATENCY_US_P99,
    LATENCY_US_P999,
    LATENCY_US_MAX,
    BYTES_ON_DISK_PER_TRANSFER,
    CLIENT_CPU_NS_PER_TRANSFER,
    SERVER_CPU_NS_PER_TRANSFER,
    OTHER_CPU_PERCENT,
    DEVICE_4K_US_P50,
    DEVICE_4K_US_P99,
    DEVICE_1M_BYTES_PER_SECOND,
    FOLLOWER_LAG_MAX_BYTES,
    FOLLOWER_THROTTLED,
    MEMORY_BYTES_PER_ACCOUNT,
    MEMORY_BYTES_PER_TRANSFER,
    DISK_BYTES_PER_TRANSFER,
    FIGURES,
};

static const char *const figure_names[FIGURES] = {
    [TRANSFERS_PER_SECOND] = "transfers_per_second",
    [REQUESTS_PER_SECOND] = "requests_per_second",
    [LATENCY_US_P50] = "latency_us_p50",
    [LATENCY_US_P90] = "latency_us_p90",
    [LATENCY_US_P99] = "latency_us_p99",
    [LATENCY_US_P999] = "latency_us_p999",
    [LATENCY_US_MAX] = "latency_us_max",
    [BYTES_ON_DISK_PER_TRANSFER] = "bytes_on_disk_per_transfer",
    [CLIENT_CPU_NS_PER_TRANSFER] = "client_cpu_ns_per_transfer",
    [SERVER_CPU_NS_PER_TRANSFER] = "server_cpu_ns_per_transfer",
    [OTHER_CPU_PERCENT] = "other_cpu_percent",
    [DEVICE_4K_US_P50] = "device_synced_4k_us_p50",
    [DEVICE_4K_US_P99] = "device_synced_4k_us_p99",
    [DEVICE_1M_BYTES_PER_SECOND] = "device_synced_1m_bytes_per_second",
    [FOLLOWER_LAG_MAX_BYTES] = "follower_lag_max_bytes",
    [FOLLOWER_THROTTLED] = "follower_throttled",
    [MEMORY_BYTES_PER_ACCOUNT] = "memory_bytes_per_account",
    [MEMORY_BYTES_PER_TRANSFER] = "memory_bytes_per_transfer",
    [DISK_BYTES_PER_TRANSFER] = "disk_bytes_per_transfer_with_index",
};

static double percentile_us(const struct load_result *load, double percentile)
{
    return (double)hdr_value_at_percentile(load->latency_ns, percentile) / 1e3;
}

static void figures_of(const struct report_run *run, double figures[FIGURES])
{
    const struct load_result *load = &run->load;
    double seconds = (double)(load->elapsed_ns > 0 ? load->elapsed_ns : 1) / 1e9;
    double transfers = (double)(load->transfers > 0 ? load->transfers : 1);
    double accepted = (double)(load->accepted > 0 ? load->accepted : 1);
    figures[TRANSFERS_PER_SECOND] = (double)load->transfers / seconds;
    figures[REQUESTS_PER_SECOND] = (double)load->requests / seconds;
    figures[LATENCY_US_P50] = percentile_us(load, 50);
    figures[LATENCY_US_P90] = percentile_us(load, 90);
    figures[LATENCY_US_P99] = percentile_us(load, 99);
    figures[LATENCY_US_P999] = percentile_us(load, 99.9);
    figures[LATENCY_US_MAX] = (double)hdr_max(load->latency_ns) / 1e3;
    figures[BYTES_ON_DISK_PER_TRANSFER] = (double)run->log_bytes / accepted;
    figures[CLIENT_CPU_NS_PER_TRANSFER] = (double)load->cpu_ns / transfers;
    figures[SERVER_CPU_NS_PER_TRANSFER] = (double)run->server_cpu_ns / transfers;
    figures[OTHER_CPU_PERCENT] = run->other_cpu_percent;
    figures[DEVICE_4K_US_P50] = run->device.synced_4k_us_p50;
    figures[DEVICE_4K_US_P99] = run->device.synced_4k_us_p99;
    figures[DEVICE_1M_BYTES_PER_SECOND] = run->device.synced_1m_bytes_per_second;
    figures[FOLLOWER_LAG_MAX_BYTES] = (double)run->beside.monitor.lag_max_bytes;
    figures[FOLLOWER_THROTTLED] = (double)run->beside.monitor.throttled;
    figures[MEMORY_BYTES_PER_ACCOUNT] = run->memory_bytes_per_account;
    figures[MEMORY_BYTES_PER_TRANSFER] = run->memory_bytes_per_transfer;
    figures[DISK_BYTES_PER_TRANSFER] = run->disk_bytes_per_transfer;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

struct spread {
    double min;
    double median;
    double max;
};

static double figure_of(const struct report_run *run, enum figure figure)
{
    double figures[FIGURES];
    figures_of(run, figures);
    return figures[figure];
}

/* Of a figure; with another series of as many runs, of its ratios to that one's, run by run: both
 * sides of a ratio had the same minute. */
static struct spread spread_of(const struct report_run *runs, const struct report_run *by,
                               uint32_t count, enum figure figure)
{
    double *values = calloc(count, sizeof *values);
    if (values == NULL)
        return (struct spread){0};
    for (uint32_t i = 0; i < count; i++) {
        values[i] = figure_of(&runs[i], figure);
        if (by != NULL) {
            double divisor = figure_of(&by[i], figure);
            values[i] = divisor > 0 ? values[i] / divisor : 0;
        }
    }
    qsort(values, count, sizeof *values, compare_doubles);
    struct spread spread = {
        .min = values[0],
        .median = (values[(count - 1) / 2] + values[count / 2]) / 2,
        .max = values[count - 1],
    };
    free(values);
    return spread;
}

/* The run in the middle by rate: its figures belong together, unlike medians of each. */
static uint32_t middle_run(const struct report_run *runs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        double figures[FIGURES];
        figures_of(&runs[i], figures);
        uint32_t below = 0;
        for (uint32_t j = 0; j < count; j++) {
            double others[FIGURES];
            figures_of(&runs[j], others);
            double difference = others[TRANSFERS_PER_SECOND] - figures[TRANSFERS_PER_SECOND];
            below += difference < 0 || (difference == 0 && j < i);
        }
        if (below == (count - 1) / 2)
            return i;
    }
    return 0;
}

/* What a ratio of both protocols says something about. */
static const enum figure compared[] = {
    TRANSFERS_PER_SECOND,
    LATENCY_US_P50,
    LATENCY_US_P99,
    CLIENT_CPU_NS_PER_TRANSFER,
    SERVER_CPU_NS_PER_TRANSFER,
    BYTES_ON_DISK_PER_TRANSFER,
};

/* Repeats that have a run of both. */
static uint32_t pair_count(const struct report_runs *runs)
{
    uint32_t native = runs->count[WIRE_NATIVE];
    uint32_t compat = runs->count[WIRE_COMPAT];
    return native < compat ? native : compat;
}

/* The table */

/* "1", or "1 native" where there are others. text: at least 32 bytes. */
static const char *run_name(const struct bench_options *options, enum wire_protocol protocol,
                            const char *what, char text[32])
{
    bool both = options_protocol_count(options) > 1;
    snprintf(text, 32, "%s%s%s", what, both ? " " : "", both ? wire_names[protocol] : "");
    return text;
}

/* How long a part of the run lasts. */
static void extent_print(const char *what, uint64_t transfers, uint64_t seconds)
{
    if (seconds > 0)
        printf(", %s %llu s", what, (unsigned long long)seconds);
    else if (transfers > 0)
        printf(", %s %llu transfers", what, (unsigned long long)transfers);
}

void report_header(const struct bench_options *options)
{
    printf("%u accounts, %u transfers a request, %u connections x %u in flight", options->accounts,
           options->batch, options->connections, options->depth);
    extent_print("warm-up", options->warmup, options->warmup_seconds);
    extent_print("measured", options->transfers, options->seconds);
    printf("\n");
    printf("%s ids, zipf %g, hot accounts %u (%u%%), two-phase %u%%, rejected %u%%, seed %llu, ",
           options->ids_random ? "random" : "time-ordered", options->zipf, options->hot_accounts,
           options->hot_percent, options->two_phase_percent, options->rejected_percent,
           (unsigned long long)options->seed);
    if (options->rate > 0)
        printf("open loop, %llu transfers/s", (unsigned long long)options->rate);
    else
        printf("closed loop");
    for (uint32_t i = 0; i < WIRE_PROTOCOLS; i++) {
        if (options->protocols[i])
            printf(", %s", wire_names[i]);
    }
    printf("\n\n");
    printf("%-13s %11s %10s | %41s | %8s | %19s | %22s | %14s | %15s | %8s\n", "", "", "",
           "latency of a request, us", "log", "cpu ns/transf, other", "device: 4K us, 1M MB/s",
           "follower, most", "memory, B a", "with idx");
    printf("%-13s %11s %10s | %7s %7s %7s %8s %8s | %8s | %6s %6s %6s | %6s %7s %7s | %6s %7s | "
           "%7s %7s | %8s\n",
           "run", "transfers/s", "requests/s", "p50", "p90", "p99", "p99.9", "max", "B/transf",
           "client", "server", "%cores", "p50", "p99", "MB/s", "lag MB", "waits", "account",
           "transf", "B/transf");
    fflush(stdout);
}

static void figures_print(const char *name, const double figures[FIGURES])
{
    printf(
        "%-13s %11.0f %10.0f | %7.0f %7.0f %7.0f %8.0f %8.0f | %8.1f | %6.0f %6.0f %6.1f | %6.0f "
        "%7.0f %7.0f | %6.1f %7.0f | %7.1f %7.1f | %8.1f\n",
        name, figures[TRANSFERS_PER_SECOND], figures[REQUESTS_PER_SECOND], figures[LATENCY_US_P50],
        figures[LATENCY_US_P90], figures[LATENCY_US_P99], figures[LATENCY_US_P999],
        figures[LATENCY_US_MAX], figures[BYTES_ON_DISK_PER_TRANSFER],
        figures[CLIENT_CPU_NS_PER_TRANSFER], figures[SERVER_CPU_NS_PER_TRANSFER],
        figures[OTHER_CPU_PERCENT], figures[DEVICE_4K_US_P50], figures[DEVICE_4K_US_P99],
        figures[DEVICE_1M_BYTES_PER_SECOND] / 1e6, figures[FOLLOWER_LAG_MAX_BYTES] / 1e6,
        figures[FOLLOWER_THROTTLED], figures[MEMORY_BYTES_PER_ACCOUNT],
        figures[MEMORY_BYTES_PER_TRANSFER], figures[DISK_BYTES_PER_TRANSFER]);
    fflush(stdout);
}

void report_run_line(const struct bench_options *options, enum wire_protocol protocol,
                     uint32_t number, const struct report_run *run)
{
    char text[16];
    char name[32];
    double figures[FIGURES];
    snprintf(text, sizeof text, "%u", number);
    figures_of(run, figures);
    figures_print(run_name(options, protocol, text, name), figures);
}

static void spread_print(const struct bench_options *options, enum wire_protocol protocol,
                         const struct report_run *runs, uint32_t count)
{
    char name[32];
    double min[FIGURES];
    double median[FIGURES];
    double max[FIGURES];
    for (uint32_t i = 0; i < FIGURES; i++) {
        struct spread spread = spread_of(runs, NULL, count, (enum figure)i);
        min[i] = spread.min;
        median[i] = spread.median;
        max[i] = spread.max;
    }
    figures_print(run_name(options, protocol, "min", name), min);
    figures_print(run_name(options, protocol, "median", name), median);
    figures_print(run_name(options, protocol, "max", name), max);
}

static void ratios_print(const struct report_runs *runs)
{
    uint32_t count = pair_count(runs);
    if (count == 0)
        return;
    printf("\n%-36s %8s %8s %8s\n", "compat by native, repeat by repeat", "min", "median", "max");
    for (uint32_t i = 0; i < sizeof compared / sizeof compared[0]; i++) {
        struct spread spread =
            spread_of(runs->of[WIRE_COMPAT], runs->of[WIRE_NATIVE], count, compared[i]);
        printf("  %-34s %8.3f %8.3f %8.3f\n", figure_names[compared[i]], spread.min, spread.median,
               spread.max);
    }
}

/* Decimal digits of a u128; text: at least 40 bytes. */
static const char *u128_text(giro_u128 value, char text[40])
{
    char *at = text + 39;
    *at = 0;
    do {
        *--at = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value != 0);
    return at;
}

static void run_notes_print(const struct bench_options *options, enum wire_protocol protocol,
                            uint32_t number, const struct report_run *run)
{
    char debits[40];
    char pending[40];
    char name[32];
    printf("run %u%s: io %s;", number, run_name(options, protocol, "", name), run->io);
    for (uint32_t code = 0; code < LOAD_CODES; code++) {
        if (run->load.codes[code] > 0)
            printf(" %s %llu", giro_transfer_result_name(code),
                   (unsigned long long)run->load.codes[code]);
    }
    for (uint32_t status = 0; status < LOAD_STATUSES; status++) {
        if (run->load.statuses[status] > 0)
            printf(" refused with %s %llu", frame_status_name(status),
                   (unsigned long long)run->load.statuses[status]);
    }
    printf("; unexpected %llu; books %s: posted %s, pending %s",
           (unsigned long long)run->load.unexpected, run->balanced ? "balanced" : "NOT BALANCED",
           u128_text(run->debits_posted, debits), u128_text(run->debits_pending, pending));
    if (run->log_blocks > 0)
        printf("; %.1f requests a log block", (double)run->load.requests / (double)run->log_blocks);
    if (run->memory_bytes > 0)
        printf("; server memory %.0f MB", (double)run->memory_bytes / 1e6);
    if (run->snapshot_bytes > 0)
        printf("; snapshots on disk %.0f MB", (double)run->snapshot_bytes / 1e6);
    printf("\n");
    report_beside_print(number, run);
}

static bool probed_indirectly(const struct report_runs *runs)
{
    for (uint32_t i = 0; i < WIRE_PROTOCOLS; i++) {
        for (uint32_t j = 0; j < runs->count[i]; j++) {
            if (runs->of[i][j].device_known && !runs->of[i][j].device.direct)
                return true;
        }
    }
    return false;
}

void report_summary(const struct bench_options *options, const struct report_runs *runs)
{
    for (uint32_t i = 0; i < WIRE_PROTOCOLS; i++) {
        if (runs->count[i] > 1)
            spread_print(options, (enum wire_protocol)i, runs->of[i], runs->count[i]);
    }
    ratios_print(runs);
    printf("\n");
    for (uint32_t i = 0; i < WIRE_PROTOCOLS; i++) {
        for (uint32_t j = 0; j < runs->count[i]; j++)
            run_notes_print(options, (enum wire_protocol)i, j + 1, &runs->of[i][j]);
    }
    if (probed_indirectly(runs))
        printf("the device was probed without O_DIRECT, which its file system refuses\n");
}

/* JSON */

static json_t *results_json(const struct load_result *load)
{
    json_t *results = json_object();
    for (uint32_t code = 0; code < LOAD_CODES; code++) {
        if (load->codes[code] > 0)
            json_object_set_new(results, giro_transfer_result_name(code),
                                json_integer((json_int_t)load->codes[code]));
    }
    return results;
}

static json_t *statuses_json(const struct load_result *load)
{
    json_t *statuses = json_object();
    for (uint32_t status = 0; status < LOAD_STATUSES; status++) {
        if (load->statuses[status] > 0)
            json_object_set_new(statuses, frame_status_name(status),
                                json_integer((json_int_t)load->statuses[status]));
    }
    return statuses;
}

static json_t *device_json(const struct report_run *run)
{
    if (!run->device_known)
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:b}", "synced_4k_us_p50", run->device.synced_4k_us_p50,
                     "synced_4k_us_p99", run->device.synced_4k_us_p99, "synced_1m_bytes_per_second",
                     run->device.synced_1m_bytes_per_second, "direct", (int)run->device.direct);
}

static json_t *run_json(const struct report_run *run)
{
    const struct load_result *load = &run->load;
    char debits[40];
    char credits[40];
    char debits_pending[40];
    char credits_pending[40];
    double figures[FIGURES];
    figures_of(run, figures);
    json_t *json = json_pack(
        "{s:f, s:f, s:{s:f, s:f, s:f, s:f, s:f}, s:o, s:f, s:f, s:f, s:f, s:o, s:o}",
        "transfers_per_second", figures[TRANSFERS_PER_SECOND], "requests_per_second",
        figures[REQUESTS_PER_SECOND], "latency_us", "p50", figures[LATENCY_US_P50], "p90",
        figures[LATENCY_US_P90], "p99", figures[LATENCY_US_P99], "p999", figures[LATENCY_US_P999],
        "max", figures[LATENCY_US_MAX], "device", device_json(run), "bytes_on_disk_per_transfer",
        figures[BYTES_ON_DISK_PER_TRANSFER], "client_cpu_ns_per_transfer",
        figures[CLIENT_CPU_NS_PER_TRANSFER], "server_cpu_ns_per_transfer",
        figures[SERVER_CPU_NS_PER_TRANSFER], "other_cpu_percent", figures[OTHER_CPU_PERCENT],
        "results", results_json(load), "statuses", statuses_json(load));
    json_t *counts = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s}", "requests", (json_int_t)load->requests,
        "transfers", (json_int_t)load->transfers, "accepted", (json_int_t)load->accepted,
        "unexpected", (json_int_t)load->unexpected, "log_bytes", (json_int_t)run->log_bytes,
        "log_blocks", (json_int_t)run->log_blocks, "seconds", (double)load->elapsed_ns / 1e9, "io",
        run->io);
    json_t *books =
        json_pack("{s:{s:b, s:s, s:s, s:s, s:s}}", "books", "balanced", (int)run->balanced,
                  "debits_posted", u128_text(run->debits_posted, debits), "credits_posted",
                  u128_text(run->credits_posted, credits), "debits_pending",
                  u128_text(run->debits_pending, debits_pending), "credits_pending",
                  u128_text(run->credits_pending, credits_pending));
    json_object_update_new(json, counts);
    json_object_update_new(json, books);
    report_beside_json(json, run);
    return json;
}

static json_t *parameters_json(const struct bench_options *options)
{
    json_t *json = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "server",
        options->spawn ? "spawned" : options->connect, "accounts", (json_int_t)options->accounts,
        "transfers", (json_int_t)options->transfers, "warmup", (json_int_t)options->warmup,
        "seconds", (json_int_t)options->seconds, "warmup_seconds",
        (json_int_t)options->warmup_seconds, "batch", (json_int_t)options->batch, "connections",
        (json_int_t)options->connections, "depth", (json_int_t)options->depth, "rate",
        (json_int_t)options->rate, "loop", options->rate > 0 ? "open" : "closed");
    json_t *mix =
        json_pack("{s:f, s:I, s:I, s:s, s:I, s:I, s:I, s:I}", "zipf", options->zipf, "hot_accounts",
                  (json_int_t)options->hot_accounts, "hot_percent",
                  (json_int_t)options->hot_percent, "ids", options->ids_random ? "random" : "time",
                  "two_phase_percent", (json_int_t)options->two_phase_percent, "rejected_percent",
                  (json_int_t)options->rejected_percent, "repeat", (json_int_t)options->repeat,
                  "seed", (json_int_t)options->seed);
    json_t *protocols = json_array();
    for (uint32_t i = 0; i < WIRE_PROTOCOLS; i++) {
        if (options->protocols[i])
            json_array_append_new(protocols, json_string(wire_names[i]));
    }
    json_object_set_new(json, "protocols", protocols);
    json_object_update_new(json, mix);
    json_object_update_new(
        json,
        json_pack("{s:I, s:b, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I}", "history_percent",
                  (json_int_t)options->history_percent, "user_data", (int)options->user_data,
                  "queries", (json_int_t)options->queries, "query_rate",
                  (json_int_t)options->query_rate, "changes", (json_int_t)options->changes,
                  "changes_from", options->changes_from_end ? "end" : "beginning", "snapshot_every",
                  (json_int_t)options->snapshot_every, "schedules", (json_int_t)options->schedules,
                  "schedules_after", (json_int_t)options->schedules_after, "schedules_within",
                  (json_int_t)options->schedules_within));
    return json;
}

static void line_read(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    line[0] = 0;
    if (file == NULL)
        return;
    if (fgets(line, size, file) != NULL)
        line[strcspn(line, "\n")] = 0;
    fclose(file);
}

static json_t *machine_json(const struct bench_options *options, const char *directory)
{
    char congestion[32];
    struct utsname name = {0};
    uname(&name);
    line_read("/proc/sys/net/ipv4/tcp_congestion_control", congestion, sizeof congestion);
    return json_pack("{s:s, s:s, s:I, s:s, s:s}", "kernel", name.release, "machine", name.machine,
                     "cpu_count", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "device_directory",
                     directory, "tcp_congestion",
                     options->congestion != NULL ? options->congestion : congestion);
}

/* by: as in spread_of(). */
static json_t *summary_json(const struct report_run *runs, const struct report_run *by,
                            uint32_t count)
{
    json_t *summary = json_object();
    for (uint32_t i = 0; i < FIGURES; i++) {
        struct spread spread = spread_of(runs, by, count, (enum figure)i);
        json_object_set_new(summary, figure_names[i],
                            json_pack("{s:f, s:f, s:f}", "min", spread.min, "median", spread.median,
                                      "max", spread.max));
    }
    return summary;
}

/* The runs over one protocol. */
static json_t *runs_json(const struct report_run *runs, uint32_t count)
{
    json_t *json = run_json(&runs[middle_run(runs, count)]);
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, run_json(&runs[i]));
    json_object_set_new(json, "summary", summary_json(runs, NULL, count));
    json_object_set_new(json, "repeats", list);
    return json;
}

/* With more than one protocol, an object of each, and their ratios. */
static json_t *all_json(const struct bench_options *options, const struct report_runs *runs)
{
    json_t *json = json_object();
    for (uint32_t i = 0; i < WIRE_PROTOCOLS; i++) {
        if (runs->count[i] == 0)
            continue;
        json_t *protocol = runs_json(runs->of[i], runs->count[i]);
        if (options_protocol_count(options) == 1) {
            json_decref(json);
            return protocol;
        }
        json_object_set_new(json, wire_names[i], protocol);
    }
    if (pair_count(runs) > 0)
        json_object_set_new(
            json, "compat_by_native",
            summary_json(runs->of[WIRE_COMPAT], runs->of[WIRE_NATIVE], pair_count(runs)));
    return json;
}

int report_json(const struct bench_options *options, const char *directory,
                const struct report_runs *runs)
{
    json_t *json = all_json(options, runs);
    json_object_set_new(json, "parameters", parameters_json(options));
    json_object_set_new(json, "machine", machine_json(options, directory));
    const size_t flags = JSON_INDENT(2) | JSON_REAL_PRECISION(9);
    int failed;
    if (options->json_path == NULL || strcmp(options->json_path, "-") == 0) {
        failed = json_dumpf(json, stdout, flags);
        printf("\n");
        failed |= fflush(stdout);
    } else {
        failed = json_dump_file(json, options->json_path, flags);
    }
    json_decref(json);
    return failed == 0 ? 0 : -EIO;
}
