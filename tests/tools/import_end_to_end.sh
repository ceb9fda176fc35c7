#!/bin/bash
# The Berka bank through a server: imported once, imported twice, proven, and tampered with.
# Arguments: the giro program, the root of the source tree.
set -euo pipefail

giro=$(realpath -- "$1")
berka=$(realpath -- "$2")/tools/data/berka
# shellcheck source=tests/tools/server.sh
. "$2/tests/tools/server.sh"

server_start
gzip -dc "$berka/account.asc.gz" >"$work/account.asc"
gzip -dc "$berka/trans.asc.gz" >"$work/trans.asc"
cd -- "$work"
import=("$giro" import --connect "$address" --mapping)
proof=("$giro" proof --connect "$address" --mapping "$berka/transfers.ini")

# Before the accounts are there, nothing may be sent: the ids would be spent.
expect 1 "${import[@]}" "$berka/transfers.ini" trans.asc
has "1229 accounts are missing and nothing was sent"
expect 1 "${proof[@]}" trans.asc
has "NOT PROVEN"

expect 0 "${import[@]}" "$berka/accounts.ini" account.asc
has "4,500 created, 0 already there, 0 refused"
awk -f "$berka/overdrafts.awk" trans.asc >overdrafts.giro
expect 0 "$giro" repl --connect "$address" <overdrafts.giro
has "39 of 39 accounts have these limits now"
expect 0 "${import[@]}" "$berka/transfers.ini" trans.asc
has "12 created, 1,229 already there, 0 refused"
has "49,102 created, 0 already there, 0 refused"

# A second time changes nothing.
"$giro" repl --connect "$address" --command 'lookup_accounts id=2:576, id=3:11, id=3:33;' >before
expect 0 "${import[@]}" "$berka/accounts.ini" account.asc
has "0 created, 4,500 already there, 0 refused"
expect 0 "${import[@]}" "$berka/transfers.ini" trans.asc
has "0 created, 1,241 already there, 0 refused"
has "0 created, 49,102 already there, 0 refused"
"$giro" repl --connect "$address" --command 'lookup_accounts id=2:576, id=3:11, id=3:33;' >after
cmp before after || fail "the second import changed balances"

expect 0 "${proof[@]}" trans.asc
has "39,930 of 39,960 account-days agree with the bank"
has "PROVEN"

# One amount of another size: the transfer differs. One balance: its day differs as well.
awk -F';' -v OFS=';' 'NR == 1000 { $6 = $6 + 1 ".00" } { print }' trans.asc >amount.asc
expect 1 "${proof[@]}" amount.asc
has "amount.asc:1000: transfer 1:"
has "NOT PROVEN: the ledger does not hold what the files say"
awk -F';' -v OFS=';' 'NR == 1000 { $7 = $7 + 1 ".00" } { print }' trans.asc >balance.asc
expect 1 "${proof[@]}" balance.asc
has "NOT PROVEN: more account-days differ"

# A tampered file cannot be imported over what is there.
expect 1 "${import[@]}" "$berka/transfers.ini" amount.asc
has "0 created, 49,101 already there, 1 refused"
has "exists_with_different_amount, first amount.asc:1000"

# A row that is missing in the file is a balance that the files do not explain.
sed 1000d trans.asc >fewer.asc
expect 1 "${proof[@]}" fewer.asc
has "the ledger has debits"

# A bad row: nothing is sent, and a dry run needs no server.
printf '9999999;1;940401;"PRIJEM";"VKLAD";1.00;1.00;"";;\n9999998;1;940401;"X";"";x;;;;\n' |
    cat trans.asc - >bad.asc
expect 1 "${import[@]}" "$berka/transfers.ini" bad.asc
has "bad.asc:49105:"
has "nothing was sent"
expect 0 "$giro" repl --connect "$address" --command 'lookup_transfers id=1:9999999;'
has "transfer 1:9999999 does not exist"
expect 0 "$giro" import --dry-run --mapping "$berka/transfers.ini" trans.asc
has "1,241 accounts and 49,102 transfers are good; nothing was sent"

# The public copy, which ends in the middle of a row, gives the same transfers.
{
    cat trans.asc
    printf '3526882;11021;940331;"PRIJE'
} >cut.asc
expect 0 "${import[@]}" "$berka/transfers.ini" cut.asc
has "cut.asc:49104: the file ends in the middle of this row; left out"
has "0 created, 49,102 already there, 0 refused"

# Wrong options.
expect 2 "$giro" import
expect 2 "$giro" import --mapping "$berka/transfers.ini"
expect 2 "$giro" proof --frobnicate
expect 1 "$giro" import --mapping none.ini trans.asc
has "none.ini: cannot open the mapping file"
expect 1 "$giro" import --connect 127.0.0.1:1 --mapping "$berka/transfers.ini" trans.asc
has "Is the server running?"

cd /
server_stop || fail "the server did not stop cleanly"
expect 0 "$giro" verify --data "$work/ledger"

# Accounts do not go below zero, and each overdraft is as large as it has to be: with a haler less,
# one row of each of these accounts is refused, and nothing else.
rm -rf -- "$work/ledger"
server_start
cd -- "$work"
awk -F'floor=' 'NF == 2 { $0 = $1 FS ($2 - 1) substr($0, length) } { print }' \
    overdrafts.giro >less.giro
import=("$giro" import --connect "$address" --mapping)
expect 0 "${import[@]}" "$berka/accounts.ini" account.asc
expect 0 "$giro" repl --connect "$address" <less.giro
has "39 of 39 accounts have these limits now"
expect 1 "${import[@]}" "$berka/transfers.ini" trans.asc
has "49,063 created, 0 already there, 39 refused"
has "39 exceeds_credits"
echo passed
