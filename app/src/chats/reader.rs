//! Reads the database of chats while another program may have it open, and changes single values in it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::database::{self, VERSION};
use super::exchange::Archive;
use super::{Chat, Folder, Id, Message};
use crate::data_folder::Lock;

/// How long to wait for another program's write.
const PATIENCE: Duration = Duration::from_secs(2);

/// A database of chats, opened to read.
#[derive(Debug)]
pub struct Reader {
    database: Connection,
}

impl Reader {
    /// Opens the database; `None` if there is none yet.
    ///
    /// # Errors
    /// An error message that names the file.
    pub fn open(path: &Path) -> Result<Option<Self>, String> {
        if !path.exists() {
            return Ok(None);
        }
        let failed = |error: &dyn std::fmt::Display| format!("The chats in {} cannot be read: {error}", path.display());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
        database.busy_timeout(PATIENCE).map_err(|error| failed(&error))?;
        let version = version(&database).map_err(|error| failed(&error))?;
        if version > VERSION {
            return Err(failed(&"they were written by a newer Lapidary; use that one"));
        }
        if version == VERSION {
            return Ok(Some(Self { database }));
        }
        drop(database);
        let Ok(_lock) = Lock::take(path.parent().unwrap_or(Path::new("."))) else {
            return Err(failed(&"an older Lapidary has them open; close it and try again"));
        };
        Ok(Some(Self { database: database::open(Some(path))? }))
    }

    /// All chats that have messages, the latest first, including those in the trash.
    ///
    /// # Errors
    /// An error message.
    pub fn chats(&self) -> Result<Vec<Chat>, String> {
        let chats = database::chats(&self.database).map_err(|error| format!("The chats cannot be read: {error}"))?;
        Ok(chats.into_iter().filter(Chat::has_messages).collect())
    }

    /// The messages of all branches of a chat, in no particular order.
    ///
    /// # Errors
    /// An error message.
    pub fn messages(&self, chat: Id) -> Result<Vec<Message>, String> {
        database::messages(&self.database, chat).map_err(|error| format!("The chat cannot be read: {error}"))
    }

    /// These chats with their messages, for an export.
    ///
    /// # Errors
    /// An error message.
    pub fn archive<'c>(&self, chats: impl IntoIterator<Item = &'c Chat>) -> Result<Archive, String> {
        let mut archive = Archive::default();
        for chat in chats {
            archive.add(chat.clone(), self.messages(chat.id)?);
        }
        Ok(archive)
    }

    /// The folders of chats.
    ///
    /// # Errors
    /// An error message.
    pub fn folders(&self) -> Result<Vec<Folder>, String> {
        Ok(Folder::list_from_json(&self.value(Folder::VALUE)?.unwrap_or_default()))
    }

    /// A value of the table of settings.
    ///
    /// # Errors
    /// An error message.
    pub fn value(&self, name: &str) -> Result<Option<String>, String> {
        value(&self.database, name).map_err(|error| format!("The settings cannot be read: {error}"))
    }
}

/// Changes a value of the table of settings, whether or not another program has the chats open. The database is created
/// if there is none.
///
/// # Errors
/// An error message.
pub fn change_value(
    path: &Path,
    name: &str,
    change: impl FnOnce(Option<String>) -> Option<String>,
) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{} cannot be changed: {error}", path.display());
    let current = || {
        let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        database.busy_timeout(PATIENCE)?;
        Ok::<_, rusqlite::Error>((version(&database)? == VERSION).then_some(database))
    };
    let mut database = match current() {
        Ok(Some(database)) => database,
        // Tables are created or brought up to date by the one who has the lock.
        _ => {
            let Ok(_lock) = Lock::take(path.parent().unwrap_or(Path::new("."))) else {
                return Err(failed(&"another Lapidary is creating it"));
            };
            database::open(Some(path))?
        }
    };
    let write = || {
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(new) = change(value(&transaction, name)?) {
            transaction.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", [name, &new])?;
        }
        transaction.commit()
    };
    write().map_err(|error: rusqlite::Error| failed(&error))
}

fn version(database: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(version.max(0) as usize)
}

fn value(database: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    database.query_row("SELECT value FROM settings WHERE name = ?", [name], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chats::{Role, Status, Store, StoreEvent};

    #[test]
    fn chats_are_read_while_the_store_has_them_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chats.sqlite");
        assert!(Reader::open(&path).unwrap().is_none());
        let store = Store::open(Some(path.clone()), Arc::new(|| {}));
        let mut chat = Chat::new();
        chat.title = "Fruit".into();
        let message = Message::new(None, Role::User, "Name one", Status::Done);
        store.save_chat_with(&chat, std::slice::from_ref(&message));
        store.save_chat(&Chat::new());
        store.load(chat.id);
        // The answer comes after the writes.
        while !matches!(store.event(), Some(StoreEvent::Messages(..))) {
            std::thread::yield_now();
        }
        let reader = Reader::open(&path).unwrap().unwrap();
        assert_eq!(reader.chats().unwrap(), std::slice::from_ref(&chat), "a chat without messages is not listed");
        assert_eq!(reader.archive([&chat]).unwrap().chats[0].messages, [message]);
        change_value(&path, "colour", |_| Some("red".into())).unwrap();
        assert_eq!(reader.value("colour").unwrap().as_deref(), Some("red"));
    }

    #[test]
    fn values_change_in_a_database_that_did_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/chats.sqlite");
        for round in 0..3 {
            change_value(&path, "rounds", |known| Some(known.unwrap_or_default() + &round.to_string())).unwrap();
        }
        assert_eq!(Reader::open(&path).unwrap().unwrap().value("rounds").unwrap().as_deref(), Some("012"));
    }

    #[test]
    fn a_newer_or_broken_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chats.sqlite");
        database::open(Some(&path)).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(Reader::open(&path).unwrap_err().contains("newer Lapidary"));
        assert!(change_value(&path, "x", |_| Some(String::new())).unwrap_err().contains("newer Lapidary"));
        std::fs::write(&path, "this is no database, whatever its name says").unwrap();
        assert!(Reader::open(&path).unwrap_err().contains("cannot be read"));
    }
}
