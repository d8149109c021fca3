//! What a model's files say about chats. Only a model that was trained on turns knows when its own turn ends.

use serde::Deserialize;

use super::folder::Folder;
use crate::error::{Error, Result};

const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";
/// Gemma-3's configuration of the tokenizer takes a megabyte.
const MAX_BYTES: u64 = 16 << 20;

/// The kind of chat template in a model's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChatTemplate {
    /// Gemma's turns, which [`template`](crate::template) writes.
    Gemma,
    /// Turns of another kind. In Gemma's turns the model may answer badly.
    Other,
    /// None. Models without one were not trained on chats and complete text.
    #[default]
    Missing,
}

impl ChatTemplate {
    /// The kind of a template, whose text is not run: templates are programs.
    pub(super) fn of(template: Option<&str>) -> Self {
        // The name of the model's role is part of the turns: some fine-tuned models have another.
        let marks = ["<start_of_turn>", "<end_of_turn>", "model"];
        match template {
            Some(text) if marks.iter().all(|mark| text.contains(mark)) => Self::Gemma,
            Some(text) if !text.trim().is_empty() => Self::Other,
            _ => Self::Missing,
        }
    }
}

/// The text of the template of a Hugging Face folder: in a file of its own, or in the tokenizer's configuration.
///
/// # Errors
///
/// [`Error::Io`] where a file cannot be read. A damaged file has no template.
pub(super) async fn read(folder: &mut Folder) -> Result<Option<String>> {
    if let Some(text) = read_text(folder, TEMPLATE).await? {
        return Ok(Some(text));
    }
    let config = read_text(folder, TOKENIZER_CONFIG).await?;
    let config = config.and_then(|text| serde_json::from_str::<TokenizerConfig>(&text).ok());
    Ok(config.and_then(|config| config.chat_template).and_then(Templates::default_one))
}

async fn read_text(folder: &mut Folder, name: &str) -> Result<Option<String>> {
    match folder.read_small(name, MAX_BYTES).await {
        Ok(bytes) => Ok(bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())),
        Err(Error::BadFile { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct TokenizerConfig {
    chat_template: Option<Templates>,
}

/// One template, or several by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Named(Vec<Named>),
}

#[derive(Deserialize)]
struct Named {
    name: String,
    template: String,
}

impl Templates {
    fn default_one(self) -> Option<String> {
        match self {
            Self::One(template) => Some(template),
            Self::Named(list) => list.into_iter().find(|one| one.name == "default").map(|one| one.template),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_gemmas_turns_count_as_gemmas() {
        let gemma = "{% for m in messages %}<start_of_turn>{{ 'model' }}\n<end_of_turn>{% endfor %}";
        assert_eq!(ChatTemplate::of(Some(gemma)), ChatTemplate::Gemma);
        assert_eq!(ChatTemplate::of(Some("<|im_start|>model<|im_end|>")), ChatTemplate::Other);
        assert_eq!(ChatTemplate::of(Some(&gemma.replace("model", "assistant"))), ChatTemplate::Other);
        assert_eq!(ChatTemplate::of(Some(" ")), ChatTemplate::Missing);
        assert_eq!(ChatTemplate::of(None), ChatTemplate::Missing);
    }

    #[test]
    fn folders_have_templates_in_two_places() {
        let disk = tempfile::tempdir().unwrap();
        let text = || pollster::block_on(read(&mut Folder::Disk(disk.path().to_owned()))).unwrap();
        let kind = || ChatTemplate::of(text().as_deref());
        assert_eq!(kind(), ChatTemplate::Missing);
        let put = |name: &str, text: &str| fs::write(disk.path().join(name), text).unwrap();
        for (json, expected) in [
            ("nonsense", ChatTemplate::Missing),
            (r#"{"bos_token": "<bos>"}"#, ChatTemplate::Missing),
            (r#"{"chat_template": "<start_of_turn>model<end_of_turn>"}"#, ChatTemplate::Gemma),
            (r#"{"chat_template": [{"name": "default", "template": "[INST]"}]}"#, ChatTemplate::Other),
            (r#"{"chat_template": [{"name": "tools", "template": "[INST]"}]}"#, ChatTemplate::Missing),
        ] {
            put(TOKENIZER_CONFIG, json);
            assert_eq!(kind(), expected, "{json}");
        }
        put(TEMPLATE, "<start_of_turn>model<end_of_turn>");
        assert_eq!(kind(), ChatTemplate::Gemma);
    }
}
