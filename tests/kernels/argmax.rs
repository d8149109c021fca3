use lapidary_engine::ops::{self, ARGMAX_WORKGROUPS};
use lapidary_shaders::twins;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn argmax(vocab in 1usize..9000, levels in 1u32..50, seed: u64) {
        // Few distinct values, so that ties abound.
        let logits: Vec<f32> =
            gaussian(seed, vocab).iter().map(|v| (v * levels as f32).round() / levels as f32 - 5.0).collect();
        let stretch = vocab.div_ceil(ARGMAX_WORKGROUPS);
        let twin = twins::argmax(&logits, stretch);
        for (name, gpu) in devices() {
            // Padding must not win, however large.
            let padded = [logits.as_slice(), &[99.0; 7]].concat();
            let logits = tensor(gpu, vocab + 7, &padded);
            let best = words(gpu, &[7; 2 * ARGMAX_WORKGROUPS]);
            run(gpu, step(1, 0), async |r| ops::argmax(r, &logits, vocab, &best).await.unwrap());
            let found = read_words(gpu, &best, 2 * ARGMAX_WORKGROUPS);
            for (i, find) in found.chunks_exact(2).enumerate() {
                match twin.get(i) {
                    Some((value, token)) => prop_assert_eq!((f32::from_bits(find[0]), find[1]), (*value, *token), "{}", name),
                    // Stretches past the end must never win, nor name a token that is not there.
                    None => prop_assert!(f32::from_bits(find[0]) < -1e38 && (find[1] as usize) < vocab, "{}", name),
                }
            }
        }
    }
}
