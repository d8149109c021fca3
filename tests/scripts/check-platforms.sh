#!/usr/bin/env bash
# check-platforms.sh [windows] [linux-arm64] [macos] [android]
# Checks Lapidary for systems that CI does not have, by default for all of them, and ends with a table of what was checked, what
# failed, and what could not be checked and why. Fails if a check fails.
#
# windows: the program and tests for x86_64-pc-windows-gnu, which run in Wine on lavapipe (with-wine.sh).
# linux-arm64: the program for aarch64-unknown-linux-gnu, which runs in qemu on lavapipe.
# macos, android: `cargo check` only. Nothing here can run what it makes.
#
# It needs Debian on x86-64 and its root user, takes up to two hours on two cores and 6 GB, so CI does not run it. It installs
# compilers and qemu, and keeps two roots of another Debian and the standard libraries in ~/.cache/lapidary. All output of the
# commands is in target/platforms.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/scripts/setup.sh
. "$here/setup.sh"
# shellcheck source=tests/scripts/target-sysroot.sh
. "$here/target-sysroot.sh"
# shellcheck source=tests/scripts/fxc.sh
. "$here/fxc.sh"
cd "$here/../.."
if [ "$(id -u)" -ne 0 ] || ! is_debian || [ "$(uname -m)" != x86_64 ]; then
    say "check-platforms.sh needs Debian on x86-64 and its root user"
    exit 1
