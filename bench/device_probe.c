#include "bench/device_probe.h"

#include "bench/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <hdr_histogram.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SMALL_BYTES = 4096,
    LARGE_BYTES = 1 << 20,
    FILE_BYTES = 64 << 20,
    SMALL_WRITES_MIN = 500,
    SMALL_WRITES_MAX = 5000,
    LARGE_WRITES_MIN = 16,
    LARGE_WRITES_MAX = 1024,
};

#define SMALL_TIME_NS (NS_PER_S * 7 / 10) /* stop then, once the minimum is reached ... */
#define LARGE_TIME_NS (NS_PER_S * 4 / 10)
#define TIME_MAX_NS (3 * NS_PER_S) /* ... and then in any case */

static int write_at(int fd, const uint8_t *bytes, size_t size, uint64_t offset)
{
    ssize_t written = pwrite(fd, bytes, size, (off_t)offset);
    if (written < 0)
        return -errno;
    return (size_t)written == size ? 0 : -EIO;
}

/* Gives the file its blocks: writing into holes would measure their allocation. */
static int file_fill(int fd, const uint8_t *bytes)
{
    int error = 0;
    for (uint64_t offset = 0; error == 0 && offset < FILE_BYTES; offset += LARGE_BYTES)
        error = write_at(fd, bytes, LARGE_BYTES, offset);
    return error;
}

static int probe_small(int fd, uint8_t *bytes, struct device_probe *out)
{
    struct hdr_histogram *latency_ns = NULL;
    if (hdr_init(1, 60 * NS_PER_S, 3, &latency_ns) != 0)
        return -ENOMEM;
    int error = 0;
    uint64_t start_ns = clock_now_ns();
    uint64_t before_ns = start_ns;
    uint32_t writes = 0;
    while (error == 0 && writes < SMALL_WRITES_MAX) {
        uint64_t spent_ns = before_ns - start_ns;
        if (spent_ns > TIME_MAX_NS || (spent_ns > SMALL_TIME_NS && writes >= SMALL_WRITES_MIN))
            break;
        memcpy(bytes, &before_ns, sizeof before_ns); /* no two writes alike */
        error = write_at(fd, bytes, SMALL_BYTES, (uint64_t)writes * SMALL_BYTES % FILE_BYTES);
        uint64_t after_ns = clock_now_ns();
        hdr_record_value(latency_ns, (int64_t)(after_ns - before_ns));
        before_ns = after_ns;
        writes++;
    }
    out->synced_4k_us_p50 = (double)hdr_value_at_percentile(latency_ns, 50) / 1e3;
    out->synced_4k_us_p99 = (double)hdr_value_at_percentile(latency_ns, 99) / 1e3;
    out->synced_4k_writes = writes;
    hdr_close(latency_ns);
    return error;
}

static int probe_large(int fd, uint8_t *bytes, struct device_probe *out)
{
    int error = 0;
    uint64_t start_ns = clock_now_ns();
    uint64_t now_ns = start_ns;
    uint32_t writes = 0;
    while (error == 0 && writes < LARGE_WRITES_MAX) {
        uint64_t spent_ns = now_ns - start_ns;
        if (spent_ns > TIME_MAX_NS || (spent_ns > LARGE_TIME_NS && writes >= LARGE_WRITES_MIN))
            break;
        memcpy(bytes, &now_ns, sizeof now_ns);
        error = write_at(fd, bytes, LARGE_BYTES, (uint64_t)writes * LARGE_BYTES % FILE_BYTES);
        now_ns = clock_now_ns();
        writes++;
    }
    out->synced_1m_bytes_per_second =
        (double)writes * LARGE_BYTES / ((double)(now_ns - start_ns) / 1e9);
    out->synced_1m_writes = writes;
    return error;
}

/* A file that has no name any more, so that nothing is left behind. */
static int file_open(const char *directory, bool *out_direct)
{
    char path[4096];
    int size = snprintf(path, sizeof path, "%s/giro-probe-%ld", directory, (long)getpid());
    if (size < 0 || (size_t)size >= sizeof path)
        return -ENAMETOOLONG;
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_DSYNC;
    *out_direct = true;
    int fd = open(path, flags | O_DIRECT, 0600);
    if (fd < 0 && errno == EINVAL) {
        unlink(path); /* some file systems create it before they refuse the flag */
        *out_direct = false;
        fd = open(path, flags, 0600);
    }
    if (fd < 0)
        return -errno;
    unlink(path);
    return fd;
}

int device_probe_run(const char *directory, struct device_probe *out)
{
    struct device_probe probe = {0};
    uint8_t *bytes = aligned_alloc(SMALL_BYTES, LARGE_BYTES);
    if (bytes == NULL)
        return -ENOMEM;
    uint64_t random = 1;
    for (size_t at = 0; at < LARGE_BYTES; at += sizeof random) {
        uint64_t word = random_next(&random); /* devices know zeros */
        memcpy(bytes + at, &word, sizeof word);
    }
    int fd = file_open(directory, &probe.direct);
    int error = fd < 0 ? fd : 0;
    if (error == 0)
        error = file_fill(fd, bytes);
    if (error == 0)
        error = probe_small(fd, bytes, &probe);
    if (error == 0)
        error = probe_large(fd, bytes, &probe);
    if (fd >= 0)
        close(fd);
    free(bytes);
    if (error == 0)
        *out = probe;
    return error;
}
