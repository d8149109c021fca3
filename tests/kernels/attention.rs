use lapidary_engine::Gpu;
use lapidary_engine::ops::{self, Attention, CacheFormat, CacheLayer, Int8Tensor, KeySplits, Operand, Partials, Rope};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

use crate::rope::{cached, side_by_side};

#[derive(Clone, Debug)]
struct Case {
    group: usize,
    kv_heads: usize,
    head_dim: usize,
    tokens: usize,
    position: usize,
    window: Option<usize>,
    soft_cap: Option<f32>,
    seed: u64,
}

prop_compose! {
    fn case()(
        group in 1usize..6,
        kv_heads in 1usize..4,
        head_dim in prop::sample::select(vec![8usize, 24, 32, 128, 256]),
        tokens in prop_oneof![Just(1usize), 2usize..40],
        position in prop_oneof![Just(0usize), 1usize..200],
        window in prop::option::of(1usize..150),
        soft_cap in prop::option::of(2f32..50.0),
        seed: u64,
    ) -> Case {
        Case { group, kv_heads, head_dim, tokens, position, window, soft_cap, seed }
    }
}

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn attention(case in case()) {
        check(&case);
    }
}

/// The edge of the window, where off-by-one errors hide: just before, at and after the first position past it, and at
/// tiles of 64 keys.
#[test]
fn attention_at_the_edge_of_the_window() {
    for (position, window) in [(14, 16), (15, 16), (16, 16), (63, 64), (64, 64), (65, 64), (130, 65), (127, 1)] {
        for tokens in [1, 3] {
            let window = Some(window);
            check(&Case {
                group: 2,
                kv_heads: 1,
                head_dim: 32,
                tokens,
                position,
                window,
                soft_cap: Some(50.0),
                seed: 1,
            });
        }
    }
}

fn check(case: &Case) {
    let Case { group, kv_heads, head_dim, tokens, position, window, soft_cap, seed } = *case;
    let heads = group * kv_heads;
    let positions = position + tokens;
    // Scores of some size, so that cap and softmax bite.
    let q: Vec<f32> =
        gaussian(seed, tokens * heads * head_dim).iter().map(|v| v * 8.0 / (head_dim as f32).sqrt()).collect();
    let k = gaussian(seed ^ 1, positions * kv_heads * head_dim);
    let v = gaussian(seed ^ 2, positions * kv_heads * head_dim);
    let numbers = reference::Attention { heads, kv_heads, head_dim, window, soft_cap };
    let expected = reference::attention(numbers, &q, &k, &v, position);
    for (name, gpu) in devices() {
        for (format, tolerance) in [(CacheFormat::F32, 3.0 * F32), (CacheFormat::F16, 4.0 * F16_CACHE)] {
            let cache = filled(gpu, format, kv_heads, head_dim, positions, &k, &v);
            // Rows of q continue with keys and values, which attention must ignore.
            let qkv = side_by_side(&[&q, &vec![f32::NAN; tokens * 2 * kv_heads * head_dim]], tokens);
            let q = tensor(gpu, (heads + 2 * kv_heads) * head_dim, &qkv);
            let out = dirty(gpu, tokens, heads * head_dim);
            let numbers = Attention { heads, kv_heads, head_dim, window, soft_cap };
            run(gpu, step(tokens, position), |r| {
                ops::attention(r, numbers, &q, &cache, &out);
            });
            assert_close(&format!("{name}, {format:?}, {case:?}"), &read(gpu, &out, tokens), &expected, tolerance);
        }
    }
}

/// A step of one token, which the kernel rotates itself. The cache holds the keys and values before it.
#[derive(Clone, Debug)]
struct Split {
    group: usize,
    kv_heads: usize,
    head_dim: usize,
    position: usize,
    window: Option<usize>,
    soft_cap: Option<f32>,
    normed: bool,
    splits: usize,
    seed: u64,
}

prop_compose! {
    fn split()(
        // Eight or more rows take one or two workgroups.
        group in prop_oneof![1usize..6, 7usize..11],
        kv_heads in 1usize..4,
        head_dim in prop::sample::select(vec![8usize, 24, 32, 128, 256]),
        position in prop_oneof![Just(0usize), 1usize..200, 600usize..700],
        window in prop::option::of(1usize..150),
        soft_cap in prop::option::of(2f32..50.0),
        normed: bool,
        splits in prop_oneof![Just(1usize), 2usize..33],
        seed: u64,
    ) -> Split {
        Split { group, kv_heads, head_dim, position, window, soft_cap, normed, splits, seed }
    }
}

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn attention_split(case in split()) {
        check_split(&case);
    }
}

#[test]
fn attention_split_at_the_edge_of_the_window() {
    for (position, window) in
        [(14, 16), (15, 16), (16, 16), (63, 64), (64, 64), (65, 64), (130, 65), (127, 1), (512, 512)]
    {
        let (window, soft_cap, normed) = (Some(window), Some(50.0), true);
        for splits in [1, 2, 8] {
            check_split(&Split {
                group: 2,
                kv_heads: 1,
                head_dim: 32,
                position,
                window,
                soft_cap,
                normed,
                splits,
                seed: 1,
            });
        }
    }
}

