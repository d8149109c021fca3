#!/usr/bin/env bash
# Checks that the engine compiles for the browser. This needs the target wasm32-unknown-unknown, or the source of the standard
# library to build it from. With CI=true rustup fetches one of them. If neither is there, the script says that it skips the
# check.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
target=wasm32-unknown-unknown
# A separate target folder: a standard library built from source would make Cargo rebuild everything else.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/check-wasm

has_target() {
    [ -d "$(rustc --print target-libdir --target $target)" ]
}
has_source() {
    [ -e "$(rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ]
}

if [ "${CI:-}" = true ] && ! has_target && ! has_source && command -v rustup >/dev/null; then
    # A failure shows below: some machines can download crates but not Rust's components.
    rustup target add $target >&2 || rustup component add rust-src >&2 || true
fi
if has_target; then
    cargo check --locked --release --target $target -p lapidary-engine
elif has_source; then
    # Building the standard library is an unstable feature. The variable permits it in the stable compiler.
    RUSTC_BOOTSTRAP=1 cargo check --locked --release -Zbuild-std=std,panic_abort --target $target -p lapidary-engine
else
    echo "lapidary: SKIPPED: whether the engine compiles for the browser; install the target with: rustup target add $target" >&2
fi
