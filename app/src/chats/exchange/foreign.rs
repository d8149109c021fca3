//! Import of the exports of ChatGPT and Open WebUI.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Archive, ArchivedChat, chatgpt, open_webui};
use crate::chats::{Chat, Id, Message, Role, Status, new_id, now, title_of};

/// A conversation of either program.
#[derive(Deserialize)]
struct Conversation {
    title: Option<String>,
    // ChatGPT.
    create_time: Option<f64>,
    update_time: Option<f64>,
    mapping: Option<HashMap<String, Option<chatgpt::Node>>>,
    current_node: Option<String>,
    // Open WebUI.
    chat: Option<open_webui::Content>,
    created_at: Option<f64>,
    updated_at: Option<f64>,
    pinned: Option<bool>,
}

/// A node of a conversation's tree, whichever program it comes from.
pub(super) struct Node {
    /// The key of the node it follows.
    pub(super) parent: Option<String>,
    /// Its message; `None` if it holds nothing for a chat.
    pub(super) message: Option<Message>,
}

/// Counts what a chat cannot hold.
#[derive(Default)]
pub(super) struct LeftOut {
    /// Pictures, recordings and files.
    pub(super) files: usize,
    /// Messages between the model and its tools.
    pub(super) tools: usize,
    /// Conversations without any message that a chat can hold.
    pub(super) empty: usize,
}

impl LeftOut {
    fn sentence(&self) -> Option<String> {
        let count = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("one {one}")),
            count => Some(format!("{count} {many}")),
        };
        let parts: Vec<String> = [
            count(self.files, "picture or file", "pictures and files"),
            count(self.tools, "message of a tool", "messages of tools"),
            count(self.empty, "empty chat", "empty chats"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (last, rest) = parts.split_last()?;
        let list = if rest.is_empty() { last.clone() } else { format!("{} and {last}", rest.join(", ")) };
        Some(format!("Left out: {list}."))
    }
}

/// Reads a list of conversations.
///
/// # Errors
/// The reason, as the end of a sentence.
pub(super) fn read(text: &str) -> Result<Archive, String> {
    const OTHER: &str = "it is not a JSON export of Lapidary, ChatGPT or Open WebUI";
    let conversations: Vec<Conversation> = serde_json::from_str(text).map_err(|error| format!("{OTHER} ({error})"))?;
    if !conversations.iter().any(|conversation| conversation.mapping.is_some() || conversation.chat.is_some()) {
        return Err(OTHER.into());
    }
    let (mut archive, mut left_out) = (Archive::default(), LeftOut::default());
    for conversation in conversations {
        match chat(conversation, &mut left_out) {
            Some(entry) => archive.chats.push(entry),
            None => left_out.empty += 1,
        }
    }
    archive.left_out = left_out.sentence();
    Ok(archive)
}

fn chat(conversation: Conversation, left_out: &mut LeftOut) -> Option<ArchivedChat> {
    let mut chat = Chat::new();
    let (nodes, shown) = match (conversation.mapping, conversation.chat) {
        (Some(mapping), _) => (chatgpt::nodes(mapping, left_out), conversation.current_node),
        (None, Some(content)) => {
            chat.system = content.system();
            chat.title = content.title.clone().unwrap_or_default();
            content.nodes(left_out)
        }
        (None, None) => return None,
    };
    let (messages, leaf) = messages(nodes, shown.as_deref());
    let first = messages.iter().min_by_key(|message| (message.created, message.id))?.text.clone();
    if let Some(title) = conversation.title.filter(|title| !title.trim().is_empty()) {
        chat.title = title;
    }
    chat.title = chat.title.trim().to_owned();
    if chat.title.is_empty() {
        chat.title = title_of(&first);
    }
    // Their titles were given by a model or a user, so no other model needs to find one.
    chat.named = true;
    chat.pinned = conversation.pinned.unwrap_or_default();
    chat.leaf = leaf;
    let created = conversation.create_time.or(conversation.created_at).and_then(milliseconds);
    chat.created = created.unwrap_or(chat.created);
    let updated = conversation.update_time.or(conversation.updated_at).and_then(milliseconds);
    chat.updated = updated.unwrap_or(chat.created);
    Some(ArchivedChat { chat, messages })
}

/// The messages of a conversation, and the one that ends the shown branch. A node without a message is skipped: what
/// follows it follows its parent.
fn messages(mut nodes: HashMap<String, Node>, shown: Option<&str>) -> (Vec<Message>, Option<Id>) {
    let (parents, leaf) = parents(&nodes, shown);
    let mut messages = Vec::new();
    for (key, parent) in parents {
        if let Some(message) = nodes.get_mut(&key).and_then(|node| node.message.take()) {
            messages.push(Message { parent, ..message });
        }
    }
    (messages, leaf)
}

/// The message that each node with a message follows, by the node's key, and the one that ends the shown branch.
fn parents(nodes: &HashMap<String, Node>, shown: Option<&str>) -> (HashMap<String, Option<Id>>, Option<Id>) {
    let mut known = HashMap::new();
    let leaf = nearest(nodes, &mut known, shown);
    let mut parents = HashMap::new();
    for (key, node) in nodes {
        if node.message.is_some() {
            parents.insert(key.clone(), nearest(nodes, &mut known, node.parent.as_deref()));
        }
    }
    (parents, leaf)
}

/// The nearest message at or above a node. What is `known` of the nodes without a message is kept, so that none is passed twice: a file
/// may have many messages below a long chain of them, or a cycle.
fn nearest<'a>(
    nodes: &'a HashMap<String, Node>,
    known: &mut HashMap<&'a str, Option<Id>>,
    from: Option<&'a str>,
) -> Option<Id> {
    let (mut at, mut passed) = (from, Vec::new());
    let found = loop {
        let Some(key) = at else { break None };
        if let Some(found) = known.get(key) {
            break *found;
        }
        let Some(node) = nodes.get(key) else { break None };
        if let Some(message) = &node.message {
            break Some(message.id);
        }
        // For now, so that a cycle ends.
        known.insert(key, None);
        passed.push(key);
        at = node.parent.as_deref();
    };
    known.extend(passed.into_iter().map(|key| (key, found)));
    found
}

/// A message of an imported conversation.
pub(super) fn message(role: Role, text: String, created: Option<f64>, model: Option<String>) -> Message {
    let created = created.and_then(milliseconds).unwrap_or_else(now);
    Message { id: new_id(), created, model, ..Message::new(None, role, text, Status::Done) }
}

/// Milliseconds since 1970 from a time in seconds or milliseconds.
fn milliseconds(time: f64) -> Option<i64> {
    // Seconds reach this number in the year 5138, and milliseconds did so in 1973.
    const MILLISECONDS_FROM: f64 = 1e11;
    let time = if time.abs() < MILLISECONDS_FROM { time * 1e3 } else { time };
    (time.is_finite() && time.abs() < 1e15).then_some(time as i64)
}
