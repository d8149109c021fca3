//! The side of the engine: it runs in a worker of the browser, where waiting for the GPU delays no frame.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use js_sys::{Array, Uint8Array};
use lapidary_engine::load::{Bytes, Source};
use lapidary_engine::{Error, ModelFiles, Result};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, File, Response};

use super::files::FileSource;
use super::reason;
use super::script::post;
use crate::guide;
use crate::worker::commands::{Commands, Place, estimate_memory_of};
use crate::worker::event_sender::EventSender;
use crate::worker::shared_tokenizer::SharedTokenizer;
use crate::worker::stop::{StopSignal, StopSignals};
use crate::worker::{Command, Event, Problem};

/// The folder of the guide, beside the page.
const GUIDE: &str = "guide";

thread_local! {
    static ENGINE: OnceCell<Rc<Engine>> = const { OnceCell::new() };
}

/// The engine's commands, queue and files.
struct Engine {
    sender: EventSender,
    tokenizer: Arc<SharedTokenizer>,
    signals: RefCell<StopSignals>,
    /// The commands that wait for the model, with what stops them.
    queue: RefCell<VecDeque<(Arc<StopSignal>, Command)>>,
    /// `None` while a command runs.
    commands: Cell<Option<Commands>>,
    files: RefCell<HashMap<PathBuf, File>>,
    guide: RefCell<Option<Vec<Bytes>>>,
}

/// Starts the engine. Messages are given to [`receive`] from now on.
pub fn start() {
    console_error_panic_hook::set_once();
    let sender = EventSender::new(|event| post(&event));
    let tokenizer = Arc::new(SharedTokenizer::default());
    let engine = Engine {
        commands: Cell::new(Some(Commands::new(sender.clone(), tokenizer.clone()))),
        sender,
        tokenizer,
        signals: RefCell::default(),
        queue: RefCell::default(),
        files: RefCell::default(),
        guide: RefCell::default(),
    };
    ENGINE.with(|known| known.get_or_init(|| Rc::new(engine)).clone());
}

/// Handles a message of the page: a command as JSON, or a pair of a name and the file that it stands for.
pub fn receive(message: &JsValue) {
    let Some(engine) = ENGINE.with(|engine| engine.get().cloned()) else { return };
    if let Some(pair) = message.dyn_ref::<Array>() {
        if let (Some(name), Ok(file)) = (pair.get(0).as_string(), pair.get(1).dyn_into()) {
            engine.files.borrow_mut().insert(name.into(), file);
        }
        return;
    }
    match serde_json::from_str(&message.as_string().unwrap_or_default()) {
        Ok(command) => engine.handle(command),
        Err(error) => log::error!("the page sent what is no command: {error}"),
    }
}

/// The cache of the browser that holds the results of tuning, as the engine wants it.
const TUNING: &str = "lapidary-tuning";

/// The browser's own GPU.
fn place() -> Place {
    Place { tuning_folder: Some(TUNING.into()), ..Place::default() }
}

impl Engine {
    fn handle(self: Rc<Self>, command: Command) {
        match command {
            Command::Stop => self.signals.borrow_mut().stop_work(),
            Command::CancelLoad => self.signals.borrow().stop_load(),
            Command::CountTokens(texts) => self.sender.send(Event::TokensCounted(self.tokenizer.count_tokens(texts))),
            Command::EstimateMemory(load) => spawn_local(async move {
                let estimate =
                    self.open(load.model.as_deref()).await.and_then(|files| estimate_memory_of(&files, &load));
                let estimate = estimate.map_err(|error| Problem::from(&error).sentence);
                self.sender.send(Event::MemoryEstimated(load, estimate));
            }),
            Command::Check(load) => spawn_local(async move {
                let checked =
                    self.open(load.model.as_deref()).await.and_then(|files| estimate_memory_of(&files, &load));
                let checked = checked.map(|_| ()).map_err(|error| Problem::from(&error));
                self.sender.send(Event::Checked(load, checked));
            }),
            Command::Load(_) | Command::Generate { .. } | Command::Alternatives { .. } | Command::Profile => {
                // A new load cancels the reply under way and any earlier load.
                let is_load = matches!(command, Command::Load(_));
                let mut signals = self.signals.borrow_mut();
                let signal = if is_load { signals.for_load() } else { signals.for_work() };
                drop(signals);
                self.queue.borrow_mut().push_back((signal, command));
                if let Some(commands) = self.commands.take() {
                    spawn_local(self.clone().work(commands));
                }
            }
            // The window carries the others out itself.
            _ => {}
        }
    }

    /// Runs the commands that wait, one after the other.
    async fn work(self: Rc<Self>, mut commands: Commands) {
        loop {
            let next = self.queue.borrow_mut().pop_front();
            match next {
                None => break,
                Some((signal, Command::Load(load))) => {
                    let files = self.open(load.model.as_deref());
                    if let Some(event) = commands.load(&load, files, place(), &signal).await {
                        self.sender.send(event);
                    }
                }
                Some((signal, command)) => commands.run(command, &signal).await,
            }
        }
        self.commands.set(Some(commands));
    }

    /// Opens the files of a model; `None` for the guide.
    async fn open(&self, model: Option<&Path>) -> Result<ModelFiles> {
        let Some(path) = model else { return self.open_guide().await };
        let file = self.files.borrow().get(path).cloned().ok_or_else(|| Error::Io {
            path: path.to_owned(),
            source: std::io::Error::other("the page has no such file any more; choose or download it again"),
        })?;
        let name = path.to_string_lossy().into_owned();
        ModelFiles::from_sources("", [(name, Box::new(FileSource(file)) as Box<dyn Source>)]).await
    }

    /// Opens the guide, which is fetched at the first time.
    async fn open_guide(&self) -> Result<ModelFiles> {
        let known = self.guide.borrow().clone();
        let contents = match known {
            Some(contents) => contents,
            None => {
                let mut contents = Vec::new();
                for name in guide::FILES {
                    let path = format!("{GUIDE}/{name}");
                    let failed =
                        |reason| Error::Io { path: path.clone().into(), source: std::io::Error::other(reason) };
                    contents.push(Bytes::from(fetch(&path).await.map_err(failed)?));
                }
                self.guide.borrow_mut().insert(contents).clone()
            }
        };
        ModelFiles::from_bytes(guide::NAME, guide::FILES.into_iter().zip(contents))
    }
}

/// Fetches a file from beside the page.
pub(super) async fn fetch(path: &str) -> std::result::Result<Vec<u8>, String> {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let failed = |error: JsValue| format!("it cannot be fetched ({}); reload the page", reason(&error));
    let response = JsFuture::from(scope.fetch_with_str(path)).await.map_err(failed)?;
    let response: Response = response.unchecked_into();
    if !response.ok() {
        return Err(format!("the server answers {}; reload the page", response.status()));
    }
    let buffer = JsFuture::from(response.array_buffer().map_err(failed)?).await.map_err(failed)?;
    Ok(Uint8Array::new(&buffer).to_vec())
}
