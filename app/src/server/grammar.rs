//! Replies that are JSON, as `response_format` asks: before each token, those that would break the format are excluded.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lapidary_engine::tokenizer::Tokenizer;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::error::ApiError;
use super::fields::Fields;
use super::logprobs::text_of;

/// The most bytes of a schema.
const MAX_SCHEMA: usize = 64 << 10;
/// The most levels of a schema.
const MAX_DEPTH: usize = 32;
/// White space between two parts of a JSON text: a space, or a line break with indentation. Some models would write more without
/// end.
const WHITE_SPACE: &str = r"\x20|\x0A\x20{0,16}";

/// Compiles grammars for a model's vocabulary.
pub(super) struct Grammars {
    tokenizer: Arc<Tokenizer>,
    /// Ids that end a reply.
    end_ids: Arc<[u32]>,
    /// Made when the first grammar is needed.
    factory: OnceLock<Result<ParserFactory, String>>,
}

/// A compiled grammar.
pub(super) struct Grammar {
    matcher: Matcher,
    end_ids: Arc<[u32]>,
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grammar")
    }
}

impl Grammars {
    pub(super) fn new(tokenizer: Arc<Tokenizer>, end_ids: &[u32]) -> Self {
        let end_ids = end_ids.iter().copied().filter(|id| (*id as usize) < tokenizer.len()).collect();
        Self { tokenizer, end_ids, factory: OnceLock::new() }
    }

    /// Reads `response_format`; `None` for plain text.
    ///
    /// # Errors
    /// 400 for a schema that is wrong, too large, or needs too much work.
    pub(super) fn read(&self, fields: &Fields) -> Result<Option<Grammar>, ApiError> {
        let wrong = |message: &str| ApiError::field("response_format", message);
        let Some(format) = fields.get("response_format") else { return Ok(None) };
        let schema = match format.get("type").and_then(Value::as_str) {
            Some("text") => return Ok(None),
            Some("json_object") => json!({"type": "object"}),
            Some("json_schema") => {
                let schema = format.get("json_schema").and_then(|named| named.get("schema"));
                schema.ok_or_else(|| wrong("response_format.json_schema.schema is missing"))?.clone()
            }
            _ => return Err(wrong("response_format.type must be text, json_object or json_schema")),
        };
        self.compile(schema).map(Some)
    }

    fn compile(&self, mut schema: Value) -> Result<Grammar, ApiError> {
        const PARAM: &str = "response_format.json_schema.schema";
        let Some(object) = schema.as_object_mut() else {
            return Err(ApiError::field(PARAM, "the schema must be an object"));
        };
        object.insert("x-guidance".into(), json!({"whitespace_pattern": WHITE_SPACE}));
        if schema.to_string().len() > MAX_SCHEMA || depth(&schema) > MAX_DEPTH {
            let message =
                format!("the schema may have at most {} KiB and {MAX_DEPTH} levels; make it smaller", MAX_SCHEMA >> 10);
            return Err(ApiError::field(PARAM, message));
        }
        let factory = self.factory.get_or_init(|| factory(&self.tokenizer, &self.end_ids));
        let factory = factory.as_ref().map_err(|error| {
            let message = format!("this model cannot be held to JSON: {error}");
            ApiError::unsupported("response_format", message)
        })?;
        let matcher = Matcher::new(factory.create_parser(TopLevelGrammar::from_json_schema(schema)));
        match matcher.get_error() {
            None => Ok(Grammar { matcher, end_ids: self.end_ids.clone() }),
            Some(error) => {
                let line = error.lines().next().unwrap_or_default();
                Err(ApiError::field(PARAM, format!("the schema cannot be used: {line}")))
            }
        }
    }
}

