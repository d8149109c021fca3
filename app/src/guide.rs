//! The guide: a small Gemma-2 model built into the program, and beside the page, so that it answers at the first start.
//!
//! `app/guide` holds the model, its training text and the training script.

use std::path::Path;

use lapidary_engine::Sampling;

#[cfg(not(target_arch = "wasm32"))]
pub use built_in::files;

/// Its name for `-m`. A folder of this name is reached as `./guide`.
pub const NAME: &str = "guide";

/// Whether a model's path names the guide.
pub fn is_guide(path: &Path) -> bool {
    path == Path::new(NAME)
}

/// The sampling of a model for which none is chosen. The guide was trained on one answer per question, so random sampling would only
/// add errors.
pub fn default_sampling(is_guide: bool) -> Sampling {
    if is_guide { Sampling::greedy() } else { Sampling::default() }
}

/// The bytes of its weights.
pub const BYTES: u64 = include_bytes!("../guide/model/model.safetensors").len() as u64;

/// Its files.
pub const FILES: [&str; 5] =
    ["config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors"];

#[cfg(not(target_arch = "wasm32"))]
mod built_in {
    use lapidary_engine::{ModelFiles, Result};

    const CONTENTS: [&[u8]; 5] = [
        include_bytes!("../guide/model/config.json"),
        include_bytes!("../guide/model/generation_config.json"),
        include_bytes!("../guide/model/tokenizer_config.json"),
        include_bytes!("../guide/model/tokenizer.json"),
        include_bytes!("../guide/model/model.safetensors"),
    ];

    /// Opens the guide's files.
    pub fn files() -> Result<ModelFiles> {
        let files = super::FILES.into_iter().zip(CONTENTS);
        ModelFiles::from_bytes(super::NAME, files.map(|(name, bytes)| (name, bytes.into())))
    }
}
