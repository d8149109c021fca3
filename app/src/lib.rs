//! The window of Lapidary as a library. State and drawing are separate, and the engine is behind the trait
//! [`worker::Worker`]. The program `lapidary` adds the command line.

pub mod chat_ability;
pub mod chats;
pub mod data_folder;
pub mod desktop;
pub mod endpoint;
pub mod guide;
pub mod handover;
pub mod hub;
mod icon;
pub mod last_model;
pub mod models;
pub mod server;
pub mod settings;
pub mod state;
pub mod ui;
pub mod wait;
pub mod window;
pub mod worker;
