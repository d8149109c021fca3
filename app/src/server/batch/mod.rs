//! `lapidary batch`: answers the requests in a file, many at once, and writes the results to another file.
//!
//! A thread reads lines into tokens, the engine's thread generates the replies, and this one writes each result when it is
//! complete. A result line has the number and the hash of its input line, by which the next run knows what is done.

mod answering;
mod entry;
mod lines;
mod reader;
mod results;
mod scores;
mod writer;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lapidary_engine::{Engine, Error, Sampling};
use tokio::sync::oneshot;

use super::engine_thread::{EngineThread, prepare};
use super::queue::Queue;
use answering::Answering;
use lines::Lines;
use reader::Reader;
use results::{Earlier, Results};
pub use scores::{Scored, ScoresFile};
use writer::Writer;

/// What is in the JSON of each request that asks for log-probabilities.
const LOGPROBS: &[u8] = b"logprobs";

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";

/// How to answer a batch.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the model, by which requests may ask for it.
    pub model: String,
    /// The sampling of requests that set none.
    pub sampling: Sampling,
    /// The most replies that are generated at once, from 1 to 64.
    pub parallel: usize,
    /// Tokens of all replies at once, with their prompts; `None` for as many as the model's context holds.
    pub cache_tokens: Option<usize>,
    /// The number of alternatives to list per token, from 0 to [`MAX_LOGPROBS`](super::MAX_LOGPROBS), in replies to requests that
    /// say nothing about log-probabilities.
    pub top_logprobs: Option<u64>,
}

