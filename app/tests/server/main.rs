//! `lapidary serve` from outside, with the guide as its model.

mod access;
#[cfg(unix)]
mod batch;
mod client;
mod errors;
mod formats;
mod limits;
#[cfg(unix)]
mod llm;
#[cfg(unix)]
mod lm_eval;
#[cfg(unix)]
mod load;
#[cfg(unix)]
mod models;
#[cfg(unix)]
mod openai;
#[cfg(unix)]
#[path = "../hub/pip.rs"]
mod pip;
#[cfg(unix)]
mod process;
mod replies;
#[path = "../shared/running.rs"]
mod running;
#[cfg(unix)]
mod scores;
mod window;

use std::net::TcpStream;
use std::sync::OnceLock;

use lapidary_app::guide;
use lapidary_app::server::Options;
use lapidary_engine::Engine;
use serde_json::{Value, json};

use client::{Answer, begin, send};
use running::{Running, options};

/// The guide, loaded once for all tests.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::from_files(guide::files().unwrap()).build_blocking().unwrap())
}

impl Running {
    fn new() -> Self {
        Self::with(options())
    }

    fn with(options: Options) -> Self {
        Self::start(engine(), options)
    }

    fn get(&self, path: &str) -> Answer {
        send(self.address, "GET", path, &[], b"")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.address, "POST", path, &[], body.to_string().as_bytes())
    }

    /// Begins a completion, and returns once the first bytes of its answer are there.
    fn begin(&self, body: &Value) -> TcpStream {
        begin(self.address, "/v1/completions", &[], body.to_string().as_bytes(), true)
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Waits until a counter or gauge has this value.
    fn wait_for(&self, name: &str, value: u64) {
        for _ in 0..600 {
            if self.metric(name) == value {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{name} is {} and not {value}", self.metric(name));
    }
}

/// A chat with one question.
fn question(text: &str) -> Value {
    json!({"model": "guide", "messages": [{"role": "user", "content": text}]})
}

/// A body with these fields too.
fn with(mut body: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// A completion that fills the context, which takes seconds.
fn endless() -> Value {
    json!({"prompt": "Lapidary", "max_tokens": 100_000, "ignore_eos": true, "stream": true})
}
