//! Conversations: trees of messages, and where they are kept.

mod database;
pub mod exchange;
pub mod store;
mod store_event;
pub mod tree;

use serde::{Deserialize, Serialize};

pub use store::Store;
pub use store_event::{Hit, StoreEvent};
pub use tree::Tree;

/// Names a chat or a message, on this machine and wherever it is imported.
pub type Id = i64;

/// A new id. They are drawn at random, so that whoever makes one need not ask the database.
pub fn new_id() -> Id {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_i64(now());
    // Positive, and whole in a JSON reader that knows only doubles.
    ((hasher.finish() >> 11) as Id).max(1)
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}

/// Who said a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Model,
}

/// How a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Complete.
    Done,
    /// A reply under way; found at the start, one that the end of the program cut off.
    Writing,
    /// A message that waits for the reply before it to end.
    Queued,
    /// Stopped by the person.
    Stopped,
    /// Ended by the limit of tokens.
    MaxTokens,
    /// Ended by the end of the context.
    ContextFull,
    /// Ended by an error.
    Failed,
}

impl Status {
    /// Every status, for reading from a database.
    pub const ALL: [Status; 7] = [
        Status::Done,
        Status::Writing,
        Status::Queued,
        Status::Stopped,
        Status::MaxTokens,
        Status::ContextFull,
        Status::Failed,
    ];

    /// As the database spells it.
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

/// How long a reply took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Tokens of the reply.
    pub tokens: u32,
    /// Milliseconds to the first of them.
    pub first_token_ms: f64,
    /// Tokens a second after the first.
    pub tokens_per_s: f64,
}

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its name.
    pub id: Id,
    /// The message that it answers or follows; none for the first.
    pub parent: Option<Id>,
    /// Who said it.
    pub role: Role,
    /// What was said, in Markdown.
    pub text: String,
    /// How it stands.
    pub status: Status,
    /// Milliseconds since 1970.
    pub created: i64,
    /// The model that said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
    /// What the person should know of it: an error, or what was left out of the context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Message {
    /// A message of now.
    pub fn new(parent: Option<Id>, role: Role, text: impl Into<String>, status: Status) -> Self {
        let (id, created) = (new_id(), now());
        Self { id, parent, role, text: text.into(), status, created, model: None, speed: None, note: None }
    }
}

/// What is known of a chat without its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// Its name in the database.
    pub id: Id,
    /// What the list shows; empty before the first message.
    pub title: String,
    /// Whether a person chose the title.
    #[serde(default)]
    pub named: bool,
    /// Milliseconds since 1970.
    pub created: i64,
    /// When something was said last, in milliseconds since 1970.
    pub updated: i64,
    /// When it went to the trash, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<i64>,
    /// What the model should know before the first message.
    #[serde(default)]
    pub system: String,
    /// The last message of the branch that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<Id>,
    /// What is typed and not yet sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub draft: String,
}

impl Chat {
    /// An empty chat of now.
    pub fn new() -> Self {
        let at = now();
        Self {
            id: new_id(),
            title: String::new(),
            named: false,
            created: at,
            updated: at,
            deleted: None,
            system: String::new(),
            leaf: None,
            draft: String::new(),
        }
    }

    /// Whether anything was said in it.
    pub fn is_begun(&self) -> bool {
        !self.title.is_empty()
    }

    /// What the list calls it.
    pub fn shown_title(&self) -> &str {
        if self.title.is_empty() { "New chat" } else { &self.title }
    }
}

impl Default for Chat {
    fn default() -> Self {
        Self::new()
    }
}

/// A title for what was said first: its first line, cut at a word.
pub fn title_of(text: &str) -> String {
    const LONGEST: usize = 48;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = line.trim_start_matches(['#', '>', '*', '-', '`', ' ']);
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    let cut: String = line.chars().take(LONGEST).collect();
    // A language without spaces is cut anywhere.
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
    fn names_of_statuses_are_those_of_json() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("{:?}", status.name()));
        }
    }
}
