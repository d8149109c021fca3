//! The window of Lapidary as a library. State and drawing are separate, and the engine is behind the trait
//! [`worker::Worker`]. The program `lapidary` adds the command line, and
//! `page` is the same window in a browser.

pub mod chat_ability;
pub mod chats;
#[cfg_attr(target_arch = "wasm32", path = "page/instead/endpoint.rs")]
pub mod endpoint;
pub mod guide;
#[cfg_attr(target_arch = "wasm32", path = "page/instead/hub.rs")]
pub mod hub;
pub mod models;
pub mod settings;
pub mod size;
pub mod state;
pub mod ui;
pub mod verdict;
pub mod worker;

// What only the program has: files, sockets, threads and a window of the system.
#[cfg(windows)]
pub mod console;
#[cfg(not(target_arch = "wasm32"))]
pub mod data_folder;
#[cfg(not(target_arch = "wasm32"))]
pub mod desktop;
#[cfg(all(unix, not(target_os = "macos")))]
mod desktop_note;
#[cfg(not(target_arch = "wasm32"))]
pub mod handover;
#[cfg(not(target_arch = "wasm32"))]
mod icon;
#[cfg(not(target_arch = "wasm32"))]
pub mod model_folders;
#[cfg(not(target_arch = "wasm32"))]
pub mod recent_models;
#[cfg(not(target_arch = "wasm32"))]
pub mod secrets;
#[cfg(not(target_arch = "wasm32"))]
pub mod server;
#[cfg(not(target_arch = "wasm32"))]
pub mod wait;
#[cfg(not(target_arch = "wasm32"))]
mod whole_file;
#[cfg(not(target_arch = "wasm32"))]
pub mod window;

// What only the page in a browser has.
#[cfg(target_arch = "wasm32")]
pub mod page;

/// Whether this is the page in a browser, which connects to no servers.
pub const IS_PAGE: bool = cfg!(target_arch = "wasm32");
