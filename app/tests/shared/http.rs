//! As much of HTTP/1.1 as the servers of the tests need.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What requests are read from and answers are written to.
pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Accepts connections until it is dropped.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Listener {
    /// Answers each connection on a new thread.
    pub(crate) fn start(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let started = Self { address: listener.local_addr().unwrap(), stopped: Arc::default() };
        let (answer, stopped) = (Arc::new(answer), started.stopped.clone());
        thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let answer = answer.clone();
                thread::spawn(move || answer(stream));
            }
        });
        started
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}

/// A request before its body: its first line and its headers.
pub(crate) struct Head {
    lines: Vec<String>,
}

impl Head {
    /// Reads it and nothing that follows it; `None` if the connection is over.
    pub(crate) fn read(stream: &mut dyn Stream) -> Option<Self> {
        let mut lines = Vec::new();
        let mut reader = BufReader::with_capacity(1, stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => return Some(Self { lines }),
                line => lines.push(line.to_owned()),
            }
        }
    }

    pub(crate) fn path(&self) -> Option<String> {
        self.lines.first()?.split(' ').nth(1).map(str::to_owned)
    }

    pub(crate) fn header(&self, wanted: &str) -> Option<String> {
        self.lines.iter().skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    }
}

/// Sends an answer with a body.
pub(crate) fn respond(stream: &mut dyn Stream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()
}
