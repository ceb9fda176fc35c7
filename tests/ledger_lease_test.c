/* Leases: who has what, until when, the token that proves it, and requests of transfers that are
 * fenced by one. One event a row; the language is described in tests/ledger_fixture.h.
 *
 * Every table was worked out by hand and runs twice, in a ledger of its own whose log is replayed
 * at the end, and in the model, which the random tests compare the ledger with. */
#include "tests/ledger_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* ---- Leases by themselves ------------------------------------------------------------------ */

static const char broken_rules[] =
    "save\n"
    "acquire K1 O1 1000 timestamp=1 | timestamp_must_be_zero\n"
    "acquire K1 O1 1000 deadline=1 | reserved_field\n"
    "acquire K1 O1 1000 row=1 | reserved_field\n"
    "acquire K1 O1 1000 result=1 | reserved_field\n"
    "acquire K1 O1 1000 flags=1 | reserved_field\n"
    "acquire K1 O1 1000 flags=0xc000 | reserved_field\n"
    "acquire K1 O1 1000 reserved=1 | reserved_field\n"
    "acquire K1 O1 1000 reserved_end=0x80 | reserved_field\n"
    "renew   K1 O1 1 1000 deadline=1 | reserved_field\n"
    "release K1 O1 1 reserved=1 | reserved_field\n"
    "acquire 0 O1 1000 | key_must_not_be_zero\n"
    "acquire max O1 1000 | key_must_not_be_int_max\n"
    "release max O1 0 | key_must_not_be_int_max\n"
    "acquire K1 0 1000 | owner_must_not_be_zero\n"
    "renew   K1 0 1 1000 | owner_must_not_be_zero\n"
    "acquire K1 O1 1000 action=0 | action_unknown\n"
    "acquire K1 O1 1000 action=4 | action_unknown\n"
    "acquire K1 O1 1000 action=0x101 | action_unknown\n"
    "acquire K1 O1 0 | timeout_out_of_range\n"
    "acquire K1 O1 86400001 | timeout_out_of_range\n"
    "acquire K1 O1 0xffffffff | timeout_out_of_range\n"
    "renew   K1 O1 1 0 | timeout_out_of_range\n"
    "renew   K1 O1 1 86400001 | timeout_out_of_range\n"
    "release K1 O1 1 timeout_ms=1 | timeout_out_of_range\n"
    "acquire K1 O1 1000 token=1 | token_must_be_zero\n"
    "acquire K1 O1 1000 token=0x8000000000000000 | token_must_be_zero\n"
    "renew   K1 O1 1 1000 | not_held\n"
    "renew   K1 O1 0 1000 | not_held\n"
    "release K1 O1 1 | not_held\n"
    "release K1 O1 0 | not_held\n"
    "\n"
    "unchanged\n"
    "over K1\n";

/* The shortest and the longest lease, and the largest names. */
static const char bounds[] = "at 2020/02/01\n"
                             "acquire K1 O1 1 as=a | done\n"
                             "acquire K2 O1 86400000 as=b | done\n"
                             "acquire max-1 max 1000 as=c | done\n"
                             "\n"
                             "lease K1 O1 $a 2020/02/01+1000000\n"
                             "lease K2 O1 $b 2020/02/02+1\n"
                             "lease max-1 max $c 2020/02/01+2+1s\n"
                             "renew K2 O1 $b 1 | done\n"
                             "renew max-1 max $c 86400000 | done\n"
                             "\n"
                             "lease K2 O1 $b 2020/02/01+3+1000000\n"
                             "lease max-1 max $c 2020/02/02+4\n";

static const char another[] =
    "at 2020/02/01\n"
    "acquire K1 O1 10000 as=a | done\n"
    "acquire K1 O2 10000 holder=O1 until=2020/02/01+10s | held_by_another\n"
    "acquire K2 O2 20000 as=b | done\n"
    "acquire K2 O1 1 holder=O2 until=2020/02/01+20s+2 | held_by_another\n"
    "acquire K1 O3 1 holder=O1 until=2020/02/01+10s | held_by_another\n"
    "\n"
    "lease K1 O1 $a 2020/02/01+10s\n"
    "lease K2 O2 $b 2020/02/01+20s+2\n"
    /* Nobody else's token helps, nor one's own under another name or key. */
    "renew   K1 O2 $a 1000 | not_held\n"
    "release K1 O2 $a | not_held\n"
    "renew   K1 O1 $b 1000 | not_held\n"
    "release K1 O1 $b | not_held\n"
    "renew   K2 O1 $a 1000 | not_held\n"
    "renew   K1 O1 $a+1 1000 | not_held\n"
    "renew   K1 O1 $a-1 1000 | not_held\n"
    "renew   K1 O1 0 1000 | not_held\n"
    "release K1 O1 0 | not_held\n"
    "\n"
    "lease K1 O1 $a 2020/02/01+10s\n"
    "lease K2 O2 $b 2020/02/01+20s+2\n";

