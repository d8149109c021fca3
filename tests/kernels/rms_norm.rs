use lapidary_engine::ops::{self, Factor, Int8Tensor};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn rms_norm(rows in 1usize..6, cols in 1usize..700, scale in 1e-3f32..1e3, seed: u64) {
        let x: Vec<f32> = gaussian(seed, rows * cols).iter().map(|v| v * scale).collect();
        let weight = gaussian(seed ^ 1, cols);
        let expected = reference::rms_norm(&x, &weight, 1e-6);
        for (name, gpu) in devices() {
            let (x, weight) = (tensor(gpu, cols, &x), tensor(gpu, cols, &weight));
            let out = dirty(gpu, rows, cols);
            run(gpu, step(rows, 0), async |r| ops::rms_norm(r, &x, &weight, 1e-6, Factor::Float(&out)).await.unwrap());
            assert_close(name, &read(gpu, &out, rows), &expected, F32);
            let int8 = block_on(Int8Tensor::new(gpu, "test", rows, cols)).unwrap();
            run(gpu, step(rows, 0), async |r| ops::rms_norm(r, &x, &weight, 1e-6, Factor::Int8(&int8)).await.unwrap());
            assert_close(name, &read_int8(gpu, &int8, rows, cols), &reference::quantize(&expected, cols), INT8);
        }
    }
}
