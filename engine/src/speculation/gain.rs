//! Whether guessing pays, and how many tokens to guess: from the time of steps and from how often guesses were right.

use crate::ops::MAX_SMALL_BATCH;

/// The weight of the newest value in an average.
const NEWEST: f64 = 0.1;
/// How likely a guess is before any was seen. Guesses are tried a few times, even where they turn out to lose.
const AT_FIRST: f64 = 0.7;

/// The part of what was measured that is forgotten per token without a guess.
const FORGOTTEN: f64 = 0.002;

/// What a guess is based on. Each kind is right in another share of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// This many equal tokens before.
    Text(usize),
    /// Another model.
    Model,
}

impl Evidence {
    const KINDS: usize = 4;

    fn kind(self) -> usize {
        match self {
            Self::Text(..4) => 0,
            Self::Text(4..8) => 1,
            Self::Text(_) => 2,
            Self::Model => 3,
        }
    }
}

/// Averages over the newest steps.
#[derive(Clone, Debug)]
pub(crate) struct Gain {
    /// Milliseconds of a step, by its number of tokens; of one token, from one to the next.
    step_ms: [Option<f64>; MAX_SMALL_BATCH + 1],
    /// Milliseconds in which the other model guesses a token.
    guess_ms: f64,
    /// How likely a guessed token is right, after right ones.
    right: [f64; Evidence::KINDS],
}

impl Default for Gain {
    fn default() -> Self {
        Self { step_ms: [None; MAX_SMALL_BATCH + 1], guess_ms: 0.0, right: [AT_FIRST; Evidence::KINDS] }
    }
}

impl Gain {
    /// The number of tokens to guess, up to `most`, with which tokens come fastest; 0 if none pays.
    pub(crate) fn best(&self, evidence: Evidence, most: usize) -> usize {
        let right = self.right[evidence.kind()];
        let guess_ms = if evidence == Evidence::Model { self.guess_ms } else { 0.0 };
        let (mut best, mut best_rate, mut tokens, mut all_right) = (0, 0.0, 0.0, 1.0);
        for guesses in 0..=most.min(MAX_SMALL_BATCH - 1) {
            // Known after the first two tokens of the first reply.
            let Some(ms) = self.ms(guesses + 1) else { return 0 };
            tokens += all_right;
            all_right *= right;
            let rate = tokens / (ms + guess_ms * guesses as f64);
            if rate > best_rate {
                (best, best_rate) = (guesses, rate);
            }
        }
        best
    }

    /// The time of a step: as measured, or between its neighbours'. A size that is larger than all that were measured is taken for
    /// as fast as those, so that it is tried.
    fn ms(&self, tokens: usize) -> Option<f64> {
        let measured = |n: &usize| self.step_ms[*n].map(|ms| (*n as f64, ms));
        let below = (1..=tokens).rev().find_map(|n| measured(&n))?;
        let above = (tokens..=MAX_SMALL_BATCH).find_map(|n| measured(&n)).unwrap_or(below);
        if above.0 <= below.0 {
            return Some(below.1);
        }
        Some(below.1 + (above.1 - below.1) * (tokens as f64 - below.0) / (above.0 - below.0))
    }

    /// A step of `tokens` tokens took `ms` milliseconds.
    pub(crate) fn learn_step(&mut self, tokens: usize, ms: f64) {
        let average = &mut self.step_ms[tokens];
        // Who paused in between has not measured a step.
        *average = Some(average.map_or(ms, |old| old + NEWEST * (ms.min(2.0 * old) - old)));
    }

    /// A token came without a guess. What was measured long ago slowly gives way to what was assumed at first, so that it is
    /// measured again.
    pub(crate) fn forget(&mut self) {
        let Some(plain) = self.step_ms[1] else { return };
        self.step_ms[2..].iter_mut().flatten().for_each(|ms| *ms += FORGOTTEN * (plain - *ms));
        let model = &mut self.right[Evidence::Model.kind()];
        *model += FORGOTTEN * (AT_FIRST - *model);
        self.guess_ms -= FORGOTTEN * self.guess_ms;
    }

    /// The other model took `ms` milliseconds for a token.
    pub(crate) fn learn_guess(&mut self, ms: f64) {
        self.guess_ms += NEWEST * (ms - self.guess_ms);
    }

    /// A guessed token after right ones was right or wrong.
    pub(crate) fn learn_right(&mut self, evidence: Evidence, was_right: bool) {
        let right = &mut self.right[evidence.kind()];
        *right += NEWEST * (f64::from(u8::from(was_right)) - *right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Evidence = Evidence::Text(9);

    /// Steps of one token take 10 ms, each further one as many more as given.
    fn gain(further: f64, right: f64) -> Gain {
        let mut gain = Gain::default();
        (1..=MAX_SMALL_BATCH).for_each(|n| gain.learn_step(n, 10.0 + further * (n - 1) as f64));
        gain.right = [right; Evidence::KINDS];
        gain
    }

    #[test]
    fn guesses_are_as_many_as_pay() {
        assert_eq!(gain(0.1, 0.9).best(LONG, 7), 7);
        assert_eq!(gain(0.1, 0.9).best(LONG, 3), 3);
        assert_eq!(gain(10.0, 0.9).best(LONG, 7), 0);
        assert_eq!(gain(0.1, 0.0).best(LONG, 7), 0);
        // 1.5 tokens in 13 ms; 1.75 in 16 ms.
        assert_eq!(gain(3.0, 0.5).best(LONG, 7), 1);
    }

    #[test]
    fn nothing_is_guessed_before_steps_were_measured_and_sizes_are_tried_once() {
        let mut gain = Gain::default();
        assert_eq!(gain.best(LONG, 7), 0);
        gain.learn_step(1, 10.0);
        assert_eq!(gain.best(LONG, 7), 7);
        // Eight tokens at once take longer than one after the other: and so do fewer, by what lies between.
        gain.learn_step(8, 90.0);
        assert_eq!(gain.best(LONG, 7), 0);
    }

    #[test]
    fn a_slow_model_guesses_less() {
        let mut gain = gain(0.5, 0.8);
        assert_eq!(gain.best(Evidence::Model, 7), 7);
        (0..99).for_each(|_| gain.learn_guess(6.0));
        assert!(gain.best(Evidence::Model, 7) < 3);
        (0..99).for_each(|_| gain.learn_guess(12.0));
        assert_eq!(gain.best(Evidence::Model, 7), 0);
    }

    #[test]
    fn what_did_not_pay_is_tried_again_later() {
        let mut gain = gain(10.0, 0.9);
        assert_eq!(gain.best(LONG, 7), 0);
        let tokens = (1..2000).find(|_| {
            gain.forget();
            gain.best(LONG, 7) > 0
        });
        assert!(tokens.is_some_and(|tokens| tokens > 20), "{tokens:?}");
    }

    #[test]
    fn what_was_seen_counts() {
        let mut gain = gain(3.0, 0.5);
        (0..40).for_each(|_| gain.learn_right(LONG, true));
        assert_eq!(gain.best(LONG, 7), 7);
        // A pause in a step is no measurement of it.
        gain.learn_step(8, 1e9);
        assert!(gain.best(LONG, 7) > 4);
        (0..40).for_each(|_| gain.learn_right(LONG, false));
        assert_eq!(gain.best(LONG, 7), 0);
        // Of other evidence nothing was learned.
        assert_eq!(gain.best(Evidence::Text(3), 7), 1);
    }
}
