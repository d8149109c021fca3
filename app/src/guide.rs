//! The guide: a small Gemma-2 that is part of the program, so that the first start answers.
//!
//! `app/guide` holds the model, the text it was trained on and the script that trains it.

use std::path::Path;

use lapidary_engine::{ModelFiles, Result};

/// What `-m` calls it. A folder of this name is reached as `./guide`.
pub const NAME: &str = "guide";

/// Whether a model's path means the guide.
pub fn is_guide(path: &Path) -> bool {
    path == Path::new(NAME)
}

/// The guide's files.
pub fn files() -> Result<ModelFiles> {
    let files = [
        ("config.json", include_bytes!("../guide/model/config.json").as_slice()),
        ("generation_config.json", include_bytes!("../guide/model/generation_config.json")),
        ("tokenizer.json", include_bytes!("../guide/model/tokenizer.json")),
        ("model.safetensors", include_bytes!("../guide/model/model.safetensors")),
    ];
    ModelFiles::from_bytes(NAME, files.map(|(name, bytes)| (name, bytes.into())))
}
