//! What a line of a batch's input asks for.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::lines::Line;
use crate::server::body::too_large;
use crate::server::error::ApiError;
use crate::server::fields::Fields;
use crate::server::request::{Kind, Request};
use crate::server::request_reader::RequestReader;

/// Where a request stands in the input.
pub(super) struct Place {
    pub(super) custom_id: String,
    pub(super) line: u64,
    pub(super) hash: u64,
}

/// Reads a line. A line without a `custom_id` has its number in its place.
pub(super) fn read(
    reader: &RequestReader,
    line: &Line,
    top_logprobs: Option<u64>,
) -> (Place, Result<Request, ApiError>) {
    let object = if line.is_too_long {
        Err(too_large("line"))
    } else if line.is_plain {
        plain(&line.bytes)
    } else {
        Fields::parse(&line.bytes).map(Fields::into_object)
    };
    let named = object.as_ref().ok().and_then(|object| object.get("custom_id")?.as_str());
    let custom_id = named.map_or_else(|| line.number.to_string(), str::to_owned);
    let place = Place { custom_id, line: line.number, hash: line.hash };
    let request = object.and_then(kind_and_body).and_then(|(kind, mut body)| {
        if let Some(count) = top_logprobs {
            ask_for_logprobs(kind, &mut body, count);
        }
        let fields = Fields::of(body);
        if let Some(name) = fields.string("model")?.filter(|name| !reader.is_named(name)) {
            return Err(ApiError::not_loaded(name, &reader.id));
        }
        let request = reader.read_fields(kind, &fields)?;
        if request.stream {
            return Err(ApiError::unsupported("stream", "a batch has no streams; leave stream out"));
        }
        Ok(request)
    });
    (place, request)
}

/// A body that asks one question.
fn plain(text: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let message = format!("the line is not UTF-8 text: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_text", message)
    })?;
    let messages = json!([{"role": "user", "content": text}]);
    Ok(Map::from_iter([("messages".to_owned(), messages)]))
}

/// The request in a line of OpenAI's batch files, or the line itself if it is a body.
fn kind_and_body(mut object: Map<String, Value>) -> Result<(Kind, Map<String, Value>), ApiError> {
    const NAMES: [&str; 4] = ["custom_id", "method", "url", "body"];
    if !NAMES.iter().any(|name| object.contains_key(*name)) {
        let is_completion = object.contains_key("prompt") && !object.contains_key("messages");
        return Ok((if is_completion { Kind::Completion } else { Kind::Chat }, object));
    }
    let body = object.remove("body");
    let line = Fields::of(object);
    if let Some(name) = line.names().find(|name| !NAMES.contains(name)) {
        let message = format!("{name} is not known; a line has custom_id, method, url and body");
        return Err(ApiError::unsupported(name, message));
    }
    line.string("custom_id")?;
    if line.string("method")?.is_some_and(|method| method != "POST") {
        return Err(ApiError::field("method", "method must be POST"));
    }
    let kind = match line.string("url")? {
        Some("/v1/chat/completions") => Kind::Chat,
        Some("/v1/completions") => Kind::Completion,
        _ => return Err(ApiError::field("url", "url must be /v1/chat/completions or /v1/completions")),
    };
    match body {
        Some(Value::Object(body)) => Ok((kind, body)),
        _ => Err(ApiError::field("body", "body must be a JSON object: the request")),
    }
}

/// Asks for log-probabilities, unless the body says whether it wants them.
fn ask_for_logprobs(kind: Kind, body: &mut Map<String, Value>, count: u64) {
    let is_set = |name: &str| body.get(name).is_some_and(|value| !value.is_null());
    if is_set("logprobs") || is_set("top_logprobs") {
        return;
    }
    match kind {
        Kind::Chat => {
            body.insert("logprobs".into(), true.into());
            body.insert("top_logprobs".into(), count.into());
        }
        Kind::Completion => {
            body.insert("logprobs".into(), count.into());
        }
    }
}
