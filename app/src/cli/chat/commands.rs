//! What the commands of a chat do.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lapidary_app::chats::exchange;
use lapidary_app::{guide, models};

use super::command::{self, Command};
use super::model::LoadedModel;
use super::{Model, Session, print_line, saved_chats};
use crate::cli::args;
use crate::cli::chats::{ChatMatch, find, list_line};
use crate::cli::failure::{Failure, print_error, sanitized};
use crate::cli::load::open;

/// The most chats that `/load` lists.
const LISTED: usize = 10;

impl Session {
    /// Runs a command other than `/quit` and `/model MODEL`. Mistakes are reported and do not end the chat.
    pub(super) fn run(&mut self, command: Command, argument: &str) -> Result<(), Failure> {
        match command {
            Command::Help => print_line(&command::help()),
            Command::Model => self.list_models(),
            Command::System => self.system(argument),
            Command::Regenerate => self.regenerate(),
            Command::Undo => self.undo(),
            Command::Clear => {
                self.conversation.clear();
                Ok(())
            }
            Command::Save => self.save(argument),
            Command::Load if argument.is_empty() => list_chats(),
            Command::Load => self.load(argument),
            Command::Quit => Ok(()),
        }
    }

    fn list_models(&self) -> Result<(), Failure> {
        let loaded = match &self.model {
            Model::Here(model) => model,
            Model::AtServer(model) => return model.list(),
        };
        let mut out = io::stdout().lock();
        for (number, found) in (1..).zip(models::find()) {
            let mark = if found.path.as_deref().unwrap_or(Path::new(guide::NAME)) == loaded.path { "*" } else { " " };
            writeln!(out, "{mark}{number:>2}  {} ({})", sanitized(&found.name), found.note)?;
        }
        Ok(writeln!(out, "/model NUMBER or /model PATH loads another one.")?)
    }

    fn system(&mut self, argument: &str) -> Result<(), Failure> {
        match argument {
            "" if self.conversation.system().is_empty() => print_line("There is no system prompt."),
            "" => print_line(&sanitized(self.conversation.system())),
            "-" => {
                self.conversation.set_system("");
                Ok(())
            }
            text => {
                self.conversation.set_system(text);
                Ok(())
            }
        }
    }

    fn undo(&mut self) -> Result<(), Failure> {
        match self.conversation.undo() {
            Some(text) => print_line(&format!("Taken back: {}", sanitized(&first_line(&text)))),
            None => {
                print_error("there is no message to take back");
                Ok(())
            }
        }
    }

    fn save(&mut self, argument: &str) -> Result<(), Failure> {
        if argument.is_empty() {
            print_error("/save needs the name of a file, such as chat.md or chat.json");
            return Ok(());
        }
        match self.conversation.export(Path::new(argument)) {
            Ok(path) => print_line(&format!("Written to {}.", sanitized(&path.display().to_string()))),
            Err(reason) => {
                print_error(&format!("{argument} cannot be written: {reason}"));
                Ok(())
            }
        }
    }

    fn load(&mut self, argument: &str) -> Result<(), Failure> {
        let file = Path::new(argument);
        let from_file = file.is_file();
        let entry = if from_file {
            exchange::read(file)
                .and_then(|archive| archive.chats.into_iter().next().ok_or_else(|| format!("{argument} holds no chat")))
        } else {
            saved_chats().and_then(|saved| {
                let none = || format!("there is no chat {argument:?}; /load lists the latest");
                let (reader, chats) = saved.ok_or_else(none)?;
                match find(&chats, argument) {
                    ChatMatch::One(chat) => reader.archive([chat])?.chats.pop().ok_or_else(none),
                    ChatMatch::None => Err(none()),
                    ChatMatch::Several(count) => Err(format!("{count} chats fit {argument:?}; name one by its number")),
                }
            })
        };
        match entry {
            Ok(entry) => {
                self.conversation.resume(entry, !from_file);
                print_line(&format!("{} continues.", sanitized(self.conversation.title())))?;
                self.print_last_turns()
            }
            Err(reason) => {
                print_error(&reason);
                Ok(())
            }
        }
    }

    /// The last question and reply, to remind the user where the chat was.
    fn print_last_turns(&self) -> Result<(), Failure> {
        let messages: Vec<_> = self.conversation.branch().collect();
        for message in &messages[messages.len().saturating_sub(2)..] {
            crate::cli::chats::print_message(message)?;
        }
        Ok(())
    }
}

/// The path of the model that `/model` names by its path or its number, if its files can be read. Otherwise it says why.
///
/// # Errors
/// If the output is closed.
pub(super) fn named_model(argument: &str) -> Result<Option<PathBuf>, Failure> {
    let path = match argument.parse::<usize>() {
        Ok(number) => match models::find().into_iter().nth(number.wrapping_sub(1)) {
            Some(found) => found.path.unwrap_or_else(|| guide::NAME.into()),
            None => {
                print_error(&format!("there is no model {number}; /model lists them"));
                return Ok(None);
            }
        },
        Err(_) => PathBuf::from(argument),
    };
    match open(Some(&path)) {
        Ok(_) => Ok(Some(path)),
        Err(failure) => report(failure).map(|()| None),
    }
}

/// Loads another model in place of one that is given up first, because both may not fit the device. If that fails, the
/// first is loaded again.
///
/// # Errors
/// If that fails too.
pub(super) fn change_model(model: LoadedModel, path: &Path, arguments: &args::Chat) -> Result<LoadedModel, Failure> {
    let before = model.path.clone();
    drop(model);
    match LoadedModel::load(Some(path), arguments) {
        Ok(model) => {
            model
                .warn_if_it_cannot_chat("/model lists others, and lapidary chat --raw lets it continue what you write");
            print_line(&format!("{} is loaded.", sanitized(model.engine.name())))?;
            Ok(model)
        }
        Err(failure) => {
            report(failure)?;
            LoadedModel::load(Some(&before), arguments)
        }
    }
}

/// Reports a failure that does not end the chat.
fn report(failure: Failure) -> Result<(), Failure> {
    match failure {
        Failure::Usage(reason) | Failure::Failed(reason) => {
            print_error(&reason);
            Ok(())
        }
        Failure::Interrupted => {
            print_error("loading was stopped");
            Ok(())
        }
        failure @ Failure::OutputClosed => Err(failure),
    }
}

fn list_chats() -> Result<(), Failure> {
    match saved_chats() {
        Ok(Some((_, chats))) if !chats.is_empty() => {
            let mut out = io::stdout().lock();
            for (number, chat) in (1..).zip(chats.iter().take(LISTED)) {
                writeln!(out, "{}", list_line(number, chat, None))?;
            }
            Ok(())
        }
        Ok(_) => print_line("There are no chats yet."),
        Err(reason) => {
            print_error(&reason);
            Ok(())
        }
    }
}

fn first_line(text: &str) -> String {
    lapidary_app::chats::title_of(text)
}
