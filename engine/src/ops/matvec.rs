//! `wgsl/matvec.wesl`

use lapidary_shaders::kernels::matvec::{Bindings, KERNEL, Params, ROWS_PER_WORKGROUP};

use super::{assert_cols, u32_of};
use crate::error::Result;
use crate::gpu::{Constants, Count, Grid, Recorder, Tensor};
use crate::quant::Matrix;

/// Outputs of a workgroup, where subgroups share rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rows {
    /// 8: spreads small matrices over all of a large GPU.
    Eight,
    /// 32: starts fewer workgroups.
    ThirtyTwo,
}

impl Rows {
    fn constants(self, subgroups: bool) -> Constants<'static> {
        match self {
            Self::Eight if subgroups => &[("rows_per_workgroup", 8)],
            _ => &[],
        }
    }

    fn count(self, subgroups: bool) -> u32 {
        if self == Self::Eight && subgroups { 8 } else { ROWS_PER_WORKGROUP }
    }
}

/// `out[0, first_out..] = weights · x[last token]`, one dispatch a shard.
///
/// `weights`: `[m, n]`; `x`: `[T, n]`, of which the step's last row counts; `out`: `[1, first_out + m]` or more columns.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn matvec(
    r: &mut Recorder<'_>,
    weights: &Matrix,
    x: &Tensor,
    rows: Rows,
    out: &Tensor,
    first_out: usize,
) -> Result<()> {
    let subgroups = r.gpu.capabilities().subgroups;
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
        let grid = Grid::Flat(Count::Fixed(u32_of(shard.rows).div_ceil(rows.count(subgroups))));
        let (features, constants) = ([weights.format.name()], rows.constants(subgroups));
        r.dispatch_with(&KERNEL, &features, constants, params.words(), bindings.slots(), grid).await?;
    }
    Ok(())
}

/// `out[0] = gelu(gates · x[last token]) · (ups · x[last token])`, in one dispatch.
///
/// `gate_up`: `[2n, cols]`, gates above ups, in one shard; `x`: `[T, cols]`, of which the step's last row counts; `out`:
/// `[1, n]`.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn matvec_geglu(r: &mut Recorder<'_>, gate_up: &Matrix, x: &Tensor, rows: Rows, out: &Tensor) -> Result<()> {
    let subgroups = r.gpu.capabilities().subgroups;
    assert_cols("x", x, gate_up.cols);
    assert_cols("out", out, gate_up.rows / 2);
    let [shard] = &gate_up.shards[..] else { panic!("{} shards: gates and ups must be in one", gate_up.shards.len()) };
    let params = Params { rows: u32_of(shard.rows / 2), groups: u32_of(gate_up.groups()), ..Params::default() };
    let bindings = Bindings { quants: shard.quants(), scales: shard.scales(), x: x.slice(), out: out.slice() };
    let grid = Grid::Flat(Count::Fixed(params.rows.div_ceil(rows.count(subgroups))));
    let (features, constants) = ([gate_up.format.name(), "geglu"], rows.constants(subgroups));
    r.dispatch_with(&KERNEL, &features, constants, params.words(), bindings.slots(), grid).await
}
