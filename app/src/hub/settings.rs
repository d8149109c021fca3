//! Where the hub is, where its cache is, and who asks: the environment variables of Hugging Face's own programs.

use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::error::{HubError, Result};

/// The hub, unless `HF_ENDPOINT` names another.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Bytes of a token file, whose token has some forty.
const MAX_TOKEN_FILE: u64 = 4096;

/// The settings of downloads.
#[derive(Clone, Debug)]
pub struct HubSettings {
    /// The hub's address, `HF_ENDPOINT`.
    pub endpoint: Url,
    /// The folder of the cache, `HF_HUB_CACHE`.
    pub cache: PathBuf,
    /// The token that the endpoint, and nobody else, gets.
    pub token: Option<Token>,
    /// Whether the network is off, `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// A file of root certificates in place of the built-in ones, `SSL_CERT_FILE`.
    pub certificates: Option<PathBuf>,
    /// A connection on which nothing comes for this long is given up and tried again.
    pub stall: Duration,
    /// The wait before the second attempt; it doubles with each further one.
    pub first_wait: Duration,
    /// Attempts without any progress before giving up.
    pub attempts: u32,
}

/// A secret. Printing it shows stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    source: String,
}

impl Token {
    /// A token, and where it comes from as errors name it.
    ///
    /// # Errors
    /// [`HubError::Setting`] where it holds anything but visible ASCII characters.
    pub fn new(secret: &str, source: &str) -> Result<Self> {
        let secret = secret.trim();
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "it holds no token; tokens begin with hf_ and have no spaces".to_owned();
            return Err(HubError::Setting { setting: source.to_owned(), reason });
        }
        Ok(Self { secret: secret.to_owned(), source: source.to_owned() })
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// Where it comes from: a variable or a file.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(*** from {})", self.source)
    }
}

impl HubSettings {
    /// The settings of the environment: `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_TOKEN`, `HF_TOKEN_PATH`,
    /// `HF_HUB_OFFLINE`, `HF_HUB_DISABLE_IMPLICIT_TOKEN` and `SSL_CERT_FILE`. Proxies are read where connections are made.
    ///
    /// # Errors
    /// [`HubError::Setting`] where a variable makes no sense, and [`HubError::Io`] where the token file cannot be read.
    pub fn from_env() -> Result<Self> {
        let endpoint = endpoint(text("HF_ENDPOINT").as_deref().unwrap_or(DEFAULT_ENDPOINT))?;
        let cache = cache_folder()
            .ok_or_else(|| setting("HF_HUB_CACHE", "this machine has no home folder; name a folder for models here"))?;
        Ok(Self {
            endpoint,
            cache,
            token: token()?,
            offline: is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE"),
            certificates: certificates_file(),
            stall: Duration::from_secs(30),
            first_wait: Duration::from_millis(500),
            attempts: 6,
        })
    }

    /// The address of a person's page of tokens.
    pub fn tokens_page(&self) -> String {
        format!("{}/settings/tokens", self.endpoint.as_str().trim_end_matches('/'))
    }
}

fn setting(setting: &str, reason: &str) -> HubError {
    HubError::Setting { setting: setting.into(), reason: reason.into() }
}

