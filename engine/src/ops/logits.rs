//! `wgsl/logits.wesl`

use lapidary_shaders::kernels::logits::{Bindings, KERNEL, LOGITS_PER_WORKGROUP, Params};

use super::u32_of;
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Slice, Tensor};

/// Finishes logits in place: soft-cap, then the step's repetition penalty for tokens in `seen`.
///
/// `logits`: `[T, vocab]`, or `[1, vocab]` where `rows` is 1 whatever T is; `seen`: a bit a token.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn logits(
    r: &mut Recorder<'_>,
    logits: &Tensor,
    rows: Count,
    soft_cap: Option<f32>,
    seen: &wgpu::Buffer,
) -> Result<()> {
    let vocab_size = u32_of(logits.cols());
    let params = Params { vocab_size, stride: u32_of(logits.stride()), soft_cap: soft_cap.unwrap_or(0.0) };
    let bindings = Bindings { logits: logits.slice(), seen: Slice::all(seen) };
    let grid = Grid::Xy(Count::Fixed(vocab_size.div_ceil(LOGITS_PER_WORKGROUP)), rows);
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), grid).await
}
