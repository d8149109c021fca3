/// `out[t] = scale · table[tokens[t]]`. `table`: `[vocab, cols]`; returns `[tokens, cols]`.
pub fn embed(table: &[f32], cols: usize, tokens: &[u32], scale: f32) -> Vec<f32> {
    tokens
        .iter()
        .flat_map(|token| &table[*token as usize * cols..][..cols])
        .map(|w| (f64::from(*w) * f64::from(scale)) as f32)
        .collect()
}
