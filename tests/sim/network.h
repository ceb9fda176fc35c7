/* A network that delays, splits and breaks; and descriptors that are not files.
 *
 * Connections carry bytes in order, each direction for itself, in pieces of any size, late by
 * anything; two connections know nothing of each other's order. Either end can vanish at any moment,
 * with what was under way. The program's end has a descriptor; the other end is a client of this
 * process, told of what happens by calls.
 *
 * Pairs are socket pairs inside the program: bytes are there at once. */
#ifndef TESTS_SIM_NETWORK_H
#define TESTS_SIM_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io_op;

enum { NETWORK_FD_FIRST = 1 << 20, NETWORK_SOCKETS = 64 };

/* What is listened on: the native port, and that for TigerBeetle's clients. */
enum network_port { NETWORK_NATIVE, NETWORK_COMPAT, NETWORK_PORTS };

#define NETWORK_COMPAT_ADDRESS "compat" /* any other one: the native port */

struct network_faults {
    uint64_t delay_ns; /* of a piece, most of the time */
    uint32_t split;    /* chance in permille that a piece is cut, and cut again */
    uint32_t reset;    /* ... that a piece breaks the connection instead */
    uint32_t stall;    /* ... that it takes up to seconds */
};

extern struct network_faults network_faults;

struct network_counts {
    uint64_t connections;
    uint64_t resets;
    uint64_t splits;
    uint64_t stalls;
    uint64_t bytes;
};

extern struct network_counts network_counts;

/* What a client wants to know. The bytes of `arrived` are gone when it returns. */
struct network_client {
    void (*arrived)(void *client, const char *bytes, size_t size);
    void (*broken)(void *client); /* the other end is closed or was reset: nothing more comes */
};

void network_reset(void);

/* ---- For clients ------------------------------------------------------------------------- */

/* Connects to whoever listens. Returns a number, or -1 when nobody does. */
int network_connect(enum network_port port, const struct network_client *functions, void *client);
void network_send(int number, const void *bytes, size_t size);

/* Closes this end; nothing is told to this client any more. */
void network_hang_up(int number);

/* Makes the program's end of a pair, whose other end is ours, readable with one byte. */
void network_poke(int fd);

/* ---- For the program: results or -errno ---------------------------------------------------- */

int network_listen(enum network_port port);
int network_pair(int fds[2]);
bool network_owns(int fd);

/* An operation of wal/io.h on one of these descriptors: ACCEPT, RECV, SEND. */
void network_submit(struct io_op *op);
long network_recv(int fd, void *bytes, size_t size, bool peek);
long network_send_now(int fd, const void *bytes, size_t size);
int network_shutdown(int fd, int how);
void network_close(int fd);

/* The process is gone: its ends break. */
void network_life_ended(void);

#endif
