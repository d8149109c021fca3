//! `lapidary chat`: a conversation in the terminal.

mod command;
mod commands;
mod conversation;
mod editor;
mod model;
mod raw;
mod reply;
mod server;

use std::io::{self, IsTerminal, Write};

use lapidary_app::chats::{Id, Role, Status};
use lapidary_app::guide;
use lapidary_engine::{Error, Finish, Sampling, TextGeneration};

use super::args;
use super::failure::{Failure, print_error, sanitized};
use super::interrupt::Busy;
use super::terminal::{Terminal, wrapped};
use command::{Command, Input, unknown};
use commands::{change_model, named_model};
use conversation::Conversation;
use editor::{Line, Prompt};
use model::LoadedModel;
use reply::Printer;
use server::ModelAtServer;

pub(super) use conversation::saved_chats;

/// What answers.
enum Model {
    Here(Box<LoadedModel>),
    AtServer(Box<ModelAtServer>),
}

/// A chat in progress.
struct Session {
    model: Model,
    conversation: Conversation,
}

pub(crate) fn chat(arguments: &args::Chat) -> Result<(), Failure> {
    // Without a terminal every input line is a turn, and only replies are printed.
    let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
    let model = match &arguments.endpoint {
        Some(address) => Model::AtServer(Box::new(ModelAtServer::connect(address, arguments, interactive)?)),
        None => {
            let model = LoadedModel::load(arguments.model.model.as_deref(), arguments)?;
            if !arguments.raw {
                model.warn_if_it_cannot_chat("lapidary chat --raw lets it continue what you write");
            }
            Model::Here(Box::new(model))
        }
    };
    let mut prompt = Prompt::new(interactive)?;
    match &model {
        Model::AtServer(model) => model.warn()?,
        Model::Here(model) if interactive => greet(model, arguments.raw)?,
        Model::Here(_) => {}
    }
    let model = match model {
        Model::Here(model) if arguments.raw => return raw::complete(*model, arguments, &mut prompt),
        model => model,
    };
    let system = arguments.system.clone().unwrap_or_default();
    let mut session = Session { model, conversation: Conversation::new(system, interactive) };
    let mut leaving = Leaving::default();
    while let Some(text) = leaving.read(&mut prompt)? {
        match Input::of(&text) {
            Input::Nothing => {}
            Input::Command(Command::Quit, _) => return Ok(()),
            Input::Command(Command::Model, argument) if !argument.is_empty() => {
                session.model = match session.model {
                    Model::AtServer(mut model) => {
                        model.change(argument)?;
                        Model::AtServer(model)
                    }
                    Model::Here(model) => Model::Here(match named_model(argument)? {
                        Some(path) => Box::new(change_model(*model, &path, arguments)?),
                        None => model,
                    }),
                };
            }
            Input::Command(command, argument) => session.run(command, argument)?,
            Input::Message(text) => session.ask(&text)?,
            Input::Unknown(name) => print_error(&unknown(name)),
            Input::NoArgument(command) => print_error(&format!("{} takes no argument", command.name())),
        }
    }
    if interactive {
        print_line("")?;
    }
    Ok(())
}

fn greet(model: &LoadedModel, raw: bool) -> Result<(), Failure> {
    if model.is_guide && !raw {
        print_line("This is Lapidary's built-in guide. Ask it how to use Lapidary, or how Gemma 2 works.")?;
    }
    let name = sanitized(model.engine.name()).into_owned();
    let adapter = sanitized(&model.engine.gpu().info().name).into_owned();
    print_line(&format!("{name} on {adapter}. Ctrl-C stops a reply, Ctrl-D leaves, /help lists commands."))
}

fn print_line(line: &str) -> Result<(), Failure> {
    match Terminal::of_output() {
        Some(terminal) => writeln!(io::stdout(), "{}", wrapped(line, terminal.columns))?,
        None => writeln!(io::stdout(), "{line}")?,
    }
    Ok(())
}

/// Reads from the prompt until the user leaves: with the end of the input, or with Ctrl-C twice on an empty line.
#[derive(Default)]
struct Leaving {
    asked: bool,
}

