/* Payments: partial captures, adjustable holds, returns, facts. One event a row; the language is
 * described in tests/ledger_fixture.h.
 *
 * Every table was worked out by hand and runs twice, in a ledger of its own whose log is replayed at
 * the end, and in the model, which the random tests compare the ledger with. */
#include "tests/ledger_fixture.h"
#include "tests/ledger_random.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* ---- Which flags go together ------------------------------------------------------------- */

static const char exclusions[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "pending  T1 A1 A2 100 | created\n"
    "transfer T2 A1 A2 100 | created\n"
    "\n"
    "save\n"
    "post T10 T1 9 void | flags_are_mutually_exclusive\n"
    "post T10 T1 9 pending keep_open | flags_are_mutually_exclusive\n"
    "post T10 T1 9 balancing_debit fact | flags_are_mutually_exclusive\n"
    "post T10 T1 9 return | flags_are_mutually_exclusive\n"
    "post T10 T1 9 adjust | flags_are_mutually_exclusive\n"
    "post T10 T1 9 adjust pending | flags_are_mutually_exclusive\n"
    "post T10 T1 9 return fact | flags_are_mutually_exclusive\n"
    "void T10 T1 0 return | flags_are_mutually_exclusive\n"
    "void T10 T1 0 adjust | flags_are_mutually_exclusive\n"
    "void T10 T1 0 fact | flags_are_mutually_exclusive\n"
    "void T10 T1 0 fact keep_open | flags_are_mutually_exclusive\n"
    "void T10 T1 0 closing_debit keep_open | flags_are_mutually_exclusive\n"
    "transfer T10 A1 A2 9 adjust pending_id=T1 | flags_are_mutually_exclusive\n"
    "adjust T10 T1 9 balancing_debit | flags_are_mutually_exclusive\n"
    "adjust T10 T1 9 balancing_credit | flags_are_mutually_exclusive\n"
    "adjust T10 T1 9 closing_debit | flags_are_mutually_exclusive\n"
    "adjust T10 T1 9 closing_credit | flags_are_mutually_exclusive\n"
    "adjust T10 T1 9 return | flags_are_mutually_exclusive\n"
    "adjust T10 T1 9 keep_open | flags_are_mutually_exclusive\n"
    "adjust T10 T1 9 fact | flags_are_mutually_exclusive\n"
    "transfer T10 A1 A2 9 keep_open | flags_are_mutually_exclusive\n"
    "pending  T10 A1 A2 9 keep_open | flags_are_mutually_exclusive\n"
    "transfer T10 A1 A2 9 fact balancing_debit | flags_are_mutually_exclusive\n"
    "pending  T10 A1 A2 9 fact balancing_credit | flags_are_mutually_exclusive\n"
    "return T10 T2 A2 A1 9 keep_open | flags_are_mutually_exclusive\n"
    "return T10 T2 A2 A1 9 balancing_debit | flags_are_mutually_exclusive\n"
    "return T10 T2 A2 A1 9 balancing_credit | flags_are_mutually_exclusive\n"
    "return T10 T2 A2 A1 9 closing_debit | flags_are_mutually_exclusive\n"
    "return T10 T2 A2 A1 9 closing_credit pending | flags_are_mutually_exclusive\n"
    /* It comes before every field. */
    "transfer T10 0 0 9 keep_open ledger=0 code=0 | flags_are_mutually_exclusive\n"
    "return T10 0 0 0 9 balancing_debit timeout=1 | flags_are_mutually_exclusive\n"
    "transfer T10 0 max 9 fact balancing_debit pending_id=1 | flags_are_mutually_exclusive\n"
    "adjust T10 0 9 fact | flags_are_mutually_exclusive\n"
    "adjust T10 T10 9 return | flags_are_mutually_exclusive\n"
    "post T10 T10 9 return timeout=1 | flags_are_mutually_exclusive\n"
    "void T10 T99 9 fact | flags_are_mutually_exclusive\n"
    /* Of the two bits behind, none is a flag. */
    "transfer T10 A1 A2 9 flags=0x4000 | reserved_flag\n"
    "transfer T10 A1 A2 9 flags=0x8000 no_limit | reserved_flag\n"
    "\n"
    "unchanged\n";

static const char combinations[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A4 | created\n"
    "\n"
    "transfer T1 A1 A2 100 no_limit | created\n"
    "pending  T2 A1 A2 50 no_limit linked | created\n"
    "adjust   T3 T2 5 no_limit linked | created\n"
    "post     T4 T2 5 keep_open no_limit linked | created\n"
    "void     T5 T2 5 keep_open no_limit linked | created\n"
    "post     T6 T2 5 keep_open fact no_limit linked | created\n"
    "post     T7 T2 5 fact no_limit | created\n"
    "return   T8 T1 A2 A1 1 no_limit | created\n"
    "return   T9 T1 A2 A1 1 fact | created\n"
    "return   T10 T1 A2 A1 1 pending | created\n"
    "return   T11 T1 A2 A1 1 pending fact no_limit | created\n"
    "transfer T12 A1 A2 1 fact | created\n"
    "pending  T13 A1 A2 1 fact no_limit | created\n"
    "transfer T14 A1 A2 1 balancing_debit no_limit | created\n"
    "pending  T15 A3 A4 1 fact closing_debit no_limit | created\n"
    "transfer T16 A1 A2 1 fact closing_debit | closing_transfer_must_be_pending\n"
    "void     T17 T15 0 no_limit | created\n"
    "\n"
    "stored return   T8 T1 A2 A1 1 no_limit\n"
    "stored return   T11 T1 A2 A1 1 pending fact no_limit\n"
    "stored post     T4 T2 5 keep_open no_limit linked debit=A1 credit=A2 ledger=1 code=1\n"
    "stored post     T7 T2 5 fact no_limit debit=A1 credit=A2 ledger=1 code=1\n"
    "stored void     T5 T2 5 keep_open no_limit linked debit=A1 credit=A2 ledger=1 code=1\n"
    "stored adjust   T3 T2 5 no_limit linked debit=A1 credit=A2 ledger=1 code=1\n"
    "balance A1 1 116 2 2\n"
    "balance A2 2 2 1 116\n"
    "balance A3 0 0 0 0\n"
    "payment T1 100 4 0\n"
    "payment T2 55 15 40\n"
    "no_payment T3 T4 T5 T6 T7 T12 T13 T14 T15 T16 T17 T99\n";

/* ---- Partial captures and releases ------------------------------------------------------- */

static const char captures[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "pending T1 A1 A2 100 | created\n"
    "\n"
    "no_payment T1\n"
    "post T11 T1 30 keep_open | created\n"
    "\n"
    "balance A1 70 30 0 0\n"
    "balance A2 0 0 70 30\n"
    "payment T1 100 30 70\n"
    "no_payment T11\n"
    "stored post T11 T1 30 keep_open debit=A1 credit=A2 ledger=1 code=1\n"
    "save\n"
    "post T12 T1 71 keep_open | exceeds_pending_transfer_amount\n"
    "post T12 T1 max keep_open | exceeds_pending_transfer_amount\n"
    "post T12 T1 71 | exceeds_pending_transfer_amount\n"
    "void T12 T1 71 | exceeds_pending_transfer_amount\n"
    "void T12 T1 100 | exceeds_pending_transfer_amount\n"
    "void T12 T1 max | exceeds_pending_transfer_amount\n"
    "void T12 T1 71 keep_open | exceeds_pending_transfer_amount\n"
    "void T12 T1 max keep_open | exceeds_pending_transfer_amount\n"
    "void T12 T1 69 | pending_transfer_has_different_amount\n"
    "void T12 T1 1 | pending_transfer_has_different_amount\n"
    "\n"
    "unchanged\n"
    "void T12 T1 20 keep_open | created\n"
    "\n"
    "balance A1 50 30 0 0\n"
    "payment T1 100 30 50\n"
    "stored void T12 T1 20 keep_open debit=A1 credit=A2 ledger=1 code=1\n"
    "void T13 T1 0 keep_open | created\n"
    "post T14 T1 0 keep_open | created\n"
    "\n"
    "balance A1 50 30 0 0\n"
    "payment T1 100 30 50\n"
    "stored void T13 T1 0 keep_open debit=A1 credit=A2 ledger=1 code=1\n"
    /* With nothing left it is still open. */
    "post T15 T1 50 keep_open | created\n"
    "\n"
    "balance A1 0 80 0 0\n"
    "payment T1 100 80 0\n"
    "post T16 T1 1 keep_open | exceeds_pending_transfer_amount\n"
    "post T16 T1 1 | exceeds_pending_transfer_amount\n"
    "void T16 T1 1 keep_open | exceeds_pending_transfer_amount\n"
    "post T16 T1 0 keep_open | created\n"
    "post T17 T1 max | created\n"
    "post T18 T1 0 keep_open | pending_transfer_already_posted\n"
    "\n"
    "payment T1 100 80 0\n"
    "stored post T17 T1 0 debit=A1 credit=A2 ledger=1 code=1\n"
    "post T18 T1 0 | pending_transfer_already_posted\n"
    "post T18 T1 1 | exceeds_pending_transfer_amount\n"
    "void T18 T1 0 keep_open | pending_transfer_already_posted\n"
    "post T18 T11 0 keep_open | pending_transfer_not_pending\n"
    "void T18 T12 0 keep_open | pending_transfer_not_pending\n"
    "\n"
    "balance A1 0 80 0 0\n"
    "balance A2 0 0 0 80\n"
    "missing T18\n";

/* What the end of a hold leaves behind, for those who come too late. */
static const char capture_ends[] = "account A1 | created\n"
                                   "account A2 | created\n"
                                   "\n"
                                   "pending T1 A1 A2 100 | created\n"
                                   "pending T2 A1 A2 100 | created\n"
                                   "pending T3 A1 A2 100 | created\n"
                                   "pending T4 A1 A2 100 | created\n"
                                   "\n"
                                   /* Posted in part, the rest released. */
                                   "post T11 T1 40 keep_open | created\n"
                                   "post T12 T1 25 | created\n"
                                   "post T13 T1 60 | pending_transfer_already_posted\n"
                                   "post T13 T1 61 | exceeds_pending_transfer_amount\n"
                                   "\n"
                                   "balance A1 300 65 0 0\n"
                                   "payment T1 100 65 60\n"
                                   "post T13 T1 61 | exceeds_pending_transfer_amount\n"
                                   "void T13 T1 59 | pending_transfer_has_different_amount\n"
                                   "post T13 T1 60 | pending_transfer_already_posted\n"
                                   "void T13 T1 60 | pending_transfer_already_posted\n"
                                   "post T13 T1 60 keep_open | pending_transfer_already_posted\n"
                                   "void T13 T1 59 keep_open | pending_transfer_already_posted\n"
                                   "\n"
                                   /* All that is left posted, by its name and by its amount. */
                                   "post T21 T2 40 keep_open | created\n"
                                   "post T22 T2 max | created\n"
                                   "\n"
                                   "balance A1 200 165 0 0\n"
                                   "stored post T22 T2 60 debit=A1 credit=A2 ledger=1 code=1\n"
                                   /* Voided. */
                                   "void T31 T3 30 keep_open | created\n"
                                   "void T32 T3 0 | created\n"
                                   "\n"
                                   "balance A1 100 165 0 0\n"
                                   "payment T3 100 0 70\n"
                                   "stored void T32 T3 70 debit=A1 credit=A2 ledger=1 code=1\n"
                                   "void T33 T3 30 | pending_transfer_has_different_amount\n"
                                   "post T33 T3 71 | exceeds_pending_transfer_amount\n"
                                   "post T33 T3 max | pending_transfer_already_voided\n"
                                   "post T33 T3 70 keep_open | pending_transfer_already_voided\n"
                                   "void T33 T3 70 | pending_transfer_already_voided\n"
                                   "\n"
                                   "post T41 T4 99 keep_open | created\n"
                                   "void T42 T4 100 | exceeds_pending_transfer_amount\n"
                                   "void T42 T4 1 | created\n"
                                   "\n"
                                   "balance A1 0 264 0 0\n"
                                   "balance A2 0 0 0 264\n"
                                   "payment T4 100 99 1\n"
                                   "missing T13 T33\n";

/* A partial release neither closes nor reopens. */
static const char captures_closing[] = "account A1 | created\n"
                                       "account A2 | created\n"
                                       "\n"
                                       "pending T1 A1 A2 100 | created\n"
                                       "pending T2 A1 A2 10 closing_debit timeout=9 | created\n"
                                       "\n"
                                       "post T11 T2 1 keep_open | debit_account_already_closed\n"
                                       "post T12 T1 1 keep_open | debit_account_already_closed\n"
                                       "post T13 T1 101 fact | debit_account_already_closed\n"
                                       "adjust T14 T1 1 | debit_account_already_closed\n"
                                       "adjust T15 T2 0 timeout=99 | debit_account_already_closed\n"
                                       "adjust T15 T2 0 | id_already_failed\n"
                                       "void T16 T2 4 keep_open | created\n"
                                       "void T17 T1 60 keep_open | created\n"
                                       "void T18 T2 6 keep_open | created\n"
                                       "\n"
                                       "balance A1 40 0 0 0 closed\n"
                                       "payment T2 10 0 0\n"
                                       "void T19 T2 0 | created\n"
                                       "\n"
                                       "balance A1 40 0 0 0\n"
                                       "pending T3 A1 A2 10 closing_credit timeout=9 | created\n"
                                       "\n"
                                       "void T31 T3 7 keep_open | created\n"
                                       "post T32 T1 1 keep_open | credit_account_already_closed\n"
                                       "adjust T33 T1 1 | credit_account_already_closed\n"
                                       "\n"
                                       "balance A2 0 0 43 0 closed\n"
                                       "at @T3+9s\n"
                                       "expire | 1\n"
                                       "balance A2 0 0 40 0\n"
                                       "payment T3 10 0 3\n"
                                       "post T34 T1 max | created\n"
                                       "\n"
                                       "balance A1 0 40 0 0\n";

/* ---- Facts ------------------------------------------------------------------------------- */

static const char captures_over[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "pending T1 A1 A2 100 | created\n"
    "pending T2 A1 A2 100 | created\n"
    "pending T3 A1 A2 100 | created\n"
    "pending T4 A1 A2 100 timeout=1 | created\n"
    "pending T5 A1 A2 100 | created\n"
    "\n"
    /* Within what is left a fact is a post like any other. */
    "post T11 T1 100 fact | created\n"
    "\n"
    "no_payment T1 T11\n"
    "balance A1 400 100 0 0\n"
    "post T12 T2 130 fact | created\n"
    "\n"
    "balance A1 300 230 0 0\n"
    "balance A2 0 0 300 230\n"
    "payment T12 130 0 0 over_cap\n"
    "no_payment T2\n"
    "stored post T12 T2 130 fact debit=A1 credit=A2 ledger=1 code=1\n"
    "post T13 T2 131 fact | pending_transfer_already_posted\n"
    "post T13 T2 100 fact | pending_transfer_already_posted\n"
    "post T13 T2 101 | exceeds_pending_transfer_amount\n"
    "\n"
    /* With keep_open all that was left is gone, and more may follow. */
    "post T21 T3 60 keep_open fact | created\n"
    "\n"
    "no_payment T21\n"
    "balance A1 240 290 0 0\n"
    "post T22 T3 90 keep_open fact | created\n"
    "\n"
    "balance A1 200 380 0 0\n"
    "payment T3 100 150 0\n"
    "payment T22 90 0 0 over_cap\n"
    "post T23 T3 5 keep_open fact | created\n"
    "post T24 T3 5 keep_open | exceeds_pending_transfer_amount\n"
    "post T24 T3 0 keep_open fact | created\n"
    "\n"
    "balance A1 200 385 0 0\n"
    "payment T3 100 155 0\n"
    "payment T23 5 0 0 over_cap\n"
    "no_payment T24\n"
    "adjust T25 T3 7 | created\n"
    "post T26 T3 max fact | created\n"
    "\n"
    "balance A1 200 392 0 0\n"
    "payment T3 107 162 7\n"
    "no_payment T25 T26\n"
    "stored post T26 T3 7 fact debit=A1 credit=A2 ledger=1 code=1\n"
    /* The largest amount stands for what is left, a fact or not. */
    "at @T4+1s\n"
    "post T27 T4 101 fact | pending_transfer_expired\n"
    "post T27 T4 max fact | pending_transfer_expired\n"
    "void T28 T5 0 | created\n"
    "post T29 T5 101 fact | pending_transfer_already_voided\n"
    "\n"
    "expire | 1\n"
    "post T27 T4 101 keep_open fact | pending_transfer_expired\n"
    "\n"
    "balance A1 0 392 0 0\n"
    "missing T27 T29\n";

/* A post over its hold is checked as it would be after the release. */
static const char captures_overflow[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A4 | created\n"
    "account A5 | created\n"
    "account A6 | created\n"
    "account A7 | created\n"
    "account A8 | created\n"
    "account A9 | created\n"
    "account A10 | created\n"
    "\n"
    "transfer T1 A1 A9 2 | created\n"
    "transfer T2 A9 A4 2 | created\n"
    "pending  T3 A5 A9 5 | created\n"
    "pending  T4 A9 A8 5 | created\n"
    "pending  T11 A1 A2 10 | created\n"
    "pending  T12 A3 A4 10 | created\n"
    "pending  T13 A5 A6 10 | created\n"
    "pending  T14 A7 A8 10 | created\n"
    "pending  T15 A1 A4 10 | created\n"
    "pending  T16 A5 A8 10 | created\n"
    "\n"
    "save\n"
    "post T20 T11 max keep_open fact | exceeds_pending_transfer_amount\n"
    "post T20 T11 max-1 keep_open fact | overflows_debits_posted\n"
    "post T20 T15 max-1 keep_open fact | overflows_debits_posted\n"
    "post T20 T12 max-1 keep_open fact | overflows_credits_posted\n"
    "post T20 T12 max-1 keep_open fact | overflows_credits_posted\n"
    /* Of A5, 5 and 10 more are pending beside these 10. */
    "post T20 T13 max-14 keep_open fact | overflows_debits\n"
    "post T20 T13 max-14 fact | overflows_debits\n"
    "post T20 T16 max-14 fact | overflows_debits\n"
    "post T20 T14 max-14 fact | overflows_credits\n"
    "post T20 T14 max-14 keep_open fact | overflows_credits\n"
    "\n"
    "unchanged\n"
    "void T21 T16 0 | created\n"
    "post T22 T13 max-5 fact | created\n"
    "post T23 T14 max-5 keep_open fact | created\n"
    "\n"
    "balance A5 5 max-5 0 0\n"
    "balance A8 0 0 5 max-5\n"
    "payment T22 max-5 0 0 over_cap\n"
    "payment T14 10 max-5 0\n"
    "post T24 T11 5 | created\n"
    "post T25 T11 max-1 fact | pending_transfer_already_posted\n"
    "pending T26 A1 A10 0 closing_credit | created\n"
    "pending T27 A3 A9 0 closing_debit | created\n"
    "post T28 T12 max-1 keep_open fact | debit_account_already_closed\n"
    "post T28 T12 1 | id_already_failed\n";

static const char facts[] = "account A1 | created\n"
                            "account A2 | created\n"
                            "account A3 closed | created\n"
                            "account A4 debits_must_not_exceed_credits | created\n"
                            "account A5 credits_must_not_exceed_debits | created\n"
                            "\n"
                            "transfer T1 A1 A4 100 | created\n"
                            "transfer T2 A5 A1 100 | created\n"
                            "transfer T3 A4 A2 100 fact | created\n"
                            "transfer T4 A1 A5 100 fact | created\n"
                            "\n"
                            "no_payment T3 T4\n"
                            "transfer T5 A4 A2 1 | exceeds_credits\n"
                            "transfer T6 A4 A2 1 fact | created\n"
                            "transfer T7 A1 A5 1 fact | created\n"
                            "transfer T8 A4 A5 1 fact | created\n"
                            "pending  T9 A4 A2 3 fact | created\n"
                            "pending  T10 A1 A5 0 fact | created\n"
                            "transfer T11 A2 A4 1 fact | created\n"
                            "\n"
                            "balance A4 3 102 0 101\n"
                            "balance A5 0 100 0 102\n"
                            "payment T6 1 0 0 negative\n"
                            "payment T7 1 0 0 negative\n"
                            "payment T8 1 0 0 negative\n"
                            "payment T9 3 0 3 negative\n"
                            "payment T10 0 0 0 negative\n"
                            "no_payment T11\n"
                            /* A command is still refused, and a fact by everything else. */
                            "transfer T12 A4 A2 0 | exceeds_credits\n"
                            "transfer T12 A1 A2 0 | id_already_failed\n"
                            "transfer T13 A1 A5 0 | exceeds_debits\n"
                            "transfer T14 A3 A2 1 fact | debit_account_already_closed\n"
                            "transfer T15 A2 A3 1 fact | credit_account_already_closed\n"
                            "transfer T16 A99 A2 1 fact | debit_account_not_found\n"
                            "transfer T17 A4 A1 max fact | overflows_debits_posted\n"
                            "pending  T17 A4 A1 max fact | overflows_debits_pending\n"
                            "adjust   T18 T9 1 | exceeds_credits\n"
                            "adjust   T19 T10 1 | exceeds_debits\n"
                            "adjust   T20 T10 1 | exceeds_debits\n"
                            "adjust   T20 T10 1 | id_already_failed\n"
                            "\n"
                            /* A post within the hold was paid for when the hold was accepted. */
                            "post T21 T9 3 fact | created\n"
                            "\n"
                            "no_payment T21\n"
                            "payment T9 3 3 3 negative\n"
                            "balance A4 0 105 0 101\n";

/* A post over its hold tells whether it leaves an account beyond its own limit. */
static const char facts_over[] = "account A1 | created\n"
                                 "account A2 | created\n"
                                 "account A4 debits_must_not_exceed_credits | created\n"
                                 "account A5 credits_must_not_exceed_debits | created\n"
                                 "\n"
                                 "transfer T1 A1 A4 200 | created\n"
                                 "transfer T2 A5 A1 200 | created\n"
                                 "pending  T3 A4 A2 100 | created\n"
                                 "pending  T4 A4 A2 40 | created\n"
                                 "pending  T5 A2 A5 100 | created\n"
                                 "pending  T6 A2 A5 40 | created\n"
                                 "\n"
                                 "post T11 T3 160 fact | created\n"
                                 "post T12 T5 160 keep_open fact | created\n"
                                 "\n"
                                 "balance A4 40 160 0 200\n"
                                 "balance A5 0 200 40 160\n"
                                 "payment T11 160 0 0 over_cap\n"
                                 "payment T12 160 0 0 over_cap\n"
                                 "post T13 T4 41 keep_open fact | created\n"
                                 "post T14 T6 41 fact | created\n"
                                 "\n"
                                 "payment T13 41 0 0 over_cap negative\n"
                                 "payment T14 41 0 0 over_cap negative\n"
                                 "payment T4 40 41 0\n"
                                 "no_payment T6\n"
                                 "post T15 T4 0 keep_open fact | created\n"
                                 "\n"
                                 "no_payment T15\n"
                                 "balance A4 0 201 0 200\n"
                                 "balance A5 0 200 0 201\n";

/* ---- Adjust ------------------------------------------------------------------------------ */

static const char adjust_rules[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "pending  T1 A1 A2 100 code=7 | created\n"
    "pending  T2 A1 A2 100 timeout=1 | created\n"
    "pending  T3 A1 A2 100 | created\n"
    "pending  T4 A1 A2 100 | created\n"
    "transfer T5 A1 A2 100 | created\n"
    "transfer T6 A1 A9 100 | credit_account_not_found\n"
    "post     T13 T3 max | created\n"
    "void     T14 T4 0 | created\n"
    "\n"
    "adjust T10 0 5 | pending_id_must_not_be_zero\n"
    "adjust T10 max 5 | pending_id_must_not_be_int_max\n"
    "adjust T10 T10 5 | pending_id_must_be_different\n"
    "adjust T11 T99 5 | pending_transfer_not_found\n"
    "adjust T11 T1 5 | id_already_failed\n"
    "adjust T12 T6 5 | pending_transfer_not_found\n"
    "adjust T10 T5 5 | pending_transfer_not_pending\n"
    "adjust T10 T13 5 | pending_transfer_not_pending\n"
    "adjust T10 T14 5 | pending_transfer_not_pending\n"
    "adjust T10 T1 5 debit=A3 | pending_transfer_has_different_debit_account_id\n"
    "adjust T10 T1 5 credit=A1 | pending_transfer_has_different_credit_account_id\n"
    "adjust T10 T1 5 ledger=2 | pending_transfer_has_different_ledger\n"
    "adjust T10 T1 5 code=1 | pending_transfer_has_different_code\n"
    "adjust T10 T3 5 | adjust_target_not_open\n"
    "adjust T10 T4 5 | adjust_target_not_open\n"
    "\n"
    "at @T2+1s-1\n"
    "adjust T15 T2 1 | created\n"
    "adjust T10 T2 1 | adjust_target_not_open\n"
    "adjust T10 T2 1 timeout=9 | adjust_target_not_open\n"
    "\n"
    "expire | 1\n"
    "adjust T10 T2 1 timeout=9 | adjust_target_not_open\n"
    "adjust T10 T3 5 | adjust_target_not_open\n"
    "\n"
    /* None of these spent the id. */
    "adjust T10 T1 5 debit=A1 credit=A2 ledger=1 code=7 | created\n"
    /* It is no hold of its own. */
    "post   T16 T10 5 | pending_transfer_not_pending\n"
    "void   T16 T10 0 | pending_transfer_not_pending\n"
    "void   T16 T10 0 keep_open | pending_transfer_not_pending\n"
    "adjust T16 T10 5 | pending_transfer_not_pending\n"
    "\n"
    "balance A1 105 200 0 0\n"
    "balance A2 0 0 105 200\n"
    "payment T1 105 0 105\n"
    "payment T2 101 0 101\n"
    "no_payment T10 T15\n"
    "missing T11 T12 T16\n";

static const char adjust_amounts[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "pending T1 A1 A2 100 code=6 user_data_128=1 user_data_64=2 user_data_32=3 timeout=60 "
    "| created\n"
    "adjust  T2 T1 50 | created\n"
    "\n"
    "balance A1 150 0 0 0\n"
    "payment T1 150 0 150\n"
    "stored adjust T2 T1 50 debit=A1 credit=A2 ledger=1 code=6 "
    "user_data_128=1 user_data_64=2 user_data_32=3\n"
    "stored pending T1 A1 A2 100 code=6 user_data_128=1 user_data_64=2 user_data_32=3 timeout=60\n"
    "adjust  T3 T1 0 timeout=7 user_data_128=4 user_data_32=5 | created\n"
    "\n"
    "balance A1 150 0 0 0\n"
    "stored adjust T3 T1 0 debit=A1 credit=A2 ledger=1 code=6 "
    "user_data_128=4 user_data_64=2 user_data_32=5 timeout=7\n"
    "post    T4 T1 120 keep_open | created\n"
    "adjust  T5 T1 15 | created\n"
    "void    T6 T1 5 keep_open | created\n"
    "post    T7 T1 41 keep_open | exceeds_pending_transfer_amount\n"
    "\n"
    "balance A1 40 120 0 0\n"
    "balance A2 0 0 40 120\n"
    "payment T1 165 120 40\n"
    "void    T8 T1 100 | exceeds_pending_transfer_amount\n"
    "void    T8 T1 39 | pending_transfer_has_different_amount\n"
    "post    T8 T1 max | created\n"
    "\n"
    "balance A1 0 160 0 0\n"
    "payment T1 165 160 40\n"
    "stored post T8 T1 40 debit=A1 credit=A2 ledger=1 code=6 "
    "user_data_128=1 user_data_64=2 user_data_32=3\n";

static const char adjust_limits[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A4 debits_must_not_exceed_credits | created\n"
    "account A5 credits_must_not_exceed_debits | created\n"
    "account A6 | created\n"
    "account A7 | created\n"
    "account A8 | created\n"
    "\n"
    "transfer T1 A1 A4 100 | created\n"
    "transfer T2 A5 A1 100 | created\n"
    "pending  T3 A4 A2 60 | created\n"
    "pending  T4 A2 A5 60 | created\n"
    "adjust   T11 T3 41 | exceeds_credits\n"
    "adjust   T11 T3 1 | id_already_failed\n"
    "adjust   T12 T4 41 | exceeds_debits\n"
    "adjust   T12 T4 1 | id_already_failed\n"
    "adjust   T13 T3 40 | created\n"
    "adjust   T14 T4 40 | created\n"
    "adjust   T15 T3 0 | created\n"
    "adjust   T16 T3 1 | exceeds_credits\n"
    "\n"
    "balance A4 100 0 0 100\n"
    "balance A5 0 100 100 0\n"
    "payment T3 100 0 100\n"
    /* A6: 1 debit pending. A7: 1 credit posted. A8: 1 debit posted, 1 pending. */
    "pending  T21 A6 A3 1 | created\n"
    "pending  T22 A3 A7 0 | created\n"
    "transfer T23 A1 A7 1 | created\n"
    "pending  T24 A8 A3 1 | created\n"
    "transfer T25 A8 A3 1 | created\n"
    "\n"
    "save\n"
    "adjust   T30 T21 max | overflows_debits_pending\n"
    "adjust   T30 T22 max | overflows_credits_posted\n"
    "adjust   T30 T24 max | overflows_debits_pending\n"
    "adjust   T30 T24 max-1 | overflows_credits_pending\n"
    "\n"
    "unchanged\n"
    "adjust   T31 T22 7 | created\n"
    "\n"
    "payment T22 7 0 7\n"
    "balance A7 0 0 7 1\n";

static const char adjust_overflows[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A4 | created\n"
    "account A9 | created\n"
    "\n"
    "transfer T1 A1 A9 1 | created\n"
    "transfer T2 A9 A3 1 | created\n"
    "pending  T3 A1 A2 1 | created\n"
    "pending  T4 A4 A3 1 | created\n"
    "\n"
    "adjust T5 T3 max-1 | overflows_debits\n"
    "adjust T5 T4 max-1 | overflows_credits\n"
    "adjust T5 T3 max | overflows_debits_pending\n"
    "adjust T5 T3 max-2 | created\n"
    "\n"
    "balance A1 max-1 1 0 0\n"
    "payment T3 max-1 0 max-1\n"
    "post T6 T3 max | created\n"
    "\n"
    "balance A1 0 max 0 0\n"
    "stored post T6 T3 max-1 debit=A1 credit=A2 ledger=1 code=1\n";

/* The latest deadline is 2^63-1, for an adjust as for a hold. */
static const char adjust_overflows_timeout[] =
    "at 5000000000000000000\n"
    "account A1 | created\n"
    "account A2 | created\n"
    "account A4 debits_must_not_exceed_credits | created\n"
    "\n"
    "pending T1 A1 A2 1 timeout=1 | created\n"
    "pending T2 A1 A2 1 | created\n"
    "pending T3 A4 A2 0 | created\n"
    "\n"
    "adjust T4 T1 0 timeout=0xffffffff | overflows_timeout\n"
    "adjust T4 T2 0 timeout=0xffffffff | overflows_timeout\n"
    "adjust T4 T3 1 timeout=0xffffffff | overflows_timeout\n"
    "adjust T4 T1 0 timeout=4000000000 | created\n"
    "\n"
    "at @T4+4000000000s-1\n"
    "expire | 0\n"
    "at @T4+4000000000s\n"
    "expire | 1\n";

static const char adjust_deadlines[] = "account A1 | created\n"
                                       "account A2 | created\n"
                                       "\n"
                                       "pending T1 A1 A2 10 timeout=5 | created\n"
                                       "pending T2 A1 A2 20 timeout=5 | created\n"
                                       "pending T3 A1 A2 40 | created\n"
                                       "pending T4 A1 A2 80 timeout=5 | created\n"
                                       "\n"
                                       "at @T1+1s\n"
                                       /* Earlier than it was: it stays. */
                                       "adjust T11 T1 0 timeout=3 | created\n"
                                       "adjust T12 T2 5 timeout=9 | created\n"
                                       /* Without a deadline there is none. */
                                       "adjust T13 T3 5 timeout=1 | created\n"
                                       "adjust T14 T4 5 | created\n"
                                       "\n"
                                       "at @T1+5s-1\n"
                                       "expire | 0\n"
                                       "at @T1+5s\n"
                                       "expire | 1\n"
                                       "balance A1 155 0 0 0\n"
                                       "at @T4+5s\n"
                                       "post T15 T4 max | pending_transfer_expired\n"
                                       "post T16 T2 1 keep_open | created\n"
                                       "expire | 1\n"
                                       "balance A1 69 1 0 0\n"
                                       "payment T4 85 0 85\n"
                                       "at @T12+9s-1\n"
                                       "post T17 T2 1 keep_open | created\n"
                                       "post T18 T2 1 keep_open | pending_transfer_expired\n"
                                       "adjust T18 T2 1 timeout=1 | adjust_target_not_open\n"
                                       "\n"
                                       "expire | 1\n"
                                       "expire | 0\n"
                                       "balance A1 45 2 0 0\n"
                                       "balance A2 0 0 45 2\n"
                                       "payment T1 10 0 10\n"
                                       "payment T2 25 2 23\n"
                                       "payment T3 45 0 45\n";

/* A deadline that was moved counts where it is now; of two equal ones the earlier transfer's. */
static const char adjust_ties[] = "account A1 | created\n"
                                  "account A2 | created\n"
                                  "\n"
                                  "pending T1 A1 A2 1 timeout=2 | created\n"
                                  "pending T2 A1 A2 2 timeout=4 | created\n"
                                  "pending T3 A1 A2 4 timeout=4 | created\n"
                                  "pending T4 A1 A2 8 timeout=3 | created\n"
                                  "pending T5 A1 A2 16 timeout=1 | created\n"
                                  "\n"
                                  /* T1 to the deadline of T2, T4 to that of T3, T5 behind all. */
                                  "at @T2+1s\n"
                                  "adjust T11 T1 0 timeout=3 | created\n"
                                  "adjust T12 T4 0 timeout=3 | created\n"
                                  "adjust T13 T5 0 timeout=9 | created\n"
                                  "\n"
                                  "at @T3+4s-2\n"
                                  "expire | 0\n"
                                  "at @T3+4s\n"
                                  "expire 1 | 1\n"
                                  "balance A1 30 0 0 0\n"
                                  "expire 1 | 1\n"
                                  "balance A1 28 0 0 0\n"
                                  "expire 1 | 1\n"
                                  "balance A1 24 0 0 0\n"
                                  "expire 1 | 1\n"
                                  "balance A1 16 0 0 0\n"
                                  "expire 1 | 0\n"
                                  "at @T13+9s\n"
                                  "expire | 1\n"
                                  "balance A1 0 0 0 0\n";

/* ---- Returns ----------------------------------------------------------------------------- */

static const char return_rules[] =
    "account A1 user_data_128=7 | created\n"
    "account A2 user_data_128=8 | created\n"
    "account A3 | created\n"
    "account A4 | created\n"
    "account A5 ledger=2 | created\n"
    "account A6 closed | created\n"
    "account A11 user_data_128=7 | created\n"
    "account A12 user_data_128=8 | created\n"
    "\n"
    "transfer T1 A1 A2 100 | created\n"
    "pending  T2 A1 A2 100 | created\n"
    "pending  T3 A1 A2 100 | created\n"
    "pending  T4 A1 A2 100 | created\n"
    "post     T5 T2 30 keep_open | created\n"
    "void     T6 T3 30 keep_open | created\n"
    "adjust   T7 T2 10 | created\n"
    "post     T8 T4 max | created\n"
    "transfer T9 A3 A4 100 | created\n"
    "transfer T90 A1 A99 1 | credit_account_not_found\n"
    "\n"
    "return T20 0 A2 A1 5 | pending_id_must_not_be_zero\n"
    "return T20 max A2 A1 5 | pending_id_must_not_be_int_max\n"
    "return T20 T20 A2 A1 5 | pending_id_must_be_different\n"
    "return T20 T1 A2 A1 5 timeout=1 | timeout_reserved_for_pending_transfer\n"
    "return T20 T1 0 A1 5 | debit_account_id_must_not_be_zero\n"
    "return T20 T1 A2 0 5 | credit_account_id_must_not_be_zero\n"
    "return T20 T1 A2 A2 5 | accounts_must_be_different\n"
    "return T20 T1 A2 A1 5 ledger=0 | ledger_must_not_be_zero\n"
    "return T20 T1 A2 A1 5 code=0 | code_must_not_be_zero\n"
    "return T20 T1 A2 A5 5 | accounts_must_have_the_same_ledger\n"
    "return T20 T1 A2 A1 5 ledger=2 | transfer_must_have_the_same_ledger_as_accounts\n"
    "return T21 T1 A99 A1 5 | debit_account_not_found\n"
    "return T22 T1 A6 A1 5 | debit_account_already_closed\n"
    "return T23 T1 A2 A6 5 fact | credit_account_already_closed\n"
    "return T24 T99 A2 A1 5 | origin_not_found\n"
    "return T24 T1 A2 A1 5 | id_already_failed\n"
    "return T25 T90 A2 A1 5 fact | origin_not_found\n"
    "return T20 T2 A2 A1 5 | origin_not_returnable\n"
    "return T20 T3 A2 A1 5 fact | origin_not_returnable\n"
    "return T20 T4 A2 A1 5 | origin_not_returnable\n"
    "return T20 T6 A2 A1 5 | origin_not_returnable\n"
    "return T20 T7 A2 A1 5 | origin_not_returnable\n"
    /* The same direction; neither side is the origin's own; nobody's accounts. */
    "return T20 T1 A1 A2 5 | origin_has_different_accounts\n"
    "return T20 T1 A11 A12 5 | origin_has_different_accounts\n"
    "return T20 T1 A12 A11 5 fact | origin_has_different_accounts\n"
    "return T20 T1 A2 A12 5 | origin_has_different_accounts\n"
    "return T20 T1 A3 A1 5 | origin_has_different_accounts\n"
    "return T20 T1 A2 A3 5 | origin_has_different_accounts\n"
    "return T20 T9 A1 A3 5 | origin_has_different_accounts\n"
    "return T20 T9 A4 A1 5 | origin_has_different_accounts\n"
    "return T20 T9 A4 A11 101 | origin_has_different_accounts\n"
    "return T26 T1 A2 A1 101 | exceeds_origin_amount\n"
    "return T26 T1 A2 A1 5 | id_already_failed\n"
    "\n"
    "no_payment T1\n"
    "missing T20 T21 T22 T23 T24 T25 T26\n"
    /* None of these spent the id. Then the other account of either owner, and a post. */
    "return T20 T1 A2 A1 5 | created\n"
    "return T31 T1 A2 A11 6 | created\n"
    "return T32 T1 A12 A1 7 | created\n"
    "return T33 T5 A2 A1 8 | created\n"
    "return T34 T8 A12 A1 9 code=77 user_data_64=5 | created\n"
    "return T35 T9 A4 A3 10 | created\n"
    "\n"
    "stored return T34 T8 A12 A1 9 code=77 user_data_64=5\n"
    "payment T1 100 18 0\n"
    "payment T5 30 8 0\n"
    "payment T8 100 9 0\n"
    "payment T9 100 10 0\n"
    "payment T20 5 0 0 depth=1\n"
    "payment T31 6 0 0 depth=1\n"
    "balance A2 0 19 150 230\n"
    "balance A12 0 16 0 0\n"
    "balance A11 0 0 0 6\n"
    "balance A1 150 230 0 29\n";

static const char return_caps[] = "account A1 | created\n"
                                  "account A2 | created\n"
                                  "\n"
                                  "transfer T1 A1 A2 100 | created\n"
                                  "return T2 T1 A2 A1 60 | created\n"
                                  "return T3 T1 A2 A1 41 | exceeds_origin_amount\n"
                                  "\n"
                                  "payment T1 100 60 0\n"
                                  /* A return of the return gives back what it took. */
                                  "return T4 T2 A1 A2 25 | created\n"
                                  "\n"
                                  "payment T1 100 35 0\n"
                                  "payment T2 60 25 0 depth=1\n"
                                  "payment T4 25 0 0 depth=2\n"
                                  "return T5 T1 A2 A1 66 | exceeds_origin_amount\n"
                                  "return T6 T1 A2 A1 65 | created\n"
                                  "return T7 T2 A1 A2 36 | exceeds_origin_amount\n"
                                  "\n"
                                  "payment T1 100 100 0\n"
                                  /* Of T4, and so of T1, too, which has none left. */
                                  "return T8 T4 A2 A1 1 | exceeds_origin_amount\n"
                                  "return T9 T4 A2 A1 max | exceeds_origin_amount\n"
                                  "return T10 T4 A2 A1 max fact | exceeds_origin_amount\n"
                                  "return T11 T4 A2 A1 0 | created\n"
                                  "return T12 T4 A2 A1 10 fact | created\n"
                                  "\n"
                                  "payment T1 100 110 0\n"
                                  "payment T2 60 15 0 depth=1\n"
                                  "payment T4 25 10 0 depth=2\n"
                                  "payment T11 0 0 0 depth=3\n"
                                  "payment T12 10 0 0 depth=3 over_cap\n"
                                  /* The rest: of T2 it is 45. */
                                  "return T13 T2 A1 A2 max | created\n"
                                  "\n"
                                  "stored return T13 T2 A1 A2 45\n"
                                  "payment T1 100 65 0\n"
                                  "payment T2 60 60 0 depth=1\n"
                                  "return T14 T2 A1 A2 max | exceeds_origin_amount\n"
                                  "return T15 T2 A1 A2 0 | created\n"
                                  /* The least of the levels: T4 has 15 left, T1 has 35. */
                                  "return T16 T4 A2 A1 max | created\n"
                                  "\n"
                                  "stored return T16 T4 A2 A1 15\n"
                                  "payment T1 100 80 0\n"
                                  "payment T2 60 45 0 depth=1\n"
                                  /* T13 has 45, T1 has 20. */
                                  "return T17 T13 A2 A1 max | created\n"
                                  "\n"
                                  "stored return T17 T13 A2 A1 20\n"
                                  "payment T1 100 100 0\n"
                                  "payment T2 60 25 0 depth=1\n"
                                  "payment T13 45 20 0 depth=2\n"
                                  /* Sums do not go below zero. */
                                  "return T18 T2 A1 A2 35 | created\n"
                                  "return T19 T2 A1 A2 90 fact | created\n"
                                  "\n"
                                  "payment T1 100 0 0\n"
                                  "payment T2 60 150 0 depth=1\n"
                                  "payment T19 90 0 0 depth=2 over_cap\n"
                                  "return T20 T1 A2 A1 101 fact | created\n"
                                  "return T21 T1 A2 A1 max fact | exceeds_origin_amount\n"
                                  "\n"
                                  "payment T1 100 101 0\n"
                                  "payment T20 101 0 0 depth=1 over_cap\n"
                                  "missing T3 T5 T7 T8 T9 T10 T14 T21\n";

/* Returns of returns: the sixth is the last. */
static const char return_depth[] = "account A1 | created\n"
                                   "account A2 | created\n"
                                   "\n"
                                   "transfer T10 A1 A2 100 | created\n"
                                   "return T11 T10 A2 A1 100 | created\n"
                                   "return T12 T11 A1 A2 90 | created\n"
                                   "return T13 T12 A2 A1 80 | created\n"
                                   "return T14 T13 A1 A2 70 | created\n"
                                   "\n"
                                   "payment T10 100 20 0\n"
                                   "payment T11 100 80 0 depth=1\n"
                                   "payment T12 90 10 0 depth=2\n"
                                   "payment T13 80 70 0 depth=3\n"
                                   "return T15 T14 A2 A1 60 | created\n"
                                   "\n"
                                   "payment T10 100 80 0\n"
                                   "payment T11 100 20 0 depth=1\n"
                                   "payment T12 90 70 0 depth=2\n"
                                   "payment T13 80 10 0 depth=3\n"
                                   "payment T14 70 60 0 depth=4\n"
                                   "return T16 T15 A1 A2 50 pending | created\n"
                                   "\n"
                                   "payment T10 100 80 0\n"
                                   "payment T11 100 70 0 depth=1\n"
                                   "payment T12 90 70 0 depth=2\n"
                                   "payment T13 80 60 0 depth=3\n"
                                   "payment T14 70 60 0 depth=4\n"
                                   "payment T15 60 50 0 depth=5\n"
                                   "payment T16 50 0 50 depth=6\n"
                                   "post T17 T16 50 | created\n"
                                   "\n"
                                   "payment T10 100 30 0\n"
                                   "payment T11 100 70 0 depth=1\n"
                                   "payment T12 90 20 0 depth=2\n"
                                   "payment T13 80 60 0 depth=3\n"
                                   "payment T14 70 10 0 depth=4\n"
                                   "payment T15 60 50 0 depth=5\n"
                                   "payment T16 50 50 50 depth=6\n"
                                   "payment T17 50 0 0 depth=6\n"
                                   "return T18 T17 A2 A1 1 | origin_not_returnable\n"
                                   "return T18 T17 A2 A1 1 fact pending | origin_not_returnable\n"
                                   "return T18 T15 A1 A2 10 | created\n"
                                   "return T19 T18 A2 A1 1 | origin_not_returnable\n"
                                   "\n"
                                   "balance A1 0 320 0 240\n"
                                   "balance A2 0 240 0 320\n"
                                   "missing T19\n";

static const char return_pending[] = "account A1 | created\n"
                                     "account A2 | created\n"
                                     "\n"
                                     "transfer T1 A1 A2 100 | created\n"
                                     "return T2 T1 A2 A1 60 pending timeout=9 | created\n"
                                     "\n"
                                     "balance A2 60 0 0 100\n"
                                     "payment T1 100 60 0\n"
                                     "payment T2 60 0 60 depth=1\n"
                                     "return T3 T2 A1 A2 5 | origin_not_returnable\n"
                                     "return T4 T1 A2 A1 41 | exceeds_origin_amount\n"
                                     "post T5 T2 20 keep_open | created\n"
                                     "\n"
                                     "payment T1 100 60 0\n"
                                     "payment T2 60 20 40 depth=1\n"
                                     "payment T5 20 0 0 depth=1\n"
                                     "return T6 T5 A1 A2 15 | created\n"
                                     "\n"
                                     "payment T1 100 45 0\n"
                                     "payment T5 20 15 0 depth=1\n"
                                     "payment T6 15 0 0 depth=2\n"
                                     "void T7 T2 10 keep_open | created\n"
                                     "\n"
                                     "payment T1 100 35 0\n"
                                     "payment T2 60 20 30 depth=1\n"
                                     "adjust T8 T2 30 | created\n"
                                     "\n"
                                     "payment T1 100 65 0\n"
                                     "payment T2 90 20 60 depth=1\n"
                                     "adjust T9 T2 36 | exceeds_origin_amount\n"
                                     "adjust T9 T2 1 | id_already_failed\n"
                                     "adjust T10 T2 max | exceeds_origin_amount\n"
                                     "post T11 T2 50 | created\n"
                                     "\n"
                                     "payment T1 100 55 0\n"
                                     "payment T2 90 70 60 depth=1\n"
                                     "payment T11 50 0 0 depth=1\n"
                                     "no_payment T7 T8\n"
                                     "balance A1 0 115 0 70\n"
                                     "balance A2 0 70 0 115\n"
                                     /* Voided: all of it comes back. */
                                     "return T12 T1 A2 A1 max pending | created\n"
                                     "return T13 T1 A2 A1 1 | exceeds_origin_amount\n"
                                     "void T14 T12 0 | created\n"
                                     "\n"
                                     "stored return T12 T1 A2 A1 45 pending\n"
                                     "payment T1 100 55 0\n"
                                     "payment T12 45 0 45 depth=1\n"
                                     "no_payment T14\n"
                                     "return T15 T14 A1 A2 1 | origin_not_returnable\n"
                                     /* Expired: what was left of it. */
                                     "return T16 T1 A2 A1 45 pending timeout=5 | created\n"
                                     "post T17 T16 5 keep_open | created\n"
                                     "\n"
                                     "payment T1 100 100 0\n"
                                     "at @T16+5s\n"
                                     "expire | 1\n"
                                     "payment T1 100 60 0\n"
                                     "payment T16 45 5 40 depth=1\n"
                                     "balance A2 0 75 0 115\n";

/* A pending return of a return gives back to the payment only what of it is posted. */
static const char return_pending_levels[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "transfer T1 A1 A2 100 | created\n"
    "return T2 T1 A2 A1 80 | created\n"
    "return T3 T2 A1 A2 50 pending | created\n"
    "\n"
    "payment T1 100 80 0\n"
    "payment T2 80 50 0 depth=1\n"
    "payment T3 50 0 50 depth=2\n"
    "post T4 T3 10 keep_open | created\n"
    "\n"
    "payment T1 100 70 0\n"
    "payment T2 80 50 0 depth=1\n"
    "adjust T5 T3 31 | exceeds_origin_amount\n"
    "adjust T6 T3 30 | created\n"
    "\n"
    "payment T1 100 70 0\n"
    "payment T2 80 80 0 depth=1\n"
    /* Of the part that was posted: T4, and T1 two levels above. */
    "return T7 T4 A2 A1 max pending | created\n"
    "\n"
    "stored return T7 T4 A2 A1 10 pending\n"
    "payment T1 100 80 0\n"
    "payment T2 80 80 0 depth=1\n"
    "payment T4 10 10 0 depth=2\n"
    "post T8 T7 4 | created\n"
    "\n"
    "payment T1 100 74 0\n"
    "payment T2 80 76 0 depth=1\n"
    "payment T4 10 4 0 depth=2\n"
    "payment T7 10 4 10 depth=3\n"
    "payment T8 4 0 0 depth=3\n"
    "void T9 T3 0 | created\n"
    "\n"
    "payment T2 80 6 0 depth=1\n"
    "payment T1 100 74 0\n"
    "balance A1 0 110 0 84\n"
    "balance A2 0 84 0 110\n";

/* Facts of pending returns, over the cap, over the hold, over a limit. */
static const char return_facts[] =
    "account A1 | created\n"
    "account A2 debits_must_not_exceed_credits | created\n"
    "\n"
    "transfer T1 A1 A2 100 | created\n"
    "transfer T2 A2 A1 70 | created\n"
    "return T3 T1 A2 A1 40 | exceeds_credits\n"
    "return T4 T1 A2 A1 30 pending fact | created\n"
    "return T5 T1 A2 A1 10 pending fact | created\n"
    "\n"
    "payment T1 100 40 0\n"
    "payment T4 30 0 30 depth=1\n"
    "payment T5 10 0 10 depth=1 negative\n"
    "post T6 T4 110 fact | created\n"
    "\n"
    "balance A2 10 180 0 100\n"
    "payment T1 100 120 0\n"
    "payment T4 30 110 30 depth=1\n"
    "payment T6 110 0 0 depth=1 over_cap negative\n"
    "return T7 T1 A2 A1 max fact | exceeds_origin_amount\n"
    "return T8 T1 A2 A1 1 fact | created\n"
    "return T9 T1 A2 A1 1 pending fact | created\n"
    "\n"
    "payment T8 1 0 0 depth=1 over_cap negative\n"
    "payment T9 1 0 1 depth=1 over_cap negative\n"
    "payment T1 100 122 0\n"
    "void T10 T9 0 | created\n"
    "void T11 T5 0 | created\n"
    "\n"
    "payment T1 100 111 0\n"
    "payment T9 1 0 1 depth=1 over_cap negative\n"
    /* What was posted over its cap can be returned as a whole, and gives back as much. */
    "return T12 T6 A1 A2 max | created\n"
    "\n"
    "stored return T12 T6 A1 A2 110\n"
    "payment T1 100 1 0\n"
    "payment T6 110 110 0 depth=1 over_cap negative\n"
    "balance A2 0 181 0 210\n"
    /* More of a partial capture than the return had left. */
    "return T13 T1 A2 A1 20 pending fact | created\n"
    "post T14 T13 15 keep_open fact | created\n"
    "post T15 T13 15 keep_open fact | created\n"
    "\n"
    "payment T1 100 31 0\n"
    "payment T13 20 30 0 depth=1\n"
    "payment T14 15 0 0 depth=1\n"
    "payment T15 15 0 0 depth=1 over_cap negative\n";

/* What a capture took is a payment of its own. */
static const char return_captures[] = "account A1 | created\n"
                                      "account A2 | created\n"
                                      "\n"
                                      "pending T1 A1 A2 100 | created\n"
                                      "post T2 T1 30 keep_open | created\n"
                                      "post T3 T1 50 keep_open | created\n"
                                      "post T4 T1 0 | created\n"
                                      "return T5 T2 A2 A1 31 | exceeds_origin_amount\n"
                                      "return T6 T2 A2 A1 max | created\n"
                                      "return T7 T3 A2 A1 20 | created\n"
                                      "return T8 T4 A2 A1 max | exceeds_origin_amount\n"
                                      "return T9 T4 A2 A1 0 | created\n"
                                      "return T10 T1 A2 A1 1 | origin_not_returnable\n"
                                      "\n"
                                      "payment T1 100 80 20\n"
                                      "payment T2 30 30 0\n"
                                      "payment T3 50 20 0\n"
                                      "payment T4 0 0 0\n"
                                      "stored return T6 T2 A2 A1 30\n"
                                      "balance A1 0 80 0 50\n";

/* The amount is decided before it can overflow, and a fact overflows as anything does. */
static const char return_overflows[] = "account A1 user_data_128=1 | created\n"
                                       "account A2 user_data_128=2 | created\n"
                                       "account A3 | created\n"
                                       "account A4 | created\n"
                                       "account A5 | created\n"
                                       "\n"
                                       "transfer T1 A1 A2 5 | created\n"
                                       "transfer T2 A2 A3 max | created\n"
                                       "transfer T3 A4 A5 max | created\n"
                                       "return T10 T1 A2 A1 5 | overflows_debits_posted\n"
                                       "return T10 T1 A2 A1 max | overflows_debits_posted\n"
                                       "return T10 T1 A2 A1 9 fact | overflows_debits_posted\n"
                                       "return T10 T1 A2 A1 5 pending | overflows_debits_posted\n"
                                       "return T11 T1 A2 A1 6 | exceeds_origin_amount\n"
                                       "\n"
                                       "no_payment T1\n"
                                       "return T12 T3 A5 A4 max | created\n"
                                       "\n"
                                       "payment T3 max max 0\n"
                                       "balance A5 0 max 0 max\n";

/* ---- Ids that exist ---------------------------------------------------------------------- */

static const char exists_captures[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "pending T1 A1 A2 100 code=6 user_data_64=2 | created\n"
    "pending T2 A1 A2 100 | created\n"
    "pending T3 A1 A2 100 | created\n"
    "pending T4 A1 A2 100 | created\n"
    "post T11 T1 30 keep_open | created\n"
    "void T12 T1 20 keep_open | created\n"
    "adjust T13 T1 10 timeout=5 | created\n"
    "post T14 T1 max | created\n"
    "post T21 T2 40 keep_open | created\n"
    "post T22 T2 50 | created\n"
    "void T31 T3 10 keep_open | created\n"
    "void T32 T3 0 | created\n"
    "post T41 T4 130 fact | created\n"
    "\n"
    "save\n"
    "post T11 T1 30 keep_open | exists\n"
    "post T11 T1 30 keep_open debit=A1 credit=A2 ledger=1 code=6 user_data_64=2 | exists\n"
    "post T11 T1 30 | exists_with_different_flags\n"
    "post T11 T1 30 keep_open fact | exists_with_different_flags\n"
    "post T11 T1 30 keep_open no_limit | exists_with_different_flags\n"
    "post T11 T2 30 keep_open | exists_with_different_pending_id\n"
    "post T11 T1 30 keep_open timeout=1 | exists_with_different_timeout\n"
    "post T11 T1 30 keep_open debit=A2 | exists_with_different_debit_account_id\n"
    "post T11 T1 31 keep_open | exists_with_different_amount\n"
    "post T11 T1 max keep_open | exists_with_different_amount\n"
    "post T11 T1 0 keep_open | exists_with_different_amount\n"
    "post T11 T1 30 keep_open user_data_64=3 | exists_with_different_user_data_64\n"
    "post T11 T1 30 keep_open code=1 | exists_with_different_code\n"
    "void T12 T1 20 keep_open | exists\n"
    "void T12 T1 0 keep_open | exists_with_different_amount\n"
    "void T12 T1 20 keep_open ledger=2 | exists_with_different_ledger\n"
    "void T12 T1 20 | exists_with_different_flags\n"
    "adjust T13 T1 10 timeout=5 | exists\n"
    "adjust T13 T1 10 timeout=5 debit=A1 credit=A2 ledger=1 code=6 user_data_64=2 | exists\n"
    "adjust T13 T1 10 | exists_with_different_timeout\n"
    "adjust T13 T2 10 timeout=5 | exists_with_different_pending_id\n"
    "adjust T13 T1 0 timeout=5 | exists_with_different_amount\n"
    "adjust T13 T1 max timeout=5 | exists_with_different_amount\n"
    "adjust T13 T1 10 timeout=5 credit=A1 | exists_with_different_credit_account_id\n"
    "adjust T13 T1 10 timeout=5 user_data_64=1 | exists_with_different_user_data_64\n"
    "pending T13 A1 A2 10 timeout=5 pending_id=T1 | exists_with_different_flags\n"
    /* Whether all was taken goes by what was left at that time. */
    "post T14 T1 max | exists\n"
    "post T14 T1 60 | exists\n"
    "post T14 T1 100 | exists_with_different_amount\n"
    "post T22 T2 50 | exists\n"
    "post T22 T2 max | exists_with_different_amount\n"
    "post T22 T2 60 | exists_with_different_amount\n"
    "void T32 T3 0 | exists\n"
    "void T32 T3 90 | exists\n"
    "void T32 T3 100 | exists_with_different_amount\n"
    "post T41 T4 130 fact | exists\n"
    "post T41 T4 100 fact | exists_with_different_amount\n"
    "post T41 T4 130 | exists_with_different_flags\n"
    "pending T1 A1 A2 100 code=6 user_data_64=2 | exists\n"
    "pending T1 A1 A2 110 code=6 user_data_64=2 | exists_with_different_amount\n"
    "\n"
    "unchanged\n";

static const char exists_returns[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "transfer T1 A1 A2 100 | created\n"
    "return T2 T1 A2 A1 max | created\n"
    "return T3 T2 A1 A2 40 pending timeout=60 | created\n"
    "return T4 T2 A1 A2 70 fact | created\n"
    "transfer T5 A1 A2 5 fact | created\n"
    "\n"
    "save\n"
    "return T2 T1 A2 A1 max | exists\n"
    "return T2 T1 A2 A1 100 | exists\n"
    "return T2 T1 A2 A1 99 | exists_with_different_amount\n"
    "return T2 T1 A2 A1 0 | exists_with_different_amount\n"
    "return T2 T4 A2 A1 100 | exists_with_different_pending_id\n"
    "return T2 0 A2 A1 100 | exists_with_different_pending_id\n"
    "return T2 T1 A2 A1 100 timeout=1 | exists_with_different_timeout\n"
    "return T2 T1 0 A1 100 | exists_with_different_debit_account_id\n"
    "return T2 T1 A2 0 max | exists_with_different_credit_account_id\n"
    "return T2 T1 A2 A1 100 code=0 | exists_with_different_code\n"
    "return T2 T1 A2 A1 max ledger=0 | exists_with_different_ledger\n"
    "return T2 T1 A2 A1 100 user_data_128=1 | exists_with_different_user_data_128\n"
    "return T2 T1 A2 A1 100 fact | exists_with_different_flags\n"
    "transfer T2 A2 A1 100 | exists_with_different_flags\n"
    "return T3 T2 A1 A2 40 pending timeout=60 | exists\n"
    "return T3 T2 A1 A2 max pending timeout=60 | exists\n"
    "return T3 T2 A1 A2 41 pending timeout=60 | exists_with_different_amount\n"
    "return T4 T2 A1 A2 max fact | exists\n"
    "return T4 T2 A1 A2 70 fact | exists\n"
    "return T4 T2 A1 A2 60 fact | exists_with_different_amount\n"
    "transfer T5 A1 A2 max fact | exists_with_different_amount\n"
    "transfer T5 A1 A2 5 fact | exists\n"
    "\n"
    "unchanged\n"
    "payment T1 100 30 0\n"
    "payment T2 100 110 0 depth=1\n"
    "payment T4 70 0 0 depth=2 over_cap\n";

/* ---- Chains and imports ------------------------------------------------------------------ */

static const char chains[] = "account A1 | created\n"
                             "account A2 | created\n"
                             "account A3 debits_must_not_exceed_credits | created\n"
                             "\n"
                             "transfer T1 A1 A2 100 | created\n"
                             "pending  T2 A1 A2 100 timeout=5 | created\n"
                             "return   T3 T1 A2 A1 40 pending timeout=60 | created\n"
                             "pending  T4 A1 A2 100 | created\n"
                             "return   T5 T1 A2 A1 10 | created\n"
                             "\n"
                             "save\n"
                             "post   T11 T2 30 keep_open linked | linked_event_failed\n"
                             "adjust T12 T2 50 timeout=30 linked | linked_event_failed\n"
                             "void   T13 T2 5 keep_open linked | linked_event_failed\n"
                             "post   T14 T2 200 fact linked | linked_event_failed\n"
                             "return T15 T1 A2 A1 5 linked | linked_event_failed\n"
                             "return T16 T5 A1 A2 max linked | linked_event_failed\n"
                             "return T17 T14 A2 A1 300 fact linked | linked_event_failed\n"
                             "post   T18 T3 20 keep_open linked | linked_event_failed\n"
                             "adjust T19 T3 20 timeout=90 linked | linked_event_failed\n"
                             "post   T20 T3 50 fact linked | linked_event_failed\n"
                             "return T21 T20 A1 A2 1 linked | linked_event_failed\n"
                             "void   T22 T4 10 keep_open linked | linked_event_failed\n"
                             "void   T23 T4 90 linked | linked_event_failed\n"
                             "transfer T24 A3 A2 9 fact linked | linked_event_failed\n"
                             "return T25 T24 A2 A3 max pending linked | linked_event_failed\n"
                             "transfer T26 A1 A2 1 code=0 | code_must_not_be_zero\n"
                             "\n"
                             "unchanged\n"
                             "no_payment T2 T4 T14 T15 T16 T17 T18 T20 T21 T24 T25\n"
                             "payment T1 100 50 0\n"
                             "payment T3 40 0 40 depth=1\n"
                             "payment T5 10 0 0 depth=1\n"
                             /* Only what failed for a transient reason spends its id. */
                             "post   T11 T2 30 keep_open linked | linked_event_failed\n"
                             "return T15 T1 A2 A1 51 linked | exceeds_origin_amount\n"
                             "return T16 T5 A1 A2 max | linked_event_failed\n"
                             "\n"
                             "unchanged burnt\n"
                             "return T15 T1 A2 A1 50 | id_already_failed\n"
                             "\n"
                             /* The same for good, and once more as a retry. */
                             "post   T11 T2 30 keep_open linked | created\n"
                             "adjust T12 T2 50 timeout=30 linked | created\n"
                             "void   T13 T2 5 keep_open linked | created\n"
                             "return T16 T5 A1 A2 max linked | created\n"
                             "post   T18 T3 20 keep_open linked | created\n"
                             "return T27 T18 A1 A2 max fact | created\n"
                             "\n"
                             "payment T1 100 20 0\n"
                             "save\n"
                             "post   T11 T2 30 keep_open linked | exists\n"
                             "adjust T12 T2 50 timeout=30 linked | exists\n"
                             "void   T13 T2 5 keep_open linked | exists\n"
                             "return T16 T5 A1 A2 max linked | exists\n"
                             "post   T18 T3 20 keep_open linked | exists\n"
                             "return T27 T18 A1 A2 max fact | exists\n"
                             "\n"
                             "unchanged\n"
                             "payment T2 150 30 115\n"
                             "payment T5 10 10 0 depth=1\n"
                             "payment T18 20 20 0 depth=1\n"
                             "at @T2+5s\n"
                             "expire | 0\n"
                             "post   T28 T2 max | created\n"
                             "\n"
                             "balance A1 100 275 20 30\n";

/* Within a chain the sums are seen at once, and a hold may begin and end. */
static const char chains_within[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "transfer T1 A1 A2 10 linked | created\n"
    "return   T2 T1 A2 A1 8 pending linked | created\n"
    "post     T3 T2 3 keep_open linked | created\n"
    "adjust   T4 T2 1 linked | created\n"
    "void     T5 T2 0 linked | created\n"
    "return   T6 T1 A2 A1 max | created\n"
    "\n"
    "stored void T5 T2 6 linked debit=A2 credit=A1 ledger=1 code=1\n"
    "stored return T6 T1 A2 A1 7\n"
    "payment T1 10 10 0\n"
    "payment T2 9 3 6 depth=1\n"
    "return T7 T6 A1 A2 7 linked | linked_event_failed\n"
    "return T8 T1 A2 A1 8 | exceeds_origin_amount\n"
    "return T7 T6 A1 A2 7 linked | created\n"
    "return T9 T1 A2 A1 7 | created\n"
    "\n"
    "payment T1 10 10 0\n"
    "payment T6 7 7 0 depth=1\n";

static const char imports[] =
    "account A1 imported timestamp=10 | created\n"
    "account A2 imported timestamp=20 | created\n"
    "account A3 imported timestamp=1000 | created\n"
    "\n"
    "transfer T1 A1 A2 100 imported timestamp=30 | created\n"
    "pending  T2 A1 A2 50 imported timestamp=31 | created\n"
    "return   T3 T1 A2 A1 5 imported timestamp=31 | imported_event_timestamp_must_not_regress\n"
    "return   T3 T1 A2 A1 5 imported pending timeout=1 timestamp=32 "
    "| imported_event_timeout_must_be_zero\n"
    "return   T3 T1 A2 A1 5 imported timestamp=32 | created\n"
    "adjust   T4 T2 5 imported timestamp=32 | imported_event_timestamp_must_not_regress\n"
    "adjust   T4 T2 5 imported timestamp=1000 timeout=1 "
    "| imported_event_timestamp_must_not_regress\n"
    "adjust   T4 T2 5 imported timestamp=33 timeout=1 | imported_event_timeout_must_be_zero\n"
    "adjust   T4 T2 5 imported timestamp=33 | created\n"
    "post     T5 T2 5 keep_open imported timestamp=33 "
    "| imported_event_timestamp_must_not_regress\n"
    "post     T5 T2 5 keep_open imported timestamp=34 | created\n"
    "void     T6 T2 5 keep_open imported timestamp=35 | created\n"
    "post     T7 T2 50 fact imported timestamp=36 | created\n"
    "return   T8 T7 A2 A1 50 fact pending imported timestamp=37 | created\n"
    "\n"
    "payment T1 100 5 0\n"
    "payment T2 55 55 45\n"
    "payment T7 50 50 0 over_cap\n"
    "payment T8 50 0 50 depth=1\n"
    "stored post T5 T2 5 keep_open imported debit=A1 credit=A2 ledger=1 code=1\n"
    "balance A1 0 155 50 5\n";

/* ---- The tests --------------------------------------------------------------------------- */

static void by_the_ledger(const char *script, struct fixture_coverage *coverage)
{
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture, script, coverage);
    fixture_check_replay(&fixture, UINT32_MAX);
    fixture_check_replay(&fixture, 3);
    fixture_free(&fixture);
}

static void by_the_model(const char *script)
{
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture.model = calloc(1, sizeof *fixture.model);
    cr_assert(fixture.model != NULL);
    fixture_script(&fixture, script, NULL);
    free(fixture.model);
    fixture_free(&fixture);
}

/* X(table, what it shows) */
#define TABLES(X)                                                                                  \
    X(exclusions, refuses_flags_that_exclude_each_other)                                           \
    X(combinations, takes_flags_that_go_together)                                                  \
    X(captures, captures_and_releases_in_parts)                                                    \
    X(capture_ends, remembers_what_was_left_at_the_end)                                            \
    X(captures_closing, reopens_at_the_end_only)                                                   \
    X(captures_over, captures_more_than_there_is_as_a_fact)                                        \
    X(captures_overflow, checks_a_capture_over_its_hold_last_of_all)                               \
    X(facts, marks_facts_instead_of_refusing_them)                                                 \
    X(facts_over, marks_both_what_was_exceeded)                                                    \
    X(adjust_rules, answers_each_broken_rule_of_adjust)                                            \
    X(adjust_amounts, raises_a_hold)                                                               \
    X(adjust_limits, raises_a_hold_within_limits)                                                  \
    X(adjust_overflows, never_raises_a_hold_too_far)                                               \
    X(adjust_overflows_timeout, never_moves_a_deadline_too_far)                                    \
    X(adjust_deadlines, moves_a_deadline_only_later)                                               \
    X(adjust_ties, expires_in_order_of_moved_deadlines)                                            \
    X(return_rules, answers_each_broken_rule_of_return)                                            \
    X(return_caps, returns_up_to_what_was_posted)                                                  \
    X(return_depth, returns_returns_six_deep)                                                      \
    X(return_pending, returns_in_parts)                                                            \
    X(return_pending_levels, gives_back_what_is_posted)                                            \
    X(return_facts, returns_more_than_was_posted_as_a_fact)                                        \
    X(return_captures, returns_each_capture_by_itself)                                             \
    X(return_overflows, never_lets_a_return_overflow)                                              \
    X(exists_captures, compares_existing_captures)                                                 \
    X(exists_returns, compares_existing_returns)                                                   \
    X(chains, takes_back_a_broken_chain)                                                           \
    X(chains_within, sees_sums_within_a_chain)                                                     \
    X(imports, imports_payments)

#define TABLE_TESTS(table, shows)                                                                  \
    Test(ledger_payment, shows)                                                                    \
    {                                                                                              \
        by_the_ledger(table, NULL);                                                                \
    }                                                                                              \
    Test(ledger_payment_model, shows)                                                              \
    {                                                                                              \
        by_the_model(table);                                                                       \
    }
TABLES(TABLE_TESTS)
#undef TABLE_TESTS

#define TABLE(table, shows) table,
static const char *const tables[] = {TABLES(TABLE)};
#undef TABLE

/* Those of limits and of leases have tables of their own. */
static bool is_of_others(uint32_t code)
{
    return code == GIRO_TRANSFER_LEASE_NOT_HELD || code == GIRO_TRANSFER_ACCOUNT_BLOCKED ||
           code == GIRO_TRANSFER_EXCEEDS_MAX_BALANCE ||
           code == GIRO_TRANSFER_OVER_CAPTURE_NOT_ALLOWED ||
           code == GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER || code == GIRO_TRANSFER_VELOCITY_EXCEEDED;
}

#define CODE_IS_COVERED(name, code, text)                                                          \
    cr_assert(code < 128 || is_of_others(code) || coverage.transfer[code], "no row answers %s",    \
              text);

Test(ledger_payment, has_a_row_for_every_result_of_payments)
{
    struct fixture_coverage coverage = {0};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        by_the_ledger(tables[i], &coverage);
    GIRO_TRANSFER_RESULTS(CODE_IS_COVERED)
}

#undef CODE_IS_COVERED

/* Every table again, with no record in memory when a request begins. */
Test(ledger_payment, answers_the_same_from_records_that_are_fetched)
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

/* An expiry is recorded with what was left, and a record of a hold is never changed. */
Test(ledger_payment, records_what_an_expiry_released)
{
    static const char script[] = "account A1 | created\n"
                                 "account A2 | created\n"
                                 "\n"
                                 "pending T1 A1 A2 100 timeout=1 | created\n"
                                 "\n"
                                 "post T2 T1 30 keep_open | created\n"
                                 "adjust T3 T1 5 | created\n"
                                 "\n"
                                 "at @T1+1s\n"
                                 "expire | 1\n";
    struct fixture fixture;
    struct giro_transfer pending;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture, script, NULL);
    const struct giro_transfer *expired = &fixture.log[fixture.address_next - 1].transfer;
    cr_assert(record_system(&fixture.log[fixture.address_next - 1]) == RECORD_SYSTEM_EXPIRY);
    cr_assert(expired->pending_id == 1);
    cr_assert(expired->debit_account_id == 1);
    cr_assert(expired->credit_account_id == 2);
    cr_assert(expired->amount == 75);
    cr_assert(fixture_transfer(&fixture, 1, &pending));
    cr_assert(pending.amount == 100);
    cr_assert(holds_earliest(&fixture.ledger->holds) == NULL);
    fixture_free(&fixture);
}

/* ---- Precedence -------------------------------------------------------------------------- */

/* Deadlines overflow only late: near the year 2128. */
#define CLOCK_LATE_NS 5000000000000000000ull

/* T1: the hold of the base row. T2: expired. T3: posted. T4: voided. T5: plain. T6 to T8: of closed
 * accounts. T61 to T65: of accounts near the end of the numbers. */
static const char precedence_state[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 ledger=2 | created\n"
    "account A4 debits_must_not_exceed_credits | created\n"
    "account A5 credits_must_not_exceed_debits | created\n"
    "account A6 | created\n"
    "account A7 | created\n"
    "account A8 | created\n"
    "account A9 | created\n"
    "account A10 | created\n"
    "account A11 | created\n"
    "account A12 | created\n"
    "account A13 | created\n"
    "account A14 | created\n"
    "account A15 | created\n"
    "account A20 | created\n"
    "account A21 | created\n"
    "account A22 | created\n"
    "\n"
    "pending  T1 A1 A2 100 | created\n"
    "pending  T2 A1 A2 100 timeout=1 | created\n"
    "pending  T3 A1 A2 100 | created\n"
    "pending  T4 A1 A2 100 | created\n"
    "transfer T5 A1 A2 100 | created\n"
    "pending  T6 A6 A2 100 | created\n"
    "pending  T7 A1 A7 100 | created\n"
    "pending  T8 A6 A7 100 | created\n"
    "post     T30 T3 max | created\n"
    "void     T40 T4 0 | created\n"
    "transfer T51 A2 A5 100 fact | created\n"
    "pending  T50 A6 A7 0 closing_debit closing_credit | created\n"
    "transfer T60 A9 A8 2 | created\n"
    "pending  T61 A10 A9 1 | created\n"
    "pending  T62 A9 A11 0 | created\n"
    "pending  T63 A9 A11 1 | created\n"
    "transfer T64 A12 A20 2 | created\n"
    "pending  T65 A12 A21 0 | created\n"
    "transfer T66 A20 A13 2 | created\n"
    "pending  T67 A21 A13 0 | created\n"
    "transfer T68 A14 A20 1 | created\n"
    "pending  T69 A14 A22 1 | created\n"
    "pending  T70 A4 A2 0 | created\n"
    "pending  T71 A1 A5 0 fact | created\n"
    "transfer T80 A6 A2 100 | debit_account_already_closed\n"
    "transfer T90 A98 A1 1 | debit_account_not_found\n"
    "\n"
    "at @T2+2s\n"
    "expire | 1\n";

/* Checks pairs of rules by the ledger, or by the model. */
static void precedence_check(bool model, const char *state, const char *base, const char *in_order,
                             uint32_t pairs_min)
{
    struct fixture_config config = {.clock_ns = CLOCK_LATE_NS};
    struct fixture fixture;
    fixture_init(&fixture, &config);
    if (model)
        fixture.model = calloc(1, sizeof *fixture.model);
    cr_assert(!model || fixture.model != NULL);
    fixture_script(&fixture, precedence_state, NULL);
    fixture_script(&fixture, state, NULL);
    uint32_t pairs = fixture_precedence(&fixture, base, in_order);
    cr_assert(pairs > pairs_min, "only %u pairs", pairs);
    free(fixture.model);
    fixture_free(&fixture);
}

static void adjust_precedence(bool model)
{
    static const char in_order[] = "linked | linked_event_chain_open\n"
                                   "first=linked | linked_event_failed\n"
                                   "first=imported only_imported=1 | imported_event_expected\n"
                                   "imported only_imported=2 | imported_event_not_expected\n"
                                   "timestamp=1 | timestamp_must_be_zero\n"
                                   "flags=0x4000 | reserved_flag\n"
                                   "id=0 | id_must_not_be_zero\n"
                                   "id=max | id_must_not_be_int_max\n"
                                   "id=T90 | id_already_failed\n"
                                   "balancing_debit | flags_are_mutually_exclusive\n"
                                   "closing_credit | flags_are_mutually_exclusive\n"
                                   "return | flags_are_mutually_exclusive\n"
                                   "keep_open | flags_are_mutually_exclusive\n"
                                   "fact | flags_are_mutually_exclusive\n"
                                   "void | flags_are_mutually_exclusive\n"
                                   "pending_id=0 | pending_id_must_not_be_zero\n"
                                   "pending_id=max | pending_id_must_not_be_int_max\n"
                                   "id=T99 pending_id=T99 | pending_id_must_be_different\n"
                                   "pending_id=T98 | pending_transfer_not_found\n"
                                   "pending_id=T5 | pending_transfer_not_pending\n"
                                   "debit=A3 | pending_transfer_has_different_debit_account_id\n"
                                   "credit=A3 | pending_transfer_has_different_credit_account_id\n"
                                   "ledger=2 | pending_transfer_has_different_ledger\n"
                                   "code=2 | pending_transfer_has_different_code\n"
                                   "pending_id=T2 | adjust_target_not_open\n"
                                   "pending_id=T3 | adjust_target_not_open\n"
                                   "pending_id=T4 | adjust_target_not_open\n"
                                   "pending_id=T6 | debit_account_already_closed\n"
                                   "pending_id=T8 | debit_account_already_closed\n"
                                   "pending_id=T7 | credit_account_already_closed\n"
                                   "pending_id=T61 amount=max | overflows_debits_pending\n"
                                   "pending_id=T62 amount=max | overflows_debits_pending\n"
                                   "pending_id=T65 amount=max | overflows_debits_posted\n"
                                   "pending_id=T67 amount=max | overflows_credits_posted\n"
                                   "pending_id=T69 amount=max-1 | overflows_debits\n"
                                   "timeout=0xffffffff | overflows_timeout\n"
                                   "pending_id=T70 | exceeds_credits\n"
                                   "pending_id=T71 | exceeds_debits\n";
    precedence_check(model, "", "adjust 0 T1 10", in_order, 400);
}

static void adjust_imported_precedence(bool model)
{
    static const char in_order[] = "timestamp=0 | imported_event_timestamp_out_of_range\n"
                                   "timestamp=now | imported_event_timestamp_must_not_advance\n"
                                   "id=T90 | id_already_failed\n"
                                   "fact | flags_are_mutually_exclusive\n"
                                   "pending_id=T98 | pending_transfer_not_found\n"
                                   "code=2 | pending_transfer_has_different_code\n"
                                   "pending_id=T3 | adjust_target_not_open\n"
                                   "timestamp=@T71 | imported_event_timestamp_must_not_regress\n"
                                   "timestamp=@A1 | imported_event_timestamp_must_not_regress\n"
                                   "timeout=0xffffffff | imported_event_timeout_must_be_zero\n"
                                   "pending_id=T6 | debit_account_already_closed\n"
                                   "pending_id=T7 | credit_account_already_closed\n"
                                   "pending_id=T61 amount=max | overflows_debits_pending\n"
                                   "pending_id=T70 | exceeds_credits\n";
    precedence_check(model, "", "adjust 0 T1 10 imported first=imported timestamp=now-1", in_order,
                     50);
}

static void adjust_return_precedence(bool model)
{
    static const char state[] = "return T100 T5 A2 A1 20 pending | created\n"
                                "transfer T101 A10 A20 50 | created\n"
                                "return T102 T101 A20 A10 20 pending | created\n"
                                "transfer T103 A21 A4 50 | created\n"
                                "return T104 T103 A4 A21 20 pending | created\n"
                                "transfer T105 A4 A22 30 | created\n"
                                "pending T106 A20 A10 0 closing_debit | created\n";
    static const char in_order[] = "pending_id=T3 | adjust_target_not_open\n"
                                   "pending_id=T102 | debit_account_already_closed\n"
                                   "amount=max | exceeds_origin_amount\n"
                                   "amount=81 | exceeds_origin_amount\n"
                                   "timeout=0xffffffff | overflows_timeout\n"
                                   "pending_id=T104 | exceeds_credits\n";
    precedence_check(model, state, "adjust 0 T100 10", in_order, 10);
}

static void return_precedence(bool model)
{
    static const char state[] = "transfer T100 A21 A20 100 | created\n"
                                "transfer T101 A22 A4 0 fact | created\n"
                                "transfer T102 A5 A20 0 | created\n"
                                "pending  T103 A21 A20 100 | created\n";
    static const char in_order[] =
        "linked | linked_event_chain_open\n"
        "first=linked | linked_event_failed\n"
        "timestamp=1 | timestamp_must_be_zero\n"
        "flags=0x4000 | reserved_flag\n"
        "id=0 | id_must_not_be_zero\n"
        "id=T90 | id_already_failed\n"
        "keep_open | flags_are_mutually_exclusive\n"
        "balancing_credit | flags_are_mutually_exclusive\n"
        "closing_debit | flags_are_mutually_exclusive\n"
        "debit=0 | debit_account_id_must_not_be_zero\n"
        "debit=max | debit_account_id_must_not_be_int_max\n"
        "credit=0 | credit_account_id_must_not_be_zero\n"
        "credit=max | credit_account_id_must_not_be_int_max\n"
        "debit=A1 credit=A1 | accounts_must_be_different\n"
        "pending_id=0 | pending_id_must_not_be_zero\n"
        "pending_id=max | pending_id_must_not_be_int_max\n"
        "id=T99 pending_id=T99 | pending_id_must_be_different\n"
        "timeout=5 only_pending=0 | timeout_reserved_for_pending_transfer\n"
        "ledger=0 | ledger_must_not_be_zero\n"
        "code=0 | code_must_not_be_zero\n"
        "debit=A98 | debit_account_not_found\n"
        "credit=A99 | credit_account_not_found\n"
        "credit=A3 | accounts_must_have_the_same_ledger\n"
        "ledger=3 | transfer_must_have_the_same_ledger_as_accounts\n"
        "debit=A6 | debit_account_already_closed\n"
        "credit=A7 | credit_account_already_closed\n"
        "pending_id=T98 | origin_not_found\n"
        "pending_id=T90 | origin_not_found\n"
        "pending_id=T103 | origin_not_returnable\n"
        "pending_id=T1 | origin_not_returnable\n"
        "pending_id=T40 | origin_not_returnable\n"
        "debit=A1 | origin_has_different_accounts\n"
        "credit=A2 | origin_has_different_accounts\n"
        "pending_id=T30 | origin_has_different_accounts\n"
        "amount=101 | exceeds_origin_amount\n"
        "amount=max-1 | exceeds_origin_amount\n"
        "pending timeout=0xffffffff only_pending=1 | overflows_timeout\n";
    precedence_check(model, state, "return 0 T100 A20 A21 10", in_order, 350);
}

static void fact_post_precedence(bool model)
{
    static const char in_order[] = "id=T90 | id_already_failed\n"
                                   "void | flags_are_mutually_exclusive\n"
                                   "return | flags_are_mutually_exclusive\n"
                                   "adjust | flags_are_mutually_exclusive\n"
                                   "pending_id=0 | pending_id_must_not_be_zero\n"
                                   "timeout=1 | timeout_reserved_for_pending_transfer\n"
                                   "pending_id=T98 | pending_transfer_not_found\n"
                                   "pending_id=T5 | pending_transfer_not_pending\n"
                                   "debit=A3 | pending_transfer_has_different_debit_account_id\n"
                                   "credit=A3 | pending_transfer_has_different_credit_account_id\n"
                                   "ledger=2 | pending_transfer_has_different_ledger\n"
                                   "code=2 | pending_transfer_has_different_code\n"
                                   "pending_id=T3 | pending_transfer_already_posted\n"
                                   "pending_id=T4 | pending_transfer_already_voided\n"
                                   "pending_id=T2 | pending_transfer_expired\n"
                                   "pending_id=T6 | debit_account_already_closed\n"
                                   "pending_id=T7 | credit_account_already_closed\n"
                                   "pending_id=T65 | overflows_debits_posted\n"
                                   "pending_id=T67 | overflows_credits_posted\n";
    precedence_check(model, "", "post 0 T1 max-1 fact keep_open", in_order, 100);
}

#define PRECEDENCE_TESTS(rules)                                                                    \
    Test(ledger_payment, answers_the_earlier_of_two_broken_rules_of_##rules)                       \
    {                                                                                              \
        rules##_precedence(false);                                                                 \
    }                                                                                              \
    Test(ledger_payment_model, answers_the_earlier_of_two_broken_rules_of_##rules)                 \
    {                                                                                              \
        rules##_precedence(true);                                                                  \
    }
PRECEDENCE_TESTS(adjust)
PRECEDENCE_TESTS(adjust_imported)
PRECEDENCE_TESTS(adjust_return)
PRECEDENCE_TESTS(return )
PRECEDENCE_TESTS(fact_post)
#undef PRECEDENCE_TESTS

/* ---- The model on random requests -------------------------------------------------------- */

enum { REQUESTS = 500 };

/* What the accepted records of a model add up to, worked out a second way: each record in its order,
 * without anything that the model keeps beside it but how holds ended. */
struct fold {
    const struct model *model;
    giro_u128 left[MODEL_TRANSFERS_MAX];
    giro_u128 returned[MODEL_TRANSFERS_MAX];
    struct giro_balances balances[MODEL_ACCOUNTS_MAX];
};

static uint32_t number_of(const struct fold *fold, giro_u128 id)
{
    return (uint32_t)(model_transfer(fold->model, id) - fold->model->transfers);
}

static struct giro_balances *balances_of(struct fold *fold, giro_u128 id)
{
    return &fold->balances[model_account(fold->model, id) - fold->model->now.accounts];
}

/* What a return, or the post of a pending one, returns; 0: any other transfer. */
static giro_u128 above(const struct fold *fold, giro_u128 id)
{
    const struct giro_transfer *transfer = model_transfer(fold->model, id);
    if (transfer != NULL && (transfer->flags & GIRO_TRANSFER_POST_PENDING) != 0)
        transfer = model_transfer(fold->model, transfer->pending_id);
    return transfer != NULL && (transfer->flags & GIRO_TRANSFER_RETURN) != 0 ? transfer->pending_id
                                                                             : 0;
}

/* What comes to be returned, or no longer is, of a transfer and of every second one above it. */
static void fold_returned(struct fold *fold, giro_u128 origin, giro_u128 amount, bool add)
{
    for (; origin != 0; origin = above(fold, above(fold, origin))) {
        giro_u128 *returned = &fold->returned[number_of(fold, origin)];
        cr_assert(add || *returned >= amount);
        *returned += add ? amount : -amount;
    }
}

/* A part of a hold is posted, and a part of it released. */
static void fold_take(struct fold *fold, const struct giro_transfer *hold, giro_u128 posted,
                      giro_u128 released)
{
    struct giro_balances *debit = balances_of(fold, hold->debit_account_id);
    struct giro_balances *credit = balances_of(fold, hold->credit_account_id);
    giro_u128 origin = above(fold, hold->id);
    debit->debits_pending -= posted + released;
    credit->credits_pending -= posted + released;
    debit->debits_posted += posted;
    credit->credits_posted += posted;
    fold->left[number_of(fold, hold->id)] -= posted + released;
    fold_returned(fold, origin, released, false);
    fold_returned(fold, above(fold, origin), posted, false);
}

static void fold_record(struct fold *fold, const struct giro_transfer *record)
{
    bool pending = (record->flags & GIRO_TRANSFER_PENDING) != 0;
    bool keeps = (record->flags & GIRO_TRANSFER_KEEP_OPEN) != 0;
    giro_u128 hold_id =
        (record->flags & GIRO_TRANSFER_ADJUST) != 0 ? record->pending_id : record->id;
    giro_u128 origin = above(fold, hold_id);
    struct giro_balances *debit = balances_of(fold, record->debit_account_id);
    struct giro_balances *credit = balances_of(fold, record->credit_account_id);
    if ((record->flags & (GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING)) != 0) {
        bool posts = (record->flags & GIRO_TRANSFER_POST_PENDING) != 0;
        const struct giro_transfer *hold = model_transfer(fold->model, record->pending_id);
        giro_u128 left = fold->left[number_of(fold, hold->id)];
        giro_u128 posted = posts ? record->amount : 0;
        fold_take(fold, hold, posted, keeps ? record->amount - posted : left - posted);
        return;
    }
    fold_returned(fold, origin, record->amount, true);
    if (pending) {
        debit->debits_pending += record->amount;
        credit->credits_pending += record->amount;
        fold->left[number_of(fold, hold_id)] += record->amount;
    } else {
        debit->debits_posted += record->amount;
        credit->credits_posted += record->amount;
        fold_returned(fold, above(fold, origin), record->amount, false);
    }
}

static void fold_compare(const struct model *model)
{
    struct fold *fold = calloc(1, sizeof *fold);
    const struct model_state *now = &model->now;
    cr_assert(fold != NULL);
    fold->model = model;
    for (uint32_t i = 0; i < now->transfers_count; i++) {
        if (now->status[i] != MODEL_BURNT)
            fold_record(fold, &model->transfers[i]);
    }
    for (uint32_t i = 0; i < now->transfers_count; i++) {
        if (now->status[i] == MODEL_EXPIRED)
            fold_take(fold, &model->transfers[i], 0, fold->left[i]);
    }
    for (uint32_t i = 0; i < now->accounts_count; i++)
        cr_assert(memcmp(&now->accounts[i].debits_pending, &fold->balances[i],
                         sizeof fold->balances[i]) == 0,
                  "account %lu", (uint64_t)now->accounts[i].id);
    for (uint32_t i = 0; i < now->transfers_count; i++) {
        const struct model_note *note = &now->notes[i];
        bool open = now->status[i] == MODEL_PENDING;
        bool settled = now->status[i] == MODEL_SETTLED;
        cr_assert(!open || note->left == fold->left[i], "transfer number %u: left", i);
        cr_assert(open || fold->left[i] == 0, "transfer number %u: left", i);
        cr_assert(!settled || note->taken == fold->returned[i], "transfer number %u: returned", i);
        cr_assert(!settled || note->taken <= note->amount, "transfer number %u: cap", i);
        cr_assert(note->marks == 0, "transfer number %u: marked", i);
    }
    free(fold);
}

/* Commands only: a fact may take a sum to its end, and then the two ways differ. */
Test(ledger_payment_model, adds_up_on_random_commands)
{
    struct model *model = calloc(1, sizeof *model);
    struct ledger_random *random = calloc(1, sizeof *random);
    uint32_t deepest = 0;
    cr_assert(model != NULL && random != NULL);
    *random = (struct ledger_random){.state = 1, .id_next = 1, .model = model};
    struct giro_account accounts[LEDGER_RANDOM_EVENTS];
    struct giro_transfer events[LEDGER_RANDOM_EVENTS];
    uint32_t codes[LEDGER_RANDOM_EVENTS];
    random->clock_ns = FIXTURE_CLOCK_NS;
    uint32_t count = ledger_random_first_accounts(random, accounts);
    model_create_accounts(model, accounts, count, random->clock_ns, codes);
    for (uint32_t request = 0; request < REQUESTS; request++) {
        random->clock_ns += 1000 + ledger_random_below(random, 300 * 1000000ull);
        random->timestamp_last = random->clock_ns - 500;
        random->transfer_timestamp_last = random->clock_ns - 500;
        (void)model_expire(model, random->clock_ns, (uint32_t)ledger_random_below(random, 4));
        count = ledger_random_transfers(random, events);
        for (uint32_t i = 0; i < count; i++)
            events[i].flags &= (uint16_t)~GIRO_TRANSFER_FACT;
        model_create_transfers(model, events, count, random->clock_ns, codes);
        if (request % 20 == 0)
            fold_compare(model);
    }
    fold_compare(model);
    for (uint32_t i = 0; i < model->now.transfers_count; i++)
        deepest = model->now.notes[i].depth > deepest ? model->now.notes[i].depth : deepest;
    cr_assert(deepest >= 4, "returns were only %u deep", deepest);
    free(model);
    free(random);
}
