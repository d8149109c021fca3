//! A chat with a model of a server.

use std::io::{self, Write};

use lapidary_app::chats::{Id, Role, Status};
use lapidary_app::endpoint::{
    Address, ChatRequest, Client, EndpointError, Keys, ReplyStream, STALL, ServerModel, enumerated, stop_when,
};
use lapidary_app::hub::Stop;
use lapidary_engine::Sampling;

use super::conversation::Conversation;
use super::print_line;
use super::reply::Printer;
use crate::cli::args;
use crate::cli::failure::{Failure, print_error, sanitized};
use crate::cli::interrupt::{Busy, interrupted};

/// The model of a server that answers.
pub(super) struct ModelAtServer {
    model: ServerModel,
    keys: Keys,
    sampling: Sampling,
    /// Whether a failed reply does not end the chat.
    interactive: bool,
}

impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Self {
        match error {
            EndpointError::Stopped => Self::Interrupted,
            EndpointError::Address { .. } => Self::Usage(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl ModelAtServer {
    /// Looks up the models of a server and takes the one that the arguments name, or the only one. No message is sent.
    ///
    /// # Errors
    /// If the server cannot be used or the arguments do not tell which model is meant.
    pub(super) fn connect(address: &str, arguments: &args::Chat, interactive: bool) -> Result<Self, Failure> {
        let sampling = arguments.sampling.for_server();
        sampling.check()?;
        let (address, keys) = (Address::parse(address)?, Keys::of_this_user());
        let named = match &arguments.model.model {
            Some(name) => Some(name.to_str().ok_or_else(|| Failure::Usage("a model's name must be Unicode".into()))?),
            None => None,
        };
        let listed = {
            let _busy = Busy::new();
            models(&address, &keys)
        };
        let model = match (named, listed) {
            // Not every server lists its models.
            (Some(name), Err(EndpointError::NoApi { .. })) => name.to_owned(),
            (_, Err(error)) => return Err(error.into()),
            (Some(name), Ok(models)) => {
                if !models.is_empty() && !models.iter().any(|known| known == name) {
                    let known = enumerated(&models);
                    print_error(&format!(
                        "{} does not list {name}, so it may refuse it; it lists {known}",
                        address.host()
                    ));
                }
                name.to_owned()
            }
            (None, Ok(models)) => match models.as_slice() {
                [] => return Err(EndpointError::NoModels { host: address.host() }.into()),
                [only] => only.clone(),
                _ => return Err(EndpointError::SeveralModels { host: address.host(), models }.into()),
            },
        };
        Ok(Self { model: ServerModel { address, model }, keys, sampling, interactive })
    }

    /// Says which model answers, and that what is typed leaves this program. Where replies go into a file, it goes to standard
    /// error.
    ///
    /// # Errors
    /// If the output is closed.
    pub(super) fn warn(&self) -> Result<(), Failure> {
        let (author, warning) = (self.model.author(), self.model.address.warning());
        if self.interactive {
            let keys = "Ctrl-C stops a reply, Ctrl-D leaves, /help lists commands.";
            return print_line(&sanitized(&format!("{author}. {warning} {keys}")));
        }
        print_error(&warning);
        Ok(())
    }

    /// Lists the models of the server.
    ///
    /// # Errors
    /// If the output is closed.
    pub(super) fn list(&self) -> Result<(), Failure> {
        let Some(models) = self.models()? else { return Ok(()) };
        let mut out = io::stdout().lock();
        for (number, name) in (1..).zip(&models) {
            let mark = if *name == self.model.model { "*" } else { " " };
            writeln!(out, "{mark}{number:>2}  {}", sanitized(name))?;
        }
        Ok(writeln!(out, "/model NUMBER or /model NAME takes another one of {}.", self.model.address.host())?)
    }

    /// Takes another model of the server, by its name or its number.
    ///
    /// # Errors
    /// If the output is closed.
    pub(super) fn change(&mut self, argument: &str) -> Result<(), Failure> {
        let Some(models) = self.models()? else { return Ok(()) };
        let number = argument.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let found = models.iter().find(|name| *name == argument).or_else(|| models.get(number?));
        match found {
            Some(name) => {
                self.model.model.clone_from(name);
                print_line(&sanitized(&format!("{} answers now.", self.model.author())))
            }
            None => {
                print_error(&format!("{} lists no model {argument}; /model lists them", self.model.address.host()));
                Ok(())
            }
        }
    }

    /// The models of the server; `None` if they cannot be listed, which is reported.
    fn models(&self) -> Result<Option<Vec<String>>, Failure> {
        let _busy = Busy::new();
        match models(&self.model.address, &self.keys) {
            Ok(models) => Ok(Some(models)),
            Err(error) => {
                print_error(&error.to_string());
                Ok(None)
            }
        }
    }

    /// Gets and prints a reply to these turns. `begin` adds it to the conversation, once the server has accepted the turns.
    ///
    /// # Errors
    /// If the output is closed, or unless the chat is interactive, if the server fails.
    pub(super) fn reply(
        &self,
        conversation: &mut Conversation,
        turns: &[(Role, String)],
        begin: impl FnOnce(&mut Conversation, &str) -> Option<Id>,
    ) -> Result<(), Failure> {
        let _busy = Busy::new();
        let system = conversation.system().to_owned();
        let (model, sampling) = (self.model.model.as_str(), &self.sampling);
        let request = ChatRequest { model, system: &system, turns, sampling, alternatives: 0 };
        let replied = stop_when(interrupted, |stop| {
            let mut stream = client(&self.model.address, &self.keys, stop)?.chat(&request)?;
            let Some(reply) = begin(conversation, &self.model.author()) else { return Ok(()) };
            self.print(conversation, reply, &mut stream)
        });
        match replied {
            Err(Failure::Interrupted) => Ok(()),
            Err(Failure::Failed(reason)) if self.interactive => {
                print_error(&reason);
                Ok(())
            }
            replied => replied,
        }
    }

    /// Prints a reply to its end, and keeps what came also if it fails.
    fn print(&self, conversation: &mut Conversation, reply: Id, stream: &mut ReplyStream) -> Result<(), Failure> {
        let mut printer = Printer::new(true);
        let end = loop {
            match stream.next_piece() {
                Ok(Some(piece)) => {
                    conversation.append(reply, &piece);
                    printer.push(&piece)?;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        printer.finish()?;
        match end {
            Ok(()) | Err(EndpointError::Stopped) => {
                conversation.end(reply, Status::of(stream.finish()), stream.timings().as_ref());
                Ok(())
            }
            Err(error) => {
                conversation.fail(reply, &error.to_string());
                Err(error.into())
            }
        }
    }
}

fn client(address: &Address, keys: &Keys, stop: &Stop) -> Result<Client, EndpointError> {
    Client::new(address, keys, stop, STALL)
}

fn models(address: &Address, keys: &Keys) -> Result<Vec<String>, EndpointError> {
    stop_when(interrupted, |stop| client(address, keys, stop)?.models())
}
