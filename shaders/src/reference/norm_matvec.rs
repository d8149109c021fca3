use super::{add_rms_norm, matvec, quantize};

/// `add_rms_norm`, rounded by `quantize`, then the product with `weights`. `weights`: `[rows, cols]`; the others as for
/// `add_rms_norm`; returns `[rows]`.
pub fn norm_matvec(
    y: &[f32],
    post_weight: &[f32],
    residual: &mut [f32],
    next_weight: &[f32],
    eps: f32,
    weights: &[f32],
) -> Vec<f32> {
    let x = add_rms_norm(y, post_weight, residual, next_weight, eps);
    matvec(weights, &quantize(&x, x.len()))
}
