/* Cut-off and settlement: in which epoch a posting counts, what is a posting, and what is left of the
 * epoch before. One event a row; the language is described in tests/ledger_fixture.h.
 *
 * Every table was worked out by hand and runs twice, in a ledger of its own whose log is replayed
 * at the end, and in the model, which the random tests compare the ledger with. */
#include "tests/ledger_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* ---- Cutting off ---------------------------------------------------------------------------- */

static const char cut_rules[] =
    "account A1 settles | created\n"
    "\n"
    "save\n"
    "cut_off 1 0 timestamp=1 | timestamp_must_be_zero\n"
    "cut_off 1 0 timestamp=0x8000000000000000 | timestamp_must_be_zero\n"
    "cut_off 1 0 reserved=1 | reserved_field\n"
    "cut_off 1 0 reserved_end=0x80 | reserved_field\n"
    "cut_off 1 0 reserved_1=1 | reserved_field\n"
    "cut_off 1 0 reserved_1=11 | reserved_field\n"
    "cut_off 1 0 flags=1 | reserved_flag\n"
    "cut_off 1 0 flags=0xc000 | reserved_flag\n"
    "cut_off 0 0 | ledger_must_not_be_zero\n"
    "cut_off 0 1 | ledger_must_not_be_zero\n"
    "cut_off 1 1 | epoch_has_not_begun\n"
    "cut_off 1 0xffffffffffffffff | epoch_has_not_begun\n"
    "cut_off 77 1 | epoch_has_not_begun\n"
    "\n"
    "unchanged\n"
    "settlement A1\n"
    "cut_off 1 0 | done\n"
    "cut_off 1 0 | epoch_is_over\n"
    "cut_off 1 2 | epoch_has_not_begun\n"
    "cut_off 1 1 | done\n"
    "cut_off 1 0 | epoch_is_over\n"
    "cut_off 1 1 | epoch_is_over\n"
    "cut_off 1 3 | epoch_has_not_begun\n"
    "cut_off 1 2 | done\n"
    /* Nobody need have an account there. */
    "cut_off 4294967295 0 | done\n"
    "cut_off 4294967295 0 | epoch_is_over\n"
    "\n"
    "settlement A1 epoch=3\n"
    "save\n"
    /* A retry, which finds it done. */
    "cut_off 1 2 | epoch_is_over\n"
    "cut_off 1 0xffffffffffffffff | epoch_has_not_begun\n"
    "\n"
    "unchanged\n";

static const char begins[] = "account A1 settles | created\n"
                             "account A2 settles ledger=2 | created\n"
                             "\n"
                             "settlement A1 begin=0\n"
                             "at 2020/01/02\n"
                             "cut_off 2 1 | epoch_has_not_begun\n"
                             "cut_off 1 0 | done\n"
                             "cut_off 2 0 | done\n"
                             "\n"
                             "settlement A1 epoch=1 begin=2020/01/02+1\n"
                             "settlement A2 epoch=1 begin=2020/01/02+2 ledger=2\n"
                             "at 2020/01/03\n"
                             "cut_off 1 1 | done\n"
                             "cut_off 1 0 | epoch_is_over\n"
                             "\n"
                             "settlement A1 epoch=2 begin=2020/01/03\n"
                             "settlement A2 epoch=1 begin=2020/01/02+2 ledger=2\n"
                             "at 2020/01/04\n"
                             "cut_off 1 2 | done\n"
                             "cut_off 1 3 | done\n"
                             "\n"
                             "settlement A1 epoch=4 begin=2020/01/04+1\n";

/* ---- What is posted --------------------------------------------------------------------------- */

static const char both_sides[] =
    "account A1 settles | created\n"
    "account A2 settles | created\n"
    "account A3 | created\n"
    "\n"
    "transfer T1 A1 A2 10 | created\n"
    "transfer T2 A2 A1 3 | created\n"
    "transfer T3 A1 A3 5 | created\n"
    "transfer T4 A3 A2 0 | created\n"
    "\n"
    "settlement A1 debits=15 credits=3 count=3\n"
    "settlement A2 debits=3 credits=10 count=3\n"
    "no_settlement A3 A9 0 max\n"
    "cut_off 1 0 | done\n"
    "\n"
    "settlement A1 epoch=1 debits_before=15 credits_before=3 count_before=3\n"
    "settlement A2 epoch=1 debits_before=3 credits_before=10 count_before=3\n"
    "transfer T5 A2 A3 7 | created\n"
    "\n"
    "settlement A1 epoch=1 debits_before=15 credits_before=3 count_before=3\n"
    "settlement A2 epoch=1 debits=7 count=1 debits_before=3 credits_before=10 count_before=3\n"
    "no_settlement A3\n"
    "cut_off 1 1 | done\n"
    "\n"
    "settlement A1 epoch=2\n"
    "settlement A2 epoch=2 debits_before=7 count_before=1\n"
    "cut_off 1 2 | done\n"
    "\n"
    "settlement A1 epoch=3\n"
    "settlement A2 epoch=3\n"
    "balance A1 0 15 0 3\n"
    "balance A2 0 10 0 10\n";

static const char zeros[] = "account A1 settles | created\n"
                            "account A2 settles | created\n"
                            "\n"
                            "transfer T1 A1 A2 0 | created\n"
                            "pending  T2 A1 A2 0 | created\n"
                            "\n"
                            "settlement A1 count=1\n"
                            "settlement A2 count=1\n"
                            "post     T3 T2 0 keep_open | created\n"
                            "post     T4 T2 max | created\n"
                            "\n"
                            "settlement A1 count=3\n"
                            "cut_off 1 0 | done\n"
                            "\n"
                            "settlement A1 epoch=1 count_before=3\n"
                            "settlement A2 epoch=1 count_before=3\n";

