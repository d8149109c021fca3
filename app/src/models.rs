//! The models on this machine, as lists show them.

#[cfg(not(target_arch = "wasm32"))]
mod find;
#[cfg(not(target_arch = "wasm32"))]
mod folders;

use std::path::PathBuf;

use crate::guide;

#[cfg(not(target_arch = "wasm32"))]
pub use find::{find, find_ids, find_named, id_of};

/// A model on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundModel {
    /// Its name.
    pub name: String,
    /// Its path; `None` for the guide.
    pub path: Option<PathBuf>,
    /// Where it was found, as shown in lists.
    pub note: &'static str,
    /// Bytes on disk.
    pub bytes: u64,
}

/// The list entry of the built-in guide.
pub fn guide(note: &'static str) -> FoundModel {
    FoundModel { name: "Lapidary's guide".into(), path: None, note, bytes: guide::BYTES }
}
