#!/usr/bin/env bash
# with-fake-gpu.sh GPU PROGRAM [ARG...]
# Runs a program on a GPU that this machine does not have: Mesa's Vulkan driver for it, over Mesa's DRM shims, which answer the
# kernel's calls and execute nothing. Features, limits and the compiler are the driver's. Results and times of the GPU mean
# nothing.
#
# GPU: ampere (NVIDIA, nvk), navi21, navi31 or gfx1201 (AMD, radv), m1 (Apple, honeykrisp), adreno740 (Qualcomm, turnip).
#
# It uses the root of with-coop-lavapipe.sh, so it needs Debian on x86-64 and its root user. The program sees the same files.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/scripts/setup.sh
. "$here/setup.sh"

usage() {
    say "usage: with-fake-gpu.sh ampere|navi21|navi31|gfx1201|m1|adreno740 PROGRAM [ARG...]"
    exit 2
}

[ $# -ge 2 ] || usage
gpu=$1
shift
case $gpu in
ampere) shim=nouveau driver=nouveau id=NOUVEAU_CHIPSET=172 ;;
navi21 | navi31 | gfx1201) shim=amdgpu driver=radeon id=AMDGPU_GPU_ID=$gpu ;;
# The shim for Apple's GPUs knows one only.
m1) shim=asahi driver=asahi id=FAKE_GPU=m1 ;;
adreno740) shim=freedreno driver=freedreno id=FD_GPU_ID=740 ;;
*) usage ;;
esac
# Set by `env` inside, because the libraries of the root do not exist outside. The cache of shaders is off, so that every kernel
# is compiled.
exec "$here/with-coop-lavapipe.sh" env "$id" NVK_I_WANT_A_BROKEN_VULKAN_DRIVER=1 MESA_SHADER_CACHE_DISABLE=true \
    VK_DRIVER_FILES="/usr/share/vulkan/icd.d/${driver}_icd.json" \
    LD_PRELOAD="/usr/lib/x86_64-linux-gnu/lib${shim}_noop_drm_shim.so" "$@"
