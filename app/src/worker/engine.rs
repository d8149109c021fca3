//! The real engine, on its own thread and device.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SendError, Sender};
use std::thread::{self, JoinHandle};

use super::commands::{Commands, FAILED, Place, failure_event};
use super::event_sender::EventSender;
use super::generate::Prompt;
use super::requirements::{adapter_names, device, estimate_memory, open};
use super::server::{self, Connected};
use super::server_alternatives::ServerAlternatives;
use super::serving::{self, Serving};
use super::shared_tokenizer::{SharedTokenizer, guess_tokens};
use super::stop::{StopSignal, StopSignals};
use super::{
    Command, CountedText, DroppedFile, Event, Load, Problem, Remedy, Worker, inspect, read_attachment, short_name,
    to_sentence,
};
use crate::data_folder::data_folder;
use crate::endpoint::Keys;
use crate::wait::block_on;
use crate::{model_folders, models, recent_models};

/// The error message for a file whose reader panics.
const UNREADABLE: &str = "The model cannot be read.";

/// The window's handle to the engine's thread.
pub struct EngineWorker {
    commands: Option<Sender<(Arc<StopSignal>, Command)>>,
    signals: StopSignals,
    sender: EventSender,
    events: Receiver<Event>,
    tokenizer: Arc<SharedTokenizer>,
    keys: Keys,
    thread: Option<JoinHandle<()>>,
}

impl EngineWorker {
    /// Starts the thread. `wake` is called after each event is queued.
    pub fn start(wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self::with_keys(wake, Keys::of_this_user())
    }

    /// Starts the thread, with these keys for servers.
    pub fn with_keys(wake: Arc<dyn Fn() + Send + Sync>, keys: Keys) -> Self {
        let (commands, inbox) = mpsc::channel();
        let (outbox, events) = mpsc::channel();
        let sender = EventSender::new(move |event| {
            // Sending fails after the window is closed, when events no longer matter.
            let _ = outbox.send(event);
            wake();
        });
        let tokenizer = Arc::new(SharedTokenizer::default());
        let mut engine_thread = EngineThread {
            sender: sender.clone(),
            commands: Commands::new(sender.clone(), tokenizer.clone()),
            server: None,
            alternatives: ServerAlternatives::default(),
            keys: keys.clone(),
            port: None,
            serving: None,
        };
        let work = move || {
            for (signal, command) in inbox {
                let events = catch_panic(command, |command| engine_thread.run(command, &signal));
                if !events.is_empty() {
                    // After a panic the model may be inconsistent. Dropping it may panic again.
                    let _ = catch_unwind(AssertUnwindSafe(|| engine_thread.commands.unload()));
                }
                events.into_iter().for_each(|event| engine_thread.sender.send(event));
            }
        };
        let thread = thread::Builder::new().name("lapidary-engine".into()).spawn(work).ok();
        Self { commands: Some(commands), signals: StopSignals::default(), sender, events, tokenizer, keys, thread }
    }

    /// Runs `work`, which needs no device but may wait for a disk, on a new thread and sends the event it returns. The
    /// window waits for an answer, so `failed` is sent if `work` panics or no thread can be started.
    fn spawn_io(&self, failed: Event, work: impl FnOnce() -> Event + Send + 'static) {
        let (sender, no_thread) = (self.sender.clone(), failed.clone());
        let work = move || sender.send(catch_unwind(AssertUnwindSafe(work)).unwrap_or(failed));
        if let Err(error) = thread::Builder::new().name("lapidary-io".into()).spawn(work) {
            log::error!("cannot start a thread: {error}");
            self.sender.send(no_thread);
        }
    }
}

