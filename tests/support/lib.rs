//! Devices, data and comparisons that the tests share.

mod recorded;

use std::sync::OnceLock;

use lapidary_engine::gpu::{Buffer, Capabilities, DeviceOptions, Recording, Step, StepRing, Tensor};
use lapidary_engine::load::{Bytes, TensorView, Uploader};
use lapidary_engine::ops::{Int8Tensor, TokenSink};
use lapidary_engine::quant::{Matrix, WeightFormat};
use lapidary_engine::{Generation, Gpu, Sampling, Session};

/// Blocks on a future of the engine.
pub use pollster::block_on;
pub use recorded::{PipelineKey, recorded_pipelines};

/// The devices on which every kernel is tested: with all of the adapter's features or with WebGPU's limits, with and
/// without bounds checks, and with the kernels for GPUs. `LAPIDARY_HARDWARE_KERNELS=1` chooses one that is like a GPU, without
/// bounds checks, instead of these.
pub fn devices() -> &'static [(&'static str, Gpu)] {
    static DEVICES: OnceLock<Vec<(&str, Gpu)>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let as_gpu = DeviceOptions::from_env().hardware_kernels;
        let all = [
            ("trusted", false, false, false),
            ("safe, as on a GPU", false, true, true),
            ("WebGPU limits", true, false, false),
            ("WebGPU limits, safe, as on a GPU", true, true, true),
        ];
        let chosen = if as_gpu { &[("trusted, as on a GPU", false, false, true)][..] } else { &all[..] };
        let opened = chosen.iter().map(|&(name, webgpu_limits, safe_shaders, hardware_kernels)| {
            (name, open(webgpu_limits, safe_shaders, hardware_kernels))
        });
        opened.collect()
    })
}

/// A device with bounds checks and the kernels for CPUs, which those with checks among [`devices`] do not get.
pub fn safe_device() -> &'static Gpu {
    static DEVICE: OnceLock<Gpu> = OnceLock::new();
    DEVICE.get_or_init(|| open(false, true, false))
}

fn open(webgpu_limits: bool, safe_shaders: bool, hardware_kernels: bool) -> Gpu {
    let mut options = DeviceOptions::from_env();
    options.webgpu_limits = webgpu_limits;
    options.safe_shaders = safe_shaders;
    options.hardware_kernels = hardware_kernels;
    // test.sh installs an adapter. Without one, a test must fail.
    block_on(Gpu::open(&options)).expect("a graphics adapter")
}

/// The most capable device.
pub fn device() -> &'static Gpu {
    &devices()[0].1
}

/// Whether a run must not pass without cooperative matrices.
pub fn requires_matrices() -> bool {
    std::env::var("LAPIDARY_REQUIRE_COOP").is_ok_and(|value| value == "1")
}

/// Records with `record`, runs it for one step and checks the device's health.
pub fn run(gpu: &Gpu, step: Step, record: impl FnOnce(&mut Recording)) {
    run_as(gpu, gpu.capabilities(), step, record);
}

/// The same with kernels for these capabilities, which the device has.
pub fn run_as(gpu: &Gpu, capabilities: &Capabilities, step: Step, record: impl FnOnce(&mut Recording)) {
    block_on(async {
        let mut ring = StepRing::new(gpu).await.expect("a ring");
        let mut recording = Recording::new(capabilities);
        record(&mut recording);
        let plan = recording.finish(gpu, &ring).await.expect("kernels that the device accepts");
        // SAFETY: tests give every operation the shapes that it requires. A wrong shape would give a result unlike the
        // reference's on the devices that check bounds.
        unsafe { gpu.run_plan(&mut ring, &plan, 0..plan.segments(), &step) }.await.expect("the plan runs");
    });
}

/// The slot of the sequence of [`step`]: the second one, so that a kernel which takes the first is wrong.
pub const SLOT: usize = 1;

/// A step of `n_tokens` tokens from `position` on.
pub fn step(n_tokens: usize, position: usize) -> Step {
    Step { n_tokens: n_tokens as u32, position: position as u32, slot: SLOT as u32, ..Step::default() }
}

/// A tensor with these rows.
pub fn tensor(gpu: &Gpu, cols: usize, values: &[f32]) -> Tensor {
    block_on(Tensor::from_rows(gpu, "test", cols, values)).expect("a tensor")
}

/// A tensor of arbitrary values, which a kernel must overwrite. Its padding is zero.
pub fn dirty(gpu: &Gpu, rows: usize, cols: usize) -> Tensor {
    tensor(gpu, cols, &vec![777.0; rows * cols])
}

