use lapidary_engine::ops::{self, Int8Tensor};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(8))]
    #[test]
    fn quantize(cols in 1usize..300, tokens in 1usize..9, seed: u64) {
        check(&gaussian(seed, tokens * cols), cols);
    }
}

/// Zeros, values too small to divide by, and large values.
#[test]
fn quantize_of_extremes() {
    let mut x = vec![0.0; 4 * 32];
    x[32..64].fill(1e-38);
    for (i, x) in x[64..96].iter_mut().enumerate() {
        *x = 1e30 * i as f32;
    }
    check(&x, 32);
}

fn check(x: &[f32], cols: usize) {
    let tokens = x.len() / cols;
    let expected = reference::quantize(x, cols);
    for (name, gpu) in devices() {
        let x = tensor(gpu, cols, x);
        let int8 = Int8Tensor::new("test", tokens, cols);
        run(gpu, step(tokens, 0), |r| ops::quantize(r, &x, &int8));
        assert_close(name, &read_int8(gpu, &int8, tokens, cols), &expected, F32);
    }
}
