//! The list of chats.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Notice, State};
use crate::chats::{Chat, Id, Tree, now, store};
use crate::worker::{Command, DroppedFile};

impl State {
    /// The chats outside of the trash, latest first; the empty one is not among them.
    pub fn listed(&self) -> Vec<&Chat> {
        let shown = |chat: &&Chat| chat.deleted.is_none() && !chat.title.is_empty();
        let mut chats: Vec<&Chat> = self.chats.iter().filter(shown).collect();
        chats.sort_by_key(|chat| std::cmp::Reverse(chat.updated));
        chats
    }

    /// The chats in the trash, the last thrown first.
    pub fn trash(&self) -> Vec<&Chat> {
        let mut chats: Vec<&Chat> = self.chats.iter().filter(|chat| chat.deleted.is_some()).collect();
        chats.sort_by_key(|chat| std::cmp::Reverse(chat.deleted));
        chats
    }

    /// A chat.
    pub fn chat(&self, id: Id) -> Option<&Chat> {
        self.chats.iter().find(|chat| chat.id == id)
    }

    pub(super) fn chat_mut(&mut self, id: Id) -> Option<&mut Chat> {
        self.chats.iter_mut().find(|chat| chat.id == id)
    }

    /// The chat that is shown.
    pub fn open_id(&self) -> Id {
        self.open
    }

    /// The chat that is shown.
    pub fn open(&self) -> Option<&Chat> {
        self.chat(self.open)
    }

    /// The messages of the chat that is shown; none while they are read.
    pub fn tree(&self) -> Option<&Tree> {
        self.trees.get(&self.open)
    }

    /// What is typed in the chat that is shown.
    pub fn draft(&self) -> &str {
        self.open().map_or("", |chat| &chat.draft)
    }

    /// Changes what is typed.
    pub fn set_draft(&mut self, text: String) {
        if let Some(chat) = self.chat_mut(self.open) {
            chat.draft = text;
        }
        self.counts.draft_changed(self.open);
        self.draft_changed.get_or_insert_with(Instant::now);
    }

    /// Shows a chat.
    pub fn open_chat(&mut self, id: Id) {
        if self.chat(id).is_none() {
            return;
        }
        if id != self.open {
            self.leave();
            self.enter(id);
        }
        if !self.trees.contains_key(&id) && self.requested.insert(id) {
            self.store.load(id);
        }
    }

    /// Shows a message, in its chat and on its branch.
    pub fn open_message(&mut self, chat: Id, message: Option<Id>) {
        self.open_chat(chat);
        self.scroll_to = message;
        if let (Some(message), Some(tree)) = (message, self.trees.get_mut(&chat))
            && !tree.path().contains(&message)
        {
            tree.show_through(message);
        }
    }

    /// Shows an empty chat.
    pub fn new_chat(&mut self) {
        self.leave();
        match self.chats.iter().find(|chat| chat.title.is_empty() && chat.deleted.is_none()).map(|chat| chat.id) {
            Some(empty) => self.enter(empty),
            None => self.add_chat(Chat { system: self.settings.system.clone(), ..Chat::new() }),
        }
    }

    /// Gives empty chats that have the old system prompt of new chats the new one.
    pub(super) fn default_system_changed(&mut self, old: &str) {
        for chat in self.chats.iter_mut().filter(|chat| chat.title.is_empty() && chat.system == old) {
            chat.system.clone_from(&self.settings.system);
        }
    }

    /// Adds a chat and shows it.
    pub(super) fn add_chat(&mut self, chat: Chat) {
        self.leave();
        self.enter(chat.id);
        self.trees.insert(chat.id, Tree::default());
        if !chat.title.is_empty() {
            self.store.save_chat(&chat);
        }
        self.chats.push(chat);
    }

    fn enter(&mut self, id: Id) {
        self.open = id;
        self.editing = self.hidden_edits.remove(&id);
    }

