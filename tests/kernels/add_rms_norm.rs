use lapidary_engine::ops::{self, Int8Tensor, Operand, ResidualNorm};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn add_rms_norm(rows in 1usize..6, cols in 1usize..700, seed: u64) {
        let y = gaussian(seed, rows * cols);
        let before = gaussian(seed ^ 1, rows * cols);
        let (post, next) = (gaussian(seed ^ 2, cols), gaussian(seed ^ 3, cols));
        let mut expected_residual = before.clone();
        let expected = reference::add_rms_norm(&y, &post, &mut expected_residual, &next, 1e-6);
        for (name, gpu) in devices() {
            let (y, residual) = (tensor(gpu, cols, &y), tensor(gpu, cols, &before));
            let (post, next) = (tensor(gpu, cols, &post), tensor(gpu, cols, &next));
            let mut norm = ResidualNorm { y: &y, post_weight: &post, residual: &residual, next_weight: &next, eps: 1e-6 };
            let out = dirty(gpu, rows, cols);
            run(gpu, step(rows, 0), |r| {
                ops::add_rms_norm(r, norm, Operand::Float(&out));
            });
            assert_close(name, &read(gpu, &residual, rows), &expected_residual, F32);
            assert_close(name, &read(gpu, &out, rows), &expected, F32);
            let again = tensor(gpu, cols, &before);
            norm.residual = &again;
            let int8 = Int8Tensor::new("test", rows, cols);
            run(gpu, step(rows, 0), |r| {
                ops::add_rms_norm(r, norm, Operand::Int8(&int8));
            });
            assert_close(name, &read(gpu, &again, rows), &expected_residual, F32);
            assert_close(name, &read_int8(gpu, &int8, rows, cols), &reference::quantize(&expected, cols), INT8);
        }
    }
}
