//! Tests of the folders of chats in the database.

use std::sync::Arc;

use super::*;
use crate::chats::{Folder, Reader, Role, Status, new_id};

/// The chats that the store has at its start.
fn chats_at(path: &Path) -> Vec<Chat> {
    let store = Store::open(Some(path.to_owned()), Arc::new(|| {}));
    match store.events.recv_timeout(Duration::from_secs(20)).unwrap() {
        StoreEvent::Opened { chats, .. } => chats,
        event => panic!("{event:?}"),
    }
}

fn titled(title: &str, folder: Option<Id>) -> Chat {
    Chat { title: title.into(), folder, ..Chat::new() }
}

#[test]
fn chats_stay_in_their_folders_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("chats.sqlite");
    let folder = Folder::new("Work");
    let (mut inside, outside) = (titled("Inside", Some(folder.id)), titled("Outside", None));
    {
        let store = Store::open(Some(path.clone()), Arc::new(|| {}));
        store.save_chat(&inside);
        store.save_chat(&outside);
        store.save_value(Folder::VALUE, Folder::list_to_json(std::slice::from_ref(&folder)));
    }
    let of = |title: &str| chats_at(&path).into_iter().find(|chat| chat.title == title).unwrap().folder;
    assert_eq!((of("Inside"), of("Outside")), (Some(folder.id), None));
    assert_eq!(Reader::open(&path).unwrap().unwrap().folders().unwrap(), [folder]);
    inside.folder = None;
    Store::open(Some(path.clone()), Arc::new(|| {})).save_chat(&inside);
    assert_eq!(of("Inside"), None, "a chat can leave its folder");
}

#[test]
fn a_database_without_folders_is_brought_up_to_date() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("chats.sqlite");
    let chat = titled("Old", None);
    Store::open(Some(path.clone()), Arc::new(|| {})).save_chat(&chat);
    // As the second version of the schema had it.
    let database = Connection::open(&path).unwrap();
    database.execute_batch("ALTER TABLE chats DROP COLUMN folder; PRAGMA user_version = 2;").unwrap();
    drop(database);
    assert_eq!(chats_at(&path), [chat]);
    let version: i64 = Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 3);
}

#[test]
fn an_export_names_no_folder() {
    let chat = titled("Inside", Some(new_id()));
    let mut archive = Archive::default();
    archive.add(chat, vec![Message::new(None, Role::User, "Hello", Status::Done)]);
    let text = exchange::text(&archive, Path::new("chats.json")).unwrap();
    assert!(!text.contains("folder"), "{text}");
    let with_folder = text.replace("\"title\"", "\"folder\": 7, \"title\"");
    let read = exchange::parse(&with_folder).unwrap();
    assert_eq!((read.chats[0].chat.folder, read.chats[0].chat.title.as_str()), (None, "Inside"));
}
