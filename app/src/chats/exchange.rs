//! Export to Markdown, HTML and JSON, and import from JSON, also from that of other programs.

mod chatgpt;
mod foreign;
mod html;
mod markdown;
mod open_webui;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Chat, Id, Message, Status, new_id};

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
    /// What the file of another program contains and a chat cannot hold, as a sentence.
    #[serde(skip)]
    pub left_out: Option<String>,
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
        Self { format: FORMAT.into(), version: VERSION, chats: Vec::new(), left_out: None }
    }
}

impl Archive {
    /// Adds a chat.
    pub fn add(&mut self, mut chat: Chat, mut messages: Vec<Message>) {
        // Folders are of this machine only.
        chat.folder = None;
        messages.sort_by_key(|message| (message.created, message.id));
        self.chats.push(ArchivedChat { chat, messages });
    }
}

/// Writes chats to a file: as Markdown if its name ends in `.md`, as a page if it ends in `.html`, else as JSON. The write
/// is atomic. Unless `overwrite` is set, an existing file is kept and the new name gets a number. Returns the path that was
/// written.
///
/// # Errors
/// The reason, without the path.
pub fn write(archive: &Archive, path: &Path, overwrite: bool) -> Result<PathBuf, String> {
    let path = if overwrite { path.to_owned() } else { unused_path(path) };
    let text = text(archive, &path)?;
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

/// The content of a file with chats, in the format that its name asks for; see [`write`].
///
/// # Errors
/// The reason, without the path.
pub fn text(archive: &Archive, path: &Path) -> Result<String, String> {
    let end = path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
    Ok(match end.as_str() {
        "md" => markdown::document(&archive.chats),
        "html" | "htm" => html::page(&archive.chats),
        _ => serde_json::to_string_pretty(archive).map_err(|error| error.to_string())? + "\n",
    })
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

/// The shown branch of a chat as Markdown.
pub fn to_markdown(entry: &ArchivedChat) -> String {
    markdown::document(std::slice::from_ref(entry))
}

/// Reads chats from a JSON file: an export of Lapidary, ChatGPT's `conversations.json`, or an export of Open WebUI. Chats
/// get new ids, so that they overwrite no existing chat.
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
    parse(&text).map_err(|reason| failed(&reason))
}

/// Reads chats from the content of a file; see [`read`].
///
/// # Errors
/// The reason, without the path.
pub fn parse(text: &str) -> Result<Archive, String> {
    let mut archive = if text.trim_start().starts_with('[') {
        foreign::read(text)?
    } else {
        let archive: Archive =
            serde_json::from_str(text).map_err(|error| format!("it is not a JSON export of Lapidary ({error})"))?;
        if archive.format != FORMAT {
            return Err("it is not a JSON export of Lapidary".to_owned());
        }
        if archive.version > VERSION {
            return Err("it was written by a newer Lapidary; use that one".to_owned());
        }
        archive
    };
    archive.chats.iter_mut().for_each(assign_new_ids);
    for message in archive.chats.iter_mut().flat_map(|entry| &mut entry.messages) {
        // As everywhere else in the program.
        if message.text.contains('\r') {
            message.text = message.text.replace("\r\n", "\n");
        }
    }
    Ok(archive)
}

/// Whether a JSON file that starts like this is probably one that [`read`] can read.
pub fn begins_as_export(start: &str) -> bool {
    let list = start.trim_start().starts_with('[');
    let all = |fields: &[&str]| fields.iter().all(|field| start.contains(field));
    all(&["\"lapidary-chats\""])
        || (list && (all(&["\"mapping\"", "\"create_time\""]) || all(&["\"chat\"", "\"history\"", "\"messages\""])))
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
        if message.status.is_unfinished() {
            message.status = Status::Stopped;
        }
        message.attachments.iter_mut().for_each(|attachment| attachment.id = new_id());
    }
    entry.chat.id = new_id();
    entry.chat.leaf = entry.chat.leaf.and_then(|leaf| new_ids.get(&leaf).copied());
    entry.chat.deleted = None;
    entry.chat.folder = None;
    entry.chat.attachments.iter_mut().for_each(|attachment| attachment.id = new_id());
    entry.chat.options.drop_invalid();
    if entry.chat.title.trim().is_empty() {
        entry.chat.title = "Untitled".into();
    }
}

#[cfg(test)]
mod tests;
