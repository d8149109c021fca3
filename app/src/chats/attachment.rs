//! Texts attached to a message: files, and long pasted text.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Id, new_id};

/// A text attached to a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its id, by which its tokens are counted.
    #[serde(default = "new_id")]
    pub id: Id,
    /// The file's name, or a name for pasted text.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Attachment {
    /// An attachment with a new id. Control characters in the name become spaces, because the name is shown in one line.
    pub fn new(name: &str, text: impl Into<String>) -> Self {
        let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let name = name.trim();
        Self { id: new_id(), name: if name.is_empty() { "Text" } else { name }.to_owned(), text: text.into() }
    }

    /// The text as the model sees it: a line with the name, and a code block.
    pub fn in_prompt(&self) -> String {
        // The fence is longer than any in the text, which would otherwise end it.
        let (mut longest, mut run) = (2, 0);
        for byte in self.text.bytes() {
            run = if byte == b'`' { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        let fence = "`".repeat(longest + 1);
        let end = self.name.rsplit_once('.').map_or("", |(_, end)| end);
        let language = if end.chars().all(|c| c.is_ascii_alphanumeric()) { end } else { "" };
        format!("{}:\n{fence}{language}\n{}\n{fence}\n", self.name, self.text.trim_end())
    }
}

/// A message as the model sees it: its attachments, then its text.
pub fn with_attachments<'t>(attachments: &[Attachment], text: &'t str) -> Cow<'t, str> {
    if attachments.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut all: String = attachments.iter().map(|attachment| attachment.in_prompt() + "\n").collect();
    all.push_str(text);
    Cow::Owned(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_is_fenced_by_more_backticks_than_it_contains() {
        let code = Attachment::new("a.md", "```\ncode\n```\n");
        assert_eq!(code.in_prompt(), "a.md:\n````md\n```\ncode\n```\n````\n");
        let long = Attachment::new("long", "`".repeat(1 << 20));
        assert_eq!(long.in_prompt().len(), "long:\n\n\n\n".len() + 3 * (1 << 20) + 2);
    }

    #[test]
    fn the_model_sees_attachments_before_the_text() {
        let files = [Attachment::new("a.rs", "fn a() {}"), Attachment::new("b \n", "two")];
        let expected = "a.rs:\n```rs\nfn a() {}\n```\n\nb:\n```\ntwo\n```\n\nExplain.";
        assert_eq!(with_attachments(&files, "Explain."), expected);
        assert_eq!(with_attachments(&[], "Explain."), "Explain.");
    }
}
