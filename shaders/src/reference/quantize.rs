/// `x` rounded to 8-bit integers and back: each group of 32 numbers of a row to signed bytes with one scale.
///
/// `x`: `[rows, cols]`, the last group of a row padded with zeros; returns the same shape.
pub fn quantize(x: &[f32], cols: usize) -> Vec<f32> {
    let mut rounded = Vec::with_capacity(x.len());
    for group in x.chunks_exact(cols).flat_map(|row| row.chunks(32)) {
        let largest = group.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let scale = largest / 127.0;
        let inverse = if largest > 1e-30 { 127.0 / largest } else { 0.0 };
        rounded.extend(group.iter().map(|v| scale * (v * inverse).round_ties_even()));
    }
    rounded
}
