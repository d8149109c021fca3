//! The feed-forward block up to its last product, in one to three dispatches.

use super::products::Products;
use crate::gpu::{Recording, Tensor};
use crate::ops::{Int8Tensor, Mode, Operand, ResidualNorm, Way, add_rms_norm, gate_up, geglu, product_geglu};
use crate::quant::Matrix;

/// Weights and buffers of the block. Letters as in [`Weights`](super::Weights), T the tokens of a step.
pub(crate) struct FeedForward<'a> {
    /// The residual add and the norms before the block.
    pub(crate) norm: ResidualNorm<'a>,
    /// `[1, H]`: the tensor that the residual stream moves to with fused norms.
    pub(crate) new_residual: &'a Tensor,
    /// `[2F, H]`, with the matrices' first columns in `gates_ups`.
    pub(crate) gate_up: Vec<(&'a Matrix, usize)>,
    /// `[H, F]`: the last product, which [`record_ffn_inner`] leaves to the caller.
    pub(crate) down: &'a Matrix,
    /// `[T, H]`
    pub(crate) normed: &'a Tensor,
    /// `[T, 2F]`, F padded.
    pub(crate) gates_ups: &'a Tensor,
    /// `[T, F]`
    pub(crate) ffn_inner: &'a Tensor,
    /// `[1, F]`
    pub(crate) ffn_inner_int8: &'a Int8Tensor,
}

/// The result of [`record_ffn_inner`].
pub(crate) struct FfnInner<'a> {
    /// The input of `down`.
    pub(crate) operand: Operand<'a>,
    /// Whether the residual stream has moved to `new_residual`.
    pub(crate) moved: bool,
}

/// Records the norms, the product of gates and ups, and GeGLU, in one to three dispatches.
pub(crate) fn record_ffn_inner<'a>(
    r: &mut Recording,
    products: &Products<'a>,
    block: &FeedForward<'a>,
) -> FfnInner<'a> {
    let single = single_product(r, products, block);
    if let Some((way, weights, operand)) = single
        && products.kernels.fuses_norms
        && way.can_fuse_norms(weights.cols, r.capabilities())
    {
        gate_up(r, way, block.norm, block.new_residual, weights, operand);
        return FfnInner { operand, moved: true };
    }
    let x = products.operand(r, &block.gate_up, block.normed);
    add_rms_norm(r, block.norm, x);
    if let Some((way, weights, operand)) = single {
        product_geglu(r, way, weights, x, operand);
        return FfnInner { operand, moved: false };
    }
    products.record(r, x, &block.gate_up, block.gates_ups);
    let operand = products.operand(r, &[(block.down, 0)], block.ffn_inner);
    geglu(r, block.gates_ups, operand);
    FfnInner { operand, moved: false }
}

/// The way to multiply gates and ups and apply GeGLU in one dispatch, and its output. `None` if that is not possible:
/// for more than one token, for matrices of two formats or larger than a binding, or if only one of `gate_up` and
/// `down` takes integers.
fn single_product<'a>(
    r: &Recording,
    products: &Products<'_>,
    block: &FeedForward<'a>,
) -> Option<(&'static Way, &'a Matrix, Operand<'a>)> {
    let [(weights, _)] = block.gate_up[..] else { return None };
    let (way, down) = (products.way(r, weights), products.way(r, block.down));
    let int8 = way.quantizes_activations();
    let fits = products.mode == Mode::Decode && weights.shards.len() == 1;
    if !fits || int8 != down.quantizes_activations() || int8 && !weights.rows.is_multiple_of(64) {
        return None;
    }
    let operand = if int8 { Operand::Int8(block.ffn_inner_int8) } else { Operand::Float(block.ffn_inner) };
    Some((way, weights, operand))
}
