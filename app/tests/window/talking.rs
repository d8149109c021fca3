//! Sending messages, editing, branches, alternatives, settings, and moving through a chat.

use egui::{Event, ImeEvent, Key, Modifiers};
use egui_kittest::kittest::Queryable;
use lapidary_app::chats::Status;
use lapidary_app::worker::{Command, Event as WorkerEvent, NextToken, Overflow};

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
fn an_edit_makes_a_branch_and_both_can_be_shown() {
    let mut window = Window::new();
    window.exchange("One", "First reply");
    window.exchange("Two", "Second reply");
    // Up edits the last message if the draft is empty.
    window.harness.get_by_label("Message").focus();
    window.settle();
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.write("Edit the message", "Two, but better");
    window.key(Modifiers::NONE, Key::Enter);
    window.until("it is answered", |app| app.state.reply().is_none());
    assert_eq!(window.branch(), ["One", "First reply", "Two, but better", "Yes."]);
    assert!(window.shows("2/2"));
    window.press("Previous branch");
    assert_eq!(window.branch(), ["One", "First reply", "Two", "Second reply"]);
    window.press("Next branch");
    assert_eq!(window.branch()[2], "Two, but better");
    // A reply can be edited too, and gets no answer.
    window.press_last("Edit");
    window.write("Edit the message", "No.");
    window.press("Save");
    assert_eq!(window.branch()[3], "No.");
    assert!(window.harness.state().state.reply().is_none());
}

