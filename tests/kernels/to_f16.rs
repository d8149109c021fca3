use lapidary_engine::ops::{self, F16_SCALE, F16Tensor};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(8))]
    #[test]
    fn to_f16(cols in 1usize..300, tokens in 1usize..9, seed: u64) {
        check(&gaussian(seed, tokens * cols), cols);
    }
}

/// Gemma's activations exceed what f16 holds.
#[test]
fn to_f16_of_extremes() {
    check(&[0.0, 1e-3, -70_000.0, 4.0e6, 1e9, -1e9, 1.0, -1.0], 8);
}

fn check(x: &[f32], cols: usize) {
    let tokens = x.len() / cols;
    let expected = reference::to_f16(x, F16_SCALE);
    for (name, gpu) in devices() {
        let x = tensor(gpu, cols, x);
        let f16 = F16Tensor::new("test", tokens, cols);
        run(gpu, step(tokens, 0), |r| ops::to_f16(r, &x, &f16));
        let stride = cols.next_multiple_of(32);
        let words = read_words(gpu, f16.buffer(), tokens * stride / 2);
        let halves: Vec<f32> =
            bytemuck::cast_slice(&words).iter().map(|bits| half::f16::from_bits(*bits).to_f32()).collect();
        let found: Vec<f32> = halves.chunks_exact(stride).flat_map(|row| &row[..cols]).copied().collect();
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            // Rounding to the nearest is not demanded of a device.
            let close = (found - expected).abs() <= 1e-3 * expected.abs() + 1e-7;
            assert!(close, "{name}: {i} is {found}, not {expected}");
        }
    }
}
