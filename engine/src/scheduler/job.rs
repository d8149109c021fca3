//! A request, with what has come of it.

use web_time::Instant;

use super::request::{Bias, Event, Request, RequestId};
use crate::generation::{Finish, Timings};
use crate::runner::Draw;
use crate::sampling::Sampling;

pub(super) struct Job {
    pub(super) id: RequestId,
    prompt: Vec<u32>,
    /// The tokens of the reply that the host has read.
    pub(super) reply: Vec<u32>,
    pub(super) sampling: Sampling,
    pub(super) seed: u64,
    pub(super) logprobs: Option<usize>,
    pub(super) prompt_logprobs: Option<usize>,
    pub(super) bias: Option<Bias>,
    /// Steps submitted; each produces one token.
    submitted: usize,
    /// The most steps, limited by the caller and by the context. The keys and values of the last token are never read.
    pub(super) most_steps: usize,
    /// Tokens of the prompt that were computed, and that were in the cache.
    pub(super) computed: usize,
    pub(super) cached: usize,
    timings: Timings,
    started: Instant,
    first: Option<Instant>,
}

impl Job {
    /// A request for a context of so many tokens, which its prompt fits.
    pub(super) fn new(id: RequestId, request: Request, context: usize) -> Self {
        let Request { prompt, sampling, logprobs, prompt_logprobs, bias } = request;
        let room = context + 1 - prompt.len();
        Self {
            id,
            seed: sampling.seed_or_random(),
            most_steps: sampling.max_tokens.map_or(room, |max| max.min(room)),
            prompt,
            reply: Vec::new(),
            sampling,
            logprobs,
            prompt_logprobs,
            bias,
            submitted: 0,
            computed: 0,
            cached: 0,
            timings: Timings::default(),
            started: Instant::now(),
            first: None,
        }
    }

    /// The prompt and the reply so far.
    pub(super) fn tokens(&self) -> Vec<u32> {
        [&self.prompt[..], &self.reply].concat()
    }

    /// The request, to be begun again after it gave its place back. It keeps its reply, and goes on with the same
    /// seed and number of the draw.
    pub(super) fn again(mut self) -> Self {
        self.submitted = self.reply.len();
        self
    }

    /// Whether its reply still grows.
    pub(super) fn grows(&self) -> bool {
        self.submitted < self.most_steps
    }

    /// Whether the host reads the logits of each token.
    pub(super) fn reads_logits(&self) -> bool {
        self.logprobs.is_some() || self.bias.is_some()
    }

    pub(super) fn next_draw(&mut self) -> Draw {
        self.submitted += 1;
        Draw { sampling: self.sampling.clone(), seed: self.seed, number: self.submitted - 1 }
    }

    /// Notes the time of a token.
    pub(super) fn take_time(&mut self) {
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

    /// Its last event.
    pub(super) fn finished(&self, by_stop_token: bool) -> Event {
        let finish = match by_stop_token {
            true => Finish::Stop,
            false if self.sampling.max_tokens == Some(self.most_steps) => Finish::MaxTokens,
            false => Finish::ContextFull,
        };
        let timings = Timings { prefill_tokens: self.computed, ..self.timings };
        Event::Finished { id: self.id, finish, timings, cached: self.cached }
    }
}
