/* The civil calendar of UTC, in integers: what months are is all that the ledger knows of it. */
#ifndef ENGINE_CALENDAR_H
#define ENGINE_CALENDAR_H

#include "engine/record.h"

enum { CALENDAR_MONTHS_PER_YEAR = 12 };
#define CALENDAR_DAY_NS 86400000000000ull
#define CALENDAR_MONTHS_MAX 4000 /* since January 1970: no timestamp is as late */

/* Days between the Unix epoch and the first of a month, counted from January 1970. Years are begun
 * in March here, so that the leap day is the last of its year, and none is before 1600, where a
 * cycle of 400 years begins. */
static inline uint64_t calendar_month_begin(uint64_t month)
{
    const uint64_t months = month + 370ull * CALENDAR_MONTHS_PER_YEAR - 2; /* March 1600 */
    const uint64_t year = months / CALENDAR_MONTHS_PER_YEAR;
    const uint64_t of_year = months % CALENDAR_MONTHS_PER_YEAR;
    const uint64_t days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * of_year + 2) / 5;
    return days - 135080; /* from 1 March 1600 to 1 January 1970 */
}

/* The month that a day, counted from the Unix epoch, lies in. */
static inline uint64_t calendar_month_of(uint64_t day)
{
    uint64_t month = day * 400 * CALENDAR_MONTHS_PER_YEAR / 146097; /* right, or one off */
    while (calendar_month_begin(month) > day)
        month--;
    while (calendar_month_begin(month + 1) <= day)
        month++;
    return month;
}

#endif
