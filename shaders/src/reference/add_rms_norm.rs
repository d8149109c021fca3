use super::rms_norm;

/// `residual += rms_norm(y, post_weight)`; returns `rms_norm(residual, next_weight)`. All rows as long as the weights.
pub fn add_rms_norm(y: &[f32], post_weight: &[f32], residual: &mut [f32], next_weight: &[f32], eps: f32) -> Vec<f32> {
    for (r, added) in residual.iter_mut().zip(rms_norm(y, post_weight, eps)) {
        *r += added;
    }
    rms_norm(residual, next_weight, eps)
}
