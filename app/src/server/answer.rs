//! Writes replies as OpenAI's API has them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use super::error::ApiError;
use super::logprobs::{TokenLogprob, chat_json, completion_json};
use super::queue::{End, Event};
use super::request::{Kind, Offer, Request};

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
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
    created: u64,
    offer: Arc<Offer>,
}

impl Answer {
    pub(super) fn new(offer: Arc<Offer>, request: &Request) -> Self {
        let prefix = if request.kind == Kind::Chat { "chatcmpl" } else { "cmpl" };
        Self {
            kind: request.kind,
            include_usage: request.include_usage,
            choices: request.choices(),
            logprobs: request.logprobs.is_some(),
            prompt_tokens: request.prompts.iter().map(Vec::len).sum(),
            id: random_id(&format!("{prefix}-")),
            created: now(),
            offer,
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
        json!({"id": self.id, "object": name, "created": self.created, "model": self.offer.id, "choices": choices})
    }

    /// The `logprobs` of a choice. `offset` is the number of characters before these tokens, and grows by theirs.
    pub(super) fn logprobs(&self, tokens: &[TokenLogprob], offset: &mut usize) -> Value {
        match self.kind {
            _ if !self.logprobs => Value::Null,
            Kind::Chat => chat_json(&self.offer.tokenizer, tokens),
            Kind::Completion => completion_json(&self.offer.tokenizer, tokens, offset),
        }
    }

    fn full_choice(&self, index: usize, choice: &Collected, end: End) -> Value {
        let logprobs = self.logprobs(&choice.logprobs, &mut 0);
        if self.kind == Kind::Chat {
            let message = json!({"role": "assistant", "content": choice.text, "refusal": null});
            json!({"index": index, "message": message, "logprobs": logprobs, "finish_reason": end.finish})
        } else {
            json!({"index": index, "text": choice.text, "logprobs": logprobs, "finish_reason": end.finish})
        }
    }
}

/// What came of a reply so far.
#[derive(Default)]
struct Collected {
    text: String,
    logprobs: Vec<TokenLogprob>,
}

/// Waits for all replies of a request and returns them as one object.
///
/// # Errors
/// That of the engine, or 500 if it ends before the replies.
pub(super) async fn collect(answer: &Answer, mut events: Receiver<Event>) -> Result<Value, ApiError> {
    let mut replies: Vec<Collected> = (0..answer.choices).map(|_| Collected::default()).collect();
    let mut choices = vec![Value::Null; answer.choices];
    let (mut ended, mut tokens) = (0, 0);
    while ended < answer.choices {
        match events.recv().await {
            Some(Event::Piece { choice, text, logprobs }) => {
                replies[choice].text.push_str(&text);
                replies[choice].logprobs.extend(logprobs);
            }
            Some(Event::Ended { choice, end }) => {
                choices[choice] = answer.full_choice(choice, &std::mem::take(&mut replies[choice]), end);
                tokens += end.tokens;
                ended += 1;
            }
            Some(Event::Failed(error)) => return Err(error),
            None => return Err(ApiError::no_engine()),
        }
    }
    let name = if answer.kind == Kind::Chat { "chat.completion" } else { "text_completion" };
    let mut object = answer.object(name, choices);
    object["usage"] = answer.usage(tokens);
    Ok(object)
}
