//! Replies that are queued after a reply of another chat.

use egui::{Key, Modifiers};

use crate::script::{Window, model, user};

#[test]
fn the_old_reply_is_shown_until_the_new_one_starts() {
    let mut window = Window::new();
    window.with_engine_busy_elsewhere("one", "first");
    let reply = window.harness.state().state.tree().unwrap().path()[1];
    window.press("Regenerate");
    window.sees("queued");
    assert_eq!(window.branch(), ["one", "first"]);
    // A second press does not queue a second reply.
    window.harness.state_mut().state.regenerate(reply);
    window.release_reply();
    window.until("there is another", |app| app.state.tree().unwrap().messages().count() == 3);
    window.until("it ends", |app| app.state.reply().is_none());
    assert_eq!(window.branch(), ["one", "Yes."]);
    assert_eq!(window.harness.state().state.tree().unwrap().messages().count(), 3);
}

#[test]
fn a_message_sent_after_a_queued_reply_follows_it() {
    let mut window = Window::new();
    window.with_engine_busy_elsewhere("one", "first");
    window.press("Regenerate");
    window.send("more");
    assert_eq!(window.branch(), ["one", "first", "more"]);
    window.script().replies.extend(["second".into(), "third".into()]);
    window.release_reply();
    window.until("all are answered", |app| {
        app.state.tree().unwrap().messages().count() == 5 && app.state.reply().is_none()
    });
    assert_eq!(window.branch(), ["one", "second", "more", "third"]);
    assert_eq!(window.last_turns(), [user("one"), model("second"), user("more")]);
}

#[test]
fn escape_does_not_stop_a_reply_of_another_chat() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    window.send("Of the first");
    window.key(Modifiers::COMMAND, Key::N);
    window.send("Of the second");
    window.sees("The reply in “Of the first” comes first.");
    // Escape cancels the queued message of this chat.
    assert!(window.shows("queued"));
    window.key(Modifiers::NONE, Key::Escape);
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.harness.state().state.reply().is_some());
    assert!(!window.shows("queued"));
    window.press("Answer");
    window.release_reply();
    window.until("both are answered", |app| app.state.tree().unwrap().path().len() == 2 && app.state.reply().is_none());
    window.press("Of the first");
    window.until("it is read", |app| app.state.tree().is_some_and(|tree| !tree.path().is_empty()));
    assert_eq!(window.branch(), ["Of the first", "Yes."]);
}

#[test]
fn continuing_a_reply_with_queued_messages_makes_a_branch() {
    let mut window = Window::new();
    window.with_engine_busy_elsewhere("one", "first");
    window.send("more");
    window.script().replies.extend(["second".into(), " and more".into()]);
    window.press("Continue");
    window.release_reply();
    window.until("all is said", |app| app.state.tree().unwrap().messages().count() == 5 && app.state.reply().is_none());
    assert_eq!(window.branch(), ["one", "first and more"]);
    window.press("Previous branch");
    assert_eq!(window.branch(), ["one", "first", "more", "second"]);
}
