//! The options for loading a model, and an estimate of the memory that it needs.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::gpu::Capabilities;
use crate::load::{ModelFiles, TensorId};
use crate::model::{Activations, Capacity, RopeTables, SequenceBuffers, Weights};
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
    /// The buffers of a session's sequence, above all the keys and values of a full context. A [`Scheduler`](crate::Scheduler) has a
    /// cache of the size that it is given instead.
    pub sequence: u64,
    /// The activations of a step, which sequences share.
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
        let weights = Weights::new(self, options.weights, capabilities)?;
        let sequence = SequenceBuffers::new(config, options.kv_format_of(self)?, Capacity::for_one(context));
        let chunk = prefill_chunk(None, context, config, capabilities);
        let activations = Activations::of_one_sequence(config, capabilities, chunk);
        Ok(MemoryEstimate {
            weights: weights.bytes() + RopeTables::new(config, context).bytes(),
            sequence: sequence.bytes(),
            activations: activations.bytes(),
        })
    }
}

/// Formats that a model which does not fit is offered in, from those that lose least.
const SMALLER: [WeightFormat; 5] =
    [WeightFormat::Q8_0, WeightFormat::Q6K, WeightFormat::Q5K, WeightFormat::Q4K, WeightFormat::Q4_0];
/// A context that is offered has at least so many tokens.
const SHORTEST_OFFER: usize = 1024;

/// The error for a model that needs more bytes than the limit. It says how the model would fit.
pub(crate) fn too_large(
    files: &ModelFiles,
    options: &LoadOptions,
    capabilities: &Capabilities,
    needed: u64,
    limit: u64,
) -> Error {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let context = options.context_of(files.config()).unwrap_or(0);
    let (name, needed, limit_mib) = (files.name(), mib(needed), mib(limit));
    let fits = |weights: Option<WeightFormat>, context: usize| {
        let tried = LoadOptions { weights: weights.or(options.weights), context: Some(context), ..*options };
        files.memory(&tried, capabilities).is_ok_and(|memory| memory.total() <= limit)
    };
    let shorter = |weights| {
        let halves = std::iter::successors(Some(context / 2), |context| Some(context / 2));
        halves.take_while(|context| *context >= SHORTEST_OFFER).find(|context| fits(weights, *context))
    };
    let smaller = SMALLER.into_iter().find(|format| fits(Some(*format), context));
    let both = || SMALLER.into_iter().rev().find_map(|format| Some((format, shorter(Some(format))?)));
    let offer = match (smaller, shorter(None)) {
        (Some(format), Some(context)) => {
            format!("it fits with weights in {format}, or with a context of {context} tokens")
        }
        (Some(format), None) => format!("it fits with weights in {format}"),
        (None, Some(context)) => format!("it fits with a context of {context} tokens"),
        (None, None) => match both() {
            Some((format, context)) => {
                format!("it fits with weights in {format} and a context of {context} tokens")
            }
            None => "it does not fit in any format".to_owned(),
        },
    };
    Error::OutOfMemory {
        what: format!("{name} with a context of {context} needs {needed} MiB of {limit_mib} MiB; {offer}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_too_large_is_offered_as_it_fits() {
        let config = Config::of_shape("gemma-2-2b").unwrap();
        let files = ModelFiles::synthetic(config, WeightFormat::Bf16, "2B");
        let capabilities = Capabilities::webgpu();
        let options = LoadOptions::default();
        let refused = |limit: u64| too_large(&files, &options, &capabilities, 7 << 30, limit).to_string();
        let all = files.memory(&options, &capabilities).unwrap();
        assert!(refused(all.total() - 1).contains("fits with weights in q8_0, or with a context of 4096"));
        assert!(refused(all.weights).contains("fits with weights in q8_0"));
        let four = LoadOptions { weights: Some(WeightFormat::Q4_0), context: Some(2048), ..options };
        let four = files.memory(&four, &capabilities).unwrap().total();
        assert!(refused(four).contains("fits with weights in q4_0 and a context of 2048"), "{}", refused(four));
        assert!(refused(100 << 20).contains("does not fit in any format"));
    }

    #[test]
    fn a_chunk_of_a_prompt_fits_the_bindings_of_every_device() {
        let webgpu = Capabilities::webgpu();
        for shape in Config::shapes() {
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
