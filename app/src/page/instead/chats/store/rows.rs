//! The rows of the tables in the browser's database. Long texts, and numbers that JavaScript would round, are JSON inside the row.

use serde::{Deserialize, Serialize};

use super::super::{Attachment, Chat, Id, Message};

/// A row of a table, and what is done with it.
#[derive(Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Write {
    Chat(ChatRow),
    Message(MessageRow),
    Append { id: Id, text: String },
    Attachments(AttachmentsRow),
    Value { name: String, json: String },
    ForgetMessage { id: Id },
    Forget { id: Id },
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct MessageRow {
    id: Id,
    chat: Id,
    text: String,
    /// The message without its text.
    json: String,
}

/// The content of the tables that are read at the start.
#[derive(Default, Deserialize)]
pub(super) struct Tables {
    pub(super) chats: Vec<ChatRow>,
    pub(super) attachments: Vec<AttachmentsRow>,
    pub(super) values: Vec<ValueRow>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ChatRow {
    id: Id,
    json: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct AttachmentsRow {
    chat: Id,
    json: String,
}

#[derive(Deserialize)]
pub(super) struct ValueRow {
    pub(super) name: String,
    pub(super) json: String,
}

/// Puts a row in the place of the one with the same key.
fn put<R: Clone>(rows: &mut Vec<R>, row: &R, key: impl Fn(&R) -> Id) {
    match rows.iter_mut().find(|known| key(known) == key(row)) {
        Some(known) => known.clone_from(row),
        None => rows.push(row.clone()),
    }
}

impl Tables {
    /// Applies the writes of chats that the database has not taken.
    pub(super) fn apply(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::Chat(row) => put(&mut self.chats, row, |row| row.id),
                Write::Attachments(row) => put(&mut self.attachments, row, |row| row.chat),
                Write::Forget { id } => self.chats.retain(|row| row.id != *id),
                _ => {}
            }
        }
    }
}

/// Adds a write to those that the database has not taken, and drops the earlier ones of the same row: where the browser keeps no
/// chats, they are all that there is.
pub(super) fn add(writes: &mut Vec<Write>, write: Write) {
    match write {
        Write::Append { id, text } => {
            let of_message = |write: &&mut Write| match write {
                Write::Message(row) => row.id == id,
                Write::Append { id: known, .. } | Write::ForgetMessage { id: known } => *known == id,
                _ => false,
            };
            match writes.iter_mut().rev().find(of_message) {
                Some(Write::Message(MessageRow { text: known, .. }) | Write::Append { text: known, .. }) => {
                    known.push_str(&text);
                }
                _ => writes.push(Write::Append { id, text }),
            }
        }
        write => {
            writes.retain(|known| !write.replaces(known));
            writes.push(write);
        }
    }
}

impl Write {
    /// Whether an earlier write no longer matters after this one.
    fn replaces(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Chat(row), Self::Chat(known)) => row.id == known.id,
            (Self::Message(row), Self::Message(known)) => row.id == known.id,
            (Self::Message(row), Self::Append { id, .. }) => row.id == *id,
            (Self::Attachments(row), Self::Attachments(known)) => row.chat == known.chat,
            (Self::Value { name, .. }, Self::Value { name: known, .. }) => name == known,
            _ => false,
        }
    }
}

/// The messages of a chat, from its rows and the writes that the database has not taken. One that cannot be read is left
/// out, and stays.
pub(super) fn messages(mut rows: Vec<MessageRow>, chat: Id, writes: &[Write]) -> Vec<Message> {
    for write in writes {
        match write {
            Write::Message(row) if row.chat == chat => put(&mut rows, row, |row| row.id),
            Write::Append { id, text } => {
                rows.iter_mut().filter(|row| row.id == *id).for_each(|row| row.text.push_str(text));
            }
            Write::ForgetMessage { id } => rows.retain(|row| row.id != *id),
            Write::Forget { id } if *id == chat => rows.clear(),
            _ => {}
        }
    }
    rows.into_iter().filter_map(|row| Some(Message { text: row.text, ..parse(&row.json)? })).collect()
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

fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).map_err(|error| log::warn!("a row of the chats cannot be read: {error}")).ok()
}

pub(super) fn chat_row(chat: &Chat) -> Write {
    Write::Chat(ChatRow { id: chat.id, json: json(&Chat { attachments: Vec::new(), ..chat.clone() }) })
}

pub(super) fn message_row(chat: Id, message: &Message) -> Write {
    let rest = Message { text: String::new(), ..message.clone() };
    Write::Message(MessageRow { id: message.id, chat, text: message.text.clone(), json: json(&rest) })
}

pub(super) fn attachments_row(chat: &Chat) -> Write {
    Write::Attachments(AttachmentsRow { chat: chat.id, json: json(&chat.attachments) })
}

fn json<T: Serialize>(value: &T) -> String {
    // These types have nothing that JSON cannot hold.
    serde_json::to_string(value).unwrap_or_else(|error| {
        log::error!("a row of the chats has no JSON: {error}");
        "null".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chats::{Role, Status};

    #[test]
    fn writes_that_wait_are_seen_over_the_rows() {
        let chat = Chat { title: "Stones".into(), ..Chat::new() };
        let [first, gone, mut last] =
            ["first", "gone", "la"].map(|text| Message::new(None, Role::User, text, Status::Done));
        let stored = |message: &Message| {
            let Write::Message(row) = message_row(chat.id, message) else { unreachable!() };
            row
        };
        let attachments = vec![Attachment::new("a.txt", "text")];
        let renamed = Chat { title: "Gems".into(), attachments, ..chat.clone() };
        let other = Chat::new();
        let mut writes = Vec::new();
        let added = [
            chat_row(&chat),
            chat_row(&renamed),
            attachments_row(&renamed),
            message_row(chat.id, &last),
            Write::Append { id: last.id, text: "st".into() },
            Write::ForgetMessage { id: gone.id },
            chat_row(&other),
            message_row(other.id, &gone),
        ];
        added.into_iter().for_each(|write| add(&mut writes, write));
        assert_eq!(writes.len(), 6, "the first row of the chat and the appended text are in others");
        last.text = "last".into();
        assert_eq!(messages(vec![stored(&first), stored(&gone)], chat.id, &writes), [first, last]);
        assert_eq!(messages(Vec::new(), other.id, &writes), [gone]);

        writes.push(Write::Forget { id: other.id });
        assert!(messages(Vec::new(), other.id, &writes).is_empty());
        let Write::Chat(row) = chat_row(&chat) else { unreachable!() };
        let mut tables = Tables { chats: vec![row], ..Tables::default() };
        tables.apply(&writes);
        assert_eq!(chats(&tables), [renamed]);
    }
}
