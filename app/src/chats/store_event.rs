//! What the store reports to the window.

use std::path::PathBuf;

use super::{Chat, Id, Message};

/// What [`Store::event`](super::Store::event) returns.
#[derive(Clone, Debug)]
pub enum StoreEvent {
    /// The database is open: its chats, latest first, and the settings that were saved.
    Opened {
        /// All chats, those in the trash among them.
        chats: Vec<Chat>,
        /// What was saved last by [`Store::save_settings`](super::Store::save_settings).
        settings: Option<String>,
        /// What was saved last by [`Store::save_edits`](super::Store::save_edits).
        edits: Option<String>,
        /// What was saved last by [`Store::save_sources`](super::Store::save_sources).
        sources: Option<String>,
    },
    /// The database cannot be opened; chats are kept only until the end of the program.
    NotOpened(String),
    /// The messages of a chat.
    Messages(Id, Vec<Message>),
    /// What a search found, by its number.
    Found(u64, Vec<Hit>),
    /// Something could not be saved; it is tried again.
    CannotSave(String),
    /// What could not be saved is saved now.
    SavedAgain,
    /// The thread is gone: nothing is saved, read or written to files any more.
    Ended,
    /// Chats were written to a file.
    Exported(PathBuf, usize),
    /// Chats were read from a file.
    Imported(Vec<Chat>),
    /// A file could not be written or read.
    FileError(String),
}

/// A search's hit.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The chat.
    pub chat: Id,
    /// The message that holds the text, or none where the title does.
    pub message: Option<Id>,
    /// The text around it.
    pub excerpt: String,
}