impl Worker for EngineWorker {
    fn send(&mut self, command: Command) {
        match command {
            Command::Stop => self.signals.stop_work(),
            Command::CancelLoad => self.signals.stop_load(),
            Command::FindDevices => self.spawn_io(Event::Devices(Vec::new()), || Event::Devices(adapter_names())),
            Command::FindModels => {
                let failed = Event::Models(vec![models::guide("built in")]);
                self.spawn_io(failed, || Event::Models(models::find()));
                self.spawn_io(Event::ModelFolders(Vec::new()), || Event::ModelFolders(model_folders::added()));
            }
            Command::ChangeModelFolder { folder, adds } => {
                let failed = Event::ModelFolderChanged(Err("The list of folders could not be changed.".into()));
                self.spawn_io(failed, move || {
                    let changed = match adds {
                        true => model_folders::add(&folder).map(drop),
                        false => model_folders::remove(&folder).map(drop),
                    };
                    Event::ModelFolderChanged(changed.map_err(|error| super::to_sentence(&error)))
                });
            }
            Command::EstimateMemory(load) => {
                let failed = Event::MemoryEstimated(load.clone(), Err(UNREADABLE.into()));
                self.spawn_io(failed, move || {
                    let estimate = estimate_memory(&load).map_err(|error| Problem::from(&error).sentence);
                    Event::MemoryEstimated(load, estimate)
                });
            }
            Command::CountTokens(texts) => {
                let guess = |(name, text): &(CountedText, String)| (*name, text.len(), guess_tokens(text));
                let failed = Event::TokensCounted(texts.iter().map(guess).collect());
                let tokenizer = self.tokenizer.clone();
                self.spawn_io(failed, move || Event::TokensCounted(tokenizer.count_tokens(texts)));
            }
            Command::Inspect { chat, path } => {
                let name = short_name(Some(path.as_path()));
                let failed = Event::Inspected { chat, file: DroppedFile::Unusable(format!("{name} cannot be read.")) };
                self.spawn_io(failed, move || Event::Inspected { chat, file: inspect(&path) });
            }
            Command::Attach { chat, path } => {
                let name = short_name(Some(path.as_path()));
                let failed = Event::Attached { chat, file: Err(format!("{name} cannot be read.")) };
                self.spawn_io(failed, move || Event::Attached { chat, file: read_attachment(&path) });
            }
            Command::Check(load) => {
                let problem = Problem { sentence: UNREADABLE.into(), remedy: Remedy::OtherFile };
                let failed = Event::Checked(load.clone(), Err(problem));
                let keys = self.keys.clone();
                self.spawn_io(failed, move || {
                    let checked = match &load.server {
                        Some(server) => server::check(&keys, server).map_err(|error| Problem::from(&error)),
                        None => estimate_memory(&load).map(|_| ()).map_err(|error| Problem::from(&error)),
                    };
                    Event::Checked(load, checked)
                });
            }
            Command::FindServer { address, key } => {
                let reason = "The server's answer cannot be read.".to_owned();
                let failed = Event::ServerFound { address: address.clone(), found: Err(reason) };
                let keys = self.keys.clone();
                self.spawn_io(failed, move || {
                    let found = server::list(&keys, &address, key).map_err(|error| Problem::from(&error).sentence);
                    Event::ServerFound { address, found }
                });
            }
            Command::ForgetServer(address) => {
                let failed = Event::ServerForgotten(Err("The server's key could not be forgotten.".into()));
                let keys = self.keys.clone();
                self.spawn_io(failed, move || {
                    let forgotten = keys.forget(&address).map_err(|error| Problem::from(&error).sentence);
                    Event::ServerForgotten(forgotten)
                });
            }
            Command::SaveServingKey(key) => {
                let failed = Event::ServingKeySaved(Err("The key could not be saved.".into()));
                let secrets = self.keys.secrets().clone();
                self.spawn_io(failed, move || Event::ServingKeySaved(serving::save_key(&secrets, key.as_ref())));
            }
            Command::Load(_)
            | Command::Generate { .. }
            | Command::Alternatives { .. }
            | Command::Profile
            | Command::Serve(_) => {
                // A new load cancels the reply under way and any earlier load.
                let is_load = matches!(command, Command::Load(_));
                let signal = if is_load { self.signals.for_load() } else { self.signals.for_work() };
                let Some(commands) = &self.commands else { return };
                // Sending fails if the thread could not be started.
                if let Err(SendError((_, command))) = commands.send((signal, command)) {
                    let sentence = "The system could not start a thread for the engine. Close other programs and start Lapidary again.";
                    let problem = Problem { sentence: sentence.into(), remedy: Remedy::Retry };
                    if let Some(event) = failure_event(&command, problem) {
                        self.sender.send(event);
                    }
                }
            }
        }
    }

