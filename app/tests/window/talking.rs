//! Sending messages, the keyboard, settings and models.

use egui::{Event, ImeEvent, Key, Modifiers};
use egui_kittest::kittest::Queryable;
use lapidary_app::chats::Status;
use lapidary_app::worker::{Command, Event as WorkerEvent, Overflow};

use crate::script::{Script, Window, model, user};

#[test]
fn a_reply_is_streamed() {
    let mut window = Window::new();
    window.script().bytes_per_event = 4;
    window.exchange("Is it open?", "It **is** open.");
    assert_eq!(window.branch(), ["Is it open?", "It **is** open."]);
    assert_eq!(window.last_turns(), [user("Is it open?")]);
    window.sees("40 tok/s");
    // The chat has a title.
    assert!(window.shows("Menu of Is it open?"));
    window.exchange("And now?", "Still.");
    assert_eq!(window.last_turns(), [user("Is it open?"), model("It **is** open."), user("And now?")]);
}

#[test]
fn escape_stops_a_reply_which_can_be_continued() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    window.send("Talk");
    let reply = window.harness.state().state.reply().unwrap().message;
    window.script().push(WorkerEvent::ReplyText(reply, "It began ".into()));
    window.sees("It began");
    window.key(Modifiers::NONE, Key::Escape);
    window.until("it stops", |app| app.state.reply().is_none());
    window.sees("Stopped.");
    let said = window.branch()[1].clone();
    assert!(!said.is_empty());
    window.script().bytes_per_event = 1 << 20;
    window.script().replies.push_back("and the rest".into());
    window.press("Continue");
    window.until("it goes on", |app| app.state.reply().is_none());
    assert_eq!(window.branch()[1], format!("{said}and the rest"));
    assert_eq!(window.last_turns().last(), Some(&model(&said)), "the turn was left open");
}

#[test]
fn typed_text_reaches_the_draft_without_the_focus() {
    let mut window = Window::new();
    window.exchange("One", "First reply");
    window.key(Modifiers::NONE, Key::Escape);
    window.harness.event(Event::Text("a".into()));
    window.settle();
    assert_eq!(window.harness.state().state.draft(), "a");
    // Takes the focus away, as a click on text does.
    window.harness.ctx.memory_mut(|memory| memory.focused().map(|id| memory.surrender_focus(id)));
    window.settle();
    window.harness.event(Event::Text("b".into()));
    window.settle();
    assert_eq!(window.harness.state().state.draft(), "ab");
}

#[test]
fn escape_closes_a_menu_without_stopping_the_reply() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    window.send("Talk");
    window.press("More");
    window.sees("Import chats…");
    window.key(Modifiers::NONE, Key::Escape);
    assert!(!window.shows("Import chats…"), "the menu is still open");
    assert!(window.harness.state().state.reply().is_some(), "the reply was stopped too");
    window.key(Modifiers::NONE, Key::Escape);
    window.until("it stops", |app| app.state.reply().is_none());
}

#[test]
fn a_proposed_question_keeps_the_draft() {
    let mut window = Window::new();
    window.write("Message", "I wonder");
    window.press("What is a sliding window?");
    window.until("the reply ends", |app| app.state.reply().is_none());
    assert_eq!(window.branch()[0], "What is a sliding window?");
    assert_eq!(window.harness.state().state.draft(), "I wonder");
}

#[test]
fn messages_sent_during_a_reply_are_queued_in_order() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    window.script().replies.extend(["A".into(), "B".into(), "C".into()]);
    window.send("one");
    window.send("two");
    window.send("three");
    assert!(window.shows("queued"));
    window.release_reply();
    window.until("all are answered", |app| app.state.tree().unwrap().path().len() == 6 && app.state.reply().is_none());
    assert_eq!(window.branch(), ["one", "A", "two", "B", "three", "C"]);
    assert_eq!(window.last_turns().len(), 5);
    let statuses: Vec<_> = window.harness.state().state.tree().unwrap().branch().map(|m| m.status).collect();
    assert_eq!(statuses, [Status::Done; 6]);
}

