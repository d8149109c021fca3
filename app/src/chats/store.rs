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

use rusqlite::{Connection, OptionalExtension};

use super::database::{Write, all_chats, apply, chat, import, is_transient, messages, open, search};
use super::exchange::{self, Archive};
use super::store_event::StoreEvent;
use super::{Chat, Id, Message};

pub use super::database::MAX_HITS;

/// How long to wait before a failed write is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// The error message after the thread has ended, as the end of a sentence.
pub const THREAD_ENDED: &str = "the thread that reads and writes chats has ended; start Lapidary again";

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
                    WriteQueue { database, emit, pending: VecDeque::new(), failing: false }.run(&inbox);
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

    /// Saves the settings.
    pub fn save_settings(&self, settings: String) {
        self.request(Request::Write(vec![Write::Settings(settings)]));
    }

    /// Saves the unfinished edits.
    pub fn save_edits(&self, edits: String) {
        self.request(Request::Write(vec![Write::Edits(edits)]));
    }

    /// Saves the turns that summaries are made from.
    pub fn save_sources(&self, sources: String) {
        self.request(Request::Write(vec![Write::Sources(sources)]));
    }

    /// Reads a chat's messages. The answer is [`StoreEvent::Messages`].
    pub fn load(&self, chat: Id) {
        self.request(Request::Messages(chat));
    }

    /// Searches titles and messages for a text, ignoring case. The answer is [`StoreEvent::Found`] with this number.
    pub fn search(&self, number: u64, text: &str) {
        self.request(Request::Search(number, text.to_owned()));
    }

    /// Exports chats to a file, as Markdown if its name ends in `.md`, else as JSON. The answer is
    /// [`StoreEvent::Exported`]. Unless `overwrite` is set, an existing file is kept and the new name gets a number.
    /// Returns whether the thread is there to do it.
    pub fn export(&self, chats: Vec<Id>, path: PathBuf, overwrite: bool) -> bool {
        self.request(Request::Export { chats, path, overwrite })
    }

    /// Imports chats from a JSON file. The answer is [`StoreEvent::Imported`]. Chats that exist already are added again.
    /// Returns whether the thread is there to do it.
    pub fn import(&self, path: PathBuf) -> bool {
        self.request(Request::Import(path))
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
}

