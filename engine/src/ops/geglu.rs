//! `wgsl/geglu.wesl`

use lapidary_shaders::kernels::geglu::{Bindings, KERNEL, Params};

use super::{assert_cols, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, ROW_ALIGN, Recorder, Tensor};

/// `@workgroup_size` of the kernel.
const WORKGROUP_SIZE: u32 = 64;

/// `out = gelu(gate) · up`, number by number, with the tanh approximation of GELU.
///
/// `out`: `[T, n]`; `gate_up`: [`gate_up_cols`]`(n)` columns, the gates from the first on, the ups from [`first_up`]`(n)` on,
/// zeros between.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn geglu(r: &mut Recorder<'_>, gate_up: &Tensor, out: &Tensor) -> Result<()> {
    assert_cols("gate_up", gate_up, gate_up_cols(out.cols()));
    let stride4 = u32_of(out.stride() / 4);
    let bindings = Bindings { gate_up: gate_up.slice(), out: out.slice() };
    let grid = Grid::Flat(Count::Tokens { per_token: stride4, per_group: WORKGROUP_SIZE });
    r.dispatch(&KERNEL, &[], Params { stride4 }.words(), bindings.slots(), grid).await
}

/// Columns of the input of a [`geglu`] with `n` outputs.
pub fn gate_up_cols(n: usize) -> usize {
    2 * first_up(n)
}

/// Where the ups begin: behind the gates, padded as rows are.
pub fn first_up(n: usize) -> usize {
    n.next_multiple_of(ROW_ALIGN)
}
