#!/bin/bash
# Queries, changes and snapshots through giro repl, with the output that they must give. Timestamps
# are masked.
# Arguments: the giro program, the root of the source tree.
set -euo pipefail

giro=$(realpath -- "$1")
# shellcheck source=tests/tools/server.sh
. "$2/tests/tools/server.sh"

server_start
repl=("$giro" repl --connect "$address")

# same NAME: the output of the last expect is what standard input says.
same() {
    sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/TIME/g; s/(timestamp_m..)=[0-9]+/\1=TIME/
        s/ +$//' "$work/out" >"$work/got"
    cat >"$work/want"
    diff -u "$work/want" "$work/got" >&2 || fail "$1: the output differs"
}

cat >"$work/script" <<'SCRIPT'
create_accounts id=1 ledger=1 code=10 flags=history,
    id=2 ledger=1 code=20 user_data_64=7,
    id=3 ledger=2 code=10;
create_transfers id=11 debit_account_id=1 credit_account_id=2 amount=10000 ledger=1 code=1;
create_transfers id=12 debit_account_id=2 credit_account_id=1 amount=500 ledger=1 code=2
    flags=pending;
create_transfers id=13 pending_id=12 amount=200 flags=post_pending_transfer;
create_transfers id=14 debit_account_id=2 credit_account_id=1 amount=1 ledger=1 code=2 user_data_64=7,
    id=15 debit_account_id=2 credit_account_id=1 amount=300 ledger=1 code=3 flags=pending;
create_transfers id=16 pending_id=15 flags=void_pending_transfer;
create_transfers id=17 debit_account_id=1 credit_account_id=3 amount=1 ledger=1 code=1
SCRIPT
expect 1 "${repl[@]}" <"$work/script"
has "accounts_must_have_the_same_ledger"

expect 0 "${repl[@]}" --command "set scale 2; get_account_transfers account_id=1"
same "the transfers of an account" <<'WANT'
id  debit_account_id  credit_account_id  amount  ledger  code  pending_id  user_data_64  flags                  timestamp
11                 1                  2  100.00       1     1           0             0                         TIME
12                 2                  1    5.00       1     2           0             0  pending                TIME
13                 2                  1    2.00       1     2          12             0  post_pending_transfer  TIME
14                 2                  1    0.01       1     2           0             7                         TIME
15                 2                  1    3.00       1     3           0             0  pending                TIME
16                 2                  1    3.00       1     3          15             0  void_pending_transfer  TIME
WANT

expect 0 "${repl[@]}" --command \
    "get_account_transfers account_id=1 flags=credits|reversed limit=2 code=2"
same "one side, newest first, and there is more" <<'WANT'
id  debit_account_id  credit_account_id  amount  ledger  code  pending_id  user_data_64  flags                  timestamp
14                 2                  1       1       1     2           0             7                         TIME
13                 2                  1     200       1     2          12             0  post_pending_transfer  TIME
the limit is reached: go on with timestamp_max=TIME
WANT
next=$(sed -n 's/^the limit is reached: go on with //p' "$work/out")
expect 0 "${repl[@]}" --command \
    "get_account_transfers account_id=1 flags=credits|reversed limit=2 code=2 $next"
same "the next page" <<'WANT'
id  debit_account_id  credit_account_id  amount  ledger  code  flags    timestamp
12                 2                  1     500       1     2  pending  TIME
WANT

expect 0 "${repl[@]}" --command "set scale 1 2; get_account_balances account_id=1"
same "balances" <<'WANT'
debits_posted  credits_posted  credits_pending  timestamp
       100.00            0.00                0  TIME
       100.00            0.00             5.00  TIME
       100.00            2.00                0  TIME
       100.00            2.01                0  TIME
       100.00            2.01             3.00  TIME
       100.00            2.01                0  TIME
WANT
expect 0 "${repl[@]}" --command "get_account_balances account_id=1 flags=reversed limit=1"
same "the last balance" <<'WANT'
debits_posted  credits_posted  timestamp
        10000             201  TIME
the limit is reached: go on with timestamp_max=TIME
WANT

expect 0 "${repl[@]}" --command "query_accounts code=10; query_accounts user_data_64=7 ledger=1;
query_accounts ledger=9; query_transfers user_data_64=7; query_transfers flags=reversed limit=1;
get_account_transfers account_id=99; get_account_balances account_id=99;
query_transfers timestamp_max=2000-01-01; get_account_transfers account_id=3"
same "queries" <<'WANT'
id  ledger  code  debits_posted  credits_posted  flags    timestamp
 1       1    10          10000             201  history  TIME
 3       2    10              0               0           TIME
id  ledger  code  debits_posted  credits_posted  user_data_64  timestamp
 2       1    20            201           10000             7  TIME
