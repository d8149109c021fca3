//! The published models' shapes, by name: for measuring without a download.

use std::path::Path;

use super::Config;
use crate::error::{Error, Result};

/// The names that [`Config::of_shape`] knows.
pub const SHAPES: [&str; 5] = ["gemma-2-2b", "gemma-2-9b", "gemma-2-27b", "gemma-3-270m", "gemma-3-1b"];

impl Config {
    /// The shape of a published model, as in its `config.json`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a name that is not among [`SHAPES`].
    pub fn of_shape(name: &str) -> Result<Config> {
        let json = match name {
            "gemma-2-2b" => gemma2([26, 2304, 9216, 8, 4, 256, 256]),
            "gemma-2-9b" => gemma2([42, 3584, 14336, 16, 8, 256, 256]),
            "gemma-2-27b" => gemma2([46, 4608, 36864, 32, 16, 128, 144]),
            "gemma-3-270m" => gemma3([18, 640, 2048, 4, 1, 256, 512]),
            "gemma-3-1b" => gemma3([26, 1152, 6912, 4, 1, 256, 512]),
            _ => {
                return Err(Error::Setting {
                    field: "shape",
                    value: name.to_owned(),
                    expected: "gemma-2-2b, gemma-2-9b, gemma-2-27b, gemma-3-270m or gemma-3-1b",
                });
            }
        };
        Config::from_hub(json.to_string().as_bytes(), Path::new(name))
    }
}

fn gemma2([layers, hidden, ffn, heads, kv_heads, head_dim, query_scalar]: [usize; 7]) -> serde_json::Value {
    serde_json::json!({
        "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "vocab_size": 256_000, "hidden_size": hidden,
        "intermediate_size": ffn, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "head_dim": head_dim, "query_pre_attn_scalar": query_scalar,
        "max_position_embeddings": 8192, "sliding_window": 4096, "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-6, "rope_theta": 10_000.0,
        "hidden_activation": "gelu_pytorch_tanh", "bos_token_id": 2, "eos_token_id": [1, 107],
    })
}

fn gemma3([layers, hidden, ffn, heads, kv_heads, head_dim, window]: [usize; 7]) -> serde_json::Value {
    serde_json::json!({
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": 262_144,
        "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "head_dim": head_dim, "query_pre_attn_scalar": 256,
        "max_position_embeddings": 32_768, "sliding_window": window, "sliding_window_pattern": 6, "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0, "rope_local_base_freq": 10_000.0, "hidden_activation": "gelu_pytorch_tanh",
        "bos_token_id": 2, "eos_token_id": [1, 106],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_a_model() {
        for name in SHAPES {
            let config = Config::of_shape(name).unwrap();
            assert_eq!(config.layers.len(), config.num_layers, "{name}");
        }
        assert!(matches!(Config::of_shape("gemma-9-1t"), Err(Error::Setting { .. })));
        // One of the few numbers that a product of others would get wrong.
        let large = Config::of_shape("gemma-2-27b").unwrap();
        assert_eq!(large.query_scale, 1.0 / 12.0);
        assert_eq!(large.layers[0].window, Some(4096));
        assert_eq!(large.layers[1].window, None);
    }
}
