#!/usr/bin/env bash
# check-firefox.sh [FOLDER]
# Builds the page and drives Firefox over it: the same as check-page.sh does with Chromium, see check-page.mjs. It leaves pictures in
# FOLDER. It needs Debian and its root user, and gets a Firefox that has WebGPU (with-firefox.sh), so CI does not run it.
set -euo pipefail
out=${1:+$(realpath -m -- "$1")}
"$(dirname "${BASH_SOURCE[0]}")/with-firefox.sh" --version
# shellcheck source=tests/scripts/page-tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/page-tools.sh"

out=${out:-$work/out}
make_page_files "$out"
# Firefox sees the folders that such variables name.
export LAPIDARY_PAGE_FOLDER=$out
cd "$work"
node check-page.mjs "$site" "$site-tool/release/lapidary-page-tool" "$here/with-firefox.sh" "$out" firefox
