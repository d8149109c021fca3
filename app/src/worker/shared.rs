//! The tokenizer of the loaded model, which the window's thread and the engine's thread share.

use std::sync::{Arc, Mutex, PoisonError};

use lapidary_engine::tokenizer::Tokenizer;

use super::CountedText;

/// The tokenizer of the loaded model, if one is loaded.
#[derive(Default)]
pub(crate) struct SharedTokenizer(Mutex<Option<Arc<Tokenizer>>>);

impl SharedTokenizer {
    /// Replaces the tokenizer.
    pub(super) fn set(&self, tokenizer: Option<Arc<Tokenizer>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = tokenizer;
    }

    /// Counts the bytes and tokens of texts. Empty without a tokenizer.
    pub(crate) fn count_tokens(&self, texts: Vec<(CountedText, String)>) -> Vec<(CountedText, usize, usize)> {
        let tokenizer = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(tokenizer) = tokenizer else { return Vec::new() };
        let count =
            |(name, text): (CountedText, String)| Some((name, text.len(), tokenizer.encode_plain(&text).ok()?.len()));
        texts.into_iter().filter_map(count).collect()
    }
}
