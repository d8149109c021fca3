//! Generates a reply token by token.

use serde::{Deserialize, Serialize};
use web_time::Instant;

use crate::engine::Engine;
use crate::error::Result;
use crate::runner::{Draw, Runner};
use crate::sampling::Sampling;
use crate::sequence::{Checked, IN_FLIGHT, Sequence};
use crate::speculation::{Guesses, Next, Speculation};

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Finish {
    /// The model produced a stop token.
    Stop,
    /// The caller's limit of tokens is reached.
    MaxTokens,
    /// The context is full.
    ContextFull,
}

impl Finish {
    /// Why a reply of `most_steps` tokens ends where no stop token came.
    pub(crate) fn at_limit(sampling: &Sampling, most_steps: usize) -> Self {
        if sampling.max_tokens == Some(most_steps) { Self::MaxTokens } else { Self::ContextFull }
    }

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Tokens of the prompt that were computed; the others were in the cache.
    pub prefill_tokens: usize,
    /// Milliseconds from the start to the first token.
    pub prefill_ms: f64,
    /// Tokens after the first.
    pub decode_tokens: usize,
    /// Milliseconds from the first token to the last.
    pub decode_ms: f64,
    /// Tokens that were [guessed](crate::Speculation) and computed.
    #[serde(default)]
    pub guessed_tokens: usize,
    /// Those of them that were right.
    #[serde(default)]
    pub right_guesses: usize,
}

/// The state of a generation, without the runner and the sequence that it works on.
pub(crate) struct Decoding {
    prompt: Vec<u32>,
    sampling: Sampling,
    seed: u64,
    /// Tokens that the submitted steps draw.
    submitted: usize,
    /// Tokens that the host has read, including the stop token.
    taken: usize,
    /// The most steps to submit, limited by the caller and by the context. The keys and values of the last token are
    /// never read, so its position can be one past the end of the cache.
    most_steps: usize,
    finish: Option<Finish>,
    /// Whether a step failed. No token is returned after that, because the steps in flight follow the missing token.
    failed: bool,
    guesses: Guesses,
    clock: Clock,
}

impl Decoding {
    /// Prepares a generation. Nothing runs until [`Decoding::next`].
    ///
    /// # Errors
    /// The errors of [`Session::generate`](crate::Session::generate).
    pub(crate) fn new(engine: &Engine, prompt: &[u32], sampling: &Sampling) -> Result<Self> {
        sampling.check()?;
        engine.check_prompt(prompt, engine.context())?;
        Ok(Self {
            most_steps: sampling.most_tokens(engine.context() + 1 - prompt.len()),
            seed: sampling.seed_or_random(),
            prompt: prompt.to_vec(),
            sampling: sampling.clone(),
            submitted: 0,
            taken: 0,
            finish: None,
            failed: false,
            guesses: Guesses::default(),
            clock: Clock::start(),
        })
    }

    /// The next token, or `None` at the end; a stop token ends the generation and is not returned. Every call must pass
    /// the same session's runner, sequence and speculation, and nothing else may extend or rewind the sequence until the
    /// generation ends.
    ///
    /// # Errors
    /// If the device is lost or refuses a command, or all logits are NaN.
    pub(crate) async fn next(
        &mut self,
        runner: &mut Runner,
        sequence: &mut Sequence,
        speculation: &mut Speculation,
    ) -> Result<Option<u32>> {
        if self.finish.is_some() || self.failed {
            return Ok(None);
        }
        let next = self.advance(runner, sequence, speculation).await;
        self.failed = next.is_err();
        next
    }

    /// Why the generation ended, once it has.
    pub(crate) fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// How long the generation has taken so far.
    pub(crate) fn timings(&self) -> Timings {
        self.clock.timings
    }

    async fn advance(
        &mut self,
        runner: &mut Runner,
        sequence: &mut Sequence,
        speculation: &mut Speculation,
    ) -> Result<Option<u32>> {
        if self.taken == self.most_steps {
            self.finish = Some(Finish::at_limit(&self.sampling, self.most_steps));
            return Ok(None);
        }
        if self.submitted == 0 {
            self.clock = Clock::start();
            sequence.drain().await?;
            if self.sampling.repetition_penalty != 1.0 {
                sequence.set_seen(&self.prompt);
            }
            let prefilled = runner.prefill(sequence, &self.prompt).await?;
            self.clock.timings.prefill_tokens = prefilled.computed;
            runner.submit_first(sequence, &self.prompt, &prefilled, &self.next_draw())?;
            self.submitted += 1;
        }
        if !sequence.is_guessing() {
            self.submit(runner, sequence, speculation).await?;
        }
        let token = sequence.take_token().await?;
        let checked = sequence.checked.take();
        self.taken += 1;
        if let Some(checked) = checked {
            self.submitted -= checked.wrong();
            self.clock.count(checked);
        }
        self.guesses.take(speculation, token, checked);
        if sequence.has_landed() {
            self.guesses.skip_time();
        }
        self.clock.take_token();
        if self.sampling.stop_at_end && runner.engine.inner.stop_ids.contains(&token) {
            self.finish = Some(Finish::Stop);
            return Ok(None);
        }
        Ok(Some(token))
    }

    /// Submits the next steps.
    async fn submit(
        &mut self,
        runner: &mut Runner,
        sequence: &mut Sequence,
        speculation: &mut Speculation,
    ) -> Result<()> {
        // A step with a guess draws one token more than it guesses.
        let left = self.most_steps - self.submitted;
        let most = if self.taken == 0 { 0 } else { left.saturating_sub(1) };
        let next = self.guesses.next(speculation, runner, &self.sampling, sequence.taken(), most);
        let draw = self.next_draw();
        let guess = match next {
            Next::Plain => None,
            // A guess follows the newest token, and the steps in flight come before.
            _ if !sequence.is_settled() => return Ok(()),
            Next::Text(guess) => Some(guess),
            Next::Model(tokens) => Some(speculation.ask_model(sequence.taken(), tokens, &draw).await?),
        };
        if let Some(guess) = guess.filter(|guess| !guess.tokens.is_empty()) {
            runner.submit_guess(sequence, &guess.tokens, &draw)?;
            self.submitted += 1 + guess.tokens.len();
            self.guesses.submitted(&guess);
            return Ok(());
        }
        // Keep the device busy: the next step needs nothing from the host.
        while sequence.in_flight() < IN_FLIGHT && self.submitted < self.most_steps {
            runner.submit_next(sequence, &self.next_draw())?;
            self.submitted += 1;
        }
        Ok(())
    }

    fn next_draw(&self) -> Draw {
        Draw { sampling: self.sampling.clone(), seed: self.seed, number: self.submitted }
    }
}

/// Takes the times of a reply.
pub(crate) struct Clock {
    pub(crate) timings: Timings,
    started: Instant,
    first: Option<Instant>,
}

impl Clock {
    /// The reply begins.
    pub(crate) fn start() -> Self {
        Self { timings: Timings::default(), started: Instant::now(), first: None }
    }

    /// A guess was checked.
    pub(crate) fn count(&mut self, checked: Checked) {
        self.timings.guessed_tokens += checked.guessed;
        self.timings.right_guesses += checked.right;
    }

    /// A token is there.
    pub(crate) fn take_token(&mut self) {
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
    }
}
