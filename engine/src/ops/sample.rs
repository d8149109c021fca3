//! `wgsl/sample.wesl`

use lapidary_shaders::kernels::sample::{Bindings, KERNEL, Params};

use super::{Emitted, Shortlist};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Slice};

/// Draws a token of the shortlist with the step's temperature, top-k, top-p, min-p, seed and draw.
///
/// `shortlist`: of the first `usable_vocab` logits; `candidates`: scratch, as large as the lists.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn sample(
    r: &mut Recorder<'_>,
    shortlist: &Shortlist,
    usable_vocab: usize,
    candidates: &wgpu::Buffer,
    emitted: Emitted<'_>,
) -> Result<()> {
    assert!(candidates.size() >= shortlist.lists().size(), "too few candidates");
    let params = Params { stretch: shortlist.stretch(usable_vocab) };
    let bindings = Bindings {
        lists: Slice::all(shortlist.lists()),
        lengths: Slice::all(shortlist.lengths()),
        candidates: Slice::all(candidates),
        tokens: Slice::all(emitted.tokens),
        results: Slice::all(emitted.results),
        seen: Slice::all(emitted.seen),
    };
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), Grid::Xy(Count::Fixed(1), Count::Fixed(1))).await
}
