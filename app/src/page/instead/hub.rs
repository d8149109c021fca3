//! In place of `hub`: what of it needs no sockets and no files. [`crate::page::download`] downloads for the page, which has no secrets.

#[path = "hub/address.rs"]
mod address;
#[path = "../../hub/catalogue.rs"]
mod catalogue;
#[path = "../../hub/choose.rs"]
mod choose;
#[path = "../../hub/content_range.rs"]
mod content_range;
#[path = "../../hub/error.rs"]
mod error;
#[path = "../../hub/name.rs"]
mod name;
#[path = "../../hub/progress.rs"]
mod progress;
#[path = "../../hub/refused.rs"]
mod refused;
#[path = "../../hub/repo.rs"]
mod repo;
#[path = "../../hub/search.rs"]
mod search;
#[path = "../../hub/terms.rs"]
pub mod terms;

use std::io::ErrorKind;

pub use catalogue::{Entry, Files, Kind, Source, catalogue, references};
pub use choose::{Choice, choose};
pub(crate) use content_range::{content_range, number};
pub(crate) use error::server_words;
pub use error::{HubError, Result};
pub use name::{Reference, RepoId};
pub(crate) use progress::Meter;
pub use progress::{Phase, Progress, duration};
pub(crate) use refused::Refusal;
pub use repo::{Hash, RemoteFile, Repo};
pub(crate) use search::MAX_FOUND;
pub use search::SearchResult;

use crate::size::size;
use crate::worker::to_sentence;

/// A download, by what the person named: a name of the catalogue, a file or an address.
pub type Name = String;

/// A secret. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {}

/// Where the hub is.
const ENDPOINT: &str = "https://huggingface.co";

/// Where the hub is: a script that runs before the page, such as a test, may name another in `globalThis.lapidaryHub`.
pub(crate) fn endpoint() -> String {
    let named = js_sys::Reflect::get(&js_sys::global(), &"lapidaryHub".into()).ok().and_then(|named| named.as_string());
    named.unwrap_or_else(|| ENDPOINT.to_owned())
}

/// What is done with a model that needs an account.
const BY_HAND: &str = "the page has no account, so download the file there yourself and open it with “Open a file…”";

/// An error as a sentence for the page, where other things help than in the program.
pub(crate) fn sentence(error: &HubError) -> String {
    let text = match error {
        HubError::Name { text, reason } => {
            format!(
                "“{text}” names no model: {reason}; give org/repo:file.gguf or the address of a .gguf file on the hub"
            )
        }
        HubError::RepoNotFound { repo, .. } => {
            format!(
                "the hub shows nobody without an account a repository {repo}: check the spelling; if it is only for accounts, {BY_HAND}"
            )
        }
        HubError::GatedWithoutToken { repo, page, .. } | HubError::GatedForAccount { repo, page } => {
            format!("{repo} needs an account of the hub, which may have to accept terms first, at {page}; {BY_HAND}")
        }
        HubError::NoModel { repo } => format!(
            "{repo} holds no .gguf file, and the page opens only those; look on the hub for a copy of the model in that format, whose \
             name often ends in GGUF"
        ),
        HubError::NoSuchFormat { model, format, formats } => {
            format!("{model} does not come as {format}; it comes as {}, so name one of these", formats.join(", "))
        }
        HubError::Forbidden { .. } => format!("{error}; {BY_HAND}"),
        HubError::TooManyRequests { seconds, .. } => {
            format!("the hub answers that there were too many requests; try again in {seconds} seconds")
        }
        HubError::Network { host, reason } => {
            format!("{host} cannot be reached ({reason}); check the connection and try again. What came is kept")
        }
        HubError::Protocol { host, reason } => format!("{host} sent what makes no sense: {reason}; try again later"),
        HubError::DiskFull { free, needed, .. } => {
            let room = match free {
                // A browser that refuses to write need not tell how much it would take.
                0 => "the browser has no room left".to_owned(),
                free => format!("the browser has room for {} more", size(*free)),
            };
            format!(
                "{room}, but the download needs {}; delete a model under “On this machine”, or files on your disk, and try again. \
                 What came is kept",
                size(*needed)
            )
        }
        HubError::Io { source, .. } if source.kind() == ErrorKind::ResourceBusy => {
            "another download writes the same file, under another name or in another tab; wait until it ends, or cancel it".to_owned()
        }
        HubError::Io { source, .. } => format!(
            "the browser does not keep files for this page: {source}. In a private window that may be forbidden; a model that you \
             downloaded yourself opens with “Open a file…”"
        ),
        error => error.to_string(),
    };
    to_sentence(&text)
}
