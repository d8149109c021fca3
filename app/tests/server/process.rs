//! The command itself.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::client::{connect, read, request, send};
use crate::endless;

/// The command, and the address that it prints.
fn start(arguments: &[&str]) -> (Child, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(["serve", "-m", "guide", "--port", "0"]).args(arguments);
    command.env("XDG_DATA_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/server-data"));
    command.env("LAPIDARY_API_KEY", "from the environment");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("guide is served at http://").and_then(|rest| rest.strip_suffix("/v1"));
    (child, address.unwrap_or_else(|| panic!("it printed {line:?}")).parse().unwrap())
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn signals_let_the_running_reply_finish() {
    for name in ["-TERM", "-INT"] {
        let (mut child, address) = start(&["--api-key", "secret"]);
        let key = ("Authorization", "Bearer secret");
        assert_eq!(send(address, "GET", "/v1/models", &[key], b"").status, 200);
        let mut body = endless();
        body["max_tokens"] = json!(200);
        let mut stream = connect(address);
        let request = request("POST", "/v1/completions", &[key], body.to_string().as_bytes());
        stream.write_all(&request).unwrap();
        stream.peek(&mut [0]).unwrap();
        signal(&child, name);
        let events = read(&mut stream).events();
        assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "length", "{name}");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
    }
}

#[test]
fn the_key_may_come_from_the_environment() {
    let (mut child, address) = start(&[]);
    let models = |key: &str| send(address, "GET", "/v1/models", &[("Authorization", key)], b"").status;
    assert_eq!(models("Bearer from the environment"), 200);
    assert_eq!(models("Bearer secret"), 401);
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(["serve", "-m", "guide", "--port", &port]);
    let output = command.env("XDG_DATA_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/server-data")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains(&format!("127.0.0.1:{port}")) && message.contains("--port"), "{message}");
}
