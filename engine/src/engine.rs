//! A loaded model, ready for sessions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::gpu::{DeviceOptions, Gpu};
use crate::load::{ModelFiles, TokenizerSource};
use crate::model::{Kernels, Model, RopeTables, SequenceState, Weights};
use crate::ops::CacheFormat;
use crate::options::{DEFAULT_PREFILL_CHUNK, LoadOptions};
use crate::quant::{Matrix, WeightFormat};
use crate::tokenizer::Tokenizer;
use crate::tune::{ActivationFormat, Tuning};

/// A model on a device: immutable, shared by its sessions, cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) gpu: Gpu,
    pub(crate) config: Config,
    pub(crate) weights: Weights,
    pub(crate) tables: RopeTables,
    pub(crate) kernels: Kernels,
    pub(crate) stop_ids: Vec<u32>,
    /// Tokens that a reply may hold: the vocabulary without padding.
    pub(crate) usable_vocab: usize,
    pub(crate) context: usize,
    pub(crate) cache_format: CacheFormat,
    pub(crate) prefill_chunk: usize,
    name: String,
    tokenizer: Result<Arc<Tokenizer>, (PathBuf, String)>,
}

impl Inner {
    pub(crate) fn model(&self) -> Model<'_> {
        Model { config: &self.config, weights: &self.weights, tables: &self.tables, kernels: self.kernels }
    }
}

/// Where loading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the model's file that are on the device.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Settings of an [`Engine`].
pub struct EngineBuilder {
    source: Source,
    options: LoadOptions,
    kernels: Option<Kernels>,
    tuning_folder: Option<PathBuf>,
    device: DeviceOptions,
    gpu: Option<Gpu>,
    memory_limit: Option<u64>,
    max_shard_bytes: u64,
    prefill_chunk: usize,
    progress: Box<dyn FnMut(Progress) -> bool + Send>,
}

enum Source {
    Path(PathBuf),
    Files(Box<ModelFiles>),
}

impl EngineBuilder {
    fn new(source: Source) -> Self {
        Self {
            source,
            options: LoadOptions::default(),
            kernels: None,
            tuning_folder: None,
            device: DeviceOptions::from_env(),
            gpu: None,
            memory_limit: None,
            max_shard_bytes: u64::MAX,
            prefill_chunk: DEFAULT_PREFILL_CHUNK,
            progress: Box::new(|_| true),
        }
    }

    /// Loads as these options say.
    pub fn options(mut self, options: LoadOptions) -> Self {
        self.options = options;
        self
    }

    /// Stores the weights in this format, converting them while they load. Unset: as the file has them.
    ///
    /// `F32` computes in f32 throughout, cache included.
    pub fn weights(mut self, format: WeightFormat) -> Self {
        self.options.weights = Some(format);
        self
    }

    /// How the KV cache stores numbers. Unset: f32 with f32 weights, else f16.
    pub fn kv_format(mut self, format: CacheFormat) -> Self {
        self.options.kv_format = Some(format);
        self
    }

    /// Tokens that a conversation may have, prompt and replies together. Unset: what the model was trained for, 8,192 at
    /// most.
    pub fn context(mut self, tokens: usize) -> Self {
        self.options.context = Some(tokens);
        self
    }

    /// How activations meet weights. Unset: whichever is fastest on the device, as a short run finds out; f32 weights are
    /// always multiplied exactly.
    pub fn activations(mut self, activations: ActivationFormat) -> Self {
        self.options.activations = Some(activations);
        self
    }

    /// Skips tuning and uses these kernels, for example those of an earlier [`Engine::kernels`]. Where one does not support a
    /// format or the device, the way that it [falls back to](crate::ops::Way::or_fallback) multiplies.
    pub fn kernels(mut self, kernels: Kernels) -> Self {
        self.kernels = Some(kernels);
        self
    }

