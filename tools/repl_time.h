/* Spans of time as the repl reads and shows them: 500ms, 30s, 12h, 7d, 1mo, 1y. */
#ifndef TOOLS_REPL_TIME_H
#define TOOLS_REPL_TIME_H

#include "engine/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum repl_unit {
    REPL_UNIT_MS,
    REPL_UNIT_SECONDS,
    REPL_UNIT_MINUTES,
    REPL_UNIT_HOURS,
    REPL_UNIT_DAYS,
    REPL_UNIT_MONTHS,
    REPL_UNIT_YEARS,
    REPL_UNITS,
};

struct repl_span {
    uint64_t number;
    enum repl_unit unit;
};

enum {
    REPL_SPAN_BYTES = 24,
    REPL_RETRIES_BYTES = GIRO_SCHEDULE_RETRIES_MAX * REPL_SPAN_BYTES,
};

/* Reads a number and a unit right behind it. The number is at most 2^32 - 1. */
bool repl_span_read(const char *text, size_t size, struct repl_span *out);

/* Milliseconds of a span; months and years have no certain number of them: 0. */
uint64_t repl_span_ms(struct repl_span span);

/* The day of the month that a timestamp lies in. */
uint8_t repl_day_of_month(uint64_t timestamp);

/* Seconds in the largest unit that fits: 1d. Returns out. */
char *repl_seconds_print(uint64_t seconds, char out[REPL_SPAN_BYTES]);

/* What a schedule is written with: every=1mo, and retry=1d,3d. "" for none. Return out. */
char *repl_every_print(const struct giro_schedule *schedule, char out[REPL_SPAN_BYTES]);
char *repl_retries_print(const struct giro_schedule *schedule, char out[REPL_RETRIES_BYTES]);

#endif
