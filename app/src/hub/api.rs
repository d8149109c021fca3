//! The hub's interface for programs: what a repository holds, and search.

use serde::Deserialize;
use url::Url;

use super::client::{Client, Refusal};
use super::error::{HubError, Result};
use super::name::{Reference, RepoId, is_commit, is_file_path, is_hex};

/// A list of files has some hundred bytes per file, and repositories of models have some hundred files.
const MAX_LIST: u64 = 16 << 20;
/// Files of a repository that are looked at.
const MAX_FILES: usize = 50_000;

/// A repository at one commit.
#[derive(Clone, Debug)]
pub struct Repo {
    /// Its name.
    pub id: RepoId,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit that the revision means now.
    pub commit: String,
    /// Whether accounts must accept terms before they may download.
    pub gated: bool,
    /// The licence that the repository names, such as "gemma".
    pub license: Option<String>,
    /// Its files, in the order of their paths. Names that are no safe paths are left out.
    pub files: Vec<RemoteFile>,
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its path in the repository.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// What its content must be.
    pub hash: Hash,
}

/// What identifies the content of a file. It is the name of the file's blob in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256, of large files.
    Sha256(String),
    /// SHA-1 of Git's header and the content, of small files.
    GitSha1(String),
}

impl Hash {
    /// The lower-case hexadecimal digits.
    pub fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::GitSha1(digits) => digits,
        }
    }
}

/// A repository that a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
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
struct Info {
    sha: Option<String>,
    #[serde(default)]
    gated: serde_json::Value,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
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
        let protocol = |reason: &str| HubError::Protocol { host: host.clone(), reason: reason.to_owned() };
        let info: Info = serde_json::from_slice(&answer).map_err(|error| protocol(&error.to_string()))?;
        if info.disabled {
            return Err(HubError::Forbidden { what: id, reason: Some("the repository is disabled".to_owned()) });
        }
        let commit = info.sha.filter(|sha| is_commit(sha)).ok_or_else(|| protocol("it names no commit"))?;
        let mut files: Vec<RemoteFile> =
            info.siblings.into_iter().take(MAX_FILES).filter_map(Sibling::into_file).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        let license = info.tags.iter().find_map(|tag| tag.strip_prefix("license:")).map(str::to_owned);
        Ok(Repo {
            id: reference.repo.clone(),
            revision: reference.revision.clone(),
            commit,
            gated: is_gated(&info.gated),
            license,
            files,
        })
    }

    /// Searches the hub for models, those with most downloads first. At most `limit` are found.
    ///
    /// # Errors
    /// Those of the network, and [`HubError::Protocol`] where the answer is no list.
    pub fn search(&self, words: &str, limit: usize) -> Result<Vec<Found>> {
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
        let hits: Vec<Hit> =
            serde_json::from_slice(&answer).map_err(|error| HubError::Protocol { host, reason: error.to_string() })?;
        let found = |hit: Hit| {
            let tag = |wanted: &str| hit.tags.iter().any(|tag| tag == wanted);
            Some(Found {
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
        let repo = reference.repo.to_string();
        let with_token = refusal.with_token;
        let page = || self.page(&reference.repo);
        let what = || file.map_or_else(|| repo.clone(), |file| format!("{repo}:{file}"));
        match (refusal.code.as_deref(), refusal.status) {
            (Some("GatedRepo"), _) if with_token => HubError::GatedForAccount { page: page(), repo },
            (Some("GatedRepo"), _) => {
                HubError::GatedWithoutToken { page: page(), tokens: self.settings().tokens_page(), repo }
            }
            (Some("RepoNotFound"), _) => HubError::RepoNotFound { repo, with_token },
            (Some("RevisionNotFound"), _) => HubError::RevisionNotFound { revision: reference.revision.clone(), repo },
            (Some("EntryNotFound"), _) => {
                HubError::FileNotFound { repo, file: file.unwrap_or_default().to_owned(), found: Vec::new() }
            }
            (_, 403 | 451) => HubError::Forbidden { what: what(), reason: refusal.message.clone() },
            // The hub hides private repositories behind 401.
            (_, 401) => HubError::RepoNotFound { repo, with_token },
            (_, 404) if file.is_none() => HubError::RepoNotFound { repo, with_token },
            (_, status) => HubError::Status { host: refusal.host.clone(), status, what: what() },
        }
    }
}

impl Sibling {
    /// The file, where its name is a safe path and its size and hash are known.
    fn into_file(self) -> Option<RemoteFile> {
        if !is_file_path(&self.rfilename) {
            log::warn!("leaving out a file with an unsafe name");
            return None;
        }
        let (size, hash) = match self.lfs {
            Some(lfs) => {
                let digits = lfs.sha256.filter(|digits| is_hex(digits, 64))?;
                (lfs.size.or(self.size)?, Hash::Sha256(digits))
            }
            None => (self.size?, Hash::GitSha1(self.blob_id.filter(|digits| is_hex(digits, 40))?)),
        };
        Some(RemoteFile { path: self.rfilename, size, hash })
    }
}

/// The hub says false, "auto" or "manual".
fn is_gated(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Bool(gated) => *gated,
        serde_json::Value::String(_) => true,
        _ => false,
    }
}
