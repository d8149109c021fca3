//! The appearance and accessibility of the window. Screenshots are compared on one platform: Linux with Mesa's software
//! adapter.

use egui::{Key, Modifiers};
use lapidary_app::ui::{Dialog, SettingsPage};

use crate::script::Window;

const TALK: &str = "Drop a `.gguf` file on the window, or press **Ctrl+O**.\n\n| size | memory |\n|---|---|\n| 2B | 2.7 GB |\n| 9B | 6.9 \
    GB |\n\n```rust\nlet engine = Engine::builder(\"model\").build_blocking()?;\n```\n\nThe cap is $50 \\tanh(x / 50)$.";

/// Every control has an accessible name.
#[test]
fn every_control_has_a_name() {
    let mut window = Window::new();
    let check = |window: &mut Window, place: &str| {
        window.settle();
        let unnamed = window.harness.unnamed_widgets();
        assert!(unnamed.is_empty(), "{place}: {unnamed:?}");
    };
    check(&mut window, "an empty chat");
    window.exchange("How?", TALK);
    check(&mut window, "a chat");
    for page in [
        SettingsPage::General,
        SettingsPage::Appearance,
        SettingsPage::ChatDefaults,
        SettingsPage::Prompts,
        SettingsPage::Hardware,
        SettingsPage::Serving,
        SettingsPage::Privacy,
        SettingsPage::Keyboard,
        SettingsPage::Developer,
        SettingsPage::About,
    ] {
        window.harness.state_mut().show_settings(page);
        check(&mut window, &format!("the settings, {page:?}"));
    }
    window.key(Modifiers::NONE, Key::Escape);
    window.harness.state_mut().rail = true;
    check(&mut window, "the settings of the chat");
    window.key(Modifiers::COMMAND, Key::K);
    check(&mut window, "the palette");
    window.key(Modifiers::NONE, Key::Escape);
    window.key(Modifiers::COMMAND, Key::F);
    check(&mut window, "finding");
    window.key(Modifiers::NONE, Key::Escape);
    window.press("More");
    check(&mut window, "the menu");
    window.key(Modifiers::NONE, Key::Escape);
    window.key(Modifiers::COMMAND, Key::M);
    check(&mut window, "models");
    window.key(Modifiers::COMMAND, Key::M);
    window.key(Modifiers::COMMAND, Key::O);
    check(&mut window, "a path");
    window.key(Modifiers::NONE, Key::Escape);
    window.harness.state_mut().dialog = Some(Dialog::Connect);
    window.harness.state_mut().state.find_server("lab.example", "");
    check(&mut window, "connecting to a server");
    window.key(Modifiers::NONE, Key::Escape);
    window.press("Alternatives");
    window.press("Drop");
    check(&mut window, "alternatives");
    window.key(Modifiers::NONE, Key::Escape);
    window.press_last("Edit");
    check(&mut window, "an edit");
}

/// Compares screenshots with those in `app/tests/snapshots`. Other drivers draw edges slightly differently, so only the
/// driver that drew the snapshots is tested. `UPDATE_SNAPSHOTS=1` draws them again.
#[test]
fn screenshots_match() {
    let adapters = lapidary_engine::gpu::adapters_blocking();
    if !adapters.iter().any(|adapter| adapter.get_info().driver_info.starts_with("Mesa 22.3")) {
        eprintln!("not on Mesa 22.3's software adapter, so screenshots are not compared");
        return;
    }
    let mut window = Window::new();
    // A cursor that blinks is not in every picture.
    window.harness.state_mut().state.settings.reduced_motion = true;
    window.settle();
    window.harness.snapshot("empty");
    window.exchange("How do I open a model?", TALK);
    window.until("the code has its colours", |app| !app.is_highlighting());
    window.harness.state_mut().state.notices.clear();
    window.settle();
    window.harness.snapshot("chat");
    window.harness.state_mut().state.settings.theme = lapidary_app::settings::Theme::Light;
    window.key(Modifiers::COMMAND, Key::Comma);
    window.harness.snapshot("settings_light");
}

#[test]
fn shortcuts_about_and_privacy_are_shown() {
    let mut window = Window::new();
    window.key(Modifiers::COMMAND, Key::Slash);
    window.sees("Shift+Enter");
    window.press_last("Close");
    assert!(!window.shows("Shift+Enter"));
    for (name, text) in [("About", "MIT or Apache-2.0"), ("Privacy", "huggingface.co")] {
        window.press("More");
        window.press(name);
        window.sees(text);
        window.key(Modifiers::NONE, Key::Escape);
        assert!(!window.shows(text));
    }
}

#[test]
fn keys_change_the_zoom_within_bounds() {
    let mut window = Window::new();
    window.key(Modifiers::COMMAND, Key::Plus);
    assert!((window.harness.state().state.settings.zoom - 1.1).abs() < 1e-3);
    for _ in 0..40 {
        window.key(Modifiers::COMMAND, Key::Minus);
    }
    assert!((window.harness.state().state.settings.zoom - 0.5).abs() < 1e-3);
    window.key(Modifiers::COMMAND, Key::Num0);
    assert_eq!(window.harness.state().state.settings.zoom, 1.0);
}
