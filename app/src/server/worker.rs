//! The engine's thread: generates the replies of many requests at once.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use lapidary_engine::{Engine, Error, Finish, Result, Session};

use super::error::ApiError;
use super::logprobs::TokenLogprob;
use super::metrics::Metrics;
use super::one_at_a_time::{Bias, Event as Step, Request, RequestId, Scheduler};
use super::queue::{Event, Job, Queue};
use super::reply::{Ending, Reply};
use super::scoring::{Scoring, score};
use crate::wait::wait_unless;

/// What the engine's thread has in hand.
pub(super) struct Worker<'a> {
    engine: Engine,
    scheduler: Scheduler,
    /// The most replies at once.
    sequences: usize,
    queue: &'a Queue,
    metrics: &'a Metrics,
    replies: HashMap<RequestId, Reply>,
    /// Replies whose prompts are to be scored first, in order.
    unscored: VecDeque<Reply>,
    /// The pass over the prompt of the first of them.
    scoring: Option<Scoring>,
    /// The session for such passes, between two of them. It is made when the first is needed.
    session: Option<Session>,
}

/// What one turn brought.
#[derive(Default)]
struct Turn {
    steps: Vec<Step>,
    scored: Option<Result<Vec<TokenLogprob>>>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        engine: Engine,
        scheduler: Scheduler,
        sequences: usize,
        queue: &'a Queue,
        metrics: &'a Metrics,
    ) -> Self {
        Self {
            engine,
            scheduler,
            sequences,
            queue,
            metrics,
            replies: HashMap::new(),
            unscored: VecDeque::new(),
            scoring: None,
            session: None,
        }
    }

    /// Answers requests until the queue is closed and empty, or abandoned.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`] if the device fails. After that, no reply is possible.
    pub(super) fn run(mut self) -> Result<()> {
        let result = catch_unwind(AssertUnwindSafe(|| {
            while self.turn()? {}
            Ok(())
        }));
        let result = result.unwrap_or_else(|_| {
            Err(Error::Gpu { reason: "the engine's thread panicked, which is a bug; start the server again".into() })
        });
        if let Err(error) = &result {
            for reply in self.replies.values().chain(&self.unscored) {
                reply.fail(ApiError::of(error));
            }
        }
        self.queue.abandon();
        self.metrics.set_running(0);
        result
    }

    /// Begins what there is room for and waits for the next tokens. Returns whether to go on.
    fn turn(&mut self) -> Result<bool> {
        if self.queue.is_abandoned() {
            return Ok(false);
        }
        self.drop_gone();
        while self.running() < self.sequences
            && let Some(job) = self.queue.try_take()
        {
            self.begin(job);
        }
        self.metrics.set_running(self.running());
        if self.running() == 0 {
            return Ok(match self.queue.take() {
                Some(job) => {
                    self.begin(job);
                    true
                }
                None => false,
            });
        }
        self.start_scoring();
        let turn = self.wait()?;
        for step in turn.steps {
            self.take(step)?;
        }
        if let Some(scored) = turn.scored {
            self.end_scoring(scored)?;
        }
        Ok(true)
    }

    fn running(&self) -> usize {
        self.replies.len() + self.unscored.len()
    }

    /// Begins the next reply of a request. One with more to come goes behind the others, so that it does not keep them waiting.
    fn begin(&mut self, mut job: Job) {
        match self.engine.tokenizer() {
            Ok(tokenizer) => {
                let mut reply = Reply::new(&job, tokenizer.clone());
                if reply.request.logprobs.is_some() && !reply.request.echo.is_empty() {
                    self.unscored.push_back(reply);
                } else {
                    reply.send_prompt(Vec::new());
                    self.submit(reply);
                }
            }
            // A server does not start without one.
            Err(error) => drop(job.events.try_send(Event::Failed(ApiError::of(&error)))),
        }
        job.next += 1;
        if job.next < job.request.choices() {
            self.queue.put_back(job);
        }
    }

    /// Hands a reply to the scheduler.
    fn submit(&mut self, reply: Reply) {
        if reply.request.sampling.max_tokens == Some(0) {
            return self.end(reply, Ending::Length);
        }
        let mut sampling = reply.request.sampling.clone();
        let seed = |seed: u64| seed.wrapping_add((reply.choice % reply.request.n) as u64);
        sampling.seed = sampling.seed.map(seed);
        // `Reply` looks for the end, because the token that ends a completion has a log-probability too.
        sampling.stop_at_end = false;
        let request = Request {
            prompt: reply.prompt().to_vec(),
            sampling,
            logprobs: reply.request.logprobs,
            bias: bias(&reply, self.engine.stop_ids()),
        };
        match self.scheduler.submit(request) {
            Ok(id) => drop(self.replies.insert(id, reply)),
            Err(error) => reply.fail(ApiError::of(&error)),
        }
    }

    /// Frees the places of clients that are gone.
    fn drop_gone(&mut self) {
        let gone: Vec<RequestId> =
            self.replies.iter().filter(|(_, reply)| reply.is_gone()).map(|(id, _)| *id).collect();
        for id in gone {
            self.scheduler.cancel(id);
            self.replies.remove(&id);
            self.metrics.count_cancelled();
        }
        // The first one's pass ends by itself.
        let before = self.unscored.len();
        let mut first = self.scoring.is_some();
        self.unscored.retain(|reply| std::mem::take(&mut first) || !reply.is_gone());
        (self.unscored.len()..before).for_each(|_| self.metrics.count_cancelled());
    }

    fn start_scoring(&mut self) {
        if self.scoring.is_some() {
            return;
        }
        if let Some(reply) = self.unscored.front() {
            let count = reply.request.logprobs.unwrap_or(0);
            let session = self.session.take();
            let pass = score(self.engine.clone(), session, reply.prompt().to_vec(), count, reply.events().clone());
            self.scoring = Some(pass);
        }
    }

    /// Waits for the scheduler's next step or, if it has nothing to do, for the pass over a prompt. Both proceed meanwhile.
    fn wait(&mut self) -> Result<Turn> {
        let Self { scheduler, scoring, session, queue, sequences, replies, unscored, .. } = self;
        let idle = scheduler.is_idle();
        let has_room = replies.len() + unscored.len() < *sequences;
        // A step is never interrupted, and takes no longer than a piece of a prompt.
        let interrupt = || idle && (queue.is_abandoned() || (has_room && queue.len() > 0));
        let turn = async {
            let mut step = pin!(scheduler.step());
            let mut scored = None;
            poll_fn(|context| {
                if let Some(pass) = scoring
                    && let Poll::Ready((back, result)) = pass.as_mut().poll(context)
                {
                    (*scoring, *session, scored) = (None, back, Some(result));
                }
                if idle {
                    return if scored.is_some() { Poll::Ready(Ok(Vec::new())) } else { Poll::Pending };
                }
                step.as_mut().poll(context)
            })
            .await
            .map(|steps| Turn { steps, scored })
        };
        wait_unless(interrupt, turn).unwrap_or_else(|| Ok(Turn::default()))
    }

    fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Token { id, token, logprobs } => {
                // One that was cancelled may still have a token on its way.
                let Some(reply) = self.replies.get_mut(&id) else { return Ok(()) };
                let logprob = logprobs.map(|logprobs| TokenLogprob::from_engine(token, &logprobs));
                let stop_ids = self.engine.stop_ids();
                if let Some(ending) = reply.push(token, logprob, stop_ids)?
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
        }
        Ok(())
    }

    fn end_scoring(&mut self, scored: Result<Vec<TokenLogprob>>) -> Result<()> {
        let Some(mut reply) = self.unscored.pop_front() else { return Ok(()) };
        match scored {
            Ok(logprobs) => {
                reply.send_prompt(logprobs);
                self.submit(reply);
                Ok(())
            }
            Err(error) => self.fail(&reply, error),
        }
    }

    fn end(&self, reply: Reply, ending: Ending) {
        self.metrics.count_reply(&reply);
        reply.end(ending);
    }

    /// Reports a failure to one client, and returns it if no other reply is possible either.
    fn fail(&self, reply: &Reply, error: Error) -> Result<()> {
        if matches!(error, Error::Cancelled) {
            self.metrics.count_cancelled();
            return Ok(());
        }
        reply.fail(ApiError::of(&error));
        if matches!(error, Error::DeviceLost { .. } | Error::Gpu { .. }) {
            return Err(error);
        }
        log::error!("a reply failed: {error}");
        Ok(())
    }
}

/// What a request adds to the logits.
fn bias(reply: &Reply, end_ids: &[u32]) -> Option<Bias> {
    let biases = reply.request.biases.clone();
    let grammar = reply.request.grammar.as_ref();
    let Some(mut constraint) = grammar.map(|grammar| grammar.constraint(end_ids, reply.failure.clone())) else {
        return (!biases.is_empty()).then(|| -> Bias { Box::new(move |reply, bias| biases.write(reply, bias)) });
    };
    Some(Box::new(move |reply, bias| {
        biases.rewrite(reply, bias);
        constraint.exclude(reply, bias);
        true
    }))
}
