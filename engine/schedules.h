/* Schedules: transfers that the server makes by itself.
 *
 * A row is a struct giro_schedule with its transfer, as clients see it. Occurrence k of a schedule is
 * due at a time that its rule alone tells: schedule_due(). Whatever was missed is therefore made up
 * for one by one, and no time is ever added up. */
#ifndef ENGINE_SCHEDULES_H
#define ENGINE_SCHEDULES_H

#include "engine/deadlines.h"
#include "engine/hash.h"
#include "engine/index.h"
#include "engine/record.h"
#include "engine/result.h"

#include <stdbool.h>

struct schedules {
    struct giro_schedule *rows;
    struct deadlines deadlines; /* next, by row */
    struct index index;         /* id -> row + 1 */
    uint64_t hash_seed;
    uint32_t count;
    uint32_t capacity;
};

#define SCHEDULES_NONE UINT32_MAX

/* Returns 0 or -ENOMEM. */
int schedules_init(struct schedules *schedules, uint32_t capacity, uint64_t hash_seed);
void schedules_free(struct schedules *schedules);

/* Row of an id; SCHEDULES_NONE: there is none. */
uint32_t schedules_find(const struct schedules *schedules, giro_u128 id);

/* Appends a row; count is below capacity and the id has none. */
uint32_t schedules_append(struct schedules *schedules, const struct giro_schedule *row);

/* To be called after the next attempt of a row has changed. */
void schedules_changed(struct schedules *schedules, uint32_t row);

/* Whether the newest row has its transfer: in the log it follows in a record of its own. */
static inline bool schedules_are_whole(const struct schedules *schedules)
{
    return schedules->count == 0 || schedules->rows[schedules->count - 1].transfer.ledger != 0;
}

/* Whether nothing stands where nothing has to, whatever else does. */
static inline bool schedule_reserved_is_zero(const struct giro_schedule *schedule)
{
    uint32_t used = schedule->reserved_1 | schedule->transfer_code | schedule->transfer_flags;
    for (uint32_t i = 0; i < sizeof schedule->reserved; i++)
        used |= schedule->reserved[i];
    return used == 0;
}

/* When an occurrence is due; 0: there is none such. */
uint64_t schedule_due(const struct giro_schedule *schedule, uint32_t occurrence);

/* Whether a schedule, but for its transfer, is one that can be. */
enum giro_schedule_result schedule_check_rule(const struct giro_schedule *schedule);

/* Whether a schedule, but for its transfer, is one that may be added. */
bool schedule_formed(const struct schedules *schedules, const struct giro_schedule *schedule);

/* What becomes of the next attempt after one with this result at a time: next, occurrence_next and
 * attempt_next of a firing whose other fields are those of the attempt. */
void schedule_advance(const struct giro_schedule *schedule, uint64_t time,
                      struct giro_firing *firing);

/* Id of an attempt's transfer: XXH3-128 of 32 bytes, the schedule's id, both numbers and eight
 * zeros. */
giro_u128 schedule_transfer_id(giro_u128 schedule_id, uint32_t occurrence, uint32_t attempt);

#endif
