//! The output of a batch: a file of result lines, which grows.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value, json};

use super::BatchError;
use super::entry::Place;
use crate::server::answer::random_id;
use crate::server::error::ApiError;

/// How often results are forced to the disk. What was written outlives the program at once, and a loss of power after that.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How each result line begins.
const BEGINNING: &[u8] = b"{\"custom_id\":";

/// The results of earlier runs.
#[derive(Default)]
pub(super) struct Earlier {
    /// The hash of each line of the input that has a result, by its number.
    pub(super) lines: HashMap<u64, u64>,
    pub(super) failed: u64,
    /// Whether some result is a chat with log-probabilities.
    pub(super) has_logprobs: bool,
}

/// What is read from a result line.
#[derive(Deserialize)]
struct ResultLine {
    line: u64,
    line_hash: u64,
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    status_code: u16,
    body: Body,
}

#[derive(Deserialize)]
struct Body {
    /// None if the request failed.
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    logprobs: Option<Logprobs>,
}

#[derive(Deserialize)]
struct Logprobs {
    /// None in a completion.
    content: Option<IgnoredAny>,
}

/// The output file.
pub(super) struct Results {
    file: File,
    path: PathBuf,
    /// Bytes of the complete lines that it has, where more may follow.
    complete: u64,
    synced: Instant,
}

impl Results {
    /// Opens the output, makes it if there is none, and reads what it has. Nothing is changed in it.
    pub(super) fn open(path: &Path) -> Result<(Self, Earlier), BatchError> {
        let failed = |source| BatchError::Output { path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("it is not a file")));
        }
        // File systems without locks cannot tell.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(BatchError::InUse { path: path.to_owned() });
        }
        let (complete, rest_is_result) = complete_bytes(&mut file).map_err(failed)?;
        let mut earlier = Earlier::default();
        file.rewind().map_err(failed)?;
        let mut lines = Deserializer::from_reader(BufReader::new((&file).take(complete))).into_iter::<ResultLine>();
        let mut count = 0;
        for line in &mut lines {
            count += 1;
            let line = line.map_err(|error| match error.io_error_kind() {
                Some(kind) => failed(kind.into()),
                None => BatchError::NoResult { path: path.to_owned(), line: count },
            })?;
            earlier.failed += u64::from(line.response.status_code != 200);
            let choices = line.response.body.choices.into_iter();
            earlier.has_logprobs |=
                choices.flat_map(|choice| choice.logprobs).any(|logprobs| logprobs.content.is_some());
            if earlier.lines.insert(line.line, line.line_hash).is_some() {
                return Err(BatchError::NoResult { path: path.to_owned(), line: count });
            }
        }
        if !rest_is_result {
            return Err(BatchError::NoResult { path: path.to_owned(), line: count + 1 });
        }
        Ok((Self { file, path: path.to_owned(), complete, synced: Instant::now() }, earlier))
    }

    /// Removes a line that an earlier run could not complete, and goes to the end.
    pub(super) fn begin(&mut self) -> Result<(), BatchError> {
        let complete = self.complete;
        self.change(|file| {
            file.set_len(complete)?;
            file.seek(SeekFrom::Start(complete)).map(drop)
        })
    }

    /// Adds the result line of a request.
    pub(super) fn add(&mut self, place: &Place, result: Result<Value, ApiError>) -> Result<(), BatchError> {
        let (status, body) = match result {
            Ok(body) => (200, body),
            Err(error) => (error.status(), error.to_json()),
        };
        let line = json!({
            "custom_id": place.custom_id,
            "id": random_id("batch_req_"),
            "line": place.line,
            "line_hash": place.hash,
            "response": {"status_code": status, "request_id": random_id("req_"), "body": body},
            "error": null,
        });
        self.change(|file| file.write_all(format!("{line}\n").as_bytes()))?;
        if self.synced.elapsed() >= SYNC_INTERVAL { self.sync() } else { Ok(()) }
    }

    /// Forces all results to the disk.
    pub(super) fn sync(&mut self) -> Result<(), BatchError> {
        self.synced = Instant::now();
        self.change(|file| file.sync_data())
    }

    fn change(&mut self, change: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), BatchError> {
        change(&mut self.file).map_err(|source| BatchError::Output { path: self.path.clone(), source })
    }
}

/// How many bytes of a file are complete lines, and whether what follows can be a result line that was cut off.
fn complete_bytes(file: &mut File) -> io::Result<(u64, bool)> {
    let mut block = [0; 1 << 14];
    let mut end = file.seek(SeekFrom::End(0))?;
    while end > 0 {
        let size = end.min(block.len() as u64);
        file.seek(SeekFrom::Start(end - size))?;
        let block = &mut block[..size as usize];
        file.read_exact(block)?;
        if let Some(last) = block.iter().rposition(|byte| *byte == b'\n') {
            end = end - size + last as u64 + 1;
            break;
        }
        end -= size;
    }
    file.seek(SeekFrom::Start(end))?;
    let mut rest = Vec::new();
    (&*file).take(BEGINNING.len() as u64).read_to_end(&mut rest)?;
    if !BEGINNING.starts_with(&rest) {
        return Ok((end, false));
    }
    file.seek(SeekFrom::Start(end))?;
    // A line of requests can begin alike. It holds something else, while a result that was cut off only ends too early.
    match serde_json::from_reader::<_, ResultLine>(BufReader::new(file)) {
        Err(error) if error.is_io() => Err(error.into()),
        result => Ok((end, !result.is_err_and(|error| error.is_data()))),
    }
}
