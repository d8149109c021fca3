//! How a command ends when it does not succeed.

use std::io;
use std::process::ExitCode;

use lapidary_engine::Error;

#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments make no sense: exit code 2.
    Usage(String),
    /// It did not work: exit code 1.
    Failed(String),
    /// Ctrl-C: exit code 130, as shells expect.
    Interrupted,
    /// Whoever read the output has had enough, as `head` does. Not worth a word.
    OutputClosed,
}

impl Failure {
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                eprintln!("lapidary: {message}");
                ExitCode::from(2)
            }
            Self::Failed(message) => {
                eprintln!("lapidary: {message}");
                ExitCode::FAILURE
            }
            Self::Interrupted => ExitCode::from(130),
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Setting { .. } => Self::Usage(error.to_string()),
            Error::Cancelled => Self::Interrupted,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Errors of standard output; those of files carry their path and are made by hand.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(format!("cannot write the output: {error}")),
        }
    }
}
