/// Of each stretch of `stretch` logits those that are at least its `top_k`-th highest (all for 0), with their tokens, in order.
/// What is no number is left out.
pub fn shortlist(logits: &[f32], stretch: usize, top_k: usize) -> Vec<Vec<(u32, f32)>> {
    let stretches = logits.chunks(stretch).enumerate();
    stretches
        .map(|(i, chunk)| {
            let mut sorted: Vec<f32> = chunk.iter().copied().filter(|logit| logit.is_finite()).collect();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let least = top_k.checked_sub(1).and_then(|last| sorted.get(last)).copied().unwrap_or(f32::MIN);
            let listed = chunk.iter().enumerate().filter(|(_, logit)| logit.is_finite() && **logit >= least);
            listed.map(|(j, logit)| ((i * stretch + j) as u32, *logit)).collect()
        })
        .collect()
}
