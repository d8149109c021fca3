//! What the engine's thread does: begins the requests of the queue, and takes one step after another for all replies at once.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lapidary_engine::scheduler::{Bias, Event as Step, Mask, Request, RequestId};
use lapidary_engine::{Error, Finish, Result, Scheduler};

use super::bias::Counts;
use super::error::ApiError;
use super::logprobs::TokenLogprob;
use super::metrics::Metrics;
use super::queue::{Event, Job, Queue};
use super::reply::{Ending, Reply};

/// What the engine's thread has in hand.
pub(super) struct ReplyLoop<'a> {
    scheduler: Scheduler,
    /// The most replies at once.
    sequences: usize,
    queue: &'a Queue,
    metrics: &'a Metrics,
    replies: HashMap<RequestId, Reply>,
}

impl<'a> ReplyLoop<'a> {
    pub(super) fn new(scheduler: Scheduler, sequences: usize, queue: &'a Queue, metrics: &'a Metrics) -> Self {
        Self { scheduler, sequences, queue, metrics, replies: HashMap::new() }
    }

    /// Answers requests until the queue is closed and empty, or abandoned.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`] if the device fails, and [`Error::Internal`] after a panic. After that, no reply is
    /// possible.
    pub(super) fn run(&mut self) -> Result<()> {
        let result = catch_unwind(AssertUnwindSafe(|| {
            while self.turn()? {}
            Ok(())
        }));
        let result = result.unwrap_or_else(|_| Err(Error::Internal { reason: "the engine's thread panicked".into() }));
        if let Err(error) = &result {
            self.replies.values().for_each(|reply| reply.fail(ApiError::of(error)));
        }
        self.queue.abandon();
        self.queue.set_running(0);
        result
    }

    /// Begins what there is room for and takes a step. Returns whether to go on.
    fn turn(&mut self) -> Result<bool> {
        if self.queue.is_abandoned() {
            return Ok(false);
        }
        self.drop_gone();
        while self.replies.len() < self.sequences
            && let Some(job) = self.queue.try_take()
        {
            self.begin(job);
        }
        self.queue.set_running(self.replies.len());
        if self.replies.is_empty() {
            let next = self.queue.take();
            let goes_on = next.is_some();
            next.into_iter().for_each(|job| self.begin(job));
            return Ok(goes_on);
        }
        for step in pollster::block_on(self.scheduler.step())? {
            self.take(step)?;
        }
        Ok(true)
    }

    /// Begins the next reply of a request. One with more to come goes behind the others, so that it does not keep them waiting.
    fn begin(&mut self, mut job: Job) {
        match self.scheduler.engine().tokenizer() {
            Ok(tokenizer) => self.submit(Reply::new(&job, tokenizer.clone())),
            // A server does not start without one.
            Err(error) => drop(job.events.try_send(Event::Failed(ApiError::of(&error)))),
        }
        job.next += 1;
        if job.next < job.request.choices() {
            self.queue.put_back(job);
        }
    }

    /// Hands a reply to the scheduler.
    fn submit(&mut self, mut reply: Reply) {
        let mut sampling = reply.request.sampling.clone();
        let seed = |seed: u64| seed.wrapping_add((reply.choice % reply.request.n) as u64);
        sampling.seed = sampling.seed.map(seed);
        // `Reply` looks for the end, because the token that ends a completion has a log-probability too.
        sampling.stop_at_end = false;
        let logprobs = reply.request.logprobs;
        let prompt_logprobs = logprobs.filter(|_| !reply.request.echo.is_empty());
        if prompt_logprobs.is_none() {
            reply.send_prompt(Vec::new());
        }
        let (bias, mask) = bias_and_mask(&reply);
        let request = Request { prompt: reply.prompt().to_vec(), sampling, logprobs, prompt_logprobs, bias, mask };
        match self.scheduler.submit(request) {
            Ok(id) => drop(self.replies.insert(id, reply)),
            Err(error) => reply.fail(ApiError::of(&error)),
        }
    }

    /// Frees the places of clients that are gone.
    fn drop_gone(&mut self) {
        let gone = self.replies.iter().filter(|(_, reply)| reply.is_gone());
        for id in gone.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.scheduler.cancel(id);
            self.replies.remove(&id);
            self.metrics.count_cancelled();
        }
    }

    fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Prompt { id, logprobs } => {
                if let Some(reply) = self.replies.get_mut(&id) {
                    let list = TokenLogprob::of_prompt(reply.prompt(), logprobs);
                    reply.send_prompt(list);
                }
            }
            Step::Token { id, token, logprobs, .. } => {
                let Some(reply) = self.replies.get_mut(&id) else { return Ok(()) };
                let logprob = logprobs.map(|scored| TokenLogprob { id: token, scored: Some(scored) });
                if let Some(ending) = reply.push(token, logprob, self.scheduler.engine().stop_ids())?
                    && let Some(reply) = self.replies.remove(&id)
                {
                    self.scheduler.cancel(id);
                    match reply.failure.take() {
                        Some(error) => reply.fail(error),
                        None => self.end(reply, ending),
                    }
                }
            }
            Step::Finished { id, finish, .. } => {
                if let Some(reply) = self.replies.remove(&id) {
                    self.end(reply, if finish == Finish::Stop { Ending::Model } else { Ending::Length });
                }
            }
            Step::Failed { id, error } => {
                if let Some(reply) = self.replies.remove(&id) {
                    self.fail(&reply, error)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&self, reply: Reply, ending: Ending) {
        self.metrics.count_reply(&reply);
        reply.end(ending);
    }

    /// Reports a failure to one client, and returns it if no other reply is possible either.
    fn fail(&self, reply: &Reply, error: Error) -> Result<()> {
        reply.fail(ApiError::of(&error));
        if matches!(error, Error::DeviceLost { .. } | Error::Gpu { .. } | Error::Internal { .. }) {
            return Err(error);
        }
        log::error!("a reply failed: {error}");
        Ok(())
    }
}

/// What a request changes in the logits, and which tokens it allows. Only a request that changes logits needs them on the host.
fn bias_and_mask(reply: &Reply) -> (Option<Bias>, Option<Mask>) {
    let request = reply.request.clone();
    let mut constraint = request.grammar.as_ref().map(|grammar| grammar.constraint(reply.failure.clone()));
    if request.biases.is_empty() {
        let mask =
            constraint.map(|mut constraint| -> Mask { Box::new(move |reply, bits| constraint.allow(reply, bits)) });
        return (None, mask);
    }
    let mut counts = Counts::default();
    let bias: Bias = Box::new(move |reply, logits| {
        request.biases.add(reply, &mut counts, logits);
        if let Some(constraint) = &mut constraint {
            constraint.exclude(reply, logits);
        }
    });
    (Some(bias), None)
}
