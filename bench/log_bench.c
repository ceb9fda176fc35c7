/* Log alone: what group commit and the disk can do, without engine or network.
 *
 *     log_bench [directory] [auto|io_uring|posix] [seconds]
 *
 * First one group at a time, each waited for: the latency of a commit by its size. Then as a busy
 * server does it: while one group is being written the next one fills with requests of 8,190
 * records, as large as a block may get. Segments are made in the background as in the server. */
#include "bench/clock.h"
#include "bench/device_probe.h"
#include "bench/scratch.h"
#include "engine/ledger.h"
#include "wal/log.h"

#include <errno.h>
#include <hdr_histogram.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMMITS_MAX = 20000,
    SEGMENTS_AHEAD = 4,
    SEGMENT_WAIT_NS = 100 * 1000 * 1000,
};

struct bench {
    struct directory directory;
    struct io *io;
    struct log log;
    void *window;
    struct hdr_histogram *latency_ns;
    uint64_t duration_ns; /* of one measurement */
    uint64_t full_ns;     /* time without a segment to write to */
    uint64_t records;     /* made in this measurement */
};

static int wait_turn(struct bench *bench, uint64_t timeout_ns)
{
    struct io_op *done[IO_BATCH_MAX];
    int count = io_wait(bench->io, done, timeout_ns, 0);
    for (int i = 0; i < count; i++) {
        if (done[i]->owner == LOG_OWNER_WRITE)
            log_write_done(&bench->log);
        else if (done[i]->owner == LOG_OWNER_SEGMENT)
            log_segments_run(&bench->log, clock_now_ns(), true);
    }
    log_segments_run(&bench->log, clock_now_ns(), false);
    return count < 0 ? count : 0;
}

static void records_make(struct bench *bench, union record *records, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = ++bench->records;
        records[i].transfer = (struct giro_transfer){
            .id = number,
            .debit_account_id = number % 1009 + 1,
            .credit_account_id = number % 1013 + 1,
            .amount = number % 1021 + 1,
            .ledger = 1,
            .code = 1,
            .timestamp = number,
        };
    }
}

/* Adds one group of records to the open block. Returns 1, 0 when the block is full, or -errno. */
static int group_add(struct bench *bench, uint32_t count)
{
    for (;;) {
        union record *records;
        uint64_t address;
        switch (log_reserve(&bench->log, count, &records, &address)) {
        case LOG_ROOM:
            records_make(bench, records, count);
            log_commit(&bench->log, count);
            return 1;
        case LOG_BUSY:
            return 0;
        case LOG_FULL:
        default:
            break;
        }
        uint64_t start_ns = clock_now_ns();
        int error = wait_turn(bench, SEGMENT_WAIT_NS);
        if (error != 0)
            return error;
        bench->full_ns += clock_now_ns() - start_ns;
    }
}

/* One group after the other, each waited for. */
static int commits_measure(struct bench *bench, uint32_t group)
{
    uint64_t start_ns = clock_now_ns();
    uint64_t commits = 0;
    hdr_reset(bench->latency_ns);
    while (commits < COMMITS_MAX && clock_now_ns() - start_ns < bench->duration_ns) {
        int error = group_add(bench, group);
        if (error < 0)
            return error;
        uint64_t before_ns = clock_now_ns();
        log_flush(&bench->log, clock_wall_ns());
        while (error >= 0 && bench->log.in_flight)
            error = wait_turn(bench, NS_PER_S);
        if (error < 0)
            return error;
        hdr_record_value(bench->latency_ns, (int64_t)(clock_now_ns() - before_ns));
        commits++;
    }
    printf("%8u records a commit, alone   p50 %6.0f us  p99 %6.0f us  p99.9 %6.0f us  %8.0f /s\n",
           group, (double)hdr_value_at_percentile(bench->latency_ns, 50) / 1e3,
           (double)hdr_value_at_percentile(bench->latency_ns, 99) / 1e3,
           (double)hdr_value_at_percentile(bench->latency_ns, 99.9) / 1e3,
           (double)commits / ((double)(clock_now_ns() - start_ns) / 1e9));
    return 0;
}

