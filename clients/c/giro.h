/* libgiro: the C client of the Giro payment ledger. C11 and C++17, Linux.
 *
 * MODEL
 *
 *   A client is one TCP connection and one I/O thread. Requests are created from any thread,
 *   queued, gathered into frames, sent, and completed when the server's reply says that everything
 *   in it is durable. A frame carries up to GIRO_EVENTS_MAX events. Several frames are in flight at
 *   once; while they are, small requests of the same operation gather into one frame, so that
 *   sixty-four threads that each create one transfer cost a few frames, not sixty-four. Every
 *   request gets its own results, as if it had been alone in its frame: indexes count from its own
 *   first event, a linked chain never reaches into another request, and imported events are never
 *   mixed with others. A request of more than 1,024 events travels alone and is sent from the
 *   caller's memory.
 *
 *   Creates change the ledger, everything else reads. Lookups gather as creates do; what carries a
 *   filter (queries, reads of changes) and snapshots travel alone, one a frame. A read sees
 *   everything that was acknowledged to anybody before it was sent, and everything that was
 *   submitted before it on its own client.
 *
 *   Requests take effect in the order in which they were submitted, as far as anybody can tell: a
 *   request submitted after another one's giro_submit() returned is executed after it. The order of
 *   calls that are running at the same time in several threads is open.
 *
 * THREADS
 *
 *   Every function may be called from any thread at any time, with one exception: nothing may use a
 *   client once giro_client_close() has been called (calls that are already waiting end with an
 *   error). Completion callbacks run on the client's I/O thread: they must be short, must not
 *   block, may submit and cancel, and must neither close the client nor make blocking calls (these
 *   return GIRO_ECALLBACK there). The library keeps no global state, apart from the last id handed
 *   out by giro_id_time_ordered(); it raises no signals, installs no handlers and reads no locale.
 *   A client does not survive fork() in the child.
 *
 * OWNERSHIP
 *
 *   Events and result memory belong to the caller and are borrowed, never copied for longer than a
 *   send, until the request completes. A struct giro_request belongs to the library from the moment
 *   that giro_submit() returns 0 until its callback is entered. From then on it is the caller's:
 *   the callback may free it or submit it again.
 *
 * DEADLINES AND OUTCOMES
 *
 *   Every request has a deadline, in milliseconds from its submission. What an error says about
 *   the outcome is part of its meaning:
 *
 *     never executed   nothing happened, nothing will: GIRO_ENOTSENT, GIRO_EAGAIN, refusals, ...
 *     unknown          the request was sent and no reply was seen: GIRO_ETIMEDOUT, ...
 *                      giro_error_outcome_unknown() tells.
 *
 *   How to learn an unknown outcome: submit the same events with the same ids again. An id is
 *   created at most once, so the answer is definite: `created`, or `exists` when the first attempt
 *   had succeeded, or the reason of the refusal. Looking the ids up is right as well while the
 *   connection has not broken, because the server executes a connection's requests in order;
 *   after a break the server may still hold the old connection's bytes, and "not found" may turn
 *   into "found" a moment later. A request that has completed is never sent again by the library.
 *
 * RECONNECTING AND RESENDING
 *
 *   A broken connection is opened again, with exponential backoff and jitter, for as long as the
 *   client is open. Requests that had no reply are sent again, in their order, with the same ids,
 *   until their deadline passes or they were resent resends_max times. This cannot create
 *   anything twice, but it can change the words of the answer: what an earlier attempt created
 *   answers `exists`, and what an earlier attempt refused for a transient reason (exceeds_credits,
 *   say) answers `id_already_failed`. The library reports such codes as they are, because it cannot
 *   know: `exists` is the own first attempt, or an older event with the very same fields, perhaps
 *   from another process. `resent` in the result tells that the ambiguity is there:
 *
 *     exists, not resent    it had been created before this request
 *     exists, resent        it is in the ledger, once, with these fields; by this request or
 *                           before. Its timestamp is not in the reply: look it up when it matters
 *     no result, resent     created by the attempt that was answered: its timestamp is
 *                           timestamp_first + index, as always
 *
 *   Of a cut-off epoch_is_over says the same: the epoch has ended, by this request or before.
 *
 *   A caller to whom "it is there" is enough (most are: that is what ids are for) compares
 *   result_count with exists_count and needs not look at `resent` at all.
 *
 * LIMITS
 *
 *   Memory is bounded: about 2 MiB a client, 128 KiB for every frame in flight, and 16 bytes
 *   for every request of requests_max. When requests_max requests are outstanding, another one is
 *   refused with GIRO_EAGAIN, or waits for room (GIRO_WAIT_WHEN_FULL). Bytes from the server are
 *   checked before they are believed: a reply that is damaged breaks the connection, and one that
 *   contradicts its request completes that request with GIRO_EPROTOCOL besides. */
