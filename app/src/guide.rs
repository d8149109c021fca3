//! The guide: a small Gemma-2 model built into the program, so that it answers at the first start.
//!
//! `app/guide` holds the model, its training text and the training script.

use std::path::Path;

use lapidary_engine::{ModelFiles, Result};

/// Its name for `-m`. A folder of this name is reached as `./guide`.
pub const NAME: &str = "guide";

/// Whether a model's path names the guide.
pub fn is_guide(path: &Path) -> bool {
    path == Path::new(NAME)
}

/// Opens the guide's files.
pub fn files() -> Result<ModelFiles> {
    let files = [
        ("config.json", include_bytes!("../guide/model/config.json").as_slice()),
        ("generation_config.json", include_bytes!("../guide/model/generation_config.json")),
        ("tokenizer_config.json", include_bytes!("../guide/model/tokenizer_config.json")),
        ("tokenizer.json", include_bytes!("../guide/model/tokenizer.json")),
        ("model.safetensors", include_bytes!("../guide/model/model.safetensors")),
    ];
    ModelFiles::from_bytes(NAME, files.map(|(name, bytes)| (name, bytes.into())))
}
