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
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/scripts/debian-root.sh
. "$here/debian-root.sh"
root=${COOP_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/lapidary/coop-lavapipe}
in_root usr/lib/x86_64-linux-gnu/libnouveau_noop_drm_shim.so forky libvulkan1 mesa-vulkan-drivers mesa-drm-shim -- "$@"
