#!/usr/bin/env bash
# Builds lapidary where needed, then runs it with the given arguments in the folder that you are in.
#   ./run.sh                  opens the window
#   ./run.sh chat -m MODEL    chats in the terminal
#   ./run.sh --help           says what else there is
set -euo pipefail
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=tests/scripts/setup.sh
. "$root/tests/scripts/setup.sh"
set_up

# Prints the program's path. Cargo shows its progress when there is something to build, and not a line when there is not.
build() {
    local built=${CARGO_TARGET_DIR:-target}/.run.sh-built quiet=-q
    # rust-toolchain.toml counts only from inside the workspace.
    cd "$root" || return
    if [ ! -e "$built" ]; then
        say "building lapidary; the first time takes a few minutes"
        quiet=
    elif [ -n "$(find Cargo.toml Cargo.lock rust-toolchain.toml shaders engine app -newer "$built" -print -quit)" ]; then
        quiet=
    fi
    # The whole workspace, so that features resolve as for the tests and wgpu is compiled once for both.
    # Where the program is, cargo itself knows best.
    cargo build --release ${quiet:+"$quiet"} --workspace --bins --message-format json-render-diagnostics </dev/null |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' || return
    [ "$quiet" ] || { mkdir -p "${built%/*}" && touch "$built"; }
}

binary=$(build)
exec "$binary" "$@"
