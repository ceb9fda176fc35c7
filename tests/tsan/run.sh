#!/usr/bin/env bash
# Runs tests under ThreadSanitizer: server, follower, client, and the test programs themselves.
#
#   tests/tsan/run.sh BUILD          the short set: what threads hand to each other
#   tests/tsan/run.sh BUILD full     every test
#
# BUILD is made if it is not there, with gcc. Every program there is watched, so a race in a server
# that a test started counts too: it ends the program at once with status 66, which no test expects,
# and its report is kept. Nothing is suppressed; the one race that is meant is marked in the source
# (wal/tail.c). Exit status 0: every test passed and nobody reported anything.
set -u -o pipefail
if [ $# -lt 1 ] || { [ $# -gt 1 ] && [ "$2" != full ]; }; then
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
mkdir -p "$1.criterion" || exit 1
build=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

# Each line: a test program, and which of its tests.
short_set="threads_test *
client_test *
snapshot_test snapshot/shows_one_moment
snapshot_test snapshot/waits_for_its_proof
snapshot_test snapshot/leaves_nothing_when_it_is_given_up
follower_load_test follower_load/far_behind_it_reads_the_files
follower_load_test follower_load/at_the_edge_of_the_window_it_stays_right
server_load_test *"

# Criterion's place is taken by tests/tsan/criterion.c.
make_build() {
    local criterion=$build.criterion
    gcc -std=gnu17 -O1 -g -Wall -Wextra -Werror -D_GNU_SOURCE -fsanitize=thread -I "$here" \
        -c "$here/criterion.c" -o "$criterion/criterion.o" &&
        ar rcs "$criterion/libcriterion.a" "$criterion/criterion.o" || return 1
    cat >"$criterion/criterion.pc" <<END
Name: criterion
Description: what the tests use of it
Version: 2.4
Cflags: -I$here
Libs: -L$criterion -lcriterion
END
    if [ ! -f "$build/build.ninja" ]; then
        # The fences of wal/log.c and wal/tail.c are what gcc warns of: it does not understand them.
        CC=gcc CXX=g++ PKG_CONFIG_PATH=$criterion meson setup "$build" "$source" \
            -Dbuildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false \
            -Dc_args=-Wno-tsan || return 1
    fi
    ninja -C "$build"
}

run_short() {
    local program filter failed=0
    while read -r program filter; do
        path=$(find "$build" -name "$program" -type f -perm -u+x)
        echo "== $program $filter"
        "${path:?no $program}" --filter "$filter" >"$build/tsan.log" 2>&1 ||
            { failed=1; cat "$build/tsan.log"; }
        tail -n 1 "$build/tsan.log"
        grep -q "Tested: 0" "$build/tsan.log" && { echo "no such test"; failed=1; }
    done <<<"$short_set"
    return $failed
}

# Not the simulator, which has one thread; nor the test that measures a server's memory: that of the
# sanitizer grows.
run_full() {
    local programs
    export CRITERION_LEFT_OUT=follower_load/clients_that_hang_up_leave_nothing_behind
    programs=$(meson test -C "$build" --list --no-rebuild | sed 's/.* \/ //' |
        grep -v '^simulator') || return 1
    # shellcheck disable=SC2086 # a list of words
    meson test -C "$build" --no-rebuild --print-errorlogs --num-processes 1 \
        --timeout-multiplier 8 $programs
}

make_build >"$build.log" 2>&1 || { tail -n 40 "$build.log"; exit 1; }
reports=$build/reports
rm -rf "$reports"
mkdir -p "$reports"
export TSAN_OPTIONS="halt_on_error=1:exitcode=66:history_size=7:second_deadlock_stack=1:log_path=$reports/report"
if [ "${2-}" = full ]; then run_full; else run_short; fi
status=$?
found=$(find "$reports" -type f | wc -l)
if [ "$found" -gt 0 ]; then
    echo "ThreadSanitizer reported $found times:"
    cat "$reports"/*
    exit 1
fi
exit $status