nothing found
id  debit_account_id  credit_account_id  amount  ledger  code  user_data_64  timestamp
14                 2                  1       1       1     2             7  TIME
id  debit_account_id  credit_account_id  amount  ledger  code  pending_id  flags                  timestamp
16                 2                  1     300       1     3          15  void_pending_transfer  TIME
the limit is reached: go on with timestamp_max=TIME
nothing found
nothing found
nothing found
nothing found
WANT

# What cannot be answered says why, and is a failure.
refused() {
    expect 1 "${repl[@]}" --command "$1"
    has "$2"
}
refused "get_account_balances account_id=2" \
    "filter_no_history: the account was created without the flag history"
refused "query_transfers limit=8191" "filter_limit: limit must be from 1 to what one reply holds"
refused "query_accounts flags=2" "filter_flags: "
refused "get_account_transfers account_id=0" "filter_account_id: "
refused "query_accounts timestamp_min=max" "filter_timestamp_min: "
refused "query_accounts timestamp_max=0x8000000000000000" "filter_timestamp_max: "
refused "query_accounts timestamp_min=2 timestamp_max=1" "filter_timestamps: "
refused "changes limit=3855" "filter_limit: "
refused "changes wait_ms=60001" "filter_wait: "
refused "changes ordinal=1000000000" "filter_ordinal: "
expect 0 "${repl[@]}" --command "help filter_wait"
has "Status 32, filter_wait: wait_ms exceeds 60,000"

# Changes, with the balances that they led to.
expect 0 "${repl[@]}" --command "changes"
sed -E -i 's/^ +//; s/ordinal=[0-9]+/ordinal=N/; s/^[0-9]+  /N  /; s/ +/ /g' "$work/out"
same "changes" <<'WANT'
ordinal change id debit_account_id credit_account_id amount ledger pending_id debit.debits_posted debit.credits_posted debit.debits_pending credit.debits_posted credit.credits_posted credit.credits_pending timestamp
N account_created 1 0 0 0 1 0 0 0 0 0 0 0 TIME
N account_created 2 0 0 0 1 0 0 0 0 0 0 0 TIME
N account_created 3 0 0 0 2 0 0 0 0 0 0 0 TIME
N transfer_created 11 1 2 10000 1 0 10000 0 0 0 10000 0 TIME
N transfer_created 12 2 1 500 1 0 0 10000 500 10000 0 500 TIME
N pending_posted 13 2 1 200 1 12 200 10000 0 10000 200 0 TIME
N transfer_created 14 2 1 1 1 0 201 10000 0 10000 201 0 TIME
N transfer_created 15 2 1 300 1 0 201 10000 300 10000 201 300 TIME
N pending_voided 16 2 1 300 1 15 201 10000 0 10000 201 0 TIME
that is all: go on with ordinal=N later
WANT
expect 0 "${repl[@]}" --command "changes limit=4"
ordinal=$(sed -n 's/^go on with ordinal=//p' "$work/out")
expect 0 "${repl[@]}" --command "read_changes ordinal=$ordinal limit=1"
has "transfer_created  12"
expect 0 "${repl[@]}" --command "changes ordinal=$ordinal"
end=$(sed -n 's/^that is all: go on with ordinal=\([0-9]*\) later$/\1/p' "$work/out")
expect 0 "${repl[@]}" --command "changes ordinal=$end wait_ms=50"
has "that is all: "

# One who waits gets what comes.
"${repl[@]}" --command "changes ordinal=$end wait_ms=60000" >"$work/waited" 2>&1 &
waiter=$!
expect 0 "${repl[@]}" --command "create_transfers id=18 debit_account_id=1 credit_account_id=2 \
amount=5 ledger=1 code=1"
wait "$waiter" || fail "the waiting read failed"
grep -q "transfer_created  18 " "$work/waited" || fail "the waiting read missed transfer 18"

# A snapshot, and everything once more after it and after a restart.
expect 0 "${repl[@]}" --command "snapshot; stats"
has "snapshot of everything up to block "
has "snapshots since start"
ask="set scale 2; get_account_transfers account_id=1; get_account_balances account_id=1;
query_accounts; query_transfers; changes limit=9"
expect 0 "${repl[@]}" --command "$ask"
mv "$work/out" "$work/before"
server_stop || fail "the server did not stop cleanly"
: >"$work/server.log" # the one before said that it listens, too
"$giro" serve --data "$work/ledger" --listen "$address" --accounts-max 64k --transfers-max 1m \
    2>"$work/server.log" &
server_pid=$!
for ((tenths = 0; tenths < 300; tenths++)); do
    ! grep -q '^giro: listening on ' "$work/server.log" || break
    sleep 0.1
done
expect 0 "${repl[@]}" --command "$ask"
diff -u "$work/before" "$work/out" >&2 || fail "the restart changed the answers"

server_stop || fail "the server did not stop cleanly"
echo passed
