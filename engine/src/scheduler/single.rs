//! What a session asks of the scheduler of its only sequence.

use super::Scheduler;
use crate::error::Result;
use crate::plans::Plans;
use crate::runner::Runner;
use crate::sequence::Sequence;

impl Scheduler {
    /// The sequence that grows, or the one that did last.
    pub(crate) fn newest_sequence(&self) -> Option<&Sequence> {
        let active = self.active.last().map(|active| &active.sequence);
        active.or(self.prompt.as_ref().map(|prompt| &prompt.sequence)).or(self.kept.back())
    }

    /// The plans of its steps.
    pub(crate) fn plans(&self) -> &Plans {
        &self.runner.plans
    }

    /// Ends all requests. No reply is left then that a failed step has taken a token from.
    pub(crate) fn cancel_all(&mut self) {
        self.waiting.clear();
        self.end_prompt();
        while !self.active.is_empty() {
            self.end(0);
        }
        self.events.clear();
        self.failed = None;
    }

    /// Ends all requests, and removes all tokens after the first `len` of the newest sequence.
    pub(crate) fn rewind(&mut self, len: usize) {
        self.cancel_all();
        if let Some(sequence) = self.kept.back_mut() {
            sequence.rewind(len);
        }
    }

    /// Ends all requests, waits for steps in flight, and returns the newest sequence, or an empty one, with what extends it.
    ///
    /// # Errors
    /// If the device is lost.
    pub(crate) async fn alone(&mut self) -> Result<(&mut Runner, &mut Sequence)> {
        self.cancel_all();
        while !self.in_flight.is_empty() {
            self.take_step().await?;
        }
        if self.kept.is_empty() {
            self.kept.push_back(self.runner.sequence()?);
        }
        let newest = self.kept.len() - 1;
        Ok((&mut self.runner, &mut self.kept[newest]))
    }
}