/// Why a batch does not start, or does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The input cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The output cannot be read or written.
    #[error("cannot write {path}: {source}; the same command goes on once that is repaired", path = path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another batch writes the output.
    #[error("another program writes {path}; wait until it ends, or choose another file with -o", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The output is the input too.
    #[error("{path} holds the requests, which the results would replace; choose another file with -o", path = path.display())]
    OutputIsInput {
        /// The file.
        path: PathBuf,
    },
    /// The output exists and has something else in it.
    #[error("line {line} of {path} is no result of a batch, or one that is there twice; choose another file with -o, or delete this one", path = path.display())]
    NoResult {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
    },
    /// The output has results of requests that the input lacks.
    #[error("{path} has a result for line {line} of another input; choose another file with -o, or delete this one", path = path.display())]
    OtherInput {
        /// The output.
        path: PathBuf,
        /// The first such line of the input, counted from 1.
        line: u64,
    },
    /// The log-probabilities of a result cannot be read.
    #[error("line {line} of {path} has log-probabilities that cannot be read: {source}; choose another file with -o, or delete this one", path = path.display())]
    Scores {
        /// The results.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// No result has log-probabilities of a chat.
    #[error("{path} has no log-probabilities of chats; begin anew with --top-logprobs and another file for -o", path = path.display())]
    NoScores {
        /// The results.
        path: PathBuf,
    },
    /// The system refused a thread.
    #[error("cannot start the batch: {0}; close other programs and start it again")]
    System(#[source] io::Error),
    /// The engine cannot start, or failed. The same command goes on.
    #[error(transparent)]
    Engine(#[from] Error),
}

/// How far a batch has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Requests in the input.
    pub total: u64,
    /// Requests whose result is written, now or by an earlier run.
    pub done: u64,
    /// Those among them that were refused or failed.
    pub failed: u64,
    /// Requests whose result this run has written.
    pub new: u64,
    /// Tokens of the replies that this run has written.
    pub tokens: u64,
    /// Time since this run began to answer.
    pub elapsed: Duration,
}

/// A batch whose files are open and belong to each other.
pub struct Batch {
    input: File,
    input_path: PathBuf,
    results: Results,
    earlier: Earlier,
    total: u64,
    /// Whether a request may ask for log-probabilities.
    may_ask: bool,
}

impl Batch {
    /// Opens the files of a batch, and finds what an earlier run has done. An input that is no file, such as a pipe, is copied to
    /// a temporary one. `-` is standard input. If the output does not exist, it is made.
    ///
    /// # Errors
    /// [`BatchError`], if the files cannot be read or do not belong to each other.
    pub fn open(input: &Path, output: &Path) -> Result<Self, BatchError> {
        if input != Path::new(STANDARD_INPUT) && is_same_file(input, output) {
            return Err(BatchError::OutputIsInput { path: output.to_owned() });
        }
        let failed = |source| BatchError::Input { path: input.to_owned(), source };
        let file = open_input(input).map_err(failed)?;
        let (results, earlier) = Results::open(output)?;
        let mut lines = Lines::of_file(&file).map_err(failed)?;
        let (mut total, mut found, mut may_ask) = (0, 0, false);
        while let Some(line) = lines.next().map_err(failed)? {
            total += 1;
            may_ask = may_ask || (!line.is_plain && line.bytes.windows(LOGPROBS.len()).any(|part| part == LOGPROBS));
            match earlier.lines.get(&line.number) {
                Some(hash) if *hash == line.hash => found += 1,
                Some(_) => return Err(BatchError::OtherInput { path: output.to_owned(), line: line.number }),
                None => {}
            }
        }
        if found < earlier.lines.len() {
            // Beyond the input's end, or at a blank line.
            let line = earlier.lines.keys().copied().max().unwrap_or_default();
            return Err(BatchError::OtherInput { path: output.to_owned(), line });
        }
        Ok(Self { input: file, input_path: input.to_owned(), results, earlier, total, may_ask })
    }

    /// Whether every request has a result.
    pub fn is_done(&self) -> bool {
        let Progress { total, done, .. } = self.progress();
        done == total
    }

    /// Whether some result may have log-probabilities although the options add none: a chat of an earlier run has them, or a request
    /// asks for them.
    pub fn may_have_logprobs(&self) -> bool {
        self.may_ask || self.earlier.has_logprobs
    }

    /// How far earlier runs came.
    pub fn progress(&self) -> Progress {
        Progress {
            total: self.total,
            done: self.earlier.lines.len() as u64,
            failed: self.earlier.failed,
            new: 0,
            tokens: 0,
            elapsed: Duration::ZERO,
        }
    }

    /// Answers what has no result yet, until `stopped`, and returns how far it came. `on_progress` is called before the first
    /// request and after each result.
    ///
    /// # Errors
    /// [`BatchError`]. Whatever was written is kept.
    pub fn run(
        self,
        engine: &Engine,
        options: Options,
        stopped: impl Future<Output = ()>,
        on_progress: impl FnMut(&Progress),
    ) -> Result<Progress, BatchError> {
        let (reader, scheduler) =
            prepare(engine, options.model, options.sampling, options.parallel, options.cache_tokens)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(BatchError::System)?;
        let progress = self.progress();
        let mut writer = Writer::new(self.results, progress, on_progress)?;
        let requests = Reader {
            input: self.input,
            path: self.input_path,
            done: self.earlier.lines,
            reader: reader.clone(),
            top_logprobs: options.top_logprobs,
        };
        let requests = requests.start(options.parallel).map_err(BatchError::System)?;
        // While replies are generated, as many requests wait, so that no place stays free.
        let most = 2 * options.parallel;
        let queue = Arc::new(Queue::new(most));
        let (ended, engine_ended) = oneshot::channel();
        // The receiver is gone if the results cannot be written.
        let on_end = move |end| drop(ended.send(end));
        let _thread = EngineThread::start(scheduler, options.parallel, &queue, Arc::default(), on_end)
            .map_err(BatchError::System)?;
        let answering = Answering { reader, queue, most };
        runtime.block_on(answering.run(requests, stopped, engine_ended, &mut writer))?;
        writer.finish()
    }
}

fn open_input(path: &Path) -> io::Result<File> {
    let copy = |mut input: Box<dyn Read>| {
        let mut file = tempfile::tempfile()?;
        io::copy(&mut input, &mut file)?;
        Ok(file)
    };
    if path == Path::new(STANDARD_INPUT) {
        return copy(Box::new(io::stdin().lock()));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { copy(Box::new(file)) }
}

/// Whether two paths lead to the same file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}
