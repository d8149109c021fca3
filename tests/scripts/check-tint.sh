#!/usr/bin/env bash
# Compiles every kernel as Chromium would, with Tint: see check-tint.mjs. It needs npm and an x86-64 or ARM machine, for which the
# npm package `webgpu` has Dawn; elsewhere it fails.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
# shellcheck source=tests/scripts/setup.sh
. "$here/setup.sh"
need_npm
need_cargo
cd "$root"

# The folder into which the build script of this tree has linked the kernels.
built=$(cargo build --locked --release --workspace --message-format=json |
    sed -n 's/.*"build-script-executed".*lapidary-shaders[^}]*"out_dir":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -d "$built" ] || {
    say "the folder of linked kernels was not found"
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/check-tint.mjs" "$work"
cd "$work"
# The version is fixed, because a newer Tint may refuse more.
npm install --silent --no-fund --no-audit webgpu@0.6.2 >&2
node check-tint.mjs "$built"
