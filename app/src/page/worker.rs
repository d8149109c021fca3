//! The window's handle to the engine, which is in a worker of the browser.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use js_sys::Array;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::script::{Failure, Script};
use super::{files, opfs};
use crate::worker::commands::{FAILED, failure_event};
use crate::worker::{Command, Event, FoundModel, Load, Problem, Remedy, Worker, to_sentence};
use crate::{endpoint, models};

/// The script of the engine.
const SCRIPT: &str = "engine.js";

/// Sends commands to the engine as JSON, and gets its events so. Commands that need no engine are carried out here.
pub(super) struct PageWorker {
    shared: Rc<Shared>,
    engine: Option<Script>,
}

/// What the functions that the browser calls share with the window.
struct Shared {
    events: RefCell<VecDeque<Event>>,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// The commands that the engine has not answered: if it fails, they are reported as failed.
    unanswered: RefCell<Vec<Command>>,
}

impl PageWorker {
    /// Starts nothing yet: the first command starts the worker. `wake` is called after each event.
    pub(super) fn start(wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let shared = Shared { events: RefCell::default(), wake, unanswered: RefCell::default() };
        Self { shared: Rc::new(shared), engine: None }
    }

    /// The engine, started if there is none or the last one failed.
    fn engine(&mut self) -> Result<&mut Script, JsValue> {
        let engine = match self.engine.take().filter(|engine| !engine.has_failed()) {
            Some(engine) => engine,
            None => start(&self.shared)?,
        };
        Ok(self.engine.insert(engine))
    }

    /// Sends a command to the engine, and before it the file that it needs.
    fn ask(&mut self, command: Command) {
        let load = match &command {
            Command::Load(load) | Command::Check(load) | Command::EstimateMemory(load) => load.model.clone(),
            _ => None,
        };
        if matches!(command, Command::Load(_)) {
            self.shared.unanswered.borrow_mut().retain(|known| !matches!(known, Command::Load(_)));
        }
        self.shared.unanswered.borrow_mut().push(command.clone());
        let sent = serde_json::to_string(&command).map_err(|error| JsValue::from(error.to_string()));
        let sent = sent.and_then(|json| {
            let engine = self.engine()?;
            if let Some(path) = load
                && let Some(file) = files::get(&path)
            {
                let name = JsValue::from(path.to_string_lossy().as_ref());
                // Each time, because a file that was chosen again is another one under the same name.
                engine.post(&Array::of2(&name, &file))?;
            }
            engine.post(&json.into())
        });
        if let Err(error) = sent {
            self.engine = None;
            self.shared.fail(&to_sentence(&format!("the browser cannot run the engine: {}", super::reason(&error))));
        }
    }
}

fn start(shared: &Rc<Shared>) -> Result<Script, JsValue> {
    let (window, failed) = (shared.clone(), shared.clone());
    let receive = move |json: &str| match serde_json::from_str(json) {
        Ok(event) => window.receive(event),
        Err(error) => log::error!("the engine sent what is no event: {error}"),
    };
    let fail = move |_: &web_sys::Worker, failure| {
        failed.fail(match failure {
            Failure::Start => "The browser cannot start the engine: a file of the page is missing.",
            Failure::Internal => FAILED,
        });
    };
    Script::start(SCRIPT, receive, fail)
}

impl Shared {
    fn receive(&self, event: Event) {
        self.unanswered.borrow_mut().retain(|command| !answers(&event, command));
        self.push(event);
    }

    fn push(&self, event: Event) {
        self.events.borrow_mut().push_back(event);
        (self.wake)();
    }

    /// Reports every command as failed that the engine has not answered, and the model as gone.
    fn fail(&self, sentence: &str) {
        let problem = Problem { sentence: sentence.to_owned(), remedy: Remedy::Reload };
        let unanswered = std::mem::take(&mut *self.unanswered.borrow_mut());
        // First, so that what fails with the model is not said to have left it open.
        if !unanswered.iter().any(|command| matches!(command, Command::Load(_))) {
            self.push(Event::NotLoaded(problem.clone()));
        }
        for command in &unanswered {
            if let Some(event) = failure_event(command, problem.clone()) {
                self.push(event);
            }
        }
    }
}

/// Whether an event ends the work of a command.
fn answers(event: &Event, command: &Command) -> bool {
    match (event, command) {
        (Event::Loaded(_) | Event::NotLoaded(_), Command::Load(_)) => true,
        (Event::Ended { reply: ended, .. } | Event::Failed(ended, _), Command::Generate { reply, .. }) => {
            ended == reply
        }
        (Event::Alternatives { .. }, Command::Alternatives { .. }) | (Event::Profile(_), Command::Profile) => true,
        (Event::TokensCounted(_), Command::CountTokens(_)) => true,
        (Event::Checked(checked, _), Command::Check(load)) => checked == load,
        (Event::MemoryEstimated(estimated, _), Command::EstimateMemory(load)) => estimated == load,
        // Nothing answers these.
        (_, Command::Stop | Command::CancelLoad) => true,
        _ => false,
    }
}

impl Worker for PageWorker {
    fn send(&mut self, command: Command) {
        let shared = self.shared.clone();
        match command {
            // Browsers choose the adapter.
            Command::FindDevices => shared.push(Event::Devices(Vec::new())),
            Command::FindModels => shared.push(Event::Models(found_models())),
            Command::Inspect { chat, path } => spawn_local(async move {
                let file = files::inspect(path).await;
                shared.push(Event::Inspected { chat, file });
            }),
            Command::Attach { chat, path } => spawn_local(async move {
                let file = files::read_attachment(&path).await;
                shared.push(Event::Attached { chat, file });
            }),
            Command::FindServer { address, .. } => {
                let found = Err(Problem::from(&endpoint::EndpointError).sentence);
                shared.push(Event::ServerFound { address, found });
            }
            // A page sees no folders.
            Command::ChangeModelFolder { .. } => {}
            Command::ForgetServer(address) => match address {},
            // A page serves nobody.
            Command::Serve(_) | Command::SaveServingKey(_) => {}
            command => self.ask(command),
        }
    }

    fn event(&mut self) -> Option<Event> {
        self.shared.events.borrow_mut().pop_front()
    }
}

/// The guide, the models that were chosen since the page was opened, and those that the browser keeps.
fn found_models() -> Vec<FoundModel> {
    let found = files::models().into_iter().map(|(path, bytes)| FoundModel {
        name: Load { model: Some(path.clone()), ..Load::default() }.name(),
        note: if opfs::is_stored(&path) { "kept by the browser" } else { "chosen since the page was opened" },
        path: Some(path),
        bytes,
    });
    std::iter::once(models::guide("comes with the page")).chain(found).collect()
}
