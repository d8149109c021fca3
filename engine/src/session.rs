//! One sequence: a scheduler with room for no other.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::generation::Decoding;
use crate::outcome::{Finish, Timings};
use crate::prompt_logits::PromptLogits;
use crate::sampling::Sampling;
use crate::scheduler::{Scheduler, SchedulerOptions};
use crate::sequence::Sequence;
use crate::speculation::Speculation;

/// Rows of logits per step of [`Session::logits`].
const LOGIT_ROWS: usize = 32;

/// A sequence of tokens with its KV cache, and what extends it. A session owns all buffers of a step except the weights,
/// which belong to the engine. A [`Scheduler`](crate::Scheduler) lets many sequences share buffers.
pub struct Session {
    pub(crate) scheduler: Scheduler,
}

impl Engine {
    /// A new, empty session.
    ///
    /// # Errors
    /// If there is no memory for its cache.
    pub async fn session(&self) -> Result<Session> {
        let options = SchedulerOptions { sequences: 1, cache_tokens: self.context() };
        Ok(Session { scheduler: Scheduler::new(self, &options).await? })
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

/// A generation in progress: call [`Generation::next`] until it returns `None`.
pub struct Generation<'s> {
    session: &'s mut Session,
    decoding: Decoding,
}

impl Generation<'_> {
    /// The next token, or `None` at the end; a stop token ends the generation and is not returned.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`] if the device fails, [`Error::NoToken`] if all logits are NaN, and
    /// [`Error::Internal`].
    pub async fn next(&mut self) -> Result<Option<u32>> {
        self.decoding.next(&mut self.session.scheduler).await
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

    /// How long the generation has taken so far.
    pub fn timings(&self) -> Timings {
        self.decoding.timings()
    }
}

impl Session {
    /// The tokens whose keys and values the session holds.
    pub fn tokens(&self) -> &[u32] {
        self.scheduler.newest_sequence().map_or(&[], Sequence::tokens)
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.scheduler.engine()
    }

    /// Sets how tokens of replies are guessed ahead from now on.
    ///
    /// # Errors
    /// [`Error::Setting`] if another model is to guess tokens whose vocabulary is not the engine's.
    pub fn speculate(&mut self, speculation: Speculation) -> Result<()> {
        self.scheduler.speculate(speculation)
    }

    /// Removes all tokens after the first `len`. This costs nothing: attention does not read cache positions past the
    /// sequence.
    pub fn rewind(&mut self, len: usize) {
        self.scheduler.rewind(len);
    }

    /// An independent session with the same tokens.
    ///
    /// # Errors
    /// If there is no memory for a second cache.
    pub async fn fork(&mut self) -> Result<Self> {
        let mut fork = self.engine().session().await?;
        let (_, sequence) = fork.scheduler.alone().await?;
        if let Some(own) = self.scheduler.newest_sequence() {
            sequence.begin_as(own, own.tokens().len())?;
        }
        Ok(fork)
    }

    /// Generates a continuation of `prompt`, which is the whole sequence from `<bos>` on. The session keeps the prefix
    /// that it shares with the prompt, so a second turn computes only its new tokens.
    ///
    /// Nothing runs until [`Generation::next`]. Dropping the generation cancels it: what it has submitted ends, and nothing else runs.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::TokenOutOfRange`], [`Error::ContextFull`], [`Error::Setting`].
    pub fn generate<'s>(&'s mut self, prompt: &[u32], sampling: &Sampling) -> Result<Generation<'s>> {
        let decoding = Decoding::new(self.engine(), prompt, sampling)?;
        Ok(Generation { session: self, decoding })
    }

    /// The logits of the token after `prompt`, `[vocab_size]`, after the soft-cap.
    ///
    /// # Errors
    /// As for [`Session::generate`].
    pub async fn next_logits(&mut self, prompt: &[u32]) -> Result<Vec<f32>> {
        let sampling = Sampling { max_tokens: Some(1), ..Sampling::greedy() };
        self.generate(prompt, &sampling)?.next().await?;
        let (runner, _) = self.scheduler.alone().await?;
        runner.activations.logits.read(&runner.engine.inner.gpu, 1).await
    }

    /// Computes the logits of every position of `tokens` from `first` on, starting with an empty cache. `sink` gets
    /// each position with its logits, `[vocab_size]`, in order, and returns whether to continue.
    ///
    /// # Errors
    /// As for [`Session::generate`], and [`Error::Cancelled`] if `sink` returns false.
    pub async fn logits(
        &mut self,
        tokens: &[u32],
        first: usize,
        mut sink: impl FnMut(usize, &[f32]) -> bool,
    ) -> Result<()> {
        let engine = self.engine().clone();
        engine.check_prompt(tokens, engine.context())?;
        let (runner, sequence) = self.scheduler.alone().await?;
        sequence.rewind(0);
        let gpu = &engine.inner.gpu;
        let mut logits = PromptLogits::new(runner, LOGIT_ROWS).await?;
        for (i, chunk) in tokens.chunks(logits.most_tokens()).enumerate() {
            let position = i * logits.most_tokens();
            sequence.reserve(position + chunk.len())?;
            let step = logits.activations.begin(gpu, chunk, position, sequence.slot());
            // The last segment is the head, which positions before `first` do not need.
            let wanted = position + chunk.len() > first;
            for segment in 0..logits.plan.segments() - usize::from(!wanted) {
                gpu.run_segments(&mut runner.ring, &logits.plan, segment..segment + 1, &step).await?;
            }
            sequence.extend(chunk);
            if !wanted {
                continue;
            }
            let of_rows = |rows: &mut dyn Iterator<Item = &[f32]>| {
                let mut rows = rows.enumerate().skip(first.saturating_sub(position));
                rows.all(|(row, logits)| sink(position + row, logits))
            };
            if !logits.read(gpu, chunk.len(), of_rows).await? {
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
