//! Log-probabilities of tokens.

use lapidary_engine::scheduler::TokenLogprobs;
use lapidary_engine::tokenizer::Tokenizer;
use serde_json::{Map, Value, json};

/// A token with its natural log-probability and the most probable tokens in its place.
pub(super) struct TokenLogprob {
    pub(super) id: u32,
    /// `None` for the first token of a prompt, which nothing predicts.
    pub(super) logprob: Option<f64>,
    /// Ids and log-probabilities, the most probable first.
    pub(super) top: Vec<(u32, f64)>,
}

impl TokenLogprob {
    /// A token that the engine has scored.
    pub(super) fn of(id: u32, scored: &TokenLogprobs) -> Self {
        let top = scored.top.iter().map(|(id, logprob)| (*id, f64::from(*logprob))).collect();
        Self { id, logprob: Some(f64::from(scored.logprob)), top }
    }

    /// The tokens of a prompt, of which all but the first are scored.
    pub(super) fn of_prompt(prompt: &[u32], scored: &[TokenLogprobs]) -> Vec<Self> {
        let first = prompt.iter().take(1).map(|id| Self { id: *id, logprob: None, top: Vec::new() });
        first.chain(prompt.iter().skip(1).zip(scored).map(|(id, scored)| Self::of(*id, scored))).collect()
    }
}

/// A token's text, and its bytes where it has any of its own. Byte tokens such as `<0xE2>` are part of a character.
pub(super) fn text_of(tokenizer: &Tokenizer, id: u32) -> (String, Option<Vec<u8>>) {
    let Some(piece) = tokenizer.piece(id) else { return (String::new(), None) };
    if tokenizer.is_control(id) {
        return (piece, None);
    }
    let digits = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>')).filter(|digits| digits.len() == 2);
    if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
        return (piece, Some(vec![byte]));
    }
    let text = piece.replace('▁', " ");
    let bytes = text.clone().into_bytes();
    (text, Some(bytes))
}

/// JSON has no infinities.
fn finite(logprob: f64) -> f64 {
    logprob.max(-9999.0)
}

/// The `logprobs` of a chat's choice.
pub(super) fn chat_json(tokenizer: &Tokenizer, tokens: &[TokenLogprob]) -> Value {
    let entry = |id: u32, logprob: f64| {
        let (token, bytes) = text_of(tokenizer, id);
        json!({"token": token, "logprob": finite(logprob), "bytes": bytes})
    };
    let content = tokens.iter().map(|token| {
        let mut object = entry(token.id, token.logprob.unwrap_or(0.0));
        object["top_logprobs"] = token.top.iter().map(|(id, logprob)| entry(*id, *logprob)).collect();
        object
    });
    json!({"content": content.collect::<Vec<_>>(), "refusal": null})
}

/// The `logprobs` of a completion's choice. `offset` is the number of characters before these tokens, and grows by theirs.
pub(super) fn completion_json(tokenizer: &Tokenizer, tokens: &[TokenLogprob], offset: &mut usize) -> Value {
    let (mut texts, mut logprobs, mut tops, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for token in tokens {
        let text = text_of(tokenizer, token.id).0;
        offsets.push(*offset);
        // The text of a prompt does not show its <bos>.
        *offset += if token.id == tokenizer.bos_id() { 0 } else { text.chars().count() };
        logprobs.push(token.logprob.map(finite));
        tops.push(token.logprob.map(|logprob| {
            // Tokens with the same text are one key; the most probable one counts. The token itself is always there.
            let mut map = Map::new();
            for (id, logprob) in &token.top {
                map.entry(text_of(tokenizer, *id).0).or_insert_with(|| json!(finite(*logprob)));
            }
            map.entry(text.clone()).or_insert_with(|| json!(finite(logprob)));
            map
        }));
        texts.push(text);
    }
    json!({"tokens": texts, "token_logprobs": logprobs, "top_logprobs": tops, "text_offset": offsets})
}
