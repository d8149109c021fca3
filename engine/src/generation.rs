//! Generates a reply token by token.

use std::collections::VecDeque;

use crate::engine::Engine;
use crate::error::Result;
use crate::outcome::{Finish, Timings};
use crate::sampling::Sampling;
use crate::scheduler::{Event, Request, Scheduler};

/// The state of a generation, without the session that it works on.
pub(crate) struct Decoding {
    /// Until it is submitted.
    request: Option<Request>,
    /// What has happened to it, and was not yet asked for.
    events: VecDeque<Event>,
    finish: Option<Finish>,
    timings: Timings,
    /// Whether it ended with an error.
    failed: bool,
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
            request: Some(Request::new(prompt.to_vec(), sampling.clone())),
            events: VecDeque::new(),
            finish: None,
            timings: Timings::default(),
            failed: false,
        })
    }

    /// The next token, or `None` at the end; a stop token ends the generation and is not returned. Every call must pass the
    /// scheduler of the same session.
    ///
    /// # Errors
    /// If the device is lost or refuses a command, or all logits are NaN.
    pub(crate) async fn next(&mut self, scheduler: &mut Scheduler) -> Result<Option<u32>> {
        if self.finish.is_some() || self.failed {
            return Ok(None);
        }
        let next = self.advance(scheduler).await;
        // No token is returned after that, because it would follow a missing one.
        self.failed = next.is_err();
        next
    }

    /// Why the generation ended, once it has.
    pub(crate) fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// How long the generation has taken so far.
    pub(crate) fn timings(&self) -> Timings {
        self.timings
    }

    async fn advance(&mut self, scheduler: &mut Scheduler) -> Result<Option<u32>> {
        if let Some(request) = self.request.take() {
            if request.sampling.max_tokens == Some(0) {
                self.finish = Some(Finish::MaxTokens);
                return Ok(None);
            }
            // An earlier generation of the session was dropped.
            scheduler.cancel_all();
            scheduler.submit(request)?;
        }
        loop {
            match self.events.pop_front() {
                Some(Event::Token { token, timings, .. }) => {
                    self.timings = timings;
                    return Ok(Some(token));
                }
                Some(Event::Finished { finish, timings, .. }) => {
                    (self.finish, self.timings) = (Some(finish), timings);
                    return Ok(None);
                }
                Some(Event::Failed { error, .. }) => return Err(error),
                Some(Event::Prompt { .. }) => {}
                None => self.events.extend(scheduler.step().await?),
            }
        }
    }
}
