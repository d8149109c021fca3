//! Reads requests for replies, and checks them against a model.

use std::sync::Arc;

use lapidary_engine::template::render;
use lapidary_engine::tokenizer::Tokenizer;
use lapidary_engine::{Engine, Error, Sampling};
use serde_json::Value;

use super::answer::now;
use super::bias::Biases;
use super::bounds::{MAX_CHOICES, MAX_LOGPROBS, MAX_N, MAX_SCORES, MAX_STOP_BYTES, MAX_STOPS, MAX_TOTAL_SCORES};
use super::error::ApiError;
use super::fields::{Fields, token_ids};
use super::grammar::Grammars;
use super::messages::messages;
use super::request::{Kind, Request};
use super::supported::refuse_unsupported;
use crate::chat_ability::completion_ids;

/// Tokens of a completion whose request sets no limit, as in OpenAI's API.
const COMPLETION_TOKENS: u64 = 16;

/// The model that requests are for, and what is needed to read them.
pub(super) struct RequestReader {
    pub(super) engine: Engine,
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) grammars: Grammars,
    /// The name that clients use.
    pub(super) id: String,
    /// The sampling of requests that set none.
    pub(super) sampling: Sampling,
    /// The most tokens of a prompt and its reply together.
    pub(super) context: usize,
    /// Seconds since 1970.
    pub(super) loaded: i64,
}

impl RequestReader {
    /// A model under a name, whose prompts and replies have at most this many tokens together.
    ///
    /// # Errors
    /// If the model has no tokenizer.
    pub(super) fn new(
        engine: &Engine,
        id: String,
        sampling: Sampling,
        cache_tokens: usize,
    ) -> lapidary_engine::Result<Self> {
        let tokenizer = engine.tokenizer()?.clone();
        Ok(Self {
            engine: engine.clone(),
            grammars: Grammars::new(tokenizer.clone(), engine.stop_ids()),
            tokenizer,
            id,
            sampling,
            context: engine.context().min(cache_tokens),
            loaded: now(),
        })
    }

    /// Whether a name is this model's.
    pub(super) fn is_named(&self, name: &str) -> bool {
        name == self.id || name == self.engine.name()
    }

    /// Reads the fields of a request for replies, whatever model it names.
    pub(super) fn read_fields(&self, kind: Kind, fields: &Fields) -> Result<Request, ApiError> {
        refuse_unsupported(kind, fields)?;
        let echo = kind == Kind::Completion && fields.boolean("echo")?;
        let prompts = match kind {
            Kind::Chat => vec![self.chat_prompt(fields)?],
            Kind::Completion => self.completion_prompts(fields)?,
        };
        let n = fields.integer("n", 1..=MAX_N)?.unwrap_or(1) as usize;
        if prompts.len() * n > MAX_CHOICES {
            let message = format!(
                "a request gets at most {MAX_CHOICES} replies, and this one asks for {} times {n}",
                prompts.len()
            );
            return Err(ApiError::field("n", message));
        }
        let logprobs = logprobs(kind, fields)?;
        if logprobs.is_some_and(|count| (1 + count) * prompts.len() * n > MAX_SCORES) {
            let message =
                format!("a request gets at most {MAX_SCORES} log-probabilities per position of all its replies");
            return Err(ApiError::field("logprobs", message));
        }
        let request = Request {
            kind,
            n,
            sampling: self.sampling_of(kind, fields, echo)?,
            biases: Biases::read(fields, self.engine.config().vocab_size)?,
            grammar: self.grammars.read(fields)?,
            stops: stop_strings(fields)?,
            logprobs,
            echo: if echo { self.texts(&prompts)? } else { Vec::new() },
            prompts,
            stream: fields.boolean("stream")?,
            include_usage: include_usage(fields)?,
        };
        if self.scores(&request) > MAX_TOTAL_SCORES {
            let message = format!(
                "a request gets at most {MAX_TOTAL_SCORES} log-probabilities in all; ask for fewer tokens, replies or alternatives"
            );
            return Err(ApiError::field("logprobs", message));
        }
        if request.grammar.is_some() && !request.sampling.stop_at_end {
            return Err(ApiError::unsupported("ignore_eos", "a reply of a given format ends where the format does"));
        }
        Ok(request)
    }

    /// The most log-probabilities that the answer to a request can hold.
    fn scores(&self, request: &Request) -> usize {
        let Some(top) = request.logprobs else { return 0 };
        let positions = request.prompts.iter().map(|prompt| {
            let room = self.context.saturating_sub(prompt.len());
            let reply = request.sampling.max_tokens.unwrap_or(room).min(room);
            reply + if request.echo.is_empty() { 0 } else { prompt.len() }
        });
        (1 + top) * request.n * positions.sum::<usize>()
    }

    /// The texts of prompts as they were written: without the `<bos>` that was put before them.
    fn texts(&self, prompts: &[Vec<u32>]) -> Result<Vec<String>, ApiError> {
        let bos = [self.tokenizer.bos_id()];
        let text = |prompt: &Vec<u32>| self.tokenizer.decode(prompt.strip_prefix(&bos).unwrap_or(prompt));
        Ok(prompts.iter().map(text).collect::<Result<_, _>>()?)
    }

