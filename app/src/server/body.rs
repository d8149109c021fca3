//! Reads the bodies of requests, and writes those of answers.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use super::bounds::{BODY_TIME, MAX_BODY, MAX_DISCARDED};
use super::error::ApiError;

/// The bytes of a body.
///
/// # Errors
/// 413 if it is too large, 408 if it comes too slowly, and 400 if it ends early.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, ApiError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    // A client that asks first sends nothing after a refusal.
    if headers.contains_key(EXPECT) && length.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large("body"));
    }
    timeout(BODY_TIME, read_all(body)).await.unwrap_or_else(|_| {
        let message = format!("the body did not come within {} seconds", BODY_TIME.as_secs());
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message))
    })
}

async fn read_all(mut body: Body) -> Result<Vec<u8>, ApiError> {
    let (mut bytes, mut size) = (Vec::new(), 0);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let incomplete = |_| ApiError::new(StatusCode::BAD_REQUEST, "incomplete_body", "the body is incomplete");
        let Ok(data) = frame.map_err(incomplete)?.into_data() else { continue };
        size += data.len();
        if size <= MAX_BODY {
            bytes.extend_from_slice(&data);
        } else if size <= MAX_DISCARDED {
            // Many clients read the answer only after they have sent everything.
            bytes = Vec::new();
        } else {
            return Err(too_large("body"));
        }
    }
    if size > MAX_BODY { Err(too_large("body")) } else { Ok(bytes) }
}

/// The error for a body, or for the line of a batch that it is in, that is too large.
pub(super) fn too_large(what: &str) -> ApiError {
    let message = format!("the {what} has more than {} MiB", MAX_BODY >> 20);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

/// An answer whose body is this value.
pub(super) fn json_response(value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
