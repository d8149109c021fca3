//! What the store reports to the window.

use std::path::PathBuf;

use super::{Chat, Id, Message};

/// What [`Store::event`](super::Store::event) returns.
#[derive(Clone, Debug)]
pub enum StoreEvent {
    /// The database is open.
    Opened {
        /// All chats including those in the trash, the latest first.
        chats: Vec<Chat>,
        /// The settings last saved by [`Store::save_settings`](super::Store::save_settings).
        settings: Option<String>,
        /// The edits last saved by [`Store::save_edits`](super::Store::save_edits).
        edits: Option<String>,
        /// The sources last saved by [`Store::save_sources`](super::Store::save_sources).
        sources: Option<String>,
    },
    /// The database cannot be opened, and why. Chats are kept only until the program ends.
    NotOpened(String),
    /// The messages of a chat.
    Messages(Id, Vec<Message>),
    /// The hits of the search with this number.
    Found(u64, Vec<Hit>),
    /// A write failed, and why. It will be tried again.
    CannotSave(String),
    /// The writes that failed have been saved.
    SavedAgain,
    /// The thread has ended. Nothing is saved, read or exported any more.
    Ended,
    /// This number of chats was exported to this file.
    Exported(PathBuf, usize),
    /// These chats were imported.
    Imported(Vec<Chat>),
    /// An operation failed: a write that the database refused, a read, a search, an import or an export. Holds an error
    /// message.
    FileError(String),
}

/// A search hit.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The chat.
    pub chat: Id,
    /// The message that contains the text; `None` if the title does.
    pub message: Option<Id>,
    /// The text around it.
    pub excerpt: String,
}
