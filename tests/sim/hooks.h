/* Where the simulator looks into the program: see hooks.c. */
#ifndef TESTS_SIM_HOOKS_H
#define TESTS_SIM_HOOKS_H

#include "engine/ledger.h"
#include "wal/reader.h"

#include <stdint.h>

/* Rows of the decision table of wal/reader.h, in its order. */
enum hooks_row {
    ROW_CLEAN,
    ROW_TORN_GARBAGE,
    ROW_TORN_BODY,
    ROW_DAMAGED_GARBAGE,
    ROW_DAMAGED_BODY,
    ROW_DAMAGED_CHAIN,
    ROW_DAMAGED_ELSEWHERE,
    ROW_NEWER,
    ROW_TOO_MUCH,
    ROW_UNREADABLE,
    ROWS,
};

extern const char *const hooks_row_names[ROWS];

/* How often each row of the table was met, since the process began. */
extern uint64_t hooks_rows[ROWS];

/* The one that was met last. */
extern enum hooks_row hooks_last_row;

/* Digests of the log that the follower has compared. */
extern uint64_t hooks_digests_checked;

/* Set before a life begins: the disk has lost the newest block, and nobody can tell. */
extern bool hooks_tail_lost;

/* Where the log ended that was read last. */
extern uint32_t hooks_end_segment;
extern uint32_t hooks_end_offset;

/* The ledger of the life that runs, once it has started; NULL before. */
const struct ledger *hooks_ledger(void);

/* Both copies, and whether the follower has followed everything. */
const struct ledger *hooks_follower_ledger(void);
bool hooks_follower_is_even(void);

void hooks_life_ended(void);

#endif
