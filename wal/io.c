#include "wal/io.h"

#include <errno.h>
#include <time.h>

int io_open(enum io_mode mode, struct io **out_io, struct error *error)
{
    error->text[0] = 0;
    if (mode == IO_MODE_POSIX)
        return io_posix_open(out_io, error);
    int result = io_uring_open(out_io, error);
    if (result == 0 || mode == IO_MODE_URING)
        return result;
    struct error ignored; /* the caller is told why io_uring failed, not twice why posix did */
    return io_posix_open(out_io, &ignored);
}

void io_close(struct io *io)
{
    if (io != NULL)
        io->backend->close(io);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t clock_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

uint64_t clock_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}
