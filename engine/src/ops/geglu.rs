//! `wgsl/geglu.wesl`

use lapidary_shaders::kernels::geglu::{Bindings, KERNEL, Params};

use super::{assert_cols, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Tensor};

/// `@workgroup_size` of the kernel.
const WORKGROUP_SIZE: u32 = 64;

/// `out = gelu(gate) · up`, number by number, with the tanh approximation of GELU.
///
/// All: `[T, n]`.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn geglu(r: &mut Recorder<'_>, gate: &Tensor, up: &Tensor, out: &Tensor) -> Result<()> {
    assert_cols("up", up, gate.cols());
    assert_cols("out", out, gate.cols());
    let stride4 = u32_of(gate.stride() / 4);
    let bindings = Bindings { gate: gate.slice(), up: up.slice(), out: out.slice() };
    let grid = Grid::Flat(Count::Tokens { per_token: stride4, per_group: WORKGROUP_SIZE });
    r.dispatch(&KERNEL, &[], Params { stride4 }.words(), bindings.slots(), grid).await
}
