//! What can be chosen when a model is loaded, and the memory that it will take.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::gpu::Capabilities;
use crate::load::{ModelFiles, TensorId};
use crate::model::{Activations, SequenceState, Weights};
use crate::ops::CacheFormat;
use crate::quant::WeightFormat;
use crate::tune::ActivationFormat;

/// The longest context that is chosen by default.
const DEFAULT_CONTEXT: usize = 8192;
/// Tokens of a prompt per step, at most.
pub(crate) const DEFAULT_PREFILL_CHUNK: usize = 256;

/// How to load a model. The default of each choice depends on the model and the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// How the weights are stored on the device. `None`: as the file has them. `F32` computes in f32 throughout, cache
    /// included.
    pub weights: Option<WeightFormat>,
    /// How the KV cache stores values. `None`: f32 with f32 weights, else f16.
    pub kv_format: Option<CacheFormat>,
    /// Tokens that a conversation may have, prompt and replies together. `None`: what the model was trained for, 8,192 at most.
    pub context: Option<usize>,
    /// How activations meet weights. `None`: whichever is fastest on the device, as a short run finds out; f32 weights are
    /// always multiplied exactly.
    pub activations: Option<ActivationFormat>,
}

impl LoadOptions {
    /// The context of a model with these options.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is 0 or longer than the model was trained for.
    pub fn context_of(&self, config: &Config) -> Result<usize> {
        let context = self.context.unwrap_or(config.context_length.min(DEFAULT_CONTEXT));
        if context == 0 || context > config.context_length {
            return Err(Error::Setting {
                field: "context",
                value: context.to_string(),
                expected: "at least 1 and no longer than the model was trained for",
            });
        }
        Ok(context)
    }

    /// The format of the KV cache of a model with these options.
    ///
    /// # Errors
    /// The errors of [`ModelFiles::tensor`].
    pub fn kv_format_of(&self, files: &ModelFiles) -> Result<CacheFormat> {
        let weights = self.weights.unwrap_or(files.tensor(TensorId::Embedding)?.format);
        Ok(self.kv_format.unwrap_or(match weights {
            WeightFormat::F32 => CacheFormat::F32,
            _ => CacheFormat::F16,
        }))
    }
}

/// Bytes that a model takes on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// The weights.
    pub weights: u64,
    /// What each sequence has: keys and values of a full context, above all.
    pub sequence: u64,
    /// What the steps of a session work in.
    pub activations: u64,
}

impl MemoryEstimate {
    /// All of it, with one session.
    pub fn total(&self) -> u64 {
        self.weights + self.sequence + self.activations
    }
}

impl ModelFiles {
    /// The memory that the model will take on a device with these capabilities, from the files' headers alone: exactly what
    /// its buffers are declared with.
    ///
    /// # Errors
    /// [`Error::Setting`] for a context that the model does not have; the errors of [`ModelFiles::tensor`].
    pub fn memory(&self, options: &LoadOptions, capabilities: &Capabilities) -> Result<MemoryEstimate> {
        let (config, context) = (self.config(), options.context_of(self.config())?);
        let weights = Weights::new(self, options.weights, u64::MAX, capabilities)?;
        let sequence = SequenceState::new(config, options.kv_format_of(self)?, context);
        let activations = Activations::new(config, capabilities, DEFAULT_PREFILL_CHUNK.min(context), 1);
        Ok(MemoryEstimate { weights: weights.bytes(), sequence: sequence.bytes(), activations: activations.bytes() })
    }
}
