//! In place of `chats::store`: stores chats in the browser's IndexedDB, without making its callers wait.
//!
//! Writes wait in a queue until the database has taken them, even when the browser has no room. Those that wait form one
//! transaction, which reaches the disk before the next starts. A tab that is closed loses only what was still in the queue.
//! Reads see the queue too, so that what is not saved can be exported. Without a database everything stays in it.

#[path = "store/rows.rs"]
mod rows;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::exchange::{self, Archive};
use super::search::{excerpt, grouped, words};
use super::store_event::{Hit, StoreEvent};
use super::{Chat, Id, Message, find_ignoring_case};
use crate::page::{files, reason};
use rows::{MessageRow, Tables, Write, attachments_row, chat_row, chats, message_row};

pub use super::search::MAX_HITS;

/// How long to wait before a failed write is tried again, in milliseconds.
const RETRY_INTERVAL: u32 = 2000;

#[wasm_bindgen(module = "/src/page/instead/chats/store.js")]
extern "C" {
    #[wasm_bindgen(js_name = open, catch)]
    async fn open_database() -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = write, catch)]
    async fn write_rows(database: &JsValue, json: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(js_name = all, catch)]
    async fn read_all(database: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = messages, catch)]
    async fn read_messages(database: &JsValue, chat: f64) -> Result<JsValue, JsValue>;
    async fn sleep(milliseconds: u32);
}

enum Request {
    /// Writes of one transaction.
    Write(Vec<Write>),
    Messages(Id),
    Search(u64, String),
    Export(Vec<Id>, PathBuf),
    Import(PathBuf),
}

/// A handle to the database.
pub struct Store {
    shared: Rc<Shared>,
}

struct Shared {
    requests: RefCell<VecDeque<Request>>,
    events: RefCell<VecDeque<StoreEvent>>,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// The browser's handle, once it is open. It stays empty where the browser keeps no chats.
    database: OnceCell<JsValue>,
    /// The writes that the database has not taken.
    pending: RefCell<Vec<Write>>,
    /// Whether requests are being handled.
    working: Cell<bool>,
    /// The number of the newest search, which is the only one that matters while the user types.
    search: Cell<u64>,
}

impl Store {
    /// Opens the database in the background. `wake` is called after each event.
    pub fn open(wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let shared = Rc::new(Shared {
            requests: RefCell::default(),
            events: RefCell::default(),
            wake,
            database: OnceCell::new(),
            pending: RefCell::default(),
            working: Cell::new(true),
            search: Cell::new(0),
        });
        spawn_local(shared.clone().open());
        Self { shared }
    }

    /// The next event, if one is waiting.
    pub fn event(&self) -> Option<StoreEvent> {
        self.shared.events.borrow_mut().pop_front()
    }

    /// Saves a chat without its messages.
    pub fn save_chat(&self, chat: &Chat) {
        self.write(vec![chat_row(chat)]);
    }

    /// Saves a chat and some of its messages in one transaction.
    pub fn save_chat_with(&self, chat: &Chat, messages: &[Message]) {
        let messages = messages.iter().map(|message| message_row(chat.id, message));
        self.write(std::iter::once(chat_row(chat)).chain(messages).collect());
    }

    /// Saves a chat and the message that its draft became, in one transaction.
    pub fn save_sent(&self, chat: &Chat, message: &Message) {
        self.write(vec![chat_row(chat), message_row(chat.id, message), attachments_row(chat)]);
    }

    /// Saves a message of a chat.
    pub fn save_message(&self, chat: Id, message: &Message) {
        self.write(vec![message_row(chat, message)]);
    }

    /// Appends to a message's text.
    pub fn append(&self, message: Id, text: String) {
        self.write(vec![Write::Append { id: message, text }]);
    }

    /// Deletes a chat and its messages permanently.
    pub fn forget(&self, chat: Id) {
        self.write(vec![Write::Forget { id: chat }]);
    }

    /// Deletes a message permanently. `others` are the chat's messages that change with it, saved in one transaction.
    pub fn forget_message(&self, chat: &Chat, message: Id, others: &[Message]) {
        let others = others.iter().map(|message| message_row(chat.id, message));
        let forget = Write::ForgetMessage { id: message };
        self.write(std::iter::once(chat_row(chat)).chain(others).chain([forget]).collect());
    }

    /// Saves a chat with the attachments of its draft, which [`Store::save_chat`] leaves as they are.
    pub fn save_attachments(&self, chat: &Chat) {
        self.write(vec![chat_row(chat), attachments_row(chat)]);
    }

