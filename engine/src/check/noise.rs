//! Models of noise that use every kernel at awkward shapes.

use super::{Compared, Report, Subject};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::gpu::{Capabilities, Gpu};
use crate::load::ModelFiles;
use crate::model::{Kernels, Model, RopeTables, Weights};
use crate::ops::{CacheFormat, Mode, Way};
use crate::quant::WeightFormat;

/// Tokens of the chunk of a prompt: tiles of tokens, the last one not full.
const CHUNK: usize = 35;
/// Tokens beyond a whole tile, where the tiles of a kernel are larger than [`CHUNK`].
const BEYOND_A_TILE: usize = 3;
/// Small shards, so that even small matrices have several.
const SHARD_BYTES: u64 = 20_000;

/// How much [`check_device`] checks. Default: everything that it can.
#[derive(Clone, Debug)]
pub struct Extent {
    /// The weight formats in which kernels are checked.
    pub formats: Vec<WeightFormat>,
    /// Whether to leave out what differs little: of ways to multiply that differ only in constants, such as the width of a workgroup,
    /// only the first is checked, with norms either fused or apart, and each variant of a kernel at one shape per kind of step.
    pub quick: bool,
    /// How often each dispatch runs; a missing barrier shows when it gives other bits.
    pub repeats: usize,
}

impl Default for Extent {
    fn default() -> Self {
        Self { formats: WeightFormat::ALL.to_vec(), quick: false, repeats: 20 }
    }
}

/// Checks the kernels that the device can be given, on models of noise, at shapes that leave the last tile unfilled. `progress` gets the models that
/// are done and how many there are, and returns whether to go on.
///
/// # Errors
/// [`Error::Cancelled`]; if the device is lost or out of memory.
pub async fn check_device(
    gpu: &Gpu,
    extent: &Extent,
    progress: &mut (dyn FnMut(usize, usize) -> bool + Send),
) -> Result<Report> {
    check_cases(gpu, &cases(gpu.capabilities(), extent), extent, progress).await
}

/// Checks one kernel of each kind with the device's features, on a model of noise: see [`crate::tune`].
///
/// # Errors
/// If the device is lost, out of memory or refuses a kernel.
pub(crate) async fn check_features(gpu: &Gpu) -> Result<Report> {
    let capabilities = gpu.capabilities();
    // Where there are cooperative matrices, the last way multiplies on them.
    let format = WeightFormat::Q4K;
    let last = |mode| Way::all(mode).filter(|way| way.supports(format, capabilities)).last();
    let kernels = Kernels {
        small_batch: last(Mode::SmallBatch),
        prefill: last(Mode::Prefill).unwrap_or(Way::FLOAT_PREFILL),
        ..Kernels::FLOAT
    };
    // Heads of 32 in groups of two, and heads of 256.
    let cases =
        [2, 1].map(|group| Case { format, group, kernels, cache_format: CacheFormat::F16, shard_bytes: u64::MAX });
    let extent = Extent { formats: vec![format], repeats: 2, ..Extent::default() };
    check_cases(gpu, &cases, &extent, &mut |_, _| true).await
}

/// Checks models of noise up to the first fault.
async fn check_cases(
    gpu: &Gpu,
    cases: &[Case],
    extent: &Extent,
    progress: &mut (dyn FnMut(usize, usize) -> bool + Send),
) -> Result<Report> {
    let mut report = Report::default();
    for (i, case) in cases.iter().enumerate() {
        case.check(gpu, extent, &mut report).await?;
        if report.fault.is_some() {
            break;
        }
        if !progress(i + 1, cases.len()) {
            return Err(Error::Cancelled);
        }
    }
    Ok(report)
}

/// A model of noise and how to multiply in it.
struct Case {
    format: WeightFormat,
    /// Query heads per KV head.
    group: usize,
    kernels: Kernels,
    cache_format: CacheFormat,
    /// The most bytes of a shard of a matrix.
    shard_bytes: u64,
}

