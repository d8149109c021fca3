//! Choosing a token on the host, from logits that a request's bias has changed.

use lapidary_shaders::reference::{Sample, sample};

use crate::sampling::Sampling;

/// The token that the kernels `argmax` or `sample` would choose from these logits; `None` if none of them is finite.
pub(super) fn choose(sampling: &Sampling, seed: u64, draw: u32, logits: &[f32]) -> Option<u32> {
    let mut listed: Vec<(u32, f32)> =
        (0..).zip(logits.iter().copied()).filter(|(_, logit)| logit.is_finite()).collect();
    if sampling.is_greedy() {
        // The lowest token on a tie.
        return listed.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(id, _)| id);
    }
    let top_k = sampling.top_k as usize;
    if top_k > 0 && top_k < listed.len() {
        let mut sorted: Vec<f32> = listed.iter().map(|(_, logit)| *logit).collect();
        let (_, least, _) = sorted.select_nth_unstable_by(top_k - 1, |a, b| b.total_cmp(a));
        let least = *least;
        listed.retain(|(_, logit)| *logit >= least);
    }
    if listed.is_empty() {
        return None;
    }
    let values: Vec<f32> = listed.iter().map(|(_, logit)| *logit).collect();
    let Sampling { temperature, top_p, min_p, .. } = *sampling;
    let place = sample(Sample { temperature, top_k, top_p, min_p, seed, draw }, &values);
    listed.get(place as usize).map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_chosen_among_finite_logits() {
        let logits = [f32::NAN, 1.0, f32::INFINITY, 3.0, 3.0, f32::NEG_INFINITY];
        assert_eq!(choose(&Sampling::greedy(), 0, 0, &logits), Some(3));
        assert_eq!(choose(&Sampling::greedy(), 0, 0, &[f32::NEG_INFINITY; 3]), None);
        let sampling = Sampling { top_k: 1, ..Sampling::default() };
        assert_eq!(choose(&sampling, 0, 0, &[f32::NEG_INFINITY; 3]), None);
        // Both of the two highest, which tie, and nothing else.
        let drawn: std::collections::BTreeSet<_> =
            (0..50).filter_map(|draw| choose(&sampling, 7, draw, &logits)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4]);
    }
}
