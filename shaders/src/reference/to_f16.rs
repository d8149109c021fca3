/// `x / scale` rounded to f16, and back.
pub fn to_f16(x: &[f32], scale: f32) -> Vec<f32> {
    x.iter().map(|v| half::f16::from_f32((v / scale).clamp(-65504.0, 65504.0)).to_f32()).collect()
}
