//! Errors as the window shows them.

use lapidary_engine::Error;
use serde::{Deserialize, Serialize};

/// An error as the window shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// What went wrong, as a sentence.
    pub sentence: String,
    /// What the user can do about it.
    pub remedy: Remedy,
}

/// What the user can do about a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Remedy {
    /// Try again.
    Retry,
    /// Install a graphics driver or choose another adapter.
    Driver,
    /// Choose a smaller model, a smaller weight format or a shorter context.
    ReduceMemory,
    /// Choose another file.
    OtherFile,
    /// Load the model again and continue the reply.
    Reload,
    /// Drop messages or start a new chat from a summary, because the context is full.
    MakeRoom,
    /// Load the model after all, because the user cancelled loading.
    Resume,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let remedy = match error {
            Error::NoAdapter { .. } | Error::Adapter { .. } => Remedy::Driver,
            Error::OutOfMemory { .. } => Remedy::ReduceMemory,
            Error::Io { .. }
            | Error::BadFile { .. }
            | Error::Config { .. }
            | Error::MissingTensor { .. }
            | Error::TensorShape { .. }
            | Error::Unsupported { .. }
            | Error::Tokenizer { .. } => Remedy::OtherFile,
            Error::DeviceLost { .. } | Error::Gpu { .. } | Error::Internal { .. } => Remedy::Reload,
            Error::ContextFull { .. } => Remedy::MakeRoom,
            _ => Remedy::Retry,
        };
        Self { sentence: to_sentence(&error.to_string()), remedy }
    }
}

/// Turns an error message of the engine or the hub into a sentence.
pub(crate) fn to_sentence(message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut chars = message.chars();
    // A path keeps its case.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_sentences() {
        assert_eq!(to_sentence("no graphics adapter is there"), "No graphics adapter is there.");
        assert_eq!(to_sentence("/a/b.gguf: it is\n damaged"), "/a/b.gguf: it is damaged.");
        assert_eq!(to_sentence("Done."), "Done.");
    }

    #[test]
    fn each_error_has_a_remedy() {
        let lost = Error::DeviceLost { reason: "reset".into() };
        assert_eq!(Problem::from(&lost).remedy, Remedy::Reload);
        let full = Error::OutOfMemory { what: "weights".into() };
        assert_eq!(Problem::from(&full).remedy, Remedy::ReduceMemory);
    }
}
