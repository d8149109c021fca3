use lapidary_engine::ops::{self, Int8Tensor, Sharing};
use lapidary_engine::quant::WeightFormat;
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(3))]
    #[test]
    fn matvec_int8(rows in 1usize..300, cols in 1usize..700, shard_rows in 8usize..300, seed: u64) {
        check(rows, cols, shard_rows, 1, seed);
    }
}

/// A head's worth of rows: more workgroups than a dimension of a grid has, were they one a row.
#[test]
fn matvec_int8_of_many_rows() {
    check(70_000, 33, 70_000, 1, 7);
}

/// After a chunk of prompt, the last token's row is the one that counts.
#[test]
fn matvec_int8_takes_the_last_token() {
    check(40, 100, 40, 5, 8);
}

fn check(rows: usize, cols: usize, shard_rows: usize, tokens: usize, seed: u64) {
    let values = gaussian(seed, rows * cols);
    let x = gaussian(seed ^ 1, tokens * cols);
    for format in WeightFormat::ALL.into_iter().filter(|format| format.is_integer()) {
        let shard = (shard_rows * 16 * format.gpu_row(cols).quant_vec4s) as u64;
        for (name, gpu) in devices() {
            let (weights, held) = matrix(gpu, format, cols, &values, shard);
            // The products of integers are exact, so the kernel errs no more than f32 does.
            let expected = reference::matvec(&held, &reference::quantize(&x[(tokens - 1) * cols..], cols));
            let x = tensor(gpu, cols, &x);
            let int8 = block_on(Int8Tensor::new(gpu, "test", tokens, cols)).unwrap();
            for sharing in Sharing::ALL {
                let out = dirty(gpu, 1, rows);
                run(gpu, step(tokens, 0), async |r| {
                    ops::quantize(r, &x, &int8).await.unwrap();
                    ops::matvec_int8(r, &weights, &int8, sharing, &out, 0).await.unwrap();
                });
                assert_close(&format!("{name}, {format}, {sharing:?}"), &read(gpu, &out, 1), &expected, F32);
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::cases(3))]
    #[test]
    fn matvec_int8_geglu(groups in 1usize..9, cols in 1usize..700, tokens in 1usize..3, seed: u64) {
        let hidden = 32 * groups;
        let values = gaussian(seed, 2 * hidden * cols);
        let x = gaussian(seed ^ 1, tokens * cols);
        for format in WeightFormat::ALL.into_iter().filter(|format| format.is_integer()) {
            for (name, gpu) in devices() {
                let (weights, held) = matrix(gpu, format, cols, &values, u64::MAX);
                let both = reference::matvec(&held, &reference::quantize(&x[(tokens - 1) * cols..], cols));
                let expected = reference::quantize(&reference::geglu(&both[..hidden], &both[hidden..]), hidden);
                let x = tensor(gpu, cols, &x);
                let int8 = block_on(Int8Tensor::new(gpu, "test", tokens, cols)).unwrap();
                for sharing in Sharing::ALL {
                    let out = block_on(Int8Tensor::new(gpu, "test", 1, hidden)).unwrap();
                    run(gpu, step(tokens, 0), async |r| {
                        ops::quantize(r, &x, &int8).await.unwrap();
                        ops::matvec_int8_geglu(r, &weights, &int8, sharing, &out).await.unwrap();
                    });
                    let what = format!("{name}, {format}, {sharing:?}");
                    assert_close(&what, &read_int8(gpu, &out, 1, hidden), &expected, INT8);
                }
            }
        }
    }
}
