# shellcheck shell=bash
# Runs programs in a root of another Debian, for its drivers and programs. Sourced, not run.
#
# shellcheck disable=SC2154
# The scripts that use it set `root`, the folder of the root.

# shellcheck source=tests/scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# make_root SUITE PACKAGE...: makes the root with these packages, or ends the script.
make_root() {
    local mirror new=$root.new-$$ suite=$1 packages
    shift
    printf -v packages ',%s' "$@"
    if ! command -v debootstrap >/dev/null; then
        apt_install "makes a root of another Debian" debootstrap || exit 1
    fi
    mirror=$(debian_mirror) || {
        say "apt knows no mirror of Debian to make the root from"
        exit 1
    }
    say "making a root of Debian $suite with $* in $root"
    mkdir -p "$(dirname "$root")"
    # shellcheck disable=SC2064 # The name is known now.
    trap "rm -rf '$new'" EXIT
    # Older versions of debootstrap have no script for newer suites. The script for sid works.
    debootstrap --variant=minbase "--include=${packages#,}" \
        "$suite" "$new" "$mirror" /usr/share/debootstrap/scripts/sid >"$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        say "debootstrap failed"
        exit 1
    }
    rm -rf "$new"/var/cache/apt/archives/*.deb "$root.log" "$root"
    mv "$new" "$root"
    trap - EXIT
}

# show PATH: mounts a path of the host at the same path in the root. It runs in a private mount namespace, whose mounts end
# with it.
show() {
    [ "$1" != / ] || return 0
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
}

# enter_root PROGRAM [ARG...]: runs a program in the root, with the root's lavapipe. It sees /tmp, the repository, the current
# folder, Cargo's target folder and every file that a LAPIDARY_ variable names, and keeps the environment.
enter_root() {
    local variable value
    mount -t proc proc "$root/proc"
    show /tmp
    # Firefox shares memory there.
    [ ! -d /dev/shm ] || show /dev/shm
    show "$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"
    show "$PWD"
    if [ -n "${CARGO_TARGET_DIR:-}" ] && [ -d "$CARGO_TARGET_DIR" ]; then
        show "$(cd "$CARGO_TARGET_DIR" && pwd -P)"
    fi
    for variable in "${!LAPIDARY_@}"; do
        value=${!variable}
        case $value in
        /?*)
            [ ! -d "$value" ] || show "$value"
            [ ! -f "$value" ] || show "$(dirname "$value")"
            ;;
        esac
    done
    # These variables name paths outside the root.
    unset XDG_RUNTIME_DIR TMPDIR VK_ICD_FILENAMES VK_ADD_DRIVER_FILES
    need_runtime_dir
    local drivers=("$root"/usr/share/vulkan/icd.d/lvp_icd*.json)
    export VK_DRIVER_FILES=${drivers[0]#"$root"}
    # shellcheck disable=SC2016 # The inner shell expands these.
    exec chroot "$root" /bin/sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@"
}

# in_root MARK SUITE PACKAGE... -- PROGRAM [ARG...]: runs a program in the root, in a mount namespace of its own. A root without
# the file MARK is made first, of this suite with these packages.
in_root() {
    local mark=$1 contents=()
    shift
    while [ "$1" != -- ]; do
        contents+=("$1")
        shift
    done
    shift
    if [ $# -eq 0 ]; then
        say "usage: ${0##*/} PROGRAM [ARG...]"
        exit 2
    fi
    if [ "$(id -u)" -ne 0 ] || ! is_debian; then
        say "${0##*/} needs Debian and its root user"
        exit 1
    fi
    # A link may lead nowhere outside the root.
    [ -e "$root/$mark" ] || [ -L "$root/$mark" ] || make_root "${contents[@]}"
    # shellcheck disable=SC2016 # The inner shell expands these.
    exec unshare --mount --propagation private \
        bash -euo pipefail -c '. "$0" && root=$1 && shift && enter_root "$@"' "${BASH_SOURCE[0]}" "$root" "$@"
}
