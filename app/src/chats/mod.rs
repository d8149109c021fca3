//! Chats: trees of messages, and their storage.

mod attachment;
#[cfg(not(target_arch = "wasm32"))]
mod database;
pub mod exchange;
mod find;
mod folder;
mod groups;
mod options;
#[cfg(not(target_arch = "wasm32"))]
mod reader;
mod search;
#[cfg_attr(target_arch = "wasm32", path = "../page/instead/chats/store.rs")]
pub mod store;
mod store_event;
pub mod tree;

use std::borrow::Cow;

use lapidary_engine::{Finish, Timings};
use serde::{Deserialize, Serialize};

pub use attachment::{Attachment, with_attachments};
pub use find::find_ignoring_case;
pub use folder::Folder;
pub use groups::{Group, group_by_date};
pub use options::ChatOptions;
#[cfg(not(target_arch = "wasm32"))]
pub use reader::{Reader, change_value};
pub use search::MAX_HITS;
pub use store::Store;
pub use store_event::{Hit, StoreEvent};
pub use tree::{Removed, Tree, push_turn};

/// Identifies a chat or a message. Unique across machines, so that chats can be exchanged.
pub type Id = i64;

/// A new random id. Random ids need no query of the database.
pub fn new_id() -> Id {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_i64(now());
    // Positive, and exact in JSON readers that use doubles.
    ((hasher.finish() >> 11) as Id).max(1)
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = web_time::SystemTime::now().duration_since(web_time::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The user.
    User,
    /// The model.
    Model,
}

/// The status of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Complete.
    Done,
    /// A reply being generated. In a database read at the start, a reply cut off by the end of the program.
    Writing,
    /// A message that waits for the engine.
    Queued,
    /// Stopped by the user.
    Stopped,
    /// Ended by the token limit.
    MaxTokens,
    /// Ended because the context is full.
    ContextFull,
    /// Ended by an error.
    Failed,
}

impl Status {
    /// All statuses, for reading from a database.
    pub const ALL: [Status; 7] = [
        Status::Done,
        Status::Writing,
        Status::Queued,
        Status::Stopped,
        Status::MaxTokens,
        Status::ContextFull,
        Status::Failed,
    ];

    /// The status of a reply that ended for this reason; `None` if it was stopped.
    pub fn of(finish: Option<Finish>) -> Self {
        match finish {
            Some(Finish::Stop) => Status::Done,
            Some(Finish::MaxTokens) => Status::MaxTokens,
            Some(Finish::ContextFull) => Status::ContextFull,
            _ => Status::Stopped,
        }
    }

    /// Whether the engine works on the message, or will.
    pub fn is_unfinished(self) -> bool {
        matches!(self, Status::Writing | Status::Queued)
    }

    /// The status once no engine works on the message any more: what was written stays, and what waited is complete.
    pub fn settled(self) -> Self {
        match self {
            Status::Writing => Status::Stopped,
            Status::Queued => Status::Done,
            status => status,
        }
    }

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Writing => "writing",
            Status::Queued => "queued",
            Status::Stopped => "stopped",
            Status::MaxTokens => "max_tokens",
            Status::ContextFull => "context_full",
            Status::Failed => "failed",
        }
    }
}

/// The speed of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Tokens of the reply.
    pub tokens: u32,
    /// Milliseconds until the first token.
    pub first_token_ms: f64,
    /// Tokens per second after the first.
    pub tokens_per_s: f64,
}

