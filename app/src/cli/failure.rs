//! How commands fail: exit codes and error messages.

use std::borrow::Cow;
use std::io::{self, Write};
use std::process::ExitCode;

use lapidary_engine::Error;

use super::terminal::{error_columns, wrapped};

#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments are wrong: exit code 2.
    Usage(String),
    /// The command failed: exit code 1.
    Failed(String),
    /// Ctrl-C was pressed: exit code 130, as shells expect.
    Interrupted,
    /// The reader of the output has closed it, as `head` does: success, without a message.
    OutputClosed,
}

impl Failure {
    /// The message, empty where there is none.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Usage(message) | Self::Failed(message) => message,
            Self::Interrupted | Self::OutputClosed => "",
        }
    }

    /// Prints the message, if there is one, and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                print_error(&message);
                ExitCode::from(2)
            }
            Self::Failed(message) => {
                print_error(&message);
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

/// Errors of standard output. Errors of files name their path and are made where they occur.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(format!("cannot write the output: {error}")),
        }
    }
}

/// Prints an error message on standard error, as one line or wrapped to a terminal, ignoring failure to write it.
pub(crate) fn print_error(message: &str) {
    let message = format!("lapidary: {}", one_line(message));
    let message = error_columns().map_or(message.clone(), |columns| wrapped(&message, columns));
    let _ = writeln!(io::stderr(), "{message}");
}

/// Joins the lines of a message, because those of drivers and clap may have several.
pub(crate) fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    sanitized(&words.join(" ")).into_owned()
}

/// Replaces control characters in text from a model or its file, because a terminal would obey them, and characters that turn
/// the direction of all that follows, which make a name look like another one.
pub(crate) fn sanitized(text: &str) -> Cow<'_, str> {
    let turns = |c: char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let unsafe_char = |c: char| turns(c) || (c.is_control() && !matches!(c, '\n' | '\t'));
    if text.contains(unsafe_char) { text.replace(unsafe_char, "\u{FFFD}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line() {
        assert_eq!(one_line("\n  a\n    b\tc \n"), "a b c");
    }

    #[test]
    fn terminals_get_no_control_characters() {
        assert_eq!(sanitized("é\n\tb"), "é\n\tb");
        assert_eq!(sanitized("a\u{202E}b\u{2069}"), "a\u{FFFD}b\u{FFFD}");
        assert_eq!(sanitized("a\x1b[2J\r\u{9b}"), "a\u{FFFD}[2J\u{FFFD}\u{FFFD}");
    }
}
