//! Actions on one message: deleting it, starting a new chat from it, cancelling it while it is queued.

use super::{State, SummarySource};
use crate::chats::{Chat, Id, Message, Removed, Role, Status, new_id};

/// The most deleted messages that can be brought back.
const MAX_DELETED: usize = 20;

/// A deleted message.
pub(super) struct Deleted {
    pub(super) chat: Id,
    pub(super) removed: Removed,
}

impl State {
    /// Deletes a message of the open chat. What follows it follows its parent from now on, so that nothing else is lost. A
    /// notice offers to bring it back.
    pub fn delete_message(&mut self, id: Id) {
        self.remove_message(id, "The message was deleted.");
    }

    /// Cancels a queued message or reply of the open chat. A message that waits for its answer is removed, and a notice
    /// offers to bring it back; a reply stays as it is.
    pub fn cancel_queued(&mut self, id: Id) {
        let waits = |message: &Message| message.role == Role::User && message.status == Status::Queued;
        if self.tree().and_then(|tree| tree.get(id)).is_some_and(waits) {
            self.remove_message(id, "The message was cancelled.");
        } else {
            self.cancel_jobs_of_message(id);
        }
    }

    fn remove_message(&mut self, id: Id, notice: &str) {
        let chat = self.open_id();
        if self.tree().is_none_or(|tree| tree.get(id).is_none()) {
            return;
        }
        if self.is_writing(id) {
            self.stop_reply();
            self.save_reply();
            self.queue.reply = None;
        }
        self.cancel_jobs_of_message(id);
        if self.editing.as_ref().is_some_and(|(edited, _)| *edited == id) {
            self.editing = None;
        }
        self.drafts.abandoned.remove(&id);
        let Some(removed) = self.library.trees.get_mut(&chat).and_then(|tree| tree.remove(id)) else { return };
        self.save_tree(chat, &removed.below, Some(id));
        // A deleted message whose parent is deleted too comes back below the next one above.
        for deleted in &mut self.deleted {
            if deleted.removed.message.parent == Some(id) {
                deleted.removed.message.parent = removed.message.parent;
            }
        }
        self.deleted.push(Deleted { chat, removed });
        let excess = self.deleted.len().saturating_sub(MAX_DELETED);
        self.deleted.drain(..excess);
        self.notify_with_undo(notice, vec![id]);
        self.next_job();
    }

    /// Brings back a deleted message and opens its chat.
    pub(super) fn restore_message(&mut self, id: Id) {
        let Some(index) = self.deleted.iter().position(|deleted| deleted.removed.message.id == id) else { return };
        let chat = self.deleted[index].chat;
        self.open_chat(chat);
        let Some(tree) = self.library.trees.get_mut(&chat) else {
            self.notify_error("The chat is still being read. Try again in a moment.");
            self.notify_with_undo("The message was deleted.", vec![id]);
            return;
        };
        let Deleted { mut removed, .. } = self.deleted.remove(index);
        // No job works on it any more.
        removed.message.status = removed.message.status.settled();
        let mut changed = tree.restore(removed);
        changed.push(id);
        self.save_tree(chat, &changed, None);
        self.scroll_to = Some(id);
    }

    /// Saves a chat's shown branch and some of its messages, and deletes one, in one transaction.
    fn save_tree(&mut self, id: Id, changed: &[Id], forgotten: Option<Id>) {
        let Some(tree) = self.library.trees.get(&id) else { return };
        let messages: Vec<Message> = changed.iter().filter_map(|id| tree.get(*id).cloned()).collect();
        let leaf = tree.leaf();
        let Some(chat) = self.library.chat_mut(id) else { return };
        chat.leaf = leaf;
        match forgotten {
            Some(forgotten) => self.store.forget_message(chat, forgotten, &messages),
            None => self.store.save_chat_with(chat, &messages),
        }
    }

    /// Starts a new chat with a copy of the open chat's branch up to a message, and opens it.
    pub fn fork(&mut self, id: Id) {
        let Some(old) = self.open().cloned() else { return };
        let Some(tree) = self.tree().filter(|tree| tree.get(id).is_some()) else { return };
        let branch: Vec<Message> = tree.path_to(id).iter().filter_map(|id| tree.get(*id).cloned()).collect();
        let title = format!("{} (copy)", old.shown_title());
        let chat = Chat { title, named: true, system: old.system, options: old.options, ..Chat::new() };
        let to = chat.id;
        self.add_chat(chat);
        let (mut copies, mut parent) = (Vec::new(), None);
        for mut message in branch {
            message.status = message.status.settled();
            let copy = Message { id: new_id(), parent, ..message };
            if let Some(source) = self.queue.sources.get(&message.id).cloned() {
                let chats = [source.chats[0], to];
                self.queue.sources.insert(copy.id, SummarySource { chats, ..source });
                self.save_sources();
            }
            parent = Some(copy.id);
            copies.push(copy);
        }
        let Some(tree) = self.library.trees.get_mut(&to) else { return };
        copies.iter().for_each(|copy| tree.add(copy.clone()));
        let Some(chat) = self.library.chat_mut(to) else { return };
        chat.leaf = parent;
        self.store.save_chat_with(chat, &copies);
        self.scroll_to = parent;
    }
}
