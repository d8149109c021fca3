//! Tests of the store.

use std::collections::HashMap;

use super::*;
use crate::chats::{Role, Speed, Status};

fn no_wake() -> Arc<dyn Fn() + Send + Sync> {
    Arc::new(|| {})
}

fn wait(store: &Store) -> StoreEvent {
    store.events.recv_timeout(Duration::from_secs(20)).unwrap()
}

fn sample() -> (Chat, Vec<Message>) {
    let mut chat = Chat::new();
    chat.title = "Äpfel".into();
    let first = Message::new(None, Role::User, "How many ÄPFEL?", Status::Done);
    let mut second = Message::new(Some(first.id), Role::Model, "Seven.", Status::Stopped);
    second.speed = Some(Speed { tokens: 3, first_token_ms: 12.5, tokens_per_s: 40.0 });
    second.model = Some("guide".into());
    second.note = Some("a note".into());
    chat.leaf = Some(second.id);
    (chat, vec![first, second])
}

fn save(store: &Store, chat: &Chat, messages: &[Message]) {
    store.save_chat(chat);
    messages.iter().for_each(|message| store.save_message(chat.id, message));
}

#[test]
fn saved_chats_are_read_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/chats.sqlite");
    let (chat, messages) = sample();
    {
        let store = Store::open(Some(path.clone()), no_wake());
        assert!(matches!(wait(&store), StoreEvent::Opened { chats, values } if chats.is_empty() && values.is_empty()));
        save(&store, &chat, &messages);
        store.append(messages[1].id, " Or eight.".into());
        store.save_value("settings", "{}".into());
    }
    let store = Store::open(Some(path), no_wake());
    let StoreEvent::Opened { chats, values } = wait(&store) else { panic!() };
    assert_eq!(chats, std::slice::from_ref(&chat));
    assert_eq!(values, HashMap::from([("settings".into(), "{}".into())]));
    store.load(chat.id);
    let StoreEvent::Messages(_, mut found) = wait(&store) else { panic!() };
    found.sort_by_key(|message| message.role == Role::Model);
    assert_eq!(found[0], messages[0]);
    assert_eq!(found[1], Message { text: "Seven. Or eight.".into(), ..messages[1].clone() });
    // A chat that is saved again keeps its messages. A deleted chat does not.
    store.save_chat(&chat);
    store.load(chat.id);
    assert!(matches!(wait(&store), StoreEvent::Messages(_, found) if found.len() == 2));
    store.forget(chat.id);
    store.load(chat.id);
    assert!(matches!(wait(&store), StoreEvent::Messages(_, found) if found.is_empty()));
}

#[test]
fn search_ignores_case_and_finds_titles_and_messages() {
    let store = Store::open(None, no_wake());
    wait(&store);
    let (mut chat, messages) = sample();
    save(&store, &chat, &messages);
    store.search(1, " äpfel ");
    let StoreEvent::Found(1, hits) = wait(&store) else { panic!() };
    assert_eq!(hits.len(), 2);
    let hit = &hits[1];
    assert_eq!((hit.chat, hit.message, hit.excerpt.as_str()), (chat.id, Some(messages[0].id), "How many ÄPFEL?"));
    assert_eq!(hit.ranges.iter().map(|range| &hit.excerpt[range.clone()]).collect::<Vec<_>>(), ["ÄPFEL"]);
    store.search(2, "100%");
    assert!(matches!(wait(&store), StoreEvent::Found(2, hits) if hits.is_empty()));
    chat.deleted = Some(super::super::now());
    store.save_chat(&chat);
    store.search(3, "äpfel");
    assert!(matches!(wait(&store), StoreEvent::Found(3, hits) if hits.is_empty()), "the trash is not searched");
}

/// A write queue without its thread over a database that cannot grow, and its events.
fn on_a_full_disk(path: &Path) -> (WriteQueue<impl Fn(StoreEvent) + use<>>, Receiver<StoreEvent>) {
    let (sender, events) = mpsc::channel();
    let emit = move |event| sender.send(event).unwrap();
    let queue = WriteQueue {
        database: open(Some(path)).unwrap(),
        emit,
        pending: VecDeque::new(),
        failing: false,
        unindexed: false,
    };
    let pages: i64 = queue.database.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    limit(&queue.database, pages);
    (queue, events)
}

fn limit(database: &Connection, pages: i64) {
    database.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0)).unwrap();
}