    fn event(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

/// Waits for the thread, because the device must not be dropped while the program exits.
impl Drop for EngineWorker {
    fn drop(&mut self) {
        self.signals.stop_work();
        self.signals.stop_load();
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs a command and returns the events that report its failure if it panics. Without them the window would wait for ever, or take
/// the model for loaded.
fn catch_panic(command: Command, run: impl FnOnce(Command)) -> Vec<Event> {
    let remedy = if matches!(command, Command::Load(_)) { Remedy::Retry } else { Remedy::Reload };
    let problem = Problem { sentence: FAILED.into(), remedy };
    let event = failure_event(&command, problem.clone());
    // Their own events have no remedy.
    let is_silent = matches!(command, Command::Alternatives { .. } | Command::Profile);
    let unloaded = is_silent.then_some(Event::NotLoaded(problem));
    match catch_unwind(AssertUnwindSafe(|| run(command))) {
        Ok(()) => Vec::new(),
        Err(_) => event.into_iter().chain(unloaded).collect(),
    }
}

/// The state that belongs to the engine's thread.
struct EngineThread {
    sender: EventSender,
    commands: Commands,
    /// The model of a server that answers in place of one that is ready.
    server: Option<Connected>,
    alternatives: ServerAlternatives,
    keys: Keys,
    /// The port at which other programs are to find the model that is loaded.
    port: Option<u16>,
    /// Whether they do.
    serving: Option<Serving>,
}

impl EngineThread {
    fn run(&mut self, command: Command, signal: &Arc<StopSignal>) {
        match command {
            Command::Load(load) => self.load(load, signal),
            Command::Serve(port) => {
                self.port = port;
                self.serve();
            }
            command if self.server.is_some() => self.ask(command, signal),
            command => block_on(self.commands.run(command, signal)),
        }
    }

    /// Runs a command that a server's model answers.
    fn ask(&mut self, command: Command, signal: &Arc<StopSignal>) {
        match (command, &mut self.server) {
            (Command::Generate { reply, turns, system, plain, sampling, .. }, Some(server)) => {
                let prompt = Prompt { turns, system, plain };
                let lists = server::reply(&self.keys, server, signal, &self.sender, reply, &prompt, &sampling);
                self.alternatives.add(reply, lists);
            }
            (Command::Alternatives { message, at, .. }, _) => {
                let list = self.alternatives.at(message, at);
                self.sender.send(Event::Alternatives { message, at, list });
            }
            (command, _) => {
                let problem = Problem { sentence: server::NOT_HERE.into(), remedy: Remedy::OtherFile };
                if let Some(event) = failure_event(&command, problem) {
                    self.sender.send(event);
                }
            }
        }
    }

    /// Lets other programs use the model that is loaded, or ends that.
    fn serve(&mut self) {
        self.serving = None;
        let (Some(port), Some((engine, load))) = (self.port, self.commands.ready()) else { return };
        match Serving::start(engine, &load, port, self.keys.secrets(), &self.sender) {
            Ok(serving) => self.serving = Some(serving),
            Err(error) => self.sender.send(Event::Serving(Err(to_sentence(&error.to_string())))),
        }
    }

    /// Loads a model and reports the result, unless a newer load was sent.
    fn load(&mut self, load: Load, signal: &Arc<StopSignal>) {
        // It holds the old model.
        self.serving = None;
        self.server = load.server.clone().map(Connected::new);
        if let Some(server) = &self.server {
            self.commands.unload();
            self.sender.send(Event::Loaded(Box::new(server::loaded(&server.model))));
            return;
        }
        let place = Place { device: device(&load), tuning_folder: data_folder() };
        let files = async { open(load.model.as_deref()) };
        let Some(event) = block_on(self.commands.load(&load, files, place, signal)) else { return };
        if matches!(event, Event::Loaded(_)) {
            recent_models::remember(load.model.as_deref());
        }
        self.sender.send(event);
        self.serve();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_panic_is_reported_as_a_failure_with_a_remedy() {
        let load = || Command::Load(Load::default());
        let events = catch_panic(load(), |_| panic!("as a test"));
        assert!(matches!(&events[..], [Event::NotLoaded(Problem { remedy: Remedy::Retry, .. })]), "{events:?}");
        let sampling = lapidary_engine::Sampling::default();
        let (turns, system, overflow) = (Vec::new(), String::new(), super::super::Overflow::Ask);
        let command = Command::Generate { reply: 7, turns, system, plain: false, sampling, overflow };
        let events = catch_panic(command, |_| panic!("as a test"));
        assert!(matches!(&events[..], [Event::Failed(7, Problem { remedy: Remedy::Reload, .. })]), "{events:?}");
        // The window learns that no model is loaded any more.
        let events = catch_panic(Command::Profile, |_| panic!("as a test"));
        let unloaded = Problem { sentence: FAILED.into(), remedy: Remedy::Reload };
        assert!(matches!(&events[..], [Event::Profile(Err(_)), Event::NotLoaded(problem)] if *problem == unloaded));
        assert!(catch_panic(load(), |_| {}).is_empty());
    }

    #[test]
    fn a_panic_on_an_io_thread_is_answered() {
        let worker = EngineWorker::start(Arc::new(|| {}));
        worker.spawn_io(Event::Devices(vec!["fallback".into()]), || panic!("as a test"));
        let event = worker.events.recv_timeout(Duration::from_secs(20));
        assert!(matches!(&event, Ok(Event::Devices(names)) if *names == ["fallback"]), "{event:?}");
    }
}
