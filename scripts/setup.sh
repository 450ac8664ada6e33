# Sourced, from the project's root: `setup PART...` makes what is missing and is quick when nothing is.
#   python      .venv with the locked packages and the project itself, editable
#   mosquitto   the broker that every node runs
#   testing     what only the tests use

MOSQUITTO_TOOLS=(mosquitto:mosquitto)
TESTING_TOOLS=(mosquitto_sub:mosquitto-clients ip:iproute2 openssl:openssl node:nodejs npm:npm)  # COMMAND:DEBIAN-PACKAGE
SETUP_LOG=.setup.log  # of the last run that had something to do

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"  # where Debian keeps mosquitto and ip, outside a user's PATH

setup() {
    exec 9>.setup.lock
    flock 9  # two scripts started at once must not build the same environment
    local part steps_done=0
    for part in "$@"; do
        case $part in
            python) setup_python ;;
            mosquitto) setup_tools "${MOSQUITTO_TOOLS[@]}" ;;
            testing) setup_tools "${TESTING_TOOLS[@]}" ;;
            *) stop "setup: there is no part called $part" ;;
        esac
    done
    exec 9>&-
}

setup_python() {
    local stamp=.venv/setup-stamp wanted
    # The folder is part of it: an environment that was moved points at the old place.
    wanted=$({ pwd; cat pyproject.toml requirements-dev.lock scripts/setup.sh; } | sha256sum)
    [[ -x .venv/bin/fieldmesh && -f $stamp && $(<"$stamp") == "$wanted" ]] && return
    if ! .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        make_venv
    fi
    step "installing the locked Python packages" \
        .venv/bin/python -m pip install --disable-pip-version-check --no-input --require-hashes --no-deps \
        -r requirements-dev.lock
    step "installing fieldmesh, editable" \
        .venv/bin/python -m pip install --disable-pip-version-check --no-input --no-index --no-deps \
        --no-build-isolation --editable .
    printf '%s\n' "$wanted" >"$stamp"
}

make_venv() {
    local python
    python=$(find_python) || {
        install_packages python3 python3-venv
        python=$(find_python) || stop "fieldmesh needs Python 3.11 or newer, and this system's is older."
    }
    "$python" -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
    "$python" -c 'import ensurepip' 2>/dev/null || stop "$python cannot make environments: its module ensurepip is missing."
    step "making .venv with $("$python" --version)" "$python" -m venv --clear .venv
}

find_python() {
    local name
    for name in python3.11 python3.12 python3.13 python3.14 python3 /usr/bin/python3; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

setup_tools() {
    local tool missing=()
    for tool in "$@"; do
        command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
    done
    if ((${#missing[@]})); then
        install_packages "${missing[@]}"
    fi
}

# Debian's mosquitto package also starts a system broker. It is left alone: it listens on loopback port 1883 only, which
# fieldmesh does not use, and stopping or masking somebody's service is not for a set-up script to do.
install_packages() {
    local as_root=()
    if ((EUID != 0)); then
        as_root=(sudo -n)
        sudo -n true 2>/dev/null || stop_for_packages "$@"
    fi
    command -v apt-get >/dev/null || stop_for_packages "$@"
    as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    step "refreshing the list of system packages" at_best "${as_root[@]}" update
    step "installing $* with apt-get" "${as_root[@]}" install --no-install-recommends "$@"
}

at_best() {  # somebody's broken extra source fails `update`; whether that matters, `install` will say
    "$@" || true
}

stop_for_packages() {
    stop "fieldmesh needs these system packages, and may not install them here. Please type:" \
        "  sudo apt-get update && sudo apt-get install -y $*"
}

step() {  # WORDS COMMAND...: one line for the person, the command's own words to the log
    local words=$1 begun=$SECONDS
    shift
    ((steps_done++)) || : >"$SETUP_LOG"
    printf '%s ... ' "$words" >&2
    if "$@" >>"$SETUP_LOG" 2>&1 </dev/null 9>&-; then
        printf '%d s\n' $((SECONDS - begun)) >&2
        return
    fi
    printf 'failed after %d s. The end of what it said:\n' $((SECONDS - begun)) >&2
    tail -n 30 "$SETUP_LOG" >&2
    stop "Set-up did not finish; the same command goes on from here."
}

stop() {
    printf '%s\n' "$@" >&2
    exit 1
}
