//! Names of repositories, revisions and files. They come from people and from the network, and become paths and addresses, so
//! each is checked once, here.

use std::fmt;
use std::str::FromStr;

use super::address::Address;
use super::error::{HubError, Result};

/// The hub refuses longer names.
const MAX_NAME: usize = 96;
/// Bytes of a file's path in a repository.
const MAX_PATH: usize = 512;
/// Hosts whose addresses are taken for those of the hub.
const HUB_HOSTS: [&str; 3] = ["huggingface.co", "www.huggingface.co", "hf.co"];

/// A repository of models: `org/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepoId {
    org: String,
    name: String,
}

impl RepoId {
    /// The repository's folder in the cache: `models--org--name`.
    pub fn folder(&self) -> String {
        format!("models--{}--{}", self.org, self.name)
    }

    /// The repository of a folder in the cache.
    pub fn of_folder(folder: &str) -> Option<Self> {
        let (org, name) = folder.strip_prefix("models--")?.split_once("--")?;
        Self::new(org, name).ok()
    }

    fn new(org: &str, name: &str) -> Result<Self, String> {
        for part in [org, name] {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if part.is_empty() || part.len() > MAX_NAME || !part.chars().all(plain) {
                return Err("the names of owner and repository are letters, digits, '-', '_' and '.'".to_owned());
            }
            if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) || part.contains("--") || part.contains("..")
            {
                return Err(
                    "the names of owner and repository neither begin nor end with '-' or '.', nor hold '--' or '..'"
                        .to_owned(),
                );
            }
        }
        Ok(Self { org: org.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.name)
    }
}

impl FromStr for RepoId {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = match text.split_once('/') {
            Some((org, name)) => Self::new(org, name),
            None => Err("it has no '/' between owner and repository".to_owned()),
        };
        parsed.map_err(|reason| HubError::Name { text: shown(text), reason })
    }
}

/// What a person asks for: a repository, perhaps at a revision, perhaps one file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The repository.
    pub repo: RepoId,
    /// The branch, tag or commit.
    pub revision: String,
    /// The file, or a part of its name such as `Q4_K_M`; `None` for the whole model.
    pub file: Option<String>,
}

impl Reference {
    /// The main branch of a repository.
    pub fn main(repo: RepoId, file: Option<String>) -> Self {
        Self { repo, revision: "main".to_owned(), file }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repo)?;
        if self.revision != "main" {
            write!(f, "@{}", self.revision)?;
        }
        self.file.as_ref().map_or(Ok(()), |file| write!(f, ":{file}"))
    }
}

impl FromStr for Reference {
    type Err = HubError;

    /// Parses `org/repo`, `org/repo@revision`, either with `:file` or `:Q4_K_M`, and addresses of the hub's pages and files.
    fn from_str(text: &str) -> Result<Self> {
        parse(text.trim()).map_err(|reason| HubError::Name { text: shown(text), reason })
    }
}

/// A text from outside, short enough for a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}

fn parse(text: &str) -> Result<Reference, String> {
    if text.contains("://") {
        return parse_address(&Address::of(text)?);
    }
    if HUB_HOSTS.iter().any(|host| text.strip_prefix(host).is_some_and(|rest| rest.starts_with('/'))) {
        return parse(&format!("https://{text}"));
    }
    let (model, file) = match text.split_once(':') {
        Some((model, file)) => (model, Some(file)),
        None => (text, None),
    };
    let (repo, revision) = match model.split_once('@') {
        Some((repo, revision)) => (repo, revision),
        None => (model, "main"),
    };
    let (org, name) = repo.split_once('/').ok_or("it has no '/' between owner and repository")?;
    reference(org, name, revision, file)
}

/// `/org/repo`, `/org/repo/tree/revision`, `/org/repo/{blob,resolve,raw}/revision/file`.
fn parse_address(address: &Address) -> Result<Reference, String> {
    if !matches!(address.scheme.as_str(), "https" | "http") {
        return Err("it is no http address".to_owned());
    }
    let endpoint = std::env::var("HF_ENDPOINT").ok().and_then(|endpoint| Address::of(&endpoint).ok());
    if !HUB_HOSTS.contains(&address.host.as_str()) && endpoint.is_none_or(|endpoint| endpoint.host != address.host) {
        return Err("it is the address of another site than huggingface.co".to_owned());
    }
    let decoded = address.path.split('/').filter(|part| !part.is_empty());
    let parts: Vec<String> =
        decoded.map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        [org, name] => reference(org, name, "main", None),
        [org, name, "tree", revision] => reference(org, name, revision, None),
        [org, name, "blob" | "resolve" | "raw", revision, file @ ..] if !file.is_empty() => {
            reference(org, name, revision, Some(&file.join("/")))
        }
        _ => Err("it is the address of no model, such as https://huggingface.co/org/repo".to_owned()),
    }
}

