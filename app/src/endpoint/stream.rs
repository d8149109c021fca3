//! A reply as it arrives.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use lapidary_engine::{Finish, Timings};
use serde::Deserialize;
use serde_json::Value;
use ureq::{Body, BodyReader};

use super::alternatives::{Alternatives, Logprobs, TokenLists};
use super::client::failure;
use super::error::{EndpointError, Result};
use super::sse::{Malformed, Parser};
use super::words;
use crate::hub::Stop;

/// Bytes of the longest reply as text.
const MAX_TEXT: usize = 16 << 20;
/// Bytes of the longest reply as events, of which each holds a few letters of text.
const MAX_BODY: u64 = 512 << 20;
/// Bytes that are read at once.
const PIECE: usize = 8 << 10;

/// A reply that a server sends piece by piece.
pub struct ReplyStream {
    body: BodyReader<'static>,
    parser: Parser,
    host: String,
    stall: Duration,
    stop: Stop,
    /// Bytes of text so far.
    text: usize,
    alternatives: Alternatives,
    refused_alternatives: bool,
    finish: Option<Finish>,
    /// Tokens of the prompt and of the reply, which most servers count.
    usage: Option<(usize, usize)>,
    ended: bool,
    asked: Instant,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// An event of a reply.
enum Part {
    Text(String),
    Nothing,
    /// The server says that nothing follows.
    Done,
}

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    delta: Option<Delta>,
    finish_reason: Option<String>,
    logprobs: Option<Value>,
}

/// What a reply grows by. What reasoning models think before they reply is no part of it.
#[derive(Default, Deserialize)]
struct Delta {
    content: Option<Value>,
    refusal: Option<String>,
}

impl Delta {
    fn text(self) -> String {
        let mut text = match self.content {
            Some(Value::String(text)) => text,
            // Parts, of which those of text have one.
            Some(Value::Array(parts)) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
            _ => String::new(),
        };
        text.push_str(self.refusal.as_deref().unwrap_or_default());
        text
    }
}

impl ReplyStream {
    pub(super) fn new(
        body: Body,
        host: String,
        stall: Duration,
        stop: Stop,
        asked: Instant,
        refused_alternatives: bool,
    ) -> Self {
        Self {
            body: body.into_with_config().limit(MAX_BODY).reader(),
            parser: Parser::default(),
            host,
            stall,
            stop,
            text: 0,
            alternatives: Alternatives::default(),
            refused_alternatives,
            finish: None,
            usage: None,
            ended: false,
            asked,
            first: None,
            last: None,
        }
    }

    /// The next piece of text; `None` at the end of the reply.
    ///
    /// # Errors
    /// [`EndpointError::Stopped`] after a stop, [`EndpointError::Stalled`], [`EndpointError::Cut`], [`EndpointError::Filtered`],
    /// [`EndpointError::Server`], [`EndpointError::TooLong`] and [`EndpointError::Protocol`]. The text that came before is good.
    pub fn next_piece(&mut self) -> Result<Option<String>> {
        let mut malformed = None;
        loop {
            if self.stop.is_stopped() {
                return Err(EndpointError::Stopped);
            }
            while let Some(data) = self.parser.event() {
                match self.part(&data)? {
                    Part::Text(text) => return Ok(Some(text)),
                    Part::Nothing => {}
                    Part::Done => {
                        self.ended = true;
                        self.finish.get_or_insert(Finish::Stop);
                        return Ok(None);
                    }
                }
            }
            if let Some(malformed) = malformed {
                return Err(self.malformed(malformed));
            }
            if self.ended {
                return if self.finish.is_some() { Ok(None) } else { Err(self.cut()) };
            }
            let mut piece = [0; PIECE];
            malformed = match self.body.read(&mut piece) {
                Ok(0) => {
                    self.ended = true;
                    self.parser.end().err()
                }
                Ok(count) => self.parser.push(&piece[..count]).err(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
                // Some servers say that the reply ended and leave the connection open.
                Err(_) if self.finish.is_some() && !self.stop.is_stopped() => {
                    self.ended = true;
                    None
                }
                Err(error) => return Err(self.broken(error)),
            };
        }
    }

    /// What the model might have said in place of each token so far. Empty if the server does not tell. Nothing is left behind.
    pub fn take_alternatives(&mut self) -> TokenLists {
        self.alternatives.take()
    }

    /// Whether the server refused to give alternatives, so that it was asked a second time, without.
    pub fn refused_alternatives(&self) -> bool {
        self.refused_alternatives
    }

    /// Why the reply ended; `None` before its end.
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// The tokens that the server counted, and how long the reply took; `None` if it counted none.
    pub fn timings(&self) -> Option<Timings> {
        let ((prefill_tokens, tokens), first, last) = (self.usage?, self.first?, self.last?);
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        Some(Timings {
            prefill_tokens,
            prefill_ms: ms(first - self.asked),
            decode_tokens: tokens.saturating_sub(1),
            decode_ms: ms(last - first),
            ..Timings::default()
        })
    }

    fn part(&mut self, data: &str) -> Result<Part> {
        if data.trim() == "[DONE]" {
            return Ok(Part::Done);
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| self.protocol("an event is no chunk of a reply"))?;
        if chunk.error.is_some_and(|error| !error.is_null()) {
            let words = words::of_body(data.as_bytes());
            return Err(EndpointError::Server { host: self.host.clone(), status: None, words });
        }
        if let Some(usage) = chunk.usage {
            let count = |name: &str| usage[name].as_u64().and_then(|count| usize::try_from(count).ok());
            self.usage = count("prompt_tokens").zip(count("completion_tokens")).or(self.usage);
        }
        let Some(choice) = chunk.choices.into_iter().flatten().find(|choice| choice.index == 0) else {
            return Ok(Part::Nothing);
        };
        match choice.finish_reason.as_deref() {
            None | Some("") => {}
            Some("length") => self.finish = Some(Finish::MaxTokens),
            Some("content_filter") => return Err(EndpointError::Filtered { host: self.host.clone() }),
            // "stop", and what servers call it besides: "eos", "end_turn". No tools are offered that a reply could end with.
            Some(_) => self.finish = Some(Finish::Stop),
        }
        let text = choice.delta.unwrap_or_default().text();
        // Those of an unknown shape are no reason to refuse the reply.
        let logprobs = choice.logprobs.and_then(|logprobs| serde_json::from_value::<Logprobs>(logprobs).ok());
        self.alternatives.push(&text, logprobs);
        if text.is_empty() {
            return Ok(Part::Nothing);
        }
        self.text += text.len();
        if self.text > MAX_TEXT {
            return Err(EndpointError::TooLong { host: self.host.clone(), megabytes: MAX_TEXT as u64 >> 20 });
        }
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        Ok(Part::Text(text))
    }

    fn protocol(&self, reason: &'static str) -> EndpointError {
        EndpointError::Protocol { host: self.host.clone(), reason }
    }

    fn malformed(&self, malformed: Malformed) -> EndpointError {
        match malformed {
            Malformed::TooLong => self.protocol("a line of the reply does not end"),
            Malformed::NotUtf8 => self.protocol("the reply is not UTF-8"),
        }
    }

    fn cut(&self) -> EndpointError {
        EndpointError::Cut { host: self.host.clone() }
    }

    fn broken(&self, error: io::Error) -> EndpointError {
        match failure(&self.host, self.stall, &self.stop, error.into()) {
            EndpointError::Network { .. } => self.cut(),
            error => error,
        }
    }
}
