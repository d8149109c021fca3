//! `wgsl/matvec.wesl`

use lapidary_shaders::kernels::matvec::{Bindings, KERNEL, Params};

use super::{assert_cols, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Tensor};
use crate::quant::Matrix;

/// `ROWS_PER_WORKGROUP`, outputs of a workgroup, of the kernel.
const ROWS_PER_WORKGROUP: u32 = 32;

/// `out[0, first_out..] = weights · x[last token]`, one dispatch a shard.
///
/// `weights`: `[m, n]`; `x`: `[T, n]`, of which the step's last row counts; `out`: `[1, first_out + m]` or more columns.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn matvec(r: &mut Recorder<'_>, weights: &Matrix, x: &Tensor, out: &Tensor, first_out: usize) -> Result<()> {
    assert_cols("x", x, weights.cols);
    assert!(first_out + weights.rows <= out.cols(), "out has {} columns, too few", out.cols());
    for shard in &weights.shards {
        let params = Params {
            rows: u32_of(shard.rows),
            groups: u32_of(weights.groups()),
            first_out: u32_of(first_out + shard.first_row),
        };
        let bindings = Bindings { quants: shard.quants(), scales: shard.scales(), x: x.slice(), out: out.slice() };
        let grid = Grid::Flat(Count::Fixed(u32_of(shard.rows).div_ceil(ROWS_PER_WORKGROUP)));
        r.dispatch(&KERNEL, &[weights.format.name()], params.words(), bindings.slots(), grid).await?;
    }
    Ok(())
}

/// `out[0] = gelu(gates · x[last token]) · (ups · x[last token])`, in one dispatch.
///
/// `gate_up`: `[2n, cols]`, gates above ups, in one shard; `x`: `[T, cols]`, of which the step's last row counts; `out`: `[1, n]`.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn matvec_geglu(r: &mut Recorder<'_>, gate_up: &Matrix, x: &Tensor, out: &Tensor) -> Result<()> {
    assert_cols("x", x, gate_up.cols);
    assert_cols("out", out, gate_up.rows / 2);
    let [shard] = &gate_up.shards[..] else { panic!("{} shards: gates and ups must be in one", gate_up.shards.len()) };
    let params = Params { rows: u32_of(shard.rows / 2), groups: u32_of(gate_up.groups()), first_out: 0 };
    let bindings = Bindings { quants: shard.quants(), scales: shard.scales(), x: x.slice(), out: out.slice() };
    let grid = Grid::Flat(Count::Fixed(params.rows.div_ceil(ROWS_PER_WORKGROUP)));
    r.dispatch(&KERNEL, &[gate_up.format.name(), "geglu"], params.words(), bindings.slots(), grid).await
}
