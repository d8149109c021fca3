//! What the hub answers to a search.

use serde::Deserialize;

use super::error::{HubError, Result};
use super::name::RepoId;
use super::repo::is_gated;

/// The most repositories that the window asks for.
pub(crate) const MAX_FOUND: usize = 30;

/// A repository that a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchResult {
    /// Its name.
    pub repo: RepoId,
    /// Downloads in the last month.
    pub downloads: u64,
    /// Whether accounts must accept terms before they may download.
    pub gated: bool,
    /// Whether it holds GGUF files.
    pub gguf: bool,
    /// Whether it holds safetensors files.
    pub safetensors: bool,
}

#[derive(Deserialize)]
struct Hit {
    id: String,
    #[serde(default)]
    downloads: u64,
    #[serde(default)]
    gated: serde_json::Value,
    #[serde(default)]
    tags: Vec<String>,
}

impl SearchResult {
    /// Reads the answer of a host.
    ///
    /// # Errors
    /// [`HubError::Protocol`] where it is no list.
    pub(crate) fn parse(answer: &[u8], host: String) -> Result<Vec<Self>> {
        let hits: Vec<Hit> =
            serde_json::from_slice(answer).map_err(|error| HubError::Protocol { host, reason: error.to_string() })?;
        let found = |hit: Hit| {
            let tag = |wanted: &str| hit.tags.iter().any(|tag| tag == wanted);
            Some(Self {
                // Names without an owner are not models of people.
                repo: hit.id.parse().ok()?,
                downloads: hit.downloads,
                gated: is_gated(&hit.gated),
                gguf: tag("gguf"),
                safetensors: tag("safetensors"),
            })
        };
        Ok(hits.into_iter().filter_map(found).collect())
    }
}
