#!/bin/bash
# giro backup, restore, snapshot, recover --rebuild-index and the cuts, verify of what was derived.
# Arguments: the giro program, the root of the source tree.
set -euo pipefail

giro=$(realpath -- "$1")
# shellcheck source=tests/tools/server.sh
. "$2/tests/tools/server.sh"

cd "$work"
load_pid=

# serve DIR: starts a server on a directory; $address. Its messages are in server.log.
serve() {
    local tenths
    : >server.log
    "$giro" serve --data "$1" --listen 127.0.0.1:0 --accounts-max 64k --transfers-max 2m \
        --window-bytes 16m --follower-lag-max 12m 2>server.log &
    server_pid=$!
    for ((tenths = 0; tenths < 300; tenths++)); do
        address=$(sed -n 's/^giro: listening on //p' server.log)
        [ -z "$address" ] || return 0
        kill -0 "$server_pid" || break
        sleep 0.1
    done
    cat server.log >&2
    fail "the server does not listen"
}

# load TRANSFERS: sends so many.
load() {
    "$giro" bench --connect "$address" --data "$work" --accounts 100 --transfers "$1" --batch 500 \
        --connections 2 --warmup 0 >load.log 2>&1 || {
        cat load.log >&2
        fail "the load failed"
    }
}

# flip FILE OFFSET: inverts one byte.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    printf "\\x$(printf %02x $((byte ^ 255)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# digest_at DIR LSN: the ledger's digest after a block of a directory that no server has open.
digest_at() {
    "$giro" recover --data "$1" --until-lsn "$2" | sed -n 's/.* digest //p'
}

# value NAME: what the last expect printed for it.
value() {
    sed -n "s/^$1  *//p" out
}

# lsn_of FILE: the last block of a backup.
lsn_of() {
    sed -n 's/^lsn //p' "$1/backup.manifest"
}

# same_history DIR1 DIR2 LSN: block by block, record by record.
same_history() {
    "$giro" recover --data "$1" --dump --records --until-lsn "$3" | grep -E "^(block|    )" >history.1
    "$giro" recover --data "$2" --dump --records --until-lsn "$3" | grep -E "^(block|    )" >history.2
    cmp history.1 history.2 || fail "$1 and $2 differ up to block $3"
    [ "$(grep -c ^block history.1)" = "$3" ] || fail "$1 has not all blocks up to $3"
}

"$giro" format --data ledger --segment-bytes 4m --segments-ahead 2 >/dev/null
serve ledger

# ---- nothing to start from
expect 1 "$giro" backup --data ledger --to backup
has "no snapshot yet"
has "giro snapshot"
mkdir stranger
: >stranger/file
expect 0 "$giro" snapshot --connect "$address"
has "snapshot of everything up to block "
expect 1 "$giro" backup --data ledger --to stranger
has "neither empty nor a backup"
expect 1 "$giro" backup --data ledger --to ledger
has "neither empty nor a backup"
expect 1 "$giro" backup --data nowhere --to backup
expect 1 "$giro" restore --from nowhere --data restored
expect 2 "$giro" backup --data ledger
expect 2 "$giro" restore --from backup
expect 1 "$giro" snapshot --connect 127.0.0.1:1

# ---- a backup of a running server under load
expect 0 "$giro" repl --connect "$address" --command \
    "create_accounts id=1000001 ledger=7 code=1, id=1000002 ledger=7 code=1;
     create_transfers id=71 debit_account_id=1000001 credit_account_id=1000002 amount=5 ledger=7 code=1;"
load 100k
load 200k &
load_pid=$!
expect 0 "$giro" backup --data ledger --to backup --connect "$address"
has "files of"
wait "$load_pid"
first=$(lsn_of backup)
cp -r backup backup.first

# ---- the second one copies only what is new, and the old snapshot goes
load 100k
expect 0 "$giro" repl --connect "$address" --command \
    "create_transfers id=72 debit_account_id=1000001 credit_account_id=1000002 amount=7 ledger=7 code=1;"
touch stamp
expect 0 "$giro" backup --data ledger --to backup --connect "$address" --verify --bytes-per-s 500m
second=$(lsn_of backup)
[ "$second" -gt "$first" ] || fail "the second backup does not reach further"
for file in $(cd backup.first/shard-0 && ls -- *.log *.idx); do
    [ ! "backup/shard-0/$file" -nt stamp ] || fail "$file was copied again"
