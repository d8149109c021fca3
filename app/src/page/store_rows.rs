//! The rows of the tables in the browser's database. Long texts, and numbers that JavaScript would round, are JSON inside the row.

use serde::{Deserialize, Serialize};

use super::super::{Attachment, Chat, Id, Message};

/// A row of a table, and what is done with it.
#[derive(Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Write {
    Chat { id: Id, json: String },
    Message(MessageRow),
    Append { id: Id, text: String },
    Attachments { chat: Id, json: String },
    Value { name: String, json: String },
    ForgetMessage { id: Id },
    Forget { id: Id },
}

#[derive(Serialize, Deserialize)]
pub(super) struct MessageRow {
    id: Id,
    chat: Id,
    pub(super) text: String,
    /// The message without its text.
    pub(super) json: String,
}

/// The content of the tables that are read at the start.
#[derive(Deserialize)]
pub(super) struct Tables {
    pub(super) chats: Vec<ChatRow>,
    pub(super) attachments: Vec<AttachmentsRow>,
    pub(super) values: Vec<ValueRow>,
}

#[derive(Deserialize)]
pub(super) struct ChatRow {
    json: String,
}

#[derive(Deserialize)]
pub(super) struct AttachmentsRow {
    chat: Id,
    json: String,
}

#[derive(Deserialize)]
pub(super) struct ValueRow {
    pub(super) name: String,
    pub(super) json: String,
}

/// All chats with the attachments of their drafts, the latest first. One that cannot be read is left out, and stays.
pub(super) fn chats(tables: &Tables) -> Vec<Chat> {
    let mut chats: Vec<Chat> = tables.chats.iter().filter_map(|row| parse(&row.json)).collect();
    chats.iter_mut().for_each(|chat| chat.options.drop_invalid());
    for row in &tables.attachments {
        if let Some(chat) = chats.iter_mut().find(|chat| chat.id == row.chat) {
            chat.attachments = parse::<Vec<Attachment>>(&row.json).unwrap_or_default();
        }
    }
    chats.sort_by_key(|chat| std::cmp::Reverse(chat.updated));
    chats
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).map_err(|error| log::warn!("a row of the chats cannot be read: {error}")).ok()
}

pub(super) fn chat_row(chat: &Chat) -> Write {
    Write::Chat { id: chat.id, json: json(&Chat { attachments: Vec::new(), ..chat.clone() }) }
}

pub(super) fn message_row(chat: Id, message: &Message) -> Write {
    let rest = Message { text: String::new(), ..message.clone() };
    Write::Message(MessageRow { id: message.id, chat, text: message.text.clone(), json: json(&rest) })
}

pub(super) fn attachments_row(chat: &Chat) -> Write {
    Write::Attachments { chat: chat.id, json: json(&chat.attachments) }
}

fn json<T: Serialize>(value: &T) -> String {
    // These types have nothing that JSON cannot hold.
    serde_json::to_string(value).unwrap_or_else(|error| {
        log::error!("a row of the chats has no JSON: {error}");
        "null".into()
    })
}
