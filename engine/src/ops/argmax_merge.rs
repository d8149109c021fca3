//! `wgsl/argmax_merge.wesl`

pub use lapidary_shaders::kernels::argmax_merge::NO_TOKEN;
use lapidary_shaders::kernels::argmax_merge::{Bindings, KERNEL, Params};

use super::{ARGMAX_WORKGROUPS, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Slice};

/// Where a chosen token goes: `wgsl/lib/emit.wesl`.
#[derive(Clone, Copy)]
pub struct Emitted<'a> {
    /// The embedding's input; the token goes to word 0.
    pub tokens: &'a wgpu::Buffer,
    /// A ring of results; draw n goes to word n modulo its length.
    pub results: &'a wgpu::Buffer,
    /// A bit a token; the token's is set.
    pub seen: &'a wgpu::Buffer,
}

/// The token of the largest of `argmax`'s maxima, the lowest on a tie.
///
/// `best`: 8 bytes for each of [`ARGMAX_WORKGROUPS`].
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn argmax_merge(r: &mut Recorder<'_>, best: &wgpu::Buffer, emitted: Emitted<'_>) -> Result<()> {
    let params = Params { count: u32_of(ARGMAX_WORKGROUPS) };
    let bindings = Bindings {
        best: Slice::all(best),
        tokens: Slice::all(emitted.tokens),
        results: Slice::all(emitted.results),
        seen: Slice::all(emitted.seen),
    };
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), Grid::Xy(Count::Fixed(1), Count::Fixed(1))).await
}
