//! The command line from outside: output and exit codes.

#[cfg(unix)]
mod chat;
mod chats;
mod commands;
#[cfg(target_os = "linux")]
#[path = "../shared/display.rs"]
mod display;
mod guide_facts;
mod models;
#[path = "../shared/piped.rs"]
mod piped;
#[cfg(target_os = "linux")]
mod second_start;
mod setup;
#[cfg(unix)]
mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program with its own data folder.
fn lapidary(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(arguments).stdin(Stdio::null()).env("XDG_DATA_HOME", data_folder());
    // Without a command but with a display it would open a window.
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    command
}

fn data_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("data")
}

fn tiny() -> String {
    format!("{}/../tests/golden/tiny-random-gemma2", env!("CARGO_MANIFEST_DIR"))
}

/// The guide as a folder on disk.
fn guide() -> String {
    format!("{}/guide/model", env!("CARGO_MANIFEST_DIR"))
}

/// The model that is the default.
fn default_model(home: &Path) -> String {
    let mut command = lapidary(&["models", "--json"]);
    let output = command.env("XDG_DATA_HOME", home).env("HF_HUB_CACHE", home.join("no cache")).output().unwrap();
    let models: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = models["models"].as_array().unwrap();
    let default = list.iter().find(|model| model["note"].as_str().unwrap().ends_with("the default")).unwrap();
    default["model"].as_str().unwrap().to_owned()
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = lapidary(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Asserts that the program fails with this code, no output, and all of these words on standard error.
fn refuses(arguments: &[&str], code: i32, words: &[&str]) {
    let (status, stdout, stderr) = run(arguments);
    assert_eq!(status, Some(code), "{arguments:?}: {stderr}");
    assert_eq!(stdout, "", "{arguments:?}");
    assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{arguments:?}: no {word:?} in {stderr}");
    }
}
