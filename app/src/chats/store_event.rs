//! What the store reports to the window.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;

use super::{Chat, Id, Message};

/// What [`Store::event`](super::Store::event) returns.
#[derive(Clone, Debug)]
pub enum StoreEvent {
    /// The database is open.
    Opened {
        /// All chats including those in the trash, the latest first.
        chats: Vec<Chat>,
        /// The values last saved by [`Store::save_value`](super::Store::save_value), by name.
        values: HashMap<String, String>,
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
    /// Chats were imported.
    Imported {
        /// The chats.
        chats: Vec<Chat>,
        /// What the file contains and a chat cannot hold, as a sentence.
        left_out: Option<String>,
    },
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
    /// The text around it, in one line.
    pub excerpt: String,
    /// The bytes of the excerpt that are searched for, in order.
    pub ranges: Vec<Range<usize>>,
}
