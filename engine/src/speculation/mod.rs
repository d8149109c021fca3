//! Speculative decoding (Leviathan et al. 2023): the tokens to come are guessed, and one step computes the token after each of
//! them. A decode step reads every weight once, for one token or for eight, so a right guess costs little and saves a step.
//!
//! Replies stay what they were. Token n of a reply is drawn with the random number n of its seed, wherever its logits come from,
//! and a guess only counts as far as it equals what is drawn. So there is no distribution to correct, as there is where a guess is
//! accepted at random: a greedy reply, and one with a seed, is the very same.
//!
//! A small batch of tokens must be computed as exactly as one token for that; if it is not, nothing is guessed. Its sums still have
//! another order, so logits differ in their last bits. Where activations are rounded to integers, such a bit can move an activation
//! by a whole step and change a close decision. So there, replies that have to be the same each time are guessed only if
//! the caller [asks for it](Speculation::also_for_repeatable_replies): how many tokens pay depends on the time that they take.
//!
//! Guesses come from the text so far ([`lookup`]), or from a smaller model with the same vocabulary. [`gain`] decides whether
//! they pay.

mod draft;
mod gain;
mod lookup;

use std::collections::VecDeque;

use web_time::Instant;

use self::draft::Draft;
use self::gain::{Evidence, Gain};
use self::lookup::look_up;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::gpu::Step;
use crate::ops::Rounding;
use crate::runner::Runner;
use crate::sampling::Sampling;
use crate::sequence::GuessOutcome;

/// How the tokens of replies are guessed ahead. Replies do not change; they come sooner where guesses are right.
pub struct Speculation {
    source: Source,
    /// Guesses per step, in place of as many as pay.
    always: Option<usize>,
    also_for_repeatable_replies: bool,
    gain: Gain,
}

enum Source {
    Nothing,
    Text,
    /// The text, and where nothing in it tells, a model.
    Model(Box<Draft>),
}

/// A guess of the tokens after the newest one.
pub(crate) struct Guess {
    pub(crate) tokens: Vec<u32>,
    evidence: Evidence,
}

impl Speculation {
    /// Nothing is guessed.
    pub fn off() -> Self {
        Self { source: Source::Nothing, always: None, also_for_repeatable_replies: false, gain: Gain::default() }
    }

    /// Tokens are guessed from the text so far, where they pay.
    pub fn from_text() -> Self {
        Self { source: Source::Text, ..Self::off() }
    }

    /// Tokens are guessed by a smaller model with the same vocabulary where the text so far does not tell, and where they pay.
    ///
    /// # Errors
    /// If there is no memory for the smaller model's cache.
    pub async fn from_model(engine: &Engine) -> Result<Self> {
        Ok(Self { source: Source::Model(Box::new(Draft::new(engine).await?)), ..Self::off() })
    }

    /// Guesses this many tokens per step, even where they do not pay: for tests and measurements.
    pub fn always(self, tokens: usize) -> Self {
        Self { always: Some(tokens), ..self }
    }

    /// Guesses also where a reply should be the same each time, because it is greedy or has a seed, but activations are rounded to
    /// integers. Sums in another order can make it another reply then.
    pub fn also_for_repeatable_replies(self) -> Self {
        Self { also_for_repeatable_replies: true, ..self }
    }

    /// Whether replies with this sampling are guessed, on kernels that round activations or do not.
    fn is_for(&self, sampling: &Sampling, rounds: bool) -> bool {
        let is_repeatable = sampling.is_greedy() || sampling.seed.is_some();
        // With a penalty, a token's logits depend on the tokens before it, and a guess can be wrong.
        sampling.repetition_penalty == 1.0 && (self.also_for_repeatable_replies || !rounds || !is_repeatable)
    }

    /// Fails if a smaller model has another vocabulary than this one.
    pub(crate) fn check(&self, vocab_size: usize) -> Result<()> {
        match &self.source {
            Source::Model(draft) if draft.engine().config().vocab_size != vocab_size => Err(Error::Setting {
                field: "the vocabulary of the model that guesses",
                value: format!("{} tokens", draft.engine().config().vocab_size),
                expected: "that of the model whose tokens it guesses",
            }),
            _ => Ok(()),
        }
    }

    /// What the text guesses of at most `most` tokens after `taken`, and how many of them pay.
    fn of_text(&self, taken: &[u32], most: usize) -> Option<(Guess, usize)> {
        if most == 0 || matches!(self.source, Source::Nothing) {
            return None;
        }
        let (tokens, equal) = look_up(taken, self.always.map_or(most, |always| always.min(most)));
        let evidence = Evidence::Text(equal);
        let best = self.always.unwrap_or_else(|| self.gain.best(evidence, most)).min(tokens.len());
        Some((Guess { tokens, evidence }, best)).filter(|(guess, _)| !guess.tokens.is_empty())
    }

