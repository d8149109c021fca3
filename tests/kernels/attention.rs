use lapidary_engine::Gpu;
use lapidary_engine::ops::{self, Attention, CacheFormat, CacheLayer, Factor, Partials, Rope};
use lapidary_shaders::twins;
use lapidary_tests::*;
use proptest::prelude::*;

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
        head_dim in prop::sample::select(vec![4usize, 24, 32, 128, 256]),
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

/// The window's edge, where an off-by-one hides: just before, at and after it is first crossed, and at tiles of 64 keys.
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
    let numbers = twins::Attention { heads, kv_heads, head_dim, window, soft_cap };
    let twin = twins::attention(numbers, &q, &k, &v, position);
    for (name, gpu) in devices() {
        for (format, tolerance) in [(CacheFormat::F32, 3.0 * F32), (CacheFormat::F16, 4.0 * F16_CACHE)] {
            let cache = filled(gpu, format, kv_heads, head_dim, positions, &k, &v);
            // Rows of q go on with keys and values, which are none of attention's business.
            let qkv = side_by_side(&[&q, &vec![f32::NAN; tokens * 2 * kv_heads * head_dim]], tokens);
            let q = tensor(gpu, (heads + 2 * kv_heads) * head_dim, &qkv);
            let out = dirty(gpu, tokens, heads * head_dim);
            let numbers = Attention { heads, kv_heads, head_dim, window, soft_cap };
            run(gpu, step(tokens, position), async |r| {
                ops::attention(r, numbers, &q, &cache, &out).await.unwrap();
            });
            assert_close(&format!("{name}, {format:?}, {case:?}"), &read(gpu, &out, tokens), &twin, tolerance);
            if tokens > 1 {
                continue;
            }
            let out = dirty(gpu, tokens, heads * head_dim);
            let partials = block_on(Partials::new(gpu, heads, head_dim)).unwrap();
            let nonsense = vec![777.0f32; partials.buffer().size() as usize / 4];
            gpu.queue().write_buffer(partials.buffer(), 0, bytemuck::cast_slice(&nonsense));
            run(gpu, step(tokens, position), async |r| {
                ops::attention_split(r, numbers, &q, &cache, &partials).await.unwrap();
                ops::attention_merge(r, &partials, Factor::Float(&out)).await.unwrap();
            });
            let what = format!("{name}, {format:?}, split, {case:?}");
            assert_close(&what, &read(gpu, &out, tokens), &twin, tolerance);
        }
    }
}

/// A cache that holds these keys and values, put there by the kernel whose job it is, with angles of zero.
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
    let cache = block_on(CacheLayer::new(gpu, format, kv_heads, capacity, head_dim)).unwrap();
    let q = vec![777.0; positions * head_dim];
    let qkv = tensor(gpu, (1 + 2 * kv_heads) * head_dim, &side_by_side(&[&q, k, v], positions));
    let still: Vec<f32> = [1.0, 0.0].repeat(capacity * head_dim / 2);
    let table = tensor(gpu, still.len(), &still);
    let numbers = Rope { heads: 1, kv_heads, head_dim, query_scale: 1.0, eps: 1e-6 };
    run(gpu, step(positions, 0), async |r| {
        ops::rope(r, numbers, &qkv, &table, None, &cache).await.unwrap();
    });
    cache
}
