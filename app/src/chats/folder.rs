//! Folders of chats, which have one level.

use serde::{Deserialize, Serialize};

use super::{Id, new_id};

/// A folder. A chat names the one that it is in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Folder {
    /// Its id.
    pub id: Id,
    /// The name that the user gave it.
    pub name: String,
    /// Whether its chats are hidden in the list.
    #[serde(default)]
    pub collapsed: bool,
}

impl Folder {
    /// The name under which the store keeps the list of folders as a value.
    pub const VALUE: &str = "folders";

    /// An open folder with a new id.
    pub fn new(name: &str) -> Self {
        Self { id: new_id(), name: name.to_owned(), collapsed: false }
    }

    /// Reads the saved folders. Unreadable ones come from another version and are dropped; their chats are kept.
    pub fn list_from_json(text: &str) -> Vec<Self> {
        if text.is_empty() {
            return Vec::new();
        }
        serde_json::from_str(text).unwrap_or_else(|error| {
            log::warn!("the folders cannot be read and are dropped: {error}");
            Vec::new()
        })
    }

    /// The JSON for [`Folder::list_from_json`].
    pub fn list_to_json(folders: &[Self]) -> String {
        // Ids, names and booleans always have a JSON form.
        serde_json::to_string(folders).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_survive_a_restart() {
        let folders = [Folder::new("Work"), Folder { collapsed: true, ..Folder::new("\"Home\"") }];
        assert_eq!(Folder::list_from_json(&Folder::list_to_json(&folders)), folders);
        assert!(Folder::list_from_json("").is_empty() && Folder::list_from_json("nonsense").is_empty());
    }
}