/* T1 has 120 after it was raised, and in the end posts 30, 25, 0 and 55 of it. */
static const char holds[] =
    "account A1 settles | created\n"
    "account A2 settles | created\n"
    "\n"
    "pending  T1 A1 A2 100 | created\n"
    "pending  T2 A1 A2 50 timeout=1 | created\n"
    "pending  T3 A1 A2 40 | created\n"
    "pending  T4 A1 A2 30 | created\n"
    "\n"
    "settlement A1\n"
    "settlement A2\n"
    "adjust   T5 T1 20 | created\n"
    "post     T6 T1 30 keep_open | created\n"
    "void     T7 T1 10 keep_open | created\n"
    "void     T8 T3 0 | created\n"
    "\n"
    "settlement A1 debits=30 count=1\n"
    "settlement A2 credits=30 count=1\n"
    "cut_off 1 0 | done\n"
    "\n"
    "post     T9 T1 25 keep_open | created\n"
    "post     T10 T1 0 keep_open | created\n"
    "\n"
    "at 2020/01/02\n"
    "expire | 1\n"
    "settlement A1 epoch=1 debits=25 count=2 debits_before=30 count_before=1\n"
    "settlement A2 epoch=1 credits=25 count=2 credits_before=30 count_before=1\n"
    "cut_off 1 1 | done\n"
    "\n"
    "adjust   T13 T4 3 | created\n"
    "post     T11 T1 max | created\n"
    "post     T12 T4 12 | created\n"
    "\n"
    "settlement A1 epoch=2 debits=67 count=2 debits_before=25 count_before=2\n"
    "settlement A2 epoch=2 credits=67 count=2 credits_before=25 count_before=2\n"
    "balance A1 0 122 0 0\n"
    "balance A2 0 0 0 122\n";

/* More than the hold had left is posted: as a fact, and as the payee's limits allow. */
static const char over_captures[] = "account A1 settles | created\n"
                                    "account A2 settles | created\n"
                                    "\n"
                                    "limits A2 over_capture=5000 | set\n"
                                    "\n"
                                    "pending  T1 A1 A2 10 | created\n"
                                    "pending  T2 A1 A2 10 | created\n"
                                    "\n"
                                    "post     T3 T1 15 | created\n"
                                    "post     T4 T2 16 | over_capture_not_allowed\n"
                                    "post     T5 T2 23 fact | created\n"
                                    "\n"
                                    "settlement A1 debits=38 count=2\n"
                                    "settlement A2 credits=38 count=2\n";

static const char returns[] =
    "account A1 settles | created\n"
    "account A2 settles | created\n"
    "\n"
    "transfer T1 A1 A2 100 | created\n"
    "\n"
    "cut_off 1 0 | done\n"
    "\n"
    "return   T2 T1 A2 A1 30 | created\n"
    "return   T3 T1 A2 A1 20 pending | created\n"
    "return   T9 T1 A2 A1 9 pending | created\n"
    "\n"
    "settlement A1 epoch=1 credits=30 count=1 debits_before=100 count_before=1\n"
    "settlement A2 epoch=1 debits=30 count=1 credits_before=100 count_before=1\n"
    "cut_off 1 1 | done\n"
    "\n"
    "post     T4 T3 15 | created\n"
    "void     T8 T9 0 | created\n"
    "return   T5 T4 A1 A2 5 | created\n"
    "\n"
    "settlement A1 epoch=2 debits=5 credits=15 count=2 credits_before=30 count_before=1\n"
    "settlement A2 epoch=2 debits=15 credits=5 count=2 debits_before=30 count_before=1\n"
    "cut_off 1 2 | done\n"
    /* Of the hundred 40 are returned: 30 and 15, less 5. */
    "\n"
    "return   T6 T1 A2 A1 max | created\n"
    "return   T7 T1 A2 A1 1 | exceeds_origin_amount\n"
    "\n"
    "settlement A1 epoch=3 credits=60 count=1 debits_before=5 credits_before=15 count_before=2\n"
    "settlement A2 epoch=3 debits=60 count=1 debits_before=15 credits_before=5 count_before=2\n"
    "balance A1 0 105 0 105\n";

static const char facts[] = "account A1 settles debits_must_not_exceed_credits | created\n"
                            "account A2 settles | created\n"
                            "\n"
                            "transfer T1 A1 A2 10 | exceeds_credits\n"
                            "transfer T2 A1 A2 11 fact | created\n"
                            "pending  T3 A1 A2 5 fact | created\n"
                            "return   T4 T2 A2 A1 20 fact | created\n"
                            "\n"
                            "settlement A1 debits=11 credits=20 count=2\n"
                            "settlement A2 debits=20 credits=11 count=2\n"
                            "post     T5 T3 9 fact keep_open | created\n"
                            "\n"
                            "settlement A1 debits=20 credits=20 count=3\n"
                            "settlement A2 debits=20 credits=20 count=3\n";

