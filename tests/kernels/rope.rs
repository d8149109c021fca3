use lapidary_engine::ops::{self, CacheFormat, Rope};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

use crate::cache::Cache;

/// Two pages.
const CAPACITY: usize = 100;

proptest! {
    #![proptest_config(crate::cases(10))]
    #[test]
    fn rope(
        heads in 1usize..5,
        kv_heads in 1usize..4,
        head_dim in prop::sample::select(vec![4usize, 24, 32, 128, 256]),
        tokens in 1usize..9,
        position in 0usize..92,
        position_scale in prop::sample::select(vec![1.0f32, 8.0]),
        theta in prop::sample::select(vec![10_000.0f32, 1e6]),
        normed: bool,
        seed: u64,
    ) {
        let q = gaussian(seed, tokens * heads * head_dim);
        let k = gaussian(seed ^ 1, tokens * kv_heads * head_dim);
        let v = gaussian(seed ^ 2, tokens * kv_heads * head_dim);
        let weight = gaussian(seed ^ 3, 2 * head_dim);
        let (q_weight, k_weight) = weight.split_at(head_dim);
        let expected = |x: &[f32], weight, scale| {
            let rope = reference::Rope { head_dim, theta, position_scale, scale, eps: 1e-6 };
            reference::rope(rope, x, tokens, position, normed.then_some(weight))
        };
        let (expected_q, expected_k) = (expected(&q, q_weight, 0.3), expected(&k, k_weight, 1.0));

        for (name, gpu) in devices() {
            for (format, tolerance) in [(CacheFormat::F32, F32), (CacheFormat::F16, F16_CACHE)] {
                let qkv = tensor(gpu, (heads + 2 * kv_heads) * head_dim, &side_by_side(&[&q, &k, &v], tokens));
                let weight = normed.then(|| tensor(gpu, 2 * head_dim, &weight));
                let table =
                    {
                let angles = ops::cos_sin(CAPACITY, head_dim, theta, position_scale);
                tensor(gpu, angles.len(), &angles)
            };
                let cache = Cache::new(gpu, format, kv_heads, head_dim, 2, CAPACITY);
                let numbers = Rope { heads, kv_heads, head_dim, query_scale: 0.3, eps: 1e-6 };
                run(gpu, step(tokens, position), |r| {
                    ops::rope(r, numbers, &qkv, &table, weight.as_ref(), &cache.layer);
                });
                // The angle is rounded to f32 as in the reference implementation, which matters at large positions.
                let what = format!("{name}, {format:?}");
                // Keys and values in `qkv` are unchanged.
                let after = side_by_side(&[&expected_q, &k, &v], tokens);
                assert_close(&what, &read(gpu, &qkv, tokens), &after, 5.0 * F32);
                let written = position..position + tokens;
                assert_close(&what, &cache.keys(gpu, SLOT, written.clone()), &expected_k, tolerance.max(5.0 * F32));
                assert_close(&what, &cache.values(gpu, SLOT, written), &v, tolerance);
                prop_assert!(cache.keys(gpu, 0, 0..0).is_empty(), "the other sequence's keys are zero");
            }
        }
    }
}

/// Rows of several matrices side by side.
pub(crate) fn side_by_side(matrices: &[&[f32]], rows: usize) -> Vec<f32> {
    let row = |row: usize| matrices.iter().flat_map(move |m| &m[row * (m.len() / rows)..][..m.len() / rows]);
    (0..rows).flat_map(row).copied().collect()
}
