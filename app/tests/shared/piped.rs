//! The program with lines as its input.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs the program with these lines as its input: its exit code, output and errors.
pub(crate) fn piped(command: &mut Command, lines: &str) -> (Option<i32>, String, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments may end before it reads anything.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}
