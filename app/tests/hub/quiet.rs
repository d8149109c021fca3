//! Without a person's act the program opens no connection.

use std::path::Path;
use std::process::Command;

use lapidary_app::hub::{Cache, Client, HOSTS, HubSettings, Stop};

use crate::commands::lapidary;
use crate::server::Server;

/// The calls that open sockets of networks, of a program under `strace`; `None` where there is no strace.
fn sockets(home: &Path, server: &Server, arguments: &[&str]) -> Option<Vec<String>> {
    let log = home.join("strace.log");
    let program = lapidary(server, home, arguments);
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e", "trace=%network", "-o"])
        .arg(&log)
        .arg(program.get_program())
        .args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.stdin(std::process::Stdio::null()).output().ok()?;
    let log = std::fs::read_to_string(&log).ok()?;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(log.lines().filter(|line| line.contains("AF_INET")).map(str::to_owned).collect())
}

#[test]
fn only_the_commands_that_say_so_open_a_connection() {
    let server = Server::new();
    let home = tempfile::tempdir().unwrap();
    // Some containers forbid to trace.
    let traced = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    let problem = match &traced {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("{error}; install strace")),
    };
    if let Some(problem) = problem {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "strace does not work, which CI needs: {problem}");
        eprintln!("SKIPPED: which connections the program opens, because strace does not work: {problem}");
        return;
    }
    for arguments in [
        &["run", "-m", "guide", "hello"][..],
        &["chat", "-m", "guide"],
        &["models"],
        &["devices"],
        &["pull", "--list"],
        &["fit", "guide", "--no-speed"],
        &["fit", "gemma-2-2b-it", "--no-speed"],
        &["--help"],
    ] {
        let opened = sockets(home.path(), &server, arguments).expect("strace runs");
        assert!(opened.is_empty(), "{arguments:?}: {opened:?}");
    }
    assert!(server.state().hub.is_empty());
    // That this notices connections.
    server.put("a/gemma", "x.gguf", b"x", true);
    let opened = sockets(home.path(), &server, &["pull", "a/gemma", "--accept-terms"]).expect("strace runs");
    assert!(opened.iter().any(|line| line.contains("127.0.0.1")), "{opened:?}");
}

#[test]
fn settings_and_clients_connect_to_nothing() {
    let server = Server::new();
    let folder = tempfile::tempdir().unwrap();
    let client = Client::new(HubSettings { ..server.settings(folder.path()) }, Stop::default()).unwrap();
    let _ = (client, Cache::new(folder.path()).repos());
    assert!(server.state().hub.is_empty());
    assert!(HOSTS.iter().any(|host| host.name == "huggingface.co"));
}
