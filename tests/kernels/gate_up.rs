use lapidary_engine::Gpu;
use lapidary_engine::ops::{self, Int8Tensor, Mode, Operand, ResidualNorm, Way};
use lapidary_engine::quant::WeightFormat;
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

/// The only width, because drivers compile the kernel once per width. It has more quads than a workgroup of 256, more
/// groups than one of 64, and an incomplete last group.
const COLS: usize = 2100;

/// The ways that can fuse norms of this many columns; one per float kernel.
fn fusing(gpu: &Gpu, format: WeightFormat, cols: usize) -> impl Iterator<Item = &'static Way> {
    Way::all(Mode::Decode).filter(move |way| {
        let is_new = way.quantizes_activations() || *way == Way::FLOAT_DECODE;
        is_new && way.supports(format, gpu.capabilities()) && way.can_fuse_norms(cols, gpu.capabilities())
    })
}

proptest! {
    #![proptest_config(crate::cases(2))]
    #[test]
    fn gate_up(groups in 1usize..4, odd in 0usize..32, seed: u64) {
        let cols = COLS;
        let (y, before) = (gaussian(seed ^ 1, cols), gaussian(seed ^ 2, cols));
        let (post, next) = (gaussian(seed ^ 3, cols), gaussian(seed ^ 4, cols));
        let values = gaussian(seed, 2 * 32 * groups * cols);
        for (format, (name, gpu)) in WeightFormat::ALL.into_iter().flat_map(|f| devices().iter().map(move |d| (f, d))) {
            for way in fusing(gpu, format, cols) {
                let int8 = way.quantizes_activations();
                let inner = if int8 { 32 * groups } else { 32 * groups - odd };
                let what = format!("{name}, {format}, {way:?}");
                let (weights, held) = matrix(gpu, format, cols, &values[..2 * inner * cols], u64::MAX);
                let mut after = before.clone();
                let expected = reference::gate_up(&y, &post, &mut after, &next, 1e-6, &held);
                let [y, residual, post, next] = [&y, &before, &post, &next].map(|row| tensor(gpu, cols, row));
                let norm = ResidualNorm { y: &y, post_weight: &post, residual: &residual, next_weight: &next, eps: 1e-6 };
                let (new_residual, out) = (dirty(gpu, 1, cols), dirty(gpu, 1, inner));
                let [x_int8, apart, fused] = [cols, inner, inner].map(|cols| Int8Tensor::new("test", 1, cols));
                let fused_out = if int8 { Operand::Int8(&fused) } else { Operand::Float(&out) };
                run(gpu, step(1, 0), |r| ops::gate_up(r, way, norm, &new_residual, &weights, fused_out));
                assert_close(&what, &read(gpu, &new_residual, 1), &after, F32);
                // The old residual stream is unchanged, because other workgroups can still read it.
                assert_eq!(read(gpu, &residual, 1), before, "{what}");
                if !int8 {
                    // Each output is a product of two sums of `cols` products.
                    assert_close_for(&what, &read(gpu, &out, 1), &expected, cols as f64, F32);
                    continue;
                }
                // A value between two bytes after the norms can be rounded either way, so a reference could differ by
                // one byte per group. So compare with the separate kernels, which sum the norms in the same order and
                // have references.
                run(gpu, step(1, 0), |r| {
                    ops::add_rms_norm(r, norm, Operand::Int8(&x_int8));
                    ops::product_geglu(r, way, &weights, Operand::Int8(&x_int8), Operand::Int8(&apart));
                });
                let expected = read_int8(gpu, &apart, 1, inner);
                assert_close(&what, &read_int8(gpu, &fused, 1, inner), &expected, INT8);
            }
        }
    }
}