fi
need_cargo
need_c_compiler
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lapidary
out=${CARGO_TARGET_DIR:-target}
case $out in /*) ;; *) out=$PWD/$out ;; esac
logs=$out/platforms
mkdir -p "$logs"
# Optimizing takes most of the time, and drivers do most of the work. So libraries are not optimized, and our own code little.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_TERM_PROGRESS_WHEN=never

rows=()
failures=0

# check PLATFORM WHAT COMMAND...: runs a command, and adds a row with its result to the table.
check() {
    local platform=$1 what=$2 log status=0 seconds=$SECONDS note
    shift 2
    log=$logs/$platform-$(tr -c 'a-z0-9\n' - <<<"${what,,}").log
    say "$platform: $what"
    # Wine's programs must not wait for a person.
    "$@" >"$log" 2>&1 </dev/null || status=$?
    # The table has one row for each check, so of several lines it gets the one that says most.
    if [ $status -eq 0 ]; then
        note=$(grep -aE '^test result: |tokens/s|tokens per second|kernels? .*right|\(.*(Vulkan|vulkan).*\)' "$log" | tail -n 1 | tr -d '\r' | cut -c 1-100) || true
        rows+=("$platform|$what|ok|$((SECONDS - seconds)) s${note:+; $note}")
    else
        failures=$((failures + 1))
        note=$(grep -aE '^error|panicked|FAILED|^lapidary: ' "$log" | head -n 1 | tr -d '\r' | cut -c 1-160) || true
        rows+=("$platform|$what|FAILED|status $status; ${note:-see ${log#"$PWD/"}}")
    fi
    return $status
}

# unchecked PLATFORM WHAT WHY: adds a row of what nothing here can check.
unchecked() {
    rows+=("$1|$2|not checked|$3")
}

# cross TARGET COMMAND...: runs a Cargo command for a target, with its standard library compiled here.
cross() {
    local target=$1 sysroot
    shift
    # Tests need what a panic unwinds with, and the crate `test`.
    sysroot=$(target_sysroot "$target" std,panic_unwind,panic_abort,test "$cache/sysroot-$target-$(rustc --version | cut -d ' ' -f 2)") || {
        say "error: no standard library for $target"
        return 3
    }
    # Cargo splits these flags at the character 1f, so that the path may have spaces.
    CARGO_ENCODED_RUSTFLAGS=$'--sysroot\x1f'$sysroot cargo "$@" --locked --release --target "$target" \
        --config 'profile.release.package."*".opt-level=0'
}

# A folder of stand-ins for a C compiler and its archiver, which compile nothing. `cargo check` reads no objects. Only with them
# can it go on after the build scripts of SQLite and of the TLS library's assembler.
stub_compiler() {
    local folder=$logs/stub
    mkdir -p "$folder"
    cat >"$folder/cc" <<'STUB'
#!/bin/sh
# Makes an empty output. With `-E` it is asked for its family, and with `-?` whether it takes the options of Microsoft's compiler.
case " $* " in
*' -? '*) exit 1 ;;
*' -E '*) echo '"clang"'; exit ;;
esac
for argument; do
    [ "${previous:-}" != -o ] || : >"$argument"
    previous=$argument
done
STUB
    cat >"$folder/ar" <<'STUB'
#!/bin/sh
for argument; do
    case $argument in
    *.a) : >"$argument" ;;
    esac
done
STUB
    chmod +x "$folder"/*
    printf '%s' "$folder"
}

# with_stubs TARGET COMMAND...: the same as `cross`, with a C compiler that compiles nothing.
with_stubs() (
    stub=$(stub_compiler)
    variable=${1//-/_}
    export "CC_$variable=$stub/cc" "CXX_$variable=$stub/cc" "AR_$variable=$stub/ar" "RANLIB_$variable=true" SDKROOT="$stub"
    cross "$@"
)

# The guide must tell what Lapidary is.
answers() {
    local reply
    reply=$("$@" run -m guide --temperature 0 --max-tokens 40 "What is Lapidary?") &&
        printf '%s\n' "$reply" && [[ $reply == *Lapidary* ]]
}

# A model is written to a folder with a space. The folder is added, and the model listed by its path as people write it.
windows_paths() {
    local folder="$logs/a folder" windows
    windows=Z:${folder//\//\\}
    rm -rf "$folder"
    mkdir -p "$folder/publisher/repository"
    # Only files that open as models are listed. Prefixed paths of Windows begin with \\?\ and are not for people.
    "$@" quantize guide --weights q8_0 -o "$windows\\publisher\\repository\\a b.gguf" &&
        "$@" models --add "$windows" | tee "$logs/models.txt" && "$@" models | tee -a "$logs/models.txt" &&
        grep -F 'publisher/repository/a b.gguf' "$logs/models.txt" && ! grep -F '?' "$logs/models.txt"
}

# Wine has Direct3D only on a display.
start_display() {
    need_test_display
    rm -f "$logs/display"
    Xvfb -displayfd 3 -screen 0 1280x900x24 3>"$logs/display" >"$logs/xvfb.log" 2>&1 &
    xvfb=$!
    trap 'kill $xvfb 2>/dev/null || true' EXIT
    local tries=0
    until [ -s "$logs/display" ]; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || return 1
        sleep 0.1
    done
    DISPLAY=:$(<"$logs/display")
    export DISPLAY
}

windows() {
    local target=x86_64-pc-windows-gnu program=$out/x86_64-pc-windows-gnu/release/lapidary.exe wine=$here/with-wine.sh device
    command -v x86_64-w64-mingw32-gcc x86_64-w64-mingw32-windres >/dev/null ||
        apt_install "compiles C code and links programs for Windows" gcc-mingw-w64-x86-64-win32 || {
        unchecked windows "everything" "the C compiler for Windows could not be installed"
        return 0
    }
    check windows "the program is built" cross $target build --workspace --bin lapidary || return 0
    start_display || unchecked windows "Direct3D 12, the window" "the virtual display does not start"
    check windows "devices" "$wine" "$program" devices || return 0
    device=$(sed -n 's/^\([0-9]*\) .*dx12.*/\1/p' "$logs/windows-devices.log" | head -n 1)
    # Wine's Direct3D calls itself a GPU, so it would be chosen before Vulkan.
    export LAPIDARY_ADAPTER=software
    check windows "the guide answers" answers "$wine" "$program" || true
    check windows "paths" windows_paths "$wine" "$program" || true
    check windows "bench of the guide" "$wine" "$program" bench -m guide -p 16 -n 128 || true
    check windows "every kernel on noise (lapidary check)" "$wine" "$program" check || true
    export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$wine
    check windows "tests of the kernels" cross $target test --workspace --test kernels || true
    check windows "tests of the libraries" cross $target test --workspace --lib --no-fail-fast || true
    if [ -n "$device" ] && install_fxc "$logs/fxc"; then
        export LAPIDARY_ADAPTER=$device
        check windows "Direct3D 12: the guide answers" answers "$wine" "$program" || true
        check windows "Direct3D 12: bench of the guide" "$wine" "$program" bench -m guide -p 16 -n 128 || true
        # FXC compiles some kernels for minutes, and this asks for all that a GPU of these capabilities could get.
        check windows "Direct3D 12: every kernel on noise" timeout 3600 "$wine" "$program" check || true
    else
        unchecked windows "Direct3D 12" "wgpu lists no adapter of Wine's vkd3d, or FXC could not be fetched"
    fi
    unset LAPIDARY_ADAPTER
    unchecked windows "Microsoft's compiler, DirectX on a GPU, a real console" "they need Windows"
}

