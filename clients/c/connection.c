/* The connection's life:
 *
 *        +--------------- lost, or every address failed: backoff ---------------+
 *        v                                                                      |
 *     WAITING --> RESOLVING --> CONNECTING --> GREETING --> READY ---->---------+
 *      |  ^       (names)       ^    |            |
 *      |  |  numeric: at once   |    |            |
 *      +--+---------------------+    |            |
 *         +--- failed: the next address at once --+
 *
 * One timer covers an attempt from its begin to READY. Names are looked up in a thread of their
 * own, because getaddrinfo() may block for as long as it likes and deadlines have to be kept
 * meanwhile. */
#include "clients/c/client.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    KEEPALIVE_IDLE_S = 10,
    KEEPALIVE_INTERVAL_S = 5,
    KEEPALIVE_PROBES = 3,
    UNACKNOWLEDGED_MAX_MS = 30000,
};

/* ---- Addresses --------------------------------------------------------------------------- */

static bool port_valid(const char *port)
{
    uint32_t value = 0;
    for (const char *c = port; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || c - port == 5)
            return false;
        value = value * 10 + (uint32_t)(*c - '0');
    }
    return value >= 1 && value <= 65535;
}

int giro_address_parse(const char *address, struct giro_client *client)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || !port_valid(colon + 1))
        return GIRO_EADDRESS;
    const char *host = address;
    size_t host_bytes = (size_t)(colon - address);
    if (address[0] == '[') {
        if (host_bytes < 3 || address[host_bytes - 1] != ']')
            return GIRO_EADDRESS;
        host++;
        host_bytes -= 2;
    } else if (memchr(address, ':', host_bytes) != NULL) {
        return GIRO_EADDRESS; /* IPv6 without brackets: where does the port begin? */
    }
    if (host_bytes == 0 || host_bytes >= sizeof client->host)
        return GIRO_EADDRESS;
    memcpy(client->host, host, host_bytes);
    client->host[host_bytes] = '\0';
    memcpy(client->port, colon + 1, strlen(colon + 1) + 1);

    client->io.address_count =
        giro_address_resolve(client->host, client->port, AI_NUMERICHOST, client->io.addresses);
    client->numeric = client->io.address_count > 0;
    return client->numeric || address[0] != '[' ? 0 : GIRO_EADDRESS;
}

