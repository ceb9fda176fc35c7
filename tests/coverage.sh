#!/usr/bin/env bash
# Line coverage of engine/ and wal/ by all tests, the simulator's among them, and of net/ for
# information.
#
#   tests/coverage.sh BUILD [PERCENT]     fails below PERCENT, 95 unless told
#
# BUILD is made if it is not there: gcc, not optimised, so that a line is a line. It prints a line a
# file, with what no test ran, and the total. Failed tests fail it too. Needs gcovr.
set -u -o pipefail
if [ $# -lt 1 ]; then
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/.." && pwd)
mkdir -p "$1.parts" || exit 1
build=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
percent=${2-95}

make_build() {
    gcc -std=gnu17 -O1 -fPIC -Wall -Wextra -Werror -c "$here/coverage_dump.c" \
        -o "$build.parts/dump.o" || return 1
    if [ ! -f "$build/build.ninja" ]; then
        # Counters of threads must add up; the sanity check of the compiler needs --coverage too.
        CC=gcc CXX=g++ meson setup "$build" "$source" -Dbuildtype=debug -Db_coverage=true \
            -Dc_args=-fprofile-update=atomic -Dcpp_args=-fprofile-update=atomic \
            -Dc_link_args="$build.parts/dump.o --coverage" \
            -Dcpp_link_args="$build.parts/dump.o --coverage" || return 1
    fi
    ninja -C "$build"
}

# report NAME FOLDERS [option]: a table of the folders, from what all programs have written.
report() {
    local name=$1 folders=$2
    shift 2
    # A program that ends while its threads run leaves counts that do not add up for some branches,
    # which nobody asks for here.
    gcovr --root "$source" --filter "$source/($folders)/" --gcov-ignore-parse-errors \
        --exclude-throw-branches "$@" "$build" 2>"$build.parts/$name.log"
}

make_build >"$build.log" 2>&1 || { tail -n 40 "$build.log"; exit 1; }
find "$build" -name '*.gcda' -delete
failed=0
meson test -C "$build" --no-rebuild --num-processes 1 --timeout-multiplier 5 \
    >"$build.parts/tests.log" 2>&1 || failed=1
grep -E ' (FAIL|TIMEOUT|ERROR) ' "$build.parts/tests.log"
report net net
report engine_wal 'engine|wal' --fail-under-line "$percent" || failed=1
exit $failed
