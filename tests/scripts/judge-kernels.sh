#!/usr/bin/env bash
# judge-kernels.sh [--check] [--all] [GPU...]
# Compiles the kernels with Mesa's compilers for GPUs that need not be there, and writes what they made of the hot kernels to
# tests/KERNELS.md. It fails if a compiler refuses a kernel, spills registers or needs scratch memory.
#
# --check   writes nothing, and fails if the figures are not those in tests/KERNELS.md. Figures of another version of Mesa are
#           not compared; spills are still looked for.
# --all     also the kernels for browsers, which have no subgroups and no matrices
# GPU       those of with-fake-gpu.sh; without any, all of them
#
# Needs Debian on x86-64 and its root user. Elsewhere it says so and does nothing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
# shellcheck source=tests/scripts/setup.sh
. "$here/setup.sh"
table=$root/tests/KERNELS.md
every=(ampere navi21 navi31 gfx1201 m1 adreno740)

check=no
options=()
gpus=()
for argument; do
    case $argument in
    --check) check=yes ;;
    --all) options+=(--all) ;;
    -*)
        say "usage: judge-kernels.sh [--check] [--all] [GPU...]"
        exit 2
        ;;
    *) gpus+=("$argument") ;;
    esac
done
[ ${#gpus[@]} -gt 0 ] || gpus=("${every[@]}")

if [ "$(id -u)" -ne 0 ] || ! is_debian || [ "$(uname -m)" != x86_64 ]; then
    say "SKIPPED: the judge of kernels, whose drivers need Debian on x86-64 and its root user"
    exit 0
fi
need_cargo
need_c_compiler
cd "$root"
# The whole workspace, so that dependencies are those that the tests were built with.
cargo build --locked --release --workspace --bin judge-kernels
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd -P)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The section of a GPU in a table.
section() {
    awk -v gpu="$1" '/^## / { shown = $2 == gpu ":" } shown' "$2"
}

failed=no
for gpu in "${gpus[@]}"; do
    new=$work/$gpu.md
    "$here/with-fake-gpu.sh" "$gpu" "$target/release/judge-kernels" "$gpu" ${options[@]+"${options[@]}"} >"$new" || failed=yes
    # After a crash of the compiler at most the head of a section is there.
    if ! grep -q '^| .*[0-9] |' "$new"; then
        say "$gpu: there are no new figures, so tests/KERNELS.md keeps the old ones"
        rm "$new"
        failed=yes
        continue
    fi
    [ $check = yes ] || continue
    section "$gpu" "$table" >"$work/old"
    if ! [ -s "$work/old" ]; then
        say "$gpu: tests/KERNELS.md has no section of it"
        failed=yes
    elif [ "$(head -n 1 "$work/old")" != "$(head -n 1 "$new")" ]; then
        say "SKIPPED: the figures of $gpu are not compared. The table has \"$(head -n 1 "$work/old")\", here is \"$(head -n 1 "$new")\""
    elif ! diff -u --label "tests/KERNELS.md" --label "now" <(sed '/^$/d' "$work/old") <(sed '/^$/d' "$new") >&2; then
        say "$gpu: the figures differ from tests/KERNELS.md. If they are meant to, run tests/scripts/judge-kernels.sh $gpu"
        failed=yes
    fi
done

if [ $check = no ]; then
    {
        sed -n '1,/^<!-- figures/p' "$table"
        for gpu in "${every[@]}"; do
            echo
            if [ -s "$work/$gpu.md" ]; then sed -e '$a\' "$work/$gpu.md"; else section "$gpu" "$table" | sed -e '${/^$/d}'; fi
        done
    } >"$work/table"
    cat -s "$work/table" >"$table"
fi
[ $failed = no ]
