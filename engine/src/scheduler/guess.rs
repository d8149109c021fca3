//! Guesses for a reply that is alone.

use super::in_flight::{Row, Rows, StepInFlight, StepOutput};
use super::{Active, Scheduler};
use crate::error::Result;
use crate::gpu::Step;
use crate::runner::Runner;
use crate::speculation::Next;

impl Scheduler {
    /// Submits a step with a guess, if one pays and the step can be submitted now. Returns whether no other step is to be submitted
    /// before the next one has ended.
    pub(super) async fn guess(&mut self) -> Result<bool> {
        if self.in_flight.iter().any(StepInFlight::is_guessing) {
            return Ok(true);
        }
        let [Active { job, sequence, guesses }] = &mut self.active[..] else { return Ok(false) };
        if job.reads_logits() || job.needs_host() {
            return Ok(false);
        }
        // A step with a guess draws one token more than it guesses.
        let most = job.steps_left().saturating_sub(1);
        let draw = job.step(sequence.position(), sequence.slot());
        let guess = match guesses.next(&self.speculation, &self.runner, &job.sampling, sequence.taken(), most) {
            Next::Plain => return Ok(false),
            // A guess follows the newest token, and the steps in flight come before.
            _ if !self.in_flight.is_empty() => return Ok(true),
            Next::Text(guess) => guess,
            Next::Model(tokens) => self.speculation.ask_model(sequence.taken(), tokens, &job.sampling, &draw).await?,
        };
        let end = sequence.position() + 1 + guess.tokens.len();
        if guess.tokens.is_empty() || sequence.reserve(end).is_err() {
            return Ok(false);
        }
        let row = |i| Row::new(job, &Step { draw: draw.draw + i, ..draw });
        let rows = Rows::new(&self.runner, (0..=guess.tokens.len() as u32).map(row));
        let readback = self.readbacks.of(&self.runner, &rows).await?;
        let Runner { engine, plans, activations, ring, .. } = &mut self.runner;
        let gpu = &engine.inner.gpu;
        let steps = plans.checking(gpu, activations, sequence, &guess.tokens, &draw, &job.sampling);
        let submitted = StepInFlight::submit(gpu, readback, rows, |copy| gpu.encode_steps(ring, &steps, copy));
        sequence.advance(1 + guess.tokens.len());
        job.submitted(1 + guess.tokens.len());
        guesses.submitted(&guess);
        self.in_flight.push_back(submitted.with_guess(guess.tokens));
        Ok(true)
    }

    /// Learns from a step without guesses how long it takes, if it is of one reply.
    pub(super) fn learn_time(&mut self, rows: &[Row], output: &StepOutput) {
        for row in rows {
            let Some(active) = self.active.iter_mut().find(|active| active.job.id == row.id) else { continue };
            match rows {
                [row] if !active.job.needs_host() && !active.job.reads_logits() => {
                    active.guesses.take(&mut self.speculation, output.word(row), None);
                }
                _ => active.guesses.skip_time(),
            }
        }
    }

    /// Leaves the rows of a step up to the first whose guess was wrong.
    pub(super) fn check(&mut self, rows: &mut Vec<Row>, guess: &[u32], output: &StepOutput) {
        let Some(first) = rows.first() else { return };
        let Some(active) = self.active.iter_mut().find(|active| active.job.id == first.id) else { return };
        let drawn: Vec<u32> = rows.iter().map(|row| output.word(row)).collect();
        let checked = active.sequence.check(guess, &drawn);
        active.job.checked(checked);
        active.guesses.take(&mut self.speculation, drawn[0], Some(checked));
        rows.truncate(checked.right + 1);
    }
}
