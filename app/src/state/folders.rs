//! Folders of chats.

use super::State;
use crate::chats::{Chat, Folder, Group, Id, group_by_date};

impl State {
    /// The folders, by name.
    pub fn folders(&self) -> &[Folder] {
        &self.library.folders
    }

    /// The folder of a chat.
    pub fn folder_of(&self, chat: &Chat) -> Option<&Folder> {
        let id = chat.folder?;
        self.folders().iter().find(|folder| folder.id == id)
    }

    /// The chats outside the trash in the order of the list: pinned ones, the folders with theirs, and the others by date in
    /// the time zone of this machine. A pinned chat of a folder is the first in the folder.
    pub fn listed_chats(&self) -> Listing<'_> {
        let is_inside = |chat: &&Chat| self.folder_of(chat).is_some();
        let (inside, outside): (Vec<&Chat>, Vec<&Chat>) = self.visible_chats().into_iter().partition(is_inside);
        let mut folders = Vec::new();
        for folder in self.folders() {
            let mut chats: Vec<&Chat> = inside.iter().copied().filter(|chat| chat.folder == Some(folder.id)).collect();
            chats.sort_by_key(|chat| !chat.pinned);
            folders.push((folder, chats));
        }
        let mut groups = group_by_date(outside, &jiff::ZonedDateTime::now());
        let is_pinned = |group: &Group<'_>| group.chats.first().is_some_and(|chat| chat.pinned);
        let dates = groups.split_off(groups.iter().take_while(|group| is_pinned(group)).count());
        Listing { pinned: groups.pop(), folders, dates }
    }

    /// Adds a folder. Returns its id; that of the folder with this name, if there is one; `None` for an empty name.
    pub fn add_folder(&mut self, name: &str) -> Option<Id> {
        let name = name.trim();
        if name.is_empty() {
            return None;
        }
        if let Some(known) = self.folders().iter().find(|folder| folder.name == name) {
            return Some(known.id);
        }
        let folder = Folder::new(name);
        let id = folder.id;
        self.library.folders.push(folder);
        self.save_folders();
        Some(id)
    }

    /// Changes a folder's name. An empty name changes nothing.
    pub fn rename_folder(&mut self, id: Id, name: &str) {
        let name = name.trim().to_owned();
        if let Some(folder) = self.library.folders.iter_mut().find(|folder| folder.id == id && !name.is_empty()) {
            folder.name = name;
            self.save_folders();
        }
    }

    /// Hides the chats of a folder in the list, or shows them.
    pub fn toggle_folder(&mut self, id: Id) {
        if let Some(folder) = self.library.folders.iter_mut().find(|folder| folder.id == id) {
            folder.collapsed ^= true;
            self.save_folders();
        }
    }

    /// Deletes a folder. Its chats are kept, outside of any folder.
    pub fn delete_folder(&mut self, id: Id) {
        let inside: Vec<Id> =
            self.library.chats.iter().filter(|chat| chat.folder == Some(id)).map(|chat| chat.id).collect();
        let count = inside.len();
        self.move_chats(&inside, None);
        self.library.folders.retain(|folder| folder.id != id);
        self.save_folders();
        if count > 0 {
            self.notify("The folder is deleted. Its chats are kept.");
        }
    }

    /// Puts chats into a folder, or out of any for `None`.
    pub fn move_chats(&mut self, chats: &[Id], folder: Option<Id>) {
        for id in chats {
            self.change_chat(*id, |chat| chat.folder = folder);
        }
    }

    fn save_folders(&mut self) {
        // Those that are saved are not known yet.
        if !matches!(self.opened, Some(Ok(()))) {
            return;
        }
        self.library.folders.sort_by_key(|folder| folder.name.to_lowercase());
        self.store.save_value(Folder::VALUE, Folder::list_to_json(&self.library.folders));
    }
}

/// The chats in the order of the list.
pub struct Listing<'c> {
    /// The pinned chats outside of folders.
    pub pinned: Option<Group<'c>>,
    /// The folders and their chats.
    pub folders: Vec<(&'c Folder, Vec<&'c Chat>)>,
    /// The other chats, by date.
    pub dates: Vec<Group<'c>>,
}

impl Listing<'_> {
    /// The chats that are seen, in their order: all but those of collapsed folders.
    pub fn seen(&self) -> Vec<Id> {
        let open = self.folders.iter().filter(|(folder, _)| !folder.collapsed).map(|(_, chats)| chats);
        let (pinned, dates) = (self.pinned.iter(), self.dates.iter());
        let chats = pinned.map(|group| &group.chats).chain(open).chain(dates.map(|group| &group.chats));
        chats.flatten().map(|chat| chat.id).collect()
    }
}
