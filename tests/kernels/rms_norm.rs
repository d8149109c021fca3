use lapidary_engine::ops::{self, Int8Tensor, Operand};
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
            run(gpu, step(rows, 0), |r| ops::rms_norm(r, &x, &weight, 1e-6, Operand::Float(&out)));
            assert_close(name, &read(gpu, &out, rows), &expected, F32);
            let int8 = Int8Tensor::new("test", rows, cols);
            run(gpu, step(rows, 0), |r| ops::rms_norm(r, &x, &weight, 1e-6, Operand::Int8(&int8)));
            assert_close(name, &read_int8(gpu, &int8, rows, cols), &reference::quantize(&expected, cols), INT8);
        }
    }
}
