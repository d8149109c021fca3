use lapidary_engine::ops::{self, STRETCHES};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn argmax_merge(draw in 0u32..1000, missing in 0usize..4, seed: u64) {
        let finds: Vec<Option<(f32, u32)>> = gaussian(seed, STRETCHES)
            .iter()
            .enumerate()
            .map(|(i, v)| (missing == 0 || i % missing != 0).then(|| ((v * 2.0).round() + 0.5, 3 * i as u32)))
            .collect();
        check(&finds, draw);
    }
}

/// Without any candidate, as after NaN logits, there is no token.
#[test]
fn argmax_merge_of_nothing() {
    check(&[None; STRETCHES], 5);
}

fn check(finds: &[Option<(f32, u32)>], draw: u32) {
    let token = reference::argmax_merge(finds);
    for (name, gpu) in devices() {
        let best: Vec<u32> =
            finds.iter().flat_map(|find| find.map_or([0, 0], |(value, token)| [key(value), token])).collect();
        let best = words(gpu, &best);
        let sink = dirty_sink(gpu, 8 * 32);
        let mut step = step(1, 0);
        step.draw = draw;
        run(gpu, step, |r| ops::argmax_merge(r, &best, &sink));
        assert_emitted(name, gpu, &sink, draw, token);
    }
}