/// The first rows of a tensor. Asserts that their padding is zero, because kernels write nothing else there.
pub fn read(gpu: &Gpu, tensor: &Tensor, rows: usize) -> Vec<f32> {
    let words = read_words(gpu, tensor.buffer(), rows * tensor.stride());
    let mut values = Vec::with_capacity(rows * tensor.cols());
    for row in bytemuck::cast_slice::<u32, f32>(&words).chunks_exact(tensor.stride()) {
        let (row, padding) = row.split_at(tensor.cols());
        assert!(padding.iter().all(|value| *value == 0.0), "the padding of a row of {} is {padding:?}", row.len());
        values.extend_from_slice(row);
    }
    values
}

/// A finite float as an integer of the same order: `shaders/wgsl/lib/order.wesl`.
pub fn key(x: f32) -> u32 {
    let bits = x.to_bits();
    bits ^ if bits >> 31 == 1 { u32::MAX } else { 1 << 31 }
}

/// A token sink whose buffers hold arbitrary values: nines, and no token in `seen`.
pub fn dirty_sink(gpu: &Gpu, vocab: usize) -> TokenSink {
    let sink = TokenSink::new(vocab, SLOT + 1);
    for buffer in [&sink.tokens, &sink.results] {
        fill(gpu, buffer, &vec![9; buffer.bytes() as usize / 4]);
    }
    block_on(gpu.allocate(&sink.seen)).expect("a buffer");
    sink
}

/// Asserts that a draw wrote its token to its place and changed nothing else. `None`: asserts that it reported no
/// token.
pub fn assert_emitted(what: &str, gpu: &Gpu, sink: &TokenSink, draw: u32, token: Option<u32>) {
    let mut newest = [9; 4];
    newest[SLOT] = token.unwrap_or(0);
    assert_eq!(read_words(gpu, &sink.tokens, 4), newest, "{what}");
    let mut rings = vec![9; (SLOT + 1) * TokenSink::RESULTS];
    rings[TokenSink::result_word(SLOT, draw)] = token.unwrap_or(u32::MAX);
    assert_eq!(read_words(gpu, &sink.results, rings.len()), rings, "{what}");
    let mut bits = vec![0; sink.seen.bytes() as usize / 4];
    if let Some(token) = token {
        bits[sink.seen_offset(SLOT) as usize / 4 + token as usize / 32] |= 1 << (token % 32);
    }
    assert_eq!(read_words(gpu, &sink.seen, bits.len()), bits, "{what}");
}

/// A buffer that holds these words.
pub fn words(gpu: &Gpu, words: &[u32]) -> Buffer {
    let buffer = Buffer::new("test", 4 * words.len() as u64);
    fill(gpu, &buffer, words);
    buffer
}

/// Gives a buffer memory and writes its first words.
pub fn fill(gpu: &Gpu, buffer: &Buffer, words: &[u32]) {
    block_on(gpu.allocate(buffer)).expect("a buffer");
    gpu.write(buffer, 0, bytemuck::cast_slice(words));
}

/// The first words of a buffer.
pub fn read_words(gpu: &Gpu, buffer: &Buffer, count: usize) -> Vec<u32> {
    let bytes = block_on(gpu.read(buffer, 4 * count as u64)).expect("a buffer can be read");
    bytemuck::pod_collect_to_vec(&bytes)
}

/// The values of integer activations, `[rows, cols]`. Asserts that the stored sums are right.
pub fn read_int8(gpu: &Gpu, tensor: &Int8Tensor, rows: usize, cols: usize) -> Vec<f32> {
    let groups = cols.div_ceil(32);
    let words = read_words(gpu, tensor.buffer(), 12 * rows * groups);
    let mut out = Vec::with_capacity(rows * cols);
    for row in words.chunks_exact(12 * groups) {
        let start = out.len();
        for group in row.chunks_exact(12) {
            let bytes: Vec<f32> = bytemuck::cast_slice(&group[..8]).iter().map(|byte: &i8| f32::from(*byte)).collect();
            let [scale, first, last] = [8, 9, 10].map(|i| f32::from_bits(group[i]));
            for (sum, bytes) in [(first, &bytes[..16]), (last, &bytes[16..])] {
                let expected = scale * bytes.iter().sum::<f32>();
                assert!((sum - expected).abs() <= 1e-5 * expected.abs(), "a sum of {sum}, not {expected}");
            }
            out.extend(bytes.iter().map(|byte| scale * byte));
        }
        out.truncate(start + cols);
    }
    out
}

