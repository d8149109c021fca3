//! The paths that the server answers.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::json;
use tokio::sync::Semaphore;

use super::answer::{Answer, collect};
use super::body::{self, json_response};
use super::error::ApiError;
use super::fields::{Fields, token_ids};
use super::guard::Guard;
use super::models::{Models, Served};
use super::request::Kind;
use super::stream::stream;

/// What all requests share.
pub(super) struct App {
    pub(super) models: Arc<Models>,
    pub(super) guard: Guard,
    /// Bodies that are read into tokens at the same time.
    pub(super) readers: Arc<Semaphore>,
    /// Gets a line for each answer.
    pub(super) log: Option<Sender<String>>,
}

type Answered = Result<Response<Body>, ApiError>;

/// The router.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/models/{*id}", get(model))
        .route("/v1/chat/completions", post(|app, request| replies(app, Kind::Chat, request)))
        .route("/v1/completions", post(|app, request| replies(app, Kind::Completion, request)))
        .route("/tokenize", post(tokenize))
        .route("/detokenize", post(detokenize))
        .route("/tokenizer_info", get(tokenizer_info))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "unknown_path", "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "this path is for another method")
        })
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// Checks each request before anything else reads it, and counts the answer.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    let path = known_path(request.uri().path());
    let (origin, method) = (request.headers().get(ORIGIN).cloned(), request.method().clone());
    let mut response = match app.guard.check(request.method(), request.uri(), request.headers()) {
        Err(error) => error.into_response(),
        Ok(()) => match app.guard.preflight(request.method(), request.headers()) {
            Some(response) => response,
            None => next.run(request).await,
        },
    };
    app.guard.add_cors(origin.as_ref(), &mut response);
    app.models.metrics().count_answer(path, response.status().as_u16());
    if let Some(log) = &app.log {
        // Nobody reads it any more if this fails.
        let _ = log.send(format!("{method} {path} {}", response.status().as_u16()));
    }
    response
}

/// The path as a label of the metrics, of which there are only so many.
fn known_path(path: &str) -> &'static str {
    let known = [
        "/v1/chat/completions",
        "/v1/completions",
        "/tokenize",
        "/detokenize",
        "/tokenizer_info",
        "/health",
        "/metrics",
    ];
    match known.into_iter().find(|known| *known == path) {
        Some(known) => known,
        None if path.starts_with("/v1/models") => "/v1/models",
        None => "other",
    }
}

async fn replies(State(app): State<Arc<App>>, kind: Kind, request: Request) -> Answered {
    let (fields, served) = read_fields(&app, request).await?;
    let reader = served.reader.clone();
    let request = on_reader(&app, move || reader.read_fields(kind, &fields)).await?;
    let is_stream = request.stream;
    let (answer, events, lost) = Answer::begin(&served.reader, &served.queue, request)?;
    drop(served);
    if is_stream {
        return Ok(stream(answer, events, lost));
    }
    let replies = collect(answer.choices, events).await?;
    // Long lists of log-probabilities take a while to write, and other streams must not wait for that.
    tokio::task::spawn_blocking(move || json_response(&answer.whole(replies))).await.map_err(|_| ApiError::bug())
}

/// Reads the fields of a body, and finds the model that they name.
async fn read_fields(app: &App, request: Request) -> Result<(Fields, Arc<Served>), ApiError> {
    if app.models.is_closed() {
        return Err(ApiError::stopping());
    }
    let (head, body) = request.into_parts();
    let bytes = body::read(&head.headers, body).await?;
    let fields = on_reader(app, move || Fields::parse(&bytes)).await?;
    let served = app.models.get(fields.string("model")?).await?;
    Ok((fields, served))
}

/// Calls `read` on another thread, because tokenizing a long text takes a while.
async fn on_reader<T: Send + 'static>(
    app: &App,
    read: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    // It is never closed.
    let permit = app.readers.clone().acquire_owned().await.map_err(|_| ApiError::stopping())?;
    let task = tokio::task::spawn_blocking(move || {
        let result = read();
        drop(permit);
        result
    });
    // The task panicked.
    task.await.map_err(|_| ApiError::bug())?
}

async fn models(State(app): State<Arc<App>>) -> Response<Body> {
    json_response(&json!({"object": "list", "data": app.models.list().await}))
}

async fn model(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answered {
    Ok(json_response(&app.models.describe(&id).await?))
}

async fn tokenize(State(app): State<Arc<App>>, request: Request) -> Answered {
    let (fields, served) = read_fields(&app, request).await?;
    let read = move || {
        let reader = &served.reader;
        let bos = fields.get("add_special_tokens").is_none() || fields.boolean("add_special_tokens")?;
        let ids = match (fields.string("prompt")?, fields.get("messages")) {
            (Some(text), None) => reader.completion_ids(text, bos)?,
            (None, Some(messages)) => reader.chat_ids(messages)?,
            _ => return Err(ApiError::field("prompt", "give either prompt, a text, or messages")),
        };
        // Written here, because a long list keeps a thread busy.
        Ok(json_response(&json!({"tokens": ids, "count": ids.len(), "max_model_len": reader.context})))
    };
    on_reader(&app, read).await
}

async fn detokenize(State(app): State<Arc<App>>, request: Request) -> Answered {
    let (fields, served) = read_fields(&app, request).await?;
    let read = move || {
        let ids = fields.get("tokens").and_then(token_ids);
        let ids = ids.ok_or_else(|| ApiError::field("tokens", "tokens must be an array of token ids"))?;
        let text = served.reader.tokenizer.decode(&ids).map_err(|error| ApiError::of(&error).at("tokens"))?;
        Ok(json!({"prompt": text}))
    };
    Ok(json_response(&on_reader(&app, read).await?))
}

/// The names of special tokens of the first model, as vLLM has them. Evaluation programs look here whether the server has a
/// tokenizer.
async fn tokenizer_info(State(app): State<Arc<App>>) -> Answered {
    let served = app.models.get(None).await?;
    let tokenizer = &served.reader.tokenizer;
    let piece = |id: Option<u32>| id.and_then(|id| tokenizer.piece(id));
    Ok(json_response(&json!({
        "tokenizer_class": "GemmaTokenizer",
        "bos_token": piece(Some(tokenizer.bos_id())),
        "eos_token": piece(tokenizer.eos_id()),
        "pad_token": piece(tokenizer.pad_id()),
        "unk_token": piece(tokenizer.unk_id()),
        "model_max_length": served.reader.context,
    })))
}

async fn health(State(app): State<Arc<App>>) -> Answered {
    if app.models.is_closed() { Err(ApiError::stopping()) } else { Ok(json_response(&json!({"status": "ok"}))) }
}

async fn metrics(State(app): State<Arc<App>>) -> Response<Body> {
    let mut response = Response::new(Body::from(app.models.metrics().text(app.models.load_of_all())));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
