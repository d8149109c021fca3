//! A second start of the window, as two real processes on a virtual display.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lapidary_app::data_folder::Lock;
use lapidary_app::handover::{HandedOver, hand_over};

use crate::display::Display;
use crate::{default_model, guide, lapidary};

const TIMEOUT: Duration = Duration::from_secs(120);

impl Display {
    fn start(&self, arguments: &[&str], home: &Path) -> Window {
        let mut command = lapidary(arguments);
        command.env("DISPLAY", &self.name).env("XDG_DATA_HOME", home).stdout(Stdio::null());
        Window(command.spawn().unwrap())
    }
}

struct Window(Child);

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !ready() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_second_start_hands_its_model_to_the_open_window() {
    let Some(display) = Display::open("800x600") else {
        assert!(std::env::var_os("CI").is_none(), "Xvfb is missing");
        eprintln!("Xvfb is missing, so a second start is not tested");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("lapidary");
    let listening = || hand_over(&data, &HandedOver::default()).is_ok();
    let mut first = display.start(&[], home.path());
    wait_until("the window listens", listening);
    assert_eq!(default_model(home.path()), "guide");

    let mut second = display.start(&[&guide()], home.path());
    let mut status = None;
    wait_until("the second start ends", || {
        status = second.0.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.is_some_and(|status| status.success()));
    let model = std::fs::canonicalize(guide()).unwrap();
    wait_until("the first window loads the model", || Path::new(&default_model(home.path())) == model);
    assert!(first.0.try_wait().unwrap().is_none(), "the first window stays open");

    // A killed window leaves its socket behind, and the next one takes its place.
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    assert!(!listening());
    let _third = display.start(&[], home.path());
    wait_until("the third window listens", listening);
}

#[test]
fn a_window_beside_a_chat_in_a_terminal_stays_open_and_explains() {
    let Some(display) = Display::open("800x600") else {
        assert!(std::env::var_os("CI").is_none(), "Xvfb is missing");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("lapidary");
    let _lock = Lock::take(&data).unwrap();
    let mut window = display.start(&[], home.path());
    std::thread::sleep(Duration::from_secs(3));
    assert!(window.0.try_wait().unwrap().is_none());
    assert!(!data.join("window/socket").exists() && !data.join("chats.sqlite").exists());
}
