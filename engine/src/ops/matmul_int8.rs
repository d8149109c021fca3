//! `wgsl/matmul_int8.wesl`

use lapidary_shaders::kernels::matmul_int8::{Bindings, KERNEL, Params, TILE_ROWS, TILE_TOKENS};

use super::{Int8Tensor, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Tensor};
use crate::quant::Matrix;

/// `out[t, first_out..] = weights · x[t]`, one dispatch a shard.
///
/// `weights`: `[m, n]`, in a format of integers; `x`: `[T, n]`; `out`: `[T, first_out + m]` or more columns.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn matmul_int8(
    r: &mut Recorder<'_>,
    weights: &Matrix,
    x: &Int8Tensor,
    out: &Tensor,
    first_out: usize,
) -> Result<()> {
    assert!(first_out + weights.rows <= out.cols(), "out has {} columns, too few", out.cols());
    for shard in &weights.shards {
        let params = Params {
            rows: u32_of(shard.rows),
            groups: u32_of(weights.groups()),
            first_out: u32_of(first_out + shard.first_row),
            out_stride: u32_of(out.stride()),
        };
        let bindings = Bindings { quants: shard.quants(), scales: shard.scales(), x: x.slice(), out: out.slice() };
        let grid = Grid::Xy(
            Count::Fixed(u32_of(shard.rows).div_ceil(TILE_ROWS)),
            Count::Tokens { per_token: 1, per_group: TILE_TOKENS },
        );
        r.dispatch(&KERNEL, &[weights.format.name()], params.words(), bindings.slots(), grid).await?;
    }
    Ok(())
}
