#!/usr/bin/env bash
# check-fxc.sh [KERNEL...]
# Compiles the kernels' HLSL with FXC, the compiler that Direct3D 12 has on Windows, in Wine (with-wine.sh). KERNEL is the name of a
# variant, such as matvec.q4_0; by default all without subgroups and matrices are compiled, which takes long. Prints each with its
# time, and fails if FXC refuses one. Needs Debian on x86-64 and its root user.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/scripts/setup.sh
. "$here/setup.sh"
# shellcheck source=tests/scripts/fxc.sh
. "$here/fxc.sh"
set_up
cd "$here/../.."
command -v x86_64-w64-mingw32-gcc >/dev/null || apt_install "compiles C code for Windows" gcc-mingw-w64-x86-64-win32
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/hlsl"
LAPIDARY_HLSL=$work/hlsl cargo test -q --release --workspace --test shaders -- --ignored hlsl_for_fxc_is_written >&2
x86_64-w64-mingw32-gcc -O1 "$here/fxc.c" -o "$work/fxc.exe" -ld3dcompiler_47 -ldxguid
# Without arguments it only makes Wine's drive C.
"$here/with-wine.sh" "$work/fxc.exe" >/dev/null
install_fxc "$work/download"
cd "$work/hlsl"
files=()
for kernel; do
    files+=("$kernel.hlsl")
done
[ $# -gt 0 ] || files=(*.hlsl)
"$here/with-wine.sh" "$work/fxc.exe" "${files[@]}"
