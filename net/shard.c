#include "net/shard_state.h"

#include "engine/memory.h"
#include "net/listener.h"

#include <assert.h>
#include <errno.h>
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
    TURNS_MAX = 1024,        /* frames executed before the loop looks at its events again */
    FLUSH_BYTES = 256 << 10, /* an open block of this size does not wait for more */
    PROGRESS_NS = 1000 * 1000 * 1000,
    SWEEP_NS = 250 * 1000 * 1000, /* between looks for connections that timed out */
    DRAIN_NS = 1000 * 1000 * 1000,
    STOP_NS = 2000 * 1000 * 1000, /* for the last replies to be sent */
    WINDOW_SEGMENTS_MIN = 4,
    ACCOUNTS_EXPECTED = 1 << 18, /* an index of 5 MiB to start with */
};

#define NS_PER_MS 1000000ull

#define OWNER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct shard_options shard_options_default(void)
{
    return (struct shard_options){
        .data = NULL,
        .listen = "127.0.0.1:4470",
        .io_mode = IO_MODE_AUTO,
        .accounts_max = 16 << 20,
        .transfers_max = 1ull << 30,
        .holds_max = 4 << 20,
        .connections_max = 10000,
        .large_buffers = 256,
        .window_bytes = LOG_WINDOW_BYTES_DEFAULT,
        .block_bytes_max = LOG_BLOCK_BYTES_DEFAULT,
        .segments_ahead = DIRECTORY_SEGMENTS_AHEAD,
        .idle_mark_ms = 5,
        .spin_us = 500,
        .frame_timeout_ms = 10000,
        .send_timeout_ms = 30000,
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
    if (shard->accepting || shard->stopping)
        return;
    shard->accept =
        (struct io_op){.kind = IO_ACCEPT, .fd = shard->listen_fd, .owner = OWNER_ACCEPT};
    shard->accepting = true;
    io_submit(shard->io, &shard->accept);
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
    connection->refused = true;
    connection->state = CONNECTION_FINISHING;
    connection->state_since = shard->monotonic_ns;
    shard->stats.frames_bad++;
    connection_finish(shard, connection);
}

static void connection_open(struct shard *shard, int fd)
{
    struct connection *connection = shard->free_connections;
    listener_prepare(fd);
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

static void connections_sweep(struct shard *shard)
{
    if (shard->monotonic_ns < shard->sweep_at)
        return;
    shard->sweep_at = shard->monotonic_ns + SWEEP_NS;
    for (uint32_t i = 0; i < shard->options->connections_max; i++) {
        if (connection_overdue(shard, &shard->connections[i]))
            connection_timed_out(shard, &shard->connections[i]);
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

/* Gives every ready connection its turns, one frame each in rotation. Returns whether somebody can
 * go on at once. */
static bool ready_run(struct shard *shard)
{
    uint32_t blocked = 0;
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
            log_flush(&shard->log, clock_wall_ns());
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

static void event_fetched(struct shard *shard, struct shard_fetch *fetch)
{
    struct connection *connection = fetch->connection;
    enum log_fetch_state state = log_fetch_step(&fetch->fetch);
    if (state == LOG_FETCH_AGAIN)
        return;
    connection->fetching = false;
    if (state == LOG_FETCH_DAMAGED) {
        uint32_t segment_bytes = shard->directory.meta.segment_bytes;
        fprintf(stderr,
                "giro: a block on disk is damaged: %s/shard-0/%010u.log, offset %u: run giro "
                "verify --data %s\n",
                shard->directory.path, (uint32_t)(fetch->fetch.damaged_at / segment_bytes),
                (uint32_t)(fetch->fetch.damaged_at % segment_bytes), shard->directory.path);
        connection->damaged = true;
    }
    if (connection->state != CONNECTION_OPEN)
        shard_fetch_end(fetch);
    ready_push(shard, connection);
}

static void event_accepted(struct shard *shard)
{
    shard->accepting = false;
    if (shard->accept.result < 0)
        return; /* tried again by the next sweep */
    if (shard->stopping) {
        close(shard->accept.result);
        return;
    }
    connection_open(shard, shard->accept.result);
    accept_submit(shard);
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
        event_accepted(shard);
        break;
    case OWNER_STOP:
        if (op->result == -EINTR || op->result == -EAGAIN) {
            io_submit(shard->io, op);
            break;
        }
        shard->stopping = true;
        shard->log.stopping = true;
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

static void timers_run(struct shard *shard)
{
    tables_warm(shard);
    connections_sweep(shard);
    log_segments_run(&shard->log, shard->monotonic_ns, false);
    if (ledger_expiry_due(shard->ledger, clock_wall_ns()))
        (void)shard_expire(shard);
    log_flush(&shard->log, clock_wall_ns());
    if (shard->idle_mark_at != 0 && shard->monotonic_ns >= shard->idle_mark_at &&
        !shard->log.in_flight) {
        shard->idle_mark_at = 0;
        (void)log_mark(&shard->log, BLOCK_IDLE, clock_wall_ns());
    }
}

/* How long the loop may sleep when nothing happens. */
static uint64_t timeout_ns(const struct shard *shard)
{
    uint64_t timeout = SWEEP_NS;
    if (shard->idle_mark_at != 0 && !shard->log.in_flight) {
        uint64_t left = shard->idle_mark_at > shard->monotonic_ns
                            ? shard->idle_mark_at - shard->monotonic_ns
                            : 1;
        timeout = left < timeout ? left : timeout;
    }
    const struct hold *hold = holds_earliest(&shard->ledger->holds);
    /* While the log is busy its completion wakes the loop; it must not spin until then. */
    if (hold != NULL && !shard->log.storage_full && !shard->log.in_flight) {
        uint64_t now = clock_wall_ns();
        uint64_t left = hold->expires_at > now ? hold->expires_at - now : 1;
        timeout = left < timeout ? left : timeout;
    }
    return timeout;
}

/* One turn of the loop: waits for events and handles them. Returns 0 or the backend's -errno. */
static int shard_turn(struct shard *shard, uint64_t timeout)
{
    struct io_op *done[IO_BATCH_MAX];
    /* Somebody waits for the write under way: waking up late would cost as much as the write. */
    uint64_t spin_ns = shard->log.in_flight ? shard->options->spin_us * 1000ull : 0;
    int count = io_wait(shard->io, done, timeout, spin_ns);
    if (count < 0)
        return count;
    shard->monotonic_ns = clock_monotonic_ns();
    for (int i = 0; i < count; i++)
        event_dispatch(shard, done[i]);
    return 0;
}

static int shard_loop(struct shard *shard)
{
    while (!shard->stopping) {
        /* The next block is submitted before the replies of the last: while the disk works on it,
         * the sockets are served. */
        bool more = ready_run(shard);
        timers_run(shard);
        replies_release(shard);
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

/* A clean stop: what was executed becomes durable and is answered, then the log gets its stop mark,
 * and everything that is under way ends. */
static int shard_stop(struct shard *shard)
{
    uint64_t give_up_at = clock_monotonic_ns() + STOP_NS;
    int result = 0;
    waiting_refuse(shard);
    while (result == 0 && (shard->log.in_flight || shard->log.open_records > 0 ||
                           (replies_pending(shard) && shard->monotonic_ns < give_up_at))) {
        log_flush(&shard->log, clock_wall_ns());
        replies_release(shard);
        result = shard_turn(shard, SWEEP_NS);
    }
    if (result == 0)
        (void)log_mark(&shard->log, BLOCK_STOP, clock_wall_ns());
    (void)shutdown(shard->listen_fd, SHUT_RDWR);
    for (uint32_t i = 0; i < shard->options->connections_max; i++) {
        if (shard->connections[i].state != CONNECTION_FREE)
            connection_close(shard, &shard->connections[i]);
    }
    while (result == 0 && (!log_quiet(&shard->log) || shard->connection_count > 0)) {
        log_segments_run(&shard->log, shard->monotonic_ns, false);
        result = shard_turn(shard, SWEEP_NS);
        while (shard->ready.count > 0)
            (void)connection_turn(shard, ready_pop(shard));
    }
    return result;
}

/* ---- Start ------------------------------------------------------------------------------- */

static void progress_print(const struct shard *shard, const struct log_reader *reader)
{
    fprintf(stderr, "giro: reading the log: segment %u of %u, %" PRIu64 " transfers\n",
            reader->segment, reader->segment_count, shard->ledger->transfers_count);
}

static int replay_block(struct shard *shard, const struct block_header *header, struct error *error)
{
    uint64_t begin =
        (uint64_t)header->segment * shard->directory.meta.segment_bytes + header->offset;
    uint32_t index = 0;
    int result = ledger_replay(shard->ledger, (const union record *)(const void *)(header + 1),
                               header->record_count, begin / GIRO_RECORD_BYTES + 1, &index);
    log_map_add(shard->log.chunk_blocks, &shard->directory.meta, header);
    if (result == -ENOSPC)
        return error_set(error, result,
                         "%s holds more than the limits allow: raise accounts_max, transfers_max "
                         "or holds_max",
                         shard->directory.path);
    if (result != 0)
        return error_set(error, result,
                         "%s/shard-0/%010u.log: record %u of block %" PRIu64
                         " at offset %u contradicts the ledger: nothing was changed; run giro "
                         "verify --data %s",
                         shard->directory.path, header->segment, index, header->lsn, header->offset,
                         shard->directory.path);
    return 0;
}

/* Reads the whole log into the ledger. */
static int shard_replay(struct shard *shard, struct log_reader *reader, struct error *error)
{
    const struct block_header *header;
    uint64_t print_at = clock_monotonic_ns() + PROGRESS_NS;
    int result;
    while ((result = log_reader_next(reader, &header, error)) > 0) {
        result = replay_block(shard, header, error);
        if (result != 0)
            return result;
        if (clock_monotonic_ns() < print_at)
            continue;
        progress_print(shard, reader);
        print_at += PROGRESS_NS;
        char byte;
        if (recv(shard->stop_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
            return error_set(error, -ECANCELED, "stopped while reading the log");
    }
    if (result != 0)
        return result;
    struct error text;
    log_end_describe(&reader->end, &shard->directory, &text);
    if (reader->end.verdict == LOG_END_TORN) {
        fprintf(stderr, "giro: %s; cut\n", text.text);
        return log_end_cut(&reader->end, &shard->directory, error);
    }
    return reader->end.verdict == LOG_END_CLEAN ? 0 : error_set(error, -EBADMSG, "%s", text.text);
}

static int ledger_make(struct shard *shard, const struct log_reader *reader, struct error *error)
{
    const struct shard_options *options = shard->options;
    /* About as many transfers as the log may hold: a good start for the index. */
    uint64_t segments = reader->segment_count > DIRECTORY_SEGMENTS_AHEAD
                            ? reader->segment_count - DIRECTORY_SEGMENTS_AHEAD
                            : 1;
    uint64_t expected = segments * (shard->directory.meta.segment_bytes / GIRO_RECORD_BYTES) / 2;
    struct ledger_config config = {
        .accounts_max = options->accounts_max,
        .holds_max = options->holds_max,
        .transfers_max = options->transfers_max,
        .accounts_expected =
            ACCOUNTS_EXPECTED < options->accounts_max ? ACCOUNTS_EXPECTED : options->accounts_max,
        .transfers_expected = expected < options->transfers_max ? expected : options->transfers_max,
        .hash_seed = directory_hash_seed(&shard->directory),
    };
    if (ledger_create(&config, &shard->ledger) != 0)
        return error_set(error, -ENOMEM,
                         "cannot reserve address space for the limits: lower accounts_max, "
                         "transfers_max or holds_max, or lift the memory limit");
    return 0;
}

static int recover_and_open(struct shard *shard, struct log_reader *reader, struct error *error)
{
    const struct shard_options *options = shard->options;
    struct log_options log_options = {
        .window_bytes = options->window_bytes,
        .block_bytes_max = options->block_bytes_max,
        .segments_ahead = options->segments_ahead,
    };
    uint32_t *map;
    if (log_map_init(&map) != 0)
        return error_set(error, -ENOMEM, "out of address space");
    shard->log.chunk_blocks = map;
    int result = ledger_make(shard, reader, error);
    uint64_t start = clock_monotonic_ns();
    if (result == 0)
        result = shard_replay(shard, reader, error);
    if (result == 0) {
        double seconds = (double)(clock_monotonic_ns() - start) * 1e-9;
        fprintf(stderr,
                "giro: %s: %u accounts, %" PRIu64 " transfers, %u open holds, %" PRIu64
                " blocks read in %.2f s\n",
                options->data, shard->ledger->accounts.count, shard->ledger->transfers_count,
                shard->ledger->holds.count, reader->lsn - 1, seconds);
        result = log_open(&shard->log, shard->io, reader, &log_options, error);
        shard->log.chunk_blocks = map;
    }
    return result;
}

/* Reads the log and starts a new epoch: the first block of this start is durable on return. */
static int log_start(struct shard *shard, struct error *error)
{
    const struct shard_options *options = shard->options;
    uint64_t segment_bytes = shard->directory.meta.segment_bytes;
    if ((options->window_bytes & (options->window_bytes - 1)) != 0 ||
        options->window_bytes < WINDOW_SEGMENTS_MIN * segment_bytes)
        return error_set(error, -EINVAL,
                         "window_bytes must be a power of two and at least %d segments of %" PRIu64
                         " bytes",
                         WINDOW_SEGMENTS_MIN, segment_bytes);
    shard->window = log_window_make(options->window_bytes);
    if (shard->window == NULL)
        return error_set(error, -ENOMEM, "cannot reserve %" PRIu64 " bytes for the log window",
                         options->window_bytes);
    struct log_reader reader;
    int result =
        log_reader_open(&reader, &shard->directory, shard->window, options->window_bytes, error);
    if (result == 0)
        result = recover_and_open(shard, &reader, error);
    log_reader_close(&reader);
    if (result != 0)
        return result;
    if (!log_mark(&shard->log, BLOCK_START, clock_wall_ns())) {
        /* The log is full to the last segment: the next one is made first. */
        while (shard->log.segment_count <= shard->log.open_begin / segment_bytes) {
            log_segments_run(&shard->log, clock_monotonic_ns(), false);
            if (shard_turn(shard, SWEEP_NS) != 0 || shard->log.storage_full)
                return error_set(error, -ENOSPC,
                                 "%s: no room for the next log segment of %" PRIu64
                                 " bytes: free some space",
                                 options->data, segment_bytes);
        }
        (void)log_mark(&shard->log, BLOCK_START, clock_wall_ns());
    }
    while (shard->log.in_flight) {
        result = shard_turn(shard, SWEEP_NS);
        if (result != 0)
            return error_set(error, result, "waiting for the first write: %s", strerror(-result));
    }
    return 0;
}

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
    result = log_start(shard, error);
    if (result == 0)
        result = connections_make(shard, error);
    if (result == 0)
        result = tables_warm_start(shard, error);
    if (result != 0)
        return result;
    char address[160];
    shard->listen_fd = listener_open(options->listen, address, sizeof address, error);
    if (shard->listen_fd < 0)
        return shard->listen_fd;
    fprintf(stderr, "giro: listening on %s\n", address);
    return 0;
}

static void shard_free(struct shard *shard)
{
    warmer_stop(&shard->warmer);
    if (shard->log.segment_count > 0 && log_quiet(&shard->log))
        log_close(&shard->log);
    for (uint32_t i = 0; i < SHARD_FETCHES; i++)
        log_fetch_free(&shard->fetches[i].fetch);
    if (shard->io != NULL)
        io_close(shard->io);
    if (shard->listen_fd >= 0)
        close(shard->listen_fd);
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
        .listen_fd = -1,
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
        result = shard_loop(&shard);
        if (result == 0)
            result = shard_stop(&shard);
        if (result != 0)
            (void)error_set(error, result, "the I/O backend failed: %s", strerror(-result));
        else
            fprintf(stderr, "giro: stopped\n");
    }
    shard_free(&shard);
    return result;
}
