//! `lapidary chat --raw`: the model continues a text, to which each line that is typed is added.

use super::command::{Command, Input, unknown};
use super::editor::Prompt;
use super::model::LoadedModel;
use super::{Leaving, print, print_line};
use crate::cli::args;
use crate::cli::failure::{Failure, print_error};
use crate::cli::interrupt::Busy;
use lapidary_engine::Error;

const HELP: &str = "\
The model continues the text of everything you write and it writes, without a chat template.
/regenerate  writes another continuation
/undo        takes the last line and its continuation back
/clear       begins a new text
/quit        leaves, like Ctrl-D
Alt-Enter, or \\ at the end of a line, begins another line. An empty line lets the model go on.";

/// The text so far.
#[derive(Debug, Default)]
struct Text {
    text: String,
    /// Where each typed line and each continuation begins.
    turns: Vec<(usize, usize)>,
}

impl Text {
    /// Adds what was typed, on a new line unless it is the first.
    fn add(&mut self, typed: &str) {
        let before = self.text.len();
        if !self.text.is_empty() && !typed.is_empty() && !self.text.ends_with(char::is_whitespace) {
            self.text.push('\n');
        }
        self.text.push_str(typed);
        self.turns.push((before, self.text.len()));
    }

    /// Takes the last line and its continuation back.
    fn undo(&mut self) -> bool {
        let Some((before, _)) = self.turns.pop() else { return false };
        self.text.truncate(before);
        true
    }

    /// Takes the last continuation back.
    fn undo_continuation(&mut self) -> bool {
        let Some((_, after)) = self.turns.last() else { return false };
        self.text.truncate(*after);
        true
    }
}

/// Reads lines and continues them until the user leaves.
pub(super) fn complete(mut model: LoadedModel, arguments: &args::Chat, prompt: &mut Prompt) -> Result<(), Failure> {
    let mut text = Text { text: arguments.system.clone().unwrap_or_default(), ..Text::default() };
    let mut leaving = Leaving::default();
    while let Some(typed) = leaving.read(prompt)? {
        let typed = typed.trim_end_matches(['\r', '\n']);
        let again = match Input::of(typed) {
            // Spaces at both ends are part of the text.
            Input::Nothing => {
                text.add("");
                true
            }
            Input::Message(message) => {
                let escaped = typed.trim_start().starts_with("//");
                text.add(if escaped { &message } else { typed });
                true
            }
            Input::Command(Command::Quit, _) => return Ok(()),
            Input::Command(Command::Help, _) => {
                print_line(HELP)?;
                false
            }
            Input::Command(Command::Clear, _) => {
                text = Text::default();
                false
            }
            Input::Command(Command::Undo, _) => {
                if !text.undo() {
                    print_error("there is nothing to take back");
                }
                false
            }
            Input::Command(Command::Regenerate, _) => {
                let there = text.undo_continuation();
                if !there {
                    print_error("there is nothing to continue again");
                }
                there
            }
            Input::Command(command, _) => {
                print_error(&format!("{} does not work with --raw; /help lists what does", command.name()));
                false
            }
            Input::Unknown(name) => {
                print_error(&unknown(name));
                false
            }
            Input::NoArgument(command) => {
                print_error(&format!("{} takes no argument", command.name()));
                false
            }
        };
        if again && !text.text.is_empty() {
            go_on(&mut model, &mut text)?;
        }
    }
    Ok(())
}

/// Generates and prints a continuation.
fn go_on(model: &mut LoadedModel, text: &mut Text) -> Result<(), Failure> {
    let busy = Busy::new();
    let ids = model.completion(&text.text)?;
    let sampling = model.sampling.clone();
    let session = match model.session(&busy) {
        Err(Failure::Interrupted) => return Ok(()),
        session => session?,
    };
    let mut generation = match session.generate_text(&ids, &sampling) {
        Err(error @ Error::ContextFull { .. }) => {
            print_error(&format!("{error}; /undo takes text back, and /clear starts again"));
            text.undo();
            return Ok(());
        }
        generation => generation?,
    };
    print(&busy, &mut generation, false, |piece| text.text.push_str(piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_continuations_are_added_and_taken_back() {
        let mut text = Text::default();
        text.add("Once upon");
        text.text.push_str(" a time");
        text.add("there was");
        text.text.push_str(" a cat");
        assert_eq!(text.text, "Once upon a time\nthere was a cat");
        assert!(text.undo_continuation());
        assert_eq!(text.text, "Once upon a time\nthere was");
        assert!(text.undo());
        assert_eq!(text.text, "Once upon a time");
        text.add("");
        assert_eq!(text.text, "Once upon a time", "an empty line adds nothing");
        assert!(text.undo() && text.undo() && !text.undo() && !text.undo_continuation());
        assert_eq!(text.text, "");
    }
}
