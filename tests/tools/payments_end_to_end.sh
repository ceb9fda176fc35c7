#!/bin/bash
# The scripts of docs/payments, each through giro repl on a ledger of its own, with the output that
# is kept beside it. Arguments: the giro program, the root of the source tree, and --update to keep
# the output of now instead.
set -euo pipefail

giro=$(realpath -- "$1")
scripts=$2/docs/payments
update=${3-}
# shellcheck source=tests/tools/server.sh
. "$2/tests/tools/server.sh"

# The output of the repl without the last column, if it has timestamps; deadlines are shown as TIME,
# tokens as N.
masked() {
    sed -E 's/until [0-9]{4}(-[0-9]{2}){2}T[0-9:.]+Z/until TIME/; s/ +(timestamp|begin)$//
        s/ +[0-9]{4}(-[0-9]{2}){2}T[0-9:.]+Z$//
        s/[0-9]{4}(-[0-9]{2}){2}T[0-9:.]+Z/TIME/g; s/token [0-9]+/token N/g; s/ +$//'
}

# The last table of a script has all accounts. In each ledger debits and credits are equal, nothing
# is pending, and the clearing accounts, codes 10 to 19, are drained.
balanced() {
    awk '
        $1 == "id" && $4 == "debits_posted" && $5 == "credits_posted" {
            rows = 0
            pending = $6 == "debits_pending"
            next
        }
        $1 ~ /^[0-9]+$/ && $2 ~ /^[0-9]+$/ && NF >= 5 {
            row[++rows] = $0
            next
        }
        { rows = 0 }
        END {
            for (i = 1; i <= rows; i++) {
                split(row[i], cell, " ")
                sum[cell[2]] += cell[4] - cell[5]
                if (cell[3] >= 10 && cell[3] <= 19) {
                    clearing++
                    drained += cell[4] == cell[5]
                }
            }
            for (ledger in sum)
                wrong += sum[ledger] != 0
            exit rows == 0 || pending || clearing == 0 || drained != clearing || wrong
        }' "$1"
}

# The status says whether an event was refused, and nothing else went wrong.
script_run() {
    local script=$1
    local status=0
    local refused=0
    "$giro" repl --connect "$address" --continue <"$script" >"$work/out" 2>&1 || status=$?
    # What exists has not failed.
    ! grep -E '^  [0-9]+\. (id|key) [0-9]+: [a-z_]+$' "$work/out" | grep -qv ': exists$' || refused=1
    [ "$status" -eq "$refused" ] || {
        cat "$work/out" >&2
        fail "$script: exit status $status"
    }
    masked <"$work/out" >"$work/got"
    [ "$update" != --update ] || cp -- "$work/got" "${script%.giro}.out"
    diff -u "${script%.giro}.out" "$work/got" >&2 || fail "$script: the output differs"
    balanced "$work/got" || fail "$script: the accounts do not add up"
}

count=0
for script in "$scripts"/*.giro; do
    server_start
    script_run "$script"
    server_stop || fail "$script: the server did not stop cleanly"
    rm -rf -- "$work/ledger"
    count=$((count + 1))
done
[ "$count" -ge 12 ] || fail "only $count scripts were found"
[ "$(find "$scripts" -name '*.out' | wc -l)" -eq "$count" ] || fail "an output has no script"
echo passed
