//! The window of Lapidary, as a library: its state apart from its drawing, over a small trait of what it needs from an
//! engine. The program `lapidary` is a thin shell around it.

pub mod chats;
pub mod guide;
mod icon;
pub mod last_model;
pub mod models;
pub mod settings;
pub mod state;
pub mod ui;
pub mod window;
pub mod worker;
