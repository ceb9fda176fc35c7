/* Clients as they are: they ask several things at once, lose their connection, vanish, come back,
 * and ask again what was not answered, with the same ids. Every answer is judged.
 *
 *   workers      create accounts and transfers of all kinds, look them up, query them
 *   subscribers  read the change stream and miss nothing
 *   strangers    send frames that no good client sends */
#ifndef TESTS_SIM_CLIENT_H
#define TESTS_SIM_CLIENT_H

#include "engine/ledger.h"
#include "net/frame.h"

enum { CLIENTS_MAX = 12 };

struct client_plan {
    uint32_t workers;
    uint32_t subscribers;
    uint32_t strangers;
    uint32_t sessions; /* compat_client.h */
    uint32_t requests; /* of each worker, in each life */
    uint32_t pipeline; /* requests under way of each */
    uint32_t bulk;     /* chance in permille that a request is a large one */
    uint32_t vanish;   /* chance in permille, at each reply, that a client drops its connection */
    uint32_t snapshot; /* chance in permille of a request that it asks for a snapshot */
    uint64_t patience_ns;
    uint64_t think_ns; /* between replies and the next requests */
};

struct client_counts {
    uint64_t requests;
    uint64_t events;
    uint64_t retries;
    uint64_t timeouts;
    uint64_t queries;
    uint64_t changes;
    uint64_t refused; /* storage full and the like */
    uint64_t damaged; /* answered that data is damaged */
    uint64_t stranger_frames;
    uint64_t operations[256];
    uint64_t session_requests;
    uint64_t session_retries;
    uint64_t evictions;
};

extern struct client_counts client_counts;

void clients_start(const struct client_plan *plan);
void clients_stop(void);

/* Gives every worker as much to ask as it had at first. */
void clients_refill(void);

/* What was acknowledged last is gone, and nobody can tell: requests may be executed in front of it, and
 * subscribers begin again. */
void clients_forget_floor(void);

/* Whether every worker has got an answer to all it wanted to know. */
bool clients_done(void);

/* Everybody behaves, and nobody vanishes any more. */
void clients_settle(void);

/* Whether a reply may say that data is damaged, that the disk is full, or that queries are off. */
struct client_excuses {
    bool damage;
    bool full;
    bool follower_off;
};

extern struct client_excuses client_excuses;

/* The events of one request, at most LEDGER_RANDOM_EVENTS. */
uint32_t client_make_accounts(struct giro_account *events);
uint32_t client_make_transfers(struct giro_transfer *events);

/* Filters of queries that find something, mostly. */
void client_make_account_filter(struct giro_account_filter *filter);
void client_make_query_filter(struct giro_query_filter *filter);

/* Whether the account's balances of the past are not kept. */
bool client_no_history(const struct giro_account_filter *filter);

/* An id of what an operation looks up, or of nothing. */
giro_u128 client_lookup_id(uint8_t operation);

/* Told by the program (hooks.c) what becomes of the frame of a connection: its client finds out what
 * the answer must be. */
void client_asked(int fd, const struct frame_header *request);
void client_executed(int fd, const struct frame_header *request);

/* The last create that the ledger executed, for the frame that is being executed. */
void client_created(const struct ledger_output *output, uint64_t timestamp);

/* The body of the reply, of leases: whoever calls has judged it. */
void client_told(const void *body, uint32_t bytes);

#endif
