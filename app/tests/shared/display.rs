//! A virtual display, for tests that start the real program in a real window.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

pub(crate) struct Display {
    server: Child,
    /// What the program gets as `DISPLAY`.
    pub(crate) name: String,
}

impl Display {
    /// Opens a display of this size in pixels, such as `"800x600"`. `None` where Xvfb is missing.
    pub(crate) fn open(pixels: &str) -> Option<Self> {
        // The server prints the number of a free display. `-noreset` keeps it from restarting when its last client leaves,
        // because it accepts no client meanwhile.
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", &format!("{pixels}x24"), "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut number = String::new();
        BufReader::new(server.stdout.take()?).read_line(&mut number).ok()?;
        Some(Self { server, name: format!(":{}", number.trim()) })
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
