use lapidary_engine::ops;
use lapidary_engine::quant::WeightFormat;
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

/// Both factors are rounded to the 11 bits of an f16; their sums are not.
const F16: f64 = 2e-3;

proptest! {
    #![proptest_config(crate::cases(5))]
    /// Only where the adapter has cooperative matrices: `tests/scripts/with-coop-lavapipe.sh` brings a driver that does.
    #[test]
    fn matmul_coop(
        rows in 1usize..150,
        cols in 1usize..500,
        tokens in 1usize..70,
        shard_rows in 8usize..150,
        // Gemma's feed-forward activations exceed what f16 holds.
        size in prop::sample::select(vec![0.05f32, 1.0, 3e5]),
        seed: u64,
    ) {
        let values = gaussian(seed, rows * cols);
        let x: Vec<f32> = gaussian(seed ^ 1, tokens * cols).iter().map(|v| size * v).collect();
        for format in WeightFormat::ALL {
            let shard = (shard_rows * 16 * format.gpu_row(cols).quant_vec4s) as u64;
            for (name, gpu) in devices().iter().filter(|(_, gpu)| gpu.capabilities().cooperative_size.is_some()) {
                let (weights, held) = matrix(gpu, format, cols, &values, shard);
                let expected = reference::matmul(&held, &x, cols);
                let x = tensor(gpu, cols, &x);
                let out = dirty(gpu, tokens, rows);
                run(gpu, step(tokens, 0), async |r| ops::matmul_coop(r, &weights, &x, &out, 0).await.unwrap());
                assert_close(&format!("{name}, {format}"), &read(gpu, &out, tokens), &expected, F16);
            }
        }
    }
}

/// A run that is meant to have them must not pass without.
#[test]
fn cooperative_matrices_are_there_where_they_must_be() {
    if std::env::var("LAPIDARY_REQUIRE_COOP").is_ok_and(|value| value == "1") {
        assert!(device().capabilities().cooperative_size.is_some(), "{:?}", device().capabilities());
    }
}
