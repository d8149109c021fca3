//! `wgsl/matvec_int8.wesl`

use lapidary_shaders::kernels::matvec_int8::{
    Bindings, GEGLU_OUTPUTS, KERNEL, Params, ROW_PER_LANE_GEGLU_OUTPUTS, ROW_PER_LANE_ROWS, ROWS,
};

use super::{Int8Tensor, u32_of};
use crate::error::Result;
use crate::gpu::{Constants, Count, Grid, Recorder, Tensor};
use crate::quant::Matrix;

/// Invocations of a workgroup that shares the columns of 16 rows, `lib/split_k.wesl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// 64
    W64,
    /// 128
    W128,
    /// 256
    W256,
}

impl Width {
    /// Every width.
    pub const ALL: [Self; 3] = [Self::W64, Self::W128, Self::W256];

    pub(super) fn constants(self) -> Constants<'static> {
        match self {
            Self::W64 => &[("width", 64)],
            Self::W128 => &[("width", 128)],
            Self::W256 => &[("width", 256)],
        }
    }
}

/// Who goes through the columns of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// One invocation, all of them.
    Solo,
    /// A workgroup.
    Workgroup(Width),
}

impl Sharing {
    /// Every way.
    pub const ALL: [Self; 4] =
        [Self::Solo, Self::Workgroup(Width::W64), Self::Workgroup(Width::W128), Self::Workgroup(Width::W256)];

    fn flags(self) -> &'static [&'static str] {
        if self == Self::Solo { &["row_per_lane"] } else { &[] }
    }

    fn constants(self) -> Constants<'static> {
        match self {
            Self::Solo => &[],
            Self::Workgroup(width) => width.constants(),
        }
    }

    /// Outputs per workgroup.
    fn outputs(self) -> u32 {
        if self == Self::Solo { ROW_PER_LANE_ROWS } else { ROWS }
    }

    /// The same with `geglu`.
    fn geglu_outputs(self) -> u32 {
        if self == Self::Solo { ROW_PER_LANE_GEGLU_OUTPUTS } else { GEGLU_OUTPUTS }
    }
}

/// `out[0, first_out..] = weights · x[last token]`, one dispatch a shard.
///
/// `weights`: `[m, n]`, in a format of integers; `x`: `[T, n]`, of which the step's last row counts; `out`:
/// `[1, first_out + m]` or more columns.
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
            out_stride: u32_of(out.stride()),
        };
        let bindings = Bindings { quants: shard.quants(), scales: shard.scales(), x: x.slice(), out: out.slice() };
        let grid = Grid::Flat(Count::Fixed(u32_of(shard.rows).div_ceil(sharing.outputs())));
        let features = [&[weights.format.name()][..], sharing.flags()].concat();
        r.dispatch_with(&KERNEL, &features, sharing.constants(), params.words(), bindings.slots(), grid).await?;
    }
    Ok(())
}

/// `out[0] = gelu(gates · x[last token]) · (ups · x[last token])`, rounded to 8-bit integers, in one dispatch.
///
/// `gate_up`: `[2n, cols]`, gates above ups, in one shard and in a format of integers, n a multiple of 32; `x`: `[T, cols]`,
/// of which the step's last row counts; `out`: room for `[1, n]`, not where `x` is.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn matvec_int8_geglu(
    r: &mut Recorder<'_>,
    gate_up: &Matrix,
    x: &Int8Tensor,
    sharing: Sharing,
    out: &Int8Tensor,
) -> Result<()> {
    let [shard] = &gate_up.shards[..] else { panic!("{} shards: gates and ups must be in one", gate_up.shards.len()) };
    assert!((shard.rows / 2).is_multiple_of(32), "{} outputs do not fill groups of 32", shard.rows / 2);
    let params = Params { rows: u32_of(shard.rows / 2), groups: u32_of(gate_up.groups()), ..Params::default() };
    let bindings = Bindings { quants: shard.quants(), scales: shard.scales(), x: x.slice(), out: out.slice() };
    let grid = Grid::Flat(Count::Fixed(params.rows.div_ceil(sharing.geglu_outputs())));
    let features = [&[gate_up.format.name(), "geglu"][..], sharing.flags()].concat();
    r.dispatch_with(&KERNEL, &features, sharing.constants(), params.words(), bindings.slots(), grid).await
}
