//! The engine's thread: from the options of a server or a batch to its end.

use std::sync::Arc;
use std::{io, thread};

use lapidary_engine::{Engine, Result, Sampling, Scheduler, SchedulerOptions, Speculation};

use super::metrics::Metrics;
use super::queue::Queue;
use super::reply_loop::ReplyLoop;
use super::request_reader::RequestReader;

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
) -> Result<(Arc<RequestReader>, Scheduler)> {
    let cache_tokens = cache_tokens.unwrap_or(engine.context());
    let reader = RequestReader::new(engine, model, sampling, cache_tokens)?;
    let options = SchedulerOptions { sequences: parallel, cache_tokens };
    let mut scheduler = pollster::block_on(Scheduler::new(engine, &options))?;
    scheduler.speculate(Speculation::from_text())?;
    Ok((Arc::new(reader), scheduler))
}

/// The running thread. Dropping this ends it, whatever happened before, because the device must not be dropped while the program
/// exits.
pub(super) struct EngineThread {
    queue: Arc<Queue>,
    thread: Option<thread::JoinHandle<()>>,
}

impl EngineThread {
    /// Starts the thread, which ends once the queue is closed and empty, or abandoned. It then calls `on_end`, with the error if it
    /// failed.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn start(
        scheduler: Scheduler,
        parallel: usize,
        queue: &Arc<Queue>,
        metrics: Arc<Metrics>,
        on_end: impl FnOnce(Result<()>) + Send + 'static,
    ) -> io::Result<Self> {
        let jobs = queue.clone();
        let thread = thread::Builder::new().name("lapidary-engine".into()).spawn(move || {
            let mut replies = ReplyLoop::new(scheduler, parallel, &jobs, &metrics);
            // Before the scheduler is dropped, which may panic after a panic.
            on_end(replies.run());
        })?;
        Ok(Self { queue: queue.clone(), thread: Some(thread) })
    }
}

impl Drop for EngineThread {
    fn drop(&mut self) {
        self.queue.abandon();
        if let Some(thread) = self.thread.take() {
            // `on_end` was told how it ended.
            let _ = thread.join();
        }
    }
}
