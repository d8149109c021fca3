//! A loaded model, ready for sessions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::gpu::{DeviceOptions, Gpu};
use crate::load::{ChatTemplate, ModelFiles, TokenizerSource};
use crate::model::{Activations, Capacity, Kernels, Model, RopeTables, SequenceBuffers, Weights};
use crate::ops::CacheFormat;
use crate::options::{LoadOptions, prefill_chunk, too_large};
use crate::quant::{Matrix, WeightFormat};
use crate::tokenizer::Tokenizer;
use crate::tune::{ActivationFormat, Tuning, tested};

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
    chat_template: ChatTemplate,
    tokenizer: Result<Arc<Tokenizer>, (PathBuf, String)>,
}

impl Inner {
    pub(crate) fn model(&self) -> Model<'_> {
        let Self { config, weights, tables, kernels, usable_vocab, .. } = self;
        Model { config, weights, tables, kernels: *kernels, usable_vocab: *usable_vocab }
    }
}

/// How far loading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the model's files that are on the device.
    pub done: u64,
    /// Bytes to upload in total.
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
    prefill_chunk: Option<usize>,
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
            prefill_chunk: None,
            progress: Box::new(|_| true),
        }
    }

    /// Replaces all load options at once.
    pub fn options(mut self, options: LoadOptions) -> Self {
        self.options = options;
        self
    }

    /// Stores the weights in this format and converts them while they load. Default: the file's formats.
    ///
    /// `F32` computes in f32 throughout, cache included.
    pub fn weights(mut self, format: WeightFormat) -> Self {
        self.options.weights = Some(format);
        self
    }

    /// The format of the KV cache's values. Default: f32 with f32 weights, else f16.
    pub fn kv_format(mut self, format: CacheFormat) -> Self {
        self.options.kv_format = Some(format);
        self
    }

    /// The most tokens that a sequence can hold, prompt and replies together. Default: the length that the model was
    /// trained for, at most 8,192.
    pub fn context(mut self, tokens: usize) -> Self {
        self.options.context = Some(tokens);
        self
    }

    /// The format of activations in products with weights. Default: the fastest on the device, found by a short tuning
    /// run. Products with f32 weights always take f32 activations.
    pub fn activations(mut self, activations: ActivationFormat) -> Self {
        self.options.activations = Some(activations);
        self
    }

    /// Skips tuning and uses these kernels, for example those of an earlier [`Engine::kernels`]. Where one does not support a
    /// format or the device, its [fallback](crate::ops::Way::or_fallback) multiplies instead.
    pub fn kernels(mut self, kernels: Kernels) -> Self {
        self.kernels = Some(kernels);
        self
    }

    /// The folder that stores the results of tuning and of the self-test of a GPU's features, so that the next start skips both.
    /// Default: results are not stored, and every process tests and measures. A browser has no folders, so there it is the name of a
    /// cache of the page's origin.
    pub fn tuning_folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.tuning_folder = Some(folder.as_ref().to_owned());
        self
    }

    /// Which device to open and how. Default: [`DeviceOptions::from_env`].
    pub fn device(mut self, options: DeviceOptions) -> Self {
        self.device = options;
        self
    }

    /// Uses an open device, for example the caller's own ([`Gpu::from_device`]), and ignores [`EngineBuilder::device`].
    pub fn gpu(mut self, gpu: Gpu) -> Self {
        self.gpu = Some(gpu);
        self
    }

    /// Refuses a model that needs more bytes than this on the device, before anything is uploaded. Default: the
    /// device's memory, where its API reports it.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// The most tokens of a prompt per step. Default: 512, and 256 on a software adapter. It is fewer where the device cannot
    /// bind the activations of so many.
    pub fn prefill_chunk(mut self, tokens: usize) -> Self {
        self.prefill_chunk = Some(tokens);
        self
    }

    /// Calls this while the weights load. If it returns false, loading ends with [`Error::Cancelled`].
    pub fn on_progress(mut self, progress: impl FnMut(Progress) -> bool + Send + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Loads the model.
    ///
    /// # Errors
    /// - [`Error::Io`], [`Error::BadFile`], [`Error::Config`], [`Error::MissingTensor`], [`Error::TensorShape`] or
    ///   [`Error::Unsupported`] if the model's files cannot be used.
    /// - [`Error::NoAdapter`] or [`Error::Adapter`] if no adapter can run the model.
    /// - [`Error::OutOfMemory`] if the model does not fit the device.
    /// - [`Error::Gpu`] if the driver refuses a kernel.
    /// - [`Error::Setting`] if an option is out of range, or a kernel is not for the steps that it should compute.
    /// - [`Error::Cancelled`] if the progress callback returns false.
    ///
    /// A missing or damaged tokenizer is not an error here, but of [`Engine::tokenizer`].
    pub async fn build(self) -> Result<Engine> {
        let Self { source, options, kernels, tuning_folder, device, gpu, memory_limit, .. } = self;
        let files = match source {
            Source::Path(path) => ModelFiles::open(&path)?,
            Source::Files(files) => *files,
        };
        let config = files.config().clone();
        let context = options.context_of(&config)?;
        if self.prefill_chunk == Some(0) {
            return Err(Error::Setting { field: "prefill chunk", value: "0".into(), expected: "at least 1" });
        }
        kernels.map_or(Ok(()), Kernels::check)?;
        let gpu = match gpu {
            Some(gpu) => gpu,
            None => Gpu::open(&device).await?,
        };
        let gpu = tested(gpu, tuning_folder.as_deref()).await?;
        let cache_format = options.kv_format_of(&files)?;
        let weights = Weights::new(&files, options.weights, gpu.capabilities())?;
        let sequence = SequenceBuffers::new(&config, cache_format, Capacity::for_one(context));
        let tables = RopeTables::new(&config, context);
        let prefill_chunk = prefill_chunk(self.prefill_chunk, context, &config, gpu.capabilities());
        if let Some(limit) = memory_limit.or_else(|| gpu.memory_bytes()) {
            let activations = Activations::of_one_sequence(&config, gpu.capabilities(), prefill_chunk);
            let needed = weights.bytes() + tables.bytes() + sequence.bytes() + activations.bytes();
            if needed > limit {
                return Err(too_large(&files, &options, gpu.capabilities(), needed, limit));
            }
        }
        weights.check_size(&gpu)?;
        sequence.check_size(&gpu)?;
        let tokenizer = load_tokenizer(&files);
        let usable_vocab = tokenizer.as_ref().map_or(config.vocab_size, |known| known.len().min(config.vocab_size));
        let stop_ids = stop_ids(&config, tokenizer.as_deref().ok());

        let mut progress = self.progress;
        let mut report = |done, total| progress(Progress { done, total });
        weights.upload(&gpu, &files, &mut report).await?;
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
            prefill_chunk,
            name: files.name(),
            chat_template: chat_template(&files, tokenizer.as_deref().ok()),
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

/// Loads the tokenizer. An error is stored and not returned, because token ids can be generated without a tokenizer.
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

/// The model's chat template. Files without one may still name `<end_of_turn>` as the end of a reply, which base models
/// do not.
fn chat_template(files: &ModelFiles, tokenizer: Option<&Tokenizer>) -> ChatTemplate {
    let end_of_turn = tokenizer.and_then(Tokenizer::end_of_turn_id);
    match files.chat_template() {
        ChatTemplate::Missing if end_of_turn.is_some_and(|id| files.config().stop_ids.contains(&id)) => {
            ChatTemplate::Gemma
        }
        found => found,
    }
}

/// The tokens that end a reply. `<end_of_turn>` is always among them, although some files name only `<eos>`.
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

    /// Settings for a model whose files are open.
    pub fn from_files(files: ModelFiles) -> EngineBuilder {
        EngineBuilder::new(Source::Files(Box::new(files)))
    }

    /// The device that the model is on.
    pub fn gpu(&self) -> &Gpu {
        &self.inner.gpu
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The model's weights on the device.
    pub fn model_weights(&self) -> &Weights {
        &self.inner.weights
    }

    /// The kernels that multiply by weights.
    pub fn kernels(&self) -> Kernels {
        self.inner.kernels
    }

    /// Bytes that decoding one token reads after `depth` tokens: every matrix once (the embedding is the head), and the
    /// keys and values within each layer's window.
    pub fn bytes_per_token(&self, depth: usize) -> u64 {
        let (config, format) = (&self.inner.config, self.inner.cache_format);
        let row = 2 * config.num_kv_heads * config.head_dim * format.bytes();
        let seen = config.layers.iter().map(|layer| (row * layer.window.unwrap_or(depth).min(depth)) as u64);
        self.inner.weights.matrices().map(Matrix::bytes).sum::<u64>() + seen.sum::<u64>()
    }

    /// The model's name, to show to a user.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The kind of chat template that the model was trained on. [`Engine::chat`] always writes Gemma's turns.
    pub fn chat_template(&self) -> ChatTemplate {
        self.inner.chat_template
    }

    /// The most tokens that a session can hold.
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
    /// [`Error::Tokenizer`] if the model has no tokenizer, or a damaged one.
    pub fn tokenizer(&self) -> Result<&Arc<Tokenizer>> {
        self.inner
            .tokenizer
            .as_ref()
            .map_err(|(path, reason)| Error::Tokenizer { path: path.clone(), reason: reason.clone() })
    }

    /// Checks that a sequence of up to `context` tokens can begin with these.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::TokenOutOfRange`], [`Error::ContextFull`].
    pub(crate) fn check_prompt(&self, tokens: &[u32], context: usize) -> Result<()> {
        let vocab_size = self.inner.config.vocab_size;
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
