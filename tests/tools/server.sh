# Sourced by the end-to-end tests: a server with a ledger of its own, below $work, and checks.
# Expects $giro. Sets $work and $address.

work=$(mktemp -d)
server_pid=

server_stop() {
    local pid=$server_pid
    server_pid=
    [ -z "$pid" ] || { kill -TERM "$pid" && wait "$pid"; }
}

test_end() {
    server_stop || true
    rm -rf -- "$work"
}

trap test_end EXIT

server_start() {
    local tenths
    "$giro" format --data "$work/ledger" >/dev/null
    : >"$work/server.log" # there before it is read, however late the server begins
    "$giro" serve --data "$work/ledger" --listen 127.0.0.1:0 --accounts-max 64k \
        --transfers-max 1m 2>"$work/server.log" &
    server_pid=$!
    for ((tenths = 0; tenths < 300; tenths++)); do
        address=$(sed -n 's/^giro: listening on //p' "$work/server.log")
        [ -z "$address" ] || return 0
        kill -0 "$server_pid" || break
        sleep 0.1
    done
    cat "$work/server.log" >&2
    fail "the server does not listen"
}

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# expect STATUS COMMAND...: runs it with its output in $work/out, and checks the exit status.
expect() {
    local expected=$1
    local status=0
    shift
    "$@" >"$work/out" 2>&1 || status=$?
    [ "$status" -eq "$expected" ] || {
        cat "$work/out" >&2
        fail "exit status $status instead of $expected: $*"
    }
}

# has TEXT: the output of the last expect has a line with it.
has() {
    grep -qF -- "$1" "$work/out" || {
        cat "$work/out" >&2
        fail "the output lacks: $1"
    }
}

# lacks TEXT: the opposite.
lacks() {
    ! grep -qF -- "$1" "$work/out" || {
        cat "$work/out" >&2
        fail "the output has: $1"
    }
}
