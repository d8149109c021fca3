use lapidary_engine::Gpu;
use lapidary_engine::ops::{self, Int8Tensor, Mode, ResidualNorm, Way};
use lapidary_engine::quant::WeightFormat;
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

/// The only width, because drivers compile the kernel once per width. It has more quads than a workgroup of 256, more
/// groups than one of 64, and an incomplete last group.
const COLS: usize = 2100;

/// How far a product can be from the reference, relative to the largest: a value between two bytes can be rounded either way
/// after the norms, which moves every product a little.
const OTHER_BYTE: f64 = 2e-3;

/// The ways that can fuse norms.
fn fusing(gpu: &Gpu, format: WeightFormat) -> impl Iterator<Item = &'static Way> {
    Way::all(Mode::Decode)
        .filter(move |way| way.supports(format, gpu.capabilities()) && way.can_fuse_norms(COLS, gpu.capabilities()))
}

proptest! {
    #![proptest_config(crate::cases(2))]
    #[test]
    fn norm_matvec(groups in 1usize..4, odd in 0usize..16, seed: u64) {
        let cols = COLS;
        let (y, before) = (gaussian(seed ^ 1, cols), gaussian(seed ^ 2, cols));
        let (post, next) = (gaussian(seed ^ 3, cols), gaussian(seed ^ 4, cols));
        let inner = 32 * groups;
        let values = gaussian(seed, 2 * inner * cols);
        for (format, (name, gpu)) in WeightFormat::ALL.into_iter().flat_map(|f| devices().iter().map(move |d| (f, d))) {
            // The last rows of the plain product are missing.
            let rows = 2 * inner - odd;
            let (weights, _) = matrix(gpu, format, cols, &values[..rows * cols], u64::MAX);
            let (gate_up, held) = matrix(gpu, format, cols, &values, u64::MAX);
            let mut after = before.clone();
            let expected = reference::norm_matvec(&y, &post, &mut after, &next, 1e-6, &held);
            let expected_inner = reference::geglu(&expected[..inner], &expected[inner..]);
            for way in fusing(gpu, format) {
                let what = format!("{name}, {format}, {way:?}");
                let [y, residual, post, next] = [&y, &before, &post, &next].map(|row| tensor(gpu, cols, row));
                let norm = ResidualNorm { y: &y, post_weight: &post, residual: &residual, next_weight: &next, eps: 1e-6 };
                let (new_residual, out) = (dirty(gpu, 1, cols), dirty(gpu, 1, rows));
                run(gpu, step(1, 0), |r| ops::norm_matvec(r, way, norm, &new_residual, &weights, &out));
                assert_close(&what, &read(gpu, &new_residual, 1), &after, F32);
                // The old residual stream is unchanged, because other workgroups can still read it.
                assert_eq!(read(gpu, &residual, 1), before, "{what}");
                assert_close(&what, &read(gpu, &out, 1), &expected[..rows], OTHER_BYTE);

                let (new_residual, out) = (dirty(gpu, 1, cols), Int8Tensor::new("out", 1, inner));
                run(gpu, step(1, 0), |r| ops::norm_matvec_geglu(r, way, norm, &new_residual, &gate_up, &out));
                assert_close(&what, &read(gpu, &new_residual, 1), &after, F32);
                assert_close(&what, &read_int8(gpu, &out, 1, inner), &expected_inner, INT8);
            }
        }
    }
}
