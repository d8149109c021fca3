//! What a server says about an error, cut and cleaned for a message.

use serde_json::Value;

/// Characters of a server's words in a message.
const MAX_WORDS: usize = 300;

/// The words of an error in the shapes that servers use: OpenAI's `{"error": {"message"}}`, `{"error": "…"}`,
/// `{"message": "…"}` and FastAPI's `{"detail": …}`; `None` where there are none, as in a page of HTML.
pub(super) fn of_body(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let error = &value["error"];
    [&error["message"], error, &value["message"], &value["detail"], &value["detail"][0]["msg"]]
        .into_iter()
        .find_map(Value::as_str)
        .and_then(clean)
}

/// Whether the body is an error in OpenAI's shape, and not a page for a path that does not exist.
pub(super) fn is_error(body: &[u8]) -> bool {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    value.is_some_and(|value| !value["error"].is_null() || value["message"].is_string())
}

/// One line without control characters; `None` if nothing is left.
fn clean(text: &str) -> Option<String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect();
    let line = line.trim_end_matches('.').to_owned();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_each_kind_of_server_are_found() {
        for body in [
            r#"{"error": {"message": "no\u001b such\n thing.", "type": "x", "code": 404}}"#,
            r#"{"error": "no such thing"}"#,
            r#"{"object": "error", "message": "no such thing"}"#,
            r#"{"detail": "no such thing"}"#,
            r#"{"detail": [{"loc": ["body"], "msg": "no such thing"}]}"#,
        ] {
            assert_eq!(of_body(body.as_bytes()).as_deref(), Some("no such thing"), "{body}");
        }
        for body in ["<html><body>no</body></html>", "", "[]", "{}", r#"{"error": {"message": " "}}"#, "\u{7f}"] {
            assert_eq!(of_body(body.as_bytes()), None, "{body}");
        }
        assert_eq!(clean(&"long ".repeat(500)).map(|words| words.len()), Some(MAX_WORDS));
    }
}
