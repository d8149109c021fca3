//! Many requests on one model: continuous batching (Orca, Yu et al. 2022) over a paged cache (PagedAttention, Kwon et al. 2023).
//!
//! A decode step reads every weight once, whether it computes one token or one of each of many sequences, so sequences that
//! decode together cost little more than one. They join and leave at every step. One prompt at a time, in the order of the
//! requests, is computed in pieces between two decode steps, so that no reply waits long for it. A request that begins with the
//! same tokens as another one, or as one that ended a while ago, shares the pages of its cache that hold them.
//!
//! What does not fit waits. If the cache fills up while replies grow, the newest of them gives its place back, waits in front of
//! the queue, and is computed again from its tokens.

mod admission;
mod choose;
mod guess;
mod in_flight;
mod job;
mod prompt;
mod request;
mod scores;
mod shared_prefix;
mod single;

use std::collections::VecDeque;
use std::time::Duration;

use web_time::Instant;

use self::in_flight::{Readbacks, Row, Rows, StepInFlight};
use self::job::Job;
use self::prompt::Prompt;
use self::scores::Scores;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::gpu::{Plan, Step};
use crate::model::Capacity;
use crate::ops::{NO_TOKEN, PAGE};
use crate::runner::Runner;
use crate::sequence::Sequence;
use crate::speculation::{Guesses, Speculation};

pub use request::{Bias, Event, Mask, Request, RequestId, TokenLogprobs};

/// Decode steps in flight: submitted, and their tokens not yet read by the host.
const IN_FLIGHT: usize = 2;
/// The most of them. Browsers tell late what has ended. Where they tell of several steps at once, more steps are submitted ahead.
const MOST_IN_FLIGHT: usize = if cfg!(target_arch = "wasm32") { 8 } else { IN_FLIGHT };
/// A step that takes less time to wait for had ended before.
const AT_ONCE: Duration = Duration::from_micros(500);

/// How much a [`Scheduler`] does at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerOptions {
    /// The most sequences that are decoded together, from 1 to [`MAX_SEQUENCES`](crate::MAX_SEQUENCES).
    pub sequences: usize,
    /// Tokens that the KV cache holds for all sequences together.
    pub cache_tokens: usize,
}

/// What a [`Scheduler`] is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that wait.
    pub waiting: usize,
    /// Requests whose prompt is being computed or whose reply grows.
    pub active: usize,
    /// Tokens of the cache that no request has: free, or kept for requests that begin alike.
    pub free_cache_tokens: usize,
}

/// Replies to many requests with one model.
pub struct Scheduler {
    runner: Runner,
    /// The most that it decodes together.
    sequences: usize,
    speculation: Speculation,
    waiting: VecDeque<Job>,
    prompt: Option<Prompt>,
    /// In the order in which they were admitted.
    active: Vec<Active>,
    /// Of requests that ended, the oldest first.
    kept: VecDeque<Sequence>,
    /// The oldest first.
    in_flight: VecDeque<StepInFlight>,
    /// Decode steps in flight while a reply is alone.
    depth: usize,
    readbacks: Readbacks,
    scores: Option<Scores>,
    /// Whether the last step computed a piece of a prompt.
    was_piece: bool,
    /// Why a step failed. Its tokens are lost, so no reply can go on.
    failed: Option<String>,
    requests: u64,
    events: Vec<Event>,
}

/// A request whose reply grows.
struct Active {
    job: Job,
    sequence: Sequence,
    guesses: Guesses,
}

/// The replies that need another step.
fn growing(active: &[Active]) -> impl Iterator<Item = &Active> {
    active.iter().filter(|active| active.job.grows())
}

impl Scheduler {
    /// A scheduler without requests.
    ///
    /// # Errors
    /// [`Error::Setting`] if an option is out of range; if there is no memory for its buffers.
    pub async fn new(engine: &Engine, options: &SchedulerOptions) -> Result<Self> {
        let capacity = Capacity {
            slots: options.sequences,
            context: engine.context().min(options.cache_tokens),
            pages: options.cache_tokens.div_ceil(PAGE),
        };
        let runner = Runner::new(engine, capacity).await?;
        Ok(Self {
            readbacks: Readbacks::new(&runner).await?,
            runner,
            sequences: options.sequences,
            depth: IN_FLIGHT,
            speculation: Speculation::off(),
            waiting: VecDeque::new(),
            prompt: None,
            active: Vec::new(),
            kept: VecDeque::new(),
            in_flight: VecDeque::new(),
            scores: None,
            was_piece: false,
            failed: None,
            requests: 0,
            events: Vec::new(),
        })
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.runner.engine
    }

    /// Bytes of its buffers on the device. The weights are the engine's.
    pub fn bytes(&self) -> u64 {
        self.runner.bytes()
    }

