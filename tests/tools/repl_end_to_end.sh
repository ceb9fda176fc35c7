#!/bin/bash
# Scripts through giro repl, with the output that they must give. Timestamps and tokens are masked.
# Arguments: the giro program, the root of the source tree.
set -euo pipefail

giro=$(realpath -- "$1")
# shellcheck source=tests/tools/server.sh
. "$2/tests/tools/server.sh"

server_start
repl=("$giro" repl --connect "$address")

# same NAME: the output of the last expect is what standard input says.
same() {
    sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/TIME/g; s/token [0-9]+/token N/g
        s/ +$//' "$work/out" >"$work/got"
    cat >"$work/want"
    diff -u "$work/want" "$work/got" >&2 || fail "$1: the output differs"
}

cat >"$work/script" <<'SCRIPT'
# Two accounts and what happens between them.
create_accounts id=1 ledger=1 code=10 flags=history,
    id=2 ledger=1 code=10 flags=debits_must_not_exceed_credits;
create_transfers id=1 debit_account_id=1 credit_account_id=2 amount=123456 ledger=1 code=1;
create_transfers id=2 debit_account_id=2 credit_account_id=1 amount=1000 ledger=1 code=1
    flags=pending timeout=3600;
create_transfers id=3 pending_id=2 amount=400 flags=post_pending_transfer;
set scale 2; set thousands on;
lookup_accounts id=1, id=2, id=0x63;
lookup_transfers id=1, id=2, id=3
SCRIPT
expect 0 "${repl[@]}" <"$work/script"
same "a script" <<'WANT'
2 of 2 accounts created
1 of 1 transfers created
1 of 1 transfers created
1 of 1 transfers created
id  ledger  code  debits_posted  credits_posted  flags                           timestamp
 1       1    10       1,234.56            4.00  history                         TIME
 2       1    10           4.00        1,234.56  debits_must_not_exceed_credits  TIME
account 99 does not exist
id  debit_account_id  credit_account_id    amount  ledger  code  pending_id  timeout  flags                  timestamp
 1                 1                  2  1,234.56       1     1           0        0                         TIME
 2                 2                  1     10.00       1     1           0     3600  pending                TIME
 3                 2                  1      4.00       1     1           2        0  post_pending_transfer  TIME
WANT

# What became of payments. What only a hold can tell does not exist, and is no failure.
cat >"$work/script" <<'SCRIPT'
set scale 2;
create_transfers id=20 debit_account_id=1 credit_account_id=2 amount=10000 ledger=1 code=1
    flags=pending timeout=3600;
create_transfers id=21 pending_id=20 amount=500 flags=pending|adjust,
    id=22 pending_id=20 amount=4000 flags=post_pending_transfer|keep_open,
    id=23 pending_id=20 amount=1500 flags=void_pending_transfer|keep_open;
create_transfers id=24 debit_account_id=2 credit_account_id=1 amount=100 ledger=1 code=1
    pending_id=22 flags=return,
    id=25 debit_account_id=2 credit_account_id=1 amount=9900 ledger=1 code=1
        pending_id=22 flags=return|fact;
lookup_payments id=20, id=21, id=22, id=23, id=24, id=25, id=2, id=99;
changes ordinal=12 limit=1;
SCRIPT
expect 0 "${repl[@]}" <"$work/script"
same "payments" <<'WANT'
1 of 1 transfers created
3 of 3 transfers created
2 of 2 transfers created
id  state    amount  captured   left  returned  origin  depth  marks     deadline                        timestamp
20  pending  105.00     40.00  50.00         0       0      0            TIME  TIME
22  posted    40.00         0      0    100.00      20      0                                            TIME
24  posted     1.00         0      0         0      22      1                                            TIME
25  posted    99.00         0      0         0      22      1  over_cap                                  TIME
 2  posted    10.00         0  10.00         0       0      0                                            TIME
payment 21 does not exist
payment 23 does not exist
payment 99 does not exist
ordinal  change            id  debit_account_id  credit_account_id  amount  ledger  pending_id  marks     debit.debits_posted  debit.credits_posted  debit.credits_pending  credit.debits_posted  credit.credits_posted  credit.debits_pending  timestamp
     12  transfer_created  25                 2                  1   99.00       1          22  over_cap               104.00               1274.56                  50.00               1274.56                 104.00                  50.00  TIME
that is all: go on with ordinal=13 later
WANT

