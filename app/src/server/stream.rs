//! A streamed answer: server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use futures_core::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, Sleep, sleep};

use super::answer::Answer;
use super::error::ApiError;
use super::logprobs::TokenLogprob;
use super::queue::{End, Event};
use super::request::Kind;

/// After this long without a token, the client gets a comment, which programs that give up on silent servers count as a sign of
/// life.
const SILENCE: Duration = Duration::from_secs(10);

/// The answer as a stream. Dropping it, as happens when the client goes away, closes `events`.
/// `lost` says whether a piece had no place in `events`.
pub(super) fn stream(answer: Answer, events: Receiver<Event>, lost: Arc<AtomicBool>) -> Response<Body> {
    let offsets = vec![0; answer.choices];
    let silence = Box::pin(sleep(SILENCE));
    let mut pieces = Pieces { answer, events, lost, offsets, ended: 0, tokens: 0, ready: VecDeque::new(), silence };
    pieces.begin();
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

struct Pieces {
    answer: Answer,
    events: Receiver<Event>,
    lost: Arc<AtomicBool>,
    /// Per reply, the characters of its tokens so far.
    offsets: Vec<usize>,
    ended: usize,
    /// Tokens of the replies that have ended.
    tokens: usize,
    ready: VecDeque<Bytes>,
    /// Ends when the client has waited for long.
    silence: Pin<Box<Sleep>>,
}

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if self.ended == self.answer.choices {
                return Poll::Ready(None);
            }
            match self.events.poll_recv(context) {
                Poll::Ready(event) => self.take(event),
                Poll::Pending => {
                    ready!(self.silence.as_mut().poll(context));
                    self.ready.push_back(Bytes::from_static(b": waiting\n\n"));
                }
            }
            self.silence.as_mut().reset(Instant::now() + SILENCE);
        }
    }
}

impl Pieces {
    /// Says at once whose messages follow, because the first token can take long.
    fn begin(&mut self) {
        if self.answer.kind == Kind::Chat {
            for choice in 0..self.answer.choices {
                let delta = json!({"role": "assistant", "content": ""});
                self.choice(json!({"index": choice, "delta": delta, "logprobs": null, "finish_reason": null}));
            }
        }
    }

    fn take(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Piece { choice, text, logprobs }) => self.piece(choice, &text, &logprobs),
            Some(Event::Ended { choice, end }) => {
                self.end_of(choice, &end);
                self.tokens += end.tokens;
                self.ended += 1;
                if self.ended == self.answer.choices {
                    self.end();
                }
            }
            Some(Event::Failed(error)) => self.fail(&error),
            None if self.lost.load(Ordering::Relaxed) => self.fail(&ApiError::slow_client()),
            None => self.fail(&ApiError::no_engine()),
        }
    }

    fn piece(&mut self, choice: usize, text: &str, logprobs: &[TokenLogprob]) {
        let logprobs = self.answer.logprobs(logprobs, None, &mut self.offsets[choice]);
        self.choice(if self.answer.kind == Kind::Chat {
            json!({"index": choice, "delta": {"content": text}, "logprobs": logprobs, "finish_reason": null})
        } else {
            json!({"index": choice, "text": text, "logprobs": logprobs, "finish_reason": null})
        });
    }

    fn end_of(&mut self, choice: usize, end: &End) {
        let token = end.token.as_ref();
        let logprobs = token.map(|token| self.answer.logprobs(&[], Some(token), &mut self.offsets[choice]));
        self.choice(if self.answer.kind == Kind::Chat {
            json!({"index": choice, "delta": {}, "logprobs": logprobs, "finish_reason": end.finish})
        } else {
            json!({"index": choice, "text": "", "logprobs": null, "finish_reason": end.finish})
        });
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
            object["usage"] = self.answer.usage(self.tokens);
            self.send(&object);
        }
        self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
    }

    /// Reports an error in the stream, whose status has been sent, and ends it.
    fn fail(&mut self, error: &ApiError) {
        self.send(&error.to_json());
        self.ended = self.answer.choices;
    }

    fn send(&mut self, object: &Value) {
        self.ready.push_back(Bytes::from(format!("data: {object}\n\n")));
    }
}
