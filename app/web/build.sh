#!/usr/bin/env bash
# app/web/build.sh [FOLDER]: builds the page and prints the folder that holds it, by default target/page/site. Any server of files can
# serve that folder; no special headers are needed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=tests/scripts/setup.sh
. "$root/tests/scripts/setup.sh"
# shellcheck source=tests/scripts/wasm-target.sh
. "$root/tests/scripts/wasm-target.sh"
need_cargo
need_c_compiler
cd "$root"

wasm_cargo build --locked --release -p lapidary-page >&2 || {
    [ $? -ne 3 ] || say "the page needs Rust's target for browsers. Install it with: rustup target add $wasm_target"
    exit 1
}
tool=$(cargo build --locked --release --manifest-path app/web/tool/Cargo.toml --target-dir "$wasm_target_dir-tool" \
    --message-format json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
site=${1:-$wasm_target_dir/site}
rm -rf "$site"
mkdir -p "$site/guide"
"$tool" bindgen "$wasm_target_dir/$wasm_target/release/lapidary_page.wasm" "$site"
cp app/web/site/* "$site"
cp app/guide/model/{config,generation_config,tokenizer_config,tokenizer}.json app/guide/model/model.safetensors "$site/guide"
printf '%s\n' "$site"