    /// Saves a value in JSON by its name.
    pub fn save_value(&self, name: &'static str, json: String) {
        self.write(vec![Write::Value { name: name.to_owned(), json }]);
    }

    /// Reads a chat's messages. The answer is [`StoreEvent::Messages`].
    pub fn load(&self, chat: Id) {
        self.request(Request::Messages(chat));
    }

    /// Searches titles and messages for words, ignoring case. Text in double quotes is one word. The answer is
    /// [`StoreEvent::Found`] with this number.
    pub fn search(&self, number: u64, text: &str) {
        self.shared.search.set(number);
        self.request(Request::Search(number, text.to_owned()));
    }

    /// Downloads chats as a file: as Markdown if its name ends in `.md`, as a page if it ends in `.html`, else as JSON. The
    /// answer is [`StoreEvent::Exported`]. Never fails at once: the page has no thread that may have ended.
    pub fn export(&self, chats: Vec<Id>, path: PathBuf, _overwrite: bool) -> Result<(), &'static str> {
        self.request(Request::Export(chats, path));
        Ok(())
    }

    /// Imports chats from a chosen JSON file. The answer is [`StoreEvent::Imported`]. Chats that exist already are added again.
    /// Never fails at once, like [`Store::export`].
    pub fn import(&self, path: PathBuf) -> Result<(), &'static str> {
        self.request(Request::Import(path));
        Ok(())
    }

    fn write(&self, writes: Vec<Write>) {
        self.request(Request::Write(writes));
    }

    fn request(&self, request: Request) {
        self.shared.requests.borrow_mut().push_back(request);
        if !self.shared.working.replace(true) {
            spawn_local(self.shared.clone().work());
        }
    }
}

impl Shared {
    fn emit(&self, event: StoreEvent) {
        self.events.borrow_mut().push_back(event);
        (self.wake)();
    }

    /// Opens the database, reports what is in it, and handles what was requested meanwhile.
    async fn open(self: Rc<Self>) {
        let opened = async {
            let database = open_database().await.map_err(|error| reason(&error))?;
            let tables = read_tables(&database).await?;
            self.database.get_or_init(|| database);
            Ok::<_, String>(StoreEvent::Opened {
                chats: chats(&tables),
                values: tables.values.into_iter().map(|row| (row.name, row.json)).collect(),
            })
        };
        let not_opened = |reason: String| StoreEvent::NotOpened(format!("The browser keeps no chats: {reason}"));
        self.emit(opened.await.unwrap_or_else(not_opened));
        self.work().await;
    }

    /// Handles requests until none waits: writes before reads, unless they fail at present.
    async fn work(self: Rc<Self>) {
        let mut failing = false;
        loop {
            let request = self.requests.borrow_mut().pop_front();
            match request {
                Some(Request::Write(writes)) => {
                    let mut pending = self.pending.borrow_mut();
                    writes.into_iter().for_each(|write| rows::add(&mut pending, write));
                }
                Some(request) => {
                    if !failing {
                        failing = self.flush(failing).await;
                    }
                    let event = self.answer(request).await;
                    event.into_iter().for_each(|event| self.emit(event));
                }
                None if self.database.get().is_none() || self.pending.borrow().is_empty() => break,
                None => {
                    if failing {
                        sleep(RETRY_INTERVAL).await;
                    }
                    failing = self.flush(failing).await;
                }
            }
        }
        self.working.set(false);
    }

    /// Writes everything that waits in one transaction, or nothing. Returns whether it failed.
    async fn flush(&self, failing: bool) -> bool {
        let Some(database) = self.database.get().filter(|_| !self.pending.borrow().is_empty()) else { return failing };
        let json = serde_json::to_string(&*self.pending.borrow());
        let written = match json {
            Ok(json) => write_rows(database, &json).await.map_err(|error| reason(&error)),
            Err(error) => Err(error.to_string()),
        };
        match written {
            Ok(()) => {
                self.pending.borrow_mut().clear();
                if failing {
                    self.emit(StoreEvent::SavedAgain);
                }
                false
            }
            Err(reason) => {
                if !failing {
                    self.emit(StoreEvent::CannotSave(reason));
                }
                true
            }
        }
    }

