#!/usr/bin/env bash
# Builds the page and the package for web developers, prints the sizes of the page, and drives Chromium over both: see check-page.mjs and
# check-package.mjs. It needs npm, Chromium and Rust's target for browsers; on Debian it installs the first two and can build the
# last. Elsewhere it says that it skips the check.
#   check-page.sh [FOLDER]    leaves pictures of the page in FOLDER
set -euo pipefail
out=${1:+$(realpath -m -- "$1")}
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
"$here/page-sizes.sh" "$site"

chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$chromium" ] && is_debian; then
    apt_install "a test drives the page in it" chromium && chromium=$(command -v chromium)
fi
if [ -z "$chromium" ]; then
    say "SKIPPED: the test of the page, which needs Chromium"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=${out:-$work/out}
mkdir -p "$out"
rm -rf "$out/profile" "$out/What is Lapidary.md"
"$program" run -m guide --temperature 0 "What is Lapidary?" >"$out/answer.txt"
"$program" quantize guide --weights q8_0 --force -o "$out/model.gguf" >&2
# In its own format it answers as the built-in one does.
"$program" quantize guide --weights bf16 --force -o "$out/guide.gguf" >&2

cp "$here"/{check-page,fake-hub,check-package,package-tests}.mjs "$work"
cd "$work"
PUPPETEER_SKIP_DOWNLOAD=1 npm install --silent --no-fund --no-audit puppeteer-core@24.15.0 >&2
timeout 330 node check-page.mjs "$site" "$site-tool/release/lapidary-page-tool" "$chromium" "$out"
# CI must end in time.
if [ "${CI:-}" = true ] && [ "$SECONDS" -gt 420 ]; then
    say "SKIPPED: the test of the package for web developers, because that of the page took $((SECONDS / 60)) minutes"
    exit 0
fi
timeout 400 node check-package.mjs "$site-package" "$chromium" "$out"
