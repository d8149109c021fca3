//! The sampling parameters.

use std::hash::{BuildHasher, Hasher, RandomState};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::gpu::Step;

/// How a token is chosen from the logits, in this order: repetition penalty, temperature, top-k, top-p, min-p.
/// The kernel `sample` documents each step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 takes the most likely token; 1 samples from the model's distribution; above 1 flattens it.
    pub temperature: f32,
    /// Samples from this many of the most likely tokens; 0 for all.
    pub top_k: u32,
    /// Samples from the most likely tokens whose probabilities sum to this, above 0 and up to 1; 1 for all.
    pub top_p: f32,
    /// The least probability relative to that of the most likely token, from 0 to 1; 0 for no limit.
    pub min_p: f32,
    /// Makes tokens of the prompt and the reply less likely if above 1: divides their logits if positive, multiplies
    /// them if negative. 1 for no penalty.
    pub repetition_penalty: f32,
    /// Equal seeds give equal replies; `None` for a new random seed per reply.
    pub seed: Option<u64>,
    /// The most tokens of a reply; `None` for as many as the context holds.
    pub max_tokens: Option<usize>,
    /// Whether the model's end-of-turn tokens end the reply.
    pub stop_at_end: bool,
}

impl Default for Sampling {
    /// What Gemma's makers recommend: temperature 1, top-k 64, top-p 0.95.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 64,
            top_p: 0.95,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: None,
            max_tokens: None,
            stop_at_end: true,
        }
    }
}

impl Sampling {
    /// Always takes the most likely token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Whether the most likely token is always taken.
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }

    /// Checks that every parameter is in range. All functions that take a `Sampling` call this.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first that is out of range.
    pub fn check(&self) -> Result<()> {
        let check = |ok: bool, field, value: f32, expected| {
            if ok { Ok(()) } else { Err(Error::Setting { field, value: value.to_string(), expected }) }
        };
        let t = self.temperature;
        // Below 0.01, exp((logit - highest) / temperature) is a step function, the same as greedy sampling with 0.
        check(t == 0.0 || (0.01..=100.0).contains(&t), "temperature", t, "0 or from 0.01 to 100")?;
        check(self.top_p > 0.0 && self.top_p <= 1.0, "top-p", self.top_p, "above 0 and at most 1")?;
        check((0.0..=1.0).contains(&self.min_p), "min-p", self.min_p, "from 0 to 1")?;
        let penalty = self.repetition_penalty;
        check((0.01..=100.0).contains(&penalty), "repetition penalty", penalty, "from 0.01 to 100")
    }

    /// The most tokens of a reply for which there is so much room.
    pub(crate) fn most_tokens(&self, room: usize) -> usize {
        self.max_tokens.map_or(room, |max| max.min(room))
    }

    pub(crate) fn seed_or_random(&self) -> u64 {
        self.seed.unwrap_or_else(|| {
            let mut hasher = RandomState::new().build_hasher();
            // In the browser the hasher's keys are the same at every load of the page; the clock is not.
            let since = web_time::SystemTime::now().duration_since(web_time::UNIX_EPOCH);
            hasher.write_u128(since.unwrap_or_default().as_nanos());
            hasher.finish()
        })
    }

    /// The uniform of a step at `position` that samples token number `draw` of a reply.
    pub(crate) fn step(&self, seed: u64, position: usize, draw: usize) -> Step {
        Step {
            seed_low: seed as u32,
            seed_high: (seed >> 32) as u32,
            // Contexts are far shorter than 2^32.
            position: position as u32,
            draw: draw as u32,
            temperature: if self.is_greedy() { 1.0 } else { self.temperature },
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            ..Step::default()
        }
    }
}