/* An imported transfer may be older than the epoch that it is executed in, and so may an account. */
static const char imports[] = "account A1 settles | created\n"
                              "account A2 settles | created\n"
                              "\n"
                              "at 2020/01/02\n"
                              "cut_off 1 0 | done\n"
                              "at 2020/01/04\n"
                              "cut_off 1 1 | done\n"
                              "at 2020/01/05\n"
                              "transfer T1 A1 A2 7 imported timestamp=2020/01/01+5s | created\n"
                              "transfer T2 A1 A2 2 imported timestamp=2020/01/02+5s | created\n"
                              "pending  T3 A1 A2 4 imported timestamp=2020/01/02+6s | created\n"
                              "\n"
                              "account A3 settles imported timestamp=2020/01/02+7s | created\n"
                              "\n"
                              "settlement A1 epoch=2 debits=9 count=2 begin=2020/01/04\n"
                              "settlement A2 epoch=2 credits=9 count=2 begin=2020/01/04\n"
                              "settlement A3 epoch=2 begin=2020/01/04\n"
                              "post     T4 T3 max imported timestamp=2020/01/02+8s | created\n"
                              "transfer T5 A3 A2 1 imported timestamp=2020/01/02+9s | created\n"
                              "\n"
                              "settlement A1 epoch=2 debits=13 count=3\n"
                              "settlement A2 epoch=2 credits=14 count=4\n"
                              "settlement A3 epoch=2 debits=1 count=1\n";

/* The amount posted is the one that was decided; what a velocity limit holds is not posted yet. */
static const char decided[] = "account A1 settles | created\n"
                              "account A2 settles | created\n"
                              "account A3 | created\n"
                              "\n"
                              "transfer T1 A3 A1 12 | created\n"
                              "transfer T2 A1 A2 50 balancing_debit | created\n"
                              "transfer T3 A1 A2 50 balancing_debit | created\n"
                              "\n"
                              "settlement A1 debits=12 credits=12 count=3\n"
                              "settlement A2 credits=12 count=2\n"
                              "limits A1 v0=0:1d:calendar:debits:count:hold | set\n"
                              "\n"
                              "transfer T4 A1 A2 5 | created\n"
                              "\n"
                              "settlement A1 debits=12 credits=12 count=3\n"
                              "settlement A2 credits=12 count=2\n"
                              "cut_off 1 0 | done\n"
                              "\n"
                              "post     T5 T4 max | created\n"
                              "\n"
                              "settlement A1 epoch=1 debits=5 count=1 debits_before=12 "
                              "credits_before=12 count_before=3\n"
                              "settlement A2 epoch=1 credits=5 count=1 credits_before=12 "
                              "count_before=2\n";

static const char closing[] = "account A1 settles | created\n"
                              "account A2 settles | created\n"
                              "\n"
                              "pending  T1 A1 A2 6 closing_debit | created\n"
                              "transfer T2 A1 A2 1 | debit_account_already_closed\n"
                              "\n"
                              "balance A1 6 0 0 0 closed\n"
                              "settlement A1\n"
                              "settlement A2\n"
                              "cut_off 1 0 | done\n"
                              "\n"
                              "post     T3 T1 max | debit_account_already_closed\n"
                              "void     T4 T1 0 | created\n"
                              "\n"
                              "settlement A1 epoch=1\n"
                              "transfer T5 A1 A2 2 | created\n"
                              "\n"
                              "settlement A1 epoch=1 debits=2 count=1\n";

static const char largest[] = "account A1 settles | created\n"
                              "account A2 settles | created\n"
                              "\n"
                              "transfer T1 A1 A2 max | created\n"
                              "transfer T2 A2 A1 max-1 | created\n"
                              "\n"
                              "settlement A1 debits=max credits=max-1 count=2\n"
                              "cut_off 1 0 | done\n"
                              "\n"
                              "transfer T3 A2 A1 1 | created\n"
                              "transfer T4 A1 A2 1 | overflows_debits_posted\n"
                              "\n"
                              "settlement A1 epoch=1 credits=1 count=1 debits_before=max "
                              "credits_before=max-1 count_before=2\n"
                              "settlement A2 epoch=1 debits=1 count=1 debits_before=max-1 "
                              "credits_before=max count_before=2\n";

/* What a schedule makes counts when it is made, and so does what is refused not at all. */
static const char schedules[] =
    "account A1 settles | created\n"
    "account A2 settles | created\n"
    "account A3 settles debits_must_not_exceed_credits | created\n"
    "\n"
    "repeat S1 A1 A2 5 first=2020/01/02 each=86400s | done\n"
    "repeat S2 A3 A2 1 first=2020/01/02 each=86400s | done\n"
    "repeat S3 A1 A2 8 first=2020/01/02 each=86400s pending | done\n"
    "\n"
    "settlement A1\n"
    "at 2020/01/02\n"
    "fire | 3\n"
    "settlement A1 debits=5 count=1\n"
    "settlement A2 credits=5 count=1\n"
    "settlement A3\n"
    "at 2020/01/03\n"
    "cut_off 1 0 | done\n"
    "fire | 3\n"
    "settlement A1 epoch=1 debits=5 count=1 debits_before=5 count_before=1\n"
    "settlement A2 epoch=1 credits=5 count=1 credits_before=5 count_before=1\n"
    "settlement A3 epoch=1\n";

static const char refused[] = "account A1 settles | created\n"
                              "account A2 settles | created\n"
                              "account A3 settles debits_must_not_exceed_credits | created\n"
                              "account A4 settles ledger=2 | created\n"
                              "\n"
                              "transfer T1 A3 A1 1 | exceeds_credits\n"
                              "transfer T1 A1 A3 1 | id_already_failed\n"
                              "transfer T2 A1 A9 1 | credit_account_not_found\n"
                              "transfer T3 A1 A2 1 code=0 | code_must_not_be_zero\n"
                              "transfer T3 A1 A4 1 | accounts_must_have_the_same_ledger\n"
                              "post     T3 T9 1 | pending_transfer_not_found\n"
                              "\n"
                              "settlement A1\n"
                              "settlement A2\n"
                              "settlement A3\n"
                              "settlement A4 ledger=2\n";

