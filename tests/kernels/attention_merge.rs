use lapidary_engine::ops::{self, Factor, Int8Tensor, Partials};
use lapidary_shaders::twins::{self, Partial};
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn attention_merge(
        heads in 1usize..6,
        splits in 2usize..33,
        head_dim in prop::sample::select(vec![4usize, 24, 32, 128, 256]),
        // Shares without keys, which hold what an earlier step left.
        empty: u64,
        seed: u64,
    ) {
        for (name, gpu) in devices() {
            let partials = block_on(Partials::new(gpu, splits, heads, head_dim)).unwrap();
            let numbers = gaussian(seed, heads * splits * (head_dim + 2));
            let found: Vec<Partial> = numbers
                .chunks_exact(head_dim + 2)
                .enumerate()
                .map(|(i, numbers)| {
                    let has_keys = i % splits == 0 || empty >> (i % 64) & 1 == 0;
                    Partial {
                        sums: numbers[..head_dim].to_vec(),
                        highest: if has_keys { 10.0 * numbers[head_dim] } else { -1e30 },
                        total: if has_keys { 1.0 + numbers[head_dim + 1].abs() } else { 0.0 },
                    }
                })
                .collect();
            let rows: Vec<f32> =
                found.iter().flat_map(|p| [&p.sums[..], &[p.highest, p.total, 777.0, 777.0]].concat()).collect();
            gpu.queue().write_buffer(partials.buffer(), 0, bytemuck::cast_slice(&rows));
            let twin: Vec<f32> = found.chunks_exact(splits).flat_map(twins::attention_merge).collect();

            let out = dirty(gpu, 1, heads * head_dim);
            run(gpu, step(1, 0), async |r| ops::attention_merge(r, &partials, Factor::Float(&out)).await.unwrap());
            assert_close(name, &read(gpu, &out, 1), &twin, 2.0 * F32);
            if head_dim % 32 == 0 {
                let cols = heads * head_dim;
                let int8 = block_on(Int8Tensor::new(gpu, "test", 1, cols)).unwrap();
                run(gpu, step(1, 0), async |r| ops::attention_merge(r, &partials, Factor::Int8(&int8)).await.unwrap());
                assert_close(name, &read_int8(gpu, &int8, 1, cols), &twins::quantize(&twin, cols), INT8);
            }
        }
    }
}
