//! The index of trigrams that finds words of three letters or more; messages that it does not hold yet are read one by one.

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, params};

use super::super::Id;
use super::super::find::find_ignoring_case;
use super::super::store_event::Hit;
use super::{MAX_HITS, excerpt, grouped, words};

/// The shortest word in characters that the index finds.
const TRIGRAM: usize = 3;
/// Bytes of text that [`index_more`] adds at a time.
const INDEX_STEP: i64 = 256 << 10;

/// The index, and what keeps it in step with the messages: a message is in the index while its `indexed` is set. A
/// growing reply is not, because each of its changes would index all of its text again.
pub(in crate::chats) const SCHEMA: &str = "
    ALTER TABLE messages ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX unindexed_messages ON messages (id) WHERE indexed = 0;
    CREATE VIRTUAL TABLE message_index USING fts5 (text, content = 'messages', content_rowid = 'id', tokenize = 'trigram');
    CREATE TRIGGER message_added AFTER INSERT ON messages WHEN new.indexed BEGIN
        INSERT INTO message_index (rowid, text) VALUES (new.id, new.text);
    END;
    CREATE TRIGGER message_deleted AFTER DELETE ON messages WHEN old.indexed BEGIN
        INSERT INTO message_index (message_index, rowid, text) VALUES ('delete', old.id, old.text);
    END;
    CREATE TRIGGER message_changed AFTER UPDATE OF text, indexed ON messages
    WHEN old.indexed <> new.indexed OR (new.indexed AND old.text IS NOT new.text) BEGIN
        INSERT INTO message_index (message_index, rowid, text) SELECT 'delete', old.id, old.text WHERE old.indexed;
        INSERT INTO message_index (rowid, text) SELECT new.id, new.text WHERE new.indexed;
    END;
";

/// Registers the function `contains_all(text, words)`: whether a text contains every word, one a line, ignoring case.
/// SQLite's LIKE ignores case only for ASCII letters.
pub(in crate::chats) fn register_functions(database: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    database.create_scalar_function("contains_all", 2, flags, |arguments| {
        let text = |index: usize| {
            arguments.get_raw(index).as_str().map_err(|error| rusqlite::Error::UserFunctionError(error.into()))
        };
        let (text, words) = (text(0)?, text(1)?);
        Ok(words.lines().all(|word| !find_ignoring_case(text, word, 1).is_empty()))
    })
}

/// Adds some messages to the index that are not in it: those of an earlier version, and imported ones. Returns whether
/// there may be more.
pub(in crate::chats) fn index_more(database: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT id, length(text) FROM messages WHERE indexed = 0 AND status <> 'writing' LIMIT 100";
    let mut statement = database.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let (mut ids, mut bytes): (Vec<Id>, i64) = (Vec::new(), 0);
    while let Some(row) = rows.next()?
        && bytes < INDEX_STEP
    {
        ids.push(row.get(0)?);
        bytes += row.get::<_, i64>(1)?;
    }
    drop(rows);
    let transaction = database.unchecked_transaction()?;
    for id in &ids {
        transaction.prepare_cached("UPDATE messages SET indexed = 1 WHERE id = ?")?.execute([id])?;
    }
    transaction.commit()?;
    Ok(!ids.is_empty())
}

/// Searches titles and messages outside the trash for texts that contain every word, ignoring case. A text in double
/// quotes is one word. Hits are grouped by chat: chats with a matching title first, then those with the best match; at
/// most [`MAX_HITS`] in all.
pub(in crate::chats) fn search(database: &Connection, text: &str) -> rusqlite::Result<Vec<Hit>> {
    let words = words(text);
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let (long, short): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| word.chars().count() >= TRIGRAM);
    let lines = |words: &[&String]| words.iter().map(|word| word.as_str()).collect::<Vec<_>>().join("\n");
    let all = lines(&words.iter().collect::<Vec<_>>());
    let phrases = long.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect::<Vec<_>>().join(" ");
    // A title outranks every message, and a message without a rank comes after those that have one. Without a long word
    // the index is of no use.
    let sql = "
        SELECT id AS chat, NULL AS message, -1e9 AS rank, updated AS at FROM chats
        WHERE deleted IS NULL AND contains_all(title, ?1)
        UNION ALL
        SELECT chat, messages.id, message_index.rank, messages.created
        FROM message_index JOIN messages ON messages.id = message_index.rowid JOIN chats ON chats.id = chat
        WHERE message_index MATCH ?2 AND deleted IS NULL AND (?3 = '' OR contains_all(messages.text, ?3))
        UNION ALL
        SELECT chat, messages.id, 0.0, messages.created FROM messages JOIN chats ON chats.id = chat
        WHERE indexed = 0 AND deleted IS NULL AND contains_all(text, ?1)
        ORDER BY rank, at DESC LIMIT ?4";
    let by_reading = "
        SELECT id AS chat, NULL AS message, -1e9 AS rank, updated AS at FROM chats
        WHERE deleted IS NULL AND contains_all(title, ?1)
        UNION ALL
        SELECT chat, messages.id, 0.0, messages.created FROM messages JOIN chats ON chats.id = chat
        WHERE deleted IS NULL AND contains_all(text, ?1)
        ORDER BY rank, at DESC LIMIT ?2";
    let place = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let most = MAX_HITS as i64;
    let found: Vec<(Id, Option<Id>)> = if long.is_empty() {
        let mut statement = database.prepare_cached(by_reading)?;
        statement.query_map(params![all, most], place)?.collect::<rusqlite::Result<_>>()?
    } else {
        let mut statement = database.prepare_cached(sql)?;
        statement.query_map(params![all, phrases, lines(&short), most], place)?.collect::<rusqlite::Result<_>>()?
    };
    let mut hits = Vec::new();
    for (chat, message) in found {
        let (sql, id) = match message {
            Some(message) => ("SELECT text FROM messages WHERE id = ?", message),
            None => ("SELECT title FROM chats WHERE id = ?", chat),
        };
        let text: String = database.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
        let (excerpt, ranges) = excerpt(&text, &words);
        hits.push(Hit { chat, message, excerpt, ranges });
    }
    Ok(grouped(hits))
}
