//! Errors as the user sees them: a sentence and a remedy.

use std::time::{Duration, Instant};

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use lapidary_app::chats::Status;
use lapidary_app::state::Model;
use lapidary_app::worker::{Command, Overflow, Remedy};

use crate::script::{Script, Window, problem};

/// A window whose first load fails.
fn failing(sentence: &str, remedy: Remedy) -> Window {
    let script =
        Script { bytes_per_event: 1 << 20, load_problem: Some(problem(sentence, remedy)), ..Script::default() };
    let mut window = Window::unloaded(None, script);
    window.until("it fails", |app| matches!(app.state.model, Model::Failed(_)));
    window
}

#[test]
fn no_gpu_or_an_old_driver() {
    let mut window = failing("No graphics adapter is there; install a Vulkan driver; found: none.", Remedy::Driver);
    window.sees("install a Vulkan driver");
    window.sees("A newer graphics driver may help");
    window.send("Hello?");
    // The message is kept.
    assert_eq!(window.branch(), ["Hello?"]);
    window.press("Try again");
    window.until("it is answered", |app| app.state.tree().unwrap().path().len() == 2 && app.state.reply().is_none());
}

#[test]
fn a_model_too_big_for_the_memory() {
    let mut window = failing("Out of GPU memory: it needs 30000 MiB of 8000 MiB.", Remedy::ReduceMemory);
    window.press("Choose smaller weights or context…");
    window.sees("Loading options");
    window.press("Try again");
    window.until("it is loaded", |app| matches!(app.state.model, Model::Ready(_)));
}

#[test]
fn the_guide_can_be_used_after_a_damaged_model_file() {
    let mut window = Window::new();
    window.script().load_problem = Some(problem("/x/broken.gguf: it ends too early.", Remedy::OtherFile));
    window.harness.state_mut().state.open_dropped_file("/x/broken.gguf".into());
    window.sees("/x/broken.gguf: it ends too early.");
    window.press("Use the guide");
    window.until("it is loaded", |app| app.state.loaded().is_some_and(|loaded| loaded.is_guide()));
    assert!(!window.shows("ends too early"));
}

#[test]
fn a_device_lost_during_a_reply() {
    let mut window = Window::new();
    let lost = problem("The GPU device was lost (reset); load the model again to go on.", Remedy::Reload);
    window.script().reply_problem = Some(lost);
    window.exchange("Go", "Half of the");
    window.sees("The GPU device was lost");
    assert_eq!(window.branch(), ["Go", "Half of the"]);
    window.script().replies.push_back(" story".into());
    window.press("Load the model again and continue");
    window.until("it goes on", |app| app.state.tree().unwrap().branch().last().unwrap().status == Status::Done);
    assert_eq!(window.branch(), ["Go", "Half of the story"]);
}

#[test]
fn a_lost_reply_is_continued_once() {
    let mut window = Window::new();
    let lost = problem("The GPU device was lost (reset); load the model again to go on.", Remedy::Reload);
    window.script().reply_problem = Some(lost);
    window.exchange("Go", "Half of the");
    let reply = window.harness.state().state.tree().unwrap().path()[1];
    window.script().replies.push_back(" story".into());
    let state = &mut window.harness.state_mut().state;
    state.reload_and_continue(reply);
    state.reload_and_continue(reply);
    window.until("it goes on", |app| app.state.tree().unwrap().branch().last().unwrap().status == Status::Done);
    window.settle();
    assert_eq!(window.branch(), ["Go", "Half of the story"]);
    let script = window.script();
    assert_eq!(script.commands.iter().filter(|command| matches!(command, Command::Load(_))).count(), 2);
    assert_eq!(script.commands.iter().filter(|command| matches!(command, Command::Generate { .. })).count(), 2);
}

#[test]
fn messages_queued_when_the_device_is_lost_are_answered_after_the_interrupted_reply() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    window.script().replies.push_back("Half of the".into());
    let lost = problem("The GPU device was lost (reset); load the model again to go on.", Remedy::Reload);
    window.script().reply_problem = Some(lost);
    window.send("Go");
    window.send("Then this");
    window.script().bytes_per_event = 1 << 20;
    window.sees("The GPU device was lost");
    assert_eq!(window.branch(), ["Go", "Half of the", "Then this"]);
    window.script().replies.push_back(" story".into());
    window.press("Load the model again and continue");
    window.until("all is answered", |app| app.state.tree().unwrap().path().len() == 4 && app.state.reply().is_none());
    assert_eq!(window.branch(), ["Go", "Half of the story", "Then this", "Yes."]);
}

