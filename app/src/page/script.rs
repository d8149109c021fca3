//! A worker of the browser, which runs a script beside the page.

use std::cell::Cell;
use std::rc::Rc;

use serde::Serialize;
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent, Worker, WorkerOptions, WorkerType};

/// How a script failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It did not start: a file is missing.
    Start,
    /// It ended after an internal error.
    Internal,
}

/// A script that runs until this is dropped. It sends text, and anything else says that it failed.
pub(super) struct Script {
    worker: Worker,
    has_failed: Rc<Cell<bool>>,
    // The functions that get its messages.
    _receive: Closure<dyn FnMut(MessageEvent)>,
    _failed: Closure<dyn FnMut(JsValue)>,
}

impl Script {
    /// Starts a script. `receive` gets each text that it sends. `fail` is called when it failed; what it runs goes on until this is
    /// dropped or `fail` ends it.
    ///
    /// # Errors
    /// That of the browser.
    pub(super) fn start(
        file: &str,
        receive: impl Fn(&str) + 'static,
        fail: impl Fn(&Worker, Failure) + Clone + 'static,
    ) -> Result<Self, JsValue> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(file, &options)?;
        let has_failed = Rc::new(Cell::new(false));
        let fail = {
            let (worker, has_failed) = (worker.clone(), has_failed.clone());
            move |failure| {
                has_failed.set(true);
                fail(&worker, failure);
            }
        };
        let failed = fail.clone();
        let receive = Closure::new(move |message: MessageEvent| match message.data().as_string() {
            Some(text) => receive(&text),
            None if message.data().as_bool() == Some(false) => failed(Failure::Start),
            None => failed(Failure::Internal),
        });
        worker.set_onmessage(Some(receive.as_ref().unchecked_ref()));
        let failed = Closure::new(move |_| fail(Failure::Start));
        worker.set_onerror(Some(failed.as_ref().unchecked_ref()));
        Ok(Self { worker, has_failed, _receive: receive, _failed: failed })
    }

    /// Whether it failed.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.get()
    }

    /// Sends it a message.
    ///
    /// # Errors
    /// That of the browser.
    pub(super) fn post(&self, message: &JsValue) -> Result<(), JsValue> {
        self.worker.post_message(message)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.worker.terminate();
    }
}

/// Sends a message as JSON from a worker to the page that started it.
pub(super) fn post(message: &impl Serialize) {
    let json = match serde_json::to_string(message) {
        Ok(json) => json,
        Err(error) => return log::error!("a message to the page has no JSON: {error}"),
    };
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    if scope.post_message(&json.into()).is_err() {
        log::error!("the page gets no messages");
    }
}