    /// Sets how the tokens of a reply are guessed ahead while it is the only one. Several replies keep the device busy without.
    ///
    /// # Errors
    /// [`Error::Setting`] if another model is to guess tokens whose vocabulary is not the engine's.
    pub fn speculate(&mut self, speculation: Speculation) -> Result<()> {
        speculation.check(self.engine().config().vocab_size)?;
        self.speculation = speculation;
        Ok(())
    }

    /// Queues a request.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::TokenOutOfRange`], [`Error::ContextFull`] if the prompt can never be computed, and
    /// [`Error::Setting`] for sampling parameters out of range.
    pub fn submit(&mut self, request: Request) -> Result<RequestId> {
        let context = self.runner.buffers.tables.context();
        let engine = &self.runner.engine;
        request.sampling.check()?;
        engine.check_prompt(&request.prompt, context)?;
        let id = RequestId(self.requests);
        self.requests += 1;
        self.waiting.push_back(Job::new(id, request, context));
        Ok(id)
    }

    /// Ends a request: no event of it follows.
    pub fn cancel(&mut self, id: RequestId) {
        self.events.retain(|event| event.id() != id);
        self.waiting.retain(|job| job.id != id);
        if self.prompt.as_ref().is_some_and(|prompt| prompt.job.id == id) {
            self.end_prompt();
        }
        if let Some(i) = self.active.iter().position(|active| active.job.id == id) {
            self.end(i);
        }
    }

