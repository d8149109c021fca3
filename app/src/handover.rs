//! A second start hands its arguments to the window that is open, over a local socket.
//!
//! The socket belongs to a data folder, as the chats do. On Unix it is in a folder that only its owner can enter, and
//! both sides check that the other runs as the same user. On Windows it is a pipe with a random name that is written in
//! the data folder. A message is one line of JSON, and the answer is one word.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{ListenerOptions, Name};
use serde::{Deserialize, Serialize};

/// The most bytes of a message; longer ones are refused.
const MAX_BYTES: u64 = 64 << 10;
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most messages that are received at the same time.
const MAX_CONNECTIONS: usize = 8;
/// The answer to a message that was delivered.
const ACCEPTED: &str = "accepted";

/// What a second start asks the open window to do: come to the front, and open a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    /// The absolute path of the model to open; `None` to keep the present one.
    #[serde(default)]
    pub model: Option<PathBuf>,
}

/// Why the arguments were not handed over.
#[derive(Debug)]
pub enum NotHandedOver {
    /// No window listens. Another kind of program may have the chats open.
    NobodyListens(io::Error),
    /// The socket belongs to another user, so nothing was sent.
    AnotherUser,
    /// The window did not accept the message.
    Refused,
}

impl fmt::Display for NotHandedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyListens(error) => write!(f, "no open window listens ({error})"),
            Self::AnotherUser => f.write_str("the socket of the open window belongs to another user"),
            Self::Refused => f.write_str("the open window did not accept the message"),
        }
    }
}

