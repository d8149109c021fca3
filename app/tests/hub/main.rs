//! Downloads against a real HTTP server on this machine that behaves like the hub.

mod access;
mod cache;
mod commands;
#[cfg(unix)]
mod ctrl_c;
mod downloads;
mod files;
#[path = "../shared/http.rs"]
mod http;
mod interruptions;
mod memory;
mod page;
mod pip;
mod python;
mod quantize;
mod quiet;
mod ranges;
mod server;
mod speed;
mod tls;
mod token;
mod transfer;
