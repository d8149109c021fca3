//! A scripted engine, and a window that uses it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use lapidary_app::chats::{Role, Store};
use lapidary_app::endpoint::Address;
use lapidary_app::state::{Model, State};
use lapidary_app::ui::{App, apply_style};
use lapidary_app::worker::{
    Candidate, Command, CountedText, Event, Load, Loaded, MemoryEstimate, Problem, Remedy, Served, Worker, inspect,
    read_attachment,
};
use lapidary_engine::{Finish, Timings};

/// The commands that the engine received, and the events that it will send.
#[derive(Default)]
pub(crate) struct Script {
    /// All commands received.
    pub(crate) commands: Vec<Command>,
    /// The texts of the next replies. Without one the reply is "Yes."
    pub(crate) replies: VecDeque<String>,
    /// The bytes of a reply per event; 0 holds the reply back until [`Window::release_reply`].
    pub(crate) bytes_per_event: usize,
    /// The problem that the next check of a model's files reports.
    pub(crate) check_problem: Option<Problem>,
    /// The problem that the next load ends with.
    pub(crate) load_problem: Option<Problem>,
    /// The problem that the next reply ends with, after all of its text.
    pub(crate) reply_problem: Option<Problem>,
    /// Why the next server cannot list its models.
    pub(crate) server_problem: Option<String>,
    /// The alternative tokens that it returns.
    pub(crate) alternatives: Vec<Candidate>,
    /// The folders of models that were added.
    pub(crate) model_folders: Vec<PathBuf>,
    /// Whether other programs need a key.
    pub(crate) has_serving_key: bool,
    pub(crate) events: VecDeque<Event>,
    /// The reply under way: its message and the rest of its text.
    pub(crate) current_reply: Option<(i64, String)>,
}

impl Script {
    /// Queues an event.
    pub(crate) fn push(&mut self, event: Event) {
        self.events.push_back(event);
    }
}

/// The engine that follows a [`Script`].
pub(crate) struct ScriptedWorker(pub(crate) Arc<Mutex<Script>>);

impl ScriptedWorker {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }
}

impl Worker for ScriptedWorker {
    fn send(&mut self, command: Command) {
        let mut script = self.script();
        script.commands.push(command.clone());
        match command {
            Command::Load(load) => {
                let event = match script.load_problem.take() {
                    Some(problem) => Event::NotLoaded(problem),
                    None => Event::Loaded(Box::new(loaded(load))),
                };
                script.events.push_back(event);
            }
            Command::Generate { reply, .. } => {
                let text = script.replies.pop_front().unwrap_or_else(|| "Yes.".into());
                script.current_reply = Some((reply, text));
            }
            Command::Stop => {
                if let Some((reply, _)) = script.current_reply.take() {
                    script.events.push_back(Event::Ended { reply, finish: None, timings: Timings::default() });
                }
            }
            Command::Alternatives { message, at, .. } => {
                let list = Ok(script.alternatives.clone());
                script.events.push_back(Event::Alternatives { message, at, list });
            }
            Command::Profile => {
                script
                    .events
                    .push_back(Event::Profile(Ok(vec![("matvec".into(), 182, 8.25), ("attention".into(), 26, 1.5)])));
            }
            Command::FindDevices => script.events.push_back(Event::Devices(vec!["Card".into(), "Other card".into()])),
            Command::FindModels => {
                let model = |name: &str, path: Option<&str>| lapidary_app::worker::FoundModel {
                    name: name.into(),
                    path: path.map(PathBuf::from),
                    note: "on disk",
                    bytes: 3_000_000_000,
                };
                let models = vec![model("Lapidary's guide", None), model("gemma-2-2b-it", Some("/models/2b.gguf"))];
                script.events.push_back(Event::Models(models));
                let folders = script.model_folders.clone();
                script.events.push_back(Event::ModelFolders(folders));
            }
            Command::EstimateMemory(load) => {
                let estimate = MemoryEstimate { weights: 2_700_000_000, sequence: 436_000_000, device_memory: None };
                script.events.push_back(Event::MemoryEstimated(load, Ok(estimate)));
            }
            Command::CountTokens(texts) => {
                let count = |(name, text): (CountedText, String)| (name, text.len(), text.split_whitespace().count());
                script.events.push_back(Event::TokensCounted(texts.into_iter().map(count).collect()));
            }
            Command::Check(load) => {
                let checked = script.check_problem.take().map_or(Ok(()), Err);
                script.events.push_back(Event::Checked(load, checked));
            }
            Command::Inspect { chat, path } => {
                script.events.push_back(Event::Inspected { chat, file: inspect(&path) });
            }
            Command::Attach { chat, path } => {
                script.events.push_back(Event::Attached { chat, file: read_attachment(&path) });
            }
            Command::FindServer { address, .. } => {
                let found = match script.server_problem.take() {
                    Some(reason) => Err(reason),
                    None => Ok((Address::parse(&address).unwrap(), vec!["gemma-2-27b".into(), "other".into()])),
                };
                script.events.push_back(Event::ServerFound { address, found });
            }
            Command::ChangeModelFolder { folder, adds } => {
                script.model_folders = if adds { vec![folder] } else { Vec::new() };
                script.events.push_back(Event::ModelFolderChanged(Ok(())));
            }
            Command::Serve(port) => {
                let address = port.map(|port| format!("http://127.0.0.1:{port}/v1"));
                let served = address.map(|address| Served { address, has_key: script.has_serving_key });
                script.events.push_back(Event::Serving(Ok(served)));
            }
            Command::SaveServingKey(key) => {
                script.has_serving_key = key.is_some();
                script.events.push_back(Event::ServingKeySaved(Ok(())));
            }
            Command::ForgetServer(_) => script.events.push_back(Event::ServerForgotten(Ok(()))),
            Command::CancelLoad => {}
        }
    }

