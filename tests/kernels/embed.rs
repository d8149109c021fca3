use lapidary_engine::ops::{self, TokenIds, TokenSink};
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
                let sink = TokenSink::new(vocab, 32);
                let out = dirty(gpu, tokens.len(), cols);
                run(gpu, step(tokens.len(), 0), |r| {
                    ops::embed(r, &table, TokenIds::Chunk(&ids), 3.7, &out);
                });
                assert_close(&format!("{name}, {format}"), &read(gpu, &out, tokens.len()), &expected, F32);

                // The newest tokens of sequences, whose slots are not in the order of the step.
                let (mut step, mut by_slot) = (step(tokens.len(), 0), [u32::MAX; 32]);
                for (i, id) in tokens.iter().enumerate() {
                    let slot = 31 - 3 * i;
                    by_slot[slot] = *id;
                    step.set_place(i, 0, slot as u32);
                    step.slot = slot as u32;
                }
                fill(gpu, &sink.tokens, &by_slot);
                let out = dirty(gpu, tokens.len(), cols);
                run(gpu, step, |r| {
                    ops::embed(r, &table, TokenIds::Newest(&sink), 3.7, &out);
                });
                assert_close(&format!("{name}, {format}"), &read(gpu, &out, tokens.len()), &expected, F32);
            }
        }
    }
}

/// Every finite f16, in both ways to read them.
#[test]
fn embed_of_every_f16() {
    const COLS: usize = 1024;
    let finite = (0..=u16::MAX).map(half::f16::from_bits).filter(|value| value.is_finite());
    let values: Vec<f32> = finite.map(half::f16::to_f32).collect();
    let rows = values.len() / COLS;
    assert_eq!(rows * COLS, values.len());
    let tokens: Vec<u32> = (0..rows as u32).collect();
    for (name, gpu) in devices() {
        let (table, held) = matrix(gpu, WeightFormat::F16, COLS, &values, u64::MAX);
        assert_eq!(held, values, "f16 weights are stored as they are");
        for flushes_subnormals in [false, true] {
            let mut capabilities = gpu.capabilities().clone();
            capabilities.flushes_subnormals = flushes_subnormals;
            let (ids, out) = (words(gpu, &tokens), dirty(gpu, rows, COLS));
            run_as(gpu, &capabilities, step(rows, 0), |r| {
                ops::embed(r, &table, TokenIds::Chunk(&ids), 1.0, &out);
            });
            assert_eq!(read(gpu, &out, rows), values, "{name}, flushes: {flushes_subnormals}");
        }
    }
}
