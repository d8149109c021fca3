# shellcheck shell=bash
# Runs Cargo for the browser's target. Sourced after setup.sh, not run.

wasm_target=wasm32-unknown-unknown

has_wasm_target() {
    [ -d "$(rustc --print target-libdir --target $wasm_target)" ]
}
# The folder of the standard library's source in the toolchain.
toolchain_source() {
    printf '%s/lib/rustlib/src/rust/library' "$(rustc --print sysroot)"
}

# Prints the folder of the standard library's source as Debian has it for this version of Rust, and unpacks it at the first call.
# Nothing is installed, so the system's own Rust stays as it is.
debian_source() {
    local version folder apt new mirror package
    version=$(rustc --version | cut -d ' ' -f 2)
    folder=${XDG_CACHE_HOME:-$HOME/.cache}/lapidary/rust-src-$version
    if [ ! -e "$folder/library/Cargo.lock" ]; then
        is_debian || return
        mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Label: Debian' 'Component: main' | sed -n 1p)
        new=$folder.new-$$
        mkdir -p "$new"/{lists/partial,archives/partial,unpacked}
        printf 'deb %s trixie-backports main\n' "${mirror:-http://deb.debian.org/debian}" >"$new/sources.list"
        apt=(-qq -o "Dir::Etc::SourceList=$new/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$new/lists"
            -o "Dir::Cache=$new" -o APT::Sandbox::User=root)
        say "fetching the source of Rust's standard library $version, to compile it for the browser"
        if apt-get "${apt[@]}" update >&2 &&
            package=$(apt-cache "${apt[@]}" madison rust-src | awk -v version="$version" 'index($3, version "+") == 1 { print $3; exit }') &&
            [ -n "$package" ] && (cd "$new" && apt-get "${apt[@]}" download "rust-src=$package" >&2) &&
            dpkg-deb -x "$new"/rust-src_*.deb "$new/unpacked"; then
            rm -rf "$folder"
            mv "$new/unpacked/usr/src/rustc-$version" "$folder"
        fi
        rm -rf "$new"
    fi
    [ -e "$folder/library/Cargo.lock" ] && printf '%s/library' "$folder"
}

# wasm_cargo COMMAND [ARG...]: runs Cargo for the browser. Fails with 3 if this machine has neither the target nor the standard
# library's source and cannot get them. It uses a separate target folder, because a standard library from source would make Cargo
# rebuild everything else.
wasm_cargo() {
    local source
    export CARGO_TARGET_DIR=$wasm_target_dir
    if ! has_wasm_target && [ ! -e "$(toolchain_source)/Cargo.lock" ] && command -v rustup >/dev/null; then
        # A failure shows below: some machines can download crates but not Rust's components.
        rustup -q target add $wasm_target >&2 || true
    fi
    if has_wasm_target && [ "${LAPIDARY_BUILD_STD:-}" != 1 ]; then
        cargo "$@" --target $wasm_target
    elif { source=$(toolchain_source) && [ -e "$source/Cargo.lock" ]; } || source=$(debian_source); then
        # Building the standard library is an unstable feature. The first variable permits it in the stable compiler, the second
        # names the source where it is not in the toolchain.
        RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$source cargo "$@" -Zbuild-std=std,panic_abort --target $wasm_target
    else
        return 3
    fi
}
wasm_target_dir=${CARGO_TARGET_DIR:-target}/page
