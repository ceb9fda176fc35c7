/* Whether a bank's own balances agree with the ledger, account by account and day by day.
 *
 * Bank files often give no order within a day, and banks round what they do not show, so neither a
 * row's balance nor a balance that is carried on for years can be compared directly. The rule:
 *
 *   expected = the bank's balance at the end of the account's day before (0 before its first day)
 *              + credits - debits of the account that day, as the ledger has them
 *   the bank's end of the day = the balance, of all rows of the account that day, that is nearest
 * to what is expected: the row that came last, whatever its place in the file the day agrees when
 * the two differ by no more than the tolerance
 *
 * The next day starts from the bank's end of this one, whether it agreed or not, so that one wrong
 * row shows on the days that it touches and nowhere else. */
#ifndef TOOLS_PROOF_DAYS_H
#define TOOLS_PROOF_DAYS_H

#include "tools/import_number.h"

/* A row of the bank's, with what the ledger has for it. */
struct proof_row {
    giro_u128 account;
    uint32_t day;
    giro_i128 change;  /* of the account's balance, from the ledger */
    giro_i128 balance; /* of the account behind the row, from the bank */
};

struct proof_day {
    giro_u128 account;
    uint32_t day;
    giro_i128 bank;
    giro_i128 expected;
};

struct proof_days {
    uint32_t accounts;
    uint32_t account_days;
    uint32_t agreeing;
    uint32_t carried_agreeing;   /* days whose carried balance is within the tolerance */
    giro_i128 carried_away_max;  /* the largest distance of a carried balance from the bank's */
    struct proof_day *differing; /* days that do not agree; free() it */
    uint32_t differing_count;
    uint32_t last_day;           /* of all accounts */
    uint32_t differing_last_day; /* of differing_count, on that day */
};

/* rows: in the order of account and day; their order within a day does not matter. */
struct proof_days proof_days_compare(const struct proof_row *rows, uint32_t count,
                                     giro_i128 tolerance);

#endif
