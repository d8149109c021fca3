//! What comes from the store of chats.

use std::collections::HashMap;

use super::State;
use crate::chats::{Chat, Folder, Id, Message, Status, StoreEvent, Tree};
use crate::settings::Settings;

impl State {
    pub(super) fn on_store_event(&mut self, event: StoreEvent) {
        match event {
            StoreEvent::Opened { chats, values } => self.on_opened(chats, &values),
            StoreEvent::NotOpened(reason) => {
                self.opened = Some(Err(reason));
                self.reload();
            }
            StoreEvent::Messages(chat, messages) => self.on_messages(chat, messages),
            StoreEvent::Found(number, hits) => {
                if number == self.search.number {
                    self.search.hits = Some(hits);
                }
            }
            StoreEvent::CannotSave(reason) => self.cannot_save = Some(reason),
            StoreEvent::Ended => self.store_ended = true,
            StoreEvent::SavedAgain => {
                self.cannot_save = None;
                self.notify("Everything is saved again.");
            }
            StoreEvent::Exported(path, count) => {
                let chats = if count == 1 { "The chat was".to_owned() } else { format!("{count} chats were") };
                self.notify(&format!("{chats} written to {}.", path.display()));
            }
            StoreEvent::Imported { chats, left_out } => self.on_imported(chats, left_out.as_deref()),
            StoreEvent::FileError(reason) => {
                // The error may belong to a chat that could not be read. It is read again the next time.
                self.library.requested.clear();
                self.notify_error(&reason);
            }
        }
    }

    fn on_opened(&mut self, chats: Vec<Chat>, values: &HashMap<String, String>) {
        let before = std::mem::take(&mut self.settings).system;
        self.settings = values.get("settings").map(|text| Settings::from_json(text)).unwrap_or_default();
        self.saved_settings = Some(self.settings.clone());
        self.default_system_changed(&before);
        self.opened = Some(Ok(()));
        self.serve_as_set();
        self.library.folders = Folder::list_from_json(values.get(Folder::VALUE).map_or("", String::as_str));
        self.drafts.restore(values.get("edits").map_or("", String::as_str));
        let sources = values.get("sources").and_then(|text| serde_json::from_str::<HashMap<_, _>>(text).ok());
        self.queue.sources.extend(sources.unwrap_or_default());
        // An unsent draft is shown again in its empty chat.
        let unsent = chats.iter().find(|chat| chat.title.is_empty()).map(|chat| chat.id);
        let idle = !self.can_send() && self.tree().is_some_and(|tree| tree.path().is_empty());
        for chat in chats.iter().filter(|chat| chat.title.is_empty()) {
            self.library.trees.insert(chat.id, Tree::default());
        }
        if let Some(unsent) = unsent.filter(|_| idle) {
            self.library.chats.clear();
            self.library.set_open(unsent);
        }
        self.library.chats.extend(chats);
        self.reload();
    }

    fn on_messages(&mut self, chat: Id, messages: Vec<Message>) {
        self.library.requested.remove(&chat);
        // The tree in memory is newer.
        if self.library.trees.contains_key(&chat) {
            return;
        }
        let leaf = self.chat(chat).and_then(|chat| chat.leaf);
        let mut tree = Tree::new(messages, leaf);
        // The message may be on another branch, for example after a search.
        if chat == self.open_id()
            && let Some(wanted) = self.scroll_to.filter(|wanted| tree.get(*wanted).is_some())
            && !tree.path().contains(&wanted)
        {
            tree.show_through(wanted);
        }
        self.library.trees.insert(chat, tree);
        self.close_interrupted(chat);
    }

    fn on_imported(&mut self, chats: Vec<Chat>, left_out: Option<&str>) {
        let count = match chats.len() {
            1 => "One chat was imported.".to_owned(),
            count => format!("{count} chats were imported."),
        };
        self.notify(&left_out.map_or(count.clone(), |left_out| format!("{count} {left_out}")));
        let first = chats.first().map(|chat| chat.id);
        self.library.chats.extend(chats);
        if let Some(first) = first {
            self.open_chat(first);
        }
    }

    /// Marks unfinished messages of a chat read from the database as finished, because no engine works on them.
    fn close_interrupted(&mut self, chat: Id) {
        let writing = self.reply().map(|reply| reply.message);
        let Some(tree) = self.library.trees.get_mut(&chat) else { return };
        let stale: Vec<Id> = tree
            .messages()
            .filter(|message| message.status.is_unfinished() && Some(message.id) != writing)
            .map(|message| message.id)
            .collect();
        for id in stale {
            if let Some(message) = tree.get_mut(id) {
                if message.status == Status::Writing {
                    message.note = Some("Lapidary was closed before this reply ended.".into());
                }
                message.status = message.status.settled();
                self.store.save_message(chat, message);
            }
        }
    }
}
