//! The activations of a forward pass.

use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Gpu, Tensor};
use crate::ops::{ARGMAX_WORKGROUPS, Int8Tensor, Partials, Shortlist, gate_up_cols};

/// Buffers that a forward pass of up to `T` tokens works in, reused by every layer. Names and letters as in `Weights`.
#[derive(Debug)]
pub struct State {
    /// T token ids. In decode, word 0 is written by the sampling kernel of the step before.
    pub tokens: wgpu::Buffer,
    /// `[T, H]`: the residual stream.
    pub residual: Tensor,
    /// `[1, H]`: takes turns with `residual` in decode, where the seam is folded into the product behind it.
    pub new_residual: Tensor,
    /// `[T, H]`: a block's normalised input.
    pub normed: Tensor,
    /// `[T, (Q + 2K) · D]`: queries, keys and values.
    pub qkv: Tensor,
    /// `[T, Q · D]`: attention's result for each head.
    pub heads: Tensor,
    /// Attention's shares in decode; `None` where a workgroup has all keys of a KV head.
    pub partials: Option<Partials>,
    /// `[T, H]`: a block's output, before its post-norm.
    pub block: Tensor,
    /// `[T, 2F]`, F padded: gates, then ups.
    pub gate_up: Tensor,
    /// `[T, F]`
    pub hidden: Tensor,
    /// The widest of these as integers, for the product that comes next.
    pub int8: Int8Tensor,
    /// `[1, F]`: `hidden` as integers, where one dispatch makes it from `int8` or from further up.
    pub hidden_int8: Int8Tensor,
    /// `[L, vocab]`: logits of the last token, or of all where a caller wants them.
    pub logits: Tensor,
    /// Scratch of the greedy choice.
    pub best: wgpu::Buffer,
    /// What sampling draws from.
    pub shortlist: Shortlist,
    /// Scratch of sampling, as large as the lists.
    pub candidates: wgpu::Buffer,
    /// A bit a token: what the repetition penalty knows.
    pub seen: wgpu::Buffer,
    /// The ring of chosen tokens.
    pub results: wgpu::Buffer,
}

impl State {
    /// Words in the ring of results.
    pub const RESULTS: usize = 64;

    /// Buffers for up to `max_tokens` tokens a step and `logit_rows` rows of logits.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn new(gpu: &Gpu, config: &Config, max_tokens: usize, logit_rows: usize) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        let tensor = async |label, cols| Tensor::zeros(gpu, label, max_tokens, cols).await;
        let query = config.num_heads * config.head_dim;
        let key = config.num_kv_heads * config.head_dim;
        let vocab = config.vocab_size as u64;
        let splits = gpu.capabilities().attention_splits(config.num_kv_heads);
        let shortlist = Shortlist::new(gpu, config.vocab_size).await?;
        let widest = config.hidden_size.max(query).max(config.intermediate_size);
        Ok(Self {
            tokens: gpu.buffer("tokens", 4 * max_tokens as u64, usage).await?,
            residual: tensor("residual", config.hidden_size).await?,
            new_residual: Tensor::zeros(gpu, "new_residual", 1, config.hidden_size).await?,
            normed: tensor("normed", config.hidden_size).await?,
            qkv: tensor("qkv", query + 2 * key).await?,
            heads: tensor("heads", query).await?,
            partials: match splits {
                1 => None,
                _ => Some(Partials::new(gpu, splits, config.num_heads, config.head_dim).await?),
            },
            block: tensor("block", config.hidden_size).await?,
            gate_up: tensor("gate_up", gate_up_cols(config.intermediate_size)).await?,
            hidden: tensor("hidden", config.intermediate_size).await?,
            int8: Int8Tensor::new(gpu, "int8", max_tokens, widest).await?,
            hidden_int8: Int8Tensor::new(gpu, "hidden_int8", 1, config.intermediate_size).await?,
            logits: Tensor::zeros(gpu, "logits", logit_rows, config.vocab_size).await?,
            best: gpu.buffer("best", 8 * ARGMAX_WORKGROUPS as u64, usage).await?,
            candidates: gpu.buffer("candidates", shortlist.lists().size(), usage).await?,
            shortlist,
            seen: gpu.buffer("seen", 4 * vocab.div_ceil(32), usage).await?,
            results: gpu.buffer("results", 4 * Self::RESULTS as u64, usage).await?,
        })
    }
}
