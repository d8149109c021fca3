//! A chat's own sampling and model, and presets.

use std::path::Path;

use egui::{Key, Modifiers};
use lapidary_app::settings::{Preset, SamplingParams};
use lapidary_app::state::Model;
use lapidary_app::worker::{Command, Load, Remedy};
use lapidary_engine::Sampling;

use crate::script::{Window, problem};

fn last_sampling(window: &Window) -> Sampling {
    let script = window.script();
    let sampling = script.commands.iter().rev().find_map(|command| match command {
        Command::Generate { sampling, .. } => Some(sampling.clone()),
        _ => None,
    });
    sampling.expect("no prompt was sent")
}

fn loads(window: &Window) -> Vec<Option<String>> {
    let script = window.script();
    let loads = script.commands.iter().filter_map(|command| match command {
        Command::Load(Load { model, .. }) => Some(model.as_ref().map(|path| path.display().to_string())),
        _ => None,
    });
    loads.collect()
}

fn preset(name: &str, top_k: u32, system: &str, model: Option<&str>) -> Preset {
    let sampling = SamplingParams { top_k, ..SamplingParams::default() };
    Preset { name: name.into(), sampling, system: system.into(), model: model.map(str::to_owned) }
}

#[test]
fn a_chat_uses_its_own_sampling() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(file.clone()));
        window.until("it is open", |app| app.state.opened.is_some());
        window.exchange("First", "Yes");
        let own = SamplingParams { top_k: 7, ..SamplingParams::default() };
        window.harness.state_mut().state.set_chat_sampling(Some(own));
        window.exchange("Second", "Yes");
        assert_eq!(last_sampling(&window).top_k, 7);
        window.key(Modifiers::COMMAND, Key::N);
        window.harness.state_mut().state.settings.sampling.top_k = 9;
        window.exchange("In another chat", "Yes");
        assert_eq!(last_sampling(&window).top_k, 9);
    }
    let mut window = Window::over(Some(file));
    window.press("First");
    window.until("it is read", |app| app.state.tree().is_some_and(|tree| !tree.path().is_empty()));
    let state = &mut window.harness.state_mut().state;
    assert_eq!((state.chat_sampling().top_k, state.has_own_sampling()), (7, true));
    state.set_chat_sampling(None);
    assert_eq!(state.chat_sampling().top_k, 9);
}

#[test]
fn a_preset_applies_to_one_chat() {
    let mut window = Window::new();
    let state = &mut window.harness.state_mut().state;
    state.settings.presets.push(preset("Poet", 3, "Answer in verse.", None));
    state.settings.presets.push(preset("Plain", 4, "", None));
    state.apply_preset(0);
    state.apply_preset(2);
    let chat = state.open().unwrap();
    assert_eq!((chat.system.as_str(), chat.options.preset.as_deref()), ("Answer in verse.", Some("Poet")));
    // A preset without a system prompt leaves the chat's own.
    state.apply_preset(1);
    let chat = state.open().unwrap();
    assert_eq!((chat.system.as_str(), chat.options.preset.as_deref()), ("Answer in verse.", Some("Plain")));
    assert_ne!(state.settings.sampling.top_k, 4);
    window.exchange("Hello", "Hi");
    assert_eq!(last_sampling(&window).top_k, 4);
}

#[test]
fn a_chat_is_saved_as_a_preset() {
    let mut window = Window::new();
    let state = &mut window.harness.state_mut().state;
    state.set_system("Answer in verse.".into());
    state.set_chat_sampling(Some(SamplingParams { top_k: 3, ..SamplingParams::default() }));
    state.save_preset(" Poet ");
    state.save_preset("");
    assert_eq!(state.settings.presets, [preset("Poet", 3, "Answer in verse.", None)]);
    state.set_system("Answer in rhyme.".into());
    state.save_preset("Poet");
    assert_eq!(state.settings.presets, [preset("Poet", 3, "Answer in rhyme.", None)]);
    assert_eq!(state.open().unwrap().options.preset.as_deref(), Some("Poet"));
}

