use lapidary_engine::ops::{self, Attention, Int8Tensor, Operand, Partials};
use lapidary_shaders::reference::{self, Partial};
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn attention_merge(
        heads in 1usize..6,
        splits in prop_oneof![2usize..65, Just(64usize)],
        head_dim in prop::sample::select(vec![4usize, 24, 32, 128, 256]),
        // The last splits can be without keys. Then they hold the results of an earlier step.
        position in prop_oneof![0usize..3000, 4096usize..6000],
        window in prop::option::of(1usize..6000),
        seed: u64,
    ) {
        let numbers = Attention { heads, kv_heads: heads, head_dim, window, soft_cap: None };
        let first_key = window.map_or(0, |window| (position + 1).saturating_sub(window));
        let with_keys = splits.min(position / 64 - first_key / 64 + 1);
        for (name, gpu) in devices() {
            let partials = Partials::new(1, splits, heads, head_dim);
            let random = gaussian(seed, heads * splits * (head_dim + 2));
            let found: Vec<Partial> = random
                .chunks_exact(head_dim + 2)
                .enumerate()
                .map(|(i, numbers)| {
                    let has_keys = i % splits < with_keys;
                    Partial {
                        sums: numbers[..head_dim].to_vec(),
                        highest: if has_keys { 10.0 * numbers[head_dim] } else { 777.0 },
                        total: 1.0 + numbers[head_dim + 1].abs(),
                    }
                })
                .collect();
            let rows: Vec<f32> =
                found.iter().flat_map(|p| [&p.sums[..], &[p.highest, p.total, 777.0, 777.0]].concat()).collect();
            fill(gpu, partials.buffer(), bytemuck::cast_slice(&rows));
            let expected: Vec<f32> = found.chunks_exact(splits).flat_map(|splits| reference::attention_merge(&splits[..with_keys])).collect();

            let out = dirty(gpu, 1, heads * head_dim);
            let merge = |r: &mut _, out| ops::attention_merge(r, numbers, &partials, out);
            run(gpu, step(1, position), |r| merge(r, Operand::Float(&out)));
            assert_close(name, &read(gpu, &out, 1), &expected, 2.0 * F32);
            if head_dim % 32 == 0 {
                let cols = heads * head_dim;
                let int8 = Int8Tensor::new("test", 1, cols);
                run(gpu, step(1, position), |r| merge(r, Operand::Int8(&int8)));
                assert_close(name, &read_int8(gpu, &int8, 1, cols), &reference::quantize(&expected, cols), INT8);
            }
        }
    }
}
