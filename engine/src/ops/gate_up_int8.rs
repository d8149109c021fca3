//! `wgsl/gate_up_int8.wesl`

use lapidary_shaders::kernels::gate_up_int8::{Bindings, GROUP_BYTES, KERNEL, OUTPUTS, Params, VEC4S_PER_GROUP};

use super::{Int8Tensor, Seam, WORKGROUP_BYTES, Width, assert_cols, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Tensor};
use crate::quant::Matrix;

/// `x = seam`, then `out[0] = gelu(gates · x) · (ups · x)`, of one token in one dispatch; `x` and `out` are rounded to 8-bit
/// integers. The new residual stream goes to `new_residual`.
///
/// `gate_up`: `[2n, cols]`, gates above ups, in one shard and in a format of integers, n a multiple of 32; the seam's
/// tensors: `[1, cols]`; `new_residual`: `[1, cols]`, not the seam's; `out`: room for `[1, n]`.
/// A workgroup must have [room](gate_up_int8_fits).
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn gate_up_int8(
    r: &mut Recorder<'_>,
    seam: Seam<'_>,
    new_residual: &Tensor,
    gate_up: &Matrix,
    width: Width,
    out: &Int8Tensor,
) -> Result<()> {
    seam.assert_cols(gate_up.cols);
    assert_cols("new_residual", new_residual, gate_up.cols);
    let [shard] = &gate_up.shards[..] else { panic!("{} shards: gates and ups must be in one", gate_up.shards.len()) };
    assert!((shard.rows / 2).is_multiple_of(32), "{} outputs do not fill groups of 32", shard.rows / 2);
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
    let constants = [width.constants(), &[("x_vec4s", VEC4S_PER_GROUP * groups)]].concat();
    r.dispatch_with(&KERNEL, &[gate_up.format.name()], &constants, params.words(), bindings.slots(), grid).await
}

/// Whether [`gate_up_int8`] has room for `cols` activations in a workgroup's memory.
pub fn gate_up_int8_fits(cols: usize) -> bool {
    // Its x, and arrays of fixed sizes.
    let fixed = KERNEL.variants.iter().map(|variant| variant.workgroup_bytes).max().unwrap_or(0);
    GROUP_BYTES as usize * cols.div_ceil(32) + fixed as usize <= WORKGROUP_BYTES
}
