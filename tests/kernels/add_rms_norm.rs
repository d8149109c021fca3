use lapidary_engine::ops;
use lapidary_shaders::twins;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn add_rms_norm(rows in 1usize..6, cols in 1usize..700, seed: u64) {
        let y = gaussian(seed, rows * cols);
        let residual = gaussian(seed ^ 1, rows * cols);
        let (post, next) = (gaussian(seed ^ 2, cols), gaussian(seed ^ 3, cols));
        let mut twin_residual = residual.clone();
        let twin = twins::add_rms_norm(&y, &post, &mut twin_residual, &next, 1e-6);
        for (name, gpu) in devices() {
            let (y, residual) = (tensor(gpu, cols, &y), tensor(gpu, cols, &residual));
            let (post, next) = (tensor(gpu, cols, &post), tensor(gpu, cols, &next));
            let out = dirty(gpu, rows, cols);
            run(gpu, step(rows, 0), async |r| {
                ops::add_rms_norm(r, &y, &post, &residual, &next, 1e-6, &out).await.unwrap();
            });
            assert_close(name, &read(gpu, &residual, rows), &twin_residual, F32);
            assert_close(name, &read(gpu, &out, rows), &twin, F32);
        }
    }
}
