//! Edits, other replies and alternatives make branches of a chat.

use egui::{Event, Key, Modifiers};
use egui_kittest::kittest::Queryable;
use lapidary_app::worker::{Command, Event as WorkerEvent, NextToken, Overflow};

use crate::script::{Window, model, user};

#[test]
fn an_edit_makes_a_branch_and_both_can_be_shown() {
    let mut window = Window::new();
    window.exchange("One", "First reply");
    window.exchange("Two", "Second reply");
    // Up edits the last message if the draft is empty.
    window.harness.get_by_label("Message").focus();
    window.settle();
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.write("Edit the message", "Two, but better");
    window.key(Modifiers::NONE, Key::Enter);
    window.until("it is answered", |app| app.state.reply().is_none());
    assert_eq!(window.branch(), ["One", "First reply", "Two, but better", "Yes."]);
    assert!(window.shows("2/2"));
    window.press("Previous branch");
    assert_eq!(window.branch(), ["One", "First reply", "Two", "Second reply"]);
    window.press("Next branch");
    assert_eq!(window.branch()[2], "Two, but better");
    // A reply can be edited too, and gets no answer.
    window.press_last("Edit");
    window.write("Edit the message", "No.");
    window.press("Save");
    assert_eq!(window.branch()[3], "No.");
    assert!(window.harness.state().state.reply().is_none());
}

#[test]
fn regenerating_keeps_the_old_reply() {
    let mut window = Window::new();
    window.exchange("Name one", "An apple.");
    window.script().replies.push_back("A pear.".into());
    window.press("Regenerate");
    window.until("there is another", |app| app.state.reply().is_none());
    assert_eq!(window.branch(), ["Name one", "A pear."]);
    assert_eq!(window.last_turns(), [user("Name one")]);
    window.press("Previous branch");
    assert_eq!(window.branch(), ["Name one", "An apple."]);
}

#[test]
fn a_queued_reply_does_not_switch_the_shown_branch() {
    let mut window = Window::new();
    window.exchange("one", "first");
    window.press("Regenerate");
    window.until("there is another", |app| app.state.reply().is_none());
    window.script().bytes_per_event = 0;
    window.send("more");
    let state = &mut window.harness.state_mut().state;
    let replies: Vec<_> = state.tree().unwrap().path().to_vec();
    state.regenerate(replies[1]);
    state.show_sibling(replies[1], -1);
    assert_eq!(window.branch(), ["one", "first"]);
    window.release_reply();
    window.until("both are answered", |app| {
        app.state.tree().unwrap().messages().count() == 6 && app.state.reply().is_none()
    });
    assert_eq!(window.branch(), ["one", "first"]);
    window.sees("1/3");
}

#[test]
fn alternatives_are_shown_and_branched_from() {
    let mut window = Window::new();
    window.exchange("Say it", "the cat sat");
    window.script().alternatives = vec![
        (NextToken::Text(" cat".into()), 0.6),
        (NextToken::Text(" dog".into()), 0.2),
        (NextToken::NonText("<0xE2>".into()), 0.1),
        (NextToken::End, 0.1),
    ];
    window.press("Alternatives");
    window.press("cat");
    window.sees("Branch with “ dog”");
    let asked = window.script().commands.iter().rev().find_map(|command| match command {
        Command::Alternatives { turns, .. } => Some(turns.clone()),
        _ => None,
    });
    assert_eq!(asked.unwrap(), [user("Say it"), model("the")]);
    window.script().replies.push_back(" ran".into());
    window.press("Branch with “ dog”");
    window.until("it goes on", |app| app.state.reply().is_none());
    assert_eq!(window.branch(), ["Say it", "the dog ran"]);
    assert_eq!(window.last_turns(), [user("Say it"), model("the dog")]);
    window.press("Previous branch");
    assert_eq!(window.branch(), ["Say it", "the cat sat"]);
    // A late answer for another position is ignored.
    window.press("Alternatives");
    window.press("sat");
    let asked = window.harness.state().state.alternatives.clone().unwrap();
    let late =
        WorkerEvent::Alternatives { message: asked.message, at: 0, list: Ok(vec![(NextToken::Text("A".into()), 1.0)]) };
    window.script().push(late);
    window.settle();
    assert_eq!(window.harness.state().state.alternatives.clone().unwrap().list.unwrap().unwrap().len(), 4);
}

#[test]
fn a_reply_below_a_deleted_question_has_alternatives_and_is_not_regenerated() {
    let mut window = Window::new();
    window.exchange("One", "First");
    window.exchange("Two", "Second");
    let path: Vec<_> = window.harness.state().state.tree().unwrap().path().to_vec();
    assert_eq!(window.harness.get_all_by_label("Regenerate").count(), 2);
    window.harness.state_mut().state.delete_message(path[2]);
    window.settle();
    assert_eq!(window.branch(), ["One", "First", "Second"]);
    assert_eq!(window.harness.get_all_by_label("Regenerate").count(), 1, "that of the first reply");
    let asked = |window: &Window| {
        let script = window.script();
        script.commands.iter().filter(|command| matches!(command, Command::Generate { .. })).count()
    };
    let before = asked(&window);
    window.harness.state_mut().state.regenerate(path[3]);
    window.settle();
    assert_eq!(asked(&window), before);
    assert_eq!(window.branch(), ["One", "First", "Second"]);
    // The place is a byte of this reply, which the prompt joins to the one before.
    window.harness.state_mut().state.request_alternatives(path[3], 3);
    let script = window.script();
    let Some(Command::Alternatives { turns, at: 3, .. }) = script.commands.last() else {
        panic!("none were asked for")
    };
    assert_eq!(*turns, [user("One"), model("First\n\nSec")]);
}

#[test]
fn continuing_a_reply_that_is_followed_makes_a_branch() {
    let mut window = Window::new();
    window.harness.state_mut().state.settings.overflow = Overflow::DropOldest;
    window.exchange("One", "First");
    window.exchange("Two", "Second");
    window.script().bytes_per_event = 0;
    window.script().replies.push_back(" and more".into());
    window.press("Continue");
    let first = window.harness.state().state.tree().unwrap().path()[1];
    // A second request is ignored.
    window.harness.state_mut().state.continue_reply(first, Overflow::Ask);
    window.release_reply();
    assert_eq!(window.branch(), ["One", "First and more"]);
    let script = window.script();
    let asked: Vec<_> = script.commands.iter().filter(|command| matches!(command, Command::Generate { .. })).collect();
    assert_eq!(asked.len(), 3);
    assert!(matches!(asked[2], Command::Generate { overflow: Overflow::DropOldest, .. }), "{:?}", asked[2]);
    drop(script);
    window.press("Previous branch");
    assert_eq!(window.branch(), ["One", "First", "Two", "Second"]);
}

#[test]
fn typed_text_reaches_the_draft_if_the_edit_is_on_another_branch() {
    let mut window = Window::new();
    window.exchange("One", "First reply");
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.write("Edit the message", "Uno");
    window.key(Modifiers::NONE, Key::Enter);
    window.until("it is answered", |app| app.state.reply().is_none());
    window.key(Modifiers::NONE, Key::ArrowUp);
    let edited = window.harness.state().state.tree().unwrap().path()[0];
    window.harness.state_mut().state.show_sibling(edited, -1);
    window.settle();
    assert_eq!(window.branch(), ["One", "First reply"]);
    window.harness.event(Event::Text("a".into()));
    window.settle();
    assert_eq!(window.harness.state().state.draft(), "a");
    assert_eq!(window.harness.state().state.editing.as_ref().unwrap().1, "Uno");
}
