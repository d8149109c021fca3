//! `lapidary chat` in a terminal.

use std::path::Path;
use std::sync::Arc;

use lapidary_app::chats::{Chat, Message, Role, Status, Store};
use lapidary_app::data_folder::Lock;
use serde_json::Value;

use crate::lapidary;
use crate::terminal::{COLUMNS, Terminal};

/// The latest chat in the database.
fn latest(home: &Path) -> Value {
    let output = lapidary(&["chats", "show", "1", "--json"]).env("XDG_DATA_HOME", home).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn texts(chat: &Value) -> Vec<&str> {
    chat["messages"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect()
}

fn start(home: &Path) -> Terminal {
    let terminal = Terminal::start(&["chat", "-m", "guide"], home, &[]);
    terminal.wait_for_prompt();
    terminal
}

#[test]
fn lines_are_edited_remembered_and_kept() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = start(home.path());
    assert!(terminal.screen().contains("built-in guide"));
    // The cursor goes two to the left, and a letter is put in.
    terminal.type_text("Helo\x1b[D\x1b[D");
    terminal.type_text("l");
    terminal.enter("");
    terminal.type_text("How do I\x1b\ropen a model?");
    terminal.enter("");
    terminal.type_text("\x04");
    assert_eq!(terminal.code(), Some(0));
    let chat = latest(home.path());
    let said = texts(&chat);
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said.contains(&"Hello") && said.contains(&"How do I\nopen a model?"), "{said:?}");
    assert_eq!(chat["title"], "Hello");

    let mut terminal = start(home.path());
    terminal.type_text("\x1b[A");
    terminal.wait_for("open a model?");
    terminal.type_text("\x03");
    terminal.enter("/load 1");
    assert!(terminal.screen().contains("Hello continues."), "{}", terminal.screen());
    terminal.enter("Thanks");
    terminal.enter("/regenerate");
    terminal.type_text("/quit\r");
    assert_eq!(terminal.code(), Some(0));
    let chat = latest(home.path());
    assert_eq!(texts(&chat).len(), 7, "it continues in the same chat, and the replaced reply is kept");
}

#[test]
fn ctrl_c_clears_the_line_first() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = start(home.path());
    terminal.type_text("rubbish");
    terminal.wait_for("> rubbish");
    terminal.type_text("\x03");
    terminal.wait_for_prompt();
    assert!(!terminal.screen().contains("rubbish"), "{}", terminal.screen());
    terminal.type_text("\x03");
    terminal.wait_for("Press Ctrl-C again");
    terminal.wait_for_prompt();
    terminal.type_text("\x03");
    assert_eq!(terminal.code(), Some(0));
    assert!(!home.path().join("lapidary/chats.sqlite").exists(), "nothing was said, so no chat is kept");
}

#[test]
fn commands_are_completed_and_mistakes_explained() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("chat.md");
    let mut terminal = start(home.path());
    terminal.type_text("/reg\t");
    terminal.wait_for("> /regenerate");
    terminal.enter("");
    assert!(terminal.screen().contains("no message to answer again"), "{}", terminal.screen());
    terminal.enter("/foo bar");
    assert!(terminal.screen().contains("unknown command /foo"), "{}", terminal.screen());
    terminal.enter("/undo this");
    assert!(terminal.screen().contains("/undo takes no argument"), "{}", terminal.screen());
    terminal.enter("/system Be brief.");
    terminal.enter("/system");
    assert!(terminal.screen().contains("\nBe brief."), "{}", terminal.screen());
    terminal.enter("//help");
    terminal.enter("Hello");
    terminal.enter("/undo");
    assert!(terminal.screen().contains("Taken back: Hello"), "{}", terminal.screen());
    terminal.enter(&format!("/save {}", file.display()));
    terminal.enter("/model");
    assert!(terminal.screen().contains("* 1  Lapidary's guide"), "{}", terminal.screen());
    terminal.enter("/model /no/such/model");
    assert!(terminal.screen().contains("there is no such file"), "{}", terminal.screen());
    terminal.enter(&format!("/model {}", crate::guide()));
    assert!(terminal.screen().contains("is loaded."), "{}", terminal.screen());
    terminal.enter("/help");
    assert!(terminal.screen().contains("Alt-Enter"), "{}", terminal.screen());
    terminal.type_text("/exit\r");
    assert_eq!(terminal.code(), Some(0));
    let saved = std::fs::read_to_string(file).unwrap();
    assert!(saved.starts_with("# /help\n\n> Be brief.\n\n## You\n\n/help\n\n## Guide\n\n"), "{saved}");
    assert!(!saved.contains("Hello"), "{saved}");
}

