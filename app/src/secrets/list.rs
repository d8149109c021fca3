//! The file that lists the saved secrets.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::SecretError;

/// The file in Lapidary's data folder: a JSON object of secrets by name, or null for those in the key store.
pub(super) const FILE: &str = "keys.json";
/// Where earlier versions kept the keys of servers, in the same form.
const OLD_FILE: &str = "endpoint-keys.json";
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
    match read_file(&path(folder))? {
        Some(secrets) => Ok(secrets),
        None => Ok(read_file(&folder.join(OLD_FILE))?.unwrap_or_default()),
    }
}

/// Writes the list into a folder, which is created.
pub(super) fn write(folder: &Path, secrets: &Secrets) -> Result<(), SecretError> {
    let path = path(folder);
    let text = serde_json::to_string(secrets).map_err(io::Error::from);
    text.and_then(|text| write_private(&path, &text)).map_err(|source| SecretError::File { path, source })?;
    // The secrets are in the new file. Without it, or where it cannot be deleted, nothing reads the old one any more.
    let _ = fs::remove_file(folder.join(OLD_FILE));
    Ok(())
}

fn read_file(path: &Path) -> Result<Option<Secrets>, SecretError> {
    let failed = |source| SecretError::File { path: path.to_owned(), source };
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text)) {
        Ok(_) => serde_json::from_str(&text).map(Some).map_err(|_| {
            // The parser's own words can hold a key.
            failed(io::Error::new(io::ErrorKind::InvalidData, "it is no JSON object of keys"))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
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
    part.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_earlier_versions_move_to_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join(OLD_FILE);
        fs::write(&old, r#"{"https://a.example":"sk"}"#).unwrap();
        let mut secrets = read(folder.path()).unwrap();
        assert_eq!(secrets["https://a.example"].as_deref(), Some("sk"));
        secrets.insert("b".into(), None);
        write(folder.path(), &secrets).unwrap();
        assert!(!old.exists());
        assert_eq!(read(folder.path()).unwrap(), secrets);
    }

    #[test]
    fn a_damaged_file_is_refused_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["{", "\"sk-secret\"", "[\"sk-secret\"]", "{\"a\":1}"] {
            fs::write(path(folder.path()), text).unwrap();
            let message = read(folder.path()).unwrap_err().to_string();
            assert!(message.contains(FILE) && !message.contains("secret"), "{message}");
        }
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
