/// Soft-cap, then the repetition penalty for tokens in `seen`. NaN and infinities stay as they are. With `allowed`, all other tokens
/// become minus infinity. `logits`, `seen` and `allowed`: `[vocab]`.
pub fn logits(
    logits: &[f32],
    soft_cap: Option<f32>,
    seen: &[bool],
    penalty: f32,
    allowed: Option<&[bool]>,
) -> Vec<f32> {
    logits
        .iter()
        .zip(seen)
        .enumerate()
        .map(|(token, (logit, seen))| {
            if allowed.is_some_and(|allowed| !allowed[token]) {
                return f32::NEG_INFINITY;
            }
            if !logit.is_finite() {
                return *logit;
            }
            let mut x = f64::from(*logit);
            if let Some(cap) = soft_cap {
                x = f64::from(cap) * (x / f64::from(cap)).tanh();
            }
            let penalty = f64::from(penalty);
            (match (seen, x > 0.0) {
                (false, _) => x,
                (true, true) => x / penalty,
                (true, false) => x * penalty,
            }) as f32
        })
        .collect()
}
