//! The layer graph of Gemma-2 and Gemma-3 text, a line a kernel.
//!
//! Gemma 2 (Gemma Team 2024, section 2): `x += post_attention_norm(attention(input_norm(x)))`, then
//! `x += post_ffn_norm(ffn(pre_ffn_norm(x)))`. The seams between blocks are fused: [`add_rms_norm`] adds one block's output
//! and norms the next one's input, and in decode the product of gates and ups may make the seam before it.

use super::feed_forward::{FeedForward, record_hidden};
use super::products::{Kernels, Mode, Products};
use super::weights::RopeTables;
use super::{Config, KvCache, State, Weights};
use crate::error::Result;
use crate::gpu::{Count, Recorder};
use crate::ops::{
    Attention, Emitted, Factor, Rope, Seam, Shares, add_rms_norm, argmax, argmax_merge, attention, attention_merge,
    attention_split, embed, logits, rms_norm, rope, sample, shortlist,
};

/// What stays the same from step to step.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// The model's numbers.
    pub config: &'a Config,
    /// Its weights.
    pub weights: &'a Weights,
    /// Tables of angles for its layers.
    pub tables: &'a RopeTables,
    /// What multiplies.
    pub kernels: Kernels,
}

/// Records everything from token ids to the final norm, which ends up in `s.normed`. A part a layer, after one for the
/// embedding.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn record_body(r: &mut Recorder<'_>, mode: Mode, model: Model<'_>, cache: &KvCache, s: &State) -> Result<()> {
    let Model { config: c, weights: w, tables, kernels } = model;
    let eps = c.rms_norm_eps;
    let products = Products { mode, kernels, int8: &s.int8 };
    r.begin_part();
    embed(r, &w.embedding, &s.tokens, c.embedding_scale, &s.residual).await?;
    // What the layer's first product takes.
    let mut x = Factor::Float(&s.normed);
    if let Some(first) = w.layers.first() {
        x = products.factor(&first.qkv.placed(), &s.normed);
        rms_norm(r, &s.residual, &first.input_norm, eps, x).await?;
    }
    // Where the residual stream is, and where it goes next if it goes elsewhere.
    let (mut residual, mut new_residual) = (&s.residual, &s.new_residual);
    for (i, (layer, cache)) in w.layers.iter().zip(&cache.layers).enumerate() {
        let kind = &c.layers[i];
        r.begin_part();
        products.record(r, x, &layer.qkv.placed(), &s.qkv).await?;
        let rotation = Rope {
            heads: c.num_heads,
            kv_heads: c.num_kv_heads,
            head_dim: c.head_dim,
            query_scale: c.query_scale,
            eps,
        };
        let table = tables.of(kind.rope_theta, kind.rope_scale);
        let qk_norm = layer.qk_norm.as_ref();
        let numbers = Attention {
            heads: c.num_heads,
            kv_heads: c.num_kv_heads,
            head_dim: c.head_dim,
            window: kind.window,
            soft_cap: c.attn_soft_cap,
        };
        let output = [(&layer.output, 0)];
        x = Factor::Float(&s.heads);
        if mode == Mode::Decode {
            if c.head_dim.is_multiple_of(32) {
                x = products.factor(&output, &s.heads);
            }
            let shares = s.partials.as_ref().map_or(Shares::One(x), Shares::Many);
            attention_split(r, numbers, rotation, &s.qkv, table, qk_norm, cache, shares).await?;
            if let Shares::Many(partials) = shares {
                attention_merge(r, numbers, partials, x).await?;
            }
        } else {
            rope(r, rotation, &s.qkv, table, qk_norm, cache).await?;
            attention(r, numbers, &s.qkv, cache, &s.heads).await?;
        }
        products.record(r, x, &output, &s.block).await?;
        let seam = Seam {
            y: &s.block,
            post_weight: &layer.post_attention_norm,
            residual,
            next_weight: &layer.pre_ffn_norm,
            eps,
        };
        let block = FeedForward {
            seam,
            new_residual,
            gate_up: layer.gate_up.placed(),
            down: &layer.down,
            normed: &s.normed,
            gates_ups: &s.gate_up,
            hidden: &s.hidden,
            hidden_int8: &s.hidden_int8,
        };
        let hidden = record_hidden(r, &products, &block).await?;
        if hidden.moved {
            std::mem::swap(&mut residual, &mut new_residual);
        }
        products.record(r, hidden.factor, &[(&layer.down, 0)], &s.block).await?;
        let next_weight;
        (next_weight, x) = match w.layers.get(i + 1) {
            Some(next) => (&next.input_norm, products.factor(&next.qkv.placed(), &s.normed)),
            // The head is recorded apart and may multiply otherwise.
            None => (&w.final_norm, Factor::Float(&s.normed)),
        };
        let seam = Seam { y: &s.block, post_weight: &layer.post_ffn_norm, residual, next_weight, eps };
        add_rms_norm(r, seam, x).await?;
    }
    Ok(())
}

/// What comes after the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Logits of the step's last token, and the likeliest token.
    Greedy,
    /// Logits of the step's last token, and a token drawn from them.
    Sample,
    /// Logits of all of the step's tokens.
    AllLogits,
}

/// Records the head: from the final norm in `s.normed` to logits and a token, one of the first `usable_vocab`: vocabularies may
/// be padded with rows that stand for nothing.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn record_head(
    r: &mut Recorder<'_>,
    head: Head,
    model: Model<'_>,
    s: &State,
    usable_vocab: usize,
) -> Result<()> {
    let Model { config: c, weights: w, kernels, .. } = model;
    r.begin_part();
    let mode = if head == Head::AllLogits { Mode::Prefill } else { Mode::Decode };
    let products = Products { mode, kernels, int8: &s.int8 };
    products.record(r, Factor::Float(&s.normed), &[(&w.embedding, 0)], &s.logits).await?;
    if head == Head::AllLogits {
        return logits(r, &s.logits, Count::EACH_TOKEN, c.final_soft_cap, &s.seen).await;
    }
    logits(r, &s.logits, Count::Fixed(1), c.final_soft_cap, &s.seen).await?;
    let emitted = Emitted { tokens: &s.tokens, results: &s.results, seen: &s.seen };
    if head == Head::Greedy {
        argmax(r, &s.logits, usable_vocab, &s.best).await?;
        argmax_merge(r, &s.best, emitted).await
    } else {
        shortlist(r, &s.logits, usable_vocab, &s.shortlist).await?;
        sample(r, &s.shortlist, usable_vocab, &s.candidates, emitted).await
    }
}