#ifndef GIRO_H
#define GIRO_H

#include "engine/record.h"
#include "engine/result.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    GIRO_EVENTS_MAX = 8190,        /* of one request; a server may be configured for less */
    GIRO_OUTCOMES_MAX = 6239,      /* transfers of one request that asks for their outcomes */
    GIRO_FENCED_MAX = 8189,        /* transfers of one request that has a fence */
    GIRO_SCHEDULES_MAX = 4095,     /* schedules of one request, or ids of which to get them */
    GIRO_QUERY_LIMIT_MAX = 8190,   /* records that a query may ask for at once */
    GIRO_CHANGES_LIMIT_MAX = 3854, /* changes that may be asked for at once */
    GIRO_CHANGES_WAIT_MS_MAX = 60000,
    GIRO_CLIENT_NAME_BYTES_MAX = 31,
    GIRO_FRAMES_IN_FLIGHT_MAX = 64,
    GIRO_REQUESTS_MAX = 1 << 20,
};

#define GIRO_DEADLINE_NONE UINT32_MAX

/* ---- Errors ------------------------------------------------------------------------------ */

/* X(NAME, value, outcome unknown, "text"). Every function that can fail returns 0 or one of these,
 * all negative. Where the outcome is not unknown, nothing was executed. */
#define GIRO_ERRORS(X)                                                                             \
    /* The caller's side: refused before anything was done. */                                     \
    X(GIRO_EINVAL, -1, false, "an argument is out of its documented range")                        \
    X(GIRO_ENOMEM, -2, false, "out of memory")                                                     \
    X(GIRO_ESYSTEM, -3, false, "the system refused a thread, a file descriptor or a semaphore")    \
    X(GIRO_ECALLBACK, -4, false,                                                                   \
      "a blocking call from a completion callback would wait for itself")                          \
    X(GIRO_EAGAIN, -5, false, "requests_max requests are outstanding: wait for one to complete")   \
    X(GIRO_ETOOBIG, -6, false, "more events than this server takes in one request: split it")      \
    /* The connection: returned by giro_client_open(), reported by giro_client_status(). */        \
    X(GIRO_EADDRESS, -7, false, "the address is malformed, or its name does not resolve")          \
    X(GIRO_EUNREACHABLE, -8, false, "no connection, or no welcome, within connect_timeout_ms")     \
    X(GIRO_EVERSION, -9, false, "the server speaks no protocol version of this library")           \
    X(GIRO_EBUSY, -10, false, "the server's connection limit is reached")                          \
    X(GIRO_ESHUTDOWN, -11, false, "the server is shutting down")                                   \
    /* The request: definite, nothing was executed. */                                             \
    X(GIRO_ENOTSENT, -12, false, "never sent: its deadline passed, it was cancelled, or a close")  \
    X(GIRO_EREFUSED, -13, false, "the server does not accept requests of this form or kind")       \
    X(GIRO_ESTORAGEFULL, -14, false, "the server has no room on disk: retry later")                \
    X(GIRO_EACCOUNTSFULL, -15, false, "the server's accounts_max is reached")                      \
    X(GIRO_ETRANSFERSFULL, -16, false, "the server's transfers_max is reached")                    \
    X(GIRO_EHOLDSFULL, -17, false, "the server's holds_max is reached: resolve pending transfers") \
    X(GIRO_EDAMAGED, -18, false, "the server found a damaged record on its disk: run giro verify") \
    /* The request: sent, no believable reply. Submit the same ids again to learn the outcome. */  \
    X(GIRO_ETIMEDOUT, -19, true, "the deadline passed before the reply: outcome unknown")          \
    X(GIRO_ECANCELED, -20, true, "cancelled after it was sent: outcome unknown")                   \
    X(GIRO_ECLOSED, -21, true, "the client was closed before the reply: outcome unknown")          \
    X(GIRO_EDISCONNECTED, -22, true,                                                               \
      "the connection broke and resending did not help: "                                          \
      "outcome unknown")                                                                           \
    X(GIRO_EPROTOCOL, -23, true, "the server's bytes are not a valid reply: outcome unknown")      \
    /* Queries, reads of changes and snapshots: definite, there is no answer. */                   \
    X(GIRO_EFILTER, -24, false,                                                                    \
      "the server cannot answer this filter: giro_request.status names the field")                 \
    X(GIRO_EINDEX, -25, false,                                                                     \
      "the server found a damaged index file on its disk: restart it, which rebuilds the index")   \
    X(GIRO_ESNAPSHOT, -26, false,                                                                  \
      "the server could not write the snapshot: its log says why; nothing else is affected")       \
    X(GIRO_EQUERYCANCELED, -27, false, "the server stopped before it answered: ask again")         \
    X(GIRO_EFOLLOWEROFF, -28, false,                                                               \
      "the server answers no queries: its follower is switched off, or has stopped")               \
    X(GIRO_EPAYMENTSFULL, -29, false, "the server's payments_max is reached")                      \
    X(GIRO_ESCHEDULESFULL, -30, false, "the server has no room for more schedules")

