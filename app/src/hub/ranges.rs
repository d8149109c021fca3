//! Several ranges of one large file at once, because hosts limit the speed of a connection.
//!
//! Ranges are written in their order. So what is on the disk is always the start of the file, as with one connection, and is resumed,
//! hashed and shared with other programs in the same way. What came of later ranges is lost with the program, at most [`AHEAD`].

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::StatusCode;

use super::download::{Download, PIECE, Partial, Step, extent, file_url};
use super::error::{HubError, Result};

/// Files of which less is to come are received in one piece.
pub(super) const LARGE: u64 = 8 << 20;
/// The length of the first ranges. Later ones take about [`RANGE_TIME`], so that a request costs little and not much is lost.
const FIRST: u64 = 1 << 20;
/// The length of the longest ranges.
const LONGEST: u64 = 16 << 20;
/// How long a range should take.
const RANGE_TIME: Duration = Duration::from_secs(2);
/// Bytes after those on the disk that are asked for.
const AHEAD: u64 = 64 << 20;
/// How often a connection that is too far ahead looks whether it may go on.
const PAUSE: Duration = Duration::from_millis(50);

/// What a connection tells the one that writes.
enum Message {
    /// The number of bytes that came.
    Came(u64),
    /// A range is complete: its start and its bytes.
    Complete(u64, Vec<u8>),
    /// A range failed.
    Failed(HubError),
    /// The server sends no ranges of this file.
    NoRanges,
}

/// What the connections share.
struct Shared {
    state: Mutex<State>,
    written: Condvar,
    size: u64,
}

struct State {
    /// The first byte that nobody asked for.
    next: u64,
    /// Bytes on the disk.
    written: u64,
    stopped: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next range of about this length, once it is not too far ahead; `None` if there is nothing more to do.
    fn take(&self, len: u64) -> Option<Range<u64>> {
        let mut state = self.state();
        loop {
            if state.stopped || state.next >= self.size {
                return None;
            }
            if state.next < state.written + AHEAD {
                let range = state.next..self.size.min(state.next + len);
                state.next = range.end;
                return Some(range);
            }
            state = self.written.wait_timeout(state, PAUSE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn set_written(&self, written: u64) {
        self.state().written = written;
        self.written.notify_all();
    }

    fn stop(&self) {
        self.state().stopped = true;
        self.written.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.state().stopped
    }
}

impl Download<'_> {
    /// Receives the rest of the file over several connections. Returns whether the server sends ranges of it.
    ///
    /// # Errors
    /// Those of the network and of access, [`HubError::Io`] and [`HubError::Cancelled`]. What came in order is kept.
    pub(super) fn receive_ranges(&self, partial: &mut Partial, report: &mut dyn FnMut(Step<'_>)) -> Result<bool> {
        let state = State { next: partial.have, written: partial.have, stopped: false };
        let shared = Shared { state: Mutex::new(state), written: Condvar::new(), size: self.file.size };
        thread::scope(|scope| {
            let (sender, messages) = channel();
            for _ in 0..self.client.settings().connections {
                let (sender, shared) = (sender.clone(), &shared);
                let work = move || self.receive_each(shared, &sender);
                thread::Builder::new()
                    .name("lapidary-range".into())
                    .spawn_scoped(scope, work)
                    .map_err(|error| HubError::io(&partial.path, error))
                    .inspect_err(|_| shared.stop())?;
            }
            // The messages end with the connections.
            drop(sender);
            let (mut waiting, mut ahead, mut outcome) = (BTreeMap::new(), 0, Ok(true));
            for message in messages {
                match message {
                    Message::Came(bytes) => ahead += bytes,
                    Message::Complete(start, bytes) => {
                        waiting.insert(start, bytes);
                        while let Some(bytes) = waiting.remove(&partial.have) {
                            if let Err(error) = partial.file.write_all(&bytes) {
                                shared.stop();
                                return Err(self.io(&partial.path, error));
                            }
                            partial.hasher.update(&bytes);
                            partial.have += bytes.len() as u64;
                            ahead = ahead.saturating_sub(bytes.len() as u64);
                        }
                        shared.set_written(partial.have);
                    }
                    Message::Failed(error) => {
                        shared.stop();
                        // The others fail because they were stopped.
                        outcome = outcome.and(Err(error));
                    }
                    Message::NoRanges => {
                        shared.stop();
                        outcome = outcome.map(|_| false);
                    }
                }
                report(Step::Have((partial.have + ahead).min(self.file.size)));
            }
            outcome
        })
    }

    /// Receives ranges, one after the other, until there are no more.
    fn receive_each(&self, shared: &Shared, sender: &Sender<Message>) {
        let mut len = FIRST;
        while let Some(range) = shared.take(len) {
            let (start, started) = (range.start, Instant::now());
            let message = match self.receive_range(range, shared, sender) {
                Ok(Some(bytes)) => Message::Complete(start, bytes),
                Ok(None) if shared.is_stopped() => return,
                Ok(None) => Message::NoRanges,
                Err(error) => Message::Failed(error),
            };
            let is_last = !matches!(message, Message::Complete(..));
            if sender.send(message).is_err() || is_last {
                return;
            }
            len = match started.elapsed() {
                taken if taken < RANGE_TIME / 2 => LONGEST.min(2 * len),
                taken if taken > 2 * RANGE_TIME => FIRST.max(len / 2),
                _ => len,
            };
        }
    }

    /// Receives a range; `None` where the server sends none, or the others were stopped.
    fn receive_range(&self, range: Range<u64>, shared: &Shared, sender: &Sender<Message>) -> Result<Option<Vec<u8>>> {
        let refusal = |refusal: &_| self.client.refused(self.reference, Some(&self.file.path), refusal);
        let url = file_url(self.client, &self.reference.repo, self.commit, &self.file.path);
        let asked = format!("bytes={}-{}", range.start, range.end - 1);
        let answer = match self.client.attempt(&url, Some(&asked), &refusal) {
            // One connection says what is wrong with the file, or is all that the server gives to one client.
            Err(HubError::Status { status: 416, .. } | HubError::TooManyRequests { .. }) => return Ok(None),
            answer => answer?,
        };
        self.check_hash(&answer)?;
        if answer.status != StatusCode::PARTIAL_CONTENT || extent(&answer) != (Some(range.start), Some(self.file.size))
        {
            return Ok(None);
        }
        let host = answer.host.clone();
        let len = range.end - range.start;
        let network = |reason: String| HubError::Network { host: host.clone(), reason };
        let mut body = answer.reader(len.saturating_add(1)).take(len);
        // A range is at most LONGEST.
        let mut bytes = vec![0; len as usize];
        let mut have = 0;
        while have < bytes.len() {
            let end = bytes.len().min(have + PIECE);
            let read = body.read(&mut bytes[have..end]);
            self.client.stop().check()?;
            if shared.is_stopped() {
                return Ok(None);
            }
            match read {
                Ok(0) => return Err(network(format!("the connection ended after {have} of {len} bytes"))),
                Ok(read) => {
                    have += read;
                    let _ = sender.send(Message::Came(read as u64));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(network(error.to_string())),
            }
        }
        Ok(Some(bytes))
    }
}
