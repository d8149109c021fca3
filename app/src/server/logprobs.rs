//! Log-probabilities of tokens.

use lapidary_engine::scheduler::TokenLogprobs;
use lapidary_engine::tokenizer::{Tokenizer, byte_of};
use serde_json::{Map, Value, json};

/// A token with its natural log-probability and the most probable tokens in its place.
pub(super) struct TokenLogprob {
    pub(super) id: u32,
    /// `None` for the first token of a prompt, which nothing predicts.
    pub(super) scored: Option<TokenLogprobs>,
}

impl TokenLogprob {
    /// The tokens of a prompt, of which all but the first are scored.
    pub(super) fn of_prompt(prompt: &[u32], scored: Vec<TokenLogprobs>) -> Vec<Self> {
        let scored = std::iter::once(None).chain(scored.into_iter().map(Some));
        prompt.iter().zip(scored).map(|(id, scored)| Self { id: *id, scored }).collect()
    }
}

/// A token's text, and its bytes where it has any of its own. Byte tokens such as `<0xE2>` are part of a character.
pub(super) fn text_of(tokenizer: &Tokenizer, id: u32) -> (String, Option<Vec<u8>>) {
    let Some(piece) = tokenizer.piece(id) else { return (String::new(), None) };
    if tokenizer.is_control(id) {
        return (piece, None);
    }
    if let Some(byte) = byte_of(&piece) {
        return (piece, Some(vec![byte]));
    }
    let text = piece.replace('▁', " ");
    let bytes = text.clone().into_bytes();
    (text, Some(bytes))
}

/// A number of JSON, which has no infinities.
fn finite(logprob: f32) -> f64 {
    f64::from(logprob).max(-9999.0)
}

/// The `logprobs` of a chat's choice, with what OpenAI's API lacks: the `id` of each token, as llama.cpp's server has it, and in
/// `end` the token that ended the reply, which is no part of its text.
pub(super) fn chat_json(tokenizer: &Tokenizer, tokens: &[TokenLogprob], end: Option<&TokenLogprob>) -> Value {
    let entry = |id: u32, logprob: f32| {
        let (token, bytes) = text_of(tokenizer, id);
        json!({"id": id, "token": token, "logprob": finite(logprob), "bytes": bytes})
    };
    let with_top = |token: &TokenLogprob| {
        let mut object = entry(token.id, token.scored.as_ref().map_or(0.0, |scored| scored.logprob));
        let top = token.scored.iter().flat_map(|scored| &scored.top);
        object["top_logprobs"] = top.map(|(id, logprob)| entry(*id, *logprob)).collect();
        object
    };
    let content: Vec<Value> = tokens.iter().map(with_top).collect();
    let mut object = json!({"content": content, "refusal": null});
    if let Some(end) = end {
        object["end"] = with_top(end);
    }
    object
}

/// The `logprobs` of a completion's choice. `offset` is the number of characters before these tokens, and grows by theirs.
pub(super) fn completion_json(tokenizer: &Tokenizer, tokens: &[TokenLogprob], offset: &mut usize) -> Value {
    let (mut texts, mut logprobs, mut tops, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for token in tokens {
        let text = text_of(tokenizer, token.id).0;
        offsets.push(*offset);
        // The text of a prompt does not show its <bos>.
        *offset += if token.id == tokenizer.bos_id() { 0 } else { text.chars().count() };
        logprobs.push(token.scored.as_ref().map(|scored| finite(scored.logprob)));
        tops.push(token.scored.as_ref().map(|scored| {
            // Tokens with the same text are one key; the most probable one counts. The token itself is always there.
            let mut map = Map::new();
            for (id, logprob) in &scored.top {
                map.entry(text_of(tokenizer, *id).0).or_insert_with(|| json!(finite(*logprob)));
            }
            map.entry(text.clone()).or_insert_with(|| json!(finite(scored.logprob)));
            map
        }));
        texts.push(text);
    }
    json!({"tokens": texts, "token_logprobs": logprobs, "top_logprobs": tops, "text_offset": offsets})
}
