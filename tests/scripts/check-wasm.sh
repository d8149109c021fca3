#!/usr/bin/env bash
# Checks that the engine compiles for the browser, without the page. This needs the target wasm32-unknown-unknown, or the source of
# the standard library to build it from: see wasm-target.sh. If neither can be had, the script says that it skips the check.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
# shellcheck source=tests/scripts/setup.sh
. tests/scripts/setup.sh
# shellcheck source=tests/scripts/wasm-target.sh
. tests/scripts/wasm-target.sh
wasm_cargo check --locked --release -p lapidary-engine && status=0 || status=$?
if [ "$status" -eq 3 ]; then
    say "SKIPPED: whether the engine compiles for the browser; install the target with: rustup target add $wasm_target"
    status=0
fi
exit "$status"