# Limits of accounts: set, shown, replaced, and what they refuse.
cat >"$work/script" <<'SCRIPT'
set scale 2;
create_accounts id=30 ledger=1 code=10 flags=debits_must_not_exceed_credits, id=31 ledger=1 code=10;
set_limits account_id=30 floor=50000 transfer_max=20000 balance_max=7,
    account_id=31 flags=block_debits|frozen over_capture=2000;
get_limits id=31, id=30, id=1, id=999;
changes ordinal=15;
set_limits account_id=31;
get_limits id=31;
SCRIPT
expect 0 "${repl[@]}" <"$work/script"
same "limits" <<'WANT'
2 of 2 accounts created
2 of 2 accounts have these limits now
account_id   floor  balance_max  transfer_max  over_capture  flags                timestamp
        31       0            0             0          2000  block_debits|frozen  TIME
        30  500.00         0.07        200.00             0                       TIME
account 1 has no limits
account 999 has no limits
ordinal  change      id  ledger  timestamp
     15  limits_set  30       0  TIME
     16  limits_set  31       0  TIME
that is all: go on with ordinal=17 later
1 of 1 accounts have these limits now
account_id  timestamp
        31  TIME
WANT
expect 1 "${repl[@]}" --command "set_limits account_id=31 floor=1, account_id=30, \
account_id=32, account_id=30 over_capture=100001"
same "limits that are refused" <<'WANT'
1 of 4 accounts have these limits now
  1. id 31: floor_needs_limit_flag
     A floor needs an account that was created with a limit flag: leave it 0.
  3. id 32: account_not_found
     The account does not exist: create it first.
  4. id 30: over_capture_out_of_range
     over_capture is more than 100,000 basis points, ten times the hold: lower it.
WANT
expect 1 "${repl[@]}" --continue --command "set_limits account_id=30 floor=500 transfer_max=400; \
create_transfers id=30 debit_account_id=30 credit_account_id=31 amount=401 ledger=1 code=1; \
create_transfers id=31 debit_account_id=30 credit_account_id=31 amount=400 ledger=1 code=1; \
create_transfers id=32 debit_account_id=30 credit_account_id=31 amount=101 ledger=1 code=1; \
help exceeds_max_transfer"
same "what limits refuse" <<'WANT'
1 of 1 accounts have these limits now
0 of 1 transfers created
  1. id 30: exceeds_max_transfer
     The amount exceeds the transfer_max of an account's limits: see get_limits. This id is spent.
1 of 1 transfers created
0 of 1 transfers created
  1. id 32: exceeds_credits
     The debit account's debits must not exceed its credits, and with this amount they would: not enough funds. Try again under a new id when there are; this id is spent.
Transfer result 137, exceeds_max_transfer: The amount exceeds the transfer_max of an account's limits: see get_limits. This id is spent.
WANT

# Velocity limits: amounts as those of the ledger, numbers of transfers as they are; the slot between
# them is not used. A rate of a count for a year does not refill while this runs.
cat >"$work/script" <<'SCRIPT'
set scale 2; set thousands on;
create_accounts id=40 ledger=1 code=10, id=41 ledger=1 code=10;
set_limits account_id=40 velocity=120000:65535d:calendar:debits:amount:hold velocity=none
    velocity=1000:365d:rate:debits:count:mark, account_id=41 transfer_max=200000;
get_limits id=40;
get_velocity id=40, id=41, id=1;
create_transfers id=40 debit_account_id=40 credit_account_id=41 amount=110000 ledger=1 code=1,
    id=41 debit_account_id=40 credit_account_id=41 amount=20000 ledger=1 code=1;
get_velocity id=40;
lookup_payments id=41;
changes ordinal=28;
SCRIPT
expect 0 "${repl[@]}" <"$work/script"
same "velocity limits" <<'WANT'
2 of 2 accounts created
2 of 2 accounts have these limits now
account_id  velocity                                     velocity  velocity                           timestamp
        40  1,200.00:65535d:calendar:debits:amount:hold  none      1,000:365d:rate:debits:count:mark  TIME
account 41 has no velocity limits
account_id  slot  velocity                            used   maximum  timestamp
        40     0  65535d:calendar:debits:amount:hold  0.00  1,200.00  TIME
        40     2  365d:rate:debits:count:mark            0     1,000  TIME
account 1 has no limits
2 of 2 transfers created
account_id  slot  velocity                                used   maximum  end                             timestamp
        40     0  65535d:calendar:debits:amount:hold  1,300.00  1,200.00  TIME  TIME
        40     2  365d:rate:debits:count:mark                2     1,000  TIME  TIME
