//! Room for requests: who begins, and who gives way.

use super::request::Event;
use super::shared_prefix::{FEWEST_TO_COPY, Holder, SharedPrefix, longest_shared_prefix};
use super::{Active, IN_FLIGHT, Prompt, Scheduler};
use crate::error::{Error, Result};
use crate::ops::PAGE;
use crate::runner::Runner;
use crate::sequence::Sequence;

impl Scheduler {
    /// Begins the next request if there is room for it.
    pub(super) fn admit(&mut self) -> Result<()> {
        let Some(job) = self.waiting.front().filter(|_| self.prompt.is_none()) else { return Ok(()) };
        let tokens = job.tokens();
        // The logits of each of its tokens need each to be computed.
        let reusable = if job.prompt_logprobs.is_some() { 0 } else { tokens.len() - 1 };
        // The only sequence goes on itself, without a copy.
        let fewest = if self.sequences == 1 { 1 } else { FEWEST_TO_COPY };
        let source = longest_shared_prefix(&self.active, &self.kept, &tokens[..reusable], fewest);
        // With room to grow: one that gave its place back would give it back again at once.
        let room = if job.reply.is_empty() { IN_FLIGHT } else { PAGE };
        let pages = (tokens.len() + room).min(self.runner.buffers.tables.context()).div_ceil(PAGE);
        let needed = pages - source.map_or(0, |source| source.len / PAGE);
        if !self.active.is_empty() && self.runner.free_pages() < needed {
            let only_kept = Sequence::pages_of_only(&self.kept);
            // What the request has in common with a kept sequence does not become free for it.
            let common = match source {
                Some(SharedPrefix { holder: Holder::Kept(i), len }) => {
                    self.kept[i].whole_pages(len).filter(|page| only_kept.contains(page)).count()
                }
                _ => 0,
            };
            if self.runner.free_pages() + only_kept.len() < needed + common {
                return Ok(());
            }
        }
        // What is kept gives way, the source last.
        let kept_source = match source {
            Some(SharedPrefix { holder: Holder::Kept(i), .. }) => self.kept.remove(i),
            _ => None,
        };
        let is_tight = |runner: &Runner| runner.free_slots() == 0 || runner.free_pages() < needed;
        while is_tight(&self.runner) && self.kept.pop_front().is_some() {}
        let len = source.map_or(0, |source| source.len);
        let sequence = match (kept_source, source) {
            // There is no other place: it goes on itself.
            (Some(mut kept), _) if is_tight(&self.runner) => {
                if !self.active.is_empty() && self.runner.free_pages() + kept.reusable_pages(len) < pages {
                    self.kept.push_back(kept);
                    return Ok(());
                }
                kept.rewind(len);
                kept
            }
            _ if is_tight(&self.runner) => return Ok(()),
            (Some(kept), _) => {
                let mut sequence = self.runner.sequence()?;
                sequence.begin_as(&kept, len)?;
                self.kept.push_back(kept);
                sequence
            }
            (None, Some(SharedPrefix { holder: Holder::Active(i), .. })) => {
                let mut sequence = self.runner.sequence()?;
                sequence.begin_as(&self.active[i].sequence, len)?;
                sequence
            }
            (None, _) => self.runner.sequence()?,
        };
        let Some(mut job) = self.waiting.pop_front() else { return Ok(()) };
        if job.reply.is_empty() {
            job.cached = sequence.tokens().len();
        }
        if job.sampling.repetition_penalty != 1.0 {
            sequence.set_seen(&tokens);
        }
        self.prompt = Some(Prompt { job, sequence, tokens, chunk: None });
        Ok(())
    }

    /// There is no page for the prompt under way: what is kept gives way, or the prompt waits for replies to end.
    pub(super) fn postpone_prompt(&mut self, error: Error) {
        if self.kept.pop_front().is_some() {
            return;
        }
        match self.prompt.take() {
            Some(prompt) if !self.active.is_empty() => self.waiting.push_front(prompt.job.again()),
            Some(prompt) => self.events.push(Event::Failed { id: prompt.job.id, error }),
            None => {}
        }
    }

    /// Makes room for a page of a reply. The newest request gives way; `false` if there is only one.
    pub(super) fn make_room(&mut self) -> bool {
        if self.kept.pop_front().is_some() {
            return true;
        }
        if let Some(prompt) = self.prompt.take() {
            self.waiting.push_front(prompt.job.again());
            return true;
        }
        if self.active.len() < 2 {
            return false;
        }
        if let Some(Active { job, .. }) = self.active.pop() {
            self.in_flight.iter_mut().for_each(|step| step.forget(job.id));
            self.waiting.push_front(job.again());
        }
        true
    }
}