    async fn answer(&self, request: Request) -> Option<StoreEvent> {
        Some(match request {
            Request::Write(_) => return None,
            Request::Messages(id) => match self.messages(id).await {
                Ok(messages) => StoreEvent::Messages(id, messages),
                Err(reason) => StoreEvent::FileError(format!("The chat cannot be read: {reason}")),
            },
            Request::Search(number, text) => match self.find(number, &text).await {
                Ok(hits) => StoreEvent::Found(number, hits?),
                Err(reason) => StoreEvent::FileError(format!("The chats cannot be searched: {reason}")),
            },
            Request::Export(chats, path) => match self.export(&chats, &path).await {
                Ok(count) => StoreEvent::Exported(path, count),
                Err(reason) => StoreEvent::FileError(format!("{} cannot be written: {reason}", path.display())),
            },
            Request::Import(path) => match self.import(&path).await {
                Ok(archive) => {
                    let left_out = archive.left_out;
                    StoreEvent::Imported {
                        chats: archive.chats.into_iter().map(|entry| entry.chat).collect(),
                        left_out,
                    }
                }
                Err(reason) => StoreEvent::FileError(format!("{} cannot be imported: {reason}.", path.display())),
            },
        })
    }

    /// All chats, as they will be after the waiting writes.
    async fn chats(&self) -> Result<Vec<Chat>, String> {
        let mut tables = match self.database.get() {
            Some(database) => read_tables(database).await?,
            None => Tables::default(),
        };
        tables.apply(&self.pending.borrow());
        Ok(chats(&tables))
    }

    /// The messages of a chat, as they will be after the waiting writes.
    async fn messages(&self, chat: Id) -> Result<Vec<Message>, String> {
        let rows = match self.database.get() {
            Some(database) => read_message_rows(database, chat).await?,
            None => Vec::new(),
        };
        Ok(rows::messages(rows, chat, &self.pending.borrow()))
    }

    /// The hits of a search; `None` if a newer one was requested meanwhile. Chats with a matching title come first.
    async fn find(&self, number: u64, text: &str) -> Result<Option<Vec<Hit>>, String> {
        let words = words(text);
        let contains = |text: &str| words.iter().all(|word| !find_ignoring_case(text, word, 1).is_empty());
        let (mut titles, mut texts) = (Vec::new(), Vec::new());
        let mut chats = self.chats().await?;
        chats.retain(|chat| !words.is_empty() && chat.deleted.is_none());
        for chat in chats {
            if self.search.get() != number {
                return Ok(None);
            }
            let hit = |message, text: &str| {
                let (excerpt, ranges) = excerpt(text, &words);
                Hit { chat: chat.id, message, excerpt, ranges }
            };
            if contains(&chat.title) {
                titles.push(hit(None, &chat.title));
            }
            if titles.len() + texts.len() < MAX_HITS {
                let found = self.messages(chat.id).await?;
                let found = found.iter().filter(|message| contains(&message.text));
                texts.extend(found.map(|message| hit(Some(message.id), &message.text)));
            }
        }
        titles.append(&mut texts);
        titles.truncate(MAX_HITS);
        Ok(Some(grouped(titles)))
    }

    /// Downloads chats. Returns their number.
    async fn export(&self, ids: &[Id], path: &Path) -> Result<usize, String> {
        let mut known: HashMap<Id, Chat> = self.chats().await?.into_iter().map(|chat| (chat.id, chat)).collect();
        let mut archive = Archive::default();
        for id in ids {
            if let Some(chat) = known.remove(id) {
                archive.add(chat, self.messages(*id).await?);
            }
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files::save(&name, &exchange::text(&archive, path)?);
        Ok(archive.chats.len())
    }

    /// Imports chats. If writing them fails they do not wait, because they are still in their file.
    async fn import(&self, path: &Path) -> Result<Archive, String> {
        let archive = exchange::parse(&files::read_export(path).await?)?;
        let rows: Vec<Write> = archive
            .chats
            .iter()
            .flat_map(|entry| {
                let messages = entry.messages.iter().map(|message| message_row(entry.chat.id, message));
                [chat_row(&entry.chat), attachments_row(&entry.chat)].into_iter().chain(messages)
            })
            .collect();
        match self.database.get() {
            Some(database) => {
                let json = serde_json::to_string(&rows).map_err(|error| error.to_string())?;
                write_rows(database, &json).await.map_err(|error| reason(&error))?;
            }
            None => self.pending.borrow_mut().extend(rows),
        }
        Ok(archive)
    }
}

async fn read_tables(database: &JsValue) -> Result<Tables, String> {
    let json = read_all(database).await.map_err(|error| reason(&error))?;
    serde_json::from_str(&json.as_string().unwrap_or_default()).map_err(|error| error.to_string())
}

async fn read_message_rows(database: &JsValue, chat: Id) -> Result<Vec<MessageRow>, String> {
    // Exact: ids have at most 53 bits.
    let json = read_messages(database, chat as f64).await.map_err(|error| reason(&error))?;
    serde_json::from_str(&json.as_string().unwrap_or_default()).map_err(|error| error.to_string())
}
