#include "tests/sim/network.h"

#include "tests/sim/io.h"
#include "tests/sim/machine.h"
#include "wal/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { SENDING_BYTES_MAX = 256 << 10 };

enum socket_kind { SOCKET_FREE, SOCKET_LISTENS, SOCKET_CONNECTION, SOCKET_PAIR };

struct bytes {
    char *data;
    size_t begin;
    size_t end;
    size_t capacity;
};

struct peer {
    enum socket_kind kind;
    enum network_port port; /* that it listens on, or is connected to */
    uint32_t generation;    /* an event of an earlier use is void */
    bool open;              /* the program has a descriptor of it */
    bool accepted;
    int other;       /* of a pair */
    struct bytes in; /* arrived at the program, not read yet */
    bool in_ended;
    bool in_reset;
    bool shut_write;
    struct io_op *recv;
    uint64_t to_program; /* time at which the last piece under way arrives */
    uint64_t to_client;
    size_t under_way;                       /* bytes to the client */
    const struct network_client *functions; /* NULL: the client is gone */
    void *client;
};

struct network_faults network_faults;
struct network_counts network_counts;

static struct peer peers[NETWORK_SOCKETS];
static struct io_op *accepting[NETWORK_PORTS];

/* One piece of bytes under way. */
struct piece {
    uint32_t peer;
    uint32_t generation;
    bool last; /* nothing follows: the sender has closed */
    size_t size;
    char data[];
};

/* ---- Bytes ------------------------------------------------------------------------------- */

static void bytes_add(struct bytes *bytes, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (bytes->end + size > bytes->capacity && bytes->begin > 0) {
        memmove(bytes->data, bytes->data + bytes->begin, bytes->end - bytes->begin);
        bytes->end -= bytes->begin;
        bytes->begin = 0;
    }
    if (bytes->end + size > bytes->capacity) {
        bytes->capacity = 2 * (bytes->end + size);
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (bytes->data == NULL)
            machine_fail("out of memory");
    }
    memcpy(bytes->data + bytes->end, data, size);
    bytes->end += size;
}

static size_t bytes_take(struct bytes *bytes, void *out, size_t size, bool peek)
{
    size_t have = bytes->end - bytes->begin;
    size = size < have ? size : have;
    if (size > 0)
        memcpy(out, bytes->data + bytes->begin, size);
    if (!peek)
        bytes->begin += size;
    return size;
}

/* ---- Peers ------------------------------------------------------------------------------- */

static void peer_free(struct peer *peer)
{
    struct bytes in = peer->in;
    in.begin = in.end = 0;
    *peer = (struct peer){.generation = peer->generation + 1, .in = in, .other = -1};
}

void network_reset(void)
{
    for (uint32_t i = 0; i < NETWORK_SOCKETS; i++) {
        free(peers[i].in.data);
        peers[i] = (struct peer){.other = -1};
    }
    memset(accepting, 0, sizeof accepting);
    memset(&network_counts, 0, sizeof network_counts);
    memset(&network_faults, 0, sizeof network_faults);
}

/* Returns -1 when there are too many. */
static int peer_new(enum socket_kind kind)
{
    for (int i = 0; i < NETWORK_SOCKETS; i++) {
        if (peers[i].kind == SOCKET_FREE) {
            peers[i].kind = kind;
            return i;
        }
    }
    return -1;
}

static struct peer *peer_of(int fd)
{
    struct peer *peer = network_owns(fd) ? &peers[fd - NETWORK_FD_FIRST] : NULL;
    return peer != NULL && peer->open ? peer : NULL;
}

bool network_owns(int fd)
{
    return fd >= NETWORK_FD_FIRST && fd < NETWORK_FD_FIRST + NETWORK_SOCKETS;
}

static uint64_t delay(void)
{
    if (random_chance(RANDOM_NETWORK, network_faults.stall)) {
        network_counts.stalls++;
        return random_skewed(RANDOM_NETWORK, 1000 * 1000, 3000ull * 1000 * 1000);
    }
    return 1 + random_below(RANDOM_NETWORK, network_faults.delay_ns + 1);
}

/* Gives what has arrived to a receive that waits for it. */
static void recv_serve(struct peer *peer)
{
    struct io_op *op = peer->recv;
    if (op == NULL)
        return;
    size_t have = peer->in.end - peer->in.begin;
    if (have == 0 && !peer->in_ended && !peer->in_reset)
        return;
    peer->recv = NULL;
    if (have == 0) {
        op->result = peer->in_reset ? -ECONNRESET : 0;
    } else {
        size_t size = op->size;
        if (random_chance(RANDOM_NETWORK, network_faults.split))
            size = 1 + random_below(RANDOM_NETWORK, size);
        op->result = (int32_t)bytes_take(&peer->in, op->buffer, size, false);
    }
    io_complete(op, 0);
}