#[test]
fn a_queued_message_is_edited_in_place() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    window.send("one");
    window.send("teh second");
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.write("Edit the message", "the second");
    window.key(Modifiers::COMMAND, Key::Enter);
    window.release_reply();
    window.until("all are answered", |app| app.state.tree().unwrap().path().len() == 4 && app.state.reply().is_none());
    assert_eq!(window.branch(), ["one", "Yes.", "the second", "Yes."]);
    assert!(!window.shows("1/2"));
}

#[test]
fn a_message_sent_while_the_model_loads_is_answered_later() {
    let script = Script { bytes_per_event: 1 << 20, ..Script::default() };
    let mut window = Window::unloaded(None, script);
    window.send("Early");
    window.until("it is answered", |app| app.state.tree().unwrap().path().len() == 2 && app.state.reply().is_none());
    assert_eq!(window.branch(), ["Early", "Yes."]);
}

#[test]
fn composing_with_an_input_method_never_sends() {
    let mut window = Window::new();
    window.harness.get_by_label("Message").focus();
    window.settle();
    let preedit = ImeEvent::Preedit { text: "にほ".into(), active_range_chars: None };
    window.harness.event(Event::Ime(preedit));
    window.settle();
    window.key(Modifiers::NONE, Key::Enter);
    assert!(window.branch().is_empty(), "Enter belongs to the input method");
    // On some systems the commit and its Enter come in the same frame.
    let (key, modifiers) = (Key::Enter, Modifiers::NONE);
    let enter = Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers };
    window.harness.input_mut().events.extend([Event::Ime(ImeEvent::Commit("日本".into())), enter]);
    window.harness.step();
    assert!(window.branch().is_empty());
    window.settle();
    assert!(window.harness.state().state.draft().contains("日本"));
    window.key(Modifiers::NONE, Key::Enter);
    window.until("it is sent", |app| app.state.tree().unwrap().path().len() == 2 && app.state.reply().is_none());
    // The same for an edit.
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.harness.get_by_label("Edit the message").focus();
    window.settle();
    window.harness.event(Event::Ime(ImeEvent::Preedit { text: "ご".into(), active_range_chars: None }));
    window.settle();
    window.key(Modifiers::NONE, Key::Enter);
    assert!(window.harness.state().state.editing.is_some(), "Enter belongs to the input method");
}

#[test]
fn shift_enter_starts_a_new_line() {
    let mut window = Window::new();
    window.write("Message", "one");
    window.key(Modifiers::SHIFT, Key::Enter);
    window.harness.event(Event::Text("two".into()));
    window.settle();
    assert_eq!(window.harness.state().state.draft(), "one\ntwo");
    assert!(window.branch().is_empty());
}

#[test]
fn a_whole_chat_by_keyboard_alone() {
    let mut window = Window::new();
    window.settle();
    let type_text = |window: &mut Window, text: &str| {
        window.harness.event(Event::Text(text.into()));
        window.settle();
    };
    // The composer has the focus from the start.
    type_text(&mut window, "Hello");
    window.key(Modifiers::NONE, Key::Enter);
    window.until("it is answered", |app| app.state.tree().unwrap().path().len() == 2 && app.state.reply().is_none());
    window.key(Modifiers::COMMAND, Key::N);
    assert!(window.branch().is_empty());
    type_text(&mut window, "Another chat");
    window.key(Modifiers::NONE, Key::Enter);
    window.until("it is answered", |app| app.state.tree().unwrap().path().len() == 2 && app.state.reply().is_none());
    window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::F);
    type_text(&mut window, "hello");
    window.until("it is found", |app| app.state.search.hits.as_ref().is_some_and(|hits| hits.len() == 2));
    // Tab reaches the first hit, and Space opens it.
    window.key(Modifiers::NONE, Key::Tab);
    window.key(Modifiers::NONE, Key::Space);
    window.until("its messages are read", |app| app.state.tree().is_some_and(|tree| !tree.path().is_empty()));
    assert_eq!(window.branch()[0], "Hello");
    // Tab also reaches the buttons of a message.
    for _ in 0..60 {
        window.key(Modifiers::NONE, Key::Tab);
        let regenerate = window.harness.get_by_label("Regenerate");
        if regenerate.is_focused() {
            return;
        }
    }
    panic!("Tab never came to Regenerate");
}