    fn event(&mut self) -> Option<Event> {
        let mut script = self.script();
        if let Some(event) = script.events.pop_front() {
            return Some(event);
        }
        let bytes_per_event = script.bytes_per_event;
        let (reply, mut text) = script.current_reply.take()?;
        if bytes_per_event == 0 {
            script.current_reply = Some((reply, text));
            return None;
        }
        if text.is_empty() {
            if let Some(problem) = script.reply_problem.take() {
                return Some(Event::Failed(reply, problem));
            }
            let timings = Timings {
                prefill_tokens: 9,
                prefill_ms: 250.0,
                decode_tokens: 40,
                decode_ms: 1000.0,
                ..Timings::default()
            };
            return Some(Event::Ended { reply, finish: Some(Finish::Stop), timings });
        }
        let end = (bytes_per_event..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        let rest = text.split_off(end);
        script.current_reply = Some((reply, rest));
        Some(Event::ReplyText(reply, text))
    }
}

fn loaded(load: Load) -> Loaded {
    if let Some(server) = &load.server {
        return Loaded { name: server.author(), load, ..Loaded::default() };
    }
    let name = load.model.as_ref().map_or("Guide".into(), |path| path.file_stem().unwrap().display().to_string());
    Loaded {
        name,
        context: load.context.unwrap_or(1024),
        longest_context: 8192,
        adapter: load.device.clone().unwrap_or("Card".into()),
        driver: "driver 1.0, vulkan".into(),
        memory: MemoryEstimate { weights: 11_000_000, sequence: 3_000_000, device_memory: Some(8_000_000_000) },
        chat_problem: (load.model.as_deref() == Some(std::path::Path::new("/models/base.gguf")))
            .then(|| "base has no chat template.".into()),
        load,
    }
}

/// A problem reported by the engine.
pub(crate) fn problem(sentence: &str, remedy: Remedy) -> Problem {
    Problem { sentence: sentence.into(), remedy }
}

/// A window in a test.
pub(crate) struct Window {
    pub(crate) harness: Harness<'static, App>,
    pub(crate) script: Arc<Mutex<Script>>,
}

impl Window {
    /// A window with chats in memory and the guide loaded.
    pub(crate) fn new() -> Self {
        Self::over(None)
    }

    /// A window with the chats of a database file, and the guide loaded.
    pub(crate) fn over(path: Option<PathBuf>) -> Self {
        let window = Self::unloaded(path, Script { bytes_per_event: 1 << 20, ..Script::default() });
        window.ready()
    }

    /// A window with this script, before the model is loaded.
    pub(crate) fn unloaded(path: Option<PathBuf>, script: Script) -> Self {
        let script = Arc::new(Mutex::new(script));
        let store = Store::open(path, Arc::new(|| {}));
        let state = State::new(Box::new(ScriptedWorker(script.clone())), store, Load::default());
        let draw = |ui: &mut egui::Ui, app: &mut App| {
            app.tick(ui.ctx());
            app.show(ui);
        };
        let builder = Harness::builder().with_size([1080.0, 760.0]).with_theme(egui::Theme::Dark).with_max_steps(64);
        let builder = builder.with_context_setup(apply_style).allow_missing_glyphs();
        let harness = builder.build_ui_state(draw, App::new(state));
        Self { harness, script }
    }

