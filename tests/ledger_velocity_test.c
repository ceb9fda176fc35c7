/* Velocity limits: what slots of limits count, within which windows, and what becomes of a transfer
 * that goes over one. One event a row; the language is described in tests/ledger_fixture.h.
 *
 * Every table was worked out by hand and runs twice, in a ledger of its own whose log is replayed
 * at the end, and in the model, which the random tests compare the ledger with. */
#include "tests/ledger_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* ---- Setting slots -------------------------------------------------------------------------- */

static const char set_rules[] =
    "account A1 | created\n"
    "\n"
    "no_limits A1 A9\n"
    "save\n"
    "limits A1 v0_bits=4 | velocity_window_unknown\n"
    "limits A1 v0_bits=15 | velocity_window_unknown\n"
    "limits A1 v0_bits=0xf8 v0_period=1 | velocity_window_unknown\n"
    "limits A1 v0=1:1s:calendar:debits:count:off v0_unit=5 | velocity_window_unknown\n"
    "limits A1 v0=1:1s:sliding:debits:count:off v0_unit=0xff | velocity_window_unknown\n"
    "limits A1 v0=1:1M:sliding:debits:count:off | velocity_window_unknown\n"
    "limits A1 v0=1:1M:rate:credits:amount:reject | velocity_window_unknown\n"
    "limits A1 v0=1:0M:rate:credits:amount:reject | velocity_window_unknown\n"
    "limits A1 v0_max=1 | velocity_unused_must_be_zero\n"
    "limits A1 v0_max=0x8000000000000000 | velocity_unused_must_be_zero\n"
    "limits A1 v0_period=1 | velocity_unused_must_be_zero\n"
    "limits A1 v0_period=0x8000 | velocity_unused_must_be_zero\n"
    "limits A1 v0_unit=1 | velocity_unused_must_be_zero\n"
    "limits A1 v0_unit=9 | velocity_unused_must_be_zero\n"
    "limits A1 v0_bits=0x10 | velocity_unused_must_be_zero\n"
    "limits A1 v0_bits=0x20 | velocity_unused_must_be_zero\n"
    "limits A1 v0_bits=0x40 | velocity_unused_must_be_zero\n"
    "limits A1 v0_bits=0x80 | velocity_unused_must_be_zero\n"
    "limits A1 v0=1:0s:calendar:debits:count:off | velocity_period_out_of_range\n"
    "limits A1 v0=0:0d:sliding:debits:count:off | velocity_period_out_of_range\n"
    "limits A1 v0=1:0h:rate:debits:count:off | velocity_period_out_of_range\n"
    "limits A1 v0=1:0M:calendar:debits:count:off | velocity_period_out_of_range\n"
    "limits A1 v0=1:1201M:calendar:debits:count:off | velocity_period_out_of_range\n"
    "limits A1 v0=1:65535M:calendar:debits:count:off | velocity_period_out_of_range\n"
    "\n"
    "unchanged\n"
    /* Each slot is looked at, one behind the other. */
    "limits A1 v1_bits=4 | velocity_window_unknown\n"
    "limits A1 v2_unit=1 | velocity_unused_must_be_zero\n"
    "limits A1 v3=1:0s:calendar:debits:count:off | velocity_period_out_of_range\n"
    "limits A1 v0=1:0s:rate:debits:count:off v1_bits=4 | velocity_period_out_of_range\n"
    "limits A1 v1_max=1 v2_bits=4 | velocity_unused_must_be_zero\n"
    "limits A1 v2_bits=4 v3_max=1 | velocity_window_unknown\n"
    "limits A1 v0=1:1s:rate:debits:count:off v3_bits=4 v2_max=1 | "
    "velocity_unused_must_be_zero\n"
    /* What comes before them, and behind. */
    "limits A1 timestamp=1 v0_bits=4 | timestamp_must_be_zero\n"
    "limits A1 over_capture=100001 v0_max=1 | over_capture_out_of_range\n"
    "limits A9 v0_max=1 | velocity_unused_must_be_zero\n"
    "limits A9 v0=1:1s:calendar:debits:count:off | account_not_found\n"
    "limits A1 floor=1 v3_bits=4 | velocity_window_unknown\n"
    "limits A1 floor=1 v3=1:1s:rate:debits:count:off | floor_needs_limit_flag\n"
    "\n"
    "unchanged\n"
    "no_limits A1 A9\n";