done
[ "$(find backup/shard-0 -name 'snapshot-*' | wc -l)" = 1 ] || fail "the old snapshot is still there"
expect 0 "$giro" backup --data ledger --to backup
has ": 0 files of 0 bytes copied"

# ---- a copy that cannot be written leaves the old one as it was
cp -r backup backup.before
load 100k
expect 0 "$giro" snapshot --connect "$address"
(
    trap '' XFSZ
    ulimit -f 2000
    expect 1 "$giro" backup --data ledger --to backup
)
has "cannot be written"
has "the backup that was there is as it was"
diff -r backup.before backup >&2 || fail "the failed backup left something behind"

# ---- a damaged source: the old backup is as it was
segment=$(sed -n 's/^segment //p' backup/backup.manifest)
damaged=$(printf 'ledger/shard-0/%010d' "$segment")
for extension in log idx; do
    flip "$damaged.$extension" 5000
    expect 1 "$giro" backup --data ledger --to backup
    has "$damaged.$extension"
    has "damaged"
    flip "$damaged.$extension" 5000
done
mv "$damaged.idx" kept.idx
expect 1 "$giro" backup --data ledger --to backup
has "$damaged.idx: missing"
mv kept.idx "$damaged.idx"
cp "$damaged.log" kept.log
truncate -s 1m "$damaged.log"
expect 1 "$giro" backup --data ledger --to backup
has "$damaged.log: has 1048576 bytes"
cp kept.log "$damaged.log"
snapshot=$(echo ledger/shard-0/snapshot-*.mdb | tr ' ' '\n' | tail -1)
flip "$snapshot" 9000
expect 1 "$giro" backup --data ledger --to backup
has "$snapshot"
flip "$snapshot" 9000
cmp backup.before/backup.manifest backup/backup.manifest || fail "a failed backup changed the manifest"
expect 0 "$giro" restore --from backup --data restored.before --no-verify
has "restored up to block $second,"
rm -r restored.before
expect 0 "$giro" backup --data ledger --to backup
third=$(lsn_of backup)
server_stop || fail "the server did not stop cleanly"

# ---- restored: the same digest, the same history
expect 0 "$giro" restore --from backup.before --data restored
has "restored up to block $second,"
has "verdict    SOUND"
has "1 snapshots; 0 damaged"
[ "$(value digest)" = "$(digest_at ledger "$second")" ] || fail "the restored ledger is another one"
same_history ledger restored "$second"
expect 0 "$giro" restore --from backup --data restored.third
[ "$(value digest)" = "$(digest_at ledger "$third")" ] || fail "the third backup is another ledger"
expect 1 "$giro" restore --from backup --data restored
has "is not empty"

# A server starts at once from the snapshot, has what was backed up, and goes on.
serve restored
grep -q "snapshot of segment" server.log || fail "the restored ledger did not start from its snapshot"
expect 0 "$giro" repl --connect "$address" --command \
    "get_account_transfers account_id=1000001;
     create_transfers id=73 debit_account_id=1000001 credit_account_id=1000002 amount=9 ledger=7 code=1;
     create_transfers id=71 debit_account_id=1000001 credit_account_id=1000002 amount=5 ledger=7 code=1;
     lookup_accounts id=1000002;"
has "exists"
has "21"
server_stop || fail "the server did not stop cleanly"
expect 0 "$giro" verify --data restored
has "verdict    SOUND"
# It is another history from here on: the old backup is not mixed with it.
serve restored
load 100k
expect 0 "$giro" snapshot --connect "$address"
expect 1 "$giro" backup --data restored --to backup --connect "$address"
has "giro backup: backup "
expect 0 "$giro" backup --data restored --to backup.before --connect "$address"
server_stop || fail "the server did not stop cleanly"

# ---- up to a block, up to a time
middle=$((first - 20))
expect 0 "$giro" restore --from backup.first --data point --until-lsn "$middle"
has "restored up to block $middle,"
[ "$(value digest)" = "$(digest_at ledger "$middle")" ] || fail "another state at block $middle"
same_history ledger point "$middle"
time=$("$giro" recover --data ledger --dump --from-lsn "$middle" --until-lsn "$middle" |
    sed -n 's/^block .* written \([^ ]*\) .*/\1/p')
