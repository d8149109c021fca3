//! Errors in the shape of OpenAI's API.

use axum::body::Body;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use lapidary_engine::Error;
use serde_json::{Value, json};

use super::body::json_response;

/// A refusal or a failure, as `{"error": {"message", "type", "param", "code"}}`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
    /// The field of the request that is at fault.
    param: Option<String>,
    /// A word that programs compare.
    code: &'static str,
    /// Seconds after which to try again.
    retry_after: Option<u64>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code, retry_after: None }
    }

    /// A field of the request has a wrong value.
    pub(super) fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        let param = Some(param.into());
        Self { param, ..Self::new(StatusCode::BAD_REQUEST, "invalid_value", message) }
    }

    /// The request asks for something that this server cannot do.
    pub(super) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: "unsupported_parameter", ..Self::field(param, message) }
    }

    /// An error of the engine. What a request causes is the client's fault, and the rest the server's.
    pub(super) fn of(error: &Error) -> Self {
        let message = error.to_string();
        let (status, code) = match error {
            Error::ContextFull { .. } => (StatusCode::BAD_REQUEST, "context_length_exceeded"),
            Error::EmptyPrompt | Error::TokenOutOfRange { .. } | Error::Setting { .. } => {
                (StatusCode::BAD_REQUEST, "invalid_value")
            }
            Error::Unsupported { .. } => (StatusCode::BAD_REQUEST, "unsupported_model"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "engine_failed"),
        };
        Self::new(status, code, message)
    }

    /// The request names another model than the only one.
    pub(super) fn not_loaded(name: &str, loaded: &str) -> Self {
        let message = format!("the model {name:?} is not loaded; there is {loaded:?}");
        Self::new(StatusCode::NOT_FOUND, "model_not_found", message).at("model")
    }

    /// The server is about to stop.
    pub(super) fn stopping() -> Self {
        let message = "the server is stopping and takes no new requests";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message)
    }

    /// The engine ended without a reply.
    pub(super) fn no_engine() -> Self {
        let message = "the engine stopped before the reply was complete; the server's output says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "engine_failed", message)
    }

    /// Pieces of the reply were dropped because the client did not read those before.
    pub(super) fn slow_client() -> Self {
        let message = "the client read too slowly, so the reply was given up; read it as it comes";
        Self::new(StatusCode::REQUEST_TIMEOUT, "slow_client", message)
    }

    /// The work for a request panicked.
    pub(super) fn bug() -> Self {
        let message = "the server failed at this request, which is a bug; its output says where";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", message)
    }

    /// Tells the client when to try again.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Names the field at fault.
    pub(super) fn at(self, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..self }
    }

    /// The status code.
    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(super) fn to_json(&self) -> Value {
        let kind = match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut response = json_response(&self.to_json());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}
