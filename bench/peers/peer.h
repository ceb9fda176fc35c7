/* One connection to a database that Giro is compared with. peer_load.c drives it; postgresql.c and
 * redis.c implement it, one of them to a program.
 *
 * A connection has one request in flight: send, then receive until it is answered. Both ends check
 * the same: two existing accounts of one ledger, an id that is new, one transfer row, two
 * balances. */
#ifndef BENCH_PEERS_PEER_H
#define BENCH_PEERS_PEER_H

#include "engine/record.h"

#include <stdint.h>

struct peer_address {
    const char *host;
    const char *port;
    const char *script; /* file of the Lua script; unused by PostgreSQL */
};

struct peer;

/* The program's name for messages. */
extern const char peer_name[];

/* Connects, logs in (password from the environment, as the peer's own tools take it) and prepares
 * the call. batch: transfers a request. Messages go to stderr. Returns NULL on failure. */
struct peer *peer_open(const struct peer_address *address, uint32_t batch);
void peer_close(struct peer *peer);

/* The socket, for epoll. */
int peer_fd(const struct peer *peer);

/* Begins a request of count transfers (at most batch). They are copied.
 * Returns 1 when it is sent, 0 when peer_flush() must go on, -1 on failure (said on stderr). */
int peer_send(struct peer *peer, const struct giro_transfer *transfers, uint32_t count);
int peer_flush(struct peer *peer);

/* Takes what has arrived. Returns 1 with the number of transfers created once the reply is whole, 0
 * before, -1 on failure (said on stderr). */
int peer_receive(struct peer *peer, uint32_t *out_created);

#endif