fn check_split(case: &Split) {
    let Split { group, kv_heads, head_dim, position, window, soft_cap, normed, splits, seed } = *case;
    let heads = group * kv_heads;
    let q = gaussian(seed, heads * head_dim);
    let before = |seed| gaussian(seed, position * kv_heads * head_dim);
    let (old_k, old_v) = (before(seed ^ 1), before(seed ^ 2));
    let new = gaussian(seed ^ 3, 2 * kv_heads * head_dim);
    let (k, v) = new.split_at(kv_heads * head_dim);
    let weight = gaussian(seed ^ 4, 2 * head_dim);
    let (q_weight, k_weight) = weight.split_at(head_dim);
    let (theta, position_scale, eps) = (10_000.0, 8.0, 1e-6);
    // Scores of some size, so that cap and softmax bite.
    let query_scale = 8.0 / (head_dim as f32).sqrt();
    let rotated = |x: &[f32], weight, scale| {
        let rope = reference::Rope { head_dim, theta, position_scale, scale, eps };
        reference::rope(rope, x, 1, position, normed.then_some(weight))
    };
    let new_k = rotated(k, k_weight, 1.0);
    let numbers = reference::Attention { heads, kv_heads, head_dim, window, soft_cap };
    let expected = reference::attention(
        numbers,
        &rotated(&q, q_weight, query_scale),
        &[&old_k[..], &new_k].concat(),
        &[&old_v[..], v].concat(),
        position,
    );
    for (name, gpu) in devices() {
        for (format, tolerance) in [(CacheFormat::F32, 5.0 * F32), (CacheFormat::F16, 4.0 * F16_CACHE)] {
            let what = format!("{name}, {format:?}, {case:?}");
            let cache = filled(gpu, format, kv_heads, head_dim, position, &old_k, &old_v);
            let qkv = tensor(gpu, (heads + 2 * kv_heads) * head_dim, &[&q[..], k, v].concat());
            let weight = normed.then(|| tensor(gpu, 2 * head_dim, &weight));
            let table = {
                let angles = ops::cos_sin(cache.capacity(), head_dim, theta, position_scale);
                tensor(gpu, angles.len(), &angles)
            };
            let partials = (splits > 1).then(|| Partials::new(splits, heads, head_dim));
            if let Some(partials) = &partials {
                let nonsense = vec![777.0f32; partials.buffer().bytes() as usize / 4];
                fill(gpu, partials.buffer(), bytemuck::cast_slice(&nonsense));
            }
            let numbers = Attention { heads, kv_heads, head_dim, window, soft_cap };
            let rope = Rope { heads, kv_heads, head_dim, query_scale, eps };
            let into = |out: Operand<'_>| {
                run(gpu, step(1, position), |r| {
                    let splits = partials.as_ref().map_or(KeySplits::One(out), KeySplits::Many);
                    ops::attention_split(r, numbers, rope, &qkv, &table, weight.as_ref(), &cache, splits);
                    if let KeySplits::Many(partials) = splits {
                        ops::attention_merge(r, numbers, partials, out);
                    }
                });
            };
            let cols = heads * head_dim;
            let out = dirty(gpu, 1, cols);
            into(Operand::Float(&out));
            let found = read(gpu, &out, 1);
            assert_close(&what, &found, &expected, tolerance);
            if head_dim % 32 == 0 {
                let int8 = Int8Tensor::new("test", 1, cols);
                into(Operand::Int8(&int8));
                assert_close(&what, &read_int8(gpu, &int8, 1, cols), &reference::quantize(&found, cols), INT8);
            }
            // The cache holds the new position, the unchanged old ones, and nothing after them.
            let positions = position + 1;
            let rows = |buffer| cached(gpu, buffer, format, kv_heads, head_dim, cache.capacity(), 0..positions);
            let cache_tolerance = if format == CacheFormat::F32 { 5.0 * F32 } else { F16_CACHE };
            assert_close(&what, &rows(cache.buffers()[0]), &[&old_k[..], &new_k].concat(), cache_tolerance);
            assert_close(&what, &rows(cache.buffers()[1]), &[&old_v[..], v].concat(), cache_tolerance);
        }
    }
}

/// A cache that holds these keys and values. The kernel `rope` writes them, with angles of zero.
fn filled(
    gpu: &Gpu,
    format: CacheFormat,
    kv_heads: usize,
    head_dim: usize,
    positions: usize,
    k: &[f32],
    v: &[f32],
) -> CacheLayer {
    let capacity = positions + 3;
    let cache = CacheLayer::new(format, kv_heads, capacity, head_dim);
    if positions == 0 {
        return cache;
    }
    let q = vec![777.0; positions * head_dim];
    let qkv = tensor(gpu, (1 + 2 * kv_heads) * head_dim, &side_by_side(&[&q, k, v], positions));
    let still: Vec<f32> = [1.0, 0.0].repeat(capacity * head_dim / 2);
    let table = tensor(gpu, still.len(), &still);
    let numbers = Rope { heads: 1, kv_heads, head_dim, query_scale: 1.0, eps: 1e-6 };
    run(gpu, step(positions, 0), |r| {
        ops::rope(r, numbers, &qkv, &table, None, &cache);
    });
    cache
}