#define GIRO_ERROR_ENUMERATOR(name, value, unknown, text) name = (value),
enum giro_error { GIRO_OK = 0, GIRO_ERRORS(GIRO_ERROR_ENUMERATOR) };
#undef GIRO_ERROR_ENUMERATOR

/* Static strings: "GIRO_ETIMEDOUT", and the text above. "unknown" for what is no code. */
const char *giro_error_name(int error);
const char *giro_error_text(int error);

/* Whether events of a request that completed with this error may have been executed. */
bool giro_error_outcome_unknown(int error);

/* ---- Clients ----------------------------------------------------------------------------- */

struct giro_client;

enum giro_client_flag {
    /* giro_client_open() does not wait for the server: the connection is made in the background,
     * and requests wait for it until their deadlines. */
    GIRO_OPEN_WITHOUT_SERVER = 1 << 0,
    /* At requests_max, submitting waits for room until the request's deadline (GIRO_ENOTSENT)
     * instead of failing with GIRO_EAGAIN. Callbacks never wait. */
    GIRO_WAIT_WHEN_FULL = 1 << 1,
    /* A create that was sent when the connection breaks completes with GIRO_EDISCONNECTED at once.
     * Reads are resent all the same. */
    GIRO_NEVER_RESEND = 1 << 2,
};

/* Zero means the default everywhere except for the address. Copied by giro_client_open(). */
struct giro_client_options {
    const char *address;           /* "host:port": name, IPv4, or IPv6 as [::1]:port */
    const char *client_name;       /* for the server's log; printable ASCII; "libgiro/VERSION" */
    uint32_t connect_timeout_ms;   /* 5,000; for each address that a name has */
    uint32_t deadline_ms;          /* 30,000; of requests that give none of their own */
    uint32_t frames_in_flight_max; /* 8; 1 .. GIRO_FRAMES_IN_FLIGHT_MAX */
    uint32_t requests_max;         /* 16,384; outstanding at once, to GIRO_REQUESTS_MAX */
    uint32_t resends_max;          /* 4; of one request */
    uint32_t backoff_min_ms;       /* 20; before the first reconnect; doubles, with jitter */
    uint32_t backoff_max_ms;       /* 2,000 */
    uint32_t flags;                /* enum giro_client_flag */
};

