#!/usr/bin/env bash
# with-wine.sh PROGRAM [ARG...]
# Runs a Windows program (.exe) in Wine 10, whose Vulkan and Direct3D 12 lead to lavapipe of Mesa 25, in a small chroot of Debian
# "trixie". Another program runs in the same root without Wine, so that both can be compared on the same driver.
#
# The program sees the same files as with with-coop-lavapipe.sh, below drive Z. So the script also serves as Cargo's runner:
#   CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$PWD/tests/scripts/with-wine.sh
#
# Wine offers graphics only on an X display: set DISPLAY, such as that of Xvfb. LAPIDARY_ADAPTER=software takes Vulkan there, not Direct3D.
#
# Needs Debian and its root user. The first call makes the root in $WINE_ROOT, by default ~/.cache/lapidary/wine. It takes 1.4 GB
# and some minutes. Wine's drive C is in $WINEPREFIX, by default in the root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/scripts/debian-root.sh
. "$here/debian-root.sh"
root=${WINE_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/lapidary/wine}
# Wine says much that is no error of the program. It must not offer to download what a program in .NET or a browser needs.
export WINEDEBUG=${WINEDEBUG:--all} WINEDLLOVERRIDES=${WINEDLLOVERRIDES:-"mscoree=;mshtml="}
# These are for the programs outside, and Wine passes the environment on.
unset XDG_DATA_HOME XDG_CACHE_HOME XDG_CONFIG_HOME
case ${1:-} in
*.exe) set -- wine "$@" ;;
esac
in_root usr/lib/x86_64-linux-gnu/libGL.so.1 trixie libgl1 libvulkan1 mesa-vulkan-drivers wine wine64 -- "$@"
