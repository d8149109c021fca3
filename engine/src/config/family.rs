//! The families of models: what their files call them, and what their files may leave out.

/// The families of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// Gemma-2.
    Gemma2,
    /// The text part of Gemma-3.
    Gemma3,
}

/// A row of [`FAMILIES`]. The readers of `config.json` and of GGUF metadata know a family by nothing else.
///
/// The defaults are those of transformers' `Gemma2Config` and `Gemma3TextConfig`. Sizes may be absent from the
/// `text_config` of a model with images only.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) architecture: Architecture,
    /// The name that GGUF files give the architecture and its keys.
    pub(crate) gguf_name: &'static str,
    /// The `model_type` of a `config.json` that describes a text model.
    pub(crate) hub_name: &'static str,
    /// The `model_type` of a `config.json` that keeps the text model in `text_config`.
    pub(crate) nested_hub_name: Option<&'static str>,

    /// Whether query and key heads are normed before RoPE.
    pub(crate) qk_norm: bool,
    /// Whether sliding layers have their own RoPE base and no RoPE scaling; else all layers share one RoPE.
    pub(crate) local_rope: bool,
    /// Vocabulary sizes that configurations of this family take for each other. The embedding's rows decide.
    pub(crate) confused_vocab_sizes: &'static [usize],
    /// Layers of the family's model whose `query_pre_attn_scalar` is its width per head. It is `head_dim` in the others.
    /// GGUF files have no key for it.
    pub(crate) wide_query_layers: usize,
    /// The window of sliding layers where a GGUF file has none, as in llama.cpp.
    pub(crate) gguf_sliding_window: Option<usize>,
    /// Models of this context length and more have scaled positions, also where a GGUF file does not say so.
    pub(crate) long_context: usize,

    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_layers: usize,
    pub(crate) num_heads: usize,
    pub(crate) num_kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) context_length: usize,
    pub(crate) rms_norm_eps: f32,
    pub(crate) query_pre_attn_scalar: f64,
    pub(crate) sliding_window: usize,
    /// The last of every `sliding_pattern` layers attends to all positions; the others slide.
    pub(crate) sliding_pattern: usize,
    pub(crate) attn_soft_cap: Option<f32>,
    pub(crate) final_soft_cap: Option<f32>,
    /// The RoPE base of sliding layers, where the family has [`Family::local_rope`].
    pub(crate) local_theta: f32,
    /// The RoPE base of all other layers.
    pub(crate) theta: f32,
    pub(crate) bos_id: u32,
    pub(crate) eos_id: u32,
}

/// Every family.
pub(crate) const FAMILIES: [&Family; 2] = [&GEMMA2, &GEMMA3];

const GEMMA2: Family = Family {
    architecture: Architecture::Gemma2,
    gguf_name: "gemma2",
    hub_name: "gemma2",
    nested_hub_name: None,
    qk_norm: false,
    local_rope: false,
    confused_vocab_sizes: &[],
    wide_query_layers: 46,
    gguf_sliding_window: Some(4096),
    long_context: usize::MAX,
    vocab_size: 256_000,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_layers: 26,
    num_heads: 8,
    num_kv_heads: 4,
    head_dim: 256,
    context_length: 8192,
    rms_norm_eps: 1e-6,
    query_pre_attn_scalar: 256.0,
    sliding_window: 4096,
    sliding_pattern: 2,
    attn_soft_cap: Some(50.0),
    final_soft_cap: Some(30.0),
    local_theta: 10_000.0,
    theta: 10_000.0,
    bos_id: 2,
    eos_id: 1,
};

const GEMMA3: Family = Family {
    architecture: Architecture::Gemma3,
    gguf_name: "gemma3",
    hub_name: "gemma3_text",
    nested_hub_name: Some("gemma3"),
    qk_norm: true,
    local_rope: true,
    // Without and with the tokens for images.
    confused_vocab_sizes: &[262_144, 262_208],
    wide_query_layers: 62,
    gguf_sliding_window: None,
    long_context: 131_072,
    vocab_size: 262_208,
    context_length: 131_072,
    sliding_pattern: 6,
    attn_soft_cap: None,
    final_soft_cap: None,
    theta: 1_000_000.0,
    ..GEMMA2
};

impl Architecture {
    /// The family's row.
    pub(crate) fn family(self) -> &'static Family {
        match self {
            Self::Gemma2 => &GEMMA2,
            Self::Gemma3 => &GEMMA3,
        }
    }
}
