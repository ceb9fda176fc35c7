/* Velocity limits: how much, or how often, within a window of time.
 *
 * A slot counts what is accepted and is asked before that; the time is always that of the transfer, so
 * that replay counts the same. Windows of the calendar, and the two of a sliding one, lie side by side:
 *
 *   window   | end                     | current       | previous           | over when
 *   ---------|-------------------------|---------------|--------------------|--------------------------
 *   calendar | of the window           | counted in it | 0                  | current + n > maximum
 *   sliding  | of the newer of the two | counted in it | counted in the one | previous * what is left of
 *            |                         |               | before             | the window + current + n
 *            |                         |               |                    | > maximum
 *   rate     | when all is free again: | 0             | 0                  | end, or now, + n * period /
 *            | each n costs n * period |               |                    | maximum > now + period
 *            | / maximum               |               |                    |
 *
 * A transfer older than the window, which only an imported one can be, counts as if it were in it.
 * Sums saturate: maxima are 64 bits wide, and so are they. */
#ifndef ENGINE_VELOCITY_H
#define ENGINE_VELOCITY_H

#include "engine/record.h"
#include "engine/result.h"

#include <stdbool.h>

struct velocity {
    uint64_t maximum;
    uint64_t end; /* ns since the epoch; 0: nothing was counted yet */
    uint64_t current;
    uint64_t previous;
    uint64_t period_ns; /* 0: of months */
    struct giro_velocity rule;
    uint32_t reserved; /* 0 */
};

/* Whether a rule can be set; one that is not used is all zero. */
enum giro_limits_result velocity_check(const struct giro_velocity *rule, uint64_t maximum);

/* A slot that has counted nothing; all zero for a rule without a window. */
struct velocity velocity_make(const struct giro_velocity *rule, uint64_t maximum);

/* Whether two slots count the same. */
bool velocity_counts_same(const struct giro_velocity *a, const struct giro_velocity *b);

/* What a transfer, whose amount is decided, adds to a slot. An adjustment is not one more. */
static inline uint64_t velocity_share(const struct velocity *slot,
                                      const struct giro_transfer *transfer)
{
    if ((slot->rule.flags & GIRO_VELOCITY_AMOUNT) == 0)
        return (transfer->flags & GIRO_TRANSFER_ADJUST) == 0;
    return transfer->amount < UINT64_MAX ? (uint64_t)transfer->amount : UINT64_MAX;
}

/* Whether so much more at a time goes over the slot's maximum. */
bool velocity_exceeded(const struct velocity *slot, uint64_t time, uint64_t n);

/* How much of the maximum is used at a time; out_end: see struct giro_velocity_used. */
uint64_t velocity_used(const struct velocity *slot, uint64_t time, uint64_t *out_end);

void velocity_count(struct velocity *slot, uint64_t time, uint64_t n);

/* Whether a slot is one that velocity_make() and velocity_count() can have made. */
bool velocity_formed(const struct velocity *slot);

#endif
