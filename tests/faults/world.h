/* What several clients asked of a server, what they were answered, and whether the ledger agrees.
 *
 * Every request is kept with what is known about it:
 *
 *   SENT      no answer yet, the connection lives
 *   ACKED     answered: it must be there, byte for byte, for ever
 *   UNKNOWN   the server died before it answered: there once, or not at all
 *   REFUSED   the whole request was answered with a status: it must not be there
 *
 * Requests are made so that their results are known beforehand, whatever the order in which the
 * clients' requests meet: each transfer has an id of its own, and holds are only touched by the
 * client that made them. world_check() then compares the ledger with all of it:
 *   - acknowledged transfers are found with the fields sent and the timestamp answered;
 *   - what was answered as failed is not found;
 *   - of a client's unknown requests those found come before those that are not;
 *   - a chain is found whole or not at all;
 *   - what was found once is found with the same timestamp ever after, and no two are equal;
 *   - what is sent after an answer came is later than what that answered, whoever asked;
 *   - the balances of every account are what the transfers found add up to;
 *   - nothing else exists. */
#ifndef TESTS_FAULTS_WORLD_H
#define TESTS_FAULTS_WORLD_H

#include "tests/faults/client.h"
#include "tests/faults/harness.h"

enum {
    WORLD_CLIENTS_MAX = 8,
    WORLD_ACCOUNTS = 40,
    WORLD_PIPELINE = 8,     /* requests under way for each client */
    WORLD_HOLDS_KEPT = 512, /* open ones that a client remembers, to resolve them later */
};

#define WORLD_ACCOUNT_FIRST 1ull /* accounts and transfers are numbered from these on */
#define WORLD_TRANSFER_FIRST 1000000ull

/* Holds that expire lie between these two alone: nobody knows when exactly they are released. */
enum { WORLD_EXPIRING_DEBIT = WORLD_ACCOUNTS - 1, WORLD_EXPIRING_CREDIT = WORLD_ACCOUNTS };

enum request_state { REQUEST_SENT, REQUEST_ACKED, REQUEST_UNKNOWN, REQUEST_REFUSED };

struct world_request {
    uint32_t first; /* of its transfers */
    uint32_t count;
    uint32_t client;
    enum request_state state;
    uint64_t request_id;
    uint64_t after; /* the latest timestamp that had been answered when it was sent */
};

/* What is known about one transfer. */
struct world_transfer {
    uint32_t code;      /* that it must be answered with */
    uint32_t chain;     /* number of its chain, 0: none */
    uint64_t timestamp; /* 0: not known */
    bool found;         /* by the last check */
};

struct world_client {
    struct client connection;
    uint32_t oldest; /* request that is answered next */
    uint32_t under_way;
    uint32_t holds[WORLD_HOLDS_KEPT]; /* transfers of open holds that it may resolve */
    uint32_t hold_count;
};

struct world {
    struct rng rng;
    struct giro_transfer *transfers;
    struct world_transfer *known;
    uint32_t transfer_count;
    uint32_t transfer_capacity;
    struct world_request *requests;
    uint32_t request_count;
    uint32_t request_capacity;
    struct world_client clients[WORLD_CLIENTS_MAX];
    uint32_t client_count;
    uint32_t chain_count;
    uint64_t timestamp_last; /* that was answered */
    uint64_t acked_count;    /* requests, ever */
    uint64_t refused_count;
    uint64_t unknown_count;      /* requests, ever */
    uint64_t unknown_found;      /* of these, executed before the crash */
    uint32_t events_per_request; /* of large batches */
    uint32_t history_accounts;   /* the first ones, with the flag history */
    bool batches_only;           /* nothing that depends on an earlier request */
};

void world_init(struct world *world, uint64_t seed, uint32_t client_count);
void world_free(struct world *world);

/* Connects every client; makes the accounts. */
void world_connect(struct world *world, uint16_t port);

/* Keeps every client's pipeline full until so many more requests were answered. Returns false when
 * a connection broke. */
bool world_run(struct world *world, uint32_t answers);

/* Fills every client's pipeline and waits for nothing. */
void world_send(struct world *world);

/* Takes every answer that is still to come; the pipelines are empty then. */
void world_finish(struct world *world);

/* The server is gone: takes the answers that it had sent, and calls the rest unknown. */
void world_crashed(struct world *world);

/* Closes every connection; nothing is under way. */
void world_disconnect(struct world *world);

/* Compares the ledger with all that is known. */
void world_check(struct world *world, uint16_t port);

/* How many acknowledged requests are not there, for tests that expect some. */
uint32_t world_lost_count(struct world *world, uint16_t port);

/* Sends every unknown request again, until each is answered for good. */
void world_retry(struct world *world, uint16_t port);

/* Transfers that are known to exist. */
uint32_t world_found_count(const struct world *world);

#endif
