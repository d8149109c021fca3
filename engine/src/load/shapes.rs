//! The published models' shapes, by name: for measuring without a download.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::json;

use crate::config::Config;
use crate::error::{Error, Result, one_of};

/// The names that [`Config::of_shape`] knows.
pub const SHAPES: [&str; 5] = ["gemma-2-2b", "gemma-2-9b", "gemma-2-27b", "gemma-3-270m", "gemma-3-1b"];

impl Config {
    /// The shape of a published model, from what matters of its `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a name that is not among [`SHAPES`].
    pub fn of_shape(name: &str) -> Result<Config> {
        static EXPECTED: LazyLock<String> = LazyLock::new(|| one_of(&SHAPES));
        let (gemma3, [layers, hidden, ffn, heads, kv_heads, head_dim, query_scalar]) = match name {
            "gemma-2-2b" => (false, [26, 2304, 9216, 8, 4, 256, 256]),
            "gemma-2-9b" => (false, [42, 3584, 14336, 16, 8, 256, 256]),
            "gemma-2-27b" => (false, [46, 4608, 36864, 32, 16, 128, 144]),
            "gemma-3-270m" => (true, [18, 640, 2048, 4, 1, 256, 256]),
            "gemma-3-1b" => (true, [26, 1152, 6912, 4, 1, 256, 256]),
            _ => return Err(Error::Setting { field: "shape", value: name.to_owned(), expected: &EXPECTED }),
        };
        let (model_type, vocab, context, window, end_of_turn) = match gemma3 {
            false => ("gemma2", 256_000, 8192, 4096, 107),
            true => ("gemma3_text", 262_144, 32_768, 512, 106),
        };
        let config = json!({
            "model_type": model_type, "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": ffn,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
            "head_dim": head_dim, "query_pre_attn_scalar": query_scalar, "max_position_embeddings": context,
            "sliding_window": window, "eos_token_id": [1, end_of_turn],
        });
        Self::from_hub(config.to_string().as_bytes(), Path::new(name))
    }
}
