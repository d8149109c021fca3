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

mod gain;
mod lookup;

use std::collections::VecDeque;

use web_time::Instant;

use self::gain::{Evidence, Gain};
use self::lookup::look_up;
use crate::error::{Error, Result};
use crate::generation::Decoding;
use crate::ops::Rounding;
use crate::runner::{Draw, Runner};
use crate::sampling::Sampling;
use crate::session::Session;

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
    Model(Box<Session>),
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
    pub fn from_model(session: Session) -> Self {
        Self { source: Source::Model(Box::new(session)), ..Self::off() }
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
            Source::Model(session) if session.engine().config().vocab_size != vocab_size => Err(Error::Setting {
                field: "the vocabulary of the model that guesses",
                value: format!("{} tokens", session.engine().config().vocab_size),
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
        let found = look_up(taken, self.always.map_or(most, |always| always.min(most)));
        let evidence = Evidence::Text(found.equal);
        let best = self.always.unwrap_or_else(|| self.gain.best(evidence, most)).min(found.tokens.len());
        Some((Guess { tokens: found.tokens, evidence }, best)).filter(|(guess, _)| !guess.tokens.is_empty())
    }

    /// How many tokens after `taken` the smaller model should guess.
    fn of_model(&self, taken: &[u32], most: usize) -> usize {
        match &self.source {
            Source::Model(session) => {
                let room = session.engine().context().saturating_sub(taken.len());
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
    untried: VecDeque<u32>,
    untried_evidence: Option<Evidence>,
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
    /// The same with a guess of so many tokens by the smaller model.
    Model(usize),
}

impl Guesses {
    /// Decides about the tokens after `taken`, of which it can have `most` more guessed.
    pub(crate) fn next(&mut self, runner: &mut Runner, sampling: &Sampling, taken: &[u32], most: usize) -> Next {
        let rounds = runner.engine.inner.kernels.decode.rounding != Rounding::None;
        let most = if runner.speculation.is_for(sampling, rounds) { most.min(runner.most_guesses()) } else { 0 };
        let speculation = &runner.speculation;
        if let Some((mut guess, best)) = speculation.of_text(taken, most) {
            if best > 0 {
                guess.tokens.truncate(best);
                return Next::Text(guess);
            }
            if self.untried.is_empty() {
                (self.untried, self.untried_evidence) = (guess.tokens.into(), Some(guess.evidence));
            }
        }
        match speculation.of_model(taken, most) {
            0 => Next::Plain,
            tokens => Next::Model(tokens),
        }
    }

    /// The guess of the smaller model: what it draws with the same random numbers. Empty if its context is full.
    pub(crate) async fn ask_model(
        speculation: &mut Speculation,
        taken: &[u32],
        tokens: usize,
        draw: &Draw,
    ) -> Result<Guess> {
        let mut guess = Guess { tokens: Vec::new(), evidence: Evidence::Model };
        let Source::Model(session) = &mut speculation.source else { return Ok(guess) };
        let sampling = Sampling { max_tokens: Some(tokens), stop_at_end: false, ..draw.sampling.clone() };
        let Session { runner, sequence } = &mut **session;
        let Ok(decoding) = Decoding::new(&runner.engine, taken, &sampling) else { return Ok(guess) };
        let mut decoding = decoding.with_draws_of(draw);
        loop {
            // Its own runner guesses nothing, but for the compiler this is a recursion.
            match Box::pin(decoding.next(runner, sequence)).await {
                Ok(Some(token)) => guess.tokens.push(token),
                Ok(None) => break,
                Err(error @ (Error::DeviceLost { .. } | Error::Gpu { .. })) => return Err(error),
                // What is wrong with it is no reason to end the reply of the other.
                Err(error) => {
                    log::warn!("the model that guesses is no longer asked: {error}");
                    speculation.source = Source::Text;
                    return Ok(Guess { tokens: Vec::new(), ..guess });
                }
            }
        }
        // Without the prompt, which it reads once.
        let timings = decoding.timings();
        if timings.decode_tokens > 0 {
            speculation.gain.learn_guess(timings.decode_ms / timings.decode_tokens as f64);
        }
        Ok(guess)
    }

    /// A step with a guess is submitted.
    pub(crate) fn submitted(&mut self, guess: &Guess) {
        self.tried = Some((guess.evidence, Instant::now()));
    }

    /// The host has read a token. `checked`: of the step that drew it, the number of tokens guessed and of those that were right, at
    /// its first token.
    pub(crate) fn take(&mut self, speculation: &mut Speculation, token: u32, checked: Option<(usize, usize)>) {
        let gain = &mut speculation.gain;
        let now = Instant::now();
        if let Some(expected) = self.untried.pop_front()
            && let Some(evidence) = self.untried_evidence
        {
            gain.learn_right(evidence, expected == token);
            if expected != token {
                self.untried.clear();
            }
        }
        match (checked, self.tried.take()) {
            (Some((guessed, right)), Some((evidence, submitted))) => {
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
