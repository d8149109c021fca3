use lapidary_engine::ops::{self, ARGMAX_WORKGROUPS, Emitted};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn argmax_merge(draw in 0u32..1000, missing in 0usize..4, seed: u64) {
        let maxima: Vec<Option<(f32, u32)>> = gaussian(seed, ARGMAX_WORKGROUPS)
            .iter()
            .enumerate()
            .map(|(i, v)| (missing == 0 || i % missing != 0).then(|| ((v * 2.0).round() + 0.5, 3 * i as u32)))
            .collect();
        check(&maxima, draw);
    }
}

/// What a model of damaged weights makes.
#[test]
fn argmax_merge_of_nothing() {
    check(&[None; ARGMAX_WORKGROUPS], 5);
}

fn check(maxima: &[Option<(f32, u32)>], draw: u32) {
    let token = reference::argmax_merge(maxima);
    for (name, gpu) in devices() {
        let best: Vec<u32> =
            maxima.iter().flat_map(|maximum| maximum.map_or([0, 0], |(value, token)| [key(value), token])).collect();
        let best = words(gpu, &best);
        let emitted = emitted(gpu, 8 * 32);
        let mut step = step(1, 0);
        step.draw = draw;
        let [tokens, results, seen] = &emitted;
        let out = Emitted { tokens, results, seen };
        run(gpu, step, async |r| ops::argmax_merge(r, &best, out).await.unwrap());
        assert_emitted(name, gpu, &emitted, draw, token);
    }
}
