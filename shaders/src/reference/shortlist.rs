/// Runs of neighbouring logits per stretch.
const RUNS: usize = 256;

/// The logits of each stretch of `stretch` logits that can be among the `top_k` highest of all (all for 0), with their tokens, in
/// order of token: those that reach the `top_k`-th highest of the maxima of the stretch's runs. NaN and infinities are left out.
pub fn shortlist(logits: &[f32], stretch: usize, top_k: usize) -> Vec<Vec<(u32, f32)>> {
    let finite = |logits: &[f32]| -> Vec<f32> { logits.iter().copied().filter(|logit| logit.is_finite()).collect() };
    let stretches = logits.chunks(stretch).enumerate();
    stretches
        .map(|(i, chunk)| {
            let runs = chunk.chunks(stretch.div_ceil(RUNS));
            let mut highest: Vec<f32> = runs.filter_map(|run| finite(run).into_iter().reduce(f32::max)).collect();
            highest.sort_by(|a, b| b.total_cmp(a));
            let least = top_k.checked_sub(1).and_then(|last| highest.get(last)).copied().unwrap_or(f32::MIN);
            let listed = chunk.iter().enumerate().filter(|(_, logit)| logit.is_finite() && **logit >= least);
            listed.map(|(j, logit)| ((i * stretch + j) as u32, *logit)).collect()
        })
        .collect()
}
