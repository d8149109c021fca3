//! The tensors of a Gemma model, with their names in both kinds of files and their shapes.

use crate::config::Config;

/// A tensor of the model, independent of its name in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TensorId {
    /// The embedding, which is also the output head.
    Embedding,
    /// The norm before the output head.
    FinalNorm,
    /// A tensor of a layer. Layers count from 0.
    Layer(usize, LayerTensor),
}

/// A tensor of a layer. Each is one matrix or one norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerTensor {
    /// The norm before attention.
    InputNorm,
    /// The query projection.
    Query,
    /// The key projection.
    Key,
    /// The value projection.
    Value,
    /// The output projection of attention.
    Output,
    /// The norm of each query head; Gemma-3 only.
    QueryNorm,
    /// The norm of each key head; Gemma-3 only.
    KeyNorm,
    /// The norm after attention, before the residual is added.
    PostAttentionNorm,
    /// The norm before the FFN.
    PreFfnNorm,
    /// The gate projection of the FFN.
    Gate,
    /// The up projection of the FFN.
    Up,
    /// The down projection of the FFN.
    Down,
    /// The norm after the FFN, before the residual is added.
    PostFfnNorm,
}

/// What the configuration gives a tensor's side the size of.
#[derive(Clone, Copy)]
enum Side {
    Hidden,
    Inner,
    Queries,
    Keys,
    Head,
    /// The rows of a norm, which is a vector.
    One,
}
use Side::{Head, Hidden, Inner, Keys, One, Queries};

impl Side {
    fn of(self, config: &Config) -> usize {
        match self {
            Hidden => config.hidden_size,
            Inner => config.intermediate_size,
            Queries => config.num_heads * config.head_dim,
            Keys => config.num_kv_heads * config.head_dim,
            Head => config.head_dim,
            One => 1,
        }
    }
}

impl LayerTensor {
    /// All tensors of a layer, in the order of use.
    pub const ALL: [LayerTensor; 13] = [
        Self::InputNorm,
        Self::Query,
        Self::Key,
        Self::Value,
        Self::Output,
        Self::QueryNorm,
        Self::KeyNorm,
        Self::PostAttentionNorm,
        Self::PreFfnNorm,
        Self::Gate,
        Self::Up,
        Self::Down,
        Self::PostFfnNorm,
    ];

    /// Its name in safetensors files, its name in GGUF files, rows and columns.
    fn row(self) -> (&'static str, &'static str, [Side; 2]) {
        match self {
            Self::InputNorm => ("input_layernorm", "attn_norm", [One, Hidden]),
            Self::Query => ("self_attn.q_proj", "attn_q", [Queries, Hidden]),
            Self::Key => ("self_attn.k_proj", "attn_k", [Keys, Hidden]),
            Self::Value => ("self_attn.v_proj", "attn_v", [Keys, Hidden]),
            Self::Output => ("self_attn.o_proj", "attn_output", [Hidden, Queries]),
            Self::QueryNorm => ("self_attn.q_norm", "attn_q_norm", [One, Head]),
            Self::KeyNorm => ("self_attn.k_norm", "attn_k_norm", [One, Head]),
            Self::PostAttentionNorm => ("post_attention_layernorm", "post_attention_norm", [One, Hidden]),
            Self::PreFfnNorm => ("pre_feedforward_layernorm", "ffn_norm", [One, Hidden]),
            Self::Gate => ("mlp.gate_proj", "ffn_gate", [Inner, Hidden]),
            Self::Up => ("mlp.up_proj", "ffn_up", [Inner, Hidden]),
            Self::Down => ("mlp.down_proj", "ffn_down", [Hidden, Inner]),
            Self::PostFfnNorm => ("post_feedforward_layernorm", "post_ffw_norm", [One, Hidden]),
        }
    }
}

impl TensorId {
    /// The name in safetensors files of text models. Gemma-3 4B and up have another prefix than `model.`.
    pub fn hub_name(self) -> String {
        match self {
            Self::Embedding => "model.embed_tokens.weight".to_owned(),
            Self::FinalNorm => "model.norm.weight".to_owned(),
            Self::Layer(layer, tensor) => format!("model.layers.{layer}.{}.weight", tensor.row().0),
        }
    }

    /// The name in GGUF files.
    pub fn gguf_name(self) -> String {
        match self {
            Self::Embedding => "token_embd.weight".to_owned(),
            Self::FinalNorm => "output_norm.weight".to_owned(),
            Self::Layer(layer, tensor) => format!("blk.{layer}.{}.weight", tensor.row().1),
        }
    }

    /// Whether it is the weight of a norm, which is a vector.
    pub fn is_norm(self) -> bool {
        match self {
            Self::Embedding => false,
            Self::FinalNorm => true,
            Self::Layer(_, tensor) => matches!(tensor.row().2, [One, _]),
        }
    }

    /// Rows and columns: outputs and inputs of a projection, tokens and features of the embedding, `[1, n]` for norms.
    pub fn shape(self, config: &Config) -> [usize; 2] {
        match self {
            Self::Embedding => [config.vocab_size, config.hidden_size],
            Self::FinalNorm => [1, config.hidden_size],
            Self::Layer(_, tensor) => tensor.row().2.map(|side| side.of(config)),
        }
    }

    /// Every tensor that a model of this configuration has, in the order of use.
    pub fn all(config: &Config) -> Vec<TensorId> {
        let mut ids = vec![Self::Embedding];
        for layer in 0..config.num_layers {
            for tensor in LayerTensor::ALL {
                let qk_norm = matches!(tensor, LayerTensor::QueryNorm | LayerTensor::KeyNorm);
                if config.qk_norm || !qk_norm {
                    ids.push(Self::Layer(layer, tensor));
                }
            }
        }
        ids.push(Self::FinalNorm);
        ids
    }
}
