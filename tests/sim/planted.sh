#!/usr/bin/env bash
# Lets the simulator find each bug that a build with -Dplanted_bugs=true can plant.
#
#   planted.sh GIRO-SIM [SECONDS]   each within so long (60)
#
# Prints a line a bug, with the seed that found it. Exit status 0 when all were found, and when
# without any of them nothing is.
set -u -o pipefail
simulator=$1
seconds=${2-60}
failed=0

# found BUG: what the simulator says of it, empty when nothing.
found() {
    "$simulator" "$@" --seconds "$seconds" | sed -n '/^FAILED: /{s///;h;n;s/:.*//;G;s/\n/: /;p}'
}

for bug in $("$simulator" --help | sed -n '/^bugs:/,$p' | awk 'NR > 1 {print $1}'); do
    begin=$SECONDS
    options=(--bug "$bug")
    # Only writes that are lost, and few of those, show it: among all other faults it takes minutes.
    [ "$bug" = skip-chain ] && options+=(--faults lost,power,crash)
    line=$(found "${options[@]}")
    if [ -n "$line" ]; then
        printf '%-20s %3d s, %s\n' "$bug" $((SECONDS - begin)) "$line"
    else
        printf '%-20s was not found\n' "$bug"
        failed=1
    fi
done
seconds=10
line=$(found)
if [ -n "$line" ]; then
    echo "without any bug: $line"
    failed=1
fi
exit "$failed"
