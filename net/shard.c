#include "net/shard_state.h"

#include "engine/memory.h"
#include "net/compat.h"
#include "net/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OWNER_ACCEPT = 32,
    OWNER_STOP = 33,
    OWNER_FOLLOWER = 34,
    TURNS_MAX = 1024,             /* frames executed before the loop looks at its events again */
    FLUSH_BYTES = 256 << 10,      /* an open block of this size does not wait for more */
    SWEEP_NS = 250 * 1000 * 1000, /* between looks for connections that timed out */
    DRAIN_NS = 1000 * 1000 * 1000,
    STOP_NS = 2000 * 1000 * 1000, /* for the last replies to be sent */
    THROTTLE_NS = 1000 * 1000,    /* between looks whether the follower has caught up */
    /* A digest record for so much log, or so many blocks, of so many account rows. */
    DIGEST_LOG_BYTES = 128 << 10,
    DIGEST_BLOCKS = 64,
    DIGEST_ROWS = 256,
    DIGEST_ROWS_SOON = 4096, /* when a snapshot waits for a whole round of them, */
    DIGEST_PARTS = 64,       /* and when nobody else waits: a whole round in so many */
    DIGEST_LAG_BYTES = 1 << 20,
};

/* A round of digests that proved nothing is followed by another after so long. */
#define DIGEST_ROUND_NS (2000ull * 1000 * 1000)

#define THROTTLE_SAY_NS (10000ull * 1000 * 1000)

#define NS_PER_MS 1000000ull

#define OWNER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct shard_options shard_options_default(void)
{
    return (struct shard_options){
        .data = NULL,
        .listen = "127.0.0.1:4470",
        .compat_sessions_max = 8192,
        .io_mode = IO_MODE_AUTO,
        .accounts_max = 16 << 20,
        .transfers_max = 1ull << 30,
        .holds_max = 4 << 20,
        .payments_max = LEDGER_PAYMENTS_DEFAULT,
        .connections_max = 10000,
        .large_buffers = 256,
        .window_bytes = LOG_WINDOW_BYTES_DEFAULT,
        .block_bytes_max = LOG_BLOCK_BYTES_DEFAULT,
        .segments_ahead = DIRECTORY_SEGMENTS_AHEAD,
        .idle_mark_ms = 5,
        .spin_us = 500,
        .frame_timeout_ms = 10000,
        .send_timeout_ms = 30000,
        .follower = 1,
        .follower_lag_max = 64 << 20,
        .snapshot_log_bytes = 1 << 30,
        .snapshot_bytes_per_s = 500 << 20,
    };
}

/* ---- Lists ------------------------------------------------------------------------------- */

static void ready_push(struct shard *shard, struct connection *connection)
{
    struct connection_list *list = &shard->ready;
    if (connection->listed)
        return;
    connection->listed = true;
    connection->next = NULL;
    if (list->last == NULL)
        list->first = connection;
    else
        list->last->next = connection;
    list->last = connection;
    list->count++;
}

static struct connection *ready_pop(struct shard *shard)
{
    struct connection_list *list = &shard->ready;
    struct connection *connection = list->first;
    list->first = connection->next;
    if (list->first == NULL)
        list->last = NULL;
    list->count--;
    connection->listed = false;
    return connection;
}

/* ---- The life of a connection ------------------------------------------------------------ */

static void accept_submit(struct shard *shard)
{
    for (uint32_t i = 0; i < LISTENERS; i++) {
        struct listener *listener = &shard->listeners[i];
        if (listener->fd < 0 || listener->accepting || shard->stopping)
            continue;
        listener->accept =
            (struct io_op){.kind = IO_ACCEPT, .fd = listener->fd, .owner = OWNER_ACCEPT};
        listener->accepting = true;
        io_submit(shard->io, &listener->accept);
    }
}

/* Frees a closing connection once nothing of it is under way any more. */
static void connection_reap(struct shard *shard, struct connection *connection)
{
    if (connection->state != CONNECTION_CLOSING || connection->receiving || connection->sending ||
        connection->fetching || connection->listed)
        return;
    struct shard_fetch *fetch = shard_fetch_of(shard, connection);
    if (fetch != NULL)
        shard_fetch_end(fetch); /* it had fetched, and was closed before it could go on */
    shard_query_drop(shard, connection);
    close(connection->fd);
    connection_buffers_reset(connection, &shard->in_pool, &shard->out_pool);
    connection->state = CONNECTION_FREE;
    connection->next = shard->free_connections;
    shard->free_connections = connection;
    shard->connection_count--;
}

static void connection_close(struct shard *shard, struct connection *connection)
{
    if (connection->state != CONNECTION_CLOSING) {
        connection->state = CONNECTION_CLOSING;
        (void)shutdown(connection->fd, SHUT_RDWR); /* ends what is under way */
        shard_query_drop(shard, connection);
    }
    connection_reap(shard, connection);
}

/* Reads and forgets, so that the peer gets our last words instead of a reset. */
static void connection_discard(struct shard *shard, struct connection *connection)
{
    if (connection->receiving)
        return;
    connection->recv = (struct io_op){
        .kind = IO_RECV,
        .fd = connection->fd,
        .buffer = connection->in_small,
        .size = CONNECTION_IN_BYTES,
        .owner = CONNECTION_OWNER_RECV,
    };
    connection->receiving = true;
    io_submit(shard->io, &connection->recv);
}

/* Makes the replies sendable that are durable, and remembers a connection that has others. */
static void connection_await(struct shard *shard, struct connection *connection)
{
    bool had = connection->awaiting;
    connection_release(connection, shard->log.lsn_durable, shard->io, shard->monotonic_ns);
    connection->awaiting = connection->mark_count > 0;
    if (connection->awaiting && !had)
        shard->awaiting[shard->awaiting_count++] = connection;
}

