//! The vocabulary inside a GGUF file.

use super::metadata::Metadata;
use crate::error::{Error, Result};

/// The tokenizer's pieces as the file has them. `crate::tokenizer` checks and uses them.
#[derive(Debug, Clone, Default)]
pub struct GgufVocab {
    /// The kind of tokenizer: "llama" for Gemma's.
    pub model: String,
    /// The pieces by id.
    pub tokens: Vec<String>,
    /// The score of each piece; the highest is merged first.
    pub scores: Vec<f32>,
    /// The type of each piece: 1 ordinary, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    pub token_types: Vec<i32>,
    /// The id of `<bos>`.
    pub bos_id: Option<u32>,
    /// The id of `<eos>`.
    pub eos_id: Option<u32>,
    /// The id of `<unk>`.
    pub unk_id: Option<u32>,
    /// The id of `<pad>`.
    pub pad_id: Option<u32>,
    /// Whether a space is put before a text, where the file says.
    pub add_space_prefix: Option<bool>,
    /// The Jinja template for chats.
    pub chat_template: Option<String>,
}

impl GgufVocab {
    /// Takes the vocabulary out of the metadata, which may have none.
    pub(super) fn take(metadata: &mut Metadata) -> Result<Option<Self>> {
        let Some(tokens) = metadata.take_texts("tokenizer.ggml.tokens")? else {
            return Ok(None);
        };
        let text = |key: &str| Ok::<_, Error>(metadata.text(key)?.map(str::to_owned));
        let (model, chat_template) =
            (text("tokenizer.ggml.model")?.unwrap_or_default(), text("tokenizer.chat_template")?);
        Ok(Some(Self {
            model,
            tokens,
            scores: metadata.take_floats("tokenizer.ggml.scores")?.unwrap_or_default(),
            token_types: metadata.take_ints("tokenizer.ggml.token_type")?.unwrap_or_default(),
            bos_id: metadata.token_id("tokenizer.ggml.bos_token_id")?,
            eos_id: metadata.token_id("tokenizer.ggml.eos_token_id")?,
            unk_id: metadata.token_id("tokenizer.ggml.unknown_token_id")?,
            pad_id: metadata.token_id("tokenizer.ggml.padding_token_id")?,
            add_space_prefix: metadata.flag("tokenizer.ggml.add_space_prefix")?,
            chat_template,
        }))
    }
}
