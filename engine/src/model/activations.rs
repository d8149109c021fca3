//! The activations of a forward pass.

use crate::config::Config;
use crate::gpu::{Buffer, Capabilities, Gpu, Step, Tensor};
use crate::ops::{
    F16Tensor, Int8Tensor, MAX_SMALL_BATCH, Partials, Shortlist, argmax_candidates, attention_splits, gate_up_cols,
    token_ids,
};

/// The buffers of a forward pass of up to `T` tokens, which every layer reuses. Letters as in
/// [`Weights`](super::Weights).
#[derive(Debug)]
pub struct Activations {
    /// T token ids of a prompt. In decode the token is in the sequence's [`TokenSink`](crate::ops::TokenSink).
    pub tokens: Buffer,
    /// `[T, H]`: the residual stream.
    pub residual: Tensor,
    /// `[1, H]`: alternates with `residual` in decode with fused norms.
    pub new_residual: Tensor,
    /// `[T, H]`: a block's normalised input.
    pub normed: Tensor,
    /// `[T, (Q + 2K) · D]`: queries, keys and values.
    pub qkv: Tensor,
    /// `[T, Q · D]`: attention's result per head.
    pub heads: Tensor,
    /// Attention's partial results in decode of several sequences; `None` if one workgroup takes all keys of a KV head.
    pub partials: Option<Partials>,
    /// The same of one sequence, with other splits.
    pub partials_of_one: Option<Partials>,
    /// `[T, H]`: a block's output, before its post-norm.
    pub block: Tensor,
    /// `[T, 2F]`, F padded: gates, then ups.
    pub gate_up: Tensor,
    /// `[T, F]`: the input of the FFN's last product.
    pub ffn_inner: Tensor,
    /// The next product's operand as integers, as wide as the widest.
    pub int8: Int8Tensor,
    /// The same as f16.
    pub f16: F16Tensor,
    /// `[1, F]`: `ffn_inner` as integers, if one dispatch computes it from `int8` or from the residual stream.
    pub ffn_inner_int8: Int8Tensor,
    /// `[L, vocab]`: logits of the last token (L = 1), or of all tokens of a step.
    pub logits: Tensor,
    /// Scratch of greedy sampling.
    pub best: Buffer,
    /// The candidates of sampling.
    pub shortlist: Shortlist,
}

impl Activations {
    /// Declares buffers for up to `max_tokens` tokens per step and `logit_rows` rows of logits, which are also the most sequences
    /// of a decode step.
    pub fn new(config: &Config, capabilities: &Capabilities, max_tokens: usize, logit_rows: usize) -> Self {
        let tensor = |label, cols| Tensor::new(label, max_tokens, cols);
        let query = config.num_heads * config.head_dim;
        let key = config.num_kv_heads * config.head_dim;
        let partials = |sequences| match attention_splits(capabilities, config.num_kv_heads, sequences) {
            1 => None,
            splits => Some(Partials::new(sequences, splits, config.num_heads, config.head_dim)),
        };
        let widest = config.hidden_size.max(query).max(config.intermediate_size);
        Self {
            tokens: token_ids("tokens", max_tokens),
            residual: tensor("residual", config.hidden_size),
            new_residual: Tensor::new("new_residual", 1, config.hidden_size),
            normed: tensor("normed", config.hidden_size),
            qkv: tensor("qkv", query + 2 * key),
            heads: tensor("heads", query),
            partials: partials(logit_rows),
            partials_of_one: partials(1),
            block: tensor("block", config.hidden_size),
            gate_up: tensor("gate_up", gate_up_cols(config.intermediate_size)),
            ffn_inner: tensor("ffn_inner", config.intermediate_size),
            int8: Int8Tensor::new("int8", max_tokens, widest),
            // Only products on cooperative matrices use it.
            f16: F16Tensor::new("f16", if capabilities.cooperative_size.is_some() { max_tokens } else { 1 }, widest),
            ffn_inner_int8: Int8Tensor::new("ffn_inner_int8", 1, config.intermediate_size),
            logits: Tensor::new("logits", logit_rows, config.vocab_size),
            best: argmax_candidates(),
            shortlist: Shortlist::new(config.vocab_size),
        }
    }

    /// Those of a runner of one sequence: of chunks of up to `chunk` tokens, and of decode steps with guessed tokens, which need a
    /// row of logits for each.
    pub fn of_one_sequence(config: &Config, capabilities: &Capabilities, chunk: usize) -> Self {
        let logits = Tensor::new("logits", chunk.min(MAX_SMALL_BATCH), config.vocab_size);
        Self { logits, ..Self::new(config, capabilities, chunk, 1) }
    }

    /// With the logits of others, and what chooses a token from them, in place of its own.
    pub(crate) fn sharing_logits(self, other: &Self) -> Self {
        let Self { logits, best, shortlist, .. } = other;
        Self { logits: logits.clone(), best: best.clone(), shortlist: shortlist.clone(), ..self }
    }

    /// The most tokens per step whose buffers a device can bind, and at least 1. `all_logits`: there is a row of logits per
    /// token.
    pub fn most_tokens(config: &Config, capabilities: &Capabilities, all_logits: bool) -> usize {
        /// The most workgroups in a dimension of a grid.
        const GRID: u64 = 65_535;
        let one = Self::new(config, capabilities, 1, 1);
        let Self { residual, qkv, heads, gate_up, int8, f16, logits, .. } = &one;
        let buffers =
            [residual, qkv, heads, gate_up].map(Tensor::buffer).into_iter().chain([int8.buffer(), f16.buffer()]);
        let widest = buffers.chain(all_logits.then(|| logits.buffer())).map(Buffer::bytes).max().unwrap_or(1);
        let limit = capabilities.max_binding_bytes.min(capabilities.max_buffer_bytes);
        (limit / widest).clamp(1, GRID) as usize
    }

    /// Sets the ids of a step of a prompt, and returns the step: neighbouring tokens from `position` on of the sequence in a slot.
    pub(crate) fn begin(&self, gpu: &Gpu, ids: &[u32], position: usize, slot: u32) -> Step {
        gpu.write(&self.tokens, 0, bytemuck::cast_slice(ids));
        // Contexts are far shorter than 2^32.
        Step { n_tokens: ids.len() as u32, position: position as u32, slot, ..Step::default() }
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.buffers().map(Buffer::bytes).sum()
    }

    /// All of its buffers.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        let tensors = [
            &self.residual,
            &self.new_residual,
            &self.normed,
            &self.qkv,
            &self.heads,
            &self.block,
            &self.gate_up,
            &self.ffn_inner,
            &self.logits,
        ];
        let others = [&self.tokens, &self.best, self.int8.buffer(), self.f16.buffer(), self.ffn_inner_int8.buffer()];
        let partials = [&self.partials, &self.partials_of_one].into_iter().flatten().map(Partials::buffer);
        tensors.map(Tensor::buffer).into_iter().chain(others).chain(self.shortlist.buffers()).chain(partials)
    }
}
