/* A ledger that was made of bytes that nobody vouches for: what must hold of it nevertheless. */
#ifndef TESTS_FUZZ_BOOKS_H
#define TESTS_FUZZ_BOOKS_H

#include "engine/ledger.h"

/* Every row of every table, and every hold, leads to others that are there, and is found; returns are as
 * deep as they say; what has a deadline is in its order. */
void books_check(const struct ledger *ledger);

/* Executes requests that go through every row of limits, leases, schedules, sessions and settlements, replays what
 * goes through every row of payments and every open hold, and lets all holds expire: each event or record
 * is refused or applied, and the books hold. The ledger is of no further use. */
void books_work(struct ledger *ledger);

#endif
