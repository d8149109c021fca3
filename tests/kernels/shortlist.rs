use lapidary_engine::ops::{self, STRETCHES, Shortlist};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(16))]
    #[test]
    fn shortlist(
        vocab in prop_oneof![1usize..700, 700usize..40_000],
        top_k in prop_oneof![Just(0usize), 1usize..100, 100usize..1000],
        levels in 1u32..100,
        broken: bool,
        seed: u64,
    ) {
        // A small number of distinct values, so that ties are frequent.
        let mut logits: Vec<f32> =
            gaussian(seed, vocab).iter().map(|v| (v * levels as f32).round() / levels as f32 + 0.5).collect();
        if broken {
            logits.iter_mut().step_by(5).for_each(|logit| *logit = f32::NAN);
        }
        let stretch = vocab.div_ceil(STRETCHES);
        // The reference lists every token that top-k keeps.
        let mut sorted: Vec<f32> = logits.iter().copied().filter(|logit| logit.is_finite()).collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let least = top_k.checked_sub(1).and_then(|last| sorted.get(last)).copied().unwrap_or(f32::MIN);
        let by_reference = reference::shortlist(&logits, stretch, top_k);
        let listed = by_reference.iter().flatten().filter(|(_, logit)| *logit >= least).count();
        prop_assert_eq!(listed, sorted.iter().filter(|logit| **logit >= least).count());
        for (name, gpu) in devices() {
            // Padding must never be listed, even if it is the largest value.
            // Nor must the row before.
            let padded = [&vec![99.0; vocab + 7], logits.as_slice(), &[99.0; 7]].concat();
            let logits = tensor(gpu, vocab + 7, &padded);
            let shortlist = Shortlist::new(vocab);
            let mut step = step(1, 0);
            (step.top_k, step.row) = (top_k as u32, 1);
            run(gpu, step, |r| ops::shortlist(r, &logits, vocab, &shortlist));
            let lists = read_words(gpu, shortlist.lists(), 2 * STRETCHES * stretch);
            let lengths = read_words(gpu, shortlist.lengths(), STRETCHES);
            for (i, length) in lengths.iter().enumerate() {
                let list = &lists[2 * i * stretch..][..2 * *length as usize];
                let expected = by_reference.get(i).map_or(&[][..], Vec::as_slice);
                let expected: Vec<u32> = expected.iter().flat_map(|(token, logit)| [*token, key(*logit)]).collect();
                prop_assert_eq!(list, expected, "{}: list {}", name, i);
            }
        }
    }
}
