/* The accounts of the load: created before it, added up around it. */
#ifndef BENCH_BOOKS_H
#define BENCH_BOOKS_H

#include "bench/client.h"
#include "bench/workload.h"

#include <stdbool.h>

enum { BOOKS_PROBLEM_BYTES = 160 };

/* Sums over all accounts of a workload. */
struct books {
    giro_u128 debits_posted;
    giro_u128 credits_posted;
    giro_u128 debits_pending;
    giro_u128 credits_pending;
};

/* Creates the accounts that do not exist yet.
 * Returns 0, or -errno with a text in problem. */
int books_open(struct client *client, const struct workload *workload,
               char problem[BOOKS_PROBLEM_BYTES]);

/* Looks every account up; a missing one is an error. Returns as above. */
int books_read(struct client *client, const struct workload *workload, struct books *out,
               char problem[BOOKS_PROBLEM_BYTES]);

/* Whether debits equal credits. */
bool books_balanced(const struct books *books);

#endif
