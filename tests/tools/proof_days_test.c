/* The rule by which an account's day agrees with the bank. Amounts in minor units. */
#include "tools/proof_days.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { TOLERANCE = 10 };

static struct proof_days compare(const struct proof_row *rows, uint32_t count)
{
    return proof_days_compare(rows, count, TOLERANCE);
}

Test(proof_days, agree_whatever_the_order_within_a_day)
{
    /* The day's last row comes first in the file. */
    static const struct proof_row rows[] = {
        {1, 1, 1000, 1000},
        {1, 2, -300, 1200},
        {1, 2, 500, 1500},
        {1, 3, 100, 1300},
    };
    struct proof_days days = compare(rows, 4);
    cr_expect_eq(days.accounts, 1);
    cr_expect_eq(days.account_days, 3);
    cr_expect_eq(days.agreeing, 3);
    cr_expect_eq(days.carried_agreeing, 3);
    free(days.differing);
}

Test(proof_days, start_each_account_at_zero)
{
    static const struct proof_row rows[] = {{1, 5, 1000, 1000}, {2, 1, 50, 50}, {2, 2, 50, 101}};
    struct proof_days days = compare(rows, 3);
    cr_expect_eq(days.accounts, 2);
    cr_expect_eq(days.account_days, 3);
    cr_expect_eq(days.agreeing, 3);
    free(days.differing);
}

Test(proof_days, tolerate_up_to_the_tolerance_each_day_anew)
{
    static const struct proof_row rows[] = {
        {1, 1, 1000, 1010},
        {1, 2, 1000, 2020},
        {1, 3, 1000, 3031},
    };
    struct proof_days days = compare(rows, 3);
    cr_expect_eq(days.agreeing, 2);
    cr_expect_eq(days.carried_agreeing, 1);
    cr_expect(days.carried_away_max == 31);
    cr_assert_eq(days.differing_count, 1);
    cr_expect_eq(days.differing[0].day, 3);
    cr_expect(days.differing[0].bank == 3031);
    cr_expect(days.differing[0].expected == 3020);
    cr_expect_eq(days.last_day, 3);
    cr_expect_eq(days.differing_last_day, 1);
    free(days.differing);
}

Test(proof_days, show_one_wrong_row_on_its_day_only)
{
    static const struct proof_row rows[] = {
        {1, 1, 1000, 1000},
        {1, 2, 999, 1100},
        {1, 3, 100, 1200},
        {1, 4, 100, 1300},
    };
    struct proof_days days = compare(rows, 4);
    cr_expect_eq(days.agreeing, 3);
    cr_assert_eq(days.differing_count, 1);
    cr_expect_eq(days.differing[0].day, 2);
    free(days.differing);
}

Test(proof_days, of_nothing_are_none)
{
    struct proof_days days = compare(NULL, 0);
    cr_expect_eq(days.account_days, 0);
    cr_expect_eq(days.differing, NULL);
}
