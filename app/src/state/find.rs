//! Searching all chats, and finding text in the open one.

use std::ops::Range;

use super::State;
use crate::chats::{Hit, Id, find_ignoring_case};

/// The most places that [`State::find_in_chat`] returns.
pub const MAX_FOUND: usize = 1000;

/// The search in the list of chats.
#[derive(Debug, Default)]
pub struct Search {
    /// The text that is searched for.
    pub text: String,
    /// The hits; `None` while the search runs.
    pub hits: Option<Vec<Hit>>,
    pub(super) number: u64,
}

/// A place in the open chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The message.
    pub message: Id,
    /// The bytes of its text.
    pub range: Range<usize>,
}

impl State {
    /// Searches all chats for words; see [`Store::search`](crate::chats::Store::search).
    pub fn search_for(&mut self, text: &str) {
        self.search.text = text.to_owned();
        self.search.number += 1;
        self.search.hits = None;
        if !text.trim().is_empty() {
            self.store.search(self.search.number, text);
        }
    }

    /// The places of a text on the open branch, ignoring case, from the top; at most [`MAX_FOUND`].
    pub fn find_in_chat(&self, text: &str) -> Vec<Found> {
        let mut found = Vec::new();
        for message in self.tree().into_iter().flat_map(|tree| tree.branch()) {
            let ranges = find_ignoring_case(&message.text, text, MAX_FOUND - found.len());
            found.extend(ranges.into_iter().map(|range| Found { message: message.id, range }));
            if found.len() == MAX_FOUND {
                break;
            }
        }
        found
    }
}
