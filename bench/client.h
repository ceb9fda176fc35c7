/* A blocking connection to a server: greeting, set-up and verification around the measured load. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "net/frame.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

struct client_address {
    struct sockaddr_storage storage;
    socklen_t size_bytes;
    const char *congestion; /* TCP congestion control to use, or NULL: the system's */
};

struct client;

/* Resolves HOST:PORT ([HOST]:PORT for IPv6). Returns 0, -EINVAL or -EHOSTUNREACH. */
int client_resolve(const char *text, struct client_address *out);

/* Connects a blocking socket; nothing is said yet. Sending or receiving may wait 30 s.
 * Returns the descriptor, which the caller closes, or -errno. */
int client_socket(const struct client_address *address);

/* All of the bytes on such a socket. Returns 0 or -errno. */
int client_send(int fd, const void *bytes, size_t size);
int client_receive(int fd, void *bytes, size_t size);

/* Connects a blocking socket and exchanges hello and welcome. A reply may take 30 s.
 * Returns the descriptor, which the caller closes, or -errno; *out_status then says what the server
 * answered, if it did. */
int client_connect(const struct client_address *address, struct frame_welcome *out_welcome,
                   uint32_t *out_status);

/* As client_connect(), for client_call(). */
int client_open(const struct client_address *address, struct client **out);
void client_close(struct client *client);

/* The server's clock, as far as the greeting told. */
uint64_t client_server_ns(const struct client *client);

/* A reply may take so long from now on. */
void client_timeout(struct client *client, uint32_t seconds);

/* One request and its reply. body: body_bytes of it, copied. *out_reply is borrowed until the next
 * call. Returns 0, -errno, or -EREMOTEIO when the server answered a status: *out_status has it. */
int client_call(struct client *client, enum frame_operation operation, const void *body,
                uint32_t body_bytes, const void **out_reply, uint32_t *out_reply_bytes,
                uint32_t *out_status);

#endif
