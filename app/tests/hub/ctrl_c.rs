//! Ctrl-C ends a command with the exit code that shells expect, wherever it waits.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{OpenptyResult, openpty};

use crate::commands::{lapidary, with_guide};

/// Long enough for a start on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < TIMEOUT, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Sends the signal of Ctrl-C, and returns the exit code.
pub(crate) fn interrupt(child: &mut Child) -> Option<i32> {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let mut status = None;
    wait_until("the program goes on after Ctrl-C", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap().code()
}

#[test]
fn ctrl_c_at_the_question_about_terms_is_no_success() {
    let server = with_guide();
    let home = tempfile::tempdir().unwrap();
    let OpenptyResult { master, slave } = openpty(None, None).unwrap();
    let (mut screen, line) = (File::from(master), File::from(slave));
    let mut command = lapidary(&server, home.path(), &["pull", "lapidary/guide-gemma"]);
    command.stdin(line.try_clone().unwrap()).stdout(Stdio::null()).stderr(line);
    let mut child = command.spawn().unwrap();
    // Else reading would never end where the program fails.
    drop(command);
    let mut shown = String::new();
    while !shown.contains("Do you accept") {
        let mut bytes = [0; 1024];
        let count = screen.read(&mut bytes).unwrap();
        shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    assert_eq!(interrupt(&mut child), Some(130));
    assert!(server.state().storage.is_empty(), "nothing was downloaded");
}

#[test]
fn ctrl_c_during_a_dry_run_is_no_success() {
    let server = with_guide();
    server.faults(|faults| faults.stall = usize::MAX);
    let home = tempfile::tempdir().unwrap();
    let mut command = lapidary(&server, home.path(), &["pull", "lapidary/guide-gemma", "--dry-run"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_until("it reads the model's headers", || server.state().sent > 0);
    assert_eq!(interrupt(&mut child), Some(130));
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "");
}
