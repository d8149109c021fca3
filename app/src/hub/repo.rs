//! What a repository of the hub holds: the answer of the hub's interface for programs.

use serde::Deserialize;

use super::error::{HubError, Result};
use super::name::{Reference, RepoId, is_commit, is_file_path, is_hex};

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

impl Repo {
    /// Reads the hub's answer about a repository, which came from `host`.
    ///
    /// # Errors
    /// [`HubError::Protocol`] where the answer is no list of files, and [`HubError::Forbidden`] where the repository is disabled.
    pub(crate) fn parse(reference: &Reference, answer: &[u8], host: &str) -> Result<Self> {
        let protocol = |reason: &str| HubError::Protocol { host: host.to_owned(), reason: reason.to_owned() };
        let info: Info = serde_json::from_slice(answer).map_err(|error| protocol(&error.to_string()))?;
        if info.disabled {
            let what = reference.repo.to_string();
            return Err(HubError::Forbidden { what, reason: Some("the repository is disabled".to_owned()) });
        }
        let commit = info.sha.filter(|sha| is_commit(sha)).ok_or_else(|| protocol("it names no commit"))?;
        let mut files: Vec<RemoteFile> =
            info.siblings.into_iter().take(MAX_FILES).filter_map(Sibling::into_file).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        let license = info.tags.iter().find_map(|tag| tag.strip_prefix("license:")).map(str::to_owned);
        Ok(Self {
            id: reference.repo.clone(),
            revision: reference.revision.clone(),
            commit,
            gated: is_gated(&info.gated),
            license,
            files,
        })
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
pub(super) fn is_gated(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Bool(gated) => *gated,
        serde_json::Value::String(_) => true,
        _ => false,
    }
}
