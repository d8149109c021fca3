//! The engine as the window uses it: commands in, events out, without blocking.

pub(crate) mod commands;
mod dropped_file;
#[cfg(not(target_arch = "wasm32"))]
mod engine;
pub(crate) mod event_sender;
mod generate;
mod pdf;
mod problem;
#[cfg(not(target_arch = "wasm32"))]
mod requirements;
#[cfg(not(target_arch = "wasm32"))]
mod server;
#[cfg(not(target_arch = "wasm32"))]
mod server_alternatives;
#[cfg(not(target_arch = "wasm32"))]
mod serving;
pub(crate) mod shared_tokenizer;
pub(crate) mod stop;

use std::path::{Path, PathBuf};

use lapidary_engine::{Finish, Sampling, Timings, WeightFormat};
use serde::{Deserialize, Serialize};

use crate::chats::{Attachment, Id, Role};
use crate::endpoint::{Address, ServerModel};
use crate::guide;
use crate::hub::Token;

pub use crate::models::FoundModel;
pub use dropped_file::{DroppedFile, inspect, read_attachment};
#[cfg(target_arch = "wasm32")]
pub(crate) use dropped_file::{attachment, attachment_of_pdf, check_size, ending, pdf_text};
#[cfg(not(target_arch = "wasm32"))]
pub use engine::EngineWorker;
pub(crate) use problem::to_sentence;
pub use problem::{Problem, Remedy};

/// Runs commands and reports events. `EngineWorker` is the engine on a thread, and a page has it in a worker of the browser,
/// which gets and sends the same commands and events as JSON. Tests use a scripted one.
pub trait Worker {
    /// Queues a command and returns without waiting.
    fn send(&mut self, command: Command);
    /// The next event, if one is waiting.
    fn event(&mut self) -> Option<Event>;
}

/// A model and how to load it. The fields are of a model on this machine, unless there is a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// The file or folder; `None` for the built-in guide.
    pub model: Option<PathBuf>,
    /// The weight format; `None` for the format in the file.
    pub weights: Option<WeightFormat>,
    /// Context length in tokens; `None` for the model's own, up to 8,192.
    pub context: Option<usize>,
    /// The adapter's name; `None` for the fastest.
    pub device: Option<String>,
    /// The model of a server that answers instead; the other fields mean nothing then.
    #[serde(skip)]
    pub server: Option<ServerModel>,
}

impl Load {
    /// The model's name in lists.
    pub fn name(&self) -> String {
        self.server.as_ref().map_or_else(|| short_name(self.model.as_deref()), ServerModel::author)
    }
}

/// What to do when a chat no longer fits the context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// Report it and let the user choose.
    #[default]
    Ask,
    /// Drop the oldest messages and report how many.
    DropOldest,
}

