//! Stores chats in SQLite on its own thread, so that its callers never wait for the disk.
//!
//! Writes wait in a queue until the database has taken them, even when the disk is full. The database is in WAL mode
//! and every transaction reaches the disk before the next starts. A killed program or a power failure therefore loses
//! only what was still in the queue.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::database::{Write, all_chats, apply, import, is_transient, messages, one_chat, open};
use super::exchange::{self, Archive};
use super::search::{index_more, search};
use super::store_event::StoreEvent;
use super::{Chat, Id, Message};

pub use super::search::MAX_HITS;

/// How long to wait before a failed write is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// The error message after the thread has ended, as the end of a sentence.
const THREAD_ENDED: &str = "the thread that reads and writes chats has ended; start Lapidary again";

enum Request {
    /// Writes of one transaction: after a crash either all of them are there or none.
    Write(Vec<Write>),
    Messages(Id),
    Search(u64, String),
    Export {
        chats: Vec<Id>,
        path: PathBuf,
        overwrite: bool,
    },
    Import(PathBuf),
    Close,
}

/// A handle to the thread that owns the database.
pub struct Store {
    requests: Sender<Request>,
    events: Receiver<StoreEvent>,
    thread: Option<JoinHandle<()>>,
    reported: Cell<Reported>,
}

/// What [`Store::event`] has reported about the thread.
#[derive(Clone, Copy)]
enum Reported {
    /// Nothing yet.
    Nothing,
    /// That the database is open, or why it is not.
    Opened,
    /// That the thread has ended.
    Ended,
}

impl Store {
    /// Opens the database at `path` in the background, or one in memory for `None`. `wake` is called after each event.
    pub fn open(path: Option<PathBuf>, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self::start(Ok(path), wake)
    }

    /// Keeps chats in memory until the program ends. `reason` is reported as [`StoreEvent::NotOpened`].
    pub fn without_folder(reason: String, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self::start(Err(reason), wake)
    }

    fn start(path: Result<Option<PathBuf>, String>, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let (requests, inbox) = mpsc::channel();
        let (outbox, events) = mpsc::channel();
        let emit = move |event| {
            // Sending fails after the window is closed, when events no longer matter.
            let _ = outbox.send(event);
            wake();
        };
        let work = move || {
            let opened = path.and_then(|path| open(path.as_deref())).and_then(|database| match all_chats(&database) {
                Ok(event) => Ok((database, event)),
                Err(error) => Err(format!("The chats cannot be read: {error}")),
            });
            // A database in memory still allows searching and exporting.
            let opened =
                opened.or_else(|reason| Ok((open(None).map_err(|_| reason.clone())?, StoreEvent::NotOpened(reason))));
            match opened {
                Ok((database, event)) => {
                    emit(event);
                    WriteQueue { database, emit, pending: VecDeque::new(), failing: false, unindexed: true }
                        .run(&inbox);
                }
                Err(reason) => emit(StoreEvent::NotOpened(reason)),
            }
        };
        let thread = std::thread::Builder::new().name("lapidary-store".into()).spawn(work).ok();
        Self { requests, events, thread, reported: Cell::new(Reported::Nothing) }
    }

    /// The next event, if one is waiting.
    pub fn event(&self) -> Option<StoreEvent> {
        match (self.events.try_recv(), self.reported.get()) {
            (Ok(event), _) => {
                if matches!(event, StoreEvent::Opened { .. } | StoreEvent::NotOpened(_)) {
                    self.reported.set(Reported::Opened);
                }
                Some(event)
            }
            // The thread could not be started, or it panicked. The user has to know at once that nothing is saved.
            (Err(TryRecvError::Disconnected), Reported::Nothing) => {
                self.reported.set(Reported::Opened);
                Some(StoreEvent::NotOpened(format!("The chats cannot be opened: {THREAD_ENDED}")))
            }
            (Err(TryRecvError::Disconnected), Reported::Opened) => {
                self.reported.set(Reported::Ended);
                Some(StoreEvent::Ended)
            }
            (Err(_), _) => None,
        }
    }

    /// Saves a chat without its messages.
    pub fn save_chat(&self, chat: &Chat) {
        self.request(Request::Write(vec![Write::Chat(chat.clone())]));
    }

    /// Saves a chat and some of its messages in one transaction.
    pub fn save_chat_with(&self, chat: &Chat, messages: &[Message]) {
        let messages = messages.iter().map(|message| Write::Message(chat.id, message.clone()));
        self.request(Request::Write(std::iter::once(Write::Chat(chat.clone())).chain(messages).collect()));
    }

    /// Saves a chat and the message that its draft became, in one transaction.
    pub fn save_sent(&self, chat: &Chat, message: &Message) {
        let mut writes = vec![Write::Chat(chat.clone()), Write::Message(chat.id, message.clone())];
        if !message.attachments.is_empty() {
            writes.push(Write::DraftAttachments(chat.id, chat.attachments.clone()));
        }
        self.request(Request::Write(writes));
    }