fn reference(org: &str, name: &str, revision: &str, file: Option<&str>) -> Result<Reference, String> {
    let repo = RepoId::new(org, name)?;
    if !is_revision(revision) {
        return Err("the revision is no branch, tag or commit".to_owned());
    }
    if let Some(file) = file
        && !is_file_path(file)
    {
        return Err("the file is no path inside of a repository".to_owned());
    }
    Ok(Reference { repo, revision: revision.to_owned(), file: file.map(str::to_owned) })
}

/// Whether a text can be the name of a branch, a tag or a commit, and a path below `refs`.
pub(super) fn is_revision(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    text.len() <= MAX_NAME && text.chars().all(plain) && is_file_path(text)
}

/// Whether a text is a full commit hash.
pub(super) fn is_commit(text: &str) -> bool {
    is_hex(text, 40)
}

/// Whether a text is that many lower-case hexadecimal digits.
pub(super) fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path of a file in a repository stays below its folder on every system.
pub(super) fn is_file_path(path: &str) -> bool {
    let fits = !path.is_empty() && path.len() <= MAX_PATH;
    fits && path.split('/').all(is_file_name)
}

/// Whether a character turns the direction of writing, so that a name looks like another one.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn is_file_name(name: &str) -> bool {
    // The reserved names of Windows, with any ending.
    const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let numbered = |port: &str| stem.strip_prefix(port).is_some_and(|n| n.len() == 1 && n != "0");
    let device = DEVICES.contains(&stem.as_str()) || (stem.len() == 4 && (numbered("COM") || numbered("LPT")));
    let unsafe_char =
        |c: char| c.is_control() || is_direction(c) || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    !name.is_empty()
        && name.len() <= 255
        && !matches!(name, "." | "..")
        && !name.ends_with(['.', ' '])
        && !name.contains(unsafe_char)
        && !device
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_name_a_model_is_understood() {
        let file = "bartowski/gemma-2-2b-it-GGUF:gemma-2-2b-it-Q4_K_M.gguf";
        for (text, expected) in [
            ("google/gemma-2-2b-it", "google/gemma-2-2b-it"),
            (" google/gemma-2-2b-it\n", "google/gemma-2-2b-it"),
            ("google/gemma-2-2b-it@v1.0", "google/gemma-2-2b-it@v1.0"),
            (file, file),
            ("ggml-org/gemma-3-1b-it-GGUF:Q8_0", "ggml-org/gemma-3-1b-it-GGUF:Q8_0"),
            ("https://huggingface.co/google/gemma-2-2b-it", "google/gemma-2-2b-it"),
            ("hf.co/google/gemma-2-2b-it/", "google/gemma-2-2b-it"),
            ("https://huggingface.co/google/gemma-2-2b-it/tree/main", "google/gemma-2-2b-it"),
            ("https://huggingface.co/bartowski/gemma-2-2b-it-GGUF/blob/main/gemma-2-2b-it-Q4_K_M.gguf", file),
            (
                "https://huggingface.co/bartowski/gemma-2-2b-it-GGUF/resolve/main/gemma-2-2b-it-Q4_K_M.gguf?download=true",
                file,
            ),
        ] {
            let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(reference.to_string(), expected);
        }
    }

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for text in [
            "",
            "gemma",
            "a/b/c",
            "../b",
            "a/..",
            "a/b:../../x",
            "a/b:/etc/passwd",
            "a/b:x\\y",
            "a/b:c:d",
            "a--b/c",
            "-a/b",
            "a/b.",
            "a/b@../x",
            "a/b@",
            "a/b:",
            "a/b:NUL.gguf",
            "a/b:x/./y",
            "a/b:x\u{0}",
            "a/b:x\u{202E}fugg.gguf",
            "a/b:\u{2066}x",
            "ftp://a/b/c",
            "https://example.com/a/b",
            "https://huggingface.co/spaces",
            "https://huggingface.co/a/b/blob/main",
            "a/b:COM1",
            "https://huggingface.co/a/b/resolve/main/..%2f..%2fx",
            "https://huggingface.co/%2e%2e/b",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn folders_of_the_cache_are_repositories() {
        let repo: RepoId = "google/gemma-2-2b-it".parse().unwrap();
        assert_eq!(repo.folder(), "models--google--gemma-2-2b-it");
        assert_eq!(RepoId::of_folder(&repo.folder()), Some(repo));
        assert_eq!(RepoId::of_folder("datasets--a--b"), None);
        assert_eq!(RepoId::of_folder("models--a"), None);
    }
}
