//! Log-probabilities of tokens.

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
    /// The log-probabilities of a token and of `count` alternatives by the logits before it.
    pub(super) fn of(id: u32, logits: &[f32], count: usize) -> Self {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
        let logprob = |logit: f32| f64::from(logit - highest) - sum.ln();
        let mut top: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
        for (id, &logit) in logits.iter().enumerate() {
            if top.len() < count || top.last().is_some_and(|last| logit > last.1) {
                let at = top.partition_point(|better| better.1 >= logit);
                top.insert(at, (id as u32, logit));
                top.truncate(count);
            }
        }
        let top = top.into_iter().map(|(id, logit)| (id, logprob(logit))).collect();
        Self { id, logprob: logits.get(id as usize).map(|logit| logprob(*logit)), top }
    }
}

/// A token's text, and its bytes where it has any of its own. Byte tokens such as `<0xE2>` are part of a character.
fn text_of(tokenizer: &Tokenizer, id: u32) -> (String, Option<Vec<u8>>) {
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

/// The `logprobs` of a completion's choice. Offsets count characters from the first of these tokens.
pub(super) fn completion_json(tokenizer: &Tokenizer, tokens: &[TokenLogprob]) -> Value {
    let texts: Vec<String> = tokens.iter().map(|token| text_of(tokenizer, token.id).0).collect();
    let mut offset = 0;
    let offsets: Vec<usize> = texts
        .iter()
        .map(|text| {
            let at = offset;
            offset += text.chars().count();
            at
        })
        .collect();
    let logprobs: Vec<Option<f64>> = tokens.iter().map(|token| token.logprob.map(finite)).collect();
    let tops: Vec<Option<Map<String, Value>>> = tokens
        .iter()
        .map(|token| {
            token.logprob?;
            // Tokens with the same text are one key; the most probable one counts.
            let mut map = Map::new();
            for (id, logprob) in &token.top {
                map.entry(text_of(tokenizer, *id).0).or_insert_with(|| json!(finite(*logprob)));
            }
            Some(map)
        })
        .collect();
    json!({"tokens": texts, "token_logprobs": logprobs, "top_logprobs": tops, "text_offset": offsets})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logprobs_are_those_of_a_softmax() {
        let logits = [1.0f32, 3.0, -2.0, 3.5, 0.0];
        let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        let token = TokenLogprob::of(0, &logits, 3);
        assert!((token.logprob.unwrap() - (1.0 - sum.ln())).abs() < 1e-9);
        assert_eq!(token.top.iter().map(|top| top.0).collect::<Vec<_>>(), [3, 1, 0]);
        assert!((token.top[0].1 - (3.5 - sum.ln())).abs() < 1e-9);
        assert!(TokenLogprob::of(0, &logits, 0).top.is_empty());
        assert_eq!(TokenLogprob::of(0, &logits, 20).top.len(), 5);
    }
}
