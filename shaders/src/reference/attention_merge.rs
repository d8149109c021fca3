/// The result of one split of the keys.
#[derive(Clone, Debug)]
pub struct Partial {
    /// Values, weighted by `e^(score - highest)`.
    pub sums: Vec<f32>,
    /// The largest score.
    pub highest: f32,
    /// The sum of the weights.
    pub total: f32,
}

/// One head's result from those of its splits that have keys.
pub fn attention_merge(partials: &[Partial]) -> Vec<f32> {
    let highest = partials.iter().map(|partial| f64::from(partial.highest)).fold(f64::NEG_INFINITY, f64::max);
    let weight = |partial: &Partial| (f64::from(partial.highest) - highest).exp();
    let total: f64 = partials.iter().map(|partial| weight(partial) * f64::from(partial.total)).sum();
    let sum = |i: usize| partials.iter().map(|partial| weight(partial) * f64::from(partial.sums[i])).sum::<f64>();
    (0..partials[0].sums.len()).map(|i| (sum(i) / total) as f32).collect()
}
