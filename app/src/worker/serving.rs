//! The window's model for other programs on this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use lapidary_engine::{Engine, LoadOptions};

use super::event_sender::EventSender;
use super::{Event, Load, Served, to_sentence};
use crate::hub::Token;
use crate::models;
use crate::secrets::Secrets;
use crate::server::{Options, ServeError, Server, Stop};

/// The name of the saved key.
const KEY: &str = "the key of this window's server";
/// Replies at once. The window's own comes beside them.
const PARALLEL: usize = 4;
/// Requests that wait.
const QUEUE: usize = 32;

/// Saves the key that programs need, or forgets it; the error is a sentence.
pub(super) fn save_key(secrets: &Secrets, key: Option<&Token>) -> Result<(), String> {
    let saved = match key {
        Some(key) => secrets.save(KEY, key.secret()).map(|_| ()),
        None => secrets.forget(KEY).map(|_| ()),
    };
    saved.map_err(|error| to_sentence(&error.to_string()))
}

/// A server on its own thread, which ends when this is dropped.
pub(super) struct Serving {
    stop: Stop,
    /// Whether the key is known. A key store can let the thread wait for a minute, and nobody waits for that.
    has_begun: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Serves a loaded model at a port of this machine, and sends events about that.
    pub(super) fn start(
        engine: Engine,
        load: &Load,
        port: u16,
        secrets: &Secrets,
        sender: &EventSender,
    ) -> std::io::Result<Self> {
        let model = models::id_of(load.model.as_deref());
        let (path, secrets, sender) = (load.model.clone(), secrets.clone(), sender.clone());
        let (stop, has_begun) = (Stop::default(), Arc::new(AtomicBool::new(false)));
        let (stopped, begins) = (stop.clone(), has_begun.clone());
        let serve = move || {
            let api_key = secrets.find(KEY).map_err(|error| to_sentence(&error.to_string()));
            begins.store(true, Ordering::SeqCst);
            if stopped.is_called() {
                // The model may be another by now.
                return;
            }
            let outcome = api_key.and_then(|key| serve(&engine, model, path, port, key, stopped, &sender));
            sender.send(Event::Serving(outcome.map(|()| None)));
        };
        let thread = thread::Builder::new().name("lapidary-serve".into()).spawn(serve)?;
        Ok(Self { stop, has_begun, thread: Some(thread) })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Twice, so that it does not wait for its replies.
        self.stop.stop();
        self.stop.stop();
        if let Some(thread) = self.thread.take().filter(|_| self.has_begun.load(Ordering::SeqCst)) {
            let _ = thread.join();
        }
    }
}

/// Serves until it is stopped; the error is a sentence.
fn serve(
    engine: &Engine,
    model: String,
    path: Option<std::path::PathBuf>,
    port: u16,
    api_key: Option<String>,
    stop: Stop,
    sender: &EventSender,
) -> Result<(), String> {
    let sentence = |error: &dyn std::error::Error| to_sentence(&error.to_string());
    let has_key = api_key.is_some();
    let (log, lines) = channel();
    let options = Options {
        host: "127.0.0.1".into(),
        port,
        model,
        path,
        load: LoadOptions::default(),
        tuning_folder: None,
        models: 1,
        api_key,
        allowed_origins: Vec::new(),
        allowed_hosts: Vec::new(),
        parallel: PARALLEL,
        cache_tokens: None,
        queue: QUEUE,
        log: Some(log),
    };
    let server = Server::bind(engine, options).map_err(|error| match error {
        ServeError::Listen { .. } => to_sentence(&format!("{error}; choose another port")),
        error => sentence(&error),
    })?;
    sender.send(Event::Serving(Ok(Some(Served { address: format!("http://{}/v1", server.address()), has_key }))));
    let answers = sender.clone();
    let forward = move || lines.into_iter().for_each(|line| answers.send(Event::Answered(line)));
    // Ends with the server, which has the other end.
    let _ = thread::Builder::new().name("lapidary-log".into()).spawn(forward);
    server.run(stop).map_err(|error| sentence(&error))
}
