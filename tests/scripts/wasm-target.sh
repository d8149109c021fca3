# shellcheck shell=bash
# Runs Cargo for the browser's target. Sourced after setup.sh, not run.

wasm_target=wasm32-unknown-unknown

# shellcheck source=tests/scripts/target-sysroot.sh
. "$(dirname "${BASH_SOURCE[0]}")/target-sysroot.sh"

# wasm_cargo COMMAND [ARG...]: runs Cargo for the browser. Fails with 3 if this machine has neither the target nor the standard
# library's source, and cannot get them. LAPIDARY_BUILD_STD=1 compiles the standard library also where the target is installed.
wasm_cargo() {
    local sysroot
    if [ "${LAPIDARY_BUILD_STD:-}" != 1 ]; then
        # A failure shows below: some machines can download crates but not Rust's components.
        has_target $wasm_target || ! command -v rustup >/dev/null || rustup -q target add $wasm_target >&2 || true
        if has_target $wasm_target; then
            cargo "$@" --target $wasm_target
            return
        fi
    fi
    sysroot=${XDG_CACHE_HOME:-$HOME/.cache}/lapidary/wasm-sysroot-$(rustc --version | cut -d ' ' -f 2)
    sysroot=$(target_sysroot $wasm_target std,panic_abort "$sysroot") || return 3
    # The variable takes the place of the flags in .cargo/config.toml. Cargo splits it at the character 1f, so that the
    # path may have spaces.
    CARGO_ENCODED_RUSTFLAGS=$'--cfg\x1fgetrandom_backend="wasm_js"\x1f--sysroot\x1f'$sysroot cargo "$@" --target $wasm_target
}
