//! What the window needs from an engine: it says what to do and hears what happened, and never waits.

mod dropped_file;
mod engine;
mod event_sender;
mod generate;
mod shared;

use std::path::{Path, PathBuf};

use lapidary_engine::{CacheFormat, Error, Finish, Sampling, Timings, WeightFormat};

use crate::chats::{Id, Role};
use crate::guide;

pub use crate::models::FoundModel;
pub use dropped_file::{DroppedFile, inspect};
pub use engine::EngineWorker;

/// An engine behind the window. [`EngineWorker`] is the real one; tests have one that follows a script.
pub trait Worker {
    /// Says what to do; returns at once.
    fn send(&mut self, command: Command);
    /// What happened since it was last asked.
    fn event(&mut self) -> Option<Event>;
}

/// Which model, and how to load it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// The file or folder; none for the guide.
    pub model: Option<PathBuf>,
    /// The weights' format; none for the file's own.
    pub weights: Option<WeightFormat>,
    /// Tokens of context; none for the model's own, up to 8,192.
    pub context: Option<usize>,
    /// The adapter's name; none for the fastest.
    pub device: Option<String>,
}

/// What to do when a chat outgrows the context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// Say so and let the person choose.
    #[default]
    Ask,
    /// Leave out the oldest messages, and say how many.
    DropOldest,
}

/// What the window wants.
#[derive(Clone, Debug)]
pub enum Command {
    /// Load a model, in place of the present one.
    Load(Load),
    /// Stop loading.
    CancelLoad,
    /// Answer, or go on with the last turn where it is the model's.
    Generate {
        /// The message that the reply becomes.
        reply: Id,
        /// What was said.
        turns: Vec<(Role, String)>,
        /// What the model should know first.
        system: String,
        /// How to draw.
        sampling: Sampling,
        /// What to do where it does not fit.
        overflow: Overflow,
    },
    /// Stop the reply.
    Stop,
    /// The likeliest tokens after an open turn.
    Alternatives {
        /// The message whose token it is.
        message: Id,
        /// The byte of its text where the token begins.
        at: usize,
        /// What was said, up to the token.
        turns: Vec<(Role, String)>,
        /// What the model should know first.
        system: String,
    },
    /// The milliseconds of each kernel of one token.
    Profile,
    /// The adapters of this machine.
    FindDevices,
    /// The models on this machine, among them those that were used before.
    FindModels(Vec<PathBuf>),
    /// What a model would take of the device's memory.
    EstimateMemory(Load),
    /// The tokens of texts.
    CountTokens(Vec<(CountedText, String)>),
    /// A file that was dropped or chosen: what is it?
    Inspect(PathBuf),
    /// Whether a model's files can be loaded, as far as their headers tell.
    Check(Load),
}

/// A text whose tokens are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountedText {
    /// A message.
    Message(Id),
    /// What a chat's model knows first.
    System(Id),
    /// What is typed in a chat.
    Draft(Id),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A model loads.
    Loading {
        /// Its name.
        name: String,
        /// From 0 to 1.
        share: f32,
    },
    /// A model is loaded.
    Loaded(Box<Loaded>),
    /// A model could not be loaded; the one before it is gone too.
    NotLoaded(Problem),
    /// More of a reply.
    ReplyText(Id, String),
    /// Turns were left out of what the model is told.
    TurnsDropped(Id, usize),
    /// A reply ended.
    Ended {
        /// The reply.
        reply: Id,
        /// Why; none where it was stopped.
        finish: Option<Finish>,
        /// How fast it was.
        timings: Timings,
    },
    /// A reply could not be finished.
    Failed(Id, Problem),
    /// The likeliest tokens at a byte of a message.
    Alternatives {
        /// The message.
        message: Id,
        /// The byte.
        at: usize,
        /// The tokens, or why there are none.
        list: Result<Vec<Candidate>, String>,
    },
    /// Kernels, how often they ran, and their milliseconds, the longest first.
    Profile(Result<Vec<(&'static str, usize, f64)>, String>),
    /// Names of the adapters, the fastest first.
    Devices(Vec<String>),
    /// The models on this machine.
    Models(Vec<FoundModel>),
    /// An answer to [`Command::EstimateMemory`].
    MemoryEstimated(Load, Result<MemoryEstimate, String>),
    /// Which texts were counted, their bytes, and their tokens; empty without a tokenizer.
    TokensCounted(Vec<(CountedText, usize, usize)>),
    /// An answer to [`Command::Inspect`].
    Inspected(DroppedFile),
    /// An answer to [`Command::Check`].
    Checked(Load, Result<(), Problem>),
}

/// What a token adds to a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum NextToken {
    /// A text.
    Text(String),
    /// Nothing that can be said by itself: a part of a letter, or a mark of the template. Its name.
    NonText(String),
    /// The end.
    End,
}

