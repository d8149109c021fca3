#!/usr/bin/env bash
# Checks that the engine compiles for the browser, where the machine has what that takes: the target
# wasm32-unknown-unknown, or else the standard library's source to build it from. Elsewhere it says so and does nothing.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
target=wasm32-unknown-unknown
if [ -d "$(rustc --print target-libdir --target $target)" ]; then
    cargo check --release --target $target -p lapidary-engine
elif [ -e "$(rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ]; then
    # Building the standard library is not a stable feature; the variable lets the stable compiler do it.
    RUSTC_BOOTSTRAP=1 cargo check --release -Zbuild-std=std,panic_abort --target $target -p lapidary-engine
else
    echo "lapidary: skipping the check for the browser: rustup target add $target installs what it needs" >&2
fi
