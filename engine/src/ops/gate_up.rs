//! `wgsl/gate_up.wesl`

use lapidary_shaders::kernels::gate_up::{Bindings, KERNEL, OUTPUTS, Params, WORKGROUP_SIZE};

use super::{Seam, WORKGROUP_BYTES, assert_cols, u32_of};
use crate::error::Result;
use crate::gpu::{Capabilities, Count, Grid, Recorder, Tensor};
use crate::quant::Matrix;

/// `x = seam`, then `out[0] = gelu(gates · x) · (ups · x)`, of one token in one dispatch. The new residual stream goes to
/// `new_residual`.
///
/// `gate_up`: `[2n, cols]`, gates above ups, in one shard; the seam's tensors: `[1, cols]`; `new_residual`: `[1, cols]`, not
/// the seam's; `out`: `[1, n]`. A workgroup must have [room](gate_up_fits).
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn gate_up(
    r: &mut Recorder<'_>,
    seam: Seam<'_>,
    new_residual: &Tensor,
    gate_up: &Matrix,
    out: &Tensor,
) -> Result<()> {
    seam.assert_cols(gate_up.cols);
    assert_cols("new_residual", new_residual, gate_up.cols);
    assert_cols("out", out, gate_up.rows / 2);
    let [shard] = &gate_up.shards[..] else { panic!("{} shards: gates and ups must be in one", gate_up.shards.len()) };
    let groups = u32_of(gate_up.groups());
    let params = Params { rows: u32_of(shard.rows / 2), groups, cols: u32_of(gate_up.cols), eps: seam.eps };
    let bindings = Bindings {
        quants: shard.quants(),
        scales: shard.scales(),
        y: seam.y.slice(),
        out: out.slice(),
        residual: seam.residual.slice(),
        new_residual: new_residual.slice(),
        post_weight: seam.post_weight.slice(),
        next_weight: seam.next_weight.slice(),
    };
    let grid = Grid::Flat(Count::Fixed(params.rows.div_ceil(OUTPUTS)));
    let (features, constants) = ([gate_up.format.name()], [("x_vec4s", 8 * groups)]);
    r.dispatch_with(&KERNEL, &features, &constants, params.words(), bindings.slots(), grid).await
}

/// Whether [`gate_up`] has room for `cols` activations in a workgroup's memory.
pub fn gate_up_fits(capabilities: &Capabilities, cols: usize) -> bool {
    // Its x, what `lib/reduce.wesl` sums, and what lanes sum where there are no subgroups.
    let sums = WORKGROUP_SIZE as usize * if capabilities.subgroups { 4 } else { 4 + 16 };
    128 * cols.div_ceil(32) + sums <= WORKGROUP_BYTES
}
