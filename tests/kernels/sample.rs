use lapidary_engine::Gpu;
use lapidary_engine::ops::{self, Shortlist, TokenSink};
use lapidary_shaders::reference::{self, Sample};
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(24))]
    #[test]
    fn sample(
        vocab in prop_oneof![1usize..40, 40usize..700, Just(9001)],
        temperature in 0.05f32..3.0,
        top_k in prop_oneof![Just(0usize), 1usize..8, 8usize..800],
        top_p in prop_oneof![Just(1.0f32), 0.01f32..1.0],
        min_p in prop_oneof![Just(0.0f32), 0.0f32..0.5],
        draw in 0u32..100_000,
        seed: u64,
    ) {
        let logits: Vec<f32> = gaussian(seed, vocab).iter().map(|v| v * 4.0).collect();
        check(Sample { temperature, top_k, top_p, min_p, seed, draw }, &logits);
    }
}

/// More than `PRESELECT` tokens of nearly equal probability, so that the preselected tokens are not enough for top-p.
#[test]
fn sample_from_a_flat_distribution() {
    let logits: Vec<f32> = gaussian(3, 20_000).iter().map(|v| v * 0.01).collect();
    for draw in 0..5 {
        check(Sample { temperature: 1.0, top_k: 0, top_p: 0.9, min_p: 0.0, seed: 11, draw }, &logits);
    }
}

/// All tokens tie. Top-k keeps all of them, and every one can be sampled.
#[test]
fn sample_keeps_ties() {
    for draw in 0..8 {
        check(Sample { temperature: 0.7, top_k: 5, top_p: 0.5, min_p: 0.1, seed: 5, draw }, &[1.25; 100]);
    }
}

fn check(s: Sample, logits: &[f32]) {
    let probabilities = reference::probabilities(s, logits);
    let target = f64::from(reference::random(s.seed, s.draw));
    for (name, gpu) in devices() {
        let token = draw(gpu, s, logits);
        let token = token.unwrap_or_else(|| panic!("{name}: {s:?}: chose nothing")) as usize;
        // The same token as the reference, unless the random number is within rounding of the border between two
        // tokens.
        let before: f64 = probabilities[..token].iter().sum();
        let slack = 1e-5;
        assert!(
            probabilities[token] > 0.0 && before - slack <= target && target < before + probabilities[token] + slack,
            "{name}: {s:?}: chose {token} of {before}..{} for {target}; the reference chose {}",
            before + probabilities[token],
            reference::sample(s, logits),
        );
    }
}

/// Samples from the shortlist of these logits, and asserts that the token is in its place.
fn draw(gpu: &Gpu, s: Sample, logits: &[f32]) -> Option<u32> {
    let vocab = logits.len();
    let tensor = tensor(gpu, vocab, logits);
    let shortlist = Shortlist::new(vocab);
    let sink = dirty_sink(gpu, vocab);
    let mut step = step(1, 0);
    step.draw = s.draw;
    (step.seed_low, step.seed_high) = (s.seed as u32, (s.seed >> 32) as u32);
    step.temperature = s.temperature;
    step.top_k = s.top_k as u32;
    step.top_p = s.top_p;
    step.min_p = s.min_p;
    run(gpu, step, |r| {
        ops::shortlist(r, &tensor, vocab, &shortlist);
        ops::sample(r, &shortlist, vocab, &sink);
    });
    let place = TokenSink::result_word(SLOT, s.draw);
    let word = read_words(gpu, &sink.results, place + 1)[place];
    let token = (word != u32::MAX).then_some(word);
    assert_emitted("sample", gpu, &sink, s.draw, token);
    token
}

/// NaN logits (damaged weights) are never sampled; if every logit is NaN, no token is.
#[test]
fn sample_of_nan() {
    for top_k in [0, 1, 64] {
        let s = Sample { temperature: 1.0, top_k, top_p: 0.9, min_p: 0.0, seed: 1, draw: 3 };
        let mut logits = vec![f32::NAN; 5000];
        logits[7] = f32::INFINITY;
        for (name, gpu) in devices() {
            assert_eq!(draw(gpu, s, &logits), None, "{name}");
        }
        logits[4321] = -3.0;
        for (name, gpu) in devices() {
            assert_eq!(draw(gpu, s, &logits), Some(4321), "{name}");
        }
    }
}