#[test]
fn a_chat_that_no_longer_fits_the_context() {
    let mut window = Window::new();
    window.exchange("One", "First");
    let full = problem("The prompt takes 1100 tokens, but the context holds 1024.", Remedy::MakeRoom);
    window.script().reply_problem = Some(full.clone());
    window.exchange("Two", "");
    window.sees("The prompt takes 1100 tokens");
    window.script().replies.push_back("Second".into());
    window.press("Drop the oldest messages");
    window.until("it is answered", |app| app.state.reply().is_none());
    let dropped = window.script().commands.iter().any(
        |command| matches!(command, Command::Generate { overflow: Overflow::DropOldest, turns, .. } if turns.len() == 4),
    );
    assert!(dropped);
    assert_eq!(window.branch(), ["One", "First", "Two", "Second"]);
    // The other remedy: a new chat that starts with a summary.
    window.script().reply_problem = Some(full);
    window.exchange("Three", "");
    window.script().replies.push_back("We talked of numbers.".into());
    window.press("Start from a summary");
    window.until("it is summed up", |app| app.state.reply().is_none());
    assert_eq!(window.branch()[1], "We talked of numbers.");
    assert!(window.last_turns().len() > 4, "the prompt contains the old chat");
    assert!(window.shows("Menu of One (continued)"));
    assert!(window.shows("Menu of One"), "the old chat is still there");
}

#[test]
fn a_summary_is_regenerated_from_the_same_chat() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    let mut window = Window::over(Some(path.clone()));
    window.until("it is open", |app| app.state.opened.is_some());
    window.exchange("One", "First");
    let full = problem("The prompt takes 1100 tokens, but the context holds 1024.", Remedy::MakeRoom);
    window.script().reply_problem = Some(full);
    window.exchange("Two", "");
    window.script().replies.push_back("We talked of numbers.".into());
    window.press("Start from a summary");
    window.until("it is summed up", |app| app.state.reply().is_none());
    let prompt = window.last_turns();
    assert_eq!(prompt[..2].iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["One", "First"]);
    window.press("Regenerate");
    window.until("there is another", |app| app.state.reply().is_none());
    assert_eq!(window.last_turns(), prompt);
    assert_eq!(window.branch()[1], "Yes.");
    window.press("Continue");
    window.until("it goes on", |app| app.state.reply().is_none());
    assert_eq!(window.last_turns()[..prompt.len()], prompt);
    // Messages after the summary are sent with the summary only.
    window.exchange("Three", "Third");
    assert_eq!(window.last_turns().len(), 3);
    // An edited request is still made of the same chat.
    let question = window.harness.state().state.tree().unwrap().path()[0];
    let state = &mut window.harness.state_mut().state;
    state.edit(question);
    state.editing = Some((question, "Sum up in a line.".into()));
    state.finish_edit();
    window.until("there is another", |app| app.state.reply().is_none());
    assert_eq!(window.last_turns()[..2], prompt[..2]);
    assert_eq!(window.branch(), ["Sum up in a line.", "Yes."]);
    let edited = window.harness.state().state.tree().unwrap().path()[0];
    window.harness.state_mut().state.show_sibling(edited, -1);
    window.settle();
    drop(window);
    let mut window = Window::over(Some(path));
    window.press("One (continued)");
    window.until("it is read", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 4));
    window.press("Regenerate");
    window.until("there is another", |app| app.state.reply().is_none());
    assert_eq!(window.last_turns(), prompt);
}

#[test]
fn a_file_that_is_not_a_model_keeps_the_open_model_and_its_reply() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    window.send("Talk");
    window.script().check_problem = Some(problem("/x/notes: there is no config.json.", Remedy::OtherFile));
    window.harness.state_mut().state.load_model(Some("/x/notes".into()));
    window.sees("/x/notes: there is no config.json. The model that is open stays.");
    assert!(window.harness.state().state.loaded().is_some_and(|loaded| loaded.is_guide()));
    window.release_reply();
    assert_eq!(window.branch(), ["Talk", "Yes."]);
}

#[test]
fn without_a_model_no_reply_is_replaced() {
    let mut window = Window::new();
    window.exchange("One", "First");
    let reply = window.harness.state().state.tree().unwrap().path()[1];
    let failed = problem("Out of GPU memory.", Remedy::ReduceMemory);
    window.script().push(lapidary_app::worker::Event::NotLoaded(failed));
    window.sees("Out of GPU memory.");
    window.harness.state_mut().state.regenerate(reply);
    window.settle();
    assert_eq!(window.branch(), ["One", "First"]);
    assert!(!window.shows("queued"));
}

#[test]
fn a_cancelled_load_is_not_an_error() {
    let mut window = failing("Loading was cancelled. No model is loaded.", Remedy::Resume);
    window.press("Load it after all");
    window.until("it is loaded", |app| matches!(app.state.model, Model::Ready(_)));
}

