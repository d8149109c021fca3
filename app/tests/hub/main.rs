//! Downloads against a real HTTP server on this machine that behaves like the hub.

mod access;
mod cache;
mod commands;
mod interruptions;
mod python;
mod quiet;
mod server;
mod tls;
mod transfer;
mod worker;