    /// Whether there is no request.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.prompt.is_none() && self.active.is_empty() && self.events.is_empty()
    }

    /// What it is doing.
    pub fn load(&self) -> Load {
        let kept = Sequence::pages_of_only(&self.kept).len();
        Load {
            waiting: self.waiting.len(),
            active: self.active.len() + usize::from(self.prompt.is_some()),
            free_cache_tokens: (self.runner.free_pages() + kept) * PAGE,
        }
    }

    /// Computes the next token of every reply or, in turn with that, a piece of a prompt. Call it until the scheduler
    /// [is idle](Self::is_idle). A step whose future is dropped goes on in the next one.
    ///
    /// # Errors
    /// If the device is lost or refuses a command; no reply can go on after that, and further steps give [`Error::Setting`]. Errors
    /// of single requests are [events](Event::Failed).
    pub async fn step(&mut self) -> Result<Vec<Event>> {
        if let Some(reason) = &self.failed {
            return Err(Error::Setting {
                field: "the scheduler",
                value: format!("one whose step failed ({reason})"),
                expected: "a new one",
            });
        }
        if let Err(error) = self.advance().await {
            self.failed = Some(error.to_string());
            return Err(error);
        }
        Ok(std::mem::take(&mut self.events))
    }

    async fn advance(&mut self) -> Result<()> {
        self.admit()?;
        if self.prompt.is_some() && (self.active.is_empty() || !self.was_piece) {
            // The piece's time, by which the next one is chosen, must be its own.
            while !self.in_flight.is_empty() {
                self.take_step().await?;
            }
            self.was_piece = true;
            // Replies wait for it.
            self.active.iter_mut().for_each(|active| active.guesses.skip_time());
            return self.compute_piece().await;
        }
        self.was_piece = false;
        let is_alone = self.prompt.is_none() && !self.active.iter().any(|active| active.job.needs_host());
        if is_alone && self.guess().await? {
            return self.take_step().await;
        }
        // Keep the device busy: the next step needs nothing from the host, unless a piece, a bias or a mask comes between.
        let depth = if is_alone { self.depth } else { 1 };
        while self.in_flight.len() < depth && self.submit_step().await? {}
        self.take_step().await
    }

    /// Submits a decode step of all replies that still grow; `false` if there is none.
    async fn submit_step(&mut self) -> Result<bool> {
        let mut i = 0;
        while i < self.active.len() {
            let Active { job, sequence, .. } = &mut self.active[i];
            let end = sequence.position() + usize::from(job.grows());
            match sequence.reserve(end) {
                Ok(()) => i += 1,
                Err(_) if self.make_room() => {}
                Err(error) => {
                    let id = self.active[i].job.id;
                    self.end(i);
                    self.events.push(Event::Failed { id, error });
                }
            }
        }
        let step = |(Active { job, sequence, .. }, row): (&Active, u32)| Step {
            row,
            ..job.step(sequence.position(), sequence.slot())
        };
        let draws: Vec<Step> = growing(&self.active).zip(0..).map(step).collect();
        let rows = growing(&self.active).zip(&draws).map(|(active, draw)| Row::new(&active.job, draw));
        let rows = Rows::new(&self.runner, rows);
        let Some(first) = draws.first() else { return Ok(false) };
        let readback = self.readbacks.of(&self.runner, &rows).await?;
        let Runner { engine, plans, ring, .. } = &mut self.runner;
        let (gpu, pass) = (&engine.inner.gpu, plans.decode_of(draws.len()));
        let choices: Vec<&Plan> = growing(&self.active).map(|active| plans.choice(&active.job.sampling)).collect();
        // Nothing waits after this.
        for Active { job, sequence, .. } in self.active.iter_mut().filter(|active| active.job.grows()) {
            job.allow(sequence);
            sequence.advance(1);
            job.submitted(1);
        }
        let submitted = StepInFlight::submit(gpu, readback, rows, |copy| match (&draws[..], &choices[..]) {
            ([draw], [choice]) => gpu.encode_step(ring, &[&pass.body, &pass.logits, choice], draw, copy),
            _ => {
                let mut all = Step { n_tokens: draws.len() as u32, ..*first };
                for (i, draw) in draws.iter().enumerate() {
                    all.set_place(i, draw.position, draw.slot);
                }
                let choices = choices.iter().copied().zip(draws.iter().copied());
                let steps: Vec<_> = [(&pass.body, all), (&pass.logits, all)].into_iter().chain(choices).collect();
                gpu.encode_steps(ring, &steps, copy)
            }
        });
        self.in_flight.push_back(submitted);
        Ok(true)
    }

    /// Waits for the oldest step in flight, and takes its tokens.
    async fn take_step(&mut self) -> Result<()> {
        let Some(oldest) = self.in_flight.front_mut() else { return Ok(()) };
        let started = Instant::now();
        let output = oldest.output(&self.runner.engine.inner.gpu).await;
        if self.in_flight.len() == self.depth && started.elapsed() < AT_ONCE {
            self.depth = MOST_IN_FLIGHT.min(self.depth + 1);
        }
        let Some(oldest) = self.in_flight.pop_front() else { return Ok(()) };
        let (mut rows, guess, readback) = oldest.into_parts();
        self.readbacks.give_back(readback);
        let mut output = output?;
        if guess.is_empty() {
            self.learn_time(&rows, &output);
        } else {
            self.check(&mut rows, &guess, &output);
        }
        for (i, row) in rows.iter().enumerate() {
            let Some(at) = self.active.iter().position(|active| active.job.id == row.id) else { continue };
            self.take_token(at, row, output.word(row), output.logits(i));
        }
        Ok(())
    }

    /// Takes the token of a row for the reply at this place of the list.
    fn take_token(&mut self, at: usize, row: &Row, word: u32, logits: Option<&mut [f32]>) {
        let engine = &self.runner.engine;
        let Active { job, sequence, .. } = &mut self.active[at];
        let mut logits = logits.map(|logits| &mut logits[..engine.inner.usable_vocab]);
        let token = match (&mut job.bias, logits.as_deref_mut()) {
            (Some(bias), Some(logits)) => {
                bias(&job.reply, logits);
                choose::choose(&job.sampling, job.seed, row.draw, logits).ok_or_else(|| Error::Setting {
                    field: "bias of the logits",
                    value: "minus infinity for every token".into(),
                    expected: "a number for one token at least",
                })
            }
            _ if word == NO_TOKEN && job.allows_none => Err(Error::Setting {
                field: "mask of the tokens",
                value: "0 for every token".into(),
                expected: "1 for one token at least",
            }),
            _ => engine.token_of(word),
        };
        let token = match token {
            Ok(token) => token,
            Err(error) => {
                let id = job.id;
                self.end(at);
                self.events.push(Event::Failed { id, error });
                return;
            }
        };
        if job.bias.is_some() {
            // In place of what the device has chosen without the bias.
            sequence.set_token(token);
            if job.sampling.repetition_penalty != 1.0 {
                sequence.set_seen(&[job.tokens(), vec![token]].concat());
            }
        }
        sequence.push(token);
        let is_stop = job.sampling.stop_at_end && engine.inner.stop_ids.contains(&token);
        job.clock.take_token();
        if !is_stop {
            let logprobs = job.logprobs.zip(logits).map(|(top, logits)| TokenLogprobs::new(token, top, logits));
            job.reply.push(token);
            self.events.push(Event::Token { id: job.id, token, logprobs, timings: job.clock.timings });
        }
        if is_stop || job.reply.len() == job.most_steps {
            let finished = job.finished(is_stop);
            self.end(at);
            self.events.push(finished);
        }
    }

    /// Ends the reply at this place of the list, and keeps its sequence.
    fn end(&mut self, at: usize) {
        let Active { job, mut sequence, .. } = self.active.remove(at);
        self.in_flight.iter_mut().for_each(|step| step.forget(job.id));
        sequence.rewind(sequence.tokens().len());
        self.kept.push_back(sequence);
    }
}
