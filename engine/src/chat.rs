//! A conversation: turns of text over a session.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::generation::{Finish, Timings};
use crate::sampling::Sampling;
use crate::session::Session;
use crate::template::{Role, Turn, render};
use crate::text::TextDecoding;

/// A conversation with the model. What was said before is not computed again.
pub struct Chat {
    engine: Engine,
    session: Option<Session>,
    system: Option<String>,
    turns: Vec<Turn>,
}

impl Engine {
    /// A new conversation.
    pub fn chat(&self) -> Chat {
        Chat { engine: self.clone(), session: None, system: None, turns: Vec::new() }
    }
}

impl Chat {
    /// What the model should know before the first turn. Gemma-2 has no system role: the text goes to the head of the first
    /// turn.
    pub fn set_system(&mut self, text: impl Into<String>) {
        self.system = Some(text.into());
    }

    /// What was said so far.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Forgets everything but the system text.
    pub fn clear(&mut self) {
        self.turns.clear();
    }

    /// Says something; the reply comes piece by piece from [`Reply::next`]. Dropping the reply stops it and keeps what it
    /// said; if that is nothing yet, it is as if nothing had been said.
    ///
    /// # Errors
    /// If the model has no tokenizer, the settings make no sense, or the conversation does not fit the context; then it is
    /// as if nothing had been said.
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

/// A reply under way: call [`Reply::next`] until it returns `None`.
pub struct Reply<'c> {
    chat: &'c mut Chat,
    /// Taken once the reply has its first piece or has ended. A reply dropped earlier records no turn: the model would take an
    /// empty one for an answer.
    question: Option<String>,
    text: TextDecoding,
}

impl Reply<'_> {
    /// The next piece of text, or `None` at the end.
    ///
    /// # Errors
    /// If there is no memory for the conversation, or the device is lost or refuses a command. What was said so far is kept.
    pub async fn next(&mut self) -> Result<Option<String>> {
        if self.text.has_ended() {
            return Ok(None);
        }
        if self.chat.session.is_none() {
            self.chat.session = Some(self.chat.engine.session().await?);
        }
        let Some(session) = &mut self.chat.session else { return Ok(None) };
        // After an error there is no empty reply to keep.
        let piece = self.text.next(&mut session.runner, &mut session.sequence).await?;
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
        self.text.finish()
    }

    /// How long it took so far.
    pub fn timings(&self) -> Timings {
        self.text.timings()
    }
}
