//! `lapidary chat --endpoint` as people and scripts use it.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::piped::piped;
use crate::server::{Server, begin, end, list, piece, respond};
use crate::terminal::Terminal;

/// A server of two models that repeats the last message, and goes on for ever if that is "Go on".
fn echo() -> Server {
    Server::new(|seen, stream| {
        if seen.path == "/v1/models" {
            return respond(stream, "200 OK", "", &list(&["gemma", "other"]));
        }
        let said = seen.body["messages"].as_array().and_then(|all| all.last()?["content"].as_str()).unwrap_or_default();
        match said {
            "Fail" => {
                return respond(stream, "500 Internal Server Error", "", r#"{"error": {"message": "out of memory"}}"#);
            }
            "Cut" => {
                begin(stream)?;
                return stream.write_all(piece("Half a").as_bytes());
            }
            _ => begin(stream)?,
        }
        if said == "Go on" {
            loop {
                stream.write_all(piece("on ").as_bytes())?;
                thread::sleep(Duration::from_millis(20));
            }
        }
        stream.write_all((piece("You said: ") + &piece(said) + &end("stop") + "data: [DONE]\n\n").as_bytes())
    })
}

fn lapidary(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(arguments).env("XDG_DATA_HOME", home).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    command.env_remove("LAPIDARY_ENDPOINT_KEY").env_remove("OPENAI_API_KEY");
    command
}

#[test]
fn lines_are_answered_and_the_settings_and_the_key_are_passed_on() {
    let (server, home) = (echo(), tempfile::tempdir().unwrap());
    let address = server.address.as_str();
    let arguments =
        ["chat", "--endpoint", address, "-m", "gemma", "--temperature", "0.3", "--seed", "5", "--system", "Hi"];
    let mut command = lapidary(home.path(), &arguments);
    let (code, stdout, stderr) = piped(command.env("LAPIDARY_ENDPOINT_KEY", "sk-1"), "One\nTwo\n");
    assert_eq!((code, stdout.as_str()), (Some(0), "You said: One\nYou said: Two\n"), "{stderr}");
    let warning = format!("the whole chat is sent to {}", server.address.host());
    assert!(stderr.contains(&warning) && stderr.lines().count() == 1, "{stderr}");
    let seen = server.seen();
    assert!(seen.iter().all(|seen| seen.key.as_deref() == Some("Bearer sk-1")), "{seen:?}");
    let body = &seen.last().unwrap().body;
    assert_eq!((&body["temperature"], &body["seed"], &body["top_k"]), (&json!(0.3), &json!(5), &Value::Null));
    let roles: Vec<&str> = body["messages"].as_array().unwrap().iter().filter_map(|m| m["role"].as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
}

#[test]
fn mistakes_end_with_a_message_and_a_code() {
    let (server, home) = (echo(), tempfile::tempdir().unwrap());
    let address = server.address.as_str();
    for (arguments, code, words) in [
        (&["--endpoint", address][..], 1, "choose one with -m: gemma, other"),
        (&["--endpoint", "ftp://x"], 2, "names no server"),
        (&["--endpoint", address, "--raw"], 2, "--raw"),
        (&["--endpoint", address, "--weights", "q4_0"], 2, "--weights"),
        (&["--endpoint", address, "-m", "gemma", "--temperature", "-1"], 2, "temperature"),
    ] {
        let (status, stdout, stderr) = piped(&mut lapidary(home.path(), &[&["chat"], arguments].concat()), "One\n");
        assert_eq!((status, stdout.as_str()), (Some(code), ""), "{stderr}");
        assert!(stderr.contains(words), "no {words:?} in {stderr}");
    }
    let arguments = ["chat", "--endpoint", address, "-m", "gemma"];
    let (status, stdout, stderr) = piped(&mut lapidary(home.path(), &arguments), "One\nFail\nTwo\n");
    assert_eq!((status, stdout.as_str()), (Some(1), "You said: One\n"));
    assert!(stderr.contains("fails with status 500 (“out of memory”)"), "{stderr}");
}

#[test]
fn a_chat_in_a_terminal_is_kept_with_where_it_went() {
    let (server, home) = (echo(), tempfile::tempdir().unwrap());
    let address = server.address.as_str();
    let variables = [("LAPIDARY_ENDPOINT_KEY", ""), ("OPENAI_API_KEY", "")];
    let mut terminal = Terminal::start(&["chat", "--endpoint", address, "-m", "gemma"], home.path(), &variables);
    terminal.wait_for_prompt();
    let shown = terminal.screen().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("Your messages leave this program"), "{shown}");
    terminal.enter("Hello");
    terminal.wait_for("You said: Hello");
    terminal.enter("/model");
    assert!(terminal.screen().contains("* 1  gemma"), "{}", terminal.screen());
    terminal.enter("/model 2");
    terminal.enter("Fail");
    assert!(terminal.output().contains("fails with status 500"), "{}", terminal.screen());
    terminal.enter("Cut");
    terminal.wait_for("Half a");
    terminal.type_text("Go on\r");
    terminal.wait_for("on on on");
    terminal.type_text("\x03");
    terminal.wait_for_prompt();
    server.wait_for_gone_client();
    terminal.type_text("/quit\r");
    assert_eq!(terminal.code(), Some(0));

    let output = lapidary(home.path(), &["chats", "show", "1", "--json"]).output().unwrap();
    let chat: Value = serde_json::from_slice(&output.stdout).unwrap();
    let messages = chat["messages"].as_array().unwrap();
    let host = server.address.host();
    let replies: Vec<(&str, &str)> =
        messages.iter().filter_map(|message| Some((message["model"].as_str()?, message["status"].as_str()?))).collect();
    let author = |model: &str| format!("{model} at {host}");
    let expected = [(author("gemma"), "done"), (author("other"), "failed"), (author("other"), "stopped")];
    assert!(
        replies.iter().copied().eq(expected.iter().map(|(author, status)| (author.as_str(), *status))),
        "{replies:?}"
    );
}