#[test]
fn writes_refused_by_a_full_disk_are_kept_and_saved_later() {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, events) = on_a_full_disk(&folder.path().join("chats.sqlite"));
    let (chat, mut messages) = sample();
    messages[1].text = "long ".repeat(10_000);
    queue.pending.push_back(Write::Chat(chat.clone()));
    queue.pending.extend(messages.iter().map(|message| Write::Message(chat.id, message.clone())));
    queue.pending.push_back(Write::Append(messages[1].id, "and longer".into()));
    queue.write();
    queue.write();
    let StoreEvent::CannotSave(reason) = events.try_recv().unwrap() else { panic!() };
    assert!(reason.contains("full"), "{reason}");
    assert!(events.try_recv().is_err(), "it is reported once");
    // Reads meanwhile include the waiting writes, which can be exported to another disk.
    queue.answer(Request::Messages(chat.id));
    let StoreEvent::Messages(_, mut shown) = events.try_recv().unwrap() else { panic!() };
    shown.sort_by_key(|message| message.role == Role::Model);
    assert!(shown.len() == 2 && shown[1].text.ends_with("long and longer"));
    let rescued = folder.path().join("rescued.json");
    queue.answer(Request::Export { chats: vec![chat.id], path: rescued.clone(), overwrite: false });
    assert!(matches!(events.try_recv().unwrap(), StoreEvent::Exported(_, 1)));
    assert!(std::fs::read_to_string(rescued).unwrap().contains("long and longer"));
    limit(&queue.database, 1 << 20);
    queue.write();
    assert!(matches!(events.try_recv().unwrap(), StoreEvent::SavedAgain));
    let mut saved = super::messages(&queue.database, chat.id).unwrap();
    saved.sort_by_key(|message| message.role == Role::Model);
    assert!(saved == shown);
}

#[test]
fn an_import_that_does_not_fit_is_reported_and_blocks_no_other_write() {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, events) = on_a_full_disk(&folder.path().join("chats.sqlite"));
    let (chat, mut messages) = sample();
    messages[1].text = "long ".repeat(10_000);
    let file = folder.path().join("large.json");
    let mut archive = Archive::default();
    archive.add(chat, messages);
    exchange::write(&archive, &file, false).unwrap();
    queue.answer(Request::Import(file));
    let StoreEvent::FileError(reason) = events.try_recv().unwrap() else { panic!() };
    assert!(reason.contains("large.json cannot be imported") && reason.contains("full"), "{reason}");
    queue.pending.push_back(Write::Value("settings", "{}".into()));
    queue.write();
    assert!(queue.pending.is_empty() && events.try_recv().is_err());
}

#[test]
fn a_write_refused_by_the_database_blocks_no_other_write() {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, events) = on_a_full_disk(&folder.path().join("chats.sqlite"));
    limit(&queue.database, 1 << 20);
    let (chat, messages) = sample();
    queue.pending.push_back(Write::Message(7, messages[0].clone()));
    queue.pending.push_back(Write::Chat(chat.clone()));
    queue.write();
    assert!(matches!(events.try_recv().unwrap(), StoreEvent::FileError(_)), "no chat 7 is there");
    assert!(queue.pending.is_empty() && events.try_recv().is_err());
    assert_eq!(queue.read(chat.id).unwrap().0, Some(chat));
}

#[test]
fn a_newer_or_broken_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    open(Some(&path)).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(open(Some(&path)).unwrap_err().contains("newer Lapidary"));
    std::fs::write(&path, "this is no database, whatever its name says").unwrap();
    assert!(open(Some(&path)).unwrap_err().contains("cannot be opened"));
    assert_eq!(std::fs::read(&path).unwrap().len(), 43);
}

#[test]
fn the_newest_hits_are_returned_if_there_are_too_many() {
    let store = Store::open(None, no_wake());
    wait(&store);
    let (chat, _) = sample();
    let messages: Vec<Message> = (0..MAX_HITS as i64 + 50)
        .map(|created| Message { created, ..Message::new(None, Role::User, "hay", Status::Done) })
        .collect();
    store.save_chat_with(&chat, &messages);
    store.search(1, "hay");
    let StoreEvent::Found(1, hits) = wait(&store) else { panic!() };
    let newest: Vec<_> = messages.iter().rev().take(MAX_HITS).map(|message| Some(message.id)).collect();
    assert_eq!(hits.iter().map(|hit| hit.message).collect::<Vec<_>>(), newest);
}

