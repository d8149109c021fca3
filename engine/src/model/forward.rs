//! The layer graph of Gemma-2 and Gemma-3 text, one line per kernel.
//!
//! Gemma 2 (Gemma Team 2024, section 2): `x += post_attention_norm(attention(input_norm(x)))`, then `x +=
//! post_ffn_norm(ffn(pre_ffn_norm(x)))`. [`add_rms_norm`] fuses the operations between two blocks: it adds one block's
//! output to the residual stream and normalizes the next block's input. In decode, [`norm_matvec`] can fuse that into the
//! block's first product.

use super::feed_forward::{FeedForward, record_ffn_inner};
use super::products::{Kernels, Products};
use super::weights::RopeTables;
use super::{Activations, SequenceBuffers, Weights};
use crate::config::Config;
use crate::gpu::{Count, Recording};
use crate::ops::{
    Attention, KeySplits, Mode, Operand, ResidualNorm, Rope, TokenIds, add_rms_norm, argmax, argmax_merge, attention,
    attention_merge, attention_split, embed, logits, norm_matvec, rms_norm, rope, sample, shortlist,
};

/// A model, as far as it does not change from step to step.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// The model's shape.
    pub config: &'a Config,
    /// Its weights.
    pub weights: &'a Weights,
    /// The rotary tables of its layers.
    pub tables: &'a RopeTables,
    /// The ways to multiply by its weights.
    pub kernels: Kernels,
    /// How many tokens of the vocabulary can be chosen, from the first on. The other rows of the embedding are padding.
    pub usable_vocab: usize,
}

/// The tokens of a step, and how it multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Neighbouring tokens of one sequence, whose ids are in the activations.
    Prompt(Mode),
    /// The newest token of each of the step's sequences. [`Mode::Decode`] is for one sequence.
    Newest(Mode),
}

/// Records the forward pass from token ids to the final norm, whose result is in `a.normed`: one segment for the
/// embedding, then one per layer.
pub fn record_body(r: &mut Recording, body: Body, model: Model<'_>, buffers: &SequenceBuffers, a: &Activations) {
    let Model { config: c, weights: w, tables, kernels, .. } = model;
    let eps = c.rms_norm_eps;
    let (mode, ids) = match body {
        Body::Prompt(mode) => (mode, TokenIds::Chunk(&a.tokens)),
        Body::Newest(mode) => (mode, TokenIds::Newest(&buffers.sink)),
    };
    let products = Products { mode, kernels, int8: &a.int8, f16: &a.f16 };
    r.begin_segment();
    embed(r, &w.embedding, ids, c.embedding_scale, &a.residual);
    // The residual stream, and the tensor that it moves to with fused norms.
    let (mut residual, mut new_residual) = (&a.residual, &a.new_residual);
    for (i, (layer, cache)) in w.layers.iter().zip(&buffers.cache).enumerate() {
        let kind = &c.layers[i];
        let (heads, kv_heads, head_dim) = (c.num_heads, c.num_kv_heads, c.head_dim);
        let rotation = Rope { heads, kv_heads, head_dim, query_scale: c.query_scale, eps };
        let shape = Attention { heads, kv_heads, head_dim, window: kind.window, soft_cap: c.attn_soft_cap };
        let table = tables.of(kind.rope_theta, kind.rope_scale);
        let qk_norm = layer.qk_norm.as_ref();
        let output = [(&layer.output, 0)];

        r.begin_segment();
        let (qkv, next_weight) = (layer.qkv.placed(), &layer.input_norm);
        // The residual add of the layer before, and this layer's norm.
        let norm = i.checked_sub(1).map(|before| {
            let post_weight = &w.layers[before].post_ffn_norm;
            ResidualNorm { y: &a.block, post_weight, residual, next_weight, eps }
        });
        if let (Some(norm), Some((way, weights))) = (norm, products.single(r, &qkv))
            && products.fuses_norms(r, way, weights)
        {
            norm_matvec(r, way, norm, new_residual, weights, &a.qkv);
            std::mem::swap(&mut residual, &mut new_residual);
        } else {
            let x = products.operand(r, &qkv, &a.normed);
            match norm {
                Some(norm) => add_rms_norm(r, norm, x),
                None => rms_norm(r, residual, next_weight, eps, x),
            }
            products.record(r, x, &qkv, &a.qkv);
        }

        let mut x = Operand::Float(&a.heads);
        if matches!(body, Body::Newest(_)) {
            if head_dim.is_multiple_of(32) {
                x = products.operand(r, &output, &a.heads);
            }
            let partials = if mode == Mode::Decode { &a.partials_of_one } else { &a.partials };
            let splits = partials.as_ref().map_or(KeySplits::One(x), KeySplits::Many);
            attention_split(r, shape, rotation, &a.qkv, table, qk_norm, cache, splits);
            if let KeySplits::Many(partials) = splits {
                attention_merge(r, shape, partials, x);
            }
        } else {
            rope(r, rotation, &a.qkv, table, qk_norm, cache);
            attention(r, shape, &a.qkv, cache, &a.heads, products.way(r, &layer.output).rounding);
        }
        products.record(r, x, &output, &a.block);

        let (post_weight, next_weight) = (&layer.post_attention_norm, &layer.pre_ffn_norm);
        let block = FeedForward {
            norm: ResidualNorm { y: &a.block, post_weight, residual, next_weight, eps },
            new_residual,
            gate_up: layer.gate_up.placed(),
            down: &layer.down,
            activations: a,
        };
        let inner = record_ffn_inner(r, &products, &block);
        if inner.moved {
            std::mem::swap(&mut residual, &mut new_residual);
        }
        products.record(r, inner.operand, &[(&layer.down, 0)], &a.block);
    }
    if let Some(last) = w.layers.last() {
        let (post_weight, next_weight) = (&last.post_ffn_norm, &w.final_norm);
        let norm = ResidualNorm { y: &a.block, post_weight, residual, next_weight, eps };
        // The head is recorded separately and can take another operand.
        add_rms_norm(r, norm, Operand::Float(&a.normed));
    }
}

