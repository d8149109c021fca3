//! Everything that the window shows, apart from how it is drawn.
//!
//! [`State::tick`] takes in what the engine and the database had to say; the other methods are what a person does. None of
//! them waits for anything.

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

/// How long a notice stays.
const NOTICE_TIME: Duration = Duration::from_secs(8);
/// How many are shown.
const MAX_NOTICES: usize = 5;
/// How often the text of a reply is saved while it grows: at most this much of it can be lost.
const SAVE_INTERVAL: Duration = Duration::from_millis(250);

/// How the model stands.
#[derive(Clone, Debug, Default)]
pub enum Model {
    /// None was asked for yet.
    #[default]
    None,
    /// One loads.
    Loading {
        /// Its name.
        name: String,
        /// From 0 to 1.
        share: f32,
    },
    /// One is ready.
    Ready(Box<Loaded>),
    /// It could not be loaded, or was lost.
    Failed(Problem),
}

/// A reply under way.
#[derive(Debug)]
pub struct Reply {
    /// Its chat.
    pub chat: Id,
    /// Its message.
    pub message: Id,
    unsaved: String,
    saved: Instant,
}

/// What the engine has to do next.
#[derive(Clone, Debug)]
enum Job {
    /// Answer a message of a chat, where the branch of another reply is left for it if that is still shown.
    Answer { chat: Id, question: Id, replaces: Option<Id> },
    /// Go on with a reply of a chat.
    Continue { chat: Id, reply: Id, overflow: Overflow },
}

impl Job {
    fn chat(&self) -> Id {
        match self {
            Self::Answer { chat, .. } | Self::Continue { chat, .. } => *chat,
        }
    }
}

/// What a summary is made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SummarySource {
    /// The chat that is summed up, and the one that begins with its summary.
    chats: [Id; 2],
    /// What was said in the first.
    turns: Vec<(Role, String)>,
}

/// Something worth saying, for a while.
#[derive(Clone, Debug)]
pub struct Notice {
    /// A sentence.
    pub text: String,
    /// A chat that can be taken out of the trash again.
    pub undo: Option<Id>,
    /// Whether it is bad news.
    pub is_error: bool,
    until: Instant,
}

/// A search under way.
#[derive(Debug, Default)]
pub struct Search {
    /// What is looked for.
    pub text: String,
    /// What was found; none while it is looked for.
    pub hits: Option<Vec<Hit>>,
    number: u64,
}

/// Other tokens that the model might have said.
#[derive(Clone, Debug, Default)]
pub struct Alternatives {
    /// The message.
    pub message: Id,
    /// The byte of its text where the token begins, once one is chosen.
    pub at: Option<usize>,
    /// The likeliest tokens there; none while they are computed.
    pub list: Option<Result<Vec<Candidate>, String>>,
}

