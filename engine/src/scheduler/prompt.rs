//! The prompt under way, which is computed in pieces.

use std::time::Duration;

use web_time::Instant;

use super::in_flight::{Row, Rows, StepInFlight};
use super::job::Job;
use super::{Active, Scheduler};
use crate::error::Result;
use crate::gpu::Step;
use crate::runner::{Chunk, Runner};
use crate::sequence::Sequence;
use crate::speculation::Guesses;

/// The time after which a piece of a prompt submits no more. Replies wait for what it has submitted: mostly two submits, of which each
/// takes up to about 60 ms (`pace.rs`).
const PIECE_TIME: Duration = Duration::from_millis(40);

/// A request whose prompt is being computed.
pub(super) struct Prompt {
    pub(super) job: Job,
    pub(super) sequence: Sequence,
    /// The prompt; after a reply gave its place back, with what it had.
    pub(super) tokens: Vec<u32>,
    /// The chunk under way, and the position after it.
    pub(super) chunk: Option<(Chunk, usize)>,
}

impl Scheduler {
    /// Computes the next layers of the prompt under way. For one sequence, the last piece ends with the reply's first token, which comes
    /// sooner so. Of several, the last token of the prompt is left to the decode steps: a product of a prompt may round otherwise, and
    /// the same request would get another reply where all of its prompt but the last token is in the cache.
    pub(super) async fn compute_piece(&mut self) -> Result<()> {
        if self.prompt.as_ref().is_some_and(|prompt| prompt.job.prompt_logprobs.is_some()) {
            return self.score_piece().await;
        }
        let Some(prompt) = &mut self.prompt else { return Ok(()) };
        let (start, last) = (prompt.sequence.tokens().len(), prompt.tokens.len() - 1);
        if start < last {
            if prompt.chunk.is_none() {
                let to_reply = self.sequences == 1 && prompt.job.most_steps > 0;
                let all = if to_reply { prompt.tokens.len() } else { last };
                let end = all.min(start + self.runner.pace.chunk());
                if let Err(error) = prompt.sequence.reserve(end) {
                    self.postpone_prompt(error);
                    return Ok(());
                }
                let chunk = &prompt.tokens[start..end];
                prompt.chunk = Some((self.runner.begin_chunk(chunk, start, prompt.sequence.slot()), end));
            }
            if let Some((chunk, end)) = &mut prompt.chunk {
                let started = Instant::now();
                while !chunk.is_done() && started.elapsed() < PIECE_TIME {
                    self.runner.run_segments(chunk).await?;
                }
                if chunk.is_done() && *end > last {
                    return self.submit_first().await;
                }
                if chunk.is_done() {
                    prompt.sequence.extend(&prompt.tokens[start..*end]);
                    prompt.job.clock.timings.prefill_tokens += *end - start;
                    prompt.chunk = None;
                }
            }
        }
        if prompt.sequence.tokens().len() == last {
            self.begin_reply();
        }
        Ok(())
    }

    /// Submits what draws the first token of the reply to the prompt under way, whose layers are computed.
    async fn submit_first(&mut self) -> Result<()> {
        let Some(Prompt { job, sequence, tokens, .. }) = &mut self.prompt else { return Ok(()) };
        let new = &tokens[sequence.tokens().len()..];
        let step = Step { n_tokens: new.len() as u32, ..job.step(sequence.tokens().len(), sequence.slot()) };
        let rows = Rows::new(&self.runner, std::iter::once(Row::new(job, &step)));
        let readback = self.readbacks.of(&self.runner, &rows).await?;
        // Nothing waits after this.
        job.allow(sequence);
        let Runner { engine, plans, ring, .. } = &mut self.runner;
        let gpu = &engine.inner.gpu;
        let parts = [&plans.prompt_logits, plans.choice(&job.sampling)];
        let submitted = StepInFlight::submit(gpu, readback, rows, |copy| gpu.encode_step(ring, &parts, &step, copy));
        self.in_flight.push_back(submitted);
        sequence.extend(new);
        job.clock.timings.prefill_tokens += new.len();
        job.submitted(1);
        self.activate();
        Ok(())
    }

    /// Leaves the last token of the prompt under way to the decode steps.
    pub(super) fn begin_reply(&mut self) {
        let Some(Prompt { job, sequence, tokens, .. }) = &mut self.prompt else { return };
        if job.most_steps == 0 {
            self.events.push(job.finished(false));
            self.end_prompt();
        } else if let Some(&last) = tokens.last() {
            job.clock.timings.prefill_tokens += 1;
            sequence.set_token(last);
            sequence.push(last);
            self.activate();
        }
    }

    /// Lets the reply to the prompt under way grow.
    fn activate(&mut self) {
        let Some(Prompt { job, sequence, .. }) = self.prompt.take() else { return };
        self.active.push(Active { job, sequence, guesses: Guesses::default() });
    }

    /// Ends the request whose prompt is being computed, and keeps what is computed of it.
    pub(super) fn end_prompt(&mut self) {
        self.kept.extend(self.prompt.take().map(|prompt| prompt.sequence));
    }
}
