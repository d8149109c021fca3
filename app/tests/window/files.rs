//! The list of chats: search, trash, export, import, and restarts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use lapidary_app::chats::{Store, StoreEvent};
use lapidary_app::worker::Command;

use crate::script::Window;

#[test]
fn everything_is_restored_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(path.clone()));
        window.exchange("Name a fruit", "An apple.");
        window.press("Regenerate");
        window.until("there is another", |app| app.state.reply().is_none());
        window.press("Previous branch");
        window.write("Message", "a thought not yet sent");
        window.harness.state_mut().state.settings.zoom = 1.25;
        window.settle();
    }
    let mut window = Window::over(Some(path));
    window.until("the chats are there", |app| !app.state.visible_chats().is_empty());
    window.press("Name a fruit");
    window.until("its messages are there", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 2));
    assert_eq!(window.branch(), ["Name a fruit", "An apple."]);
    window.sees("1/2");
    assert_eq!(window.harness.state().state.draft(), "a thought not yet sent");
    assert_eq!(window.harness.state().state.settings.zoom, 1.25);
}

#[test]
fn an_unsent_draft_is_restored_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(path.clone()));
        window.write("Message", "I was about to say");
    }
    let mut window = Window::over(Some(path));
    window.until("it is there", |app| app.state.draft() == "I was about to say");
    window.key(Modifiers::NONE, Key::Enter);
    window.until("it is said", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 2));
}

#[test]
fn a_deleted_draft_stays_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(path.clone()));
        window.write("Message", "secret");
        std::thread::sleep(std::time::Duration::from_millis(1100));
        window.settle();
        window.write("Message", "");
        window.key(Modifiers::NONE, Key::Backspace);
        assert_eq!(window.harness.state().state.draft(), "");
    }
    let mut window = Window::over(Some(path));
    window.until("it is open", |app| app.state.opened.is_some());
    assert_eq!(window.harness.state().state.draft(), "");
}

#[test]
fn an_edit_is_kept_while_another_chat_is_shown() {
    let mut window = Window::new();
    window.exchange("First chat", "Yes");
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.write("Edit the message", "First chat, at length");
    window.key(Modifiers::COMMAND, Key::N);
    window.sees("You talk to the built-in guide");
    assert!(window.harness.state().state.editing.is_none());
    window.press("First chat");
    let edit = window.harness.state().state.editing.clone();
    assert_eq!(edit.unwrap().1, "First chat, at length");
}

#[test]
fn deleting_a_chat_keeps_the_queued_jobs_of_others() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    window.send("Of the first");
    let first = window.harness.state().state.open_id();
    window.send("Of the first, later");
    window.key(Modifiers::COMMAND, Key::N);
    window.send("Of the second");
    window.harness.state_mut().state.delete(first);
    window.settle();
    window.release_reply();
    window.until("it is answered", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 2));
    assert_eq!(window.branch(), ["Of the second", "Yes."]);
    let asked = window.script().commands.iter().filter(|command| matches!(command, Command::Generate { .. })).count();
    assert_eq!(asked, 2);
}

#[test]
fn the_default_system_prompt_applies_to_the_first_chat() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(path.clone()));
        window.until("it is open", |app| app.state.opened.is_some());
        window.harness.state_mut().state.settings.system = "Answer in German.".into();
        window.settle();
        assert_eq!(window.harness.state().state.open().unwrap().system, "Answer in German.");
    }
    let mut window = Window::over(Some(path));
    window.until("it is open", |app| app.state.opened.is_some());
    assert_eq!(window.harness.state().state.open().unwrap().system, "Answer in German.");
    // A system prompt set for an empty chat is kept.
    window.harness.state_mut().state.set_system("Answer in verse.".into());
    window.key(Modifiers::COMMAND, Key::N);
    assert_eq!(window.harness.state().state.open().unwrap().system, "Answer in verse.");
}

