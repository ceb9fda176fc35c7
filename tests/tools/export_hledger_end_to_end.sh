#!/bin/bash
# giro export for hledger, and what hledger makes of it: all four balances of every account. Skipped
# where there is no hledger (tools/packages.sh installs it for tools/check).
# Arguments: the giro program, the root of the source tree.
set -euo pipefail

command -v hledger >/dev/null || {
    echo "there is no hledger here"
    exit 77
}
export LC_ALL=C.UTF-8 # which a program in Haskell wants
giro=$(realpath -- "$1")
# shellcheck source=tests/tools/server.sh
. "$2/tests/tools/server.sh"
books=(python3 "$(realpath -- "$2")/tests/tools/export_books.py")
cd -- "$work"

server_start
"${books[@]}" work "$address" 2 || fail "the history"
"${books[@]}" balances "$address" balances
expect 0 "$giro" export --format hledger --connect "$address" --output journal

# Every transaction balances, every assertion holds, every commodity is declared, and every balance is
# the server's.
expect 0 "${books[@]}" hledger journal balances
has "480 balances agree"
expect 0 hledger -f journal check commodities
[ "$(hledger -f journal stats | sed -n 's/^Transactions  *: \([0-9]*\) .*/\1/p')" = \
    "$(grep -c '^    ; ordinal:' journal)" ] || fail "hledger has not every transaction"

# What a manipulated journal gets: hledger refuses it, and where it is told to ignore the assertions,
# or it balances all the same, the balances differ from the server's.
for what in amount "one amount" account gone; do
    "${books[@]}" change journal "$what" changed
    expect 1 "${books[@]}" hledger changed balances
    has "hledger refuses"
    expect 1 "${books[@]}" hledger changed balances --ignore-assertions
done
has "and in hledger"

# A journal in two parts, put together; and one ledger alone.
expect 0 "$giro" export --format hledger --connect "$address" --to 2000 --output part
next=$(sed -n 's/.*--from //p' out)
expect 0 "$giro" export --format hledger --connect "$address" --from "$next" --output rest
cat part rest >both
expect 0 "${books[@]}" hledger both balances
expect 0 "$giro" export --format hledger --connect "$address" --ledger 7 --output seven
expect 0 hledger -f seven balance
expect 1 "${books[@]}" hledger seven balances
has "and in hledger 0"

# As a person would ask.
expect 0 hledger -f journal balance not:pending --depth 2 --no-total L978:
lacks "pending"
lacks ":debits"
expect 0 hledger -f journal print tag:kind=pending_expired
has "expiry"

server_stop || fail "the server did not stop cleanly"
echo "export for hledger: everything as it should be"
