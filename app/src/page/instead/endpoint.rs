//! In place of `endpoint`: the page connects to no servers, so there is no value of a server.

use std::fmt;

use crate::hub::Token;
use crate::worker::{Problem, Remedy};

#[path = "../../endpoint/author.rs"]
mod author;
#[path = "../../endpoint/server_model.rs"]
mod server_model;

pub use author::is_of_server;
pub use server_model::ServerModel;

/// The program's variable for a key, which a page does not have.
pub const KEY_VARIABLE: &str = "LAPIDARY_ENDPOINT_KEY";

/// The address of a server. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {}

impl Address {
    /// Refuses every address.
    ///
    /// # Errors
    /// Always.
    pub fn parse(_: &str) -> Result<Self, EndpointError> {
        Err(EndpointError)
    }

    /// The host.
    pub fn host(&self) -> String {
        match *self {}
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        match *self {}
    }

    /// What is told before the first message goes out.
    pub fn warning(&self) -> String {
        match *self {}
    }
}

impl fmt::Display for Address {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// The keys of servers. There are none.
#[derive(Clone, Debug)]
pub struct Keys;

impl Keys {
    /// No keys.
    pub fn of_this_user() -> Self {
        Self
    }

    /// Whether [`KEY_VARIABLE`] is set.
    pub fn is_set_by_variable(&self) -> bool {
        false
    }

    /// Refuses every key.
    ///
    /// # Errors
    /// Always.
    pub fn typed(_: &str) -> Result<Token, EndpointError> {
        Err(EndpointError)
    }
}

/// The page connects to no servers.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the page connects to no servers; use the program for that")]
pub struct EndpointError;

impl From<&EndpointError> for Problem {
    fn from(error: &EndpointError) -> Self {
        Self { sentence: crate::worker::to_sentence(&error.to_string()), remedy: Remedy::Retry }
    }
}
