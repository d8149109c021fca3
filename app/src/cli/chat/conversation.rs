//! The chat in the terminal as a tree of messages, kept in the same database as those of the window.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lapidary_app::chats::exchange::{self, Archive, ArchivedChat};
use lapidary_app::chats::{
    Chat, Id, Message, Reader, Role, Speed, Status, Store, StoreEvent, Tree, now, push_turn, title_of,
};
use lapidary_app::data_folder::{Lock, NotLocked, data_folder, database};
use lapidary_engine::Timings;

use crate::cli::failure::print_error;

/// How often a growing reply is saved.
const SAVE_INTERVAL: Duration = Duration::from_millis(250);
/// How long to wait for the database to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The present chat.
pub(super) struct Conversation {
    chat: Chat,
    tree: Tree,
    keeping: Keeping,
    /// Whether all messages but the newest are in the database already.
    stored: bool,
    /// Text of the reply that is not saved yet, and when it was saved last.
    unsaved: (String, Instant),
}

/// Whether the chat is saved.
enum Keeping {
    /// It is not known before the first message.
    Undecided,
    /// In the database, which is locked as long as the chat lasts.
    Saved { store: Store, _lock: Lock },
    /// Nowhere, for example because the window has the chats open.
    Unsaved,
}

impl Conversation {
    /// An empty chat. Unless `kept`, it is never saved.
    pub(super) fn new(system: String, kept: bool) -> Self {
        let keeping = if kept { Keeping::Undecided } else { Keeping::Unsaved };
        let chat = Chat { system, ..Chat::new() };
        Self { chat, tree: Tree::default(), keeping, stored: false, unsaved: (String::new(), Instant::now()) }
    }

    /// Begins another chat, with the same system prompt.
    pub(super) fn clear(&mut self) {
        self.chat = Chat { system: std::mem::take(&mut self.chat.system), ..Chat::new() };
        self.tree = Tree::default();
        self.stored = false;
    }

    /// Continues a chat, which is in the database if it is `stored`.
    pub(super) fn resume(&mut self, entry: ArchivedChat, stored: bool) {
        self.stored = stored;
        let leaf = entry.chat.leaf;
        self.tree = Tree::new(entry.messages, leaf);
        self.chat = entry.chat;
        // A reply that was cut off by the end of its program is complete as it is.
        let stale = |message: &&Message| message.status.is_unfinished();
        let stale: Vec<Id> = self.tree.messages().filter(stale).map(|message| message.id).collect();
        for id in stale {
            if let Some(message) = self.tree.get_mut(id) {
                message.status = Status::Stopped;
            }
        }
    }

    pub(super) fn system(&self) -> &str {
        &self.chat.system
    }

    pub(super) fn set_system(&mut self, text: &str) {
        self.chat.system = text.to_owned();
        self.save_chat();
    }

    pub(super) fn title(&self) -> &str {
        self.chat.shown_title()
    }

    /// The messages of the shown branch.
    pub(super) fn branch(&self) -> impl Iterator<Item = &Message> {
        self.tree.branch()
    }

    /// The turns for the model: the shown branch, and then a new question.
    pub(super) fn turns_with(&self, question: &str) -> Vec<(Role, String)> {
        let mut turns = self.tree.leaf().map(|leaf| self.tree.turns(leaf)).unwrap_or_default();
        // A chat that was loaded may end with a question.
        push_turn(&mut turns, Role::User, question);
        turns
    }

    /// The turns up to the last question; `None` if there is none.
    pub(super) fn turns_again(&self) -> Option<Vec<(Role, String)>> {
        Some(self.tree.turns(self.last_question()?))
    }

    /// Adds a question and an empty reply by a model, whose id is returned.
    pub(super) fn ask(&mut self, text: &str, model: &str) -> Id {
        let question = Message::new(self.tree.leaf(), Role::User, text, Status::Done);
        let id = question.id;
        if self.chat.title.is_empty() {
            let title = title_of(text);
            self.chat.title = if title.is_empty() { "Untitled".into() } else { title };
        }
        self.tree.add(question);
        self.add_reply(id, model)
    }

