/* Limits of accounts: rows that are set at run time, and what transfers make of them. One event a
 * row; the language is described in tests/ledger_fixture.h.
 *
 * Every table was worked out by hand and runs twice, in a ledger of its own whose log is replayed
 * at the end, and in the model, which the random tests compare the ledger with. */
#include "tests/ledger_fixture.h"
#include "tests/ledger_random.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_of_limits(uint32_t code)
{
    return code == GIRO_TRANSFER_ACCOUNT_BLOCKED || code == GIRO_TRANSFER_EXCEEDS_MAX_BALANCE ||
           code == GIRO_TRANSFER_OVER_CAPTURE_NOT_ALLOWED ||
           code == GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER;
}

/* Slots of velocity limits have tests of their own. */
static bool is_of_slots(uint32_t code)
{
    return code >= GIRO_LIMITS_RESULT_VELOCITY_WINDOW_UNKNOWN;
}

/* ---- Setting rows ------------------------------------------------------------------------ */

static const char set_rules[] = "account A1 | created\n"
                                "account A2 debits_must_not_exceed_credits | created\n"
                                "account A3 credits_must_not_exceed_debits | created\n"
                                "\n"
                                "no_limits A1 A2 A3 A9\n"
                                "save\n"
                                "limits A1 timestamp=1 | timestamp_must_be_zero\n"
                                "limits A1 timestamp=now | timestamp_must_be_zero\n"
                                "limits A1 reserved=1 | reserved_field\n"
                                "limits A1 reserved=0x8000 | reserved_field\n"
                                "limits A1 flags=8 | reserved_flag\n"
                                "limits A1 frozen flags=0x4000 | reserved_flag\n"
                                "limits A1 frozen flags=0x8000 | reserved_flag\n"
                                "limits 0 | account_id_must_not_be_zero\n"
                                "limits max | account_id_must_not_be_int_max\n"
                                "limits A1 over_capture=100001 | over_capture_out_of_range\n"
                                "limits A2 over_capture=0xffffffff | over_capture_out_of_range\n"
                                "limits A9 over_capture=100001 | over_capture_out_of_range\n"
                                "limits A9 | account_not_found\n"
                                "limits A9 floor=1 | account_not_found\n"
                                "limits A1 floor=1 | floor_needs_limit_flag\n"
                                "limits A1 floor=max | floor_needs_limit_flag\n"
                                "\n"
                                "unchanged\n"
                                "no_limits A1 A2 A3 A9\n";

static const char set_rows[] =
    "account A1 | created\n"
    "account A2 debits_must_not_exceed_credits | created\n"
    "account A3 credits_must_not_exceed_debits history | created\n"
    "account A4 closed | created\n"
    "account A5 | created\n"
    "\n"
    /* Each event stands by itself. */
    "limits A1 | set\n"
    "limits A9 | account_not_found\n"
    "limits A2 floor=100 balance_max=5 transfer_max=7 over_capture=100000 block_debits "
    "block_credits frozen | set\n"
    "limits A1 floor=1 | floor_needs_limit_flag\n"
    "limits A3 floor=max balance_max=max transfer_max=max over_capture=1 | set\n"
    "limits A4 balance_max=1 | set\n"
    "\n"
    "stored limits A1\n"
    "stored limits A2 floor=100 balance_max=5 transfer_max=7 over_capture=100000 block_debits "
    "block_credits frozen\n"
    "stored limits A3 floor=max balance_max=max transfer_max=max over_capture=1\n"
    "stored limits A4 balance_max=1\n"
    "no_limits A5 A9\n"
    /* A row is replaced as a whole, and stays as it is when the event is refused. */
    "limits A2 frozen | set\n"
    "limits A2 transfer_max=9 | set\n"
    "limits A2 over_capture=100001 | over_capture_out_of_range\n"
    "limits A3 | set\n"
    "limits A4 balance_max=2 flags=8 | reserved_flag\n"
    "\n"
    "stored limits A1\n"
    "stored limits A2 transfer_max=9\n"
    "stored limits A3\n"
    "stored limits A4 balance_max=1\n"
    /* An account that comes now has none. */
    "account A9 | created\n"
    "\n"
    "no_limits A5 A9\n"
    "limits A9 block_credits | set\n"
    "\n"
    "stored limits A9 block_credits\n"
    "no_limits A5\n";

