//! The database of chats: its tables, and reading and writing them.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::exchange::Archive;
use super::store_event::StoreEvent;
use super::{Attachment, Chat, ChatOptions, Id, Message, Role, Speed, Status, search};

/// The steps from an empty database to the present schema. Steps are appended and never changed.
const MIGRATIONS: &[&[&str]] = &[
    &["
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
"],
    &[
        "
    ALTER TABLE chats ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE chats ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE messages ADD COLUMN attachments TEXT NOT NULL DEFAULT '[]';
    CREATE TABLE draft_attachments (
        chat INTEGER PRIMARY KEY REFERENCES chats (id) ON DELETE CASCADE,
        attachments TEXT NOT NULL
    );
",
        search::SCHEMA,
    ],
    // The folders themselves are a value of the settings.
    &["ALTER TABLE chats ADD COLUMN folder INTEGER;"],
];

/// The version of the present schema, which a database has as its `user_version`.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// A change to the database.
pub(super) enum Write {
    Chat(Chat),
    Message(Id, Message),
    Append(Id, String),
    /// Deletes a message. Messages that follow it must have been given another parent.
    ForgetMessage(Id),
    /// Deletes a chat and its messages.
    Forget(Id),
    /// The attachments of a chat's draft. They are not written with every change of the draft, because they may be long.
    DraftAttachments(Id, Vec<Attachment>),
    /// A value in JSON, by name.
    Value(&'static str, String),
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
    search::register_functions(database)?;
    let version: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (step, migration) in MIGRATIONS.iter().enumerate().skip(version.max(0) as usize) {
        let transaction = database.transaction()?;
        for part in *migration {
            transaction.execute_batch(part)?;
        }
        transaction.pragma_update(None, "user_version", step as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Reads everything that the window needs at the start.
pub(super) fn all_chats(database: &Connection) -> rusqlite::Result<StoreEvent> {
    let chats = chats(database)?;
    let mut statement = database.prepare("SELECT name, value FROM settings")?;
    let values = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(StoreEvent::Opened { chats, values })
}

/// Reads all chats without their messages, the latest first.
pub(super) fn chats(database: &Connection) -> rusqlite::Result<Vec<Chat>> {
    let sql = "SELECT chats.*, attachments FROM chats LEFT JOIN draft_attachments ON chat = id ORDER BY updated DESC";
    database.prepare(sql)?.query_map([], chat)?.collect()
}

/// Reads a chat without its messages.
pub(super) fn one_chat(database: &Connection, id: Id) -> rusqlite::Result<Option<Chat>> {
    let sql = "SELECT chats.*, attachments FROM chats LEFT JOIN draft_attachments ON chat = id WHERE id = ?";
    database.prepare_cached(sql)?.query_row([id], chat).optional()
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
            Write::Message(chat, message) => put_message(&transaction, *chat, message, true)?,
            Write::Append(message, text) => {
                transaction.execute("UPDATE messages SET text = text || ? WHERE id = ?", params![text, message])?;
            }
            Write::Forget(chat) => {
                transaction.execute("DELETE FROM chats WHERE id = ?", [chat])?;
            }
            Write::ForgetMessage(message) => {
                transaction.execute("DELETE FROM messages WHERE id = ?", [message])?;
            }
            Write::DraftAttachments(chat, attachments) => put_draft_attachments(&transaction, *chat, attachments)?,
            Write::Value(name, value) => {
                transaction.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", [*name, value])?;
            }
        }
    }
    transaction.commit()
}

/// Writes imported chats. If that fails they are not queued, because they are still in their file. Their messages are
/// indexed later, in steps.
pub(super) fn import(database: &mut Connection, archive: &Archive) -> rusqlite::Result<()> {
    let transaction = database.transaction()?;
    for entry in &archive.chats {
        put_chat(&transaction, &entry.chat)?;
        put_draft_attachments(&transaction, entry.chat.id, &entry.chat.attachments)?;
        for message in &entry.messages {
            put_message(&transaction, entry.chat.id, message, false)?;
        }
    }
    transaction.commit()
}

/// The JSON form of attachments.
fn attachments_json(attachments: &[Attachment]) -> rusqlite::Result<String> {
    serde_json::to_string(attachments).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// Reads attachments. Those of another version are dropped rather than the message that has them.
fn read_attachments(text: &str) -> Vec<Attachment> {
    serde_json::from_str(text).unwrap_or_else(|error| {
        log::warn!("attachments cannot be read and are dropped: {error}");
        Vec::new()
    })
}

fn put_draft_attachments(database: &Connection, chat: Id, attachments: &[Attachment]) -> rusqlite::Result<()> {
    if attachments.is_empty() {
        database.execute("DELETE FROM draft_attachments WHERE chat = ?", [chat])?;
    } else {
        let sql = "INSERT OR REPLACE INTO draft_attachments VALUES (?, ?)";
        database.execute(sql, params![chat, attachments_json(attachments)?])?;
    }
    Ok(())
}

fn put_chat(database: &Connection, chat: &Chat) -> rusqlite::Result<()> {
    // Not REPLACE, which deletes the row first and with it the messages.
    let sql =
        "INSERT INTO chats (id, title, named, pinned, created, updated, deleted, system, leaf, draft, options, folder)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
        ON CONFLICT (id) DO UPDATE SET title = ?2, named = ?3, pinned = ?4, updated = ?6, deleted = ?7, system = ?8,
            leaf = ?9, draft = ?10, options = ?11, folder = ?12";
    let Chat {
        id,
        title,
        named,
        pinned,
        created,
        updated,
        deleted,
        system,
        leaf,
        draft,
        attachments: _,
        options,
        folder,
    } = chat;
    let options =
        serde_json::to_string(options).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let values = params![id, title, named, pinned, created, updated, deleted, system, leaf, draft, options, folder];
    database.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Writes a message. It is in the index from now on unless `index` is false or it is growing.
fn put_message(database: &Connection, chat: Id, message: &Message, index: bool) -> rusqlite::Result<()> {
    let sql = "INSERT INTO messages
        (id, chat, parent, role, text, status, created, model, tokens, first_token_ms, tokens_per_s, note, attachments,
            indexed)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
        ON CONFLICT (id) DO UPDATE
        SET parent = ?3, text = ?5, status = ?6, model = ?8, tokens = ?9, first_token_ms = ?10, tokens_per_s = ?11,
            note = ?12, attachments = ?13, indexed = ?14";
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
        attachments_json(&message.attachments)?,
        index && message.status != Status::Writing,
    ])?;
    Ok(())
}

/// Reads a chat from a row of `chats` with the attachments of its draft.
fn chat(row: &Row<'_>) -> rusqlite::Result<Chat> {
    Ok(Chat {
        id: row.get("id")?,
        title: row.get("title")?,
        named: row.get("named")?,
        pinned: row.get("pinned")?,
        created: row.get("created")?,
        updated: row.get("updated")?,
        deleted: row.get("deleted")?,
        system: row.get("system")?,
        leaf: row.get("leaf")?,
        draft: row.get("draft")?,
        attachments: row.get::<_, Option<String>>("attachments")?.map_or_else(Vec::new, |text| read_attachments(&text)),
        options: ChatOptions::from_json(&row.get::<_, String>("options")?),
        folder: row.get("folder")?,
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
        attachments: read_attachments(&row.get::<_, String>("attachments")?),
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
