#!/usr/bin/env bash
# Runs all tests. Those of the real Gemma-3 270M need a model of about 240 MB, which is downloaded once.
#   ./test.sh [ARG...]    passes the arguments to cargo test
# The last line has the number of tests that passed, failed and were skipped.
set -euo pipefail
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=tests/scripts/setup.sh
. "$root/tests/scripts/setup.sh"
set_up
need_test_display
need_strace
# Where pip is missing, the tests that need it say that they are skipped.
need_pip || true
fetch=$root/tests/scripts/fetch-models.sh

left_out=()
if [ -n "${LAPIDARY_270M:-}" ]; then
    :
elif path=$("$fetch" gguf); then
    export LAPIDARY_270M=$path
elif [ "${CI:-}" = true ]; then
    say "could not fetch the real model, and CI must test it"
    exit 1
else
    unset LAPIDARY_270M
    what="the end-to-end test of the real model"
    say "WARNING: could not fetch the real model: SKIPPING $what"
    left_out+=("$what")
fi

for family in 2 3; do
    variable=LAPIDARY_TOKENIZER_GEMMA$family
    if [ -n "${!variable:-}" ]; then
        continue
    elif path=$("$fetch" "tokenizer-gemma$family"); then
        export "$variable=$path"
    elif [ "${CI:-}" = true ]; then
        say "could not fetch Gemma-$family's own tokenizer, and CI must compare with it"
        exit 1
    else
        unset "$variable"
        what="the comparison with Gemma-$family's own tokenizer"
        say "WARNING: could not fetch it: SKIPPING $what"
        left_out+=("$what")
    fi
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cd "$root"
cargo test --release --workspace --no-fail-fast "$@" </dev/null | tee "$log" && status=0 || status=$?

# Cargo ends the output of every test program with "test result: ok. 3 passed; 0 failed; 1 ignored; ...".
read -r programs passed failed skipped < <(awk '
    { gsub(/\033\[[0-9;]*m/, "") }
    /^test result: / {
        programs++
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^passed/) passed += $(i - 1)
            if ($i ~ /^failed/) failed += $(i - 1)
            if ($i ~ /^ignored/) skipped += $(i - 1)
        }
    }
    END { print programs + 0, passed + 0, failed + 0, skipped + 0 }' "$log")

for what in ${left_out[@]+"${left_out[@]}"}; do
    say "WARNING: SKIPPED $what"
done
if [ "$programs" -eq 0 ]; then
    say "no test ran"
    exit $((status ? status : 1))
fi
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || say "a test program did not build or died before its end"
printf 'lapidary: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
exit "$status"
