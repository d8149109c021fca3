//! `wgsl/sample.wesl`

use lapidary_shaders::kernels::sample::{Bindings, KERNEL, Params};

use super::{Emitted, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Slice, Tensor};

/// Draws a token from finished logits with the step's temperature, top-k, top-p, min-p, seed and draw.
///
/// `logits`: `[1, vocab]`, of which the first `pieces` can be drawn; `candidates`: scratch, 8 bytes a token.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn sample(
    r: &mut Recorder<'_>,
    logits: &Tensor,
    pieces: usize,
    candidates: &wgpu::Buffer,
    emitted: Emitted<'_>,
) -> Result<()> {
    assert!(pieces <= logits.cols() && candidates.size() >= 8 * pieces as u64, "too few logits or candidates");
    let params = Params { vocab_size: u32_of(pieces) };
    let bindings = Bindings {
        logits: logits.slice(),
        candidates: Slice::all(candidates),
        tokens: Slice::all(emitted.tokens),
        results: Slice::all(emitted.results),
        seen: Slice::all(emitted.seen),
    };
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), Grid::Xy(Count::Fixed(1), Count::Fixed(1))).await
}
