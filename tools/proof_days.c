#include "tools/proof_days.h"

#include "tools/import_memory.h"

#include <assert.h>

static giro_i128 distance(giro_i128 a, giro_i128 b)
{
    return a > b ? a - b : b - a;
}

static bool same_day(const struct proof_row *a, const struct proof_row *b)
{
    return a->account == b->account && a->day == b->day;
}

/* The balance of a day's rows that is nearest to what is expected. */
static giro_i128 balance_nearest(const struct proof_row *rows, uint32_t count, giro_i128 expected)
{
    giro_i128 nearest = rows[0].balance;
    for (uint32_t i = 1; i < count; i++) {
        if (distance(rows[i].balance, expected) < distance(nearest, expected))
            nearest = rows[i].balance;
    }
    return nearest;
}

static void differing_add(struct proof_days *days, const struct proof_day *day)
{
    if ((days->differing_count & (days->differing_count - 1)) == 0) {
        uint32_t capacity = days->differing_count == 0 ? 1 : 2 * days->differing_count;
        days->differing = import_memory(days->differing, capacity, sizeof *days->differing);
    }
    days->differing[days->differing_count++] = *day;
}

struct proof_days proof_days_compare(const struct proof_row *rows, uint32_t count,
                                     giro_i128 tolerance)
{
    struct proof_days days = {0};
    giro_i128 bank = 0;
    giro_i128 carried = 0;
    for (uint32_t at = 0; at < count;) {
        uint32_t first = at;
        if (at == 0 || rows[at].account != rows[at - 1].account) {
            days.accounts++;
            bank = 0;
            carried = 0;
        }
        giro_i128 change = 0;
        for (; at < count && same_day(&rows[first], &rows[at]); at++)
            change += rows[at].change;
        assert(at == count || rows[at].account != rows[first].account ||
               rows[at].day > rows[first].day);

        struct proof_day day = {rows[first].account, rows[first].day, 0, bank + change};
        day.bank = balance_nearest(&rows[first], at - first, day.expected);
        bank = day.bank;
        carried += change;
        days.account_days++;
        days.last_day = day.day > days.last_day ? day.day : days.last_day;
        if (distance(day.bank, day.expected) <= tolerance)
            days.agreeing++;
        else
            differing_add(&days, &day);
        giro_i128 away = distance(day.bank, carried);
        days.carried_agreeing += away <= tolerance;
        days.carried_away_max = away > days.carried_away_max ? away : days.carried_away_max;
    }
    for (uint32_t i = 0; i < days.differing_count; i++)
        days.differing_last_day += days.differing[i].day == days.last_day;
    assert(days.agreeing + days.differing_count == days.account_days);
    return days;
}
