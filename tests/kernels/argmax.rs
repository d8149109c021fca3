use lapidary_engine::gpu::Step;
use lapidary_engine::ops::{self, STRETCHES};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn argmax(vocab in 1usize..9000, levels in 1u32..50, broken in 0usize..3, seed: u64) {
        // A small number of distinct values, so that ties are frequent.
        let mut logits: Vec<f32> =
            gaussian(seed, vocab).iter().map(|v| (v * levels as f32).round() / levels as f32 - 5.0).collect();
        // Some logits, or whole stretches of them, are NaN.
        for at in (0..vocab).step_by(7).take(if broken > 0 { vocab } else { 0 }) {
            logits[at..(at + broken).min(vocab)].fill([f32::NAN, f32::INFINITY][at % 2]);
        }
        let stretch = vocab.div_ceil(STRETCHES);
        let expected = reference::argmax(&logits, stretch);
        for (name, gpu) in devices() {
            // Padding must never win, even if it is the largest value.
            // Nor must the row before.
            let padded = [&vec![99.0; vocab + 7], logits.as_slice(), &[99.0; 7]].concat();
            let logits = tensor(gpu, vocab + 7, &padded);
            let best = words(gpu, &[7; 2 * STRETCHES]);
            run(gpu, Step { row: 1, ..step(1, 0) }, |r| ops::argmax(r, &logits, vocab, &best));
            let found = read_words(gpu, &best, 2 * STRETCHES);
            for (i, find) in found.chunks_exact(2).enumerate() {
                // Stretches past the end have no result.
                match expected.get(i).copied().flatten() {
                    Some((value, token)) => prop_assert_eq!((find[0], find[1]), (key(value), token), "{}", name),
                    None => prop_assert_eq!(find[0], 0, "{}", name),
                }
            }
        }
    }
}
