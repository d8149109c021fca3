//! `wgsl/add_rms_norm.wesl`

use lapidary_shaders::kernels::add_rms_norm::{Bindings, KERNEL, Params};

use super::{Factor, assert_cols, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Tensor};

/// `residual += rms_norm(y, post_weight)`, then `out = rms_norm(residual, next_weight)`, row by row.
///
/// `y`, `residual`, `out`: `[T, n]`; the weights: `[1, n]`, holding `1 + w` for models that store `w`.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn add_rms_norm(
    r: &mut Recorder<'_>,
    y: &Tensor,
    post_weight: &Tensor,
    residual: &Tensor,
    next_weight: &Tensor,
    eps: f32,
    out: Factor<'_>,
) -> Result<()> {
    for (name, tensor) in [("post_weight", post_weight), ("residual", residual), ("next_weight", next_weight)] {
        assert_cols(name, tensor, y.cols());
    }
    out.assert_cols(y.cols());
    let params = Params { cols: u32_of(y.cols()), stride4: u32_of(y.stride() / 4), eps };
    let bindings = Bindings {
        y: y.slice(),
        post_weight: post_weight.slice(),
        residual: residual.slice(),
        next_weight: next_weight.slice(),
        out: out.slice(),
    };
    let grid = Grid::Xy(Count::EACH_TOKEN, Count::Fixed(1));
    r.dispatch(&KERNEL, out.flags(), params.words(), bindings.slots(), grid).await
}
