//! Guesses for a reply that is alone.

use super::flight::{Flight, Landed, Row, Rows};
use super::{Active, Scheduler};
use crate::error::Result;
use crate::runner::Runner;
use crate::speculation::Next;

impl Scheduler {
    /// Submits a step with a guess, if one pays and the step can be submitted now. Returns whether no other step is to be submitted
    /// before the next one has ended.
    pub(super) async fn guess(&mut self) -> Result<bool> {
        if self.flights.iter().any(Flight::is_guessing) {
            return Ok(true);
        }
        let [Active { job, sequence, guesses }] = &mut self.active[..] else { return Ok(false) };
        if job.reads_logits() || job.needs_host() {
            return Ok(false);
        }
        // A step with a guess draws one token more than it guesses.
        let most = job.steps_left().saturating_sub(1);
        let guess = match guesses.next(&self.speculation, &self.runner, &job.sampling, sequence.taken(), most) {
            Next::Plain => return Ok(false),
            // A guess follows the newest token, and the steps in flight come before.
            _ if !self.flights.is_empty() => return Ok(true),
            Next::Text(guess) => guess,
            Next::Model(tokens) => {
                let draw = job.next_draw();
                self.speculation.ask_model(sequence.taken(), tokens, &draw).await?
            }
        };
        let end = sequence.position() + 1 + guess.tokens.len();
        if guess.tokens.is_empty() || sequence.reserve(end).is_err() {
            return Ok(false);
        }
        let Runner { engine, plans, slots, activations, ring, .. } = &mut self.runner;
        let (gpu, results) = (&engine.inner.gpu, &slots.sink.results);
        let draw = job.step(sequence.position(), sequence.slot());
        let row = |i| Row { id: job.id, slot: draw.slot, draw: draw.draw + i, reads_logits: false };
        let rows = Rows {
            rows: (0..=guess.tokens.len() as u32).map(row).collect(),
            result_bytes: results.bytes(),
            logits_bytes: 0,
        };
        // Nothing waits after this, so a step that is dropped has changed nothing or is in flight.
        let readback = self.readbacks.of(gpu, rows.bytes()).await?;
        let ids: Vec<u32> = sequence.taken().last().into_iter().chain(&guess.tokens).copied().collect();
        let steps = plans.checking(gpu, activations, &ids, &draw, &job.sampling);
        let (results, logits) = (results.memory(), activations.logits.buffer().memory());
        let commands = gpu.encode_steps(ring, &steps, |encoder| rows.copy(encoder, &readback, results, logits));
        let flight = Flight::new(rows, gpu.submit_commands([commands]), readback);
        sequence.advance(ids.len())?;
        job.submitted(ids.len());
        guesses.submitted(&guess);
        self.flights.push_back(flight.with_guess(guess.tokens));
        Ok(true)
    }

    /// Learns from a step without guesses how long it takes, if it is of one reply.
    pub(super) fn learn_time(&mut self, rows: &[Row], landed: &Landed) {
        for row in rows {
            let Some(active) = self.active.iter_mut().find(|active| active.job.id == row.id) else { continue };
            match rows {
                [row] if !active.job.needs_host() && !active.job.reads_logits() => {
                    active.guesses.take(&mut self.speculation, landed.word(row), None);
                }
                _ => active.guesses.skip_time(),
            }
        }
    }

    /// Leaves the rows of a step up to the first whose guess was wrong.
    pub(super) fn check(&mut self, rows: &mut Vec<Row>, guess: &[u32], landed: &Landed) {
        let right = guess.iter().zip(&*rows).take_while(|(guess, row)| **guess == landed.word(row)).count();
        let Some(first) = rows.first() else { return };
        if let Some(active) = self.active.iter_mut().find(|active| active.job.id == first.id) {
            active.job.checked(guess.len(), right);
            active.guesses.take(&mut self.speculation, landed.word(first), Some((guess.len(), right)));
            if right < guess.len() {
                active.sequence.take_back(guess.len() - right, landed.word(&rows[right]));
            }
        }
        rows.truncate(right + 1);
    }
}