/* ---- Epochs ---------------------------------------------------------------------------------- */

/* A1 has something posted every third epoch, A2 every second one. */
static const char skipped[] =
    "account A1 settles | created\n"
    "account A2 settles | created\n"
    "account A3 | created\n"
    "\n"
    "transfer T1 A1 A3 5 | created\n"
    "transfer T2 A2 A3 1 | created\n"
    "\n"
    "cut_off 1 0 | done\n"
    "settlement A1 epoch=1 debits_before=5 count_before=1\n"
    "settlement A2 epoch=1 debits_before=1 count_before=1\n"
    "cut_off 1 1 | done\n"
    "settlement A1 epoch=2\n"
    "settlement A2 epoch=2\n"
    "transfer T3 A3 A2 2 | created\n"
    "settlement A2 epoch=2 credits=2 count=1\n"
    "cut_off 1 2 | done\n"
    "settlement A1 epoch=3\n"
    "settlement A2 epoch=3 credits_before=2 count_before=1\n"
    "transfer T4 A1 A3 6 | created\n"
    "settlement A1 epoch=3 debits=6 count=1\n"
    "cut_off 1 3 | done\n"
    "settlement A1 epoch=4 debits_before=6 count_before=1\n"
    "transfer T5 A2 A3 4 | created\n"
    "settlement A2 epoch=4 debits=4 count=1\n"
    "cut_off 1 4 | done\n"
    "cut_off 1 5 | done\n"
    "settlement A1 epoch=6\n"
    "settlement A2 epoch=6\n"
    "transfer T6 A3 A1 7 | created\n"
    "settlement A1 epoch=6 credits=7 count=1\n"
    "cut_off 1 6 | done\n"
    "\n"
    "transfer T7 A1 A2 8 | created\n"
    "settlement A1 epoch=7 debits=8 count=1 credits_before=7 count_before=1\n"
    "settlement A2 epoch=7 credits=8 count=1\n"
    "cut_off 1 7 | done\n"
    "cut_off 1 8 | done\n"
    "settlement A1 epoch=9\n"
    "transfer T8 A1 A2 0 | created\n"
    "settlement A1 epoch=9 count=1\n"
    "settlement A2 epoch=9 count=1\n";

/* Accounts that come after cut-offs begin in the epoch that their ledger is in. */
static const char later[] =
    "account A1 settles | created\n"
    "\n"
    "cut_off 1 0 | done\n"
    "\n"
    "account A2 settles | created\n"
    "settlement A2 epoch=1\n"
    "transfer T1 A1 A2 3 | created\n"
    "settlement A1 epoch=1 debits=3 count=1\n"
    "settlement A2 epoch=1 credits=3 count=1\n"
    "cut_off 1 1 | done\n"
    "cut_off 1 2 | done\n"
    "\n"
    "account A3 settles | created\n"
    "account A4 settles ledger=2 | created\n"
    "\n"
    "settlement A3 epoch=3\n"
    "settlement A4 ledger=2\n"
    "cut_off 1 3 | done\n"
    "settlement A3 epoch=4\n"
    "transfer T2 A2 A3 4 | created\n"
    "settlement A2 epoch=4 debits=4 count=1\n"
    "settlement A3 epoch=4 credits=4 count=1\n"
    "cut_off 1 4 | done\n"
    "settlement A3 epoch=5 credits_before=4 count_before=1\n"
    /* A ledger number was cut off long before anybody had an account there. */
    "cut_off 3 0 | done\n"
    "cut_off 3 1 | done\n"
    "\n"
    "account A5 settles ledger=3 | created\n"
    "account A6 ledger=3 | created\n"
    "\n"
    "settlement A5 epoch=2 ledger=3\n"
    "transfer T3 A5 A6 9 ledger=3 | created\n"
    "settlement A5 epoch=2 debits=9 count=1 ledger=3\n"
    "cut_off 3 2 | done\n"
    "settlement A5 epoch=3 debits_before=9 count_before=1 ledger=3\n";

static const char ledgers[] =
    "account A1 settles | created\n"
    "account A2 settles | created\n"
    "account A3 settles ledger=2 | created\n"
    "account A4 settles ledger=2 | created\n"
    "account A5 settles ledger=4294967295 | created\n"
    "account A6 ledger=4294967295 | created\n"
    "\n"
    "transfer T1 A1 A2 1 | created\n"
    "transfer T2 A3 A4 2 ledger=2 | created\n"
    "transfer T3 A5 A6 3 ledger=4294967295 | created\n"
    "\n"
    "cut_off 2 0 | done\n"
    "settlement A1 debits=1 count=1\n"
    "settlement A3 epoch=1 debits_before=2 count_before=1 ledger=2\n"
    "settlement A5 debits=3 count=1 ledger=4294967295\n"
    "transfer T4 A1 A2 10 | created\n"
    "transfer T5 A3 A4 20 ledger=2 | created\n"
    "transfer T6 A5 A6 30 ledger=4294967295 | created\n"
    "\n"
    "cut_off 4294967295 0 | done\n"
    "cut_off 2 1 | done\n"
    "settlement A2 credits=11 count=2\n"
    "settlement A4 epoch=2 credits_before=20 count_before=1 ledger=2\n"
    "settlement A5 epoch=1 debits_before=33 count_before=2 ledger=4294967295\n"
    "cut_off 1 1 | epoch_has_not_begun\n"
    "cut_off 1 0 | done\n"
    "cut_off 2 1 | epoch_is_over\n"
    "cut_off 4294967295 1 | done\n"
    "\n"
    "settlement A1 epoch=1 debits_before=11 count_before=2\n"
    "settlement A3 epoch=2 debits_before=20 count_before=1 ledger=2\n"
    "settlement A5 epoch=2 ledger=4294967295\n";

