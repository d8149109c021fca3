//! The options for loading a model, and an estimate of the memory that it needs.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::gpu::Capabilities;
use crate::load::{ModelFiles, TensorId};
use crate::model::{Activations, RopeTables, SequenceState, Weights};
use crate::ops::CacheFormat;
use crate::pace::default_prefill_chunk;
use crate::quant::WeightFormat;
use crate::tune::ActivationFormat;

/// The longest default context.
const DEFAULT_CONTEXT: usize = 8192;

/// How to load a model. The default of each choice depends on the model and the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The format of the weights on the device. `None`: the file's formats. `F32` computes in f32 throughout, cache
    /// included.
    pub weights: Option<WeightFormat>,
    /// The format of the KV cache's values. `None`: f32 with f32 weights, else f16.
    pub kv_format: Option<CacheFormat>,
    /// The most tokens that a sequence can hold, prompt and replies together. `None`: the length that the model was
    /// trained for, at most 8,192.
    pub context: Option<usize>,
    /// The format of activations in products with weights. `None`: the fastest on the device, found by a short tuning
    /// run. Products with f32 weights always take f32 activations.
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

/// Tokens of a prompt per step: what the caller asks for or the default, but no more than the context holds and the device
/// can bind.
pub(crate) fn prefill_chunk(
    asked: Option<usize>,
    context: usize,
    config: &Config,
    capabilities: &Capabilities,
) -> usize {
    let chunk = asked.unwrap_or_else(|| default_prefill_chunk(capabilities.software));
    chunk.min(context).min(Activations::most_tokens(config, capabilities, false))
}

/// Bytes that a model needs on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// The weights, and the tables of rotary angles.
    pub weights: u64,
    /// The buffers of each sequence, above all the keys and values of a full context.
    pub sequence: u64,
    /// The activations, which all sequences of a runner share.
    pub activations: u64,
}

impl MemoryEstimate {
    /// The sum, for one session.
    pub fn total(&self) -> u64 {
        self.weights + self.sequence + self.activations
    }
}

impl ModelFiles {
    /// The memory that the model needs on a device with these capabilities, computed from the files' headers alone. It
    /// is the exact sum of the buffers' sizes.
    ///
    /// # Errors
    /// [`Error::Setting`] if the context is 0 or longer than the model was trained for, and the errors of
    /// [`ModelFiles::tensor`].
    pub fn memory(&self, options: &LoadOptions, capabilities: &Capabilities) -> Result<MemoryEstimate> {
        let (config, context) = (self.config(), options.context_of(self.config())?);
        let weights = Weights::new(self, options.weights, u64::MAX, capabilities)?;
        let sequence = SequenceState::new(config, options.kv_format_of(self)?, context);
        let chunk = prefill_chunk(None, context, config, capabilities);
        let activations = Activations::new(config, capabilities, chunk, 1);
        Ok(MemoryEstimate {
            weights: weights.bytes() + RopeTables::new(config, context).bytes(),
            sequence: sequence.bytes(),
            activations: activations.bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_of_a_prompt_fits_the_bindings_of_every_device() {
        let webgpu = Capabilities::webgpu();
        for shape in crate::load::SHAPES {
            let config = Config::of_shape(shape).unwrap();
            for all_logits in [false, true] {
                let most = Activations::most_tokens(&config, &webgpu, all_logits);
                let fits = |tokens: usize| {
                    let a = Activations::new(&config, &webgpu, tokens, if all_logits { tokens } else { 1 });
                    a.buffers().all(|buffer| buffer.bytes() <= webgpu.max_binding_bytes)
                };
                assert!(fits(most) && !fits(most + 1), "{shape}: {most} tokens");
            }
        }
        let large = Config::of_shape("gemma-2-27b").unwrap();
        let chunk = |capabilities: &Capabilities| prefill_chunk(None, 8192, &large, capabilities);
        assert_eq!(chunk(&webgpu), 455, "128 MiB hold 455 tokens of 73,728 gates and ups");
        let card = Capabilities { max_binding_bytes: 2 << 30, max_buffer_bytes: 2 << 30, ..webgpu };
        assert_eq!(chunk(&card), 512);
    }
}
