//! The folder with Lapidary's data, and the lock that one program at a time has on its chats.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, thread};

/// How often, and how long apart, a lock is tried. Other programs have it for a moment when they create the database.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Lapidary's data folder, which may not exist yet; `None` where the system has no known folder for user data.
pub fn data_folder() -> Option<PathBuf> {
    Some(system_data_folder()?.join("lapidary"))
}

/// The database in a data folder.
pub fn database(folder: &Path) -> PathBuf {
    folder.join("chats.sqlite")
}

/// The system's folder for user data. The crates that find it depend on code under the MPL.
fn system_data_folder() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // Customary only on Linux, but honoured everywhere if it is set.
    folder("XDG_DATA_HOME").or_else(|| match env::consts::OS {
        "windows" => folder("LOCALAPPDATA"),
        "macos" => Some(env::home_dir()?.join("Library/Application Support")),
        _ => Some(env::home_dir()?.join(".local/share")),
    })
}

/// The exclusive use of the chats in a data folder, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a folder cannot be locked.
#[derive(Debug)]
pub enum NotLocked {
    /// Another program has the lock: a window, or a chat in a terminal.
    InUse,
    /// The folder cannot be used.
    Failed(io::Error),
}

impl Lock {
    /// Locks the chats in a data folder, which is created if it does not exist.
    ///
    /// # Errors
    /// [`NotLocked`], after a fifth of a second if another program has the lock.
    pub fn take(folder: &Path) -> Result<Self, NotLocked> {
        fs::create_dir_all(folder).map_err(NotLocked::Failed)?;
        let file = File::create(folder.join("lock")).map_err(NotLocked::Failed)?;
        for _ in 1..TRIES {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                result => return Self::of(file, result),
            }
        }
        let result = file.try_lock();
        Self::of(file, result)
    }

    fn of(file: File, result: Result<(), TryLockError>) -> Result<Self, NotLocked> {
        match result {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(NotLocked::InUse),
            Err(TryLockError::Error(error)) => Err(NotLocked::Failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_excludes_others_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        assert!(matches!(Lock::take(folder.path()), Err(NotLocked::InUse)));
        drop(lock);
        Lock::take(folder.path()).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(Lock::take(&folder.path().join("file")), Err(NotLocked::Failed(_))));
    }
}
