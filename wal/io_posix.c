/* posix backend: the same operations without io_uring.
 *
 * Sockets are tried at once and, when they would block, wait in epoll. Files are worked on by two
 * threads, one for log writes and one for everything else, so that zeroing a new segment never
 * delays a commit. A thread hands finished operations back through a list and an eventfd. */
#include "wal/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { EVENTS_MAX = IO_BATCH_MAX, LANES = 2, DESCRIPTORS_MAX = 1 << 20 };

struct op_list {
    struct io_op *first;
    struct io_op *last;
};

struct posix_backend;

/* A thread and its queue. */
struct lane {
    struct posix_backend *backend;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct op_list queue;
    bool stop;
    bool started;
};

/* What waits on a socket: one operation for each direction at most. */
struct waiter {
    struct io_op *input; /* accept or recv */
    struct io_op *output;
    bool registered;
};

struct posix_backend {
    struct io io;
    int epoll;
    int event; /* the lanes ring it */
    struct lane lanes[LANES];
    struct waiter *waiters; /* by descriptor */
    uint32_t waiters_count;
    struct op_list ready; /* finished, not yet reported */
    pthread_mutex_t finished_mutex;
    struct op_list finished; /* by the lanes */
};

static void list_push(struct op_list *list, struct io_op *op)
{
    op->next = NULL;
    if (list->last == NULL)
        list->first = op;
    else
        list->last->next = op;
    list->last = op;
}

static struct io_op *list_pop(struct op_list *list)
{
    struct io_op *op = list->first;
    if (op != NULL) {
        list->first = op->next;
        if (list->first == NULL)
            list->last = NULL;
    }
    return op;
}

