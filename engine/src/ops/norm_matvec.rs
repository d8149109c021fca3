//! `wgsl/norm_matvec_int8.wesl`

use lapidary_shaders::kernels::norm_matvec_int8::{Bindings, GEGLU_OUTPUTS, KERNEL, OUTPUTS, Params, VEC4S_PER_GROUP};

use super::product::only_shard;
use super::{Int8Tensor, ResidualNorm, Way, assert_cols, u32_of};
use crate::gpu::{Count, Grid, Recording, Slice, Tensor};
use crate::quant::Matrix;

/// Fuses the residual add, the norms and a product into one dispatch, for one token: `x = norm`, rounded to 8-bit integers, then
/// `out[0] = weights · x`. The new residual stream goes to `new_residual`.
///
/// `weights`: `[n, cols]`, in one shard; the tensors of `norm`: `[1, cols]`; `new_residual`: `[1, cols]`, another tensor than
/// `norm`'s; `out`: `[1, n]` or wider. The way must [fuse norms](Way::can_fuse_norms) of `cols` columns.
pub fn norm_matvec(
    r: &mut Recording,
    way: &Way,
    norm: ResidualNorm<'_>,
    new_residual: &Tensor,
    weights: &Matrix,
    out: &Tensor,
) {
    assert!(weights.rows <= out.cols(), "out has {} columns, too few for {}", out.cols(), weights.rows);
    record(r, way, norm, new_residual, weights, out.slice(), false);
}

/// [`norm_matvec`] with gates and ups, and GeGLU: `out[0] = gelu(gates · x) · (ups · x)`, rounded to 8-bit integers.
///
/// `gate_up`: `[2n, cols]`, the gates' rows first, with n a multiple of 32; `out`: `[1, n]`.
pub fn norm_matvec_geglu(
    r: &mut Recording,
    way: &Way,
    norm: ResidualNorm<'_>,
    new_residual: &Tensor,
    gate_up: &Matrix,
    out: &Int8Tensor,
) {
    assert!(gate_up.rows.is_multiple_of(64), "{} gates and ups do not fill groups of 32 outputs", gate_up.rows);
    record(r, way, norm, new_residual, gate_up, out.slice(), true);
}

fn record(
    r: &mut Recording,
    way: &Way,
    norm: ResidualNorm<'_>,
    new_residual: &Tensor,
    weights: &Matrix,
    out: Slice,
    geglu: bool,
) {
    norm.assert_cols(weights.cols);
    assert_cols("new_residual", new_residual, weights.cols);
    assert!(way.fuses_norms, "{way:?} has no kernel that fuses norms");
    let shard = only_shard(weights);
    let groups = u32_of(weights.groups());
    let rows = u32_of(if geglu { shard.rows / 2 } else { shard.rows });
    let params = Params { rows, groups, cols: u32_of(weights.cols), eps: norm.eps };
    let bindings = Bindings {
        quants: shard.quants(),
        scales: shard.scales(),
        y: norm.y.slice(),
        out,
        residual: norm.residual.slice(),
        new_residual: new_residual.slice(),
        post_weight: norm.post_weight.slice(),
        next_weight: norm.next_weight.slice(),
    };
    let flags: &[&str] = if geglu { &["geglu"] } else { &[] };
    let features = [&[weights.format.name()], flags].concat();
    let constants = [way.constants, &[("x_vec4s", VEC4S_PER_GROUP * groups)]].concat();
    let outputs = if geglu { GEGLU_OUTPUTS } else { OUTPUTS };
    let grid = Grid::Flat(Count::Fixed(rows.div_ceil(outputs)));
    r.dispatch_with(&KERNEL, &features, &constants, params.words(), bindings.slots(), grid);
}
