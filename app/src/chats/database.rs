//! The database of chats: its tables, and reading and writing them.

use std::path::Path;
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::exchange::Archive;
use super::store_event::{Hit, StoreEvent};
use super::{Chat, Id, Message, Role, Speed, Status};

/// The most hits that a search returns.
pub const MAX_HITS: usize = 200;

/// The steps from an empty database to the present schema. Steps are appended and never changed.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE chats (
        id INTEGER PRIMARY KEY,
        title TEXT NOT NULL,
        named INTEGER NOT NULL,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        deleted INTEGER,
        system TEXT NOT NULL,
        leaf INTEGER,
        draft TEXT NOT NULL
    );
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        chat INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
        parent INTEGER,
        role TEXT NOT NULL,
        text TEXT NOT NULL,
        status TEXT NOT NULL,
        created INTEGER NOT NULL,
        model TEXT,
        tokens INTEGER,
        first_token_ms REAL,
        tokens_per_s REAL,
        note TEXT
    );
    CREATE INDEX messages_of_chat ON messages (chat);
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"];

/// The version of the present schema, which a database has as its `user_version`.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// A change to the database.
pub(super) enum Write {
    Chat(Chat),
    Message(Id, Message),
    Append(Id, String),
    Forget(Id),
    Settings(String),
    Edits(String),
    Sources(String),
}

/// Opens a database, in memory for `None`, and migrates it to the present schema.
///
/// # Errors
/// An error message that names the file.
pub(super) fn open(path: Option<&Path>) -> Result<Connection, String> {
    let place = path.map_or("memory".into(), |path| path.display().to_string());
    let failed = |error: &dyn std::fmt::Display| format!("The chats in {place} cannot be opened: {error}");
    if let Some(folder) = path.and_then(Path::parent) {
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    let database = match path {
        Some(path) => Connection::open(path),
        None => Connection::open_in_memory(),
    };
    let mut database = database.map_err(|error| failed(&error))?;
    prepare(&mut database).map_err(|error| failed(&error))?;
    let version: i64 =
        database.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|error| failed(&error))?;
    if version as usize > MIGRATIONS.len() {
        return Err(failed(&"they were written by a newer Lapidary; use that one"));
    }
    Ok(database)
}

fn prepare(database: &mut Connection) -> rusqlite::Result<()> {
    database.busy_timeout(Duration::from_secs(5))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.pragma_update(None, "foreign_keys", true)?;
    // LIKE ignores case only for ASCII letters.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    database.create_scalar_function("contains_ci", 2, flags, |arguments| {
        let (text, wanted): (String, String) = (arguments.get(0)?, arguments.get(1)?);
        Ok(text.to_lowercase().contains(&wanted))
    })?;
    let version: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (step, migration) in MIGRATIONS.iter().enumerate().skip(version.max(0) as usize) {
        let transaction = database.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", step as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Reads everything that the window needs at the start.
pub(super) fn all_chats(database: &Connection) -> rusqlite::Result<StoreEvent> {
    let mut statement = database.prepare("SELECT * FROM chats ORDER BY updated DESC")?;
    let chats = statement.query_map([], chat)?.collect::<rusqlite::Result<_>>()?;
    let value = |name: &str| {
        let sql = "SELECT value FROM settings WHERE name = ?";
        database.query_row(sql, [name], |row| row.get(0)).optional()
    };
    let (settings, edits, sources) = (value("settings")?, value("edits")?, value("sources")?);
    Ok(StoreEvent::Opened { chats, settings, edits, sources })
}

/// Whether the cause of an error is the file rather than the write: the disk is full, another program has locked the
/// file, or the file is damaged. Such errors may go away, so waiting writes must be kept.
pub(super) fn is_transient(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase, OutOfMemory, ReadOnly,
        SystemIoFailure,
    };
    let transient = [
        CannotOpen,
        DatabaseBusy,
        DatabaseCorrupt,
        DatabaseLocked,
        DiskFull,
        NotADatabase,
        OutOfMemory,
        ReadOnly,
        SystemIoFailure,
    ];
    error.sqlite_error_code().is_some_and(|code| transient.contains(&code))
}

/// Applies writes in one transaction.
pub(super) fn apply<'w>(database: &mut Connection, writes: impl Iterator<Item = &'w Write>) -> rusqlite::Result<()> {
    let transaction = database.transaction()?;
    for write in writes {
        match write {
            Write::Chat(chat) => put_chat(&transaction, chat)?,
            Write::Message(chat, message) => put_message(&transaction, *chat, message)?,
            Write::Append(message, text) => {
                transaction.execute("UPDATE messages SET text = text || ? WHERE id = ?", params![text, message])?;
            }
            Write::Forget(chat) => {
                transaction.execute("DELETE FROM chats WHERE id = ?", [chat])?;
            }
            Write::Settings(value) => put_value(&transaction, "settings", value)?,
            Write::Edits(value) => put_value(&transaction, "edits", value)?,
            Write::Sources(value) => put_value(&transaction, "sources", value)?,
        }
    }
    transaction.commit()
}

/// Writes imported chats. If that fails they are not queued, because they are still in their file.
pub(super) fn import(database: &mut Connection, archive: &Archive) -> rusqlite::Result<()> {
    let transaction = database.transaction()?;
    for entry in &archive.chats {
        put_chat(&transaction, &entry.chat)?;
        for message in &entry.messages {
            put_message(&transaction, entry.chat.id, message)?;
        }
    }
    transaction.commit()
}

fn put_value(database: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    database.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", [name, value])?;
    Ok(())
}

