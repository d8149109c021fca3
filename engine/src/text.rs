//! Generates a reply as text.

use crate::engine::Engine;
use crate::error::Result;
use crate::generation::Decoding;
use crate::outcome::{Finish, Timings};
use crate::sampling::Sampling;
use crate::session::Session;
use crate::tokenizer::TextStream;

/// A [`Decoding`] whose tokens are decoded to text.
pub(crate) struct TextDecoding {
    pub(crate) decoding: Decoding,
    /// `None` without a tokenizer; then the text lists the ids.
    stream: Option<TextStream>,
    ids: Vec<u32>,
    pub(crate) ended: bool,
}

impl TextDecoding {
    pub(crate) fn new(engine: &Engine, prompt: &[u32], sampling: &Sampling) -> Result<Self> {
        let decoding = Decoding::new(engine, prompt, sampling)?;
        let stream = engine.tokenizer().ok().cloned().map(TextStream::new);
        Ok(Self { decoding, stream, ids: Vec::new(), ended: false })
    }

    /// The next piece of complete characters, or `None` at the end. After an error, every call returns `None`.
    pub(crate) async fn next(&mut self, session: &mut Session) -> Result<Option<String>> {
        while !self.ended {
            let next = self.decoding.next(&mut session.scheduler).await;
            let piece = match next {
                Ok(Some(id)) => self.push(id),
                Ok(None) => {
                    self.ended = true;
                    Ok(self.rest())
                }
                Err(error) => Err(error),
            };
            self.ended |= piece.is_err();
            if let Some(piece) = piece? {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    fn push(&mut self, id: u32) -> Result<Option<String>> {
        self.ids.push(id);
        match &mut self.stream {
            Some(stream) => stream.push(id),
            None if self.ids.len() == 1 => Ok(Some(id.to_string())),
            None => Ok(Some(format!(" {id}"))),
        }
    }

    /// The bytes of an incomplete character, as U+FFFD, when no more tokens follow.
    pub(crate) fn rest(&mut self) -> Option<String> {
        self.stream.as_mut().map(TextStream::finish).filter(|rest| !rest.is_empty())
    }
}

/// A generation of text in progress: call [`TextGeneration::next`] until it returns `None`.
pub struct TextGeneration<'s> {
    session: &'s mut Session,
    text: TextDecoding,
}

impl Session {
    /// [`Session::generate`], as pieces of text. If the model has no tokenizer, the text lists the tokens' ids.
    ///
    /// # Errors
    /// As for `generate`.
    pub fn generate_text<'s>(&'s mut self, prompt: &[u32], sampling: &Sampling) -> Result<TextGeneration<'s>> {
        let text = TextDecoding::new(self.engine(), prompt, sampling)?;
        Ok(TextGeneration { session: self, text })
    }
}

impl TextGeneration<'_> {
    /// The next piece of text, never empty, or `None` at the end.
    ///
    /// # Errors
    /// As for [`Generation::next`](crate::Generation::next).
    pub async fn next(&mut self) -> Result<Option<String>> {
        self.text.next(self.session).await
    }

    /// The bytes of an incomplete character, as U+FFFD, for a caller who stops before the end.
    pub fn rest(&mut self) -> Option<String> {
        self.text.rest()
    }

    /// The ids of the tokens so far.
    pub fn ids(&self) -> &[u32] {
        &self.text.ids
    }

    /// Why the generation ended, once it has.
    pub fn finish(&self) -> Option<Finish> {
        self.text.decoding.finish()
    }

    /// How long the generation has taken so far.
    pub fn timings(&self) -> Timings {
        self.text.decoding.timings()
    }
}
