//! The list of chats and the trees that are in memory: opening, changing, deleting.

use std::collections::{HashMap, HashSet, VecDeque};

use super::State;
use crate::chats::{Chat, Folder, Id, Tree, now};

/// The trees of this many chats that were opened last stay in memory.
const KEPT_TREES: usize = 8;

/// All chats, and the messages of some.
pub(super) struct Library {
    pub(super) chats: Vec<Chat>,
    pub(super) folders: Vec<Folder>,
    pub(super) trees: HashMap<Id, Tree>,
    /// Chats whose messages are being read. A second read could undo changes made after the first.
    pub(super) requested: HashSet<Id>,
    /// The open chat.
    pub(super) open: Id,
    /// The chats that were open, the last one first.
    recent: VecDeque<Id>,
}

impl Library {
    /// A library of one empty chat, which is open.
    pub(super) fn new() -> Self {
        let chat = Chat::new();
        Self {
            open: chat.id,
            trees: HashMap::from([(chat.id, Tree::default())]),
            requested: HashSet::new(),
            recent: VecDeque::from([chat.id]),
            chats: vec![chat],
            folders: Vec::new(),
        }
    }

    pub(super) fn chat(&self, id: Id) -> Option<&Chat> {
        self.chats.iter().find(|chat| chat.id == id)
    }

    pub(super) fn chat_mut(&mut self, id: Id) -> Option<&mut Chat> {
        self.chats.iter_mut().find(|chat| chat.id == id)
    }

    /// The messages of the open chat, if they are in memory.
    pub(super) fn tree(&self) -> Option<&Tree> {
        self.trees.get(&self.open)
    }

    /// Makes a chat the open one.
    pub(super) fn set_open(&mut self, id: Id) {
        self.open = id;
        self.recent.retain(|known| *known != id);
        self.recent.push_front(id);
        self.recent.truncate(KEPT_TREES);
    }

    /// Drops the trees of chats that were not open lately and can be read again. Those in `needed` stay, and so do those
    /// of chats that may not be saved yet.
    fn drop_old_trees(&mut self, needed: &HashSet<Id>) {
        let (recent, chats) = (&self.recent, &self.chats);
        self.trees.retain(|id, _| {
            let is_unsaved = || chats.iter().any(|chat| chat.id == *id && chat.title.is_empty());
            recent.contains(id) || needed.contains(id) || is_unsaved()
        });
    }
}

impl State {
    /// The chats outside the trash that have messages, the latest first.
    pub fn visible_chats(&self) -> Vec<&Chat> {
        let shown = |chat: &&Chat| chat.deleted.is_none() && !chat.title.is_empty();
        let mut chats: Vec<&Chat> = self.library.chats.iter().filter(shown).collect();
        chats.sort_by_key(|chat| std::cmp::Reverse(chat.updated));
        chats
    }

    /// The chats in the trash, the last deleted first.
    pub fn trash(&self) -> Vec<&Chat> {
        let mut chats: Vec<&Chat> = self.library.chats.iter().filter(|chat| chat.deleted.is_some()).collect();
        chats.sort_by_key(|chat| std::cmp::Reverse(chat.deleted));
        chats
    }

    /// How many chats are in the trash.
    pub fn trash_count(&self) -> usize {
        self.library.chats.iter().filter(|chat| chat.deleted.is_some()).count()
    }

    /// The chat with this id.
    pub fn chat(&self, id: Id) -> Option<&Chat> {
        self.library.chat(id)
    }

    /// The id of the open chat.
    pub fn open_id(&self) -> Id {
        self.library.open
    }

    /// The open chat.
    pub fn open(&self) -> Option<&Chat> {
        self.chat(self.library.open)
    }

    /// The messages of the open chat; `None` while they are read.
    pub fn tree(&self) -> Option<&Tree> {
        self.library.tree()
    }

    /// Opens a chat.
    pub fn open_chat(&mut self, id: Id) {
        if self.chat(id).is_none() {
            return;
        }
        if id != self.library.open {
            self.leave_chat();
            self.set_open(id);
        }
        if !self.library.trees.contains_key(&id) && self.library.requested.insert(id) {
            self.store.load(id);
        }
    }

    /// Opens a chat and, if a message is given, shows it on its branch.
    pub fn open_message(&mut self, chat: Id, message: Option<Id>) {
        self.open_chat(chat);
        self.scroll_to = message;
        if let (Some(message), Some(tree)) = (message, self.library.trees.get_mut(&chat))
            && !tree.path().contains(&message)
        {
            tree.show_through(message);
        }
    }

    /// Opens an empty chat.
    pub fn new_chat(&mut self) {
        self.leave_chat();
        let empty = self.library.chats.iter().find(|chat| chat.title.is_empty() && chat.deleted.is_none());
        match empty.map(|chat| chat.id) {
            Some(empty) => self.set_open(empty),
            None => self.add_chat(Chat { system: self.settings.system.clone(), ..Chat::new() }),
        }
    }

