use lapidary_engine::ops::{self, FEW_TOKENS, Factor, Int8Tensor, Width};
use lapidary_engine::quant::WeightFormat;
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(2))]
    #[test]
    fn matmul_small(rows in 1usize..150, cols in 1usize..700, tokens in 1..=FEW_TOKENS, shard_rows in 8usize..150, seed: u64) {
        let values = gaussian(seed, rows * cols);
        let x = gaussian(seed ^ 1, tokens * cols);
        for format in WeightFormat::ALL {
            let shard = (shard_rows * 16 * format.gpu_row(cols).quant_vec4s) as u64;
            for (name, gpu) in devices() {
                let (weights, held) = matrix(gpu, format, cols, &values, shard);
                let expected = reference::matmul(&held, &x, cols);
                let x = tensor(gpu, cols, &x);
                for width in Width::ALL {
                    let out = dirty(gpu, tokens, rows);
                    run(gpu, step(tokens, 0), async |r| {
                        ops::matmul_small(r, &weights, Factor::Float(&x), width, &out, 0).await.unwrap();
                    });
                    assert_close(&format!("{name}, {format}, {width:?}"), &read(gpu, &out, tokens), &expected, F32);
                }
            }
        }
    }

    #[test]
    fn matmul_small_int8(
        rows in 1usize..150, cols in 1usize..700, tokens in 1..=FEW_TOKENS, shard_rows in 8usize..150, seed: u64,
    ) {
        let values = gaussian(seed, rows * cols);
        let x = gaussian(seed ^ 1, tokens * cols);
        for format in WeightFormat::ALL.into_iter().filter(|format| format.is_integer()) {
            let shard = (shard_rows * 16 * format.gpu_row(cols).quant_vec4s) as u64;
            for (name, gpu) in devices() {
                let (weights, held) = matrix(gpu, format, cols, &values, shard);
                let expected = reference::matmul(&held, &reference::quantize(&x, cols), cols);
                let x = tensor(gpu, cols, &x);
                let int8 = block_on(Int8Tensor::new(gpu, "test", tokens, cols)).unwrap();
                for width in Width::ALL {
                    let out = dirty(gpu, tokens, rows);
                    run(gpu, step(tokens, 0), async |r| {
                        ops::quantize(r, &x, &int8).await.unwrap();
                        ops::matmul_small(r, &weights, Factor::Int8(&int8), width, &out, 0).await.unwrap();
                    });
                    assert_close(&format!("{name}, {format}, {width:?}"), &read(gpu, &out, tokens), &expected, F32);
                }
            }
        }
    }
}