/* A lease is over at its deadline, not a nanosecond earlier. */
static const char deadline[] =
    "at 2020/02/01\n"
    "acquire K1 O1 10000 as=a | done\n"
    "acquire K2 O1 10000 as=b | done\n"
    "acquire K3 O1 10000 as=c | done\n"
    "\n"
    "at 2020/02/01+10s-1\n"
    "acquire K1 O2 5000 holder=O1 until=2020/02/01+10s | held_by_another\n"
    "acquire K1 O2 5000 as=d | done\n"
    "acquire K1 O1 1 holder=O2 until=2020/02/01+15s | held_by_another\n"
    "\n"
    "lease K1 O2 $d 2020/02/01+15s\n"
    "over K2 K3\n"
    /* K2 was over by then, a nanosecond behind it. */
    "renew   K2 O1 $b 1000 | not_held\n"
    "release K2 O1 $b | not_held\n"
    "renew   K3 O1 $c 1000 | not_held\n"
    "\n"
    "at 2020/02/01+15s-1\n"
    "renew   K1 O2 $d 10000 | done\n"
    "\n"
    "at 2020/02/01+25s-2\n"
    "renew   K1 O2 $d 1 | done\n"
    "\n"
    /* Earlier than before. */
    "lease K1 O2 $d 2020/02/01+25s-2+1000000\n"
    "at 2020/02/01+25s-2+1000000\n"
    "renew   K1 O2 $d 1000 | not_held\n"
    "release K1 O2 $d | not_held\n"
    "acquire K1 O2 1000 as=e | done\n"
    "renew   K1 O2 $d 1000 | not_held\n"
    "\n"
    "lease K1 O2 $e 2020/02/01+26s+1000000\n";

static const char renewed[] = "at 2020/02/01\n"
                              "acquire K1 O1 10000 as=a | done\n"
                              "\n"
                              "at 2020/02/01+5s\n"
                              "renew   K1 O1 $a 10000 | done\n"
                              "renew   K1 O1 $a 20000 | done\n"
                              "\n"
                              "lease K1 O1 $a 2020/02/01+25s+1\n"
                              "at 2020/02/01+25s\n"
                              "acquire K1 O2 1 holder=O1 until=2020/02/01+25s+1 | held_by_another\n"
                              "renew   K1 O1 $a 10000 | not_held\n"
                              "acquire K1 O2 1 as=b | done\n"
                              "\n"
                              "lease K1 O2 $b 2020/02/01+25s+1000002\n";

static const char released[] = "at 2020/02/01\n"
                               "acquire K1 O1 10000 as=a | done\n"
                               "\n"
                               "at 2020/02/01+1s\n"
                               "release K1 O1 $a | done\n"
                               "release K1 O1 $a | not_held\n"
                               "renew   K1 O1 $a 1000 | not_held\n"
                               "\n"
                               "over K1\n"
                               "acquire K1 O2 10000 as=b | done\n"
                               "\n"
                               "lease K1 O2 $b 2020/02/01+11s+3\n"
                               "release K1 O1 $a | not_held\n"
                               "release K1 O2 $a | not_held\n"
                               "release K1 O2 $b | done\n"
                               /* And the one who had it first again, with a third token. */
                               "acquire K1 O1 10000 as=c | done\n"
                               "renew   K1 O1 $a 10000 | not_held\n"
                               "\n"
                               "release K1 O1 $b | not_held\n"
                               "release K1 O1 $c | done\n"
                               "\n"
                               "over K1\n";

/* Whoever acquires what he has gets a new token, and the old one is of no use. */
static const char again[] = "at 2020/02/01\n"
                            "acquire K1 O1 10000 as=a | done\n"
                            "acquire K1 O1 5000 as=b | done\n"
                            "acquire K2 O1 5000 as=c | done\n"
                            "acquire K1 O1 1000 as=d | done\n"
                            "\n"
                            "lease K1 O1 $d 2020/02/01+1s+3\n"
                            "renew   K1 O1 $a 10000 | not_held\n"
                            "renew   K1 O1 $b 10000 | not_held\n"
                            "release K1 O1 $b | not_held\n"
                            "renew   K1 O1 $c 10000 | not_held\n"
                            "renew   K1 O1 $d 2000 | done\n"
                            "\n"
                            "lease K1 O1 $d 2020/02/01+2s+8\n"
                            "lease K2 O1 $c 2020/02/01+5s+2\n";

