#!/usr/bin/env bash
# Runs the fuzzers of a build that was set up with -Dfuzzers=true (and CC=clang-14).
#
#   tests/fuzz/run.sh BUILD SECONDS [TARGET...]
#
# SECONDS    of each target; 0: only the corpus in the tree, once
# TARGET     as the files here are called; default: all of them
#
#   GIRO_FUZZ_SEED   of the mutations (1)
#   GIRO_TEST_DIR    where data directories are made (memory, if there is a file system in it)
#
# What is found beyond the corpus in the tree stays in BUILD/fuzz/TARGET/corpus, and is begun with the
# next time; corpus.py takes what is worth it into the tree. A line a target says how many inputs were
# executed, how many a second, how many edges of the code they reach, and how many of them are kept.
#
# Exit status 0 when no input did what may never happen; else the input is named, and how to run it.
set -u -o pipefail

if [ $# -lt 2 ] || ! [[ $2 =~ ^[0-9]+$ ]]; then
    sed -n '2,17s/^# \{0,1\}//p' "$0"
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd) || exit 2
seconds=$2
shift 2
seed=${GIRO_FUZZ_SEED:-1}
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    targets=(client compat frames import ledger manifest reader repl replay requests settings
        sidecar snapshot)
fi

memory=/dev/shm
[ -w "$memory" ] || memory=$build
scratch=$(mktemp -d "${GIRO_TEST_DIR:-$memory}/giro-fuzz-XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT
export GIRO_TEST_DIR=$scratch
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
if [ -z "${ASAN_SYMBOLIZER_PATH-}" ] && command -v llvm-symbolizer-14 >/dev/null; then
    ASAN_SYMBOLIZER_PATH=$(command -v llvm-symbolizer-14)
    export ASAN_SYMBOLIZER_PATH
fi

# The largest input that makes sense.
bytes_max() {
    case "$1" in
    reader | replay) echo 30000 ;;
    frames) echo 40000 ;;
    compat | ledger | requests) echo 2561 ;;
    import | repl | settings) echo 3000 ;;
    *) echo 1200 ;;
    esac
}

# last WORD FILE: the number behind the last occurrence of a word.
last() {
    grep -oE "$1:? +[0-9]+" "$2" | tail -n 1 | grep -oE '[0-9]+$' || echo 0
}

# run TARGET: one fuzzer.
run() {
    local target=$1 program=$build/tests/fuzz/fuzz_$1 own=$build/fuzz/$1 log options
    log=$own/log
    mkdir -p "$own/corpus" "$own/artifacts"
    options=(-seed="$seed" -timeout=20 -rss_limit_mb=2048 -max_len="$(bytes_max "$target")"
        -print_final_stats=1 -artifact_prefix="$own/artifacts/")
    [ -f "$here/dictionaries/$target" ] && options+=(-dict="$here/dictionaries/$target")
    if [ "$seconds" -eq 0 ]; then
        options+=(-runs=0 "$here/corpus/$target")
    else
        options+=(-max_total_time="$seconds" "$own/corpus" "$here/corpus/$target")
    fi
    if "$program" "${options[@]}" >"$log" 2>&1; then
        printf '%-9s %9s executions %7s a second %6s edges %5s inputs\n' "$target" \
            "$(last stat::number_of_executed_units "$log")" \
            "$(last stat::average_exec_per_sec "$log")" "$(last cov "$log")" "$(last corp "$log")"
        return 0
    fi
    echo "$target: FAILED, seed $seed"
    grep -E 'must hold|ssertion|ERROR|runtime error|SUMMARY|^ +#[0-9]+ ' "$log" | head -n 30
    echo "again: $program $(grep -oE "$own/artifacts/[a-z]+-[0-9a-f]+" "$log" | tail -n 1)"
    echo "all of it: $log"
    return 1
}

ninja -C "$build" fuzzers >"$scratch/ninja.log" 2>&1 || { cat "$scratch/ninja.log"; exit 2; }
failed=0
for target in "${targets[@]}"; do
    run "$target" || failed=$((failed + 1))
done
[ "$failed" -eq 0 ]