/* Opens a client and waits for the server's welcome. Tries each address once; a client that shall
 * outlive its server's absence is opened with GIRO_OPEN_WITHOUT_SERVER.
 * Returns 0, GIRO_EINVAL, GIRO_ENOMEM, GIRO_ESYSTEM (errno says why), or why there is no
 * connection: GIRO_EADDRESS, GIRO_EUNREACHABLE, GIRO_EVERSION, GIRO_EBUSY, GIRO_ESHUTDOWN,
 * GIRO_EPROTOCOL. out_client is untouched on failure. */
int giro_client_open(const struct giro_client_options *options, struct giro_client **out_client);

/* Completes every outstanding request (GIRO_ECLOSED, or GIRO_ENOTSENT where it was never sent),
 * runs their callbacks, ends the I/O thread and frees the client. Nothing is waited for, except a
 * name lookup that is under way. NULL is allowed. Not from a callback. */
void giro_client_close(struct giro_client *client);

struct giro_client_state {
    bool connected;
    int connection_error;          /* why it last broke or could not be made; 0: never */
    uint32_t requests_outstanding; /* accepted and not completed */
    uint32_t frames_in_flight;
    uint64_t connections; /* made since the client was opened */
    uint64_t frames_sent; /* without hello */
    uint64_t events_sent;
    uint64_t requests_sent; /* requests_sent / frames_sent is how well they gather */
    uint64_t requests_resent;
};

/* What the I/O thread published when it last paused: exact when nothing is moving. */
void giro_client_status(struct giro_client *client, struct giro_client_state *out_state);

/* ---- Requests ---------------------------------------------------------------------------- */

enum giro_operation {
    GIRO_PING = 2,
    GIRO_STATS = 3,
    GIRO_CREATE_ACCOUNTS = 16,
    GIRO_CREATE_TRANSFERS = 17,
    GIRO_LOOKUP_ACCOUNTS = 18,
    GIRO_LOOKUP_TRANSFERS = 19,
    GIRO_GET_ACCOUNT_TRANSFERS = 20,
    GIRO_GET_ACCOUNT_BALANCES = 21,
    GIRO_QUERY_ACCOUNTS = 22,
    GIRO_QUERY_TRANSFERS = 23,
    GIRO_READ_CHANGES = 24,
    GIRO_LOOKUP_PAYMENTS = 25,
    GIRO_CREATE_TRANSFERS_OUTCOMES = 26,
    GIRO_SET_LIMITS = 27,
    GIRO_GET_LIMITS = 28,
    GIRO_GET_VELOCITY = 29,
    GIRO_LEASE = 30,
    GIRO_GET_LEASES = 31,
    GIRO_SNAPSHOT = 32,
    GIRO_CREATE_SCHEDULES = 33,
    GIRO_CANCEL_SCHEDULES = 34,
    GIRO_GET_SCHEDULES = 35,
    GIRO_CUT_OFF = 36,
    GIRO_GET_SETTLEMENTS = 37,
};

/* Counters of the server since its start, except where noted. */
struct giro_server_stats {
    uint64_t accounts;    /* in the ledger */
    uint64_t transfers;   /* in the ledger */
    uint64_t holds_open;  /* in the ledger: pending transfers neither posted, voided nor expired */
    uint64_t lsn_durable; /* of the log */
    uint64_t log_bytes;   /* of the log, headers and padding included */
    uint64_t requests;
    uint64_t events;
    uint64_t events_rejected;
    uint64_t frames_bad;  /* frames that closed their connection */
    uint64_t connections; /* open now */
    uint64_t connections_accepted;
    uint64_t connections_timed_out;
    uint64_t blocks_written;
    uint64_t records_fetched;    /* old records read back from disk */
    uint64_t storage_full;       /* 1 while writes are refused for want of room, else 0 */
    uint64_t memory_index_bytes; /* transfer index */
    uint64_t follower_lsn;       /* the last block that the follower, who answers queries, has */
    uint64_t follower_lag_bytes; /* of the log, between what is durable and that */
    uint64_t follower_throttled; /* times that requests had to wait for the follower */
    uint64_t snapshots;          /* taken */
    uint64_t snapshot_segment;   /* the newest one holds all segments before this one */
    uint64_t snapshot_bytes;     /* of its file */
    uint64_t snapshot_running;   /* 1 while one is written, else 0 */
    uint64_t segments_sealed;    /* that have a sidecar */
    uint64_t queries;            /* answered, reads of changes included */
    uint64_t queries_active;     /* now */
    uint64_t changes;            /* handed to subscribers */
    uint64_t digests_checked;    /* core and follower agreed */
    uint64_t memory_follower_bytes;
    uint64_t reserved[3];
};