#[test]
fn replies_are_wrapped_between_words() {
    let home = tempfile::tempdir().unwrap();
    let piped = lapidary(&["run", "-m", "guide", "How does Gemma 2 work?"]).output().unwrap();
    let reply = String::from_utf8(piped.stdout).unwrap();
    let mut terminal = start(home.path());
    terminal.enter("How does Gemma 2 work?");
    let screen = terminal.screen();
    // The screen joins lines that the terminal had to break.
    let longest = screen.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= usize::from(COLUMNS), "{screen}");
    let shown = screen.split_once("How does Gemma 2 work?").unwrap().1.trim_start();
    let lines: Vec<&str> = shown.lines().take_while(|line| line.trim_end() != ">").collect();
    assert!(lines.len() > 1, "{screen}");
    let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let plain = reply.replace(['`', '*'], "");
    assert_eq!(words(&lines.join("\n")), words(&plain), "{screen}");
}

#[test]
fn colours_are_left_out_if_the_user_says_so() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(Some(home.path().join("lapidary/chats.sqlite")), Arc::new(|| {}));
    let question = Message::new(None, Role::User, "How?", Status::Done);
    let mut reply = Message::new(Some(question.id), Role::Model, "With `cargo run`, **always**.", Status::Done);
    reply.created += 1;
    let chat = Chat { title: "How?".into(), leaf: Some(reply.id), ..Chat::new() };
    store.save_chat_with(&chat, &[question, reply]);
    drop(store);
    let show = |variables: &[(&str, &str)]| {
        let terminal = Terminal::start(&["chats", "show", "1"], home.path(), variables);
        terminal.wait_for("always");
        terminal.output()
    };
    let coloured = show(&[]);
    assert!(coloured.contains("\x1b[36mcargo run\x1b[0m, \x1b[1malways"), "{coloured:?}");
    for variable in [("NO_COLOR", "1"), ("CLICOLOR", "0")] {
        let plain = show(&[variable]);
        assert!(plain.contains("With `cargo run`, **always**.") && !plain.contains('\x1b'), "{plain:?}");
    }
}

#[test]
fn a_chat_is_not_kept_while_the_window_has_the_chats_open() {
    let home = tempfile::tempdir().unwrap();
    let _lock = Lock::take(&home.path().join("lapidary")).unwrap();
    let mut terminal = start(home.path());
    terminal.enter("Hello");
    let screen = terminal.screen();
    assert!(screen.contains("open in the window") && screen.contains("not kept"), "{screen}");
    terminal.enter("Thanks");
    assert_eq!(terminal.screen().matches("not kept").count(), 1, "it is said once");
    terminal.type_text("\x04");
    assert_eq!(terminal.code(), Some(0));
    assert!(!home.path().join("lapidary/chats.sqlite").exists());
}

#[test]
fn ctrl_c_stops_a_reply_and_the_chat_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let model = crate::guide();
    // Any token follows any other, so that the end of the text seldom does.
    let endless =
        ["--raw", "--max-tokens", "100000", "--temperature", "9", "--top-k", "0", "--top-p", "1", "--seed", "7"];
    let mut terminal = Terminal::start(&[&["chat", "-m", &model], &endless[..]].concat(), home.path(), &[]);
    terminal.wait_for_prompt();
    let before = terminal.output().len();
    terminal.type_text("Once\r");
    while terminal.output().len() < before + 100 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    terminal.type_text("\x03");
    terminal.wait_for_prompt();
    assert!(!terminal.output().contains("Press Ctrl-C again"), "it stopped the reply and not the prompt");
    terminal.type_text("/quit\r");
    assert_eq!(terminal.code(), Some(0));
}