static void break_connection(struct peer *peer)
{
    network_counts.resets++;
    peer->in_reset = true;
    peer->in.begin = peer->in.end = 0;
    recv_serve(peer);
    const struct network_client *functions = peer->functions;
    peer->functions = NULL;
    if (functions != NULL)
        functions->broken(peer->client);
    if (!peer->open && peer->accepted)
        peer_free(peer);
}

/* ---- Pieces under way -------------------------------------------------------------------- */

static struct piece *piece_make(const struct peer *peer, const void *bytes, size_t size, bool last)
{
    struct piece *piece = malloc(sizeof *piece + size);
    if (piece == NULL)
        machine_fail("out of memory");
    *piece = (struct piece){.peer = (uint32_t)(peer - peers),
                            .generation = peer->generation,
                            .last = last,
                            .size = size};
    if (size > 0)
        memcpy(piece->data, bytes, size);
    return piece;
}

static struct peer *piece_peer(const struct piece *piece)
{
    struct peer *peer = &peers[piece->peer];
    return peer->generation == piece->generation ? peer : NULL;
}

static void piece_to_program(void *context, uint64_t unused)
{
    struct piece *piece = context;
    struct peer *peer = piece_peer(piece);
    (void)unused;
    if (peer != NULL && !peer->in_reset) {
        bytes_add(&peer->in, piece->data, piece->size);
        peer->in_ended = peer->in_ended || piece->last;
        network_counts.bytes += piece->size;
        if (!piece->last && random_chance(RANDOM_NETWORK, network_faults.reset))
            break_connection(peer);
        else
            recv_serve(peer);
    }
    free(piece);
}

static void piece_to_client(void *context, uint64_t unused)
{
    struct piece *piece = context;
    struct peer *peer = piece_peer(piece);
    (void)unused;
    if (peer != NULL && peer->functions != NULL) {
        const struct network_client *functions = peer->functions;
        network_counts.bytes += piece->size;
        if (!piece->last && random_chance(RANDOM_NETWORK, network_faults.reset)) {
            break_connection(peer);
        } else if (piece->last) {
            peer->functions = NULL;
            functions->broken(peer->client);
            if (!peer->open)
                peer_free(peer);
        } else {
            functions->arrived(peer->client, piece->data, piece->size);
        }
    }
    free(piece);
}

static void piece_send(struct peer *peer, const char *bytes, size_t size, bool last, uint64_t *time,
                       machine_fire *fire)
{
    do {
        size_t part = size;
        if (size > 1 && random_chance(RANDOM_NETWORK, network_faults.split)) {
            part = random_skewed(RANDOM_NETWORK, 1, size);
            network_counts.splits++;
        }
        uint64_t arrives = machine_now() + delay();
        *time = arrives > *time ? arrives : *time + 1;
        machine_at(*time, false, fire, piece_make(peer, bytes, part, last), 0);
        bytes += part;
        size -= part;
    } while (size > 0);
}

/* ---- For clients ------------------------------------------------------------------------- */

static void accept_serve(enum network_port port)
{
    struct io_op *op = accepting[port];
    if (op == NULL)
        return;
    for (int i = 0; i < NETWORK_SOCKETS; i++) {
        struct peer *peer = &peers[i];
        if (peer->kind != SOCKET_CONNECTION || peer->port != port || peer->accepted)
            continue;
        peer->accepted = true;
        peer->open = true;
        op->result = NETWORK_FD_FIRST + i;
        resource_add(RESOURCE_FILE, (uint64_t)op->result, 0);
        io_complete(op, 0);
        accepting[port] = NULL;
        return;
    }
}

int network_connect(enum network_port port, const struct network_client *functions, void *client)
{
    bool listened = false;
    for (uint32_t i = 0; i < NETWORK_SOCKETS; i++)
        listened =
            listened || (peers[i].kind == SOCKET_LISTENS && peers[i].port == port && peers[i].open);
    if (!listened)
        return -1;
    int number = peer_new(SOCKET_CONNECTION);
    if (number < 0)
        return -1;
    peers[number].port = port;
    peers[number].functions = functions;
    peers[number].client = client;
    network_counts.connections++;
    accept_serve(port);
    return number;
}

void network_send(int number, const void *bytes, size_t size)
{
    struct peer *peer = &peers[number];
    if (size > 0 && peer->functions != NULL)
        piece_send(peer, bytes, size, false, &peer->to_program, piece_to_program);
}

void network_hang_up(int number)
{
    struct peer *peer = &peers[number];
    if (peer->functions == NULL)
        return;
    peer->functions = NULL;
    if (!peer->open && peer->accepted)
        peer_free(peer);
    else if (random_chance(RANDOM_NETWORK, 500))
        break_connection(peer);
    else
        piece_send(peer, NULL, 0, true, &peer->to_program, piece_to_program);
}

void network_poke(int fd)
{
    struct peer *peer = peer_of(fd);
    if (peer == NULL)
        return;
    bytes_add(&peer->in, "", 1);
    recv_serve(peer);
}

