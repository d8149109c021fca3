//! The command itself.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{begin, read, send, wait_until_closed};
use crate::{endless, with};

/// The key of servers that are started with `--api-key secret`.
pub(crate) const KEY: (&str, &str) = ("Authorization", "Bearer secret");

/// A server in a process of its own, which ends with the test.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

pub(crate) fn lapidary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.env("XDG_DATA_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/server-data"));
    command.env("LAPIDARY_API_KEY", "from the environment").stdin(Stdio::null());
    command
}

/// Starts `lapidary serve` with the guide and waits for the address that it prints.
pub(crate) fn start(arguments: &[&str]) -> Process {
    start_as(lapidary(), arguments)
}

/// The same with an environment.
pub(crate) fn start_as(mut command: Command, arguments: &[&str]) -> Process {
    command.args(["serve", "-m", "guide", "--port", "0"]).args(arguments);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (sender, first) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = sender.send(output.read_line(&mut line).map(|_| line));
    });
    let line = first.recv_timeout(Duration::from_secs(120));
    if line.is_err() {
        let _ = child.kill();
    }
    let line = line.expect("it prints its address in time").unwrap();
    let address = line.trim().strip_prefix("guide is served at http://").and_then(|rest| rest.strip_suffix("/v1"));
    let address = address.unwrap_or_else(|| panic!("it printed {line:?}")).parse().unwrap();
    Process { child, address }
}

pub(crate) fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Waits until a process has ended. One that does not end in this time is killed.
pub(crate) fn wait(child: &mut Child, most: Duration) -> ExitStatus {
    let deadline = Instant::now() + most;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

impl Process {
    /// Its resident memory in MiB, where the system is Linux.
    pub(crate) fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(kilobytes.trim().strip_suffix(" kB")?.parse::<u64>().ok()? >> 10)
    }

    fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child, Duration::from_secs(60))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn signals_let_the_running_reply_finish() {
    for name in ["-TERM", "-INT"] {
        let mut server = start(&["--api-key", "secret"]);
        assert_eq!(send(server.address, "GET", "/v1/models", &[KEY], b"").status, 200);
        let body = with(endless(), json!({"max_tokens": 200})).to_string();
        let mut stream = begin(server.address, "/v1/completions", &[KEY], body.as_bytes(), true);
        server.signal(name);
        let events = read(&mut stream).events();
        assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "length", "{name}");
        assert_eq!(server.wait().code(), Some(0), "{name}");
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    for (name, code) in [("-TERM", 0), ("-INT", 130)] {
        let mut server = start(&["--api-key", "secret"]);
        let body = endless().to_string();
        let mut stream = begin(server.address, "/v1/completions", &[KEY], body.as_bytes(), true);
        server.signal(name);
        wait_until_closed(server.address);
        server.signal(name);
        assert_eq!(server.wait().code(), Some(code), "{name}");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"), "{name} waited for the reply");
    }
}

#[test]
fn the_key_may_come_from_the_environment() {
    let mut server = start(&[]);
    let models = |key: &str| send(server.address, "GET", "/v1/models", &[("Authorization", key)], b"").status;
    assert_eq!(models("Bearer from the environment"), 200);
    assert_eq!(models("Bearer secret"), 401);
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = lapidary().args(["serve", "-m", "guide", "--port", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains(&format!("127.0.0.1:{port}")) && message.contains("--port"), "{message}");
}

#[test]
fn text_over_http_is_that_of_the_command_line() {
    let server = start(&["--api-key", "secret"]);
    for question in ["How do I open a model?", "What is RoPE?"] {
        let output = lapidary().args(["run", "-m", "guide", "--json", question]).output().unwrap();
        let run: Value = serde_json::from_slice(&output.stdout).unwrap();
        let body = json!({"messages": [{"role": "user", "content": question}]}).to_string();
        let served = send(server.address, "POST", "/v1/chat/completions", &[KEY], body.as_bytes()).json();
        assert_eq!(served["choices"][0]["message"]["content"], run["text"]);
        assert!(run["text"].as_str().unwrap().len() > 20);
    }
}

#[test]
fn curl_gets_an_answer_and_a_stream() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("SKIPPED: curl is not installed");
        return;
    }
    let server = start(&["--api-key", "secret"]);
    let curl = |body: &str| {
        let url = format!("http://{}/v1/chat/completions", server.address);
        let mut command = Command::new("curl");
        command.args(["--silent", "--no-buffer", "--noproxy", "*", "--max-time", "60", &url]);
        command.args(["-H", "Authorization: Bearer secret", "-H", "Content-Type: application/json", "-d", body]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let body = r#"{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}"#;
    let answer: Value = serde_json::from_str(&curl(body)).unwrap();
    assert_eq!(answer["object"], "chat.completion");
    let stream = curl(&body.replacen('{', r#"{"stream": true, "#, 1));
    assert!(stream.starts_with("data: {") && stream.ends_with("data: [DONE]\n\n"), "{stream}");
}
