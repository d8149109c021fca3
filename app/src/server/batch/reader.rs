//! The thread that reads a batch's requests.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::{io, thread};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::BatchError;
use super::entry::{Place, read};
use super::lines::Lines;
use crate::server::error::ApiError;
use crate::server::request::Request;
use crate::server::request_reader::RequestReader;

/// A line of the input: what it asks for, or why it is refused.
pub(super) type Entry = (Place, Result<Request, ApiError>);

/// Reads the lines that have no result yet.
pub(super) struct Reader {
    pub(super) input: File,
    pub(super) path: PathBuf,
    /// The hashes of the lines that have a result, by their numbers.
    pub(super) done: HashMap<u64, u64>,
    pub(super) reader: Arc<RequestReader>,
    pub(super) top_logprobs: Option<u64>,
}

impl Reader {
    /// Starts the thread, which is at most this many lines ahead. It ends with the input, or once nobody takes what it reads.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn start(self, ahead: usize) -> io::Result<Receiver<Result<Entry, BatchError>>> {
        let (sender, receiver) = channel(ahead);
        thread::Builder::new().name("lapidary-reader".into()).spawn(move || {
            if let Err(source) = self.run(&sender) {
                let _ = sender.blocking_send(Err(BatchError::Input { path: self.path, source }));
            }
        })?;
        Ok(receiver)
    }

    fn run(&self, sender: &Sender<Result<Entry, BatchError>>) -> io::Result<()> {
        let mut lines = Lines::of_file(&self.input)?;
        while let Some(line) = lines.next()? {
            match self.done.get(&line.number) {
                Some(hash) if *hash == line.hash => continue,
                Some(_) => return Err(io::Error::other("it was changed while the batch ran")),
                None => {}
            }
            if sender.blocking_send(Ok(read(&self.reader, &line, self.top_logprobs))).is_err() {
                break;
            }
        }
        Ok(())
    }
}