impl Leaving {
    fn read(&mut self, prompt: &mut Prompt) -> Result<Option<String>, Failure> {
        loop {
            match prompt.read()? {
                Line::Text(text) => {
                    self.asked = false;
                    return Ok(Some(text));
                }
                Line::Interrupted if !self.asked => {
                    self.asked = true;
                    print_line("Press Ctrl-C again, or Ctrl-D, to leave.")?;
                }
                Line::Interrupted | Line::End => return Ok(None),
            }
        }
    }
}

impl Session {
    /// Sends a message.
    fn ask(&mut self, text: &str) -> Result<(), Failure> {
        let turns = self.conversation.turns_with(text);
        self.reply(&turns, |conversation, model| Some(conversation.ask(text, model)))
    }

    /// Generates another reply to the last message.
    fn regenerate(&mut self) -> Result<(), Failure> {
        match self.conversation.turns_again() {
            Some(turns) => self.reply(&turns, Conversation::ask_again),
            None => {
                print_error("there is no message to answer again");
                Ok(())
            }
        }
    }

    /// Generates and prints a reply to these turns. `begin` adds it to the conversation, once it is clear that the turns fit
    /// the context.
    fn reply(
        &mut self,
        turns: &[(Role, String)],
        begin: impl FnOnce(&mut Conversation, &str) -> Option<Id>,
    ) -> Result<(), Failure> {
        let model = match &mut self.model {
            Model::Here(model) => model,
            Model::AtServer(model) => return model.reply(&mut self.conversation, turns, begin),
        };
        let busy = Busy::new();
        // Another model may have turns, and /model loads it.
        let ids = match model.prompt(self.conversation.system(), turns) {
            Ok(ids) => ids,
            Err(failure) => {
                print_error(&format!("{}; /model loads another model", failure.message()));
                return Ok(());
            }
        };
        let (sampling, name) = (model.sampling.clone(), model.name.clone());
        let session = match model.session(&busy) {
            Err(Failure::Interrupted) => return Ok(()),
            session => session?,
        };
        let mut generation = match session.generate_text(&ids, &sampling) {
            Err(error @ Error::ContextFull { .. }) => {
                print_error(&format!("{error}; /undo takes turns back, and /clear starts again"));
                return Ok(());
            }
            generation => generation?,
        };
        let Some(reply) = begin(&mut self.conversation, &name) else { return Ok(()) };
        let conversation = &mut self.conversation;
        let end = print(&busy, &mut generation, true, |piece| conversation.append(reply, piece));
        self.conversation.end(reply, Status::of(generation.finish()), Some(&generation.timings()));
        if generation.finish() == Some(Finish::ContextFull) {
            print_error("the context is full, so the reply ends here; /undo takes turns back, and /clear starts again");
        }
        end
    }
}

/// Prints a generation to its end, or until Ctrl-C, and passes each piece of text on.
fn print(
    busy: &Busy,
    generation: &mut TextGeneration<'_>,
    markdown: bool,
    mut on_piece: impl FnMut(&str),
) -> Result<(), Failure> {
    let mut printer = Printer::new(markdown);
    let end = loop {
        match busy.wait(generation.next()) {
            Ok(Some(piece)) => {
                on_piece(&piece);
                printer.push(&piece)?;
            }
            // The partial reply is kept.
            Ok(None) | Err(Failure::Interrupted) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    if let Some(rest) = generation.rest() {
        on_piece(&rest);
        printer.push(&rest)?;
    }
    printer.finish()?;
    end
}

/// The parameters for a model: the arguments over its defaults.
fn sampling_of(arguments: &args::Chat, files: &lapidary_engine::ModelFiles) -> Result<Sampling, Failure> {
    let mut sampling = arguments.sampling.to_engine(files);
    if arguments.raw {
        sampling.max_tokens.get_or_insert(lapidary_app::chat_ability::COMPLETION_TOKENS);
    }
    sampling.check()?;
    Ok(sampling)
}

/// Whether a model's path is the guide's name.
fn is_guide(files: &lapidary_engine::ModelFiles) -> bool {
    guide::is_guide(files.path())
}
