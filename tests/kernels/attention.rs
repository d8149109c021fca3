use lapidary_engine::Gpu;
use lapidary_engine::ops::{self, Attention, CacheFormat, Int8Tensor, KeySplits, Operand, Partials, Rope, Rounding};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

use crate::cache::Cache;
use crate::rope::side_by_side;

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
        head_dim in prop::sample::select(vec![8usize, 24, 32, 80, 128, 208, 256]),
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

#[test]
fn attention_on_cooperative_matrices_is_tested_where_it_must_be() {
    if requires_matrices() {
        let shape = Attention { heads: 2, kv_heads: 1, head_dim: 32, window: None, soft_cap: None };
        assert!(devices().iter().any(|(_, gpu)| shape.fits_matrices(CacheFormat::F16, gpu.capabilities())));
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
            let cache = Cache::new(gpu, format, kv_heads, head_dim, 2, positions + 3);
            // What other sequences left in the pages must not matter: the largest numbers of f16.
            for buffer in cache.layer.buffers() {
                fill(gpu, buffer, &vec![0x7bff_7bffu32; buffer.bytes() as usize / 4]);
            }
            fill_cache(gpu, &cache, SLOT, kv_heads, head_dim, &k, &v);
            // Rows of q continue with keys and values, which attention must ignore.
            let qkv = side_by_side(&[&q, &vec![f32::NAN; tokens * 2 * kv_heads * head_dim]], tokens);
            let q = tensor(gpu, (heads + 2 * kv_heads) * head_dim, &qkv);
            let numbers = Attention { heads, kv_heads, head_dim, window, soft_cap };
            for rounding in [Rounding::None, Rounding::F16] {
                // Also as on a GPU whose wide subgroups are fewer than a head's columns of matrices.
                for max_subgroups in [None, Some(3)] {
                    let mut capabilities = gpu.capabilities().clone();
                    let on_matrices = rounding == Rounding::F16 && numbers.fits_matrices(format, &capabilities);
                    if max_subgroups.is_some() && !on_matrices {
                        continue;
                    }
                    capabilities.max_subgroups = max_subgroups;
                    let out = dirty(gpu, tokens, heads * head_dim);
                    run_as(gpu, &capabilities, step(tokens, position), |r| {
                        ops::attention(r, numbers, &q, &cache.layer, &out, rounding);
                    });
                    let what = format!("{name}, {format:?}, {rounding:?}, {max_subgroups:?}, {case:?}");
                    assert_close(&what, &read(gpu, &out, tokens), &expected, tolerance);
                }
            }
        }
    }
}

/// A step of one token of each of several sequences, which the kernel rotates itself. The cache holds the keys and values before
/// it.
#[derive(Clone, Debug)]
struct Split {
    group: usize,
    kv_heads: usize,
    head_dim: usize,
    /// Of the first sequence; those of the others differ.
    position: usize,
    sequences: usize,
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
        sequences in prop_oneof![Just(1usize), 2usize..6],
        window in prop::option::of(1usize..150),
        soft_cap in prop::option::of(2f32..50.0),
        normed: bool,
        splits in prop_oneof![Just(1usize), 2usize..65],
        seed: u64,
    ) -> Split {
        Split { group, kv_heads, head_dim, position, sequences, window, soft_cap, normed, splits, seed }
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
                sequences: 1,
                window,
                soft_cap,
                normed,
                splits,
                seed: 1,
            });
        }
    }
}

/// A sequence before and after its token.
struct Before {
    position: usize,
    slot: usize,
    qkv: Vec<f32>,
    /// Keys and values in the cache before the step.
    keys: Vec<f32>,
    values: Vec<f32>,
    /// Those after it, and the result.
    new_keys: Vec<f32>,
    new_values: Vec<f32>,
    out: Vec<f32>,
}

const THETA: f32 = 10_000.0;
const POSITION_SCALE: f32 = 8.0;
const EPS: f32 = 1e-6;

impl Before {
    fn new(case: &Split, index: usize, weight: &[f32], query_scale: f32) -> Self {
        let Split { group, kv_heads, head_dim, window, soft_cap, normed, .. } = *case;
        let (heads, seed) = (group * kv_heads, case.seed.wrapping_add(17 * index as u64));
        let position = (case.position + 45 * index) % 700;
        let q = gaussian(seed, heads * head_dim);
        let before = |seed| gaussian(seed, position * kv_heads * head_dim);
        let (keys, values) = (before(seed ^ 1), before(seed ^ 2));
        let new = gaussian(seed ^ 3, 2 * kv_heads * head_dim);
        let (k, v) = new.split_at(kv_heads * head_dim);
        let (q_weight, k_weight) = weight.split_at(head_dim);
        let rotated = |x: &[f32], weight, scale| {
            let rope = reference::Rope { head_dim, theta: THETA, position_scale: POSITION_SCALE, scale, eps: EPS };
            reference::rope(rope, x, 1, position, normed.then_some(weight))
        };
        let new_keys = [&keys[..], &rotated(k, k_weight, 1.0)].concat();
        let new_values = [&values[..], v].concat();
        let shape = reference::Attention { heads, kv_heads, head_dim, window, soft_cap };
        let queries = rotated(&q, q_weight, query_scale);
        let out = reference::attention(shape, &queries, &new_keys, &new_values, position);
        let qkv = [&q[..], k, v].concat();
        // Not in the order of the tokens.
        let slot = case.sequences - 1 - index;
        Self { position, slot, qkv, keys, values, new_keys, new_values, out }
    }
}

