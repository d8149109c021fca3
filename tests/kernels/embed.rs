use lapidary_engine::ops;
use lapidary_engine::quant::WeightFormat;
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(6))]
    #[test]
    fn embed(vocab in 1usize..80, cols in 1usize..600, tokens in prop::collection::vec(any::<u32>(), 1..9), shard_rows in 8usize..80, seed: u64) {
        let values = gaussian(seed, vocab * cols);
        let tokens: Vec<u32> = tokens.iter().map(|t| t % vocab as u32).collect();
        for format in WeightFormat::ALL {
            let shard = (shard_rows * 16 * format.gpu_row(cols).quant_vec4s) as u64;
            for (name, gpu) in devices() {
                let (table, held) = matrix(gpu, format, cols, &values, shard);
                let expected = reference::embed(&held, cols, &tokens, 3.7);
                let ids = words(gpu, &tokens);
                let out = dirty(gpu, tokens.len(), cols);
                run(gpu, step(tokens.len(), 0), |r| {
                    ops::embed(r, &table, &ids, 3.7, &out);
                });
                assert_close(&format!("{name}, {format}"), &read(gpu, &out, tokens.len()), &expected, F32);
            }
        }
    }
}
