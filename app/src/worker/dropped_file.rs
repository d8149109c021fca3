//! Finds out what a file dropped on the window is.

use std::fs;
use std::path::{Path, PathBuf};

/// The largest text file that is added to a message.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// A dropped file, by its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum DroppedFile {
    /// A model to open.
    Model(PathBuf),
    /// An export of chats.
    Chats(PathBuf),
    /// A text for the draft.
    Text {
        /// The file's name.
        name: String,
        /// Its content in a code block, after a line with the file's name.
        text: String,
    },
    /// A file that cannot be used, and why, as a sentence.
    Unusable(String),
}

/// Classifies a file or folder. May wait for a disk.
pub fn inspect(path: &Path) -> DroppedFile {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let end = path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
    if path.is_dir() || end == "gguf" {
        return DroppedFile::Model(path.to_owned());
    }
    if end == "safetensors" {
        // The model is the folder that contains it.
        return DroppedFile::Model(path.parent().unwrap_or(path).to_owned());
    }
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) => return DroppedFile::Unusable(format!("{name} cannot be read: {error}.")),
    };
    if end == "json" && begins_as_export(path) {
        return DroppedFile::Chats(path.to_owned());
    }
    if size > MAX_TEXT_BYTES {
        return DroppedFile::Unusable(format!("{name} is larger than 1 MiB; drop a shorter text, or a model."));
    }
    match fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => {
            // The fence is longer than any in the text, which would otherwise end it.
            let mut fence = "```".to_owned();
            while text.contains(&fence) {
                fence.push('`');
            }
            let text = format!("{name}:\n{fence}{end}\n{}\n{fence}\n", text.trim_end());
            DroppedFile::Text { name, text }
        }
        Ok(Err(_)) => DroppedFile::Unusable(format!(
            "{name} is neither a text nor a model; models are .gguf files and folders with safetensors."
        )),
        Err(error) => DroppedFile::Unusable(format!("{name} cannot be read: {error}.")),
    }
}

/// Whether a JSON file starts like an export of Lapidary.
fn begins_as_export(path: &Path) -> bool {
    use std::io::Read;
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(256).read_to_end(&mut start));
    read.is_ok() && String::from_utf8_lossy(&start).contains("\"lapidary-chats\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_classified() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        assert_eq!(inspect(folder.path()), DroppedFile::Model(folder.path().to_owned()));
        let weights = write("model.safetensors", b"");
        assert_eq!(inspect(&weights), DroppedFile::Model(folder.path().to_owned()));
        let export = write("chats.json", b"{\n  \"format\": \"lapidary-chats\",");
        assert_eq!(inspect(&export), DroppedFile::Chats(export.clone()));
        let text = write("a.md", b"```\ncode\n```\n");
        let expected = "a.md:\n````md\n```\ncode\n```\n````\n".to_owned();
        assert_eq!(inspect(&text), DroppedFile::Text { name: "a.md".into(), text: expected });
        for (name, bytes) in [("cat.jpg", &[0xff, 0xd8][..]), ("long.txt", &[b'a'; (1 << 20) + 1])] {
            assert!(matches!(inspect(&write(name, bytes)), DroppedFile::Unusable(reason) if reason.contains(name)));
        }
        assert!(matches!(inspect(Path::new("/nowhere.txt")), DroppedFile::Unusable(_)));
    }
}
