#include "engine/velocity.h"

#include "engine/calendar.h"

#include <string.h>

#define WEEK_NS (7 * CALENDAR_DAY_NS)
#define MONDAY_NS (4 * CALENDAR_DAY_NS) /* the epoch's first Monday: it began on a Thursday */

enum giro_limits_result velocity_check(const struct giro_velocity *rule, uint64_t maximum)
{
    if (rule->window > GIRO_WINDOW_RATE)
        return GIRO_LIMITS_RESULT_VELOCITY_WINDOW_UNKNOWN;
    if (rule->window == GIRO_WINDOW_NONE)
        return maximum == 0 && rule->period == 0 && rule->unit == 0 && rule->verdict == 0 &&
                       rule->flags == 0
                   ? GIRO_LIMITS_RESULT_SET
                   : GIRO_LIMITS_RESULT_VELOCITY_UNUSED_MUST_BE_ZERO;
    if (rule->unit > GIRO_PERIOD_MONTHS ||
        (rule->unit == GIRO_PERIOD_MONTHS && rule->window != GIRO_WINDOW_CALENDAR))
        return GIRO_LIMITS_RESULT_VELOCITY_WINDOW_UNKNOWN;
    const bool months = rule->unit == GIRO_PERIOD_MONTHS;
    return rule->period == 0 || (months && rule->period > GIRO_VELOCITY_MONTHS_MAX)
               ? GIRO_LIMITS_RESULT_VELOCITY_PERIOD_OUT_OF_RANGE
               : GIRO_LIMITS_RESULT_SET;
}

static uint64_t period_ns(const struct giro_velocity *rule)
{
    static const uint64_t units[] = {
        [GIRO_PERIOD_SECONDS] = GIRO_NS_PER_S,
        [GIRO_PERIOD_MINUTES] = 60 * GIRO_NS_PER_S,
        [GIRO_PERIOD_HOURS] = 3600 * GIRO_NS_PER_S,
        [GIRO_PERIOD_DAYS] = CALENDAR_DAY_NS,
        [GIRO_PERIOD_MONTHS] = 0,
    };
    return rule->period * units[rule->unit];
}

struct velocity velocity_make(const struct giro_velocity *rule, uint64_t maximum)
{
    if (rule->window == GIRO_WINDOW_NONE)
        return (struct velocity){0};
    return (struct velocity){.maximum = maximum, .period_ns = period_ns(rule), .rule = *rule};
}

bool velocity_counts_same(const struct giro_velocity *a, const struct giro_velocity *b)
{
    return a->period == b->period && a->unit == b->unit && a->window == b->window &&
           a->flags == b->flags;
}

/* The window that a time lies in. */
static uint64_t window_of(const struct velocity *slot, uint64_t time, uint64_t *out_end)
{
    if (slot->period_ns == 0) {
        const uint64_t period = slot->rule.period;
        const uint64_t month = calendar_month_of(time / CALENDAR_DAY_NS) / period * period;
        *out_end = calendar_month_begin(month + period) * CALENDAR_DAY_NS;
        return calendar_month_begin(month) * CALENDAR_DAY_NS;
    }
    const bool weeks = slot->rule.window == GIRO_WINDOW_CALENDAR && slot->period_ns % WEEK_NS == 0;
    /* One period early, so that there is a window in front of the first Monday. */
    const uint64_t shift = weeks ? slot->period_ns - MONDAY_NS : 0;
    *out_end = time + (slot->period_ns - (time + shift) % slot->period_ns);
    return *out_end - slot->period_ns;
}

/* The slot as it is at a time. */
static struct velocity velocity_at(const struct velocity *slot, uint64_t time)
{
    struct velocity now = *slot;
    if (time < slot->end)
        return now;
    const uint64_t begin = window_of(slot, time, &now.end);
    const bool follows = slot->rule.window == GIRO_WINDOW_SLIDING && begin == slot->end;
    now.previous = follows ? slot->current : 0;
    now.current = 0;
    return now;
}

static uint64_t sum_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* What the window, and the part of the one before it that is not over yet, hold. */
static giro_u128 window_used(const struct velocity *now, uint64_t time)
{
    if (now->previous == 0)
        return now->current;
    const uint64_t left = now->end - time;
    const uint64_t weight = left < now->period_ns ? left : now->period_ns;
    return now->current + (giro_u128)now->previous * weight / now->period_ns;
}

/* When a slot of a rate is free again after n more. */
static giro_u128 rate_end(const struct velocity *slot, uint64_t time, uint64_t n)
{
    const giro_u128 cost = (giro_u128)n * slot->period_ns;
    return (slot->end > time ? slot->end : time) + (cost + slot->maximum - 1) / slot->maximum;
}

bool velocity_exceeded(const struct velocity *slot, uint64_t time, uint64_t n)
{
    if (slot->rule.window == GIRO_WINDOW_RATE)
        return slot->maximum == 0 ? n > 0
                                  : rate_end(slot, time, n) > (giro_u128)time + slot->period_ns;
    const struct velocity now = velocity_at(slot, time);
    return window_used(&now, time) + n > slot->maximum;
}

uint64_t velocity_used(const struct velocity *slot, uint64_t time, uint64_t *out_end)
{
    giro_u128 used = 0;
    *out_end = slot->end;
    if (slot->rule.window == GIRO_WINDOW_NONE || slot->end == 0)
        return 0;
    if (slot->rule.window == GIRO_WINDOW_RATE) {
        const uint64_t busy = slot->end > time ? slot->end - time : 0;
        used = ((giro_u128)busy * slot->maximum + slot->period_ns - 1) / slot->period_ns;
    } else {
        const struct velocity now = velocity_at(slot, time);
        used = window_used(&now, time);
        *out_end = now.end;
    }
    return used < UINT64_MAX ? (uint64_t)used : UINT64_MAX;
}

void velocity_count(struct velocity *slot, uint64_t time, uint64_t n)
{
    if (slot->rule.window != GIRO_WINDOW_RATE) {
        *slot = velocity_at(slot, time);
        slot->current = sum_saturated(slot->current, n);
        return;
    }
    if (slot->maximum == 0 || n == 0)
        return;
    /* Whatever went over: two periods later it is forgotten, as by a sliding window. */
    const giro_u128 most = (giro_u128)time + 2 * (giro_u128)slot->period_ns;
    giro_u128 end = rate_end(slot, time, n);
    end = end < most ? end : most;
    end = end < UINT64_MAX ? end : UINT64_MAX;
    slot->end = end > slot->end ? (uint64_t)end : slot->end;
}

bool velocity_formed(const struct velocity *slot)
{
    static const struct velocity unused;
    const struct giro_velocity *rule = &slot->rule;
    if (rule->window == GIRO_WINDOW_NONE)
        return memcmp(slot, &unused, sizeof unused) == 0;
    return velocity_check(rule, slot->maximum) == GIRO_LIMITS_RESULT_SET &&
           slot->period_ns == period_ns(rule) && slot->reserved == 0 &&
           (rule->window == GIRO_WINDOW_SLIDING || slot->previous == 0) &&
           (rule->window != GIRO_WINDOW_RATE || slot->current == 0);
}