/* What counts is the row of the moment. */
static const char set_changes[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "limits A1 transfer_max=10 | set\n"
    "\n"
    "transfer T1 A1 A2 11 | exceeds_max_transfer\n"
    "transfer T2 A1 A2 10 | created\n"
    "\n"
    /* The other limits of before are gone. */
    "limits A1 balance_max=5 | set\n"
    "\n"
    "transfer T3 A1 A2 11 | created\n"
    "transfer T4 A2 A1 27 | exceeds_max_balance\n"
    "transfer T5 A2 A1 26 | created\n"
    "\n"
    "limits A1 frozen | set\n"
    "\n"
    "transfer T6 A2 A1 1 | account_blocked\n"
    /* What was accepted then is there now, and what was refused stays so. */
    "transfer T2 A1 A2 10 | exists\n"
    "transfer T3 A1 A2 11 | exists\n"
    "transfer T1 A1 A2 11 | id_already_failed\n"
    "transfer T4 A2 A1 27 | id_already_failed\n"
    "\n"
    "limits A1 | set\n"
    "\n"
    "transfer T7 A2 A1 100 | created\n"
    "transfer T6 A2 A1 1 | id_already_failed\n"
    "transfer T1 A1 A2 11 | id_already_failed\n"
    "\n"
    "balance A1 0 21 0 126\n"
    "missing T1 T4 T6\n"
    "no_payment T1 T2 T3 T4 T5 T6 T7\n";

/* ---- Blocks ------------------------------------------------------------------------------ */

static const char blocks[] = "account A1 | created\n"
                             "account A2 | created\n"
                             "account A3 | created\n"
                             "account A4 | created\n"
                             "account A5 closed | created\n"
                             "\n"
                             "transfer T1 A4 A1 100 | created\n"
                             "transfer T2 A2 A4 100 | created\n"
                             "\n"
                             "limits A1 block_debits | set\n"
                             "limits A2 block_credits | set\n"
                             "limits A3 frozen | set\n"
                             "limits A5 frozen | set\n"
                             "\n"
                             "save\n"
                             "transfer T11 A1 A4 1 | account_blocked\n"
                             "transfer T12 A1 A4 0 | account_blocked\n"
                             "pending  T13 A1 A4 1 | account_blocked\n"
                             "pending  T14 A1 A4 0 closing_debit | account_blocked\n"
                             "transfer T15 A1 A4 1 balancing_debit | account_blocked\n"
                             "transfer T16 A4 A2 1 | account_blocked\n"
                             "pending  T17 A4 A2 1 no_limit | account_blocked\n"
                             "transfer T18 A3 A4 1 | account_blocked\n"
                             "transfer T19 A4 A3 1 | account_blocked\n"
                             "pending  T20 A3 A4 1 | account_blocked\n"
                             "pending  T21 A4 A3 1 | account_blocked\n"
                             "transfer T22 A1 A2 1 | account_blocked\n"
                             "transfer T23 A3 A5 1 | credit_account_already_closed\n"
                             "transfer T24 A5 A3 1 fact | debit_account_already_closed\n"
                             /* A return is a transfer of its own, whatever it returns. */
                             "return T25 T1 A1 A4 1 | account_blocked\n"
                             "return T26 T2 A4 A2 1 pending | account_blocked\n"
                             "return T27 T99 A1 A4 1 | account_blocked\n"
                             "return T28 T99 A4 A1 1 | origin_not_found\n"
                             "\n"
                             "unchanged burnt\n"
                             "missing T11 T22 T28\n"
                             "transfer T11 A4 A1 1 | id_already_failed\n"
                             /* The other way is open. */
                             "transfer T31 A4 A1 5 | created\n"
                             "transfer T32 A2 A4 5 | created\n"
                             "transfer T33 A2 A1 5 | created\n"
                             "return   T34 T31 A1 A4 5 | account_blocked\n"
                             "return   T35 T33 A1 A2 5 fact | created\n"
                             "\n"
                             "payment T35 5 0 0 depth=1 blocked\n"
                             "balance A1 0 5 0 110\n"
                             "balance A2 0 110 0 5\n"
                             "limits A1 block_credits | set\n"
                             "limits A2 block_debits block_credits | set\n"
                             "limits A3 | set\n"
                             "\n"
                             "transfer T41 A1 A4 1 | created\n"
                             "transfer T42 A4 A1 1 | account_blocked\n"
                             "transfer T43 A2 A4 1 | account_blocked\n"
                             "transfer T44 A4 A2 1 | account_blocked\n"
                             "transfer T45 A3 A4 1 | created\n"
                             "return   T46 T1 A1 A4 1 | created\n"
                             "\n"
                             "no_payment T41 T45\n";

/* Holds from before: only what is frozen is not posted, and nothing is kept from its release. */
static const char blocks_holds[] = "account A1 | created\n"
                                   "account A2 | created\n"
                                   "account A3 | created\n"
                                   "account A4 | created\n"
                                   "account A5 | created\n"
                                   "\n"
                                   "pending T1 A1 A4 100 | created\n"
                                   "pending T2 A4 A2 100 | created\n"
                                   "pending T3 A3 A4 100 | created\n"
                                   "pending T4 A4 A3 100 | created\n"
                                   "pending T5 A3 A4 100 timeout=1 | created\n"
                                   "pending T6 A3 A4 100 | created\n"
                                   "pending T7 A1 A4 100 | created\n"
                                   "transfer T8 A5 A4 10 | created\n"
                                   "return T9 T8 A4 A5 5 pending | created\n"
                                   "\n"
                                   "limits A1 block_debits block_credits | set\n"
                                   "limits A2 block_debits block_credits | set\n"
                                   "limits A3 frozen | set\n"
                                   "limits A5 block_credits | set\n"
                                   "\n"
                                   "post   T11 T1 10 keep_open | created\n"
                                   "adjust T12 T1 1 | account_blocked\n"
                                   "adjust T13 T1 0 timeout=9 | account_blocked\n"
                                   "void   T14 T1 10 keep_open | created\n"
                                   "post   T15 T1 120 fact | created\n"
                                   "post   T16 T2 max | created\n"
                                   "adjust T17 T2 1 | adjust_target_not_open\n"
                                   "adjust T18 T7 1 | account_blocked\n"
                                   "adjust T19 T3 1 | account_blocked\n"
                                   "adjust T20 T4 0 | account_blocked\n"
                                   "post   T21 T3 1 | account_blocked\n"
                                   "post   T22 T3 0 keep_open | account_blocked\n"
                                   "post   T23 T4 max | account_blocked\n"
                                   "post   T24 T4 101 | exceeds_pending_transfer_amount\n"
                                   "post   T21 T3 1 | id_already_failed\n"
                                   "post   T25 T3 30 keep_open fact | created\n"
                                   "post   T26 T4 120 fact | created\n"
                                   "void   T27 T3 10 keep_open | created\n"
                                   "void   T28 T3 0 | created\n"
                                   "adjust T30 T9 100 | account_blocked\n"
                                   "post   T29 T3 0 | pending_transfer_already_voided\n"
                                   "\n"
                                   "payment T15 120 0 0 over_cap\n"
                                   "payment T25 30 0 0 blocked\n"
                                   "payment T26 120 0 0 over_cap blocked\n"
                                   "payment T3 100 30 60\n"
                                   "no_payment T11 T14 T16 T27 T28\n"
                                   "balance A1 100 130 0 0\n"
                                   "balance A2 0 0 0 100\n"
                                   "balance A3 200 30 0 120\n"
                                   "at @T5+1s\n"
                                   "expire | 1\n"
                                   "balance A3 100 30 0 120\n"
                                   "limits A3 block_debits | set\n"
                                   "limits A4 frozen | set\n"
                                   "\n"
                                   "post T31 T6 1 keep_open | account_blocked\n"
                                   "\n"
                                   "limits A4 | set\n"
                                   "limits A5 block_debits | set\n"
                                   "\n"
                                   "post T32 T6 1 keep_open | created\n"
                                   "post T33 T6 1 keep_open fact | created\n"
                                   "adjust T34 T6 1 | account_blocked\n"
                                   "adjust T37 T9 100 | exceeds_origin_amount\n"
                                   "\n"
                                   "limits A3 block_credits | set\n"
                                   "limits A4 block_debits | set\n"
                                   "\n"
                                   "adjust T35 T6 1 | created\n"
                                   "adjust T36 T9 100 | account_blocked\n"
                                   "\n"
                                   "no_payment T32 T33\n"
                                   "balance A3 99 32 0 120\n"
                                   "payment T6 101 2 99\n";

/* ---- Floors ------------------------------------------------------------------------------ */

static const char floors[] =
    "account A1 debits_must_not_exceed_credits | created\n"
    "account A2 | created\n"
    "account A3 credits_must_not_exceed_debits | created\n"
    "\n"
    "limits A1 floor=100 | set\n"
    "limits A3 floor=50 | set\n"
    "\n"
    "transfer T1 A1 A2 101 | exceeds_credits\n"
    "pending  T2 A1 A2 101 | exceeds_credits\n"
    "pending  T3 A1 A2 60 | created\n"
    "transfer T4 A1 A2 41 | exceeds_credits\n"
    "adjust   T5 T3 41 | exceeds_credits\n"
    "adjust   T6 T3 10 | created\n"
    "transfer T7 A1 A2 30 | created\n"
    "transfer T8 A1 A2 1 | exceeds_credits\n"
    "transfer T9 A1 A2 0 | created\n"
    "post     T10 T3 50 | created\n"
    "transfer T11 A1 A2 21 | exceeds_credits\n"
    "transfer T12 A1 A2 20 fact | created\n"
    "transfer T13 A1 A2 1 fact | created\n"
    "\n"
    "no_payment T12\n"
    "payment T13 1 0 0 negative\n"
    "balance A1 0 101 0 0\n"
    "transfer T21 A2 A3 51 | exceeds_debits\n"
    "pending  T22 A2 A3 50 | created\n"
    "transfer T23 A2 A3 1 | exceeds_debits\n"
    "adjust   T24 T22 1 | exceeds_debits\n"
    "void     T25 T22 20 keep_open | created\n"
    "transfer T26 A2 A3 21 | exceeds_debits\n"
    "transfer T27 A2 A3 20 | created\n"
    "transfer T28 A3 A2 10 | created\n"
    "transfer T29 A2 A3 11 | exceeds_debits\n"
    "transfer T30 A2 A3 10 fact | created\n"
    "transfer T31 A2 A3 1 fact | created\n"
    "\n"
    "no_payment T30\n"
    "payment T31 1 0 0 negative\n"
    "balance A3 0 10 30 31\n"
    /* Each account has its own: that of the other side is of no use. */
    "transfer T41 A1 A3 1 | exceeds_credits\n"
    "\n"
    "limits A1 floor=1000 | set\n"
    "\n"
    "transfer T42 A1 A3 1 | exceeds_debits\n"
    "transfer T43 A1 A2 899 | created\n"
    "transfer T44 A1 A2 1 | exceeds_credits\n"
    "\n"
    /* Lowered below what is used: nothing goes out, not even nothing, until enough has come in. */
    "limits A1 floor=10 | set\n"
    "\n"
    "transfer T51 A1 A2 0 | exceeds_credits\n"
    "transfer T52 A2 A1 989 | created\n"
    "transfer T53 A1 A2 0 | exceeds_credits\n"
    "transfer T54 A2 A1 1 | created\n"
    "transfer T55 A1 A2 0 | created\n"
    "transfer T56 A1 A2 1 | exceeds_credits\n"
    "\n"
    "limits A1 | set\n"
    "\n"
    "transfer T57 A2 A1 9 | created\n"
    "transfer T58 A1 A2 0 | exceeds_credits\n"
    "transfer T59 A2 A1 1 | created\n"
    "transfer T60 A1 A2 0 | created\n";

/* With its floor a limit may be beyond the end of the numbers: then there is none. */
static const char floors_saturate[] = "account A1 debits_must_not_exceed_credits | created\n"
                                      "account A2 | created\n"
                                      "account A3 credits_must_not_exceed_debits | created\n"
                                      "\n"
                                      "transfer T1 A2 A1 140 | created\n"
                                      "transfer T2 A3 A2 140 | created\n"
                                      "\n"
                                      "limits A1 floor=max-200 | set\n"
                                      "limits A3 floor=max-200 | set\n"
                                      "\n"
                                      "pending T12 A1 A2 max-60 | overflows_credits_posted\n"
                                      "pending T13 A2 A3 max-59 | overflows_debits_posted\n"
                                      "\n"
                                      "account A4 | created\n"
                                      "\n"
                                      "pending T14 A1 A4 max-59 | exceeds_credits\n"
                                      "pending T15 A1 A4 max-60 | created\n"
                                      "void    T16 T15 0 | created\n"
                                      "pending T17 A4 A3 max-59 | exceeds_debits\n"
                                      "pending T18 A4 A3 max-60 | created\n"
                                      "void    T19 T18 0 | created\n"
                                      "\n"
                                      "limits A1 floor=max-140 | set\n"
                                      "limits A3 floor=max-140 | set\n"
                                      "\n"
                                      "pending T21 A1 A4 max | created\n"
                                      "void    T22 T21 0 | created\n"
                                      "pending T23 A4 A3 max | created\n"
                                      "void    T24 T23 0 | created\n"
                                      "\n"
                                      "limits A1 floor=max-139 | set\n"
                                      "limits A3 floor=max-139 | set\n"
                                      "\n"
                                      "pending T31 A1 A4 max | created\n"
                                      "void    T32 T31 0 | created\n"
                                      "pending T33 A4 A3 max | created\n"
                                      "void    T34 T33 0 | created\n"
                                      "\n"
                                      "limits A1 floor=max | set\n"
                                      "limits A3 floor=max | set\n"
                                      "\n"
                                      "transfer T41 A1 A4 1 | created\n"
                                      "pending  T42 A1 A4 max | overflows_debits_posted\n"
                                      "pending  T43 A1 A4 max-1 | created\n"
                                      "void     T44 T43 0 | created\n"
                                      "pending  T45 A4 A3 max fact | created\n"
                                      "\n"
                                      "no_payment T45\n";

/* A balancing transfer goes as far as the balance does, not as far as the credit line. */
static const char floors_balancing[] = "account A1 debits_must_not_exceed_credits | created\n"
                                       "account A2 | created\n"
                                       "account A3 credits_must_not_exceed_debits | created\n"
                                       "\n"
                                       "transfer T1 A2 A1 30 | created\n"
                                       "transfer T2 A3 A2 30 | created\n"
                                       "\n"
                                       "limits A1 floor=100 | set\n"
                                       "limits A3 floor=100 | set\n"
                                       "\n"
                                       "transfer T11 A1 A2 1000 balancing_debit | created\n"
                                       "transfer T12 A2 A3 1000 balancing_credit | created\n"
                                       "\n"
                                       "stored transfer T11 A1 A2 30 balancing_debit\n"
                                       "stored transfer T12 A2 A3 30 balancing_credit\n"
                                       "transfer T13 A1 A2 5 balancing_debit | created\n"
                                       "transfer T14 A1 A2 5 | created\n"
                                       "transfer T15 A2 A3 5 balancing_credit | created\n"
                                       "transfer T16 A1 A2 1 balancing_debit | created\n"
                                       "\n"
                                       "stored transfer T13 A1 A2 0 balancing_debit\n"
                                       "stored transfer T15 A2 A3 0 balancing_credit\n"
                                       "stored transfer T16 A1 A2 0 balancing_debit\n"
                                       "balance A1 0 35 0 30\n";

/* ---- The most that an account has -------------------------------------------------------- */

static const char balances[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 debits_must_not_exceed_credits | created\n"
    "account A4 | created\n"
    "account A5 | created\n"
    "\n"
    "transfer T1 A4 A2 1000 | created\n"
    "\n"
    "limits A1 balance_max=100 | set\n"
    "limits A3 balance_max=1 | set\n"
    "limits A4 balance_max=10 | set\n"
    "limits A5 balance_max=max | set\n"
    "\n"
    "transfer T11 A2 A1 101 | exceeds_max_balance\n"
    "pending  T12 A2 A1 101 | exceeds_max_balance\n"
    "transfer T13 A2 A1 60 | created\n"
    "pending  T14 A2 A1 30 | created\n"
    "adjust   T15 T14 11 | exceeds_max_balance\n"
    "adjust   T16 T14 10 | created\n"
    "transfer T17 A2 A1 1 | exceeds_max_balance\n"
    "transfer T18 A2 A1 0 | created\n"
    "adjust   T19 T14 0 | created\n"
    /* What goes out makes room once it is posted. */
    "pending  T20 A1 A2 20 | created\n"
    "transfer T21 A2 A1 1 | exceeds_max_balance\n"
    "post     T22 T20 max | created\n"
    "transfer T23 A2 A1 21 | exceeds_max_balance\n"
    "return   T24 T20 A2 A1 20 | origin_not_returnable\n"
    "return   T25 T22 A2 A1 20 | created\n"
    "void     T26 T14 0 | created\n"
    "transfer T27 A2 A1 41 | exceeds_max_balance\n"
    "transfer T28 A2 A1 40 balancing_debit | created\n"
    "\n"
    "balance A1 0 20 0 120\n"
    /* What is posted was counted when it was held. */
    "transfer T31 A1 A2 1 | created\n"
    "pending  T32 A2 A1 1 | created\n"
    "post     T33 T32 max | created\n"
    /* Below zero it is as at zero. */
    "transfer T34 A2 A4 1011 | exceeds_max_balance\n"
    "transfer T35 A2 A4 900 | created\n"
    "transfer T36 A2 A4 111 | exceeds_max_balance\n"
    "transfer T37 A2 A4 110 | created\n"
    "transfer T38 A2 A4 1 | exceeds_max_balance\n"
    /* A limit flag on debits changes nothing about the side. */
    "transfer T39 A2 A3 2 | exceeds_max_balance\n"
    "transfer T40 A2 A3 1 | created\n"
    "transfer T41 A3 A1 1 | exceeds_max_balance\n"
    "transfer T42 A2 A5 9 | created\n"
    "\n"
    "no_payment T13 T28 T31 T33 T37 T40\n"
    /* Lowered below what there is: not even nothing comes in, but out it goes. */
    "limits A1 balance_max=50 | set\n"
    "\n"
    "transfer T51 A2 A1 0 | exceeds_max_balance\n"
    "transfer T52 A1 A2 49 | created\n"
    "transfer T53 A2 A1 0 | exceeds_max_balance\n"
    "transfer T54 A1 A2 1 | created\n"
    "transfer T55 A2 A1 0 | created\n"
    "transfer T56 A2 A1 1 | exceeds_max_balance\n";

static const char balances_debit[] =
    "account A1 credits_must_not_exceed_debits | created\n"
    "account A2 | created\n"
    "account A3 credits_must_not_exceed_debits | created\n"
    "account A4 | created\n"
    "\n"
    "limits A1 balance_max=100 | set\n"
    "limits A3 balance_max=5 floor=1000 | set\n"
    "\n"
    "transfer T11 A1 A2 101 | exceeds_max_balance\n"
    "transfer T12 A1 A2 60 | created\n"
    "pending  T13 A1 A2 30 | created\n"
    "adjust   T14 T13 11 | exceeds_max_balance\n"
    "adjust   T15 T13 10 | created\n"
    "transfer T16 A1 A2 1 | exceeds_max_balance\n"
    "transfer T17 A1 A2 0 | created\n"
    "pending  T18 A2 A1 20 | created\n"
    "transfer T19 A1 A2 1 | exceeds_max_balance\n"
    "post     T20 T18 max | created\n"
    "transfer T21 A1 A2 21 | exceeds_max_balance\n"
    "transfer T22 A1 A2 20 | created\n"
    "void     T23 T13 0 | created\n"
    "transfer T24 A1 A2 41 | exceeds_max_balance\n"
    "transfer T25 A1 A2 40 | created\n"
    /* As the credit account it is not looked at; nor is any other account as the debit account. */
    "transfer T31 A2 A3 1000 | created\n"
    "transfer T32 A3 A2 1006 | exceeds_max_balance\n"
    "transfer T33 A3 A2 1005 | created\n"
    "transfer T34 A3 A2 1 | exceeds_max_balance\n"
    "\n"
    "limits A4 balance_max=1 | set\n"
    "limits A3 | set\n"
    "\n"
    "transfer T41 A4 A2 500 | created\n"
    "transfer T42 A2 A4 502 | exceeds_max_balance\n"
    /* Both may be too full: the answer is the same. */
    "transfer T43 A1 A4 502 | exceeds_max_balance\n"
    "transfer T44 A3 A4 501 | created\n"
    "\n"
    "balance A1 0 120 0 20\n"
    "balance A4 0 500 0 501\n";

/* ---- The most that one transfer moves ---------------------------------------------------- */

static const char transfers[] = "account A1 | created\n"
                                "account A2 | created\n"
                                "account A3 | created\n"
                                "account A4 debits_must_not_exceed_credits | created\n"
                                "\n"
                                "transfer T1 A2 A1 500 | created\n"
                                "transfer T2 A2 A4 90 | created\n"
                                "pending  T3 A1 A2 300 | created\n"
                                "pending  T4 A1 A2 300 | created\n"
                                "\n"
                                "limits A1 transfer_max=100 | set\n"
                                "limits A3 transfer_max=max | set\n"
                                "\n"
                                "transfer T11 A1 A2 101 | exceeds_max_transfer\n"
                                "transfer T12 A2 A1 101 | exceeds_max_transfer\n"
                                "pending  T13 A1 A2 101 | exceeds_max_transfer\n"
                                "transfer T14 A1 A2 100 | created\n"
                                "transfer T15 A2 A1 100 | created\n"
                                "pending  T16 A1 A2 100 | created\n"
                                "adjust   T17 T16 101 | exceeds_max_transfer\n"
                                "adjust   T18 T16 100 | created\n"
                                "transfer T19 A2 A3 1000 | created\n"
                                "transfer T20 A3 A1 101 | exceeds_max_transfer\n"
                                /* It is about what is moved in the end. */
                                "transfer T21 A4 A1 max balancing_debit | created\n"
                                "return   T22 T1 A1 A2 max | exceeds_max_transfer\n"
                                "return   T23 T1 A1 A2 101 | exceeds_max_transfer\n"
                                "return   T24 T21 A1 A4 max | created\n"
                                "return   T25 T1 A1 A2 50 pending | created\n"
                                /* A post has been that large before. */
                                "post     T26 T3 max | created\n"
                                "post     T27 T4 250 keep_open | created\n"
                                "post     T28 T16 300 fact | created\n"
                                "\n"
                                "stored transfer T21 A4 A1 90 balancing_debit\n"
                                "payment T28 300 0 0 over_cap\n"
                                "no_payment T26 T27\n"
                                "limits A1 | set\n"
                                "limits A2 transfer_max=1 | set\n"
                                "\n"
                                "transfer T31 A1 A2 2 | exceeds_max_transfer\n"
                                "transfer T32 A1 A2 1 | created\n"
                                "transfer T33 A1 A3 1000 | created\n";

/* ---- Facts ------------------------------------------------------------------------------- */

static const char facts[] =
    "account A1 debits_must_not_exceed_credits | created\n"
    "account A2 | created\n"
    "account A3 credits_must_not_exceed_debits | created\n"
    "account A4 credits_must_not_exceed_debits | created\n"
    "account A5 | created\n"
    "account A6 | created\n"
    "account A7 closed | created\n"
    "\n"
    "transfer T1 A2 A5 10 | created\n"
    "pending  T2 A5 A6 100 | created\n"
    "pending  T3 A5 A6 100 | created\n"
    "pending  T4 A5 A6 100 | created\n"
    "pending  T5 A1 A6 0 | created\n"
    "pending  T6 A5 A4 0 | created\n"
    "pending  T7 A3 A5 0 | created\n"
    "transfer T8 A5 A6 1 | created\n"
    "\n"
    "limits A1 floor=10 transfer_max=20 block_debits | set\n"
    "limits A2 balance_max=30 | set\n"
    "limits A3 balance_max=30 block_credits | set\n"
    "limits A4 floor=5 transfer_max=40 | set\n"
    "limits A6 balance_max=350 transfer_max=5 | set\n"
    "limits A7 frozen transfer_max=1 | set\n"
    "\n"
    "transfer T11 A1 A2 10 fact | created\n"
    "transfer T12 A1 A2 11 fact | created\n"
    "transfer T13 A1 A2 21 fact | created\n"
    "pending  T14 A1 A2 1 fact | created\n"
    "transfer T15 A5 A4 5 fact | created\n"
    "transfer T16 A5 A4 41 fact | created\n"
    "transfer T17 A3 A5 30 fact | created\n"
    "pending  T18 A3 A5 1 fact | created\n"
    "transfer T19 A5 A3 30 fact | created\n"
    "transfer T20 A3 A2 0 fact | created\n"
    "return   T21 T1 A5 A2 10 fact | created\n"
    "return   T22 T11 A2 A1 21 fact | created\n"
    "transfer T23 A1 A7 1 fact | credit_account_already_closed\n"
    "transfer T24 A1 A2 max fact | overflows_debits_posted\n"
    "transfer T25 A1 A2 1 | account_blocked\n"
    "adjust   T26 T14 0 | account_blocked\n"
    "\n"
    "payment T11 10 21 0 blocked\n"
    "payment T12 11 0 0 blocked negative\n"
    "payment T13 21 0 0 blocked negative over_transfer over_balance\n"
    "payment T14 1 0 1 blocked negative over_balance\n"
    "no_payment T15 T17\n"
    "payment T16 41 0 0 negative over_transfer\n"
    "payment T18 1 0 1 over_balance\n"
    "payment T19 30 0 0 blocked\n"
    "payment T20 0 0 0 over_balance\n"
    "payment T21 10 0 0 depth=1 over_balance\n"
    "payment T22 21 0 0 depth=1 over_cap over_transfer\n"
    "missing T23 T24 T25 T26\n"
    /* A post over its hold is measured on what it leaves behind, and has no transfer_max. */
    "post T31 T2 150 fact | created\n"
    "post T32 T3 151 keep_open fact | created\n"
    "post T33 T3 1 keep_open fact | created\n"
    "post T34 T4 100 fact | created\n"
    "post T35 T5 1 fact | created\n"
    "post T36 T6 1 keep_open fact | created\n"
    "post T37 T7 40 fact | created\n"
    "\n"
    "payment T31 150 0 0 over_cap over_balance\n"
    "payment T32 151 0 0 over_cap over_balance\n"
    "payment T33 1 0 0 over_cap over_balance\n"
    "no_payment T34\n"
    "payment T35 1 0 0 over_cap negative over_balance\n"
    "payment T36 1 0 0 over_cap negative\n"
    "payment T37 40 0 0 over_cap over_balance\n";

/* All that a fact can go over at once. */
static const char facts_all[] =
    "account A1 debits_must_not_exceed_credits | created\n"
    "account A2 | created\n"
    "\n"
    "transfer T1 A2 A1 10 | created\n"
    "transfer T2 A1 A2 10 | created\n"
    "pending  T3 A1 A2 0 | created\n"
    "\n"
    "limits A1 floor=1 transfer_max=1 | set\n"
    "limits A2 balance_max=1 frozen | set\n"
    "\n"
    "return T11 T1 A1 A2 11 fact | created\n"
    "return T12 T1 A1 A2 3 pending fact | created\n"
    "post   T13 T3 5 fact | created\n"
    "\n"
    "payment T11 11 0 0 depth=1 over_cap negative blocked over_transfer over_balance\n"
    "payment T12 3 0 3 depth=1 over_cap negative blocked over_transfer over_balance\n"
    "payment T13 5 0 0 over_cap negative blocked over_balance\n"
    "payment T1 10 14 0\n"
    "balance A1 3 26 0 10\n"
    "balance A2 0 10 3 26\n";

/* ---- Over-capture ------------------------------------------------------------------------ */

static const char captures[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "pending T1 A1 A2 100 | created\n"
    "pending T2 A1 A2 100 | created\n"
    "pending T3 A2 A1 100 | created\n"
    "pending T4 A1 A3 100 | created\n"
    "pending T5 A1 A2 100 | created\n"
    "pending T6 A1 A2 100 timeout=1 | created\n"
    "pending T7 A1 A2 100 | created\n"
    "pending T8 A1 A2 100 | created\n"
    "transfer T9 A2 A1 100 | created\n"
    "return  T10 T9 A1 A2 50 pending | created\n"
    "\n"
    "limits A2 over_capture=500 | set\n"
    "limits A3 balance_max=1000 | set\n"
    "\n"
    "post T11 T1 106 | over_capture_not_allowed\n"
    "post T12 T1 105 | created\n"
    "post T11 T1 100 | id_already_failed\n"
    "\n"
    "balance A1 650 105 100 100\n"
    "balance A2 100 100 550 105\n"
    "no_payment T12\n"
    "no_payment T1\n"
    "stored post T12 T1 105 debit=A1 credit=A2 ledger=1 code=1\n"
    "post T12 T1 105 | exists\n"
    "post T12 T1 100 | exists_with_different_amount\n"
    "post T12 T1 max | exists_with_different_amount\n"
    /* The largest amount is still all that is left; with keep_open it is a number. */
    "post T13 T2 max keep_open | exceeds_pending_transfer_amount\n"
    "post T14 T2 max | created\n"
    "post T15 T7 104 no_limit | created\n"
    /* It is the credit account's row that counts. */
    "post T16 T3 101 | exceeds_pending_transfer_amount\n"
    "post T16 T4 101 | exceeds_pending_transfer_amount\n"
    /* A void is not a capture, and a return has its cap. */
    "void T16 T5 101 | exceeds_pending_transfer_amount\n"
    "void T16 T5 101 keep_open | exceeds_pending_transfer_amount\n"
    "void T16 T5 99 | pending_transfer_has_different_amount\n"
    "post T16 T10 51 | exceeds_pending_transfer_amount\n"
    "post T16 T10 51 keep_open | exceeds_pending_transfer_amount\n"
    "post T16 T10 50 | created\n"
    /* Of a hold that has ended it is the end that is told, when more could have been taken. */
    "post T17 T1 101 | pending_transfer_already_posted\n"
    "post T17 T10 51 | exceeds_pending_transfer_amount\n"
    "void T18 T5 0 | created\n"
    "post T19 T5 500 | pending_transfer_already_voided\n"
    "void T19 T5 101 | exceeds_pending_transfer_amount\n"
    "\n"
    "at @T6+1s\n"
    "post T19 T6 101 keep_open | pending_transfer_expired\n"
    "\n"
    "expire | 1\n"
    "post T19 T6 101 keep_open | pending_transfer_expired\n"
    "\n"
    "limits A2 | set\n"
    "\n"
    "post T19 T1 101 | exceeds_pending_transfer_amount\n"
    "post T19 T5 101 | exceeds_pending_transfer_amount\n"
    "post T19 T8 101 | exceeds_pending_transfer_amount\n"
    "post T12 T1 105 | exists\n"
    "post T20 T8 101 fact | created\n"
    "\n"
    "limits A3 over_capture=100 | set\n"
    "\n"
    "post T21 T4 102 | over_capture_not_allowed\n"
    "post T22 T4 101 | created\n"
    "\n"
    "no_payment T15\n"
    "payment T20 101 0 0 over_cap\n"
    "no_payment T22\n"
    "no_payment T14\n"
    "balance A1 0 561 100 100\n";

/* What is allowed on top is rounded down. */
static const char capture_rounding[] = "account A1 | created\n"
                                       "account A2 | created\n"
                                       "\n"
                                       "pending T1 A1 A2 99 | created\n"
                                       "pending T2 A1 A2 19 | created\n"
                                       "pending T3 A1 A2 20 | created\n"
                                       "pending T4 A1 A2 9999 | created\n"
                                       "pending T5 A1 A2 10000 | created\n"
                                       "pending T6 A1 A2 19999 | created\n"
                                       "pending T7 A1 A2 10 | created\n"
                                       "pending T8 A1 A2 0 | created\n"
                                       "\n"
                                       "limits A2 over_capture=500 | set\n"
                                       "\n"
                                       "post T11 T1 104 | over_capture_not_allowed\n"
                                       "post T12 T1 103 | created\n"
                                       "post T21 T2 20 | over_capture_not_allowed\n"
                                       "post T22 T2 19 | created\n"
                                       "post T31 T3 22 | over_capture_not_allowed\n"
                                       "post T32 T3 21 | created\n"
                                       "\n"
                                       "limits A2 over_capture=1 | set\n"
                                       "\n"
                                       "post T41 T4 10000 | over_capture_not_allowed\n"
                                       "post T42 T4 9999 | created\n"
                                       "post T51 T5 10002 | over_capture_not_allowed\n"
                                       "post T52 T5 10001 | created\n"
                                       "post T61 T6 20001 | over_capture_not_allowed\n"
                                       "post T62 T6 20000 | created\n"
                                       "\n"
                                       "limits A2 over_capture=100000 | set\n"
                                       "\n"
                                       "post T71 T7 111 | over_capture_not_allowed\n"
                                       "post T72 T7 110 | created\n"
                                       "post T81 T8 1 | over_capture_not_allowed\n"
                                       "post T82 T8 0 | created\n"
                                       "\n"
                                       "no_payment T22 T42 T82\n"
                                       "no_payment T12\n"
                                       "no_payment T32\n"
                                       "no_payment T52\n"
                                       "no_payment T62\n"
                                       "no_payment T72\n"
                                       "balance A1 0 40253 0 0\n"
                                       "balance A2 0 0 0 40253\n";

/* It is measured by all captures of the hold, and by all that was authorised. */
static const char capture_parts[] = "account A1 | created\n"
                                    "account A2 | created\n"
                                    "\n"
                                    "pending T1 A1 A2 100 | created\n"
                                    "pending T2 A1 A2 100 | created\n"
                                    "pending T3 A1 A2 100 | created\n"
                                    "pending T4 A1 A2 100 | created\n"
                                    "pending T5 A1 A2 100 | created\n"
                                    "\n"
                                    "limits A2 over_capture=500 | set\n"
                                    "\n"
                                    "post T11 T1 60 keep_open | created\n"
                                    "post T12 T1 46 keep_open | over_capture_not_allowed\n"
                                    "post T13 T1 46 | over_capture_not_allowed\n"
                                    "post T14 T1 42 keep_open | created\n"
                                    "\n"
                                    "payment T1 100 102 0\n"
                                    "no_payment T14\n"
                                    "no_payment T11\n"
                                    "balance A1 400 102 0 0\n"
                                    "post T15 T1 4 keep_open | over_capture_not_allowed\n"
                                    "post T16 T1 2 keep_open | created\n"
                                    "post T17 T1 2 | over_capture_not_allowed\n"
                                    "post T18 T1 0 keep_open | created\n"
                                    "post T19 T1 1 | created\n"
                                    "\n"
                                    "payment T1 100 105 0\n"
                                    "no_payment T16\n"
                                    "no_payment T19\n"
                                    "no_payment T18\n"
                                    "balance A1 400 105 0 0\n"
                                    /* Raised, it allows more. */
                                    "adjust T21 T2 100 | created\n"
                                    "post   T22 T2 211 | over_capture_not_allowed\n"
                                    "post   T23 T2 205 keep_open | created\n"
                                    "adjust T24 T2 40 | created\n"
                                    "post   T25 T2 48 | over_capture_not_allowed\n"
                                    "post   T26 T2 47 | created\n"
                                    "\n"
                                    "payment T2 240 252 40\n"
                                    "no_payment T23\n"
                                    "no_payment T26\n"
                                    "balance A1 300 357 0 0\n"
                                    /* Released in part, it does not allow less. */
                                    "void T31 T3 50 keep_open | created\n"
                                    "post T32 T3 106 | over_capture_not_allowed\n"
                                    "post T33 T3 51 keep_open | created\n"
                                    "post T34 T3 55 keep_open | over_capture_not_allowed\n"
                                    "post T35 T3 54 | created\n"
                                    "\n"
                                    "payment T3 100 105 0\n"
                                    "no_payment T33\n"
                                    "balance A1 200 462 0 0\n"
                                    /* A fact is not bound by it, but is a capture. */
                                    "post T41 T4 104 keep_open fact | created\n"
                                    "post T42 T4 2 keep_open | over_capture_not_allowed\n"
                                    "post T43 T4 2 keep_open fact | created\n"
                                    "post T44 T4 1 | over_capture_not_allowed\n"
                                    "post T45 T4 max | created\n"
                                    "\n"
                                    "payment T4 100 106 0\n"
                                    "stored post T45 T4 0 debit=A1 credit=A2 ledger=1 code=1\n"
                                    /* A row that is lowered meanwhile counts as it is. */
                                    "post T51 T5 90 keep_open | created\n"
                                    "\n"
                                    "limits A2 over_capture=200 | set\n"
                                    "\n"
                                    "post T52 T5 13 | over_capture_not_allowed\n"
                                    "post T53 T5 12 | created\n"
                                    "\n"
                                    "payment T5 100 102 10\n"
                                    "balance A1 0 670 0 0\n"
                                    "balance A2 0 0 0 670\n";

/* Near the end of the numbers what is allowed stays at the largest of them. */
static const char capture_saturates[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A4 | created\n"
    "account A5 | created\n"
    "account A6 | created\n"
    "\n"
    "limits A2 over_capture=100000 | set\n"
    "limits A4 over_capture=1 | set\n"
    "limits A6 over_capture=500 | set\n"
    "\n"
    "pending T1 A1 A2 max-10 | created\n"
    "pending T2 A3 A4 max-10 | created\n"
    "pending T3 A5 A6 max-10 | created\n"
    "\n"
    "post T11 T1 max-1 keep_open | created\n"
    "\n"
    "payment T1 max-10 max-1 0\n"
    "balance A1 0 max-1 0 0\n"
    /* In all more than there are numbers for: that is always too much. */
    "post T12 T1 2 keep_open | over_capture_not_allowed\n"
    "post T13 T1 max keep_open | exceeds_pending_transfer_amount\n"
    "post T14 T1 1 keep_open | created\n"
    "post T15 T1 1 keep_open | over_capture_not_allowed\n"
    "\n"
    "payment T1 max-10 max 0\n"
    "post T21 T2 max-1 keep_open | created\n"
    "post T31 T3 5 keep_open | created\n"
    "post T32 T3 max-4 keep_open | over_capture_not_allowed\n"
    "post T33 T3 max-5 | created\n"
    "\n"
    "balance A3 0 max-1 0 0\n"
    "balance A4 0 0 0 max-1\n"
    "balance A5 0 max 0 0\n"
    "no_payment T21\n"
    "no_payment T33\n";

/* What comes after the over-capture itself, each time with the next rule broken, too. */
static const char capture_order[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A4 debits_must_not_exceed_credits | created\n"
    "account A5 credits_must_not_exceed_debits | created\n"
    "account A6 | created\n"
    "account A7 | created\n"
    "account A8 | created\n"
    "account A9 | created\n"
    "account A10 credits_must_not_exceed_debits | created\n"
    "account A11 | created\n"
    "\n"
    "limits A4 floor=20 | set\n"
    "limits A5 floor=15 over_capture=100000 transfer_max=10 | set\n"
    "limits A7 over_capture=100000 | set\n"
    "limits A9 over_capture=100000 | set\n"
    "limits A10 balance_max=20 | set\n"
    "limits A11 over_capture=100000 balance_max=15 transfer_max=10 | set\n"
    "\n"
    "transfer T1 A1 A9 max-100 | created\n"
    "pending  T2 A1 A9 10 | created\n"
    "pending  T3 A2 A8 max-105 | created\n"
    "pending  T4 A2 A9 10 | created\n"
    "pending  T5 A6 A7 max-105 | created\n"
    "pending  T6 A2 A7 10 | created\n"
    "pending  T7 A4 A7 10 | created\n"
    "pending  T8 A4 A5 10 | created\n"
    "pending  T9 A3 A11 10 | created\n"
    "\n"
    "post T21 T2 111 | over_capture_not_allowed\n"
    "post T22 T2 110 | overflows_debits_posted\n"
    "post T23 T4 110 | overflows_credits_posted\n"
    "post T24 T6 110 | overflows_debits\n"
    "post T25 T7 110 | overflows_credits\n"
    "post T26 T7 111 | over_capture_not_allowed\n"
    "post T27 T8 16 | exceeds_credits\n"
    "post T28 T8 111 | over_capture_not_allowed\n"
    "post T29 T9 111 | over_capture_not_allowed\n"
    "post T30 T9 16 | exceeds_max_balance\n"
    "post T31 T9 15 | created\n"
    "\n"
    "no_payment T31\n"
    "limits A4 floor=25 | set\n"
    "\n"
    "post T41 T8 16 | exceeds_credits\n"
    "post T42 T8 11 | created\n"
    "\n"
    "limits A4 floor=100 | set\n"
    "\n"
    "pending T50 A4 A5 4 | created\n"
    "post    T51 T50 5 | exceeds_debits\n"
    "\n"
    "limits A5 floor=25 over_capture=100000 | set\n"
    "\n"
    "pending T60 A10 A5 10 | created\n"
    "post    T61 T60 30 | exceeds_debits\n"
    "\n"
    "limits A5 floor=100 over_capture=100000 | set\n"
    "\n"
    "post T62 T60 21 | exceeds_max_balance\n"
    "post T63 T60 20 keep_open | created\n"
    "post T64 T60 1 | exceeds_max_balance\n"
    "\n"
    "no_payment T63\n"
    "payment T60 10 20 0\n"
    "balance A10 0 20 0 0\n"
    "balance A5 0 0 4 31\n"
    "balance A4 14 11 0 0\n";

/* ---- Chains and imports ------------------------------------------------------------------ */

static const char chains[] = "account A1 | created\n"
                             "account A2 | created\n"
                             "account A3 | created\n"
                             "\n"
                             "pending T1 A1 A2 100 | created\n"
                             "\n"
                             "limits A2 over_capture=500 balance_max=200 | set\n"
                             "limits A3 block_debits | set\n"
                             "\n"
                             "save\n"
                             "post     T11 T1 60 keep_open linked | linked_event_failed\n"
                             "post     T12 T1 45 keep_open linked | linked_event_failed\n"
                             "post     T13 T1 1 | over_capture_not_allowed\n"
                             "transfer T14 A1 A2 50 linked | linked_event_failed\n"
                             "transfer T15 A3 A2 1 linked | account_blocked\n"
                             "transfer T16 A1 A2 1 | linked_event_failed\n"
                             "transfer T17 A1 A2 50 linked | linked_event_failed\n"
                             "transfer T18 A1 A2 50 linked | linked_event_failed\n"
                             "transfer T19 A1 A2 1 | exceeds_max_balance\n"
                             "\n"
                             "unchanged burnt\n"
                             "post     T11 T1 60 keep_open linked | created\n"
                             "post     T12 T1 45 keep_open | created\n"
                             /* Within a chain there may be room that a member before has made. */
                             "transfer T21 A1 A2 96 | exceeds_max_balance\n"
                             "transfer T22 A2 A1 1 linked | created\n"
                             "transfer T23 A1 A2 96 | created\n"
                             "transfer T13 A1 A2 0 | id_already_failed\n"
                             "transfer T15 A1 A2 0 | id_already_failed\n"
                             "transfer T19 A1 A2 0 | id_already_failed\n"
                             "\n"
                             "payment T1 100 105 0\n"
                             "no_payment T12\n"
                             "balance A2 0 1 0 201\n"
                             "post     T11 T1 60 keep_open linked | exists\n"
                             "post     T12 T1 45 keep_open | exists\n"
                             "\n"
                             "payment T1 100 105 0\n";

static const char imports[] =
    "account A1 debits_must_not_exceed_credits | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "pending T1 A2 A3 100 | created\n"
    "\n"
    "limits A1 floor=10 | set\n"
    "limits A2 transfer_max=200 | set\n"
    "limits A3 over_capture=1000 balance_max=120 | set\n"
    "\n"
    "at now+1s\n"
    "transfer T11 A1 A3 11 imported timestamp=now-90 | exceeds_credits\n"
    "transfer T12 A1 A3 10 imported timestamp=now-80 | created\n"
    "transfer T13 A2 A3 201 imported timestamp=now-70 | exceeds_max_transfer\n"
    "transfer T14 A2 A3 11 imported timestamp=now-60 | exceeds_max_balance\n"
    "transfer T15 A2 A3 11 imported fact timestamp=now-50 | created\n"
    "post     T16 T1 111 imported timestamp=now-40 | over_capture_not_allowed\n"
    "post     T17 T1 110 imported timestamp=now-30 | exceeds_max_balance\n"
    "adjust   T18 T1 0 imported timestamp=now-20 | exceeds_max_balance\n"
    "\n"
    "payment T15 11 0 0 over_balance\n"
    "limits A3 frozen | set\n"
    "\n"
    "at now+1s\n"
    "transfer T21 A2 A3 1 imported timestamp=now-90 | account_blocked\n"
    "post     T22 T1 1 imported timestamp=now-80 | account_blocked\n"
    "post     T23 T1 1 imported timestamp=@T15 | imported_event_timestamp_must_not_regress\n"
    "post     T24 T1 1 imported fact timestamp=now-70 | created\n"
    "\n"
    "payment T24 1 0 0 blocked\n";

/* ---- By the ledger and by the model ------------------------------------------------------ */

static void by_the_ledger(const char *script, struct fixture_coverage *coverage)
{
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture, script, coverage);
    fixture_check_replay(&fixture, UINT32_MAX);
    fixture_check_replay(&fixture, 3);
    fixture_free(&fixture);
}

static void by_the_model(const char *script, struct fixture_coverage *coverage)
{
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture.model = calloc(1, sizeof *fixture.model);
    cr_assert(fixture.model != NULL);
    fixture_script(&fixture, script, coverage);
    free(fixture.model);
    fixture_free(&fixture);
}

/* X(table, what it shows) */
#define TABLES(X)                                                                                  \
    X(set_rules, answers_each_broken_rule_of_a_row)                                                \
    X(set_rows, replaces_a_row_as_a_whole)                                                         \
    X(set_changes, goes_by_the_row_of_the_moment)                                                  \
    X(blocks, blocks_each_side_by_itself)                                                          \
    X(blocks_holds, posts_what_was_held_before_a_block)                                            \
    X(floors, lets_a_balance_go_down_to_its_floor)                                                 \
    X(floors_saturate, never_lets_a_floor_overflow)                                                \
    X(floors_balancing, balances_without_the_floor)                                                \
    X(balances, keeps_a_balance_below_its_most)                                                    \
    X(balances_debit, keeps_a_balance_of_debits_below_its_most)                                    \
    X(transfers, keeps_a_transfer_below_its_most)                                                  \
    X(facts, marks_facts_with_what_they_went_over)                                                 \
    X(facts_all, marks_all_that_a_fact_went_over)                                                  \
    X(captures, captures_more_than_there_is)                                                       \
    X(capture_rounding, rounds_an_over_capture_down)                                               \
    X(capture_parts, adds_up_all_captures_of_a_hold)                                               \
    X(capture_saturates, never_lets_an_over_capture_overflow)                                      \
    X(capture_order, checks_an_over_capture_last_of_all)                                           \
    X(chains, takes_back_a_chain_that_met_a_limit)                                                 \
    X(imports, imports_within_limits)

#define TABLE_TESTS(table, shows)                                                                  \
    Test(ledger_limits, shows)                                                                     \
    {                                                                                              \
        by_the_ledger(table, NULL);                                                                \
    }                                                                                              \
    Test(ledger_limits_model, shows)                                                               \
    {                                                                                              \
        by_the_model(table, NULL);                                                                 \
    }
TABLES(TABLE_TESTS)
#undef TABLE_TESTS

#define TABLE(table, shows) table,
static const char *const tables[] = {TABLES(TABLE)};
#undef TABLE

#define CODE_IS_COVERED(name, code, text)                                                          \
    cr_assert(!is_of_limits(code) || coverage.transfer[code], "no row answers %s", text);
#define LIMITS_CODE_IS_COVERED(name, code, text)                                                   \
    cr_assert(is_of_slots(code) || coverage.limits[code], "no row answers %s", text);

Test(ledger_limits_model, has_a_row_for_every_result_of_limits)
{
    struct fixture_coverage coverage = {0};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        by_the_model(tables[i], &coverage);
    GIRO_TRANSFER_RESULTS(CODE_IS_COVERED)
    GIRO_LIMITS_RESULTS(LIMITS_CODE_IS_COVERED)
}

#undef CODE_IS_COVERED
#undef LIMITS_CODE_IS_COVERED

/* Every table again, with no record in memory when a request begins. */
Test(ledger_limits, answers_the_same_from_records_that_are_fetched)
{
    struct fixture_config config = {.window_records = 1 << 9};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct fixture fixture;
        fixture_init(&fixture, &config);
        fixture.forget_always = true;
        fixture_script(&fixture, tables[i], NULL);
        fixture_check_replay(&fixture, UINT32_MAX);
        fixture_free(&fixture);
    }
}

/* Rows come in the order of the ids, as often as they are asked for, each with its timestamp. */
static void rows_check(bool model)
{
    struct fixture fixture;
    static const giro_u128 ids[] = {3, 9, 1, 0, 2, 1, GIRO_U128_MAX, 4, 3};
    enum { IDS = sizeof ids / sizeof ids[0] };
    struct giro_limits rows[IDS];
    fixture_init(&fixture, NULL);
    if (model)
        fixture.model = calloc(1, sizeof *fixture.model);
    cr_assert(!model || fixture.model != NULL);
    fixture_script(&fixture,
                   "account A1 | created\n"
                   "account A2 | created\n"
                   "account A3 | created\n"
                   "account A4 | created\n",
                   NULL);
    cr_assert(fixture_get_limits(&fixture, ids, IDS, rows) == 0);
    uint64_t first = fixture.clock_ns;
    fixture_script(&fixture,
                   "limits A1 transfer_max=1 | set\n"
                   "limits A9 | account_not_found\n"
                   "limits A3 transfer_max=3 | set\n"
                   "limits A1 transfer_max=5 | set\n",
                   NULL);
    cr_assert(fixture.clock_ns == first + 4);
    cr_assert(fixture_get_limits(&fixture, ids, IDS, rows) == 4);
    for (uint32_t i = 0; i < 4; i++) {
        bool third = i == 0 || i == 3;
        struct giro_limits expected = {
            .account_id = third ? 3 : 1,
            .transfer_max = third ? 3 : 5,
            .timestamp = first + (third ? 2 : 3),
        };
        cr_assert(memcmp(&rows[i], &expected, sizeof expected) == 0, "row %u differs", i);
    }
    cr_assert(fixture_get_limits(&fixture, ids, 0, rows) == 0);
    cr_assert(fixture_get_limits(&fixture, &ids[3], 2, rows) == 0);
    /* A row of zeros is one, too. */
    uint64_t second = fixture.clock_ns;
    fixture_script(&fixture, "limits A1 | set\n", NULL);
    cr_assert(fixture_get_limits(&fixture, &ids[2], 1, rows) == 1);
    cr_assert(rows[0].account_id == 1 && rows[0].transfer_max == 0 && rows[0].timestamp == second);
    if (!model)
        fixture_check_replay(&fixture, UINT32_MAX);
    free(fixture.model);
    fixture_free(&fixture);
}

Test(ledger_limits, tells_rows_in_the_order_of_the_ids)
{
    rows_check(false);
}

Test(ledger_limits_model, tells_rows_in_the_order_of_the_ids)
{
    rows_check(true);
}

/* The log has a record a row, none for a row that is refused, and no transfer knows of them. */
Test(ledger_limits, writes_a_record_a_row)
{
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture,
                   "account A1 | created\n"
                   "\n"
                   "limits A1 frozen | set\n"
                   "limits A9 | account_not_found\n"
                   "limits A1 block_debits over_capture=7 | set\n",
                   NULL);
    const union record *last = &fixture.log[fixture.address_next - 1];
    struct giro_limits row;
    memcpy(&row, last, sizeof row);
    cr_assert(record_kind(last) == RECORD_SYSTEM && last->transfer.code == RECORD_SYSTEM_LIMITS);
    cr_assert(record_kind(last - 1) == RECORD_SYSTEM);
    cr_assert((row.flags & RECORD_FLAGS_MASK) == GIRO_LIMITS_BLOCK_DEBITS);
    cr_assert(row.account_id == 1 && row.over_capture == 7);
    cr_assert(row.timestamp == fixture.clock_ns - 1);
    cr_assert(fixture.ledger->timestamp_last == row.timestamp);
    cr_assert(fixture.ledger->transfers_count == 0 && fixture.ledger->transfers.count == 0);
    cr_assert(fixture.ledger->transfer_timestamp_last == 0);
    fixture_check_replay(&fixture, 1);
    fixture_free(&fixture);
}

/* ---- Precedence -------------------------------------------------------------------------- */

/* T1: the hold of the base row. T2: expired. T3: posted. T4: voided. T5: plain. T6, T7: of closed
 * accounts. A30, A31: blocked. A32, A33: with a transfer_max. A34, A35: fuller than they may be.
 * A36, A38: frozen. Amounts near the end of the numbers overflow. */
static const char precedence_state[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 ledger=2 | created\n"
    "account A4 debits_must_not_exceed_credits | created\n"
    "account A5 credits_must_not_exceed_debits | created\n"
    "account A6 | created\n"
    "account A7 | created\n"
    "account A20 | created\n"
    "account A30 | created\n"
    "account A31 | created\n"
    "account A32 | created\n"
    "account A33 | created\n"
    "account A34 | created\n"
    "account A35 credits_must_not_exceed_debits | created\n"
    "account A36 | created\n"
    "account A37 | created\n"
    "account A38 | created\n"
    "\n"
    "pending  T1 A1 A2 100 | created\n"
    "pending  T2 A1 A2 100 timeout=1 | created\n"
    "pending  T3 A1 A2 100 | created\n"
    "pending  T4 A1 A2 100 | created\n"
    "transfer T5 A1 A2 100 | created\n"
    "pending  T6 A6 A2 100 | created\n"
    "pending  T7 A1 A7 100 | created\n"
    "pending  T8 A6 A36 100 | created\n"
    "pending  T9 A36 A7 100 | created\n"
    "pending  T10 A36 A2 100 | created\n"
    "pending  T11 A1 A36 100 | created\n"
    "pending  T12 A30 A2 100 | created\n"
    "pending  T13 A1 A31 100 | created\n"
    "pending  T14 A4 A2 1 fact | created\n"
    "pending  T15 A1 A5 0 | created\n"
    "pending  T16 A1 A34 0 | created\n"
    "pending  T17 A35 A2 1 | created\n"
    "post     T30 T3 max | created\n"
    "void     T40 T4 0 | created\n"
    "transfer T50 A20 A1 100 | created\n"
    "transfer T51 A4 A20 7 fact | created\n"
    "transfer T52 A20 A5 7 fact | created\n"
    "transfer T53 A34 A20 1 | created\n"
    "transfer T54 A20 A34 101 | created\n"
    "transfer T55 A35 A20 100 | created\n"
    "transfer T56 A30 A20 1 | created\n"
    "transfer T57 A32 A20 1 | created\n"
    "transfer T58 A20 A33 1 | created\n"
    "transfer T59 A20 A31 1 | created\n"
    "pending  T60 A6 A7 0 closing_debit closing_credit | created\n"
    "transfer T61 A37 A20 100 | created\n"
    "transfer T62 A34 A37 100 | created\n"
    "transfer T63 A20 A34 100 | created\n"
    "transfer T64 A20 A37 1 | created\n"
    "transfer T90 A98 A1 1 | debit_account_not_found\n"
    "\n"
    "limits A1 transfer_max=50 | set\n"
    "limits A2 over_capture=500 | set\n"
    "limits A4 floor=5 | set\n"
    "limits A5 floor=5 | set\n"
    "limits A7 over_capture=500 | set\n"
    "limits A30 block_debits | set\n"
    "limits A31 block_credits | set\n"
    "limits A32 transfer_max=9 | set\n"
    "limits A33 transfer_max=9 | set\n"
    "limits A34 balance_max=50 | set\n"
    "limits A35 balance_max=50 transfer_max=50 | set\n"
    "limits A36 frozen over_capture=500 | set\n"
    "limits A37 transfer_max=50 | set\n"
    "limits A38 frozen | set\n"
    "\n"
    "at @T2+2s\n"
    "expire | 1\n";

/* Checks pairs of rules by the ledger, or by the model. */
static void precedence_check(bool model, const char *base, const char *in_order, uint32_t pairs_min)
{
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    if (model)
        fixture.model = calloc(1, sizeof *fixture.model);
    cr_assert(!model || fixture.model != NULL);
    fixture_script(&fixture, precedence_state, NULL);
    uint32_t pairs = fixture_precedence(&fixture, base, in_order);
    cr_assert(pairs > pairs_min, "only %u pairs", pairs);
    free(fixture.model);
    fixture_free(&fixture);
}

static void row_precedence(bool model)
{
    static const char in_order[] = "timestamp=1 | timestamp_must_be_zero\n"
                                   "reserved=1 | reserved_field\n"
                                   "reserved=0x8000 | reserved_field\n"
                                   "flags=8 | reserved_flag\n"
                                   "flags=0x8000 | reserved_flag\n"
                                   "account_id=0 | account_id_must_not_be_zero\n"
                                   "account_id=max | account_id_must_not_be_int_max\n"
                                   "over_capture=100001 | over_capture_out_of_range\n"
                                   "account_id=A98 | account_not_found\n"
                                   "floor=1 | floor_needs_limit_flag\n";
    precedence_check(model, "limits A1", in_order, 35);
}

static void plain_precedence(bool model)
{
    static const char in_order[] = "id=T90 | id_already_failed\n"
                                   "keep_open | flags_are_mutually_exclusive\n"
                                   "pending_id=1 | pending_id_must_be_zero\n"
                                   "code=0 | code_must_not_be_zero\n"
                                   "debit=A98 | debit_account_not_found\n"
                                   "credit=A99 | credit_account_not_found\n"
                                   "credit=A3 | accounts_must_have_the_same_ledger\n"
                                   "debit=A6 | debit_account_already_closed\n"
                                   "credit=A7 | credit_account_already_closed\n"
                                   "debit=A30 | account_blocked\n"
                                   "debit=A36 | account_blocked\n"
                                   "credit=A31 | account_blocked\n"
                                   "credit=A38 | account_blocked\n"
                                   "amount=max | overflows_debits_posted\n"
                                   "debit=A4 | exceeds_credits\n"
                                   "credit=A5 | exceeds_debits\n"
                                   "debit=A32 | exceeds_max_transfer\n"
                                   "credit=A33 | exceeds_max_transfer\n"
                                   "amount=51 | exceeds_max_transfer\n"
                                   "debit=A35 | exceeds_max_balance\n"
                                   "credit=A34 | exceeds_max_balance\n";
    precedence_check(model, "transfer 0 A1 A2 10", in_order, 120);
}

static void return_precedence(bool model)
{
    static const char in_order[] = "code=0 | code_must_not_be_zero\n"
                                   "debit=A6 | debit_account_already_closed\n"
                                   "credit=A7 | credit_account_already_closed\n"
                                   "debit=A30 | account_blocked\n"
                                   "debit=A36 | account_blocked\n"
                                   "credit=A31 | account_blocked\n"
                                   "credit=A38 | account_blocked\n"
                                   "pending_id=T98 | origin_not_found\n"
                                   "pending_id=T1 | origin_not_returnable\n"
                                   "debit=A1 | origin_has_different_accounts\n"
                                   "amount=101 | exceeds_origin_amount\n"
                                   "amount=51 | exceeds_max_transfer\n"
                                   "amount=10 | exceeds_max_balance\n";
    precedence_check(model, "return 0 T62 A37 A34 max", in_order, 45);
}

static void adjust_precedence(bool model)
{
    static const char in_order[] = "keep_open | flags_are_mutually_exclusive\n"
                                   "pending_id=T5 | pending_transfer_not_pending\n"
                                   "code=2 | pending_transfer_has_different_code\n"
                                   "pending_id=T2 | adjust_target_not_open\n"
                                   "pending_id=T6 | debit_account_already_closed\n"
                                   "pending_id=T8 | debit_account_already_closed\n"
                                   "pending_id=T7 | credit_account_already_closed\n"
                                   "pending_id=T9 | credit_account_already_closed\n"
                                   "pending_id=T10 | account_blocked\n"
                                   "pending_id=T11 | account_blocked\n"
                                   "pending_id=T12 | account_blocked\n"
                                   "pending_id=T13 | account_blocked\n"
                                   "amount=max | overflows_debits_pending\n"
                                   "pending_id=T14 | exceeds_credits\n"
                                   "pending_id=T15 | exceeds_debits\n"
                                   "amount=51 | exceeds_max_transfer\n"
                                   "pending_id=T16 | exceeds_max_balance\n"
                                   "pending_id=T17 | exceeds_max_balance\n";
    precedence_check(model, "adjust 0 T1 10", in_order, 60);
}

static void post_precedence(bool model)
{
    static const char in_order[] = "id=T90 | id_already_failed\n"
                                   "return | flags_are_mutually_exclusive\n"
                                   "timeout=1 | timeout_reserved_for_pending_transfer\n"
                                   "pending_id=T98 | pending_transfer_not_found\n"
                                   "pending_id=T5 | pending_transfer_not_pending\n"
                                   "debit=A3 | pending_transfer_has_different_debit_account_id\n"
                                   "code=2 | pending_transfer_has_different_code\n"
                                   "pending_id=T13 amount=101 | exceeds_pending_transfer_amount\n"
                                   "pending_id=T3 | pending_transfer_already_posted\n"
                                   "pending_id=T4 | pending_transfer_already_voided\n"
                                   "pending_id=T2 | pending_transfer_expired\n"
                                   "pending_id=T6 | debit_account_already_closed\n"
                                   "pending_id=T8 | debit_account_already_closed\n"
                                   "pending_id=T7 | credit_account_already_closed\n"
                                   "pending_id=T9 | credit_account_already_closed\n"
                                   "pending_id=T10 | account_blocked\n"
                                   "pending_id=T11 | account_blocked\n"
                                   "amount=106 | over_capture_not_allowed\n"
                                   "amount=max-1 | over_capture_not_allowed\n";
    precedence_check(model, "post 0 T1 max", in_order, 60);
}

static void post_imported_precedence(bool model)
{
    static const char in_order[] = "timestamp=0 | imported_event_timestamp_out_of_range\n"
                                   "code=2 | pending_transfer_has_different_code\n"
                                   "pending_id=T3 | pending_transfer_already_posted\n"
                                   "timestamp=@T64 | imported_event_timestamp_must_not_regress\n"
                                   "pending_id=T6 | debit_account_already_closed\n"
                                   "pending_id=T7 | credit_account_already_closed\n"
                                   "pending_id=T10 | account_blocked\n"
                                   "amount=106 | over_capture_not_allowed\n";
    precedence_check(model, "post 0 T1 max imported first=imported timestamp=now-1", in_order, 15);
}

#define PRECEDENCE_TESTS(rules)                                                                    \
    Test(ledger_limits, answers_the_earlier_of_two_broken_rules_of_##rules)                        \
    {                                                                                              \
        rules##_precedence(false);                                                                 \
    }                                                                                              \
    Test(ledger_limits_model, answers_the_earlier_of_two_broken_rules_of_##rules)                  \
    {                                                                                              \
        rules##_precedence(true);                                                                  \
    }
PRECEDENCE_TESTS(row)
PRECEDENCE_TESTS(plain)
PRECEDENCE_TESTS(return )
PRECEDENCE_TESTS(adjust)
PRECEDENCE_TESTS(post)
PRECEDENCE_TESTS(post_imported)
#undef PRECEDENCE_TESTS

/* ---- The model on random requests -------------------------------------------------------- */

enum { REQUESTS = 1000, RUNS = 6, MARKS = 7 };

struct random_run {
    struct ledger_random random;
    struct model model;
    struct fixture_coverage coverage;
    uint32_t marks[MARKS];
    uint32_t events;
};

/* Whether an account is within its limits of this moment, worked out from its balances alone. */
static bool is_within(const struct model *model, const struct giro_account *account)
{
    static const struct giro_limits none = {0};
    const struct giro_limits *limits = model_limits(model, account->id);
    giro_u128 debits = account->debits_posted + account->debits_pending;
    giro_u128 credits = account->credits_posted + account->credits_pending;
    bool debit_side = (account->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0;
    bool guarded =
        debit_side || (account->flags & GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS) != 0;
    giro_u128 grows = debit_side ? debits : credits;
    giro_u128 grows_posted = debit_side ? account->debits_posted : account->credits_posted;
    giro_u128 falls = debit_side ? credits : debits;
    giro_u128 falls_posted = debit_side ? account->credits_posted : account->debits_posted;
    if (limits == NULL)
        limits = &none;
    if (guarded && falls > grows_posted && falls - grows_posted > limits->floor)
        return false;
    return limits->balance_max == 0 || grows <= falls_posted ||
           grows - falls_posted <= limits->balance_max;
}

/* Nothing but a fact takes an account beyond its limits. */
static void random_transfers(struct random_run *run)
{
    struct giro_transfer events[LEDGER_RANDOM_EVENTS];
    uint32_t codes[LEDGER_RANDOM_EVENTS];
    bool within[MODEL_ACCOUNTS_MAX];
    bool any_fact = false;
    const struct model_state *now = &run->model.now;
    uint32_t first = now->transfers_count;
    for (uint32_t i = 0; i < now->accounts_count; i++)
        within[i] = is_within(&run->model, &now->accounts[i]);
    uint32_t count = ledger_random_transfers(&run->random, events);
    model_create_transfers(&run->model, events, count, run->random.clock_ns, codes);
    for (uint32_t i = 0; i < count; i++) {
        run->coverage.transfer[codes[i]]++;
        any_fact |= codes[i] == 0 && (events[i].flags & GIRO_TRANSFER_FACT) != 0;
    }
    run->events += count;
    for (uint32_t i = first; i < now->transfers_count; i++) {
        for (uint32_t bit = 0; bit < MARKS; bit++)
            run->marks[bit] += now->notes[i].marks >> bit & 1;
    }
    for (uint32_t i = 0; i < now->accounts_count && !any_fact; i++)
        cr_assert(!within[i] || is_within(&run->model, &now->accounts[i]), "account %lu",
                  (uint64_t)now->accounts[i].id);
}

static void random_limits(struct random_run *run)
{
    struct giro_limits events[LEDGER_RANDOM_EVENTS];
    uint32_t codes[LEDGER_RANDOM_EVENTS];
    uint32_t count = ledger_random_limits(&run->random, events);
    model_set_limits(&run->model, events, count, run->random.clock_ns, codes);
    for (uint32_t i = 0; i < count; i++)
        run->coverage.limits[codes[i]]++;
}

static void random_run(struct random_run *run, uint64_t seed, bool limited)
{
    struct giro_account accounts[LEDGER_RANDOM_EVENTS];
    uint32_t codes[LEDGER_RANDOM_EVENTS];
    struct ledger_random *random = &run->random;
    memset(&run->model, 0, sizeof run->model);
    *random = (struct ledger_random){.state = seed, .id_next = 1, .model = &run->model};
    random->clock_ns = FIXTURE_CLOCK_NS;
    uint32_t count = ledger_random_first_accounts(random, accounts);
    model_create_accounts(&run->model, accounts, count, random->clock_ns, codes);
    for (uint32_t request = 0; request < REQUESTS; request++) {
        random->clock_ns += 1000 + ledger_random_below(random, 100 * 1000000ull);
        random->timestamp_last = random->clock_ns - 500;
        random->transfer_timestamp_last = random->clock_ns - 500;
        (void)model_expire(&run->model, random->clock_ns, (uint32_t)ledger_random_below(random, 4));
        if (limited && ledger_random_below(random, 100) < 9)
            random_limits(run);
        else
            random_transfers(run);
    }
}

#define CODE_IS_SEEN(name, code, text)                                                             \
    cr_assert(run->coverage.limits[code] != 0, "no event answers %s", text);

/* Each is met often enough to be compared, and the rest goes on. */
Test(ledger_limits_model, meets_limits_on_random_requests)
{
    struct random_run *run = calloc(1, sizeof *run);
    cr_assert(run != NULL);
    for (uint64_t i = 0; i < RUNS; i++)
        random_run(run, 1 + i, false);
    uint32_t created = run->coverage.transfer[0] * 100 / run->events;
    *run = (struct random_run){0};
    for (uint64_t i = 0; i < RUNS; i++)
        random_run(run, 1 + i, true);
    uint32_t created_limited = run->coverage.transfer[0] * 100 / run->events;
    fprintf(stderr, "%u events, %u%% created, %u%% without limits\n", run->events, created_limited,
            created);
    for (uint32_t code = GIRO_TRANSFER_VELOCITY_EXCEEDED;
         code <= GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER; code++) {
        bool limits = is_of_limits(code) || code == GIRO_TRANSFER_VELOCITY_EXCEEDED;
        fprintf(stderr, "%9u %s\n", run->coverage.transfer[code], giro_transfer_result_name(code));
        cr_assert(!limits || run->coverage.transfer[code] >= 20);
    }
    for (uint32_t bit = 0; bit < MARKS; bit++) {
        fprintf(stderr, "%9u mark %u\n", run->marks[bit], 1u << bit);
        cr_assert(run->marks[bit] >= 10);
    }
    cr_assert(created_limited * 4 >= created * 3);
    GIRO_LIMITS_RESULTS(CODE_IS_SEEN)
    free(run);
}

#undef CODE_IS_SEEN
