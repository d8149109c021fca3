# shellcheck shell=bash
# Gets FXC, Microsoft's compiler of shaders for Direct3D. Sourced after setup.sh, not run.

# Puts FXC into Wine's drive C, where Windows has it. That of Wine 10 lacks barriers. A package of Python's index holds it, for
# programs that use Direct3D through ANGLE. $1 is a folder to download to. Wine has made its drive before.
install_fxc() {
    local root=${WINE_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/lapidary/wine} prefix=${WINEPREFIX:-$HOME/.wine} dll
    # The drive is in Wine's root, unless its folder is one that the root shares, such as /tmp.
    [ ! -d "$root$prefix/drive_c" ] || prefix=$root$prefix
    rm -rf "$1"
    mkdir -p "$1"
    need_pip && python3 -m pip download -q --no-deps --platform win_amd64 --only-binary=:all: --python-version 3.11 -d "$1" \
        kivy-deps.angle==0.5.0 && python3 -m zipfile -e "$1"/*.whl "$1" || return
    dll=$(find "$1" -name d3dcompiler_47.dll -print -quit)
    [ -n "$dll" ] || {
        say "the package kivy-deps.angle holds no d3dcompiler_47.dll"
        return 1
    }
    cp "$dll" "$prefix/drive_c/windows/system32"
}
