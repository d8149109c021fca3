#!/usr/bin/env bash
# Builds lapidary if its sources changed, then runs it with the given arguments in the current folder.
#   ./run.sh                  opens the window
#   ./run.sh chat -m MODEL    chats in the terminal
#   ./run.sh --help           lists the other commands
#   ./run.sh --web [PORT]     builds the page, and serves it to browsers on this machine at port 8088 or the given one
#   ./run.sh --install-desktop      adds Lapidary to the menu of the desktop; --uninstall-desktop removes it
set -euo pipefail
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=tests/scripts/setup.sh
. "$root/tests/scripts/setup.sh"
set_up

# Prints the program's path. Cargo shows its progress when there is something to build, and prints nothing otherwise.
build() {
    local built=${CARGO_TARGET_DIR:-target}/.run.sh-built quiet=-q
    # rustup reads rust-toolchain.toml only from inside the workspace.
    cd "$root" || return
    if [ ! -e "$built" ]; then
        say "building lapidary; the first build takes several minutes"
        quiet=
    elif [ -n "$(find Cargo.toml Cargo.lock rust-toolchain.toml shaders engine app -newer "$built" -print -quit)" ]; then
        quiet=
    fi
    # The whole workspace: features then resolve as they do for the tests, and wgpu is compiled once for both.
    # Cargo's own messages say where it put the programs, of which one is for users.
    cargo build --release ${quiet:+"$quiet"} --workspace --bins --message-format json-render-diagnostics </dev/null |
        sed -n 's/.*"executable":"\([^"]*[/\\]lapidary\(\.exe\)\{0,1\}\)".*/\1/p' || return
    [ "$quiet" ] || { mkdir -p "${built%/*}" && touch "$built"; }
}

case ${1:-} in
--web)
    site=$("$root/app/web/build.sh")
    [[ $site = /* ]] || site=$root/$site
    say "the page is served until you press Ctrl+C; open it in a browser that has WebGPU"
    exec "$site-tool/release/lapidary-page-tool" serve "$site" "${2:-8088}"
    ;;
--install-desktop) set -- desktop install "${@:2}" ;;
--uninstall-desktop) set -- desktop uninstall "${@:2}" ;;
esac
binary=$(build)
exec "$binary" "$@"
