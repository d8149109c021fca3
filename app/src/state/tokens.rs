//! How much of the context a chat takes. Texts are counted by the worker, and what it said last is shown meanwhile.

use std::collections::HashMap;

use super::State;
use crate::worker::{Command, CountedText, TURN_TOKENS};

/// Replies grow by this many bytes before they are counted again.
const GROWTH: usize = 256;

/// Bytes and tokens of texts, as they were when they were counted.
#[derive(Default)]
pub(super) struct TokenCounts {
    known: HashMap<CountedText, (usize, usize)>,
    /// Whether the worker is counting: it gets the next texts when it is done.
    asked: bool,
}

impl TokenCounts {
    /// Forgets all: another model has another tokenizer.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.asked = false;
    }

    pub(super) fn update(&mut self, counts: Vec<(CountedText, usize, usize)>) {
        self.asked = false;
        self.known.extend(counts.into_iter().map(|(name, bytes, tokens)| (name, (bytes, tokens))));
    }

    /// The draft may change without changing its length.
    pub(super) fn draft_changed(&mut self, chat: crate::chats::Id) {
        if let Some((bytes, _)) = self.known.get_mut(&CountedText::Draft(chat)) {
            *bytes = usize::MAX;
        }
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
        let (mut used, mut draft) = (1, 0);
        let mut stale = Vec::new();
        let chat = self.open()?;
        let (known, asked) = (&self.counts.known, self.counts.asked);
        let mut tokens = |name: CountedText, text: &str, growing: bool| {
            let counted = known.get(&name);
            let fresh = counted.is_some_and(|(bytes, _)| {
                *bytes == text.len() || (growing && text.len().checked_sub(*bytes).is_some_and(|more| more < GROWTH))
            });
            if !asked && !fresh && !text.is_empty() {
                stale.push((name, text.to_owned()));
            }
            if text.is_empty() { 0 } else { counted.map_or(0, |(_, tokens)| *tokens) }
        };
        for message in self.tree().into_iter().flat_map(|tree| tree.branch()) {
            used += tokens(CountedText::Message(message.id), &message.text, self.is_writing(message.id)) + TURN_TOKENS;
        }
        used += tokens(CountedText::System(chat.id), &chat.system, false);
        if !chat.draft.is_empty() {
            draft = tokens(CountedText::Draft(chat.id), &chat.draft, false);
            // The turn of the draft and the opening of the reply.
            used += draft + 2 * TURN_TOKENS;
        }
        if !stale.is_empty() {
            self.counts.asked = true;
            self.worker.send(Command::CountTokens(stale));
        }
        Some(Meter { used, draft, context })
    }
}
