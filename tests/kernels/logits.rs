use lapidary_engine::Gpu;
use lapidary_engine::gpu::Count;
use lapidary_engine::ops::{self, TokenSink};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn logits(rows in 1usize..4, vocab in prop_oneof![1usize..900, 1000usize..3000], cap in prop::option::of(1f32..60.0), penalty in prop::sample::select(vec![1.0f32, 1.3, 0.7]), masked: bool, seed: u64) {
        let values: Vec<f32> = gaussian(seed, rows * vocab).iter().map(|v| v * 20.0).collect();
        let bits = |seed| gaussian(seed, vocab.div_ceil(32)).iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
        let (seen, allowed) = (bits(seed ^ 1), bits(seed ^ 2));
        let each = |words: &[u32]| (0..vocab).map(|t| (words[t / 32] >> (t % 32)) & 1 == 1).collect::<Vec<bool>>();
        let (is_seen, is_allowed) = (each(&seen), each(&allowed));
        let mask = masked.then_some(&is_allowed[..]);
        let by_reference: Vec<f32> =
            values.chunks_exact(vocab).flat_map(|row| reference::logits(row, cap, &is_seen, penalty, mask)).collect();
        for (name, gpu) in devices() {
            // The row before is not the step's.
            let before = vec![3.0; vocab];
            let logits = tensor(gpu, vocab, &[&before[..], &values].concat());
            let sink = sink(gpu, vocab, &seen, &allowed);
            let mut step = step(rows, 0);
            (step.repetition_penalty, step.row, step.is_masked) = (penalty, 1, u32::from(masked));
            run(gpu, step, |r| {
                ops::logits(r, &logits, Count::EACH_TOKEN, cap, &sink);
            });
            let found = read(gpu, &logits, 1 + rows);
            prop_assert_eq!(&found[..vocab], &before[..]);
            let finite = |values: &[f32]| values.iter().copied().filter(|v| v.is_finite()).collect::<Vec<f32>>();
            prop_assert!(found[vocab..].iter().zip(&by_reference).all(|(a, b)| a.is_finite() == b.is_finite()));
            assert_close(name, &finite(&found[vocab..]), &finite(&by_reference), F32);
        }
    }
}

/// A sink in which the test's sequence has seen these tokens, and is allowed others.
fn sink(gpu: &Gpu, vocab: usize, seen: &[u32], allowed: &[u32]) -> TokenSink {
    let sink = TokenSink::new(vocab, SLOT + 1);
    fill(gpu, &sink.seen, &[&vec![0; seen.len()], seen].concat());
    fill(gpu, &sink.allowed, &[&vec![0; allowed.len()], allowed].concat());
    sink
}

/// NaN logits (damaged weights) stay NaN after the soft-cap.
#[test]
fn logits_of_nan() {
    let values = [1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -3.0];
    let by_reference = reference::logits(&values, Some(30.0), &[false; 5], 1.0, None);
    for (name, gpu) in devices() {
        let logits = tensor(gpu, 5, &values);
        let sink = sink(gpu, 5, &[0], &[0]);
        run(gpu, step(1, 0), |r| ops::logits(r, &logits, Count::EACH_TOKEN, Some(30.0), &sink));
        for (found, expected) in read(gpu, &logits, 1).iter().zip(&by_reference) {
            assert!((found - expected).abs() < 1e-4 || found.to_bits() == expected.to_bits(), "{name}: {found}");
        }
    }
}
