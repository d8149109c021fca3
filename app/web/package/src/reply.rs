//! One reply while it grows: from tokens to the pieces that the page gets.

use std::sync::Arc;

use lapidary_engine::scheduler::TokenLogprobs;
use lapidary_engine::tokenizer::{TextStream, Tokenizer};
use lapidary_engine::{Finish, Result, StopStrings};
use serde_json::{Value, json};

use crate::post::post;

/// A reply in the scheduler's hands.
pub(crate) struct Reply {
    /// By which the page knows it.
    pub(crate) id: u32,
    tokenizer: Arc<Tokenizer>,
    text: TextStream,
    stops: StopStrings,
    prompt_tokens: usize,
    /// Tokens so far.
    count: usize,
    /// Tokens since the last piece, and their log-probabilities if those were asked for.
    tokens: Vec<u32>,
    logprobs: Option<Vec<Value>>,
}

impl Reply {
    pub(crate) fn new(
        id: u32,
        tokenizer: Arc<Tokenizer>,
        prompt_tokens: usize,
        stops: Vec<String>,
        has_logprobs: bool,
    ) -> Self {
        let (text, stops) = (TextStream::new(tokenizer.clone()), StopStrings::new(stops));
        let logprobs = has_logprobs.then(Vec::new);
        Self { id, tokenizer, text, stops, prompt_tokens, count: 0, tokens: Vec::new(), logprobs }
    }

    /// Takes the next token, and posts the text that it completes. Returns whether a stop string ends the reply.
    ///
    /// # Errors
    /// If the token is beyond the vocabulary.
    pub(crate) fn push(&mut self, token: u32, logprobs: Option<&TokenLogprobs>) -> Result<bool> {
        self.count += 1;
        self.tokens.push(token);
        if let (Some(list), Some(found)) = (&mut self.logprobs, logprobs) {
            let mut entry = scored(&self.tokenizer, token, found.logprob);
            entry["top"] = found.top.iter().map(|(id, logprob)| scored(&self.tokenizer, *id, *logprob)).collect();
            list.push(entry);
        }
        let text = self.text.push(token)?.unwrap_or_default();
        let (text, stopped) = self.stops.push(&text);
        if stopped {
            self.end(&text, "stop");
        } else if !text.is_empty() {
            self.piece(&text, None);
        }
        Ok(stopped)
    }

    /// Posts what was held back, and that the reply is complete.
    pub(crate) fn finish(&mut self, finish: Finish) {
        // The bytes of an incomplete character, and what could have begun a stop string.
        let rest = self.stops.finish() + &self.text.finish();
        self.end(&rest, finish.name());
    }

    fn end(&mut self, text: &str, finish: &str) {
        let usage = json!({ "promptTokens": self.prompt_tokens, "tokens": self.count });
        self.piece(text, Some(json!({ "finish": finish, "usage": usage })));
    }

    fn piece(&mut self, text: &str, end: Option<Value>) {
        let mut piece = json!({ "text": text, "tokens": std::mem::take(&mut self.tokens) });
        if let Some(list) = &mut self.logprobs {
            piece["logprobs"] = std::mem::take(list).into();
        }
        post(&json!({ "id": self.id, "piece": piece, "end": end }));
    }
}

/// A token with its log-probability. JSON has no infinities.
fn scored(tokenizer: &Tokenizer, id: u32, logprob: f32) -> Value {
    // Not `decode`, which may drop a leading space.
    let text = tokenizer.piece(id).unwrap_or_default().replace('▁', " ");
    json!({ "id": id, "text": text, "logprob": f64::from(logprob).max(-9999.0) })
}
