//! What can go wrong between a name and a file in the cache. Every message says what to do next.

use std::io;
use std::path::{Path, PathBuf};

#[cfg(not(target_arch = "wasm32"))]
use crate::secrets::SecretError;
use crate::size::size;

/// Characters of a server's words in a message.
const MAX_WORDS: usize = 200;

/// Shorthand for a result with [`HubError`].
pub type Result<T, E = HubError> = std::result::Result<T, E>;

/// An error of finding, downloading or checking a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The text names no repository, file or model of the catalogue.
    #[error(
        "{text:?} names no model: {reason}; give a name of the catalogue (see lapidary pull --list), org/repo, org/repo:file.gguf, or an address on the hub"
    )]
    Name {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No source of a model of the catalogue has it in this format.
    #[error("{model} does not come as {format}; it comes as {}, so ask for {model}:{}, which --weights converts when it is loaded", formats.join(", "), formats.first().map_or("", String::as_str))]
    NoSuchFormat {
        /// The model's name in the catalogue.
        model: String,
        /// The format that was asked for.
        format: String,
        /// The formats that its sources list, from the smallest to the largest.
        formats: Vec<String>,
    },
    /// An environment variable or a saved setting makes no sense.
    #[error("{setting}: {reason}")]
    Setting {
        /// The variable or the file.
        setting: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The network is turned off by `HF_HUB_OFFLINE`.
    #[error("{what} needs the network, which HF_HUB_OFFLINE turns off; unset it to download")]
    Offline {
        /// What is not on this machine.
        what: String,
    },
    /// The terms of the model are not accepted.
    #[error(
        "{model} is under the Gemma Terms of Use, which are not accepted yet: read {terms} and run the command again with --accept-terms"
    )]
    TermsNotAccepted {
        /// The repository.
        model: String,
        /// Where the terms are.
        terms: &'static str,
    },
    /// There is no such repository, or the account may not see it.
    #[error("the hub knows no repository {repo}{}", if *with_token { " that this account may see; check the spelling" } else { "; check the spelling, or save a token (lapidary login, or HF_TOKEN) if it is private" })]
    RepoNotFound {
        /// The repository.
        repo: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The owner gives access to accounts that accepted the terms, and no token was sent.
    #[error(
        "{repo} is only for accounts that accepted its terms: sign in and accept them at {page}, create a token with read access at {tokens}, and save it (lapidary login, the field for it in the window, or HF_TOKEN); or use a copy without a gate, which the catalogue lists"
    )]
    GatedWithoutToken {
        /// The repository.
        repo: String,
        /// Its page.
        page: String,
        /// Where tokens are made.
        tokens: String,
    },
    /// The owner has not given access to the account of the token.
    #[error(
        "the account of the token has no access to {repo}: accept its terms at {page} with that account (some owners answer later), and give a fine-grained token the permission to read gated repositories"
    )]
    GatedForAccount {
        /// The repository.
        repo: String,
        /// Its page.
        page: String,
    },
    /// The hub does not accept the token.
    #[error(
        "the hub does not accept the token from {source_name}; create a new one at {tokens}, or remove it to download without one"
    )]
    BadToken {
        /// Where the token comes from.
        source_name: String,
        /// Where tokens are made.
        tokens: String,
    },
    /// The hub refuses access for another reason.
    #[error("the hub refuses access to {what}{}", reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}")))]
    Forbidden {
        /// What was asked for.
        what: String,
        /// The hub's words.
        reason: Option<String>,
    },
    /// The repository has no such branch, tag or commit.
    #[error("{repo} has no revision {revision}; use main, or one that the page of the repository lists")]
    RevisionNotFound {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
    },
    /// The repository has no such file.
    #[error("{repo} has no file {file}{}", if found.is_empty() { String::new() } else { format!("; it has {}", found.join(", ")) })]
    FileNotFound {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// Files that it has instead.
        found: Vec<String>,
    },
    /// The repository has several models, and none is the usual choice.
    #[error("{repo} holds several models; choose one: {}", found.iter().map(|file| format!("{repo}:{file}")).collect::<Vec<_>>().join(", "))]
    SeveralModels {
        /// The repository.
        repo: String,
        /// Their files.
        found: Vec<String>,
    },
    /// The repository holds nothing that can be loaded.
    #[error(
        "{repo} holds neither a .gguf file nor config.json with model.safetensors, so there is nothing to load; look for a repository with one of them"
    )]
    NoModel {
        /// The repository.
        repo: String,
    },
    /// The hub asks to wait longer than this program does.
    #[error("the hub answers that there were too many requests; try again in {seconds} seconds{}", if *with_token { "" } else { ", or save a token (lapidary login, or HF_TOKEN), which raises the limit" })]
    TooManyRequests {
        /// How long the hub asks to wait.
        seconds: u64,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// An answer that is none of the above.
    #[error("{host} answers {status} for {what}; try again later")]
    Status {
        /// The host.
        host: String,
        /// The status code.
        status: u16,
        /// What was asked for.
        what: String,
    },
    /// The connection fails, also after several attempts.
    #[error(
        "cannot reach {host}: {reason}; check the connection, and HTTPS_PROXY if there is a proxy. What is downloaded is kept, so the same command goes on from there"
    )]
    Network {
        /// The host.
        host: String,
        /// What happened.
        reason: String,
    },
    /// The server's certificate is not trusted.
    #[error(
        "the connection to {host} is not secure: {reason}; if a proxy of your network replaces certificates, put its root certificate into a file and name that in SSL_CERT_FILE"
    )]
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// A redirect that is not followed.
    #[error("{host} redirects {reason}, which is not followed")]
    Redirect {
        /// The host that redirected.
        host: String,
        /// Where to, or how often.
        reason: String,
    },
    /// An answer that contradicts itself or the protocol.
    #[error("{host} sent an answer that makes no sense: {reason}; try again later, and check HF_ENDPOINT if it is set")]
    Protocol {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// What was downloaded is not what the hub says the file is.
    #[error(
        "{file} has the checksum {actual} and not {expected}, so it was thrown away; a proxy or a mirror changes it, or the file was replaced meanwhile: try again"
    )]
    Checksum {
        /// The file.
        file: String,
        /// The checksum of what came.
        actual: String,
        /// The checksum that the hub gives.
        expected: String,
    },
    /// The disk is too small for the download.
    #[error("{} has {} free, but the download needs {}; delete files, or name a folder on another disk in HF_HUB_CACHE", path.display(), size(*free), size(*needed))]
    DiskFull {
        /// A folder on the disk.
        path: PathBuf,
        /// Free bytes.
        free: u64,
        /// Bytes that are still to come, with some room.
        needed: u64,
    },
    /// A file of the cache cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The saved token cannot be read or changed.
    #[cfg(not(target_arch = "wasm32"))]
    #[error(transparent)]
    Secret(SecretError),
    /// The engine cannot open or run the model.
    #[error(transparent)]
    Engine(#[from] lapidary_engine::Error),
    /// The user stopped the work.
    #[error("cancelled")]
    Cancelled,
}

/// A server's words for a message: not too long, and without what a terminal would obey. `None` where nothing is left.
pub(crate) fn server_words(text: &str) -> Option<String> {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect();
    (!text.is_empty()).then_some(text)
}

impl HubError {
    /// An error of the file system, with the path.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// Whether a token, or another one, may help.
    pub fn wants_token(&self) -> bool {
        match self {
            Self::GatedWithoutToken { .. } | Self::GatedForAccount { .. } | Self::BadToken { .. } => true,
            Self::RepoNotFound { with_token, .. } | Self::TooManyRequests { with_token, .. } => !with_token,
            _ => false,
        }
    }

    /// Whether another source of the same model may have what this one has not.
    pub(crate) fn is_about_source(&self) -> bool {
        matches!(
            self,
            Self::RepoNotFound { .. }
                | Self::GatedWithoutToken { .. }
                | Self::GatedForAccount { .. }
                | Self::FileNotFound { .. }
                | Self::SeveralModels { .. }
                | Self::NoModel { .. }
                | Self::Forbidden { .. }
        )
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}
