/* The I/O thread: its loop, and the completion of requests.
 *
 * A turn of the loop: sleep until there is something to do; read the clock once; read replies; run
 * the timers of the connection and of the requests; take what was submitted meanwhile; write
 * frames; only then, because the server can work meanwhile, tell the owners of what is done.
 * Everything is bounded, so that no side can starve another. */
#include "clients/c/client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

uint64_t giro_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * GIRO_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Called with the mutex held, so that the client cannot be freed in between. */
void giro_wake(struct giro_client *client)
{
    client->sleeping = false;
    (void)eventfd_write(client->wake_fd, 1); /* fails only when it is already readable */
}

/* ---- Completion -------------------------------------------------------------------------- */

struct frame *giro_frame_oldest(struct io *io)
{
    return io->frame_count == 0 ? NULL : &io->frames[io->frame_first];
}

void giro_request_finish(struct giro_client *client, struct giro_request *request, int error)
{
    struct io *io = &client->io;
    struct frame *frame = request->internal.frame;
    if (io->sender.borrowed == request)
        giro_send_keep(io);
    giro_list_remove(frame != NULL ? &frame->requests : &io->queue, request);
    giro_deadlines_remove(&io->deadlines, request);
    giro_list_append(&io->done, request);
    request->internal.frame = NULL;
    request->internal.finished = true;
    request->resent = request->internal.sends > 1;
    request->error = error;
}

void giro_frame_finish(struct giro_client *client, struct frame *frame, int error)
{
    while (frame->requests.head != NULL)
        giro_request_finish(client, frame->requests.head, error);
}

int giro_refusal(const struct giro_request *request, uint32_t sends, int error)
{
    return sends > 0 && request_is_create(request) ? GIRO_EDISCONNECTED : error;
}

/* Ends a request that has no reply. One that is partly written counts as sent, because the rest of
 * its frame will follow. */
static void request_give_up(struct giro_client *client, struct giro_request *request, int error)
{
    bool sent = request->internal.sends > 0 || request->internal.frame != NULL;
    giro_request_finish(client, request, sent ? error : GIRO_ENOTSENT);
}

/* The request completed before its cancellation was seen. */
static void cancelled_unlink(struct giro_client *client, const struct giro_request *request)
{
    struct giro_request **link = &client->cancelled;
    while (*link != NULL && *link != request)
        link = &(*link)->internal.cancel_next;
    if (*link != NULL)
        *link = request->internal.cancel_next;
}

static void owner_notify(struct giro_request *request)
{
    if (request->internal.waiter != NULL)
        sem_post(request->internal.waiter);
    else
        request->completed(request);
}

/* Hands the requests that are done back to their owners. */
static void done_flush(struct giro_client *client)
{
    struct giro_request *request = client->io.done.head;
    client->io.done = (struct request_list){0};
    if (request == NULL)
        return;

    pthread_mutex_lock(&client->mutex);
    for (struct giro_request *done = request; done != NULL; done = done->internal.next) {
        if (done->internal.cancelled)
            cancelled_unlink(client, done);
        done->internal.outstanding = false;
        client->requests_outstanding--;
    }
    if (client->waiting_for_room > 0)
        pthread_cond_broadcast(&client->room);
    pthread_mutex_unlock(&client->mutex);

    while (request != NULL) {
        struct giro_request *next = request->internal.next; /* the owner may free it */
        owner_notify(request);
        request = next;
    }
}

static void deadlines_step(struct giro_client *client)
{
    const struct deadlines *deadlines = &client->io.deadlines;
    while (deadlines->count > 0 && deadlines->heap[0].at_ns <= client->io.now_ns)
        request_give_up(client, deadlines->heap[0].request, GIRO_ETIMEDOUT);
}

/* ---- What other threads ask for ---------------------------------------------------------- */

struct orders {
    struct request_list inbox;
    struct giro_request *cancelled;
    bool resolved;
    bool closing;
};

static struct orders orders_take(struct giro_client *client)
{
    pthread_mutex_lock(&client->mutex);
    struct orders orders = {
        .inbox = client->inbox,
        .cancelled = client->cancelled,
        .resolved = client->resolver_done,
        .closing = client->closing,
    };
    client->inbox = (struct request_list){0};
    client->cancelled = NULL;
    client->resolver_done = false;
    pthread_mutex_unlock(&client->mutex);
    return orders;
}

