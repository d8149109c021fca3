//! Deleting a message, copying a chat, and queued messages.

use egui::{Key, Modifiers};
use lapidary_app::chats::Status;

use crate::script::{Window, model, user};

/// The ids of the shown branch.
fn path(window: &Window) -> Vec<i64> {
    window.harness.state().state.tree().unwrap().path().to_vec()
}

#[test]
fn a_deleted_message_leaves_the_rest_and_can_be_brought_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chats.sqlite");
    let deleted = {
        let mut window = Window::over(Some(file.clone()));
        window.until("it is open", |app| app.state.opened.is_some());
        window.exchange("One", "First");
        window.exchange("Two", "Second");
        let reply = path(&window)[1];
        window.harness.state_mut().state.delete_message(reply);
        window.settle();
        assert_eq!(window.branch(), ["One", "Two", "Second"]);
        window.exchange("Three", "Third");
        assert_eq!(window.last_turns(), [user("One\n\nTwo"), model("Second"), user("Three")]);
        window.press("Undo");
        assert_eq!(window.branch(), ["One", "First", "Two", "Second", "Three", "Third"]);
        let question = path(&window)[2];
        window.harness.state_mut().state.delete_message(question);
        window.settle();
        question
    };
    let mut window = Window::over(Some(file));
    window.press("One");
    window.until("it is read", |app| app.state.tree().is_some_and(|tree| !tree.path().is_empty()));
    assert_eq!(window.branch(), ["One", "First", "Second", "Three", "Third"]);
    assert!(window.harness.state().state.tree().unwrap().get(deleted).is_none());
}

#[test]
fn a_deleted_message_comes_back_to_its_chat_from_another_one() {
    let mut window = Window::new();
    window.exchange("One", "First");
    let chat = window.harness.state().state.open_id();
    let reply = path(&window)[1];
    window.harness.state_mut().state.delete_message(reply);
    window.key(Modifiers::COMMAND, Key::N);
    window.exchange("Elsewhere", "Yes");
    window.press("Undo");
    assert_eq!(window.harness.state().state.open_id(), chat);
    assert_eq!(window.branch(), ["One", "First"]);
}

#[test]
fn deleting_the_reply_that_is_being_written_stops_it() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    window.send("Talk");
    let reply = path(&window)[1];
    window.harness.state_mut().state.delete_message(reply);
    window.settle();
    assert!(window.harness.state().state.reply().is_none());
    assert_eq!(window.branch(), ["Talk"]);
    window.press("Undo");
    let state = &window.harness.state().state;
    assert_eq!(state.tree().unwrap().get(reply).unwrap().status, Status::Stopped);
    // The next message is answered as usual.
    window.script().bytes_per_event = 1 << 20;
    window.exchange("And now?", "Yes.");
    assert_eq!(window.branch().last().unwrap(), "Yes.");
}

#[test]
fn one_queued_message_is_cancelled_and_the_others_stay() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    for text in ["One", "Two", "Three"] {
        window.send(text);
    }
    let second = path(&window)[2];
    assert!(window.harness.state().state.is_queued(second));
    window.harness.state_mut().state.cancel_queued(second);
    window.settle();
    window.release_reply();
    window.until("all is answered", |app| app.state.tree().unwrap().path().len() == 4 && app.state.reply().is_none());
    assert_eq!(window.branch(), ["One", "Yes.", "Three", "Yes."]);
    window.press("Undo");
    assert!(window.branch().contains(&"Two".to_owned()));
}

#[test]
fn an_edited_queued_message_is_sent_as_edited() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    window.send("One");
    window.send("Two");
    let second = path(&window)[2];
    let state = &mut window.harness.state_mut().state;
    state.edit(second);
    state.editing = Some((second, "Two, better put".into()));
    state.finish_edit();
    window.settle();
    window.release_reply();
    window.until("all is answered", |app| app.state.tree().unwrap().path().len() == 4 && app.state.reply().is_none());
    assert_eq!(window.last_turns(), [user("One"), model("Yes."), user("Two, better put")]);
    assert_eq!(window.harness.state().state.tree().unwrap().messages().count(), 4, "no branch was made");
}

#[test]
fn a_chat_is_copied_up_to_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(file.clone()));
        window.until("it is open", |app| app.state.opened.is_some());
        window.harness.state_mut().state.set_system("Be brief.".into());
        window.exchange("One", "First");
        window.exchange("Two", "Second");
        let first = window.harness.state().state.open_id();
        let reply = path(&window)[1];
        window.harness.state_mut().state.fork(reply);
        window.settle();
        let state = &window.harness.state().state;
        assert_ne!(state.open_id(), first);
        assert_eq!(state.open().unwrap().system, "Be brief.");
        assert_eq!(window.branch(), ["One", "First"]);
        window.exchange("Another way", "Third");
        window.harness.state_mut().state.open_chat(first);
        assert_eq!(window.branch(), ["One", "First", "Two", "Second"]);
    }
    let mut window = Window::over(Some(file));
    window.press("One (copy)");
    window.until("it is read", |app| app.state.tree().is_some_and(|tree| !tree.path().is_empty()));
    assert_eq!(window.branch(), ["One", "First", "Another way", "Third"]);
}

#[test]
fn pinned_chats_stay_first_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(file.clone()));
        window.until("it is open", |app| app.state.opened.is_some());
        window.exchange("Old", "Yes");
        let old = window.harness.state().state.open_id();
        window.key(Modifiers::COMMAND, Key::N);
        window.exchange("New", "Yes");
        window.harness.state_mut().state.pin(old, true);
    }
    let mut window = Window::over(Some(file));
    window.sees("New");
    let state = &window.harness.state().state;
    let listing = state.listed_chats();
    let groups = listing.pinned.iter().chain(&listing.dates);
    let titles: Vec<_> = groups.map(|group| (group.heading.as_str(), group.chats[0].title.as_str())).collect();
    assert_eq!(titles, [("Pinned", "Old"), ("Today", "New")]);
}