/* As many records as the log takes. */
static int busy_measure(struct bench *bench, const struct device_probe *device)
{
    uint64_t start_ns = clock_now_ns();
    uint64_t first_byte = bench->log.open_begin;
    uint64_t first_block = bench->log.blocks_written;
    bench->records = 0;
    bench->full_ns = 0;
    while (clock_now_ns() - start_ns < bench->duration_ns) {
        int added = group_add(bench, LEDGER_EVENTS_MAX);
        if (added < 0)
            return added;
        log_flush(&bench->log, clock_wall_ns());
        int error = wait_turn(bench, added == 0 && bench->log.in_flight ? NS_PER_S : 0);
        if (error != 0)
            return error;
    }
    double seconds = (double)(clock_now_ns() - start_ns) / 1e9;
    double bytes = (double)(bench->log.open_begin - first_byte);
    uint64_t blocks = bench->log.blocks_written - first_block;
    printf("    busy: %.2f M records/s, %.0f MB/s (%.0f%% of the device's 1 MiB writes), "
           "%.0f KB a block, %.1f%% of the time without a segment\n",
           (double)bench->records / seconds / 1e6, bytes / seconds / 1e6,
           100.0 * bytes / seconds / device->synced_1m_bytes_per_second,
           blocks > 0 ? bytes / (double)blocks / 1e3 : 0.0,
           100.0 * (double)bench->full_ns / 1e9 / seconds);
    return 0;
}

static int bench_measure(struct bench *bench, const struct device_probe *device)
{
    static const uint32_t groups[] = {1, 8, 64, 512, LEDGER_EVENTS_MAX};
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < sizeof groups / sizeof groups[0]; i++)
        error = commits_measure(bench, groups[i]);
    if (error == 0)
        error = busy_measure(bench, device);
    while (error == 0 && !log_quiet(&bench->log))
        error = wait_turn(bench, NS_PER_S);
    return error;
}

/* Formats a log and opens it as the server does. */
static int bench_open(struct bench *bench, const char *data, enum io_mode mode, struct error *error)
{
    const struct directory_options format = {
        .segment_bytes = DIRECTORY_SEGMENT_BYTES_DEFAULT,
        .segments_ahead = SEGMENTS_AHEAD,
        .shard_count = 1,
    };
    const struct log_options options = {
        .window_bytes = LOG_WINDOW_BYTES_DEFAULT,
        .block_bytes_max = LOG_BLOCK_BYTES_DEFAULT,
        .segments_ahead = SEGMENTS_AHEAD,
    };
    int result = directory_format(data, &format, error);
    if (result == 0)
        result = directory_open(data, DIRECTORY_EXCLUSIVE, 1, &bench->directory, error);
    if (result == 0)
        result = io_open(mode, &bench->io, error);
    if (result != 0)
        return result;
    bench->window = log_window_make(options.window_bytes);
    uint32_t *map = NULL;
    if (bench->window == NULL || log_map_init(&map) != 0)
        return error_set(error, -ENOMEM, "out of memory");
    struct log_reader reader;
    const struct block_header *header;
    result = log_reader_open(&reader, &bench->directory, bench->window, options.window_bytes, NULL,
                             error);
    while (result == 0 && (result = log_reader_next(&reader, &header, error)) > 0)
        result = 0;
    if (result == 0)
        result = log_open(&bench->log, bench->io, &reader, &options, error);
    bench->log.chunk_blocks = map;
    log_reader_close(&reader);
    return result;
}

static int run(const char *parent, enum io_mode mode, uint64_t seconds)
{
    char path[PATH_MAX];
    char data[PATH_MAX + 8];
    struct device_probe device;
    static struct bench bench;
    struct error error = {0};
    int result = device_probe_run(parent, &device);
    if (result == 0)
        result = scratch_make(parent, path, sizeof path);
    if (result != 0 || hdr_init(1, 60 * (int64_t)NS_PER_S, 3, &bench.latency_ns) != 0) {
        fprintf(stderr, "log_bench: %s: %s\n", parent, strerror(-result));
        return 1;
    }
    bench.duration_ns = seconds * NS_PER_S;
    snprintf(data, sizeof data, "%s/data", path);
    result = bench_open(&bench, data, mode, &error);
    if (result != 0) {
        fprintf(stderr, "log_bench: %s\n", error.text);
    } else {
        printf("device: synced 4 KiB p50 %.0f us, p99 %.0f us; synced 1 MiB %.0f MB/s; I/O %s\n",
               device.synced_4k_us_p50, device.synced_4k_us_p99,
               device.synced_1m_bytes_per_second / 1e6, io_name(bench.io));
        result = bench_measure(&bench, &device);
        if (result != 0)
            fprintf(stderr, "log_bench: I/O: %s\n", strerror(-result));
    }
    scratch_remove(path);
    return result == 0 ? 0 : 1; /* the rest ends with the process */
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"auto", "io_uring", "posix"}; /* as enum io_mode */
    const char *directory = argc > 1 ? argv[1] : ".";
    uint64_t seconds = argc > 3 ? strtoull(argv[3], NULL, 10) : 2;
    for (uint32_t mode = 0; mode < sizeof modes / sizeof modes[0]; mode++) {
        if (seconds > 0 && strcmp(argc > 2 ? argv[2] : "auto", modes[mode]) == 0)
            return run(directory, (enum io_mode)mode, seconds);
    }
    fprintf(stderr, "usage: log_bench [directory] [auto|io_uring|posix] [seconds]\n");
    return 2;
}