/// Levels of arrays and objects.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn factory(tokenizer: &Tokenizer, end_ids: &[u32]) -> Result<ParserFactory, String> {
    let Some(&end) = end_ids.first() else { return Err("its vocabulary has no token that ends a reply".into()) };
    let ids = 0..u32::try_from(tokenizer.len()).map_err(|error| error.to_string())?;
    let info = TokRxInfo::new(ids.end, end);
    let words: Vec<Vec<u8>> = ids.map(|id| bytes(tokenizer, id)).collect();
    let trie = TokTrie::from(&info, &words).with_eos_tokens(end_ids);
    let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let slices = llguidance::earley::SlicedBiasComputer::json_slices();
    let factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices);
    let mut factory = factory.map_err(|error| error.to_string())?;
    factory.quiet();
    let limits = factory.limits_mut();
    // Some 20 ms to compile a grammar and some 15 ms per token, where common ones take less than 1 ms.
    limits.initial_lexer_fuel = 1_000_000;
    limits.step_lexer_fuel = 200_000;
    limits.step_max_items = 50_000;
    limits.max_grammar_size = 100_000;
    // Up to 2 kB each.
    limits.max_lexer_states = 20_000;
    limits.precompute_large_lexemes = false;
    limits.verbose_errors = false;
    Ok(factory)
}

/// The bytes that a token adds to the reply. Control tokens add none, and are marked.
fn bytes(tokenizer: &Tokenizer, id: u32) -> Vec<u8> {
    match text_of(tokenizer, id) {
        (_, Some(bytes)) => bytes,
        (text, None) if text.is_empty() => Vec::new(),
        (text, None) => [&[TokTrie::SPECIAL_TOKEN_MARKER], text.as_bytes()].concat(),
    }
}

/// A grammar at work on one reply.
pub(super) struct Constraint {
    matcher: Matcher,
    /// Tokens of the reply that it has read.
    read: usize,
    end_ids: Arc<[u32]>,
    failure: Failure,
}

/// What went wrong with a constraint, for the thread that watches the reply.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    /// The error for the client, if there was one.
    pub(super) fn take(&self) -> Option<ApiError> {
        let message = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let message = format!("the reply could not be held to the schema: {message}; use a simpler one");
        Some(ApiError::field("response_format", message))
    }

    fn set(&self, error: impl fmt::Display) {
        let message = error.to_string();
        let line = message.lines().next().unwrap_or_default().to_owned();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    }
}

impl Grammar {
    /// The grammar for one reply. `failure` learns what goes wrong.
    pub(super) fn constraint(&self, failure: Failure) -> Constraint {
        Constraint { matcher: self.matcher.deep_clone(), read: 0, end_ids: self.end_ids.clone(), failure }
    }
}

impl Constraint {
    /// Sets the bits of the tokens that may follow `reply`, as a [`Mask`](lapidary_engine::scheduler::Mask) does.
    pub(super) fn allow(&mut self, reply: &[u32], bits: &mut [u32]) {
        let mut set = |id: usize| {
            if let Some(word) = bits.get_mut(id / 32) {
                *word |= 1 << (id % 32);
            }
        };
        match self.next(reply) {
            Some(mask) => mask.iter().for_each(|id| set(id as usize)),
            None => self.end_ids.iter().for_each(|id| set(*id as usize)),
        }
    }

    /// Excludes the tokens that may not follow `reply`.
    pub(super) fn exclude(&mut self, reply: &[u32], logits: &mut [f32]) {
        let mut bits = vec![0; logits.len().div_ceil(32)];
        self.allow(reply, &mut bits);
        for (id, logit) in logits.iter_mut().enumerate() {
            if bits[id / 32] >> (id % 32) & 1 == 0 {
                *logit = f32::NEG_INFINITY;
            }
        }
    }

    /// The tokens that may follow `reply`; `None` if it must end, because the grammar failed.
    fn next(&mut self, reply: &[u32]) -> Option<SimpleVob> {
        let new = &reply[self.read.min(reply.len())..];
        self.read = reply.len();
        let mask = self.matcher.consume_tokens(new).and_then(|()| self.matcher.compute_mask_or_eos());
        if let Err(error) = &mask {
            self.failure.set(error);
        }
        mask.ok()
    }
}
