//! Why the hub refuses a request, and what that means.

use super::error::HubError;
use super::name::Reference;

/// Why the hub refuses a request.
pub(crate) struct Refusal {
    /// The status code.
    pub(crate) status: u16,
    /// The host that refuses.
    pub(crate) host: String,
    /// `X-Error-Code`.
    pub(crate) code: Option<String>,
    /// `X-Error-Message`.
    pub(crate) message: Option<String>,
    /// Whether a token was sent.
    pub(crate) with_token: bool,
}

impl Refusal {
    /// What it means for a repository or a file of it. `page` is the repository's page, and `tokens` is where tokens are made.
    pub(crate) fn error(&self, reference: &Reference, file: Option<&str>, page: String, tokens: String) -> HubError {
        let repo = reference.repo.to_string();
        let with_token = self.with_token;
        let what = || file.map_or_else(|| repo.clone(), |file| format!("{repo}:{file}"));
        match (self.code.as_deref(), self.status) {
            (Some("GatedRepo"), _) if with_token => HubError::GatedForAccount { repo, page },
            (Some("GatedRepo"), _) => HubError::GatedWithoutToken { repo, page, tokens },
            (Some("RepoNotFound"), _) => HubError::RepoNotFound { repo, with_token },
            (Some("RevisionNotFound"), _) => HubError::RevisionNotFound { revision: reference.revision.clone(), repo },
            (Some("EntryNotFound"), _) => {
                HubError::FileNotFound { repo, file: file.unwrap_or_default().to_owned(), found: Vec::new() }
            }
            (_, 403 | 451) => HubError::Forbidden { what: what(), reason: self.message.clone() },
            // The hub hides private repositories behind 401.
            (_, 401) => HubError::RepoNotFound { repo, with_token },
            (_, 404) if file.is_none() => HubError::RepoNotFound { repo, with_token },
            (_, status) => HubError::Status { host: self.host.clone(), status, what: what() },
        }
    }
}
