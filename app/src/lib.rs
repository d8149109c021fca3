//! The window of Lapidary as a library. State and drawing are separate, and the engine is behind the trait
//! [`worker::Worker`]. The program `lapidary` adds the command line.

pub mod chats;
pub mod guide;
pub mod hub;
mod icon;
pub mod last_model;
pub mod models;
pub mod settings;
pub mod state;
pub mod ui;
pub mod wait;
pub mod window;
pub mod worker;
