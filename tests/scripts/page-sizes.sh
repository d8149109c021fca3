#!/usr/bin/env bash
# page-sizes.sh FOLDER: prints how large the built page is, as it is and compressed, and fails if it outgrew its limits: 4 MB of
# brotli for the wasm that the page starts with, 15 MB for everything. Needs node, whose brotli a server of files would use.
set -euo pipefail
exec node - "$1" <<'E2'
const fs = require('node:fs');
const path = require('node:path');
const { brotliCompressSync, constants } = require('node:zlib');
const folder = process.argv[2];
const files = fs.readdirSync(folder, { recursive: true }).filter((name) => fs.statSync(path.join(folder, name)).isFile());
// Quality 9 takes seconds, 11 minutes; the difference is a few percent.
const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 24 };
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;
let [all, allBrotli, wasmBrotli] = [0, 0, 0];
for (const name of files) {
    const content = fs.readFileSync(path.join(folder, name));
    const brotli = brotliCompressSync(content, { params }).length;
    [all, allBrotli] = [all + content.length, allBrotli + brotli];
    if (name === 'lapidary_bg.wasm') wasmBrotli = brotli;
    if (content.length > 1e5) console.log(`${name}: ${megabytes(content.length)}, brotli ${megabytes(brotli)}`);
}
console.log(`the page and the guide: ${megabytes(all)}, brotli ${megabytes(allBrotli)}`);
if (wasmBrotli > 4e6 || allBrotli > 15e6) {
    console.error('the page is too large: the wasm that it starts with may have 4 MB of brotli, everything 15 MB');
    process.exit(1);
}
E2
