//! Whether a model can chat, and plain completion for models that cannot.

use lapidary_engine::load::ChatTemplate;
use lapidary_engine::tokenizer::Tokenizer;
use lapidary_engine::{Engine, Result};

/// Tokens of a completion unless the user sets a limit: base models rarely end a text.
pub const COMPLETION_TOKENS: usize = 512;

/// Why a model may answer badly in a chat, as a sentence without the way out; `None` if it was trained on Gemma's turns.
pub fn chat_problem(engine: &Engine) -> Option<String> {
    chat_problem_of(engine.name(), engine.chat_template())
}

/// [`chat_problem`] of a model with this name and template.
pub fn chat_problem_of(name: &str, template: ChatTemplate) -> Option<String> {
    match template {
        ChatTemplate::Gemma => None,
        ChatTemplate::Missing => Some(format!(
            "{name} has no chat template, so it is probably a base model, which continues text and does not answer."
        )),
        ChatTemplate::Other => Some(format!(
            "{name} has a chat template that is not Gemma's. Lapidary writes Gemma's turns, so its answers may be bad."
        )),
    }
}

/// The token ids of a text to be completed. Control tokens such as `<start_of_turn>` in it are recognized, and `<bos>`
/// is put before it unless it is there.
///
/// # Errors
/// Those of [`Tokenizer::encode`].
pub fn completion_ids(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let mut ids = tokenizer.encode(text)?;
    if ids.first() != Some(&tokenizer.bos_id()) {
        ids.insert(0, tokenizer.bos_id());
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guide;

    #[test]
    fn the_guide_can_chat() {
        let files = guide::files().unwrap();
        assert_eq!(files.chat_template(), ChatTemplate::Gemma);
        assert_eq!(chat_problem_of("guide", files.chat_template()), None);
        assert!(chat_problem_of("x", ChatTemplate::Missing).unwrap().contains("base model"));
        assert!(chat_problem_of("x", ChatTemplate::Other).unwrap().contains("not Gemma's"));
    }

    #[test]
    fn completions_begin_with_one_bos() {
        let files = guide::files().unwrap();
        let tokenizer = Tokenizer::load(files.tokenizer(), files.config().vocab_size).unwrap();
        let ids = completion_ids(&tokenizer, "Hello").unwrap();
        assert_eq!(ids[0], tokenizer.bos_id());
        assert_eq!(completion_ids(&tokenizer, "<bos>Hello").unwrap(), ids);
    }
}
