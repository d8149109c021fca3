//! A reply in the making, token by token.

use web_time::Instant;

use crate::engine::Engine;
use crate::error::Result;
use crate::sampling::Sampling;
use crate::session::{IN_FLIGHT, Session};

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// The model said that it is done.
    Stop,
    /// The caller's limit of tokens.
    MaxTokens,
    /// The context is full.
    ContextFull,
}

impl Finish {
    /// `stop`, `max_tokens` or `context_full`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::MaxTokens => "max_tokens",
            Self::ContextFull => "context_full",
        }
    }
}

/// How long a generation took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Tokens of the prompt that had to be computed.
    pub prefill_tokens: usize,
    /// Milliseconds from the start to the first token.
    pub prefill_ms: f64,
    /// Tokens after the first.
    pub decode_tokens: usize,
    /// Milliseconds from the first token to the last.
    pub decode_ms: f64,
}

/// A generation under way: call [`Generation::next`] until it returns `None`.
pub struct Generation<'s> {
    session: &'s mut Session,
    job: Job,
}

impl<'s> Generation<'s> {
    pub(crate) fn new(session: &'s mut Session, prompt: Vec<u32>, sampling: Sampling) -> Self {
        let job = Job::new(&session.engine, prompt, sampling);
        Self { session, job }
    }

    /// The next token, or `None` at the end; a stop token ends the generation and is not returned.
    ///
    /// # Errors
    /// If the device is lost or refuses a command.
    pub async fn next(&mut self) -> Result<Option<u32>> {
        self.job.next(self.session).await
    }

    /// [`Generation::next`], blocking.
    ///
    /// # Errors
    /// As for `next`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn next_blocking(&mut self) -> Result<Option<u32>> {
        pollster::block_on(self.next())
    }

    /// Why the generation ended, once it has.
    pub fn finish(&self) -> Option<Finish> {
        self.job.finish
    }

    /// How long it took so far.
    pub fn timings(&self) -> Timings {
        self.job.timings
    }
}

/// A generation apart from its session.
pub(crate) struct Job {
    prompt: Vec<u32>,
    sampling: Sampling,
    seed: u64,
    /// Tokens that the caller has been given, and the stop token.
    generated: Vec<u32>,
    /// Steps submitted; each makes one token.
    submitted: usize,
    /// Steps that may be submitted in all: limited by the caller and by the context. The last token's keys and values are
    /// never needed, so it may lie one past the end of the cache.
    most_steps: usize,
    pub(crate) finish: Option<Finish>,
    /// After an error nothing follows: what is in flight came after the token that is missing.
    failed: bool,
    pub(crate) timings: Timings,
    started: Instant,
    first: Option<Instant>,
}

impl Job {
    pub(crate) fn new(engine: &Engine, prompt: Vec<u32>, sampling: Sampling) -> Self {
        let room = (engine.inner.context + 1).saturating_sub(prompt.len());
        Self {
            most_steps: sampling.max_tokens.map_or(room, |max| max.min(room)),
            seed: sampling.seed_or_random(),
            prompt,
            sampling,
            generated: Vec::new(),
            submitted: 0,
            finish: None,
            failed: false,
            timings: Timings::default(),
            started: Instant::now(),
            first: None,
        }
    }

    pub(crate) async fn next(&mut self, session: &mut Session) -> Result<Option<u32>> {
        if self.finish.is_some() || self.failed {
            return Ok(None);
        }
        let next = self.advance(session).await;
        self.failed = next.is_err();
        next
    }

    async fn advance(&mut self, session: &mut Session) -> Result<Option<u32>> {
        if self.generated.len() == self.most_steps {
            let by_caller = self.sampling.max_tokens == Some(self.most_steps);
            self.finish = Some(if by_caller { Finish::MaxTokens } else { Finish::ContextFull });
            return Ok(None);
        }
        if self.submitted == 0 {
            self.start(session).await?;
        }
        // Keep the device busy: the next step needs nothing from the host.
        while session.in_flight.len() < IN_FLIGHT && self.submitted < self.most_steps {
            let position = self.prompt.len() + self.submitted - 1;
            self.submit(session, 1, position, true);
        }
        let token = session.take_token().await?;
        let now = Instant::now();
        match self.first {
            None => {
                self.first = Some(now);
                self.timings.prefill_ms = (now - self.started).as_secs_f64() * 1e3;
            }
            Some(first) => {
                self.timings.decode_tokens += 1;
                self.timings.decode_ms = (now - first).as_secs_f64() * 1e3;
            }
        }
        self.generated.push(token);
        self.sync(session);
        if self.sampling.stop_at_end && session.engine.inner.stop_ids.contains(&token) {
            self.finish = Some(Finish::Stop);
            return Ok(None);
        }
        Ok(Some(token))
    }

    /// Feeds the prompt and submits the step that makes the first token.
    async fn start(&mut self, session: &mut Session) -> Result<()> {
        self.started = Instant::now();
        session.drain().await?;
        if self.sampling.repetition_penalty != 1.0 {
            session.upload_seen(&self.prompt);
        }
        let prefilled = session.prefill(&self.prompt).await?;
        self.timings.prefill_tokens = prefilled.computed;
        // One token alone goes through the decode kernels, which have not run yet; of more, only the head is left.
        let last = prefilled.last;
        self.submit(session, last.len(), last.start, !prefilled.body_done);
        session.ids.clone_from(&self.prompt);
        Ok(())
    }

    fn submit(&mut self, session: &mut Session, n_tokens: usize, position: usize, with_body: bool) {
        let mut step = self.sampling.step(self.seed);
        // Contexts are far shorter than 2^32.
        step.n_tokens = n_tokens as u32;
        step.position = position as u32;
        step.draw = self.submitted as u32;
        session.submit_step(&step, with_body, self.sampling.is_greedy());
        self.submitted += 1;
    }

    /// Tells the session which tokens its cache holds: of the generated ones, those that a later step has been fed.
    fn sync(&self, session: &mut Session) {
        let fed = self.generated.len().min(self.submitted.saturating_sub(1));
        session.ids.truncate(self.prompt.len());
        session.ids.extend_from_slice(&self.generated[..fed]);
    }
}