    /// Before another chat is shown.
    fn leave(&mut self) {
        self.save_draft();
        if let Some(edit) = self.editing.take() {
            self.hidden_edits.insert(self.open, edit);
        }
        self.alternatives = None;
        // Trees are read again when they are needed, if the database has all of them; those of replies under way are needed.
        if self.cannot_save.is_some() || self.store_ended || !matches!(self.opened, Some(Ok(()))) {
            return;
        }
        let keep: Vec<Id> = self.reply.iter().map(|reply| reply.chat).chain([self.open]).collect();
        let jobs = self.jobs.is_empty();
        let chats = &self.chats;
        self.trees.retain(|id, _| {
            let unsaved = chats.iter().any(|chat| chat.id == *id && chat.title.is_empty());
            unsaved || !jobs || keep.contains(id)
        });
    }

    /// Saves what is typed in the open chat, and what is edited in any.
    pub(super) fn save_draft(&mut self) {
        self.save_edits();
        let changed = self.draft_changed.take().is_some();
        let Some(chat) = self.chats.iter().find(|chat| chat.id == self.open) else { return };
        // Its system prompt is its own, unless it is that of new chats or was until a moment ago.
        let default = |system: &str| {
            system == self.settings.system || self.saved_settings.as_ref().is_some_and(|saved| system == saved.system)
        };
        if chat.is_begun() || !chat.draft.is_empty() || !default(&chat.system) {
            self.store.save_chat(chat);
        } else if changed {
            // What was typed first may have been saved.
            self.store.forget(chat.id);
        }
    }

    /// Saves the edits that are not finished, where they changed.
    fn save_edits(&mut self) {
        let open = self.editing.iter().map(|edit| (self.open, edit));
        let open = open.chain(self.hidden_edits.iter().map(|(chat, edit)| (*chat, edit)));
        let abandoned = self.abandoned_edits.iter().map(|(id, (chat, text))| (*id, (*chat, text)));
        let edits: BTreeMap<Id, (Id, &String)> =
            abandoned.chain(open.map(|(chat, (id, text))| (*id, (chat, text)))).collect();
        let edits = if edits.is_empty() { String::new() } else { serde_json::to_string(&edits).unwrap_or_default() };
        if edits != self.saved_edits {
            self.store.save_edits(edits.clone());
            self.saved_edits = edits;
        }
    }

    /// Takes the edits of the last time: each is there again when its message is edited.
    pub(super) fn restore_edits(&mut self, saved: Option<&str>) {
        let saved = saved.unwrap_or_default();
        // What is unreadable was written by another version; it is no reason to keep anything else from being shown.
        let edits: BTreeMap<Id, (Id, String)> = serde_json::from_str(saved).unwrap_or_default();
        self.abandoned_edits.extend(edits);
        self.saved_edits = saved.to_owned();
    }

    /// To be called when the text of an edit changed.
    pub fn edit_changed(&mut self) {
        self.draft_changed.get_or_insert_with(Instant::now);
    }

    /// Saves what is typed about a second after it was.
    pub(super) fn save_draft_in_time(&mut self) {
        if self.draft_changed.is_some_and(|since| since.elapsed() >= Duration::from_secs(1)) {
            self.save_draft();
        }
    }

    /// Gives a chat a title; an empty one changes nothing.
    pub fn rename(&mut self, id: Id, title: &str) {
        let title = title.trim().to_owned();
        if title.is_empty() {
            return;
        }
        self.change_chat(id, |chat| {
            chat.title = title;
            chat.named = true;
        });
    }

    /// Sets what the model should know before the first message of the open chat.
    pub fn set_system(&mut self, system: String) {
        self.change_chat(self.open, |chat| chat.system = system);
        // That of an empty chat is saved as what is typed there.
        self.draft_changed.get_or_insert_with(Instant::now);
    }

    /// Walks to a sibling of a message; see [`Tree::show_sibling`].
    pub fn show_sibling(&mut self, message: Id, step: isize) {
        let Some(tree) = self.trees.get_mut(&self.open) else { return };
        tree.show_sibling(message, step);
        let leaf = tree.leaf();
        self.change_chat(self.open, |chat| chat.leaf = leaf);
    }