    /// Saves a message of a chat.
    pub fn save_message(&self, chat: Id, message: &Message) {
        self.request(Request::Write(vec![Write::Message(chat, message.clone())]));
    }

    /// Appends to a message's text.
    pub fn append(&self, message: Id, text: String) {
        self.request(Request::Write(vec![Write::Append(message, text)]));
    }

    /// Deletes a chat and its messages permanently.
    pub fn forget(&self, chat: Id) {
        self.request(Request::Write(vec![Write::Forget(chat)]));
    }

    /// Deletes a message permanently. `others` are the chat's messages that change with it, saved in one transaction.
    pub fn forget_message(&self, chat: &Chat, message: Id, others: &[Message]) {
        let others = others.iter().map(|message| Write::Message(chat.id, message.clone()));
        let writes = std::iter::once(Write::Chat(chat.clone())).chain(others).chain([Write::ForgetMessage(message)]);
        self.request(Request::Write(writes.collect()));
    }

    /// Saves a chat with the attachments of its draft, which [`Store::save_chat`] leaves as they are.
    pub fn save_attachments(&self, chat: &Chat) {
        let attachments = Write::DraftAttachments(chat.id, chat.attachments.clone());
        self.request(Request::Write(vec![Write::Chat(chat.clone()), attachments]));
    }

    /// Saves a value in JSON by its name.
    pub fn save_value(&self, name: &'static str, json: String) {
        self.request(Request::Write(vec![Write::Value(name, json)]));
    }

    /// Reads a chat's messages. The answer is [`StoreEvent::Messages`].
    pub fn load(&self, chat: Id) {
        self.request(Request::Messages(chat));
    }

    /// Searches titles and messages for words, ignoring case. Text in double quotes is one word. The answer is [`StoreEvent::Found`] with this number.
    pub fn search(&self, number: u64, text: &str) {
        self.request(Request::Search(number, text.to_owned()));
    }

    /// Exports chats to a file: as Markdown if its name ends in `.md`, as a page if it ends in `.html`, else as JSON. The
    /// answer is [`StoreEvent::Exported`]. Unless `overwrite` is set, an existing file is kept and the new name gets a number.
    ///
    /// # Errors
    /// That the thread has ended, as the end of a sentence.
    pub fn export(&self, chats: Vec<Id>, path: PathBuf, overwrite: bool) -> Result<(), &'static str> {
        self.request(Request::Export { chats, path, overwrite }).then_some(()).ok_or(THREAD_ENDED)
    }

    /// Imports chats from a JSON file; see [`exchange::read`]. The answer is [`StoreEvent::Imported`]. Chats that exist already are added again.
    ///
    /// # Errors
    /// That the thread has ended, as the end of a sentence.
    pub fn import(&self, path: PathBuf) -> Result<(), &'static str> {
        self.request(Request::Import(path)).then_some(()).ok_or(THREAD_ENDED)
    }

    /// Sends a request. Returns false after the thread has ended, which [`Store::event`] reports.
    fn request(&self, request: Request) -> bool {
        self.requests.send(request).is_ok()
    }
}

/// Waits until everything is written, or has failed once more.
impl Drop for Store {
    fn drop(&mut self) {
        self.request(Request::Close);
        if let Some(thread) = self.thread.take() {
            // It only fails if the thread panicked, and the panic was reported then.
            let _ = thread.join();
        }
    }
}

/// The writes that wait for the disk, the database they go to, and the loop of the thread that owns both.
struct WriteQueue<S: Fn(StoreEvent)> {
    database: Connection,
    emit: S,
    pending: VecDeque<Write>,
    failing: bool,
    /// Whether messages may be missing from the index of the search.
    unindexed: bool,
}

