//! Finds out what a file dropped on the window is, and reads texts.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{pdf, short_name};
use crate::chats::{Attachment, exchange};

/// The longest text that can be attached to a message, in bytes.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// The largest PDF file that is read.
const MAX_PDF_BYTES: u64 = 32 << 20;

/// A dropped file, by its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum DroppedFile {
    /// A model to open.
    Model(PathBuf),
    /// An export of chats.
    Chats(PathBuf),
    /// A text to attach to the draft.
    Text {
        /// The file's name.
        name: String,
        /// Its content.
        text: String,
    },
    /// A file that cannot be used, and why, as a sentence.
    Unusable(String),
}

/// Classifies a file or folder. May wait for a disk.
pub fn inspect(path: &Path) -> DroppedFile {
    let end = ending(path);
    if path.is_dir() || end == "gguf" {
        return DroppedFile::Model(path.to_owned());
    }
    if end == "safetensors" {
        // The model is the folder that contains it.
        return DroppedFile::Model(path.parent().unwrap_or(path).to_owned());
    }
    if end == "json" && begins_as_export(path) {
        return DroppedFile::Chats(path.to_owned());
    }
    match read_attachment(path) {
        Ok(Attachment { name, text, .. }) => DroppedFile::Text { name, text },
        Err(reason) => DroppedFile::Unusable(reason),
    }
}

/// Reads a text file, or the text of a PDF file. May wait for a disk.
///
/// # Errors
/// Why the file cannot be attached, as a sentence that names it.
pub fn read_attachment(path: &Path) -> Result<Attachment, String> {
    let name = short_name(Some(path));
    if path.is_dir() {
        return Err(format!("{name} is a folder; attach the files in it."));
    }
    let mut bytes = Vec::new();
    // Not the size in the folder's entry, which some files do not have.
    File::open(path)
        .and_then(|file| file.take(most_bytes(path) + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{name} cannot be read: {error}."))?;
    check_size(path, bytes.len() as u64)?;
    if ending(path) == "pdf" { attachment_of_pdf(path, pdf_text(&bytes)) } else { attachment(path, bytes) }
}

/// The most bytes of a file that can be attached.
fn most_bytes(path: &Path) -> u64 {
    if ending(path) == "pdf" { MAX_PDF_BYTES } else { MAX_TEXT_BYTES }
}

/// Refuses a file that has more bytes than can be attached.
///
/// # Errors
/// A sentence that names the file and the limit.
pub(crate) fn check_size(path: &Path, bytes: u64) -> Result<(), String> {
    let most = most_bytes(path);
    if bytes > most {
        return Err(format!("{} is larger than {} MiB; attach a shorter text.", short_name(Some(path)), most >> 20));
    }
    Ok(())
}

/// The attachment of a text file with this content, whose size was checked; see [`read_attachment`].
pub(crate) fn attachment(path: &Path, bytes: Vec<u8>) -> Result<Attachment, String> {
    let name = short_name(Some(path));
    let other = "is neither a text nor a model; models are .gguf files and folders with safetensors.";
    let text = String::from_utf8(bytes).map_err(|_| format!("{name} {other}"))?;
    // Some editors mark the start of a text.
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    if text.trim().is_empty() {
        return Err(format!("{name} is empty."));
    }
    Ok(Attachment::new(&name, text))
}

/// The attachment of a PDF file with this text, or why it has none.
pub(crate) fn attachment_of_pdf(path: &Path, text: Result<String, String>) -> Result<Attachment, String> {
    let name = short_name(Some(path));
    let text = text.map_err(|reason| format!("{name} cannot be attached: {reason}."))?;
    Ok(Attachment::new(&name, text))
}

/// The text of a PDF file, as much as can be attached.
///
/// # Errors
/// Why it cannot be read, as the end of a sentence.
pub(crate) fn pdf_text(bytes: &[u8]) -> Result<String, String> {
    pdf::pdf_text(bytes, MAX_TEXT_BYTES as usize)
}

/// The ending of a file's name, in lower case.
pub(crate) fn ending(path: &Path) -> String {
    path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Whether a JSON file starts like an export of chats.
fn begins_as_export(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut start));
    read.is_ok() && exchange::begins_as_export(&String::from_utf8_lossy(&start))
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
        let exports = [
            &b"{\n  \"format\": \"lapidary-chats\","[..],
            b"[{\"title\": \"a\", \"create_time\": 1.5, \"mapping\": {}}]",
            b"[{\"id\": \"a\", \"chat\": {\"history\": {\"messages\": {}}}}]",
        ];
        for export in exports {
            let path = write("chats.json", export);
            assert_eq!(inspect(&path), DroppedFile::Chats(path.clone()));
        }
        for (name, bytes) in [("a.md", &b"# One\n"[..]), ("b.csv", b"a,b\n1,2\n"), ("c.json", b"[{\"a\": 1}]")] {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            assert_eq!(inspect(&write(name, bytes)), DroppedFile::Text { name: name.into(), text });
        }
        let unusable = [
            ("cat.jpg", &[0xff, 0xd8][..]),
            ("long.txt", &[b'a'; (1 << 20) + 1]),
            ("empty.txt", b" \n"),
            ("no.pdf", b"this is no PDF"),
        ];
        for (name, bytes) in unusable {
            assert!(matches!(inspect(&write(name, bytes)), DroppedFile::Unusable(reason) if reason.contains(name)));
        }
        assert!(matches!(inspect(Path::new("/nowhere.txt")), DroppedFile::Unusable(_)));
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "\u{feff}text").unwrap();
        assert_eq!(read_attachment(&path).unwrap().text, "text");
        assert!(read_attachment(folder.path()).unwrap_err().contains("is a folder"));
    }
}