#[test]
fn a_deleted_chat_is_in_the_trash_until_that_is_emptied() {
    let mut window = Window::new();
    window.exchange("Old talk", "Yes");
    window.press("Menu of Old talk");
    window.press("Delete");
    window.sees("“Old talk” is in the trash.");
    assert!(window.branch().is_empty() && !window.shows("Menu of Old talk"));
    window.press("Undo");
    assert_eq!(window.branch(), ["Old talk", "Yes"]);
    window.press("Menu of Old talk");
    window.press("Delete");
    window.press("Trash (1)");
    window.press("Restore Old talk");
    assert_eq!(window.branch(), ["Old talk", "Yes"]);
    window.press("Menu of Old talk");
    window.press("Delete");
    window.press("Trash (1)");
    window.press("Empty the trash");
    window.press("Keep");
    assert_eq!(window.harness.state().state.trash().len(), 1);
    window.press("Empty the trash");
    window.press("Remove for good");
    window.sees("The trash is empty.");
    assert!(window.harness.state().state.trash().is_empty());
}

#[test]
fn a_chat_is_renamed() {
    let mut window = Window::new();
    window.exchange("Some words", "Yes");
    window.press("Menu of Some words");
    window.press("Rename");
    window.write("Title", "A better title");
    window.key(Modifiers::NONE, Key::Enter);
    window.sees("Menu of A better title");
}

#[test]
fn search_opens_the_message_on_its_branch() {
    let mut window = Window::new();
    window.exchange("About fruit", "A rare quince.");
    window.press("Regenerate");
    window.until("there is another", |app| app.state.reply().is_none());
    window.key(Modifiers::COMMAND, Key::N);
    window.exchange("About tools", "A hammer.");
    window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::F);
    window.write("Search chats", "QUINCE");
    window.until("it is found", |app| app.state.search.hits.as_ref().is_some_and(|hits| hits.len() == 1));
    window.sees("A rare quince.");
    let hit = window.harness.state().state.search.hits.as_ref().unwrap()[0].clone();
    window.harness.state_mut().state.open_message(hit.chat, hit.message);
    window.until("it is shown", |app| app.state.tree().is_some_and(|tree| !tree.path().is_empty()));
    assert_eq!(window.branch(), ["About fruit", "A rare quince."]);
    // The question precedes both replies, so the branch shown last stays.
    let question = window.harness.state().state.tree().unwrap().path()[0];
    window.harness.state_mut().state.open_message(hit.chat, Some(question));
    assert_eq!(window.branch(), ["About fruit", "A rare quince."]);
    window.write("Search chats", "nowhere to be found");
    window.sees("Nothing found.");
}

#[test]
fn chats_are_exported_and_imported() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::new();
    window.exchange("Keep this", "Kept.");
    let markdown = folder.path().join("chat.md");
    window.key(Modifiers::COMMAND, Key::E);
    window.write("Path", &markdown.display().to_string());
    window.key(Modifiers::NONE, Key::Enter);
    window.sees("The chat was written to");
    assert_eq!(
        std::fs::read_to_string(&markdown).unwrap(),
        "# Keep this\n\n## You\n\nKeep this\n\n## Guide\n\nKept.\n"
    );
    let json = folder.path().join("all.json");
    window.harness.state_mut().state.export(true, json.clone(), false);
    window.until("it is written", |_| json.exists());
    window.press("More");
    window.press("Import chats…");
    window.write("Path", &json.display().to_string());
    window.press("Import");
    window.sees("One chat was imported.");
    window.until("it is shown", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 2));
    assert_eq!(window.branch(), ["Keep this", "Kept."]);
    assert_eq!(window.harness.state().state.visible_chats().len(), 2);
}

#[test]
fn exports_have_a_name_and_content() {
    let mut window = Window::new();
    window.key(Modifiers::COMMAND, Key::E);
    window.sees("There is nothing to export yet.");
    window.exchange("???", "Yes?");
    window.key(Modifiers::COMMAND, Key::E);
    let path = window.harness.get_by_label("Path").value().unwrap_or_default();
    assert!(path.ends_with("Chat.md"), "{path}");
}

#[test]
fn the_system_prompt_of_an_empty_chat_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(path.clone()));
        window.until("it is open", |app| app.state.opened.is_some());
        window.harness.state_mut().state.set_system("Answer in verse.".into());
    }
    let mut window = Window::over(Some(path));
    window.until("it is open", |app| app.state.opened.is_some());
    assert_eq!(window.harness.state().state.open().unwrap().system, "Answer in verse.");
}

