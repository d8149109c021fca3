/// `x / sqrt(mean(x²) + eps) · weight`, row by row. `x`: `[rows, n]`; `weight`: `[n]`.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(weight.len()) {
        let mean = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / row.len() as f64;
        let inverse = 1.0 / (mean + f64::from(eps)).sqrt();
        out.extend(row.iter().zip(weight).map(|(v, w)| (f64::from(*v) * inverse * f64::from(*w)) as f32));
    }
    out
}
