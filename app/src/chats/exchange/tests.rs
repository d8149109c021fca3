//! Tests of export and import.

use super::*;
use crate::chats::Role;

fn archive() -> Archive {
    let mut chat = Chat::new();
    chat.title = "Fruit".into();
    chat.system = "Be brief.\nBe kind.".into();
    let ask = Message::new(None, Role::User, "Name one", Status::Done);
    let mut a = Message::new(Some(ask.id), Role::Model, "An apple.", Status::Done);
    a.created = ask.created + 1;
    a.model = Some("gemma".into());
    let b = Message { created: a.created + 1, ..Message::new(Some(ask.id), Role::Model, "A pear.", Status::Writing) };
    chat.leaf = Some(a.id);
    let mut archive = Archive::default();
    archive.add(chat, vec![ask, a, b]);
    archive
}

#[test]
fn markdown_contains_the_shown_branch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fruit.md");
    write(&archive(), &path, false).unwrap();
    let expected = "# Fruit\n\n> Be brief.\n> Be kind.\n\n## You\n\nName one\n\n## gemma\n\nAn apple.\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left behind");
}

#[test]
fn no_file_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fruit.md");
    fs::write(&path, "mine").unwrap();
    assert_eq!(write(&archive(), &path, false), Ok(folder.path().join("fruit (2).md")));
    assert_eq!(write(&archive(), &path, false), Ok(folder.path().join("fruit (3).md")));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    // The system's dialog has asked the user before.
    assert_eq!(write(&archive(), &path, true), Ok(path.clone()));
    assert_ne!(fs::read_to_string(&path).unwrap(), "mine");
    assert!(write(&archive(), folder.path(), false).is_err());
}

#[test]
fn json_is_read_back_with_all_branches_and_new_ids() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fruit.json");
    let written = archive();
    write(&written, &path, false).unwrap();
    let read = read(&path).unwrap();
    let (old, new) = (&written.chats[0], &read.chats[0]);
    assert_eq!(new.messages.len(), 3);
    assert_ne!(old.chat.id, new.chat.id);
    assert_eq!(new.messages[1].parent, Some(new.messages[0].id));
    assert_eq!(new.chat.leaf, Some(new.messages[1].id));
    assert_eq!(new.messages[2].status, Status::Stopped);
    assert_eq!((&new.chat.title, &new.chat.system), (&old.chat.title, &old.chat.system));
}

#[test]
fn other_files_are_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.json");
    for text in
        ["", "[]", "[{}]", "[{\"mapping\": 3}]", "{\"format\": \"other\", \"version\": 1, \"chats\": []}", "\u{1}\u{2}"]
    {
        fs::write(&path, text).unwrap();
        assert!(read(&path).unwrap_err().contains("it is not a JSON export of Lapidary"), "{text:?}");
    }
    fs::write(&path, "{\"format\": \"lapidary-chats\", \"version\": 9, \"chats\": []}").unwrap();
    assert!(read(&path).unwrap_err().contains("newer Lapidary"));
    assert!(read(folder.path()).unwrap_err().contains("cannot be imported"));
}

const CHATGPT: &str = r#"[{
    "title": "Pears", "create_time": 1700000000.5, "update_time": 1700000100.0, "current_node": "e", "pinned": null,
    "mapping": {
        "root": {"id": "root", "message": null, "parent": null, "children": ["s"]},
        "s": {"id": "s", "message": {"id": "s", "author": {"role": "system"}, "create_time": null,
            "content": {"content_type": "text", "parts": [""]}, "recipient": "all", "metadata": {}}, "parent": "root"},
        "a": {"message": {"author": {"role": "user"}, "create_time": 1700000001.0,
            "content": {"content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}, "What is it?"]},
            "recipient": "all", "metadata": {"attachments": [{"name": "cat.png"}]}}, "parent": "s"},
        "t": {"message": {"author": {"role": "assistant"}, "create_time": 1700000002.0,
            "content": {"content_type": "code", "text": "search('pear')"}, "recipient": "web", "metadata": {}}, "parent": "a"},
        "b": {"message": {"author": {"role": "tool", "name": "web"}, "create_time": 1700000003.0,
            "content": {"content_type": "tether_quote", "text": "found"}, "recipient": "all", "metadata": {}}, "parent": "t"},
        "c": {"message": {"author": {"role": "assistant"}, "create_time": 1700000004.0,
            "content": {"content_type": "text", "parts": ["A pear."]}, "recipient": "all",
            "metadata": {"model_slug": "gpt-4o"}}, "parent": "b"},
        "d": {"message": {"author": {"role": "assistant"}, "create_time": 1700000005.0,
            "content": {"content_type": "text", "parts": ["A quince."]}, "recipient": "all", "metadata": {}}, "parent": "a"},
        "e": {"message": {"author": {"role": "user"}, "create_time": 1700000006.0,
            "content": {"content_type": "text", "parts": ["Sure?"]}, "recipient": "all", "metadata": {}}, "parent": "c"},
        "x": {"message": null, "parent": "y"}, "y": {"message": null, "parent": "x"}
    }
}, {"title": "Nothing", "mapping": {"root": {"message": null, "parent": null}}}]"#;