#[test]
fn an_unfinished_edit_is_restored_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(path.clone()));
        window.exchange("A question", "Yes");
        window.key(Modifiers::NONE, Key::ArrowUp);
        window.write("Edit the message", "A question, better put");
    }
    for _ in 0..2 {
        let mut window = Window::over(Some(path.clone()));
        window.press("A question");
        window.until("it is read", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 2));
        window.key(Modifiers::NONE, Key::ArrowUp);
        assert_eq!(window.harness.state().state.editing.as_ref().unwrap().1, "A question, better put");
    }
    let mut window = Window::over(Some(path.clone()));
    window.press("A question");
    window.until("it is read", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 2));
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.press("Cancel");
    drop(window);
    let mut window = Window::over(Some(path));
    window.press("A question");
    window.until("it is read", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 2));
    window.key(Modifiers::NONE, Key::ArrowUp);
    assert_eq!(window.harness.state().state.editing.as_ref().unwrap().1, "A question");
}

#[test]
fn the_edits_of_a_deleted_chat_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(path.clone()));
        window.until("it is open", |app| app.state.opened.is_some());
        window.exchange("A chat that stays", "Yes");
        window.key(Modifiers::NONE, Key::ArrowUp);
        window.write("Edit the message", "A thought that stays");
        window.key(Modifiers::NONE, Key::Escape);
        window.key(Modifiers::COMMAND, Key::N);
        window.exchange("A chat that goes", "Yes");
        window.key(Modifiers::NONE, Key::ArrowUp);
        window.write("Edit the message", "A thought that goes");
        window.key(Modifiers::NONE, Key::Escape);
        let state = &mut window.harness.state_mut().state;
        state.delete(state.open_id());
        state.empty_trash();
    }
    let store = Store::open(Some(path), Arc::new(|| {}));
    let event = loop {
        match store.event() {
            Some(event) => break event,
            None => std::thread::sleep(std::time::Duration::from_millis(2)),
        }
    };
    let StoreEvent::Opened { values, .. } = event else { panic!() };
    let edits = &values["edits"];
    assert!(edits.contains("A thought that stays") && !edits.contains("A thought that goes"), "{edits}");
}

/// A dropped file.
#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("not read through egui".into())
    }
}

#[test]
fn dropped_files_are_opened_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note.rs");
    std::fs::write(&note, "fn main() {}\n").unwrap();
    let mut window = Window::new();
    window.harness.input_mut().dropped_files.push(Arc::new(Dropped(note)));
    window.settle();
    let attached = window.harness.state().state.attachments()[0].clone();
    assert_eq!((attached.name.as_str(), attached.text.as_str()), ("note.rs", "fn main() {}\n"));
    let model = folder.path().join("gemma.gguf");
    window.harness.input_mut().dropped_files.push(Arc::new(Dropped(model.clone())));
    window.settle();
    let script = window.script();
    let load = script.commands.iter().rev().find_map(|command| match command {
        Command::Load(load) => load.model.clone(),
        _ => None,
    });
    assert_eq!(load, Some(model));
}

#[test]
fn a_folder_of_models_is_added_and_removed() {
    let mut window = Window::new();
    window.key(Modifiers::COMMAND, Key::M);
    window.press("Add a folder of models…");
    window.write("Path", "/models/of/another");
    window.press("Add");
    window.sees("/models/of/another");
    let changed = |window: &Window| {
        let script = window.script();
        let folder = |command: &Command| match command {
            Command::ChangeModelFolder { folder, adds } => Some((folder.display().to_string(), *adds)),
            _ => None,
        };
        script.commands.iter().filter_map(folder).collect::<Vec<_>>()
    };
    assert_eq!(changed(&window), [("/models/of/another".to_owned(), true)]);
    window.press("Remove /models/of/another");
    assert_eq!(changed(&window).last(), Some(&("/models/of/another".to_owned(), false)));
    assert!(window.harness.state().state.model_folders.is_empty());
}
