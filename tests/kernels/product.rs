use lapidary_engine::Gpu;
use lapidary_engine::gpu::Capabilities;
use lapidary_engine::ops::{self, F16Tensor, Int8Tensor, MAX_SMALL_BATCH, Mode, Operand, Rounding, WAYS, Way};
use lapidary_engine::quant::WeightFormat;
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Both operands are rounded to the 11 bits of an f16; their sums are not.
const F16: f64 = 2e-3;

#[test]
fn product_decode() {
    each_way(Mode::Decode, 1..3, 3);
}

#[test]
fn product_small_batch() {
    each_way(Mode::SmallBatch, 1..MAX_SMALL_BATCH + 1, 2);
}

/// Includes cooperative matrices if the adapter has them. `tests/scripts/with-coop-lavapipe.sh` runs a driver that
/// does.
#[test]
fn product_prefill() {
    each_way(Mode::Prefill, 1..70, 4);
}

/// The number of rows of a head: with one row per workgroup, more than a dimension of a grid allows. The grid does not depend on
/// the weight format.
#[test]
fn product_of_many_rows() {
    let case = Case { rows: 70_000, cols: 33, shard_rows: 70_000, tokens: 1, size: 1.0, weight: 1.0, seed: 7 };
    for way in Way::all(Mode::Decode) {
        for (format, name, gpu) in supported_in_q4_0(way) {
            check_on(way, &case, format, (name, gpu), gpu.capabilities());
        }
    }
}

/// Shapes that fill the tiles of every way but the cooperative one, and shapes of one more in each direction.
#[test]
fn product_of_whole_and_broken_tiles() {
    for mode in [Mode::Decode, Mode::SmallBatch, Mode::Prefill] {
        let tokens = match mode {
            Mode::Decode => 1,
            Mode::SmallBatch => MAX_SMALL_BATCH - 1,
            Mode::Prefill => 64,
        };
        for way in Way::all(mode) {
            for [rows, cols, tokens] in [[256, 256, tokens], [257, 257, tokens + 1]] {
                let tokens = if mode == Mode::Decode { 1 } else { tokens };
                check(way, Case { rows, cols, shard_rows: rows, tokens, size: 1.0, weight: 1.0, seed: 9 });
            }
        }
    }
}

/// After a chunk of a prompt, decode multiplies the row of the last token.
#[test]
fn product_takes_the_last_token() {
    for way in Way::all(Mode::Decode) {
        check(way, Case { rows: 40, cols: 100, shard_rows: 40, tokens: 5, size: 1.0, weight: 1.0, seed: 8 });
    }
}

/// The scales of such weights are subnormal in f16. Every weight format has two ways to read them.
#[test]
fn products_with_subnormal_scales() {
    let mut kinds = Vec::new();
    for way in WAYS {
        let kind = (way.mode, way.rounding);
        if kinds.contains(&kind) {
            continue;
        }
        kinds.push(kind);
        let tokens = if way.mode == Mode::Decode { 1 } else { MAX_SMALL_BATCH - 1 };
        let case = Case { rows: 40, cols: 300, shard_rows: 24, tokens, size: 1.0, weight: 1e-4, seed: 11 };
        for format in WeightFormat::ALL.into_iter().filter(|format| way.supports(*format, device().capabilities())) {
            for flushes_subnormals in [false, true] {
                let mut capabilities = device().capabilities().clone();
                capabilities.flushes_subnormals = flushes_subnormals;
                check_on(way, &case, format, ("the device", device()), &capabilities);
            }
        }
    }
}

/// On cooperative matrices, also as on a GPU whose wide subgroups are fewer than the blocks of a tile.
#[test]
fn cooperative_products_of_whole_and_broken_tiles() {
    let way = Way::named(Mode::Prefill, "cooperative").unwrap();
    for max_subgroups in [None, Some(3)] {
        for [rows, cols, tokens, shard_rows] in [[64, 96, 128, 64], [129, 257, 129, 129], [128, 64, 256, 64]] {
            let case = Case { rows, cols, shard_rows, tokens, size: 1.0, weight: 1.0, seed: 10 };
            for (format, name, gpu) in supported_in_q4_0(way) {
                let mut capabilities = gpu.capabilities().clone();
                capabilities.max_subgroups = max_subgroups;
                check_on(way, &case, format, (name, gpu), &capabilities);
            }
        }
    }
}

/// A run that requires cooperative matrices must not pass without them.
#[test]
fn cooperative_matrices_are_there_where_they_must_be() {
    if requires_matrices() {
        assert!(device().capabilities().cooperative_size.is_some(), "{:?}", device().capabilities());
    }
}

#[derive(Clone, Debug)]
struct Case {
    rows: usize,
    cols: usize,
    shard_rows: usize,
    tokens: usize,
    /// Gemma's feed-forward activations exceed the range of f16.
    size: f32,
    /// The size of the weights.
    weight: f32,
    seed: u64,
}

/// Every way of a mode over random shapes.
fn each_way(mode: Mode, tokens: std::ops::Range<usize>, cases: u32) {
    let size = prop::sample::select(vec![0.05f32, 1.0, 3e5]);
    let case = (1..300usize, 1..700usize, 8..300usize, tokens, size, any::<u64>()).prop_map(
        |(rows, cols, shard_rows, tokens, size, seed)| Case { rows, cols, shard_rows, tokens, size, weight: 1.0, seed },
    );
    for way in Way::all(mode) {
        let mut runner = TestRunner::new(crate::cases(cases));
        let run = runner.run(&case, |case| {
            check(way, case);
            Ok(())
        });
        run.unwrap_or_else(|error| panic!("{way:?}: {error}"));
    }
}