/* A snapshot that the server has written. */
struct giro_server_snapshot {
    uint64_t lsn;     /* of the log: the last block whose effects are in it */
    uint64_t bytes;   /* of its file */
    uint32_t segment; /* the first segment of the log that is not in it; part of its name */
    uint32_t reserved;
};

/* The library's own part of a request. */
struct giro_request_internal {
    struct giro_request *previous;
    struct giro_request *next;
    struct giro_request *cancel_next;
    void *frame;
    void *waiter;
    uint64_t deadline_ns;
    uint32_t heap_index;
    uint32_t offset;
    uint32_t sends;
    bool outstanding;
    bool cancelled;
    bool finished;
    bool alone;
};

/* One request. Set everything that is not used to zero before the first use:
 * struct giro_request request = {.operation = GIRO_PING, .completed = on_pong}; */
struct giro_request {
    /* Set by the caller. */
    enum giro_operation operation;
    uint32_t count;       /* events or ids: 1 .. GIRO_EVENTS_MAX; 1 where there is a filter;
                             0 for ping, stats and snapshot */
    uint32_t deadline_ms; /* from submission; 0: the client's; GIRO_DEADLINE_NONE: none. A read of
                             changes gets its filter's wait_ms on top */
    union {
        const struct giro_account *accounts;              /* GIRO_CREATE_ACCOUNTS */
        const struct giro_transfer *transfers;            /* GIRO_CREATE_TRANSFERS... */
        const struct giro_cut_off *cut_offs;              /* GIRO_CUT_OFF */
        const struct giro_limits *limits;                 /* GIRO_SET_LIMITS */
        const struct giro_lease *leases;                  /* GIRO_LEASE */
        const struct giro_schedule *schedules;            /* GIRO_CREATE_SCHEDULES */
        const giro_u128 *ids;                             /* GIRO_LOOKUP_..., GIRO_GET_LIMITS,
                                                             GIRO_GET_VELOCITY, GIRO_GET_LEASES,
                                                             GIRO_..._SCHEDULES,
                                                             GIRO_GET_SETTLEMENTS */
        const struct giro_account_filter *account_filter; /* GIRO_GET_ACCOUNT_... */
        const struct giro_query_filter *query_filter;     /* GIRO_QUERY_... */
        const struct giro_change_filter *change_filter;   /* GIRO_READ_CHANGES */
        const void *any;
    } events;
    /* Room for count; where there is a filter, for its limit. */
    union {
        struct giro_result *results;           /* GIRO_CREATE_..., GIRO_SET_LIMITS,
                                                  GIRO_CANCEL_SCHEDULES; NULL: only counted */
        struct giro_account *accounts;         /* GIRO_LOOKUP_ACCOUNTS, GIRO_QUERY_ACCOUNTS */
        struct giro_transfer *transfers;       /* GIRO_LOOKUP_TRANSFERS, GIRO_QUERY_TRANSFERS,
                                                  GIRO_GET_ACCOUNT_TRANSFERS */
        struct giro_settlement *settlements;   /* GIRO_GET_SETTLEMENTS */
        struct giro_limits *limits;            /* GIRO_GET_LIMITS */
        struct giro_velocity_used *velocities; /* GIRO_GET_VELOCITY */
        struct giro_lease *leases;             /* GIRO_LEASE, GIRO_GET_LEASES */
        struct giro_schedule *schedules;       /* GIRO_GET_SCHEDULES */
        struct giro_payment *payments;         /* GIRO_LOOKUP_PAYMENTS */
        struct giro_account_balance *balances; /* GIRO_GET_ACCOUNT_BALANCES */
        struct giro_change *changes;           /* GIRO_READ_CHANGES */
        struct giro_server_stats *stats;       /* GIRO_STATS: one */
        struct giro_server_snapshot *snapshot; /* GIRO_SNAPSHOT: one */
        void *any;
    } output;
    struct giro_outcome *outcomes;  /* GIRO_CREATE_TRANSFERS_OUTCOMES: room for count */
    const struct giro_fence *fence; /* GIRO_CREATE_TRANSFERS...: the lease without which none of
                                       them is created; borrowed; NULL: none. With it count is at
                                       most GIRO_FENCED_MAX */
    void (*completed)(struct giro_request *request); /* on the I/O thread; giro_submit() only */
    void *user_data;                                 /* the caller's, for completed() */

