//! Why a reply ended, and how long it took.

use serde::{Deserialize, Serialize};
use web_time::Instant;

use crate::sequence::GuessOutcome;

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
    pub(crate) fn count(&mut self, checked: GuessOutcome) {
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
