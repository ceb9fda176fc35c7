#!/bin/bash
# giro verify and giro recover on a real ledger: sound, stopped at a point, damaged, cut, without meta.
# Arguments: the giro program, the root of the source tree.
set -euo pipefail

giro=$(realpath -- "$1")
# shellcheck source=tests/tools/server.sh
. "$2/tests/tools/server.sh"

log=$work/ledger/shard-0/0000000000.log

# flip FILE OFFSET: inverts one byte.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    printf "\\x$(printf %02x $((byte ^ 255)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# ---- a ledger with three transfers, one a block, and a clean end
server_start
repl=("$giro" repl --connect "$address" --command)
expect 0 "${repl[@]}" "create_accounts id=1 ledger=1 code=1, id=2 ledger=1 code=1;"
for id in 1 2 3; do
    expect 0 "${repl[@]}" "create_transfers id=$id debit_account_id=1 credit_account_id=2 amount=10$id ledger=1 code=1;"
done
expect 1 "$giro" verify --data "$work/ledger"
has "is in use by another giro process"
server_stop

expect 0 "$giro" verify --data "$work/ledger"
has "2 accounts, 3 transfers"
has "verdict    SOUND"
head=$(sed -n 's/^head *//p' "$work/out")
cp -r "$work/ledger" "$work/kept"

expect 0 "$giro" recover --data "$work/ledger" --dump --records
has "id=3 debit=1 credit=2 amount=103"
has " stop segment 0"
grep " records " "$work/out" | grep -v "records 0 " >"$work/blocks"
lsn=$(sed -n '3s/^block \([0-9]*\) .*/\1/p' "$work/blocks")  # of transfer 2
offset=$(sed -n '3s/.* offset \([0-9]*\) .*/\1/p' "$work/blocks")

# ---- rebuilding, whole and up to a block
expect 0 "$giro" recover --data "$work/ledger" --to "$work/whole"
expect 0 "$giro" verify --data "$work/whole"
has "$head"
expect 0 "$giro" recover --data "$work/ledger" --to "$work/part" --until-lsn "$lsn"
expect 0 "$giro" verify --data "$work/part"
has "2 accounts, 2 transfers"
has "203"
expect 0 "$giro" recover --data "$work/ledger" --until-time 2000-01-01T00:00:00Z
has "0 accounts, 0 transfers"
expect 1 "$giro" recover --data "$work/ledger" --to "$work/whole"
has "is not empty"
expect 2 "$giro" recover --data "$work/ledger" --cut-torn --until-lsn 3
expect 2 "$giro" recover --data "$work/ledger" --until-time yesterday

# ---- damage in acknowledged data: everybody refuses, nobody changes a byte
flip "$log" $((offset + 130))
sum=$(sha256sum <"$log")
expect 1 "$giro" verify --data "$work/ledger"
has "verdict    NOT SOUND"
expect 1 "$giro" serve --data "$work/ledger" --listen 127.0.0.1:0 --accounts-max 64k
has "acknowledged data is damaged"
expect 1 "$giro" recover --data "$work/ledger"
expect 1 "$giro" recover --data "$work/ledger" --cut-torn
[ "$sum" = "$(sha256sum <"$log")" ] || fail "a refusal changed the log"
expect 0 "$giro" recover --data "$work/ledger" --to "$work/rescued"
expect 0 "$giro" verify --data "$work/rescued"
has "2 accounts, 1 transfers"

# ---- cut only when told so, and what is cut is kept
expect 0 "$giro" recover --data "$work/ledger" --cut-damaged
has "is lost"
cmp -s "$work/ledger/cut-$lsn-0000000000.bin" <(tail -c +$((offset + 1)) "$work/kept/shard-0/0000000000.log") &&
    fail "the flipped byte was not kept as it was"
[ "$(stat -c %s "$work/ledger/cut-$lsn-0000000000.bin")" = "$(($(stat -c %s "$log") - offset))" ] ||
    fail "not everything that was cut is kept"
expect 0 "$giro" verify --data "$work/ledger"
has "2 accounts, 1 transfers"

# ---- giro.meta from the log
cp -r "$work/kept" "$work/nameless"
flip "$work/nameless/giro.meta" 20
expect 1 "$giro" verify --data "$work/nameless"
has "--rebuild-meta"
expect 0 "$giro" recover --data "$work/nameless" --rebuild-meta
expect 0 "$giro" verify --data "$work/nameless"
has "$head"
echo "recover: everything as it should be"
