use lapidary_engine::ops::{self, Int8Tensor, Seam, Sharing, Width};
use lapidary_engine::quant::WeightFormat;
use lapidary_tests::*;
use proptest::prelude::*;

/// Drivers compile the kernel anew for every width. This one has more groups than a workgroup of 64, a last one that is not full,
/// and more quads than a workgroup of 256.
const COLS: usize = 2100;

proptest! {
    #![proptest_config(crate::cases(2))]
    #[test]
    fn gate_up_int8(groups in 1usize..4, seed: u64) {
        let cols = COLS;
        let hidden = 32 * groups;
        let values = gaussian(seed, 2 * hidden * cols);
        let (y, before) = (gaussian(seed ^ 1, cols), gaussian(seed ^ 2, cols));
        let (post, next) = (gaussian(seed ^ 3, cols), gaussian(seed ^ 4, cols));
        for format in WeightFormat::ALL.into_iter().filter(|format| format.is_integer()) {
            for (name, gpu) in devices() {
                let (weights, _) = matrix(gpu, format, cols, &values, u64::MAX);
                let tensors = || [&y, &before, &post, &next].map(|row| tensor(gpu, cols, row));
                for width in Width::ALL {
                    let what = format!("{name}, {format}, {width:?}");
                    let int8 = block_on(Int8Tensor::new(gpu, "test", 1, cols)).unwrap();
                    let [apart, folded] = [0; 2].map(|_| block_on(Int8Tensor::new(gpu, "test", 1, hidden)).unwrap());
                    let [y, residual, post, next] = tensors();
                    let seam = Seam { y: &y, post_weight: &post, residual: &residual, next_weight: &next, eps: 1e-6 };
                    let new_residual = dirty(gpu, 1, cols);
                    run(gpu, step(1, 0), async |r| {
                        ops::gate_up_int8(r, seam, &new_residual, &weights, width, &folded).await.unwrap();
                    });
                    assert_eq!(read(gpu, &residual, 1), before, "{what}");
                    // What the seam rounds may fall either way, so that a expected would be as far off as a byte of every group
                    // makes. The kernels that are compared with their references sum the norms in the same order.
                    run(gpu, step(1, 0), async |r| {
                        ops::add_rms_norm(r, seam, ops::Factor::Int8(&int8)).await.unwrap();
                        ops::matvec_int8_geglu(r, &weights, &int8, Sharing::Workgroup(width), &apart).await.unwrap();
                    });
                    assert_close(&what, &read(gpu, &new_residual, 1), &read(gpu, &residual, 1), F32);
                    let expected = read_int8(gpu, &apart, 1, hidden);
                    assert_close(&what, &read_int8(gpu, &folded, 1, hidden), &expected, INT8);
                }
            }
        }
    }
}
