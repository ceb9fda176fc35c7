#include "tests/sim/io.h"

#include "tests/sim/disk.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"
#include "wal/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The references of the program to these functions come here; see meson.build. */
int __wrap_io_open(enum io_mode mode, struct io **out_io, struct error *error);
void __wrap_io_close(struct io *io);
uint64_t __wrap_clock_wall_ns(void);
uint64_t __wrap_clock_monotonic_ns(void);

enum { COMPLETED_MAX = 1024 };

static struct {
    struct io io;
    struct io_op *completed[COMPLETED_MAX];
    uint32_t count;
} backend;

static void completed(void *context, uint64_t unused)
{
    (void)unused;
    if (backend.count == COMPLETED_MAX)
        machine_fail("too many operations are complete");
    backend.completed[backend.count++] = context;
    fiber_wake(&backend, true);
}

void io_complete(struct io_op *op, uint64_t after_ns)
{
    machine_at(machine_now() + after_ns, true, completed, op, 0);
}

void io_life_ended(void)
{
    backend.count = 0;
}

/* What a file operation does happens when it completes. */
static void file_done(void *context, uint64_t unused)
{
    struct io_op *op = context;
    (void)unused;
    switch (op->kind) {
    case IO_LOG_WRITE:
        op->result = disk_log_write_end();
        break;
    case IO_READ:
        op->result = (int32_t)disk_read(op->fd, op->buffer, op->size, op->offset);
        break;
    case IO_WRITE:
        op->result = (int32_t)disk_write(op->fd, op->buffer, op->size, op->offset, true);
        break;
    case IO_FSYNC:
        op->result = disk_sync(op->fd, true);
        break;
    case IO_CREATE:
        op->result = disk_open_file(op->fd, op->path,
                                    O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
        if (op->result >= 0)
            resource_add(RESOURCE_FILE, (uint64_t)op->result, 0);
        break;
    case IO_RENAME:
        op->result = disk_rename(op->fd, op->path, op->path_to);
        break;
    default:
        machine_fail("unknown operation %d", op->kind);
    }
    completed(op, 0);
}

static void submit(struct io *io, struct io_op *op)
{
    (void)io;
    switch (op->kind) {
    case IO_ACCEPT:
    case IO_RECV:
    case IO_RECV_IDLE:
    case IO_SEND:
        network_submit(op);
        return;
    case IO_LOG_WRITE:
        disk_log_write_begin(op->fd, op->buffer, op->size, op->offset);
        break;
    default:
        break;
    }
    uint64_t latency = op->kind == IO_READ ? disk_read_latency() : disk_write_latency();
    machine_at(machine_now() + latency, true, file_done, op, 0);
}

/* Completions come in any order, and some of them later. */
static int take(struct io_op **done)
{
    uint32_t count = backend.count < IO_BATCH_MAX ? backend.count : IO_BATCH_MAX;
    if (count > 1 && random_chance(RANDOM_SCHEDULE, 300))
        count = 1 + (uint32_t)random_below(RANDOM_SCHEDULE, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t from = i + (uint32_t)random_below(RANDOM_SCHEDULE, backend.count - i);
        done[i] = backend.completed[from];
        backend.completed[from] = backend.completed[i];
    }
    backend.count -= count;
    memmove(backend.completed, backend.completed + count,
            backend.count * sizeof backend.completed[0]);
    return (int)count;
}

static int wait(struct io *io, struct io_op **done, uint64_t timeout_ns, uint64_t spin_ns)
{
    uint64_t until = machine_look_monotonic() + timeout_ns;
    (void)io;
    (void)spin_ns;
    fiber_yield();
    while (backend.count == 0 && machine_now() < until)
        (void)fiber_wait(&backend, until);
    return take(done);
}

static void close_backend(struct io *io)
{
    (void)io;
    backend.count = 0;
}

static const struct io_backend simulated = {
    .name = "simulated",
    .submit = submit,
    .wait = wait,
    .close = close_backend,
};

int __wrap_io_open(enum io_mode mode, struct io **out_io, struct error *error)
{
    (void)mode;
    error->text[0] = 0;
    backend.count = 0;
    backend.io.backend = &simulated;
    *out_io = &backend.io;
    return 0;
}

void __wrap_io_close(struct io *io)
{
    io->backend->close(io);
}

uint64_t __wrap_clock_wall_ns(void)
{
    return machine_look_wall();
}

uint64_t __wrap_clock_monotonic_ns(void)
{
    return machine_look_monotonic();
}
