//! Chats with a server, against a real HTTP server on this machine.

mod alternatives;
mod failures;
#[path = "../shared/http.rs"]
mod http;
#[cfg(unix)]
#[path = "../shared/piped.rs"]
mod piped;
mod replies;
#[path = "../shared/running.rs"]
mod running;
mod server;
#[cfg(unix)]
mod terminal_chat;
mod worker;

#[cfg(unix)]
#[path = "../cli/terminal.rs"]
mod terminal;