#[test]
fn without_a_database_chats_are_still_found_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    std::fs::write(&path, "this is no database, whatever its name says").unwrap();
    let store = Store::open(Some(path.clone()), no_wake());
    assert!(matches!(wait(&store), StoreEvent::NotOpened(_)));
    let (chat, messages) = sample();
    save(&store, &chat, &messages);
    store.search(1, "seven");
    assert!(matches!(wait(&store), StoreEvent::Found(1, hits) if hits.len() == 1));
    store.export(vec![chat.id], folder.path().join("saved.json"), false).unwrap();
    assert!(matches!(wait(&store), StoreEvent::Exported(_, 1)));
    drop(store);
    assert_eq!(std::fs::read(&path).unwrap().len(), 43);
    // The same without a data folder.
    let store = Store::without_folder("No folder".into(), no_wake());
    assert!(matches!(wait(&store), StoreEvent::NotOpened(reason) if reason == "No folder"));
    save(&store, &chat, &messages);
    store.search(1, "seven");
    assert!(matches!(wait(&store), StoreEvent::Found(1, hits) if hits.len() == 1));
}

#[test]
fn the_end_of_the_thread_is_reported_once() {
    let (requests, inbox) = mpsc::channel();
    let (_, events) = mpsc::channel();
    drop(inbox);
    let store = Store { requests, events, thread: None, reported: Cell::new(Reported::Nothing) };
    assert!(matches!(store.event(), Some(StoreEvent::NotOpened(_))), "the window waits for it to load a model");
    assert!(matches!(store.event(), Some(StoreEvent::Ended)));
    store.save_value("settings", "{}".into());
    assert!(store.event().is_none());
    assert_eq!(store.export(vec![1], "chats.json".into(), false), Err(THREAD_ENDED));
}

#[test]
fn errors_of_the_file_are_transient() {
    let refused = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    use rusqlite::ffi::{SQLITE_CONSTRAINT, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_NOTADB};
    assert!([SQLITE_CORRUPT, SQLITE_FULL, SQLITE_NOTADB].into_iter().all(|code| is_transient(&refused(code))));
    assert!(!is_transient(&refused(SQLITE_CONSTRAINT)));
}

/// A database as the first version wrote it.
fn write_first_version(path: &Path, count: i64) {
    let database = Connection::open(path).unwrap();
    database
        .execute_batch(
            "CREATE TABLE chats (id INTEGER PRIMARY KEY, title TEXT NOT NULL, named INTEGER NOT NULL,
                created INTEGER NOT NULL, updated INTEGER NOT NULL, deleted INTEGER, system TEXT NOT NULL, leaf INTEGER,
                draft TEXT NOT NULL);
            CREATE TABLE messages (id INTEGER PRIMARY KEY,
                chat INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE, parent INTEGER, role TEXT NOT NULL,
                text TEXT NOT NULL, status TEXT NOT NULL, created INTEGER NOT NULL, model TEXT, tokens INTEGER,
                first_token_ms REAL, tokens_per_s REAL, note TEXT);
            CREATE INDEX messages_of_chat ON messages (chat);
            CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
            INSERT INTO chats VALUES (1, 'Old', 0, 10, 20, NULL, 'Be kind.', NULL, 'a draft');
            INSERT INTO settings VALUES ('settings', '{}');
            PRAGMA user_version = 1;",
        )
        .unwrap();
    let sql = "INSERT INTO messages (id, chat, role, text, status, created) VALUES (?1, 1, 'user', ?2, 'done', ?1)";
    database.execute_batch("BEGIN").unwrap();
    for id in 1..=count {
        let text = format!("old message {id} {}", "hay ".repeat(50));
        database.execute(sql, rusqlite::params![id, text]).unwrap();
    }
    database.execute_batch("COMMIT").unwrap();
}

fn count(database: &Connection, sql: &str) -> i64 {
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Whether the index holds exactly the messages that are marked as indexed. It reports a difference as an error.
fn check_index(database: &Connection) {
    database.execute("INSERT INTO message_index (message_index, rank) VALUES ('integrity-check', 0)", []).unwrap();
    let unmarked = "SELECT count(*) FROM message_index_docsize WHERE id NOT IN (SELECT id FROM messages WHERE indexed)";
    assert_eq!(count(database, unmarked), 0);
    let missing = "SELECT count(*) FROM messages WHERE indexed AND id NOT IN (SELECT id FROM message_index_docsize)";
    assert_eq!(count(database, missing), 0);
}

#[test]
fn a_database_of_the_first_version_is_opened_and_indexed_in_steps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    write_first_version(&path, 3000);
    let database = open(Some(&path)).unwrap();
    let found = |text: &str| search(&database, text).unwrap().len();
    assert_eq!((found("message 2999"), found("\"message 17 hay\"")), (1, 1), "what is not indexed yet is found too");
    let mut steps = 0;
    while index_more(&database).unwrap() {
        steps += 1;
        if steps == 5 {
            // Messages that change meanwhile keep the index right.
            database.execute("UPDATE messages SET text = 'changed' WHERE id IN (2, 2998)", []).unwrap();
            database.execute("DELETE FROM messages WHERE id IN (3, 2997)", []).unwrap();
            check_index(&database);
        }
    }
    assert!(steps > 5, "{steps}");
    check_index(&database);
    assert_eq!(count(&database, "SELECT count(*) FROM messages WHERE indexed = 0"), 0);
    assert_eq!((found("message 2999"), found("changed"), found("\"message 2997\"")), (1, 2, 0));
    drop(database);
    let store = Store::open(Some(path), no_wake());
    let StoreEvent::Opened { chats, .. } = wait(&store) else { panic!() };
    assert_eq!((chats[0].title.as_str(), chats[0].draft.as_str(), chats[0].pinned), ("Old", "a draft", false));
}

