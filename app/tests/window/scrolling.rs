//! What is visible of a long chat: after sending, while panels open and the zoom changes, and after the button to the end.

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;

use crate::script::Window;

const PARAGRAPHS: usize = 80;

/// A reply of several screens.
fn long(name: &str) -> String {
    let filler = "This sentence fills the line, so that a narrower column breaks it into more lines than a wider one. ";
    (0..PARAGRAPHS).map(|number| format!("{name} {number}.\n\n{}\n\n", filler.repeat(3))).collect()
}

/// The first paragraph that is wholly visible.
fn top(window: &Window, name: &str) -> usize {
    let visible = |number: &usize| {
        let label = format!("{name} {number}.");
        window.harness.query_all_by_label(&label).any(|node| node.rect().min.y > 70.0)
    };
    (0..PARAGRAPHS).find(visible).expect("a paragraph is visible")
}

/// Whether a paragraph is between the bar and the composer.
fn is_visible(window: &Window, label: &str) -> bool {
    let visible = 60.0..640.0;
    window
        .harness
        .query_all_by_label_contains(label)
        .any(|node| visible.contains(&node.rect().min.y) && visible.contains(&node.rect().max.y))
}

#[test]
fn a_reply_is_followed_after_sending_from_the_start_of_the_chat() {
    let mut window = Window::new();
    window.exchange("One", &long("Old"));
    window.key(Modifiers::COMMAND, Key::Home);
    assert!(is_visible(&window, "Old 0."));
    window.exchange("Two", &long("New"));
    assert!(is_visible(&window, &format!("New {}.", PARAGRAPHS - 1)), "the end of the reply is not visible");
}

#[test]
fn scrolling_up_ends_the_following_and_the_button_resumes_it() {
    let mut window = Window::new();
    window.script().bytes_per_event = 400;
    window.script().replies.push_back(long("New"));
    window.send("One");
    window.until("it grows", |app| app.state.tree().unwrap().branch().last().unwrap().text.len() > 6000);
    window.key(Modifiers::NONE, Key::PageUp);
    window.key(Modifiers::NONE, Key::PageUp);
    let before = top(&window, "New");
    window.until("it ends", |app| app.state.reply().is_none());
    assert_eq!(top(&window, "New"), before, "the text that is read moved");
    window.press("To the end");
    assert!(is_visible(&window, &format!("New {}.", PARAGRAPHS - 1)));
}

#[test]
fn what_is_read_stays_when_panels_open_and_the_zoom_changes() {
    let mut window = Window::new();
    window.exchange("One", &long("Old"));
    for _ in 0..8 {
        window.key(Modifiers::NONE, Key::PageUp);
    }
    let before = top(&window, "Old");
    assert!((5..PARAGRAPHS - 10).contains(&before), "{before}");
    for _ in 0..2 {
        window.press("Settings of this chat");
        window.settle();
        assert_eq!(top(&window, "Old"), before, "the panel at the right moved the text");
        window.key(Modifiers::COMMAND, Key::B);
        window.settle();
        assert_eq!(top(&window, "Old"), before, "the list at the left moved the text");
    }
    window.key(Modifiers::COMMAND, Key::B);
    window.key(Modifiers::COMMAND, Key::B);
    for key in [Key::Plus, Key::Plus, Key::Minus, Key::Minus] {
        window.key(Modifiers::COMMAND, key);
        window.settle();
        let now = top(&window, "Old");
        assert!(now.abs_diff(before) <= 1, "the zoom moved the text from {before} to {now}");
    }
}

#[test]
fn finding_in_a_chat_steps_through_the_messages() {
    let mut window = Window::new();
    window.exchange("Where is the quince?", "The quince is first.");
    window.exchange("More", &long("Old"));
    assert!(!is_visible(&window, "The quince is first."));
    window.key(Modifiers::COMMAND, Key::F);
    window.write("Find in this chat", "QUINCE");
    window.sees("2/2");
    assert!(is_visible(&window, "The quince is first."));
    window.press("Next");
    window.sees("1/2");
    window.key(Modifiers::NONE, Key::Escape);
    assert!(!window.shows("1/2"));
}

#[test]
fn the_palette_opens_chats_and_runs_commands() {
    let mut window = Window::new();
    window.exchange("About apples", "Red.");
    window.key(Modifiers::COMMAND, Key::N);
    window.exchange("About pears", "Green.");
    window.key(Modifiers::COMMAND, Key::K);
    window.write("Commands", "apples");
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.branch(), ["About apples", "Red."]);
    window.key(Modifiers::COMMAND, Key::K);
    window.write("Commands", "profil");
    window.key(Modifiers::NONE, Key::Enter);
    window.sees("Measure a token");
}

#[test]
fn enter_in_the_frame_of_the_last_letter_runs_what_was_typed() {
    let mut window = Window::new();
    window.exchange("About apples", "Red.");
    window.key(Modifiers::COMMAND, Key::N);
    window.exchange("About pears", "Green.");
    window.key(Modifiers::COMMAND, Key::K);
    let enter = egui::Event::Key {
        key: Key::Enter,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers: Modifiers::NONE,
    };
    window.harness.input_mut().events.extend([egui::Event::Text("apples".into()), enter]);
    window.settle();
    assert_eq!(window.branch(), ["About apples", "Red."]);
}

#[test]
fn a_long_title_never_hides_the_model() {
    let mut window = Window::new();
    window.harness.state_mut().state.load_model(Some("/models/gemma-3-270m-it-Q4_K_M.gguf".into()));
    window.until("it is loaded", |app| app.state.loaded().is_some_and(|loaded| !loaded.is_guide()));
    window.exchange(&"A very long question that becomes a title. ".repeat(4), "Yes.");
    for (width, zoom) in [(1080.0, 1.0), (1080.0, 2.0), (600.0, 1.0), (420.0, 1.0)] {
        window.harness.state_mut().state.settings.zoom = zoom;
        window.settle();
        window.harness.set_size(egui::vec2(width / zoom, 760.0));
        window.settle();
        let points = width / zoom;
        let pill = window.harness.get_by_label("Model: gemma-3-270m-it-Q4_K_M").rect();
        let menu = window.harness.get_by_label("More").rect();
        assert!(pill.width() >= 78.0 && pill.right() <= menu.left() + 1.0, "{width} at {zoom}: {pill} {menu}");
        assert!(menu.right() <= points, "{width} at {zoom}: {menu}");
    }
}
