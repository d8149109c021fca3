//! Writes a batch's results and counts them.

use std::collections::VecDeque;
use std::time::Instant;

use lapidary_engine::MAX_SEQUENCES;
use serde_json::Value;

use super::entry::Place;
use super::results::Results;
use super::{BatchError, Progress};
use crate::server::error::ApiError;

/// More failures than requests can be in the engine's hands prove that it went on after the oldest.
const MOST_DOUBTFUL: usize = 2 * MAX_SEQUENCES;

/// The results and how many there are.
pub(super) struct Writer<F> {
    results: Results,
    progress: Progress,
    started: Instant,
    on_progress: F,
    /// Results of replies that the engine could not make. They count only if it is not the engine as a whole that failed.
    doubtful: VecDeque<(Place, ApiError)>,
}

impl<F: FnMut(&Progress)> Writer<F> {
    /// Makes the output ready.
    pub(super) fn new(results: Results, progress: Progress, on_progress: F) -> Result<Self, BatchError> {
        let mut writer = Self { results, progress, started: Instant::now(), on_progress, doubtful: VecDeque::new() };
        writer.results.begin()?;
        (writer.on_progress)(&writer.progress);
        Ok(writer)
    }

    /// Takes the result of a request.
    pub(super) fn take(&mut self, place: Place, result: Result<Value, ApiError>) -> Result<(), BatchError> {
        match result {
            Err(error) if error.status() >= 500 => {
                self.doubtful.push_back((place, error));
                if self.doubtful.len() > MOST_DOUBTFUL
                    && let Some((place, error)) = self.doubtful.pop_front()
                {
                    self.add(&place, Err(error))?;
                }
                Ok(())
            }
            result => self.add(&place, result),
        }
    }

    /// Writes the failures of single replies, because the engine itself has not failed.
    pub(super) fn add_doubtful(&mut self) -> Result<(), BatchError> {
        std::mem::take(&mut self.doubtful).into_iter().try_for_each(|(place, error)| self.add(&place, Err(error)))
    }

    /// Forces everything to the disk.
    pub(super) fn finish(mut self) -> Result<Progress, BatchError> {
        self.results.sync()?;
        self.progress.elapsed = self.started.elapsed();
        Ok(self.progress)
    }

    fn add(&mut self, place: &Place, result: Result<Value, ApiError>) -> Result<(), BatchError> {
        let tokens = result.as_ref().ok().and_then(|body| body["usage"]["completion_tokens"].as_u64());
        let has_failed = result.is_err();
        self.results.add(place, result)?;
        let progress = &mut self.progress;
        progress.done += 1;
        progress.new += 1;
        progress.failed += u64::from(has_failed);
        progress.tokens += tokens.unwrap_or_default();
        progress.elapsed = self.started.elapsed();
        (self.on_progress)(progress);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The engine may have failed after it, and then the later requests have no result yet.
    #[test]
    fn more_failures_than_requests_in_the_engines_hands_prove_the_oldest_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (results, _) = Results::open(&folder.path().join("results.jsonl")).unwrap();
        let progress = Progress { total: 0, done: 0, failed: 0, new: 0, tokens: 0, elapsed: Duration::ZERO };
        let mut writer = Writer::new(results, progress, |_: &Progress| {}).unwrap();
        for line in 1..=MOST_DOUBTFUL as u64 + 2 {
            let place = Place { custom_id: line.to_string(), line, hash: 0 };
            writer.take(place, Err(ApiError::no_engine())).unwrap();
        }
        assert_eq!(writer.finish().unwrap().failed, 2);
    }
}
