#!/usr/bin/env bash
# app/web/build.sh [FOLDER]: builds the page and prints the folder that holds it, by default target/page. Any server of files can
# serve that folder; no special headers are needed. Beside it, with -package at the end of its name, is the package for web
# developers, in which `npm pack` works, with its example. Exits with 3 where this machine's Rust cannot compile for browsers.
set -euo pipefail
site=${1:+$(realpath -m -- "$1")}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=tests/scripts/setup.sh
. "$root/tests/scripts/setup.sh"
# shellcheck source=tests/scripts/wasm-target.sh
. "$root/tests/scripts/wasm-target.sh"
need_cargo
need_c_compiler
cd "$root"

# The page is downloaded, so its size counts, except that of the engine, which converts weights while it loads them, and of checksums. These are not a
# separate profile, because Cargo would build all build scripts and macros once more for it.
target=${CARGO_TARGET_DIR:-target}
wasm_cargo build --locked --release -p lapidary-page -p lapidary-sandbox -p lapidary-web --config 'profile.release.opt-level="s"' \
    --config 'profile.release.package.lapidary-engine.opt-level=3' --config 'profile.release.package.sha2.opt-level=3' >&2 || {
    status=$?
    [ $status -ne 3 ] || say "the page needs Rust's target for browsers. Install it with: rustup target add $wasm_target"
    exit $status
}
tool=$(cargo build --locked --release --manifest-path app/web/tool/Cargo.toml --target-dir "$target/page-tool" \
    --message-format json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
site=${site:-$target/page}
package=$site-package
# Only what an earlier build made is replaced.
for made in "$site/offline.js" "$package/lapidary.js"; do
    folder=${made%/*}
    if [ -e "$folder" ] && [ ! -e "$made" ] && [ -n "$(ls -A "$folder")" ]; then
        say "$folder has other files; name an empty folder for the page"
        exit 1
    fi
done
# Made beside them and moved at the end: an interrupted build leaves no folder that a later one would take for the user's.
mkdir -p "$(dirname "$site")"
new=$(mktemp -d "$site.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"
mkdir -p "$new/site/guide" "$new/package/example"
"$tool" bindgen "$target/$wasm_target/release/lapidary_page.wasm" lapidary "$new/site"
"$tool" bindgen "$target/$wasm_target/release/lapidary_sandbox.wasm" lapidary_sandbox "$new/site"
"$tool" grammars "$new/site/grammars.bin"
cp app/web/site/* "$new/site"
cp app/guide/model/{config,generation_config,tokenizer_config,tokenizer}.json app/guide/model/model.safetensors "$new/site/guide"

"$tool" bindgen "$target/$wasm_target/release/lapidary_web.wasm" lapidary "$new/package"
cp app/web/package/module/* app/web/package/README.md LICENSE-APACHE LICENSE-MIT "$new/package"
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
sed -i.part "s/VERSION/$version/" "$new/package/package.json"
rm "$new/package/package.json.part"
cp app/web/example/* "$new/package/example"
cp -r "$new/site/guide" "$new/package/example/guide"

# The list of files for the service worker, and a version that changes with any of them.
files=$(cd "$new/site" && find . -type f ! -name offline.js | LC_ALL=C sort | sed "s/.*/'&'/" | paste -sd ,)
version=lapidary-$(cd "$new/site" && find . -type f | LC_ALL=C sort | xargs cksum | cksum | cut -d ' ' -f 1)
sed -i.part -e "s|'VERSION'|'$version'|" -e "s|'FILES'|'./',$files|" "$new/site/offline.js"
rm "$new/site/offline.js.part"
rm -rf "$site" "$package"
mv "$new/site" "$site"
mv "$new/package" "$package"
printf '%s\n' "$site"
