//! `wgsl/gate_up.wesl` and `wgsl/gate_up_int8.wesl`

use lapidary_shaders::kernels::gate_up::{Bindings, OUTPUTS, Params};

use super::product::gate_up_shard;
use super::{Operand, ResidualNorm, Way, assert_cols, u32_of};
use crate::gpu::{Count, Grid, Recording, Tensor};
use crate::quant::Matrix;

/// Fuses the residual add, the norms, the product of gates and ups, and GeGLU into one dispatch, for one token: `x =
/// norm`, then `out[0] = gelu(gates · x) · (ups · x)`. The new residual stream goes to `new_residual`.
///
/// `gate_up`: `[2n, cols]`, the gates' rows first, in one shard; the tensors of `norm`: `[1, cols]`; `new_residual`:
/// `[1, cols]`, another tensor than `norm`'s; `out`: `[1, n]`. If `way` quantizes activations, `x` and `out` are
/// integers, and n is a multiple of 32. The way must [support](Way::can_fuse_norms) `cols` columns.
pub fn gate_up(
    r: &mut Recording,
    way: &Way,
    norm: ResidualNorm<'_>,
    new_residual: &Tensor,
    gate_up: &Matrix,
    out: Operand<'_>,
) {
    norm.assert_cols(gate_up.cols);
    assert_cols("new_residual", new_residual, gate_up.cols);
    let shard = gate_up_shard(way, gate_up, out);
    let groups = u32_of(gate_up.groups());
    let params = Params { rows: u32_of(shard.rows / 2), groups, cols: u32_of(gate_up.cols), eps: norm.eps };
    let bindings = Bindings {
        quants: shard.quants(),
        scales: shard.scales(),
        y: norm.y.slice(),
        out: out.slice(),
        residual: norm.residual.slice(),
        new_residual: new_residual.slice(),
        post_weight: norm.post_weight.slice(),
        next_weight: norm.next_weight.slice(),
    };
    let fused = way.fused();
    let constants = [fused.constants, &[("x_vec4s", fused.x_vec4s * groups)]].concat();
    let grid = Grid::Flat(Count::Fixed(params.rows.div_ceil(OUTPUTS)));
    r.dispatch_with(fused.kernel, &[gate_up.format.name()], &constants, params.words(), bindings.slots(), grid);
}