/* ---- Chains, retries ---------------------------------------------------------------------------- */

static const char chains[] =
    "account A1 settles | created\n"
    "account A2 settles | created\n"
    "account A3 debits_must_not_exceed_credits | created\n"
    "account A4 settles | created\n"
    "\n"
    "transfer T1 A1 A2 10 | created\n"
    "save\n"
    "transfer T2 A1 A2 5 linked | linked_event_failed\n"
    "transfer T3 A2 A4 5 linked | linked_event_failed\n"
    "transfer T4 A1 A4 5 linked | linked_event_failed\n"
    "transfer T5 A4 A1 5 code=0 | code_must_not_be_zero\n"
    "\n"
    "unchanged\n"
    "transfer T2 A1 A2 5 linked | linked_event_failed\n"
    "transfer T3 A2 A4 5 linked | linked_event_failed\n"
    "transfer T4 A3 A1 5 | exceeds_credits\n"
    "\n"
    "unchanged burnt\n"
    "settlement A1 debits=10 count=1\n"
    "settlement A2 credits=10 count=1\n"
    "settlement A4\n"
    /* Two chains of one request: the first one breaks, the other one stays. */
    "transfer T6 A1 A2 5 linked | linked_event_failed\n"
    "transfer T7 A1 A4 5 code=0 | code_must_not_be_zero\n"
    "transfer T8 A1 A4 7 linked | created\n"
    "transfer T9 A4 A2 2 | created\n"
    "transfer T11 A1 A2 5 linked | linked_event_failed\n"
    "transfer T12 A1 A4 5 linked | linked_event_chain_open\n"
    "\n"
    "settlement A1 debits=17 count=2\n"
    "settlement A2 credits=12 count=2\n"
    "settlement A4 debits=2 credits=7 count=2\n";

/* The first posting of an epoch is taken back: what was of the epoch before stays where it was. */
static const char chains_after[] =
    "account A1 settles | created\n"
    "account A2 settles | created\n"
    "account A3 settles | created\n"
    "\n"
    "transfer T1 A1 A2 10 | created\n"
    "pending  T2 A1 A2 20 | created\n"
    "\n"
    "cut_off 1 0 | done\n"
    "save\n"
    "transfer T3 A1 A2 5 linked | linked_event_failed\n"
    "transfer T4 A2 A3 5 linked | linked_event_failed\n"
    "post     T5 T2 max linked | linked_event_failed\n"
    "transfer T6 A1 A3 1 code=0 | code_must_not_be_zero\n"
    "\n"
    "unchanged\n"
    "settlement A1 epoch=1 debits_before=10 count_before=1\n"
    "settlement A2 epoch=1 credits_before=10 count_before=1\n"
    "settlement A3 epoch=1\n"
    "cut_off 1 1 | done\n"
    "save\n"
    "transfer T7 A1 A2 5 linked | linked_event_failed\n"
    "transfer T8 A1 A9 1 | credit_account_not_found\n"
    "transfer T9 A1 A2 6 linked | linked_event_failed\n"
    "transfer T11 A9 A1 1 | debit_account_not_found\n"
    "\n"
    "unchanged burnt\n"
    "settlement A1 epoch=2\n"
    "settlement A2 epoch=2\n"
    "transfer T12 A1 A2 5 linked | created\n"
    "post     T13 T2 12 linked | created\n"
    "transfer T14 A2 A1 2 | created\n"
    "\n"
    "settlement A1 epoch=2 debits=17 credits=2 count=3\n"
    "cut_off 1 2 | done\n"
    "\n"
    "transfer T15 A1 A2 5 | created\n"
    "save\n"
    "transfer T16 A1 A2 5 linked | linked_event_failed\n"
    "transfer T17 A1 A2 5 code=0 | code_must_not_be_zero\n"
    "\n"
    "unchanged\n"
    "settlement A1 epoch=3 debits=5 count=1 debits_before=17 credits_before=2 count_before=3\n"
    "settlement A2 epoch=3 credits=5 count=1 debits_before=2 credits_before=17 count_before=3\n";

/* Accounts of a broken chain have no settlement, and those that come right behind it have their own. */
static const char chains_of_accounts[] = "account A1 settles | created\n"
                                         "\n"
                                         "cut_off 1 0 | done\n"
                                         "save\n"
                                         "account A2 settles linked | linked_event_failed\n"
                                         "account A3 linked | linked_event_failed\n"
                                         "account A4 settles linked | linked_event_failed\n"
                                         "account A5 code=0 | code_must_not_be_zero\n"
                                         "\n"
                                         "unchanged\n"
                                         "no_settlement A2 A3 A4 A5\n"
                                         "account A2 settles linked | linked_event_failed\n"
                                         "account A4 settles linked | linked_event_failed\n"
                                         "account A1 settles code=2 | exists_with_different_code\n"
                                         "account A3 settles | created\n"
                                         "account A4 linked | created\n"
                                         "account A2 settles | created\n"
                                         "\n"
                                         "no_settlement A4\n"
                                         "settlement A2 epoch=1\n"
                                         "settlement A3 epoch=1\n"
                                         "transfer T1 A3 A2 4 | created\n"
                                         "\n"
                                         "settlement A1 epoch=1\n"
                                         "settlement A2 epoch=1 credits=4 count=1\n"
                                         "settlement A3 epoch=1 debits=4 count=1\n";

