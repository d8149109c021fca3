use super::matvec;

/// `weights · x[t]` for every row of `x`. `weights`: `[rows, n]`; `x`: `[tokens, n]`; returns `[tokens, rows]`.
pub fn matmul(weights: &[f32], x: &[f32], n: usize) -> Vec<f32> {
    x.chunks_exact(n).flat_map(|x| matvec(weights, x)).collect()
}