    /// The guess of the smaller model for the tokens after `taken`, the first of which `draw` draws. Empty if it fails; then it is no
    /// longer asked.
    ///
    /// # Errors
    /// If the device is lost or refuses a command.
    pub(crate) async fn ask_model(
        &mut self,
        taken: &[u32],
        tokens: usize,
        sampling: &Sampling,
        draw: &Step,
    ) -> Result<Guess> {
        let mut guess = Guess { tokens: Vec::new(), evidence: Evidence::Model };
        let Source::Model(draft) = &mut self.source else { return Ok(guess) };
        match draft.guess(taken, tokens, sampling, draw).await {
            Ok((found, ms)) => {
                guess.tokens = found;
                self.gain.learn_guess(ms);
            }
            Err(error @ (Error::DeviceLost { .. } | Error::Gpu { .. })) => return Err(error),
            // What is wrong with it is no reason to end the reply of the other.
            Err(error) => {
                log::warn!("the model that guesses is no longer asked: {error}");
                self.source = Source::Text;
            }
        }
        Ok(guess)
    }

    /// How many tokens after `taken` the smaller model should guess.
    fn of_model(&self, taken: &[u32], most: usize) -> usize {
        match &self.source {
            Source::Model(draft) => {
                let room = draft.engine().context().saturating_sub(taken.len());
                self.always.unwrap_or_else(|| self.gain.best(Evidence::Model, most)).min(most).min(room)
            }
            _ => 0,
        }
    }
}

/// The guesses of one reply.
#[derive(Default)]
pub(crate) struct Guesses {
    /// What was guessed and not computed, because it does not pay. The tokens that come tell whether it would have been right.
    untried: VecDeque<(u32, Evidence)>,
    /// The evidence of the guess in flight, and when its step was submitted.
    tried: Option<(Evidence, Instant)>,
    /// When the newest token came, if it came without a guess.
    plain: Option<Instant>,
}

/// What to do next.
pub(crate) enum Next {
    /// Compute the newest token, without a guess.
    Plain,
    /// Compute the newest token with this guess, once the host has read it.
    Text(Guess),
    /// The same with a guess of this many tokens by the smaller model.
    Model(usize),
}

impl Guesses {
    /// Decides about the tokens after `taken`, of which it can have `most` more guessed.
    pub(crate) fn next(
        &mut self,
        speculation: &Speculation,
        runner: &Runner,
        sampling: &Sampling,
        taken: &[u32],
        most: usize,
    ) -> Next {
        let rounds = runner.engine.inner.kernels.decode.rounding != Rounding::None;
        let most = if speculation.is_for(sampling, rounds) { most.min(runner.most_guesses()) } else { 0 };
        if let Some((mut guess, best)) = speculation.of_text(taken, most) {
            if best > 0 {
                guess.tokens.truncate(best);
                return Next::Text(guess);
            }
            if self.untried.is_empty() {
                self.untried = guess.tokens.into_iter().map(|token| (token, guess.evidence)).collect();
            }
        }
        match speculation.of_model(taken, most) {
            0 => Next::Plain,
            tokens => Next::Model(tokens),
        }
    }

    /// A step with a guess is submitted.
    pub(crate) fn submitted(&mut self, guess: &Guess) {
        self.tried = Some((guess.evidence, Instant::now()));
    }

    /// The host has read a token. `checked`: what became of the guess of the step that drew it, at its first token.
    pub(crate) fn take(&mut self, speculation: &mut Speculation, token: u32, checked: Option<GuessOutcome>) {
        let gain = &mut speculation.gain;
        let now = Instant::now();
        if let Some((expected, evidence)) = self.untried.pop_front() {
            gain.learn_right(evidence, expected == token);
            if expected != token {
                self.untried.clear();
            }
        }
        match (checked, self.tried.take()) {
            (Some(checked), Some((evidence, submitted))) => {
                let GuessOutcome { guessed, right } = checked;
                (0..right).for_each(|_| gain.learn_right(evidence, true));
                if right < guessed {
                    gain.learn_right(evidence, false);
                }
                gain.learn_step(1 + guessed, (now - submitted).as_secs_f64() * 1e3);
                self.untried.clear();
                self.plain = None;
            }
            _ => {
                if let Some(before) = self.plain {
                    gain.learn_step(1, (now - before).as_secs_f64() * 1e3);
                    gain.forget();
                }
                self.plain = Some(now);
            }
        }
    }

    /// The time until the next token is not that of a plain step, and the tokens in between were not compared with a guess.
    pub(crate) fn skip_time(&mut self) {
        self.plain = None;
        self.untried.clear();
    }
}
