//! The model for other programs.

use lapidary_app::ui::SettingsPage;
use lapidary_app::worker::{Command, Event};

use crate::script::Window;

fn with_page() -> Window {
    let mut window = Window::new();
    window.harness.state_mut().show_settings(SettingsPage::Serving);
    window.settle();
    window
}

#[test]
fn the_model_is_served_as_the_settings_say() {
    let mut window = with_page();
    assert!(
        !window.script().commands.iter().any(|command| matches!(command, Command::Serve(_))),
        "nobody asked for it"
    );
    assert!(!window.shows("Key of the server"));
    window.press("Serve the model");
    window.sees("http://127.0.0.1:8080/v1");
    window.sees("Programs need no key.");
    window.script().push(Event::Answered("GET /v1/models 200".into()));
    window.sees("GET /v1/models 200");
    // A new key is for a new start.
    window.write("Key of the server", "open sesame");
    window.press("Save the key of the server");
    assert!(!window.script().has_serving_key, "a key has no spaces");
    window.write("Key of the server", "sesame");
    window.press("Save the key of the server");
    window.sees("Programs need the key that you saved.");
    window.press("Remove the key of the server");
    window.sees("Programs need no key.");
    window.press("Serve the model");
    assert!(!window.shows("http://127.0.0.1:8080/v1"));
    let served = |command: &Command| if let Command::Serve(port) = command { Some(*port) } else { None };
    let ports: Vec<Option<u16>> = window.script().commands.iter().filter_map(served).collect();
    assert_eq!(ports, [Some(8080), Some(8080), Some(8080), None]);
}

#[test]
fn why_it_cannot_be_served_is_said() {
    let mut window = with_page();
    window.press("Serve the model");
    window.script().push(Event::Serving(Err("Cannot listen at 127.0.0.1:8080.".into())));
    window.sees("Cannot listen at 127.0.0.1:8080.");
    window.script().push(Event::Serving(Ok(None)));
    window.sees("It begins as soon as a model is loaded.");
}
