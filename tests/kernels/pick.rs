use lapidary_engine::ops::{self, ARGMAX_WORKGROUPS, Emitted};
use lapidary_shaders::twins;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn pick(draw in 0u32..1000, seed: u64) {
        let finds: Vec<(f32, u32)> = gaussian(seed, ARGMAX_WORKGROUPS)
            .iter()
            .enumerate()
            .map(|(i, v)| ((v * 2.0).round(), 3 * i as u32))
            .collect();
        let token = twins::pick(&finds);
        for (name, gpu) in devices() {
            let best: Vec<u32> = finds.iter().flat_map(|(value, token)| [value.to_bits(), *token]).collect();
            let (best, tokens) = (words(gpu, &best), words(gpu, &[9; 4]));
            let (results, seen) = (words(gpu, &[9; 16]), words(gpu, &[0; 8]));
            let mut step = step(1, 0);
            step.draw = draw;
            let emitted = Emitted { tokens: &tokens, results: &results, seen: &seen };
            run(gpu, step, async |r| ops::pick(r, &best, emitted).await.unwrap());
            prop_assert_eq!(read_words(gpu, &tokens, 4), vec![token, 9, 9, 9], "{}", name);
            let mut ring = vec![9; 16];
            ring[draw as usize % 16] = token;
            prop_assert_eq!(read_words(gpu, &results, 16), ring, "{}", name);
            let mut bits = vec![0; 8];
            bits[token as usize / 32] |= 1 << (token % 32);
            prop_assert_eq!(read_words(gpu, &seen, 8), bits, "{}", name);
        }
    }
}
