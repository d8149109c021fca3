//! The state of the window, separate from its drawing.
//!
//! [`State::tick`] handles events of the engine and the database. The other methods are actions of the user. None of
//! them blocks.

mod library;
mod replies;
mod tokens;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::chats::{Chat, Hit, Id, Message, Role, Status, Store, StoreEvent, Tree};
use crate::settings::Settings;
use crate::worker::{
    Candidate, Command, Event, FoundModel, Load, Loaded, MemoryEstimate, Overflow, Problem, Remedy, Worker,
};

pub use tokens::Meter;

/// How long a notice is shown.
const NOTICE_TIME: Duration = Duration::from_secs(8);
/// The most notices shown at once.
const MAX_NOTICES: usize = 5;
/// How often a growing reply is saved. A crash loses at most this much of it.
const SAVE_INTERVAL: Duration = Duration::from_millis(250);

/// The status of the model.
#[derive(Clone, Debug, Default)]
pub enum Model {
    /// No model was requested yet.
    #[default]
    None,
    /// A model is loading.
    Loading {
        /// Its name.
        name: String,
        /// Progress from 0 to 1.
        progress: f32,
    },
    /// A model is loaded.
    Ready(Box<Loaded>),
    /// The model could not be loaded, or its device was lost.
    Failed(Problem),
}

/// The reply being generated.
#[derive(Debug)]
pub struct Reply {
    /// Its chat.
    pub chat: Id,
    /// Its message.
    pub message: Id,
    unsaved: String,
    saved: Instant,
    /// Whether the engine was told to stop.
    stopping: bool,
}

/// A queued task for the engine.
#[derive(Clone, Debug)]
enum Job {
    /// Answer a message of a chat. If the reply in `replaces` is still shown, the new one is shown in its place.
    Answer { chat: Id, question: Id, replaces: Option<Id> },
    /// Continue a reply of a chat.
    Continue { chat: Id, reply: Id, overflow: Overflow },
}

impl Job {
    fn chat(&self) -> Id {
        match self {
            Self::Answer { chat, .. } | Self::Continue { chat, .. } => *chat,
        }
    }
}

/// The source of a summary.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SummarySource {
    /// The summarized chat, and the chat that starts with the summary.
    chats: [Id; 2],
    /// The turns of the summarized chat.
    turns: Vec<(Role, String)>,
}

/// A message that is shown for a while.
#[derive(Clone, Debug)]
pub struct Notice {
    /// A sentence.
    pub text: String,
    /// The chat that "Undo" restores from the trash.
    pub undo: Option<Id>,
    /// Whether it reports an error.
    pub is_error: bool,
    until: Instant,
}

/// The search in the list of chats.
#[derive(Debug, Default)]
pub struct Search {
    /// The text that is searched for.
    pub text: String,
    /// The hits; `None` while the search runs.
    pub hits: Option<Vec<Hit>>,
    number: u64,
}

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
pub type Profile = Result<Vec<(&'static str, usize, f64)>, String>;

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
    chats: Vec<Chat>,
    trees: HashMap<Id, Tree>,
    /// Chats whose messages are being read. A second read could undo changes made after the first.
    requested: HashSet<Id>,
    open: Id,
    /// The message to scroll to.
    pub scroll_to: Option<Id>,
    /// The message being edited and its new text.
    pub editing: Option<(Id, String)>,
    /// The edits in chats that are not shown, by chat: the message and its new text.
    hidden_edits: HashMap<Id, (Id, String)>,
    /// Texts of edits that were left unfinished, by message: its chat and its new text.
    abandoned_edits: HashMap<Id, (Id, String)>,
    /// The edits as last saved.
    saved_edits: String,
    /// The sources of summaries, by the message that asks for one.
    sources: HashMap<Id, SummarySource>,
    /// The status of the model.
    pub model: Model,
    load: Load,
    /// The model that is loaded if the check of its files succeeds.
    checked: Option<Load>,
    reply: Option<Reply>,
    jobs: VecDeque<Job>,
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
    memory_estimates: Vec<(Load, Option<Result<MemoryEstimate, String>>)>,
    counts: tokens::TokenCounts,
    /// When a draft or an edit changed that is not saved yet.
    draft_changed: Option<Instant>,
}

