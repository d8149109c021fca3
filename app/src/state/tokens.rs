//! How much of the context a chat takes.

use std::collections::HashMap;

use super::State;
use crate::chats::Id;
use crate::worker::TURN_TOKENS;

/// Texts grow by this many bytes before they are counted again.
const GROWTH: usize = 64;

/// Tokens of texts, as they were when they were counted.
#[derive(Default)]
pub(super) struct Counts {
    messages: HashMap<Id, (usize, usize)>,
    draft: (String, usize),
}

impl Counts {
    /// Forgets all: another model has another tokenizer.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The context meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    /// Tokens of the branch that is shown and of the draft.
    pub used: usize,
    /// Tokens of the draft.
    pub draft: usize,
    /// Tokens that fit.
    pub context: usize,
}

impl State {
    /// How much of the context the open chat takes with its draft; none before a model is loaded.
    pub fn meter(&mut self) -> Option<Meter> {
        let context = self.loaded()?.context;
        let mut used = 1;
        let path: Vec<Id> = self.tree().map(|tree| tree.path().to_vec()).unwrap_or_default();
        for id in path {
            let Some(message) = self.trees.get(&self.open).and_then(|tree| tree.get(id)) else { continue };
            let length = message.text.len();
            let counted = self.counts.messages.get(&id).copied();
            let tokens = match counted {
                Some((at, tokens)) if at == length || (length > at && length - at < GROWTH && self.is_writing(id)) => {
                    tokens
                }
                _ => {
                    let tokens = self.worker.count(&message.text)?;
                    self.counts.messages.insert(id, (length, tokens));
                    tokens
                }
            };
            used += tokens + TURN_TOKENS;
        }
        let system = self.open().map(|chat| chat.system.clone()).unwrap_or_default();
        if !system.is_empty() {
            used += self.worker.count(&system)?;
        }
        let text = self.draft();
        let draft = if text.is_empty() {
            0
        } else if self.counts.draft.0 == text {
            self.counts.draft.1
        } else {
            let tokens = self.worker.count(text)?;
            self.counts.draft = (text.to_owned(), tokens);
            tokens
        };
        if draft > 0 {
            // The turn of the draft and the opening of the reply.
            used += draft + 2 * TURN_TOKENS;
        }
        Some(Meter { used, draft, context })
    }
}