static const char retries[] =
    "account A1 settles | created\n"
    "account A2 settles | created\n"
    "\n"
    "transfer T1 A1 A2 10 | created\n"
    "pending  T2 A1 A2 5 | created\n"
    "post     T3 T2 4 keep_open | created\n"
    "return   T4 T1 A2 A1 max | created\n"
    "\n"
    "settlement A1 debits=14 credits=10 count=3\n"
    "save\n"
    "transfer T1 A1 A2 10 | exists\n"
    "pending  T2 A1 A2 5 | exists\n"
    "post     T3 T2 4 keep_open | exists\n"
    "return   T4 T1 A2 A1 max | exists\n"
    "transfer T1 A1 A2 11 | exists_with_different_amount\n"
    "\n"
    "account A1 settles | exists\n"
    "account A2 settles | exists\n"
    "unchanged\n"
    "cut_off 1 0 | done\n"
    "save\n"
    "transfer T1 A1 A2 10 | exists\n"
    "post     T3 T2 4 keep_open | exists\n"
    "return   T4 T1 A2 A1 max | exists\n"
    "transfer T1 A1 A2 10 | exists\n"
    "\n"
    "unchanged\n"
    "settlement A1 epoch=1 debits_before=14 credits_before=10 count_before=3\n"
    /* Some of a request are new, and between them are old ones, which have to be found first. */
    "transfer T5 A1 A2 1 | created\n"
    "transfer T1 A1 A2 10 | exists\n"
    "transfer T6 A1 A2 2 linked | linked_event_failed\n"
    "post     T3 T2 4 keep_open | exists\n"
    "post     T7 T2 max | created\n"
    "return   T8 T4 A1 A2 3 | created\n"
    "transfer T9 A2 A1 7 linked | linked_event_failed\n"
    "return   T10 T1 A2 A1 4 | exceeds_origin_amount\n"
    "\n"
    "settlement A1 epoch=1 debits=5 count=3 debits_before=14 credits_before=10 count_before=3\n"
    "settlement A2 epoch=1 credits=5 count=3 debits_before=10 credits_before=14 count_before=3\n";

/* The flag is given when the account is created, or never. */
static const char flag_rules[] =
    "account A1 | created\n"
    "account A2 settles | created\n"
    "account A3 settles history debits_must_not_exceed_credits | created\n"
    "account A4 settles credits_must_not_exceed_debits | created\n"
    "account A5 settles debits_must_not_exceed_credits credits_must_not_exceed_debits | "
    "flags_are_mutually_exclusive\n"
    "account A5 settles flags=0x80 | reserved_flag\n"
    "account A5 flags=64 | created\n"
    "\n"
    "account A1 settles | exists_with_different_flags\n"
    "account A2 | exists_with_different_flags\n"
    "account A2 history | exists_with_different_flags\n"
    "account A3 history debits_must_not_exceed_credits | exists_with_different_flags\n"
    "account A5 settles | exists\n"
    "\n"
    "stored account A2 settles\n"
    "stored account A5 settles\n"
    "no_settlement A1\n"
    "transfer T1 A1 A2 5 | created\n"
    "transfer T2 A2 A3 3 | created\n"
    "transfer T3 A4 A3 2 | created\n"
    "\n"
    "no_settlement A1\n"
    "settlement A2 debits=3 credits=5 count=2\n"
    "settlement A3 credits=5 count=2\n"
    "settlement A4 debits=2 count=1\n"
    "settlement A5\n";

/* ---- By the ledger and by the model ------------------------------------------------------ */

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
    X(cut_rules, cuts_off_the_epoch_that_a_ledger_is_in)                                           \
    X(begins, tells_when_an_epoch_began)                                                           \
    X(both_sides, adds_up_both_sides_of_transfers)                                                 \
    X(zeros, counts_postings_of_nothing)                                                           \
    X(holds, counts_posts_of_holds_and_nothing_else_of_them)                                       \
    X(over_captures, counts_all_that_is_posted_of_a_hold)                                          \
    X(returns, counts_returns_in_the_epoch_in_which_they_are_posted)                               \
    X(facts, counts_facts)                                                                         \
    X(imports, counts_imports_in_the_epoch_that_executes_them)                                     \
    X(decided, counts_the_amount_that_was_decided)                                                 \
    X(closing, counts_nothing_of_what_closes_accounts)                                             \
    X(largest, adds_up_the_largest_amounts)                                                        \
    X(schedules, counts_what_schedules_make)                                                       \
    X(refused, counts_nothing_that_is_refused)                                                     \
    X(skipped, knows_that_nothing_was_posted_in_an_epoch)                                          \
    X(later, begins_with_accounts_that_come_later)                                                 \
    X(ledgers, cuts_off_one_ledger_without_the_others)                                             \
    X(chains, takes_back_what_a_broken_chain_posted)                                               \
    X(chains_after, takes_back_the_first_postings_of_an_epoch)                                     \
    X(chains_of_accounts, takes_back_accounts_that_settle)                                         \
    X(retries, counts_a_retry_once)                                                                \
    X(flag_rules, takes_the_flag_from_accounts_that_are_created)

