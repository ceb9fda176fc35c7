#!/bin/bash
# giro export as CSV and JSON lines: added up again record by record, in parts, from the log, cut short
# by everything that can stop it. What hledger says is in export_hledger_end_to_end.sh.
# Arguments: the giro program, the root of the source tree.
set -euo pipefail

giro=$(realpath -- "$1")
# shellcheck source=tests/tools/server.sh
. "$2/tests/tools/server.sh"
books=(python3 "$(realpath -- "$2")/tests/tools/export_books.py")
cd -- "$work"

# export_to FILE OPTION...: an export that succeeds; $next is where it says to go on.
export_to() {
    local file=$1
    shift
    "$giro" export "$@" >"$file" 2>message || {
        cat message >&2
        fail "giro export $*"
    }
    next=$(sed -n 's/.*--from \([0-9]*\)$/\1/p' message)
    [ -n "$next" ] || fail "it does not say where to go on"
}

# unfair FILE: the books have to notice what was changed in it.
unfair() {
    expect 1 "${books[@]}" "$1" "$2" balances
    has "export_books: "
}

server_start
from_server=(--connect "$address")

# An empty ledger is no error.
export_to empty --format csv "${from_server[@]}"
[ "$next" = 0 ] && [ "$(wc -l <empty)" = 1 ] || fail "the export of an empty ledger"

"${books[@]}" work "$address" 1 || fail "the history"
"${books[@]}" balances "$address" balances

# ---- everything, added up again
export_to all.csv --format csv "${from_server[@]}"
end=$next
"${books[@]}" csv all.csv balances || fail "CSV"
export_to all.jsonl --format jsonl "${from_server[@]}"
"${books[@]}" jsonl all.jsonl balances || fail "JSON lines"
export_to all.hledger --format hledger "${from_server[@]}"
for format in csv jsonl; do
    for what in amount gone; do
        "${books[@]}" change "all.$format" "$what" changed
        unfair "$format" changed
    done
done

# ---- parts are the whole, whoever makes them
middle=$((end / 2))
for format in csv jsonl hledger; do
    export_to part --format "$format" "${from_server[@]}" --to "$middle"
    [ "$next" = "$middle" ] || fail "$format goes on at $next"
    options=()
    [ "$format" != csv ] || options=(--no-header)
    export_to rest --format "$format" "${from_server[@]}" --from "$middle" "${options[@]}"
    [ "$next" = "$end" ] || fail "$format ends at $next"
    cat part rest | cmp - "all.$format" || fail "two parts of $format"
done
export_to rest --format csv "${from_server[@]}" --from "$end"
[ "$(wc -l <rest)" = 1 ] || fail "there is something behind the end"

# ---- one ledger, all ledgers
head -n 1 all.csv >ledgers
for ledger in 1 7 840 978 65536 4294967295; do
    export_to one --format csv "${from_server[@]}" --ledger "$ledger"
    sed 1d one >>ledgers
    export_to one --format jsonl "${from_server[@]}" --ledger "$ledger"
    ! grep -v "\"ledger\":$ledger," one || fail "another ledger than $ledger"
done
# Leases and schedules are of no ledger.
sed 1d ledgers | sort -t , -k 1,1n |
    cmp - <(sed 1d all.csv | awk -F , '$2 !~ /^(lease|schedule_)/') || fail "the ledgers are not the whole"

# ---- up to a time; imports are dated earlier than what was accepted before them
time=$(awk -F , 'NR > 1 { if ($3 "" < last "") { print $3; exit } last = $3 }' all.csv)
[ -n "$time" ] || fail "no import is older than an expiry before it"
export_to until --format csv "${from_server[@]}" --until "$time"
later=$("${books[@]}" late all.csv "$time")
[ $(($(wc -l <until) + later)) = "$(wc -l <all.csv)" ] || fail "--until leaves out something else"
[ "$("${books[@]}" late until "$time")" = 0 ] || fail "something is later than --until"
grep -q "; $later later than 20" message || fail "--until does not say what it leaves out"
grep -q "are written, and --from $next has them again" message || fail "--until is silent on imports"
export_to rest --format csv "${from_server[@]}" --from "$next" --no-header
sed 1d until | sort -t , -k 1,1n -u - rest | cmp - <(sed 1d all.csv) || fail "something is lost after --until"

# ---- what stops it
for output in /dev/full closed; do
    status=0
    if [ "$output" = closed ]; then
        { "$giro" export --format jsonl "${from_server[@]}" 2>message || echo $? >status; } |
            head -c 100 >/dev/null
        status=$(cat status)
        grep -q "closed it before the end" message || fail "a closed pipe is not told"
    else
        "$giro" export --format csv "${from_server[@]}" >"$output" 2>message || status=$?
        grep -q "No space left on device" message || fail "a full disk is not told"
    fi
    [ "$status" = 1 ] || fail "$output: exit status $status"
    grep -q "go on with --from [0-9]*, or begin again" message || fail "$output: go on where?"
