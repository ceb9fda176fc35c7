/* What the disk can do at this moment: the figures that every result is read against. */
#ifndef BENCH_DEVICE_PROBE_H
#define BENCH_DEVICE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct device_probe {
    double synced_4k_us_p50;
    double synced_4k_us_p99;
    uint32_t synced_4k_writes;
    double synced_1m_bytes_per_second;
    uint32_t synced_1m_writes;
    bool direct; /* whether O_DIRECT was possible */
};

/* Measures the file system of directory for one to two seconds, with a file of its own that it
 * removes: durable (O_DIRECT | O_DSYNC) writes over blocks that hold data already, one at a time;
 * 4 KiB each for the latency, 1 MiB each in sequence for the rate.
 * Returns 0 or -errno; *out is untouched on failure. */
int device_probe_run(const char *directory, struct device_probe *out);

#endif
