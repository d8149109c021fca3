//! A terminal for tests: a pseudo terminal, and the screen that its output makes.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{OpenptyResult, Winsize, openpty};

/// The timeout of every wait. A cold start on a busy machine compiles shaders.
const TIMEOUT: Duration = Duration::from_secs(120);
const ROWS: u16 = 50;
pub(crate) const COLUMNS: u16 = 60;

pub(crate) struct Terminal {
    keyboard: File,
    child: Child,
    screen: Arc<Mutex<Screen>>,
}

struct Screen {
    parser: vt100::Parser,
    /// All output.
    output: String,
}

impl Terminal {
    /// Starts the program in a terminal of its own.
    pub(crate) fn start(arguments: &[&str], home: &Path, variables: &[(&str, &str)]) -> Self {
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
        let (keyboard, line) = (File::from(master), File::from(slave));
        // It makes the terminal the controlling one, so that Ctrl-C is a signal.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_lapidary")]).args(arguments);
        command.env("XDG_DATA_HOME", home).env("HF_HUB_CACHE", home.join("no cache")).env("TERM", "xterm-256color");
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("NO_COLOR").env_remove("CLICOLOR");
        command.envs(variables.iter().copied());
        let other = || line.try_clone().unwrap();
        let child = command.stdin(other()).stdout(other()).stderr(line).spawn().unwrap();
        let mut reader = keyboard.try_clone().unwrap();
        let screen = Screen { parser: vt100::Parser::new(ROWS, COLUMNS, 0), output: String::new() };
        let screen = Arc::new(Mutex::new(screen));
        let shown = screen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                let mut screen = shown.lock().unwrap();
                screen.parser.process(&bytes[..count]);
                screen.output.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { keyboard, child, screen }
    }

    pub(crate) fn type_text(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// What the screen shows.
    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap().parser.screen().contents()
    }

    /// Everything that was printed, with escape sequences.
    pub(crate) fn output(&self) -> String {
        self.screen.lock().unwrap().output.clone()
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_until(text, |screen| screen.contains(text));
    }

    /// Waits for an empty prompt in the last line, which shows that what was asked for is done.
    #[track_caller]
    pub(crate) fn wait_for_prompt(&self) {
        self.wait_until("the prompt", |screen| screen.lines().last().is_some_and(|line| line.trim_end() == ">"));
    }

    #[track_caller]
    fn wait_until(&self, what: &str, ready: impl Fn(&str) -> bool) {
        let end = Instant::now() + TIMEOUT;
        while !ready(&self.screen()) {
            assert!(Instant::now() < end, "waited for {what} in vain:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types a line and waits until what it asks for is done.
    #[track_caller]
    pub(crate) fn enter(&mut self, line: &str) {
        self.type_text(line);
        // Otherwise the old prompt could be taken for the new one.
        let end: String = line.chars().skip(line.chars().count().saturating_sub(3)).collect();
        self.wait_until(line, |screen| {
            screen.lines().last().is_some_and(|last| last.trim_end() != ">" && last.ends_with(&end))
        });
        self.type_text("\r");
        self.wait_for_prompt();
    }

    /// Waits for the end of the program. Returns its exit code.
    pub(crate) fn code(mut self) -> Option<i32> {
        let end = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