impl State {
    /// The state of a new window. `load` is the model to load first.
    pub fn new(worker: Box<dyn Worker>, store: Store, load: Load) -> Self {
        let chat = Chat::new();
        Self {
            worker,
            store,
            settings: Settings::default(),
            saved_settings: None,
            opened: None,
            cannot_save: None,
            store_ended: false,
            open: chat.id,
            trees: HashMap::from([(chat.id, Tree::default())]),
            requested: HashSet::new(),
            chats: vec![chat],
            scroll_to: None,
            editing: None,
            hidden_edits: HashMap::new(),
            abandoned_edits: HashMap::new(),
            saved_edits: String::new(),
            sources: HashMap::new(),
            model: Model::None,
            load,
            checked: None,
            reply: None,
            jobs: VecDeque::new(),
            problems: HashMap::new(),
            notices: Vec::new(),
            search: Search::default(),
            alternatives: None,
            profile: None,
            devices: None,
            models: None,
            memory_estimates: Vec::new(),
            counts: tokens::TokenCounts::default(),
            draft_changed: None,
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
        let due = self.reply.as_ref().is_some_and(|reply| reply.saved.elapsed() >= SAVE_INTERVAL);
        if due {
            self.save_reply();
        }
        self.save_draft_in_time();
        if let Some(saved) = self.saved_settings.take_if(|saved| *saved != self.settings) {
            self.default_system_changed(&saved.system);
            self.store.save_settings(self.settings.to_json());
        }
        if matches!(self.opened, Some(Ok(()))) {
            self.saved_settings.get_or_insert_with(|| self.settings.clone());
        }
        let now = Instant::now();
        self.notices.retain(|notice| notice.until > now);
    }

    fn on_store_event(&mut self, event: StoreEvent) {
        match event {
            StoreEvent::Opened { chats, settings, edits, sources } => {
                let before = std::mem::take(&mut self.settings).system;
                self.settings = settings.as_deref().map(Settings::from_json).unwrap_or_default();
                self.saved_settings = Some(self.settings.clone());
                self.default_system_changed(&before);
                self.opened = Some(Ok(()));
                self.restore_edits(edits.as_deref());
                let sources = sources.and_then(|text| serde_json::from_str::<HashMap<Id, SummarySource>>(&text).ok());
                self.sources.extend(sources.unwrap_or_default());
                // An unsent draft is shown again in its empty chat.
                let unsent = chats.iter().find(|chat| chat.title.is_empty()).map(|chat| chat.id);
                let idle = self.draft().is_empty() && self.tree().is_some_and(|tree| tree.path().is_empty());
                for chat in chats.iter().filter(|chat| chat.title.is_empty()) {
                    self.trees.insert(chat.id, Tree::default());
                }
                if let Some(unsent) = unsent.filter(|_| idle) {
                    self.chats.clear();
                    self.open = unsent;
                }
                self.chats.extend(chats);
                self.load_model(self.load.model.clone());
            }
            StoreEvent::NotOpened(reason) => {
                self.opened = Some(Err(reason));
                self.load_model(self.load.model.clone());
            }
            StoreEvent::Messages(chat, messages) => {
                self.requested.remove(&chat);
                // The tree in memory is newer.
                if self.trees.contains_key(&chat) {
                    return;
                }
                let leaf = self.chat(chat).and_then(|chat| chat.leaf);
                let mut tree = Tree::new(messages, leaf);
                // The message may be on another branch, for example after a search.
                if chat == self.open
                    && let Some(wanted) = self.scroll_to.filter(|wanted| tree.get(*wanted).is_some())
                    && !tree.path().contains(&wanted)
                {
                    tree.show_through(wanted);
                }
                self.trees.insert(chat, tree);
                self.close_interrupted(chat);
            }
            StoreEvent::Found(number, hits) => {
                if number == self.search.number {
                    self.search.hits = Some(hits);
                }
            }
            StoreEvent::CannotSave(reason) => self.cannot_save = Some(reason),
            StoreEvent::Ended => self.store_ended = true,
            StoreEvent::SavedAgain => {
                self.cannot_save = None;
                self.notify("Everything is saved again.");
            }
            StoreEvent::Exported(path, count) => {
                let chats = if count == 1 { "The chat was".to_owned() } else { format!("{count} chats were") };
                self.notify(&format!("{chats} written to {}.", path.display()));
            }
            StoreEvent::Imported(chats) => {
                self.notify(&match chats.len() {
                    1 => "One chat was imported.".to_owned(),
                    count => format!("{count} chats were imported."),
                });
                let first = chats.first().map(|chat| chat.id);
                self.chats.extend(chats);
                if let Some(first) = first {
                    self.open_chat(first);
                }
            }
            StoreEvent::FileError(reason) => {
                // The error may belong to a chat that could not be read. It is read again the next time.
                self.requested.clear();
                self.notify_error(&reason);
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Loading { name, progress } => self.model = Model::Loading { name, progress },
            // A model that finished loading after another was requested.
            Event::Loaded(loaded) if loaded.load != self.load => {}
            Event::Loaded(loaded) => {
                self.counts.clear();
                if let Some(path) = &loaded.load.model {
                    self.settings.remember_model(path);
                    // An earlier list may lack it.
                    if self.models.is_some() {
                        self.find_models();
                    }
                }
                self.load = loaded.load.clone();
                self.model = Model::Ready(loaded);
                self.next_job();
            }
            Event::NotLoaded(problem) => {
                self.model = Model::Failed(problem);
                self.counts.clear();
            }
            Event::ReplyText(message, text) => {
                let Some(reply) = self.reply.as_mut().filter(|reply| reply.message == message) else { return };
                reply.unsaved.push_str(&text);
                let chat = reply.chat;
                if let Some(message) = self.trees.get_mut(&chat).and_then(|tree| tree.get_mut(message)) {
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
            Event::TokensCounted(counts) => self.counts.update(counts),
            Event::Inspected(file) => self.on_inspected(file),
            Event::Checked(load, result) => {
                if self.checked.take_if(|wanted| *wanted == load).is_some() {
                    match result {
                        Ok(()) => self.load_now(load),
                        Err(problem) => {
                            let open = matches!(self.model, Model::Ready(_));
                            let stays = if open { " The model that is open stays." } else { "" };
                            self.notify_error(&format!("{}{stays}", problem.sentence));
                        }
                    }
                }
            }
            Event::MemoryEstimated(load, estimate) => {
                if let Some((_, slot)) = self.memory_estimates.iter_mut().find(|(asked, _)| *asked == load) {
                    *slot = Some(estimate);
                }
            }
        }
    }

    /// Shows a notice.
    pub fn notify(&mut self, text: &str) {
        self.push_notice(Notice {
            text: text.to_owned(),
            undo: None,
            is_error: false,
            until: Instant::now() + NOTICE_TIME,
        });
    }

    /// Shows a notice in place of an equal one. Only the newest [`MAX_NOTICES`] are kept.
    fn push_notice(&mut self, notice: Notice) {
        self.notices.retain(|known| known.text != notice.text || known.undo != notice.undo);
        self.notices.push(notice);
        let excess = self.notices.len().saturating_sub(MAX_NOTICES);
        self.notices.drain(..excess);
    }

    /// Shows an error notice.
    pub fn notify_error(&mut self, text: &str) {
        // Errors stay longer, so that they are not missed.
        let until = Instant::now() + 3 * NOTICE_TIME;
        self.push_notice(Notice { text: text.to_owned(), undo: None, is_error: true, until });
    }

    /// How long the window may wait until the next frame without input.
    pub fn idle(&self) -> Duration {
        match (&self.reply, self.notices.is_empty()) {
            _ if self.draft_changed.is_some() => SAVE_INTERVAL,
            (Some(_), _) => SAVE_INTERVAL,
            (None, false) => Duration::from_millis(500),
            (None, true) => Duration::from_secs(3600),
        }
    }

    /// Loads a model with the weight format, context and adapter of the settings; `None` for the guide.
    pub fn load_model(&mut self, model: Option<PathBuf>) {
        let load = self.load_of(model);
        self.checked = None;
        // A loaded model and its reply are not given up before the files of the new one are checked.
        if load.model.is_some() && matches!(self.model, Model::Ready(_) | Model::Loading { .. }) {
            self.checked = Some(load.clone());
            self.worker.send(Command::Check(load));
        } else {
            self.load_now(load);
        }
    }

    fn load_now(&mut self, load: Load) {
        // Queued jobs stay for the new model.
        self.stop_reply();
        self.load = load;
        self.model = Model::Loading { name: crate::worker::short_name(self.load.model.as_deref()), progress: 0.0 };
        self.worker.send(Command::Load(self.load.clone()));
    }

    /// The request that would load a model with the present settings.
    pub fn load_of(&self, model: Option<PathBuf>) -> Load {
        let settings = &self.settings;
        Load {
            // The guide is small and always loaded as it is.
            weights: model.as_ref().and(settings.weight_format()),
            context: model.as_ref().and(settings.context),
            device: settings.device.clone(),
            model,
        }
    }

    /// Loads the present model again with the present settings.
    pub fn reload(&mut self) {
        self.load_model(self.load.model.clone());
    }

    /// The model that is loaded or was requested last; `None` for the guide.
    pub fn requested_model(&self) -> Option<&PathBuf> {
        self.load.model.as_ref()
    }

    /// Stops loading.
    pub fn cancel_load(&mut self) {
        self.checked = None;
        self.worker.send(Command::CancelLoad);
    }

    /// Why closing now would lose messages, as a sentence, if it would.
    pub fn unsaved_reason(&self) -> Option<String> {
        let has_content = self.chats.iter().any(|chat| !chat.title.is_empty() || !chat.draft.trim().is_empty());
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

    /// The loaded model.
    pub fn loaded(&self) -> Option<&Loaded> {
        match &self.model {
            Model::Ready(loaded) => Some(loaded),
            _ => None,
        }
    }

    /// The memory that a model would take, once it is known. The first call requests it.
    pub fn memory_estimate(&mut self, load: &Load) -> Option<Result<MemoryEstimate, String>> {
        if let Some((_, estimate)) = self.memory_estimates.iter().find(|(asked, _)| asked == load) {
            return estimate.clone();
        }
        if self.memory_estimates.len() > 64 {
            self.memory_estimates.clear();
        }
        self.memory_estimates.push((load.clone(), None));
        self.worker.send(Command::EstimateMemory(load.clone()));
        None
    }

    /// The last known estimate for a model with any settings, to be shown while the present one is computed.
    pub fn last_memory_estimate(&self, model: Option<&PathBuf>) -> Option<Result<MemoryEstimate, String>> {
        let answered = |(load, estimate): &(Load, Option<Result<MemoryEstimate, String>>)| {
            estimate.clone().filter(|_| load.model.as_ref() == model)
        };
        self.memory_estimates.iter().rev().find_map(answered)
    }

    /// Lists the models again, and the adapters if that was not done yet.
    pub fn refresh_lists(&mut self) {
        if self.devices.is_none() {
            self.devices = Some(Vec::new());
            self.worker.send(Command::FindDevices);
        }
        self.find_models();
    }

    fn find_models(&mut self) {
        let used = self.settings.models.iter().map(PathBuf::from).collect();
        self.worker.send(Command::FindModels(used));
    }

    /// Profiles the kernels of one token.
    pub fn measure(&mut self) {
        self.profile = Some(None);
        self.worker.send(Command::Profile);
    }

    /// Whether a message is the reply being generated.
    pub fn is_writing(&self, message: Id) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.message == message)
    }

    /// Whether the reply being generated was told to stop. The engine finishes its present step first.
    pub fn is_stopping(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.stopping)
    }

    /// The reply being generated.
    pub fn reply(&self) -> Option<&Reply> {
        self.reply.as_ref()
    }

    fn change_message(&mut self, id: Id, change: impl FnOnce(&mut Message)) {
        for (chat, tree) in &mut self.trees {
            if let Some(message) = tree.get_mut(id) {
                change(message);
                self.store.save_message(*chat, message);
                return;
            }
        }
    }

    fn save_reply(&mut self) {
        let Some(reply) = &mut self.reply else { return };
        reply.saved = Instant::now();
        if !reply.unsaved.is_empty() {
            self.store.append(reply.message, std::mem::take(&mut reply.unsaved));
        }
    }

    /// Marks unfinished messages of a chat read from the database as finished, because no engine works on them.
    fn close_interrupted(&mut self, chat: Id) {
        let writing = self.reply.as_ref().map(|reply| reply.message);
        let Some(tree) = self.trees.get_mut(&chat) else { return };
        let stale: Vec<Id> = tree
            .messages()
            .filter(|message| matches!(message.status, Status::Writing | Status::Queued) && Some(message.id) != writing)
            .map(|message| message.id)
            .collect();
        for id in stale {
            if let Some(message) = tree.get_mut(id) {
                if message.status == Status::Writing {
                    message.status = Status::Stopped;
                    message.note = Some("Lapidary was closed before this reply ended.".into());
                } else {
                    message.status = Status::Done;
                }
                self.store.save_message(chat, message);
            }
        }
    }
}

/// Saves everything unsaved. Dropping the store then waits for the disk.
impl Drop for State {
    fn drop(&mut self) {
        self.save_reply();
        self.save_draft();
    }
}

/// Whether the model has to be loaded again.
pub fn needs_reload(problem: &Problem) -> bool {
    problem.remedy == Remedy::Reload
}
