# shellcheck shell=bash
# Runs Cargo for the browser's target. Sourced after setup.sh, not run.

wasm_target=wasm32-unknown-unknown

has_wasm_target() {
    [ -d "$(rustc --print target-libdir --target $wasm_target)" ]
}

# The mirror that this system's packages come from; nothing before apt has lists.
debian_mirror() {
    apt-get indextargets --format "\$(REPO_URI)" 'Label: Debian' 'Component: main' | sed -n 1p
}

# Prints the folder of the standard library's source: the toolchain's, or what Debian has for this version of Rust, which is
# unpacked into the folder $1. Nothing is installed, so the system's own Rust stays as it is.
standard_library_source() {
    local version apt mirror package source
    source=$(rustc --print sysroot)/lib/rustlib/src/rust/library
    if [ -e "$source/Cargo.lock" ]; then
        printf '%s' "$source"
        return
    fi
    is_debian || return
    version=$(rustc --version | cut -d ' ' -f 2)
    mirror=$(debian_mirror)
    if [ -z "$mirror" ]; then
        apt_get update >&2 || return
        mirror=$(debian_mirror)
    fi
    [ -n "$mirror" ] || return
    mkdir -p "$1"/{lists,archives}/partial
    printf 'deb %s trixie-backports main\n' "$mirror" >"$1/sources.list"
    apt=(-qq -o "Dir::Etc::SourceList=$1/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$1/lists"
        -o "Dir::Cache=$1" -o APT::Sandbox::User=)
    apt-get "${apt[@]}" update >&2 || return
    package=$(apt-cache "${apt[@]}" madison rust-src | awk -v version="$version" 'index($3, version "+") == 1 { print $3; exit }')
    [ -n "$package" ] || return
    (cd "$1" && apt-get "${apt[@]}" download "rust-src=$package" >&2) || return
    dpkg-deb -x "$1"/rust-src_*.deb "$1/unpacked" || return
    printf '%s' "$1/unpacked/usr/src/rustc-$version/library"
}

# Prints a folder that serves rustc as a sysroot with the standard library for browsers, which the first call compiles.
wasm_sysroot() {
    local folder new source host
    folder=${XDG_CACHE_HOME:-$HOME/.cache}/lapidary/wasm-sysroot-$(rustc --version | cut -d ' ' -f 2)
    if [ ! -d "$folder" ]; then
        new=$folder.new-$$
        mkdir -p "$new/crate/src" "$new/root/lib/rustlib/$wasm_target/lib"
        say "compiling Rust's standard library for the browser"
        # Building the standard library is an unstable feature. The first variable permits it in the stable compiler, the second
        # names the source.
        if source=$(standard_library_source "$new/debian") &&
            printf '[package]\nname = "empty"\nedition = "2024"\n[workspace]\n' >"$new/crate/Cargo.toml" && : >"$new/crate/src/lib.rs" &&
            RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$source cargo build -q --release -Zbuild-std=std,panic_abort \
                --target $wasm_target --manifest-path "$new/crate/Cargo.toml" --target-dir "$new/target" >&2 &&
            cp "$new"/target/$wasm_target/release/deps/*.rlib "$new/root/lib/rustlib/$wasm_target/lib"; then
            # The linker for browsers is in the toolchain's folder of the host.
            host=$(rustc -vV | sed -n 's/^host: //p')
            ln -s "$(rustc --print sysroot)/lib/rustlib/$host" "$new/root/lib/rustlib/$host"
            mv "$new/root" "$folder"
        fi
        rm -rf "$new"
    fi
    [ -d "$folder" ] && printf '%s' "$folder"
}

# wasm_cargo COMMAND [ARG...]: runs Cargo for the browser. Fails with 3 if this machine has neither the target nor the standard
# library's source, and cannot get them. LAPIDARY_BUILD_STD=1 compiles the standard library also where the target is installed.
wasm_cargo() {
    local sysroot
    if [ "${LAPIDARY_BUILD_STD:-}" != 1 ]; then
        # A failure shows below: some machines can download crates but not Rust's components.
        has_wasm_target || ! command -v rustup >/dev/null || rustup -q target add $wasm_target >&2 || true
        if has_wasm_target; then
            cargo "$@" --target $wasm_target
            return
        fi
    fi
    sysroot=$(wasm_sysroot) || return 3
    # The variable takes the place of the flags in .cargo/config.toml.
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="--cfg getrandom_backend=\"wasm_js\" --sysroot $sysroot" \
        cargo "$@" --target $wasm_target
}
