/* The inside of a client: who touches what.
 *
 *   any thread                      | mutex | I/O thread
 *   giro_submit(): inbox  --------> |       | --> queue --> frame in flight --> done --> callback
 *   giro_cancel(): cancelled -----> |       |
 *
 * Under the mutex: the inbox, the list of cancellations, the number of outstanding requests, and
 * what the I/O thread published before it went to sleep. Everything in struct io belongs to the I/O
 * thread alone. A request is linked into exactly one of: inbox, queue, a frame, the done list.
 *
 * Reading order: client.c (public functions), io.c (the thread's loop and completion),
 * connection.c (connect, hello, loss), send.c and receive.c, batch.c (which requests share a frame)
 * and reply.c (checking a reply and handing it out): the last two are pure. */
#ifndef CLIENTS_C_CLIENT_H
#define CLIENTS_C_CLIENT_H

#include "clients/c/giro.h"
#include "net/frame.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    ADDRESSES_MAX = 8,
    HOST_BYTES_MAX = 256,
    /* A larger request is not merged with others: copying it would cost more than a frame saves. */
    MERGE_EVENTS_MAX = 1024,
    /* With so many frames in flight, small requests wait for company instead of travelling in small
     * frames of their own: the server commits in groups anyway, and the frames cost more. Measured
     * with 64 and 256 threads: two are as fast as one where the disk is fast, faster where it is
     * slow, and four or eight are slower than both. */
    GATHER_FRAMES = 2,
};

struct request_list {
    struct giro_request *head;
    struct giro_request *tail;
};

void giro_list_append(struct request_list *list, struct giro_request *request);
void giro_list_remove(struct request_list *list, struct giro_request *request);
/* Moves everything of from, in order, in front of to. */
void giro_list_prepend_all(struct request_list *to, struct request_list *from);
void giro_list_append_all(struct request_list *to, struct request_list *from);

/* A frame that is being sent or waits for its reply. Requests that gave up waiting leave the list;
 * their events stay counted, because the reply will still speak of them. */
struct frame {
    uint64_t request_id;
    enum giro_operation operation;
    uint32_t event_count;
    struct request_list requests;
    /* What was asked, to match the reply: ids, or keys of leases, room for GIRO_EVENTS_MAX, or one
     * filter. */
    giro_u128 *ids;
};

struct deadline {
    uint64_t at_ns;
    struct giro_request *request;
};

/* All requests that the I/O thread knows, the earliest deadline first: a binary heap. */
struct deadlines {
    struct deadline *heap;
    uint32_t count;
    uint32_t capacity;
};

/* room for capacity; request->internal.deadline_ns is set. */
void giro_deadlines_add(struct deadlines *deadlines, struct giro_request *request);
void giro_deadlines_remove(struct deadlines *deadlines, struct giro_request *request);

enum connection_state {
    CONNECTION_WAITING,    /* for the backoff to end; no socket */
    CONNECTION_RESOLVING,  /* the resolver thread is looking the name up; no socket */
    CONNECTION_CONNECTING, /* connect() is under way */
    CONNECTION_GREETING,   /* hello was sent, or is being sent */
    CONNECTION_READY,
};

struct address {
    struct sockaddr_storage storage;
    socklen_t size_bytes;
};

/* What is being written to the socket: always whole frames, one at a time. */
struct sender {
    struct frame_header header;
    struct giro_fence fence;       /* of the frame, if it is fenced */
    struct iovec parts[3];         /* not yet written: header, fence, body */
    uint32_t part_count;           /* 0: idle */
    bool request_frame;            /* of the newest frame in flight; else hello */
    struct giro_request *borrowed; /* its events are being sent from the caller's memory */
    uint8_t *body;                 /* FRAME_BODY_BYTES_MAX; gathered events */
    void *checksum;                /* streaming state */
};

struct receiver {
    uint8_t *bytes; /* FRAME_BYTES_MAX */
    size_t fill;
};