/// A command to the engine. Those that the window of a page carries out itself have no JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Load a model in place of the present one.
    Load(Load),
    /// Stop loading.
    CancelLoad,
    /// Generate a reply, or continue the last turn if it is the model's.
    Generate {
        /// The message that receives the reply.
        reply: Id,
        /// The turns so far.
        turns: Vec<(Role, String)>,
        /// The system prompt; empty for none.
        system: String,
        /// Whether the model continues the text of the turns, without turns around it.
        plain: bool,
        /// How tokens are chosen.
        sampling: Sampling,
        /// What to do if the prompt does not fit the context.
        overflow: Overflow,
    },
    /// Stop the reply under way.
    Stop,
    /// List the most probable tokens after an unfinished turn.
    Alternatives {
        /// The message that contains the position.
        message: Id,
        /// The byte of its text where the token starts.
        at: usize,
        /// The turns up to the token.
        turns: Vec<(Role, String)>,
        /// The system prompt; empty for none.
        system: String,
        /// Whether the model continues the text of the turns, without turns around it.
        plain: bool,
    },
    /// Measure the kernels of one token.
    Profile,
    /// List the adapters of this machine.
    #[serde(skip)]
    FindDevices,
    /// List the models on this machine.
    #[serde(skip)]
    FindModels,
    /// List the models in a folder of another program from now on, or no more.
    #[serde(skip)]
    ChangeModelFolder {
        /// The folder.
        folder: PathBuf,
        /// Whether it is added.
        adds: bool,
    },
    /// Estimate the device memory that a model takes.
    EstimateMemory(Load),
    /// Count the tokens of texts.
    CountTokens(Vec<(CountedText, String)>),
    /// Find out what a dropped or chosen file is.
    #[serde(skip)]
    Inspect {
        /// The chat that was open.
        chat: Id,
        /// The file.
        path: PathBuf,
    },
    /// Read a file as text, to attach it to a chat's draft.
    #[serde(skip)]
    Attach {
        /// The chat.
        chat: Id,
        /// The file.
        path: PathBuf,
    },
    /// Check from the headers of a model's files whether they can be loaded, or whether a server answers.
    Check(Load),
    /// List the models of a server.
    #[serde(skip)]
    FindServer {
        /// Its address as it was typed.
        address: String,
        /// A key that was typed, which is saved if the server accepts it; `None` for a saved key or none.
        key: Option<Token>,
    },
    /// Forget the key of a server.
    #[serde(skip)]
    ForgetServer(Address),
    /// Let other programs on this machine use the model, at this port; `None` to end that.
    #[serde(skip)]
    Serve(Option<u16>),
    /// Save the key that these programs need; `None` for no key.
    #[serde(skip)]
    SaveServingKey(Option<Token>),
}

/// Where other programs find the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The address of the API.
    pub address: String,
    /// Whether they need a key.
    pub has_key: bool,
}

/// A text whose tokens are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CountedText {
    /// A message.
    Message(Id),
    /// The system prompt of a chat.
    System(Id),
    /// The draft of a chat.
    Draft(Id),
    /// An attachment of a draft or a message.
    Attachment(Id),
}

/// An event from the engine. Those that the window of a page makes itself have no JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// A model is loading.
    Loading {
        /// The model's name.
        name: String,
        /// Progress from 0 to 1.
        progress: f32,
    },
    /// A model is loaded.
    Loaded(Box<Loaded>),
    /// A model could not be loaded. The previous model has been unloaded.
    NotLoaded(Problem),
    /// Text that a reply grew by.
    ReplyText(Id, String),
    /// The number of turns that were dropped from the prompt of a reply.
    TurnsDropped(Id, usize),
    /// A reply ended.
    Ended {
        /// The reply.
        reply: Id,
        /// Why it ended; `None` if it was stopped.
        finish: Option<Finish>,
        /// Token counts and times.
        timings: Timings,
    },
    /// A reply could not be finished.
    Failed(Id, Problem),
    /// The most probable tokens at a byte of a message.
    Alternatives {
        /// The message.
        message: Id,
        /// The byte.
        at: usize,
        /// The tokens, or an error message.
        list: Result<Vec<Candidate>, String>,
    },
    /// Per kernel: its name, dispatches and milliseconds, the slowest first.
    Profile(Result<Vec<(String, usize, f64)>, String>),
    /// The names of the adapters, the fastest first.
    #[serde(skip)]
    Devices(Vec<String>),
    /// The models on this machine.
    #[serde(skip)]
    Models(Vec<FoundModel>),
    /// The answer to [`Command::EstimateMemory`].
    MemoryEstimated(Load, Result<MemoryEstimate, String>),
    /// Per text: which one, its bytes and its tokens. Empty without a tokenizer.
    TokensCounted(Vec<(CountedText, usize, usize)>),
    /// The answer to [`Command::Inspect`].
    #[serde(skip)]
    Inspected {
        /// The chat that was open.
        chat: Id,
        /// What the file is.
        file: DroppedFile,
    },
    /// The answer to [`Command::Attach`].
    #[serde(skip)]
    Attached {
        /// The chat.
        chat: Id,
        /// The attachment, or why the file cannot be attached, as a sentence.
        file: Result<Attachment, String>,
    },
    /// The answer to [`Command::Check`].
    Checked(Load, Result<(), Problem>),
    /// The answer to [`Command::FindServer`].
    #[serde(skip)]
    ServerFound {
        /// The address as it was typed.
        address: String,
        /// The server's address and the names of its models, or why they cannot be listed, as a sentence.
        found: Result<(Address, Vec<String>), String>,
    },
    /// The folders of other programs whose models are listed: an answer to [`Command::FindModels`].
    #[serde(skip)]
    ModelFolders(Vec<PathBuf>),
    /// The answer to [`Command::ChangeModelFolder`]; the error is a sentence.
    #[serde(skip)]
    ModelFolderChanged(Result<(), String>),
    /// Other programs can use the model from now on; or no longer, or cannot, with the reason as a sentence.
    #[serde(skip)]
    Serving(Result<Option<Served>, String>),
    /// Another program got an answer: the method, the path and the status.
    #[serde(skip)]
    Answered(String),
    /// The answer to [`Command::SaveServingKey`]; the error is a sentence.
    #[serde(skip)]
    ServingKeySaved(Result<(), String>),
    /// The answer to [`Command::ForgetServer`]; the error is a sentence.
    #[serde(skip)]
    ServerForgotten(Result<(), String>),
}

