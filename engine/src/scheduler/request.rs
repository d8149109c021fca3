//! What goes into a scheduler and what comes out.

use crate::error::Error;
use crate::outcome::{Finish, Timings};
use crate::sampling::Sampling;

/// Changes logits before a token is chosen from them: the first argument is the reply so far, the second the logits of all tokens
/// that the tokenizer knows, after soft-cap and repetition penalty. Minus infinity forbids a token.
pub type Bias = Box<dyn FnMut(&[u32], &mut [f32]) + Send>;

/// Says which tokens may follow: the first argument is the reply so far, the second has a bit per token of the vocabulary, token `i` in
/// bit `i % 32` of word `i / 32`, none of them set. If it sets none, the reply fails with [`Error::Setting`].
pub type Mask = Box<dyn FnMut(&[u32], &mut [u32]) + Send>;

/// A request for a reply.
pub struct Request {
    /// The whole sequence from `<bos>` on.
    pub prompt: Vec<u32>,
    /// How tokens are chosen, and how many at most. With at most 0, only the prompt is computed, except its last token.
    pub sampling: Sampling,
    /// The number of most likely tokens to list with each token of the reply and its log-probability; `None` for no
    /// log-probabilities.
    pub logprobs: Option<usize>,
    /// The same for the tokens of the prompt. It is computed as a whole then, in small pieces.
    pub prompt_logprobs: Option<usize>,
    /// Changes the logits before each token. Such a request reads them back to the host for every token, which costs time, and
    /// no decode step is submitted before the one before it has ended.
    pub bias: Option<Bias>,
    /// Says which tokens can be chosen each time. The device leaves out the others, so it costs only that the host must know each
    /// token before the next step.
    pub mask: Option<Mask>,
}

impl Request {
    /// A request without log-probabilities, bias and mask.
    pub fn new(prompt: Vec<u32>, sampling: Sampling) -> Self {
        Self { prompt, sampling, logprobs: None, prompt_logprobs: None, bias: None, mask: None }
    }
}

/// Which request: each of a scheduler's has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(super) u64);

/// What happened to a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The log-probabilities of the prompt, if they were asked for, before any token: of each token but the first.
    Prompt {
        /// The request.
        id: RequestId,
        /// In the order of the tokens.
        logprobs: Vec<TokenLogprobs>,
    },
    /// The reply's next token. A stop token ends the reply and is not reported.
    Token {
        /// The request.
        id: RequestId,
        /// The token.
        token: u32,
        /// Its log-probability, if that was asked for.
        logprobs: Option<TokenLogprobs>,
        /// How long the reply has taken so far.
        timings: Timings,
    },
    /// The reply is complete.
    Finished {
        /// The request.
        id: RequestId,
        /// Why it ended.
        finish: Finish,
        /// How long it took. The time to the first token includes waiting. Tokens that were computed again, because the request gave
        /// its place to an older one, count again.
        timings: Timings,
        /// Tokens of the prompt that were in the cache.
        cached: usize,
    },
    /// The request cannot go on.
    Failed {
        /// The request.
        id: RequestId,
        /// Why.
        error: Error,
    },
}

impl Event {
    /// The request that it is about.
    pub fn id(&self) -> RequestId {
        match self {
            Self::Prompt { id, .. } | Self::Token { id, .. } | Self::Finished { id, .. } | Self::Failed { id, .. } => {
                *id
            }
        }
    }
}

/// The log-probability of a token at its position, and those of the most likely tokens there, at temperature 1.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    /// The token's own.
    pub logprob: f32,
    /// The most likely tokens, from the most likely on.
    pub top: Vec<(u32, f32)>,
}

impl TokenLogprobs {
    /// Of a token and the `top` most likely ones, from all logits. Those that are not finite have no probability.
    pub(super) fn new(token: u32, top: usize, logits: &[f32]) -> Self {
        let finite = |logit: f32| if logit.is_finite() { logit } else { f32::NEG_INFINITY };
        let highest = logits.iter().copied().map(finite).fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|logit| f64::from(finite(*logit) - highest).exp()).sum();
        let logprob = |logit: f32| (f64::from(finite(logit) - highest) - sum.ln()) as f32;
        let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
        let likelier = |a: &u32, b: &u32| {
            let of = |id: &u32| finite(logits[*id as usize]);
            of(b).total_cmp(&of(a)).then(a.cmp(b))
        };
        let top = top.min(ids.len());
        if top > 0 && top < ids.len() {
            ids.select_nth_unstable_by(top - 1, likelier);
        }
        ids.truncate(top);
        ids.sort_unstable_by(likelier);
        let top = ids.into_iter().map(|id| (id, logprob(logits[id as usize]))).collect();
        Self { logprob: logits.get(token as usize).map_or(f32::NEG_INFINITY, |logit| logprob(*logit)), top }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_of_the_softmax() {
        let logits = [0.0, 2.0f32.ln(), f32::NAN, 5.0f32.ln(), f32::NEG_INFINITY];
        let found = TokenLogprobs::new(1, 2, &logits);
        assert!((found.logprob - 0.25f32.ln()).abs() < 1e-6);
        assert_eq!(found.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [3, 1]);
        assert!((found.top[0].1 - 0.625f32.ln()).abs() < 1e-6);
        assert_eq!(TokenLogprobs::new(4, 0, &logits), TokenLogprobs { logprob: f32::NEG_INFINITY, top: Vec::new() });
        assert_eq!(TokenLogprobs::new(0, 9, &logits).top.len(), 5);
    }
}