/* The I/O thread's own. */
struct io {
    uint64_t now_ns;
    enum connection_state state;
    int socket;
    uint64_t timer_ns; /* end of the backoff or of the connection attempt */
    uint32_t backoff_ms;
    uint64_t random;
    struct address addresses[ADDRESSES_MAX];
    uint32_t address_count;
    uint32_t address_next;
    uint32_t events_max;     /* of one request, as this server says */
    uint32_t body_bytes_max; /* likewise */
    uint64_t request_id_last;
    struct request_list queue; /* not in any frame */
    struct request_list done;  /* complete, their owners do not know yet */
    struct deadlines deadlines;
    struct frame *frames; /* ring of options.frames_in_flight_max */
    uint32_t frame_first;
    uint32_t frame_count;
    struct sender sender;
    struct receiver receiver;
    struct giro_client_state status;
};

struct giro_client {
    struct giro_client_options options; /* defaults filled in; the strings are below */
    char name[GIRO_CLIENT_NAME_BYTES_MAX + 1];
    char host[HOST_BYTES_MAX];
    char port[8];
    bool numeric; /* the host needs no name lookup */
    int wake_fd;  /* eventfd */
    pthread_t thread;

    pthread_mutex_t mutex;
    pthread_cond_t room;   /* requests_outstanding fell, or closing, or nobody waits any more */
    pthread_cond_t opened; /* open_result is known */
    struct request_list inbox;
    struct giro_request *cancelled;
    uint32_t requests_outstanding;
    uint32_t waiting_for_room; /* threads */
    bool closing;
    bool sleeping;           /* the I/O thread has to be woken */
    uint32_t send_count_min; /* it would send a request of so many events at once */
    uint64_t wake_at_ns;     /* it wakes by itself */
    int open_result;         /* 0, error, or OPEN_PENDING */
    struct giro_client_state status;
    bool resolver_running;
    bool resolver_done;
    pthread_t resolver;
    struct address resolved[ADDRESSES_MAX];
    uint32_t resolved_count; /* 0: the name does not resolve */

    struct io io;
};

enum { OPEN_PENDING = 1 };

static inline bool request_is_of_transfers(const struct giro_request *request)
{
    return request->operation == GIRO_CREATE_TRANSFERS ||
           request->operation == GIRO_CREATE_TRANSFERS_OUTCOMES;
}

/* Whether its events may be linked, or imported. */
static inline bool request_has_chains(const struct giro_request *request)
{
    return request->operation == GIRO_CREATE_ACCOUNTS || request_is_of_transfers(request);
}

/* Whether doing it twice differs from doing it once, so that nobody but its owner can tell whether to
 * send it again. */
static inline bool request_is_sent_once(const struct giro_request *request)
{
    return request->operation == GIRO_SET_LIMITS || request->operation == GIRO_LEASE;
}

/* Whether it changes the ledger. */
static inline bool request_is_create(const struct giro_request *request)
{
    return request_has_chains(request) || request_is_sent_once(request) ||
           request->operation == GIRO_CUT_OFF || request->operation == GIRO_CREATE_SCHEDULES ||
           request->operation == GIRO_CANCEL_SCHEDULES;
}

/* Of one event, or id. */
static inline uint32_t operation_event_bytes(enum giro_operation operation)
{
    switch (operation) {
    case GIRO_CREATE_ACCOUNTS:
    case GIRO_CREATE_TRANSFERS:
    case GIRO_CREATE_TRANSFERS_OUTCOMES:
    case GIRO_SET_LIMITS:
    case GIRO_LEASE:
    case GIRO_CUT_OFF:
        return GIRO_RECORD_BYTES;
    case GIRO_CREATE_SCHEDULES:
        return sizeof(struct giro_schedule);
    case GIRO_LOOKUP_ACCOUNTS:
    case GIRO_LOOKUP_TRANSFERS:
    case GIRO_LOOKUP_PAYMENTS:
    case GIRO_GET_LIMITS:
    case GIRO_GET_VELOCITY:
    case GIRO_GET_LEASES:
    case GIRO_CANCEL_SCHEDULES:
    case GIRO_GET_SCHEDULES:
    case GIRO_GET_SETTLEMENTS:
        return sizeof(giro_u128);
    case GIRO_GET_ACCOUNT_TRANSFERS:
    case GIRO_GET_ACCOUNT_BALANCES:
        return sizeof(struct giro_account_filter);
    case GIRO_QUERY_ACCOUNTS:
    case GIRO_QUERY_TRANSFERS:
        return sizeof(struct giro_query_filter);
    case GIRO_READ_CHANGES:
        return sizeof(struct giro_change_filter);
    case GIRO_PING:
    case GIRO_STATS:
    case GIRO_SNAPSHOT:
        break;
    }
    return 0;
}

