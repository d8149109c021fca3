//! Writes replies as OpenAI's API has them.

use std::hash::{BuildHasher, Hasher, RandomState};
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

/// What all parts of an answer have in common.
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) include_usage: bool,
    id: String,
    created: u64,
    model: String,
    n: usize,
    prompt_tokens: Vec<usize>,
    /// The text of each prompt, if the request wants it repeated.
    echo: Option<Vec<String>>,
}

/// Tokens that a request took.
#[derive(Default)]
pub(super) struct Usage {
    reply: usize,
    cached: usize,
}

impl Answer {
    pub(super) fn new(offer: &Offer, request: &Request) -> Result<Self, ApiError> {
        let prefix = if request.kind == Kind::Chat { "chatcmpl" } else { "cmpl" };
        let echo = |prompt: &Vec<u32>| {
            // As it was written: without the <bos> that was put before it.
            let text = prompt.strip_prefix(&[offer.tokenizer.bos_id()]).unwrap_or(prompt);
            offer.tokenizer.decode(text)
        };
        let echo = request.echo.then(|| request.prompts.iter().map(echo).collect::<Result<Vec<_>, _>>()).transpose()?;
        Ok(Self {
            kind: request.kind,
            include_usage: request.include_usage,
            // A new hasher has random keys.
            id: format!("{prefix}-{:016x}", RandomState::new().build_hasher().finish()),
            created: now(),
            model: offer.id.clone(),
            n: request.n,
            prompt_tokens: request.prompts.iter().map(Vec::len).collect(),
            echo,
        })
    }

    /// How many replies the answer has.
    pub(super) fn choices(&self) -> usize {
        self.prompt_tokens.len() * self.n
    }

    /// The prompt's text, to put before a reply.
    pub(super) fn echo(&self, choice: usize) -> &str {
        self.echo.as_ref().map_or("", |texts| &texts[choice / self.n])
    }

    /// Adds what a reply took.
    pub(super) fn add(&self, usage: &mut Usage, choice: usize, end: &End) {
        usage.reply += end.tokens;
        // Further replies to a prompt find all of it in the cache.
        if choice.is_multiple_of(self.n) {
            usage.cached += end.cached;
        }
    }

    pub(super) fn usage(&self, usage: &Usage) -> Value {
        let prompt: usize = self.prompt_tokens.iter().sum();
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": usage.reply,
            "total_tokens": prompt + usage.reply,
            "prompt_tokens_details": {"cached_tokens": usage.cached},
        })
    }

    /// An object of the answer with these choices.
    pub(super) fn object(&self, name: &str, choices: Vec<Value>) -> Value {
        json!({"id": self.id, "object": name, "created": self.created, "model": self.model, "choices": choices})
    }
}

/// Waits for all replies of a request and returns them as one object.
///
/// # Errors
/// That of the engine, or 500 if it ends before the replies.
pub(super) async fn collect(offer: &Offer, answer: &Answer, mut events: Receiver<Event>) -> Result<Value, ApiError> {
    let mut texts: Vec<String> = (0..answer.choices()).map(|choice| answer.echo(choice).to_owned()).collect();
    let mut choices = Vec::new();
    let mut usage = Usage::default();
    while choices.len() < answer.choices() {
        match events.recv().await {
            Some(Event::Text { choice, text }) => texts[choice].push_str(&text),
            Some(Event::Ended { choice, end }) => {
                answer.add(&mut usage, choice, &end);
                choices.push(full_choice(offer, answer, choice, std::mem::take(&mut texts[choice]), &end));
            }
            Some(Event::Failed(error)) => return Err(error),
            None => return Err(ApiError::no_engine()),
        }
    }
    let name = if answer.kind == Kind::Chat { "chat.completion" } else { "text_completion" };
    let mut object = answer.object(name, choices);
    object["usage"] = answer.usage(&usage);
    Ok(object)
}

fn full_choice(offer: &Offer, answer: &Answer, choice: usize, text: String, end: &End) -> Value {
    let tokenizer = &offer.tokenizer;
    if answer.kind == Kind::Chat {
        // The end of the turn is no part of the message.
        let shown = |list: &[TokenLogprob]| match list.split_last() {
            Some((last, rest)) if ends(offer, last) => chat_json(tokenizer, rest),
            _ => chat_json(tokenizer, list),
        };
        let message = json!({"role": "assistant", "content": text, "refusal": null});
        let logprobs = end.logprobs.as_deref().map(shown);
        return json!({"index": choice, "message": message, "logprobs": logprobs, "finish_reason": end.finish});
    }
    let logprobs = end.logprobs.as_deref().map(|list| completion_json(tokenizer, list));
    json!({"index": choice, "text": text, "logprobs": logprobs, "finish_reason": end.finish})
}

fn ends(offer: &Offer, token: &TokenLogprob) -> bool {
    offer.engine.stop_ids().contains(&token.id)
}