/// A token, and its probability; in lists the likeliest first.
pub type Candidate = (NextToken, f32);

/// A model that is loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// How it was asked for.
    pub load: Load,
    /// Its name.
    pub name: String,
    /// Tokens of context.
    pub context: usize,
    /// Tokens of context that it was trained for.
    pub longest_context: usize,
    /// The adapter's name.
    pub adapter: String,
    /// The adapter's driver and API.
    pub driver: String,
    /// Bytes on the device.
    pub memory: MemoryEstimate,
}

impl Loaded {
    /// Whether it is the built-in guide.
    pub fn is_guide(&self) -> bool {
        self.load.model.is_none()
    }
}

/// Bytes that a model takes of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Its weights.
    pub weights: u64,
    /// The keys and values of a full context.
    pub cache: u64,
    /// What the device has, where its API tells.
    pub device_memory: Option<u64>,
}

/// What went wrong, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// A sentence.
    pub sentence: String,
    /// The way on.
    pub remedy: Remedy,
}

/// What a person can do about a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing in particular: try again.
    Retry,
    /// Get a graphics driver, or choose another adapter.
    Driver,
    /// Choose a smaller model, smaller weights or a shorter context.
    Smaller,
    /// Choose another file.
    OtherFile,
    /// Load the model again, and go on with the reply.
    Reload,
    /// Make room in the context.
    MakeRoom,
    /// Load the model after all: it was the person who cancelled it.
    Resume,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let remedy = match error {
            Error::NoAdapter { .. } | Error::Adapter { .. } => Remedy::Driver,
            Error::OutOfMemory { .. } => Remedy::Smaller,
            Error::Io { .. }
            | Error::BadFile { .. }
            | Error::Config { .. }
            | Error::MissingTensor { .. }
            | Error::TensorShape { .. }
            | Error::Unsupported { .. }
            | Error::Tokenizer { .. } => Remedy::OtherFile,
            Error::DeviceLost { .. } | Error::Gpu { .. } => Remedy::Reload,
            Error::ContextFull { .. } => Remedy::MakeRoom,
            _ => Remedy::Retry,
        };
        Self { sentence: to_sentence(&error.to_string()), remedy }
    }
}

/// A message of the engine as a sentence on its own.
fn to_sentence(message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut chars = message.chars();
    // A path stays as it is.
    let first = message.split(' ').next().unwrap_or_default();
    let mut text = match chars.next() {
        Some(c) if !first.contains(['/', '\\', '.']) => c.to_uppercase().chain(chars).collect(),
        _ => message.clone(),
    };
    if !text.ends_with(['.', '!', '?', ')']) {
        text.push('.');
    }
    text
}

/// Tokens that a template adds to a turn.
pub const TURN_TOKENS: usize = 5;

/// The name that a path has in lists.
pub fn short_name(path: Option<&Path>) -> String {
    match path {
        None => guide::NAME.to_owned(),
        Some(path) => path.file_name().map_or(path.display().to_string(), |name| name.to_string_lossy().into_owned()),
    }
}

/// The cache's format for weights, as the engine chooses it.
fn cache_format(weights: WeightFormat) -> CacheFormat {
    if weights == WeightFormat::F32 { CacheFormat::F32 } else { CacheFormat::F16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_sentences() {
        assert_eq!(to_sentence("no graphics adapter is there"), "No graphics adapter is there.");
        assert_eq!(to_sentence("/a/b.gguf: it is\n damaged"), "/a/b.gguf: it is damaged.");
    }

    #[test]
    fn each_error_has_a_way_on() {
        let lost = Error::DeviceLost { reason: "reset".into() };
        assert_eq!(Problem::from(&lost).remedy, Remedy::Reload);
        let full = Error::OutOfMemory { what: "weights".into() };
        assert_eq!(Problem::from(&full).remedy, Remedy::Smaller);
    }
}
