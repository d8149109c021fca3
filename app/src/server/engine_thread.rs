//! The engine's thread: from the options of a server or a batch to its end.

use std::sync::Arc;
use std::{io, thread};

use lapidary_engine::{Engine, Error, Result, Sampling, Scheduler, SchedulerOptions, Speculation};
use tokio::sync::oneshot;

use super::metrics::Metrics;
use super::queue::Queue;
use super::request::Offer;
use super::worker::Worker;

/// A model under a name, with `sampling` for requests that set none, and a scheduler that generates up to `parallel` replies at
/// once. All of them together have room for `cache_tokens`, prompts included; `None` for as many as the model's context holds.
///
/// # Errors
/// If the model has no tokenizer, an option is out of range, or there is no memory.
pub(super) fn prepare(
    engine: &Engine,
    model: String,
    sampling: Sampling,
    parallel: usize,
    cache_tokens: Option<usize>,
) -> Result<(Arc<Offer>, Scheduler)> {
    let cache_tokens = cache_tokens.unwrap_or(engine.context());
    let offer = Offer::new(engine, model, sampling, cache_tokens)?;
    let options = SchedulerOptions { sequences: parallel, cache_tokens };
    let mut scheduler = pollster::block_on(Scheduler::new(engine, &options))?;
    scheduler.speculate(Speculation::from_text())?;
    Ok((Arc::new(offer), scheduler))
}

/// Resolves when the engine's thread ends, with the error if it failed.
pub(super) type Ended = oneshot::Receiver<Result<()>>;

/// What became of the engine's thread.
pub(super) fn end_of(ended: std::result::Result<Result<()>, oneshot::error::RecvError>) -> Result<()> {
    ended.unwrap_or_else(|_| Err(Error::Internal { reason: "the engine's thread panicked".into() }))
}

/// The running thread. Dropping this ends it, whatever happened before, because the device must not be dropped while the program
/// exits.
pub(super) struct EngineThread {
    queue: Arc<Queue>,
    thread: Option<thread::JoinHandle<()>>,
}

impl EngineThread {
    /// Starts the thread, which ends once the queue is closed and empty, or abandoned.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn start(
        scheduler: Scheduler,
        parallel: usize,
        queue: &Arc<Queue>,
        metrics: Arc<Metrics>,
    ) -> io::Result<(Self, Ended)> {
        let (ended, engine_ended) = oneshot::channel();
        let jobs = queue.clone();
        let thread = thread::Builder::new().name("lapidary-engine".into()).spawn(move || {
            // The receiver is gone only if the runtime failed.
            let _ = ended.send(Worker::new(scheduler, parallel, &jobs, &metrics).run());
        })?;
        Ok((Self { queue: queue.clone(), thread: Some(thread) }, engine_ended))
    }
}

impl Drop for EngineThread {
    fn drop(&mut self) {
        self.queue.abandon();
        if let Some(thread) = self.thread.take() {
            // `Ended` tells how it ended.
            let _ = thread.join();
        }
    }
}
