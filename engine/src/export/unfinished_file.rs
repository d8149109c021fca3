//! A file while it is written.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Times that the file is opened again because its last writer renamed it meanwhile.
const ATTEMPTS: usize = 8;

/// A file beside the one that it becomes, locked so that two programs never write the same. What a killed program left is
/// written over. It is deleted unless it is published.
pub(super) struct UnfinishedFile {
    path: PathBuf,
    file: File,
    is_published: bool,
}

impl UnfinishedFile {
    /// An empty file for the content of `path`.
    ///
    /// # Errors
    /// Those of the file system, and [`io::ErrorKind::ResourceBusy`] where another program writes it.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        for _ in 0..ATTEMPTS {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&part)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let reason = format!("another program is writing {}; wait until it ends", part.display());
                    return Err(io::Error::new(io::ErrorKind::ResourceBusy, reason));
                }
                // Some network drives have no locks.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Between opening and locking, another program may have published this file.
            if is_at(&file, &part)? {
                file.set_len(0)?;
                return Ok(Self { path: part, file, is_published: false });
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("other programs keep replacing {}", part.display())))
    }

    /// The file, to write to.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Makes it the file at `path`, as a whole.
    ///
    /// # Errors
    /// Those of the file system, and [`io::ErrorKind::AlreadyExists`] where there is a file and `overwrite` is not set.
    pub(super) fn publish(mut self, path: &Path, overwrite: bool) -> io::Result<()> {
        // What is named like a complete file is complete, also after the power failed.
        self.file.sync_all()?;
        if !overwrite {
            // Unlike renaming, linking never replaces a file. Dropping removes the other name.
            match fs::hard_link(&self.path, path) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
                // Some file systems have no links.
                Err(_) if path.try_exists()? => return Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => {}
            }
        }
        fs::rename(&self.path, path)?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for UnfinishedFile {
    fn drop(&mut self) {
        // After a rename, the name may be that of another program's file.
        if !self.is_published {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a path still names an open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(theirs) => Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The standard library does not tell files apart on other systems. There two programs that begin in the same instant are not
/// noticed.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn two_programs_never_write_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        // As a killed program left it.
        fs::write(folder.path().join("m.gguf.part"), "a long rest").unwrap();
        let part = UnfinishedFile::new(&path).unwrap();
        assert_eq!(UnfinishedFile::new(&path).err().map(|error| error.kind()), Some(io::ErrorKind::ResourceBusy));
        part.file().write_all(b"new").unwrap();
        part.publish(&path, false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_came_meanwhile_is_replaced_only_where_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        let part = UnfinishedFile::new(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        assert_eq!(part.publish(&path, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        let part = UnfinishedFile::new(&path).unwrap();
        part.publish(&path, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_renamed_after_it_was_opened_is_not_taken_for_its_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf.part");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path).unwrap());
        fs::rename(&path, folder.path().join("m.gguf")).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        fs::write(&path, "").unwrap();
        assert!(!is_at(&file, &path).unwrap());
    }
}
