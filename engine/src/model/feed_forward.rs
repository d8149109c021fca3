//! The feed-forward block up to its last product: in as few dispatches as the weights and the kernels allow.

use super::products::{Kernels, Matvec, Mode, Products};
use crate::error::Result;
use crate::gpu::{Capabilities, Recorder, Tensor};
use crate::ops::{
    Factor, Int8Tensor, Seam, Sharing, add_rms_norm, gate_up, gate_up_fits, gate_up_int8, gate_up_int8_fits, geglu,
    matvec_geglu, matvec_int8_geglu,
};
use crate::quant::Matrix;

/// Weights and buffers of the block. Letters as in `Weights`, T the tokens of a step.
pub(crate) struct FeedForward<'a> {
    /// What stands before the block.
    pub(crate) seam: Seam<'a>,
    /// `[1, H]`: where the residual stream goes if it cannot stay.
    pub(crate) new_residual: &'a Tensor,
    /// `[2F, H]`, with its places in `gates_ups`.
    pub(crate) gate_up: Vec<(&'a Matrix, usize)>,
    /// `[H, F]`: the last product, which [`record_hidden`] leaves to the caller.
    pub(crate) down: &'a Matrix,
    /// `[T, H]`
    pub(crate) normed: &'a Tensor,
    /// `[T, 2F]`, F padded.
    pub(crate) gates_ups: &'a Tensor,
    /// `[T, F]`
    pub(crate) hidden: &'a Tensor,
    /// `[1, F]`
    pub(crate) hidden_int8: &'a Int8Tensor,
}

/// What [`record_hidden`] recorded.
pub(crate) struct Hidden<'a> {
    /// What `down` takes.
    pub(crate) factor: Factor<'a>,
    /// Whether the residual stream is in `new_residual`.
    pub(crate) moved: bool,
}

/// Records the seam, the product of gates and ups, and GeGLU: in one dispatch, in two or in three.
///
/// # Errors
/// The errors of [`Recorder`].
pub(crate) async fn record_hidden<'a>(
    r: &mut Recorder<'_>,
    products: &Products<'a>,
    block: &FeedForward<'a>,
) -> Result<Hidden<'a>> {
    if let Some(factor) = with_seam(r, products, block).await? {
        return Ok(Hidden { factor, moved: true });
    }
    let x = products.factor(&block.gate_up, block.normed);
    add_rms_norm(r, block.seam, x).await?;
    let factor = match with_geglu(r, products, block, x).await? {
        Some(factor) => factor,
        None => {
            products.record(r, x, &block.gate_up, block.gates_ups).await?;
            let factor = products.factor(&[(block.down, 0)], block.hidden);
            geglu(r, block.gates_ups, factor).await?;
            factor
        }
    };
    Ok(Hidden { factor, moved: false })
}

/// Whether the seam is folded into the product of gates and ups where they are one matrix of `cols` columns; `int8` if both it
/// and `down` take integers.
pub(crate) fn folds_seam(kernels: Kernels, int8: bool, capabilities: &Capabilities, cols: usize) -> bool {
    let fits =
        if int8 { kernels.matvec.can_fold() && gate_up_int8_fits(cols) } else { gate_up_fits(capabilities, cols) };
    kernels.folds_seam && fits
}

/// The seam, gates, ups and GeGLU in one. `None` where they cannot be, or the kernels do not want it.
async fn with_seam<'a>(
    r: &mut Recorder<'_>,
    products: &Products<'_>,
    block: &FeedForward<'a>,
) -> Result<Option<Factor<'a>>> {
    let Some(weights) = single(products, block) else { return Ok(None) };
    let &FeedForward { seam, new_residual, down, hidden, hidden_int8, .. } = block;
    let int8 = products.wants_int8(weights);
    if int8 != products.wants_int8(down) || !folds_seam(products.kernels, int8, r.gpu.capabilities(), weights.cols) {
        return Ok(None);
    }
    match products.kernels.matvec {
        Matvec::Int8(Sharing::Workgroup(width)) if int8 && weights.rows.is_multiple_of(64) => {
            gate_up_int8(r, seam, new_residual, weights, width, hidden_int8).await?;
            Ok(Some(Factor::Int8(hidden_int8)))
        }
        _ if !int8 => {
            gate_up(r, seam, new_residual, weights, hidden).await?;
            Ok(Some(Factor::Float(hidden)))
        }
        _ => Ok(None),
    }
}

/// Gates, ups and GeGLU in one. `None` where they cannot be: also if one of the products takes integers and the other does
/// not.
async fn with_geglu<'a>(
    r: &mut Recorder<'_>,
    products: &Products<'_>,
    block: &FeedForward<'a>,
    x: Factor<'_>,
) -> Result<Option<Factor<'a>>> {
    let Some(weights) = single(products, block) else { return Ok(None) };
    let down_is_int8 = products.wants_int8(block.down);
    match (x, products.kernels.matvec) {
        (Factor::Int8(x), Matvec::Int8(sharing)) if down_is_int8 && weights.rows.is_multiple_of(64) => {
            matvec_int8_geglu(r, weights, x, sharing, block.hidden_int8).await?;
            Ok(Some(Factor::Int8(block.hidden_int8)))
        }
        (Factor::Float(x), matvec) if !products.wants_int8(weights) && !down_is_int8 => {
            matvec_geglu(r, weights, x, matvec.rows(), block.hidden).await?;
            Ok(Some(Factor::Float(block.hidden)))
        }
        _ => Ok(None),
    }
}

/// The matrix of gates and ups, if it is one that one dispatch can multiply with a token: neither of two formats nor larger
/// than a binding.
fn single<'a>(products: &Products<'_>, block: &FeedForward<'a>) -> Option<&'a Matrix> {
    match block.gate_up[..] {
        [(weights, _)] if products.mode == Mode::Decode && weights.shards.len() == 1 => Some(weights),
        _ => None,
    }
}
