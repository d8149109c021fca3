//! Notes of the desktop, such as that a reply has ended, through the notification service of the D-Bus session.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use zbus::zvariant::Value;

/// The notes that may wait while the service does not answer. Further ones are dropped.
const WAITING: usize = 4;
/// How long the service may take for a note.
const PATIENCE: Duration = Duration::from_secs(20);

/// A note: its title and a sentence.
type Note = (String, String);

/// Shows notes on its own thread.
pub(crate) struct DesktopNotes {
    notes: SyncSender<Note>,
}

impl DesktopNotes {
    /// Starts the thread; `None` if the system has no room for one.
    pub(crate) fn start() -> Option<Self> {
        Self::start_on(None)
    }

    /// Like [`DesktopNotes::start`], on the bus with this address instead of the session's.
    fn start_on(address: Option<String>) -> Option<Self> {
        let (notes, inbox) = sync_channel(WAITING);
        let work = move || show_all(&inbox, address.as_deref());
        match std::thread::Builder::new().name("lapidary-notes".into()).spawn(work) {
            Ok(_) => Some(Self { notes }),
            Err(error) => {
                log::warn!("cannot start a thread: {error}");
                None
            }
        }
    }

    /// Shows a note. Where the desktop has no notification service, nothing happens.
    pub(crate) fn show(&self, title: &str, text: &str) {
        // A full queue means that the service hangs, and then a note less does no harm.
        let _ = self.notes.try_send((title.to_owned(), text.to_owned()));
    }
}

/// Shows notes until the window is closed.
fn show_all(inbox: &Receiver<Note>, address: Option<&str>) {
    for note in inbox {
        // A connection per note: there are few, and the bus may be restarted between them.
        if let Err(error) = pollster::block_on(show(&note, address)) {
            log::info!("the desktop shows no note: {error}");
        }
    }
}

async fn show((title, text): &Note, address: Option<&str>) -> zbus::Result<()> {
    let builder = match address {
        Some(address) => zbus::connection::Builder::address(address)?,
        None => zbus::connection::Builder::session()?,
    };
    let connection = builder.method_timeout(PATIENCE).build().await?;
    let hints = HashMap::from([("desktop-entry", Value::from("lapidary")), ("category", Value::from("im.received"))]);
    let actions: [&str; 0] = [];
    // The name of the program, no earlier note to replace, an icon, the texts, no buttons, and the desktop's own duration.
    let note = ("Lapidary", 0_u32, "lapidary", title, text, &actions[..], hints, -1_i32);
    let (service, path) = ("org.freedesktop.Notifications", "/org/freedesktop/Notifications");
    connection.call_method(Some(service), path, Some(service), "Notify", &note).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// A bus for one test, which ends with it.
    struct Bus {
        process: Child,
        address: String,
    }

    impl Bus {
        /// `None` where dbus-daemon is missing.
        fn start() -> Option<Self> {
            let mut process = Command::new("dbus-daemon")
                .args(["--session", "--nofork", "--print-address"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .ok()?;
            let mut address = String::new();
            BufReader::new(process.stdout.take()?).read_line(&mut address).ok()?;
            Some(Self { process, address: address.trim().to_owned() })
        }
    }

    impl Drop for Bus {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    /// A notification service that passes on what it is told.
    struct Service(Sender<(String, String, String)>);

    #[zbus::interface(name = "org.freedesktop.Notifications")]
    impl Service {
        #[expect(clippy::too_many_arguments, reason = "the arguments of the standard")]
        fn notify(
            &self,
            program: String,
            _replaces: u32,
            _icon: String,
            title: String,
            text: String,
            _actions: Vec<String>,
            _hints: HashMap<String, zbus::zvariant::OwnedValue>,
            _milliseconds: i32,
        ) -> u32 {
            self.0.send((program, title, text)).unwrap();
            1
        }
    }

    #[test]
    fn notes_reach_the_notification_service_of_the_bus() {
        let Some(bus) = Bus::start() else {
            eprintln!("dbus-daemon is missing, so notes of the desktop are not tested");
            return;
        };
        let (sender, shown) = channel();
        let notes = DesktopNotes::start_on(Some(bus.address.clone())).unwrap();
        // Nobody listens yet, which is no error.
        notes.show("Early", "Nobody sees this.");
        std::thread::sleep(Duration::from_millis(300));
        let service = pollster::block_on(async {
            let builder = zbus::connection::Builder::address(bus.address.as_str()).unwrap();
            let builder = builder.serve_at("/org/freedesktop/Notifications", Service(sender)).unwrap();
            builder.name("org.freedesktop.Notifications").unwrap().build().await.unwrap()
        });
        notes.show("Fruit <b>salad</b>", "The reply is complete.");
        let expected = ("Lapidary", "Fruit <b>salad</b>", "The reply is complete.");
        let (program, title, text) = shown.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!((program.as_str(), title.as_str(), text.as_str()), expected);
        drop(service);
    }
}