uint32_t giro_address_resolve(const char *host, const char *port, int flags,
                              struct address *addresses)
{
    struct addrinfo hints = {
        .ai_flags = flags | AI_NUMERICSERV,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *found = NULL;
    uint32_t count = 0;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return 0;
    for (const struct addrinfo *info = found; info != NULL && count < ADDRESSES_MAX;
         info = info->ai_next) {
        memcpy(&addresses[count].storage, info->ai_addr, info->ai_addrlen);
        addresses[count++].size_bytes = info->ai_addrlen;
    }
    freeaddrinfo(found);
    return count;
}

static void *resolver_main(void *argument)
{
    struct giro_client *client = argument;
    struct address addresses[ADDRESSES_MAX];
    uint32_t count = giro_address_resolve(client->host, client->port, 0, addresses);
    pthread_mutex_lock(&client->mutex);
    memcpy(client->resolved, addresses, count * sizeof *addresses);
    client->resolved_count = count;
    client->resolver_done = true;
    giro_wake(client);
    pthread_mutex_unlock(&client->mutex);
    return NULL;
}

/* ---- Loss -------------------------------------------------------------------------------- */

/* Between half of the backoff and all of it, so that clients of a restarted server come apart. */
static uint64_t backoff_next_ns(struct giro_client *client)
{
    struct io *io = &client->io;
    io->random ^= io->random << 13; /* xorshift64 */
    io->random ^= io->random >> 7;
    io->random ^= io->random << 17;
    uint64_t half_ns = (uint64_t)io->backoff_ms * 500000;
    uint64_t doubled_ms = 2 * (uint64_t)io->backoff_ms;
    io->backoff_ms = doubled_ms < client->options.backoff_max_ms ? (uint32_t)doubled_ms
                                                                 : client->options.backoff_max_ms;
    return half_ns + (half_ns == 0 ? 0 : io->random % half_ns);
}

static void open_report(struct giro_client *client, int result)
{
    pthread_mutex_lock(&client->mutex);
    if (client->open_result == OPEN_PENDING)
        client->open_result = result;
    pthread_cond_broadcast(&client->opened);
    pthread_mutex_unlock(&client->mutex);
}

static bool may_resend(const struct giro_client *client, const struct giro_request *request)
{
    if (request->internal.sends == 0)
        return true;
    if (request_is_create(request) && (client->options.flags & GIRO_NEVER_RESEND) != 0)
        return false;
    if (request_is_sent_once(request))
        return false;
    return request->internal.sends <= client->options.resends_max;
}

/* Puts everything in flight back in front of the queue, in order. A frame of which the last byte
 * was not written cannot have been executed: its requests were not sent. */
static void frames_take_back(struct giro_client *client)
{
    struct io *io = &client->io;
    struct request_list unanswered = {0};
    for (; io->frame_count > 0; io->frame_count--) {
        giro_list_append_all(&unanswered, &io->frames[io->frame_first].requests);
        io->frame_first = (io->frame_first + 1) % client->options.frames_in_flight_max;
    }
    struct giro_request *queued = io->queue.head;
    giro_list_prepend_all(&io->queue, &unanswered);
    for (struct giro_request *request = io->queue.head; request != queued;) {
        struct giro_request *next = request->internal.next;
        request->internal.frame = NULL;
        if (!may_resend(client, request))
            giro_request_finish(client, request, GIRO_EDISCONNECTED);
        request = next;
    }
}

static void socket_close(struct io *io)
{
    if (io->socket >= 0)
        close(io->socket);
    io->socket = -1;
    io->receiver.fill = 0;
    giro_send_forget(io);
}

void giro_connection_lost(struct giro_client *client, int error)
{
    struct io *io = &client->io;
    bool was_ready = io->state == CONNECTION_READY;
    if (!was_ready && error == GIRO_EDISCONNECTED)
        error = GIRO_EUNREACHABLE; /* nothing was sent whose outcome could be unknown */
    socket_close(io);
    io->state = CONNECTION_WAITING;
    io->timer_ns = io->now_ns;
    io->status.connected = false;
    io->status.connection_error = error;
    if (was_ready)
        frames_take_back(client);
    else if (++io->address_next < io->address_count)
        return; /* try the next one at once */
    else
        open_report(client, error);
    io->address_next = 0;
    io->timer_ns += backoff_next_ns(client);
}

void giro_connection_end(struct giro_client *client)
{
    socket_close(&client->io);
    if (client->resolver_running)
        pthread_join(client->resolver, NULL);
}

/* ---- Connecting -------------------------------------------------------------------------- */

static bool socket_prepare(int fd)
{
    const struct {
        int level;
        int name;
        int value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MAX_MS},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                       sizeof options[i].value) != 0)
            return false;
    return true;
}

static void address_connect(struct giro_client *client)
{
    struct io *io = &client->io;
    const struct address *address = &io->addresses[io->address_next];
    assert(io->address_next < io->address_count);
    io->state = CONNECTION_CONNECTING;
    io->socket = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (io->socket < 0 || !socket_prepare(io->socket))
        giro_connection_lost(client, GIRO_ESYSTEM);
    else if (connect(io->socket, (const struct sockaddr *)&address->storage, address->size_bytes) !=
                 0 &&
             errno != EINPROGRESS)
        giro_connection_lost(client, GIRO_EUNREACHABLE);
}

static void attempt_begin(struct giro_client *client)
{
    struct io *io = &client->io;
    io->timer_ns = io->now_ns + (uint64_t)client->options.connect_timeout_ms * 1000000;
    if (client->numeric || io->address_next > 0) {
        address_connect(client);
        return;
    }
    io->state = CONNECTION_RESOLVING;
    io->address_count = 0;
    if (client->resolver_running)
        return; /* the lookup of an attempt before this one */
    client->resolver_running = pthread_create(&client->resolver, NULL, resolver_main, client) == 0;
    if (!client->resolver_running)
        giro_connection_lost(client, GIRO_ESYSTEM);
}

