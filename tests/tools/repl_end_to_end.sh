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
