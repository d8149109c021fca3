use super::{add_rms_norm, geglu, matvec};

/// `add_rms_norm`, then `geglu` of its product with `gate_up`. `gate_up`: `[2n, cols]`, gates above ups; the others as for
/// `add_rms_norm`; returns `[n]`.
pub fn gate_up(
    y: &[f32],
    post_weight: &[f32],
    residual: &mut [f32],
    next_weight: &[f32],
    eps: f32,
    gate_up: &[f32],
) -> Vec<f32> {
    let x = add_rms_norm(y, post_weight, residual, next_weight, eps);
    let both = matvec(gate_up, &x);
    let (gates, ups) = both.split_at(both.len() / 2);
    geglu(gates, ups)
}