    /* Set when it completes. */
    int error;                /* 0 or enum giro_error; when not 0 there is no output */
    uint32_t status;          /* what the server said when it refused it: giro_status_name();
                                 0 when it did not refuse it */
    uint32_t result_count;    /* creates: events not created, in output.results, by index;
                                 leases: events refused;
                                 lookups: records found, in the order of the ids;
                                 queries, reads of changes: records in output */
    uint32_t exists_count;    /* creates: those of them that are `exists`; cancels: that are
                                 `already_over`; cut-offs: epoch_is_over */
    bool resent;              /* an earlier attempt may have been executed: see the top */
    uint64_t timestamp_first; /* creates: event i, where created, has timestamp_first + i;
                                 imported events keep their own */
    uint64_t ordinal_next;    /* reads of changes: see struct giro_changes */
    uint64_t ordinal_end;

    struct giro_request_internal internal;
};

/* Submits a request; completed() will be called exactly once. Returns 0, or GIRO_EINVAL,
 * GIRO_EAGAIN, or GIRO_ENOTSENT (the client is being closed, or GIRO_WAIT_WHEN_FULL waited past the
 * deadline): the request is then still the caller's and completed() is not called. */
int giro_submit(struct giro_client *client, struct giro_request *request);

/* Asks for a request to complete now: with GIRO_ENOTSENT when it was never sent, with
 * GIRO_ECANCELED when it was, or with its reply if that is faster. The callback runs on the I/O
 * thread as ever. Does nothing to a request that is not outstanding; the struct must still exist.
 */
void giro_cancel(struct giro_client *client, struct giro_request *request);

/* Submits a request and waits until it is complete; completed is not called. Returns its error, or
 * what giro_submit() returns, or GIRO_ECALLBACK. */
int giro_call(struct giro_client *client, struct giro_request *request);

/* ---- Calls that wait --------------------------------------------------------------------- */

/* Outcome of a create, whose events were all judged: one by one, or chain by chain. */
struct giro_created {
    uint64_t timestamp_first; /* event i, where created, has timestamp_first + i */
    uint32_t result_count;    /* events that were not created; 0: all were */
    uint32_t exists_count;    /* those of them that were there already, with equal fields; of
                                 cut-offs: those whose epoch is over already */
    bool resent;              /* `exists` may be this very request's doing: see the top */
};

/* Creates up to GIRO_EVENTS_MAX accounts, or transfers, and waits until they are durable.
 * results: room for count, or NULL; gets one entry for every event that was not created, by index.
 * Returns 0 when the server has judged the events, whatever it found. Else, with the outputs
 * untouched, any error of giro_call(): after one with giro_error_outcome_unknown() call again with
 * the same events. */
int giro_create_accounts(struct giro_client *client, const struct giro_account *accounts,
                         uint32_t count, struct giro_result *results,
                         struct giro_created *out_created);
int giro_create_transfers(struct giro_client *client, const struct giro_transfer *transfers,
                          uint32_t count, struct giro_result *results,
                          struct giro_created *out_created);

/* As giro_create_transfers(), for up to GIRO_OUTCOMES_MAX transfers, and tells of each what it led
 * to: both balances right after it, the amount as it was decided, marks. outcomes: room for count. */
