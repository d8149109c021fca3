//! Requests that wait for the engine.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use lapidary_engine::Sampling;
use tokio::sync::mpsc::Sender;

use super::error::ApiError;
use super::logprobs::TokenLogprob;

/// A request for the engine: replies to one or more prompts.
pub(super) struct Job {
    /// Token ids. Each prompt has at least one, and fits the context.
    pub(super) prompts: Vec<Vec<u32>>,
    /// Replies per prompt.
    pub(super) n: usize,
    /// The seed is of the first reply; each further one has the next seed.
    pub(super) sampling: Sampling,
    pub(super) stops: Vec<String>,
    /// Alternatives to list at each position; `None` without log-probabilities.
    pub(super) logprobs: Option<usize>,
    /// Whether log-probabilities of the prompt are wanted too.
    pub(super) echo: bool,
    /// Where the replies go. Closed when the client is gone.
    pub(super) events: Sender<Event>,
    /// Replies that are complete.
    pub(super) done: usize,
}

impl Job {
    /// How many replies it has in all. Reply `i` belongs to prompt `i / n`.
    pub(super) fn choices(&self) -> usize {
        self.prompts.len() * self.n
    }
}

/// A part of a reply.
pub(super) enum Event {
    /// More text of a reply.
    Text { choice: usize, text: String },
    /// A reply is complete.
    Ended { choice: usize, end: End },
    /// The request failed, and nothing follows.
    Failed(ApiError),
}

/// How a reply ended.
pub(super) struct End {
    /// `stop` or `length`.
    pub(super) finish: &'static str,
    /// Tokens that the model produced, with the one that ended the reply.
    pub(super) tokens: usize,
    /// Tokens of the prompt that were in the cache.
    pub(super) cached: usize,
    /// For each token of the prompt, if that was asked for, and of the reply.
    pub(super) logprobs: Option<Vec<TokenLogprob>>,
}

/// A bounded queue from connections to the engine's thread.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    most: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    /// A queue in which at most this many requests wait.
    pub(super) fn new(most: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), most }
    }

    /// Adds a request, unless so many wait already.
    ///
    /// # Errors
    /// 429 if the queue is full, and 503 if it is closed.
    pub(super) fn submit(&self, job: Job) -> Result<(), ApiError> {
        let mut state = self.lock();
        if state.closed {
            return Err(ApiError::stopping());
        }
        // Those of clients that are gone take no place.
        state.jobs.retain(|job| !job.events.is_closed());
        if state.jobs.len() >= self.most {
            let message = format!("{} requests are waiting already; try again later", state.jobs.len());
            let status = axum::http::StatusCode::TOO_MANY_REQUESTS;
            return Err(ApiError::new(status, "queue_full", message).retry_after(1 + state.jobs.len() as u64));
        }
        state.jobs.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    /// Puts back a request that has replies to come, behind the others. It keeps its place even if the queue is full or closed.
    pub(super) fn put_back(&self, job: Job) {
        self.lock().jobs.push_back(job);
    }

    /// Waits for a request; `None` once the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            while let Some(job) = state.jobs.pop_front() {
                if !job.events.is_closed() {
                    return Some(job);
                }
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Refuses further requests. Those that wait are still answered.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Drops all requests and refuses further ones.
    pub(super) fn abandon(&self) {
        self.close();
        self.lock().jobs.clear();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Requests that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().jobs.iter().filter(|job| !job.events.is_closed()).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::{Receiver, channel};

    fn job() -> (Job, Receiver<Event>) {
        let (events, receiver) = channel(1);
        let sampling = Sampling::default();
        let (prompts, stops) = (vec![vec![1]], Vec::new());
        (Job { prompts, n: 1, sampling, stops, logprobs: None, echo: false, events, done: 0 }, receiver)
    }

    #[test]
    fn a_client_that_goes_away_frees_its_place() {
        let queue = Queue::new(1);
        let (first, receiver) = job();
        assert!(queue.submit(first).is_ok());
        let (second, _kept) = job();
        assert_eq!(queue.submit(second).unwrap_err().into_response().status(), 429);
        drop(receiver);
        assert_eq!(queue.len(), 0);
        let (third, _kept) = job();
        assert!(queue.submit(third).is_ok());
        assert!(queue.take().is_some());
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_takes_no_more() {
        let queue = Queue::new(8);
        let (first, _first) = job();
        let (second, _second) = job();
        assert!(queue.submit(first).is_ok());
        queue.close();
        assert_eq!(queue.submit(second).unwrap_err().into_response().status(), 503);
        assert!(queue.take().is_some());
        assert!(queue.take().is_none());
    }
}
