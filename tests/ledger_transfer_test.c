/* create_transfers: one event a row; the language is described in tests/ledger_fixture.h.
 *
 * Every table has a ledger of its own, and the log that it leaves is replayed at the end. */
#include "tests/ledger_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* ---- Plain and pending transfers --------------------------------------------------------- */

static const char rules[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 ledger=2 | created\n"
    "account A4 debits_must_not_exceed_credits | created\n"
    "account A5 credits_must_not_exceed_debits | created\n"
    "account A6 closed | created\n"
    "\n"
    "transfer T1 A1 A2 10 linked | linked_event_failed\n"
    "transfer T2 A1 A2 10 code=0 | code_must_not_be_zero\n"
    "\n"
    "transfer T1 A1 A2 10 linked | linked_event_chain_open\n"
    "\n"
    "transfer T1 A1 A2 10 timestamp=1 | timestamp_must_be_zero\n"
    "transfer T1 A1 A2 10 timestamp=now | timestamp_must_be_zero\n"
    "transfer T1 A1 A2 10 flags=0x4000 | reserved_flag\n"
    "transfer T1 A1 A2 10 flags=0x8000 | reserved_flag\n"
    "transfer 0  A1 A2 10 | id_must_not_be_zero\n"
    "transfer max A1 A2 10 | id_must_not_be_int_max\n"
    "transfer T1 0  A2 10 | debit_account_id_must_not_be_zero\n"
    "transfer T1 max A2 10 | debit_account_id_must_not_be_int_max\n"
    "transfer T1 A1 0  10 | credit_account_id_must_not_be_zero\n"
    "transfer T1 A1 max 10 | credit_account_id_must_not_be_int_max\n"
    "transfer T1 A1 A1 10 | accounts_must_be_different\n"
    "transfer T1 A1 A2 10 pending_id=9 | pending_id_must_be_zero\n"
    "pending  T1 A1 A2 10 pending_id=T1 | pending_id_must_be_zero\n"
    "transfer T1 A1 A2 10 timeout=1 | timeout_reserved_for_pending_transfer\n"
    "transfer T1 A1 A2 10 closing_debit | closing_transfer_must_be_pending\n"
    "transfer T1 A1 A2 10 closing_credit | closing_transfer_must_be_pending\n"
    "transfer T1 A1 A2 10 closing_debit closing_credit | closing_transfer_must_be_pending\n"
    "transfer T1 A1 A2 10 ledger=0 | ledger_must_not_be_zero\n"
    "transfer T1 A1 A2 10 code=0 | code_must_not_be_zero\n"
    "transfer T1 A1 A3 10 | accounts_must_have_the_same_ledger\n"
    "transfer T1 A1 A2 10 ledger=2 | transfer_must_have_the_same_ledger_as_accounts\n"
    /* None of these spent the id. */
    "transfer T1 A1 A2 10 | created\n"
    /* These spend theirs. */
    "transfer T2 A9 A2 10 | debit_account_not_found\n"
    "transfer T2 A1 A2 10 | id_already_failed\n"
    "transfer T3 A1 A9 10 | credit_account_not_found\n"
    "transfer T3 A1 A2 10 | id_already_failed\n"
    "transfer T4 A6 A2 10 | debit_account_already_closed\n"
    "transfer T4 A1 A2 10 | id_already_failed\n"
    "pending  T5 A1 A6 10 | credit_account_already_closed\n"
    "pending  T5 A1 A2 10 | id_already_failed\n"
    "transfer T6 A4 A2 10 | exceeds_credits\n"
    "transfer T6 A1 A2 10 | id_already_failed\n"
    "transfer T7 A1 A5 10 | exceeds_debits\n"
    "transfer T7 A1 A2 10 | id_already_failed\n"
    "\n"
    /* Amounts of zero, and ids and amounts of any size. */
    "transfer T8 A1 A2 0 | created\n"
    "pending  T9 A4 A5 0 | created\n"
    "transfer max-1 A1 A2 1 | created\n"
    "\n"
    "balance A1 0 11 0 0\n"
    "balance A2 0 0 0 11\n"
    "missing T2 T3 T4 T5 T6 T7 T10 0 max\n";

static const char flags[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A4 | created\n"
    "\n"
    "transfer T1 A1 A2 10 user_data_128=max user_data_64=max user_data_32=max code=max | created\n"
    "transfer T2 A1 A2 1 linked | created\n"
    "pending  T3 A1 A2 2 timeout=7 user_data_64=3 | created\n"
    "post     T4 T3 1 user_data_32=4 | created\n"
    "pending  T5 A1 A2 3 | created\n"
    "void     T6 T5 3 user_data_64=8 | created\n"
    "transfer T7 A2 A3 999 balancing_debit | created\n"
    "transfer T8 A4 A1 999 balancing_credit | created\n"
    "pending  T9 A2 A3 4 closing_debit | created\n"
    "pending  T10 A4 A1 5 closing_credit | created\n"
    "\n"
    "transfer T11 A3 A4 1 imported timestamp=@T10+1 "
    "| imported_event_timestamp_must_not_advance\n"
    "\n"
    "at @T10+100\n"
    "transfer T11 A3 A4 1 imported timestamp=@T10+1 | created\n"
    "\n"
    "stored transfer T1 A1 A2 10 user_data_128=max user_data_64=max user_data_32=max code=max\n"
    "stored transfer T2 A1 A2 1 linked\n"
    "stored pending  T3 A1 A2 2 timeout=7 user_data_64=3\n"
    "stored post     T4 T3 1 debit=A1 credit=A2 ledger=1 code=1 user_data_64=3 user_data_32=4\n"
    "stored pending  T5 A1 A2 3\n"
    "stored void     T6 T5 3 debit=A1 credit=A2 ledger=1 code=1 user_data_64=8\n"
    "stored transfer T7 A2 A3 12 balancing_debit\n"
    "stored transfer T8 A4 A1 12 balancing_credit\n"
    "stored pending  T9 A2 A3 4 closing_debit\n"
    "stored pending  T10 A4 A1 5 closing_credit\n"
    "stored transfer T11 A3 A4 1 imported\n"
    "balance A1 0 12 5 12 closed\n"
    "balance A2 4 12 0 12 closed\n"
    "balance A3 0 1 4 12\n"
    "balance A4 5 12 0 1\n";

static const char exists[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A9 ledger=2 | created\n"
    "\n"
    "pending T1 A1 A2 10 timeout=5 user_data_128=1 user_data_64=2 user_data_32=3 code=4 | created\n"
    "\n"
    "transfer T1 A1 A2 10 timeout=5 user_data_128=1 user_data_64=2 user_data_32=3 code=4 "
    "| exists_with_different_flags\n"
    "pending T1 A1 A2 10 timeout=5 user_data_128=1 user_data_64=2 user_data_32=3 code=4 "
    "pending_id=1 | exists_with_different_pending_id\n"
    "pending T1 A1 A2 10 timeout=0 user_data_128=1 user_data_64=2 user_data_32=3 code=4 "
    "| exists_with_different_timeout\n"
    "pending T1 A3 A2 10 timeout=5 user_data_128=1 user_data_64=2 user_data_32=3 code=4 "
    "| exists_with_different_debit_account_id\n"
    "pending T1 A1 0  10 timeout=5 user_data_128=1 user_data_64=2 user_data_32=3 code=4 "
    "| exists_with_different_credit_account_id\n"
    "pending T1 A1 A2 11 timeout=5 user_data_128=1 user_data_64=2 user_data_32=3 code=4 "
    "| exists_with_different_amount\n"
    "pending T1 A1 A2 max timeout=5 user_data_128=1 user_data_64=2 user_data_32=3 code=4 "
    "| exists_with_different_amount\n"
    "pending T1 A1 A2 10 timeout=5 user_data_128=0 user_data_64=2 user_data_32=3 code=4 "
    "| exists_with_different_user_data_128\n"
    "pending T1 A1 A2 10 timeout=5 user_data_128=1 user_data_64=0 user_data_32=3 code=4 "
    "| exists_with_different_user_data_64\n"
    "pending T1 A1 A2 10 timeout=5 user_data_128=1 user_data_64=2 user_data_32=0 code=4 "
    "| exists_with_different_user_data_32\n"
    "pending T1 A1 A2 10 timeout=5 user_data_128=1 user_data_64=2 user_data_32=3 code=4 ledger=0 "
    "| exists_with_different_ledger\n"
    "pending T1 A1 A2 10 timeout=5 user_data_128=1 user_data_64=2 user_data_32=3 code=0 "
    "| exists_with_different_code\n"
    "pending T1 A1 A2 10 timeout=5 user_data_128=1 user_data_64=2 user_data_32=3 code=4 | exists\n"
    "\n"
    /* It exists after it was voided, and after its account was closed. */
    "void T2 T1 0 | created\n"
    "pending T3 A1 A2 0 closing_debit | created\n"
    "pending T1 A1 A2 10 timeout=5 user_data_128=1 user_data_64=2 user_data_32=3 code=4 | exists\n"
    "pending T3 A1 A2 0 closing_debit | exists\n"
    "\n"
    "pending T3 A1 A2 0 closing_debit | exists\n"
    "transfer T4 A1 A2 0 | debit_account_already_closed\n"
    "transfer T4 A1 A2 0 | id_already_failed\n"
    /* A request's and an event's own form come before the comparison. */
    "pending T3 A1 A2 0 closing_debit timestamp=1 | timestamp_must_be_zero\n"
    "pending T3 A1 A2 0 closing_debit flags=0x4000 | reserved_flag\n";

/* The amount of a balancing transfer is an upper limit. */
static const char exists_balancing[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "transfer T1 A3 A1 50 | created\n"
    "transfer T2 A1 A2 80 balancing_debit | created\n"
    "transfer T2 A1 A2 80 balancing_debit | exists\n"
    "transfer T2 A1 A2 max balancing_debit | exists\n"
    "transfer T2 A1 A2 51 balancing_debit | exists\n"
    "transfer T2 A1 A2 50 balancing_debit | exists\n"
    "transfer T2 A1 A2 49 balancing_debit | exists_with_different_amount\n"
    "transfer T2 A1 A2 0  balancing_debit | exists_with_different_amount\n"
    "transfer T2 A1 A2 50 | exists_with_different_flags\n"
    "transfer T3 A1 A3 max balancing_credit | created\n"
    "transfer T3 A1 A3 max balancing_credit | exists\n"
    "transfer T3 A1 A3 50  balancing_credit | exists\n"
    "transfer T3 A1 A3 49  balancing_credit | exists_with_different_amount\n"
    "transfer T4 A1 A2 7 balancing_debit balancing_credit | created\n"
    "transfer T4 A1 A2 0 balancing_debit balancing_credit | exists\n"
    "transfer T4 A1 A2 max balancing_debit balancing_credit | exists\n"
    "\n"
    "stored transfer T2 A1 A2 50 balancing_debit\n"
    "stored transfer T3 A1 A3 50 balancing_credit\n"
    "stored transfer T4 A1 A2 0 balancing_debit balancing_credit\n";

static const char limits[] = "account A1 | created\n"
                             "account A2 | created\n"
                             "account A4 debits_must_not_exceed_credits | created\n"
                             "account A5 credits_must_not_exceed_debits | created\n"
                             "\n"
                             "transfer T1 A1 A4 100 | created\n"
                             "transfer T2 A4 A2 101 | exceeds_credits\n"
                             "pending  T3 A4 A2 101 | exceeds_credits\n"
                             "pending  T4 A4 A2 60  | created\n"
                             "transfer T5 A4 A2 41  | exceeds_credits\n"
                             "transfer T6 A4 A2 30  | created\n"
                             "pending  T7 A4 A2 11  | exceeds_credits\n"
                             "pending  T8 A4 A2 10  | created\n"
                             "transfer T9 A4 A2 1   | exceeds_credits\n"
                             "transfer T10 A4 A2 0  | created\n"
                             /* What is pending on the other side is no credit yet. */
                             "pending  T11 A1 A4 5 | created\n"
                             "transfer T12 A4 A2 1 | exceeds_credits\n"
                             "post     T13 T11 5 | created\n"
                             "transfer T14 A4 A2 5 | created\n"
                             "\n"
                             "balance A4 70 35 0 105\n"
                             /* The mirror. */
                             "transfer T21 A5 A1 100 | created\n"
                             "transfer T22 A2 A5 101 | exceeds_debits\n"
                             "pending  T23 A2 A5 101 | exceeds_debits\n"
                             "pending  T24 A2 A5 60  | created\n"
                             "transfer T25 A2 A5 41  | exceeds_debits\n"
                             "transfer T26 A2 A5 30  | created\n"
                             "pending  T27 A2 A5 11  | exceeds_debits\n"
                             "pending  T28 A2 A5 10  | created\n"
                             "transfer T29 A2 A5 1   | exceeds_debits\n"
                             "transfer T30 A2 A5 0   | created\n"
                             "pending  T31 A5 A1 5 | created\n"
                             "transfer T32 A2 A5 1 | exceeds_debits\n"
                             "post     T33 T31 5 | created\n"
                             "transfer T34 A2 A5 5 | created\n"
                             "\n"
                             "balance A5 0 105 70 35\n"
                             /* Both sides at once: the debit side answers first. */
                             "transfer T41 A4 A5 1 | exceeds_credits\n";

static const char balancing[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A4 debits_must_not_exceed_credits | created\n"
    "account A5 credits_must_not_exceed_debits | created\n"
    "account A6 | created\n"
    "\n"
    /* Of A2, 100 credits are there, of which 30 are spent and 20 held. */
    "transfer T1 A1 A2 100 | created\n"
    "transfer T2 A2 A3 30 | created\n"
    "pending  T3 A2 A3 20 | created\n"
    "pending  T4 A1 A2 500 | created\n"
    "transfer T5 A2 A3 40 balancing_debit | created\n"
    "transfer T6 A2 A3 40 balancing_debit | created\n"
    "transfer T7 A2 A3 40 balancing_debit | created\n"
    "transfer T8 A2 A3 max balancing_debit | created\n"
    "\n"
    "stored transfer T5 A2 A3 40 balancing_debit\n"
    "stored transfer T6 A2 A3 10 balancing_debit\n"
    "stored transfer T7 A2 A3 0 balancing_debit\n"
    "stored transfer T8 A2 A3 0 balancing_debit\n"
    "balance A2 20 80 500 100\n"
    /* More spent than there is: still zero. */
    "transfer T9 A2 A3 7 | created\n"
    "transfer T10 A2 A3 5 balancing_debit | created\n"
    "\n"
    "stored transfer T10 A2 A3 0 balancing_debit\n"
    /* The mirror: of A6, 100 debits, 30 paid back, 20 held. */
    "transfer T21 A6 A1 100 | created\n"
    "transfer T22 A3 A6 30 | created\n"
    "pending  T23 A3 A6 20 | created\n"
    "pending  T24 A6 A1 500 | created\n"
    "transfer T25 A3 A6 40 balancing_credit | created\n"
    "transfer T26 A3 A6 max balancing_credit | created\n"
    "transfer T27 A3 A6 40 balancing_credit | created\n"
    "\n"
    "stored transfer T25 A3 A6 40 balancing_credit\n"
    "stored transfer T26 A3 A6 10 balancing_credit\n"
    "stored transfer T27 A3 A6 0 balancing_credit\n"
    "balance A6 500 100 20 80\n"
    /* Both: the lesser of the two. A2 has 100 more, then A6 owes 60 more. */
    "transfer T31 A1 A2 107 | created\n"
    "transfer T32 A6 A1 60 | created\n"
    "transfer T33 A2 A6 max balancing_debit balancing_credit | created\n"
    "transfer T34 A2 A6 max balancing_debit balancing_credit | created\n"
    "transfer T35 A6 A1 90 | created\n"
    "pending  T36 A2 A6 max balancing_debit balancing_credit | created\n"
    "\n"
    "stored transfer T33 A2 A6 60 balancing_debit balancing_credit\n"
    "stored transfer T34 A2 A6 0 balancing_debit balancing_credit\n"
    "stored pending  T36 A2 A6 40 balancing_debit balancing_credit\n"
    /* With the limit flags balancing never exceeds. */
    "transfer T41 A1 A4 10 | created\n"
    "transfer T42 A4 A1 11 | exceeds_credits\n"
    "pending  T43 A4 A1 11 balancing_debit | created\n"
    "transfer T44 A5 A1 10 | created\n"
    "transfer T45 A1 A5 11 | exceeds_debits\n"
    "transfer T46 A1 A5 11 balancing_credit | created\n"
    /* Clamped for one side, too much for the other. */
    "transfer T47 A1 A2 20 | created\n"
    "transfer T48 A2 A5 max balancing_debit | exceeds_debits\n"
    "transfer T48 A2 A5 max balancing_debit | id_already_failed\n"
    "\n"
    "stored pending  T43 A4 A1 10 balancing_debit\n"
    "stored transfer T46 A1 A5 10 balancing_credit\n"
    "missing T48\n";

/* ---- Limits of the numbers --------------------------------------------------------------- */

static const char overflows_pending[] = "account A1 | created\n"
                                        "account A2 | created\n"
                                        "account A3 | created\n"
                                        "account A4 | created\n"
                                        "\n"
                                        "pending  T1 A1 A2 max | created\n"
                                        "pending  T2 A1 A3 1 | overflows_debits_pending\n"
                                        "pending  T2 A3 A2 1 | overflows_credits_pending\n"
                                        "pending  T2 A1 A2 1 | overflows_debits_pending\n"
                                        "transfer T2 A1 A3 1 | overflows_debits\n"
                                        "transfer T2 A3 A2 1 | overflows_credits\n"
                                        "transfer T2 A1 A2 1 | overflows_debits\n"
                                        "pending  T2 A1 A2 0 | created\n"
                                        "\n"
                                        "balance A1 max 0 0 0\n"
                                        "balance A2 0 0 max 0\n"
                                        /* Released in part, it is exactly full again. */
                                        "post     T3 T1 max-7 | created\n"
                                        "pending  T4 A1 A3 8 | overflows_debits_posted\n"
                                        "pending  T4 A3 A2 8 | overflows_credits_posted\n"
                                        "pending  T4 A1 A2 7 | created\n"
                                        "\n"
                                        "balance A1 7 max-7 0 0\n"
                                        "balance A2 0 0 7 max-7\n";

static const char overflows_posted[] = "account A1 | created\n"
                                       "account A2 | created\n"
                                       "account A3 | created\n"
                                       "\n"
                                       "transfer T1 A1 A2 max-5 | created\n"
                                       "transfer T2 A1 A3 6 | overflows_debits_posted\n"
                                       "transfer T2 A3 A2 6 | overflows_credits_posted\n"
                                       "transfer T2 A1 A2 6 | overflows_debits_posted\n"
                                       "pending  T2 A1 A3 6 | overflows_debits_posted\n"
                                       "pending  T2 A3 A2 6 | overflows_credits_posted\n"
                                       "transfer T2 A1 A2 5 | created\n"
                                       "\n"
                                       "balance A1 0 max 0 0\n"
                                       "balance A2 0 0 0 max\n"
                                       "transfer T3 A2 A1 max | created\n"
                                       "\n"
                                       "balance A1 0 max 0 max\n"
                                       "balance A2 0 max 0 max\n";

static const char overflows_sum[] = "account A1 | created\n"
                                    "account A2 | created\n"
                                    "account A3 | created\n"
                                    "account A4 | created\n"
                                    "\n"
                                    "transfer T1 A1 A2 1 | created\n"
                                    "pending  T2 A1 A2 1 | created\n"
                                    "transfer T3 A1 A3 max-1 | overflows_debits\n"
                                    "pending  T3 A1 A3 max-1 | overflows_debits\n"
                                    "transfer T3 A3 A2 max-1 | overflows_credits\n"
                                    "pending  T3 A3 A2 max-1 | overflows_credits\n"
                                    "pending  T3 A1 A3 max-2 | created\n"
                                    "pending  T4 A4 A2 max-2 | created\n"
                                    "\n"
                                    "balance A1 max-1 1 0 0\n"
                                    "balance A2 0 0 max-1 1\n";

/* Balancing clamps before anything can overflow. */
static const char overflows_balancing[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "transfer T1 A1 A2 max | created\n"
    "transfer T2 A2 A3 max balancing_debit | created\n"
    "transfer T3 A2 A3 max balancing_debit | created\n"
    "transfer T4 A3 A1 max balancing_debit balancing_credit | created\n"
    "\n"
    "stored transfer T2 A2 A3 max balancing_debit\n"
    "stored transfer T3 A2 A3 0 balancing_debit\n"
    "stored transfer T4 A3 A1 max balancing_debit balancing_credit\n";

/* The latest deadline is 2^63-1. 9223372036854775807 = 5223372036854775807 + 4000000000 s. */
static const char overflows_timeout[] =
    "at 5000000000000000000\n"
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 debits_must_not_exceed_credits | created\n"
    "\n"
    "at 5223372036854775806\n"
    "pending T1 A1 A2 1 timeout=4000000000 | created\n"
    "pending T2 A1 A2 1 timeout=4000000000 | created\n"
    "pending T3 A1 A2 1 timeout=4000000000 | overflows_timeout\n"
    "pending T3 A3 A2 1 timeout=4000000000 | overflows_timeout\n"
    "pending T3 A1 A2 1 timeout=3999999999 | created\n"
    "pending T4 A1 A2 1 timeout=0xffffffff | overflows_timeout\n"
    "\n"
    "at 9223372036854775805\n"
    "post T5 T1 max | created\n"
    "post T6 T2 max | created\n"
    "post T7 T3 max | pending_transfer_expired\n"
    "\n"
    "balance A1 1 2 0 0\n";

static const char overflows_timeout_at_the_end[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "at 9223372035854775806\n"
    "pending T1 A1 A2 1 timeout=1 | created\n"
    "pending T2 A1 A2 1 timeout=1 | created\n"
    "pending T3 A1 A2 1 timeout=1 | overflows_timeout\n"
    "\n"
    "at 9223372036854775806\n"
    "post T4 T1 1 | pending_transfer_expired\n"
    "post T5 T2 1 | pending_transfer_expired\n";

/* ---- Post and void ----------------------------------------------------------------------- */

static const char resolve_rules[] =
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
    "\n"
    "post T10 T1 100 void | flags_are_mutually_exclusive\n"
    "post T10 T1 100 pending | flags_are_mutually_exclusive\n"
    "post T10 T1 100 balancing_debit | flags_are_mutually_exclusive\n"
    "post T10 T1 100 balancing_credit | flags_are_mutually_exclusive\n"
    "post T10 T1 100 closing_debit | flags_are_mutually_exclusive\n"
    "post T10 T1 100 closing_credit | flags_are_mutually_exclusive\n"
    "void T10 T1 100 pending | flags_are_mutually_exclusive\n"
    "void T10 T1 100 balancing_debit | flags_are_mutually_exclusive\n"
    "void T10 T1 100 balancing_credit | flags_are_mutually_exclusive\n"
    "void T10 T1 100 closing_debit | flags_are_mutually_exclusive\n"
    "void T10 T1 100 closing_credit | flags_are_mutually_exclusive\n"
    "post T10 0   100 | pending_id_must_not_be_zero\n"
    "void T10 0   100 | pending_id_must_not_be_zero\n"
    "post T10 max 100 | pending_id_must_not_be_int_max\n"
    "void T10 max 100 | pending_id_must_not_be_int_max\n"
    "post T10 T10 100 | pending_id_must_be_different\n"
    "void T10 T10 100 | pending_id_must_be_different\n"
    "post T10 T1 100 timeout=1 | timeout_reserved_for_pending_transfer\n"
    "void T10 T1 100 timeout=1 | timeout_reserved_for_pending_transfer\n"
    "post T10 T5 100 | pending_transfer_not_pending\n"
    "void T10 T5 100 | pending_transfer_not_pending\n"
    "post T10 T1 100 debit=A3 | pending_transfer_has_different_debit_account_id\n"
    "void T10 T1 100 debit=A2 | pending_transfer_has_different_debit_account_id\n"
    "post T10 T1 100 debit=A1 credit=A3 | pending_transfer_has_different_credit_account_id\n"
    "void T10 T1 100 credit=A1 | pending_transfer_has_different_credit_account_id\n"
    "post T10 T1 100 ledger=2 | pending_transfer_has_different_ledger\n"
    "void T10 T1 100 ledger=2 | pending_transfer_has_different_ledger\n"
    "post T10 T1 100 code=1 | pending_transfer_has_different_code\n"
    "void T10 T1 100 code=1 | pending_transfer_has_different_code\n"
    "post T10 T1 101 | exceeds_pending_transfer_amount\n"
    "post T10 T1 max-1 | exceeds_pending_transfer_amount\n"
    "void T10 T1 101 | exceeds_pending_transfer_amount\n"
    "void T10 T1 max | exceeds_pending_transfer_amount\n"
    "void T10 T1 99 | pending_transfer_has_different_amount\n"
    "void T10 T1 1 | pending_transfer_has_different_amount\n"
    /* These two spend their ids: neither a new id nor a burnt one is a pending transfer. */
    "post T11 T99 100 | pending_transfer_not_found\n"
    "post T11 T1 100 | id_already_failed\n"
    "void T12 T6 100 | pending_transfer_not_found\n"
    "void T12 T1 100 | id_already_failed\n"
    "\n"
    "balance A1 400 100 0 0\n"
    "post T13 T3 100 | created\n"
    "void T14 T4 100 | created\n"
    "post T15 T3 100 | pending_transfer_already_posted\n"
    "void T15 T3 100 | pending_transfer_already_posted\n"
    "post T15 T4 100 | pending_transfer_already_voided\n"
    "void T15 T4 100 | pending_transfer_already_voided\n"
    "\n"
    /* The same in the next request, when the holds are gone. */
    "post T15 T3 100 | pending_transfer_already_posted\n"
    "void T15 T3 0   | pending_transfer_already_posted\n"
    "post T15 T4 max | pending_transfer_already_voided\n"
    "void T15 T4 100 | pending_transfer_already_voided\n"
    "post T15 T13 100 | pending_transfer_not_pending\n"
    "void T15 T14 100 | pending_transfer_not_pending\n"
    "\n"
    "at @T2+1s\n"
    "post T15 T2 100 | pending_transfer_expired\n"
    "void T15 T2 100 | pending_transfer_expired\n"
    "\n"
    /* None of these spent the id. All that the pending transfer has may be repeated. */
    "post T15 T1 100 debit=A1 credit=A2 ledger=1 code=7 | created\n"
    "\n"
    "balance A1 100 300 0 0\n"
    "balance A2 0 0 100 300\n"
    "missing T10 T11 T12 T6\n";

static const char post_amounts[] = "account A1 | created\n"
                                   "account A2 | created\n"
                                   "\n"
                                   "pending T1 A1 A2 100 | created\n"
                                   "pending T2 A1 A2 100 | created\n"
                                   "pending T3 A1 A2 100 | created\n"
                                   "pending T4 A1 A2 100 | created\n"
                                   "pending T5 A1 A2 0 | created\n"
                                   "pending T6 A1 A2 0 | created\n"
                                   "pending T7 A1 A2 100 | created\n"
                                   "pending T8 A1 A2 100 | created\n"
                                   "\n"
                                   "post T11 T1 100 | created\n"
                                   "\n"
                                   "balance A1 500 100 0 0\n"
                                   "post T12 T2 max | created\n"
                                   "\n"
                                   "balance A1 400 200 0 0\n"
                                   /* The rest is released. */
                                   "post T13 T3 30 | created\n"
                                   "\n"
                                   "balance A1 300 230 0 0\n"
                                   "post T14 T4 0 | created\n"
                                   "\n"
                                   "balance A1 200 230 0 0\n"
                                   "balance A2 0 0 200 230\n"
                                   "post T15 T5 max | created\n"
                                   "post T16 T6 1 | exceeds_pending_transfer_amount\n"
                                   "void T16 T6 0 | created\n"
                                   "void T17 T7 0 | created\n"
                                   "\n"
                                   "balance A1 100 230 0 0\n"
                                   "void T18 T8 100 | created\n"
                                   "\n"
                                   "balance A1 0 230 0 0\n"
                                   "balance A2 0 0 0 230\n"
                                   "stored post T11 T1 100 debit=A1 credit=A2 ledger=1 code=1\n"
                                   "stored post T12 T2 100 debit=A1 credit=A2 ledger=1 code=1\n"
                                   "stored post T13 T3 30 debit=A1 credit=A2 ledger=1 code=1\n"
                                   "stored post T14 T4 0 debit=A1 credit=A2 ledger=1 code=1\n"
                                   "stored post T15 T5 0 debit=A1 credit=A2 ledger=1 code=1\n"
                                   "stored void T16 T6 0 debit=A1 credit=A2 ledger=1 code=1\n"
                                   "stored void T17 T7 100 debit=A1 credit=A2 ledger=1 code=1\n"
                                   "stored void T18 T8 100 debit=A1 credit=A2 ledger=1 code=1\n";

static const char inheritance[] =
    "account A1 ledger=5 | created\n"
    "account A2 ledger=5 | created\n"
    "\n"
    "pending T1 A1 A2 9 ledger=5 code=6 user_data_128=1 user_data_64=2 user_data_32=3 | created\n"
    "pending T2 A1 A2 9 ledger=5 code=6 user_data_128=1 user_data_64=2 user_data_32=3 | created\n"
    "pending T3 A1 A2 9 ledger=5 code=6 user_data_128=1 user_data_64=2 user_data_32=3 | created\n"
    "pending T4 A1 A2 9 ledger=5 code=6 user_data_128=1 user_data_64=2 user_data_32=3 | created\n"
    "pending T5 A1 A2 9 ledger=5 code=6 timeout=60 | created\n"
    "post T11 T1 9 | created\n"
    "void T12 T2 9 | created\n"
    "post T13 T3 9 user_data_128=7 user_data_64=8 user_data_32=9 | created\n"
    "void T14 T4 9 user_data_64=max | created\n"
    "post T15 T5 9 | created\n"
    "\n"
    "stored post T11 T1 9 debit=A1 credit=A2 ledger=5 code=6 "
    "user_data_128=1 user_data_64=2 user_data_32=3\n"
    "stored void T12 T2 9 debit=A1 credit=A2 ledger=5 code=6 "
    "user_data_128=1 user_data_64=2 user_data_32=3\n"
    "stored post T13 T3 9 debit=A1 credit=A2 ledger=5 code=6 "
    "user_data_128=7 user_data_64=8 user_data_32=9\n"
    "stored void T14 T4 9 debit=A1 credit=A2 ledger=5 code=6 "
    "user_data_128=1 user_data_64=max user_data_32=3\n"
    /* The timeout is not inherited. */
    "stored post T15 T5 9 debit=A1 credit=A2 ledger=5 code=6\n";

static const char resolve_exists[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "pending T1 A1 A2 9 code=6 user_data_128=1 user_data_64=2 user_data_32=3 | created\n"
    "pending T2 A1 A2 9 code=6 user_data_128=1 user_data_64=2 user_data_32=3 | created\n"
    "pending T3 A1 A2 9 code=6 user_data_128=1 user_data_64=2 user_data_32=3 | created\n"
    "pending T4 A1 A2 9 | created\n"
    "post T11 T1 max | created\n"
    "post T12 T2 4 user_data_128=7 user_data_64=8 user_data_32=9 | created\n"
    "void T13 T3 0 | created\n"
    /* In the same request, and in the next. */
    "post T11 T1 max | exists\n"
    "post T12 T2 4 user_data_128=7 user_data_64=8 user_data_32=9 | exists\n"
    "void T13 T3 0 | exists\n"
    "\n"
    "post T11 T1 max | exists\n"
    "post T11 T1 9 | exists\n"
    "post T11 T1 9 debit=A1 credit=A2 ledger=1 code=6 user_data_128=1 user_data_64=2 "
    "user_data_32=3 | exists\n"
    "void T11 T1 9 | exists_with_different_flags\n"
    "post T11 T2 9 | exists_with_different_pending_id\n"
    "post T11 T4 9 | exists_with_different_pending_id\n"
    "post T11 T99 9 | exists_with_different_pending_id\n"
    "post T11 0 9 | exists_with_different_pending_id\n"
    "post T11 T1 9 timeout=1 | exists_with_different_timeout\n"
    "post T11 T1 9 debit=A2 | exists_with_different_debit_account_id\n"
    "post T11 T1 9 credit=A1 | exists_with_different_credit_account_id\n"
    "post T11 T1 8 | exists_with_different_amount\n"
    "post T11 T1 0 | exists_with_different_amount\n"
    "post T11 T1 10 | exists_with_different_amount\n"
    "post T11 T1 9 user_data_128=2 | exists_with_different_user_data_128\n"
    "post T11 T1 9 user_data_64=3 | exists_with_different_user_data_64\n"
    "post T11 T1 9 user_data_32=4 | exists_with_different_user_data_32\n"
    "post T11 T1 9 ledger=2 | exists_with_different_ledger\n"
    "post T11 T1 9 code=7 | exists_with_different_code\n"
    /* In part: the largest amount is not the same; zero data stands for the pending one's. */
    "post T12 T2 max user_data_128=7 user_data_64=8 user_data_32=9 | exists_with_different_amount\n"
    "post T12 T2 9 user_data_128=7 user_data_64=8 user_data_32=9 | exists_with_different_amount\n"
    "post T12 T2 4 user_data_128=0 user_data_64=8 user_data_32=9 "
    "| exists_with_different_user_data_128\n"
    "post T12 T2 4 user_data_128=7 user_data_64=0 user_data_32=9 "
    "| exists_with_different_user_data_64\n"
    "post T12 T2 4 user_data_128=7 user_data_64=8 user_data_32=0 "
    "| exists_with_different_user_data_32\n"
    "post T12 T2 4 user_data_128=7 user_data_64=8 user_data_32=9 | exists\n"
    "void T13 T3 9 | exists\n"
    "void T13 T3 0 debit=A1 credit=A2 ledger=1 code=6 user_data_64=2 | exists\n"
    "void T13 T3 8 | exists_with_different_amount\n"
    "void T13 T3 max | exists_with_different_amount\n"
    "void T13 T3 9 debit=A2 | exists_with_different_debit_account_id\n"
    "void T13 T3 9 code=1 | exists_with_different_code\n"
    "post T13 T3 9 | exists_with_different_flags\n"
    /* A plain transfer under the id of a post, and the other way round. */
    "transfer T11 A1 A2 9 | exists_with_different_flags\n"
    "post T1 T4 9 | exists_with_different_flags\n"
    /* The comparison comes before the id is found to be its own pending id. */
    "post T1 T1 9 pending | exists_with_different_flags\n";

/* ---- Expiry ------------------------------------------------------------------------------ */

static const char expiry[] = "account A1 | created\n"
                             "account A2 | created\n"
                             "\n"
                             "pending T1 A1 A2 10 timeout=5 | created\n"
                             "\n"
                             "pending T2 A1 A2 20 timeout=5 | created\n"
                             "\n"
                             "pending T3 A1 A2 30 timeout=5 | created\n"
                             "\n"
                             "pending T4 A1 A2 40 timeout=5 | created\n"
                             "\n"
                             "pending T5 A1 A2 50 | created\n"
                             "\n"
                             /* One nanosecond before its deadline: open. */
                             "at @T1+5s-1\n"
                             "expire | 0\n"
                             "at @T1+5s-1\n"
                             "post T11 T1 max | created\n"
                             "\n"
                             "at @T2+5s\n"
                             "save\n"
                             /* At it: expired, before and after its balances are released. */
                             "post T12 T2 max | pending_transfer_expired\n"
                             "void T12 T2 0 | pending_transfer_expired\n"
                             "post T12 T2 21 | exceeds_pending_transfer_amount\n"
                             "\n"
                             "unchanged\n"
                             "balance A1 140 10 0 0\n"
                             "at @T3+5s-1\n"
                             "expire | 1\n"
                             "balance A1 120 10 0 0\n"
                             "balance A2 0 0 120 10\n"
                             "post T12 T2 max | pending_transfer_expired\n"
                             "void T12 T2 20 | pending_transfer_expired\n"
                             "\n"
                             "at @T3+5s\n"
                             "void T12 T3 30 | pending_transfer_expired\n"
                             "\n"
                             "expire 0 | 0\n"
                             "expire 1 | 1\n"
                             "expire | 1\n"
                             "expire | 0\n"
                             "balance A1 50 10 0 0\n"
                             "post T12 T3 30 | pending_transfer_expired\n"
                             "post T12 T4 40 | pending_transfer_expired\n"
                             "\n"
                             "at @T5+0xffffffff000000\n"
                             "expire | 0\n"
                             "void T12 T5 50 | created\n"
                             "\n"
                             "balance A1 0 10 0 0\n"
                             "balance A2 0 0 0 10\n"
                             /* An expired transfer is found, and its id stays taken. */
                             "stored pending T2 A1 A2 20 timeout=5\n"
                             "pending T2 A1 A2 20 timeout=5 | exists\n";

/* A deadline counts by the timestamp of the very event that posts. */
static const char expiry_within_a_request[] = "account A1 | created\n"
                                              "account A2 | created\n"
                                              "\n"
                                              "pending T1 A1 A2 10 timeout=1 | created\n"
                                              "pending T2 A1 A2 20 timeout=1 | created\n"
                                              "pending T3 A1 A2 30 timeout=1 | created\n"
                                              "\n"
                                              "at @T1+1s-1\n"
                                              "post T11 T1 max | created\n"
                                              "post T12 T2 max | created\n"
                                              "post T13 T3 max | created\n"
                                              "pending T4 A1 A2 10 timeout=1 | created\n"
                                              "pending T5 A1 A2 20 timeout=1 | created\n"
                                              "\n"
                                              "at @T4+1s\n"
                                              "post T14 T4 max | pending_transfer_expired\n"
                                              "post T14 T5 max | pending_transfer_expired\n"
                                              "\n"
                                              "expire | 2\n"
                                              "balance A1 0 60 0 0\n";

/* The earliest deadline first, whatever the order of creation. */
static const char expiry_order[] = "account A1 | created\n"
                                   "account A2 | created\n"
                                   "\n"
                                   "pending T1 A1 A2 1 timeout=9 | created\n"
                                   "pending T2 A1 A2 2 timeout=3 | created\n"
                                   "pending T3 A1 A2 4 timeout=7 | created\n"
                                   "pending T4 A1 A2 8 timeout=1 | created\n"
                                   "pending T5 A1 A2 16 timeout=5 | created\n"
                                   "pending T6 A1 A2 32 | created\n"
                                   "void T7 T5 0 | created\n"
                                   "\n"
                                   "at @T6+100s\n"
                                   "expire 1 | 1\n"
                                   "balance A1 39 0 0 0\n"
                                   "expire 1 | 1\n"
                                   "balance A1 37 0 0 0\n"
                                   "expire 1 | 1\n"
                                   "balance A1 33 0 0 0\n"
                                   "expire 1 | 1\n"
                                   "balance A1 32 0 0 0\n"
                                   "expire 1 | 0\n";

/* ---- Closing ----------------------------------------------------------------------------- */

static const char closing[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "pending T1 A1 A2 10 | created\n"
    "pending T2 A1 A2 20 | created\n"
    "pending T3 A2 A1 40 | created\n"
    "pending T4 A3 A2 1 | created\n"
    "pending T5 A1 A2 0 closing_debit timeout=9 | created\n"
    "\n"
    "balance A1 30 0 40 0 closed\n"
    "balance A2 40 0 31 0\n"
    /* Nothing but a void passes, on either side. */
    "transfer T11 A1 A2 1 | debit_account_already_closed\n"
    "transfer T12 A2 A1 1 | credit_account_already_closed\n"
    "pending  T13 A1 A2 1 | debit_account_already_closed\n"
    "pending  T14 A2 A1 0 closing_credit | credit_account_already_closed\n"
    "post     T15 T1 10 | debit_account_already_closed\n"
    "post     T15 T1 10 | id_already_failed\n"
    "post     T16 T3 40 | credit_account_already_closed\n"
    "post     T17 T5 0 | debit_account_already_closed\n"
    "transfer T18 A1 A2 max balancing_debit | debit_account_already_closed\n"
    "post     T19 T4 1 | created\n"
    "void     T20 T1 10 | created\n"
    "\n"
    "balance A1 20 0 40 0 closed\n"
    /* Another's void does not reopen; that of the closing transfer does. */
    "void T21 T5 0 | created\n"
    "\n"
    "balance A1 20 0 40 0\n"
    "post T22 T2 20 | created\n"
    "post T23 T3 max | created\n"
    "\n"
    "balance A1 0 20 0 40\n"
    /* Closed for good by the other flag, and reopened by expiry. */
    "pending T31 A3 A2 5 closing_credit timeout=9 | created\n"
    "\n"
    "balance A2 0 40 5 21 closed\n"
    "balance A3 5 1 0 0\n"
    "at @T31+9s-1\n"
    "transfer T32 A1 A2 1 | credit_account_already_closed\n"
    "post T33 T31 5 | pending_transfer_expired\n"
    "\n"
    "transfer T34 A1 A2 1 | credit_account_already_closed\n"
    "\n"
    "expire | 1\n"
    "balance A2 0 40 0 21\n"
    "transfer T35 A1 A2 1 | created\n"
    /* Both at once. */
    "pending T41 A1 A2 3 closing_debit closing_credit | created\n"
    "\n"
    "balance A1 3 21 0 40 closed\n"
    "balance A2 0 40 3 22 closed\n"
    "transfer T42 A1 A2 1 | debit_account_already_closed\n"
    "void T43 T41 3 | created\n"
    "transfer T44 A1 A2 1 | created\n"
    "\n"
    "balance A1 0 22 0 40\n"
    "balance A2 0 40 0 23\n"
    /* An account can be born closed; nothing opens it. */
    "account A4 closed | created\n"
    "\n"
    "transfer T51 A1 A4 0 | credit_account_already_closed\n"
    "pending  T52 A4 A1 0 closing_debit | debit_account_already_closed\n"
    "\n"
    "balance A4 0 0 0 0 closed\n";

/* ---- Imported ---------------------------------------------------------------------------- */

static const char imported[] =
    "account A1 imported timestamp=10 | created\n"
    "account A2 imported timestamp=20 | created\n"
    "account A3 imported timestamp=30 | created\n"
    "account A4 imported closed timestamp=40 | created\n"
    "account A5 imported ledger=2 timestamp=200 | created\n"
    "account A6 imported timestamp=1000 | created\n"
    "\n"
    "transfer T1 A1 A2 1 imported timestamp=0 | imported_event_timestamp_out_of_range\n"
    "transfer T1 A1 A2 1 imported timestamp=0x8000000000000000 "
    "| imported_event_timestamp_out_of_range\n"
    "transfer T1 A1 A2 1 imported timestamp=max | imported_event_timestamp_out_of_range\n"
    "transfer T1 A1 A2 1 imported timestamp=0x7fffffffffffffff "
    "| imported_event_timestamp_must_not_advance\n"
    "transfer T1 A1 A2 1 imported timestamp=now | imported_event_timestamp_must_not_advance\n"
    "transfer T1 A1 A2 1 | imported_event_expected\n"
    "transfer T1 A1 A2 1 timestamp=100 | imported_event_expected\n"
    /* Later than both accounts, and the timestamp of none. */
    "transfer T1 A2 A1 1 imported timestamp=19 "
    "| imported_event_timestamp_must_postdate_debit_account\n"
    "transfer T1 A1 A2 1 imported timestamp=19 "
    "| imported_event_timestamp_must_postdate_credit_account\n"
    "transfer T1 A3 A2 1 imported timestamp=5 "
    "| imported_event_timestamp_must_postdate_debit_account\n"
    "transfer T1 A1 A2 1 imported timestamp=30 | imported_event_timestamp_must_not_regress\n"
    "transfer T1 A1 A2 1 imported timestamp=20 | imported_event_timestamp_must_not_regress\n"
    "transfer T1 A1 A2 1 imported timestamp=1000 | imported_event_timestamp_must_not_regress\n"
    "pending  T1 A1 A2 1 imported timestamp=21 timeout=1 "
    "| imported_event_timeout_must_be_zero\n"
    "transfer T1 A1 A2 1 imported timestamp=21 | created\n"
    "transfer T1 A1 A2 1 imported timestamp=21 | exists\n"
    "transfer T1 A1 A2 1 imported timestamp=99 | exists\n"
    "transfer T2 A1 A2 1 imported timestamp=21 | imported_event_timestamp_must_not_regress\n"
    "transfer T2 A1 A2 1 imported timestamp=20 | imported_event_timestamp_must_not_regress\n"
    "pending  T2 A1 A2 7 imported timestamp=22 | created\n"
    "pending  T3 A1 A2 8 imported timestamp=23 | created\n"
    "pending  T4 A1 A2 9 imported timestamp=24 | created\n"
    "post T11 T2 7 imported timestamp=24 | imported_event_timestamp_must_not_regress\n"
    "post T11 T2 7 imported timestamp=30 | imported_event_timestamp_must_not_regress\n"
    "post T11 T2 7 imported timestamp=0 | imported_event_timestamp_out_of_range\n"
    "post T11 T2 7 imported timestamp=25 timeout=1 | timeout_reserved_for_pending_transfer\n"
    "post T11 T2 7 imported timestamp=25 | created\n"
    "void T12 T3 8 imported timestamp=25 | imported_event_timestamp_must_not_regress\n"
    "void T12 T3 8 imported timestamp=1000 | imported_event_timestamp_must_not_regress\n"
    "void T12 T3 8 imported timestamp=31 | created\n"
    /* A burnt id has the server's timestamp, and disturbs nothing. */
    "transfer T13 A1 A4 1 imported timestamp=41 | credit_account_already_closed\n"
    "transfer T13 A1 A2 1 imported timestamp=41 | id_already_failed\n"
    "pending  T14 A1 A2 0 closing_debit imported timestamp=42 | created\n"
    "transfer T15 A1 A3 1 imported timestamp=43 | debit_account_already_closed\n"
    "void     T16 T14 0 imported timestamp=44 | created\n"
    "transfer T17 A1 A3 1 imported timestamp=999 | created\n"
    "transfer T18 A1 A3 1 imported timestamp=1001 | created\n"
    "transfer T19 A1 A3 1 imported timestamp=now-1 | created\n"
    "\n"
    "stored transfer T1 A1 A2 1 imported\n"
    "balance A1 9 11 0 0\n"
    "balance A2 0 0 9 8\n"
    /* Whether the request is imported is told by its first event. */
    "transfer 0 A1 A2 1 | id_must_not_be_zero\n"
    "transfer T21 A1 A2 1 imported timestamp=5000 | imported_event_not_expected\n"
    "transfer T21 A1 A2 1 | created\n"
    "\n"
    /* What was imported can be posted at the server's time. */
    "post T22 T4 max | created\n"
    "\n"
    "transfer T23 A1 A2 1 imported timestamp=5000 | imported_event_timestamp_must_not_regress\n";

/* A post that is imported, of a hold with a deadline: time is the server's, so the answer is the
 * same before and after the balances are released. */
static const char imported_post[] = "account A1 | created\n"
                                    "account A2 | created\n"
                                    "\n"
                                    "pending T1 A1 A2 10 timeout=1 | created\n"
                                    "\n"
                                    "at @T1+1s-1\n"
                                    "post T2 T1 5 imported timestamp=@T1+5 | created\n"
                                    "\n"
                                    "pending T3 A1 A2 10 timeout=1 | created\n"
                                    "\n"
                                    "at @T3+1s\n"
                                    "post T4 T3 5 imported timestamp=@T3+5 "
                                    "| pending_transfer_expired\n"
                                    "\n"
                                    "expire | 1\n"
                                    "post T4 T3 5 imported timestamp=@T3+5 "
                                    "| pending_transfer_expired\n";

/* ---- Chains ------------------------------------------------------------------------------ */

static const char chains[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A4 | created\n"
    "\n"
    "pending T1 A1 A2 10 timeout=60 | created\n"
    "pending T2 A1 A2 20 timeout=30 | created\n"
    "pending T3 A1 A2 40 | created\n"
    "pending T4 A4 A3 5 closing_debit timeout=90 | created\n"
    "\n"
    "save\n"
    /* Everything that a chain can hold, undone by its last event. */
    "transfer T11 A1 A3 1 linked | linked_event_failed\n"
    "pending  T12 A1 A3 2 linked timeout=1 | linked_event_failed\n"
    "pending  T13 A1 A3 2 linked | linked_event_failed\n"
    "post     T14 T1 3 linked | linked_event_failed\n"
    "void     T15 T2 0 linked | linked_event_failed\n"
    "post     T16 T12 max linked | linked_event_failed\n"
    "void     T17 T13 2 linked | linked_event_failed\n"
    "void     T18 T4 0 linked | linked_event_failed\n"
    "transfer T19 A4 A1 4 linked | linked_event_failed\n"
    "pending  T20 A4 A3 0 closing_debit closing_credit linked | linked_event_failed\n"
    "void     T21 T20 0 linked | linked_event_failed\n"
    "pending  T22 A1 A3 0 closing_credit linked timeout=2 | linked_event_failed\n"
    "transfer T23 A1 A2 1 ledger=0 | ledger_must_not_be_zero\n"
    "\n"
    "unchanged\n"
    "missing T11 T12 T13 T14 T15 T16 T17 T18 T19 T20 T21 T22 T23\n"
    "balance A4 5 0 0 0 closed\n"
    /* Undone by its first, by one in the middle, by one that only sees the chain's own effect. */
    "transfer T11 A1 A3 1 linked code=0 | code_must_not_be_zero\n"
    "post     T14 T1 3 linked | linked_event_failed\n"
    "transfer T12 A1 A3 1 | linked_event_failed\n"
    "void     T15 T2 0 linked | linked_event_failed\n"
    "post     T14 T2 1 linked | pending_transfer_already_voided\n"
    "transfer T12 A1 A3 1 | linked_event_failed\n"
    "post     T15 T1 1 linked | linked_event_failed\n"
    "void     T14 T1 0 linked | pending_transfer_already_posted\n"
    "transfer T12 A1 A3 1 | linked_event_failed\n"
    "\n"
    "unchanged\n"
    /* Open chains. */
    "transfer T11 A1 A3 1 linked | linked_event_chain_open\n"
    "\n"
    "void     T11 T4 0 linked | linked_event_failed\n"
    "void     T12 T1 0 linked | linked_event_failed\n"
    "transfer T13 A1 A3 1 linked | linked_event_chain_open\n"
    "\n"
    "transfer T11 A1 A3 1 linked code=0 | code_must_not_be_zero\n"
    "transfer T12 A1 A3 1 linked | linked_event_failed\n"
    "transfer T13 A1 A3 1 linked | linked_event_chain_open\n"
    "\n"
    "unchanged\n"
    /* The same ids again, now for good, with neighbours; deadlines as before. */
    "transfer T10 A1 A3 1 | created\n"
    "transfer T11 A1 A3 1 linked | created\n"
    "pending  T12 A1 A3 2 linked timeout=1 | created\n"
    "post     T14 T1 3 linked | created\n"
    "void     T18 T4 0 linked | created\n"
    "transfer T19 A4 A1 4 linked | created\n"
    "pending  T22 A1 A3 0 closing_credit | created\n"
    "transfer T23 A1 A3 1 linked ledger=0 | ledger_must_not_be_zero\n"
    "transfer T24 A1 A2 1 | linked_event_failed\n"
    "transfer T25 A1 A2 1 | created\n"
    "\n"
    "balance A1 62 6 0 4\n"
    "balance A2 0 0 60 4\n"
    "balance A3 0 0 2 2 closed\n"
    "balance A4 0 4 0 0\n"
    "at @T2+30s-1\n"
    "expire | 1\n"
    "at @T2+30s\n"
    "expire | 1\n"
    "balance A1 40 6 0 4\n"
    "balance A3 0 0 0 2 closed\n";

/* Effects of a chain's members are seen by the later ones. */
static const char chains_balances[] = "account A1 | created\n"
                                      "account A2 debits_must_not_exceed_credits | created\n"
                                      "account A3 | created\n"
                                      "\n"
                                      "transfer T1 A1 A2 10 linked | linked_event_failed\n"
                                      "transfer T2 A2 A3 10 linked | linked_event_failed\n"
                                      "transfer T3 A2 A3 1 | exceeds_credits\n"
                                      "\n"
                                      "balance A2 0 0 0 0\n"
                                      "transfer T1 A1 A2 10 linked | created\n"
                                      "transfer T2 A2 A3 10 linked | created\n"
                                      "transfer T4 A2 A3 max balancing_debit | created\n"
                                      "\n"
                                      "transfer T3 A1 A2 1 | id_already_failed\n"
                                      "\n"
                                      "balance A2 0 10 0 10\n"
                                      "stored transfer T4 A2 A3 0 balancing_debit\n";

/* Only the event that failed for a transient reason loses its id. */
static const char chains_burn[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A4 debits_must_not_exceed_credits | created\n"
    "account A5 credits_must_not_exceed_debits | created\n"
    "account A6 closed | created\n"
    "\n"
    "pending T90 A1 A2 100 | created\n"
    "\n"
    "save\n"
    "transfer T1 A1 A2 1 linked | linked_event_failed\n"
    "post     T2 T90 1 linked | linked_event_failed\n"
    "transfer T3 A4 A2 1 linked | exceeds_credits\n"
    "transfer T4 A4 A2 1 linked | linked_event_failed\n"
    "transfer T5 A9 A2 1 | linked_event_failed\n"
    "\n"
    "unchanged burnt\n"
    "transfer T3 A1 A2 1 | id_already_failed\n"
    /* A burnt id breaks a chain as any other failure, but nothing more is burnt. */
    "transfer T1 A1 A2 1 linked | linked_event_failed\n"
    "transfer T3 A1 A2 1 linked | id_already_failed\n"
    "transfer T4 A1 A2 1 | linked_event_failed\n"
    "\n"
    /* In an open chain, too. */
    "transfer T6 A1 A6 1 linked | credit_account_already_closed\n"
    "transfer T7 A1 A2 1 linked | linked_event_chain_open\n"
    "\n"
    "transfer T1 A1 A2 1 | created\n"
    "post     T2 T90 1 | created\n"
    "transfer T4 A1 A2 1 | created\n"
    "transfer T5 A1 A2 1 | created\n"
    "transfer T6 A1 A2 1 | id_already_failed\n"
    "transfer T7 A1 A2 1 | created\n"
    "\n"
    "transfer T11 A9 A2 1 linked | debit_account_not_found\n"
    "transfer T12 A1 A2 1 | linked_event_failed\n"
    "transfer T13 A1 A9 1 linked | credit_account_not_found\n"
    "transfer T14 A1 A2 1 | linked_event_failed\n"
    "post     T15 T99 1 linked | pending_transfer_not_found\n"
    "transfer T16 A1 A2 1 | linked_event_failed\n"
    "transfer T17 A1 A5 1 linked | exceeds_debits\n"
    "transfer T18 A1 A2 1 | linked_event_failed\n"
    "transfer T19 A6 A2 1 linked | debit_account_already_closed\n"
    "transfer T20 A1 A2 1 | linked_event_failed\n"
    "\n"
    /* What comes later is no excuse. */
    "account A9 | created\n"
    "\n"
    "transfer T11 A9 A2 1 | id_already_failed\n"
    "transfer T13 A1 A9 1 | id_already_failed\n"
    "post     T15 T99 1 | id_already_failed\n"
    "transfer T17 A1 A5 0 | id_already_failed\n"
    "transfer T19 A1 A2 1 | id_already_failed\n"
    "transfer T12 A9 A2 1 | created\n"
    "transfer T14 A1 A9 1 | created\n"
    "transfer T16 A1 A2 1 | created\n"
    "transfer T18 A1 A2 1 | created\n"
    "transfer T20 A1 A2 1 | created\n"
    "\n"
    "missing T3 T6 T11 T13 T15 T17 T19\n";

/* A burnt id before the chain, whose record the chain's undo must leave alone. */
static const char chains_beside_burnt[] = "account A1 | created\n"
                                          "account A2 | created\n"
                                          "\n"
                                          "transfer T1 A1 A9 1 | credit_account_not_found\n"
                                          "transfer T2 A1 A2 1 | created\n"
                                          "transfer T3 A1 A2 1 linked | linked_event_failed\n"
                                          "transfer T4 A1 A9 1 | credit_account_not_found\n"
                                          "transfer T5 A1 A2 1 linked | linked_event_failed\n"
                                          "transfer T5 A1 A2 1 | exists_with_different_flags\n"
                                          "transfer T6 A1 A2 1 | created\n"
                                          "\n"
                                          "missing T1 T3 T4 T5\n"
                                          "stored transfer T2 A1 A2 1\n"
                                          "stored transfer T6 A1 A2 1\n"
                                          "transfer T1 A1 A2 1 | id_already_failed\n"
                                          "transfer T3 A1 A2 1 | created\n"
                                          "transfer T4 A1 A2 1 | id_already_failed\n"
                                          "transfer T5 A1 A2 1 | created\n";

/* The timestamp of an imported chain that was undone is free again. */
static const char chains_imported[] =
    "account A1 imported timestamp=1 | created\n"
    "account A2 imported timestamp=2 | created\n"
    "\n"
    "transfer T1 A1 A2 1 imported timestamp=10 | created\n"
    "transfer T2 A1 A2 1 imported linked timestamp=20 | linked_event_failed\n"
    "transfer T3 A1 A2 1 imported linked timestamp=30 | linked_event_failed\n"
    "transfer T4 A1 A2 1 imported timestamp=30 | imported_event_timestamp_must_not_regress\n"
    "transfer T5 A1 A2 1 imported timestamp=11 | created\n"
    "transfer T2 A1 A2 1 imported linked timestamp=12 | linked_event_failed\n"
    "transfer T3 A1 A2 1 | imported_event_expected\n"
    "transfer T2 A1 A2 1 imported linked timestamp=12 | created\n"
    "transfer T3 A1 A2 1 imported timestamp=13 | created\n";

static const char retry[] = "account A1 | created\n"
                            "account A2 | created\n"
                            "\n"
                            "transfer T1 A1 A2 1 linked | created\n"
                            "pending  T2 A1 A2 2 linked | created\n"
                            "post     T3 T2 max linked | created\n"
                            "pending  T4 A1 A2 3 linked timeout=1 | created\n"
                            "void     T5 T4 0 linked | created\n"
                            "transfer T6 A2 A1 max linked balancing_debit | created\n"
                            "pending  T7 A2 A1 0 closing_debit | created\n"
                            "\n"
                            "save\n"
                            "transfer T1 A1 A2 1 linked | exists\n"
                            "pending  T2 A1 A2 2 linked | exists\n"
                            "post     T3 T2 max linked | exists\n"
                            "pending  T4 A1 A2 3 linked timeout=1 | exists\n"
                            "void     T5 T4 0 linked | exists\n"
                            "transfer T6 A2 A1 max linked balancing_debit | exists\n"
                            "pending  T7 A2 A1 0 closing_debit | exists\n"
                            "\n"
                            /* Only as a whole, and only when every member is the same. */
                            "transfer T1 A1 A2 1 linked | exists\n"
                            "pending  T2 A1 A2 2 linked | linked_event_failed\n"
                            "post     T3 T2 1 linked | linked_event_failed\n"
                            "pending  T4 A1 A2 3 linked timeout=1 | linked_event_failed\n"
                            "void     T5 T4 0 linked | linked_event_failed\n"
                            "transfer T6 A2 A1 max linked balancing_debit | linked_event_failed\n"
                            "pending  T7 A2 A1 0 closing_debit | linked_event_failed\n"
                            "\n"
                            "transfer T1 A1 A2 1 linked | exists\n"
                            "pending  T7 A2 A1 0 closing_debit | exists\n"
                            "\n"
                            "transfer T1 A1 A2 1 linked | exists\n"
                            "transfer T8 A1 A2 1 | linked_event_failed\n"
                            "\n"
                            "transfer T8 A1 A2 1 linked timestamp=1 | timestamp_must_be_zero\n"
                            "pending  T7 A2 A1 0 closing_debit | linked_event_failed\n"
                            "\n"
                            "transfer T1 A1 A2 1 linked | exists\n"
                            "pending  T2 A1 A2 2 linked | linked_event_chain_open\n"
                            "\n"
                            "transfer T1 A1 A2 1 linked | exists\n"
                            "pending  T7 A2 A1 0 closing_debit timestamp=1 | linked_event_failed\n"
                            "\n"
                            "unchanged\n";

/* Beside other events, twice in one request, and a chain of new events right behind. */
static const char retry_beside_others[] = "account A1 | created\n"
                                          "account A2 | created\n"
                                          "\n"
                                          "transfer T1 A1 A2 1 linked | created\n"
                                          "transfer T2 A1 A2 1 | created\n"
                                          "transfer T1 A1 A2 1 linked | exists\n"
                                          "transfer T2 A1 A2 1 | exists\n"
                                          "transfer T3 A1 A2 1 linked | created\n"
                                          "transfer T4 A1 A2 1 | created\n"
                                          "transfer T5 A1 A2 1 linked | linked_event_failed\n"
                                          "transfer T4 A1 A2 2 | exists_with_different_amount\n"
                                          "transfer T1 A1 A2 1 linked | exists\n"
                                          "transfer T2 A1 A2 1 | exists\n"
                                          "transfer T5 A1 A9 1 linked | credit_account_not_found\n"
                                          "transfer T6 A1 A2 1 | linked_event_failed\n"
                                          "transfer T1 A1 A2 1 linked | exists\n"
                                          "transfer T5 A1 A2 1 | linked_event_failed\n"
                                          "transfer T6 A1 A2 1 | created\n"
                                          "\n"
                                          "balance A1 0 5 0 0\n";

/* ---- The tests --------------------------------------------------------------------------- */

static const char *const tables[] = {
    rules,
    flags,
    exists,
    exists_balancing,
    limits,
    balancing,
    overflows_pending,
    overflows_posted,
    overflows_sum,
    overflows_balancing,
    overflows_timeout,
    overflows_timeout_at_the_end,
    resolve_rules,
    post_amounts,
    inheritance,
    resolve_exists,
    expiry,
    expiry_within_a_request,
    expiry_order,
    closing,
    imported,
    chains,
    chains_balances,
    chains_burn,
    chains_beside_burnt,
    chains_imported,
    retry,
    retry_beside_others,
};

Test(ledger_transfer, answers_each_broken_rule)
{
    fixture_script_alone(rules, NULL);
}

Test(ledger_transfer, keeps_and_obeys_every_flag)
{
    fixture_script_alone(flags, NULL);
}

Test(ledger_transfer, compares_an_existing_id_field_by_field)
{
    fixture_script_alone(exists, NULL);
    fixture_script_alone(exists_balancing, NULL);
}

Test(ledger_transfer, keeps_within_the_limits_of_the_accounts)
{
    fixture_script_alone(limits, NULL);
}

Test(ledger_transfer, balances_up_to_what_is_left)
{
    fixture_script_alone(balancing, NULL);
}

Test(ledger_transfer, never_lets_a_balance_overflow)
{
    fixture_script_alone(overflows_pending, NULL);
    fixture_script_alone(overflows_posted, NULL);
    fixture_script_alone(overflows_sum, NULL);
    fixture_script_alone(overflows_balancing, NULL);
}

Test(ledger_transfer, never_lets_a_deadline_overflow)
{
    fixture_script_alone(overflows_timeout, NULL);
    fixture_script_alone(overflows_timeout_at_the_end, NULL);
}

Test(ledger_transfer, answers_each_broken_rule_of_post_and_void)
{
    fixture_script_alone(resolve_rules, NULL);
}

Test(ledger_transfer, posts_in_part_or_in_full_and_voids_in_full)
{
    fixture_script_alone(post_amounts, NULL);
}

Test(ledger_transfer, inherits_what_is_zero_from_the_pending_transfer)
{
    fixture_script_alone(inheritance, NULL);
}

Test(ledger_transfer, compares_an_existing_post_or_void_with_what_it_inherited)
{
    fixture_script_alone(resolve_exists, NULL);
}

Test(ledger_transfer, expires_at_the_nanosecond)
{
    fixture_script_alone(expiry, NULL);
    fixture_script_alone(expiry_within_a_request, NULL);
}

Test(ledger_transfer, expires_in_order_of_deadlines)
{
    fixture_script_alone(expiry_order, NULL);
}

Test(ledger_transfer, closes_accounts_and_reopens_them_by_void_and_expiry)
{
    fixture_script_alone(closing, NULL);
}

Test(ledger_transfer, imports_in_order_of_time)
{
    fixture_script_alone(imported, NULL);
}

Test(ledger_transfer, expires_an_imported_post_by_the_servers_time)
{
    fixture_script_alone(imported_post, NULL);
}

Test(ledger_transfer, takes_back_a_broken_chain)
{
    fixture_script_alone(chains, NULL);
    fixture_script_alone(chains_balances, NULL);
    fixture_script_alone(chains_imported, NULL);
}

Test(ledger_transfer, burns_only_the_id_that_failed_itself)
{
    fixture_script_alone(chains_burn, NULL);
    fixture_script_alone(chains_beside_burnt, NULL);
}

Test(ledger_transfer, answers_exists_to_every_member_of_a_repeated_chain)
{
    fixture_script_alone(retry, NULL);
    fixture_script_alone(retry_beside_others, NULL);
}

/* Those of payments have tables of their own. */
#define CODE_IS_COVERED(name, code, text)                                                          \
    cr_assert(coverage.transfer[code] || (code) >= 128, "no row answers %s", text);

Test(ledger_transfer, has_a_row_for_every_result)
{
    struct fixture_coverage coverage = {0};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        fixture_script_alone(tables[i], &coverage);
    GIRO_TRANSFER_RESULTS(CODE_IS_COVERED)
}

#undef CODE_IS_COVERED

/* ---- Precedence -------------------------------------------------------------------------- */

/* Deadlines overflow only late: near the year 2128. */
#define CLOCK_LATE_NS 5000000000000000000ull

static const char precedence_state[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 ledger=2 | created\n"
    "account A4 debits_must_not_exceed_credits | created\n"
    "account A5 credits_must_not_exceed_debits | created\n"
    "account A10 | created\n"
    "account A11 | created\n"
    "account A12 | created\n"
    "account A13 | created\n"
    "account A14 | created\n"
    "account A15 | created\n"
    "account A20 | created\n"
    "account A21 | created\n"
    "account A22 | created\n"
    "account A23 | created\n"
    "account A6 | created\n"
    "account A7 | created\n"
    "\n"
    "pending  T1 A1 A2 100 | created\n"
    "pending  T2 A20 A21 100 timeout=1 | created\n"
    "pending  T3 A20 A21 100 | created\n"
    "pending  T4 A20 A21 100 | created\n"
    "transfer T5 A20 A21 100 | created\n"
    "pending  T6 A6 A21 100 | created\n"
    "pending  T7 A20 A7 100 | created\n"
    "pending  T8 A6 A7 100 | created\n"
    "post     T30 T3 max | created\n"
    "void     T40 T4 0 | created\n"
    "pending  T50 A6 A7 0 closing_debit closing_credit | created\n"
    /* A10: 1 debit pending, A11: 1 credit pending, A12 and A13: posted, A14 and A15: both. */
    "pending  T61 A10 A11 1 | created\n"
    "transfer T62 A12 A13 1 | created\n"
    "pending  T63 A14 A15 1 | created\n"
    "transfer T64 A14 A15 1 | created\n"
    "transfer T90 A98 A1 1 | debit_account_not_found\n"
    "\n"
    "at @T2+2s\n"
    "expire | 1\n";

static void precedence_open(struct fixture *fixture, uint64_t clock_ns)
{
    struct fixture_config config = {.clock_ns = clock_ns};
    fixture_init(fixture, &config);
    fixture_script(fixture, precedence_state, NULL);
}

Test(ledger_transfer, answers_the_earlier_of_two_broken_rules)
{
    static const char in_order[] =
        "linked | linked_event_chain_open\n"
        "first=linked | linked_event_failed\n"
        "first=imported only_imported=1 | imported_event_expected\n"
        "imported only_imported=2 | imported_event_not_expected\n"
        "timestamp=1 | timestamp_must_be_zero\n"
        "flags=0x4000 | reserved_flag\n"
        "id=0 | id_must_not_be_zero\n"
        "id=max | id_must_not_be_int_max\n"
        "id=T90 | id_already_failed\n"
        "debit=0 | debit_account_id_must_not_be_zero\n"
        "debit=max | debit_account_id_must_not_be_int_max\n"
        "credit=0 | credit_account_id_must_not_be_zero\n"
        "credit=max | credit_account_id_must_not_be_int_max\n"
        "debit=A1 credit=A1 | accounts_must_be_different\n"
        "debit=A98 credit=A98 | accounts_must_be_different\n"
        "pending_id=T1 | pending_id_must_be_zero\n"
        "timeout=5 only_pending=0 | timeout_reserved_for_pending_transfer\n"
        "closing_debit only_pending=0 | closing_transfer_must_be_pending\n"
        "closing_credit only_pending=0 | closing_transfer_must_be_pending\n"
        "ledger=0 | ledger_must_not_be_zero\n"
        "code=0 | code_must_not_be_zero\n"
        "debit=A98 | debit_account_not_found\n"
        "credit=A99 | credit_account_not_found\n"
        "credit=A3 | accounts_must_have_the_same_ledger\n"
        "ledger=3 | transfer_must_have_the_same_ledger_as_accounts\n"
        "debit=A6 | debit_account_already_closed\n"
        "credit=A7 | credit_account_already_closed\n"
        "pending debit=A10 amount=max only_pending=1 | overflows_debits_pending\n"
        "pending credit=A11 amount=max only_pending=1 | overflows_credits_pending\n"
        "debit=A12 amount=max | overflows_debits_posted\n"
        "credit=A13 amount=max | overflows_credits_posted\n"
        "debit=A14 amount=max-1 | overflows_debits\n"
        "credit=A15 amount=max-1 | overflows_credits\n"
        "pending timeout=0xffffffff only_pending=1 | overflows_timeout\n"
        "debit=A4 | exceeds_credits\n"
        "credit=A5 | exceeds_debits\n";
    struct fixture fixture;
    precedence_open(&fixture, CLOCK_LATE_NS);
    cr_assert(fixture_precedence(&fixture, "transfer 0 A22 A23 10", in_order) > 450);
    fixture_free(&fixture);
}

Test(ledger_transfer, answers_the_earlier_of_two_broken_rules_when_imported)
{
    static const char in_order[] =
        "linked | linked_event_chain_open\n"
        "first=linked | linked_event_failed\n"
        "timestamp=0 | imported_event_timestamp_out_of_range\n"
        "timestamp=0x8000000000000000 | imported_event_timestamp_out_of_range\n"
        "timestamp=now | imported_event_timestamp_must_not_advance\n"
        "flags=0x4000 | reserved_flag\n"
        "id=0 | id_must_not_be_zero\n"
        "id=T90 | id_already_failed\n"
        "debit=0 | debit_account_id_must_not_be_zero\n"
        "pending_id=T1 | pending_id_must_be_zero\n"
        "timeout=5 only_pending=0 | timeout_reserved_for_pending_transfer\n"
        "code=0 | code_must_not_be_zero\n"
        "debit=A98 | debit_account_not_found\n"
        "credit=A99 | credit_account_not_found\n"
        "credit=A3 | accounts_must_have_the_same_ledger\n"
        "ledger=3 | transfer_must_have_the_same_ledger_as_accounts\n"
        "timestamp=@T64 | imported_event_timestamp_must_not_regress\n"
        "timestamp=@A31 | imported_event_timestamp_must_not_regress\n"
        "debit=A31 | imported_event_timestamp_must_postdate_debit_account\n"
        "credit=A32 | imported_event_timestamp_must_postdate_credit_account\n"
        "pending timeout=5 only_pending=1 | imported_event_timeout_must_be_zero\n"
        "debit=A6 | debit_account_already_closed\n"
        "credit=A7 | credit_account_already_closed\n"
        "pending debit=A10 amount=max only_pending=1 | overflows_debits_pending\n"
        "credit=A13 amount=max | overflows_credits_posted\n"
        "debit=A4 | exceeds_credits\n"
        "credit=A5 | exceeds_debits\n";
    static const char newer_accounts[] = "account A31 | created\n"
                                         "account A32 ledger=1 | created\n"
                                         "\n"
                                         "at @A32+1s\n";
    struct fixture fixture;
    precedence_open(&fixture, 0);
    fixture_script(&fixture, newer_accounts, NULL);
    const char *base = "transfer 0 A22 A23 10 imported first=imported timestamp=@T64+9";
    cr_assert(fixture_precedence(&fixture, base, in_order) > 250);
    fixture_free(&fixture);
}

Test(ledger_transfer, answers_the_earlier_of_two_broken_rules_of_post)
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
                                   "void | flags_are_mutually_exclusive\n"
                                   "pending | flags_are_mutually_exclusive\n"
                                   "balancing_debit | flags_are_mutually_exclusive\n"
                                   "balancing_credit | flags_are_mutually_exclusive\n"
                                   "closing_debit | flags_are_mutually_exclusive\n"
                                   "closing_credit | flags_are_mutually_exclusive\n"
                                   "pending_id=0 | pending_id_must_not_be_zero\n"
                                   "pending_id=max | pending_id_must_not_be_int_max\n"
                                   "id=T99 pending_id=T99 | pending_id_must_be_different\n"
                                   "timeout=1 | timeout_reserved_for_pending_transfer\n"
                                   "pending_id=T98 | pending_transfer_not_found\n"
                                   "pending_id=T5 | pending_transfer_not_pending\n"
                                   "debit=A3 | pending_transfer_has_different_debit_account_id\n"
                                   "credit=A3 | pending_transfer_has_different_credit_account_id\n"
                                   "ledger=2 | pending_transfer_has_different_ledger\n"
                                   "code=2 | pending_transfer_has_different_code\n"
                                   "amount=101 | exceeds_pending_transfer_amount\n"
                                   "pending_id=T3 | pending_transfer_already_posted\n"
                                   "pending_id=T4 | pending_transfer_already_voided\n"
                                   "pending_id=T2 | pending_transfer_expired\n"
                                   "pending_id=T6 | debit_account_already_closed\n"
                                   "pending_id=T8 | debit_account_already_closed\n"
                                   "pending_id=T7 | credit_account_already_closed\n";
    struct fixture fixture;
    precedence_open(&fixture, 0);
    cr_assert(fixture_precedence(&fixture, "post 0 T1 100", in_order) > 380);
    fixture_free(&fixture);
}

Test(ledger_transfer, answers_the_earlier_of_two_broken_rules_of_void)
{
    static const char in_order[] = "id=T90 | id_already_failed\n"
                                   "closing_debit | flags_are_mutually_exclusive\n"
                                   "pending_id=0 | pending_id_must_not_be_zero\n"
                                   "timeout=1 | timeout_reserved_for_pending_transfer\n"
                                   "pending_id=T98 | pending_transfer_not_found\n"
                                   "pending_id=T5 | pending_transfer_not_pending\n"
                                   "debit=A3 | pending_transfer_has_different_debit_account_id\n"
                                   "credit=A3 | pending_transfer_has_different_credit_account_id\n"
                                   "ledger=2 | pending_transfer_has_different_ledger\n"
                                   "code=2 | pending_transfer_has_different_code\n"
                                   "amount=max | exceeds_pending_transfer_amount\n"
                                   "amount=99 | pending_transfer_has_different_amount\n"
                                   "pending_id=T3 | pending_transfer_already_posted\n"
                                   "pending_id=T4 | pending_transfer_already_voided\n"
                                   "pending_id=T2 | pending_transfer_expired\n";
    struct fixture fixture;
    precedence_open(&fixture, 0);
    cr_assert(fixture_precedence(&fixture, "void 0 T1 100", in_order) > 70);
    fixture_free(&fixture);
}

Test(ledger_transfer, answers_the_earlier_of_two_broken_rules_of_an_imported_post)
{
    static const char in_order[] = "timestamp=0 | imported_event_timestamp_out_of_range\n"
                                   "timestamp=now | imported_event_timestamp_must_not_advance\n"
                                   "flags=0x4000 | reserved_flag\n"
                                   "id=T90 | id_already_failed\n"
                                   "void | flags_are_mutually_exclusive\n"
                                   "pending_id=T98 | pending_transfer_not_found\n"
                                   "code=2 | pending_transfer_has_different_code\n"
                                   "amount=101 | exceeds_pending_transfer_amount\n"
                                   "pending_id=T3 | pending_transfer_already_posted\n"
                                   "pending_id=T4 | pending_transfer_already_voided\n"
                                   "pending_id=T2 | pending_transfer_expired\n"
                                   "timestamp=@T64 | imported_event_timestamp_must_not_regress\n"
                                   "timestamp=@A1 | imported_event_timestamp_must_not_regress\n"
                                   "pending_id=T6 | debit_account_already_closed\n"
                                   "pending_id=T7 | credit_account_already_closed\n";
    struct fixture fixture;
    precedence_open(&fixture, 0);
    const char *base = "post 0 T1 100 imported first=imported timestamp=now-1";
    cr_assert(fixture_precedence(&fixture, base, in_order) > 70);
    fixture_free(&fixture);
}

Test(ledger_transfer, answers_the_earlier_of_two_differences)
{
    static const char in_order[] = "linked | linked_event_chain_open\n"
                                   "first=linked | linked_event_failed\n"
                                   "first=imported only_imported=1 | imported_event_expected\n"
                                   "imported only_imported=2 | imported_event_not_expected\n"
                                   "timestamp=1 | timestamp_must_be_zero\n"
                                   "flags=0x4000 | reserved_flag\n"
                                   "closing_debit | exists_with_different_flags\n"
                                   "void | exists_with_different_flags\n"
                                   "pending_id=T1 | exists_with_different_pending_id\n"
                                   "timeout=6 | exists_with_different_timeout\n"
                                   "debit=A3 | exists_with_different_debit_account_id\n"
                                   "credit=A3 | exists_with_different_credit_account_id\n"
                                   "amount=11 | exists_with_different_amount\n"
                                   "user_data_128=9 | exists_with_different_user_data_128\n"
                                   "user_data_64=9 | exists_with_different_user_data_64\n"
                                   "user_data_32=9 | exists_with_different_user_data_32\n"
                                   "ledger=2 | exists_with_different_ledger\n"
                                   "code=2 | exists_with_different_code\n"
                                   " | exists\n";
    static const char state[] = "pending T70 A20 A21 10 timeout=5 user_data_64=7 | created\n"
                                "pending T71 A20 A21 20 user_data_64=7 | created\n"
                                "post T72 T71 10 | created\n"
                                "pending T73 A20 A21 10 user_data_64=7 | created\n"
                                "void T74 T73 0 | created\n"
                                "transfer T75 A20 A21 10 | created\n";
    /* A pending transfer, a post with zero fields and with all of them, a plain transfer. */
    static const char *const bases[] = {
        "pending T70 A20 A21 10 timeout=5 user_data_64=7",
        "post T72 T71 10",
        "post T72 T71 10 debit=A20 credit=A21 ledger=1 code=1 user_data_64=7",
        "transfer T75 A20 A21 10",
    };
    struct fixture fixture;
    precedence_open(&fixture, 0);
    fixture_script(&fixture, state, NULL);
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++)
        cr_assert(fixture_precedence(&fixture, bases[i], in_order) == 19 * 18 / 2 - 1);
    fixture_free(&fixture);
}

/* Two rules about one field, which fixture_precedence() does not bring together. */
Test(ledger_transfer, answers_the_earlier_of_two_broken_rules_about_one_field)
{
    static const char script[] = "transfer T100 0 0 10 | debit_account_id_must_not_be_zero\n"
                                 "transfer T100 max max 10 | debit_account_id_must_not_be_int_max\n"
                                 "transfer T100 0 max 10 | debit_account_id_must_not_be_zero\n"
                                 "transfer T100 A6 A3 10 | accounts_must_have_the_same_ledger\n"
                                 "pending  T100 A14 A15 max | overflows_debits_pending\n"
                                 "pending  T100 A22 A15 max | overflows_credits_pending\n"
                                 "transfer T100 A14 A15 max | overflows_debits_posted\n"
                                 "transfer T100 A10 A13 max | overflows_credits_posted\n"
                                 "transfer T100 A10 A11 max | overflows_debits\n"
                                 "transfer T100 A22 A15 max | overflows_credits_posted\n"
                                 "transfer T100 A22 A11 max | overflows_credits\n"
                                 "post T100 T100 100 pending | flags_are_mutually_exclusive\n"
                                 "post T100 T100 100 timeout=1 | pending_id_must_be_different\n"
                                 "post T100 T5 101 debit=A1 | pending_transfer_not_pending\n"
                                 "void T100 T5 1 | pending_transfer_not_pending\n"
                                 "post T100 T30 101 | pending_transfer_not_pending\n"
                                 "void T100 T3 99 | pending_transfer_has_different_amount\n"
                                 "post T100 T3 101 | exceeds_pending_transfer_amount\n"
                                 "post T100 T8 101 | exceeds_pending_transfer_amount\n"
                                 /* The first account that is closed answers. */
                                 "post T101 T8 100 | debit_account_already_closed\n"
                                 "transfer T102 A6 A7 1 | debit_account_already_closed\n"
                                 "transfer T103 A98 A99 1 | debit_account_not_found\n";
    struct fixture fixture;
    precedence_open(&fixture, 0);
    fixture_script(&fixture, script, NULL);
    fixture_free(&fixture);
}

/* ---- Requests, records, lookups ---------------------------------------------------------- */

Test(ledger_transfer, numbers_the_events_of_a_request)
{
    static const char script[] = "account A1 | created\n"
                                 "account A2 | created\n"
                                 "\n"
                                 "at 2000000000000000000\n"
                                 "transfer T1 A1 A2 1 | created\n"
                                 "transfer T2 A1 A2 1 code=0 | code_must_not_be_zero\n"
                                 "transfer T3 A1 A2 1 | created\n";
    struct fixture fixture;
    struct giro_transfer transfer;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture, script, NULL);
    cr_assert(fixture_transfer(&fixture, 1, &transfer));
    cr_assert(transfer.timestamp == 2000000000000000000);
    cr_assert(fixture_transfer(&fixture, 3, &transfer));
    cr_assert(transfer.timestamp == 2000000000000000002);
    cr_assert(fixture.ledger->timestamp_last == 2000000000000000002);
    fixture_free(&fixture);
}

Test(ledger_transfer, executes_an_empty_request_and_a_full_one)
{
    struct giro_transfer *events = calloc(LEDGER_EVENTS_MAX, sizeof *events);
    struct fixture fixture;
    struct giro_account account;
    cr_assert(events != NULL);
    fixture_init(&fixture, NULL);
    fixture_script(&fixture, "account A1 | created\naccount A2 | created\n", NULL);
    fixture_create_transfers(&fixture, events, 0);
    fixture_create_accounts(&fixture, NULL, 0);
    for (uint32_t i = 0; i < LEDGER_EVENTS_MAX; i++) {
        events[i] = (struct giro_transfer){
            .id = i + 1,
            .debit_account_id = 1,
            .credit_account_id = 2,
            .amount = i,
            .ledger = 1,
            .code = 1,
            .flags = i + 1 < LEDGER_EVENTS_MAX ? GIRO_TRANSFER_LINKED : 0,
        };
    }
    /* One chain of the largest size: undone by its last event, done, and repeated. */
    events[LEDGER_EVENTS_MAX - 1].code = 0;
    const uint32_t *codes = fixture_create_transfers(&fixture, events, LEDGER_EVENTS_MAX);
    cr_assert(codes[0] == GIRO_TRANSFER_LINKED_EVENT_FAILED);
    cr_assert(codes[LEDGER_EVENTS_MAX - 1] == GIRO_TRANSFER_CODE_MUST_NOT_BE_ZERO);
    cr_assert(fixture_account(&fixture, 1, &account));
    cr_assert(account.debits_posted == 0);
    events[LEDGER_EVENTS_MAX - 1].code = 1;
    codes = fixture_create_transfers(&fixture, events, LEDGER_EVENTS_MAX);
    for (uint32_t i = 0; i < LEDGER_EVENTS_MAX; i++)
        cr_assert(codes[i] == GIRO_TRANSFER_CREATED);
    cr_assert(fixture_account(&fixture, 1, &account));
    cr_assert(account.debits_posted == (giro_u128)LEDGER_EVENTS_MAX * (LEDGER_EVENTS_MAX - 1) / 2);
    codes = fixture_create_transfers(&fixture, events, LEDGER_EVENTS_MAX);
    for (uint32_t i = 0; i < LEDGER_EVENTS_MAX; i++)
        cr_assert(codes[i] == GIRO_TRANSFER_EXISTS);
    fixture_check_replay(&fixture, UINT32_MAX);
    fixture_free(&fixture);
    free(events);
}

Test(ledger_transfer, writes_records_of_every_kind)
{
    static const char script[] = "at 1000\n"
                                 "account A1 linked | created\n"
                                 "account A2 | created\n"
                                 "\n"
                                 "at 2000\n"
                                 "pending T1 A1 A2 7 timeout=1 | created\n"
                                 "transfer T2 A1 A9 7 user_data_64=5 | credit_account_not_found\n"
                                 "\n"
                                 "at 3000000000\n"
                                 "expire | 1\n";
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture, script, NULL);
    /* A header's address comes before every request. */
    const union record *account = &fixture.log[2];
    const union record *pending = &fixture.log[4];
    const union record *burnt = &fixture.log[5];
    const union record *expired = &fixture.log[7];
    cr_assert(record_kind(account) == RECORD_ACCOUNT);
    cr_assert(account->account.id == 2);
    cr_assert(account->account.timestamp == 1001);
    cr_assert((fixture.log[1].account.flags & RECORD_FLAGS_MASK) == GIRO_ACCOUNT_LINKED);
    cr_assert(record_kind(pending) == RECORD_TRANSFER);
    cr_assert(pending->transfer.flags == GIRO_TRANSFER_PENDING);
    struct giro_transfer burnt_expected = {
        .id = 2,
        .code = GIRO_TRANSFER_CREDIT_ACCOUNT_NOT_FOUND,
        .flags = RECORD_BURNT << RECORD_KIND_SHIFT,
        .timestamp = 2001,
    };
    cr_assert(memcmp(burnt, &burnt_expected, sizeof burnt_expected) == 0);
    struct giro_transfer expired_expected = {
        .debit_account_id = 1,
        .credit_account_id = 2,
        .amount = 7,
        .pending_id = 1,
        .ledger = 1,
        .code = RECORD_SYSTEM_EXPIRY,
        .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
        .timestamp = 3000000000,
    };
    cr_assert(memcmp(expired, &expired_expected, sizeof expired_expected) == 0);
    fixture_free(&fixture);
}

Test(ledger_transfer, looks_up_in_the_order_asked_for_and_leaves_out_what_is_missing)
{
    static const char script[] = "account A1 | created\n"
                                 "account A2 | created\n"
                                 "\n"
                                 "transfer T1 A1 A2 1 | created\n"
                                 "transfer T2 A1 A9 1 | credit_account_not_found\n"
                                 "pending  T3 A1 A2 3 | created\n";
    static const giro_u128 ids[] = {3, 9, 2, 1, 0, 3, GIRO_U128_MAX};
    struct giro_transfer found[7];
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture, script, NULL);
    for (int forgotten = 0; forgotten < 2; forgotten++) {
        cr_assert(fixture_lookup_transfers(&fixture, ids, 7, found) == 3);
        cr_assert(found[0].id == 3);
        cr_assert(found[1].id == 1);
        cr_assert(found[2].id == 3);
        cr_assert(fixture_lookup_transfers(&fixture, ids, 0, found) == 0);
        fixture_forget(&fixture, 0); /* and once more from the log */
    }
    cr_assert(fixture.fetched_count >= 3);
    fixture_free(&fixture);
}

/* Every script again, with no record in memory when a request begins. */
Test(ledger_transfer, answers_the_same_from_records_that_are_fetched)
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

enum { MANY = 24 * LEDGER_EVENTS_MAX };

/* Ids that have nothing to do with each other; ids that count up hardly ever look alike. */
static giro_u128 id_scattered(uint32_t number)
{
    return number * 0x9e3779b97f4a7c15ull;
}

/* Ids of MANY for which the index offers more than one candidate. Returns how many, at most
 * max. */
static uint32_t ids_alike(const struct index *index, uint64_t seed, giro_u128 *ids, uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t number = 1; number <= MANY && count < max; number++) {
        giro_u128 id = id_scattered(number);
        struct index_cursor cursor = index_search(index, id_hash(id, seed));
        (void)index_next(index, &cursor);
        if (index_next(index, &cursor) != 0)
            ids[count++] = id;
    }
    return count;
}

static void accounts_create_many(struct fixture *fixture)
{
    struct giro_account *events = calloc(LEDGER_EVENTS_MAX, sizeof *events);
    cr_assert(events != NULL);
    for (uint32_t first = 1; first <= MANY; first += LEDGER_EVENTS_MAX) {
        for (uint32_t i = 0; i < LEDGER_EVENTS_MAX; i++)
            events[i] =
                (struct giro_account){.id = id_scattered(first + i), .ledger = 1, .code = 1};
        const uint32_t *codes = fixture_create_accounts(fixture, events, LEDGER_EVENTS_MAX);
        for (uint32_t i = 0; i < LEDGER_EVENTS_MAX; i++)
            cr_assert(codes[i] == GIRO_ACCOUNT_CREATED);
    }
    free(events);
}

/* Every id the same transfer, from one of the accounts to the next. */
static struct giro_transfer transfer_around(giro_u128 id, const giro_u128 *accounts, uint32_t count)
{
    return (struct giro_transfer){
        .id = id,
        .debit_account_id = accounts[(uint64_t)id % count],
        .credit_account_id = accounts[((uint64_t)id + 1) % count],
        .amount = 1,
        .ledger = 1,
        .code = 1,
    };
}

static void transfers_create_many(struct fixture *fixture, const giro_u128 *accounts,
                                  uint32_t count)
{
    struct giro_transfer *events = calloc(LEDGER_EVENTS_MAX, sizeof *events);
    cr_assert(events != NULL);
    for (uint32_t first = 1; first <= MANY; first += LEDGER_EVENTS_MAX) {
        for (uint32_t i = 0; i < LEDGER_EVENTS_MAX; i++)
            events[i] = transfer_around(id_scattered(first + i), accounts, count);
        const uint32_t *codes = fixture_create_transfers(fixture, events, LEDGER_EVENTS_MAX);
        for (uint32_t i = 0; i < LEDGER_EVENTS_MAX; i++)
            cr_assert(codes[i] == GIRO_TRANSFER_CREATED);
    }
    free(events);
}

/* Event i of a request in which every kind of effect occurs: holds, their ends, plain transfers, a
 * refused account, which burns its id, and chains, some of which break. */
static struct giro_transfer mixed_event(uint32_t i)
{
    struct giro_transfer event = {
        .id = 1000 + i,
        .debit_account_id = 1 + i % 3,
        .credit_account_id = 4 + i % 2,
        .amount = i,
        .ledger = 1,
        .code = 1,
    };
    switch (i % 8) {
    case 0:
        event.flags = GIRO_TRANSFER_PENDING;
        event.timeout = 10;
        break;
    case 3:
        event = (struct giro_transfer){
            .id = 1000 + i, .pending_id = 1000 + i - 3, .amount = (i & 8) != 0 ? GIRO_U128_MAX : 0};
        event.flags = (i & 8) != 0 ? GIRO_TRANSFER_POST_PENDING : GIRO_TRANSFER_VOID_PENDING;
        break;
    case 5:
        event.credit_account_id = (i & 16) != 0 ? 77 : 4;
        break;
    case 6:
        event.flags = GIRO_TRANSFER_LINKED;
        break;
    case 7:
        event.code = (i & 32) != 0 ? 0 : 1;
        break;
    default:
        break;
    }
    return event;
}

/* A large request executes from the front before it is known that its end needs an old record: then
 * it is taken back (the fixture compares digests), and gives the same results afterwards. */
Test(ledger_transfer, takes_a_request_back_until_its_old_records_are_there)
{
    struct giro_transfer *events = calloc(LEDGER_EVENTS_MAX, sizeof *events);
    uint32_t *expected = calloc(LEDGER_EVENTS_MAX, sizeof *expected);
    struct checksum digests[2];
    struct giro_account accounts[5] = {0};
    const struct giro_transfer old = {.id = 999,
                                      .debit_account_id = 1,
                                      .credit_account_id = 2,
                                      .amount = 5,
                                      .ledger = 1,
                                      .code = 1};
    cr_assert(events != NULL && expected != NULL);
    for (uint32_t i = 0; i < 5; i++)
        accounts[i] = (struct giro_account){.id = i + 1, .ledger = 1, .code = 1};
    for (uint32_t i = 0; i < LEDGER_EVENTS_MAX - 1; i++)
        events[i] = mixed_event(i);
    events[LEDGER_EVENTS_MAX - 1] = old;
    for (uint32_t forget = 0; forget < 2; forget++) {
        struct fixture_config config = {.log_records = 1 << 15};
        struct fixture fixture;
        fixture_init(&fixture, &config);
        fixture_create_accounts(&fixture, accounts, 5);
        cr_assert(fixture_create_transfers(&fixture, &old, 1)[0] == GIRO_TRANSFER_CREATED);
        if (forget)
            fixture_forget(&fixture, 0);
        const uint32_t *codes = fixture_create_transfers(&fixture, events, LEDGER_EVENTS_MAX);
        cr_assert((fixture.fetched_count > 0) == (forget == 1));
        cr_assert(codes[LEDGER_EVENTS_MAX - 1] == GIRO_TRANSFER_EXISTS);
        for (uint32_t i = 0; i < LEDGER_EVENTS_MAX; i++) {
            if (forget == 0)
                expected[i] = codes[i];
            cr_assert(codes[i] == expected[i], "event %u: %u, not %u", i, codes[i], expected[i]);
        }
        fixture_check_replay(&fixture, 1000);
        digests[forget] = ledger_digest(fixture.ledger);
        fixture_free(&fixture);
    }
    cr_assert(checksum_equal(digests[0], digests[1]));
    free(events);
    free(expected);
}

/* An index only offers candidates: among so many ids, some share their bucket and fingerprint. */
Test(ledger_transfer, tells_ids_apart_that_look_alike_in_the_index)
{
    enum { ALIKE_MAX = 16 };
    struct fixture_config config = {.log_records = 1 << 19};
    struct fixture fixture;
    giro_u128 accounts[ALIKE_MAX];
    giro_u128 transfers[ALIKE_MAX];
    giro_u128 debits[ALIKE_MAX] = {0};
    fixture_init(&fixture, &config);
    accounts_create_many(&fixture);
    const struct ledger *ledger = fixture.ledger;
    uint32_t count = ids_alike(&ledger->accounts.index, ledger->hash_seed, accounts, ALIKE_MAX);
    cr_assert(count >= 2, "no accounts are alike");
    transfers_create_many(&fixture, accounts, count);
    for (uint32_t number = 1; number <= MANY; number++)
        debits[(uint64_t)id_scattered(number) % count]++;
    for (uint32_t i = 0; i < count; i++) {
        struct giro_account account;
        cr_assert(fixture_account(&fixture, accounts[i], &account));
        cr_assert(account.id == accounts[i]);
        cr_assert(account.debits_posted == debits[i]);
        cr_assert(account.credits_posted == debits[(i + count - 1) % count]);
    }

    /* In memory, and fetched. */
    uint32_t alike = ids_alike(&ledger->transfers, ledger->hash_seed, transfers, ALIKE_MAX);
    cr_assert(alike >= 2, "no transfers are alike");
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < alike; i++) {
            struct giro_transfer found;
            struct giro_transfer event = transfer_around(transfers[i], accounts, count);
            cr_assert(fixture_transfer(&fixture, transfers[i], &found));
            cr_assert(found.id == transfers[i]);
            cr_assert(fixture_create_transfers(&fixture, &event, 1)[0] == GIRO_TRANSFER_EXISTS);
        }
        fixture_forget(&fixture, 0);
    }
    cr_assert(fixture.fetched_count >= 2ull * alike);
    fixture_free(&fixture);
}

Test(ledger_transfer, reports_when_there_is_no_room)
{
    struct ledger_config config = {
        .accounts_max = 1, .holds_max = 2, .transfers_max = 4, .transfers_expected = 1};
    static const struct giro_transfer events[5] = {
        {.flags = GIRO_TRANSFER_PENDING},
        {.flags = 0},
        {.flags = GIRO_TRANSFER_PENDING},
        {.flags = GIRO_TRANSFER_PENDING},
    };
    struct ledger *ledger;
    cr_assert(ledger_create(&config, &ledger) == 0);
    cr_assert(ledger_room_transfers(ledger, events, 3) == LEDGER_ROOM);
    cr_assert(ledger_room_transfers(ledger, events, 4) == LEDGER_FULL_HOLDS);
    cr_assert(ledger_room_transfers(ledger, events, 5) == LEDGER_FULL_TRANSFERS);
    ledger_destroy(ledger);
}
