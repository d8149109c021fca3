//! The hub's interface for programs: what a repository holds, and search.

use serde::Deserialize;
use url::Url;

use super::client::Client;
use super::error::{HubError, Result};
use super::name::{Reference, RepoId};
use super::refused::Refusal;
use super::repo::Repo;
use super::search::SearchResult;

/// A list of files has some hundred bytes per file, and repositories of models have some hundred files.
const MAX_LIST: u64 = 16 << 20;

impl Client {
    /// Asks what a repository holds.
    ///
    /// # Errors
    /// Those of the network and of access, [`HubError::RepoNotFound`], [`HubError::RevisionNotFound`], and
    /// [`HubError::Protocol`] where the answer is no list of files.
    pub fn repo(&self, reference: &Reference) -> Result<Repo> {
        let id = reference.repo.to_string();
        let mut segments = vec!["api", "models"];
        segments.extend(id.split('/'));
        // One segment: its slashes are escaped.
        segments.extend(["revision", &reference.revision]);
        let mut url = self.url(&segments);
        url.set_query(Some("blobs=true"));
        let (answer, host) = self.list(&url, &|refusal| self.refused(reference, None, refusal))?;
        Repo::parse(reference, &answer, &host)
    }

    /// Searches the hub for models, those with most downloads first. At most `limit` are found.
    ///
    /// # Errors
    /// Those of the network, and [`HubError::Protocol`] where the answer is no list.
    pub fn search(&self, words: &str, limit: usize) -> Result<Vec<SearchResult>> {
        let mut url = self.url(&["api", "models"]);
        let limit = limit.clamp(1, 100).to_string();
        url.query_pairs_mut().extend_pairs([
            ("search", words),
            ("sort", "downloads"),
            ("direction", "-1"),
            ("limit", &limit),
        ]);
        let refused = |refusal: &Refusal| HubError::Status {
            host: refusal.host.clone(),
            status: refusal.status,
            what: "a search".to_owned(),
        };
        let (answer, host) = self.list(&url, &refused)?;
        SearchResult::parse(&answer, host)
    }

    /// The name of the account whose token is sent.
    ///
    /// # Errors
    /// Those of the network, [`HubError::BadToken`], and [`HubError::Protocol`] where the answer names no account.
    pub fn account(&self) -> Result<String> {
        #[derive(Deserialize)]
        struct Account {
            name: String,
        }
        let refused = |refusal: &Refusal| HubError::Status {
            host: refusal.host.clone(),
            status: refusal.status,
            what: "the account of the token".to_owned(),
        };
        let (answer, host) = self.list(&self.url(&["api", "whoami-v2"]), &refused)?;
        let account: Account =
            serde_json::from_slice(&answer).map_err(|error| HubError::Protocol { host, reason: error.to_string() })?;
        Ok(account.name)
    }

    /// The address of a repository's page.
    pub fn page(&self, repo: &RepoId) -> String {
        format!("{}/{repo}", self.settings().endpoint.as_str().trim_end_matches('/'))
    }

    /// A list, and the host that it came from.
    fn list(&self, url: &Url, refusal: &dyn Fn(&Refusal) -> HubError) -> Result<(Vec<u8>, String)> {
        // A connection that is cut off within the list is tried again too.
        self.retry(|| {
            let answer = self.attempt(url, None, refusal)?;
            let host = answer.host.clone();
            Ok((answer.read(MAX_LIST)?, host))
        })
    }

    /// What a refusal means, for a repository or a file of it.
    pub(super) fn refused(&self, reference: &Reference, file: Option<&str>, refusal: &Refusal) -> HubError {
        refusal.error(reference, file, self.page(&reference.repo), self.settings().tokens_page())
    }
}
