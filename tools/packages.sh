# Installs the Debian packages that a task needs, for tools/quickstart and tools/check to source.
#
#   packages_need build            to build Giro
#   packages_need build check      ... and to test it

packages_build="gcc libc6-dev pkg-config meson ninja-build liburing-dev libxxhash-dev liblmdb-dev
    libcriterion-dev libjansson-dev libedit-dev libinih-dev xz-utils"
packages_check="g++ clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev python3 git"

packages_need() {
    local wanted="" missing="" package task sudo=""
    for task in "$@"; do
        case "$task" in
        build) wanted="$wanted $packages_build" ;;
        check) wanted="$wanted $packages_check" ;;
        *) echo "packages_need: no such task: $task" >&2; return 2 ;;
        esac
    done
    for package in $wanted; do
        if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing="$missing $package"
        fi
    done
    if [ -z "$missing" ]; then
        return 0
    fi
    if ! command -v apt-get >/dev/null; then
        echo "These Debian packages are needed, and apt-get is not here to install them:$missing" >&2
        return 1
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Run this as root, or install sudo; packages needed:$missing" >&2
            return 1
        fi
        sudo=sudo
    fi
    echo "installing:$missing"
    # The list of packages may be old or, on a fresh machine, not there at all.
    if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        $missing >/dev/null 2>&1; then
        $sudo apt-get update -qq
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            $missing >/dev/null
    fi
}
