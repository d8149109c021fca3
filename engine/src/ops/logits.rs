//! `wgsl/logits.wesl`

use lapidary_shaders::kernels::logits::{Bindings, KERNEL, LOGITS_PER_WORKGROUP, Params};

use super::u32_of;
use crate::gpu::{Buffer, Count, Grid, Recording, Tensor};

/// Finishes logits in place: soft-cap, then the step's repetition penalty for tokens in `seen`.
///
/// `logits`: `[T, vocab]`, or `[1, vocab]` where `rows` is 1 for any T; `seen`: one bit per token.
pub fn logits(r: &mut Recording, logits: &Tensor, rows: Count, soft_cap: Option<f32>, seen: &Buffer) {
    let vocab_size = u32_of(logits.cols());
    let params = Params { vocab_size, stride: u32_of(logits.stride()), soft_cap: soft_cap.unwrap_or(0.0) };
    let bindings = Bindings { logits: logits.slice(), seen: seen.into() };
    let grid = Grid::Xy(Count::Fixed(vocab_size.div_ceil(LOGITS_PER_WORKGROUP)), rows);
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), grid);
}
