use std::ops::Range;

use lapidary_engine::ops::{self, CacheFormat, CacheLayer, Rope};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

const CAPACITY: usize = 64;

proptest! {
    #![proptest_config(crate::cases(10))]
    #[test]
    fn rope(
        heads in 1usize..5,
        kv_heads in 1usize..4,
        head_dim in prop::sample::select(vec![4usize, 24, 32, 128, 256]),
        tokens in 1usize..9,
        position in 0usize..50,
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
                let cache = CacheLayer::new(format, kv_heads, CAPACITY, head_dim);
                let numbers = Rope { heads, kv_heads, head_dim, query_scale: 0.3, eps: 1e-6 };
                run(gpu, step(tokens, position), |r| {
                    ops::rope(r, numbers, &qkv, &table, weight.as_ref(), &cache);
                });
                // The angle is rounded to f32 as in the reference implementation, which matters at large positions.
                let what = format!("{name}, {format:?}");
                // Keys and values in `qkv` are unchanged.
                let after = side_by_side(&[&expected_q, &k, &v], tokens);
                assert_close(&what, &read(gpu, &qkv, tokens), &after, 5.0 * F32);
                let rows = |buffer| cached(gpu, buffer, format, kv_heads, head_dim, CAPACITY, position..position + tokens);
                assert_close(&what, &rows(cache.buffers()[0]), &expected_k, tolerance.max(5.0 * F32));
                assert_close(&what, &rows(cache.buffers()[1]), &v, tolerance);
            }
        }
    }
}

/// Rows of several matrices side by side.
pub(crate) fn side_by_side(matrices: &[&[f32]], rows: usize) -> Vec<f32> {
    let row = |row: usize| matrices.iter().flat_map(move |m| &m[row * (m.len() / rows)..][..m.len() / rows]);
    (0..rows).flat_map(row).copied().collect()
}

/// These positions of a cache, as `[positions, kv_heads * head_dim]`. Asserts that everything else is zero.
pub(crate) fn cached(
    gpu: &lapidary_engine::Gpu,
    buffer: &lapidary_engine::gpu::Buffer,
    format: CacheFormat,
    kv_heads: usize,
    head_dim: usize,
    capacity: usize,
    positions: Range<usize>,
) -> Vec<f32> {
    let bytes = block_on(gpu.read(buffer, buffer.bytes())).unwrap();
    let numbers: Vec<f32> = match format {
        CacheFormat::F32 => bytemuck::pod_collect_to_vec(&bytes),
        CacheFormat::F16 => bytes.chunks_exact(2).map(|b| half(u16::from_le_bytes([b[0], b[1]]))).collect(),
    };
    let mut rows = vec![0.0; positions.len() * kv_heads * head_dim];
    for (i, value) in numbers.into_iter().enumerate().take(kv_heads * capacity * head_dim) {
        let (head, at, d) = (i / head_dim / capacity, i / head_dim % capacity, i % head_dim);
        if positions.contains(&at) {
            rows[((at - positions.start) * kv_heads + head) * head_dim + d] = value;
        } else {
            assert_eq!(value, 0.0, "wrote position {at}, which is not the step's");
        }
    }
    rows
}

/// An f16 as f32.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, (bits >> 10) & 31, f32::from(bits & 1023) / 1024.0);
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-14),
        _ => (1.0 + fraction) * 2f32.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -magnitude } else { magnitude }
}
