//! ChatGPT's `conversations.json`: per conversation a map of nodes, of which each names its parent.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::foreign::{self, LeftOut};
use crate::chats::Role;

#[derive(Deserialize)]
pub(super) struct Node {
    message: Option<Message>,
    parent: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    author: Option<Author>,
    create_time: Option<f64>,
    content: Option<Content>,
    /// "all", or the name of a tool.
    recipient: Option<String>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Author {
    role: String,
}

#[derive(Deserialize)]
struct Content {
    content_type: Option<String>,
    /// Texts, and objects that stand for pictures, recordings and files.
    parts: Option<Vec<Value>>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    model_slug: Option<String>,
    attachments: Option<Vec<Value>>,
    is_visually_hidden_from_conversation: Option<bool>,
}

/// The nodes of a conversation by key.
pub(super) fn nodes(mapping: HashMap<String, Option<Node>>, left_out: &mut LeftOut) -> HashMap<String, foreign::Node> {
    let node = |(key, node): (String, Option<Node>)| {
        let node = node?;
        let message = node.message.and_then(|message| message.into_message(left_out));
        Some((key, foreign::Node { parent: node.parent, message }))
    };
    mapping.into_iter().filter_map(node).collect()
}

impl Message {
    fn into_message(self, left_out: &mut LeftOut) -> Option<crate::chats::Message> {
        let role = self.author.map(|author| author.role).unwrap_or_default();
        let hidden = self.metadata.as_ref().and_then(|metadata| metadata.is_visually_hidden_from_conversation);
        if role == "system" || hidden == Some(true) {
            return None;
        }
        let content = self.content?;
        let kind = content.content_type.unwrap_or_default();
        let to_tool = self.recipient.is_some_and(|recipient| recipient != "all");
        let shown = matches!(kind.as_str(), "text" | "multimodal_text" | "code");
        let role = match role.as_str() {
            "user" => Role::User,
            "assistant" if shown && !to_tool => Role::Model,
            _ => {
                left_out.tools += 1;
                return None;
            }
        };
        let mut texts: Vec<String> = content.text.into_iter().collect();
        for part in content.parts.unwrap_or_default() {
            match part {
                Value::String(text) => texts.push(text),
                // A transcript of a recording.
                Value::Object(mut object) if object.get("text").is_some_and(Value::is_string) => {
                    if let Some(Value::String(text)) = object.remove("text") {
                        texts.push(text);
                    }
                }
                _ => left_out.files += 1,
            }
        }
        let (model, attachments) = self.metadata.map(|data| (data.model_slug, data.attachments)).unwrap_or_default();
        // A picture is both a part and an attachment.
        if kind != "multimodal_text" {
            left_out.files += attachments.map_or(0, |attachments| attachments.len());
        }
        texts.retain(|text| !text.trim().is_empty());
        if texts.is_empty() {
            return None;
        }
        Some(foreign::message(role, texts.join("\n\n"), self.create_time, model.filter(|_| role == Role::Model)))
    }
}
