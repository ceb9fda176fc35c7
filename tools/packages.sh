# Installs the Debian packages that a task needs, for tools/quickstart and tools/check to source.
#
#   packages_need build            to build Giro
#   packages_need build check      ... and to test it
#   packages_need build coverage   ... and to see what the tests run

packages_build="gcc libc6-dev pkg-config meson ninja-build liburing-dev libxxhash-dev liblmdb-dev
    libcriterion-dev libjansson-dev libedit-dev libinih-dev"
packages_check="g++ clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev python3
    python3-pip git hledger"
packages_coverage="g++ gcovr python3 git"

packages_missing() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            printf '%s ' "$package"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

# packages_need TASK...: returns 0 once every package is there, or says what is wrong.
packages_need() {
    local task wanted="" missing
    for task in "$@"; do
        case "$task" in
        build) wanted="$wanted $packages_build" ;;
        check) wanted="$wanted $packages_check" ;;
        coverage) wanted="$wanted $packages_coverage" ;;
        *) echo "packages_need: no such task: $task" >&2; return 2 ;;
        esac
    done
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "This is not Debian: install these by hand, as your system names them:" $wanted >&2
        return 1
    fi
    # shellcheck disable=SC2086 # lists of words
    missing=$(packages_missing $wanted)
    if [ -z "$missing" ]; then
        echo "Every package is there."
        return 0
    fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "Installing needs root or sudo. By hand: apt-get install $missing" >&2
        return 1
    fi
    echo "Installing: $missing"
    # The lists of packages may be old or, on a fresh machine, not there: they are fetched then.
    # shellcheck disable=SC2086
    if as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1; then
        return 0
    fi
    as_root apt-get update -qq &&
        as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null && return 0
    echo "Could not install: $missing" >&2
    return 1
}