/// The formats and devices that a way supports. A way for CPUs alone is also tested with bounds checks.
fn supported(way: &Way) -> impl Iterator<Item = (WeightFormat, &'static str, &'static Gpu)> {
    let as_on_a_gpu = devices().last().unwrap().1.capabilities();
    let devices = devices().iter().map(|(name, gpu)| (*name, gpu));
    let is_for_cpus = move |format| !way.supports(format, as_on_a_gpu);
    let all = WeightFormat::ALL.into_iter().flat_map(move |format| {
        let safe = is_for_cpus(format).then(|| ("safe", safe_device()));
        devices.clone().chain(safe).map(move |(name, gpu)| (format, name, gpu))
    });
    all.filter(|(format, _, gpu)| way.supports(*format, gpu.capabilities()))
}

/// The devices that a way supports with weights of one format.
fn supported_in_q4_0(way: &Way) -> impl Iterator<Item = (WeightFormat, &'static str, &'static Gpu)> {
    supported(way).filter(|(format, ..)| *format == WeightFormat::Q4_0)
}

fn check(way: &Way, case: Case) {
    for (format, name, gpu) in supported(way) {
        check_on(way, &case, format, (name, gpu), gpu.capabilities());
    }
}

fn check_on(way: &Way, case: &Case, format: WeightFormat, (name, gpu): (&str, &Gpu), capabilities: &Capabilities) {
    let Case { rows, cols, shard_rows, tokens, size, weight, seed } = *case;
    let values: Vec<f32> = gaussian(seed, rows * cols).iter().map(|value| weight * value).collect();
    let x: Vec<f32> = gaussian(seed ^ 1, tokens * cols).iter().map(|value| size * value).collect();
    let out_rows = if way.mode == Mode::Decode { 1 } else { tokens };
    let shard_bytes = shard_rows as u64 * format.gpu_row(cols).quant_bytes();
    let (weights, held) = matrix(gpu, format, cols, &values, shard_bytes);
    // Products of integers are exact, so the tolerance of f32 is enough.
    let rounded = if way.quantizes_activations() { reference::quantize(&x, cols) } else { x.clone() };
    let expected = reference::matmul(&held, &rounded[(tokens - out_rows) * cols..], cols);
    let float = tensor(gpu, cols, &x);
    let (int8, f16) = (Int8Tensor::new("test", tokens, cols), F16Tensor::new("test", tokens, cols));
    let out = dirty(gpu, out_rows, rows);
    run_as(gpu, capabilities, step(tokens, 0), |r| {
        let operand = way.round(r, &float, &int8, &f16);
        ops::product(r, way, &weights, operand, &out, 0);
    });
    // The magnitude of a sum of `cols` products is about the square root of `cols`, even if the terms cancel.
    let largest = largest(&expected).max(f64::from(size * weight) * (cols as f64).sqrt());
    let tolerance = if way.rounding == Rounding::F16 { F16 } else { F32 };
    let what = format!("{name}, {format}, {way:?}, {tokens} tokens of {rows} x {cols}");
    assert_close_for(&what, &read(gpu, &out, out_rows), &expected, largest, tolerance);
}

proptest! {
    #![proptest_config(crate::cases(3))]
    #[test]
    fn product_geglu(groups in 1usize..9, odd in 0usize..32, cols in 1usize..700, tokens in 1usize..3, seed: u64) {
        for way in Way::all(Mode::Decode) {
            // Integers need whole groups.
            let inner = if way.quantizes_activations() { 32 * groups } else { 32 * groups - odd };
            let values = gaussian(seed, 2 * inner * cols);
            let x = gaussian(seed ^ 1, tokens * cols);
            for (format, name, gpu) in supported(way) {
                let (weights, held) = matrix(gpu, format, cols, &values, u64::MAX);
                let last = &x[(tokens - 1) * cols..];
                let rounded = if way.quantizes_activations() { reference::quantize(last, cols) } else { last.to_vec() };
                let both = reference::matvec(&held, &rounded);
                let expected = reference::geglu(&both[..inner], &both[inner..]);
                let float = tensor(gpu, cols, &x);
                let (int8, f16) = (Int8Tensor::new("test", tokens, cols), F16Tensor::new("test", tokens, cols));
                let (out, out_int8) = (dirty(gpu, 1, inner), Int8Tensor::new("out", 1, inner));
                let out_operand = if way.quantizes_activations() { Operand::Int8(&out_int8) } else { Operand::Float(&out) };
                run(gpu, step(tokens, 0), |r| {
                    let operand = way.round(r, &float, &int8, &f16);
                    ops::product_geglu(r, way, &weights, operand, out_operand);
                });
                let what = format!("{name}, {format}, {way:?}");
                if way.quantizes_activations() {
                    let expected = reference::quantize(&expected, inner);
                    assert_close(&what, &read_int8(gpu, &out_int8, 1, inner), &expected, INT8);
                } else {
                    // Each output is a product of two sums of `cols` products.
                    assert_close_for(&what, &read(gpu, &out, 1), &expected, cols as f64, F32);
                }
            }
        }
    }
}
