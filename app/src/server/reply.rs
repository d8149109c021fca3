//! One reply while it is generated: from tokens to the pieces that the client gets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lapidary_engine::tokenizer::{TextStream, Tokenizer};
use lapidary_engine::{Result, StopStrings};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::error::ApiError;
use super::grammar::Failure;
use super::logprobs::TokenLogprob;
use super::queue::{End, Event, Job};
use super::request::{Kind, Request};

/// A reply in the engine's hands.
pub(super) struct Reply {
    pub(super) request: Arc<Request>,
    pub(super) choice: usize,
    events: Sender<Event>,
    /// What went wrong with the format that the reply must have.
    pub(super) failure: Failure,
    /// [`Job::lost`], which all replies to a request share.
    lost: Arc<AtomicBool>,
    text: TextStream,
    stops: StopStrings,
    /// Tokens so far, with one that ends the reply.
    tokens: usize,
    /// Bytes of text that the tokens made, and how many of them were sent. Those between may be part of a stop string.
    made: usize,
    sent: usize,
    /// Log-probabilities to send with the text, each with the offset of its token's text.
    unsent: VecDeque<(usize, TokenLogprob)>,
    /// The token that ended a chat's reply.
    end_token: Option<TokenLogprob>,
    pub(super) started: Instant,
    pub(super) first_token: Option<Instant>,
}

/// Why a reply ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The model ended it.
    Model,
    /// A stop string was found.
    StopString,
    /// The limit of tokens or the context is full.
    Length,
}

impl Reply {
    /// The next reply of a request.
    pub(super) fn new(job: &Job, tokenizer: Arc<Tokenizer>) -> Self {
        Self {
            request: job.request.clone(),
            choice: job.next,
            events: job.events.clone(),
            failure: Failure::default(),
            lost: job.lost.clone(),
            text: TextStream::new(tokenizer),
            stops: StopStrings::new(job.request.stops.clone()),
            tokens: 0,
            made: 0,
            sent: 0,
            unsent: VecDeque::new(),
            end_token: None,
            started: Instant::now(),
            first_token: None,
        }
    }

    /// The prompt that it answers.
    pub(super) fn prompt(&self) -> &[u32] {
        &self.request.prompts[self.choice / self.request.n]
    }

    /// Whether the client is gone, or does not read.
    pub(super) fn is_gone(&self) -> bool {
        self.lost.load(Ordering::Relaxed) || self.events.is_closed()
    }

    /// Tokens so far.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Sends the prompt's text before the reply, if the request wants that, with log-probabilities.
    pub(super) fn send_prompt(&mut self, logprobs: Vec<TokenLogprob>) {
        if let Some(text) = self.request.echo.get(self.choice / self.request.n) {
            self.send(text.clone(), logprobs);
        }
    }

    /// Takes the next token. Returns how the reply ends if it is one of `end_ids` or completes a stop string.
    ///
    /// # Errors
    /// If the token is beyond the vocabulary.
    pub(super) fn push(&mut self, id: u32, logprob: Option<TokenLogprob>, end_ids: &[u32]) -> Result<Option<Ending>> {
        self.first_token.get_or_insert_with(Instant::now);
        self.tokens += 1;
        let ends = self.request.sampling.stop_at_end && end_ids.contains(&id);
        // The end of the turn is no part of a chat's message. In a completion, programs that score texts count on it.
        if ends && self.request.kind == Kind::Chat {
            self.end_token = logprob;
        } else if let Some(logprob) = logprob {
            self.unsent.push_back((self.made, logprob));
        }
        if ends {
            return Ok(Some(Ending::Model));
        }
        let piece = self.text.push(id)?.unwrap_or_default();
        self.made += piece.len();
        let (text, stopped) = self.stops.push(&piece);
        self.sent += text.len();
        self.send_up_to(text, self.sent);
        Ok(stopped.then_some(Ending::StopString))
    }

    /// Sends what was held back, and the end. After a stop string nothing follows, neither it nor its tokens.
    pub(super) fn end(mut self, ending: Ending) {
        if ending != Ending::StopString {
            // The bytes of an incomplete character, and what could have begun a stop string.
            let rest = self.stops.finish() + &self.text.finish();
            self.send_up_to(rest, usize::MAX);
        }
        let finish = if ending == Ending::Length { "length" } else { "stop" };
        let end = End { finish, tokens: self.tokens, token: self.end_token.take() };
        self.pass(Event::Ended { choice: self.choice, end });
    }

    /// Tells the client that the request failed.
    pub(super) fn fail(&self, error: ApiError) {
        // If that cannot be sent, the client is gone.
        let _ = self.events.try_send(Event::Failed(error));
    }

    /// Sends text with the tokens that begin before this offset.
    fn send_up_to(&mut self, text: String, offset: usize) {
        let count = self.unsent.partition_point(|(start, _)| *start < offset);
        let logprobs: Vec<TokenLogprob> = self.unsent.drain(..count).map(|(_, logprob)| logprob).collect();
        if !text.is_empty() || !logprobs.is_empty() {
            self.send(text, logprobs);
        }
    }

    fn send(&mut self, text: String, logprobs: Vec<TokenLogprob>) {
        self.pass(Event::Piece { choice: self.choice, text, logprobs });
    }

    fn pass(&mut self, event: Event) {
        // What follows a lost piece would look like a whole reply.
        if self.lost.load(Ordering::Relaxed) {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.events.try_send(event)
            && !self.lost.swap(true, Ordering::Relaxed)
        {
            log::warn!("a request ends before its replies do, because its client reads too slowly");
        }
    }
}
