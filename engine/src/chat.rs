//! A conversation: turns of text over a session.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::outcome::{Finish, Timings};
use crate::sampling::Sampling;
use crate::session::Session;
use crate::speculation::Speculation;
use crate::template::{Role, Turn, render};
use crate::text::TextDecoding;

/// A conversation with the model. Each turn computes only its new tokens.
pub struct Chat {
    engine: Engine,
    session: Option<Session>,
    /// Until the session is there.
    speculation: Option<Speculation>,
    system: Option<String>,
    turns: Vec<Turn>,
}

impl Engine {
    /// A new conversation.
    pub fn chat(&self) -> Chat {
        Chat { engine: self.clone(), session: None, speculation: None, system: None, turns: Vec::new() }
    }
}

impl Chat {
    /// Sets the system prompt. Gemma has no system role, so the text is put before the first turn's.
    pub fn set_system(&mut self, text: impl Into<String>) {
        self.system = Some(text.into());
    }

    /// Sets how tokens of replies are guessed ahead from now on.
    ///
    /// # Errors
    /// As for [`Session::speculate`].
    pub fn speculate(&mut self, speculation: Speculation) -> Result<()> {
        speculation.check(self.engine.config().vocab_size)?;
        match &mut self.session {
            Some(session) => session.speculate(speculation)?,
            None => self.speculation = Some(speculation),
        }
        Ok(())
    }

    /// The turns so far.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Removes all turns and keeps the system prompt.
    pub fn clear(&mut self) {
        self.turns.clear();
    }

    /// Sends a message. [`Reply::next`] gives the reply piece by piece. Dropping the reply cancels it and keeps its
    /// text so far. A reply that is dropped before its first piece leaves the turns unchanged.
    ///
    /// # Errors
    /// - [`Error::EmptyPrompt`] if the text is blank.
    /// - [`Error::Tokenizer`] or [`Error::Unsupported`] if the model has no tokenizer, or one without turns.
    /// - [`Error::Setting`] if a sampling parameter is out of range.
    /// - [`Error::ContextFull`] if the conversation does not fit the context.
    ///
    /// After an error the turns are unchanged.
    pub fn send(&mut self, text: &str, sampling: &Sampling) -> Result<Reply<'_>> {
        if text.trim().is_empty() {
            return Err(Error::EmptyPrompt);
        }
        let mut turns = self.turns.clone();
        turns.push(Turn { role: Role::User, text: text.to_owned() });
        let prompt = render(self.engine.tokenizer()?, self.system.as_deref(), &turns)?;
        let reply = TextDecoding::new(&self.engine, &prompt, sampling)?;
        Ok(Reply { chat: self, question: Some(text.to_owned()), text: reply })
    }
}

/// A reply in progress: call [`Reply::next`] until it returns `None`.
pub struct Reply<'c> {
    chat: &'c mut Chat,
    /// The user's message. Taken when the reply has its first piece or has ended. A reply that is dropped earlier
    /// records no turn, because the model would take an empty turn for an answer.
    question: Option<String>,
    text: TextDecoding,
}

impl Reply<'_> {
    /// The next piece of text, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if there is no memory for the conversation, [`Error::DeviceLost`] or [`Error::Gpu`] if
    /// the device fails, and [`Error::NoToken`] if all logits are NaN. The text so far is kept.
    pub async fn next(&mut self) -> Result<Option<String>> {
        if self.text.ended {
            return Ok(None);
        }
        if self.chat.session.is_none() {
            let mut session = self.chat.engine.session().await?;
            if let Some(speculation) = self.chat.speculation.take() {
                session.speculate(speculation)?;
            }
            self.chat.session = Some(session);
        }
        let Some(session) = &mut self.chat.session else { return Ok(None) };
        // An error before the first piece returns here, so it records no empty reply.
        let piece = self.text.next(session).await?;
        if let Some(text) = self.question.take() {
            let model = Turn { role: Role::Model, text: String::new() };
            self.chat.turns.extend([Turn { role: Role::User, text }, model]);
        }
        if let Some(piece) = &piece
            && let Some(turn) = self.chat.turns.last_mut()
        {
            turn.text.push_str(piece);
        }
        Ok(piece)
    }

    /// [`Reply::next`], blocking.
    ///
    /// # Errors
    /// As for `next`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn next_blocking(&mut self) -> Result<Option<String>> {
        pollster::block_on(self.next())
    }

    /// Why the reply ended, once it has.
    pub fn finish(&self) -> Option<Finish> {
        self.text.decoding.finish()
    }

    /// How long the reply has taken so far.
    pub fn timings(&self) -> Timings {
        self.text.decoding.timings()
    }
}
