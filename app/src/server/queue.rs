//! Requests that wait for the engine.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::Sender;

use super::error::ApiError;
use super::logprobs::TokenLogprob;
use super::request::Request;

/// A request whose replies have not all begun.
pub(super) struct Job {
    pub(super) request: Arc<Request>,
    /// Where the replies go. Closed when the client is gone.
    pub(super) events: Sender<Event>,
    /// The next reply to begin. Reply `i` belongs to prompt `i / n`.
    pub(super) next: usize,
    /// Whether a piece of a reply could not be passed on, because the client does not read. The request is useless then.
    pub(super) lost: Arc<AtomicBool>,
}

impl Job {
    /// Whether the client is gone, or does not read.
    fn is_gone(&self) -> bool {
        self.lost.load(Ordering::Relaxed) || self.events.is_closed()
    }
}

/// A part of a reply.
pub(super) enum Event {
    /// More text of a reply, with the log-probabilities of its tokens if the request wants them.
    Piece { choice: usize, text: String, logprobs: Vec<TokenLogprob> },
    /// A reply is complete.
    Ended { choice: usize, end: End },
    /// The request failed, and nothing follows.
    Failed(ApiError),
}

/// How a reply ended.
#[derive(Default)]
pub(super) struct End {
    /// `stop` or `length`.
    pub(super) finish: &'static str,
    /// Tokens that the model produced, with the one that ended the reply.
    pub(super) tokens: usize,
    /// The token that ended a chat's reply, if the request wants log-probabilities.
    pub(super) token: Option<TokenLogprob>,
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
    /// Replies that the engine's thread has in hand, and requests that it has just taken.
    running: usize,
    closed: bool,
    abandoned: bool,
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
        state.jobs.retain(|job| !job.is_gone());
        if state.jobs.len() >= self.most {
            let message = format!("{} requests are waiting already; try again later", state.jobs.len());
            let status = axum::http::StatusCode::TOO_MANY_REQUESTS;
            return Err(ApiError::new(status, "queue_full", message).retry_after(1 + state.jobs.len() as u64));
        }
        state.jobs.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    /// Puts back a request that has replies to begin, behind the others. It keeps its place even if the queue is full or closed.
    pub(super) fn put_back(&self, job: Job) {
        self.lock().jobs.push_back(job);
    }

    /// The next request, if one waits.
    pub(super) fn try_take(&self) -> Option<Job> {
        self.lock().next()
    }

    /// Waits for a request; `None` once the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.next() {
                return Some(job);
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
        let mut state = self.lock();
        (state.closed, state.abandoned) = (true, true);
        state.jobs.clear();
        self.changed.notify_all();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// Sets the number of replies that the engine's thread generates.
    pub(super) fn set_running(&self, running: usize) {
        self.lock().running = running;
    }

    /// Replies that are generated.
    pub(super) fn running(&self) -> usize {
        self.lock().running
    }

    /// Whether nothing waits or is generated.
    pub(super) fn is_idle(&self) -> bool {
        let mut state = self.lock();
        state.jobs.retain(|job| !job.is_gone());
        state.jobs.is_empty() && state.running == 0
    }

    /// Requests that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().jobs.iter().filter(|job| !job.is_gone()).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first request whose client is still there.
    fn next(&mut self) -> Option<Job> {
        while let Some(job) = self.jobs.pop_front() {
            if !job.is_gone() {
                self.running += 1;
                return Some(job);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use tokio::sync::mpsc::{Receiver, channel};

    fn job() -> (Job, Receiver<Event>) {
        let (events, receiver) = channel(1);
        (Job { request: Arc::default(), events, next: 0, lost: Arc::default() }, receiver)
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
        assert!(queue.try_take().is_none());
    }

    #[test]
    fn a_request_that_lost_a_piece_is_not_continued() {
        let queue = Queue::new(1);
        let (job, _kept) = job();
        let lost = job.lost.clone();
        queue.put_back(job);
        assert_eq!(queue.len(), 1);
        lost.store(true, Ordering::Relaxed);
        assert_eq!(queue.len(), 0);
        assert!(queue.try_take().is_none());
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