/// Receives messages for the window that has the data folder locked, on a new thread, until the program ends. A socket
/// that an earlier window left behind is replaced. `deliver` returns whether the window took the message.
///
/// # Errors
/// If the socket cannot be created. The window then works without it.
pub fn listen(folder: &Path, deliver: impl Fn(HandedOver) -> bool + Send + Sync + 'static) -> io::Result<()> {
    let name = place::create(folder)?;
    let listener = ListenerOptions::new().name(name).try_overwrite(true).create_sync()?;
    let deliver = Arc::new(deliver);
    let open = Arc::new(AtomicUsize::new(0));
    let receive = move || {
        for stream in listener.incoming() {
            let stream = match stream {
                Ok(stream) => stream,
                Err(error) => {
                    log::debug!("a second start could not connect: {error}");
                    // Without a pause, an error that stays would take a whole core.
                    thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            if open.load(Ordering::SeqCst) >= MAX_CONNECTIONS {
                continue;
            }
            open.fetch_add(1, Ordering::SeqCst);
            let (deliver, done) = (deliver.clone(), open.clone());
            let answer = move || {
                if let Err(error) = receive_one(stream, &*deliver) {
                    log::debug!("a message of a second start was not accepted: {error}");
                }
                done.fetch_sub(1, Ordering::SeqCst);
            };
            if thread::Builder::new().name("lapidary-handover".into()).spawn(answer).is_err() {
                open.fetch_sub(1, Ordering::SeqCst);
            }
        }
    };
    thread::Builder::new().name("lapidary-handover".into()).spawn(receive)?;
    Ok(())
}

fn receive_one(stream: LocalSocketStream, deliver: &dyn Fn(HandedOver) -> bool) -> io::Result<()> {
    if !place::is_own_user(&stream) {
        return Err(io::Error::other("it is from another user"));
    }
    // Windows has no timeouts for pipes. There, a silent client takes one of the connections.
    let _ = stream.set_recv_timeout(Some(PATIENCE)).and_then(|()| stream.set_send_timeout(Some(PATIENCE)));
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    (&mut reader).take(MAX_BYTES + 1).read_until(b'\n', &mut line)?;
    if line.len() as u64 > MAX_BYTES || line.last() != Some(&b'\n') {
        return Err(io::Error::other("it is not one line of at most 64 KiB"));
    }
    let message: HandedOver = serde_json::from_slice(&line)?;
    if message.model.as_deref().is_some_and(|path| !path.is_absolute()) {
        return Err(io::Error::other("its path is not absolute"));
    }
    if !deliver(message) {
        return Err(io::Error::other("the window is closing"));
    }
    writeln!(reader.get_mut(), "{ACCEPTED}")
}

/// Sends a message to the window that is open on a data folder, and waits until it is accepted.
///
/// # Errors
/// [`NotHandedOver`], after a few seconds at most.
pub fn hand_over(folder: &Path, message: &HandedOver) -> Result<(), NotHandedOver> {
    let (folder, message) = (folder.to_owned(), message.clone());
    let (sender, result) = mpsc::channel();
    // On its own thread, because a pipe of Windows has no timeout.
    let work = move || {
        let _ = sender.send(send(&folder, &message));
    };
    if let Err(error) = thread::Builder::new().name("lapidary-handover".into()).spawn(work) {
        return Err(NotHandedOver::NobodyListens(error));
    }
    result.recv_timeout(2 * PATIENCE).unwrap_or(Err(NotHandedOver::Refused))
}

fn send(folder: &Path, message: &HandedOver) -> Result<(), NotHandedOver> {
    let nobody = NotHandedOver::NobodyListens;
    let name = place::find(folder)?;
    let stream = LocalSocketStream::connect(name).map_err(nobody)?;
    if !place::is_own_user(&stream) {
        return Err(NotHandedOver::AnotherUser);
    }
    let _ = stream.set_recv_timeout(Some(PATIENCE)).and_then(|()| stream.set_send_timeout(Some(PATIENCE)));
    // A path that is not Unicode has no JSON form.
    let mut line = serde_json::to_string(message).map_err(|error| nobody(error.into()))?;
    line.push('\n');
    let mut reader = BufReader::new(stream);
    reader.get_mut().write_all(line.as_bytes()).map_err(nobody)?;
    let mut answer = String::new();
    match reader.take(64).read_line(&mut answer) {
        Ok(_) if answer.trim_end() == ACCEPTED => Ok(()),
        _ => Err(NotHandedOver::Refused),
    }
}

/// Where the socket is on Unix: `window/socket` in the data folder.
#[cfg(unix)]
mod place {
    use std::fs::{self, DirBuilder};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};

    use interprocess::local_socket::GenericFilePath;
    use rustix::process::geteuid;

    use super::*;

    pub(super) fn create(folder: &Path) -> io::Result<Name<'static>> {
        let private = folder.join("window");
        match DirBuilder::new().mode(0o700).create(&private) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => created?,
        }
        if !is_private(&private) {
            return Err(io::Error::other(format!("{} is open to other users", private.display())));
        }
        private.join("socket").to_fs_name::<GenericFilePath>()
    }

    pub(super) fn find(folder: &Path) -> Result<Name<'static>, NotHandedOver> {
        let private = folder.join("window");
        let nobody = NotHandedOver::NobodyListens;
        fs::symlink_metadata(&private).map_err(nobody)?;
        if !is_private(&private) {
            return Err(NotHandedOver::AnotherUser);
        }
        private.join("socket").to_fs_name::<GenericFilePath>().map_err(nobody)
    }

    /// Whether a folder is this user's own, and no one else can enter it.
    fn is_private(folder: &Path) -> bool {
        fs::symlink_metadata(folder).is_ok_and(|found| {
            found.is_dir() && found.uid() == geteuid().as_raw() && found.permissions().mode() & 0o077 == 0
        })
    }

    pub(super) fn is_own_user(stream: &LocalSocketStream) -> bool {
        let user = stream.peer_creds().ok().and_then(|peer| peer.euid());
        user == Some(geteuid().as_raw())
    }
}

/// Where the socket is on Windows: its random name is in the file `window-pipe` of the data folder.
#[cfg(windows)]
mod place {
    use std::fs;

    use interprocess::local_socket::GenericNamespaced;

    use super::*;
    use crate::chats::new_id;

    const FILE: &str = "window-pipe";