    /// Replaces the old default system prompt of empty chats with the new one.
    pub(super) fn default_system_changed(&mut self, old: &str) {
        for chat in self.library.chats.iter_mut().filter(|chat| chat.title.is_empty() && chat.system == old) {
            chat.system.clone_from(&self.settings.system);
        }
    }

    /// Adds a chat and opens it.
    pub(super) fn add_chat(&mut self, chat: Chat) {
        self.leave_chat();
        self.set_open(chat.id);
        self.library.trees.insert(chat.id, Tree::default());
        if !chat.title.is_empty() {
            self.store.save_chat(&chat);
        }
        self.library.chats.push(chat);
    }

    /// Makes a chat the open one.
    fn set_open(&mut self, id: Id) {
        self.library.set_open(id);
        self.editing = self.drafts.hidden.remove(&id);
    }

    /// Saves the open chat's draft and edit before another chat is opened, and drops old trees.
    fn leave_chat(&mut self) {
        self.save_draft();
        if let Some(edit) = self.editing.take() {
            self.drafts.hidden.insert(self.library.open, edit);
        }
        self.alternatives = None;
        // Trees can be read again only if the database has all of their messages.
        if self.cannot_save.is_none() && !self.store_ended && matches!(self.opened, Some(Ok(()))) {
            self.library.drop_old_trees(&self.queue.chats());
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

    /// Lists a chat before all others, or no longer.
    pub fn pin(&mut self, id: Id, pinned: bool) {
        self.change_chat(id, |chat| chat.pinned = pinned);
    }

    /// Sets the system prompt of the open chat.
    pub fn set_system(&mut self, system: String) {
        self.change_chat(self.library.open, |chat| chat.system = system);
        // The system prompt of an empty chat is saved together with its draft.
        self.drafts.touch();
    }

    /// Shows a sibling of a message; see [`Tree::show_sibling`].
    pub fn show_sibling(&mut self, message: Id, step: isize) {
        let open = self.library.open;
        let Some(tree) = self.library.trees.get_mut(&open) else { return };
        tree.show_sibling(message, step);
        let leaf = tree.leaf();
        self.change_chat(open, |chat| chat.leaf = leaf);
    }

    pub(super) fn change_chat(&mut self, id: Id, change: impl FnOnce(&mut Chat)) {
        let Some(chat) = self.library.chat_mut(id) else { return };
        change(chat);
        if !chat.title.is_empty() {
            self.store.save_chat(chat);
        }
    }

    /// Moves a chat to the trash.
    pub fn delete(&mut self, id: Id) {
        self.delete_chats(&[id]);
    }

    /// Moves chats to the trash.
    pub fn delete_chats(&mut self, chats: &[Id]) {
        for id in chats {
            if self.reply().is_some_and(|reply| reply.chat == *id) {
                self.stop_reply();
            }
            self.cancel_jobs(*id);
            self.change_chat(*id, |chat| chat.deleted = Some(now()));
        }
        let text = match chats {
            [] => return,
            [id] => {
                let Some(title) = self.chat(*id).map(Chat::shown_title) else { return };
                format!("“{title}” is in the trash.")
            }
            chats => format!("{} chats are in the trash.", chats.len()),
        };
        self.notify_with_undo(&text, chats.to_vec());
        if chats.contains(&self.library.open) {
            self.new_chat();
        }
    }

    /// Brings back a chat from the trash, which is opened, or a deleted message.
    pub fn restore(&mut self, id: Id) {
        self.undo(&[id]);
    }

    /// Brings back what the "Undo" of a notice stands for: chats from the trash, of which the first is opened, or a deleted
    /// message.
    pub fn undo(&mut self, ids: &[Id]) {
        self.notices.retain(|notice| notice.undo != ids);
        for id in ids {
            if self.chat(*id).is_some() {
                self.change_chat(*id, |chat| chat.deleted = None);
            } else {
                self.restore_message(*id);
            }
        }
        if let Some(first) = ids.first() {
            self.open_chat(*first);
        }
    }

    /// Deletes the chats in the trash permanently.
    pub fn empty_trash(&mut self) {
        for chat in self.library.chats.iter().filter(|chat| chat.deleted.is_some()) {
            self.store.forget(chat.id);
            self.library.trees.remove(&chat.id);
            self.drafts.hidden.remove(&chat.id);
        }
        self.library.chats.retain(|chat| chat.deleted.is_none());
        // Copies of a deleted chat's messages are deleted as well.
        let kept = |id: &Id| self.library.chats.iter().any(|chat| chat.id == *id);
        let before = self.queue.sources.len();
        self.queue.sources.retain(|_, source| source.chats.iter().all(kept));
        let sources_changed = self.queue.sources.len() != before;
        self.drafts.abandoned.retain(|_, edit| kept(&edit.0));
        self.deleted.retain(|deleted| kept(&deleted.chat));
        if sources_changed {
            self.save_sources();
        }
        self.save_edits();
        let deleted: Vec<Id> = self.deleted.iter().map(|deleted| deleted.removed.message.id).collect();
        self.notices.retain(|notice| notice.undo.iter().all(|undo| deleted.contains(undo)));
    }
}