/* Returns whether the client is being closed. */
static bool orders_step(struct giro_client *client)
{
    struct io *io = &client->io;
    struct orders orders = orders_take(client);
    for (struct giro_request *request = orders.inbox.head; request != NULL;
         request = request->internal.next)
        giro_deadlines_add(&io->deadlines, request);
    giro_list_append_all(&io->queue, &orders.inbox);
    while (orders.cancelled != NULL) {
        struct giro_request *request = orders.cancelled;
        orders.cancelled = request->internal.cancel_next;
        if (!request->internal.finished) /* else its reply was read in this very turn */
            request_give_up(client, request, GIRO_ECANCELED);
    }
    if (orders.resolved)
        giro_connection_resolved(client);
    return orders.closing;
}

static uint64_t wake_at_ns(const struct io *io)
{
    uint64_t at = io->state == CONNECTION_READY ? UINT64_MAX : io->timer_ns;
    if (io->deadlines.count > 0 && io->deadlines.heap[0].at_ns < at)
        at = io->deadlines.heap[0].at_ns;
    return at;
}

/* Announces that the thread goes to sleep, unless there are new orders. Returns whether it may. */
static bool sleep_announce(struct giro_client *client)
{
    struct io *io = &client->io;
    io->status.frames_in_flight = io->frame_count;
    pthread_mutex_lock(&client->mutex);
    bool idle = client->inbox.head == NULL && client->cancelled == NULL && !client->resolver_done &&
                !client->closing;
    client->sleeping = idle;
    client->wake_at_ns = wake_at_ns(io);
    client->send_count_min = giro_send_count_min(client);
    client->status = io->status;
    pthread_mutex_unlock(&client->mutex);
    return idle;
}

/* ---- The loop ---------------------------------------------------------------------------- */

static struct timespec duration(uint64_t from_ns, uint64_t to_ns)
{
    uint64_t ns = to_ns > from_ns ? to_ns - from_ns : 0;
    return (struct timespec){.tv_sec = (time_t)(ns / GIRO_NS_PER_S),
                             .tv_nsec = (long)(ns % GIRO_NS_PER_S)};
}

static void socket_ready(struct giro_client *client, short events)
{
    if (events == 0)
        return;
    if (client->io.state == CONNECTION_CONNECTING)
        giro_connection_established(client);
    else if ((events & ~POLLOUT) != 0)
        giro_receive_step(client);
}

static void sleep_step(struct giro_client *client, bool idle)
{
    struct io *io = &client->io;
    bool writing = io->state == CONNECTION_CONNECTING || io->sender.part_count > 0;
    struct pollfd fds[2] = {
        {.fd = client->wake_fd, .events = POLLIN},
        {.fd = io->socket, .events = (short)(POLLIN | (writing ? POLLOUT : 0))},
    };
    uint64_t until_ns = idle ? wake_at_ns(io) : 0;
    struct timespec timeout = duration(io->now_ns, until_ns);
    int ready = ppoll(fds, 2, until_ns == UINT64_MAX ? NULL : &timeout, NULL);
    io->now_ns = giro_clock_ns();
    if (ready <= 0)
        return;
    if (fds[0].revents != 0) {
        eventfd_t count;
        (void)eventfd_read(client->wake_fd, &count);
    }
    socket_ready(client, fds[1].revents);
}

/* Ends every request. The inbox is empty: it was taken with the order to close, and nothing was let
 * in since. */
static void loop_end(struct giro_client *client)
{
    struct io *io = &client->io;
    giro_send_forget(io);
    while (io->deadlines.count > 0)
        request_give_up(client, io->deadlines.heap[0].request, GIRO_ECLOSED);
    done_flush(client);
    giro_connection_end(client);
}

void *giro_io_main(void *argument)
{
    struct giro_client *client = argument;
    bool closing = false;
    bool idle = false;
    while (!closing) {
        sleep_step(client, idle);
        giro_connection_step(client);
        deadlines_step(client);
        closing = orders_step(client);
        giro_send_step(client);
        done_flush(client);
        idle = sleep_announce(client);
    }
    loop_end(client);
    return NULL;
}
