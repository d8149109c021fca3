//! The real program with the guide, in a real window on a virtual display, with simulated keys.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lapidary_app::chats::{Message, Role, Status, Store, StoreEvent};

use crate::display::Display;

/// The timeout of every wait. A cold start on a busy machine compiles shaders.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Asks the guide, quits, starts again, finds the chat and continues it.
///
/// With `LAPIDARY_SCREENSHOT=FILE` it also takes a screenshot, for the README.
#[test]
fn a_question_is_answered_and_found_again() {
    let Some(display) = open_display() else {
        assert!(std::env::var_os("CI").is_none(), "Xvfb and xdotool are missing");
        eprintln!("Xvfb and xdotool are missing, so the end-to-end test is skipped");
        return;
    };
    let data = tempfile::tempdir().unwrap();
    let chats = data.path().join("lapidary/chats.sqlite");

    let mut program = display.start(data.path());
    display.type_text("How do I open a model?");
    display.key("Return");
    let first = wait_for("the guide answers", || answered(&chats, 1));
    assert!(first.last().unwrap().text.contains("gguf"), "{first:?}");
    display.key("ctrl+q");
    assert!(program.wait().unwrap().success());

    let mut program = display.start(data.path());
    display.key("ctrl+shift+f");
    display.type_text("open a");
    // Tab reaches the hits once they are shown.
    std::thread::sleep(Duration::from_secs(2));
    display.key("Tab");
    display.key("space");
    std::thread::sleep(Duration::from_millis(500));
    display.click_composer();
    display.type_text("Which model fits my GPU?");
    display.key("Return");
    let all = wait_for("it goes on in the same chat", || answered(&chats, 2));
    assert_eq!(all[..2], first[..], "what was said before is as it was");
    assert_eq!(all[2].parent, Some(first[1].id));
    if let Some(picture) = std::env::var_os("LAPIDARY_SCREENSHOT") {
        display.key("ctrl+f");
        display.key("Escape");
        std::thread::sleep(Duration::from_secs(1));
        let taken =
            Command::new("import").args(["-window", "root"]).arg(picture).env("DISPLAY", &display.name).status();
        assert!(taken.unwrap().success());
    }
    // A second start reports that the first is open and changes nothing.
    let mut second = display.spawn(data.path());
    std::thread::sleep(Duration::from_secs(2));
    second.kill().unwrap();
    second.wait().unwrap();
    display.focus();
    display.key("ctrl+q");
    assert!(program.wait().unwrap().success());
    assert_eq!(wait_for("all is saved", || answered(&chats, 2)), all);
}

/// `None` where Xvfb or xdotool is missing.
fn open_display() -> Option<Display> {
    Command::new("xdotool").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Display::open("1080x760")
}

/// The messages of the only chat, once it has this number of complete replies.
fn answered(path: &Path, replies: usize) -> Option<Vec<Message>> {
    if !path.exists() {
        return None;
    }
    let store = Store::open(Some(path.to_owned()), Arc::new(|| {}));
    let next = || wait_for("the database answers", || store.event());
    let StoreEvent::Opened { chats, .. } = next() else { return None };
    assert!(chats.len() <= 1, "{chats:?}");
    store.load(chats.first()?.id);
    let StoreEvent::Messages(_, mut messages) = next() else { return None };
    messages.sort_by_key(|message| message.created);
    let done = messages.iter().filter(|message| message.role == Role::Model && message.status == Status::Done).count();
    (done >= replies).then_some(messages)
}

fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < end, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Display {
    fn spawn(&self, data: &Path) -> Child {
        Command::new(PathBuf::from(env!("CARGO_BIN_EXE_lapidary")))
            .env("DISPLAY", &self.name)
            .env_remove("WAYLAND_DISPLAY")
            .env("XDG_DATA_HOME", data)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Starts the program and waits until its window has the focus.
    fn start(&self, data: &Path) -> Child {
        let mut program = self.spawn(data);
        wait_for("the window opens", || {
            assert_eq!(program.try_wait().unwrap(), None, "the program ended");
            self.window()
        });
        // There is no window manager to set the focus.
        std::thread::sleep(Duration::from_secs(1));
        self.focus();
        program
    }

    fn window(&self) -> Option<String> {
        let found = self.xdotool(&["search", "--onlyvisible", "--name", "^Lapidary$"]);
        found.lines().next().map(str::to_owned)
    }

    fn focus(&self) {
        let window = wait_for("the window is there", || self.window());
        self.xdotool(&["windowfocus", "--sync", &window]);
        std::thread::sleep(Duration::from_millis(300));
    }

    fn type_text(&self, text: &str) {
        self.xdotool(&["type", "--delay", "40", text]);
    }

    fn key(&self, key: &str) {
        self.xdotool(&["key", "--delay", "60", key]);
        std::thread::sleep(Duration::from_millis(200));
    }

    /// Clicks the composer at the bottom of the window.
    fn click_composer(&self) {
        self.xdotool(&["mousemove", "600", "665", "click", "1"]);
        std::thread::sleep(Duration::from_millis(200));
    }

    fn xdotool(&self, arguments: &[&str]) -> String {
        let output = Command::new("xdotool").args(arguments).env("DISPLAY", &self.name).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
