//! Notices: sentences that are shown for a while.

use std::time::Duration;

use web_time::Instant;

use super::State;
use crate::chats::Id;

/// How long a notice is shown.
const NOTICE_TIME: Duration = Duration::from_secs(8);
/// The most notices shown at once.
const MAX_NOTICES: usize = 5;

/// A message that is shown for a while.
#[derive(Clone, Debug)]
pub struct Notice {
    /// A sentence.
    pub text: String,
    /// The chats or the message that "Undo" brings back by [`State::undo`]; empty if there is nothing to undo.
    pub undo: Vec<Id>,
    /// Whether it reports an error.
    pub is_error: bool,
    until: Instant,
}

impl State {
    /// Shows a notice.
    pub fn notify(&mut self, text: &str) {
        self.push_notice(text, Vec::new(), false, NOTICE_TIME);
    }

    /// Shows an error notice.
    pub fn notify_error(&mut self, text: &str) {
        // Errors stay longer, so that they are not missed.
        self.push_notice(text, Vec::new(), true, 3 * NOTICE_TIME);
    }

    /// Shows a notice with a way to bring chats or a message back.
    pub(super) fn notify_with_undo(&mut self, text: &str, undo: Vec<Id>) {
        self.push_notice(text, undo, false, NOTICE_TIME);
    }

    /// Shows a notice in place of an equal one. Only the newest [`MAX_NOTICES`] are kept.
    fn push_notice(&mut self, text: &str, undo: Vec<Id>, is_error: bool, time: Duration) {
        self.notices.retain(|known| known.text != text || known.undo != undo);
        self.notices.push(Notice { text: text.to_owned(), undo, is_error, until: Instant::now() + time });
        let excess = self.notices.len().saturating_sub(MAX_NOTICES);
        self.notices.drain(..excess);
    }

    /// Drops the notices whose time is over.
    pub(super) fn drop_old_notices(&mut self) {
        let now = Instant::now();
        self.notices.retain(|notice| notice.until > now);
    }
}
