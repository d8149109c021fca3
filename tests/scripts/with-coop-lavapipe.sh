#!/usr/bin/env bash
# with-coop-lavapipe.sh PROGRAM [ARG...]
# Runs a program on a software Vulkan driver that has cooperative matrices: the lavapipe of Mesa 26 (8x8x8, f16 -> f16 and
# f16 -> f32), in a small chroot of Debian "forky". The lavapipe of Debian 12 has none. The program is built outside.
#
# The program sees /tmp, this repository, the current folder, Cargo's target folder and every file that a LAPIDARY_ variable
# names. It keeps the environment. So the script also serves as Cargo's runner:
#   CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=$PWD/tests/scripts/with-coop-lavapipe.sh cargo test --release
#
# The root also has Mesa's drivers for GPUs and its DRM shims, which with-fake-gpu.sh uses.
#
# Needs Debian and its root user. The first call makes the chroot in $COOP_ROOT, by default ~/.cache/lapidary/coop-lavapipe.
# It takes 580 MB and half a minute.
set -euo pipefail
self=$(readlink -f "${BASH_SOURCE[0]}")
# shellcheck source=tests/scripts/setup.sh
. "$(dirname "$self")/setup.sh"
repository=$(cd "$(dirname "$self")/../.." && pwd -P)
root=${COOP_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/lapidary/coop-lavapipe}

make_root() {
    local mirror
    new=$root.new-$$
    if ! command -v debootstrap >/dev/null; then
        apt_install "makes the root with the newer Mesa" debootstrap
    fi
    # The mirror that this system's packages come from.
    mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Label: Debian' 'Component: main' | sed -n 1p)
    if [ -z "$mirror" ]; then
        apt_get update
        mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Label: Debian' 'Component: main' | sed -n 1p)
    fi
    if [ -z "$mirror" ]; then
        say "apt knows no mirror of Debian to make the root from"
        exit 1
    fi
    say "making a root with Mesa 26 in $root"
    mkdir -p "$(dirname "$root")"
    trap 'rm -rf "$new"' EXIT
    # Older versions of debootstrap have no script for forky. The script for sid works.
    debootstrap --variant=minbase --include=libvulkan1,mesa-vulkan-drivers,mesa-drm-shim \
        forky "$new" "$mirror" /usr/share/debootstrap/scripts/sid >"$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        say "debootstrap failed"
        exit 1
    }
    rm -rf "$new"/var/cache/apt/archives/*.deb "$root.log" "$root"
    mv "$new" "$root"
    trap - EXIT
}

# show PATH: mounts a path of the host at the same path in the chroot. It runs in a private mount namespace, whose mounts end
# with it.
show() {
    [ "$1" != / ] || return 0
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
}

enter() {
    local variable value
    mount -t proc proc "$root/proc"
    show /tmp
    show "$repository"
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
    # These variables name paths outside the chroot.
    unset XDG_RUNTIME_DIR TMPDIR VK_ICD_FILENAMES VK_ADD_DRIVER_FILES
    need_runtime_dir
    local drivers=("$root"/usr/share/vulkan/icd.d/lvp_icd*.json)
    export VK_DRIVER_FILES=${drivers[0]#"$root"}
    # shellcheck disable=SC2016 # The inner shell expands these.
    exec chroot "$root" /bin/sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@"
}

if [ "${1:-}" = --inside ]; then
    shift
    enter "$@"
fi
if [ $# -eq 0 ]; then
    say "usage: with-coop-lavapipe.sh PROGRAM [ARG...]"
    exit 2
fi
if [ "$(id -u)" -ne 0 ] || ! is_debian; then
    say "with-coop-lavapipe.sh needs Debian and its root user"
    exit 1
fi
[ -e "$root/usr/lib/x86_64-linux-gnu/libnouveau_noop_drm_shim.so" ] || make_root
exec unshare --mount --propagation private "$self" --inside "$@"
