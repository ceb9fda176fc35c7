#!/bin/sh
# Fails on an include against the arrows: engine <- wal <- net; clients, bench, tools and tests may
# look down, nothing looks up. The C client shares the pure formats only.
set -u
cd "$1" || exit 2
failed=0

# forbid FOLDER PATTERN: no source of FOLDER may include a header that matches PATTERN.
forbid() {
    found=$(grep -rnE "#include \"($2)" "$1" --include='*.c' --include='*.h')
    if [ -n "$found" ]; then
        echo "$1 must not include $2:"
        echo "$found"
        failed=1
    fi
}

forbid engine 'wal/|net/|clients/|bench/|tools/|tests/'
forbid wal 'net/|clients/|bench/|tools/|tests/'
forbid net 'clients/|bench/|tools/|tests/'
forbid bench 'tools/|tests/'
forbid tools 'tests/'
forbid clients/c 'wal/|bench/|tools/|tests/|net/(connection|execute|listener|shard)|engine/(ledger|index|holds|accounts|records|memory)\.h'

# The engine performs no I/O, reads no clock, starts no thread and calls through no pointer.
found=$(grep -rnE '#include <(time|pthread|unistd|fcntl|stdio|sys/socket|sys/time|liburing)\.h>|\(\*[a-z_]+\)\(' engine --include='*.c' --include='*.h')
if [ -n "$found" ]; then
    echo "engine must stay a function of its state and input:"
    echo "$found"
    failed=1
fi
exit $failed