    fn change_chat(&mut self, id: Id, change: impl FnOnce(&mut Chat)) {
        let Some(chat) = self.chats.iter_mut().find(|chat| chat.id == id) else { return };
        change(chat);
        if !chat.title.is_empty() {
            self.store.save_chat(chat);
        }
    }

    /// Puts a chat into the trash.
    pub fn delete(&mut self, id: Id) {
        if self.reply.as_ref().is_some_and(|reply| reply.chat == id) {
            self.stop_reply();
        }
        self.cancel_jobs(id);
        self.change_chat(id, |chat| chat.deleted = Some(now()));
        let Some(title) = self.chat(id).map(|chat| chat.shown_title().to_owned()) else { return };
        let until = Instant::now() + super::NOTICE_TIME;
        let text = format!("“{title}” is in the trash.");
        self.push_notice(Notice { text, undo: Some(id), is_error: false, until });
        if self.open == id {
            self.new_chat();
        }
    }

    /// Takes a chat out of the trash and shows it.
    pub fn restore(&mut self, id: Id) {
        self.change_chat(id, |chat| chat.deleted = None);
        self.notices.retain(|notice| notice.undo != Some(id));
        self.open_chat(id);
    }

    /// Removes what is in the trash for good.
    pub fn empty_trash(&mut self) {
        for chat in self.chats.iter().filter(|chat| chat.deleted.is_some()) {
            self.store.forget(chat.id);
            self.trees.remove(&chat.id);
            self.hidden_edits.remove(&chat.id);
        }
        self.chats.retain(|chat| chat.deleted.is_none());
        // What was said in a chat that is gone is not kept elsewhere.
        let kept = |id: &Id| self.chats.iter().any(|chat| chat.id == *id);
        let before = self.sources.len();
        self.sources.retain(|_, source| source.chats.iter().all(kept));
        if self.sources.len() != before {
            self.save_sources();
        }
        self.abandoned_edits.retain(|_, edit| kept(&edit.0));
        self.save_edits();
        self.notices.retain(|notice| notice.undo.is_none());
    }

    /// Looks for a text in all chats.
    pub fn search_for(&mut self, text: &str) {
        self.search.text = text.to_owned();
        self.search.number += 1;
        self.search.hits = None;
        if !text.trim().is_empty() {
            self.store.search(self.search.number, text);
        }
    }

    /// Writes the open chat, or all, to a file; over one that is there only if `overwrite` says so.
    pub fn export(&mut self, all: bool, path: PathBuf, overwrite: bool) {
        self.save_reply();
        let chats = if all { self.listed().iter().rev().map(|chat| chat.id).collect() } else { Vec::from([self.open]) };
        let name = path.display().to_string();
        if !self.store.export(chats, path, overwrite) {
            self.notify_error(&format!("{name} cannot be written: {}.", store::ENDED));
        }
    }

    /// Reads chats from a file.
    pub fn import(&mut self, path: PathBuf) {
        let name = path.display().to_string();
        if !self.store.import(path) {
            self.notify_error(&format!("{name} cannot be imported: {}.", store::ENDED));
        }
    }

    /// Takes a file that was dropped or chosen for what it is: a model is opened, a text goes into the draft, an export is
    /// imported.
    pub fn open_dropped_file(&mut self, path: PathBuf) {
        self.worker.send(Command::Inspect(path));
    }

    pub(super) fn on_inspected(&mut self, file: DroppedFile) {
        match file {
            DroppedFile::Model(path) => self.load_model(Some(path)),
            DroppedFile::Chats(path) => self.import(path),
            DroppedFile::Text { name, text } => {
                let mut draft = self.draft().to_owned();
                if !draft.is_empty() && !draft.ends_with('\n') {
                    draft.push('\n');
                }
                self.set_draft(draft + &text);
                self.notify(&format!("{name} was added to your message."));
            }
            DroppedFile::Unusable(reason) => self.notify_error(&reason),
        }
    }
}