id  state    amount    left  marks               timestamp
41  pending  200.00  200.00  over_velocity|held  TIME
ordinal  change            id  debit_account_id  credit_account_id  amount  ledger  marks               debit.debits_posted  debit.debits_pending  credit.credits_posted  credit.credits_pending  timestamp
     29  transfer_created  41                40                 41  200.00       1  over_velocity|held             1,100.00                200.00               1,100.00                  200.00  TIME
that is all: go on with ordinal=30 later
WANT
expect 1 "${repl[@]}" --command "set_limits account_id=40 velocity=1:0d:calendar:debits:count:off, \
account_id=40 velocity=none velocity=1:1mo:sliding:debits:count:off"
same "velocity limits that are refused" <<'WANT'
0 of 2 accounts have these limits now
  1. id 40: velocity_period_out_of_range
     A velocity limit has a period of 0, or of more than 1,200 months: give 1 or more, or none for a slot without a limit.
  2. id 40: velocity_window_unknown
     A velocity limit has a window or a unit that the server does not know, or months in a window that is not calendar: give days.
WANT
expect 0 "${repl[@]}" --command "help velocity_exceeded; help velocity_unused_must_be_zero"
has "Transfer result 132, velocity_exceeded: Too much, or too often,"
has "Limits result 13, velocity_unused_must_be_zero: "
expect 1 "${repl[@]}" --command "set_limits account_id=40 velocity=1:1d:calender:debits:count:off"
same "a word of a velocity limit" <<'WANT'
  set_limits account_id=40 velocity=1:1d:calender:debits:count:off
                                         ^
--command:1:40: unknown window "calender": did you mean calendar?
WANT

# Cut-offs: the epoch that was ended stays to be read until the next one ends.
cat >"$work/script" <<'SCRIPT'
set scale 2; set thousands on;
create_accounts id=50 ledger=5 code=10 flags=settles,
    id=51 ledger=5 code=10 flags=settles|history, id=52 ledger=6 code=10;
get_settlements id=51;
create_transfers id=50 debit_account_id=50 credit_account_id=51 amount=150000 ledger=5 code=1,
    id=51 debit_account_id=51 credit_account_id=50 amount=500 ledger=5 code=1,
    id=52 debit_account_id=50 credit_account_id=51 amount=7 ledger=5 code=1 flags=pending;
get_settlements id=51, id=52, id=50, id=999;
cut_off ledger=5 epoch=0, ledger=7 epoch=0;
create_transfers id=53 pending_id=52 amount=max flags=post_pending_transfer;
get_settlements id=50;
cut_off ledger=5 epoch=0;
changes ordinal=36;
SCRIPT
expect 0 "${repl[@]}" <"$work/script"
same "cut-offs" <<'WANT'
3 of 3 accounts created
account_id  ledger  epoch  debits  credits  count
        51       5      0    0.00     0.00      0
3 of 3 transfers created
account_id  ledger  epoch    debits   credits  count
        51       5      0      5.00  1,500.00      2
        50       5      0  1,500.00      5.00      2
account 52 does not settle
account 999 does not settle
2 of 2 epochs ended
1 of 1 transfers created
account_id  ledger  epoch  debits  credits  count  debits_before  credits_before  count_before  begin
        50       5      1    0.07     0.00      1       1,500.00            5.00             2  TIME
0 of 1 epochs ended
  1. ledger 5: epoch_is_over
     The epoch was ended before: nothing is left to do. get_settlements shows the present one.
ordinal  change          id  debit_account_id  credit_account_id  amount  ledger  pending_id  debit.debits_posted  debit.credits_posted  credit.debits_posted  credit.credits_posted  timestamp
     36  cut_off          0                 0                  0       0       5           0                    0                     0                     0                      0  TIME
     37  cut_off          0                 0                  0       0       7           0                    0                     0                     0                      0  TIME
     38  pending_posted  53                50                 51    0.07       5          52             1,500.07                  5.00                  5.00               1,500.07  TIME
that is all: go on with ordinal=39 later
WANT
expect 1 "${repl[@]}" --command "cut_off ledger=5 epoch=0, ledger=5 epoch=2, ledger=0 epoch=0"
same "cut-offs that are refused" <<'WANT'
0 of 3 epochs ended
  1. ledger 5: epoch_is_over
     The epoch was ended before: nothing is left to do. get_settlements shows the present one.
  2. ledger 5: epoch_has_not_begun
     The ledger is still in an earlier epoch: end that one first. get_settlements shows it.
  3. ledger 0: ledger_must_not_be_zero
     The ledger is 0: give the number of the ledger, 1 or more.