#[test]
fn closing_with_unsaved_chats_asks_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    std::fs::write(&path, "no database").unwrap();
    let mut window = Window::over(Some(path));
    let close = |window: &mut Window| {
        let viewport = window.harness.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
        viewport.events.push(egui::ViewportEvent::Close);
        window.harness.step();
        let commands = &window.harness.output().viewport_output[&egui::ViewportId::ROOT].commands;
        let held = commands.contains(&egui::ViewportCommand::CancelClose);
        window.harness.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default().events.clear();
        window.settle();
        held
    };
    assert!(!close(&mut window), "nothing was said yet");
    window.exchange("Keep this", "Kept.");
    assert!(close(&mut window));
    window.sees("Not everything is saved");
    window.press_last("Cancel");
    assert!(!window.shows("Not everything is saved"));
    assert!(close(&mut window));
    window.press("Export…");
    let json = folder.path().join("all.json");
    window.write("Path", &json.display().to_string());
    window.press("Save");
    window.until("it is written", |_| json.exists());
    assert!(std::fs::read_to_string(&json).unwrap().contains("Kept."));
    assert!(close(&mut window));
    window.press("Close anyway");
    assert!(!close(&mut window));
}

#[test]
fn equal_notices_are_shown_once() {
    let mut window = Window::new();
    for _ in 0..20 {
        window.harness.state_mut().state.notify_error("The same again.");
    }
    window.settle();
    assert_eq!(window.harness.get_all_by_label("Close the notice").count(), 1);
    for number in 0..20 {
        window.harness.state_mut().state.notify_error(&format!("Another, number {number}."));
    }
    window.settle();
    assert_eq!(window.harness.get_all_by_label("Close the notice").count(), 5);
    assert!(window.shows("Another, number 19."));
}

#[test]
fn dropped_turns_are_reported() {
    let mut window = Window::new();
    window.script().bytes_per_event = 0;
    window.send("Hello");
    let reply = window.harness.state().state.reply().unwrap().message;
    window.script().push(lapidary_app::worker::Event::TurnsDropped(reply, 4));
    window.release_reply();
    window.sees("The oldest 4 messages did not fit the context and were left out.");
}

#[test]
fn a_database_that_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.sqlite");
    std::fs::write(&path, "no database").unwrap();
    let mut window = Window::over(Some(path));
    window.sees("You can chat, but nothing will be saved.");
    window.exchange("Hello", "Hi");
    assert_eq!(window.branch(), ["Hello", "Hi"]);
}

#[test]
fn a_full_disk_is_reported() {
    let mut window = Window::new();
    window.harness.state_mut().state.cannot_save = Some("database or disk is full".into());
    window.sees("Make room on the disk; Lapidary keeps trying");
}

#[test]
fn the_end_of_saving_is_reported_with_a_remedy() {
    let mut window = Window::new();
    window.harness.state_mut().state.store_ended = true;
    window.harness.state_mut().state.cannot_save = Some("database or disk is full".into());
    window.sees("Chats are not saved any more");
    assert!(!window.shows("Make room on the disk"));
}

#[test]
fn unusable_files_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("cat.jpg");
    std::fs::write(&picture, [0xff, 0xd8, 0xff, 0x00]).unwrap();
    let mut window = Window::new();
    window.harness.state_mut().state.open_dropped_file(picture);
    window.sees("cat.jpg is neither a text nor a model");
    window.harness.state_mut().state.open_dropped_file(folder.path().join("gone.txt"));
    window.sees("gone.txt cannot be read");
    let notices = window.harness.get_all_by_label("Close the notice").count();
    assert_eq!(notices, 2);
    window.press("Close the notice");
    assert_eq!(window.harness.get_all_by_label("Close the notice").count(), 1);
}

/// A model may generate any text, and its messages are drawn again at every start.
#[test]
fn no_markdown_crashes_the_window() {
    let columns = format!("|{}\n|{}\n|{}\n", "a|".repeat(500), "-|".repeat(500), "1|".repeat(500));
    let deep: String = (0..300).map(|level| format!("{}- level\n", "  ".repeat(level))).collect();
    let texts = [
        ">".repeat(20_000),
        "- ".repeat(3_000),
        "1. > ".repeat(3_000),
        deep,
        columns,
        "[".repeat(20_000),
        "[a](".repeat(5_000),
        "![](".repeat(5_000),
        "*_".repeat(10_000),
        "**a ".repeat(5_000),
        "`".repeat(20_001),
        "```\n".repeat(2_001),
        "$".repeat(20_001),
        format!("$${}$$", r"\frac{".repeat(500)),
        "<div>".repeat(5_000),
        "<".repeat(20_000),
        "[^1]: ".repeat(2_000),
        "a\n: ".repeat(2_000),
        "\u{202e}\u{0}\u{7f}\u{feff}".repeat(1_000),
        "a".repeat(100_000),
        "# ".repeat(5_000),
        "\\".repeat(20_001),
    ];
    let mut window = Window::new();
    for text in texts {
        let began = Instant::now();
        window.exchange("Go on", &text);
        window.key(Modifiers::COMMAND, Key::N);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{:?} took {took:?}", text.get(..40));
    }
}
