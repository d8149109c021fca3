//! Writes replies as OpenAI's API has them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lapidary_engine::tokenizer::Tokenizer;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, channel};

use super::bounds::MAX_UNSENT;
use super::error::ApiError;
use super::logprobs::{TokenLogprob, chat_json, completion_json};
use super::queue::{End, Event, Job, Queue};
use super::request::{Kind, Request};
use super::request_reader::RequestReader;
use crate::chats;

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    chats::now() / 1000
}

/// A name that no other object has.
pub(super) fn random_id(prefix: &str) -> String {
    // A new hasher has random keys.
    format!("{prefix}{:016x}", RandomState::new().build_hasher().finish())
}

/// What all parts of an answer have in common.
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) include_usage: bool,
    pub(super) choices: usize,
    /// Whether the request wants log-probabilities.
    logprobs: bool,
    prompt_tokens: usize,
    id: String,
    created: i64,
    /// The model's name.
    model: String,
    /// Not the model: a client that reads slowly must not keep it loaded.
    tokenizer: Arc<Tokenizer>,
}

impl Answer {
    /// Passes a request to the engine. Returns its answer, what comes of its replies, and [`Job::lost`].
    ///
    /// # Errors
    /// Those of [`Queue::submit`].
    pub(super) fn begin(
        reader: &RequestReader,
        queue: &Queue,
        request: Request,
    ) -> Result<(Self, Receiver<Event>, Arc<AtomicBool>), ApiError> {
        let answer = Self::new(reader, &request);
        let (events, receiver) = channel(MAX_UNSENT);
        let lost = Arc::new(AtomicBool::new(false));
        queue.submit(Job { request: Arc::new(request), events, next: 0, lost: lost.clone() })?;
        Ok((answer, receiver, lost))
    }

    fn new(reader: &RequestReader, request: &Request) -> Self {
        let prefix = if request.kind == Kind::Chat { "chatcmpl" } else { "cmpl" };
        Self {
            kind: request.kind,
            include_usage: request.include_usage,
            choices: request.choices(),
            logprobs: request.logprobs.is_some(),
            prompt_tokens: request.prompts.iter().map(Vec::len).sum(),
            id: random_id(&format!("{prefix}-")),
            created: now(),
            model: reader.id.clone(),
            tokenizer: reader.tokenizer.clone(),
        }
    }

    /// The numbers of tokens, where the replies have this many.
    pub(super) fn usage(&self, reply_tokens: usize) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": reply_tokens,
            "total_tokens": self.prompt_tokens + reply_tokens,
        })
    }

    /// An object of the answer with these choices.
    pub(super) fn object(&self, name: &str, choices: Vec<Value>) -> Value {
        json!({"id": self.id, "object": name, "created": self.created, "model": self.model, "choices": choices})
    }

    /// The `logprobs` of a choice, with the token that ended a chat's reply if that is known. `offset` is the number of characters
    /// before these tokens, and grows by theirs.
    pub(super) fn logprobs(&self, tokens: &[TokenLogprob], end: Option<&TokenLogprob>, offset: &mut usize) -> Value {
        match self.kind {
            _ if !self.logprobs => Value::Null,
            Kind::Chat => chat_json(&self.tokenizer, tokens, end),
            Kind::Completion => completion_json(&self.tokenizer, tokens, offset),
        }
    }

    /// The whole answer, of all replies in their order.
    pub(super) fn whole(&self, replies: Vec<Collected>) -> Value {
        let name = if self.kind == Kind::Chat { "chat.completion" } else { "text_completion" };
        let tokens = replies.iter().map(|reply| reply.end.tokens).sum();
        let choices = replies.into_iter().enumerate().map(|(index, reply)| self.choice(index, &reply));
        let mut object = self.object(name, choices.collect());
        object["usage"] = self.usage(tokens);
        object
    }

    fn choice(&self, index: usize, reply: &Collected) -> Value {
        let Collected { text, logprobs, end: End { finish, token, .. } } = reply;
        let logprobs = self.logprobs(logprobs, token.as_ref(), &mut 0);
        if self.kind == Kind::Chat {
            let message = json!({"role": "assistant", "content": text, "refusal": null});
            json!({"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish})
        } else {
            json!({"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish})
        }
    }
}

/// What came of a reply.
#[derive(Default)]
pub(super) struct Collected {
    text: String,
    logprobs: Vec<TokenLogprob>,
    end: End,
}

/// Waits for all `count` replies of a request, and returns them in their order.
///
/// # Errors
/// That of the engine, or 500 if it ends before the replies.
pub(super) async fn collect(count: usize, mut events: Receiver<Event>) -> Result<Vec<Collected>, ApiError> {
    let mut replies: Vec<Collected> = (0..count).map(|_| Collected::default()).collect();
    let mut ended = 0;
    while ended < count {
        match events.recv().await {
            Some(Event::Piece { choice, text, logprobs }) => {
                replies[choice].text.push_str(&text);
                replies[choice].logprobs.extend(logprobs);
            }
            Some(Event::Ended { choice, end }) => {
                replies[choice].end = end;
                ended += 1;
            }
            Some(Event::Failed(error)) => return Err(error),
            None => return Err(ApiError::no_engine()),
        }
    }
    Ok(replies)
}
