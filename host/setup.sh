#!/bin/sh
# Installs what is missing on Debian or Ubuntu: compilers and qemu with apt (as root or with sudo), then the Python
# environment .venv with the files that host/requirements names by version and hash. Where nothing is missing it does
# nothing, in a fraction of a second. On macOS it makes .venv and says what is not to be had there.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

# System packages.
packages=""
want() { # want PACKAGES COMMAND...: packages unless the command succeeds
    wanted=$1
    shift
    "$@" >/dev/null 2>&1 || packages="$packages $wanted"
}
compiles() { # compiles COMPILER: it finds its C library's headers
    echo '#include <stdlib.h>' | "$1" -E -x c - -o /dev/null
}
system=$(uname -s)
if [ "$system" != Darwin ]; then
    want git command -v git
    want make command -v make
    want "gcc libc6-dev" compiles gcc
    want "gcc-arm-none-eabi libnewlib-arm-none-eabi" compiles arm-none-eabi-gcc
    want qemu-system-arm command -v qemu-system-arm
    # For tests/ui, which are skipped without. Ubuntu's chromium is a snap, which containers cannot install.
    if [ "${1:-}" = browser ] && grep -qx 'ID=debian' /etc/os-release; then
        want "chromium chromium-driver" command -v chromedriver
    fi
fi
python=""
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    say "no Python 3.11 or later found; install one and run this again (on macOS: brew install python)"
    exit 1
fi
[ "$system" = Darwin ] || want "$(basename "$python")-venv" "$python" -c 'import venv, ensurepip'

if [ -n "$packages" ]; then
    if ! command -v apt-get >/dev/null; then
        say "this is no Debian or Ubuntu; install the equivalents of:$packages"
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        root=""
    elif command -v sudo >/dev/null; then
        root="sudo"
    else
        say "run this as root, then again: apt-get install$packages"
        exit 1
    fi
    say "apt-get install$packages"
    $root apt-get -q update || say "apt-get update failed; trying with the package lists that are there"
    # shellcheck disable=SC2086 # a list of words
    $root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends ca-certificates $packages
fi

# Python environment: renewed when pyproject.toml or a lock file changes. Where packages come from is the machine's own
# configuration of pip.
locked=host/requirements
pip() { .venv/bin/pip --quiet --disable-pip-version-check "$@"; }

# Some machines have a torch of their own, for the CPU alone. pip prefers what the lock's hash is known of before it has
# it, so the file is fetched first, then checked.
install_torch() {
    wheels=.venv/ditmos-torch
    rm -rf "$wheels"
    pip download --no-deps --dest "$wheels" "$(grep -o '^torch==[^ ]*' "$locked/torch.txt")"
    if ! pip install --no-deps --require-hashes --no-index --find-links "$wheels" --requirement "$locked/torch.txt"; then
        case $(ls "$wheels") in
            torch-*+* | torch-*%2B*) # a label that no build of the public index may have
                say "$locked/torch.txt has no hash of $(ls "$wheels"), this machine's own build: taken by its version alone"
                pip install --no-deps --no-index "$wheels"/torch-*
                ;;
            *)
                say "$(ls "$wheels") is not what $locked/torch.txt expects (see above): not installed"
                exit 1
                ;;
        esac
    fi
    rm -rf "$wheels"
    # The public index's build for Linux needs some gigabytes more.
    if .venv/bin/pip check | grep -q '^torch .* not installed'; then
        pip install --no-deps --require-hashes --requirement "$locked/cuda.txt"
    fi
}

stamp=.venv/ditmos-setup
if ! cat pyproject.toml "$locked"/*.txt | cmp -s - "$stamp"; then
    if [ "$system" = Darwin ]; then
        say "macOS (untried): training and a board on a serial port work; the simulated board needs Linux"
        compiles arm-none-eabi-gcc || say "to build firmware for the board: brew install --cask gcc-arm-embedded"
    fi
    say "Python environment .venv (PyTorch is large: this takes some minutes)"
    [ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
    if ! pip install --no-deps --require-hashes --requirement "$locked/packages.txt"; then
        say "not installed: a package cannot be had as $locked/packages.txt names it (see above)"
        exit 1
    fi
    install_torch
    pip install --no-deps --no-build-isolation --editable . # the lock has what builds it
    cat pyproject.toml "$locked"/*.txt >"$stamp"
fi