#define TABLE_TESTS(table, shows)                                                                  \
    Test(ledger_settlement, shows)                                                                 \
    {                                                                                              \
        fixture_script_alone(table, NULL);                                                         \
    }                                                                                              \
    Test(ledger_settlement_model, shows)                                                           \
    {                                                                                              \
        by_the_model(table, NULL);                                                                 \
    }
TABLES(TABLE_TESTS)
#undef TABLE_TESTS

#define TABLE(table, shows) table,
static const char *const tables[] = {TABLES(TABLE)};
#undef TABLE

/* All but the last result, which takes more ledgers than fit into a table. */
Test(ledger_settlement_model, has_a_row_for_every_result)
{
    struct fixture_coverage coverage = {0};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        by_the_model(tables[i], &coverage);
#define CODE_IS_SEEN(name, code, text)                                                             \
    cr_assert(code == GIRO_CUT_OFF_RESULT_LEDGERS_FULL || coverage.cut_off[code] != 0,             \
              "no event answers %s", text);
    GIRO_CUT_OFF_RESULTS(CODE_IS_SEEN)
#undef CODE_IS_SEEN
}

/* Every table again, with no record in memory when a request begins: what is fetched in between undoes
 * nothing and counts nothing. */
Test(ledger_settlement, answers_the_same_from_records_that_are_fetched)
{
    struct fixture_config config = {.window_records = 1 << 9};
    uint64_t fetched = 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct fixture fixture;
        fixture_init(&fixture, &config);
        fixture.forget_always = true;
        fixture_script(&fixture, tables[i], NULL);
        fixture_check_replay(&fixture, UINT32_MAX);
        fetched += fixture.fetched_count;
        fixture_free(&fixture);
    }
    cr_assert(fetched > 10, "only %lu records were fetched", fetched);
}

/* ---- As many ledgers as there may be ----------------------------------------------------------- */

enum { LEDGERS_MAX = 1024 };

static void ledgers_fill(struct fixture *fixture)
{
    static struct giro_cut_off events[LEDGERS_MAX];
    for (uint32_t i = 0; i < LEDGERS_MAX; i++)
        events[i] = (struct giro_cut_off){.ledger = LEDGERS_MAX + 1 - i};
    const uint32_t *codes = fixture_cut_off(fixture, events, LEDGERS_MAX);
    for (uint32_t i = 0; i < LEDGERS_MAX; i++)
        cr_assert(codes[i] == GIRO_CUT_OFF_RESULT_DONE, "ledger %u: %s", events[i].ledger,
                  giro_cut_off_result_name(codes[i]));
}

/* The ledger numbers 2 to 1,025 are cut off: there is no room for number 1, which can still be used. */
static const char ledgers_full[] =
    "save\n"
    "cut_off 1 0 | ledgers_full\n"
    "cut_off 1 1 | epoch_has_not_begun\n"
    "cut_off 1026 0 | ledgers_full\n"
    "cut_off 2 0 | epoch_is_over\n"
    "\n"
    "unchanged\n"
    "cut_off 2 1 | done\n"
    "cut_off 1025 1 | done\n"
    "cut_off 1025 2 | done\n"
    "cut_off 1 0 | ledgers_full\n"
    "\n"
    "account A1 settles | created\n"
    "account A2 settles | created\n"
    "account A3 settles ledger=1025 | created\n"
    "account A4 settles ledger=1025 | created\n"
    "account A5 settles ledger=512 | created\n"
    "\n"
    "transfer T1 A1 A2 5 | created\n"
    "transfer T2 A3 A4 6 ledger=1025 | created\n"
    "\n"
    "settlement A1 debits=5 count=1 begin=0\n"
    "settlement A3 debits=6 count=1 epoch=3 ledger=1025\n"
    "settlement A5 epoch=1 ledger=512\n"
    "cut_off 1025 3 | done\n"
    "cut_off 1 0 | ledgers_full\n"
    "\n"
    "settlement A1 debits=5 count=1 begin=0\n"
    "settlement A3 debits_before=6 count_before=1 epoch=4 ledger=1025\n";

static void full_run(bool model)
{
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    if (model)
        fixture.model = calloc(1, sizeof *fixture.model);
    cr_assert(!model || fixture.model != NULL);
    ledgers_fill(&fixture);
    fixture_script(&fixture, ledgers_full, NULL);
    if (!model) {
        fixture_check_replay(&fixture, UINT32_MAX);
        fixture_check_replay(&fixture, 7);
    }
    free(fixture.model);
    fixture_free(&fixture);
}

Test(ledger_settlement, cuts_off_so_many_ledgers_and_no_more)
{
    full_run(false);
}

Test(ledger_settlement_model, cuts_off_so_many_ledgers_and_no_more)
{
    full_run(true);
}

/* ---- Asking for many ----------------------------------------------------------------------------- */

