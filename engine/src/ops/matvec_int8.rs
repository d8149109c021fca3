//! `wgsl/matvec_int8.wesl`

use lapidary_shaders::kernels::matvec_int8::{Bindings, KERNEL, Params};

use super::{Int8Tensor, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Tensor};
use crate::quant::Matrix;

/// Who goes through the columns of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// One invocation, all of them.
    Solo,
    /// A subgroup, or a workgroup where there are no subgroups.
    Subgroup,
}

impl Sharing {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Solo => &["solo"],
            Self::Subgroup => &[],
        }
    }

    /// Rows that a workgroup of the kernel makes: eight for each of 16 lanes, `ROWS_A_WORKGROUP`, or 16 without subgroups.
    fn rows(self, subgroups: bool) -> u32 {
        match self {
            Self::Solo => 16 * 8,
            Self::Subgroup if subgroups => 64,
            Self::Subgroup => 16,
        }
    }
}

/// `out[0, first_out..] = weights · x[last token]`, one dispatch a shard.
///
/// `weights`: `[m, n]`, in a format of integers; `x`: `[T, n]`, of which the step's last row counts; `out`: `[1, first_out + m]` or more columns.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn matvec_int8(
    r: &mut Recorder<'_>,
    weights: &Matrix,
    x: &Int8Tensor,
    sharing: Sharing,
    out: &Tensor,
    first_out: usize,
) -> Result<()> {
    assert!(first_out + weights.rows <= out.cols(), "out has {} columns, too few", out.cols());
    for shard in &weights.shards {
        let params = Params {
            rows: u32_of(shard.rows),
            groups: u32_of(weights.groups()),
            first_out: u32_of(first_out + shard.first_row),
        };
        let bindings = Bindings { quants: shard.quants(), scales: shard.scales(), x: x.slice(), out: out.slice() };
        let grid = Grid::Flat(Count::Fixed(u32_of(shard.rows).div_ceil(sharing.rows(r.gpu.capabilities().subgroups))));
        let features = [&[weights.format.name()][..], sharing.flags()].concat();
        r.dispatch(&KERNEL, &features, params.words(), bindings.slots(), grid).await?;
    }
    Ok(())
}
