use super::dot;

/// `weights · x`. `weights`: `[rows, n]`; `x`: `[n]`; returns `[rows]`.
pub fn matvec(weights: &[f32], x: &[f32]) -> Vec<f32> {
    weights.chunks_exact(x.len()).map(|row| dot(row, x) as f32).collect()
}
