//! The log-probabilities of prompts.

use super::Scheduler;
use super::request::{Event, TokenLogprobs};
use crate::error::{Error, Result};
use crate::prompt_logits::PromptLogits;

/// Tokens of a piece: few, because replies wait for it.
const PIECE_TOKENS: usize = 8;

/// The log-probabilities of the prompt under way.
pub(super) struct Scores {
    logits: PromptLogits,
    found: Vec<TokenLogprobs>,
}

impl Scheduler {
    /// Computes a piece of the prompt under way, with the log-probabilities of its tokens.
    pub(super) async fn score_piece(&mut self) -> Result<()> {
        if self.scores.is_none() {
            match PromptLogits::new(&self.runner, PIECE_TOKENS).await {
                Ok(logits) => self.scores = Some(Scores { logits, found: Vec::new() }),
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
        let (inner, logits) = (&self.runner.engine.inner, &mut scores.logits);
        let (start, last) = (prompt.sequence.tokens().len(), prompt.tokens.len() - 1);
        if start == 0 {
            scores.found.clear();
        }
        if start < last {
            let end = last.min(start + logits.most_tokens());
            if let Err(error) = prompt.sequence.reserve(end) {
                self.postpone_prompt(error);
                return Ok(());
            }
            let piece = &prompt.tokens[start..end];
            let step = logits.activations.begin(&inner.gpu, piece, start, prompt.sequence.slot());
            let segments = 0..logits.plan.segments();
            inner.gpu.run_segments(&mut self.runner.ring, &logits.plan, segments, &step).await?;
            let top = prompt.job.prompt_logprobs.unwrap_or(0);
            let next = &prompt.tokens[start + 1..end + 1];
            let of_rows = |rows: &mut dyn Iterator<Item = &[f32]>| {
                let scored = rows.zip(next);
                let scored = scored.map(|(row, id)| TokenLogprobs::new(*id, top, &row[..inner.usable_vocab]));
                scored.collect::<Vec<_>>()
            };
            let found = logits.read(&inner.gpu, piece.len(), of_rows).await?;
            scores.found.extend(found);
            prompt.sequence.extend(piece);
            prompt.job.clock.timings.prefill_tokens += piece.len();
        }
        if prompt.sequence.tokens().len() == last {
            let logprobs = std::mem::take(&mut scores.found);
            prompt.job.prompt_logprobs = None;
            self.events.push(Event::Prompt { id: prompt.job.id, logprobs });
            self.begin_reply();
        }
        Ok(())
    }
}