#[test]
fn settings_reach_the_engine_and_presets_restore_them() {
    let mut window = Window::new();
    window.harness.state_mut().state.load_model(Some("/models/2b.gguf".into()));
    window.until("it is loaded", |app| app.state.loaded().is_some_and(|loaded| loaded.name == "2b"));
    window.key(Modifiers::COMMAND, Key::Comma);
    window.press("Leave out the oldest messages, and say so");
    assert_eq!(window.harness.state().state.settings.overflow, Overflow::DropOldest);
    window.key(Modifiers::NONE, Key::Escape);
    window.press("Settings of this chat");
    window.sees("Temperature");
    window.write("System prompt of this chat", "Be brief.");
    window.press("Own sampling for this chat");
    window.press("Fixed seed");
    window.write("Name of the preset", "mine");
    window.press("Save as preset");
    window.press("Reset to defaults");
    assert!(window.harness.state().state.chat_sampling().seed.is_none());
    assert_eq!(window.harness.state().state.settings.presets.len(), 1);
    window.press("mine");
    window.exchange("Hello", "Hi");
    let script = window.script();
    // After the reply, the model is asked for a title.
    let first = script.commands.iter().find(|command| matches!(command, Command::Generate { .. }));
    let Some(Command::Generate { system, sampling, overflow, .. }) = first else { panic!() };
    assert_eq!((system.as_str(), sampling.seed, *overflow), ("Be brief.", Some(0), Overflow::DropOldest));
    assert_eq!(sampling.temperature, 1.0);
}

#[test]
fn the_meter_counts_the_draft() {
    let mut window = Window::new();
    window.exchange("one two", "three");
    // <bos>, and five tokens per turn of the template.
    window.sees("14 of 1,024 tokens");
    window.write("Message", "a b c");
    window.sees("27 of 1,024 tokens, 3 of them typed now");
}

#[test]
fn the_model_is_switched_during_a_chat() {
    let mut window = Window::new();
    window.exchange("Hello", "I am the guide");
    window.key(Modifiers::COMMAND, Key::M);
    window.press("Use gemma-2-2b-it");
    window.until("it is loaded", |app| app.state.loaded().is_some_and(|loaded| loaded.name == "2b"));
    window.exchange("And you?", "I am Gemma");
    assert_eq!(window.last_turns().len(), 3);
    let tree = window.harness.state().state.tree().unwrap();
    let models: Vec<_> = tree.branch().filter_map(|message| message.model.clone()).collect();
    assert_eq!(models, ["Guide", "2b"]);
}

#[test]
fn the_profiler_lists_kernels() {
    let mut window = Window::new();
    window.key(Modifiers::COMMAND, Key::Comma);
    window.press("Developer");
    window.press("Measure a token");
    window.sees("matvec × 182");
    window.sees("9.75 ms in all");
}

#[test]
fn a_dialog_has_the_keyboard_while_a_message_is_edited() {
    let mut window = Window::new();
    window.exchange("One", "First reply");
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.harness.event(Event::Text("!".into()));
    window.settle();
    window.key(Modifiers::COMMAND, Key::O);
    window.harness.event(Event::Text("/models/2b.gguf".into()));
    window.settle();
    assert_eq!(window.harness.get_by_label("Path").value().unwrap_or_default(), "/models/2b.gguf");
    window.key(Modifiers::COMMAND, Key::Enter);
    window.key(Modifiers::NONE, Key::Enter);
    window.until("it is loaded", |app| app.state.loaded().is_some_and(|loaded| loaded.name == "2b"));
    assert_eq!(window.harness.state().state.editing.as_ref().unwrap().1, "One!");
    assert_eq!(window.branch(), ["One", "First reply"]);
}

#[test]
fn a_superseded_model_that_loads_late_is_ignored() {
    let mut window = Window::new();
    let late = window.harness.state().state.loaded().unwrap().clone();
    window.harness.state_mut().state.load_model(Some("/models/2b.gguf".into()));
    window.until("it is loaded", |app| app.state.loaded().is_some_and(|loaded| loaded.name == "2b"));
    window.script().push(WorkerEvent::Loaded(Box::new(late)));
    window.settle();
    assert_eq!(window.harness.state().state.loaded().unwrap().name, "2b");
}

#[test]
fn the_settings_show_the_model_and_open_the_list() {
    let mut window = Window::new();
    window.key(Modifiers::COMMAND, Key::Comma);
    window.press("Choose a model");
    window.sees("On this machine");
}
