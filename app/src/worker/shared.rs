//! What the window's thread and the engine's thread share: cancellation and the tokenizer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lapidary_engine::tokenizer::Tokenizer;
use lapidary_engine::{Error, Result};

use super::CountedText;
use crate::wait::wait_unless;

/// State shared by the window's thread and the engine's thread.
#[derive(Default)]
pub(super) struct Shared {
    /// The number of the command being run.
    pub(super) current: AtomicU64,
    /// Whether that command loads a model.
    pub(super) loading: AtomicBool,
    /// Commands up to this number are to be stopped, started or not, except loads.
    pub(super) stop_up_to: AtomicU64,
    /// Loads up to this number are to be stopped.
    pub(super) stop_loads_up_to: AtomicU64,
    /// The number of the last load sent.
    pub(super) last_load: AtomicU64,
    /// The tokenizer of the loaded model.
    pub(super) tokenizer: Mutex<Option<Arc<Tokenizer>>>,
}

impl Shared {
    /// Whether the present command is to be stopped.
    pub(super) fn is_stopped(&self) -> bool {
        let loading = self.loading.load(Ordering::SeqCst);
        let up_to = if loading { &self.stop_loads_up_to } else { &self.stop_up_to };
        self.current.load(Ordering::SeqCst) <= up_to.load(Ordering::SeqCst)
    }

    /// Whether a newer load was sent.
    pub(super) fn is_superseded(&self) -> bool {
        self.current.load(Ordering::SeqCst) < self.last_load.load(Ordering::SeqCst)
    }

    /// Counts the bytes and tokens of texts. Empty without a tokenizer.
    pub(super) fn count_tokens(&self, texts: Vec<(CountedText, String)>) -> Vec<(CountedText, usize, usize)> {
        let tokenizer = self.tokenizer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(tokenizer) = tokenizer else { return Vec::new() };
        let count =
            |(name, text): (CountedText, String)| Some((name, text.len(), tokenizer.encode_plain(&text).ok()?.len()));
        texts.into_iter().filter_map(count).collect()
    }

    /// Waits for a future of the engine until the command is stopped. Dropping the future cancels it.
    ///
    /// # Errors
    /// Those of the future, and [`Error::Cancelled`] after a stop.
    pub(super) fn wait<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        wait_unless(|| self.is_stopped(), future).unwrap_or(Err(Error::Cancelled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_a_reply_does_not_stop_a_load() {
        let shared = Shared::default();
        shared.current.store(3, Ordering::SeqCst);
        shared.stop_up_to.store(3, Ordering::SeqCst);
        assert!(shared.is_stopped());
        shared.loading.store(true, Ordering::SeqCst);
        assert!(!shared.is_stopped());
        shared.stop_loads_up_to.store(3, Ordering::SeqCst);
        assert!(shared.is_stopped() && !shared.is_superseded());
        shared.last_load.store(4, Ordering::SeqCst);
        assert!(shared.is_superseded());
    }
}
