# shellcheck shell=bash
# Compiles Rust's standard library for targets that the toolchain has none for. Sourced after setup.sh, not run.

# Succeeds if the toolchain has the standard library of target $1.
has_target() {
    [ -d "$(rustc --print target-libdir --target "$1")" ]
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
    mirror=$(debian_mirror) || return
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

# start_objects TARGET SOURCE FOLDER: compiles the two small objects that every program of MinGW's targets is linked with.
start_objects() {
    local object
    [[ $1 == *-windows-gnu ]] || return 0
    for object in rsbegin rsend; do
        RUSTC_BOOTSTRAP=1 rustc --edition 2024 --target "$1" --cap-lints allow --emit obj -o "$3/$object.o" \
            "$2/rtstartup/$object.rs" || return
    done
}

# target_sysroot TARGET CRATES NAME: prints a folder that serves rustc as a sysroot with the standard library of a target, of
# these crates and what they need. The first call compiles it into the folder, which later calls return. Its path is NAME and a
# checksum of the list of crates, so that another list gets another folder.
target_sysroot() {
    local target=$1 crates=$2 folder new source host
    folder=$3-$(printf '%s' "$crates" | cksum | cut -d ' ' -f 1)
    if [ ! -d "$folder" ]; then
        new=$folder.new-$$
        mkdir -p "$new/crate/src" "$new/root/lib/rustlib/$target/lib"
        say "compiling Rust's standard library for $target"
        # Building the standard library is an unstable feature. The first variable permits it in the stable compiler, the second
        # names the source.
        if source=$(standard_library_source "$new/debian") &&
            printf '[package]\nname = "empty"\nedition = "2024"\n[workspace]\n' >"$new/crate/Cargo.toml" && : >"$new/crate/src/lib.rs" &&
            RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$source cargo build -q --release "-Zbuild-std=$crates" \
                --target "$target" --manifest-path "$new/crate/Cargo.toml" --target-dir "$new/target" >&2 &&
            cp "$new/target/$target"/release/deps/*.rlib "$new/root/lib/rustlib/$target/lib" &&
            start_objects "$target" "$source" "$new/root/lib/rustlib/$target/lib"; then
            # The toolchain's folder of the host has the linker for browsers.
            host=$(rustc -vV | sed -n 's/^host: //p')
            [ "$host" = "$target" ] || ln -s "$(rustc --print sysroot)/lib/rustlib/$host" "$new/root/lib/rustlib/$host"
            mv "$new/root" "$folder"
        fi
        rm -rf "$new"
    fi
    [ -d "$folder" ] && printf '%s' "$folder"
}
