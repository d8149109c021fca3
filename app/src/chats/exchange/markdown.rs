//! Export to Markdown.

use std::fmt::Write as _;

use super::ArchivedChat;
use crate::chats::{Message, Role, Tree};

/// The shown branches of chats.
pub(super) fn document(chats: &[ArchivedChat]) -> String {
    chats.iter().map(chat).collect::<Vec<_>>().join("\n---\n\n")
}

/// The name of a message's author.
pub(super) fn author(message: &Message) -> &str {
    match (message.role, &message.model) {
        (Role::User, _) => "You",
        (Role::Model, Some(model)) => model,
        (Role::Model, None) => "Model",
    }
}

fn chat(entry: &ArchivedChat) -> String {
    let tree = Tree::new(entry.messages.clone(), entry.chat.leaf);
    let mut text = format!("# {}\n", entry.chat.shown_title());
    if !entry.chat.system.trim().is_empty() {
        let _ = write!(text, "\n> {}\n", entry.chat.system.trim().replace('\n', "\n> "));
    }
    for message in tree.branch() {
        let _ = write!(text, "\n## {}\n\n{}\n", author(message), message.prompt_text().trim_end());
    }
    text
}
