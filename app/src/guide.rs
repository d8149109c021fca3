//! The guide: a small Gemma-2 model built into the program, so that it answers at the first start.
//!
//! `app/guide` holds the model, its training text and the training script.

use std::path::Path;

use lapidary_engine::load::HubBytes;
use lapidary_engine::{ModelFiles, Result};

/// Its name for `-m`. A folder of this name is reached as `./guide`.
pub const NAME: &str = "guide";

/// Whether a model's path names the guide.
pub fn is_guide(path: &Path) -> bool {
    path == Path::new(NAME)
}

/// Opens the guide's files.
pub fn files() -> Result<ModelFiles> {
    let files = HubBytes {
        config: include_bytes!("../guide/model/config.json").as_slice().into(),
        generation_config: Some(include_bytes!("../guide/model/generation_config.json").as_slice().into()),
        tokenizer: include_bytes!("../guide/model/tokenizer.json").as_slice().into(),
        weights: include_bytes!("../guide/model/model.safetensors").as_slice().into(),
    };
    ModelFiles::from_hub_bytes(files, NAME)
}