    /// Adds another empty reply to the last question; `None` without one.
    pub(super) fn ask_again(&mut self, model: &str) -> Option<Id> {
        let question = self.last_question()?;
        Some(self.add_reply(question, model))
    }

    fn add_reply(&mut self, question: Id, model: &str) -> Id {
        let mut reply = Message::new(Some(question), Role::Model, "", Status::Writing);
        // Siblings are ordered by time, and a reply must not seem older than its question.
        reply.created = reply.created.max(self.tree.get(question).map_or(0, |question| question.created + 1));
        reply.model = Some(model.to_owned());
        let id = reply.id;
        self.tree.add(reply);
        self.touch();
        self.unsaved = (String::new(), Instant::now());
        self.open_store();
        if let Keeping::Saved { store, .. } = &self.keeping {
            let is_new = |message: &&Message| !self.stored || message.id == question || message.id == id;
            let messages: Vec<Message> = self.tree.messages().filter(is_new).cloned().collect();
            store.save_chat_with(&self.chat, &messages);
            self.stored = true;
        }
        id
    }

    /// Takes back the last question with its reply. They stay in the database, as a branch that is not shown. Returns the
    /// question's text.
    pub(super) fn undo(&mut self) -> Option<String> {
        let question = self.last_question()?;
        let message = self.tree.get(question)?;
        let (text, parent) = (message.text.clone(), message.parent);
        self.tree.show(parent);
        self.touch();
        self.save_chat();
        Some(text)
    }

    fn last_question(&self) -> Option<Id> {
        self.tree.branch().rev().find(|message| message.role == Role::User).map(|message| message.id)
    }

    /// Appends to a reply.
    pub(super) fn append(&mut self, reply: Id, piece: &str) {
        if let Some(message) = self.tree.get_mut(reply) {
            message.text.push_str(piece);
        }
        self.unsaved.0.push_str(piece);
        if self.unsaved.1.elapsed() >= SAVE_INTERVAL {
            let text = std::mem::take(&mut self.unsaved.0);
            self.unsaved.1 = Instant::now();
            if let Keeping::Saved { store, .. } = &self.keeping {
                store.append(reply, text);
            }
        }
        self.report_events();
    }

    /// Marks a reply as ended, with its speed if it has tokens.
    pub(super) fn end(&mut self, reply: Id, status: Status, timings: Option<&Timings>) {
        let Some(message) = self.tree.get_mut(reply) else { return };
        message.status = status;
        message.speed = timings.map(Speed::of);
        if let Keeping::Saved { store, .. } = &self.keeping {
            store.save_message(self.chat.id, message);
        }
        self.touch();
        self.save_chat();
    }

    /// Marks a reply as ended by an error, with the reason.
    pub(super) fn fail(&mut self, reply: Id, reason: &str) {
        if let Some(message) = self.tree.get_mut(reply) {
            message.note = Some(reason.to_owned());
        }
        self.end(reply, Status::Failed, None);
    }

    fn touch(&mut self) {
        self.chat.updated = now();
        self.chat.leaf = self.tree.leaf();
    }

    fn save_chat(&self) {
        // A chat is saved with its first message.
        if let Keeping::Saved { store, .. } = &self.keeping
            && self.chat.has_messages()
        {
            store.save_chat(&self.chat);
        }
        self.report_events();
    }

    /// Writes the chat to a file. Returns where.
    ///
    /// # Errors
    /// The reason, without the path.
    pub(super) fn export(&self, path: &Path) -> Result<std::path::PathBuf, String> {
        let mut archive = Archive::default();
        archive.add(self.chat.clone(), self.tree.messages().cloned().collect());
        exchange::write(&archive, path, false)
    }

    /// Opens the database, or says why the chat is not saved.
    fn open_store(&mut self) {
        if !matches!(self.keeping, Keeping::Undecided) {
            return;
        }
        self.keeping = match open() {
            Ok((store, lock)) => Keeping::Saved { store, _lock: lock },
            Err(reason) => {
                print_error(&format!("{reason}, so this chat is not kept; /save FILE writes it to a file"));
                Keeping::Unsaved
            }
        };
    }