static const char set_rows[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "limits A1 v0=0:1s:calendar:debits:count:off "
    "v1=max:65535d:sliding:credits:amount:mark | set\n"
    "limits A2 v2=1:1200M:calendar:credits:count:hold v3=7:1h:rate:debits:amount:reject | "
    "set\n"
    "\n"
    "stored limits A1 v0=0:1s:calendar:debits:count:off "
    "v1=max:65535d:sliding:credits:amount:mark\n"
    "stored limits A2 v2=1:1200M:calendar:credits:count:hold "
    "v3=7:1h:rate:debits:amount:reject\n"
    "limits A1 v3=5:5m:rate:debits:count:mark | set\n"
    "limits A2 v2_max=1 | velocity_unused_must_be_zero\n"
    "\n"
    "stored limits A1 v3=5:5m:rate:debits:count:mark\n"
    "stored limits A2 v2=1:1200M:calendar:credits:count:hold "
    "v3=7:1h:rate:debits:amount:reject\n"
    "limits A2 | set\n"
    "\n"
    "stored limits A2\n";

/* ---- Windows of the calendar ---------------------------------------------------------------- */

static const char calendar_seconds[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "limits A1 v0=2:10s:calendar:debits:count:reject | set\n"
    "limits A3 v0=1:7s:calendar:debits:count:reject | set\n"
    "\n"
    /* The timestamps of one request follow each other: here the last one is in the next window.
     * */
    "at 2020/01/01+10s-3\n"
    "transfer T1 A1 A2 1 | created\n"
    "transfer T2 A1 A2 1 | created\n"
    "transfer T3 A1 A2 1 | velocity_exceeded\n"
    "transfer T4 A1 A2 1 | created\n"
    "transfer T5 A1 A2 1 | created\n"
    "transfer T6 A1 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/01/01+20s-1\n"
    "transfer T7 A1 A2 1 | velocity_exceeded\n"
    "\n"
    "transfer T8 A1 A2 1 | created\n"
    "\n"
    /* A second of seven has passed when 2020 begins: windows end with the seconds 6, 13, 20,
     * 27. */
    "at 2020/01/01+27s-1\n"
    "transfer T11 A3 A2 1 | created\n"
    "\n"
    "transfer T12 A3 A2 1 | created\n"
    "\n"
    "at 2020/01/01+34s-1\n"
    "transfer T13 A3 A2 1 | velocity_exceeded\n"
    "\n"
    "transfer T14 A3 A2 1 | created\n"
    "\n"
    "at 2020/01/01+600s\n"
    "transfer T15 A3 A2 1 | created\n"
    "\n"
    "balance A1 0 5 0 0\n"
    "balance A3 0 4 0 0\n";

/* Two of seven minutes have passed when 2020 begins. */
static const char calendar_minutes[] = "account A1 | created\n"
                                       "account A2 | created\n"
                                       "\n"
                                       "limits A1 v0=1:7m:calendar:debits:count:reject | set\n"
                                       "\n"
                                       "at 2020/01/01+1m\n"
                                       "transfer T1 A1 A2 1 | created\n"
                                       "at 2020/01/01+5m-1\n"
                                       "transfer T2 A1 A2 1 | velocity_exceeded\n"
                                       "at 2020/01/01+5m\n"
                                       "transfer T3 A1 A2 1 | created\n"
                                       "at 2020/01/01+12m-1\n"
                                       "transfer T4 A1 A2 1 | velocity_exceeded\n"
                                       "at 2020/01/01+12m\n"
                                       "transfer T5 A1 A2 1 | created\n";

/* Three of five hours have passed when 2020 begins. */
static const char calendar_hours[] = "account A1 | created\n"
                                     "account A2 | created\n"
                                     "\n"
                                     "limits A1 v0=1:5h:calendar:debits:count:reject | set\n"
                                     "\n"
                                     "at 2020/01/01+1s\n"
                                     "transfer T1 A1 A2 1 | created\n"
                                     "at 2020/01/01+2h-1\n"
                                     "transfer T2 A1 A2 1 | velocity_exceeded\n"
                                     "at 2020/01/01+2h\n"
                                     "transfer T3 A1 A2 1 | created\n"
                                     "at 2020/01/01+7h-1\n"
                                     "transfer T4 A1 A2 1 | velocity_exceeded\n"
                                     "at 2020/01/01+7h\n"
                                     "transfer T5 A1 A2 1 | created\n";

static const char calendar_days[] = "account A1 | created\n"
                                    "account A2 | created\n"
                                    "account A3 | created\n"
                                    "account A4 | created\n"
                                    "\n"
                                    "limits A1 v0=1:1d:calendar:debits:count:reject | set\n"
                                    "limits A3 v0=1:3d:calendar:debits:count:reject | set\n"
                                    "limits A4 v0=1:24h:calendar:debits:count:reject | set\n"
                                    "\n"
                                    "at 2020/02/28+12h\n"
                                    "transfer T1 A1 A2 1 | created\n"
                                    "\n"
                                    "at 2020/02/29-1\n"
                                    "transfer T2 A1 A2 1 | velocity_exceeded\n"
                                    "\n"
                                    "transfer T3 A1 A2 1 | created\n"
                                    "transfer T4 A1 A2 1 | velocity_exceeded\n"
                                    "transfer T5 A4 A2 1 | created\n"
                                    "transfer T6 A4 A2 1 | velocity_exceeded\n"
                                    "\n"
                                    "at 2020/03/01-1\n"
                                    "transfer T7 A1 A2 1 | velocity_exceeded\n"
                                    "\n"
                                    "transfer T8 A1 A2 1 | created\n"
                                    "transfer T9 A4 A2 1 | created\n"
                                    /* The first of January is day 18628, the second of three. */
                                    "at 2021/01/01\n"
                                    "transfer T11 A3 A2 1 | created\n"
                                    "\n"
                                    "at 2021/01/03-1\n"
                                    "transfer T12 A3 A2 1 | velocity_exceeded\n"
                                    "\n"
                                    "transfer T13 A3 A2 1 | created\n"
                                    "\n"
                                    "at 2021/01/06-1\n"
                                    "transfer T14 A3 A2 1 | velocity_exceeded\n"
                                    "\n"
                                    "transfer T15 A3 A2 1 | created\n";

static const char calendar_weeks[] = "account A1 | created\n"
                                     "account A2 | created\n"
                                     "account A3 | created\n"
                                     "account A4 | created\n"
                                     "account A5 | created\n"
                                     "\n"
                                     "limits A1 v0=1:7d:calendar:debits:count:reject | set\n"
                                     "limits A3 v0=1:168h:calendar:debits:count:reject | set\n"
                                     "limits A4 v0=1:10080m:calendar:debits:count:reject | set\n"
                                     "limits A5 v0=1:14d:calendar:debits:count:reject | set\n"
                                     "\n"
                                     /* A Sunday, and the Monday that begins right behind it. */
                                     "at 2020/01/06-4\n"
                                     "transfer T1 A1 A2 1 | created\n"
                                     "transfer T2 A3 A2 1 | created\n"
                                     "transfer T3 A4 A2 1 | created\n"
                                     "transfer T4 A5 A2 1 | created\n"
                                     "transfer T5 A1 A2 1 | created\n"
                                     "transfer T6 A3 A2 1 | created\n"
                                     "transfer T7 A4 A2 1 | created\n"
                                     "transfer T8 A5 A2 1 | velocity_exceeded\n"
                                     "transfer T9 A1 A2 1 | velocity_exceeded\n"
                                     "\n"
                                     "at 2020/01/13-4\n"
                                     "transfer T11 A1 A2 1 | velocity_exceeded\n"
                                     "transfer T12 A3 A2 1 | velocity_exceeded\n"
                                     "transfer T13 A4 A2 1 | velocity_exceeded\n"
                                     "transfer T14 A5 A2 1 | velocity_exceeded\n"
                                     "transfer T15 A1 A2 1 | created\n"
                                     "transfer T16 A3 A2 1 | created\n"
                                     "transfer T17 A4 A2 1 | created\n"
                                     "transfer T18 A5 A2 1 | created\n"
                                     "\n"
                                     "at 2020/01/27-1\n"
                                     "transfer T21 A5 A2 1 | velocity_exceeded\n"
                                     "\n"
                                     "transfer T22 A5 A2 1 | created\n"
                                     "transfer T23 A1 A2 1 | created\n";

/* With a leap day, without one, and in 2100, which has none either. */
static const char calendar_months[] = "account A1 | created\n"
                                      "account A2 | created\n"
                                      "\n"
                                      "limits A1 v0=1:1M:calendar:debits:count:reject | set\n"
                                      "\n"
                                      "at 2020/01/02\n"
                                      "transfer T1 A1 A2 1 | created\n"
                                      "at 2020/02/01-1\n"
                                      "transfer T2 A1 A2 1 | velocity_exceeded\n"
                                      "at 2020/02/01\n"
                                      "transfer T3 A1 A2 1 | created\n"
                                      "at 2020/02/29\n"
                                      "transfer T4 A1 A2 1 | velocity_exceeded\n"
                                      "at 2020/03/01-1\n"
                                      "transfer T5 A1 A2 1 | velocity_exceeded\n"
                                      "at 2020/03/01\n"
                                      "transfer T6 A1 A2 1 | created\n"
                                      "at 2020/04/01-1\n"
                                      "transfer T7 A1 A2 1 | velocity_exceeded\n"
                                      "at 2020/04/01\n"
                                      "transfer T8 A1 A2 1 | created\n"
                                      "at 2020/05/01-1\n"
                                      "transfer T9 A1 A2 1 | velocity_exceeded\n"
                                      "at 2020/12/31\n"
                                      "transfer T10 A1 A2 1 | created\n"
                                      "at 2021/01/01-1\n"
                                      "transfer T11 A1 A2 1 | velocity_exceeded\n"
                                      "at 2021/01/01\n"
                                      "transfer T12 A1 A2 1 | created\n"
                                      "at 2021/02/01\n"
                                      "transfer T13 A1 A2 1 | created\n"
                                      "at 2021/03/01-1\n"
                                      "transfer T14 A1 A2 1 | velocity_exceeded\n"
                                      "at 2021/03/01\n"
                                      "transfer T15 A1 A2 1 | created\n"
                                      "at 2100/02/01\n"
                                      "transfer T16 A1 A2 1 | created\n"
                                      "at 2100/02/28\n"
                                      "transfer T17 A1 A2 1 | velocity_exceeded\n"
                                      "at 2100/03/01-1\n"
                                      "transfer T18 A1 A2 1 | velocity_exceeded\n"
                                      "at 2100/03/01\n"
                                      "transfer T19 A1 A2 1 | created\n"
                                      "at 2262/04/01\n"
                                      "transfer T20 A1 A2 1 | created\n";

static const char calendar_quarters[] = "account A1 | created\n"
                                        "account A2 | created\n"
                                        "account A3 | created\n"
                                        "account A4 | created\n"
                                        "\n"
                                        "limits A1 v0=1:3M:calendar:debits:count:reject | set\n"
                                        "limits A3 v0=1:12M:calendar:debits:count:reject | set\n"
                                        "limits A4 v0=1:7M:calendar:debits:count:reject | set\n"
                                        "\n"
                                        "transfer T1 A1 A2 1 | created\n"
                                        "transfer T2 A3 A2 1 | created\n"
                                        "transfer T3 A4 A2 1 | created\n"
                                        "\n"
                                        /* January 2020 is month 600, the sixth of seven. */
                                        "at 2020/03/01-1\n"
                                        "transfer T11 A4 A2 1 | velocity_exceeded\n"
                                        "\n"
                                        "transfer T12 A4 A2 1 | created\n"
                                        "\n"
                                        "at 2020/04/01-1\n"
                                        "transfer T13 A1 A2 1 | velocity_exceeded\n"
                                        "\n"
                                        "transfer T14 A1 A2 1 | created\n"
                                        "\n"
                                        "at 2020/07/01-1\n"
                                        "transfer T15 A1 A2 1 | velocity_exceeded\n"
                                        "\n"
                                        "transfer T16 A1 A2 1 | created\n"
                                        "\n"
                                        "at 2020/10/01-2\n"
                                        "transfer T17 A4 A2 1 | velocity_exceeded\n"
                                        "transfer T18 A1 A2 1 | velocity_exceeded\n"
                                        "transfer T19 A1 A2 1 | created\n"
                                        "transfer T20 A4 A2 1 | created\n"
                                        "\n"
                                        "at 2021/01/01-2\n"
                                        "transfer T21 A1 A2 1 | velocity_exceeded\n"
                                        "transfer T22 A3 A2 1 | velocity_exceeded\n"
                                        "transfer T23 A3 A2 1 | created\n"
                                        "transfer T24 A1 A2 1 | created\n"
                                        "\n"
                                        "at 2021/12/31+1d-1\n"
                                        "transfer T25 A3 A2 1 | velocity_exceeded\n"
                                        "\n"
                                        "transfer T26 A3 A2 1 | created\n"
                                        "\n"
                                        "at 2262/04/01\n"
                                        "transfer T31 A3 A2 1 | created\n";

/* Counted from 1970, like all others. */
static const char calendar_centuries[] = "account A1 | created\n"
                                         "account A2 | created\n"
                                         "\n"
                                         "limits A1 v0=1:1200M:calendar:debits:count:reject | set\n"
                                         "\n"
                                         "at 2020/01/02\n"
                                         "transfer T1 A1 A2 1 | created\n"
                                         "at 2070/01/01-1\n"
                                         "transfer T2 A1 A2 1 | velocity_exceeded\n"
                                         "at 2070/01/01\n"
                                         "transfer T3 A1 A2 1 | created\n"
                                         "at 2170/01/01-1\n"
                                         "transfer T4 A1 A2 1 | velocity_exceeded\n"
                                         "at 2170/01/01\n"
                                         "transfer T5 A1 A2 1 | created\n";

static const char calendar_amounts[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "limits A1 v0=100:1d:calendar:debits:amount:reject | set\n"
    "\n"
    "transfer T1 A1 A2 60 | created\n"
    "transfer T2 A1 A2 41 | velocity_exceeded\n"
    "transfer T3 A1 A2 40 | created\n"
    "transfer T4 A1 A2 1 | velocity_exceeded\n"
    "transfer T5 A1 A2 0 | created\n"
    "transfer T6 A1 A2 0xffffffffffffffff+1 | velocity_exceeded\n"
    "\n"
    "at 2020/01/02\n"
    "transfer T8 A1 A2 101 | velocity_exceeded\n"
    "transfer T9 A1 A2 100 | created\n"
    "transfer T10 A1 A2 1 | velocity_exceeded\n"
    /* What was refused has counted nothing, and its id is burnt. */
    "transfer T2 A1 A2 0 | id_already_failed\n"
    "transfer T2 A1 A2 41 | id_already_failed\n"
    "\n"
    "missing T2 T4 T6 T8 T10\n"
    "balance A1 0 200 0 0\n"
    "no_payment T1 T2 T3 T9\n";

/* ---- Sliding windows ------------------------------------------------------------------------ */

static const char sliding[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "limits A1 v0=100:10s:sliding:debits:amount:reject | set\n"
    "\n"
    "at 2020/01/01+5s\n"
    "transfer T1 A1 A2 100 | created\n"
    "transfer T2 A1 A2 1 | velocity_exceeded\n"
    /* All of the window before counts when the next one begins; a nanosecond later it is
     * rounded down. */
    "at 2020/01/01+10s\n"
    "transfer T3 A1 A2 1 | velocity_exceeded\n"
    "transfer T4 A1 A2 1 | created\n"
    "transfer T5 A1 A2 1 | velocity_exceeded\n"
    /* 99 of before and 1, then 98 and 1. */
    "at 2020/01/01+10s+100000000\n"
    "transfer T6 A1 A2 1 | velocity_exceeded\n"
    "transfer T7 A1 A2 1 | created\n"
    /* 50 of before and 2, then 49 and 2. */
    "at 2020/01/01+15s\n"
    "transfer T8 A1 A2 49 | velocity_exceeded\n"
    "transfer T9 A1 A2 49 | created\n"
    /* Nothing of before and 51; then all 51 are of before; then 50. */
    "at 2020/01/01+20s-1\n"
    "transfer T10 A1 A2 50 | velocity_exceeded\n"
    "transfer T11 A1 A2 50 | velocity_exceeded\n"
    "transfer T12 A1 A2 50 | created\n"
    "transfer T13 A1 A2 1 | velocity_exceeded\n"
    /* The window before is the one right before: there was nothing. */
    "at 2020/01/01+40s\n"
    "transfer T14 A1 A2 100 | created\n"
    "transfer T15 A1 A2 1 | velocity_exceeded\n"
    /* That nothing was accepted in the next window does not matter either. */
    "at 2020/01/01+50s\n"
    "transfer T16 A1 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/01/01+60s\n"
    "transfer T17 A1 A2 100 | created\n"
    "\n"
    "balance A1 0 401 0 0\n";

static const char sliding_counts[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A4 | created\n"
    "\n"
    "limits A1 v0=1:7s:sliding:debits:count:reject | set\n"
    "limits A3 v0=1:7d:sliding:debits:count:reject | set\n"
    "limits A4 v0=3:2m:sliding:debits:count:reject | set\n"
    "\n"
    /* These windows have no Mondays: the week ends with the first of January, a Wednesday. */
    "transfer T1 A3 A2 1 | created\n"
    "transfer T2 A3 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/01/01+6s-1\n"
    "transfer T3 A1 A2 1 | created\n"
    "transfer T4 A1 A2 1 | velocity_exceeded\n"
    "transfer T5 A1 A2 1 | created\n"
    "transfer T6 A1 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/01/02\n"
    "transfer T11 A3 A2 1 | velocity_exceeded\n"
    "transfer T12 A3 A2 1 | created\n"
    "transfer T13 A3 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/01/06\n"
    "transfer T14 A3 A2 1 | velocity_exceeded\n"
    "\n"
    /* Three, of which two thirds are left after 40 s of 2 minutes. */
    "at 2020/02/01\n"
    "transfer T21 A4 A2 1 | created\n"
    "transfer T22 A4 A2 1 | created\n"
    "transfer T23 A4 A2 1 | created\n"
    "transfer T24 A4 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/02/01+2m\n"
    "transfer T25 A4 A2 1 | velocity_exceeded\n"
    "transfer T26 A4 A2 1 | created\n"
    "transfer T27 A4 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/02/01+2m+40s\n"
    "transfer T28 A4 A2 1 | velocity_exceeded\n"
    "transfer T29 A4 A2 1 | created\n"
    "\n"
    "at 2020/02/01+3m+20s\n"
    "transfer T30 A4 A2 1 | velocity_exceeded\n"
    "transfer T31 A4 A2 1 | created\n"
    "transfer T32 A4 A2 1 | velocity_exceeded\n";

static const char sliding_large[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "limits A1 v0=max-1:10s:sliding:debits:amount:reject | set\n"
    "\n"
    "transfer T1 A1 A2 0xfffffffffffffffe | created\n"
    "transfer T2 A1 A2 1 | velocity_exceeded\n"
    /* Half of it is 2^63 - 1, and so is what is left. */
    "at 2020/01/01+15s\n"
    "transfer T3 A1 A2 0x8000000000000000 | velocity_exceeded\n"
    "\n"
    /* A nanosecond later so much is left, but for one; a second later two fifths of before. */
    "at 2020/01/01+15s+1\n"
    "transfer T4 A1 A2 9223372038699450216 | velocity_exceeded\n"
    "\n"
    "at 2020/01/01+16s\n"
    "transfer T5 A1 A2 11068046444225730969 | created\n";

/* ---- Rates ---------------------------------------------------------------------------------- */

static const char rate[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "limits A1 v0=5:10s:rate:debits:count:reject | set\n"
    "\n"
    /* All five at once, each of which is back after two seconds. */
    "at 2020/01/01+1s\n"
    "transfer T1 A1 A2 1 | created\n"
    "transfer T2 A1 A2 1 | created\n"
    "transfer T3 A1 A2 1 | created\n"
    "transfer T4 A1 A2 1 | created\n"
    "transfer T5 A1 A2 1 | created\n"
    "transfer T6 A1 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/01/01+3s-1\n"
    "transfer T7 A1 A2 1 | velocity_exceeded\n"
    "transfer T8 A1 A2 1 | created\n"
    "transfer T9 A1 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/01/01+5s-1\n"
    "transfer T10 A1 A2 1 | velocity_exceeded\n"
    "transfer T11 A1 A2 1 | created\n"
    /* At fifteen seconds all are free again, but no more than five, and so they are much later.
     * */
    "at 2020/01/01+15s\n"
    "transfer T12 A1 A2 1 | created\n"
    "transfer T13 A1 A2 1 | created\n"
    "transfer T14 A1 A2 1 | created\n"
    "transfer T15 A1 A2 1 | created\n"
    "transfer T16 A1 A2 1 | created\n"
    "transfer T17 A1 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/02/01\n"
    "transfer T18 A1 A2 1 | created\n"
    "transfer T19 A1 A2 1 | created\n"
    "transfer T20 A1 A2 1 | created\n"
    "transfer T21 A1 A2 1 | created\n"
    "transfer T22 A1 A2 1 | created\n"
    "transfer T23 A1 A2 1 | velocity_exceeded\n";

static const char rate_rounding[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "limits A1 v0=3:10s:rate:debits:count:reject | set\n"
    "limits A3 v0=3:10s:rate:debits:amount:reject | set\n"
    "\n"
    /* A third of ten seconds is 3333333334 ns: three of them are two more than the period, and
     * the third transfer comes two later. */
    "at 2020/02/01\n"
    "transfer T1 A1 A2 1 | created\n"
    "transfer T2 A1 A2 1 | created\n"
    "transfer T3 A1 A2 1 | created\n"
    "transfer T4 A1 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/02/01+3333333335\n"
    "transfer T5 A1 A2 1 | velocity_exceeded\n"
    "transfer T6 A1 A2 1 | created\n"
    "transfer T7 A1 A2 1 | velocity_exceeded\n"
    "\n"
    /* An amount is rounded as a whole: 3333333334 and 6666666667, or the period. */
    "at 2020/03/01\n"
    "transfer T11 A3 A2 1 | created\n"
    "transfer T12 A3 A2 2 | created\n"
    "transfer T13 A3 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/03/01+3333333334\n"
    "transfer T14 A3 A2 1 | velocity_exceeded\n"
    "transfer T15 A3 A2 1 | created\n"
    "\n"
    "at 2020/04/01\n"
    "transfer T21 A3 A2 4 | velocity_exceeded\n"
    "transfer T22 A3 A2 3 | created\n"
    "transfer T23 A3 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/04/01+6666666667\n"
    "transfer T24 A3 A2 2 | velocity_exceeded\n"
    "transfer T25 A3 A2 2 | created\n";

static const char rate_beyond[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "limits A1 v0=5:10s:rate:debits:amount:mark | set\n"
    "\n"
    /* 200 s are spent, 20 s are remembered. */
    "at 2020/02/01\n"
    "transfer T1 A1 A2 100 | created\n"
    "\n"
    "payment T1 100 0 0 over_velocity\n"
    "limits A1 v0=5:10s:rate:debits:amount:reject | set\n"
    "\n"
    /* Even nothing is over as long as more than the period is spent. */
    "transfer T2 A1 A2 0 | velocity_exceeded\n"
    "\n"
    "at 2020/02/01+10s-1\n"
    "transfer T3 A1 A2 0 | velocity_exceeded\n"
    "transfer T4 A1 A2 0 | created\n"
    "transfer T5 A1 A2 1 | velocity_exceeded\n"
    "\n"
    "at 2020/02/01+12s-1\n"
    "transfer T6 A1 A2 1 | velocity_exceeded\n"
    "transfer T7 A1 A2 1 | created\n"
    "transfer T8 A1 A2 0 | created\n"
    "transfer T9 A1 A2 1 | velocity_exceeded\n"
    "\n"
    /* And again, from half a second later on. */
    "limits A1 v0=5:10s:rate:debits:amount:off | set\n"
    "\n"
    "at 2020/02/01+12s+500000000\n"
    "transfer T10 A1 A2 100 | created\n"
    "\n"
    "limits A1 v0=5:10s:rate:debits:amount:reject | set\n"
    "\n"
    "at 2020/02/01+24s+500000000-1\n"
    "transfer T11 A1 A2 1 | velocity_exceeded\n"
    "transfer T12 A1 A2 1 | created\n";

/* Twice 65,535 days after 2200 are more than 2^64 ns. */
static const char rate_late[] = "account A1 | created\n"
                                "account A2 | created\n"
                                "\n"
                                "limits A1 v0=5:65535d:rate:debits:amount:mark | set\n"
                                "\n"
                                "at 2200/01/01\n"
                                "transfer T1 A1 A2 100 | created\n"
                                "\n"
                                "payment T1 100 0 0 over_velocity\n"
                                "limits A1 v0=5:65535d:rate:debits:amount:reject | set\n"
                                "\n"
                                "transfer T2 A1 A2 0 | velocity_exceeded\n"
                                "\n"
                                "at 2262/04/01\n"
                                "transfer T3 A1 A2 0 | velocity_exceeded\n";

static const char rate_large[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "limits A1 v0=max:65535d:rate:debits:amount:reject | set\n"
    "\n"
    /* A nanosecond is worth more than three: all at once, then three and one more later. */
    "transfer T1 A1 A2 0xffffffffffffffff | created\n"
    "transfer T2 A1 A2 1 | created\n"
    "transfer T3 A1 A2 3 | created\n"
    "transfer T4 A1 A2 4 | velocity_exceeded\n"
    "transfer T5 A1 A2 0xffffffffffffffff | velocity_exceeded\n"
    "transfer T6 A1 A2 4 | created\n";

/* ---- Verdicts ------------------------------------------------------------------------------- */

static const char verdicts[] = "account A1 | created\n"
                               "account A2 | created\n"
                               "account A3 | created\n"
                               "account A4 | created\n"
                               "account A9 | created\n"
                               "\n"
                               "limits A1 v0=0:1d:calendar:debits:count:off | set\n"
                               "limits A2 v0=0:1d:calendar:debits:count:mark | set\n"
                               "limits A3 v0=0:1d:calendar:debits:count:hold | set\n"
                               "limits A4 v0=0:1d:calendar:debits:count:reject | set\n"
                               "\n"
                               "transfer T1 A1 A9 5 | created\n"
                               "transfer T2 A2 A9 5 | created\n"
                               "transfer T3 A3 A9 5 user_data_64=7 | created\n"
                               "transfer T4 A4 A9 5 | velocity_exceeded\n"
                               "pending  T11 A1 A9 10 | created\n"
                               "pending  T12 A2 A9 10 timeout=9 | created\n"
                               "pending  T13 A3 A9 10 timeout=9 | created\n"
                               "pending  T14 A4 A9 10 | velocity_exceeded\n"
                               "\n"
                               "no_payment T1 T4 T11 T14\n"
                               "payment T2 5 0 0 over_velocity\n"
                               "payment T3 5 0 5 over_velocity held\n"
                               "payment T12 10 0 10 over_velocity\n"
                               "payment T13 10 0 10 over_velocity\n"
                               "stored transfer T1 A1 A9 5\n"
                               "stored transfer T2 A2 A9 5\n"
                               "stored pending T3 A3 A9 5 user_data_64=7\n"
                               "stored pending T12 A2 A9 10 timeout=9\n"
                               "stored pending T13 A3 A9 10 timeout=9\n"
                               "missing T4 T14\n"
                               "balance A1 10 5 0 0\n"
                               "balance A2 10 5 0 0\n"
                               "balance A3 15 0 0 0\n"
                               "balance A4 0 0 0 0\n"
                               "balance A9 0 0 35 10\n"
                               /* What is held is held for good, whatever else expires. */
                               "at 2021/01/01\n"
                               "expire | 2\n"
                               "balance A3 5 0 0 0\n"
                               "payment T3 5 0 5 over_velocity held\n"
                               "payment T13 10 0 10 over_velocity\n"
                               "transfer T4 A4 A9 5 | id_already_failed\n";

static const char strictest[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A4 | created\n"
    "account A9 | created\n"
    "\n"
    "limits A1 v0=1:1d:calendar:debits:count:off v1=2:1d:calendar:debits:count:mark "
    "v2=3:1d:calendar:debits:count:hold v3=4:1d:calendar:debits:count:reject | set\n"
    "limits A2 v3=1:1h:sliding:debits:count:off v2=2:1h:rate:debits:count:mark "
    "v1=3:1d:calendar:debits:count:hold v0=4:1M:calendar:debits:count:reject | set\n"
    "\n"
    "transfer T1 A1 A9 1 | created\n"
    "transfer T2 A1 A9 1 | created\n"
    "transfer T3 A1 A9 1 | created\n"
    "transfer T4 A1 A9 1 | created\n"
    "transfer T5 A1 A9 1 | velocity_exceeded\n"
    "transfer T11 A2 A9 1 | created\n"
    "transfer T12 A2 A9 1 | created\n"
    "transfer T13 A2 A9 1 | created\n"
    "transfer T14 A2 A9 1 | created\n"
    "transfer T15 A2 A9 1 | velocity_exceeded\n"
    "\n"
    "no_payment T1 T2 T11 T12\n"
    "payment T3 1 0 0 over_velocity\n"
    "payment T4 1 0 1 over_velocity held\n"
    "payment T13 1 0 0 over_velocity\n"
    "payment T14 1 0 1 over_velocity held\n"
    "missing T5 T15\n"
    /* Of both sides, too. */
    "limits A1 v0=0:1d:calendar:debits:count:mark | set\n"
    "limits A2 v0=0:1d:calendar:debits:count:hold | set\n"
    "limits A3 v0=0:1d:calendar:credits:count:hold | set\n"
    "limits A4 v0=0:1d:calendar:credits:count:reject | set\n"
    "\n"
    "transfer T21 A1 A3 1 | created\n"
    "transfer T22 A2 A3 1 | created\n"
    "transfer T23 A2 A4 1 | velocity_exceeded\n"
    "transfer T24 A9 A3 1 | created\n"
    "transfer T25 A9 A4 1 | velocity_exceeded\n"
    "transfer T26 A1 A9 1 | created\n"
    "transfer T27 A3 A1 1 | created\n"
    "\n"
    "payment T21 1 0 1 over_velocity held\n"
    "payment T22 1 0 1 over_velocity held\n"
    "payment T24 1 0 1 over_velocity held\n"
    "payment T26 1 0 0 over_velocity\n"
    "no_payment T27\n";

static const char sides[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "limits A1 v0=2:1d:calendar:debits:count:reject v1=1:1d:calendar:credits:count:reject "
    "v2=10:1d:calendar:debits:amount:reject v3=20:1d:calendar:credits:amount:reject | set\n"
    "\n"
    "transfer T1 A1 A2 4 | created\n"
    "transfer T2 A2 A3 100 | created\n"
    "transfer T3 A2 A1 21 | velocity_exceeded\n"
    "transfer T4 A2 A1 20 | created\n"
    "transfer T5 A2 A1 0 | velocity_exceeded\n"
    "transfer T6 A1 A2 7 | velocity_exceeded\n"
    "transfer T7 A1 A2 6 | created\n"
    "transfer T8 A1 A2 0 | velocity_exceeded\n"
    "transfer T9 A3 A2 9 | created\n"
    "\n"
    /* One transfer counts for both of its accounts. */
    "limits A2 v0=1:1d:calendar:credits:count:reject | set\n"
    "limits A3 v0=1:1d:calendar:debits:count:reject | set\n"
    "\n"
    "transfer T11 A3 A2 1 | created\n"
    "transfer T12 A3 A1 0 no_limit | created\n"
    "transfer T13 A3 A9 1 | credit_account_not_found\n"
    "transfer T14 A1 A2 1 no_limit | created\n"
    "transfer T15 A3 A1 1 | velocity_exceeded\n"
    "transfer T16 A2 A3 1 | created\n"
    "transfer T17 A2 A1 1 | velocity_exceeded\n";

static const char facts[] = "account A1 | created\n"
                            "account A2 | created\n"
                            "account A3 | created\n"
                            "account A4 | created\n"
                            "account A9 | created\n"
                            "\n"
                            "limits A1 v0=10:1d:calendar:debits:amount:reject | set\n"
                            "limits A2 v0=10:1d:calendar:credits:amount:hold | set\n"
                            "limits A3 v0=10:1d:calendar:debits:amount:off | set\n"
                            "limits A4 v0=10:1d:calendar:debits:amount:mark transfer_max=15 | set\n"
                            "\n"
                            "transfer T1 A1 A9 10 fact | created\n"
                            "transfer T2 A1 A9 1 | velocity_exceeded\n"
                            "transfer T3 A1 A9 1 fact | created\n"
                            "pending  T4 A1 A9 7 fact | created\n"
                            "transfer T5 A9 A2 11 fact | created\n"
                            "pending  T6 A9 A2 7 fact | created\n"
                            "transfer T7 A3 A9 11 fact | created\n"
                            "transfer T8 A4 A9 16 fact | created\n"
                            "transfer T9 A4 A9 1 fact | created\n"
                            "transfer T10 A1 A9 0 fact | created\n"
                            "\n"
                            "no_payment T1 T7\n"
                            "payment T3 1 0 0 over_velocity\n"
                            "payment T4 7 0 7 over_velocity\n"
                            "payment T5 11 0 0 over_velocity\n"
                            "payment T6 7 0 7 over_velocity\n"
                            "payment T8 16 0 0 over_transfer over_velocity\n"
                            "payment T9 1 0 0 over_velocity\n"
                            /* Nothing more, but it was too much already. */
                            "payment T10 0 0 0 over_velocity\n"
                            "stored transfer T5 A9 A2 11 fact\n"
                            "balance A1 7 11 0 0\n"
                            "balance A2 0 0 7 11\n"
                            /* What is posted is another matter. */
                            "post T11 T4 7 | created\n"
                            "post T12 T6 8 fact | created\n"
                            "\n"
                            "no_payment T11\n"
                            "payment T12 8 0 0 over_cap\n"
                            "payment T4 7 7 7 over_velocity\n"
                            /* A fact of the largest number counts as much as there is. */
                            "transfer T21 A3 A9 max-100 fact | created\n"
                            "\n"
                            "no_payment T21\n"
                            "limits A3 v0=max:1d:calendar:debits:amount:mark | set\n"
                            "\n"
                            "transfer T22 A3 A9 0 | created\n"
                            "\n"
                            "no_payment T22\n";

static const char no_limit[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "limits A1 v0=10:1d:calendar:debits:amount:reject v1=1:1d:rate:debits:count:reject "
    "transfer_max=50 | set\n"
    "limits A2 v0=10:1d:sliding:credits:amount:hold | set\n"
    "\n"
    "transfer T1 A1 A2 50 no_limit | created\n"
    "transfer T2 A1 A2 51 no_limit | exceeds_max_transfer\n"
    "transfer T3 A1 A2 51 no_limit fact | created\n"
    "pending  T4 A1 A2 50 no_limit | created\n"
    "transfer T5 A1 A2 10 | created\n"
    "transfer T6 A1 A2 0 | velocity_exceeded\n"
    "transfer T7 A1 A2 1 no_limit | created\n"
    "\n"
    "no_payment T1 T4 T5 T7\n"
    "payment T3 51 0 0 over_transfer\n"
    "adjust T11 T4 5 | velocity_exceeded\n"
    "adjust T12 T4 5 no_limit | created\n"
    "post   T13 T4 max no_limit | created\n"
    "return T14 T5 A2 A1 10 no_limit | created\n"
    "\n"
    "stored transfer T1 A1 A2 50 no_limit\n"
    "balance A1 0 167 0 10\n";

/* ---- What is counted ------------------------------------------------------------------------ */

static const char holds[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "limits A1 v0=100:1d:calendar:debits:amount:reject "
    "v1=5:1d:calendar:debits:count:reject | set\n"
    "limits A2 over_capture=5000 v0=100:1d:calendar:credits:amount:reject | set\n"
    "\n"
    "pending T1 A1 A2 40 | created\n"
    "pending T2 A1 A2 40 timeout=1 | created\n"
    "pending T3 A1 A2 21 | velocity_exceeded\n"
    /* Posts of all kinds: 15 more than was held, and 1000 as a fact. */
    "post T11 T1 30 keep_open | created\n"
    "post T12 T1 25 | created\n"
    "\n"
    "balance A1 40 55 0 0\n"
    "void T13 T2 10 keep_open | created\n"
    "\n"
    "at @T2+2s\n"
    "expire | 1\n"
    "balance A1 0 55 0 0\n"
    "transfer T14 A1 A2 21 | velocity_exceeded\n"
    "pending  T15 A1 A2 20 | created\n"
    "void     T16 T15 0 | created\n"
    "transfer T17 A1 A2 1 | velocity_exceeded\n"
    "pending  T18 A1 A2 0 | created\n"
    "post     T19 T18 1000 fact | created\n"
    "transfer T20 A1 A2 0 | created\n"
    "transfer T21 A1 A2 0 | velocity_exceeded\n"
    "\n"
    "no_payment T14 T15 T16 T20\n"
    "payment T19 1000 0 0 over_cap\n";

static const char decided[] = "account A1 | created\n"
                              "account A2 | created\n"
                              "account A9 | created\n"
                              "\n"
                              "transfer T1 A9 A1 30 | created\n"
                              "\n"
                              "limits A1 v0=40:1d:calendar:debits:amount:reject | set\n"
                              "\n"
                              "transfer T2 A1 A2 max balancing_debit | created\n"
                              "transfer T3 A1 A2 max balancing_debit | created\n"
                              "transfer T4 A1 A2 11 | velocity_exceeded\n"
                              "transfer T5 A1 A2 10 | created\n"
                              "transfer T6 A1 A2 1 | velocity_exceeded\n"
                              "\n"
                              "stored transfer T2 A1 A2 30 balancing_debit\n"
                              "balance A1 0 40 0 30\n";

static const char returns[] = "account A1 | created\n"
                              "account A2 | created\n"
                              "account A3 | created\n"
                              "\n"
                              "limits A1 v0=100:1d:calendar:debits:amount:reject "
                              "v1=40:1d:calendar:credits:amount:hold | set\n"
                              "limits A2 v0=45:1d:calendar:debits:amount:reject | set\n"
                              "\n"
                              "transfer T1 A1 A2 100 | created\n"
                              "return   T2 T1 A2 A1 30 | created\n"
                              /* Nothing is given back for it. */
                              "transfer T3 A1 A2 1 | velocity_exceeded\n"
                              "return   T4 T1 A2 A1 max | velocity_exceeded\n"
                              "return   T5 T1 A2 A1 15 | created\n"
                              "return   T6 T1 A2 A1 1 | velocity_exceeded\n"
                              "return   T7 T1 A2 A1 1 no_limit | created\n"
                              "return   T8 T1 A2 A1 1 fact | created\n"
                              "\n"
                              "no_payment T3 T4 T6\n"
                              "payment T2 30 0 0 depth=1\n"
                              "payment T8 1 0 0 depth=1 over_velocity\n"
                              /* One that is held is a pending return. */
                              "stored return T5 T1 A2 A1 15 pending\n"
                              "payment T5 15 0 15 depth=1 over_velocity held\n"
                              "payment T1 100 47 0\n"
                              "balance A1 0 100 15 32\n"
                              "balance A2 15 32 0 100\n"
                              "return T11 T5 A1 A2 1 | origin_not_returnable\n"
                              "post   T12 T5 10 keep_open | created\n"
                              "void   T13 T5 0 | created\n"
                              "\n"
                              "payment T5 15 10 5 depth=1 over_velocity held\n"
                              "payment T12 10 0 0 depth=1\n"
                              "payment T1 100 42 0\n"
                              "balance A1 0 100 0 42\n"
                              /* A hold of all that is left of a return. */
                              "limits A2 | set\n"
                              "\n"
                              "return T14 T1 A2 A1 max | created\n"
                              "\n"
                              "payment T14 58 0 58 depth=1 over_velocity held\n"
                              "payment T1 100 100 0\n"
                              "return T15 T1 A2 A1 max | exceeds_origin_amount\n"
                              "return T14 T1 A2 A1 max | exists\n"
                              "void   T16 T14 0 | created\n"
                              "\n"
                              "payment T1 100 42 0\n"
                              "payment T14 58 0 58 depth=1 over_velocity held\n";

static const char adjusts[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "limits A1 v0=100:1d:calendar:debits:amount:reject "
    "v1=2:1d:calendar:debits:count:reject | set\n"
    "limits A2 v0=30:1d:sliding:credits:amount:hold v1=20:1d:rate:credits:amount:mark | "
    "set\n"
    "\n"
    "pending T1 A1 A3 60 | created\n"
    "adjust  T2 T1 41 | velocity_exceeded\n"
    "adjust  T3 T1 30 | created\n"
    "adjust  T4 T1 5 | created\n"
    "adjust  T5 T1 6 | velocity_exceeded\n"
    "adjust  T5 T1 5 | id_already_failed\n"
    /* It is not one more transfer. */
    "adjust  T6 T1 0 timeout=5 | created\n"
    "transfer T7 A1 A3 5 | created\n"
    "transfer T8 A1 A3 0 | velocity_exceeded\n"
    "adjust  T9 T1 0 | created\n"
    "adjust  T10 T1 1 no_limit | created\n"
    "\n"
    "payment T1 96 0 96\n"
    "missing T2 T5 T8\n"
    /* Any other verdict lets it pass, and it has no marks; but it counts. */
    "pending T21 A3 A2 25 | created\n"
    "adjust  T22 T21 4 | created\n"
    "adjust  T23 T21 40 | created\n"
    "adjust  T24 T21 1 | created\n"
    "transfer T25 A3 A2 0 | created\n"
    "\n"
    "payment T21 70 0 70 over_velocity\n"
    "no_payment T22 T23 T24\n"
    "stored adjust T23 T21 40 debit=A3 credit=A2 ledger=1 code=1\n"
    "payment T25 0 0 0 over_velocity held\n"
    /* What is over already is so for nothing more, too. */
    "limits A1 v1=1:1d:calendar:debits:count:reject | set\n"
    "\n"
    "adjust T31 T1 0 | velocity_exceeded\n"
    "\n"
    "limits A1 v1=2:1d:calendar:debits:count:reject | set\n"
    "\n"
    "adjust T32 T1 0 | created\n"
    "\n"
    "limits A1 v0=0:1d:calendar:debits:amount:reject | set\n"
    "\n"
    "adjust T33 T1 0 | created\n"
    "adjust T34 T1 1 | velocity_exceeded\n";

/* ---- What is held --------------------------------------------------------------------------- */

static const char held_ends[] =
    "account A1 debits_must_not_exceed_credits | created\n"
    "account A2 | created\n"
    "account A9 | created\n"
    "\n"
    "transfer T1 A9 A1 100 | created\n"
    "\n"
    "limits A1 v0=0:1d:calendar:debits:count:hold | set\n"
    "limits A2 over_capture=1000 | set\n"
    "\n"
    "transfer T2 A1 A2 10 | created\n"
    "transfer T3 A1 A2 20 | created\n"
    "transfer T4 A1 A2 30 | created\n"
    "transfer T5 A1 A2 40 balancing_debit | created\n"
    /* They keep what they may spend. */
    "transfer T6 A1 A2 1 | exceeds_credits\n"
    "post     T12 T2 max | created\n"
    "void     T13 T3 0 | created\n"
    "post     T14 T4 12 keep_open | created\n"
    "\n"
    "payment T2 10 10 10 over_velocity held\n"
    "payment T3 20 0 20 over_velocity held\n"
    "payment T4 30 12 18 over_velocity held\n"
    "payment T5 40 0 40 over_velocity held\n"
    "no_payment T12 T13 T14\n"
    "stored pending T2 A1 A2 10\n"
    "stored pending T5 A1 A2 40 balancing_debit\n"
    "balance A1 58 22 0 100\n"
    "post T22 T2 max | pending_transfer_already_posted\n"
    "post T23 T3 max | pending_transfer_already_voided\n"
    /* They are raised, captured in parts and beyond, and returned as others are. */
    "adjust T24 T4 5 | created\n"
    "void   T25 T4 3 keep_open | created\n"
    "post   T26 T4 27 | over_capture_not_allowed\n"
    "post   T27 T4 26 | created\n"
    "post   T28 T5 44 | created\n"
    "return T29 T2 A2 A1 1 | origin_not_returnable\n"
    "return T30 T12 A2 A1 4 | created\n"
    "\n"
    "payment T4 35 38 20 over_velocity held\n"
    "payment T5 40 44 40 over_velocity held\n"
    "payment T12 10 4 0\n"
    "payment T30 4 0 0 depth=1\n"
    "balance A1 0 92 0 104\n";

static const char held_again[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "limits A1 v0=1:1d:calendar:debits:count:hold | set\n"
    "\n"
    "transfer T1 A1 A2 10 | created\n"
    "transfer T2 A1 A2 10 user_data_32=3 | created\n"
    "pending  T3 A1 A2 10 timeout=5 | created\n"
    "\n"
    "save\n"
    "transfer T1 A1 A2 10 | exists\n"
    "pending  T1 A1 A2 10 | exists_with_different_flags\n"
    "transfer T2 A1 A2 10 user_data_32=3 | exists\n"
    "pending  T2 A1 A2 10 user_data_32=3 | exists\n"
    "transfer T2 A1 A2 10 user_data_32=3 fact | exists_with_different_flags\n"
    "transfer T2 A1 A2 10 user_data_32=3 no_limit | exists_with_different_flags\n"
    "transfer T2 A1 A2 10 user_data_32=3 linked | exists_with_different_flags\n"
    "transfer T2 A1 A2 10 user_data_32=3 | linked_event_failed\n"
    "pending  T2 A1 A2 10 user_data_32=3 timeout=1 | exists_with_different_timeout\n"
    "transfer T2 A1 A2 11 user_data_32=3 | exists_with_different_amount\n"
    "transfer T2 A1 A2 10 | exists_with_different_user_data_32\n"
    "transfer T2 A2 A1 10 user_data_32=3 | exists_with_different_debit_account_id\n"
    "pending  T3 A1 A2 10 timeout=5 | exists\n"
    "transfer T3 A1 A2 10 timeout=5 | exists_with_different_flags\n"
    "\n"
    "unchanged\n"
    /* Once it has ended, or without the limit, or with another one, or another day. */
    "post T4 T2 max | created\n"
    "\n"
    "transfer T2 A1 A2 10 user_data_32=3 | exists\n"
    "\n"
    "limits A1 v0=0:1d:calendar:debits:count:reject | set\n"
    "\n"
    "transfer T2 A1 A2 10 user_data_32=3 | exists\n"
    "pending  T2 A1 A2 10 user_data_32=3 | exists\n"
    "transfer T1 A1 A2 10 | exists\n"
    "\n"
    "limits A1 | set\n"
    "\n"
    "at 2020/02/01\n"
    "transfer T2 A1 A2 10 user_data_32=3 | exists\n"
    "pending  T1 A1 A2 10 | exists_with_different_flags\n"
    "\n"
    /* What exists was not counted again. */
    "limits A1 v0=2:1d:calendar:debits:count:reject | set\n"
    "\n"
    "transfer T5 A1 A2 1 | created\n"
    "transfer T5 A1 A2 1 | exists\n"
    "transfer T6 A1 A2 1 | created\n"
    "transfer T5 A1 A2 1 | exists\n"
    "transfer T7 A1 A2 1 | velocity_exceeded\n";

/* ---- Chains --------------------------------------------------------------------------------- */

static const char chains[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "limits A1 v0=100:1d:calendar:debits:amount:reject "
    "v1=3:1d:sliding:debits:count:reject v2=3:1d:rate:debits:count:reject | set\n"
    "limits A2 v0=100:1d:calendar:credits:amount:mark | set\n"
    "\n"
    /* What comes before in a chain counts, and is taken back with it; one id is burnt. */
    "save\n"
    "transfer T1 A1 A2 60 linked | linked_event_failed\n"
    "transfer T2 A1 A2 41 linked | velocity_exceeded\n"
    "transfer T3 A1 A2 1 | linked_event_failed\n"
    "\n"
    "unchanged burnt\n"
    "missing T1 T2 T3\n"
    "transfer T2 A1 A2 1 | id_already_failed\n"
    "transfer T1 A1 A2 60 linked | created\n"
    "transfer T3 A1 A2 40 | created\n"
    "\n"
    "save\n"
    "transfer T4 A3 A2 50 linked | linked_event_failed\n"
    "transfer T5 A3 A9 1 | credit_account_not_found\n"
    "transfer T6 A1 A2 0 linked | linked_event_failed\n"
    "transfer T7 A1 A2 0 linked | velocity_exceeded\n"
    "transfer T8 A1 A2 0 | linked_event_failed\n"
    "transfer T9 A1 A2 0 linked | linked_event_failed\n"
    "pending  T10 A3 A2 9 linked | linked_event_failed\n"
    "adjust   T11 T10 9 linked | linked_event_failed\n"
    "transfer T12 A3 A2 1 timestamp=1 | timestamp_must_be_zero\n"
    "\n"
    "unchanged burnt\n"
    /* Nothing of it was counted: there is room for one more, and none is marked. */
    "transfer T13 A1 A2 0 | created\n"
    "transfer T14 A1 A2 0 | velocity_exceeded\n"
    "\n"
    "no_payment T1 T3 T13\n"
    /* A chain that ends a day, the last one of which is in the next. */
    "limits A1 v0=1:1d:calendar:debits:count:reject | set\n"
    "\n"
    "at 2020/02/01-1\n"
    "transfer T21 A1 A3 1 linked | linked_event_failed\n"
    "transfer T22 A1 A3 1 linked | linked_event_failed\n"
    "transfer T23 A1 A3 1 | velocity_exceeded\n"
    "\n"
    "at 2020/02/02-1\n"
    "transfer T24 A1 A3 1 linked | created\n"
    "transfer T25 A1 A3 1 | created\n"
    "\n"
    "at 2020/02/03-1\n"
    "transfer T26 A1 A3 1 linked | velocity_exceeded\n"
    "transfer T27 A1 A3 1 | linked_event_failed\n"
    "\n"
    /* Nothing is left of the window that a broken chain had moved on to. */
    "at 2020/02/04-9\n"
    "transfer T28 A1 A3 1 linked | linked_event_failed\n"
    "transfer T29 A1 A3 1 linked | velocity_exceeded\n"
    "transfer T30 A1 A3 1 | linked_event_failed\n"
    "\n"
    "transfer T31 A1 A3 1 | created\n"
    "transfer T32 A1 A3 1 | velocity_exceeded\n";

static const char chains_held[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "limits A1 v0=10:1d:calendar:debits:amount:hold | set\n"
    "\n"
    "transfer T1 A1 A2 10 linked | created\n"
    "transfer T2 A1 A2 1 linked | created\n"
    "transfer T3 A3 A2 7 linked | created\n"
    "pending  T4 A1 A2 1 | created\n"
    "\n"
    "no_payment T1 T3\n"
    "payment T2 1 0 1 over_velocity held\n"
    "payment T4 1 0 1 over_velocity\n"
    "stored transfer T1 A1 A2 10 linked\n"
    "stored pending T2 A1 A2 1 linked\n"
    "balance A1 2 10 0 0\n"
    "balance A3 0 7 0 0\n"
    "transfer T1 A1 A2 10 linked | exists\n"
    "transfer T2 A1 A2 1 linked | exists\n"
    "transfer T3 A3 A2 7 linked | exists\n"
    "pending  T4 A1 A2 1 | exists\n"
    "\n"
    /* It is held to those behind it, too; and gone with the chain. */
    "transfer T11 A1 A2 3 linked | created\n"
    "post     T12 T11 max linked | created\n"
    "return   T13 T12 A2 A1 3 | created\n"
    "\n"
    "save\n"
    "transfer T21 A1 A2 3 linked | linked_event_failed\n"
    "return   T22 T21 A2 A1 3 | origin_not_returnable\n"
    "\n"
    "unchanged\n"
    "missing T21\n"
    "no_payment T21\n"
    "payment T11 3 3 3 over_velocity held\n"
    "payment T13 3 0 0 depth=1\n"
    "transfer T21 A1 A2 3 no_limit | created\n"
    "\n"
    "no_payment T21\n"
    /* A chain that begins with one that is held, and one that is refused. */
    "limits A2 v0=0:1d:calendar:debits:count:reject | set\n"
    "\n"
    "transfer T31 A1 A3 5 linked | linked_event_failed\n"
    "transfer T32 A2 A3 5 | velocity_exceeded\n"
    "\n"
    "no_payment T31 T32\n"
    "balance A1 2 16 0 3\n";

/* ---- Changed slots -------------------------------------------------------------------------- */

static const char changes_keep[] =
    "account A1 debits_must_not_exceed_credits | created\n"
    "account A2 | created\n"
    "account A9 | created\n"
    "\n"
    "transfer T1 A9 A1 1000 | created\n"
    "\n"
    "at 2020/01/02\n"
    "limits A1 v0=100:1d:calendar:debits:amount:reject v1=5:1d:rate:debits:count:reject "
    "v3=5:1d:sliding:debits:count:reject | set\n"
    "\n"
    "transfer T2 A1 A2 60 | created\n"
    "transfer T3 A1 A2 20 | created\n"
    "\n"
    "limits A1 v0=90:1d:calendar:debits:amount:reject v1=5:1d:rate:debits:count:reject "
    "v3=5:1d:sliding:debits:count:reject floor=7 transfer_max=99 | set\n"
    "\n"
    "transfer T4 A1 A2 11 | velocity_exceeded\n"
    "transfer T5 A1 A2 10 | created\n"
    "\n"
    "limits A1 v0=50:1d:calendar:debits:amount:hold v1=5:1d:rate:debits:count:reject "
    "v3=5:1d:sliding:debits:count:reject | set\n"
    "\n"
    "transfer T6 A1 A2 1 | created\n"
    "\n"
    "payment T6 1 0 1 over_velocity held\n"
    /* Refused rows change nothing of it. */
    "limits A1 v0=92:0d:calendar:debits:amount:reject | velocity_period_out_of_range\n"
    "limits A1 v0=92:1d:calendar:debits:amount:off v1=5:1d:rate:debits:count:off "
    "v3=5:1d:sliding:debits:count:off | set\n"
    "limits A1 v0=92:1d:calendar:debits:amount:reject v1=5:1d:rate:debits:count:off "
    "v3=5:1d:sliding:debits:count:reject frozen | set\n"
    "limits A1 v0=92:1d:calendar:debits:amount:reject v1=5:1d:rate:debits:count:reject "
    "v3=5:1d:sliding:debits:count:reject | set\n"
    "\n"
    "transfer T7 A1 A2 2 | velocity_exceeded\n"
    "transfer T8 A1 A2 1 | created\n"
    "transfer T9 A1 A2 0 | velocity_exceeded\n"
    "\n"
    /* Both of five are full. A rate has spent the day, whatever would be its maximum. */
    "limits A1 v1=5:1d:rate:debits:count:off v3=5:1d:sliding:debits:count:reject | set\n"
    "\n"
    "transfer T10 A1 A2 0 | velocity_exceeded\n"
    "\n"
    "limits A1 v1=50:1d:rate:debits:count:reject v3=6:1d:sliding:debits:count:off | set\n"
    "\n"
    "transfer T11 A1 A2 0 | velocity_exceeded\n"
    "\n"
    "limits A1 v1=0:1d:rate:debits:count:off v3=6:1d:sliding:debits:count:reject | set\n"
    "\n"
    "transfer T12 A1 A2 0 | created\n"
    "transfer T13 A1 A2 0 | velocity_exceeded\n"
    "\n"
    "limits A1 v1=5:1d:rate:debits:count:reject v3=7:1d:sliding:debits:count:reject | set\n"
    "\n"
    "at 2020/01/02+4h\n"
    "transfer T14 A1 A2 0 | velocity_exceeded\n"
    "\n"
    "at 2020/01/02+5h\n"
    "transfer T15 A1 A2 0 | created\n";

static const char changes_lose[] = "account A1 | created\n"
                                   "account A2 | created\n"
                                   "\n"
                                   "limits A1 v0=2:60s:calendar:debits:count:reject | set\n"
                                   "\n"
                                   "at 2020/01/02\n"
                                   "transfer T1 A1 A2 1 | created\n"
                                   "transfer T2 A1 A2 1 | created\n"
                                   "transfer T3 A1 A2 1 | velocity_exceeded\n"
                                   "\n"
                                   /* As long a period in another unit is another one. */
                                   "limits A1 v0=2:1m:calendar:debits:count:reject | set\n"
                                   "\n"
                                   "transfer T11 A1 A2 1 | created\n"
                                   "transfer T12 A1 A2 1 | created\n"
                                   "transfer T13 A1 A2 1 | velocity_exceeded\n"
                                   "\n"
                                   "limits A1 v0=2:2m:calendar:debits:count:reject | set\n"
                                   "\n"
                                   "transfer T21 A1 A2 1 | created\n"
                                   "transfer T22 A1 A2 1 | created\n"
                                   "transfer T23 A1 A2 1 | velocity_exceeded\n"
                                   "\n"
                                   "limits A1 v0=2:2h:calendar:debits:count:reject | set\n"
                                   "\n"
                                   "transfer T31 A1 A2 1 | created\n"
                                   "transfer T32 A1 A2 1 | created\n"
                                   "transfer T33 A1 A2 1 | velocity_exceeded\n"
                                   "\n"
                                   "limits A1 v0=2:2h:sliding:debits:count:reject | set\n"
                                   "\n"
                                   "transfer T41 A1 A2 1 | created\n"
                                   "transfer T42 A1 A2 1 | created\n"
                                   "transfer T43 A1 A2 1 | velocity_exceeded\n"
                                   "\n"
                                   "limits A1 v0=2:2h:rate:debits:count:reject | set\n"
                                   "\n"
                                   "transfer T51 A1 A2 1 | created\n"
                                   "transfer T52 A1 A2 1 | created\n"
                                   "transfer T53 A1 A2 1 | velocity_exceeded\n"
                                   "\n"
                                   "limits A1 v0=2:2h:rate:debits:amount:reject | set\n"
                                   "\n"
                                   "transfer T61 A1 A2 1 | created\n"
                                   "transfer T62 A1 A2 1 | created\n"
                                   "transfer T63 A1 A2 1 | velocity_exceeded\n"
                                   "\n"
                                   /* Another slot, even when it is the same. */
                                   "limits A1 v1=2:2h:rate:debits:amount:reject | set\n"
                                   "\n"
                                   "transfer T71 A1 A2 1 | created\n"
                                   "transfer T72 A1 A2 1 | created\n"
                                   "transfer T73 A1 A2 1 | velocity_exceeded\n"
                                   "\n"
                                   "limits A1 v3=2:2h:rate:debits:amount:reject | set\n"
                                   "\n"
                                   "transfer T81 A1 A2 1 | created\n"
                                   "transfer T82 A1 A2 1 | created\n"
                                   "transfer T83 A1 A2 1 | velocity_exceeded\n"
                                   "\n"
                                   /* The other side, and back. */
                                   "limits A1 v3=2:2h:rate:credits:amount:reject | set\n"
                                   "\n"
                                   "transfer T101 A1 A2 3 | created\n"
                                   "transfer T102 A2 A1 3 | velocity_exceeded\n"
                                   "transfer T103 A2 A1 2 | created\n"
                                   "transfer T104 A2 A1 1 | velocity_exceeded\n"
                                   "\n"
                                   "limits A1 v3=2:2h:rate:debits:amount:reject | set\n"
                                   "\n"
                                   "transfer T105 A1 A2 2 | created\n"
                                   "transfer T106 A1 A2 1 | velocity_exceeded\n"
                                   "\n"
                                   /* A row without it in between. */
                                   "limits A1 transfer_max=9 | set\n"
                                   "limits A1 v3=2:2h:rate:debits:amount:reject | set\n"
                                   "\n"
                                   "transfer T107 A1 A2 2 | created\n"
                                   "transfer T108 A1 A2 1 | velocity_exceeded\n";

/* ---- Edges ---------------------------------------------------------------------------------- */

static const char zero[] = "account A1 | created\n"
                           "account A2 | created\n"
                           "account A3 | created\n"
                           "account A9 | created\n"
                           "\n"
                           "limits A1 v0=0:1d:calendar:debits:amount:reject | set\n"
                           "limits A2 v0=0:1d:sliding:debits:amount:reject | set\n"
                           "limits A3 v0=0:1d:rate:debits:amount:reject | set\n"
                           "\n"
                           "transfer T1 A1 A9 1 | velocity_exceeded\n"
                           "transfer T2 A1 A9 0 | created\n"
                           "transfer T3 A2 A9 1 | velocity_exceeded\n"
                           "transfer T4 A2 A9 0 | created\n"
                           "transfer T5 A3 A9 1 | velocity_exceeded\n"
                           "transfer T6 A3 A9 0 | created\n"
                           "pending  T7 A3 A9 max-1 | velocity_exceeded\n"
                           "\n"
                           "limits A1 v0=0:1d:calendar:debits:count:reject | set\n"
                           "limits A2 v0=0:1d:sliding:debits:count:reject | set\n"
                           "limits A3 v0=0:1d:rate:debits:count:reject | set\n"
                           "\n"
                           "transfer T11 A1 A9 0 | velocity_exceeded\n"
                           "transfer T12 A2 A9 0 | velocity_exceeded\n"
                           "transfer T13 A3 A9 0 | velocity_exceeded\n"
                           "\n"
                           /* Of a rate of zero nothing is counted; a window counts. */
                           "limits A1 v0=0:1d:calendar:debits:count:mark | set\n"
                           "limits A2 v0=0:1d:sliding:debits:count:mark | set\n"
                           "limits A3 v0=0:1d:rate:debits:count:mark | set\n"
                           "\n"
                           "transfer T21 A1 A9 1 | created\n"
                           "transfer T22 A2 A9 1 | created\n"
                           "transfer T23 A3 A9 1 | created\n"
                           "\n"
                           "payment T21 1 0 0 over_velocity\n"
                           "payment T22 1 0 0 over_velocity\n"
                           "payment T23 1 0 0 over_velocity\n"
                           "limits A1 v0=1:1d:calendar:debits:count:reject | set\n"
                           "limits A2 v0=1:1d:sliding:debits:count:reject | set\n"
                           "limits A3 v0=1:1d:rate:debits:count:reject | set\n"
                           "\n"
                           "transfer T31 A1 A9 1 | velocity_exceeded\n"
                           "transfer T32 A2 A9 1 | velocity_exceeded\n"
                           "transfer T33 A3 A9 1 | created\n"
                           "transfer T34 A3 A9 1 | velocity_exceeded\n";

static const char saturates[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "account A9 | created\n"
    "\n"
    "limits A1 v0=max-1:1d:calendar:debits:amount:mark | set\n"
    "limits A2 v0=max-1:1d:sliding:debits:amount:mark | set\n"
    "limits A3 v0=max-1:1d:rate:debits:amount:mark | set\n"
    "\n"
    /* 2^64 - 2 is not too much; more counts as 2^64 - 1. */
    "at 2020/01/02\n"
    "transfer T1 A1 A9 0xfffffffffffffffe | created\n"
    "transfer T2 A2 A9 0xfffffffffffffffe | created\n"
    "transfer T3 A3 A9 0xfffffffffffffffe | created\n"
    "transfer T4 A1 A9 0xffffffffffffffff | created\n"
    "transfer T5 A2 A9 0xffffffffffffffff | created\n"
    "transfer T6 A3 A9 0xffffffffffffffff | created\n"
    "transfer T7 A1 A9 0xffffffffffffffff+0xffffffffffffffff | created\n"
    "transfer T8 A2 A9 0xffffffffffffffff+0xffffffffffffffff | created\n"
    "transfer T9 A3 A9 0xffffffffffffffff+0xffffffffffffffff | created\n"
    "transfer T10 A1 A9 0 | created\n"
    "transfer T11 A2 A9 0 | created\n"
    "\n"
    "no_payment T1 T2 T3\n"
    "payment T4 0xffffffffffffffff 0 0 over_velocity\n"
    "payment T5 0xffffffffffffffff 0 0 over_velocity\n"
    "payment T6 0xffffffffffffffff 0 0 over_velocity\n"
    "payment T7 0xffffffffffffffff+0xffffffffffffffff 0 0 over_velocity\n"
    "payment T8 0xffffffffffffffff+0xffffffffffffffff 0 0 over_velocity\n"
    "payment T9 0xffffffffffffffff+0xffffffffffffffff 0 0 over_velocity\n"
    "payment T10 0 0 0 over_velocity\n"
    "payment T11 0 0 0 over_velocity\n"
    /* A window later: half of 2^64 - 1 is 2^63 - 1. */
    "limits A2 v0=max-1:1d:sliding:debits:amount:reject | set\n"
    "\n"
    "at 2020/01/03+12h\n"
    "transfer T12 A2 A9 0x8000000000000000 | velocity_exceeded\n"
    "transfer T13 A2 A9 0x7fffffffffffffff | created\n"
    "transfer T14 A1 A9 0xfffffffffffffffe | created\n"
    "\n"
    "no_payment T13 T14\n"
    /* An amount that is larger than any sum is over every maximum but the largest. */
    "limits A1 v0=max-1:1d:calendar:credits:amount:reject | set\n"
    "\n"
    "transfer T21 A9 A1 0xffffffffffffffff+1 | velocity_exceeded\n";

static const char largest[] = "account A1 | created\n"
                              "account A2 | created\n"
                              "account A9 | created\n"
                              "\n"
                              "limits A1 v0=max:1d:calendar:debits:amount:reject | set\n"
                              "limits A2 v0=max:1d:sliding:debits:amount:reject | set\n"
                              "\n"
                              "transfer T1 A1 A9 0xffffffffffffffff | created\n"
                              "transfer T2 A2 A9 0xffffffffffffffff | created\n"
                              "transfer T3 A1 A9 0 | created\n"
                              "transfer T4 A2 A9 0 | created\n"
                              "transfer T5 A1 A9 1 | velocity_exceeded\n"
                              "transfer T6 A2 A9 1 | velocity_exceeded\n";

static const char judged_only[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 debits_must_not_exceed_credits | created\n"
    "\n"
    "limits A1 v0=5:1h:sliding:debits:amount:reject v1=5:1h:rate:debits:amount:reject "
    "v2=5:1h:calendar:debits:amount:reject | set\n"
    "limits A2 v0=50:1d:calendar:credits:amount:reject balance_max=200 | set\n"
    "limits A3 v0=1:1d:calendar:debits:count:mark | set\n"
    "\n"
    /* One side lets it pass, the other one does not: neither counts. */
    "save\n"
    "transfer T1 A1 A2 6 | velocity_exceeded\n"
    "pending  T2 A1 A2 6 | velocity_exceeded\n"
    "transfer T3 A3 A1 1 | exceeds_credits\n"
    "transfer T4 A1 A2 201 | exceeds_max_balance\n"
    "transfer T5 A1 A2 0 pending_id=1 | pending_id_must_be_zero\n"
    "\n"
    "unchanged burnt\n"
    "transfer T6 A1 A2 5 | created\n"
    "\n"
    "at 2020/01/01+1h\n"
    "save\n"
    "transfer T7 A1 A2 5 | velocity_exceeded\n"
    "\n"
    "at 2020/01/01+23h\n"
    "transfer T8 A1 A2 6 | velocity_exceeded\n"
    "\n"
    "unchanged burnt\n"
    "transfer T9 A1 A2 5 | created\n";

static const char imports[] =
    "account A1 imported timestamp=1 | created\n"
    "account A2 imported timestamp=2 | created\n"
    "account A3 imported timestamp=3 | created\n"
    "account A4 imported timestamp=4 | created\n"
    "account A5 imported timestamp=5 | created\n"
    "account A6 imported timestamp=6 | created\n"
    "account A7 imported timestamp=7 | created\n"
    "\n"
    "limits A1 v0=1:7d:calendar:debits:count:reject | set\n"
    "limits A3 v0=1:14d:calendar:debits:count:reject | set\n"
    "limits A4 v0=1:7d:sliding:debits:count:reject | set\n"
    "limits A5 v0=1:1M:calendar:debits:count:reject | set\n"
    "limits A6 v0=1:10s:rate:debits:count:hold | set\n"
    "limits A7 v0=1:1d:calendar:debits:count:reject | set\n"
    "\n"
    /* The first Monday was the fifth of January 1970, the first Thursday the first. */
    "transfer T1 A1 A2 1 imported timestamp=10 | created\n"
    "transfer T2 A3 A2 1 imported timestamp=11 | created\n"
    "transfer T3 A4 A2 1 imported timestamp=12 | created\n"
    "transfer T4 A5 A2 1 imported timestamp=13 | created\n"
    "transfer T5 A6 A2 1 imported timestamp=14 | created\n"
    "transfer T6 A6 A2 1 imported timestamp=10s+13 | created\n"
    "transfer T7 A6 A2 1 imported timestamp=20s+14 | created\n"
    "transfer T11 A1 A2 1 imported timestamp=1970/01/05-2 | velocity_exceeded\n"
    "transfer T12 A3 A2 1 imported timestamp=1970/01/05-1 | velocity_exceeded\n"
    "transfer T13 A1 A2 1 imported timestamp=1970/01/05 | created\n"
    "transfer T14 A3 A2 1 imported timestamp=1970/01/05+1 | created\n"
    "transfer T15 A4 A2 1 imported timestamp=1970/01/08 | velocity_exceeded\n"
    "transfer T16 A4 A2 1 imported timestamp=1970/01/08+1 | created\n"
    "transfer T17 A1 A2 1 imported timestamp=1970/01/12-1 | velocity_exceeded\n"
    "transfer T18 A3 A2 1 imported timestamp=1970/01/19-1 | velocity_exceeded\n"
    "transfer T19 A3 A2 1 imported timestamp=1970/01/19 | created\n"
    "transfer T20 A5 A2 1 imported timestamp=1970/02/01-1 | velocity_exceeded\n"
    "transfer T21 A5 A2 1 imported timestamp=1970/02/01 | created\n"
    "transfer T22 A5 A2 1 imported timestamp=1970/03/01-1 | velocity_exceeded\n"
    "transfer T23 A5 A2 1 imported timestamp=1970/03/01 | created\n"
    "transfer T24 A5 A2 1 imported timestamp=1972/02/29 | created\n"
    "transfer T25 A5 A2 1 imported timestamp=1972/03/01-1 | velocity_exceeded\n"
    "transfer T26 A5 A2 1 imported timestamp=1972/03/01 | created\n"
    /* 2000 has a leap day. */
    "transfer T31 A5 A2 1 imported timestamp=2000/02/28 | created\n"
    "transfer T32 A5 A2 1 imported timestamp=2000/02/29+23h | velocity_exceeded\n"
    "transfer T33 A5 A2 1 imported timestamp=2000/03/01-1 | velocity_exceeded\n"
    "transfer T34 A5 A2 1 imported timestamp=2000/03/01 | created\n"
    "\n"
    "payment T6 1 0 1 over_velocity held\n"
    "no_payment T5 T7\n"
    "stored pending T6 A6 A2 1 imported\n"
    "transfer T6 A6 A2 1 imported timestamp=10s+13 | exists\n"
    "pending  T6 A6 A2 1 imported timestamp=10s+13 | exists\n"
    "\n"
    /* Time does not go back, and what is refused for that counts nothing. */
    "transfer T41 A7 A2 1 imported timestamp=2001/01/01+12h | created\n"
    "transfer T42 A7 A2 1 imported timestamp=2001/01/01+11h | "
    "imported_event_timestamp_must_not_regress\n"
    "transfer T43 A7 A2 1 imported timestamp=2001/01/01+13h | velocity_exceeded\n"
    "pending  T44 A7 A2 1 imported timestamp=2001/01/02 | created\n"
    "adjust   T45 T44 1 imported timestamp=2001/01/02+1h | created\n"
    "\n"
    /* And it is not the clock's. */
    "transfer T51 A7 A2 1 | created\n"
    "transfer T52 A7 A2 1 | velocity_exceeded\n";

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
    X(set_rules, answers_each_broken_rule_of_a_slot)                                               \
    X(set_rows, replaces_all_slots_of_a_row)                                                       \
    X(calendar_seconds, begins_windows_of_seconds_at_the_epoch)                                    \
    X(calendar_minutes, begins_windows_of_minutes_at_the_epoch)                                    \
    X(calendar_hours, begins_windows_of_hours_at_the_epoch)                                        \
    X(calendar_days, begins_days_at_midnight)                                                      \
    X(calendar_weeks, begins_weeks_on_mondays)                                                     \
    X(calendar_months, counts_months_as_the_calendar_has_them)                                     \
    X(calendar_quarters, counts_quarters_and_years)                                                \
    X(calendar_centuries, counts_up_to_a_hundred_years)                                            \
    X(calendar_amounts, adds_up_amounts_within_a_window)                                           \
    X(sliding, estimates_a_sliding_window)                                                         \
    X(sliding_counts, estimates_a_sliding_number_of_transfers)                                     \
    X(sliding_large, estimates_the_largest_sums)                                                   \
    X(rate, refills_a_rate_evenly)                                                                 \
    X(rate_rounding, rounds_what_a_rate_spends_up)                                                 \
    X(rate_beyond, counts_a_rate_up_to_twice_its_period)                                           \
    X(rate_late, remembers_a_rate_beyond_64_bits)                                                  \
    X(rate_large, counts_a_rate_of_the_largest_sums)                                               \
    X(verdicts, does_what_the_verdict_says)                                                        \
    X(strictest, does_what_the_strictest_verdict_says)                                             \
    X(sides, counts_each_side_by_itself)                                                           \
    X(facts, marks_facts_and_counts_them)                                                          \
    X(no_limit, leaves_out_what_asks_for_no_limit)                                                 \
    X(holds, counts_holds_once_and_gives_nothing_back)                                             \
    X(decided, counts_the_amount_that_was_decided)                                                 \
    X(returns, counts_returns_as_transfers)                                                        \
    X(adjusts, counts_what_a_hold_is_raised_by)                                                    \
    X(held_ends, posts_and_voids_what_was_held)                                                    \
    X(held_again, answers_that_a_held_transfer_exists)                                             \
    X(chains, takes_back_what_a_broken_chain_has_counted)                                          \
    X(chains_held, holds_one_member_of_a_chain)                                                    \
    X(changes_keep, counts_on_with_another_maximum_or_verdict)                                     \
    X(changes_lose, begins_at_zero_with_any_other_slot)                                            \
    X(zero, lets_nothing_pass_with_a_maximum_of_zero)                                              \
    X(saturates, counts_no_further_than_the_largest_number)                                        \
    X(largest, limits_nothing_with_the_largest_maximum)                                            \
    X(judged_only, changes_nothing_by_what_is_refused)                                             \
    X(imports, counts_imports_at_their_own_time)

#define TABLE_TESTS(table, shows)                                                                  \
    Test(ledger_velocity, shows)                                                                   \
    {                                                                                              \
        fixture_script_alone(table, NULL);                                                         \
    }                                                                                              \
    Test(ledger_velocity_model, shows)                                                             \
    {                                                                                              \
        by_the_model(table, NULL);                                                                 \
    }
TABLES(TABLE_TESTS)
#undef TABLE_TESTS

#define TABLE(table, shows) table,
static const char *const tables[] = {TABLES(TABLE)};
#undef TABLE

/* Those that only slots have. */
Test(ledger_velocity_model, has_a_row_for_every_result_of_slots)
{
    struct fixture_coverage coverage = {0};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        by_the_model(tables[i], &coverage);
    cr_assert(coverage.transfer[GIRO_TRANSFER_VELOCITY_EXCEEDED] != 0);
    cr_assert(coverage.limits[GIRO_LIMITS_RESULT_VELOCITY_WINDOW_UNKNOWN] != 0);
    cr_assert(coverage.limits[GIRO_LIMITS_RESULT_VELOCITY_PERIOD_OUT_OF_RANGE] != 0);
    cr_assert(coverage.limits[GIRO_LIMITS_RESULT_VELOCITY_UNUSED_MUST_BE_ZERO] != 0);
}

/* Every table again, with no record in memory when a request begins. */
Test(ledger_velocity, answers_the_same_from_records_that_are_fetched)
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

/* T1: the hold of the base row. A34, A35: fuller than they may be, so that balances come first. A4:
 * with nothing to spend. A40 to A42: velocity limits of which nothing is left; A41 counts what it is
 * credited with. */
static const char precedence_state[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A4 debits_must_not_exceed_credits | created\n"
    "account A20 | created\n"
    "account A34 | created\n"
    "account A40 | created\n"
    "account A41 | created\n"
    "account A42 | created\n"
    "\n"
    "pending  T1 A1 A2 1 | created\n"
    "pending  T11 A40 A2 1 | created\n"
    "pending  T12 A1 A41 1 | created\n"
    "pending  T13 A40 A34 1 | created\n"
    "pending  T14 A4 A41 0 | created\n"
    "transfer T21 A20 A34 6 | created\n"
    "transfer T22 A42 A1 9 | created\n"
    "transfer T23 A42 A41 9 | created\n"
    "\n"
    "limits A1 transfer_max=50 | set\n"
    "limits A4 transfer_max=50 | set\n"
    "limits A34 balance_max=5 | set\n"
    "limits A40 transfer_max=50 v3=0:1d:calendar:debits:amount:reject | set\n"
    "limits A41 v2=0:1d:rate:credits:amount:reject v0=9:1d:sliding:debits:amount:hold | set\n"
    "limits A42 v1=1:1s:rate:credits:amount:reject | set\n";

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
                                   "flags=8 | reserved_flag\n"
                                   "account_id=0 | account_id_must_not_be_zero\n"
                                   "account_id=max | account_id_must_not_be_int_max\n"
                                   "over_capture=100001 | over_capture_out_of_range\n"
                                   "v0_bits=0x74 | velocity_window_unknown\n"
                                   "v0_bits=0x10 | velocity_unused_must_be_zero\n"
                                   "v0_unit=5 | velocity_window_unknown\n"
                                   "v0_unit=4 v0_bits=0x72 | velocity_window_unknown\n"
                                   "v0_period=0 | velocity_period_out_of_range\n"
                                   "v1_bits=0x0f | velocity_window_unknown\n"
                                   "v1_bits=0x40 | velocity_unused_must_be_zero\n"
                                   "v1_unit=9 | velocity_window_unknown\n"
                                   "v1_period=0 | velocity_period_out_of_range\n"
                                   "v2_bits=0 | velocity_unused_must_be_zero\n"
                                   "v2_unit=4 | velocity_window_unknown\n"
                                   "v2_period=0 | velocity_period_out_of_range\n"
                                   "v3_max=1 | velocity_unused_must_be_zero\n"
                                   "v3_period=1 | velocity_unused_must_be_zero\n"
                                   "account_id=A98 | account_not_found\n"
                                   "floor=1 | floor_needs_limit_flag\n";
    precedence_check(model,
                     "limits A1 v0=9:1d:calendar:debits:amount:reject "
                     "v1=9:1h:sliding:credits:count:hold v2=9:1m:rate:debits:count:off",
                     in_order, 180);
}

static void plain_precedence(bool model)
{
    static const char in_order[] = "code=0 | code_must_not_be_zero\n"
                                   "debit=A98 | debit_account_not_found\n"
                                   "debit=A4 | exceeds_credits\n"
                                   "amount=51 | exceeds_max_transfer\n"
                                   "credit=A34 | exceeds_max_balance\n"
                                   "debit=A40 | velocity_exceeded\n"
                                   "credit=A41 | velocity_exceeded\n"
                                   "credit=A42 | velocity_exceeded\n";
    precedence_check(model, "transfer 0 A1 A2 10", in_order, 15);
    precedence_check(model, "pending 0 A1 A2 10", in_order, 15);
}

static void return_precedence(bool model)
{
    static const char in_order[] = "pending_id=T98 | origin_not_found\n"
                                   "amount=10 | exceeds_origin_amount\n"
                                   "debit=A1 | velocity_exceeded\n"
                                   "credit=A42 | velocity_exceeded\n";
    precedence_check(model, "return 0 T22 A1 A42 9", in_order, 2);
}

static void adjust_precedence(bool model)
{
    static const char in_order[] = "code=2 | pending_transfer_has_different_code\n"
                                   "pending_id=T14 | exceeds_credits\n"
                                   "amount=51 | exceeds_max_transfer\n"
                                   "pending_id=T13 | exceeds_max_balance\n"
                                   "pending_id=T11 | velocity_exceeded\n"
                                   "pending_id=T12 | velocity_exceeded\n";
    precedence_check(model, "adjust 0 T1 10", in_order, 7);
}

#define PRECEDENCE_TESTS(rules)                                                                    \
    Test(ledger_velocity, answers_the_earlier_of_two_broken_rules_of_##rules)                      \
    {                                                                                              \
        rules##_precedence(false);                                                                 \
    }                                                                                              \
    Test(ledger_velocity_model, answers_the_earlier_of_two_broken_rules_of_##rules)                \
    {                                                                                              \
        rules##_precedence(true);                                                                  \
    }
PRECEDENCE_TESTS(row)
PRECEDENCE_TESTS(plain)
PRECEDENCE_TESTS(return )
PRECEDENCE_TESTS(adjust)
#undef PRECEDENCE_TESTS