impl Speed {
    /// The speed of a reply with these timings.
    pub fn of(timings: &Timings) -> Self {
        let decode_s = timings.decode_ms / 1e3;
        Self {
            tokens: (timings.decode_tokens + usize::from(timings.prefill_ms > 0.0)) as u32,
            first_token_ms: timings.prefill_ms,
            tokens_per_s: if decode_s > 0.0 { timings.decode_tokens as f64 / decode_s } else { 0.0 },
        }
    }
}

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: Id,
    /// The message that it answers or follows; `None` for the first.
    pub parent: Option<Id>,
    /// Its author.
    pub role: Role,
    /// Its text, in Markdown.
    pub text: String,
    /// The texts attached to it, which the model reads before its text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Its status.
    pub status: Status,
    /// Milliseconds since 1970.
    pub created: i64,
    /// The model that generated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How fast it was generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
    /// A remark that is shown below it, such as an error or the number of dropped turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Message {
    /// A message with a new id, created now.
    pub fn new(parent: Option<Id>, role: Role, text: impl Into<String>, status: Status) -> Self {
        let (id, created) = (new_id(), now());
        Self {
            id,
            parent,
            role,
            text: text.into(),
            attachments: Vec::new(),
            status,
            created,
            model: None,
            speed: None,
            note: None,
        }
    }

    /// The message as the model sees it.
    pub fn prompt_text(&self) -> Cow<'_, str> {
        with_attachments(&self.attachments, &self.text)
    }

    /// Whether it has neither text nor attachments.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty() && self.attachments.is_empty()
    }
}

/// A chat without its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// Its id.
    pub id: Id,
    /// The title in the list; empty before the first message.
    pub title: String,
    /// Whether the user chose the title.
    #[serde(default)]
    pub named: bool,
    /// Whether it is listed before all others.
    #[serde(default)]
    pub pinned: bool,
    /// Milliseconds since 1970.
    pub created: i64,
    /// The time of the last message, in milliseconds since 1970.
    pub updated: i64,
    /// The time it was moved to the trash, in milliseconds since 1970; `None` if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<i64>,
    /// The system prompt.
    #[serde(default)]
    pub system: String,
    /// The last message of the shown branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<Id>,
    /// Text that is typed and not yet sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub draft: String,
    /// The attachments of the draft.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// What it chooses for itself in place of the settings.
    #[serde(default)]
    pub options: ChatOptions,
    /// The id of the [`Folder`] that it is in. A folder that no longer exists is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Id>,
}

impl Chat {
    /// An empty chat with a new id, created now.
    pub fn new() -> Self {
        let at = now();
        Self {
            id: new_id(),
            title: String::new(),
            named: false,
            pinned: false,
            created: at,
            updated: at,
            deleted: None,
            system: String::new(),
            leaf: None,
            draft: String::new(),
            attachments: Vec::new(),
            options: ChatOptions::default(),
            folder: None,
        }
    }

    /// Whether it has messages.
    pub fn has_messages(&self) -> bool {
        !self.title.is_empty()
    }

    /// The title, or a placeholder for an empty chat.
    pub fn shown_title(&self) -> &str {
        if self.title.is_empty() { "New chat" } else { &self.title }
    }
}

impl Default for Chat {
    fn default() -> Self {
        Self::new()
    }
}

/// A title made from the first message: its first line, cut between words.
pub fn title_of(text: &str) -> String {
    const LONGEST: usize = 48;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = line.trim_start_matches(['#', '>', '*', '-', '`', ' ']);
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    let cut: String = line.chars().take(LONGEST).collect();
    // Text without spaces is cut anywhere.
    let at = cut.rfind(char::is_whitespace).filter(|at| *at > LONGEST / 2).unwrap_or(cut.len());
    format!("{}…", cut[..at].trim_end_matches([' ', ',', ';', ':', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_the_first_line_cut_at_a_word() {
        assert_eq!(title_of("\n  # How do I open a model?\nmore"), "How do I open a model?");
        assert_eq!(
            title_of("Please explain to me in detail, how the sliding window works"),
            "Please explain to me in detail, how the sliding…"
        );
        let long = "日".repeat(60);
        assert_eq!(title_of(&long).chars().count(), 49);
        assert_eq!(title_of(" "), "");
    }

    #[test]
    fn status_names_match_json() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("{:?}", status.name()));
        }
    }
}
