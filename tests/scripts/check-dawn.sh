#!/usr/bin/env bash
# Compares the kernels of the package for web developers with their references on Dawn, which is Chromium's WebGPU, with a Vulkan
# driver that has subgroups of eight: see check-dawn.mjs. Chromium's own software driver has subgroups of four, in which the kernels
# use none. It needs what with-coop-lavapipe.sh needs, and npm; a first call takes minutes, so CI does not run it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
# shellcheck source=tests/scripts/setup.sh
. "$here/setup.sh"
set_up
need_npm
cd "$root"
site=$(app/web/build.sh)
[[ $site = /* ]] || site=$root/$site
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/check-dawn.mjs" "$work"
cd "$work"
npm install --silent --no-fund --no-audit webgpu@0.6.2 >&2
# The root of the driver has no Node.
cp "$(readlink -f "$(command -v node)")" node
unset NODE_EXTRA_CA_CERTS
XDG_RUNTIME_DIR=$work timeout 600 "$here/with-coop-lavapipe.sh" "$work/node" "$work/check-dawn.mjs" "$site-package"
