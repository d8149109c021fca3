/// The largest logit and its token of each stretch of `stretch` logits, the lowest token on a tie. `None` where every logit of
/// the stretch is NaN or infinite.
pub fn argmax(logits: &[f32], stretch: usize) -> Vec<Option<(f32, u32)>> {
    logits
        .chunks(stretch)
        .enumerate()
        .map(|(i, chunk)| {
            let mut best: Option<(f32, u32)> = None;
            for (j, logit) in chunk.iter().enumerate().filter(|(_, logit)| logit.is_finite()) {
                if best.is_none_or(|best| *logit > best.0) {
                    best = Some((*logit, (i * stretch + j) as u32));
                }
            }
            best
        })
        .collect()
}
