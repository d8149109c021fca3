//! The body of a request for a reply.

use lapidary_engine::Sampling;
use serde_json::{Map, Value, json};

use crate::chats::Role;

/// The name that llama.cpp's servers have for the repetition penalty.
const LLAMA_CPP_PENALTY: &str = "repeat_penalty";
/// The name that OpenAI's newer models have for the limit of tokens.
const NEWER_LIMIT: &str = "max_completion_tokens";

/// The differences between servers: how a request says the same to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Whether the system prompt is a message of its own, and not the start of the first question. Gemma 2's template has no such
    /// messages, and some servers refuse them.
    system_message: bool,
    /// Whether the repetition penalty goes also under the name of llama.cpp, which passes over names that it does not know.
    llama_cpp_penalty: bool,
    /// Whether the limit of tokens goes under its newer name.
    newer_limit: bool,
    /// Whether top-p is sent although it is the default.
    default_top_p: bool,
    /// Whether log-probabilities are asked for, if the request wants them.
    alternatives: bool,
}

impl Default for Shape {
    /// The shape that most servers understand.
    fn default() -> Self {
        Self {
            system_message: true,
            llama_cpp_penalty: true,
            newer_limit: false,
            default_top_p: true,
            alternatives: true,
        }
    }
}

impl Shape {
    /// The shape to try after a server refused this one in these words; `None` if another shape would not help.
    pub(super) fn after(self, words: &str) -> Option<Self> {
        let other = match words {
            _ if words.to_lowercase().contains("system role") => Self { system_message: false, ..self },
            _ if words.contains(LLAMA_CPP_PENALTY) => Self { llama_cpp_penalty: false, ..self },
            _ if words.contains(NEWER_LIMIT) => Self { newer_limit: true, ..self },
            _ if self.alternatives && words.contains("logprobs") => self.without_alternatives(),
            _ if words.contains("top_p") => Self { default_top_p: false, ..self },
            _ => self,
        };
        (other != self).then_some(other)
    }

    /// Whether log-probabilities are asked for.
    pub(super) fn has_alternatives(self) -> bool {
        self.alternatives
    }

    /// The same without log-probabilities, which are not needed for a reply.
    pub(super) fn without_alternatives(self) -> Self {
        Self { alternatives: false, ..self }
    }
}

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
    /// How many alternatives the server is asked to give for each token, up to 20; 0 for none. A server that refuses is asked again
    /// without.
    pub alternatives: usize,
}

impl ChatRequest<'_> {
    /// The shape to begin with.
    pub(super) fn shape(&self) -> Shape {
        Shape { alternatives: self.alternatives > 0, ..Shape::default() }
    }

    /// The request as JSON. Temperature, top-p, seed and the limit of tokens are always OpenAI's fields. Top-k, min-p and the
    /// repetition penalty are not, and OpenAI's own servers refuse them, so they are sent only if they are not the defaults; the
    /// penalty under the name of vLLM and that of llama.cpp.
    pub(super) fn body(&self, shape: Shape) -> String {
        let mut messages = Vec::new();
        let mut system = Some(self.system).filter(|system| !system.is_empty());
        if let Some(system) = system.take_if(|_| shape.system_message) {
            messages.push(json!({"role": "system", "content": system}));
        }
        for (role, text) in self.turns {
            let role = match role {
                Role::User => "user",
                Role::Model if text.is_empty() => continue,
                Role::Model => "assistant",
            };
            let text = match system.take_if(|_| role == "user") {
                Some(system) => format!("{system}\n\n{text}"),
                None => text.clone(),
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
        if shape.default_top_p || sampling.top_p != default.top_p {
            body.insert("top_p".into(), number(sampling.top_p));
        }
        if let Some(seed) = sampling.seed {
            // The largest that servers take is that of an i64.
            body.insert("seed".into(), json!(seed & (i64::MAX as u64)));
        }
        if let Some(max_tokens) = sampling.max_tokens {
            let name = if shape.newer_limit { NEWER_LIMIT } else { "max_tokens" };
            body.insert(name.into(), json!(max_tokens));
        }
        if shape.alternatives {
            body.insert("logprobs".into(), json!(true));
            body.insert("top_logprobs".into(), json!(self.alternatives));
        }
        if sampling.top_k != default.top_k {
            body.insert("top_k".into(), json!(sampling.top_k));
        }
        if sampling.min_p != default.min_p {
            body.insert("min_p".into(), number(sampling.min_p));
        }
        if sampling.repetition_penalty != default.repetition_penalty {
            body.insert("repetition_penalty".into(), number(sampling.repetition_penalty));
            if shape.llama_cpp_penalty {
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
        let request = ChatRequest { model: "m", system, turns, sampling, alternatives: 0 };
        serde_json::from_str(&request.body(request.shape())).unwrap()
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
    fn a_refused_request_is_said_in_another_way_once() {
        let sampling = Sampling { repetition_penalty: 1.5, max_tokens: Some(9), ..Sampling::default() };
        let turns = [(Role::User, "a".to_owned()), (Role::Model, "b".to_owned())];
        let request =
            ChatRequest { model: "m", system: "Be brief.", turns: &turns, sampling: &sampling, alternatives: 3 };
        let mut shape = request.shape();
        for words in [
            "System role not supported",
            "repeat_penalty: this server does not know this field",
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead",
            "Unsupported parameter: 'top_p'",
            "You are not allowed to request logprobs from this model",
        ] {
            shape = shape.after(words).unwrap();
            assert_eq!(shape.after(words), None, "it would be refused again: {words}");
        }
        assert_eq!(shape.after("the context is full"), None);
        let both = "Unsupported parameters: top_p, logprobs";
        let unasked = ChatRequest { alternatives: 0, ..request }.shape();
        assert_eq!(unasked.after(both), Some(Shape { default_top_p: false, ..unasked }));
        let sent: Value = serde_json::from_str(&request.body(shape)).unwrap();
        let messages = json!([{"role": "user", "content": "Be brief.\n\na"}, {"role": "assistant", "content": "b"}]);
        let expected = json!({"model": "m", "messages": messages, "stream": true,
            "stream_options": {"include_usage": true}, "temperature": 1.0, "max_completion_tokens": 9,
            "repetition_penalty": 1.5});
        assert_eq!(sent, expected);
        let sampling = Sampling { top_p: 0.5, ..sampling };
        let request = ChatRequest { sampling: &sampling, ..request };
        assert!(request.body(shape).contains("\"top_p\":0.5"), "what the user chose is not left out");
        let sent: Value = serde_json::from_str(&request.body(request.shape())).unwrap();
        assert_eq!((&sent["logprobs"], &sent["top_logprobs"]), (&json!(true), &json!(3)));
    }

    #[test]
    fn only_what_was_changed_is_sent_beyond_openais_fields() {
        let sent = body("", &[], &Sampling::default());
        assert_eq!((&sent["temperature"], &sent["top_p"]), (&json!(1.0), &json!(0.95)));
        for name in ["seed", "max_tokens", "top_k", "min_p", "repetition_penalty", "repeat_penalty", "logprobs"] {
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
