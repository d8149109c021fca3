//! `wgsl/add_rms_norm.wesl`

use lapidary_shaders::kernels::add_rms_norm::{Bindings, KERNEL, Params};

use super::{Factor, assert_cols, norm_width, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Tensor};

/// The seam between two blocks: `residual + rms_norm(y, post_weight)` is the new residual stream, and
/// `rms_norm(new residual, next_weight)` what the next block takes, row by row.
///
/// `y`, `residual`: `[T, n]`; the weights: `[1, n]`, holding `1 + w` for models that store `w`.
#[derive(Clone, Copy, Debug)]
pub struct Seam<'a> {
    /// The output of the block before.
    pub y: &'a Tensor,
    /// Of the norm behind that block.
    pub post_weight: &'a Tensor,
    /// The residual stream.
    pub residual: &'a Tensor,
    /// Of the norm before the next block.
    pub next_weight: &'a Tensor,
    /// Of both norms.
    pub eps: f32,
}

impl Seam<'_> {
    pub(crate) fn assert_cols(&self, cols: usize) {
        let Self { y, post_weight, residual, next_weight, .. } = self;
        let tensors = [("y", y), ("post_weight", post_weight), ("residual", residual), ("next_weight", next_weight)];
        for (name, tensor) in tensors {
            assert_cols(name, tensor, cols);
        }
    }
}

/// Makes a seam: its new residual stream in place of the old one, and in `out` what the next block takes.
///
/// `out`: `[T, n]`.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn add_rms_norm(r: &mut Recorder<'_>, seam: Seam<'_>, out: Factor<'_>) -> Result<()> {
    let Seam { y, post_weight, residual, next_weight, eps } = seam;
    seam.assert_cols(y.cols());
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
    let constants = norm_width(r.gpu.capabilities());
    r.dispatch_with(&KERNEL, out.flags(), constants, params.words(), bindings.slots(), grid).await
}
