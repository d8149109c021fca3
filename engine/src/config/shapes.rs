//! The published models' shapes, by name: for measuring without a download.

use std::path::Path;
use std::sync::LazyLock;

use super::family::one_of;
use super::layers::{Rope, layer_attention, sliding_by_pattern};
use super::{Architecture, Config, embedding_scale, query_scale};
use crate::error::{Error, Result};

/// The names that [`Config::of_shape`] knows.
pub const SHAPES: [&str; 5] = ["gemma-2-2b", "gemma-2-9b", "gemma-2-27b", "gemma-3-270m", "gemma-3-1b"];

/// What a published model's `config.json` has that its family's defaults have not.
struct Shape {
    architecture: Architecture,
    vocab_size: usize,
    context_length: usize,
    sliding_window: usize,
    end_of_turn_id: u32,
    num_layers: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_heads: usize,
    num_kv_heads: usize,
    head_dim: usize,
    query_pre_attn_scalar: f64,
}

impl Config {
    /// The shape of a published model, as in its `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a name that is not among [`SHAPES`].
    pub fn of_shape(name: &str) -> Result<Config> {
        static EXPECTED: LazyLock<String> = LazyLock::new(|| one_of(&SHAPES));
        let shape = match name {
            "gemma-2-2b" => gemma2([26, 2304, 9216, 8, 4, 256], 256.0),
            "gemma-2-9b" => gemma2([42, 3584, 14336, 16, 8, 256], 256.0),
            "gemma-2-27b" => gemma2([46, 4608, 36864, 32, 16, 128], 144.0),
            "gemma-3-270m" => gemma3([18, 640, 2048, 4, 1, 256]),
            "gemma-3-1b" => gemma3([26, 1152, 6912, 4, 1, 256]),
            _ => return Err(Error::Setting { field: "shape", value: name.to_owned(), expected: &EXPECTED }),
        };
        shape.config().check(Path::new(name), &str::to_owned)
    }
}

impl Shape {
    fn config(self) -> Config {
        let family = self.architecture.family();
        let local = Rope { theta: if family.local_rope { family.local_theta } else { family.theta }, scale: 1.0 };
        let full = Rope { theta: family.theta, scale: 1.0 };
        let sliding = sliding_by_pattern(self.num_layers, family.sliding_pattern);
        Config {
            architecture: self.architecture,
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_layers: self.num_layers,
            num_heads: self.num_heads,
            num_kv_heads: self.num_kv_heads,
            head_dim: self.head_dim,
            context_length: self.context_length,
            rms_norm_eps: family.rms_norm_eps,
            query_scale: query_scale(self.query_pre_attn_scalar),
            embedding_scale: embedding_scale(self.hidden_size),
            attn_soft_cap: family.attn_soft_cap,
            final_soft_cap: family.final_soft_cap,
            layers: layer_attention(&sliding, Some(self.sliding_window), local, full),
            qk_norm: family.qk_norm,
            bos_id: family.bos_id,
            stop_ids: vec![family.eos_id, self.end_of_turn_id],
        }
    }
}

fn gemma2(sizes: [usize; 6], query_pre_attn_scalar: f64) -> Shape {
    let [num_layers, hidden_size, intermediate_size, num_heads, num_kv_heads, head_dim] = sizes;
    Shape {
        architecture: Architecture::Gemma2,
        vocab_size: 256_000,
        context_length: 8192,
        sliding_window: 4096,
        end_of_turn_id: 107,
        num_layers,
        hidden_size,
        intermediate_size,
        num_heads,
        num_kv_heads,
        head_dim,
        query_pre_attn_scalar,
    }
}

fn gemma3(sizes: [usize; 6]) -> Shape {
    Shape {
        architecture: Architecture::Gemma3,
        vocab_size: 262_144,
        context_length: 32_768,
        sliding_window: 512,
        end_of_turn_id: 106,
        ..gemma2(sizes, 256.0)
    }
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
        let error = Config::of_shape("gemma-9-1t").unwrap_err();
        assert!(matches!(error, Error::Setting { .. }));
        assert!(error.to_string().ends_with("gemma-2-27b, gemma-3-270m or gemma-3-1b"), "{error}");
        // Not 1/√head_dim.
        let large = Config::of_shape("gemma-2-27b").unwrap();
        assert_eq!(large.query_scale, 1.0 / 12.0);
        assert_eq!(large.layers[0].window, Some(4096));
        assert_eq!(large.layers[1].window, None);
    }
}
