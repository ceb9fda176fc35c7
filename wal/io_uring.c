/* io_uring backend: one ring, used by one thread.
 *
 * DEFER_TASKRUN makes completions run only when this thread asks for them, so the kernel never
 * interrupts the engine in the middle of a request. Waiting blocks: a loop that spins on the ring
 * starves the kernel thread that issues the flush on devices without FUA. */
#include "wal/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    RING_ENTRIES = 1024,
    RING_COMPLETIONS = 65536, /* every connection may have two operations under way */
};

struct io_uring_backend {
    struct io io;
    struct io_uring ring;
};

static struct io_uring_sqe *sqe_get(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    while (sqe == NULL) {
        /* The queue is full: hand over what is there. EBUSY: completions must be reaped first. */
        int submitted = io_uring_submit(ring);
        if (submitted == -EBUSY)
            (void)io_uring_get_events(ring);
        sqe = io_uring_get_sqe(ring);
    }
    return sqe;
}

static void uring_submit(struct io *io, struct io_op *op)
{
    struct io_uring *ring = &((struct io_uring_backend *)io)->ring;
    struct io_uring_sqe *sqe = sqe_get(ring);
    unsigned size = (unsigned)op->size;
    switch (op->kind) {
    case IO_ACCEPT:
        io_uring_prep_accept(sqe, op->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        break;
    case IO_RECV:
        io_uring_prep_recv(sqe, op->fd, op->buffer, op->size, 0);
        break;
    case IO_RECV_IDLE:
        io_uring_prep_recv(sqe, op->fd, op->buffer, op->size, 0);
        sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
        break;
    case IO_SEND:
        io_uring_prep_send(sqe, op->fd, op->buffer, op->size, MSG_NOSIGNAL);
        break;
    case IO_LOG_WRITE:
        io_uring_prep_write(sqe, op->fd, op->buffer, size, op->offset);
        sqe->rw_flags = RWF_DSYNC;
        break;
    case IO_READ:
        io_uring_prep_read(sqe, op->fd, op->buffer, size, op->offset);
        break;
    case IO_WRITE:
        io_uring_prep_write(sqe, op->fd, op->buffer, size, op->offset);
        break;
    case IO_FSYNC:
        io_uring_prep_fsync(sqe, op->fd, 0);
        break;
    case IO_CREATE:
        io_uring_prep_openat(sqe, op->fd, op->path,
                             O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
        break;
    case IO_RENAME:
        io_uring_prep_renameat(sqe, op->fd, op->path, op->fd, op->path_to, 0);
        break;
    }
    io_uring_sqe_set_data(sqe, op);
}

static int uring_reap(struct io_uring *ring, struct io_op **done)
{
    struct io_uring_cqe *cqes[IO_BATCH_MAX];
    unsigned count = io_uring_peek_batch_cqe(ring, cqes, IO_BATCH_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct io_op *op = io_uring_cqe_get_data(cqes[i]);
        op->result = cqes[i]->res;
        done[i] = op;
    }
    io_uring_cq_advance(ring, count);
    return (int)count;
}

/* Looks for completions until there is one or the time is over. Yields after every look: on devices
 * without FUA the flush is issued by a kernel thread, perhaps on this very core. */
static int uring_spin(struct io_uring *ring, uint64_t spin_ns)
{
    uint64_t until = clock_monotonic_ns() + spin_ns;
    int result;
    do {
        result = io_uring_submit_and_get_events(ring);
        if (result < 0 || io_uring_cq_ready(ring) != 0)
            return result;
        (void)sched_yield();
    } while (clock_monotonic_ns() < until);
    return result;
}

static int uring_wait(struct io *io, struct io_op **done, uint64_t timeout_ns, uint64_t spin_ns)
{
    struct io_uring *ring = &((struct io_uring_backend *)io)->ring;
    int result = 0;
    if (spin_ns != 0 && timeout_ns != 0)
        result = uring_spin(ring, spin_ns);
    if (result < 0)
        return result == -EINTR || result == -EAGAIN || result == -EBUSY ? uring_reap(ring, done)
                                                                         : result;
    if (timeout_ns == 0 || io_uring_cq_ready(ring) != 0) {
        result = io_uring_submit_and_get_events(ring);
    } else {
        struct io_uring_cqe *cqe;
        struct __kernel_timespec timeout = {
            .tv_sec = (long long)(timeout_ns / 1000000000ull),
            .tv_nsec = (long long)(timeout_ns % 1000000000ull),
        };
        result = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &timeout, NULL);
    }
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN && result != -EBUSY)
        return result;
    return uring_reap(ring, done);
}

static void uring_close(struct io *io)
{
    struct io_uring_backend *backend = (struct io_uring_backend *)io;
    io_uring_queue_exit(&backend->ring);
    free(backend);
}

static const struct io_backend uring_backend = {
    .name = "io_uring",
    .submit = uring_submit,
    .wait = uring_wait,
    .close = uring_close,
};

int io_uring_open(struct io **out_io, struct error *error)
{
    struct io_uring_backend *backend = calloc(1, sizeof *backend);
    if (backend == NULL)
        return error_set(error, -ENOMEM, "out of memory");
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = RING_COMPLETIONS,
    };
    int result = io_uring_queue_init_params(RING_ENTRIES, &backend->ring, &params);
    if (result < 0) {
        free(backend);
        return error_set(error, result,
                         "io_uring is not available (%s): allow it in the container's seccomp "
                         "profile, set kernel.io_uring_disabled=0, raise LimitMEMLOCK, or use "
                         "--io posix",
                         strerror(-result));
    }
    (void)io_uring_register_ring_fd(&backend->ring);
    backend->io.backend = &uring_backend;
    *out_io = &backend->io;
    return 0;
}