    /// Reports errors of the database.
    fn report_events(&self) {
        let Keeping::Saved { store, .. } = &self.keeping else { return };
        while let Some(event) = store.event() {
            match event {
                StoreEvent::CannotSave(reason) => {
                    print_error(&format!("the chat cannot be saved at present ({reason}); it will be tried again"));
                }
                StoreEvent::SavedAgain => print_error("the chat is saved again"),
                StoreEvent::FileError(reason) => print_error(&reason),
                StoreEvent::Ended => print_error("the chat is not saved any more; /save FILE writes it to a file"),
                _ => {}
            }
        }
    }
}

/// Locks and opens the database of chats.
fn open() -> Result<(Store, Lock), String> {
    let folder = data_folder().ok_or("this system has no known folder for user data")?;
    let lock = Lock::take(&folder).map_err(|error| match error {
        NotLocked::InUse => "the chats are open in the window or in another terminal".to_owned(),
        NotLocked::Failed(error) => format!("{} cannot be used: {error}", folder.display()),
    })?;
    let (sender, woken) = mpsc::channel();
    let wake = move || {
        // Sending fails once the database is open, when nobody waits.
        let _ = sender.send(());
    };
    let store = Store::open(Some(database(&folder)), Arc::new(wake));
    let started = Instant::now();
    loop {
        match store.event() {
            Some(StoreEvent::Opened { .. }) => return Ok((store, lock)),
            Some(StoreEvent::NotOpened(reason)) => return Err(reason),
            _ if started.elapsed() > OPEN_TIMEOUT => return Err("the database does not open".into()),
            _ => {
                let _ = woken.recv_timeout(Duration::from_millis(100));
            }
        }
    }
}

/// The chats of the database that are not in the trash, the latest first, and what reads them.
///
/// # Errors
/// An error message.
pub(in crate::cli) fn saved_chats() -> Result<Option<(Reader, Vec<Chat>)>, String> {
    let Some(folder) = data_folder() else { return Ok(None) };
    let Some(reader) = Reader::open(&database(&folder))? else { return Ok(None) };
    let chats = reader.chats()?.into_iter().filter(|chat| chat.deleted.is_none()).collect();
    Ok(Some((reader, chats)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(conversation: &Conversation) -> Vec<&str> {
        conversation.branch().map(|message| message.text.as_str()).collect()
    }

    fn answer(conversation: &mut Conversation, reply: Id, text: &str) {
        conversation.append(reply, text);
        conversation.end(reply, Status::Done, None);
    }

    #[test]
    fn replies_are_replaced_and_taken_back_without_being_lost() {
        let mut conversation = Conversation::new("Be brief.".into(), false);
        assert!(conversation.undo().is_none() && conversation.ask_again("m").is_none());
        let reply = conversation.ask("a", "m");
        answer(&mut conversation, reply, "A");
        assert_eq!(conversation.turns_with("b").last(), Some(&(Role::User, "b".to_owned())));
        let reply = conversation.ask("b", "m");
        answer(&mut conversation, reply, "B");
        assert_eq!(texts(&conversation), ["a", "A", "b", "B"]);
        assert_eq!(conversation.turns_again().unwrap().len(), 3, "the earlier reply is not part of the prompt");
        let reply = conversation.ask_again("m").unwrap();
        answer(&mut conversation, reply, "B2");
        assert_eq!(texts(&conversation), ["a", "A", "b", "B2"]);
        assert_eq!(conversation.undo().as_deref(), Some("b"));
        assert_eq!(texts(&conversation), ["a", "A"]);
        assert_eq!(conversation.tree.messages().count(), 5);
        assert_eq!((conversation.title(), conversation.system()), ("a", "Be brief."));
        conversation.clear();
        assert_eq!((texts(&conversation).len(), conversation.system()), (0, "Be brief."));
    }

    #[test]
    fn a_chat_is_continued_where_it_ended() {
        let mut conversation = Conversation::new(String::new(), false);
        let reply = conversation.ask("a", "m");
        conversation.append(reply, "A");
        let mut archive = Archive::default();
        archive.add(conversation.chat.clone(), conversation.tree.messages().cloned().collect());
        let mut other = Conversation::new(String::new(), false);
        other.resume(archive.chats.remove(0), false);
        assert_eq!(texts(&other), ["a", "A"]);
        assert_eq!(other.branch().last().unwrap().status, Status::Stopped);
    }
}
