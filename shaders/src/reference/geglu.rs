/// `gelu(gate) · up`, with the tanh approximation of GELU.
pub fn geglu(gate: &[f32], up: &[f32]) -> Vec<f32> {
    gate.iter()
        .zip(up)
        .map(|(gate, up)| {
            let x = f64::from(*gate);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            (0.5 * x * (1.0 + inner.tanh()) * f64::from(*up)) as f32
        })
        .collect()
}
