use super::rms_norm;

/// The parameters of a [`rope()`].
#[derive(Clone, Copy, Debug)]
pub struct Rope {
    /// Numbers per head.
    pub head_dim: usize,
    /// Base of the frequencies.
    pub theta: f32,
    /// Divisor of positions.
    pub position_scale: f32,
    /// Factor of the result.
    pub scale: f32,
    /// Epsilon of the norm.
    pub eps: f32,
}

/// Norms each head (where there is a weight, `[head_dim]`), rotates it to its token's position and scales it.
/// `x`: `[tokens, heads · head_dim]`, the first token at `position`. Pairs are `(i, i + head_dim / 2)`, with the angle
/// `position / position_scale · theta^(-2i / head_dim)`.
pub fn rope(rope: Rope, x: &[f32], tokens: usize, position: usize, weight: Option<&[f32]>) -> Vec<f32> {
    let d = rope.head_dim;
    let normed = match weight {
        Some(weight) => rms_norm(x, weight, rope.eps),
        None => x.to_vec(),
    };
    let mut out = normed.clone();
    let per_token = x.len() / tokens;
    for (h, head) in normed.chunks_exact(d).enumerate() {
        let position = (position + h * d / per_token) as f64;
        for i in 0..d / 2 {
            let frequency = f64::from(rope.theta).powf(-2.0 * i as f64 / d as f64);
            let (sin, cos) = (position / f64::from(rope.position_scale) * frequency).sin_cos();
            let (a, b) = (f64::from(head[i]), f64::from(head[i + d / 2]));
            out[h * d + i] = ((a * cos - b * sin) * f64::from(rope.scale)) as f32;
            out[h * d + i + d / 2] = ((b * cos + a * sin) * f64::from(rope.scale)) as f32;
        }
    }
    out
}
