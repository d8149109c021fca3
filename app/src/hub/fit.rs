//! Whether a model fits a device, computed from its headers: in which weight formats, with how long a context, how fast.

use std::time::Duration;

use lapidary_engine::config::Config;
use lapidary_engine::load::TensorId;
use lapidary_engine::{
    CacheFormat, Engine, Gpu, LoadOptions, MemoryEstimate, ModelFiles, Result, Sampling, WeightFormat,
};

use crate::verdict::Verdict;

/// Contexts that are priced, in tokens, besides the longest that the model was trained for.
const CONTEXTS: [usize; 3] = [2048, 8192, 32_768];
/// The context that a recommendation must have room for, where the model was trained for it.
const GOOD_CONTEXT: usize = 8192;
/// Formats in which weights can be converted while they load, from those that lose least.
const CONVERTED: [WeightFormat; 6] = [
    WeightFormat::Q8_0,
    WeightFormat::Q6K,
    WeightFormat::Q5K,
    WeightFormat::Q4K,
    WeightFormat::Q5_0,
    WeightFormat::Q4_0,
];
/// Layers of the two parts of a model that are measured.
const MEASURED_LAYERS: [usize; 2] = [1, 4];
/// Tokens of a measurement.
const MEASURED_TOKENS: usize = 24;
/// Rows of the head that are measured; the rest is in proportion.
const MEASURED_VOCAB: usize = 32_768;

/// What a model takes on a device.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The model's name.
    pub model: String,
    /// The device's name.
    pub device: String,
    /// Bytes of the device's memory, if its API says.
    pub device_memory: Option<u64>,
    /// The format of most weights in the file.
    pub stored: WeightFormat,
    /// One row per weight format and context, formats from the largest to the smallest.
    pub rows: Vec<FitRow>,
    /// The row that is recommended: the weights that lose least and still leave room for a good context. `None` if nothing
    /// fits, or the device's memory is not known.
    pub recommended: Option<usize>,
}

/// A way to load a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitRow {
    /// The weight format; `None` for the format in the file.
    pub weights: Option<WeightFormat>,
    /// The context in tokens.
    pub context: usize,
    /// Bytes on the device.
    pub memory: MemoryEstimate,
    /// Whether that fits.
    pub verdict: Verdict,
}

impl Fit {
    /// Prices a model on a device. It reads no weights and allocates nothing.
    ///
    /// # Errors
    /// Those of [`ModelFiles::memory`].
    pub fn new(files: &ModelFiles, gpu: &Gpu) -> Result<Self> {
        let memory = gpu.memory_bytes();
        let mut rows = Vec::new();
        for weights in formats(files, gpu)? {
            for context in contexts(files.config()) {
                let options = LoadOptions { weights, context: Some(context), ..LoadOptions::default() };
                let priced = files.memory(&options, gpu.capabilities())?;
                let verdict = Verdict::of(priced.total(), memory);
                rows.push(FitRow { weights, context, memory: priced, verdict });
            }
        }
        let good = GOOD_CONTEXT.min(files.config().context_length);
        let fits = |row: &FitRow| matches!(row.verdict, Verdict::Fits);
        let recommended = rows
            .iter()
            .position(|row| fits(row) && row.context >= good)
            .or_else(|| rows.iter().rposition(fits))
            .or_else(|| rows.iter().position(|row| row.verdict == Verdict::Tight));
        Ok(Self {
            model: files.name(),
            device: gpu.info().name.clone(),
            device_memory: memory,
            stored: stored_format(files)?,
            rows,
            recommended,
        })
    }

    /// The format on the device of a row.
    pub fn format(&self, row: &FitRow) -> WeightFormat {
        row.weights.unwrap_or(self.stored)
    }
}

/// The format in the file, and those that take less memory than it.
fn formats(files: &ModelFiles, gpu: &Gpu) -> Result<Vec<Option<WeightFormat>>> {
    let bytes = |weights| {
        let options = LoadOptions { weights, context: Some(1), ..LoadOptions::default() };
        Ok::<_, lapidary_engine::Error>(files.memory(&options, gpu.capabilities())?.weights)
    };
    let (mut formats, mut least) = (vec![None], bytes(None)?);
    for format in CONVERTED {
        let bytes = bytes(Some(format))?;
        // One that saves less than a hundredth is not worth converting to.
        if bytes < least / 100 * 99 {
            formats.push(Some(format));
            least = bytes;
        }
    }
    Ok(formats)
}

fn contexts(config: &Config) -> Vec<usize> {
    let longest = config.context_length;
    CONTEXTS.into_iter().filter(|context| *context < longest).chain([longest]).collect()
}

