//! The library of prompts.

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use lapidary_app::settings::SavedPrompt;
use lapidary_app::ui::SettingsPage;

use crate::script::Window;

fn with_prompts() -> Window {
    let mut window = Window::new();
    let prompt = |name: &str, text: &str| SavedPrompt { name: name.into(), text: text.into() };
    window.harness.state_mut().state.settings.prompts = vec![
        prompt("Translate", "Translate this into French:"),
        prompt("Shorter", "Say it in one sentence."),
        prompt("Short story", "Tell a story of ten lines."),
    ];
    window.settle();
    window
}

#[test]
fn a_slash_finds_prompts_which_the_keys_insert() {
    let mut window = with_prompts();
    window.write("Message", "/");
    assert!(window.shows("Translate") && window.shows("Short story"));
    window.write("Message", "/sho");
    assert!(!window.shows("Translate") && window.shows("Shorter"));
    window.key(Modifiers::NONE, Key::ArrowDown);
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.harness.state().state.draft(), "Tell a story of ten lines.");
    assert!(!window.shows("Shorter"), "the list is closed");
    // What is typed next comes after it.
    window.harness.get_by_label("Message").type_text(" Now.");
    window.settle();
    assert_eq!(window.harness.state().state.draft(), "Tell a story of ten lines. Now.");
    window.write("Message", "/french");
    window.key(Modifiers::NONE, Key::Tab);
    assert_eq!(window.harness.state().state.draft(), "Translate this into French:", "texts are searched too");
    window.write("Message", "/short");
    window.harness.get_by_label_contains("Shorter").click();
    window.settle();
    assert_eq!(window.harness.state().state.draft(), "Say it in one sentence.");
}

#[test]
fn escape_closes_the_list_and_a_slash_without_a_prompt_is_sent() {
    let mut window = with_prompts();
    window.write("Message", "/short");
    window.key(Modifiers::NONE, Key::Escape);
    assert!(!window.shows("Shorter"));
    window.exchange("/short", "Yes.");
    assert_eq!(window.branch(), ["/short", "Yes."], "Enter sends while the list is closed");
    window.exchange("/etc/hosts is what?", "A file.");
    assert_eq!(window.branch().len(), 4);
}

#[test]
fn prompts_are_saved_from_the_field_and_edited_in_the_settings() {
    let mut window = Window::new();
    window.write("Message", "/");
    assert!(window.shows("You have no prompts yet"));
    window.write("Message", "Explain it to a child of five years.");
    window.press("Preset");
    window.press("Save as a prompt…");
    window.write("Name of the prompt", "Simply");
    window.key(Modifiers::NONE, Key::Enter);
    let prompts = |window: &Window| window.harness.state().state.settings.prompts.clone();
    let saved = SavedPrompt { name: "Simply".into(), text: "Explain it to a child of five years.".into() };
    assert_eq!(prompts(&window), [saved]);
    window.harness.state_mut().show_settings(SettingsPage::Prompts);
    window.settle();
    window.write("Text of the prompt 1", "Explain it simply.");
    window.press("Add a prompt");
    window.write("Name of the prompt 2", "Second");
    assert_eq!(
        (prompts(&window)[0].text.as_str(), prompts(&window)[1].name.as_str()),
        ("Explain it simply.", "Second")
    );
    window.press("Remove the prompt Simply");
    assert_eq!(prompts(&window).len(), 1);
}
