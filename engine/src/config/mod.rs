//! The shape of a model: its sizes, scales and layers, whatever kind of file they come from.
//!
//! This module reads no file: `load` turns `config.json` or GGUF metadata into a [`Config`].

mod family;
mod layers;

use std::path::Path;

use crate::error::{Error, Result};

pub use family::Architecture;
pub(crate) use family::{FAMILIES, Family};
pub use layers::LayerAttention;
pub(crate) use layers::{Rope, layer_attention, sliding_by_pattern};

/// The largest number of layers that makes sense.
const MAX_LAYERS: usize = 1024;
/// `num_attention_heads`.
const MAX_HEADS: usize = 1024;
/// `hidden_size`, in features.
const MAX_HIDDEN: usize = 65_536;
/// `intermediate_size`, in features.
const MAX_INTERMEDIATE: usize = 1 << 20;
/// The largest head that the attention kernels take, in features.
const MAX_HEAD_DIM: usize = 256;
/// `vocab_size`, in tokens: 64 per workgroup of a grid's dimension.
const MAX_VOCAB: usize = 64 * 65_535;
/// `max_position_embeddings`, in tokens.
const MAX_CONTEXT: usize = 16 << 20;
/// Kernels load this many features at once, so sizes of vectors are multiples of it.
const VECTOR: usize = 4;
/// RoPE rotates the halves of a head together, so both must be whole vectors.
const HEAD: usize = 2 * VECTOR;

/// The shape of a model. All sizes are checked, so products of those that make a tensor do not overflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The family.
    pub architecture: Architecture,
    /// Rows of the embedding, which may be more than the tokenizer has pieces.
    pub vocab_size: usize,
    /// Features of the residual stream.
    pub hidden_size: usize,
    /// Features inside the feed-forward part, each of gate and up.
    pub intermediate_size: usize,
    /// Layers.
    pub num_layers: usize,
    /// Query heads.
    pub num_heads: usize,
    /// Key and value heads; divides `num_heads`.
    pub num_kv_heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// Positions that the model was trained for.
    pub context_length: usize,
    /// What norms add to the mean square.
    pub rms_norm_eps: f32,
    /// What attention logits are multiplied by: `query_pre_attn_scalar` to the power of −½.
    pub query_scale: f32,
    /// What embeddings are multiplied by: √`hidden_size`.
    pub embedding_scale: f32,
    /// The cap `c` of attention logits, `c · tanh(x / c)`, if they are capped.
    pub attn_soft_cap: Option<f32>,
    /// The cap of the final logits, if they are capped.
    pub final_soft_cap: Option<f32>,
    /// The attention of each layer; `num_layers` long.
    pub layers: Vec<LayerAttention>,
    /// Whether query and key heads are normed before they are rotated.
    pub qk_norm: bool,
    /// The id of `<bos>`.
    pub bos_id: u32,
    /// The ids that the file says end a reply, without duplicates. `<end_of_turn>` may be missing.
    pub stop_ids: Vec<u32>,
}

/// The scale of attention logits. The reference computes it in f64 too.
pub(crate) fn query_scale(query_pre_attn_scalar: f64) -> f32 {
    query_pre_attn_scalar.powf(-0.5) as f32
}

/// The scale of embeddings, √hidden in f32 arithmetic.
pub(crate) fn embedding_scale(hidden_size: usize) -> f32 {
    (hidden_size as f64).sqrt() as f32
}

/// Ids in order of appearance, each once.
pub(crate) fn unique(ids: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut unique = Vec::new();
    for id in ids {
        if !unique.contains(&id) {
            unique.push(id);
        }
    }
    unique
}

impl Config {
    /// Checks every number. `path` and `spell` are for errors: the file, and its name for a field of `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first field that is out of range or contradicts another.
    pub(crate) fn check(self, path: &Path, spell: &dyn Fn(&str) -> String) -> Result<Self> {
        let fail = |field: &str, reason: String| Error::Config { path: path.to_owned(), field: spell(field), reason };
        let sizes = [
            ("vocab_size", self.vocab_size, MAX_VOCAB),
            ("hidden_size", self.hidden_size, MAX_HIDDEN),
            ("intermediate_size", self.intermediate_size, MAX_INTERMEDIATE),
            ("num_hidden_layers", self.num_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_heads, MAX_HEADS),
            ("num_key_value_heads", self.num_kv_heads, MAX_HEADS),
            ("head_dim", self.head_dim, MAX_HEAD_DIM),
            ("max_position_embeddings", self.context_length, MAX_CONTEXT),
        ];
        for (field, size, max) in sizes {
            if !(1..=max).contains(&size) {
                return Err(fail(field, format!("it is {size}, but must be 1 to {max}")));
            }
        }
        let vectors = [
            ("hidden_size", self.hidden_size, VECTOR),
            ("intermediate_size", self.intermediate_size, VECTOR),
            ("head_dim", self.head_dim, HEAD),
        ];
        for (field, size, unit) in vectors {
            if size % unit != 0 {
                return Err(fail(field, format!("it is {size}, but must be a multiple of {unit}")));
            }
        }
        if !self.num_heads.is_multiple_of(self.num_kv_heads) {
            let reason =
                format!("it is {}, but must divide the number of heads, {}", self.num_kv_heads, self.num_heads);
            return Err(fail("num_key_value_heads", reason));
        }
        // In browsers usize has 32 bits, which these products may exceed.
        let products = [
            ("vocab_size", self.vocab_size, self.hidden_size),
            ("intermediate_size", self.intermediate_size, self.hidden_size),
            ("num_attention_heads", self.num_heads * self.head_dim, self.hidden_size),
        ];
        for (field, rows, cols) in products {
            if rows.checked_mul(cols).is_none() {
                return Err(fail(field, format!("a tensor of {rows} by {cols} does not fit this machine's memory")));
            }
        }

        let mut numbers = vec![("rms_norm_eps", self.rms_norm_eps), ("query_pre_attn_scalar", self.query_scale)];
        numbers.extend(self.attn_soft_cap.map(|cap| ("attn_logit_softcapping", cap)));
        numbers.extend(self.final_soft_cap.map(|cap| ("final_logit_softcapping", cap)));
        for layer in &self.layers {
            numbers.push(("rope_theta", layer.rope_theta));
            numbers.push(("rope_scaling", layer.rope_scale));
        }
        for (field, number) in numbers {
            // Subnormal numbers are as good as zero on many GPUs.
            if !(number.is_normal() && number > 0.0) {
                return Err(fail(field, "it must be a finite number above 0 that fits 32 bits".to_owned()));
            }
        }
        if self.layers.iter().any(|layer| layer.window == Some(0)) {
            return Err(fail("sliding_window", "it is 0, but must be at least 1".to_owned()));
        }
        let ids = self.stop_ids.iter().map(|id| ("eos_token_id", *id));
        for (field, id) in ids.chain([("bos_token_id", self.bos_id)]) {
            if id as usize >= self.vocab_size {
                let reason = format!("it is {id}, but the vocabulary has only {} tokens", self.vocab_size);
                return Err(fail(field, reason));
            }
        }
        Ok(self)
    }
}

/// Checks a number of layers before anything is allocated per layer.
pub(crate) fn check_layers(path: &Path, field: String, layers: usize) -> Result<usize> {
    if (1..=MAX_LAYERS).contains(&layers) {
        return Ok(layers);
    }
    Err(Error::Config {
        path: path.to_owned(),
        field,
        reason: format!("it is {layers}, but must be 1 to {MAX_LAYERS}"),
    })
}