/// The hub's address. It stands in messages and on pages, so it must hold no secret.
fn endpoint(text: &str) -> Result<Url> {
    let url = Url::parse(text.trim_end_matches('/'))
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
        .ok_or_else(|| setting("HF_ENDPOINT", "it is no address such as https://huggingface.co"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(setting(
            "HF_ENDPOINT",
            "it holds a user name or a password; take them out, and put a token into HF_TOKEN",
        ));
    }
    Ok(url)
}

/// The cache of Hugging Face's programs: `HF_HUB_CACHE`, `HF_HOME`, or its default; `None` without a home folder.
pub fn cache_folder() -> Option<PathBuf> {
    path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")).or_else(|| Some(hf_home()?.join("hub")))
}

/// Saves a token where Hugging Face's programs look for it, readable by its owner alone.
///
/// # Errors
/// [`HubError::Io`] where the file cannot be written.
pub fn save_token(token: &Token) -> Result<PathBuf> {
    let Some(file) = token_file() else {
        let reason = "this machine has no home folder; put the token into HF_TOKEN".to_owned();
        return Err(HubError::Setting { setting: "the token".to_owned(), reason });
    };
    write_private(&file, token.secret()).map_err(|error| HubError::io(&file, error))?;
    Ok(file)
}

/// Writes a file that only its owner can read, and creates its folder.
///
/// # Errors
/// Those of the file system.
pub(crate) fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().ok_or(io::ErrorKind::NotFound)?;
    fs::create_dir_all(folder)?;
    // Temporary files are readable by their owner alone from the start.
    let mut part = tempfile::NamedTempFile::new_in(folder)?;
    part.write_all(text.as_bytes())?;
    part.persist(file)?;
    Ok(())
}

/// The file with root certificates in place of the built-in ones, `SSL_CERT_FILE`.
pub(crate) fn certificates_file() -> Option<PathBuf> {
    path("SSL_CERT_FILE").or_else(|| path("REQUESTS_CA_BUNDLE"))
}

fn token() -> Result<Option<Token>> {
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        if let Some(secret) = text(name) {
            return Token::new(&secret, name).map(Some);
        }
    }
    let Some(file) = token_file().filter(|_| !is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN")) else {
        return Ok(None);
    };
    let mut secret = String::new();
    match File::open(&file).and_then(|open| open.take(MAX_TOKEN_FILE).read_to_string(&mut secret)) {
        Ok(_) if secret.trim().is_empty() => Ok(None),
        Ok(_) => Token::new(&secret, &file.display().to_string()).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HubError::io(&file, error)),
    }
}

fn token_file() -> Option<PathBuf> {
    path("HF_TOKEN_PATH").or_else(|| Some(hf_home()?.join("token")))
}

fn hf_home() -> Option<PathBuf> {
    path("HF_HOME")
        .or_else(|| Some(path("XDG_CACHE_HOME")?.join("huggingface")))
        .or_else(|| Some(env::home_dir()?.join(".cache/huggingface")))
}

/// The text of a variable that is set and not empty.
fn text(name: &str) -> Option<String> {
    env::var(name).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The path in a variable; `~/` is the home folder.
fn path(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(name).filter(|value| !value.is_empty())?);
    match path.strip_prefix("~") {
        Ok(rest) => Some(env::home_dir()?.join(rest)),
        Err(_) => Some(path),
    }
}

/// Whether a variable says yes, in the words that Hugging Face's programs know.
fn is_on(name: &str) -> bool {
    text(name).is_some_and(|text| matches!(text.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_without_a_secret() {
        assert_eq!(endpoint("https://hub.example/").unwrap().as_str(), "https://hub.example/");
        for bad in
            ["hub.example", "ftp://hub.example", "https://", "https://me@hub.example", "http://:secret@hub.example"]
        {
            let message = endpoint(bad).unwrap_err().to_string();
            assert!(message.contains("HF_ENDPOINT") && !message.contains("secret"), "{bad}: {message}");
        }
    }

    #[test]
    fn tokens_are_not_printed() {
        let token = Token::new(" hf_secret\n", "HF_TOKEN").unwrap();
        assert_eq!(token.secret(), "hf_secret");
        assert_eq!(format!("{token:?}"), "Token(*** from HF_TOKEN)");
        for bad in ["", " ", "a b", "a\nb", "ä"] {
            assert!(Token::new(bad, "HF_TOKEN").is_err(), "{bad:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_saved_token_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("huggingface/token");
        write_private(&file, "hf_a").unwrap();
        write_private(&file, "hf_b").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "hf_b");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
