//! `wgsl/rms_norm.wesl`

use lapidary_shaders::kernels::rms_norm::{Bindings, KERNEL, Params};

use super::{Operand, assert_cols, u32_of};
use crate::gpu::{Capabilities, Constants, Count, Grid, Recording, Tensor};

/// `out = x / sqrt(mean(x²) + eps) · weight`, row by row.
///
/// `x`, `out`: `[T, n]`; `weight`: `[1, n]`, holding `1 + w` for models that store `w`.
pub fn rms_norm(r: &mut Recording, x: &Tensor, weight: &Tensor, eps: f32, out: Operand<'_>) {
    assert_cols("weight", weight, x.cols());
    out.assert_cols("out", x.cols());
    let params = Params { cols: u32_of(x.cols()), stride4: u32_of(x.stride() / 4), eps };
    let bindings = Bindings { x: x.slice(), weight: weight.slice(), out: out.slice() };
    let grid = Grid::Xy(Count::EACH_TOKEN, Count::Fixed(1));
    let constants = norm_width(r.capabilities());
    r.dispatch_with(&KERNEL, out.flags(), constants, params.words(), bindings.slots(), grid);
}

/// Invocations per token. A GPU loads the whole row at once with many; a software adapter runs them one after the
/// other.
pub(super) fn norm_width(capabilities: &Capabilities) -> Constants<'static> {
    if capabilities.software { &[("width", 64)] } else { &[("width", 256)] }
}