    /// A folder in which to keep the result of tuning, so that the next start is faster.
    pub fn tuning_folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.tuning_folder = Some(folder.as_ref().to_owned());
        self
    }

    /// Which device to open and how. Unset: as the environment says ([`DeviceOptions::from_env`]).
    pub fn device(mut self, options: DeviceOptions) -> Self {
        self.device = options;
        self
    }

    /// Uses a device that is open already, for example the caller's own ([`Gpu::from_device`]).
    pub fn gpu(mut self, gpu: Gpu) -> Self {
        self.gpu = Some(gpu);
        self
    }

    /// Refuses, before anything is uploaded, a model that needs more bytes than this on the device. Unset: more than the
    /// device has, where its API tells.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Splits matrices into shards no larger than this. Unset: as large as a binding may be.
    pub fn max_shard_bytes(mut self, bytes: u64) -> Self {
        self.max_shard_bytes = bytes;
        self
    }

    /// Tokens of a prompt that are fed at once, at most.
    pub fn prefill_chunk(mut self, tokens: usize) -> Self {
        self.prefill_chunk = tokens;
        self
    }

    /// Calls this as the weights load; loading stops with [`Error::Cancelled`] when it returns false.
    pub fn on_progress(mut self, progress: impl FnMut(Progress) -> bool + Send + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Loads the model.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged, no fitting adapter, too little memory, or [`Error::Cancelled`].
    pub async fn build(self) -> Result<Engine> {
        let Self { source, options, kernels, tuning_folder, device, gpu, memory_limit, prefill_chunk, .. } = self;
        let files = match source {
            Source::Path(path) => ModelFiles::open(&path)?,
            Source::Files(files) => *files,
        };
        let config = files.config().clone();
        let context = options.context_of(&config)?;
        if prefill_chunk == 0 {
            return Err(Error::Setting { field: "prefill chunk", value: "0".into(), expected: "at least 1" });
        }
        let gpu = match gpu {
            Some(gpu) => gpu,
            None => Gpu::open(&device).await?,
        };
        let cache_format = options.kv_format_of(&files)?;
        let weights = Weights::new(&files, options.weights, self.max_shard_bytes, gpu.capabilities())?;
        let sequence = SequenceState::new(&config, cache_format, context);
        if let Some(limit) = memory_limit.or_else(|| gpu.memory_bytes()) {
            check_memory(&files.name(), context, weights.bytes() + sequence.bytes(), limit)?;
        }
        sequence.cache.check_size(&gpu)?;
        let tokenizer = load_tokenizer(&files);
        let usable_vocab = tokenizer.as_ref().map_or(config.vocab_size, |known| known.len().min(config.vocab_size));
        let stop_ids = stop_ids(&config, tokenizer.as_deref().ok());

        let mut progress = self.progress;
        let mut report = |done, total| progress(Progress { done, total });
        weights.upload(&gpu, &files, &mut report).await?;
        let tables = RopeTables::new(&config, context);
        tables.upload(&gpu).await?;
        let kernels = match (kernels, weights.narrow_format()) {
            (Some(kernels), _) => kernels,
            (None, Some(format)) => {
                Tuning::load_or_run(&gpu, format, options.activations, tuning_folder.as_deref()).await?.kernels
            }
            (None, None) => Kernels::FLOAT,
        };
        gpu.check()?;
        let inner = Inner {
            gpu,
            weights,
            tables,
            kernels,
            stop_ids,
            usable_vocab,
            context,
            cache_format,
            // As many workgroups as a dimension of a grid has.
            prefill_chunk: prefill_chunk.min(context).min(65_535),
            name: files.name(),
            tokenizer,
            config,
        };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// [`EngineBuilder::build`], blocking.
    ///
    /// # Errors
    /// As for `build`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn build_blocking(self) -> Result<Engine> {
        pollster::block_on(self.build())
    }
}

