use lapidary_engine::ops::{self, Int8Tensor, Sharing};
use lapidary_engine::quant::WeightFormat;
use lapidary_shaders::twins;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(8))]
    #[test]
    fn quantize(cols in 1usize..300, tokens in 1usize..9, seed: u64) {
        check(&gaussian(seed, tokens * cols), cols);
    }
}

/// Zeros, numbers too small to divide by, and large ones.
#[test]
fn quantize_of_extremes() {
    let mut x = vec![0.0; 4 * 32];
    x[32..64].fill(1e-38);
    for (i, x) in x[64..96].iter_mut().enumerate() {
        *x = 1e30 * i as f32;
    }
    check(&x, 32);
}

/// Reads the quantised numbers back through a product with the identity.
fn check(x: &[f32], cols: usize) {
    let tokens = x.len() / cols;
    let mut identity = vec![0.0; cols * cols];
    for i in 0..cols {
        identity[i * cols + i] = 127.0;
    }
    let twin: Vec<f32> = twins::quantize(x, cols).iter().map(|v| v * 127.0).collect();
    for (name, gpu) in devices() {
        let (weights, _) = matrix(gpu, WeightFormat::Q8_0, cols, &identity, u64::MAX);
        let x = tensor(gpu, cols, x);
        let int8 = block_on(Int8Tensor::new(gpu, "test", tokens, cols)).unwrap();
        let out = dirty(gpu, 1, cols);
        run(gpu, step(tokens, 0), async |r| {
            ops::quantize(r, &x, &int8).await.unwrap();
            ops::matvec_int8(r, &weights, &int8, Sharing::Solo, &out, 0).await.unwrap();
        });
        assert_close(name, &read(gpu, &out, 1), &twin[(tokens - 1) * cols..], F32);
    }
}
