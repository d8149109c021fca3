//! The token that tells the hub who asks: from a variable, saved by this program, or saved by Hugging Face's own programs.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use url::Url;

use super::client::{Client, is_this_machine};
use super::error::{HubError, Result};
use super::settings::{HubSettings, hf_home, is_on, path, text};
use super::stop::Stop;
use crate::secrets::{Place, SecretError, Secrets};

/// The variables with a token, of which the first that is set wins over a saved one.
const VARIABLES: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];
/// Bytes of a token file, whose token has some forty.
const MAX_TOKEN_FILE: u64 = 4096;
/// Where a token comes from that [`log_in`] saved.
const SAVED: &str = "lapidary login";

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

/// Where the token of an endpoint comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// This variable.
    Variable(&'static str),
    /// [`log_in`] saved it.
    Saved,
    /// The file of Hugging Face's own programs.
    File(PathBuf),
}

/// Where the token of an endpoint comes from, if there is one. This opens no key store.
///
/// # Errors
/// [`HubError::Secret`].
pub fn token_source(endpoint: &Url, secrets: &Secrets) -> Result<Option<TokenSource>> {
    if let Some(name) = VARIABLES.into_iter().find(|name| text(name).is_some()) {
        return Ok(Some(TokenSource::Variable(name)));
    }
    if is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        return Ok(None);
    }
    if secrets.has(&saved_name(endpoint))? {
        return Ok(Some(TokenSource::Saved));
    }
    let file = token_file().filter(|file| file.metadata().is_ok_and(|file| file.len() > 0));
    Ok(file.map(TokenSource::File))
}

/// The token of the environment for an endpoint.
pub(super) fn of_environment(endpoint: &Url, secrets: &Secrets) -> Result<Option<Token>> {
    for name in VARIABLES {
        if let Some(secret) = text(name) {
            return Token::new(&secret, name).map(Some);
        }
    }
    if is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        return Ok(None);
    }
    match saved(endpoint, secrets) {
        Ok(None) => {}
        Ok(token) => return Ok(token),
        // Most models need none, and the hub says where one is needed.
        Err(error) => log::warn!("the token that lapidary login saved is not used: {error}; HF_TOKEN can hold it too"),
    }
    of_file()
}

/// The token that [`log_in`] saved for an endpoint.
pub(super) fn saved(endpoint: &Url, secrets: &Secrets) -> Result<Option<Token>> {
    secrets.find(&saved_name(endpoint))?.map(|secret| Token::new(&secret, SAVED)).transpose()
}

/// Checks a token at the hub, and saves it for this hub alone. Returns the account's name, and where the token is kept. With a
/// locked key store this can take a minute.
///
/// # Errors
/// Those of the network, [`HubError::BadToken`], and [`HubError::Secret`]. Then nothing is saved.
pub fn log_in(settings: HubSettings, secrets: &Secrets, token: &Token, stop: Stop) -> Result<(String, Place)> {
    let endpoint = settings.endpoint.clone();
    if endpoint.scheme() != "https" && !is_this_machine(&endpoint) {
        let reason = "it is an address without encryption, which gets no token; take one that begins with https";
        return Err(HubError::Setting { setting: "HF_ENDPOINT".to_owned(), reason: reason.to_owned() });
    }
    let client = Client::new(HubSettings { token: Some(token.clone()), ..settings }, stop)?;
    let account = client.account()?;
    let place = secrets.save(&saved_name(&endpoint), token.secret())?;
    Ok((account, place))
}

/// Forgets the token that [`log_in`] saved for an endpoint. Returns whether there was one.
///
/// # Errors
/// [`HubError::Secret`].
pub fn log_out(endpoint: &Url, secrets: &Secrets) -> Result<bool> {
    Ok(secrets.forget(&saved_name(endpoint))?)
}

/// The name of the token among the secrets. The key of a server at the same address is another one.
fn saved_name(endpoint: &Url) -> String {
    format!("Hugging Face token for {}", endpoint.origin().ascii_serialization())
}

/// The token that Hugging Face's own programs saved.
fn of_file() -> Result<Option<Token>> {
    let Some(file) = token_file() else { return Ok(None) };
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

impl From<SecretError> for HubError {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_printed() {
        let token = Token::new(" hf_secret\n", "HF_TOKEN").unwrap();
        assert_eq!(token.secret(), "hf_secret");
        assert_eq!(format!("{token:?}"), "Token(*** from HF_TOKEN)");
        for bad in ["", " ", "a b", "a\nb", "ä"] {
            assert!(Token::new(bad, "HF_TOKEN").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_saved_token_is_for_one_endpoint() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::in_folder(Some(folder.path().to_owned()));
        let url = |text: &str| Url::parse(text).unwrap();
        let hub = url("https://hub.example/path");
        secrets.save(&saved_name(&hub), "hf_a").unwrap();
        assert_eq!(saved(&url("https://hub.example"), &secrets).unwrap().unwrap().secret(), "hf_a");
        for other in ["http://hub.example", "https://hub.example:444", "https://other.example"] {
            assert!(saved(&url(other), &secrets).unwrap().is_none(), "{other}");
        }
        assert!(log_out(&hub, &secrets).unwrap() && !log_out(&hub, &secrets).unwrap());
    }
}