int giro_create_transfers_outcomes(struct giro_client *client,
                                   const struct giro_transfer *transfers, uint32_t count,
                                   struct giro_outcome *outcomes, struct giro_result *results,
                                   struct giro_created *out_created);

/* Ends the settlement epoch of ledger numbers, each event by itself: the next one begins with the
 * event's timestamp. results: codes of enum giro_cut_off_result. Otherwise as
 * giro_create_accounts(). An epoch ends once: a cut-off that is sent again, by the library or by
 * you, answers epoch_is_over when it was done before, and is counted as existing. */
int giro_cut_off_ledgers(struct giro_client *client, const struct giro_cut_off *cut_offs,
                         uint32_t count, struct giro_result *results,
                         struct giro_created *out_created);

/* Sets limits of accounts, each event by itself: it replaces what the account had before. results:
 * codes of enum giro_limits_result. Otherwise as giro_create_accounts(), but that a request that was
 * sent is never sent again, because somebody else may have set other limits meanwhile: after an
 * error with giro_error_outcome_unknown() look with giro_get_limits(). */
int giro_set_limits(struct giro_client *client, const struct giro_limits *limits, uint32_t count,
                    struct giro_result *results, struct giro_created *out_created);

/* Acquires, renews and releases leases, each event by itself. leases: room for count, may be the
 * events themselves; gets each lease as it is then, in the order of the events: its token and
 * deadline, or in `result` (enum giro_lease_result) why nothing was done, and who has it.
 * out_refused: how many have a result.
 * A request that was sent is never sent again, because a second token would fence what was sent
 * under the first: after an error with giro_error_outcome_unknown() acquire anew.
 * Returns 0, or with the outputs untouched any error of giro_call(). */
int giro_change_leases(struct giro_client *client, const struct giro_lease *events, uint32_t count,
                       struct giro_lease *leases, uint32_t *out_refused);

/* Creates up to GIRO_SCHEDULES_MAX schedules, or cancels up to GIRO_EVENTS_MAX of them by id, each
 * by itself. results: codes of enum giro_schedule_result. Otherwise as giro_create_accounts();
 * exists_count of a cancel: those that were `already_over`, which after a resend may be its own
 * doing. */
int giro_create_schedules(struct giro_client *client, const struct giro_schedule *schedules,
                          uint32_t count, struct giro_result *results,
                          struct giro_created *out_created);
int giro_cancel_schedules(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                          struct giro_result *results, struct giro_created *out_created);

/* Looks up to GIRO_EVENTS_MAX ids up, as of now: what the reply shows is durable.
 * accounts, transfers: room for count; gets those that exist, in the order of the ids.
 * Returns 0, or with out_found untouched any error of giro_call(). */
int giro_lookup_accounts(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                         struct giro_account *accounts, uint32_t *out_found);
int giro_lookup_transfers(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                          struct giro_transfer *transfers, uint32_t *out_found);

/* The same for what became of transfers: holds, and all that moved money. Ids of voids and
 * adjustments are left out: the hold that they name tells. */
int giro_lookup_payments(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                         struct giro_payment *payments, uint32_t *out_found);

/* The same for what was posted to accounts with GIRO_ACCOUNT_SETTLES within the epoch of their
 * ledger, and within the one before. */
int giro_get_settlements(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                         struct giro_settlement *settlements, uint32_t *out_found);

/* The same for the limits of accounts that were ever given any. */
int giro_get_limits(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                    struct giro_limits *limits, uint32_t *out_found);

/* The same for how much of its velocity limits each of these accounts has used, as of the timestamp
 * in the reply; all zero where it has limits and none of these. */
int giro_get_velocity(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                      struct giro_velocity_used *velocities, uint32_t *out_found);

/* The same for leases, by their keys; one that is over may be found or not. Only key, owner, token
 * and deadline are told. */
int giro_get_leases(struct giro_client *client, const giro_u128 *keys, uint32_t count,
                    struct giro_lease *leases, uint32_t *out_found);

/* The same for schedules, at most GIRO_SCHEDULES_MAX. */
int giro_get_schedules(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                       struct giro_schedule *schedules, uint32_t *out_found);

