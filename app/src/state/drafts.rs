//! Text that is typed and not sent yet: drafts, and edits of messages.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use web_time::Instant;

use super::State;
use crate::chats::{Id, Role};

/// Edits that are not shown, and what has to be saved.
#[derive(Default)]
pub(super) struct Drafts {
    /// The edits in chats that are not shown, by chat: the message and its new text.
    pub(super) hidden: HashMap<Id, (Id, String)>,
    /// Texts of edits that were left unfinished, by message: its chat and its new text.
    pub(super) abandoned: HashMap<Id, (Id, String)>,
    /// The edits as last saved.
    saved: String,
    /// When a draft or an edit changed that is not saved yet.
    pub(super) changed: Option<Instant>,
}

impl Drafts {
    /// Marks the draft or an edit as changed.
    pub(super) fn touch(&mut self) {
        self.changed.get_or_insert_with(Instant::now);
    }

    /// All edits as JSON, with the one that is shown; empty if there are none.
    fn to_json(&self, shown: Option<(Id, &(Id, String))>) -> String {
        let hidden = shown.into_iter().chain(self.hidden.iter().map(|(chat, edit)| (*chat, edit)));
        let abandoned = self.abandoned.iter().map(|(id, (chat, text))| (*id, (*chat, text)));
        let edits: BTreeMap<Id, (Id, &String)> =
            abandoned.chain(hidden.map(|(chat, (id, text))| (*id, (chat, text)))).collect();
        // Ids and texts always have a JSON form.
        if edits.is_empty() { String::new() } else { serde_json::to_string(&edits).unwrap_or_default() }
    }

    /// Restores saved edits. Each appears again when its message is edited.
    pub(super) fn restore(&mut self, saved: &str) {
        // Unreadable edits come from another version and are dropped.
        let edits: BTreeMap<Id, (Id, String)> = serde_json::from_str(saved).unwrap_or_default();
        self.abandoned.extend(edits);
        self.saved = saved.to_owned();
    }
}

impl State {
    /// The draft of the open chat.
    pub fn draft(&self) -> &str {
        self.open().map_or("", |chat| &chat.draft)
    }

    /// Changes the draft of the open chat.
    pub fn set_draft(&mut self, text: String) {
        let open = self.library.open;
        if let Some(chat) = self.library.chat_mut(open) {
            chat.draft = text;
        }
        self.counts.draft_changed(open);
        self.drafts.touch();
    }

    /// Saves the draft of the open chat and all edits.
    pub(super) fn save_draft(&mut self) {
        self.save_edits();
        let changed = self.drafts.changed.take().is_some();
        let Some(chat) = self.library.chat(self.library.open) else { return };
        // An empty chat is saved if its system prompt differs from the default, present or last saved.
        let is_default = |system: &str| {
            system == self.settings.system || self.saved_settings.as_ref().is_some_and(|saved| system == saved.system)
        };
        let is_blank = chat.draft.is_empty() && chat.attachments.is_empty() && chat.options == Default::default();
        if chat.has_messages() || !is_blank || !is_default(&chat.system) {
            self.store.save_chat(chat);
        } else if changed {
            // An earlier draft may have been saved.
            self.store.forget(chat.id);
        }
    }

    /// Saves the unfinished edits if they changed.
    pub(super) fn save_edits(&mut self) {
        let shown = self.editing.as_ref().map(|edit| (self.library.open, edit));
        let edits = self.drafts.to_json(shown);
        if edits != self.drafts.saved {
            self.store.save_value("edits", edits.clone());
            self.drafts.saved = edits;
        }
    }

    /// Must be called after the text of an edit changed.
    pub fn edit_changed(&mut self) {
        self.drafts.touch();
    }

    /// Saves drafts, edits and the reply without a wait, because the window may be gone in a moment.
    pub fn save_now(&mut self) {
        self.save_reply();
        self.save_draft();
    }

    /// Saves drafts and edits a second after they changed.
    pub(super) fn save_draft_in_time(&mut self) {
        if self.drafts.changed.is_some_and(|since| since.elapsed() >= Duration::from_secs(1)) {
            self.save_draft();
        }
    }

    /// Starts editing a message.
    pub fn edit(&mut self, id: Id) {
        self.leave_edit();
        let Some(message) = self.library.tree().and_then(|tree| tree.get(id)) else { return };
        let text = self.drafts.abandoned.remove(&id).map_or_else(|| message.text.clone(), |(_, text)| text);
        self.editing = Some((id, text));
        self.scroll_to = Some(id);
    }

    /// Stops editing and keeps the text for the next edit of the same message. Returns whether a message was being edited.
    pub fn leave_edit(&mut self) -> bool {
        let Some((id, text)) = self.editing.take() else { return false };
        if self.tree().and_then(|tree| tree.get(id)).is_some_and(|message| message.text != text) {
            self.drafts.abandoned.insert(id, (self.library.open, text));
        }
        true
    }

    /// Starts editing the user's last message.
    pub fn edit_last(&mut self) {
        let last = self.tree().and_then(|tree| tree.branch().rfind(|message| message.role == Role::User));
        if let Some(id) = last.map(|message| message.id) {
            self.edit(id);
        }
    }
}
