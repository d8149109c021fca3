//! The file that lists the saved secrets.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::SecretError;
use crate::whole_file::replace;

/// The file in Lapidary's data folder: a JSON object of secrets by name, or null for those in the key store.
pub(super) const FILE: &str = "keys.json";
/// The size of the largest file of secrets, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Secrets by name; `None` for those in the key store.
pub(super) type Secrets = BTreeMap<String, Option<String>>;

/// The file in a folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Waits until no other program changes the list of a folder, and keeps others waiting until the result is dropped.
pub(super) fn lock(folder: &Path) -> Result<File, SecretError> {
    let path = folder.join("keys.lock");
    let locked = fs::create_dir_all(folder).and_then(|()| {
        let file = File::create(&path)?;
        file.lock()?;
        Ok(file)
    });
    locked.map_err(|source| SecretError::File { path, source })
}

/// Reads the list of a folder, which may not exist yet.
pub(super) fn read(folder: &Path) -> Result<Secrets, SecretError> {
    let path = path(folder);
    let mut text = String::new();
    match File::open(&path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text)) {
        // The parser's own words can hold a key.
        Ok(_) => serde_json::from_str(&text).map_err(|_| SecretError::Damaged { path }),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(Secrets::default()),
            // It is no text.
            io::ErrorKind::InvalidData => Err(SecretError::Damaged { path }),
            _ => Err(SecretError::File { path, source: error }),
        },
    }
}

/// Writes the list into a folder, which is created.
pub(super) fn write(folder: &Path, secrets: &Secrets) -> Result<(), SecretError> {
    let path = path(folder);
    let text = serde_json::to_string(secrets).map_err(io::Error::from);
    text.and_then(|text| write_private(&path, &text)).map_err(|source| SecretError::File { path, source })
}

/// Writes a file that only its owner can read, and creates its folder.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().ok_or(io::ErrorKind::NotFound)?;
    fs::create_dir_all(folder)?;
    // Temporary files are readable by their owner alone from the start.
    let mut part = tempfile::NamedTempFile::new_in(folder)?;
    part.write_all(text.as_bytes())?;
    // Before it takes the place of the file that was there.
    part.as_file().sync_all()?;
    replace(part, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_refused_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        for text in [&b"{"[..], b"\"sk-secret\"", b"[\"sk-secret\"]", b"{\"a\":1}", b"{\"secret\":\"\xff\"}"] {
            fs::write(path(folder.path()), text).unwrap();
            let message = read(folder.path()).unwrap_err().to_string();
            assert!(message.contains(FILE) && !message.contains("secret"), "{message}");
            assert!(message.contains("delete it"), "{message}");
        }
    }

    /// What it holds may be whole.
    #[test]
    fn a_file_that_cannot_be_read_is_not_to_be_deleted() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(path(folder.path())).unwrap();
        let message = read(folder.path()).unwrap_err().to_string();
        assert!(message.contains(FILE) && !message.contains("delete"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn saved_secrets_are_readable_by_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("lapidary");
        for secret in ["one", "two"] {
            write(&folder, &Secrets::from([("a".to_owned(), Some(secret.to_owned()))])).unwrap();
        }
        assert_eq!(read(&folder).unwrap()["a"].as_deref(), Some("two"));
        assert_eq!(fs::metadata(path(&folder)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
