use lapidary_engine::ops::{self, Rows};
use lapidary_engine::quant::WeightFormat;
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(5))]
    #[test]
    fn matvec(rows in 1usize..150, cols in 1usize..700, shard_rows in 8usize..150, seed: u64) {
        check(rows, cols, shard_rows, 1, seed);
    }
}

/// A head's worth of rows: more workgroups than a dimension of a grid has, were they one a row.
#[test]
fn matvec_of_many_rows() {
    check(70_000, 33, 70_000, 1, 7);
}

/// After a chunk of prompt, the last token's row is the one that counts.
#[test]
fn matvec_takes_the_last_token() {
    check(40, 100, 40, 5, 8);
}

fn check(rows: usize, cols: usize, shard_rows: usize, tokens: usize, seed: u64) {
    let values = gaussian(seed, rows * cols);
    let x = gaussian(seed ^ 1, tokens * cols);
    for format in WeightFormat::ALL {
        let shard = (shard_rows * 16 * format.gpu_row(cols).quant_vec4s) as u64;
        for (name, gpu) in devices() {
            let (weights, held) = matrix(gpu, format, cols, &values, shard);
            let expected = reference::matvec(&held, &x[(tokens - 1) * cols..]);
            let x = tensor(gpu, cols, &x);
            let size = (cols as f64).sqrt();
            for dealt in [Rows::Eight, Rows::ThirtyTwo] {
                let out = dirty(gpu, 1, rows);
                run(gpu, step(tokens, 0), async |r| ops::matvec(r, &weights, &x, dealt, &out, 0).await.unwrap());
                assert_close_for(&format!("{name}, {format}, {dealt:?}"), &read(gpu, &out, 1), &expected, size, F32);
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::cases(5))]
    #[test]
    fn matvec_geglu(hidden in 1usize..150, cols in 1usize..700, tokens in 1usize..3, seed: u64) {
        let values = gaussian(seed, 2 * hidden * cols);
        let x = gaussian(seed ^ 1, tokens * cols);
        for format in WeightFormat::ALL {
            for (name, gpu) in devices() {
                let (weights, held) = matrix(gpu, format, cols, &values, u64::MAX);
                let both = reference::matvec(&held, &x[(tokens - 1) * cols..]);
                let expected = reference::geglu(&both[..hidden], &both[hidden..]);
                // Sums of `cols` numbers from a bell curve are as large as its root, even where terms cancel.
                let size = cols as f64;
                let x = tensor(gpu, cols, &x);
                for dealt in [Rows::Eight, Rows::ThirtyTwo] {
                    let out = dirty(gpu, 1, hidden);
                    let record = async |r: &mut _| ops::matvec_geglu(r, &weights, &x, dealt, &out).await.unwrap();
                    run(gpu, step(tokens, 0), record);
                    assert_close_for(&format!("{name}, {format}, {dealt:?}"), &read(gpu, &out, 1), &expected, size, F32);
                }
            }
        }
    }
}