impl<S: Fn(StoreEvent)> WriteQueue<S> {
    fn run(mut self, inbox: &Receiver<Request>) {
        let mut tried = Instant::now();
        loop {
            let first = if self.pending.is_empty() {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                inbox.recv_timeout(RETRY_INTERVAL.saturating_sub(tried.elapsed()))
            };
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
        let mut found = self.database.query_row("SELECT * FROM chats WHERE id = ?", [id], chat).optional()?;
        let mut messages = messages(&self.database, id)?;
        for write in &self.pending {
            match write {
                Write::Chat(chat) if chat.id == id => found = Some(chat.clone()),
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
                    Ok(()) => StoreEvent::Imported(archive.chats.into_iter().map(|entry| entry.chat).collect()),
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
mod tests {
    use super::*;
    use crate::chats::{Hit, Role, Speed, Status};

    fn no_wake() -> Arc<dyn Fn() + Send + Sync> {
        Arc::new(|| {})
    }

    fn wait(store: &Store) -> StoreEvent {
        store.events.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    fn sample() -> (Chat, Vec<Message>) {
        let mut chat = Chat::new();
        chat.title = "Äpfel".into();
        let first = Message::new(None, Role::User, "How many ÄPFEL?", Status::Done);
        let mut second = Message::new(Some(first.id), Role::Model, "Seven.", Status::Stopped);
        second.speed = Some(Speed { tokens: 3, first_token_ms: 12.5, tokens_per_s: 40.0 });
        second.model = Some("guide".into());
        second.note = Some("a note".into());
        chat.leaf = Some(second.id);
        (chat, vec![first, second])
    }

    fn save(store: &Store, chat: &Chat, messages: &[Message]) {
        store.save_chat(chat);
        messages.iter().for_each(|message| store.save_message(chat.id, message));
    }

    #[test]
    fn saved_chats_are_read_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/chats.sqlite");
        let (chat, messages) = sample();
        {
            let store = Store::open(Some(path.clone()), no_wake());
            assert!(matches!(wait(&store), StoreEvent::Opened { chats, settings: None, .. } if chats.is_empty()));
            save(&store, &chat, &messages);
            store.append(messages[1].id, " Or eight.".into());
            store.save_settings("{}".into());
        }
        let store = Store::open(Some(path), no_wake());
        let StoreEvent::Opened { chats, settings, .. } = wait(&store) else { panic!() };
        assert_eq!((chats, settings.as_deref()), (vec![chat.clone()], Some("{}")));
        store.load(chat.id);
        let StoreEvent::Messages(_, mut found) = wait(&store) else { panic!() };
        found.sort_by_key(|message| message.role == Role::Model);
        assert_eq!(found[0], messages[0]);
        assert_eq!(found[1], Message { text: "Seven. Or eight.".into(), ..messages[1].clone() });
        // A chat that is saved again keeps its messages. A deleted chat does not.
        store.save_chat(&chat);
        store.load(chat.id);
        assert!(matches!(wait(&store), StoreEvent::Messages(_, found) if found.len() == 2));
        store.forget(chat.id);
        store.load(chat.id);
        assert!(matches!(wait(&store), StoreEvent::Messages(_, found) if found.is_empty()));
    }

    #[test]
    fn search_ignores_case_and_finds_titles_and_messages() {
        let store = Store::open(None, no_wake());
        wait(&store);
        let (mut chat, messages) = sample();
        save(&store, &chat, &messages);
        store.search(1, " äpfel ");
        let StoreEvent::Found(1, hits) = wait(&store) else { panic!() };
        assert_eq!(hits.len(), 2);
        assert_eq!(hits[1], Hit { chat: chat.id, message: Some(messages[0].id), excerpt: "How many ÄPFEL?".into() });
        store.search(2, "100%");
        assert!(matches!(wait(&store), StoreEvent::Found(2, hits) if hits.is_empty()));
        chat.deleted = Some(super::super::now());
        store.save_chat(&chat);
        store.search(3, "äpfel");
        assert!(matches!(wait(&store), StoreEvent::Found(3, hits) if hits.is_empty()), "the trash is not searched");
    }

    /// A write queue without its thread over a database that cannot grow, and its events.
    fn on_a_full_disk(path: &Path) -> (WriteQueue<impl Fn(StoreEvent) + use<>>, Receiver<StoreEvent>) {
        let (sender, events) = mpsc::channel();
        let emit = move |event| sender.send(event).unwrap();
        let queue = WriteQueue { database: open(Some(path)).unwrap(), emit, pending: VecDeque::new(), failing: false };
        let pages: i64 = queue.database.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        limit(&queue.database, pages);
        (queue, events)
    }

    fn limit(database: &Connection, pages: i64) {
        database.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0)).unwrap();
    }

    #[test]
    fn writes_refused_by_a_full_disk_are_kept_and_saved_later() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queue, events) = on_a_full_disk(&folder.path().join("chats.sqlite"));
        let (chat, mut messages) = sample();
        messages[1].text = "long ".repeat(10_000);
        queue.pending.push_back(Write::Chat(chat.clone()));
        queue.pending.extend(messages.iter().map(|message| Write::Message(chat.id, message.clone())));
        queue.pending.push_back(Write::Append(messages[1].id, "and longer".into()));
        queue.write();
        queue.write();
        let StoreEvent::CannotSave(reason) = events.try_recv().unwrap() else { panic!() };
        assert!(reason.contains("full"), "{reason}");
        assert!(events.try_recv().is_err(), "it is reported once");
        // Reads meanwhile include the waiting writes, which can be exported to another disk.
        queue.answer(Request::Messages(chat.id));
        let StoreEvent::Messages(_, mut shown) = events.try_recv().unwrap() else { panic!() };
        shown.sort_by_key(|message| message.role == Role::Model);
        assert!(shown.len() == 2 && shown[1].text.ends_with("long and longer"));
        let rescued = folder.path().join("rescued.json");
        queue.answer(Request::Export { chats: vec![chat.id], path: rescued.clone(), overwrite: false });
        assert!(matches!(events.try_recv().unwrap(), StoreEvent::Exported(_, 1)));
        assert!(std::fs::read_to_string(rescued).unwrap().contains("long and longer"));
        limit(&queue.database, 1 << 20);
        queue.write();
        assert!(matches!(events.try_recv().unwrap(), StoreEvent::SavedAgain));
        let mut saved = super::messages(&queue.database, chat.id).unwrap();
        saved.sort_by_key(|message| message.role == Role::Model);
        assert!(saved == shown);
    }

    #[test]
    fn an_import_that_does_not_fit_is_reported_and_blocks_no_other_write() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queue, events) = on_a_full_disk(&folder.path().join("chats.sqlite"));
        let (chat, mut messages) = sample();
        messages[1].text = "long ".repeat(10_000);
        let file = folder.path().join("large.json");
        let mut archive = Archive::default();
        archive.add(chat, messages);
        exchange::write(&archive, &file, false).unwrap();
        queue.answer(Request::Import(file));
        let StoreEvent::FileError(reason) = events.try_recv().unwrap() else { panic!() };
        assert!(reason.contains("large.json cannot be imported") && reason.contains("full"), "{reason}");
        queue.pending.push_back(Write::Settings("{}".into()));
        queue.write();
        assert!(queue.pending.is_empty() && events.try_recv().is_err());
    }

    #[test]
    fn a_write_refused_by_the_database_blocks_no_other_write() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queue, events) = on_a_full_disk(&folder.path().join("chats.sqlite"));
        limit(&queue.database, 1 << 20);
        let (chat, messages) = sample();
        queue.pending.push_back(Write::Message(7, messages[0].clone()));
        queue.pending.push_back(Write::Chat(chat.clone()));
        queue.write();
        assert!(matches!(events.try_recv().unwrap(), StoreEvent::FileError(_)), "no chat 7 is there");
        assert!(queue.pending.is_empty() && events.try_recv().is_err());
        assert_eq!(queue.read(chat.id).unwrap().0, Some(chat));
    }

    #[test]
    fn a_newer_or_broken_database_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chats.sqlite");
        open(Some(&path)).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(open(Some(&path)).unwrap_err().contains("newer Lapidary"));
        std::fs::write(&path, "this is no database, whatever its name says").unwrap();
        assert!(open(Some(&path)).unwrap_err().contains("cannot be opened"));
        assert_eq!(std::fs::read(&path).unwrap().len(), 43);
    }

    #[test]
    fn the_newest_hits_are_returned_if_there_are_too_many() {
        let store = Store::open(None, no_wake());
        wait(&store);
        let (chat, _) = sample();
        let messages: Vec<Message> = (0..MAX_HITS as i64 + 50)
            .map(|created| Message { created, ..Message::new(None, Role::User, "hay", Status::Done) })
            .collect();
        store.save_chat_with(&chat, &messages);
        store.search(1, "hay");
        let StoreEvent::Found(1, hits) = wait(&store) else { panic!() };
        let newest: Vec<_> = messages.iter().rev().take(MAX_HITS).map(|message| Some(message.id)).collect();
        assert_eq!(hits.iter().map(|hit| hit.message).collect::<Vec<_>>(), newest);
    }

    #[test]
    fn without_a_database_chats_are_still_found_and_exported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chats.sqlite");
        std::fs::write(&path, "this is no database, whatever its name says").unwrap();
        let store = Store::open(Some(path.clone()), no_wake());
        assert!(matches!(wait(&store), StoreEvent::NotOpened(_)));
        let (chat, messages) = sample();
        save(&store, &chat, &messages);
        store.search(1, "seven");
        assert!(matches!(wait(&store), StoreEvent::Found(1, hits) if hits.len() == 1));
        store.export(vec![chat.id], folder.path().join("saved.json"), false);
        assert!(matches!(wait(&store), StoreEvent::Exported(_, 1)));
        drop(store);
        assert_eq!(std::fs::read(&path).unwrap().len(), 43);
        // The same without a data folder.
        let store = Store::without_folder("No folder".into(), no_wake());
        assert!(matches!(wait(&store), StoreEvent::NotOpened(reason) if reason == "No folder"));
        save(&store, &chat, &messages);
        store.search(1, "seven");
        assert!(matches!(wait(&store), StoreEvent::Found(1, hits) if hits.len() == 1));
    }

    #[test]
    fn the_end_of_the_thread_is_reported_once() {
        let (requests, inbox) = mpsc::channel();
        let (_, events) = mpsc::channel();
        drop(inbox);
        let store = Store { requests, events, thread: None, reported: Cell::new(Reported::Nothing) };
        assert!(matches!(store.event(), Some(StoreEvent::NotOpened(_))), "the window waits for it to load a model");
        assert!(matches!(store.event(), Some(StoreEvent::Ended)));
        store.save_settings("{}".into());
        assert!(store.event().is_none());
        assert!(!store.export(vec![1], "chats.json".into(), false));
    }

    #[test]
    fn errors_of_the_file_are_transient() {
        let refused = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        use rusqlite::ffi::{SQLITE_CONSTRAINT, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_NOTADB};
        assert!([SQLITE_CORRUPT, SQLITE_FULL, SQLITE_NOTADB].into_iter().all(|code| is_transient(&refused(code))));
        assert!(!is_transient(&refused(SQLITE_CONSTRAINT)));
    }
}
