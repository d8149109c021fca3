//! What a server's model might have said in place of each token of a reply, where the server gives log-probabilities.

use std::ops::Range;

use serde::Deserialize;

use crate::worker::{Candidate, NextToken};

/// The most tokens of a reply whose alternatives are kept.
const MAX_TOKENS: usize = 1 << 14;
/// The most alternatives per token that are kept. Servers give as many as they were asked for.
const MAX_LIST: usize = 20;
/// Bytes of the longest token that is kept.
const MAX_BYTES: usize = 256;

/// The alternatives of a reply's tokens, in their order, each with the bytes of the reply that the token stands for.
pub type TokenLists = Vec<(Range<usize>, Vec<Candidate>)>;

/// The `logprobs` of a choice in a chat's stream.
#[derive(Deserialize)]
pub(super) struct Logprobs {
    content: Option<Vec<Token>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(flatten)]
    scored: Scored,
    top_logprobs: Option<Vec<Scored>>,
}

#[derive(Deserialize)]
struct Scored {
    token: String,
    bytes: Option<Vec<u8>>,
    logprob: Option<f64>,
}

impl Scored {
    fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or(self.token.as_bytes())
    }

    fn candidate(&self) -> Option<Candidate> {
        let probability = self.logprob?.exp() as f32;
        if self.token.len() > MAX_BYTES || self.bytes().len() > MAX_BYTES || !(0.0..=1.0001).contains(&probability) {
            return None;
        }
        let token = match &self.bytes {
            // Not all servers give the bytes.
            None if self.token.starts_with('<') && self.token.ends_with('>') => NextToken::NonText(self.token.clone()),
            None => NextToken::Text(self.token.clone()),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => NextToken::Text(text.to_owned()),
                Err(_) => NextToken::NonText(self.token.clone()),
            },
        };
        Some((token, probability))
    }
}

/// Brings a reply's tokens and its text together, which come in pieces that need not begin and end alike.
#[derive(Default)]
pub(super) struct Alternatives {
    text: String,
    /// Where the next token starts.
    next: usize,
    /// Where a token starts, its bytes, and the list.
    tokens: Vec<(usize, Vec<u8>, Vec<Candidate>)>,
}

impl Alternatives {
    /// Takes the next piece of the text, with the tokens that came in the same event.
    pub(super) fn push(&mut self, text: &str, logprobs: Option<Logprobs>) {
        let tokens = logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
        // What came before, such as thoughts, may have had tokens and no text.
        if !text.is_empty() && tokens.iter().flat_map(|token| token.scored.bytes()).eq(text.as_bytes()) {
            self.next = self.text.len();
        }
        self.text.push_str(text);
        for token in tokens {
            let bytes = token.scored.bytes().to_vec();
            let at = self.next;
            self.next += bytes.len();
            let top = token.top_logprobs.as_deref().filter(|top| !top.is_empty());
            let top = top.unwrap_or(std::slice::from_ref(&token.scored));
            let mut list: Vec<Candidate> = top.iter().take(MAX_LIST).filter_map(Scored::candidate).collect();
            list.sort_by(|a, b| b.1.total_cmp(&a.1));
            if !list.is_empty() && !bytes.is_empty() && bytes.len() <= MAX_BYTES && self.tokens.len() < MAX_TOKENS {
                self.tokens.push((at, bytes, list));
            }
        }
    }

    /// The lists of the tokens that stand in the text so far.
    pub(super) fn take(&mut self) -> TokenLists {
        let said = |at: usize, bytes: &[u8]| self.text.as_bytes().get(at..).is_some_and(|rest| rest.starts_with(bytes));
        let tokens = std::mem::take(&mut self.tokens).into_iter();
        tokens.filter(|(at, bytes, _)| said(*at, bytes)).map(|(at, bytes, list)| (at..at + bytes.len(), list)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn logprobs(tokens: &[Value]) -> Option<Logprobs> {
        Some(serde_json::from_value(json!({"content": tokens, "refusal": null})).unwrap())
    }

    fn token(text: &str) -> Value {
        json!({"token": text, "bytes": text.as_bytes(), "logprob": 0.0, "top_logprobs": []})
    }

    fn starts(alternatives: &mut Alternatives) -> Vec<usize> {
        alternatives.take().into_iter().map(|(token, _)| token.start).collect()
    }

    #[test]
    fn lists_are_sorted_and_say_what_is_no_text() {
        let top = json!([
            {"token": "<0xE2>", "bytes": [226], "logprob": -3.0},
            {"token": " b", "bytes": null, "logprob": -1.0},
            {"token": " a", "bytes": [32, 97], "logprob": -0.5},
            {"token": "<end_of_turn>", "logprob": -2.0},
            {"token": "never", "logprob": null},
        ]);
        let mut alternatives = Alternatives::default();
        alternatives.push(" a", logprobs(&[json!({"token": " a", "logprob": -0.5, "top_logprobs": top})]));
        let lists = alternatives.take();
        let names: Vec<_> = lists[0].1.iter().map(|(token, _)| token.clone()).collect();
        let (text, other) = (|text: &str| NextToken::Text(text.into()), |text: &str| NextToken::NonText(text.into()));
        assert_eq!(names, [text(" a"), text(" b"), other("<end_of_turn>"), other("<0xE2>")]);
        assert_eq!(lists[0].1[0].1, (-0.5_f32).exp());
    }

    #[test]
    fn tokens_are_found_though_text_is_held_back_or_begins_later() {
        // Two tokens come with the text of one and a half, the rest later, as where a stop string could begin.
        let mut alternatives = Alternatives::default();
        alternatives.push("one", logprobs(&[token("one"), token(" two")]));
        alternatives.push(" two th", logprobs(&[token(" three")]));
        alternatives.push("ree", None);
        assert_eq!(starts(&mut alternatives), [0, 3, 7]);
        // The bytes of a character, and thoughts before the reply.
        let mut alternatives = Alternatives::default();
        alternatives.push("", logprobs(&[token("Hm"), token("…")]));
        alternatives.push("Yes", logprobs(&[token("Yes")]));
        let part = |byte: u8| json!({"token": format!("<0x{byte:02X}>"), "bytes": [byte], "logprob": -1});
        alternatives.push("", logprobs(&"é".bytes().map(part).collect::<Vec<_>>()[..1]));
        alternatives.push("é", logprobs(&"é".bytes().map(part).collect::<Vec<_>>()[1..]));
        alternatives.push("!", logprobs(&[token("!")]));
        assert_eq!(starts(&mut alternatives), [0, 3, 4, 5]);
    }

    #[test]
    fn a_token_without_alternatives_has_itself_in_its_list() {
        let mut alternatives = Alternatives::default();
        let tokens = [json!([]), Value::Null].map(|top| json!({"token": "a", "logprob": 0.0, "top_logprobs": top}));
        alternatives.push("aaa", logprobs(&[&tokens[..], &[json!({"token": "a", "logprob": 0.0})]].concat()));
        let list: Vec<Candidate> = vec![(NextToken::Text("a".into()), 1.0)];
        assert_eq!(alternatives.take(), [0..1, 1..2, 2..3].map(|token| (token, list.clone())));
    }

    #[test]
    fn tokens_that_are_not_in_the_text_have_no_list() {
        let mut alternatives = Alternatives::default();
        alternatives.push("Hello", logprobs(&[token(" Hello"), token(&"x".repeat(1000))]));
        assert_eq!(alternatives.take(), []);
    }
}
