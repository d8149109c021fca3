# shellcheck shell=bash disable=SC2034,SC2164 # Variables for the scripts that source it; these end on errors.
# Builds the page and gets what drives a browser over it. Sourced by check-page.sh, check-firefox.sh and measure-page.sh, not run. Sets
# `here`, `program`, `site`, and the folder `work`, in which Node's scripts find what they need. It ends the script where something
# cannot be had.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
# shellcheck source=tests/scripts/setup.sh
. "$here/setup.sh"
set_up
need_npm || {
    say "SKIPPED: the test of the page, which needs npm"
    exit 0
}
cd "$root"

# The program, whose answers those of the page must equal.
program=$(cargo build --locked --release --workspace --bins --message-format json-render-diagnostics </dev/null |
    sed -n 's/.*"executable":"\([^"]*\/lapidary\)".*/\1/p')
site=$(app/web/build.sh) || {
    status=$?
    [ $status -eq 3 ] || exit $status
    say "SKIPPED: the test of the page"
    exit 0
}
[[ $site = /* ]] || site=$root/$site

# find_chromium: sets `chromium`, or ends the script where there is none.
find_chromium() {
    chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
    if [ -z "$chromium" ] && is_debian; then
        apt_install "a test drives the page in it" chromium && chromium=$(command -v chromium)
    fi
    if [ -z "$chromium" ]; then
        say "SKIPPED: the test of the page, which needs Chromium"
        exit 0
    fi
}

# make_page_files FOLDER: what check-page.mjs finds there.
make_page_files() {
    mkdir -p "$1"
    rm -rf "$1/profile" "$1/What is Lapidary.md"
    "$program" run -m guide --temperature 0 "What is Lapidary?" >"$1/answer.txt"
    "$program" quantize guide --weights q8_0 --force -o "$1/model.gguf" >&2
    # In its own format it answers as the built-in one does.
    "$program" quantize guide --weights bf16 --force -o "$1/guide.gguf" >&2
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/*.mjs "$work"
(cd "$work" && PUPPETEER_SKIP_DOWNLOAD=1 npm install --silent --no-fund --no-audit puppeteer-core@24.15.0 >&2)
