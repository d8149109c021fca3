use super::dot;

/// The parameters of an [`attention()`].
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Numbers per head.
    pub head_dim: usize,
    /// Keys that a query attends to, its own included; all where `None`.
    pub window: Option<usize>,
    /// The cap in `cap · tanh(score / cap)`, where there is one.
    pub soft_cap: Option<f32>,
}

/// Causal attention. `q`: `[tokens, heads, head_dim]`, scaled, its first token at `position`; `k`, `v`:
/// `[positions, kv_heads, head_dim]` from position 0; returns `[tokens, heads, head_dim]`.
pub fn attention(a: Attention, q: &[f32], k: &[f32], v: &[f32], position: usize) -> Vec<f32> {
    let d = a.head_dim;
    let mut out = Vec::with_capacity(q.len());
    for (t, token) in q.chunks_exact(a.heads * d).enumerate() {
        let last = position + t;
        let first = a.window.map_or(0, |window| (last + 1).saturating_sub(window));
        for (h, query) in token.chunks_exact(d).enumerate() {
            let kv_head = h / (a.heads / a.kv_heads);
            let at = |j: usize| (j * a.kv_heads + kv_head) * d;
            let scores: Vec<f64> = (first..=last)
                .map(|j| {
                    let score = dot(query, &k[at(j)..][..d]);
                    a.soft_cap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                })
                .collect();
            let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
            let total: f64 = weights.iter().sum();
            out.extend((0..d).map(|i| {
                let sum: f64 = weights.iter().enumerate().map(|(j, w)| w * f64::from(v[at(first + j) + i])).sum();
                (sum / total) as f32
            }));
        }
    }
    out
}