    fn sampling_of(&self, kind: Kind, fields: &Fields, echo: bool) -> Result<Sampling, ApiError> {
        let default = &self.sampling;
        let least = u64::from(!echo);
        let limit = fields.integer("max_tokens", least..=u64::from(u32::MAX))?;
        let limit = fields.integer("max_completion_tokens", least..=u64::from(u32::MAX))?.or(limit);
        let limit = limit.or(default.max_tokens.map(|limit| limit as u64));
        let limit = limit.or((kind == Kind::Completion).then_some(COMPLETION_TOKENS));
        let top_k = fields.integer("top_k", 0..=u64::from(u32::MAX))?.map(|top_k| top_k as u32);
        let sampling = Sampling {
            temperature: fields.number("temperature", 0.0..=2.0)?.unwrap_or(default.temperature),
            top_p: fields.number("top_p", 0.0..=1.0)?.unwrap_or(default.top_p),
            top_k: top_k.unwrap_or(default.top_k),
            min_p: fields.number("min_p", 0.0..=1.0)?.unwrap_or(default.min_p),
            repetition_penalty: fields
                .number("repetition_penalty", 0.01..=100.0)?
                .unwrap_or(default.repetition_penalty),
            seed: fields.seed()?.or(default.seed),
            max_tokens: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            stop_at_end: !fields.boolean("ignore_eos")?,
        };
        // Temperatures too small for the sampler choose the same token as 0.
        let temperature = if sampling.temperature < 0.01 { 0.0 } else { sampling.temperature };
        let sampling = Sampling { temperature, ..sampling };
        // Only a top-p of 0 is left to be wrong.
        sampling.check().map_err(|error| ApiError::of(&error).at("top_p"))?;
        Ok(sampling)
    }

    fn chat_prompt(&self, fields: &Fields) -> Result<Vec<u32>, ApiError> {
        let value = fields.get("messages");
        let value = value.ok_or_else(|| ApiError::field("messages", "messages is missing: an array of messages"))?;
        self.chat_ids(value)
    }

    /// The token ids of a chat's messages, which fit the context.
    pub(super) fn chat_ids(&self, value: &Value) -> Result<Vec<u32>, ApiError> {
        let (system, turns) = messages(value)?;
        let ids = render(&self.tokenizer, system.as_deref(), &turns);
        self.fits(ids.map_err(|error| ApiError::of(&error).at("messages"))?, "messages")
    }

    fn completion_prompts(&self, fields: &Fields) -> Result<Vec<Vec<u32>>, ApiError> {
        let wrong = || {
            let message = "prompt must be a text, an array of texts, an array of token ids, or an array of such arrays";
            ApiError::field("prompt", message)
        };
        let value = fields.get("prompt").ok_or_else(wrong)?;
        let single = |value: &Value| match value {
            Value::String(text) => self.completion_ids(text, true).and_then(|ids| self.fits(ids, "prompt")),
            value => self.fits(token_ids(value).ok_or_else(wrong)?, "prompt"),
        };
        match value {
            Value::Array(items) if items.len() > MAX_CHOICES && !items[0].is_u64() => {
                Err(ApiError::field("prompt", format!("a request has at most {MAX_CHOICES} prompts")))
            }
            Value::Array(items) if items.first().is_some_and(|item| item.is_string() || item.is_array()) => {
                items.iter().map(single).collect()
            }
            value => Ok(vec![single(value)?]),
        }
    }

    /// The token ids of a text. Control pieces such as `<start_of_turn>` in it are recognized.
    pub(super) fn completion_ids(&self, text: &str, bos: bool) -> Result<Vec<u32>, ApiError> {
        let ids = if bos { completion_ids(&self.tokenizer, text) } else { self.tokenizer.encode(text) };
        Ok(ids?)
    }

    /// Checks that a prompt has a token, that all of them exist, and that the context holds them.
    fn fits(&self, ids: Vec<u32>, param: &str) -> Result<Vec<u32>, ApiError> {
        let (context, vocab_size) = (self.context, self.engine.config().vocab_size);
        let error = if ids.is_empty() {
            Error::EmptyPrompt
        } else if ids.len() > context {
            Error::ContextFull { tokens: ids.len(), context }
        } else if let Some(&id) = ids.iter().find(|id| **id as usize >= vocab_size) {
            Error::TokenOutOfRange { id, vocab_size }
        } else {
            return Ok(ids);
        };
        Err(ApiError::of(&error).at(param))
    }
}

fn stop_strings(fields: &Fields) -> Result<Vec<String>, ApiError> {
    let stops = match fields.get("stop") {
        None => Some(Vec::new()),
        Some(Value::String(stop)) => Some(vec![stop.clone()]),
        Some(Value::Array(stops)) => stops.iter().map(|stop| stop.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    let usable = |stops: &Vec<String>| {
        stops.len() <= MAX_STOPS && stops.iter().all(|stop| (1..=MAX_STOP_BYTES).contains(&stop.len()))
    };
    stops.filter(usable).ok_or_else(|| {
        let message = format!("stop must be a text or up to {MAX_STOPS} texts, each of 1 to {MAX_STOP_BYTES} bytes");
        ApiError::field("stop", message)
    })
}

fn logprobs(kind: Kind, fields: &Fields) -> Result<Option<usize>, ApiError> {
    if kind == Kind::Completion {
        return Ok(fields.integer("logprobs", 0..=MAX_LOGPROBS)?.map(|count| count as usize));
    }
    let wanted = fields.boolean("logprobs")?;
    match fields.integer("top_logprobs", 0..=MAX_LOGPROBS)? {
        Some(1..) if !wanted => Err(ApiError::field("top_logprobs", "top_logprobs needs logprobs to be true")),
        count => Ok(wanted.then_some(count.unwrap_or(0) as usize)),
    }
}

fn include_usage(fields: &Fields) -> Result<bool, ApiError> {
    match fields.get("stream_options") {
        None => Ok(false),
        Some(Value::Object(options)) => {
            let include = Fields::of(options.clone()).boolean("include_usage");
            include.map_err(|error| error.at("stream_options.include_usage"))
        }
        Some(_) => Err(ApiError::field("stream_options", "stream_options must be an object")),
    }
}