/// Fails if a model needs more bytes than the limit.
fn check_memory(name: &str, context: usize, needed: u64, limit: u64) -> Result<()> {
    if needed <= limit {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let (needed, limit) = (mib(needed), mib(limit));
    Err(Error::OutOfMemory { what: format!("{name} with a context of {context} needs {needed} MiB of {limit} MiB") })
}

/// A tokenizer is not needed to compute; those who need it meet the error then.
fn load_tokenizer(files: &ModelFiles) -> Result<Arc<Tokenizer>, (PathBuf, String)> {
    let path = || match files.tokenizer() {
        TokenizerSource::Json { path, .. } | TokenizerSource::Gguf { path, .. } => path.clone(),
        TokenizerSource::Missing { looked_for } => looked_for.clone(),
    };
    Tokenizer::load(files.tokenizer(), files.config().vocab_size).map(Arc::new).map_err(|error| match error {
        Error::Tokenizer { path, reason } => (path, reason),
        other => (path(), other.to_string()),
    })
}

/// The tokens that end a reply: some files name only `<eos>`.
fn stop_ids(config: &Config, tokenizer: Option<&Tokenizer>) -> Vec<u32> {
    let mut ids = config.stop_ids.clone();
    let end_of_turn = tokenizer.and_then(Tokenizer::end_of_turn_id);
    ids.extend(end_of_turn.filter(|id| !config.stop_ids.contains(id)));
    ids
}

impl Engine {
    /// Settings for a model in a Hugging Face folder or a GGUF file.
    pub fn builder(path: impl AsRef<Path>) -> EngineBuilder {
        EngineBuilder::new(Source::Path(path.as_ref().to_owned()))
    }

    /// Settings for a model that is open already.
    pub fn from_files(files: ModelFiles) -> EngineBuilder {
        EngineBuilder::new(Source::Files(Box::new(files)))
    }

    /// The device that the model is on.
    pub fn gpu(&self) -> &Gpu {
        &self.inner.gpu
    }

    /// The model's numbers.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The model's weights on the device.
    pub fn model_weights(&self) -> &Weights {
        &self.inner.weights
    }

    /// Which kernels multiply by weights.
    pub fn kernels(&self) -> Kernels {
        self.inner.kernels
    }

    /// Bytes that decoding a token reads when the session holds `depth` tokens: all matrices once (the embedding as the
    /// head), and the keys and values that each layer's window shows.
    pub fn bytes_per_token(&self, depth: usize) -> u64 {
        let (config, format) = (&self.inner.config, self.inner.cache_format);
        let row = 2 * config.num_kv_heads * config.head_dim * format.bytes();
        let seen = config.layers.iter().map(|layer| (row * layer.window.unwrap_or(depth).min(depth)) as u64);
        self.inner.weights.matrices().map(Matrix::bytes).sum::<u64>() + seen.sum::<u64>()
    }

    /// The model's name, for people.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Tokens that a session may have.
    pub fn context(&self) -> usize {
        self.inner.context
    }

    /// Tokens that end a reply.
    pub fn stop_ids(&self) -> &[u32] {
        &self.inner.stop_ids
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the model came without one, or with a damaged one.
    pub fn tokenizer(&self) -> Result<&Arc<Tokenizer>> {
        self.inner
            .tokenizer
            .as_ref()
            .map_err(|(path, reason)| Error::Tokenizer { path: path.clone(), reason: reason.clone() })
    }

    /// Checks that these tokens can be the beginning of a sequence.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::TokenOutOfRange`], [`Error::ContextFull`].
    pub(crate) fn check_prompt(&self, tokens: &[u32]) -> Result<()> {
        let (vocab_size, context) = (self.inner.config.vocab_size, self.inner.context);
        if tokens.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        if let Some(&id) = tokens.iter().find(|id| **id as usize >= vocab_size) {
            return Err(Error::TokenOutOfRange { id, vocab_size });
        }
        if tokens.len() > context {
            return Err(Error::ContextFull { tokens: tokens.len(), context });
        }
        Ok(())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("name", &self.inner.name).field("gpu", &self.inner.gpu).finish_non_exhaustive()
    }
}
