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
# shellcheck source=tests/scripts/target-sysroot.sh
. "$(dirname "$self")/target-sysroot.sh"
# shellcheck source=tests/scripts/debian-root.sh
. "$(dirname "$self")/debian-root.sh"
# shellcheck disable=SC2034 # debian-root.sh uses it.
repository=$(cd "$(dirname "$self")/../.." && pwd -P)
root=${COOP_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/lapidary/coop-lavapipe}

if [ "${1:-}" = --inside ]; then
    shift
    enter_root "$@"
fi
if [ $# -eq 0 ]; then
    say "usage: with-coop-lavapipe.sh PROGRAM [ARG...]"
    exit 2
fi
if [ "$(id -u)" -ne 0 ] || ! is_debian; then
    say "with-coop-lavapipe.sh needs Debian and its root user"
    exit 1
fi
[ -e "$root/usr/lib/x86_64-linux-gnu/libnouveau_noop_drm_shim.so" ] ||
    make_root forky libvulkan1 mesa-vulkan-drivers mesa-drm-shim
exec unshare --mount --propagation private "$self" --inside "$@"