WANT
expect 0 "${repl[@]}" --command "help ledgers_full; help cut_off; help get_settlements"
has "Cut-off result 9, ledgers_full: 1,024 ledger numbers"

# Leases: what a fence lets through, and what it does not once there is another token.
cat >"$work/script" <<'SCRIPT'
create_accounts id=70 ledger=1 code=10, id=71 ledger=1 code=10;
lease action=acquire key=500 owner=7 timeout=1h, key=500 owner=8 action=acquire timeout=1h,
    key=0 owner=7 action=release;
set fence 500;
create_transfers id=70 debit_account_id=70 credit_account_id=71 amount=1 ledger=1 code=1;
lease action=acquire key=500 owner=7 timeout=1h;
create_transfers id=71 debit_account_id=70 credit_account_id=71 amount=1 ledger=1 code=1;
create_transfers id=70 debit_account_id=70 credit_account_id=71 amount=1 ledger=1 code=1;
set fence 500;
create_transfers id=71 debit_account_id=70 credit_account_id=71 amount=1 ledger=1 code=1;
lease action=renew key=500 owner=7 timeout=1ms;
wait 50ms;
create_transfers id=72 debit_account_id=70 credit_account_id=71 amount=1 ledger=1 code=1;
lease action=acquire key=500 owner=8 timeout=1h, key=500 owner=7 action=release;
lease action=release key=500 owner=8;
set fence off;
create_transfers id=72 debit_account_id=70 credit_account_id=71 amount=1 ledger=1 code=1;
get_leases key=501;
SCRIPT
expect 1 "${repl[@]}" --continue <"$work/script"
same "leases" <<'WANT'
2 of 2 accounts created
1 of 3 leases changed
  1. key 500: acquired by 7, token N, until TIME
  2. key 500: held_by_another
     Owner 7 has it until TIME. Wait for its release or its end, and acquire it then.
  3. key 0: key_must_not_be_zero
     There is no key: give the number of what is leased.
1 of 1 transfers created
1 of 1 leases changed
  1. key 500: acquired by 7, token N, until TIME
0 of 1 transfers created
  1. id 71: lease_not_held
     The lease that the request names is over, or somebody has acquired it since: see get_leases. Acquire it again before you go on; the id is not spent.
0 of 1 transfers created
  1. id 70: exists
     It was created before with the same fields: nothing is left to do.
1 of 1 transfers created
1 of 1 leases changed
  1. key 500: renewed by 7, token N, until TIME
0 of 1 transfers created
  1. id 72: lease_not_held
     The lease that the request names is over, or somebody has acquired it since: see get_leases. Acquire it again before you go on; the id is not spent.
1 of 2 leases changed
  1. key 500: acquired by 8, token N, until TIME
  2. key 500: not_held
     The lease is over, or is not this owner's under this token: acquire it.
1 of 1 leases changed
  1. key 500: released by 8
1 of 1 transfers created
lease 501 is nobody's
WANT
expect 0 "${repl[@]}" --command "lease action=acquire key=502 owner=9 timeout=1h; \
get_leases key=502, key=503"
has "key  owner  token  until"
has "502      9 "
has "lease 503 is nobody's"
expect 1 "${repl[@]}" --command "set fence 502"
has "--command:1:5: this session has not acquired a lease of this key: give its token, too"
expect 0 "${repl[@]}" --command "set fence 502 18; set"
has "fence 502 18"
expect 1 "${repl[@]}" --command "set fence"
has "set fence KEY TOKEN"
expect 1 "${repl[@]}" --command "wait 500"
has "write wait and a span of time"

# Schedules: what was missed is made up for at once, refused attempts are repeated, and nothing is
# due any more when it is shown.
cat >"$work/script" <<'SCRIPT'
set scale 2;
create_accounts id=60 ledger=1 code=10,
    id=61 ledger=1 code=10 flags=debits_must_not_exceed_credits;
create_transfers id=60 debit_account_id=60 credit_account_id=61 amount=250 ledger=1 code=1;
create_schedules id=60 first=2024-01-31 every=1mo occurrences=3 retry=90m,1d debit_account_id=61
    credit_account_id=60 amount=100 ledger=1 code=5,
    id=61 first=2024-02-29T12:00:00Z every=1y end=2025-12-31 debit_account_id=60
    credit_account_id=61 amount=1 ledger=1 code=6 flags=pending timeout=60,
    id=62 first=2024-01-31 every=1mo day=30 debit_account_id=60 credit_account_id=61 ledger=1
    code=1,
    id=63;
