//! One sequence with a runner for itself.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::generation::{Decoding, Finish, Timings};
use crate::gpu::{Readback, Recording, Step};
use crate::model::{Activations, Head, record_body, record_head};
use crate::ops::Mode;
use crate::runner::Runner;
use crate::sampling::Sampling;
use crate::sequence::Sequence;

/// Rows of logits made at once when a caller wants all of them.
const LOGIT_ROWS: usize = 32;

/// A sequence of tokens with its KV cache, and a runner to extend it. Owns all the buffers that a step needs; the weights stay
/// with the engine. Several sequences can share one [`Runner`] instead.
pub struct Session {
    pub(crate) runner: Runner,
    pub(crate) sequence: Sequence,
}

impl Engine {
    /// A new, empty session.
    ///
    /// # Errors
    /// If there is no memory for its cache.
    pub async fn session(&self) -> Result<Session> {
        let runner = Runner::new(self).await?;
        let sequence = runner.sequence().await?;
        Ok(Session { runner, sequence })
    }

    /// [`Engine::session`], blocking.
    ///
    /// # Errors
    /// As for `session`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn session_blocking(&self) -> Result<Session> {
        pollster::block_on(self.session())
    }
}

/// A generation of a session: call [`Generation::next`] until it returns `None`.
pub struct Generation<'s> {
    session: &'s mut Session,
    decoding: Decoding,
}

impl Generation<'_> {
    /// The next token, or `None` at the end; a stop token ends the generation and is not returned.
    ///
    /// # Errors
    /// If the device is lost or refuses a command.
    pub async fn next(&mut self) -> Result<Option<u32>> {
        self.decoding.next(&mut self.session.runner, &mut self.session.sequence).await
    }

    /// [`Generation::next`], blocking.
    ///
    /// # Errors
    /// As for `next`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn next_blocking(&mut self) -> Result<Option<u32>> {
        pollster::block_on(self.next())
    }

    /// Why the generation ended, once it has.
    pub fn finish(&self) -> Option<Finish> {
        self.decoding.finish()
    }

    /// How long it took so far.
    pub fn timings(&self) -> Timings {
        self.decoding.timings()
    }
}

impl Session {
    /// The tokens whose keys and values the session holds.
    pub fn tokens(&self) -> &[u32] {
        self.sequence.tokens()
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.runner.engine
    }

    /// Forgets all tokens from `len` on. Free: what is in the cache beyond stays unseen.
    pub fn rewind(&mut self, len: usize) {
        self.sequence.rewind(len);
    }

    /// An independent session with the same tokens.
    ///
    /// # Errors
    /// If there is no memory for a second cache.
    pub async fn fork(&self) -> Result<Self> {
        let runner = Runner::new(self.engine()).await?;
        let sequence = runner.fork(&self.sequence).await?;
        Ok(Self { runner, sequence })
    }

    /// [`Session::fork`], blocking.
    ///
    /// # Errors
    /// As for `fork`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fork_blocking(&self) -> Result<Self> {
        pollster::block_on(self.fork())
    }

    /// Continues `prompt` as `sampling` says. Tokens that the session holds already are not computed again: a second turn
    /// costs only what is new.
    ///
    /// Nothing runs until [`Generation::next`]; dropping the generation cancels it.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::TokenOutOfRange`], [`Error::ContextFull`], [`Error::Setting`].
    pub fn generate<'s>(&'s mut self, prompt: &[u32], sampling: &Sampling) -> Result<Generation<'s>> {
        let decoding = Decoding::new(self.engine(), prompt, sampling)?;
        Ok(Generation { session: self, decoding })
    }

    /// The logits of the token that would follow `prompt`, after the soft-cap: as many as the vocabulary has tokens.
    ///
    /// # Errors
    /// As for [`Session::generate`].
    pub async fn next_logits(&mut self, prompt: &[u32]) -> Result<Vec<f32>> {
        let sampling = Sampling { max_tokens: Some(1), ..Sampling::greedy() };
        self.generate(prompt, &sampling)?.next().await?;
        self.runner.activations.logits.read(&self.runner.engine.inner.gpu, 1).await
    }

    /// [`Session::next_logits`], blocking.
    ///
    /// # Errors
    /// As for `next_logits`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn next_logits_blocking(&mut self, prompt: &[u32]) -> Result<Vec<f32>> {
        pollster::block_on(self.next_logits(prompt))
    }

    /// Logits of every position of `tokens` from `first` on, from an empty cache: `sink` gets each position's row of the
    /// vocabulary's size, in order, and returns whether to go on.
    ///
    /// # Errors
    /// As for [`Session::generate`], and [`Error::Cancelled`].
    pub async fn logits(
        &mut self,
        tokens: &[u32],
        first: usize,
        mut sink: impl FnMut(usize, &[f32]) -> bool,
    ) -> Result<()> {
        let engine = self.engine().clone();
        engine.check_prompt(tokens)?;
        self.sequence.drain().await?;
        self.sequence.rewind(0);
        let inner = &engine.inner;
        let gpu = &inner.gpu;
        let rows = LOGIT_ROWS.min(inner.prefill_chunk);
        let activations = Activations::new(&inner.config, gpu.capabilities(), rows, rows);
        let state = &self.sequence.state;
        let mut r = Recording::new(gpu.capabilities());
        record_body(&mut r, Mode::Prefill, inner.model(), state, &activations);
        record_head(&mut r, Head::AllLogits, inner.model(), state, &activations, inner.usable_vocab);
        let ring = &mut self.runner.ring;
        let plan = r.finish(gpu, ring).await?;
        let stride = activations.logits.stride();
        let readback = Readback::new(gpu, 4 * (rows * stride) as u64).await?;
        for (i, chunk) in tokens.chunks(rows).enumerate() {
            gpu.write(&activations.tokens, 0, bytemuck::cast_slice(chunk));
            let position = i * rows;
            let step = Step { n_tokens: chunk.len() as u32, position: position as u32, ..Step::default() };
            // The last segment is the head, which early positions do not need.
            let wanted = position + chunk.len() > first;
            for segment in 0..plan.segments() - usize::from(!wanted) {
                gpu.run_segments(ring, &plan, segment..segment + 1, &step).await?;
            }
            self.sequence.extend(chunk);
            if !wanted {
                continue;
            }
            let bytes = 4 * (chunk.len() * stride) as u64;
            let go_on = readback
                .read(gpu, activations.logits.buffer().memory(), bytes, |bytes| {
                    let padded: &[f32] = bytemuck::cast_slice(bytes);
                    padded
                        .chunks_exact(stride)
                        .enumerate()
                        .skip(first.saturating_sub(position))
                        .all(|(row, logits)| sink(position + row, &logits[..inner.config.vocab_size]))
                })
                .await?;
            if !go_on {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }

    /// [`Session::logits`], blocking.
    ///
    /// # Errors
    /// As for `logits`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn logits_blocking(
        &mut self,
        tokens: &[u32],
        first: usize,
        sink: impl FnMut(usize, &[f32]) -> bool,
    ) -> Result<()> {
        pollster::block_on(self.logits(tokens, first, sink))
    }
}