/* ---- Fences ---------------------------------------------------------------------------------- */

static const char fenced[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "pending  T1 A1 A2 100 | created\n"
    "pending  T2 A1 A2 100 | created\n"
    "transfer T3 A1 A2 100 | created\n"
    "\n"
    "at 2020/02/01\n"
    "acquire K1 O1 10000 as=a | done\n"
    "acquire K2 O1 10000 as=b | done\n"
    "\n"
    "fence K1 $a\n"
    "transfer T11 A1 A2 1 | created\n"
    "pending  T12 A1 A2 2 timeout=1 | created\n"
    "transfer T13 A1 A2 3 fact | created\n"
    "pending  T14 A1 A2 4 fact | created\n"
    "return   T15 T3 A2 A1 5 | created\n"
    "return   T16 T3 A2 A1 6 pending | created\n"
    "post     T17 T1 7 keep_open | created\n"
    "void     T18 T1 8 keep_open | created\n"
    "adjust   T19 T1 9 | created\n"
    "post     T20 T1 max | created\n"
    "void     T21 T2 0 | created\n"
    "transfer T22 A2 A1 max balancing_debit | created\n"
    "\n"
    /* Another lease's token is as good as none, and so is the right one of nothing. */
    "save\n"
    "fence K1 $b\n"
    "transfer T31 A1 A2 1 | lease_not_held\n"
    "fence K2 $a\n"
    "transfer T31 A1 A2 1 | lease_not_held\n"
    "fence K3 $a\n"
    "transfer T31 A1 A2 1 | lease_not_held\n"
    "fence K1 $a+1\n"
    "transfer T31 A1 A2 1 | lease_not_held\n"
    "fence K1 0\n"
    "transfer T31 A1 A2 1 | lease_not_held\n"
    "fence 0 0\n"
    "transfer T31 A1 A2 1 | lease_not_held\n"
    "fence max $a\n"
    "transfer T31 A1 A2 1 | lease_not_held\n"
    "fence K3 0\n"
    "transfer T31 A1 A2 1 | lease_not_held\n"
    "pending  T32 A1 A2 2 | lease_not_held\n"
    "transfer T33 A1 A2 3 fact | lease_not_held\n"
    "pending  T34 A1 A2 4 fact | lease_not_held\n"
    "return   T35 T3 A2 A1 5 | lease_not_held\n"
    "return   T36 T3 A2 A1 6 pending | lease_not_held\n"
    "return   T36 T3 A2 A1 6 fact | lease_not_held\n"
    "post     T37 T12 max | lease_not_held\n"
    "post     T37 T12 7 fact | lease_not_held\n"
    "void     T38 T12 0 | lease_not_held\n"
    "adjust   T39 T12 1 | lease_not_held\n"
    "transfer T40 A1 A2 1 no_limit | lease_not_held\n"
    "\n"
    "unchanged\n"
    "missing T31 T32 T33 T34 T35 T36 T37 T38 T39 T40\n"
    /* It burns nothing. */
    "fence K2 $b\n"
    "transfer T31 A1 A2 1 | created\n"
    "pending  T32 A1 A2 2 | created\n"
    "transfer T33 A1 A2 3 fact | created\n"
    "return   T35 T3 A2 A1 5 | created\n"
    "post     T37 T12 max | created\n"
    "adjust   T39 T14 1 | created\n"
    "\n"
    "fence none\n"
    "return   T36 T3 A2 A1 6 pending | created\n"
    "void     T38 T14 0 | created\n"
    "transfer T40 A1 A2 1 no_limit | created\n";

/* A retry learns what became of the first try, whoever has the lease by now. */
static const char fenced_again[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "at 2020/02/01\n"
    "acquire K1 O1 10000 as=a | done\n"
    "\n"
    "fence K1 $a\n"
    "transfer T1 A1 A2 1 | created\n"
    "pending  T2 A1 A2 5 | created\n"
    "post     T3 T2 2 keep_open | created\n"
    "adjust   T4 T2 2 | created\n"
    "return   T5 T1 A2 A1 1 | created\n"
    "void     T6 T2 max keep_open | exceeds_pending_transfer_amount\n"
    "void     T6 T2 0 | created\n"
    "transfer T7 A1 A9 1 | credit_account_not_found\n"
    "transfer T8 A1 A2 1 linked | created\n"
    "transfer T9 A1 A2 1 | created\n"
    "\n"
    "at 2020/02/01+20s\n"
    "acquire K1 O2 10000 as=b | done\n"
    "\n"
    "transfer T1 A1 A2 1 | exists\n"
    "pending  T2 A1 A2 5 | exists\n"
    "post     T3 T2 2 keep_open | exists\n"
    "adjust   T4 T2 2 | exists\n"
    "return   T5 T1 A2 A1 1 | exists\n"
    "void     T6 T2 0 | exists\n"
    "transfer T7 A1 A2 1 | id_already_failed\n"
    "transfer T1 A1 A2 2 | exists_with_different_amount\n"
    "post     T3 T2 2 | exists_with_different_flags\n"
    "transfer T10 A1 A2 1 | lease_not_held\n"
    "transfer T8 A1 A2 1 linked | exists\n"
    "transfer T9 A1 A2 1 | exists\n"
    /* The chain as a whole was never committed. */
    "transfer T9 A1 A2 1 linked | exists_with_different_flags\n"
    "transfer T10 A1 A2 1 | linked_event_failed\n"
    "\n"
    "fence K1 $b\n"
    "transfer T1 A1 A2 1 | exists\n"
    "transfer T10 A1 A2 1 | created\n";

/* Each event by its own time, which is the server's. */
static const char fenced_time[] = "account A1 | created\n"
                                  "account A2 | created\n"
                                  "\n"
                                  "at 2020/02/01\n"
                                  "acquire K1 O1 10000 as=a | done\n"
                                  "\n"
                                  "fence K1 $a\n"
                                  "at 2020/02/01+10s-3\n"
                                  "transfer T1 A1 A2 1 | created\n"
                                  "transfer T2 A1 A2 1 | created\n"
                                  "transfer T3 A1 A2 1 | created\n"
                                  "transfer T4 A1 A2 1 | lease_not_held\n"
                                  "transfer T1 A1 A2 1 | exists\n"
                                  "post     T5 T1 1 | lease_not_held\n"
                                  "\n"
                                  "acquire K1 O1 10000 as=b | done\n"
                                  "\n"
                                  /* The same owner has another token now. */
                                  "transfer T4 A1 A2 1 | lease_not_held\n"
                                  "fence K1 $b\n"
                                  "transfer T4 A1 A2 1 | created\n"
                                  "at 2020/02/01+15s\n"
                                  "renew K1 O1 $b 1000 | done\n"
                                  "\n"
                                  "at 2020/02/01+16s-1\n"
                                  "transfer T5 A1 A2 1 | created\n"
                                  "transfer T6 A1 A2 1 | lease_not_held\n"
                                  "\n"
                                  "at 2020/02/01+17s\n"
                                  "acquire K1 O1 10000 as=c | done\n"
                                  "\n"
                                  "fence K1 $c\n"
                                  "transfer T6 A1 A2 1 | created\n"
                                  "\n"
                                  "release K1 O1 $c | done\n"
                                  "\n"
                                  "transfer T7 A1 A2 1 | lease_not_held\n"
                                  "fence none\n"
                                  "transfer T7 A1 A2 1 | created\n";

static const char fenced_imports[] =
    "at 2020/02/01\n"
    "account A1 imported timestamp=2020/01/01 | created\n"
    "account A2 imported timestamp=2020/01/02 | created\n"
    "\n"
    "at 2020/03/01\n"
    "acquire K1 O1 10000 as=a | done\n"
    "\n"
    "fence K1 $a\n"
    "at 2020/03/01+1s\n"
    "transfer T1 A1 A2 1 imported timestamp=2020/02/02 | created\n"
    "\n"
    "at 2020/03/01+10s\n"
    "transfer T2 A1 A2 1 imported timestamp=2020/03/01+1s | lease_not_held\n"
    "transfer T2 A1 A2 1 imported timestamp=2020/02/02 | "
    "imported_event_timestamp_must_not_regress\n"
    "transfer T2 A1 A2 1 imported timestamp=2020/03/01+1s timeout=1 | "
    "timeout_reserved_for_pending_transfer\n"
    "pending  T2 A1 A2 1 imported timestamp=2020/03/01+1s timeout=1 | "
    "imported_event_timeout_must_be_zero\n"
    "\n"
    "missing T2\n"
    "fence none\n"
    "transfer T2 A1 A2 1 imported timestamp=2020/03/01+1s | created\n";

static const char fenced_chains[] = "account A1 | created\n"
                                    "account A2 | created\n"
                                    "\n"
                                    "at 2020/02/01\n"
                                    "acquire K1 O1 10000 as=a | done\n"
                                    "\n"
                                    "fence K1 $a\n"
                                    "transfer T1 A1 A2 1 linked | created\n"
                                    "pending  T2 A1 A2 1 linked | created\n"
                                    "post     T3 T2 1 | created\n"
                                    "\n"
                                    "save\n"
                                    /* In the middle of it the lease is over. */
                                    "at 2020/02/01+10s-2\n"
                                    "transfer T11 A1 A2 1 linked | linked_event_failed\n"
                                    "transfer T12 A1 A2 1 linked | linked_event_failed\n"
                                    "transfer T13 A1 A2 1 linked | lease_not_held\n"
                                    "transfer T14 A1 A2 1 | linked_event_failed\n"
                                    "transfer T15 A1 A2 1 | lease_not_held\n"
                                    "\n"
                                    "transfer T16 A1 A2 1 linked | lease_not_held\n"
                                    "transfer T17 A1 A2 1 linked | linked_event_chain_open\n"
                                    "\n"
                                    "unchanged\n"
                                    "missing T11 T12 T13 T14 T15 T16 T17\n"
                                    "fence none\n"
                                    "transfer T11 A1 A2 1 linked | created\n"
                                    "transfer T12 A1 A2 1 linked | created\n"
                                    "transfer T13 A1 A2 1 linked | created\n"
                                    "transfer T14 A1 A2 1 | created\n"
                                    "transfer T16 A1 A2 1 | created\n";

/* What is refused earlier, and would burn, burns. */
static const char fenced_burns[] = "account A1 | created\n"
                                   "account A2 | created\n"
                                   "account A3 | created\n"
                                   "\n"
                                   "limits A3 frozen | set\n"
                                   "\n"
                                   "fence K1 1\n"
                                   "transfer T1 A9 A2 1 | debit_account_not_found\n"
                                   "transfer T2 A3 A2 1 | account_blocked\n"
                                   "post     T3 T99 1 | lease_not_held\n"
                                   "transfer T4 A1 A2 1 | lease_not_held\n"
                                   "\n"
                                   "fence none\n"
                                   "transfer T1 A1 A2 1 | id_already_failed\n"
                                   "transfer T2 A1 A2 1 | id_already_failed\n"
                                   "transfer T3 A1 A2 1 | created\n"
                                   "transfer T4 A1 A2 1 | created\n";

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
    X(broken_rules, answers_each_broken_rule)                                                      \
    X(bounds, lasts_a_millisecond_or_a_day)                                                        \
    X(another, is_of_one_owner_at_a_time)                                                          \
    X(deadline, is_over_at_its_deadline)                                                           \
    X(renewed, is_renewed_from_now_on)                                                             \
    X(released, ends_when_it_is_released)                                                          \
    X(again, gives_the_same_owner_a_new_token)                                                     \
    X(fenced, refuses_transfers_without_the_lease)                                                 \
    X(fenced_again, tells_retries_what_became_of_them)                                             \
    X(fenced_time, compares_the_time_of_each_event)                                                \
    X(fenced_imports, compares_the_time_of_the_server)                                             \
    X(fenced_chains, breaks_chains)                                                                \
    X(fenced_burns, burns_nothing_but_what_comes_before)

#define TABLE_TESTS(table, shows)                                                                  \
    Test(ledger_lease, shows)                                                                      \
    {                                                                                              \
        fixture_script_alone(table, NULL);                                                         \
    }                                                                                              \
    Test(ledger_lease_model, shows)                                                                \
    {                                                                                              \
        by_the_model(table, NULL);                                                                 \
    }
TABLES(TABLE_TESTS)
#undef TABLE_TESTS

#define TABLE(table, shows) table,
static const char *const tables[] = {TABLES(TABLE)};
#undef TABLE

/* leases_full has a test of its own. */
#define CODE_IS_COVERED(name, code, text)                                                          \
    cr_assert((code) == GIRO_LEASE_RESULT_LEASES_FULL || coverage.lease[code] != 0,                \
              "no row answers %s", text);

Test(ledger_lease_model, has_a_row_for_every_result)
{
    struct fixture_coverage coverage = {0};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        by_the_model(tables[i], &coverage);
    GIRO_LEASE_RESULTS(CODE_IS_COVERED)
    cr_assert(coverage.transfer[GIRO_TRANSFER_LEASE_NOT_HELD] != 0);
}

#undef CODE_IS_COVERED

/* Every table again, with no record in memory when a request begins. */
Test(ledger_lease, answers_the_same_from_records_that_are_fetched)
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

/* ---- Precedence -------------------------------------------------------------------------- */

/* T1: the hold of the base row. T8: burnt. A7, A8: closed. A30, A31: blocked. A4: with nothing to spend.
 * A40: over its velocity limit. A50: of another ledger. K7: had for a day. */
static const char precedence_state[] = "account A1 | created\n"
                                       "account A2 | created\n"
                                       "account A4 debits_must_not_exceed_credits | created\n"
                                       "account A7 | created\n"
                                       "account A8 | created\n"
                                       "account A30 | created\n"
                                       "account A31 | created\n"
                                       "account A40 | created\n"
                                       "account A50 ledger=2 | created\n"
                                       "\n"
                                       "pending  T1 A1 A2 100 | created\n"
                                       "transfer T2 A1 A2 100 | created\n"
                                       "pending  T7 A7 A2 1 closing_debit | created\n"
                                       "pending  T9 A1 A8 1 closing_credit | created\n"
                                       "transfer T8 A1 A98 1 | credit_account_not_found\n"
                                       "\n"
                                       "limits A1 transfer_max=50 | set\n"
                                       "limits A30 block_debits | set\n"
                                       "limits A31 block_credits | set\n"
                                       "limits A40 v0=0:1d:calendar:debits:count:reject | set\n"
                                       "\n"
                                       "acquire K7 O9 86400000 | done\n";

/* Checks pairs of rules by the ledger, or by the model, with a fence that is not held: what comes
 * behind that rule answers it, too. */
static void precedence_check(bool model, const struct giro_fence *fence, const char *base,
                             const char *in_order, uint32_t pairs_min)
{
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    if (model)
        fixture.model = calloc(1, sizeof *fixture.model);
    cr_assert(!model || fixture.model != NULL);
    fixture_script(&fixture, precedence_state, NULL);
    fixture.fence = fence;
    uint32_t pairs = fixture_precedence(&fixture, base, in_order);
    cr_assert(pairs > pairs_min, "only %u pairs", pairs);
    free(fixture.model);
    fixture_free(&fixture);
}

static const struct giro_fence not_held = {.key = 7, .token = UINT64_MAX};

static void acquire_precedence(bool model)
{
    static const char in_order[] = "timestamp=1 | timestamp_must_be_zero\n"
                                   "deadline=1 | reserved_field\n"
                                   "row=1 | reserved_field\n"
                                   "result=1 | reserved_field\n"
                                   "flags=1 | reserved_field\n"
                                   "reserved_end=1 | reserved_field\n"
                                   "key=0 | key_must_not_be_zero\n"
                                   "key=max | key_must_not_be_int_max\n"
                                   "owner=0 | owner_must_not_be_zero\n"
                                   "action=0 | action_unknown\n"
                                   "action=4 | action_unknown\n"
                                   "timeout_ms=0 action=1 | timeout_out_of_range\n"
                                   "timeout_ms=86400001 | timeout_out_of_range\n"
                                   "action=3 timeout_ms=1 | timeout_out_of_range\n"
                                   "action=1 token=1 | token_must_be_zero\n"
                                   "action=1 key=K7 | held_by_another\n"
                                   "action=2 key=K7 | not_held\n"
                                   "action=2 token=1 | not_held\n"
                                   "action=3 timeout_ms=0 | not_held\n";
    precedence_check(model, NULL, "acquire 0 O1 1000", in_order, 110);
}

static void plain_precedence(bool model)
{
    static const char in_order[] = "timestamp=1 | timestamp_must_be_zero\n"
                                   "flags=0x4000 | reserved_flag\n"
                                   "id=max | id_must_not_be_int_max\n"
                                   "id=T1 | exists_with_different_flags\n"
                                   "id=T8 | id_already_failed\n"
                                   "keep_open | flags_are_mutually_exclusive\n"
                                   "debit=0 | debit_account_id_must_not_be_zero\n"
                                   "debit=max | debit_account_id_must_not_be_int_max\n"
                                   "credit=0 | credit_account_id_must_not_be_zero\n"
                                   "credit=max | credit_account_id_must_not_be_int_max\n"
                                   "debit=A1 credit=A1 | accounts_must_be_different\n"
                                   "pending_id=T1 | pending_id_must_be_zero\n"
                                   "timeout=1 | timeout_reserved_for_pending_transfer\n"
                                   "closing_debit | closing_transfer_must_be_pending\n"
                                   "ledger=0 | ledger_must_not_be_zero\n"
                                   "code=0 | code_must_not_be_zero\n"
                                   "debit=A98 | debit_account_not_found\n"
                                   "credit=A97 | credit_account_not_found\n"
                                   "credit=A50 | accounts_must_have_the_same_ledger\n"
                                   "ledger=3 | transfer_must_have_the_same_ledger_as_accounts\n"
                                   "debit=A7 | debit_account_already_closed\n"
                                   "credit=A8 | credit_account_already_closed\n"
                                   "debit=A30 | account_blocked\n"
                                   "credit=A31 | account_blocked\n"
                                   "only=1 | lease_not_held\n"
                                   "balancing_debit | lease_not_held\n"
                                   "amount=51 | lease_not_held\n"
                                   "amount=max | lease_not_held\n"
                                   "debit=A4 | lease_not_held\n"
                                   "debit=A40 | lease_not_held\n";
    precedence_check(model, &not_held, "transfer 0 A1 A2 10", in_order, 300);
}

static void pending_precedence(bool model)
{
    static const char in_order[] = "credit=A98 | credit_account_not_found\n"
                                   "debit=A7 | debit_account_already_closed\n"
                                   "debit=A30 | account_blocked\n"
                                   "only=1 | lease_not_held\n"
                                   "balancing_debit | lease_not_held\n"
                                   "amount=max | lease_not_held\n"
                                   "timeout=0xffffffff | lease_not_held\n"
                                   "debit=A4 | lease_not_held\n"
                                   "debit=A40 | lease_not_held\n";
    precedence_check(model, &not_held, "pending 0 A1 A2 10", in_order, 20);
}

/* What blocks an account does not refuse a fact. */
static void fact_precedence(bool model)
{
    static const char in_order[] = "balancing_debit | flags_are_mutually_exclusive\n"
                                   "code=0 | code_must_not_be_zero\n"
                                   "credit=A98 | credit_account_not_found\n"
                                   "debit=A7 | debit_account_already_closed\n"
                                   "debit=A30 | lease_not_held\n"
                                   "credit=A31 | lease_not_held\n"
                                   "amount=max | lease_not_held\n"
                                   "debit=A4 | lease_not_held\n";
    precedence_check(model, &not_held, "transfer 0 A1 A2 10 fact", in_order, 15);
}

static void return_precedence(bool model)
{
    static const char in_order[] = "balancing_debit | flags_are_mutually_exclusive\n"
                                   "pending_id=0 | pending_id_must_not_be_zero\n"
                                   "pending_id=max | pending_id_must_not_be_int_max\n"
                                   "timeout=1 | timeout_reserved_for_pending_transfer\n"
                                   "ledger=0 | ledger_must_not_be_zero\n"
                                   "credit=A98 | credit_account_not_found\n"
                                   "credit=A7 | credit_account_already_closed\n"
                                   "credit=A31 | account_blocked\n"
                                   "only=1 | lease_not_held\n"
                                   "pending_id=T98 | lease_not_held\n"
                                   "pending_id=T1 | lease_not_held\n"
                                   "debit=A40 | lease_not_held\n"
                                   "amount=max | lease_not_held\n"
                                   "amount=101 | lease_not_held\n";
    precedence_check(model, &not_held, "return 0 T2 A2 A1 10", in_order, 50);
}

static void post_precedence(bool model)
{
    static const char in_order[] = "flags=0x8000 | reserved_flag\n"
                                   "id=T1 | exists_with_different_flags\n"
                                   "id=T8 | id_already_failed\n"
                                   "balancing_debit | flags_are_mutually_exclusive\n"
                                   "pending_id=0 | pending_id_must_not_be_zero\n"
                                   "pending_id=max | pending_id_must_not_be_int_max\n"
                                   "id=T77 pending_id=T77 | pending_id_must_be_different\n"
                                   "timeout=1 | timeout_reserved_for_pending_transfer\n"
                                   "only=1 | lease_not_held\n"
                                   "pending_id=T98 | lease_not_held\n"
                                   "pending_id=T2 | lease_not_held\n"
                                   "pending_id=T7 | lease_not_held\n"
                                   "debit=A4 | lease_not_held\n"
                                   "code=7 | lease_not_held\n"
                                   "amount=101 | lease_not_held\n"
                                   "fact | lease_not_held\n";
    precedence_check(model, &not_held, "post 0 T1 10", in_order, 80);
}

static void void_precedence(bool model)
{
    static const char in_order[] = "fact | flags_are_mutually_exclusive\n"
                                   "pending_id=0 | pending_id_must_not_be_zero\n"
                                   "pending_id=max | pending_id_must_not_be_int_max\n"
                                   "timeout=1 | timeout_reserved_for_pending_transfer\n"
                                   "only=1 | lease_not_held\n"
                                   "pending_id=T98 | lease_not_held\n"
                                   "pending_id=T2 | lease_not_held\n"
                                   "debit=A4 | lease_not_held\n"
                                   "amount=99 | lease_not_held\n";
    precedence_check(model, &not_held, "void 0 T1 0", in_order, 20);
}

static void adjust_precedence(bool model)
{
    static const char in_order[] = "fact | flags_are_mutually_exclusive\n"
                                   "pending_id=0 | pending_id_must_not_be_zero\n"
                                   "pending_id=max | pending_id_must_not_be_int_max\n"
                                   "only=1 | lease_not_held\n"
                                   "pending_id=T98 | lease_not_held\n"
                                   "pending_id=T2 | lease_not_held\n"
                                   "debit=A4 | lease_not_held\n"
                                   "timeout=9 | lease_not_held\n"
                                   "amount=max | lease_not_held\n";
    precedence_check(model, &not_held, "adjust 0 T1 10", in_order, 20);
}

#define PRECEDENCE_TESTS(rules)                                                                    \
    Test(ledger_lease, answers_the_earlier_of_two_broken_rules_of_##rules)                         \
    {                                                                                              \
        rules##_precedence(false);                                                                 \
    }                                                                                              \
    Test(ledger_lease_model, answers_the_earlier_of_two_broken_rules_of_##rules)                   \
    {                                                                                              \
        rules##_precedence(true);                                                                  \
    }
PRECEDENCE_TESTS(acquire)
PRECEDENCE_TESTS(plain)
PRECEDENCE_TESTS(pending)
PRECEDENCE_TESTS(fact)
PRECEDENCE_TESTS(return )
PRECEDENCE_TESTS(post)
PRECEDENCE_TESTS(void)
PRECEDENCE_TESTS(adjust)
#undef PRECEDENCE_TESTS

/* ---- Very many ------------------------------------------------------------------------------ */

/* Acquires keys of this owner from `first` on, each as long as the others. */
static void keys_acquire(struct fixture *fixture, uint32_t first, uint32_t count)
{
    static struct giro_lease events[LEDGER_EVENTS_MAX];
    while (count > 0) {
        uint32_t now = count < LEDGER_EVENTS_MAX ? count : LEDGER_EVENTS_MAX;
        for (uint32_t i = 0; i < now; i++)
            events[i] = (struct giro_lease){
                .key = first + i, .owner = 1, .timeout_ms = 10000, .action = GIRO_LEASE_ACQUIRE};
        const uint32_t *codes = fixture_lease(fixture, events, now);
        for (uint32_t i = 0; i < now; i++)
            cr_assert(codes[i] == 0, "key %u: %s", first + i, giro_lease_result_name(codes[i]));
        first += now;
        count -= now;
    }
}

/* 65,536 at a time, whatever was leased before. */
Test(ledger_lease, holds_as_many_as_there_are_rows)
{
    static const char when_full[] = "acquire 70000 O1 1000 | leases_full\n"
                                    "acquire 65537 O1 1000 | leases_full\n"
                                    "acquire 65536 O1 10000 as=a | done\n"
                                    "acquire 1 O1 10000 as=b | done\n"
                                    "acquire 2 O2 1000 holder=O1 until=2020/02/01+10s+1 | "
                                    "held_by_another\n"
                                    "acquire 70000 O1 0 | timeout_out_of_range\n"
                                    "renew   70000 O1 1 1 | not_held\n"
                                    "\n"
                                    "release 65536 O1 $a | done\n"
                                    "acquire 70000 O2 1000 as=c | done\n"
                                    "acquire 65536 O1 1000 | leases_full\n"
                                    "\n"
                                    "over 65536\n"
                                    "lease 70000 O2 $c 2020/02/01+2s+1\n"
                                    "release 70000 O2 $c | done\n"
                                    "acquire 65536 O2 1 as=d | done\n"
                                    "acquire 70000 O1 1000 | leases_full\n"
                                    "\n"
                                    "at 2020/02/01+2s\n"
                                    "acquire 70000 O1 10000 as=e | done\n"
                                    "\n"
                                    "lease 70000 O1 $e 2020/02/01+12s\n";
    struct fixture_config config = {.clock_ns = 1580515200000000000ull, .log_records = 1 << 19};
    struct fixture_coverage coverage = {0};
    struct fixture fixture;
    fixture_init(&fixture, &config);
    keys_acquire(&fixture, 1, 65536);
    fixture.clock_ns = config.clock_ns + GIRO_NS_PER_S - 7;
    fixture_script(&fixture, when_full, &coverage);
    cr_assert(coverage.lease[GIRO_LEASE_RESULT_LEASES_FULL] == 4);
    /* When the first ones are over there is room for others, and then for all of these. */
    fixture.clock_ns = config.clock_ns + 10 * GIRO_NS_PER_S;
    fixture_script(&fixture,
                   "acquire 80000 O1 1 | leases_full\n"
                   "\n",
                   NULL);
    fixture.clock_ns = config.clock_ns + 60 * GIRO_NS_PER_S;
    keys_acquire(&fixture, 100000, 65536);
    fixture_script(&fixture, "acquire 80000 O1 1 | leases_full\n", NULL);
    fixture_check_replay(&fixture, UINT32_MAX);
    fixture_free(&fixture);
}
