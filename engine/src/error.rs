//! The engine's errors, as one enum.
//!
//! Each variant names the file, tensor, field or kernel at fault. Its message is one sentence and says what was
//! expected, so that the reader knows what to do next.

use std::path::PathBuf;

/// Shorthand for a result with the engine's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file is damaged, truncated or not what its name says.
    #[error("{}: {reason}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A field of a model's configuration is missing, out of range or contradicts the tensors.
    #[error("{}: {field}: {reason}", path.display())]
    Config {
        /// The file the field comes from.
        path: PathBuf,
        /// The field, as the file spells it.
        field: String,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// The model lacks a tensor that its configuration asks for.
    #[error("{}: the tensor {name} is missing", path.display())]
    MissingTensor {
        /// The model's file or folder.
        path: PathBuf,
        /// The tensor, as the file would spell it.
        name: String,
    },
    /// A tensor's shape contradicts the configuration.
    #[error("{}: the tensor {name} has shape {actual:?}, but the configuration needs {expected:?}", path.display())]
    TensorShape {
        /// The model's file or folder.
        path: PathBuf,
        /// The tensor, as the file spells it.
        name: String,
        /// Rows and columns that the configuration asks for.
        expected: Vec<usize>,
        /// Rows and columns in the file.
        actual: Vec<usize>,
    },
    /// Something valid that Lapidary does not support (yet).
    #[error("{what} is not supported: {hint}")]
    Unsupported {
        /// What was asked for or found.
        what: String,
        /// What to use instead.
        hint: String,
    },
    /// The tokenizer is missing, damaged or does not fit the model.
    #[error("{}: tokenizer: {reason}", path.display())]
    Tokenizer {
        /// The file the tokenizer comes from, or should come from.
        path: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// No graphics adapter fits the request.
    #[error("no graphics adapter {wanted}; found: {found}")]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// The adapters of this machine.
        found: String,
    },
    /// The adapter cannot do what the model needs.
    #[error("{adapter}: {reason}")]
    Adapter {
        /// The adapter's name.
        adapter: String,
        /// The limit or feature that is missing, and how much is needed.
        reason: String,
    },
    /// The device has too little memory.
    #[error("out of GPU memory: {what}; choose a smaller model, smaller weights or a shorter context")]
    OutOfMemory {
        /// What did not fit, and its size where that is known.
        what: String,
    },
    /// The device was lost, for example after a driver reset, unplugging or suspending. Build the engine again to
    /// continue.
    #[error("the GPU device was lost ({reason}); load the model again to go on")]
    DeviceLost {
        /// The driver's message.
        reason: String,
    },
    /// The GPU refused a command, which is a bug in Lapidary or in the driver.
    #[error("the GPU refused a command: {reason}")]
    Gpu {
        /// wgpu's message, with the kernel's name where it is known.
        reason: String,
    },
    /// A thread of the program that uses the engine could not start. The engine itself goes on without its own.
    #[error("{reason}")]
    Thread {
        /// What happened, and what to do.
        reason: String,
    },
    /// Something does not hold that always should.
    #[error("a bug in Lapidary: {reason}; please report it")]
    Internal {
        /// What was found.
        reason: String,
    },
    /// All logits of the model are NaN, so there is no next token.
    #[error("{model} computes only NaN; its file is probably damaged, so get it again")]
    NoToken {
        /// The model's name.
        model: String,
    },
    /// The prompt holds no token.
    #[error("the prompt is empty; type something")]
    EmptyPrompt,
    /// The prompt and the reply do not fit the context.
    #[error(
        "the prompt takes {tokens} tokens, but the context holds {context}; shorten it or load the model with a longer context"
    )]
    ContextFull {
        /// Tokens asked for.
        tokens: usize,
        /// Tokens that fit.
        context: usize,
    },
    /// The KV cache that sequences share is full.
    #[error("the cache holds {tokens} tokens, and all are taken; end another sequence or make the cache larger")]
    CacheFull {
        /// Tokens that the cache holds for all sequences together.
        tokens: usize,
    },
    /// A token id outside the vocabulary.
    #[error("token id {id} is outside the vocabulary of {vocab_size}")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// Ids run from 0 to this, exclusive.
        vocab_size: usize,
    },
    /// A setting is out of range.
    #[error("{field} is {value}, but must be {expected}")]
    Setting {
        /// The setting's name.
        field: &'static str,
        /// Its value.
        value: String,
        /// The valid values.
        expected: &'static str,
    },
    /// The caller cancelled the work.
    #[error("cancelled")]
    Cancelled,
}

/// The start of a text from a file, short enough for an error message, which shows it escaped.
pub(crate) fn clip(text: &str) -> String {
    const MAX_CHARS: usize = 60;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Words as a sentence lists them: "a, b or c".
pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}
