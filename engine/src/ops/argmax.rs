//! `wgsl/argmax.wesl`

use lapidary_shaders::kernels::argmax::{Bindings, KERNEL, Params, STRETCHES};

use super::u32_of;
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Slice, Tensor};

/// Stretches that the logits are cut into, and so the maxima that `argmax_merge` chooses from.
pub const ARGMAX_WORKGROUPS: usize = STRETCHES as usize;

/// The largest logit and its token of each of [`ARGMAX_WORKGROUPS`] stretches.
///
/// `logits`: `[1, vocab]`, of which the first `usable_vocab` count; `best`: 8 bytes a stretch.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn argmax(r: &mut Recorder<'_>, logits: &Tensor, usable_vocab: usize, best: &wgpu::Buffer) -> Result<()> {
    assert!(usable_vocab <= logits.cols(), "more usable tokens than logits");
    let stretch = u32_of(usable_vocab.div_ceil(ARGMAX_WORKGROUPS));
    let params = Params { vocab_size: u32_of(usable_vocab), stretch };
    let bindings = Bindings { logits: logits.slice(), best: Slice::all(best) };
    let grid = Grid::Xy(Count::Fixed(u32_of(ARGMAX_WORKGROUPS)), Count::Fixed(1));
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), grid).await
}