/* Goes on with a connection that was refused: its earlier replies, then the error, then our side is
 * shut, and the other side may take its time to notice. */
static void connection_finish(struct shard *shard, struct connection *connection)
{
    if (connection->state != CONNECTION_FINISHING)
        return;
    if (connection->refused && connection_reply_reserve(connection, &shard->out_pool, 0) != NULL) {
        connection->refused = false;
        connection_reply(connection, &connection->refusal,
                         (enum frame_status)connection->refusal.status, 0,
                         log_lsn_visible(&shard->log));
        connection_await(shard, connection);
    }
    if (connection->refused || connection->sending || connection->out_end != 0)
        return;
    connection->state = CONNECTION_DRAINING;
    connection->state_since = shard->monotonic_ns;
    (void)shutdown(connection->fd, SHUT_WR);
    connection_discard(shard, connection);
}

/* Answers an error that ends the connection, behind the replies that are still to be sent. */
static void connection_refuse(struct shard *shard, struct connection *connection,
                              enum frame_status status)
{
    uint32_t have = connection->in_end - connection->in_begin;
    connection->refusal = (struct frame_header){0};
    if (have >= FRAME_HEADER_BYTES && status != FRAME_BAD_MAGIC)
        connection->refusal = *connection_header(connection);
    connection->refusal.status = status;
    connection->refused = !connection->compat; /* the other protocol has no words for it */
    connection->state = CONNECTION_FINISHING;
    connection->state_since = shard->monotonic_ns;
    shard->stats.frames_bad++;
    connection_finish(shard, connection);
}

