//! The list of chats: opening, saving, searching, deleting, exporting and importing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Notice, State};
use crate::chats::{Chat, Id, Tree, now, store};
use crate::worker::{Command, DroppedFile};

impl State {
    /// The chats outside the trash that have messages, the latest first.
    pub fn visible_chats(&self) -> Vec<&Chat> {
        let shown = |chat: &&Chat| chat.deleted.is_none() && !chat.title.is_empty();
        let mut chats: Vec<&Chat> = self.chats.iter().filter(shown).collect();
        chats.sort_by_key(|chat| std::cmp::Reverse(chat.updated));
        chats
    }

    /// The chats in the trash, the last deleted first.
    pub fn trash(&self) -> Vec<&Chat> {
        let mut chats: Vec<&Chat> = self.chats.iter().filter(|chat| chat.deleted.is_some()).collect();
        chats.sort_by_key(|chat| std::cmp::Reverse(chat.deleted));
        chats
    }

    /// The chat with this id.
    pub fn chat(&self, id: Id) -> Option<&Chat> {
        self.chats.iter().find(|chat| chat.id == id)
    }

    pub(super) fn chat_mut(&mut self, id: Id) -> Option<&mut Chat> {
        self.chats.iter_mut().find(|chat| chat.id == id)
    }

    /// The id of the open chat.
    pub fn open_id(&self) -> Id {
        self.open
    }

    /// The open chat.
    pub fn open(&self) -> Option<&Chat> {
        self.chat(self.open)
    }

    /// The messages of the open chat; `None` while they are read.
    pub fn tree(&self) -> Option<&Tree> {
        self.trees.get(&self.open)
    }

    /// The draft of the open chat.
    pub fn draft(&self) -> &str {
        self.open().map_or("", |chat| &chat.draft)
    }

    /// Changes the draft of the open chat.
    pub fn set_draft(&mut self, text: String) {
        if let Some(chat) = self.chat_mut(self.open) {
            chat.draft = text;
        }
        self.counts.draft_changed(self.open);
        self.draft_changed.get_or_insert_with(Instant::now);
    }

    /// Opens a chat.
    pub fn open_chat(&mut self, id: Id) {
        if self.chat(id).is_none() {
            return;
        }
        if id != self.open {
            self.leave_chat();
            self.set_open(id);
        }
        if !self.trees.contains_key(&id) && self.requested.insert(id) {
            self.store.load(id);
        }
    }

    /// Opens a chat and, if a message is given, shows it on its branch.
    pub fn open_message(&mut self, chat: Id, message: Option<Id>) {
        self.open_chat(chat);
        self.scroll_to = message;
        if let (Some(message), Some(tree)) = (message, self.trees.get_mut(&chat))
            && !tree.path().contains(&message)
        {
            tree.show_through(message);
        }
    }

    /// Opens an empty chat.
    pub fn new_chat(&mut self) {
        self.leave_chat();
        match self.chats.iter().find(|chat| chat.title.is_empty() && chat.deleted.is_none()).map(|chat| chat.id) {
            Some(empty) => self.set_open(empty),
            None => self.add_chat(Chat { system: self.settings.system.clone(), ..Chat::new() }),
        }
    }

    /// Replaces the old default system prompt of empty chats with the new one.
    pub(super) fn default_system_changed(&mut self, old: &str) {
        for chat in self.chats.iter_mut().filter(|chat| chat.title.is_empty() && chat.system == old) {
            chat.system.clone_from(&self.settings.system);
        }
    }

    /// Adds a chat and opens it.
    pub(super) fn add_chat(&mut self, chat: Chat) {
        self.leave_chat();
        self.set_open(chat.id);
        self.trees.insert(chat.id, Tree::default());
        if !chat.title.is_empty() {
            self.store.save_chat(&chat);
        }
        self.chats.push(chat);
    }

    /// Makes a chat the open one.
    fn set_open(&mut self, id: Id) {
        self.open = id;
        self.editing = self.hidden_edits.remove(&id);
    }

