#!/usr/bin/env bash
# Makes .venv/ of this checkout ready: Python 3.11 to 3.13, the Debian packages that may be installed, the pinned Python
# packages, and voiced itself as an editable install. Does nothing when all that is done; may be interrupted and called
# again, and called twice at once. PYTHON=/path/to/python chooses another interpreter; pip's own settings are respected.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv
# Lies in .venv only while it is complete, and says what it was made from.
readonly STAMP=$VENV/.voiced-ready

say() { printf 'set-up: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

# Prints the first interpreter of a supported version.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "found no Python 3.11, 3.12 or 3.13 (tried: ${PYTHON:-python3 python3.13 python3.12 python3.11});" \
        "install one, on Debian 12 with 'apt-get install python3 python3-venv', or name one with PYTHON=/path/to/python"
}

# Prints what .venv depends on. First line: the place (scripts hold absolute paths) and the interpreter, without which
# nothing in it works; second line: the pins and this script.
wanted_stamp() {
    "$1" -c 'import sys; print("|".join([*sys.argv[1:], sys.version, sys.base_prefix]))' "$(pwd -P)"
    cat constraints.txt pyproject.toml scripts/setup.sh | sha256sum
}

is_ready() { [ "$(cat "$STAMP" 2>/dev/null)" = "$1" ]; }

# Runs a command as root without ever asking for a password; fails where that is not allowed.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@" 2>/dev/null
    fi
}

# Debian keeps what makes a virtual environment in a package of its own.
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }
venv_package() { "$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'; }

missing_debian_packages() {
    has_venv "$1" || venv_package "$1"
    /sbin/ldconfig -p 2>/dev/null | grep -q 'libportaudio\.so\.2' || echo libportaudio2
    command -v espeak-ng >/dev/null || echo espeak-ng
}

# Installs what is missing, or says how to; only the virtual environment itself cannot do without.
install_debian_packages() {
    local packages install
    mapfile -t packages < <(missing_debian_packages "$1")
    [ ${#packages[@]} -gt 0 ] || return 0
    install="apt-get install --yes --no-install-recommends ${packages[*]}"
    if command -v apt-get >/dev/null && as_root true; then
        say "installing the Debian packages ${packages[*]}"
        export DEBIAN_FRONTEND=noninteractive
        # A list that is only a little old will do; without one, apt-get knows no packages at all.
        # shellcheck disable=SC2086  # the command is made of words
        as_root $install -qq -o DPkg::Lock::Timeout=120 </dev/null >/dev/null 2>&1 ||
            { as_root apt-get update -qq </dev/null && as_root $install -qq -o DPkg::Lock::Timeout=120 </dev/null >/dev/null; } ||
            say "could not install them; run 'sudo apt-get update && sudo $install' and read what it says"
    else
        say "these Debian packages are missing and may not be installed from here: ${packages[*]}; run 'sudo $install'" \
            "(libportaudio2 is for microphone and speaker, espeak-ng for the tests that need real speech)"
    fi
}

# Gives .venv everything that pyproject.toml names, at the versions of constraints.txt.
install_python_packages() {
    local python=$1 stamp=$2 pip quiet=()
    if [ "$(sed -n 1p "$STAMP" 2>/dev/null)" != "${stamp%%$'\n'*}" ]; then
        # Nothing there, another interpreter, or a set-up that did not come to its end: start from nothing.
        has_venv "$python" ||
            fail "$python cannot make a virtual environment without its package $(venv_package "$python"):" \
                "run 'sudo apt-get install $(venv_package "$python")' and call again"
        "$python" -m venv --clear $VENV || fail "'$python -m venv --clear $VENV' did not work, see above"
    fi
    rm -f "$STAMP"
    say "installing Python packages into $VENV (about 5 GB on disk, some minutes)"
    [ -t 2 ] || quiet=(--quiet)
    # Without byte code: Python writes what it needs of it at first use, which is a small part.
    pip=("$VENV/bin/python" -m pip --disable-pip-version-check "${quiet[@]}" install --no-compile -c constraints.txt)
    export PIP_USER=0 # The one setting of a user's that cannot hold here: what is installed must lie in .venv.
    # The builder comes first, so that pip needs no second environment of its own to build voiced.
    { "${pip[@]}" hatchling && "${pip[@]}" --no-build-isolation --editable '.[dev,wake]'; } ||
        fail "pip could not install the packages, see above; check the network and the disk (6 GB), then call again"
}

main() {
    local python stamp
    trap 'say "interrupted; call again, it begins anew where need be"; exit 130' INT TERM
    python=$(find_python)
    stamp=$(wanted_stamp "$python")
    if is_ready "$stamp"; then return; fi
    if command -v flock >/dev/null; then
        exec 9<constraints.txt
        flock 9 # Held until this script ends: a second call waits here, and finds everything done.
        if is_ready "$stamp"; then return; fi
    fi
    install_debian_packages "$python"
    install_python_packages "$python" "$stamp"
    printf '%s\n' "$stamp" >"$STAMP"
    say "done"
}

main