wait_schedules id=60, id=61, id=99;
cancel_schedules id=60, id=61, id=99;
get_schedules id=60;
SCRIPT
expect 1 "${repl[@]}" --continue <"$work/script"
same "schedules" <<'WANT'
2 of 2 accounts created
1 of 1 transfers created
2 of 4 schedules created
  3. id 62: first_not_on_day
     first is not on the day of the month that the schedule has, nor on the last one of a shorter month: leave day out to take that of first. Seconds, hours and days have none.
  4. id 63: rule_unknown
     There is no rule: give every=1mo, say, or every=7d.
id  state   first                           every  day  occurrences  end                             retry   next                            occurrence  attempt  made                                  last_id  last_result      debit_account_id  credit_account_id  amount  ledger  code  flags
60  active  TIME  1mo     31            3                                  90m,1d  TIME           2        1     2   26738442817390429365454837088496210523  exceeds_credits                61                 60    1.00       1     5
61  over    TIME  1y      29            0  TIME                                                   2        0     2  126153257349610479405133212475111074980  created                        60                 61    0.01       1     6  pending
schedule 99 does not exist
1 of 3 schedules cancelled
  2. id 61: already_over
     It is over, or was cancelled before: nothing is left to do.
  3. id 99: not_found
     No schedule has this id.
id  state      first                           every  day  occurrences  retry   occurrence  attempt  made                                 last_id  last_result      debit_account_id  credit_account_id  amount  ledger  code
60  cancelled  TIME  1mo     31            3  90m,1d           2        1     2  26738442817390429365454837088496210523  exceeds_credits                61                 60    1.00       1     5
WANT
ordinal=$("${repl[@]}" --command "changes limit=1000" | sed -n 's/^that is all: go on with ordinal=//p')
expect 0 "${repl[@]}" --command "create_schedules id=64 first=2024-01-01 every=7d occurrences=1 \
debit_account_id=60 credit_account_id=61 amount=7 ledger=1 code=8; wait_schedules id=64; \
cancel_schedules id=64; lease action=acquire key=5 owner=6 timeout=1h; \
changes ordinal=${ordinal% later}"
has "64  from 2024-01-01T00:00:00.000000000Z every 7d"
has "64  occurrence 0 attempt 0: created"
has " 5  acquired by 6, token "
has "transfer_created "

# What exists has not failed.
expect 0 "${repl[@]}" --command "create_accounts id=1 ledger=1 code=10 flags=history; help exists"
has "It was created before with the same fields"

# A script stops at the first statement that fails, unless it is told to go on.
printf 'create_accounts id=9 leger=1;\ncreate_accounts id=9 ledger=1 code=1;\n' >"$work/script"
expect 1 "${repl[@]}" <"$work/script"
same "a script with an error" <<'WANT'
  create_accounts id=9 leger=1;
                       ^
stdin:1:22: unknown field "leger": did you mean ledger?
WANT
expect 1 "${repl[@]}" --continue <"$work/script"
has 'did you mean ledger?'
has '1 of 1 accounts created'

# A refusal says why and what to do, and is a failure.
expect 1 "${repl[@]}" --command "create_transfers id=7 debit_account_id=2 credit_account_id=1 \
amount=9999999 ledger=1 code=1; stats"
same "a refusal" <<'WANT'
0 of 1 transfers created
  1. id 7: exceeds_credits
     The debit account's debits must not exceed its credits, and with this amount they would: not enough funds. Try again under a new id when there are; this id is spent.
WANT
expect 1 "${repl[@]}" --command "create_transfers id=7 debit_account_id=1 credit_account_id=2 \
amount=1 ledger=1 code=1"
has "id_already_failed"

# New ids are shown, and can be looked up.
expect 0 "${repl[@]}" --command "create_accounts id=new ledger=1 code=1"
has "new id "
id=$(sed -n 's/^new id //p' "$work/out")
expect 0 "${repl[@]}" --command "lookup_accounts id=$id"
has "$id"
lacks "does not exist"

# Without a server, and with wrong options.
expect 1 "$giro" repl --connect 127.0.0.1:1 --command stats
has "Is the server running?"
expect 2 "$giro" repl stats
expect 2 "$giro" repl --frobnicate
expect 0 "${repl[@]}" --command "set thousands off; set; help numbers; exit; nonsense"
lacks "nonsense"
expect 0 "${repl[@]}" </dev/null
expect 0 "$giro" repl --help

server_stop || fail "the server did not stop cleanly"
echo passed