# A folder with the libraries of Debian for arm64 that lapidary loads. Nothing in it is run at its installation.
arm64_root() {
    local folder=$cache/arm64-lapidary mirror apt deb new
    if [ ! -d "$folder" ]; then
        new=$folder.new-$$
        mkdir -p "$new"/root/usr/lib "$new"/{lists,archives}/partial
        ln -s usr/lib "$new/root/lib"
        mirror=$(debian_mirror) || return
        : >"$new/status"
        printf 'deb %s trixie main\n' "$mirror" >"$new/sources.list"
        apt=(-qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o "Dir::State::status=$new/status"
            -o "Dir::Etc::SourceList=$new/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$new/lists"
            -o "Dir::Cache=$new" -o APT::Sandbox::User=)
        apt-get "${apt[@]}" update >&2 || return
        apt-get "${apt[@]}" install -y --download-only --no-install-recommends libvulkan1 mesa-vulkan-drivers >&2 || return
        for deb in "$new"/archives/*.deb; do
            dpkg-deb -x "$deb" "$new/root" || return
        done
        mv "$new/root" "$folder"
        rm -rf "$new"
    fi
    printf '%s' "$folder"
}

linux_arm64() {
    local target=aarch64-unknown-linux-gnu program=$out/aarch64-unknown-linux-gnu/release/lapidary root run
    command -v aarch64-linux-gnu-gcc >/dev/null ||
        apt_install "compiles C code and links programs for arm64" gcc-aarch64-linux-gnu libc6-dev-arm64-cross || {
        unchecked linux-arm64 "everything" "the C compiler for arm64 could not be installed"
        return 0
    }
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    check linux-arm64 "the program is built" cross $target build --workspace --bin lapidary || return 0
    command -v qemu-aarch64 >/dev/null || apt_install "runs programs for arm64" qemu-user || {
        unchecked linux-arm64 "the program in qemu" "qemu could not be installed"
        return 0
    }
    root=$(arm64_root) || {
        unchecked linux-arm64 "the program in qemu" "Debian's packages for arm64 could not be fetched"
        return 0
    }
    run=(env "VK_DRIVER_FILES=$root/usr/share/vulkan/icd.d/lvp_icd.json" qemu-aarch64 -L "$root" "$program")
    check linux-arm64 "devices" "${run[@]}" devices || return 0
    check linux-arm64 "the guide answers" answers "${run[@]}" || true
    unchecked linux-arm64 "the drivers of arm64 GPUs, the window" "they need the machine"
}

macos() {
    check macos "cargo check, C code left out" with_stubs aarch64-apple-darwin check --workspace --bin lapidary || true
    unchecked macos "C code (SQLite, ring), linking, Metal, the window, the keychain" "they need Apple's SDK and a Mac"
}

android() {
    check android "cargo check of the engine" with_stubs aarch64-linux-android check -p lapidary-engine || true
    unchecked android "the app" "it has no Android activity; winit compiles only for an app that chooses one"
    unchecked android "linking and running" "they need Android's NDK and a device"
}

[ $# -gt 0 ] || set -- windows linux-arm64 macos android
for platform; do
    case $platform in
    windows | macos | android) "$platform" ;;
    linux-arm64) linux_arm64 ;;
    *)
        say "usage: check-platforms.sh [windows] [linux-arm64] [macos] [android]"
        exit 2
        ;;
    esac
done

for row in "platform|what|result|note" "${rows[@]}"; do
    IFS='|' read -r platform what result note <<<"$row"
    printf '%-11s  %-43s  %-11s  %s\n' "$platform" "$what" "$result" "$note"
done
[ $failures -eq 0 ]
