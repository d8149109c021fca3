//! `wgsl/matmul_few.wesl`

use lapidary_shaders::kernels::matmul_few::{Bindings, KERNEL, Params};

use super::{Width, assert_cols, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Tensor};
use crate::quant::Matrix;

/// The tokens of a step for which there are kernels of their own, at most.
pub const FEW_TOKENS: usize = 8;

/// `out[t, first_out..] = weights · x[t]` for a step of at most [`FEW_TOKENS`], one dispatch a shard.
///
/// `weights`: `[m, n]`; `x`: `[T, n]`; `out`: `[T, first_out + m]` or more columns.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn matmul_few(
    r: &mut Recorder<'_>,
    weights: &Matrix,
    x: &Tensor,
    width: Width,
    out: &Tensor,
    first_out: usize,
) -> Result<()> {
    assert_cols("x", x, weights.cols);
    assert!(first_out + weights.rows <= out.cols(), "out has {} columns, too few", out.cols());
    for shard in &weights.shards {
        let params = Params {
            rows: u32_of(shard.rows),
            groups: u32_of(weights.groups()),
            first_out: u32_of(first_out + shard.first_row),
            out_stride: u32_of(out.stride()),
        };
        let bindings = Bindings { quants: shard.quants(), scales: shard.scales(), x: x.slice(), out: out.slice() };
        let grid = Grid::Flat(Count::Fixed(u32_of(shard.rows).div_ceil(Width::ROWS)));
        let features = [weights.format.name()];
        r.dispatch_with(&KERNEL, &features, width.constants(), params.words(), bindings.slots(), grid).await?;
    }
    Ok(())
}
