//! The prompt of `lapidary chat`: a line editor on a terminal, and plain lines from anything else.

use std::io::{self, BufRead};
use std::path::PathBuf;

use lapidary_app::data_folder::data_folder;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, ColorMode, ConditionalEventHandler, Config, Context, Editor, Event, EventContext, EventHandler, Helper,
    KeyCode, KeyEvent, Modifiers, Movement, RepeatCount,
};

use super::command::COMMANDS;
use crate::cli::failure::Failure;
use crate::cli::terminal::wants_style;

/// The most entries of the history.
const HISTORY: usize = 1000;
const PROMPT: &str = "> ";

/// What was read at the prompt.
pub(super) enum Line {
    /// A text, which may have several lines.
    Text(String),
    /// Ctrl-C on an empty line.
    Interrupted,
    /// The end of the input.
    End,
}

/// Reads what the user types.
pub(super) enum Prompt {
    /// With editing, history and completion.
    Terminal(Box<Editor<Commands, DefaultHistory>>, Option<PathBuf>),
    /// Line by line, without a prompt.
    Pipe,
}

impl Prompt {
    /// An editor if the chat is interactive, with the history of earlier chats.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub(super) fn new(interactive: bool) -> Result<Self, Failure> {
        if !interactive {
            return Ok(Self::Pipe);
        }
        let colours = if wants_style() { ColorMode::Enabled } else { ColorMode::Disabled };
        let config = Config::builder().color_mode(colours).max_history_size(HISTORY).and_then(|config| {
            config
                .history_ignore_dups(true)
                .map(|config| config.completion_type(rustyline::CompletionType::List).build())
        });
        let mut editor = config.and_then(Editor::with_config).map_err(unusable)?;
        editor.set_helper(Some(Commands(FilenameCompleter::new())));
        editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
        editor.bind_sequence(KeyEvent::alt('\r'), Cmd::Newline);
        editor.bind_sequence(KeyEvent::ctrl('C'), EventHandler::Conditional(Box::new(ClearLine)));
        let history = data_folder().map(|folder| folder.join("terminal-history"));
        if let Some(file) = &history
            && let Err(error) = editor.load_history(file)
        {
            log::debug!("there is no history of earlier chats: {error}");
        }
        Ok(Self::Terminal(Box::new(editor), history))
    }

    /// Reads a line, or several if they end in `\`.
    ///
    /// # Errors
    /// If the input cannot be read or is not UTF-8.
    pub(super) fn read(&mut self) -> Result<Line, Failure> {
        match self {
            Self::Terminal(editor, history) => match editor.readline(PROMPT) {
                Ok(text) => {
                    remember(editor, history.as_ref(), &text);
                    Ok(Line::Text(text.replace("\\\n", "\n")))
                }
                Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
                Err(ReadlineError::Eof) => Ok(Line::End),
                Err(error) => Err(unusable(error)),
            },
            Self::Pipe => Ok(read_lines()?.map_or(Line::End, Line::Text)),
        }
    }
}

fn unusable(error: ReadlineError) -> Failure {
    Failure::Failed(format!("cannot read from the terminal: {error}"))
}

/// Adds a text to the history. A failure is only logged.
fn remember(editor: &mut Editor<Commands, DefaultHistory>, file: Option<&PathBuf>, text: &str) {
    if !matches!(editor.add_history_entry(text), Ok(true)) {
        return;
    }
    let Some(file) = file else { return };
    // The folder may not exist before the first model was loaded.
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    if let Err(error) = folder.map_err(ReadlineError::from).and_then(|()| editor.append_history(file)) {
        log::debug!("the history cannot be saved: {error}");
    }
}

/// Reads a line from standard input, and further ones as long as they end in `\`; `None` at the end.
fn read_lines() -> Result<Option<String>, Failure> {
    let mut turn = String::new();
    loop {
        let mut bytes = Vec::new();
        let count = io::stdin()
            .lock()
            .read_until(b'\n', &mut bytes)
            .map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
        if count == 0 {
            return Ok(Some(turn).filter(|turn| !turn.is_empty()));
        }
        let Ok(line) = String::from_utf8(bytes) else {
            return Err(Failure::Failed("standard input is not UTF-8 text".into()));
        };
        match line.trim_end_matches(['\n', '\r']).strip_suffix('\\') {
            Some(begun) => {
                turn.push_str(begun);
                turn.push('\n');
            }
            None => {
                turn.push_str(&line);
                return Ok(Some(turn));
            }
        }
    }
}

/// Ctrl-C clears the line; on an empty one it does what it does by default.
struct ClearLine;

impl ConditionalEventHandler for ClearLine {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        (!context.line().is_empty()).then_some(Cmd::Kill(Movement::WholeBuffer))
    }
}

/// Completes commands and the paths after them, and continues lines that end in `\`.
pub(super) struct Commands(FilenameCompleter);

impl Helper for Commands {}
impl Hinter for Commands {
    type Hint = String;
}
impl Highlighter for Commands {}

impl Validator for Commands {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let continued = context.input().ends_with('\\');
        Ok(if continued { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Completer for Commands {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..at).unwrap_or_default();
        match typed.split_once(' ') {
            Some(("/model" | "/save" | "/load", _)) => self.0.complete(line, at, context),
            _ => Ok((0, commands_that_begin_with(typed))),
        }
    }
}

fn commands_that_begin_with(typed: &str) -> Vec<Pair> {
    let begins = |(_, name, ..): &&(_, &str, _, _)| typed.starts_with('/') && name.starts_with(typed);
    let candidates = COMMANDS.iter().filter(begins).map(|(_, name, argument, _)| Pair {
        display: (*name).to_owned(),
        replacement: if argument.is_empty() { (*name).to_owned() } else { format!("{name} ") },
    });
    candidates.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_completed() {
        let names = |typed| -> Vec<String> {
            commands_that_begin_with(typed).into_iter().map(|candidate| candidate.replacement).collect()
        };
        assert_eq!(names("/s"), ["/system ", "/save "]);
        assert_eq!(names("/reg"), ["/regenerate"]);
        assert_eq!(names("/").len(), COMMANDS.len());
        assert!(names("hello").is_empty() && names("").is_empty() && names("/x").is_empty());
    }
}
