//! What the page asks for.

use lapidary_engine::template::{Role, Turn, render};
use lapidary_engine::tokenizer::Tokenizer;
use lapidary_engine::{Error, LoadOptions, Result, Sampling};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The most stop strings of a request, as in OpenAI's API.
const MAX_STOPS: usize = 4;
/// The most alternatives per token, as in OpenAI's API.
const MAX_LOGPROBS: usize = 20;

/// Reads JSON of the page. `what` names it in errors.
///
/// # Errors
/// [`Error::Setting`], which names the field.
pub(crate) fn parse<T: DeserializeOwned>(what: &'static str, json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
        Error::Setting {
            field: what,
            value: format!("wrong ({reason})"),
            expected: "as index.d.ts of the package says",
        }
    })
}

/// How to load a model.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Load {
    weights: Option<String>,
    context: Option<usize>,
}

impl Load {
    /// The engine's options.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such weight format.
    pub(crate) fn options(&self) -> Result<LoadOptions> {
        let weights = self.weights.as_deref().map(str::parse).transpose()?;
        Ok(LoadOptions { weights, context: self.context, ..LoadOptions::default() })
    }
}

/// A request for a reply: messages or a prompt, and how tokens are chosen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Request {
    messages: Option<Vec<Message>>,
    prompt: Option<String>,
    max_tokens: Option<usize>,
    temperature: Option<f32>,
    top_k: Option<u32>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    seed: Option<u64>,
    #[serde(default)]
    pub(crate) stop: Vec<String>,
    /// How many alternatives to list per token, each with its log-probability.
    pub(crate) logprobs: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    role: Speaker,
    content: String,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Speaker {
    System,
    User,
    Assistant,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Error::Setting`], which names what is wrong.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        let request: Self = parse("an argument", json)?;
        let wrong = |field, value, expected| Err(Error::Setting { field, value, expected });
        if request.stop.len() > MAX_STOPS || request.stop.iter().any(String::is_empty) {
            return wrong("stop", format!("{:?}", request.stop), "a text or up to 4 texts, none of them empty");
        }
        match request.logprobs {
            Some(count) if count > MAX_LOGPROBS => wrong("logprobs", count.to_string(), "from 0 to 20"),
            _ => Ok(request),
        }
    }

    /// How tokens are chosen.
    pub(crate) fn sampling(&self) -> Sampling {
        let default = Sampling::default();
        Sampling {
            temperature: self.temperature.unwrap_or(default.temperature),
            top_k: self.top_k.unwrap_or(default.top_k),
            top_p: self.top_p.unwrap_or(default.top_p),
            min_p: self.min_p.unwrap_or(default.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(default.repetition_penalty),
            seed: self.seed,
            max_tokens: self.max_tokens,
            ..default
        }
    }

    /// The token ids of the messages in Gemma's turns, or of the prompt as it is, after `<bos>`.
    ///
    /// # Errors
    /// [`Error::Setting`] or [`Error::EmptyPrompt`] if the messages do not alternate, and the tokenizer's errors.
    pub(crate) fn ids(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        let Some(messages) = &self.messages else {
            let mut ids = tokenizer.encode(self.prompt.as_deref().unwrap_or_default())?;
            if ids.first() != Some(&tokenizer.bos_id()) {
                ids.insert(0, tokenizer.bos_id());
            }
            return Ok(ids);
        };
        let first = messages.iter().position(|message| message.role != Speaker::System).unwrap_or(messages.len());
        let (system, rest) = messages.split_at(first);
        let system = system.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n\n");
        let turn = |message: &Message| {
            let role = match message.role {
                Speaker::User => Role::User,
                Speaker::Assistant => Role::Model,
                Speaker::System => {
                    return Err(Error::Setting {
                        field: "the role of a message",
                        value: "system after other messages".into(),
                        expected: "system only at the beginning",
                    });
                }
            };
            Ok(Turn { role, text: message.content.clone() })
        };
        render(tokenizer, Some(&system), &rest.iter().map(turn).collect::<Result<Vec<_>>>()?)
    }
}