static int32_t file_execute(const struct io_op *op)
{
    struct iovec vector = {.iov_base = op->buffer, .iov_len = op->size};
    ssize_t result = -1;
    errno = EINVAL;
    switch (op->kind) {
    case IO_LOG_WRITE:
        result = pwritev2(op->fd, &vector, 1, (off_t)op->offset, RWF_DSYNC);
        break;
    case IO_WRITE:
        result = pwritev2(op->fd, &vector, 1, (off_t)op->offset, 0);
        break;
    case IO_READ:
        result = preadv2(op->fd, &vector, 1, (off_t)op->offset, 0);
        break;
    case IO_FSYNC:
        result = fsync(op->fd);
        break;
    case IO_CREATE:
        result = openat(op->fd, op->path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
        break;
    case IO_RENAME:
        result = renameat(op->fd, op->path, op->fd, op->path_to);
        break;
    case IO_ACCEPT:
    case IO_RECV:
    case IO_RECV_IDLE:
    case IO_SEND:
        break;
    }
    return result < 0 ? -errno : (int32_t)result;
}

static void *lane_run(void *argument)
{
    struct lane *lane = argument;
    struct posix_backend *backend = lane->backend;
    for (;;) {
        pthread_mutex_lock(&lane->mutex);
        while (lane->queue.first == NULL && !lane->stop)
            pthread_cond_wait(&lane->wake, &lane->mutex);
        struct io_op *op = list_pop(&lane->queue);
        pthread_mutex_unlock(&lane->mutex);
        if (op == NULL)
            return NULL;
        op->result = file_execute(op);
        pthread_mutex_lock(&backend->finished_mutex);
        list_push(&backend->finished, op);
        pthread_mutex_unlock(&backend->finished_mutex);
        const uint64_t one = 1;
        (void)!write(backend->event, &one, sizeof one);
    }
}

static int32_t socket_execute(const struct io_op *op)
{
    ssize_t result;
    do {
        if (op->kind == IO_ACCEPT)
            result = accept4(op->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        else if (op->kind == IO_RECV || op->kind == IO_RECV_IDLE)
            result = recv(op->fd, op->buffer, op->size, MSG_DONTWAIT);
        else
            result = send(op->fd, op->buffer, op->size, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : (int32_t)result;
}

/* Tells epoll what the socket waits for now; one shot, so that a busy one costs no extra event.
 * Returns 0 or -errno, where what waits must be failed. */
static int waiter_arm(struct posix_backend *backend, int fd)
{
    struct waiter *waiter = &backend->waiters[fd];
    struct epoll_event event = {
        .events = EPOLLONESHOT | (waiter->input != NULL ? EPOLLIN : 0) |
                  (waiter->output != NULL ? EPOLLOUT : 0),
        .data.fd = fd,
    };
    if (waiter->input == NULL && waiter->output == NULL)
        return 0;
    int operation = waiter->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int result = epoll_ctl(backend->epoll, operation, fd, &event);
    /* A descriptor that was closed and given out again is unknown to epoll. */
    if (result != 0 && operation == EPOLL_CTL_MOD && errno == ENOENT)
        result = epoll_ctl(backend->epoll, EPOLL_CTL_ADD, fd, &event);
    if (result != 0 && errno == EEXIST)
        result = epoll_ctl(backend->epoll, EPOLL_CTL_MOD, fd, &event);
    if (result != 0)
        return -errno;
    waiter->registered = true;
    return 0;
}

static void waiter_fail(struct posix_backend *backend, struct io_op **place, int error)
{
    if (*place == NULL)
        return;
    (*place)->result = error;
    list_push(&backend->ready, *place);
    *place = NULL;
}

static void socket_submit(struct posix_backend *backend, struct io_op *op)
{
    op->result = socket_execute(op);
    if (op->result != -EAGAIN) {
        list_push(&backend->ready, op);
        return;
    }
    assert(op->fd >= 0 && (uint32_t)op->fd < backend->waiters_count);
    struct waiter *waiter = &backend->waiters[op->fd];
    struct io_op **place = op->kind == IO_SEND ? &waiter->output : &waiter->input;
    assert(*place == NULL);
    *place = op;
    int result = waiter_arm(backend, op->fd);
    if (result != 0)
        waiter_fail(backend, place, result);
}

static void posix_submit(struct io *io, struct io_op *op)
{
    struct posix_backend *backend = (struct posix_backend *)io;
    if (op->kind == IO_ACCEPT || op->kind == IO_RECV || op->kind == IO_RECV_IDLE ||
        op->kind == IO_SEND) {
        socket_submit(backend, op);
        return;
    }
    struct lane *lane = &backend->lanes[op->kind == IO_LOG_WRITE ? 0 : 1];
    pthread_mutex_lock(&lane->mutex);
    list_push(&lane->queue, op);
    pthread_cond_signal(&lane->wake);
    pthread_mutex_unlock(&lane->mutex);
}

static void waiter_retry(struct posix_backend *backend, struct io_op **place)
{
    struct io_op *op = *place;
    if (op == NULL)
        return;
    op->result = socket_execute(op);
    if (op->result == -EAGAIN)
        return;
    *place = NULL;
    list_push(&backend->ready, op);
}

static void events_take(struct posix_backend *backend, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(backend->epoll, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        if (fd == backend->event) {
            uint64_t rings;
            (void)!read(backend->event, &rings, sizeof rings);
            continue;
        }
        waiter_retry(backend, &backend->waiters[fd].input);
        waiter_retry(backend, &backend->waiters[fd].output);
        int result = waiter_arm(backend, fd);
        if (result != 0) {
            waiter_fail(backend, &backend->waiters[fd].input, result);
            waiter_fail(backend, &backend->waiters[fd].output, result);
        }
    }
    pthread_mutex_lock(&backend->finished_mutex);
    for (struct io_op *op; (op = list_pop(&backend->finished)) != NULL;)
        list_push(&backend->ready, op);
    pthread_mutex_unlock(&backend->finished_mutex);
}

static int posix_wait(struct io *io, struct io_op **done, uint64_t timeout_ns, uint64_t spin_ns)
{
    (void)spin_ns; /* its log writes complete in another thread, which needs the core */
    struct posix_backend *backend = (struct posix_backend *)io;
    uint64_t timeout_ms = (timeout_ns + 999999) / 1000000;
    events_take(backend, backend->ready.first != NULL ? 0 : (int)timeout_ms);
    int count = 0;
    while (count < IO_BATCH_MAX && backend->ready.first != NULL)
        done[count++] = list_pop(&backend->ready);
    return count;
}

static void posix_close(struct io *io)
{
    struct posix_backend *backend = (struct posix_backend *)io;
    for (int i = 0; i < LANES; i++) {
        struct lane *lane = &backend->lanes[i];
        if (!lane->started)
            continue;
        pthread_mutex_lock(&lane->mutex);
        lane->stop = true;
        pthread_cond_signal(&lane->wake);
        pthread_mutex_unlock(&lane->mutex);
        pthread_join(lane->thread, NULL);
    }
    if (backend->epoll >= 0)
        close(backend->epoll);
    if (backend->event >= 0)
        close(backend->event);
    free(backend->waiters);
    free(backend);
}

static const struct io_backend posix_backend = {
    .name = "posix",
    .submit = posix_submit,
    .wait = posix_wait,
    .close = posix_close,
};

static int lanes_start(struct posix_backend *backend)
{
    for (int i = 0; i < LANES; i++) {
        struct lane *lane = &backend->lanes[i];
        lane->backend = backend;
        pthread_mutex_init(&lane->mutex, NULL);
        pthread_cond_init(&lane->wake, NULL);
        int result = pthread_create(&lane->thread, NULL, lane_run, lane);
        if (result != 0)
            return -result;
        lane->started = true;
    }
    return 0;
}

int io_posix_open(struct io **out_io, struct error *error)
{
    struct posix_backend *backend = calloc(1, sizeof *backend);
    if (backend == NULL)
        return error_set(error, -ENOMEM, "out of memory");
    backend->io.backend = &posix_backend;
    pthread_mutex_init(&backend->finished_mutex, NULL);
    struct rlimit descriptors;
    (void)getrlimit(RLIMIT_NOFILE, &descriptors);
    backend->waiters_count =
        descriptors.rlim_cur < DESCRIPTORS_MAX ? (uint32_t)descriptors.rlim_cur : DESCRIPTORS_MAX;
    backend->waiters = calloc(backend->waiters_count, sizeof *backend->waiters);
    backend->epoll = epoll_create1(EPOLL_CLOEXEC);
    backend->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = backend->event};
    int result = -ENOMEM;
    if (backend->waiters != NULL)
        result = backend->epoll < 0 || backend->event < 0 ||
                         epoll_ctl(backend->epoll, EPOLL_CTL_ADD, backend->event, &event) != 0
                     ? -errno
                     : lanes_start(backend);
    if (result != 0) {
        posix_close(&backend->io);
        return error_set(error, result, "cannot start the posix I/O backend: %s",
                         strerror(-result));
    }
    *out_io = &backend->io;
    return 0;
}
