#!/usr/bin/env bash
# Builds the page and the package for web developers, prints the sizes of the page, and drives Chromium over both: see check-page.mjs and
# check-package.mjs. It needs npm, Chromium and Rust's target for browsers; on Debian it installs the first two and can build the
# last. Elsewhere it says that it skips the check.
#   check-page.sh [FOLDER]    leaves pictures of the page in FOLDER
set -euo pipefail
out=${1:+$(realpath -m -- "$1")}
# shellcheck source=tests/scripts/page-tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/page-tools.sh"
find_chromium
"$here/page-sizes.sh" "$site"

out=${out:-$work/out}
make_page_files "$out"
cd "$work"
timeout 330 node check-page.mjs "$site" "$site-tool/release/lapidary-page-tool" "$chromium" "$out"
# CI must end in time.
if [ "${CI:-}" = true ] && [ "$SECONDS" -gt 420 ]; then
    say "SKIPPED: the test of the package for web developers, because that of the page took $((SECONDS / 60)) minutes"
    exit 0
fi
timeout 400 node check-package.mjs "$site-package" "$chromium" "$out"
