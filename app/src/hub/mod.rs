//! Models on the Hugging Face hub: names, the catalogue, search, downloads into the cache that its programs share, and whether
//! a model fits this machine before it is downloaded.
//!
//! Nothing here opens a connection before a function is called that takes a [`Client`], and the program calls none before a
//! person asks for something: see [`HOSTS`].

mod accepted_terms;
mod address;
mod api;
mod cache;
mod catalogue;
mod choose;
mod client;
mod content_range;
mod download;
pub mod downloads;
mod error;
mod fit;
mod hash;
mod name;
mod progress;
mod pull;
mod ranges;
mod refused;
mod remote;
mod repo;
mod search;
mod settings;
mod stop;
pub mod terms;
mod token;
mod whole;

pub use cache::Cache;
pub use catalogue::{Entry, Files, Kind, Source, catalogue, references};
pub use choose::{Choice, choose};
pub use client::Client;
pub(crate) use client::{agent, below, failure, header_text, host, is_this_machine, proxy};
pub use error::{HubError, Result};
pub use fit::{Fit, FitRow, measure_speed};
pub use name::{Reference, RepoId};
pub use progress::{Phase, Progress, duration};
pub use pull::{Plan, find, find_named, plan_first};
pub use repo::{Hash, RemoteFile, Repo};
pub use search::SearchResult;
pub(crate) use settings::certificates_file;
pub use settings::{DEFAULT_ENDPOINT, HubSettings, cache_folder};
pub use stop::Stop;
pub use token::{Token, TokenSource, log_in, log_out, token_source};

pub use crate::size::size;
pub use crate::verdict::Verdict;

/// A host that the program may contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name; a leading `*.` stands for any host below it.
    pub name: &'static str,
    /// When it is contacted, and what it learns.
    pub when: &'static str,
}

/// Every host that the program may contact, and only after a person asked for it, besides a server that a person connects to (see
/// [`endpoint`](crate::endpoint)). `HF_ENDPOINT` puts another hub in place of the first, and a proxy of the environment sees the
/// names of all.
pub const HOSTS: [Host; 4] = [
    Host {
        name: "huggingface.co",
        when: "when you search the hub, look at a model of it, download one or save a token; it learns the search, the \
               model, your address, and your token if you saved one",
    },
    Host {
        name: "*.huggingface.co",
        when: "while a model is downloaded: the hub sends large files from such hosts, which do not get your token",
    },
    Host {
        name: "*.hf.co",
        when: "while a model is downloaded: the hub sends large files from such hosts, which do not get your token",
    },
    Host {
        name: "*.amazonaws.com",
        when: "while a model is downloaded, where the hub sends large files from storage of Amazon; it does not get your \
               token",
    },
];
