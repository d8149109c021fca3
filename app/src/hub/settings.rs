//! Where the hub is, where its cache is, and who asks: the environment variables of Hugging Face's own programs.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::error::{HubError, Result};
use super::token::{self, Token};
use crate::secrets::Secrets;

/// The hub, unless `HF_ENDPOINT` names another.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

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
    /// Connections for a large file.
    pub connections: usize,
}

impl HubSettings {
    /// The settings of the environment: `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_TOKEN`, `HF_TOKEN_PATH`,
    /// `HF_HUB_OFFLINE`, `HF_HUB_DISABLE_IMPLICIT_TOKEN` and `SSL_CERT_FILE`. Proxies are read where connections are made.
    ///
    /// # Errors
    /// [`HubError::Setting`] where a variable makes no sense, and [`HubError::Io`] where the token file cannot be read.
    pub fn from_env() -> Result<Self> {
        let settings = Self::without_token()?;
        Ok(Self { token: token::of_environment(&settings.endpoint, &Secrets::of_this_user())?, ..settings })
    }

    /// The same without a token, for which no key store is opened.
    ///
    /// # Errors
    /// [`HubError::Setting`].
    pub fn without_token() -> Result<Self> {
        let endpoint = endpoint(text("HF_ENDPOINT").as_deref().unwrap_or(DEFAULT_ENDPOINT))?;
        let cache = cache_folder()
            .ok_or_else(|| setting("HF_HUB_CACHE", "this machine has no home folder; name a folder for models here"))?;
        Ok(Self {
            endpoint,
            cache,
            token: None,
            offline: is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE"),
            certificates: certificates_file(),
            stall: Duration::from_secs(30),
            first_wait: Duration::from_millis(500),
            attempts: 6,
            connections: 4,
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

/// The file with root certificates in place of the built-in ones, `SSL_CERT_FILE`.
pub(crate) fn certificates_file() -> Option<PathBuf> {
    path("SSL_CERT_FILE").or_else(|| path("REQUESTS_CA_BUNDLE"))
}

pub(super) fn hf_home() -> Option<PathBuf> {
    path("HF_HOME")
        .or_else(|| Some(path("XDG_CACHE_HOME")?.join("huggingface")))
        .or_else(|| Some(env::home_dir()?.join(".cache/huggingface")))
}

/// The text of a variable that is set and not empty.
pub(super) fn text(name: &str) -> Option<String> {
    env::var(name).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The path in a variable; `~/` is the home folder.
pub(super) fn path(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(name).filter(|value| !value.is_empty())?);
    match path.strip_prefix("~") {
        Ok(rest) => Some(env::home_dir()?.join(rest)),
        Err(_) => Some(path),
    }
}

/// Whether a variable says yes, in the words that Hugging Face's programs know.
pub(super) fn is_on(name: &str) -> bool {
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
}