static void connection_open(struct shard *shard, int fd, bool compat)
{
    struct connection *connection = shard->free_connections;
    listener_prepare(fd);
    if (connection == NULL && compat) {
        close(fd);
        return;
    }
    if (connection == NULL) {
        struct frame_header frame = {.operation = FRAME_HELLO,
                                     .flags = FRAME_FLAG_REPLY,
                                     .status = FRAME_TOO_MANY_CONNECTIONS};
        frame_seal(&frame, 0);
        (void)send(fd, &frame, sizeof frame, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(fd);
        return;
    }
    shard->free_connections = connection->next;
    shard->connection_count++;
    shard->stats.connections_accepted++;
    size_t number = (size_t)(connection - shard->connections);
    char *buffers =
        shard->connection_buffers + number * (CONNECTION_IN_BYTES + CONNECTION_OUT_BYTES);
    *connection = (struct connection){
        .state = CONNECTION_OPEN,
        .fd = fd,
        .compat = compat,
        .greeted = compat, /* it has no hello */
        .compat_cluster = shard->options->compat_cluster,
        .in = buffers,
        .in_small = buffers,
        .in_capacity = CONNECTION_IN_BYTES,
        .out = buffers + CONNECTION_IN_BYTES,
        .out_small = buffers + CONNECTION_IN_BYTES,
        .out_capacity = CONNECTION_OUT_BYTES,
        .state_since = shard->monotonic_ns,
        .awaiting = connection->awaiting, /* it may still stand in the list */
    };
    connection_receive(connection, &shard->in_pool, shard->io);
}

static void connection_timed_out(struct shard *shard, struct connection *connection)
{
    shard->stats.connections_timed_out++;
    if (connection->state == CONNECTION_OPEN && !connection->sending)
        connection_refuse(shard, connection, FRAME_TIMED_OUT);
    else
        connection_close(shard, connection);
}

static bool connection_overdue(const struct shard *shard, const struct connection *connection)
{
    uint64_t now = shard->monotonic_ns;
    uint64_t frame_ns = shard->options->frame_timeout_ms * NS_PER_MS;
    uint64_t send_ns = shard->options->send_timeout_ms * NS_PER_MS;
    if (connection->sending && now - connection->send_since > send_ns)
        return true;
    switch (connection->state) {
    case CONNECTION_OPEN:
        return (connection->frame_since != 0 && now - connection->frame_since > frame_ns) ||
               (!connection->greeted && now - connection->state_since > frame_ns);
    case CONNECTION_FINISHING:
        return now - connection->state_since > send_ns;
    case CONNECTION_DRAINING:
        return now - connection->state_since > DRAIN_NS;
    default:
        return false;
    }
}

/* Whether the peer of a connection went away, or will send nothing more, while it waits for changes
 * to come: nothing is being received meanwhile that would tell. */
static bool connection_is_gone(const struct connection *connection)
{
    char byte;
    return connection->state == CONNECTION_OPEN && connection->request != NULL &&
           connection->request->kind == FOLLOWER_CHANGES && connection->fetching &&
           !connection->receiving && recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* What a client was late with may have come long ago, and only we have not looked: because there was
 * too much to look at, or because this process stood still. So a connection is ended when two sweeps
 * in a row find it late, with a look at everything in between. */
static void connections_sweep(struct shard *shard)
{
    if (shard->monotonic_ns < shard->sweep_at || shard->crowded)
        return;
    shard->sweep_at = shard->monotonic_ns + SWEEP_NS;
    for (uint32_t i = 0; i < shard->options->connections_max; i++) {
        struct connection *connection = &shard->connections[i];
        bool again = connection->overdue;
        connection->overdue = connection_overdue(shard, connection);
        if (connection->overdue && again)
            connection_timed_out(shard, connection);
        else if (connection_is_gone(connection))
            connection_close(shard, connection);
    }
    accept_submit(shard); /* after an error such as too many descriptors */
}

/* ---- Turns ------------------------------------------------------------------------------- */

enum turn {
    TURN_PROGRESS, /* a frame was executed: there may be another */
    TURN_IDLE,     /* an event will bring the connection back */
    TURN_BLOCKED,  /* try again in the next round */
    TURN_STOP,     /* the log is full for now: nobody goes on */
};

static enum turn connection_execute(struct shard *shard, struct connection *connection)
{
    enum frame_status status;
    switch (shard_execute(shard, connection, &status)) {
    case EXECUTION_DONE: {
        struct shard_fetch *fetch = shard_fetch_of(shard, connection);
        if (fetch != NULL)
            shard_fetch_end(fetch);
        connection_frame_done(connection, &shard->in_pool);
        connection_await(shard, connection);
        return TURN_PROGRESS;
    }
    case EXECUTION_REFUSED:
        connection_refuse(shard, connection, status);
        return TURN_IDLE;
    case EXECUTION_WAIT_LOG:
        return TURN_STOP;
    case EXECUTION_WAIT_OUTPUT:
    case EXECUTION_FETCHING:
        return TURN_IDLE;
    case EXECUTION_WAIT_BUFFER:
        return TURN_BLOCKED;
    }
    return TURN_IDLE;
}

static enum turn connection_turn(struct shard *shard, struct connection *connection)
{
    enum frame_status status;
    if (connection->state != CONNECTION_OPEN) {
        connection_reap(shard, connection);
        return TURN_IDLE;
    }
    if (connection->fetching || connection->receiving || shard->stopping)
        return TURN_IDLE;
    if (connection->queued && shard_fetch_of(shard, NULL) == NULL)
        return TURN_BLOCKED; /* executing it again would only find out the same */
    switch (connection_frame(connection, &status)) {
    case FRAME_WHOLE:
        connection->frame_since = 0; /* from here on it is us that the client waits for */
        return connection_execute(shard, connection);
    case FRAME_REFUSED:
        connection_refuse(shard, connection, status);
        return TURN_IDLE;
    case FRAME_PARTIAL:
        break;
    }
    connection_receive(connection, &shard->in_pool, shard->io);
    /* Waiting for one of our buffers is not the client's fault: the clock does not run. */
    if (connection->starved || connection->in_begin == connection->in_end)
        connection->frame_since = 0;
    else if (connection->frame_since == 0)
        connection->frame_since = shard->monotonic_ns;
    return connection->starved ? TURN_BLOCKED : TURN_IDLE;
}

/* Writes what the shard's own state is into the log now and then, behind everything that led to it.
 * The follower, and every replay, compares. */
static void digest_add(struct shard *shard, uint32_t rows)
{
    struct log *log = &shard->log;
    union record *record;
    uint64_t address;
    if (log_reserve(log, 1, &record, &address) != LOG_ROOM)
        return; /* the next block will do */
    ledger_digest_record(shard->ledger, rows, clock_wall_ns(), &record->digest);
    log_commit(log, 1);
    shard->round_rows += record->digest.row_count;
    shard->round_sides += record->digest.side_count;
    shard->digest_position = log->open_begin;
    shard->digest_lsn = log->lsn;
}

/* How many rows of accounts, and of another table, a digest is to be written of now; 0: none. A
 * snapshot that is to be proven wants all rows soon: even an idle log writes digests then, as long as
 * the follower takes them. */
static uint32_t digest_rows(const struct shard *shard)
{
    const struct log *log = &shard->log;
    const struct follower *follower = shard->follower;
    if (atomic_load_explicit(&follower->wants_digests, memory_order_relaxed)) {
        bool taken = follower_lag_bytes(follower) < DIGEST_LAG_BYTES &&
                     !atomic_load_explicit(&follower->seal_failing, memory_order_relaxed);
        const uint32_t accounts = shard->ledger->accounts.count;
        uint32_t sides = 0;
        for (enum ledger_table table = LEDGER_ACCOUNTS + 1; table < LEDGER_TABLES; table++)
            sides += ledger_rows(shard->ledger, table).count;
        uint32_t share = shard->stopping ? (accounts > sides ? accounts : sides) / DIGEST_PARTS : 0;
        bool round = shard->round_rows < accounts || shard->round_sides < 2 * (uint64_t)sides;
        if (round && (log->open_records > 0 || taken))
            return share > DIGEST_ROWS_SOON ? share : DIGEST_ROWS_SOON;
    }
    bool due = log->open_begin - shard->digest_position >= DIGEST_LOG_BYTES ||
               log->lsn - shard->digest_lsn >= DIGEST_BLOCKS;
    return log->open_records > 0 && due ? DIGEST_ROWS : 0;
}

static void block_flush(struct shard *shard)
{
    if (shard->log.in_flight)
        return;
    /* One round is enough, unless it began before the follower was ready for it: then another. */
    bool wanted = atomic_load_explicit(&shard->follower->wants_digests, memory_order_relaxed);
    if (!wanted || shard->monotonic_ns >= shard->round_until) {
        shard->round_rows = 0;
        shard->round_sides = 0;
        shard->round_until = shard->monotonic_ns + DIGEST_ROUND_NS;
    }
    uint32_t rows = digest_rows(shard);
    if (rows > 0)
        digest_add(shard, rows);
    log_flush(&shard->log, clock_wall_ns());
}

/* Decides whether creates must wait, because the follower is too far behind. */
static void follower_wait(struct shard *shard)
{
    const struct follower *follower = shard->follower;
    uint64_t lag = follower->started ? follower_lag_bytes(follower) : 0;
    /* Once late, it is until a quarter of the limit is worked off: fewer and longer pauses. */
    uint64_t limit = shard->options->follower_lag_max;
    bool late = lag > (shard->throttled ? limit - limit / 4 : limit) &&
                follower_failure(follower) == FOLLOWER_SOUND;
    if (late && !shard->throttled) {
        shard->stats.follower_throttled++;
        if (shard->monotonic_ns >= shard->throttle_said_at) {
            fprintf(stderr,
                    "giro: the follower is %" PRIu64
                    " MiB of log behind: new accounts and transfers wait for it "
                    "(follower_lag_max)\n",
                    lag >> 20);
            shard->throttle_said_at = shard->monotonic_ns + THROTTLE_SAY_NS;
        }
    }
    shard->throttled = late;
}

/* Gives every ready connection its turns, one frame each in rotation. Returns whether somebody can
 * go on at once. */
static bool ready_run(struct shard *shard)
{
    uint32_t blocked = 0;
    follower_wait(shard);
    for (uint32_t turns = 0; shard->ready.count > blocked; turns++) {
        if (turns == TURNS_MAX)
            return true;
        struct connection *connection = ready_pop(shard);
        enum turn turn = connection_turn(shard, connection);
        if (turn == TURN_IDLE)
            continue;
        ready_push(shard, connection);
        if (turn == TURN_STOP)
            return false;
        blocked = turn == TURN_BLOCKED ? blocked + 1 : 0;
        if (shard->log.open_records * GIRO_RECORD_BYTES >= FLUSH_BYTES)
            block_flush(shard);
    }
    return false;
}

/* ---- Events ------------------------------------------------------------------------------ */

static void replies_release(struct shard *shard)
{
    uint32_t left = 0;
    if (!shard->release_due)
        return;
    shard->release_due = false;
    for (uint32_t i = 0; i < shard->awaiting_count; i++) {
        struct connection *connection = shard->awaiting[i];
        connection_release(connection, shard->log.lsn_durable, shard->io, shard->monotonic_ns);
        connection->awaiting = connection->mark_count > 0;
        if (connection->awaiting)
            shard->awaiting[left++] = connection;
    }
    shard->awaiting_count = left;
}

static void event_log_written(struct shard *shard)
{
    bool records = ((const struct block_header *)shard->log.write.buffer)->kind == BLOCK_RECORDS;
    log_write_done(&shard->log);
    if (shard->log.in_flight)
        return;
    follower_block_durable(shard->follower);
    shard->release_due = true;
    shard->idle_mark_at =
        records ? shard->monotonic_ns + shard->options->idle_mark_ms * NS_PER_MS : 0;
}

static void event_received(struct shard *shard, struct connection *connection)
{
    connection->receiving = false;
    if (connection->recv.result == -EINTR || connection->recv.result == -EAGAIN) {
        ready_push(shard, connection);
        return;
    }
    if (connection->recv.result == 0 && connection->state == CONNECTION_OPEN &&
        connection->out_end != 0) {
        /* The client has said all that it wants to say, and may still be listening. */
        connection->state = CONNECTION_FINISHING;
        connection->state_since = shard->monotonic_ns;
        return;
    }
    if (connection->recv.result <= 0 || connection->state == CONNECTION_CLOSING) {
        connection_close(shard, connection);
        return;
    }
    if (connection->state == CONNECTION_DRAINING) {
        connection_discard(shard, connection);
        return;
    }
    connection->in_end += (uint32_t)connection->recv.result;
    ready_push(shard, connection);
}

static void event_sent(struct shard *shard, struct connection *connection)
{
    int result = connection_sent(connection, &shard->out_pool, shard->monotonic_ns);
    if (result != 0 || connection->state == CONNECTION_CLOSING) {
        connection_close(shard, connection);
        return;
    }
    connection_await(shard, connection);
    connection_finish(shard, connection);
    ready_push(shard, connection); /* its next reply may fit now */
}

static void damage_tell(const struct shard *shard, const struct log_fetch *fetch)
{
    const uint32_t segment_bytes = shard->directory.meta.segment_bytes;
    fprintf(stderr,
            "giro: a block on disk is damaged: %s/shard-0/%010u.log, offset %u: run giro verify "
            "--data %s\n",
            shard->directory.path, (uint32_t)(fetch->damaged_at / segment_bytes),
            (uint32_t)(fetch->damaged_at % segment_bytes), shard->directory.path);
}

/* What schedules wait for was fetched. While a record cannot be read nobody knows whether it has the
 * id of an attempt: then none is made, and it is tried again later. */
static void event_firing_fetched(struct shard *shard)
{
    enum log_fetch_state state = log_fetch_step(&shard->firing.fetch);
    if (state == LOG_FETCH_AGAIN)
        return;
    shard->firing_fetches = false;
    if (state != LOG_FETCH_DAMAGED)
        return;
    damage_tell(shard, &shard->firing.fetch);
    shard->firing_paused_until = shard->monotonic_ns + FIRE_DAMAGED_PAUSE_NS;
}

static void event_fetched(struct shard *shard, struct shard_fetch *fetch)
{
    struct connection *connection = fetch->connection;
    if (fetch == &shard->firing) {
        event_firing_fetched(shard);
        return;
    }
    enum log_fetch_state state = log_fetch_step(&fetch->fetch);
    if (state == LOG_FETCH_AGAIN)
        return;
    connection->fetching = false;
    if (state == LOG_FETCH_DAMAGED) {
        damage_tell(shard, &fetch->fetch);
        connection->damaged = true;
    }
    if (connection->state != CONNECTION_OPEN)
        shard_fetch_end(fetch);
    ready_push(shard, connection);
}

static void event_accepted(struct shard *shard, struct listener *listener)
{
    listener->accepting = false;
    if (listener->accept.result < 0)
        return; /* tried again by the next sweep */
    if (shard->stopping) {
        close(listener->accept.result);
        return;
    }
    connection_open(shard, listener->accept.result, listener->compat);
    accept_submit(shard);
}

static void notify_submit(struct shard *shard)
{
    if (shard->notifying || shard->notify_fd < 0)
        return;
    shard->notify = (struct io_op){.kind = IO_RECV,
                                   .fd = shard->notify_fd,
                                   .buffer = shard->notify_bytes,
                                   .size = sizeof shard->notify_bytes,
                                   .owner = OWNER_FOLLOWER};
    shard->notifying = true;
    io_submit(shard->io, &shard->notify);
}

/* Goes on with the connections whose requests the follower has answered. */
static void requests_completed(struct shard *shard)
{
    struct connection *connection;
    while ((connection = shard_query_completed(shard)) != NULL) {
        if (connection->state == CONNECTION_OPEN && shard->stopping)
            connection_refuse(shard, connection, FRAME_SHUTTING_DOWN);
        if (connection->state != CONNECTION_OPEN)
            shard_query_drop(shard, connection);
        ready_push(shard, connection);
    }
}

static void event_notified(struct shard *shard)
{
    shard->notifying = false;
    requests_completed(shard);
    if (shard->notify.result != 0)
        notify_submit(shard);
}

static void event_dispatch(struct shard *shard, struct io_op *op)
{
    switch (op->owner) {
    case LOG_OWNER_WRITE:
        event_log_written(shard);
        break;
    case LOG_OWNER_SEGMENT:
        log_segments_run(&shard->log, shard->monotonic_ns, true);
        break;
    case LOG_OWNER_FETCH:
        event_fetched(shard, OWNER_OF(op, struct shard_fetch, fetch.op));
        break;
    case CONNECTION_OWNER_RECV:
        event_received(shard, OWNER_OF(op, struct connection, recv));
        break;
    case CONNECTION_OWNER_SEND:
        event_sent(shard, OWNER_OF(op, struct connection, send));
        break;
    case OWNER_ACCEPT:
        event_accepted(shard, OWNER_OF(op, struct listener, accept));
        break;
    case OWNER_FOLLOWER:
        event_notified(shard);
        break;
    case OWNER_STOP:
        if (op->result == -EINTR || op->result == -EAGAIN) {
            io_submit(shard->io, op);
            break;
        }
        shard->impatient = shard->stopping;
        shard->stopping = true;
        shard->log.stopping = true;
        if (op->result > 0)
            io_submit(shard->io, op);
        break;
    default:
        abort();
    }
}

/* ---- The loop ---------------------------------------------------------------------------- */

/* The shard's tables that grow while it serves. */
enum {
    WARM_BUCKETS,
    WARM_OVERFLOW,
    WARM_ACCOUNTS,
    WARM_ACCOUNT_BUCKETS,
    WARM_HOLDS,
    WARM_WINDOW,
};

static void tables_warm(struct shard *shard)
{
    const struct ledger *ledger = shard->ledger;
    struct warmer *warmer = &shard->warmer;
    warmer_used(warmer, WARM_BUCKETS, ledger->transfers.bucket_count * sizeof(struct index_bucket));
    warmer_used(warmer, WARM_OVERFLOW,
                ledger->transfers.overflow_used * sizeof(struct index_bucket));
    warmer_used(warmer, WARM_ACCOUNTS, ledger->accounts.count * sizeof(struct giro_account));
    warmer_used(warmer, WARM_ACCOUNT_BUCKETS,
                ledger->accounts.index.bucket_count * sizeof(struct index_bucket));
    warmer_used(warmer, WARM_HOLDS, ledger->holds.slots_used * sizeof(struct hold));
}

static int tables_warm_start(struct shard *shard, struct error *error)
{
    const struct ledger *ledger = shard->ledger;
    struct warmer *warmer = &shard->warmer;
    warmer_add(warmer, WARM_BUCKETS, ledger->transfers.buckets,
               ledger->transfers.buckets_reserved_bytes);
    warmer_add(warmer, WARM_OVERFLOW, ledger->transfers.overflow,
               ledger->transfers.overflow_reserved_bytes);
    warmer_add(warmer, WARM_ACCOUNTS, ledger->accounts.rows,
               ledger->accounts.capacity * sizeof(struct giro_account));
    warmer_add(warmer, WARM_ACCOUNT_BUCKETS, ledger->accounts.index.buckets,
               ledger->accounts.index.buckets_reserved_bytes);
    warmer_add(warmer, WARM_HOLDS, ledger->holds.slots,
               ledger->holds.capacity * sizeof(struct hold));
    warmer_add(warmer, WARM_WINDOW, shard->window, shard->options->window_bytes);
    tables_warm(shard);
    warmer_used(warmer, WARM_WINDOW, shard->options->window_bytes);
    return warmer_start(warmer, error);
}

/* Goes to the next segment when that was asked for, by a client or by the follower: an idle log with
 * a mark, a busy one with its next block. */
static void log_roll_on(struct shard *shard)
{
    if (follower_wants_roll(shard->follower))
        (void)log_roll(&shard->log);
    if (log_roll_pending(&shard->log) && !shard->log.in_flight && shard->log.open_records == 0)
        (void)log_mark(&shard->log, BLOCK_IDLE, clock_wall_ns());
}

/* Writes into the log that a snapshot was completed. */
static void snapshot_log(struct shard *shard)
{
    struct manifest_entry entry;
    union record *record;
    uint64_t address;
    if (shard->snapshot_due.file_bytes == 0 && shard->follower->started &&
        follower_published(shard->follower, &entry))
        shard->snapshot_due = entry;
    if (shard->snapshot_due.file_bytes == 0 ||
        log_reserve(&shard->log, 1, &record, &address) != LOG_ROOM)
        return;
    record->snapshot = (struct record_snapshot){
        .file = shard->snapshot_due.file,
        .file_bytes = shard->snapshot_due.file_bytes,
        .lsn = shard->snapshot_due.lsn,
        .segment = shard->snapshot_due.segment,
        .code = RECORD_SYSTEM_SNAPSHOT,
        .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
        .timestamp = clock_wall_ns(),
    };
    log_commit(&shard->log, 1);
    shard->snapshot_due = (struct manifest_entry){0};
}

static void timers_run(struct shard *shard)
{
    tables_warm(shard);
    connections_sweep(shard);
    log_segments_run(&shard->log, shard->monotonic_ns, false);
    if (ledger_expiry_due(shard->ledger, clock_wall_ns()))
        (void)shard_expire(shard);
    shard_fire(shard);
    snapshot_log(shard);
    block_flush(shard);
    log_roll_on(shard);
    bool idle = shard->idle_mark_at != 0 && shard->monotonic_ns >= shard->idle_mark_at;
    if (idle && !shard->log.in_flight && shard->log.open_records == 0) {
        shard->idle_mark_at = 0;
        (void)log_mark(&shard->log, BLOCK_IDLE, clock_wall_ns());
    }
}

static uint64_t wait_until(const struct deadline *deadline, uint64_t now)
{
    if (deadline == NULL)
        return UINT64_MAX;
    return deadline->time > now ? deadline->time - now : 1;
}

/* How long the loop may sleep when nothing happens. */
static uint64_t timeout_ns(const struct shard *shard)
{
    uint64_t timeout = shard->throttled ? THROTTLE_NS : SWEEP_NS;
    if (shard->idle_mark_at != 0 && !shard->log.in_flight) {
        uint64_t left = shard->idle_mark_at > shard->monotonic_ns
                            ? shard->idle_mark_at - shard->monotonic_ns
                            : 1;
        timeout = left < timeout ? left : timeout;
    }
    /* While the log is busy its completion wakes the loop; it must not spin until then. */
    if (shard->log.storage_full || shard->log.in_flight)
        return timeout;
    const uint64_t now = clock_wall_ns();
    uint64_t left = wait_until(deadlines_first(&shard->ledger->holds.deadlines), now);
    timeout = left < timeout ? left : timeout;
    left = wait_until(deadlines_first(&shard->ledger->schedules.deadlines), now);
    if (shard->firing_fetches)
        left = UINT64_MAX;
    else if (shard->firing_paused_until > shard->monotonic_ns && left < FIRE_PAUSE_NS)
        left = shard->firing_paused_until - shard->monotonic_ns;
    timeout = left < timeout ? left : timeout;
    return timeout;
}

int shard_turn(struct shard *shard, uint64_t timeout)
{
    struct io_op *done[IO_BATCH_MAX];
    /* Somebody waits for the write under way: waking up late would cost as much as the write. */
    uint64_t spin_ns = shard->log.in_flight ? shard->options->spin_us * 1000ull : 0;
    int count = io_wait(shard->io, done, timeout, spin_ns);
    if (count < 0)
        return count;
    shard->monotonic_ns = clock_monotonic_ns();
    shard->crowded = count == IO_BATCH_MAX;
    for (int i = 0; i < count; i++)
        event_dispatch(shard, done[i]);
    return 0;
}

/* Writes all account rows of a ledger to DIR/dump-NAME-LSN.accounts. */
static void accounts_dump(const struct shard *shard, const char *name, const struct ledger *ledger)
{
    char path[sizeof shard->directory.path + 64];
    (void)snprintf(path, sizeof path, "%s/dump-%s-%" PRIu64 ".accounts", shard->directory.path,
                   name, shard->log.lsn_durable);
    size_t size = (size_t)ledger->accounts.count * sizeof(struct giro_account);
    const char *rows = (const char *)ledger->accounts.rows;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t done = 0;
    while (fd >= 0 && done < size) {
        ssize_t put = write(fd, rows + done, size - done);
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    if (fd < 0 || done < size)
        fprintf(stderr, "giro: %s: cannot write: %s\n", path, strerror(errno));
    else
        fprintf(stderr, "giro: %s: %u account rows of 128 bytes\n", path, ledger->accounts.count);
    if (fd >= 0)
        close(fd);
}

/* The follower's state is not ours. Nobody can tell here which of the two is right, but the log can:
 * what was acknowledged is in it, and a restart replays it. */
static int shard_dump(struct shard *shard)
{
    follower_stop(shard->follower);
    accounts_dump(shard, "server", shard->ledger);
    accounts_dump(shard, "follower", shard->follower->ledger);
    return error_set(&shard->failure, -EBADMSG,
                     "%s; everything acknowledged is in the log; check the machine's memory, run "
                     "giro verify --data %s, then start again; both states were dumped",
                     shard->follower->failure_text.text, shard->directory.path);
}

static int shard_loop(struct shard *shard)
{
    while (!shard->stopping) {
        /* The next block is submitted before the replies of the last: while the disk works on it,
         * the sockets are served. */
        bool more = ready_run(shard);
        timers_run(shard);
        replies_release(shard);
        if (follower_failure(shard->follower) == FOLLOWER_MISMATCH)
            return shard_dump(shard);
        int result = shard_turn(shard, more ? 0 : timeout_ns(shard));
        if (result != 0)
            return result;
    }
    return 0;
}

/* Tells clients whose frames will not be executed any more; those whose were get their replies. */
static void waiting_refuse(struct shard *shard)
{
    for (uint32_t i = 0; i < shard->options->connections_max; i++) {
        struct connection *connection = &shard->connections[i];
        enum frame_status status;
        if (connection->state == CONNECTION_OPEN && !connection->receiving &&
            !connection->fetching && connection_frame(connection, &status) == FRAME_WHOLE)
            connection_refuse(shard, connection, FRAME_SHUTTING_DOWN);
    }
}

static bool replies_pending(const struct shard *shard)
{
    for (uint32_t i = 0; i < shard->options->connections_max; i++) {
        const struct connection *connection = &shard->connections[i];
        bool talks =
            connection->state == CONNECTION_OPEN || connection->state == CONNECTION_FINISHING;
        if (talks && connection->out_end != 0)
            return true;
    }
    return false;
}

/* Takes the requests back that the follower has. */
static void requests_cancel(struct shard *shard)
{
    for (uint32_t i = 0; i < shard->options->connections_max; i++) {
        struct connection *connection = &shard->connections[i];
        if (connection->state != CONNECTION_FREE && connection->request != NULL &&
            connection->fetching)
            shard_query_drop(shard, connection);
    }
}

static int log_settle(struct shard *shard)
{
    int result = 0;
    while (result == 0 && (shard->log.in_flight || shard->log.open_records > 0)) {
        log_flush(&shard->log, clock_wall_ns());
        result = shard_turn(shard, SWEEP_NS);
    }
    return result;
}

/* Takes a snapshot before a clean stop when the next start would otherwise read more than what is
 * left of a segment. */
static int stop_snapshot(struct shard *shard)
{
    struct follower *follower = shard->follower;
    uint64_t print_at = shard->monotonic_ns + SHARD_PROGRESS_NS;
    struct follower_request *request = NULL;
    if (!follower->started || follower_failure(follower) != FOLLOWER_SOUND ||
        follower_log_since_snapshot(follower, shard->log.open_begin) <
            shard->directory.meta.segment_bytes ||
        (request = follower_request(follower, FOLLOWER_SNAPSHOT)) == NULL)
        return 0;
    request->filter.snapshot_segment = log_roll(&shard->log);
    request->owner = NULL;
    if (!log_roll_pending(&shard->log)) {
        follower_release(follower, request);
        return 0;
    }
    follower_hurry(follower);
    shard->own_pending = true;
    follower_submit(follower, request);
    int result = 0;
    while (result == 0 && shard->own_pending) {
        log_roll_on(shard);
        block_flush(shard); /* the digests that prove it */
        result = shard_turn(shard, THROTTLE_NS);
        /* The next start can read the log instead: when there is no segment to go to, or whoever
         * stops the server asks again. */
        if (shard->impatient || log_roll_stuck(&shard->log)) {
            atomic_store_explicit(&request->cancelled, true, memory_order_relaxed);
            follower_wake(follower);
        }
        if (shard->monotonic_ns < print_at)
            continue;
        fprintf(stderr, "giro: stopping: writing a snapshot; stop again to do without it\n");
        print_at = shard->monotonic_ns + SHARD_PROGRESS_NS;
    }
    snapshot_log(shard);
    return result == 0 ? log_settle(shard) : result;
}

/* A clean stop: what was executed becomes durable and is answered, then the log gets its stop mark,
 * and everything that is under way ends. */
static int shard_stop(struct shard *shard)
{
    uint64_t give_up_at = clock_monotonic_ns() + STOP_NS;
    int result = 0;
    waiting_refuse(shard);
    requests_cancel(shard);
    while (result == 0 && (shard->log.in_flight || shard->log.open_records > 0 ||
                           ((replies_pending(shard) || shard->requests_pending > 0) &&
                            shard->monotonic_ns < give_up_at))) {
        log_flush(&shard->log, clock_wall_ns());
        replies_release(shard);
        result = shard_turn(shard, SWEEP_NS);
    }
    if (result == 0 && shard->requests_pending == 0)
        result = stop_snapshot(shard);
    follower_stop(shard->follower);
    requests_completed(shard);
    if (result == 0)
        result = log_settle(shard);
    if (result == 0)
        (void)log_mark(&shard->log, BLOCK_STOP, clock_wall_ns());
    for (uint32_t i = 0; i < LISTENERS; i++) {
        if (shard->listeners[i].fd >= 0)
            (void)shutdown(shard->listeners[i].fd, SHUT_RDWR);
    }
    for (uint32_t i = 0; i < shard->options->connections_max; i++) {
        if (shard->connections[i].state != CONNECTION_FREE)
            connection_close(shard, &shard->connections[i]);
    }
    while (result == 0 &&
           (!log_quiet(&shard->log) || shard->connection_count > 0 || shard->firing_fetches)) {
        log_segments_run(&shard->log, shard->monotonic_ns, false);
        result = shard_turn(shard, SWEEP_NS);
        while (shard->ready.count > 0)
            (void)connection_turn(shard, ready_pop(shard));
    }
    return result;
}

/* ---- Start ------------------------------------------------------------------------------- */

static int connections_make(struct shard *shard, struct error *error)
{
    const struct shard_options *options = shard->options;
    uint32_t count = options->connections_max;
    size_t buffers_bytes = (size_t)count * (CONNECTION_IN_BYTES + CONNECTION_OUT_BYTES);
    shard->connections = memory_reserve(count * sizeof *shard->connections);
    shard->connection_buffers = memory_reserve(buffers_bytes);
    shard->awaiting = memory_reserve(count * sizeof(struct connection *));
    shard->addresses = memory_reserve(LEDGER_FETCH_MAX * sizeof *shard->addresses);
    bool made = shard->connections != NULL && shard->connection_buffers != NULL &&
                shard->awaiting != NULL && shard->addresses != NULL &&
                buffer_pool_init(&shard->in_pool, options->large_buffers) == 0 &&
                buffer_pool_init(&shard->out_pool, options->large_buffers) == 0;
    for (uint32_t i = 0; made && i < SHARD_FETCHES; i++)
        made = log_fetch_init(&shard->fetches[i].fetch, &shard->log, LEDGER_FETCH_MAX,
                              LEDGER_CACHE_RECORDS) == 0;
    made = made && log_fetch_init(&shard->firing.fetch, &shard->log, LEDGER_FETCH_MAX,
                                  FIRE_CACHE_RECORDS) == 0;
    if (!made)
        return error_set(error, -ENOMEM,
                         "cannot reserve memory for connections: lower connections_max or "
                         "large_buffers");
    for (uint32_t i = count; i > 0; i--) {
        shard->connections[i - 1].next = shard->free_connections;
        shard->free_connections = &shard->connections[i - 1];
    }
    return 0;
}

/* Every connection is a descriptor, and so is every segment of the log. */
static void descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* The way in which the follower tells the shard that it has completed something. */
static int notify_make(struct shard *shard, struct error *error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return error_set(error, -errno, "cannot make a socket pair: %s", strerror(errno));
    shard->notify_fd = pair[0];
    shard->follower_notify_fd = pair[1];
    return 0;
}

static int listener_make(struct listener *listener, const char *at, const char *whom,
                         struct error *error)
{
    char address[160];
    listener->fd = listener_open(at, address, sizeof address, error);
    if (listener->fd < 0)
        return listener->fd;
    fprintf(stderr, "giro: listening on %s%s\n", address, whom);
    return 0;
}

/* The native one last: whoever waits for it finds the other one open. */
static int listeners_open(struct shard *shard, struct error *error)
{
    const struct shard_options *options = shard->options;
    struct listener *compat = &shard->listeners[LISTENER_COMPAT];
    if (options->compat_listen != NULL) {
        int result =
            compat_init(&shard->compat) == 0
                ? listener_make(compat, options->compat_listen, " for TigerBeetle's clients", error)
                : error_set(error, -ENOMEM, "out of memory");
        if (result != 0)
            return result;
    }
    return listener_make(&shard->listeners[LISTENER_NATIVE], options->listen, "", error);
}

static int shard_start(struct shard *shard, struct error *error)
{
    const struct shard_options *options = shard->options;
    descriptors_raise();
    int result = directory_open(options->data, DIRECTORY_EXCLUSIVE, options->shards,
                                &shard->directory, error);
    if (result != 0)
        return result;
    struct error reason;
    result = io_open(options->io_mode, &shard->io, &reason);
    if (result != 0)
        return error_set(error, result, "%s", reason.text);
    if (reason.text[0] != 0)
        fprintf(stderr, "giro: %s\n", reason.text);
    fprintf(stderr, "giro: I/O backend: %s\n", io_name(shard->io));
    result = notify_make(shard, error);
    if (result == 0)
        result = shard_log_start(shard, error);
    if (result == 0)
        result = connections_make(shard, error);
    if (result == 0)
        result = tables_warm_start(shard, error);
    if (result != 0)
        return result;
    return listeners_open(shard, error);
}

static void shard_free(struct shard *shard)
{
    warmer_stop(&shard->warmer);
    if (shard->follower != NULL)
        follower_free(shard->follower);
    memory_release(shard->follower, sizeof *shard->follower);
    if (shard->log.segment_count > 0 && log_quiet(&shard->log))
        log_close(&shard->log);
    for (uint32_t i = 0; i < SHARD_FETCHES; i++)
        log_fetch_free(&shard->fetches[i].fetch);
    log_fetch_free(&shard->firing.fetch);
    if (shard->io != NULL)
        io_close(shard->io);
    for (uint32_t i = 0; i < LISTENERS; i++) {
        if (shard->listeners[i].fd >= 0)
            close(shard->listeners[i].fd);
    }
    compat_free(&shard->compat);
    if (shard->notify_fd >= 0)
        close(shard->notify_fd);
    if (shard->follower_notify_fd >= 0)
        close(shard->follower_notify_fd);
    directory_close(&shard->directory);
    ledger_destroy(shard->ledger);
    log_map_free(shard->log.chunk_blocks);
    log_window_free(shard->window, shard->options->window_bytes);
    uint32_t count = shard->options->connections_max;
    memory_release(shard->connections, count * sizeof *shard->connections);
    memory_release(shard->connection_buffers,
                   (size_t)count * (CONNECTION_IN_BYTES + CONNECTION_OUT_BYTES));
    memory_release(shard->awaiting, count * sizeof(struct connection *));
    memory_release(shard->addresses, LEDGER_FETCH_MAX * sizeof *shard->addresses);
    buffer_pool_free(&shard->in_pool);
    buffer_pool_free(&shard->out_pool);
}

int shard_serve(const struct shard_options *options, int stop_fd, struct error *error)
{
    struct shard shard = {
        .options = options,
        .stop_fd = stop_fd,
        .listeners =
            {[LISTENER_NATIVE] = {.fd = -1}, [LISTENER_COMPAT] = {.fd = -1, .compat = true}},
        .notify_fd = -1,
        .follower_notify_fd = -1,
        .directory = {.shard_fd = -1, .lock_fd = -1},
        .monotonic_ns = clock_monotonic_ns(),
    };
    int result = shard_start(&shard, error);
    if (result == 0) {
        shard.stop = (struct io_op){.kind = IO_RECV,
                                    .fd = stop_fd,
                                    .buffer = &shard.stop_byte,
                                    .size = 1,
                                    .owner = OWNER_STOP};
        io_submit(shard.io, &shard.stop);
        accept_submit(&shard);
        notify_submit(&shard);
        result = shard_loop(&shard);
        if (result == 0)
            result = shard_stop(&shard);
        if (result == 0 && follower_failure(shard.follower) == FOLLOWER_MISMATCH)
            result = shard_dump(&shard);
        if (result != 0 && shard.failure.text[0] != 0)
            *error = shard.failure;
        else if (result != 0)
            (void)error_set(error, result, "the I/O backend failed: %s", strerror(-result));
        else
            fprintf(stderr, "giro: stopped\n");
    }
    shard_free(&shard);
    return result;
}