fn check_split(case: &Split) {
    let Split { group, kv_heads, head_dim, sequences, window, soft_cap, normed, splits, seed, .. } = *case;
    let (heads, cols) = (group * kv_heads, group * kv_heads * head_dim);
    let weight = gaussian(seed ^ 4, 2 * head_dim);
    // Scores of some size, so that cap and softmax bite.
    let query_scale = 8.0 / (head_dim as f32).sqrt();
    let all: Vec<Before> = (0..sequences).map(|i| Before::new(case, i, &weight, query_scale)).collect();
    let context = all.iter().map(|before| before.position).max().unwrap_or(0) + 3;
    let expected: Vec<f32> = all.iter().flat_map(|before| before.out.clone()).collect();
    let qkv: Vec<f32> = all.iter().flat_map(|before| before.qkv.clone()).collect();
    let mut step = step(sequences, all[0].position);
    step.slot = all[0].slot as u32;
    for (i, before) in all.iter().enumerate() {
        step.set_place(i, before.position as u32, before.slot as u32);
    }
    for (name, gpu) in devices() {
        // Other kernels always split.
        let splits = if gpu.capabilities().broadcasts() { splits } else { splits.max(2) };
        for (format, tolerance) in [(CacheFormat::F32, 5.0 * F32), (CacheFormat::F16, 4.0 * F16_CACHE)] {
            let what = format!("{name}, {format:?}, {case:?}");
            let cache = Cache::new(gpu, format, kv_heads, head_dim, sequences, context);
            for before in &all {
                fill_cache(gpu, &cache, before.slot, kv_heads, head_dim, &before.keys, &before.values);
            }
            let qkv = tensor(gpu, (heads + 2 * kv_heads) * head_dim, &qkv);
            let weight = normed.then(|| tensor(gpu, 2 * head_dim, &weight));
            let table = {
                let angles = ops::cos_sin(context, head_dim, THETA, POSITION_SCALE);
                tensor(gpu, angles.len(), &angles)
            };
            let partials = (splits > 1).then(|| Partials::new(sequences, splits, heads, head_dim));
            if let Some(partials) = &partials {
                let nonsense = vec![777.0f32; partials.buffer().bytes() as usize / 4];
                fill(gpu, partials.buffer(), bytemuck::cast_slice(&nonsense));
            }
            let numbers = Attention { heads, kv_heads, head_dim, window, soft_cap };
            let rope = Rope { heads, kv_heads, head_dim, query_scale, eps: EPS };
            let into = |out: Operand<'_>| {
                run(gpu, step, |r| {
                    let splits = partials.as_ref().map_or(KeySplits::One(out), KeySplits::Many);
                    ops::attention_split(r, numbers, rope, &qkv, &table, weight.as_ref(), &cache.layer, splits);
                    if let KeySplits::Many(partials) = splits {
                        ops::attention_merge(r, numbers, partials, out);
                    }
                });
            };
            let out = dirty(gpu, sequences, cols);
            into(Operand::Float(&out));
            let found = read(gpu, &out, sequences);
            assert_close(&what, &found, &expected, tolerance);
            if head_dim % 32 == 0 {
                let int8 = Int8Tensor::new("test", sequences, cols);
                into(Operand::Int8(&int8));
                let rounded = reference::quantize(&found, cols);
                assert_close(&what, &read_int8(gpu, &int8, sequences, cols), &rounded, INT8);
            }
            // The cache holds the new positions, the unchanged old ones, and nothing after them.
            let cache_tolerance = if format == CacheFormat::F32 { 5.0 * F32 } else { F16_CACHE };
            for before in &all {
                let positions = 0..before.position + 1;
                let keys = cache.keys(gpu, before.slot, positions.clone());
                assert_close(&what, &keys, &before.new_keys, cache_tolerance);
                let values = cache.values(gpu, before.slot, positions);
                assert_close(&what, &values, &before.new_values, cache_tolerance);
            }
        }
    }
}

/// Fills a sequence's cache with keys and values. The kernel `rope` writes them, with angles of zero.
fn fill_cache(gpu: &Gpu, cache: &Cache, slot: usize, kv_heads: usize, head_dim: usize, k: &[f32], v: &[f32]) {
    let positions = k.len() / (kv_heads * head_dim);
    if positions == 0 {
        return;
    }
    let q = vec![777.0; positions * head_dim];
    let qkv = tensor(gpu, (1 + 2 * kv_heads) * head_dim, &side_by_side(&[&q, k, v], positions));
    let still: Vec<f32> = [1.0, 0.0].repeat(cache.layer.tables().context() * head_dim / 2);
    let table = tensor(gpu, still.len(), &still);
    let numbers = Rope { heads: 1, kv_heads, head_dim, query_scale: 1.0, eps: 1e-6 };
    let mut step = step(positions, 0);
    step.slot = slot as u32;
    run(gpu, step, |r| {
        ops::rope(r, numbers, &qkv, &table, None, &cache.layer);
    });
}
