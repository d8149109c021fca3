//! `wgsl/matmul_small.wesl`

use lapidary_shaders::kernels::matmul_small::{Bindings, KERNEL, MAX_TOKENS, Params, ROWS};

use super::{Factor, Width, assert_cols, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Tensor};
use crate::quant::Matrix;

/// Tokens per step of a small batch, at most.
pub const FEW_TOKENS: usize = MAX_TOKENS as usize;

/// `out[t, first_out..] = weights · x[t]` for a step of at most [`FEW_TOKENS`], one dispatch per shard.
///
/// `weights`: `[m, n]`, in a format of integers where `x` is; `x`: `[T, n]`; `out`: `[T, first_out + m]` or more columns.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn matmul_small(
    r: &mut Recorder<'_>,
    weights: &Matrix,
    x: Factor<'_>,
    width: Width,
    out: &Tensor,
    first_out: usize,
) -> Result<()> {
    let flags: &[&str] = match x {
        Factor::Float(x) => {
            assert_cols("x", x, weights.cols);
            &[]
        }
        Factor::Int8(_) => &["int8"],
    };
    assert!(first_out + weights.rows <= out.cols(), "out has {} columns, too few", out.cols());
    for shard in &weights.shards {
        let params = Params {
            rows: u32_of(shard.rows),
            groups: u32_of(weights.groups()),
            first_out: u32_of(first_out + shard.first_row),
            out_stride: u32_of(out.stride()),
        };
        let bindings = Bindings { quants: shard.quants(), scales: shard.scales(), x: x.slice(), out: out.slice() };
        let grid = Grid::Flat(Count::Fixed(u32_of(shard.rows).div_ceil(ROWS)));
        let features = [&[weights.format.name()][..], flags].concat();
        r.dispatch_with(&KERNEL, &features, width.constants(), params.words(), bindings.slots(), grid).await?;
    }
    Ok(())
}
