//! A request, with what has come of it.

use super::request::{Bias, Event, Mask, Request, RequestId};
use crate::gpu::Step;
use crate::outcome::{Clock, Finish};
use crate::sampling::Sampling;
use crate::sequence::{GuessOutcome, Sequence};

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
    mask: Option<Mask>,
    /// Whether the mask allowed no token the last time.
    pub(super) allows_none: bool,
    /// Tokens that the submitted steps draw.
    submitted: usize,
    /// The most steps, limited by the caller and by the context. The keys and values of the last token are never read.
    pub(super) most_steps: usize,
    /// Tokens of the prompt that were in the cache.
    pub(super) cached: usize,
    pub(super) clock: Clock,
}

impl Job {
    /// A request for a context of so many tokens, which its prompt fits.
    pub(super) fn new(id: RequestId, request: Request, context: usize) -> Self {
        let Request { prompt, sampling, logprobs, prompt_logprobs, bias, mask } = request;
        Self {
            id,
            seed: sampling.seed_or_random(),
            most_steps: sampling.most_tokens(context + 1 - prompt.len()),
            prompt,
            reply: Vec::new(),
            sampling,
            logprobs,
            prompt_logprobs,
            bias,
            mask,
            allows_none: false,
            submitted: 0,
            cached: 0,
            clock: Clock::start(),
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

    /// Whether a step of it needs that the host knows the token before.
    pub(super) fn needs_host(&self) -> bool {
        self.bias.is_some() || self.mask.is_some()
    }

    /// Tells the device which tokens can follow the reply, if not all can.
    pub(super) fn allow(&mut self, sequence: &Sequence) {
        if let Some(mask) = &mut self.mask {
            let bits = sequence.set_allowed(|bits| mask(&self.reply, bits));
            self.allows_none = bits.iter().all(|word| *word == 0);
        }
    }

    /// Whether the host reads the logits of each token.
    pub(super) fn reads_logits(&self) -> bool {
        self.logprobs.is_some() || self.bias.is_some()
    }

    /// The step that draws the next token, at a position of the sequence in a slot.
    pub(super) fn step(&self, position: usize, slot: u32) -> Step {
        let is_masked = u32::from(self.mask.is_some());
        Step { slot, is_masked, ..self.sampling.step(self.seed, position, self.submitted) }
    }

    /// Steps that its reply can still have.
    pub(super) fn steps_left(&self) -> usize {
        self.most_steps - self.submitted
    }

    /// A step that draws `tokens` tokens is submitted.
    pub(super) fn submitted(&mut self, tokens: usize) {
        self.submitted += tokens;
    }

    /// A step with guesses has ended: those after the right ones draw no tokens of the reply.
    pub(super) fn checked(&mut self, checked: GuessOutcome) {
        self.submitted -= checked.wrong();
        self.clock.count(checked);
    }

    /// Its last event.
    pub(super) fn finished(&self, by_stop_token: bool) -> Event {
        let finish = if by_stop_token {
            Finish::Stop
        } else if self.sampling.max_tokens == Some(self.most_steps) {
            Finish::MaxTokens
        } else {
            Finish::ContextFull
        };
        Event::Finished { id: self.id, finish, timings: self.clock.timings, cached: self.cached }
    }
}
