//! Reads the messages of a chat.

use lapidary_engine::template::{Role, Turn};
use serde_json::Value;

use super::error::ApiError;

/// The system prompt and the turns of an array of messages. Gemma has no system role: the system messages that begin a chat
/// are joined, and the template puts them before the first turn's text.
pub(super) fn messages(value: &Value) -> Result<(Option<String>, Vec<Turn>), ApiError> {
    let list = value.as_array().filter(|list| !list.is_empty());
    let list =
        list.ok_or_else(|| ApiError::field("messages", "messages must be an array with at least one message"))?;
    let mut system: Option<String> = None;
    let mut turns = Vec::new();
    for (index, message) in list.iter().enumerate() {
        let field = |name: &str| format!("messages[{index}].{name}");
        let Some(role) = message.get("role").and_then(Value::as_str) else {
            return Err(ApiError::field(field("role"), "each message needs a role: system, user or assistant"));
        };
        let text = text(message.get("content"), &field("content"))?;
        let role = match role {
            "system" | "developer" if turns.is_empty() => {
                system = Some(match system {
                    Some(before) => format!("{before}\n\n{text}"),
                    None => text,
                });
                continue;
            }
            "system" | "developer" => {
                return Err(ApiError::field(field("role"), "system messages must come before all others"));
            }
            "user" => Role::User,
            "assistant" => Role::Model,
            "tool" | "function" => {
                return Err(ApiError::unsupported(
                    field("role"),
                    "this server calls no tools and takes no results of any",
                ));
            }
            other => {
                let message = format!("the role {other:?} is not system, user or assistant");
                return Err(ApiError::field(field("role"), message));
            }
        };
        let expected = if turns.len().is_multiple_of(2) { Role::User } else { Role::Model };
        if role != expected {
            return Err(ApiError::field(field("role"), "messages must be of user and assistant in turn, user first"));
        }
        turns.push(Turn { role, text });
    }
    if turns.is_empty() {
        return Err(ApiError::field("messages", "there must be a message of the user"));
    }
    Ok((system, turns))
}

/// The text of a message: a string, or an array of parts that are texts.
fn text(content: Option<&Value>, field: &str) -> Result<String, ApiError> {
    let wrong = || ApiError::field(field, "content must be a text or an array of parts with texts");
    match content {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| match part.get("type").and_then(Value::as_str) {
                Some("text") => part.get("text").and_then(Value::as_str).ok_or_else(wrong),
                Some(kind) => {
                    Err(ApiError::unsupported(field, format!("parts of type {kind:?} are not supported, only text")))
                }
                None => Err(wrong()),
            })
            .collect(),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn system_messages_are_joined() {
        let (system, turns) = messages(&json!([
            {"role": "system", "content": "A"},
            {"role": "developer", "content": "B"},
            {"role": "user", "content": [{"type": "text", "text": "C"}, {"type": "text", "text": "D"}]},
            {"role": "assistant", "content": "E"},
        ]))
        .unwrap();
        assert_eq!(system.as_deref(), Some("A\n\nB"));
        assert_eq!(turns.iter().map(|turn| turn.text.as_str()).collect::<Vec<_>>(), ["CD", "E"]);
    }

    #[test]
    fn wrong_messages_are_named() {
        let param = |value: Value| messages(&value).unwrap_err().to_json()["error"]["param"].clone();
        let user = json!({"role": "user", "content": "x"});
        assert_eq!(param(json!([])), "messages");
        assert_eq!(param(json!("x")), "messages");
        assert_eq!(param(json!([{"role": "system", "content": "x"}])), "messages");
        assert_eq!(param(json!([user, user])), "messages[1].role");
        assert_eq!(param(json!([user, {"role": "system", "content": "x"}])), "messages[1].role");
        assert_eq!(param(json!([{"role": "assistant", "content": "x"}])), "messages[0].role");
        assert_eq!(param(json!([{"role": "user", "content": null}])), "messages[0].content");
        assert_eq!(param(json!([{"role": "user", "content": [{"type": "image_url"}]}])), "messages[0].content");
        assert_eq!(param(json!([1])), "messages[0].role");
    }
}
