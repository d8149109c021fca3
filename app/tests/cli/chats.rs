//! `lapidary chats`, also while another program has the chats open.

use std::path::Path;
use std::sync::Arc;

use lapidary_app::chats::{Chat, Folder, Message, Role, Status, Store, StoreEvent};
use lapidary_app::data_folder::Lock;
use serde_json::Value;

use crate::lapidary;

fn run(home: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = lapidary(arguments).env("XDG_DATA_HOME", home).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Two chats and one in the trash. The latest is "Fruit", with a reply that was replaced.
fn fill(home: &Path) -> Store {
    let store = Store::open(Some(home.join("lapidary/chats.sqlite")), Arc::new(|| {}));
    for (title, updated, deleted) in [("Old", 1_000, None), ("Fruit", 2_000, None), ("Gone", 3_000, Some(4_000))] {
        let mut chat = Chat { title: title.into(), updated, deleted, ..Chat::new() };
        let question = Message::new(None, Role::User, "Name one", Status::Done);
        let first = Message::new(Some(question.id), Role::Model, "A pear.", Status::Done);
        let mut second =
            Message::new(Some(question.id), Role::Model, format!("An apple \u{1b}[2J for {title}."), Status::Done);
        second.created += 1;
        chat.leaf = Some(second.id);
        store.save_chat_with(&chat, &[question, first, second]);
    }
    store.load(1);
    while !matches!(store.event(), Some(StoreEvent::Messages(..))) {
        std::thread::yield_now();
    }
    store
}

#[test]
fn chats_are_listed_shown_and_exported_while_they_are_open_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert_eq!(run(home, &["chats", "list"]), (Some(0), String::new(), String::new()));
    let (status, _, stderr) = run(home, &["chats", "show", "1"]);
    assert!(status == Some(1) && stderr.contains("no chats yet"), "{stderr}");

    let _lock = Lock::take(&home.join("lapidary")).unwrap();
    let _store = fill(home);
    let (status, stdout, stderr) = run(home, &["chats", "list"]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    let titles: Vec<&str> = stdout.lines().map(|line| line.rsplit("  ").next().unwrap()).collect();
    assert_eq!(titles, ["Fruit", "Old"]);
    let (_, stdout, _) = run(home, &["chats", "list", "--trash", "--json"]);
    let list: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(list["chats"][0]["title"], "Gone");

    let (status, markdown, _) = run(home, &["chats", "show", "fru"]);
    assert_eq!(status, Some(0));
    assert!(markdown.starts_with("# Fruit\n") && markdown.contains("for Fruit.") && !markdown.contains("pear"));
    let (_, stdout, _) = run(home, &["chats", "show", "2", "--json"]);
    let old: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&old["title"], old["messages"].as_array().unwrap().len()), (&"Old".into(), 3));
    let (status, _, stderr) = run(home, &["chats", "show", "vegetables"]);
    assert!(status == Some(1) && stderr.contains("vegetables") && stderr.contains("chats list"), "{stderr}");

    let out = home.join("all.json");
    let export = |more: &[&str]| run(home, &[&["chats", "export", "--out", out.to_str().unwrap()], more].concat());
    assert_eq!(export(&[]).0, Some(0));
    let exported: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(exported["chats"].as_array().unwrap().len(), 2);
    let (status, _, stderr) = export(&["old"]);
    assert!(status == Some(1) && stderr.contains("--overwrite"), "{stderr}");
    assert_eq!(export(&["old", "--overwrite"]).0, Some(0));
    let exported: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(exported["chats"][0]["title"], "Old");
}

#[test]
fn the_list_names_the_folder_of_a_chat() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::new("Work and\nplay");
    {
        let store = fill(home.path());
        let chat = Chat { title: "Inside".into(), updated: 9_000, folder: Some(folder.id), ..Chat::new() };
        store.save_chat(&chat);
        store.save_value(Folder::VALUE, Folder::list_to_json(&[folder]));
    }
    let (_, stdout, _) = run(home.path(), &["chats", "list"]);
    let ends: Vec<&str> = stdout.lines().map(|line| line.splitn(3, "  ").last().unwrap().trim()).collect();
    assert!(ends[0].ends_with("Inside  [Work and play]") && ends[1].ends_with("Fruit"), "{stdout}");
    let (_, stdout, _) = run(home.path(), &["chats", "list", "--json"]);
    let list: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&list["chats"][0]["folder"], &list["chats"][1]["folder"]), (&"Work and\nplay".into(), &Value::Null));
}

#[test]
fn a_database_that_cannot_be_read_is_named() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("lapidary")).unwrap();
    std::fs::write(home.path().join("lapidary/chats.sqlite"), "this is no database, whatever its name says").unwrap();
    let (status, stdout, stderr) = run(home.path(), &["chats", "list"]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("chats.sqlite cannot be read"), "{stderr}");
}