/* Of one record that a lookup finds. */
static inline uint32_t operation_record_bytes(enum giro_operation operation)
{
    return operation == GIRO_GET_SCHEDULES ? sizeof(struct giro_schedule) : GIRO_RECORD_BYTES;
}

/* Whether two requests of transfers have the same fence, or none. */
bool giro_fence_equal(const struct giro_fence *a, const struct giro_fence *b);

/* Whether it never shares a frame: there is one filter a frame, and one answer. */
static inline bool request_travels_alone(const struct giro_request *request)
{
    return (request->operation >= GIRO_GET_ACCOUNT_TRANSFERS &&
            request->operation <= GIRO_READ_CHANGES) ||
           request->operation == GIRO_SNAPSHOT;
}

/* io.c */
uint64_t giro_clock_ns(void);
void *giro_io_main(void *client);
void giro_wake(struct giro_client *client);
/* Takes a request out of the queue or its frame and lists it as done. */
void giro_request_finish(struct giro_client *client, struct giro_request *request, int error);
struct frame *giro_frame_oldest(struct io *io);
/* Finishes every request of a frame that still waits. */
void giro_frame_finish(struct giro_client *client, struct frame *frame, int error);
/* The error that a definite refusal amounts to, given that attempts before it may have got through:
 * sends, of the request, without the one that was refused. */
int giro_refusal(const struct giro_request *request, uint32_t sends, int error);

/* connection.c */
int giro_address_parse(const char *address, struct giro_client *client);
uint32_t giro_address_resolve(const char *host, const char *port, int flags,
                              struct address *addresses);
/* The timer of the backoff, or of the attempt. */
void giro_connection_step(struct giro_client *client);
/* The name lookup has ended. */
void giro_connection_resolved(struct giro_client *client);
/* The socket reports an event while connecting. */
void giro_connection_established(struct giro_client *client);
/* A reply while greeting, its checksum verified. */
void giro_connection_welcome(struct giro_client *client, const struct frame_header *header,
                             const void *body);
/* Closes the socket, takes back what was in flight, and waits to try again. error: for status. */
void giro_connection_lost(struct giro_client *client, int error);
/* For good. Waits for a name lookup that is under way. */
void giro_connection_end(struct giro_client *client);

/* send.c */
void giro_send_hello(struct giro_client *client);
/* Builds and writes frames for as long as there are requests, room in flight and room in the
 * socket. */
void giro_send_step(struct giro_client *client);
/* A request of how many events would be sent at once; UINT32_MAX: of none. */
uint32_t giro_send_count_min(const struct giro_client *client);
/* Whether the frame, one of those in flight, is not completely written. */
bool giro_send_is_writing(const struct giro_client *client, const struct frame *frame);
/* The request whose events are being written from its owner's memory ends: keep the rest. */
void giro_send_keep(struct io *io);
/* Drops what is being written, with its connection. */
void giro_send_forget(struct io *io);

/* receive.c */
void giro_receive_step(struct giro_client *client);
/* The error that a server's status amounts to. */
int giro_status_error(uint32_t status);

/* batch.c */
/* Whether the next frame would take the whole queue and still be small: more may join it. */
bool giro_batch_may_grow(const struct request_list *queue);
/* Moves the requests that shall share the next frame from the queue to the frame: at least the
 * first of the queue, whose count is at most events_max. */
void giro_batch_take(struct request_list *queue, uint32_t events_max, struct frame *frame);

/* reply.c */
/* Whether body can be the successful reply to the frame: 0 or GIRO_EPROTOCOL. */
int giro_reply_check(const struct frame *frame, const void *body, uint32_t body_bytes);
/* Copies its part of a checked reply to every request that still waits. */
void giro_reply_deliver(const struct frame *frame, const void *body, uint32_t body_bytes);

#endif
