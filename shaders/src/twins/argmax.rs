/// The largest logit of each stretch of `stretch` logits and its token, the lowest on a tie.
pub fn argmax(logits: &[f32], stretch: usize) -> Vec<(f32, u32)> {
    logits
        .chunks(stretch)
        .enumerate()
        .map(|(i, chunk)| {
            let mut best = (chunk[0], 0);
            for (j, logit) in chunk.iter().enumerate() {
                if *logit > best.0 {
                    best = (*logit, j);
                }
            }
            (best.0, (i * stretch + best.1) as u32)
        })
        .collect()
}