/* Those that settle, in the order asked for, as often as asked for, at any address. */
Test(ledger_settlement, tells_of_accounts_in_the_order_asked_for)
{
    static const giro_u128 ids[] = {3, 9, 1, 2, 0, 3, GIRO_U128_MAX, 1};
    static const uint64_t expected[] = {3, 1, 3, 1};
    char out[sizeof ids / sizeof ids[0] * sizeof(struct giro_settlement) + 1];
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture,
                   "account A1 settles | created\n"
                   "account A2 | created\n"
                   "account A3 settles | created\n"
                   "\n"
                   "transfer T1 A1 A2 5 | created\n"
                   "transfer T2 A2 A3 7 | created\n",
                   NULL);
    memset(out, 0x5a, sizeof out);
    uint32_t found =
        ledger_get_settlements(fixture.ledger, ids, sizeof ids / sizeof ids[0], out + 1);
    cr_assert(found == 4, "%u were found", found);
    for (uint32_t i = 0; i < found; i++) {
        struct giro_settlement settlement;
        memcpy(&settlement, out + 1 + i * sizeof settlement, sizeof settlement);
        struct giro_settlement alone = {
            .account_id = expected[i],
            .debits = expected[i] == 1 ? 5 : 0,
            .credits = expected[i] == 3 ? 7 : 0,
            .count = 1,
            .ledger = 1,
        };
        cr_assert(memcmp(&settlement, &alone, sizeof alone) == 0, "settlement %u", i);
    }
    for (size_t i = 1 + found * sizeof(struct giro_settlement); i < sizeof out; i++)
        cr_assert(out[i] == 0x5a, "written behind the end");
    cr_assert(ledger_get_settlements(fixture.ledger, ids, 0, out) == 0);
    fixture_free(&fixture);
}

/* ---- Precedence -------------------------------------------------------------------------- */

/* As many ledgers as there may be are cut off once; 1 is none of them. */
static void precedence_check(bool model, const char *base, const char *in_order, uint32_t pairs_min)
{
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    if (model)
        fixture.model = calloc(1, sizeof *fixture.model);
    cr_assert(!model || fixture.model != NULL);
    ledgers_fill(&fixture);
    fixture_script(&fixture,
                   "account A1 settles | created\n"
                   "account A2 | created\n",
                   NULL);
    uint32_t pairs = fixture_precedence(&fixture, base, in_order);
    cr_assert(pairs >= pairs_min, "only %u pairs", pairs);
    free(fixture.model);
    fixture_free(&fixture);
}

static void cut_precedence(bool model)
{
    static const char in_order[] = "timestamp=1 | timestamp_must_be_zero\n"
                                   "reserved=1 | reserved_field\n"
                                   "reserved_end=1 | reserved_field\n"
                                   "reserved_1=1 | reserved_field\n"
                                   "flags=1 | reserved_flag\n"
                                   "ledger=0 | ledger_must_not_be_zero\n"
                                   "epoch=0 | epoch_is_over\n"
                                   "epoch=2 | epoch_has_not_begun\n";
    precedence_check(model, "cut_off 7 1", in_order, 27);
}

/* A base row of epoch 0 gets another one, as if that were an id. */
static void full_precedence(bool model)
{
    static const char in_order[] = "timestamp=1 | timestamp_must_be_zero\n"
                                   "reserved=1 | reserved_field\n"
                                   "reserved_end=1 | reserved_field\n"
                                   "reserved_1=1 | reserved_field\n"
                                   "flags=1 | reserved_flag\n"
                                   "ledger=0 | ledger_must_not_be_zero\n"
                                   "epoch=1 | epoch_has_not_begun\n"
                                   "epoch=0 | ledgers_full\n";
    precedence_check(model, "cut_off 1 1", in_order, 27);
}

/* Of accounts that are there, with the flag and without. */
static void flag_precedence(bool model)
{
    static const char settles[] = "timestamp=1 | timestamp_must_be_zero\n"
                                  "reserved=1 | reserved_field\n"
                                  "flags=0x80 | reserved_flag\n"
                                  "id=0 | id_must_not_be_zero\n"
                                  "id=max | id_must_not_be_int_max\n"
                                  "history | exists_with_different_flags\n"
                                  "user_data_128=1 | exists_with_different_user_data_128\n"
                                  "ledger=2 | exists_with_different_ledger\n"
                                  "code=2 | exists_with_different_code\n"
                                  "debits_posted=1 | exists\n";
    static const char without[] = "timestamp=1 | timestamp_must_be_zero\n"
                                  "reserved=1 | reserved_field\n"
                                  "flags=0x80 | reserved_flag\n"
                                  "settles | exists_with_different_flags\n"
                                  "user_data_128=1 | exists_with_different_user_data_128\n"
                                  "ledger=2 | exists_with_different_ledger\n"
                                  "code=2 | exists_with_different_code\n"
                                  "debits_posted=1 | exists\n";
    static const char created[] = "flags=0x80 | reserved_flag\n"
                                  "debits_must_not_exceed_credits credits_must_not_exceed_debits | "
                                  "flags_are_mutually_exclusive\n"
                                  "debits_posted=1 | debits_posted_must_be_zero\n"
                                  "ledger=0 | ledger_must_not_be_zero\n"
                                  "code=0 | code_must_not_be_zero\n";
    precedence_check(model, "account A1 settles", settles, 40);
    precedence_check(model, "account A2", without, 28);
    precedence_check(model, "account 0 settles", created, 10);
}

#define PRECEDENCE_TESTS(rules)                                                                    \
    Test(ledger_settlement, answers_the_earlier_of_two_broken_rules_of_##rules)                    \
    {                                                                                              \
        rules##_precedence(false);                                                                 \
    }                                                                                              \
    Test(ledger_settlement_model, answers_the_earlier_of_two_broken_rules_of_##rules)              \
    {                                                                                              \
        rules##_precedence(true);                                                                  \
    }
PRECEDENCE_TESTS(cut)
PRECEDENCE_TESTS(full)
PRECEDENCE_TESTS(flag)
#undef PRECEDENCE_TESTS