    pub(super) fn create(folder: &Path) -> io::Result<Name<'static>> {
        let name = format!("lapidary-{:x}{:x}", new_id(), new_id());
        fs::write(folder.join(FILE), &name)?;
        name.to_ns_name::<GenericNamespaced>()
    }

    pub(super) fn find(folder: &Path) -> Result<Name<'static>, NotHandedOver> {
        let name = fs::read_to_string(folder.join(FILE)).map_err(NotHandedOver::NobodyListens)?;
        name.to_ns_name::<GenericNamespaced>().map_err(NotHandedOver::NobodyListens)
    }

    /// Others cannot know the name, nor open the pipe to write.
    pub(super) fn is_own_user(_: &LocalSocketStream) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    use std::fs;
    #[cfg(unix)]
    use std::os::unix::fs::PermissionsExt;
    #[cfg(unix)]
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn listening(folder: &Path) -> mpsc::Receiver<HandedOver> {
        let (sender, received) = mpsc::channel();
        listen(folder, move |message| sender.send(message).is_ok()).unwrap();
        received
    }

    fn model(path: &str) -> HandedOver {
        let drive = if cfg!(windows) { "C:" } else { "" };
        HandedOver { model: Some(format!("{drive}{path}").into()) }
    }

    #[test]
    fn messages_arrive_in_the_open_window() {
        let folder = tempfile::tempdir().unwrap();
        let received = listening(folder.path());
        for message in [HandedOver::default(), model("/a model.gguf")] {
            hand_over(folder.path(), &message).unwrap();
            assert_eq!(received.recv_timeout(PATIENCE).unwrap(), message);
        }
        drop(received);
        assert!(matches!(hand_over(folder.path(), &model("/b.gguf")), Err(NotHandedOver::Refused)), "it has closed");
    }

    #[cfg(unix)]
    #[test]
    fn without_a_window_nobody_listens_and_a_stale_socket_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let nobody = |result| matches!(result, Err(NotHandedOver::NobodyListens(_)));
        assert!(nobody(hand_over(folder.path(), &model("/a.gguf"))));
        place::create(folder.path()).unwrap();
        // A killed window leaves its socket behind.
        drop(UnixListener::bind(folder.path().join("window/socket")).unwrap());
        assert!(nobody(hand_over(folder.path(), &model("/a.gguf"))));
        let received = listening(folder.path());
        hand_over(folder.path(), &model("/a.gguf")).unwrap();
        assert_eq!(received.recv().unwrap(), model("/a.gguf"));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_enter_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let received = listening(folder.path());
        let private = folder.path().join("window");
        fs::set_permissions(&private, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(hand_over(folder.path(), &model("/a.gguf")), Err(NotHandedOver::AnotherUser)));
        assert!(received.try_recv().is_err());
        assert!(listen(folder.path(), |_| true).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_message_is_refused_and_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let received = listening(folder.path());
        let long = format!("{{\"model\": \"/{}\"}}\n", "x".repeat(MAX_BYTES as usize));
        for text in ["", "\n", "nonsense\n", "{\"model\": \"relative.gguf\"}\n", "{\"model\": 7}\n", &long] {
            let mut stream = UnixStream::connect(folder.path().join("window/socket")).unwrap();
            // The listener may have closed the connection before everything is written.
            let _ = stream.write_all(text.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            assert_eq!(answer, "", "{:?}", &text[..text.len().min(40)]);
        }
        hand_over(folder.path(), &model("/a.gguf")).unwrap();
        assert_eq!(received.try_iter().collect::<Vec<_>>(), [model("/a.gguf")]);
    }

    #[cfg(unix)]
    #[test]
    fn silent_connections_do_not_keep_others_out_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let _received = listening(folder.path());
        let socket = folder.path().join("window/socket");
        let _silent: Vec<_> = (0..MAX_CONNECTIONS).map(|_| UnixStream::connect(&socket).unwrap()).collect();
        thread::sleep(PATIENCE + Duration::from_secs(1));
        hand_over(folder.path(), &HandedOver::default()).unwrap();
    }
}
