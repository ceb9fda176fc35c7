/* The I/O seam: every byte that the shard reads or writes while it serves goes through here.
 *
 * An operation is a struct io_op that its owner fills, submits, and gets back from io_wait() with
 * `result` set: bytes or a descriptor, or -errno. Between the two the operation and its buffer
 * belong to the backend. There are no callbacks: the shard's loop looks at `owner` and decides.
 *
 * Two backends do the same work:
 *   io_uring   one ring for sockets and files (SINGLE_ISSUER, DEFER_TASKRUN)
 *   posix      epoll for sockets, one thread for log writes, one for the other file work; for
 *              containers that forbid io_uring
 *
 * A backend belongs to the thread that opened it. */
#ifndef WAL_IO_H
#define WAL_IO_H

#include "wal/error.h"

#include <stdint.h>

enum io_kind {
    IO_ACCEPT,    /* fd: listening socket; result: the new one, non-blocking */
    IO_RECV,      /* fd, buffer, size; result 0: the peer closed */
    IO_RECV_IDLE, /* the same where nothing is expected to be there yet */
    IO_SEND,      /* fd, buffer, size; may send less */
    IO_LOG_WRITE, /* fd, buffer, size, offset: on stable storage when it completes */
    IO_READ,      /* fd, buffer, size, offset */
    IO_WRITE,     /* fd, buffer, size, offset: not synced */
    IO_FSYNC,     /* fd */
    IO_CREATE,    /* fd: directory; path; result: descriptor, O_RDWR | O_DIRECT, file emptied */
    IO_RENAME,    /* fd: directory; path to path_to */
};

struct io_op {
    enum io_kind kind;
    int fd;
    void *buffer;
    const char *path;
    const char *path_to;
    uint64_t offset;
    uint64_t size;
    int32_t owner;      /* the owner's own tag */
    int32_t result;     /* after completion */
    struct io_op *next; /* the backend's, while submitted */
};

enum io_mode {
    IO_MODE_AUTO,  /* io_uring, or posix where it is forbidden */
    IO_MODE_URING, /* fail where it is forbidden */
    IO_MODE_POSIX,
};

enum { IO_BATCH_MAX = 256 }; /* completions that one io_wait() reports at most */

struct io;

struct io_backend {
    const char *name;
    void (*submit)(struct io *io, struct io_op *op);
    int (*wait)(struct io *io, struct io_op **done, uint64_t timeout_ns, uint64_t spin_ns);
    void (*close)(struct io *io);
};

struct io {
    const struct io_backend *backend;
};

/* Opens a backend. With IO_MODE_AUTO, error->text says why io_uring was not taken when it was not,
 * and is empty otherwise. Returns 0 or -errno with the reason. */
int io_open(enum io_mode mode, struct io **out_io, struct error *error);
void io_close(struct io *io);

/* Queues an operation; it reaches the kernel at the latest with the next io_wait(). */
static inline void io_submit(struct io *io, struct io_op *op)
{
    io->backend->submit(io, op);
}

/* Waits until an operation completes or the time is over (0: only looks). spin_ns: look again and
 * again for so long, giving way to others in between, before going to sleep; a hint. done: room for
 * IO_BATCH_MAX. Returns how many completed, or -errno when the backend itself failed. */
static inline int io_wait(struct io *io, struct io_op **done, uint64_t timeout_ns, uint64_t spin_ns)
{
    return io->backend->wait(io, done, timeout_ns, spin_ns);
}

static inline const char *io_name(const struct io *io)
{
    return io->backend->name;
}

/* The backends behind io_open(). */
int io_uring_open(struct io **out_io, struct error *error);
int io_posix_open(struct io **out_io, struct error *error);

/* Nanoseconds: since the epoch, and of a clock that never jumps. */
uint64_t clock_wall_ns(void);
uint64_t clock_monotonic_ns(void);

#endif
