/* What the load generator sends: accounts, and transfers with the result that each must get.
 *
 * The transfers of request number k follow from the seed and k alone (ids excepted, which are never
 * used twice), whichever connection carries it. Only two kinds of events look back: the post or
 * void of a pending transfer, and the repetition of an earlier transfer. They refer to the same
 * lane, that is the same connection, where the server keeps the order; so every event's result is
 * known when it is made. */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "engine/record.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    WORKLOAD_LEDGER = 1,
    WORKLOAD_CODE = 1,
    WORKLOAD_PENDING_MAX = 16,   /* open pending transfers a lane */
    WORKLOAD_EXTRA_ACCOUNTS = 1, /* behind the counted ones: the account without funds */
};

struct workload_config {
    uint32_t accounts; /* >= 2 */
    uint32_t hot_accounts;
    uint32_t hot_percent;
    double zipf;
    bool ids_random;
    uint32_t two_phase_percent;
    uint32_t rejected_percent;
    uint32_t history_percent; /* of the accounts: they keep their balances after each transfer */
    bool user_data;           /* transfers and accounts have a user_data_64 */
    uint64_t seed;
};

struct workload;

/* What a connection's earlier requests left for later ones to refer to. Zeroed at first. */
struct workload_lane {
    struct giro_transfer pending[WORKLOAD_PENDING_MAX]; /* a ring */
    uint32_t pending_first;
    uint32_t pending_count;
    struct giro_transfer plain; /* an accepted transfer; id 0: none yet */
};

/* The outcome that a request must have. */
struct workload_outcome {
    uint32_t events;
    uint32_t failed;       /* events with a result other than created */
    uint64_t posted;       /* what is added to the sum of all debits_posted */
    int64_t pending_delta; /* the same for debits_pending */
};

/* Returns 0 or -ENOMEM. */
int workload_create(const struct workload_config *config, struct workload **out);
void workload_destroy(struct workload *workload);

/* Account number index of workload_accounts(), as it is sent to be created. */
void workload_account(const struct workload *workload, uint32_t index, struct giro_account *out);
uint32_t workload_accounts(const struct workload *workload);

/* The id of an account as the load picks them; of one that keeps its history, of which there are
 * some; and a user_data_64 that transfers have. Any thread may ask. */
giro_u128 workload_pick(const struct workload *workload, uint64_t *random);
giro_u128 workload_pick_history(const struct workload *workload, uint64_t *random);
uint64_t workload_pick_user_data(const struct workload *workload, uint64_t *random);

/* Makes the events of request number. failures: room for event_count results; receives the failed
 * ones in order. */
void workload_request(struct workload *workload, struct workload_lane *lane, uint64_t number,
                      struct giro_transfer *events, uint32_t event_count,
                      struct giro_result *failures, struct workload_outcome *out);

#endif