/// The largest difference between two roundings of the same group to 8 bits, relative to the largest value. A value
/// between two bytes can be rounded either way, and the scale comes from the largest value.
pub const INT8: f64 = 1.05 / 127.0;

/// A matrix on the device in `format`, in shards of at most `max_shard_bytes`, and its values after rounding.
pub fn matrix(
    gpu: &Gpu,
    format: WeightFormat,
    cols: usize,
    values: &[f32],
    max_shard_bytes: u64,
) -> (Matrix, Vec<f32>) {
    let rows = values.len() / cols;
    let bytes = Bytes::from(bytemuck::cast_slice(values).to_vec());
    let view = TensorView::in_memory("test", WeightFormat::F32, rows, cols, &bytes);
    let matrix = Matrix::new("test", format, [rows, cols], &with_shards(gpu.capabilities(), max_shard_bytes));
    let mut progress = |_, _| true;
    block_on(async {
        let mut uploader = Uploader::new(gpu, 0, &mut progress);
        uploader.fill(&matrix, &[view]).await.expect("an upload");
        uploader.finish().await.expect("an upload");
    });
    let held = values.chunks_exact(cols).flat_map(|row| {
        let mut blocks = Vec::new();
        format.quantize(row, &mut blocks);
        let mut back = vec![0.0; cols.next_multiple_of(format.block_len())];
        format.dequantize(&blocks, &mut back);
        back.truncate(cols);
        back
    });
    (matrix, held.collect())
}

/// A device's capabilities, by which matrices have shards of at most `max_bytes`.
fn with_shards(device: &Capabilities, max_bytes: u64) -> Capabilities {
    let mut device = device.clone();
    device.max_binding_bytes = device.max_binding_bytes.min(max_bytes);
    device
}

/// Sampling of the `n` most probable tokens one after the other, whether or not the model ends its turn.
pub fn tokens(n: usize) -> Sampling {
    Sampling { max_tokens: Some(n), stop_at_end: false, ..Sampling::greedy() }
}

/// A session's whole reply to a prompt.
pub fn reply(session: &mut Session, prompt: &[u32], sampling: &Sampling) -> Vec<u32> {
    rest(&mut session.generate(prompt, sampling).expect("the prompt fits"))
}

/// What is left of a reply.
pub fn rest(generation: &mut Generation<'_>) -> Vec<u32> {
    std::iter::from_fn(|| generation.next_blocking().expect("the device works")).collect()
}

/// Values from a normal distribution of standard deviation 1, the same for the same seed.
pub fn gaussian(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut uniform = move || {
        // splitmix64 (Steele, Lea & Flood 2014)
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..count)
        .map(|_| {
            let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
            (radius * (std::f64::consts::TAU * uniform()).cos()) as f32
        })
        .collect()
}

/// The largest difference, relative to the largest value of the reference.
///
/// A kernel sums in f32 in another order than the reference. The error of that grows with the summands, not with the
/// result.
pub fn worst_error(kernel: &[f32], reference: &[f32]) -> f64 {
    worst_difference(kernel, reference) / largest(reference)
}

/// The largest magnitude; above zero even if all values are zero.
pub fn largest(values: &[f32]) -> f64 {
    values.iter().fold(1e-20, |m, v| f64::max(m, f64::from(v.abs())))
}

fn worst_difference(kernel: &[f32], reference: &[f32]) -> f64 {
    assert_eq!(kernel.len(), reference.len(), "lengths differ");
    f64::from(largest_difference(kernel, reference))
}

/// The largest difference. NaN if any value is NaN, which `f32::max` would ignore.
pub fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |most, next| if next <= most || most.is_nan() { most } else { next })
}

/// Asserts that the kernel agrees with its reference within `tolerance`, relative to the largest value.
pub fn assert_close(what: &str, kernel: &[f32], reference: &[f32], tolerance: f64) {
    assert_close_for(what, kernel, reference, largest(reference), tolerance);
}

/// The same for results that are small because large values cancel. `largest` is the magnitude of those.
pub fn assert_close_for(what: &str, kernel: &[f32], reference: &[f32], largest: f64, tolerance: f64) {
    let error = worst_difference(kernel, reference) / largest;
    assert!(error <= tolerance, "{what}: off by {error:.2e} of the largest value, over {tolerance:.0e}");
}

/// The tolerance of a kernel that computes in f32, relative to the largest value.
pub const F32: f64 = 4e-6;
/// The tolerance if keys and values are stored as f16, which rounds to 11 bits.
pub const F16_CACHE: f64 = 2e-3;
