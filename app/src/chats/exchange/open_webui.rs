//! Open WebUI's export of chats: per chat a map of messages, of which each names its parent.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::foreign::{self, LeftOut};
use crate::chats::{Attachment, Role};

/// The content of a chat.
#[derive(Deserialize)]
pub(super) struct Content {
    pub(super) title: Option<String>,
    system: Option<String>,
    params: Option<Params>,
    history: Option<History>,
}

#[derive(Deserialize)]
struct Params {
    system: Option<String>,
}

#[derive(Deserialize)]
struct History {
    #[serde(default)]
    messages: HashMap<String, Message>,
    #[serde(rename = "currentId")]
    current: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "parentId")]
    parent: Option<String>,
    role: Option<String>,
    /// A text, or a list of parts.
    content: Option<Value>,
    timestamp: Option<f64>,
    model: Option<String>,
    files: Option<Vec<Value>>,
}

impl Content {
    /// The system prompt.
    pub(super) fn system(&self) -> String {
        let params = self.params.as_ref().and_then(|params| params.system.as_ref());
        params.or(self.system.as_ref()).cloned().unwrap_or_default()
    }

    /// The messages by key, and the key of the one that ends the shown branch.
    pub(super) fn nodes(self, left_out: &mut LeftOut) -> (HashMap<String, foreign::Node>, Option<String>) {
        let Some(history) = self.history else { return (HashMap::new(), None) };
        let node = |(key, message): (String, Message)| {
            let parent = message.parent.clone();
            (key, foreign::Node { parent, message: message.into_message(left_out) })
        };
        (history.messages.into_iter().map(node).collect(), history.current)
    }
}

impl Message {
    fn into_message(self, left_out: &mut LeftOut) -> Option<crate::chats::Message> {
        let role = match self.role.as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Model,
            Some("system") => return None,
            _ => {
                left_out.tools += 1;
                return None;
            }
        };
        let text = match self.content {
            Some(Value::String(text)) => text,
            Some(Value::Array(parts)) => {
                let texts = parts.iter().filter_map(|part| match part.get("text").and_then(Value::as_str) {
                    Some(text) => Some(text),
                    None => {
                        left_out.files += 1;
                        None
                    }
                });
                texts.collect::<Vec<_>>().join("\n\n")
            }
            _ => String::new(),
        };
        let mut attachments = Vec::new();
        for file in self.files.unwrap_or_default() {
            // Files of text carry what was read from them.
            let content = file.pointer("/file/data/content").and_then(Value::as_str).filter(|text| !text.is_empty());
            let name = file.get("name").or_else(|| file.pointer("/file/filename")).and_then(Value::as_str);
            match content {
                Some(text) => attachments.push(Attachment::new(name.unwrap_or_default(), text)),
                None => left_out.files += 1,
            }
        }
        if text.trim().is_empty() && attachments.is_empty() {
            return None;
        }
        let model = self.model.filter(|_| role == Role::Model);
        Some(crate::chats::Message { attachments, ..foreign::message(role, text, self.timestamp, model) })
    }
}
