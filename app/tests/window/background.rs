//! What happens while the window is in the background.

use std::cell::RefCell;
use std::rc::Rc;

use crate::script::Window;

type Notes = Rc<RefCell<Vec<(String, String)>>>;

/// A window whose notes of the desktop are collected, with or without the focus.
fn with_notes(focused: bool) -> (Window, Notes) {
    let mut window = Window::new();
    window.harness.state_mut().state.settings.model_titles = false;
    let notes = Notes::default();
    let shown = notes.clone();
    window.harness.state_mut().show_desktop_notes(move |title, text| {
        shown.borrow_mut().push((title.to_owned(), text.to_owned()));
    });
    window.script().bytes_per_event = 0;
    window.script().replies.push_back("Yes.".into());
    window.send("Fruit");
    window.harness.input_mut().focused = focused;
    window.harness.input_mut().events.push(egui::Event::WindowFocused(focused));
    window.settle();
    (window, notes)
}

#[test]
fn the_end_of_a_reply_is_told_in_the_background() {
    let (mut window, notes) = with_notes(false);
    assert!(notes.borrow().is_empty(), "the reply goes on");
    window.release_reply();
    assert_eq!(*notes.borrow(), [("Fruit".to_owned(), "The reply is complete.".to_owned())]);
}

#[test]
fn nothing_is_told_to_whoever_looks_at_the_window() {
    let (mut window, notes) = with_notes(true);
    window.release_reply();
    assert!(notes.borrow().is_empty());
}

#[test]
fn the_notes_can_be_turned_off() {
    let (mut window, notes) = with_notes(false);
    window.harness.state_mut().state.settings.notify_replies = false;
    window.release_reply();
    assert!(notes.borrow().is_empty());
}
