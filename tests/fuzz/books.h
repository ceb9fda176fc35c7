/* A ledger that was made of bytes that nobody vouches for: what must hold of it nevertheless. */
#ifndef TESTS_FUZZ_BOOKS_H
#define TESTS_FUZZ_BOOKS_H

#include "engine/ledger.h"

/* Every hold, every row of payments and every row of limits leads to others that are there, and is
 * found; returns are as deep as they say. */
void books_check(const struct ledger *ledger);

/* Replays what goes through every row of payments and every open hold, and lets all holds expire:
 * each record is refused or applied, and the books hold. The ledger is of no further use. */
void books_work(struct ledger *ledger);

#endif
