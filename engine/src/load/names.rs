//! The tensors of a Gemma model, and what the two kinds of files call them.

use crate::config::Config;

/// A tensor of the model, whatever the file calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The embedding, which is also the output head.
    Embedding,
    /// The norm before the output head.
    FinalNorm,
    /// A tensor of a layer, counted from 0.
    Layer(usize, LayerPart),
}

/// A tensor of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerPart {
    /// The norm before attention.
    InputNorm,
    /// The query projection.
    Query,
    /// The key projection.
    Key,
    /// The value projection.
    Value,
    /// The projection of the attention's result.
    Output,
    /// The norm of each query head; Gemma-3 only.
    QueryNorm,
    /// The norm of each key head; Gemma-3 only.
    KeyNorm,
    /// The norm after attention, before the residual is added.
    PostAttentionNorm,
    /// The norm before the feed-forward part.
    PreFfnNorm,
    /// The feed-forward part's gate.
    Gate,
    /// The feed-forward part's other projection up.
    Up,
    /// The feed-forward part's projection down.
    Down,
    /// The norm after the feed-forward part, before the residual is added.
    PostFfnNorm,
}

impl LayerPart {
    /// Every part, in the order they are used.
    pub const ALL: [LayerPart; 13] = [
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

impl Part {
    /// The name in safetensors files of text models. Gemma-3 4B and up have another prefix in place of `model.`.
    pub fn hub_name(self) -> String {
        match self {
            Self::Embedding => "model.embed_tokens.weight".to_owned(),
            Self::FinalNorm => "model.norm.weight".to_owned(),
            Self::Layer(layer, part) => format!("model.layers.{layer}.{}.weight", part.hub_name()),
        }
    }

    /// The name in GGUF files.
    pub fn gguf_name(self) -> String {
        match self {
            Self::Embedding => "token_embd.weight".to_owned(),
            Self::FinalNorm => "output_norm.weight".to_owned(),
            Self::Layer(layer, part) => format!("blk.{layer}.{}.weight", part.gguf_name()),
        }
    }

    /// Whether it is the weight of a norm, which is a vector.
    pub fn is_norm(self) -> bool {
        match self {
            Self::Embedding => false,
            Self::FinalNorm => true,
            Self::Layer(_, part) => matches!(
                part,
                LayerPart::InputNorm
                    | LayerPart::QueryNorm
                    | LayerPart::KeyNorm
                    | LayerPart::PostAttentionNorm
                    | LayerPart::PreFfnNorm
                    | LayerPart::PostFfnNorm
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
            Self::Layer(_, part) => match part {
                LayerPart::Query => [queries, hidden],
                LayerPart::Key | LayerPart::Value => [keys, hidden],
                LayerPart::Output => [hidden, queries],
                LayerPart::Gate | LayerPart::Up => [config.intermediate_size, hidden],
                LayerPart::Down => [hidden, config.intermediate_size],
                LayerPart::QueryNorm | LayerPart::KeyNorm => [1, config.head_dim],
                LayerPart::InputNorm
                | LayerPart::PostAttentionNorm
                | LayerPart::PreFfnNorm
                | LayerPart::PostFfnNorm => [1, hidden],
            },
        }
    }

    /// Every tensor that a model of this configuration has, in the order they are used.
    pub fn all(config: &Config) -> Vec<Part> {
        let mut parts = vec![Self::Embedding];
        for layer in 0..config.num_layers {
            for part in LayerPart::ALL {
                let qk_norm = matches!(part, LayerPart::QueryNorm | LayerPart::KeyNorm);
                if config.qk_norm || !qk_norm {
                    parts.push(Self::Layer(layer, part));
                }
            }
        }
        parts.push(Self::FinalNorm);
        parts
    }
}