fn put_chat(database: &Connection, chat: &Chat) -> rusqlite::Result<()> {
    // Not REPLACE, which deletes the row first and with it the messages.
    let sql = "INSERT INTO chats (id, title, named, created, updated, deleted, system, leaf, draft)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (id) DO UPDATE SET title = ?2, named = ?3, updated = ?5, deleted = ?6, system = ?7, leaf = ?8, draft = ?9";
    let Chat { id, title, named, created, updated, deleted, system, leaf, draft } = chat;
    database.prepare_cached(sql)?.execute(params![id, title, named, created, updated, deleted, system, leaf, draft])?;
    Ok(())
}

fn put_message(database: &Connection, chat: Id, message: &Message) -> rusqlite::Result<()> {
    let sql = "INSERT INTO messages
        (id, chat, parent, role, text, status, created, model, tokens, first_token_ms, tokens_per_s, note)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
        ON CONFLICT (id) DO UPDATE
        SET parent = ?3, text = ?5, status = ?6, model = ?8, tokens = ?9, first_token_ms = ?10, tokens_per_s = ?11, note = ?12";
    let role = match message.role {
        Role::User => "user",
        Role::Model => "model",
    };
    let speed = message.speed;
    database.prepare_cached(sql)?.execute(params![
        message.id,
        chat,
        message.parent,
        role,
        message.text,
        message.status.name(),
        message.created,
        message.model,
        speed.map(|speed| speed.tokens),
        speed.map(|speed| speed.first_token_ms),
        speed.map(|speed| speed.tokens_per_s),
        message.note,
    ])?;
    Ok(())
}

/// Reads a chat from a row of `chats`.
pub(super) fn chat(row: &Row<'_>) -> rusqlite::Result<Chat> {
    Ok(Chat {
        id: row.get("id")?,
        title: row.get("title")?,
        named: row.get("named")?,
        created: row.get("created")?,
        updated: row.get("updated")?,
        deleted: row.get("deleted")?,
        system: row.get("system")?,
        leaf: row.get("leaf")?,
        draft: row.get("draft")?,
    })
}

/// Reads the messages of a chat, in no particular order.
pub(super) fn messages(database: &Connection, chat: Id) -> rusqlite::Result<Vec<Message>> {
    let mut statement = database.prepare_cached("SELECT * FROM messages WHERE chat = ?")?;
    statement.query_map([chat], message)?.collect()
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let named = |column: &str| {
        let text: String = row.get(column)?;
        Ok::<_, rusqlite::Error>(text)
    };
    let wrong = |text: String| {
        let reason = format!("{text:?} is unknown");
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, reason.into())
    };
    let (role, status) = (named("role")?, named("status")?);
    let tokens: Option<u32> = row.get("tokens")?;
    Ok(Message {
        id: row.get("id")?,
        parent: row.get("parent")?,
        role: match role.as_str() {
            "user" => Role::User,
            "model" => Role::Model,
            _ => return Err(wrong(role)),
        },
        text: row.get("text")?,
        status: Status::ALL.into_iter().find(|known| known.name() == status).ok_or_else(|| wrong(status))?,
        created: row.get("created")?,
        model: row.get("model")?,
        speed: match tokens {
            Some(tokens) => Some(Speed {
                tokens,
                first_token_ms: row.get::<_, Option<f64>>("first_token_ms")?.unwrap_or_default(),
                tokens_per_s: row.get::<_, Option<f64>>("tokens_per_s")?.unwrap_or_default(),
            }),
            None => None,
        },
        note: row.get("note")?,
    })
}

/// Searches titles and messages outside the trash, ignoring case. Titles come first, then the newest messages, at most
/// [`MAX_HITS`] in all.
pub(super) fn search(database: &Connection, text: &str) -> rusqlite::Result<Vec<Hit>> {
    let wanted = text.trim().to_lowercase();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT * FROM (
            SELECT chats.id, NULL AS message, title, updated AS at FROM chats
            WHERE deleted IS NULL AND contains_ci(title, ?1)
            UNION ALL
            SELECT chats.id, messages.id AS message, text, messages.created AS at
            FROM messages JOIN chats ON chats.id = messages.chat
            WHERE deleted IS NULL AND contains_ci(text, ?1)
        ) ORDER BY message IS NOT NULL, at DESC LIMIT ?2";
    let mut statement = database.prepare_cached(sql)?;
    let hits = statement.query_map(params![wanted, MAX_HITS as i64], |row| {
        let text: String = row.get(2)?;
        Ok(Hit { chat: row.get(0)?, message: row.get(1)?, excerpt: excerpt(&text, &wanted) })
    })?;
    hits.collect()
}

/// The text around the first occurrence of `wanted`.
fn excerpt(text: &str, wanted: &str) -> String {
    const BEFORE: usize = 24;
    const LONG: usize = 90;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Lower case may have more characters than upper case. For an excerpt the error does not matter.
    let at = words.to_lowercase().find(wanted).map_or(0, |at| words.to_lowercase()[..at].chars().count());
    let from = at.saturating_sub(BEFORE);
    let mut short: String = words.chars().skip(from).take(LONG).collect();
    if from > 0 {
        short.insert(0, '…');
    }
    if words.chars().count() > from + LONG {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_contain_the_searched_text() {
        let text = format!("{} needle {}", "hay ".repeat(50), "stack ".repeat(50));
        let short = excerpt(&text, "needle");
        assert!(short.starts_with('…') && short.contains("needle") && short.ends_with('…'), "{short}");
    }
}
