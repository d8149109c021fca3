//! What a file is that was dropped on the window.

use std::fs;
use std::path::{Path, PathBuf};

/// The longest text that goes into a message.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// What a file is.
#[derive(Clone, Debug, PartialEq)]
pub enum DroppedFile {
    /// A model to open.
    Model(PathBuf),
    /// An export of chats.
    Chats(PathBuf),
    /// A text for the message, in a fence that names the file.
    Text {
        /// The file's name.
        name: String,
        /// What goes into the message.
        text: String,
    },
    /// Nothing that can be used, and why.
    Unusable(String),
}

/// Looks at a file or folder. It may have to wait for a disk.
pub fn inspect(path: &Path) -> DroppedFile {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let end = path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
    if path.is_dir() || end == "gguf" {
        return DroppedFile::Model(path.to_owned());
    }
    if end == "safetensors" {
        // The model is the folder around it.
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
            // Longer than any fence in the text, so that none of those ends it.
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

/// Whether a JSON file begins as our exports do.
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
    fn files_are_known_by_what_they_are() {
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
