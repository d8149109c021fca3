//! `wgsl/pick.wesl`

use lapidary_shaders::kernels::pick::{Bindings, KERNEL, Params};

use super::{ARGMAX_WORKGROUPS, TokenSink, u32_of};
use crate::gpu::{Buffer, Grid, Recording};

/// The token of the largest of `argmax`'s candidates, the lowest on a tie.
///
/// `best`: 8 bytes for each of [`ARGMAX_WORKGROUPS`].
pub fn pick(r: &mut Recording, best: &Buffer, sink: &TokenSink) {
    let params = Params { count: u32_of(ARGMAX_WORKGROUPS) };
    let bindings = Bindings {
        best: best.into(),
        tokens: (&sink.token).into(),
        results: (&sink.results).into(),
        seen: (&sink.seen).into(),
    };
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), Grid::ONE);
}
