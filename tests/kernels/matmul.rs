use lapidary_engine::ops;
use lapidary_engine::quant::WeightFormat;
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(5))]
    #[test]
    fn matmul(rows in 1usize..150, cols in 1usize..500, tokens in 1usize..70, shard_rows in 8usize..150, seed: u64) {
        let values = gaussian(seed, rows * cols);
        let x = gaussian(seed ^ 1, tokens * cols);
        for format in WeightFormat::ALL {
            let shard = (shard_rows * 16 * format.gpu_row(cols).quant_vec4s) as u64;
            for (name, gpu) in devices() {
                let (weights, held) = matrix(gpu, format, cols, &values, shard);
                let expected = reference::matmul(&held, &x, cols);
                let x = tensor(gpu, cols, &x);
                let out = dirty(gpu, tokens, rows);
                run(gpu, step(tokens, 0), async |r| ops::matmul(r, &weights, &x, &out, 0).await.unwrap());
                assert_close(&format!("{name}, {format}"), &read(gpu, &out, tokens), &expected, F32);
            }
        }
    }
}