/// A candidate for the next token of a reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NextToken {
    /// A token that stands for text.
    Text(String),
    /// A token that is no text by itself: one byte of a character, or a control token. Holds the tokenizer's piece.
    NonText(String),
    /// The end of the turn.
    End,
}

/// A token and its probability. Lists are sorted by falling probability.
pub type Candidate = (NextToken, f32);

/// The loaded model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// The request that loaded it.
    pub load: Load,
    /// The model's name.
    pub name: String,
    /// Context length in tokens.
    pub context: usize,
    /// Context length that the model was trained for, in tokens.
    pub longest_context: usize,
    /// The adapter's name.
    pub adapter: String,
    /// The adapter's driver and API.
    pub driver: String,
    /// The device memory it takes.
    pub memory: MemoryEstimate,
    /// Why it may answer badly in a chat, as a sentence, if it was not trained on Gemma's turns.
    pub chat_problem: Option<String>,
}

impl Loaded {
    /// Whether it is the built-in guide.
    pub fn is_guide(&self) -> bool {
        self.is_file(None)
    }

    /// Whether it is this model of this machine; `None` for the guide.
    pub fn is_file(&self, model: Option<&PathBuf>) -> bool {
        self.load.server.is_none() && self.load.model.as_ref() == model
    }

    /// The server that it runs on, if it does not run on this machine.
    pub fn server(&self) -> Option<&ServerModel> {
        self.load.server.as_ref()
    }
}

/// Device memory of a model, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryEstimate {
    /// The weights.
    pub weights: u64,
    /// The keys and values of a full context, and the buffers of a step.
    pub sequence: u64,
    /// The memory of the device, if its API reports it.
    pub device_memory: Option<u64>,
}

impl MemoryEstimate {
    /// Bytes of all of it.
    pub fn needed(&self) -> u64 {
        self.weights + self.sequence
    }
}

/// Without the memory of a device, because none is open yet.
impl From<lapidary_engine::MemoryEstimate> for MemoryEstimate {
    fn from(estimate: lapidary_engine::MemoryEstimate) -> Self {
        Self { weights: estimate.weights, sequence: estimate.sequence + estimate.activations, device_memory: None }
    }
}

/// Tokens that the chat template adds per turn.
pub const TURN_TOKENS: usize = 5;

/// The short name of a model's path, for lists.
pub fn short_name(path: Option<&Path>) -> String {
    match path {
        None => guide::NAME.to_owned(),
        Some(path) => path.file_name().map_or(path.display().to_string(), |name| name.to_string_lossy().into_owned()),
    }
}
