//! A model of a server in place of one on this machine.

use std::sync::Arc;

use lapidary_engine::{Sampling, Timings};

use super::event_sender::EventSender;
use super::generate::{MAX_CANDIDATES, Prompt};
use super::stop::StopSignal;
use super::{Event, Loaded, Problem, Remedy};
use crate::chats::{Id, Role};
use crate::endpoint::{
    Address, ChatRequest, Client, EndpointError, Keys, Result, STALL, ServerModel, TokenLists, stop_when,
};
use crate::hub::{Stop, Token};

/// The model of a server that answers.
pub(super) struct Connected {
    pub(super) model: ServerModel,
    /// How many alternatives it is asked for per token; none once it has refused them, or has broken off a reply because of that.
    alternatives: usize,
}

impl Connected {
    pub(super) fn new(model: ServerModel) -> Self {
        Self { model, alternatives: MAX_CANDIDATES }
    }
}

/// Why a server's model shows no kernels.
pub(super) const NOT_HERE: &str = "This model runs on a server. Choose a model on this machine for this.";

impl From<&EndpointError> for Problem {
    fn from(error: &EndpointError) -> Self {
        Self { sentence: super::to_sentence(&error.to_string()), remedy: Remedy::Retry }
    }
}

/// Lists the models of the server at an address as it was typed. A key that was typed for it is saved once the server has
/// accepted it.
///
/// # Errors
/// All but those of replies.
pub(super) fn list(keys: &Keys, address: &str, key: Option<Token>) -> Result<(Address, Vec<String>)> {
    let address = Address::parse(address)?;
    let stop = Stop::default();
    let models = match key {
        None => Client::new(&address, keys, &stop, STALL)?.models()?,
        Some(key) => {
            let models = Client::with_key(&address, Some(key.clone()), &stop, STALL)?.models()?;
            keys.save(&address, &key)?;
            models
        }
    };
    Ok((address, models))
}

/// Checks that a server answers and accepts the key. Not every server lists its models.
///
/// # Errors
/// All but those of replies.
pub(super) fn check(keys: &Keys, server: &ServerModel) -> Result<()> {
    match Client::new(&server.address, keys, &Stop::default(), STALL)?.models() {
        Ok(_) | Err(EndpointError::NoApi { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What the window knows of a server's model. How long a chat may be, only the server knows.
pub(super) fn loaded(server: &ServerModel) -> Loaded {
    let load = super::Load { server: Some(server.clone()), ..super::Load::default() };
    Loaded { load, name: server.author(), ..Loaded::default() }
}

/// Gets a reply and sends its text as it grows, and how it ends. Returns what the model might have said in place of each token, if
/// the server tells.
pub(super) fn reply(
    keys: &Keys,
    server: &mut Connected,
    signal: &Arc<StopSignal>,
    sender: &EventSender,
    reply: Id,
    prompt: &Prompt,
    sampling: &Sampling,
) -> TokenLists {
    let mut lists = TokenLists::new();
    let asked = stop_when(
        || signal.is_stopped(),
        |stop| {
            if prompt.plain {
                return Err(EndpointError::Plain);
            }
            if matches!(prompt.turns.last(), Some((Role::Model, text)) if !text.is_empty()) {
                return Err(EndpointError::Continued);
            }
            let Connected { model: ServerModel { address, model }, alternatives } = server;
            let (system, turns) = (prompt.system.as_str(), prompt.turns.as_slice());
            loop {
                // A new one each time, because the connection of one that was broken off is of no use.
                let client = Client::new(address, keys, stop, STALL)?;
                let request = ChatRequest { model, system, turns, sampling, alternatives: *alternatives };
                let mut stream = client.chat(&request)?;
                if stream.refused_alternatives() {
                    *alternatives = 0;
                }
                let mut begun = false;
                let end = loop {
                    match stream.next_piece() {
                        Ok(Some(piece)) => {
                            begun = true;
                            sender.send(Event::ReplyText(reply, piece));
                        }
                        Ok(None) => break Ok((stream.finish(), stream.timings())),
                        Err(error) => break Err(error),
                    }
                };
                // A server that cannot give log-probabilities may find that out late, as llama-cpp-python's does.
                let broken = matches!(end, Err(EndpointError::Cut { .. } | EndpointError::Server { .. }));
                if broken && !begun && std::mem::take(alternatives) > 0 {
                    continue;
                }
                lists = stream.take_alternatives();
                break end;
            }
        },
    );
    sender.send(match asked {
        Ok((finish, timings)) => Event::Ended { reply, finish, timings: timings.unwrap_or_default() },
        Err(EndpointError::Stopped) => Event::Ended { reply, finish: None, timings: Timings::default() },
        Err(error) => Event::Failed(reply, Problem::from(&error)),
    });
    lists
}
