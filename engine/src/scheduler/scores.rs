//! The log-probabilities of prompts.

use super::Scheduler;
use super::request::{Event, TokenLogprobs};
use crate::error::{Error, Result};
use crate::gpu::{Plan, Readback, Recording, Step};
use crate::model::{Activations, Body, Head, record_body, record_head};
use crate::ops::Mode;

/// Tokens of a piece: few, because replies wait for it.
const PIECE: usize = 8;

/// What computes the logits of each token of a piece of a prompt.
pub(super) struct Scores {
    activations: Activations,
    plan: Plan,
    readback: Readback,
    /// Those of the prompt under way.
    found: Vec<TokenLogprobs>,
}

impl Scores {
    async fn new(scheduler: &Scheduler) -> Result<Self> {
        let (runner, inner) = (&scheduler.runner, &scheduler.runner.engine.inner);
        let rows = PIECE.min(inner.prefill_chunk);
        let activations = Activations::new(&inner.config, inner.gpu.capabilities(), rows, rows);
        let mut r = Recording::new(inner.gpu.capabilities());
        record_body(&mut r, Body::Prompt(Mode::Prefill), inner.model(), &runner.slots, &activations);
        record_head(&mut r, Head::AllLogits, inner.model(), &runner.slots, &activations, inner.usable_vocab);
        let plan = r.finish(&inner.gpu, &runner.ring).await?;
        let readback = Readback::new(&inner.gpu, activations.logits.buffer().bytes()).await?;
        Ok(Self { activations, plan, readback, found: Vec::new() })
    }
}

impl Scheduler {
    /// Computes a piece of the prompt under way, with the log-probabilities of its tokens.
    pub(super) async fn score_piece(&mut self) -> Result<()> {
        if self.scores.is_none() {
            match Scores::new(self).await {
                Ok(scores) => self.scores = Some(scores),
                // The other requests need no such memory.
                Err(error @ Error::OutOfMemory { .. }) => {
                    if let Some(prompt) = self.prompt.take() {
                        self.events.push(Event::Failed { id: prompt.job.id, error });
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        let (Some(scores), Some(prompt)) = (&mut self.scores, &mut self.prompt) else { return Ok(()) };
        let inner = &self.runner.engine.inner;
        let (start, last) = (prompt.sequence.tokens().len(), prompt.tokens.len() - 1);
        if start == 0 {
            scores.found.clear();
        }
        if start < last {
            let end = last.min(start + scores.activations.logits.rows());
            if let Err(error) = prompt.sequence.reserve(end) {
                return self.give_way(error);
            }
            let piece = &prompt.tokens[start..end];
            inner.gpu.write(&scores.activations.tokens, 0, bytemuck::cast_slice(piece));
            // Contexts are far shorter than 2^32.
            let (n_tokens, position, slot) = (piece.len() as u32, start as u32, prompt.sequence.slot());
            let step = Step { n_tokens, position, slot, ..Step::default() };
            inner.gpu.run_segments(&mut self.runner.ring, &scores.plan, 0..scores.plan.segments(), &step).await?;
            let (logits, top) = (&scores.activations.logits, prompt.job.prompt_logprobs.unwrap_or(0));
            let next = &prompt.tokens[start + 1..end + 1];
            let bytes = 4 * (piece.len() * logits.stride()) as u64;
            let of_rows = |bytes: &[u8]| {
                let rows = bytemuck::cast_slice::<u8, f32>(bytes).chunks_exact(logits.stride());
                let rows =
                    rows.zip(next).map(|(row, token)| TokenLogprobs::new(*token, top, &row[..inner.usable_vocab]));
                rows.collect::<Vec<_>>()
            };
            let found = scores.readback.read(&inner.gpu, logits.buffer().memory(), bytes, of_rows).await?;
            scores.found.extend(found);
            prompt.sequence.extend(piece);
            prompt.job.computed += piece.len();
        }
        if prompt.sequence.tokens().len() == last {
            let logprobs = std::mem::take(&mut scores.found);
            prompt.job.prompt_logprobs = None;
            self.events.push(Event::Prompt { id: prompt.job.id, logprobs });
            self.activate();
        }
        Ok(())
    }
}
