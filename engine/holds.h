/* Holds: the pending transfers that are still open, their deadlines, and how every pending transfer
 * ended.
 *
 *       holds_insert        hold_settle(POSTED | VOIDED | EXPIRED)        hold_remove
 *   (none) ------> OPEN  ------------------------------------------> ended ---------> (none)
 *                    ^------------------------------------------------|
 *                              hold_reopen (chain or request undone)
 *
 * An open hold keeps a whole copy of its record, so that a capture days later needs no read from
 * disk; but its amount is what is left of it, and its deadline the one that it was adjusted to. A hold
 * that ended stays in the table until its request is through, because the chain or the request may
 * still be undone, and so that a second post of it needs no read either. The outcome survives in two
 * bits by log address.
 *
 * Those at the same time expire in the order of their transfers' timestamps. */
#ifndef ENGINE_HOLDS_H
#define ENGINE_HOLDS_H

#include "engine/deadlines.h"
#include "engine/hash.h"
#include "engine/index.h"
#include "engine/record.h"

enum hold_state {
    HOLD_OPEN = 0,
    HOLD_POSTED = 1,
    HOLD_VOIDED = 2,
    HOLD_EXPIRED = 3,
};

struct hold {
    struct giro_transfer record;
    uint64_t address;    /* of the record in the log */
    uint64_t expires_at; /* 0: never */
    uint32_t debit_row;
    uint32_t credit_row;
    uint32_t next_free;
    uint32_t payment; /* row + 1 in the table of payments; 0: none */
    enum hold_state state;
};

struct holds {
    struct hold *slots;
    struct deadlines deadlines; /* of open holds that have one, by slot */
    uint8_t *outcome;           /* two bits by log address, enum hold_state */
    struct index index;         /* value: slot + 1 */
    uint64_t hash_seed;
    uint64_t addresses; /* capacity of outcome */
    uint32_t capacity;
    uint32_t slots_used; /* handed out so far */
    uint32_t free_first; /* slot + 1, 0: none */
    uint32_t count;      /* in the table, ended ones included */
};

/* Returns 0 or -ENOMEM. addresses: one more than the greatest log address. */
int holds_init(struct holds *holds, uint32_t capacity, uint64_t addresses, uint64_t hash_seed);
void holds_free(struct holds *holds);

/* The hold of a pending transfer's id, NULL when there is none in the table. */
struct hold *holds_find(const struct holds *holds, giro_u128 id);

/* Adds an open hold; count is below capacity. */
struct hold *holds_insert(struct holds *holds, const struct giro_transfer *record, uint64_t address,
                          uint32_t debit_row, uint32_t credit_row);

/* Ends an open hold: its outcome is recorded and its deadline dropped. */
void hold_settle(struct holds *holds, struct hold *hold, enum hold_state state);

/* Gives an open hold another deadline; 0: none. */
void hold_set_deadline(struct holds *holds, struct hold *hold, uint64_t expires_at);

/* Undoes hold_settle(). */
void hold_reopen(struct holds *holds, struct hold *hold);

/* Removes a hold from the table, whatever its state. */
void hold_remove(struct holds *holds, struct hold *hold);

/* The open hold with the earliest deadline, NULL when none has one. */
struct hold *holds_earliest(const struct holds *holds);

/* How the pending transfer at this address ended, HOLD_OPEN when it has not. */
enum hold_state holds_outcome(const struct holds *holds, uint64_t address);

/* Forgets how the pending transfer at this address ended. */
void holds_outcome_reset(struct holds *holds, uint64_t address);

/* Copies the outcomes of all addresses below address_end. */
void holds_outcomes_copy(struct holds *to, const struct holds *from, uint64_t address_end);

#endif