#[test]
fn regenerating_keeps_the_old_reply() {
    let mut window = Window::new();
    window.exchange("Name one", "An apple.");
    window.script().replies.push_back("A pear.".into());
    window.press("Regenerate");
    window.until("there is another", |app| app.state.reply().is_none());
    assert_eq!(window.branch(), ["Name one", "A pear."]);
    assert_eq!(window.last_turns(), [user("Name one")]);
    window.press("Previous branch");
    assert_eq!(window.branch(), ["Name one", "An apple."]);
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
fn a_queued_reply_does_not_switch_the_shown_branch() {
    let mut window = Window::new();
    window.exchange("one", "first");
    window.press("Regenerate");
    window.until("there is another", |app| app.state.reply().is_none());
    window.script().bytes_per_event = 0;
    window.send("more");
    let state = &mut window.harness.state_mut().state;
    let replies: Vec<_> = state.tree().unwrap().path().to_vec();
    state.regenerate(replies[1]);
    state.show_sibling(replies[1], -1);
    assert_eq!(window.branch(), ["one", "first"]);
    window.release_reply();
    window.until("both are answered", |app| {
        app.state.tree().unwrap().messages().count() == 6 && app.state.reply().is_none()
    });
    assert_eq!(window.branch(), ["one", "first"]);
    window.sees("1/3");
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
fn alternatives_are_shown_and_branched_from() {
    let mut window = Window::new();
    window.exchange("Say it", "the cat sat");
    window.script().alternatives = vec![
        (NextToken::Text(" cat".into()), 0.6),
        (NextToken::Text(" dog".into()), 0.2),
        (NextToken::NonText("<0xE2>".into()), 0.1),
        (NextToken::End, 0.1),
    ];
    window.press("Alternatives");
    window.press("cat");
    window.sees("Branch with “ dog”");
    let asked = window.script().commands.iter().rev().find_map(|command| match command {
        Command::Alternatives { turns, .. } => Some(turns.clone()),
        _ => None,
    });
    assert_eq!(asked.unwrap(), [user("Say it"), model("the")]);
    window.script().replies.push_back(" ran".into());
    window.press("Branch with “ dog”");
    window.until("it goes on", |app| app.state.reply().is_none());
    assert_eq!(window.branch(), ["Say it", "the dog ran"]);
    assert_eq!(window.last_turns(), [user("Say it"), model("the dog")]);
    window.press("Previous branch");
    assert_eq!(window.branch(), ["Say it", "the cat sat"]);
    // A late answer for another position is ignored.
    window.press("Alternatives");
    window.press("sat");
    let asked = window.harness.state().state.alternatives.clone().unwrap();
    let late =
        WorkerEvent::Alternatives { message: asked.message, at: 0, list: Ok(vec![(NextToken::Text("A".into()), 1.0)]) };
    window.script().push(late);
    window.settle();
    assert_eq!(window.harness.state().state.alternatives.clone().unwrap().list.unwrap().unwrap().len(), 4);
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

/// A reply of several screens, in blocks whose heights are hard to estimate.
fn long() -> String {
    let block = "# A heading\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n";
    (0..PARAGRAPHS).map(|number| format!("Paragraph {number}.\n\n{block}\n")).collect()
}

const PARAGRAPHS: usize = 60;

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

#[test]
fn continuing_a_reply_that_is_followed_makes_a_branch() {
    let mut window = Window::new();
    window.harness.state_mut().state.settings.overflow = Overflow::DropOldest;
    window.exchange("One", "First");
    window.exchange("Two", "Second");
    window.script().bytes_per_event = 0;
    window.script().replies.push_back(" and more".into());
    window.press("Continue");
    let first = window.harness.state().state.tree().unwrap().path()[1];
    // A second request is ignored.
    window.harness.state_mut().state.continue_reply(first, Overflow::Ask);
    window.release_reply();
    assert_eq!(window.branch(), ["One", "First and more"]);
    let script = window.script();
    let asked: Vec<_> = script.commands.iter().filter(|command| matches!(command, Command::Generate { .. })).collect();
    assert_eq!(asked.len(), 3);
    assert!(matches!(asked[2], Command::Generate { overflow: Overflow::DropOldest, .. }), "{:?}", asked[2]);
    drop(script);
    window.press("Previous branch");
    assert_eq!(window.branch(), ["One", "First", "Two", "Second"]);
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
fn typed_text_reaches_the_draft_if_the_edit_is_on_another_branch() {
    let mut window = Window::new();
    window.exchange("One", "First reply");
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.write("Edit the message", "Uno");
    window.key(Modifiers::NONE, Key::Enter);
    window.until("it is answered", |app| app.state.reply().is_none());
    window.key(Modifiers::NONE, Key::ArrowUp);
    let edited = window.harness.state().state.tree().unwrap().path()[0];
    window.harness.state_mut().state.show_sibling(edited, -1);
    window.settle();
    assert_eq!(window.branch(), ["One", "First reply"]);
    window.harness.event(Event::Text("a".into()));
    window.settle();
    assert_eq!(window.harness.state().state.draft(), "a");
    assert_eq!(window.harness.state().state.editing.as_ref().unwrap().1, "Uno");
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

#[test]
fn a_superseded_model_that_loads_late_is_ignored() {
    let mut window = Window::new();
    let late = window.harness.state().state.loaded().unwrap().clone();
    window.harness.state_mut().state.load_model(Some("/models/2b.gguf".into()));
    window.until("it is loaded", |app| app.state.loaded().is_some_and(|loaded| loaded.name == "2b"));
    window.script().push(WorkerEvent::Loaded(Box::new(late)));
    window.settle();
    assert_eq!(window.harness.state().state.loaded().unwrap().name, "2b");
    // The list of models includes those used before.
    window.key(Modifiers::COMMAND, Key::M);
    let script = window.script();
    let used = script.commands.iter().rev().find_map(|command| match command {
        Command::FindModels(used) => Some(used.clone()),
        _ => None,
    });
    assert_eq!(used.unwrap(), [std::path::PathBuf::from("/models/2b.gguf")]);
}

#[test]
fn the_settings_show_the_model_and_open_the_list() {
    let mut window = Window::new();
    window.key(Modifiers::COMMAND, Key::Comma);
    window.press("Choose a model");
    window.sees("On this machine");
}
