//! A streamed answer: server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use futures_core::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use super::answer::{Answer, Usage};
use super::error::ApiError;
use super::queue::Event;
use super::request::Kind;

/// The answer as a stream. Dropping it, as happens when the client goes away, closes `events`.
pub(super) fn stream(answer: Answer, events: Receiver<Event>) -> Response<Body> {
    let begun = vec![false; answer.choices()];
    let pieces = Pieces { answer, events, begun, ended: 0, usage: Usage::default(), ready: VecDeque::new() };
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

struct Pieces {
    answer: Answer,
    events: Receiver<Event>,
    /// Which replies have sent something.
    begun: Vec<bool>,
    ended: usize,
    usage: Usage,
    ready: VecDeque<Bytes>,
}

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if self.ended == self.answer.choices() {
                return Poll::Ready(None);
            }
            let event = ready!(self.events.poll_recv(context));
            self.take(event);
        }
    }
}

impl Pieces {
    fn take(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Text { choice, text }) => {
                self.begin(choice);
                self.piece(choice, &text, None);
            }
            Some(Event::Ended { choice, end }) => {
                self.begin(choice);
                self.piece(choice, "", Some(end.finish));
                self.answer.add(&mut self.usage, choice, &end);
                self.ended += 1;
                if self.ended == self.answer.choices() {
                    self.end();
                }
            }
            Some(Event::Failed(error)) => self.fail(&error),
            None => self.fail(&ApiError::no_engine()),
        }
    }

    /// Sends what comes before a reply's text.
    fn begin(&mut self, choice: usize) {
        if std::mem::replace(&mut self.begun[choice], true) {
            return;
        }
        if self.answer.kind == Kind::Chat {
            let delta = json!({"role": "assistant", "content": ""});
            self.choice(json!({"index": choice, "delta": delta, "logprobs": null, "finish_reason": null}));
        } else if !self.answer.echo(choice).is_empty() {
            let text = self.answer.echo(choice).to_owned();
            self.piece(choice, &text, None);
        }
    }

    fn piece(&mut self, choice: usize, text: &str, finish: Option<&str>) {
        if self.answer.kind == Kind::Chat {
            let delta = if finish.is_some() { json!({}) } else { json!({"content": text}) };
            self.choice(json!({"index": choice, "delta": delta, "logprobs": null, "finish_reason": finish}));
        } else {
            self.choice(json!({"index": choice, "text": text, "logprobs": null, "finish_reason": finish}));
        }
    }

    fn choice(&mut self, choice: Value) {
        let mut object = self.answer.object(self.object_name(), vec![choice]);
        if self.answer.include_usage {
            object["usage"] = Value::Null;
        }
        self.send(&object);
    }

    fn object_name(&self) -> &'static str {
        if self.answer.kind == Kind::Chat { "chat.completion.chunk" } else { "text_completion" }
    }

    fn end(&mut self) {
        if self.answer.include_usage {
            let mut object = self.answer.object(self.object_name(), Vec::new());
            object["usage"] = self.answer.usage(&self.usage);
            self.send(&object);
        }
        self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
    }

    /// Reports an error in the stream, whose status has been sent, and ends it.
    fn fail(&mut self, error: &ApiError) {
        self.send(&error.to_json());
        self.ended = self.answer.choices();
    }

    fn send(&mut self, object: &Value) {
        self.ready.push_back(Bytes::from(format!("data: {object}\n\n")));
    }
}
