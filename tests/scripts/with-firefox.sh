#!/usr/bin/env bash
# with-firefox.sh [ARG...]
# Runs Firefox of Debian "sid", whose WebGPU computes on the lavapipe beside it, in a small chroot. Older Debians have a Firefox without
# WebGPU. It sees what with-coop-lavapipe.sh lists. check-firefox.sh drives the page in it.
#
# Needs Debian and its root user. The first call makes the chroot in $FIREFOX_ROOT, by default ~/.cache/lapidary/firefox. It takes
# 1.3 GB and two minutes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/scripts/debian-root.sh
. "$here/debian-root.sh"
root=${FIREFOX_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/lapidary/firefox}
if [ "$(id -u)" -eq 0 ] && is_debian && [ ! -e "$root/usr/bin/firefox" ]; then
    # debootstrap cannot order the packages that Firefox needs.
    [ -e "$root/usr/share/vulkan/icd.d" ] || (make_root sid libvulkan1 mesa-vulkan-drivers)
    say "installing Firefox in $root"
    { chroot "$root" apt-get update -qq && DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -qq -y \
        --no-install-recommends firefox libpci3 fonts-dejavu-core; } >"$root.log" 2>&1 </dev/null || {
        tail -n 20 "$root.log" >&2
        exit 1
    }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root.log"
fi
# Its own sandboxes need what a chroot does not give, and hide the driver.
export MOZ_DISABLE_CONTENT_SANDBOX=1 MOZ_DISABLE_GPU_SANDBOX=1 HOME=/root
in_root usr/bin/firefox -- firefox "$@"