done

# A file that finds no more room ends with a whole record, and the rest goes into another one.
for format in csv jsonl hledger; do
    rm -f small
    (
        trap '' XFSZ
        ulimit -f 1100
        expect "$([ "$(stat -c %s "all.$format")" -gt 1126400 ] && echo 1 || echo 0)" \
            "$giro" export --format "$format" "${from_server[@]}" --output small
    )
    if grep -q "stopped early" out; then
        has "small: cannot be written: File too large"
        next=$(sed -n 's/.*go on with --from \([0-9]*\)$/\1/p' out)
        [ "$next" -gt 0 ] || fail "nothing of $format was written"
        options=()
        [ "$format" != csv ] || options=(--no-header)
        export_to rest --format "$format" "${from_server[@]}" --from "$next" "${options[@]}"
        touch "full.$format"
    else
        : >rest
    fi
    cat small rest | cmp - "all.$format" || fail "$format in a file that was full"
done
[ -e full.jsonl ] || fail "no file was full: the history is too small"
expect 1 "$giro" export --format csv "${from_server[@]}" --output small
has "small: exists already"

# A server that fails in the middle, or sends what this version cannot know.
for what in status kind; do
    rm -f port
    "${books[@]}" fake port "$what" &
    server=$!
    for ((tenths = 0; tenths < 100; tenths++)); do
        [ ! -e port ] || break
        sleep 0.1
    done
    rm -f broken
    expect 1 "$giro" export --format csv --connect "$(cat port)" --output broken
    has "everything before ordinal 1 is written, nothing behind it; go on with --from 1"
    [ "$what" = status ] && has "GIRO_EINDEX" || has "is of a kind 99 that this version does not know"
    [ "$(wc -l <broken)" = 2 ] || fail "what came before the failure is not there"
    kill "$server" 2>/dev/null || true
    wait "$server" || true
done
expect 1 "$giro" export --format csv --connect 127.0.0.1:1 --output unmade
has "Is the server running?"
[ ! -e unmade ] || fail "an export that never began left a file"
for format in csv hledger; do
    expect 1 "$giro" export --format "$format" "${from_server[@]}" --from $((end + 1))
    has "is behind the end of this ledger"
done
expect 1 "$giro" export --format csv --data ledger
has "is in use by another giro process"
expect 2 "$giro" export
has "give --format"
expect 2 "$giro" export --format xml
expect 2 "$giro" export --format csv --data ledger --connect "$address"
expect 2 "$giro" export --format csv --from 5 --to 4
expect 2 "$giro" export --format jsonl --no-header
expect 2 "$giro" export --format csv --until yesterday
expect 2 "$giro" export --format csv file
expect 0 "$giro" export --help

# ---- the log says the same, byte by byte
server_stop || fail "the server did not stop cleanly"
for format in csv jsonl hledger; do
    export_to log --format "$format" --data ledger
    cmp log "all.$format" || fail "the log gives another $format"
    export_to log --format "$format" --data ledger --from "$middle" --to $((middle + 500))
    export_to part --format "$format" --data ledger --from $((middle + 500))
    cmp <(cat log part | tail -c 100000) <(tail -c 100000 "all.$format") || fail "parts of the log"
done
expect 1 "$giro" export --format csv --data ledger --from 1000000000
has "is behind the end of this ledger"

# Damage: what comes before it, the place, and a failure.
"$giro" recover --data ledger --dump >dump
read -r offset ordinal < <(sed -n \
    's/^block [0-9]* records .* offset \([0-9]*\) .* records [1-9][0-9]* ordinal \([0-9]*\) .*/\1 \2/p' \
    dump | awk -v from="$middle" '$2 > from { print; exit }')
printf '\xff\xff\xff\xff' |
    dd of=ledger/shard-0/0000000000.log bs=1 seek=$((offset + 140)) conv=notrunc status=none
status=0
"$giro" export --format csv --data ledger >damaged 2>message || status=$?
[ "$status" = 1 ] || fail "exit status $status for a damaged log"
grep -q "acknowledged data is damaged" message || fail "the damage is not told"
grep -q "everything before ordinal $ordinal is written.* --from $ordinal$" message ||
    fail "the ordinal of the damage is not told"
cmp damaged <(awk -F , -v end="$ordinal" 'NR == 1 || $1 < end' all.csv) || fail "not all before it"
echo "export: everything as it should be"
