//! The keys of servers: from variables, or from the saved [`Secrets`].

use super::address::Address;
use super::error::{EndpointError, Result};
use crate::hub::Token;
use crate::secrets::Secrets;

/// The variable with the key for the servers that the user names. A key that is saved for a server wins over it.
pub const KEY_VARIABLE: &str = "LAPIDARY_ENDPOINT_KEY";
/// The variable that other programs read. It was not set for Lapidary, so it goes to [`SHARED_ORIGIN`] alone.
const SHARED_VARIABLE: &str = "OPENAI_API_KEY";
/// The only server that gets the key of [`SHARED_VARIABLE`].
const SHARED_ORIGIN: &str = "https://api.openai.com";

/// Where keys come from. Saved ones have the server's origin as their name.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    saved: Secrets,
    own: Option<String>,
    shared: Option<String>,
}

impl Keys {
    /// The keys of the environment, and those that this user saved.
    pub fn of_this_user() -> Self {
        Self::new(Secrets::of_this_user(), |name| std::env::var(name).ok())
    }

    /// The keys of these variables, and the saved ones.
    pub fn new(saved: Secrets, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.trim().is_empty());
        Self { saved, own: set(KEY_VARIABLE), shared: set(SHARED_VARIABLE) }
    }

    /// The saved secrets.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.saved
    }

    /// Whether [`KEY_VARIABLE`] is set, so that servers without a saved key get that one.
    pub fn is_set_by_variable(&self) -> bool {
        self.own.is_some()
    }

    /// The key for a server: the one saved for it, else that of `LAPIDARY_ENDPOINT_KEY`, else, for `https://api.openai.com` alone,
    /// that of `OPENAI_API_KEY`.
    ///
    /// # Errors
    /// [`EndpointError::Key`] and [`EndpointError::Saved`].
    pub fn find(&self, address: &Address) -> Result<Option<Token>> {
        if let Some(key) = self.saved.find(&address.origin())? {
            return token(&key, &format!("the settings for {}", address.host())).map(Some);
        }
        if let Some(key) = &self.own {
            return token(key, KEY_VARIABLE).map(Some);
        }
        match &self.shared {
            Some(key) if address.origin() == SHARED_ORIGIN => token(key, SHARED_VARIABLE).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether the key of `OPENAI_API_KEY` is there and not sent to this server.
    pub(super) fn withholds(&self, address: &Address) -> bool {
        self.shared.is_some() && address.origin() != SHARED_ORIGIN
    }

    /// Checks a key that was typed.
    ///
    /// # Errors
    /// [`EndpointError::Key`].
    pub fn typed(key: &str) -> Result<Token> {
        token(key, "the field for the key")
    }

    /// Saves the key of a server.
    ///
    /// # Errors
    /// [`EndpointError::Saved`].
    pub fn save(&self, address: &Address, key: &Token) -> Result<()> {
        self.saved.save(&address.origin(), key.secret())?;
        Ok(())
    }

    /// Forgets the key of a server, if one is saved.
    ///
    /// # Errors
    /// [`EndpointError::Saved`].
    pub fn forget(&self, address: &Address) -> Result<()> {
        self.saved.forget(&address.origin())?;
        Ok(())
    }
}

fn token(key: &str, source: &str) -> Result<Token> {
    Token::new(key, source).map_err(|_| EndpointError::Key { source_name: source.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(keys: &Keys, address: &str) -> Option<String> {
        let key = keys.find(&Address::parse(address).unwrap()).unwrap();
        key.map(|key| key.secret().to_owned())
    }

    #[test]
    fn a_saved_key_is_for_one_server_and_wins_over_variables() {
        let folder = tempfile::tempdir().unwrap();
        let here = || Secrets::in_folder(Some(folder.path().to_owned()));
        let keys = Keys::new(here(), |_| None);
        let server = Address::parse("https://a.example/v1").unwrap();
        assert_eq!(secret(&keys, "https://a.example/v1"), None);
        keys.save(&server, &Keys::typed(" saved\n").unwrap()).unwrap();
        assert_eq!(secret(&keys, "https://a.example/other").as_deref(), Some("saved"));
        for other in ["https://b.example", "https://a.example:444", "http://a.example", "https://x.a.example"] {
            assert_eq!(secret(&keys, other), None, "{other}");
        }
        let both = Keys::new(here(), |name| Some(name.to_lowercase()));
        assert_eq!(secret(&both, "https://a.example").as_deref(), Some("saved"));
        assert_eq!(secret(&both, "https://b.example").as_deref(), Some("lapidary_endpoint_key"));
        assert_eq!(secret(&both, "https://api.openai.com").as_deref(), Some("lapidary_endpoint_key"));
        let shared = Keys::new(here(), |name| (name == SHARED_VARIABLE).then(|| "shared".into()));
        assert_eq!(secret(&shared, "https://a.example").as_deref(), Some("saved"));
        assert_eq!(secret(&shared, "https://api.openai.com/v1").as_deref(), Some("shared"));
        for other in [
            "https://b.example",
            "localhost:8080",
            "http://api.openai.com",
            "https://api.openai.com:444",
            "https://api.openai.com.b.example",
        ] {
            assert_eq!(secret(&shared, other), None, "{other}");
        }
        keys.forget(&server).unwrap();
        keys.forget(&server).unwrap();
        assert_eq!(secret(&keys, "https://a.example"), None);
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let server = Address::parse("localhost").unwrap();
        let keys = Keys::new(Secrets::default(), |_| Some("two words".into()));
        let message = keys.find(&server).unwrap_err().to_string();
        assert!(message.contains(KEY_VARIABLE) && !message.contains("words"), "{message}");
        assert!(Keys::new(Secrets::default(), |_| Some(" ".into())).find(&server).unwrap().is_none());
        let key = Keys::typed("sk-secret").unwrap();
        assert!(!format!("{key:?}").contains("secret"));
    }
}
