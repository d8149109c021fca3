//! The state of the window, separate from its drawing.
//!
//! [`State::tick`] handles events of the engine and the database. The other methods are actions of the user. None of
//! them blocks.

mod attachments;
mod download;
#[cfg_attr(target_arch = "wasm32", path = "../page/instead/state/downloads.rs")]
mod downloads;
mod drafts;
mod files;
mod find;
mod folders;
#[cfg(not(target_arch = "wasm32"))]
mod hub_token;
mod library;
mod messages;
mod model_slot;
mod notices;
mod options;
mod prompts;
mod queue;
mod replies;
mod servers;
mod serving;
mod stored;
mod titles;
mod tokens;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::chats::{Id, Message, Status, Store};
use crate::settings::Settings;
use crate::worker::{Candidate, Command, Event, FoundModel, Load, Remedy, Worker};
use drafts::Drafts;
use library::Library;
use messages::Deleted;
use model_slot::ModelSlot;
use queue::{Job, Queue, SummarySource};

pub use attachments::{LONG_PASTE, MAX_ATTACHED_BYTES, MAX_ATTACHMENTS};
pub use download::{Download, HubProblem};
pub use downloads::*;
pub use find::{Found, MAX_FOUND, Search};
pub use folders::Listing;
pub use model_slot::{Model, needs_reload};
pub use notices::Notice;
pub use queue::Reply;
pub use servers::ServerSearch;
pub use serving::Serving;
pub use tokens::Meter;

/// How often a growing reply is saved. A crash loses at most this much of it.
const SAVE_INTERVAL: Duration = Duration::from_millis(250);

/// The window of alternative tokens.
#[derive(Clone, Debug, Default)]
pub struct Alternatives {
    /// The message.
    pub message: Id,
    /// The byte of its text where the chosen token starts; `None` until one is chosen.
    pub at: Option<usize>,
    /// The most probable tokens there; `None` while they are computed.
    pub list: Option<Result<Vec<Candidate>, String>>,
}

/// Per kernel: its name, dispatches and milliseconds; or an error message.
pub type Profile = Result<Vec<(String, usize, f64)>, String>;

/// The state of the window.
pub struct State {
    worker: Box<dyn Worker>,
    store: Store,
    /// The settings. Changes are saved automatically.
    pub settings: Settings,
    saved_settings: Option<Settings>,
    /// Whether the database is open, or why not; `None` until that is known.
    pub opened: Option<Result<(), String>>,
    /// Why writes fail at present, if they do.
    pub cannot_save: Option<String>,
    /// Whether the store's thread has ended. Nothing is saved or exported until the next start.
    pub store_ended: bool,
    library: Library,
    drafts: Drafts,
    queue: Queue,
    slot: ModelSlot,
    /// Models on the hub.
    pub hub: Hub,
    /// The search for the models of a server.
    pub servers: ServerSearch,
    /// The model for other programs.
    pub serving: Serving,
    /// Messages that can be brought back, the last deleted last.
    deleted: Vec<Deleted>,
    counts: tokens::TokenCounts,
    /// The message to scroll to.
    pub scroll_to: Option<Id>,
    /// The message being edited and its new text.
    pub editing: Option<(Id, String)>,
    /// The status of the model.
    pub model: Model,
    /// Remedies for failed replies, by message.
    pub problems: HashMap<Id, Remedy>,
    /// The notices being shown.
    pub notices: Vec<Notice>,
    /// The search.
    pub search: Search,
    /// The window of alternatives, while it is open.
    pub alternatives: Option<Alternatives>,
    /// The last profile. The outer option is `None` before the first, the inner one while a profile is measured.
    pub profile: Option<Option<Profile>>,
    /// The adapters, once they were requested.
    pub devices: Option<Vec<String>>,
    /// The models, once they were listed.
    pub models: Option<Vec<FoundModel>>,
    /// The folders of other programs whose models are listed.
    pub model_folders: Vec<PathBuf>,
}

impl State {
    /// The state of a new window. `load` is the model to load first.
    pub fn new(worker: Box<dyn Worker>, store: Store, load: Load) -> Self {
        Self {
            worker,
            store,
            settings: Settings::default(),
            saved_settings: None,
            opened: None,
            cannot_save: None,
            store_ended: false,
            library: Library::new(),
            drafts: Drafts::default(),
            queue: Queue::default(),
            slot: ModelSlot::new(load),
            hub: Hub::default(),
            servers: ServerSearch::default(),
            serving: Serving::default(),
            deleted: Vec::new(),
            counts: tokens::TokenCounts::default(),
            scroll_to: None,
            editing: None,
            model: Model::None,
            problems: HashMap::new(),
            notices: Vec::new(),
            search: Search::default(),
            alternatives: None,
            profile: None,
            devices: None,
            models: None,
            model_folders: Vec::new(),
        }
    }

    /// Handles all waiting events. Must be called before every frame.
    pub fn tick(&mut self) {
        while let Some(event) = self.worker.event() {
            self.on_event(event);
        }
        self.tick_once();
    }

