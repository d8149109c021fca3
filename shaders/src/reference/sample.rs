/// The parameters of a [`sample()`].
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Softmax temperature, above 0.
    pub temperature: f32,
    /// Tokens to keep, 0 for all.
    pub top_k: usize,
    /// Part of the weight to keep, up to 1.
    pub top_p: f32,
    /// Least weight relative to the likeliest token's, from 0 up to 1.
    pub min_p: f32,
    /// Seed of the draws.
    pub seed: u64,
    /// Number of the draw.
    pub draw: u32,
}

/// The probability of every token, 0 for those that top-k, top-p or min-p leave out. Tokens tied at a threshold are kept.
/// `logits`: `[vocab]`; returns `[vocab]`.
pub fn probabilities(s: Sample, logits: &[f32]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut weights: Vec<f64> =
        logits.iter().map(|l| (f64::from(l - highest) / f64::from(s.temperature)).exp()).collect();
    let mut sorted: Vec<f32> = logits.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));

    // Top-k.
    if s.top_k > 0 && s.top_k < logits.len() {
        let least = sorted[s.top_k - 1];
        keep(&mut weights, |i| logits[i] >= least);
    }
    // Top-p: thresholds from the highest down, until the weights above one reach the goal.
    if s.top_p < 1.0 {
        let goal = f64::from(s.top_p) * weights.iter().sum::<f64>();
        sorted.dedup();
        let weight_above =
            |least: f32| -> f64 { weights.iter().zip(logits).filter(|(_, l)| **l >= least).map(|(w, _)| *w).sum() };
        // The thresholds are in order, so a binary search finds the first that suffices.
        let enough = sorted.partition_point(|least| weight_above(*least) < goal);
        let least = sorted[enough.min(sorted.len() - 1)];
        keep(&mut weights, |i| logits[i] >= least);
    }
    // Min-p. The likeliest token has weight 1.
    let least = f64::from(s.min_p);
    weights.iter_mut().filter(|w| **w < least).for_each(|w| *w = 0.0);

    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= total);
    weights
}

fn keep(weights: &mut [f64], kept: impl Fn(usize) -> bool) {
    weights.iter_mut().enumerate().filter(|(i, _)| !kept(*i)).for_each(|(_, w)| *w = 0.0);
}

/// A uniform random number from 0 up to 1 that depends on the seed and the number of the draw: pcg3d (Jarzynski & Olano 2020).
pub fn random(seed: u64, draw: u32) -> f32 {
    let step = |v: u32| v.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let (mut x, mut y, mut z) = (step(seed as u32), step((seed >> 32) as u32), step(draw));
    for round in 0..2 {
        x = x.wrapping_add(y.wrapping_mul(z));
        y = y.wrapping_add(z.wrapping_mul(x));
        z = z.wrapping_add(x.wrapping_mul(y));
        if round == 0 {
            (x, y, z) = (x ^ (x >> 16), y ^ (y >> 16), z ^ (z >> 16));
        }
    }
    (x >> 8) as f32 / 16_777_216.0
}

/// Draws a token: the first, in order of id, whose running sum of probabilities exceeds the random number.
pub fn sample(s: Sample, logits: &[f32]) -> u32 {
    let target = f64::from(random(s.seed, s.draw));
    let mut running = 0.0;
    let mut last = 0;
    for (token, probability) in probabilities(s, logits).into_iter().enumerate() {
        if probability > 0.0 {
            running += probability;
            last = token as u32;
            if running > target {
                break;
            }
        }
    }
    last
}