#[test]
fn the_index_follows_every_kind_of_write() {
    let mut database = open(None).unwrap();
    let (chat, mut messages) = sample();
    messages[1].status = Status::Writing;
    let write = |database: &mut Connection, writes: Vec<Write>| {
        apply(database, writes.iter()).unwrap();
        check_index(database);
    };
    let indexed = "SELECT count(*) FROM messages WHERE indexed";
    let id = chat.id;
    write(
        &mut database,
        vec![Write::Chat(chat), Write::Message(id, messages[0].clone()), Write::Message(id, messages[1].clone())],
    );
    write(&mut database, vec![Write::Append(messages[1].id, " Or a quince.".into())]);
    assert_eq!(count(&database, indexed), 1, "a growing reply is not indexed");
    assert_eq!(search(&database, "quince").unwrap().len(), 1, "and still found");
    messages[1].text.push_str(" Or a quince.");
    messages[1].status = Status::Done;
    write(&mut database, vec![Write::Message(id, messages[1].clone())]);
    assert_eq!((count(&database, indexed), search(&database, "quince").unwrap().len()), (2, 1));
    messages[1].text = "Pears.".into();
    write(&mut database, vec![Write::Message(id, messages[1].clone())]);
    assert!(search(&database, "quince").unwrap().is_empty());
    write(&mut database, vec![Write::ForgetMessage(messages[1].id)]);
    assert!(search(&database, "pears").unwrap().is_empty());
    write(&mut database, vec![Write::Forget(id)]);
    assert_eq!(count(&database, "SELECT count(*) FROM message_index_docsize"), 0);
}

#[test]
fn twenty_thousand_messages_are_searched_in_a_moment() {
    let mut database = open(None).unwrap();
    let (chat, _) = sample();
    let id = chat.id;
    let message = |number: usize| {
        let text = format!("{} number {number} of many words about fruit and tools", "hay ".repeat(20));
        Write::Message(id, Message::new(None, Role::User, text, Status::Done))
    };
    let writes: Vec<Write> = std::iter::once(Write::Chat(chat)).chain((0..20_000).map(message)).collect();
    apply(&mut database, writes.iter()).unwrap();
    let started = Instant::now();
    assert_eq!(search(&database, "number 19999").unwrap().len(), 1);
    let rare = started.elapsed();
    assert_eq!(search(&database, "hay").unwrap().len(), MAX_HITS);
    let common = started.elapsed() - rare;
    println!("one hit after {rare:?}, {MAX_HITS} of 20,000 after {common:?}");
    assert!(rare < Duration::from_secs(2) && common < Duration::from_secs(10), "{rare:?}, {common:?}");
}

#[test]
fn draft_attachments_are_saved_apart_from_the_draft() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    let (mut chat, messages) = sample();
    chat.attachments.push(crate::chats::Attachment::new("a.txt", "text"));
    {
        let store = Store::open(Some(path.clone()), no_wake());
        store.save_attachments(&chat);
        store.save_chat(&Chat { draft: "typed".into(), attachments: Vec::new(), ..chat.clone() });
    }
    {
        let store = Store::open(Some(path.clone()), no_wake());
        let StoreEvent::Opened { chats, .. } = wait(&store) else { panic!() };
        assert_eq!((&chats[0].attachments, chats[0].draft.as_str()), (&chat.attachments, "typed"));
        let mut sent = messages[0].clone();
        sent.attachments = std::mem::take(&mut chat.attachments);
        store.save_sent(&chat, &sent);
        store.load(chat.id);
        assert!(matches!(wait(&store), StoreEvent::Messages(_, found) if found == [sent]));
    }
    let store = Store::open(Some(path), no_wake());
    assert!(matches!(wait(&store), StoreEvent::Opened { chats, .. } if chats == [chat]));
}
