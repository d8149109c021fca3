//! How much of the context a chat takes. The worker counts tokens; until it answers, the last count is shown.

use std::collections::HashMap;

use super::State;
use crate::worker::{Command, CountedText, TURN_TOKENS};

/// Tokens that the model reads around an attachment: its name and the fences.
const ATTACHMENT_TOKENS: usize = 10;
/// A growing reply is counted again after this many bytes.
const RECOUNT_BYTES: usize = 256;

/// The bytes and tokens of texts when they were last counted.
#[derive(Default)]
pub(super) struct TokenCounts {
    known: HashMap<CountedText, (usize, usize)>,
    /// Whether the worker is counting. Further texts wait until it is done.
    asked: bool,
}

impl TokenCounts {
    /// Forgets all counts, because another model has another tokenizer.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.asked = false;
    }

    /// Stores counts from the worker.
    pub(super) fn update(&mut self, counts: Vec<(CountedText, usize, usize)>) {
        self.asked = false;
        self.known.extend(counts.into_iter().map(|(name, bytes, tokens)| (name, (bytes, tokens))));
    }

    /// The tokens of a text when it was last counted.
    pub(super) fn tokens(&self, name: CountedText) -> Option<usize> {
        self.known.get(&name).map(|(_, tokens)| *tokens)
    }

    /// Marks the count of a draft as stale, because a change may keep its length.
    pub(super) fn draft_changed(&mut self, chat: crate::chats::Id) {
        if let Some((bytes, _)) = self.known.get_mut(&CountedText::Draft(chat)) {
            *bytes = usize::MAX;
        }
    }
}

/// The context meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    /// Tokens of the shown branch and the draft.
    pub used: usize,
    /// Tokens of the draft and its attachments.
    pub draft: usize,
    /// Tokens that fit.
    pub context: usize,
}

impl State {
    /// How much of the context the open chat and its draft take; `None` until a model is loaded, and for one of a server. Requests stale counts.
    pub fn meter(&mut self) -> Option<Meter> {
        let context = self.loaded().filter(|loaded| loaded.server().is_none())?.context;
        let (mut used, mut draft) = (1, 0);
        let mut stale = Vec::new();
        let chat = self.open()?;
        let (known, asked) = (&self.counts.known, self.counts.asked);
        let mut tokens = |name: CountedText, text: &str, growing: bool| {
            let counted = known.get(&name);
            let fresh = counted.is_some_and(|(bytes, _)| {
                *bytes == text.len()
                    || (growing && text.len().checked_sub(*bytes).is_some_and(|more| more < RECOUNT_BYTES))
            });
            if !asked && !fresh && !text.is_empty() {
                stale.push((name, text.to_owned()));
            }
            if text.is_empty() { 0 } else { counted.map_or(0, |(_, tokens)| *tokens) }
        };
        for message in self.tree().into_iter().flat_map(|tree| tree.branch()) {
            used += tokens(CountedText::Message(message.id), &message.text, self.is_writing(message.id)) + TURN_TOKENS;
            for file in &message.attachments {
                used += tokens(CountedText::Attachment(file.id), &file.text, false) + ATTACHMENT_TOKENS;
            }
        }
        used += tokens(CountedText::System(chat.id), &chat.system, false);
        if !chat.draft.is_empty() || !chat.attachments.is_empty() {
            draft = tokens(CountedText::Draft(chat.id), &chat.draft, false);
            for file in &chat.attachments {
                draft += tokens(CountedText::Attachment(file.id), &file.text, false) + ATTACHMENT_TOKENS;
            }
            // The turn of the draft and the start of the reply's turn.
            used += draft + 2 * TURN_TOKENS;
        }
        if !stale.is_empty() {
            self.counts.asked = true;
            self.worker.send(Command::CountTokens(stale));
        }
        Some(Meter { used, draft, context })
    }
}
