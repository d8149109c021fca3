#!/usr/bin/env bash
# Checks that the engine compiles for the browser, where the machine has what that takes: the target
# wasm32-unknown-unknown, or else the standard library's source to build it from. CI=true lets rustup fetch one of them.
# Elsewhere, and where nothing can be fetched, it says that it checks nothing.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
target=wasm32-unknown-unknown
# A folder of its own: a standard library from source would have everything else built anew, too.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/check-wasm

has_target() {
    [ -d "$(rustc --print target-libdir --target $target)" ]
}
has_source() {
    [ -e "$(rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ]
}

if [ "${CI:-}" = true ] && ! has_target && ! has_source && command -v rustup >/dev/null; then
    # Whatever comes of it shows below: some machines reach crates but not Rust's own downloads.
    rustup target add $target >&2 || rustup component add rust-src >&2 || true
fi
if has_target; then
    cargo check --locked --release --target $target -p lapidary-engine
elif has_source; then
    # Building the standard library is not a stable feature; the variable lets the stable compiler do it.
    RUSTC_BOOTSTRAP=1 cargo check --locked --release -Zbuild-std=std,panic_abort --target $target -p lapidary-engine
else
    echo "lapidary: SKIPPED: whether the engine compiles for the browser; rustup target add $target installs what it takes" >&2
fi