    /// Saves the open chat's draft and edit before another chat is opened, and drops trees that can be read again.
    fn leave_chat(&mut self) {
        self.save_draft();
        if let Some(edit) = self.editing.take() {
            self.hidden_edits.insert(self.open, edit);
        }
        self.alternatives = None;
        // Trees can be read again only if the database has all of their messages. Trees with a reply or a job are needed.
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

    /// Saves the draft of the open chat and all edits.
    pub(super) fn save_draft(&mut self) {
        self.save_edits();
        let changed = self.draft_changed.take().is_some();
        let Some(chat) = self.chats.iter().find(|chat| chat.id == self.open) else { return };
        // An empty chat is saved if its system prompt differs from the default, present or last saved.
        let is_default = |system: &str| {
            system == self.settings.system || self.saved_settings.as_ref().is_some_and(|saved| system == saved.system)
        };
        if chat.has_messages() || !chat.draft.is_empty() || !is_default(&chat.system) {
            self.store.save_chat(chat);
        } else if changed {
            // An earlier draft may have been saved.
            self.store.forget(chat.id);
        }
    }

    /// Saves the unfinished edits if they changed.
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

    /// Restores the saved edits. Each appears again when its message is edited.
    pub(super) fn restore_edits(&mut self, saved: Option<&str>) {
        let saved = saved.unwrap_or_default();
        // Unreadable edits come from another version and are dropped.
        let edits: BTreeMap<Id, (Id, String)> = serde_json::from_str(saved).unwrap_or_default();
        self.abandoned_edits.extend(edits);
        self.saved_edits = saved.to_owned();
    }

    /// Must be called after the text of an edit changed.
    pub fn edit_changed(&mut self) {
        self.draft_changed.get_or_insert_with(Instant::now);
    }

    /// Saves drafts and edits a second after they changed.
    pub(super) fn save_draft_in_time(&mut self) {
        if self.draft_changed.is_some_and(|since| since.elapsed() >= Duration::from_secs(1)) {
            self.save_draft();
        }
    }

    /// Changes a chat's title. An empty title changes nothing.
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

    /// Sets the system prompt of the open chat.
    pub fn set_system(&mut self, system: String) {
        self.change_chat(self.open, |chat| chat.system = system);
        // The system prompt of an empty chat is saved together with its draft.
        self.draft_changed.get_or_insert_with(Instant::now);
    }

    /// Shows a sibling of a message; see [`Tree::show_sibling`].
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

    /// Moves a chat to the trash.
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

    /// Restores a chat from the trash and opens it.
    pub fn restore(&mut self, id: Id) {
        self.change_chat(id, |chat| chat.deleted = None);
        self.notices.retain(|notice| notice.undo != Some(id));
        self.open_chat(id);
    }

    /// Deletes the chats in the trash permanently.
    pub fn empty_trash(&mut self) {
        for chat in self.chats.iter().filter(|chat| chat.deleted.is_some()) {
            self.store.forget(chat.id);
            self.trees.remove(&chat.id);
            self.hidden_edits.remove(&chat.id);
        }
        self.chats.retain(|chat| chat.deleted.is_none());
        // Copies of a deleted chat's messages are deleted as well.
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

    /// Searches all chats for a text.
    pub fn search_for(&mut self, text: &str) {
        self.search.text = text.to_owned();
        self.search.number += 1;
        self.search.hits = None;
        if !text.trim().is_empty() {
            self.store.search(self.search.number, text);
        }
    }

    /// Exports the open chat, or all chats, to a file. An existing file is replaced only if `overwrite` is set.
    pub fn export(&mut self, all: bool, path: PathBuf, overwrite: bool) {
        self.save_reply();
        let chats =
            if all { self.visible_chats().iter().rev().map(|chat| chat.id).collect() } else { Vec::from([self.open]) };
        let name = path.display().to_string();
        if !self.store.export(chats, path, overwrite) {
            self.notify_error(&format!("{name} cannot be written: {}.", store::THREAD_ENDED));
        }
    }

    /// Imports chats from a file.
    pub fn import(&mut self, path: PathBuf) {
        let name = path.display().to_string();
        if !self.store.import(path) {
            self.notify_error(&format!("{name} cannot be imported: {}.", store::THREAD_ENDED));
        }
    }

    /// Opens a dropped or chosen file according to its kind: a model is loaded, a text is added to the draft, an export is
    /// imported.
    pub fn open_dropped_file(&mut self, path: PathBuf) {
        self.worker.send(Command::Inspect(path));
    }

    /// Handles the result of [`State::open_dropped_file`].
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