/* ---- For the program --------------------------------------------------------------------- */

int network_listen(enum network_port port)
{
    int number = peer_new(SOCKET_LISTENS);
    if (number < 0)
        return -EMFILE;
    peers[number].port = port;
    peers[number].open = true;
    resource_add(RESOURCE_FILE, (uint64_t)(NETWORK_FD_FIRST + number), 0);
    return NETWORK_FD_FIRST + number;
}

int network_pair(int fds[2])
{
    for (int i = 0; i < 2; i++) {
        int number = peer_new(SOCKET_PAIR);
        if (number < 0)
            return -EMFILE;
        peers[number].open = true;
        fds[i] = NETWORK_FD_FIRST + number;
        if (fiber_running())
            resource_add(RESOURCE_FILE, (uint64_t)fds[i], 0);
    }
    peers[fds[0] - NETWORK_FD_FIRST].other = fds[1] - NETWORK_FD_FIRST;
    peers[fds[1] - NETWORK_FD_FIRST].other = fds[0] - NETWORK_FD_FIRST;
    return 0;
}

static void send_submit(struct peer *peer, struct io_op *op)
{
    if (peer->in_reset || peer->shut_write || peer->functions == NULL) {
        op->result = -EPIPE;
        io_complete(op, 0);
        return;
    }
    size_t size = op->size;
    if (random_chance(RANDOM_NETWORK, network_faults.split))
        size = 1 + random_below(RANDOM_NETWORK, size);
    if (size > SENDING_BYTES_MAX)
        size = SENDING_BYTES_MAX;
    piece_send(peer, op->buffer, size, false, &peer->to_client, piece_to_client);
    op->result = (int32_t)size;
    io_complete(op, random_below(RANDOM_NETWORK, 2000));
}

void network_submit(struct io_op *op)
{
    struct peer *peer = peer_of(op->fd);
    if (peer == NULL) {
        op->result = -EBADF;
        io_complete(op, 0);
    } else if (op->kind == IO_ACCEPT) {
        accepting[peer->port] = op;
        accept_serve(peer->port);
    } else if (op->kind == IO_SEND) {
        send_submit(peer, op);
    } else if (peer->recv != NULL) {
        machine_fail("two receives of descriptor %d", op->fd);
    } else {
        peer->recv = op;
        recv_serve(peer);
    }
}

long network_recv(int fd, void *bytes, size_t size, bool peek)
{
    struct peer *peer = peer_of(fd);
    if (peer == NULL)
        return -EBADF;
    if (peer->in_reset)
        return -ECONNRESET;
    if (peer->in.begin == peer->in.end)
        return peer->in_ended ? 0 : -EAGAIN;
    return (long)bytes_take(&peer->in, bytes, size, peek);
}

long network_send_now(int fd, const void *bytes, size_t size)
{
    struct peer *peer = peer_of(fd);
    if (peer == NULL)
        return -EBADF;
    if (peer->kind == SOCKET_PAIR) {
        struct peer *other = &peers[peer->other];
        bytes_add(&other->in, bytes, size);
        recv_serve(other);
        return (long)size;
    }
    if (peer->functions == NULL)
        return -EPIPE;
    piece_send(peer, bytes, size, false, &peer->to_client, piece_to_client);
    return (long)size;
}

int network_shutdown(int fd, int how)
{
    struct peer *peer = peer_of(fd);
    if (peer == NULL)
        return -EBADF;
    if (peer->kind == SOCKET_LISTENS) {
        struct io_op *op = accepting[peer->port];
        accepting[peer->port] = NULL;
        if (op != NULL) {
            op->result = -EINVAL;
            io_complete(op, 0);
        }
        return 0;
    }
    if (how != SHUT_RD && !peer->shut_write) {
        peer->shut_write = true;
        if (peer->functions != NULL)
            piece_send(peer, NULL, 0, true, &peer->to_client, piece_to_client);
    }
    if (how != SHUT_WR) {
        peer->in_ended = true;
        recv_serve(peer);
    }
    return 0;
}

void network_close(int fd)
{
    struct peer *peer = peer_of(fd);
    if (peer == NULL)
        return;
    peer->open = false;
    if (peer->kind != SOCKET_CONNECTION) {
        peer_free(peer);
        return;
    }
    peer->recv = NULL;
    if (peer->functions == NULL)
        peer_free(peer);
    else if (!peer->shut_write)
        piece_send(peer, NULL, 0, true, &peer->to_client, piece_to_client);
}

void network_life_ended(void)
{
    memset(accepting, 0, sizeof accepting);
    for (uint32_t i = 0; i < NETWORK_SOCKETS; i++) {
        struct peer *peer = &peers[i];
        peer->recv = NULL;
        if (peer->kind == SOCKET_CONNECTION && !peer->accepted) {
            peer->accepted = true; /* in the queue of a listener that is gone */
            break_connection(peer);
        }
    }
}
