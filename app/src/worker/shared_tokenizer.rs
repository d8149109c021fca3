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

    /// Counts the bytes and tokens of texts. Tokens that cannot be counted are guessed: without a number for each text the window
    /// would ask again at once, for ever.
    pub(crate) fn count_tokens(&self, texts: Vec<(CountedText, String)>) -> Vec<(CountedText, usize, usize)> {
        let tokenizer = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let count = |text: &str| Some(tokenizer.as_ref()?.encode_plain(text).ok()?.len());
        let counted = |(name, text): (CountedText, String)| {
            let tokens = count(&text).unwrap_or_else(|| guess_tokens(&text));
            (name, text.len(), tokens)
        };
        texts.into_iter().map(counted).collect()
    }
}

/// About how many tokens a text has.
pub(super) fn guess_tokens(text: &str) -> usize {
    text.len() / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_tokenizer_each_text_gets_a_guess() {
        let texts = [(CountedText::Draft(1), "eight by".to_owned()), (CountedText::System(1), String::new())];
        let counts = SharedTokenizer::default().count_tokens(texts.to_vec());
        assert_eq!(counts, [(CountedText::Draft(1), 8, 2), (CountedText::System(1), 0, 0)]);
    }
}
