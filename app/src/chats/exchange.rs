//! Export to Markdown and JSON, and import from JSON.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Chat, Id, Message, Role, Status, Tree, new_id};

/// The largest file that is imported.
const MAX_BYTES: u64 = 1 << 30;
/// The `format` field of exported JSON files.
const FORMAT: &str = "lapidary-chats";
const VERSION: u32 = 1;

/// The content of an export: chats with their messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Archive {
    format: String,
    version: u32,
    /// The chats.
    pub chats: Vec<ArchivedChat>,
}

/// A chat with its messages in an [`Archive`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArchivedChat {
    /// The chat.
    #[serde(flatten)]
    pub chat: Chat,
    /// The messages of all branches.
    pub messages: Vec<Message>,
}

impl Default for Archive {
    fn default() -> Self {
        Self { format: FORMAT.into(), version: VERSION, chats: Vec::new() }
    }
}

impl Archive {
    /// Adds a chat.
    pub fn add(&mut self, chat: Chat, mut messages: Vec<Message>) {
        messages.sort_by_key(|message| (message.created, message.id));
        self.chats.push(ArchivedChat { chat, messages });
    }
}

/// Writes chats to a file, as Markdown if its name ends in `.md`, else as JSON. The write is atomic. Unless `overwrite`
/// is set, an existing file is kept and the new name gets a number. Returns the path that was written.
///
/// # Errors
/// The reason, without the path.
pub fn write(archive: &Archive, path: &Path, overwrite: bool) -> Result<PathBuf, String> {
    let path = if overwrite { path.to_owned() } else { unused_path(path) };
    let markdown = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("md"));
    let text = if markdown {
        archive.chats.iter().map(to_markdown).collect::<Vec<_>>().join("\n---\n\n")
    } else {
        serde_json::to_string_pretty(archive).map_err(|error| error.to_string())? + "\n"
    };
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    match fs::write(&part, text).and_then(|()| fs::rename(&part, &path)) {
        Ok(()) => Ok(path),
        Err(error) => {
            // The part may not exist, so an error here is ignored.
            let _ = fs::remove_file(&part);
            Err(error.to_string())
        }
    }
}

/// The first of `name.md`, `name (2).md`, … that does not exist.
fn unused_path(path: &Path) -> PathBuf {
    let (Some(stem), false) = (path.file_stem(), path.is_dir()) else { return path.to_owned() };
    let numbered = (2..).map(|number| {
        let mut name = stem.to_owned();
        name.push(format!(" ({number})"));
        if let Some(end) = path.extension() {
            name.push(".");
            name.push(end);
        }
        path.with_file_name(name)
    });
    std::iter::once(path.to_owned()).chain(numbered).find(|path| !path.exists()).unwrap_or_default()
}

/// The shown branch as Markdown.
pub fn to_markdown(entry: &ArchivedChat) -> String {
    let tree = Tree::new(entry.messages.clone(), entry.chat.leaf);
    let mut text = format!("# {}\n", entry.chat.shown_title());
    if !entry.chat.system.trim().is_empty() {
        let _ = write!(text, "\n> {}\n", entry.chat.system.trim().replace('\n', "\n> "));
    }
    for message in tree.branch() {
        let author = match (message.role, &message.model) {
            (Role::User, _) => "You",
            (Role::Model, Some(model)) => model,
            (Role::Model, None) => "Model",
        };
        let _ = write!(text, "\n## {author}\n\n{}\n", message.text.trim_end());
    }
    text
}

