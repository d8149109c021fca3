//! The logits of every token of a prompt.

use crate::error::Result;
use crate::gpu::{Gpu, Plan, Readback, Recording};
use crate::model::{Activations, Body, Head, record_body, record_head};
use crate::ops::Mode;
use crate::runner::Runner;

/// What computes the logits of every token of a chunk of a prompt, for the sequences of a runner.
pub(crate) struct PromptLogits {
    pub(crate) activations: Activations,
    /// All layers, then the head as the last segment.
    pub(crate) plan: Plan,
    readback: Option<Readback>,
    vocab_size: usize,
}

impl PromptLogits {
    /// For chunks of up to `tokens` tokens, or of as many as the device can bind.
    ///
    /// # Errors
    /// The errors of buffers and pipelines.
    pub(crate) async fn new(runner: &Runner, tokens: usize) -> Result<Self> {
        let inner = &runner.engine.inner;
        let (config, capabilities) = (&inner.config, inner.gpu.capabilities());
        let most = Activations::most_tokens(config, capabilities, true);
        let rows = tokens.min(inner.prefill_chunk).min(most);
        let activations = Activations::new(config, capabilities, rows, rows);
        let mut r = Recording::new(capabilities);
        record_body(&mut r, Body::Prompt(Mode::Prefill), inner.model(), &runner.buffers, &activations);
        record_head(&mut r, Head::AllLogits, inner.model(), &runner.buffers, &activations);
        let plan = r.finish(&inner.gpu, &runner.ring).await?;
        let readback = Some(Readback::new(&inner.gpu, activations.logits.buffer().bytes()).await?);
        Ok(Self { activations, plan, readback, vocab_size: config.vocab_size })
    }

    /// The most tokens of a chunk.
    pub(crate) fn most_tokens(&self) -> usize {
        self.activations.logits.rows()
    }

    /// Reads the logits of the first `tokens` tokens of the chunk. `read` gets a row of `[vocab_size]` for each.
    ///
    /// # Errors
    /// If the device is lost, and the errors of buffers.
    pub(crate) async fn read<T>(
        &mut self,
        gpu: &Gpu,
        tokens: usize,
        read: impl FnOnce(&mut dyn Iterator<Item = &[f32]>) -> T,
    ) -> Result<T> {
        let logits = &self.activations.logits;
        let bytes = 4 * (tokens * logits.stride()) as u64;
        let of_rows = |bytes: &[u8]| {
            let padded: &[f32] = bytemuck::cast_slice(bytes);
            read(&mut padded.chunks_exact(logits.stride()).map(|row| &row[..self.vocab_size]))
        };
        Readback::reuse(&mut self.readback, gpu, logits.buffer(), bytes, of_rows).await
    }
}
