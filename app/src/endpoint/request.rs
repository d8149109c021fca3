//! The body of a request for a reply.

use lapidary_engine::Sampling;
use serde_json::{Map, Value, json};

use crate::chats::Role;

/// The name that llama.cpp's servers have for the repetition penalty.
pub(super) const LLAMA_CPP_PENALTY: &str = "repeat_penalty";

/// A request for a reply.
#[derive(Clone, Copy, Debug)]
pub struct ChatRequest<'a> {
    /// The server's name for the model.
    pub model: &'a str,
    /// The system prompt; empty for none.
    pub system: &'a str,
    /// The turns so far.
    pub turns: &'a [(Role, String)],
    /// How tokens are chosen.
    pub sampling: &'a Sampling,
}

impl ChatRequest<'_> {
    /// The request as JSON. Temperature, top-p, seed and the limit of tokens are always OpenAI's fields. Top-k, min-p and the
    /// repetition penalty are not, and OpenAI's own servers refuse them, so they are sent only if they are not the defaults; the
    /// penalty under the name of vLLM, and with `llama_cpp` also under that of llama.cpp, which passes over names that it does not
    /// know.
    pub(super) fn body(&self, llama_cpp: bool) -> String {
        let mut messages = Vec::new();
        if !self.system.is_empty() {
            messages.push(json!({"role": "system", "content": self.system}));
        }
        for (role, text) in self.turns {
            let role = match role {
                Role::User => "user",
                Role::Model if text.is_empty() => continue,
                Role::Model => "assistant",
            };
            messages.push(json!({"role": role, "content": text}));
        }
        let (sampling, default) = (self.sampling, Sampling::default());
        let mut body = Map::new();
        body.insert("model".into(), json!(self.model));
        body.insert("messages".into(), Value::Array(messages));
        body.insert("stream".into(), json!(true));
        body.insert("stream_options".into(), json!({"include_usage": true}));
        body.insert("temperature".into(), number(sampling.temperature));
        body.insert("top_p".into(), number(sampling.top_p));
        if let Some(seed) = sampling.seed {
            // The largest that servers take is that of an i64.
            body.insert("seed".into(), json!(seed & (i64::MAX as u64)));
        }
        if let Some(max_tokens) = sampling.max_tokens {
            body.insert("max_tokens".into(), json!(max_tokens));
        }
        if sampling.top_k != default.top_k {
            body.insert("top_k".into(), json!(sampling.top_k));
        }
        if sampling.min_p != default.min_p {
            body.insert("min_p".into(), number(sampling.min_p));
        }
        if sampling.repetition_penalty != default.repetition_penalty {
            body.insert("repetition_penalty".into(), number(sampling.repetition_penalty));
            if llama_cpp {
                body.insert(LLAMA_CPP_PENALTY.into(), number(sampling.repetition_penalty));
            }
        }
        Value::Object(body).to_string()
    }
}

/// A number as it was typed: 0.95 and not 0.949999988079071.
fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, |value| json!(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(system: &str, turns: &[(Role, String)], sampling: &Sampling) -> Value {
        serde_json::from_str(&ChatRequest { model: "m", system, turns, sampling }.body(true)).unwrap()
    }

    #[test]
    fn turns_become_messages() {
        let turns = [(Role::User, "a".to_owned()), (Role::Model, "b".to_owned()), (Role::User, "c\n\"".to_owned())];
        let sent = body("Be brief.", &turns, &Sampling::default());
        let messages: Vec<(&str, &str)> = sent["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| (message["role"].as_str().unwrap(), message["content"].as_str().unwrap()))
            .collect();
        assert_eq!(messages, [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c\n\"")]);
        let turns = [(Role::User, "a".to_owned()), (Role::Model, String::new())];
        let sent = body("", &turns, &Sampling::default());
        assert_eq!(sent["messages"], json!([{"role": "user", "content": "a"}]));
    }

    #[test]
    fn only_what_was_changed_is_sent_beyond_openais_fields() {
        let sent = body("", &[], &Sampling::default());
        assert_eq!((&sent["temperature"], &sent["top_p"]), (&json!(1.0), &json!(0.95)));
        for name in ["seed", "max_tokens", "top_k", "min_p", "repetition_penalty", "repeat_penalty"] {
            assert!(sent.get(name).is_none(), "{name}");
        }
        let sampling = Sampling {
            temperature: 0.0,
            top_k: 5,
            top_p: 0.5,
            min_p: 0.1,
            repetition_penalty: 1.1,
            seed: Some(u64::MAX),
            max_tokens: Some(9),
            stop_at_end: true,
        };
        let sent = body("", &[], &sampling);
        let expected = json!({"model": "m", "messages": [], "stream": true, "stream_options": {"include_usage": true},
            "temperature": 0.0, "top_p": 0.5, "seed": i64::MAX, "max_tokens": 9, "top_k": 5, "min_p": 0.1,
            "repetition_penalty": 1.1, "repeat_penalty": 1.1});
        assert_eq!(sent, expected);
    }
}
