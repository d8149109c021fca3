//! The window's handle to the downloads, which are in a worker of the browser, and to the models that it keeps.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::download_worker::{Order, Report};
use super::hub_client::{Client, Stop};
use super::script::Script;
use super::{files, opfs};
use crate::hub::{Name, SearchResult, sentence};

/// The script of the downloads.
const SCRIPT: &str = "download.js";
/// What is told of a download whose worker ended.
const FAILED: &str = "The browser ended the download after an internal error. What came is kept; try again.";

/// An event.
pub(crate) enum Event {
    /// A report of a download.
    Report(Report),
    /// The models of the browser's file system, by what was asked for, and whether each is complete. [`files`] has those that are.
    Listed(Vec<(Name, bool)>),
    /// What a search for words found, or why not, as a sentence.
    Found(String, Result<Vec<SearchResult>, String>),
    /// A model was deleted, or why not, as the end of a sentence.
    Deleted(PathBuf, Result<(), String>),
}

/// Sends orders to the downloads.
pub(crate) struct Downloads {
    shared: Rc<Shared>,
    script: Option<Script>,
}

/// What the functions that the browser calls share with the window.
struct Shared {
    events: RefCell<VecDeque<Event>>,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// The downloads of which an end will be reported: if the worker fails, they are reported as failed.
    running: RefCell<BTreeSet<Name>>,
}

impl Downloads {
    /// Lists what is here. The first order starts the worker. `wake` is called after each event.
    pub(super) fn new(wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let shared = Shared { events: RefCell::default(), wake, running: RefCell::default() };
        let downloads = Self { shared: Rc::new(shared), script: None };
        spawn_local(list(downloads.shared.clone()));
        downloads
    }

    /// Sends an order.
    pub(crate) fn send(&mut self, order: &Order) {
        let (Order::Start { name, .. } | Order::Pause(name) | Order::Cancel(name)) = order;
        self.shared.running.borrow_mut().insert(name.clone());
        let sent = serde_json::to_string(order).map_err(|error| JsValue::from(error.to_string())).and_then(|json| {
            let script = match self.script.take().filter(|script| !script.has_failed()) {
                Some(script) => script,
                None => start(&self.shared)?,
            };
            self.script.insert(script).post(&json.into())
        });
        if sent.is_err() {
            self.script = None;
            self.shared.fail();
        }
    }

    /// Searches the hub at this address for words.
    pub(crate) fn search(&self, words: String, hub: String) {
        let shared = self.shared.clone();
        spawn_local(async move {
            let found = Client { endpoint: hub, stop: Stop::new() }.search(&words).await;
            shared.push(Event::Found(words, found.map_err(|error| sentence(&error))));
        });
    }

    /// Deletes a model of the browser's file system.
    pub(crate) fn delete(&self, path: &Path) {
        let (shared, path) = (self.shared.clone(), path.to_owned());
        spawn_local(async move {
            let deleted = opfs::remove(&path.to_string_lossy()).await;
            list(shared.clone()).await;
            shared.push(Event::Deleted(path, deleted));
        });
    }

    /// The next event, if one is waiting.
    pub(crate) fn event(&mut self) -> Option<Event> {
        self.shared.events.borrow_mut().pop_front()
    }
}

/// Finds out which models are in the browser's file system.
async fn list(shared: Rc<Shared>) {
    match opfs::list().await {
        Ok(stored) => {
            let listed = stored.iter().map(|stored| (stored.name.clone(), stored.file.is_some())).collect();
            files::replace_stored(stored.into_iter().filter_map(|stored| Some((stored.path, stored.file?))).collect());
            shared.push(Event::Listed(listed));
        }
        // A browser that keeps no files for pages says so when something is downloaded.
        Err(reason) => log::warn!("the models of the browser cannot be listed: {reason}"),
    }
}

fn start(shared: &Rc<Shared>) -> Result<Script, JsValue> {
    let (window, failed) = (shared.clone(), shared.clone());
    let told = move |json: &str| match serde_json::from_str(json) {
        Ok(report) => receive(&window, report),
        Err(error) => log::error!("the downloads sent what is no report: {error}"),
    };
    // Other downloads in the worker end with it, so that none goes on after it is reported as failed.
    let fail = move |worker: &web_sys::Worker, _| {
        worker.set_onmessage(None);
        worker.terminate();
        failed.fail();
    };
    Script::start(SCRIPT, told, fail)
}

fn receive(shared: &Rc<Shared>, report: Report) {
    let is_known = match &report {
        Report::Progress(name, _) => shared.running.borrow().contains(name),
        Report::Done(name)
        | Report::Paused(name)
        | Report::Cancelled(name)
        | Report::AsksTerms(name)
        | Report::Failed(name, _) => shared.running.borrow_mut().remove(name),
    };
    // Its end was reported before.
    if !is_known {
        return;
    }
    let shared = shared.clone();
    match report {
        // The file is known before it is told.
        Report::Done(_) => spawn_local(async move {
            list(shared.clone()).await;
            shared.push(Event::Report(report));
        }),
        // An older version of the model may be here.
        Report::Cancelled(_) => {
            shared.push(Event::Report(report));
            spawn_local(list(shared));
        }
        report => shared.push(Event::Report(report)),
    }
}

impl Shared {
    fn push(&self, event: Event) {
        self.events.borrow_mut().push_back(event);
        (self.wake)();
    }

    /// Reports every download as failed that has not ended.
    fn fail(&self) {
        for name in std::mem::take(&mut *self.running.borrow_mut()) {
            self.push(Event::Report(Report::Failed(name, FAILED.to_owned())));
        }
    }
}