#[test]
fn a_chat_with_its_own_model_loads_it_before_it_is_answered() {
    let mut window = Window::new();
    // Titles would take the scripted replies.
    window.harness.state_mut().state.settings.model_titles = false;
    window.exchange("Of the guide", "Yes");
    window.key(Modifiers::COMMAND, Key::N);
    window.harness.state_mut().state.set_chat_model(Some(Some(Path::new("/models/own.gguf"))));
    window.exchange("Of its own model", "Hi");
    assert_eq!(window.branch(), ["Of its own model", "Hi"]);
    assert_eq!(loads(&window), [None, Some("/models/own.gguf".into())]);
    // A chat without its own model uses what is loaded.
    window.press("Of the guide");
    window.exchange("And now?", "Yes");
    assert_eq!(loads(&window).len(), 2);
    // The guide can be a chat's own model too.
    window.harness.state_mut().state.set_chat_model(Some(None));
    window.exchange("And the guide?", "Yes");
    assert_eq!(loads(&window), [None, Some("/models/own.gguf".into()), None]);
}

#[test]
fn a_chosen_model_takes_the_place_of_the_chats_own() {
    let mut window = Window::new();
    let state = &mut window.harness.state_mut().state;
    state.set_chat_model(Some(Some(Path::new("/models/own.gguf"))));
    state.load_model(Some("/models/other.gguf".into()));
    assert_eq!(state.chat_model(), Some(Some("/models/other.gguf".into())));
    window.until("it is loaded", |app| app.state.loaded().is_some_and(|loaded| loaded.name == "other"));
    window.exchange("Hello", "Hi");
    assert_eq!(loads(&window), [None, Some("/models/other.gguf".into())]);
}

#[test]
fn a_chat_whose_own_model_cannot_be_opened_blocks_no_other() {
    let mut window = Window::new();
    window.harness.state_mut().state.set_chat_model(Some(Some(Path::new("/models/gone.gguf"))));
    window.script().check_problem = Some(problem("/models/gone.gguf is not there.", Remedy::OtherFile));
    window.send("Never answered");
    window.sees("/models/gone.gguf is not there. The model that is open stays.");
    let state = &window.harness.state().state;
    assert!(matches!(state.model, Model::Ready(_)) && !state.is_queued(state.tree().unwrap().path()[0]));
    window.key(Modifiers::COMMAND, Key::N);
    window.exchange("Answered", "Yes");
    assert_eq!(window.branch(), ["Answered", "Yes"]);
    // The same when the load fails rather than the check.
    window.press("Never answered");
    window.script().load_problem = Some(problem("It is damaged.", Remedy::OtherFile));
    window.send("Once more");
    window.until("it has failed", |app| matches!(app.state.model, Model::Failed(_)));
    window.key(Modifiers::COMMAND, Key::N);
    window.harness.state_mut().state.load_model(None);
    window.until("the guide is back", |app| matches!(app.state.model, Model::Ready(_)));
    window.exchange("Answered again", "Yes");
    assert_eq!(window.branch(), ["Answered again", "Yes"]);
}

#[test]
fn a_model_that_cannot_chat_says_so_and_continues_texts() {
    let mut window = Window::new();
    window.harness.state_mut().state.load_model(Some("/models/base.gguf".into()));
    window.until("it is loaded", |app| app.state.loaded().is_some_and(|loaded| !loaded.is_guide()));
    window.sees("base has no chat template.");
    window.press("Continue texts instead");
    assert!(!window.shows("base has no chat template."));
    window.exchange("Once upon a time", ", there was a king.");
    let script = window.script();
    let plain = |command: &Command| matches!(command, Command::Generate { plain: true, .. });
    assert!(script.commands.iter().any(plain));
    // Such a model is not asked for a title.
    let asked = script.commands.iter().filter(|command| matches!(command, Command::Generate { .. })).count();
    assert_eq!(asked, 1);
}
