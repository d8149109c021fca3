//! Compares whole models with the outputs of independent implementations in `tests/golden`.

mod chats;
mod check;
mod devices;
mod golden;
mod guide;
mod hidden;
mod loading;
mod real;
mod scheduler;
mod sessions;
mod speculation;
mod steady;
mod waits;

use std::path::PathBuf;

/// A file or folder of `tests/golden`.
fn golden_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// The tiny models: random weights, soft-caps with an effect, windows shorter than the prompts.
const TINY: [&str; 4] =
    ["tiny-random-gemma2", "tiny-random-gemma2-f32", "tiny-random-gemma2-odd", "tiny-random-gemma3"];
