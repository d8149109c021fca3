//! The attachments of the draft.

use std::path::PathBuf;

use super::State;
use crate::chats::{Attachment, Id};
use crate::worker::{Command, CountedText};

/// The most attachments of one message.
pub const MAX_ATTACHMENTS: usize = 20;
/// The most bytes of text that one message can have attached.
pub const MAX_ATTACHED_BYTES: usize = 4 << 20;
/// Pasted text of more characters becomes an attachment.
pub const LONG_PASTE: usize = 4000;

impl State {
    /// The attachments of the open chat's draft.
    pub fn attachments(&self) -> &[Attachment] {
        self.open().map_or(&[], |chat| &chat.attachments)
    }

    /// The tokens of an attachment of a draft or a message, without its name and fences; `None` until they are counted.
    /// [`State::meter`] requests the count.
    pub fn attachment_tokens(&self, id: Id) -> Option<usize> {
        self.counts.tokens(CountedText::Attachment(id))
    }

    /// Attaches the text of a file to the open chat's draft. It appears once it is read.
    pub fn attach(&mut self, path: PathBuf) {
        self.worker.send(Command::Attach { chat: self.open_id(), path });
    }

    /// Attaches a text to the open chat's draft. Returns false, with a notice, if it is too much.
    pub fn attach_text(&mut self, name: &str, text: String) -> bool {
        self.add_attachment(self.open_id(), Attachment::new(name, text))
    }

    /// Handles the result of [`State::attach`].
    pub(super) fn on_attached(&mut self, chat: Id, file: Result<Attachment, String>) {
        match file {
            Ok(attachment) => {
                self.add_attachment(chat, attachment);
            }
            Err(reason) => self.notify_error(&reason),
        }
    }

    fn add_attachment(&mut self, chat: Id, attachment: Attachment) -> bool {
        let Some(chat) = self.library.chat_mut(chat) else { return false };
        let bytes: usize = chat.attachments.iter().map(|known| known.text.len()).sum();
        if chat.attachments.len() == MAX_ATTACHMENTS {
            self.notify_error(&format!("A message can have {MAX_ATTACHMENTS} attachments at most. Send these first."));
            return false;
        }
        if bytes + attachment.text.len() > MAX_ATTACHED_BYTES {
            let name = &attachment.name;
            self.notify_error(&format!("{name} is too long: the attachments of a message can have 4 MiB in all."));
            return false;
        }
        chat.attachments.push(attachment);
        self.store.save_attachments(chat);
        self.drafts.touch();
        true
    }

    /// Removes an attachment of the open chat's draft, by its position.
    pub fn remove_attachment(&mut self, index: usize) {
        let open = self.library.open;
        let Some(chat) = self.library.chat_mut(open) else { return };
        if index < chat.attachments.len() {
            chat.attachments.remove(index);
            self.store.save_attachments(chat);
            self.drafts.touch();
        }
    }

    /// Attaches pasted text if it is longer than [`LONG_PASTE`] characters. Returns whether it is; otherwise the text
    /// belongs into the draft.
    pub fn paste(&mut self, text: &str) -> bool {
        if text.chars().nth(LONG_PASTE).is_none() {
            return false;
        }
        let is_pasted = |attachment: &&Attachment| attachment.name.starts_with("Pasted text");
        let name = match self.attachments().iter().filter(is_pasted).count() {
            0 => "Pasted text".to_owned(),
            count => format!("Pasted text {}", count + 1),
        };
        // A text that is too long to attach is too long to type as well.
        self.attach_text(&name, text.to_owned());
        true
    }

    /// Whether the open chat's draft has anything to send.
    pub fn can_send(&self) -> bool {
        !self.draft().trim().is_empty() || !self.attachments().is_empty()
    }
}
