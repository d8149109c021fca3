//! `wgsl/logits.wesl`

use lapidary_shaders::kernels::logits::{Bindings, KERNEL, LOGITS_PER_WORKGROUP, Params};

use super::{TokenSink, u32_of};
use crate::gpu::{Count, Grid, Recording, Tensor};

/// Finishes logits in place: soft-cap, then the step's repetition penalty for tokens that the sequence in its slot has seen. Where
/// the step has a mask, tokens that are not allowed there become minus infinity.
///
/// `logits`: `[rows, vocab]`, of which as many rows as `rows` says count, from the step's `row` on.
pub fn logits(r: &mut Recording, logits: &Tensor, rows: Count, soft_cap: Option<f32>, sink: &TokenSink) {
    let vocab_size = u32_of(logits.cols());
    let params = Params {
        vocab_size,
        stride: u32_of(logits.stride()),
        soft_cap: soft_cap.unwrap_or(0.0),
        seen_words: sink.seen_words(),
    };
    let bindings = Bindings { logits: logits.slice(), seen: (&sink.seen).into(), allowed: (&sink.allowed).into() };
    let grid = Grid::Xy(Count::Fixed(vocab_size.div_ceil(LOGITS_PER_WORKGROUP)), rows);
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), grid);
}
