//! Models of servers.

use egui::{Key, Modifiers};
use lapidary_app::chats::Status;
use lapidary_app::state::{Model, ServerSearch};
use lapidary_app::worker::{Command, NextToken, Remedy};

use crate::script::{Window, problem, user};

const AUTHOR: &str = "gemma-2-27b at lab.example:8000";

/// A window that is connected to a server by its dialog.
pub(crate) fn connected() -> Window {
    let mut window = Window::new();
    open_dialog(&mut window);
    window.write("Address of the server", "http://lab.example:8000");
    window.write("Key of the server", "sk-secret");
    window.press("Connect");
    window.press("gemma-2-27b");
    wait_connected(&mut window);
    window
}

pub(crate) fn open_dialog(window: &mut Window) {
    window.press("Model: Guide (built in)");
    window.press("Connect to a server…");
}

#[track_caller]
fn wait_connected(window: &mut Window) {
    window.until("it is connected", |app| app.state.used_server().is_some());
}

#[track_caller]
fn back_to_guide(window: &mut Window) {
    window.press(&format!("Model: {AUTHOR}"));
    window.press("Use Lapidary's guide");
    window.until("the guide is back", |app| app.state.loaded().is_some_and(|loaded| loaded.is_guide()));
}

#[test]
fn what_leaves_this_machine_is_said_before_the_first_message() {
    let window = connected();
    assert!(window.shows("the whole chat is sent to lab.example:8000, without encryption"));
    assert!(!window.shows("nothing leaves this machine") && !window.shows("Nothing leaves this machine"));
    assert!(window.shows(&format!("Model: {AUTHOR}")));
    assert!(!window.shows("tokens"), "only the server knows how many fit");
    {
        let script = window.script();
        let sent = script.commands.iter().find_map(|command| match command {
            Command::FindServer { address, key } => Some((address.as_str(), format!("{key:?}"))),
            _ => None,
        });
        assert_eq!(sent, Some(("http://lab.example:8000", "Some(Token(*** from the field for the key))".to_owned())));
        assert!(!script.commands.iter().any(|command| matches!(command, Command::Generate { .. })));
    }
    let settings = window.harness.state().state.settings.to_json();
    assert!(settings.contains("lab.example") && !settings.contains("sk-secret"), "{settings}");
}

#[test]
fn each_reply_is_marked_with_where_it_went() {
    let mut window = connected();
    window.exchange("Hello", "Hi there");
    window.exchange("Again", "Yes");
    let tree = window.harness.state().state.tree().unwrap();
    assert!(tree.branch().filter_map(|message| message.model.as_deref()).eq([AUTHOR, AUTHOR]));
    let marks = |window: &Window| {
        use egui_kittest::kittest::Queryable;
        window.harness.query_all_by_label(AUTHOR).count()
    };
    assert_eq!(marks(&window), 2);
    assert!(!window.shows("Continue"));
    assert!(!window.script().commands.iter().any(|command| matches!(command, Command::CountTokens(_))));
}

#[test]
fn a_servers_alternatives_are_shown_without_branches() {
    let mut window = connected();
    window.exchange("Say it", "the cat sat");
    window.script().alternatives = vec![(NextToken::Text(" dog".into()), 0.25)];
    window.press("Alternatives");
    window.press("cat");
    window.sees("“ dog”");
    window.sees("25.0 %");
    assert!(!window.shows("Branch with “ dog”"), "a server does not continue a reply");
}

#[test]
fn a_reply_that_was_cut_is_kept_and_asked_for_again_beside_it() {
    let mut window = connected();
    window.script().reply_problem = Some(problem("The connection to lab.example ended.", Remedy::Retry));
    window.exchange("Hello", "Half a");
    window.sees("The connection to lab.example ended.");
    let tree = window.harness.state().state.tree().unwrap();
    let cut = tree.branch().last().unwrap();
    assert_eq!((cut.text.as_str(), cut.status), ("Half a", Status::Failed));
    window.script().replies.push_back("A whole reply".into());
    window.press("Try again");
    window.until("the reply ends", |app| app.state.reply().is_none());
    assert_eq!(window.branch(), ["Hello", "A whole reply"]);
    assert_eq!(window.last_turns(), [user("Hello")]);
    assert_eq!(window.harness.state().state.tree().unwrap().messages().count(), 3, "the first one is a branch");
}

#[test]
fn a_server_that_cannot_be_used_changes_nothing() {
    let mut window = Window::new();
    window.script().server_problem = Some("Lab.example wants a key.".into());
    open_dialog(&mut window);
    window.write("Address of the server", "lab.example");
    window.press("Connect");
    window.sees("Lab.example wants a key.");
    window.write("Key of the server", "two words");
    window.press("Connect");
    window.sees("copy the key again");
    window.key(Modifiers::NONE, Key::Escape);
    assert!(!window.shows("copy the key again"));
    assert!(matches!(window.harness.state().state.servers, ServerSearch::None), "what was typed and answered is gone");
    assert!(window.harness.state().state.loaded().unwrap().is_guide());
    window.sees("nothing leaves this machine");
}

#[test]
fn servers_are_remembered_checked_and_forgotten() {
    let mut window = connected();
    back_to_guide(&mut window);
    // A server that does not answer does not take the place of the model that is loaded.
    window.script().check_problem = Some(problem("Cannot reach lab.example.", Remedy::Retry));
    window.press("Model: Guide (built in)");
    window.press(&format!("Use {AUTHOR}"));
    window.sees("Cannot reach lab.example. The model that is open stays.");
    assert!(window.harness.state().state.loaded().unwrap().is_guide());
    window.press("Model: Guide (built in)");
    window.press(&format!("Use {AUTHOR}"));
    wait_connected(&mut window);
    back_to_guide(&mut window);
    window.press("Model: Guide (built in)");
    window.press(&format!("Forget {AUTHOR}"));
    assert!(window.harness.state().state.settings.servers.is_empty());
    let forgotten =
        |command: &Command| matches!(command, Command::ForgetServer(address) if address.host() == "lab.example:8000");
    assert!(window.script().commands.iter().any(forgotten), "with the last model of a server goes its key");
}

#[test]
fn a_chat_with_its_own_model_follows_the_users_choice_of_a_server() {
    let mut window = Window::new();
    window.harness.state_mut().state.set_chat_model(Some(Some(std::path::Path::new("/models/2b.gguf"))));
    window.exchange("Hello", "Hi");
    window.press("Model: 2b");
    window.press("Connect to a server…");
    window.write("Address of the server", "lab.example");
    window.press("Connect");
    window.press("other");
    window.exchange("And you?", "Yes");
    let state = &window.harness.state().state;
    let Model::Ready(loaded) = &state.model else { panic!("no model") };
    assert_eq!(loaded.name, "other at lab.example");
    assert_eq!(state.tree().unwrap().branch().last().unwrap().model.as_deref(), Some("other at lab.example"));
}
