//! Exporting and importing chats, and files that are dropped or chosen.

use std::path::PathBuf;

use super::State;
use crate::chats::{Attachment, Id};
use crate::worker::{Command, DroppedFile};

impl State {
    /// Exports the open chat, or all chats, to a file. An existing file is replaced only if `overwrite` is set.
    pub fn export(&mut self, all: bool, path: PathBuf, overwrite: bool) {
        self.export_chats(self.exported_chats(all), path, overwrite);
    }

    /// The chats that an export of the open chat, or of all chats, contains.
    pub fn exported_chats(&self, all: bool) -> Vec<Id> {
        if all { self.visible_chats().iter().rev().map(|chat| chat.id).collect() } else { vec![self.open_id()] }
    }

    /// Exports these chats to a file. An existing file is replaced only if `overwrite` is set.
    pub fn export_chats(&mut self, chats: Vec<Id>, path: PathBuf, overwrite: bool) {
        self.save_reply();
        let name = path.display().to_string();
        if let Err(reason) = self.store.export(chats, path, overwrite) {
            self.notify_error(&format!("{name} cannot be written: {reason}."));
        }
    }

    /// Imports chats from a file.
    pub fn import(&mut self, path: PathBuf) {
        let name = path.display().to_string();
        if let Err(reason) = self.store.import(path) {
            self.notify_error(&format!("{name} cannot be imported: {reason}."));
        }
    }

    /// Opens a dropped or chosen file according to its kind: a model is loaded, a text is attached to the draft, an export
    /// is imported.
    pub fn open_dropped_file(&mut self, path: PathBuf) {
        self.worker.send(Command::Inspect { chat: self.open_id(), path });
    }

    /// Handles the result of [`State::open_dropped_file`].
    pub(super) fn on_inspected(&mut self, chat: Id, file: DroppedFile) {
        match file {
            DroppedFile::Model(path) => self.load_model(Some(path)),
            DroppedFile::Chats(path) => self.import(path),
            DroppedFile::Text { name, text } => {
                self.on_attached(chat, Ok(Attachment::new(&name, text)));
            }
            DroppedFile::Unusable(reason) => self.notify_error(&reason),
        }
    }
}