/// Kernels, how often they ran, and their milliseconds.
pub type Profile = Result<Vec<(&'static str, usize, f64)>, String>;

/// Everything that the window shows.
pub struct State {
    worker: Box<dyn Worker>,
    store: Store,
    /// Settings; saved by themselves when they change.
    pub settings: Settings,
    saved_settings: Option<Settings>,
    /// Whether the database is open, or why not.
    pub opened: Option<Result<(), String>>,
    /// Why chats cannot be saved at present.
    pub cannot_save: Option<String>,
    /// Whether what saves chats has ended: until the next start nothing is saved, nor written to files.
    pub store_ended: bool,
    chats: Vec<Chat>,
    trees: HashMap<Id, Tree>,
    /// Chats whose messages were asked for. Asked twice, the second answer could undo what was said after the first.
    requested: HashSet<Id>,
    open: Id,
    /// A message to be scrolled to.
    pub scroll_to: Option<Id>,
    /// A message being edited, and its new text.
    pub editing: Option<(Id, String)>,
    /// What was being edited in chats that are not shown.
    hidden_edits: HashMap<Id, (Id, String)>,
    /// What was written in edits that were left, by message, and the chat of each.
    abandoned_edits: HashMap<Id, (Id, String)>,
    /// The edits as they were saved last.
    saved_edits: String,
    /// What summaries are made from, by the question that asks for one.
    sources: HashMap<Id, SummarySource>,
    /// How the model stands.
    pub model: Model,
    load: Load,
    /// What is to be loaded if its files look as if it could be.
    checked: Option<Load>,
    reply: Option<Reply>,
    jobs: VecDeque<Job>,
    /// The ways on from replies that failed.
    pub problems: HashMap<Id, Remedy>,
    /// What is worth saying.
    pub notices: Vec<Notice>,
    /// The search, while there is one.
    pub search: Search,
    /// The window of alternatives, while it is open.
    pub alternatives: Option<Alternatives>,
    /// The last profile; the outer is none until one was asked for, the inner while it is measured.
    pub profile: Option<Option<Profile>>,
    /// Adapters, once they were looked for.
    pub devices: Option<Vec<String>>,
    /// Models, once they were looked for.
    pub models: Option<Vec<FoundModel>>,
    memory_estimates: Vec<(Load, Option<Result<MemoryEstimate, String>>)>,
    counts: tokens::TokenCounts,
    /// When what is typed changed and was not saved since.
    draft_changed: Option<Instant>,
}

impl State {
    /// A window's state, with the model that is loaded first.
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

    /// Takes in what happened. To be called before every frame.
    pub fn tick(&mut self) {
        while let Some(event) = self.worker.event() {
            self.on_event(event);
        }
        self.tick_once();
    }

    /// [`State::tick`], but of what the engine has to say only the next.
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
                // A thought that was typed and never sent waits where it was typed.
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
                // What is here is newer.
                if self.trees.contains_key(&chat) {
                    return;
                }
                let leaf = self.chat(chat).and_then(|chat| chat.leaf);
                let mut tree = Tree::new(messages, leaf);
                // A search may have led to a message on another branch.
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
                // It may have been a chat that could not be read: the next time it is asked for again.
                self.requested.clear();
                self.notify_error(&reason);
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Loading { name, share } => self.model = Model::Loading { name, share },
            // One that was given up for another, and came all the same.
            Event::Loaded(loaded) if loaded.load != self.load => {}
            Event::Loaded(loaded) => {
                self.counts.clear();
                if let Some(path) = &loaded.load.model {
                    self.settings.remember_model(path);
                    // A list that was read before may lack it.
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
            Event::ReplyText(message, piece) => {
                let Some(reply) = self.reply.as_mut().filter(|reply| reply.message == message) else { return };
                reply.unsaved.push_str(&piece);
                let chat = reply.chat;
                if let Some(message) = self.trees.get_mut(&chat).and_then(|tree| tree.get_mut(message)) {
                    message.text.push_str(&piece);
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

    /// Says something that is worth knowing.
    pub fn notify(&mut self, text: &str) {
        self.push_notice(Notice {
            text: text.to_owned(),
            undo: None,
            is_error: false,
            until: Instant::now() + NOTICE_TIME,
        });
    }

    /// Shows a notice, in place of one that says the same; of many, the last.
    fn push_notice(&mut self, notice: Notice) {
        self.notices.retain(|known| known.text != notice.text || known.undo != notice.undo);
        self.notices.push(notice);
        let surplus = self.notices.len().saturating_sub(MAX_NOTICES);
        self.notices.drain(..surplus);
    }

    /// Says that something went wrong.
    pub fn notify_error(&mut self, text: &str) {
        // What is wrong should be seen also by who looks away for a moment.
        let until = Instant::now() + 3 * NOTICE_TIME;
        self.push_notice(Notice { text: text.to_owned(), undo: None, is_error: true, until });
    }

    /// How long nothing will happen by itself.
    pub fn idle(&self) -> Duration {
        match (&self.reply, self.notices.is_empty()) {
            _ if self.draft_changed.is_some() => SAVE_INTERVAL,
            (Some(_), _) => SAVE_INTERVAL,
            (None, false) => Duration::from_millis(500),
            (None, true) => Duration::from_secs(3600),
        }
    }

    /// Loads a model with the settings' weights, context and adapter; none is the guide.
    pub fn load_model(&mut self, model: Option<PathBuf>) {
        let load = self.load_of(model);
        self.checked = None;
        // What works is not given up, nor a reply stopped, for a file that is no model.
        if load.model.is_some() && matches!(self.model, Model::Ready(_) | Model::Loading { .. }) {
            self.checked = Some(load.clone());
            self.worker.send(Command::Check(load));
        } else {
            self.load_now(load);
        }
    }

    fn load_now(&mut self, load: Load) {
        // What waits in the queue waits for the new model.
        self.stop_reply();
        self.load = load;
        self.model = Model::Loading { name: crate::worker::short_name(self.load.model.as_deref()), share: 0.0 };
        self.worker.send(Command::Load(self.load.clone()));
    }

    /// How a model would be loaded now.
    pub fn load_of(&self, model: Option<PathBuf>) -> Load {
        let settings = &self.settings;
        Load {
            // The guide is what it is, and small.
            weights: model.as_ref().and(settings.weight_format()),
            context: model.as_ref().and(settings.context),
            device: settings.device.clone(),
            model,
        }
    }

    /// Loads the present model again, with the settings as they are now.
    pub fn reload(&mut self) {
        self.load_model(self.load.model.clone());
    }

    /// The model that is loaded or was asked for last; none for the guide.
    pub fn wanted_model(&self) -> Option<&PathBuf> {
        self.load.model.as_ref()
    }

    /// Stops loading.
    pub fn cancel_load(&mut self) {
        self.checked = None;
        self.worker.send(Command::CancelLoad);
    }

    /// Why to close now would lose what was said, if it would.
    pub fn unsaved_reason(&self) -> Option<String> {
        let said = self.chats.iter().any(|chat| !chat.title.is_empty() || !chat.draft.trim().is_empty());
        if self.store_ended && said {
            return Some("Chats are not saved any more.".into());
        }
        if let Some(reason) = &self.cannot_save {
            return Some(format!("Chats cannot be saved at present ({reason})."));
        }
        match &self.opened {
            Some(Err(reason)) if said => Some(format!("{}.", reason.trim_end_matches('.'))),
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

    /// What a model would take, once it is known; asks for it the first time.
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

    /// What a model would take with other settings, as far as it was asked: better than nothing while those are changed.
    pub fn last_memory_estimate(&self, model: Option<&PathBuf>) -> Option<Result<MemoryEstimate, String>> {
        let answered = |(load, estimate): &(Load, Option<Result<MemoryEstimate, String>>)| {
            estimate.clone().filter(|_| load.model.as_ref() == model)
        };
        self.memory_estimates.iter().rev().find_map(answered)
    }

    /// Looks for adapters, if that was not done yet, and for models, which come and go.
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

    /// Measures the kernels of one token.
    pub fn measure(&mut self) {
        self.profile = Some(None);
        self.worker.send(Command::Profile);
    }

    /// Whether a message's reply is under way.
    pub fn is_writing(&self, message: Id) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.message == message)
    }

    /// The reply under way.
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

    /// What a chat that was read from the database has under way is not under way any more.
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
                    message.note = Some("Lapidary ended before this reply did.".into());
                } else {
                    message.status = Status::Done;
                }
                self.store.save_message(chat, message);
            }
        }
    }
}

/// Saves what is not saved yet; the store waits for the disk.
impl Drop for State {
    fn drop(&mut self) {
        self.save_reply();
        self.save_draft();
    }
}

/// Whether loading again is the way on.
pub fn is_lost(problem: &Problem) -> bool {
    problem.remedy == Remedy::Reload
}
