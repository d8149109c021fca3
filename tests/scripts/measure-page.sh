#!/usr/bin/env bash
# Measures the page in Chromium on its software adapter: the guide's tokens per second beside those of the program on the same driver,
# the time of a frame while a reply streams, and the memory of the engine while a model of 4.87 GiB loads. It takes some minutes, about
# 7 GB of memory, and both cores to itself; CI does not run it.
#   measure-page.sh
set -euo pipefail
# shellcheck source=tests/scripts/page-tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/page-tools.sh"
find_chromium
# Chromium brings the driver of its software adapter.
vulkan=$(find "$(dirname "$(readlink -f "$chromium")")" /usr/lib/chromium -name vk_swiftshader_icd.json -print -quit 2>/dev/null || true)
if [ -z "$vulkan" ]; then
    say "error: Chromium's SwiftShader is not beside it"
    exit 1
fi
mkdir -p "$work/out"
cd "$work"
node measure-page.mjs "$site" "$site-tool/release/lapidary-page-tool" "$chromium" "$work/out" "$program" "$vulkan"
