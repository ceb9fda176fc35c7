/* Listening sockets. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "wal/error.h"

#include <stddef.h>

/* Listens on HOST:PORT ([HOST]:PORT for IPv6). Returns the descriptor or -errno; out_address gets
 * the numeric address and port that were bound. */
int listener_open(const char *address, char *out_address, size_t out_size, struct error *error);

/* Options of an accepted socket: no delay, keep-alive, no pacing on loopback. */
void listener_prepare(int fd);

#endif
