#!/usr/bin/env bash
# Takes the README's picture of the window. It runs the end-to-end test, which opens the program on a virtual display and
# writes app/screenshot.png.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=tests/scripts/setup.sh
. "$root/tests/scripts/setup.sh"
set_up
need_test_display
command -v import >/dev/null || apt_install "it takes the picture" imagemagick
cd "$root"
LAPIDARY_SCREENSHOT=$root/app/screenshot.png cargo test --release --workspace --test window -- --exact \
    end_to_end::a_question_is_answered_and_found_again