/// The format of most weights in the file.
fn stored_format(files: &ModelFiles) -> Result<WeightFormat> {
    let mut sums: Vec<(WeightFormat, usize)> = Vec::new();
    for id in TensorId::all(files.config()) {
        let tensor = files.tensor(id)?;
        let values = tensor.rows * tensor.cols;
        match sums.iter_mut().find(|(format, _)| *format == tensor.format) {
            Some((_, sum)) => *sum += values,
            None => sums.push((tensor.format, values)),
        }
    }
    Ok(sums.into_iter().max_by_key(|(_, sum)| *sum).map_or(WeightFormat::F32, |(format, _)| format))
}

/// Measures how many tokens per second a model decodes on a device, with its weights in `weights` or in the file's formats and an
/// empty cache: two models of one and of four of its layers, with noise for weights and a part of its vocabulary, tell the time of a
/// layer and of the rest. The layers are from the middle, where mixed formats repeat every three layers.
///
/// `tuning_folder` holds the choice of kernels, which takes seconds where it is not yet made.
///
/// # Errors
/// The errors of loading, above all where not even three layers fit.
pub async fn measure_speed(
    gpu: &Gpu,
    files: &ModelFiles,
    weights: Option<WeightFormat>,
    tuning_folder: Option<&std::path::Path>,
) -> Result<f64> {
    let config = files.config();
    let first = (config.num_layers / 2).min(config.num_layers.saturating_sub(MEASURED_LAYERS[1]));
    let format_of = |id| {
        let id = match id {
            TensorId::Layer(layer, part) => TensorId::Layer(first + layer, part),
            id => id,
        };
        weights.unwrap_or_else(|| files.tensor(id).map_or(WeightFormat::Bf16, |tensor| tensor.format))
    };
    let vocab = config.vocab_size.min(MEASURED_VOCAB);
    let mut seconds = [0.0; 2];
    for (seconds, layers) in seconds.iter_mut().zip(MEASURED_LAYERS) {
        let layers = layers.min(config.num_layers);
        let part = Config {
            num_layers: layers,
            layers: config.layers[first..first + layers].to_vec(),
            vocab_size: vocab,
            stop_ids: Vec::new(),
            bos_id: 0,
            ..config.clone()
        };
        *seconds = seconds_per_token(gpu, part, &format_of, tuning_folder).await?.as_secs_f64();
    }
    let [few, many] = seconds;
    let measured = (MEASURED_LAYERS[1].min(config.num_layers) - MEASURED_LAYERS[0]).max(1);
    let layer = (many - few).max(0.0) / measured as f64;
    // What is not layers is nearly all the head.
    let head = (few - layer).max(0.0) * config.vocab_size as f64 / vocab as f64;
    Ok(1.0 / (layer * config.num_layers as f64 + head).max(1e-9))
}

async fn seconds_per_token(
    gpu: &Gpu,
    config: Config,
    format_of: &dyn Fn(TensorId) -> WeightFormat,
    tuning_folder: Option<&std::path::Path>,
) -> Result<Duration> {
    let context = config.context_length.min(4 * MEASURED_TOKENS);
    let files = ModelFiles::synthetic_mixed(config, format_of, "measured");
    let mut builder = Engine::from_files(files).gpu(gpu.clone()).context(context).kv_format(CacheFormat::F16);
    if let Some(folder) = tuning_folder {
        builder = builder.tuning_folder(folder);
    }
    let engine = builder.build().await?;
    let mut session = engine.session().await?;
    let mut runs = Vec::new();
    // The first run is a warm-up: drivers compile kernels at their first use.
    for run in 0..4 {
        let sampling = Sampling { max_tokens: Some(MEASURED_TOKENS), stop_at_end: false, ..Sampling::greedy() };
        session.rewind(0);
        let mut generation = session.generate(&[0, 1], &sampling)?;
        while generation.next().await?.is_some() {}
        let timings = generation.timings();
        if run > 0 {
            runs.push(timings.decode_ms / timings.decode_tokens.max(1) as f64);
        }
    }
    runs.sort_by(f64::total_cmp);
    Ok(Duration::from_secs_f64(runs[runs.len() / 2] * 1e-3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_contexts_end_at_the_models_own() {
        let config = Config::of_shape("gemma-2-2b").unwrap();
        assert_eq!(contexts(&config), [2048, 8192]);
        let config = Config::of_shape("gemma-3-1b").unwrap();
        assert_eq!(contexts(&config), [2048, 8192, 32_768]);
    }
}