/* Finds transfers that debit or credit an account, or the account's balances right after each of
 * them, in the order of their timestamps, or newest first. An account that does not exist has none.
 * Balances are kept only of accounts that were created with GIRO_ACCOUNT_HISTORY.
 * transfers, balances: room for filter->limit.
 * The next page: the same filter with timestamp_min = the last timestamp + 1 (reversed:
 * timestamp_max = the last timestamp - 1). There is none when fewer than limit were found, or when
 * the last timestamp is the filter's own bound (reversed without one: 1).
 * Returns 0, or with out_count untouched any error of giro_call(). GIRO_EFILTER: which field, or
 * that there is no history, is in giro_request.status when you make the request yourself. */
int giro_get_account_transfers(struct giro_client *client, const struct giro_account_filter *filter,
                               struct giro_transfer *transfers, uint32_t *out_count);
int giro_get_account_balances(struct giro_client *client, const struct giro_account_filter *filter,
                              struct giro_account_balance *balances, uint32_t *out_count);

/* The same over all accounts, or all transfers. Accounts come with their balances as of now. */
int giro_query_accounts(struct giro_client *client, const struct giro_query_filter *filter,
                        struct giro_account *accounts, uint32_t *out_count);
int giro_query_transfers(struct giro_client *client, const struct giro_query_filter *filter,
                         struct giro_transfer *transfers, uint32_t *out_count);

/* Where a read of changes ended. */
struct giro_changes {
    uint64_t ordinal_next; /* to ask for next: store it with what the changes led to */
    uint64_t ordinal_end;  /* behind the newest change: equal to ordinal_next when all are read */
    uint32_t count;        /* 0: there was none within wait_ms, or among what was looked at */
};

/* Reads what was accepted, from filter->ordinal on, in order, each with the balances that it led
 * to. What it answers is durable. When there is nothing yet it waits up to filter->wait_ms for it,
 * and all that while later requests of the same client wait behind it: use a client of your own.
 * changes: room for filter->limit.
 * Returns 0, or with out_changes untouched any error of giro_call(); after any of them the same
 * ordinal may be asked for again. */
int giro_read_changes(struct giro_client *client, const struct giro_change_filter *filter,
                      struct giro_change *changes, struct giro_changes *out_changes);

/* Has the server write a snapshot now and waits until it is durable, for as long as the client's
 * deadline_ms at most: a large ledger needs a request with a longer one. Later requests of the same
 * client wait behind it. Returns 0, or with out_snapshot untouched any error of giro_call();
 * GIRO_ESNAPSHOT: there is none. When the outcome is unknown there may be one, which does no harm.
 */
int giro_snapshot(struct giro_client *client, struct giro_server_snapshot *out_snapshot);

/* Returns 0 once everything that was sent before it is durable, or any error of giro_call(). */
int giro_ping(struct giro_client *client);

/* Reads the server's counters. Returns 0, or any error of giro_call(). */
int giro_stats(struct giro_client *client, struct giro_server_stats *out_stats);

/* ---- Helpers ----------------------------------------------------------------------------- */

/* A new id for an account or a transfer: milliseconds since the epoch in the upper 48 bits, random
 * below, greater than every id that this process got before, so that a sort by id is a sort by
 * time. Make it once an event, store it before sending, and reuse it for every retry. Returns 0
 * (never a valid id) if the system gives no random bytes, which Linux does not do after boot. */
giro_u128 giro_id_time_ordered(void);

/* The id of the transfer that a schedule makes for an occurrence, at an attempt; both count from
 * 0. With it the transfer, and what became of it, can be looked up. */
giro_u128 giro_schedule_transfer_id(giro_u128 schedule_id, uint32_t occurrence, uint32_t attempt);

/* The name of a status of the protocol, such as "filter_limit" in giro_request.status, and what it
 * means and what to do. Static strings; "unknown" for what is none. */
const char *giro_status_name(uint32_t status);
const char *giro_status_text(uint32_t status);

/* "0.1.0". Static. */
const char *giro_version(void);

#ifdef __cplusplus
}
#endif

#endif
