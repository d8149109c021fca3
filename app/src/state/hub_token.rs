//! The token for the hub: whether there is one, saving one and forgetting it.

use super::State;
use crate::hub::downloads::Command;
use crate::hub::{HubError, Token, TokenSource};
use crate::secrets::Place;
use crate::worker::to_sentence;

/// What the window knows about the token for the hub.
#[derive(Debug, Default)]
pub struct HubToken {
    /// Where it comes from; `None` before that was found out, `Some(None)` without a token.
    pub source: Option<Option<TokenSource>>,
    /// Whether a token is being checked, saved or forgotten.
    pub busy: bool,
    /// How the last attempt to save or forget one ended, as a sentence; the error is why it failed.
    pub outcome: Option<Result<String, String>>,
    /// Whether it was looked for.
    asked: bool,
}

impl HubToken {
    pub(super) fn on_source(&mut self, source: Result<Option<TokenSource>, HubError>) {
        self.busy = false;
        match source {
            Ok(source) => self.source = Some(source),
            Err(error) => self.outcome = Some(Err(to_sentence(&error.to_string()))),
        }
    }

    pub(super) fn on_logged_in(&mut self, saved: Result<(String, Place), HubError>) {
        self.busy = false;
        self.outcome = Some(match saved {
            Ok((account, place)) => {
                // A variable wins over it.
                if !matches!(self.source, Some(Some(TokenSource::Variable(_)))) {
                    self.source = Some(Some(TokenSource::Saved));
                }
                Ok(format!("This is the token of {account}. It is kept in {place}."))
            }
            Err(error) => Err(to_sentence(&error.to_string())),
        });
    }
}

impl State {
    /// Finds out once whether there is a token. Neither the hub nor a key store is asked.
    pub fn look_for_token(&mut self) {
        if !std::mem::replace(&mut self.hub.token.asked, true) {
            self.hub.send(Command::FindToken);
        }
    }

    /// Checks a token that was typed at the hub, and saves it.
    pub fn log_in(&mut self, token: &str) {
        match Token::new(token, "the field for the token") {
            Ok(token) => {
                self.hub.token.busy = true;
                self.hub.token.outcome = None;
                self.hub.send(Command::LogIn(token));
            }
            Err(error) => self.hub.token.outcome = Some(Err(to_sentence(&error.to_string()))),
        }
    }

    /// Forgets the token that was saved.
    pub fn log_out(&mut self) {
        self.hub.token.busy = true;
        self.hub.token.outcome = None;
        self.hub.send(Command::LogOut);
    }
}
