//! `wgsl/add_rms_norm.wesl`

use lapidary_shaders::kernels::add_rms_norm::{Bindings, KERNEL, Params};

use super::{Operand, assert_cols, norm_width, u32_of};
use crate::gpu::{Count, Grid, Recording, Tensor};

/// The residual add and the norms between two blocks of a layer, row by row: `residual + rms_norm(y, post_weight)` is
/// the new residual stream, and `rms_norm(new residual, next_weight)` is the next block's input.
///
/// `y`, `residual`: `[T, n]`; the weights: `[1, n]`, holding `1 + w` for models that store `w`.
#[derive(Clone, Copy, Debug)]
pub struct ResidualNorm<'a> {
    /// The output of the previous block.
    pub y: &'a Tensor,
    /// The weights of the norm after that block.
    pub post_weight: &'a Tensor,
    /// The residual stream.
    pub residual: &'a Tensor,
    /// The weights of the norm before the next block.
    pub next_weight: &'a Tensor,
    /// The epsilon of both norms.
    pub eps: f32,
}

impl ResidualNorm<'_> {
    pub(super) fn assert_cols(&self, cols: usize) {
        let Self { y, post_weight, residual, next_weight, .. } = self;
        let tensors = [("y", y), ("post_weight", post_weight), ("residual", residual), ("next_weight", next_weight)];
        for (name, tensor) in tensors {
            assert_cols(name, tensor, cols);
        }
    }
}

/// Computes both in one dispatch. The new residual stream replaces the old one, and the next block's input goes to
/// `out`, `[T, n]`.
pub fn add_rms_norm(r: &mut Recording, norm: ResidualNorm<'_>, out: Operand<'_>) {
    let ResidualNorm { y, post_weight, residual, next_weight, eps } = norm;
    norm.assert_cols(y.cols());
    out.assert_cols("out", y.cols());
    let params = Params { cols: u32_of(y.cols()), stride4: u32_of(y.stride() / 4), eps };
    let bindings = Bindings {
        y: y.slice(),
        post_weight: post_weight.slice(),
        residual: residual.slice(),
        next_weight: next_weight.slice(),
        out: out.slice(),
    };
    let grid = Grid::Xy(Count::EACH_TOKEN, Count::Fixed(1));
    let constants = norm_width(r.capabilities());
    r.dispatch_with(&KERNEL, out.flags(), constants, params.words(), bindings.slots(), grid);
}
