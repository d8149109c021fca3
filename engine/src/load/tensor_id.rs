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

    fn hub_name(self) -> &'static str {
        match self {
            Self::InputNorm => "input_layernorm",
            Self::Query => "self_attn.q_proj",
            Self::Key => "self_attn.k_proj",
            Self::Value => "self_attn.v_proj",
            Self::Output => "self_attn.o_proj",
            Self::QueryNorm => "self_attn.q_norm",
            Self::KeyNorm => "self_attn.k_norm",
            Self::PostAttentionNorm => "post_attention_layernorm",
            Self::PreFfnNorm => "pre_feedforward_layernorm",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::Down => "mlp.down_proj",
            Self::PostFfnNorm => "post_feedforward_layernorm",
        }
    }

    fn gguf_name(self) -> &'static str {
        match self {
            Self::InputNorm => "attn_norm",
            Self::Query => "attn_q",
            Self::Key => "attn_k",
            Self::Value => "attn_v",
            Self::Output => "attn_output",
            Self::QueryNorm => "attn_q_norm",
            Self::KeyNorm => "attn_k_norm",
            Self::PostAttentionNorm => "post_attention_norm",
            Self::PreFfnNorm => "ffn_norm",
            Self::Gate => "ffn_gate",
            Self::Up => "ffn_up",
            Self::Down => "ffn_down",
            Self::PostFfnNorm => "post_ffw_norm",
        }
    }
}

impl TensorId {
    /// The name in safetensors files of text models. Gemma-3 4B and up have another prefix than `model.`.
    pub fn hub_name(self) -> String {
        match self {
            Self::Embedding => "model.embed_tokens.weight".to_owned(),
            Self::FinalNorm => "model.norm.weight".to_owned(),
            Self::Layer(layer, tensor) => format!("model.layers.{layer}.{}.weight", tensor.hub_name()),
        }
    }

    /// The name in GGUF files.
    pub fn gguf_name(self) -> String {
        match self {
            Self::Embedding => "token_embd.weight".to_owned(),
            Self::FinalNorm => "output_norm.weight".to_owned(),
            Self::Layer(layer, tensor) => format!("blk.{layer}.{}.weight", tensor.gguf_name()),
        }
    }

    /// Whether it is the weight of a norm, which is a vector.
    pub fn is_norm(self) -> bool {
        match self {
            Self::Embedding => false,
            Self::FinalNorm => true,
            Self::Layer(_, tensor) => matches!(
                tensor,
                LayerTensor::InputNorm
                    | LayerTensor::QueryNorm
                    | LayerTensor::KeyNorm
                    | LayerTensor::PostAttentionNorm
                    | LayerTensor::PreFfnNorm
                    | LayerTensor::PostFfnNorm
            ),
        }
    }

    /// Rows and columns: outputs and inputs of a projection, tokens and features of the embedding, `[1, n]` for norms.
    pub fn shape(self, config: &Config) -> [usize; 2] {
        let hidden = config.hidden_size;
        let queries = config.num_heads * config.head_dim;
        let keys = config.num_kv_heads * config.head_dim;
        match self {
            Self::Embedding => [config.vocab_size, hidden],
            Self::FinalNorm => [1, hidden],
            Self::Layer(_, tensor) => match tensor {
                LayerTensor::Query => [queries, hidden],
                LayerTensor::Key | LayerTensor::Value => [keys, hidden],
                LayerTensor::Output => [hidden, queries],
                LayerTensor::Gate | LayerTensor::Up => [config.intermediate_size, hidden],
                LayerTensor::Down => [hidden, config.intermediate_size],
                LayerTensor::QueryNorm | LayerTensor::KeyNorm => [1, config.head_dim],
                LayerTensor::InputNorm
                | LayerTensor::PostAttentionNorm
                | LayerTensor::PreFfnNorm
                | LayerTensor::PostFfnNorm => [1, hidden],
            },
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
