/* What the ledger keeps of a payment besides its transfers: one row a transfer that needs one.
 *
 *   row of             | amount          | taken                     | left
 *   -------------------|-----------------|---------------------------|---------------------------
 *   a hold that was    | authorised, with| captured                  | still pending; at its end,
 *   amended or that is | all adjustments |                           | what had been just before
 *   a return           |                 |                           |
 *   a posted transfer  | posted          | returned, pending returns | 0
 *   that is a return,  |                 | included                  |
 *   or has been        |                 |                           |
 *   returned           |                 |                           |
 *
 * Any transfer that was marked (enum giro_transfer_mark) has a row as well. All others, nearly all
 * there are, have none and pay nothing for this.
 *
 * A return is the child of what it returns, down to PAYMENT_DEPTH_MAX. Counted from the transfer
 * that is being returned, level 0, upwards:
 *
 *   an accepted return, pending or not, adds its amount to what is taken at levels 0, 2, 4 ...
 *   what is posted of it is deducted at levels 1, 3, 5 ...: a reversed refund can be refunded again
 *   what is released of it is deducted at levels 0, 2, 4 ...
 *
 * so that at every level and moment what was taken, holds included, is at most what was posted:
 * payment_rest() tells how much more there may be. Only facts go beyond.
 *
 * Rows are made in the order of the log's records and never deleted, except by undo. */
#ifndef ENGINE_PAYMENTS_H
#define ENGINE_PAYMENTS_H

#include "engine/hash.h"
#include "engine/index.h"
#include "engine/record.h"

enum {
    PAYMENT_DEPTH_MAX = 6,      /* returns of returns */
    PAYMENT_ROWS_PER_EVENT = 2, /* that one event adds at most */
};

/* Transfers with any of these flags may add rows; all others never do. */
#define PAYMENT_FLAGS                                                                              \
    (GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_RETURN | GIRO_TRANSFER_KEEP_OPEN |                 \
     GIRO_TRANSFER_ADJUST | GIRO_TRANSFER_FACT)

enum payment_kind {
    PAYMENT_HOLD = 1,
    PAYMENT_POSTED = 2,
};

struct payment {
    GIRO_ALIGNAS_16 giro_u128 id;
    giro_u128 amount;
    giro_u128 taken;
    giro_u128 left;
    uint32_t parent; /* row + 1 of the transfer that this one returns; 0: none */
    uint32_t debit_row;
    uint32_t credit_row;
    uint16_t marks; /* enum giro_transfer_mark */
    uint8_t depth;  /* 0: not a return */
    uint8_t kind;   /* enum payment_kind; 0 until the marked transfer itself is applied */
};

_Static_assert(sizeof(struct payment) == 80, "no padding in struct payment");

struct journal; /* engine/journal.h */
struct journal_entry;

struct payments {
    struct payment *rows;
    struct index index; /* id -> row + 1 */
    uint64_t hash_seed;
    uint32_t count;
    uint32_t capacity;
    struct journal *journal; /* of the ledger: what changes is noted there */
};

#define PAYMENTS_NONE UINT32_MAX

/* Returns 0 or -ENOMEM. */
int payments_init(struct payments *payments, uint32_t capacity, struct journal *journal,
                  uint64_t hash_seed);
void payments_free(struct payments *payments);

/* Row of a transfer's id, PAYMENTS_NONE when nothing is kept about it. */
uint32_t payments_find(const struct payments *payments, giro_u128 id);

/* Appends a row as it was saved; count is below capacity and the id has none. */
uint32_t payments_append(struct payments *payments, const struct payment *row);

/* The same, and a row that is about to change; address: of the record that does it. */
uint32_t payments_add(struct payments *payments, const struct payment *row, uint64_t address);
struct payment *payments_change(struct payments *payments, uint32_t row, uint64_t address);

/* Undoes payments_add() and payments_change(). */
void payments_restore(struct payments *payments, const struct journal_entry *entry);

/* Whether so much more of the posted transfer in a row may be returned. Of one that facts went over,
 * not even 0. */
bool payment_has_room(const struct payments *payments, uint32_t row, giro_u128 amount);

/* How much more of it may be returned. */
giro_u128 payment_rest(const struct payments *payments, uint32_t row);

/* What the return of the transfer in a row does to it and to what it returns itself: amount is
 * accepted, posted, released. */
void payment_reserve(struct payments *payments, uint32_t row, giro_u128 amount, uint64_t address);
void payment_settle(struct payments *payments, uint32_t row, giro_u128 amount, uint64_t address);
void payment_release(struct payments *payments, uint32_t row, giro_u128 amount, uint64_t address);

static inline giro_u128 amount_add(giro_u128 a, giro_u128 b)
{
    return a > GIRO_U128_MAX - b ? GIRO_U128_MAX : a + b;
}

static inline giro_u128 amount_deduct(giro_u128 a, giro_u128 b)
{
    return a > b ? a - b : 0;
}

#endif
