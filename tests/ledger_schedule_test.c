/* Schedules: when the transfers are due that the ledger makes by itself, what becomes of an attempt
 * that is refused, and how what was missed is made up for. One event a row; the language is described
 * in tests/ledger_fixture.h.
 *
 * Every table was worked out by hand and runs twice, in a ledger of its own whose log is replayed
 * at the end, and in the model, which the random tests compare the ledger with. */
#include "tests/ledger_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* ---- Creating and cancelling ---------------------------------------------------------------- */

static const char broken_fields[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "save\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s s_timestamp=1 | timestamp_must_be_zero\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s timestamp=1 | timestamp_must_be_zero\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s s_flags=1 | reserved_flag\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s s_flags=0xc000 | reserved_flag\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s reserved=1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s reserved_end=1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s next=2020/02/01 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s made=1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s last_id=1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s occurrence=1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s attempt=1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s last_result=1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s transfer_code=1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s transfer_flags=1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s reserved_1=1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s state=1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s id=T1 | reserved_field\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s pending_id=T1 | reserved_field\n"
    "repeat 0 A1 A2 5 first=2020/02/01 each=10s | id_must_not_be_zero\n"
    "repeat max A1 A2 5 first=2020/02/01 each=10s | id_must_not_be_int_max\n"
    "\n"
    "unchanged\n"
    "no_schedule S1\n";

static const char broken_rules[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "save\n"
    "repeat S1 A1 A2 5 first=2020/02/01 interval=1 | rule_unknown\n"
    "repeat S1 A1 A2 5 first=2020/02/01 interval=1 rule=4 | rule_unknown\n"
    "repeat S1 A1 A2 5 first=2020/02/01 interval=1 rule=255 day=1 | rule_unknown\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=0s | interval_must_not_be_zero\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=0M:1 | interval_must_not_be_zero\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=0Y:1 | interval_must_not_be_zero\n"
    "repeat S1 A1 A2 5 each=10s | first_out_of_range\n"
    "repeat S1 A1 A2 5 first=0x8000000000000000 each=10s | first_out_of_range\n"
    "repeat S1 A1 A2 5 first=max each=1M:1 | first_out_of_range\n"
    /* Days. */
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s day=1 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=1M:0 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=1M:2 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/02/02-1 each=1M:2 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=1M:1 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/02/29 each=1M:32 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/02/29 each=1M:255 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/02/28 each=1M:29 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/02/28 each=1Y:31 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2021/02/27 each=1M:29 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2100/02/27 each=1Y:29 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/04/29 each=1M:31 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/03/30 each=1M:31 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/03/31 each=1M:30 | first_not_on_day\n"
    "repeat S1 A1 A2 5 first=2020/02/29 each=1M:28 | first_not_on_day\n"
    /* The end, and retries. */
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s end=2020/02/01-1 | end_before_first\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s end=1 | end_before_first\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s retries=1 | retries_out_of_range\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s retry0=1 | retries_out_of_range\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s retry3=1 | retries_out_of_range\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s retry=1:0 | retries_out_of_range\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s retry=0:1 | retries_out_of_range\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s retry=1:1 retry3=1 | retries_out_of_range\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s retry=1:1:1:0 | retries_out_of_range\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s retry=1:1:1:1 retries=3 | retries_out_of_range\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s retry=1:1:1:1 retries=5 | retries_out_of_range\n"
    "repeat S1 A1 A2 5 first=2020/02/01 each=10s retry=1:1:1:1 retries=255 | "
    "retries_out_of_range\n"
    "\n"
    "unchanged\n"
    "no_schedule S1\n";

static const char broken_transfers[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 ledger=2 | created\n"
    "account A4 ledger=2 | created\n"
    "\n"
    "save\n"
    "repeat S1 A1 A2 5 first=1 each=1s linked | transfer_flags_not_allowed\n"
    "repeat S1 A1 A2 5 first=1 each=1s post | transfer_flags_not_allowed\n"
    "repeat S1 A1 A2 5 first=1 each=1s void | transfer_flags_not_allowed\n"
    "repeat S1 A1 A2 5 first=1 each=1s pending closing_debit | transfer_flags_not_allowed\n"
    "repeat S1 A1 A2 5 first=1 each=1s pending closing_credit | transfer_flags_not_allowed\n"
    "repeat S1 A1 A2 5 first=1 each=1s imported | transfer_flags_not_allowed\n"
    "repeat S1 A1 A2 5 first=1 each=1s return | transfer_flags_not_allowed\n"
    "repeat S1 A1 A2 5 first=1 each=1s keep_open | transfer_flags_not_allowed\n"
    "repeat S1 A1 A2 5 first=1 each=1s pending adjust | transfer_flags_not_allowed\n"
    "repeat S1 A1 A2 5 first=1 each=1s fact | transfer_flags_not_allowed\n"
    "repeat S1 A1 A2 5 first=1 each=1s flags=0x4000 | transfer_flags_not_allowed\n"
    "repeat S1 A1 A2 5 first=1 each=1s flags=0x8000 | transfer_flags_not_allowed\n"
    "repeat S1 0 A2 5 first=1 each=1s | transfer_fields\n"
    "repeat S1 max A2 5 first=1 each=1s | transfer_fields\n"
    "repeat S1 A1 0 5 first=1 each=1s | transfer_fields\n"
    "repeat S1 A1 max 5 first=1 each=1s | transfer_fields\n"
    "repeat S1 A1 A1 5 first=1 each=1s | transfer_fields\n"
    "repeat S1 A9 A9 5 first=1 each=1s | transfer_fields\n"
    "repeat S1 A1 A2 5 first=1 each=1s timeout=1 | transfer_fields\n"
    "repeat S1 A1 A2 5 first=1 each=1s ledger=0 | transfer_fields\n"
    "repeat S1 A1 A2 5 first=1 each=1s code=0 | transfer_fields\n"
    "repeat S1 A8 A9 5 first=1 each=1s | debit_account_not_found\n"
    "repeat S1 A1 A9 5 first=1 each=1s | credit_account_not_found\n"
    "repeat S1 A1 A3 5 first=1 each=1s | accounts_must_have_the_same_ledger\n"
    "repeat S1 A3 A1 5 first=1 each=1s | accounts_must_have_the_same_ledger\n"
    "repeat S1 A3 A1 5 first=1 each=1s ledger=2 | accounts_must_have_the_same_ledger\n"
    "repeat S1 A1 A2 5 first=1 each=1s ledger=2 | accounts_must_have_the_same_ledger\n"
    "repeat S1 A3 A4 5 first=1 each=1s | accounts_must_have_the_same_ledger\n"
    "repeat S1 A3 A4 5 first=1 each=1s ledger=3 | accounts_must_have_the_same_ledger\n"
    "\n"
    "unchanged\n"
    "no_schedule S1\n"
    "fire | 0\n";

/* The most and the least that each field may say. */
static const char bounds[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 ledger=2 | created\n"
    "account A4 ledger=2 | created\n"
    "\n"
    "repeat S1 A1 A2 5 first=2300/01/01 each=10s | first_out_of_range\n"
    "repeat S1 A1 A2 5 first=0x7fffffffffffffff each=1s | done\n"
    "repeat S2 A1 A2 0 first=2200/01/01 each=4294967295s occurrences=0xffffffff | done\n"
    "repeat S3 A1 A2 max first=2200/01/31 each=4294967295M:31 end=2200/01/31 | done\n"
    "repeat S4 A1 A2 5 first=2200/02/28 each=4294967295Y:31 end=0xffffffffffffffff | done\n"
    "repeat S5 A1 A2 5 first=2200/01/01 each=1s retry=4294967295:1:2:3 | done\n"
    "repeat S6 A1 A2 5 first=2200/01/01 each=1s pending timeout=0xffffffff | done\n"
    "repeat S7 A1 A2 5 first=2200/01/01 each=1s pending balancing_debit balancing_credit "
    "no_limit | done\n"
    "repeat S8 A3 A4 5 first=2200/01/01 each=1s ledger=2 code=0xffff | done\n"
    "repeat max-1 A1 A2 5 first=2200/01/01 each=1s user_data_128=max user_data_64=7 "
    "user_data_32=8 | done\n"
    "repeat S10 A1 A2 5 first=2100/02/28 each=1Y:29 | done\n"
    "repeat S11 A1 A2 5 first=2021/02/28 each=1M:31 end=2021/02/28 occurrences=1 | done\n"
    "repeat S12 A1 A2 5 first=2200/03/01+86399s+999999999 each=1M:1 | done\n"
    "\n"
    "stored repeat S1 A1 A2 5 first=0x7fffffffffffffff each=1s\n"
    "stored repeat S2 A1 A2 0 first=2200/01/01 each=4294967295s occurrences=0xffffffff\n"
    "stored repeat S3 A1 A2 max first=2200/01/31 each=4294967295M:31 end=2200/01/31\n"
    "stored repeat S4 A1 A2 5 first=2200/02/28 each=4294967295Y:31 end=0xffffffffffffffff\n"
    "stored repeat S5 A1 A2 5 first=2200/01/01 each=1s retry=4294967295:1:2:3\n"
    "stored repeat S6 A1 A2 5 first=2200/01/01 each=1s pending timeout=0xffffffff\n"
    "stored repeat S7 A1 A2 5 first=2200/01/01 each=1s pending balancing_debit balancing_credit "
    "no_limit\n"
    "stored repeat S8 A3 A4 5 first=2200/01/01 each=1s ledger=2 code=0xffff\n"
    "stored repeat max-1 A1 A2 5 first=2200/01/01 each=1s user_data_128=max user_data_64=7 "
    "user_data_32=8\n"
    "schedule S1 next=0x7fffffffffffffff state=active occurrence=0 attempt=0 made=0 last=none\n"
    "schedule max-1 next=2200/01/01 state=active occurrence=0 attempt=0 made=0 last=none\n"
    "schedule S11 next=2021/02/28 state=active\n"
    "no_schedule S9 0 max\n"
    "fire | 0\n";

/* The same is answered exists for ever, whatever has become of it. */
static const char exists[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "at 2020/02/01\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 | done\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 | exists\n"
    "repeat S2 A1 A2 5 first=2020/02/02+20s each=1M:2 pending timeout=9 | done\n"
    "\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 | exists\n"
    "repeat S1 A1 A2 5 first=2020/02/02+1 each=10s end=2020/02/02+10s retry=7 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+11s retry=7 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 occurrences=1 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=11s end=2020/02/02+10s retry=7 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=8 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 retry3=1 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 retries=2 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10M:0 end=2020/02/02+10s retry=7 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s day=1 end=2020/02/02+10s retry=7 | "
    "exists_with_different_fields\n"
    "repeat S1 A3 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A3 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 6 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 user_data_128=1 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 user_data_64=1 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 user_data_32=1 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 timeout=1 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 ledger=2 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 code=2 | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 no_limit | "
    "exists_with_different_fields\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 flags=0x8000 | "
    "exists_with_different_fields\n"
    "repeat S2 A1 A2 5 first=2020/02/02+20s each=1M:2 timeout=9 | exists_with_different_fields\n"
    "repeat S2 A1 A2 5 first=2020/02/02+20s each=1Y:2 pending timeout=9 | "
    "exists_with_different_fields\n"
    /* What is no schedule at all is said first. */
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 made=1 | "
    "reserved_field\n"
    "\n"
    "at 2020/02/02+10s\n"
    "fire | 1\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 | exists\n"
    "\n"
    "fire | 1\n"
    "schedule S1 state=over\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+10s retry=7 | exists\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s end=2020/02/02+20s retry=7 | "
    "exists_with_different_fields\n"
    "\n"
    "cancel S2 | done\n"
    "\n"
    "repeat S2 A1 A2 5 first=2020/02/02+20s each=1M:2 pending timeout=9 | exists\n"
    "\n"
    "schedule S2 state=cancelled\n"
    "at 2020/04/02\n"
    "fire | 0\n";

static const char cancelled[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 debits_must_not_exceed_credits | created\n"
    "\n"
    "at 2020/02/01\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s | done\n"
    "repeat S2 A1 A2 5 first=2020/02/02 each=10s occurrences=1 | done\n"
    "repeat S3 A3 A2 5 first=2020/02/02 each=100s retry=10 | done\n"
    "repeat S4 A1 A2 5 first=2020/02/02 each=10s | done\n"
    "repeat S5 A1 A2 7 first=2020/02/02+20s each=10s pending | done\n"
    "\n"
    "cancel S4 | done\n"
    "cancel S4 | already_over\n"
    "cancel S9 | not_found\n"
    "cancel 0 | not_found\n"
    "cancel max | not_found\n"
    "\n"
    "schedule S4 next=0 state=cancelled occurrence=0 attempt=0 made=0 last=none\n"
    "at 2020/02/02\n"
    "fire | 3\n"
    "schedule S3 next=2020/02/02+10s+2 state=active attempt=1 last=F3.0.0:exceeds_credits\n"
    "cancel S2 | already_over\n"
    "cancel S3 | done\n"
    "\n"
    "schedule S3 next=0 state=cancelled occurrence=0 attempt=1 made=0 last=F3.0.0:exceeds_credits\n"
    "at 2020/02/02+20s\n"
    "fire | 2\n"
    "cancel S1 | done\n"
    "cancel S5 | done\n"
    "\n"
    "schedule S1 next=0 state=cancelled occurrence=2 attempt=0 made=2 last=F1.1.0:created\n"
    "at 2020/02/03\n"
    "fire | 0\n"
    /* What it made stays. */
    "post T1 F5.0.0 max | created\n"
    "\n"
    "balance A1 0 22 0 0\n"
    "cancel S1 | already_over\n"
    "cancel S2 | already_over\n"
    "cancel S3 | already_over\n"
    "cancel S5 | already_over\n"
    "\n"
    "missing F1.2.0 F3.0.0 F3.0.1 F4.0.0\n";

/* ---- When ------------------------------------------------------------------------------------ */

static const char seconds[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "at 2020/02/01\n"
    "repeat S1 A1 A2 5 first=2020/02/01+10s each=10s user_data_64=9 | done\n"
    "\n"
    "at 2020/02/01+10s-1\n"
    "fire | 0\n"
    "schedule S1 next=2020/02/01+10s state=active occurrence=0 attempt=0 made=0 last=none\n"
    "fire | 1\n"
    "schedule S1 next=2020/02/01+20s state=active occurrence=1 attempt=0 made=1 "
    "last=F1.0.0:created\n"
    "stored transfer F1.0.0 A1 A2 5 user_data_64=9\n"
    "missing F1.1.0 F1.0.1\n"
    "fire | 0\n"
    "at 2020/02/01+20s-2\n"
    "fire | 0\n"
    "at 2020/02/01+20s+7\n"
    "fire | 1\n"
    /* By the rule, however late it was. */
    "schedule S1 next=2020/02/01+30s occurrence=2 made=2 last=F1.1.0:created\n"
    "balance A1 0 10 0 0\n"
    "balance A2 0 0 0 10\n"
    "no_payment F1.0.0 F1.1.0\n";

/* S1 to S3: the ends of months. S4, S5: first on a day that is the last of February. S6: quarters. */
static const char months[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "repeat S1 A1 A2 1 first=2020/01/31+9h each=1M:31 | done\n"
    "repeat S2 A1 A2 1 first=2020/01/30 each=1M:30 | done\n"
    "repeat S3 A1 A2 1 first=2020/01/29+86399s+999999999 each=1M:29 | done\n"
    "repeat S4 A1 A2 1 first=2020/02/29 each=1M:31 | done\n"
    "repeat S5 A1 A2 1 first=2020/02/29 each=1M:30 | done\n"
    "repeat S6 A1 A2 1 first=2019/11/30+1 each=3M:30 | done\n"
    "\n"
    "at 2021/02/01\n"
    "fire | 6\n"
    "schedule S1 next=2020/02/29+9h\n"
    "schedule S2 next=2020/02/29\n"
    "schedule S3 next=2020/02/29+86399s+999999999\n"
    "schedule S4 next=2020/03/31\n"
    "schedule S5 next=2020/03/30\n"
    "schedule S6 next=2020/02/29+1\n"
    "fire | 6\n"
    "schedule S1 next=2020/03/31+9h\n"
    "schedule S2 next=2020/03/30\n"
    "schedule S3 next=2020/03/29+86399s+999999999\n"
    "schedule S4 next=2020/04/30\n"
    "schedule S5 next=2020/04/30\n"
    "schedule S6 next=2020/05/30+1\n"
    "fire | 6\n"
    "schedule S1 next=2020/04/30+9h\n"
    "schedule S2 next=2020/04/30\n"
    "schedule S3 next=2020/04/29+86399s+999999999\n"
    "schedule S4 next=2020/05/31\n"
    "schedule S5 next=2020/05/30\n"
    "schedule S6 next=2020/08/30+1\n"
    "fire | 6\n"
    "schedule S1 next=2020/05/31+9h\n"
    "schedule S2 next=2020/05/30\n"
    "schedule S3 next=2020/05/29+86399s+999999999\n"
    "schedule S4 next=2020/06/30\n"
    "schedule S5 next=2020/06/30\n"
    "schedule S6 next=2020/11/30+1\n"
    /* Thirteen of S1 to S3, twelve of S4 and S5, five of S6, and 24 so far. */
    "drain | 44\n"
    "schedule S1 next=2021/02/28+9h occurrence=13 made=13\n"
    "schedule S2 next=2021/02/28\n"
    "schedule S3 next=2021/02/28+86399s+999999999\n"
    "schedule S4 next=2021/02/28\n"
    "schedule S5 next=2021/02/28 made=12\n"
    "schedule S6 next=2021/02/28+1 made=5\n"
    "at 2021/03/01\n"
    "fire | 6\n"
    "schedule S1 next=2021/03/31+9h\n"
    "schedule S2 next=2021/03/30\n"
    "schedule S3 next=2021/03/29+86399s+999999999\n"
    "schedule S4 next=2021/03/31\n"
    "schedule S5 next=2021/03/30\n"
    "schedule S6 next=2021/05/30+1\n"
    /* 35 months, and eleven quarters. */
    "at 2024/02/01\n"
    "drain | 186\n"
    "schedule S1 next=2024/02/29+9h\n"
    "schedule S2 next=2024/02/29\n"
    "schedule S3 next=2024/02/29+86399s+999999999\n"
    "schedule S4 next=2024/02/29\n"
    "schedule S5 next=2024/02/29\n"
    "schedule S6 next=2024/02/29+1\n"
    "balance A1 0 260 0 0\n";

/* Years of 29 February, of the last of it, of centuries that are no leap years, and of December. */
static const char years[] = "account A1 | created\n"
                            "account A2 | created\n"
                            "\n"
                            "repeat S1 A1 A2 1 first=2020/02/29 each=1Y:29 | done\n"
                            "repeat S2 A1 A2 1 first=2096/02/29 each=4Y:29 | done\n"
                            "repeat S3 A1 A2 1 first=2000/02/29 each=100Y:29 | done\n"
                            "repeat S4 A1 A2 1 first=2021/02/28 each=1Y:31 | done\n"
                            "repeat S5 A1 A2 1 first=2020/12/31+23h each=2Y:31 | done\n"
                            "\n"
                            "at 2022/01/01\n"
                            "fire | 4\n"
                            "schedule S1 next=2021/02/28\n"
                            "schedule S2 next=2096/02/29 occurrence=0\n"
                            "schedule S3 next=2100/02/28\n"
                            "schedule S4 next=2022/02/28\n"
                            "schedule S5 next=2022/12/31+23h\n"
                            "fire | 1\n"
                            "schedule S1 next=2022/02/28\n"
                            "fire | 0\n"
                            "at 2024/02/28\n"
                            "drain | 5\n"
                            "schedule S1 next=2024/02/29\n"
                            "schedule S4 next=2024/02/29\n"
                            "at 2024/03/01\n"
                            "drain | 2\n"
                            "schedule S1 next=2025/02/28\n"
                            "schedule S4 next=2025/02/28\n"
                            "schedule S5 next=2024/12/31+23h\n"
                            "at 2101/01/01\n"
                            "drain | 194\n"
                            "schedule S1 next=2101/02/28\n"
                            "schedule S2 next=2104/02/29 made=2\n"
                            "schedule S3 next=2200/02/28 made=2\n"
                            "schedule S4 next=2101/02/28\n"
                            "schedule S5 next=2102/12/31+23h\n"
                            "at 2201/01/01\n"
                            "drain | 276\n"
                            "schedule S3 next=0 state=over made=3 occurrence=3\n";

static const char ends[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "repeat S1 A1 A2 1 first=2020/02/01 each=10s end=2020/02/01+20s | done\n"
    "repeat S2 A1 A2 1 first=2020/02/01 each=10s end=2020/02/01+20s-1 | done\n"
    "repeat S3 A1 A2 1 first=2020/02/01 each=10s occurrences=1 | done\n"
    "repeat S4 A1 A2 1 first=2020/02/01 each=10s occurrences=2 | done\n"
    "repeat S5 A1 A2 1 first=2020/02/01 each=10s end=2020/02/01 | done\n"
    "repeat S6 A1 A2 1 first=2020/02/01 each=10s end=2020/02/01+10s occurrences=5 | done\n"
    "repeat S7 A1 A2 1 first=2020/02/01 each=10s end=2020/02/01+100s occurrences=2 | done\n"
    "repeat S8 A1 A2 1 first=2019/12/31 each=1M:31 end=2020/02/29 | done\n"
    "repeat S9 A1 A2 1 first=2019/12/31 each=1M:31 end=2020/02/29-1 | done\n"
    "\n"
    "at 2021/02/02\n"
    "fire | 9\n"
    "schedule S1 next=2020/02/01+10s state=active occurrence=1\n"
    "schedule S2 next=2020/02/01+10s state=active occurrence=1\n"
    "schedule S3 next=0 state=over occurrence=1 attempt=0 made=1 last=F3.0.0:created\n"
    "schedule S4 next=2020/02/01+10s state=active occurrence=1\n"
    "schedule S5 next=0 state=over occurrence=1 attempt=0 made=1 last=F5.0.0:created\n"
    "schedule S6 next=2020/02/01+10s state=active\n"
    "schedule S7 next=2020/02/01+10s state=active\n"
    "fire | 7\n"
    "schedule S1 next=2020/02/01+20s state=active\n"
    "schedule S2 next=0 state=over occurrence=2 made=2\n"
    "schedule S4 next=0 state=over occurrence=2 made=2\n"
    "schedule S6 next=0 state=over occurrence=2 made=2\n"
    "schedule S7 next=0 state=over occurrence=2 made=2\n"
    "schedule S8 next=2020/02/29 state=active\n"
    "schedule S9 next=0 state=over made=2\n"
    "fire | 2\n"
    "schedule S1 next=0 state=over occurrence=3 attempt=0 made=3 last=F1.2.0:created\n"
    "schedule S8 next=0 state=over made=3\n"
    "fire | 0\n";

/* What lies behind the last timestamp never comes. S1: 136 years each. */
static const char far_future[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 debits_must_not_exceed_credits | created\n"
    "\n"
    "repeat S1 A1 A2 1 first=2020/02/01 each=4294967295s | done\n"
    "repeat S2 A1 A2 1 first=2020/02/01 each=4294967295M:1 | done\n"
    "repeat S3 A1 A2 1 first=2020/02/01 each=4294967295Y:1 | done\n"
    "repeat S4 A1 A2 1 first=2020/02/01 each=242Y:1 | done\n"
    "repeat S5 A1 A2 1 first=2020/04/12 each=242Y:12 | done\n"
    "repeat S6 A1 A2 1 first=2020/04/11+23h+2832s each=242Y:11 | done\n"
    "repeat S7 A1 A2 1 first=2020/04/11+23h+2837s each=242Y:11 | done\n"
    "repeat S8 A1 A2 1 first=0x7fffffffffffffff each=1s | done\n"
    "repeat S9 A3 A2 1 first=0x7fffffffffffffff each=1s retry=1 | done\n"
    "repeat S10 A3 A2 1 first=0x7fffffffffffffff-4s each=1s occurrences=2 retry=3:2 | done\n"
    "\n"
    "at 2020/05/01\n"
    "fire | 7\n"
    "schedule S1 next=2020/02/01+4294967295s state=active\n"
    "schedule S2 next=0 state=over made=1\n"
    "schedule S3 next=0 state=over made=1\n"
    "schedule S4 next=2262/02/01 state=active\n"
    "schedule S5 next=0 state=over made=1\n"
    "schedule S6 next=2262/04/11+23h+2832s state=active\n"
    "schedule S7 next=0 state=over made=1\n"
    "at 2157/01/01\n"
    "fire | 1\n"
    "schedule S1 next=0 state=over made=2\n"
    /* A retry that would come too late: the schedule is over, although another occurrence is due. */
    "at 0x7fffffffffffffff-3s-9\n"
    "fire | 3\n"
    "schedule S4 next=0 state=over made=2\n"
    "schedule S6 next=0 state=over made=2\n"
    "schedule S10 next=0x7fffffffffffffff-7 state=active attempt=1\n"
    "at 0x7fffffffffffffff-7\n"
    "fire | 1\n"
    "schedule S10 next=0 state=over made=0 last=F10.0.1:exceeds_credits\n"
    "at 0x7fffffffffffffff-1\n"
    "fire | 0\n"
    "fire 1 | 1\n"
    "schedule S8 next=0 state=over made=1\n"
    "schedule S9 next=0x7fffffffffffffff state=active made=0\n";

/* ---- Attempts -------------------------------------------------------------------------------- */

static const char retries[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 debits_must_not_exceed_credits | created\n"
    "\n"
    "at 2020/02/01\n"
    "repeat S1 A3 A2 5 first=2020/02/02 each=3600s retry=60:600 | done\n"
    "repeat S2 A3 A2 5 first=2020/02/02 each=3600s retry=60 end=2020/02/02 | done\n"
    "repeat S3 A3 A2 5 first=2020/02/02 each=3600s | done\n"
    "\n"
    /* From when it was tried, not from when it was due: the second one a nanosecond later. */
    "at 2020/02/02+5s\n"
    "fire | 3\n"
    "schedule S1 next=2020/02/02+65s state=active occurrence=0 attempt=1 made=0 "
    "last=F1.0.0:exceeds_credits\n"
    "schedule S2 next=2020/02/02+65s+1 state=active occurrence=0 attempt=1 made=0 "
    "last=F2.0.0:exceeds_credits\n"
    "schedule S3 next=2020/02/02+3600s state=active occurrence=1 attempt=0 made=0 "
    "last=F3.0.0:exceeds_credits\n"
    "at 2020/02/02+65s-1\n"
    "fire | 0\n"
    "fire | 1\n"
    "schedule S1 next=2020/02/02+665s attempt=2 occurrence=0 last=F1.0.1:exceeds_credits\n"
    "fire | 1\n"
    /* Of the last occurrence the last attempt. */
    "schedule S2 next=0 state=over occurrence=1 attempt=0 made=0 last=F2.0.1:exceeds_credits\n"
    "at 2020/02/02+665s\n"
    "fire | 1\n"
    "schedule S1 next=2020/02/02+3600s occurrence=1 attempt=0 made=0 "
    "last=F1.0.2:exceeds_credits\n"
    "missing F1.0.0 F1.0.1 F1.0.2 F2.0.0 F2.0.1 F3.0.0\n"
    "at 2020/02/02+3600s\n"
    "fire | 2\n"
    "schedule S1 next=2020/02/02+3660s attempt=1 occurrence=1 last=F1.1.0:exceeds_credits\n"
    "schedule S3 next=2020/02/02+7200s occurrence=2 last=F3.1.0:exceeds_credits\n"
    /* There is money now. */
    "transfer T1 A1 A3 5 | created\n"
    "\n"
    "at 2020/02/02+3660s\n"
    "fire | 1\n"
    "schedule S1 next=2020/02/02+7200s occurrence=2 attempt=0 made=1 last=F1.1.1:created\n"
    "stored transfer F1.1.1 A3 A2 5\n"
    "balance A3 0 5 0 5\n"
    /* Refused attempts have burnt no id. */
    "transfer F1.0.0 A1 A2 1 | created\n"
    "transfer F1.0.2 A1 A2 1 | created\n"
    "transfer F3.1.0 A1 A2 1 | created\n";

/* Retries that last longer than until the next occurrence, and beyond the end: it has its turn. */
static const char retries_late[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 debits_must_not_exceed_credits | created\n"
    "\n"
    "at 2020/02/01\n"
    "repeat S1 A3 A2 5 first=2020/02/02 each=10s end=2020/02/02+20s retry=1:25:1:1 | done\n"
    "\n"
    "at 2020/02/02\n"
    "fire | 1\n"
    "at 2020/02/02+1s\n"
    "fire | 1\n"
    "schedule S1 next=2020/02/02+26s occurrence=0 attempt=2\n"
    "at 2020/02/02+26s-1\n"
    "fire | 0\n"
    "fire | 1\n"
    "at 2020/02/02+27s\n"
    "fire | 1\n"
    "schedule S1 next=2020/02/02+28s occurrence=0 attempt=4\n"
    "transfer T1 A1 A3 10 | created\n"
    "\n"
    "at 2020/02/02+28s\n"
    "fire | 1\n"
    "schedule S1 next=2020/02/02+10s occurrence=1 attempt=0 made=1 last=F1.0.4:created\n"
    "fire | 1\n"
    "schedule S1 next=2020/02/02+20s occurrence=2 attempt=0 made=2 last=F1.1.0:created\n"
    "fire | 1\n"
    "schedule S1 next=2020/02/02+29s+4 occurrence=2 attempt=1 state=active\n"
    "at 2020/02/02+29s+4\n"
    "fire | 1\n"
    "schedule S1 next=2020/02/02+54s+4 occurrence=2 attempt=2 state=active\n";

/* Each rule that can refuse what was well when the schedule was created. */
static const char refused[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 debits_must_not_exceed_credits | created\n"
    "account A4 credits_must_not_exceed_debits | created\n"
    "account A5 | created\n"
    "account A6 | created\n"
    "account A7 | created\n"
    "account A8 | created\n"
    "account A9 | created\n"
    "account A10 | created\n"
    "account A11 | created\n"
    "account A12 | created\n"
    "\n"
    "transfer T1 A9 A10 max-4 | created\n"
    "\n"
    "at 2020/02/01\n"
    "repeat S1 A3 A2 5 first=2020/02/02 each=1Y:2 | done\n"
    "repeat S2 A1 A4 5 first=2020/02/02 each=1Y:2 | done\n"
    "repeat S3 A5 A2 5 first=2020/02/02 each=1Y:2 | done\n"
    "repeat S4 A1 A5 5 first=2020/02/02 each=1Y:2 | done\n"
    "repeat S5 A6 A2 5 first=2020/02/02 each=1Y:2 | done\n"
    "repeat S6 A1 A7 5 first=2020/02/02 each=1Y:2 | done\n"
    "repeat S7 A8 A2 5 first=2020/02/02 each=1Y:2 | done\n"
    "repeat S8 A9 A2 5 first=2020/02/02 each=1Y:2 | done\n"
    "repeat S9 A1 A10 5 first=2020/02/02 each=1Y:2 pending | done\n"
    "repeat S10 A11 A2 5 first=2020/02/02 each=1Y:2 | done\n"
    "repeat S11 A12 A2 5 first=2020/02/02 each=1Y:2 | done\n"
    "repeat S12 A1 A2 5 first=2020/02/02 each=1Y:2 | done\n"
    "repeat S13 A1 A2 5 first=2262/01/01 each=1Y:1 pending timeout=0xffffffff | done\n"
    "\n"
    "limits A6 block_debits | set\n"
    "limits A7 balance_max=4 | set\n"
    "limits A8 transfer_max=4 | set\n"
    "limits A11 v0=4:1d:calendar:debits:amount:reject | set\n"
    "limits A12 v0=4:1d:calendar:debits:amount:mark | set\n"
    "\n"
    "pending T2 A5 A2 1 closing_debit | created\n"
    "\n"
    "at 2020/02/02\n"
    "save\n"
    "fire | 12\n"
    "schedule S1 last=F1.0.0:exceeds_credits next=2021/02/02 occurrence=1 made=0\n"
    "schedule S2 last=F2.0.0:exceeds_debits next=2021/02/02 occurrence=1 made=0\n"
    "schedule S3 last=F3.0.0:debit_account_already_closed\n"
    "schedule S4 last=F4.0.0:credit_account_already_closed\n"
    "schedule S5 last=F5.0.0:account_blocked\n"
    "schedule S6 last=F6.0.0:exceeds_max_balance\n"
    "schedule S7 last=F7.0.0:exceeds_max_transfer\n"
    "schedule S8 last=F8.0.0:overflows_debits_posted\n"
    "schedule S9 last=F9.0.0:overflows_credits_posted\n"
    "schedule S10 last=F10.0.0:velocity_exceeded\n"
    "schedule S11 last=F11.0.0:created made=1\n"
    "schedule S12 last=F12.0.0:created made=1\n"
    "payment F11.0.0 5 0 0 over_velocity\n"
    "missing F1.0.0 F2.0.0 F3.0.0 F4.0.0 F5.0.0 F6.0.0 F7.0.0 F8.0.0 F9.0.0 F10.0.0\n"
    "balance A2 0 0 1 10\n"
    /* None of their ids is burnt. */
    "transfer F1.0.0 A1 A2 1 | created\n"
    "transfer F2.0.0 A1 A2 1 | created\n"
    "transfer F3.0.0 A1 A2 1 | created\n"
    "transfer F4.0.0 A1 A2 1 | created\n"
    "transfer F5.0.0 A1 A2 1 | created\n"
    "transfer F6.0.0 A1 A2 1 | created\n"
    "transfer F7.0.0 A1 A2 1 | created\n"
    "transfer F10.0.0 A1 A2 1 | created\n"
    /* What is well again is made at the next occurrence. */
    "void T3 T2 0 | created\n"
    "\n"
    "limits A6 | set\n"
    "\n"
    "at 2021/02/02\n"
    "fire | 12\n"
    "schedule S3 last=F3.1.0:created made=1 occurrence=2\n"
    "schedule S4 last=F4.1.0:created made=1\n"
    "schedule S5 last=F5.1.0:created made=1\n"
    "schedule S7 last=F7.1.0:exceeds_max_transfer made=0\n";

static const char refused_timeout[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "repeat S1 A1 A2 5 first=2262/01/01 each=1M:1 pending timeout=0xffffffff | done\n"
    "\n"
    "at 2262/01/01\n"
    "fire | 1\n"
    "schedule S1 last=F1.0.0:overflows_timeout made=0 occurrence=1 next=2262/02/01\n";

static const char held[] = "account A1 | created\n"
                           "account A2 | created\n"
                           "account A3 | created\n"
                           "\n"
                           "limits A1 v0=10:1d:calendar:debits:amount:hold | set\n"
                           "\n"
                           "at 2020/02/01\n"
                           "repeat S1 A1 A2 6 first=2020/02/01+1s each=1s | done\n"
                           "repeat S2 A1 A3 6 first=2020/02/01+5s each=1Y:1 no_limit | done\n"
                           "\n"
                           "at 2020/02/01+2s\n"
                           "fire | 1\n"
                           "fire | 1\n"
                           "schedule S1 made=2 last=F1.1.0:created next=2020/02/01+3s\n"
                           "stored transfer F1.0.0 A1 A2 6\n"
                           "stored pending F1.1.0 A1 A2 6\n"
                           "payment F1.1.0 6 0 6 over_velocity held\n"
                           "balance A1 6 6 0 0\n"
                           "post T1 F1.1.0 max | created\n"
                           "\n"
                           "cancel S1 | done\n"
                           "\n"
                           "at 2020/02/01+5s\n"
                           "fire | 1\n"
                           "stored transfer F2.0.0 A1 A3 6 no_limit\n"
                           "no_payment F2.0.0\n"
                           "balance A1 0 18 0 0\n";

static const char pending[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "at 2020/02/01\n"
    "repeat S1 A1 A2 5 first=2020/02/01+10s each=10s pending timeout=15 | done\n"
    "repeat S2 A1 A2 7 first=2020/02/01+10s each=1M:1 pending | done\n"
    "\n"
    "at 2020/02/01+10s\n"
    "fire | 2\n"
    "stored pending F1.0.0 A1 A2 5 timeout=15\n"
    "stored pending F2.0.0 A1 A2 7\n"
    "balance A1 12 0 0 0\n"
    "at 2020/02/01+20s\n"
    "fire | 1\n"
    "balance A1 17 0 0 0\n"
    "at 2020/02/01+25s-1\n"
    "expire | 0\n"
    "expire | 1\n"
    "balance A1 12 0 0 0\n"
    "post T1 F1.0.0 max | pending_transfer_expired\n"
    "post T2 F1.1.0 4 keep_open | created\n"
    "adjust T3 F2.0.0 1 | created\n"
    "\n"
    "balance A1 9 4 0 0\n"
    "at 2020/02/01+30s\n"
    "expire | 0\n"
    "fire | 1\n"
    "at 2020/02/01+35s\n"
    "fire | 0\n"
    "expire | 1\n"
    "balance A1 13 4 0 0\n";

static const char balancing[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "account A3 | created\n"
    "\n"
    "transfer T1 A2 A1 100 | created\n"
    "\n"
    "at 2020/02/01\n"
    "repeat S1 A1 A3 max first=2020/02/01+10s each=10s balancing_debit | done\n"
    "repeat S2 A1 A2 30 first=2020/02/01+5s each=10s balancing_debit pending timeout=7 | done\n"
    "\n"
    "at 2020/02/01+10s\n"
    "fire | 2\n"
    "stored pending F2.0.0 A1 A2 30 balancing_debit timeout=7\n"
    "stored transfer F1.0.0 A1 A3 70 balancing_debit\n"
    "schedule S1 made=1 last=F1.0.0:created\n"
    "at 2020/02/01+20s\n"
    "expire | 1\n"
    "fire | 2\n"
    "stored pending F2.1.0 A1 A2 30 balancing_debit timeout=7\n"
    "stored transfer F1.1.0 A1 A3 0 balancing_debit\n"
    "balance A1 30 70 0 100\n";

/* ---- Order, and making up for what was missed ----------------------------------------------- */

/* The one that is fired first gets the money. Of two at the same time it is the one that was created
 * first, whatever its id. */
static const char order[] = "account A1 | created\n"
                            "account A2 | created\n"
                            "account A3 debits_must_not_exceed_credits | created\n"
                            "\n"
                            "transfer T1 A1 A3 5 | created\n"
                            "\n"
                            "at 2020/02/01\n"
                            "repeat S9 A3 A2 5 first=2020/02/02 each=1Y:2 | done\n"
                            "repeat S1 A3 A2 5 first=2020/02/02 each=1Y:2 | done\n"
                            "repeat S5 A3 A2 5 first=2020/02/03+1 each=1Y:3 | done\n"
                            "repeat S4 A3 A2 5 first=2020/02/03 each=1Y:3 | done\n"
                            "\n"
                            "at 2020/02/02\n"
                            "fire | 2\n"
                            "schedule S9 last=F9.0.0:created\n"
                            "schedule S1 last=F1.0.0:exceeds_credits\n"
                            "transfer T2 A1 A3 5 | created\n"
                            "\n"
                            "at 2020/02/03+1\n"
                            "fire 0 | 0\n"
                            "fire 1 | 1\n"
                            "schedule S4 last=F4.0.0:created\n"
                            "schedule S5 last=none next=2020/02/03+1\n"
                            "fire 1 | 1\n"
                            "schedule S5 last=F5.0.0:exceeds_credits\n"
                            "fire | 0\n";

/* One by one, each at its turn, as many at a time as asked for. */
static const char catching_up[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "repeat S1 A1 A2 1 first=2020/02/01 each=86400s | done\n"
    "repeat S2 A1 A2 1 first=2020/02/02 each=86400s | done\n"
    "repeat S3 A1 A2 1 first=2020/02/03 each=86400s | done\n"
    "\n"
    "at 2020/02/04+1h\n"
    "fire 1 | 1\n"
    "schedule S1 next=2020/02/02\n"
    /* S1 again: it was created before S2, which is due at the same time. */
    "fire 1 | 1\n"
    "schedule S1 next=2020/02/03\n"
    "schedule S2 next=2020/02/02\n"
    "fire 1 | 1\n"
    "schedule S2 next=2020/02/03\n"
    /* Each once a call, though S1 is due again at once. */
    "fire 2 | 2\n"
    "schedule S1 next=2020/02/04\n"
    "schedule S2 next=2020/02/04\n"
    "schedule S3 next=2020/02/03\n"
    "fire 2 | 2\n"
    "schedule S1 next=2020/02/05\n"
    "schedule S2 next=2020/02/04\n"
    "schedule S3 next=2020/02/04\n"
    "fire | 2\n"
    "fire | 0\n"
    "schedule S1 next=2020/02/05 made=4\n"
    "schedule S2 next=2020/02/05 made=3\n"
    "schedule S3 next=2020/02/05 made=2\n"
    /* Two years, of which one is a leap year: 727 days more, the last of them 31 January 2022. */
    "at 2022/01/31+1h\n"
    "drain 2 | 2181\n"
    "schedule S1 next=2022/02/01 made=731\n"
    "schedule S2 next=2022/02/01 made=730\n"
    "schedule S3 next=2022/02/01 made=729\n"
    "balance A1 0 2190 0 0\n";

/* A schedule that begins in the past, years ago, is made up for from its first occurrence on. */
static const char past[] = "account A1 | created\n"
                           "account A2 | created\n"
                           "\n"
                           "at 2020/03/01\n"
                           "repeat S1 A1 A2 1 first=1970/01/31+1 each=1M:31 | done\n"
                           "repeat S2 A1 A2 1 first=1 each=86400s occurrences=3 | done\n"
                           "\n"
                           "schedule S1 next=1970/01/31+1\n"
                           "fire | 2\n"
                           "schedule S1 next=1970/02/28+1\n"
                           "schedule S2 next=1970/01/02+1\n"
                           "fire | 2\n"
                           "schedule S1 next=1970/03/31+1\n"
                           "fire 1 | 1\n"
                           "schedule S2 next=0 state=over made=3\n"
                           /* 50 years, January and February 2020; two were made. */
                           "drain | 600\n"
                           "schedule S1 next=2020/03/31+1 made=602\n";

/* Whoever has made a transfer under the id of an attempt, or burnt it, has hindered that one alone. */
static const char ids_taken[] =
    "account A1 | created\n"
    "account A2 | created\n"
    "\n"
    "at 2020/02/01\n"
    "transfer F1.0.0 A2 A1 1 | created\n"
    "transfer F1.1.0 A2 A9 1 | credit_account_not_found\n"
    "transfer F1.1.1 A1 A2 5 | created\n"
    "transfer F1.2.1 A1 A2 5 | created\n"
    "pending  F1.3.0 A1 A2 5 | created\n"
    "\n"
    "repeat S1 A1 A2 5 first=2020/02/02 each=10s occurrences=4 retry=1 | done\n"
    "\n"
    "at 2020/02/02\n"
    "fire | 1\n"
    "schedule S1 last=F1.0.0:exists_with_different_debit_account_id made=0 occurrence=0 attempt=1 "
    "next=2020/02/02+1s\n"
    "at 2020/02/02+1s\n"
    "fire | 1\n"
    "schedule S1 last=F1.0.1:created made=1 occurrence=1 attempt=0\n"
    "stored transfer F1.0.1 A1 A2 5\n"
    "stored transfer F1.0.0 A2 A1 1\n"
    "at 2020/02/02+10s\n"
    "fire | 1\n"
    "schedule S1 last=F1.1.0:id_already_failed made=1 attempt=1\n"
    "at 2020/02/02+11s\n"
    "fire | 1\n"
    /* It is as if the attempt had been sent again: nothing is made. */
    "schedule S1 last=F1.1.1:exists made=1 occurrence=2 attempt=0 next=2020/02/02+20s\n"
    "at 2020/02/02+20s\n"
    "fire | 1\n"
    "schedule S1 last=F1.2.0:created made=2 occurrence=3\n"
    "at 2020/02/02+30s\n"
    "fire | 1\n"
    "schedule S1 last=F1.3.0:exists_with_different_flags made=2 attempt=1\n"
    "at 2020/02/02+31s\n"
    "fire | 1\n"
    "schedule S1 last=F1.3.1:created made=3 state=over\n"
    /* And whoever comes later learns of what the ledger has made. */
    "transfer F1.1.0 A1 A2 5 | id_already_failed\n"
    "transfer F1.3.1 A1 A2 5 | exists\n"
    "transfer F1.2.0 A1 A2 6 | exists_with_different_amount\n"
    "\n"
    "balance A1 5 25 0 1\n";

/* No lease is asked for, whoever has one. */
static const char unfenced[] = "account A1 | created\n"
                               "account A2 | created\n"
                               "\n"
                               "repeat S1 A1 A2 5 first=2020/02/01 each=1s occurrences=2 | done\n"
                               "\n"
                               "at 2020/02/01\n"
                               "acquire K1 O1 1000 as=a | done\n"
                               "\n"
                               "fence K1 $a-1\n"
                               "transfer T1 A1 A2 5 | lease_not_held\n"
                               "fire | 1\n"
                               "stored transfer F1.0.0 A1 A2 5\n"
                               "fence none\n";

/* A transfer that the ledger made is one like any other. */
static const char returned[] = "account A1 | created\n"
                               "account A2 | created\n"
                               "\n"
                               "at 2020/02/01\n"
                               "repeat S1 A1 A2 5 first=2020/02/01 each=1s occurrences=2 | done\n"
                               "\n"
                               "fire | 1\n"
                               "return T1 F1.0.0 A2 A1 2 | created\n"
                               "return T2 F1.0.0 A2 A1 4 | exceeds_origin_amount\n"
                               "\n"
                               "payment F1.0.0 5 2 0\n"
                               "at 2020/02/03\n"
                               "transfer T3 A1 A2 1 imported timestamp=2020/02/01+1 | "
                               "imported_event_timestamp_must_not_regress\n"
                               "transfer T3 A1 A2 1 imported timestamp=2020/02/02 | created\n"
                               "\n"
                               "fire | 1\n"
                               "balance A1 0 11 0 2\n";

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
    X(broken_fields, answers_each_broken_field)                                                    \
    X(broken_rules, answers_each_broken_rule)                                                      \
    X(broken_transfers, answers_each_broken_transfer)                                              \
    X(bounds, takes_the_most_that_fields_may_say)                                                  \
    X(exists, exists_for_ever)                                                                     \
    X(cancelled, makes_nothing_once_it_is_cancelled)                                               \
    X(seconds, is_due_every_so_many_seconds)                                                       \
    X(months, is_due_on_the_last_day_of_shorter_months)                                            \
    X(years, is_due_on_the_last_day_of_february)                                                   \
    X(ends, ends_with_its_last_occurrence)                                                         \
    X(far_future, ends_with_the_last_timestamp)                                                    \
    X(retries, tries_again_when_refused)                                                           \
    X(retries_late, tries_again_beyond_the_next_occurrence)                                        \
    X(refused, obeys_every_rule_of_transfers)                                                      \
    X(refused_timeout, obeys_the_rule_of_timeouts)                                                 \
    X(held, is_held_by_velocity_limits)                                                            \
    X(pending, makes_holds_that_expire)                                                            \
    X(balancing, decides_amounts_when_it_is_fired)                                                 \
    X(order, fires_the_longest_due_first)                                                          \
    X(catching_up, makes_up_for_what_was_missed)                                                   \
    X(past, begins_in_the_past)                                                                    \
    X(ids_taken, is_refused_when_its_id_is_taken)                                                  \
    X(unfenced, asks_for_no_lease)                                                                 \
    X(returned, makes_transfers_like_any_others)

#define TABLE_TESTS(table, shows)                                                                  \
    Test(ledger_schedule, shows)                                                                   \
    {                                                                                              \
        fixture_script_alone(table, NULL);                                                         \
    }                                                                                              \
    Test(ledger_schedule_model, shows)                                                             \
    {                                                                                              \
        by_the_model(table, NULL);                                                                 \
    }
TABLES(TABLE_TESTS)
#undef TABLE_TESTS

#define TABLE(table, shows) table,
static const char *const tables[] = {TABLES(TABLE)};
#undef TABLE

#define CODE_IS_COVERED(name, code, text)                                                          \
    cr_assert(coverage.schedule[code] != 0, "no row answers %s", text);

Test(ledger_schedule_model, has_a_row_for_every_result)
{
    struct fixture_coverage coverage = {0};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        by_the_model(tables[i], &coverage);
    GIRO_SCHEDULE_RESULTS(CODE_IS_COVERED)
}

#undef CODE_IS_COVERED

/* Every table again, with no record in memory when a request begins. */
Test(ledger_schedule, answers_the_same_from_records_that_are_fetched)
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

static void precedence_check(bool model, const char *base, const char *in_order, uint32_t pairs_min)
{
    static const char state[] = "account A1 | created\n"
                                "account A2 | created\n"
                                "account A50 ledger=2 | created\n"
                                "\n"
                                "repeat S1 A1 A2 1 first=2020/02/01 each=10s | done\n";
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    if (model)
        fixture.model = calloc(1, sizeof *fixture.model);
    cr_assert(!model || fixture.model != NULL);
    fixture_script(&fixture, state, NULL);
    uint32_t pairs = fixture_precedence(&fixture, base, in_order);
    cr_assert(pairs > pairs_min, "only %u pairs", pairs);
    free(fixture.model);
    fixture_free(&fixture);
}

static void schedule_precedence(bool model)
{
    static const char in_order[] = "s_timestamp=1 | timestamp_must_be_zero\n"
                                   "timestamp=1 | timestamp_must_be_zero\n"
                                   "s_flags=1 | reserved_flag\n"
                                   "reserved=1 | reserved_field\n"
                                   "next=1 | reserved_field\n"
                                   "state=1 | reserved_field\n"
                                   "id=1 | reserved_field\n"
                                   "pending_id=1 | reserved_field\n"
                                   "s_id=0 | id_must_not_be_zero\n"
                                   "s_id=max | id_must_not_be_int_max\n"
                                   "s_id=S1 | exists_with_different_fields\n"
                                   "rule=0 | rule_unknown\n"
                                   "rule=4 | rule_unknown\n"
                                   "interval=0 | interval_must_not_be_zero\n"
                                   "s_first=0 | first_out_of_range\n"
                                   "s_first=0x8000000000000000 | first_out_of_range\n"
                                   "rule=1 day=1 | first_not_on_day\n"
                                   "rule=2 day=2 s_first=2020/02/01 | first_not_on_day\n"
                                   "rule=3 day=0 | first_not_on_day\n"
                                   "end=1 | end_before_first\n"
                                   "retries=1 | retries_out_of_range\n"
                                   "retries=5 | retries_out_of_range\n"
                                   "retry0=0 retry1=1 | retries_out_of_range\n"
                                   "fact | transfer_flags_not_allowed\n"
                                   "flags=0x4000 | transfer_flags_not_allowed\n"
                                   "debit=0 | transfer_fields\n"
                                   "credit=max | transfer_fields\n"
                                   "debit=A1 credit=A1 | transfer_fields\n"
                                   "timeout=1 | transfer_fields\n"
                                   "ledger=0 | transfer_fields\n"
                                   "code=0 | transfer_fields\n"
                                   "debit=A98 | debit_account_not_found\n"
                                   "credit=A97 | credit_account_not_found\n"
                                   "credit=A50 | accounts_must_have_the_same_ledger\n"
                                   "ledger=3 | accounts_must_have_the_same_ledger\n";
    precedence_check(model, "repeat 0 A1 A2 5 s_first=2020/02/01 each=10s", in_order, 450);
}

Test(ledger_schedule, answers_the_earlier_of_two_broken_rules)
{
    schedule_precedence(false);
}

Test(ledger_schedule_model, answers_the_earlier_of_two_broken_rules)
{
    schedule_precedence(true);
}

/* ---- Ids ------------------------------------------------------------------------------------- */

/* Bytes of the hash that other programs must come to as well: they were computed by another
 * implementation. */
Test(ledger_schedule_model, makes_ids_that_anybody_can_compute)
{
    const giro_u128 schedule = (giro_u128)0x0102030405060708 << 64 | 0x090a0b0c0d0e0f10;
    giro_u128 id = model_schedule_transfer_id(schedule, 0x11121314, 0x21222324);
    cr_assert((uint64_t)(id >> 64) == 0xed364ed391448280 && (uint64_t)id == 0xd1b070258f0f2395);
}

/* ---- Room ------------------------------------------------------------------------------------ */

/* Goes on in a ledger that has replayed the log of this one, and has more room. */
static void room_more(struct fixture *fixture)
{
    struct fixture next;
    uint32_t failed = 0;
    fixture_init(&next, NULL);
    memcpy(next.log, fixture->log, fixture->address_next * sizeof *fixture->log);
    memcpy(next.ledger->window.base, fixture->log, fixture->address_next * sizeof *fixture->log);
    for (uint64_t begin = 1, end; begin < fixture->address_next; begin = end + 1) {
        for (end = begin; fixture->log[end].transfer.timestamp != 0;)
            end++;
        int error = ledger_replay(next.ledger, &fixture->log[begin], (uint32_t)(end - begin), begin,
                                  &failed);
        cr_assert(error == 0, "address %lu: error %d", begin + failed, error);
    }
    next.address_next = fixture->address_next;
    next.clock_ns = fixture->clock_ns;
    fixture_free(fixture);
    *fixture = next;
}

static void room_check(const struct fixture_config *config, const char *before, const char *behind)
{
    struct fixture fixture;
    fixture_init(&fixture, config);
    fixture_script(&fixture, before, NULL);
    fixture_check_replay(&fixture, UINT32_MAX);
    room_more(&fixture);
    fixture_script(&fixture, behind, NULL);
    fixture_check_replay(&fixture, UINT32_MAX);
    fixture_free(&fixture);
}

/* While there is no room nothing fires; what was due stays due. */
Test(ledger_schedule, waits_for_room_for_holds)
{
    struct fixture_config config = {.holds_max = 2};
    static const char before[] =
        "account A1 | created\n"
        "account A2 | created\n"
        "\n"
        "repeat S1 A1 A2 5 first=2020/02/01 each=10s pending | done\n"
        "repeat S2 A1 A2 5 first=2020/02/02 each=10s | done\n"
        "\n"
        "at 2020/02/01+10s\n"
        "fire | 1\n"
        "fire | 1\n"
        "at 2020/02/02\n"
        "fire | 0\n"
        "fire | 0\n"
        "schedule S1 next=2020/02/01+20s occurrence=2 attempt=0 made=2 state=active\n"
        "schedule S2 next=2020/02/02 occurrence=0 attempt=0 made=0 state=active last=none\n"
        "post T1 F1.0.0 max | created\n"
        "\n"
        "fire 1 | 1\n"
        "schedule S1 made=3 next=2020/02/01+30s\n"
        "fire | 0\n"
        "schedule S2 made=0\n";
    static const char behind[] = "fire | 2\n"
                                 "schedule S1 made=4\n"
                                 "schedule S2 made=1 last=F2.0.0:created\n";
    room_check(&config, before, behind);
}

Test(ledger_schedule, waits_for_room_for_transfers)
{
    struct fixture_config config = {.transfers_max = 3};
    static const char before[] = "account A1 | created\n"
                                 "account A2 | created\n"
                                 "\n"
                                 "repeat S1 A1 A2 5 first=2020/02/01 each=10s | done\n"
                                 "repeat S2 A8 A2 5 first=2020/02/01 each=10s | "
                                 "debit_account_not_found\n"
                                 "repeat S3 A1 A2 5 first=2020/02/01+1 each=10s retry=1 | done\n"
                                 "\n"
                                 "transfer T1 A1 A2 5 | created\n"
                                 "transfer T2 A1 A2 5 | created\n"
                                 "\n"
                                 "at 2020/02/01\n"
                                 "fire | 1\n"
                                 "at 2020/02/02\n"
                                 "fire | 0\n"
                                 "fire | 0\n"
                                 "schedule S1 made=1 next=2020/02/01+10s\n"
                                 "schedule S3 made=0 last=none next=2020/02/01+1 attempt=0\n"
                                 /* Nothing else is kept from doing its work. */
                                 "acquire K1 O1 1 | done\n"
                                 "\n"
                                 "cancel S9 | not_found\n"
                                 "\n"
                                 "account A3 | created\n";
    static const char behind[] = "fire | 2\n"
                                 "schedule S1 made=2 last=F1.1.0:created\n"
                                 "schedule S3 made=1 last=F3.0.0:created\n";
    room_check(&config, before, behind);
}

Test(ledger_schedule, waits_for_room_for_payments)
{
    static const char begin[] = "account A1 | created\n"
                                "account A2 | created\n"
                                "\n"
                                "limits A1 v0=0:1d:calendar:debits:amount:mark | set\n"
                                "\n"
                                "repeat S1 A1 A2 5 first=2020/02/01 each=10s | done\n"
                                "\n";
    const struct fixture_config config = {.payments_max = 9};
    struct giro_transfer transfer = {.id = 1,
                                     .debit_account_id = 1,
                                     .credit_account_id = 2,
                                     .amount = 5,
                                     .ledger = 1,
                                     .code = 1};
    struct fixture fixture;
    fixture_init(&fixture, &config);
    fixture_script(&fixture, begin, NULL);
    for (; ledger_room_transfers(fixture.ledger, &transfer, 1) == LEDGER_ROOM; transfer.id++)
        cr_assert(fixture_create_transfers(&fixture, &transfer, 1)[0] == GIRO_TRANSFER_CREATED);
    cr_assert(ledger_room_transfers(fixture.ledger, &transfer, 1) == LEDGER_FULL_PAYMENTS);
    fixture_script(&fixture,
                   "at 2020/02/02\n"
                   "fire | 0\n"
                   "schedule S1 made=0 next=2020/02/01 last=none state=active\n",
                   NULL);
    room_more(&fixture);
    fixture_script(&fixture,
                   "fire | 1\n"
                   "schedule S1 made=1 last=F1.0.0:created\n"
                   "payment F1.0.0 5 0 0 over_velocity\n",
                   NULL);
    fixture_check_replay(&fixture, UINT32_MAX);
    fixture_free(&fixture);
}