/// Enough models to run every kernel to this extent.
fn cases(capabilities: &Capabilities, extent: &Extent) -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in &extent.formats {
        let usable = |mode| {
            let mut ways: Vec<_> = Way::all(mode).filter(|way| way.supports(format, capabilities)).collect();
            if extent.quick {
                // Of ways that differ in constants only, the first that can be the fastest here.
                ways.dedup_by(|way, before| {
                    let is_same = way.is_same_variant(before);
                    if is_same && !before.is_candidate(format, capabilities) {
                        *before = *way;
                    }
                    is_same
                });
            }
            ways
        };
        let [decode, small, prefill] = [Mode::Decode, Mode::SmallBatch, Mode::Prefill].map(usable);
        for i in 0..decode.len().max(small.len()).max(prefill.len()) {
            let kernels = Kernels {
                decode: decode[i % decode.len()],
                small_batch: Some(small[i % small.len()]),
                prefill: prefill[i % prefill.len()],
                fuses_norms: false,
            };
            // Groups for each number of rows that attention has a variant for.
            let group = [1, 2, 3, 5][cases.len() % 4];
            let cache_format = if cases.len() / 4 % 2 == 0 { CacheFormat::F16 } else { CacheFormat::F32 };
            if i == 0 {
                cases.push(Case { format, group, kernels, cache_format, shard_bytes: SHARD_BYTES });
            }
            // Only matrices of one shard are multiplied together with GeGLU.
            let norms = if extent.quick { vec![i % 2 == 0] } else { vec![false, true] };
            for fuses_norms in norms {
                let kernels = Kernels { fuses_norms, ..kernels };
                cases.push(Case { format, group, kernels, cache_format, shard_bytes: u64::MAX });
            }
        }
    }
    cases
}

impl Case {
    /// Two layers of a Gemma-2 or, for groups of one, of a Gemma-3, with widths that fill no tile and no block of 256.
    fn config(&self) -> Result<Config> {
        let mut config = Config::of_shape(if self.group == 1 { "gemma-3-270m" } else { "gemma-2-2b" })?;
        config.num_layers = 2;
        config.layers.truncate(2);
        config.layers[0].window = Some(4);
        config.layers[1].window = None;
        (config.hidden_size, config.intermediate_size) = (5 * 32, 7 * 32);
        // The published models' heads, or heads of one vec4 per lane.
        let head_dim = if self.group == 1 { 256 } else { 32 };
        // One KV head is split over several workgroups on any device.
        let kv_heads = if self.group.is_multiple_of(2) { 1 } else { 2 };
        (config.num_heads, config.num_kv_heads, config.head_dim) = (kv_heads * self.group, kv_heads, head_dim);
        config.vocab_size = 331;
        Ok(config)
    }

    async fn check(&self, gpu: &Gpu, extent: &Extent, report: &mut Report) -> Result<()> {
        let compared = if extent.quick { Compared::NewVariants } else { Compared::NewShapes };
        let config = self.config()?;
        let files = ModelFiles::synthetic(config.clone(), WeightFormat::F32, "noise");
        let device = gpu.capabilities();
        let max_binding_bytes = self.shard_bytes.min(device.max_binding_bytes);
        let small = Capabilities { max_binding_bytes, ..device.clone() };
        let weights = Weights::new(&files, Some(self.format), &small)?;
        weights.upload(gpu, &files, &mut |_, _| true).await?;
        let tables = RopeTables::new(&config, super::CONTEXT);
        tables.upload(gpu).await?;
        let Kernels { decode, prefill, .. } = self.kernels;
        let small_batch = self.kernels.way(Mode::SmallBatch);
        let name = format!("noise in {}: {decode:?}, {small_batch:?}, {prefill:?}", self.format);
        let model = Model {
            config: &config,
            weights: &weights,
            tables: &tables,
            kernels: self.kernels,
            usable_vocab: config.vocab_size - 2,
        };
        // The vocabulary ends with padding.
        let (files, cache_format) = (&files, self.cache_format);
        let chunk = CHUNK.max(prefill.tokens as usize + BEYOND_A_TILE);
        let subject = Subject { gpu, files, model, chunk, cache_format, name: &name };
        subject.check(extent.repeats, compared, report, &mut |_, _| true).await
    }
}

/// Bytes of keys or values, the same for the same seed: values from -1 to 1.
pub(super) fn cache(format: CacheFormat, bytes: u64, seed: usize) -> Vec<u8> {
    let value = |i: u64| ((i * 2_654_435_761 + seed as u64 * 40_503) % 2001) as f32 / 1000.0 - 1.0;
    let values = (0..bytes / format.bytes() as u64).map(value);
    match format {
        CacheFormat::F32 => values.flat_map(f32::to_le_bytes).collect(),
        CacheFormat::F16 => values.flat_map(|value| half::f16::from_f32(value).to_le_bytes()).collect(),
    }
}
