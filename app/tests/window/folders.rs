//! Folders of chats, and chats that are selected together.

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use lapidary_app::chats::Id;

use crate::script::Window;

/// A window with these chats, the last of which is open and the first of the list.
fn with_chats(titles: &[&str]) -> Window {
    let mut window = Window::new();
    window.harness.state_mut().state.settings.model_titles = false;
    for title in titles {
        window.key(Modifiers::COMMAND, Key::N);
        window.exchange(title, "Yes.");
    }
    window
}

/// The titles in the list that are seen, from the top.
fn listed(window: &Window) -> Vec<String> {
    let state = &window.harness.state().state;
    let title = |id: &Id| state.chat(*id).unwrap().title.clone();
    state.listed_chats().seen().iter().map(title).collect()
}

/// Clicks a chat of the list while keys are held.
fn click_with(window: &mut Window, modifiers: Modifiers, title: &str) {
    window.harness.get_all_by_label(title).next().unwrap().click_modifiers(modifiers);
    window.settle();
}

#[test]
fn several_chats_are_deleted_and_brought_back_together() {
    let mut window = with_chats(&["One", "Two", "Three", "Four"]);
    click_with(&mut window, Modifiers::COMMAND, "One");
    click_with(&mut window, Modifiers::SHIFT, "Three");
    assert!(window.shows("3 selected"), "a range from One to Three");
    click_with(&mut window, Modifiers::NONE, "Two");
    assert!(window.shows("2 selected"), "a click while chats are selected marks one, or no longer");
    window.press("Delete the selected chats");
    assert_eq!(listed(&window), ["Four", "Two"]);
    assert!(!window.shows("selected"));
    window.sees("2 chats are in the trash.");
    window.press("Undo");
    assert_eq!(listed(&window), ["Four", "Three", "Two", "One"]);
}

#[test]
fn the_keyboard_selects_pins_and_leaves() {
    let mut window = with_chats(&["One", "Two"]);
    window.press("Menu of One");
    window.press("Select…");
    assert!(window.shows("1 selected"));
    window.harness.get_all_by_label("Two").next().unwrap().focus();
    window.settle();
    window.key(Modifiers::COMMAND, Key::Enter);
    assert!(window.shows("2 selected"));
    window.press("Pin the selected chats");
    let state = &window.harness.state().state;
    assert!(state.visible_chats().iter().all(|chat| chat.pinned));
    window.key(Modifiers::NONE, Key::Escape);
    assert!(!window.shows("selected"), "Escape selects none");
}

#[test]
fn the_selected_chats_are_exported_to_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("some.json");
    let mut window = with_chats(&["One", "Two", "Three"]);
    click_with(&mut window, Modifiers::COMMAND, "One");
    click_with(&mut window, Modifiers::COMMAND, "Three");
    window.press("Export the selected chats");
    window.write("Path", file.to_str().unwrap());
    window.press("Save");
    window.sees("2 chats were written");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("\"One\"") && text.contains("\"Three\"") && !text.contains("\"Two\""));
}

#[test]
fn chats_are_moved_to_folders_which_open_and_close() {
    let mut window = with_chats(&["One", "Two", "Three"]);
    window.press("Menu of Two");
    window.press("Move to a folder…");
    window.write("Name of the new folder", "Work");
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(listed(&window), ["Two", "Three", "One"], "folders come before the dates");
    click_with(&mut window, Modifiers::COMMAND, "One");
    window.press("Move the selected chats to a folder");
    window.press("Work");
    assert!(window.shows("Folder Work, 2 chats") && !window.shows("selected"));
    window.press("Folder Work, 2 chats");
    assert_eq!(listed(&window), ["Three"], "a closed folder hides its chats");
    window.script().replies.push_back("x".into());
    window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::F);
    window.write("Search chats", "Two");
    window.until("it is found", |app| app.state.search.hits.as_ref().is_some_and(|hits| !hits.is_empty()));
}

#[test]
fn folders_are_renamed_and_their_chats_outlive_them() {
    let mut window = with_chats(&["One", "Two"]);
    let state = &mut window.harness.state_mut().state;
    let folder = state.add_folder("Work").unwrap();
    assert_eq!((state.add_folder(" Work "), state.add_folder(" ")), (Some(folder), None), "a name is used once");
    let chats: Vec<Id> = state.visible_chats().iter().map(|chat| chat.id).collect();
    state.move_chats(&chats, Some(folder));
    window.settle();
    window.press("Menu of the folder Work");
    window.press("Rename the folder");
    window.write("Name", "Home");
    window.key(Modifiers::NONE, Key::Enter);
    assert!(window.shows("Folder Home, 2 chats"));
    window.press("Menu of the folder Home");
    window.press("Delete the folder");
    assert!(!window.shows("Folder Home"));
    assert_eq!(listed(&window), ["Two", "One"]);
}

#[test]
fn a_chat_is_dragged_into_a_folder_and_out_of_it() {
    let mut window = with_chats(&["One", "Two"]);
    let folder = window.harness.state_mut().state.add_folder("Work").unwrap();
    window.settle();
    let drag = |window: &mut Window, from: &str, to: &str| {
        let from = window.harness.get_all_by_label(from).next().unwrap().rect().center();
        let to = window.harness.get_all_by_label(to).next().unwrap().rect().center();
        window.harness.drag_at(from);
        window.settle();
        window.harness.hover_at(to);
        window.settle();
        window.harness.drop_at(to);
        window.settle();
    };
    drag(&mut window, "One", "Folder Work, 0 chats");
    let of = |window: &Window, title: &str| {
        let state = &window.harness.state().state;
        state.visible_chats().into_iter().find(|chat| chat.title == title).unwrap().folder
    };
    assert_eq!((of(&window, "One"), of(&window, "Two")), (Some(folder), None));
    drag(&mut window, "One", "Today");
    assert_eq!(of(&window, "One"), None);
}
