//! The feed-forward block up to its last product, in one to three dispatches.

use super::activations::Activations;
use super::products::Products;
use crate::gpu::{Recording, Tensor};
use crate::ops::{Mode, Operand, ResidualNorm, Way, add_rms_norm, geglu, norm_matvec_geglu, product_geglu};
use crate::quant::Matrix;

/// Weights and buffers of the block. Letters as in [`Weights`](super::Weights), T the tokens of a step.
pub(crate) struct FeedForward<'a> {
    /// The residual add and the norms before the block.
    pub(crate) norm: ResidualNorm<'a>,
    /// `[1, H]`: the tensor that the residual stream moves to with fused norms.
    pub(crate) new_residual: &'a Tensor,
    /// `[2F, H]`, with the matrices' first columns in the activations' `gate_up`.
    pub(crate) gate_up: Vec<(&'a Matrix, usize)>,
    /// `[H, F]`: the last product, which [`record_ffn_inner`] leaves to the caller.
    pub(crate) down: &'a Matrix,
    /// Where its results go.
    pub(crate) activations: &'a Activations,
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
    let (single, a) = (single_product(r, products, block), block.activations);
    if let Some((way, weights, operand @ Operand::Int8(out))) = single
        && products.fuses_norms(r, way, weights)
    {
        norm_matvec_geglu(r, way, block.norm, block.new_residual, weights, out);
        return FfnInner { operand, moved: true };
    }
    let x = products.operand(r, &block.gate_up, &a.normed);
    add_rms_norm(r, block.norm, x);
    if let Some((way, weights, operand)) = single {
        product_geglu(r, way, weights, x, operand);
        return FfnInner { operand, moved: false };
    }
    products.record(r, x, &block.gate_up, &a.gate_up);
    let operand = products.operand(r, &[(block.down, 0)], &a.ffn_inner);
    geglu(r, &a.gate_up, operand);
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
    let (way, weights) = products.single(r, &block.gate_up)?;
    let down = products.way(r, block.down);
    let int8 = way.quantizes_activations();
    if products.mode != Mode::Decode || int8 != down.quantizes_activations() || int8 && !weights.rows.is_multiple_of(64)
    {
        return None;
    }
    let a = block.activations;
    let operand = if int8 { Operand::Int8(&a.ffn_inner_int8) } else { Operand::Float(&a.ffn_inner) };
    Some((way, weights, operand))
}