void giro_connection_resolved(struct giro_client *client)
{
    struct io *io = &client->io;
    pthread_join(client->resolver, NULL);
    client->resolver_running = false;
    if (io->state != CONNECTION_RESOLVING)
        return; /* the attempt gave up: the next one asks again */
    io->address_count = client->resolved_count;
    memcpy(io->addresses, client->resolved, sizeof client->resolved);
    if (io->address_count == 0)
        giro_connection_lost(client, GIRO_EADDRESS);
    else
        address_connect(client);
}

void giro_connection_step(struct giro_client *client)
{
    struct io *io = &client->io;
    if (io->state == CONNECTION_READY || io->now_ns < io->timer_ns)
        return;
    if (io->state == CONNECTION_WAITING)
        attempt_begin(client);
    else
        giro_connection_lost(client,
                             io->state == CONNECTION_RESOLVING ? GIRO_EADDRESS : GIRO_EUNREACHABLE);
}

void giro_connection_established(struct giro_client *client)
{
    struct io *io = &client->io;
    int error = 0;
    socklen_t size_bytes = sizeof error;
    if (getsockopt(io->socket, SOL_SOCKET, SO_ERROR, &error, &size_bytes) != 0 || error != 0) {
        giro_connection_lost(client, GIRO_EUNREACHABLE);
        return;
    }
    io->state = CONNECTION_GREETING;
    giro_send_hello(client);
}

/* ---- Welcome ----------------------------------------------------------------------------- */

/* What one request to this server may hold; 0: nothing, the welcome makes no sense. */
static uint32_t welcome_events_max(const struct frame_welcome *welcome)
{
    if (welcome->frame_bytes_max < FRAME_HEADER_BYTES || welcome->shard_count == 0)
        return 0;
    uint32_t events_max = (welcome->frame_bytes_max - FRAME_HEADER_BYTES) / GIRO_RECORD_BYTES;
    if (events_max > welcome->events_max)
        events_max = welcome->events_max;
    return events_max < GIRO_EVENTS_MAX ? events_max : GIRO_EVENTS_MAX;
}

static int greeting_error(uint32_t status)
{
    switch (status) {
    case FRAME_BAD_VERSION:
    case FRAME_TOO_MANY_CONNECTIONS:
    case FRAME_SHUTTING_DOWN:
        return giro_status_error(status);
    default:
        return GIRO_EPROTOCOL;
    }
}

static int welcome_check(const struct io *io, const struct frame_header *header,
                         const struct frame_welcome *welcome)
{
    if (header->operation != FRAME_HELLO || header->flags != FRAME_FLAG_REPLY ||
        header->request_id != io->request_id_last ||
        header->body_bytes != sizeof(struct frame_welcome))
        return GIRO_EPROTOCOL;
    if (welcome->version != FRAME_VERSION)
        return GIRO_EVERSION;
    return welcome_events_max(welcome) > 0 ? 0 : GIRO_EPROTOCOL;
}

void giro_connection_welcome(struct giro_client *client, const struct frame_header *header,
                             const void *body)
{
    struct io *io = &client->io;
    struct frame_welcome welcome = {0};
    int error = 0;
    if (header->body_bytes == sizeof welcome)
        memcpy(&welcome, body, sizeof welcome);
    if (header->status != FRAME_OK)
        error = greeting_error(header->status);
    else
        error = welcome_check(io, header, &welcome);
    if (error != 0) {
        giro_connection_lost(client, error);
        return;
    }
    io->events_max = welcome_events_max(&welcome);
    io->body_bytes_max = welcome.frame_bytes_max < FRAME_BYTES_MAX
                             ? welcome.frame_bytes_max - FRAME_HEADER_BYTES
                             : FRAME_BODY_BYTES_MAX;
    io->state = CONNECTION_READY;
    io->status.connected = true;
    io->status.connections++;
    open_report(client, 0);
}