impl<S: Fn(StoreEvent)> WriteQueue<S> {
    fn run(mut self, inbox: &Receiver<Request>) {
        let mut tried = Instant::now();
        loop {
            let first = if !self.pending.is_empty() {
                inbox.recv_timeout(RETRY_INTERVAL.saturating_sub(tried.elapsed()))
            } else if self.unindexed {
                inbox.recv_timeout(Duration::ZERO)
            } else {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            // A step between requests, so that none waits for the index.
            if self.unindexed && self.pending.is_empty() && matches!(first, Err(RecvTimeoutError::Timeout)) {
                self.unindexed = index_more(&self.database).unwrap_or_else(|error| {
                    // Messages that are not in the index are found too, only slower.
                    log::warn!("the messages cannot be indexed: {error}");
                    false
                });
                continue;
            }
            let mut close = matches!(first, Err(RecvTimeoutError::Disconnected));
            // All waiting requests at once: their writes form one transaction, which goes before the reads.
            let mut requests = Vec::new();
            for request in first.into_iter().chain(inbox.try_iter().take(1000)) {
                match request {
                    Request::Write(writes) => self.pending.extend(writes),
                    Request::Close => close = true,
                    request => requests.push(request),
                }
            }
            // A failed transaction is tried again only after `RETRY_INTERVAL`.
            if !self.failing || close || tried.elapsed() >= RETRY_INTERVAL {
                self.write();
                tried = Instant::now();
            }
            // Only the newest search matters while the user types.
            let newest = requests.iter().rposition(|request| matches!(request, Request::Search(..)));
            for (i, request) in requests.into_iter().enumerate() {
                if newest.is_none_or(|newest| newest == i) || !matches!(request, Request::Search(..)) {
                    self.answer(request);
                }
            }
            if close {
                // Leaves one file without a write-ahead log.
                let _ = self.database.pragma_update(None, "wal_checkpoint", "TRUNCATE");
                return;
            }
        }
    }

    /// Writes everything that waits in one transaction, or nothing if the disk fails. A write that the database itself
    /// refuses is dropped, so that it does not block the others.
    fn write(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut result = apply(&mut self.database, self.pending.iter());
        if result.as_ref().is_err_and(|error| !is_transient(error)) {
            result = Ok(());
            while let Some(write) = self.pending.front() {
                match apply(&mut self.database, std::iter::once(write)) {
                    Ok(()) => {}
                    Err(error) if is_transient(&error) => {
                        result = Err(error);
                        break;
                    }
                    Err(error) => (self.emit)(StoreEvent::FileError(format!("Something could not be saved: {error}."))),
                }
                self.pending.pop_front();
            }
        }
        match result {
            Ok(()) => {
                self.pending.clear();
                if std::mem::take(&mut self.failing) {
                    (self.emit)(StoreEvent::SavedAgain);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    (self.emit)(StoreEvent::CannotSave(error.to_string()));
                }
            }
        }
    }

    /// A chat and its messages as they will be after the waiting writes.
    fn read(&self, id: Id) -> rusqlite::Result<(Option<Chat>, Vec<Message>)> {
        let mut found = one_chat(&self.database, id)?;
        let mut messages = messages(&self.database, id)?;
        for write in &self.pending {
            match write {
                Write::Chat(chat) if chat.id == id => {
                    let attachments = found.take().map(|found| found.attachments).unwrap_or_default();
                    found = Some(Chat { attachments, ..chat.clone() });
                }
                Write::DraftAttachments(chat, attachments) if *chat == id => {
                    if let Some(found) = &mut found {
                        found.attachments.clone_from(attachments);
                    }
                }
                Write::ForgetMessage(message) => messages.retain(|known| known.id != *message),
                Write::Message(chat, message) if *chat == id => {
                    match messages.iter_mut().find(|known| known.id == message.id) {
                        Some(known) => *known = message.clone(),
                        None => messages.push(message.clone()),
                    }
                }
                Write::Append(message, text) => {
                    if let Some(known) = messages.iter_mut().find(|known| known.id == *message) {
                        known.text.push_str(text);
                    }
                }
                Write::Forget(chat) if *chat == id => {
                    found = None;
                    messages.clear();
                }
                _ => {}
            }
        }
        Ok((found, messages))
    }

    fn answer(&mut self, request: Request) {
        let event = match request {
            Request::Messages(id) => match self.read(id) {
                Ok((_, messages)) => StoreEvent::Messages(id, messages),
                Err(error) => StoreEvent::FileError(format!("The chat cannot be read: {error}")),
            },
            Request::Search(number, text) => match search(&self.database, &text) {
                Ok(hits) => StoreEvent::Found(number, hits),
                Err(error) => StoreEvent::FileError(format!("The chats cannot be searched: {error}")),
            },
            Request::Export { chats, path, overwrite } => match self.export(&chats, &path, overwrite) {
                Ok((written, count)) => StoreEvent::Exported(written, count),
                Err(reason) => StoreEvent::FileError(format!("{} cannot be written: {reason}", path.display())),
            },
            Request::Import(path) => match exchange::read(&path) {
                Ok(archive) => match import(&mut self.database, &archive) {
                    Ok(()) => {
                        self.unindexed = true;
                        let left_out = archive.left_out;
                        let chats = archive.chats.into_iter().map(|entry| entry.chat).collect();
                        StoreEvent::Imported { chats, left_out }
                    }
                    Err(error) => StoreEvent::FileError(format!("{} cannot be imported: {error}.", path.display())),
                },
                Err(reason) => StoreEvent::FileError(reason),
            },
            Request::Write(_) | Request::Close => return,
        };
        (self.emit)(event);
    }

    fn export(&self, chats: &[Id], path: &Path, overwrite: bool) -> Result<(PathBuf, usize), String> {
        let mut archive = Archive::default();
        for id in chats {
            if let (Some(chat), messages) = self.read(*id).map_err(|error| error.to_string())? {
                archive.add(chat, messages);
            }
        }
        Ok((exchange::write(&archive, path, overwrite)?, archive.chats.len()))
    }
}

#[cfg(test)]
mod folder_tests;
// No unit test runs in a browser, so what the page does with rows is tested here.
#[cfg(test)]
#[path = "../page/instead/chats/store/rows.rs"]
#[allow(dead_code, reason = "only its tests are wanted here")]
mod page_rows;
#[cfg(test)]
mod tests;