/// The part of a step after the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Logits of the step's last token, and the most likely token.
    Greedy,
    /// Logits of the step's last token, and a token sampled from them.
    Sample,
    /// Logits of all of the step's tokens.
    AllLogits,
}

/// Records the head, from the final norm in `a.normed` to logits and a token: [`record_logits`] and [`record_choice`].
pub fn record_head(r: &mut Recording, head: Head, model: Model<'_>, buffers: &SequenceBuffers, a: &Activations) {
    let mode = if head == Head::AllLogits { Mode::Prefill } else { Mode::Decode };
    record_logits(r, mode, model, a);
    record_choice(r, head, model, buffers, a);
}

/// Records the product of the final norm with the embedding, `[T, vocab]`; with [`Mode::Decode`] `[1, vocab]`, of the last token.
pub fn record_logits(r: &mut Recording, mode: Mode, model: Model<'_>, a: &Activations) {
    r.begin_segment();
    let products = Products { mode, kernels: model.kernels, int8: &a.int8, f16: &a.f16 };
    products.record(r, Operand::Float(&a.normed), &[(&model.weights.embedding, 0)], &a.logits);
}

/// Records what follows the product: soft-cap and penalty, then the choice of a token by the row of logits at the step's `row`,
/// for the sequence in the step's slot.
pub fn record_choice(r: &mut Recording, head: Head, model: Model<'_>, buffers: &SequenceBuffers, a: &Activations) {
    let rows = if head == Head::AllLogits { Count::EACH_TOKEN } else { Count::Fixed(1) };
    let sink = &buffers.sink;
    logits(r, &a.logits, rows, model.config.final_soft_cap, sink);
    match head {
        Head::AllLogits => {}
        Head::Greedy => {
            argmax(r, &a.logits, model.usable_vocab, &a.best);
            argmax_merge(r, &a.best, sink);
        }
        Head::Sample => {
            shortlist(r, &a.logits, model.usable_vocab, &a.shortlist);
            sample(r, &a.shortlist, model.usable_vocab, sink);
        }
    }
}
