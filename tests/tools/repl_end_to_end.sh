#!/bin/bash
# Scripts through giro repl, with the output that they must give. Timestamps are masked.
# Arguments: the giro program, the root of the source tree.
set -euo pipefail

giro=$(realpath -- "$1")
# shellcheck source=tests/tools/server.sh
. "$2/tests/tools/server.sh"

server_start
repl=("$giro" repl --connect "$address")

# same NAME: the output of the last expect is what standard input says.
same() {
    sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/TIME/g; s/ +$//' "$work/out" >"$work/got"
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