const OPEN_WEBUI: &str = r#"[{
    "id": "1", "user_id": "2", "title": "Pears", "created_at": 1700000000, "updated_at": 1700000100, "pinned": true,
    "chat": {"title": "Pears", "models": ["gemma2:9b"], "params": {"system": "Be brief."}, "timestamp": 1700000000000,
        "history": {"currentId": "c", "messages": {
            "a": {"id": "a", "parentId": null, "childrenIds": ["b", "c"], "role": "user", "content": "What is it?",
                "timestamp": 1700000001, "files": [
                    {"type": "file", "name": "note.txt", "file": {"data": {"content": "a pear"}}},
                    {"type": "image", "url": "data:image/png;base64,AAAA"}]},
            "b": {"id": "b", "parentId": "a", "role": "assistant", "content": "A pear.", "model": "gemma2:9b",
                "timestamp": 1700000002},
            "c": {"id": "c", "parentId": "a", "role": "assistant", "content": "A quince.", "model": "gemma2:9b",
                "timestamp": 1700000003}}},
        "messages": []}
}]"#;

fn imported(text: &str) -> Archive {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.json");
    fs::write(&path, text).unwrap();
    read(&path).unwrap()
}

fn shown(entry: &ArchivedChat) -> (Vec<String>, usize) {
    let tree = crate::chats::Tree::new(entry.messages.clone(), entry.chat.leaf);
    (tree.branch().map(|message| message.text.clone()).collect(), tree.messages().count())
}

#[test]
fn conversations_of_chatgpt_are_imported_with_their_branches() {
    let archive = imported(CHATGPT);
    assert_eq!(archive.chats.len(), 1);
    let entry = &archive.chats[0];
    assert_eq!((entry.chat.title.as_str(), entry.chat.created), ("Pears", 1_700_000_000_500));
    assert_eq!(shown(entry), (["What is it?", "A pear.", "Sure?"].map(str::to_owned).to_vec(), 4));
    let pear = entry.messages.iter().find(|message| message.text == "A pear.").unwrap();
    assert_eq!((pear.model.as_deref(), pear.created), (Some("gpt-4o"), 1_700_000_004_000));
    let left_out = "Left out: one picture or file, 2 messages of tools and one empty chat.";
    assert_eq!(archive.left_out.as_deref(), Some(left_out));
}

/// Walking up the chain from every message would take minutes.
#[test]
fn many_messages_below_a_long_chain_of_empty_nodes_are_imported_at_once() {
    let count = 20_000;
    let mut mapping = serde_json::Map::new();
    for number in 0..count {
        let parent = if number == 0 { "top".to_owned() } else { format!("n{}", number - 1) };
        mapping.insert(format!("n{number}"), serde_json::json!({"message": null, "parent": parent}));
    }
    let message = |parent: Option<String>| {
        let content = serde_json::json!({"content_type": "text", "parts": ["Hello"]});
        serde_json::json!({"message": {"author": {"role": "user"}, "content": content}, "parent": parent})
    };
    mapping.insert("top".into(), message(None));
    for number in 0..count {
        mapping.insert(format!("m{number}"), message(Some(format!("n{}", count - 1))));
    }
    let started = std::time::Instant::now();
    let archive = imported(&serde_json::json!([{"title": "Long", "mapping": mapping}]).to_string());
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    let messages = &archive.chats[0].messages;
    assert_eq!(messages.len(), count + 1);
    let top = messages.iter().find(|message| message.parent.is_none()).unwrap().id;
    assert_eq!(messages.iter().filter(|message| message.parent == Some(top)).count(), count);
}

#[test]
fn chats_of_open_webui_are_imported_with_their_branches() {
    let archive = imported(OPEN_WEBUI);
    let entry = &archive.chats[0];
    assert_eq!((entry.chat.system.as_str(), entry.chat.pinned), ("Be brief.", true));
    assert_eq!(shown(entry), (["What is it?", "A quince."].map(str::to_owned).to_vec(), 3));
    let question = entry.messages.iter().find(|message| message.role == Role::User).unwrap();
    assert_eq!((question.attachments[0].name.as_str(), question.attachments[0].text.as_str()), ("note.txt", "a pear"));
    assert_eq!(archive.left_out.as_deref(), Some("Left out: one picture or file."));
}

#[test]
fn exports_are_recognized_by_their_start() {
    for export in [CHATGPT, OPEN_WEBUI, "{\n  \"format\": \"lapidary-chats\""] {
        assert!(begins_as_export(export));
    }
    for other in ["[]", "[{\"mapping\": 1}]", "{\"mapping\": 1, \"create_time\": 2}", "text"] {
        assert!(!begins_as_export(other));
    }
}
