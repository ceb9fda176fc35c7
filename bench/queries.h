/* Queries beside the load: connections of their own, a thread each, one query in flight on each.
 *
 * Closed loop: the next query is sent when the reply has come. Open loop: query k of connection i
 * of n is due at start + (k * n + i) / rate, and its latency counts from then.
 *
 * Every reply is checked: size, count, order, bounds of time, account, user datum or code of every
 * record. A wrong one, or a refusal, ends the run with a text. */
#ifndef BENCH_QUERIES_H
#define BENCH_QUERIES_H

#include "bench/client.h"
#include "bench/workload.h"

#include <hdr_histogram.h>

enum queries_kind {
    QUERIES_TRANSFERS_100_NEWEST,  /* get_account_transfers, newest first */
    QUERIES_TRANSFERS_1000_NEWEST, /* ... pages of 1,000 */
    QUERIES_TRANSFERS_100_RANDOM,  /* ... oldest first from a random moment */
    QUERIES_TRANSFERS_1000_RANDOM,
    QUERIES_BALANCES_100, /* get_account_balances of accounts that keep them, newest first */
    QUERIES_USER_DATA,    /* query_transfers by user_data_64, up to 100, newest first */
    QUERIES_ACCOUNTS,     /* query_accounts by code, 100, oldest first */
    QUERIES_KINDS,
};

enum { QUERIES_PROBLEM_BYTES = 160 };

extern const char *const queries_names[QUERIES_KINDS];

struct queries_config {
    struct client_address address;
    const struct workload *workload;
    uint32_t connections;
    uint64_t rate;               /* queries a second of all connections, or 0: closed loop */
    uint32_t mix[QUERIES_KINDS]; /* shares; not all of them 0 */
    uint32_t account;            /* ask for this one only; 0: as the load picks them */
    uint64_t seed;
};

struct queries_result {
    uint64_t elapsed_ns;
    uint64_t count[QUERIES_KINDS];
    uint64_t records[QUERIES_KINDS]; /* in the replies */
    struct hdr_histogram *latency_ns[QUERIES_KINDS];
};

struct queries;

/* Connects everything. Returns 0 or -errno with a text in problem. */
int queries_open(const struct queries_config *config, struct queries **out,
                 char problem[QUERIES_PROBLEM_BYTES]);

/* Starts the threads. */
int queries_start(struct queries *queries, char problem[QUERIES_PROBLEM_BYTES]);

/* Ends them. *out: filled in either case, freed with queries_result_free(). Returns 0, or -errno
 * with a text in problem when a query failed. */
int queries_stop(struct queries *queries, struct queries_result *out,
                 char problem[QUERIES_PROBLEM_BYTES]);
void queries_result_free(struct queries_result *result);
void queries_close(struct queries *queries);

#endif
