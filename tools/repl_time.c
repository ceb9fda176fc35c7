#include "tools/repl_time.h"

#include "tools/import_number.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint64_t ms;
} units[REPL_UNITS] = {
    [REPL_UNIT_MS] = {"ms", 1},         [REPL_UNIT_SECONDS] = {"s", 1000},
    [REPL_UNIT_MINUTES] = {"m", 60000}, [REPL_UNIT_HOURS] = {"h", 3600000},
    [REPL_UNIT_DAYS] = {"d", 86400000}, [REPL_UNIT_MONTHS] = {"mo", 0},
    [REPL_UNIT_YEARS] = {"y", 0},
};

bool repl_span_read(const char *text, size_t size, struct repl_span *out)
{
    giro_u128 number = 0;
    size_t digits = 0;
    while (digits < size && isdigit((unsigned char)text[digits]))
        digits++;
    if (number_u128(text, digits, &number) != NUMBER_OK || number > UINT32_MAX)
        return false;
    for (unsigned i = 0; i < REPL_UNITS; i++) {
        if (strlen(units[i].name) == size - digits &&
            memcmp(text + digits, units[i].name, size - digits) == 0) {
            *out = (struct repl_span){(uint64_t)number, (enum repl_unit)i};
            return true;
        }
    }
    return false;
}

uint64_t repl_span_ms(struct repl_span span)
{
    return span.number * units[span.unit].ms;
}

uint8_t repl_day_of_month(uint64_t timestamp)
{
    char text[NUMBER_DATE_TEXT_BYTES];
    (void)number_print_day((uint32_t)(timestamp / (86400 * GIRO_NS_PER_S)), text);
    const char *day = strrchr(text, '-');
    return day == NULL ? 0 : (uint8_t)strtoul(day + 1, NULL, 10);
}

char *repl_seconds_print(uint64_t seconds, char out[REPL_SPAN_BYTES])
{
    unsigned unit = REPL_UNIT_DAYS;
    while (unit > REPL_UNIT_SECONDS && (seconds == 0 || seconds * 1000 % units[unit].ms != 0))
        unit--;
    (void)snprintf(out, REPL_SPAN_BYTES, "%" PRIu64 "%s", seconds * 1000 / units[unit].ms,
                   units[unit].name);
    return out;
}

char *repl_every_print(const struct giro_schedule *schedule, char out[REPL_SPAN_BYTES])
{
    switch (schedule->rule) {
    case GIRO_SCHEDULE_SECONDS:
        return repl_seconds_print(schedule->interval, out);
    case GIRO_SCHEDULE_MONTHS:
    case GIRO_SCHEDULE_YEARS:
        (void)snprintf(out, REPL_SPAN_BYTES, "%u%s", schedule->interval,
                       schedule->rule == GIRO_SCHEDULE_MONTHS ? "mo" : "y");
        return out;
    default: /* of a server that knows more */
        (void)snprintf(out, REPL_SPAN_BYTES, "unknown");
        return out;
    }
}

char *repl_retries_print(const struct giro_schedule *schedule, char out[REPL_RETRIES_BYTES])
{
    size_t size = 0;
    char text[REPL_SPAN_BYTES];
    out[0] = 0;
    for (unsigned i = 0; i < schedule->retries && i < GIRO_SCHEDULE_RETRIES_MAX; i++)
        size += (size_t)snprintf(out + size, REPL_RETRIES_BYTES - size, "%s%s", i > 0 ? "," : "",
                                 repl_seconds_print(schedule->retry_s[i], text));
    return out;
}
