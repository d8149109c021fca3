use lapidary_engine::ops::{self, Seam};
use lapidary_engine::quant::WeightFormat;
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

/// Drivers compile the kernel anew for every width. This one has more quads than a workgroup of 256, and a last group that is not
/// full.
const COLS: usize = 2100;

proptest! {
    #![proptest_config(crate::cases(2))]
    #[test]
    fn gate_up(hidden in 1usize..70, seed: u64) {
        let cols = COLS;
        let values = gaussian(seed, 2 * hidden * cols);
        let (y, before) = (gaussian(seed ^ 1, cols), gaussian(seed ^ 2, cols));
        let (post, next) = (gaussian(seed ^ 3, cols), gaussian(seed ^ 4, cols));
        for format in WeightFormat::ALL {
            for (name, gpu) in devices() {
                let what = format!("{name}, {format}");
                let (weights, held) = matrix(gpu, format, cols, &values, u64::MAX);
                let mut after = before.clone();
                let expected = reference::gate_up(&y, &post, &mut after, &next, 1e-6, &held);
                let [y, residual, post, next] = [&y, &before, &post, &next].map(|row| tensor(gpu, cols, row));
                let seam = Seam { y: &y, post_weight: &post, residual: &residual, next_weight: &next, eps: 1e-6 };
                let (new_residual, out) = (dirty(gpu, 1, cols), dirty(gpu, 1, hidden));
                run(gpu, step(1, 0), async |r| ops::gate_up(r, seam, &new_residual, &weights, &out).await.unwrap());
                assert_close(&what, &read(gpu, &new_residual, 1), &after, F32);
                // Other workgroups may read the old one until all are done.
                assert_eq!(read(gpu, &residual, 1), before, "{what}");
                // Sums of `cols` products, times such sums.
                assert_close_for(&what, &read(gpu, &out, 1), &expected, cols as f64, F32);
            }
        }
    }
}

/// As many activations as are said to fit: devices refuse a kernel that takes more than WebGPU's 16 KiB.
#[test]
fn gate_up_fits_as_it_says() {
    for (name, gpu) in devices() {
        let widest = (1..10_000).rev().find(|groups| ops::gate_up_fits(gpu.capabilities(), 32 * groups)).unwrap() * 32;
        assert!(widest >= 2816, "{name}: {widest}");
        let (weights, _) = matrix(gpu, WeightFormat::F32, widest, &vec![0.1; 2 * widest], u64::MAX);
        let row = tensor(gpu, widest, &vec![1.0; widest]);
        let seam = Seam { y: &row, post_weight: &row, residual: &row, next_weight: &row, eps: 1e-6 };
        let (new_residual, out) = (dirty(gpu, 1, widest), dirty(gpu, 1, 1));
        run(gpu, step(1, 0), async |r| ops::gate_up(r, seam, &new_residual, &weights, &out).await.unwrap());
        let sum = 0.1 * widest as f32;
        assert_close_for(name, &read(gpu, &out, 1), &reference::geglu(&[sum], &[sum]), f64::from(sum * sum), F32);
    }
}
