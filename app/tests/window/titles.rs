//! Titles that the model writes.

use egui::{Key, Modifiers};
use lapidary_app::chats::Role;
use lapidary_app::worker::Command;

use crate::script::Window;

/// A window with a model that is not the guide.
fn window() -> Window {
    let mut window = Window::new();
    window.harness.state_mut().state.load_model(Some("/models/real.gguf".into()));
    window.until("it is loaded", |app| app.state.loaded().is_some_and(|loaded| !loaded.is_guide()));
    window
}

fn title(window: &Window) -> String {
    window.harness.state().state.open().unwrap().title.clone()
}

/// How often a title was asked for.
fn asked(window: &Window) -> usize {
    let is_title = |turns: &[(Role, String)]| turns.last().is_some_and(|(_, text)| text.starts_with("Write a title"));
    let script = window.script();
    script
        .commands
        .iter()
        .filter(|command| matches!(command, Command::Generate { turns, .. } if is_title(turns)))
        .count()
}

#[test]
fn the_model_writes_the_title_after_the_first_exchange() {
    let mut window = window();
    window.script().replies.extend(["They ripen late.".into(), "\"Ripe pears\"".into()]);
    window.send("When are pears ripe, and how do I see it?");
    window.until("it has a title", |app| app.state.open().unwrap().title == "Ripe pears");
    window.exchange("And quinces?", "Later still.");
    assert_eq!((title(&window).as_str(), asked(&window)), ("Ripe pears", 1));
    assert_eq!(window.branch().len(), 4, "the title is no message");
}

#[test]
fn the_guide_and_a_setting_leave_the_first_line() {
    let mut guide = Window::new();
    guide.exchange("What are you?", "A guide.");
    guide.settle();
    assert_eq!((title(&guide).as_str(), asked(&guide)), ("What are you?", 0));
    let mut window = window();
    window.harness.state_mut().state.settings.model_titles = false;
    window.exchange("What are you?", "A model.");
    window.settle();
    assert_eq!((title(&window).as_str(), asked(&window)), ("What are you?", 0));
}

#[test]
fn a_title_given_by_the_user_stays() {
    let mut window = window();
    window.script().replies.push_back("Late.".into());
    window.script().bytes_per_event = 0;
    window.send("When are pears ripe?");
    let chat = window.harness.state().state.open_id();
    window.harness.state_mut().state.rename(chat, "Mine");
    window.release_reply();
    window.settle();
    assert_eq!((title(&window).as_str(), asked(&window)), ("Mine", 0));
    // Also if it is given while the model writes one.
    window.key(Modifiers::COMMAND, Key::N);
    window.exchange("And quinces?", "Later.");
    window.script().bytes_per_event = 0;
    window.until("a title is asked for", |_| true);
    let chat = window.harness.state().state.open_id();
    window.harness.state_mut().state.rename(chat, "Mine too");
    window.script().bytes_per_event = 1 << 20;
    window.settle();
    assert_eq!(title(&window), "Mine too");
}

#[test]
fn a_message_does_not_wait_for_a_title() {
    let mut window = window();
    window.script().replies.extend(["Late.".into(), "A title that takes long".into(), "Later.".into()]);
    window.script().replies.push_back("Ripe pears".into());
    window.script().bytes_per_event = 0;
    window.send("When are pears ripe?");
    let reply = window.harness.state().state.reply().unwrap().message;
    // Ends the reply, and holds back the title.
    {
        let mut script = window.script();
        script.current_reply = None;
        script.push(lapidary_app::worker::Event::ReplyText(reply, "Late.".into()));
        let (finish, timings) = (Some(lapidary_engine::Finish::Stop), lapidary_engine::Timings::default());
        script.push(lapidary_app::worker::Event::Ended { reply, finish, timings });
    }
    window.until("the reply ends", |app| app.state.reply().is_none());
    assert_eq!(asked(&window), 1);
    window.send("And quinces?");
    let mut commands = window.script().commands.clone();
    commands.retain(|command| !matches!(command, Command::CountTokens(_)));
    let stopped = matches!(commands.as_slice(), [.., Command::Stop, Command::Generate { .. }]);
    assert!(stopped, "{:?}", window.script().commands);
    window.release_reply();
    assert_eq!(window.branch(), ["When are pears ripe?", "Late.", "And quinces?", "Later."]);
    // Once nobody waits, it is asked for again.
    window.until("it has a title", |app| app.state.open().unwrap().title == "Ripe pears");
    assert_eq!(asked(&window), 2);
}