expect 0 "$giro" restore --from backup.first --data point.time --until-time "$time"
has "restored up to block $middle,"
same_history point point.time "$middle"
[ "$(digest_at point $((middle + 1)))" = "$(digest_at ledger "$middle")" ] ||
    fail "more than the prefix was restored"
serve point.time
server_stop || fail "the server did not stop cleanly"
expect 1 "$giro" restore --from backup.first --data beyond --until-lsn $((first + 1))
has "ends with block $first"
[ ! -e beyond ] || fail "a refused restore made something"

# ---- a damaged backup is refused, and the file named
for file in giro.meta shard-0/0000000001.log shard-0/0000000001.idx \
    shard-0/"$(cd backup/shard-0 && ls -- *.mdb)" backup.manifest; do
    for damage in flip truncate remove; do
        cp "backup/$file" kept
        case $damage in
        flip) flip "backup/$file" 300 ;;
        truncate) truncate -s 100 "backup/$file" ;;
        remove) rm "backup/$file" ;;
        esac
        expect 1 "$giro" restore --from backup --data refused
        has "backup/$file: "
        [ ! -e refused ] || fail "a refused restore made something"
        cp kept "backup/$file"
    done
done
flip backup/shard-0/0000000001.log 300
expect 0 "$giro" backup --data ledger --to backup --verify
has "shard-0/0000000001.log: damaged"
expect 0 "$giro" restore --from backup --data mended --no-verify

# ---- everything that was derived, gone and made again
expect 0 "$giro" verify --data ledger
has "verdict    SOUND"
sound=$(value digest)
rm ledger/shard-0/*.idx ledger/shard-0/*.mdb ledger/shard-0/manifest
expect 0 "$giro" recover --data ledger --rebuild-index
has "and a snapshot of everything before segment"
expect 0 "$giro" verify --data ledger
[ "$(value digest)" = "$sound" ] || fail "the rebuild changed the ledger"
has "1 snapshots; 0 damaged"
expect 0 "$giro" recover --data ledger --rebuild-index
serve ledger
grep -q "snapshot of segment" server.log || fail "the rebuilt snapshot is not used"
server_stop || fail "the server did not stop cleanly"
expect 2 "$giro" recover --data ledger --rebuild-index --cut-torn

# ---- a damaged index is told apart from a damaged log
index=ledger/shard-0/0000000001.idx
snapshot=$(echo ledger/shard-0/snapshot-*.mdb | tr ' ' '\n' | tail -1)
for file in "$index" "$snapshot" ledger/shard-0/manifest; do
    for offset in 100 400; do
        flip "$file" "$offset"
        expect 2 "$giro" verify --data ledger
        has "$file"
        has "verdict    SOUND, indexes damaged"
        has "--rebuild-index"
        flip "$file" "$offset"
    done
done
flip "$index" $(($(stat -c %s "$index") / 2))
expect 2 "$giro" verify --data ledger
has "$index: page"
flip "$index" $(($(stat -c %s "$index") / 2))
cp "$index" kept
cp ledger/shard-0/0000000002.idx "$index"
expect 2 "$giro" verify --data ledger
has "$index: damaged"
cp kept "$index"
expect 0 "$giro" verify --data ledger

# ---- a log that is cut below its snapshots takes nothing back
"$giro" recover --data ledger --dump >dump
cut=$(sed -n 's/^block \([0-9]*\) records segment 2 .*/\1/p' dump | sed -n 3p)
offset=$(sed -n "s/^block $cut .* offset \([0-9]*\) .*/\1/p" dump)
before=$(digest_at ledger $((cut - 1)))
flip ledger/shard-0/0000000002.log $((offset + 200))
expect 1 "$giro" recover --data ledger --cut-torn
expect 0 "$giro" recover --data ledger --cut-damaged
ls ledger/shard-0/*.mdb >&2 2>/dev/null && fail "a snapshot of what was cut is left"
[ "$(find ledger/shard-0 -name '*.idx' | wc -l)" = 2 ] || fail "an index of what was cut is left"
expect 0 "$giro" verify --data ledger
has "verdict    SOUND"
[ "$(value digest)" = "$before" ] || fail "the cut left another state"
serve ledger
expect 0 "$giro" repl --connect "$address" --command "lookup_transfers id=72; lookup_transfers id=71;"
! grep -q "^ *72 " out || fail "what was cut is there again"
has "71"
server_stop || fail "the server did not stop cleanly"
expect 0 "$giro" verify --data ledger

echo "backup: everything as it should be"