    /// Like [`State::tick`], but handles only one event of the engine.
    pub fn tick_once(&mut self) {
        while let Some(event) = self.store.event() {
            self.on_store_event(event);
        }
        if let Some(event) = self.worker.event() {
            self.on_event(event);
        }
        self.tick_downloads();
        let due = self.reply().is_some_and(|reply| reply.saved.elapsed() >= SAVE_INTERVAL);
        if due {
            self.save_reply();
        }
        self.save_draft_in_time();
        if let Some(saved) = self.saved_settings.take_if(|saved| *saved != self.settings) {
            self.default_system_changed(&saved.system);
            self.store.save_value("settings", self.settings.to_json());
        }
        if matches!(self.opened, Some(Ok(()))) {
            self.saved_settings.get_or_insert_with(|| self.settings.clone());
        }
        self.ask_for_title();
        self.drop_old_notices();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Loading { name, progress } => self.model = Model::Loading { name, progress },
            Event::Loaded(loaded) => self.on_loaded(loaded),
            Event::NotLoaded(problem) => self.on_not_loaded(problem),
            Event::ReplyText(message, text) => {
                if self.on_title_text(message, &text) {
                    return;
                }
                let reply = self.queue.reply.as_mut().filter(|reply| reply.message == message);
                let Some(reply) = reply else { return };
                reply.unsaved.push_str(&text);
                let chat = reply.chat;
                if let Some(message) = self.library.trees.get_mut(&chat).and_then(|tree| tree.get_mut(message)) {
                    message.text.push_str(&text);
                }
            }
            Event::TurnsDropped(message, turns) => {
                let note = format!("The oldest {turns} messages did not fit the context and were left out.");
                self.change_message(message, |message| message.note = Some(note));
            }
            Event::Ended { reply, finish, timings } => self.on_ended(reply, finish, &timings),
            Event::Failed(reply, problem) => self.on_failed(reply, problem),
            Event::Alternatives { message, at, list } => {
                let asked = |known: &&mut Alternatives| (known.message, known.at) == (message, Some(at));
                if let Some(alternatives) = self.alternatives.as_mut().filter(asked) {
                    alternatives.list = Some(list);
                }
            }
            Event::Profile(profile) => self.profile = Some(Some(profile)),
            Event::Devices(devices) => self.devices = Some(devices),
            Event::Models(models) => self.models = Some(models),
            Event::ModelFolders(folders) => self.model_folders = folders,
            Event::ModelFolderChanged(changed) => self.on_model_folder_changed(changed),
            Event::TokensCounted(counts) => self.counts.update(counts),
            Event::Inspected { chat, file } => self.on_inspected(chat, file),
            Event::Attached { chat, file } => self.on_attached(chat, file),
            Event::Checked(load, result) => self.on_checked(load, result),
            Event::ServerFound { address, found } => self.on_server_found(&address, found),
            Event::Serving(served) => self.on_serving(served),
            Event::Answered(line) => self.on_answered(line),
            Event::ServingKeySaved(saved) => self.on_serving_key_saved(saved),
            Event::ServerForgotten(forgotten) => {
                if let Err(reason) = forgotten {
                    self.notify_error(&reason);
                }
            }
            Event::MemoryEstimated(load, estimate) => self.slot.estimated(&load, estimate),
        }
    }

    /// How long the window may wait until the next frame without input.
    pub fn idle(&self) -> Duration {
        match (self.reply(), self.notices.is_empty()) {
            _ if self.drafts.changed.is_some() => SAVE_INTERVAL,
            (Some(_), _) => SAVE_INTERVAL,
            (None, false) => Duration::from_millis(500),
            (None, true) => Duration::from_secs(3600),
        }
    }

    /// Why closing now would lose messages, as a sentence, if it would.
    pub fn unsaved_reason(&self) -> Option<String> {
        let has_content = self
            .library
            .chats
            .iter()
            .any(|chat| !chat.title.is_empty() || !chat.draft.trim().is_empty() || !chat.attachments.is_empty());
        if self.store_ended && has_content {
            return Some("Chats are not saved any more.".into());
        }
        if let Some(reason) = &self.cannot_save {
            return Some(format!("Chats cannot be saved at present ({reason})."));
        }
        match &self.opened {
            Some(Err(reason)) if has_content => Some(format!("{}.", reason.trim_end_matches('.'))),
            _ => None,
        }
    }

    /// Whether a message of a chat in memory ended with an error.
    pub fn has_failed(&self, message: Id) -> bool {
        let found = self.library.trees.values().find_map(|tree| tree.get(message));
        found.is_some_and(|message| message.status == Status::Failed)
    }

    /// Profiles the kernels of one token.
    pub fn measure(&mut self) {
        self.profile = Some(None);
        self.stop_title();
        self.worker.send(Command::Profile);
    }

    fn change_message(&mut self, id: Id, change: impl FnOnce(&mut Message)) {
        for (chat, tree) in &mut self.library.trees {
            if let Some(message) = tree.get_mut(id) {
                change(message);
                self.store.save_message(*chat, message);
                return;
            }
        }
    }
}

/// Saves everything unsaved. Dropping the store then waits for the disk.
impl Drop for State {
    fn drop(&mut self) {
        self.save_now();
    }
}
