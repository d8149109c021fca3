//! Moving through a chat of several screens.

use egui::{Event, Key, Modifiers};
use egui_kittest::kittest::Queryable;

use crate::script::Window;

const PARAGRAPHS: usize = 60;

/// A reply of several screens, in blocks whose heights are hard to estimate.
fn long() -> String {
    let block = "# A heading\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n";
    (0..PARAGRAPHS).map(|number| format!("Paragraph {number}.\n\n{block}\n")).collect()
}

#[test]
fn page_keys_scroll_without_gaps() {
    let mut window = Window::new();
    window.exchange("One", "First reply");
    window.exchange("Two", &long());
    let seen = |window: &Window| {
        let sight = 60.0..640.0;
        let inside = |number: &usize| {
            let label = format!("Paragraph {number}.");
            let mut labels = window.harness.query_all_by_label(&label);
            labels.any(|node| sight.contains(&node.rect().min.y) && sight.contains(&node.rect().max.y))
        };
        (0..PARAGRAPHS).filter(inside).collect::<Vec<_>>()
    };
    assert!(!window.shows("First reply"));
    let mut all = seen(&window);
    for _ in 0..PARAGRAPHS {
        window.key(Modifiers::NONE, Key::PageUp);
        all.extend(seen(&window));
    }
    all.sort();
    all.dedup();
    assert_eq!(all, (0..PARAGRAPHS).collect::<Vec<_>>());
    assert!(window.shows("First reply"), "the first page is not shown");
    window.key(Modifiers::NONE, Key::PageDown);
    assert!(seen(&window).first().is_some_and(|first| *first > 0));
    window.key(Modifiers::COMMAND, Key::End);
    assert_eq!(seen(&window).last(), Some(&(PARAGRAPHS - 1)));
    window.key(Modifiers::COMMAND, Key::Home);
    assert_eq!(seen(&window).first(), Some(&0));
    // With a draft, these two keys move its cursor.
    window.write("Message", "a thought");
    window.key(Modifiers::COMMAND, Key::End);
    assert_eq!(seen(&window).first(), Some(&0));
}

#[test]
fn tab_moves_past_a_reply_of_several_screens() {
    let mut window = Window::new();
    window.exchange("One", "First reply");
    window.exchange("Two", &long());
    assert!(!window.shows("First reply"));
    for _ in 0..40 {
        window.key(Modifiers::SHIFT, Key::Tab);
        if window.shows("First reply") {
            return;
        }
    }
    panic!("Shift+Tab never came to the first reply");
}

#[test]
fn text_typed_after_up_goes_into_the_edit_of_a_long_chat() {
    let mut window = Window::new();
    window.exchange("One", &long());
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.harness.event(Event::Text("!".into()));
    window.settle();
    assert_eq!(window.harness.state().state.editing.as_ref().unwrap().1, "One!");
    // Also while the edit is scrolled out of sight.
    window.key(Modifiers::NONE, Key::PageDown);
    window.key(Modifiers::NONE, Key::PageDown);
    window.harness.event(Event::Text("?".into()));
    window.settle();
    assert_eq!(window.harness.state().state.editing.as_ref().unwrap().1, "One!?");
    assert_eq!(window.harness.state().state.draft(), "");
    // A left edit is restored at the next one.
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.harness.state().state.editing.is_none());
    window.key(Modifiers::NONE, Key::ArrowUp);
    assert_eq!(window.harness.state().state.editing.as_ref().unwrap().1, "One!?");
    window.press("Cancel");
    window.key(Modifiers::NONE, Key::ArrowUp);
    assert_eq!(window.harness.state().state.editing.as_ref().unwrap().1, "One");
}

/// The paragraphs of a long reply that are drawn.
fn paragraphs(window: &Window) -> Vec<usize> {
    (0..PARAGRAPHS).filter(|number| window.shows(&format!("Paragraph {number}."))).collect()
}

#[test]
fn a_long_chat_opens_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(path.clone()));
        window.exchange("One", "First reply");
        window.exchange("Two", &long());
    }
    let mut window = Window::over(Some(path));
    window.until("the chats are there", |app| !app.state.visible_chats().is_empty());
    window.press("One");
    window.until("its messages are there", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 4));
    window.settle();
    let shown = paragraphs(&window);
    assert!(shown.contains(&(PARAGRAPHS - 1)) && !shown.contains(&0), "{shown:?}");
}

#[test]
fn a_page_key_in_an_empty_chat_has_no_later_effect() {
    let mut window = Window::new();
    window.exchange("One", "First reply");
    window.exchange("Two", &long());
    window.settle();
    let at_the_end = paragraphs(&window);
    assert!(at_the_end.contains(&(PARAGRAPHS - 1)), "{at_the_end:?}");
    window.key(Modifiers::COMMAND, Key::N);
    window.sees("You talk to the built-in guide");
    window.key(Modifiers::NONE, Key::PageUp);
    window.press("One");
    window.until("it is read", |app| app.state.tree().is_some_and(|tree| !tree.path().is_empty()));
    window.settle();
    assert_eq!(paragraphs(&window), at_the_end);
}