/// Reads chats from a JSON file. They get new ids, so that they overwrite no existing chat.
///
/// # Errors
/// An error message that names the file.
pub fn read(path: &Path) -> Result<Archive, String> {
    let failed = |reason: &dyn std::fmt::Display| format!("{} cannot be imported: {reason}", path.display());
    let size = fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > MAX_BYTES {
        return Err(failed(&"it is larger than 1 GiB"));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    let mut archive: Archive = serde_json::from_str(&text)
        .map_err(|error| failed(&format!("it is not a JSON export of Lapidary ({error})")))?;
    if archive.format != FORMAT {
        return Err(failed(&"it is not a JSON export of Lapidary"));
    }
    if archive.version > VERSION {
        return Err(failed(&"it was written by a newer Lapidary; use that one"));
    }
    archive.chats.iter_mut().for_each(assign_new_ids);
    Ok(archive)
}

/// Gives a chat and its messages new ids. Unfinished messages become stopped ones.
fn assign_new_ids(entry: &mut ArchivedChat) {
    let mut new_ids: HashMap<Id, Id> = HashMap::new();
    for message in &mut entry.messages {
        // If two messages have one id, both are kept.
        let id = new_id();
        new_ids.insert(message.id, id);
        message.id = id;
    }
    for message in &mut entry.messages {
        message.parent = message.parent.and_then(|parent| new_ids.get(&parent).copied());
        if matches!(message.status, Status::Writing | Status::Queued) {
            message.status = Status::Stopped;
        }
    }
    entry.chat.id = new_id();
    entry.chat.leaf = entry.chat.leaf.and_then(|leaf| new_ids.get(&leaf).copied());
    entry.chat.deleted = None;
    if entry.chat.title.trim().is_empty() {
        entry.chat.title = "Untitled".into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Archive {
        let mut chat = Chat::new();
        chat.title = "Fruit".into();
        chat.system = "Be brief.\nBe kind.".into();
        let ask = Message::new(None, Role::User, "Name one", Status::Done);
        let mut a = Message::new(Some(ask.id), Role::Model, "An apple.", Status::Done);
        a.created = ask.created + 1;
        a.model = Some("gemma".into());
        let b =
            Message { created: a.created + 1, ..Message::new(Some(ask.id), Role::Model, "A pear.", Status::Writing) };
        chat.leaf = Some(a.id);
        let mut archive = Archive::default();
        archive.add(chat, vec![ask, a, b]);
        archive
    }

    #[test]
    fn markdown_contains_the_shown_branch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fruit.md");
        write(&archive(), &path, false).unwrap();
        let expected = "# Fruit\n\n> Be brief.\n> Be kind.\n\n## You\n\nName one\n\n## gemma\n\nAn apple.\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left behind");
    }

    #[test]
    fn no_file_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fruit.md");
        fs::write(&path, "mine").unwrap();
        assert_eq!(write(&archive(), &path, false), Ok(folder.path().join("fruit (2).md")));
        assert_eq!(write(&archive(), &path, false), Ok(folder.path().join("fruit (3).md")));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        // The system's dialog has asked the user before.
        assert_eq!(write(&archive(), &path, true), Ok(path.clone()));
        assert_ne!(fs::read_to_string(&path).unwrap(), "mine");
        assert!(write(&archive(), folder.path(), false).is_err());
    }

    #[test]
    fn json_is_read_back_with_all_branches_and_new_ids() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fruit.json");
        let written = archive();
        write(&written, &path, false).unwrap();
        let read = read(&path).unwrap();
        let (old, new) = (&written.chats[0], &read.chats[0]);
        assert_eq!(new.messages.len(), 3);
        assert_ne!(old.chat.id, new.chat.id);
        assert_eq!(new.messages[1].parent, Some(new.messages[0].id));
        assert_eq!(new.chat.leaf, Some(new.messages[1].id));
        assert_eq!(new.messages[2].status, Status::Stopped);
        assert_eq!((&new.chat.title, &new.chat.system), (&old.chat.title, &old.chat.system));
    }

    #[test]
    fn other_files_are_refused_with_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        for text in ["", "[]", "{\"format\": \"other\", \"version\": 1, \"chats\": []}", "\u{1}\u{2}"] {
            fs::write(&path, text).unwrap();
            assert!(read(&path).unwrap_err().contains("it is not a JSON export of Lapidary"), "{text:?}");
        }
        fs::write(&path, "{\"format\": \"lapidary-chats\", \"version\": 9, \"chats\": []}").unwrap();
        assert!(read(&path).unwrap_err().contains("newer Lapidary"));
        assert!(read(folder.path()).unwrap_err().contains("cannot be imported"));
    }
}
