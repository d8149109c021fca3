//! The published models' shapes, by name: for measuring, and for computing sizes, without a download.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::json;

use crate::config::Config;
use crate::error::{Error, Result, one_of};

/// What several models share: the name of their family, the sizes of the vocabulary, the context and the window, the id that ends
/// a turn, and the factor of positions in full layers.
type Shared = (&'static str, [usize; 4], f32);

const GEMMA_2: Shared = ("gemma2", [256_000, 8192, 4096, 107], 1.0);
const GEMMA_3: Shared = ("gemma3_text", [262_144, 32_768, 512, 106], 1.0);
/// Those that also read images.
const LARGE_GEMMA_3: Shared = ("gemma3_text", [262_208, 131_072, 1024, 106], 8.0);

/// Each model's name, what it shares with others, and its own: layers, width, width of the feed-forward part, heads, key heads, width
/// of a head, and the scalar of queries.
const SHAPES: [(&str, Shared, [usize; 7]); 8] = [
    ("gemma-2-2b", GEMMA_2, [26, 2304, 9216, 8, 4, 256, 256]),
    ("gemma-2-9b", GEMMA_2, [42, 3584, 14336, 16, 8, 256, 256]),
    ("gemma-2-27b", GEMMA_2, [46, 4608, 36864, 32, 16, 128, 144]),
    ("gemma-3-270m", GEMMA_3, [18, 640, 2048, 4, 1, 256, 256]),
    ("gemma-3-1b", GEMMA_3, [26, 1152, 6912, 4, 1, 256, 256]),
    ("gemma-3-4b", LARGE_GEMMA_3, [34, 2560, 10240, 8, 4, 256, 256]),
    ("gemma-3-12b", LARGE_GEMMA_3, [48, 3840, 15360, 16, 8, 256, 256]),
    ("gemma-3-27b", LARGE_GEMMA_3, [62, 5376, 21504, 32, 16, 128, 168]),
];

impl Config {
    /// The names that [`Config::of_shape`] knows.
    pub fn shapes() -> impl Iterator<Item = &'static str> {
        SHAPES.iter().map(|(name, ..)| *name)
    }

    /// The shape of a published model, from what matters of its `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a name that is not among [`Config::shapes`].
    pub fn of_shape(name: &str) -> Result<Config> {
        static EXPECTED: LazyLock<String> = LazyLock::new(|| one_of(&Config::shapes().collect::<Vec<_>>()));
        let unknown = || Error::Setting { field: "shape", value: name.to_owned(), expected: &EXPECTED };
        let (_, shared, own) = SHAPES.iter().find(|(known, ..)| *known == name).ok_or_else(unknown)?;
        let (model_type, [vocab, context, window, end_of_turn], position_factor) = shared;
        let [layers, hidden, ffn, heads, kv_heads, head_dim, query_scalar] = own;
        let config = json!({
            "model_type": model_type, "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": ffn,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
            "head_dim": head_dim, "query_pre_attn_scalar": query_scalar, "max_position_embeddings": context,
            "sliding_window": window, "eos_token_id": [1, end_of_turn],
            "rope_scaling": {"rope_type": "linear", "factor": position_factor},
        });
        Self::from_hub(config.to_string().as_bytes(), Path::new(name))
    }
}
