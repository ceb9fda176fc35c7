#include "engine/schedules.h"

#include "engine/calendar.h"
#include "engine/checksum.h"
#include "engine/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int schedules_init(struct schedules *schedules, uint32_t capacity, uint64_t hash_seed)
{
    *schedules = (struct schedules){.capacity = capacity, .hash_seed = hash_seed};
    schedules->rows = memory_reserve((size_t)capacity * sizeof *schedules->rows);
    if (schedules->rows != NULL && deadlines_init(&schedules->deadlines, capacity) == 0 &&
        index_init(&schedules->index, capacity, 0, INDEX_LOAD_FAST) == 0)
        return 0;
    schedules_free(schedules);
    return -ENOMEM;
}

void schedules_free(struct schedules *schedules)
{
    memory_release(schedules->rows, (size_t)schedules->capacity * sizeof *schedules->rows);
    deadlines_free(&schedules->deadlines);
    index_free(&schedules->index);
    *schedules = (struct schedules){0};
}

uint32_t schedules_find(const struct schedules *schedules, giro_u128 id)
{
    if (schedules->count == 0)
        return SCHEDULES_NONE;
    struct index_cursor cursor = index_search(&schedules->index, id_hash(id, schedules->hash_seed));
    for (;;) {
        uint64_t value = index_next(&schedules->index, &cursor);
        if (value == 0)
            return SCHEDULES_NONE;
        if (schedules->rows[value - 1].id == id)
            return (uint32_t)(value - 1);
    }
}

uint32_t schedules_append(struct schedules *schedules, const struct giro_schedule *row)
{
    assert(schedules->count < schedules->capacity);
    uint32_t number = schedules->count++;
    schedules->rows[number] = *row;
    index_insert(&schedules->index, id_hash(row->id, schedules->hash_seed), (uint64_t)number + 1);
    schedules_changed(schedules, number);
    return number;
}

void schedules_changed(struct schedules *schedules, uint32_t row)
{
    deadlines_set(&schedules->deadlines, row, schedules->rows[row].next, row);
}

/* ---- The rule ---------------------------------------------------------------------------- */

/* Months between two occurrences; 0: they are seconds. */
static uint64_t rule_months(const struct giro_schedule *schedule)
{
    switch ((enum giro_schedule_rule)schedule->rule) {
    case GIRO_SCHEDULE_SECONDS:
        return 0;
    case GIRO_SCHEDULE_MONTHS:
        return schedule->interval;
    case GIRO_SCHEDULE_YEARS:
        return (uint64_t)schedule->interval * CALENDAR_MONTHS_PER_YEAR;
    }
    return 0;
}

/* The day of a month, or the last one that it has, counted from the epoch. */
static uint64_t day_in(uint64_t month, uint8_t day)
{
    const uint64_t begin = calendar_month_begin(month);
    const uint64_t days = calendar_month_begin(month + 1) - begin;
    return begin + (day < days ? day : days) - 1;
}

uint64_t schedule_due(const struct giro_schedule *schedule, uint32_t occurrence)
{
    const uint64_t months = rule_months(schedule);
    giro_u128 due;
    if (schedule->occurrences != 0 && occurrence >= schedule->occurrences)
        return 0;
    if (months == 0) {
        const giro_u128 interval_ns = (giro_u128)schedule->interval * GIRO_NS_PER_S;
        due = schedule->first + interval_ns * occurrence;
    } else {
        const giro_u128 month =
            calendar_month_of(schedule->first / CALENDAR_DAY_NS) + (giro_u128)months * occurrence;
        if (month > CALENDAR_MONTHS_MAX)
            return 0;
        due = (giro_u128)day_in((uint64_t)month, schedule->day) * CALENDAR_DAY_NS;
        due += schedule->first % CALENDAR_DAY_NS;
    }
    if (due > GIRO_TIMESTAMP_MAX || (schedule->end != 0 && due > schedule->end))
        return 0;
    return (uint64_t)due;
}

enum giro_schedule_result schedule_check_rule(const struct giro_schedule *schedule)
{
    if (schedule->rule < GIRO_SCHEDULE_SECONDS || schedule->rule > GIRO_SCHEDULE_YEARS)
        return GIRO_SCHEDULE_RESULT_RULE_UNKNOWN;
    if (schedule->interval == 0)
        return GIRO_SCHEDULE_RESULT_INTERVAL_MUST_NOT_BE_ZERO;
    if (schedule->first == 0 || schedule->first > GIRO_TIMESTAMP_MAX)
        return GIRO_SCHEDULE_RESULT_FIRST_OUT_OF_RANGE;
    const uint64_t day = schedule->first / CALENDAR_DAY_NS;
    if (schedule->rule == GIRO_SCHEDULE_SECONDS
            ? schedule->day != 0
            : schedule->day == 0 || schedule->day > 31 ||
                  day != day_in(calendar_month_of(day), schedule->day))
        return GIRO_SCHEDULE_RESULT_FIRST_NOT_ON_DAY;
    if (schedule->end != 0 && schedule->end < schedule->first)
        return GIRO_SCHEDULE_RESULT_END_BEFORE_FIRST;
    if (schedule->retries > GIRO_SCHEDULE_RETRIES_MAX)
        return GIRO_SCHEDULE_RESULT_RETRIES_OUT_OF_RANGE;
    for (uint32_t i = 0; i < GIRO_SCHEDULE_RETRIES_MAX; i++) {
        if ((i < schedule->retries) != (schedule->retry_s[i] != 0))
            return GIRO_SCHEDULE_RESULT_RETRIES_OUT_OF_RANGE;
    }
    return GIRO_SCHEDULE_RESULT_DONE;
}

bool schedule_formed(const struct schedules *schedules, const struct giro_schedule *schedule)
{
    return schedule->id != 0 && schedule->next <= GIRO_TIMESTAMP_MAX &&
           schedule_check_rule(schedule) == GIRO_SCHEDULE_RESULT_DONE &&
           schedules_find(schedules, schedule->id) == SCHEDULES_NONE;
}

void schedule_advance(const struct giro_schedule *schedule, uint64_t time,
                      struct giro_firing *firing)
{
    if (firing->transfer_result != GIRO_TRANSFER_CREATED && firing->attempt < schedule->retries) {
        const uint64_t again = time + schedule->retry_s[firing->attempt] * GIRO_NS_PER_S;
        firing->occurrence_next = firing->occurrence;
        firing->attempt_next = firing->attempt + 1;
        firing->next = again <= GIRO_TIMESTAMP_MAX ? again : 0;
        return;
    }
    firing->occurrence_next = firing->occurrence + 1;
    firing->attempt_next = 0;
    firing->next =
        firing->occurrence == UINT32_MAX ? 0 : schedule_due(schedule, firing->occurrence_next);
}

giro_u128 schedule_transfer_id(giro_u128 schedule_id, uint32_t occurrence, uint32_t attempt)
{
    const struct {
        giro_u128 schedule_id;
        uint32_t occurrence;
        uint32_t attempt;
        uint64_t zeros;
    } key = {schedule_id, occurrence, attempt, 0};
    const struct checksum sum = checksum_of(&key, sizeof key);
    giro_u128 id;
    _Static_assert(sizeof id == sizeof sum && sizeof key == 32, "no padding");
    memcpy(&id, &sum, sizeof id);
    return id;
}