    fn ready(mut self) -> Self {
        self.until("the model is loaded", |app| matches!(app.state.model, Model::Ready(_)));
        self
    }

    /// Draws until a condition holds, because the store works on its own thread.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, condition: impl Fn(&App) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !condition(self.harness.state()) {
            assert!(Instant::now() < end, "timed out: {what}");
            std::thread::sleep(Duration::from_millis(2));
            self.harness.step();
        }
        self.settle();
    }

    /// Draws several frames, so that changes are shown.
    pub(crate) fn settle(&mut self) {
        self.harness.run_steps(4);
    }

    /// Draws until a label contains this text.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.harness.query_all_by_label_contains(text).next().is_none() {
            assert!(Instant::now() < end, "no label contains {text:?}");
            std::thread::sleep(Duration::from_millis(2));
            self.harness.step();
        }
    }

    /// Whether a label contains this text now.
    pub(crate) fn shows(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    /// Clicks the first control with this label.
    #[track_caller]
    pub(crate) fn press(&mut self, label: &str) {
        self.sees(label);
        self.harness.get_all_by_label(label).next().unwrap_or_else(|| panic!("no {label:?}")).click();
        self.settle();
    }

    /// Clicks the last control with this label.
    #[track_caller]
    pub(crate) fn press_last(&mut self, label: &str) {
        self.sees(label);
        self.harness.get_all_by_label(label).last().unwrap_or_else(|| panic!("no {label:?}")).click();
        self.settle();
    }

    /// Replaces the text of the field with this label.
    #[track_caller]
    pub(crate) fn write(&mut self, field: &str, text: &str) {
        self.harness.get_by_label(field).focus();
        self.settle();
        self.key(Modifiers::COMMAND, Key::A);
        self.harness.get_by_label(field).type_text(text);
        self.settle();
    }

    /// Presses a key.
    pub(crate) fn key(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.settle();
    }

    /// Types a message and sends it with Enter.
    #[track_caller]
    pub(crate) fn send(&mut self, text: &str) {
        self.write("Message", text);
        self.key(Modifiers::NONE, Key::Enter);
    }

    /// Sends a message and waits for the end of its reply.
    #[track_caller]
    pub(crate) fn exchange(&mut self, text: &str, reply: &str) {
        self.script().replies.push_back(reply.into());
        self.send(text);
        self.until("the reply ends", |app| app.state.reply().is_none());
    }

    /// Opens a chat of one exchange, while a reply in another chat keeps the engine busy.
    #[track_caller]
    pub(crate) fn with_engine_busy_elsewhere(&mut self, text: &str, reply: &str) {
        self.exchange(text, reply);
        self.key(Modifiers::COMMAND, Key::N);
        self.script().bytes_per_event = 0;
        self.send("elsewhere");
        self.press(text);
        self.until("it is read", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 2));
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Releases a reply that was held back, and waits for its end.
    pub(crate) fn release_reply(&mut self) {
        self.script().bytes_per_event = 1 << 20;
        self.until("the reply ends", |app| app.state.reply().is_none());
    }

    /// The turns of the last prompt.
    pub(crate) fn last_turns(&self) -> Vec<(Role, String)> {
        let script = self.script();
        let turns = script.commands.iter().rev().find_map(|command| match command {
            Command::Generate { turns, .. } => Some(turns.clone()),
            _ => None,
        });
        turns.expect("no prompt was sent")
    }

    /// The texts of the shown branch, once the store has read it.
    #[track_caller]
    pub(crate) fn branch(&mut self) -> Vec<String> {
        self.until("the chat is read", |app| app.state.tree().is_some());
        let tree = self.harness.state().state.tree().unwrap();
        tree.branch().map(|message| message.text.clone()).collect()
    }
}

/// A user's turn in a prompt.
pub(crate) fn user(text: &str) -> (Role, String) {
    (Role::User, text.to_owned())
}

/// A model's turn in a prompt.
pub(crate) fn model(text: &str) -> (Role, String) {
    (Role::Model, text.to_owned())
}
